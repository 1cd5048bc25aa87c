"""`lehr demo`: find a rate and train on real images."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lehr.learner import Learner

_BATCH = 64


@click.command()
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**63 - 1),
    help="Seed of weights and batches.",
)
@click.option(
    "--out",
    default="lehr-demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures.",
)
@click.option(
    "--epochs",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="Epochs to train.",
)
@click.option(
    "--lr",
    default=None,
    type=click.FloatRange(min=0, min_open=True),
    help="Peak learning rate.  [default: what lr_find suggests]",
)
def demo(seed: int, out: Path, epochs: int, lr: float | None) -> None:
    """Find a learning rate and train on 1,797 real images of digits.

    \b
    Examples:
      lehr demo
      lehr demo --epochs 4 --lr 0.01 --out pictures
    """  # noqa: D301 (click reads the control character)
    if lr is not None and not math.isfinite(lr):
        raise click.BadParameter(f"{lr} is no finite number", param_hint="'--lr'")
    run_demo(seed, out, epochs, lr)


def digits_learner(seed: int) -> Learner:
    """Return a small convolutional net on scikit-learn's 8x8 images of digits.

    The 1,797 images are split 80 : 20 at random, always the same way.

    Args:
        seed: Seed of the weights and of the order of batches.
    """
    from lehr._extras import need

    need("torch", "the demo")
    need("sklearn", "the demo")
    import torch
    from torch import nn

    from lehr import Learner, accuracy
    from lehr.testing import digits_images

    loaders = digits_images(size=8, bs=_BATCH, channels=1, seed=seed, cuda=True)
    torch.manual_seed(seed)

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    model = nn.Sequential(
        *block(1, 32),
        *block(32, 64),
        nn.MaxPool2d(2),
        *block(64, 128),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    return Learner(loaders, model, loss_func=nn.functional.cross_entropy, metrics=accuracy)


def run_demo(seed: int, out: Path, epochs: int, lr: float | None) -> None:
    """Find a rate, train at it, and draw the sweep, the schedule and the losses into `out`."""
    from lehr._extras import need

    matplotlib = need("matplotlib", "the demo")
    matplotlib.use("agg")
    started = time.monotonic()
    # Before the work, so that a folder that cannot be written to costs nothing.
    out.mkdir(parents=True, exist_ok=True)
    learn = digits_learner(seed)
    train, valid = len(learn.dls.train.dataset), len(learn.dls.valid.dataset)
    click.echo(f"digits: {train} images to train on, {valid} to validate")

    suggested = learn.lr_find(show_plot=False).valley
    sweep = learn.recorder.sweep
    click.echo(f"lr_find: {len(sweep)} iterations, {sweep.stop}; valley suggests {suggested:.2e}")
    lr_max = suggested if lr is None else lr
    click.echo(f"fit_one_cycle: {epochs} epochs with peak rate {lr_max:.2e}")
    learn.fit_one_cycle(epochs, lr_max)

    recorder = learn.recorder
    pictures = {
        "lr_find.png": recorder.plot_lr_find(),
        "schedule.png": recorder.plot_sched(),
        "losses.png": recorder.plot_loss(skip_start=0).figure,
    }
    for name, figure in pictures.items():
        figure.savefig(out / name, dpi=150)
        figure.clear()
    click.echo(f"validation accuracy {recorder.values[-1][-1]:.4f}")
    click.echo(
        f"{', '.join(pictures)} written to {out.resolve()} in {time.monotonic() - started:.1f} s"
    )
