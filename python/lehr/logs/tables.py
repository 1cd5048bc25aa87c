"""Tables as text: comma-separated values and their like."""

from __future__ import annotations

import codecs
import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from lehr._extras import need
from lehr.logs import columns, points
from lehr.logs.sources import HEAD, Source, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from lehr.logs.columns import Options
    from lehr.logs.report import Report

_DELIMITERS = ",\t;|"
_SUFFIXES = (".csv", ".tsv", ".tab")
# As large as pyarrow's blocks are, a row is not.
_BLOCK = 1 << 20
_LONG = "its first line is longer than 1 MiB, so that no columns are named"


class Header(NamedTuple):
    """The first line of a table.

    Attributes:
        names: The names of its columns; none where it is no table.
        delimiter: What stands between them.
        encoding: Of the file.
        line: Its number, from 1 on.
    """

    names: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    line: int = 1


class Table:
    """Tables of one tool, or of any.

    Args:
        name: The name of the format.
        told: Whether the names of columns, and the name of the file, are of this tool.
        without: What to say more of a table without rates.
    """

    def __init__(self, name: str, told: Callable[[Header, str], bool], without: str = "") -> None:
        self.name = name
        self._told = told
        self._without = without

    def detect(self, source: Source) -> bool:
        """Return whether the first line names the columns of this tool."""
        header = source.kept("table", header_of)
        return len(header.names) > 1 and self._told(header, source.base)

    def read(self, source: Source, asked: Options, report: Report) -> Iterator[Any]:
        """Yield the curves of a table."""
        header = source.kept("table", header_of)
        if not header.names:
            if not source.head.strip():
                raise Unread("is empty")
            long = len(source.head) >= HEAD and b"\n" not in source.head.strip()
            raise Unread(_LONG if long else "has no line that names columns")
        try:
            found = columns.choose(header.names, asked)
        except Unread as error:
            raise Unread(f"{error}{self._without}") from error
        reader = _Reader(source, header, found, report)
        table = reader.table()
        if len(table):
            yield from points.curves(table, found, whole=not reader.gaps)
        elif not reader.broken and not reader.told:
            raise Unread("has no row below the names of its columns")
        if reader.broken:
            raise Unread(reader.broken)


def header_of(source: Source) -> Header:
    """Return the header of a table; one without names if it is none."""
    head = source.head
    encoding = "utf-16" if head[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8"
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    if len(head) >= HEAD and "\0" not in text and not _ends(text):
        text = _longer(source)
    lines = text.splitlines()
    full = [index for index, line in enumerate(lines) if line.strip()]
    if not full or "\0" in text:
        return Header(())
    line = lines[full[0]]
    delimiter = max(_DELIMITERS, key=line.count)
    names: dict[str, None] = {}
    counts: defaultdict[str, int] = defaultdict(lambda: 1)
    try:
        cells = next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return Header(())  # a name of more than 128 KiB
    for cell in cells:
        plain = name = cell.strip()
        while name in names:
            counts[plain] += 1
            name = f"{plain}#{counts[plain]}"
        names[name] = None
    return Header(tuple(names), delimiter, encoding, full[0] + 1)


def _ends(text: str) -> bool:
    """Return whether the first line with anything in it has an end."""
    return len(text.lstrip().splitlines()) > 1


def _longer(source: Source) -> str:
    """Return the beginning of a file, up to the end of its first line; nothing if it has none."""
    text = ""
    with source.text(errors="replace") as file:
        while len(text) < _BLOCK and not _ends(text) and (more := file.read(HEAD)):
            text += more
    return text if _ends(text) else ""


def _lightning(header: Header, base: str) -> bool:
    names = header.names
    monitored = any(name.startswith("lr-") for name in names) and "step" in names
    # The logger sorts the names.
    written = base == "metrics.csv" and {"epoch", "step"} <= set(names)
    return monitored or (written and list(names) == sorted(names))


def _fastai(header: Header, _: str) -> bool:
    return header.names[:3] == ("epoch", "train_loss", "valid_loss")


def _keras(header: Header, _: str) -> bool:
    first, *rest = header.names
    rates = "learning_rate" if "learning_rate" in rest else "lr"
    return first == "epoch" and rest == sorted(rest) and {"loss", rates} <= set(rest)


def _any(header: Header, base: str) -> bool:
    if base.endswith(_SUFFIXES):
        return True
    roles = [bool(columns.find(header.names, role)) for role in ("lr", "loss")]
    return all(roles)


FORMATS = (
    Table("lightning", _lightning, ", of which a LearningRateMonitor adds the rates"),
    Table("fastai_history", _fastai, ", for CSVLogger of fastai writes the losses of epochs alone"),
    Table("keras", _keras),
    Table("csv", _any),
)


class _Stream(io.RawIOBase):
    """A file as UTF-8, which ends where it breaks off.

    Attributes:
        broken: Why it broke off; empty where it did not.
        damaged: Whether something was not in its encoding, and was replaced.
        last: Its last character.
    """

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self.broken = ""
        self.damaged = False
        self.last = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # What is broken may go on with anything, and without end.
        text, more = "", b"" if self.broken else b"-"
        while not text and more:
            try:
                # A byte that is replaced becomes three.
                more = self._file.read1(len(buffer) // 3)
            except (OSError, EOFError) as error:
                self.broken, more = str(error) or repr(error), b""
            text = self._decoder.decode(more, final=not more)
        self.damaged |= "\ufffd" in text
        self.last = text[-1:] or self.last
        read = text.encode()
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Reader:
    """What reads the rows of a table, block by block.

    Attributes:
        broken: Where and why the file breaks off; empty where it does not.
        told: Whether rows were told of.
        gaps: Whether rows are missing among those that were read.
    """

    def __init__(
        self, source: Source, header: Header, found: columns.Columns, report: Report
    ) -> None:
        self._source = source
        self._header = header
        self._columns = found
        self._report = report
        self._odd: list[int] = []
        self._row = 0
        self.broken = ""
        self.told = False
        self.gaps = False

    def table(self) -> pa.Table:
        """Return all rows that can be read."""
        arrow = need("pyarrow", "a table")
        batches: list[pa.Table] = []
        try:
            with _Stream(self._source.open(), self._header.encoding) as stream:
                last = None
                for batch in self._batches(stream):
                    if last is not None:
                        batches.append(self._clean(last))
                    last = batch
                if last is not None:
                    if stream.last not in {"\n", "\r"}:
                        last = self._uncut(last)
                    batches.append(self._clean(last))
                if stream.damaged:
                    self._report.note("what is not in the encoding of its file is replaced")
                if stream.broken:
                    self.broken = self._broken(stream.broken)
        except (arrow.ArrowException, OSError, EOFError) as error:
            self.broken = self._broken(error)
        return arrow.concat_tables(batches) if batches else []

    def _batches(self, stream: _Stream) -> Iterator[pa.Table]:
        arrow = need("pyarrow", "a table")
        from pyarrow import csv as reader

        header = self._header
        nulls = [*points.NULLS, *map(str.upper, points.NULLS)]
        with reader.open_csv(
            arrow.PythonFile(io.BufferedReader(stream), mode="r"),
            reader.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                column_names=list(header.names),
                skip_rows=header.line,
            ),
            reader.ParseOptions(
                delimiter=header.delimiter,
                ignore_empty_lines=False,
                invalid_row_handler=self._invalid,
            ),
            reader.ConvertOptions(
                column_types=dict.fromkeys(header.names, arrow.string()),
                null_values=nulls,
                strings_can_be_null=True,
            ),
        ) as opened:
            for batch in opened:
                yield arrow.Table.from_batches([batch])

    def _clean(self, table: pa.Table) -> pa.Table:
        start = self._row
        self._row += len(table)

        def place(row: int) -> str:
            self.told = True
            return self._at(start + row)

        return points.cleaned(table, self._columns, self._report, place)

    def _uncut(self, table: pa.Table) -> pa.Table:
        """Return the rows without the last, which has no end: a number in it may be cut off."""
        if len(self._odd) and self._odd[-1] > self._line(self._row + len(table) - 1):
            return table  # it was left out for its columns
        self._skip(
            self._at(self._row + len(table) - 1),
            "the file ends within this line, so its last curve may go on",
        )
        return table.slice(0, len(table) - 1)

    def _invalid(self, row: Any) -> str:
        self._odd.append(row.number)
        if row.text.strip():
            self.gaps = True
            reason = f"has {row.actual_columns} columns instead of {row.expected_columns}"
            self._skip(f"{self._source.name}:{row.number}", reason)
        return "skip"

    def _skip(self, place: str, reason: str) -> None:
        self.told = True
        self._report.skip(place, reason)

    def _broken(self, error: object) -> str:
        return f"breaks off below line {self._line(self._row - 1)}: {error}"

    def _line(self, row: int) -> int:
        line = self._header.line + 1 + row
        for odd in self._odd:
            line += odd <= line
        return line

    def _at(self, row: int) -> str:
        return f"{self._source.name}:{self._line(row)}"
