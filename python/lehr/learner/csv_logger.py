"""The table of epochs as a file."""

from __future__ import annotations

import csv
import io
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.learner.callback import Callback
from lehr.learner.schedule import sweeping

if TYPE_CHECKING:
    from io import TextIOWrapper


class CSVLogger(Callback):
    """Writes a row per epoch into a CSV file: the columns of `recorder.metric_names`.

    Each row is in the file when its epoch ends, also under `Learner.no_logging`. What a skipped
    validation left out is empty. A file of an earlier fit is replaced when the first epoch ends,
    not before. With several processes the main one writes. Takes no part in a sweep (row L16). A
    fit resumed from a checkpoint goes on where the checkpoint was made: rows written after it are
    cut off.

    Args:
        fname: The file, within `learn.path`; folders that are missing are made.
        append: Whether to add to the file of an earlier fit, which must have the same columns.

    Raises:
        OSError: When a fit begins: the file cannot be written.
        ValueError: When a fit begins: the learner has no `Recorder`, or the file to append to
            has other columns.

    Example:
        >>> import tempfile
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(path=tempfile.mkdtemp(), cbs=CSVLogger)
        >>> with learn.no_logging():
        ...     learn.fit(2)
        >>> [row["epoch"] for row in learn.csv_logger.read_log()]
        [0, 1]

    Reference:
        fastai, `callback.progress.CSVLogger`.
    """

    order = 60
    in_sweep = False

    def __init__(self, fname: str | Path = "history.csv", append: bool = False) -> None:
        self.fname = Path(fname)
        self.append = bool(append)
        self._where: Path | None = None
        self._file: TextIOWrapper | None = None
        # Rows in the file, and rows of the recorder seen.
        self._rows = self._seen = 0
        self._replace = False
        self._started = 0.0

    def read_log(self) -> list[dict[str, Any]]:
        """Return the rows of the file: a dictionary each, numbers as numbers, `None` for nothing.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The callback has not been added to a learner, which has the path.
        """
        if self.learn is not None:
            self._where = self.learn.path / self.fname
        if self._where is None:
            message = "the log has no path yet: add the callback to a learner"
            raise ValueError(message)
        with self._where.open(newline="", encoding="utf-8") as file:
            return [
                {name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)
            ]

    def before_fit(self) -> None:
        """Open the file and check that it fits; what is in it stays until there is a row."""
        if sweeping(self.learn):
            return
        recorder = self.learn.__dict__.get("recorder")
        if recorder is None:
            message = "CSVLogger needs a Recorder to write from, the learner has none"
            raise ValueError(message)
        self._replace = not self.append
        self._rows = self._seen = 0
        self.learn.ranks.on_main(self._open)

    def _open(self) -> None:
        self._where = self.learn.path / self.fname
        self._where.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._where.open("a+", newline="", encoding="utf-8")
        if self.append:
            self._rows = max(len(self._lines()) - 1, 0)

    def _lines(self) -> list[str]:
        """Return the lines of the file that is open, its header first."""
        file = self._file
        if file is None:
            return []
        file.seek(0)
        lines = file.readlines()
        columns = self.learn.recorder.metric_names
        if lines and lines[0] != _line(columns):
            message = (
                f"{self._where} has the columns {lines[0].rstrip()}, the fit has "
                f"{','.join(columns)}"
            )
            raise ValueError(message)
        return lines

    def before_epoch(self) -> None:
        """Look at the clock."""
        self._started = time.monotonic()

    def after_epoch(self) -> None:
        """Write the epoch's row."""
        recorder, file = self.learn.recorder, self._file
        before, self._seen = self._seen, len(recorder.values)
        if file is None or self._seen == before:
            # Without a row, the epoch was cancelled before it began to be recorded.
            return
        columns = recorder.metric_names
        row = [self.learn.epoch, *recorder.values[-1]]
        row += [""] * (len(columns) - len(row))
        if columns[-1] == "time":
            minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
            hours, minutes = divmod(minutes, 60)
            row[-1] = f"{hours}:" * bool(hours) + f"{minutes:02d}:{seconds:02d}"
        if self._replace:
            file.truncate(0)
            self._replace = False
        empty = file.seek(0, os.SEEK_END) == 0
        file.write(_line(columns) * empty + _line(row))
        file.flush()
        self._rows += 1

    def cleanup_fit(self) -> None:
        """Close the file, however the fit ended."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> dict[str, Any]:
        """Return the number of rows in the file."""
        return {
            "fname": str(self.fname),
            "rows": self._rows,
            "seen": self._seen,
            "replace": self._replace,
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        if state["fname"] != str(self.fname):
            message = (
                f"the state of `{self.name}` was saved with fname={state['fname']!r}, "
                f"not {str(self.fname)!r}"
            )
            raise ValueError(message)
        if not state["replace"]:
            self._lines()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut the file down to the rows of a state, and go on after them.

        Raises:
            ValueError: The state is of another file, or the file has other columns.

        Warns:
            UserWarning: The file has fewer rows.
        """
        self.check_state_dict(state)
        if self._file is None:
            return
        self._seen, self._replace = state["seen"], state["replace"]
        if self._replace:
            return
        lines = self._lines()
        kept = lines[: state["rows"] + 1]
        self._rows = max(len(kept) - 1, 0)
        if self._rows < state["rows"]:
            warnings.warn(
                f"{self._where} has {self._rows} of the {state['rows']} rows that were written "
                "before: the others are lost",
                stacklevel=2,
            )
        self._file.truncate(len("".join(kept).encode()))


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _value(text: str | None) -> Any:
    """Read a cell."""
    for kind in (int, float):
        try:
            return kind(text or "")
        except ValueError:
            continue
    return text or None
