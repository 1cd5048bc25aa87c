"""Constructors with the names and arguments of `optax.schedules`: step k has optax's value.

Where optax makes a function of the count, these take `steps=`, the number of steps to span, and
return a `Schedule`: `values(steps)[k]` is what optax's has for the count k. A value (`init_value`,
`peak_value`, …) may be a list of one number a parameter group. Lengths are whole steps. Counts
begin at 0, and a transition of n steps that begins at step b has its first value at step b and its
end at step b + n, one step after its last own one; from there on that value holds.

Reference:
    optax 0.2.8, `optax.schedules`.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import inf
from operator import mul
from typing import TYPE_CHECKING, Any

from lehr import SchedCos, SchedExp, SchedLin, SchedNo, Schedule, multistep, polynomial
from lehr.arguments import at_least_one, integer
from lehr.compat._arguments import at_least_zero, number, positive, share
from lehr.compat._steps import phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lehr._core import _Ends

__all__ = [
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]

# Powers of the cosine are products: this many factors are still cheap.
MAX_EXPONENT = 16


def cosine_decay_schedule(
    init_value: _Ends, decay_steps: int, alpha: _Ends = 0.0, exponent: float = 1.0, *, steps: int
) -> Schedule:
    """Decay along a cosine from `init_value` to `alpha` times it.

    With x = min(k / decay_steps, 1) the value is
    `init_value * (alpha + (1 - alpha) * ((1 + cos(pi x)) / 2) ** exponent)`. Its end is reached at
    step `decay_steps` and holds from there on.

    Args:
        init_value: Value at step 0.
        decay_steps: Length of the decay in steps, at least 1.
        alpha: The end, as a share of `init_value`.
        exponent: Power of the cosine: a multiple of 0.5 from 0.5 to 16, since other powers are no
            product of cosines.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length is below 1, or `exponent` is none of those.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.cosine_decay_schedule(2, 4, steps=6).values(6).round(3)
        array([2.   , 1.707, 1.   , 0.293, 0.   , 0.   ])

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    decay = _cosine(1, alpha, exponent)
    return phases(steps, [(at_least_one(decay_steps, "decay_steps"), decay)]) * init_value


def warmup_cosine_decay_schedule(
    init_value: _Ends,
    peak_value: _Ends,
    warmup_steps: int,
    decay_steps: int,
    end_value: _Ends = 0.0,
    exponent: float = 1.0,
    *,
    steps: int,
) -> Schedule:
    """Warm up linearly from `init_value` to `peak_value`, then decay along a cosine to `end_value`.

    The peak is at step `warmup_steps`; the end is reached at step `decay_steps`, which counts the
    warmup in, and holds from there on. Without a warmup the peak is at step 0. optax forgets
    `end_value` where `peak_value` is 0: here the curve goes there.

    Args:
        init_value: Value at step 0.
        peak_value: Value at step `warmup_steps`.
        warmup_steps: Length of the warmup in steps, at least 0.
        decay_steps: Length of warmup and decay in steps, above `warmup_steps`.
        end_value: Value from step `decay_steps` on.
        exponent: Power of the cosine, as in `cosine_decay_schedule`.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length is too small, or `exponent` no multiple of 0.5 from 0.5 to 16.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.warmup_cosine_decay_schedule(0, 2, 2, 4, steps=6).values(6).round(3)
        array([0., 1., 2., 1., 0., 0.])

    Reference:
        optax, `warmup_cosine_decay_schedule`.
    """
    warmup_steps = at_least_zero(warmup_steps, "warmup_steps")
    if integer(decay_steps, "decay_steps") <= warmup_steps:
        message = f"`decay_steps` must be above `warmup_steps`, {warmup_steps}, got {decay_steps}"
        raise ValueError(message)
    warmup = (warmup_steps, SchedLin(init_value, peak_value))
    decay = (decay_steps - warmup_steps, _cosine(peak_value, end_value, exponent))
    return phases(steps, [warmup, decay])


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: _Ends,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    *,
    steps: int,
) -> Schedule:
    """Rise along a cosine to `peak_value`, then fall along one.

    From `peak_value / div_factor` at step 0 to the peak at step `int(pct_start *
    transition_steps)`, then to `peak_value / (div_factor * final_div_factor)`, reached at step
    `transition_steps` and held. With a `pct_start` of 1 the whole transition rises, and the end
    holds behind it: optax loses the peak there.

    Args:
        transition_steps: Length of both phases in steps, at least 1.
        peak_value: The largest value.
        pct_start: Share of the rise, in [0, 1].
        div_factor: The peak over the first value, above 0.
        final_div_factor: The first value over the last, above 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: An argument is out of its range.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.cosine_onecycle_schedule(6, 25, pct_start=1 / 3, steps=6).values(6).round(3)
        array([ 1.   , 13.   , 25.   , 21.339, 12.5  ,  3.661])

    Reference:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
        Learning Rates", 2017.
    """
    length = at_least_one(transition_steps, "transition_steps")
    rise = int(share(pct_start, "pct_start") * length)
    first = 1 / positive(div_factor, "div_factor")
    last = first / positive(final_div_factor, "final_div_factor")
    curve = [(rise, SchedCos(first, 1)), (length - rise, SchedCos(1, last))]
    return phases(steps, [*curve, (inf, SchedNo(last, last))]) * peak_value


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: _Ends,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    *,
    steps: int,
) -> Schedule:
    """Rise linearly to `peak_value`, fall back to the first value, and fall on to the last one.

    From `peak_value / div_factor` at step 0 to the peak at step `int(pct_start *
    transition_steps)`, back at step `int(pct_final * transition_steps)`, then to `peak_value /
    (div_factor * final_div_factor)`, reached at step `transition_steps` and held. Where two of
    these steps are the same (short transitions, a share of 1), the phase between them has no steps
    and is passed over; optax forgets the factor of one of them there, and is off by it from then
    on.

    Args:
        transition_steps: Length of the three phases in steps, at least 1.
        peak_value: The largest value.
        pct_start: Share of the rise, in [0, 1].
        pct_final: Share of the rise and the way back, from `pct_start` to 1.
        div_factor: The peak over the first value, above 0.
        final_div_factor: The first value over the last, above 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: An argument is out of its range.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.linear_onecycle_schedule(6, 25, 1 / 3, 2 / 3, steps=8).values(8).round(3)
        array([ 1. , 13. , 25. , 13. ,  1. ,  0.5,  0. ,  0. ])

    Reference:
        Smith and Topin, as in `cosine_onecycle_schedule`.
    """
    length = at_least_one(transition_steps, "transition_steps")
    shares = share(pct_start, "pct_start"), share(pct_final, "pct_final")
    rise, back = (int(share * length) for share in shares)
    if back < rise:
        message = f"`pct_final` must be at least `pct_start`, {pct_start}, got {pct_final}"
        raise ValueError(message)
    first = 1 / positive(div_factor, "div_factor")
    last = first / positive(final_div_factor, "final_div_factor")
    curve = [(rise, SchedLin(first, 1)), (back - rise, SchedLin(1, first))]
    tail = [(length - back, SchedLin(first, last)), (inf, SchedNo(last, last))]
    return phases(steps, curve + tail) * peak_value


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]], *, steps: int) -> Schedule:
    """Run warmups with cosine decays one after the other.

    Each cycle is a `warmup_cosine_decay_schedule` of its `decay_steps` steps. A cycle's end value
    would be at the first step of the next one, so it is never reached but in the last, which holds
    it.

    Args:
        cosine_kwargs: The keyword arguments of each cycle.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: The arguments of a cycle are not those of `warmup_cosine_decay_schedule`.
        ValueError: There is no cycle, or an argument is out of its range.

    Example:
        >>> from lehr.compat import optax as compat
        >>> cycle = {"init_value": 0, "peak_value": 2, "warmup_steps": 1, "decay_steps": 3}
        >>> compat.sgdr_schedule([cycle, cycle], steps=7).values(7).round(3)
        array([0., 2., 1., 0., 2., 1., 0.])

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    cycles = list(cosine_kwargs)
    if not cycles:
        raise ValueError("`cosine_kwargs` must hold the arguments of a cycle, got none")
    lengths: list[Any] = [cycle.get("decay_steps") for cycle in cycles]
    scheds = [
        warmup_cosine_decay_schedule(**cycle, steps=length)
        for cycle, length in zip(cycles, lengths, strict=True)
    ]
    return phases(steps, list(zip(lengths, scheds, strict=True)))


def join_schedules(
    schedules: Sequence[Schedule], boundaries: Sequence[int], *, steps: int
) -> Schedule:
    """Run schedules one after the other, each from its own step 0.

    Schedule i runs from step `boundaries[i - 1]`, which is its own step 0, to just before step
    `boundaries[i]`, the last to the end. All are made with the `steps` given here, and of each so
    many steps are taken as it has: so its own lengths and values are optax's. optax leaves out
    what is too much where the numbers of schedules and boundaries do not fit: here it is an error.

    Args:
        schedules: Schedules of `steps` steps.
        boundaries: The steps at which the second and later ones begin: at least 0, none smaller
            than the one before.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A boundary is no integer.
        ValueError: There is not one boundary less than schedules, or they are not in order.

    Example:
        >>> from lehr.compat import optax as compat
        >>> warmup = compat.linear_schedule(0, 2, 2, steps=6)
        >>> decay = compat.cosine_decay_schedule(2, 4, steps=6)
        >>> compat.join_schedules([warmup, decay], [2], steps=6).values(6).round(3)
        array([0.   , 1.   , 2.   , 1.707, 1.   , 0.293])

    Reference:
        optax, `join_schedules`.
    """
    schedules, boundaries = list(schedules), [at_least_zero(b, "boundaries") for b in boundaries]
    if len(schedules) != len(boundaries) + 1:
        message = (
            "`boundaries` must be one less than `schedules`, got "
            f"{len(boundaries)} for {len(schedules)} schedules"
        )
        raise ValueError(message)
    if boundaries != sorted(boundaries):
        message = f"`boundaries` must be in order, got {boundaries}"
        raise ValueError(message)
    # The last may begin behind the end: then its phase is none of the run.
    stops = [*boundaries, max(at_least_one(steps, "steps"), *boundaries, 0)]
    lengths = [stop - start for start, stop in pairwise([0, *stops])]
    return phases(
        steps, [(n, f.part(0, n / steps)) for n, f in zip(lengths, schedules, strict=True)]
    )


def linear_schedule(
    init_value: _Ends,
    end_value: _Ends,
    transition_steps: int,
    transition_begin: int = 0,
    *,
    steps: int,
) -> Schedule:
    """Go from `init_value` to `end_value` in a straight line.

    With x = (k - transition_begin) / transition_steps, held to [0, 1], the value is `init_value +
    (end_value - init_value) * x`: its end is reached at step `transition_begin +
    transition_steps` and holds.

    Args:
        init_value: Value up to step `transition_begin`.
        end_value: Value where the transition has ended.
        transition_steps: Length of the transition in steps; 0 is none, `init_value` for ever.
        transition_begin: Step at which it begins, at least 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length is negative, or `steps` below 1.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.linear_schedule(1, 0, 4, 1, steps=7).values(7)
        array([1.  , 1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ])

    Reference:
        optax, `linear_schedule`.
    """
    return polynomial_schedule(
        init_value, end_value, 1, transition_steps, transition_begin, steps=steps
    )


def polynomial_schedule(
    init_value: _Ends,
    end_value: _Ends,
    power: float,
    transition_steps: int,
    transition_begin: int = 0,
    *,
    steps: int,
) -> Schedule:
    """Go from `init_value` to `end_value` along a power of what remains.

    With x = (k - transition_begin) / transition_steps, held to [0, 1], the value is `end_value +
    (init_value - end_value) * (1 - x) ** power`: its end is reached at step `transition_begin +
    transition_steps` and holds.

    Args:
        init_value: Value up to step `transition_begin`.
        end_value: Value where the transition has ended.
        power: Power of the remaining share, above 0.
        transition_steps: Length of the transition in steps; 0 is none, `init_value` for ever.
        transition_begin: Step at which it begins, at least 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length is negative, `steps` below 1, or `power` not above 0.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.polynomial_schedule(1, 0, 2, 4, steps=6).values(6)
        array([1.    , 0.5625, 0.25  , 0.0625, 0.    , 0.    ])

    Reference:
        optax, `polynomial_schedule`.
    """
    begin = at_least_zero(transition_begin, "transition_begin")
    length = at_least_zero(transition_steps, "transition_steps")
    transition = polynomial(init_value, end_value, power)
    still = SchedNo(init_value, init_value)
    if not length:
        return phases(steps, [(steps, still)])
    return phases(steps, [(begin, still), (length, transition)])


def exponential_decay(
    init_value: _Ends,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
    *,
    steps: int,
) -> Schedule:
    """Multiply by `decay_rate` in every `transition_steps` steps.

    With x = max(k - transition_begin, 0) / transition_steps, or the whole part of it, the value is
    `init_value * decay_rate ** x`, held to `end_value`. Without one there is no end: the decay
    goes on to the last step.

    Args:
        init_value: Value up to step `transition_begin`.
        transition_steps: Steps in which the value is multiplied once, at least 1.
        decay_rate: The factor, above 0.
        transition_begin: Step at which the decay begins, at least 0.
        staircase: Whether it is multiplied at once, at the end of `transition_steps` steps.
        end_value: The smallest value if `decay_rate` is below 1, the largest otherwise.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length or `decay_rate` is too small.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.exponential_decay(8, 2, 0.25, end_value=1, steps=5).values(5)
        array([8., 4., 2., 1., 1.])
        >>> compat.exponential_decay(8, 2, 0.25, 1, staircase=True, steps=5).values(5)
        array([8., 8., 8., 2., 2.])

    Reference:
        optax, `exponential_decay`.
    """
    steps = at_least_one(steps, "steps")
    length = at_least_one(transition_steps, "transition_steps")
    begin = at_least_zero(transition_begin, "transition_begin")
    rate = positive(decay_rate, "decay_rate")
    if staircase:
        milestones = range(begin + length, steps, length)
        decay: Schedule = multistep(1, [step / steps for step in milestones], rate)
    else:
        still = SchedNo(1, 1)
        decay = phases(steps, [(begin, still), (steps, SchedExp(1, rate).part(0, steps / length))])
    decay *= init_value
    if end_value is None:
        return decay
    return decay.clip(low=end_value) if rate < 1 else decay.clip(high=end_value)


def constant_schedule(value: _Ends, *, steps: int) -> Schedule:
    """Hold a value.

    Args:
        value: The value at every step.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: `steps` is no integer, or `value` no number.
        ValueError: `steps` is below 1.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.constant_schedule(3, steps=2).values(2)
        array([3., 3.])

    Reference:
        optax, `constant_schedule`.
    """
    return phases(steps, [(inf, SchedNo(value, value))])


def piecewise_constant_schedule(
    init_value: _Ends, boundaries_and_scales: Mapping[int, float] | None = None, *, steps: int
) -> Schedule:
    """Multiply by a factor of its own at each of some steps.

    The value at step k is `init_value` times the factors of all boundaries up to k: a boundary is
    the first step with its factor.

    Args:
        init_value: Value before the first boundary.
        boundaries_and_scales: A factor, at least 0, for each step at which it comes in.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A boundary is no integer, or a value no number.
        ValueError: A boundary or a factor is negative, or `steps` below 1.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.piecewise_constant_schedule(8, {1: 0.5, 3: 0.25}, steps=5).values(5)
        array([8., 4., 4., 1., 1.])

    Reference:
        optax, `piecewise_constant_schedule`.
    """
    lengths, levels = _levels(boundaries_and_scales)
    flat = [SchedNo(level, level) for level in levels]
    return phases(steps, list(zip([*lengths, steps], flat, strict=True))) * init_value


def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: _Ends,
    boundaries_and_scales: Mapping[int, float] | None = None,
    *,
    steps: int,
) -> Schedule:
    """Go from value to value, each the one before times a factor, in lines or along cosines.

    At a boundary the value is `init_value` times the factors of all boundaries up to it; the last
    of them holds from its step on.

    Args:
        interpolate_type: "linear" or "cosine", the way between two boundaries.
        init_value: Value at step 0.
        boundaries_and_scales: A factor, at least 0, for each step at which it is reached.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A boundary is no integer, or a value no number.
        ValueError: A boundary or a factor is negative, `steps` is below 1, or there is no such
            `interpolate_type`.

    Example:
        >>> from lehr.compat import optax as compat
        >>> f = compat.piecewise_interpolate_schedule("linear", 8, {2: 0.5, 4: 0}, steps=6)
        >>> f.values(6)
        array([8., 6., 4., 2., 0., 0.])

    Reference:
        optax, `piecewise_interpolate_schedule`.
    """
    shapes = {"linear": SchedLin, "cosine": SchedCos}
    if interpolate_type not in shapes:
        message = f'`interpolate_type` must be "linear" or "cosine", got {interpolate_type!r}'
        raise ValueError(message)
    lengths, levels = _levels(boundaries_and_scales)
    ways = [shapes[interpolate_type](*ends) for ends in pairwise(levels)]
    held = (inf, SchedNo(levels[-1], levels[-1]))
    return phases(steps, [*zip(lengths, ways, strict=True), held]) * init_value


def warmup_constant_schedule(
    init_value: _Ends, peak_value: _Ends, warmup_steps: int, *, steps: int
) -> Schedule:
    """Warm up linearly from `init_value` to `peak_value`, and stay there.

    The peak is reached at step `warmup_steps`. Without a warmup it is at step 0; optax stays at
    `init_value` then, which is often 0.

    Args:
        init_value: Value at step 0.
        peak_value: Value from step `warmup_steps` on.
        warmup_steps: Length of the warmup in steps, at least 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length is negative, or `steps` below 1.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.warmup_constant_schedule(0, 2, 2, steps=4).values(4)
        array([0., 1., 2., 2.])

    Reference:
        optax, `warmup_constant_schedule`.
    """
    warmup = (at_least_zero(warmup_steps, "warmup_steps"), SchedLin(init_value, peak_value))
    return phases(steps, [warmup, (inf, SchedNo(peak_value, peak_value))])


def warmup_exponential_decay_schedule(
    init_value: _Ends,
    peak_value: _Ends,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
    *,
    steps: int,
) -> Schedule:
    """Warm up linearly from `init_value` to `peak_value`, then decay exponentially.

    The peak is at step `warmup_steps`, which is step 0 of the `exponential_decay`.

    Args:
        init_value: Value at step 0.
        peak_value: Value at step `warmup_steps`.
        warmup_steps: Length of the warmup in steps, at least 0.
        transition_steps: Steps in which the value is multiplied once, at least 1.
        decay_rate: The factor, above 0.
        transition_begin: Steps between the warmup and the decay, at least 0.
        staircase: Whether it is multiplied at once, at the end of `transition_steps` steps.
        end_value: The smallest value of the decay if `decay_rate` is below 1, its largest
            otherwise.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: A length is no integer, or a value no number.
        ValueError: A length or `decay_rate` is too small.

    Example:
        >>> from lehr.compat import optax as compat
        >>> compat.warmup_exponential_decay_schedule(0, 8, 2, 1, 0.5, steps=5).values(5)
        array([0., 4., 8., 4., 2.])

    Reference:
        optax, `warmup_exponential_decay_schedule`.
    """
    warmup = (at_least_zero(warmup_steps, "warmup_steps"), SchedLin(init_value, peak_value))
    decay = exponential_decay(
        peak_value,
        transition_steps,
        decay_rate,
        transition_begin,
        staircase,
        end_value,
        steps=steps,
    )
    return phases(steps, [warmup, (steps, decay)])


def _cosine(start: _Ends, end: _Ends, exponent: Any) -> Schedule:
    """Return `end + (start - end) * ((1 + cos(pi pos)) / 2) ** exponent`."""
    halves = 2 * number(exponent, "exponent")
    if halves not in range(1, 2 * MAX_EXPONENT + 1):
        message = (
            f"`exponent` must be a multiple of 0.5 from 0.5 to {MAX_EXPONENT}, as only these are "
            f"products of cosines, got {exponent}"
        )
        raise ValueError(message)
    if exponent == 1:
        return SchedCos(start, end)
    # (1 + cos(pi pos)) / 2 is the square of cos(pi pos / 2): an odd half is one factor of that.
    whole, odd = divmod(int(halves), 2)
    curve = _product([SchedCos(1, 0)] * whole + [SchedCos(1, -1).part(0, 0.5)] * odd)
    return curve * start + (curve * -1 + 1) * end


def _product(factors: list[Schedule]) -> Schedule:
    """Multiply by halves, so that the product nests as little as it can."""
    if len(factors) == 1:
        return factors[0]
    middle = len(factors) // 2
    return _product(factors[:middle]) * _product(factors[middle:])


def _levels(boundaries_and_scales: Mapping[int, float] | None) -> tuple[list[int], list[float]]:
    """Return the lengths between boundaries, and the running products of the factors from 1 on."""
    scales = dict(sorted((boundaries_and_scales or {}).items()))
    for boundary, scale in scales.items():
        at_least_zero(boundary, "boundaries_and_scales")
        if number(scale, f"boundaries_and_scales[{boundary}]") < 0:
            message = f"`boundaries_and_scales[{boundary}]` must be at least 0, got {scale}"
            raise ValueError(message)
    lengths = [stop - start for start, stop in pairwise([0, *scales])]
    return lengths, list(accumulate([1.0, *scales.values()], mul))
