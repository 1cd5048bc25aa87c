"""Asking rules about a sweep, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from lehr import _core
from lehr.arguments import at_least_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lehr.sweep import Sweep


# The names of the rules.
METHODS: tuple[str, ...] = tuple(_core.METHODS)


class _Fields(NamedTuple):
    lr: float
    point: tuple[float, float] | None
    reason: str
    method: str
    interval: tuple[float, float] | None
    status: str
    snr: float
    others: Mapping[str, float]
    agreement: float


class Suggestion(_Fields):
    """What one rule says about a sweep.

    Equal to another with equal fields, where NaN equals NaN.

    Attributes:
        lr: The suggested value, most often a learning rate; NaN where the rule has nothing to say.
        point: The rate and the smoothed loss at which a plot marks it, or `None`.
        reason: Why there is no suggestion or a weak one, in words; empty otherwise.
        method: The name of the rule.
        interval: The lowest and the highest rate that would do as well, where the rule says so.
        status: "ok", "weak" or "none", where the rule judges its own answer; otherwise empty.
        snr: The signal-to-noise ratio of the curve, where the rule measures it; otherwise NaN.
        others: What other rules suggest, by name, read-only.
        agreement: How far these lie from `lr`, in decades; NaN where there are none.
    """

    __slots__ = ()

    def __new__(  # noqa: D102 (the class says what it takes)
        cls,
        lr: float,
        point: tuple[float, float] | None,
        reason: str = "",
        method: str = "",
        interval: tuple[float, float] | None = None,
        status: str = "",
        snr: float = math.nan,
        others: Mapping[str, float] = MappingProxyType({}),
        agreement: float = math.nan,
    ) -> Self:
        others = MappingProxyType(dict(others))
        return super().__new__(
            cls, lr, point, reason, method, interval, status, snr, others, agreement
        )

    def _key(self) -> tuple[Any, ...]:
        items = frozenset((name, _comparable(lr)) for name, lr in self.others.items())
        return (*map(_comparable, self._replace(others={})), items)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Suggestion) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other if isinstance(other, Suggestion) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._replace(others=dict(self.others)))


def _comparable(value: Any) -> Any:
    """Return a number, a pair or a text so that NaN is equal to NaN."""
    if isinstance(value, tuple):
        return tuple(_comparable(one) for one in value)
    if isinstance(value, Mapping):
        return None
    return "NaN" if value != value else value  # noqa: PLR0124


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
        TypeError: `method` is no name, or `steps` no integer.
        ValueError: `method` is unknown, or `steps` is below 1.

    Example:
        >>> from lehr import Sweep
        >>> sweep = Sweep([1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.5, 1.0, 9.0])
        >>> suggest(sweep, "minimum").lr
        0.001
        >>> suggest(sweep, "lightning").reason
        'it needs two finite losses between the first 10 points and the last'
    """
    if not isinstance(method, str) or method not in METHODS:
        message = f"`method` must be one of {', '.join(METHODS)}, got {method!r}"
        raise (ValueError if isinstance(method, str) else TypeError)(message)
    steps = None if steps is None else at_least_one(steps, "steps")
    robust = method == "robust"
    if robust and sweep.hyper != "lr":
        reason = f"the rule knows learning rates, and this is a sweep of `{sweep.hyper}`"
        return Suggestion(math.nan, None, reason, method, status="none")
    asked = METHODS if robust else (method,)
    diverged = sweep.stop in ("diverged", "non-finite")
    answers = _core.ask(sweep.lrs, sweep.losses, sweep.num_it, asked, steps, diverged)
    (lr, point, reason, interval, status, snr), *rest = answers
    if not robust:
        return Suggestion(lr, point, reason, method)
    others = {name: answer[0] for name, answer in zip(METHODS[1:], rest, strict=True)}
    agreement = _core.decades_apart(lr, list(others.values()))
    return Suggestion(lr, point, reason, method, interval, status, snr, others, agreement)


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
