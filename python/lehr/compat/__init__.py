"""Constructors equal to those of other libraries, step by step: one module for each.

`lehr.compat.torch`, `lehr.compat.transformers`, `lehr.compat.timm` and `lehr.compat.optax` have
functions with the names and arguments of their peer, with the rate in place of the optimizer. None
needs its peer to be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lehr import Schedule

__all__ = ["from_torch", "optax", "timm", "torch", "transformers"]

_MODULES = ("optax", "timm", "torch", "transformers")


def from_torch(scheduler: Any, steps: int | None = None) -> Schedule | dict[str, Schedule]:
    """Convert a live torch scheduler: `lehr.compat.torch.from_torch`."""
    from lehr.compat.torch import from_torch as convert

    return convert(scheduler, steps)


def __getattr__(name: str) -> Any:
    """Load a module on its first use."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"lehr.compat.{name}")
    message = f"module 'lehr.compat' has no attribute {name!r}"
    raise AttributeError(message)
