"""The optimizer of a learner, and the methods that train with it."""

from __future__ import annotations

import inspect
import warnings
from contextlib import contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import torch

from lehr import _core
from lehr.arguments import integer
from lehr.learner.loop import Loop, as_callbacks, planned_batches
from lehr.learner.optimizer import OptimWrapper, norm_bias_params
from lehr.learner.schedule import ParamScheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import nn

P = ParamSpec("P")


def resumable(method: Callable[P, None]) -> Callable[P, None]:
    """Let a checkpoint know which method was called with which arguments, so that it can go on."""
    signature = inspect.signature(method)

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        learn: Any = args[0]
        if learn._call is not None:  # noqa: SLF001 (a method of the same class)
            return method(*args, **kwargs)
        given = dict(signature.bind(*args, **kwargs).arguments)
        del given["self"]
        given.pop("cbs", None)
        learn._call = (method.__name__, given)  # noqa: SLF001
        try:
            return method(*args, **kwargs)
        finally:
            learn._call = None  # noqa: SLF001

    return call


class Fits(Loop):
    """The fit methods of a `Learner`; see there for the attributes."""

    opt_func: Any
    lr: Any
    splitter: Callable[[nn.Module], Iterable[Any]]
    wd: Any
    wd_bn_bias: bool
    train_bn: bool
    moms: tuple[Any, Any, Any] | None

    def __init__(self, accelerator: Any = None) -> None:
        super().__init__(accelerator)
        # The fit method that runs, with its arguments, and which of its fits; a checkpoint
        # keeps them.
        self._call: tuple[str, dict[str, Any]] | None = None
        self._phase = 0
        self._resuming: Path | None = None

    @resumable
    def fit(
        self,
        n_epoch: int,
        lr: Any = None,
        wd: Any = None,
        cbs: Any = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
        *,
        steps: int | None = None,
    ) -> None:
        """Train for `n_epoch` epochs.

        Args:
            n_epoch: Number of epochs, at least 1, those before `start_epoch` included.
            lr: Learning rate: one number, one per group, or a slice (`OptimWrapper.set_hyper`);
                the learner's by default.
            wd: Weight decay; the learner's by default, and where that is `None`, as it is.
            cbs: Callbacks of this fit alone.
            reset_opt: Whether to begin with a new optimizer.
            start_epoch: First epoch to train; epochs before it count for the schedule and do
                nothing else.
            steps: Number of training batches in an epoch, at least 1: needed where the training
                loader has no length; an epoch ends after so many.

        Raises:
            TypeError: `n_epoch` or `start_epoch` is no integer, or the training loader has no
                length and `steps` is not given.
            ValueError: `n_epoch` is below 1, `start_epoch` is not in [0, n_epoch], or `steps` is
                below 1.
        """
        check_epochs(n_epoch, start_epoch, steps)
        planned_batches(self.dls.train, steps)
        with self.added_cbs(cbs):
            with self._checking(reset_opt, wd):
                rates = self._values("lr", self.lr if lr is None else lr)
                self._set_wd(wd)
            self.opt.set_hyper("lr", rates)
            self.steps = steps
            try:
                self._fit(n_epoch, start_epoch)
            finally:
                self.steps = None

    def _fit_scheduled(
        self,
        n_epoch: int,
        scheds: dict[str, Any],
        *,
        wd: Any,
        cbs: list[Any],
        start_epoch: int,
        steps: int | None,
    ) -> None:
        self.fit(
            n_epoch,
            wd=wd,
            cbs=[ParamScheduler(scheds), *cbs],
            start_epoch=start_epoch,
            steps=steps,
        )

    @resumable
    def fit_one_cycle(
        self,
        n_epoch: int,
        lr_max: Any = None,
        div: float = 25.0,
        div_final: float = 1e5,
        pct_start: float = 0.25,
        wd: Any = None,
        moms: Any = None,
        cbs: Any = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
        *,
        steps: int | None = None,
    ) -> None:
        """Train for `n_epoch` epochs with the 1cycle policy.

        The rate follows a cosine from `lr_max / div` up to `lr_max` over the share `pct_start` of
        training, then down to `lr_max / div_final`; the momentum follows `moms` the same way.

        Args:
            n_epoch: Number of epochs, at least 1.
            lr_max: Peak rate: one number, one per group, or a slice; the learner's by default.
            div: Above 0; what the peak is divided by at the start.
            div_final: Above 0; what the peak is divided by at the end.
            pct_start: Share of training until the peak, in [0, 1].
            wd: Weight decay, as in `fit`.
            moms: Three momenta: start, peak, end; the learner's by default. `False` schedules the
                rate alone.
            cbs: Callbacks of this fit alone.
            reset_opt: Whether to begin with a new optimizer.
            start_epoch: First epoch to train, as in `fit`.
            steps: Number of training batches in an epoch, as in `fit`.

        Raises:
            ValueError: A number is outside its range.
            KeyError: `moms` is given and the optimizer has no momentum.

        Reference:
            Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
            Learning Rates", 2017.
        """
        check_epochs(n_epoch, start_epoch, steps)
        planned_batches(self.dls.train, steps)
        cbs = as_callbacks(cbs)
        with self._checking(reset_opt, wd):
            scheds = {"lr": _core.one_cycle_lr(self._peak(lr_max), div, div_final, pct_start)}
            momenta = self._momenta(moms)
        if momenta is not None:
            scheds["mom"] = _core.combined_cos(pct_start, *momenta)
        self._fit_scheduled(n_epoch, scheds, wd=wd, cbs=cbs, start_epoch=start_epoch, steps=steps)

    @resumable
    def fit_flat_cos(
        self,
        n_epoch: int,
        lr: Any = None,
        div_final: float = 1e5,
        pct_start: float = 0.75,
        wd: Any = None,
        cbs: Any = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
        *,
        steps: int | None = None,
    ) -> None:
        """Train for `n_epoch` epochs at a flat rate, then along a cosine down.

        The rate is `lr` over the share `pct_start` of training, then follows a cosine down to
        `lr / div_final`. Momentum stays as it is.

        Args:
            n_epoch: Number of epochs, at least 1.
            lr: Flat rate: one number, one per group, or a slice; the learner's by default.
            div_final: Above 0; what the rate is divided by at the end.
            pct_start: Share of training at the flat rate, in [0, 1].
            wd: Weight decay, as in `fit`.
            cbs: Callbacks of this fit alone.
            reset_opt: Whether to begin with a new optimizer.
            start_epoch: First epoch to train, as in `fit` (row F7).
            steps: Number of training batches in an epoch, as in `fit`.

        Raises:
            ValueError: A number is outside its range.

        Reference:
            fastai, `Learner.fit_flat_cos`.
        """
        check_epochs(n_epoch, start_epoch, steps)
        planned_batches(self.dls.train, steps)
        cbs = as_callbacks(cbs)
        with self._checking(reset_opt, wd):
            scheds = {"lr": _core.flat_cos_lr(self._peak(lr, "lr"), div_final, pct_start)}
        self._fit_scheduled(n_epoch, scheds, wd=wd, cbs=cbs, start_epoch=start_epoch, steps=steps)

    @resumable
    def fit_sgdr(
        self,
        n_cycles: int,
        cycle_len: int,
        lr_max: Any = None,
        cycle_mult: float = 2,
        cbs: Any = None,
        reset_opt: bool = False,
        wd: Any = None,
        start_epoch: int = 0,
        *,
        steps: int | None = None,
    ) -> None:
        """Train for `n_cycles` cosine cycles with warm restarts.

        Cycle i takes `cycle_len * cycle_mult**i` epochs, over which the rate follows a cosine
        from `lr_max` to 0. Where the cycles do not fill whole epochs (a fractional
        `cycle_mult`), training takes the nearest whole number of epochs and the cycles share it
        in their ratios, each beginning at a whole batch (row F8).

        Args:
            n_cycles: Number of cycles, at least 1.
            cycle_len: Epochs of the first cycle, at least 1.
            lr_max: Rate at the start of a cycle: one number, one per group, or a slice; the
                learner's by default.
            cycle_mult: Above 0; what the length of a cycle is multiplied with for the next.
            cbs: Callbacks of this fit alone.
            reset_opt: Whether to begin with a new optimizer.
            wd: Weight decay, as in `fit`.
            start_epoch: First epoch to train, as in `fit`.
            steps: Number of training batches in an epoch, as in `fit`.

        Raises:
            ValueError: A number is outside its range, or a cycle would be shorter than a batch.

        Reference:
            Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.
        """
        for name, value in (("n_cycles", n_cycles), ("cycle_len", cycle_len)):
            if integer(value, name) < 1:
                message = f"`{name}` must be at least 1, got {value}"
                raise ValueError(message)
        n_epoch = _core.sgdr_epochs(n_cycles, cycle_len, cycle_mult)
        check_epochs(n_epoch, start_epoch, steps)
        cbs = as_callbacks(cbs)
        batches = n_epoch * planned_batches(self.dls.train, steps)
        with self._checking(reset_opt, wd):
            peak = self._peak(lr_max)
            scheds = {"lr": _core.sgdr_lr(peak, n_cycles, cycle_mult, batches)}
        self._fit_scheduled(n_epoch, scheds, wd=wd, cbs=cbs, start_epoch=start_epoch, steps=steps)

    @resumable
    def fine_tune(
        self,
        epochs: int,
        base_lr: Any = 2e-3,
        freeze_epochs: int = 1,
        lr_mult: float = 100,
        pct_start: float = 0.3,
        div: float = 5.0,
        lr_max: Any = None,
        div_final: float = 1e5,
        wd: Any = None,
        moms: Any = None,
        cbs: Any = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
        *,
        steps: int | None = None,
    ) -> None:
        """Train the last group alone, then all groups with discriminative rates.

        First `fit_one_cycle` of `freeze_epochs` epochs with the groups before the last frozen
        (peak `slice(base_lr)`, almost all of it warm-up); then of `epochs` epochs with all groups,
        peak `slice(base_lr / 2 / lr_mult, base_lr / 2)`. Where `base_lr` gives one rate per group,
        these are the peaks of the first fit, and half of them those of the second.

        Args:
            epochs: Epochs with all groups, at least 1.
            base_lr: Peak rate of the last group in the frozen epochs: one number, one per group,
                or a slice; `None` for the learner's (row F10).
            freeze_epochs: Epochs with the last group alone, at least 0.
            lr_mult: Above 0; ratio of the last group's rate to the first's with all groups.
            pct_start: Share of warm-up with all groups, in [0, 1].
            div: Above 0; what the peak is divided by at the start with all groups.
            lr_max: Peak rate with all groups, in any form `fit_one_cycle` takes, instead of what
                follows from `base_lr` (row F9).
            div_final: Above 0; what the peak is divided by at the end, in both fits.
            wd: Weight decay, as in `fit`.
            moms: Three momenta, as in `fit_one_cycle`.
            cbs: Callbacks of both fits.
            reset_opt: Whether each fit begins with a new optimizer.
            start_epoch: First epoch to train, counted over both fits: those below `freeze_epochs`
                are the frozen ones (row F11).
            steps: Number of training batches in an epoch, as in `fit`.

        Raises:
            TypeError: A number of epochs is no integer.
            ValueError: A number is outside its range.

        Reference:
            fastai, `Learner.fine_tune`.
        """
        if integer(freeze_epochs, "freeze_epochs") < 0:
            message = f"`freeze_epochs` must be at least 0, got {freeze_epochs}"
            raise ValueError(message)
        check_epochs(epochs, 0, steps, name="epochs")
        check_epochs(freeze_epochs + epochs, start_epoch, steps, name="freeze_epochs + epochs")
        planned_batches(self.dls.train, steps)
        cbs = as_callbacks(cbs)
        # What either fit would refuse is refused before the first.
        with self._checking(reset_opt, wd):
            base_lr = self.lr if base_lr is None else base_lr
            frozen_peak, peak = _core.fine_tune_lrs(base_lr, lr_mult, len(self.opt))
            peak = peak if lr_max is None else self._peak(lr_max)
            _core.one_cycle_lr(peak, div, div_final, pct_start)
            momenta = self._momenta(moms)
        common = {
            "div_final": div_final, "wd": wd, "moms": False if momenta is None else momenta,
            "cbs": cbs, "reset_opt": reset_opt, "steps": steps,
        }  # fmt: skip
        # An optimizer that was loaded for the middle of a fit goes on with its state.
        cut = self._cut
        frozen_first = start_epoch < freeze_epochs if cut is None else cut.phase == 0
        self._phase = 0
        try:
            if frozen_first:
                self._freeze_to(-1, clear=start_epoch == 0 and self._cut is None)
                self.fit_one_cycle(
                    freeze_epochs, frozen_peak, pct_start=0.99, start_epoch=start_epoch, **common
                )
                start_epoch = freeze_epochs
            self._phase = 1
            start_epoch = max(start_epoch - freeze_epochs, 0)
            self._freeze_to(0, clear=start_epoch == 0 and self._cut is None)
            self.fit_one_cycle(
                epochs,
                peak,
                pct_start=pct_start,
                div=div,
                start_epoch=start_epoch,
                **common,
            )
        finally:
            self._phase = 0

    # The optimizer.

    def create_opt(self) -> None:
        """Make the optimizer anew from `opt_func` and the splitter's groups.

        Groups that were frozen stay frozen (row F23).
        """
        self._renew_opt()
        # A built optimizer is the one it was.
        self.opt.clear_state()

    def _renew_opt(self) -> None:
        frozen = 0 if self.opt is None else self.opt.frozen_idx
        self.opt = self._make_opt()
        self.opt.force_train = norm_bias_params(self.model, bias=False) if self.train_bn else set()
        if frozen:
            self.opt.freeze_to(frozen)

    def _make_opt(self) -> OptimWrapper:
        opt_func = self.opt_func
        if isinstance(opt_func, torch.optim.Optimizer):
            opt_func = OptimWrapper(opt=opt_func)
        if isinstance(opt_func, OptimWrapper):
            return opt_func
        if isinstance(opt_func, partial) and "lr" in opt_func.keywords:
            # A tensor is filled as training goes on: its value now is the learner's rate.
            rate = opt_func.keywords["lr"]
            self.lr = rate.tolist() if hasattr(rate, "tolist") else rate
        no_decay = () if self.wd_bn_bias else norm_bias_params(self.model)
        groups = self.splitter(self.model)
        if groups is None:
            message = "`splitter` must return the parameter groups of the model, got None"
            raise TypeError(message)
        if (opt_func.func if isinstance(opt_func, partial) else opt_func) is OptimWrapper:
            opt: OptimWrapper = opt_func(groups, no_decay=no_decay)
        else:
            if _needs_rate(opt_func):
                # As the reference calls it; what each group gets is set below.
                opt_func = partial(opt_func, lr=1e-3)
            opt = OptimWrapper(groups, opt_func, no_decay=no_decay)
        opt.set_hyper("lr", self.lr)
        return opt

    def freeze(self) -> None:
        """Train the last parameter group alone: `freeze_to(-1)`.

        Warns where there is one group, which stays trained.
        """
        self.freeze_to(-1)
        if len(self.opt) == 1:
            warnings.warn(
                "the model has one parameter group, so nothing is frozen: give the learner a "
                "`splitter` that returns several",
                stacklevel=2,
            )

    def freeze_to(self, n: int) -> None:
        """Train the parameter groups from `n` on and no others; the optimizer's state is cleared.

        Norm layers go on training in frozen groups where the learner has `train_bn`.

        Args:
            n: Index of the first group to train; negative ones count from the end.

        Raises:
            TypeError: `n` is no integer.
            ValueError: `n` is below minus the number of groups.

        Warns:
            UserWarning: `n` is not below the number of groups, so that all are frozen.
        """
        self._freeze_to(n)

    def _freeze_to(self, n: int, *, clear: bool = True) -> None:
        if self.opt is None:
            self.create_opt()
        self.opt.freeze_to(integer(n, "n"))
        if clear:
            self.opt.clear_state()

    def unfreeze(self) -> None:
        """Train all parameter groups: `freeze_to(0)`."""
        self.freeze_to(0)

    def _set_wd(self, wd: Any = None) -> None:
        wd = self.wd if wd is None else wd
        if wd is not None:
            self.opt.set_hyper("wd", self._values("wd", wd))

    def _values(self, name: str, value: Any) -> list[float]:
        """Return a rate or weight decay that the caller gave, one value per group."""
        values = _core.group_values(value, len(self.opt), name)
        if min(values) < 0:
            message = f"`{name}` must be at least 0, got {value!r}"
            raise ValueError(message)
        return values

    @contextmanager
    def _checking(self, reset_opt: bool, wd: Any) -> Iterator[None]:
        """Have an optimizer in the body, a new one with `reset_opt`, and a `wd` that fits it.

        Where the body refuses an argument, the learner has its old optimizer again.
        """
        before = self.opt, self.lr
        new = reset_opt or self.opt is None
        try:
            if new:
                self._renew_opt()
            wd = self.wd if wd is None else wd
            if wd is not None:
                self._values("wd", wd)
            self._check_trained()
            yield
        except BaseException:
            self.opt, self.lr = before
            raise
        if new:
            self.opt.clear_state()

    def _check_trained(self) -> None:
        """Refuse an optimizer that would move nothing of the model."""
        ours = {id(param) for param in self.model.parameters()}
        if ours and not any(id(param) in ours for param in self.opt.all_params()):
            message = (
                "the optimizer has no parameter of the model: make it from `model.parameters()`, "
                "or pass `reset_opt=True` where the model is another one now"
            )
            raise ValueError(message)

    def _peak(self, lr: Any, name: str = "lr_max") -> Any:
        """Return a rate that the caller gave, or the learner's: one number, or one per group."""
        values = _core.group_values(self.lr if lr is None else lr, len(self.opt), name)
        return values[0] if len(values) == 1 else values

    def _momenta(self, moms: Any) -> tuple[Any, Any, Any] | None:
        """Return the three momenta to schedule, or `None` for none (row F12)."""
        given = moms is not None
        moms = moms if given else self.moms
        if moms is None or moms is False:
            return None
        if not hasattr(moms, "__len__") or len(moms) != 3:  # noqa: PLR2004
            message = f"`moms` must be three momenta (start, peak, end), got {moms!r}"
            raise ValueError(message)
        opt = self.opt
        if not given and not (opt.has_hyper("mom") and all(opt.get_hyper("mom"))):
            has = "momentum 0" if opt.has_hyper("mom") else "no momentum"
            warnings.warn(
                f"{type(opt.torch).__name__} has {has}, so only the rate is scheduled: pass "
                "`moms=False` to say so, or three momenta to schedule them",
                stacklevel=4,
            )
            return None
        if not opt.has_hyper("mom"):
            opt.get_hyper("mom")  # raises, and lists what there is
        checked: list[Any] = []
        for index, value in enumerate(moms):
            values = _core.group_values(value, len(opt), f"moms[{index}]")
            if not all(0 <= one < 1 for one in values):
                message = f"`moms[{index}]` must be at least 0 and below 1, got {value!r}"
                raise ValueError(message)
            checked.append(values[0] if len(values) == 1 else values)
        return checked[0], checked[1], checked[2]


def _needs_rate(opt_func: Any) -> bool:
    """Whether a function that makes an optimizer must be given `lr`."""
    try:
        rate = inspect.signature(opt_func).parameters.get("lr")
    except (TypeError, ValueError):
        return False
    return rate is not None and rate.default is inspect.Parameter.empty


def check_epochs(
    n_epoch: int, start_epoch: int, steps: int | None = None, name: str = "n_epoch"
) -> None:
    """Check the lengths that a caller gave.

    Raises:
        TypeError: One is no integer.
        ValueError: One is outside its range.
    """
    lengths = [(name, n_epoch), ("start_epoch", start_epoch)]
    if steps is not None:
        lengths.append(("steps", steps))
    for what, value in lengths:
        if integer(value, what) < 1 and what != "start_epoch":
            message = f"`{what}` must be at least 1, got {value}"
            raise ValueError(message)
    if not 0 <= start_epoch <= n_epoch:
        message = f"`start_epoch` must be between 0 and {name} = {n_epoch}, got {start_epoch}"
        raise ValueError(message)
