"""Our Scheduler in a loop of Accelerate: two real processes, over gloo, on the CPU."""

import sys
from pathlib import Path

import accelerate_ranks
import pytest
import torch
from accelerate_ranks import KINDS, steps
from runs import expected, same

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))
from together import together

# Seconds after which two processes are taken to wait for each other in vain.
PATIENCE = 120


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accelerate")
    ended = together([sys.executable, accelerate_ranks.__file__, str(folder)], 2, PATIENCE)
    assert not any(code for code, _, _ in ended), "\n".join(err for _, _, err in ended)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


RIGHT = [kind for kind in KINDS if kind != "prepared"]


@pytest.mark.parametrize("kind", RIGHT)
def test_every_step_has_the_values_of_the_schedules_in_every_process(pair, kind):
    taken = steps(**KINDS[kind])
    for found in pair:
        whole = found[kind]["whole"]
        assert whole["processes"] == 2
        assert whole["seen"] == expected(taken, taken)
        assert whole["last"] == [expected(taken + 1, taken)[-1][0]]
        assert found[kind]["warnings"] == []


@pytest.mark.parametrize("kind", RIGHT)
def test_a_resumed_run_ends_as_one_without_a_break(pair, kind):
    taken, accumulate = steps(**KINDS[kind]), KINDS[kind].get("accumulate", 1)
    for found in pair:
        resumed = found[kind]["resumed"]
        assert len(resumed) == taken - 1
        for cut, again in resumed.items():
            assert again["seen"] == expected(taken, taken)[cut // accumulate :], cut
            assert same(again["weights"], found[kind]["whole"]["weights"]), cut
    assert same(pair[0][kind]["whole"]["weights"], pair[1][kind]["whole"]["weights"])


def test_a_prepared_scheduler_that_counts_calls_runs_ahead_and_warns(pair):
    """Accelerate calls it for every process."""
    for found in pair:
        assert found["prepared"]["whole"]["seen"][:3] == expected(6, steps())[:6:2]
        warning, end = found["prepared"]["warnings"]
        assert "the schedules ended after" in end
        assert "the optimizer had taken no step since" in warning
        assert 'wrapper calls `step()` for every process, `count="optimizer"`' in warning
