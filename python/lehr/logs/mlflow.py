"""The runs of MLflow: its store of files, and its database."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from lehr.logs.series import Series, curves, from_lines
from lehr.logs.sources import Source, Unread
from lehr.logs.yaml import flat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lehr.logs.assemble import Curve
    from lehr.logs.columns import Options
    from lehr.logs.report import Report
    from lehr.logs.sources import Folder

_META = "meta.yaml"
# The tag with the name of a run: older stores have it nowhere else.
_NAME = "mlflow.runName"
# What an experiment has beside its runs.
_BESIDE = ("datasets", "models", "tags", "traces")


class Files:
    """The store of files: `mlruns/<experiment>/<run>`, where a run is a source."""

    name = "mlflow"

    def claim(self, folder: Folder) -> list[str]:
        """Return what makes a folder a run, or an experiment, which has no curve of its own.

        The artifacts of a run are left: any log may be among them.
        """
        if _META not in folder.names:
            return []
        head = folder.head(_META)
        if b"experiment_id:" not in head:
            return []
        if _is_run(head):
            return [_META, *(name for name in folder.folders if name != "artifacts")]
        return [_META, *(name for name in folder.folders if name in _BESIDE)]

    def detect(self, source: Source) -> bool:  # noqa: ARG002 (a run is told by its folder)
        """Return that no file alone is a run."""
        return False

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Curve]:
        """Yield the curves of a run."""
        if not source.members:
            raise Unread("is no run of MLflow: read the folder of a run, or one above it")
        meta = flat(source.member(_META), report)
        run = meta.get("run_id") or meta.get("run_uuid")
        if not run:
            if _is_run(source.member(_META).head):
                raise Unread(f"has no id in its {_META}")
            return
        if meta.get("lifecycle_stage") == "deleted":
            raise Unread("is a run that was deleted in MLflow")
        metadata = {name: _content(file) for name, file in _under(source, "params")}
        names = [_content(file) for name, file in _under(source, "tags") if name == _NAME]
        metadata["experiment"] = _experiment(source, report)
        metadata["run_name"] = names[0] if names else meta.get("run_name", "")
        metrics = dict(_under(source, "metrics"))
        yield from curves(
            metrics,
            lambda key: _metric(metrics[key], report),
            asked,
            report,
            run=run,
            place=source.name,
            metadata={name: value for name, value in metadata.items() if value},
        )


def _is_run(head: bytes) -> bool:
    return b"run_id:" in head or b"run_uuid:" in head


def _experiment(source: Source, report: Report) -> str:
    """Return the name of the experiment that a run lies in; empty where it lies by itself."""
    path = Path(source.local).absolute().as_posix() if source.local else source.path
    above = Source(f"{path.rstrip('/').rpartition('/')[0]}/{_META}", source.files)
    is_there = source.files.kind(above.path) == "file"
    return flat(above, report).get("name", "") if is_there else ""


def _under(source: Source, name: str) -> Iterator[tuple[str, Source]]:
    """Yield the files of a folder of a run: keys with a slash are folders in it."""
    if name not in source.members:
        return
    waiting = [(source.member(name), "")]
    while waiting:
        folder, prefix = waiting.pop()
        folders, files = source.files.children(folder.path)
        for file in sorted(files):
            yield prefix + file, folder.member(file)
        waiting += [(folder.member(one), f"{prefix}{one}/") for one in sorted(folders)]


def _content(file: Source) -> str:
    with file.text() as lines:
        return lines.read().strip()


def _metric(file: Source, report: Report) -> Series:
    try:
        with file.text() as lines:
            return from_lines(lines, _line, file.name, report)
    except (OSError, EOFError, UnicodeError) as error:
        raise Unread(f"cannot be used: {file.name} cannot be read: {error}") from None


def _line(line: str) -> tuple[np.int64, float]:
    try:
        # Stores of before 2019 have no steps.
        _, value, step = [*line.split(), "0"][:3]
        return np.int64(step), float(value)
    except (ValueError, OverflowError):
        raise ValueError("a time, a value and a step") from None


class Database:
    """The database that is MLflow's store by default; it is opened to be read only."""

    name = "mlflow_db"

    def detect(self, source: Source) -> bool:
        """Return whether a file is a database with MLflow's tables."""
        if not source.head.startswith(b"SQLite format 3\0"):
            return False
        if source.local is None or source.compression is not None:
            # What it holds cannot be told, and no other format is a database.
            return True
        with suppress(sqlite3.Error), closing(_connect(source)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            return {"experiments", "runs", "metrics", "params"} <= tables
        return False

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Curve]:
        """Yield the curves of all runs that were not deleted."""
        if source.local is None or source.compression is not None:
            raise Unread("is a database: copy it to this machine, decompressed, to read it")
        try:
            with closing(_connect(source)) as database:
                for run, name, experiment in _rows(database, _RUNS, (str, _TEXT, _TEXT)):
                    metadata = dict(_rows(database, _PARAMS, (str, _TEXT), run))
                    metadata |= {"experiment": experiment, "run_name": name or ""}
                    keys = [key for (key,) in _rows(database, _KEYS, (str,), run)]
                    place = f"{source.name}[{run}]"
                    try:
                        yield from curves(
                            keys,
                            partial(_values, database, run),
                            asked,
                            report,
                            run=run,
                            place=place,
                            metadata={key: value for key, value in metadata.items() if value},
                        )
                    except Unread as error:
                        report.skip(place, str(error))
        except sqlite3.Error as error:
            raise Unread(f"cannot be read to its end: {error}") from None


_RUNS = """
    SELECT runs.run_uuid, coalesce(tags.value, runs.name), experiments.name
    FROM runs
    LEFT JOIN experiments ON experiments.experiment_id = runs.experiment_id
    LEFT JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.runName'
    WHERE runs.lifecycle_stage != 'deleted'
    ORDER BY runs.start_time, runs.run_uuid
"""
_PARAMS = "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key"
_KEYS = "SELECT DISTINCT key FROM metrics WHERE run_uuid = ? ORDER BY key"
_TEXT = (str, type(None))
_VALUES = """
    SELECT step, value, is_nan FROM metrics WHERE run_uuid = ? AND key = ?
    ORDER BY step, timestamp, rowid
"""


def _connect(source: Source) -> sqlite3.Connection:
    path = Path(source.path).absolute().as_posix()
    # Whoever reads a stream may ask for each batch from another thread, one at a time.
    return sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)


def _rows(
    database: sqlite3.Connection, query: str, kinds: tuple[Any, ...], *given: str
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query; raise `Unread` where a column has values of another kind.

    A column of SQLite holds anything, and one of a damaged database does.
    """
    for row in database.execute(query, given):
        if not all(map(isinstance, row, kinds)):
            raise Unread(f"is damaged: it has {row} where MLflow has other kinds of values")
        yield row


def _values(database: sqlite3.Connection, run: str, key: str) -> Series:
    rows = list(_rows(database, _VALUES, (int, (int, float), int), run, key))
    steps = np.array([step for step, _, _ in rows], np.int64)
    values = np.array([np.nan if is_nan else value for _, value, is_nan in rows], np.float64)
    # A database has no infinities: MLflow writes the largest number for them.
    largest = np.abs(values) == np.finfo(np.float64).max
    values[largest] = np.copysign(np.inf, values[largest])
    return Series(steps, values)


FORMATS = (Files(), Database())
