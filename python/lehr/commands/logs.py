"""`lehr logs`: suggestions for every curve in any logs."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lehr.commands.output import COLOURS, SUFFIXES, print_table, rate, write
from lehr.suggestion import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from lehr.logs import Logs
    from lehr.logs.groups import Group, Groups


def _listed(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for one in value for name in one.split(",") if name.strip()]
    if not names:
        raise click.BadParameter(f"must name a rule: {', '.join(METHODS)}, or all")
    if "all" in names:
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
    type=click.Choice(["table", "csv", "json", "parquet"]),
    help="What to write; json has a line a row.  [default: by the suffix of --out, else table]",
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
    shape: str | None,
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

    A file that is written appears whole or not at all. Exits with 0; with 1 if there is no curve,
    or with --strict if anything was skipped; with 2 if it is called wrongly.
    """  # noqa: D301 (click reads the control character)
    from lehr import suggest_batches

    shape = shape or SUFFIXES.get(Path(out or "").suffix.lower(), "table")
    found = _found(paths, options)
    if shape == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: give --out FILE")
    groups = None if by is None else _groups(by, methods[0])
    statuses: Counter[str] = Counter()
    # What is written to a terminal leaves no place for a bar, but for a table, which comes last.
    silent = quiet or (shape != "table" and out is None and sys.stdout.isatty())
    with _progress(found, silent) as (seen, over):
        answers = suggest_batches(
            found, methods, threads=threads, steps=steps, num_it="num_it", stop="stop"
        )

        def counted() -> Iterator[pa.RecordBatch]:
            for batch in answers:
                statuses.update(batch["status"].to_pylist())
                seen()
                yield batch
            over()

        if groups is not None:
            for batch in counted():
                groups.add(batch)
            _check_known(groups)
            _write_groups(groups, shape, out)
        else:
            write(counted(), answers.schema, methods, shape, out, rows)
    if not quiet:
        _summary(found, statuses, verbose)
    # A part of nothing is no failure: there may be more parts than files.
    empty = not found.report.read and (found.sources or options["shard"] is None)
    if empty or (strict and found.report.skipped):
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
def _progress(found: Logs, quiet: bool) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Show how many sources are done, on a terminal alone; yield what moves and what ends that."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda: None, lambda: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading", total=len(found.sources))
        yield lambda: bar.update(task, completed=found.report.done), bar.stop


def _summary(found: Logs, statuses: Counter[str], verbose: bool) -> None:
    lines = str(found.report).splitlines()
    if verbose:
        # All that was skipped, in place of the first.
        lines = [line for line in lines if not line.startswith("  ")]
        lines += [f"skipped {place}: {reason}" for place, reason in found.report.skipped]
    click.echo("\n".join(lines), err=True)
    counts = ", ".join(f"{count:,} {name}" for name, count in statuses.most_common())
    click.echo(f"suggestions: {counts or 'none'}", err=True)


# Groups.


def _write_groups(groups: Groups, shape: str, out: str | None) -> None:
    import pyarrow as pa

    if shape == "table":
        _print_groups(groups, out)
        return
    rows = [_group_fields(groups.by, groups.method, one) for one in groups.groups()]
    if shape == "csv":
        rows = [{**row, "outliers": json.dumps(row["outliers"])} for row in rows]
    texts = pa.string() if shape == "csv" else pa.list_(pa.string())
    kinds = {groups.by: pa.string(), "method": pa.string(), "outliers": texts}
    counts = ("curves", *COLOURS, "suggested")
    names = rows[0] if rows else kinds
    schema = pa.schema([
        (name, kinds.get(name) or (pa.int64() if name in counts else pa.float64()))
        for name in names
    ])  # fmt: skip
    table = pa.Table.from_pylist(rows, schema)
    write(iter(table.to_batches()), table.schema, (), shape, out, 0)


def _print_groups(groups: Groups, out: str | None) -> None:
    found = groups.groups()
    columns = [
        groups.by, "curves", *COLOURS, groups.method, "quartiles", "decades", "agreement",
    ]  # fmt: skip
    print_table(columns, [_group_row(one) for one in found], out, right=set(columns[1:]))
    for one in found:
        for name in one.outliers:
            click.echo(f"outlier of {groups.by} {_value(one)}: {name}")
    trend = groups.trend()
    if trend is not None:
        click.echo(
            f"trend: the rate of {groups.method} goes with {groups.by} to the power "
            f"{trend.power:+.2f} (Kendall's tau {trend.tau:+.2f}, {trend.values} values)"
        )


def _group_fields(by: str, method: str, one: Group) -> dict[str, Any]:
    numbers = {
        "median": one.median, "low": one.low, "high": one.high, "decades": one.decades,
        "agreement": one.agreement,
    }  # fmt: skip
    return {
        by: one.value,
        "method": method,
        "curves": one.curves,
        **{name: one.statuses.get(name, 0) for name in COLOURS},
        "suggested": one.suggested,
        **{name: None if math.isnan(value) else value for name, value in numbers.items()},
        "outliers": list(one.outliers),
    }


def _group_row(one: Group) -> list[str]:
    def number(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.2f}"

    counts = [str(one.statuses.get(name, 0)) for name in COLOURS]
    quartiles = "" if math.isnan(one.low) else f"{rate(one.low)} .. {rate(one.high)}"
    return [
        _value(one), str(one.curves), *counts, rate(one.median), quartiles,
        number(one.decades), number(one.agreement),
    ]  # fmt: skip


def _value(one: Group) -> str:
    return "(none)" if one.value is None else one.value
