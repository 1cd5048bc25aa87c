"""Phases whose lengths are whole steps, laid over a run of whole steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr import SchedNo, combine_scheds
from lehr.arguments import at_least_one

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lehr import Schedule


def phases(steps: int, parts: Iterable[tuple[float, Schedule]]) -> Schedule:
    """Return the schedule over `steps` steps that runs schedules one after the other.

    What lies behind the end of the run is cut off, and where the phases end before it the last
    value is held.

    Args:
        steps: Steps of the run, at least 1.
        parts: Of each phase its length in steps, at least 0, and its schedule; at least one has a
            length. A phase need not end at a whole step.

    Raises:
        TypeError: `steps` is no integer.
        ValueError: It is below 1.
    """
    steps = at_least_one(steps, "steps")
    shares, scheds = [], []
    left: float = steps
    for length, schedule in parts:
        kept = min(length, left)
        if kept == 0:
            continue
        scheds.append(schedule if kept == length else schedule.part(0, kept / length))
        shares.append(kept / steps)
        left -= kept
    if left:
        end = scheds[-1].end
        scheds.append(SchedNo(end, end))
        shares.append(left / steps)
    return scheds[0] if len(scheds) == 1 else combine_scheds(shares, scheds)
