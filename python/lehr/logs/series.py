"""Curves out of logs that keep each metric by itself, with steps of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lehr.logs.assemble import Curve
from lehr.logs.averages import SPARSE, undone
from lehr.logs.columns import choose
from lehr.logs.sources import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lehr.logs.columns import Options
    from lehr.logs.report import Report

WITHOUT = "losses of steps without a rate are left out"
SEVERAL = "of several losses of a step the last is read"


class Series(NamedTuple):
    """The values of one metric.

    Attributes:
        steps: The step of each, in the order in which they were logged.
        values: As many values.
    """

    steps: NDArray[Any]
    values: NDArray[np.float64]


def curves(
    names: Iterable[str],
    series: Callable[[str], Series],
    asked: Options,
    report: Report,
    *,
    run: str,
    place: str,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[Curve]:
    """Yield the curves of a run: rates and losses of the same steps.

    Args:
        names: The metrics there are.
        series: Returns the values of one of them.
        asked: What the caller of `read` asks for.
        report: Told what is left out.
        run: The name of the run; empty where it is that of the source.
        place: Where it lies, as in `Skip`.
        metadata: What else is known of it.

    Raises:
        Unread: There are no rates or no losses, or no telling which belong together.
    """
    for pair in choose(names, asked).pairs:
        lrs, losses = series(pair.lr), series(pair.loss)
        notes = Counter[str]()
        rates, values, smoothing = joined(lrs, losses, asked.averaged(pair.smoothing), notes)
        if not len(values):
            reason = f"has no step in common for {pair.lr} and {pair.loss}"
            raise Unread(reason, place)
        for text, count in (+notes).items():
            report.note(text, count)
        name = "/".join(filter(None, (run or (pair.label and place), pair.label)))
        known = metadata or {}
        yield Curve(name, rates, values, None, known, place=place, undone=smoothing or "")


def from_lines(
    lines: Iterable[str],
    parse: Callable[[str], tuple[np.int64, float]],
    place: str,
    report: Report,
    *,
    first: int = 1,
) -> Series:
    """Return the steps and values in the lines of a file; a broken line is told and left out.

    Args:
        lines: The lines, each with its end: one without it may be cut off within a number.
        parse: Returns the step and value of a line; a `ValueError` says what should be there.
        place: What the file is called.
        report: Told of broken lines.
        first: The number of the first line.
    """
    steps, values = [], []
    for number, line in enumerate(lines, first):
        try:
            if not line.endswith("\n"):
                raise ValueError("a line with an end: the file is cut off")  # noqa: TRY301
            step, value = parse(line)
        except ValueError as error:
            report.skip(f"{place}:{number}", f"should be {error}, got {line.strip()[:60]!r}")
        else:
            steps.append(step)
            values.append(value)
    return Series(np.array(steps, np.int64), np.array(values, np.float64))


def joined(
    lrs: Series, losses: Series, smoothing: str | None, notes: Counter[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
    """Return the rates and losses of the steps that have both, and the average that was undone.

    Of several values of one step that follow each other the last one counts: fastai logs anew in
    each batch of its validation. Where the steps fall and come again they are counted anew, and
    rates and losses of the same count belong together; where those of the rates are not, the last
    loss of a step counts. Otherwise the points are in the order of their steps. Where nobody
    counted steps, and all are one, each pair is a point.

    Args:
        lrs: The rates; one that is NaN is missing.
        losses: The losses or averages.
        smoothing: How they were averaged.
        notes: Takes what is left out, and how often.

    Raises:
        Unread: Which belong together cannot be told.
    """
    if not np.any(np.concatenate([lrs.steps, losses.steps]) != losses.steps[:1]):
        if len(lrs.steps) != len(losses.steps):
            reason = f"has {len(lrs.steps)} rates and {len(losses.steps)} losses, all of one step"
            raise Unread(reason)
        of_lrs, of_losses = [lrs], [losses]
    else:
        of_lrs, _ = _counts(lrs)
        of_losses, gone = _counts(losses)
        notes[SEVERAL] += gone
    if len(of_lrs) == 1 < len(of_losses):
        every = Series(*map(np.concatenate, zip(*of_losses, strict=True)))
        _, last = np.unique(every.steps[::-1], return_index=True)
        of_losses = [Series(every.steps[::-1][last], every.values[::-1][last])]
        notes[SEVERAL] += len(every.steps) - len(last)
    if len(of_lrs) != len(of_losses):
        reason = (
            f"has steps that are counted anew {len(of_lrs) - 1} times for its rates "
            f"and {len(of_losses) - 1} times for its losses"
        )
        raise Unread(reason)
    steps, values = (np.concatenate(some) for some in zip(*of_losses, strict=True))
    raw = undone(steps, values, smoothing) if smoothing and len(steps) else None
    if raw is None:
        notes[SPARSE] += smoothing is not None
        raw, smoothing = values, None
    ends = np.cumsum([len(one.steps) for one in of_losses])[:-1]
    found = [
        _matched(rates, Series(one.steps, some))
        for rates, one, some in zip(of_lrs, of_losses, np.split(raw, ends), strict=True)
    ]
    rates, kept = (np.concatenate(some) for some in zip(*found, strict=True))
    there = ~np.isnan(rates)
    notes[WITHOUT] += len(raw) - int(there.sum())
    return rates[there], kept[there], smoothing


def _counts(series: Series) -> tuple[list[Series], int]:
    """Return the values of each count of the steps, and how many others of a step there were."""
    steps, values = series
    last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
    other = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    gone = int(np.count_nonzero(other & ~last[:-1]))
    steps, values = steps[last], values[last]
    falls = np.flatnonzero(steps[1:] < steps[:-1]) + 1  # infinities have no difference
    if len(falls) and len(np.unique(steps)) == len(steps):
        order = np.argsort(steps, kind="stable")
        return [Series(steps[order], values[order])], gone
    parts = zip(np.split(steps, falls), np.split(values, falls), strict=True)
    return [Series(*part) for part in parts], gone


def _matched(lrs: Series, losses: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if np.array_equal(lrs.steps, losses.steps):
        return lrs.values, losses.values
    _, of_lrs, of_losses = np.intersect1d(lrs.steps, losses.steps, return_indices=True)
    return lrs.values[of_lrs], losses.values[of_losses]
