"""The algebra of schedules, and the two shapes that came with it, against mpmath and numpy."""

import itertools

import lehr
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from strategies import positions, schedules, simple

mpmath.mp.dps = 60
SMALL = st.floats(-1e3, 1e3)
ODD = [5e-324, 1e-300, 1e-17, 1e-9, 0.1, 1 / 3, 0.5 + 2**-53, 0.9, 1 - 1e-9, 1 - 2**-53]
EDGES = [0.0, *ODD, 0.5, 1.0]


def ulps(got, exact, scale=None):
    """How many units in the last place of the exact value, or of `scale`, a value is off."""
    return abs(mpf(got) - exact) / np.spacing(abs(float(exact if scale is None else scale)))


def inverse_sqrt(start, end, pos):
    start, end, pos = mpf(start), mpf(end), mpf(pos)
    return 1 / mpmath.sqrt((1 - pos) / start**2 + pos / end**2)


def tanh(start, end, lower, upper, pos):
    start, end, lower, upper, pos = map(mpf, (start, end, lower, upper, pos))
    low, high = mpmath.tanh(lower), mpmath.tanh(upper)
    share = (mpmath.tanh(lower + (upper - lower) * pos) - low) / (high - low)
    return start + (end - start) * share


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), positions)
def test_inverse_square_root_is_within_4_ulp(start, end, pos):
    assert ulps(lehr.SchedInverseSqrt(start, end)(pos), inverse_sqrt(start, end, pos)) <= 4


@given(SMALL, SMALL, st.floats(-20, 20), st.floats(0.01, 20), positions)
def test_tanh_is_within_8_ulp_of_the_larger_end(start, end, lower, width, pos):
    upper = lower + width
    got = lehr.SchedTanh(start, end, lower, upper)(pos)
    scale = max(abs(start), abs(end))
    if scale > 1e-300:
        assert ulps(got, tanh(start, end, lower, upper, pos), scale) <= 8


@pytest.mark.parametrize("pos", [-3.0, -0.5, 1.5, 4.0, 50.0])
def test_tanh_goes_on_outside_of_the_unit_interval(pos):
    exact = tanh(1e-3, 1e-5, -3, 2, pos)
    assert ulps(lehr.SchedTanh(1e-3, 1e-5, -3, 2)(pos), exact, 1e-3) <= 32


def test_an_inverse_square_root_has_no_value_where_the_root_has_none():
    rising = lehr.SchedInverseSqrt(1, 2)
    with pytest.raises(ValueError, match=r"the schedule has no finite value at pos 1\.5"):
        rising(1.5)
    with pytest.raises(ValueError, match=r"the schedule has no finite value at pos 2\.5"):
        rising([0.5, 2.5, 3.5])


@pytest.mark.parametrize("power", [0.3, 1.0, 1.5, 2.0, 7.25, 300.0])
@pytest.mark.parametrize("pos", EDGES)
def test_warp_keeps_the_digits_of_the_distance_from_either_end(power, pos):
    # A line from or to 0 shows that distance alone.
    done = mpf(pos) ** mpf(power)
    assert ulps(lehr.SchedLin(0, 1).warp(power)(pos), done) <= 2 + power / 100
    left = 1 - done
    got = lehr.SchedLin(1, 0).warp(power)(pos)
    assert ulps(got, left) <= 4 if left else got == 0


@given(simple(None), positions, positions, positions)
def test_part_is_the_schedule_between_two_positions(schedule, start, end, pos):
    exact = mpf(start) + (mpf(end) - mpf(start)) * mpf(pos)
    scale = max(abs(schedule.start), abs(schedule.end))
    near = [schedule(float(exact)), schedule(max(float(exact) - 1e-15, 0.0))]
    # The position has more digits than a float64: the value lies about those of its neighbours.
    spread = abs(near[0] - near[1]) + 8 * np.spacing(scale)
    assert abs(schedule.part(start, end)(pos) - near[0]) <= spread
    assert schedule.part(start, end)(0) == schedule(start)
    assert schedule.part(start, end)(1) == schedule(end)


@given(st.floats(1e-3, 1), st.floats(1e-3, 1), positions)
def test_reverse_is_exact_where_1_minus_pos_is_not(start, end, pos):
    # The cosine back from its end, whose position 1 - pos no float64 holds.
    got = lehr.SchedCos(start, end).reverse()(pos)
    share = mpmath.sin(mpmath.pi * mpf(pos) / 2) ** 2
    assert ulps(got, (1 - share) * mpf(end) + share * mpf(start)) <= 4


@given(schedules(), positions)
def test_reverse_of_reverse_is_the_schedule(schedule, pos):
    twice = schedule.reverse().reverse()
    assert np.array_equal(twice(pos), schedule.part(0, 1)(pos))


@given(schedules(), schedules(), positions)
def test_sum_and_product_round_once(f, g, pos):
    assert (f + g)(pos) == f(pos) + g(pos)
    product = f(pos) * g(pos)
    if np.isfinite(product):
        assert (f * g)(pos) == product


@given(schedules(), schedules(), st.floats(-100, 100), positions)
def test_scale_of_a_sum_is_the_sum_of_the_scales(f, g, factor, pos):
    got, expected = ((f + g) * factor)(pos), (f * factor + g * factor)(pos)
    size = (abs(f(pos)) + abs(g(pos))) * abs(factor)
    assert abs(got - expected) <= 4 * np.finfo(float).eps * size + 1e-300


@given(schedules(), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10_000))
def test_repeat_of_repeat_is_one_repeat_of_as_many(schedule, few, many, k):
    # At positions inside of a run, not on its edges, where an ulp decides between two runs.
    pos = (k + 0.5) / 10_001
    run = pos * few * many % 1
    if 1e-6 < run < 1 - 1e-6:
        nested = schedule.repeat(few).repeat(many)(pos)
        flat = schedule.repeat(few * many)(pos)
        around = [schedule(min(max(run + d, 0), 1)) for d in (-1e-12, 0, 1e-12)]
        size = max(map(abs, around))
        assert abs(nested - flat) <= max(around) - min(around) + 1e-9 * size


def test_a_part_of_runs_has_a_value_at_every_step():
    # A position in two doubles can lie below the run that it belongs to.
    waves = lehr.SchedLin(0, 1).then(lehr.SchedLin(1, 0), 0.5).repeat(61).part(0, 241 / 244)
    values = waves.values(241)
    assert np.array_equal(values, [waves(k / 241) for k in range(241)])
    assert np.abs(values - np.abs((np.arange(241) / 2 + 1) % 2 - 1)).max() <= 1e-12


@given(simple(None), st.integers(1, 6), st.floats(0.5, 3))
def test_every_run_of_a_repeat_begins_at_the_start_and_the_last_ends_at_the_end(f, times, stretch):
    repeated = f.repeat(times, stretch)
    lengths = [mpf(stretch) ** i for i in range(times)]
    total = sum(lengths)
    for i, boundary in enumerate(repeated.boundaries[:-1]):
        assert abs(boundary - sum(lengths[:i]) / total) <= 1e-15
        assert repeated(boundary) == f(0)
    assert repeated(1) == f(1)


@given(st.lists(SMALL, min_size=3, max_size=6), st.floats(0.01, 0.99))
def test_a_chain_that_meets_is_continuous(values, share):
    chain = lehr.SchedLin(values[0], values[1])
    for start, end in itertools.pairwise(values[1:]):
        chain = chain.then(lehr.SchedCos(start, end), share)
    for boundary in chain.boundaries[1:-1]:
        below, at = chain(boundary - 1e-9), chain(boundary)
        assert abs(below - at) <= 1e-5 * (1 + max(map(abs, values)))


@given(schedules(), SMALL, SMALL, positions)
def test_clip_holds_values_between_its_bounds(schedule, a, b, pos):
    low, high = sorted((a, b))
    assert schedule.clip(low, high)(pos) == min(max(schedule(pos), low), high)
    assert schedule.clip(low=low)(pos) == max(schedule(pos), low)
    assert schedule.clip(high=high)(pos) == min(schedule(pos), high)


def test_groups_broadcast_through_every_operation():
    f, g = lehr.SchedLin(0, 1), lehr.SchedCos([1, 2, 3], 0)
    assert (f + g)(0).tolist() == [1, 2, 3]
    assert (f * g)(1).tolist() == [0, 0, 0]
    assert f.clip(low=[0.1, 0.2])(0).tolist() == [0.1, 0.2]
    assert (f * np.array([1.0, 2.0]))(0.5).tolist() == [0.5, 1.0]
    assert (np.array([1.0, 2.0]) + f)(0.5).tolist() == [1.5, 2.5]
    with pytest.raises(ValueError, match="the numbers of parameter groups must agree"):
        g + lehr.SchedCos([1, 2], 0)


def test_a_product_that_overflows_is_an_error_where_it_does():
    product = lehr.SchedExp(1, 1e200) * lehr.SchedExp(1, 1e200)
    assert product(0.5) == pytest.approx(1e200)
    with pytest.raises(ValueError, match=r"the schedule has no finite value at pos 0\.9"):
        product(0.9)
    with pytest.raises(ValueError, match=r"the schedule has no finite value at pos 0\.8"):
        product.values(10)
    assert lehr.SchedExp(1, 1e200)(2) == float("inf")


def test_functions_take_part_in_the_algebra_and_forbid_json():
    half = lehr.combine_scheds([1], [lambda pos: pos / 2])
    assert (half + 1).reverse()(0.25) == 1.375
    with pytest.raises(TypeError, match="to_json needs a schedule without functions"):
        (half * 2).repeat(2).to_json()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.clip(), ValueError, "`low` or `high` must be given"),
        (lambda f: f.clip(2, 1), ValueError, "`low` must not be above `high`, got 2.0 and 1.0"),
        (lambda f: f.clip([1, 2], [1, 2, 3]), ValueError, "`high` has 3 groups, but `low` has 2"),
        (lambda f: f.clip(float("nan")), ValueError, "`low` must be a finite number, got NaN"),
        (lambda f: f.part(-0.1, 1), ValueError, "`start` must be a position of at least 0, got -0"),
        (lambda f: f.part(0, float("inf")), ValueError, "`end` must be a position"),
        (lambda f: f.part("a", 1), TypeError, "`start` must be a number, got 'a'"),
        (lambda f: f.warp(0), ValueError, "`power` must be a finite number above 0, got 0.0"),
        (lambda f: f.warp(2)(-1), ValueError, "`pos` must be at least 0 for a warped schedule"),
        (lambda f: f.repeat(0), ValueError, "`times` must be between 1 and 1000000, got 0"),
        (lambda f: f.repeat(1.5), TypeError, "`times` must be an integer, got 1.5"),
        (lambda f: f.repeat(3, 0), ValueError, "`stretch` must be a finite number above 0"),
        (lambda f: f.repeat(3, 1e300), ValueError, "`stretch` must be a finite number above 0"),
        (lambda f: f.repeat(10**6).repeat(2), ValueError, "more than 1000000 phases"),
        (lambda f: f.then(1, 0.5), TypeError, "`other` must be a schedule, got 1"),
        (lambda f: f.then(f, 1.5), ValueError, "`share` must be between 0 and 1, got 1.5"),
        (lambda f: f + "a", TypeError, "unsupported operand"),
        (lambda f: f + float("nan"), ValueError, "must be a finite number, got NaN"),
        (lambda f: lehr.SchedTanh(0, 1, 3, 3), ValueError, "`lower` must be below `upper`"),
        (lambda f: lehr.SchedTanh(0, 1, 0, 101), ValueError, "between -100.0 and 100.0"),
        (lambda f: lehr.SchedInverseSqrt(1, 0), ValueError, "both above 0 or both below 0"),
        (lambda f: lehr.SchedInverseSqrt(1, 1e200), ValueError, "within a factor of 1e150"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        call(lehr.SchedLin(0, 1))


def test_nesting_beyond_64_is_an_error():
    schedule = lehr.SchedLin(0, 1)
    for _ in range(64):
        schedule = schedule + 1
    with pytest.raises(ValueError, match="must not nest more than 64 deep"):
        schedule + 1
    assert lehr.Schedule.from_json(schedule.to_json()) == schedule


def test_too_many_phases_are_refused_before_they_are_made():
    for call in (
        lambda: lehr.sgdr(1, cycles=10**15),
        lambda: lehr.SchedLin(0, 1).repeat(10**30),
        lambda: lehr.Schedule.from_json(
            lehr.SchedLin(0, 1).repeat(1000).repeat(900).to_json().replace("900", "900000000")
        ),
    ):
        with pytest.raises(ValueError, match="1000000"):
            call()


def test_a_position_that_overflows_far_outside_is_an_error_for_arrays_too():
    inner = lehr.SchedLin(0, 1).then(lehr.SchedCos(1, 0), 0.5)
    nested = lehr.combine_scheds([0.5, 0.5], [inner, inner])
    far = nested
    for _ in range(40):
        far = far.part(0, 1e9)
    for call in (lambda: nested([1e308]), lambda: far.values(10), lambda: far([1.0])):
        with pytest.raises(ValueError, match="`pos` must be a finite number|no finite value"):
            call()


@pytest.mark.parametrize("width", [1e-10, 1e-12, 1e-13, 2**-52])
def test_the_last_phase_ends_at_its_end_however_narrow_it_is(width):
    schedule = lehr.combine_scheds([1 - width, width], [lehr.SchedNo(0, 0), lehr.SchedLin(5, 6)])
    assert schedule(1) == 6
    assert schedule.values(3, end=True)[-1] == 6


def test_every_phase_of_a_schedule_with_groups_gives_a_value_a_group():
    mixed = lehr.SchedLin([0, 1], [1, 2]).then(lehr.SchedLin(5, 6), 0.5)
    assert mixed(0.75).tolist() == [5.5, 5.5]
    assert mixed([0.75]).tolist() == [[5.5, 5.5]]
    assert mixed.values(4)[3].tolist() == [5.5, 5.5]
    one = lehr.SchedNo([1.0], [1.0]).then(lehr.SchedNo(2.0, 2.0), 0.5)
    assert one(0.75).tolist() == [2.0]


def test_a_sum_that_overflows_is_not_hidden_by_a_bound():
    with pytest.raises(ValueError, match="no finite value"):
        (lehr.SchedNo(1e308, 1e308) + 1e308).clip(high=1)(0.5)


def test_a_warp_that_overflows_has_no_value():
    with pytest.raises(ValueError, match="no finite value"):
        lehr.SchedLin(0, 1).warp(500)(1e9)
    assert lehr.SchedLin(0, 1).warp(500)(2) == pytest.approx(2.0**500)


def test_wide_tanh_keeps_to_its_ends():
    schedule = lehr.SchedTanh(-1, 1, -29.355513889956754, 100)
    values = schedule.values(10_001, end=True)
    assert values.max() <= 1 + 8 * np.finfo(float).eps
    assert (np.diff(values) >= -4 * np.finfo(float).eps).all()
    pos = 0.4978377604906875
    assert ulps(schedule(pos), tanh(-1, 1, -29.355513889956754, 100, pos), 1) <= 8


@pytest.mark.parametrize(("period", "steps"), [(7, 1000), (7, 100_000), (3, 100_000)])
def test_waves_begin_at_their_whole_steps_where_they_do_not_fill_the_run(period, steps):
    spec = lehr.cyclic(1e-4, 1e-2, period=f"{period} steps")
    values = spec.resolve(steps).values(steps)
    k = np.arange(steps) % period
    exact = 1e-4 + (1e-2 - 1e-4) * np.where(2 * k <= period, 2 * k, 2 * (period - k)) / period
    # A position is off by an ulp, of a wave that is a share of it: 2**-53 steps / period.
    assert np.abs(values / exact - 1).max() <= 1e-14 + 4e-16 * steps
    assert (values[::period] == 1e-4).all()
