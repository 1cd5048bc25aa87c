"""The state of a Scheduler: what it holds, what it refuses, copies, and any order of events."""

import copy
import gc
import io
import json
import math
import pickle
import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
)
from scheduler_loops import adamw, go, parameters, sgd, values
from state import plain
from torch import nn

LINE = SchedLin(1.0, 0.0)


def as_saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def at_step(step, schedules, steps=8, **options):
    """Return the state of a scheduler at a step."""
    return as_saved(Scheduler(sgd(2), schedules, steps, start_step=step, **options).state_dict())


def is_odd(group):
    return group["name"] == "b"


# What it holds.


def test_the_state_is_a_step_and_a_fingerprint_that_json_can_hold():
    state = Scheduler(sgd(), {"lr": LINE}, 8, start_step=3).state_dict()
    assert state.keys() == {"step", "fingerprint"}
    assert state["step"] == 3
    assert json.loads(json.dumps(state)) == state == as_saved(state)


def test_layers_are_in_the_state_where_there_are_any():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, plateau=Plateau(0.5, 0))
    assert scheduler.state_dict()["plateau"] == [1.0, None, 0, 0]
    scheduler.observe(3.0)
    scheduler.observe(3.0)
    assert scheduler.state_dict()["plateau"] == [0.5, 3.0, 0, 0]
    go(optimizer, scheduler, 2)
    scheduler.cooldown(4)
    cooldown = scheduler.state_dict()["cooldown"]
    assert (cooldown["begin"], cooldown["steps"], cooldown["schedules"].keys()) == (2, 4, {"lr"})
    assert json.loads(json.dumps(scheduler.state_dict())) == scheduler.state_dict()


@pytest.mark.parametrize(
    "sched",
    [
        LINE,
        lambda pos: 1 - pos**2,
        [LINE, lambda pos: pos],
        {"a": LINE, ...: SchedNo(1, 1)},
        {is_odd: LINE},
        PhaseSpec(["2 steps", "rest"], [LINE, lambda pos: pos]),
        SchedLin([1, 2], [0, 1]),
    ],
)
def test_a_load_goes_to_the_step_and_writes_its_values(sched):
    state = at_step(5, {"lr": sched, "wd": Tied("lr", 2)})
    wanted, optimizer = sgd(2), sgd(2)
    Scheduler(wanted, {"lr": sched, "wd": Tied("lr", 2)}, 8, start_step=5)
    scheduler = Scheduler(optimizer, {"lr": sched, "wd": Tied("lr", 2)}, 8)
    scheduler.load_state_dict(state)
    assert scheduler.last_epoch == 5
    for key in ("lr", "weight_decay"):
        assert values(optimizer, key) == values(wanted, key)


def test_a_load_of_the_optimizer_writes_the_scheduler_s_values_again():
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    early = copy.deepcopy(optimizer.state_dict())
    go(optimizer, scheduler, 4)
    optimizer.load_state_dict(early)
    assert values(optimizer, "lr") == [0.5, 0.5]


def test_functions_are_compared_at_33_positions_to_nine_digits():
    state = at_step(5, {"lr": lambda pos: 1 - pos / 3})
    near = Scheduler(sgd(2), {"lr": lambda pos: (1 - pos / 3) * (1 + 1e-12)}, 8)
    near.load_state_dict(state)
    assert near.last_epoch == 5
    far = Scheduler(sgd(2), {"lr": lambda pos: (1 - pos / 3) * (1 + 1e-6 * (pos > 0.5))}, 8)
    # The first of 0, 1/32, ... above a half.
    with pytest.raises(
        ValueError, match=r"first at position 0.53125, 0.8229166\d+ then and 0.8229"
    ):
        far.load_state_dict(state)


# What it refuses, with the step and the values.


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        (
            {"lr": LINE},
            {"lr": SchedLin(1, 0.5)},
            "schedule of `lr` is not the one .* first at step 1 of 8, 0.875 then and 0.9375 now",
        ),
        (
            {"lr": combine_scheds([0.5, 0.5], [LINE, SchedNo(0.5, 0.5)])},
            {"lr": combine_scheds([0.5, 0.5], [LINE, SchedNo(0.25, 0.25)])},
            "first at step 4 of 8, 0.5 then and 0.25 now",
        ),
        (
            {"lr": LINE, "mom": SchedNo(0.9, 0.9)},
            {"lr": LINE, "mom": SchedNo(0.8, 0.8)},
            "schedule of `mom` .* first at step 0 of 8, 0.9 then and 0.8 now",
        ),
        (
            {"lr": SchedLin([1, 1], [0, 0])},
            {"lr": SchedLin([1, 1], [0, 1])},
            r"first at step 1 of 8, \[0.875, 0.875\] then and \[0.875, 1.0\] now",
        ),
        ({"lr": LINE}, {"mom": LINE}, r"must schedule \['lr'\] as in the state, got \['mom'\]"),
        ({"lr": LINE}, {"lr": LINE, "wd": Tied("lr", 1)}, r"got \['lr', 'wd'\]"),
        (
            {"lr": LINE, "wd": Tied("lr", 1)},
            {"lr": LINE, "wd": Tied("lr", 2)},
            "`wd` is not what it was when the training began: .*1.0.* then, .*2.0.* now",
        ),
        ({"lr": LINE, "wd": Tied("lr", 1)}, {"lr": LINE, "wd": LINE}, "`wd` is not what it was"),
        ({"lr": LINE}, {"lr": {...: LINE}}, "for all groups, and are for .*'\\.\\.\\.', .0, 1."),
        (
            {"lr": {"a": LINE}},
            {"lr": {"b": LINE}},
            "were for .*'a'.*, .0.*, and are for .*'b'.*, .1.",
        ),
        (
            {"lr": {0: LINE}},
            {"lr": {is_odd: LINE}},
            "were for .*'0', .0.*, and are for .*'a predicate', .1.",
        ),
        (
            {"lr": {"a": LINE, "b": LINE}},
            {"lr": {"a": LINE, "b": SchedCos(1, 0)}},
            r"schedule of `lr\['b'\]` .* first at step 1 of 8",
        ),
        ({"lr": LINE}, {"lr": lambda pos: 1 - pos}, "of `lr` is of another kind"),
        ({"lr": LINE}, {"lr": SchedLin([1, 1], [0, 0])}, r"step 0 of 8, 1.0 then and \[1.0, 1.0\]"),
    ],
)
def test_a_load_of_another_schedule_is_refused_and_changes_nothing(then, now, message):
    state = at_step(5, then)
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, now, 8)
    go(optimizer, scheduler, 2)
    unchanged(scheduler, ValueError, message, state)


def unchanged(scheduler, error, message, state):
    optimizer = scheduler.optimizer

    def everything():
        groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        looks = [scheduler.preview(), scheduler.last_values()]
        return plain([groups, scheduler.state_dict(), *looks])

    before = everything()
    with pytest.raises(error, match=message):
        scheduler.load_state_dict(state)
    assert everything() == before
    # Nor has the plan of the steps to come.
    wanted = scheduler.preview(scheduler.last_epoch + 2)
    go(optimizer, scheduler)
    for name, now in scheduler.last_values().items():
        assert plain(now) == plain(np.broadcast_to(wanted[name][-1], len(now)).tolist())


@pytest.mark.parametrize(("steps", "message"), [(16, "16 steps then"), (4, "4 steps then")])
def test_a_load_of_another_length_is_refused_with_the_first_step_that_differs(steps, message):
    state = at_step(2, {"lr": LINE}, steps)
    scheduler = Scheduler(sgd(2), {"lr": LINE}, 8)
    shown = rf"first at step 1 of 8, {1 - 1 / steps} then and 0.875 now \({message}\)"
    unchanged(scheduler, ValueError, shown, state)


def test_another_shape_with_the_same_values_is_no_other_schedule():
    scheduler = Scheduler(sgd(2), {"lr": SchedLin(1, 1)}, 8)
    scheduler.load_state_dict(at_step(2, {"lr": SchedNo(1, 1)}))
    assert scheduler.last_epoch == 2


@pytest.mark.parametrize(
    ("steps", "begin"),
    [(1000, 999), (10**6, 10**6 - 1), (4 * 10**6, 2 * 10**6), (10**9, 7 * 10**8 + 123)],
)
def test_the_first_step_that_differs_is_found_in_a_training_of_any_length(steps, begin):
    def jump(value):
        return PhaseSpec([f"{begin} steps", "rest"], [SchedNo(1, 1), SchedNo(value, value)])

    scheduler = Scheduler(sgd(2), {"lr": jump(3)}, steps)
    shown = f"first at step {begin} of {steps}, 2.0 then and 3.0 now"
    unchanged_state = scheduler.state_dict()
    with pytest.raises(ValueError, match=shown):
        scheduler.load_state_dict(at_step(2, {"lr": jump(2)}, steps))
    assert scheduler.state_dict() == unchanged_state


def test_a_length_is_refused_with_the_values_of_the_step_itself_in_long_trainings_too():
    state = at_step(2, {"lr": LINE}, 1024)
    scheduler = Scheduler(sgd(2), {"lr": LINE}, 2**22)
    shown = rf"first at step 1 of 4194304, {1 - 2**-10} then and {1 - 2**-22} now \(1024 steps then"
    with pytest.raises(ValueError, match=shown):
        scheduler.load_state_dict(state)


def test_a_length_is_refused_also_where_no_value_differs():
    state = at_step(2, {"lr": SchedNo(1, 1)}, 16)
    message = "the training has 8 steps, and had 16 when it began"
    unchanged(Scheduler(sgd(2), {"lr": SchedNo(1, 1)}, 8), ValueError, message, state)


@pytest.mark.parametrize("step", [0, 1, 3, 5, 10, 13])
@pytest.mark.parametrize("steps", [4, 7, 10, 33])
@pytest.mark.parametrize("keep", ["step", "fraction"])
def test_keep_goes_on_at_the_step_or_at_the_share_of_the_training(step, steps, keep):
    state = at_step(step, {"lr": SchedCos(1, 0)}, 10)
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": LINE}, steps, keep=keep)
    scheduler.load_state_dict(state)
    # Halves go up.
    same_share = math.floor(Fraction(step * steps, 10) + Fraction(1, 2))
    assert scheduler.last_epoch == (step if keep == "step" else same_share)
    assert values(optimizer, "lr") == [LINE(min(scheduler.last_epoch / steps, 1))] * 2


def test_keep_lets_hyper_parameters_come_and_go():
    state = at_step(5, {"lr": LINE, "wd": Tied("lr", 1)})
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"mom": LINE}, 8, keep="step")
    scheduler.load_state_dict(state)
    assert values(optimizer, "momentum") == [0.375, 0.375]


# Foreign, damaged and hostile states.


def broken(**changes):
    state = at_step(5, {"lr": LINE}, plateau=Plateau(0.5, 0))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = state
        for parent in parents:
            place = place[parent]
        if value is DELETED:
            del place[last]
        else:
            place[last] = value
    return state


DELETED = object()
DEEP = '{"v":1,"schedule":' * 3
STATES = [
    None,
    [],
    3,
    "state",
    {},
    {"step": 3},
    broken(step=DELETED),
    broken(step=None),
    broken(step="3"),
    broken(step=2.5),
    broken(step=True),
    broken(step=-2),
    broken(step=2**70),
    broken(step=2**63),
    broken(step=math.nan),
    broken(fingerprint=None),
    broken(fingerprint=[]),
    broken(fingerprint__steps=DELETED),
    broken(fingerprint__steps="8"),
    broken(fingerprint__steps=-8),
    broken(fingerprint__steps=0),
    broken(fingerprint__steps=2**70),
    broken(fingerprint__schedules=None),
    broken(fingerprint__schedules={}),
    broken(fingerprint__schedules__lr=None),
    broken(fingerprint__schedules__lr=3),
    broken(fingerprint__schedules__lr="{}"),
    broken(fingerprint__schedules__lr="not json"),
    broken(fingerprint__schedules__lr=DEEP),
    broken(fingerprint__schedules__lr=[]),
    broken(fingerprint__schedules__lr=[1, 2]),
    broken(fingerprint__schedules__lr=[["a"]]),
    broken(fingerprint__schedules__lr={"values": []}),
    broken(fingerprint__schedules__lr={"values": [1, 2]}),
    broken(fingerprint__schedules__lr={}),
    broken(plateau=None),
    broken(plateau=[]),
    broken(plateau=[1.0, None, 0]),
    broken(plateau=[math.nan, None, 0, 0]),
    broken(plateau=[2.0, None, 0, 0]),
    broken(plateau=[-1.0, None, 0, 0]),
    broken(plateau=[1.0, math.nan, 0, 0]),
    broken(plateau=[1.0, None, -1, 0]),
    broken(plateau=[1.0, None, 2**70, 0]),
    broken(plateau=["1", None, 0, 0]),
    broken(plateau=3),
    broken(cooldown=3),
    broken(cooldown=[]),
    broken(cooldown={}),
    broken(cooldown={"begin": 1, "steps": 0, "schedules": {}}),
    broken(cooldown={"begin": -1, "steps": 4, "schedules": {}}),
    broken(cooldown={"begin": 2**70, "steps": 4, "schedules": {}}),
    broken(cooldown={"begin": 1, "steps": 2**70, "schedules": {}}),
    broken(cooldown={"begin": 1.5, "steps": 4, "schedules": {}}),
    broken(cooldown={"begin": 1, "steps": 4, "schedules": {"lr": ["{}"]}}),
    broken(cooldown={"begin": 1, "steps": 4, "schedules": {"lr": []}}),
    broken(cooldown={"begin": 1, "steps": 4, "schedules": {"lr": [LINE.to_json()] * 2}}),
    broken(cooldown={"begin": 1, "steps": 4, "schedules": {"wd": [LINE.to_json()]}}),
    broken(
        cooldown={"begin": 1, "steps": 4, "schedules": {"lr": [SchedLin([1, 2, 3], 0).to_json()]}}
    ),
    broken(cooldown={"begin": 1, "steps": 4, "schedules": {"lr": [SchedLin(1, -1).to_json()]}}),
    broken(active=3),
    broken(active="l"),
    broken(active=[3]),
]


def has_fingerprint(state):
    return isinstance(state, dict) and isinstance(state.get("fingerprint"), dict)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("keep", [None, "step", "fraction"])
def test_a_damaged_state_is_refused_and_changes_nothing(state, keep):
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, keep=keep, plateau=Plateau(0.5, 0))
    go(optimizer, scheduler, 2)
    scheduler.observe(1.0)
    schedules = state["fingerprint"]["schedules"] if has_fingerprint(state) else None
    if keep is not None and isinstance(schedules, dict) and schedules != {"lr": LINE.to_json()}:
        # What is kept is not compared.
        scheduler.load_state_dict(state)
        assert scheduler.last_epoch == 5
    else:
        unchanged(scheduler, ValueError, "`|the state|the schedule", state)


@pytest.mark.parametrize("values", [None, [], [1.0], "x", 3, [[1.0, 2.0]] * 33, ["x"] * 33])
def test_damaged_values_of_a_function_are_refused_and_change_nothing(values):
    scheduler = Scheduler(sgd(2), {"lr": lambda pos: 1 - pos}, 8)
    state = broken(
        fingerprint__schedules__lr={"values": values}, fingerprint__plateau=None, plateau=DELETED
    )
    unchanged(scheduler, ValueError, "the schedule of `lr`|the `fingerprint` of the state", state)


def test_a_torch_scheduler_s_state_is_refused_and_the_message_says_what_to_do():
    torch_state = torch.optim.lr_scheduler.StepLR(sgd(), 3).state_dict()
    message = "a torch scheduler's step is its `last_epoch`, give it as `start_step`"
    unchanged(Scheduler(sgd(2), {"lr": LINE}, 8), ValueError, message, torch_state)


def test_a_state_with_a_plateau_needs_a_plateau():
    state = at_step(5, {"lr": LINE}, plateau=Plateau(0.5, 0))
    unchanged(Scheduler(sgd(2), {"lr": LINE}, 8), ValueError, "make it with `plateau=`", state)


def test_a_state_without_a_plateau_is_one_of_another_training():
    scheduler = Scheduler(sgd(2), {"lr": LINE}, 8, plateau=Plateau(0.5, 0))
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    state = at_step(4, {"lr": LINE})
    unchanged(scheduler, ValueError, "`plateau` must be as when the training began, None", state)
    kept = Scheduler(sgd(2), {"lr": LINE}, 8, plateau=Plateau(0.5, 0), keep="step")
    kept.load_state_dict(state)
    assert kept.get_last_lr() == [0.5, 0.5]


# Copies.


def ways():
    return [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy]


@pytest.mark.parametrize("way", ways())
def test_a_copy_goes_on_by_itself_with_an_optimizer_of_its_own(way):
    optimizer = adamw(2)
    scheduler = Scheduler(
        optimizer,
        {"lr": SchedNo(1, 1), "mom": SchedExp(0.9, 0.5), "wd": Tied("lr", 0.5)},
        8,
        plateau=Plateau(0.5, 0),
    )
    go(optimizer, scheduler, 2)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    scheduler.cooldown(4)
    go(optimizer, scheduler, 1)
    other = way(scheduler)
    assert other.optimizer is not optimizer
    assert other.state_dict() == scheduler.state_dict()
    assert (other.steps, repr(other)) == (8, repr(scheduler))
    go(other.optimizer, other, 2)
    assert (other.last_epoch, scheduler.last_epoch) == (5, 3)
    assert values(other.optimizer, "lr") == [0.125, 0.125]
    assert values(optimizer, "lr") == [0.375, 0.375]
    # Each hears of its own optimizer alone.
    go(optimizer, scheduler, 2)
    assert plain(values(other.optimizer, "betas")) == plain(values(optimizer, "betas"))


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("count", ["calls", "optimizer"])
def test_model_optimizer_and_scheduler_copied_together_stay_together(way, order, count):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count=count)
    go(optimizer, scheduler, 2)
    trio = (model, optimizer, scheduler)
    copied = way(tuple(trio[i] for i in order))
    model_2, optimizer_2, scheduler_2 = (copied[order.index(i)] for i in range(3))
    assert scheduler_2.optimizer is optimizer_2
    assert optimizer_2.param_groups[0]["params"][0] is model_2.weight
    go(optimizer_2, scheduler_2)
    assert (scheduler_2.last_epoch, scheduler.last_epoch) == (3, 2)
    assert (values(optimizer_2, "lr"), values(optimizer, "lr")) == ([0.625], [0.75])
    # An optimizer does not take its hooks with it twice.
    assert len(optimizer_2._optimizer_step_post_hooks) == 1


def test_a_subclass_with_the_same_arguments_is_copied_as_itself():
    class Mine(Scheduler):
        pass

    copied = copy.deepcopy(Mine(sgd(), {"lr": LINE}, 8, start_step=2))
    assert type(copied) is Mine
    assert copied.last_epoch == 2


# Lifetimes.


def hooks(optimizer):
    return [
        len(optimizer._optimizer_step_post_hooks),
        len(optimizer._optimizer_load_state_dict_pre_hooks),
        len(optimizer._optimizer_load_state_dict_post_hooks),
    ]


def test_a_scheduler_that_is_dropped_takes_its_hooks_with_it():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    go(optimizer, scheduler, 2)
    assert hooks(optimizer) == [1, 1, 1]
    alive = weakref.ref(scheduler)
    del scheduler
    gc.collect()
    assert alive() is None
    assert hooks(optimizer) == [0, 0, 0]
    optimizer.load_state_dict(optimizer.state_dict())
    assert values(optimizer, "lr") == [0.75]


def test_the_step_of_a_scheduler_that_is_gone_raises():
    optimizer = sgd()
    step = Scheduler(optimizer, {"lr": LINE}, 8).step
    optimizer.step()
    with pytest.raises(ReferenceError, match="the Scheduler is gone: keep it, not only its `step`"):
        step()
    assert values(optimizer, "lr") == [1.0]


def test_a_scheduler_that_its_optimizer_moves_lives_with_it():
    optimizer = sgd()
    alive = weakref.ref(Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer"))
    gc.collect()
    go(optimizer)
    assert values(optimizer, "lr") == [0.875]
    del optimizer
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    ("first", "second"),
    [("calls", "optimizer"), ("optimizer", "calls"), ("optimizer", "optimizer")],
)
def test_two_schedulers_of_one_value_are_refused_where_one_moves_by_itself(first, second):
    optimizer = sgd()
    other = Scheduler(optimizer, {"lr": LINE, "mom": LINE}, 8, count=first)
    with pytest.raises(ValueError, match=r"\['lr'\] of this optimizer have another Scheduler"):
        Scheduler(optimizer, {"lr": LINE, "wd": LINE}, 8, count=second)
    assert hooks(optimizer) == [1, 1, 1]
    Scheduler(optimizer, {"wd": LINE}, 8, count=second)
    other.detach()
    Scheduler(optimizer, {"lr": LINE}, 8, count=second)


def test_a_value_by_another_name_is_the_same_value():
    optimizer = sgd()
    kept = Scheduler(optimizer, {"mom": LINE}, 8)
    with pytest.raises(ValueError, match="another Scheduler"):
        Scheduler(optimizer, {"momentum": LINE}, 8, count="optimizer")
    assert kept.last_epoch == 0


def test_a_detached_scheduler_can_still_be_stepped():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    scheduler.detach()
    go(optimizer, scheduler, 3)
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (3, [0.625])


def test_a_detached_scheduler_no_longer_hears_of_the_optimizer():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8, count="optimizer")
    go(optimizer)
    scheduler.detach()
    scheduler.detach()
    assert hooks(optimizer) == [0, 0, 0]
    go(optimizer, steps=3)
    assert (scheduler.last_epoch, values(optimizer, "lr")) == (1, [0.875])


# Any order of events.

EVENTS = st.lists(
    st.sampled_from(["step", "save and load", "load optimizer", "add group", "apply", "edit"]),
    max_size=14,
)


@pytest.mark.filterwarnings("ignore:the schedules ended")  # more events than steps
@settings(max_examples=60)
@given(EVENTS, st.sampled_from(["calls", "optimizer"]), st.sampled_from([sgd, adamw]))
def test_after_any_events_the_groups_have_the_values_of_the_counted_step(events, count, make):
    rate, momentum = SchedCos(0.1, 0.01), SchedExp(0.9, 0.5)

    def build(optimizer):
        return Scheduler(optimizer, {"lr": rate, "mom": momentum}, 6, count=count)

    optimizer = make(2)
    scheduler = build(optimizer)
    old = as_saved(optimizer.state_dict())
    counted = 0
    groups = in_force = 2  # `in_force`: those that have had their values
    for event in events:
        if event == "step":
            go(optimizer, scheduler)
            counted += 1
            in_force = groups
        elif event == "save and load":
            saved = as_saved([optimizer.state_dict(), scheduler.state_dict()])
            optimizer = make(groups)
            scheduler = build(optimizer)
            optimizer.load_state_dict(saved[0])
            scheduler.load_state_dict(saved[1])
            in_force = groups
        elif event == "load optimizer":
            if groups == 2:
                optimizer.load_state_dict(old)
                in_force = groups
        elif event == "add group":
            optimizer.add_param_group({"params": parameters(), "name": f"g{groups}"})
            groups += 1
        else:
            if event == "edit":
                optimizer.param_groups[0]["lr"] = 5.0
            scheduler.apply()
            in_force = groups
        pos = min(counted / 6, 1)
        assert scheduler.last_epoch == counted
        assert values(optimizer, "lr")[:in_force] == [rate(pos)] * in_force
        keys = {"momentum": momentum(pos)} if make is sgd else {"betas": (momentum(pos), 0.99)}
        for key, value in keys.items():
            assert values(optimizer, key)[:in_force] == [value] * in_force
