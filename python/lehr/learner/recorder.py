"""What a fit leaves behind: rates, losses, metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lehr import _core
from lehr.arguments import integer
from lehr.batch import Mean, batch_size
from lehr.learner.callback import Callback
from lehr.suggestion import Suggestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from lehr.learner.metrics import Metric
    from lehr.sweep import Sweep

# Losses wait on their device and are fetched together: each transfer waits for the device.
_BLOCK = 64


class Recorder(Callback):
    """Records rates, losses and metrics, and logs a row per epoch.

    Everything is of the last fit. With several processes `lrs`, `hps` and `values` are the same on
    each of them; `losses` and `raw_losses` are of the process's own batches, and the training loss
    in `values` is the mean of the smoothed ones.

    Args:
        add_time: Whether the logged row ends with the epoch's duration.
        train_metrics: Whether the metrics are measured on training batches.
        valid_metrics: Whether they are measured on the validation set.
        beta: Memory of the smoothed loss, in [0, 1).

    Attributes:
        lrs: The learning rate of each training batch, of the last group.
        losses: The debiased exponential average of the training loss, `v / (1 - beta^k)` with
            `v = beta v + (1 - beta) loss`, after each batch; NaN where the loss is not finite,
            which the average passes over.
        raw_losses: The training loss of each batch.
        values: Per epoch: the last smoothed loss, the validation loss and metrics.
        iters: Per epoch: the number of training batches so far.
        hps: Scheduled values per batch, by name, of the last group.
        hps_all: The same as lists with one value per group.
        sweep: The curve of the last learning-rate sweep, or `None`.
    """

    order = 50
    in_sweep = False

    def __init__(
        self,
        add_time: bool = True,
        train_metrics: bool = False,
        valid_metrics: bool = True,
        beta: float = 0.98,
    ) -> None:
        self.add_time = add_time
        self.train_metrics = train_metrics
        self.valid_metrics = valid_metrics
        self.beta = beta
        self.sweep: Sweep | None = None
        self.metric_names: list[str] = []
        self._loss = Mean()
        self._reset()

    def _reset(self) -> None:
        self.lrs: list[float] = []
        self.values: list[list[float]] = []
        self.iters: list[int] = []
        self.hps: dict[str, list[float]] = {}
        self.hps_all: dict[str, list[list[float]]] = {}
        self.log: list[Any] = []
        self._started = time.monotonic()
        self.final_record: list[float] = []
        self._losses: list[float] = []
        self._raw: list[float] = []
        self._waiting: list[torch.Tensor] = []
        self._smoother = _core.Smoother(self.beta)

    @property
    def losses(self) -> list[float]:
        """The smoothed training loss after each batch."""
        self._fetch()
        return self._losses

    @property
    def raw_losses(self) -> list[float]:
        """The training loss of each batch."""
        self._fetch()
        return self._raw

    @property
    def smooth_loss(self) -> float:
        """The last smoothed training loss; NaN before the first, and where it is not finite."""
        return self.losses[-1] if self.losses else float("nan")

    def _fetch(self) -> None:
        if not self._waiting:
            return
        if self._waiting[0].is_cpu or len({loss.shape for loss in self._waiting}) > 1:
            losses = [loss.item() for loss in self._waiting]
        else:
            losses = torch.stack(self._waiting).flatten().tolist()
        self._waiting.clear()
        self._raw += losses
        self._losses += self._smoother.extend(losses)

    def before_fit(self) -> None:  # noqa: D102
        self._reset()
        names = [metric.name for metric in self.learn.metrics]
        valid = self.learn.dls.valid is not None
        self.metric_names = ["epoch", "train_loss"]
        both = self.train_metrics and self.valid_metrics and valid
        if self.train_metrics:
            self.metric_names += [f"train_{name}" for name in names] if both else names
        if valid:
            self.metric_names += ["valid_loss"]
            if self.valid_metrics:
                self.metric_names += [f"valid_{name}" for name in names] if both else names
        if self.add_time:
            self.metric_names += ["time"]

    def before_epoch(self) -> None:  # noqa: D102
        self._started = time.monotonic()
        self.log = [self.learn.epoch]

    def before_train(self) -> None:  # noqa: D102
        self._begin()

    def before_validate(self) -> None:  # noqa: D102
        self._begin()

    def _begin(self) -> None:
        self._loss = Mean()
        for metric in self.learn.metrics:
            metric.reset()

    def after_batch(self) -> None:  # noqa: D102
        learn = self.learn
        if learn.loss_grad is None:
            return
        if learn.training:
            waiting = self._waiting
            waiting.append(learn.loss)
            lr = learn.opt.torch.param_groups[-1]["lr"]
            self.lrs.append(lr if type(lr) is float else float(lr))
            if len(waiting) >= _BLOCK:
                self._fetch()
            if not self.train_metrics:
                return
        else:
            self._loss.add(learn.loss, batch_size(learn.yb or learn.xb))
            if not self.valid_metrics:
                return
        for metric in learn.metrics:
            metric.accumulate(learn)

    def after_train(self) -> None:  # noqa: D102
        self.log.append(self.learn.ranks.mean(self.smooth_loss))
        if self.train_metrics:
            self._log_metrics()

    def after_cancel_validate(self) -> None:  # noqa: D102
        self._loss = Mean()

    def after_validate(self) -> None:  # noqa: D102
        self._merge(self._loss)
        if self._loss.count:
            self.log.append(self._loss.value)
            if self.valid_metrics:
                self._log_metrics()

    def _log_metrics(self) -> None:
        for metric in self.learn.metrics:
            self._merge(metric)
            self.log.append(float(metric.value))

    def _merge(self, gathered: Mean | Metric) -> None:
        ranks = self.learn.ranks
        if ranks.size > 1:
            gathered.merge(ranks.gather(gathered.state_dict()))

    def after_epoch(self) -> None:  # noqa: D102
        if not self.log:
            # The epoch was cancelled before it began to be recorded (row F24).
            return
        self.iters.append(len(self.lrs))
        self.final_record = self.log[1:]
        self.values.append(self.final_record)
        row = list(self.log)
        if self.add_time:
            seconds = round(time.monotonic() - self._started)
            hours, minutes = divmod(seconds // 60, 60)
            start = f"{hours}:" if hours else ""
            # What a skipped validation left out stays empty.
            row += [""] * (len(self.metric_names) - len(row) - 1)
            row.append(f"{start}{minutes:02d}:{seconds % 60:02d}")
        self.learn.logger(row)
        self.log = []

    def cleanup_fit(self) -> None:  # noqa: D102
        self._fetch()

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        self._fetch()
        series = {"lrs": self.lrs, "losses": self._losses, "raw": self._raw}
        return {
            **{name: torch.tensor(one, dtype=torch.float64) for name, one in series.items()},
            "values": [list(row) for row in self.values],
            "iters": list(self.iters),
            "log": list(self.log),
            "smoother": list(self._smoother.__reduce__()[1]),
            "mean": [float(self._loss.total), self._loss.count],
            "metrics": [metric.state_dict() for metric in self.learn.metrics],
            "seconds": time.monotonic() - self._started,
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        names = [metric.name for metric in self.learn.metrics]
        if len(names) != len(state["metrics"]):
            message = (
                f"`metrics` must be the {len(state['metrics'])} the training began with, "
                f"got {names}"
            )
            raise ValueError(message)

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.lrs, self._losses, self._raw = (
            state[name].tolist() for name in ("lrs", "losses", "raw")
        )
        self._waiting = []
        self.values = [list(row) for row in state["values"]]
        self.iters, self.log = list(state["iters"]), list(state["log"])
        self._smoother = _core.Smoother(*state["smoother"])
        self._loss.total, self._loss.count = state["mean"]
        for metric, one in zip(self.learn.metrics, state["metrics"], strict=True):
            metric.load_state_dict(one)
        self._started = time.monotonic() - state["seconds"]

    def plot_sched(
        self, keys: str | Sequence[str] | None = None, figsize: tuple[float, float] | None = None
    ) -> Figure:
        """Draw what was scheduled in the last fit: one picture a hyper-parameter.

        Every group has a line (row F5).

        Args:
            keys: Which hyper-parameters: one or several of `hps`; all by default.
            figsize: Width and height of the figure in inches.

        Returns:
            The figure.

        Raises:
            ValueError: The last fit scheduled nothing, or not that hyper-parameter.

        Example:
            >>> from lehr.testing import synth_learner
            >>> learn = synth_learner()
            >>> with learn.no_logging():
            ...     learn.fit_one_cycle(1)
            >>> [ax.get_title() for ax in learn.recorder.plot_sched().axes]
            ['learning rate', 'momentum']
        """
        from lehr import plotting

        if not any(self.hps_all.values()):
            message = "nothing was scheduled in the last fit: plot_sched draws what a schedule set"
            raise ValueError(message)
        keys = list(self.hps_all) if keys is None else [keys] if isinstance(keys, str) else keys
        if not len(keys):
            message = "`keys` must name at least one hyper-parameter, got none"
            raise ValueError(message)
        for key in keys:
            if key not in self.hps_all:
                message = f"`keys` must be among {list(self.hps_all)}, got {key!r}"
                raise ValueError(message)
        return plotting.plot_hypers({key: self.hps_all[key] for key in keys}, figsize)

    def plot_lr_find(
        self,
        skip_end: int = 5,
        return_fig: bool = True,
        suggestions: Sequence[Any] | None = None,
        nms: Sequence[str] | None = None,
        *,
        ax: Any = None,
    ) -> Figure | None:
        """Draw the loss over the learning rate of the last sweep, with suggestions marked.

        Args:
            skip_end: Number of last points to leave out, at least 0; the first one stays.
            return_fig: Whether to return the figure (row L18).
            suggestions: What to mark: points (rate, loss), rates, or what `lr_find` returned; the
                suggestions of the last `lr_find` by default. NaN is left out.
            nms: Their names.
            ax: The matplotlib axes to draw on; those of a new figure by default.

        Returns:
            The figure, or `None` without `return_fig`.

        Raises:
            TypeError: A suggestion is neither a rate nor a point, or `skip_end` is no integer.
            ValueError: There was no sweep, `skip_end` is below 0, or there are more or fewer names
                than suggestions.

        Example:
            >>> from lehr.testing import synth_learner
            >>> learn = synth_learner()
            >>> found = learn.lr_find(show_plot=False)
            >>> learn.recorder.plot_lr_find(suggestions=[found.valley], nms=["mine"])
            <Figure size 600x400 with 1 Axes>
        """
        from lehr import plotting

        if self.sweep is None or not len(self.sweep):
            message = "there is no sweep to draw: run `learn.lr_find()` first"
            raise ValueError(message)
        sweep = self.sweep
        skip_end = _count(skip_end, "skip_end")
        if suggestions is None:
            names, marks = list(sweep.suggestions), list(sweep.suggestions.values())
        else:
            fields = getattr(suggestions, "_fields", None)
            names = list(fields or (f"point {i + 1}" for i in range(len(suggestions))))
            points = [_as_point(sweep, one) for one in suggestions]
            marks = [Suggestion(point[0], point) for point in points]
        if nms is not None:
            names = [nms] if isinstance(nms, str) else list(nms)
        if len(names) != len(marks):
            message = f"`nms` must name each of the {len(marks)} suggestions, got {len(names)}"
            raise ValueError(message)
        pairs = list(zip(names, marks, strict=True))
        figure = plotting.plot_sweep(sweep, skip_end=skip_end, marks=pairs, ax=ax)
        return figure if return_fig else None

    def plot_loss(
        self,
        skip_start: int = 5,
        with_valid: bool = True,
        log: bool = False,
        show_epochs: bool = False,
        ax: Any = None,
    ) -> Any:
        """Draw the training loss over the batches of the last fit, and the validation loss.

        A validation loss is drawn at the end of its epoch.

        Args:
            skip_start: Number of first batches to leave out, at least 0; the last one stays.
            with_valid: Whether to draw the validation loss, where it was measured.
            log: Whether both axes are logarithmic.
            show_epochs: Whether to draw a line at the end of every epoch.
            ax: The matplotlib axes to draw on; those of a new figure by default.

        Returns:
            The axes.

        Raises:
            ValueError: No loss was recorded, `skip_start` is below 0, or `log` is given and a loss
                is not above 0.

        Example:
            >>> from lehr.testing import synth_learner
            >>> learn = synth_learner()
            >>> with learn.no_logging():
            ...     learn.fit(2)
            >>> learn.recorder.plot_loss(show_epochs=True).get_xlabel()
            'training batch'
        """
        from lehr import plotting

        skip_start = _count(skip_start, "skip_start")
        if not self.losses:
            message = "there is no loss to draw: fit first"
            raise ValueError(message)
        valid = []
        if with_valid and "valid_loss" in self.metric_names:
            column = self.metric_names.index("valid_loss") - 1
            # The row of an epoch that was cancelled may be shorter.
            valid = [
                (end, row[column])
                for end, row in zip(self.iters, self.values, strict=True)
                if len(row) > column
            ]
        return plotting.plot_losses(
            self.losses,
            self.raw_losses,
            valid,
            ends=self.iters if show_epochs else (),
            skip_start=skip_start,
            log=log,
            ax=ax,
        )


def _as_point(sweep: Sweep, mark: Any) -> tuple[float, float]:
    try:
        numbers = [float(one) for one in np.asarray(mark, dtype=float).flat]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 1:
        return sweep.point(numbers[0])
    if len(numbers) != 2:  # noqa: PLR2004
        message = f"`suggestions` must hold rates or points (rate, loss), got {mark!r}"
        raise TypeError(message)
    return numbers[0], numbers[1]


def _count(value: Any, name: str) -> int:
    count = integer(value, name)
    if count < 0:
        message = f"`{name}` must be at least 0, got {value}"
        raise ValueError(message)
    return count
