"""Everything that a sweep disturbs, remembered in memory and put back."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Hashable
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import hypers
from lehr._extras import need
from lehr.arguments import optimizers_within
from lehr.batches import is_loader, keep_loader
from lehr.memory import Memory, lends
from lehr.rng import RandomState, loader_generators
from lehr.scheduler import Scheduler, schedulers_of

if TYPE_CHECKING:
    import torch
else:
    torch = need("torch", "the learning-rate finder")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_CODE = (type, FunctionType, BuiltinFunctionType, torch.dtype)


class Snapshot:
    """The state a sweep disturbs, copied in memory, and put back by `restore`.

    Parameters, buffers, gradients and which parameters want one, training modes, the optimizers'
    state, hyper-parameters and attributes, the place of loaders, and the random generators of
    Python, numpy and torch (CPU and CUDA). Tensors come back in place: whoever holds one sees it
    restored. `begin` sets gradients aside for what follows; copied are only those whose memory
    others write to as well, such as the buckets of `DistributedDataParallel`.

    Args:
        modules: The modules that are trained.
        optimizers: The optimizers that train them, or what they are wrapped in: every layer of
            them is put back.
        loaders: Loaders the sweep draws from.
        generators: Further torch generators that it draws from.
        extras: What else it changes: modules, optimizers, tensors, arrays, generators, gradient
            scalers, Schedulers, torch loaders and those made like them, whatever has `state_dict`
            and `load_state_dict`, and lists, tuples, deques, sets and dictionaries of such things,
            of numbers, and of all that is hashed by its value.
        device: Where the copies are; beside each tensor where it is `None`.
        apart: Whether groups are to have values of their own.

    Raises:
        TypeError: One of `extras` is nothing whose state can be put back, or holds such a thing.
    """

    def __init__(
        self,
        modules: Iterable[torch.nn.Module],
        optimizers: Iterable[Any],
        *,
        loaders: Iterable[Any] = (),
        generators: Iterable[torch.Generator] = (),
        extras: Iterable[Any] = (),
        device: torch.device | str | None = None,
        apart: bool = False,
    ) -> None:
        self._apart = apart
        memory = Memory(device)
        found = _Sorted(memory)
        found.modules += modules
        found.optimizers += optimizers
        found.loaders += loaders
        found.generators += generators
        others = [found.keep(extra, f"extras[{i}]") for i, extra in enumerate(extras)]
        layers = {id(o): o for one in found.optimizers for o in optimizers_within(one)}.values()
        self._optimizers = [one for one in layers if isinstance(one, torch.optim.Optimizer)]
        schedulers = [*found.schedulers]
        for optimizer in self._optimizers:
            schedulers += schedulers_of(optimizer)
        self._schedulers = list({id(one): one for one in schedulers}.values())
        self._params = list(_parameters(found.modules, self._optimizers).values())
        modules = list({id(m): m for one in found.modules for m in one.modules()}.values())
        buffers = {id(b): b for module in modules for b in module.buffers(recurse=False)}
        own = {id(g): g for g in [*found.generators, *loader_generators(*found.loaders)]}
        later: list[Callable[[], Any]] = [
            *(keep for one in layers for keep in _keep_attributes(one, memory)),
            *(_keep_groups(optimizer) for optimizer in self._optimizers),
            # Modules may have replaced a buffer: first the old one, then what was in it.
            *(_keep_items(module._parameters) for module in modules),  # noqa: SLF001
            *(_keep_items(module._buffers) for module in modules),  # noqa: SLF001
            *(memory.hold(tensor) for tensor in (*self._params, *buffers.values())),
            *(
                memory.hold(one.state)
                for one in layers
                if isinstance(getattr(one, "state", None), dict)
            ),
            *(hypers.keep(optimizer, memory.hold) for optimizer in self._optimizers),
            *(partial(setattr, p, "requires_grad", p.requires_grad) for p in self._params),
            *(partial(setattr, p, "grad", p.grad) for p in self._params),
            *(memory.hold(p.grad) for p in self._params if p.grad is not None and lends(p.grad)),
            *(partial(setattr, module, "training", module.training) for module in modules),
            *(
                partial(module.set_extra_state, copy.deepcopy(module.get_extra_state()))
                for module in modules
                if type(module).get_extra_state is not torch.nn.Module.get_extra_state
            ),
            *others,
            *(scheduler.remember() for scheduler in self._schedulers),
            *(keep_loader(loader, memory.hold) for loader in found.loaders),
            # The last: what is before it may draw.
            partial(RandomState.now([*own.values()]).restore, [*own.values()]),
        ]
        self._restorers = deque([*memory.copy(), *later])

    def begin(self) -> None:
        """Make ready for the sweep.

        Gradients are set aside, Schedulers of the optimizers stand still, and with `apart` groups
        that share a tensor get one each, as it can hold one value alone.
        """
        for scheduler in self._schedulers:
            scheduler.pause()
        for optimizer in self._optimizers if self._apart else ():
            hypers.separate(optimizer, shared=True)
        for param in self._params:
            param.grad = None

    def restore(self) -> None:
        """Put everything back as it was, once, and let go of the copies.

        An error in one thing does not keep another from it. Called again, it goes on with what an
        interrupt has left.
        """
        errors: list[BaseException] = []
        while True:
            try:
                while self._restorers:
                    self._restorers[0]()
                    del self._restorers[0]
                break
            except KeyboardInterrupt as error:
                # What it interrupted is done again.
                errors.insert(0, error)
            except BaseException as error:  # noqa: BLE001 (raised below, after the rest)
                errors.append(error)
                del self._restorers[0]
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


def _keep_attributes(optimizer: Any, memory: Memory) -> list[Callable[[], Any]]:
    """Remember an optimizer's attributes, and what tensors and containers among them hold."""
    attributes = getattr(optimizer, "__dict__", {})
    held = [
        memory.hold(value, lambda one: lambda: one)
        for name, value in attributes.items()
        # Kept on their own.
        if name not in ("state", "param_groups")
    ]
    return [_keep_items(attributes), *held]


def _keep_groups(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Remember an optimizer's list of groups and their lists of parameters."""
    groups = list(optimizer.param_groups)
    params = [(group, group["params"], list(group["params"])) for group in groups]

    def back() -> None:
        optimizer.param_groups[:] = groups
        for group, held, members in params:
            held[:] = members
            group["params"] = held

    return back


class _Sorted:
    """What a snapshot is of, by kind.

    Args:
        memory: Holds what is none of these kinds.
    """

    def __init__(self, memory: Memory) -> None:
        self.modules: list[torch.nn.Module] = []
        self.optimizers: list[Any] = []
        self.generators: list[torch.Generator] = []
        self.schedulers: list[Scheduler] = []
        self.loaders: list[Any] = []
        self._memory = memory

    def keep(self, value: Any, name: str, inside: bool = False) -> Callable[[], Any]:
        """Remember one thing, or those in a container; the result returns it as it was.

        What is of one of the kinds is put on its list, and put back with that.

        Args:
            value: The thing.
            name: The argument that an error names.
            inside: Whether it is in a container, where things may be that cannot change.

        Raises:
            TypeError: There is no way to put it back.
        """
        kinds: list[tuple[type, list[Any]]] = [
            (torch.nn.Module, self.modules),
            (torch.optim.Optimizer, self.optimizers),
            (torch.Generator, self.generators),
            (Scheduler, self.schedulers),
        ]
        for kind, found in kinds:
            if isinstance(value, kind):
                found.append(value)
                return lambda: value
        if isinstance(value, (torch.Tensor, np.ndarray, dict, list, tuple, deque, set)):
            return self._memory.hold(value, partial(self.keep, name=name, inside=True))
        if inside and isinstance(value, _CODE):
            return lambda: value
        if is_loader(value):
            self.loaders.append(value)
            return lambda: value
        put = self._state(value)
        # What is hashed by its value does not change.
        by_value = isinstance(value, Hashable) and type(value).__hash__ is not object.__hash__
        if put is None and not (inside and by_value):
            message = (
                f"`{name}` must be a module, an optimizer, a generator, a Scheduler, a loader, a "
                "tensor or array, have `state_dict` and `load_state_dict`, or hold such things as "
                f"a list, tuple, deque, set or dictionary, got {value!r}"
            )
            raise TypeError(message)

        def back() -> Any:
            if put is not None:
                put()
            return value

        return back

    def _state(self, value: Any) -> Callable[[], Any] | None:
        """Remember the state of a thing that has one."""
        if isinstance(value, torch.amp.GradScaler):
            # Its state leaves out which optimizers are unscaled, and a scale not yet made.
            attributes = self._memory.hold(dict(vars(value)))
            return lambda: vars(value).update(attributes())
        if isinstance(value, np.random.Generator):
            return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
        if isinstance(value, np.random.RandomState):
            return partial(value.set_state, value.get_state())
        if isinstance(value, random.Random):
            return partial(value.setstate, value.getstate())
        if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
            state = self._memory.hold(value.state_dict())
            return lambda: value.load_state_dict(state())
        return None
