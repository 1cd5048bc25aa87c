"""The curve of an LR finder as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lehr import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import MappingProxyType

    from numpy.typing import NDArray


class Suggestion(NamedTuple):
    """What one rule says about a sweep.

    Attributes:
        lr: The suggested learning rate; NaN where the rule has nothing to say.
        point: The rate and the smoothed loss at which a plot marks it, or `None`.
        reason: Why there is no suggestion, in words; empty when there is one.
    """

    lr: float
    point: tuple[float, float] | None
    reason: str = ""


class SuggestionMethod:
    """The suggestion rules as attributes, which are the functions themselves.

    Attributes:
        Valley: `lehr.valley`, two thirds down the longest valley.
        Slide: `lehr.slide`, where an interval sliding down from the end stops.
        Minimum: `lehr.minimum`, a tenth of the rate at the least loss.
        Steep: `lehr.steep`, where the loss falls fastest.

    Example:
        >>> import lehr
        >>> lehr.SuggestionMethod.Valley is lehr.valley
        True
    """

    Valley = staticmethod(_core.valley)
    Slide = staticmethod(_core.slide)
    Minimum = staticmethod(_core.minimum)
    Steep = staticmethod(_core.steep)


class Sweep:
    """A learning-rate sweep: the rates tried and the losses met. Immutable.

    Attributes:
        lrs: The learning rate of each iteration, float64 of shape (n,); of the last parameter
            group where there are several.
        losses: The loss of each iteration as measured before its step, float64 of shape (n,).
        smoothed: Their debiased exponential average, float64 of shape (n,); NaN where the loss
            is not finite.
        num_it: The number of iterations the sweep was meant to have.
        stop: Why it ended: "finished", "diverged", "non-finite", or "interrupted" when something
            other than its own rule ended it.
        suggestions: What each rule said, by name.
    """

    __slots__ = ("_suggestions", "losses", "lrs", "num_it", "smoothed", "stop")

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    num_it: int
    stop: str
    _suggestions: dict[str, Suggestion]

    def __init__(
        self,
        lrs: Iterable[float],
        losses: Iterable[float],
        smoothed: Iterable[float],
        num_it: int,
        stop: str,
        suggestions: Mapping[str, Suggestion] | None = None,
    ) -> None:
        arrays = [np.array(values, dtype=np.float64) for values in (lrs, losses, smoothed)]
        if len({array.shape for array in arrays}) != 1 or arrays[0].ndim != 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            message = (
                "`lrs`, `losses` and `smoothed` must be one-dimensional and of the same length, "
                f"got shapes {shapes}"
            )
            raise ValueError(message)
        for name, array in zip(("lrs", "losses", "smoothed"), arrays, strict=True):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "num_it", num_it)
        object.__setattr__(self, "stop", stop)
        object.__setattr__(self, "_suggestions", dict(suggestions or {}))

    @property
    def suggestions(self) -> MappingProxyType[str, Suggestion]:
        """What each rule said, by name."""
        from types import MappingProxyType

        return MappingProxyType(self._suggestions)

    def with_suggestions(self, suggestions: Mapping[str, Suggestion]) -> Sweep:
        """Return this curve with other suggestions."""
        return Sweep(self.lrs, self.losses, self.smoothed, self.num_it, self.stop, suggestions)

    def point(self, lr: float) -> tuple[float, float]:
        """Return `lr` with the smoothed loss at the rate nearest to it."""
        return float(lr), float(self.smoothed[np.abs(self.lrs - lr).argmin()])

    def __setattr__(self, name: str, value: object) -> None:
        message = f"a Sweep cannot be changed, so `{name}` cannot be set"
        raise AttributeError(message)

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.lrs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sweep):
            return NotImplemented
        return (
            (self.num_it, self.stop) == (other.num_it, other.stop)
            and np.array_equal(self.lrs, other.lrs)
            and np.array_equal(self.losses, other.losses, equal_nan=True)
            and np.array_equal(self.smoothed, other.smoothed, equal_nan=True)
        )

    def __hash__(self) -> int:
        return hash((self.num_it, self.stop, self.lrs.tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        return Sweep, (
            self.lrs,
            self.losses,
            self.smoothed,
            self.num_it,
            self.stop,
            self._suggestions,
        )

    def __repr__(self) -> str:
        if len(self) == 0:
            return f"<Sweep of no points, {self.stop}>"
        low, high = self.lrs[0], self.lrs[-1]
        return f"<Sweep of {len(self)} points from {low:.2e} to {high:.2e}, {self.stop}>"
