"""`lehr logs`: suggestions for every curve in any logs."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lehr.suggestion import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from lehr.logs import Logs
    from lehr.logs.groups import Group, Groups

_COLOURS = {"ok": "green", "weak": "yellow", "none": "red", "bad": "red"}
# A file is written in these; as wide is a table that is not on a terminal.
_FORMATS = ("table", "csv", "json", "parquet")
_WIDE = 400


def _listed(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for one in value for name in one.split(",") if name.strip()]
    if names == ["all"]:
        return METHODS
    for name in names:
        if name not in METHODS:
            known = ", ".join(METHODS)
            raise click.BadParameter(f"{name!r} is none of {known}, or all")
    return tuple(dict.fromkeys(names))


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("robust", "valley"),
    show_default=True,
    callback=_listed,
    metavar="NAME",
    help="Rule to ask, several times or with commas; or all.",
)
@click.option("--by", metavar="COLUMN", help="Compare groups of curves: a column or metadata key.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="What to write; json has a line a row.",
)
@click.option("--out", type=click.Path(dir_okay=False), help="File to write.  [default: stdout]")
@click.option(
    "--rows",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Rows of a table to show.",
)
@click.option("--shard", metavar="I/N", help="Read only the I-th of N parts.")
@click.option("--from", "known", metavar="FORMAT", help="Read all as this format, not by content.")
@click.option(
    "--smoothing",
    help="How the losses were averaged: fastai, lightning, torch_lr_finder, ignite, or none.",
)
@click.option("--lr", help="Column of rates.")
@click.option("--loss", help="Column of losses.")
@click.option("--run", help="Column that tells runs apart.")
@click.option("--step", help="Column of steps.")
@click.option("--steps", type=click.IntRange(1), help="Length of the training to come, in steps.")
@click.option("--threads", type=click.IntRange(1), help="Threads.  [default: one a processor]")
@click.option("--strict", is_flag=True, help="Fail if anything was skipped.")
@click.option("--verbose", is_flag=True, help="List all that was skipped.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
def logs(
    paths: tuple[str, ...],
    methods: tuple[str, ...],
    by: str | None,
    shape: str,
    out: str | None,
    rows: int,
    strict: bool,
    verbose: bool,
    quiet: bool,
    steps: int | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Suggest a learning rate for every curve in logs of any format.

    PATH is a file, a folder, a glob or a URL. Formats are told by content: JSON, CSV, Parquet,
    Arrow, TensorBoard, W&B, MLflow, Lightning, Transformers, Keras, fastai, ignite,
    torch-lr-finder.

    \b
    Examples:
      lehr logs runs/
      lehr logs 'sweeps/*.json' --smoothing fastai --method all
      lehr logs runs/ --by batch_size
      lehr logs lake/ --shard 3/8 --format parquet --out part-3.parquet

    Exits with 0; with 1 if there is no curve, or with --strict if anything was skipped; with 2 if
    it is called wrongly.
    """  # noqa: D301 (click reads the control character)
    from lehr import suggest_batches

    found = _found(paths, options)
    if shape == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: give --out FILE")
    groups = None if by is None else _groups(by, methods[0])
    statuses: Counter[str] = Counter()
    with _progress(found, quiet) as seen:
        answers = suggest_batches(
            found, methods, threads=threads, steps=steps, num_it="num_it", stop="stop"
        )

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in answers:
                statuses.update(batch["status"].to_pylist())
                seen()
                yield batch

        if groups is not None:
            for batch in counted():
                groups.add(batch)
            _check_known(groups)
            _write_groups(groups, shape, out)
        else:
            _write(counted(), answers.schema, methods, shape, out, rows)
    if not quiet:
        _summary(found, statuses, verbose)
    if not found.report.read or (strict and found.report.skipped):
        sys.exit(1)


def _found(paths: tuple[str, ...], options: dict[str, Any]) -> Logs:
    from lehr.logs import read

    options["format"] = options.pop("known")
    try:
        return read(list(paths), **options)
    except FileNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="'PATH...'") from error
    except (TypeError, ValueError) as error:
        message = str(error).replace("`format`", "`--from`")
        raise click.UsageError(message) from error


def _groups(by: str, method: str) -> Groups:
    from lehr.logs.groups import Groups

    return Groups(by, method)


def _check_known(groups: Groups) -> None:
    if groups.known and groups.by not in groups.known:
        known = ", ".join(groups.known)
        raise click.BadParameter(
            f"no curve has {groups.by!r}; they have {known}", param_hint="'--by'"
        )


@contextmanager
def _progress(found: Logs, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show how many sources are done, on a terminal alone."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading", total=len(found.sources))
        yield lambda: bar.update(task, completed=found.report.done)


def _summary(found: Logs, statuses: Counter[str], verbose: bool) -> None:
    click.echo(found.report, err=True)
    if verbose:
        for place, reason in found.report.skipped:
            click.echo(f"skipped {place}: {reason}", err=True)
    counts = ", ".join(f"{count:,} {name}" for name, count in statuses.most_common())
    click.echo(f"suggestions: {counts or 'none'}", err=True)


# Writing.


def _write(
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    methods: tuple[str, ...],
    shape: str,
    out: str | None,
    rows: int,
) -> None:
    if shape == "table":
        _table(batches, methods, out, rows)
    elif shape == "parquet":
        _parquet(batches, schema, out)
    else:
        with click.open_file(out or "-", "w", encoding="utf-8") as file:
            lines = _csv if shape == "csv" else _json
            for text in lines(batches, schema):
                file.write(text)


def _parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, out: str | None) -> None:
    from pyarrow import parquet

    with (
        click.open_file(out or "-", "wb") as file,
        parquet.ParquetWriter(file, schema) as writer,
    ):
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


def _json(batches: Iterator[pa.RecordBatch], _: pa.Schema) -> Iterator[str]:
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
            colour = _COLOURS[row["status"]]
            shown.append(
                [
                    name, row["format"], str(row["points"]),
                    f"[{colour}]{row['status']}[/]",
                    *(_rate(row[method]) for method in methods), row["reason"] or "",
                ]
            )  # fmt: skip
    _print_table(columns, shown, out, right={"points", *methods})
    if more:
        click.echo(f"and {more:,} more: --rows {len(shown) + more}, or --format csv", err=True)


def _rate(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.2e}"


def _print_table(
    columns: list[str], rows: list[list[str]], out: str | None, right: set[str]
) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    with click.open_file(out or "-", "w", encoding="utf-8") as file:
        console = Console(file=file)
        if not console.is_terminal:
            console = Console(file=file, width=_WIDE, color_system=None)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns:
            status = name == "status"
            table.add_column(
                name,
                justify="right" if name in right else "left",
                overflow="fold",
                no_wrap=status or name in right,
            )
        for row in rows:
            table.add_row(
                *(one if name == "status" else escape(one)
                  for name, one in zip(columns, row, strict=True))
            )  # fmt: skip
        console.print(table)


# Groups.


def _write_groups(groups: Groups, shape: str, out: str | None) -> None:
    import pyarrow as pa

    if shape == "table":
        _print_groups(groups, out)
        return
    rows = [_group_fields(groups.by, one) for one in groups.groups()]
    if shape == "csv":
        rows = [{**row, "outliers": json.dumps(row["outliers"])} for row in rows]
    table = pa.Table.from_pylist(rows)
    _write(iter(table.to_batches()), table.schema, (), shape, out, 0)


def _print_groups(groups: Groups, out: str | None) -> None:
    found = groups.groups()
    columns = [
        groups.by, "curves", *_COLOURS, groups.method, "quartiles", "decades", "agreement",
    ]  # fmt: skip
    _print_table(columns, [_group_row(one) for one in found], out, right=set(columns[1:]))
    for one in found:
        for name in one.outliers:
            click.echo(f"outlier of {groups.by} {_value(one)}: {name}")
    trend = groups.trend()
    if trend is not None:
        click.echo(
            f"trend: the rate of {groups.method} goes with {groups.by} to the power "
            f"{trend.power:+.2f} (Kendall's tau {trend.tau:+.2f}, {trend.values} values)"
        )


def _group_fields(by: str, one: Group) -> dict[str, Any]:
    numbers = {
        "median": one.median, "low": one.low, "high": one.high, "decades": one.decades,
        "agreement": one.agreement,
    }  # fmt: skip
    return {
        by: one.value,
        "curves": one.curves,
        **{name: one.statuses.get(name, 0) for name in _COLOURS},
        "suggested": one.suggested,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "outliers": list(one.outliers),
    }


def _group_row(one: Group) -> list[str]:
    def number(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.2f}"

    counts = [str(one.statuses.get(name, 0)) for name in _COLOURS]
    quartiles = "" if math.isnan(one.low) else f"{_rate(one.low)} .. {_rate(one.high)}"
    return [
        _value(one), str(one.curves), *counts, _rate(one.median), quartiles,
        number(one.decades), number(one.agreement),
    ]  # fmt: skip


def _value(one: Group) -> str:
    return "(none)" if one.value is None else one.value
