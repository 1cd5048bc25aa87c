"""Constructors equal to those of other libraries, step by step: one module for each.

`lehr.compat.torch`, `lehr.compat.transformers`, `lehr.compat.timm` and `lehr.compat.optax` have
functions with the names and arguments of their peer, with the rate in place of the optimizer. None
needs its peer to be installed; `from_torch` converts a live scheduler of torch.
"""

from __future__ import annotations

from typing import Any

from lehr.compat.torch import from_torch

__all__ = ["from_torch", "optax", "timm", "torch", "transformers"]

_MODULES = ("optax", "timm", "torch", "transformers")


def __getattr__(name: str) -> Any:
    """Load a module on its first use."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"lehr.compat.{name}")
    message = f"module 'lehr.compat' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return __all__
