"""Asking suggestion rules about a sweep (rule 19)."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import torch

from lehr import _core
from lehr.suggestion import Suggestion

if TYPE_CHECKING:
    from lehr.sweep import Sweep


# The rules that a name stands for.
RULES: dict[str, Callable[..., Any]] = {
    rule.__name__: rule for rule in (_core.valley, _core.slide, _core.minimum, _core.steep)
}


def as_rules(rules: Any) -> list[Callable[..., Any]] | None:
    """Return suggestion rules as a list; `None` stays `None`.

    Args:
        rules: A function of (lrs, losses, num_it) or the name of one of `RULES`; or several, as
            an iterable, or as a mapping of the names they get in the result.

    Raises:
        TypeError: A rule can not be called.
        ValueError: A name is unknown; the message lists the known ones.
    """
    if rules is None:
        return None
    if isinstance(rules, Mapping):
        return [_named(str(name), _as_rule(rule)) for name, rule in rules.items()]
    alone = callable(rules) or isinstance(rules, str) or not hasattr(rules, "__iter__")
    return [_as_rule(rule) for rule in ([rules] if alone else rules)]


def _as_rule(rule: Any) -> Callable[..., Any]:
    if isinstance(rule, str):
        if rule not in RULES:
            message = f"`suggest_funcs` must name one of {', '.join(RULES)}, got {rule!r}"
            raise ValueError(message)
        return RULES[rule]
    if not callable(rule):
        message = (
            "`suggest_funcs` must hold functions of (lrs, losses, num_it) or names of rules "
            f"({', '.join(RULES)}), got {rule!r}"
        )
        raise TypeError(message)
    function: Callable[..., Any] = rule
    return function


def _named(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    def named(lrs: Any, losses: Any, num_it: int) -> Any:
        return rule(lrs, losses, num_it)

    named.__name__ = name
    return named


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
            return _read(answer, name)
    warnings.warn(f"`{name}` has no suggestion: {reason}", stacklevel=4)
    return Suggestion(float("nan"), None, reason, name)


def _read(answer: Any, name: str) -> Suggestion:
    try:
        lr, (x, y) = answer
        return Suggestion(float(lr), (float(x), float(y)), method=name)
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"`{name}` must return (suggestion, (lr, loss)), three numbers, got {answer!r}"
        raise TypeError(message) from error


def _rule_name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__).strip("<>_")
    return name if name.isidentifier() and not iskeyword(name) else "suggestion"
