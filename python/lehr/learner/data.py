"""The loaders of a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from lehr.batch import to_device

if TYPE_CHECKING:
    from collections.abc import Iterable


def default_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def as_device(device: str | torch.device) -> torch.device:
    """Return a device, any "cpu:0" as "cpu": `torch.load` knows no number of a CPU."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "cpu" else device


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
