"""Schedules of `lehr.compat.torch` have, step by step, the rates of torch's own schedulers."""

import copy
import warnings

import lehr
import mpmath
import numpy as np
import pytest
import torch
from lehr.compat import torch as compat
from numpy.testing import assert_allclose
from torch.optim import lr_scheduler as peer

CONFIGURATIONS = 200
# Steps of a run: torch's recursive forms add a rounding every step.
MOST = 250


def optimizer(lrs=1.0, momentum=0.9, cls=torch.optim.SGD):
    groups = np.atleast_1d(lrs).tolist()
    params = [{"params": [torch.nn.Parameter(torch.zeros(()))], "lr": lr} for lr in groups]
    if cls is torch.optim.SGD:
        return torch.optim.SGD(params, lr=1.0, momentum=momentum)
    return cls(params, lr=1.0)


def stepped(make, lrs, steps, of="lr"):
    """The values of every step of a real optimizer under a real scheduler, one column a group."""
    opt = optimizer(lrs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(opt)
        rows = []
        for step in range(steps):
            rows.append([group[of] for group in opt.param_groups])
            opt.step()
            if step < steps - 1:
                scheduler.step()
    return np.array(rows), scheduler


def same(schedule, rows, steps, largest=None):
    """Compare a schedule with the values of the peer, whose recursive forms round every step.

    `largest` is the largest number in the peer's formula, where that is not in the curve.
    """
    got = schedule.values(steps)
    got = got if got.ndim == 2 else np.repeat(got[:, None], rows.shape[1], axis=1)
    largest = np.abs(rows).max() if largest is None else largest
    assert_allclose(got, rows, rtol=1e-12, atol=1e-14 * largest)


def count(rng, low=1, high=MOST):
    return int(rng.choice([low, low + 1, rng.integers(low, 10 + low), rng.integers(low, high)]))


def rates(rng):
    size = rng.choice([None, 2, 3])
    return 10 ** rng.uniform(-5, 1, None if size is None else int(size))


def step_lr(rng):
    return {"step_size": count(rng), "gamma": float(rng.choice([0.1, 0.5, 0.9, 1.1, 0.0]))}


def multistep(rng):
    milestones = rng.integers(0, 300, rng.integers(0, 8)).tolist()
    return {"milestones": milestones, "gamma": float(rng.choice([0.1, 0.5, 0.9, 1.1]))}


def constant(rng):
    return {
        "factor": float(rng.choice([0.1, 1.0, rng.uniform(0.01, 1)])),
        "total_iters": count(rng),
    }


def linear(rng):
    return {
        "start_factor": float(rng.choice([1.0, 0.1, rng.uniform(0.001, 1)])),
        "end_factor": float(rng.choice([1.0, 0.0, rng.uniform()])),
        "total_iters": count(rng),
    }


def exponential(rng):
    return {"gamma": float(rng.choice([0.9, 0.5, 1.0, 1.01, rng.uniform(0.9, 1)]))}


def polynomial(rng):
    return {"total_iters": count(rng), "power": float(rng.choice([1, 2, 0.5, rng.uniform(0.3, 4)]))}


def cosine(rng):
    return {"T_max": count(rng), "eta_min": float(rng.choice([0.0, 1e-6, 1e-3]))}


def restarts(rng):
    return {
        "T_0": count(rng),
        "T_mult": int(rng.choice([1, 2, 3])),
        "eta_min": float(rng.choice([0.0, 1e-6, 1e-3])),
    }


KINDS = {
    "StepLR": step_lr,
    "MultiStepLR": multistep,
    "ConstantLR": constant,
    "LinearLR": linear,
    "ExponentialLR": exponential,
    "PolynomialLR": polynomial,
    "CosineAnnealingLR": cosine,
    "CosineAnnealingWarmRestarts": restarts,
}


@pytest.mark.parametrize("name", KINDS)
def test_a_schedule_has_the_rates_of_its_torch_scheduler(name):
    rng = np.random.default_rng(0)
    for _ in range(CONFIGURATIONS):
        lrs, arguments, steps = rates(rng), KINDS[name](rng), count(rng)
        rows, live = stepped(lambda o, a=arguments: getattr(peer, name)(o, **a), lrs, steps)
        schedule = getattr(compat, name)(lrs, **arguments, steps=steps)
        try:
            same(schedule, rows, steps)
            same(compat.from_torch(live, steps), rows, steps)
        except AssertionError as error:
            error.add_note(f"{name}({lrs}, {arguments}, steps={steps})")
            raise


def one_cycle(rng):
    three = bool(rng.integers(2))
    return {
        "total_steps": count(rng),
        "pct_start": float(rng.choice([0.3, 0.5, rng.uniform(0.01, 0.5 if three else 0.99)])),
        "anneal_strategy": str(rng.choice(["cos", "linear"])),
        "div_factor": float(rng.choice([25, 10, 1])),
        "final_div_factor": float(rng.choice([1e4, 100, 1])),
        "three_phase": three,
    }


def test_a_1cycle_has_the_rates_and_momenta_of_torch():
    rng = np.random.default_rng(1)
    tried = 0
    while tried < CONFIGURATIONS:
        lrs, arguments = rates(rng), one_cycle(rng)
        total = arguments["total_steps"]
        top = lrs.tolist() if np.ndim(lrs) else float(lrs)
        if arguments["pct_start"] * total in (0.5, 1.0):
            continue  # torch divides by 0: below
        tried += 1

        def make(o, a=arguments, top=top):
            return peer.OneCycleLR(o, top, **a)

        momenta, live = stepped(make, lrs, total, "momentum")
        rows, _ = stepped(make, lrs, total)
        kept = {name: x for name, x in arguments.items() if not name.endswith("div_factor")}
        found = compat.from_torch(live)
        for schedule, expected, largest in (
            # torch: (end - start) * pct + start rounds to ulps of the start, which a short run
            # may not visit.
            (compat.OneCycleLR(lrs, **arguments), rows, np.max(lrs)),
            (found["lr"], rows, np.max(lrs)),
            (compat.OneCycleLR_momentum(**kept), momenta, 0.95),
            (found["momentum"], momenta, 0.95),
        ):
            try:
                same(schedule, expected, total, largest)
            except AssertionError as error:
                error.add_note(f"{arguments}")
                raise


def cyclic(rng):
    up = count(rng)
    return {
        "step_size_up": up,
        "step_size_down": [None, count(rng)][rng.integers(2)],
        "mode": str(rng.choice(["triangular", "triangular2", "exp_range"])),
        "gamma": float(rng.choice([1.0, 0.99, 0.9])),
    }


def test_a_cyclic_schedule_has_the_rates_and_momenta_of_torch():
    rng = np.random.default_rng(2)
    for _ in range(CONFIGURATIONS):
        lrs, arguments, steps = rates(rng), cyclic(rng), count(rng)
        tops = lrs * float(rng.choice([2.0, 10.0]))
        plain = [x.tolist() if np.ndim(x) else float(x) for x in (lrs, tops)]

        def make(o, a=arguments, plain=plain):
            return peer.CyclicLR(o, *plain, **a)

        momenta, live = stepped(make, lrs, steps, "momentum")
        rows, _ = stepped(make, lrs, steps)
        found = compat.from_torch(live, steps)
        for schedule, expected in (
            (compat.CyclicLR(lrs, tops, **arguments, steps=steps), rows),
            (found["lr"], rows),
            (compat.CyclicLR_momentum(**arguments, steps=steps), momenta),
            (found["momentum"], momenta),
        ):
            try:
                same(schedule, expected, steps)
            except AssertionError as error:
                error.add_note(f"{arguments}, steps={steps}")
                raise


def decaying(step):
    return 0.9**step


def growing(step):
    return 1 + step / 7


def test_a_function_of_the_step_is_called_with_the_steps_of_torch():
    rng = np.random.default_rng(3)
    for _ in range(CONFIGURATIONS):
        lrs, steps = rates(rng), count(rng)
        functions = [[decaying, growing][rng.integers(2)] for _ in range(np.size(lrs))]
        given = functions if np.ndim(lrs) else functions[0]
        rows, live = stepped(lambda o, given=given: peer.LambdaLR(o, given), lrs, steps)
        same(compat.LambdaLR(lrs, given, steps=steps), rows, steps)
        same(compat.from_torch(live, steps), rows, steps)


def test_schedules_one_after_the_other_have_the_rates_of_torch():
    rng = np.random.default_rng(4)
    names = [
        "ConstantLR",
        "LinearLR",
        "ExponentialLR",
        "PolynomialLR",
        "CosineAnnealingLR",
        "StepLR",
    ]
    for _ in range(CONFIGURATIONS):
        lrs, steps = rates(rng), count(rng, 5)
        chosen = [str(rng.choice(names)) for _ in range(int(rng.integers(2, 4)))]
        arguments = [KINDS[name](rng) for name in chosen]
        milestones = sorted(rng.choice(np.arange(1, 300), len(chosen) - 1, replace=False).tolist())

        def make(o, chosen=chosen, arguments=arguments, milestones=milestones):
            made = [getattr(peer, n)(o, **a) for n, a in zip(chosen, arguments, strict=True)]
            return peer.SequentialLR(o, made, milestones)

        rows, live = stepped(make, lrs, steps)
        parts = [
            getattr(compat, n)(lrs, **a, steps=steps)
            for n, a in zip(chosen, arguments, strict=True)
        ]
        try:
            same(compat.SequentialLR(parts, milestones, steps=steps), rows, steps)
            same(compat.from_torch(live, steps), rows, steps)
        except AssertionError as error:
            error.add_note(f"{chosen} {arguments} {milestones} steps={steps}")
            raise


def test_a_chain_has_the_rates_of_torch():
    rng = np.random.default_rng(5)
    names = ["ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR", "StepLR", "MultiStepLR"]
    for _ in range(CONFIGURATIONS):
        lrs, steps = rates(rng), count(rng)
        chosen = [str(rng.choice(names)) for _ in range(int(rng.integers(1, 4)))]
        arguments = [KINDS[name](rng) for name in chosen]

        def make(o, chosen=chosen, arguments=arguments):
            made = [getattr(peer, n)(o, **a) for n, a in zip(chosen, arguments, strict=True)]
            return peer.ChainedScheduler(made)

        rows, live = stepped(make, lrs, steps)
        parts = [
            getattr(compat, n)(1, **a, steps=steps) for n, a in zip(chosen, arguments, strict=True)
        ]
        try:
            same(compat.ChainedScheduler(parts, lrs), rows, steps)
            same(compat.from_torch(live, steps), rows, steps)
        except AssertionError as error:
            error.add_note(f"{chosen} {arguments} steps={steps}")
            raise


def test_chains_in_chains_have_the_rates_of_torch():
    def make(o):
        inner = peer.ChainedScheduler([peer.LinearLR(o), peer.ExponentialLR(o, 0.9)])
        return peer.ChainedScheduler([inner, peer.StepLR(o, 3)])

    rows, live = stepped(make, [0.1, 0.2], 20)
    same(compat.from_torch(live, 20), rows, 20)


def test_functions_of_transformers_have_their_rates():
    transformers = pytest.importorskip("transformers")

    def make(o):
        return transformers.get_cosine_schedule_with_warmup(o, 5, 40)

    rows, live = stepped(make, [0.1, 0.2], 40)
    same(compat.from_torch(live, 40), rows, 40)


def test_momenta_of_a_cycle_in_a_sequence_have_those_of_torch():
    def make(o):
        parts = [peer.ConstantLR(o, 0.5, total_iters=3), peer.OneCycleLR(o, 1.0, total_steps=10)]
        return peer.SequentialLR(o, [*parts, peer.ExponentialLR(o, 0.9)], [4, 11])

    momenta, live = stepped(make, 1.0, 20, "momentum")
    assert len(np.unique(momenta[11:])) == 1
    same(compat.from_torch(live, 20)["momentum"], momenta, 20)


def test_a_1cycle_has_momenta_and_peaks_of_each_group():
    def make(o):
        return peer.OneCycleLR(
            o, [0.0, 0.2], total_steps=12, base_momentum=[0.8, 0.7], max_momentum=[0.9, 0.95]
        )

    momenta, live = stepped(make, [1.0, 1.0], 12, "momentum")
    rows, _ = stepped(make, [1.0, 1.0], 12)
    found = compat.from_torch(live)
    same(found["lr"], rows, 12)
    same(found["momentum"], momenta, 12)
    lists = {"base_momentum": [0.8, 0.7], "max_momentum": [0.9, 0.95]}
    same(compat.OneCycleLR_momentum(12, **lists), momenta, 12)


# Where torch is wrong.


def test_a_1cycle_in_a_sequence_leaves_the_warmup_alone():
    """torch: `OneCycleLR` rewrites `initial_lr`, and the warmup runs at 1/25 of its rate."""

    def make(o):
        warmup = peer.LinearLR(o, 0.5, total_iters=4)
        return peer.SequentialLR(o, [warmup, peer.OneCycleLR(o, 1.0, total_steps=10)], [4])

    rows, live = stepped(make, 1.0, 14)
    assert rows[0, 0] == pytest.approx(0.5 / 25)
    found = compat.from_torch(live)
    assert found["lr"](0) == 0.5
    assert_allclose(found["lr"].values(14)[4:], rows[4:, 0], rtol=1e-12)


def test_a_sequence_or_chain_in_a_sequence_begins_at_its_own_step_0():
    """torch: it runs one step ahead where it is the first, and raises where it is not."""

    def inner(o):
        return peer.ChainedScheduler([peer.ExponentialLR(o, 0.5)])

    def first(o):
        return peer.SequentialLR(o, [inner(o), peer.StepLR(o, 9)], [3])

    def second(o):
        return peer.SequentialLR(o, [peer.StepLR(o, 9), inner(o)], [3])

    rows, live = stepped(first, 1.0, 5)
    assert rows[:, 0].tolist() == [0.5, 0.25, 0.125, 1, 1]
    assert_allclose(compat.from_torch(live, 5).values(5), [1, 0.5, 0.25, 1, 1], rtol=1e-14)
    with pytest.raises(NotImplementedError):
        stepped(second, 1.0, 5)
    found = compat.from_torch(second(optimizer()), 5)
    assert_allclose(found.values(5), [1, 1, 1, 1, 0.5], rtol=1e-14)


def test_a_constant_factor_of_no_steps_is_never_applied():
    rows, _ = stepped(lambda o: peer.ConstantLR(o, 0.5, total_iters=0), 1.0, 4)
    assert rows[:, 0].tolist() == [0.5] * 4
    assert compat.ConstantLR(1.0, 0.5, 0, steps=4).values(4).tolist() == [1.0] * 4


def test_a_1cycle_whose_first_phase_has_no_length_begins_at_the_peak():
    with pytest.raises(ZeroDivisionError):
        stepped(lambda o: peer.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.1), 1.0, 10)
    assert compat.OneCycleLR(1.0, 10, pct_start=0.1)(0) == 1


def test_a_chain_keeps_what_a_function_loses():
    def make(o):
        return peer.ChainedScheduler(
            [peer.ConstantLR(o, 0.5, total_iters=2), peer.LambdaLR(o, growing)]
        )

    rows, live = stepped(make, 1.0, 5)
    assert rows[1, 0] == growing(1)  # without the factor
    parts = [compat.ConstantLR(1, 0.5, 2, steps=5), compat.LambdaLR(1, growing, steps=5)]
    assert compat.ChainedScheduler(parts).values(5)[1] == growing(1) / 2
    with pytest.raises(TypeError, match="LambdaLR: in a chain it sets the rate itself"):
        compat.from_torch(live, 5)


def test_the_recursive_cosine_drifts_and_ours_does_not():
    steps = 20_000
    rows, _ = stepped(lambda o: peer.CosineAnnealingLR(o, steps), 1.0, steps)
    ours = compat.CosineAnnealingLR(1.0, steps, steps=steps).values(steps)
    with mpmath.workdps(50):
        exact = {k: (1 + mpmath.cos(mpmath.pi * k / steps)) / 2 for k in (1, steps // 2, steps - 1)}
    for k, value in exact.items():
        assert abs(ours[k] - value) <= 1e-11 * value
    last = exact[steps - 1]
    assert abs(ours[-1] - last) < abs(rows[-1, 0] - last) / 100


# The converter.


def test_adam_has_its_first_beta_cycled():
    opt = optimizer(0.1, cls=torch.optim.AdamW)
    live = peer.OneCycleLR(opt, 0.1, total_steps=20)
    assert compat.from_torch(live).keys() == {"lr", "betas[0]"}


def test_a_converted_scheduler_drives_an_optimizer_as_its_original():
    first, second = optimizer([0.1, 0.2]), optimizer([0.1, 0.2])
    live = peer.OneCycleLR(first, [0.1, 0.2], total_steps=30)
    ours = lehr.Scheduler(second, lehr.compat.from_torch(live), steps=30)
    for _ in range(29):
        for opt, scheduler in ((first, live), (second, ours)):
            opt.step()
            scheduler.step()
        for a, b in zip(first.param_groups, second.param_groups, strict=True):
            assert b["lr"] == pytest.approx(a["lr"], rel=1e-12)
            assert b["momentum"] == pytest.approx(a["momentum"], rel=1e-12)


def test_converting_changes_nothing_of_the_scheduler():
    opt = optimizer([0.1, 0.2])
    live = peer.SequentialLR(opt, [peer.LinearLR(opt), peer.CosineAnnealingLR(opt, 20)], [5])
    before = copy.deepcopy(live.state_dict())
    compat.from_torch(live, 25)
    assert str(live.state_dict()) == str(before)


def test_a_scheduler_is_converted_from_step_0_wherever_it_stands():
    for name, arguments in KINDS.items():
        given = arguments(np.random.default_rng(6))
        first, second = (getattr(peer, name)(optimizer([0.1, 0.2]), **given) for _ in range(2))
        for _ in range(7):
            second.optimizer.step()
            second.step()
        assert compat.from_torch(first, 30) == compat.from_torch(second, 30)


def test_groups_of_one_rate_give_a_schedule_without_groups():
    for make in (
        lambda o: peer.StepLR(o, 3),
        lambda o: peer.LambdaLR(o, decaying),
        lambda o: peer.OneCycleLR(o, 0.1, total_steps=9, cycle_momentum=False),
    ):
        assert compat.from_torch(make(optimizer([0.1, 0.1])), 9).groups is None


def test_rates_in_tensors_are_read():
    opt = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(()))], lr=torch.tensor(0.5))
    assert compat.from_torch(peer.StepLR(opt, 2), 5)(0) == 0.5


def test_a_1cycle_whose_rates_another_overwrote_is_refused():
    opt = optimizer()
    parts = [peer.OneCycleLR(opt, top, total_steps=5) for top in (1.0, 2.0)]
    with pytest.raises(TypeError, match="OneCycleLR: another one has overwritten its rates"):
        compat.from_torch(peer.SequentialLR(opt, parts, [5]))


class Mine(peer.LRScheduler):
    def get_lr(self):
        return [0.1]


class StepLR(peer.StepLR):
    """One that may do anything, under a name of torch's."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: peer.ReduceLROnPlateau(o), "ReduceLROnPlateau: .* use `lehr.Plateau`"),
        (lambda o: peer.MultiplicativeLR(o, decaying), "MultiplicativeLR: .* use `LambdaLR`"),
        (lambda o: peer.CyclicLR(o, 0.1, 1, scale_fn=decaying), "CyclicLR: it has a `scale_fn`"),
        (Mine, "Mine: it is no scheduler of torch"),
        (lambda o: StepLR(o, 3), "StepLR: it is no scheduler of torch"),
        (
            lambda o: peer.SequentialLR(o, [peer.StepLR(o, 2), Mine(o)], [3]),
            "Mine: it is no scheduler of torch",
        ),
    ],
)
def test_what_has_no_schedule_is_refused(make, message):
    scheduler = make(optimizer())
    with pytest.raises(TypeError, match=message):
        compat.from_torch(scheduler, 10)


def test_a_scheduler_without_an_end_needs_steps():
    with pytest.raises(ValueError, match="`steps` must be given for a StepLR"):
        compat.from_torch(peer.StepLR(optimizer(), 2))
    with pytest.raises(TypeError, match="`scheduler` must be a scheduler of torch, got None"):
        compat.from_torch(None)
