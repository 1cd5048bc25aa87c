"""The table of epochs and the progress bar."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from lehr.learner.callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

# The bar is redrawn at most this often, in seconds.
_REFRESH = 0.1
_WIDTH = 10


class ProgressCallback(Callback):
    """Prints a row per epoch, and on a terminal shows a progress bar while training.

    Where the output is no terminal, or rich is not installed, the rows are plain lines. Under
    `Learner.no_logging` it prints nothing.
    """

    order = 60
    in_sweep = False

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._logger: Callable[[list[Any]], None] | None = None
        self._drawn = 0.0

    def before_fit(self) -> None:  # noqa: D102
        from lehr.learner.loop import silent

        learn = self.learn
        if learn.logger is not silent:
            self._logger, learn.logger = learn.logger, self._write
            self._bar = _make_bar()
        # Without a bar there is nothing to do in the events to come.
        self.run = self._bar is not None
        if self._logger is None:
            return
        if self._bar is not None:
            self._task = self._bar.add_task(f"epoch 1/{learn.n_epoch}", total=1.0)
            self._bar.start()
        recorder = learn.__dict__.get("recorder")
        if recorder is not None:
            self._write(recorder.metric_names)

    def before_train(self) -> None:  # noqa: D102
        self._show()

    def after_batch(self) -> None:  # noqa: D102
        if time.monotonic() - self._drawn >= _REFRESH:
            self._show()

    def before_validate(self) -> None:  # noqa: D102
        self._show()

    def cleanup_fit(self) -> None:  # noqa: D102
        self.run = True
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._logger is not None:
            self.learn.logger, self._logger = self._logger, None

    def _show(self) -> None:
        self._drawn = time.monotonic()
        learn = self.learn
        stage = "training" if learn.training else "validating"
        text = f"epoch {learn.epoch + 1}/{learn.n_epoch} {stage}"
        recorder = learn.__dict__.get("recorder")
        if recorder is not None and learn.train_iter:
            text += f", train_loss {recorder.smooth_loss:.4f}"
        self._bar.update(self._task, description=text, total=1.0, completed=learn.pct_train)
        self._bar.refresh()

    def _write(self, row: list[Any]) -> None:
        cells = [f"{x:.6f}" if isinstance(x, float) else str(x) for x in row]
        recorder = self.learn.__dict__.get("recorder")
        names = recorder.metric_names if recorder is not None else cells
        widths = [max(_WIDTH, len(name)) for name in names] + [_WIDTH] * len(cells)
        line = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
        if self._bar is not None:
            self._show()
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, flush=True)  # noqa: T201


def _make_bar() -> Any:
    """Return a rich progress bar, or `None` where there is no terminal to show it on."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        return None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, transient=True, auto_refresh=False)
