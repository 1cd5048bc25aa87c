"""The one sweep engine around a step function, and the smoother: restored whatever happens."""

import math
import pickle
import random
import subprocess
import sys

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lehr import SchedExp, _core
from lehr.finder import Finder
from state import capture
from torch import nn


class Net(nn.Module):
    """Dropout, batch norm, a buffer that is replaced, and one that is not saved."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)
        )
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("scratch", torch.ones(3), persistent=False)

    def forward(self, x):
        self.calls = self.calls + 1
        self.scratch.mul_(1.5)
        return self.layers(x)


class Setup:
    """A real model and optimizer with state, gradients and modes worth restoring."""

    def __init__(self, opt=torch.optim.AdamW, **kwargs):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        self.model = Net()
        self.optimizer = opt(
            [
                {"params": self.model.layers[0].parameters(), "lr": 1e-3},
                {"params": [p for m in self.model.layers[1:] for p in m.parameters()], "lr": 1e-2},
            ],
            **kwargs,
        )
        for _ in range(3):
            self.step()
        self.model.layers[1].eval()
        self.calls = 0
        self.fail_at = None
        self.error = None

    def step(self):
        self.calls = getattr(self, "calls", 0) + 1
        if getattr(self, "fail_at", None) == self.calls:
            raise self.error
        x = torch.randn(16, 4) + np.random.rand() + random.random()
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def capture(self):
        return capture(self.model, self.optimizer)


def run_sweep(step, model, optimizer, **kwargs):
    """Sweep around a function that draws its own batches."""
    with Finder(model, optimizer, **kwargs) as finder:
        for _ in finder:
            finder.record(step())
    return finder.sweep


OPTIMIZERS = [
    (torch.optim.AdamW, {}),
    (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (torch.optim.SGD, {}),
    (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (torch.optim.Adagrad, {}),
    (torch.optim.Adam, {"amsgrad": True}),
    (torch.optim.AdamW, {"lr": torch.tensor(0.1)}),
]


@pytest.mark.parametrize(("opt", "kwargs"), OPTIMIZERS)
def test_everything_is_as_before_after_a_sweep(opt, kwargs):
    setup = Setup(opt, **kwargs)
    before = setup.capture()
    sweep = run_sweep(setup.step, setup.model, setup.optimizer, num_it=40)
    assert len(sweep) > 10
    assert setup.capture() == before


def test_training_goes_on_after_a_sweep_as_if_there_had_been_none():
    swept, plain = Setup(), Setup()
    losses = []
    for setup, sweeps in ((swept, True), (plain, False)):
        # Both built under the same seeds; the generators are global, so one after the other.
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        if sweeps:
            run_sweep(setup.step, setup.model, setup.optimizer, num_it=30)
        losses.append([setup.step().item() for _ in range(5)])
    assert losses[0] == losses[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("boom"), SystemExit()])
@pytest.mark.parametrize("at", range(1, 31))
def test_everything_is_as_before_when_a_sweep_is_interrupted_at_any_iteration(at, error):
    setup = Setup()
    before = setup.capture()
    setup.fail_at, setup.error = at, error
    with pytest.raises(type(error)):
        run_sweep(setup.step, setup.model, setup.optimizer, num_it=30, stop_div=False)
    assert setup.calls == at
    assert setup.capture() == before


def test_rates_are_those_of_the_exponential_schedule_and_are_in_force():
    setup = Setup()
    seen = []

    def step():
        seen.append([g["lr"] for g in setup.optimizer.param_groups])
        return setup.step()

    sweep = run_sweep(
        step, setup.model, setup.optimizer, start=1e-6, end=1, num_it=25, keep_ratios=False,
        stop_div=False,
    )  # fmt: skip
    expected = SchedExp(1e-6, 1.0).values(25).tolist()
    assert seen == [[lr, lr] for lr in expected]
    assert sweep.lrs.tolist() == expected
    assert (sweep.num_it, sweep.stop) == (25, "finished")


def test_a_rate_per_group_may_be_given():
    setup = Setup()
    seen = []

    def step():
        seen.append([g["lr"] for g in setup.optimizer.param_groups])
        return setup.step()

    sweep = run_sweep(
        step, setup.model, setup.optimizer, start=[1e-7, 1e-6], end=[1, 10], num_it=12,
        stop_div=False,
    )  # fmt: skip
    assert seen[0] == [1e-7, 1e-6]
    assert seen == SchedExp([1e-7, 1e-6], [1, 10]).values(12).tolist()
    assert sweep.lrs.tolist() == [row[1] for row in seen]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"start": 0}, ValueError, '`start` must be above 0 with `spacing="exp"`, got 0.0'),
        ({"start": -1, "end": -2}, ValueError, "`start` must be above 0"),
        ({"start": -1, "spacing": "linear"}, ValueError, "`lr` must be at least 0, got -1.0"),
        ({"end": math.inf}, ValueError, "`end` must be a finite number"),
        ({"num_it": 0}, ValueError, "`num_it` must be at least 1"),
        ({"start": [1e-3] * 3}, ValueError, "`start` must be one number or 2"),
        ({"start": "1"}, TypeError, "`start` must be a number"),
        ({"num_it": -1}, ValueError, "`num_it` must be at least 1, got -1"),
        ({"num_it": 2.5}, TypeError, "`num_it` must be an integer, got 2.5"),
    ],
)
def test_wrong_arguments_raise_and_change_nothing(kwargs, error, message):
    setup = Setup()
    before = setup.capture()
    with pytest.raises(error, match=message):
        run_sweep(setup.step, setup.model, setup.optimizer, **kwargs)
    assert setup.capture() == before


def run_losses(losses, num_it=100, stop_div=True):
    setup = Setup()
    values = iter(losses)
    return run_sweep(
        lambda: next(values), setup.model, setup.optimizer, num_it=num_it, stop_div=stop_div
    )


def test_a_diverging_sweep_stops_where_the_smoothed_loss_is_four_times_the_best():
    sweep = run_losses([1.0] * 50 + [100.0 * 2**i for i in range(50)])
    assert sweep.stop == "diverged"
    assert sweep.smoothed[-1] > 4 * sweep.smoothed.min()
    assert all(sweep.smoothed[:-1] <= 4 * np.minimum.accumulate(sweep.smoothed[:-1]))
    assert run_losses([1.0] * 50 + [1e9] * 50, stop_div=False).stop == "finished"


def test_a_second_consecutive_non_finite_loss_stops_the_sweep_and_an_isolated_one_does_not():
    nan, inf = math.nan, math.inf
    sweep = run_losses([1.0, nan, 1.0, inf, 1.0, nan, inf, 1.0])
    assert sweep.stop == "non-finite"
    assert len(sweep) == 7
    assert np.isnan(sweep.smoothed).tolist() == [False, True, False, True, False, True, True]
    assert sweep.smoothed[4] == pytest.approx(1.0, rel=1e-15)


def test_losses_may_be_tensors_with_a_graph_or_numbers():
    parameter = torch.ones((), requires_grad=True)
    assert run_losses(
        [parameter * 2, 3, np.float32(4), torch.tensor([5.0])], num_it=4
    ).losses.tolist() == [2, 3, 4, 5]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(0, 0.999))
def test_smoother_is_the_debiased_average(losses, beta):
    smoother = _core.Smoother(beta)
    got = smoother.extend(losses)
    v = mp.mpf(0)
    for k, (loss, value) in enumerate(zip(losses, got, strict=True), start=1):
        v = mp.mpf(beta) * v + (1 - mp.mpf(beta)) * mp.mpf(loss)
        expected = v / (1 - mp.mpf(beta) ** k)
        assert abs(value - expected) <= 1e-12 * max(map(abs, losses))
    again = pickle.loads(pickle.dumps(smoother))
    assert again.push(1.0) == smoother.push(1.0)


def test_a_non_finite_loss_is_shown_and_passed_over():
    smoothed = _core.Smoother(0.5).extend([1.0, math.nan, math.inf, 1.0])
    assert np.isnan(smoothed).tolist() == [False, True, True, False]
    assert smoothed[3] == 1.0


def test_a_loader_s_own_generator_is_restored():
    """Row L15."""
    setup = Setup()
    generator = torch.Generator().manual_seed(5)
    state = generator.get_state()

    def step():
        torch.randperm(8, generator=generator)
        return setup.step()

    run_sweep(step, setup.model, setup.optimizer, num_it=3, generators=[generator])
    assert torch.equal(generator.get_state(), state)


def test_a_sweep_cut_between_rate_and_loss_ends_before_that_iteration():
    setup = Setup()
    with Finder(setup.model, setup.optimizer, num_it=5) as finder:
        next(finder)
        finder.record(1.0)
        next(finder)
    assert finder.sweep.losses.tolist() == [1.0]
    assert finder.sweep.stop == "interrupted"


def test_a_step_that_returns_no_loss_is_a_clear_error():
    setup = Setup()
    before = setup.capture()
    with pytest.raises(TypeError, match="the loss of a step must be one number, got None"):
        run_sweep(lambda: None, setup.model, setup.optimizer)
    assert setup.capture() == before


def test_groups_added_in_a_sweep_are_dropped_and_the_rest_restored():
    setup = Setup()
    before = setup.capture()

    def step():
        if len(setup.optimizer.param_groups) == 2:
            setup.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
            setup.optimizer.param_groups[2]["lr"] = 1.0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(step, setup.model, setup.optimizer)
    assert setup.capture() == before


def test_one_thing_that_cannot_be_restored_does_not_keep_the_rest_from_it():
    class Stubborn(nn.Module):
        def get_extra_state(self):
            return 1

        def set_extra_state(self, state):
            message = "not again"
            raise ValueError(message)

    setup = Setup()
    setup.model.stubborn = Stubborn()
    before = setup.capture()
    with pytest.raises(ValueError, match="not again"):
        run_sweep(setup.step, setup.model, setup.optimizer, num_it=5)
    assert setup.capture() == before


def test_parameters_whose_data_was_exchanged_or_resized_are_restored():
    setup = Setup()
    before = setup.capture()

    def step():
        setup.step()
        setup.model.layers[3].bias.data = torch.zeros(5)
        setup.model.layers[0].weight.data = setup.model.layers[0].weight.data.half()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(step, setup.model, setup.optimizer)
    assert setup.capture() == before


def test_reading_a_sweep_from_another_thread_does_not_deadlock():
    """The first read imports numpy, which lets the other thread run."""
    code = """
import faulthandler, threading
faulthandler.dump_traceback_later(60, exit=True)
from lehr import _core
state = _core.SweepState(10**7)
stop = threading.Event()
def push():
    while not stop.is_set():
        state.push(1.0)
thread = threading.Thread(target=push)
thread.start()
for _ in range(5):
    state.losses, state.smoothed
stop.set()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
