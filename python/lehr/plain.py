"""A step of the plain training that `lr_find` sweeps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from lehr.arguments import at_least_one, integer, torch_optimizer
from lehr.batch import (
    Mean,
    batch_size,
    check_loss,
    mean_of_processes,
    own_loss,
    processes,
    take_batch,
)
from lehr.batches import is_loader, keeps_state
from lehr.rng import RandomState, loader_generators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What numpy takes as a seed.
_SEEDS = 2**32


class Step:
    """A step of the optimizer on one batch or several; returns the loss of the iteration.

    Args:
        model: The module that is trained; batches are moved to the device of its parameters.
        optimizer: What steps, perhaps wrapped by a host; one that needs a closure gets one.
        loss_func: Called with the model's output and the targets; `None` where the model gives its
            loss itself.
        valid: Batches whose mean loss after the step is returned; with `None` it is the loss
            before the step.

    Attributes:
        modules: The modules in it: the model, and a loss function that is one.
        criterion: Which loss is returned: "training loss" or "validation loss".

    Raises:
        TypeError: An argument is of the wrong kind.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Any,
        loss_func: Callable[..., Any] | None,
        valid: Iterable[Any] | None,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            message = f"`model` must be a torch module, got {model!r}"
            raise TypeError(message)
        if loss_func is not None and not callable(loss_func):
            message = f"`loss_func` must be a function or None, got {loss_func!r}"
            raise TypeError(message)
        if valid is not None and not (hasattr(valid, "__iter__") or hasattr(valid, "__getitem__")):
            message = f"`valid` must be an iterable of batches, got {valid!r}"
            raise TypeError(message)
        self.modules = [one for one in (model, loss_func) if isinstance(one, torch.nn.Module)]
        self.criterion = "training loss" if valid is None else "validation loss"
        self._model, self._optimizer = model, optimizer
        self._loss_func, self._valid = loss_func, valid
        closure = inspect.signature(torch_optimizer(optimizer).step).parameters.get("closure")
        # As of LBFGS, which takes several looks at the batches of a step.
        self._closure = closure is not None and closure.default is inspect.Parameter.empty
        self._several = processes() > 1
        first = next((t for one in (model.parameters, model.buffers) for t in one()), None)
        self._device = torch.device("cpu") if first is None else first.device

    def train(self, mode: bool = True) -> None:
        """Set the modes of the model and of a loss function that is a module."""
        for module in self.modules:
            module.train(mode)

    def __call__(self, batches: list[Any]) -> Any:
        """Train on the batches and return the loss, its mean over the processes."""
        if not self._closure:
            loss = self._gradients(batches)
            self._optimizer.step()
        else:
            losses: list[Any] = []

            def closure() -> Any:
                losses.append(self._gradients(batches))
                return losses[-1]

            self._optimizer.step(closure)
            # The first is the one before the step.
            loss = losses[0]
        if self._valid is not None:
            loss = self._validated()
        return mean_of_processes(loss, self._device) if self._several else loss

    def _gradients(self, batches: list[Any]) -> Any:
        """Make the gradients of the mean loss of the batches, and return that."""
        self._optimizer.zero_grad()
        if len(batches) > 1:
            return self._accumulated(batches)
        loss = self._loss(*self._taken(batches[0]))
        loss.backward()
        return loss

    def _accumulated(self, batches: list[Any]) -> Any:
        """Likewise, of several."""
        mean = Mean()
        for batch in batches:
            loss = self._loss(*self._taken(batch))
            (loss / len(batches)).backward()
            mean.add(loss, 1)
        return mean.value

    def _taken(self, batch: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return a batch's inputs and targets, on the device."""
        return take_batch(batch, self._device, self._loss_func is not None)[1:]

    def _loss(self, inputs: tuple[Any, ...], targets: tuple[Any, ...]) -> Any:
        """Return the loss of a batch."""
        loss: Any
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            pred = self._model(**inputs[0])
        else:
            pred = self._model(*inputs)
        if self._loss_func is None:
            loss = pred if isinstance(pred, torch.Tensor) else own_loss(pred)
        elif targets:
            loss = self._loss_func(pred, *targets)
        else:
            message = "a batch must hold a target for `loss_func`, got inputs alone"
            raise ValueError(message)
        check_loss(loss)
        return loss

    def _validated(self) -> Any:
        """Return the mean loss over the validation batches; leave modes and generators."""
        generators = loader_generators(self._valid)
        drawn = RandomState.now(generators)
        modes = [(part, part.training) for one in self.modules for part in one.modules()]
        self.train(False)
        mean = Mean()
        try:
            with torch.no_grad():
                for batch in self._valid or ():
                    inputs, targets = self._taken(batch)
                    mean.add(self._loss(inputs, targets), batch_size(targets or inputs))
        finally:
            for module, training in modes:
                module.training = training
            drawn.restore(generators)
        if mean.count == 0:
            message = "`valid` must hold at least one batch in every iteration, got none"
            raise ValueError(message)
        return mean.value


def as_extras(valid: Any) -> list[Any]:
    """Return what of a validation loader a sweep may move."""
    return [valid] if is_loader(valid) or keeps_state(valid) else []


def seeds_of(seed: int | None, repeats: int) -> list[int | None]:
    """Return the seed of each repeat; `None` for one that goes on from where generators are."""
    repeats = at_least_one(repeats, "repeats")
    if seed is None and repeats == 1:
        return [None]
    first = 0 if seed is None else integer(seed, "seed")
    if not 0 <= first <= _SEEDS - repeats:
        message = f"`seed` must be at least 0 and below 2^32 in every repeat, got {seed}"
        raise ValueError(message)
    return [first + repeat for repeat in range(repeats)]
