"""Odd files, folders and readers: they must cost nothing of what is right beside them."""

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import lehr.logs
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from lehr.logs import assemble, columnar

LOGS = Path(__file__).parent / "data" / "logs"
CURVE = '{"run": "%s", "lr": [0.1, 0.2], "loss": [2, 1]}\n'


def rows(paths, **asked):
    logs = lehr.logs.read(paths, **asked)
    return [row for batch in logs for row in batch.to_pylist()], logs.report


def names(paths, **asked):
    return [row["curve_id"] for row in rows(paths, **asked)[0]]


@pytest.fixture
def folder(tmp_path):
    """Return a folder whose last file is a good one."""
    (tmp_path / "z.json").write_text(CURVE % "good")
    return tmp_path


@pytest.mark.parametrize("steps", [["0", "1", "2"], [None, None, None], [[0], [1], [2]]])
def test_a_state_of_a_trainer_with_odd_steps_ends_no_other_file(folder, steps):
    history = [{"step": step, "loss": 1.0, "learning_rate": 0.1} for step in steps]
    state = {"global_step": 3, "log_history": history}
    (folder / "a.json").write_text(json.dumps(state))
    assert names(folder)[-1] == "good"


@pytest.mark.parametrize(
    "value",
    [
        {"lr": [0.1, 0.2], "loss": [2, 1], "\ud800": "\ud800"},
        {"\ud800": {"lr": [0.1, 0.2], "loss": [2, 1]}},
        [{"lr": 0.1, "loss": 1, "tag": "\ud800"}, {"lr": 0.2, "loss": 1, "tag": "\ud800"}],
    ],
)
def test_half_a_surrogate_in_json_is_replaced(folder, value):
    (folder / "a.json").write_text(json.dumps(value))
    found, report = rows(folder)
    assert [row["lr"] for row in found] == [[0.1, 0.2]] * 2
    assert "?" in found[0]["curve_id"] + str(found[0]["metadata"])
    assert report.skipped == []


def test_half_a_surrogate_in_a_place_can_be_printed(folder):
    (folder / "a.json").write_text(json.dumps({"\ud800": {"lr": [0.1], "loss": [2, 1]}}))
    assert str(rows(folder)[1]).encode()


def test_a_file_whose_name_is_not_utf8_is_read(folder):
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/b\xff.json")).write_text(CURVE % "odd")
    except OSError:
        pytest.skip("this file system has names of UTF-8 alone")
    found, report = rows(folder)
    assert [row["curve_id"] for row in found] == ["odd", "good"]
    assert found[0]["source"] == f"{folder}/b?.json"
    assert report.skipped == []


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_read(folder, monkeypatch):
    inner = folder / "inner"
    inner.mkdir()
    listed = os.scandir

    def scandir(path):
        if str(path) == str(inner):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found, report = rows(folder)
    assert [row["curve_id"] for row in found] == ["good"]
    assert [skip.place for skip in report.skipped] == [str(inner)]


def test_a_large_file_that_cannot_be_opened_is_told_in_its_shard(folder, monkeypatch):
    table = pa.table({"lr": [[0.1, 0.2]], "loss": [[2.0, 1.0]]})
    path = folder / "a.parquet"
    pa.parquet.write_table(table, path)
    monkeypatch.setattr(columnar, "SPLIT", 0)
    opened = columnar.Source.raw

    def raw(self):
        if self.path == str(path):
            raise PermissionError(13, "Permission denied", self.path)
        return opened(self)

    monkeypatch.setattr(columnar.Source, "raw", raw)
    parts = [rows(folder, shard=(part, 2)) for part in (1, 2)]
    assert [row["curve_id"] for part, _ in parts for row in part] == ["good"]
    assert [skip.place for _, report in parts for skip in report.skipped] == [str(path)]


@pytest.fixture
def runs(monkeypatch):
    """Return the runs of a database of MLflow, a batch each."""
    monkeypatch.setattr(assemble, "CURVES", 1)
    database = LOGS / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT count(*) FROM runs WHERE lifecycle_stage != 'deleted'"
        [count] = connection.execute(query).fetchone()
    return lehr.logs.read(database), count


def test_a_database_is_read_whole_by_several_threads_in_turn(runs):
    logs, count = runs
    batches = iter(logs)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        turns = [one, other] * count
        found = [thread.submit(next, batches, None).result() for thread in turns]
    assert sum(batch is not None for batch in found) + len(logs.report.skipped) == count
    assert not any("thread" in skip.reason for skip in logs.report.skipped)


def test_a_database_is_let_go_of_in_another_thread(runs):
    logs, _ = runs
    batches = iter(logs)
    with ThreadPoolExecutor(1) as other:
        other.submit(next, batches).result()
    batches.close()
    assert logs.report.skipped == []


@pytest.mark.parametrize("name", ["tensorboard", "mlflow/mlruns", "wandb"])
def test_a_glob_of_folders_and_what_is_in_them_gives_each_curve_once(name):
    found, report = rows(LOGS / name)
    again, other = rows(f"{LOGS / name}/**")
    assert [row["curve_id"] for row in again] == [row["curve_id"] for row in found]
    assert (other.files, other.skipped) == (report.files, report.skipped)


def test_a_file_is_read_once_whatever_paths_lead_to_it(folder, monkeypatch):
    (folder / "link.json").symlink_to("z.json")
    monkeypatch.chdir(folder)
    assert names(["../" + folder.name, ".", str(folder), "z.json", "link.json"]) == ["good"]


def test_a_file_that_belongs_to_a_folder_is_read_with_it_alone(monkeypatch):
    monkeypatch.chdir(LOGS)
    [export] = {path.parent for path in Path("tensorboard").rglob("run-*-tag-*.csv")}
    files = [str(path) for path in export.iterdir()]
    assert names([export, f"./{export}", export.absolute(), *files]) == names(export)


def test_all_that_is_skipped_is_counted(folder):
    (folder / "a.jsonl").write_text(CURVE % "first" + "nothing\n" * 5000)
    _, report = rows(folder)
    assert (report.skips, len(report.skipped)) == (5000, 101)
    assert report.skipped[-1].reason == "and 4900 more that are not listed"
    summary = str(report).splitlines()
    assert "5,000 skipped:" in summary
    assert "  and 4,990 more" in summary


@pytest.mark.parametrize(
    "text",
    [
        "[\n{0}\n]\n",
        "[\n{0}\n,{1}\n]",
        "[ {0}\n, {1}\n, {1}\n]",
        "[\n\n{0},\n{1}\n]",
        '{{"only":\n{0}\n}}',
    ],
)
def test_one_value_over_several_lines_is_no_value_a_line(tmp_path, text):
    curves = [(CURVE % name).strip() for name in ("first", "second")]
    path = tmp_path / "a.json"
    path.write_text(text.format(*curves))
    found, report = rows(path)
    assert [row["curve_id"] for row in found][:2] == ["first", "second"][: len(found)]
    assert len(found) == text.count("{0}") + text.count("{1}")
    assert report.skipped == []


@pytest.mark.parametrize("first", ['{"lr": [0.1,', '{"lr": [0.1, 0.', '{"run": "x', "["])
def test_a_broken_first_line_costs_no_other(tmp_path, first):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{first}\n{CURVE % 'second'}{CURVE % 'third'}")
    found, report = rows(path)
    assert [row["curve_id"] for row in found] == ["second", "third"]
    assert [skip.place for skip in report.skipped] == [f"{path}:1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("count", [9000, 30_000])
def test_a_table_of_many_columns_is_read(tmp_path, count, encoding):
    path = tmp_path / "wide.csv"
    header = ",".join(["step", *(f"x{i}" for i in range(count)), "lr", "loss"])
    lines = [",".join([str(i), *["0"] * count, f"{i + 1}", f"{9 - i}"]) for i in range(3)]
    path.write_text("\n".join([header, *lines, ""]), encoding=encoding)
    [found], report = rows(path)
    assert (found["lr"], found["loss"]) == ([1, 2, 3], [9, 8, 7])
    assert report.skipped == []


def test_a_table_whose_first_line_has_no_end_is_told(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("lr,loss," + "x" * (3 << 20))
    [skip] = rows(path, format="csv")[1].skipped
    assert "its first line is longer than 1 MiB" in skip.reason


@pytest.mark.parametrize("length", [200_000, 2_000_000])
def test_a_name_of_a_column_that_is_too_long_ends_no_other_file(folder, length):
    (folder / "a.csv").write_text("lr,loss," + "x" * length + "\n1,2,3\n")
    found, report = rows(folder)
    assert [row["curve_id"] for row in found] == ["good"]
    assert [skip.place for skip in report.skipped] == [str(folder / "a.csv")]


_PEAK = """
import pathlib, re, sys, lehr.logs
count = sum(batch.num_rows for batch in lehr.logs.read(sys.argv[1]))
print(count, re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status")
def test_memory_stays_the_same_where_long_rows_follow_short_ones(tmp_path):
    peaks = []
    for count in (900, 2700):
        short, long = np.array([0.1, 0.2]), np.linspace(0.1, 1, 5000)
        ends = np.cumsum([0, *[2] * 300, *[5000] * count]).astype(np.int32)
        values = np.concatenate([np.tile(short, 300), np.tile(long, count)])
        lists = pa.ListArray.from_arrays(ends, values)
        path = tmp_path / f"{count}.parquet"
        pa.parquet.write_table(pa.table({"lr": lists, "loss": lists}), path)
        run = subprocess.run(
            [sys.executable, "-c", _PEAK, path], capture_output=True, text=True, check=True
        )
        read, peak = map(int, run.stdout.split())
        assert read == 300 + count
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.2, peaks


def test_links_that_are_not_followed_are_told(folder):
    inner, outer = folder / "inner", folder / "outer"
    inner.mkdir()
    outer.mkdir()
    (outer / "x.json").write_text(CURVE % "outer")
    (inner / "linked").symlink_to(outer)
    (inner / "broken.json").symlink_to(folder / "nothing")
    (inner / ".hidden").symlink_to(outer)
    found, report = rows(inner)
    assert found == []
    assert [(Path(place).name, reason[:14]) for place, reason in report.skipped] == [
        ("broken.json", "is a link to n"),
        ("linked", "is a link to a"),
    ]
    assert names(inner / "linked") == ["outer"]


def test_a_link_to_a_folder_that_is_read_anyway_is_not_told(folder):
    (folder / "runs" / "first").mkdir(parents=True)
    (folder / "runs" / "first" / "a.json").write_text(CURVE % "first")
    (folder / "runs" / "latest").symlink_to("first")
    (folder / "runs" / "loop").symlink_to(folder)
    found, report = rows(folder)
    assert [row["curve_id"] for row in found] == ["first", "good"]
    assert report.skipped == []


@pytest.mark.parametrize("categories", [False, True])
@pytest.mark.parametrize("lists", [False, True])
def test_texts_that_are_views_as_polars_writes_them_are_read(tmp_path, lists, categories):
    lrs = [1e-3, 1e-2, 1e-1]
    names = ["a", "b"] if lists else ["a", "a", "b"]
    run = pa.array(names, pa.string_view())
    if categories:
        indices = pa.array([sorted(set(names)).index(name) for name in names], pa.uint32())
        run = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"], pa.string_view()))
    values = [lrs, lrs] if lists else lrs
    table = pa.table({"run": run, "lr": values, "loss": values})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table)
    logs = lehr.logs.read(tmp_path)
    assert pa.table(logs)["curve_id"].to_pylist() == ["a", "b"]
    assert not logs.report.skipped
