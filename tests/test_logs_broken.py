"""Logs that cannot be read, or not all of them, and columns that are asked for."""

import json
from pathlib import Path

import lehr.logs
import numpy as np
import pyarrow as pa
import pytest
from lehr.logs import columns
from lehr.logs.documents import decode
from lehr.logs.sources import Unread

LOGS = Path(__file__).parent / "data" / "logs"
BROKEN = LOGS / "broken"
EXPECTED = json.loads((LOGS / ".expected.json").read_text())["generic/long.csv"]

# The points of each curve that is whole in a broken file, and the places and reasons of the rest.
FILES = {
    "empty.csv": ([], [("", "is empty")]),
    "empty.json": ([], [("", "is empty")]),
    "half_curves.jsonl": ([40], [(":2", "is no JSON")]),
    "half_list.json": ([40], [("", "breaks off")]),
    "half_lists.arrows": ([], [("", "breaks off after row 0")]),
    "half_lists.parquet": ([], [("", "cannot be read: ")]),
    "half_long.csv": ([40, 19], [(":61", "the file ends within this line")]),
    "half_long.csv.gz": ([40, 17], [(":59", "the file ends"), ("", "breaks off below line 58")]),
    "header_alone.csv": ([], [("", "has no row below")]),
    "latin1.csv": ([2], []),
    "latin1.json": ([], [("", "is no UTF-8")]),
    "lengths.json": ([], [("", "`lrs` and `losses` must have the same length, got 2 and 1")]),
    "lines.jsonl": (
        [2, 2],
        [(":2", "is no JSON"), (":3", "is no JSON"), (":4", "has no column of losses: it has lr")],
    ),
    "no_rates.csv": ([], [("", "has no column of rates: it has step, speed, loss")]),
    "null_rate.json": ([], [("", "`lr[1]` should be a number, is null")]),
    "rows.parquet": (
        [2],
        [
            ("[1]", "is null"),
            ("[2]", "`lrs` and `losses` must"),
            ("[3]", "`lrs[1]` must be finite"),
        ],
    ),
    "text.csv": ([3], [(":5", "has 2 columns instead of 3"), (":3", "'oops' is no number")]),
    "utf16.csv": ([2], []),
}


def rows(paths, **asked):
    logs = lehr.logs.read(paths, **asked)
    return [row for batch in logs for row in batch.to_pylist()], logs.report


def reasons(paths, **asked):
    return [skip.reason for skip in rows(paths, **asked)[1].skipped]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.csv"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_every_broken_file_is_read_in_these_tests():
    assert FILES.keys() == {path.name for path in BROKEN.iterdir()}


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_gives_what_is_whole_and_tells_the_rest(name):
    whole, skips = FILES[name]
    found, report = rows(BROKEN / name)
    assert [len(row["lr"]) for row in found] == whole
    assert report.read == len(whole)
    assert len(report.skipped) == len(skips)
    for skip, (place, reason) in zip(report.skipped, skips, strict=True):
        assert skip.place == f"{BROKEN / name}{place}"
        assert skip.reason.startswith(reason)
    for row, curve in zip(found, EXPECTED.values(), strict=False):
        if name.startswith("half"):
            assert row["lr"] == curve["lr"][: len(row["lr"])]
            assert row["loss"] == curve["loss"][: len(row["lr"])]


def test_a_broken_file_does_not_stop_the_others():
    found, report = rows([BROKEN, LOGS / "generic"])
    assert report.read == len(found) == sum(len(whole) for whole, _ in FILES.values()) + 15 * 3 + 1
    assert report.done == report.total
    summary = str(report)
    assert summary.startswith(f"{len(found)} curves read from ")
    assert f"{BROKEN}/empty.csv: is empty" in summary


@pytest.mark.parametrize(
    "name", ["list.json", "named.json", "curves.jsonl", "long.csv", "lists.arrows", "long.csv.zst"]
)
def test_a_file_cut_anywhere_is_told_and_gives_no_wrong_number(tmp_path, name):
    whole = (LOGS / "generic" / name).read_bytes()
    path = tmp_path / name
    generator = np.random.default_rng(0)
    for size in generator.choice(len(whole) - 1, 60, replace=False):
        path.write_bytes(whole[:size])
        found, report = rows(path)
        # JSON may be whole without its last blank, lines without what follows a line.
        lines = name.endswith("jsonl") and (size == 0 or whole[size - 1 : size + 1].count(b"\n"))
        assert report.skipped or lines, size
        for row in found:
            curve = EXPECTED[row["curve_id"]]
            count = len(row["lr"])
            assert row["lr"] == curve["lr"][:count]
            assert row["loss"] == curve["loss"][:count]


def test_what_is_whole_of_broken_json_is_known():
    text = '{"a": [1, 2], "b": {"c": 3}, "d": [4, '
    assert decode(text)[0] == {"a": [1, 2], "b": {"c": 3}}
    assert decode("[1, 2, 3")[0] == [1, 2]
    assert decode('["a", {"b": 1}')[0] == ["a", {"b": 1}]
    assert decode("[" * 100_000)[1] == "is nested too deep"
    for broken in ("", "{", "[", '{"a"', '{"a":', "nonsense", '{"a": 1 "b": 2}', "[1}"):
        assert decode(broken)[1].startswith("breaks off")
    assert decode('{"a": 1}') == ({"a": 1}, "")


def test_offsets_of_a_damaged_stream_that_point_anywhere_are_told(tmp_path):
    values = pa.array([0.1, 0.2, 0.3])
    for offsets in ([0, 1 << 20, 3], [0, 2, 1]):
        buffer = pa.py_buffer(np.array(offsets, np.int32))
        kind = pa.list_(pa.float64())
        lists = pa.ListArray.from_buffers(kind, 2, [None, buffer], children=[values])
        table = pa.table({"lr": lists, "loss": lists})
        with pa.ipc.new_stream(tmp_path / "a.arrows", table.schema) as file:
            file.write_table(table)
        (reason,) = reasons(tmp_path / "a.arrows")
        assert reason.startswith("breaks off after row 0")


def test_many_bad_rows_of_one_file_are_counted(table):
    path = table("lr,loss\n" + "x,1\n" * 500 + "0.1,1\n0.2,2\n")
    found, report = rows(path)
    assert len(found) == 1
    assert len(report.skipped) == 101
    assert report.skipped[-1] == (str(path), "and 400 more that are not listed")


def test_lines_are_counted_past_blank_and_broken_ones(table):
    path = table("\n\nlr,loss\n0.1,1\n\n0.2\n0.3,3\n0.4,x\n0.5,5\n")
    _, report = rows(path)
    assert [skip.place for skip in report.skipped] == [f"{path}:6", f"{path}:8"]


def test_a_broken_line_that_is_no_utf8_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"lr,loss\n0.1,1\n\xff\n0.2,\xe9\n0.3,3\n")
    ((row,), report) = rows(path)
    assert row["lr"] == [0.1, 0.3]
    assert [skip.place for skip in report.skipped] == [f"{path}:3", f"{path}:4"]
    assert report.notes == {"what is not in the encoding of its file is replaced": 1}


def test_texts_quoted_and_blanks_are_read(table):
    text = 'lr;"loss";"note, long"\n 0.1 ; 1;"a; ""b"""\n0.2;2;"a; ""b"""\n'
    ((row,), report) = rows(table(text))
    assert (row["lr"], row["loss"], report.skipped) == ([0.1, 0.2], [1, 2], [])
    assert dict(row["metadata"]) == {"note, long": 'a; "b"'}


def test_columns_of_one_name_are_told_apart(table):
    ((row,), _) = rows(table("lr,lr,loss\n1,2,3\n"))
    assert row["lr"] == [1]
    ((row,), _) = rows(table("lr,lr,loss\n1,2,3\n"), lr="lr#2")
    assert row["lr"] == [2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "lr,loss\n1,\n,2\n",
            "has no row or step with both, of 1 rates in 'lr' and 1 losses in 'loss'",
        ),
        ("loss,val_loss\n1,2\n", "has no column of rates: it has loss, val_loss"),
        ("lr,val_loss\n1,2\n", "has no column of losses: it has lr, val_loss"),
        ("1,2\n3,4\n", "has no column of rates: it has 1, 2"),
    ],
)
def test_a_table_without_a_curve_says_what_it_has(table, text, reason):
    assert reasons(table(text)) == [reason]


def test_what_is_no_log_is_of_no_known_format(tmp_path):
    for name, content in [
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0"),
        ("b.md", b"# Notes\nwords, more words\n"),
        ("c.py", b"import os, sys\n"),
        ("d.yaml", b"lr: 0.1\nloss: mse\n"),
        ("e.bin", bytes(range(256)) * 40),
    ]:
        (tmp_path / name).write_bytes(content)
    assert set(reasons(tmp_path)) == {"is of no known format"}
    assert len(reasons(tmp_path)) == 5


def test_json_that_is_no_log_says_what_it_has(tmp_path):
    (tmp_path / "config.json").write_text('{"model": {"width": 8}, "seed": 1}')
    assert reasons(tmp_path) == ["has no rates and losses: it has model, seed, width"]


def test_a_line_that_is_no_curve_among_curves_is_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"lr": [0.1], "loss": [1]}\n{"note": "hi"}\n{"lr": [0.1], "loss": [1]}\n')
    found, report = rows(path)
    assert len(found) == 2
    assert report.skipped == [(f"{path}:2", "has no rates and losses: it has note")]
    path.write_text('{"settings": {"width": 8}, "a": {"lr": [0.1], "loss": [1]}}')
    assert reasons(path) == []


@pytest.mark.parametrize("name", columns.SYNONYMS["lr"])
def test_every_name_of_rates_is_known(table, name):
    name = name.replace("[0-9]*", "3").replace("*", "any")
    for case in (name, name.upper(), name.title()):
        ((row,), _) = rows(table(f"{case},loss\n1,2\n"))
        assert row["lr"] == [1]


@pytest.mark.parametrize("name", columns.SYNONYMS["loss"])
def test_every_name_of_losses_is_known(table, name):
    name = name.replace("*", "any")
    ((row,), _) = rows(table(f"lr,{name}\n1,2\n"))
    assert row["loss"] == [2]


@pytest.mark.parametrize("name", columns.SYNONYMS["run"])
def test_every_name_of_runs_is_known(table, name):
    found, _ = rows(table(f"lr,loss,{name}\n1,2,a\n2,3,b\n"))
    assert [row["curve_id"] for row in found] == ["a", "b"]


@pytest.mark.parametrize("name", columns.SYNONYMS["step"])
def test_every_name_of_steps_is_known(table, name):
    ((row,), _) = rows(table(f"lr,loss,{name}\n1,2,1\n2,3,0\n"))
    assert row["lr"] == [2, 1]


@pytest.mark.parametrize(
    ("names", "lr", "loss"),
    [
        (["lr_0", "lr_1", "mom_0", "train_loss", "raw_loss"], "lr_1", "raw_loss"),
        (["lr-Adam/pg10", "lr-Adam/pg9", "lr-Adam/pg10-momentum", "loss"], "lr-Adam/pg10", "loss"),
        (
            ["lr-SGD", "lr-SGD-weight_decay", "train_loss_epoch", "train_loss_step"],
            "lr-SGD",
            "train_loss_step",
        ),
        (["train/lr", "eval/loss", "train/loss"], "train/lr", "train/loss"),
        (["learning_rate", "val_loss", "test_loss", "loss"], "learning_rate", "loss"),
    ],
)
def test_the_right_columns_are_chosen(names, lr, loss):
    (pair,) = columns.choose(names, columns.Options()).pairs
    assert (pair.lr, pair.loss) == (lr, loss)


def test_fastai_s_average_beside_its_hypers_is_undone(table):
    text = "lr_0,mom_0,train_loss\n0.1,.9,3\n0.2,.9,3.5\n"
    ((row,), _) = rows(table(text))
    assert row["smoothing"] == "fastai"
    # v / (1 - .98^2) = 3.5 with v = .98 * .06 + .02 loss
    assert row["loss"] == pytest.approx([3, (3.5 * (1 - 0.98**2) - 0.98 * 0.06) / 0.02])
    ((row,), _) = rows(table(text.replace("mom_0", "other")))
    assert row["smoothing"] is None


def test_other_columns_are_read_where_they_are_asked_for(table):
    path = table("speed,error,who,when\n1,2,a,1\n3,4,b,1\n5,6,a,0\n")
    found, _ = rows(path, lr="speed", loss=["nothing", "err*"], run="who", step="when")
    assert [(row["curve_id"], row["lr"], row["loss"]) for row in found] == [
        ("a", [5, 1], [6, 2]),
        ("b", [3], [4]),
    ]
    (reason,) = reasons(path, lr="velocity")
    assert reason == "has no column 'velocity' of `lr`: it has speed, error, who, when"


def test_a_glob_of_losses_gives_a_curve_for_each(table):
    path = table("lr,a - lr,b - lr,a - loss,b - loss\n9,1,2,3,4\n9,5,6,7,8\n")
    found, _ = rows(path, lr="* - lr", loss="* - loss")
    assert [(row["curve_id"], row["lr"], row["loss"]) for row in found] == [
        ("a", [1, 5], [3, 7]),
        ("b", [2, 6], [4, 8]),
    ]
    found, _ = rows(path, lr="lr", loss="* - loss")
    assert [row["lr"] for row in found] == [[9, 9], [9, 9]]


@pytest.mark.parametrize("argument", ["lr", "loss", "run", "step"])
def test_what_is_no_name_of_a_column_is_an_error(tmp_path, argument):
    with pytest.raises(TypeError, match=f"`{argument}` must be the name of a column, .*, got 3"):
        lehr.logs.read(tmp_path, **{argument: 3})


def test_a_group_that_is_not_there_is_told():
    with pytest.raises(Unread, match="has no group 2 of rates, only 1 columns"):
        columns.choose(["lr", "loss"], columns.options("lr[2]", None, None, None, None))
