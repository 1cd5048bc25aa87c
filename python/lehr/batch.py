"""One batch: where it is, what of it goes where, its size and its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed


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


def own_loss(pred: Any) -> Any:
    """Return the loss that a model's output carries (rule 16)."""
    loss = pred.get("loss") if isinstance(pred, Mapping) else None
    loss = getattr(pred, "loss", None) if loss is None else loss
    if loss is None:
        message = (
            "without `loss_func` the model's output must carry its loss as `.loss` or "
            f'["loss"], got {type(pred).__name__}'
        )
        raise TypeError(message)
    return loss


def check_loss(loss: Any) -> None:
    """Raise TypeError for a loss that is no tensor of one number."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        shown = f"shape {tuple(loss.shape)}" if hasattr(loss, "shape") else repr(loss)
        message = f"the loss must be a tensor of one number, got {shown}"
        raise TypeError(message)


def processes() -> int:
    """Return the number of processes of torch's default group, 1 where there is none."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def mean_of_processes(value: Any, device: torch.device) -> Any:
    """Return the mean of a number over torch's processes, the same bits in each; NaN where one is.

    Every one has to call it, as it waits for the others.
    """
    mine = torch.as_tensor(value, dtype=torch.float64, device=device).detach().reshape(1)
    every = [torch.empty_like(mine) for _ in range(processes())]
    distributed.all_gather(every, mine)
    # Of the same numbers in the same order.
    return sum(torch.cat(every).tolist()) / len(every)


class Mean:
    """A mean of tensors weighted by counts, gathered on their device."""

    def __init__(self) -> None:
        self.total: Any = 0.0
        self.count = 0

    def add(self, value: Any, count: int) -> None:
        """Take in the mean of `count` items."""
        # Tensors stay on their device; numpy's numbers become Python's, which a checkpoint keeps.
        self.total += (value.detach() if hasattr(value, "detach") else float(value)) * count
        self.count += count

    def state_dict(self) -> dict[str, Any]:
        """Return what has been gathered."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        self.total, self.count = state["total"], state["count"]

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Take up the sum of several states."""
        self.total = sum(float(state["total"]) for state in states)
        self.count = sum(state["count"] for state in states)

    @property
    def value(self) -> float:
        """The mean so far; NaN of nothing."""
        return float(self.total) / self.count if self.count else float("nan")
