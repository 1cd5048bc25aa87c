"""Make `wandb/hand_made/`: by hand, for only the server of W&B makes its exports.

The layouts are those of the page: a chart is a table of "Step", or what else the axis is, and of
three columns a run and metric, the least and the largest value behind the value; with another axis
the step of each run stands beside its values. A history is a row a step, empty where a metric was
not logged.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

FOLDER = Path(__file__).parent / "wandb/hand_made"
RUNS = {"dry-sun-1": 60, "x - y-2": 40}


def point(step: int, seed: int) -> tuple[float, float]:
    """Return the rate and loss of a step of a sweep that diverges in the end."""
    lr = 1e-5 * 10 ** (step / 10)
    noise = math.sin(step * (seed + 1) * 12.9898) / 50
    return lr, 0.5 + 2 / (1 + lr * 300) + lr**2 / 100 + noise


def cells(run: str, metric: str, *, end: bool = True) -> list[str]:
    """Return the names of the columns of a metric."""
    name = f"{run} - {metric}"
    return [name, f"{name}__MIN", f"{name}__MAX"] if end else [name]


def write(name: str, header: list[str], rows: list[list[object]]) -> None:
    """Write a table, every cell in quotes, without an end of its last line."""
    text = "\n".join(",".join(f'"{cell}"' for cell in row) for row in [header, *rows])
    (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_text(text, encoding="utf-8")


def charts() -> None:
    """Write a chart of both metrics, and two charts of one each over another axis."""
    header, rows = ["Step"], []
    for metric in "lr", "loss":
        for run in RUNS:
            header += cells(run, metric)
    for step in range(60):
        points = [point(step, i) if step < n else ("", "") for i, n in enumerate(RUNS.values())]
        rows.append([step, *(p[k] for k in (0, 1) for p in points for _ in range(3))])
    write("one_chart.csv", header, rows)
    for k, metric in enumerate(["train/learning_rate", "train/loss"]):
        header, rows = ["train/epoch"], []
        for run in RUNS:
            header += cells(run, "_step") + cells(run, metric)
        for step in range(60):
            row: list[object] = [step / 10]
            for seed, count in enumerate(RUNS.values()):
                here = step < count
                # Sampled: the losses of a point are the mean of several.
                value = point(step, seed)[k] if here else ""
                least, most = (value - 0.01 * k, value + 0.01 * k) if here else ("", "")
                row += [10 * step if here else ""] * 3 + [value, least, most]
            rows.append(row)
        name = f"wandb_export_2026-01-0{k + 1}T10_00_00.000+00_00.csv"
        write(f"two_charts/{name}", header, rows)


def histories() -> None:
    """Write a history as a table and as Parquet: rates are logged before the losses of a step."""
    keys = ["_step", "_runtime", "_timestamp", "train/lr", "train/loss", "epoch"]
    rows: list[list[object]] = []
    for step in range(50):
        lr, loss = point(step, 2)
        rows.append([step, 0.1 * step, 1.7e9 + 0.1 * step, lr, None if step % 5 else loss, 0])
    columns = {key: [row[i] for row in rows] for i, key in enumerate(keys)}
    (FOLDER / "history").mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pa.table(columns), FOLDER / "history/0000.parquet")
    with (FOLDER / "history/run.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(keys)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)


if __name__ == "__main__":
    charts()
    histories()
