"""Asking suggestion rules about a sweep (rule 19)."""

from __future__ import annotations

import math
import warnings
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import partial
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import torch

from lehr import suggestion
from lehr.suggestion import METHODS, Suggestion

if TYPE_CHECKING:
    from lehr.sweep import Sweep


def as_rules(rules: Any) -> list[tuple[str, Any]] | None:
    """Return suggestion rules with their names in the result; `None` stays `None`.

    Args:
        rules: A function of (lrs, losses, num_it) or the name of one of `METHODS`; or several, as
            an iterable, or as a mapping of the names they get in the result.

    Raises:
        TypeError: A rule can not be called.
        ValueError: A name is unknown; the message lists the known ones.
    """
    if rules is None:
        return None
    if isinstance(rules, Mapping):
        named = [(str(name), _checked(rule)) for name, rule in rules.items()]
    else:
        alone = callable(rules) or isinstance(rules, str) or not hasattr(rules, "__iter__")
        given = [_checked(rule) for rule in ([rules] if alone else rules)]
        named = [(_rule_name(rule), rule) for rule in given]
    names: list[str] = []
    for stem, _ in named:
        field = name = _as_field(stem)
        turn = 1
        while name in names:
            turn += 1
            name = f"{field}_{turn}"
        names.append(name)
    return [(name, rule) for name, (_, rule) in zip(names, named, strict=True)]


def _checked(rule: Any) -> Any:
    known = ", ".join(METHODS)
    if isinstance(rule, str):
        if rule not in METHODS:
            message = f"`suggest_funcs` must name one of {known}, got {rule!r}"
            raise ValueError(message)
    elif not callable(rule):
        message = (
            "`suggest_funcs` must hold functions of (lrs, losses, num_it) or names of rules "
            f"({known}), got {rule!r}"
        )
        raise TypeError(message)
    return rule


def suggested_lrs(names: list[str], lrs: list[float]) -> Any:
    """Return a named tuple of its own type that pickles."""
    make: Any = namedtuple  # noqa: PYI024 (its fields are known only now)
    kind = make("SuggestedLRs", names)
    kind.__reduce__ = lambda self: (suggested_lrs, (names, list(self)))
    return kind(*lrs)


def suggest(sweep: Sweep, rules: list[tuple[str, Any]]) -> dict[str, Suggestion]:
    """Ask every rule about a curve, by name: a method the whole, a function the trimmed part."""
    # Copies: a rule of the user's may write to what it gets, and the sweep is read-only.
    lrs, losses = (torch.tensor(values) for values in suggestion.trimmed(sweep))
    found = {}
    for name, rule in rules:
        if isinstance(rule, str):
            one = suggestion.suggest(sweep, rule)
        else:
            one = _ask(rule, name, lrs, losses, sweep.num_it)
        if math.isnan(one.lr):
            warnings.warn(f"`{name}` has no suggestion: {one.reason}", stacklevel=3)
        found[name] = one
    return found


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
    return Suggestion(math.nan, None, reason, name)


def _read(answer: Any, name: str) -> Suggestion:
    try:
        lr, (x, y) = answer
        return Suggestion(float(lr), (float(x), float(y)), method=name)
    except (TypeError, ValueError, RuntimeError) as error:
        message = f"`{name}` must return (suggestion, (lr, loss)), three numbers, got {answer!r}"
        raise TypeError(message) from error


def _rule_name(rule: Any) -> str:
    if isinstance(rule, str):
        return rule
    while isinstance(rule, partial):
        rule = rule.func
    return getattr(rule, "__name__", type(rule).__name__)


def _as_field(name: str) -> str:
    name = name.strip("<>_")
    return name if name.isidentifier() and not iskeyword(name) else "suggestion"
