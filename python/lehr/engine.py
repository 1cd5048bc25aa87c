"""The one sweep engine: what every sweep does, whatever its loop (rule 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from lehr import _core
from lehr.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from lehr.snapshot import Snapshot


def add_settings(own: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a sweep says of itself together with what a user adds to that.

    Raises:
        TypeError: `given` is no mapping.
        ValueError: It names what the sweep says itself.
    """
    if given is None:
        return dict(own)
    if not hasattr(given, "items"):
        message = f"`settings` must be a mapping, got {given!r}"
        raise TypeError(message)
    taken = sorted(own.keys() & dict(given).keys())
    if taken:
        message = f"`settings` must not name what a sweep says of itself, got {taken}"
        raise ValueError(message)
    return {**own, **given}


class SweepEngine:
    """Sets the value of each iteration, records the losses, decides when to stop, restores all.

    Used as a context manager; `begin` before each iteration sets its value, `end` after it takes
    its loss and says whether to go on. The state in the snapshot is put back on leaving, however
    that happens.

    Args:
        snapshot: Makes the `Snapshot` when the sweep begins.
        write: Called with the number of an iteration: writes its value.
        values: The value of each iteration, float64 of shape (n,), as the curve has it.
        stop_div: Whether to stop when the smoothed loss diverges (above four times the best).
        hyper: The name of what is swept.
        settings: What the curve says of the sweep.

    Raises:
        TypeError: A curve cannot have the settings.
        ValueError: Likewise.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        write: Callable[[int], None],
        values: NDArray[Any],
        stop_div: bool = True,
        hyper: str = "lr",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.stop = "interrupted"
        self.over = False
        self._values, self._hyper, self._settings = values, hyper, settings
        self._state = _core.SweepState(len(values), stop_div)
        self._make_snapshot = snapshot
        self._write = write
        self._snapshot: Snapshot | None = None
        # A curve finds at once what is wrong with the settings.
        self._settings = self.sweep.settings

    def __enter__(self) -> Self:
        self._snapshot = self._make_snapshot()
        try:
            self._snapshot.begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._snapshot is not None:
            self._snapshot.restore()

    def __len__(self) -> int:
        return len(self._state)

    def begin(self) -> None:
        """Set the value of the coming iteration."""
        self._write(len(self._state))

    def end(self, loss: Any) -> bool:
        """Take the loss of the iteration, a number or a tensor of one; return whether to stop."""
        try:
            # A text has no `__float__`, and `float` would read it.
            value = float(loss.item()) if hasattr(loss, "item") else loss.__float__()
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and getattr(loss, "numel", lambda: 1)() == 1:
                # Of its device, which was waited for.
                raise
            message = f"the loss of a step must be one number, got {loss!r}"
            raise TypeError(message) from error
        stop = self._state.push(value)
        if stop is None:
            return False
        self.stop, self.over = stop, True
        return True

    @property
    def sweep(self) -> Sweep:
        """The curve so far."""
        losses = self._state.losses
        return Sweep(
            self._values[: len(losses)],
            losses,
            num_it=len(self._values),
            stop=self.stop,
            hyper=self._hyper,
            settings=self._settings,
        )
