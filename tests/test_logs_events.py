"""Event files of TensorBoard and its exports, against what TensorBoard's own reader finds."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import lehr.logs
import numpy as np
import pytest
from lehr._core import EventReader

DATA = Path(__file__).parent / "data"
FOLDER = DATA / "logs/tensorboard"
FOUND = json.loads((DATA / "trackers.json").read_text(encoding="utf-8"))
RUNS = FOUND["tensorboard"]

# The tags of rates and losses in each folder.
TAGS = {
    "fastai": ("lr_0", "train_loss"),
    "lightning/version_0": ("lr-SGD", "train_loss_step"),
    "not_finite": ("lr", "loss"),
    "purged": ("lr", "loss"),
    "restarted": ("lr", "loss"),
    "tensorboardx": ("lr", "loss"),
    "torch": ("lr", "loss"),
    "torch_doubles": ("lr", "loss"),
    "torch_tensors": ("lr", "loss"),
    "transformers": ("train/learning_rate", "train/loss"),
}


def files(name):
    return sorted((FOLDER / name).glob("events*"))


def read(paths, **how):
    logs = lehr.logs.read(paths, **how)
    rows = [row for batch in logs for row in batch.to_pylist()]
    return rows, logs.report


def value(events):
    """Return the last value of each step, in the order of steps."""
    last = {step: value for step, _, value in events}
    return [last[step] for step in sorted(last)]


def checksum(data):
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    remainder ^= 0xFFFFFFFF
    masked = ((remainder >> 15 | remainder << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


def event(step, tag, number, *, tensor=False):
    """Return the record of one scalar, as of the protobuf definitions of TensorBoard."""

    def field(key, data):
        return bytes([key << 3 | 2, len(data)]) + data

    if tensor:
        content = field(8, b"\x08\x01" + field(4, struct.pack("<f", number)))
        content += field(9, field(1, field(1, b"scalars")))
    else:
        content = b"\x15" + struct.pack("<f", number)
    digits = [step >> shift & 0x7F | 0x80 for shift in (0, 7)] + [step >> 14]
    payload = b"\x09" + struct.pack("<d", step) + b"\x10" + bytes(digits)
    payload += field(5, field(1, field(1, tag) + content))
    length = struct.pack("<Q", len(payload))
    return length + checksum(length) + payload + checksum(payload)


@pytest.mark.parametrize("name", sorted(RUNS.keys() - {"restarted"}))
def test_events_are_those_that_tensorboard_finds(name):
    reader = EventReader()
    for file in files(name):
        reader.push(file.read_bytes())
        reader.finish()
    found = reader.take()
    assert found.keys() == RUNS[name].keys()
    for tag, events in RUNS[name].items():
        steps, times, values = found[tag]
        assert [steps.dtype, times.dtype, values.dtype] == [np.int64, np.float64, np.float64]
        np.testing.assert_array_equal(np.stack(found[tag], 1), np.array(events, float))
    assert reader.take() == {}


@pytest.mark.parametrize("name", sorted(TAGS))
def test_a_folder_of_event_files_is_a_curve(name):
    [row], report = read(FOLDER / name, smoothing="none")
    lr, loss = (RUNS[name][tag] for tag in TAGS[name])
    assert row["lr"] == value(lr)
    np.testing.assert_array_equal(row["loss"], value(loss))
    assert row["curve_id"] == row["source"] == str(FOLDER / name)
    assert row["format"] == "tensorboard"
    assert report.files == {"tensorboard": 1}
    assert not report.skipped


def test_the_average_of_fastai_is_inverted():
    [row], _ = read(FOLDER / "fastai")
    assert row["smoothing"] == "fastai"
    np.testing.assert_allclose(row["loss"], FOUND["fastai_losses"], rtol=1e-3)


def test_hyper_parameters_beside_event_files_are_metadata():
    [row], report = read(FOLDER / "lightning")
    assert dict(row["metadata"]) == {"batch_size": "16", "note": "rates: rising"}
    assert not report.skipped


def test_a_later_file_wins_and_it_is_noted():
    _, report = read([FOLDER / "restarted", FOLDER / "torch"])
    assert report.notes == {"scalars of one event file gave way to those of a later one": 1}


def test_files_are_read_in_the_order_of_their_times(tmp_path):
    first, second = files("restarted")
    shutil.copy(first, tmp_path / "events.out.tfevents.2")
    shutil.copy(second, tmp_path / "events.out.tfevents.1")
    [row], _ = read(tmp_path)
    assert row["loss"] == value(RUNS["restarted"]["loss"])


def test_steps_before_the_restart_stay_and_later_ones_of_the_first_file_go(tmp_path):
    # The second run of a sweep stopped at step 2: the rest of the first is not its end.
    for start, steps in (0, 6), (1, 3):
        records = [
            event(step, tag, number + start)
            for step in range(steps)
            for tag, number in ((b"lr", 0.5), (b"loss", 1))
        ]
        (tmp_path / f"events.out.tfevents.{start}").write_bytes(b"".join(records))
    [row], _ = read(tmp_path)
    assert row["loss"] == [2, 2, 2]


@pytest.mark.parametrize("tensor", [False, True])
def test_no_scalar_is_left_out_however_many_there_are(tmp_path, tensor):
    # TensorBoard's reader keeps 10,000 numbers of a tag, or 10 tensors, where nothing else is said.
    n = 10_500
    records = [event(step, b"lr", 0.5, tensor=tensor) for step in range(n)]
    records += [event(step, b"loss", step, tensor=tensor) for step in range(n)]
    (tmp_path / "events.out.tfevents.1").write_bytes(b"".join(records))
    [row], report = read(tmp_path)
    assert row["loss"] == list(range(n))
    assert row["lr"] == [0.5] * n
    assert not report.skipped


def test_one_event_file_alone_is_named_by_its_folder():
    [file] = files("torch")
    [row], _ = read(file)
    assert row["source"] == str(file)
    assert row["curve_id"] == str(FOLDER / "torch")


def test_a_compressed_event_file_is_read(tmp_path):
    [file] = files("torch")
    (tmp_path / "events.out.tfevents.1.gz").write_bytes(gzip.compress(file.read_bytes()))
    [row], _ = read(tmp_path)
    assert row["loss"] == value(RUNS["torch"]["loss"])


def test_a_file_that_is_cut_off_gives_its_start_and_a_skip(tmp_path):
    data = files("torch")[0].read_bytes()
    file = tmp_path / "events.out.tfevents.1"
    file.write_bytes(data[: len(data) // 2])
    [row], report = read(tmp_path)
    whole = value(RUNS["torch"]["loss"])
    assert 0 < len(row["loss"]) < len(whole)
    assert row["loss"] == whole[: len(row["loss"])]
    [skip] = report.skipped
    assert skip.place == str(file)
    assert skip.reason.startswith("is read up to where it is cut off: record at byte ")


def test_a_corrupt_file_is_told_and_the_others_of_the_run_are_read(tmp_path):
    first, second = files("restarted")
    data = bytearray(first.read_bytes())
    data[len(data) // 4] ^= 1
    (tmp_path / "events.out.tfevents.1").write_bytes(data)
    shutil.copy(second, tmp_path / "events.out.tfevents.2")
    [row], report = read(tmp_path)
    assert row["loss"][-30:] == value(RUNS["restarted"]["loss"])[-30:]
    assert len(row["loss"]) < 60
    [skip] = report.skipped
    assert skip.place == str(tmp_path / "events.out.tfevents.1")
    assert "is wrong" in skip.reason


def test_a_file_that_is_no_event_file_is_told_with_the_byte(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(bytes(50))
    (tmp_path / "events.out.tfevents.2").write_bytes(b"")
    rows, report = read(tmp_path)
    assert not rows
    assert "record at byte 0: the checksum of its length is wrong" in report.skipped[0].reason
    assert report.skipped[1] == (str(tmp_path), "holds no scalars")


def test_a_run_without_rates_is_told_with_its_tags():
    rows, report = read(FOLDER / "types")
    assert not rows
    [(place, reason)] = report.skipped
    assert place == str(FOLDER / "types")
    assert reason.startswith("has no column of rates: it has float16 in fields, ")


def test_losses_of_steps_without_a_rate_are_left_out_and_noted(tmp_path):
    records = [event(step, b"loss", step) for step in range(6)]
    records += [event(step, b"lr", 0.5) for step in (1, 3, 7)]
    (tmp_path / "events.out.tfevents.1").write_bytes(b"".join(records))
    [row], report = read(tmp_path)
    assert row["loss"] == [1, 3]
    assert report.notes == {"losses of steps without a rate are left out": 4}


def test_scalars_without_steps_are_paired_in_order(tmp_path):
    records = [event(0, b"lr", 0.5) + event(0, b"loss", loss) for loss in (3, 2, 1)]
    (tmp_path / "events.out.tfevents.1").write_bytes(b"".join(records))
    [row], _ = read(tmp_path)
    assert row["loss"] == [3, 2, 1]


def test_rates_and_losses_without_a_common_step_are_no_curve(tmp_path):
    records = event(1, b"lr", 0.5) + event(2, b"loss", 1)
    (tmp_path / "events.out.tfevents.1").write_bytes(records)
    rows, report = read(tmp_path)
    assert not rows
    assert report.skipped == [(str(tmp_path), "has no step in common for lr and loss")]


def test_tags_can_be_named():
    [row], _ = read(FOLDER / "lightning", loss="train_loss_epoch", lr="lr-*")
    assert len(row["loss"]) == 3


def test_exports_have_the_values_of_the_event_files():
    rows, report = read(FOLDER / "exports")
    names = {"lightning_version_0": "lightning/version_0"}
    assert [row["curve_id"] for row in rows] == ["lightning_version_0", "torch", "transformers"]
    for row in rows:
        name = names.get(row["curve_id"], row["curve_id"])
        lr, loss = (RUNS[name][tag] for tag in TAGS[name])
        assert (row["lr"], row["loss"]) == (value(lr), value(loss))
        assert (row["source"], row["format"]) == (str(FOLDER / "exports"), "tensorboard_csv")
    assert not report.skipped


def test_broken_rows_of_an_export_are_told_and_the_others_read(tmp_path):
    for tag in "lr", "loss":
        text = (FOLDER / f"exports/run-torch-tag-{tag}.csv").read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True)
        if tag == "loss":
            lines[3] = "nonsense\n"
            lines[-1] = lines[-1][:-4]
        (tmp_path / f"run-torch-tag-{tag}.csv").write_text("".join(lines), encoding="utf-8")
    [row], report = read(tmp_path)
    whole = value(RUNS["torch"]["loss"])
    assert row["loss"] == whole[:2] + whole[3:-1]
    loss = tmp_path / "run-torch-tag-loss.csv"
    assert [skip.place for skip in report.skipped] == [f"{loss}:4", f"{loss}:101"]
    assert report.skipped[0].reason == "should be a time, a step and a value, got 'nonsense'"
    assert "cut off" in report.skipped[1].reason


def test_a_run_with_one_broken_export_is_told_and_the_others_read(tmp_path):
    shutil.copytree(FOLDER / "exports", tmp_path, dirs_exist_ok=True)
    (tmp_path / "run-torch-tag-lr.csv").write_text("something else\n", encoding="utf-8")
    rows, report = read(tmp_path)
    assert [row["curve_id"] for row in rows] == ["lightning_version_0", "transformers"]
    [skip] = report.skipped
    assert skip.place == f"{tmp_path}[torch]"
    assert "run-torch-tag-lr.csv has no header" in skip.reason


def test_an_export_alone_says_what_is_missing():
    rows, report = read(FOLDER / "exports/run-torch-tag-lr.csv")
    assert not rows
    assert "read the folder of both" in report.skipped[0].reason


def test_exports_and_event_files_of_one_folder_are_both_read(tmp_path):
    shutil.copytree(FOLDER / "exports", tmp_path, dirs_exist_ok=True)
    shutil.copy(files("torch")[0], tmp_path)
    rows, report = read(tmp_path)
    assert len(rows) == 4
    assert report.files == {"tensorboard": 1, "tensorboard_csv": 1}
