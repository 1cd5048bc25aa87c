"""Rows F1-F24: lehr passes each condition, and the reference's recorded behaviour fails it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from judge import close, is_clear_error, judge, values


def test_F1_every_group_may_have_a_schedule_of_its_own(reference):
    expected = [[0.01 * k / 10, 0.03] for k in range(10)]
    judge("F1", lambda a: close(a.get("value"), expected), reference)


def test_F2_a_rate_may_be_any_real_number(reference):
    def holds(a):
        return len(a) == 9 and all(close(lr, 0.01, rel=1e-6) for lr in values(a.values()))

    judge("F2", holds, reference)


def test_F3_one_number_in_an_array_goes_to_every_group(reference):
    def holds(a):
        return all(
            close(a[kind].get("value"), [0.01, 0.01], rel=1e-6) for kind in ("array", "tensor")
        ) and a["one_cycle"] == {"value": None}

    judge("F3", holds, reference)


def test_F4_a_slice_is_two_rates_above_0_or_a_last_one(reference):
    def holds(a):
        return (
            close(a["both"].get("value"), [1e-4, 1e-2])
            and close(a["last"].get("value"), [1e-3, 1e-2])
            and is_clear_error(a["no_last"], "ValueError", "lr", "slice(0.001, None")
            and is_clear_error(a["zero"], "ValueError", "lr", "above 0", "0.01")
            and is_clear_error(a["zero_alone"], "ValueError", "lr", "above 0", "0.01")
        )

    judge("F4", holds, reference)


def test_F5_every_group_is_recorded_and_drawn(reference):
    def holds(a):
        seen = a["in_force"]
        return (
            len(seen) == 10
            and a["all"] == {"value": seen}
            and a["last"] == {"value": [row[-1] for row in seen]}
            and a["lines"] == {"value": [2]}
        )

    judge("F5", holds, reference)


def test_F6_the_record_holds_what_the_last_fit_scheduled(reference):
    def holds(a):
        return (
            a["two"] == {"value": ["lr", "mom"]}
            and a["plain_fit"] == {"value": []}
            and a["error"] == "ZeroDivisionError"
            and a["after_error"].get("value") in (4, 5)
            and is_clear_error(a["nothing_to_plot"], "ValueError", "schedule")
            and "RegModel" not in a["nothing_to_plot"]["message"]
        )

    judge("F6", holds, reference)


def test_F7_fit_flat_cos_honours_start_epoch(reference):
    judge("F7", lambda a: a == {"batches": 10, "as_in_the_full_fit": True}, reference)


def test_F8_fit_sgdr_takes_any_ratio_of_cycles_above_0(reference):
    def holds(a):
        uneven = a["rounded"].get("value", {"epochs": 0, "peaks": []})
        # Cycles of 1, 1.5 and 2.25 epochs in 50 batches.
        starts = [0, 50 / 4.75, 2.5 * 50 / 4.75]
        return (
            a["equal"] == {"value": {"epochs": 6, "batches": 60, "peaks": [0, 20, 40]}}
            and a["fractional"] == {"value": {"epochs": 5, "batches": 50, "peaks": [0, 20]}}
            and uneven["epochs"] == 5
            and len(uneven["peaks"]) == 3
            and all(abs(p - s) < 1 for p, s in zip(uneven["peaks"], starts, strict=True))
            and is_clear_error(a["no_cycles"], "ValueError", "`n_cycles`", "0")
            and is_clear_error(a["mult_zero"], "ValueError", "`cycle_mult`", "0")
        )

    judge("F8", holds, reference)


def test_F9_fine_tune_takes_the_peak_of_its_second_fit(reference):
    judge("F9", lambda a: close(a.get("value"), 0.03), reference)


def test_F10_fine_tune_takes_a_rate_per_group_a_slice_and_none(reference):
    def holds(a):
        # The frozen fit has its peak at 99 % and stops at 90 %, so its highest rate is 2 % lower;
        # the other fit has half the rates.
        given = [1e-3, 2e-3, 5e-4, 1e-3]
        default = [4e-4, 4e-3, 2e-5, 2e-3]
        return all(
            close(a[kind].get("value"), expected, rel=0.03)
            for kind, expected in (("array", given), ("slice", given), ("none", default))
        )

    judge("F10", holds, reference)


def test_F11_fine_tune_counts_start_epoch_over_both_fits(reference):
    def holds(a):
        return a == {
            "from 1": {"frozen": 10, "free": 20, "as_in_the_full_fit": True},
            "from 2": {"frozen": 0, "free": 20, "as_in_the_full_fit": True},
            "from 3": {"frozen": 0, "free": 10, "as_in_the_full_fit": True},
        }

    judge("F11", holds, reference)


def test_F12_momentum_is_scheduled_where_there_is_one_or_where_it_is_asked_for(reference):
    def holds(a):
        return (
            a["adagrad"].get("value") == [10, []]
            and len(a["adagrad"]["warns"]) == 1
            and "no momentum" in a["adagrad"]["warns"][0]
            and a["zero"].get("value") == [10, [0.0]]
            and len(a["zero"]["warns"]) == 1
            and "momentum 0" in a["zero"]["warns"][0]
            and a["off"] == {"value": [10, [0.5]], "warns": []}
            and a["given"] == {"value": [10, [0.9]], "warns": []}
        )

    judge("F12", holds, reference)


def test_F13_hyper_parameters_can_be_put_back_after_a_fit(reference):
    def holds(a):
        # The default leaves the values of the last batch.
        return close(a["default"].get("value"), [0.019, 0.14]) and close(
            a["restore"].get("value"), [0.03, 0.9]
        )

    judge("F13", holds, reference)


def test_F14_numbers_that_make_no_schedule_are_refused(reference):
    def holds(a):
        return (
            is_clear_error(a["div"], "ValueError", "`div`", "0")
            and is_clear_error(a["div_final"], "ValueError", "`div_final`", "0")
            and is_clear_error(a["flat_cos"], "ValueError", "`div_final`", "0")
            and is_clear_error(a["no_epochs"], "ValueError", "`n_epoch`", "0")
            and is_clear_error(a["negative"], "ValueError", "`n_epoch`", "-1")
        )

    judge("F14", holds, reference)


def test_F15_a_schedule_counts_optimizer_steps_or_batches(reference):
    def holds(a):
        return (
            a["accumulated"] == {"value": [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]}
            and a["skipped_step"] == {"value": [0, 1, 2, 3, 3, 4, 5, 6, 7, 8]}
            # The cancelled batch itself is not seen.
            and a["skipped_batch"] == {"value": [0, 1, 2, 3, 4, 5, 6, 7, 8]}
            and a["by_batch"] == {"value": list(range(10))}
        )

    judge("F15", holds, reference)


def test_F16_a_loader_without_a_length_trains_with_steps(reference):
    def holds(a):
        return a["steps"] == {"value": [10, 5]} and is_clear_error(
            a["no_steps"], "TypeError", "Stream", "steps"
        )

    judge("F16", holds, reference)


def test_F17_without_a_validation_loader_there_is_no_validation(reference):
    judge("F17", lambda a: a == {"fit": {"value": [1, 1]}, "lr_find": {"value": 1}}, reference)


def test_F18_an_interrupted_fit_cleans_up_and_keeps_its_record(reference):
    def holds(a):
        return [one["ended"] for one in a.values()] == [True, "ZeroDivisionError"] and all(
            one["logger_back"] and one["recorded"].get("value") in (4, 5) for one in a.values()
        )

    judge("F18", holds, reference)


def test_F19_a_plateau_reduces_the_scheduled_rate(reference):
    judge("F19", lambda a: close(a, [[1.0], [1.0], [0.1], [0.01]]), reference)


def test_F20_a_plateau_reduces_the_rate_of_a_torch_optimizer(reference):
    judge("F20", lambda a: close(a, [1e-2, 1e-2, 1e-3, 1e-4]), reference)


def test_F21_an_unknown_hyper_parameter_is_an_error_that_lists_the_known_ones(reference):
    def holds(a):
        answers = [answer for name, answer in a.items() if name != "batches"]
        return (
            len(answers) == 4
            and all(is_clear_error(one, "KeyError", "lrr", "mom", "wd") for one in answers)
            and a["batches"] == 0
        )

    judge("F21", holds, reference)


def test_F22_callbacks_that_do_nothing_cost_nothing(reference):
    judge("F22", lambda a: a["10"] == a["0"], reference)


def test_F23_an_optimizer_made_anew_keeps_what_is_frozen_and_loses_no_parameter(reference):
    def holds(a):
        return a == {
            "frozen_idx": {"value": 1},
            "frozen": ["b"],
            "unfrozen": ["a", "b"],
            "frozen_at_first": ["a", "b"],
        }

    judge("F23", holds, reference)


def test_F24_an_epoch_cancelled_at_once_leaves_no_row(reference):
    judge("F24", lambda a: a == {"value": [2]}, reference)
