"""Fits on a real model: schedules in force, records, batches of every kind."""

import contextlib
import copy
import math
import os
import pty
import re
import subprocess
import sys
from collections import UserDict
from functools import partial
from typing import NamedTuple

import lehr
import numpy as np
import pytest
import torch
from lehr import (
    Callback,
    DataLoaders,
    Learner,
    LRFinder,
    ParamScheduler,
    SchedCos,
    SchedLin,
    accuracy,
    combined_cos,
)
from lehr.testing import InterruptCallback, RegModel, synth_dbunch, synth_learner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def quiet(learn, method="fit", *args, **kwargs):
    with learn.no_logging():
        getattr(learn, method)(*args, **kwargs)
    return learn


def test_fit_one_cycle_lowers_the_loss_and_follows_the_schedule(reference):
    learn = synth_learner(lr=1e-2)
    xb, yb = learn.dls.one_batch()
    first = learn.loss_func(learn.model(xb), yb)
    quiet(learn, "fit_one_cycle", 2)
    assert learn.loss_func(learn.model(xb), yb) < first
    hps = learn.recorder.hps
    assert hps["lr"] == combined_cos(0.25, 1e-2 / 25, 1e-2, 1e-2 / 1e5).values(20).tolist()
    assert hps["mom"] == combined_cos(0.25, 0.95, 0.85, 0.95).values(20).tolist()
    assert learn.recorder.lrs == hps["lr"]
    recorded = reference["fits"]["one_cycle"]
    for name in ("lr", "mom"):
        assert hps[name] == pytest.approx(recorded[name], rel=2e-6, abs=1e-12)


def test_one_cycle_with_all_arguments_is_the_reference_s(reference):
    learn = synth_learner(lr=1e-2)
    quiet(
        learn,
        "fit_one_cycle",
        3,
        slice(1e-3, 1e-1),
        div=10,
        div_final=1e3,
        pct_start=0.4,
        moms=(0.9, 0.8, 0.7),
    )
    for name, recorded in reference["fits"]["one_cycle_slice"].items():
        # The reference carries float32 noise of its peak.
        noise = 1e-7 * max(recorded)
        assert learn.recorder.hps[name] == pytest.approx(recorded, rel=2e-6, abs=noise), name


def test_param_scheduler_and_finder_set_what_the_reference_sets(reference):
    learn = synth_learner()
    quiet(learn, "fit", 1, cbs=ParamScheduler({"lr": SchedLin(1e-3, 1e-2)}))
    recorded = reference["fits"]["param_scheduler"]["lr"]
    assert learn.recorder.hps["lr"] == pytest.approx(recorded, rel=1e-12)
    quiet(learn, "fit", 20, cbs=LRFinder(num_it=100, stop_div=False))
    assert learn.recorder.lrs == pytest.approx(reference["fits"]["finder"], rel=1e-12)


def test_training_is_the_reference_s_on_the_same_data_and_initial_model(reference):
    recorded = reference["training"]
    torch.manual_seed(42)
    data, model = synth_dbunch(), RegModel()
    assert [float(data.train.dataset[0][i]) for i in (0, 1)] == recorded["first"]
    assert [float(data.valid.dataset[3][i]) for i in (0, 1)] == recorded["valid"]
    assert [model.a.item(), model.b.item()] == [recorded["a"], recorded["b"]]
    data = DataLoaders(DataLoader(data.train.dataset, batch_size=16), data.valid, device="cpu")
    learn = quiet(synth_learner(data=data, model=model, lr=1e-2), "fit_one_cycle", 2)
    assert learn.recorder.losses == pytest.approx(recorded["losses"], rel=1e-5)
    assert np.ravel(learn.recorder.values) == pytest.approx(np.ravel(recorded["values"]), rel=1e-5)
    assert [model.a.item(), model.b.item()] == pytest.approx(recorded["final"], rel=1e-5)


def test_position_is_exactly_k_over_n():
    class Positions(Callback):
        def __init__(self):
            self.seen = []

        def before_batch(self):
            if self.training:
                self.seen.append((self.pct_train, self.train_iter))

    positions = Positions()
    learn = quiet(synth_learner(n_trn=7, cbs=positions), "fit", 7)
    assert positions.seen == [(k / 49, k) for k in range(49)]
    assert learn.pct_train == 1.0


def test_start_epoch_begins_in_the_middle_of_the_schedule_and_fires_nothing_before():
    whole = quiet(synth_learner(), "fit_one_cycle", 5)
    learn = synth_learner()
    seen = []

    class Epochs(Callback):
        def before_epoch(self):
            seen.append(self.epoch)

    quiet(learn, "fit_one_cycle", 5, start_epoch=2, cbs=Epochs)
    assert seen == [2, 3, 4]
    assert learn.recorder.lrs == whole.recorder.lrs[20:]
    assert len(learn.recorder.values) == 3


@pytest.mark.parametrize("kind", ["schedule", "function", "list"])
def test_param_scheduler_takes_a_schedule_a_function_or_one_per_group(kind):
    """Row F1 for the list."""
    f, g = SchedCos(1e-2, 1e-4), SchedLin(1e-3, 1e-1)
    sched = {
        "schedule": SchedCos([1e-2, 1e-3], 1e-4),
        "function": lambda pos: [pos + 1, 2],
        "list": [f, g],
    }[kind]
    learn = synth_learner(splitter=lambda m: [[m.a], [m.b]])
    quiet(learn, "fit", 2, cbs=ParamScheduler({"lr": sched}))
    every = learn.recorder.hps_all["lr"]
    assert len(every) == 20
    for k, (low, high) in enumerate(every):
        pos = k / 20
        expected = {
            "schedule": lambda: [SchedCos(1e-2, 1e-4)(pos), SchedCos(1e-3, 1e-4)(pos)],
            "function": lambda: [pos + 1, 2.0],
            "list": lambda: [f(pos), g(pos)],
        }[kind]()
        assert [low, high] == expected
    assert learn.recorder.hps["lr"] == [row[-1] for row in every]


@pytest.mark.parametrize(
    ("sched", "error", "message"),
    [
        (
            {"lr": SchedLin([1, 2, 3], 0)},
            ValueError,
            r"scheds\['lr'\].* 1 parameter groups .* got 3",
        ),
        ({"lr": [SchedLin(1, 2)] * 2}, ValueError, r"scheds\['lr'\].* got 2"),
        ({"nothing": SchedLin(1, 2)}, KeyError, "`nothing` is not a hyper-parameter"),
    ],
)
def test_a_schedule_that_does_not_fit_the_optimizer_raises_before_training(sched, error, message):
    learn = synth_learner()
    before = [p.item() for p in learn.model.parameters()]
    with pytest.raises(error, match=message):
        quiet(learn, "fit", 1, cbs=ParamScheduler(sched))
    assert [p.item() for p in learn.model.parameters()] == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ParamScheduler([1]), "must map"),
        (lambda: ParamScheduler({"lr": 1}), r"`scheds\['lr'\]`"),
    ],
)
def test_param_scheduler_refuses_what_is_no_schedule(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_what_was_scheduled_is_recorded_also_after_an_interruption_and_not_stale():
    class Stop(Callback):
        order = 70

        def before_batch(self):
            if self.train_iter == 4:
                raise KeyboardInterrupt

    learn = synth_learner()
    with pytest.raises(KeyboardInterrupt):
        quiet(learn, "fit_one_cycle", 1, cbs=Stop)
    assert len(learn.recorder.hps["lr"]) == 4
    quiet(learn, "fit", 1)
    assert learn.recorder.hps == {}


def test_a_single_interrupt_callback_ends_the_fit_before_its_epoch():
    learn = quiet(synth_learner(), "fit_one_cycle", 5, cbs=InterruptCallback(2))
    assert len(learn.recorder.lrs) == 20


def test_fit_writes_rate_and_decay_and_reverts_to_the_learner_s():
    learn = synth_learner(lr=0.1, wd=0.2)
    quiet(learn, "fit", 1, 0.3, wd=0.4)
    assert (learn.opt.get_hyper("lr"), learn.opt.get_hyper("wd")) == ([0.3], [0.4])
    quiet(learn, "fit", 1)
    assert (learn.opt.get_hyper("lr"), learn.opt.get_hyper("wd")) == ([0.1], [0.2])
    without = quiet(quiet(synth_learner(), "fit", 1, wd=0.5), "fit", 1)
    assert without.opt.get_hyper("wd") == [0.5]


def test_optimizer_is_kept_between_fits_unless_it_is_reset():
    learn = quiet(synth_learner(), "fit", 1)
    first = learn.opt
    assert quiet(learn, "fit", 1).opt is first
    assert quiet(learn, "fit", 1, reset_opt=True).opt is not first
    assert quiet(learn, "fit_one_cycle", 1, reset_opt=True).opt is not first


def test_opt_func_forms():
    torch.manual_seed(0)
    learn = synth_learner()
    learn.opt_func = partial(torch.optim.Adam, lr=0.7)
    learn.create_opt()
    assert learn.lr == 0.7
    learn.opt_func = partial(lehr.OptimWrapper, opt=torch.optim.Adagrad)
    learn.create_opt()
    assert isinstance(learn.opt.torch, torch.optim.Adagrad)
    wrapper = learn.opt
    quiet(learn, "fit", 1)
    assert any(wrapper.state_dict()["state"])
    learn.opt_func = wrapper
    learn.create_opt()
    assert learn.opt is wrapper
    assert wrapper.state_dict()["state"] == [{}, {}]
    data = synth_dbunch()
    default = quiet(Learner(data, RegModel(), nn.MSELoss()), "fit", 1)
    assert isinstance(default.opt.torch, torch.optim.AdamW)
    group = default.opt.torch.param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.99), 1e-5, 0.01)


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0,), ValueError, "`n_epoch` must be at least 1, got 0"),
        ((-1,), ValueError, "`n_epoch` must be at least 1, got -1"),
        ((1.5,), TypeError, "`n_epoch` must be an integer, got 1.5"),
        (("2",), TypeError, "`n_epoch` must be an integer"),
        (
            (2, None, None, None, False, 3),
            ValueError,
            "`start_epoch` must be between 0 and n_epoch = 2",
        ),
    ],
)
def test_wrong_epochs_raise(args, error, message):
    with pytest.raises(error, match=message):
        synth_learner().fit(*args)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"div": 0}, "`div` must be a finite number above 0, got 0.0"),
        ({"div_final": -1}, "`div_final` must be a finite number above 0"),
        ({"pct_start": 1.5}, "`pct_start` must be between 0 and 1, got 1.5"),
        ({"moms": (0.9, 0.8)}, "`moms` must be three momenta"),
        ({"lr_max": [1, 2]}, "`lr_max` must be one number or 1"),
        ({"lr_max": math.nan}, "`lr_max` must be a finite number"),
    ],
)
def test_wrong_one_cycle_arguments_raise_before_training(kwargs, message):
    with pytest.raises(ValueError, match=message):
        synth_learner().fit_one_cycle(1, **kwargs)


def test_optimizers_without_momentum_get_the_rate_alone():
    learn = synth_learner()
    learn.opt_func = torch.optim.Adagrad
    with pytest.warns(UserWarning, match="Adagrad has no momentum, so only the rate is scheduled"):
        quiet(learn, "fit_one_cycle", 1)
    assert list(learn.recorder.hps) == ["lr"]
    with pytest.raises(KeyError, match="`mom`"):
        quiet(learn, "fit_one_cycle", 1, moms=(0.9, 0.8, 0.9))
    learn.opt_func = torch.optim.SGD
    with pytest.warns(UserWarning, match="SGD has momentum 0"):
        quiet(learn, "fit_one_cycle", 1, reset_opt=True)
    assert learn.opt.get_hyper("mom") == [0]
    quiet(learn, "fit_one_cycle", 1, moms=False)
    learn.moms = None
    quiet(learn, "fit_one_cycle", 1)


# Batches and losses (rule 16).


class Output(NamedTuple):
    logits: torch.Tensor
    loss: torch.Tensor


class OwnLoss(nn.Module):
    """Takes a dict as keywords and returns its own loss, as Hugging Face models do."""

    def __init__(self, as_dict):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.as_dict = as_dict

    def forward(self, x, y):
        out = self.linear(x)
        loss = (out - y).square().mean()
        return {"loss": loss, "logits": out} if self.as_dict else Output(out, loss)


def points(n=6):
    torch.manual_seed(0)
    return [(x, 2 * x + 1) for x in torch.randn(n, 16, 1)]


@pytest.mark.parametrize("as_dict", [True, False])
def test_dict_batches_and_models_with_their_own_loss(as_dict):
    batches = [{"x": x, "y": y} for x, y in points()]
    learn = Learner(DataLoaders(batches, batches, device="cpu"), OwnLoss(as_dict), lr=0.1)
    quiet(learn, "fit_one_cycle", 3)
    assert learn.recorder.values[-1][1] < learn.recorder.values[0][1]
    assert len(learn.recorder.lrs) == 18
    assert len(learn.lr_find(show_plot=False)) == 1


class Batch:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def to(self, device):
        return Batch(self.x.to(device), self.y.to(device))


class OnBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, batch):
        return self.linear(batch.x)


def test_custom_batches_go_whole_to_model_and_loss():
    batches = [Batch(x, y) for x, y in points()]
    learn = Learner(
        DataLoaders(batches, device="cpu"),
        OnBatch(),
        loss_func=lambda pred, batch: (pred - batch.y).square().mean(),
        lr=0.1,
    )
    quiet(learn, "fit", 3)
    assert learn.recorder.losses[-1] < learn.recorder.losses[0]


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, a, b):
        return self.linear(torch.cat([a, b], 1))


def test_tuples_are_inputs_and_last_the_target_and_a_named_tuple_stays_one():
    class Triple(NamedTuple):
        a: torch.Tensor
        b: torch.Tensor
        y: torch.Tensor

    batches = [Triple(x, x, y) for x, y in points()]
    learn = Learner(DataLoaders(batches, batches, device="cpu"), TwoInputs(), nn.MSELoss(), lr=0.1)
    quiet(learn, "fit", 2)
    assert isinstance(learn.batch, Triple)
    assert len(learn.recorder.losses) == 12


def test_a_model_without_a_loss_is_a_clear_error():
    batches = [(x,) for x, _ in points()]
    learn = Learner(DataLoaders(batches, device="cpu"), nn.Linear(1, 1))
    with pytest.raises(TypeError, match=r"without `loss_func` .* got Tensor"):
        quiet(learn, "fit", 1)


def test_no_validation_loader_skips_validation():
    learn = Learner(DataLoaders(points(), device="cpu"), nn.Linear(1, 1), nn.MSELoss(), lr=0.1)
    quiet(learn, "fit", 2)
    assert [len(row) for row in learn.recorder.values] == [1, 1]
    assert learn.recorder.metric_names == ["epoch", "train_loss", "time"]
    with pytest.raises(ValueError, match="at least a training loader"):
        DataLoaders()


def test_a_loader_without_length_is_a_clear_error():
    learn = Learner(DataLoaders(iter(points()), device="cpu"), nn.Linear(1, 1), nn.MSELoss())
    with pytest.raises(TypeError, match="the training loader has no length"):
        quiet(learn, "fit", 1)


def test_metrics_are_means_over_rows_not_batches():
    torch.manual_seed(0)
    x = torch.randn(50, 4)
    y = torch.randint(0, 3, (50,))
    model = nn.Linear(4, 3)
    loader = DataLoader(TensorDataset(x, y), batch_size=16)
    learn = Learner(
        DataLoaders(loader, loader, device="cpu"),
        model,
        nn.functional.cross_entropy,
        metrics=[accuracy],
        lr=0.0,
    )
    quiet(learn, "fit", 1, lr=0.0, wd=0.0)
    with torch.no_grad():
        pred = model(x)
    expected = [
        nn.functional.cross_entropy(pred, y).item(),
        (pred.argmax(1) == y).float().mean().item(),
    ]
    assert learn.recorder.values[0][1:] == pytest.approx(expected, rel=1e-6)
    assert learn.recorder.metric_names == ["epoch", "train_loss", "valid_loss", "accuracy", "time"]
    with pytest.raises(TypeError, match="`metrics` must hold"):
        Learner(DataLoaders(loader), model, metrics=3)


def test_recorder_keeps_raw_and_smoothed_losses():
    learn = quiet(synth_learner(n_trn=100), "fit", 2)
    recorder = learn.recorder
    assert len(recorder.losses) == len(recorder.raw_losses) == len(recorder.lrs) == 200
    assert recorder.iters == [100, 200]
    v, expected = 0.0, []
    for k, loss in enumerate(recorder.raw_losses, start=1):
        v = 0.98 * v + 0.02 * loss
        expected.append(v / (1 - 0.98**k))
    assert recorder.losses == pytest.approx(expected, rel=1e-12)
    assert recorder.values[-1][0] == recorder.losses[-1]
    # Everything is of the last fit.
    quiet(learn, "fit", 1)
    assert len(recorder.losses) == 100


def test_a_loss_that_is_not_finite_shows():
    class Breaks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.ones(1))
            self.left = 5

        def forward(self, x):
            self.left -= 1
            return x * self.a * (math.nan if self.left < 0 else 1.0)

    learn = quiet(synth_learner(model=Breaks()), "fit", 2)
    assert np.isfinite(learn.recorder.losses).sum() == 5
    assert math.isnan(learn.recorder.values[-1][0])
    assert math.isnan(learn.smooth_loss)


def test_an_epoch_cancelled_before_it_is_recorded_leaves_no_row():
    """Row F24."""

    class Skip(Callback):
        def before_epoch(self):
            if self.epoch in (0, 2):
                raise lehr.CancelEpochException

    learn = quiet(synth_learner(cbs=Skip), "fit", 4)
    assert len(learn.recorder.values) == 2
    assert learn.recorder.iters == [10, 20]


def test_schedules_of_an_earlier_fit_are_not_handed_over_again():
    class Stop(Callback):
        order = 55
        armed = False

        def before_fit(self):
            if self.armed:
                raise lehr.CancelFitException

    learn = synth_learner(cbs=[Stop(), ParamScheduler({"lr": SchedLin(1e-3, 1e-2)})])
    quiet(learn, "fit", 1)
    learn.stop.armed = True
    quiet(learn, "fit", 1)
    assert learn.recorder.hps == {}


def test_a_learner_without_default_callbacks_trains():
    learn = synth_learner(default_cbs=False)
    before = learn.model.a.item()
    learn.fit(1)
    assert learn.model.a.item() != before
    assert learn.cbs == []


def test_a_learner_can_be_copied_deeply():
    learn = quiet(synth_learner(), "fit_one_cycle", 1)
    other = copy.deepcopy(learn)
    assert other.recorder.learn is other
    assert other.recorder.losses == learn.recorder.losses
    quiet(other, "fit", 1)
    assert other.model.a.item() != learn.model.a.item()
    assert len(learn.recorder.hps["lr"]) == 10


def test_flags_set_after_adding_a_callback_hold():
    class Counts(Callback):
        seen = 0

        def before_batch(self):
            self.seen += 1

    learn = synth_learner(cbs=Counts)
    learn.counts.run_valid = False
    quiet(learn, "fit", 1)
    assert learn.counts.seen == 10


def test_a_callback_of_every_fit_given_to_one_fit_again_stays():
    class Mine(Callback):
        pass

    mine = Mine()
    learn = synth_learner(cbs=mine)
    quiet(learn, "fit", 1, cbs=mine)
    assert mine in learn.cbs
    with pytest.raises(ValueError, match="`cbs` must hold each callback once"):
        learn.add_cb(mine)


@pytest.mark.parametrize("name", ["Model", "FitCallback", "Opt", "Loss", "Lr"])
def test_a_callback_named_like_a_part_of_the_learner_is_refused(name):
    kind = type(name, (Callback,), {})
    with pytest.raises(ValueError, match="would hide the learner's"):
        synth_learner(cbs=kind)


@pytest.mark.parametrize(
    ("method", "args", "message"),
    [
        ("fit", {"lr": -1}, "`lr` must be at least 0, got -1"),
        ("fit", {"wd": -1}, "`wd` must be at least 0, got -1"),
        ("fit_one_cycle", {"lr_max": -1}, "`lr_max` must be at least 0, got -1.0"),
        (
            "fit_one_cycle",
            {"moms": (0.9, 2, 0.9)},
            r"`moms\[1\]` must be at least 0 and below 1, got 2",
        ),
        ("fit_one_cycle", {"moms": (0.9, math.nan, 0.9)}, r"`moms\[1\]` must be a finite number"),
    ],
)
def test_rates_and_momenta_outside_their_range_are_refused(method, args, message):
    with pytest.raises(ValueError, match=message):
        quiet(synth_learner(), method, 1, **args)


def test_momenta_may_be_given_per_group():
    learn = synth_learner(splitter=lambda m: [[m.a], [m.b]])
    quiet(learn, "fit_one_cycle", 1, moms=([0.9, 0.8], 0.7, 0.9))
    assert learn.recorder.hps_all["mom"][0] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Learner(None, RegModel()), TypeError, "`dls` must be DataLoaders, got None"),
        (lambda: Learner(synth_dbunch(), None), TypeError, "`model` must be a torch module"),
        (
            lambda: Learner(synth_dbunch(), RegModel(), "mse"),
            TypeError,
            "`loss_func` must be a function",
        ),
        (lambda: DataLoaders(3), TypeError, "`loaders` must be iterables of batches, got 3"),
        (lambda: DataLoaders(list(synth_dbunch())), TypeError, "one by one, got a list of loaders"),
        (
            lambda: quiet(synth_learner(splitter=lambda m: None), "fit", 1),
            TypeError,
            "`splitter` must return",
        ),
        (
            lambda: quiet(synth_learner(data=DataLoaders([])), "fit", 1),
            ValueError,
            "at least one batch",
        ),
        (
            lambda: quiet(
                synth_learner(data=DataLoaders([(torch.ones(2, 1),)], device="cpu")), "fit", 1
            ),
            ValueError,
            "must hold a target for `loss_func`",
        ),
    ],
)
def test_wrong_parts_of_a_learner_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("loss", [lambda p, y: (p - y).square(), lambda p, y: 3.0])
def test_a_loss_that_is_no_single_number_is_a_clear_error(loss):
    learn = synth_learner()
    learn.loss_func = loss
    with pytest.raises(TypeError, match="the loss must be a tensor of one number, got"):
        quiet(learn, "fit", 1)


def test_a_mapping_is_unpacked_into_the_model_s_keywords():
    batches = [UserDict({"x": x, "y": y}) for x, y in points()]
    learn = Learner(DataLoaders(batches, device="cpu"), OwnLoss(as_dict=True), lr=0.1)
    quiet(learn, "fit", 1)
    assert len(learn.recorder.losses) == 6


def test_a_built_torch_optimizer_is_used():
    model = RegModel()
    built = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    learn = quiet(synth_learner(model=model), "create_opt")
    learn.opt_func = built
    learn.create_opt()
    assert learn.opt.torch is built


def test_accuracy_checks_shapes_and_metrics_may_be_classes():
    with pytest.raises(ValueError, match=r"got \(4, 4\) and \(4, 1\)"):
        accuracy(torch.eye(4), torch.arange(4)[:, None])
    with pytest.raises(ValueError, match="`pred` must have shape"):
        accuracy(torch.ones(4), torch.ones(4))

    class Count(lehr.Metric):
        def reset(self):
            self.n = 0

        def accumulate(self, learn):
            self.n += len(learn.pred)

        @property
        def value(self):
            return float(self.n)

    learn = quiet(synth_learner(metrics=Count), "fit", 1)
    assert learn.recorder.values[0][-1] == 32.0
    assert learn.recorder.metric_names[3] == "count"


def test_rows_are_logged_and_no_logging_is_silent(capsys):
    learn = synth_learner()
    learn.fit(2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["epoch", "train_loss", "valid_loss", "time"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]
    assert {len(line) for line in lines} == {len(lines[0])}
    assert learn.logger is print
    quiet(learn, "fit_one_cycle", 1)
    learn.lr_find(show_plot=False)
    assert capsys.readouterr().out == ""
    assert learn.logger is print


def test_logger_is_restored_after_an_interruption(capsys):
    class Stop(Callback):
        def after_epoch(self):
            raise KeyboardInterrupt

    learn = synth_learner(cbs=Stop)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1)
    assert learn.logger is print


def test_a_terminal_gets_a_progress_bar_and_the_same_rows():
    """On a real pseudo terminal."""
    code = (
        "import time; from lehr import Callback; from lehr.testing import synth_learner\n"
        "class Slow(Callback):\n    def after_batch(self): time.sleep(0.03)\n"
        "learn = synth_learner(cbs=Slow); learn.fit(2)\n"
        "with learn.no_logging(): learn.fit(1)"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        assert process.wait() == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "epoch 1/2 training, train_loss" in text
    assert "epoch 2/2 validating, train_loss" in text
    assert "epoch 1/1" not in text
    rows = [line.split() for line in text.replace("\r", "\n").splitlines() if "00:0" in line]
    assert [row[0] for row in rows if len(row) == 4] == ["0", "1"]


def test_default_device_is_cuda_when_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert DataLoaders(points()).device.type == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_sweep_on_cuda_restore_weights_and_generators():
    learn = synth_learner(cuda=True)
    quiet(learn, "fit", 1)
    assert next(learn.model.parameters()).is_cuda
    before = [p.detach().clone() for p in learn.model.parameters()]
    state = torch.cuda.get_rng_state()
    learn.lr_find(show_plot=False)
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))
    assert torch.equal(torch.cuda.get_rng_state(), state)
