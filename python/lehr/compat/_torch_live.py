"""The schedules of live torch schedulers, read from their attributes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lehr import SchedNo
from lehr.compat import torch as compat
from lehr.compat._torch_curves import laid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lehr import Schedule

# Where a scheduler keeps the arguments of its constructor that follow the rate.
ATTRIBUTES = {
    "StepLR": ("step_size", "gamma"),
    "MultiStepLR": ("milestones", "gamma"),
    "ConstantLR": ("factor", "total_iters"),
    "LinearLR": ("start_factor", "end_factor", "total_iters"),
    "ExponentialLR": ("gamma",),
    "PolynomialLR": ("total_iters", "power"),
    "CosineAnnealingLR": ("T_max", "eta_min"),
    "CosineAnnealingWarmRestarts": ("T_0", "T_mult", "eta_min"),
}
# Those that multiply whatever rate there is.
FACTORS = (*list(ATTRIBUTES)[:6], "ChainedScheduler")
INSTEAD = {
    "ReduceLROnPlateau": "it depends on a metric: use `lehr.Plateau`",
    "MultiplicativeLR": (
        "its rate depends on all steps before: use `LambdaLR` with the product as a function"
    ),
}


def length(scheduler: Any) -> int | None:
    """The steps that a torch scheduler has by itself."""
    if _kind(scheduler) == "OneCycleLR":
        total: int = scheduler.total_steps
        return total
    if _kind(scheduler) == "SequentialLR":
        last = length(scheduler._schedulers[-1])
        return None if last is None else last + int(scheduler._milestones[-1])
    return None


def rates(scheduler: Any, steps: int, lr: Any = None) -> Schedule:
    """The schedule of the rates of a torch scheduler, which begins with its own rate or another."""
    kind = _kind(scheduler)
    if kind not in compat.__all__:
        raise _refusal(scheduler, INSTEAD.get(kind, "it is no scheduler of torch's own"))
    if kind == "SequentialLR":
        parts = [rates(one, steps) for one in scheduler._schedulers]
        return compat.SequentialLR(parts, scheduler._milestones, steps=steps)
    if kind == "OneCycleLR":
        return _one_cycle(scheduler, ("initial_lr", "max_lr", "initial_lr", "min_lr"), steps)
    if lr is None:
        lr = _base(scheduler)
    if kind == "ChainedScheduler":
        for one in scheduler._schedulers:
            _check_is_factor(one, steps)
        factors = [rates(one, steps, 1.0) for one in scheduler._schedulers]
        return compat.ChainedScheduler(factors, lr)
    if kind == "CyclicLR":
        return compat.CyclicLR(lr, _together(scheduler.max_lrs), *_wave(scheduler), steps=steps)
    if kind == "LambdaLR":
        functions = scheduler.lr_lambdas
        one_for_all = all(function is functions[0] for function in functions)
        return compat.LambdaLR(lr, functions[0] if one_for_all else functions, steps=steps)
    found = [getattr(scheduler, name) for name in ATTRIBUTES[kind]]
    arguments = [list(x.elements()) if isinstance(x, Counter) else x for x in found]
    schedule: Schedule = getattr(compat, kind)(lr, *arguments, steps=steps)
    return schedule


def momenta(scheduler: Any, steps: int) -> Schedule | None:
    """The schedule of the momentum of a torch scheduler that cycles it."""
    kind = _kind(scheduler)
    if kind == "SequentialLR":
        return _momenta_in_turn(scheduler, steps)
    if not getattr(scheduler, "cycle_momentum", False):
        return None
    if kind == "OneCycleLR":
        high, low = "max_momentum", "base_momentum"
        return _one_cycle(scheduler, (high, low, high, high), steps)
    lows, tops = _together(scheduler.base_momentums), _together(scheduler.max_momentums)
    return compat.CyclicLR_momentum(lows, tops, *_wave(scheduler), steps=steps)


def momentum_name(scheduler: Any) -> str:
    """What a torch scheduler cycles beside the rate, as `lehr.Scheduler` names it."""
    return "betas[0]" if "betas" in scheduler.optimizer.defaults else "momentum"


def _kind(scheduler: Any) -> str:
    """The name of a scheduler of torch's own, else none."""
    kind = type(scheduler)
    return kind.__name__ if kind.__module__ == "torch.optim.lr_scheduler" else ""


def _momenta_in_turn(scheduler: Any, steps: int) -> Schedule | None:
    """The momenta of schedulers one after the other: those that have none leave it as it is."""
    found = [momenta(one, steps) for one in scheduler._schedulers]
    cycled = [one for one in found if one is not None]
    if not cycled:
        return None
    held, start, parts = cycled[0].start, 0, []
    for one, end in zip(found, [*scheduler._milestones, steps], strict=True):
        part = SchedNo(held, held) if one is None else one
        parts.append(part)
        held, start = part(min(max(end - start - 1, 0) / steps, 1.0)), end
    return compat.SequentialLR(parts, scheduler._milestones, steps=steps)


def _check_is_factor(scheduler: Any, steps: int) -> None:
    """Refuse, in a chain, what sets the rate by itself."""
    kind = _kind(scheduler)
    falls = kind == "CosineAnnealingLR" and scheduler.eta_min == 0 and scheduler.T_max >= steps
    if kind not in FACTORS and kind not in INSTEAD and not falls:
        raise _refusal(scheduler, "in a chain it sets the rate itself, whatever the others did")


def _refusal(scheduler: Any, reason: str) -> TypeError:
    return TypeError(f"`scheduler` cannot be converted, a {type(scheduler).__name__}: {reason}")


def _one_cycle(scheduler: Any, names: tuple[str, ...], steps: int) -> Schedule:
    """A 1cycle of a torch one, between levels that it keeps in the groups of the optimizer."""
    groups = scheduler.optimizer.param_groups
    if _base(scheduler) != _together(group["initial_lr"] for group in groups):
        raise _refusal(scheduler, "another one has overwritten its rates in the optimizer")
    last = [phase["end_step"] for phase in scheduler._schedule_phases]
    levels = tuple(_together(group[name] for group in groups) for name in names)
    if len(last) == 2:
        levels = (*levels[:2], levels[3])
    return laid(levels, last, scheduler._anneal_func_type, steps)


def _wave(scheduler: Any) -> tuple[Any, ...]:
    """The arguments of a torch `CyclicLR` that follow the rates."""
    if scheduler._scale_fn_custom is not None:
        raise _refusal(
            scheduler, "it has a `scale_fn` of its own: leave it out, and multiply by a schedule"
        )
    up = scheduler.total_size * scheduler.step_ratio
    return up, scheduler.total_size - up, scheduler.mode, scheduler.gamma


def _base(scheduler: Any) -> Any:
    """The rates that a torch scheduler begins with."""
    while not hasattr(scheduler, "base_lrs"):
        scheduler = scheduler._schedulers[0]
    return _together(scheduler.base_lrs)


def _together(values: Iterable[Any]) -> Any:
    """One number where all are the same, else one a group."""
    numbers = [float(value) for value in values]
    return numbers[0] if len(set(numbers)) == 1 else numbers
