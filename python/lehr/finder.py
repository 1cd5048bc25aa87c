"""The one sweep engine: a learning-rate sweep around any step function (rule 17)."""

from __future__ import annotations

import copy
import operator
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from lehr import _core, hypers
from lehr._extras import need
from lehr.rng import RandomState
from lehr.sweep import Sweep

if TYPE_CHECKING:
    import torch
else:
    torch = need("torch", "the learning-rate finder")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType


class Snapshot:
    """The state a sweep disturbs, copied in memory, and put back by `restore`.

    Parameters, buffers, gradients, training modes, the optimizer's state and hyper-parameters,
    and the random generators of Python, numpy and torch (CPU and CUDA). Tensors come back in
    place: whoever holds one sees it restored. Gradients are not copied: `detach_grads` sets them
    aside for what follows.

    Args:
        model: The module that is trained.
        optimizer: The torch optimizer that trains it.
        generators: Further torch generators that the sweep draws from, such as a loader's.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        generators: Iterable[torch.Generator] = (),
    ) -> None:
        generators = list(generators)
        modules = list(model.modules())
        params = {id(p): p for p in model.parameters()}
        params |= {id(p): p for group in optimizer.param_groups for p in group["params"]}
        buffers = {id(b): b for b in model.buffers()}
        self._params = list(params.values())
        self._restorers: list[Callable[[], Any]] = [
            # Modules may have replaced a buffer: first the old one, then what was in it.
            *(_keep_items(module._buffers) for module in modules),  # noqa: SLF001
            *(keep_value(tensor) for tensor in (*self._params, *buffers.values())),
            keep_value(optimizer.state),
            hypers.keep(optimizer, keep_value),
            *(partial(setattr, param, "grad", param.grad) for param in self._params),
            *(partial(setattr, module, "training", module.training) for module in modules),
            *(
                partial(module.set_extra_state, copy.deepcopy(module.get_extra_state()))
                for module in modules
                if type(module).get_extra_state is not torch.nn.Module.get_extra_state
            ),
            partial(RandomState.now(generators).restore, generators),
        ]

    def detach_grads(self) -> None:
        """Set the gradients aside: what `restore` puts back was not added to."""
        for param in self._params:
            param.grad = None

    def restore(self) -> None:
        """Put everything back as it was; an error in one thing does not keep another from it."""
        errors: list[BaseException] = []
        for restore in self._restorers:
            try:
                restore()
            except BaseException as error:  # noqa: BLE001 (raised below, after the rest)
                errors.append(error)
        if errors:
            raise errors[0]


def _keep_items(items: dict[str, Any]) -> Callable[[], None]:
    """Remember which objects a dictionary holds; the result puts them back."""
    held = dict(items)

    def back() -> None:
        items.clear()
        items.update(held)

    return back


def keep_value(value: Any) -> Callable[[], Any]:
    """Remember `value` deeply; the result puts it back, in place where it can, and returns it."""
    if isinstance(value, torch.Tensor):
        data = value.detach().clone()

        def back() -> Any:
            with torch.no_grad():
                value.detach().copy_(data)
            return value

        return back
    if isinstance(value, dict):
        items = [(key, keep_value(item)) for key, item in value.items()]

        def back() -> Any:
            value.clear()
            for key, item in items:
                value[key] = item()
            return value

        return back
    if isinstance(value, list):
        entries = [keep_value(item) for item in value]

        def back() -> Any:
            value[:] = [item() for item in entries]
            return value

        return back
    if type(value) is tuple:
        members = [keep_value(item) for item in value]
        return lambda: tuple(item() for item in members)
    if value is None or isinstance(value, (bool, int, float, str)):
        return lambda: value
    held = copy.deepcopy(value)
    return lambda: held


class SweepEngine:
    """Raises the rate step by step, records the losses, decides when to stop, restores all.

    Used as a context manager; `begin` before each step sets its rate, `end` after it takes its
    loss and says whether to go on. Iteration i has the rate `start_lr (end_lr / start_lr)^(i /
    num_it)`. The state of model, optimizer and random generators is put back on leaving, however
    that happens.

    Args:
        snapshot: Makes the `Snapshot` when the sweep begins.
        set_lr: Sets the rates: called with one value per parameter group, or a single one.
        start_lr: Rate of the first iteration, above 0; one number, or one per group.
        end_lr: Rate that iteration `num_it` would have; one number, or one per group.
        num_it: Number of iterations, at least 1.
        stop_div: Whether to stop when the smoothed loss diverges (above four times the best).

    Raises:
        ValueError: A rate is not a finite number above 0, or `num_it` is below 1.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        set_lr: Callable[[Any], None],
        start_lr: Any = 1e-7,
        end_lr: Any = 10,
        num_it: int = 100,
        stop_div: bool = True,
    ) -> None:
        self.schedule = _core.sweep_lr(start_lr, end_lr)
        self.num_it = integer(num_it, "num_it")
        if self.num_it < 1:
            message = f"`num_it` must be at least 1, got {num_it}"
            raise ValueError(message)
        self.stop = "interrupted"
        self._rate_at = self.schedule.at
        self._per_group = self.schedule.groups is not None
        self._state = _core.SweepState(self.num_it, stop_div)
        self._make_snapshot = snapshot
        self._set_lr = set_lr
        self._snapshot: Snapshot | None = None
        self._lrs: list[float] = []

    def __enter__(self) -> Self:
        self._snapshot = self._make_snapshot()
        self._snapshot.detach_grads()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._snapshot is not None:
            self._snapshot.restore()
            self._snapshot = None

    def begin(self) -> None:
        """Set the rate of the coming iteration."""
        self._rate = self._rate_at(len(self._lrs) / self.num_it)
        self._set_lr(self._rate)

    def end(self, loss: Any) -> bool:
        """Take the loss of the iteration, a number or a tensor of one; return whether to stop."""
        try:
            value = float(loss.item() if hasattr(loss, "item") else loss)
        except (TypeError, ValueError, RuntimeError) as error:
            message = f"the loss of a step must be one number, got {loss!r}"
            raise TypeError(message) from error
        # In this order: interrupted in between, the curve ends before this iteration.
        self._lrs.append(float(self._rate[-1]) if self._per_group else self._rate)
        stop = self._state.push(value)
        if stop is None:
            return False
        self.stop = stop
        return True

    @property
    def sweep(self) -> Sweep:
        """The curve so far."""
        losses = self._state.losses
        return Sweep(self._lrs[: len(losses)], losses, num_it=self.num_it, stop=self.stop)


def integer(value: Any, name: str) -> int:
    """Return an integer argument as an int; a flag is none.

    Raises:
        TypeError: It is none.
    """
    message = f"`{name}` must be an integer, got {value!r}"
    if isinstance(value, bool):
        raise TypeError(message)
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(message) from error


def run_sweep(
    step: Callable[[], Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    start_lr: Any = 1e-7,
    end_lr: Any = 10,
    num_it: int = 100,
    *,
    stop_div: bool = True,
    generators: Iterable[torch.Generator] = (),
) -> Sweep:
    """Sweep the learning rate around a step function, and restore everything.

    Args:
        step: Trains on one batch with `optimizer` and returns the loss measured before the step,
            as a number or a tensor of one.
        model: The module `step` trains.
        optimizer: The torch optimizer `step` uses; all its groups get the rate.
        start_lr: Rate of the first iteration, above 0; one number, or one per torch group.
        end_lr: Rate that iteration `num_it` would have.
        num_it: Number of iterations, at least 1.
        stop_div: Whether to stop when the smoothed loss is above four times the best.
        generators: Torch generators `step` draws from besides the global ones, such as that of
            a loader.

    Returns:
        The curve. Model, optimizer, gradients, modes and random generators are as before, also
        when `step` raises.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> def step():
        ...     x = torch.randn(16, 1)
        ...     loss = (model(x) - 2 * x - 3).square().mean()
        ...     optimizer.zero_grad()
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> len(run_sweep(step, model, optimizer, num_it=20, stop_div=False))
        20
    """
    n = len(optimizer.param_groups)

    def set_any(name: str, value: Any) -> None:
        hypers.write(optimizer, name, _core.group_values(value, n, name))

    engine = SweepEngine(
        lambda: Snapshot(model, optimizer, generators),
        hypers.writer(optimizer, ["lr"], set_any),
        start_lr,
        end_lr,
        num_it,
        stop_div,
    )
    with engine:
        stop = False
        while not stop:
            engine.begin()
            stop = engine.end(step())
    return engine.sweep
