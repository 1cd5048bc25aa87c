"""Constructors with the names and arguments of the schedules in `transformers.optimization`.

Each takes `lr`, the rate the optimizer begins with (a number, or one a parameter group), in place
of the optimizer, and `steps=`, the number of steps to span: `num_training_steps` where that is
given. `values(steps)[k]` is the rate of step k: what transformers has after k calls of `step()`.
Warmups have their first value at step 0 and the full rate at step `num_warmup_steps`; an end is at
step `num_training_steps`, one step after the last of the training, unless it says otherwise.

Reference:
    transformers 5.24, `transformers.optimization`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lehr import SchedCos, SchedInverseSqrt, SchedLin, SchedNo, SchedPoly, Schedule, polynomial
from lehr.arguments import at_least_one
from lehr.compat._arguments import at_least_zero, ends, not_negative, number, positive
from lehr.compat._steps import phases
from lehr.compat._torch_curves import scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from lehr._core import _Ends

__all__ = [
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup",
    "get_polynomial_decay_schedule_with_warmup",
    "get_scheduler",
    "get_wsd_schedule",
]

# Until here a warmup is linear in all of them but one.
RISE = SchedLin(0, 1)


def get_scheduler(
    name: str,
    lr: _Ends,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: Mapping[str, Any] | None = None,
    *,
    steps: int | None = None,
) -> Schedule:
    """Return the schedule of a name of transformers' `SchedulerType`, as `lr_scheduler_type` takes.

    A constant rate has no use for the two numbers of steps, and a warmup to one and
    "inverse_sqrt" none for `num_training_steps`, except that it is the default of `steps`.
    `scheduler_specific_kwargs` that the schedule does not take are an error; transformers passes
    over those of "constant" and "constant_with_warmup".

    Args:
        name: "linear", "cosine", "cosine_with_restarts", "polynomial", "constant",
            "constant_with_warmup", "inverse_sqrt", "cosine_with_min_lr",
            "cosine_warmup_with_min_lr" or "warmup_stable_decay": a text, or a member of the enum.
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0; needed by all but "constant".
        num_training_steps: Steps of the training, at least 1.
        scheduler_specific_kwargs: More arguments of the schedule's function.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind, or the schedule takes no such.
        ValueError: There is no such name, "reduce_lr_on_plateau" and "greedy" included, which
            depend on a metric; an argument is missing or out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_scheduler("linear", 8, 2, 6).values(6)
        array([0., 4., 8., 6., 4., 2.])

    Reference:
        transformers, `get_scheduler`.
    """
    name = getattr(name, "value", name)
    if name in ("reduce_lr_on_plateau", "greedy"):
        message = (
            f'`name` must be a schedule of the step, and "{name}" depends on a metric: give a '
            "lehr.Scheduler a constant schedule and `plateau=lehr.Plateau(...)`"
        )
        raise ValueError(message)
    if name not in list(_FUNCTIONS):
        message = f"`name` must be one of {', '.join(_FUNCTIONS)}, got {name!r}"
        raise ValueError(message)
    more = {} if scheduler_specific_kwargs is None else scheduler_specific_kwargs
    if not isinstance(more, Mapping):
        message = f"`scheduler_specific_kwargs` must map names to values, got {more!r}"
        raise TypeError(message)
    function, takes = _FUNCTIONS[name]
    both = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    given = {one: both[one] for one in takes}
    # The stable steps may be given in place of those of the training.
    needed = _BOTH[:1] if function is get_wsd_schedule else takes
    for one in needed:
        if given[one] is None:
            message = f'`{one}` must be given for "{name}"'
            raise ValueError(message)
    span = num_training_steps if steps is None and takes != _BOTH else steps
    return function(lr, **given, **more, steps=span)


def get_constant_schedule(lr: _Ends, *, steps: int) -> Schedule:
    """Hold the rate.

    Args:
        lr: The rate: a number, or one per parameter group.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: `steps` is no integer, or `lr` no number.
        ValueError: `steps` is below 1.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_constant_schedule(8, steps=2).values(2)
        array([8., 8.])

    Reference:
        transformers, `get_constant_schedule`.
    """
    return get_constant_schedule_with_warmup(lr, 0, steps=steps)


def get_constant_schedule_with_warmup(lr: _Ends, num_warmup_steps: int, *, steps: int) -> Schedule:
    """Warm up linearly from 0, and stay there: `lr min(k / num_warmup_steps, 1)`.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the first step with the full rate.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_constant_schedule_with_warmup(8, 2, steps=4).values(4)
        array([0., 4., 8., 8.])

    Reference:
        transformers, `get_constant_schedule_with_warmup`.
    """
    total = _steps(steps)
    warmup = at_least_zero(num_warmup_steps, "num_warmup_steps")
    return scaled(phases(total, [(warmup, RISE), (total, SchedNo(1, 1))]), lr)


def get_linear_schedule_with_warmup(
    lr: _Ends, num_warmup_steps: int, num_training_steps: int, *, steps: int | None = None
) -> Schedule:
    """Warm up linearly from 0, then decay linearly to 0.

    `lr k / num_warmup_steps`, then `lr (n - k) / (n - num_warmup_steps)` with n the steps of the
    training. 0 is reached at step n, and holds. A warmup longer than the training goes on to its
    own end.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_linear_schedule_with_warmup(8, 2, 6, steps=8).values(8)
        array([0., 4., 8., 6., 4., 2., 0., 0.])

    Reference:
        Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language
        Understanding", 2018, appendix A.2.
    """
    warmup, length, total = _lengths(num_warmup_steps, num_training_steps, steps)
    curve = [(warmup, RISE), (length, SchedLin(1, 0)), (total, SchedNo(0, 0))]
    return scaled(phases(total, curve), lr)


def get_cosine_schedule_with_warmup(
    lr: _Ends,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    *,
    steps: int | None = None,
) -> Schedule:
    """Warm up linearly from 0, then follow waves of a cosine, by default half a one, to 0.

    Behind the warmup `lr (1 + cos(2 pi num_cycles x)) / 2` with
    `x = (k - num_warmup_steps) / (num_training_steps - num_warmup_steps)`: by default 0 is reached
    at step `num_training_steps`. From there on the wave goes up again, as transformers' does.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        num_cycles: Waves from the warmup to the end of the training, at least 0.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_cosine_schedule_with_warmup(8, 2, 6, steps=8).values(8).round(3)
        array([0.   , 4.   , 8.   , 6.828, 4.   , 1.172, 0.   , 1.172])

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    return get_cosine_with_min_lr_schedule_with_warmup(
        lr, num_warmup_steps, num_training_steps, num_cycles, min_lr_rate=0, steps=steps
    )


def get_cosine_with_hard_restarts_schedule_with_warmup(
    lr: _Ends,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: int = 1,
    *,
    steps: int | None = None,
) -> Schedule:
    """Warm up linearly from 0, then go down to 0 along a cosine, several times.

    Behind the warmup `lr (1 + cos(pi (num_cycles x mod 1))) / 2`, with x as in
    `get_cosine_schedule_with_warmup`. 0 is reached at step `num_training_steps` and holds: the end
    of an earlier cycle is the peak of the next one. transformers rounds the product before it takes
    the remainder, and so with 22 cycles and more misses some restarts: it has 0 in place of the
    full rate there.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        num_cycles: Number of cycles, at least 1.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> f = compat.get_cosine_with_hard_restarts_schedule_with_warmup(8, 2, 6, 2, steps=8)
        >>> f.values(8).round(3)
        array([0., 4., 8., 4., 8., 4., 0., 0.])

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """
    warmup, length, total = _lengths(num_warmup_steps, num_training_steps, steps)
    cosines = SchedCos(1, 0).repeat(at_least_one(num_cycles, "num_cycles"))
    # transformers has one step at the full rate behind a warmup that fills the training.
    curve = [(warmup, RISE), (max(length, 1), cosines), (total, SchedNo(0, 0))]
    return scaled(phases(total, curve), lr)


def get_polynomial_decay_schedule_with_warmup(
    lr: _Ends,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    *,
    steps: int | None = None,
) -> Schedule:
    """Warm up linearly from 0, then decay to `lr_end` along a power of what remains.

    Behind the warmup `lr_end + (lr - lr_end) (1 - x) ** power`, with x as in
    `get_cosine_schedule_with_warmup`. `lr_end` is reached at step `num_training_steps` and holds.
    It is the end of every group; in transformers a group with another rate than the optimizer's
    default ends as much above or below it. Where the warmup fills the training, transformers
    divides by 0.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        lr_end: The last rate, below `lr`.
        power: Power of the remaining share, above 0.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> f = compat.get_polynomial_decay_schedule_with_warmup(8, 2, 6, 0, 2, steps=8)
        >>> f.values(8)
        array([0. , 4. , 8. , 4.5, 2. , 0.5, 0. , 0. ])

    Reference:
        transformers, `get_polynomial_decay_schedule_with_warmup`.
    """
    warmup, length, total = _lengths(num_warmup_steps, num_training_steps, steps)
    rate, end = ends(lr, "lr"), number(lr_end, "lr_end")
    if end >= min(rate if isinstance(rate, list) else [rate]):
        message = f"`lr_end` must be below `lr`, {lr}, got {lr_end}"
        raise ValueError(message)
    curve = [(warmup, SchedLin(0, rate)), (length, polynomial(rate, end, positive(power, "power")))]
    return phases(total, [*curve, (total, SchedNo(end, end))])


def get_inverse_sqrt_schedule(
    lr: _Ends, num_warmup_steps: int, timescale: float | None = None, *, steps: int
) -> Schedule:
    """Warm up linearly from 0, then fall with the square root of the steps.

    Behind the warmup `lr / sqrt(1 + (k - num_warmup_steps) / timescale)`. There is no end: the
    curve goes on to the last step.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        timescale: Steps after which the rate has fallen by sqrt(2), above 0; by default
            `num_warmup_steps`, or 10,000 without a warmup.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> compat.get_inverse_sqrt_schedule(8, 2, 1, steps=6).values(6).round(3)
        array([0.   , 4.   , 8.   , 5.657, 4.619, 4.   ])

    Reference:
        Vaswani et al., "Attention Is All You Need", 2017, section 5.3.
    """
    total = _steps(steps)
    warmup = at_least_zero(num_warmup_steps, "num_warmup_steps")
    scale = positive((warmup or 10_000) if timescale is None else timescale, "timescale")
    rest = max(total - warmup, 1)
    # After three time scales the rate is half of what it was.
    fall = SchedInverseSqrt(1, 0.5).part(0, rest / (3 * scale))
    return scaled(phases(total, [(warmup, RISE), (rest, fall)]), lr)


def get_cosine_with_min_lr_schedule_with_warmup(
    lr: _Ends,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    *,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    steps: int | None = None,
) -> Schedule:
    """Warm up linearly from 0, then follow waves of a cosine that go down to a lowest rate.

    `min_lr + (lr - min_lr) (1 + cos(2 pi num_cycles x)) / 2`, with x as in
    `get_cosine_schedule_with_warmup`: the lowest rate is at step `num_training_steps`, and the wave
    goes up again from there. `min_lr` is that of every group; in transformers a group with another
    rate than the optimizer's default ends as much above or below it.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0: the step with the full rate.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        num_cycles: Waves from the warmup to the end of the training, at least 0.
        min_lr: The lowest rate, at least 0. Either this or `min_lr_rate`.
        min_lr_rate: The lowest rate over `lr`, at least 0.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or both or none of `min_lr` and `min_lr_rate` are
            given.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> f = compat.get_cosine_with_min_lr_schedule_with_warmup(8, 2, 6, min_lr=4, steps=8)
        >>> f.values(8).round(3)
        array([0.   , 4.   , 8.   , 7.414, 6.   , 4.586, 4.   , 4.586])

    Reference:
        transformers, `get_cosine_with_min_lr_schedule_with_warmup`.
    """
    warmup, length, total = _lengths(num_warmup_steps, num_training_steps, steps)
    rate = ends(lr, "lr")
    waves = _waves(rate, _lowest(rate, min_lr, min_lr_rate), num_cycles)
    rest = max(total - warmup, 1)
    curve = [(warmup, SchedLin(0, rate)), (rest, waves(0, rest / max(length, 1)))]
    return phases(total, curve)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    lr: _Ends,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    *,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
    steps: int | None = None,
) -> Schedule:
    """Warm up linearly from above 0, then follow waves of a cosine that go down to a lowest rate.

    All is one step earlier than in `get_cosine_with_min_lr_schedule_with_warmup`: the full rate is
    at step `num_warmup_steps - 1`, the lowest at step `num_training_steps - 1`, the last of the
    training. From there on the wave goes up again.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0.
        num_training_steps: Steps of the training, the warmup counted in, at least 1.
        num_cycles: Waves from the warmup to the end of the training, at least 0.
        min_lr: The lowest rate, at least 0. Either this or `min_lr_rate`.
        min_lr_rate: The lowest rate over `lr`, at least 0.
        warmup_lr_rate: The first rate over `lr`, at least 0; by default 1 / `num_warmup_steps`.
        steps: Steps to span, at least 1; `num_training_steps` by default.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or both or none of `min_lr` and `min_lr_rate` are
            given.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> f = compat.get_cosine_with_min_lr_schedule_with_warmup_lr_rate(8, 2, 6, min_lr=4)
        >>> f.values(6).round(3)
        array([4.   , 8.   , 7.414, 6.   , 4.586, 4.   ])

    Reference:
        transformers, `get_cosine_with_min_lr_schedule_with_warmup_lr_rate`.
    """
    warmup, length, total = _lengths(num_warmup_steps, num_training_steps, steps)
    rate = ends(lr, "lr")
    waves = _waves(rate, _lowest(rate, min_lr, min_lr_rate), num_cycles)
    length, rest = max(length, 1), max(total - warmup, 1)
    first = 1 / max(warmup, 1)
    if warmup_lr_rate is not None:
        first = not_negative(warmup_lr_rate, "warmup_lr_rate")
    # The full rate is at the last step of the warmup, which may be its first.
    rise = (
        SchedLin(first, 1).part(0, warmup / (warmup - 1)) if warmup > 1 else SchedNo(first, first)
    )
    curve = [(warmup, scaled(rise, lr)), (rest, waves(1 / length, (rest + 1) / length))]
    return phases(total, curve)


def get_wsd_schedule(
    lr: _Ends,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    *,
    steps: int | None = None,
) -> Schedule:
    """Warm up, stay, and decay.

    From `min_lr_ratio * lr` to `lr`, reached at step `num_warmup_steps`, and from step
    `num_warmup_steps + num_stable_steps` down again. The lowest rate is reached one step after the
    last of the decay, and holds. With p the share of a phase: the warmup has the factors p,
    `(1 - cos(pi p)) / 2` or `1 - sqrt(1 - p)`, the decay `1 - p`, `(1 + cos(2 pi num_cycles p)) /
    2` or `1 - sqrt(p)`.

    Args:
        lr: The rate: a number, or one per parameter group.
        num_warmup_steps: Steps of the warmup, at least 0.
        num_decay_steps: Steps of the decay, at least 0.
        num_training_steps: Steps of all three. Either this or `num_stable_steps`, which counts if
            both are given.
        num_stable_steps: Steps between warmup and decay, at least 0. Where the rest of the
            training is less than 0, transformers begins in the midst of the decay: here it is an
            error.
        warmup_type: "linear", "cosine" or "1-sqrt".
        decay_type: Likewise.
        min_lr_ratio: The lowest rate over `lr`, at least 0.
        num_cycles: Waves of a cosine decay, at least 0.
        steps: Steps to span, at least 1; by default `num_training_steps`, or the sum of the three.

    Returns:
        A schedule of `steps` steps.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range or missing.

    Example:
        >>> from lehr.compat import transformers as compat
        >>> f = compat.get_wsd_schedule(8, 2, 4, 8, decay_type="linear", steps=10)
        >>> f.values(10)
        array([0., 4., 8., 8., 8., 6., 4., 2., 0., 0.])

    Reference:
        Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training
        Strategies", 2024.
    """
    low = not_negative(min_lr_ratio, "min_lr_ratio")
    warmups = {
        "linear": SchedLin(low, 1),
        "cosine": SchedCos(low, 1),
        "1-sqrt": polynomial(low, 1, 0.5),
    }
    decays = {
        "linear": SchedLin(1, low),
        "cosine": _waves(1, low, num_cycles)(0, 1),
        "1-sqrt": SchedPoly(1, low, 0.5),
    }
    for name, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in list(warmups):
            message = f'`{name}` must be "linear", "cosine" or "1-sqrt", got {kind!r}'
            raise ValueError(message)
    warmup = at_least_zero(num_warmup_steps, "num_warmup_steps")
    decay = at_least_zero(num_decay_steps, "num_decay_steps")
    if num_stable_steps is not None:
        stable = at_least_zero(num_stable_steps, "num_stable_steps")
    elif num_training_steps is None:
        raise ValueError("`num_training_steps` or `num_stable_steps` must be given")
    else:
        stable = at_least_one(num_training_steps, "num_training_steps") - warmup - decay
        if stable < 0:
            message = (
                f"`num_training_steps` must be at least warmup and decay, {warmup + decay}, "
                f"got {num_training_steps}"
            )
            raise ValueError(message)
    total = _steps(steps, num_training_steps or warmup + stable + decay)
    curve = [(warmup, warmups[warmup_type]), (stable, SchedNo(1, 1)), (decay, decays[decay_type])]
    return scaled(phases(total, [*curve, (total, SchedNo(low, low))]), lr)


def _steps(steps: Any, default: Any = None) -> int:
    """The steps to span."""
    if steps is None and default is None:
        raise ValueError("`steps` must be given: nothing else tells how many to span")
    return at_least_one(default if steps is None else steps, "steps")


def _lengths(num_warmup_steps: Any, num_training_steps: Any, steps: Any) -> tuple[int, int, int]:
    """The steps of the warmup, those of the training behind it, and those to span."""
    training = at_least_one(num_training_steps, "num_training_steps")
    warmup = at_least_zero(num_warmup_steps, "num_warmup_steps")
    return warmup, max(training - warmup, 0), _steps(steps, training)


def _lowest(rate: Any, min_lr: Any, min_lr_rate: Any) -> Any:
    """The lowest rate, or one a group."""
    if (min_lr is None) == (min_lr_rate is None):
        message = f"either `min_lr` or `min_lr_rate` must be given, got {min_lr} and {min_lr_rate}"
        raise ValueError(message)
    if min_lr is not None:
        return not_negative(min_lr, "min_lr")
    ratio = not_negative(min_lr_rate, "min_lr_rate")
    return [one * ratio for one in rate] if isinstance(rate, list) else rate * ratio


def _waves(high: Any, low: Any, cycles: Any) -> Callable[[float, float], Schedule]:
    """The part between two shares of a decay, and behind its end, of waves from the top down."""
    halves = 2 * not_negative(cycles, "num_cycles")
    return lambda first, last: SchedCos(high, low).part(halves * first, halves * last)


_BOTH = ("num_warmup_steps", "num_training_steps")
# The function of each name, and which of the two numbers of steps it takes.
_FUNCTIONS: dict[str, tuple[Callable[..., Schedule], tuple[str, ...]]] = {
    "linear": (get_linear_schedule_with_warmup, _BOTH),
    "cosine": (get_cosine_schedule_with_warmup, _BOTH),
    "cosine_with_restarts": (get_cosine_with_hard_restarts_schedule_with_warmup, _BOTH),
    "polynomial": (get_polynomial_decay_schedule_with_warmup, _BOTH),
    "constant": (get_constant_schedule, ()),
    "constant_with_warmup": (get_constant_schedule_with_warmup, _BOTH[:1]),
    "inverse_sqrt": (get_inverse_sqrt_schedule, _BOTH[:1]),
    "cosine_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup, _BOTH),
    "cosine_warmup_with_min_lr": (get_cosine_with_min_lr_schedule_with_warmup_lr_rate, _BOTH),
    "warmup_stable_decay": (get_wsd_schedule, _BOTH),
}
