"""MLflow's stores, against what its client reads back, and the YAML that trackers write."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import lehr.logs
import numpy as np
import pytest
import yaml
from lehr.logs.yaml import parse

DATA = Path(__file__).parent / "data"
FOLDER = DATA / "logs/mlflow"
RUNS = json.loads((DATA / "trackers.json").read_text(encoding="utf-8"))["mlflow"]
STORES = {"mlruns": "mlflow", "mlflow.db": "mlflow_db"}


def read(paths, **how):
    logs = lehr.logs.read(paths, **how)
    rows = [row | {"metadata": dict(row["metadata"])} for b in logs for row in b.to_pylist()]
    return {row["metadata"]["run_name"]: row for row in rows}, logs.report


@pytest.fixture(params=sorted(STORES))
def store(request, tmp_path):
    source = FOLDER / request.param
    copy = shutil.copytree if source.is_dir() else shutil.copy
    return Path(copy(source, tmp_path / request.param))


@pytest.fixture
def database(tmp_path):
    return Path(shutil.copy(FOLDER / "mlflow.db", tmp_path))


@pytest.fixture
def run(tmp_path):
    """Return the folder of the run "sweep 16"."""
    shutil.copytree(FOLDER / "mlruns", tmp_path, dirs_exist_ok=True)
    [folder] = tmp_path.glob(f"*/{RUNS['mlruns']['sweep 16']['run_id']}")
    return folder


def execute(database, *statement):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(*statement)


def test_runs_have_the_values_that_mlflow_reads_back(store):
    found, report = read(store)
    expected = RUNS[store.name]
    assert found.keys() == expected.keys()
    largest = np.finfo(float).max  # what the client gives for an infinity of a database
    for name, row in found.items():
        for column in "lr", "loss":
            values = np.array([value for _, value in expected[name][column]])
            values[values == largest] = np.inf
            np.testing.assert_array_equal(row[column], values)
        assert row["curve_id"] == expected[name]["run_id"]
        assert row["format"] == STORES[store.name]
    assert np.isnan(found["training"]["loss"][20])
    assert found["training"]["loss"][21] == np.inf
    assert report.read == 3
    assert not report.skipped


def test_names_and_params_of_a_run_are_metadata(store):
    found, _ = read(store)
    assert found["sweep 32"]["metadata"] == {
        "batch_size": "32",
        "optim/name": "SGD",
        "experiment": "sweeps",
        "run_name": "sweep 32",
    }
    assert found["training"]["metadata"]["experiment"] == "training: small"


def test_keys_can_be_named(store):
    found, report = read(store, lr="train/lr", loss="train/*")
    assert list(found) == ["sweep 32"]
    assert len(report.skipped) == 2


def test_a_run_without_rates_is_told_with_its_keys(run, database):
    (run / "metrics/lr").unlink()
    execute(database, "DELETE FROM metrics WHERE key = 'lr'")
    for path in run.parent, database:
        found, report = read(path)
        assert "sweep 32" in found
        assert "sweep 16" not in found
        [(place, reason)] = report.skipped
        of_database = f"{database}[{RUNS['mlflow.db']['sweep 16']['run_id']}]"
        assert place == (of_database if path == database else str(run))
        assert reason == "has no column of rates: it has loss"


def test_deleted_runs_are_not_read(run, database):
    meta = run / "meta.yaml"
    text = meta.read_text(encoding="utf-8").replace(
        "lifecycle_stage: active", "lifecycle_stage: deleted"
    )
    meta.write_text(text, encoding="utf-8")
    execute(database, "UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'sweep 16'")
    found, report = read(run.parent)
    assert list(found) == ["sweep 32"]
    assert report.skipped == [(str(run), "is a run that was deleted in MLflow")]
    assert sorted(read(database)[0]) == ["sweep 32", "training"]


def test_one_run_alone_is_read_with_its_experiment(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    found, _ = read(run.name)
    assert found["sweep 16"]["metadata"]["experiment"] == "sweeps"
    shutil.copytree(run, run.parents[1] / "alone" / run.name)
    found, report = read(run.parents[1] / "alone")
    assert "experiment" not in found["sweep 16"]["metadata"]
    assert not report.skipped


def test_logs_among_the_artifacts_are_sources_of_their_own(run):
    artifact = run / "artifacts/log.csv"
    artifact.parent.mkdir(exist_ok=True)
    artifact.write_text("step,lr,loss\n", encoding="utf-8")
    names = [source.name for source in lehr.logs.read(run).sources]
    assert names == [str(run), str(artifact)]


def test_broken_and_cut_off_lines_are_told_and_the_others_read(run):
    loss = run / "metrics/loss"
    lines = loss.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[4] = "1795553317656 nonsense 4\n"
    lines[5] = f"1795553317656 0.5 {2**63}\n"
    lines[-1] = lines[-1][:-2]  # step 9, and not 99
    loss.write_text("".join(lines), encoding="utf-8")
    found, report = read(run)
    whole = [value for _, value in RUNS["mlruns"]["sweep 16"]["loss"]]
    assert found["sweep 16"]["loss"] == whole[:4] + whole[6:-1]
    assert [skip.place for skip in report.skipped] == [f"{loss}:{line}" for line in (5, 6, 100)]
    assert "should be a time, a value and a step" in report.skipped[0].reason


def test_a_metric_that_is_no_text_is_told(run):
    (run / "metrics/loss").write_bytes(b"\xff\xff\xff")
    found, report = read(run.parent)
    assert list(found) == ["sweep 32"]
    assert str(run / "metrics/loss") in report.skipped[0].reason


def test_lines_without_a_step_are_read_as_mlflow_does(run):
    for key in "lr", "loss":
        (run / "metrics" / key).write_text("1 0.5\n2 0.25\n", encoding="utf-8")
    found, _ = read(run)
    assert found["sweep 16"]["loss"] == [0.5, 0.25]


def test_of_several_values_of_a_step_the_last_one_counts(run):
    with (run / "metrics/loss").open("a", encoding="utf-8") as file:
        file.write("1795553317656 -1.0 3\n")
    found, _ = read(run)
    assert found["sweep 16"]["loss"][3] == -1
    assert len(found["sweep 16"]["loss"]) == 100


def test_a_corrupt_database_is_told(database):
    data = bytearray(database.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    database.write_bytes(data)
    _, report = read(database)
    assert report.skipped
    database.write_bytes(data[:3000])
    _, report = read(database)
    assert report.skipped


def test_a_database_of_something_else_is_of_no_known_format(tmp_path):
    database = tmp_path / "mlflow.db"
    execute(database, "CREATE TABLE metrics (key, value)")
    _, report = read(database)
    assert report.skipped == [(str(database), "is of no known format")]


def test_a_database_is_not_written_to(database):
    before = database.read_bytes()
    database.chmod(0o444)
    found, _ = read(database)
    assert len(found) == 3
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    "values",
    [
        {"name": 'it\'s: "quoted"', "size": "3", "empty": "''"},
        {"long": "many words " * 30 + "end", "after": "1.5"},
        {"tab": "a\tb\\n", "unicode": "Größe", "number": "'1e-3'"},
        {"first: 'odd' key": "x", "dash": "- no list", "hash": "# no comment"},
    ],
)
def test_plain_values_are_read_as_yaml_writes_them(values):
    text = yaml.safe_dump(values | {"list": [1, {"a": "b"}], "map": {"c": "d"}}, allow_unicode=True)
    assert parse(text) == values
