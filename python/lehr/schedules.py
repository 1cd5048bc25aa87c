"""Schedules made from Python functions."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Annealed:
    """A function `f(start, end, pos)` with its ends bound: call it with `pos`.

    Equal to another with the same function and ends; pickles wherever its function does.
    """

    __slots__ = ("_make", "end", "f", "start")

    def __init__(
        self,
        f: "Callable[..., Any]",
        start: "Any",
        end: "Any",
        make: "Callable[..., Any] | None" = None,
    ) -> None:
        self.f = f
        self.start = start
        self.end = end
        self._make = make

    def __call__(self, pos: "Any") -> "Any":
        return self.f(self.start, self.end, pos)

    @property
    def _lehr_groups(self) -> "int | None":
        """The number of parameter groups its ends give values for; `combine_scheds` reads it."""
        lengths = [len(end) for end in self._ends() if isinstance(end, tuple)]
        return lengths[0] if lengths else None

    def _ends(self) -> "list[Any]":
        """The ends as values that compare and hash: arrays and tensors as tuples of numbers."""
        plain = [e.tolist() if hasattr(e, "tolist") else e for e in (self.start, self.end)]
        return [tuple(e) if hasattr(e, "__len__") and not isinstance(e, str) else e for e in plain]

    def _key(self) -> "tuple[Any, ...]":
        return (self.f, *self._ends())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Annealed):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        name = getattr(self.f, "__name__", repr(self.f))
        return f"{name}({self.start!r}, {self.end!r})"

    def __reduce__(self) -> "tuple[Any, ...]":
        # Under `@annealer` the function's name now means its maker: rebuild through that one.
        if self._make is not None and _is_importable(self._make):
            return self._make, (self.start, self.end)
        return _Annealed, (self.f, self.start, self.end)


def _is_importable(function: "Callable[..., Any]") -> bool:
    """Whether pickle will find `function` under its own name."""
    import sys

    found: object = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def annealer(f: "Callable[[Any, Any, Any], Any]") -> "Callable[[Any, Any], _Annealed]":
    """Turn `f(start, end, pos)` into a function of `(start, end)` that returns a schedule.

    The result is called with `pos`, the share of training done, and may be a phase of
    `combine_scheds`, compared, hashed, copied and pickled.

    Args:
        f: A function of `start` and `end` (numbers, or one number per parameter group) and `pos`
            in [0, 1], returning a number or one per group. Its name and docstring are kept.

    Returns:
        A function of exactly `(start, end)`; `f` itself is its `__wrapped__`.

    Raises:
        TypeError: `f` cannot be called.

    Example:
        >>> @annealer
        ... def SchedStep(start, end, pos):
        ...     return start if pos < 0.5 else end
        >>> schedule = SchedStep(1.0, 0.1)
        >>> schedule(0.25), schedule(0.75)
        (1.0, 0.1)

    Reference:
        fastai, `callback.schedule.annealer`.
    """
    if not callable(f):
        message = f"`f` must be a function of (start, end, pos), got {f!r}"
        raise TypeError(message)

    def make(start: "Any", end: "Any") -> _Annealed:
        return _Annealed(f, start, end, make)

    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        if hasattr(f, name):
            setattr(make, name, getattr(f, name))
    make.__wrapped__ = f  # type: ignore[attr-defined]
    return make
