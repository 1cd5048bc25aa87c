"""The training loop and its fit methods."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lehr import _core
from lehr.learner.callback import (
    BATCH_EVENTS,
    EVENTS,
    Callback,
    CancelBackwardException,
    CancelBatchException,
    CancelEpochException,
    CancelException,
    CancelFitException,
    CancelStepException,
    CancelTrainException,
    CancelValidException,
)
from lehr.learner.data import split_batch, to_device
from lehr.learner.metrics import make_metric
from lehr.learner.optimizer import Adam, OptimWrapper, norm_bias_params, params
from lehr.learner.progress import ProgressCallback
from lehr.learner.recorder import Recorder
from lehr.learner.schedule import LRFinder, ParamScheduler
from lehr.learner.suggest import as_rules, suggest, suggested_lrs
from lehr.learner.train_eval import TrainEvalCallback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from lehr.learner.data import DataLoaders
    from lehr.sweep import Sweep

    Handlers = dict[str, list[tuple[Callback, Callable[[], None]]]]


class Learner:
    """A model, its data and its optimizer, and the loop that trains them.

    Args:
        dls: The loaders.
        model: The module to train; moved to the loaders' device when a fit begins.
        loss_func: Called with the model's output and the targets. With `None` the model's output
            must carry its own loss, as `.loss` or `["loss"]`.
        opt_func: Makes the optimizer: a torch optimizer class, a `functools.partial` of one (its
            `lr`, if it has one, becomes the learner's), or an `OptimWrapper`.
        lr: Learning rate where a fit gives none: one number, or one per group.
        splitter: Called with the model, returns its parameter groups, as lists of parameters.
        cbs: Callbacks of every fit: instances or classes.
        metrics: Functions of (prediction, target) averaged over the validation set, or `Metric`s.
        path: Folder for what training writes; the loaders' by default.
        wd: Weight decay set at the beginning of every fit; `None` leaves the optimizer's.
        wd_bn_bias: Whether weight decay applies to norm layers and biases as well.
        moms: Momentum at the start, the peak and the end of `fit_one_cycle`; `None` schedules the
            rate alone.
        default_cbs: Whether to add `TrainEvalCallback`, `Recorder` and `ProgressCallback`.

    Attributes:
        opt: The optimizer as an `OptimWrapper`; `opt.torch` is the torch optimizer. `None` until
            the first fit.
        recorder: What the last fit recorded.
        pct_train: Share of the fit that is done, in [0, 1]: the position of its schedules.
        train_iter: Batches trained on in this fit.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2)
        >>> with learn.no_logging():
        ...     learn.fit_one_cycle(2)
        >>> len(learn.recorder.lrs)
        20

    Reference:
        fastai, `Learner` and `callback.schedule`.
    """

    def __init__(
        self,
        dls: DataLoaders,
        model: nn.Module,
        loss_func: Callable[..., Any] | None = None,
        opt_func: Any = Adam,
        lr: Any = 1e-3,
        splitter: Callable[[nn.Module], Iterable[Any]] = params,
        cbs: Any = None,
        metrics: Any = None,
        path: str | Path | None = None,
        wd: Any = None,
        wd_bn_bias: bool = False,
        moms: tuple[Any, Any, Any] | None = (0.95, 0.85, 0.95),
        default_cbs: bool = True,
    ) -> None:
        for name, value, kind, fits in (
            ("dls", dls, "DataLoaders", hasattr(dls, "train") and hasattr(dls, "device")),
            ("model", model, "a torch module", isinstance(model, torch.nn.Module)),
            (
                "loss_func",
                loss_func,
                "a function or None",
                loss_func is None or callable(loss_func),
            ),
        ):
            if not fits:
                message = f"`{name}` must be {kind}, got {value!r}"
                raise TypeError(message)
        self.dls = dls
        self.model = model
        self.loss_func = loss_func
        self.opt_func = opt_func
        self.opt: OptimWrapper = None  # type: ignore[assignment]  # made by the first fit
        self.lr = lr
        self.splitter = splitter
        self.metrics = [make_metric(metric) for metric in _as_list(metrics)]
        self.path = Path(getattr(dls, "path", ".") if path is None else path)
        self.wd = wd
        self.wd_bn_bias = wd_bn_bias
        self.moms = moms
        self.logger: Callable[[list[Any]], None] = print
        self.training = False
        self.n_epoch = 1
        self.epoch = self.iter = self.n_iter = self.train_iter = self.start_epoch = 0
        self.pct_train = 0.0
        self.loss: Any = 0.0
        self.loss_grad: Any = None
        self.pred: Any = None
        self.xb: tuple[Any, ...] = ()
        self.yb: tuple[Any, ...] = ()
        self.cbs: list[Callback] = []
        self._resolve()
        if default_cbs:
            self.add_cbs([TrainEvalCallback(), Recorder(), ProgressCallback()])
        self.add_cbs(cbs)
        self("after_create")

    # The loop, top to bottom.

    def fit(
        self,
        n_epoch: int,
        lr: Any = None,
        wd: Any = None,
        cbs: Any = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
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

        Raises:
            TypeError: `n_epoch` or `start_epoch` is no integer.
            ValueError: `n_epoch` is below 1, or `start_epoch` is not in [0, n_epoch].
        """
        _check_epochs(n_epoch, start_epoch)
        with self.added_cbs(cbs):
            if reset_opt or self.opt is None:
                self.create_opt()
            self._set_wd(wd)
            self._set("lr", self.lr if lr is None else lr)
            self._fit(n_epoch, start_epoch)

    def _fit(self, n_epoch: int, start_epoch: int = 0) -> None:
        self.n_epoch, self.start_epoch = n_epoch, start_epoch
        # `order`, `run_train` and `run_valid` may have been set since a callback was added.
        self._resolve()
        try:
            try:
                self("before_fit")
                for epoch in range(start_epoch, n_epoch):
                    self.epoch = epoch
                    self._one_epoch()
            except CancelFitException:
                self("after_cancel_fit")
            self("after_fit")
        finally:
            self._cleanup()

    def _one_epoch(self) -> None:
        try:
            self("before_epoch")
            self._train()
            if self.dls.valid is not None:
                self._validate()
        except CancelEpochException:
            self("after_cancel_epoch")
        self("after_epoch")

    def _train(self) -> None:
        self._use(self.dls.train, training=True)
        if self.n_iter == 0:
            message = "the training loader must hold at least one batch, got none"
            raise ValueError(message)
        try:
            self("before_train")
            self._all_batches()
        except CancelTrainException:
            self("after_cancel_train")
        self("after_train")

    def _validate(self) -> None:
        self._use(self.dls.valid, training=False)
        try:
            self("before_validate")
            with torch.no_grad():
                self._all_batches()
        except CancelValidException:
            self("after_cancel_validate")
        self("after_validate")

    def _all_batches(self) -> None:
        for self.iter, batch in enumerate(self.dl):  # noqa: B020 (the attribute is the counter)
            self._one_batch(batch)

    def _one_batch(self, batch: Any) -> None:
        self.batch = to_device(batch, self.dls.device)
        self.xb, self.yb = split_batch(self.batch, has_loss=self.loss_func is not None)
        self.loss_grad = None
        try:
            self("before_batch")
            self.pred = self._forward()
            self("after_pred")
            self.loss_grad = self._loss()
            if self.loss_grad is not None:
                self.loss = _one_number(self.loss_grad)
            self("after_loss")
            if self.training and self.loss_grad is not None:
                self._backward()
                self._step()
                self.opt.zero_grad()
        except CancelBatchException:
            self("after_cancel_batch")
        self("after_batch")

    def _backward(self) -> None:
        try:
            self("before_backward")
            self.loss_grad.backward()
        except CancelBackwardException:
            self("after_cancel_backward")
        self("after_backward")

    def _step(self) -> None:
        try:
            self("before_step")
            self.opt.step()
        except CancelStepException:
            self("after_cancel_step")
        self("after_step")

    def _forward(self) -> Any:
        if len(self.xb) == 1 and isinstance(self.xb[0], Mapping):
            return self.model(**self.xb[0])
        return self.model(*self.xb)

    def _loss(self) -> Any:
        if self.loss_func is not None:
            if self.yb:
                return self.loss_func(self.pred, *self.yb)
            if self.training:
                message = "a training batch must hold a target for `loss_func`, got inputs alone"
                raise ValueError(message)
            return None
        loss = self.pred.get("loss") if isinstance(self.pred, Mapping) else None
        loss = getattr(self.pred, "loss", None) if loss is None else loss
        if loss is None:
            message = (
                "without `loss_func` the model's output must carry its loss as `.loss` or "
                f'["loss"], got {type(self.pred).__name__}'
            )
            raise TypeError(message)
        return loss

    # Events: callbacks are resolved into one list per event in advance.

    def __call__(self, event: str) -> None:
        """Send an event to the callbacks that act on it, lowest `order` first."""
        for callback, handler in self._table[event]:
            if callback.run:
                try:
                    handler()
                except CancelException:
                    raise
                except Exception as error:
                    error.add_note(f"raised by `{callback.name}` in the event `{event}`")
                    raise
        if event == "after_fit":
            for callback in self.cbs:
                callback.run = True

    def _cleanup(self) -> None:
        """Send `cleanup_fit` to every callback that acts on it, whatever another one raises."""
        errors = []
        for _, handler in self._table["cleanup_fit"]:
            try:
                handler()
            except BaseException as error:  # noqa: BLE001 (raised below, after the rest)
                errors.append(error)
        if errors:
            raise errors[0]

    def _resolve(self) -> None:
        """Gather the handlers of every event, for training and for validation."""
        handlers: Handlers = {event: [] for event in EVENTS}
        for callback in sorted(self.cbs, key=lambda callback: callback.order):
            for event, handler in callback.handlers():
                handlers[event].append((callback, handler))
        self._tables = {
            training: {
                event: [
                    (callback, handler)
                    for callback, handler in found
                    if event not in BATCH_EVENTS
                    or (callback.run_train if training else callback.run_valid)
                ]
                for event, found in handlers.items()
            }
            for training in (True, False)
        }
        self._table = self._tables[self.training]

    def _use(self, loader: Any, *, training: bool) -> None:
        self.dl = loader
        self.n_iter = _length(loader)
        self.training = training
        self._table = self._tables[training]

    # Callbacks.

    def add_cbs(self, cbs: Any) -> Learner:
        """Add a callback, or several: instances or classes."""
        for callback in _as_list(cbs):
            self.add_cb(callback)
        return self

    def add_cb(self, cb: Any) -> Learner:
        """Add a callback, an instance or a class; the learner gets an attribute of its name."""
        callback = cb() if isinstance(cb, type) else cb
        if not isinstance(callback, Callback):
            message = f"`cbs` must hold callbacks, got {cb!r}"
            raise TypeError(message)
        name = callback.name
        taken = name in self.__dict__ and not isinstance(self.__dict__[name], Callback)
        if taken or hasattr(type(self), name):
            message = (
                f"a callback named `{callback.name}` would hide the learner's `{callback.name}`: "
                f"give {type(callback).__name__} another name"
            )
            raise ValueError(message)
        if any(callback is present for present in self.cbs):
            message = f"`cbs` must hold each callback once, {callback!r} is there already"
            raise ValueError(message)
        callback.learn = self
        self.cbs = [*self.cbs, callback]
        setattr(self, callback.name, callback)
        self._resolve()
        return self

    def remove_cbs(self, cbs: Any) -> Learner:
        """Remove a callback, or several: instances, or classes for all of their instances."""
        for callback in _as_list(cbs):
            self.remove_cb(callback)
        return self

    def remove_cb(self, cb: Any) -> Learner:
        """Remove a callback; an older one of the same name is the learner's attribute again."""
        if isinstance(cb, type):
            return self.remove_cbs([callback for callback in self.cbs if isinstance(callback, cb)])
        if any(callback is cb for callback in self.cbs):
            self.cbs = [callback for callback in self.cbs if callback is not cb]
            cb.learn = None
            self.__dict__.pop(cb.name, None)
            for callback in self.cbs:
                if callback.name == cb.name:
                    setattr(self, callback.name, callback)
            self._resolve()
        return self

    @contextmanager
    def added_cbs(self, cbs: Any) -> Iterator[None]:
        """Add callbacks for the body of a `with`."""
        instances = [cb() if isinstance(cb, type) else cb for cb in _as_list(cbs)]
        added = [cb for cb in instances if not any(cb is present for present in self.cbs)]
        try:
            self.add_cbs(added)
            yield
        finally:
            self.remove_cbs(added)

    @contextmanager
    def removed_cbs(self, cbs: Any) -> Iterator[None]:
        """Remove callbacks for the body of a `with`."""
        chosen = _as_list(cbs)
        before = list(self.cbs)
        self.remove_cbs(chosen)
        removed = [callback for callback in before if callback not in self.cbs]
        try:
            yield
        finally:
            self.add_cbs(removed)
            # Where they were, so that callbacks of one order keep their turn.
            turn = {id(callback): index for index, callback in enumerate(before)}
            self.cbs = sorted(self.cbs, key=lambda callback: turn.get(id(callback), len(turn)))
            self._resolve()

    @contextmanager
    def no_logging(self) -> Iterator[None]:
        """Print nothing in the body of a `with`."""
        logger, self.logger = self.logger, silent
        try:
            yield
        finally:
            self.logger = logger

    # The optimizer.

    def create_opt(self) -> None:
        """Make the optimizer anew from `opt_func` and the splitter's groups."""
        opt_func = self.opt_func
        if isinstance(opt_func, torch.optim.Optimizer):
            opt_func = OptimWrapper(opt=opt_func)
        if isinstance(opt_func, OptimWrapper):
            self.opt = opt_func
            self.opt.clear_state()
            return
        if isinstance(opt_func, partial) and "lr" in opt_func.keywords:
            self.lr = opt_func.keywords["lr"]
        no_decay = () if self.wd_bn_bias else norm_bias_params(self.model)
        groups = self.splitter(self.model)
        if groups is None:
            message = "`splitter` must return the parameter groups of the model, got None"
            raise TypeError(message)
        if (opt_func.func if isinstance(opt_func, partial) else opt_func) is OptimWrapper:
            self.opt = opt_func(groups, no_decay=no_decay)
        else:
            self.opt = OptimWrapper(groups, opt_func, no_decay=no_decay)
        self.opt.set_hyper("lr", self.lr)

    def _set_wd(self, wd: Any = None) -> None:
        wd = self.wd if wd is None else wd
        if wd is not None:
            self._set("wd", wd)

    def _set(self, name: str, value: Any) -> None:
        """Set a rate or weight decay that the caller gave."""
        values = _core.group_values(value, len(self.opt), name)
        if min(values) < 0:
            message = f"`{name}` must be at least 0, got {value!r}"
            raise ValueError(message)
        self.opt.set_hyper(name, values)

    # Schedules.

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

        Raises:
            ValueError: A number is outside its range.
            KeyError: `moms` is given and the optimizer has no momentum.

        Reference:
            Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
            Learning Rates", 2017.
        """
        _check_epochs(n_epoch, start_epoch)
        if reset_opt or self.opt is None:
            self.create_opt()
        opt = self.opt
        lr_max = self.lr if lr_max is None else lr_max
        peak: Any = _core.group_values(lr_max, len(opt), "lr_max")
        peak = peak[0] if len(peak) == 1 else peak
        scheds = {"lr": _core.one_cycle_lr(peak, div, div_final, pct_start)}
        momenta = self._momenta(moms)
        if momenta is not None:
            scheds["mom"] = _core.combined_cos(pct_start, *momenta)
        self.fit(
            n_epoch,
            wd=wd,
            cbs=[ParamScheduler(scheds), *_as_list(cbs)],
            start_epoch=start_epoch,
        )

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
                stacklevel=3,
            )
            return None
        checked: list[Any] = []
        for index, value in enumerate(moms):
            values = _core.group_values(value, len(opt), f"moms[{index}]")
            if not all(0 <= one < 1 for one in values):
                message = f"`moms[{index}]` must be at least 0 and below 1, got {value!r}"
                raise ValueError(message)
            checked.append(values[0] if len(values) == 1 else values)
        return checked[0], checked[1], checked[2]

    # The finder.

    def lr_find(
        self,
        start_lr: Any = 1e-7,
        end_lr: Any = 10,
        num_it: int = 100,
        stop_div: bool = True,
        show_plot: bool = True,
        suggest_funcs: Any = _core.valley,
    ) -> Any:
        """Sweep the learning rate upwards and suggest a value from the losses.

        Model, optimizer, gradients, modes, random generators, recorder and files are afterwards
        as before, also when the sweep is interrupted. The curve is kept as `recorder.sweep`.

        Args:
            start_lr: First rate, above 0; one number, or one per group.
            end_lr: Rate that iteration `num_it` would have.
            num_it: Number of iterations; below 6 it becomes 6.
            stop_div: Whether to stop when the smoothed loss is above four times the best.
            show_plot: Whether to draw the curve with the suggestions (needs matplotlib).
            suggest_funcs: A rule, or several: functions of `(lrs, losses, num_it)` that get
                one-dimensional float64 tensors and return `(suggestion, (x, y))`. `None` for none.

        Returns:
            A named tuple with one float a rule, by the rules' names, NaN with a warning where a
            rule has nothing to say; `None` without `suggest_funcs`.

        Reference:
            Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.
        """
        if self.opt is None:
            self.create_opt()
        finder = LRFinder(start_lr, end_lr, num_it, stop_div)
        # Before the snapshot: moving replaces the buffers of a model.
        self.model.to(self.dls.device)
        suggest_funcs = as_rules(suggest_funcs)
        outside = [callback for callback in self.cbs if not callback.in_sweep]
        before = dict(self.__dict__)
        silenced = [(callback, callback.run) for callback in self.cbs]
        # Callbacks that read the recorder find one of the sweep; the fit's own stays as it is.
        inside = [Recorder(), finder] if "recorder" in before else [finder]
        try:
            finder.open(self)
            # A sweep reads no metrics, and those of the last fit stay as they are.
            self.metrics = []
            with self.no_logging(), self.removed_cbs(outside), self.added_cbs(inside):
                # Callbacks may cut epochs short (row L17): the finder ends the fit.
                self._fit(finder.num_it)
        finally:
            try:
                finder.close()
            finally:
                # The old values first: at no moment is the learner without its attributes.
                self.__dict__.update(before)
                for name in self.__dict__.keys() - before.keys():
                    del self.__dict__[name]
                for callback, run in silenced:
                    callback.run = run
                self._resolve()
                if finder.ran:
                    self._keep_sweep(finder.sweep)
        sweep = finder.sweep
        if suggest_funcs is None:
            self._show_sweep(sweep, show_plot)
            return None
        names, found = suggest(sweep, suggest_funcs, finder.num_it)
        sweep = self._keep_sweep(sweep.with_suggestions(dict(zip(names, found, strict=True))))
        self._show_sweep(sweep, show_plot)
        return suggested_lrs(names, [one.lr for one in found])

    def _keep_sweep(self, sweep: Sweep) -> Sweep:
        recorder = self.__dict__.get("recorder")
        if recorder is not None:
            recorder.sweep = sweep
        return sweep

    def _show_sweep(self, sweep: Sweep, show_plot: bool) -> None:
        if not show_plot:
            return
        try:
            from lehr import plotting
        except ImportError as error:
            warnings.warn(f"{error}, or pass `show_plot=False`", stacklevel=3)
            return
        plotting.show_sweep(sweep)

    def __getattr__(self, name: str) -> Any:
        model = self.__dict__.get("model")
        if model is not None and not name.startswith("__") and hasattr(model, name):
            return getattr(model, name)
        message = f"the learner and its model have no attribute {name!r}"
        raise AttributeError(message, name=name, obj=self)

    @property
    def smooth_loss(self) -> float:
        """The last smoothed training loss, from the recorder."""
        value: float = self.recorder.smooth_loss
        return value

    def __repr__(self) -> str:
        return f"Learner({type(self.model).__name__}, {len(self.cbs)} callbacks)"


def _one_number(loss: Any) -> torch.Tensor:
    """Return a loss without its graph."""
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        shown = f"shape {tuple(loss.shape)}" if hasattr(loss, "shape") else repr(loss)
        message = f"the loss must be a tensor of one number, got {shown}"
        raise TypeError(message)
    return loss.detach()


def silent(_row: list[Any]) -> None:
    """Log nothing."""


def _as_list(items: Any) -> list[Any]:
    if items is None:
        return []
    return list(items) if isinstance(items, Iterable) and not isinstance(items, type) else [items]


def _length(loader: Any) -> int:
    try:
        return len(loader)
    except TypeError as error:
        message = f"the loader must have a length, got {type(loader).__name__} without one"
        raise TypeError(message) from error


def _check_epochs(n_epoch: int, start_epoch: int) -> None:
    for name, value in (("n_epoch", n_epoch), ("start_epoch", start_epoch)):
        if isinstance(value, bool) or not hasattr(type(value), "__index__"):
            message = f"`{name}` must be an integer, got {value!r}"
            raise TypeError(message)
    if n_epoch < 1:
        message = f"`n_epoch` must be at least 1, got {n_epoch}"
        raise ValueError(message)
    if not 0 <= start_epoch <= n_epoch:
        message = f"`start_epoch` must be between 0 and n_epoch = {n_epoch}, got {start_epoch}"
        raise ValueError(message)
