"""Writing answers about many curves: as a table, CSV, JSON or Parquet."""

from __future__ import annotations

import json
import math
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

COLOURS = {"ok": "green", "weak": "yellow", "none": "red", "bad": "red"}
# What is written, by the suffix of its file.
SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
# As wide is a table that is not on a terminal, and a text on a narrow one.
_WIDE, _NARROW = 400, 16


def write(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    methods: tuple[str, ...],
    shape: str,
    out: str | None,
    rows: int,
) -> None:
    """Write batches of answers as "table", "csv", "json" or "parquet" to `out`, or the output."""
    if shape == "table":
        _table(batches, methods, out, rows)
    elif shape == "parquet":
        _parquet(batches, schema, out)
    else:
        with _output(out) as file:
            texts = _csv(batches, schema) if shape == "csv" else _json(batches)
            for text in texts:
                file.write(text)


@contextmanager
def _output(out: str | None, *, binary: bool = False) -> Iterator[Any]:
    """Open what is written to: a file that takes its name when it is whole, or the output."""
    if out is None:
        stream: Any = click.get_binary_stream if binary else click.get_text_stream
        yield stream("stdout")
        return
    path = Path(out)
    # Beside it, so that it can take its place, whatever is read meanwhile.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb" if binary else "w", encoding=None if binary else "utf-8") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, out: str | None) -> None:
    from pyarrow import parquet

    with _output(out, binary=True) as file, parquet.ParquetWriter(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _csv(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[str]:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(schema.names)
    for row in _plain_rows(batches):
        values = (json.dumps(one) if isinstance(one, dict) else one for one in row.values())
        writer.writerow(["" if one is None else one for one in values])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _json(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    for row in _plain_rows(batches):
        yield json.dumps(row, allow_nan=False) + "\n"


def _plain_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Yield rows with what JSON can hold: maps as objects, infinite numbers as texts."""
    for batch in batches:
        for row in batch.to_pylist():
            if "metadata" in row:
                row["metadata"] = dict(row["metadata"] or ())
            yield {
                name: str(one) if isinstance(one, float) and math.isinf(one) else one
                for name, one in row.items()
            }


def _table(
    batches: Iterator[pa.RecordBatch], methods: tuple[str, ...], out: str | None, rows: int
) -> None:
    columns = ["curve", "format", "points", "status", *methods, "why"]
    shown: list[list[str]] = []
    more = 0
    for batch in batches:
        some = batch.slice(0, rows - len(shown)).to_pylist() if len(shown) < rows else []
        more += batch.num_rows - len(some)
        for row in some:
            name, source = row["curve_id"], row["source"]
            name = name if name.startswith(source) else f"{source}: {name}"
            colour = COLOURS[row["status"]]
            shown.append(
                [
                    name, row["format"], str(row["points"]),
                    f"[{colour}]{row['status']}[/]",
                    *(rate(row[method]) for method in methods), row["reason"] or "",
                ]
            )  # fmt: skip
    print_table(columns, shown, out, right={"points", *methods})
    if more:
        click.echo(f"and {more:,} more: --rows {len(shown) + more}, or --format csv", err=True)


def rate(value: float | None) -> str:
    """Return a rate as a table shows it, nothing of none."""
    return "" if value is None or math.isnan(value) else f"{value:.2e}"


def print_table(
    columns: list[str], rows: list[list[str]], out: str | None, right: set[str]
) -> None:
    """Print a table; the columns in `right` hold numbers, which are never cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    texts = [[Text.from_markup(one) if name == "status" else Text(_shown(one))
              for name, one in zip(columns, row, strict=True)] for row in rows]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(map(Text, columns), *texts, strict=True)]
    fixed = [name in right or name == "status" for name in columns]
    # A number that is cut is another number: the lines are rather broken by the terminal.
    needed = sum(
        (width if keep else min(width, _NARROW)) + 2
        for width, keep in zip(widths, fixed, strict=True)
    )
    with _output(out) as file:
        console = Console(file=file)
        if console.is_terminal:
            console.width = max(console.width, needed)
        else:
            console = Console(file=file, width=_WIDE, color_system=None)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, width, keep in zip(columns, widths, fixed, strict=True):
            table.add_column(
                name,
                justify="right" if name in right else "left",
                overflow="fold",
                no_wrap=keep,
                min_width=width if keep else min(width, _NARROW),
            )
        for row in texts:
            table.add_row(*row)
        console.print(table)


def _shown(text: str) -> str:
    """Return a text whose control characters are written out."""
    return text if text.isprintable() else "".join(
        one if one.isprintable() else ascii(one)[1:-1] for one in text
    )  # fmt: skip
