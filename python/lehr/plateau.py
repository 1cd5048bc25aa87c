"""The plateau layer of a Scheduler: a factor that falls when a metric no longer improves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lehr import _core
from lehr.arguments import integer

if TYPE_CHECKING:
    from collections.abc import Sequence

# Beyond this a float64 cannot tell one count from the next.
_MOST = 2**53


def as_names(hypers: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name of a hyper-parameter, or several, as a tuple.

    Raises:
        TypeError: It is neither.
        ValueError: There is none.
    """
    names = (hypers,) if isinstance(hypers, str) else hypers
    if not isinstance(names, (tuple, list)) or not all(isinstance(one, str) for one in names):
        message = f"`hypers` must be a name of a hyper-parameter, or a list of them, got {hypers!r}"
        raise TypeError(message)
    if not names:
        message = "`hypers` must hold at least one hyper-parameter, got none"
        raise ValueError(message)
    return tuple(names)


class Plateau:
    """A factor over schedules that falls when a metric no longer improves: a layer of a Scheduler.

    The factor is 1 at first and multiplied by `factor` when more than `patience` calls of
    `Scheduler.observe` in a row brought no improvement. The value written is `max(value * factor,
    min(value, min_lr))`: a factor over the schedule, which goes on (row F19).

    Args:
        factor: What the rate is multiplied by, between 0 and 1.
        patience: Observations without improvement that are let pass.
        mode: "min" where the metric is to fall, "max" where it is to rise.
        threshold: Least improvement that counts, at least 0.
        threshold_mode: "rel" for a share of the best value, "abs" for the metric's own unit.
        cooldown: Observations after a fall that do not count.
        min_lr: Where the factor's effect ends.
        hypers: The hyper-parameters it is a factor of.

    Raises:
        ValueError: A number is outside its range, or a mode is none of these.

    Example:
        >>> Plateau(factor=0.5, patience=3)
        Plateau(factor=0.5, patience=3, mode='min', threshold=0.0001, threshold_mode='rel', \
cooldown=0, min_lr=0.0, hypers=('lr',))

    Reference:
        The rule of torch's `ReduceLROnPlateau`.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "min",
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        hypers: Sequence[str] = ("lr",),
    ) -> None:
        for name, value in (("patience", patience), ("cooldown", cooldown)):
            if not 0 <= integer(value, name) <= _MOST:
                limit = "at least 0" if value < 0 else "at most 2^53"
                message = f"`{name}` must be {limit}, got {value}"
                raise ValueError(message)
        for name, number in (("factor", factor), ("threshold", threshold), ("min_lr", min_lr)):
            if not hasattr(number, "__float__"):
                message = f"`{name}` must be a number, got {number!r}"
                raise TypeError(message)
        for name, text in (("mode", mode), ("threshold_mode", threshold_mode)):
            if not isinstance(text, str):
                message = f"`{name}` must be a string, got {text!r}"
                raise TypeError(message)
        _core.reduced_lr([0.0], 1.0, min_lr)  # raises where it is out of range
        self.min_lr = float(min_lr)
        self.hypers = as_names(hypers)
        self._settings = (factor, patience, mode, threshold, threshold_mode, cooldown)
        self.fresh()

    def fresh(self) -> _core.Plateau:
        """Return the rule's state before any observation."""
        return _core.Plateau(*self._settings)

    @property
    def settings(self) -> list[Any]:
        """What it was made with, as a state holds it."""
        return [*self._settings, self.min_lr, list(self.hypers)]

    def __repr__(self) -> str:
        names = ("factor", "patience", "mode", "threshold", "threshold_mode", "cooldown")
        shown = [f"{n}={v!r}" for n, v in zip(names, self._settings, strict=True)]
        return f"Plateau({', '.join(shown)}, min_lr={self.min_lr!r}, hypers={self.hypers!r})"
