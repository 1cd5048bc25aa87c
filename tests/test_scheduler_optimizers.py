"""A Scheduler on the optimizers people have: tensors, compiled, fused, with a scaler."""

import warnings

import pytest
import torch
from lehr import SchedCos, SchedLin, Scheduler, Tied
from scheduler_loops import adamw, go, groups, parameters, sgd, values
from torch import nn

# Many look at what is in force behind the end.
pytestmark = pytest.mark.filterwarnings("ignore:the schedules ended after")

LINE = SchedLin(1.0, 0.0)


# Types are kept.


def test_an_integer_becomes_a_float_and_a_float_stays_one():
    optimizer = sgd(2, momentum=0, weight_decay=0)
    Scheduler(optimizer, {"momentum": LINE, "wd": LINE}, 8)
    for key in ("momentum", "weight_decay"):
        assert [type(value) for value in values(optimizer, key)] == [float, float]
        assert values(optimizer, key) == [1.0, 1.0]


@pytest.mark.parametrize(
    "rate",
    [
        torch.tensor(0.5),
        torch.tensor(0.5, dtype=torch.float64),
        torch.tensor([0.5]),
        torch.tensor(0.5, dtype=torch.bfloat16),
    ],
)
@pytest.mark.parametrize("count", ["calls", "optimizer"])
def test_a_tensor_is_filled_in_place_and_keeps_its_dtype_and_shape(rate, count):
    optimizer = adamw(2, lr=rate, foreach=False)
    scheduler = Scheduler(optimizer, {"lr": SchedCos(0.3, 0.1)}, 8, count=count)
    held = values(optimizer, "lr")
    # The one that torch gave to both groups stays with the first.
    assert held[0] is rate
    assert held[1] is not rate
    dtype, shape = rate.dtype, rate.shape
    for k in range(10):
        now = values(optimizer, "lr")
        assert [id(one) for one in now] == [id(one) for one in held]
        exact = torch.full(shape, SchedCos(0.3, 0.1)(min(k / 8, 1)), dtype=dtype)
        assert all(torch.equal(one, exact) and one.dtype == dtype for one in now)
        go(optimizer, scheduler)


def test_groups_with_tensors_of_their_own_have_schedules_of_their_own():
    optimizer = sgd(2)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(0.1)
    held = values(optimizer, "lr")
    scheduler = Scheduler(optimizer, {"lr": [LINE, SchedLin(0, 2)]}, 4)
    go(optimizer, scheduler)
    assert [float(one) for one in held] == [0.75, 0.5]
    assert scheduler.get_last_lr() == [0.75, 0.5]


def test_a_group_may_have_a_tensor_where_another_has_a_float():
    optimizer = sgd(2)
    optimizer.param_groups[1]["lr"] = held = torch.tensor(0.1)
    scheduler = Scheduler(optimizer, {"lr": LINE, "wd": Tied("lr", 0.5)}, 4)
    go(optimizer, scheduler)
    assert optimizer.param_groups[0]["lr"] == 0.75
    assert optimizer.param_groups[1]["lr"] is held
    assert held == 0.75
    assert values(optimizer, "weight_decay") == [0.375, 0.375]


def test_a_tuple_of_tensors_is_kept_and_its_tensors_filled():
    betas = (torch.tensor(0.9), torch.tensor(0.99))
    optimizer = adamw(1, betas=betas, capturable=True, lr=torch.tensor(0.1), foreach=False)
    kept = optimizer.param_groups[0]["betas"]
    schedules = {"lr": LINE, "betas[0]": SchedLin(0.5, 0), "sqr_mom": SchedLin(0.25, 0)}
    scheduler = Scheduler(optimizer, schedules, 4)
    scheduler.step(2)
    assert optimizer.param_groups[0]["betas"] is kept
    assert optimizer.param_groups[0]["capturable"] is True
    assert [float(beta) for beta in kept] == [0.25, 0.125]


def test_betas_in_a_list_stay_a_list():
    optimizer = adamw(2)
    for group in optimizer.param_groups:
        group["betas"] = [0.9, 0.99]
    scheduler = Scheduler(optimizer, {"betas[1]": SchedLin(0.5, 0)}, 4)
    scheduler.step(1)
    assert values(optimizer, "betas") == [[0.9, 0.375], [0.9, 0.375]]


def test_a_load_of_the_optimizer_keeps_tensors_of_the_right_kind_in_force():
    optimizer = adamw(2, lr=torch.tensor(0.1), foreach=False)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    go(optimizer, scheduler, 2)
    other = adamw(2, lr=torch.tensor(0.1), foreach=False)
    resumed = Scheduler(other, {"lr": LINE}, 8)
    resumed.load_state_dict(scheduler.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert [float(rate) for rate in values(other, "lr")] == [0.75, 0.75]
    go(other, resumed)
    assert [float(rate) for rate in values(other, "lr")] == [0.625, 0.625]
    assert [float(rate) for rate in values(optimizer, "lr")] == [0.75, 0.75]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop])
def test_a_scheduled_tensor_trains_as_a_scheduled_float(make):
    ends = []
    for rate in (torch.tensor(0.5, dtype=torch.float64), 0.5):
        optimizer = make(groups(1), lr=rate, foreach=False)
        scheduler = Scheduler(optimizer, {"lr": SchedCos(0.5, 0.125)}, 8)
        go(optimizer, scheduler, 8)
        ends.append(optimizer.param_groups[0]["params"][0].detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (torch.optim.Adagrad, ("lr", "lr_decay", "weight_decay", "eps")),
        (torch.optim.Adadelta, ("lr", "rho", "eps", "weight_decay")),
        (torch.optim.Adamax, ("lr", "betas[0]", "sqr_mom")),
        (torch.optim.ASGD, ("lr", "lambd", "alpha", "t0")),
        (torch.optim.RMSprop, ("lr", "alpha", "momentum", "sqr_mom")),
        (torch.optim.Rprop, ("etas[0]", "etas[1]", "step_sizes[1]")),
        (torch.optim.RAdam, ("lr", "mom", "eps")),
        (torch.optim.Adafactor, ("lr", "beta2_decay", "d")),
        (torch.optim.LBFGS, ("lr", "tolerance_grad")),
    ],
)
def test_any_number_of_any_optimizer_can_be_scheduled(make, names):
    names = [name for name in names if (make, name) != (torch.optim.RMSprop, "sqr_mom")]
    optimizer = make([nn.Parameter(torch.ones(2))])
    sched = SchedLin(0.5, 0.25)
    scheduler = Scheduler(optimizer, dict.fromkeys(names, sched), 4)
    scheduler.step(2)
    [group] = optimizer.param_groups
    for name in names:
        key = {"mom": "betas[0]", "sqr_mom": "betas[1]"}.get(name, name)
        key, _, index = key.partition("[")
        value = group[key][int(index[:-1])] if index else group[key]
        assert value == 0.375


# Compiled.


def compiled_frames(optimizer, scheduler, step, steps):
    """Return how many frames were compiled after each step."""
    frames = []
    for _ in range(steps):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        step()
        scheduler.step()
        frames.append(COUNTER.frame_count)
    return frames


class Counter:
    """A backend that runs a graph as it is, and counts."""

    frame_count = 0

    def __call__(self, module, inputs):
        self.frame_count += 1
        return module.forward


COUNTER = Counter()


@pytest.fixture
def counter():
    torch._dynamo.reset()
    COUNTER.frame_count = 0
    with warnings.catch_warnings():
        # Torch's compiler says so of its own profiler.
        warnings.simplefilter("ignore")
        yield COUNTER
    torch._dynamo.reset()


@pytest.mark.parametrize("count", ["calls", "optimizer"])
@pytest.mark.parametrize("what", ["the step", "a function"])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (sgd, {}),
        (sgd, {"lr": torch.tensor(0.1)}),
        (adamw, {}),
        (adamw, {"lr": torch.tensor(0.1)}),
    ],
)
def test_a_compiled_optimizer_is_not_compiled_again_for_other_values(
    make, options, what, count, counter
):
    optimizer, eager = make(2, **options, foreach=False), make(2, **options, foreach=False)
    schedules = {"lr": SchedCos(0.5, 0.1), "mom": SchedLin(0.9, 0.8), "wd": SchedLin(0.1, 0.2)}
    scheduler = Scheduler(optimizer, schedules, 20, count=count)
    function = optimizer.step if what == "the step" else lambda: optimizer.step()
    frames = compiled_frames(optimizer, scheduler, torch.compile(function, backend=counter), 10)
    assert 0 < frames[3] == frames[-1]
    # It trains with the values in force, and its steps are counted.
    assert scheduler.last_epoch == 10
    other = Scheduler(eager, schedules, 20)
    go(eager, other, 10)
    for one, same in zip(optimizer.param_groups, eager.param_groups, strict=True):
        torch.testing.assert_close(one["params"], same["params"])


def test_the_counter_sees_what_is_compiled_for_every_value(counter):
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False):
        compiled = torch.compile(lambda x, n: x + n, backend=counter)
        for n in range(6):
            compiled(torch.ones(2), n)
    assert counter.frame_count == 6


# With a scaler, real steps are counted.


def scaled_losses(optimizer, scheduler, losses):
    """Train by a scaler that skips the steps whose gradients are not finite; return the rates."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1000)
    rates = []
    [param] = optimizer.param_groups[0]["params"]
    for loss in losses:
        optimizer.zero_grad()
        scaler.scale((param * loss).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


INF = float("inf")


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.SGD])
def test_steps_that_a_scaler_skips_do_not_count(make, fused):
    optimizer = make(parameters(), lr=0.1, fused=fused)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer")
    rates = scaled_losses(optimizer, scheduler, [1, INF, INF, 1, 1, INF])
    assert rates == [0.875, 0.875, 0.875, 0.75, 0.625, 0.625]
    assert scheduler.last_epoch == 3


def test_where_calls_are_counted_a_skipped_step_warns_and_says_what_to_do():
    optimizer = torch.optim.AdamW(parameters(), lr=0.1)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    with pytest.warns(UserWarning, match='had taken no step since: .* `count="optimizer"`'):
        rates = scaled_losses(optimizer, scheduler, [1, INF])
    assert rates == [0.875, 0.75]


def test_with_the_optimizer_s_count_no_call_of_step_is_needed_and_a_closure_counts_once():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer")
    calls = []
    for _ in range(3):
        optimizer.step(lambda: calls.append(1) or 0.0)
    assert (scheduler.last_epoch, len(calls), values(optimizer, "lr")) == (3, 3, [0.625])
    scheduler.step()
    scheduler.step(7)
    assert scheduler.last_epoch == 3


def test_a_step_that_raises_does_not_count():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer")

    def fail():
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError, match="no loss"):
        optimizer.step(fail)
    assert scheduler.last_epoch == 0


def test_a_scheduler_that_moves_by_itself_cannot_be_driven():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer")
    for drive in (
        scheduler._initial_step,
        scheduler._update_lr,
        lambda: setattr(scheduler, "last_epoch", 3),
    ):
        with pytest.raises(ValueError, match='`count="optimizer"` moves by itself'):
            drive()
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (0, [1.0])


def test_a_container_of_a_scheduler_that_moves_by_itself_is_refused():
    optimizer = sgd()
    children = [
        Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer"),
        Scheduler(optimizer, {"wd": LINE}, 8),
    ]
    with pytest.raises(ValueError, match='`count="optimizer"` moves by itself'):
        torch.optim.lr_scheduler.SequentialLR(optimizer, children, [3])
