"""Parquet and Arrow files: a curve a row, in columns of lists, or a point a row."""

from __future__ import annotations

import copy
import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need
from lehr.logs import columns, points
from lehr.logs.assemble import CURVES, POINTS, Block, joined
from lehr.logs.sources import Source, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from lehr.logs.columns import Columns, Options
    from lehr.logs.report import Report

# Files from this size on are worth to be read in parts.
SPLIT = 1 << 20
_PARQUET = b"PAR1"
# As many rows of a Parquet file tell how long rows are, and as many are read at once.
_FIRST, _PIECE = 16, 256
_END = b"\xff\xff\xff\xff\0\0\0\0"


class Parquet:
    """Parquet files."""

    name = "parquet"

    def detect(self, source: Source) -> bool:
        """Return whether it begins as Parquet does."""
        return source.head.startswith(_PARQUET)

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Block]:
        """Yield the curves of all row groups, or of those that the source is cut down to."""
        with _opened(source) as file:
            yield from _curves(_ParquetFile(file, source.row_groups), source, asked, report)

    def parts(self, source: Source, asked: Options) -> list[Source]:
        """Return a source for each row group of a large file of lists; else the source itself."""
        if source.members or source.unread:
            return [source]
        arrow = need("pyarrow", "a columnar file")
        try:
            if source.size < SPLIT or source.compression:
                return [source]
            with source.raw() as file:
                if file.read(4) != _PARQUET:
                    return [source]
            with _opened(source) as file:
                table = _ParquetFile(file, None)
                if _lists(table.schema, asked) is None:
                    return [source]
                count = table.file.num_row_groups
        except (OSError, ValueError, MemoryError, arrow.ArrowException):
            return [source]  # reading it will tell why
        return [_part(source, (group,)) for group in range(count)]


class Arrow:
    """Arrow IPC files and streams, Feather files among them."""

    name = "arrow"

    def detect(self, source: Source) -> bool:
        """Return whether it begins as an Arrow file or stream does."""
        return source.head.startswith((b"ARROW1\0\0", b"\xff\xff\xff\xff"))

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Block]:
        """Yield the curves of all record batches."""
        with _opened(source) as file:
            yield from _curves(_ArrowFile(file, source.head), source, asked, report)


FORMATS = (Parquet(), Arrow())


class _ParquetFile:
    """The batches of a Parquet file.

    Attributes:
        file: The file.
        schema: Its schema.
    """

    def __init__(self, file: Any, groups: tuple[int, ...] | None) -> None:
        parquet = need("pyarrow.parquet", "a Parquet file")
        self.file = parquet.ParquetFile(file, pre_buffer=False)
        self.schema = self.file.schema_arrow
        self._groups = range(self.file.num_row_groups) if groups is None else groups

    def batches(self, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the number of the first row of each batch, and the batch."""
        metadata, most = self.file.metadata, 0.0
        listed = any(_is_list(self.schema.field(name).type) for name in names)
        starts = np.cumsum(
            [0, *(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))]
        )
        for group in self._groups:
            # Rows to come may be longer than all that were seen, so that few are read at once.
            most = most or self._first(group, names)
            rows = max(1, min(_PIECE, int(POINTS / max(most, 1)))) if listed else CURVES
            row = int(starts[group])
            pieces: list[pa.RecordBatch] = []
            curves, points = 0, 0
            for piece in self.file.iter_batches(rows, row_groups=[group], columns=names):
                piece.validate(full=True)  # texts need not be UTF-8
                count = _points(piece)
                most = max(most, count / max(1, len(piece)))
                if pieces and (curves + len(piece) > CURVES or points + count > POINTS):
                    yield row, joined(pieces)
                    row += curves
                    pieces, curves, points = [], 0, 0
                pieces.append(piece)
                curves, points = curves + len(piece), points + count
            if pieces:
                yield row, joined(pieces)

    def _first(self, group: int, names: list[str]) -> float:
        """Return how many points the first rows of a group have, each.

        The metadata would tell too, but pyarrow ends the process over metadata that is damaged.
        """
        for batch in self.file.iter_batches(_FIRST, row_groups=[group], columns=names):
            return _points(batch) / max(1, len(batch))
        return 0.0


def _points(batch: pa.RecordBatch) -> int:
    lists = [column for column in batch.columns if _is_list(column.type)]
    return max((len(column.flatten()) for column in lists), default=0)


class _ArrowFile:
    """The batches of an Arrow file or stream."""

    def __init__(self, file: Any, head: bytes) -> None:
        arrow = need("pyarrow", "an Arrow file")
        self._stream = not head.startswith(b"ARROW1")
        self._bytes = file
        self._file = arrow.ipc.open_stream(file) if self._stream else arrow.ipc.open_file(file)
        self.schema = arrow.schema(
            [(field.name, _type_without_views(field.type)) for field in self._file.schema]
        )

    def batches(self, names: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the number of the first row of each batch, and the batch."""
        arrow = need("pyarrow", "an Arrow file")
        file, row = self._file, 0
        every = file if self._stream else map(file.get_batch, range(file.num_record_batches))
        for batch in every:
            batch.validate(full=True)  # offsets of a damaged file may point anywhere
            columns = [_without_views(one) for one in batch.select(names).columns]
            yield row, arrow.RecordBatch.from_arrays(columns, names=names)
            row += len(batch)
        if self._stream:
            self._bytes.seek(-len(_END), io.SEEK_END)
            if self._bytes.read() != _END:
                raise EOFError("the stream has no end mark, so there may be more of it")


def _type_without_views(kind: Any) -> Any:
    """Return a type whose texts are no views, as polars writes them: few functions know these."""
    arrow = need("pyarrow", "an Arrow file")
    if arrow.types.is_dictionary(kind) and arrow.types.is_string_view(kind.value_type):
        return arrow.dictionary(kind.index_type, arrow.string())
    return arrow.string() if arrow.types.is_string_view(kind) else kind


def _without_views(column: Any) -> Any:
    """Return a column of the type that `_type_without_views` says."""
    arrow = need("pyarrow", "an Arrow file")
    kind = _type_without_views(column.type)
    if kind == column.type:
        return column
    if arrow.types.is_dictionary(kind):
        values = column.dictionary.cast(kind.value_type)
        return arrow.DictionaryArray.from_arrays(column.indices, values)
    return column.cast(kind)


def _opened(source: Source) -> Any:
    """Return a file that can be sought in; a compressed one from memory."""
    return io.BytesIO(source.open().read()) if source.compression else source.raw()


def _part(source: Source, groups: tuple[int, ...]) -> Source:
    part = copy.copy(source)
    part.row_groups = groups
    return part


def dealt(found: list[Source], part: tuple[int, int], asked: Options) -> list[Source]:
    """Return the i-th of n parts of the sources, large Parquet files of lists by row group."""
    if part[1] == 1:
        return found
    parquet = Parquet()
    units = [unit for source in found for unit in parquet.parts(source, asked)]
    whole: list[Source] = []
    for unit in units[part[0] - 1 :: part[1]]:
        before = whole[-1] if whole else unit
        if (
            before is not unit
            and before.name == unit.name
            and before.row_groups
            and unit.row_groups
        ):
            whole[-1] = _part(unit, (*before.row_groups, *unit.row_groups))
        else:
            whole.append(unit)
    return whole


def _curves(file: Any, source: Source, asked: Options, report: Report) -> Iterator[Block]:
    arrow = need("pyarrow", "a columnar file")
    names = file.schema.names
    found = _lists(file.schema, asked)
    listed = found is not None
    found = found or columns.choose(names, asked)
    wanted = [
        name
        for name in dict.fromkeys(names)
        if name in found.names or points.plain(file.schema.field(name).type)
    ]
    row, tables = 0, []
    broken = ""
    try:
        for start, batch in file.batches(wanted):
            row = start + len(batch)
            if listed:
                yield from _blocks(batch, found, source, start)
            else:
                place = lambda at, start=start: f"{source.name}[{start + at}]"  # noqa: E731
                table = arrow.Table.from_batches([batch])
                tables.append(points.cleaned(table, found, report, place))
    except (OSError, EOFError, MemoryError, arrow.ArrowException) as error:
        broken = f"breaks off after row {row}: {error}"
    if tables:
        yield from points.curves(arrow.concat_tables(tables), found)
    if broken:
        raise Unread(broken)
    if row == 0:
        raise Unread("has no row")


def _lists(schema: pa.Schema, asked: Options) -> Columns | None:
    """Return the columns of a table of lists; `None` where it is none.

    Raises:
        Unread: Several columns have one name.
    """
    if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
        raise Unread(f"has several columns named {twice[0]!r}")
    names = [name for name in schema.names if _is_list(schema.field(name).type)]
    others = [name for name in schema.names if points.plain(schema.field(name).type)]
    if not names:
        return None
    try:
        found = columns.choose([*names, *others], asked)
    except Unread:
        return None
    listed = all(pair.lr in names and pair.loss in names for pair in found.pairs)
    return found if listed else None


def _is_list(kind: Any) -> bool:
    types = need("pyarrow", "a columnar file").types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(test(kind) for test in tests) and (
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type)
    )


def _blocks(batch: Any, found: Columns, source: Source, start: int) -> Iterator[Block]:
    arrow = need("pyarrow", "a columnar file")
    compute: Any = need("pyarrow.compute", "a columnar file")
    text = arrow.string()
    numbers = arrow.array(np.arange(start, start + len(batch))).cast(text)
    rows = compute.binary_join_element_wise(f"{source.name}[", numbers, "]", "")
    ids = rows if found.run is None else compute.coalesce(_texts(batch[found.run]), rows)
    metadata = {name: _texts(batch[name]) for name in batch.schema.names if name not in found.names}
    maps = points.maps(metadata, len(batch))
    for pair in found.pairs:
        named = ids
        if pair.label:
            named = compute.binary_join_element_wise(ids, pair.label, "/")
        lists = _doubles(batch[pair.lr]), _doubles(batch[pair.loss])
        yield Block(named, *lists, maps, pair.smoothing, lambda row: rows[row].as_py())


def _texts(column: Any) -> Any:
    return column.cast(need("pyarrow", "a columnar file").string())


def _doubles(column: Any) -> Any:
    """Return lists of float64 that begin at 0 and hold NaN for null; null lists stay."""
    arrow = need("pyarrow", "a columnar file")
    lists = column.cast(arrow.list_(arrow.float64()))
    values, lengths = lists.flatten(), lists.value_lengths().fill_null(0)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    if values.null_count:
        values = values.fill_null(float("nan"))
    mask = lists.is_null() if lists.null_count else None
    return arrow.ListArray.from_arrays(arrow.array(ends), values, mask=mask)
