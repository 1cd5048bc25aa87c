"""The Scheduler of plain loops: its values, the groups they go to, and what it refuses."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from lehr import (
    PhaseSpec,
    Plateau,
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    Scheduler,
    Tied,
    combine_scheds,
    combined_cos,
)
from scheduler_loops import adamw, go, parameters, sgd, values
from torch.optim.lr_scheduler import LRScheduler

# Many look at what is in force behind the end.
pytestmark = pytest.mark.filterwarnings("ignore:the schedules ended after")

LINE = SchedLin(1.0, 0.0)
RATES = combined_cos(0.3, 1e-3, 1.0, 1e-5)


# Values.


@pytest.mark.parametrize("sched", [RATES, SchedExp(1.0, 1e-6), SchedLin(0.1, 0.7), LINE])
def test_step_k_has_exactly_the_value_of_the_schedule_at_k_over_steps(sched):
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": sched, "momentum": sched}, 30)
    for k in range(30):
        assert values(optimizer, "lr") == [sched(k / 30)] * 2
        assert values(optimizer, "momentum") == [sched(k / 30)] * 2
        assert scheduler.last_epoch == k
        assert scheduler.get_last_lr() == [sched(k / 30)] * 2
        go(optimizer, scheduler)
    for _ in range(3):
        assert values(optimizer, "lr") == [sched(1.0)] * 2
        go(optimizer, scheduler)


def test_a_cosine_s_rates_are_those_of_its_formula_in_many_digits():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": SchedCos(2e-3, 1e-5)}, 17)
    with mpmath.workdps(40):
        for k in range(17):
            share = (1 + mpmath.cos(mpmath.pi * mpmath.mpf(k / 17))) / 2
            exact = mpmath.mpf(1e-5) + (mpmath.mpf(2e-3) - mpmath.mpf(1e-5)) * share
            [rate] = values(optimizer, "lr")
            assert abs(rate - exact) <= 4 * math.ulp(float(exact))
            go(optimizer, scheduler)


def test_a_line_s_rates_are_whole_quarters():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": SchedLin(0, 2)}, 8)
    seen = []
    for _ in range(10):
        seen += values(optimizer, "lr")
        go(optimizer, scheduler)
    assert seen == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2]


def test_a_training_of_one_step_begins_at_the_start_and_ends_at_the_end():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 1)
    assert values(optimizer, "lr") == [1.0]
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == [0.0]


def test_a_function_s_position_is_clamped_to_the_training():
    seen = []

    def watch(pos):
        seen.append(pos)
        return 1.0

    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": watch}, 4)
    seen.clear()
    for _ in range(6):
        go(optimizer, scheduler)
    assert seen == [0.25, 0.5, 0.75, 1, 1, 1]


def test_step_with_a_number_goes_there():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    scheduler.step(6)
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (6, [0.25])
    scheduler.step(2)
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (2, [0.75])


@pytest.mark.parametrize("start", [0, 3, 8, 100, np.int64(3)])
def test_start_step_begins_there(start):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, start_step=start)
    assert scheduler.last_epoch == start
    assert values(optimizer, "lr") == [max(1 - start / 8, 0)]


# It is a torch scheduler, and leaves the optimizer's methods alone.


def test_it_is_a_torch_scheduler_and_the_optimizer_s_step_is_not_wrapped():
    optimizer = sgd()
    before = optimizer.step
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    assert isinstance(scheduler, LRScheduler)
    assert optimizer.step == before
    assert "step" not in vars(optimizer)
    assert not hasattr(optimizer.step, "_wrapped_by_lr_sched")
    assert optimizer.param_groups[0]["initial_lr"] == 0.1


def test_torch_s_attributes_are_computed_and_accept_what_hosts_set():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    go(optimizer, scheduler, 2)
    assert (scheduler._step_count, scheduler._last_lr, scheduler.base_lrs) == (3, [0.75], [0.1])
    scheduler._step_count, scheduler._last_lr, scheduler.base_lrs = 0, [7.0], [7.0]
    assert (scheduler._step_count, scheduler._last_lr, scheduler.base_lrs) == (3, [0.75], [0.1])
    scheduler.last_epoch = 4
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (4, [0.5])
    assert not hasattr(scheduler, "total_steps")  # Accelerate would stop there


def test_get_last_lr_reads_the_groups_where_the_rate_has_no_schedule():
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"momentum": LINE}, 8)
    assert scheduler.get_last_lr() == [0.1, 0.1]
    some = Scheduler(sgd(2), {"lr": {1: LINE}}, 8)
    assert some.get_last_lr() == [0.1, 1.0]
    assert some.last_values() == {"lr": [pytest.approx(math.nan, nan_ok=True), 1.0]}


def test_a_subclass_that_overrides_step_has_its_step_called():
    class Half(Scheduler):
        def step(self, epoch=None):
            calls.append(epoch)
            if len(calls) % 2 == 0:
                super().step(epoch)

    calls = []
    optimizer = sgd()
    scheduler = Half(optimizer, {"lr": LINE}, 8, interval="epoch")
    for _ in range(4):
        go(optimizer, scheduler)
    assert (len(calls), scheduler.last_epoch, values(optimizer, "lr")) == (4, 2, [0.75])


# Hyper-parameters.


@pytest.mark.parametrize(
    ("make", "name", "key", "index"),
    [
        (sgd, "lr", "lr", None),
        (sgd, "momentum", "momentum", None),
        (sgd, "mom", "momentum", None),
        (sgd, "weight_decay", "weight_decay", None),
        (sgd, "wd", "weight_decay", None),
        (adamw, "lr", "lr", None),
        (adamw, "betas[0]", "betas", 0),
        (adamw, "betas[1]", "betas", 1),
        (adamw, "mom", "betas", 0),
        (adamw, "sqr_mom", "betas", 1),
        (adamw, "eps", "eps", None),
    ],
)
def test_a_hyper_parameter_goes_where_the_optimizer_keeps_it_and_nothing_else_changes(
    make, name, key, index
):
    optimizer = make(2)
    before = [dict(group) for group in optimizer.param_groups]
    sched = SchedCos(0.9, 0.1)
    scheduler = Scheduler(optimizer, {name: sched}, 10)
    for k in range(12):
        for group, was in zip(optimizer.param_groups, before, strict=True):
            new = sched(min(k / 10, 1))
            if index is not None:
                new = tuple(new if i == index else v for i, v in enumerate(was[key]))
            assert type(group[key]) is type(new)
            assert group == {**was, key: new, "initial_lr": group["initial_lr"]}
        go(optimizer, scheduler)


def test_both_betas_have_schedules_of_their_own():
    optimizer = adamw(2)
    scheduler = Scheduler(
        optimizer, {"betas[0]": SchedLin(0.5, 0), "betas[1]": SchedLin(0, 0.5)}, 4
    )
    optimizer.step()
    scheduler.step()
    assert values(optimizer, "betas") == [(0.375, 0.125)] * 2


def test_more_hyper_parameters_than_are_written_together_are_all_written():
    names = ("lr", "mom", "sqr_mom", "eps", "wd", "own", "other")
    optimizer = adamw(3)
    for group in optimizer.param_groups:
        group |= {"own": 0.0, "other": 0}
    scheduler = Scheduler(
        optimizer, {name: SchedLin(0.1 * i, 0.9) for i, name in enumerate(names)}, 5
    )
    go(optimizer, scheduler, 2)
    wanted = [SchedLin(0.1 * i, 0.9)(0.4) for i in range(len(names))]
    for group in optimizer.param_groups:
        found = [group["lr"], *group["betas"], group["eps"], group["weight_decay"]]
        assert [*found, group["own"], group["other"]] == wanted


def test_a_setter_has_every_value_and_lists_of_group_values():
    seen, lists = [], []
    optimizer = sgd()
    scheduler = Scheduler(
        optimizer,
        {"lr": LINE, "dropout": SchedLin(0, 0.5), "scales": SchedLin([0, 1], [1, 0])},
        4,
        setters={"dropout": seen.append, "scales": lists.append},
    )
    go(optimizer, scheduler, 5)
    assert seen == [0, 0.125, 0.25, 0.375, 0.5, 0.5]
    assert lists == [[0, 1], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1, 0], [1, 0]]
    assert scheduler.last_values() == {"lr": [0.0], "dropout": [0.5], "scales": [1.0, 0.0]}
    assert values(optimizer, "lr") == [0.0]


def test_a_setter_that_raises_leaves_everything_as_it_was():
    first, second = [], []

    def refuse(value):
        if value > 0.3:
            raise RuntimeError("too much")
        second.append(value)

    optimizer = sgd(2)
    scheduler = Scheduler(
        optimizer,
        {"lr": LINE, "a": LINE, "b": SchedLin(0, 1)},
        4,
        setters={"a": first.append, "b": refuse},
    )
    go(optimizer, scheduler)
    with pytest.raises(RuntimeError, match="too much"):
        go(optimizer, scheduler)
    assert values(optimizer, "lr") == [0.75, 0.75]
    assert (first[-1], second[-1], scheduler.last_epoch) == (0.75, 0.25, 1)


# Groups.


def is_odd(group):
    return group["name"] in ("b", "d")


@pytest.mark.parametrize(
    ("schedules", "wanted"),
    [
        (SchedLin(8, 0), [6, 6, 6, 6]),
        (SchedLin([8, 4, 0, 2], [0, 8, 4, 2]), [6, 5, 1, 2]),
        ([SchedLin(8, 0), SchedNo(3, 3), lambda pos: pos, SchedLin(0, 4)], [6, 3, 0.25, 1]),
        ((SchedLin(8, 0), SchedNo(3, 3), SchedNo(2, 2), SchedLin(0, 4)), [6, 3, 2, 1]),
        ({0: SchedLin(8, 0), 3: SchedLin(0, 4)}, [6, 0.1, 0.1, 1]),
        ({"c": SchedLin(8, 0)}, [0.1, 0.1, 6, 0.1]),
        ({is_odd: SchedLin(8, 0)}, [0.1, 6, 0.1, 6]),
        ({...: SchedLin(8, 0), "b": SchedLin(0, 4)}, [6, 1, 6, 6]),
        ({is_odd: SchedLin(8, 0), 0: SchedNo(3, 3), ...: SchedLin(0, 4)}, [3, 6, 1, 6]),
        ({...: SchedLin(8, 0)}, [6, 6, 6, 6]),
        ({0: SchedLin([8], [0])}, [6, 0.1, 0.1, 0.1]),
        ({"a": PhaseSpec(["2 steps", "rest"], [SchedLin(0, 2), LINE])}, [1, 0.1, 0.1, 0.1]),
    ],
)
def test_groups_are_told_by_what_the_schedules_say(schedules, wanted):
    optimizer = sgd(4)
    scheduler = Scheduler(optimizer, {"lr": schedules}, 4)
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == wanted
    assert scheduler.get_last_lr() == wanted


def add_group(optimizer, name):
    optimizer.add_param_group({"params": parameters(), "name": name})


@pytest.mark.parametrize(
    ("schedules", "wanted"),
    [
        (LINE, [0.5, 0.5, 0.5]),
        ({...: LINE}, [0.5, 0.5, 0.5]),
        ({"a": LINE}, [0.5, 0.1, 0.1]),
        ({is_odd: LINE}, [0.1, 0.5, 0.5]),
        ({0: SchedNo(2, 2), ...: LINE}, [2.0, 0.5, 0.5]),
    ],
)
def test_a_group_added_later_has_its_values_from_the_next_step(schedules, wanted):
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": schedules}, 4)
    go(optimizer, scheduler)
    add_group(optimizer, "d")
    assert values(optimizer, "lr")[2] == 0.1
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == wanted


def test_apply_gives_an_added_group_its_values_at_once_and_undoes_edits_by_hand():
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 4)
    go(optimizer, scheduler)
    add_group(optimizer, "c")
    optimizer.param_groups[0]["lr"] = 7.0
    scheduler.apply()
    assert values(optimizer, "lr") == [0.75] * 3
    assert scheduler.last_epoch == 1


@pytest.mark.parametrize("given", [[LINE, LINE], SchedLin([1, 2], 0)])
def test_a_group_added_to_values_given_one_per_group_raises_and_changes_nothing(given):
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": given}, 4)
    go(optimizer, scheduler)
    add_group(optimizer, "c")
    before = values(optimizer, "lr")
    optimizer.step()
    for act in (scheduler.step, scheduler.apply):
        with pytest.raises(ValueError, match="gives 2 groups a value each, the optimizer has 3"):
            act()
        assert (values(optimizer, "lr"), scheduler.last_epoch) == (before, 1)


# Ties.


def test_what_is_tied_is_the_other_times_the_constant_in_every_group():
    optimizer = adamw(2)
    scheduler = Scheduler(
        optimizer, {"lr": [LINE, SchedLin(0, 1)], "weight_decay": Tied("lr", 0.5)}, 4
    )
    for k in range(6):
        rates = [max(1 - k / 4, 0), min(k / 4, 1)]
        assert values(optimizer, "lr") == rates
        assert values(optimizer, "weight_decay") == [0.5 * rate for rate in rates]
        go(optimizer, scheduler)


def test_what_is_tied_follows_a_plateau_and_a_cooldown():
    optimizer = adamw(2)
    scheduler = Scheduler(
        optimizer,
        {"lr": SchedNo([1.0, 2.0], [1.0, 2.0]), "wd": Tied("lr", 0.5), "mom": Tied("lr", 0.25)},
        100,
        plateau=Plateau(factor=0.5, patience=0),
    )
    scheduler.observe(1.0)
    assert scheduler.observe(1.0)
    assert values(optimizer, "lr") == [0.5, 1.0]
    assert values(optimizer, "weight_decay") == [0.25, 0.5]
    scheduler.cooldown(2)
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == [0.25, 0.5]
    assert values(optimizer, "weight_decay") == [0.125, 0.25]
    assert values(optimizer, "betas") == [(0.0625, 0.99), (0.125, 0.99)]


# Lengths and phases.


@pytest.mark.parametrize(
    ("steps", "options", "wanted"),
    [
        (7, {}, 7),
        (np.int64(7), {}, 7),
        ("7 steps", {}, 7),
        ("1 step", {}, 1),
        ("1e3 steps", {}, 1000),
        ("2 epochs", {"steps_per_epoch": 25}, 50),
        ("0.5 epochs", {"steps_per_epoch": 25}, 13),
        ("100 tokens", {"tokens_per_step": 30}, 3),
        ("20e9 tokens", {"tokens_per_step": 4e6}, 5000),
        ("3 epochs", {"interval": "epoch"}, 3),
        (3, {"interval": "epoch"}, 3),
    ],
)
def test_a_length_is_resolved_once(steps, options, wanted):
    assert Scheduler(sgd(), {"lr": LINE}, steps, **options).steps == wanted


def test_with_the_interval_epoch_step_is_called_once_an_epoch():
    optimizer = sgd()
    spec = PhaseSpec(["1 epoch", "rest"], [SchedNo(2, 2), SchedLin(1, 0)])
    scheduler = Scheduler(optimizer, {"lr": spec}, "3 epochs", interval="epoch")
    seen = []
    for _ in range(4):
        for _ in range(5):
            optimizer.step()
        seen += values(optimizer, "lr")
        scheduler.step()
    assert seen == [2, 1, 0.5, 0]


def test_phases_with_lengths_are_those_of_their_shares():
    spec = PhaseSpec(
        ["5 steps", "10%", "rest", "1 epoch"], [SchedLin(0, 1), LINE, RATES, SchedNo(3, 3)]
    )
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": spec}, 50, steps_per_epoch=20)
    same = combine_scheds([0.1, 0.1, 0.4, 0.4], [SchedLin(0, 1), LINE, RATES, SchedNo(3, 3)])
    for k in range(52):
        assert values(optimizer, "lr") == [same(min(k / 50, 1))]
        go(optimizer, scheduler)


# Warnings (rule 23).


def test_a_right_loop_warns_of_nothing():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        go(optimizer, scheduler, 10)
        later = Scheduler(optimizer, {"lr": LINE}, 8, start_step=4)
        go(optimizer, later, 3)
    assert caught == []


@pytest.mark.parametrize(
    ("taken", "message"),
    [(3, "the optimizer took 3 steps and `step()` was called once"), (0, "had taken no step")],
)
def test_other_than_one_optimizer_step_per_call_warns_once_at_the_caller(taken, message):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            for _ in range(taken):
                optimizer.step()
            scheduler.step()
    [warning] = caught
    assert message in str(warning.message)
    assert warning.filename == __file__
    assert scheduler.last_epoch == 4


def test_one_optimizer_step_in_many_batches_is_no_reason_to_warn():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    for batch in range(12):
        if batch % 3 == 2:
            go(optimizer, scheduler)
    assert scheduler.last_epoch == 4


@pytest.mark.parametrize("count", ["calls", "optimizer"])
def test_a_trained_optimizer_under_a_scheduler_at_step_0_warns_once(count):
    optimizer = adamw()
    go(optimizer)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count=count)
    with pytest.warns(UserWarning, match="has been trained, and its Scheduler begins at step 0"):
        go(optimizer, scheduler)
    go(optimizer, scheduler)
    assert scheduler.last_epoch == 2


def test_a_warning_that_is_an_error_leaves_everything_as_it_was():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    with pytest.raises(UserWarning, match="no step"):
        scheduler.step()
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (0, [1.0])
    scheduler.step()
    assert scheduler.last_epoch == 1
