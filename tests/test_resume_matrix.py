"""A plain loop, cut behind every step and resumed in every order: who goes on where it was.

`make test-peers` runs this file too, with the torch of the other trainers.
"""

import math
from functools import cache

import pytest
import torch
from lehr import (
    PhaseSpec,
    Plateau,
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    SchedPoly,
    Scheduler,
    Tied,
    _core,
    annealer,
    combine_scheds,
    combined_cos,
)
from resume_matrix import (
    BUILD_THEN_LOAD,
    LAST_EPOCH,
    OPTIMIZER_FIRST,
    ORDERS,
    SCHEDULER_FIRST,
    START_STEP,
    STEPS,
    adamw,
    differences,
    differences_after_cuts,
    named,
    run,
    sgd,
)
from torch.optim import lr_scheduler as lrs

# The trainings go on behind the end of a cooldown.
pytestmark = pytest.mark.filterwarnings("ignore:the schedules ended after")


def wrong_steps(make_scheduler, order, make_optimizer=sgd):
    """Return for every cut how many of the steps differ from those of the run without one."""
    whole = run(make_scheduler, make_optimizer=make_optimizer)
    wrong = []
    for cut in range(STEPS):
        again = run(make_scheduler, cut, order, make_optimizer=make_optimizer)
        count, weights_agree = differences(whole, again)
        assert weights_agree == (count == 0)
        wrong.append(count)
    return wrong


def linear_and_exponential(optimizer, **options):
    return [
        lrs.LinearLR(optimizer, 0.1, total_iters=5, **options),
        lrs.ExponentialLR(optimizer, 0.9, **options),
    ]


TORCH = {
    "Cosine": lambda opt, **kw: lrs.CosineAnnealingLR(opt, STEPS, **kw),
    "Step": lambda opt, **kw: lrs.StepLR(opt, 6, 0.5, **kw),
    "MultiStep": lambda opt, **kw: lrs.MultiStepLR(opt, [5, 11], 0.3, **kw),
    "Exponential": lambda opt, **kw: lrs.ExponentialLR(opt, 0.9, **kw),
    "Polynomial": lambda opt, **kw: lrs.PolynomialLR(opt, STEPS, 2.0, **kw),
    "OneCycle": lambda opt, **kw: lrs.OneCycleLR(opt, [0.1, 1.0], total_steps=STEPS, **kw),
    "Lambda": lambda opt, **kw: lrs.LambdaLR(opt, lambda step: 1 / (1 + step), **kw),
    "Cyclic": lambda opt, **kw: lrs.CyclicLR(opt, [0.01, 0.02], [0.1, 0.3], 4, **kw),
    "WarmRestarts": lambda opt, **kw: lrs.CosineAnnealingWarmRestarts(opt, 6, **kw),
    "Linear": lambda opt, **kw: lrs.LinearLR(opt, 0.1, total_iters=5, **kw),
    "Constant": lambda opt, **kw: lrs.ConstantLR(opt, 0.1, total_iters=5, **kw),
    "Sequential": lambda opt, **kw: lrs.SequentialLR(
        opt, linear_and_exponential(opt, **kw), [5], **kw
    ),
    "Chained": lambda opt, **kw: lrs.ChainedScheduler(linear_and_exponential(opt, **kw)),
}

# Where torch goes wrong: how many of the 13 steps that follow a cut behind 7 steps, and after how
# many of the 20 cuts there is any fault. Everything else is right.
FAULTS = {
    ("OneCycle", OPTIMIZER_FIRST): (1, 19),
    ("Lambda", OPTIMIZER_FIRST): (1, 19),
    ("Cyclic", OPTIMIZER_FIRST): (1, 17),  # not where a cycle starts
    ("WarmRestarts", OPTIMIZER_FIRST): (1, 16),  # nor here
    ("Linear", OPTIMIZER_FIRST): (13, 20),
    ("Constant", OPTIMIZER_FIRST): (13, 20),
    ("Sequential", OPTIMIZER_FIRST): (13, 19),
    ("Chained", OPTIMIZER_FIRST): (13, 20),
    # Where the rate changes by a factor in one step, a cut just there applies it twice.
    ("Step", LAST_EPOCH): (0, 3),
    ("MultiStep", LAST_EPOCH): (0, 2),
    ("Linear", LAST_EPOCH): (0, 1),
    ("Constant", LAST_EPOCH): (0, 2),
    ("Chained", LAST_EPOCH): (0, 1),
    ("Sequential", LAST_EPOCH): (13, 18),
}


@cache
def torch_s_wrong_steps(kind, order):
    return wrong_steps(TORCH[kind], order)


def cell(kind, order):
    wrong = torch_s_wrong_steps(kind, order)
    return wrong[7], sum(map(bool, wrong))


@pytest.mark.parametrize("kind", TORCH)
@pytest.mark.parametrize("order", [BUILD_THEN_LOAD, SCHEDULER_FIRST])
def test_torch_s_schedulers_go_on_where_they_were_when_built_first(kind, order):
    assert torch_s_wrong_steps(kind, order) == [0] * STEPS


@pytest.mark.parametrize("kind", ["OneCycle", "Cyclic"])
def test_torch_s_schedulers_of_beta1_go_on_where_they_were_when_built_first(kind):
    assert wrong_steps(TORCH[kind], BUILD_THEN_LOAD, adamw) == [0] * STEPS


@pytest.mark.skipif(
    not torch.__version__.startswith(("2.14.", "2.15.")), reason="measured on torch 2.14 and 2.15"
)
def test_torch_s_schedulers_go_wrong_in_the_other_orders():
    table = {(kind, order): cell(kind, order) for kind in TORCH for order in ORDERS}
    print(f"{'':12}", *(f"{order:>39}" for order in ORDERS))
    for kind in TORCH:
        print(f"{kind:12}", *(f"{table[kind, order]!s:>39}" for order in ORDERS))
    assert {key: found for key, found in table.items() if found != (0, 0)} == FAULTS


class Forgetful(lrs.LambdaLR):
    """Starts anew whatever it is given."""

    def load_state_dict(self, state_dict):
        pass


def test_the_matrix_sees_a_scheduler_that_starts_anew():
    def make(optimizer):
        return Forgetful(optimizer, lambda step: 1 - step / STEPS)

    # Loading the optimizer last puts one right rate back.
    assert wrong_steps(make, BUILD_THEN_LOAD)[1:] == [*range(STEPS - 2, -1, -1)]
    assert wrong_steps(make, OPTIMIZER_FIRST)[1:] == [*range(STEPS - 1, 0, -1)]


def test_differences_sees_one_bit():
    whole = run(TORCH["OneCycle"])
    assert differences(whole, run(TORCH["OneCycle"])) == (0, True)
    rates = [list(groups) for groups in whole.rates]
    rates[3][1] = math.nextafter(rates[3][1], 1)
    assert differences(whole, whole._replace(rates=rates)) == (1, True)
    momenta = [*whole.momenta[:-2], [0.9, 0.8], [0.9, 0.8]]
    assert differences(whole, whole._replace(momenta=momenta)) == (2, True)
    weights = [*whole.weights[:-1], whole.weights[-1].nextafter(torch.tensor(1.0))]
    assert differences(whole, whole._replace(weights=weights)) == (0, False)


# Our own Scheduler.


@annealer
def square_root(start, end, pos):
    return start + (end - start) * pos**0.5


def falling(pos):
    return 0.2 / (1 + 3 * pos)


def is_head(group):
    return group["name"] == "head"


def one(rate, momentum=None, **others):
    """Schedules of the rate, of the momentum by the same shape where it is given, and of others."""
    return {"lr": rate} | ({} if momentum is None else {"mom": momentum}) | others


WARM_AND_COOL = combine_scheds([0.3, 0.7], [SchedLin(0.01, 0.2), SchedCos(0.2, 0)])
KINDS = {
    "SchedNo": one(SchedNo(0.1, 0.1), SchedNo(0.8, 0.8)),
    "SchedLin": one(SchedLin(0.2, 0.01), SchedLin(0.95, 0.85)),
    "SchedCos": one(SchedCos(0.2, 0.01), SchedCos(0.95, 0.85)),
    "SchedExp": one(SchedExp(0.2, 1e-6), SchedExp(0.95, 0.6)),
    "SchedPoly": one(SchedPoly(0.2, 0.0, 1.7), SchedPoly(0.95, 0.85, 0.5)),
    "combine_scheds": one(WARM_AND_COOL),
    "combined_cos": one(combined_cos(0.25, 0.01, 0.3, 1e-6), combined_cos(0.25, 0.95, 0.85, 0.9)),
    "one cycle": one(_core.one_cycle_lr(0.3, 25, 1e5, 0.25)),
    "flat-cos": one(_core.flat_cos_lr(0.2, 1e5, 0.75)),
    "warm restarts": one(_core.sgdr_lr(0.2, 3, 2, STEPS)),
    "PhaseSpec": one(
        PhaseSpec(["5 steps", "20%", "rest"], [SchedLin(0, 0.2), SchedNo(0.2, 0.2), falling])
    ),
    "nested": one(combine_scheds([0.5, 0.5], [WARM_AND_COOL, combined_cos(0.3, 0.1, 0.2, 0)])),
    "function": one(falling, lambda pos: 0.95 - 0.1 * pos),
    "annealer": one(square_root(0.2, 0.01)),
    "array": one(SchedCos([0.1, 0.2], [0.01, 0.0]), SchedLin([0.9, 0.8], 0.7)),
    "list": one([SchedLin(0.1, 0), falling]),
    "by index": one({1: SchedExp(0.1, 0.001), 0: SchedLin(0.1, 0.3)}),
    "by name": one({"head": SchedExp(0.1, 0.001), "body": SchedLin(0.1, 0.3)}),
    "by predicate": one({is_head: SchedExp(0.1, 0.001), ...: SchedNo(0.02, 0.02)}),
    "one group": one({"head": SchedCos(0.1, 0)}),
    "tied": one(WARM_AND_COOL, weight_decay=Tied("lr", 0.5)),
    "tied groups": one([SchedLin(0.1, 0), falling], weight_decay=Tied("lr", 0.5)),
    "own key": one(SchedLin(0.2, 0), mine=SchedLin(1, 2)),
    "plateau": one(SchedCos(0.2, 0.01), weight_decay=Tied("lr", 0.5)),
    "cooldown": one(SchedNo(0.1, 0.1), SchedLin(0.95, 0.85), weight_decay=Tied("lr", 0.5)),
    "plateau, cooldown": one(combined_cos(0.25, 0.01, 0.3, 0)),
}
METRICS = [3, 2, 2.5, 2.4, 1, 1, 1, 1, 1.2, 0.9, 0.9, 0.9, 0.9, float("nan"), 1, 1, 0.5, 1, 1, 1]


def act_of(kind):
    """Return what happens behind each step: cuts are everywhere, before it and after."""

    def act(scheduler, step):
        if "plateau" in kind:
            scheduler.observe(METRICS[step])
        if "cooldown" in kind and step == 8:
            scheduler.cooldown(9, 0.001, SchedCos)

    return act


def make_of(kind, count):
    def make(optimizer, **options):
        plateau = Plateau(0.5, 1, cooldown=1, min_lr=1e-3) if "plateau" in kind else None
        return Scheduler(optimizer, KINDS[kind], STEPS, count=count, plateau=plateau, **options)

    return make


LOAD_ORDERS = (BUILD_THEN_LOAD, SCHEDULER_FIRST, OPTIMIZER_FIRST)
WAYS = [(o, count) for o in (sgd, adamw) for count in ("calls", "optimizer")]


@cache
def our_differences(kind, make_optimizer, count):
    # What has happened until the cut is only in the state.
    has_state = "plateau" in kind or "cooldown" in kind
    orders = LOAD_ORDERS if has_state else (*LOAD_ORDERS, START_STEP)
    make = make_of(kind, count)
    return differences_after_cuts(make, named(make_optimizer), orders, act_of(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make_optimizer", "count"), WAYS)
def test_our_scheduler_goes_on_bit_for_bit_after_every_cut_in_every_order(
    kind, make_optimizer, count
):
    found = our_differences(kind, make_optimizer, count)
    assert found == {order: [0] * (STEPS + 1) for order in found}


def test_our_scheduler_has_no_fault_where_torch_s_have_theirs():
    """The table: after how many of the cuts, and in how many steps, a resumed run differs."""
    print(f"after how many of {STEPS} cuts a resumed run differs, in how many steps in all")
    columns = (*LOAD_ORDERS, "no state of the scheduler")
    print(f"{'':24}", *(f"{order:>39}" for order in columns))
    for kind in TORCH:
        cells = [torch_s_wrong_steps(kind, order) for order in (*LOAD_ORDERS, LAST_EPOCH)]
        shown = [f"{sum(map(bool, wrong))} cuts, {sum(wrong)} steps" for wrong in cells]
        print(f"torch {kind:18}", *(f"{one:>39}" for one in shown))
    total = 0
    for kind in KINDS:
        shown = []
        for order in (*LOAD_ORDERS, START_STEP):
            ways = [our_differences(kind, *way).get(order) for way in WAYS]
            wrong = [count for way in ways if way is not None for count in way]
            total += sum(wrong)
            shown.append(f"{sum(map(bool, wrong))} cuts, {sum(wrong)} steps" if wrong else "-")
        print(f"lehr  {kind:18}", *(f"{one:>39}" for one in shown))
    assert total == 0


class Amnesiac(Scheduler):
    """Starts anew whatever it is given."""

    def load_state_dict(self, state_dict):
        pass


def test_the_matrix_of_ours_sees_a_scheduler_that_starts_anew():
    def make(optimizer):
        return Amnesiac(optimizer, {"lr": SchedLin(0.2, 0.1)}, STEPS, start_step=0)

    found = differences_after_cuts(make, named(sgd), [OPTIMIZER_FIRST, SCHEDULER_FIRST])
    assert found[OPTIMIZER_FIRST] == [0, *range(STEPS, 0, -1)]
    assert found[SCHEDULER_FIRST] == [0, *range(STEPS, 0, -1)]


def test_the_matrix_of_ours_sees_one_value_that_differs():
    def make(optimizer, **options):
        return Scheduler(optimizer, {"lr": SchedLin(0.2, 0.1)}, STEPS, **options)

    def act(scheduler, step):
        # By hand, at a step a resumed run is not told of: only runs cut before it have it too.
        if step == 10 and scheduler.optimizer.param_groups[0]["mine"] == 1:
            scheduler.optimizer.param_groups[0]["mine"] = 2.0 if len(runs) == 0 else 1.0
            runs.append(scheduler)

    runs = []
    [wrong] = differences_after_cuts(make, named(sgd), [BUILD_THEN_LOAD], act).values()
    assert wrong == [10] * 11 + [0] * 10
