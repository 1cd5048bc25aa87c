"""The learner: model, data and optimizer, and what one does with them besides training."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from lehr import _core, hypers
from lehr.arguments import integer
from lehr.learner import checkpoint, files
from lehr.learner.data import as_device
from lehr.learner.distributed import whole
from lehr.learner.fits import Fits
from lehr.learner.loop import as_list, loader_length
from lehr.learner.optimizer import Adam, copied, params
from lehr.learner.progress import ProgressCallback
from lehr.learner.recorder import Recorder
from lehr.learner.schedule import LRFinder
from lehr.learner.suggest import as_rules, suggest, suggested_lrs
from lehr.learner.train_eval import TrainEvalCallback
from lehr.memory import keep_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from lehr.learner.data import DataLoaders
    from lehr.learner.optimizer import OptimWrapper
    from lehr.sweep import Sweep


# Where the loop is, and in which batch.
_PLACE = (
    "dl", "n_iter", "iter", "training", "batch", "xb", "yb", "pred", "loss", "loss_grad",
)  # fmt: skip


class Learner(Fits):
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
        model_dir: Folder in `path` for saved models and checkpoints.
        wd: Weight decay set at the beginning of every fit; `None` leaves the optimizer's.
        wd_bn_bias: Whether weight decay applies to norm layers and biases as well.
        train_bn: Whether norm layers of frozen groups go on training.
        moms: Momentum at the start, the peak and the end of `fit_one_cycle`; `None` schedules the
            rate alone.
        default_cbs: Whether to add `TrainEvalCallback`, `Recorder` and `ProgressCallback`.
        accelerator: An `accelerate.Accelerator`, to train in several processes: each makes the
            same learner and calls the same methods, and gets its share of the batches of `dls`
            (docs/distributed.md). `None` for one process.

    Attributes:
        opt: The optimizer as an `OptimWrapper`; `opt.torch` is the torch optimizer. `None` until
            the first fit.
        recorder: What the last fit recorded.
        pct_train: Share of the fit's batches that are done, in [0, 1].
        pct_step: The same counted in optimizer steps: the position of the fit's schedules.
        train_iter: Batches trained on in this fit; with several processes, by each.
        ranks: The processes that train: `ranks.rank`, `ranks.size`, `ranks.main`.

    Raises:
        TypeError: An argument is of the wrong type; with several processes also a loader that
            cannot be shared out, or a metric without `merge`.
        ValueError: `accelerator` asks for something that lehr does otherwise, or not at all.

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
        model_dir: str | Path = "models",
        wd: Any = None,
        wd_bn_bias: bool = False,
        train_bn: bool = True,
        moms: tuple[Any, Any, Any] | None = (0.95, 0.85, 0.95),
        default_cbs: bool = True,
        *,
        accelerator: Any = None,
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
        super().__init__(accelerator)
        self.dls = dls
        self.model = model
        self.loss_func = loss_func
        self.opt_func = opt_func
        self.opt: OptimWrapper = None  # type: ignore[assignment]  # made by the first fit
        self.lr = lr
        self.splitter = splitter
        self.metrics = metrics
        self.path = Path(getattr(dls, "path", ".") if path is None else path)
        self.model_dir = Path(model_dir)
        self.wd = wd
        self.wd_bn_bias = wd_bn_bias
        self.train_bn = train_bn
        self.moms = moms
        if default_cbs:
            self.add_cbs([TrainEvalCallback(), Recorder(), ProgressCallback()])
        self.add_cbs(cbs)
        self("after_create")

    # Validation.

    def validate(self, ds_idx: int = 1, dl: Any = None, cbs: Any = None) -> list[float]:
        """Measure the loss and the metrics on a loader.

        What the last fit recorded stays as it is, and nothing is logged.

        Args:
            ds_idx: Which of the learner's loaders: 0 for training, 1 for validation.
            dl: Another loader.
            cbs: Callbacks for this alone.

        Returns:
            The mean loss, and the metrics.

        Raises:
            IndexError: There is no loader of that index.
            TypeError: `ds_idx` is no integer, or `dl` cannot be iterated over.
            ValueError: The loader is empty.

        Example:
            >>> from lehr.testing import synth_learner
            >>> len(synth_learner().validate())
            1
        """
        if dl is None:
            if not -len(self.dls) <= integer(ds_idx, "ds_idx") < len(self.dls):
                message = f"`ds_idx` must be among {len(self.dls)} loaders, got {ds_idx}"
                raise IndexError(message)
            dl = whole(self.dls[ds_idx])
        if not (hasattr(dl, "__iter__") or hasattr(dl, "__getitem__")):
            message = f"`dl` must be an iterable of batches, got {dl!r}"
            raise TypeError(message)
        if loader_length(dl) == 0:
            message = "the loader must hold at least one batch, got none"
            raise ValueError(message)
        dl = self.ranks.share(dl, even=False)
        recorder = Recorder(add_time=False)
        # A callback may ask in the middle of a fit, which goes on where it was.
        place = {name: self.__dict__[name] for name in _PLACE if name in self.__dict__}
        metrics = [(one, one.state_dict()) for one in self.metrics] if self._call else []
        modes = [(module, module.training) for module in self.model.modules()]
        outside = [cb for cb in self.cbs if isinstance(cb, (Recorder, ProgressCallback))]
        self.model.to(self.dls.device)
        try:
            with (
                self.no_logging(),
                self.removed_cbs(outside),
                self.added_cbs([recorder, *as_list(cbs)]),
            ):
                try:
                    self._validate(dl)
                except BaseException:
                    # There is no `cleanup_fit` here: so callbacks leave what a batch entered.
                    self("after_cancel_validate")
                    raise
        finally:
            for module, mode in modes:
                module.training = mode
            for metric, state in metrics:
                metric.load_state_dict(state)
            for name in _PLACE:
                self.__dict__.pop(name, None)
            self.__dict__.update(place)
            self._use_table()
        return recorder.log

    # Files.

    def _file(self, file: str | Path) -> Path:
        """Return where a model of that name is kept: `path / model_dir / file.pth`."""
        if not isinstance(file, (str, os.PathLike)):
            message = f"`file` must be a name or a path without its suffix, got {file!r}"
            raise TypeError(message)
        if not Path(file).name:
            message = f"`file` must be a name or a path without its suffix, got {str(file)!r}"
            raise ValueError(message)
        return self.path / self.model_dir / f"{file}.pth"

    def save(self, file: str | Path, with_opt: bool = True) -> Path:
        """Save the model, and the optimizer with what is frozen, to `path / model_dir / file.pth`.

        The file appears whole or not at all, and `torch.load` reads it with `weights_only=True`.
        With several processes call it on each: the main one writes, the others wait for it.

        Args:
            file: Name without the suffix; an absolute path stays one.
            with_opt: Whether to save the optimizer, if there is one.

        Returns:
            The path of the file.

        Example:
            >>> import tempfile
            >>> from lehr.testing import synth_learner
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     learn = synth_learner(path=folder)
            ...     print(learn.save("line").name)
            line.pth
        """
        path = self._file(file)
        model = self.model.state_dict()
        if with_opt and self.opt is not None:
            state = {"model": model, "opt": self.opt.live_state(), "frozen": self.opt.frozen_idx}
        else:
            state = model
        self.ranks.on_main(lambda: files.write(path, state))
        return path

    def load(
        self,
        file: str | Path,
        device: str | torch.device | None = None,
        with_opt: bool = True,
        strict: bool = True,
    ) -> Self:
        """Load a model that `save` saved, and its optimizer.

        Args:
            file: Name without the suffix, as given to `save`.
            device: Where the file is read to, before model and optimizer take it up on the
                loaders' device; the CPU by default.
            with_opt: Whether to load the optimizer too, and freeze what was frozen.
            strict: Whether the model must have just the parameters and buffers of the file.

        Returns:
            The learner.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is damaged or no file of tensors and plain values, the model's
                parameters do not fit, or the optimizer's state does not (row R7;
                `with_opt=False` leaves it out). Nothing is changed then.

        Warns:
            UserWarning: `with_opt` is given and the file holds no optimizer.
        """
        path = self._file(file)
        try:
            device = as_device(self.dls.device if device is None else device)
        except (RuntimeError, TypeError) as error:
            message = f"`device` must be a torch device, got {device!r}"
            raise ValueError(message) from error
        state = files.read(path, device)
        whole = isinstance(state, dict) and set(state) in (
            {"model", "opt"},
            {"model", "opt", "frozen"},
        )
        model = state["model"] if whole else state
        files.check_model(self.model, model, path, strict=strict)
        opt = state["opt"] if whole and with_opt else None
        if opt is not None:
            self._check_opt(opt, state.get("frozen", 0), path)
        elif with_opt:
            warnings.warn(
                f"{path} holds no optimizer state: pass `with_opt=False` to say so", stacklevel=2
            )
        self.model.load_state_dict(model, strict=strict)
        self.model.to(self.dls.device)
        if opt is not None:
            self.opt.load_state_dict(opt)
            # Parameters that were frozen by hand stay so where the groups are as they were.
            if state.get("frozen", self.opt.frozen_idx) != self.opt.frozen_idx:
                self.opt.train_from(min(state["frozen"], len(self.opt)))
        return self

    def _check_opt(self, state: Any, frozen: Any, path: Path) -> None:
        """Have an optimizer, and raise ValueError where a saved one does not fit it."""
        before = self.opt, self.lr
        try:
            if self.opt is None:
                self.create_opt()
            self.opt.check_state_dict(state)
        except ValueError as error:
            self.opt, self.lr = before
            message = (
                f"the optimizer in {path} does not fit: {error}; `with_opt=False` leaves it out"
            )
            raise ValueError(message) from error
        if isinstance(frozen, bool) or not isinstance(frozen, int) or frozen < 0:
            self.opt, self.lr = before
            message = (
                f"{path} is damaged: `frozen` must be a number of groups, at least 0, "
                f"got {frozen!r}"
            )
            raise ValueError(message)

    def resume(self, path: str | Path, cbs: Any = None) -> None:
        """Go on with the training that a `CheckpointCallback` saved, to its end.

        Make the learner as before, and give `cbs` as they were given to the fit method: the
        method is called again with the arguments it was called with, and goes on behind the last
        batch that the checkpoint has seen. On the CPU with the same number of threads the weights
        at the end are those of an uninterrupted training, bit for bit (rule 24).

        Args:
            path: A checkpoint, or a folder of them, of which the last is taken; where there is no
                such path, the one within `path / model_dir`.
            cbs: Callbacks of the fit, the `CheckpointCallback` among them.

        Raises:
            FileNotFoundError: There is no checkpoint.
            ValueError: The file is no checkpoint, is damaged, or is one of another training: of
                another model, optimizer or number of processes, or with callbacks that are not
                here or are set otherwise. Model and optimizer are not changed then.

        Example:
            >>> import tempfile
            >>> from lehr import CheckpointCallback
            >>> from lehr.testing import InterruptCallback, synth_learner
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     learn = synth_learner(path=folder, cbs=CheckpointCallback(every_epochs=1))
            ...     with learn.no_logging():
            ...         learn.fit_one_cycle(5, cbs=InterruptCallback(2))
            ...     again = synth_learner(path=folder, cbs=CheckpointCallback(every_epochs=1))
            ...     with again.no_logging():
            ...         again.resume(again.path / "models" / "checkpoints")
            >>> len(again.recorder.lrs)
            50
        """
        callbacks = [cb() if isinstance(cb, type) else cb for cb in as_list(cbs)]
        method, arguments, cut, file = checkpoint.open_cut(self, path, callbacks)
        before = hypers.keep(self.opt.torch, keep_value)
        flags = [(param, param.requires_grad) for param in self.opt.all_params()]
        frozen = self.opt.frozen_idx
        self._cut, self._resuming = cut, file
        try:
            getattr(self, method)(**arguments, cbs=callbacks)
        except BaseException:
            if not cut.taken_up:
                before()
                self.opt.frozen_idx = frozen
                for param, flag in flags:
                    param.requires_grad_(flag)
            raise
        finally:
            self._cut = self._resuming = None

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
                one-dimensional float64 tensors and return `(suggestion, (x, y))`; names of the
                methods of `Sweep.suggest`; or a mapping of names to rules. `None` for none.

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
        readers = [cb for cb in self.cbs if cb.in_sweep and not isinstance(cb, TrainEvalCallback)]
        inside = [Recorder(), finder] if readers and "recorder" in before else [finder]
        # Copies: a callback may return its own tensors.
        states = [(cb, copied(cb.state_dict())) for cb in self.cbs if cb.in_sweep]
        try:
            finder.open(self)
            if loader_length(self.dls.train) is None:
                self.steps = finder.num_it
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
                for callback, state in states:
                    callback.load_state_dict(state)
                self._forget_handlers()
                if finder.ran:
                    sweep = self._keep_sweep(finder.sweep)
        if suggest_funcs is None:
            self._show_sweep(sweep, show_plot)
            return None
        found = suggest(sweep, suggest_funcs)
        sweep = self._keep_sweep(sweep.with_suggestions(found))
        self._show_sweep(sweep, show_plot)
        return suggested_lrs(list(found), [one.lr for one in found.values()])

    def _keep_sweep(self, sweep: Sweep) -> Sweep:
        recorder = self.__dict__.get("recorder")
        if recorder is not None:
            recorder.sweep = sweep
        return sweep

    def _show_sweep(self, sweep: Sweep, show_plot: bool) -> None:
        if not (show_plot and self.ranks.main):
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
