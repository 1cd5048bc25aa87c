"""Charts of Weights & Biases as its page exports them: a table with some columns a run.

The history of a run is a table with a row a step, which `lehr.logs.tables` reads.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, TextIO

import numpy as np

from lehr.logs.columns import find
from lehr.logs.series import Series, curves
from lehr.logs.sources import Source, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lehr.logs.assemble import Curve
    from lehr.logs.columns import Options
    from lehr.logs.report import Report
    from lehr.logs.sources import Folder

# Between the name of a run and that of a metric.
_DASH = " - "
# What is behind the name of a metric in the columns of its least and largest value.
_RANGE = ("__MIN", "__MAX")
# Of a folder with more tables than anyone exports by hand none is opened to see what it is.
_FEW = 16
_SAMPLED = "points stand for several steps, or runs, each: the export is sampled, or of a group"


class _Column(NamedTuple):
    """A column of values, and where what belongs to it stands.

    Attributes:
        run: The name of the run.
        metric: The name of the metric.
        values: The number of the column of values.
        steps: The number of the column of steps.
        axis: What the steps are.
        ends: The numbers of the columns of the least and the largest value, if there are any.
    """

    run: str
    metric: str
    values: int
    steps: int
    axis: str
    ends: tuple[int, ...]


class Charts:
    """Exports of charts, of any number of runs; rates and losses in one file or in several."""

    name = "wandb"

    def claim(self, folder: Folder) -> list[str]:
        """Return the exports in a folder that lack rates or losses, if there are several."""
        tables = [name for name in folder.names if name.lower().endswith(".csv")]
        if len(tables) > _FEW:
            tables = [name for name in tables if name.startswith("wandb_export_")]
        half = []
        for name in tables:
            metrics = {column.metric for column in _columns(_header(folder.head(name)))}
            if metrics and not (find(metrics, "lr") and find(metrics, "loss")):
                half.append(name)
        return half if len(half) > 1 else []

    def detect(self, source: Source) -> bool:
        """Return whether the header of a file is that of a chart."""
        return bool(_columns(_header(source.head)))

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Curve]:
        """Yield the curves of the runs."""
        # Steps of one axis are not those of another.
        runs: dict[tuple[str, str], dict[str, Series]] = {}
        sampled: set[tuple[str, str]] = set()
        for file in [source.member(name) for name in source.members] or [source]:
            for column, series, is_sampled in _read(file, report):
                key = column.run, column.axis
                known = runs.setdefault(key, {})
                if column.metric in known:
                    reason = f"{column.metric} was already read, from another file"
                    report.skip(f"{file.name}[{column.run}]", reason)
                    continue
                known[column.metric] = series
                if is_sampled:
                    sampled.add(key)
        if not runs:
            raise Unread("has no columns named '<run> - <metric>'")
        for (run, axis), metrics in runs.items():
            place = f"{source.name}[{run}]"
            try:
                yield from curves(metrics, metrics.__getitem__, asked, report, run=run, place=place)
            except Unread as error:
                report.skip(place, str(error))
            else:
                if (run, axis) in sampled:
                    report.note(_SAMPLED)


def _header(head: bytes) -> list[str]:
    return next(csv.reader(head.decode("utf-8-sig", "replace").splitlines()[:1]), [])


def _columns(header: list[str]) -> list[_Column]:
    """Return the columns of metrics; none where the header is not that of a chart."""
    plain = [i for i, name in enumerate(header) if i and _DASH in name and name[-5:] not in _RANGE]
    has_range = any(header[i] + _RANGE[0] in header for i in plain)
    if not has_range and (header[:1] != ["Step"] or any(_DASH not in n for n in header[1:])):
        return []
    found, steps = [], {}
    seen: Counter[str] = Counter()
    for index in plain:
        name = header[index]
        run, _, metric = name.rpartition(_DASH)
        seen[name] += 1
        if seen[name] > 1:
            run = f"{run} ({seen[name]})"  # Several runs can have one name.
        if metric == "_step":
            steps[run] = index
            continue
        ends = [name + end for end in _RANGE] == header[index + 1 : index + 3]
        found.append((run, metric, index, (index + 1, index + 2) if ends else ()))
    axis = "_step" if header[0] == "Step" else header[0]
    return [
        _Column(run, metric, index, steps.get(run, 0), "_step" if run in steps else axis, ends)
        for run, metric, index, ends in found
    ]


def _read(file: Source, report: Report) -> Iterator[tuple[_Column, Series, bool]]:
    """Yield the columns of a file with their values, and whether these stand for several each."""
    rows: list[tuple[int, list[str]]] = []
    header: list[str] = []
    try:
        with file.text() as lines:
            reader = csv.reader(_whole(lines, file, report), strict=True)
            header = next(reader, [])
            for row in reader:
                if len(row) == len(header):
                    rows.append((reader.line_num, row))
                elif row:
                    reason = f"has {len(row)} columns, and the header {len(header)}"
                    report.skip(f"{file.name}:{reader.line_num}", reason)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        report.skip(file.name, f"is read up to line {len(rows) + 1}: {error}")
    for column in _columns(header):
        series = _series(column, rows, file, report)
        low, high = column.ends or (0, 0)
        yield column, series, any(row[low] != row[high] for _, row in rows)


def _whole(lines: TextIO, file: Source, report: Report) -> Iterator[str]:
    """Yield the lines of a table, without a last one that may go on."""
    for number, line in enumerate(lines, 1):
        if line.endswith(("\n", '"')):
            yield line
        else:
            report.skip(f"{file.name}:{number}", "the file ends within this line")


def _series(
    column: _Column, rows: list[tuple[int, list[str]]], file: Source, report: Report
) -> Series:
    points = []
    for line, row in rows:
        step, value = row[column.steps], row[column.values]
        if not value:
            continue
        try:
            points.append((float(step), float(value)))
        except ValueError:
            reason = f"has step {step!r} and {column.metric} {value!r}, which are not both numbers"
            report.skip(f"{file.name}:{line}", reason)
    steps, values = np.array(points, np.float64).reshape(-1, 2).T
    return Series(steps, values)


FORMATS = (Charts(),)
