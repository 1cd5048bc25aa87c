"""Callbacks, the events they listen to, and the exceptions that cancel a part of training."""

from __future__ import annotations

import functools
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lehr.learner.learner import Learner

# In the order of a training batch, an epoch, a fit. `cleanup_fit` is ours: it is the last event
# of every fit, also of one that an exception or a KeyboardInterrupt ended (row F18).
EVENTS = (
    "after_create",
    "before_fit",
    "before_epoch",
    "before_train",
    "before_batch",
    "after_pred",
    "after_loss",
    "before_backward",
    "after_cancel_backward",
    "after_backward",
    "before_step",
    "after_cancel_step",
    "after_step",
    "after_cancel_batch",
    "after_batch",
    "after_cancel_train",
    "after_train",
    "before_validate",
    "after_cancel_validate",
    "after_validate",
    "after_cancel_epoch",
    "after_epoch",
    "after_cancel_fit",
    "after_fit",
    "cleanup_fit",
)

# The events that `run_train` and `run_valid` switch off.
BATCH_EVENTS = frozenset(EVENTS[EVENTS.index("before_batch") : EVENTS.index("after_batch") + 1]) - {
    "after_cancel_step"
}


class CancelException(Exception):  # noqa: N818 (the reference's naming)
    """Cancels a part of training; the subclasses say which."""


class CancelBackwardException(CancelException):
    """Skip the rest of the backward pass and go on with the step."""


class CancelStepException(CancelException):
    """Skip the optimizer's step of this batch."""


class CancelBatchException(CancelException):
    """Skip the rest of this batch."""


class CancelTrainException(CancelException):
    """Skip the rest of this epoch's training, and go on to its validation."""


class CancelValidException(CancelException):
    """Skip the rest of this epoch's validation."""


class CancelEpochException(CancelException):
    """Skip the rest of this epoch, and go on to the next."""


class CancelFitException(CancelException):
    """End the fit."""


class Callback:
    """Something that acts on the events of training: subclass it and define methods of their names.

    An attribute a callback does not have is read from its learner, so `self.model` or `self.loss`
    work in a method; writing goes to the callback alone (use `self.learn.x = ...`).

    Attributes:
        order: Callbacks with a lower one see an event first; equal ones in the order added.
        learn: The learner the callback was added to.
        run: Set to False, it silences the callback until the end of the fit.
        run_train: Whether it sees the batch events of training.
        run_valid: Whether it sees the batch events of validation.
        in_sweep: Whether it takes part in `Learner.lr_find`. A callback that records, reports or
            writes files should not, so that a sweep leaves no trace.

    Example:
        >>> class PrintLoss(Callback):
        ...     def after_epoch(self):
        ...         print(self.epoch, self.recorder.values[-1])
    """

    order: float = 0
    learn: Learner = None  # type: ignore[assignment]  # set by the learner it is added to
    run: bool = True
    run_train: bool = True
    run_valid: bool = True
    in_sweep: bool = True

    @property
    def name(self) -> str:
        """Snake-case class name without "Callback": the learner's attribute for this callback."""
        return _snake_case(type(self).__name__)

    def __call__(self, event: str) -> None:
        """Act on an event. A subclass that overrides this sees every event."""
        handler = getattr(type(self), event, None)
        if self.run and handler is not None:
            handler(self)

    def handlers(self) -> Iterable[tuple[str, Callable[[], None]]]:
        """Give the events this callback acts on, each with what to call."""
        for event in EVENTS:
            if type(self).__call__ is not Callback.__call__:
                yield event, lambda event=event: self(event)  # type: ignore[misc]
            elif hasattr(type(self), event) or event in self.__dict__:
                yield event, getattr(self, event)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of this callback: empty for one without a state.

        Numbers, texts, `None`, tensors, and lists, tuples and dictionaries of them, copied.
        """
        return {}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError where a state is of a callback that is set otherwise; change nothing.

        All callbacks are asked before any takes up its state.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` returned.

        Called in a resumed fit after the events that begin it, and after a sweep for a callback
        that took part in it.
        """

    def __getattr__(self, name: str) -> Any:
        learn = self.__dict__.get("learn")
        if learn is None or name.startswith("__"):
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            if learn is None:
                message += ", and has not been added to a learner that may have one"
            raise AttributeError(message, name=name, obj=self)
        return getattr(learn, name)

    def __setattr__(self, name: str, value: Any) -> None:
        learn = self.__dict__.get("learn")
        if learn is not None and name not in self.__dict__ and name in learn.__dict__:
            warnings.warn(
                f"`{type(self).__name__}.{name}` now hides the learner's attribute of that name: "
                f"write `self.learn.{name} = ...` to change the learner's",
                stacklevel=2,
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@functools.cache
def _snake_case(name: str) -> str:
    stem = re.sub("Callback$", "", name) or "callback"
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", stem).lower()


def check_settings(callback: Callback, state: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise ValueError when a state was saved by a callback of other settings."""
    differing = [
        f"{name}={state[name]!r}, not {getattr(callback, name)!r}"
        for name in names
        if state[name] != getattr(callback, name)
    ]
    if differing:
        message = f"the state of `{callback.name}` was saved with {', '.join(differing)}"
        raise ValueError(message)
