"""Schedules people know by name, and what they are before the length of a run is known.

Every length is a share of training, or a length as text, such as "500 steps", "2 epochs", "10%" or
"20e9 tokens". With a text among them the result is a `PresetSpec`, which a `Scheduler` resolves.
"""

from lehr import _core
from lehr.schedules import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal

    from lehr import Schedule
    from lehr._core import _Ends
    from lehr.schedules import Run

    Length = float | str
    Ramp = Literal["linear", "cosine", "exponential"]


class PresetSpec(Spec):
    """A preset with lengths in steps, epochs, tokens or percent, until the run is known.

    Made by the functions of this module when a length is a text. A `Scheduler` resolves it once
    against its run. Each length becomes the nearest whole number of steps.

    Example:
        >>> import lehr
        >>> spec = lehr.flat_cos(1e-3, flat="30 epochs")
        >>> spec
        flat_cos(0.001, flat='30 epochs')
        >>> spec.resolve("40 epochs", steps_per_epoch=100)
        combine_scheds([0.75, 0.25], [SchedNo(0.001, 0.001), SchedCos(0.001, 0.0)])
    """

    __slots__ = ("_arguments", "_function", "_lengths")

    def __init__(
        self, function: str, arguments: "dict[str, Any]", lengths: "tuple[str, ...]"
    ) -> None:
        self._function = function
        self._arguments = {name: _plain(value) for name, value in arguments.items()}
        self._lengths = lengths
        for name, text in self._texts():
            _core.check_length(text, name)
        # Whatever else is wrong is wrong in any run.
        self._made(self._probe, lambda _spec, _length: _core.SchedNo(1, 1))

    def _probe(self, name: str, _: str) -> float:
        """A share that a text may turn out to be, by which the other arguments are looked at."""
        base, _, place = name.partition("[")
        if place:
            # That of the point before, so that none falls.
            before = self._arguments[base][: int(place[:-1])]
            shares = [one[0] if isinstance(one, tuple) else one for one in before]
            return max((one for one in shares if not isinstance(one, str)), default=0.0)
        # No length at all would be wrong where another one counts on it.
        return 1.0 if base in ("first", "period", "timescale") else 1e-13

    def _texts(self) -> "list[tuple[str, str]]":
        """The lengths that are texts, each with its name."""
        found = []
        for name in self._lengths:
            value = self._arguments[name]
            for place, one in enumerate(value) if isinstance(value, tuple) else [(None, value)]:
                text = one[0] if isinstance(one, tuple) else one
                if isinstance(text, str):
                    found.append((name if place is None else f"{name}[{place}]", text))
        return found

    def resolved(self, total: int, run: "Run") -> "Schedule":
        """Return the schedule for a run of `total` steps; `run` tells what units are."""

        def share(name: str, text: str) -> float:
            return _core.length_share(text, name, total, *run)

        def inner(spec: Spec, length: float) -> "Schedule":
            # Its run is what the warmup leaves.
            rest = total - round(total * length)
            if rest < 1:
                message = f"`length` must leave a step to the schedule, got {length} of {total}"
                raise ValueError(message)
            return spec.resolved(rest, run)

        return self._made(share, inner, 1 / total)

    def _made(
        self,
        share: "Callable[[str, str], float]",
        inner: "Callable[[Any, float], Schedule]",
        step: float = 0.0,
    ) -> "Schedule":
        """The schedule, with `share` of every text in place of it."""
        arguments = dict(self._arguments)
        for name, text in self._texts():
            found = share(name, text)
            base, _, place = name.partition("[")
            if not place:
                arguments[base] = found
                continue
            values, index = list(arguments[base]), int(place[:-1])
            one = values[index]
            values[index] = (found, *one[1:]) if isinstance(one, tuple) else found
            arguments[base] = values
        _fit(arguments, step)
        schedule = arguments.get("schedule")
        if isinstance(schedule, Spec):
            length = arguments["length"]
            _core.preset_warmup(_core.SchedNo(1, 1), length, 1, "linear")
            arguments["schedule"] = inner(schedule, length)
        made: Schedule = getattr(_core, f"preset_{self._function}")(**arguments)
        return made

    def _key(self) -> "tuple[Any, ...]":
        return (self._function, *self._arguments.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PresetSpec):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> "tuple[Any, ...]":
        return (PresetSpec, (self._function, self._arguments, self._lengths))

    def __repr__(self) -> str:
        import inspect

        signature = inspect.signature(globals()[self._function])
        shown = []
        for name, parameter in signature.parameters.items():
            value = self._arguments.get(name, parameter.default)
            if parameter.kind is not parameter.KEYWORD_ONLY:
                shown.append(repr(value))
            elif value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{self._function}({', '.join(shown)})"


def _plain(value: "Any") -> "Any":
    """A number, or numbers as a tuple: what compares, and does not change."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _fit(arguments: "dict[str, Any]", step: float) -> None:
    """Shares of whole steps that together are a step too long: the last is shorter."""
    if "decay_shape" in arguments:
        warmup, decay = arguments["warmup"], arguments["decay"]
        if 1 < warmup + decay <= 1 + step:
            arguments["decay"] = 1 - warmup
    if arguments.get("phases") == 3 and 0.5 < arguments["pct"] <= 0.5 + step / 2:  # noqa: PLR2004
        arguments["pct"] = 0.5


def _make(function: str, lengths: "tuple[str, ...]", **arguments: "Any") -> "Any":
    """Return the schedule, or what it is until texts among its lengths are resolved."""
    for name in lengths:
        value = arguments[name]
        values = value if isinstance(value, tuple) else (value,)
        if any(
            isinstance(one[0] if isinstance(one, tuple) and one else one, str) for one in values
        ):
            return PresetSpec(function, arguments, lengths)
    if isinstance(arguments.get("schedule"), Spec):
        return PresetSpec(function, arguments, lengths)
    return getattr(_core, f"preset_{function}")(**arguments)


def _tuple(name: str, values: "Any") -> "Any":
    """A list of lengths as one that does not change."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        message = f"`{name}` must be a list, got {values!r}"
        raise TypeError(message)
    return tuple(tuple(one) if isinstance(one, list) else one for one in values)


def warmup(
    schedule: "Schedule | Spec",
    length: "Length",
    *,
    start_factor: float = 0.0,
    shape: "Ramp" = "linear",
) -> "Any":
    """Return a schedule behind a warmup: `schedule` begins when the warmup has ended.

    The warmup goes from `start_factor * schedule(0)` to `schedule(0)`; the schedule then has the
    rest of training for its whole course.

    Args:
        schedule: Any schedule, or a spec, whose run is what the warmup leaves.
        length: Length of the warmup: a share of training in [0, 1], or a text.
        start_factor: Where it starts, as a factor of the schedule's first value, at least 0; above
            0 for an exponential one.
        shape: "linear" (equal differences), "cosine" (half a cosine) or "exponential" (equal
            ratios).

    Returns:
        A `Schedule`; a `PresetSpec` if `length` is a text or `schedule` a spec.

    Raises:
        TypeError: `schedule` is none.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.warmup(lehr.SchedCos(1e-3, 0), 0.1, start_factor=0.5)
        combine_scheds([0.1, 0.9], [SchedLin(0.0005, 0.001), SchedCos(0.001, 0.0)])

    Reference:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.
    """
    return _make(
        "warmup",
        ("length",),
        schedule=schedule,
        length=length,
        start_factor=start_factor,
        shape=shape,
    )


def one_cycle(
    peak: "_Ends",
    *,
    pct: "Length" = 0.3,
    div: float = 25.0,
    final_div: float = 1e4,
    phases: int = 2,
    shape: "Literal['linear', 'cosine']" = "cosine",
) -> "Any":
    """Return the rate of a 1cycle: up from `peak / div`, down to `peak / div / final_div`.

    Of two phases, the second goes from the peak to the end. Of three, the second is the first
    backwards, and the third goes from `peak / div` to the end.

    Args:
        peak: The highest rate: a number, or one per parameter group.
        pct: Length of the first phase: a share of training, or a text; at most half of training
            with three phases.
        div: The peak over the first rate, above 0.
        final_div: The first rate over the last, above 0.
        phases: 2 or 3.
        shape: "cosine" or "linear", of every phase.

    Returns:
        A `Schedule`; a `PresetSpec` if `pct` is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.one_cycle(1.0, pct=0.25, div=10, final_div=100)
        combine_scheds([0.25, 0.75], [SchedCos(0.1, 1.0), SchedCos(1.0, 0.001)])

    Reference:
        Smith and Topin, Super-Convergence, 2017.
    """
    return _make(
        "one_cycle",
        ("pct",),
        peak=peak,
        pct=pct,
        div=div,
        final_div=final_div,
        phases=phases,
        shape=shape,
    )


def one_cycle_momentum(
    high: "_Ends" = 0.95,
    low: "_Ends" = 0.85,
    *,
    pct: "Length" = 0.3,
    phases: int = 2,
    shape: "Literal['linear', 'cosine']" = "cosine",
) -> "Any":
    """Return the momentum of a 1cycle: low where the rate is high.

    From `high` to `low` over `pct`, and back to `high`: over the rest, or with three phases over
    `pct`, to stay there.

    Args:
        high: Momentum at the start and the end: a number, or one per parameter group.
        low: Momentum where the rate is at its peak.
        pct: Length of the first phase, as that of the rate.
        phases: 2 or 3, as of the rate.
        shape: "cosine" or "linear".

    Returns:
        A `Schedule`; a `PresetSpec` if `pct` is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.one_cycle_momentum(pct=0.25)
        combine_scheds([0.25, 0.75], [SchedCos(0.95, 0.85), SchedCos(0.85, 0.95)])

    Reference:
        Smith, A disciplined approach to neural network hyper-parameters, 2018.
    """
    return _make(
        "one_cycle_momentum", ("pct",), high=high, low=low, pct=pct, phases=phases, shape=shape
    )


def flat_cos(peak: "_Ends", *, end: "_Ends" = 0.0, flat: "Length" = 0.75) -> "Any":
    """Return a constant rate followed by half a cosine.

    Args:
        peak: The constant: a number, or one per parameter group.
        end: Value at 1, likewise.
        flat: Length of the constant: a share of training, or a text.

    Returns:
        A `Schedule`; a `PresetSpec` if `flat` is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.flat_cos(1e-3)
        combine_scheds([0.75, 0.25], [SchedNo(0.001, 0.001), SchedCos(0.001, 0.0)])

    Reference:
        fastai, `Learner.fit_flat_cos`.
    """
    return _make("flat_cos", ("flat",), peak=peak, end=end, flat=flat)


def sgdr(
    peak: "_Ends",
    *,
    end: "_Ends" = 0.0,
    cycles: "int | None" = None,
    first: "Length | None" = None,
    mult: float = 1.0,
    decay: float = 1.0,
) -> "Any":
    """Return cosines from a peak to an end, with warm restarts.

    Cycle i is `mult ** i` times as long as the first, and begins at `peak * decay ** i`.

    Args:
        peak: First peak: a number, or one per parameter group.
        end: Where every cycle ends, likewise.
        cycles: Number of cycles, which fill the training. Either this or `first`.
        first: Length of the first cycle: a share of training, or a text; the end of training cuts
            off the last.
        mult: Growth of the cycles, above 0; a fraction, if wanted.
        decay: Factor of the peaks, above 0.

    Returns:
        A `Schedule`; a `PresetSpec` if `first` is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or both or none of `cycles` and `first` are given.

    Example:
        >>> import lehr
        >>> lehr.sgdr(1.0, cycles=2, mult=3, decay=0.5)
        combine_scheds([0.25, 0.75], [SchedCos(1.0, 0.0), SchedCos(0.5, 0.0)])

    Reference:
        Loshchilov and Hutter, SGDR, 2016.
    """
    return _make(
        "sgdr", ("first",), peak=peak, end=end, cycles=cycles, first=first, mult=mult, decay=decay
    )


def wsd(
    peak: "_Ends",
    *,
    warmup: "Length" = 0.05,
    decay: "Length" = 0.2,
    start_factor: float = 0.0,
    end: "_Ends" = 0.0,
    stable: "Literal['constant', 'rsqrt']" = "constant",
    timescale: "Length | None" = None,
    warmup_shape: "Ramp" = "linear",
    decay_shape: "Literal['linear', 'cosine', '1-sqrt', 'power', 'exponential']" = "linear",
    power: float = 1.0,
) -> "Any":
    """Return a warmup, a stable phase and a decay.

    The decay goes from the value at the end of the stable phase, `s`, to `end`, with p its share
    done: "linear" `s + (end - s) p`, "cosine" half a cosine, "1-sqrt" `s + (end - s) sqrt(p)`,
    "power" `end + (s - end) (1 - p) ** power`, "exponential" `s (end / s) ** p`.

    Args:
        peak: Value at the end of the warmup: a number, or one per parameter group.
        warmup: Length of the warmup: a share of training, or a text.
        decay: Length of the decay, likewise.
        start_factor: The first value, as a factor of the peak.
        end: Value at 1; above 0 for an exponential decay.
        stable: "constant", or "rsqrt": `peak sqrt(timescale / (timescale + pos - warmup))`.
        timescale: Length after which "rsqrt" has fallen by sqrt(2); the warmup's by default.
        warmup_shape: "linear", "cosine" or "exponential".
        decay_shape: As above.
        power: Of a "power" decay, above 0.

    Returns:
        A `Schedule`; a `PresetSpec` if a length is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or warmup and decay are more than the training.

    Example:
        >>> import lehr
        >>> f = lehr.wsd(1e-3, warmup=0.1, decay=0.25, decay_shape="1-sqrt")
        >>> f([0, 0.1, 0.5, 1]).tolist()
        [0.0, 0.001, 0.001, 0.0]

    Reference:
        Hu et al., MiniCPM, 2024; Hägele et al., Scaling Laws and Compute-Optimal Training Beyond
        Fixed Training Durations, 2024 (1-sqrt).
    """
    return _make(
        "wsd",
        ("warmup", "decay", "timescale"),
        peak=peak,
        warmup=warmup,
        decay=decay,
        start_factor=start_factor,
        end=end,
        stable=stable,
        timescale=timescale,
        warmup_shape=warmup_shape,
        decay_shape=decay_shape,
        power=power,
    )


def inverse_sqrt(
    peak: "_Ends",
    *,
    warmup: "Length" = 0.1,
    timescale: "Length | None" = None,
    start_factor: float = 0.0,
    shape: "Ramp" = "linear",
) -> "Any":
    """Return a warmup followed by `peak sqrt(timescale / (timescale + pos - warmup))`.

    With the default time scale, the warmup's length, that is `peak sqrt(warmup / pos)`.

    Args:
        peak: Value at the end of the warmup: a number, or one per parameter group.
        warmup: Length of the warmup: a share of training, or a text.
        timescale: Length after which the rate has fallen by sqrt(2), likewise, above 0.
        start_factor: The first value, as a factor of the peak.
        shape: Of the warmup: "linear", "cosine" or "exponential".

    Returns:
        A `Schedule`; a `PresetSpec` if a length is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range; there is neither a warmup nor a time scale.

    Example:
        >>> import lehr
        >>> lehr.inverse_sqrt(1.0, warmup=0.25)(1)
        0.5

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 5.3.
    """
    return _make(
        "inverse_sqrt",
        ("warmup", "timescale"),
        peak=peak,
        warmup=warmup,
        timescale=timescale,
        start_factor=start_factor,
        shape=shape,
    )


def multistep(start: "_Ends", milestones: "Iterable[Length]", gamma: float = 0.1) -> "Any":
    """Return a constant that is multiplied by `gamma` at every milestone.

    Args:
        start: The first value: a number, or one per parameter group.
        milestones: Positions in [0, 1] or texts, counted from the start, none before the one in
            front of it; one that occurs twice counts twice.
        gamma: The factor, at least 0.

    Returns:
        A `Schedule`; a `PresetSpec` if a milestone is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.multistep(1.0, [0.5, 0.75])([0.49, 0.5, 0.8]).tolist()
        [1.0, 0.1, 0.010000000000000002]

    Reference:
        torch, `MultiStepLR`.
    """
    milestones = _tuple("milestones", milestones)
    return _make("multistep", ("milestones",), start=start, milestones=milestones, gamma=gamma)


def cyclic(
    low: "_Ends",
    high: "_Ends",
    *,
    cycles: "float | None" = None,
    period: "Length | None" = None,
    up: float = 0.5,
    mode: "Literal['triangular', 'triangular2', 'exp_range']" = "triangular",
    gamma: float = 1.0,
) -> "Any":
    """Return waves from `low` to `high` and back, in straight lines.

    The height of a wave is `high - low`; with "triangular2" half of that in every cycle more, with
    "exp_range" times `gamma ** pos`.

    Args:
        low: Where waves begin and end: a number, or one per parameter group.
        high: Their crest, likewise.
        cycles: Number of waves in a training, above 0; the last may be a part. Either this or
            `period`.
        period: Length of a wave: a share of training, or a text.
        up: Share of a wave that rises, in [0, 1].
        mode: As above.
        gamma: With "exp_range", the height at the end of training over that at its start, above 0.

    Returns:
        A `Schedule`; a `PresetSpec` if `period` is a text.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or both or none of `cycles` and `period` are given.

    Example:
        >>> import lehr
        >>> lehr.cyclic(0, 1, cycles=2, mode="triangular2")([0, 0.25, 0.5, 0.75]).tolist()
        [0.0, 1.0, 0.0, 0.5]

    Reference:
        Smith, Cyclical Learning Rates for Training Neural Networks, 2015.
    """
    return _make(
        "cyclic",
        ("period",),
        low=low,
        high=high,
        cycles=cycles,
        period=period,
        up=up,
        mode=mode,
        gamma=gamma,
    )


def polynomial(
    start: "_Ends",
    end: "_Ends" = 0.0,
    power: float = 1.0,
    *,
    of: "Literal['remaining', 'done']" = "remaining",
) -> "Schedule":
    """Return a polynomial from `start` to `end`, of the share that remains or that is done.

    "remaining", the usual convention: `end + (start - end) (1 - pos) ** power`, which flattens
    towards the end where `power > 1`. "done", the reference page's `SchedPoly`:
    `start + (end - start) pos ** power`, which is flat at the start.

    Args:
        start: Value at 0: a number, or one per parameter group.
        end: Value at 1, likewise.
        power: Above 0.
        of: "remaining" or "done".

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.polynomial(1, 0, 2)(0.5), lehr.polynomial(1, 0, 2, of="done")(0.5)
        (0.25, 0.75)

    Reference:
        torch, `PolynomialLR`; fastai, `SchedPoly`.
    """
    if of == "done":
        return _core.SchedPoly(start, end, power)
    if of != "remaining":
        message = f'`of` must be "remaining" or "done", got {of!r}'
        raise ValueError(message)
    return _core.preset_polynomial(start, end, power)


def piecewise(
    points: "Iterable[tuple[Length, _Ends]]", *, shape: "Literal['linear', 'cosine']" = "linear"
) -> "Any":
    """Return the schedule through points: lines or half cosines between them.

    Before the first point and behind the last it is constant. Two points at one position are a
    jump.

    Args:
        points: Pairs of position and value: a share of training in [0, 1] or a text, counted from
            the start; and a number, or one per parameter group.
        shape: "linear" or "cosine".

    Returns:
        A `Schedule`; a `PresetSpec` if a position is a text.

    Raises:
        TypeError: `points` are no pairs.
        ValueError: There is none, a position is no share, or positions fall.

    Example:
        >>> import lehr
        >>> lehr.piecewise([(0, 0), (0.25, 1), (1, 0)])([0.125, 0.25, 0.625]).tolist()
        [0.5, 1.0, 0.5]
    """
    points = _tuple("points", points)
    return _make("piecewise", ("points",), points=points, shape=shape)


def k_decay(
    start: "_Ends",
    end: "_Ends" = 0.0,
    k: float = 1.5,
    *,
    shape: "Literal['linear', 'cosine']" = "cosine",
) -> "Schedule":
    """Return a decay over `pos ** k`: with `k > 1` it stays high for longer.

    "cosine": `end + (start - end) (1 + cos(pi pos ** k)) / 2`; "linear":
    `end + (start - end) (1 - pos ** k)`. Of any schedule f, `f.warp(k)` is the same.

    Args:
        start: Value at 0: a number, or one per parameter group.
        end: Value at 1, likewise.
        k: Above 0.
        shape: "cosine" or "linear".

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import lehr
        >>> lehr.k_decay(1.0, k=2, shape="linear")(0.5)
        0.75

    Reference:
        Zhang and Li, k-decay: A New Method for Learning Rate Schedule, 2020.
    """
    return _core.preset_k_decay(start, end, k, shape)
