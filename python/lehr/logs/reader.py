"""Logs as record batches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lehr._extras import need
from lehr.arguments import integer
from lehr.logs import columns
from lehr.logs.assemble import Assembler, Block, merged, schema
from lehr.logs.columnar import dealt
from lehr.logs.formats import detect, formats
from lehr.logs.report import Report
from lehr.logs.sources import Source, Unread, sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

from lehr.logs.formats import Format

_SMOOTHINGS = ("fastai", "lightning", "torch_lr_finder", "ignite", "none")


class Logs:
    """The curves of logs, read as they are asked for.

    Iterating yields record batches and begins anew each time; pyarrow, polars, duckdb and other
    libraries that know the Arrow stream interface take the object itself.

    Attributes:
        schema: The schema of the batches.
        sources: What is read, in order.
        report: What was read so far, by the last iteration.
    """

    def __init__(self, found: list[Source], asked: columns.Options, reader: Format | None) -> None:
        self.schema: pa.Schema = schema()
        self.sources = found
        self.report = Report(len(found))
        self._asked = asked
        self._reader = reader

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.report = Report(len(self.sources))
        return merged(self._batches(self.report))

    def _batches(self, report: Report) -> Iterator[pa.RecordBatch]:
        assembler = Assembler()
        for source in self.sources:
            yield from self._read(source, assembler, report)
            source.forget()
            report.end(source.name)
        yield from assembler.flush()

    def _read(
        self, source: Source, assembler: Assembler, report: Report
    ) -> Iterator[pa.RecordBatch]:
        arrow = need("pyarrow", "`lehr.logs`")
        asked, reader = self._asked, self._reader
        try:
            if source.unread:
                raise Unread(source.unread)  # noqa: TRY301
            reader = reader or detect(source)
            if reader is None:
                raise Unread("is of no known format" if source.head else "is empty")  # noqa: TRY301
            for one in reader.read(source, asked, report):
                if isinstance(one, Block):
                    yield from assembler.block(one, source, reader.name, asked, report)
                else:
                    one.smoothing = asked.averaged(one.smoothing)
                    yield from assembler.add(one, source, reader.name, report)
        except Unread as error:
            report.skip(error.place or source.name, str(error))
        except (
            OSError,
            EOFError,
            ValueError,
            RecursionError,
            MemoryError,
            arrow.ArrowException,
        ) as error:
            # Of a library that reads the bytes: what it says of them is what can be told.
            report.skip(source.name, f"cannot be read: {error}")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        arrow = need("pyarrow", "`lehr.logs`")
        reader = arrow.RecordBatchReader.from_batches(self.schema, iter(self))
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Logs of {len(self.sources)} sources>"


def read(
    paths: Any,
    *,
    lr: Any = None,
    loss: Any = None,
    run: Any = None,
    step: Any = None,
    format: str | None = None,  # noqa: A002 (as all readers call it)
    smoothing: str | None = None,
    shard: Any = None,
) -> Logs:
    """Read the curves of logs, of any format, as record batches.

    Args:
        paths: A path, a glob, a folder, which is walked, or a URL that fsspec opens; or several.
            Hidden files of a folder are left out. Compressed files are read as what is in them.
        lr: The column of rates: a name, a glob, or several in order of preference, in place of
            the names that are known. "lr[0]" is the first of several parameter groups; the last
            one is read by default.
        loss: The column of losses, likewise. A glob that matches several gives a curve for each.
        run: The column that tells the runs of a table apart, likewise.
        step: The column of steps, likewise.
        format: A name of `FORMATS` that all sources are read as; each is told by its content by
            default.
        smoothing: How the losses were averaged, as of `Sweep`, or "none" for not at all, in place
            of what the format says.
        shard: "i/n" or (i, n): read only the i-th of n parts, 1 <= i <= n. The sources are dealt
            out in the order of their names, and large Parquet files of lists by row group.

    Returns:
        The logs. Their batches have the columns `curve_id`, `source` and `format`, strings; `lr`
        and `loss`, lists of float64 of equal length, the losses raw: the average that the format
        keeps is inverted; `smoothing`, the average that was, null for none; `num_it` and `stop`, as
        of `Sweep`, null where they are not known; and `metadata`, a map of strings. A batch has a
        bounded number of points, so that memory stays the same however much there is to read.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: `format` or `smoothing` is unknown, or `shard` is not of 1 <= i <= n.
        FileNotFoundError: There is nothing at one of `paths`.
        ImportError: pyarrow is not installed, or there is a URL and fsspec is not.

    Example:
        >>> import json, pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> text = json.dumps({"lr": [0.1, 0.2], "loss": [3.0, 3.5]})
        >>> _ = (folder / "first.json").write_text(text)
        >>> logs = read(folder, smoothing="ignite")
        >>> for batch in logs:
        ...     print([round(loss, 9) for loss in batch["loss"][0].as_py()])
        [3.0, 13.0]
        >>> print(logs.report)
        1 curve read from 1 file, 1 json
    """
    known = formats()
    if format is not None and format not in known:
        message = f"`format` must be one of {', '.join(known)}, or None, got {format!r}"
        raise ValueError(message)
    if smoothing is not None and smoothing not in _SMOOTHINGS:
        message = f"`smoothing` must be one of {', '.join(_SMOOTHINGS)}, or None, got {smoothing!r}"
        raise ValueError(message)
    part = _part(shard)
    asked = columns.options(lr, loss, run, step, smoothing)
    claims = [one for one in known.values() if hasattr(one, "claim")]
    if format is not None:
        claims = [one for one in claims if one.name == format]
    found = dealt(sources(paths, claims), part, asked)
    return Logs(found, asked, known[format] if format else None)


def _part(shard: Any) -> tuple[int, int]:
    if shard is None:
        return 1, 1
    message = f'`shard` must be "i/n" or (i, n) with 1 <= i <= n, got {shard!r}'
    if isinstance(shard, str):
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", shard)
        if match is None:
            raise ValueError(message)
        shard = int(match[1]), int(match[2])
    if not isinstance(shard, (tuple, list)) or len(shard) != 2:  # noqa: PLR2004
        raise TypeError(message)
    part, parts = (integer(value, "shard") for value in shard)
    if not 1 <= part <= parts:
        raise ValueError(message)
    return part, parts
