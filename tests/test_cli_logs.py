"""`lehr logs`, as a user runs it."""

import csv
import io
import json
import math
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lehr.logs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from lehr import Sweep, suggest_batch
from lehr.logs.groups import Groups

LEHR = str(Path(sys.executable).parent / "lehr")
FIXTURES = ROOT / "tests/data/logs"


def run(*arguments, **kwargs):
    command = [LEHR, "logs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def curve(scale=1.0, n=100, seed=0):
    """A loss that falls around 1e-3 and breaks away at 1e-1, at rates times `scale`."""
    x = np.linspace(-7, 1, n, endpoint=False)
    losses = 2 - 1 / (1 + np.exp(-4 * (x + 3))) + np.exp(np.minimum(6 * (x + 1), 30))
    return scale * 10**x, losses + 0.02 * np.random.default_rng(seed).standard_normal(n)


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """Sweeps whose good rate goes with the square root of the batch size, and one that is off."""
    folder = tmp_path_factory.mktemp("sweeps")
    for size in (16, 32, 64, 128):
        for seed in range(6):
            off = 100 if (size, seed) == (64, 3) else 1
            lrs, losses = curve(off * math.sqrt(size / 16), seed=seed)
            log = {"lr": lrs.tolist(), "loss": losses.tolist(), "batch_size": size}
            (folder / f"{size:03}-{seed}.json").write_text(json.dumps(log))
    return folder


def test_the_fixtures_are_named_with_format_status_and_suggestion():
    done = run(FIXTURES)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "curve", "format", "points", "status", "robust", "valley", "why",
    ]  # fmt: skip
    logs = lehr.logs.read(FIXTURES)
    answers = suggest_batch(pa.table(logs), ["robust", "valley"], num_it="num_it", stop="stop")
    assert len(lines) == 1 + answers.num_rows
    for line, row in zip(lines[1:], answers.to_pylist(), strict=True):
        name, source = row["curve_id"], row["source"]
        name = name if name.startswith(source) else f"{source}: {name}"
        assert line.startswith(f"{name} ")
        rates = [f"{row[m]:.2e}" for m in ("robust", "valley") if row[m] is not None]
        expected = [row["format"], str(row["points"]), row["status"], *rates]
        assert line[len(name) :].split()[: len(expected)] == expected
        assert line.rstrip().endswith(row["reason"] or "")
    formats = {row["format"] for row in answers.to_pylist()}
    assert {"fastai", "ignite", "tensorboard", "mlflow", "wandb", "keras", "lightning"} <= formats
    assert done.stderr.startswith(f"{answers.num_rows} curves read from ")
    counts = Counter(row["status"] for row in answers.to_pylist())
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    assert f"suggestions: {told}" in done.stderr


def test_csv_json_and_parquet_have_all_columns_and_the_same_rows(tmp_path, sweeps):
    logs = lehr.logs.read(sweeps)
    expected = suggest_batch(pa.table(logs), ["robust", "steep"], num_it="num_it", stop="stop")
    options = ["--method", "robust,steep", "--quiet"]
    out = tmp_path / "out.parquet"
    assert run(sweeps, *options, "--out", out).returncode == 0
    table = pq.read_table(out)
    assert table.equals(expected)

    done = run(sweeps, *options, "--format", "json")
    assert done.stderr == ""
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    plain = expected.to_pylist()
    for row in plain:
        row["metadata"] = dict(row["metadata"])
    assert rows == plain

    done = run(sweeps, *options, "--format", "csv")
    read = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [float(row["steep"]) for row in read] == expected["steep"].to_pylist()
    assert json.loads(read[0]["metadata"]) == {"batch_size": "16"}
    assert read[0]["reason"] == ""


def test_groups_have_their_median_spread_outlier_and_trend(sweeps):
    done = run(sweeps, "--by", "batch_size", "--quiet")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:6] == ["batch_size", "curves", "ok", "weak", "none", "bad"]
    assert [line.split()[0] for line in lines[1:5]] == ["16", "32", "64", "128"]
    assert [line.split()[1] for line in lines[1:5]] == ["6"] * 4
    assert [line for line in lines if line.startswith("outlier")] == [
        f"outlier of batch_size 64: {sweeps / '064-3.json'}"
    ]
    (trend,) = [line for line in lines if line.startswith("trend")]
    assert "goes with batch_size to the power +0.5" in trend
    assert "Kendall's tau +1.00, 4 values" in trend


def test_groups_are_written_with_their_numbers(sweeps):
    done = run(sweeps, "--by", "batch_size", "--method", "minimum", "--format", "json", "--quiet")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["batch_size"] for row in rows] == ["16", "32", "64", "128"]
    for row in rows:
        size = int(row["batch_size"])
        rates = []
        for file in sorted(sweeps.glob(f"{size:03}-*.json")):
            log = json.loads(file.read_text())
            rates.append(Sweep(log["lr"], log["loss"]).suggest("minimum").lr)
        logs = np.log10(rates)
        assert math.log10(row["median"]) == pytest.approx(np.median(logs), abs=1e-12)
        low, high = np.quantile(logs, [0.25, 0.75])
        assert math.log10(row["low"]) == pytest.approx(low, abs=1e-12)
        assert math.log10(row["high"]) == pytest.approx(high, abs=1e-12)
        decades = 1.4826022185 * np.median(np.abs(logs - np.median(logs)))
        assert row["decades"] == pytest.approx(decades, abs=1e-9)
    done = run(sweeps, "--by", "batch_size", "--format", "csv", "--quiet")
    read = list(csv.DictReader(io.StringIO(done.stdout)))
    assert json.loads(read[2]["outliers"]) == [str(sweeps / "064-3.json")]


def test_groups_of_words_and_of_curves_that_do_not_say():
    lrs, losses = curve()
    table = pa.table({
        "kind": pa.array(["b", "a", None, "b"]),
        "lr": pa.array([lrs.tolist()] * 4),
        "loss": pa.array([losses.tolist()] * 4),
    })  # fmt: skip
    groups = Groups("kind", "valley")
    for batch in suggest_batch(table, "valley").to_batches():
        groups.add(batch)
    assert [(one.value, one.curves, one.suggested) for one in groups.groups()] == [
        ("a", 1, 1), ("b", 2, 2), (None, 1, 1),
    ]  # fmt: skip
    assert groups.trend() is None
    assert math.isnan(groups.groups()[0].agreement)
    with pytest.raises(KeyError, match="no column `valley`"):
        Groups("kind", "valley").add(suggest_batch(table, "steep").to_batches()[0])
    with pytest.raises(ValueError, match="`method` must be one of"):
        Groups("kind", "best")


def test_shards_have_every_curve_once(sweeps):
    rows = []
    for part in (1, 2, 3):
        done = run(sweeps, "--shard", f"{part}/3", "--format", "json", "--quiet")
        rows += [json.loads(line)["curve_id"] for line in done.stdout.splitlines()]
    assert sorted(rows) == [str(file) for file in sorted(sweeps.glob("*.json"))]


def test_names_of_columns_and_smoothing_can_be_given(tmp_path):
    lrs, losses = curve()
    stored = Sweep(lrs, losses).smooth("ignite")
    lines = [
        f"{i},{a!r},{b!r}"
        for i, (a, b) in enumerate(zip(lrs.tolist(), stored.tolist(), strict=True))
    ]
    (tmp_path / "a.csv").write_text("\n".join(["n,rate,cost", *lines]) + "\n")
    done = run(tmp_path, "--format", "json", "--quiet")
    assert done.returncode == 1
    options = ["--lr", "rate", "--loss", "cost", "--smoothing", "ignite", "--steps", 3000]
    done = run(tmp_path, *options, "--format", "json", "--quiet")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    expected = Sweep(lrs, stored, smoothing="ignite").suggest(steps=3000)
    assert (row["robust"], row["smoothing"]) == (expected.lr, "ignite")


def test_a_file_that_is_read_may_be_written(tmp_path):
    lrs, losses = curve()
    lines = [f"{a!r},{b!r}" for a, b in zip(lrs.tolist(), losses.tolist(), strict=True)]
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["lr,loss", *lines]) + "\n")
    done = run(file, "--format", "csv", "--out", file)
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert float(row["robust"]) == Sweep(lrs, losses).suggest().lr
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


def test_a_run_that_is_interrupted_leaves_no_file(tmp_path, sweeps):
    lake = tmp_path / "lake"
    lake.mkdir()
    table = pa.table(lehr.logs.read(sweeps)).select(["curve_id", "lr", "loss"])
    many = pa.concat_tables([table] * 400)
    for part in range(40):
        pq.write_table(many, lake / f"{part}.parquet")
    out = tmp_path / "out.parquet"
    child = subprocess.Popen(
        [LEHR, "logs", str(lake), "--format", "parquet", "--out", str(out)],
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.parquet.*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode != 0
    assert [one.name for one in tmp_path.iterdir()] == ["lake"]


def test_a_part_of_nothing_is_no_failure(sweeps):
    one = sweeps / "016-0.json"
    codes = [run(one, "--shard", f"{part}/2", "--quiet").returncode for part in (1, 2)]
    assert codes == [0, 0]


def test_a_long_table_says_how_to_see_the_rest(sweeps):
    done = run(sweeps, "--rows", 5)
    assert len(done.stdout.splitlines()) == 6
    assert "and 19 more: --rows 24, or --format csv" in done.stderr
    assert len(run(sweeps, "--rows", 0).stdout.splitlines()) == 1


def test_what_is_skipped_is_told_and_strict_fails(tmp_path, sweeps):
    shutil.copy(sweeps / "016-0.json", tmp_path / "good.json")
    (tmp_path / "broken.json").write_text('{"lr": [1, 2')
    done = run(tmp_path)
    assert done.returncode == 0
    assert "1 skipped" in done.stderr
    assert str(tmp_path / "broken.json") in done.stderr
    assert run(tmp_path, "--strict").returncode == 1
    assert f"skipped {tmp_path / 'broken.json'}" in run(tmp_path, "--verbose").stderr
    quiet = run(tmp_path, "--quiet")
    assert quiet.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument 'PATH...'"),
        (["{sweeps}/nothing"], 2, "where there is nothing"),
        (["{sweeps}", "--method", "best"], 2, "'best' is none of robust, valley"),
        (["{sweeps}", "--method", ""], 2, "must name a rule: robust, valley"),
        (["{sweeps}", "--method", ",", "--by", "format"], 2, "must name a rule"),
        (["{sweeps}", "--by", "colour"], 2, "no curve has 'colour'; they have batch_size, format,"),
        (["{sweeps}", "--shard", "9/3"], 2, "1 <= i <= n"),
        (["{sweeps}", "--from", "word"], 2, "`--from` must be one of"),
        (["{sweeps}", "--smoothing", "much"], 2, "`smoothing` must be one of fastai"),
        (["{sweeps}", "--format", "xml"], 2, "Invalid value for '--format'"),
        (["{sweeps}", "--threads", "0"], 2, "Invalid value for '--threads'"),
        (["{sweeps}", "--out", "{sweeps}/no/folder"], 1, "No such file or directory"),
    ],
)
def test_wrong_calls_say_what_is_wrong_without_a_traceback(sweeps, arguments, code, message):
    done = run(*[one.format(sweeps=sweeps) for one in arguments])
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert message in done.stderr


def test_a_folder_without_curves_fails(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing to see")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "is of no known format" in done.stderr


def on_terminal(*arguments, columns=200):
    """What a terminal of so many columns shows, and the exit code."""
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    command = [LEHR, "logs", *map(str, arguments)]
    child = subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    code = child.wait(60)
    os.close(main)
    return shown.decode(), code


def test_colours_and_progress_are_for_terminals_alone(sweeps):
    assert "\x1b" not in run(sweeps).stdout
    shown, code = on_terminal(sweeps)
    assert code == 0
    assert "\x1b[32mok" in shown
    assert "reading" in shown
    # The bar is gone before the table comes.
    (header,) = [line for line in shown.splitlines() if "points" in line]
    assert "reading" not in header


def test_a_narrow_terminal_cuts_no_number(sweeps):
    numbers = [line.split()[4] for line in run(sweeps).stdout.splitlines()[1:]]
    assert all(len(number) == len("1.00e-03") for number in numbers)
    shown, _ = on_terminal(sweeps, "--method", "all", columns=60)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert all(number in plain for number in numbers)
    shown, _ = on_terminal(sweeps, "--by", "batch_size", columns=60)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    for line in run(sweeps, "--by", "batch_size").stdout.splitlines()[1:5]:
        assert all(word in plain for word in line.split())


def test_control_characters_of_names_are_written_out(tmp_path, sweeps):
    shutil.copy(sweeps / "016-0.json", tmp_path / "a\x1b[31m\nb.json")
    done = run(tmp_path)
    assert r"a\x1b[31m\nb.json" in done.stdout
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_a_reader_that_stops_early_is_no_error(sweeps):
    command = f"{LEHR} logs {sweeps} --format json --quiet | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["format"] == "json"
    assert "Traceback" not in done.stderr


def test_help_has_examples():
    text = run("--help").stdout
    assert "Examples:\n    lehr logs runs/" in text
    assert "--by COLUMN" in text
