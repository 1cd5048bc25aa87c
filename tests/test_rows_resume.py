"""Rows R1-R9: lehr passes each condition, and the reference's recorded behaviour fails it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from judge import judge, values


def test_R1_trackers_work_in_a_fit_that_begins_at_an_epoch(reference):
    judge("R1", lambda a: values(a.values()) == [[2, 2]] * 3, reference)


def test_R2_no_checkpoint_is_written_for_a_skipped_epoch(reference):
    judge("R2", lambda a: a == ["model_2.pth", "model_3.pth"], reference)


def test_R3_skipped_epochs_leave_no_rows(reference):
    def holds(a):
        return a == {"values": [2, 2], "logged": [2, 3], "csv": ["epoch", "2", "3"]}

    judge("R3", holds, reference)


def test_R4_a_resumed_fit_ends_as_if_it_had_not_been_cut(reference):
    def holds(a):
        # Checkpoints are made every 4 batches of a fit: at 16 of 30, 4 of 10, and 12 of 20.
        batches = {"one_cycle": [19, 14], "frozen": [6, 26], "unfrozen": [26, 8]}
        as_uncut = {"interrupted": True, "weights": True, "record": True}
        return a == {name: {"value": {**as_uncut, "batches": n}} for name, n in batches.items()}

    judge("R4", holds, reference)


def test_R5_a_checkpoint_keeps_what_is_frozen(reference):
    judge("R5", lambda a: a == {"moved": ["b"]}, reference)


def test_R6_a_save_callback_that_saved_nothing_warns(reference):
    def holds(a):
        return all(
            answer.get("value", 0) is None
            and len(answer["warns"]) == 1
            and "no model" in answer["warns"][0]
            for answer in a.values()
        )

    judge("R6", holds, reference)


def test_R7_an_optimizer_state_that_does_not_fit_is_an_error(reference):
    def holds(a):
        return (
            a["load"].get("raises") == "ValueError"
            and "group" in a["load"]["message"]
            and a["model_alone"] == {"value": True, "warns": []}
        )

    judge("R7", holds, reference)


def test_R8_a_checkpoint_holds_plain_numbers(reference):
    def holds(a):
        return (
            a["types"] == ["builtins"]
            and {"model", "opt"} <= set(a["read"].get("value", []))
            and a["read"]["warns"] == []
            and a["load"] == {"value": None, "warns": []}
        )

    judge("R8", holds, reference)


def test_R9_a_state_dict_does_not_change_as_training_goes_on(reference):
    judge("R9", lambda a: a == {"unchanged": True}, reference)
