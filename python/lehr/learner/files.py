"""Files of tensors and plain values: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import pickle
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, state: Any) -> None:
    """Save a state to a file, which is there whole or, when that fails, as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder written to disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: Path, device: Any = "cpu") -> Any:
    """Load a file without running code from it.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds more than tensors and plain values, or is damaged; or there is no such
            device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        message = f"`device` must be one that is here, got {device!r}"
        raise ValueError(message) from error
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except MemoryError:
            raise
        except Exception as error:
            message = f"{path} is damaged, or no file of tensors and plain values"
            if not isinstance(error, pickle.UnpicklingError):
                # That one goes on about how to load it all the same.
                message += f": {str(error).partition(chr(10))[0] or type(error).__name__}"
            raise ValueError(message) from error


def check_model(
    model: torch.nn.Module,
    state: Any,
    path: Path,
    *,
    strict: bool = True,
    same_dtypes: bool = False,
) -> None:
    """Raise ValueError where a state does not fit a model: torch would change half of it."""
    if not hasattr(state, "items"):
        message = f"{path} holds no model: expected a state_dict, got {type(state).__name__}"
        raise ValueError(message)
    ours = model.state_dict()
    missing, unknown = sorted(ours.keys() - state.keys()), sorted(state.keys() - ours.keys())
    if strict and (missing or unknown):
        message = f"{path} is of another model: it lacks {missing[:5]} and has {unknown[:5]}"
        raise ValueError(message)
    for name in ours.keys() & state.keys():
        shapes = [getattr(one, "shape", None) for one in (ours[name], state[name])]
        if shapes[0] != shapes[1]:
            message = f"{path} is of another model: `{name}` has shape {shapes[1]}, not {shapes[0]}"
            raise ValueError(message)
        dtypes = [getattr(one, "dtype", None) for one in (ours[name], state[name])]
        if same_dtypes and dtypes[0] != dtypes[1]:
            message = f"{path} is of another model: `{name}` is of {dtypes[1]}, not {dtypes[0]}"
            raise ValueError(message)
