"""The curves behind torch's schedulers, over whole runs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lehr import SchedCos, SchedExp, SchedLin, SchedNo, Schedule, cyclic
from lehr.arguments import at_least_one
from lehr.compat._arguments import ends, positive, share
from lehr.compat._steps import phases

if TYPE_CHECKING:
    from collections.abc import Callable


def scaled(schedule: Schedule, lr: Any, name: str = "lr") -> Schedule:
    """A schedule of factors times a rate, or one a group."""
    rate = ends(lr, name)
    product: Schedule = schedule if rate == 1 else schedule * rate
    return product


def cycle_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    """The steps of a 1cycle, told in one of two ways."""
    if total_steps is not None:
        return at_least_one(total_steps, "total_steps")
    if epochs is None or steps_per_epoch is None:
        message = "`total_steps`, or `epochs` and `steps_per_epoch`, must be given"
        raise ValueError(message)
    return at_least_one(epochs, "epochs") * at_least_one(steps_per_epoch, "steps_per_epoch")


def one_cycle(
    levels: tuple[Any, ...], total: int, pct_start: Any, anneal_strategy: Any, steps: Any
) -> Schedule:
    """Two or three phases between levels, that end where torch's do."""
    if anneal_strategy not in ("cos", "linear"):
        message = f'`anneal_strategy` must be "cos" or "linear", got {anneal_strategy!r}'
        raise ValueError(message)
    first = share(pct_start, "pct_start") * total
    last = [first - 1, 2 * first - 2, total - 1] if len(levels) == 4 else [first - 1, total - 1]
    if len(last) == 3 and last[1] > last[2]:
        message = f"`pct_start` must leave steps for the third phase, got {pct_start} of {total}"
        raise ValueError(message)
    return laid(levels, last, anneal_strategy, total if steps is None else steps)


def laid(levels: tuple[Any, ...], last: list[float], strategy: str, steps: Any) -> Schedule:
    """Phases between levels with their last steps, which need be no whole ones."""
    total = at_least_one(steps, "steps")
    shape = SchedCos if strategy == "cos" else SchedLin
    parts: list[tuple[float, Schedule]] = []
    start = 0.0
    for (low, high), end in zip(pairwise(levels), last, strict=True):
        if end > max(start, 0.0):
            phase = shape(low, high)
            # A phase that began before step 0 is in its midst there.
            kept = phase if start >= 0 else phase.part(-start / (end - start), 1)
            parts.append((end - max(start, 0.0), kept))
        start = end
    if not parts:
        parts.append((total, SchedNo(levels[-1], levels[-1])))
    return phases(total, parts)


def waves(base: Any, top: Any, up: Any, down: Any, mode: Any, gamma: Any, steps: Any) -> Schedule:
    """Lines from `base` to `top` and back."""
    rise = positive(up, "step_size_up")
    fall = rise if down is None else positive(down, "step_size_down")
    total = at_least_one(steps, "steps")
    shape: dict[str, Any] = {"cycles": total / (rise + fall), "up": rise / (rise + fall)}
    if mode != "exp_range":
        plain: Schedule = cyclic(base, top, mode=mode, **shape)
        return plain
    height = cyclic(0, 1, **shape) * powers(positive(gamma, "gamma"), total)
    mixed: Schedule = height * top + (height * -1 + 1) * base
    return mixed


# Beyond this many factors of e a power is cut off, short of where float64 ends.
MOST = 700.0


def powers(gamma: float, steps: Any) -> Schedule:
    """`gamma ** k`; a power that no float64 holds is held at the last that one does."""
    total = at_least_one(steps, "steps")
    if gamma == 1:
        return SchedNo(1, 1)
    kept = min(total, int(MOST / abs(math.log(gamma))))
    if kept == 0:
        message = f"`gamma` must be a factor of ordinary size, got {gamma}"
        raise ValueError(message)
    return phases(total, [(kept, SchedExp(1, gamma**kept))])


class OfStep:
    """Functions of the step as a function of the position, which pickles where they do."""

    def __init__(self, functions: tuple[Callable[[int], Any], ...], steps: int) -> None:
        self.functions = functions
        self.steps = steps

    @property
    def _lehr_groups(self) -> int | None:
        return None if len(self.functions) == 1 else len(self.functions)

    def __call__(self, pos: float) -> Any:
        # The nearest: k / steps times steps may be an ulp off.
        step = round(pos * self.steps)
        values = [float(function(step)) for function in self.functions]
        return values[0] if len(values) == 1 else values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OfStep):
            return NotImplemented
        return (self.functions, self.steps) == (other.functions, other.steps)

    def __hash__(self) -> int:
        return hash((self.functions, self.steps))

    def __repr__(self) -> str:
        names = [getattr(function, "__name__", repr(function)) for function in self.functions]
        return f"<{', '.join(names)} of {self.steps} steps>"
