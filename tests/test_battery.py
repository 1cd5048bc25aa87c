"""The battery every schedule passes: ends, scalar == array, round trips, equality, errors."""

import copy
import math
import pickle

import cloudpickle
import lehr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_schedule, combined, finite, positions, same_sign, schedules, simple

ONE_OF_EACH = [
    lehr.SchedLin(0, 2),
    lehr.SchedCos(1e-3, 1e-7),
    lehr.SchedNo(3, 4),
    lehr.SchedExp(1e-7, 10),
    lehr.SchedPoly(2, 1e-2, 0.5),
    lehr.SchedPoly(2, 1e-2, 2.7),
    lehr.combine_scheds(
        [0.3, 0.2, 0.5], [lehr.SchedLin(0, 1), lehr.SchedNo(1, 1), lehr.SchedCos(1, 0)]
    ),
    lehr.combined_cos(0.25, 4e-5, 1e-3, 1e-8),
    lehr.SchedInverseSqrt(1e-3, 1e-5),
    lehr.SchedTanh(1e-3, 1e-6),
    lehr.SchedTanh(1, 2, -2.0, 5),
    lehr.SchedLin(0, 1) + 0.5,
    [1.0, 2.0] * lehr.SchedLin(0, 1),
    lehr.SchedLin(0, 1) * lehr.SchedCos(1, 0.1),
    lehr.SchedLin(0, 1).clip(0.2, 0.8),
    lehr.SchedLin(0, 1).clip(high=[0.2, 0.8]),
    lehr.combined_cos(0.25, 4e-5, 1e-3, 1e-8).reverse(),
    lehr.combined_cos(0.25, 4e-5, 1e-3, 1e-8).part(0.1, 0.7),
    lehr.SchedCos(1, 0).warp(1.5),
    lehr.SchedCos(1, 0).repeat(3, 1.5),
    lehr.SchedCos(1, 0).then(lehr.SchedLin(0, 3), 0.3),
    lehr.wsd(1e-3, stable="rsqrt", decay_shape="power", power=1.5),
    lehr.cyclic(0.1, [1, 2], cycles=2.5, mode="exp_range", gamma=0.5),
    lehr.SchedCos([1.0, 2.0], 0),
    lehr.combined_cos(0.25, [0.25, 0.5], [0.5, 1], 0),
]


def bits(values):
    return np.atleast_1d(np.asarray(values, dtype=np.float64)).view(np.uint64).tolist()


@given(any_schedule, st.lists(positions, min_size=1, max_size=600))
def test_array_call_equals_scalar_calls_bit_for_bit(schedule, pos):
    many = schedule(pos)
    groups = () if schedule.groups is None else (schedule.groups,)
    assert many.shape == (len(pos), *groups)
    assert many.dtype == np.float64
    for at, row in zip(pos, many, strict=True):
        assert bits(schedule(at)) == bits(row)
        assert bits(schedule.at(at)) == bits(row)


@given(st.sampled_from([None, 3]).flatmap(simple), st.lists(st.floats(-3, 4), min_size=1))
def test_array_call_equals_scalar_calls_outside_the_unit_interval(schedule, pos):
    pos = [p for p in pos if p >= 0] if "Poly" in repr(schedule) else pos
    many = schedule(pos)
    assert bits(many.ravel()) == bits(np.ravel([schedule(at) for at in pos]))


@given(combined(simple(None)), st.lists(st.floats(0, 3), min_size=1))
def test_combined_array_call_equals_scalar_calls_above_1(schedule, pos):
    assert bits(schedule(pos)) == bits([schedule(at) for at in pos])


@given(any_schedule, st.integers(1, 700))
def test_values_equal_the_schedule_at_k_over_steps_bit_for_bit(schedule, steps):
    values = schedule.values(steps)
    assert bits(values.ravel()) == bits(np.ravel([schedule(k / steps) for k in range(steps)]))


@given(any_schedule, st.integers(2, 300))
def test_values_with_end_equal_the_schedule_at_k_over_steps_minus_one(schedule, steps):
    values = schedule.values(steps, end=True)
    expected = [schedule(k / (steps - 1)) for k in range(steps)]
    assert bits(values.ravel()) == bits(np.ravel(expected))
    assert bits(values[-1]) == bits(schedule(1))


@given(st.sampled_from([None, 1, 3]).flatmap(simple))
def test_simple_schedule_is_exact_at_both_ends(schedule):
    groups = schedule.groups or 1
    start, end = np.broadcast_to(schedule.start, groups), np.broadcast_to(schedule.end, groups)
    assert np.array_equal(np.broadcast_to(schedule(0), groups), start)
    is_constant = repr(schedule).startswith("SchedNo")
    assert np.array_equal(np.broadcast_to(schedule(1), groups), start if is_constant else end)


@given(any_schedule)
def test_combined_start_and_end_are_its_values_at_0_and_1(schedule):
    if len(schedule.phases) > 1:
        assert bits(schedule.start) == bits(schedule(0))
        assert bits(schedule.end) == bits(schedule(1))


@given(any_schedule)
def test_round_trips_give_an_equal_schedule_that_hashes_alike(schedule):
    copies = [
        lehr.Schedule.from_json(schedule.to_json()),
        eval(repr(schedule), vars(lehr)),
        copy.copy(schedule),
        copy.deepcopy(schedule),
        cloudpickle.loads(cloudpickle.dumps(schedule)),
        *(pickle.loads(pickle.dumps(schedule, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
    ]
    for other in copies:
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert repr(other) == repr(schedule)
        assert bits(other.values(37).ravel()) == bits(schedule.values(37).ravel())


@given(schedules(), schedules())
def test_equality_means_equal_repr(a, b):
    # -0.0 does not occur in the strategies, so values and their prints agree.
    assert (a == b) == (repr(a) == repr(b))
    assert not a != a


@given(any_schedule)
def test_phases_and_boundaries_describe_the_schedule(schedule):
    assert len(schedule.boundaries) == len(schedule.phases) + 1
    assert schedule.boundaries[0] == 0
    assert schedule.boundaries[-1] == 1
    assert list(schedule.boundaries) == sorted(schedule.boundaries)
    if len(schedule.phases) == 1 and not repr(schedule).startswith("combine"):
        assert schedule.phases == (schedule,)


@given(finite, finite)
def test_linear_and_cosine_stay_between_their_ends_and_are_monotone(start, end):
    low, high = min(start, end), max(start, end)
    slack = 4 * np.spacing(max(abs(low), abs(high)))
    for schedule in (lehr.SchedLin(start, end), lehr.SchedCos(start, end)):
        values = schedule.values(257, end=True)
        assert values.min() >= low - slack
        assert values.max() <= high + slack
        steps = np.diff(values) * (1 if end >= start else -1)
        assert steps.min() >= -2 * slack


@given(same_sign(None))
def test_exponential_is_monotone(ends):
    start, end = ends
    values = lehr.SchedExp(start, end).values(257, end=True)
    steps = np.diff(values) * (1 if end >= start else -1)
    assert np.all(steps >= -4 * np.spacing(values[1:]))


@pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        float,
        np.float64,
        np.float32,
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.float64, requires_grad=True),
        lambda x: np.array(x),
    ],
)
def test_one_position_is_anything_with_a_float(schedule, make):
    assert bits(schedule(make(0.5))) == bits(schedule(0.5))


@pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=repr)
def test_positions_may_be_any_one_dimensional_sequence(schedule):
    expected = schedule([0.0, 0.25, 0.5])
    for make in (
        tuple,
        np.array,
        iter,
        torch.tensor,
        lambda x: torch.tensor(x, dtype=torch.bfloat16),
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: np.array(x, dtype=np.float32),
        lambda x: np.array([x, x])[0, ::-1][::-1],
        lambda x: [torch.tensor(v) for v in x],
    ):
        assert bits(schedule(make([0.0, 0.25, 0.5])).ravel()) == bits(expected.ravel())
    assert bits(schedule(range(2)).ravel()) == bits(schedule([0.0, 1.0]).ravel())
    assert schedule([]).shape[0] == 0


@pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=repr)
@pytest.mark.parametrize("call", ["__call__", "at"])
def test_wrong_positions_raise_and_name_what_is_wrong(schedule, call):
    evaluate = getattr(schedule, call)
    for bad in (math.nan, math.inf, -math.inf, [0.1, math.nan], np.array([math.inf])):
        with pytest.raises(ValueError, match="`pos` must be a finite number, got"):
            evaluate(bad)
    for bad in (
        "0.5",
        None,
        b"1",
        {},
        {0.5},
        object(),
        1j,
        ["a"],
        [None],
        np.array(["a"]),
        [[0.5]],
    ):
        with pytest.raises(TypeError, match=r"`pos(\[0\])?` must"):
            evaluate(bad)
    for bad in (np.zeros((2, 2)), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="one-dimensional, got 2 dimensions"):
            evaluate(bad)
    with pytest.raises(ValueError, match="too large"):
        evaluate(10**400)


@pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=repr)
def test_limits_raise_and_nothing_aborts(schedule):
    for steps in (10**13, 10**18, 2**63, 10**30):
        with pytest.raises(MemoryError, match="do not fit into memory"):
            schedule.values(steps)
    for steps in (0, -1, -(10**30)):
        with pytest.raises(ValueError, match="`steps` must be at least 1"):
            schedule.values(steps)
    for steps in (1.0, "3", None):
        with pytest.raises(TypeError, match="`steps` must be an integer"):
            schedule.values(steps)
    assert len(schedule.values(np.int64(3))) == 3
    one = schedule.values(1)
    assert bits(one.ravel()) == bits(schedule.values(1, end=True).ravel()) == bits(schedule(0))


@pytest.mark.parametrize("schedule", ONE_OF_EACH, ids=repr)
def test_a_schedule_cannot_be_changed_or_subclassed_or_made_directly(schedule):
    with pytest.raises(AttributeError):
        schedule.start = 3
    with pytest.raises(TypeError):
        lehr.Schedule()
    with pytest.raises(TypeError):
        type("Mine", (lehr.Schedule,), {})
    assert schedule != "x"
    assert schedule.__eq__("x") is NotImplemented


@settings(max_examples=30)
@given(any_schedule, st.integers(10_000, 30_000))
def test_long_curves_without_the_gil_are_the_same_bits(schedule, steps):
    values = schedule.values(steps)
    picked = range(0, steps, 977)
    expected = [schedule(k / steps) for k in picked]
    assert bits(values[list(picked)].ravel()) == bits(np.ravel(expected))
