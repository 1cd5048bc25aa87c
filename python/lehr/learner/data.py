"""The loaders of a training, and moving their batches to a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset

if TYPE_CHECKING:
    from collections.abc import Iterable


def default_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def as_device(device: str | torch.device) -> torch.device:
    """Return a device, any "cpu:0" as "cpu": `torch.load` knows no number of a CPU."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "cpu" else device


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a batch (tuples, lists, dicts, objects with `to`) to `device`."""
    if isinstance(batch, torch.Tensor):
        return batch if batch.device == device else batch.to(device, non_blocking=True)
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, (tuple, list)):
        moved = [to_device(item, device) for item in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else type(batch)(moved)
    if isinstance(batch, dict):
        return {key: to_device(item, device) for key, item in batch.items()}
    return batch


class DataLoaders:
    """The loaders of a training: any iterables of batches.

    A batch may be a tuple or list of the model's inputs and, last, the target; a mapping, which the
    model gets as keywords; or anything else, which it gets whole. Where the target is not the last
    of a tuple, the model returns its own loss (`Learner(loss_func=None)`), or the loss function and
    the metrics get the whole batch as the target.

    Args:
        *loaders: The training loader, and optionally the validation loader and more.
        path: Where files that belong to the data are; becomes the learner's `path`.
        device: Where batches and model go: CUDA when there is one, else the CPU.

    Attributes:
        train: The first loader.
        valid: The second loader, or `None`.

    Raises:
        TypeError: A loader cannot be iterated over, or is a list of loaders.
        ValueError: No loader is given.

    Example:
        >>> import torch
        >>> data = [(torch.zeros(4, 1), torch.zeros(4, 1))] * 3
        >>> len(DataLoaders(data, data).train)
        3
    """

    def __init__(
        self,
        *loaders: Iterable[Any],
        path: str | Path = ".",
        device: str | torch.device | None = None,
    ) -> None:
        if not loaders:
            message = "DataLoaders needs at least a training loader, got none"
            raise ValueError(message)
        for loader in loaders:
            if not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
                message = f"`loaders` must be iterables of batches, got {loader!r}"
                raise TypeError(message)
            if isinstance(loader, (list, tuple)) and any(isinstance(x, DataLoader) for x in loader):
                message = "`loaders` must be given one by one, got a list of loaders"
                raise TypeError(message)
        self.loaders = loaders
        self.path = Path(path)
        self.device = default_device() if device is None else as_device(device)

    @property
    def train(self) -> Any:
        """The training loader."""
        return self.loaders[0]

    @property
    def valid(self) -> Any:
        """The validation loader, or `None`."""
        return self.loaders[1] if len(self.loaders) > 1 else None

    def __getitem__(self, index: int) -> Any:
        return self.loaders[index]

    def __len__(self) -> int:
        return len(self.loaders)

    def one_batch(self) -> Any:
        """Return one batch of the training loader, on the device."""
        return to_device(next(iter(self.train)), self.device)


def take_batch(
    batch: Any, device: torch.device, has_loss: bool
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Move a batch to a device and split it; return it, the inputs and the targets (rule 16).

    A tuple or list is its inputs and, last, its target. Anything else goes to the model whole, a
    mapping as its keywords, and to the loss function as the target, if there is one.
    """
    if type(batch) is tuple and len(batch) > 1:
        for item in batch:
            if not isinstance(item, torch.Tensor) or item.device != device:
                break
        else:
            return batch, batch[:-1], batch[-1:]
    batch = to_device(batch, device)
    if isinstance(batch, (tuple, list)):
        items = tuple(batch)
        return (batch, items[:-1], items[-1:]) if len(items) > 1 else (batch, items, ())
    return batch, (batch,), (batch,) if has_loss else ()


def batch_size(batch: Any) -> int:
    """Return the length of the first tensor in a batch, 1 if there is none."""
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else 1
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, (tuple, list)):
        for item in batch:
            if isinstance(item, (torch.Tensor, tuple, list, Mapping)):
                return batch_size(item)
    return 1


def is_map_style(loader: Any) -> bool:
    """Whether a place in a loader is found again by its random state and a count of batches."""
    if isinstance(loader, DataLoader):
        return not isinstance(loader.dataset, IterableDataset)
    return isinstance(loader, Sequence)


def keeps_state(loader: Any) -> bool:
    """Whether a loader has to be asked for its place, and can be."""
    protocol = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
    return protocol and not is_map_style(loader)


def loader_state(loader: Any, batches: int | None) -> Any:
    """Return the place of a loader after so many batches of an epoch, `None` between two.

    Of a loader that need not be asked, `None`.
    """
    # A torch loader begins its epochs afresh: between two, its state is of an iteration that ended.
    begins_afresh = batches is None and isinstance(loader, DataLoader)
    return loader.state_dict() if keeps_state(loader) and not begins_afresh else None
