"""Exports of W&B, made by hand after their layouts."""

import csv
import importlib.util
import shutil
from pathlib import Path

import lehr.logs
import pytest

FOLDER = Path(__file__).parent / "data/logs/wandb/hand_made"
SPEC = importlib.util.spec_from_file_location("make_wandb", FOLDER.parents[1] / "make_wandb.py")
MAKE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MAKE)


def read(paths, **how):
    logs = lehr.logs.read(paths, **how)
    return [row for batch in logs for row in batch.to_pylist()], logs.report


def expected(seed, steps):
    return [list(column) for column in zip(*(MAKE.point(s, seed) for s in steps), strict=True)]


def test_a_chart_of_both_metrics_is_a_curve_a_run():
    rows, report = read(FOLDER / "one_chart.csv")
    assert [row["curve_id"] for row in rows] == ["dry-sun-1", "x - y-2"]
    for seed, (row, count) in enumerate(zip(rows, [60, 40], strict=True)):
        assert [row["lr"], row["loss"]] == expected(seed, range(count))
        assert row["format"] == "wandb"
        assert row["source"] == str(FOLDER / "one_chart.csv")
    assert not report.skipped
    assert not report.notes


def test_charts_of_one_metric_each_are_joined_by_the_step_of_the_run():
    rows, report = read(FOLDER / "two_charts")
    assert [row["curve_id"] for row in rows] == ["dry-sun-1", "x - y-2"]
    for seed, (row, count) in enumerate(zip(rows, [60, 40], strict=True)):
        assert [row["lr"], row["loss"]] == expected(seed, range(count))
        assert row["source"] == str(FOLDER / "two_charts")
    assert not report.skipped


def test_a_sampled_export_is_noted():
    _, report = read(FOLDER / "two_charts")
    [(note, count)] = report.notes.items()
    assert note.startswith("points stand for several steps")
    assert count == 2


def test_charts_under_other_names_are_joined_too_and_other_tables_left(tmp_path):
    for name, file in zip(
        ["b.csv", "a.csv"], sorted((FOLDER / "two_charts").iterdir()), strict=True
    ):
        shutil.copy(file, tmp_path / name)
    shutil.copy(FOLDER / "one_chart.csv", tmp_path)
    rows, report = read(tmp_path)
    sources = {row["source"] for row in rows}
    assert sources == {str(tmp_path), str(tmp_path / "one_chart.csv")}
    assert len(rows) == 4
    assert report.files == {"wandb": 2}


def test_a_chart_without_rates_says_what_it_has():
    file = sorted((FOLDER / "two_charts").iterdir())[1]
    rows, report = read(file)
    assert not rows
    reason = "has no column of rates: it has train/loss"
    assert report.skipped == [(f"{file}[{run}]", reason) for run in MAKE.RUNS]


@pytest.mark.parametrize("name", ["run.csv", "0000.parquet"])
def test_a_history_is_a_curve_of_the_rows_with_a_loss(name):
    [row], report = read(FOLDER / "history" / name)
    assert [row["lr"], row["loss"]] == expected(2, range(0, 50, 5))
    assert not report.skipped


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


HEADER = ["Step"]
for name in "a - lr", "a - loss":
    HEADER += [name, f"{name}__MIN", f"{name}__MAX"]


def test_broken_rows_are_told_and_the_others_read(tmp_path):
    file = tmp_path / "chart.csv"
    rows = [[step, *[0.5] * 3, *[step] * 3] for step in range(5)]
    rows[1] = [1, 0.5]
    rows[2][4] = "nonsense"
    write(file, [HEADER, *rows])
    [row], report = read(file)
    assert row["loss"] == [0, 3, 4]
    assert [skip.place for skip in report.skipped] == [f"{file}:3", f"{file}:4"]
    assert "'nonsense'" in report.skipped[1].reason


def test_a_file_that_is_cut_off_gives_its_start_and_a_skip(tmp_path):
    file = tmp_path / "chart.csv"
    text = (FOLDER / "one_chart.csv").read_text(encoding="utf-8")
    file.write_text(text[: len(text) // 2], encoding="utf-8")
    rows, report = read(file)
    for row, seed in zip(rows, (0, 1), strict=True):
        assert 0 < len(row["lr"]) < 40
        assert [row["lr"], row["loss"]] == expected(seed, range(len(row["lr"])))
    [skip] = report.skipped
    assert skip.place.startswith(str(file))


def test_values_that_are_not_finite_are_read_and_missing_ones_are_not_points(tmp_path):
    file = tmp_path / "chart.csv"
    rows = [[step, *[0.5] * 3, *[loss] * 3] for step, loss in enumerate(["NaN", "Infinity", "", 1])]
    write(file, [HEADER, *rows])
    [row], _ = read(file)
    assert str(row["loss"]) == "[nan, inf, 1.0]"


def test_runs_of_one_name_are_kept_apart(tmp_path):
    file = tmp_path / "chart.csv"
    write(
        file,
        [HEADER + HEADER[1:], *([s, *[0.5] * 3, *[s] * 3, *[0.25] * 3, *[-s] * 3] for s in (1, 2))],
    )
    first, second = read(file)[0]
    assert (first["curve_id"], first["loss"]) == ("a", [1, 2])
    assert (second["curve_id"], second["loss"]) == ("a (2)", [-1, -2])


def test_steps_of_different_axes_are_not_joined(tmp_path):
    for axis, name in ("Step", "a - lr"), ("epoch", "a - loss"):
        write(
            tmp_path / f"{axis}.csv", [[axis, name, f"{name}__MIN", f"{name}__MAX"], [1, 2, 2, 2]]
        )
    rows, report = read(tmp_path)
    assert not rows
    assert [skip.reason for skip in report.skipped] == [
        "has no column of losses: it has lr",
        "has no column of rates: it has loss",
    ]


def test_the_average_of_fastai_is_inverted_unless_the_losses_are_there(tmp_path):
    file = tmp_path / "chart.csv"
    metrics = ["lr_0", "mom_0", "train_loss"]
    for raw, smoothing in (False, "fastai"), (True, None):
        names = [f"a - {metric}" for metric in metrics + ["raw_loss"] * raw]
        write(file, [["Step", *names], *([step, *[0.5] * len(names)] for step in range(3))])
        [row], _ = read(file)
        assert row["smoothing"] == smoothing


def test_one_metric_in_two_files_is_read_once_and_told(tmp_path):
    write(tmp_path / "lr.csv", [HEADER[:4], [1, *[0.5] * 3]])
    for name, loss in ("loss.csv", 3), ("loss2.csv", 4):
        write(tmp_path / name, [["Step", *HEADER[4:]], [1, *[loss] * 3]])
    [row], report = read(tmp_path)
    assert row["loss"] == [3]
    [skip] = report.skipped
    assert skip == (f"{tmp_path / 'loss2.csv'}[a]", "loss was already read, from another file")


def test_many_tables_of_a_folder_are_not_opened_but_for_exports_by_name(tmp_path):
    for k in range(17):
        write(tmp_path / f"{k}.csv", [["a"], [1]])
    for file in (FOLDER / "two_charts").iterdir():
        shutil.copy(file, tmp_path)
    rows, _ = read(tmp_path)
    assert {row["source"] for row in rows} == {str(tmp_path)}
