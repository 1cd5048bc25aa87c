"""Schedules made from Python functions, and what becomes a schedule in a `Scheduler`."""

from lehr import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from lehr import Schedule

    # Whether a step of the schedule is an epoch, steps in an epoch, tokens in a step.
    Run = tuple[bool, int | None, float | None]


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


class Spec:
    """What becomes a schedule when the length of the run is known."""

    __slots__ = ()

    def resolved(self, total: int, run: "Run") -> "Schedule":
        """Return the schedule for a run of `total` steps; `run` tells what units are."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> "Any":
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        if not name.startswith("_"):
            message += ": `resolve(steps)` makes the Schedule that has"
        raise AttributeError(message)

    def resolve(
        self,
        steps: "int | str",
        *,
        steps_per_epoch: "int | None" = None,
        tokens_per_step: "float | None" = None,
        interval: str = "step",
    ) -> "Schedule":
        """Return the schedule for a run.

        Args:
            steps: Length of the run, in steps or as a length.
            steps_per_epoch: Optimizer steps in an epoch, where lengths are in epochs.
            tokens_per_step: Tokens one optimizer step sees, where lengths are in tokens.
            interval: "step", or "epoch" where a step of the schedule is an epoch.

        Raises:
            ValueError: A length is none, has a unit that nothing here resolves, or does not fit
                into the run.
        """
        if interval not in ("step", "epoch"):
            message = f'`interval` must be "step" or "epoch", got {interval!r}'
            raise ValueError(message)
        run = (interval == "epoch", steps_per_epoch, tokens_per_step)
        return self.resolved(_core.run_length(steps, None, *run), run)


class PhaseSpec(Spec):
    """Phases of a training with lengths in steps, epochs, shares or tokens.

    A `Scheduler` resolves it once against its run, into the schedule that `combine_scheds` makes of
    the shares the phases have of the run. Each phase begins at the nearest whole step.

    Args:
        lengths: For each phase its length, such as `"500 steps"`, `"2 epochs"`, `"10%"` or
            `"20e9 tokens"`; one of them may be `"rest"`, which is what the others leave.
        scheds: As many schedules, or functions of the position in their phase.

    Raises:
        TypeError: A length is no string.
        ValueError: There are not as many lengths as schedules.

    Example:
        >>> from lehr import PhaseSpec, SchedCos, SchedLin
        >>> spec = PhaseSpec(["500 steps", "rest"], [SchedLin(0, 1e-3), SchedCos(1e-3, 0)])
        >>> spec.resolve(2000)
        combine_scheds([0.25, 0.75], [SchedLin(0.0, 0.001), SchedCos(0.001, 0.0)])
    """

    __slots__ = ("lengths", "scheds")

    def __init__(self, lengths: "Iterable[str]", scheds: "Iterable[Any]") -> None:
        lengths = [lengths] if isinstance(lengths, str) else lengths
        for name, value in (("lengths", lengths), ("scheds", scheds)):
            if not hasattr(value, "__iter__"):
                message = f"`{name}` must be a list with one for each phase, got {value!r}"
                raise TypeError(message)
        self.lengths, self.scheds = tuple(lengths), tuple(scheds)
        for index, length in enumerate(self.lengths):
            if not isinstance(length, str):
                message = (
                    f'`lengths[{index}]` must be a length such as "500 steps" or "rest", '
                    f"got {length!r}"
                )
                raise TypeError(message)
        if len(self.lengths) != len(self.scheds):
            message = (
                "`lengths` and `scheds` must have the same number of phases, got "
                f"{len(self.lengths)} and {len(self.scheds)}"
            )
            raise ValueError(message)

    def resolved(self, total: int, run: "Run") -> "Schedule":
        """Return the schedule for a run of `total` steps; `run` tells what units are."""
        return _core.combine_lengths(self.lengths, self.scheds, total, *run)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PhaseSpec):
            return NotImplemented
        return (self.lengths, self.scheds) == (other.lengths, other.scheds)

    def __hash__(self) -> int:
        return hash((self.lengths, self.scheds))

    def __repr__(self) -> str:
        return f"PhaseSpec({list(self.lengths)}, {list(self.scheds)})"

    def __reduce__(self) -> "tuple[Any, ...]":
        return (PhaseSpec, (self.lengths, self.scheds))


class Tied:
    """A hyper-parameter that is another one times a constant, in every group and at every step.

    It follows what is really written: also a plateau's factor and a cooldown. Weight decay that is
    tied for all groups is also on where an optimizer had it at 0, for biases and norms: there a
    mapping of groups tells which follow, `{"decayed": Tied("lr", 0.1)}`.

    Args:
        name: The hyper-parameter it follows, which must have a schedule.
        times: The constant.

    Raises:
        TypeError: `name` is no string, or `times` no number.

    Example:
        >>> from lehr import SchedCos, Tied
        >>> {"lr": SchedCos(1e-3, 0), "weight_decay": Tied("lr", 0.1)}["weight_decay"]
        Tied('lr', 0.1)
    """

    __slots__ = ("name", "times")

    def __init__(self, name: str, times: float) -> None:
        if not isinstance(name, str):
            message = f"`name` must be the name of a hyper-parameter, got {name!r}"
            raise TypeError(message)
        if not hasattr(times, "__float__"):
            message = f"`times` must be a number, got {times!r}"
            raise TypeError(message)
        self.name = name
        [self.times] = _core.group_values(times, 1, "times")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tied):
            return NotImplemented
        return (self.name, self.times) == (other.name, other.times)

    def __hash__(self) -> int:
        return hash((self.name, self.times))

    def __repr__(self) -> str:
        return f"Tied({self.name!r}, {self.times!r})"

    def __reduce__(self) -> "tuple[Any, ...]":
        return (Tied, (self.name, self.times))
