"""Telling whether a schedule is the one a training began with (rule 20)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lehr import Schedule

_PROBES = 33
_RTOL = 1e-9
# Steps looked at where the length of the training is not known.
_STEPS = 1000


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


def check_same(name: str, before: Any, now: Any, steps: int | None) -> None:
    """Raise ValueError where two fingerprints differ, with the first step and both values."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for one, other in zip(before, now, strict=True):
            check_same(name, one, other, steps)
        return
    if before == now:
        return
    if isinstance(before, str) and isinstance(now, str):
        count, what = steps or _STEPS, "step"
        then, here = (Schedule.from_json(text).values(count) for text in (before, now))
        differs = then != here if then.shape == here.shape else np.array([True])
    elif isinstance(before, dict) and isinstance(now, dict):
        count, what = _PROBES - 1, "position"
        then, here = (np.asarray(one["values"]) for one in (before, now))
        same = then.shape == here.shape
        differs = ~np.isclose(then, here, rtol=_RTOL, atol=0) if same else np.array([True])
    else:
        message = (
            f"the schedule of `{name}` is of another kind than the one the training began with"
        )
        raise ValueError(message)  # noqa: TRY004 (the argument of the fit is of the right type)
    places = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
    if len(places) == 0:
        return
    k = int(places[0])
    place = f"step {k} of {count}" if what == "step" else f"position {k / count:g}"
    message = (
        f"the schedule of `{name}` is not the one the training began with: first at {place}, "
        f"{then[k].tolist()} then and {here[k].tolist()} now"
    )
    raise ValueError(message)
