"""Training one model in several processes: who has which batches, and how all decide alike."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from inspect import signature
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from lehr.batch import to_device
from lehr.learner.data import DataLoaders, as_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

# What `Learner` asks of an accelerator.
_NEEDED = ("num_processes", "process_index", "device", "distributed_type", "prepare_model")

# Settings that would change what a training is and are lehr's own business, each with the value
# that leaves it alone, and what to do instead.
_SETTINGS = (
    ("mixed_precision", "no", "add the callback `MixedPrecision()`"),
    ("gradient_accumulation_steps", 1, "add the callback `GradientAccumulation()`"),
    ("split_batches", False, "the batch size is that of one process"),
    ("dispatch_batches", None, "every process loads its own batches"),
    ("even_batches", True, "every process trains on as many batches"),
    ("use_stateful_dataloader", False, "`CheckpointCallback` finds the place in the data"),
)

# What a loader is made of besides its samplers, which a share of it replaces.
_KEPT = signature(DataLoader.__init__).parameters.keys() - {
    "self", "dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last",
}  # fmt: skip


class Ranks:
    """The processes that train a model together, each on its share of the batches.

    With one process every method gives back what it is given. With several, each method must be
    called on all of them, as it waits for the others.

    Args:
        accelerator: An `accelerate.Accelerator`; `None` for one process.

    Attributes:
        rank: Index of this process, from 0.
        size: Number of processes.
        main: Whether this process, number 0, writes what is written once.

    Raises:
        TypeError: `accelerator` is none.
        ValueError: It asks for something that lehr does otherwise, or not at all.
    """

    def __init__(self, accelerator: Any = None) -> None:
        self.rank, self.size = 0, 1
        self._accelerator = accelerator
        self._model: Any = None
        self._wrapped: Any = None
        self._flags: list[bool] = []
        if accelerator is not None:
            _check(accelerator)
            self.rank, self.size = accelerator.process_index, accelerator.num_processes
            self._device = as_device(accelerator.device)
        self.main = self.rank == 0

    # Deciding alike.

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in order, their tensors on the CPU."""
        if self.size == 1:
            return [value]
        every: list[Any] = [None] * self.size
        distributed.all_gather_object(every, to_device(value, torch.device("cpu")))
        return every

    def mean(self, value: Any) -> Any:
        """Return the mean of a number over the ranks, the same bits on each; NaN where one is."""
        if self.size == 1:
            return value
        mine = torch.as_tensor(value, dtype=torch.float64, device=self._device)
        mine = mine.detach().reshape(1)
        every = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(every, mine)
        # Of the same numbers in the same order.
        return sum(torch.cat(every).tolist()) / self.size

    def agreed(self, function: Callable[[], T]) -> T:
        """Call a function on every rank and return its result; one error is an error on all."""
        if self.size == 1:
            return function()
        result: Any = None
        error: Exception | None = None
        try:
            result = function()
        except Exception as raised:  # noqa: BLE001 (raised below, when the others know)
            error = raised
        texts = self.gather(error and f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        for rank, text in enumerate(texts):
            if text is not None:
                message = f"process {rank} raised {text}"
                raise RuntimeError(message)
        return result  # type: ignore[no-any-return]

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on the main process alone; return its result, or raise its error."""
        if self.size == 1:
            return function()
        result: Any = None
        answer: list[Any] = [None, None]
        if self.main:
            try:
                result = function()
                # Here, so that the others hear of what cannot be pickled, too.
                answer[0] = pickle.dumps(result)
            except Exception as error:  # noqa: BLE001 (raised below, when the others know)
                answer[1] = _sendable(error)
        distributed.broadcast_object_list(answer, src=0)
        if answer[1] is not None:
            raise answer[1]
        if not self.main:
            result = pickle.loads(answer[0])  # noqa: S301 (our own)
        return result  # type: ignore[no-any-return]

    # The batches.

    def share_all(self, dls: Any) -> Any:
        """Return loaders of this rank's share of each loader, on this rank's device.

        Raises:
            TypeError: A loader is of a kind that cannot be shared out.
            ValueError: The loaders are for another kind of device.
        """
        if self.size == 1:
            return dls
        kind = self._device.type
        if dls.device.type != kind:
            message = f"`dls` must be for {kind}, as the accelerator is, got {dls.device}"
            raise ValueError(message)
        shares = [self.share(dls[index], even=index == 0) for index in range(len(dls))]
        return DataLoaders(*shares, path=getattr(dls, "path", "."), device=self._device)

    def share(self, loader: Any, *, even: bool) -> Any:
        """Return a loader of this rank's share of a loader's batches: every `size`-th of them.

        Args:
            loader: A torch `DataLoader` of a map-style dataset, or a sequence of batches; of a
                share, what it is a share of.
            even: Whether every rank gets as many batches, full ones, as training needs it: what
                is lacking is taken from the beginning again. Otherwise each sample occurs once.
        """
        if self.size == 1:
            return loader
        loader = whole(loader)
        if isinstance(loader, Sequence):
            return _ShareOfList(loader, self, even=even)
        plain = type(loader) is DataLoader and not isinstance(loader.dataset, IterableDataset)
        if not plain or isinstance(loader.sampler, DistributedSampler):
            kind = type(loader if not plain else loader.sampler).__name__
            message = (
                "with several processes a loader must be a torch DataLoader of a map-style "
                "dataset, as it is for one process, or a list of batches: each process is given "
                f"its share of it here; got {kind}"
            )
            raise TypeError(message)
        sampler = _ShareOfSampler(loader, self, even=even)
        kept = {name: getattr(loader, name) for name in _KEPT if hasattr(loader, name)}
        if loader.batch_sampler is None:
            return DataLoader(loader.dataset, batch_size=None, sampler=sampler, **kept)
        return DataLoader(loader.dataset, batch_sampler=sampler, **kept)

    def batches(self, loader: Any) -> Iterator[Any]:
        """Begin an epoch of a loader, of a share in the order of rank 0.

        A share that is iterated over otherwise has an order of its own and waits for no one.
        """
        share = None if self.size == 1 else _share_of(loader)
        if share is None:
            return iter(loader)
        share.together = True
        try:
            return iter(loader)
        finally:
            share.together = False

    # The model.

    def begin(self, model: torch.nn.Module, params: Iterable[torch.Tensor]) -> None:
        """Begin to train a model: every rank gets the parameters and buffers of rank 0.

        Raises:
            ValueError: The optimizer trains something else, whose gradients no one would average.
        """
        if self.size == 1:
            return
        ours = {id(param) for param in model.parameters()}
        foreign = sum(param.requires_grad and id(param) not in ours for param in params)
        if foreign:
            message = (
                "with several processes the optimizer must train parameters of the model alone, "
                f"got {foreign} others: make them part of the model"
            )
            raise ValueError(message)
        self._wrap(model)

    def end(self) -> None:
        """End the training of a model, which is then on its own again."""
        self._model = self._wrapped = None

    def wrapped(self, model: torch.nn.Module) -> Any:
        """Return what a training batch goes through, so that gradients become means over ranks."""
        if self.size == 1:
            return model
        if model is not self._model or self._flags != _flags(model):
            # torch's wrapper keeps to the parameters that it was made for.
            self._wrap(model)
        return self._wrapped

    def _wrap(self, model: torch.nn.Module) -> None:
        self._wrapped = None
        self._model, self._flags = model, _flags(model)
        if not any(self._flags):
            self._wrapped = model
            return
        # The accelerator would hold on to every wrapper.
        held = self._accelerator._models  # noqa: SLF001
        count = len(held)
        self._wrapped = self._accelerator.prepare_model(model)
        del held[count:]

    def sync(self, model: torch.nn.Module) -> None:
        """Give every rank the parameters and buffers of rank 0, which then measure one model."""
        if self.size == 1:
            return
        handler = getattr(self._accelerator, "ddp_handler", None)
        buffers = model.buffers() if getattr(handler, "broadcast_buffers", True) else ()
        with torch.no_grad():
            for tensor in (*model.parameters(), *buffers):
                sent = tensor.detach().contiguous()
                distributed.broadcast(sent, src=0)
                if not self.main:
                    tensor.copy_(sent)


class _ShareOfSampler:
    """Every `size`-th batch, in rank 0's order where the ranks begin together.

    Attributes:
        together: Whether all ranks begin an epoch now, so that they can have one order.
    """

    def __init__(self, loader: DataLoader[Any], ranks: Ranks, *, even: bool) -> None:
        self.loader = loader
        self.together = False
        self._ranks = ranks
        self._even = even
        batches, keys = loader.batch_sampler, loader.sampler
        self._batches: Any = keys if batches is None else batches

    def __len__(self) -> int:
        drop_last = self._even and self.loader.drop_last
        return _share_length(len(self._batches), self._ranks, even=self._even, drop_last=drop_last)

    def __iter__(self) -> Iterator[Any]:
        return self._deal(together=self.together)

    def _order(self) -> list[Any]:
        if self.loader.batch_sampler is None:
            return list(self._batches)
        return [list(batch) for batch in self._batches]

    def _deal(self, *, together: bool) -> Iterator[Any]:
        # When the first batch is asked for, as torch's samplers draw their order.
        order = self._ranks.on_main(self._order) if together else self._order()
        if self._even:
            size = self._ranks.size
            if self.loader.drop_last:
                del order[len(order) // size * size :]
            else:
                order = _evened(order, size, self.loader.batch_size)
        yield from order[self._ranks.rank :: self._ranks.size]


class _ShareOfList(Sequence[Any]):
    """Every `size`-th of a sequence of batches."""

    def __init__(self, loader: Sequence[Any], ranks: Ranks, *, even: bool) -> None:
        self.loader = loader
        self._ranks = ranks
        self._even = even

    def __len__(self) -> int:
        return _share_length(len(self.loader), self._ranks, even=self._even, drop_last=False)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(self._ranks.rank, self._ranks.size * len(self), self._ranks.size)[index]
        return self.loader[place % len(self.loader)]


def whole(loader: Any) -> Any:
    """Return what a loader is a share of; itself where it is none."""
    share = loader if isinstance(loader, _ShareOfList) else _share_of(loader)
    return loader if share is None else share.loader


def _share_of(loader: Any) -> _ShareOfSampler | None:
    for part in (getattr(loader, "batch_sampler", None), getattr(loader, "sampler", None)):
        if isinstance(part, _ShareOfSampler):
            return part
    return None


def _share_length(count: int, ranks: Ranks, *, even: bool, drop_last: bool) -> int:
    if not even:
        return len(range(ranks.rank, count, ranks.size))
    return count // ranks.size if drop_last else -(-count // ranks.size)


def _evened(order: list[Any], size: int, batch_size: int | None) -> list[Any]:
    """Fill batches up to a multiple of `size`, full ones, from the beginning of the order."""
    if batch_size is None:
        # Batches of the user's own making, of any size.
        return order + list(islice(cycle(order), -len(order) % size))
    samples = [index for batch in order for index in batch]
    samples += list(islice(cycle(samples[:]), -len(samples) % (size * batch_size)))
    return [samples[i : i + batch_size] for i in range(0, len(samples), batch_size)]


def _flags(model: torch.nn.Module) -> list[bool]:
    return [param.requires_grad for param in model.parameters()]


def _sendable(error: Exception) -> Exception:
    """Return an error that other processes can be told of."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (our own)
    except Exception:  # noqa: BLE001 (whatever its class does)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _check(accelerator: Any) -> None:
    """Refuse what is no accelerator, and one whose settings would not be followed."""
    if isinstance(accelerator, type) or not all(hasattr(accelerator, name) for name in _NEEDED):
        message = f"`accelerator` must be an accelerate.Accelerator or None, got {accelerator!r}"
        raise TypeError(message)
    kind = getattr(accelerator.distributed_type, "value", accelerator.distributed_type)
    if kind != "NO" and not str(kind).startswith("MULTI_"):
        message = (
            "`accelerator` must keep a whole model in every process (MULTI_CPU, MULTI_GPU and "
            f"their like), got distributed_type {kind}"
        )
        raise ValueError(message)
    for name, expected, instead in _SETTINGS:
        value = getattr(accelerator, name, expected)
        if value != expected:
            message = f"`accelerator` must have {name}={expected!r}, got {value!r}: {instead}"
            raise ValueError(message)
    plugin = getattr(accelerator.state, "dynamo_plugin", None)
    backend = getattr(getattr(plugin, "backend", None), "value", "NO")
    if backend != "NO":
        message = (
            f"`accelerator` must not compile the model, got dynamo_backend {backend}: give the "
            "learner a model that is compiled"
        )
        raise ValueError(message)
    if getattr(accelerator, "parallelism_config", None) is not None:
        message = "`accelerator` must have no parallelism_config, got one"
        raise ValueError(message)
