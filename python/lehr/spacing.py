"""Which values a sweep tries, and what each parameter group gets of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import SchedExp, SchedLin, SchedNo, Schedule, _core, combine_scheds, hypers
from lehr.arguments import at_least_one, integer
from lehr.scheduler import check_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch
    from numpy.typing import NDArray

_SHAPES: dict[str, Callable[[float, float], Schedule]] = {"exp": SchedExp, "linear": SchedLin}


def as_values(values: Iterable[float]) -> NDArray[np.float64]:
    """Return values that are given one by one, of which an iterator has each but once.

    Raises:
        TypeError: They are no numbers.
        ValueError: They are not finite, not in a row, or none.
    """
    try:
        array = np.asarray(values if hasattr(values, "__len__") else list(values), float)
    except (TypeError, ValueError) as error:
        message = f"`values` must be numbers, got {values!r}"
        raise TypeError(message) from error
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        message = f"`values` must be finite numbers, at least one, got {values!r}"
        raise ValueError(message)
    return array


class Spacing:
    """The values of a sweep, as schedules of `num_it` steps.

    Args:
        hyper: What is swept.
        start: Value of the first iteration, one for all groups or one a group; `None` for 1e-7
            where the rate is swept.
        end: Value that iteration `num_it` would have, likewise; `None` for 10.
        num_it: Number of iterations, at least 1; `None` for 100, or as many as `values`.
        spacing: "exp" for equal ratios, with both ends above 0, or "linear" for equal differences.
        values: The values themselves, in place of the ends and what is between them.
        groups: The number of parameter groups.

    Attributes:
        values: The value of each iteration, float64 of shape (n,); of the last group where each
            has its own.
        apart: Whether each group has values of its own.
    """

    def __init__(
        self,
        hyper: str,
        start: Any,
        end: Any,
        num_it: int | None,
        spacing: str,
        values: Iterable[float] | None,
        groups: int,
    ) -> None:
        if not isinstance(hyper, str):
            message = f"`hyper` must be a name of a hyper-parameter, got {hyper!r}"
            raise TypeError(message)
        if spacing not in _SHAPES:
            message = f'`spacing` must be "exp" or "linear", got {spacing!r}'
            raise ValueError(message)
        self.hyper = hyper
        self.apart = False
        if values is not None:
            self._give(values, start, end, num_it)
            return
        if hyper == "lr":
            start, end = 1e-7 if start is None else start, 10.0 if end is None else end
        if start is None or end is None:
            message = f"`start` and `end`, or `values`, must be given to sweep {hyper!r}"
            raise ValueError(message)
        self.num_it = 100 if num_it is None else at_least_one(num_it, "num_it")
        firsts = _core.group_values(start, groups, "start")
        lasts = _core.group_values(end, groups, "end")
        for name, ends in (("start", firsts), ("end", lasts)):
            if spacing == "exp" and min(ends) <= 0:
                message = f'`{name}` must be above 0 with `spacing="exp"`, got {min(ends)!r}'
                raise ValueError(message)
        self.apart = not all(
            hasattr(one, "__float__") and not getattr(one, "ndim", 0) for one in (start, end)
        )
        pairs = list(zip(firsts, lasts, strict=True))
        made = {pair: _SHAPES[spacing](*pair) for pair in pairs}
        self._schedules = [made[pair] for pair in pairs]
        self.values = self._schedules[-1].values(self.num_it)
        self._ends: dict[str, Any] = {
            "start": firsts if self.apart else firsts[0],
            "end": lasts if self.apart else lasts[0],
            "spacing": spacing,
        }

    def _give(self, values: Iterable[float], start: Any, end: Any, num_it: int | None) -> None:
        """Take values that are given one by one."""
        if start is not None or end is not None:
            message = "`values` must be given without `start` and `end`"
            raise ValueError(message)
        array = as_values(values)
        self.num_it = len(array) if num_it is None else integer(num_it, "num_it")
        if self.num_it != len(array):
            message = f"`num_it` must be the number of `values`, {len(array)}, got {num_it}"
            raise ValueError(message)
        self.values = array
        steps = [SchedNo(value, value) for value in array.tolist()]
        # A value a phase, all of one length: each begins at its step exactly (rule 2).
        self._schedules = [combine_scheds([1 / len(steps)] * len(steps), steps)]
        self._ends = {"start": None, "end": None, "spacing": "values"}

    def ratios(self, optimizers: list[torch.optim.Optimizer], keep: bool) -> list[float]:
        """Return the share of the swept value that each group gets.

        Raises:
            KeyError: A group has no such hyper-parameter.
            TypeError: It is no number there.
            ValueError: It is below 0 or not finite, or the sweep would take it out of its range.
        """
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        for group in groups:
            place = hypers.locate(group, self.hyper)
            hypers.check_number(group, self.hyper, place)
            for schedule in dict.fromkeys(self._schedules):
                check_range(self.hyper, place[0], schedule.values(self.num_it), "the sweep")
        if self.apart or not keep:
            return [1.0] * len(groups)
        held = [float(hypers.read(group, self.hyper)) for group in groups]
        if self.hyper == "lr" and not any(held):
            held = [float(group.get("initial_lr", 0.0)) for group in groups]
        for index, value in enumerate(held):
            if not (math.isfinite(value) and value >= 0):
                message = (
                    f"`{self.hyper}` must be a finite number of at least 0 in every group for "
                    f"`keep_ratios=True`, got {value!r} in group {index}"
                )
                raise ValueError(message)
        largest = max(held)
        return [value / largest if largest > 0 else 1.0 for value in held]

    def described(self, ratios: list[float], stop_div: bool) -> dict[str, Any]:
        """Return what the curve of a sweep of these values says of it."""
        return {**self._ends, "ratios": ratios, "stop_div": bool(stop_div)}

    def writer(
        self, optimizers: list[torch.optim.Optimizer], ratios: list[float]
    ) -> Callable[[int], None]:
        """Return what writes the values of an iteration into all groups, by the one writer."""
        steppers, number = [], 0
        for optimizer in optimizers:
            lines: dict[Any, list[int]] = {}
            for index, group in enumerate(optimizer.param_groups):
                schedule = self._schedules[number % len(self._schedules)]
                key = (schedule, ratios[number], *hypers.locate(group, self.hyper))
                lines.setdefault(key, []).append(index)
                number += 1
            # Nothing but `write` is called, so nothing is attended to.
            stepper = _core.Stepper(optimizer, lambda _what, _value: None, False)
            plan = [
                (_core.Laid(schedule, self.num_it, times=ratio), key, place, indices)
                for (schedule, ratio, key, place), indices in lines.items()
            ]
            stepper.lay(optimizer.param_groups, plan, False)
            steppers.append(stepper.write)
        if len(steppers) == 1:
            return steppers[0]

        def write(iteration: int) -> None:
            for one in steppers:
                one(iteration)

        return write
