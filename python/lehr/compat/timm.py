"""Constructors with the names and arguments of the schedulers of `timm.scheduler`.

Each takes `lr`, the base rate (a number, or one a parameter group), in place of the optimizer, and
`steps=`, the number of steps to span: epochs or updates, whichever timm's t counts, so
`t_in_epochs` and `initialize` change nothing here. `values(steps)[k]` is the rate of step k: what a
new scheduler of timm has set after the calls for 1 … k. Its first call is for t = 1, so step 0 has
the base rate, or `warmup_lr_init` if there is a warmup, whatever the curve says there.

A warmup is a line from `warmup_lr_init` at step 0 to the base rate, which it would reach at step
`warmup_t`. With `warmup_prefix=True` the main curve begins there. With `warmup_prefix=False` it
runs from step 0 on, hidden by the warmup, and at step `warmup_t` the rate jumps to wherever it has
got to: it is part of timm's curve, and of the one here, but seldom wanted.

Noise is no function of the step alone: `noise_range_t` must stay None, and the other arguments of
the noise change nothing then.

Reference:
    timm 1.0.31, `timm.scheduler`.
"""
# The names of timm, and its arguments that are only there to be taken.

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, exp
from typing import TYPE_CHECKING, Any

from lehr import (
    SchedCos,
    SchedExp,
    SchedInverseSqrt,
    SchedLin,
    SchedNo,
    SchedPoly,
    SchedTanh,
    Schedule,
    combine_scheds,
    multistep,
    polynomial,
)
from lehr.arguments import at_least_one
from lehr.compat._arguments import at_least_zero, ends, not_negative, number, positive
from lehr.compat._steps import phases

if TYPE_CHECKING:
    from collections.abc import Callable

    from lehr._core import _Ends

    Parts = list[tuple[float, Schedule]]

__all__ = [
    "CosineLRScheduler",
    "MultiStepLRScheduler",
    "PolyLRScheduler",
    "StepLRScheduler",
    "TanhLRScheduler",
    "WSDLRScheduler",
]


def CosineLRScheduler(
    lr: _Ends,
    t_initial: int,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    k_decay: float = 1.0,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Decay along cosines with restarts, from the base rate to `lr_min`.

    In cycle i, of `t_initial * cycle_mul ** i` steps, with x the share of it that is done:
    `lr_min + (lr * cycle_decay ** i - lr_min) (1 + cos(pi x ** k_decay)) / 2`. `lr_min` would be
    reached at the first step of the next cycle, so in none but the last, at step `t_initial` (plus
    the warmup, if that is a prefix) of a single one; from there on it holds.

    Where a cycle begins timm takes a logarithm, whose rounding makes some restarts one step late
    (`cycle_mul=3`: the sixth cycle), with `lr_min` where the peak belongs; and with a `cycle_mul`
    below 1 it raises once all cycles would be over. Here the restart is at its step, and `lr_min`
    holds.

    Args:
        lr: The base rate: a number, or one per parameter group.
        t_initial: Length of the first cycle in steps, at least 1.
        lr_min: Where every cycle ends, at least 0.
        cycle_mul: Length of a cycle over that of the one before, above 0.
        cycle_decay: Peak of a cycle over that of the one before, above 0.
        cycle_limit: Number of cycles, at least 0; `lr_min` holds behind them.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        warmup_prefix: Whether the cosine begins behind the warmup, or at step 0, in which case the
            rate jumps at step `warmup_t`.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        k_decay: Power of the share done, above 0.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> compat.CosineLRScheduler(2, 4, warmup_t=2, steps=6).values(6).round(3)
        array([0.   , 1.   , 1.   , 0.293, 0.   , 0.   ])
        >>> compat.CosineLRScheduler(2, 4, warmup_t=2, warmup_prefix=True, steps=6).values(6).round(
        ...     3
        ... )
        array([0.   , 1.   , 2.   , 1.707, 1.   , 0.293])

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017; Zhang
        and Li, "k-decay: A New Method for Learning Rate Schedule", 2020.
    """
    _refuse_noise(noise_range_t)
    low = not_negative(lr_min, "lr_min")
    k = positive(k_decay, "k_decay")

    def cosine(peak: Any) -> Schedule:
        return _warped(SchedCos(peak, low), k)

    reach = at_least_one(steps, "steps") + at_least_zero(warmup_t, "warmup_t")
    parts = _cycles(lr, t_initial, low, cycle_mul, cycle_decay, cycle_limit, cosine, reach)
    return _run(lr, parts, warmup_t, warmup_lr_init, steps, prefix=warmup_prefix)


def TanhLRScheduler(
    lr: _Ends,
    t_initial: int,
    lb: float = -7.0,
    ub: float = 3.0,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Decay along a hyperbolic tangent with restarts.

    In cycle i, of `t_initial * cycle_mul ** i` steps, with x the share of it that is done:
    `lr_min + (lr * cycle_decay ** i - lr_min) (1 - tanh(lb + (ub - lb) x)) / 2`. A cycle neither
    begins at the peak nor ends at `lr_min`, as far off as the tangent is from -1 and 1 at its
    bounds; behind the last cycle `lr_min` holds. Without a warmup step 0 has the base rate itself,
    and only step 1 is on the curve.

    With `warmup_prefix=False` the warmup leads to the value of the curve at step `warmup_t`, unlike
    that of the others: the rate does not jump. For the restarts see `CosineLRScheduler`.

    Args:
        lr: The base rate: a number, or one per parameter group.
        t_initial: Length of the first cycle in steps, at least 1.
        lb: Where on the tangent a cycle begins, from -100 to 100.
        ub: Where it ends, above `lb`.
        lr_min: The lower end, at least 0.
        cycle_mul: Length of a cycle over that of the one before, above 0.
        cycle_decay: Peak of a cycle over that of the one before, above 0.
        cycle_limit: Number of cycles, at least 0; `lr_min` holds behind them.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        warmup_prefix: Whether the tangent begins behind the warmup, or at step 0.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> compat.TanhLRScheduler(2, 4, lb=-2, ub=2, steps=6).values(6).round(3)
        array([2.   , 1.762, 1.   , 0.238, 0.   , 0.   ])

    Reference:
        Hsueh et al., "Stochastic Gradient Descent with Hyperbolic-Tangent Decay on
        Classification", 2018.
    """
    _refuse_noise(noise_range_t)
    low = not_negative(lr_min, "lr_min")
    lower, upper = number(lb, "lb"), number(ub, "ub")
    if not -MOST_TANH <= lower < upper <= MOST_TANH:
        message = (
            f"`lb` must be below `ub`, both from -{MOST_TANH} to {MOST_TANH}, got {lb} and {ub}"
        )
        raise ValueError(message)

    def tanh(peak: Any) -> Schedule:
        # (1 - tanh(z)) / 2 = 1 / (1 + exp(2 z)), which keeps its digits.
        start, end = (_scaled(peak, 1 / (1 + exp(2 * z)), low) for z in (lower, upper))
        return SchedTanh(start, end, lower, upper)

    reach = at_least_one(steps, "steps") + at_least_zero(warmup_t, "warmup_t")
    parts = _cycles(lr, t_initial, low, cycle_mul, cycle_decay, cycle_limit, tanh, reach)
    return _run(
        lr, parts, warmup_t, warmup_lr_init, steps, prefix=warmup_prefix, meet=not warmup_prefix
    )


def StepLRScheduler(
    lr: _Ends,
    decay_t: float,
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Multiply the rate by `decay_rate` every `decay_t` steps: `lr decay_rate ** (t // decay_t)`.

    Step `decay_t`, or the first one behind it, is the first with the second rate. There is no end.
    t counts from the end of the warmup, or from step 0 with `warmup_prefix=False`: then the factors
    due within the warmup are all there at step `warmup_t`, and the rate jumps.

    Args:
        lr: The base rate: a number, or one per parameter group.
        decay_t: Steps between two factors, at least 1; need be no whole number.
        decay_rate: The factor, at least 0.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        warmup_prefix: Whether t counts from the end of the warmup.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> compat.StepLRScheduler(8, 1.5, 0.5, warmup_t=2, steps=7).values(7)
        array([0., 4., 8., 8., 4., 2., 2.])

    Reference:
        timm, `StepLRScheduler`.
    """
    _refuse_noise(noise_range_t)
    # Exact, as the whole part of a quotient is.
    size = Fraction(number(decay_t, "decay_t"))
    if size < 1:
        message = f"`decay_t` must be at least 1, got {decay_t}"
        raise ValueError(message)
    count = int(at_least_one(steps, "steps") / size)
    milestones = [ceil(size * i) for i in range(1, count + 1)]
    return _stepped(lr, milestones, decay_rate, warmup_t, warmup_lr_init, warmup_prefix, steps)


def MultiStepLRScheduler(
    lr: _Ends,
    decay_t: Iterable[int],
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Multiply the rate by `decay_rate` one step before each milestone.

    A milestone m is in force from t = m - 1 on, which timm keeps on purpose: torch's `MultiStepLR`
    has it at m. t counts from the end of the warmup, or from step 0 with `warmup_prefix=False`:
    then the factors due within the warmup are all there at step `warmup_t`, and the rate jumps.
    Without a warmup step 0 has the base rate, even with a milestone at 0 or 1.

    Args:
        lr: The base rate: a number, or one per parameter group.
        decay_t: Milestones, at least 0, in order (timm searches them by halves, and finds others at
            unordered ones); one given twice counts twice.
        decay_rate: The factor, at least 0.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        warmup_prefix: Whether t counts from the end of the warmup.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> compat.MultiStepLRScheduler(8, [2, 4], 0.5, steps=5).values(5)
        array([8., 4., 4., 2., 2.])

    Reference:
        timm, `MultiStepLRScheduler`.
    """
    _refuse_noise(noise_range_t)
    if not isinstance(decay_t, Iterable):
        message = f"`decay_t` must be a list of integers, got {decay_t!r}"
        raise TypeError(message)
    milestones = [at_least_zero(one, "decay_t") - 1 for one in decay_t]
    if milestones != sorted(milestones):
        message = f"`decay_t` must be in order, got {[m + 1 for m in milestones]}"
        raise ValueError(message)
    return _stepped(lr, milestones, decay_rate, warmup_t, warmup_lr_init, warmup_prefix, steps)


def PolyLRScheduler(
    lr: _Ends,
    t_initial: int,
    power: float = 0.5,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    k_decay: float = 1.0,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Decay along a power of what remains, with restarts, from the base rate to `lr_min`.

    In cycle i, of `t_initial * cycle_mul ** i` steps, with x the share of it that is done:
    `lr_min + (lr * cycle_decay ** i - lr_min) (1 - x ** k_decay) ** power`. Where `lr_min` is
    reached, what follows, and where timm's restarts go wrong is as in `CosineLRScheduler`.

    Args:
        lr: The base rate: a number, or one per parameter group.
        t_initial: Length of the first cycle in steps, at least 1.
        power: Power of the remaining share, above 0.
        lr_min: Where every cycle ends, at least 0.
        cycle_mul: Length of a cycle over that of the one before, above 0.
        cycle_decay: Peak of a cycle over that of the one before, above 0.
        cycle_limit: Number of cycles, at least 0; `lr_min` holds behind them.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        warmup_prefix: Whether the decay begins behind the warmup, or at step 0, in which case the
            rate jumps at step `warmup_t`.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        k_decay: Power of the share done, above 0.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> compat.PolyLRScheduler(8, 4, power=2, steps=6).values(6)
        array([8. , 4.5, 2. , 0.5, 0. , 0. ])

    Reference:
        Zhang and Li, "k-decay: A New Method for Learning Rate Schedule", 2020.
    """
    _refuse_noise(noise_range_t)
    low = not_negative(lr_min, "lr_min")
    k, remaining = positive(k_decay, "k_decay"), positive(power, "power")

    def power_law(peak: Any) -> Schedule:
        return _warped(polynomial(peak, low, remaining), k)

    reach = at_least_one(steps, "steps") + at_least_zero(warmup_t, "warmup_t")
    parts = _cycles(lr, t_initial, low, cycle_mul, cycle_decay, cycle_limit, power_law, reach)
    return _run(lr, parts, warmup_t, warmup_lr_init, steps, prefix=warmup_prefix)


def WSDLRScheduler(
    lr: _Ends,
    t_initial: int,
    decay_t: int,
    lr_min: float = 0.0,
    stable_fn: str = "constant",
    stable_timescale: float | None = None,
    stable_power: float = 0.5,
    decay_fn: str | Callable[[float], float] = "1-sqrt",
    decay_power: float = 0.5,
    decay_ratio: float = 0.1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    t_in_epochs: bool = True,
    noise_range_t: None = None,
    noise_pct: float = 0.67,
    noise_std: float = 1.0,
    noise_seed: int = 42,
    initialize: bool = True,
    *,
    steps: int,
) -> Schedule:
    """Warm up, stay stable, and decay to `lr_min` over the last `decay_t` of `t_initial` steps.

    With t the steps since the end of the warmup, and x the share of the decay that is done, 0
    before it: `lr_min + (max(lr stable(t), lr_min) - lr_min) decay(x)`. The stable function goes on
    under the decay: "constant" 1, "rsqrt" `(1 + t / stable_timescale) ** -0.5`, "power"
    `(1 + t / stable_timescale) ** -stable_power`. The decay is "linear" `1 - x`, "1-sqrt"
    `1 - sqrt(x)`, "cosine" `(1 + cos(pi x)) / 2`, "power" `1 - x ** decay_power`, "exp"
    `(decay_ratio ** x - decay_ratio) / (1 - decay_ratio)`, or a function of x.

    The warmup is always a prefix. `lr_min` is reached at step `warmup_t + t_initial`, which a run
    of that many steps does not visit, and holds from there on.

    Args:
        lr: The base rate: a number, or one per parameter group.
        t_initial: Length of the stable phase and the decay in steps, at least 1.
        decay_t: Length of the decay in steps, from 1 to `t_initial`.
        lr_min: The end, at least 0.
        stable_fn: "constant", "rsqrt" or "power".
        stable_timescale: Steps in which the base of "rsqrt" and "power" doubles, above 0; the
            length of the warmup by default.
        stable_power: Of the "power" stable phase, above 0.
        decay_fn: "linear", "1-sqrt", "cosine", "power" or "exp", or a function of a share that is 1
            at 0 and 0 at 1.
        decay_power: Of the "power" decay, above 0.
        decay_ratio: Of the "exp" decay, between 0 and 1.
        warmup_t: Length of the warmup in steps, at least 0.
        warmup_lr_init: Rate at step 0 of a warmup, at least 0.
        t_in_epochs: Not used: `steps` counts what t does.
        noise_range_t: None.
        noise_pct: Not used, like all of noise.
        noise_std: Not used.
        noise_seed: Not used.
        initialize: Not used.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or there is noise.

    Example:
        >>> from lehr.compat import timm as compat
        >>> f = compat.WSDLRScheduler(8, 6, 4, decay_fn="linear", warmup_t=2, steps=9)
        >>> f.values(9)
        array([0., 4., 8., 8., 8., 6., 4., 2., 0.])

    Reference:
        Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
        Strategies", 2024; Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed
        Training Durations", 2024.
    """
    _refuse_noise(noise_range_t)
    low = not_negative(lr_min, "lr_min")
    length = at_least_one(t_initial, "t_initial")
    last = at_least_one(decay_t, "decay_t")
    if last > length:
        message = f"`decay_t` must be at most `t_initial`, {length}, got {last}"
        raise ValueError(message)
    timescale = warmup_t if stable_timescale is None else stable_timescale
    stable = _stable(lr, low, stable_fn, timescale, stable_power, length)
    decay = _decay(decay_fn, decay_power, decay_ratio)
    begin = (length - last) / length
    parts: Parts = [
        (length - last, stable.part(0, begin)),
        (last, (stable.part(begin, 1) + -low) * decay + low),
        (steps, SchedNo(low, low)),
    ]
    return _run(lr, parts, warmup_t, warmup_lr_init, steps, prefix=True)


# Bounds of a tangent, beyond which it is -1 or 1 to all digits.
MOST_TANH = 100


def _refuse_noise(noise_range_t: Any) -> None:
    if noise_range_t is not None:
        message = (
            "`noise_range_t` must be None, as a schedule is a function of the step alone, got "
            f"{noise_range_t!r}"
        )
        raise ValueError(message)


def _one_of(value: Any, known: Iterable[str], name: str) -> str:
    """Return a name that is known."""
    message = f"`{name}` must be one of {', '.join(known)}, got {value!r}"
    if not isinstance(value, str):
        raise TypeError(message)
    if value not in known:
        raise ValueError(message)
    return value


def _scaled(rates: Any, factor: float, low: float = 0.0) -> Any:
    """Multiply what a rate, or that of each group, has above `low`."""
    if isinstance(rates, list):
        return [_scaled(rate, factor, low) for rate in rates]
    return low + (rates - low) * factor


def _warped(schedule: Schedule, power: float) -> Schedule:
    return schedule if power == 1 else schedule.warp(power)


def _cycles(
    lr: Any,
    t_initial: Any,
    low: float,
    mul: Any,
    decay: Any,
    limit: Any,
    shape: Callable[[Any], Schedule],
    reach: int,
) -> Parts:
    """Return cycles of a shape with a peak, those that begin within `reach` steps, then `low`."""
    first, rates = at_least_one(t_initial, "t_initial"), ends(lr, "lr")
    growth, fall = positive(mul, "cycle_mul"), positive(decay, "cycle_decay")
    found: Parts = []
    start = 0.0
    for i in range(at_least_zero(limit, "cycle_limit")):
        if start >= reach:
            break
        length = first * growth**i
        # Cycles that shrink may all end before the run does: then one adds nothing.
        if start + length == start:
            break
        found.append((length, shape(_scaled(rates, fall**i))))
        start += length
    held = _scaled(rates, 0, low)
    return [*found, (reach, SchedNo(held, held))]


def _run(
    lr: Any, parts: Parts, warmup_t: Any, init: Any, steps: Any, *, prefix: bool, meet: bool = False
) -> Schedule:
    """Begin with a warmup, or with the base rate, to the base rate or `meet`ing the main curve."""
    warmup, low = at_least_zero(warmup_t, "warmup_t"), not_negative(init, "warmup_lr_init")
    rates = ends(lr, "lr")
    if warmup:
        rest = parts if prefix else _without(parts, warmup)
        to = rest[0][1].start if meet else rates
        return phases(steps, [(warmup, SchedLin(low, to)), *rest])
    base = SchedNo(rates, rates)
    rest = _without(parts, 0)
    begin = rest[0][1].start
    if SchedNo(begin, begin) == base:
        return phases(steps, rest)
    return phases(steps, [(1, base), *_without(rest, 1)])


def _without(parts: Parts, skipped: float) -> Parts:
    """Leave out the first steps, and what has none."""
    rest: Parts = []
    for length, schedule in parts:
        cut = min(skipped, length)
        skipped -= cut
        if cut < length:
            kept = schedule.part(cut / length, 1) if cut else schedule
            rest.append((length - cut, kept))
    return rest


def _stepped(
    lr: Any, milestones: list[int], rate: Any, warmup_t: Any, init: Any, prefix: bool, steps: Any
) -> Schedule:
    """Multiply at milestones, none of which is in force in the warmup or at step 0."""
    warmup, total = at_least_zero(warmup_t, "warmup_t"), at_least_one(steps, "steps")
    low, factor = not_negative(init, "warmup_lr_init"), not_negative(rate, "decay_rate")
    rates = ends(lr, "lr")
    parts: Parts = [(warmup, SchedLin(low, rates))]
    left = total - warmup
    if left > 0:
        since = [milestone if prefix else milestone - warmup for milestone in milestones]
        reached = [max(m, 0 if warmup else 1) for m in since]
        main: Schedule = multistep(rates, [m / left for m in reached if m < left], factor)
        parts.append((left, main))
    return phases(total, parts)


def _stable(lr: Any, low: float, kind: Any, timescale: Any, power: Any, length: int) -> Schedule:
    """Return the stable function times the rate, at least `low`, over `length` steps."""
    rates = ends(lr, "lr")
    powers = {"constant": None, "rsqrt": 0.5, "power": positive(power, "stable_power")}
    found = powers[_one_of(kind, powers, "stable_fn")]
    if found is None:
        level = [max(one, low) for one in rates] if isinstance(rates, list) else max(rates, low)
        return SchedNo(level, level)
    scale = positive(timescale, "stable_timescale")
    # With its begin so high that no digit of it is left, this is pos ** -0.5 from 1 on.
    fall = SchedInverseSqrt(1e100, 1).warp(2 * found).part(1, 1 + length / scale)
    schedule: Schedule = (fall * rates).clip(low=low)
    return schedule


def _decay(kind: Any, power: Any, ratio: Any) -> Schedule:
    """Return a decay function, from 1 to 0."""
    exponent, rest = positive(power, "decay_power"), number(ratio, "decay_ratio")
    if not 0 < rest < 1:
        message = f"`decay_ratio` must be between 0 and 1, got {ratio}"
        raise ValueError(message)
    if callable(kind):
        for share, value in ((0.0, 1.0), (1.0, 0.0)):
            if abs(kind(share) - value) > 1e-9:  # noqa: PLR2004 - room for rounding
                message = f"`decay_fn` must be {value} at {share}, got {kind(share)}"
                raise ValueError(message)
        return combine_scheds([1], [kind])
    decays = {
        "linear": lambda: SchedLin(1, 0),
        "1-sqrt": lambda: SchedPoly(1, 0, 0.5),
        "cosine": lambda: SchedCos(1, 0),
        "power": lambda: SchedPoly(1, 0, exponent),
        "exp": lambda: (SchedExp(1, rest) + -rest) * (1 / (1 - rest)),
    }
    decay: Schedule = decays[_one_of(kind, decays, "decay_fn")]()
    return decay
