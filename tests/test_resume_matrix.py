"""A plain loop, cut behind every step and resumed in every order: who goes on where it was.

`make test-peers` runs this file too, with the torch of the other trainers.
"""

import math
from functools import cache

import pytest
import torch
from resume_matrix import (
    BUILD_THEN_LOAD,
    LAST_EPOCH,
    OPTIMIZER_FIRST,
    ORDERS,
    SCHEDULER_FIRST,
    STEPS,
    adamw,
    differences,
    run,
    sgd,
)
from torch.optim import lr_scheduler as lrs


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
