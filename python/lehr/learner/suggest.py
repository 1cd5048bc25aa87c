"""Asking suggestion rules about a sweep (rule 19)."""

from __future__ import annotations

import warnings
from collections import namedtuple
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import torch

from lehr import _core
from lehr.sweep import Suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from lehr.sweep import Sweep


def as_rules(rules: Any) -> list[Callable[..., Any]] | None:
    """Return suggestion rules as a list; one may stand alone, `None` stays `None`."""
    if rules is None:
        return None
    alone = callable(rules) or isinstance(rules, str) or not hasattr(rules, "__iter__")
    functions = [rules] if alone else list(rules)
    for function in functions:
        if not callable(function):
            message = (
                f"`suggest_funcs` must hold functions of (lrs, losses, num_it), got {function!r}"
            )
            raise TypeError(message)
    return functions


def suggested_lrs(names: list[str], lrs: list[float]) -> Any:
    """Return a named tuple of its own type that pickles."""
    make: Any = namedtuple  # noqa: PYI024 (its fields are known only now)
    kind = make("SuggestedLRs", names)
    kind.__reduce__ = lambda self: (suggested_lrs, (names, list(self)))
    return kind(*lrs)


def suggest(
    sweep: Sweep, functions: list[Callable[..., Any]], num_it: int
) -> tuple[list[str], list[Suggestion]]:
    """Ask every rule about the trimmed, finite part of a curve (rule 19)."""
    low, high = _core.trim(len(sweep), num_it)
    losses = torch.tensor(sweep.smoothed[low:high])
    lrs = torch.tensor(sweep.lrs[low:high])
    lrs, losses = lrs[losses.isfinite()], losses[losses.isfinite()]
    names: list[str] = []
    found = []
    for function in functions:
        name = stem = _rule_name(function)
        turn = 1
        while name in names:
            turn += 1
            name = f"{stem}_{turn}"
        names.append(name)
        found.append(_ask(function, names[-1], lrs, losses, num_it))
    return names, found


def _ask(function: Callable[..., Any], name: str, lrs: Any, losses: Any, num_it: int) -> Suggestion:
    if len(lrs) == 0:
        reason = "the sweep has no finite loss"
    else:
        try:
            answer = function(lrs, losses, num_it)
        except (ValueError, IndexError) as error:
            reason = str(error) or type(error).__name__
        else:
            lr, (x, y) = answer
            return Suggestion(float(lr), (float(x), float(y)))
    warnings.warn(f"`{name}` has no suggestion: {reason}", stacklevel=4)
    return Suggestion(float("nan"), None, reason)


def _rule_name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__).strip("<>_")
    return name if name.isidentifier() and not iskeyword(name) else "suggestion"
