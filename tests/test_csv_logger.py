"""The table of epochs as a file: what is in it, when, and after a resume."""

import re

import lehr
import pytest
import torch
from lehr import Callback, CheckpointCallback, CSVLogger, LRFinder, Recorder
from lehr.testing import synth_learner


def error_rate(pred, target):
    return (pred - target).abs().mean()


def make(tmp_path, *cbs, **kwargs):
    learn = synth_learner(n_trn=3, n_val=1, path=tmp_path, cbs=cbs, **kwargs)
    learn.logger = lambda row: None
    return learn.remove_cbs(lehr.ProgressCallback)


def lines(tmp_path, name="history.csv"):
    return (tmp_path / name).read_text().splitlines()


def test_the_file_has_the_recorder_s_columns_and_a_row_an_epoch(tmp_path):
    rows = []
    learn = make(tmp_path, CSVLogger(), metrics=error_rate)
    learn.logger = rows.append
    learn.fit(2)
    assert CSVLogger.order == 60
    assert lines(tmp_path)[0] == "epoch,train_loss,valid_loss,error_rate,time"
    # The numbers in full, and otherwise what is logged.
    assert lines(tmp_path)[1:] == [",".join(map(str, row)) for row in rows]
    assert [line.split(",")[0] for line in lines(tmp_path)[1:]] == ["0", "1"]
    assert re.fullmatch(r"\d\d:\d\d", lines(tmp_path)[1].split(",")[-1])


def test_read_log_gives_the_numbers_back(tmp_path):
    learn = make(tmp_path, CSVLogger(), metrics=error_rate)
    learn.fit(2)
    log = learn.csv_logger.read_log()
    assert [list(row) for row in log] == [learn.recorder.metric_names] * 2
    assert [[row["train_loss"], row["valid_loss"], row["error_rate"]] for row in log] == (
        learn.recorder.values
    )
    assert [row["epoch"] for row in log] == [0, 1]
    assert type(log[0]["epoch"]) is int
    assert log[0]["time"] == "00:00"


def test_read_log_works_for_a_callback_of_one_fit(tmp_path):
    logger = CSVLogger()
    with pytest.raises(ValueError, match="the log has no path yet"):
        logger.read_log()
    learn = make(tmp_path)
    learn.fit(1, cbs=logger)
    assert len(logger.read_log()) == 1
    with pytest.raises(FileNotFoundError):
        make(tmp_path, CSVLogger("other.csv")).csv_logger.read_log()


def test_each_row_is_in_the_file_when_its_epoch_ends(tmp_path):
    seen = []

    class Look(Callback):
        order = 61

        def after_epoch(self):
            seen.append(len(lines(tmp_path)))

    make(tmp_path, CSVLogger(), Look()).fit(3)
    assert seen == [2, 3, 4]


def test_the_file_is_written_under_no_logging_as_the_reference_does(tmp_path, capsys):
    learn = synth_learner(path=tmp_path, cbs=CSVLogger)
    with learn.no_logging():
        learn.fit(2)
    assert len(lines(tmp_path)) == 3
    assert capsys.readouterr().out == ""


def test_the_table_is_printed_as_without_it(tmp_path, capsys):
    learn = synth_learner(path=tmp_path, cbs=CSVLogger)
    logger = learn.logger
    learn.fit(2)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert learn.logger is logger


def test_folders_that_are_missing_are_made(tmp_path):
    make(tmp_path / "runs", CSVLogger("logs/a/history.csv")).fit(1)
    assert len(lines(tmp_path, "runs/logs/a/history.csv")) == 2
    make(tmp_path, CSVLogger(tmp_path / "absolute" / "b.csv")).fit(1)
    assert len(lines(tmp_path, "absolute/b.csv")) == 2


def test_a_file_that_cannot_be_written_is_an_error_before_training(tmp_path):
    (tmp_path / "history.csv").mkdir()
    learn = make(tmp_path, CSVLogger())
    with pytest.raises(OSError, match="history.csv"):
        learn.fit(1)
    assert learn.recorder.lrs == []


def test_a_learner_without_recorder_is_refused_before_training(tmp_path):
    learn = make(tmp_path, CSVLogger()).remove_cbs(Recorder)
    with pytest.raises(ValueError, match="CSVLogger needs a Recorder to write from"):
        learn.fit(1)
    assert not (tmp_path / "history.csv").exists()


def test_a_new_fit_replaces_the_file_when_its_first_epoch_ends(tmp_path):
    class Fails(Callback):
        on = False

        def after_batch(self):
            if self.on:
                raise ZeroDivisionError

    fails = Fails()
    learn = make(tmp_path, CSVLogger(), fails)
    learn.fit(3)
    before = lines(tmp_path)
    fails.on = True
    with pytest.raises(ZeroDivisionError):
        learn.fit(1)
    assert lines(tmp_path) == before
    fails.on = False
    learn.fit(1)
    assert len(lines(tmp_path)) == 2
    assert lines(tmp_path)[1] != before[1]


def test_append_adds_to_the_file_under_one_header(tmp_path):
    learn = make(tmp_path, CSVLogger(append=True))
    learn.fit(1)
    learn.fit(1)
    learn.fit(2)
    assert [line.split(",")[0] for line in lines(tmp_path)] == ["epoch", "0", "0", "0", "1"]


def test_append_refuses_a_file_of_other_columns_before_training(tmp_path):
    make(tmp_path, CSVLogger()).fit(1)
    before = lines(tmp_path)
    learn = make(tmp_path, CSVLogger(append=True), metrics=error_rate)
    with pytest.raises(ValueError) as caught:
        learn.fit(1)
    assert str(caught.value) == (
        f"{tmp_path / 'history.csv'} has the columns epoch,train_loss,valid_loss,time, the fit "
        "has epoch,train_loss,valid_loss,error_rate,time"
    )
    assert lines(tmp_path) == before
    assert learn.recorder.lrs == []
    assert learn.csv_logger._file is None


@pytest.mark.parametrize("event", ["before_batch", "before_epoch", "after_validate"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, lehr.CancelFitException])
def test_the_file_is_closed_however_the_fit_ends(event, error, tmp_path):
    class Ends(Callback):
        def __call__(self, name):
            if name == event and self.epoch == 1:
                raise error

    learn = make(tmp_path, CSVLogger(), Ends())
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            learn.fit(3)
    else:
        learn.fit(3)
    assert learn.csv_logger._file is None
    assert len(lines(tmp_path)) == 2


class CancelIn(Callback):
    def __init__(self, event, error):
        self.event, self.error = event, error

    def __call__(self, event):
        if event == self.event and self.learn.epoch == 1:
            raise self.error


def test_what_a_skipped_validation_left_out_is_empty(tmp_path):
    cancel = CancelIn("before_validate", lehr.CancelValidException)
    learn = make(tmp_path, CSVLogger(), cancel, metrics=error_rate)
    learn.fit(3)
    epochs = learn.csv_logger.read_log()
    assert [row["valid_loss"] is None for row in epochs] == [False, True, False]
    assert [row["error_rate"] is None for row in epochs] == [False, True, False]
    assert all(row["train_loss"] > 0 and row["time"] == "00:00" for row in epochs)


def test_an_epoch_cancelled_before_it_began_has_no_row(tmp_path):
    learn = make(tmp_path, CSVLogger(), CancelIn("before_epoch", lehr.CancelEpochException))
    learn.fit(3)
    assert [row["epoch"] for row in learn.csv_logger.read_log()] == [0, 2]


@pytest.mark.parametrize("add_time", [True, False])
def test_columns_follow_the_recorder(add_time, tmp_path):
    learn = make(tmp_path, CSVLogger(), metrics=error_rate).remove_cbs(Recorder)
    learn.add_cbs(Recorder(add_time=add_time, train_metrics=True))
    learn.fit(1)
    columns = "epoch,train_loss,train_error_rate,valid_loss,valid_error_rate" + ",time" * add_time
    assert lines(tmp_path)[0] == columns
    row = learn.csv_logger.read_log()[0]
    assert row["valid_error_rate"] == learn.recorder.values[0][-1]
    assert row.get("time") == ("00:00" if add_time else None)


def test_numbers_that_are_not_finite_and_names_with_commas_come_back(tmp_path):
    class Odd(lehr.Metric):
        name = 'a, "b"'
        value = float("inf")

        def reset(self):
            pass

        def accumulate(self, learn):
            pass

    learn = make(tmp_path, CSVLogger(), metrics=Odd(), lr=1e30)
    learn.fit(2)
    log = learn.csv_logger.read_log()
    assert [row['a, "b"'] for row in log] == [float("inf")] * 2
    assert log[1]["valid_loss"] != log[1]["valid_loss"]


def test_hours_are_written_as_in_the_table(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class Slow(Callback):
        def after_train(self):
            now[0] += 2 * 3600 + 5 * 60 + 7.4

    rows = []
    learn = make(tmp_path, CSVLogger(), Slow())
    learn.logger = rows.append
    learn.fit(1)
    assert learn.csv_logger.read_log()[0]["time"] == rows[0][-1] == "2:05:07"


def test_a_sweep_leaves_the_file_alone(tmp_path):
    """Row L16; a direct fit of a finder is a sweep as well."""
    learn = make(tmp_path, CSVLogger())
    learn.fit(2)
    before = (tmp_path / "history.csv").read_bytes()
    learn.lr_find(num_it=10, show_plot=False)
    learn.fit(3, cbs=LRFinder(num_it=10))
    assert (tmp_path / "history.csv").read_bytes() == before


def test_a_fit_that_begins_at_an_epoch_has_rows_of_its_epochs_alone(tmp_path):
    """Row R3."""
    learn = make(tmp_path, CSVLogger())
    learn.fit(4, start_epoch=2)
    assert [row["epoch"] for row in learn.csv_logger.read_log()] == [2, 3]


# Resuming.


class CrashError(Exception):
    pass


class CrashIn(Callback):
    def __init__(self, epoch, batch):
        self.at = (epoch, batch)

    def before_batch(self):
        if self.training and (self.epoch, self.iter) == self.at:
            raise CrashError


def cut(tmp_path, at, append=False, **every):
    """Train 5 epochs up to a crash; return what makes the learner and its callbacks again."""

    def again():
        torch.manual_seed(0)
        return make(tmp_path), [CSVLogger(append=append), CheckpointCallback(**every)]

    learn, cbs = again()
    with pytest.raises(CrashError):
        learn.fit(5, cbs=[*cbs, CrashIn(*at)])
    return again


@pytest.mark.parametrize(
    ("every", "at"),
    [
        ({"every_epochs": 1}, (0, 2)),
        ({"every_epochs": 1}, (3, 1)),
        # Epochs 2 and 3 are in the file, and the checkpoint is of the end of epoch 1.
        ({"every_epochs": 2}, (3, 2)),
        ({"every_steps": 2}, (2, 2)),
        ({"every_steps": 7}, (4, 0)),
    ],
)
@pytest.mark.parametrize("append", [False, True])
def test_a_resumed_run_has_each_epoch_once(every, at, append, tmp_path):
    torch.manual_seed(0)
    whole = make(tmp_path / "whole")
    whole.fit(5, cbs=[CSVLogger(), CheckpointCallback(**every)])
    folder = tmp_path / "cut"
    make(folder).fit(2, cbs=CSVLogger())
    earlier = lines(folder)[1:]
    again = cut(folder, at, append, **every)
    learn, cbs = again()
    checkpoints = folder / "models" / "checkpoints"
    if checkpoints.exists() and any(checkpoints.glob("*.pt")):
        learn.resume(checkpoints, cbs=cbs)
    else:
        # Nothing to resume: the training begins again.
        learn, cbs = again()
        learn.fit(5, cbs=cbs)
    without_time = [line.rpartition(",")[0] for line in lines(folder)]
    expected = [line.rpartition(",")[0] for line in lines(tmp_path / "whole")]
    kept = [line.rpartition(",")[0] for line in earlier]
    assert without_time == [expected[0], *(kept if append else []), *expected[1:]]


def test_rows_that_are_lost_are_warned_of_and_the_rest_is_kept(tmp_path):
    again = cut(tmp_path, (3, 1), every_epochs=1)
    content = lines(tmp_path)
    (tmp_path / "history.csv").write_text("\n".join(content[:2]) + "\n")
    learn, cbs = again()
    with pytest.warns(UserWarning, match="history.csv has 1 of the 3 rows that were written"):
        learn.resume(tmp_path / "models" / "checkpoints", cbs=cbs)
    assert [row["epoch"] for row in cbs[0].read_log()] == [0, 3, 4]
    # Without a file, the rest gets a new one.
    (tmp_path / "history.csv").unlink()
    again = cut(tmp_path / "b", (3, 1), every_epochs=1)
    (tmp_path / "b" / "history.csv").unlink()
    learn, cbs = again()
    with pytest.warns(UserWarning, match="has 0 of the 3 rows"):
        learn.resume(tmp_path / "b" / "models" / "checkpoints", cbs=cbs)
    assert [row["epoch"] for row in cbs[0].read_log()] == [3, 4]


def test_a_resume_refuses_another_file_or_other_columns(tmp_path):
    again = cut(tmp_path, (3, 1), every_epochs=1)
    learn, cbs = again()
    message = "`csv_logger` was saved with fname='history.csv', not 'other.csv'"
    with pytest.raises(ValueError, match=message):
        learn.resume(tmp_path / "models" / "checkpoints", cbs=[CSVLogger("other.csv"), cbs[1]])
    (tmp_path / "history.csv").write_text("a,b\n1,2\n")
    learn, cbs = again()
    with pytest.raises(ValueError, match="has the columns a,b, the fit has epoch,train_loss"):
        learn.resume(tmp_path / "models" / "checkpoints", cbs=cbs)
    assert lines(tmp_path) == ["a,b", "1,2"]
