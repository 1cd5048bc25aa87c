"""Every picture lehr draws, with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need

need("matplotlib", "a plot")

import matplotlib.pyplot as plt  # noqa: E402 (the message above comes first)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lehr import Schedule
    from lehr.sweep import Sweep

_POINTS = 401
_TITLES = {
    "lr": "learning rate",
    "mom": "momentum",
    "wd": "weight decay",
    "sqr_mom": "squared-gradient momentum",
    "eps": "epsilon",
}
# One picture of a figure, in inches.
_WIDTH, _HEIGHT = 6.0, 4.0


def plot_schedule(schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Draw a schedule over the share of training done; one line per parameter group.

    Args:
        schedule: The schedule.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The axes.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    # The ends of every phase as well, so that jumps stand where they are.
    edges = np.array(schedule.boundaries)
    inner = np.maximum(edges[1:-1] - 2e-12, 0)
    pos = np.unique(np.concatenate([np.linspace(0, 1, _POINTS), edges, inner]))
    values = np.asarray(schedule(pos))
    _lines(ax, pos, values if values.ndim == 2 else values[:, None])  # noqa: PLR2004
    ax.set(xlabel="share of training done", ylabel="value")
    ax.margins(x=0.02)
    return ax


def plot_hypers(
    values: Mapping[str, Sequence[Sequence[float]]], figsize: tuple[float, float] | None = None
) -> Figure:
    """Draw recorded hyper-parameters over training batches: one picture each, a line per group.

    Args:
        values: For each hyper-parameter, per batch one value per group.
        figsize: Width and height of the figure in inches.

    Returns:
        The figure.
    """
    columns = min(2, len(values))
    rows = -(-len(values) // columns)
    size = figsize or (_WIDTH * columns, _HEIGHT * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat[len(values) :]:
        ax.remove()
    for ax, (name, series) in zip(axes.flat, values.items(), strict=False):
        _lines(ax, np.arange(len(series)), np.asarray(series, dtype=float))
        ax.set(xlabel="training batch", ylabel=name, title=_TITLES.get(name, name))
    return figure


def _lines(ax: Axes, x: Any, values: Any) -> None:
    """Draw one line per column, with a legend where there are several."""
    groups = values.shape[1]
    for group in range(groups):
        ax.plot(x, values[:, group], label=f"group {group}" if groups > 1 else None)
    if groups > 1:
        ax.legend()
    ax.grid(visible=True, alpha=0.3)


def plot_sweep(
    sweep: Sweep,
    skip_end: int = 5,
    marks: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the loss over the learning rate, raw and smoothed, with suggestions marked.

    Args:
        sweep: The curve.
        skip_end: Number of last points to leave out.
        marks: Points (rate, loss) by name; the sweep's suggestions by default.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The figure.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    if marks is None:
        marks = {n: (s.lr, s.point[1]) for n, s in sweep.suggestions.items() if s.point is not None}
    shown = slice(None, max(len(sweep) - skip_end, min(len(sweep), 1)))
    lrs, raw, smoothed = sweep.lrs[shown], sweep.losses[shown], sweep.smoothed[shown]
    ax.plot(lrs, raw, ".", color="0.7", markersize=4, label="loss of each batch")
    ax.plot(lrs, smoothed, color="C0", label="smoothed loss")
    for index, (name, (lr, loss)) in enumerate(marks.items()):
        ax.plot(lr, loss, "o", color=f"C{index + 1}", markersize=8, label=f"{name}: {lr:.2e}")
    ax.set_xscale("log")
    ax.set(xlabel="learning rate", ylabel="training loss", title="Learning-rate sweep")
    finite = smoothed[np.isfinite(smoothed)]
    if len(finite):
        # One exploding batch must not flatten the rest.
        low = min(finite.min(), np.nanmin(raw[np.isfinite(raw)]))
        room = 0.05 * (finite.max() - low) or 0.05 * abs(low) or 1.0
        ax.set_ylim(low - room, finite.max() + 4 * room)
    else:
        ax.text(0.5, 0.5, "no finite loss", transform=ax.transAxes, ha="center")
    ax.grid(visible=True, alpha=0.3)
    ax.legend()
    figure: Figure = ax.figure  # type: ignore[assignment]
    return figure


def show_sweep(sweep: Sweep) -> None:
    """Draw a sweep in the one figure kept for them, so that figures do not pile up."""
    figure = plt.figure("learning-rate sweep", figsize=(_WIDTH, _HEIGHT), clear=True)
    figure.set_layout_engine("constrained")
    plot_sweep(sweep, ax=figure.add_subplot())


def plot_losses(
    losses: Sequence[float],
    raw: Sequence[float],
    iters: Sequence[int],
    valid: Sequence[float],
    ax: Axes | None = None,
) -> Figure:
    """Draw training losses over batches, with the validation loss at the end of each epoch.

    Args:
        losses: Smoothed training loss of each batch.
        raw: Training loss of each batch.
        iters: Number of batches at the end of each epoch.
        valid: Validation loss of each epoch; may be empty.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The figure.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    batches = np.arange(1, len(losses) + 1)
    ax.plot(batches, raw, ".", color="0.8", markersize=3, label="loss of each batch")
    ax.plot(batches, losses, color="C0", label="training loss, smoothed")
    if len(valid):
        ax.plot(iters, valid, "o-", color="C1", markersize=4, label="validation loss")
    ax.set(xlabel="training batch", ylabel="loss", title="Losses")
    ax.grid(visible=True, alpha=0.3)
    ax.legend()
    figure: Figure = ax.figure  # type: ignore[assignment]
    return figure
