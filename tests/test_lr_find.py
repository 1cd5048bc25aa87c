"""Learner.lr_find and LRFinder: what they return, and that they leave no trace."""

import math
import random
from functools import partial

import numpy as np
import pytest
import torch
from lehr import (
    Callback,
    CancelFitException,
    DataLoaders,
    Learner,
    LRFinder,
    Recorder,
    SchedExp,
    valley,
)
from lehr.testing import RegModel, synth_dbunch, synth_learner
from state import Placed, capture, plain
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def image_learner(cbs=None, **kwargs):
    """A small convolutional net with dropout and batch norm on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.images[:256], dtype=torch.float32)[:, None] / 16
    y = torch.tensor(digits.target[:256])
    loader = DataLoader(
        TensorDataset(x, y), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(3)
    )
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    splitter = lambda m: [list(m[:2].parameters()), list(m[2:].parameters())]
    return Learner(
        DataLoaders(loader, loader, device="cpu"),
        model,
        nn.functional.cross_entropy,
        splitter=splitter,
        cbs=cbs,
        **kwargs,
    )


def everything(learn):
    """All that a sweep must leave alone."""
    recorder = learn.recorder
    return capture(learn.model, learn.opt.torch, [learn.dls.train.generator]) | {
        "recorder": plain(
            [
                recorder.lrs,
                recorder.losses,
                recorder.values,
                recorder.iters,
                recorder.hps,
                recorder.log,
            ]
        ),
        "cbs": list(map(id, learn.cbs)),
        "learner": {
            k: plain(v)
            for k, v in vars(learn).items()
            if k not in ("_table", "_tables", "_handlers", "cbs")
        },
        "learns": [cb.learn is learn for cb in learn.cbs],
        "requires_grad": [p.requires_grad for p in learn.model.parameters()],
    }


def trained(cbs=None):
    learn = image_learner(cbs)
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    learn.model[1].eval()
    return learn


def test_everything_is_as_before_after_a_sweep():
    learn = trained()
    before = everything(learn)
    found = learn.lr_find(show_plot=False)
    assert everything(learn) == before
    assert isinstance(found.valley, float)
    assert 1e-7 < found.valley < 10


def test_training_goes_on_after_a_sweep_as_if_there_had_been_none():
    finals = []
    for sweeps in (True, False):
        learn = image_learner()
        learn.create_opt()
        if sweeps:
            learn.lr_find(show_plot=False)
        with learn.no_logging():
            learn.fit_one_cycle(2, 1e-2)
        finals.append([plain(p) for p in learn.model.parameters()] + learn.recorder.losses)
    assert finals[0] == finals[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, CancelFitException])
@pytest.mark.parametrize(
    "event",
    [
        "before_fit",
        "before_epoch",
        "before_train",
        "before_batch",
        "after_pred",
        "after_loss",
        "before_backward",
        "after_backward",
        "before_step",
        "after_step",
        "after_batch",
        "after_train",
        "before_validate",
        "after_validate",
        "after_epoch",
        "after_fit",
        "cleanup_fit",
    ],
)
def test_everything_is_as_before_when_a_callback_ends_the_sweep_in_any_event(event, error):
    class Fails(Callback):
        armed = False

    def fail(self):
        if Fails.armed:
            Fails.armed = False
            raise error

    setattr(Fails, event, fail)
    learn = trained(Fails)
    before = everything(learn)
    Fails.armed = True
    if error is not CancelFitException or event in ("after_fit", "cleanup_fit"):
        with pytest.raises(error):
            learn.lr_find(show_plot=False)
    else:
        if event in ("after_train", "before_validate", "after_validate", "after_epoch"):
            assert math.isfinite(learn.lr_find(show_plot=False).valley)
        else:
            # Ended before the finder saw a loss.
            with pytest.warns(UserWarning, match="the sweep has no finite loss"):
                assert math.isnan(learn.lr_find(show_plot=False).valley)
        assert learn.recorder.sweep.stop == "interrupted"
    assert everything(learn) == before


@pytest.mark.parametrize("at", range(30))
def test_everything_is_as_before_when_a_sweep_is_interrupted_at_any_iteration(at):
    class Fails(Callback):
        armed = False

        def after_step(self):
            if Fails.armed and self.train_iter == at:
                raise KeyboardInterrupt

    learn = trained(Fails)
    before = everything(learn)
    Fails.armed = True
    with pytest.raises(KeyboardInterrupt):
        learn.lr_find(show_plot=False, num_it=30, stop_div=False)
    assert everything(learn) == before


def test_a_direct_fit_leaves_the_sweep_in_the_recorder():
    """The page's example."""
    learn = synth_learner()
    a, b = learn.model.a.item(), learn.model.b.item()
    with learn.no_logging():
        learn.fit(20, cbs=LRFinder(num_it=100))
    recorder = learn.recorder
    assert len(recorder.lrs) <= 100
    assert len(recorder.lrs) == len(recorder.losses)
    if len(recorder.lrs) < 100:
        assert recorder.losses[-1] > 4 * min(recorder.losses)
    assert recorder.lrs == [SchedExp(1e-7, 10)(i / 100) for i in range(len(recorder.lrs))]
    assert recorder.hps["lr"] == recorder.lrs
    assert {len(row) for row in recorder.values} <= {1}
    assert (learn.model.a.item(), learn.model.b.item()) == (a, b)
    assert learn.opt.state_dict()["state"] == [{}, {}]
    assert recorder.sweep.lrs.tolist() == recorder.lrs
    assert recorder.sweep.losses.tolist() == recorder.raw_losses
    assert recorder.sweep.smoothed.tolist() == recorder.losses
    recorder.plot_lr_find()


def test_a_fit_after_a_direct_sweep_draws_the_sweep_still():
    learn = synth_learner()
    with learn.no_logging():
        learn.fit(20, cbs=LRFinder())
        sweep = learn.recorder.sweep
        learn.fit(1)
    assert learn.recorder.sweep is sweep


def test_a_sweep_may_have_one_rate_per_group():
    learn = image_learner()
    learn.lr_find([1e-8, 1e-7], (1, 10), num_it=20, stop_div=False, show_plot=False)
    assert learn.recorder.sweep.lrs.tolist() == SchedExp(1e-7, 10).values(20).tolist()


def test_num_it_below_six_becomes_six_and_short_sweeps_still_suggest():
    for num_it in (0, 1, 5, 6, 7, 10, 22):
        learn = synth_learner()
        found = learn.lr_find(show_plot=False, num_it=num_it)
        assert len(learn.recorder.sweep) == max(num_it, 6)
        assert 1e-7 <= found.valley <= 10


def test_a_sweep_runs_its_iterations_whatever_cuts_the_epochs_short():
    """Row L17."""

    class Short(Callback):
        def after_batch(self):
            if self.training and self.iter >= 2:
                from lehr import CancelTrainException

                raise CancelTrainException

    learn = synth_learner(cbs=Short)
    learn.lr_find(show_plot=False, stop_div=False)
    assert len(learn.recorder.sweep) == 100


class Explodes(nn.Module):
    """A loss that is NaN from the given call on."""

    def __init__(self, calls):
        super().__init__()
        self.a = nn.Parameter(torch.ones(1))
        self.left = calls

    def forward(self, x):
        self.left -= 1
        return x * self.a * (math.nan if self.left < 0 else 1.0)


@pytest.mark.parametrize("calls", [0, 1, 2, 12, 40])
def test_a_loss_that_becomes_nan_stops_the_sweep_and_never_raises(calls):
    learn = synth_learner(model=Explodes(calls))
    if calls == 0:
        with pytest.warns(
            UserWarning, match="`valley` has no suggestion: the sweep has no finite loss"
        ):
            found = learn.lr_find(show_plot=False)
        assert math.isnan(found.valley)
        assert learn.recorder.sweep.suggestions["valley"].reason == "the sweep has no finite loss"
    else:
        assert math.isfinite(learn.lr_find(show_plot=False).valley)
    assert learn.recorder.sweep.stop == "non-finite"
    assert len(learn.recorder.sweep) == calls + 2


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * 0 + self.a * 0


def test_a_flat_curve_suggests_its_first_point_and_never_raises():
    learn = synth_learner(model=Constant())
    learn.loss_func = lambda pred, target: pred.sum() + 1.0
    assert learn.lr_find(show_plot=False).valley == pytest.approx(SchedExp(1e-7, 10)(0.1))


def test_negative_losses_do_not_end_the_sweep():
    learn = synth_learner(lr=1e-3)
    learn.loss_func = lambda pred, target: (pred - target).square().mean().clamp(max=50) - 100
    learn.lr_find(show_plot=False)
    assert len(learn.recorder.sweep) == 100


# Suggestion functions (rule 19).


def first(lrs, losses, num_it):
    assert isinstance(lrs, torch.Tensor)
    assert (lrs.dtype, losses.dtype, lrs.device.type, lrs.ndim) == (
        torch.float64,
        torch.float64,
        "cpu",
        1,
    )
    assert num_it == 100
    return lrs[0], (lrs[0], losses[0])


class Rule:
    def __call__(self, lrs, losses, num_it, offset=0):
        return lrs[1 + offset], (lrs[1 + offset], losses[1 + offset])


def nothing(lrs, losses, num_it):
    raise ValueError("not today")


def test_rules_may_be_functions_partials_lambdas_objects_and_several_of_one_name():
    learn = synth_learner()
    rules = (
        valley,
        first,
        partial(Rule(), offset=1),
        lambda lrs, losses, n: first(lrs, losses, n),
        first,
    )
    found = learn.lr_find(show_plot=False, suggest_funcs=rules)
    assert found._fields == ("valley", "first", "Rule", "suggestion", "first_2")
    lrs = SchedExp(1e-7, 10).values(100)
    assert found[1:] == (lrs[10], lrs[12], lrs[10], lrs[10])
    assert all(type(lr) is float for lr in found)
    assert learn.recorder.sweep.suggestions["Rule"].lr == lrs[12]
    assert learn.lr_find(show_plot=False, suggest_funcs=None) is None
    assert learn.lr_find(show_plot=False, suggest_funcs=[first])._fields == ("first",)


def test_a_rule_with_nothing_to_say_gives_nan_with_a_warning_and_a_reason():
    learn = synth_learner()
    with pytest.warns(UserWarning, match="`nothing` has no suggestion: not today"):
        found = learn.lr_find(show_plot=False, suggest_funcs=(nothing, valley))
    assert math.isnan(found.nothing)
    assert math.isfinite(found.valley)
    assert learn.recorder.sweep.suggestions["nothing"][:3] == (
        pytest.approx(math.nan, nan_ok=True),
        None,
        "not today",
    )


def test_wrong_arguments_raise_before_anything_happens():
    learn = trained()
    before = everything(learn)
    calls = []
    learn.model.register_forward_pre_hook(lambda *args: calls.append(1))
    for kwargs, error in (
        ({"start_lr": 0}, ValueError),
        ({"end_lr": math.nan}, ValueError),
        ({"start_lr": [1e-3] * 3}, ValueError),
        ({"num_it": "3"}, TypeError),
        ({"num_it": 2.5}, TypeError),
        ({"suggest_funcs": "vally"}, ValueError),
        ({"suggest_funcs": 3}, TypeError),
    ):
        with pytest.raises(error):
            learn.lr_find(show_plot=False, **kwargs)
        assert everything(learn) == before, kwargs
    assert calls == []


def test_callbacks_that_record_take_no_part_in_a_sweep_and_others_do():
    class Writes(Callback):
        in_sweep = False
        seen = 0

        def after_batch(self):
            self.seen += 1

    class Watches(Writes):
        in_sweep = True

        def after_batch(self):
            self.seen += 1
            assert len(self.recorder.lrs) <= 100

    writes, watches = Writes(), Watches()
    learn = synth_learner(cbs=[writes, watches])
    own = learn.recorder
    learn.lr_find(show_plot=False, stop_div=False)
    assert (writes.seen, watches.seen) == (0, 100)
    assert learn.recorder is own


def test_a_learner_without_recorder_can_be_swept():
    learn = synth_learner()
    learn.remove_cbs(Recorder)
    assert math.isfinite(learn.lr_find(show_plot=False).valley)


def valley_smooth(lrs, losses, num_it):
    return first(lrs, losses, num_it)


def first_2(lrs, losses, num_it):
    return first(lrs, losses, num_it)


def test_names_of_rules_are_unique_and_their_own_where_they_can_be():
    learn = synth_learner()
    rules = (valley_smooth, valley, first_2, first, first)
    found = learn.lr_find(show_plot=False, suggest_funcs=rules)
    assert found._fields == ("valley_smooth", "valley", "first_2", "first", "first_3")


def broken(lrs, losses, num_it):
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("rule", "error"), [(broken, RuntimeError), (lambda lrs, losses, n: (1, 2, 3), TypeError)]
)
def test_a_rule_s_bug_is_raised_and_the_sweep_kept(rule, error):
    learn = synth_learner()
    with pytest.raises(error):
        learn.lr_find(show_plot=False, suggest_funcs=rule)
    assert len(learn.recorder.sweep) > 10
    learn.recorder.plot_lr_find()


def test_an_interrupted_sweep_keeps_its_points():
    class Stop(Callback):
        def after_step(self):
            if self.train_iter == 7:
                raise KeyboardInterrupt

    learn = synth_learner(cbs=Stop)
    with pytest.raises(KeyboardInterrupt):
        learn.lr_find(show_plot=False)
    assert len(learn.recorder.sweep) == 7
    assert learn.recorder.sweep.stop == "interrupted"


@pytest.mark.parametrize("order", [0, 100])
def test_a_direct_sweep_is_restored_whatever_another_cleanup_raises(order):
    class Bad(Callback):
        armed = True

        def cleanup_fit(self):
            if self.armed:
                raise KeyboardInterrupt

    bad = Bad()
    bad.order = order
    learn = synth_learner()
    learn.create_opt()
    before = capture(learn.model, learn.opt.torch)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(20, cbs=[LRFinder(), bad])
    after = capture(learn.model, learn.opt.torch)
    assert after == before
    assert learn.logger is print


def test_a_restore_that_is_interrupted_is_completed(monkeypatch):
    """Ctrl-C while the state is put back: the first time in the fit's clean-up, then no more."""
    learn = trained()
    before = everything(learn)
    seed, calls = torch.set_rng_state, []

    def interrupted(state):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        seed(state)

    monkeypatch.setattr(torch, "set_rng_state", interrupted)
    with pytest.raises(KeyboardInterrupt):
        learn.lr_find(show_plot=False)
    assert len(calls) >= 2
    assert everything(learn) == before


def test_generators_of_nested_samplers_are_restored():
    from torch.utils.data import BatchSampler, RandomSampler

    data = TensorDataset(torch.randn(64, 1), torch.randn(64, 1))
    generator = torch.Generator().manual_seed(5)
    sampler = BatchSampler(RandomSampler(data, generator=generator), 16, drop_last=False)
    learn = synth_learner(data=DataLoaders(DataLoader(data, batch_sampler=sampler), device="cpu"))
    state = generator.get_state()
    learn.lr_find(show_plot=False)
    assert torch.equal(generator.get_state(), state)


def test_silenced_callbacks_and_metrics_are_as_before():
    from lehr import accuracy

    class Quiet(Callback):
        seen = 0

        def after_batch(self):
            self.seen += 1

    learn = image_learner(Quiet, metrics=accuracy)
    with learn.no_logging():
        learn.fit(1)
    value, seen = learn.metrics[0].value, learn.quiet.seen
    learn.quiet.run = False
    learn.lr_find(show_plot=False)
    assert learn.metrics[0].value == value
    assert (learn.quiet.run, learn.quiet.seen) == (False, seen)


def test_a_slice_spreads_the_rates_of_a_sweep_over_the_groups():
    learn = image_learner()
    learn.lr_find(slice(1e-8, 1e-6), slice(10.0), num_it=20, stop_div=False, show_plot=False)
    assert learn.recorder.sweep.lrs.tolist() == SchedExp(1e-6, 10).values(20).tolist()
    with pytest.raises(ValueError, match="`start_lr` = slice"):
        learn.lr_find(slice(0, 1), show_plot=False)


def test_a_model_is_moved_before_its_state_is_remembered():
    """Moving replaces buffers: remembered before, they would come back on the old device."""

    learn = synth_learner(model=nn.BatchNorm1d(1))
    learn.model.to = lambda *args: learn.model.double()
    learn.dls = DataLoaders(
        [(torch.randn(8, 1).double(), torch.randn(8, 1).double())] * 5, device="cpu"
    )
    learn.lr_find(show_plot=False)
    kinds = {
        t.dtype
        for t in (*learn.model.parameters(), *learn.model.buffers())
        if t.is_floating_point()
    }
    assert kinds == {torch.float64}


class NoisyLoss(nn.Module):
    """A loss with a buffer and an extra state, both moved by every call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.calls = 0

    def forward(self, pred, target):
        self.seen += 1
        self.calls += 1
        return (pred - target).square().mean()

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


def test_a_loss_with_a_state_and_the_count_of_steps_are_as_before():
    data, loss = synth_dbunch(), NoisyLoss()
    learn = Learner(data, RegModel(), loss, partial(torch.optim.SGD, lr=1e-3))
    with learn.no_logging():
        learn.fit(1)
    before = loss.seen.item(), loss.calls, learn.opt.steps
    assert before == (12, 12, 10)
    learn.lr_find(num_it=20, show_plot=False)
    assert (loss.seen.item(), loss.calls, learn.opt.steps) == before


def test_a_loader_that_keeps_its_place_is_where_it_was():
    loader = Placed(list(synth_dbunch().train))
    loader.place = 3
    learn = synth_learner(data=DataLoaders(loader, device="cpu"))
    learn.lr_find(num_it=15, show_plot=False)
    assert loader.place == 3


def test_workers_that_live_on_begin_after_a_sweep_as_without_one():
    finals = []
    for sweep in (False, True):
        torch.manual_seed(5)
        data = synth_dbunch()
        loader = torch.utils.data.DataLoader(
            data.train.dataset, 16, shuffle=True, num_workers=1, persistent_workers=True
        )
        learn = synth_learner(data=DataLoaders(loader, device="cpu"))
        if sweep:
            learn.lr_find(num_it=10, show_plot=False)
        with learn.no_logging():
            learn.fit(2)
        finals.append([param.item() for param in learn.model.parameters()])
    assert finals[0] == finals[1]


def test_a_callback_s_own_tensors_are_put_back():
    class Average(Callback):
        def after_create(self):
            self.mean = torch.zeros(1)

        def after_step(self):
            self.mean += 1

        def state_dict(self):
            return {"mean": self.mean}

        def load_state_dict(self, state):
            self.mean = state["mean"]

    learn = synth_learner(cbs=Average)
    learn.lr_find(num_it=10, show_plot=False)
    assert learn.average.mean.item() == 0
