"""The curve of an LR finder as a value."""

from __future__ import annotations

import math
import numbers
import operator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from lehr.suggestion import Suggestion

_STOPS = ("finished", "diverged", "non-finite", "interrupted", "unknown")


class Sweep:
    """The curve of a sweep: the rates tried, or values of another hyper, and the losses met.

    Immutable; equal and hashable by its points and what is known of it, the suggestions apart.

    Args:
        lrs: The rate, or value of `hyper`, of each iteration: finite numbers. Any sequence, array,
            tensor or column of one dimension; of the last parameter group where there are several.
        losses: As many losses, each as measured before the step of its iteration, or averages of
            them; a missing one is NaN.
        smoothing: How these losses were averaged: as "fastai", "lightning", "torch_lr_finder" or
            "ignite" store them, `None` for not at all. The average is inverted exactly: the sweep
            holds losses of single batches. Float64 averages give them back to 2e-14 of the size
            of the averages, float32 ones to 6e-6 of it, for the inversion amplifies rounding up to
            99 times; from the first average that is not finite on they are NaN, unless finite ones
            follow, which pass over it.
        num_it: The number of iterations the sweep was meant to have, at least `len(lrs)`; that by
            default.
        stop: Why it ended: "finished", "diverged", "non-finite", "interrupted" when something
            other than its own rule ended it, or "unknown".
        hyper: The name of what was swept.
        settings: What else is known of the sweep, by name: strings, finite numbers, flags, `None`,
            and lists of them.
        parts: The sweeps that this one pools.

    Attributes:
        lrs: The rates, float64 of shape (n,), read-only.
        losses: The raw losses, float64 of shape (n,), read-only; NaN and infinite ones included.
        num_it: As given.
        stop: As given.
        hyper: As given.
        settings: As given, read-only; lists are tuples.
        parts: As given, a tuple.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The lengths differ, there is more than one dimension, a rate is not finite,
            `num_it` is below the number of points, or `smoothing` or `stop` is unknown.

    Example:
        >>> sweep = Sweep([1e-3, 1e-2, 1e-1], [3.0, 2.9, 2.7], smoothing="ignite", stop="finished")
        >>> sweep
        <Sweep of 3 points, lr from 1.00e-03 to 1.00e-01, finished>
        >>> sweep.losses.round(9).tolist()
        [3.0, 1.0, -1.1]

    Reference:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.
    """

    __slots__ = ("_suggestions", "hyper", "losses", "lrs", "num_it", "parts", "settings", "stop")

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]
    num_it: int
    stop: str
    hyper: str
    settings: Mapping[str, Any]
    parts: tuple[Sweep, ...]
    _suggestions: dict[str, Suggestion]

    def __init__(
        self,
        lrs: Iterable[float],
        losses: Iterable[float],
        *,
        smoothing: str | None = None,
        num_it: int | None = None,
        stop: str = "unknown",
        hyper: str = "lr",
        settings: Mapping[str, Any] | None = None,
        parts: Iterable[Sweep] = (),
    ) -> None:
        _check_text(stop, "stop", _STOPS)
        _check_text(hyper, "hyper")
        if smoothing is not None:
            _check_text(smoothing, "smoothing")
        rates, raw = _core.curve(_column(lrs), _column(losses), smoothing)
        parts = tuple(parts)
        for part in parts:
            if not isinstance(part, Sweep):
                message = f"`parts` must hold sweeps, got {part!r}"
                raise TypeError(message)
        fields = {
            "lrs": _frozen(rates),
            "losses": _frozen(raw),
            "num_it": _iterations(num_it, len(rates)),
            "stop": stop,
            "hyper": hyper,
            "settings": MappingProxyType(_plain_settings({} if settings is None else settings)),
            "parts": parts,
            "_suggestions": {},
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The debiased exponential average of the losses with a memory of .98.

        `v / (1 - .98^k)` with `v = .98 v + .02 loss` after k losses, float64 of shape (n,); NaN
        where the loss is not finite, which the average passes over.
        """
        return _core.average(self.losses)

    @property
    def suggestions(self) -> MappingProxyType[str, Suggestion]:
        """What each rule said, by name."""
        return MappingProxyType(self._suggestions)

    def with_suggestions(self, suggestions: Mapping[str, Suggestion]) -> Sweep:
        """Return this curve with other suggestions."""
        sweep = object.__new__(Sweep)
        for name in self.__slots__:
            object.__setattr__(sweep, name, getattr(self, name))
        object.__setattr__(sweep, "_suggestions", dict(suggestions))
        return sweep

    def point(self, lr: float) -> tuple[float, float]:
        """Return `lr` with the smoothed loss at the rate nearest to it."""
        return float(lr), float(self.smoothed[np.abs(self.lrs - lr).argmin()])

    def __setattr__(self, name: str, value: object = None) -> None:
        message = f"a Sweep cannot be changed, so `{name}` cannot be set"
        raise AttributeError(message)

    __delattr__ = __setattr__

    def __len__(self) -> int:
        return len(self.lrs)

    def _known(self) -> tuple[Any, ...]:
        return self.num_it, self.stop, self.hyper

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sweep):
            return NotImplemented
        return (
            self._known() == other._known()
            and self.settings == other.settings
            and np.array_equal(self.lrs, other.lrs)
            and np.array_equal(self.losses, other.losses, equal_nan=True)
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        # -0.0 equals 0.0, in other bytes.
        return hash((*self._known(), (self.lrs + 0.0).tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        known = {name: getattr(self, name) for name in ("num_it", "stop", "hyper", "parts")}
        known["settings"] = dict(self.settings)
        return _restored, (self.lrs, self.losses, known, self._suggestions)

    def __repr__(self) -> str:
        count = "no points" if len(self) == 0 else f"{len(self)} points"
        span = f", {self.hyper} from {self.lrs[0]:.2e} to {self.lrs[-1]:.2e}" if len(self) else ""
        meant = f" of {self.num_it}" if self.num_it > len(self) else ""
        pooled = f", of {len(self.parts)} sweeps" if self.parts else ""
        return f"<Sweep of {count}{meant}{span}{pooled}, {self.stop}>"


def _restored(lrs: Any, losses: Any, known: Any, suggestions: Any) -> Sweep:
    return Sweep(lrs, losses, **known).with_suggestions(suggestions)


def _column(values: Any) -> Any:
    """Return the column of a data frame as an array, its gaps as NaN; all else as it is."""
    known = isinstance(values, np.ndarray) or hasattr(values, "detach")
    return np.asarray(values) if not known and hasattr(values, "__array__") else values


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array


def _iterations(num_it: Any, points: int) -> int:
    if num_it is None:
        return points
    try:
        count = operator.index(num_it)
    except TypeError:
        message = f"`num_it` must be an integer, got {num_it!r}"
        raise TypeError(message) from None
    if count < points:
        message = f"`num_it` must be at least the number of points, {points}, got {count}"
        raise ValueError(message)
    return count


def _check_text(value: Any, name: str, known: tuple[str, ...] = ()) -> None:
    if not isinstance(value, str):
        message = f"`{name}` must be a string, got {value!r}"
        raise TypeError(message)
    if known and value not in known:
        message = f"`{name}` must be one of {', '.join(known)}, got {value!r}"
        raise ValueError(message)


def _plain_settings(settings: Any) -> dict[str, Any]:
    try:
        items = list(settings.items())
    except AttributeError:
        message = f"`settings` must be a mapping, got {settings!r}"
        raise TypeError(message) from None
    for key, _ in items:
        if not isinstance(key, str):
            message = f"the keys of `settings` must be strings, got {key!r}"
            raise TypeError(message)
    return {key: _plain(value, f"settings[{key!r}]") for key, value in items}


def _plain(value: Any, name: str) -> Any:
    """Return what JSON can hold, lists as tuples."""
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        if not math.isfinite(number):
            message = f"`{name}` must be finite, got {value!r}"
            raise ValueError(message)
        return number
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item, f"{name}[{index}]") for index, item in enumerate(value))
    message = f"`{name}` must be a string, number, flag, None or list of them, got {value!r}"
    raise TypeError(message)
