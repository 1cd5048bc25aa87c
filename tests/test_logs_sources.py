"""Where logs are read from, in what parts, and how much at a time."""

import bz2
import gzip
import json
import subprocess
import sys
from itertools import chain
from pathlib import Path

import fsspec
import lehr.logs
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from lehr.logs import assemble, columnar

LOGS = Path(__file__).parent / "data" / "logs"
CURVE = '{"run": "%s", "lr": [0.1, 0.2], "loss": [2, 1]}\n'


def ids(logs):
    return [name for batch in logs for name in batch["curve_id"].to_pylist()]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("b/two.json", "a.json", "b/deep/three.log", ".hidden/x.json", "b/.x.json"):
        (tmp_path / name).write_text(CURVE % name)
    return tmp_path


def test_a_folder_is_walked_in_order_without_hidden_files(folder):
    logs = lehr.logs.read(folder)
    assert ids(logs) == ["a.json", "b/deep/three.log", "b/two.json"]
    assert logs.report.total == logs.report.done == 3


def test_a_hidden_file_is_read_where_it_is_named(folder):
    assert ids(lehr.logs.read(folder / "b" / ".x.json")) == ["b/.x.json"]


def test_a_link_to_a_folder_is_not_followed_in_a_walk(folder):
    (folder / "b" / "loop").symlink_to(folder)
    assert len(ids(lehr.logs.read(folder))) == 3


def test_globs_and_several_paths_give_each_file_once(folder):
    assert ids(lehr.logs.read(f"{folder}/*.json")) == ["a.json"]
    assert ids(lehr.logs.read(f"{folder}/**/*.json")) == ["a.json", "b/two.json"]
    several = [folder / "b", f"{folder}/*/two.json", str(folder / "b" / "two.json")]
    assert ids(lehr.logs.read(several)) == ["b/deep/three.log", "b/two.json"]


def test_a_file_whose_name_looks_like_a_glob_is_read(tmp_path):
    (tmp_path / "lr[0].json").write_text(CURVE % "odd")
    assert ids(lehr.logs.read(tmp_path / "lr[0].json")) == ["odd"]


@pytest.mark.parametrize("path", ["nothing.json", "nothing/*.csv", "memory://nothing/here"])
def test_a_path_with_nothing_there_is_an_error(tmp_path, path):
    path = path if "://" in path else str(tmp_path / path)
    with pytest.raises(FileNotFoundError, match="`paths` must exist, got .*nothing"):
        lehr.logs.read(path)


@pytest.mark.parametrize("paths", [3, [3], None])
def test_what_is_no_path_is_an_error(paths):
    with pytest.raises(TypeError, match="`paths` must be paths, globs, folders or URLs, got"):
        lehr.logs.read(paths)


def test_urls_are_read_as_paths_are(folder):
    local = lehr.logs.read(folder)
    logs = lehr.logs.read(f"file://{folder}")
    assert ids(logs) == ids(local)
    assert next(iter(logs))["source"][0].as_py() == f"file://{folder}/a.json"
    memory = fsspec.filesystem("memory")
    memory.pipe(
        {
            f"/lake/{name}": (LOGS / "generic" / name).read_bytes()
            for name in ("lists.parquet", "long.csv.zst", "lists.arrow", "curves.jsonl")
        }
    )
    try:
        for url in ("memory://lake", "memory://lake/*", "memory:///lake/*.*"):
            logs = lehr.logs.read(url)
            assert ids(logs) == [f"run{i}" for i in range(3)] * 4, url
            assert logs.report.skipped == []
        assert ids(lehr.logs.read("memory://lake/lists.parquet", shard="1/1")) == [
            "run0",
            "run1",
            "run2",
        ]
    finally:
        memory.rm("/lake", recursive=True)


def test_a_url_without_fsspec_says_what_to_install():
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "import lehr.logs\n"
        "try: lehr.logs.read('s3://bucket/x')\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "'s3://bucket/x' needs fsspec: pip install 'lehr[cli]'"


def test_importing_the_readers_imports_no_library_and_reading_says_which_is_missing():
    code = (
        "import sys; import lehr.logs\n"
        "print(any(name in sys.modules for name in ('pyarrow', 'fsspec', 'torch')))\n"
        "sys.modules['pyarrow'] = None\n"
        "try: lehr.logs.read('.')\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "False",
        "`lehr.logs` needs pyarrow: pip install 'lehr[arrow]'",
    ]


def test_compression_is_told_by_content_not_by_name(tmp_path):
    text = (CURVE % "x").encode()
    (tmp_path / "a.json").write_bytes(gzip.compress(text) + gzip.compress(text))
    (tmp_path / "b.gz").write_bytes(bz2.compress(text))
    (tmp_path / "c.zst").write_bytes(text)
    parquet = (LOGS / "generic" / "lists.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(gzip.compress(parquet))
    logs = lehr.logs.read(tmp_path)
    assert ids(logs) == ["x", "x", "x", "x", "run0", "run1", "run2"]
    assert logs.report.skipped == []


def test_shards_read_every_source_once(folder):
    whole = ids(lehr.logs.read(folder))
    for count in (1, 2, 3, 5):
        parts = [ids(lehr.logs.read(folder, shard=(i, count))) for i in range(1, count + 1)]
        assert sorted(chain(*parts)) == whole
        assert parts[0] == ids(lehr.logs.read(folder, shard=f"1/{count}"))


def test_shards_split_a_large_parquet_by_row_group(tmp_path):
    lists = pa.array(list(np.random.default_rng(0).random((3000, 30))), pa.list_(pa.float64()))
    names = [f"run{i}" for i in range(3000)]
    path = tmp_path / "large.parquet"
    pa.parquet.write_table(
        pa.table({"run": names, "lr": lists, "loss": lists}), path, row_group_size=300
    )
    assert path.stat().st_size > columnar.SPLIT
    (tmp_path / "small.json").write_text(CURVE % "small")
    for count in (2, 3, 11, 20):
        logs = [lehr.logs.read(tmp_path, shard=(i, count)) for i in range(1, count + 1)]
        parts = [ids(one) for one in logs]
        assert sorted(chain(*parts)) == sorted([*names, "small"])
        assert max(map(len, parts)) <= 300 * -(-11 // count)
        assert all(one.report.files["parquet"] <= 1 for one in logs)
    # The rows of a part are numbered as in the file.
    table = pa.table({"lr": lists, "loss": lists})
    pa.parquet.write_table(table, path, row_group_size=300)
    assert ids(lehr.logs.read(path, shard=(2, 10)))[0] == f"{path}[300]"


def test_a_long_parquet_is_never_split(tmp_path):
    rng = np.random.default_rng(0)
    columns = {
        "run": np.repeat(["a", "b"], 60_000),
        "lr": rng.random(120_000),
        "loss": rng.random(120_000),
    }
    pa.parquet.write_table(pa.table(columns), tmp_path / "long.parquet", row_group_size=10_000)
    parts = [ids(lehr.logs.read(tmp_path, shard=(i, 2))) for i in (1, 2)]
    assert parts == [["a", "b"], []]


@pytest.mark.parametrize(
    ("shard", "error"),
    [
        ("3", ValueError),
        ("0/2", ValueError),
        ((3, 2), ValueError),
        ((1, 2, 3), TypeError),
        (1, TypeError),
        ((1.0, 2), TypeError),
        ("a/b", ValueError),
    ],
)
def test_a_shard_that_is_none_is_an_error(tmp_path, shard, error):
    with pytest.raises(error, match="`shard` must be"):
        lehr.logs.read(tmp_path, shard=shard)


def test_unknown_formats_and_averages_are_errors(tmp_path):
    with pytest.raises(ValueError, match="`format` must be one of .*parquet.*, or None, got 'xml'"):
        lehr.logs.read(tmp_path, format="xml")
    with pytest.raises(ValueError, match="`smoothing` must be one of fastai, .*, got 'ema'"):
        lehr.logs.read(tmp_path, smoothing="ema")


def test_a_batch_has_no_more_points_than_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "POINTS", 100)
    monkeypatch.setattr(columnar, "POINTS", 100)
    monkeypatch.setattr(assemble, "CURVES", 7)
    lengths = [30, 60, 30, 250, 10, *[1] * 20, 99, 1, 1]
    curves = [{"run": str(i), "lr": [0.5] * n, "loss": [1.0] * n} for i, n in enumerate(lengths)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, curves)))
    pa.parquet.write_table(pa.Table.from_pylist(curves), tmp_path / "b.parquet")
    points = [(c["run"], lr, 1.0) for c in curves for lr in c["lr"]]
    table = pa.table(
        dict(zip(("run", "lr", "loss"), map(list, zip(*points, strict=True)), strict=True))
    )
    pa.parquet.write_table(table, tmp_path / "c.parquet")
    for name in ("a.jsonl", "b.parquet", "c.parquet"):
        batches = list(lehr.logs.read(tmp_path / name))
        assert [len(one) for b in batches for one in b["lr"]] == lengths
        for batch in batches:
            assert batch.num_rows <= 7
            assert batch.num_rows == 1 or len(batch["lr"].flatten()) <= 100


_PEAK = """
import pathlib, re, sys, lehr.logs
count = sum(batch.num_rows for batch in lehr.logs.read(sys.argv[1]))
print(count, re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status")
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_memory_stays_the_same_however_many_curves_there_are(tmp_path, suffix):
    values = np.random.default_rng(0).random((2000, 100)).round(6).tolist()
    peaks = []
    # The smaller file is large enough for every buffer to be full.
    for times in (20, 80):
        path = tmp_path / f"{times}.{suffix}"
        if suffix == "jsonl":
            text = "".join(json.dumps({"lr": one, "loss": one}) + "\n" for one in values)
            with path.open("w") as file:
                for _ in range(times):
                    file.write(text)
        else:
            lists = pa.array(values, pa.list_(pa.float64()))
            table = pa.table({"lr": lists, "loss": lists})
            with pa.parquet.ParquetWriter(path, table.schema) as writer:
                for _ in range(times):
                    writer.write_table(table)
        run = subprocess.run(
            [sys.executable, "-c", _PEAK, path],
            capture_output=True,
            text=True,
            check=True,
        )
        count, peak = map(int, run.stdout.split())
        assert count == 2000 * times
        peaks.append(peak)
        path.unlink()
    assert peaks[1] < peaks[0] * 1.1, peaks


def test_curves_of_many_small_files_come_in_few_batches(tmp_path):
    rows = "".join(f"{step},{1e-3 * 1.1**step},{2 - step / 100}\n" for step in range(20))
    for index in range(50):
        (tmp_path / f"{index:02}.csv").write_text(f"step,lr,loss\n{rows}")
    batches = list(lehr.logs.read(tmp_path))
    assert [len(batch) for batch in batches] == [50]
    assert batches[0]["lr"][49].as_py() == pytest.approx([1e-3 * 1.1**step for step in range(20)])
