"""Batches for as long as a sweep lasts, and the place a loader is at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from lehr._extras import need
from lehr.rng import loader_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.utils.data import DataLoader, IterableDataset
else:
    _data = need("torch.utils.data", "the learning-rate finder")
    DataLoader, IterableDataset = _data.DataLoader, _data.IterableDataset

_END = object()

# What loaders and samplers count, and begin otherwise by.
_COUNTS = ("epoch", "iteration", "end_of_dataloader", "remainder")


class Batches:
    """The batches of a loader, from its beginning again when it ends.

    Args:
        loader: Any iterable of batches.

    Raises:
        TypeError: It cannot be iterated over.
    """

    def __init__(self, loader: Any) -> None:
        if not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
            message = f"`loader` must be an iterable of batches, got {loader!r}"
            raise TypeError(message)
        self._loader = loader
        self._iterator: Iterator[Any] | None = None
        self._count = 0

    def take(self) -> Any:
        """Return the next batch.

        Raises:
            ValueError: The loader has none, or has ended and cannot begin again.
        """
        # Asked for an iterator again, some begin again, and some have none to give.
        batch = _END if self._iterator is None else next(self._iterator, _END)
        if batch is _END:
            self._iterator = iter(self._loader)
            batch = next(self._iterator, _END)
        if batch is not _END:
            self._count += 1
            return batch
        if self._count == 0:
            message = "`loader` must hold at least one batch, got none"
        else:
            message = (
                f"`loader` ended after {self._count} batches and cannot be iterated over again: "
                "give a list or a DataLoader, or an iterator that does not end"
            )
        raise ValueError(message)

    def close(self) -> None:
        """Let go of the iterator, and of workers it has; one that is the loader itself lives on."""
        iterator, self._iterator = self._iterator, None
        close = None if iterator is self._loader else getattr(iterator, "close", None)
        if close is not None:
            close()


def is_loader(value: Any) -> bool:
    """Whether something says that it is a loader: it is torch's, or has what those are made of."""
    parts = ("sampler", "batch_sampler", "dataset", "loader", "generator")
    return isinstance(value, DataLoader) or (
        hasattr(value, "__iter__") and any(hasattr(value, part) for part in parts)
    )


def keep_loader(loader: Any, hold: Callable[[Any], Callable[[], Any]]) -> Callable[[], None]:
    """Remember where a loader is, its state by `hold`; the result puts it back there."""
    place = hold(loader_state(loader, None))
    fresh = getattr(loader, "_iterator", loader) is None
    counts = [
        partial(vars(part).__setitem__, name, value)
        for part in loader_parts(loader)
        for name, value in getattr(part, "__dict__", {}).items()
        if name in _COUNTS and isinstance(value, int)
    ]

    # Accelerate keeps the loaders that are being iterated over.
    gradients: Any = getattr(loader, "gradient_state", None)
    active = getattr(gradients, "dataloader_references", None)

    def back() -> None:
        for count in counts:
            count()
        if active is not None:
            gradients.dataloader_references = active
        state = place()
        if state is not None:
            loader.load_state_dict(state)
        if fresh:
            # Workers that live on would not begin as the first epoch's.
            loader._iterator = None  # noqa: SLF001 (torch has no other way)

    return back


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
