"""Curves put together to record batches of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core
from lehr._extras import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from lehr.logs.columns import Options
    from lehr.logs.report import Report
    from lehr.logs.sources import Source

# A batch has no more curves and, unless it is of a single one, no more points.
CURVES = 1 << 14
POINTS = 1 << 20


@dataclass
class Curve:
    """One curve as its file has it.

    Attributes:
        id: Its name in the file; empty where the file has this one alone and names it not.
        lrs: Its rates: any sequence of numbers.
        losses: As many losses; a missing one is NaN.
        smoothing: How these losses were averaged, as of `Sweep`; `None` for not at all.
        metadata: What else is known of it, by name.
        format: Its format, where it is another than that of the reader.
        place: Where it lies in the file, as in `Skip`; by default its id in brackets.
    """

    id: str
    lrs: Any
    losses: Any
    smoothing: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    place: str | None = None


@dataclass
class Block:
    """Many curves as columns.

    Attributes:
        ids: Their names, a pyarrow array of strings.
        lrs: Their rates, a pyarrow array of lists of float64.
        losses: Their losses, likewise.
        metadata: What else is known, a pyarrow array of maps of strings.
    """

    ids: Any
    lrs: Any
    losses: Any
    metadata: Any


def schema() -> pa.Schema:
    """Return the schema of the batches."""
    arrow = need("pyarrow", "`lehr.logs`")
    text, numbers = arrow.string(), arrow.list_(arrow.float64())
    return arrow.schema(
        [
            ("curve_id", text),
            ("source", text),
            ("format", text),
            ("lr", numbers),
            ("loss", numbers),
            ("smoothing", text),
            ("metadata", arrow.map_(text, text)),
        ]
    )


class Assembler:
    """Rows, as they come, until there are enough for a batch."""

    def __init__(self) -> None:
        self.arrow = need("pyarrow", "`lehr.logs`")
        self.schema = schema()
        self._clear()

    def _clear(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.points = 0

    def add(
        self, curve: Curve, source: Source, reader: str, report: Report
    ) -> Iterator[pa.RecordBatch]:
        """Take a curve; yield the batch that is full before it."""
        name = curve.id or source.name
        try:
            lrs, losses = _core.curve(curve.lrs, curve.losses, curve.smoothing)
        except (ValueError, TypeError) as error:
            place = curve.place or (f"{source.name}[{curve.id}]" if curve.id else source.name)
            report.skip(place, str(error))
            return
        if self.rows and (len(self.rows) >= CURVES or self.points + len(lrs) > POINTS):
            yield from self.flush()
        found = (source.name, curve.format or reader)
        metadata = list(curve.metadata.items())
        self.rows.append((name, *found, lrs, losses, curve.smoothing, metadata))
        self.points += len(lrs)
        report.read += 1

    def flush(self) -> Iterator[pa.RecordBatch]:
        """Yield what there is as a batch."""
        if self.rows:
            columns: list[Any] = [list(column) for column in zip(*self.rows, strict=True)]
            lists = [self._lists(columns[3]), self._lists(columns[4])]
            arrays = [
                self.arrow.array(column, kind)
                for column, kind in zip(columns, self.schema.types, strict=True)
                if column is not columns[3] and column is not columns[4]
            ]
            arrays[3:3] = lists
            self._clear()
            yield self.arrow.record_batch(arrays, schema=self.schema)

    def _lists(self, arrays: Iterable[Any]) -> Any:
        arrays = list(arrays)
        ends = np.cumsum([0, *map(len, arrays)], dtype=np.int32)
        return self.arrow.ListArray.from_arrays(ends, np.concatenate(arrays))

    def block(
        self, block: Block, source: Source, reader: str, asked: Options, report: Report
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of many curves, after what there was before them."""
        yield from self.flush()
        smoothing = asked.averaged(None)
        lrs, losses = block.lrs, block.losses
        if smoothing is not None:
            inverted = [
                _core.curve(rates, stored, smoothing)[1]
                for rates, stored in zip(_split(lrs), _split(losses), strict=True)
            ]
            losses = self._lists(inverted) if inverted else losses
        count = len(block.ids)
        constant = {
            "curve_id": block.ids,
            "source": self.arrow.repeat(source.name, count),
            "format": self.arrow.repeat(reader, count),
            "lr": lrs,
            "loss": losses,
            "smoothing": self.arrow.repeat(
                self.arrow.scalar(smoothing, self.arrow.string()), count
            ),
            "metadata": block.metadata,
        }
        report.read += count
        yield self.arrow.record_batch(list(constant.values()), schema=self.schema)


def _split(lists: Any) -> list[Any]:
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    return [values[a:b] for a, b in pairwise(offsets)]
