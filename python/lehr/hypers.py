"""The one writer of hyper-parameters (rule 12).

Everything in lehr that changes a value in `optimizer.param_groups` goes through `write` or
`keep`. The groups are fetched afresh at every call, because loading an optimizer's state
replaces the list and its dictionaries.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

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


def float_key(name: str) -> str:
    """Return the torch key that holds `name` where a group has it as a float."""
    return _PLAIN.get(name, name)


def locate(group: dict[str, Any], name: str) -> tuple[str, int | None]:
    """Find the torch key, and the index into its tuple, that `name` stands for in a group.

    Raises:
        KeyError: The group has no such hyper-parameter; the message lists those it has.
    """
    for key, index in _KEYS.get(name, ((name, None),)):
        if key in group and key != "params":
            return key, index
    known = sorted(n for n in public_names(group) if is_number(read(group, n)))
    message = f"`{name}` is not a hyper-parameter of this optimizer, which has {known}"
    raise KeyError(message)


def is_number(value: Any) -> bool:
    """Whether a torch group's value can be scheduled: no flag, tuple, text or `None`."""
    return hasattr(value, "__float__") and not isinstance(value, bool)


def has(group: dict[str, Any], name: str) -> bool:
    """Whether a torch group has the hyper-parameter `name`."""
    return any(key in group for key, _ in _KEYS.get(name, ((name, None),)))


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
            (weight_decay), or any key of its groups.
        values: As many as there are torch groups.

    Raises:
        KeyError: A group that gets a value has no such hyper-parameter.
        TypeError: It has one that is no number, such as `betas` or `nesterov`.
    """
    groups = optimizer.param_groups
    pairs = zip(groups, values, strict=True)
    places = [(group, *locate(group, name), v) for group, v in pairs if v is not None]
    for group, key, index, _ in places:
        current = group[key] if index is None else group[key][index]
        if not is_number(current):
            message = f"`{name}` is {current!r} in this optimizer, which is no number to schedule"
            raise TypeError(message)
    for group, key, index, value in places:
        current = group[key]
        if index is None:
            group[key] = _replace(current, value)
        else:
            changed = list(current)
            changed[index] = _replace(current[index], value)
            group[key] = type(current)(changed)


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
    keys = [(name, float_key(name)) for name in names]

    def write_floats(*values: Any) -> None:
        groups = optimizer.param_groups
        for (name, key), value in zip(keys, values, strict=True):
            plain = type(value) is float and isfinite(value)
            for group in groups:
                if type(group.get(key)) is not float:
                    plain = False
            if plain:
                for group in groups:
                    group[key] = value
            else:
                otherwise(name, value)

    return write_floats


def _replace(current: Any, value: float) -> Any:
    if hasattr(current, "fill_"):
        current.fill_(value)
        return current
    return float(value)


def separate(optimizer: Optimizer) -> None:
    """Give each group tensors of its own: torch takes the one it was given, into all of them.

    Training fills them in place, which must not change what the caller has.
    """
    for group in optimizer.param_groups:
        for key, value in group.items():
            if key != "params":
                group[key] = _own(value)


def _own(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value)(map(_own, value))
    return value.clone() if hasattr(value, "fill_") else value


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
