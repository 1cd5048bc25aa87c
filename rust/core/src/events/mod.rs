//! The scalars of `TensorBoard` event files, read from their bytes.
//!
//! A file is a row of records: the length of the payload (u64), a checksum of the length (u32), the
//! payload, a checksum of it (u32), all little-endian; a checksum is a masked CRC-32C. A payload is
//! a protobuf message `Event`.

use std::collections::HashMap;

use crate::error::{Error, Result, value_error};

mod checksum;
mod message;

use checksum::masked;
use message::{Event, Value};

/// What stands before a payload: its length, and the checksum of that.
const HEADER: usize = 12;
/// The size of a checksum.
const CHECKSUM: usize = 4;
/// No protobuf message is longer.
const LONGEST: u64 = (1 << 31) - 1;

/// The scalars of one tag, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// The name under which they were logged.
    pub tag: String,
    /// The step of each.
    pub steps: Vec<i64>,
    /// When each was logged, in seconds since 1970.
    pub times: Vec<f64>,
    /// The value of each, exact.
    pub values: Vec<f64>,
    /// Where those of the file being read begin.
    file: usize,
    /// How many times the file being read had begun anew before each of its scalars.
    before: Vec<usize>,
    /// Whether its tensors are scalars: the first metadata of a tag hold for all that follow.
    scalar: Option<bool>,
}

impl Series {
    fn push(&mut self, step: i64, time: f64, value: f64, before: usize) {
        self.steps.push(step);
        self.times.push(time);
        self.values.push(value);
        self.before.push(before);
    }

    /// End a file: drop what gave way within it, and of earlier files what gave way to it.
    ///
    /// `least[i]` is the least step at which the file began anew the `i`-th time or later. Returns
    /// how many were dropped.
    fn settle(&mut self, least: &[i64]) -> usize {
        let file = std::mem::replace(&mut self.file, 0);
        let before = std::mem::take(&mut self.before);
        let stays = |step: i64, limit: Option<i64>| limit.is_none_or(|limit| step < limit);
        let of_file = self.steps[file..].iter().zip(&before);
        let own: Vec<bool> =
            of_file.map(|(step, before)| stays(*step, least.get(*before).copied())).collect();
        let first = self.steps[file..].iter().zip(&own).filter(|(_, stays)| **stays);
        let limit = first.map(|(step, _)| *step).chain(least.first().copied()).min();
        let earlier = self.steps[..file].iter().map(|step| stays(*step, limit));
        let kept: Vec<bool> = earlier.chain(own).collect();
        retain(&mut self.steps, &kept);
        retain(&mut self.times, &kept);
        retain(&mut self.values, &kept);
        self.file = self.steps.len();
        kept.len() - self.steps.len()
    }
}

fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_some_and(|kept| *kept));
}

/// A reader of the event files of one run, fed with their bytes in pieces of any size.
///
/// It keeps the scalars, and of the bytes only the record they break off in.
///
/// ```
/// use lehr_core::events::Reader;
///
/// let mut reader = Reader::default();
/// let error = reader.push(&[0; 16]).unwrap_err();
/// assert_eq!(error.to_string(), "record at byte 0: the checksum of its length is wrong");
/// ```
#[derive(Debug, Default)]
pub struct Reader {
    series: Vec<Series>,
    places: HashMap<String, usize>,
    /// The bytes behind the last whole record, and where in the file they begin.
    carry: Vec<u8>,
    offset: u64,
    broken: bool,
    started: Option<f64>,
    replaced: usize,
    passed_over: usize,
    /// The steps at which the file being read began anew.
    restarts: Vec<i64>,
}

impl Reader {
    /// Read the next bytes of a file. After an error the rest of the file is passed over.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(bytes);
        let mut rest = carry.as_slice();
        let mut failed = Ok(());
        while failed.is_ok() {
            match record(rest) {
                Ok(Some((payload, size))) => {
                    failed = self.event(payload).map_err(|why| self.error(why));
                    rest = &rest[size..];
                    self.offset += size as u64;
                }
                Ok(None) => break,
                Err(why) => failed = Err(self.error(&why)),
            }
        }
        self.broken = failed.is_err();
        let used = carry.len() - rest.len();
        carry.drain(..used);
        self.carry = carry;
        failed
    }

    /// End the file and be ready for the next one of the run.
    ///
    /// A later file wins from its first step on, tag by tag: that run went on from a checkpoint
    /// before the end of the one before, or began anew.
    ///
    /// # Errors
    /// Where the file breaks off within a record.
    pub fn finish(&mut self) -> Result<()> {
        self.settle();
        let cut = !self.broken && !self.carry.is_empty();
        let result = if cut { Err(self.error("the file breaks off within it")) } else { Ok(()) };
        self.carry = Vec::new();
        self.offset = 0;
        self.broken = false;
        result
    }

    /// The time of the first event.
    #[must_use]
    pub fn started(&self) -> Option<f64> {
        self.started
    }

    /// How many scalars gave way to those of a later file, or of a later start in the same one.
    #[must_use]
    pub fn replaced(&self) -> usize {
        self.replaced
    }

    /// How many tensors of scalar tags are no number.
    #[must_use]
    pub fn passed_over(&self) -> usize {
        self.passed_over
    }

    /// Hand the scalars over, the tags in order of appearance, and forget them.
    pub fn take(&mut self) -> Vec<Series> {
        self.settle();
        self.places.clear();
        let mut series = std::mem::take(&mut self.series);
        series.retain(|series| !series.values.is_empty());
        series
    }

    /// Drop what gave way, all at once: a file may begin anew as often as it has records.
    fn settle(&mut self) {
        let mut least = std::mem::take(&mut self.restarts);
        for i in (1..least.len()).rev() {
            least[i - 1] = least[i - 1].min(least[i]);
        }
        for series in &mut self.series {
            self.replaced += series.settle(&least);
        }
    }

    fn error(&self, why: &str) -> Error {
        value_error!("record at byte {}: {why}", self.offset)
    }

    /// Read a payload whole, then keep its scalars.
    fn event(&mut self, payload: &[u8]) -> std::result::Result<(), &'static str> {
        let event = Event::read(payload)?;
        self.started.get_or_insert(event.time);
        if event.restarts {
            self.restarts.push(event.step);
        }
        let before = self.restarts.len();
        for entry in event.values {
            let series = self.series_of(&entry.tag);
            series.scalar = series.scalar.or(entry.scalar);
            match entry.value {
                Value::Number(number) => series.push(event.step, event.time, number, before),
                Value::Tensor(number) if series.scalar == Some(true) => match number {
                    Some(number) => series.push(event.step, event.time, number, before),
                    None => self.passed_over += 1,
                },
                Value::Tensor(_) | Value::Other => {}
            }
        }
        Ok(())
    }

    fn series_of(&mut self, tag: &str) -> &mut Series {
        let place = self.places.get(tag).copied().unwrap_or_else(|| {
            self.series.push(Series { tag: tag.to_owned(), ..Series::default() });
            self.places.insert(tag.to_owned(), self.series.len() - 1);
            self.series.len() - 1
        });
        &mut self.series[place]
    }
}

/// The payload at the front of `bytes` and the size of its record; `None` where more is needed.
fn record(bytes: &[u8]) -> std::result::Result<Option<(&[u8], usize)>, String> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Ok(None) };
    let (length, checksum) = header.split_at(8);
    if masked(length) != number(checksum) {
        return Err("the checksum of its length is wrong".to_owned());
    }
    let length = u64::from(number(&length[..4])) | u64::from(number(&length[4..])) << 32;
    if length > LONGEST {
        return Err(format!("its length is {length} bytes, and {LONGEST} is the limit"));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let Some(checksum) = rest.get(..CHECKSUM) else { return Ok(None) };
    if masked(payload) != number(checksum) {
        return Err("the checksum of its content is wrong".to_owned());
    }
    Ok(Some((payload, HEADER + length + CHECKSUM)))
}

/// Four bytes, little-endian.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}
