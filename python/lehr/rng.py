"""The random generators that training draws from."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
else:
    torch = need("torch", "the state of torch's generators")


class RandomState:
    """A state of the generators of Python, numpy and torch (CPU and CUDA).

    Args:
        python: What `random.getstate` returns.
        numpy: What `numpy.random.get_state` returns.
        cpu: What `torch.get_rng_state` returns.
        cuda: The state of each CUDA device.
        own: The state of each further torch generator, such as a loader's.
    """

    def __init__(
        self,
        python: Any,
        numpy: Any,
        cpu: torch.Tensor,
        cuda: list[torch.Tensor],
        own: list[torch.Tensor],
    ) -> None:
        self.python = python
        self.numpy = numpy
        self.cpu = cpu
        self.cuda = cuda
        self.own = own

    @classmethod
    def now(cls, generators: Sequence[torch.Generator] = ()) -> RandomState:
        """Return the present state; of `generators` as well."""
        return cls(
            random.getstate(),
            np.random.get_state(),  # noqa: NPY002 (what user code uses)
            torch.get_rng_state(),
            torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            [generator.get_state() for generator in generators],
        )

    def restore(self, generators: Sequence[torch.Generator] = ()) -> None:
        """Put the generators back; `generators` are those given to `now`, or their like."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.cpu)
        if self.cuda and torch.cuda.device_count() == len(self.cuda):
            torch.cuda.set_rng_state_all(self.cuda)
        for generator, state in zip(generators, self.own, strict=True):
            generator.set_state(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as numbers, texts, tensors, and lists of them."""
        kind, keys, *rest = self.numpy
        numpy = [kind, torch.from_numpy(keys.astype(np.int64)), *rest]
        return {
            "python": self.python, "numpy": numpy, "cpu": self.cpu, "cuda": self.cuda,
            "own": self.own,
        }  # fmt: skip

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> RandomState:
        """Return the state that `state_dict` gave."""
        kind, keys, *rest = state["numpy"]
        numpy = (kind, keys.numpy().astype(np.uint32), *rest)
        return cls(state["python"], numpy, state["cpu"], state["cuda"], state["own"])


def seed_all(seed: int, generators: Iterable[torch.Generator] = ()) -> None:
    """Seed the generators of Python, numpy and torch, and further torch generators."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what user code uses)
    torch.manual_seed(seed)
    for generator in generators:
        generator.manual_seed(seed)


def loader_generators(*loaders: Any) -> list[torch.Generator]:
    """Return the torch generators of loaders: their own, and those of their samplers."""
    owned = (getattr(part, "generator", None) for part in loader_parts(*loaders))
    found = {id(one): one for one in owned if isinstance(one, torch.Generator)}
    return list(found.values())


def loader_parts(*loaders: Any) -> list[Any]:
    """Return loaders with their samplers, data sets, and the loaders that they wrap."""
    found: dict[int, Any] = {}
    waiting = list(reversed(loaders))
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in found:
            continue
        found[id(part)] = part
        names = ("sampler", "batch_sampler", "dataset", "loader")
        waiting += [getattr(part, name, None) for name in names]
    return list(found.values())
