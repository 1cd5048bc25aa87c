"""Everything that a sweep disturbs, remembered in memory and put back."""

from __future__ import annotations

import copy
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import hypers
from lehr._extras import need
from lehr.batches import keep_loader
from lehr.memory import Memory
from lehr.rng import RandomState, loader_generators
from lehr.scheduler import Scheduler, schedulers_of

if TYPE_CHECKING:
    import torch
else:
    torch = need("torch", "the learning-rate finder")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Snapshot:
    """The state a sweep disturbs, copied in memory, and put back by `restore`.

    Parameters, buffers, gradients and which parameters want one, training modes, the optimizers'
    state, hyper-parameters and attributes, the place of loaders, and the random generators of
    Python, numpy and torch (CPU and CUDA). Tensors come back in place: whoever holds one sees it
    restored. Gradients are not copied: `begin` sets them aside for what follows.

    Args:
        modules: The modules that are trained.
        optimizers: The torch optimizers that train them.
        loaders: Loaders the sweep draws from.
        generators: Further torch generators that it draws from.
        extras: What else it changes: modules, optimizers, tensors, generators, gradient scalers,
            Schedulers, loaders, lists and dictionaries, and whatever has `state_dict` and
            `load_state_dict`.
        device: Where the copies are; beside each tensor where it is `None`.

    Raises:
        TypeError: One of `extras` is nothing whose state can be put back.
    """

    def __init__(
        self,
        modules: Iterable[torch.nn.Module],
        optimizers: Iterable[torch.optim.Optimizer],
        *,
        loaders: Iterable[Any] = (),
        generators: Iterable[torch.Generator] = (),
        extras: Iterable[Any] = (),
        device: torch.device | str | None = None,
    ) -> None:
        loaders, generators, others = list(loaders), list(generators), []
        trained, moved, schedulers = list(modules), list(optimizers), []
        for index, extra in enumerate(extras):
            if isinstance(extra, torch.nn.Module):
                trained.append(extra)
            elif isinstance(extra, torch.optim.Optimizer):
                moved.append(extra)
            elif isinstance(extra, torch.Generator):
                generators.append(extra)
            elif isinstance(extra, Scheduler):
                schedulers.append(extra)
            elif isinstance(extra, (torch.Tensor, dict, list)) or not hasattr(extra, "__iter__"):
                others.append((index, extra))
            else:
                loaders.append(extra)
        self._optimizers = list({id(one): one for one in moved}.values())
        for optimizer in self._optimizers:
            schedulers += schedulers_of(optimizer)
        self._schedulers = list({id(one): one for one in schedulers}.values())
        self._params = list(_parameters(trained, self._optimizers).values())
        modules = list({id(m): m for one in trained for m in one.modules()}.values())
        buffers = {id(b): b for module in trained for b in module.buffers()}
        own = {id(g): g for g in [*generators, *loader_generators(*loaders)]}
        memory = Memory(device)
        later: list[Callable[[], Any]] = [
            *(_keep_attributes(optimizer) for optimizer in self._optimizers),
            # Modules may have replaced a buffer: first the old one, then what was in it.
            *(_keep_items(module._parameters) for module in modules),  # noqa: SLF001
            *(_keep_items(module._buffers) for module in modules),  # noqa: SLF001
            *(memory.hold(tensor) for tensor in (*self._params, *buffers.values())),
            *(memory.hold(optimizer.state) for optimizer in self._optimizers),
            *(hypers.keep(optimizer, memory.hold) for optimizer in self._optimizers),
            *(partial(setattr, p, "requires_grad", p.requires_grad) for p in self._params),
            *(partial(setattr, p, "grad", p.grad) for p in self._params),
            *(partial(setattr, module, "training", module.training) for module in modules),
            *(
                partial(module.set_extra_state, copy.deepcopy(module.get_extra_state()))
                for module in modules
                if type(module).get_extra_state is not torch.nn.Module.get_extra_state
            ),
            *(_keep_extra(extra, index, memory) for index, extra in others),
            *(scheduler.remember() for scheduler in self._schedulers),
            *(keep_loader(loader) for loader in loaders),
            # The last: what is before it may draw.
            partial(RandomState.now([*own.values()]).restore, [*own.values()]),
        ]
        self._restorers: list[Callable[[], Any]] = [*memory.copy(), *later]

    def begin(self) -> None:
        """Set the gradients aside, and let Schedulers of the optimizers stand still."""
        for scheduler in self._schedulers:
            scheduler.pause()
        for param in self._params:
            param.grad = None

    def restore(self) -> None:
        """Put everything back as it was; an error in one thing does not keep another from it."""
        errors: list[BaseException] = []
        waiting = list(reversed(self._restorers))
        while waiting:
            try:
                waiting[-1]()
                waiting.pop()
            except KeyboardInterrupt as error:
                # What it interrupted is done again.
                errors.insert(0, error)
            except BaseException as error:  # noqa: BLE001 (raised below, after the rest)
                errors.append(error)
                waiting.pop()
        if errors:
            raise errors[0]


def _parameters(
    modules: list[torch.nn.Module], optimizers: list[torch.optim.Optimizer]
) -> dict[int, torch.Tensor]:
    params: dict[int, torch.Tensor] = {id(p): p for one in modules for p in one.parameters()}
    for optimizer in optimizers:
        params |= {id(p): p for group in optimizer.param_groups for p in group["params"]}
    return params


def _keep_items(items: dict[str, Any]) -> Callable[[], None]:
    """Remember which objects a dictionary holds; the result puts them back."""
    held = dict(items)

    def back() -> None:
        for key in items.keys() - held.keys():
            del items[key]
        # In their order.
        if list(items) != list(held):
            items.clear()
        items.update(held)

    return back


def _keep_attributes(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Remember an optimizer's attributes, its list of groups and their lists of parameters."""
    attributes = _keep_items(vars(optimizer))
    groups = list(optimizer.param_groups)
    params = [(group, group["params"], list(group["params"])) for group in groups]

    def back() -> None:
        attributes()
        optimizer.param_groups[:] = groups
        for group, held, members in params:
            held[:] = members
            group["params"] = held

    return back


def _keep_extra(extra: Any, index: int, memory: Memory) -> Callable[[], Any]:
    """Remember the state of something that none of the others restores."""
    if isinstance(extra, (torch.Tensor, dict, list)):
        return memory.hold(extra)
    if isinstance(extra, torch.amp.GradScaler):
        # Its state leaves out which optimizers are unscaled, and a scale not yet made.
        attributes = memory.hold(dict(vars(extra)))
        return lambda: vars(extra).update(attributes())
    if isinstance(extra, np.random.Generator):
        return partial(setattr, extra.bit_generator, "state", extra.bit_generator.state)
    if isinstance(extra, random.Random):
        return partial(extra.setstate, extra.getstate())
    if hasattr(extra, "state_dict") and hasattr(extra, "load_state_dict"):
        state = memory.hold(extra.state_dict())
        return lambda: extra.load_state_dict(state())
    message = (
        f"`extras[{index}]` must be a module, an optimizer, a generator, a tensor, a list or "
        f"dictionary, or have `state_dict` and `load_state_dict`, got {extra!r}"
    )
    raise TypeError(message)
