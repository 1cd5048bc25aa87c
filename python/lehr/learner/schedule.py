"""Callbacks that set hyper-parameters by a schedule."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lehr import _core, hypers
from lehr.arguments import integer
from lehr.engine import SweepEngine
from lehr.fingerprint import check_same, fingerprint
from lehr.learner.callback import Callback, CancelFitException, CancelValidException
from lehr.schedules import Spec
from lehr.snapshot import Snapshot
from lehr.spacing import Spacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lehr.learner.learner import Learner
    from lehr.learner.loop import Loop
    from lehr.sweep import Sweep


class ParamScheduler(Callback):
    """Sets hyper-parameters to the value of their schedule before every training batch.

    Step k of a fit of N gets the value at `k / N` (rule 1). What was in force is recorded batch by
    batch in `recorder.hps` (last group) and `recorder.hps_all` (every group).

    Args:
        scheds: For each hyper-parameter (`lr`, `mom`, `wd`, any key of the optimizer's groups) a
            schedule or any function of the position, returning one number or one per group; or a
            list of them, one per group.
        unit: What a schedule counts (rule 14). "step": optimizer steps, so that a batch whose step
            was skipped or cancelled does not count, and all batches of an accumulation have the
            value of its first. "batch": every batch.
        restore: Whether the hyper-parameters are after the fit what they were before it; otherwise
            they stay as the schedule left them (row F13).

    Raises:
        TypeError: `scheds` is no dictionary, or holds something that cannot be called.
        ValueError: `unit` is neither "step" nor "batch".

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

    def __init__(
        self, scheds: Mapping[str, Any], *, unit: str = "step", restore: bool = False
    ) -> None:
        if not hasattr(scheds, "items"):
            message = f"`scheds` must map hyper-parameters to schedules, got {scheds!r}"
            raise TypeError(message)
        if unit not in ("step", "batch"):
            message = f'`unit` must be "step" or "batch", got {unit!r}'
            raise ValueError(message)
        self.scheds = dict(scheds)
        for name, sched in self.scheds.items():
            for one in sched if isinstance(sched, (list, tuple)) else [sched]:
                if not callable(one):
                    message = (
                        f"`scheds[{name!r}]` must be a schedule or a list of them, got {one!r}"
                    )
                    if isinstance(one, Spec):
                        message += ": give what its `resolve(steps)` returns"
                    raise TypeError(message)
        self.unit = unit
        self.restore = restore
        # What was in force, batch after batch, the values of all groups in a row.
        self._rows: dict[str, array[float]] = {}
        self._before: dict[str, list[Any]] = {}
        self._prints: dict[str, Any] | None = None
        self._recording = False

    @property
    def hps(self) -> dict[str, list[float]]:
        """What was in force in each batch, by name, in the last group."""
        return {name: self._table(rows)[:, -1].tolist() for name, rows in self._rows.items()}

    @property
    def hps_all(self) -> dict[str, list[list[float]]]:
        """What was in force in each batch, by name: a list of one value per group."""
        return {name: self._table(rows).tolist() for name, rows in self._rows.items()}

    def _table(self, rows: array[float]) -> Any:
        groups = len(self._before[next(iter(self._before))]) if self._before else 1
        return np.array(rows).reshape(-1, groups)

    def before_fit(self) -> None:
        """Check the schedules against the optimizer and begin to record."""
        opt = self.learn.opt
        self._before = {name: opt.get_hyper(name) for name in self.scheds}
        for name, sched in self.scheds.items():
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
        self._values = [_evaluator(sched) for sched in self.scheds.values()]
        self._write = opt.setter(*self.scheds)
        self._recording = True
        self._begin_record({name: array("d") for name in self.scheds})

    def _begin_record(self, rows: dict[str, array[float]]) -> None:
        self._rows = rows
        self._record = [
            (rows[name].append, index, hypers.float_key(name), name)
            for name in rows
            for index in self.learn.opt.first_indices
        ]

    def before_batch(self) -> None:
        """Set the hyper-parameters for this batch."""
        learn = self.learn
        waits = learn.held or learn.lost
        pos = learn.pct_step if waits and self.unit == "step" else learn.pct_train
        values = []
        for value in self._values:
            values.append(value(pos))  # noqa: PERF401 (a call less than a comprehension)
        self._write(*values)

    def after_batch(self) -> None:
        """Record the values that were in force during this batch."""
        groups = self.learn.opt.torch.param_groups
        for append, index, key, name in self._record:
            group = groups[index]
            value = group.get(key)
            append(value if type(value) is float else hypers.read(group, name))

    def cleanup_fit(self) -> None:
        """Hand what was recorded to the recorder, also after an interruption."""
        learn = self.learn
        recorder = learn.__dict__.get("recorder")
        if recorder is not None and self._recording:
            recorder.hps |= self.hps
            recorder.hps_all |= self.hps_all
        if self.restore and self._recording:
            for name, values in self._before.items():
                learn.opt.set_hyper(name, values)
        self._recording = False

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        if self._prints is None:
            self._prints = {name: fingerprint(sched) for name, sched in self.scheds.items()}
        return {
            "scheds": self._prints,
            "unit": self.unit,
            "before": self._before,
            "hps_all": {
                name: torch.from_numpy(self._table(rows)) for name, rows in self._rows.items()
            },
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        mine = {name: fingerprint(sched) for name, sched in self.scheds.items()}
        if mine.keys() != state["scheds"].keys():
            message = (
                f"`scheds` must schedule {sorted(state['scheds'])} as before the resume, "
                f"got {sorted(mine)}"
            )
            raise ValueError(message)
        if self.unit != state["unit"]:
            message = f"`unit` must be {state['unit']!r} as before the resume, got {self.unit!r}"
            raise ValueError(message)
        steps = self.learn.n_epoch * self.learn.n_iter or None
        for name, print_ in mine.items():
            check_same(name, state["scheds"][name], print_, steps)

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        self._before = state["before"]
        self._begin_record(
            {name: array("d", rows.flatten().tolist()) for name, rows in state["hps_all"].items()}
        )

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
        self._finished: Sweep | None = None
        self._restore_steps: Callable[[], None] = lambda: None
        # A slice needs the number of groups; all else is checked at once.
        known = not any(isinstance(rate, slice) for rate in self._rates)
        super().__init__({"lr": _core.sweep_lr(*self._rates)} if known else {})

    @property
    def sweep(self) -> Sweep:
        """The curve of the sweep that runs or ran last."""
        if self._engine is not None:
            return self._engine.sweep
        if self._finished is None:
            message = "the sweep has not begun"
            raise ValueError(message)
        return self._finished

    @property
    def ran(self) -> bool:
        """Whether there is a sweep, if only begun."""
        return self._engine is not None or self._finished is not None

    def open(self, learn: Learner) -> None:
        """Remember the state that `close` puts back, unless that is done."""
        if self._engine is not None:
            return
        opt = learn.opt
        self._finished = None
        groups = len(opt)
        rates = [
            rate if hasattr(rate, "__float__") else _core.group_values(rate, groups, name)
            for name, rate in zip(("start_lr", "end_lr"), self._rates, strict=True)
        ]
        schedule = _core.sweep_lr(*rates)
        spaced = Spacing("lr", *rates, self.num_it, "exp", None, groups)
        self.scheds = {"lr": schedule}
        modules = [one for one in (learn.model, learn.loss_func) if isinstance(one, nn.Module)]
        self._restore_steps = partial(setattr, opt, "steps", opt.steps)
        set_lr, rate_at, num_it = opt.setter("lr"), schedule.at, self.num_it
        self._engine = SweepEngine(
            lambda: Snapshot(modules, [opt.torch], loaders=[learn.dls.train]),
            lambda iteration: set_lr(rate_at(iteration / num_it)),
            spaced.values,
            self._stop_div,
            settings=spaced.described([1.0] * groups, self._stop_div),
        )
        self._engine.__enter__()

    def close(self) -> None:
        """Put everything back; the curve stays. Interrupted, it can be called again."""
        engine = self._engine
        if engine is None:
            return
        try:
            self._restore_steps()
            engine.__exit__(None, None, None)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._finished, self._engine = engine.sweep, None  # type: ignore[assignment]
            raise
        self._finished, self._engine = engine.sweep, None  # type: ignore[assignment]

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
        # The same curve on every process, so one decision to stop.
        if self._engine.end(self.learn.ranks.mean(self.learn.loss)):
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
            recorder.sweep = self._finished


def sweeping(learn: Loop) -> bool:
    """Whether the fit is a sweep of the learning rate.

    Read off the callbacks at hand, so that nothing is left over when a sweep is interrupted
    (row L2).
    """
    return any(isinstance(callback, LRFinder) for callback in learn.cbs)


def _evaluator(sched: Any) -> Callable[[float], Any]:
    """Return what gives the value at a position: one number, or one per group."""
    if isinstance(sched, (list, tuple)):
        return lambda pos: [one(pos) for one in sched]
    return sched.at if isinstance(sched, _core.Schedule) else sched
