"""Asking rules about a sweep, and what they say."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lehr import _core
from lehr.arguments import at_least_one

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lehr.sweep import Sweep


class Suggestion(NamedTuple):
    """What one rule says about a sweep.

    Attributes:
        lr: The suggested value, most often a learning rate; NaN where the rule has nothing to say.
        point: The rate and the smoothed loss at which a plot marks it, or `None`.
        reason: Why there is no suggestion or a weak one, in words; empty otherwise.
        method: The name of the rule.
        interval: The lowest and the highest rate that would do as well, where the rule says so.
        status: "ok", "weak" or "none", where the rule judges its own answer; otherwise empty.
        snr: The signal-to-noise ratio of the curve, where the rule measures it; otherwise NaN.
        others: What other rules suggest, by name.
        agreement: How far these lie from `lr`, in decades; NaN where there are none.
    """

    lr: float
    point: tuple[float, float] | None
    reason: str = ""
    method: str = ""
    interval: tuple[float, float] | None = None
    status: str = ""
    snr: float = math.nan
    others: Mapping[str, float] = {}
    agreement: float = math.nan


class SuggestionMethod:
    """The suggestion rules as attributes, which are the functions themselves.

    Attributes:
        Valley: `lehr.valley`, two thirds down the longest valley.
        Slide: `lehr.slide`, where an interval sliding down from the end stops.
        Minimum: `lehr.minimum`, a tenth of the rate at the least loss.
        Steep: `lehr.steep`, where the loss falls fastest.

    Example:
        >>> import lehr
        >>> lehr.SuggestionMethod.Valley is lehr.valley
        True
    """

    Valley = staticmethod(_core.valley)
    Slide = staticmethod(_core.slide)
    Minimum = staticmethod(_core.minimum)
    Steep = staticmethod(_core.steep)


def suggest(sweep: Sweep, method: str, steps: int | None = None) -> Suggestion:
    """Ask the rule of a name about a sweep.

    Args:
        sweep: The curve.
        method: One of `METHODS`. "robust", ours, reads the raw losses. "valley", "slide", "minimum"
            and "steep" read what `lr_find` gives them: the smoothed losses without the ends that
            `trim` cuts. "lightning", "torch_lr_finder" and "ignite" read the average that this
            finder would have stored of the losses, and leave out what it leaves out.
        steps: The length of the training to come in steps, at least 1, where the rule heeds it.

    Returns:
        The suggestion; where there is none `lr` is NaN, `point` `None`, and `reason` says why.

    Raises:
        TypeError: `steps` is no integer.
        ValueError: `method` is unknown, or `steps` is below 1.

    Example:
        >>> from lehr import Sweep
        >>> sweep = Sweep([1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.5, 1.0, 9.0])
        >>> suggest(sweep, "minimum").lr
        0.001
        >>> suggest(sweep, "lightning").reason
        'it needs two finite losses between the first 10 points and the last'
    """
    if method not in METHODS:
        message = f"`method` must be one of {', '.join(METHODS)}, got {method!r}"
        raise ValueError(message)
    return METHODS[method](sweep, None if steps is None else at_least_one(steps, "steps"))


def marked(sweep: Sweep, suggestions: Any) -> list[tuple[str, Suggestion]]:
    """Return what a picture of a sweep marks, with names; see `Sweep.plot`."""
    if suggestions is None:
        return list(sweep.suggestions.items())
    if hasattr(suggestions, "items"):
        named = list(suggestions.items())
    else:
        alone = isinstance(suggestions, (str, Suggestion)) or not hasattr(suggestions, "__iter__")
        named = [(None, one) for one in ([suggestions] if alone else suggestions)]
    marks: list[tuple[str, Suggestion]] = []
    for name, given in named:
        one = suggest(sweep, given) if isinstance(given, str) else given
        if not isinstance(one, Suggestion):
            message = f"`suggestions` must hold suggestions or names of rules, got {one!r}"
            raise TypeError(message)
        marks.append((str(name or one.method or f"suggestion {len(marks) + 1}"), one))
    return marks


def trimmed(sweep: Sweep) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates and the smoothed losses that the page's rules read (rule 19)."""
    read = slice(*_core.trim(len(sweep), sweep.num_it))
    lrs, losses = sweep.lrs[read], sweep.smoothed[read]
    finite = np.isfinite(losses)
    return lrs[finite], losses[finite]


def _page(rule: Callable[..., Any], sweep: Sweep, _: int | None) -> Suggestion:
    """Ask a rule of the page."""
    method = rule.__name__
    lrs, losses = trimmed(sweep)
    if not len(lrs):
        return Suggestion(math.nan, None, "the sweep has no finite loss", method)
    try:
        lr, point = rule(lrs, losses, sweep.num_it)
    except ValueError as error:
        return Suggestion(math.nan, None, str(error), method)
    return Suggestion(lr, point, method=method)


def _peer(rule: Callable[..., Any], need: str, sweep: Sweep, _: int | None) -> Suggestion:
    """Ask the rule of another finder; `need` says what a curve must have."""
    method = rule.__name__
    found = rule(sweep.lrs, _core.average(sweep.losses, method)) if len(sweep) else None
    if found is None:
        return Suggestion(math.nan, None, f"it needs {need}", method)
    lr, point = found
    return Suggestion(lr, point, method=method)


def _robust(sweep: Sweep, steps: int | None) -> Suggestion:
    """Ask our own rule, and the others what they say."""
    nothing = Suggestion(math.nan, None, method="robust", status="none")
    if sweep.hyper != "lr":
        reason = f"the rule knows learning rates, and this is a sweep of `{sweep.hyper}`"
        return nothing._replace(reason=reason)
    if not len(sweep):
        return nothing._replace(reason="the sweep has no points")
    try:
        lr, interval, loss, status, reason, snr = _core.robust(sweep.lrs, sweep.losses, steps)
    except ValueError as error:
        return nothing._replace(reason=str(error))
    others = {name: ask(sweep, steps).lr for name, ask in METHODS.items() if name != "robust"}
    found = status != "none"
    return Suggestion(
        lr,
        (lr, loss) if found else None,
        reason,
        "robust",
        interval if found else None,
        status,
        snr,
        others,
        _core.decades_apart(lr, list(others.values())),
    )


# The rules that a name stands for, as functions of a sweep and the length of the training.
METHODS: dict[str, Callable[[Sweep, int | None], Suggestion]] = {
    "robust": _robust,
    **{
        rule.__name__: partial(_page, rule)
        for rule in (_core.valley, _core.slide, _core.minimum, _core.steep)
    },
    "lightning": partial(
        _peer, _core.lightning, "two finite losses between the first 10 points and the last"
    ),
    "torch_lr_finder": partial(
        _peer, _core.torch_lr_finder, "two points between the first 10 and the last 5"
    ),
    "ignite": partial(_peer, _core.ignite, "two points before the one of the least average"),
}
