"""The plateau layer of a Scheduler: a factor that falls when a metric no longer improves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr import _core
from lehr.finder import integer

if TYPE_CHECKING:
    from collections.abc import Sequence


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
            if integer(value, name) < 0:
                message = f"`{name}` must be at least 0, got {value}"
                raise ValueError(message)
        _core.reduced_lr([0.0], 1.0, min_lr)  # raises where it is out of range
        self.min_lr = float(min_lr)
        self.hypers = (hypers,) if isinstance(hypers, str) else tuple(hypers)
        self._settings = (factor, patience, mode, threshold, threshold_mode, cooldown)
        self.fresh()

    def fresh(self) -> _core.Plateau:
        """Return the rule's state before any observation."""
        return _core.Plateau(*self._settings)

    def __repr__(self) -> str:
        names = ("factor", "patience", "mode", "threshold", "threshold_mode", "cooldown")
        shown = [f"{n}={v!r}" for n, v in zip(names, self._settings, strict=True)]
        return f"Plateau({', '.join(shown)}, min_lr={self.min_lr!r}, hypers={self.hypers!r})"
