"""Arguments that several rooms take, looked at once."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from lehr._extras import need

if TYPE_CHECKING:
    from torch.optim import Optimizer


def integer(value: Any, name: str) -> int:
    """Return an integer argument as an int; a flag is none.

    Raises:
        TypeError: It is none.
    """
    message = f"`{name}` must be an integer, got {value!r}"
    if isinstance(value, bool):
        raise TypeError(message)
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(message) from error


def at_least_one(value: Any, name: str) -> int:
    """Return an argument that is a count.

    Raises:
        TypeError: It is no integer.
        ValueError: It is below 1.
    """
    count = integer(value, name)
    if count < 1:
        message = f"`{name}` must be at least 1, got {value}"
        raise ValueError(message)
    return count


def torch_optimizer(optimizer: Any) -> Optimizer:
    """Return the optimizer itself where a host has wrapped it.

    Raises:
        TypeError: It is none of torch.
    """
    torch = need("torch", "an optimizer")
    inner = optimizer
    while isinstance(getattr(inner, "optimizer", None), torch.optim.Optimizer):
        if inner.optimizer is inner:
            break
        inner = inner.optimizer
    if not isinstance(inner, torch.optim.Optimizer):
        message = f"`optimizer` must be a torch optimizer, got {type(optimizer).__name__}"
        if hasattr(optimizer, "torch"):
            message += ": give its `torch`, or the Learner a `ParamScheduler`"
        raise TypeError(message)
    found: Optimizer = inner
    return found


def optimizers_within(optimizer: Any) -> list[Any]:
    """Return an optimizer with those in its attributes, and in theirs, the outermost first.

    It may be what a host has wrapped one in, and no optimizer itself.
    """
    torch = need("torch", "an optimizer")
    found: dict[int, Any] = {}
    waiting = [optimizer]
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        found[id(one)] = one
        held = [getattr(one, "optimizer", None), *getattr(one, "__dict__", {}).values()]
        for value in [*held]:
            if isinstance(value, (list, tuple, dict)):
                held += value.values() if isinstance(value, dict) else value
        waiting += [value for value in held if isinstance(value, torch.optim.Optimizer)]
    return list(found.values())
