"""The formats that can be read, in the order in which a source is asked for its own."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lehr.logs.assemble import Block, Curve
    from lehr.logs.columns import Options
    from lehr.logs.report import Report
    from lehr.logs.sources import Source


class Format(Protocol):
    """One way to lay a log out in files.

    A format that reads several files as one source has a `claim(folder)` too, which returns the
    names in a `Folder` that are such a source, none where there is none.

    Attributes:
        name: Its name, as in the column `format`.
    """

    name: str

    def detect(self, source: Source) -> bool:
        """Return whether the content of a source is of this format; must be cheap if it is not."""
        ...

    def read(self, source: Source, options: Options, report: Report) -> Iterator[Curve | Block]:
        """Yield the curves of a source.

        What is broken is told to `report.skip`, with its place; where all of it is, or all the
        rest, `Unread` is raised.
        """
        ...


# The tables of other tools come before those of any tool.
_MODULES = (
    "lehr.logs.mlflow",
    "lehr.logs.events",
    "lehr.logs.columnar",
    "lehr.logs.documents",
    "lehr.logs.wandb",
    "lehr.logs.tables",
)


@cache
def formats() -> dict[str, Format]:
    """Return all formats by name."""
    modules = [import_module(name) for name in _MODULES]
    return {one.name: one for module in modules for one in module.FORMATS}


def detect(source: Source) -> Format | None:
    """Return the format of a source by its content, `None` where no format is known to be it."""
    if source.claimed_by is not None:
        found: Format = source.claimed_by
        return found
    return next((one for one in formats().values() if one.detect(source)), None)
