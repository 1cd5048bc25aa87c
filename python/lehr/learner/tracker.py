"""Callbacks that watch a figure of each epoch and act on it: stop, save, reduce the rate."""

from __future__ import annotations

import math
import operator
import warnings
from typing import TYPE_CHECKING, Any

from lehr import _core
from lehr.arguments import integer
from lehr.learner.callback import Callback, CancelFitException, check_settings
from lehr.learner.loop import silent
from lehr.learner.schedule import ParamScheduler, sweeping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lehr.learner.learner import Learner


class TerminateOnNaNCallback(Callback):
    """Ends the fit at the first training loss that is NaN or infinite.

    That loss is not recorded; the step it led to has been taken. The loss of every batch is read
    at once, so a GPU is waited for every batch: that is the price of stopping at once.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e6, cbs=TerminateOnNaNCallback)
        >>> with learn.no_logging():
        ...     learn.fit(10)
        >>> len(learn.recorder.losses) < 100
        True

    Reference:
        fastai, `callback.tracker.TerminateOnNaNCallback`.
    """

    order = -9
    run_valid = False
    in_sweep = False

    def after_batch(self) -> None:
        """End the fit when the loss is not finite."""
        learn = self.learn
        # One process's NaN ends the fit of all.
        loss = learn.ranks.mean(learn.loss)
        if not math.isfinite(loss) and not sweeping(learn):
            place = f"epoch {learn.epoch}, batch {learn.iter}"
            _say(learn, f"The training loss is {float(loss)} in {place}: training ends")
            raise CancelFitException


class TrackerCallback(Callback):
    """Keeps the best value of a figure over the epochs of a fit.

    An epoch is the best so far when `comp(value + min_delta, best)` where lower is better, or
    `comp(value - min_delta, best)` where higher is. NaN is never the best. An epoch that has no
    value, because it or its validation was cancelled, is not judged. Takes no part in a sweep.

    Args:
        monitor: Name of the figure, one of `recorder.metric_names`: `train_loss`, `valid_loss`, a
            metric.
        comp: Called with two numbers, whether the first is better; by default lower is better for
            a name that contains "loss" or "error", and higher for any other.
        min_delta: How much better a value must be to count, at least 0, in its unit.
        reset_on_fit: Whether `best` starts anew with each fit.

    Attributes:
        best: The best value so far; infinite before the first.
        new_best: Whether the last epoch was the best so far.
        value: What the last epoch was judged by, or `None`.
        rows: Number of rows of the recorder seen in this fit.

    Raises:
        TypeError: `monitor` is no text, or `comp` cannot be called.
        ValueError: `min_delta` is below 0 or not finite, or `comp` prefers neither 0 nor 1. When
            a fit begins: the learner has no `Recorder`, or that has no figure called `monitor`.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2)
        >>> tracker = TrackerCallback("train_loss")
        >>> with learn.no_logging():
        ...     learn.fit(3, cbs=tracker)
        >>> tracker.best == min(row[0] for row in learn.recorder.values)
        True

    Reference:
        fastai, `callback.tracker.TrackerCallback`.
    """

    order = 60
    in_sweep = False

    # What a state must agree on, and what it brings back.
    settings: tuple[str, ...] = ("monitor", "direction", "min_delta", "reset_on_fit")
    kept: tuple[str, ...] = ("best", "rows")

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        reset_on_fit: bool = True,
    ) -> None:
        if not isinstance(monitor, str):
            message = f"`monitor` must be the name of a figure, got {monitor!r}"
            raise TypeError(message)
        if comp is None:
            comp = operator.lt if "loss" in monitor or "error" in monitor else operator.gt
        if not callable(comp):
            message = f"`comp` must be a function of two numbers, got {comp!r}"
            raise TypeError(message)
        lower, higher = bool(comp(0.0, 1.0)), bool(comp(1.0, 0.0))
        if lower == higher:
            message = f"`comp` must prefer one of 0 and 1 to the other, got {comp!r}"
            raise ValueError(message)
        self.monitor = monitor
        self.comp = comp
        self.direction = "lower" if lower else "higher"
        self.min_delta = _at_least_0(min_delta, "min_delta")
        self.reset_on_fit = bool(reset_on_fit)
        self.best = math.inf if lower else -math.inf
        self.new_best = False
        self.value: float | None = None
        self.rows = 0

    def before_fit(self) -> None:
        """Check that there is such a figure, and start anew."""
        recorder = self.learn.__dict__.get("recorder")
        if recorder is None:
            message = (
                f"{type(self).__name__} needs a Recorder to read `{self.monitor}` from, the "
                "learner has none"
            )
            raise ValueError(message)
        figures = [name for name in recorder.metric_names if name not in ("epoch", "time")]
        if self.monitor not in figures:
            message = f"`monitor` must be among {figures}, got {self.monitor!r}"
            raise ValueError(message)
        if self.reset_on_fit:
            self.best = math.inf if self.direction == "lower" else -math.inf
        self.new_best, self.value, self.rows = False, None, 0

    def after_epoch(self) -> None:
        """Judge the epoch."""
        self.new_best, self.value = False, self._figure()
        if self.value is None or math.isnan(self.value):
            return
        delta = self.min_delta if self.direction == "lower" else -self.min_delta
        if self.comp(self.value + delta, self.best):
            self.best, self.new_best = self.value, True

    def _figure(self) -> float | None:
        """Return this epoch's value, `None` if there is none."""
        recorder = self.learn.recorder
        before, self.rows = self.rows, len(recorder.values)
        if self.rows == before or sweeping(self.learn):
            # Without a row of its own, the epoch was cancelled before it began to be recorded.
            return None
        row = recorder.values[-1]
        index = recorder.metric_names.index(self.monitor) - 1
        return float(row[index]) if index < len(row) else None

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and how far judging is."""
        return {name: getattr(self, name) for name in (*self.settings, *self.kept)}

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        check_settings(self, state, self.settings)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on judging from a state that `state_dict` returned.

        Raises:
            ValueError: It was saved with other settings.
        """
        self.check_state_dict(state)
        for name in self.kept:
            setattr(self, name, state[name])


class SaveModelCallback(TrackerCallback):
    """Saves the model after the best epoch so far, and loads it when the fit ends.

    The files are those of `Learner.save`. A model that was saved is announced as "Better model
    found at epoch i with monitor value: v.", nothing under `Learner.no_logging`.

    Args:
        monitor: As for `TrackerCallback`.
        comp: As for `TrackerCallback`.
        min_delta: As for `TrackerCallback`.
        fname: Name of the file, without its suffix.
        every_epoch: `True` or k: save every epoch, or every k-th (0, k, 2k, ...), as
            `fname_<epoch>` whether it is better or not, and load nothing.
        at_end: Save what the fit ends with under `fname` and load nothing.
        with_opt: Whether the optimizer is saved and loaded with the model.
        reset_on_fit: As for `TrackerCallback`.

    Attributes:
        last_saved_path: The file written last, `None` before the first of a fit.

    Raises:
        TypeError: `every_epoch` is neither a boolean nor an integer.
        ValueError: `every_epoch` is below 0, or given together with `at_end`; otherwise as
            `TrackerCallback`.

    Warns:
        UserWarning: The fit ended and there was nothing to load (row R6).

    Example:
        >>> import tempfile
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2, path=tempfile.mkdtemp())
        >>> with learn.no_logging():
        ...     learn.fit(2, cbs=SaveModelCallback(fname="best"))
        >>> (learn.path / "models" / "best.pth").exists()
        True

    Reference:
        fastai, `callback.tracker.SaveModelCallback`.
    """

    order = 61
    settings = (*TrackerCallback.settings, "fname", "every_epoch", "at_end", "with_opt")
    kept = (*TrackerCallback.kept, "saved")

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        fname: str = "model",
        every_epoch: bool | int = False,
        at_end: bool = False,
        with_opt: bool = False,
        reset_on_fit: bool = True,
    ) -> None:
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        self.fname = str(fname)
        # True is every epoch, False none.
        flag = isinstance(every_epoch, bool)
        self.every_epoch = int(every_epoch) if flag else integer(every_epoch, "every_epoch")
        if self.every_epoch < 0:
            message = f"`every_epoch` must be a number of epochs or False, got {every_epoch}"
            raise ValueError(message)
        if self.every_epoch and at_end:
            message = "`every_epoch` and `at_end` must not both be given"
            raise ValueError(message)
        self.at_end = bool(at_end)
        self.with_opt = bool(with_opt)
        self.saved = False
        self.last_saved_path: Path | None = None

    def before_fit(self) -> None:
        """Start anew."""
        super().before_fit()
        if self.reset_on_fit:
            self.saved, self.last_saved_path = False, None
        # A folder that cannot be made is better found out now.
        (self.learn.path / self.learn.model_dir).mkdir(parents=True, exist_ok=True)

    def after_epoch(self) -> None:
        """Judge the epoch, and save."""
        super().after_epoch()
        if self.every_epoch:
            if self.learn.epoch % self.every_epoch == 0 and not sweeping(self.learn):
                self._save(f"{self.fname}_{self.learn.epoch}")
        elif self.new_best:
            _say(
                self.learn,
                f"Better model found at epoch {self.learn.epoch} with {self.monitor} value: "
                f"{self.best}.",
            )
            self._save(self.fname)

    def after_fit(self) -> None:
        """Load the best model, or save the last one."""
        if self.every_epoch or sweeping(self.learn):
            return
        if self.at_end:
            self._save(self.fname)
        elif self.saved:
            self.learn.load(self.fname, with_opt=self.with_opt)
        else:
            warnings.warn(
                f"no model was saved, as no epoch had a `{self.monitor}` to call best: none is "
                "loaded, and the model stays as the fit left it",
                stacklevel=2,
            )

    def _save(self, fname: str) -> None:
        self.last_saved_path = self.learn.save(fname, with_opt=self.with_opt)
        self.saved = True


class _PatientCallback(TrackerCallback):
    """Acts when a figure has not improved for some epochs."""

    settings = (*TrackerCallback.settings, "patience")
    kept = (*TrackerCallback.kept, "wait")

    def __init__(
        self,
        monitor: str,
        comp: Callable[[Any, Any], Any] | None,
        min_delta: float,
        patience: int,
        reset_on_fit: bool,
    ) -> None:
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        self.patience = integer(patience, "patience")
        if self.patience < 1:
            message = f"`patience` must be at least 1, got {patience}"
            raise ValueError(message)
        self.wait = 0

    def before_fit(self) -> None:
        """Start anew."""
        super().before_fit()
        self.wait = 0

    def after_epoch(self) -> None:
        """Judge the epoch, and act when patience is over."""
        super().after_epoch()
        if self.value is None:
            return
        self.wait = 0 if self.new_best else self.wait + 1
        if self.wait >= self.patience:
            self._act()

    def _act(self) -> None:
        raise NotImplementedError


class EarlyStoppingCallback(_PatientCallback):
    """Ends the fit when a figure has not improved for `patience` epochs.

    Args:
        monitor: As for `TrackerCallback`.
        comp: As for `TrackerCallback`.
        min_delta: As for `TrackerCallback`.
        patience: Number of judged epochs in a row without improvement, at least 1.
        reset_on_fit: As for `TrackerCallback`; the epochs waited start anew in any case.

    Attributes:
        wait: Epochs waited so far.

    Raises:
        TypeError: `patience` is no integer; otherwise as `TrackerCallback`.
        ValueError: `patience` is below 1; otherwise as `TrackerCallback`.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner()
        >>> with learn.no_logging():
        ...     learn.fit(10, cbs=EarlyStoppingCallback(min_delta=1e3, patience=2))
        >>> len(learn.recorder.values)
        3

    Reference:
        fastai, `callback.tracker.EarlyStoppingCallback`.
    """

    order = 63

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        patience: int = 1,
        reset_on_fit: bool = True,
    ) -> None:
        super().__init__(monitor, comp, min_delta, patience, reset_on_fit)

    def _act(self) -> None:
        best = self.learn.epoch - self.wait
        _say(self.learn, f"No improvement since epoch {best}: early stopping")
        raise CancelFitException


class ReduceLROnPlateau(_PatientCallback):
    """Divides the learning rate by `factor` when a figure has not improved for `patience` epochs.

    Where the fit schedules `lr`, the reduction is a factor over the schedule (row F19): each
    batch has the rate `max(lr * reduction, min(lr, min_lr))` of the scheduled `lr`, with
    `reduction = factor^-n` after n plateaus. Otherwise the rate in force is reduced likewise, once
    a plateau, at the end of the epoch. No rate is raised to `min_lr`.

    Args:
        monitor: As for `TrackerCallback`.
        comp: As for `TrackerCallback`.
        min_delta: As for `TrackerCallback`.
        patience: Number of judged epochs in a row without improvement, at least 1.
        factor: What the rate is divided by, above 1.
        min_lr: What no rate is reduced below, at least 0.
        reset_on_fit: As for `TrackerCallback`; epochs waited and reduction start anew in any case.

    Attributes:
        wait: Epochs waited since the last improvement or reduction.
        reduction: The product of all reductions of this fit, 1 before the first.

    Raises:
        TypeError: `patience` is no integer; otherwise as `TrackerCallback`.
        ValueError: A number is outside its range; otherwise as `TrackerCallback`.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2)
        >>> with learn.no_logging():
        ...     learn.fit(3, cbs=ReduceLROnPlateau(min_delta=1e3))
        >>> [f"{lr:g}" for lr in learn.recorder.lrs[::10]]
        ['0.01', '0.01', '0.001']

    Reference:
        fastai, `callback.tracker.ReduceLROnPlateau`.
    """

    order = 62
    run_valid = False
    settings = (*_PatientCallback.settings, "factor", "min_lr")
    kept = (*_PatientCallback.kept, "reduction")

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        patience: int = 1,
        factor: float = 10.0,
        min_lr: float = 0,
        reset_on_fit: bool = True,
    ) -> None:
        super().__init__(monitor, comp, min_delta, patience, reset_on_fit)
        self.factor = float(factor)
        if not (math.isfinite(self.factor) and self.factor > 1):
            message = f"`factor` must be a finite number above 1, got {factor}"
            raise ValueError(message)
        self.min_lr = _at_least_0(min_lr, "min_lr")
        self.reduction = 1.0
        self._scheduled = False

    def before_fit(self) -> None:
        """Start anew."""
        super().before_fit()
        self.reduction = 1.0
        self._scheduled = any(
            isinstance(callback, ParamScheduler) and "lr" in callback.scheds
            for callback in self.learn.cbs
        )

    def before_batch(self) -> None:
        """Reduce the rate that the schedule has set for this batch."""
        if self._scheduled and self.reduction < 1:
            self._reduce(self.reduction)

    def _act(self) -> None:
        self.wait = 0
        self.reduction /= self.factor
        if self._scheduled:
            now = f"{self.reduction:g} of its schedule"
        else:
            before, after = self._reduce(1 / self.factor)
            if after == before:
                return
            now = f"{after:g}"
        _say(self.learn, f"Epoch {self.learn.epoch}: reducing lr to {now}")

    def _reduce(self, reduction: float) -> tuple[float, float]:
        """Reduce the rates in force; return that of the last group, before and after."""
        before = self.learn.opt.get_hyper("lr")
        after = _core.reduced_lr(before, reduction, self.min_lr)
        self.learn.opt.set_hyper("lr", after)
        return float(before[-1]), after[-1]


def _say(learn: Learner, message: str) -> None:
    """Print a message, once, unless the learner is silent."""
    if learn.ranks.main and learn.logger is not silent:
        print(message)  # noqa: T201


def _at_least_0(value: Any, name: str) -> float:
    """Return a number as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        message = f"`{name}` must be a number, got {value!r}"
        raise TypeError(message) from error
    if not (math.isfinite(number) and number >= 0):
        message = f"`{name}` must be finite and at least 0, got {value}"
        raise ValueError(message)
    return number
