"""Rows L1-L22: lehr passes each condition, the recorded reference fails all but L22."""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from judge import close, judge, ours, values


def rates(answer):
    """The suggestions of an answer, if they are finite numbers."""
    found = answer.get("value") or [None]
    finite = all(isinstance(lr, (int, float)) and math.isfinite(lr) for lr in found)
    return found if finite else None


def test_L1_an_interrupted_sweep_puts_weights_and_rate_back(reference):
    def holds(a):
        back = {"weights_back": True, "lr": 1e-2}
        return a == {
            "interrupt": {"ended": True, **back},
            "error": {"ended": "ZeroDivisionError", **back},
        }

    judge("L1", holds, reference)


def test_L2_an_interrupted_sweep_switches_no_tracker_off(reference):
    def holds(a):
        return a["interrupted"] and a["epochs"] == 2 and close(a["lr"], [1e-3]) and a["saved"]

    judge("L2", holds, reference)


def test_L3_every_sweep_of_a_noisy_loss_gives_suggestions(reference):
    judge("L3", lambda a: a["sweeps"] == a["answered"] == 25, reference)


def test_L4_negative_losses_do_not_end_a_sweep(reference):
    judge("L4", lambda a: a["iterations"] == 100 and rates(a["answer"]), reference)


def test_L5_losses_that_are_not_finite_end_a_sweep(reference):
    def holds(a):
        at_once = a["at_once"]["answer"]
        return (
            a["late"]["iterations"] == 32
            and rates(a["late"]["answer"])
            and a["at_once"]["iterations"] == 2
            and at_once.get("value") == ["nan"]
            and len(at_once["warns"]) == 1
            and "no finite loss" in at_once["warns"][0]
        )

    judge("L5", holds, reference)


def test_L6_every_rule_answers_a_short_sweep(reference):
    judge("L6", lambda a: len(a) == 7 and all(map(rates, a.values())), reference)


def test_L7_the_valley_of_a_curve_that_falls_once_is_where_it_falls(reference):
    judge("L7", lambda a: a["index"] in (0, 1), reference)


def test_L8_the_valley_rule_takes_long_curves(reference):
    judge("L8", lambda a: a["answered"] == [100, 1000, 10_000, 100_000], reference)


def test_L9_the_slide_rule_does_not_depend_on_the_unit_of_the_loss(reference):
    def holds(a):
        found = values(a.values())
        return len(found) == 5 and found[0] is not None and close(found, [found[0]] * 5)

    answer, recorded = judge("L9", holds, reference)
    # Where the losses span 1, the threshold is the reference's.
    assert close(answer["1.0"]["value"], recorded["1.0"]["value"], rel=1e-6)


def test_L10_a_window_steadies_the_steep_and_minimum_rules(reference):
    def holds(a):
        return all(
            a[rule]["window"].get("value", math.inf) < share * a[rule]["plain"]["value"]
            for rule, share in (("minimum", 1.0), ("steep", 0.5))
        )

    judge("L10", holds, reference)


def test_L11_the_rates_of_a_sweep_may_be_lists_tuples_and_slices(reference):
    def holds(a):
        return len(a) == 3 and all(close(first, [1e-7, 1e-6]) for first in values(a.values()))

    judge("L11", holds, reference)


def test_L12_rules_may_be_lambdas_objects_names_and_occur_twice(reference):
    def holds(a):
        return values(a.values()) == [
            ["valley", "suggestion"],
            ["Rule"],
            ["valley", "valley_2"],
            ["valley", "slide", "minimum", "steep"],
        ]

    judge("L12", holds, reference)


def test_L13_rules_take_any_sequence(reference):
    def holds(a):
        return len(a) == 4 and all(
            found["tensor"].get("value") and found["list"] == found["array"] == found["tensor"]
            for found in a.values()
        )

    answer, recorded = judge("L13", holds, reference)
    for rule, found in recorded.items():
        assert close(answer[rule]["tensor"]["value"], found["tensor"]["value"], rel=1e-5), rule


def test_L14_a_sweep_writes_no_file(reference):
    judge("L14", lambda a: a == {"files": 0, "blocked": {"value": 1}}, reference)


def test_L15_a_sweep_puts_the_random_generators_back(reference):
    judge("L15", lambda a: a == {"python": True, "numpy": True, "torch": True}, reference)


def test_L16_a_sweep_leaves_the_file_of_a_csv_logger_alone(reference):
    judge("L16", lambda a: a == {"rows": 3, "unchanged": True}, reference)


def test_L17_short_epochs_do_not_shorten_a_sweep(reference):
    judge("L17", lambda a: a == {"iterations": 100}, reference)


def test_L18_plot_lr_find_returns_its_figure_and_takes_axes(reference):
    def holds(a):
        return a["returned"] == "Figure" and a["drawn_on_ax"] and a["figures"] <= 1

    judge("L18", holds, reference)


def test_L19_a_sweep_of_two_processes_ends_alike_and_puts_both_back(reference):
    def holds(a):
        first, second = a["found"]
        return (
            first == second
            and all(map(math.isfinite, first))
            and a["same_rates"]
            and a["same_losses"]
            and a["rates"][0] > 50
            and a["weights_back"] == [True, True]
        )

    judge("L19", holds, reference)


def test_L20_a_sweep_leaves_rate_record_and_mode_as_they_were(reference):
    def holds(a):
        return a == {"lr": 5e-3, "record_back": True, "mode_back": True, "n_epoch_back": True}

    judge("L20", holds, reference)


def test_L21_suggestions_are_rates_that_were_tried(reference):
    judge("L21", lambda a: a == [0.0, 0.0], reference)


def test_L22_a_sweep_keeps_the_optimizer_s_state_and_two_share_a_folder():
    """A regression test of ours alone: the reference had both defects and has mended them."""
    assert ours("L22") == {"state_back": True, "answers": 2, "weights_back": True}
