"""Logs of LR finders and of trainings, of any tool, as curves in Arrow record batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lehr.logs.reader import Logs, read
from lehr.logs.report import Report, Skip

if TYPE_CHECKING:
    FORMATS: tuple[str, ...]

__all__ = ["FORMATS", "Logs", "Report", "Skip", "read"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load the readers of all formats when their names are first asked for."""
        if name != "FORMATS":
            message = f"module 'lehr.logs' has no attribute {name!r}"
            raise AttributeError(message)
        from lehr.logs.formats import formats

        globals()[name] = value = tuple(formats())
        return value
