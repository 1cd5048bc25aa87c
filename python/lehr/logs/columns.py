"""What columns of rates, losses, runs and steps are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lehr.logs.sources import Unread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Globs over names in lower case, the preferred first.
SYNONYMS = {
    "lr": (
        "lr",
        "lrs",
        "learning_rate",
        "learning_rates",
        "learning rate",
        "learningrate",
        "lr-*",
        "lr_[0-9]*",
        "lr/*",
        "train/lr",
        "train/learning_rate",
        "train_lr",
        "train_learning_rate",
        "optimizer/lr",
        "optimizer/learning_rate",
        "*/lr",
        "*/learning_rate",
        "*/lr-*",
        "*/lr_[0-9]*",
    ),
    "loss": (
        "raw_loss",
        "loss",
        "losses",
        "batch_loss",
        "train_loss_step",
        "train/loss_step",
        "train_loss",
        "train/loss",
        "training_loss",
        "loss/train",
        "training/loss",
        "train/raw_loss",
        "*/raw_loss",
        "*/train_loss",
        "*/loss",
    ),
    "run": ("run", "run_id", "run id", "run_name", "run name", "runid", "curve_id", "run_uuid"),
    "step": (
        "step",
        "_step",
        "global_step",
        "train/global_step",
        "iteration",
        "iterations",
        "iter",
        "batch",
        "epoch",
    ),
}

# Of these words the names of no rates and no training losses are made.
_OTHER = {
    "lr": ("momentum", "weight_decay", "decay", "betas"),
    "loss": ("val", "valid", "eval", "test", "epoch"),
    "run": (),
    "step": (),
}

# What callbacks of fastai log beside the rate of each group.
_FASTAI = ("mom_0", "sqr_mom_0", "wd_0", "eps_0", "raw_loss")


@dataclass(frozen=True)
class Options:
    """What the caller of `read` asks for in place of what would be found.

    Attributes:
        lr: Names or globs of columns of rates, in order of preference; none for the synonyms.
        loss: Likewise of losses.
        run: Likewise of runs.
        step: Likewise of steps.
        group: Which of several columns of rates, or lists of them, from 0 on; the last by default.
        smoothing: How the losses were averaged, "none" for not at all; `None` for what the format
            says.
    """

    lr: tuple[str, ...] = ()
    loss: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    step: tuple[str, ...] = ()
    group: int = -1
    smoothing: str | None = None

    def averaged(self, smoothing: str | None) -> str | None:
        """Return how losses were averaged: as the caller says, or else as found."""
        if self.smoothing is None:
            return smoothing
        return None if self.smoothing == "none" else self.smoothing


@dataclass(frozen=True)
class Pair:
    """The columns of a curve.

    Attributes:
        lr: The column of rates.
        loss: The column of losses.
        label: What tells it from others in one table; empty where it is the only one.
        smoothing: How the losses in a column of that name were averaged.
    """

    lr: str
    loss: str
    label: str = ""
    smoothing: str | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        pairs: Of each curve, or of each curve of a run, the columns; at least one.
        run: The column that names the run of a row, if there is one.
        step: The column of steps, if there is one.
        asked: What the caller asks for.
    """

    pairs: tuple[Pair, ...]
    run: str | None
    step: str | None
    asked: Options

    @property
    def numbers(self) -> list[str]:
        """The columns of rates, losses and steps, each once."""
        names = [name for pair in self.pairs for name in (pair.lr, pair.loss)]
        return list(dict.fromkeys([*names, *([self.step] if self.step else [])]))

    @property
    def names(self) -> list[str]:
        """All of these columns, each once."""
        return [*self.numbers, *([self.run] if self.run else [])]


def options(lr: Any, loss: Any, run: Any, step: Any, smoothing: str | None) -> Options:
    """Return the arguments of `read` about columns, checked.

    Raises:
        TypeError: One is neither a name nor several.
    """
    given = {"lr": lr, "loss": loss, "run": run, "step": step}
    names = {name: _names(value, name) for name, value in given.items()}
    group = -1
    if len(names["lr"]) == 1 and (found := re.fullmatch(r"(.*)\[(-?\d+)\]", names["lr"][0])):
        names["lr"] = (found[1],) if found[1] != "lr" else ()
        group = int(found[2])
    return Options(**names, group=group, smoothing=smoothing)


def find(names: Iterable[str], role: str, wanted: Sequence[str] = ()) -> list[str]:
    """Return the columns of a role: all that the first name or glob to match any matches.

    Args:
        names: The columns there are.
        role: "lr", "loss", "run" or "step".
        wanted: Names or globs to look for in place of the synonyms.

    Returns:
        The columns, groups in their order; none where no synonym matches.

    Raises:
        Unread: None of those wanted is there.
    """
    names = list(names)
    for name in wanted:
        if name in names:
            return [name]
        if found := [one for one in names if fnmatchcase(one, name)]:
            return sorted(found, key=_natural)
    if wanted:
        raise Unread(f"has no column {' or '.join(map(repr, wanted))} of `{role}`{has(names)}")
    lower = {name: name.strip().lower() for name in names}
    for pattern in SYNONYMS[role]:
        found = [name for name in names if fnmatchcase(lower[name], pattern)]
        found = [name for name in found if not _other(lower[name], role)]
        if found:
            return sorted(found, key=_natural)
    return []


def choose(names: Iterable[str], asked: Options) -> Columns:
    """Return the columns to read of a table.

    Where a glob matches several columns of losses there is a curve for each. Rates are taken from
    the column in which the star of its glob stands for the same text, else from the last group.

    Args:
        names: The columns there are.
        asked: What the caller asks for.

    Raises:
        Unread: There are no rates or no losses; the message says which columns there are.
    """
    return _chosen(tuple(names), asked)


@lru_cache(maxsize=64)
def _chosen(names: tuple[str, ...], asked: Options) -> Columns:
    lrs = find(names, "lr", asked.lr)
    losses = [name for name in find(names, "loss", asked.loss) if name not in lrs]
    for role, found in (("rates", lrs), ("losses", losses)):
        if not found:
            raise Unread(f"has no column of {role}{has(names)}")
    if not asked.loss:
        losses = losses[:1]
    rates = dict(zip(_stars(lrs, asked.lr), lrs, strict=True))
    stars = _stars(losses, asked.loss)
    pairs = []
    for star, loss in zip(stars, losses, strict=True):
        lr = rates.get(star) if len(losses) > 1 else None
        label = star if len(losses) > 1 else ""
        smoothing = smoothing_of(loss, names)
        pairs.append(Pair(lr or grouped(lrs, asked.group, "columns"), loss, label, smoothing))
    run, step = (find(names, role, getattr(asked, role)) for role in ("run", "step"))
    return Columns(tuple(pairs), run[0] if run else None, step[0] if step else None, asked)


def smoothing_of(loss: str, names: Iterable[str]) -> str | None:
    """Return how the losses of a column were averaged, as the columns beside it tell.

    The callbacks of fastai log its average as `train_loss`, beside `lr_0` and the other hypers of
    each group, and with W&B the loss itself as `raw_loss`.
    """
    tails = {name.rpartition("/")[2] for name in names}
    fastai = "lr_0" in tails and not tails.isdisjoint(_FASTAI)
    return "fastai" if fastai and loss.rpartition("/")[2] == "train_loss" else None


def grouped(groups: Sequence[Any], group: int, what: str) -> Any:
    """Return one of several parameter groups.

    Raises:
        Unread: There are not so many.
    """
    try:
        return groups[group]
    except IndexError:
        raise Unread(f"has no group {group} of rates, only {len(groups)} {what}") from None


def _names(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, (list, tuple)) or not all(isinstance(v, str) for v in several):
        message = f"`{name}` must be the name of a column, a glob, or several, got {value!r}"
        raise TypeError(message)
    return tuple(several)


def _natural(name: str) -> list[Any]:
    # Group 10 comes after group 9.
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _other(name: str, role: str) -> bool:
    return not set(_OTHER[role]).isdisjoint(re.split(r"[^a-z]+", name)) or (
        role == "lr" and name.endswith("weight_decay")
    )


def _stars(names: Sequence[str], globs: Sequence[str]) -> list[str]:
    """Return what the stars of the first glob to match stand for in each name."""
    patterns = ["(.*)".join(re.escape(part) for part in one.split("*")) for one in globs]
    found = []
    for name in names:
        match = next((m for pattern in patterns if (m := re.fullmatch(pattern, name))), None)
        found.append(("".join(match.groups()) if match else "") or name)
    return found


def has(names: Sequence[str]) -> str:
    """Return the end of a message: which columns there are."""
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")  # noqa: PLR2004
    return f": it has {shown}" if names else ": it has none"
