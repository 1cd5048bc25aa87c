"""Rows S1-S14: lehr passes each condition, and the reference's recorded behaviour fails it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from judge import is_clear_error, judge, values


def test_S1_shares_whose_float_sum_is_off_1_are_accepted(reference):
    def holds(a):
        expected = [10 * 0.5 - 5, 0.0, 0.5]
        sums = values(a["sums"])
        close = all(
            s is not None and abs(s - e) < 1e-9 for s, e in zip(sums, expected, strict=True)
        )
        return close and is_clear_error(a["wrong"], "ValueError", "`pcts` must sum to 1", "0.9")

    judge("S1", holds, reference)


def test_S2_boundaries_and_positions_are_float64(reference):
    judge("S2", lambda a: a["before"] == {"value": 1.0} and a["error"] < 1e-15, reference)


def test_S3_every_cycle_of_sgdr_starts_at_its_peak(reference):
    judge("S3", lambda a: a["restarts"] > 100 and a["late"] == 0, reference)


def test_S4_an_empty_last_phase_leaves_the_end_of_the_one_before(reference):
    judge("S4", lambda a: a == {"cos": {"value": 1.0}, "lin": {"value": 2.0}}, reference)


def test_S5_a_negative_or_nan_position_is_a_clear_error(reference):
    def holds(a):
        return is_clear_error(a["negative"], "ValueError", "pos", "-0.1") and is_clear_error(
            a["nan"], "ValueError", "pos", "NaN"
        )

    judge("S5", holds, reference)


def test_S6_the_rate_does_not_rise_again_after_the_schedule_s_end(reference):
    judge("S6", lambda a: len(a["lrs"]) == 16 and max(a["lrs"][10:]) <= 1.001e-7, reference)


def test_S7_a_length_mismatch_is_an_error_at_construction(reference):
    def holds(a):
        return is_clear_error(
            a["missing"], "ValueError", "same length", "2", "1"
        ) and is_clear_error(a["extra"], "ValueError", "same length", "2", "3")

    judge("S7", holds, reference)


def test_S8_shares_may_be_any_iterable(reference):
    judge("S8", lambda a: values(a.values()) == [0.5, 0.5, 0.5], reference)


def test_S9_ends_may_be_lists_and_tuples(reference):
    judge("S9", lambda a: values(a.values()) == [[1.0, 2.0], [0.5, 1.0]], reference)


def test_S10_every_schedule_takes_several_positions(reference):
    def holds(a):
        expected = {
            "lin": [0, 0.5, 1],
            "cos": [0, 0.2928932188134524, 1],
            "no": [3, 3, 3],
            "exp": [1, 2**0.5, 2],
            "poly": [0, 0.125, 0.5],
            "combined": [0, 0.5, 1],
        }
        return all(a[k].get("value") == pytest.approx(v, rel=1e-15) for k, v in expected.items())

    judge("S10", holds, reference)


def test_S11_every_schedule_pickles(reference):
    def holds(a):
        expected = [0.125, 0.5, 1.0, 0.0]
        return values(a.values()) == expected

    judge("S11", holds, reference)


def test_S12_a_schedule_without_real_values_is_refused(reference):
    def holds(a):
        return (
            is_clear_error(a["zero"], "ValueError", "`start`", "0.0")
            and is_clear_error(a["signs"], "ValueError", "`start`", "-1.0")
            and is_clear_error(a["power"], "ValueError", "`pos`", "-0.25", "0.5")
        )

    judge("S12", holds, reference)


def test_S13_a_curve_that_reaches_the_end_can_be_had(reference):
    judge("S13", lambda a: a["values"] == {"value": [1.0, 0.75, 0.5, 0.25, 0.0]}, reference)


def test_S14_a_schedule_prints_compares_and_shows_its_parts(reference):
    def holds(a):
        return a == {
            "equal": True,
            "repr": "combine_scheds([0.5, 0.5], [SchedLin(0.0, 1.0), SchedLin(1.0, 0.0)])",
            "boundaries": {"value": [0.0, 0.5, 1.0]},
            "phases": {"value": 2},
        }

    judge("S14", holds, reference)
