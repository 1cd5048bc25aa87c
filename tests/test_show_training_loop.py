"""What a learner shows and hides of itself: the printed loop, silence, callbacks for a while."""

import json
import re
from pathlib import Path

import lehr
import pytest
from lehr import Callback
from lehr.learner.callback import EVENTS
from lehr.testing import synth_learner


@pytest.fixture(scope="module")
def recorded():
    """What fastai 2.8.12 prints, recorded by tests/reference/fits.py."""
    return json.loads((Path(__file__).parent / "data/fits.json").read_text())["loop"]


def shown(learn, capsys):
    capsys.readouterr()
    learn.show_training_loop()
    return capsys.readouterr().out.splitlines()


def parts(lines):
    """Return (depth, event or heading, callbacks) of every line."""
    found = []
    for line in lines:
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        match = re.fullmatch(r"- (\S+?)\s*: ?\[(.*)\]", text)
        names = [name for name in match[2].split(", ") if name] if match else None
        found.append((depth, match[1] if match else text, names))
    return found


class Everything(Callback):
    """Logs every event; a class that overrides `__call__` acts on all of them."""

    order = 100

    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append(event)


class Mine(Callback):
    order = 55

    def before_fit(self):
        pass

    def after_loss(self):
        pass


class TrainOnly(Mine):
    run_valid = False


class ValidOnly(Mine):
    run_train = False


def test_the_whole_text_of_a_fresh_learner(capsys):
    expected = """\
Start Fit
  - before_fit      : [TrainEvalCallback, Recorder, ProgressCallback]
  Start Epoch Loop
    - before_epoch    : [Recorder]
    Start Train
      - before_train    : [TrainEvalCallback, Recorder, ProgressCallback]
      Start Batch Loop
        - before_batch    : []
        - after_pred      : []
        - after_loss      : []
        - before_backward : []
        - after_backward  : []
        - before_step     : []
        - after_step      : []
        - after_cancel_batch : []
        - after_batch     : [Recorder, ProgressCallback]
      End Batch Loop
      - after_cancel_train : []
      - after_train     : [Recorder]
    End Train
    Start Valid
      - before_validate : [TrainEvalCallback, Recorder, ProgressCallback]
      Start Batch Loop
        - before_batch    : []
        - after_pred      : []
        - after_loss      : []
        - after_cancel_batch : []
        - after_batch     : [Recorder, ProgressCallback]
      End Batch Loop
      - after_cancel_validate : [Recorder]
      - after_validate  : [Recorder]
    End Valid
    - after_cancel_epoch : []
    - after_epoch     : [Recorder]
  End Epoch Loop
  - after_cancel_fit : []
  - after_fit       : []
  - cleanup_fit     : [Recorder, ProgressCallback]
End Fit
"""
    assert shown(synth_learner(), capsys) == expected.splitlines()


def test_the_events_and_stretches_of_the_reference_come_in_its_order(recorded, capsys):
    """It abbreviates the batches of validation, and ends Train before after_cancel_train."""
    ours = [name for _, name, _ in parts(shown(synth_learner(), capsys))]
    theirs = [name for _, name, _ in parts(recorded) if "**" not in name]
    ends = ("End Train", "End Valid", "End Epoch Loop", "End Fit")
    mine = iter(name for name in ours if name not in ends)
    assert [name for name in theirs if name not in ends if name not in mine] == []
    assert [name for name in ends if ours.count(name) != theirs.count(name)] == []


def test_the_printed_order_is_that_of_a_fit_with_one_batch_of_each(capsys):
    log = Everything()
    learn = synth_learner(n_trn=1, n_val=1, cbs=log)
    printed = [
        name for _, name, names in parts(shown(learn, capsys)) if names and "Everything" in names
    ]
    log.seen.clear()
    with learn.no_logging():
        learn.fit(1)
    assert [name for name in printed if "cancel" not in name] == log.seen
    cancels = {name for name in EVENTS if "cancel" in name}
    inside = {"after_cancel_backward", "after_cancel_step"}
    assert {name for name in printed if "cancel" in name} == cancels - inside


def test_stretches_are_nested_and_their_events_stand_inside(capsys):
    open_, depths = [], []
    for depth, name, names in parts(shown(synth_learner(), capsys)):
        if name.startswith("End"):
            assert open_.pop() == name.removeprefix("End ")
        assert depth == 2 * len(open_)
        if name.startswith("Start"):
            open_.append(name.removeprefix("Start "))
        elif names is not None:
            depths.append((name, tuple(open_)))
    assert open_ == []
    inside = dict(depths)
    assert inside["before_fit"] == inside["cleanup_fit"] == ("Fit",)
    assert inside["after_train"] == ("Fit", "Epoch Loop", "Train")
    assert inside["before_step"] == ("Fit", "Epoch Loop", "Train", "Batch Loop")
    assert inside["after_validate"] == ("Fit", "Epoch Loop", "Valid")


def test_callbacks_stand_at_the_events_they_act_on_in_their_order(capsys):
    learn = synth_learner(cbs=[Everything, ValidOnly, TrainOnly, Mine])
    table = {}
    stretch = "Train"
    for _, name, names in parts(shown(learn, capsys)):
        if name in ("Start Train", "Start Valid"):
            stretch = name.removeprefix("Start ")
        if names is not None:
            table[stretch, name] = [n for n in names if n not in ("Recorder", "ProgressCallback")]
    assert table["Train", "before_fit"] == [
        "TrainEvalCallback", "ValidOnly", "TrainOnly", "Mine", "Everything",
    ]  # fmt: skip
    assert table["Train", "after_loss"] == ["TrainOnly", "Mine", "Everything"]
    assert table["Valid", "after_loss"] == ["ValidOnly", "Mine", "Everything"]
    assert table["Train", "after_pred"] == ["Everything"]


def test_flags_set_since_are_shown_and_showing_changes_nothing(capsys):
    learn = synth_learner(cbs=[Mine, Everything])
    learn.mine.run_train = False
    learn.mine.order = 200
    before = {n: v for n, v in learn.__dict__.items() if n not in ("_table", "_tables")}
    learn.everything.seen.clear()
    lines = parts(shown(learn, capsys))
    loss = [names for _, name, names in lines if name == "after_loss"]
    assert loss == [["Everything"], ["Everything", "Mine"]]
    assert learn.everything.seen == []
    after = {n: v for n, v in learn.__dict__.items() if n not in ("_table", "_tables")}
    assert after == before
    assert learn.training is False


def test_a_learner_without_callbacks_shows_an_empty_loop(capsys):
    lines = parts(shown(synth_learner(default_cbs=False), capsys))
    assert {tuple(names) for _, _, names in lines if names is not None} == {()}
    assert len(lines) == 39


# Silence.


def test_no_logging_prints_nothing_and_gives_the_logger_back(capsys):
    rows = []
    learn = synth_learner()
    learn.logger = rows.append
    write = learn.logger
    with learn.no_logging() as given:
        assert given is None
        learn.fit(1)
        learn.fit_one_cycle(1)
        learn.validate()
        with learn.no_logging():
            learn.fit(1)
        learn.fit(1)
    assert learn.logger == write
    assert rows == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("event", ["before_fit", "before_batch", "after_epoch", "after_fit"])
def test_an_exception_gives_the_logger_back(event, error, capsys):
    class Fails(Callback):
        order = 99

    def fail(self):
        raise error

    setattr(Fails, event, fail)
    learn = synth_learner()
    with pytest.raises(error), learn.no_logging():
        learn.fit(1, cbs=Fails)
    assert learn.logger is print
    assert capsys.readouterr().out == ""
    with pytest.raises(error):
        learn.fit(1, cbs=Fails)
    assert learn.logger is print
    capsys.readouterr()
    learn.fit(1)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_without_a_progress_callback_rows_go_to_the_learner_s_logger():
    rows = []
    learn = synth_learner()
    learn.logger = rows.append
    with learn.removed_cbs(lehr.ProgressCallback):
        learn.fit(2)
    assert [row[0] for row in rows] == [0, 1]
    assert [len(row) for row in rows] == [4, 4]
    assert all(re.fullmatch(r"\d\d:\d\d", row[-1]) for row in rows)
    assert [row[1:3] for row in rows] == learn.recorder.values


# Callbacks for a while.


class Other(Callback):
    pass


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_added_callbacks_go_however_the_body_ends(error):
    learn = synth_learner()
    before, made = list(learn.cbs), Mine()
    try:
        with learn.added_cbs([made, Other]):
            assert [type(cb) for cb in learn.cbs[3:]] == [Mine, Other]
            assert learn.mine is made
            assert made.learn is learn
            if error:
                raise error
    except (ZeroDivisionError, KeyboardInterrupt):
        assert error is not None
    assert learn.cbs == before
    assert made.learn is None
    assert not hasattr(learn, "mine")
    assert not hasattr(learn, "other")


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("chosen", ["class", "instance", "both", "all", "none"])
def test_removed_callbacks_come_back_in_their_places_however_the_body_ends(chosen, error):
    first, second = Mine(), TrainOnly()
    learn = synth_learner(cbs=[first, Other, second])
    before = list(learn.cbs)
    what = {
        "class": Mine, "instance": first, "both": [first, Other], "all": list(before), "none": [],
    }[chosen]  # fmt: skip
    # A class stands for its subclasses as well.
    left = {"class": 4, "instance": 5, "both": 4, "all": 0, "none": 6}[chosen]
    try:
        with learn.removed_cbs(what):
            assert len(learn.cbs) == left
            with learn.no_logging():
                learn.fit(1)
            if error:
                raise error
    except (ZeroDivisionError, KeyboardInterrupt):
        assert error is not None
    assert learn.cbs == before
    assert all(cb.learn is learn for cb in before)
    assert (learn.mine, learn.train_only) == (first, second)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (3, TypeError, "`cbs` must hold callbacks, got 3"),
        (int, TypeError, "`cbs` must hold callbacks, got <class 'int'>|got 0"),
        (None, TypeError, "`cbs` must hold callbacks, got None"),
        (type("Model", (Callback,), {}), ValueError, "would hide the learner's `model`"),
    ],
)
def test_callbacks_that_are_none_are_refused_and_none_is_left_of_the_others(bad, error, message):
    learn = synth_learner()
    before, good = list(learn.cbs), Mine()
    with pytest.raises(error, match=message), learn.added_cbs([good, bad]):
        pass
    assert learn.cbs == before
    assert good.learn is None
    with pytest.raises(error, match=message):
        learn.fit(1, cbs=[good, bad])
    assert learn.cbs == before
    assert good.learn is None
    assert learn.opt is None


def test_removing_what_is_not_there_changes_nothing():
    learn = synth_learner()
    before = list(learn.cbs)
    learn.remove_cbs([Mine(), Other])
    with learn.removed_cbs(Mine):
        assert learn.cbs == before
    assert learn.cbs == before
