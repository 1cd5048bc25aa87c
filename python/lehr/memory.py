"""Values remembered, and put back where they were."""

from __future__ import annotations

import copy
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need

if TYPE_CHECKING:
    import torch
else:
    torch = need("torch", "what is remembered of tensors")

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def keep_value(value: Any) -> Callable[[], Any]:
    """Remember `value` deeply; the result puts it back, in place where it can, and returns it."""
    memory = Memory()
    give = memory.hold(value)
    put = memory.copy()

    def back() -> Any:
        for one in put:
            one()
        return give()

    return back


def keep_copy(value: Any) -> Callable[[], Any]:
    """Remember a deep copy of `value`, which the result returns."""
    held = copy.deepcopy(value)
    return lambda: held


class Memory:
    """Copies of what values hold: every byte of a tensor once, however many tensors share it.

    First `hold` all values, then `copy`. To put everything back, call all that `copy` returned,
    then what each `hold` did.

    Args:
        device: Where the copies of tensors are; beside each tensor where it is `None`.
    """

    def __init__(self, device: torch.device | str | None = None) -> None:
        self._device = device
        # Other tensors over the memory that was held: it stays, whatever becomes of the tensor.
        self._held: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def hold(
        self, value: Any, other: Callable[[Any], Callable[[], Any]] = keep_copy
    ) -> Callable[[], Any]:
        """Remember what makes up `value`; the result builds it again, and returns it.

        Tensors, arrays and containers stay the objects they are.

        Args:
            value: What is remembered.
            other: Remembers what is none of these, wherever in a container.
        """
        if value is None or isinstance(value, (bool, int, float, str)):
            return lambda: value
        if isinstance(value, torch.Tensor):
            return self._hold_tensor(value)
        if isinstance(value, np.ndarray):
            return _hold_array(value)
        if isinstance(value, dict):
            items = [(key, self.hold(item, other)) for key, item in value.items()]

            def back() -> Any:
                found = [(key, item()) for key, item in items]
                value.clear()
                for key, item in found:
                    value[key] = item
                return value

            return back
        if isinstance(value, (list, tuple, deque, set)):
            return _hold_members(value, [self.hold(item, other) for item in value])
        return other(value)

    def _hold_tensor(self, tensor: torch.Tensor) -> Callable[[], torch.Tensor]:
        if torch.nn.parameter.is_lazy(tensor):
            message = "a parameter has no shape yet: run the model on one batch before the sweep"
            raise ValueError(message)
        if not _is_plain(tensor):
            data = self._copied(tensor.detach())

            def fill() -> torch.Tensor:
                with torch.no_grad():
                    tensor.detach().copy_(data)
                return tensor

            return fill
        # The tensor too is held, so that no other gets its id.
        _, alias = self._held.setdefault(id(tensor), (tensor, tensor.detach()))

        def back() -> torch.Tensor:
            if _place(tensor) != _place(alias):
                tensor.data = alias
            return tensor

        return back

    def copy(self) -> list[Callable[[], None]]:
        """Copy the memory of the tensors held; each of the results puts a part of it back."""
        spans: dict[Any, list[tuple[int, int]]] = {}
        storages: dict[Any, torch.UntypedStorage] = {}
        strided = []
        for _, alias in self._held.values():
            count = alias.numel()
            if count == 0 or alias.device.type == "meta":
                continue
            storage = alias.untyped_storage()
            key = (alias.device, storage.data_ptr())
            start, stop = _extent(alias)
            if stop > storage.nbytes():
                # Freed for now, as of shards between two uses: there is nothing to read.
                continue
            if stop - start <= count * alias.element_size():
                storages[key] = storage
                spans.setdefault(key, []).append((start, stop))
            else:
                strided.append((key, start, stop, alias))
        merged = {key: _merged(found) for key, found in spans.items()}
        views = [
            torch.empty(0, dtype=torch.uint8, device=key[0]).set_(
                storages[key], start, (stop - start,), (1,)
            )
            for key, found in merged.items()
            for start, stop in found
        ]
        views += [
            alias
            for key, start, stop, alias in strided
            if not any(low <= start and stop <= high for low, high in merged.get(key, ()))
        ]
        return [_filling(view, self._copied(view)) for view in views]

    def _copied(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.clone() if self._device is None else tensor.to(self._device, copy=True)


def _hold_array(array: NDArray[Any]) -> Callable[[], NDArray[Any]]:
    held = array.copy()

    def back() -> NDArray[Any]:
        # What is read-only has not changed.
        if array.flags.writeable:
            array[...] = held
        return array

    return back


def _hold_members(
    value: list[Any] | tuple[Any, ...] | deque[Any] | set[Any], members: list[Callable[[], Any]]
) -> Callable[[], Any]:
    """Return what puts the members back into a container, or makes its like where it is fixed."""

    def back() -> Any:
        found = [member() for member in members]
        if isinstance(value, tuple):
            same = all(a is b for a, b in zip(found, value, strict=True))
            return value if same else getattr(value, "_make", tuple)(found)
        value.clear()
        add = value.update if isinstance(value, set) else value.extend
        add(found)
        return value

    return back


def _filling(view: torch.Tensor, data: torch.Tensor) -> Callable[[], None]:
    storage = view.untyped_storage()
    size = storage.nbytes()

    def fill() -> None:
        if storage.nbytes() != size:
            storage.resize_(size)
        with torch.no_grad():
            view.copy_(data)

    return fill


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is nothing but memory and a way to walk through it."""
    own = type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__
    return tensor.layout == torch.strided and not own and not tensor.is_quantized


def lends(tensor: torch.Tensor) -> bool:
    """Whether a tensor is a part, or a view, of memory that others write to as well."""
    if not _is_plain(tensor):
        return False
    part = tensor.untyped_storage().nbytes() != tensor.nbytes
    return part or tensor._is_view()  # noqa: SLF001 (a view of all of it)


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.device, tensor.shape, tensor.stride()


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the bytes of its storage that a tensor lies in."""
    size = tensor.element_size()
    last: Any = sum((n - 1) * by for n, by in zip(tensor.shape, tensor.stride(), strict=True))
    start: Any = tensor.storage_offset() * size
    return start, start + (last + 1) * size


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans that cover the same bytes, each once."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((start, stop))
    return merged
