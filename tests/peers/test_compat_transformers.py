"""Schedules of `lehr.compat.transformers` have, step by step, the rates of transformers' own."""

import warnings

import numpy as np
import pytest
import torch
import transformers.optimization as peer
from lehr.compat import transformers as compat
from numpy.testing import assert_allclose
from transformers.trainer_utils import SchedulerType

CONFIGURATIONS = 200
MOST = 250
METRIC = {"reduce_lr_on_plateau", "greedy"}


def optimizer(lrs, default=None):
    groups = np.atleast_1d(lrs).tolist()
    params = [{"params": [torch.nn.Parameter(torch.zeros(()))], "lr": lr} for lr in groups]
    return torch.optim.SGD(params, lr=groups[0] if default is None else default)


def stepped(make, lrs, steps, default=None):
    """The rates of every step of a real optimizer under a real scheduler, one column a group."""
    opt = optimizer(lrs, default)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(opt)
        rows = []
        for step in range(steps):
            rows.append([group["lr"] for group in opt.param_groups])
            opt.step()
            if step < steps - 1:
                scheduler.step()
    rates = np.array(rows)
    return rates if np.ndim(lrs) else rates[:, 0]


def count(rng, low=1, high=MOST):
    return int(rng.choice([low, low + 1, rng.integers(low, 10 + low), rng.integers(low, high)]))


def rates(rng, groups=True):
    size = rng.choice([None, 2, 3]) if groups else None
    return 10 ** rng.uniform(-5, 1, None if size is None else int(size))


def waves(rng):
    return {"num_cycles": float(rng.choice([0.5, 0, 1, 1.5, rng.uniform(0, 5)]))}


def lowest(rng, lr):
    if np.ndim(lr) or rng.integers(2):
        return {"min_lr_rate": float(rng.choice([0, 0.1, rng.uniform(), 1]))}
    return {"min_lr": float(lr * rng.choice([0, 0.1, rng.uniform()]))}


def restarts(rng, _lr):
    return {"num_cycles": int(rng.choice([1, 2, rng.integers(1, 12), 49]))}


def polynomial(rng, lr):
    return {
        "lr_end": float(rng.choice([0, 1e-7, lr * rng.uniform()])),
        "power": float(rng.choice([1, 2, 0.5, rng.uniform(0.3, 4)])),
    }


def warmed_cosine(rng, lr):
    rate = {"warmup_lr_rate": float(rng.choice([0, 0.1, rng.uniform()]))} if rng.integers(2) else {}
    return {**waves(rng), **lowest(rng, lr), **rate}


def wsd(rng, _lr):
    shapes = ["linear", "cosine", "1-sqrt"]
    return {
        "num_decay_steps": count(rng, 0),
        "num_stable_steps": count(rng, 0),
        "warmup_type": str(rng.choice(shapes)),
        "decay_type": str(rng.choice(shapes)),
        "min_lr_ratio": float(rng.choice([0, 0.1, rng.uniform()])),
        **waves(rng),
    }


def inverse_sqrt(rng, _lr):
    return [{}, {"timescale": float(rng.choice([1, 10_000, rng.uniform(0.5, 500)]))}][
        rng.integers(2)
    ]


# The more that each name takes beside the two numbers of steps.
DRAWS = {
    "linear": lambda *_: {},
    "cosine": lambda rng, _: waves(rng),
    "cosine_with_restarts": restarts,
    "polynomial": polynomial,
    "constant": lambda *_: {},
    "constant_with_warmup": lambda *_: {},
    "inverse_sqrt": inverse_sqrt,
    "cosine_with_min_lr": lambda rng, lr: {**waves(rng), **lowest(rng, lr)},
    "cosine_warmup_with_min_lr": warmed_cosine,
    "warmup_stable_decay": wsd,
}


def draw(name, rng):
    lr = rates(rng, groups=name != "polynomial")
    more = DRAWS[name](rng, lr)
    training = count(rng)
    warmup = int(rng.choice([0, 1, rng.integers(0, training + 1), count(rng)]))
    if name == "polynomial" and warmup == training:
        warmup -= 1  # transformers divides by 0
    if name == "warmup_stable_decay" and rng.integers(2):
        training = warmup + more["num_decay_steps"] + more.pop("num_stable_steps") + 1
    return lr, warmup, training, more


def assert_same(ours, theirs, warmup, training, more):
    # pi, times the cycles, times the progress, itself rounded: 3.7e-16 of the angle, half of which
    # is in (1 + cos) / 2. Behind a training that a warmup fills, every step is a whole progress.
    length = more.get("num_decay_steps", max(1, training - warmup))
    shares = 1 if "num_decay_steps" in more else len(ours) / length
    angle = 2 * np.pi * more.get("num_cycles", 0.5) * max(shares, 1)
    assert_allclose(ours, theirs, rtol=1e-12, atol=(1e-14 + 2e-16 * angle) * np.max(theirs))


def missed(warmup, training, steps, cycles):
    """Steps that begin a cycle and that transformers' rounding leaves in the one before."""
    length = max(1, training - warmup)
    behind = np.arange(steps) - warmup
    begins = (behind > 0) & (behind < length) & (behind * cycles % length == 0)
    return begins & ((cycles * (behind / length)) % 1 != 0)


def test_every_name_of_the_enum_is_known():
    assert {kind.value for kind in SchedulerType} == {*DRAWS, *METRIC}


@pytest.mark.parametrize("name", DRAWS)
def test_a_name_has_the_curve_of_transformers(name):
    rng = np.random.default_rng([*name.encode()])
    for _ in range(CONFIGURATIONS):
        lr, warmup, training, more = draw(name, rng)
        steps = int(rng.choice([1, training, count(rng, 1, 400)]))
        arguments = (warmup, training, more)
        theirs = stepped(lambda o, a=arguments: peer.get_scheduler(name, o, *a), lr, steps)
        schedule = compat.get_scheduler(SchedulerType(name), lr, *arguments, steps=steps)
        ours = schedule.values(steps)
        if name == "cosine_with_restarts":
            skip = missed(warmup, training, steps, more["num_cycles"])
            assert_allclose(ours[skip], np.broadcast_to(lr, ours[skip].shape), rtol=1e-15)
            ours, theirs = ours[~skip], theirs[~skip]
        try:
            assert_same(ours, theirs, warmup, training, more)
        except AssertionError as error:
            error.add_note(f"{name}: lr={lr}, {arguments}, steps={steps}")
            raise


@pytest.mark.parametrize("name", DRAWS)
def test_without_steps_a_schedule_spans_the_training(name):
    more = {"cosine_with_min_lr": {"min_lr": 1e-4}, "cosine_warmup_with_min_lr": {"min_lr": 1e-4}}
    more["warmup_stable_decay"] = {"num_decay_steps": 30}
    arguments = (10, 90, more.get(name))
    theirs = stepped(lambda o: peer.get_scheduler(name, o, *arguments), 1e-3, 90)
    ours = compat.get_scheduler(name, 1e-3, *arguments)
    assert_allclose(ours.values(90), theirs, rtol=1e-12, atol=1e-17)


def test_a_restart_is_at_the_full_rate_where_transformers_misses_it():
    arguments = (0, 220, 22)
    theirs = stepped(
        lambda o: peer.get_cosine_with_hard_restarts_schedule_with_warmup(o, *arguments), 1.0, 161
    )
    assert_allclose(theirs[[140, 150, 160]], [1, 0, 1], atol=1e-15)
    ours = compat.get_cosine_with_hard_restarts_schedule_with_warmup(1.0, *arguments)
    assert list(ours.values(220)[[140, 150, 160]]) == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "argument"), [("polynomial", "lr_end"), ("cosine_with_min_lr", "min_lr")]
)
def test_every_group_ends_at_the_last_rate_where_transformers_scales_it(name, argument):
    lrs, arguments = [1.0, 0.1], (0, 10, {argument: 0.01})
    theirs = stepped(lambda o: peer.get_scheduler(name, o, *arguments), lrs, 11, default=1.0)
    assert_allclose(theirs[10], [0.01, 0.001])
    ours = compat.get_scheduler(name, lrs, *arguments, steps=11)
    assert_allclose(ours.values(11)[[0, 10]], [lrs, [0.01, 0.01]])


def test_a_warmup_that_fills_the_training_ends_where_transformers_divides_by_0():
    name, arguments = "polynomial", (4, 4, {"lr_end": 0.25})
    with pytest.raises(ZeroDivisionError):
        stepped(lambda o: peer.get_scheduler(name, o, *arguments), 1.0, 6)
    ours = compat.get_scheduler(name, 1.0, *arguments, steps=6).values(6)
    assert list(ours) == [0, 0.25, 0.5, 0.75, 0.25, 0.25]


def test_a_warmup_and_decay_beyond_the_training_are_an_error_where_transformers_jumps():
    arguments = {"num_warmup_steps": 4, "num_decay_steps": 8, "num_training_steps": 8}
    theirs = stepped(lambda o: peer.get_wsd_schedule(o, **arguments, decay_type="linear"), 1.0, 6)
    assert_allclose(theirs, [0, 0.25, 0.5, 0.75, 0.5, 0.375])
    with pytest.raises(ValueError, match="`num_training_steps` .* 12, got 8"):
        compat.get_wsd_schedule(1.0, **arguments)


def test_more_arguments_of_a_constant_rate_are_an_error_where_transformers_forgets_them():
    arguments = ("constant", 0, 10, {"num_cycles": 2})
    stepped(lambda o: peer.get_scheduler(arguments[0], o, *arguments[1:]), 1.0, 2)
    with pytest.raises(TypeError, match="num_cycles"):
        compat.get_scheduler(arguments[0], 1.0, *arguments[1:])
