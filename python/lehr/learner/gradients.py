"""Callbacks on gradients: gathering them, clipping them, and computing them in half precision."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import torch

from lehr.arguments import integer
from lehr.batch import batch_size
from lehr.learner.callback import (
    Callback,
    CancelBatchException,
    CancelStepException,
    check_settings,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


class MixedPrecision(Callback):
    """Runs the model and the loss in half precision where that is safe (`torch.autocast`).

    With float16 the loss is scaled up before the backward pass, so that small gradients do not
    vanish. A step whose gradients are not finite is then skipped: the events of a cancelled step
    fire, and the scale halves. `learn.loss` stays the loss itself. Predictions in half precision
    are given to loss and metrics in float32: a tensor, and tuples, lists and dicts of them.

    Args:
        amp_mode: "fp16", "bf16", or `None` for what torch takes on the device: float16 on CUDA,
            bfloat16 on a CPU.
        **kwargs: Settings of the scaler, with float16: `init_scale`, `growth_factor`,
            `backoff_factor`, `growth_interval`, as `torch.amp.GradScaler` has them.

    Attributes:
        dtype: The half precision, known once the callback is added to a learner.
        scaler: The `torch.amp.GradScaler`: kept from one fit to the next, `None` without float16
            and before the first fit.

    Raises:
        ValueError: `amp_mode` is another one, or the scaler is given settings and not used.
        RuntimeError: When a batch begins: the CUDA device has no bfloat16.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2, cbs=MixedPrecision("bf16"))
        >>> with learn.no_logging():
        ...     learn.fit(2)
        >>> learn.pred.dtype
        torch.float32

    Reference:
        fastai, `callback.fp16.MixedPrecision`; Micikevicius et al., "Mixed Precision Training",
        2018.
    """

    order = 10

    def __init__(self, amp_mode: Literal["fp16", "bf16"] | None = None, **kwargs: Any) -> None:
        if amp_mode is not None and amp_mode not in _DTYPES:
            message = f"`amp_mode` must be one of {list(_DTYPES)} or None, got {amp_mode!r}"
            raise ValueError(message)
        self.amp_mode = amp_mode
        self.kwargs = kwargs
        if amp_mode == "bf16":
            self._refuse_settings(torch.bfloat16)
        self.scaler: torch.amp.GradScaler | None = None
        self._autocast: AbstractContextManager[Any] | None = None
        # Gradients have been unscaled, and the scale not been updated since.
        self._unscaled = False

    def _refuse_settings(self, dtype: torch.dtype) -> None:
        if self.kwargs and dtype != torch.float16:
            message = f"{dtype} takes no scaler, got settings of one: {sorted(self.kwargs)}"
            raise ValueError(message)

    @property
    def dtype(self) -> torch.dtype:
        """The half precision: that of `amp_mode`, or torch's for the learner's device."""
        if self.amp_mode is None:
            return torch.get_autocast_dtype(self.learn.dls.device.type)
        return _DTYPES[self.amp_mode]

    def before_fit(self) -> None:
        """Put the scaler into the optimizer, if there is one."""
        self._refuse_settings(self.dtype)
        if self.dtype == torch.float16:
            self.scaler = self.scaler or self._make_scaler()
        self.learn.opt.scaler = self.scaler

    def _make_scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.learn.dls.device.type, **self.kwargs)

    def before_batch(self) -> None:
        """Begin half precision."""
        self._update()
        self._leave()
        autocast: AbstractContextManager[Any] = torch.autocast(
            self.learn.dls.device.type, dtype=self.dtype
        )
        autocast.__enter__()
        self._autocast = autocast

    def after_pred(self) -> None:
        """Give the predictions in float32."""
        self.learn.pred = _float32(self.learn.pred)

    def after_loss(self) -> None:
        """End half precision: the backward pass follows the forward pass by itself."""
        self._leave()

    def before_backward(self) -> None:
        """Scale the loss."""
        if self.scaler is not None:
            self.learn.loss_grad = self.scaler.scale(self.learn.loss_grad)

    def before_step(self) -> None:
        """Scale the gradients back, for those who clip or read them."""
        opt = self.learn.opt
        if self.scaler is None:
            return
        if all(param.grad is None for param in opt.all_params()):
            # The scaler has nothing to judge, and the optimizer nothing to do.
            raise CancelStepException
        self.scaler.unscale_(opt.torch)
        self._unscaled = True

    def after_step(self) -> None:
        """Adapt the scale."""
        self._update()

    def after_cancel_batch(self) -> None:
        """End half precision where it was left unfinished."""
        self._leave()

    after_cancel_train = after_cancel_batch
    after_cancel_validate = after_cancel_batch
    after_cancel_epoch = after_cancel_batch
    after_cancel_fit = after_cancel_batch

    def cleanup_fit(self) -> None:
        """End half precision and take the scaler away, however the fit ended."""
        self._leave()
        self._update()
        self.learn.opt.scaler = None

    def _leave(self) -> None:
        autocast, self._autocast = self._autocast, None
        if autocast is not None:
            autocast.__exit__(None, None, None)

    def _update(self) -> None:
        if self._unscaled and self.scaler is not None:
            self._unscaled = False
            self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and how long it has held."""
        return {
            "dtype": str(self.dtype),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        if state["dtype"] != str(self.dtype):
            message = (
                f"the state of `{self.name}` was saved with {state['dtype']}, not {self.dtype}"
            )
            raise ValueError(message)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a scale.

        Raises:
            ValueError: It was saved in another precision.
        """
        self.check_state_dict(state)
        if state["scaler"] is None:
            # Of before the first fit.
            self.scaler = None
        else:
            self.scaler = self.scaler or self._make_scaler()
            self.scaler.load_state_dict(dict(state["scaler"]))


class GradientAccumulation(Callback):
    """Takes a step only when `n_acc` samples are gathered, over as many batches as that takes.

    The loss of a batch of b samples is scaled by `b / n_acc` for the backward pass, so that the
    gradient of a step is the sum of the samples' gradients over `n_acc`: their mean where the
    batches make up `n_acc` exactly. A batch that takes no step ends with the events of a cancelled
    batch. Gathering goes on from epoch to epoch; what a fit has gathered at its end is dropped,
    gradients included, so that the next fit begins clean. With several processes the samples are
    those of one process, on average. A state (`state_dict`) keeps the count,
    and whoever saves it inside an accumulation saves the gradients as well.

    Args:
        n_acc: Number of samples of a step, at least 1. Samples, not batches: a batch of more is
            a step of its own, and its gradient larger than the mean.

    Attributes:
        count: Samples gathered since the last step.

    Raises:
        TypeError: `n_acc` is no integer.
        ValueError: It is below 1.

    Warns:
        UserWarning: A batch holds more than `n_acc` samples, or a fit ended before `n_acc` were
            gathered once.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2)
        >>> with learn.no_logging():
        ...     learn.fit(1, cbs=GradientAccumulation(64))
        >>> learn.opt.steps
        2

    Reference:
        fastai, `callback.training.GradientAccumulation`.
    """

    order = MixedPrecision.order - 4
    run_valid = False

    def __init__(self, n_acc: int = 32) -> None:
        self.n_acc = integer(n_acc, "n_acc")
        if self.n_acc < 1:
            message = f"`n_acc` must be at least 1 sample, got {n_acc}"
            raise ValueError(message)
        self.count = 0
        self.stepped = False
        self._warned = False

    def before_fit(self) -> None:
        """Begin to count."""
        self.count, self.stepped, self._warned = 0, False, False

    def after_loss(self) -> None:
        """Scale the loss to the batch's share of a step."""
        if self.learn.loss_grad is None:
            return
        size = self._size()
        if size > self.n_acc and not self._warned:
            self._warned = True
            warnings.warn(
                f"`n_acc` counts samples, and a batch has {size}, more than n_acc = {self.n_acc}: "
                f"every batch is a step of {size / self.n_acc:g} times its mean gradient",
                stacklevel=2,
            )
        # Not in place: the recorder reads the loss itself.
        self.learn.loss_grad = self.learn.loss_grad * (size / self.n_acc)

    def before_step(self) -> None:
        """Count the batch, and go on to the next until there is enough for a step."""
        self.count += self.learn.ranks.mean(self._size())
        if self.count < self.n_acc:
            raise CancelBatchException
        self.count, self.stepped = 0, True

    def _size(self) -> int:
        return batch_size(self.learn.yb or self.learn.xb)

    def after_train(self) -> None:
        """Warn of a training without a step."""
        if self.count and not self.stepped and self.learn.epoch == self.learn.n_epoch - 1:
            warnings.warn(
                f"no step was taken: `n_acc` = {self.n_acc} samples were never gathered, the "
                f"whole fit had {self.count}",
                stacklevel=2,
            )

    def cleanup_fit(self) -> None:
        """Drop what no step has used."""
        if self.count:
            self.count = 0
            self.learn.opt.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return how much is gathered."""
        return {"n_acc": self.n_acc, "count": self.count, "stepped": self.stepped}

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        check_settings(self, state, ("n_acc",))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on gathering.

        Raises:
            ValueError: It was saved with another `n_acc`.
        """
        self.check_state_dict(state)
        self.count, self.stepped = state["count"], state["stepped"]


class GradientClip(Callback):
    """Scales the gradients of a step down to a norm of at most `max_norm`.

    All parameters of the optimizer count as one vector: `grad * min(1, max_norm / norm(grad))`.
    With `MixedPrecision` the gradients are those of the loss itself, with `GradientAccumulation`
    those of the whole step.

    Args:
        max_norm: The largest norm, above 0.
        norm_type: The p of the p-norm, above 0; `inf` for the largest entry.

    Raises:
        ValueError: A number is outside its range.

    Example:
        >>> from lehr.testing import synth_learner
        >>> learn = synth_learner(lr=1e-2, cbs=GradientClip(0.1))
        >>> with learn.no_logging():
        ...     learn.fit(1)

    Reference:
        fastai, `callback.training.GradientClip`; Pascanu, Mikolov and Bengio, "On the difficulty
        of training recurrent neural networks", 2013.
    """

    order = MixedPrecision.order + 1
    run_valid = False

    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0) -> None:
        self.max_norm = float(max_norm)
        self.norm_type = float(norm_type)
        if not (math.isfinite(self.max_norm) and self.max_norm > 0):
            message = f"`max_norm` must be a finite number above 0, got {max_norm}"
            raise ValueError(message)
        if not self.norm_type > 0:
            message = f"`norm_type` must be above 0, got {norm_type}"
            raise ValueError(message)

    def before_step(self) -> None:
        """Clip what the optimizer trains."""
        parameters = self.learn.opt.all_params()
        torch.nn.utils.clip_grad_norm_(parameters, self.max_norm, self.norm_type)

    def state_dict(self) -> dict[str, Any]:  # noqa: D102
        return {"max_norm": self.max_norm, "norm_type": self.norm_type}

    def check_state_dict(self, state: dict[str, Any]) -> None:  # noqa: D102
        check_settings(self, state, ("max_norm", "norm_type"))


def _float32(pred: Any) -> Any:
    """Return half-precision predictions in float32; what is no plain container stays as it is."""
    if isinstance(pred, torch.Tensor):
        return pred.float() if pred.dtype in _DTYPES.values() else pred
    if type(pred) in (tuple, list):
        return type(pred)(_float32(item) for item in pred)
    if type(pred) is dict:
        return {name: _float32(item) for name, item in pred.items()}
    return pred
