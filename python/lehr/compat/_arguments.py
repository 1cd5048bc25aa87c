"""Numbers that the constructors take, looked at once."""

from __future__ import annotations

from typing import Any

from lehr import _core
from lehr.arguments import integer


def ends(value: Any, name: str) -> Any:
    """Return a number, or a list of numbers, one a group."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return number(value, name)
    return _core.group_values(value, max(len(value), 1), name)


def number(value: Any, name: str) -> float:
    """Return a finite number."""
    if not hasattr(value, "__float__"):
        message = f"`{name}` must be a number, got {value!r}"
        raise TypeError(message)
    return _core.group_values(value, 1, name)[0]


def positive(value: Any, name: str) -> float:
    """Return a number that must be above 0."""
    found = number(value, name)
    if found <= 0:
        message = f"`{name}` must be above 0, got {value}"
        raise ValueError(message)
    return found


def share(value: Any, name: str) -> float:
    """Return a number that must be in [0, 1]."""
    found = number(value, name)
    if not 0 <= found <= 1:
        message = f"`{name}` must be in [0, 1], got {value}"
        raise ValueError(message)
    return found


def at_least_zero(value: Any, name: str) -> int:
    """Return a number of steps that may be 0."""
    count = integer(value, name)
    if count < 0:
        message = f"`{name}` must be at least 0, got {value}"
        raise ValueError(message)
    return count


def not_negative(value: Any, name: str) -> float:
    """Return a number of at least 0."""
    found = number(value, name)
    if found < 0:
        message = f"`{name}` must be at least 0, got {value}"
        raise ValueError(message)
    return found
