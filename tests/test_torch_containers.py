"""Our Scheduler within torch's containers: right at every step, and after every cut.

`make test-peers` runs this file too, with the torch of the other trainers.
"""

import pytest
from lehr import SchedCos, SchedExp, SchedLin, Scheduler, combined_cos
from resume_matrix import (
    BUILD_THEN_LOAD,
    LAST_EPOCH,
    OPTIMIZER_FIRST,
    ORDERS,
    SCHEDULER_FIRST,
    STEPS,
    adamw,
    differences,
    fresh,
    run,
    sgd,
)
from torch.optim import lr_scheduler as lrs

FIRST = 7  # steps of the first of two children
REST = STEPS - FIRST

WARM = SchedLin(0.01, 0.5)
COOL = SchedCos(0.5, 0.001)
MOM = combined_cos(0.25, 0.95, 0.85, 0.9)
LATE_MOM = SchedExp(0.9, 0.7)
LOAD_ORDERS = [BUILD_THEN_LOAD, SCHEDULER_FIRST, OPTIMIZER_FIRST]


def at(schedule, step, steps=STEPS):
    return schedule(min(step / steps, 1))


def ours(optimizer, steps=STEPS, last_epoch=None, **schedules):
    return Scheduler(
        optimizer, schedules, steps, start_step=None if last_epoch is None else last_epoch + 1
    )


def expected(rate, momentum):
    """Return rates and momenta of all steps for two functions of the step, alike in both groups."""
    steps = range(STEPS)
    return [[rate(k)] * 2 for k in steps], [[momentum(k)] * 2 for k in steps]


def in_turn(first, second):
    return lambda k: at(first, k, FIRST) if k < FIRST else at(second, k - FIRST, REST)


# What a container is made of, and what is then in force at step k: rate and momentum (None where
# nothing of ours writes it: then it is the 0.9 of `sgd` and `adamw`).


def both(optimizer):
    children = ours(optimizer, FIRST, lr=WARM, mom=MOM), ours(optimizer, REST, lr=COOL, mom=MOM)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def rates_alone(optimizer):
    children = ours(optimizer, FIRST, lr=WARM), ours(optimizer, REST, lr=COOL)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def three(optimizer):
    children = [ours(optimizer, 5, lr=one) for one in (WARM, COOL, WARM)]
    return lrs.SequentialLR(optimizer, children, [5, 10])


def momentum_of_the_first(optimizer):
    """What the first child wrote last stays."""
    children = ours(optimizer, FIRST, lr=WARM, mom=MOM), ours(optimizer, REST, lr=COOL)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def momentum_of_the_second(optimizer):
    """A child has its first values in place when it is made: here those of the later one stay."""
    children = ours(optimizer, FIRST, lr=WARM), ours(optimizer, REST, lr=COOL, mom=LATE_MOM)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def chained(optimizer, last_epoch=None):
    return lrs.ChainedScheduler(
        [
            ours(optimizer, lr=COOL, last_epoch=last_epoch),
            ours(optimizer, mom=MOM, last_epoch=last_epoch),
        ]
    )


def sequence_in_a_chain(optimizer):
    return lrs.ChainedScheduler([rates_alone(optimizer), ours(optimizer, mom=MOM)])


def chain_in_a_chain(optimizer, last_epoch=None):
    return lrs.ChainedScheduler(
        [
            chained(optimizer, last_epoch),
            ours(optimizer, weight_decay=SchedLin(0, 0.1), last_epoch=last_epoch),
        ]
    )


OURS = {
    both: (in_turn(WARM, COOL), in_turn(MOM, MOM)),
    rates_alone: (in_turn(WARM, COOL), lambda k: 0.9),
    three: (lambda k: at((WARM, COOL, WARM)[min(k // 5, 2)], k - min(k // 5, 2) * 5, 5), None),
    momentum_of_the_first: (in_turn(WARM, COOL), lambda k: at(MOM, min(k, FIRST - 1), FIRST)),
    momentum_of_the_second: (
        in_turn(WARM, COOL),
        lambda k: at(LATE_MOM, max(k - FIRST, 0), REST),
    ),
    chained: (lambda k: at(COOL, k), lambda k: at(MOM, k)),
    sequence_in_a_chain: (in_turn(WARM, COOL), lambda k: at(MOM, k)),
    chain_in_a_chain: (lambda k: at(COOL, k), lambda k: at(MOM, k)),
}


@pytest.mark.parametrize("make_optimizer", [sgd, adamw])
@pytest.mark.parametrize("make", OURS)
def test_every_step_has_the_value_of_the_child_whose_turn_it_is(make, make_optimizer):
    rate, momentum = OURS[make]
    whole = run(make, make_optimizer=make_optimizer)
    assert (whole.rates, whole.momenta) == expected(rate, momentum or (lambda k: 0.9))


# torch's SequentialLR starts its first child anew where it is given `last_epoch`.
CUTS = [(make, order) for make in OURS for order in LOAD_ORDERS]
CUTS += [(make, LAST_EPOCH) for make in (chained, chain_in_a_chain)]


@pytest.mark.parametrize(("make", "order"), CUTS)
def test_a_cut_anywhere_changes_nothing(make, order):
    whole = run(make)
    for cut in range(STEPS):
        assert differences(whole, run(make, cut, order)) == (0, True), cut


# With children of torch. What is torch's is compared with a container of torch's alone.


def torch_s(optimizer):
    """Rates that go up, then down, by torch."""
    children = lrs.LinearLR(optimizer, 0.1, total_iters=5), lrs.ExponentialLR(optimizer, 0.9)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def torch_s_last(optimizer):
    children = ours(optimizer, FIRST, lr=WARM), lrs.ExponentialLR(optimizer, 0.9)
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


def torch_s_first(optimizer):
    children = (
        lrs.LinearLR(optimizer, 0.1, total_iters=5),
        ours(optimizer, REST, lr=COOL, mom=LATE_MOM),
    )
    return lrs.SequentialLR(optimizer, [*children], [FIRST])


# Whether step k is ours, and its rate then.
MIXED = {torch_s_last: (lambda k: k < FIRST), torch_s_first: (lambda k: k >= FIRST)}


@pytest.mark.parametrize("make_optimizer", [sgd, adamw])
@pytest.mark.parametrize("make", MIXED)
def test_every_child_has_its_own_values_beside_one_of_torch(make, make_optimizer):
    whole = run(make, make_optimizer=make_optimizer)
    rates, _ = expected(in_turn(WARM, COOL), lambda k: 0.9)
    theirs = run(torch_s, make_optimizer=make_optimizer).rates
    assert whole.rates == [rates[k] if MIXED[make](k) else theirs[k] for k in range(STEPS)]
    if make is torch_s_first:
        assert whole.momenta == [[at(LATE_MOM, max(k - FIRST, 0), REST)] * 2 for k in range(STEPS)]


@pytest.mark.parametrize("order", LOAD_ORDERS)
@pytest.mark.parametrize("make", MIXED)
def test_a_cut_anywhere_changes_nothing_of_ours_beside_one_of_torch(make, order):
    whole = run(make)
    for cut in range(STEPS):
        again = run(make, cut, order)
        assert again.momenta == whole.momenta, cut
        if order == OPTIMIZER_FIRST:
            # There torch's own children are wrong.
            mine = [k for k in range(STEPS) if MIXED[make](k)]
            assert [again.rates[k] for k in mine] == [whole.rates[k] for k in mine], cut
        else:
            assert differences(whole, again) == (0, True), cut


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("first", ["ours", "torch's"])
def test_a_chain_of_ours_and_torch_s_goes_on_where_it_was(first, order):
    def make(optimizer, last_epoch=None):
        options = {} if last_epoch is None else {"last_epoch": last_epoch}
        chain = [
            lambda: ours(optimizer, mom=MOM, **options),
            lambda: lrs.CosineAnnealingLR(optimizer, STEPS, **options),
        ]
        return lrs.ChainedScheduler([one() for one in chain[:: 1 if first == "ours" else -1]])

    whole = run(make)
    alone = run(lambda optimizer: lrs.CosineAnnealingLR(optimizer, STEPS))
    assert whole.rates == alone.rates
    assert whole.momenta == [[at(MOM, k)] * 2 for k in range(STEPS)]
    for cut in range(STEPS):
        assert differences(whole, run(make, cut, order)) == (0, True), cut


# Containers within containers: torch has its own way to count there, which ours follow.


def as_ours(optimizer, schedule, steps):
    def times(rate):
        return lambda pos: rate * schedule(pos)

    bases = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    return Scheduler(optimizer, {"lr": [times(base) for base in bases]}, steps)


def as_torch_s(optimizer, schedule, steps):
    return lrs.LambdaLR(optimizer, lambda step: at(schedule, step, steps))


def nested_first(child, optimizer):
    inner = lrs.SequentialLR(optimizer, [child(optimizer, WARM, 4), child(optimizer, COOL, 5)], [4])
    return lrs.SequentialLR(optimizer, [inner, child(optimizer, MOM, 8)], [12])


def nested_deep(child, optimizer):
    inner = nested_first(child, optimizer)
    return lrs.SequentialLR(optimizer, [inner, child(optimizer, LATE_MOM, 4)], [16])


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # of torch's own
@pytest.mark.parametrize("make", [nested_first, nested_deep])
def test_in_nested_containers_ours_do_as_lambda_lr(make):
    whole = run(lambda optimizer: make(as_ours, optimizer))
    assert whole.rates == run(lambda optimizer: make(as_torch_s, optimizer)).rates
    assert len({tuple(rates) for rates in whole.rates}) > STEPS - 4
    for order in LOAD_ORDERS:
        for cut in range(STEPS):
            again = run(lambda optimizer: make(as_ours, optimizer), cut, order)
            assert differences(whole, again) == (0, True), (order, cut)


# What cannot go together, and what torch has deprecated.


@pytest.mark.parametrize("place", [0, 1])
def test_a_scheduler_that_moves_by_itself_is_refused_in_a_sequence(place):
    _, optimizer = fresh(sgd)
    children = [lrs.ConstantLR(optimizer), lrs.ConstantLR(optimizer)]
    children[place] = Scheduler(optimizer, {"lr": WARM}, FIRST, count="optimizer")
    with pytest.raises(ValueError, match='SequentialLR or ignite, needs `count="calls"`'):
        lrs.SequentialLR(optimizer, children, [FIRST])


def test_a_chain_leaves_a_scheduler_that_moves_by_itself_alone():
    def make(optimizer):
        own = Scheduler(optimizer, {"lr": COOL}, STEPS, count="optimizer")
        return lrs.ChainedScheduler([own, ours(optimizer, mom=MOM)])

    whole = run(make)
    assert (whole.rates, whole.momenta) == expected(lambda k: at(COOL, k), lambda k: at(MOM, k))
    for order in LOAD_ORDERS:
        assert differences(whole, run(make, FIRST, order)) == (0, True)


def test_step_goes_to_an_epoch_that_it_is_given():
    _, optimizer = fresh(sgd)
    scheduler = ours(optimizer, lr=COOL, mom=MOM)
    for step in (3, 4, 17, 0, STEPS, STEPS + 5):
        optimizer.step()
        scheduler.step(step)
        assert scheduler.last_epoch == step
        assert scheduler.get_last_lr() == [at(COOL, step)] * 2
        assert [group["momentum"] for group in optimizer.param_groups] == [at(MOM, step)] * 2
    scheduler.step(4)
    optimizer.step()
    scheduler.step()
    assert scheduler.last_epoch == 5
