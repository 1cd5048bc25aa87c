"""Saving the state of a training, and going on with one that was cut (rule 24)."""

from __future__ import annotations

import inspect
import os
import re
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import data
from torch.utils.data import DataLoader

from lehr.arguments import integer
from lehr.batches import is_map_style, keeps_state, loader_state
from lehr.learner.callback import Callback
from lehr.learner.distributed import whole
from lehr.learner.files import check_model, read, write
from lehr.learner.loop import planned_batches
from lehr.learner.schedule import sweeping
from lehr.rng import RandomState, loader_generators

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lehr.learner.learner import Learner
    from lehr.learner.loop import Loop

_MAGIC, _VERSION = "lehr checkpoint", 1
_METHODS = ("fit", "fit_one_cycle", "fit_flat_cos", "fit_sgdr", "fine_tune")
_NAME = re.compile(r"checkpoint-(\d{8,})\.pt")
_LEFTOVER = re.compile(r"\.checkpoint-\d+\.pt\.(\d+)-\w+\.tmp")
_COUNTS = ("phase", "epoch", "n_iter", "train_iter", "held", "lost", "steps", "frozen")
_KEYS = frozenset({
    *_COUNTS, "lehr", "version", "method", "arguments", "batches", "model", "buffers", "loss_func",
    "grads", "requires_grad", "opt", "callbacks", "random", "epoch_random", "loader", "data",
})  # fmt: skip

# What is each process's own; a file of several has the others' in order, under `others`.
_OWN = ("buffers", "callbacks", "random", "epoch_random", "loader")

# Samplers whose order follows from torch's generators.
_SAMPLERS = (
    data.RandomSampler,
    data.SequentialSampler,
    data.SubsetRandomSampler,
    data.WeightedRandomSampler,
    data.DistributedSampler,
)


class Cut:
    """A place in a training, and its state there.

    Args:
        state: What a checkpoint holds.

    Attributes:
        phase: Which of the fits of its method was running.
        epoch: The epoch that goes on, or begins.
        batches: Batches of this epoch that were trained on, `None` where it has not begun.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self.phase: int = state["phase"]
        self.epoch: int = state["epoch"]
        self.batches: int | None = state["batches"]
        self.taken_up = False

    def begin(self, learn: Loop) -> tuple[int, Cut | None]:
        """Take up a state between two epochs; return the epoch, and the cut if it is inside it."""
        if self.batches is not None:
            return self.epoch, self
        if self.epoch >= learn.n_epoch and (self._state["method"] != "fine_tune" or self.phase):
            warnings.warn("the training that is resumed had ended: nothing is left", stacklevel=6)
        if self._state["loader"] is not None:
            learn.dls.train.load_state_dict(self._state["loader"])
        self._apply(learn)
        learn.epoch = min(self.epoch, learn.n_epoch - 1)
        learn.pct_train = self.epoch / learn.n_epoch
        return self.epoch, None

    def enter(self, learn: Loop) -> tuple[int, Iterator[Any]]:
        """Take up a state inside an epoch; return the batches done, and those that are left."""
        loader, done = learn.dl, self.batches or 0
        random = RandomState.from_state_dict(self._state["epoch_random"])
        random.restore(_generators(learn))
        for callback in learn.cbs:
            if isinstance(callback, CheckpointCallback):
                # The next checkpoint of this epoch begins with the epoch's true beginning.
                callback.epoch_random = random
        iterator: Iterator[Any]
        if self._state["loader"] is None:
            iterator = learn.ranks.batches(loader)
            _skip(iterator, done)
        elif done == learn.steps:
            iterator = iter(())
        else:
            loader.load_state_dict(self._state["loader"])
            iterator = iter(loader)
        self._apply(learn)
        learn.iter = done - 1
        learn.set_done(done)
        return done, iterator

    def _apply(self, learn: Loop) -> None:
        state = self._state
        pairs = learn.ranks.agreed(lambda: self._check(learn))
        # Nothing below refuses.
        self.taken_up = True
        for callback, one in pairs:
            callback.load_state_dict(one)
        learn.train_iter = state["train_iter"]
        learn.held, learn.lost = state["held"], state["lost"]
        learn.model.load_state_dict(state["model"])
        for name, value in state["buffers"].items():
            _put_buffer(learn.model, name, value)
        if isinstance(learn.loss_func, torch.nn.Module):
            learn.loss_func.load_state_dict(state["loss_func"])
        learn.opt.load_state_dict(state["opt"])
        learn.opt.steps = state["steps"]
        learn.opt.frozen_idx = state["frozen"]
        grads = state["grads"] or [None] * len(state["requires_grad"])
        for param, wants, grad in zip(
            learn.opt.all_params(), state["requires_grad"], grads, strict=True
        ):
            param.requires_grad_(wants)
            param.grad = None if grad is None else grad.to(param.device)
        RandomState.from_state_dict(state["random"]).restore(_generators(learn))

    def _check(self, learn: Loop) -> list[tuple[Callback, Any]]:
        """Return each callback that has a state with it, when all of them can take it up."""
        pairs = _pair(learn.cbs, self._state["callbacks"])
        for callback, one in pairs:
            callback.check_state_dict(one)
        known = {id(callback) for callback, _ in pairs}
        for callback in learn.cbs:
            if id(callback) not in known and callback.in_sweep and callback.state_dict():
                message = (
                    f"`{callback.name}` takes part in training and was no part of the one that is "
                    "resumed"
                )
                raise ValueError(message)
        return pairs


def _put_buffer(model: torch.nn.Module, name: str, value: torch.Tensor) -> None:
    """Give a model a buffer; one that it makes as it goes may not be there, or not so large."""
    path, _, name = name.rpartition(".")
    module = model.get_submodule(path)
    now = module._buffers.get(name)  # noqa: SLF001 (the only way to keep it out of the state_dict)
    if now is not None and now.shape == value.shape and now.dtype == value.dtype:
        with torch.no_grad():
            now.copy_(value)
    else:
        device = next((param.device for param in model.parameters()), value.device)
        module.register_buffer(name, value.to(device), persistent=False)


def _generators(learn: Loop) -> list[torch.Generator]:
    return loader_generators(*learn.dls.loaders)


def _skip(iterator: Iterator[Any], count: int) -> None:
    """Pass over batches; a torch loader without workers need not load them for that."""
    index = getattr(iterator, "_next_index", None)
    alone = getattr(iterator, "_num_workers", None) == 0
    for done in range(count):
        try:
            if alone and index is not None:
                index()
            else:
                next(iterator)
        except StopIteration:
            message = (
                f"the checkpoint was made after {count} batches of an epoch, and the training "
                f"loader has {done}"
            )
            raise ValueError(message) from None


def _pair(
    callbacks: Sequence[Callback], states: Sequence[tuple[str, Any]]
) -> list[tuple[Callback, Any]]:
    """Find the callback of each saved state: the same name, the same turn among that name's."""
    left = list(callbacks)
    pairs = []
    for name, state in states:
        found = next((callback for callback in left if callback.name == name), None)
        if found is None:
            message = (
                f"the checkpoint has the state of a callback `{name}`, which the learner has not: "
                "give the callbacks of the fit as `cbs`"
            )
            raise ValueError(message)
        left.remove(found)
        pairs.append((found, state))
    return pairs


def _gather(
    learn: Learner, epoch: int, batches: int | None, epoch_random: RandomState | None
) -> dict[str, Any]:
    """Gather all that a training needs to go on from here.

    Raises:
        TypeError: A callback or metric keeps something that no file of plain values can hold.
    """
    method, arguments = learn._call  # type: ignore[misc]  # noqa: SLF001 (checked before the fit)
    model = learn.model.state_dict()
    every = learn.opt.all_params()
    held = any(param.grad is not None for param in every)
    loss_func = learn.loss_func
    state = {
        "lehr": _MAGIC,
        "version": _VERSION,
        "method": method,
        "arguments": {name: _as_argument(value) for name, value in arguments.items()},
        "phase": learn._phase,  # noqa: SLF001
        "epoch": epoch,
        "batches": batches,
        "n_iter": planned_batches(learn.dls.train, learn.steps),
        "train_iter": learn.train_iter,
        "held": learn.held,
        "lost": learn.lost,
        "steps": learn.opt.steps,
        "model": model,
        # Another process than the main one may have counted other batches.
        "buffers": {
            name: value
            for name, value in learn.model.named_buffers()
            if name not in model or not learn.ranks.main
        },
        "loss_func": loss_func.state_dict() if isinstance(loss_func, torch.nn.Module) else None,
        "grads": [param.grad for param in every] if held else None,
        "requires_grad": [param.requires_grad for param in every],
        "opt": learn.opt.live_state(),
        "frozen": learn.opt.frozen_idx,
        "callbacks": [
            (callback.name, _keepable(state, f"the state of callback `{callback.name}`"))
            for callback in learn.cbs
            if (state := callback.state_dict())
        ],
        "random": RandomState.now(_generators(learn)).state_dict(),
        "epoch_random": None if epoch_random is None else epoch_random.state_dict(),
        "data": _describe(learn.dls.train),
        "loader": _keepable(loader_state(learn.dls.train, batches), "the loader's state"),
    }
    others = learn.ranks.gather({name: state[name] for name in _OWN})[1:]
    return state | ({"others": others} if others else {})


def _keepable(value: Any, what: str) -> Any:
    """Return a state as tensors and plain values, which `weights_only` reads: numpy's converted."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        return {_keepable(key, what): _keepable(item, what) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_keepable(item, what) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if hasattr(value, "tolist") and getattr(getattr(value, "dtype", None), "kind", "") in "biuf":
        return torch.from_numpy(value) if getattr(value, "ndim", 0) else value.item()
    message = f"a checkpoint holds tensors and plain values, got {value!r} in {what}"
    raise TypeError(message)


def _describe(loader: Any) -> dict[str, Any]:
    """Say what a loader is, as far as its order depends on that."""
    loader = whole(loader)
    sampler = getattr(loader, "sampler", None)
    return {
        "kind": type(loader).__name__,
        "batch size": getattr(loader, "batch_size", None),
        "sampler": None if sampler is None else type(sampler).__name__,
    }


def _check_loader(loader: Any) -> None:
    """Refuse a loader whose place in its batches could not be found again."""
    loader = whole(loader)
    if not (is_map_style(loader) or keeps_state(loader)):
        message = (
            f"a training on {type(loader).__name__} cannot be resumed: the training loader must be "
            "a DataLoader of a map-style dataset, a list of batches, or have `state_dict` and "
            "`load_state_dict`"
        )
        raise ValueError(message)
    if getattr(loader, "persistent_workers", False):
        message = (
            "a training with persistent workers cannot be resumed, their state is theirs: make the "
            "training loader with `persistent_workers=False`"
        )
        raise ValueError(message)
    if isinstance(loader, DataLoader) and not hasattr(loader, "state_dict"):
        batch_sampler, sampler = loader.batch_sampler, loader.sampler
        own = [
            one
            for one, known in ((batch_sampler, (data.BatchSampler,)), (sampler, _SAMPLERS))
            if one is not None and type(one) not in known
        ]
        if own and not (own == [sampler] and batch_sampler is None):
            warnings.warn(
                f"{type(own[0]).__name__} is no sampler of torch's: a resumed training has its "
                "order again only if that follows from the generators of Python, numpy and torch "
                "at the beginning of an epoch",
                stacklevel=2,
            )


def _as_argument(value: Any) -> Any:
    """Return an argument of a fit method as numbers, texts, lists and dictionaries."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, slice):
        return {"slice": [_as_argument(value.start), _as_argument(value.stop)]}
    if hasattr(value, "tolist"):
        return value.tolist()
    return float(value) if hasattr(value, "__float__") else [_as_argument(item) for item in value]


def open_cut(
    learn: Learner, path: str | Path, cbs: list[Any]
) -> tuple[str, dict[str, Any], Cut, Path]:
    """Read a checkpoint; return the method to call, with what, where it goes on, and the file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is damaged, or of another training.
    """
    found = learn.ranks.on_main(lambda: _find(learn, path))
    return learn.ranks.agreed(lambda: _open(learn, found, cbs))


def _find(learn: Learner, given: str | Path) -> list[Path]:
    """Return the checkpoint at a path, or those in a folder, oldest first."""
    path = Path(given)
    if not path.exists():
        # As `folder` of the callback, and as `save` and `load` have it.
        path = learn.path / learn.model_dir / path
    if not path.exists():
        message = f"there is no checkpoint {given}, and none at {path}"
        raise FileNotFoundError(message)
    found = _checkpoints(path) if path.is_dir() else [path]
    if not found:
        message = f"there is no checkpoint in {path}"
        raise FileNotFoundError(message)
    return found


def _open(
    learn: Learner, found: list[Path], cbs: list[Any]
) -> tuple[str, dict[str, Any], Cut, Path]:
    """Read the last of some checkpoints."""
    path = found[-1]
    try:
        state = read(path)
    except ValueError as error:
        if found[:-1]:
            error.add_note(f"the checkpoint before it is {found[-2]}")
        raise
    if not isinstance(state, dict) or state.get("lehr") != _MAGIC:
        message = f"{path} is no checkpoint of a training; `load` reads what `save` wrote"
        raise ValueError(message)
    if state.get("version") != _VERSION:
        message = f"{path} is a checkpoint of version {state.get('version')}, expected {_VERSION}"
        raise ValueError(message)
    others = state.pop("others", [])
    ranks = learn.ranks
    wrong = "its `others` are no states" if not _are_own(others) else ""
    if not wrong and len(others) != ranks.size - 1:
        message = (
            f"{path} is of a training in {_processes(len(others) + 1)}: it goes on in as many, got "
            f"{_processes(ranks.size)}"
        )
        raise ValueError(message)
    if not wrong:
        state |= {} if ranks.main else others[ranks.rank - 1]
        wrong = _malformed(state)
    if wrong:
        message = f"{path} is damaged: {wrong}"
        raise ValueError(message)
    arguments = {
        name: slice(*value["slice"]) if isinstance(value, dict) else value
        for name, value in state["arguments"].items()
    }
    try:
        inspect.signature(getattr(learn, state["method"])).bind(**arguments)
        _check_fits(learn, state, path, cbs)
    except TypeError as error:
        message = f"{path} is damaged: {error}"
        raise ValueError(message) from error
    return state["method"], arguments, Cut(state), path


def _are_own(others: Any) -> bool:
    return isinstance(others, list) and all(
        isinstance(own, dict) and own.keys() == set(_OWN) for own in others
    )


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"


def _malformed(state: dict[str, Any]) -> str:  # noqa: C901, PLR0911 (a list of questions)
    """Say what a checkpoint has of the wrong form; nothing for a sound one."""
    if state.keys() != _KEYS:
        return f"it holds {sorted(map(str, state))}"
    if state["method"] not in _METHODS or not isinstance(state["arguments"], dict):
        return f"it is of a method {state['method']!r}"
    for name in _COUNTS:
        if type(state[name]) is not int or state[name] < 0:
            return f"its `{name}` is {state[name]!r}"
    batches, grads, flags = state["batches"], state["grads"], state["requires_grad"]
    if not (batches is None or (type(batches) is int and batches > 0)):
        return f"its `batches` is {batches!r}"
    if not (isinstance(flags, list) and all(type(flag) is bool for flag in flags)):
        return "its `requires_grad` is no list of flags"
    if not (grads is None or (isinstance(grads, list) and len(grads) == len(flags))):
        return "its `grads` are not as many as its parameters"
    callbacks = state["callbacks"]
    if not (
        isinstance(callbacks, list)
        and all(isinstance(one, tuple) and list(map(type, one)) == [str, dict] for one in callbacks)
    ):
        return "its `callbacks` are no names and states"
    try:
        RandomState.from_state_dict(state["random"])
        if batches is not None:
            RandomState.from_state_dict(state["epoch_random"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"its generators have no state: {error!r}"
    return ""


def _check_fits(learn: Learner, state: dict[str, Any], path: Path, cbs: list[Callback]) -> None:
    """Raise ValueError where a checkpoint is not of this learner with these callbacks."""
    check_model(learn.model, state["model"], path, same_dtypes=True)
    if learn.opt is None:
        learn.create_opt()
    try:
        learn.opt.check_state_dict(state["opt"])
    except ValueError as error:
        message = f"{path} is of another training: {error}"
        raise ValueError(message) from error
    states = list(state["callbacks"])
    names = [name for name, _ in states]
    if state["method"] != "fit" and "param_scheduler" in names:
        # The method brings a scheduler of its own.
        del states[names.index("param_scheduler")]
    _pair([*learn.cbs, *cbs], states)
    _check_loader(learn.dls.train)
    n_iter = planned_batches(learn.dls.train, state["arguments"].get("steps"))
    if n_iter != state["n_iter"]:
        message = (
            f"{path} is of another training: its epochs have {state['n_iter']} batches, those of "
            f"this learner {n_iter}"
        )
        raise ValueError(message)
    for name, ours in _describe(learn.dls.train).items():
        theirs = state["data"].get(name) if isinstance(state["data"], dict) else None
        if ours != theirs:
            message = (
                f"{path} is of another training: the {name} of its loader is {theirs}, not {ours}"
            )
            raise ValueError(message)
    params = len(learn.opt.all_params())
    if len(state["requires_grad"]) != params or state["frozen"] > len(learn.opt):
        message = f"{path} is damaged: its parameters and groups are not those of its optimizer"
        raise ValueError(message)
    if len(_generators(learn)) != len(state["random"]["own"]):
        message = (
            f"{path} is of another training: its loaders drew from "
            f"{len(state['random']['own'])} generators of their own, these draw from "
            f"{len(_generators(learn))}"
        )
        raise ValueError(message)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    found = [path for path in folder.glob("checkpoint-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # asking would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


class CheckpointCallback(Callback):
    """Saves the state of training, so that `Learner.resume` can go on with it after a crash.

    Everything is in one file: model, optimizer, place in the schedule and in the batches, recorder,
    trackers, random generators, what is frozen, gradients that wait for a step. A file is written
    aside, synced and renamed, so a crash leaves the one before. With several processes the main one
    writes a file of all of them.

    Args:
        every_steps: Save after so many training batches of the fit, counted from its first epoch.
        every_epochs: Save after so many epochs. Without either: after every epoch.
        keep: Number of newest checkpoints to keep, at least 1; `None` for all.
        folder: Where they go: a path, within `path / model_dir` unless absolute.
        overwrite: Whether to begin a new training where checkpoints of another one are, which are
            then deleted. Otherwise that is an error, before training: resume it, or choose another
            folder.

    Raises:
        TypeError: A number is no integer.
        ValueError: It is below 1; or, when a fit begins, the training loader's place could not be
            found again, or checkpoints of another training are in the folder.

    Example:
        >>> import tempfile
        >>> from lehr.testing import synth_learner
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     learn = synth_learner(path=folder)
        ...     with learn.no_logging():
        ...         learn.fit(3, cbs=CheckpointCallback(every_steps=10, keep=2))
        ...     [path.name for path in sorted((learn.path / "models" / "checkpoints").iterdir())]
        ['checkpoint-00000002.pt', 'checkpoint-00000003.pt']
    """

    order = float("inf")
    in_sweep = False
    run_valid = False

    def __init__(
        self,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        keep: int | None = 2,
        folder: str | Path = "checkpoints",
        overwrite: bool = False,
    ) -> None:
        for name, value in (
            ("every_steps", every_steps),
            ("every_epochs", every_epochs),
            ("keep", keep),
        ):
            if value is not None and integer(value, name) < 1:
                message = f"`{name}` must be at least 1 or None, got {value}"
                raise ValueError(message)
        self.every_steps = every_steps
        self.every_epochs = 1 if every_steps is None and every_epochs is None else every_epochs
        self.keep = keep
        self.folder = Path(folder)
        self.overwrite = overwrite
        # Number of the last checkpoint, and of which learner and folder.
        self._written = 0
        self._owner: tuple[Any, Path] | None = None
        self._old: list[Path] = []
        self._active = False
        self.epoch_random: RandomState | None = None

    def _place(self) -> Path:
        return self.learn.path / self.learn.model_dir / self.folder

    def before_fit(self) -> None:  # noqa: D102
        learn, place = self.learn, self._place()
        self._active = not sweeping(learn) and learn._call is not None  # noqa: SLF001
        if not self._active:
            return
        _check_loader(learn.dls.train)
        owner = (weakref.ref(learn), place)
        goes_on = owner == self._owner
        found = learn.ranks.on_main(lambda: self._begin(place, goes_on=goes_on))
        self._owner = owner
        if goes_on and found and learn._cut is None:  # noqa: SLF001
            # What is there is of the fit before: a crash must not go back to it.
            self._save(learn.start_epoch, None)

    def _begin(self, place: Path, *, goes_on: bool) -> bool:
        """Make a folder ready for a training; return whether it holds checkpoints."""
        found = _checkpoints(place)
        # A folder that cannot be made is better found out now.
        place.mkdir(parents=True, exist_ok=True)
        if not goes_on:
            self._take(place, found)
        for leftover in place.glob(".checkpoint-*.tmp"):
            match = _LEFTOVER.fullmatch(leftover.name)
            if match and not _is_running(int(match[1])):
                leftover.unlink(missing_ok=True)
        return bool(found)

    def _take(self, place: Path, found: list[Path]) -> None:
        """Take a folder for a training."""
        resumed = self.learn._resuming  # noqa: SLF001
        foreign = found and (resumed is None or resumed.parent.resolve() != place.resolve())
        if foreign and not self.overwrite:
            message = (
                f"{place} holds checkpoints of another training: go on with it by "
                "`learn.resume`, give another `folder`, or pass `overwrite=True` to delete them"
            )
            raise ValueError(message)
        self._old = found if foreign else []
        self._written = _number(found[-1]) if found else 0

    def before_train(self) -> None:  # noqa: D102
        if self.every_steps is not None:
            self.epoch_random = RandomState.now(_generators(self.learn))

    def after_batch(self) -> None:  # noqa: D102
        learn = self.learn
        if self.every_steps is not None:
            done = learn.epoch * learn.n_iter + learn.iter + 1
            if done % self.every_steps == 0:
                self._save(learn.epoch, learn.iter + 1)

    def after_epoch(self) -> None:  # noqa: D102
        if self.every_epochs is not None and (self.learn.epoch + 1) % self.every_epochs == 0:
            self._save(self.learn.epoch + 1, None)

    def _save(self, epoch: int, batches: int | None) -> None:
        if not self._active:
            return
        state = _gather(self.learn, epoch, batches, self.epoch_random)
        self.learn.ranks.on_main(lambda: self._write(state))

    def _write(self, state: dict[str, Any]) -> None:
        self._written += 1
        write(self._place() / f"checkpoint-{self._written:08d}.pt", state)
        old, self._old = self._old, []
        kept = [path for path in _checkpoints(self._place()) if path not in old]
        for path in old + kept[: -self.keep if self.keep is not None else 0]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                # No reason to end a training.
                warnings.warn(f"an old checkpoint stays: {error}", stacklevel=2)

    def __repr__(self) -> str:
        every = f"every_steps={self.every_steps}, every_epochs={self.every_epochs}"
        return f"CheckpointCallback({every}, keep={self.keep}, folder={str(self.folder)!r})"
