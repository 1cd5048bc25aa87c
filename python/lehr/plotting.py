"""Every picture lehr draws, with matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need

need("matplotlib", "a plot")

import matplotlib as mpl  # noqa: E402 (the message above comes first)
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib import figure as mpl_figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lehr import Schedule
    from lehr.suggestion import Suggestion
    from lehr.sweep import Sweep

_POINTS = 401
# Which loss a sweep has that does not say so.
_TRAINING = "training loss"
_TITLES = {
    "lr": "learning rate",
    "mom": "momentum",
    "wd": "weight decay",
    "sqr_mom": "squared-gradient momentum",
    "eps": "epsilon",
}
# One picture of a figure, in inches.
_WIDTH, _HEIGHT = 6.0, 4.0
# Groups have an order: more of them than this are coloured along a scale.
_FEW_GROUPS = 6
# Lines that a legend names; of more, some.
_NAMED = 12
# Peaks of groups further apart than this need a logarithmic axis, which shows so much below them.
_FAR_APART, _BELOW = 30.0, 1e3
# Where a legend is in nobody's way takes long to find among more points.
_MANY_POINTS = 20_000
# Losses of single batches that can be told apart.
_MANY_BATCHES = 1000
# Validation losses, and ends of epochs, that can be told apart.
_MANY_EPOCHS, _MANY_ENDS = 60, 20
# Decades on a logarithmic axis below which powers of ten are too few ticks.
_FEW_DECADES = 2.0
# Shares of the single losses that may be off the picture, at either end.
_OUTLIERS = (1.0, 99.0)
_QUARTERS = (25.0, 75.0)
# A sweep is shown up to this many times its best loss, where a diverging one stops.
_DIVERGED = 4.0
_MARKERS = "osD^vP*X"
# What a rule says of a suggestion that is no good one, and the room that the reasons have.
_DOUBTS = ("weak", "none")
_LINE, _DOUBT_LINES = 72, 4


class Figure(mpl_figure.Figure):
    """A figure that a notebook shows once.

    A notebook shows a cell's result, and when the cell ends every figure of pyplot: a figure that
    is both would be there twice.
    """

    def _ipython_display_(self) -> None:
        if "inline" in mpl.get_backend():
            plt.close(self)
        # This asks for the ordinary way.
        raise NotImplementedError


def plot_schedule(schedule: Schedule, ax: Axes | None = None) -> Axes:
    """Draw a schedule over the share of training done; one line per parameter group.

    Args:
        schedule: The schedule.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The axes.

    Example:
        >>> from lehr import SchedCos
        >>> plot_schedule(SchedCos(1.0, 0.0)).get_xlabel()
        'share of training done'
    """
    own = ax is None
    ax = _axes(ax)
    # The ends of every phase as well, so that jumps stand where they are.
    edges = np.array(schedule.boundaries)
    inner = np.maximum(edges[1:-1] - 2e-12, 0)
    pos = np.unique(np.concatenate([np.linspace(0, 1, _POINTS), edges, inner]))
    values = np.asarray(schedule(pos))
    _lines(ax, pos, values.reshape(len(pos), -1), outside=own)
    ax.set(xlabel="share of training done", ylabel="value")
    return ax


def plot_hypers(
    values: Mapping[str, Any],
    figsize: tuple[float, float] | None = None,
    *,
    every: int = 1,
    xlabel: str = "training batch",
    names: Sequence[str | None] = (),
) -> Figure:
    """Draw hyper-parameters over training batches: one picture each, a line per group.

    Groups with the same values throughout share a colour and an entry of the legend. Where the
    peaks of groups are more than 30-fold apart, the axis is logarithmic.

    Args:
        values: For each hyper-parameter, per batch one value per group; NaN is not drawn.
        figsize: Width and height of the figure in inches.
        every: Batches from one row of values to the next.
        xlabel: What is counted.
        names: Names of the groups, where they have some.

    Returns:
        The figure.

    Example:
        >>> figure = plot_hypers({"lr": [[1e-3, 1e-2], [2e-3, 2e-2]], "mom": [[0.9, 0.9]] * 2})
        >>> [ax.get_title() for ax in figure.axes]
        ['learning rate', 'momentum']
    """
    # Two in a row, or three where that fills the rows better.
    columns = len(values) if len(values) <= 3 else 2 if len(values) == 4 else 3  # noqa: PLR2004
    rows = -(-len(values) // columns)
    size = figsize or (_WIDTH * columns, _HEIGHT * rows)
    figure = _new_figure(size)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(values) :]:
        ax.remove()
    for ax, (name, series) in zip(axes.flat, values.items(), strict=False):
        rows_of = np.asarray(series, dtype=float)
        _lines(ax, np.arange(len(series)) * every, rows_of, outside=True, names=names)
        ax.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
        ax.set(xlabel=xlabel, ylabel=name, title=_TITLES.get(name, name))
    return figure


def plot_sweep(
    sweep: Sweep,
    skip_end: int = 5,
    marks: Sequence[tuple[str, Suggestion]] | None = None,
    ax: Axes | None = None,
) -> mpl_figure.Figure:
    """Draw the loss over the learning rate, raw and smoothed, with suggestions marked.

    A suggestion is a marker at its point and a dotted line at its rate, which is elsewhere for
    some rules (`minimum` suggests a tenth of the rate at its point); a band is its interval. Where
    one is weak, or there is none, the title has the reason. The points of pooled sweeps are faint.
    The smooth curve is the debiased average; where all suggestions are of the robust rule, the one
    without lag that this rule reads.

    Args:
        sweep: The curve, of at least one point.
        skip_end: Number of last points to leave out, at least 0; the first one stays.
        marks: What to mark: names and suggestions. Those of the sweep by default.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The figure.

    Raises:
        ValueError: The sweep has no point, or `skip_end` is below 0.

    Example:
        >>> from lehr import Sweep
        >>> sweep = Sweep([1e-3, 1e-2, 1e-1], [3, 1, 2])
        >>> figure = plot_sweep(sweep, 0, [("mine", sweep.suggest("minimum"))])
        >>> figure.axes[0].get_xscale()
        'log'
    """
    if not len(sweep):
        message = "there is nothing to draw: the sweep has no point"
        raise ValueError(message)
    if skip_end < 0:
        message = f"`skip_end` must be at least 0, got {skip_end}"
        raise ValueError(message)
    ax = _axes(ax)
    marks = list(sweep.suggestions.items()) if marks is None else marks
    shown = slice(None, max(len(sweep) - skip_end, 1))
    # The smooth curve that the suggestions' points lie on.
    robust = [one.point is not None and one.method == "robust" for _, one in marks]
    smoothed = (sweep.smooth() if robust and all(robust) else sweep.smoothed)[shown]
    lrs, raw = sweep.lrs[shown], sweep.losses[shown]
    log = _logarithmic(lrs)
    if log:
        ax.set_xscale("log")
    criterion = str(sweep.settings.get("criterion", _TRAINING))
    each = "loss of each batch" if criterion == _TRAINING else "loss of each iteration"
    label = each if sweep.parts else None
    for part in sweep.parts:
        points = part.lrs[shown], part.losses[shown]
        ax.plot(*points, ".", color="0.8", markersize=3, zorder=1, label=label)
        label = None
    pooled = f"mean loss of {len(sweep.parts)} sweeps" if sweep.parts else each
    size = 4 if len(lrs) <= _MANY_BATCHES else 2
    ax.plot(lrs, raw, ".", color="0.6", markersize=size, label=pooled)
    alone = "o" if len(lrs) == 1 else None
    ax.plot(lrs, smoothed, color="C0", linewidth=2, marker=alone, label="smoothed loss")
    drawable = [(name, one) for name, one in marks if one.point and np.isfinite(one.lr)]
    spans = sum(one.interval is not None for _, one in drawable)
    for index, (name, suggestion) in enumerate(drawable):
        _mark(ax, index, name, suggestion, spans)
    name = _TITLES.get(sweep.hyper, sweep.hyper.replace("_", " "))
    heading = "Learning-rate" if sweep.hyper == "lr" else name[:1].upper() + name[1:]
    ax.set(xlabel=name, ylabel=criterion)
    _entitle(ax, f"{heading} sweep", marks)
    if len(lrs) > 1:
        ends = np.array([lrs.min(), lrs.max()])
        ax.set_xlim(*_padded(np.log10(ends) if log else ends, log=log))
    _limit_sweep(ax, raw, smoothed)
    _finish(ax, len(lrs))
    return _figure(ax)


def _logarithmic(lrs: NDArray[Any]) -> bool:
    """Whether values ask for a logarithmic axis: all above 0, and not evenly spaced."""
    gaps = np.diff(lrs)
    even = len(gaps) > 1 and np.allclose(gaps, gaps.mean(), rtol=1e-6, atol=0)
    return bool((lrs > 0).all()) and not even


def _mark(ax: Axes, index: int, name: str, suggestion: Suggestion, spans: int) -> None:
    """Mark one suggestion, with the interval as a band, one of `spans`."""
    colour = f"C{index % 9 + 1}"
    # Smaller and smaller, so that none hides another.
    marker, size = _MARKERS[index % len(_MARKERS)], max(12 - 1.5 * index, 7.5)
    if suggestion.interval is not None:
        # Fainter where there are more, for they most often overlap.
        ax.axvspan(*suggestion.interval, color=colour, alpha=0.15 / spans, linewidth=0, zorder=0)
    ax.axvline(suggestion.lr, color=colour, linestyle=":", linewidth=1)
    weak = f" ({suggestion.status})" if suggestion.status == "weak" else ""
    ax.plot(
        *(suggestion.point or ()), marker, color=colour, markersize=size, markeredgecolor="white",
        zorder=3, label=f"{name}: {suggestion.lr:.2e}{weak}",
    )  # fmt: skip


def _entitle(ax: Axes, title: str, marks: Sequence[tuple[str, Suggestion]]) -> None:
    """Set the title, and under it why suggestions are weak or none."""
    doubts = [f"{name}: {one.status}: {one.reason}" for name, one in marks if one.status in _DOUBTS]
    if not doubts:
        ax.set_title(title)
        return
    lines = [line for doubt in doubts for line in textwrap.wrap(doubt, _LINE)]
    if len(lines) > _DOUBT_LINES:
        lines = [*lines[: _DOUBT_LINES - 1], "..."]
    ax.set_title("\n".join([title, *lines]), fontsize="medium")


def _limit_sweep(ax: Axes, raw: NDArray[Any], smoothed: NDArray[Any]) -> None:
    """Show the curve: what explodes, or comes after it diverged, must not flatten the rest."""
    smoothed, raw = smoothed[np.isfinite(smoothed)], raw[np.isfinite(raw)]
    if not len(smoothed):
        _nothing(ax)
        return
    low, first = raw.min(), smoothed[0]
    quarter, three = np.percentile(raw, _QUARTERS)
    # As far above the first loss as the curve falls below it, or as the batches scatter; a curve
    # that only rises ends where it counts as diverged.
    diverged = max(first, smoothed.min() + (_DIVERGED - 1) * abs(smoothed.min()))
    high = min(first + max(first - low, 2 * (three - quarter)), diverged)
    ax.set_ylim(*_padded([low, min(high, max(smoothed.max(), raw.max()))]))


def show_sweep(sweep: Sweep) -> None:
    """Draw a sweep in the one figure kept for them, so that figures do not pile up."""
    plot_sweep(sweep, ax=_new_figure(num="learning-rate sweep", clear=True).add_subplot())


def plot_losses(
    losses: Sequence[float],
    raw: Sequence[float],
    valid: Sequence[tuple[int, float]] = (),
    *,
    ends: Sequence[int] = (),
    skip_start: int = 0,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw training losses over batches, and validation losses.

    Args:
        losses: Smoothed training loss after each batch.
        raw: Training loss of each batch.
        valid: Validation losses, each with the number of batches before it.
        ends: Numbers of batches at which to draw the end of an epoch.
        skip_start: Number of first batches to leave out; the last one stays.
        log: Whether both axes are logarithmic.
        ax: The axes to draw on; those of a new figure by default.

    Returns:
        The axes.

    Raises:
        ValueError: `log` is given and a loss is not above 0.

    Example:
        >>> ax = plot_losses([3.0, 2.5, 2.2], [3.0, 2.0, 1.6], [(3, 1.8)])
        >>> ax.get_legend_handles_labels()[1]
        ['loss of each batch', 'training loss, smoothed', 'validation loss']
    """
    skip = max(min(skip_start, len(losses) - 1), 0)
    batches = np.arange(skip + 1, len(losses) + 1)
    single, smoothed = np.asarray(raw[skip:], float), np.asarray(losses[skip:], float)
    kept = np.array([point for point in valid if point[0] > skip], float).reshape(-1, 2)
    if log:
        for values, kind in ((single, "training"), (kept[:, 1], "validation")):
            if (values <= 0).any():
                message = f"`log` needs losses above 0, got a {kind} loss of {np.nanmin(values):g}"
                raise ValueError(message)
    ax = _axes(ax)
    if log:
        ax.set(xscale="log", yscale="log")
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    size = 4 if len(batches) <= _MANY_BATCHES else 2
    ax.plot(batches, single, ".", color="0.75", markersize=size, label="loss of each batch")
    style = "-" if len(batches) > 1 else "o"
    ax.plot(batches, smoothed, style, color="C0", linewidth=2, label="training loss, smoothed")
    if len(kept):
        style = "o-" if len(kept) <= _MANY_EPOCHS else "-"
        ax.plot(*kept.T, style, color="C1", markersize=5, label="validation loss")
    _draw_ends(ax, [end for end in ends if end > skip])
    ax.set(xlabel="training batch", ylabel="loss", title="Losses")
    _limit(ax, np.concatenate([smoothed, kept[:, 1]]), single, log=log)
    _finish(ax, len(batches))
    return ax


def _draw_ends(ax: Axes, ends: list[int]) -> None:
    """Draw lines where epochs end: all, or of many every so manyth."""
    every = 1
    while len(ends) > every * _MANY_ENDS:
        every *= 2 if str(every)[0] != "2" else 5
    label: str | None = "end of an epoch" if every == 1 else f"end of every {every} epochs"
    for end in ends[every - 1 :: every]:
        ax.axvline(end, color="0.6", linestyle=":", linewidth=1, label=label, zorder=1)
        label = None


def _limit(ax: Axes, lines: NDArray[Any], single: NDArray[Any], *, log: bool) -> None:
    """Show the lines, and of the single losses the usual: one exploding must not flatten all."""
    lines, single = lines[np.isfinite(lines)], single[np.isfinite(single)]
    if not len(lines):
        _nothing(ax)
        return
    low, high = np.percentile(single, _OUTLIERS) if len(single) else (lines[0], lines[0])
    limits = np.array([min(lines.min(), low), max(lines.max(), high)])
    ax.set_ylim(*_padded(np.log10(limits) if log else limits, log=log))


def _axes(ax: Axes | None) -> Axes:
    return _new_figure().add_subplot() if ax is None else ax


def _new_figure(size: tuple[float, float] = (_WIDTH, _HEIGHT), **kwargs: Any) -> Figure:
    figure = plt.figure(FigureClass=Figure, figsize=size, **kwargs)
    figure.set_layout_engine("constrained")
    return figure  # type: ignore[return-value]


def _figure(ax: Axes) -> mpl_figure.Figure:
    """Return the figure of axes, also where they are part of a part of it."""
    figure: mpl_figure.Figure = ax.figure.figure
    return figure


def _nothing(ax: Axes) -> None:
    ax.text(0.5, 0.5, "no finite loss", transform=ax.transAxes, ha="center")
    ax.yaxis.set_major_locator(NullLocator())


def _finish(ax: Axes, points: int) -> None:
    _label_ticks(ax)
    ax.grid(visible=True, alpha=0.3)
    ax.legend(loc="best" if points <= _MANY_POINTS else "upper right")


def _label_ticks(ax: Axes) -> None:
    """Label ticks with the values themselves: no factor or offset in a corner, no `2 x 10^1`."""
    for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        if axis.get_scale() != "log":
            axis.set_major_formatter(FuncFormatter(_plain))
        elif (decades := np.ptp(np.log10(limits))) < _FEW_DECADES:
            steps = LogLocator(subs=(1, 2, 5)) if decades > 1 else MaxNLocator(6)
            axis.set_major_locator(steps)
            axis.set_major_formatter(FuncFormatter(_plain))
            axis.set_minor_locator(NullLocator())


def _plain(value: float, _position: int | None) -> str:
    return f"{value:.9g}"


def _padded(limits: Any, *, log: bool = False) -> tuple[float, float]:
    """Return limits with some room around; of logarithms, as the numbers themselves."""
    low, high = limits
    room = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    low, high = low - room, high + room
    return (10.0**low, 10.0**high) if log else (float(low), float(high))


def _lines(
    ax: Axes, x: Any, values: Any, *, outside: bool, names: Sequence[str | None] = ()
) -> None:
    """Draw one line per column, with a legend where there are several, `outside` or not."""
    groups = values.shape[1]
    alike: dict[bytes, list[int]] = {}
    drawn = [group for group in range(groups) if not np.isnan(values[:, group]).all()] or [0]
    for group in drawn:
        alike.setdefault(values[:, group].tobytes(), []).append(group)
    sets = list(alike.values())
    of_group = {group: index for index, members in enumerate(sets) for group in members}
    colours = _colours(len(sets), groups)
    named = np.unique(np.linspace(0, len(sets) - 1, min(len(sets), _NAMED)).round().astype(int))
    for group in drawn:
        index = of_group[group]
        label = None
        if groups > 1 and sets[index][0] == group and index in named:
            everyone = len(sets[index]) == groups
            label = "all groups" if everyone else _group_names(sets[index], names)
        marker = "o" if len(x) == 1 else None
        ax.plot(x, values[:, group], color=colours[index], marker=marker, label=label)
    values = values[:, drawn]
    peaks = np.abs(values).max(axis=0) if len(values) else np.ones(1)
    if len(values) and (values > 0).all() and peaks.max() > _FAR_APART * peaks.min():
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(values.min(), peaks.min() / _BELOW) / 1.5)
    ax.margins(x=0.02)
    _label_ticks(ax)
    ax.grid(visible=True, alpha=0.3)
    if groups > 1 and outside:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    elif groups > 1:
        ax.legend()


def _colours(count: int, groups: int) -> list[Any]:
    if count == 1 < groups:
        # What all groups share is no colour of one of them.
        return ["0.2"]
    if count <= _FEW_GROUPS:
        return [f"C{index}" for index in range(count)]
    # The yellow end is hard to see on white.
    return [mpl.colormaps["viridis"](0.92 * index / (count - 1)) for index in range(count)]


def _group_names(members: list[int], names: Sequence[str | None]) -> str:
    given = [names[member] for member in members if member < len(names)]
    if given and all(given):
        return ", ".join(map(str, given))
    first, last = members[0], members[-1]
    if first == last:
        return f"group {first}"
    whole = members == list(range(first, last + 1))
    return f"groups {first}-{last}" if whole else f"groups {', '.join(map(str, members))}"
