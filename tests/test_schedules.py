"""The public schedule functions: inputs, errors, serialised form, functions as phases."""

import functools
import gc
import json
import math
import pickle
import subprocess
import sys
import weakref

import lehr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lehr import (
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    SchedPoly,
    Schedule,
    annealer,
    combine_scheds,
    combined_cos,
)


def test_reference_values_on_a_grid(reference):
    """Simple schedules are float64 there; combined ones carry float32 noise of up to 2e-6."""
    grid = reference["schedules"]["grid"]
    for name, expected in reference["schedules"]["values"].items():
        schedule = eval(name, vars(lehr))
        tolerance = 2e-6 if "comb" in name else 1e-9
        assert schedule(grid) == pytest.approx(expected, rel=tolerance, abs=1e-7), name


@pytest.mark.parametrize("make", [SchedLin, SchedCos, SchedNo, SchedExp])
def test_makers_take_keywords_and_direct_functions_agree(make):
    direct = getattr(lehr, "sched_" + make.__name__.removeprefix("Sched").lower())
    assert direct(start=1, end=2, pos=0.3) == make(start=1, end=2)(pos=0.3)
    assert direct(1, 2, [0.3, 0.4]).tolist() == make(1, 2)([0.3, 0.4]).tolist()
    assert make.__doc__


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, iter])
def test_ends_hold_one_value_per_group(kind):
    f = combined_cos(0.25, kind([0.25, 0.5]), kind([0.5, 1.0]), 0)
    assert f.groups == 2
    assert f(0.25).tolist() == [0.5, 1.0]
    assert f([0, 1]).tolist() == [[0.25, 0.5], [0, 0]]
    assert f.values(3).shape == (3, 2)
    assert f.start.tolist() == [0.25, 0.5]
    # Changing what an attribute gave leaves the schedule alone.
    f.start[0] = 9
    assert f.start.tolist() == [0.25, 0.5]


def test_a_scalar_is_not_a_one_element_group():
    assert SchedLin(1, 2) != SchedLin([1], 2)
    assert SchedLin([1], 2)(0).tolist() == [1]
    assert SchedLin(1, 2).groups is None
    assert SchedLin([1], 2).groups == 1


def test_minus_zero_equals_zero_and_hashes_alike():
    assert SchedLin(0.0, 1) == SchedLin(-0.0, 1)
    assert hash(SchedLin(0.0, 1)) == hash(SchedLin(-0.0, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: combine_scheds([0.5, 0.4], [SchedNo(1, 1)] * 2), "`pcts` must sum to 1, got 0.9"),
        (lambda: combine_scheds([1.5, -0.5], [SchedNo(1, 1)] * 2), "got -0.5 at index 1"),
        (lambda: combine_scheds([math.nan, 1], [SchedNo(1, 1)] * 2), "got NaN at index 0"),
        (lambda: combine_scheds([math.inf, 1], [SchedNo(1, 1)] * 2), "got inf at index 0"),
        (lambda: combine_scheds([1], []), "1 shares and 0 schedules"),
        (lambda: combine_scheds([], []), "`pcts` must hold at least one share"),
        (lambda: combine_scheds([1e308, 1e308], [SchedNo(1, 1)] * 2), "must sum to 1"),
        (lambda: combined_cos(1.5, 0, 1, 2), "`pct` must be between 0 and 1, got 1.5"),
        (lambda: combined_cos(math.nan, 0, 1, 2), "`pct` must be between 0 and 1, got NaN"),
        (lambda: combined_cos(0.5, 0, math.inf, 2), "`middle` must be a finite number, got inf"),
        (lambda: combined_cos(0.5, [0, 1], 1, [1, 2, 3]), "`end` has 3 groups, but `start` has 2"),
        (lambda: SchedExp(0, 1), "both above 0 or both below 0, got 0.0 and 1.0"),
        (lambda: SchedExp([1, 1], [2, -2]), "both above 0 or both below 0, got 1.0 and -2.0"),
        (lambda: SchedLin(math.nan, 1), "`start` must be a finite number, got NaN"),
        (lambda: SchedCos(0, [1, math.inf]), "`end` must hold finite numbers, got inf for group 1"),
        (lambda: SchedNo([], 1), "`start` must hold one number per parameter group"),
        (lambda: SchedLin([1, 2], [1, 2, 3]), "`end` has 3 groups, but `start` has 2"),
        (lambda: SchedPoly(0, 1, 0), "`power` must be a finite number above 0, got 0.0"),
        (lambda: SchedPoly(0, 1, math.inf), "`power` must be a finite number above 0, got inf"),
        (
            lambda: combine_scheds([0.5, 0.5], [SchedLin([1, 2], 3), SchedLin([1, 2, 3], 3)]),
            r"`scheds\[1\]` has 3 groups, but `scheds\[0\]` has 2",
        ),
    ],
)
def test_wrong_values_raise_at_construction_and_say_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SchedLin("1", 2), r"`start` must be a number .* got '1' \(str\)"),
        (lambda: SchedLin(1, None), "`end` must be a number .* got None"),
        (lambda: SchedPoly(0, 1, [2]), "`power` must be a number"),
        (lambda: combine_scheds(1, [SchedNo(1, 1)]), "`pcts` must be a one-dimensional sequence"),
        (lambda: combine_scheds([1], 3), "`scheds` must be a sequence of schedules, got 3"),
        (lambda: combine_scheds([1], [3]), r"`scheds\[0\]` must be a schedule or a function"),
        (lambda: annealer(3), r"`f` must be a function of \(start, end, pos\), got 3"),
        (lambda: SchedLin(1 + 2j, 2), "`start` must be a number"),
        (lambda: SchedLin(np.array([1j]), 2), "`start` must hold real numbers"),
        (lambda: SchedLin(torch.tensor([1j, 1j]), 2), "`start` must hold real numbers"),
    ],
)
def test_wrong_types_raise_and_name_the_argument(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_shares_are_kept_as_given_and_sums_within_the_tolerance_are_accepted():
    f = combine_scheds([0.1] * 10, [SchedLin(0, 1)] * 10)
    assert "[0.1, 0.1," in repr(f)
    assert combine_scheds([0.5, 0.5 + 9e-7], [SchedNo(1, 1)] * 2).boundaries[-1] == 1
    with pytest.raises(ValueError, match="must sum to 1"):
        combine_scheds([0.5, 0.5 + 2e-6], [SchedNo(1, 1)] * 2)


def test_empty_phases_are_never_chosen():
    marks = [SchedNo(i, i) for i in range(5)]
    f = combine_scheds([0, 0.5, 0, 0.5, 0], marks)
    assert f([0, 0.25, 0.5, 0.75, 1]).tolist() == [1, 1, 3, 3, 3]
    assert f.start == 1
    assert f.end == 3


def test_a_position_just_below_a_boundary_counts_as_the_boundary():
    f = combine_scheds([0.3, 0.7], [SchedLin(0, 1), SchedLin(5, 6)])
    for pos in (0.3, 0.3 - 1e-13, math.nextafter(0.3, 0)):
        assert f(pos) == 5.0
    assert f(0.3 - 1e-11) < 1
    assert f(1 - 1e-13) == 6.0


def test_nesting_is_limited_and_the_limit_round_trips():
    f = SchedLin(0, 1)
    for _ in range(64):
        f = combine_scheds([0.5, 0.5], [f, SchedNo(1, 1)])
    with pytest.raises(ValueError, match="must not nest more than 64 deep, got 65 levels"):
        combine_scheds([1], [f])
    assert Schedule.from_json(f.to_json()) == f
    assert pickle.loads(pickle.dumps(f)) == f
    assert f(0.1) == f([0.1])[0]
    too_deep = f.to_json().replace(
        '"schedule":', '"schedule":{"type":"combine","pcts":[1],"scheds":['
    )
    with pytest.raises(ValueError, match="64 deep"):
        Schedule.from_json(too_deep[:-1] + "]}}")


# The serialised form.


def test_json_is_versioned_and_readable():
    text = combined_cos(0.25, [0.5, 0.25], 1, 0).to_json()
    assert json.loads(text) == {
        "version": 1,
        "schedule": {
            "type": "combine",
            "pcts": [0.25, 0.75],
            "scheds": [
                {"type": "cos", "start": [0.5, 0.25], "end": 1.0},
                {"type": "cos", "start": 1.0, "end": 0.0},
            ],
        },
    }


LIN = {"type": "lin", "start": 0.0, "end": 1.0}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": 2, "schedule": LIN}, "got version 2"),
        ({"version": 1}, "missing field `schedule`"),
        ({"schedule": LIN}, "missing field `version`"),
        ({"version": 1, "schedule": LIN, "more": 1}, "unknown field `more`"),
        ({"version": 1, "schedule": LIN | {"more": 1}}, "unknown field `more`"),
        (
            {"version": 1, "schedule": {"type": "sin", "start": 0, "end": 1}},
            "unknown variant `sin`",
        ),
        ({"version": 1, "schedule": {"type": "lin", "start": 0}}, "missing field `end`"),
        ({"version": 1, "schedule": LIN | {"start": "0"}}, "must be the JSON of a schedule"),
        ({"version": 1, "schedule": {"type": "exp", "start": 0, "end": 1}}, "both above 0"),
        (
            {"version": 1, "schedule": {"type": "combine", "pcts": [0.5], "scheds": [LIN]}},
            "sum to 1",
        ),
        ([1], "must be the JSON of a schedule"),
        ([1, LIN], "expected an object"),
        ({"version": 1, "schedule": ["lin", 0, 1]}, "expected an object"),
        ({"version": 2, "schedule": {"type": "new"}}, "got version 2"),
        ({"version": 1, "schedule": LIN | {"start": {}}}, "expected a number or a list of numbers"),
        (None, "must be the JSON of a schedule"),
    ],
)
def test_hostile_json_is_a_value_error(document, message):
    with pytest.raises(ValueError, match=message):
        Schedule.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"version":1,"schedule":' * 50_000,
        '{"version":1,"schedule":{"type":"lin","start":1e999,"end":0}}',
        '{"version":1,"schedule":{"type":"lin","start":NaN,"end":0}}',
        '{"version":1,"schedule":{"type":"lin","start":0,"start":1,"end":0}}',
        '{"version":1,"schedule":{"type":"lin","start":0,"end":0}} trailing',
        '{"version":1,"schedule":{"type":"lin","start":0,"end":0},"version":1}',
        "\x00",
        '"\ud800"',
    ],
)
def test_broken_json_is_a_value_error(text):
    with pytest.raises(ValueError, match="`text` must"):
        Schedule.from_json(text)


@given(
    st.text(max_size=60)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_other_text_is_a_value_error(text):
    with pytest.raises(ValueError, match="`text` must"):
        Schedule.from_json(text)


@settings(max_examples=300)
@given(st.data())
def test_mutated_json_is_a_schedule_or_a_value_error(data):
    text = combined_cos(0.25, [0.5, 1e-300], 1, 0).to_json()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 8)))
    insert = data.draw(st.text(alphabet='{}[]",:0123456789.eE-+ntcosli', max_size=6))
    try:
        schedule = Schedule.from_json(text[:start] + insert + text[stop:])
    except ValueError as error:
        assert str(error)
    else:
        assert Schedule.from_json(schedule.to_json()) == schedule


def test_json_of_other_types_is_a_type_error():
    for bad in (None, 3, b"{}", {}):
        with pytest.raises(TypeError, match="`text` must be a string, got"):
            Schedule.from_json(bad)


# Python functions as phases (rule 8).


def half(pos):
    return pos / 2


def per_group(pos):
    return [pos, 2 * pos]


@annealer
def SchedStep(start, end, pos):
    """Step halfway."""
    return start if pos < 0.5 else end


def quadratic(start, end, pos):
    return start + (end - start) * pos**2


SchedQuadratic = annealer(quadratic)


def test_a_function_may_be_a_phase():
    f = combine_scheds([0.5, 0.5], [half, SchedLin(0, 4)])
    assert f([0, 0.25, 0.75]).tolist() == [0, 0.25, 2]
    assert f(0.25) == 0.25
    assert f.phases == (half, SchedLin(0, 4))
    assert f == combine_scheds([0.5, 0.5], [half, SchedLin(0, 4)])
    assert f != combine_scheds([0.5, 0.5], [abs, SchedLin(0, 4)])
    assert hash(f) == hash(combine_scheds([0.5, 0.5], [half, SchedLin(0, 4)]))
    assert pickle.loads(pickle.dumps(f)) == f
    assert f.values(20_000)[5000] == 0.25


def test_a_function_gets_one_float_at_a_time():
    seen = []
    f = combine_scheds([1], [lambda pos: seen.append(pos) or 0.0])
    f(np.array([0.25, 0.5]))
    assert [(type(pos), pos) for pos in seen] == [(float, 0.25), (float, 0.5)]


def test_a_function_s_exception_passes_through_unchanged():
    class Mine(Exception):  # noqa: N818
        pass

    error = Mine("here")

    def fails(pos):
        raise error

    f = combine_scheds([0.5, 0.5], [SchedLin(0, 1), combine_scheds([1], [fails])])
    for call in (lambda: f(0.75), lambda: f.at(0.75), lambda: f([0.1, 0.75]), lambda: f.values(4)):
        with pytest.raises(Mine) as caught:
            call()
        assert caught.value is error
    assert f(0.25) == 0.5


def test_a_function_must_return_a_number_or_one_per_group():
    f = combine_scheds([0.5, 0.5], [per_group, SchedLin([1, 2], 3)])
    assert f(0.25).tolist() == [0.5, 1.0]
    assert combine_scheds([0.5, 0.5], [half, SchedLin([1, 2], 3)])(0.25).tolist() == [0.25, 0.25]
    with pytest.raises(
        ValueError, match="must return a number, but .*per_group.* returned 2 numbers"
    ):
        combine_scheds([1], [per_group])(0.5)
    with pytest.raises(ValueError, match="must return a number or 3 numbers"):
        combine_scheds([0.5, 0.5], [per_group, SchedLin([1, 2, 3], 3)])(0.25)
    with pytest.raises(TypeError, match=r"`phase\(pos\)` must be a number"):
        combine_scheds([1], [lambda pos: "x"])(0.5)


def test_a_function_has_no_json_and_the_error_names_it():
    inner = combine_scheds([1], [half])
    f = combine_scheds([0.5, 0.5], [SchedLin(0, 1), inner])
    with pytest.raises(TypeError, match=r"scheds\[1\]\.scheds\[0\] = <function half"):
        f.to_json()


def test_a_function_in_a_schedule_that_it_refers_to_is_collected():
    class Phase:
        def __call__(self, pos):
            return pos

    phase = Phase()
    phase.schedule = combine_scheds([1], [phase])
    gone = weakref.ref(phase)
    del phase
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f.repeat(3),
        lambda f: combine_scheds([0.5, 0.5], [f, SchedLin(0, 1)]).repeat(2),
        lambda f: f + f,
        lambda f: combine_scheds([0.5, 0.5], [f, f]).reverse(),
        lambda f: (f * f.repeat(2)).clip(0, 1),
    ],
)
def test_a_function_is_collected_wherever_the_schedule_holds_it(make):
    class Phase:
        def __call__(self, pos):
            return pos

    phase = Phase()
    phase.schedule = make(combine_scheds([1], [phase]))
    gone = weakref.ref(phase)
    del phase
    gc.collect()
    assert gone() is None


def test_a_function_that_a_living_schedule_shares_survives_the_collector():
    """Garbage that shares a part which holds it must not count that reference as its own."""
    code = """
import gc
from lehr import combine_scheds

def main():
    k = 3
    def function(pos):
        return pos * k
    inner = combine_scheds([1], [function])
    middle = inner.reverse()
    living = middle.repeat(2)
    class Cycle: pass
    cycle = Cycle()
    cycle.schedule = inner + middle
    cycle.self = cycle
    del inner, middle, cycle, function
    for _ in range(3):
        gc.collect()
    assert living(0.25) == 1.5
    print("ok")

main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_annealer_binds_ends_and_keeps_name_and_doc():
    assert SchedStep.__name__ == "SchedStep"
    assert SchedStep.__doc__ == "Step halfway."
    assert SchedStep.__wrapped__(1, 2, 0.7) == 2
    f = SchedStep(start=1.0, end=2.0)
    assert (f.start, f.end, f(pos=0.2), f(0.7)) == (1.0, 2.0, 1.0, 2.0)
    assert f == SchedStep(1.0, 2.0)
    assert f != SchedStep(1.0, 3.0)
    assert hash(f) == hash(SchedStep(1.0, 2.0))
    assert repr(f) == "SchedStep(1.0, 2.0)"
    with pytest.raises(TypeError):
        SchedStep(1, 2, 3)


def test_annealed_objects_pickle_and_may_be_phases():
    for f in (SchedStep(0.0, 1.0), SchedQuadratic(0.0, 2.0)):
        combined = combine_scheds([0.5, 0.5], [f, SchedNo(1, 1)])
        assert combined(0.25) == f(0.5)
        again = pickle.loads(pickle.dumps(combined))
        assert again == combined
        assert again.phases[0] == f
    grouped = combine_scheds([1], [SchedQuadratic(np.array([0.0, 1.0]), 2.0)])
    assert grouped.groups == 2
    assert grouped(0.5).tolist() == [0.5, 1.25]


def test_annealer_of_a_local_function_says_it_cannot_be_pickled():
    f = annealer(lambda start, end, pos: start)(1, 2)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(f)


def test_a_function_shared_by_several_schedules_survives_the_collector():
    """A collector that counted it once per place would free it while it is in use."""
    code = """
import gc
from lehr import combine_scheds

def main():
    k = 3
    def function(pos):
        return pos * k
    inner = combine_scheds([1], [function])
    cycle = [combine_scheds([0.5, 0.5], [inner, inner]), inner, inner.phases, function]
    cycle.append(cycle)
    del inner, cycle
    for _ in range(3):
        gc.collect()
    assert function(1.0) == 3.0
    print("ok")

main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


def test_a_function_s_values_must_be_finite():
    with pytest.raises(
        ValueError, match="must return finite numbers, but .* returned NaN at pos 0.5"
    ):
        combine_scheds([1], [lambda pos: math.nan])(0.5)


def test_ends_of_annealed_objects_compare_as_numbers_and_count_as_groups():
    for kind in (np.array, torch.tensor):
        f, g = (
            SchedQuadratic(kind([0.0, 1.0]), kind(2.0)),
            SchedQuadratic(kind([0.0, 1.0]), kind(2.0)),
        )
        assert f == g
        assert hash(f) == hash(g)
    with pytest.raises(ValueError, match=r"`scheds\[0\]` must have at least one parameter group"):
        combine_scheds([1], [SchedQuadratic(np.array([]), 1.0)])

    class Other:
        groups = 10**15

        def __call__(self, pos):
            return pos

    # An attribute of that name means nothing on other callables.
    assert combine_scheds([1], [Other()])(0.5) == 0.5
    assert "partial" in repr(annealer(functools.partial(quadratic))(0, 1))


def test_the_number_of_phases_in_all_is_limited():
    f = SchedLin(0, 1)
    for _ in range(18):
        f = combine_scheds([0.5, 0.5], [f, f])
    assert hash(f) == hash(combine_scheds([0.5, 0.5], f.phases))
    with pytest.raises(ValueError, match="more than 1000000 phases in all, got 1048574"):
        combine_scheds([0.5, 0.5], [f, f])


def test_object_arrays_are_read_item_by_item():
    assert SchedLin(np.array([1, 2.5], dtype=object), 3)(0).tolist() == [1, 2.5]
    for bad in (["0.5"], [None]):
        with pytest.raises(TypeError, match=r"`start\[0\]` must be a number"):
            SchedLin(np.array(bad, dtype=object), 1)
    with pytest.raises(TypeError, match="`start` must be a number"):
        SchedLin(np.complex128(1 + 2j), 2)


def test_a_cubic_far_outside_does_not_become_nan():
    assert SchedPoly(0, 1, 3)(1e100) == pytest.approx(1e300)
    assert SchedPoly(0, 1, 3)(1e200) == math.inf


def test_a_schedule_can_be_referred_to_weakly():
    f = SchedLin(0, 1)
    assert weakref.ref(f)() is f


# Plots.


@pytest.mark.parametrize("pct", [0.0, 1e-13, 0.5, 1.0])
def test_a_schedule_with_an_empty_phase_can_be_drawn(pct):
    assert len(combined_cos(pct, 1, 2, 3).plot().lines) == 1


@pytest.mark.parametrize(
    ("schedule", "lines"), [(combined_cos(0.25, 0.5, 1, 0), 1), (SchedLin([1, 2, 3], 0), 3)]
)
def test_plot_returns_the_axes_with_a_labelled_line_per_group(schedule, lines):
    import matplotlib.pyplot as plt

    ax = schedule.plot()
    assert len(ax.lines) == lines
    assert ax.get_xlabel() == "share of training done"
    assert ax.get_ylabel() == "value"
    assert (ax.get_legend() is not None) == (lines > 1)
    x, y = ax.lines[0].get_data()
    assert y.tolist() == np.reshape(schedule(x), (len(x), -1))[:, 0].tolist()
    _, given = plt.subplots()
    assert schedule.plot(ax=given) is given
