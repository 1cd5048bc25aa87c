"""Callbacks that judge epochs: what they call best, when they stop, save and reduce."""

import math
import operator

import lehr
import numpy as np
import pytest
import torch
from lehr import (
    Callback,
    CheckpointCallback,
    CSVLogger,
    EarlyStoppingCallback,
    LRFinder,
    Metric,
    ParamScheduler,
    Recorder,
    ReduceLROnPlateau,
    SaveModelCallback,
    SchedLin,
    TerminateOnNaNCallback,
    TrackerCallback,
    combined_cos,
)
from lehr.testing import InterruptCallback, synth_learner
from torch import nn

TRACKERS = [TrackerCallback, SaveModelCallback, ReduceLROnPlateau, EarlyStoppingCallback]
NAN = math.nan


class Score(Metric):
    """Gives each epoch the score it is told."""

    name = "score"

    def __init__(self, scores):
        self.scores = scores
        self.now = NAN

    def reset(self):
        pass

    def accumulate(self, learn):
        self.now = self.scores[learn.epoch]

    @property
    def value(self):
        return self.now

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def scored(scores, tmp_path=".", **kwargs):
    return synth_learner(n_trn=3, n_val=1, metrics=Score(scores), path=tmp_path, **kwargs)


def fit(learn, n_epoch, cbs=None, **kwargs):
    with learn.no_logging():
        learn.fit(n_epoch, cbs=cbs, **kwargs)
    return learn


def weights(learn):
    return [p.detach().clone() for p in learn.model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


class Watch(Callback):
    """Notes what a tracker says of each epoch."""

    order = 1000

    def __init__(self, tracker):
        self.tracker = tracker
        self.best, self.new = [], []

    def after_epoch(self):
        self.best.append(self.tracker.best)
        self.new.append(self.tracker.new_best)


def judged(scores, **kwargs):
    """Return what a tracker of the score calls best after each epoch, and which epochs are."""
    tracker = TrackerCallback("score", **kwargs)
    watch = Watch(tracker)
    fit(scored(scores), len(scores), [tracker, watch])
    return watch.best, watch.new


# What is best.


def test_orders_are_the_reference_s():
    assert [one.order for one in TRACKERS] == [60, 61, 62, 63]
    assert TerminateOnNaNCallback.order == -9


def test_a_score_is_better_when_it_is_higher():
    assert judged([1, 3, 2, 3, 4]) == ([1, 3, 3, 3, 4], [True, True, False, False, True])


@pytest.mark.parametrize("comp", [operator.lt, np.less, lambda a, b: a < b])
def test_comp_says_what_is_better(comp):
    assert judged([3, 1, 2], comp=comp) == ([3, 1, 1], [True, True, False])


@pytest.mark.parametrize(("monitor", "best"), [("my_loss", 1.0), ("error_rate", 1.0), ("f1", 3.0)])
def test_lower_is_better_for_losses_and_errors(monitor, best):
    metric = Score([2, 3, 1])
    metric.name = monitor
    tracker = TrackerCallback(monitor)
    fit(synth_learner(metrics=metric), 3, tracker)
    assert tracker.best == best


def test_an_improvement_must_exceed_min_delta():
    assert judged([1.0, 1.5, 1.625, 2.25], min_delta=0.5)[1] == [True, False, True, True]
    assert judged([4.0, 3.5, 3.25], min_delta=0.5, comp=operator.lt)[1] == [True, False, True]


def test_nan_is_never_the_best():
    best, new = judged([NAN, 1, NAN, 2])
    assert best[0] == -math.inf
    assert best[1:] == [1, 1, 2]
    assert new == [False, True, False, True]
    # Even where `comp` calls it better than all else.
    assert judged([NAN, 1, NAN], comp=lambda a, b: not a <= b)[1] == [False, True, False]


@pytest.mark.parametrize(("reset", "best"), [(True, 1.0), (False, 3.0)])
def test_best_starts_anew_with_each_fit_unless_told_otherwise(reset, best):
    tracker = TrackerCallback("score", reset_on_fit=reset)
    learn = scored([3], cbs=tracker)
    fit(learn, 1)
    learn.metrics[0].scores = [1]
    fit(learn, 1)
    assert tracker.best == best
    assert tracker.value == 1.0


@pytest.mark.parametrize("monitor", ["train_loss", "valid_loss", "valid_score", "train_score"])
def test_every_figure_of_the_recorder_can_be_monitored(monitor):
    learn = scored([1, 2])
    learn.remove_cbs(Recorder).add_cbs(Recorder(train_metrics=True))
    tracker = TrackerCallback(monitor)
    fit(learn, 2, tracker)
    column = learn.recorder.metric_names.index(monitor) - 1
    figures = [row[column] for row in learn.recorder.values]
    assert tracker.best == (min if "loss" in monitor else max)(figures)


class CancelIn(Callback):
    """Cancels something in one epoch."""

    def __init__(self, epoch, event, error, order=0):
        self.at, self.event, self.error, self.order = epoch, event, error, order

    def __call__(self, event):
        if event == self.event and self.learn.epoch == self.at:
            raise self.error


@pytest.mark.parametrize(
    ("event", "error", "order"),
    [
        ("before_validate", lehr.CancelValidException, 0),
        ("before_train", lehr.CancelEpochException, 0),
        # Before the recorder has begun a row.
        ("before_epoch", lehr.CancelEpochException, 0),
        ("before_epoch", lehr.CancelEpochException, 55),
    ],
)
@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_without_the_figure_is_not_judged(epoch, event, error, order):
    stop = EarlyStoppingCallback("score", patience=1)
    watch = Watch(stop)
    fit(scored([1, 2, 3, 4]), 4, [CancelIn(epoch, event, error, order), stop, watch])
    assert watch.new == [e != epoch for e in range(4)]
    assert stop.value == 4.0


# What is refused, and when.


@pytest.mark.parametrize("kind", TRACKERS)
def test_an_unknown_figure_is_refused_before_training_with_those_there_are(kind, tmp_path):
    learn = scored([1], tmp_path)
    before = weights(learn)
    with pytest.raises(ValueError) as caught:
        fit(learn, 1, kind("acuracy"))
    assert str(caught.value) == (
        "`monitor` must be among ['train_loss', 'valid_loss', 'score'], got 'acuracy'"
    )
    assert same(before, weights(learn))
    for name in ("epoch", "time"):
        with pytest.raises(ValueError, match=f"got '{name}'"):
            fit(learn, 1, kind(name))


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_learner_without_recorder_is_refused_before_training(kind):
    learn = scored([1])
    learn.remove_cbs(Recorder)
    before = weights(learn)
    message = f"{kind.__name__} needs a Recorder to read `valid_loss` from, the learner has none"
    with pytest.raises(ValueError, match=message):
        fit(learn, 1, kind())
    assert same(before, weights(learn))


def test_a_learner_without_validation_has_no_valid_loss():
    data = lehr.DataLoaders(synth_learner().dls.train, device="cpu")
    learn = synth_learner(data=data)
    with pytest.raises(ValueError, match=r"among \['train_loss'\], got 'valid_loss'"):
        fit(learn, 1, TrackerCallback())
    fit(learn, 2, tracker := TrackerCallback("train_loss"))
    assert tracker.best < math.inf


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrackerCallback(3), TypeError, "`monitor` must be the name of a figure, got 3"),
        (
            lambda: TrackerCallback(comp="less"),
            TypeError,
            "`comp` must be a function of two numbers",
        ),
        (
            lambda: TrackerCallback(comp=operator.eq),
            ValueError,
            "`comp` must prefer one of 0 and 1 to the other",
        ),
        (
            lambda: TrackerCallback(min_delta=-1),
            ValueError,
            "`min_delta` must be finite and at least 0, got -1",
        ),
        (lambda: TrackerCallback(min_delta=NAN), ValueError, "`min_delta` must be finite"),
        (
            lambda: EarlyStoppingCallback(patience=0),
            ValueError,
            "`patience` must be at least 1, got 0",
        ),
        (
            lambda: EarlyStoppingCallback(patience=1.5),
            TypeError,
            "`patience` must be an integer, got 1.5",
        ),
        (
            lambda: ReduceLROnPlateau(factor=1),
            ValueError,
            "`factor` must be a finite number above 1, got 1",
        ),
        (lambda: ReduceLROnPlateau(factor=math.inf), ValueError, "`factor`"),
        (
            lambda: ReduceLROnPlateau(min_lr=-1e-3),
            ValueError,
            "`min_lr` must be finite and at least 0, got -0.001",
        ),
        (
            lambda: SaveModelCallback(every_epoch=-1),
            ValueError,
            "`every_epoch` must be a number of epochs or False, got -1",
        ),
        (lambda: SaveModelCallback(every_epoch=0.5), TypeError, "`every_epoch` must be an integer"),
        (
            lambda: SaveModelCallback(every_epoch=2, at_end=True),
            ValueError,
            "`every_epoch` and `at_end` must not both be given",
        ),
    ],
)
def test_wrong_settings_are_refused_at_once(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


# NaN.


def test_terminate_on_nan_ends_the_fit_before_the_loss_is_recorded():
    learn = fit(synth_learner(lr=1e6), 10, TerminateOnNaNCallback())
    assert 0 < len(learn.recorder.raw_losses) < 100
    assert all(map(math.isfinite, learn.recorder.raw_losses))
    assert learn.recorder.values == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("training", [True, False])
def test_terminate_on_nan_looks_at_training_alone(bad, training):
    class Bad(Callback):
        def after_pred(self):
            if self.training == training and self.epoch == 1:
                self.learn.pred = self.pred * 0 + bad

    learn = fit(synth_learner(n_trn=3), 4, [Bad(), TerminateOnNaNCallback()])
    assert len(learn.recorder.raw_losses) == (3 if training else 12)


def test_terminate_on_nan_leaves_a_sweep_to_its_own_rule():
    class Bad(Callback):
        def after_pred(self):
            if self.train_iter == 3:
                self.learn.pred = self.pred * NAN

    finder = LRFinder(num_it=25, stop_div=False)
    learn = fit(synth_learner(), 3, [Bad(), TerminateOnNaNCallback(), finder])
    # The second loss in a row that is not finite ends it.
    assert len(learn.recorder.lrs) == 5


# Stopping.


def test_early_stopping_ends_the_fit_after_patience(capsys):
    learn = scored([1, 2, 2, 1, 3, 1])
    learn.fit(6, cbs=EarlyStoppingCallback("score", patience=2))
    assert len(learn.recorder.values) == 4
    assert "No improvement since epoch 1: early stopping" in capsys.readouterr().out.splitlines()


def test_early_stopping_counts_nan_as_no_improvement():
    learn = fit(scored([1, NAN, NAN, 2]), 4, EarlyStoppingCallback("score", patience=2))
    assert len(learn.recorder.values) == 3


def test_early_stopping_starts_to_wait_anew_with_each_fit():
    stop = EarlyStoppingCallback("score", patience=2, reset_on_fit=False)
    learn = scored([2, 1], cbs=stop)
    fit(learn, 2)
    assert (stop.wait, stop.best) == (1, 2)
    fit(learn, 2)
    # The best of the first fit is not exceeded, but waiting began anew.
    assert len(learn.recorder.values) == 2


def test_the_reference_s_early_stopping():
    """Notebook 17: patience 2 and an improvement nobody makes leave 3 rows."""
    learn = fit(synth_learner(n_trn=2), 200, EarlyStoppingCallback(min_delta=1e3, patience=2))
    assert len(learn.recorder.values) == 3


@pytest.mark.parametrize("kind", TRACKERS)
def test_nothing_is_printed_under_no_logging(kind, tmp_path, capsys):
    fit(scored([2, 1, 1], tmp_path, lr=1e-2), 3, kind("score"))
    assert capsys.readouterr().out == ""


# Saving.


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "models").glob("*"))


def test_save_model_keeps_the_best_epoch_and_ends_with_it(tmp_path, capsys):
    learn = scored([1, 3, 2, 3], tmp_path, lr=1e-2)
    every = []

    class Weights(Callback):
        def after_epoch(self):
            every.append(weights(self.learn))

    save = SaveModelCallback("score")
    learn.fit(4, cbs=[Weights(), save])
    assert files(tmp_path) == ["model.pth"]
    assert save.last_saved_path == tmp_path / "models" / "model.pth"
    assert same(weights(learn), every[1])
    assert not same(weights(learn), every[3])
    lines = [line for line in capsys.readouterr().out.splitlines() if "Better" in line]
    assert lines == [
        "Better model found at epoch 0 with score value: 1.0.",
        "Better model found at epoch 1 with score value: 3.0.",
    ]


@pytest.mark.parametrize(
    ("every", "epochs"), [(True, [0, 1, 2, 3]), (1, [0, 1, 2, 3]), (3, [0, 3])]
)
def test_save_model_every_epoch_saves_those_and_loads_nothing(every, epochs, tmp_path):
    learn = scored([4, 3, 2, 1], tmp_path, lr=1e-2)
    fit(learn, 4, SaveModelCallback("score", fname="k", every_epoch=every))
    assert files(tmp_path) == [f"k_{epoch}.pth" for epoch in epochs]
    last = weights(learn)
    learn.load("k_0", with_opt=False)
    assert not same(last, weights(learn))
    if epochs[-1] == 3:
        learn.load("k_3", with_opt=False)
        assert same(last, weights(learn))


def test_save_model_at_end_saves_what_the_fit_ends_with(tmp_path):
    learn = scored([2, 1], tmp_path, lr=1e-2)
    fit(learn, 2, SaveModelCallback("score", fname="end", at_end=True))
    last = weights(learn)
    assert files(tmp_path) == ["end.pth"]
    fit(learn, 1)
    learn.load("end", with_opt=False)
    assert same(last, weights(learn))


@pytest.mark.parametrize("with_opt", [False, True])
def test_save_model_takes_the_optimizer_along_if_told(with_opt, tmp_path):
    learn = scored([2, 1], tmp_path, lr=1e-2)
    momenta = []

    class Momenta(Callback):
        def after_epoch(self):
            momenta.append(self.learn.opt.state_dict()["state"][0]["momentum_buffer"])

    fit(learn, 2, [Momenta(), SaveModelCallback("score", with_opt=with_opt)])
    now = learn.opt.state_dict()["state"][0]["momentum_buffer"]
    assert torch.equal(now, momenta[0 if with_opt else 1])


@pytest.mark.parametrize("why", ["cancelled", "nan"])
def test_save_model_warns_when_there_is_nothing_to_load(why, tmp_path):
    """Row R6. A file of an earlier fit is not taken for one of this fit."""
    learn = scored([NAN, NAN], tmp_path, lr=1e-2)
    learn.save("model")
    cbs = [SaveModelCallback("score")] + [InterruptCallback(0)] * (why == "cancelled")
    with pytest.warns(UserWarning, match="no model was saved, as no epoch had a `score`"):
        fit(learn, 2, cbs)
    trained = weights(learn)
    learn.load("model", with_opt=False)
    assert same(trained, weights(learn)) == (why == "cancelled")


def test_save_model_does_not_load_the_model_of_an_earlier_fit(tmp_path):
    learn = scored([1], tmp_path, lr=1e-2, cbs=SaveModelCallback("score"))
    fit(learn, 1)
    learn.metrics[0].scores = [NAN]
    with pytest.warns(UserWarning, match="no model was saved"):
        fit(learn, 1)
    assert learn.save_model.last_saved_path is None


def test_save_model_that_keeps_its_best_loads_it_in_a_fit_without_a_better_one(tmp_path):
    save = SaveModelCallback("score", reset_on_fit=False)
    learn = scored([3, 2], tmp_path, lr=1e-2, cbs=save)
    fit(learn, 2)
    best = weights(learn)
    fit(learn, 2)
    assert same(best, weights(learn))


# Reducing.


def lr_of_epochs(learn):
    return learn.recorder.lrs[::3]


def test_without_a_schedule_the_rate_is_reduced_at_once(capsys):
    learn = scored([1, 1, 1, 1, 1, 1], lr=1e-2)
    learn.fit(6, cbs=ReduceLROnPlateau("score", patience=2))
    assert lr_of_epochs(learn) == pytest.approx([1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4], rel=1e-12)
    said = [line for line in capsys.readouterr().out.splitlines() if "reducing" in line]
    assert said == ["Epoch 2: reducing lr to 0.001", "Epoch 4: reducing lr to 0.0001"]


def test_the_rate_stops_at_min_lr_and_never_rises_to_it(capsys):
    learn = scored([1] * 4, lr=1e-2, splitter=lambda m: [[m.a], [m.b]])
    learn.fit(4, lr=[1e-4, 1e-2], cbs=ReduceLROnPlateau("score", factor=4, min_lr=2e-3))
    every = []
    assert lr_of_epochs(learn) == pytest.approx([1e-2, 1e-2, 2.5e-3, 2e-3], rel=1e-12)
    every = learn.opt.get_hyper("lr")
    assert every == pytest.approx([1e-4, 2e-3], rel=1e-12)
    # Where nothing is reduced, nothing is said.
    assert capsys.readouterr().out.count("reducing") == 2


def test_the_reduction_is_a_factor_over_the_schedule(capsys):
    """Row F19: the recorded rates are schedule times factor."""
    learn = scored([2, 1, 1, 3, 1])
    learn.fit_one_cycle(5, 1e-2, cbs=ReduceLROnPlateau("score", patience=2, factor=4))
    plain = combined_cos(0.25, 1e-2 / 25, 1e-2, 1e-7).values(15)
    factor = np.repeat([1, 1, 1, 0.25, 0.25], 3)
    assert learn.recorder.lrs == (plain * factor).tolist()
    assert learn.recorder.hps["lr"] == learn.recorder.lrs
    # Validation reduces nothing.
    assert learn.opt.get_hyper("lr") == learn.recorder.lrs[-1:]
    said = [line for line in capsys.readouterr().out.splitlines() if "reducing" in line]
    assert said == ["Epoch 2: reducing lr to 0.25 of its schedule"]


def test_the_reduction_of_a_schedule_stops_at_min_lr_in_every_group():
    learn = scored([1] * 3, splitter=lambda m: [[m.a], [m.b]])
    cbs = [
        # Whatever the order in which they were added.
        ReduceLROnPlateau("score", factor=100, min_lr=5e-3),
        ParamScheduler({"lr": SchedLin([1e-2, 1e-3], [1e-1, 1e-3])}),
    ]
    fit(learn, 3, cbs)
    first, second = zip(*learn.recorder.hps_all["lr"], strict=True)
    plain = SchedLin(1e-2, 1e-1).values(9)
    assert first == pytest.approx([*plain[:6], *[5e-3] * 3], rel=1e-12)
    assert second == (1e-3,) * 9


def test_a_schedule_of_something_else_leaves_the_rate_to_the_plateau():
    learn = scored([1] * 4, lr=1e-2)
    cbs = [ParamScheduler({"mom": SchedLin(0.9, 0.8)}), ReduceLROnPlateau("score")]
    fit(learn, 4, cbs)
    expected = np.repeat([1e-2, 1e-2, 1e-3, 1e-4], 3)
    assert learn.recorder.lrs == pytest.approx(expected, rel=1e-12)


def test_a_fit_starts_unreduced():
    learn = scored([1] * 2, cbs=ReduceLROnPlateau("score"))
    for _ in range(2):
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
        assert learn.reduce_lr_on_plateau.reduction == 0.1
        assert learn.recorder.lrs == combined_cos(0.25, 4e-4, 1e-2, 1e-7).values(6).tolist()


def test_a_reduction_may_underflow():
    learn = synth_learner(n_trn=1, n_val=1, metrics=Score([1] * 4), lr=1e-2)
    fit(learn, 4, ReduceLROnPlateau("score", factor=1e200))
    assert learn.recorder.lrs == pytest.approx([1e-2, 1e-2, 1e-202, 0.0], rel=1e-12)
    with learn.no_logging():
        learn.fit_one_cycle(4, 1e-2, cbs=ReduceLROnPlateau("score", factor=1e200))
    assert learn.recorder.lrs[-1] == 0.0


# Sweeps.


@pytest.mark.parametrize("kind", [*TRACKERS, TerminateOnNaNCallback])
def test_a_sweep_does_not_concern_trackers(kind, tmp_path):
    """As in notebook 17; a direct fit of a finder is a sweep as well."""
    monitor = {} if kind is TerminateOnNaNCallback else {"monitor": "train_loss"}
    tracker = kind(**monitor)
    learn = synth_learner(path=tmp_path, cbs=tracker)
    learn.lr_find(num_it=15, show_plot=False)
    before = weights(learn)
    fit(learn, 3, LRFinder(num_it=25, stop_div=False))
    assert len(learn.recorder.lrs) == 25
    assert same(before, weights(learn))
    if monitor:
        assert tracker.best == math.inf
    assert files(tmp_path) == []


@pytest.mark.parametrize("settings", [{"every_epoch": True}, {"at_end": True}])
def test_a_sweep_saves_no_model(settings, tmp_path):
    learn = synth_learner(path=tmp_path)
    fit(learn, 3, [LRFinder(num_it=25, stop_div=False), SaveModelCallback(**settings)])
    assert files(tmp_path) == []


def test_trackers_work_in_the_fit_after_an_interrupted_sweep(tmp_path):
    """Row L2."""

    class Interrupts(Callback):
        on = True

        def after_batch(self):
            if self.on and self.train_iter == 7:
                raise KeyboardInterrupt

    interrupts = Interrupts()
    stop = EarlyStoppingCallback("score")
    learn = scored([1] * 100, tmp_path, cbs=[interrupts, stop])
    with pytest.raises(KeyboardInterrupt):
        learn.lr_find(show_plot=False)
    with pytest.raises(KeyboardInterrupt):
        fit(learn, 10, LRFinder())
    interrupts.on = False
    assert len(fit(learn, 5).recorder.values) == 2


# Beginning in the middle, and resuming.


@pytest.mark.parametrize("kind", TRACKERS)
def test_trackers_work_in_a_fit_that_begins_at_an_epoch(kind, tmp_path):
    """Row R1."""
    tracker = kind("score")
    watch = Watch(tracker)
    fit(scored([NAN, NAN, 1, 2, 3], tmp_path), 5, [tracker, watch], start_epoch=2)
    assert watch.best == [1, 2, 3]


class CrashError(Exception):
    pass


class CrashIn(Callback):
    """Fails before a batch of an epoch."""

    def __init__(self, epoch, batch):
        self.at = (epoch, batch)

    def before_batch(self):
        if self.training and (self.epoch, self.iter) == self.at:
            raise CrashError


RESUMED = {
    "tracker": lambda: TrackerCallback("score"),
    "stop": lambda: EarlyStoppingCallback("score", patience=3),
    "save": lambda: SaveModelCallback("score", with_opt=True),
    "reduce": lambda: ReduceLROnPlateau("score", patience=2, factor=3),
}


@pytest.mark.parametrize("at", [(2, 0), (3, 1), (4, 2)])
@pytest.mark.parametrize("method", ["fit", "fit_one_cycle"])
@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_decides_as_the_uninterrupted_one(name, method, at, tmp_path):
    scores = [1, 3, 2, 2, 2, 2, 2]

    def train(folder, crash=None):
        torch.manual_seed(3)
        learn = scored(scores, folder, lr=1e-2)
        cbs = [RESUMED[name](), CheckpointCallback(every_steps=1, every_epochs=1)]
        with learn.no_logging():
            if crash is None:
                getattr(learn, method)(7, cbs=cbs)
                return learn, cbs[0]
            with pytest.raises(CrashError):
                getattr(learn, method)(7, cbs=[*cbs, CrashIn(*crash)])
            torch.manual_seed(3)
            learn = scored(scores, folder, lr=1e-2)
            cbs = [RESUMED[name](), CheckpointCallback(every_steps=1, every_epochs=1)]
            learn.resume(learn.path / "models" / "checkpoints", cbs=cbs)
        return learn, cbs[0]

    whole, cut = train(tmp_path / "whole"), train(tmp_path / "cut", at)
    assert cut[0].recorder.lrs == whole[0].recorder.lrs
    assert cut[0].recorder.values == whole[0].recorder.values
    assert same(weights(cut[0]), weights(whole[0]))
    assert cut[1].state_dict() == whole[1].state_dict()


def test_a_resumed_run_does_not_judge_an_epoch_again(tmp_path):
    def make():
        learn = scored([2, 1, 1, 1], tmp_path)
        cbs = [EarlyStoppingCallback("score", patience=3), CSVLogger()]
        cancel = CancelIn(2, "before_epoch", lehr.CancelEpochException)
        return learn, [*cbs, cancel, CheckpointCallback(every_epochs=2)]

    learn, cbs = make()
    with pytest.raises(CrashError):
        fit(learn, 4, [*cbs, CrashIn(3, 0)])
    learn, cbs = make()
    with learn.no_logging():
        learn.resume(tmp_path / "models" / "checkpoints", cbs=cbs)
    # Epoch 2 has no row: what the checkpoint has seen last is the row of epoch 1.
    assert cbs[0].wait == 2
    assert [row["epoch"] for row in cbs[1].read_log()] == [0, 1, 3]


@pytest.mark.parametrize(
    ("saved", "other", "message"),
    [
        (
            TrackerCallback("valid_loss"),
            TrackerCallback("train_loss", min_delta=0.5),
            "`tracker` was saved with monitor='valid_loss', not 'train_loss', min_delta=0.0, not",
        ),
        (TrackerCallback(), TrackerCallback(comp=np.greater), "direction='lower', not 'higher'"),
        (
            EarlyStoppingCallback(patience=3),
            EarlyStoppingCallback(patience=5),
            "`early_stopping` was saved with patience=3, not 5",
        ),
        (
            ReduceLROnPlateau(factor=2),
            ReduceLROnPlateau(min_lr=1e-5),
            "factor=2.0, not 10.0, min_lr=0.0, not 1e-05",
        ),
        (
            SaveModelCallback(with_opt=True),
            SaveModelCallback(fname="other"),
            "fname='model', not 'other', with_opt=True, not False",
        ),
    ],
)
def test_a_state_of_other_settings_is_refused(saved, other, message):
    before = other.state_dict()
    with pytest.raises(ValueError) as caught:
        other.load_state_dict(saved.state_dict())
    assert message in str(caught.value)
    assert other.state_dict() == before


def test_a_state_is_plain_and_comes_back(tmp_path):
    reduce = ReduceLROnPlateau("score", factor=2)
    fit(scored([3, 1, 2]), 3, reduce)
    torch.save(reduce.state_dict(), tmp_path / "state.pt")
    other = ReduceLROnPlateau("score", factor=2)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.state_dict() == reduce.state_dict()
    assert (other.best, other.wait, other.reduction) == (3.0, 0, 0.25)


def test_metrics_may_be_tensors_or_numpy_numbers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.w

    learn = synth_learner(model=Net(), metrics=Score([torch.tensor(2.0), np.float32(3)]))
    tracker = TrackerCallback("score")
    fit(learn, 2, tracker)
    assert tracker.best == 3.0
    assert type(tracker.best) is float


def test_a_loss_that_is_not_finite_is_told_before_training_ends(capsys):
    synth_learner(lr=1e9, cbs=TerminateOnNaNCallback).fit(20)
    assert "The training loss is inf in epoch" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path):
    (tmp_path / "models").write_text("a file is in the way")
    learn = synth_learner(path=tmp_path)
    before = [param.item() for param in learn.model.parameters()]
    for callback in (SaveModelCallback(), lehr.CheckpointCallback()):
        with learn.no_logging(), pytest.raises(OSError, match="models"):
            learn.fit(1, cbs=callback)
    assert [param.item() for param in learn.model.parameters()] == before


def test_a_setting_that_is_no_number_is_named():
    with pytest.raises(TypeError, match="`min_delta` must be a number, got 'a'"):
        EarlyStoppingCallback(min_delta="a")
