"""Suggestions for many curves: the answers of single ones, from any kind of Arrow data."""

import multiprocessing
import threading

import lehr
import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from lehr import Sweep, suggest_batch, suggest_batches
from lehr.suggestion import METHODS

NAN = float("nan")


@pytest.fixture(scope="module")
def data():
    with np.load(ROOT / "benches/data/lr_bench_dev.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def curves(data):
    """Real sweeps of 100 and 400 points, some cut short."""
    short = [
        (data["sweep_lr"], y.astype(float)) for y in data["sweep_loss"][:, :3].reshape(-1, 100)
    ]
    long = [(data["long_lr"], y.astype(float)) for y in data["long_loss"][:, 0]]
    cut = [(x[: 5 * i], y[: 5 * i]) for i, (x, y) in enumerate(short[:12])]
    return [*short, *long, *cut]


DOUBLE = pa.float64()


def table(curves, kind=pa.list_, of=DOUBLE, **columns):
    lists = kind(of)
    return pa.table(
        {
            "lr": pa.array([x.tolist() for x, _ in curves], lists),
            "loss": pa.array([y.tolist() for _, y in curves], lists),
            **columns,
        }
    )


def single(x, y, method, steps=None, **options):
    return Sweep(x, y, **options).suggest(method, steps)


def same(column, expected):
    """Whether a column has these numbers to the last bit, null for NaN."""
    got = np.array(column.to_numpy(zero_copy_only=False), dtype=float)
    assert column.null_count == np.isnan(got).sum()
    return np.array_equal(got.view(np.int64)[~np.isnan(got)],
                          np.array(expected, dtype=float).view(np.int64)[~np.isnan(expected)]) and (
        np.array_equal(np.isnan(got), np.isnan(expected)))  # fmt: skip


def assert_as_single(answers, curves, methods=METHODS, steps=None, **options):
    said = [[single(x, y, method, steps, **options) for x, y in curves] for method in methods]
    for method, each in zip(methods, said, strict=True):
        assert same(answers[method], [one.lr for one in each]), method
    if "robust" in methods:
        robust = said[methods.index("robust")]
        assert answers["status"].to_pylist() == [one.status for one in robust]
        assert answers["reason"].to_pylist() == [one.reason or None for one in robust]
        intervals = [one.interval or (NAN, NAN) for one in robust]
        assert same(answers["robust_low"], [low for low, _ in intervals])
        assert same(answers["robust_high"], [high for _, high in intervals])
        assert same(answers["snr"], [one.snr for one in robust])
        if set(methods) == set(METHODS):
            assert same(answers["agreement"], [one.agreement for one in robust])
    assert answers["points"].to_pylist() == [len(y) for _, y in curves]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_answers_are_those_of_single_sweeps_to_the_last_bit(curves, kind, threads):
    assert_as_single(suggest_batch(table(curves, kind), "all", threads=threads), curves)


def test_answers_about_single_precision_are_those_of_its_exact_values(curves):
    singles = [(x.astype(np.float32).astype(float), y.astype(np.float32).astype(float))
               for x, y in curves]  # fmt: skip
    assert_as_single(suggest_batch(table(singles, of=pa.float32()), "all"), singles)


def test_lists_of_a_fixed_size_are_read(data):
    curves = [(data["sweep_lr"], y.astype(float)) for y in data["sweep_loss"][:, 0]]
    fixed = table(curves, lambda of: pa.list_(of, 100))
    assert pa.types.is_fixed_size_list(fixed.schema.field("lr").type)
    assert_as_single(suggest_batch(fixed, "all"), curves)
    assert_as_single(suggest_batch(fixed.slice(7, 11), "all"), curves[7:18])


@pytest.mark.parametrize("smoothing", ["fastai", "lightning", "torch_lr_finder", "ignite"])
def test_averages_are_undone_first(curves, smoothing):
    stored = [(x, Sweep(x, y).smooth(smoothing)) for x, y in curves[::5]]
    answers = suggest_batch(table(stored), "all", smoothing=smoothing)
    assert_as_single(answers, stored, smoothing=smoothing)


def test_the_length_of_the_training_and_of_the_sweep_are_heeded(curves):
    answers = suggest_batch(table(curves), "all", steps=3000)
    assert_as_single(answers, curves, steps=3000)
    cut = [(x[:80], y[:80]) for x, y in curves[:40]]
    assert_as_single(suggest_batch(table(cut), "all", num_it=100), cut, num_it=100)
    each = [100, None, 3] + [200] * 37
    answers = suggest_batch(table(cut, its=pa.array(each, pa.int32())), "all", num_it="its")
    expected = [
        single(x, y, "valley", num_it=max(n or 0, len(y))).lr
        for (x, y), n in zip(cut, each, strict=True)
    ]
    assert same(answers["valley"], expected)
    assert answers["its"].to_pylist() == each


def test_why_sweeps_ended_is_heeded(curves):
    cut = [(x[:70], y[:70]) for x, y in curves[:60]]
    stops = ["diverged", "finished", "non-finite", None] * 15
    given = table(cut, stop=pa.array(stops))
    answers = suggest_batch(given, "all", stop="stop")
    expected = [
        single(x, y, "robust", stop=stop or "unknown")
        for (x, y), stop in zip(cut, stops, strict=True)
    ]
    assert answers["status"].to_pylist() == [one.status for one in expected]
    assert same(answers["robust"], [one.lr for one in expected])
    assert answers["status"].to_pylist() != suggest_batch(given)["status"].to_pylist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(
            st.floats(-1, 10) | st.floats(allow_nan=True, allow_infinity=True),
            st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 3),
        ), max_size=40),
        max_size=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_curve_has_the_answer_of_a_single_one_or_its_error(points, rising):
    curves = []
    for one in points:
        x = np.array([a for a, _ in one], dtype=float)
        curves.append((np.sort(x) if rising else x, np.array([b for _, b in one], dtype=float)))
    answers = suggest_batch(table(curves), "all", threads=1).to_pylist()
    for (x, y), row in zip(curves, answers, strict=True):
        try:
            sweep = Sweep(x, y)
        except ValueError as error:
            assert (row["status"], row["reason"]) == ("bad", str(error))
            assert all(row[method] is None for method in METHODS)
            continue
        assert row["status"] == sweep.suggest().status
        for method in METHODS:
            expected = sweep.suggest(method).lr
            assert (row[method] is None) == np.isnan(expected)
            assert row[method] is None or row[method] == expected


def test_nulls_empty_and_bad_rows_have_a_status_and_the_others_their_answers(curves):
    x, y = (one.tolist() for one in curves[0])
    rows = [
        (x, y, None),
        (None, y, "the curve is missing"),
        (x, None, "the curve is missing"),
        ([], [], "the sweep has no points"),
        (x, y[:-1], "`lrs` and `losses` must have the same length, got 100 and 99"),
        ([*x[:3], None, *x[4:]], y, "`lrs[3]` must be finite, got NaN"),
        (x, [*y[:3], None, *y[4:]], None),
    ]
    given = pa.table({
        "lr": pa.array([r[0] for r in rows], pa.list_(pa.float64())),
        "loss": pa.array([r[1] for r in rows], pa.list_(pa.float64())),
    })  # fmt: skip
    answers = suggest_batch(given)
    assert answers["status"].to_pylist()[1:6] == ["bad", "bad", "none", "bad", "bad"]
    assert answers["reason"].to_pylist()[1:6] == [reason for *_, reason in rows[1:6]]
    assert answers["points"].to_pylist() == [100, 0, 0, 0, 99, 100, 100]
    gap = np.array(y)
    gap[3] = NAN
    for row, losses in ((0, y), (6, gap)):
        assert answers["robust"][row].as_py() == Sweep(x, losses).suggest().lr


def test_what_lies_behind_a_null_is_not_read(curves):
    values = pa.array(np.concatenate([curves[0][1], np.full(50, 7.0)]))
    offsets = pa.array([0, 100, 150], pa.int32())
    mask = pa.array([False, True])
    losses = pa.ListArray.from_arrays(offsets, values, mask=mask)
    lrs = pa.array([curves[0][0], curves[0][0][:50]], pa.list_(pa.float64()))
    answers = suggest_batch(pa.table({"lr": lrs, "loss": losses}))
    assert answers["status"].to_pylist()[1] == "bad"
    assert answers["points"].to_pylist() == [100, 0]


def test_slices_with_nulls_among_their_points_are_read_where_they_begin(curves):
    rows = [[None if j % 9 == i % 9 else float(y[j]) for j in range(len(y))]
            for i, (_, y) in enumerate(curves[:9])]  # fmt: skip
    gaps = [(x, np.array(row, dtype=float)) for (x, _), row in zip(curves[:9], rows, strict=True)]
    lrs = pa.array([x.tolist() for x, _ in gaps], pa.list_(DOUBLE))
    for kind in (pa.list_(DOUBLE), pa.large_list(DOUBLE), pa.list_(DOUBLE, 100)):
        given = pa.table({"lr": lrs, "loss": pa.array(rows, kind)})
        assert_as_single(suggest_batch(given.slice(2, 5), "all"), gaps[2:7])


def test_slices_and_chunks_are_read_where_they_begin(curves):
    whole = table(curves)
    chunked = pa.concat_tables([whole.slice(0, 5), whole.slice(30, 7), whole.slice(100, 60)])
    assert chunked["lr"].num_chunks == 3
    assert_as_single(suggest_batch(chunked, "all"), [*curves[:5], *curves[30:37], *curves[100:160]])
    batch = whole.to_batches()[0].slice(11, 9)
    assert_as_single(suggest_batch(batch, "all"), curves[11:20])
    assert suggest_batch(whole.slice(3, 0)).num_rows == 0


class Stream:
    """Something of another library that gives Arrow data."""

    def __init__(self, data, method):
        setattr(type(self), method, lambda _, *args: getattr(data, method)(*args))


def test_anything_that_gives_arrow_data_is_read(curves):
    whole = table(curves[:9])
    assert_as_single(suggest_batch(Stream(whole, "__arrow_c_stream__"), "all"), curves[:9])

    class Array(Stream):
        pass

    delattr(Stream, "__arrow_c_stream__")
    batch = whole.to_batches()[0]
    assert_as_single(suggest_batch(Array(batch, "__arrow_c_array__"), "all"), curves[:9])


def test_other_columns_of_one_name_stay(curves):
    given = table(curves[:2]).append_column("a", [[1, 2]]).append_column("a", [["x", "y"]])
    answers = suggest_batch(given, "minimum")
    assert answers.column_names[:3] == ["a", "a", "points"]
    assert [answers.column(i).to_pylist() for i in (0, 1)] == [[1, 2], ["x", "y"]]


def test_other_columns_stay(curves):
    names = pa.array([f"run {i}" for i in range(9)])
    answers = suggest_batch(table(curves[:9], name=names, size=pa.array(range(9))), "minimum")
    assert answers.column_names == ["name", "size", "points", "status", "reason", "minimum"]
    assert answers["name"].to_pylist() == names.to_pylist()


def test_without_the_robust_rule_the_status_counts_the_answers():
    x = [1e-4, 1e-3, 1e-2, 1e-1]
    given = table(
        [(np.array(x), np.array([3.0, 2.0, 1.0, 9.0])), (np.array([0.0, *x]), np.ones(5))]
    )
    answers = suggest_batch(given, ["minimum", "steep"])
    assert answers["status"].to_pylist() == ["ok", "weak"]
    assert "`lrs[0]` must be above 0" in answers["reason"].to_pylist()[1]
    assert suggest_batch(given, "lightning")["status"].to_pylist() == ["none", "none"]


# Long tables.


def long_table(curves, runs, order=None, step=True):
    run = np.concatenate([np.repeat(runs[i], len(y)) for i, (_, y) in enumerate(curves)])
    columns = {
        "run": pa.array(run.tolist()),
        "lr": np.concatenate([x for x, _ in curves]),
        "loss": np.concatenate([y for _, y in curves]),
        "step": np.concatenate([np.arange(len(y)) for _, y in curves]),
    }
    made = pa.table(columns if step else {k: v for k, v in columns.items() if k != "step"})
    return made if order is None else made.take(order)


@pytest.mark.parametrize("names", [range(50), [f"run-{i}" for i in range(50)]])
def test_a_long_table_has_a_curve_a_run_however_it_is_sorted(curves, names):
    some = curves[:50]
    whole = long_table(some, list(names))
    assert_as_single(suggest_batch(whole, "all"), some)
    assert suggest_batch(whole)["run"].to_pylist() == list(names)
    order = np.random.default_rng(0).permutation(whole.num_rows)
    shuffled = whole.take(order)
    answers = suggest_batch(shuffled, "all")
    first = list(dict.fromkeys(shuffled["run"].to_pylist()))
    assert answers["run"].to_pylist() == first
    assert_as_single(answers, [some[list(names).index(name)] for name in first])


def test_points_without_a_step_are_taken_as_met_and_without_a_run_all_are_one(curves):
    (x, y), other = curves[0], curves[1]
    mixed = np.argsort(np.arange(200) % 100, kind="stable")
    whole = long_table([(x, y), other], ["b", "a"], mixed, step=False)
    answers = suggest_batch(whole, "all")
    assert answers["run"].to_pylist() == ["b", "a"]
    assert_as_single(answers, [(x, y), other])
    alone = suggest_batch(pa.table({"lr": x, "loss": y}), "all")
    assert "run" not in alone.column_names
    assert_as_single(alone, [(x, y)])


def test_a_long_table_may_have_nulls_chunks_dictionaries_and_single_precision(curves):
    whole = long_table(curves[:6], ["a", "b", None, "d", "e", "f"])
    whole = whole.set_column(0, "run", whole["run"].dictionary_encode())
    whole = pa.concat_tables([whole.slice(0, 250), whole.slice(250)])
    answers = suggest_batch(whole, "all")
    assert answers["run"].to_pylist() == ["a", "b", None, "d", "e", "f"]
    assert_as_single(answers, curves[:6])
    plain = whole.set_column(0, "run", whole["run"].cast(pa.string()))
    chunks = pa.concat_tables([plain.slice(i, 70) for i in range(0, plain.num_rows, 70)])
    assert suggest_batch(chunks, "all").equals(answers)
    empty = suggest_batch(plain.slice(0, 0))
    assert (empty.num_rows, empty.column_names[0]) == (0, "run")
    losses = pa.array([*curves[0][1][:50].tolist(), None, *curves[0][1][51:].tolist()])
    answers = suggest_batch(pa.table({"lr": curves[0][0], "loss": losses}))
    gap = curves[0][1].copy()
    gap[50] = NAN
    assert answers["robust"][0].as_py() == Sweep(curves[0][0], gap).suggest().lr


def test_steps_are_compared_exactly_and_may_be_times(curves):
    x, y = curves[0]
    order = np.random.default_rng(0).permutation(100)
    # Above 2^53, where float64 does not tell them apart.
    steps = np.arange(100)[order] + 2**60
    given = {"run": ["a"] * 100, "lr": x[order], "loss": y[order]}
    for step in (pa.array(steps), pa.array(steps, pa.timestamp("ns")), pa.array(order * 0.5)):
        assert_as_single(suggest_batch(pa.table(given | {"step": step}), "all"), [(x, y)])
    nulls = pa.array([None if place == 99 else int(place) for place in order])
    assert_as_single(suggest_batch(pa.table(given | {"step": nulls}), "all"), [(x, y)])


def test_a_long_table_may_hold_integers_and_views_of_texts(curves):
    texts = pa.array(["a", "b"], pa.string_view())
    runs = pa.DictionaryArray.from_arrays(pa.array([1, 1, 0, 0], pa.uint32()), texts)
    given = pa.table({"run": runs, "lr": [0.1, 0.2, 0.1, 0.2], "loss": [3, 2, 1, 5]})
    answers = suggest_batch(given, "minimum")
    assert answers.select(["run", "minimum"]).to_pylist() == [
        {"run": "b", "minimum": Sweep([0.1, 0.2], [3, 2]).suggest("minimum").lr},
        {"run": "a", "minimum": Sweep([0.1, 0.2], [1, 5]).suggest("minimum").lr},
    ]


def test_columns_named_for_a_long_table_must_be_there(curves):
    given = long_table(curves[:2], ["a", "b"])
    with pytest.raises(KeyError, match="no column `name`; its columns are run, lr, loss, step"):
        suggest_batch(given, run="name")
    with pytest.raises(KeyError, match="no column `iteration`"):
        suggest_batch(given, step="iteration")
    with pytest.raises(ValueError, match="`lr` and `run` must name two columns"):
        suggest_batch(given, run="lr")
    with pytest.raises(TypeError, match="names no runs"):
        suggest_batch(given.set_column(0, "run", pa.array([[1]] * given.num_rows)))


# Streams.


def test_a_stream_is_answered_batch_by_batch(curves):
    batches = table(curves).to_batches(max_chunksize=17)
    for stream in (batches, iter(batches), pa.Table.from_batches(batches).to_reader()):
        answers = suggest_batches(stream, "all")
        assert isinstance(answers, pa.RecordBatchReader)
        read = list(answers)
        assert [batch.num_rows for batch in read] == [batch.num_rows for batch in batches]
        assert_as_single(pa.Table.from_batches(read), curves)


def test_a_stream_is_read_one_batch_ahead_and_no_further(curves):
    batches = table(curves[:40]).to_batches(max_chunksize=4)
    asked = []

    def give():
        for index, batch in enumerate(batches):
            asked.append(index)
            yield batch

    answers = suggest_batches(give(), "minimum")
    for taken in range(3):
        answers.read_next_batch()
        assert max(asked) <= taken + 2
    answers.close()


def test_an_error_in_a_stream_comes_through(curves):
    def give():
        yield table(curves[:4]).to_batches()[0]
        raise OSError("the disk is gone")

    answers = suggest_batches(give(), "minimum")
    with pytest.raises(OSError, match="the disk is gone"):
        answers.read_all()


def test_a_stream_that_holds_something_else_does_not_end_there(curves):
    batch = table(curves[:4]).to_batches()[0]
    for other, kind in ((None, "NoneType"), (table(curves[:4]), "Table")):
        with pytest.raises(TypeError, match=f"`batches` must hold record batches, got one {kind}"):
            suggest_batches([batch, other, batch], "minimum").read_all()


# Threads and processes.


@pytest.mark.parametrize("threads", [7, 10**6, 2**80])
def test_no_more_threads_are_started_than_have_work(curves, threads):
    given = table(curves)
    assert suggest_batch(given, threads=threads).equals(suggest_batch(given, threads=1))


def test_other_threads_run_meanwhile(curves):
    many = pa.concat_tables([table(curves)] * 100)
    done, moves = threading.Event(), []

    def count():
        while not done.is_set():
            moves.append(None)
            done.wait(0.0005)

    other = threading.Thread(target=count)
    other.start()
    before = len(moves)
    suggest_batch(many, "all", threads=1)
    during = len(moves) - before
    done.set()
    other.join()
    # Holding the lock would let it run a few times in all.
    assert during > 20


def answers_in_child(queue, given):
    queue.put(suggest_batch(given, "minimum", threads=2)["minimum"].to_pylist())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_forks_after_a_call_can_call_again(curves):
    given = pa.concat_tables([table(curves)] * 3)
    expected = suggest_batch(given, "minimum", threads=2)["minimum"].to_pylist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=answers_in_child, args=(queue, given))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0


# Wrong arguments.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"methods": "best"}, ValueError, "`methods` must name some of robust, valley"),
        ({"methods": 3}, TypeError, "`methods` must name some of robust"),
        ({"methods": []}, ValueError, "`methods` must name at least one rule, and each once"),
        ({"methods": ["steep", "steep"]}, ValueError, "each once"),
        ({"threads": 0}, ValueError, "`threads` must be at least 1, got 0"),
        ({"threads": 1.5}, TypeError, "`threads` must be an integer"),
        ({"steps": 0}, ValueError, "`steps` must be at least 1, got 0"),
        ({"smoothing": "keras"}, ValueError, "`smoothing` must be one of fastai"),
        ({"num_it": 0}, ValueError, "`num_it` must be at least 1, got 0"),
        ({"num_it": "its"}, KeyError, "no column `its`; its columns are lr, loss, name"),
        ({"num_it": "name"}, TypeError, "`name` must be a column of integers, got string"),
        ({"stop": "why"}, KeyError, "no column `why`"),
        ({"stop": "lr"}, TypeError, "`lr` must be a column of strings"),
        ({"num_it": 2**60}, ValueError, r"`num_it` must be at most 2\^53, got"),
        ({"lr": "rate"}, KeyError, "no column `rate`"),
        ({"lr": 3}, TypeError, "`lr` must be the name of a column, got 3"),
        ({"lr": "loss"}, ValueError, "`lr` and `loss` must name two columns, got 'loss' for both"),
        ({"loss": "name"}, TypeError, "`name` must hold lists of float32 or float64"),
    ],
)
def test_wrong_arguments_are_told_by_name(curves, options, error, message):
    given = table(curves[:2], name=pa.array(["a", "b"]))
    with pytest.raises(error, match=message):
        suggest_batch(given, **options)
    with pytest.raises(error, match=message):
        suggest_batches(given.to_batches(), **options)


def test_wrong_tables_are_refused(curves):
    with pytest.raises(TypeError, match="`table` must give Arrow data, .* got dict"):
        suggest_batch({"lr": []})
    with pytest.raises(TypeError, match="`batches` must give an Arrow stream"):
        suggest_batches(3)
    with pytest.raises(TypeError, match="`batches` must hold record batches, got one int"):
        suggest_batches([1])
    with pytest.raises(ValueError, match="must hold at least one record batch, got none"):
        suggest_batches([])
    with pytest.raises(ValueError, match="the column `status` of the table is one of the answers"):
        suggest_batch(table(curves[:2], status=pa.array([1, 2])))
    long = long_table(curves[:2], ["a", "b"])
    with pytest.raises(TypeError, match="give the whole table to `suggest_batch`"):
        suggest_batches(long)
    with pytest.raises(TypeError, match="`num_it` must name no column of a long table"):
        suggest_batch(long, num_it="step")
    text = long.set_column(1, "lr", pa.array(["x"] * long.num_rows))
    with pytest.raises(TypeError, match="`lr` must hold numbers in a long table, got string"):
        suggest_batch(text)
    strings = pa.table({"lr": pa.array([["a"]]), "loss": pa.array([[1.0]])})
    with pytest.raises(TypeError, match="`lr` must hold lists of float32 or float64"):
        suggest_batch(strings)
    twice = pa.table([[[1.0]], [[1.0]], [[1.0]]], names=["lr", "lr", "loss"])
    with pytest.raises(KeyError, match="2 columns `lr`"):
        suggest_batch(twice)


def test_the_names_are_public():
    assert lehr.suggest_batch is suggest_batch
    assert "suggest_batches" in lehr.__all__
