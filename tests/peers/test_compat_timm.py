"""Schedules of `lehr.compat.timm` have, step by step, the values of timm's own."""

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from lehr.compat import timm as compat
from numpy.testing import assert_allclose
from timm import scheduler as timm

CONFIGURATIONS = 200
MOST = 400


def optimizer_of(rates):
    groups = [{"params": [torch.zeros(1)], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups)


def peer_curve(name, rates, arguments, steps, number=int):
    """Return what the optimizer has in each step; timm is called between two of them."""
    optimizer = optimizer_of(rates)
    scheduler = getattr(timm, name)(optimizer, **arguments, t_in_epochs=False)
    found = []
    for step in range(steps):
        if step:
            scheduler.step_update(number(step))
        found.append([float(group["lr"]) for group in optimizer.param_groups])
    return np.array(found)


def our_curve(name, rates, arguments, steps):
    found = getattr(compat, name)(rates, **arguments, steps=steps).values(steps)
    return found.reshape(steps, len(rates))


def some_steps(rng):
    return int(rng.choice([1, 2, 3, rng.integers(4, MOST + 1)], p=[0.05, 0.05, 0.05, 0.85]))


def length(rng, low):
    """Return a number of steps: the smallest, short, or up to more than any run has."""
    return int(rng.choice([low, 1, rng.integers(1, 10), rng.integers(1, MOST + 100)]))


def some_rates(rng):
    return [float(10 ** rng.uniform(-5, 1)) for _ in range(rng.choice([1, 3]))]


def low_rate(rng):
    return float(rng.choice([0, 10 ** rng.uniform(-7, -4), 10 ** rng.uniform(-4, 0)]))


def warmup(rng):
    arguments = {"warmup_t": length(rng, 0), "warmup_lr_init": low_rate(rng)}
    return arguments if rng.uniform() < 0.7 else {}


def prefix(rng):
    return {"warmup_prefix": bool(rng.integers(2))} if rng.uniform() < 0.8 else {}


def cycles(rng):
    # Lengths of which every sum is exact in float64.
    return {
        "t_initial": length(rng, 1),
        "lr_min": low_rate(rng),
        "cycle_mul": float(rng.choice([1, 0.5, 1.5, 2, 3])),
        "cycle_decay": float(rng.choice([1, 0.5, rng.uniform(0.1, 1), 1.1])),
        "cycle_limit": int(rng.choice([0, 1, 2, 5, 20], p=[0.05, 0.35, 0.2, 0.2, 0.2])),
        **warmup(rng),
        **prefix(rng),
    }


def k_decay(rng):
    return {"k_decay": float(rng.choice([1, 0.5, 2, rng.uniform(0.2, 4)]))}


def cosine(rng):
    return {**cycles(rng), **k_decay(rng)}


def poly(rng):
    return {**cycles(rng), **k_decay(rng), "power": float(rng.choice([0.5, 1, 2, 0.9]))}


def tanh(rng):
    bounds = {"lb": float(rng.uniform(-10, 0)), "ub": float(rng.uniform(0.1, 8))}
    return {**cycles(rng), **(bounds if rng.uniform() < 0.6 else {})}


def rate_of(rng):
    return {"decay_rate": float(rng.choice([1, 0.1, 0.5, rng.uniform(0.5, 1.1), 0]))}


def step(rng):
    size = float(rng.choice([length(rng, 1), rng.uniform(1, 50), 2.4, 1.1]))
    return {"decay_t": size, **rate_of(rng), **warmup(rng), **prefix(rng)}


def multistep(rng):
    milestones = sorted(int(m) for m in rng.integers(0, rng.choice([5, MOST]), rng.integers(0, 8)))
    return {"decay_t": milestones, **rate_of(rng), **warmup(rng), **prefix(rng)}


def wsd(rng):
    total = length(rng, 1)
    return {
        "t_initial": total,
        "decay_t": int(rng.choice([1, total, rng.integers(1, total + 1)])),
        "lr_min": low_rate(rng),
        "stable_fn": str(rng.choice(["constant", "rsqrt", "power"])),
        "stable_timescale": float(rng.choice([1, rng.uniform(0.5, 500)])),
        "stable_power": float(rng.choice([0.5, 1, 0.51, rng.uniform(0.1, 3)])),
        "decay_fn": str(rng.choice(["linear", "1-sqrt", "cosine", "power", "exp"])),
        "decay_power": float(rng.choice([0.5, 1, 2, rng.uniform(0.2, 3)])),
        "decay_ratio": float(rng.choice([0.1, rng.uniform(0.01, 0.9)])),
        **warmup(rng),
    }


DRAWS = {
    "CosineLRScheduler": cosine,
    "TanhLRScheduler": tanh,
    "StepLRScheduler": step,
    "MultiStepLRScheduler": multistep,
    "PolyLRScheduler": poly,
    "WSDLRScheduler": wsd,
}


def restarts(arguments, steps):
    """Return the cycle that begins at each whole step, by exact fractions, and where it ends."""
    mul, start, found = Fraction(arguments["cycle_mul"]), Fraction(0), {}
    for i in range(60):
        if start >= steps:
            break
        if start.denominator == 1:
            found[int(start)] = i
        start += arguments["t_initial"] * mul**i
    return found


def index_of_timm(t, t_initial, mul):
    return math.floor(math.log(1 - t / t_initial * (1 - mul), mul))


def late_restarts(arguments, steps):
    """Return the steps at which a cycle begins, but timm's logarithm is rounded below it."""
    mul, first = arguments.get("cycle_mul", 1), arguments.get("t_initial")
    shift = arguments.get("warmup_t", 0)
    late = {}
    if mul != 1:
        hidden = 0 if arguments.get("warmup_prefix") else shift
        behind = shift - hidden
        for t, i in restarts(arguments, steps).items():
            if t >= max(hidden, 1) and t + behind < steps and index_of_timm(t, first, mul) != i:
                late[t + behind] = i
    return late


def within_reach(arguments, steps):
    """Return as many steps as timm can be asked for: cycles that shrink have a last one."""
    if arguments.get("cycle_mul", 1) >= 1:
        return steps
    shift = arguments.get("warmup_t", 0)
    ahead = shift if arguments.get("warmup_prefix") else 0
    return max(min(steps, 2 * arguments["t_initial"] + ahead), 1)


def drawn(name, rng):
    while True:
        arguments = DRAWS[name](rng)
        # TanhLRScheduler asks for step `warmup_t` when it is made.
        ends = 2 * arguments.get("t_initial", 0)
        if arguments.get("cycle_mul", 1) >= 1 or arguments.get("warmup_t", 0) < ends:
            return arguments


@pytest.mark.parametrize("name", DRAWS)
def test_a_curve_is_that_of_timm(name):
    rng = np.random.default_rng([*name.encode()])
    late_ones = 0
    # timm's 1 - x has lost digits when it takes the power. In 80 bits it keeps 3 more of them.
    number = np.longdouble if name == "PolyLRScheduler" else int
    for _ in range(CONFIGURATIONS):
        rates, arguments = some_rates(rng), drawn(name, rng)
        steps = within_reach(arguments, some_steps(rng))
        peer = peer_curve(name, rates, arguments, steps, number)
        ours = our_curve(name, rates, arguments, steps)
        late = late_restarts(arguments, steps)
        late_ones += len(late)
        for step, i in late.items():
            if i < arguments["cycle_limit"] and name != "TanhLRScheduler":
                peaks = np.array(rates) * arguments["cycle_decay"] ** i
                assert_allclose(ours[step], peaks, rtol=1e-12, err_msg=f"{arguments}")
        asked = [step for step in range(steps) if step not in late]
        # timm's lr_min + (lr - lr_min) * x is rounded to the larger of the two, reached or not.
        atol = 1e-14 * max(*rates, arguments.get("lr_min", 0), np.abs(peer).max())
        assert_allclose(
            ours[asked], peer[asked], rtol=1e-12, atol=atol, err_msg=f"{rates} {arguments} {steps}"
        )
    # The cases are among those drawn, and are few.
    assert (0 < late_ones < 50) == ("cycle_mul" in DRAWS[name](rng))


@pytest.mark.parametrize("name", ["CosineLRScheduler", "TanhLRScheduler"])
def test_cycles_of_any_length_are_those_of_timm(name):
    rng = np.random.default_rng([*name.encode(), 1])
    for _ in range(CONFIGURATIONS):
        rates, steps, arguments = some_rates(rng), some_steps(rng), DRAWS[name](rng)
        arguments["cycle_mul"] = float(rng.uniform(1.1, 3))
        peer = peer_curve(name, rates, arguments, steps)
        ours = our_curve(name, rates, arguments, steps)
        # Where a cycle of timm begins, start = (1 - mul ** i) / (1 - mul) * t_initial, is off by
        # some 4 units in the last place of mul ** i / (mul - 1), 1e-15 / 0.1 of the cycle, and a
        # curve rises by up to 5 (a tangent, (ub - lb) / 2 = 9) times that share, k_decay times.
        scale = max(*rates, arguments["lr_min"], np.abs(peer).max())
        atol = 1e-14 * 9 * arguments.get("k_decay", 1) * scale
        assert_allclose(ours, peer, rtol=1e-12, atol=atol, err_msg=f"{rates} {arguments} {steps}")


def test_a_restart_is_at_its_step_where_a_rounded_logarithm_makes_timm_s_late():
    arguments = {"t_initial": 1, "cycle_mul": 3.0, "cycle_limit": 9}
    peer = peer_curve("CosineLRScheduler", [1.0], arguments, 124)[:, 0]
    ours = our_curve("CosineLRScheduler", [1.0], arguments, 124)[:, 0]
    # Cycles begin at steps 0, 1, 4, 13, 40, 121.
    assert [peer[step] for step in (1, 4, 13, 40, 121)] == [1, 1, 1, 1, 0]
    assert [ours[step] for step in (1, 4, 13, 40, 121)] == [1, 1, 1, 1, 1]


def test_cycles_that_shrink_end_where_timm_raises():
    arguments = {"t_initial": 4, "cycle_mul": 0.5, "cycle_limit": 2}
    with pytest.raises(ValueError, match=r"math domain error|expected a positive input"):
        peer_curve("CosineLRScheduler", [1.0], arguments, 9)
    ours = our_curve("CosineLRScheduler", [1.0], arguments, 12)
    assert list(ours[6:, 0]) == [0] * 6


def test_a_warmup_that_is_no_prefix_jumps_at_its_end_and_a_tangent_does_not():
    arguments = {"t_initial": 10, "warmup_t": 4, "lr_min": 0.0}
    cosine = our_curve("CosineLRScheduler", [0.1], arguments, 5)[:, 0]
    assert_allclose(cosine, [0, 0.025, 0.05, 0.075, 0.05 * (1 + math.cos(0.4 * math.pi))])
    assert_allclose(cosine, peer_curve("CosineLRScheduler", [0.1], arguments, 5)[:, 0])
    tangent = our_curve("TanhLRScheduler", [0.1], {**arguments, "lb": -1.0, "ub": 1.0}, 5)[:, 0]
    assert_allclose(np.diff(tangent), tangent[1])


def test_step_0_has_the_base_rate_as_timm_calls_a_scheduler_first_for_step_1():
    for name, arguments in [
        ("TanhLRScheduler", {"t_initial": 5, "lb": -1.0}),
        ("MultiStepLRScheduler", {"decay_t": [0, 1], "decay_rate": 0.5}),
        ("CosineLRScheduler", {"t_initial": 5, "cycle_limit": 0}),
        ("WSDLRScheduler", {"t_initial": 5, "decay_t": 2, "lr_min": 2.0}),
    ]:
        optimizer = optimizer_of([1.0])
        scheduler = getattr(timm, name)(optimizer, **arguments)
        assert optimizer.param_groups[0]["lr"] == our_curve(name, [1.0], arguments, 2)[0, 0] == 1
        scheduler.step(0)
        assert optimizer.param_groups[0]["lr"] != 1


def test_a_decay_of_one_s_own_is_that_of_timm():
    rng = np.random.default_rng(5)
    for _ in range(40):
        rates, steps, arguments = some_rates(rng), some_steps(rng), wsd(rng)
        arguments["decay_fn"] = lambda share: (1 - share) ** 3
        peer = peer_curve("WSDLRScheduler", rates, arguments, steps)
        ours = our_curve("WSDLRScheduler", rates, arguments, steps)
        atol = 1e-14 * max(*rates, arguments["lr_min"])
        assert_allclose(ours, peer, rtol=1e-12, atol=atol, err_msg=f"{rates} {arguments} {steps}")


def test_a_scale_of_each_group_is_a_factor_of_the_schedule():
    scales, optimizer = [1.0, 0.5], optimizer_of([1.0, 1.0])
    for group, scale in zip(optimizer.param_groups, scales, strict=True):
        group["lr_scale"] = scale
    arguments = {"t_initial": 9, "lr_min": 0.1, "warmup_t": 2, "warmup_lr_init": 0.2}
    scheduler, peer = timm.CosineLRScheduler(optimizer, **arguments), []
    for epoch in range(12):
        peer.append([group["lr"] for group in optimizer.param_groups])
        scheduler.step(epoch + 1)
    ours = compat.CosineLRScheduler(1.0, **arguments, steps=12) * scales
    assert_allclose(ours.values(12), peer, rtol=1e-12)


def test_arguments_and_defaults_are_those_of_timm():
    for name in DRAWS:
        theirs = list(inspect.signature(getattr(timm, name)).parameters.values())
        ours = list(inspect.signature(getattr(compat, name)).parameters.values())
        assert [p.name for p in ours] == ["lr", *(p.name for p in theirs[1:]), "steps"]
        assert [p.default for p in ours[1:-1]] == [p.default for p in theirs[1:]]
