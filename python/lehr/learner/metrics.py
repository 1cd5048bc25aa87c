"""What is measured on the validation set."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lehr.batch import Mean, batch_size

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from lehr.learner.learner import Learner


class Metric:
    """A figure gathered over the batches of an epoch; subclass it for one that is not a mean."""

    def reset(self) -> None:
        """Begin an epoch."""
        raise NotImplementedError

    def accumulate(self, learn: Learner) -> None:
        """Take in the batch the learner has just evaluated: `learn.pred`, `learn.yb`."""
        raise NotImplementedError

    @property
    def value(self) -> float:
        """The figure of the epoch so far."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint inside an epoch keeps: numbers, tensors, and lists of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` returned."""

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Take up what several processes have gathered: the `state_dict` of each, on the CPU.

        Needed where a training has several processes.
        """
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The column's title."""
        return type(self).__name__.lower()


class AverageMetric(Metric):
    """The mean of `function(pred, *targets)` over batches, weighted by their size."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.reset()

    def reset(self) -> None:  # noqa: D102
        self.mean = Mean()

    def accumulate(self, learn: Learner) -> None:  # noqa: D102
        self.mean.add(self.function(learn.pred, *learn.yb), batch_size(learn.yb or learn.xb))

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return self.mean.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.mean.load_state_dict(state)

    def merge(self, states: list[dict[str, Any]]) -> None:  # noqa: D102
        self.mean.merge(states)

    @property
    def value(self) -> float:  # noqa: D102
        return self.mean.value

    @property
    def name(self) -> str:  # noqa: D102
        function = self.function.func if isinstance(self.function, partial) else self.function
        return getattr(function, "__name__", type(function).__name__)


def make_metric(metric: Any) -> Metric:
    """Return a metric as given, or the average of a function of predictions and targets."""
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, Metric):
        return metric
    if not callable(metric):
        message = f"`metrics` must hold Metrics or functions of (pred, target), got {metric!r}"
        raise TypeError(message)
    return AverageMetric(metric)


def accuracy(pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the share of rows whose largest score is at the target's index.

    Args:
        pred: Scores of shape (n, classes, ...).
        target: Class indices of shape (n, ...).

    Returns:
        A scalar tensor in [0, 1].

    Raises:
        ValueError: The shapes do not belong together.

    Example:
        >>> import torch
        >>> accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1])).item()
        0.5
    """
    if pred.ndim < 2 or pred.shape[:1] + pred.shape[2:] != target.shape:  # noqa: PLR2004
        message = (
            "`pred` must have shape (n, classes, ...) and `target` (n, ...), "
            f"got {tuple(pred.shape)} and {tuple(target.shape)}"
        )
        raise ValueError(message)
    return (pred.argmax(dim=1) == target).float().mean()
