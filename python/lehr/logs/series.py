"""Curves out of logs that keep each metric by itself, with steps of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lehr.logs.assemble import Curve
from lehr.logs.columns import choose
from lehr.logs.sources import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lehr.logs.columns import Options
    from lehr.logs.report import Report


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
        Unread: There are no rates or no losses, or they have no step in common.
    """
    for pair in choose(names, asked).pairs:
        lrs, losses = series(pair.lr), series(pair.loss)
        rates, values = joined(lrs, losses)
        if not len(values):
            reason = f"has no step in common for {pair.lr} and {pair.loss}"
            raise Unread(reason, place)
        if len(values) < len(np.unique(losses.steps)):
            report.note("losses of steps without a rate are left out")
        name = "/".join(filter(None, (run or (pair.label and place), pair.label)))
        yield Curve(name, rates, values, pair.smoothing, metadata or {}, place=place)


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


def joined(lrs: Series, losses: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates and losses of the steps that have both, in the order of the steps.

    Of several values of one step the last one counts: fastai logs anew in each batch of its
    validation. Where nobody counted steps, and all are one, each pair is a point.
    """
    steps = np.concatenate([lrs.steps, losses.steps])
    if len(lrs.steps) == len(losses.steps) and not np.any(steps != steps[:1]):
        return lrs.values, losses.values
    _, of_lrs, of_losses = np.intersect1d(lrs.steps[::-1], losses.steps[::-1], return_indices=True)
    return lrs.values[::-1][of_lrs], losses.values[::-1][of_losses]
