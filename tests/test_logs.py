"""The readers of `lehr.logs` against the files that tools wrote and what they had in memory."""

import csv
import json
from pathlib import Path

import lehr.logs
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from lehr import Sweep

LOGS = Path(__file__).parent / "data" / "logs"
EXPECTED = json.loads((LOGS / ".expected.json").read_text())
# Of the size of the averages: what float32 averages lose, and what float64 ones do.
FLOAT32, FLOAT64 = 6e-5, 2e-13
FILES = {
    "fastai/recorder.json": ("json", None),
    "fastai/recorder_full.json": ("fastai", "fastai"),
    "lightning/results.json": ("lightning_finder", "lightning"),
    "lightning/one/metrics.csv": ("lightning", None),
    "lightning/two/metrics.csv": ("lightning", None),
    "torch_lr_finder/history.json": ("torch_lr_finder", "torch_lr_finder"),
    "torch_lr_finder/finder.json": ("torch_lr_finder", "torch_lr_finder"),
    "ignite/one.json": ("torch_lr_finder", "torch_lr_finder"),
    "ignite/two.json": ("ignite", "ignite"),
    "transformers/trainer_state.json": ("transformers", None),
    "keras/training.log": ("keras", None),
    "keras/training.tsv": ("keras", None),
    "lehr/sweep.json": ("lehr", None),
    "generic/named.json": ("json", None),
    "generic/list.json": ("json", None),
    "generic/curves.jsonl": ("json", None),
    "generic/points.ndjson": ("json", None),
    "generic/long.csv": ("csv", None),
    "generic/long.csv.gz": ("csv", None),
    "generic/long.csv.bz2": ("csv", None),
    "generic/long.csv.zst": ("csv", None),
    "generic/long.csv.lz4": ("csv", None),
    "generic/shuffled.tsv": ("csv", None),
    "generic/wide.csv": ("csv", None),
    "generic/lists.parquet": ("parquet", None),
    "generic/points.parquet": ("parquet", None),
    "generic/lists.arrow": ("arrow", None),
    "generic/lists.arrows": ("arrow", None),
    "generic/points.feather": ("arrow", None),
}


def rows(paths, **asked):
    logs = lehr.logs.read(paths, **asked)
    return [row for batch in logs for row in batch.to_pylist()], logs.report


def write(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def near(found, expected, tolerance):
    size = max(abs(value) for value in expected)
    assert len(found) == len(expected)
    assert np.abs(np.subtract(found, expected)).max() <= tolerance * size


def test_every_file_of_the_script_is_read_in_these_tests():
    assert FILES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_curves_its_tool_had_in_memory(name):
    kind, smoothing = FILES[name]
    asked = {"format": "fastai"} if name == "fastai/recorder.json" else {}
    found, report = rows(LOGS / name, **asked)
    assert report.skipped == []
    assert {row["format"] for row in found} == {asked.get("format", kind)}
    assert {row["smoothing"] for row in found} == {asked.get("format", smoothing)}
    assert {row["source"] for row in found} == {str(LOGS / name)}
    curves = {key: one for key, one in EXPECTED[name].items() if key != "lr[0]"}
    names = [row["curve_id"] for row in found]
    assert names == [key or str(LOGS / name) for key in curves]
    for row, curve in zip(found, curves.values(), strict=True):
        near(row["lr"], curve["lr"], 1e-7 if name.startswith("keras") else 1e-14)
        near(row["loss"], curve["loss"], FLOAT32 if name.startswith("fastai") else FLOAT64)


@pytest.mark.parametrize("name", ["ignite/two.json", "lightning/two/metrics.csv"])
def test_another_group_is_read_where_it_is_asked_for(name):
    ((row,), _) = rows(LOGS / name, lr="lr[0]")
    near(row["lr"], EXPECTED[name]["lr[0]"]["lr"], 1e-14)
    near(row["loss"], EXPECTED[name][""]["loss"], FLOAT64)
    _, report = rows(LOGS / name, lr="lr[2]")
    (skip,) = report.skipped
    assert "no group 2 of rates" in skip.reason


def test_fastai_s_history_is_said_to_have_no_rates():
    _, report = rows(LOGS / "fastai" / "history.csv")
    (skip,) = report.skipped
    assert skip.reason.startswith("has no column of rates: it has epoch, train_loss, valid_loss")


def test_what_a_file_does_not_tell_is_noted():
    (_, report) = rows(LOGS / "fastai" / "recorder.json")
    assert report.notes == {lehr.logs.telling.UNKNOWN: 1}
    assert "taken as raw" in str(report)
    ((row,), report) = rows(LOGS / "fastai" / "recorder.json", smoothing="none")
    assert not report.notes
    assert row["loss"] == json.loads((LOGS / "fastai" / "recorder.json").read_text())["losses"]


def test_a_file_that_names_its_format_or_average_is_believed(tmp_path):
    stored = {"lr": [0.1, 0.2], "loss": [3.0, 3.5]}
    for said, average in [
        ({"format": "ignite"}, "ignite"),
        ({"smoothing": "fastai"}, "fastai"),
        ({"format": "lightning"}, "lightning"),
        ({"smoothing": "torch_lr_finder", "format": "json"}, "torch_lr_finder"),
        ({"smoothing": None}, None),
        ({"smoothing": "none"}, None),
    ]:
        ((row,), report) = rows(write(tmp_path / "one.json", stored | said))
        assert (row["smoothing"], report.notes) == (average, {})
        assert row["loss"] == Sweep([0.1, 0.2], [3.0, 3.5], smoothing=average).losses.tolist()
    ((row,), _) = rows(tmp_path / "one.json", smoothing="ignite")
    assert row["smoothing"] == "ignite"


@pytest.mark.parametrize("smoothing", ["lightning", "torch_lr_finder"])
def test_averages_of_float32_losses_are_told_and_other_losses_are_not(tmp_path, smoothing):
    generator = np.random.default_rng(0)
    for _ in range(200):
        losses = generator.lognormal(sigma=2, size=60).astype(np.float32).astype(float)
        lrs = np.logspace(-6, 0, 60)
        stored = Sweep(lrs, losses).smooth(smoothing)
        assert lehr.logs.telling.proved(lrs, stored) == smoothing
        for other in (losses, stored.round(6), Sweep(lrs, losses).smooth("fastai"), stored * 1.1):
            assert lehr.logs.telling.proved(lrs, other) is None
        assert lehr.logs.telling.proved(lrs[:7], stored[:7]) is None
        stored[40:] = np.nan
        assert lehr.logs.telling.proved(lrs, stored) == smoothing


def test_scalars_of_an_object_are_metadata(tmp_path):
    path = write(
        tmp_path / "a.json",
        {
            "seed": 3,
            "data": "digits",
            "runs": {
                "a": {"lr": [0.1], "loss": [1], "config": {"width": 8, "amp": True}},
                "b": {"lr": [0.2], "loss": [2]},
            },
        },
    )
    found, _ = rows(path)
    assert [row["curve_id"] for row in found] == ["a", "b"]
    assert dict(found[0]["metadata"]) == {
        "seed": "3",
        "data": "digits",
        "config.width": "8",
        "config.amp": "true",
    }
    assert dict(found[1]["metadata"]) == {"seed": "3", "data": "digits"}


def test_curves_of_one_name_are_all_read(tmp_path):
    text = '{"a": {"lr": [0.1], "loss": [1]}, "a": {"lr": [0.2], "loss": [2]}}'
    found, _ = rows(write(tmp_path / "a.json", text))
    assert [(row["curve_id"], row["lr"]) for row in found] == [("a", [0.1]), ("a#2", [0.2])]
    line = '{"run": "a", "lr": [0.1], "loss": [1]}\n'
    found, _ = rows(write(tmp_path / "a.jsonl", line * 2))
    assert [row["curve_id"] for row in found] == ["a", "a"]


def test_losses_that_are_missing_or_not_finite_are_kept(tmp_path):
    text = '{"lr": [1, 2, 3, 4, 5], "loss": [null, NaN, Infinity, "NaN", 2]}'
    ((row,), _) = rows(write(tmp_path / "a.json", text))
    assert np.isnan([row["loss"][i] for i in (0, 1, 3)]).all()
    assert row["loss"][2] == np.inf
    ((row,), _) = rows(write(tmp_path / "a.csv", "lr,loss\n1,nan\n2,inf\n3,\n4,1\n"))
    assert row["lr"] == [1, 2, 4]
    assert np.isnan(row["loss"][0])


def test_means_of_transformers_are_noted(tmp_path):
    log = [{"step": s, "loss": 1.0, "learning_rate": 0.1} for s in (10, 20)]
    _, report = rows(write(tmp_path / "a.json", {"log_history": log, "global_step": 20}))
    assert report.notes == {lehr.logs.telling.MEANS: 1}


def test_metrics_without_a_monitor_have_no_rates(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,train_loss\n0,0,1.0\n")
    _, report = rows(tmp_path)
    assert "LearningRateMonitor" in report.skipped[0].reason


def test_the_last_rate_of_a_step_is_that_of_its_loss(tmp_path):
    text = "step,lr-SGD,train_loss\n0,.1,\n0,.2,\n1,.3,\n0,,5\n1,,6\n2,,7\n3,.4,8\n"
    ((row,), _) = rows(write(tmp_path / "metrics.csv", text))
    assert (row["lr"], row["loss"]) == ([0.2, 0.3, 0.4], [5, 6, 8])


def test_points_are_sorted_by_step_unless_steps_begin_anew(tmp_path):
    text = "batch,run,lr,loss\n1,a,.2,2\n0,a,.1,1\n0,b,.3,3\n1,b,.4,4\n0,b,.5,5\n"
    found, _ = rows(write(tmp_path / "a.csv", text))
    assert [row["loss"] for row in found] == [[1, 2], [3, 4, 5]]


@pytest.mark.parametrize("dtype", [pa.float32(), pa.float64(), pa.float16(), pa.int32()])
@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
def test_lists_of_every_type_are_read(tmp_path, dtype, kind):
    make = {"list": pa.list_(dtype), "large": pa.large_list(dtype), "fixed": pa.list_(dtype, 2)}
    column = pa.array([[1, 2], [3, 4]], make[kind])
    table = pa.table(
        {"lr": column, "loss": column, "name": pa.array(["a", "b"]).dictionary_encode()}
    )
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as file:
        file.write_table(table.slice(1))
    ((row,), _) = rows(tmp_path)
    assert (row["lr"], row["loss"], dict(row["metadata"])) == ([3, 4], [3, 4], {"name": "b"})


def test_lehr_s_own_batches_are_read_back(tmp_path):
    logs = lehr.logs.read([LOGS / "generic" / "lists.parquet", LOGS / "ignite" / "two.json"])
    before = pa.table(logs)
    pa.parquet.write_table(before, tmp_path / "own.parquet")
    after = pa.table(lehr.logs.read(tmp_path))
    for name in ("curve_id", "lr", "loss"):
        assert after[name].to_pylist() == before[name].to_pylist()


def test_the_stream_interface_gives_the_batches():
    logs = lehr.logs.read(LOGS / "generic" / "lists.parquet")
    table = pa.table(logs)
    assert table.schema == logs.schema
    assert table.num_rows == logs.report.read == 3
    assert table.to_pylist() == [row for batch in logs for row in batch.to_pylist()]


def test_a_table_read_by_the_csv_module_has_the_same_numbers():
    with (LOGS / "lightning" / "one" / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    ((row,), _) = rows(LOGS / "lightning" / "one" / "metrics.csv")
    assert row["lr"] == [float(one["lr-SGD"]) for one in lines if one["lr-SGD"]]
    assert row["loss"] == [float(one["train_loss_step"]) for one in lines if one["train_loss_step"]]


def test_a_sweep_s_json_tells_its_length_and_end(tmp_path):
    from lehr import Sweep, suggest_batch

    lrs = np.geomspace(1e-6, 1, 60)
    losses = 2 - np.log10(lrs * 1e7) / 9
    sweep = Sweep(lrs, losses, num_it=200, stop="diverged", settings={"batch_size": 8})
    (tmp_path / "sweep.json").write_text(sweep.to_json())
    logs = lehr.logs.read(tmp_path)
    (batch,) = logs
    assert (batch["num_it"].to_pylist(), batch["stop"].to_pylist()) == ([200], ["diverged"])
    assert dict(batch["metadata"].to_pylist()[0])["batch_size"] == "8"
    (row,) = suggest_batch(batch, "all", num_it="num_it", stop="stop").to_pylist()
    for method in ("robust", "valley", "steep"):
        assert row[method] == sweep.suggest(method).lr
    assert row["status"] == sweep.suggest().status
