"""Constructors with the names and arguments of `torch.optim.lr_scheduler`, and a converter.

Each takes `lr`, the rate the optimizer begins with (a number, or one a parameter group), in place
of the optimizer, and `steps=`, the number of steps to span. `values(steps)[k]` is the rate of step
k: what torch has after k calls of `step()`. torch computes most rates from the one before, which
adds up rounding; these are the closed forms.

Reference:
    torch 2.14, `torch.optim.lr_scheduler`.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

from lehr import SchedCos, SchedLin, SchedNo, Schedule, combine_scheds, multistep, polynomial
from lehr._extras import need
from lehr.arguments import at_least_one
from lehr.compat._arguments import at_least_zero, ends, positive, share
from lehr.compat._steps import phases
from lehr.compat._torch_curves import OfStep, cycle_steps, one_cycle, powers, scaled, waves

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

    Returns:
        A schedule of `steps` steps.

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

    Returns:
        A schedule of `steps` steps.

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
    return scaled(schedule, lr)


def ConstantLR(lr: _Ends, factor: float = 1.0 / 3, total_iters: int = 5, *, steps: int) -> Schedule:
    """Multiply the rate by `factor` until step `total_iters`, the first with the rate itself.

    With `total_iters=0` torch keeps the factor for ever, against its own closed form; here it is
    never applied.

    Args:
        lr: The rate: a number, or one per parameter group.
        factor: In [0, 1].
        total_iters: Steps with the factor, at least 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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
    whole = (inf, SchedNo(1, 1))
    return scaled(phases(steps, [reduced, whole]), lr)


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

    Returns:
        A schedule of `steps` steps.

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
    return scaled(phases(steps, [(at_least_one(total_iters, "total_iters"), line)]), lr)


def ExponentialLR(lr: _Ends, gamma: float, *, steps: int) -> Schedule:
    """Multiply the rate by `gamma` every step: `lr gamma ** k`.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        gamma: The factor, above 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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
    return scaled(powers(positive(gamma, "gamma"), steps), lr)


def PolynomialLR(lr: _Ends, total_iters: int = 5, power: float = 1.0, *, steps: int) -> Schedule:
    """Decay to 0: `lr (1 - k / total_iters) ** power`.

    0 is reached at step `total_iters` and holds.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        total_iters: Steps until 0, at least 1.
        power: Above 0.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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
    return scaled(phases(steps, [(at_least_one(total_iters, "total_iters"), decay)]), lr)


def CosineAnnealingLR(lr: _Ends, T_max: int, eta_min: float = 0.0, *, steps: int) -> Schedule:
    """Go down to `eta_min` along a cosine, and up again, `T_max` steps each way.

    `eta_min + (lr - eta_min) (1 + cos(pi k / T_max)) / 2`: the lowest rate is at step `T_max`.

    Args:
        lr: Rate at step 0: a number, or one per parameter group.
        T_max: Steps of half a period, at least 1.
        eta_min: The lowest rate.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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

    Returns:
        A schedule of `steps` steps.

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
    *,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
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
        pct_start: Share of the first phase, in [0, 1]; one that leaves steps for the last.
        anneal_strategy: "cos" or "linear".
        div_factor: The highest rate over the first, above 0.
        final_div_factor: The first rate over the last, above 0.
        three_phase: Whether the second phase mirrors the first.
        steps: Steps to span; those of the cycle by default.

    Returns:
        A schedule of `steps` steps.

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
    total = cycle_steps(total_steps, epochs, steps_per_epoch)
    levels = (start, 1.0, start, end) if three_phase else (start, 1.0, end)
    cycle = one_cycle(levels, total, pct_start, anneal_strategy, steps)
    return scaled(cycle, max_lr, "max_lr")


def OneCycleLR_momentum(
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    *,
    base_momentum: _Ends = 0.85,
    max_momentum: _Ends = 0.95,
    three_phase: bool = False,
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
        base_momentum: The lowest momentum: a number, or one per parameter group.
        max_momentum: The highest, likewise.
        three_phase: Whether the second phase mirrors the first.
        steps: Steps to span; those of the cycle by default.

    Returns:
        A schedule of `steps` steps.

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
    high, low = ends(max_momentum, "max_momentum"), ends(base_momentum, "base_momentum")
    total = cycle_steps(total_steps, epochs, steps_per_epoch)
    levels = (high, low, high, high) if three_phase else (high, low, high)
    return one_cycle(levels, total, pct_start, anneal_strategy, steps)


def CyclicLR(
    base_lr: _Ends,
    max_lr: _Ends,
    step_size_up: float = 2000,
    step_size_down: float | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
    scale_fn: None = None,
    *,
    steps: int,
) -> Schedule:
    """The rate of torch's cyclic schedule; for its momentum see `CyclicLR_momentum`.

    Lines from `base_lr` to `max_lr` in `step_size_up` steps, and back. The height of a wave is
    `max_lr - base_lr`; with "triangular2" half of that in every cycle more, with "exp_range" times
    `gamma ** k`.

    Args:
        base_lr: Where waves begin and end: a number, or one per parameter group.
        max_lr: Their crest, likewise.
        step_size_up: Steps of the rise, above 0.
        step_size_down: Steps of the fall; as many by default.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: Above 0.
        scale_fn: None; for heights of your own, multiply by a schedule.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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
    if scale_fn is not None:
        message = f"`scale_fn` must be None, got {scale_fn!r}: multiply by a schedule instead"
        raise TypeError(message)
    return waves(base_lr, max_lr, step_size_up, step_size_down, mode, gamma, steps)


def CyclicLR_momentum(
    base_momentum: _Ends = 0.8,
    max_momentum: _Ends = 0.9,
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

    Returns:
        A schedule of `steps` steps.

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
    return waves(max_momentum, base_momentum, step_size_up, step_size_down, mode, gamma, steps)


def LambdaLR(
    lr: _Ends, lr_lambda: Callable[[int], Any] | Sequence[Callable[[int], Any]], *, steps: int
) -> Schedule:
    """Multiply the rate by a function of the step: `lr lr_lambda(k)`.

    A Python function is called at every step, with an int, and cannot be written to JSON.

    Args:
        lr: The rate: a number, or one per parameter group.
        lr_lambda: The function, or one per parameter group.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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
    of_step = OfStep(tuple(functions), at_least_one(steps, "steps"))
    return scaled(combine_scheds([1], [of_step]), lr)


def SequentialLR(
    schedulers: Sequence[Schedule], milestones: Sequence[int], *, steps: int
) -> Schedule:
    """Run schedules one after the other, each from its own step 0.

    Schedule i + 1 has its first step at `milestones[i]`. In torch a `OneCycleLR` among them changes
    the rates of those before it, and a `SequentialLR` or `ChainedScheduler` among them begins one
    step ahead, or raises if it is not the first; here each is what it is alone.

    Args:
        schedulers: Schedules of this module, all made with the same `steps`.
        milestones: The first steps of all but the first; one less, none below the one before.
        steps: Steps to span, at least 1.

    Returns:
        A schedule of `steps` steps.

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

    Returns:
        A schedule of `steps` steps.

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
    return scaled(product, lr)


def from_torch(scheduler: Any, steps: int | None = None) -> Schedule | dict[str, Schedule]:
    """Convert a live torch scheduler to the schedule of its rates, from step 0 on.

    To go on where it stands, give `lehr.Scheduler` `start_step=scheduler.last_epoch`.

    Args:
        scheduler: A scheduler of torch: all closed forms, `LambdaLR`, and `SequentialLR` and
            `ChainedScheduler` of them, in each other too.
        steps: Steps to span; by default those of a `OneCycleLR`, alone or at the end of a
            `SequentialLR`.

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
    from lehr.compat import _torch_live as live

    kinds = need("torch", "from_torch").optim.lr_scheduler
    if not isinstance(scheduler, (kinds.LRScheduler, kinds.ReduceLROnPlateau)):
        message = f"`scheduler` must be a scheduler of torch, got {scheduler!r}"
        raise TypeError(message)
    if steps is None:
        steps = live.length(scheduler)
    if steps is None:
        message = f"`steps` must be given for a {type(scheduler).__name__}, which has no end"
        raise ValueError(message)
    total = at_least_one(steps, "steps")
    rate = live.rates(scheduler, total)
    momenta = live.momenta(scheduler, total)
    if momenta is None:
        return rate
    return {"lr": rate, live.momentum_name(scheduler): momenta}
