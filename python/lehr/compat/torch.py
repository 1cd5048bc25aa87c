"""Constructors with the names and arguments of `torch.optim.lr_scheduler`, and a converter.

Each takes `lr`, the rate the optimizer begins with (a number, or one a parameter group), in place
of the optimizer, and `steps=`, the number of steps to span. `values(steps)[k]` is the rate of step
k: what torch has after k calls of `step()`. torch computes most rates from the one before, which
adds up rounding; these are the closed forms.

Reference:
    torch 2.14, `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lehr import (
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    Schedule,
    combine_scheds,
    cyclic,
    multistep,
    polynomial,
)
from lehr._extras import need
from lehr.arguments import at_least_one
from lehr.compat._arguments import at_least_zero, ends, number, positive, share
from lehr.compat._steps import phases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lehr._core import _Ends

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "CyclicLR_momentum",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "OneCycleLR_momentum",
    "PolynomialLR",
    "SequentialLR",
    "StepLR",
    "from_torch",
]


def StepLR(lr: _Ends, step_size: int, gamma: float = 0.1, *, steps: int) -> Schedule:
    """Multiply the rate by `gamma` every `step_size` steps: `lr gamma ** (k // step_size)`.

    Step `step_size` is the first with the second rate.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        step_size: Steps between two factors, at least 1.
        gamma: The factor, at least 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.StepLR(8, 2, gamma=0.5, steps=5).values(5)
        array([8., 8., 4., 4., 2.])

    Reference:
        torch, `StepLR`.
    """
    size = at_least_one(step_size, "step_size")
    return MultiStepLR(lr, range(size, at_least_one(steps, "steps"), size), gamma, steps=steps)


def MultiStepLR(
    lr: _Ends, milestones: Iterable[int], gamma: float = 0.1, *, steps: int
) -> Schedule:
    """Multiply the rate by `gamma` at every milestone, which is the first step with the new rate.

    A milestone that is given twice counts twice.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        milestones: Steps, in any order; those of `steps` or more are not reached.
        gamma: The factor, at least 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.MultiStepLR(8, [1, 3], gamma=0.5, steps=5).values(5)
        array([8., 4., 4., 2., 2.])

    Reference:
        torch, `MultiStepLR`.
    """
    total = at_least_one(steps, "steps")
    reached = [
        step / total
        for step in sorted(at_least_zero(one, "milestones") for one in milestones)
        if step < total
    ]
    schedule: Schedule = multistep(1.0, reached, gamma)
    scaled: Schedule = schedule * ends(lr, "lr")
    return scaled


def ConstantLR(lr: _Ends, factor: float = 1.0 / 3, total_iters: int = 5, *, steps: int) -> Schedule:
    """Multiply the rate by `factor` until step `total_iters`, the first with the rate itself.

    With `total_iters=0` torch keeps the factor for ever, against its own closed form; here it is
    never applied.

    Args:
        lr: The rate: a number, or one per parameter group.
        factor: In [0, 1].
        total_iters: Steps with the factor, at least 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.ConstantLR(8, 0.5, 2, steps=4).values(4)
        array([4., 4., 8., 8.])

    Reference:
        torch, `ConstantLR`.
    """
    low = share(factor, "factor")
    reduced = (at_least_zero(total_iters, "total_iters"), SchedNo(low, low))
    scaled: Schedule = phases(
        steps, [reduced, (at_least_one(steps, "steps"), SchedNo(1, 1))]
    ) * ends(lr, "lr")
    return scaled


def LinearLR(
    lr: _Ends,
    start_factor: float = 1.0 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
    *,
    steps: int,
) -> Schedule:
    """Multiply the rate by a factor that changes linearly until step `total_iters`.

    The end is reached at step `total_iters` and holds.

    Args:
        lr: The rate: a number, or one per parameter group.
        start_factor: Factor at step 0, above 0 and at most 1.
        end_factor: Factor at the end, in [0, 1].
        total_iters: Steps until the end, at least 1.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.LinearLR(8, 0.5, 1, 2, steps=4).values(4)
        array([4., 6., 8., 8.])

    Reference:
        torch, `LinearLR`.
    """
    positive(start_factor, "start_factor")
    line = SchedLin(share(start_factor, "start_factor"), share(end_factor, "end_factor"))
    scaled: Schedule = phases(steps, [(at_least_one(total_iters, "total_iters"), line)]) * ends(
        lr, "lr"
    )
    return scaled


def ExponentialLR(lr: _Ends, gamma: float, *, steps: int) -> Schedule:
    """Multiply the rate by `gamma` every step: `lr gamma ** k`.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        gamma: The factor, above 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.ExponentialLR(8, 0.5, steps=4).values(4)
        array([8., 4., 2., 1.])

    Reference:
        torch, `ExponentialLR`.
    """
    scaled: Schedule = _powers(positive(gamma, "gamma"), steps) * ends(lr, "lr")
    return scaled


def PolynomialLR(lr: _Ends, total_iters: int = 5, power: float = 1.0, *, steps: int) -> Schedule:
    """Decay to 0: `lr (1 - k / total_iters) ** power`.

    0 is reached at step `total_iters` and holds.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        total_iters: Steps until 0, at least 1.
        power: Above 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.PolynomialLR(8, 2, steps=4).values(4)
        array([8., 4., 0., 0.])

    Reference:
        torch, `PolynomialLR`.
    """
    decay = polynomial(1, 0, positive(power, "power"))
    scaled: Schedule = phases(steps, [(at_least_one(total_iters, "total_iters"), decay)]) * ends(
        lr, "lr"
    )
    return scaled


def CosineAnnealingLR(lr: _Ends, T_max: int, eta_min: float = 0.0, *, steps: int) -> Schedule:
    """Go down to `eta_min` along a cosine, and up again, `T_max` steps each way.

    `eta_min + (lr - eta_min) (1 + cos(pi k / T_max)) / 2`: the lowest rate is at step `T_max`.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        T_max: Steps of half a period, at least 1.
        eta_min: The lowest rate.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.CosineAnnealingLR(8, 2, steps=5).values(5).round(9)
        array([8., 4., 0., 4., 8.])

    Reference:
        torch, `CosineAnnealingLR`.
    """
    half, top = at_least_one(T_max, "T_max"), ends(lr, "lr")
    ways = (SchedCos(top, eta_min), SchedCos(eta_min, top))
    count = -(-at_least_one(steps, "steps") // half)
    return phases(steps, [(half, ways[i % 2]) for i in range(count)])


def CosineAnnealingWarmRestarts(
    lr: _Ends, T_0: int, T_mult: int = 1, eta_min: float = 0.0, *, steps: int
) -> Schedule:
    """Go down to `eta_min` along a cosine, again and again, each cycle `T_mult` times as long.

    Cycle i has `T_0 T_mult ** i` steps; `eta_min` itself is not reached, as the step at which it
    would be begins the next cycle.

    Args:
        lr: Rate at the beginning of every cycle: a number, or one per parameter group.
        T_0: Steps of the first cycle, at least 1.
        T_mult: At least 1.
        eta_min: The lowest rate.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.CosineAnnealingWarmRestarts(8, 2, steps=5).values(5)
        array([8., 4., 8., 4., 8.])

    Reference:
        torch, `CosineAnnealingWarmRestarts`; Loshchilov and Hutter, SGDR, 2016.
    """
    length, mult = at_least_one(T_0, "T_0"), at_least_one(T_mult, "T_mult")
    lengths, done, top = [], 0, ends(lr, "lr")
    while done < at_least_one(steps, "steps"):
        lengths.append(length)
        done += length
        length *= mult
    return phases(steps, [(length, SchedCos(top, eta_min)) for length in lengths])


def OneCycleLR(
    max_lr: _Ends,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
    *,
    steps: int | None = None,
) -> Schedule:
    """The rate of torch's 1cycle; for its momentum see `OneCycleLR_momentum`.

    From `max_lr / div_factor` to `max_lr` at step `pct_start total_steps - 1`, which is as a rule
    no whole one, and to `max_lr / div_factor / final_div_factor` at the last step, `total_steps -
    1`; of three phases the second ends at step `2 pct_start total_steps - 2`. torch raises one
    step later; here the end holds. Where torch divides by 0 (`pct_start total_steps` of 1, and
    `pct_start=1`), the phase of no length is left out.

    Args:
        max_lr: The highest rate: a number, or one per parameter group.
        total_steps: Steps of the cycle, at least 1; or else both of the next two.
        epochs: Epochs, at least 1.
        steps_per_epoch: Steps in each, at least 1.
        pct_start: Share of the first phase, in [0, 1].
        anneal_strategy: "cos" or "linear".
        div_factor: The highest rate over the first, above 0.
        final_div_factor: The first rate over the last, above 0.
        three_phase: Whether the second phase mirrors the first.
        steps: Steps to span; those of the cycle by default.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or no length is given.

    Example:
        >>> from lehr.compat import torch as compat
        >>> f = compat.OneCycleLR(1, 5, pct_start=0.4, anneal_strategy="linear", div_factor=2)
        >>> f.values(5).tolist()
        [0.5, 1.0, 0.6666833333333334, 0.33336666666666676, 5e-05]

    Reference:
        torch, `OneCycleLR`; Smith and Topin, Super-Convergence, 2017.
    """
    start = 1 / positive(div_factor, "div_factor")
    end = start / positive(final_div_factor, "final_div_factor")
    total = _cycle_steps(total_steps, epochs, steps_per_epoch)
    levels = (start, 1.0, start, end) if three_phase else (start, 1.0, end)
    scaled: Schedule = _one_cycle(levels, total, pct_start, anneal_strategy, steps) * ends(
        max_lr, "max_lr"
    )
    return scaled


def OneCycleLR_momentum(
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    three_phase: bool = False,
    *,
    steps: int | None = None,
) -> Schedule:
    """The momentum (or `betas[0]`) that torch's 1cycle runs beside the rate of `OneCycleLR`.

    From `max_momentum` to `base_momentum` where the rate is highest, and back.

    Args:
        total_steps: As of `OneCycleLR`, and so all that are not told here.
        epochs: Epochs.
        steps_per_epoch: Steps in each.
        pct_start: Share of the first phase.
        anneal_strategy: "cos" or "linear".
        base_momentum: The lowest momentum.
        max_momentum: The highest.
        three_phase: Whether the second phase mirrors the first.
        steps: Steps to span; those of the cycle by default.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or no length is given.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.OneCycleLR_momentum(5, pct_start=0.4).values(5).round(3)
        array([0.95 , 0.85 , 0.875, 0.925, 0.95 ])

    Reference:
        torch, `OneCycleLR`.
    """
    high, low = number(max_momentum, "max_momentum"), number(base_momentum, "base_momentum")
    total = _cycle_steps(total_steps, epochs, steps_per_epoch)
    levels = (high, low, high, high) if three_phase else (high, low, high)
    return _one_cycle(levels, total, pct_start, anneal_strategy, steps)


def CyclicLR(
    base_lr: _Ends,
    max_lr: _Ends,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    *,
    steps: int,
) -> Schedule:
    """The rate of torch's cyclic schedule; for its momentum see `CyclicLR_momentum`.

    Lines from `base_lr` to `max_lr` in `step_size_up` steps, and back. The height of a wave is
    `max_lr - base_lr`; with "triangular2" half of that in every cycle more, with "exp_range" times
    `gamma ** k`. torch's `scale_fn` is not taken: multiply by a schedule of your own.

    Args:
        base_lr: Where waves begin and end: a number, or one per parameter group.
        max_lr: Their crest, likewise.
        step_size_up: Steps of the rise, above 0.
        step_size_down: Steps of the fall; as many by default.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: Above 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.CyclicLR(0, 8, 2, mode="triangular2", steps=7).values(7)
        array([0., 4., 8., 4., 0., 2., 4.])

    Reference:
        torch, `CyclicLR`; Smith, Cyclical Learning Rates for Training Neural Networks, 2015.
    """
    return _waves(base_lr, max_lr, step_size_up, step_size_down, mode, gamma, steps)


def CyclicLR_momentum(
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    *,
    steps: int,
) -> Schedule:
    """The momentum (or `betas[0]`) that torch's cyclic schedule runs against the rate.

    From `max_momentum` down by the height of a wave, `max_momentum - base_momentum` at first, and
    back.

    Args:
        base_momentum: The lowest momentum: a number, or one per parameter group.
        max_momentum: The highest, likewise.
        step_size_up: As of `CyclicLR`, and so all that follow.
        step_size_down: Steps of the fall.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: Above 0.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.CyclicLR_momentum(0.5, 1, 2, steps=5).values(5)
        array([1.  , 0.75, 0.5 , 0.75, 1.  ])

    Reference:
        torch, `CyclicLR`.
    """
    return _waves(max_momentum, base_momentum, step_size_up, step_size_down, mode, gamma, steps)


def LambdaLR(
    lr: _Ends, lr_lambda: Callable[[int], Any] | Sequence[Callable[[int], Any]], *, steps: int
) -> Schedule:
    """Multiply the rate by a function of the step: `lr lr_lambda(k)`.

    A Python function is called at every step, with an int, and cannot be written to JSON.

    Args:
        lr: The rate: a number, or one per parameter group.
        lr_lambda: The function, or one per parameter group.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: `steps` is below 1.

    Example:
        >>> from lehr.compat import torch as compat
        >>> compat.LambdaLR(8, lambda step: 0.5**step, steps=4).values(4)
        array([8., 4., 2., 1.])

    Reference:
        torch, `LambdaLR`.
    """
    functions: Any = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]
    for function in functions:
        if not callable(function):
            message = f"`lr_lambda` must be a function of the step, got {function!r}"
            raise TypeError(message)
    of_step = _OfStep(tuple(functions), at_least_one(steps, "steps"))
    scaled: Schedule = combine_scheds([1], [of_step]) * ends(lr, "lr")
    return scaled


def SequentialLR(
    schedulers: Sequence[Schedule], milestones: Sequence[int], *, steps: int
) -> Schedule:
    """Run schedules one after the other, each from its own step 0.

    Schedule i + 1 has its first step at `milestones[i]`. In torch a `OneCycleLR` among them changes
    the rates of those before it; here each is what it is alone.

    Args:
        schedulers: Schedules of this module, all made with the same `steps`.
        milestones: The first steps of all but the first; one less, none below the one before.
        steps: Steps to span, at least 1.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The numbers do not fit, or milestones fall.

    Example:
        >>> from lehr.compat import torch as compat
        >>> warmup = compat.LinearLR(8, 0.5, total_iters=2, steps=5)
        >>> compat.SequentialLR(
        ...     [warmup, compat.ExponentialLR(8, 0.5, steps=5)], [2], steps=5
        ... ).values(5)
        array([4., 6., 8., 4., 2.])

    Reference:
        torch, `SequentialLR`.
    """
    total = at_least_one(steps, "steps")
    starts = [0, *(at_least_zero(one, "milestones") for one in milestones)]
    if len(starts) != len(schedulers):
        message = (
            "`milestones` must be one less than `schedulers`, got "
            f"{len(starts) - 1} and {len(schedulers)}"
        )
        raise ValueError(message)
    if any(b < a for a, b in pairwise(starts)):
        message = f"`milestones` must not fall, got {list(milestones)}"
        raise ValueError(message)
    ends = [*starts[1:], max(total, starts[-1])]
    kept = [min(end - start, total) for start, end in zip(starts, ends, strict=True)]
    return phases(
        total,
        [
            (length, schedule.part(0, length / total) if length < total else schedule)
            for length, schedule in zip(kept, schedulers, strict=True)
        ],
    )


def ChainedScheduler(schedulers: Sequence[Schedule], lr: _Ends = 1.0) -> Schedule:
    """Multiply a rate by several schedules at once.

    torch gives every scheduler the rate that the one before it left: that is a product where all
    multiply, and loses what came before where one sets the rate itself (`LambdaLR`, `OneCycleLR`,
    `CyclicLR`, and cosines whose `eta_min` is not 0, or from their `T_max` on).

    Args:
        schedulers: Schedules of this module made with a rate of 1, all with the same `steps`.
        lr: The rate: a number, or one per parameter group.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: There is no schedule.

    Example:
        >>> from lehr.compat import torch as compat
        >>> half = compat.ConstantLR(1, 0.5, 2, steps=4)
        >>> compat.ChainedScheduler([half, compat.ExponentialLR(1, 0.5, steps=4)], 8).values(4)
        array([4., 2., 2., 1.])

    Reference:
        torch, `ChainedScheduler`.
    """
    if not schedulers:
        message = "`schedulers` must hold at least one schedule, got none"
        raise ValueError(message)
    product = schedulers[0]
    for one in schedulers[1:]:
        product = product * one
    scaled: Schedule = product * ends(lr, "lr")
    return scaled


def from_torch(scheduler: Any, steps: int | None = None) -> Schedule | dict[str, Schedule]:
    """Convert a live torch scheduler to the schedule of its rates, from step 0 on.

    To go on where it stands, give `lehr.Scheduler` `start_step=scheduler.last_epoch`.

    Args:
        scheduler: A scheduler of torch: all closed forms, `LambdaLR`, and `SequentialLR` and
            `ChainedScheduler` of them.
        steps: Steps to span; those of a `OneCycleLR` by default.

    Returns:
        The schedule, with one value per parameter group where their rates differ. Of a scheduler
        that cycles momentum too a mapping, as `lehr.Scheduler` takes it: "lr", and "momentum" or
        "betas[0]".

    Raises:
        TypeError: It is no scheduler of torch, or of a kind that has no schedule: the message says
            what to use.
        ValueError: `steps` is needed, or a part cannot be converted.

    Example:
        >>> import lehr, torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=8)
        >>> peer = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        >>> lehr.compat.from_torch(peer, 5).values(5)
        array([8., 8., 4., 4., 2.])
    """
    kinds = need("torch", "from_torch").optim.lr_scheduler
    if type(scheduler) is kinds.OneCycleLR and steps is None:
        steps = scheduler.total_steps
    if not isinstance(scheduler, (kinds.LRScheduler, kinds.ReduceLROnPlateau)):
        message = f"`scheduler` must be a scheduler of torch, got {scheduler!r}"
        raise TypeError(message)
    if steps is None:
        message = f"`steps` must be given for a {type(scheduler).__name__}, which has no end"
        raise ValueError(message)
    total = at_least_one(steps, "steps")
    rate = _convert(scheduler, total)
    if not getattr(scheduler, "cycle_momentum", False):
        return rate
    momentum = "betas[0]" if getattr(scheduler, "use_beta1", False) else "momentum"
    return {"lr": rate, momentum: _momentum(scheduler, total)}


def _convert(scheduler: Any, steps: int) -> Schedule:
    """The schedule of the rates of a torch scheduler."""
    kind = type(scheduler).__name__
    if kind == "SequentialLR":
        parts = [_convert(one, steps) for one in scheduler._schedulers]
        return SequentialLR(parts, scheduler._milestones, steps=steps)
    if kind == "ChainedScheduler":
        parts = [_factor(one, steps) for one in scheduler._schedulers]
        return ChainedScheduler(parts, _rates(scheduler._schedulers[0].base_lrs))
    if kind == "OneCycleLR":
        groups = scheduler.optimizer.param_groups
        tops = _rates([group["max_lr"] for group in groups])
        first = groups[0]
        levels = [first[key] / first["max_lr"] for key in ("initial_lr", "min_lr")]
        factor = _one_cycle_of(scheduler, (levels[0], 1.0, *levels), steps)
        cycle: Schedule = factor * tops
        return cycle
    if kind == "CyclicLR":
        lows, tops = _rates(scheduler.base_lrs), _rates(scheduler.max_lrs)
        return CyclicLR(lows, tops, *_wave_of(scheduler), steps=steps)
    if kind == "LambdaLR":
        return LambdaLR(_rates(scheduler.base_lrs), scheduler.lr_lambdas, steps=steps)
    if kind == "CosineAnnealingLR":
        lr, low = _rates(scheduler.base_lrs), scheduler.eta_min
        return CosineAnnealingLR(lr, scheduler.T_max, low, steps=steps)
    if kind == "CosineAnnealingWarmRestarts":
        lr, low = _rates(scheduler.base_lrs), scheduler.eta_min
        return CosineAnnealingWarmRestarts(lr, scheduler.T_0, scheduler.T_mult, low, steps=steps)
    scaled: Schedule = _factor(scheduler, steps) * _rates(scheduler.base_lrs)
    return scaled


def _factor(scheduler: Any, steps: int) -> Schedule:
    """The factor by which a torch scheduler multiplies whatever rate there is."""
    kind = type(scheduler).__name__
    if kind == "StepLR":
        return StepLR(1, scheduler.step_size, scheduler.gamma, steps=steps)
    if kind == "MultiStepLR":
        return MultiStepLR(1, scheduler.milestones.elements(), scheduler.gamma, steps=steps)
    if kind == "ConstantLR":
        return ConstantLR(1, scheduler.factor, scheduler.total_iters, steps=steps)
    if kind == "LinearLR":
        factors = (scheduler.start_factor, scheduler.end_factor)
        return LinearLR(1, *factors, scheduler.total_iters, steps=steps)
    if kind == "ExponentialLR":
        return ExponentialLR(1, scheduler.gamma, steps=steps)
    if kind == "PolynomialLR":
        return PolynomialLR(1, scheduler.total_iters, scheduler.power, steps=steps)
    if kind == "CosineAnnealingLR" and scheduler.eta_min == 0 and scheduler.T_max >= steps:
        return CosineAnnealingLR(1, scheduler.T_max, steps=steps)
    instead = {
        "ReduceLROnPlateau": "it depends on a metric: use `lehr.Plateau`",
        "MultiplicativeLR": (
            "its rate depends on all steps before: use `LambdaLR` with the product as a function"
        ),
    }
    reason = instead.get(kind, "in a chain it sets the rate itself, whatever the others did")
    if kind not in __all__ and kind not in instead:
        reason = "it is no scheduler of torch's own"
    message = f"`scheduler` cannot be converted, a {kind}: {reason}"
    raise TypeError(message)


def _momentum(scheduler: Any, steps: int) -> Schedule:
    """The momentum of a torch scheduler that cycles it."""
    if type(scheduler).__name__ == "CyclicLR":
        lows, tops = _rates(scheduler.base_momentums), _rates(scheduler.max_momentums)
        return CyclicLR_momentum(lows, tops, *_wave_of(scheduler), steps=steps)
    first = scheduler.optimizer.param_groups[0]
    high, low = first["max_momentum"], first["base_momentum"]
    return _one_cycle_of(scheduler, (high, low, high, high), steps)


def _one_cycle_of(scheduler: Any, levels: tuple[float, ...], steps: int) -> Schedule:
    """A 1cycle with the phases of a torch one."""
    ends = [phase["end_step"] for phase in scheduler._schedule_phases]
    levels = levels if len(ends) == 3 else (*levels[:2], levels[3])
    shape = SchedCos if scheduler._anneal_func_type == "cos" else SchedLin
    return _laid(levels, ends, shape, steps)


def _wave_of(scheduler: Any) -> tuple[Any, ...]:
    """The arguments of `CyclicLR` behind the rates, of a torch one."""
    if scheduler._scale_fn_custom is not None:
        message = (
            "`scheduler` must be a CyclicLR without a `scale_fn` of its own: multiply by a "
            "schedule instead"
        )
        raise TypeError(message)
    up = scheduler.total_size * scheduler.step_ratio
    return up, scheduler.total_size - up, scheduler.mode, scheduler.gamma


def _rates(values: Sequence[Any]) -> Any:
    """One number where all are the same, else one a group."""
    numbers = [float(value) for value in values]
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _cycle_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    if total_steps is not None:
        return at_least_one(total_steps, "total_steps")
    if epochs is None or steps_per_epoch is None:
        message = "`total_steps`, or `epochs` and `steps_per_epoch`, must be given"
        raise ValueError(message)
    return at_least_one(epochs, "epochs") * at_least_one(steps_per_epoch, "steps_per_epoch")


def _one_cycle(
    levels: tuple[float, ...], total: int, pct_start: Any, anneal_strategy: Any, steps: Any
) -> Schedule:
    """Two or three phases between levels, that end where torch's do."""
    if anneal_strategy not in ("cos", "linear"):
        message = f'`anneal_strategy` must be "cos" or "linear", got {anneal_strategy!r}'
        raise ValueError(message)
    first = share(pct_start, "pct_start") * total
    if len(levels) == 4 and first > total / 2:
        message = f"`pct_start` must be at most 0.5 with three phases, got {pct_start}"
        raise ValueError(message)
    ends = [first - 1, 2 * first - 2, total - 1] if len(levels) == 4 else [first - 1, total - 1]
    shape = SchedCos if anneal_strategy == "cos" else SchedLin
    return _laid(levels, ends, shape, total if steps is None else at_least_one(steps, "steps"))


def _laid(levels: tuple[float, ...], ends: list[float], shape: Any, steps: int) -> Schedule:
    """Phases between levels that end at steps, which need be no whole ones."""
    parts: list[tuple[float, Schedule]] = []
    start = 0.0
    for (low, high), end in zip(pairwise(levels), ends, strict=True):
        if end > max(start, 0.0):
            phase = shape(low, high)
            # A phase that began before step 0 is in its midst there.
            kept = phase if start >= 0 else phase.part(-start / (end - start), 1)
            parts.append((end - max(start, 0.0), kept))
        start = end
    if not parts:
        parts.append((steps, SchedNo(levels[-1], levels[-1])))
    return phases(steps, parts)


def _waves(base: Any, top: Any, up: Any, down: Any, mode: Any, gamma: Any, steps: Any) -> Schedule:
    """Lines from `base` to `top` and back."""
    up = positive(up, "step_size_up")
    down = up if down is None else positive(down, "step_size_down")
    total = at_least_one(steps, "steps")
    shape: dict[str, Any] = {"cycles": total / (up + down), "up": up / (up + down)}
    if mode != "exp_range":
        waves: Schedule = cyclic(base, top, mode=mode, **shape)
        return waves
    powers = _powers(positive(gamma, "gamma"), total)
    unit: Schedule = cyclic(0, 1, **shape)
    height = unit * powers
    mixed: Schedule = height * top + (height * -1 + 1) * base
    return mixed


# Beyond this many factors of e a power is cut off, short of where float64 ends.
_MOST = 700.0


def _powers(gamma: float, steps: int) -> Schedule:
    """`gamma ** k`; a power that no float64 holds is held at the last that one does."""
    total = at_least_one(steps, "steps")
    if gamma == 1:
        return SchedNo(1, 1)
    kept = min(total, int(_MOST / abs(math.log(gamma))))
    if kept == 0:
        message = f"`gamma` must be a factor of ordinary size, got {gamma}"
        raise ValueError(message)
    return phases(total, [(kept, SchedExp(1, gamma**kept))])


class _OfStep:
    """Functions of the step as a function of the position, which pickles where they do."""

    def __init__(self, functions: tuple[Callable[[int], Any], ...], steps: int) -> None:
        self.functions = functions
        self.steps = steps

    @property
    def _lehr_groups(self) -> int | None:
        return None if len(self.functions) == 1 else len(self.functions)

    def __call__(self, pos: float) -> Any:
        # The nearest: k / steps times steps may be an ulp off.
        step = round(pos * self.steps)
        values = [float(function(step)) for function in self.functions]
        return values[0] if len(values) == 1 else values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _OfStep):
            return NotImplemented
        return (self.functions, self.steps) == (other.functions, other.steps)

    def __hash__(self) -> int:
        return hash((self.functions, self.steps))

    def __repr__(self) -> str:
        names = [getattr(function, "__name__", repr(function)) for function in self.functions]
        return f"<{', '.join(names)} of {self.steps} steps>"
