"""Rules 2 and 3 against mpmath: 4 ulp of the exact formula with float64 boundaries."""

import math

import lehr
import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import magnitudes, positions, powers, shares

mp.mp.dps = 60

LIMIT = 4


def sin2(x):
    return mp.sin(mp.pi * mp.mpf(x) / 2) ** 2


def exact(shape, start, end, p, power=None):
    """The formula of a shape at the exact position p, in 60 digits."""
    start, end = mp.mpf(start), mp.mpf(end)
    if shape == "lin":
        return start * (1 - p) + end * p
    if shape == "cos":
        return start * sin2(1 - p) + end * sin2(p)
    if shape == "exp":
        return start * (end / start) ** p
    return start + (end - start) * p ** mp.mpf(power)


def ulps(value, expected, scale=None):
    size = math.ulp(float(expected if scale is None else scale))
    return abs(mp.mpf(value) - expected) / size


def make(shape, start, end, power=None):
    makers = {"lin": lehr.SchedLin, "cos": lehr.SchedCos, "exp": lehr.SchedExp}
    return lehr.SchedPoly(start, end, power) if shape == "poly" else makers[shape](start, end)


def boundaries(pcts):
    """Rule 2: exactly rounded running sums divided by the total, the last exactly 1."""
    total = math.fsum(pcts)
    return [math.fsum(pcts[:i]) / total for i in range(len(pcts))] + [1.0]


def locate(pcts, pos):
    """Rule 2: the phase and the exact local position of pos."""
    edges = boundaries(pcts)
    for edge in edges:
        if edge - 1e-12 <= pos < edge:
            pos = edge
    phase = max(i for i in range(len(pcts)) if edges[i] <= pos and edges[i] < edges[i + 1])
    if edges[phase] > 0 and pos < 1 and pos - edges[phase] <= 1e-12:
        pos = edges[phase]
    low, high = mp.mpf(edges[phase]), mp.mpf(edges[phase + 1])
    return phase, (mp.mpf(pos) - low) / (high - low)


normal = st.floats(1e-40, 1e40)


@pytest.mark.parametrize("shape", ["lin", "cos", "exp"])
@settings(max_examples=1500)
@given(start=normal, end=normal, pos=positions, sign=st.sampled_from([1, -1]))
@example(start=1e-3, end=1e-30, pos=1 - 2**-53, sign=1)
@example(start=1e-30, end=1e-3, pos=2**-30, sign=1)
def test_bare_schedule_is_within_4_ulp(shape, start, end, pos, sign):
    value = make(shape, sign * start, sign * end)(pos)
    assert ulps(value, exact(shape, sign * start, sign * end, mp.mpf(pos))) <= LIMIT


@settings(max_examples=800)
@given(magnitudes, magnitudes, positions, powers, st.sampled_from([1, -1]))
def test_polynomial_is_within_4_ulp_of_the_larger_end(start, end, pos, power, sign):
    value = lehr.SchedPoly(start, sign * end, power)(pos)
    expected = exact("poly", start, sign * end, mp.mpf(pos), power)
    assert ulps(value, expected, max(start, end)) <= LIMIT


@settings(max_examples=1500)
@given(
    shares,
    positions,
    st.lists(
        st.tuples(st.sampled_from(["lin", "cos", "exp"]), normal, normal), min_size=6, max_size=6
    ),
)
def test_combined_schedule_is_within_4_ulp(pcts, pos, phases):
    total = math.fsum(pcts)
    pcts = [p / total for p in pcts]
    phases = phases[: len(pcts)]
    schedule = lehr.combine_scheds(pcts, [make(*phase) for phase in phases])
    assert list(schedule.boundaries) == boundaries(pcts)
    index, p = locate(pcts, pos)
    assert ulps(schedule(pos), exact(*phases[index], p)) <= LIMIT


@settings(max_examples=300)
@given(shares, shares, positions, normal, normal)
# A last phase that is shorter than what counts as its end.
@example([1.0, 2**-52], [1.0], 1 - 2**-53, 1.0, 2.0)
def test_nested_schedule_is_within_4_ulp(outer, inner, pos, start, end):
    outer = [p / math.fsum(outer) for p in outer]
    inner = [p / math.fsum(inner) for p in inner]
    leaf = lehr.SchedCos(start, end)
    nested = lehr.combine_scheds(inner, [leaf] * len(inner))
    schedule = lehr.combine_scheds(outer, [nested] * len(outer))
    _, p = locate(outer, pos)
    _, q = locate(inner, p)
    assert ulps(schedule(pos), exact("cos", start, end, q)) <= LIMIT


def test_a_million_positions_of_a_one_cycle_are_within_4_ulp_of_numpy_longdouble():
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("this platform's long double is float64")
    schedule = lehr.combined_cos(0.25, 4e-5, 1e-3, 1e-8)
    pos = (np.arange(1_000_000) / np.float64(1_000_000)).astype(np.longdouble)
    pi = np.longdouble("3.14159265358979323846264338327950288")

    def phase(p, start, end):
        p = p * pi / 2
        return np.cos(p) ** 2 * np.longdouble(start) + np.sin(p) ** 2 * np.longdouble(end)

    rise = phase(pos / np.longdouble(0.25), 4e-5, 1e-3)
    fall = phase((pos - np.longdouble(0.25)) / np.longdouble(0.75), 1e-3, 1e-8)
    expected = np.where(pos < 0.25, rise, fall)
    values = schedule.values(1_000_000)
    error = np.abs(values.astype(np.longdouble) - expected) / np.spacing(
        expected.astype(np.float64)
    )
    assert float(error.max()) <= LIMIT


@settings(max_examples=200)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 40))
def test_a_phase_that_starts_on_a_whole_step_starts_exactly_there(lengths, scale):
    """Boundaries at integer steps: the expected start steps are exact integers."""
    total = sum(lengths)
    steps = total * scale
    schedule = lehr.combine_scheds(
        [n / total for n in lengths], [lehr.SchedLin(1, 0)] * len(lengths)
    )
    values = schedule.values(steps)
    starts = [sum(lengths[:i]) * scale for i in range(len(lengths))]
    # A boundary is rounded: a start may lie above it by an ulp, and is then 1 - 1e-16.
    assert np.flatnonzero(values > 1 - 1e-12).tolist() == starts


@pytest.mark.parametrize(("pos", "expected"), [(1.5, 3.0), (-0.5, -1.0), (100.0, 200.0)])
def test_simple_schedules_extrapolate_their_formula_outside_the_unit_interval(pos, expected):
    assert lehr.SchedLin(0, 2)(pos) == expected
    for shape, start, end in (("cos", 1, 2), ("exp", 1, 2)):
        value = exact(shape, start, end, mp.mpf(pos))
        assert abs(mp.mpf(make(shape, start, end)(pos)) / value - 1) < 1e-13
    assert lehr.SchedPoly(1, 2, 3)(pos) == pytest.approx(1 + pos**3, rel=1e-15)
    assert lehr.SchedExp(1, 2)([pos])[0] == lehr.SchedExp(1, 2)(pos)


def test_extreme_exponential_extrapolation_over_and_underflows_as_the_formula_does():
    schedule = lehr.SchedExp(1e-300, 1e300)
    assert schedule(2.0) == math.inf
    assert schedule(-1.0) == 0.0
    assert schedule(1000.0) == math.inf
    assert ulps(schedule(0.5), mp.mpf(1e-300) * (mp.mpf(1e300) / mp.mpf(1e-300)) ** 0.5) <= LIMIT


def test_combined_extrapolates_its_last_phase_above_1_and_refuses_below_0():
    schedule = lehr.combine_scheds([0.5, 0.5], [lehr.SchedLin(0, 1), lehr.SchedLin(1, 3)])
    assert schedule(1.5) == 5.0
    assert schedule([1.5])[0] == 5.0
    for bad in (-0.1, -5e-324, [0.5, -0.1]):
        with pytest.raises(ValueError, match="`pos` must be at least 0 for a combined schedule"):
            schedule(bad)
    assert schedule(-0.0) == 0.0
