"""Curves put together to record batches of bounded size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core
from lehr._extras import need
from lehr.logs.sources import encodable

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
        num_it: The iterations it was meant to have, where that is known.
        stop: Why it ended, as of `Sweep`, where that is known.
        undone: The average that was undone before, "" where none could be; `None` where
            `smoothing` is still to be.
    """

    id: str
    lrs: Any
    losses: Any
    smoothing: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    place: str | None = None
    num_it: int | None = None
    stop: str | None = None
    undone: str | None = None


@dataclass
class Block:
    """Many curves as columns.

    Attributes:
        ids: Their names, a pyarrow array of strings, null where one has none.
        lrs: Their rates, a pyarrow array of lists of float64.
        losses: Their losses, likewise.
        metadata: What else is known, a pyarrow array of maps of strings.
        smoothing: How all these losses were averaged, as of `Sweep`.
        rows: The place of one in its file, by its number in the block; by default its id.
        undone: As of `Curve`.
        notes: What to note of them in the report, and how often.
    """

    ids: Any
    lrs: Any
    losses: Any
    metadata: Any
    smoothing: str | None = None
    rows: Any = None
    undone: str | None = None
    notes: Mapping[str, int] = field(default_factory=dict)


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
            ("num_it", arrow.int64()),
            ("stop", text),
            ("metadata", arrow.map_(text, text)),
        ]
    )


def joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Return batches as one."""
    arrow = need("pyarrow", "`lehr.logs`")
    if len(batches) == 1:
        return batches[0]
    [batch] = arrow.Table.from_batches(batches).combine_chunks().to_batches()
    return batch


def merged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches of curves, small ones joined: a batch a file would cost more than its rows."""
    waiting: list[pa.RecordBatch] = []
    curves = points = 0
    for batch in batches:
        count = len(batch["lr"].flatten())
        if waiting and (curves + len(batch) > CURVES or points + count > POINTS):
            yield joined(waiting)
            waiting, curves, points = [], 0, 0
        if not waiting and (2 * len(batch) > CURVES or 2 * count > POINTS):
            # Large enough: waiting would hold it in memory beside the next one.
            yield batch
            continue
        waiting.append(batch)
        curves, points = curves + len(batch), points + count
    if waiting:
        yield joined(waiting)


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
        name = encodable(curve.id or source.name)
        try:
            if curve.undone is not None:
                curve.smoothing = None
            lrs, losses = _core.curve(curve.lrs, curve.losses, curve.smoothing)
        except (ValueError, TypeError) as error:
            place = curve.place or (f"{source.name}[{curve.id}]" if curve.id else source.name)
            report.skip(place, str(error))
            return
        if self.rows and (len(self.rows) >= CURVES or self.points + len(lrs) > POINTS):
            yield from self.flush()
        found = (source.name, curve.format or reader)
        metadata = [(encodable(key), encodable(value)) for key, value in curve.metadata.items()]
        smoothing = curve.undone or curve.smoothing
        self.rows.append((name, *found, lrs, losses, smoothing, curve.num_it, curve.stop, metadata))
        self.points += len(lrs)
        report.add(found[1])

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
        for text, count in block.notes.items():
            report.note(text, count)
        block = _sound(block, source, report)
        if block.undone is None:
            block.smoothing = asked.averaged(block.smoothing)
        ends = block.lrs.offsets.to_numpy()
        start = 0
        while start < len(block.ids):
            within = np.searchsorted(ends, ends[start] + POINTS, side="right") - 1
            stop = min(max(int(within), start + 1), start + CURVES, len(block.ids))
            yield self._batch(block, slice(start, stop), source, reader)
            report.add(reader, stop - start)
            start = stop

    def _batch(self, block: Block, rows: slice, source: Source, reader: str) -> pa.RecordBatch:
        text, count = self.arrow.string(), rows.stop - rows.start
        lrs, losses = block.lrs[rows], block.losses[rows]
        smoothing = block.smoothing if block.undone is None else block.undone or None
        if smoothing is not None and block.undone is None:
            pairs = zip(_split(lrs), _split(losses), strict=True)
            losses = self._lists(_core.curve(*pair, smoothing)[1] for pair in pairs)
        same = [
            self.arrow.repeat(self.arrow.scalar(value, text), count)
            for value in (source.name, reader, smoothing)
        ]
        arrays = [
            block.ids[rows].fill_null(source.name),
            *same[:2],
            lrs,
            losses,
            same[2],
            self.arrow.nulls(count, self.arrow.int64()),
            self.arrow.nulls(count, text),
            block.metadata[rows],
        ]
        return self.arrow.record_batch(arrays, schema=self.schema)


def _sound(block: Block, source: Source, report: Report) -> Block:
    """Return a block without the rows that are no curves, which are told of."""
    arrow = need("pyarrow", "`lehr.logs`")
    finite = np.isfinite(block.lrs.values.to_numpy(zero_copy_only=False))
    ends, other = block.lrs.offsets.to_numpy(), block.losses.offsets.to_numpy()
    same = np.diff(ends) == np.diff(other)
    finite_before = np.concatenate([[0], np.cumsum(finite)])
    right = np.diff(finite_before[ends]) == np.diff(ends)
    null = ~(np.asarray(block.lrs.is_valid()) & np.asarray(block.losses.is_valid()))
    good = same & right & ~null
    if good.all():
        return block
    for row in np.flatnonzero(~good).tolist():
        name = block.ids[row].as_py()
        place = source.name if name is None else f"{source.name}[{name}]"
        place = block.rows(row) if block.rows else place
        report.skip(place, _wrong(block.lrs[row].as_py(), block.losses[row].as_py()))
    kept = arrow.array(np.flatnonzero(good))
    return Block(
        block.ids.take(kept),
        block.lrs.take(kept),
        block.losses.take(kept),
        block.metadata.take(kept),
        block.smoothing,
        undone=block.undone,
    )


def _wrong(lrs: list[float | None] | None, losses: list[float | None] | None) -> str:
    """Return why these are no curve."""
    if lrs is None or losses is None:
        return "is null"
    rates, values = ([math.nan if x is None else x for x in one] for one in (lrs, losses))
    try:
        _core.curve(rates, values)
    except ValueError as error:
        return str(error)
    return "is no curve"


def _split(lists: Any) -> list[Any]:
    # `values` of a slice are those of the whole, as its offsets are.
    offsets = lists.offsets.to_numpy()
    values = lists.values.to_numpy(zero_copy_only=False)
    return [values[a:b] for a, b in pairwise(offsets)]
