"""The training loop and the events it sends."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import torch

from lehr.batch import check_loss, own_loss, take_batch
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
from lehr.learner.distributed import Ranks
from lehr.learner.metrics import Metric, make_metric
from lehr.learner.recorder import Recorder
from lehr.learner.schedule import sweeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from lehr.learner.checkpoint import Cut
    from lehr.learner.data import DataLoaders
    from lehr.learner.optimizer import OptimWrapper

    Handlers = dict[str, list[tuple[Callback, Callable[[], None]]]]


class Loop:
    """Trains a model batch by batch and tells callbacks what happens.

    The part of a `Learner` that needs no settings; see there for the attributes.
    """

    model: nn.Module
    loss_func: Callable[..., Any] | None
    opt: OptimWrapper
    _dls: DataLoaders
    _metrics: list[Metric]

    def __init__(self, accelerator: Any = None) -> None:
        self.ranks = Ranks(accelerator)
        self.logger: Callable[[list[Any]], None] = print if self.ranks.main else silent
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
        # Batches whose gradients wait for a step, and batches that no step has used, both of those
        # planned; how many planned ones are behind, of how many.
        self.held = self.lost = 0
        self._done, self._planned = 0, 1
        self.steps: int | None = None
        self._cut: Cut | None = None
        # The handlers of every event, in training and in validation, and those in use; `None` until
        # an event needs them.
        self._tables: dict[bool, Handlers] | None = None
        self._table: Handlers | None = None

    # The loop, top to bottom.

    def _fit(self, n_epoch: int, start_epoch: int = 0) -> None:
        self.n_epoch, self.start_epoch = n_epoch, start_epoch
        self.held = self.lost = 0
        self._short = False
        # `order`, `run_train` and `run_valid` may have been set since a callback was added.
        self._forget_handlers()
        # Those that an interrupted fit left would go into the first step.
        self.opt.torch.zero_grad()
        self.ranks.begin(self.model, self.opt.all_params())
        try:
            try:
                self("before_fit")
                cut, self._cut = self._cut, None
                if cut is not None:
                    start_epoch, cut = cut.begin(self)
                for epoch in range(start_epoch, n_epoch):
                    self.epoch = epoch
                    self._one_epoch(cut)
                    cut = None
            except CancelFitException:
                self("after_cancel_fit")
            self("after_fit")
        finally:
            self.ranks.end()
            self._cleanup()

    def _one_epoch(self, cut: Cut | None = None) -> None:
        try:
            self("before_epoch")
            self._train(cut)
            if self.dls.valid is not None:
                self._validate(self.dls.valid)
        except CancelEpochException:
            self("after_cancel_epoch")
        self("after_epoch")

    def _train(self, cut: Cut | None = None) -> None:
        self._use(self.dls.train, training=True)
        self.set_done(0)
        try:
            self("before_train")
            done, batches = (0, self.ranks.batches(self.dl)) if cut is None else cut.enter(self)
            if self.steps is not None:
                batches = islice(batches, self.steps - done)
            self.iter = done - 1
            self._all_batches(enumerate(batches, done))
            self._check_given()
        except CancelTrainException:
            self("after_cancel_train")
        self("after_train")

    def _check_given(self) -> None:
        """Look at how many batches the epoch had; a sweep takes what there is."""
        given = self.iter + 1
        if given >= self.n_iter:
            return
        if sweeping(self):
            if given == 0:
                raise CancelFitException
        elif given == 0:
            message = (
                f"the training loader gave no batch in epoch {self.epoch}: it must begin anew in "
                f"every epoch, got {type(self.dl).__name__}"
            )
            raise ValueError(message)
        elif not self._short:
            self._short = True
            warnings.warn(
                f"the training loader gave {given} of {self.n_iter} planned batches in epoch "
                f"{self.epoch}: schedules go on at the next epoch's place",
                stacklevel=2,
            )

    def _validate(self, loader: Any) -> None:
        self._use(loader, training=False)
        try:
            self("before_validate")
            self.ranks.sync(self.model)
            with torch.no_grad():
                self._all_batches(enumerate(self.ranks.batches(self.dl)))
        except CancelValidException:
            self("after_cancel_validate")
        self("after_validate")

    def _all_batches(  # noqa: C901, PLR0912, PLR0915
        self, batches: Iterable[tuple[int, Any]]
    ) -> None:
        # One function, and no event without callbacks: a call costs more than what it does here.
        training, device = self.training, self.dls.device
        alone = not training or self.ranks.size == 1
        for self.iter, batch in batches:
            on, opt = self._table or self._resolve(), self.opt
            held, steps = self.held, opt.steps if training else 0
            # One more than planned moves no schedule (row S6).
            planned = training and self.iter < self.n_iter
            has_loss = self.loss_func is not None
            self.batch, self.xb, self.yb = take_batch(batch, device, has_loss)
            self.loss_grad = None
            try:
                if on["before_batch"]:
                    self.send("before_batch")
                xb = self.xb
                plain = alone and (len(xb) != 1 or isinstance(xb[0], torch.Tensor))
                self.pred = self.model(*xb) if plain else self._forward(xb)
                if on["after_pred"]:
                    self.send("after_pred")
                loss_func, yb = self.loss_func, self.yb
                loss = (
                    loss_func(self.pred, *yb)
                    if loss_func is not None and yb
                    else self._other_loss()
                )
                if loss is not None or yb:
                    check_loss(loss)
                    self.loss_grad = loss
                    self.loss = loss.detach()
                if on["after_loss"]:
                    self.send("after_loss")
                if training and self.loss_grad is not None:
                    try:
                        if on["before_backward"]:
                            self.send("before_backward")
                        self.loss_grad.backward()
                        self.held += planned
                    except CancelBackwardException:
                        self.send("after_cancel_backward")
                    if on["after_backward"]:
                        self.send("after_backward")
                    try:
                        if on["before_step"]:
                            self.send("before_step")
                        if not opt.step():
                            raise CancelStepException  # noqa: TRY301
                        self.held = 0
                    except CancelStepException:
                        self.send("after_cancel_step")
                    if on["after_step"]:
                        self.send("after_step")
                    if opt.steps == steps:
                        # The gradients are dropped unused.
                        self.lost += held + planned
                    self.held = 0
                    opt.torch.zero_grad()
            except CancelBatchException:
                if planned and self.held == held and opt.steps == steps:
                    self.lost += 1
                self.send("after_cancel_batch")
            if training:
                self.train_iter += 1
                self._done += planned
                self.pct_train = self._done / self._planned
            if on["after_batch"]:
                self.send("after_batch")

    def _forward(self, xb: tuple[Any, ...]) -> Any:
        """Give the model its inputs, a mapping as its keywords; train it on all processes."""
        model = self.ranks.wrapped(self.model) if self.training else self.model
        return model(**xb[0]) if len(xb) == 1 and isinstance(xb[0], Mapping) else model(*xb)

    def _other_loss(self) -> Any:
        """Return the loss of a batch without a target, `None` where there is none."""
        if self.loss_func is None:
            return own_loss(self.pred)
        if self.training:
            message = "a training batch must hold a target for `loss_func`, got inputs alone"
            raise ValueError(message)
        return None

    @property
    def dls(self) -> DataLoaders:
        """The loaders; with several processes, of this one's share."""
        return self._dls

    @dls.setter
    def dls(self, dls: DataLoaders) -> None:
        self._dls = self.ranks.share_all(dls)

    @property
    def metrics(self) -> list[Metric]:
        """What is measured on the validation set; set it to functions or `Metric`s."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        made = [make_metric(metric) for metric in as_list(metrics)]
        for metric in made:
            if self.ranks.size > 1 and type(metric).merge is Metric.merge:
                message = (
                    "with several processes a metric must have `merge`, so that it is that of the "
                    f"whole validation set: `{metric.name}` has none"
                )
                raise TypeError(message)
        self._metrics = made

    def set_done(self, batches: int) -> None:
        """Set the position behind so many batches of this epoch."""
        n = self.n_iter
        self._done, self._planned = self.epoch * n + min(batches, n), self.n_epoch * n
        self.pct_train = self._done / self._planned

    @property
    def pct_step(self) -> float:
        """Share of the fit that is done, counted in batches whose gradients a step has used.

        The position of its schedules (rule 14). Batches that wait for the step of an
        accumulation have the position of the first of them; a batch whose step was skipped or
        cancelled does not count (row F15).
        """
        if not (self.held or self.lost):
            return self.pct_train
        return max(self._done - self.held - self.lost, 0) / self._planned

    def _use(self, loader: Any, *, training: bool) -> None:
        self.dl = loader
        self.n_iter = (
            planned_batches(loader, self.steps) if training else loader_length(loader) or 0
        )
        self.training = training
        self._use_table()

    def _use_table(self) -> None:
        self._table = None if self._tables is None else self._tables[self.training]

    # Events: callbacks are resolved into one list per event, when first needed.

    def __call__(self, event: str) -> None:
        """Send an event to the callbacks that act on it, lowest `order` first."""
        self.send(event)

    def send(self, event: str) -> None:
        """Send an event to the callbacks that act on it, lowest `order` first."""
        for callback, handler in (self._table or self._resolve())[event]:
            if callback.run:
                try:
                    handler()
                except CancelException:
                    raise
                except Exception as error:
                    error.add_note(f"raised by `{callback.name}` in the event `{event}`")
                    raise

    def _cleanup(self) -> None:
        """Send `cleanup_fit` to every callback that acts on it, whatever another one raises."""
        for callback in self.cbs:
            callback.run = True
        errors = []
        for _, handler in (self._table or self._resolve())["cleanup_fit"]:
            try:
                handler()
            except BaseException as error:  # noqa: BLE001 (raised below, after the rest)
                errors.append(error)
        if errors:
            raise errors[0]

    def _forget_handlers(self) -> None:
        self._tables = self._table = None

    def _resolve(self) -> Handlers:
        """Return the handlers of every event, for training or validation, whichever goes on."""
        self._tables = self._gathered()
        self._table = self._tables[self.training]
        return self._table

    def _gathered(self) -> dict[bool, Handlers]:
        handlers: Handlers = {event: [] for event in EVENTS}
        for callback in sorted(self.cbs, key=lambda callback: callback.order):
            for event, handler in callback.handlers():
                handlers[event].append((callback, handler))
        return {
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

    def show_training_loop(self) -> None:
        """Print the events of a fit in order, each with the callbacks that act on it.

        Example:
            >>> from lehr.testing import synth_learner
            >>> synth_learner().show_training_loop()  # doctest: +ELLIPSIS
            Start Fit
              - before_fit      : [TrainEvalCallback, Recorder, ProgressCallback]
              Start Epoch Loop
            ...
        """
        tables = self._gathered()
        depth, training = 0, True
        for line in _OUTLINE:
            if line.startswith("End"):
                depth -= 1
            if line in ("Start Valid", "End Valid"):
                training = line == "End Valid"
            if line in EVENTS:
                table = tables[training]
                names = ", ".join(type(callback).__name__ for callback, _ in table[line])
                print(f"{'  ' * depth}- {line:<15} : [{names}]")  # noqa: T201
            else:
                print("  " * depth + line)  # noqa: T201
            if line.startswith("Start"):
                depth += 1

    # Callbacks.

    def add_cbs(self, cbs: Any) -> Self:
        """Add a callback, or several: instances or classes."""
        for callback in as_list(cbs):
            self.add_cb(callback)
        return self

    def add_cb(self, cb: Any) -> Self:
        """Add a callback, an instance or a class; the learner gets an attribute of its name."""
        callback = cb() if isinstance(cb, type) else cb
        if not isinstance(callback, Callback):
            message = f"`cbs` must hold callbacks, got {cb!r}"
            raise TypeError(message)
        name = callback.name
        if isinstance(callback, Recorder) and any(isinstance(cb, Recorder) for cb in self.cbs):
            message = (
                "the learner has a Recorder: set what it records (`learn.recorder.train_metrics`), "
                "or remove it first"
            )
            raise ValueError(message)
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
        callback.learn = self  # type: ignore[assignment]  # a Loop is only ever a Learner
        self.cbs = [*self.cbs, callback]
        setattr(self, callback.name, callback)
        self._forget_handlers()
        return self

    def remove_cbs(self, cbs: Any) -> Self:
        """Remove a callback, or several: instances, or classes for all of their instances."""
        for callback in as_list(cbs):
            self.remove_cb(callback)
        return self

    def remove_cb(self, cb: Any) -> Self:
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
            self._forget_handlers()
        return self

    @contextmanager
    def added_cbs(self, cbs: Any) -> Iterator[None]:
        """Add callbacks for the body of a `with`."""
        instances = [cb() if isinstance(cb, type) else cb for cb in as_list(cbs)]
        added = [cb for cb in instances if not any(cb is present for present in self.cbs)]
        try:
            self.add_cbs(added)
            yield
        finally:
            self.remove_cbs(added)

    @contextmanager
    def removed_cbs(self, cbs: Any) -> Iterator[None]:
        """Remove callbacks for the body of a `with`."""
        chosen = as_list(cbs)
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
            self._forget_handlers()

    @contextmanager
    def no_logging(self) -> Iterator[None]:
        """Print nothing in the body of a `with`."""
        logger, self.logger = self.logger, silent
        try:
            yield
        finally:
            self.logger = logger


# What `show_training_loop` prints: events, and where their loops begin and end.
_OUTLINE = (
    "Start Fit", "before_fit",
    "Start Epoch Loop", "before_epoch",
    "Start Train", "before_train",
    "Start Batch Loop", "before_batch", "after_pred", "after_loss", "before_backward",
    "after_backward", "before_step", "after_step", "after_cancel_batch", "after_batch",
    "End Batch Loop",
    "after_cancel_train", "after_train", "End Train",
    "Start Valid", "before_validate",
    "Start Batch Loop", "before_batch", "after_pred", "after_loss", "after_cancel_batch",
    "after_batch", "End Batch Loop",
    "after_cancel_validate", "after_validate", "End Valid",
    "after_cancel_epoch", "after_epoch", "End Epoch Loop",
    "after_cancel_fit", "after_fit", "cleanup_fit", "End Fit",
)  # fmt: skip


def silent(_row: list[Any]) -> None:
    """Log nothing."""


def as_list(items: Any) -> list[Any]:
    """Return one item or several as a list; `None` as an empty one."""
    if items is None:
        return []
    return list(items) if isinstance(items, Iterable) and not isinstance(items, type) else [items]


def as_callbacks(cbs: Any) -> list[Callback]:
    """Return one callback or several as a list, classes as instances of them.

    Raises:
        TypeError: Something is no callback.
    """
    callbacks = [cb() if isinstance(cb, type) else cb for cb in as_list(cbs)]
    for callback in callbacks:
        if not isinstance(callback, Callback):
            message = f"`cbs` must hold callbacks, got {callback!r}"
            raise TypeError(message)
    return callbacks


def loader_length(loader: Any) -> int | None:
    """Return the length of a loader, `None` where it has none."""
    try:
        return len(loader)
    except TypeError:
        return None


def planned_batches(loader: Any, steps: int | None) -> int:
    """Return the number of training batches an epoch is planned to have.

    Raises:
        TypeError: The loader has no length, and `steps` does not give one.
        ValueError: There would be none.
    """
    n = loader_length(loader) if steps is None else steps
    if n is None:
        message = (
            f"the training loader has no length, got {type(loader).__name__}: "
            "give the number of batches in an epoch as `steps=`"
        )
        raise TypeError(message)
    if n == 0:
        message = "the training loader must hold at least one batch, got none"
        raise ValueError(message)
    return n
