"""The random generators that training draws from."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
else:
    torch = need("torch", "the state of torch's generators")


class RandomState:
    """The state of the generators of Python, numpy and torch (CPU and CUDA), as it is now.

    Args:
        generators: Further torch generators to remember, such as a loader's.
    """

    def __init__(self, generators: Sequence[torch.Generator] = ()) -> None:
        self._python: Any = random.getstate()
        self._numpy: Any = np.random.get_state()  # noqa: NPY002 (what user code uses)
        self._torch = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self._own = [generator.get_state() for generator in generators]

    def restore(self, generators: Sequence[torch.Generator] = ()) -> None:
        """Put the generators back; `generators` are those given before, or their like."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_rng_state(self._torch)
        if self._cuda and torch.cuda.device_count() == len(self._cuda):
            torch.cuda.set_rng_state_all(self._cuda)
        for generator, state in zip(generators, self._own, strict=True):
            generator.set_state(state)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as numbers, texts, tensors, and lists of them."""
        kind, keys, *rest = self._numpy
        return {
            "python": self._python,
            "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), *rest],
            "torch": self._torch,
            "cuda": self._cuda,
            "own": self._own,
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> RandomState:
        """Return the state that `state_dict` gave."""
        made = cls.__new__(cls)
        made._python = state["python"]
        kind, keys, *rest = state["numpy"]
        made._numpy = (kind, keys.numpy().astype(np.uint32), *rest)
        made._torch = state["torch"]
        made._cuda = state["cuda"]
        made._own = state["own"]
        return made


def loader_generators(*loaders: Any) -> list[torch.Generator]:
    """Return the torch generators that loaders draw from: their own, and those of their samplers."""
    found: dict[int, torch.Generator] = {}
    waiting, seen = list(reversed(loaders)), set()
    while waiting:
        holder = waiting.pop()
        if holder is None or id(holder) in seen:
            continue
        seen.add(id(holder))
        generator = getattr(holder, "generator", None)
        if isinstance(generator, torch.Generator):
            found[id(generator)] = generator
        names = ("sampler", "batch_sampler", "dataset", "loader")
        waiting += [getattr(holder, name, None) for name in names]
    return list(found.values())
