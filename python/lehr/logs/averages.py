"""The losses of averages that lie at steps, of which some may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SPARSE = "averages of steps that do not follow each other cannot be undone: taken as they are"


def undone(steps: NDArray[Any], averages: Floats, smoothing: str) -> Floats | None:
    """Return the losses of which a tool logged averages.

    Each loss takes the average of the step before it, so that it is NaN where that is missing.
    Where the steps fall they are counted anew, and so is the average.

    Args:
        steps: The step of each average, in the order in which they were logged. Where all are one,
            nobody counted.
        averages: As many averages.
        smoothing: How they were averaged, as of `Sweep`.

    Returns:
        As many losses; `None` where they cannot be told: a count begins neither at 0 nor at 1, a
        step has several averages, or more than half of the losses are NaN for missing steps.
    """
    if len(steps) > 1 and (steps == steps[0]).all():
        steps = np.arange(len(steps))
    cuts = np.flatnonzero(steps[1:] < steps[:-1]) + 1  # infinities have no difference
    found = []
    for some, values in zip(np.split(steps, cuts), np.split(averages, cuts), strict=True):
        losses = _of_one_count(some, values, smoothing)
        if losses is None:
            return None
        found.append(losses)
    return np.concatenate(found)


def _of_one_count(steps: NDArray[Any], averages: Floats, smoothing: str) -> Floats | None:
    if not len(steps):
        return averages
    first, last = steps[0], steps[-1]
    if first not in {0, 1} or not last - first < 2 * len(steps) or (steps % 1 != 0).any():
        return None
    index = (steps - first).astype(np.intp)
    dense = np.full(index[-1] + 1, np.nan)
    dense[index] = averages
    if not np.array_equal(dense[index], averages, equal_nan=True):
        return None
    there = np.zeros(len(dense), dtype=bool)
    there[index] = True
    losses = _core.curve(np.zeros(len(dense)), dense, smoothing)[1]
    losses[1:][~there[:-1]] = np.nan
    unknown = np.isfinite(averages) & ~np.isfinite(losses[index])
    return None if 2 * unknown.sum() > len(steps) else losses[index]
