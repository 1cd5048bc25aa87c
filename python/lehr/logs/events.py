"""The event files of TensorBoard, and the tables of one tag that it exports."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lehr._core import EventReader
from lehr.logs.series import Series, curves, from_lines
from lehr.logs.sources import Source, Unread
from lehr.logs.yaml import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lehr.logs.assemble import Curve
    from lehr.logs.columns import Options
    from lehr.logs.report import Report
    from lehr.logs.sources import Folder

_PIECE = 1 << 20
_HYPERS = "hparams.yaml"
# The page names a file so, and the browser writes _ where the names of run or tag have a slash,
# and a number behind the name of a file that is there already.
_EXPORT = re.compile(r"run-(.+)-tag-(.+?)(?: ?\(\d+\))?\.csv(?:\.\w+)?")
_HEADER = "Wall time,Step,Value"
_ALONE = (
    "is one tag of a run, and rates and losses are in a file each: read the folder of both, "
    "named run-<run>-tag-<tag>.csv as TensorBoard does"
)


class Events:
    """Event files: all of one folder are one run, which may have been started several times."""

    name = "tensorboard"

    def claim(self, folder: Folder) -> list[str]:
        """Return the event files in a folder, and the hyper-parameters that Lightning adds."""
        found = [name for name in folder.names if "tfevents" in name]
        return found + [name for name in folder.names if found and name == _HYPERS]

    def detect(self, source: Source) -> bool:
        """Return whether a file begins as an event file, with the version of the format."""
        return b"brain.Event:" in source.head[:64] or "tfevents" in source.base

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Curve]:
        """Yield the curves of a run."""
        metadata = {}
        if _HYPERS in source.members:
            metadata = flat(source.member(_HYPERS), report)
        names = [name for name in source.members if name != _HYPERS]
        files = [source.member(name) for name in names] or [source]
        if len(files) > 1:
            files.sort(key=_started)
        reader = EventReader()
        for file in files:
            if reason := _feed(reader, file):
                report.skip(file.name, reason)
        tags = reader.take()
        if reader.passed_over:
            report.skip(source.name, f"has {reader.passed_over} scalars that are no single number")
        if reader.replaced:
            report.note("scalars of one event file gave way to those of a later one")
        if not tags:
            raise Unread("holds no scalars")
        run = "" if source.members else _folder(source.name)
        series = {tag: Series(steps, values) for tag, (steps, _, values) in tags.items()}
        place = source.name
        yield from curves(
            series, series.__getitem__, asked, report, run=run, place=place, metadata=metadata
        )


class Exports:
    """Tables as the page of TensorBoard downloads them: one tag of one run a file."""

    name = "tensorboard_csv"

    def claim(self, folder: Folder) -> list[str]:
        """Return the files of a folder that are named as the page names them."""
        return [name for name in folder.names if _EXPORT.fullmatch(name)]

    def detect(self, source: Source) -> bool:
        """Return whether a file has the header of such a table."""
        return source.head.startswith(_HEADER.encode())

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Curve]:
        """Yield the curves of the runs."""
        runs: dict[str, dict[str, Source]] = {}
        for name in source.members:
            if found := _EXPORT.fullmatch(name):
                runs.setdefault(found[1], {})[found[2]] = source.member(name)
        if not runs:
            raise Unread(_ALONE)
        for run, tags in sorted(runs.items()):
            series = partial(_table, tags, report)
            place = f"{source.name}[{run}]"
            try:
                yield from curves(tags, series, asked, report, run=run, place=place)
            except Unread as error:
                report.skip(place, str(error))


def _table(tags: Mapping[str, Source], report: Report, tag: str) -> Series:
    file = tags[tag]
    try:
        with file.text() as lines:
            if lines.readline().strip() != _HEADER:
                raise Unread(f"cannot be used: {file.name} has no header {_HEADER!r}")
            return from_lines(lines, _row, file.name, report, first=2)
    except (OSError, EOFError, UnicodeError) as error:
        raise Unread(f"cannot be used: {file.name} cannot be read: {error}") from None


def _row(line: str) -> tuple[np.int64, float]:
    try:
        _, step, value = line.split(",")
        return np.int64(step), float(value)
    except (ValueError, OverflowError):
        raise ValueError("a time, a step and a value") from None


def _folder(path: str) -> str:
    """Return the folder of a file."""
    return path.replace("\\", "/").rpartition("/")[0] or "."


def _started(file: Source) -> tuple[float, str]:
    """Return the time of the first event of a file; a file without one comes last."""
    reader = EventReader()
    try:
        reader.push(file.head)
    except (OSError, EOFError, ValueError):
        pass  # It is told when the file is read.
    finally:
        file.forget()
    started = reader.started
    return (float("inf") if started is None else started, file.name)


def _feed(reader: EventReader, file: Source) -> str | None:
    """Read a file; return why it could not be read to its end, `None` if it was."""
    reason = None
    try:
        with file.open() as stream:
            while piece := stream.read(_PIECE):
                reader.push(piece)
    except ValueError as error:
        reason = f"is read up to where it is corrupt: {error}"
    except (OSError, EOFError) as error:
        reason = f"cannot be read to its end: {error}"
    try:
        reader.finish()
    except ValueError as error:
        return reason or f"is read up to where it is cut off: {error}"
    return reason


FORMATS = (Events(), Exports())
