"""Lengths in steps, epochs, shares and tokens, against exact fractions."""

import copy
import math
import pickle
import re
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from lehr import PhaseSpec, SchedCos, SchedLin, SchedNo, Tied, _core, combine_scheds


def length(text, total=None, *, epochs=False, steps_per_epoch=None, tokens_per_step=None):
    return _core.run_length(text, total, epochs, steps_per_epoch, tokens_per_step)


def nearest(exact):
    """Return the nearest whole number; halves go up."""
    return math.floor(exact + Fraction(1, 2))


def is_near_a_half(exact):
    """Whether rounding the amount and the product to float64 could cross a half."""
    return abs(exact - math.floor(exact) - Fraction(1, 2)) <= Fraction(exact) / 2**50


counts = st.integers(1, 10**9)
# Numbers of a few binary digits, which are written and multiplied without an error.
dyadic = st.builds(lambda n, bits: Fraction(n, 2**bits), st.integers(1, 10**6), st.integers(0, 3))
decimals = st.decimals(0, 10**4, places=3)


def written(amount):
    return repr(float(amount))


@given(dyadic)
@example(Fraction(1, 2))
@example(Fraction(3, 2))
@example(Fraction(5, 2))
def test_steps_are_rounded_to_the_nearest_and_halves_up(amount):
    assume(nearest(amount) > 0)
    assert length(f"{written(amount)} steps") == nearest(amount)


@given(dyadic, st.integers(1, 10**6))
def test_epochs_are_their_steps_rounded_once(amount, steps_per_epoch):
    exact = amount * steps_per_epoch
    assume(nearest(exact) > 0)
    assert length(f"{written(amount)} epochs", steps_per_epoch=steps_per_epoch) == nearest(exact)


@given(decimals, st.integers(1, 10**6))
def test_epochs_in_decimals_are_the_nearest_step(amount, steps_per_epoch):
    exact = Fraction(amount) * steps_per_epoch
    assume(nearest(exact) > 0)
    assume(not is_near_a_half(exact))
    assert length(f"{amount} epochs", steps_per_epoch=steps_per_epoch) == nearest(exact)


@given(st.decimals(0, 100, places=3), counts)
@example("33.333", 3)
@example("0.1", 1000)
def test_a_share_of_a_run_is_the_nearest_step(share, total):
    exact = Fraction(share) * total / 100
    assume(nearest(exact) > 0)
    assume(not is_near_a_half(exact))
    assert length(f"{share}%", total) == nearest(exact)


@given(st.integers(1, 10**15), st.integers(1, 10**7))
@example(20 * 10**9, 4 * 10**6)
@example(3, 2)
def test_tokens_are_the_nearest_step(tokens, tokens_per_step):
    exact = Fraction(tokens, tokens_per_step)
    assume(0 < nearest(exact) <= 2**53)
    # A quotient of two exact numbers is rounded once: only that can cross a half.
    assume(exact.denominator <= 2 or not is_near_a_half(exact))
    assert length(f"{tokens} tokens", tokens_per_step=tokens_per_step) == nearest(exact)


@pytest.mark.parametrize(
    ("text", "options", "exact"),
    [
        ("14.5%", {"total": 100}, Fraction("14.5")),
        ("0.35%", {"total": 1000}, Fraction("3.5")),
        ("0.29 epochs", {"steps_per_epoch": 50}, Fraction("14.5")),
    ],
)
def test_a_half_in_decimals_goes_up_too(text, options, exact):
    assert length(text, **options) == nearest(exact)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("9007199254740991 steps", 2**53 - 1),
        ("9007199254740992 steps", 2**53),
        ("4503599627370497.5 steps", 2**52 + 2),
        ("1e15 steps", 10**15),
        (" 10_000 steps ", 10_000),
        ("+3 steps", 3),
        ("5. steps", 5),
        (".6 steps", 1),
        ("3steps", 3),
        ("3\tsteps", 3),
        ("1 step", 1),
        ("2E3 steps", 2000),
    ],
)
def test_a_number_of_steps_may_be_written_in_every_usual_way(text, steps):
    assert length(text) == steps


NO_NUMBERS = ["3e steps", "+-3 steps", "-3 steps", "0x10 steps", "nan steps", "inf steps"]
NO_UNITS = ["", " ", "3", "steps", "3 STEPS", "3 epoch s", "3 steps 4", "3 %%", "3 parsecs", "Rest"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, *NO_UNITS, "1e999 steps", "3, 4 steps", "٣ steps"])
def test_what_is_no_length_is_refused_with_what_was_given(text):
    message = "`steps` must be a length such as .* got " + re.escape(f'"{text}"')
    with pytest.raises(ValueError, match=message):
        length(text, 100, steps_per_epoch=1, tokens_per_step=1)


phase_steps = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 50), st.integers(0, 10**6)), min_size=1, max_size=7
).filter(sum)


def numbered(count):
    return [SchedNo(float(i), float(i)) for i in range(count)]


@given(phase_steps, st.data())
def test_every_phase_has_exactly_its_steps(steps, data):
    total = sum(steps)
    texts = [f"{one} steps" for one in steps]
    rest = data.draw(st.none() | st.integers(0, len(steps) - 1))
    if rest is not None:
        texts[rest] = "rest"
    sched = PhaseSpec(texts, numbered(len(steps))).resolve(total)
    begin = 0
    for phase, count in enumerate(steps):
        # The first and the last step of each, and one in between.
        for k in {begin, begin + count // 2, begin + count - 1} if count else ():
            assert sched(k / total) == phase
        begin += count


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(100, 10**5))
def test_phases_in_shares_have_the_nearest_steps_and_the_rest_what_they_leave(shares, total):
    assume(sum(shares) < 100)
    exact = [Fraction(sum(shares[:i]) * total, 100) for i in range(len(shares) + 1)]
    begins = [*map(nearest, exact)]
    texts = [*(f"{share}%" for share in shares), "rest"]
    sched = PhaseSpec(texts, numbered(len(texts))).resolve(total)
    for phase, begin in enumerate(begins):
        if begin == begins[min(phase + 1, len(shares))] and phase < len(shares):
            continue  # no step of its own
        assert sched(begin / total) == phase
        assert begin == 0 or sched((begin - 1) / total) == phase - 1


@given(st.integers(1, 99), st.integers(2, 10**6))
@example(30, 15)
@example(30, 5)
def test_two_shares_of_the_whole_fill_a_run_of_any_length(share, total):
    begin = nearest(Fraction(share * total, 100))
    assume(0 < begin < total)
    sched = PhaseSpec([f"{share}%", f"{100 - share}%"], numbered(2)).resolve(total)
    assert [sched(k / total) for k in (begin - 1, begin) if 0 <= k < total] == [
        k >= begin for k in (begin - 1, begin) if 0 <= k < total
    ]


@pytest.mark.parametrize("lengths", [["0.1%", "rest"], ["rest", "0.4 steps"], ["99.6%", "0.4%"]])
def test_a_phase_that_has_no_step_of_its_own_is_refused(lengths):
    with pytest.raises(ValueError, match="which is less than one of the 100 steps of the run"):
        PhaseSpec(lengths, numbered(2)).resolve(100)


def test_phases_behind_the_rest_are_counted_from_the_end():
    sched = PhaseSpec(["30%", "rest", "10%", "30%"], numbered(4)).resolve(15)
    assert [sched(k / 15) for k in range(15)] == [0] * 5 + [1] * 4 + [2] + [3] * 5


def test_a_phase_s_schedule_has_its_own_start_at_its_first_step():
    sched = PhaseSpec(["3 steps", "rest"], [SchedLin(0, 1), SchedLin(5, 7)]).resolve(10)
    assert [sched(k / 10) for k in (0, 3)] == [0, 5]
    assert sched(1) == 7
    assert sched(1 / 10) == pytest.approx(1 / 3, rel=1e-15)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (["3 steps", "6 steps"], 'are 9 steps: one of them may be "rest"'),
        (["3 steps", "8 steps"], "which are 11 steps"),
        (["11 steps", "rest"], "which are 11 steps"),
        (["rest", "rest"], '`lengths` must hold "rest" once at most'),
        (["3 steps", "1 epoch"], r'`lengths\[1\]` is "1 epoch": that needs `steps_per_epoch`'),
        (["3 steps", "x"], r"`lengths\[1\]` must be a length"),
        (["9007199254740993e9 steps", "rest"], r"`lengths\[0\]` is more than 2\^53 steps"),
        (["9007199254740992 steps", "9007199254740992 steps"], "must fill the 10 steps"),
    ],
)
def test_phases_that_do_not_fill_the_run_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        PhaseSpec(lengths, numbered(2)).resolve(10)


def test_where_a_step_is_an_epoch_lengths_are_in_epochs_or_shares():
    sched = PhaseSpec(["2 epochs", "50%", "rest"], numbered(3)).resolve(10, interval="epoch")
    assert [sched(k / 10) for k in range(10)] == [0] * 2 + [1] * 5 + [2] * 3
    for text in ("2 steps", "2 tokens"):
        with pytest.raises(ValueError, match="must be in epochs or %"):
            PhaseSpec([text, "rest"], numbered(2)).resolve(10, interval="epoch")


@given(st.integers(0, 2**53), st.integers(1, 2**53), st.integers(1, 2**53))
@example(2**53, 3, 2**53)
@example(1, 2, 1)
def test_a_step_is_carried_to_the_nearest_of_the_same_share(step, then, now):
    exact = nearest(Fraction(step * now, then))
    assert _core.carried_step(step, then, now) == min(exact, 2**64 - 1)


# The values themselves.

SPEC = PhaseSpec(["3 steps", "rest"], [SchedLin(0, 1), SchedCos(1, 0)])


@pytest.mark.parametrize("value", [SPEC, Tied("lr", 0.1)])
def test_a_spec_is_a_value_that_is_copied_compared_and_printed_as_its_call(value):
    others = [pickle.loads(pickle.dumps(value)), copy.deepcopy(value), eval(repr(value))]
    for other in others:
        assert other == value
        assert hash(other) == hash(value)
        assert repr(other) == repr(value)
    assert value != repr(value)


@pytest.mark.parametrize(
    "other",
    [
        PhaseSpec(["4 steps", "rest"], SPEC.scheds),
        PhaseSpec(SPEC.lengths, [SchedLin(0, 1), SchedCos(1, 0.5)]),
        PhaseSpec(["rest"], [SchedLin(0, 1)]),
    ],
)
def test_other_phases_are_not_equal(other):
    assert other != SPEC


def test_other_ties_are_not_equal():
    assert len({Tied("lr", 0.1), Tied("lr", 0.2), Tied("wd", 0.1), Tied("lr", 0.1)}) == 3


def test_phases_are_resolved_to_their_shares_of_each_run():
    same = [SchedLin(0, 1), SchedCos(1, 0)]
    assert SPEC.resolve(12) == combine_scheds([0.25, 0.75], same)
    assert SPEC.resolve("2 epochs", steps_per_epoch=12) == combine_scheds([0.125, 0.875], same)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: PhaseSpec(["1 step"], []), ValueError, "same number of phases, got 1 and 0"),
        (lambda: PhaseSpec([3], [SchedNo(1, 1)]), TypeError, r"`lengths\[0\]` must be .* got 3"),
        (lambda: PhaseSpec(3, [SchedNo(1, 1)]), TypeError, "`lengths` must be a list .*, got 3"),
        (lambda: PhaseSpec(["rest"], 3), TypeError, "`scheds` must be a list .*, got 3"),
        (lambda: PhaseSpec([], []).resolve(10), ValueError, "phase|fill"),
        (lambda: PhaseSpec(["rest"], [0.1]).resolve(10), TypeError, "0.1"),
        (lambda: Tied(3, 0.1), TypeError, "`name` must be the name of a hyper-parameter, got 3"),
        (lambda: Tied("lr", "0.1"), TypeError, "`times` must be a number"),
        (lambda: Tied("lr", math.nan), ValueError, "`times` must be a finite number, got NaN"),
        (lambda: Tied("lr", [1, 2]), TypeError, "`times` must be a number, got"),
        (lambda: Tied("lr", slice(1, 2)), TypeError, "`times` must be a number, got"),
    ],
)
def test_a_wrong_spec_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_length_may_be_given_without_a_list():
    assert PhaseSpec("rest", [SchedNo(1, 1)]).lengths == ("rest",)
