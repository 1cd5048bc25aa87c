"""Telling whether a schedule is the one a training began with (rule 20)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lehr import Schedule

_PROBES = 33
_RTOL = 1e-9
# Steps looked at where the length of the training is not known, and at most.
_STEPS, _MOST = 1000, 1_000_000


def fingerprint(sched: Any) -> Any:
    """Return what identifies a schedule: its JSON, or 33 values of a function; a list of a list."""
    if isinstance(sched, (list, tuple)):
        return [fingerprint(one) for one in sched]
    if isinstance(sched, Schedule):
        try:
            return sched.to_json()
        except TypeError:
            pass  # it holds a function
    values = [sched(k / (_PROBES - 1)) for k in range(_PROBES)]
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
        what = "step"
        then = Schedule.from_json(before).values(min(steps_before or _STEPS, _MOST))
        here = Schedule.from_json(now).values(min(steps or _STEPS, _MOST))
        count = min(len(then), len(here))
    elif isinstance(before, dict) and isinstance(now, dict):
        what, count = "position", _PROBES
        then, here = (np.asarray(one["values"]) for one in (before, now))
    else:
        message = (
            f"the schedule of `{name}` is of another kind than the one the training began with"
        )
        raise ValueError(message)  # noqa: TRY004 (the argument of the fit is of the right type)
    differs = np.array([True])
    if then.shape[1:] == here.shape[1:]:
        differs = _differ(then[:count], here[:count], exactly=what == "step")
    places = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
    if len(places) == 0:
        if steps == steps_before:
            return
        message = f"the training has {steps} steps, and had {steps_before} when it began"
        raise ValueError(message)
    k = int(places[0])
    place = f"step {k} of {steps or count}" if what == "step" else f"position {k / (_PROBES - 1):g}"
    message = (
        f"the schedule of `{name}` is not the one the training began with: first at {place}, "
        f"{then[k].tolist()} then and {here[k].tolist()} now"
    )
    if steps != steps_before:
        message += f" ({steps_before} steps then)"
    raise ValueError(message)


def _differ(then: Any, here: Any, *, exactly: bool) -> Any:
    return then != here if exactly else ~np.isclose(then, here, rtol=_RTOL, atol=0)
