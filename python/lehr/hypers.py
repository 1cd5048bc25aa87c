"""The one writer of hyper-parameters (rule 12), from its Python side.

Everything in lehr that changes a value in `optimizer.param_groups` goes through the compiled
writer, or through `keep`, `separate` and `remember_initial` here. The groups are fetched afresh at
every write, because loading an optimizer's state replaces the list and its dictionaries.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lehr import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer

# Public name -> the torch keys it stands for, the first that a group has.
_KEYS: dict[str, tuple[tuple[str, int | None], ...]] = {
    "mom": (("momentum", None), ("betas", 0)),
    "sqr_mom": (("alpha", None), ("betas", 1)),
    "wd": (("weight_decay", None),),
}

# The first of those keys, where it is no tuple: what a group has as a float is found at once.
_PLAIN = {name: keys[0][0] for name, keys in _KEYS.items()}


# A path into a group: its key, and an index into the tuple it holds.
_PATH = re.compile(r"(\w+)\[(\d+)\]")


@lru_cache
def _places(name: str) -> tuple[tuple[str, int | None], ...]:
    """Return the torch keys, and indices into their tuples, that a name may stand for."""
    if name in _KEYS:
        return _KEYS[name]
    path = _PATH.fullmatch(name)
    return ((path[1], int(path[2])),) if path else ((name, None),)


def float_key(name: str) -> str:
    """Return the torch key that holds `name` where a group has it as a float."""
    return _PLAIN.get(name, name)


def locate(group: dict[str, Any], name: str) -> tuple[str, int | None]:
    """Find the torch key, and the index into its tuple, that `name` stands for in a group.

    Raises:
        KeyError: The group has no such hyper-parameter; the message lists those it has.
    """
    for key, index in _places(name):
        if key in group and key != "params" and _holds(group[key], index):
            return key, index
    known = sorted(n for n in public_names(group) if is_number(read(group, n)))
    message = f"`{name}` is not a hyper-parameter of this optimizer, which has {known}"
    raise KeyError(message)


def _holds(value: Any, index: int | None) -> bool:
    return index is None or (isinstance(value, (tuple, list)) and index < len(value))


def is_number(value: Any) -> bool:
    """Whether a torch group's value can be scheduled: no flag, tuple, text or `None`."""
    return hasattr(value, "__float__") and not isinstance(value, bool)


def has(group: dict[str, Any], name: str) -> bool:
    """Whether a torch group has the hyper-parameter `name`."""
    return any(key in group and _holds(group[key], index) for key, index in _places(name))


def read(group: dict[str, Any], name: str) -> Any:
    """Return the value of `name` in a torch group; tensors as Python numbers."""
    value = group.get(_PLAIN.get(name, name))
    if type(value) is float:
        return value
    key, index = locate(group, name)
    value = group[key] if index is None else group[key][index]
    return value.item() if hasattr(value, "item") else value


def public_names(group: dict[str, Any]) -> list[str]:
    """Return the names under which the values of a torch group are known."""
    taken = {key: name for name, keys in _KEYS.items() for key, index in keys if index is None}
    names = []
    for key in group:
        if key == "betas":
            names += ["mom", "sqr_mom"]
        elif key not in ("params", "param_names"):
            names.append(taken.get(key, key))
    return names


def write(optimizer: Optimizer, name: str, values: Sequence[float | None]) -> None:
    """Set the hyper-parameter `name`, one value per torch group; `None` leaves a group alone.

    Tensors are filled in place, tuples rebuilt, anything else becomes a Python float. Nothing is
    written unless every group has the hyper-parameter.

    Args:
        optimizer: Any torch optimizer.
        name: `lr`, `mom` (momentum or betas[0]), `sqr_mom` (alpha or betas[1]), `wd`
            (weight_decay), any key of its groups, or a path into a tuple such as `betas[0]`.
        values: As many as there are torch groups.

    Raises:
        KeyError: A group that gets a value has no such hyper-parameter.
        TypeError: It has one that is no number, such as `betas` or `nesterov`.
    """
    pairs = zip(optimizer.param_groups, values, strict=True)
    _core.write_hyper(
        name, [(group, *locate(group, name), value) for group, value in pairs if value is not None]
    )


def writer(
    optimizer: Optimizer, names: Sequence[str], otherwise: Callable[[str, Any], None]
) -> Callable[..., None]:
    """Return what writes one value for each of `names`, as `write` does, a little cheaper.

    Args:
        optimizer: Any torch optimizer.
        names: As in `write`.
        otherwise: Called with a name and its value where that is no finite float, or where a
            group holds no float.
    """
    return _core.Writer(optimizer, [(name, float_key(name)) for name in names], otherwise)


def separate(optimizer: Optimizer, *, shared: bool = False) -> None:
    """Give each group tensors of its own: torch takes the one it was given, into all of them.

    Training fills them in place, which must not change what the caller has, nor other groups.

    Args:
        optimizer: Any torch optimizer.
        shared: Whether only tensors are copied that a group before has too.
    """
    seen: set[int] = set()

    def own(value: Any) -> Any:
        if isinstance(value, tuple) and any(hasattr(one, "fill_") for one in value):
            mine = [own(one) for one in value]
            same = all(a is b for a, b in zip(mine, value, strict=True))
            return value if same else type(value)(mine)
        if not hasattr(value, "fill_") or (shared and id(value) not in seen):
            seen.add(id(value))
            return value
        return value.clone()

    for group in optimizer.param_groups:
        for key, value in group.items():
            if key != "params":
                group[key] = own(value)


def keep(optimizer: Optimizer, copy: Callable[[Any], Callable[[], Any]]) -> Callable[[], None]:
    """Remember every hyper-parameter of every group; calling the result puts them back.

    Groups that were added in between are dropped.

    Args:
        optimizer: Any torch optimizer.
        copy: Remembers one value, and returns what gives it back.
    """
    kept = [
        {key: copy(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]

    def restore() -> None:
        del optimizer.param_groups[len(kept) :]
        for group, values in zip(optimizer.param_groups, kept, strict=True):
            for key in group.keys() - values.keys() - {"params"}:
                del group[key]
            for key, value in values.items():
                group[key] = value()

    return restore


def check_number(group: dict[str, Any], name: str, place: tuple[str, int | None]) -> None:
    """Raise TypeError where a group holds no number at a place."""
    key, index = place
    value = group[key] if index is None else group[key][index]
    whole = hasattr(value, "fill_") and not value.is_floating_point()
    if whole or not is_number(value):
        message = f"`{name}` is {value!r} in this optimizer, which is no number to schedule"
        raise TypeError(message)


def holds(group: dict[str, Any], name: str, value: float) -> bool:
    """Whether a group has the value, as far as its type can hold it."""
    key, index = locate(group, name)
    held = group[key] if index is None else group[key][index]
    if hasattr(held, "fill_"):
        return bool((held == held.new_full((), value)).all())
    return bool(held == value)


def remember_initial(optimizer: Optimizer) -> None:
    """Keep each group's rate as `initial_lr`, as torch's schedulers do and containers ask for."""
    for group in optimizer.param_groups:
        if "lr" in group:
            rate = group["lr"]
            group.setdefault("initial_lr", rate.clone() if hasattr(rate, "fill_") else rate)
