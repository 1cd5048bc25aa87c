"""Phases whose lengths are whole steps, laid over a run of whole steps."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from lehr import SchedNo, combine_scheds
from lehr.arguments import at_least_one

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lehr import Schedule


# Shares of a run below this are rounding.
TINY = 1e-13


def phases(steps: int, parts: Iterable[tuple[float, Schedule]]) -> Schedule:
    """Return the schedule over `steps` steps that runs schedules one after the other.

    What lies behind the end of the run is cut off, and where the phases end before it the last
    value is held.

    Args:
        steps: Steps of the run, at least 1.
        parts: Of each phase its length in steps, at least 0, and its schedule; at least one has a
            length. A phase need not end at a whole step; one of length `inf` has all the rest,
            uncut.

    Raises:
        TypeError: `steps` is no integer.
        ValueError: It is below 1.
    """
    steps = at_least_one(steps, "steps")
    shares, scheds = [], []
    # In two parts: lengths that are no whole steps would add up their rounding.
    done, lost = 0.0, 0.0
    for length, schedule in parts:
        left = steps - done - lost
        if length <= 0 or left <= steps * TINY:
            continue
        kept = length if length <= left * (1 + TINY) else left
        scheds.append(schedule if length in (kept, inf) else schedule.part(0, kept / length))
        shares.append(kept / steps)
        done, lost = done + kept, lost + (done - (done + kept)) + kept
    left = steps - done - lost
    if left > steps * TINY:
        end = scheds[-1].end
        scheds.append(SchedNo(end, end))
        shares.append(left / steps)
    return scheds[0] if len(scheds) == 1 else combine_scheds(shares, scheds)
