"""Mutated inputs: a short run of `fuzz.py`, and all that it ever found."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import lehr.logs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FUZZ = Path(__file__).parent / "fuzz.py"
FOUND = sorted((Path(__file__).parent / "data" / "fuzz").glob("*.json"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX's")


def fuzz(*arguments):
    ended = subprocess.run(
        [sys.executable, FUZZ, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


def rows(path, **asked):
    logs = lehr.logs.read(path, **asked)
    return [row for batch in logs for row in batch.to_pylist()], logs.report.skipped


def test_mutated_inputs_for_some_seconds_break_no_promise(tmp_path):
    code, said = fuzz("--seconds", 20, "--seed", 6, "--save", tmp_path)
    assert code == 0, said
    assert "trials with seed 6, no failure" in said


def test_whatever_was_found_is_mended():
    assert FOUND
    code, said = fuzz("--repeat", *FOUND)
    assert code == 0, said
    assert said.count("no failure") == len(FOUND)


def test_names_of_columns_that_look_numbered_are_told_apart(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lr,x#2,x,x,loss\n0.1,1,2,3,4\n")
    ((row,), skipped) = rows(path)
    assert (row["lr"], row["loss"], skipped) == ([0.1], [4], [])
    assert dict(row["metadata"]) == {"x#2": "1", "x": "2", "x#3": "3"}


@pytest.mark.parametrize("of", [pa.array([0.1, 0.2]), pa.array([[0.1, 0.2]])])
@pytest.mark.parametrize("name", ["lr", "loss", "note"])
def test_columns_of_one_name_in_a_parquet_file_are_told(tmp_path, of, name):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([of] * 4, names=["lr", "loss", "note", name]), path)
    assert rows(path) == ([], [(str(path), f"has several columns named {name!r}")])


def test_runs_that_are_categories_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    runs = pa.chunked_array([pa.array(["a", "a"]), pa.array(["b", "a"])]).dictionary_encode()
    points = pa.array([0.1, 0.2, 0.3, 0.4])
    pq.write_table(pa.table({"run": runs, "lr": points, "loss": points}), path)
    found, skipped = rows(path)
    assert [(row["curve_id"], row["lr"]) for row in found] == [("a", [0.1, 0.2, 0.4]), ("b", [0.3])]
    assert skipped == []


def test_a_run_of_mlflow_whose_id_is_cut_off_is_told(tmp_path):
    run = tmp_path / "run"
    (run / "metrics").mkdir(parents=True)
    for name, value in (("lr", 0.1), ("loss", 2)):
        (run / "metrics" / name).write_text(f"1795553984751 {value} 0\n")
    meta = run / "meta.yaml"
    meta.write_text("experiment_id: '1'\nlifecycle_stage: active\nrun_id: abc\n")
    found, skipped = rows(tmp_path)
    assert ([row["curve_id"] for row in found], skipped) == (["abc"], [])
    meta.write_text("experiment_id: '1'\nlifecycle_stage: active\nrun_id: a")
    assert rows(tmp_path) == (
        [],
        [
            (str(meta), "the file ends within its last line, 'run_id: a'"),
            (str(run), "has no id in its meta.yaml"),
        ],
    )


@pytest.mark.parametrize(
    ("key", "value", "step"), [(55, 0.1, 0), (b"\xff", 0.1, 0), ("lr", None, 0), ("lr", 0.1, 0.5)]
)
def test_values_of_another_kind_in_a_database_of_mlflow_are_told(tmp_path, key, value, step):
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            CREATE TABLE experiments (experiment_id, name);
            CREATE TABLE runs (run_uuid, name, experiment_id, lifecycle_stage, start_time);
            CREATE TABLE metrics (run_uuid, key, value, step, timestamp, is_nan);
            CREATE TABLE params (run_uuid, key, value);
            CREATE TABLE tags (run_uuid, key, value);
            INSERT INTO runs VALUES ('abc', 'name', 1, 'active', 1);
            INSERT INTO metrics VALUES ('abc', 'lr', 0.1, 0, 0, 0), ('abc', 'loss', 2.0, 0, 0, 0);
            """
        )
        assert len(rows(path)[0]) == 1
        database.execute("INSERT INTO metrics VALUES ('abc', ?, ?, ?, 0, 0)", (key, value, step))
        database.commit()
    found, ((place, reason),) = rows(path)
    assert found == []
    assert place.startswith(str(path))
    assert reason.startswith("is damaged: it has (")


def test_a_chart_of_wandb_that_ends_within_a_line_is_told(tmp_path):
    path = tmp_path / "a.csv"
    text = '"Step","a - lr","a - loss"\n"0","0.1","3"\n"1","0.2","2"'
    for whole in (text, text + "\n"):
        path.write_text(whole)
        ((row,), skipped) = rows(path, format="wandb")
        assert (row["loss"], skipped) == ([3, 2], [])
    for cut in (text.removesuffix('"2"'), text.removesuffix('"2"') + "2"):
        path.write_text(cut)
        ((row,), skipped) = rows(path, format="wandb")
        assert row["loss"] == [3]
        assert skipped == [(f"{path}:3", "the file ends within this line")]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('{"lrs": [0.1, 0.2], "losses": [3, 2], "iters": [0', 0),
        ('{"lr": [0.1, 0.2], "loss": [3, 2], "smoothing": "fast', 0),
        ('{"history": {"lr": [0.1, 0.2], "loss": [3, 2]}, "best_loss"', 0),
        ('{"lr": 0.1, "loss": 3, "raw_loss": ', 0),
        ('{"lr": [[0.1, 0.2], [0.3, 0.4]], "loss": [3, 2], "run": ', 0),
        ('{"a": {"lr": [0.1, 0.2], "loss": [3, 2]}, "b": {"lr": [0.1], ', 1),
        ('[{"lr": [0.1, 0.2], "loss": [3, 2]}, {"lr": [0.1], ', 1),
    ],
)
def test_an_object_that_breaks_off_gives_only_curves_that_need_nothing_of_it(tmp_path, text, whole):
    path = tmp_path / "a.json"
    path.write_text(text)
    found, ((place, reason),) = rows(path)
    assert [row["loss"] for row in found] == [[3, 2]] * whole
    assert place == str(path)
    assert reason.startswith("breaks off: ")


def test_many_columns_of_one_name_take_no_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lr,loss" + ",x" * 10_000 + "\n0.1,1" + ",2" * 10_000 + "\n")
    ((row,), _) = rows(path)
    assert dict(row["metadata"])["x#10000"] == "2"


@pytest.mark.parametrize("step", [[], {}, "1", None, 1.5])
def test_a_trainer_state_whose_steps_are_no_numbers_is_read(tmp_path, step):
    path = tmp_path / "trainer_state.json"
    row = {"learning_rate": 0.1, "loss": 2}
    path.write_text(json.dumps({"global_step": 2, "log_history": [{**row, "step": step}, row]}))
    ((row,), skipped) = rows(path)
    told = [skip.place for skip in skipped]
    odd = [f"{path}.log_history[0]"] if step in ([], {}) else []
    assert (row["lr"], row["format"], told) == ([0.1] * (2 - len(odd)), "transformers", odd)


@pytest.mark.parametrize("name", ["run", "note"])
def test_texts_of_a_parquet_file_that_are_no_utf8_are_told(tmp_path, name):
    path = tmp_path / "a.parquet"
    texts = pa.array([b"\xff", b"a"]).view(pa.string())
    pq.write_table(pa.table({"lr": [[0.1], [0.2]], "loss": [[1.0], [2.0]], name: texts}), path)
    found, ((place, reason),) = rows(path)
    assert found == []
    assert place == str(path)
    assert reason.startswith("breaks off after row 0: ")
