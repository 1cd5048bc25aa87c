"""Callbacks that set hyper-parameters by a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lehr import _core
from lehr.finder import Snapshot, SweepEngine, integer
from lehr.learner.callback import Callback, CancelFitException, CancelValidException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lehr.learner.learner import Learner
    from lehr.sweep import Sweep


class ParamScheduler(Callback):
    """Sets hyper-parameters to the value of their schedule before every training batch.

    Batch k of a fit of N batches gets the value at `k / N` (rule 1). What was in force is
    recorded batch by batch in `recorder.hps` (last group) and `recorder.hps_all` (every group).

    Args:
        scheds: For each hyper-parameter (`lr`, `mom`, `wd`, any key of the optimizer's groups) a
            schedule or any function of the position, returning one number or one per group; or a
            list of them, one per group.

    Raises:
        TypeError: `scheds` is no dictionary, or holds something that cannot be called.

    Example:
        >>> from lehr import SchedLin
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner()
        >>> with learn.no_logging():
        ...     learn.fit(1, cbs=ParamScheduler({"lr": SchedLin(1e-3, 1e-2)}))
        >>> learn.recorder.hps["lr"][0]
        0.001
    """

    order = 60
    run_valid = False

    def __init__(self, scheds: Mapping[str, Any]) -> None:
        if not hasattr(scheds, "items"):
            message = f"`scheds` must map hyper-parameters to schedules, got {scheds!r}"
            raise TypeError(message)
        self.scheds = dict(scheds)
        for name, sched in self.scheds.items():
            for one in sched if isinstance(sched, (list, tuple)) else [sched]:
                if not callable(one):
                    message = (
                        f"`scheds[{name!r}]` must be a schedule or a list of them, got {one!r}"
                    )
                    raise TypeError(message)
        self.hps: dict[str, list[Any]] = {}
        self.hps_all: dict[str, list[list[Any]]] = {}
        self._recording = False

    def before_fit(self) -> None:
        """Check the schedules against the optimizer and begin to record."""
        opt = self.learn.opt
        for name, sched in self.scheds.items():
            opt.get_hyper(name)
            if isinstance(sched, (list, tuple)):
                inner = {getattr(one, "groups", None) for one in sched}
                groups: Any = len(sched)
                fits = groups == len(opt) and inner <= {None, 1}
            else:
                groups = getattr(sched, "groups", None)
                fits = groups in (None, 1, len(opt))
            if not fits:
                message = (
                    f"`scheds[{name!r}]` must give a value for each of the {len(opt)} parameter "
                    f"groups of the optimizer, got {groups}"
                )
                raise ValueError(message)
        self._recording = True
        self.hps = {name: [] for name in self.scheds}
        self.hps_all = {name: [] for name in self.scheds}

    def before_batch(self) -> None:
        """Set the hyper-parameters for this batch."""
        for name, sched in self.scheds.items():
            self._set(name, sched, self.learn.pct_train)

    def _set(self, name: str, sched: Any, pos: float) -> None:
        many = isinstance(sched, (list, tuple))
        self.learn.opt.set_hyper(name, [one(pos) for one in sched] if many else sched(pos))

    def after_batch(self) -> None:
        """Record the values that were in force during this batch."""
        for name, values in self.hps_all.items():
            now = self.learn.opt.get_hyper(name)
            values.append(now)
            self.hps[name].append(now[-1])

    def cleanup_fit(self) -> None:
        """Hand what was recorded to the recorder, also after an interruption."""
        recorder = self.learn.__dict__.get("recorder")
        if recorder is not None and self._recording:
            recorder.hps |= self.hps
            recorder.hps_all |= self.hps_all
        self._recording = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheds!r})"


class LRFinder(ParamScheduler):
    """Sweeps the learning rate upwards exponentially, as the one sweep engine in callback form.

    Batch i has the rate `start_lr (end_lr / start_lr)^(i / num_it)`. The fit ends after `num_it`
    batches, at divergence, or at the second consecutive loss that is not finite, and then weights,
    optimizer, gradients, modes and random generators are as before. Validation is skipped.

    Args:
        start_lr: First rate, above 0; one number, one per group, or a slice.
        end_lr: Rate that batch `num_it` would have, likewise.
        num_it: Number of batches; below 6 it becomes 6.
        stop_div: Whether to stop when the smoothed loss is above four times the best.

    Attributes:
        sweep: The curve.
    """

    in_sweep = True

    def __init__(
        self, start_lr: Any = 1e-7, end_lr: Any = 10, num_it: int = 100, stop_div: bool = True
    ) -> None:
        self.num_it = max(integer(num_it, "num_it"), 6)
        self._rates = (start_lr, end_lr)
        self._stop_div = stop_div
        self._engine: SweepEngine = None  # type: ignore[assignment]  # while a sweep runs
        self._finished: SweepEngine | None = None
        # A slice needs the number of groups; all else is checked at once.
        known = not any(isinstance(rate, slice) for rate in self._rates)
        super().__init__({"lr": _core.sweep_lr(*self._rates)} if known else {})

    @property
    def sweep(self) -> Sweep:
        """The curve of the sweep that runs or ran last."""
        engine = self._engine or self._finished
        if engine is None:
            message = "the sweep has not begun"
            raise ValueError(message)
        return engine.sweep

    @property
    def ran(self) -> bool:
        """Whether there is a sweep, if only begun."""
        return (self._engine or self._finished) is not None

    def open(self, learn: Learner) -> None:
        """Remember the state that `close` puts back, unless that is done."""
        if self._engine is not None:
            return
        opt = learn.opt
        self._finished = None
        rates = [
            _core.group_values(rate, len(opt), name) if isinstance(rate, slice) else rate
            for name, rate in zip(("start_lr", "end_lr"), self._rates, strict=True)
        ]
        self.scheds = {"lr": _core.sweep_lr(*rates)}
        self._engine = SweepEngine(
            lambda: Snapshot(learn.model, opt.torch, _generators(learn.dls.train)),
            lambda value: opt.set_hyper("lr", value),
            *rates,
            self.num_it,
            self._stop_div,
        )
        self._engine.__enter__()

    def close(self) -> None:
        """Put everything back; the curve stays. Interrupted, it can be called again."""
        engine = self._engine
        if engine is None:
            return
        try:
            engine.__exit__(None, None, None)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._finished, self._engine = engine, None  # type: ignore[assignment]
            raise
        self._finished, self._engine = engine, None  # type: ignore[assignment]

    def before_fit(self) -> None:
        """Remember the state and begin to record."""
        self.open(self.learn)
        super().before_fit()
        self.learn._set_wd()  # noqa: SLF001 (what the training to come will use)

    def before_batch(self) -> None:
        """Set the rate of this batch."""
        self._engine.begin()

    def after_batch(self) -> None:
        """Record the loss, and end the fit when the sweep is over."""
        if self.learn.loss_grad is None:
            return
        super().after_batch()
        if self._engine.end(self.learn.loss):
            raise CancelFitException

    def before_validate(self) -> None:
        """Skip the validation."""
        raise CancelValidException

    def cleanup_fit(self) -> None:
        """Restore everything, however the sweep ended."""
        self.close()
        super().cleanup_fit()
        recorder = self.learn.__dict__.get("recorder")
        if recorder is not None and self._finished is not None:
            recorder.sweep = self._finished.sweep


def _generators(loader: Any) -> list[torch.Generator]:
    """Return the generators a loader draws from: its own, and those of its samplers."""
    found: dict[int, torch.Generator] = {}
    waiting, seen = [loader], set()
    while waiting:
        holder = waiting.pop()
        if holder is None or id(holder) in seen:
            continue
        seen.add(id(holder))
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            found[id(generator)] = generator
        names = ("sampler", "batch_sampler", "dataset", "loader")
        waiting += [getattr(holder, name, None) for name in names]
    return list(found.values())
