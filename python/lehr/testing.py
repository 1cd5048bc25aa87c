"""Small learners to try things on: a line fitted to noisy points, a net that reads digits."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lehr._extras import need

need("torch", "lehr.testing")

import torch  # noqa: E402 (the message above comes first)
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lehr.learner import (  # noqa: E402
    Callback,
    CancelFitException,
    DataLoaders,
    Learner,
    accuracy,
)
from lehr.learner.data import default_device  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

# The digits' split is the same whatever the seed of a training.
_SPLIT_SEED = 0
_VALID_SHARE = 0.2
_VALID_BATCH = 256


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


def digits_images(
    size: int = 32,
    bs: int = 64,
    channels: int = 3,
    digits: Iterable[int] = range(10),
    seed: int | None = None,
    cuda: bool = False,
) -> DataLoaders:
    """Return loaders of scikit-learn's 1,797 images of handwritten digits.

    They are split 80 : 20 at random, always the same way. Brightness is in [0, 1]; a target is the
    index of its digit among `digits`.

    Args:
        size: Height and width in pixels, to which the 8x8 images are enlarged.
        bs: Images per training batch.
        channels: Channels, all alike: 3 for nets that take colours.
        digits: Which digits, of 0 to 9.
        seed: Seed of the order of batches; by default it follows torch's own generator.
        cuda: Whether to train on CUDA when there is one.

    Raises:
        ImportError: scikit-learn is missing.
        ValueError: `digits` is empty or holds something else than 0 to 9.

    Example:
        >>> images, targets = digits_images(size=16, digits=[3, 7]).one_batch()
        >>> tuple(images.shape), sorted(set(targets.tolist()))
        ((64, 3, 16, 16), [0, 1])
    """
    load_digits = need("sklearn.datasets", "digits_images").load_digits
    chosen = list(digits)
    if not chosen or not set(chosen) <= set(range(10)):
        message = f"`digits` must be some of 0 to 9, got {chosen}"
        raise ValueError(message)
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    index = torch.full((10,), -1)
    index[chosen] = torch.arange(len(chosen))
    targets = index[torch.tensor(bunch.target)]
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    n_valid = round(_VALID_SHARE * len(targets))

    def points(rows: torch.Tensor) -> TensorDataset:
        rows = rows[targets[rows] >= 0]
        enlarged = nn.functional.interpolate(images[rows], size=(size, size), mode="bilinear")
        return TensorDataset(enlarged.repeat(1, channels, 1, 1), targets[rows])

    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return DataLoaders(
        DataLoader(points(order[n_valid:]), batch_size=bs, shuffle=True, generator=generator),
        DataLoader(points(order[:n_valid]), batch_size=_VALID_BATCH),
        device=default_device() if cuda else "cpu",
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which the input goes as well.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: What height and width are divided by.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *_conv(inputs, outputs, 3, stride), nn.ReLU(), *_conv(outputs, outputs, 3)
        )
        same = stride == 1 and inputs == outputs
        self.around = nn.Identity() if same else nn.Sequential(*_conv(inputs, outputs, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `relu(convs(x) + around(x))`."""
        return nn.functional.relu(self.convs(x) + self.around(x))


class ResidualNet(nn.Module):
    """A small residual net with batch norm: an early and a late half of the body, and a head.

    Args:
        channels: Channels of an image.
        classes: Number of classes.
        width: Channels in the early half.
    """

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 16) -> None:
        super().__init__()
        self.early = nn.Sequential(
            *_conv(channels, width, 3, 2), nn.ReLU(), ResidualBlock(width, width)
        )
        self.late = nn.Sequential(
            ResidualBlock(width, 2 * width, 2), ResidualBlock(2 * width, 4 * width, 2)
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits, of shape (images, classes)."""
        logits: torch.Tensor = self.head(self.late(self.early(x)))
        return logits


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def body_and_head(model: ResidualNet) -> list[list[nn.Parameter]]:
    """Split a `ResidualNet` into three parameter groups: early body, late body, head."""
    return [list(part.parameters()) for part in (model.early, model.late, model.head)]


def image_learner(
    data: DataLoaders | None = None, model: nn.Module | None = None, **kwargs: Any
) -> Learner:
    """Return a learner of digits: a `ResidualNet` in three groups, cross entropy, accuracy.

    Args:
        data: Other loaders than `digits_images()`.
        model: Another model; give its `splitter` as well.
        **kwargs: Further arguments of `Learner`.

    Example:
        >>> learn = image_learner()
        >>> len(learn.splitter(learn.model))
        3
    """
    data = digits_images() if data is None else data
    model = ResidualNet() if model is None else model
    kwargs = {"splitter": body_and_head, "metrics": accuracy} | kwargs
    return Learner(data, model, loss_func=nn.CrossEntropyLoss(), **kwargs)


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
