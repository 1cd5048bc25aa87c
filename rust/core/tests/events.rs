//! The reader of event files: on real files, whole, cut and altered, and on random bytes.

use std::path::{Path, PathBuf};

use lehr_core::events::{Reader, Series};
use proptest::collection::vec;
use proptest::prelude::*;

fn folder(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/logs/tensorboard");
    let files = std::fs::read_dir(root.join(name)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(&folder(name)[0]).unwrap()
}

/// What is in one file, and what ends the reading.
fn read(bytes: &[u8]) -> (Vec<Series>, Option<String>) {
    let mut reader = Reader::default();
    let error = reader.push(bytes).and(reader.finish()).err();
    (reader.take(), error.map(|error| error.to_string()))
}

/// The checksum of a record, bit by bit.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let low = remainder & 1;
            remainder >>= 1;
            if low == 1 {
                remainder ^= 0x82f6_3b78;
            }
        }
    }
    let sum = u32::MAX ^ remainder;
    sum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn header(length: u64) -> Vec<u8> {
    let length = length.to_le_bytes();
    [&length[..], &checksum(&length)].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&header(payload.len() as u64), payload, &checksum(payload)].concat()
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// An event of one tensor under "tag".
fn tensor(tensor: &[u8]) -> Vec<u8> {
    let metadata = field(9, &field(1, &field(1, b"scalars")));
    let value = [field(1, b"tag"), field(8, tensor), metadata].concat();
    record(&field(5, &field(1, &value)))
}

/// The scalars of `part` are the first ones of `whole`, tag by tag.
fn is_start(part: &[Series], whole: &[Series]) -> bool {
    part.iter().all(|part| {
        whole.iter().any(|whole| {
            let bits = |series: &Series, n: usize| -> Vec<u64> {
                series.values[..n].iter().map(|value| value.to_bits()).collect()
            };
            let n = part.values.len();
            whole.tag == part.tag
                && n <= whole.values.len()
                && whole.steps[..n] == part.steps[..]
                && bits(whole, n) == bits(part, n)
        })
    })
}

#[test]
fn lengths_no_message_has_are_refused_and_not_waited_for() {
    for length in [1 << 31, 1 << 63, u64::MAX] {
        let (series, error) = read(&header(length));
        assert!(series.is_empty());
        let expected = format!("record at byte 0: its length is {length} bytes");
        assert!(error.unwrap().starts_with(&expected));
    }
}

#[test]
fn a_message_that_breaks_off_is_named_with_its_place() {
    let first = record(&[]);
    for (payload, why) in [
        (&[0x2a, 5, 0][..], "its message breaks off within a field"),
        (&[0x2a], "its message breaks off within a field"),
        (&[0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "within a field"),
        (&[0x80; 11], "a number of more than 64 bits"),
        (&[0x00, 1], "a field of number 0"),
        (&[0x0e], "a field of no known kind"),
        (&[0x0c], "ends a group that did not begin"),
        (&[0x0b], "its message breaks off within a field"),
    ] {
        let (_, error) = read(&[&first[..], &record(payload)].concat());
        let error = error.unwrap();
        assert!(error.starts_with("record at byte 16: ") && error.ends_with(why), "{error}");
    }
}

#[test]
fn fields_not_known_are_passed_over_groups_and_all() {
    // A group of number 100 with a group in it, and a value inside that is not to be read.
    let inside = field(5, &field(1, &[field(1, b"x"), vec![0x15, 0, 0, 0, 0]].concat()));
    let group = [&[0xa3, 6, 0x0b][..], &inside, &[0x0c, 0xa4, 6]].concat();
    let value = field(5, &field(1, &[field(1, b"tag"), vec![0x15, 0, 0, 0x80, 0x3f]].concat()));
    let (series, error) = read(&record(&[group, vec![0x78, 1], value].concat()));
    assert_eq!(error, None);
    assert_eq!(series.len(), 1);
    assert_eq!((&*series[0].tag, series[0].values[0]), ("tag", 1.0));
}

#[test]
fn tensors_of_types_without_a_writer_are_read() {
    for (bytes, expected) in [
        (&[8, 14, 0x6a, 3, 0x80, 0xff, 1][..], f64::INFINITY),
        (&[8, 14, 0x22, 2, 0xc0, 0x3f], 1.5),
        (&[8, 22, 0x82, 1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f], 4_294_967_295.0),
        (&[8, 23, 0x88, 1, 7], 7.0),
        (&[8, 1, 0x2d, 0, 0, 0x80, 0x3f], 1.0),
        (&[0x22, 4, 0, 0, 0x80, 0x3f, 0x12, 4, 0x12, 2, 8, 1, 8, 1], 1.0),
    ] {
        let (series, error) = read(&tensor(bytes));
        assert_eq!(error, None);
        assert_eq!(series[0].values, [expected], "{bytes:?}");
    }
}

#[test]
fn tensors_that_are_no_number_are_counted() {
    let two = [8, 1, 0x12, 4, 0x12, 2, 8, 2, 0x22, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    for bytes in [&[8, 7, 0x42, 1, 65][..], &two, &[8, 1], &[8, 1, 0x2a, 0], &[8, 2, 0x22, 1, 0]] {
        let mut reader = Reader::default();
        reader.push(&tensor(bytes)).unwrap();
        assert_eq!((reader.passed_over(), reader.take()), (1, vec![]), "{bytes:?}");
    }
}

#[test]
fn a_later_file_wins_from_its_first_step_on() {
    let mut reader = Reader::default();
    for file in folder("restarted") {
        reader.push(&std::fs::read(file).unwrap()).unwrap();
        reader.finish().unwrap();
    }
    // Two tags, the steps 0 to 49 in one file and 30 to 59 in the next.
    assert_eq!(reader.replaced(), 40);
    for series in reader.take() {
        assert_eq!(series.steps, (0..60).collect::<Vec<i64>>());
        assert!(series.times.is_sorted());
    }
}

#[test]
fn a_corrupt_file_leaves_the_next_one_whole() {
    let mut reader = Reader::default();
    let bytes = file("torch");
    assert!(reader.push(&[1; 100]).is_err());
    reader.push(&bytes).unwrap();
    reader.finish().unwrap();
    reader.push(&bytes[..bytes.len() - 1]).unwrap();
    assert!(reader.finish().is_err());
    reader.push(&bytes).unwrap();
    reader.finish().unwrap();
    assert_eq!(reader.take(), read(&bytes).0);
}

/// An event of one number under "tag" at a step below 128.
fn scalar(step: u8) -> Vec<u8> {
    let value = [field(1, b"tag"), vec![0x15, 0, 0, 0x80, 0x3f]].concat();
    record(&[vec![0x10, step], field(5, &field(1, &value))].concat())
}

/// An event that begins anew at a step below 128.
fn start(step: u8) -> Vec<u8> {
    record(&[&[0x10, step][..], &field(7, &[8, 1])].concat())
}

#[test]
fn a_file_may_begin_anew_as_often_as_it_has_records() {
    // Looking at all scalars for each start would take 10^10 looks.
    let bytes = [scalar(1).repeat(100_000), start(2).repeat(100_000), scalar(2)].concat();
    let (series, error) = read(&bytes);
    assert_eq!((series[0].steps.len(), error), (100_001, None));
}

const NAMES: [&str; 5] = ["torch", "torch_tensors", "types", "transformers", "purged"];

proptest! {
    #[test]
    fn starts_drop_what_a_look_at_all_scalars_drops(
        files in vec(vec((any::<bool>(), 0..20_u8), 0..30), 1..5),
    ) {
        let mut reader = Reader::default();
        let (mut kept, mut all): (Vec<i64>, usize) = (Vec::new(), 0);
        for file in files {
            let mut own: Vec<i64> = Vec::new();
            for (starts, step) in file {
                reader.push(&if starts { start(step) } else { scalar(step) }).unwrap();
                if starts {
                    kept.retain(|one| *one < i64::from(step));
                    own.retain(|one| *one < i64::from(step));
                } else {
                    own.push(i64::from(step));
                    all += 1;
                }
            }
            reader.finish().unwrap();
            let first = own.iter().min().copied().unwrap_or(i64::MAX);
            kept.retain(|one| *one < first);
            kept.append(&mut own);
        }
        prop_assert_eq!(reader.replaced(), all - kept.len());
        let steps = reader.take().pop().map_or(Vec::new(), |series| series.steps);
        prop_assert_eq!(steps, kept);
    }

    #[test]
    fn random_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn random_messages_are_read_or_refused(payload in vec(any::<u8>(), 0..200)) {
        let _ = read(&record(&payload));
    }

    #[test]
    fn altered_messages_are_read_or_refused(
        name in prop::sample::select(&NAMES[..]),
        at in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let bytes = file(name);
        // Any of the first records that is longer than the one of the version.
        let mut start = 0;
        for _ in 0..=at.index(20) {
            start += 16 + usize::from(bytes[start]) + (usize::from(bytes[start + 1]) << 8);
        }
        let length = usize::from(bytes[start]) + (usize::from(bytes[start + 1]) << 8);
        let mut payload = bytes[start + 12..start + 12 + length].to_vec();
        for (index, byte) in changes {
            let index = index.index(length);
            payload[index] = byte;
        }
        let _ = read(&record(&payload));
    }

    #[test]
    fn a_changed_byte_ends_the_reading_at_its_record(
        name in prop::sample::select(&NAMES[..]),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut bytes = file(name);
        let (whole, _) = read(&bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let (part, error) = read(&bytes);
        let error = error.unwrap();
        let place = error.strip_prefix("record at byte ").unwrap().split(':').next().unwrap();
        prop_assert!(place.parse::<usize>().unwrap() <= at);
        prop_assert!(is_start(&part, &whole));
    }

    #[test]
    fn a_cut_file_gives_what_is_whole_and_says_so(at in any::<prop::sample::Index>()) {
        let bytes = file("torch");
        let (whole, _) = read(&bytes);
        let cut = at.index(bytes.len());
        let (part, error) = read(&bytes[..cut]);
        prop_assert!(is_start(&part, &whole));
        let mut end = 0;
        while end < cut {
            end += 16 + usize::from(bytes[end]) + (usize::from(bytes[end + 1]) << 8);
        }
        prop_assert_eq!(error.is_none(), end == cut);
    }

    #[test]
    fn pieces_of_any_size_give_the_same(sizes in vec(1_usize..300, 1..50)) {
        let bytes = file("types");
        let mut reader = Reader::default();
        let mut rest = &bytes[..];
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, next) = rest.split_at(size.min(rest.len()));
            reader.push(piece).unwrap();
            rest = next;
        }
        reader.finish().unwrap();
        let (whole, pieces) = (read(&bytes).0, reader.take());
        prop_assert!(is_start(&pieces, &whole) && is_start(&whole, &pieces));
    }
}
