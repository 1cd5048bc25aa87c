"""A tiny learner to try things on: a line fitted to noisy points."""

from __future__ import annotations

from functools import partial
from typing import Any

from lehr._extras import need

need("torch", "lehr.testing")

import torch  # noqa: E402 (the message above comes first)
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lehr.learner import Callback, CancelFitException, DataLoaders, Learner  # noqa: E402
from lehr.learner.data import default_device  # noqa: E402


class RegModel(nn.Module):
    """A line: `a x + b`, both drawn from a standard normal distribution."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(1))
        self.b = nn.Parameter(torch.randn(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `a x + b`."""
        return x * self.a + self.b


def synth_dbunch(
    a: float = 2,
    b: float = 3,
    bs: int = 16,
    n_train: int = 10,
    n_valid: int = 2,
    cuda: bool = False,
) -> DataLoaders:
    """Return loaders of points on the line `a x + b` with normal noise of deviation 0.1.

    Args:
        a: Slope.
        b: Intercept.
        bs: Points per batch.
        n_train: Number of training batches.
        n_valid: Number of validation batches.
        cuda: Whether to train on CUDA when there is one.
    """

    def points(batches: int) -> TensorDataset:
        x = torch.randn(bs * batches, 1)
        return TensorDataset(x, a * x + b + 0.1 * torch.randn(bs * batches, 1))

    train, valid = points(n_train), points(n_valid)
    return DataLoaders(
        DataLoader(train, batch_size=bs, shuffle=True),
        DataLoader(valid, batch_size=bs),
        device=default_device() if cuda else "cpu",
    )


def synth_learner(
    n_trn: int = 10,
    n_val: int = 2,
    cuda: bool = False,
    lr: float = 1e-3,
    data: DataLoaders | None = None,
    model: nn.Module | None = None,
    **kwargs: Any,
) -> Learner:
    """Return a learner of a line on synthetic points: SGD with momentum 0.9, squared error.

    Args:
        n_trn: Number of training batches of 16 points.
        n_val: Number of validation batches.
        cuda: Whether to train on CUDA when there is one.
        lr: Learning rate.
        data: Other loaders.
        model: Another model.
        **kwargs: Further arguments of `Learner`.

    Example:
        >>> learn = synth_learner(n_trn=5)
        >>> len(learn.dls.train)
        5

    Reference:
        fastai, `test_utils.synth_learner`: the same data and initial model under the same seed.
    """
    data = synth_dbunch(n_train=n_trn, n_valid=n_val, cuda=cuda) if data is None else data
    model = RegModel() if model is None else model
    opt_func = partial(torch.optim.SGD, momentum=0.9)
    return Learner(data, model, lr=lr, loss_func=nn.MSELoss(), opt_func=opt_func, **kwargs)


class InterruptCallback(Callback):
    """Ends the fit before an epoch, as an interruption would.

    Args:
        epoch: The epoch that is no longer trained.
    """

    def __init__(self, epoch: int) -> None:
        self._interrupt_before = epoch

    def before_epoch(self) -> None:
        """End the fit when the epoch is reached."""
        if self.learn.epoch == self._interrupt_before:
            raise CancelFitException
