"""Telling whether a schedule is the one a training began with (rule 20)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import Schedule, _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Where a function is looked at: evenly, and ever closer to both ends, where warmups are.
_EVEN = [k / 32 for k in range(33)]
_CLOSE = [2.0**-k for k in range(6, 21)]
_PROBES = sorted({*_EVEN, *_CLOSE, *(1 - pos for pos in _CLOSE)})
_RTOL = 1e-9
# Steps looked at where the length of the training is not known, and at most.
_STEPS, _MOST = 1000, 1_000_000


def fingerprint(sched: Any) -> Any:
    """Return what identifies a schedule: its JSON, or 63 values of a function; a list of a list."""
    if isinstance(sched, (list, tuple)):
        return [fingerprint(one) for one in sched]
    if isinstance(sched, Schedule):
        try:
            return sched.to_json()
        except TypeError:
            pass  # it holds a function
    values = [sched(pos) for pos in _PROBES]
    return {"values": [np.asarray(value, dtype=np.float64).tolist() for value in values]}


def check_same(
    name: str, before: Any, now: Any, steps: int | None, steps_before: int | None = None
) -> None:
    """Raise ValueError where two fingerprints differ, with the first step and both values.

    Args:
        name: What the schedules are of.
        before: Fingerprint of the schedule of the training that is gone on with.
        now: Fingerprint of the schedule that is to take its place.
        steps: Steps of the training now, where that is known.
        steps_before: Steps of the training before, the same by default.
    """
    steps_before = steps if steps_before is None else steps_before
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for one, other in zip(before, now, strict=True):
            check_same(name, one, other, steps, steps_before)
        return
    if before == now and steps == steps_before:
        return
    if isinstance(before, str) and isinstance(now, str):
        laid = (
            _core.Laid(Schedule.from_json(before), steps_before or _STEPS),
            _core.Laid(Schedule.from_json(now), steps or _STEPS),
        )
        total = min(steps_before or _STEPS, steps or _STEPS)
        found = _first_step(*laid, total)
        place = "" if found is None else f"step {found[0]} of {steps or total}"
    elif isinstance(before, dict) and isinstance(now, dict):
        then, here = (np.asarray(one["values"]) for one in (before, now))
        found = _first(then, here, exactly=False)
        place = "" if found is None else f"position {_PROBES[found[0]]:g}"
    else:
        message = (
            f"the schedule of `{name}` is of another kind than the one the training began with"
        )
        raise ValueError(message)  # noqa: TRY004 (the argument of the fit is of the right type)
    if found is None:
        if steps == steps_before:
            return
        message = f"the training has {steps} steps, and had {steps_before} when it began"
        raise ValueError(message)
    message = (
        f"the schedule of `{name}` is not the one the training began with: first at {place}, "
        f"{found[1].tolist()} then and {found[2].tolist()} now"
    )
    if steps != steps_before:
        message += f" ({steps_before} steps then)"
    raise ValueError(message)


def _first_step(then: _core.Laid, here: _core.Laid, total: int) -> tuple[int, Any, Any] | None:
    """Return the first of so many steps that differs, with both values.

    Every step is looked at up to a million; of those behind it as many, and those before the first
    that differs.
    """
    every = -(-total // _MOST)
    for first, last, stride in ((0, min(total, _MOST), 1), (_MOST, total, every)):
        found = _first(*(_values(one, first, last, stride) for one in (then, here)), exactly=True)
        if found is None:
            continue
        step = first + found[0] * stride
        begin = max(step - stride + 1, first)
        near = _first(*(_values(one, begin, step + 1, 1) for one in (then, here)), exactly=True)
        return found if near is None else (begin + near[0], *near[1:])
    return None


def _values(laid: _core.Laid, first: int, last: int, every: int) -> NDArray[np.float64]:
    """Return values of steps: `(steps,)`, or `(steps, groups)`."""
    values = laid.values(first, last, every)
    return values if laid.groups is None else values.reshape(-1, laid.groups)


def _first(then: Any, here: Any, *, exactly: bool) -> tuple[int, Any, Any] | None:
    """Return the first place at which two rows of values differ, with both values."""
    if not len(then) and not len(here):
        return None
    if then.shape != here.shape:
        return 0, then[0], here[0]
    differs = _differ(then, here, exactly=exactly).reshape(len(then), -1).any(axis=1)
    return (int(differs.argmax()), then[differs][0], here[differs][0]) if differs.any() else None


def _differ(then: Any, here: Any, *, exactly: bool) -> Any:
    return then != here if exactly else ~np.isclose(then, here, rtol=_RTOL, atol=0)
