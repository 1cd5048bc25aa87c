"""Logs of no tool in particular, and broken ones: written by hand, pyarrow and lehr.

Called by `make.py`.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from lehr import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LISTS = pa.list_(pa.float64())


def sweep(seed: int, count: int = 40) -> tuple[list[float], list[float]]:
    """Return the rates and losses of SGD on a quadratic with noise."""
    noise = np.random.default_rng(seed)
    lrs = np.logspace(-4 + 0.1 * seed, 0.5, count)
    x, losses = 3.0, []
    for lr in lrs:
        losses.append(float(x * x + noise.normal(scale=0.1)))
        x -= float(lr) * 2 * x
    return lrs.tolist(), losses


def of_any_tool(here: Path, keep: Callable[..., None]) -> None:
    """Write all of it into `generic`, `lehr` and `broken`."""
    runs = {f"run{seed}": sweep(seed) for seed in range(3)}
    for folder in ("generic", "lehr", "broken"):
        (here / folder).mkdir()
    documents(here / "generic", runs)
    tables(here / "generic", runs)
    columnar(here / "generic", runs)
    one = Sweep(*runs["run0"], num_it=50, stop="diverged", settings={"beta": 0.98, "seed": 0})
    (here / "lehr" / "sweep.json").write_text(one.to_json())
    for path in sorted((here / "generic").iterdir()):
        for name, curve in runs.items() if "wide" not in path.name else [("", runs["run0"])]:
            keep(f"generic/{path.name}", name, *curve)
    keep("lehr/sweep.json", "", *runs["run0"])
    broken(here)


def documents(folder: Path, runs: dict) -> None:
    """Write JSON: by name, a list, a curve a line, a point a line."""
    curves = [
        {"run": name, "lr": lrs, "loss": losses, "batch_size": 16}
        for name, (lrs, losses) in runs.items()
    ]
    named = {name: {"lrs": lrs, "losses": losses} for name, (lrs, losses) in runs.items()}
    (folder / "named.json").write_text(json.dumps(named, indent=1))
    (folder / "list.json").write_text(json.dumps(curves))
    lines = "".join(json.dumps(curve) + "\n" for curve in curves)
    (folder / "curves.jsonl").write_text(lines)
    points = [
        json.dumps({"run": name, "step": step, "learning_rate": lr, "train/loss": loss})
        for name, curve in runs.items()
        for step, (lr, loss) in enumerate(zip(*curve, strict=True))
    ]
    (folder / "points.ndjson").write_text("\n".join(points) + "\n")


def tables(folder: Path, runs: dict) -> None:
    """Write tables: runs below each other, sorted and not, and one run."""
    rows = [
        [name, step, lr, loss, "adam"]
        for name, curve in runs.items()
        for step, (lr, loss) in enumerate(zip(*curve, strict=True))
    ]
    header = ["run_id", "step", "lr", "loss", "optimizer"]
    write(folder / "long.csv", header, rows)
    # The run of a first row, then all others in any order.
    first = [row for row in rows if row[1] == 0]
    rest = [row for row in rows if row[1] > 0]
    mixed = [rest[i] for i in np.random.default_rng(0).permutation(len(rest))]
    write(folder / "shuffled.tsv", header, [*first, *mixed], "\t")
    write(folder / "wide.csv", header[1:4], [row[1:4] for row in rows if row[0] == "run0"], ";")
    text = (folder / "long.csv").read_bytes()
    (folder / "long.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    (folder / "long.csv.bz2").write_bytes(bz2.compress(text))
    for suffix, codec in ("zst", "zstd"), ("lz4", "lz4"):
        with pa.CompressedOutputStream(str(folder / f"long.csv.{suffix}"), codec) as file:
            file.write(text)


def write(path: Path, header: list[str], rows: list[list], delimiter: str = ",") -> None:
    """Write a table with the csv module."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header, *rows])


def columnar(folder: Path, runs: dict) -> None:
    """Write Parquet and Arrow: lists of each kind, and a point a row."""
    lrs, losses = zip(*runs.values(), strict=True)
    known = {"run": list(runs), "batch_size": [16, 32, 64]}
    lists = pa.table({**known, "lr": pa.array(lrs, LISTS), "loss": pa.array(losses, LISTS)})
    large = pa.large_list(pa.float64())
    fixed = pa.list_(pa.float64(), 40)
    pa.parquet.write_table(lists, folder / "lists.parquet", row_group_size=2)
    others = [pa.field("run", pa.string()), pa.field("batch_size", pa.int64())]
    other = pa.schema([*others, pa.field("lr", large), pa.field("loss", fixed)])
    with pa.ipc.new_file(folder / "lists.arrow", other) as file:
        file.write_table(lists.cast(other))
    with pa.ipc.new_stream(folder / "lists.arrows", lists.schema) as file:
        file.write_table(lists)
    points = pa.csv.read_csv(folder / "long.csv")
    pa.parquet.write_table(points, folder / "points.parquet")
    pa.feather.write_feather(points, folder / "points.feather")


def broken(here: Path) -> None:
    """Write pieces of the files, and others that cannot be read, or not all of them."""
    folder = here / "broken"
    for name in ("list.json", "curves.jsonl", "long.csv", "long.csv.gz", "lists.parquet"):
        whole = (here / "generic" / name).read_bytes()
        (folder / f"half_{name}").write_bytes(whole[: len(whole) // 2])
    whole = (here / "generic" / "lists.arrows").read_bytes()
    (folder / "half_lists.arrows").write_bytes(whole[: len(whole) - 400])
    (folder / "empty.csv").write_bytes(b"")
    (folder / "empty.json").write_bytes(b"")
    (folder / "header_alone.csv").write_text("step,lr,loss\n")
    (folder / "text.csv").write_text(
        "step,lr,loss\n0,0.1,3.0\n1,0.2,oops\n2,0.3,2.0\n3,0.4\n4,.5,1\n"
    )
    (folder / "latin1.csv").write_bytes("note,lr,loss\né,0.1,3\né,0.2,2\n".encode("latin-1"))
    (folder / "latin1.json").write_bytes('{"é": 1, "lr": [0.1], "loss": [2]}'.encode("latin-1"))
    (folder / "utf16.csv").write_bytes("lr,loss\n0.1,3\n0.2,2\n".encode("utf-16"))
    (folder / "no_rates.csv").write_text("step,speed,loss\n0,1,2\n")
    (folder / "lengths.json").write_text('{"lr": [0.1, 0.2], "loss": [1]}')
    (folder / "null_rate.json").write_text('{"lr": [0.1, null], "loss": [1, 2]}')
    lines = ['{"lr": [0.1, 0.2], "loss": [2, 1]}', '{"lr": [0.1, ', "nonsense", '{"lr": "x"}']
    (folder / "lines.jsonl").write_text("\n".join([*lines, lines[0]]) + "\n")
    lists = {
        "lr": [[0.1, 0.2], None, [0.1], [0.1, None]],
        "loss": [[1.0, None], [1.0], [2.0, 1.0], [1.0, 2.0]],
    }
    pa.parquet.write_table(pa.table(lists), folder / "rows.parquet")
