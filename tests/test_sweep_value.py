"""The curve of a sweep as a value."""

import copy
import csv
import io
import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from lehr import Suggestion, Sweep, _core
from mpmath import mp, mpf

NAN, INF = math.nan, math.inf
SMOOTHINGS = ("fastai", "lightning", "torch_lr_finder", "ignite")
RNG = np.random.default_rng(0)
LRS = np.geomspace(1e-7, 10, 300)
LOSSES = 2 + np.tanh(np.linspace(4, -4, 300)) + 0.3 * RNG.standard_normal(300)


def test_a_sweep_is_an_immutable_value():
    settings = {"start_lr": 1e-7, "seeds": [1, 2]}
    sweep = Sweep([1e-3, 1e-2], [2.0, NAN], num_it=10, stop="interrupted", settings=settings)
    assert len(sweep) == 2
    for name in ("lrs", "stop", "other"):
        with pytest.raises(AttributeError, match=f"`{name}` cannot be set"):
            setattr(sweep, name, 1)
        with pytest.raises(AttributeError):
            delattr(sweep, name)
    with pytest.raises(ValueError, match="read-only"):
        sweep.losses[0] = 1
    settings["seeds"].append(3)
    assert sweep.settings == {"start_lr": 1e-7, "seeds": (1, 2)}
    with pytest.raises(TypeError):
        sweep.settings["other"] = 1
    suggested = sweep.with_suggestions({"mine": Suggestion(1e-3, None)})
    for one in (sweep, suggested):
        for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert other == sweep
            assert hash(other) == hash(sweep)
            assert other.settings == sweep.settings
            assert other.suggestions.keys() == one.suggestions.keys()
            with pytest.raises(ValueError, match="read-only"):
                other.lrs[0] = 1


@pytest.mark.parametrize(
    "other",
    [
        {"losses": [2.0, 1.0]},
        {"lrs": [1e-3, 2e-2]},
        {"num_it": 11},
        {"stop": "finished"},
        {"hyper": "momentum"},
        {"settings": {"seed": 2}},
        {"parts": (Sweep([], []),)},
    ],
)
def test_sweeps_differ_by_each_of_their_fields(other):
    known = {
        "lrs": [1e-3, 1e-2],
        "losses": [2.0, NAN],
        "num_it": 10,
        "stop": "interrupted",
        "settings": {"seed": 1},
    }
    assert Sweep(**known) != Sweep(**known | other)
    assert Sweep(**known) == Sweep(**known)
    assert Sweep(**known) != "a sweep"


def test_a_rate_of_minus_zero_equals_zero_and_hashes_as_it():
    first, second = Sweep([0.0, 1.0], [1, 1]), Sweep([-0.0, 1.0], [1, 1])
    assert first == second
    assert hash(first) == hash(second)


def test_a_sweep_shows_what_it_is():
    assert repr(Sweep([1e-3, 1e-2], [2, 1], num_it=10, stop="diverged")) == (
        "<Sweep of 2 points of 10, lr from 1.00e-03 to 1.00e-02, diverged>"
    )
    assert repr(Sweep([], [])) == "<Sweep of no points, unknown>"
    pooled = Sweep.pool([Sweep([0.5], [2], hyper="momentum")] * 3)
    assert "momentum from 5.00e-01 to 5.00e-01, of 3 sweeps" in repr(pooled)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([1], [1, 2]), ValueError, "same length, got 1 and 2"),
        (([], [1]), ValueError, "same length, got 0 and 1"),
        (([1, NAN], [1, 2]), ValueError, r"`lrs\[1\]` must be finite, got NaN"),
        (([1, INF], [1, 2]), ValueError, r"`lrs\[1\]` must be finite"),
        ((np.ones((2, 2)), [1, 2]), ValueError, "`lrs` must be .* one-dimensional, got 2"),
        ((1.0, 2.0), TypeError, "`lrs` must be a one-dimensional sequence"),
        (("ab", [1, 2]), TypeError, "`lrs` must be"),
        (([1, 2], [1, None]), TypeError, r"`losses\[1\]` must be a number, got None"),
        (([1, 2], [1j, 2]), TypeError, r"`losses\[0\]` must be a number"),
    ],
)
def test_points_that_are_none_are_refused_by_name(arguments, error, words):
    with pytest.raises(error, match=words):
        Sweep(*arguments)


@pytest.mark.parametrize(
    ("known", "error", "words"),
    [
        ({"num_it": 1}, ValueError, "`num_it` must be at least the number of points, 2, got 1"),
        ({"num_it": 2.5}, TypeError, "`num_it` must be an integer, got 2.5"),
        ({"stop": "crashed"}, ValueError, "`stop` must be one of finished, .*, got 'crashed'"),
        ({"stop": None}, TypeError, "`stop` must be a string, got None"),
        ({"hyper": 3}, TypeError, "`hyper` must be a string, got 3"),
        ({"smoothing": "keras"}, ValueError, "`smoothing` must be one of fastai, .*keras"),
        ({"smoothing": 0.98}, TypeError, "`smoothing` must be a string"),
        ({"settings": [1]}, TypeError, r"`settings` must be a mapping, got \[1\]"),
        ({"settings": {1: 2}}, TypeError, "keys of `settings` must be strings, got 1"),
        ({"settings": {"a": [1, {}]}}, TypeError, r"`settings\['a'\]\[1\]` must be a string"),
        ({"settings": {"a": NAN}}, ValueError, r"`settings\['a'\]` must be finite, got nan"),
        ({"parts": [1]}, TypeError, "`parts` must hold sweeps, got 1"),
    ],
)
def test_what_cannot_be_known_of_a_sweep_is_refused_by_name(known, error, words):
    with pytest.raises(error, match=words):
        Sweep([1, 2], [1, 2], **known)


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        np.array,
        lambda values: np.array(values, np.float32),
        lambda values: np.array(values, ">f8")[::1],
        lambda values: np.array([values, values]).T[:, 0],
        lambda values: torch.tensor(values, dtype=torch.float64),
        lambda values: torch.tensor(values, dtype=torch.bfloat16, requires_grad=True),
        lambda values: [torch.tensor(value) for value in values],
        pa.array,
        lambda values: pa.chunked_array([values[:1], values[1:]]),
    ],
)
def test_points_may_come_in_any_column(make):
    values = [0.5, 0.25, 2.0]
    sweep = Sweep(make(values), make(values))
    assert sweep.lrs.tolist() == sweep.losses.tolist() == values
    assert sweep.losses.dtype == np.float64


def test_a_gap_in_a_column_is_nan():
    sweep = Sweep(pa.array([1.0, 2.0]), pa.array([None, 3.0]))
    np.testing.assert_array_equal(sweep.losses, [NAN, 3.0])


def test_a_given_array_is_not_shared():
    losses = np.ones(2)
    sweep = Sweep([1, 2], losses)
    losses[0] = 5
    assert sweep.losses.tolist() == [1, 1]


def test_the_smoothed_losses_are_those_of_the_running_sweep():
    state = _core.SweepState(300)
    losses = LOSSES.copy()
    losses[[7, 100]] = NAN, INF
    for loss in losses.tolist():
        state.push(loss)
    smoothed = Sweep(LRS, losses).smoothed
    assert smoothed.tobytes() == state.smoothed.tobytes()


# The averages of other finders.


def exact_averages(losses, smoothing):
    """What the published formula gives, in 60 digits."""
    with mp.workdps(60):
        # The constants are float64 in the tools.
        beta, new = mpf(0.98), 1 - mpf(0.98)
        averages = []
        v = mpf(0)
        for i, loss in enumerate(losses.tolist()):
            if smoothing in {"fastai", "lightning"}:
                v = beta * v + new * mpf(loss)
                averages.append(v / (1 - beta ** (i + (1 if smoothing == "fastai" else 2))))
            else:
                v = mpf(1 - 0.05) * v + mpf(0.05) * mpf(loss) if i else mpf(loss)
                averages.append(v)
        return averages


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_averages_are_the_published_formula_s(smoothing):
    exact = [float(one) for one in exact_averages(LOSSES, smoothing)]
    np.testing.assert_allclose(Sweep(LRS, LOSSES).smooth(smoothing), exact, rtol=2e-15)


@pytest.mark.parametrize("scale", [1.0, 1e-30, -1e200])
@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_inverting_loses_no_more_than_rounding_the_averages_did(smoothing, scale):
    losses = LOSSES * scale
    stored = np.array([float(one) for one in exact_averages(losses, smoothing)])
    error = np.abs(Sweep(LRS, stored, smoothing=smoothing).losses - losses)
    assert error.max() <= 2e-14 * np.abs(stored).max()
    assert error[0] <= 4e-16 * np.abs(losses[0])


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_averages_in_float32_give_losses_to_its_precision(smoothing):
    stored = np.array([float(one) for one in exact_averages(LOSSES, smoothing)], np.float32)
    error = np.abs(Sweep(LRS, stored, smoothing=smoothing).losses - LOSSES)
    assert 1e-9 < error.max() <= 6e-6 * np.abs(stored).max()


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_sweep_comes_back_from_its_averages(smoothing):
    sweep = Sweep(LRS, LOSSES, stop="finished")
    back = Sweep(LRS, sweep.smooth(smoothing), smoothing=smoothing, stop="finished")
    np.testing.assert_allclose(back.losses, LOSSES, rtol=0, atol=2e-14 * LOSSES.max())
    assert len(Sweep([], [], smoothing=smoothing).smooth(smoothing)) == 0


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("loss", [NAN, INF, -INF])
def test_after_a_loss_that_is_not_finite_averages_tell_nothing(smoothing, loss):
    averages = Sweep(LRS[:5], [3, 2, loss, 1, 4]).smooth(smoothing)
    assert np.isfinite(averages).tolist() == [True, True, False, False, False]
    back = Sweep(LRS[:5], averages, smoothing=smoothing).losses
    np.testing.assert_allclose(back, [3, 2, NAN, NAN, NAN], rtol=1e-13)


def test_an_average_of_no_finder_is_refused():
    for kind, error in (("keras", ValueError), (None, TypeError)):
        with pytest.raises(error, match="`kind` must be"):
            Sweep(LRS, LOSSES).smooth(kind)


# Files.


def full_sweep():
    part = Sweep([1e-3, 0.1], [1 / 3, -INF], num_it=5, stop="diverged", settings={"seed": 1})
    sweep = Sweep(
        [1e-3, 0.1, -0.0],
        [NAN, INF, 5e-324],
        num_it=7,
        stop="non-finite",
        hyper="weight_decay",
        settings={"text": "ü", "none": None, "flag": True, "seeds": [1, 2.5, [3]]},
        parts=[part, part],
    )
    return sweep.with_suggestions(
        {
            "none": Suggestion(NAN, None, "why", "robust", status="none"),
            "full": Suggestion(
                0.1, (0.1, NAN), "", "m", (0.01, 1.0), "weak", 3.5, {"valley": NAN, "b": 0.1}, 0.25
            ),
        }
    )


def test_a_sweep_comes_back_from_json_with_every_bit():
    sweep = full_sweep()
    text = sweep.to_json()
    assert "Infinity" in text
    # Strict JSON: NaN is none.
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    back = Sweep.from_json(text)
    assert back == sweep
    assert back.lrs.tobytes() == sweep.lrs.tobytes()
    assert back.losses.tobytes() == sweep.losses.tobytes()
    assert back.parts == sweep.parts
    assert back.settings == sweep.settings
    assert back.suggestions["full"]._replace(point=None, others={}) == sweep.suggestions[
        "full"
    ]._replace(point=None, others={})
    assert repr(dict(back.suggestions)) == repr(dict(sweep.suggestions))
    assert back.to_json() == text
    assert Sweep.from_json(text.encode()) == sweep


def test_a_thousand_random_float64_come_back_from_json():
    bits = RNG.integers(0, 2**63, 1000, dtype=np.uint64)
    losses = bits.view(np.float64)
    losses = losses[np.isfinite(losses)]
    sweep = Sweep(np.arange(len(losses)), losses)
    assert Sweep.from_json(sweep.to_json()).losses.tobytes() == losses.tobytes()


def edited(**changes):
    document = json.loads(full_sweep().to_json())
    document["sweep"] |= changes
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read from this JSON"),
        ("[" * 100_000, "cannot be read from this JSON"),
        ("[]", "the document must be an object"),
        ('{"version": 2, "curve": 1}', "of version 2 cannot be read, only of 1"),
        ('{"sweep": {}}', "the document has no `version`"),
        ('{"version": 1, "version": 1, "sweep": {}}', "a field is given twice"),
        ('{"version": 1, "sweep": {}}', "`sweep` has no `hyper`, `losses`"),
        (edited(other=1), "`sweep` has an unknown field, `other`"),
        (edited(lrs=3), "`sweep.lrs` must be a list, got 3"),
        (edited(lrs=["NaN", 1, 2]), r"`lrs\[0\]` must be finite"),
        (edited(losses=[1, 2, "nan"]), r"`sweep.losses\[2\]` must be a number or one of NaN"),
        (edited(losses=[1, 2, True]), r"`sweep.losses\[2\]` must be a number"),
        (edited(losses=[1, 2, None]), r"`sweep.losses\[2\]` must be a number"),
        (edited(losses=[1, 2, NAN]), "NaN is no JSON"),
        (edited(losses=[1]), "same length, got 3 and 1"),
        (edited(num_it=7.0), "`sweep.num_it` must be an integer, got 7.0"),
        (edited(num_it=True), "`sweep.num_it` must be an integer, got True"),
        (edited(num_it=1), "`num_it` must be at least the number of points"),
        (edited(stop="gone"), "`stop` must be one of"),
        (edited(hyper=None), "`hyper` must be a string"),
        (edited(settings=[]), "`sweep.settings` must be an object"),
        (edited(parts=[1]), r"`sweep.parts\[0\]` must be an object"),
        (edited(suggestions={"a": {}}), r"`sweep.suggestions\['a'\]` has no"),
    ],
)
def test_json_of_anything_else_is_refused_with_the_place(text, words):
    with pytest.raises(ValueError, match=words):
        Sweep.from_json(text)


def test_csv_has_the_points_with_every_bit(tmp_path):
    sweep = Sweep([1e-3, 0.1, 0.3], [1 / 3, NAN, INF], hyper="momentum")
    text = sweep.to_csv()
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["iteration", "momentum", "loss", "smoothed"]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    points = np.array([[float(one) for one in row[1:]] for row in rows])
    np.testing.assert_array_equal(points, np.array([sweep.lrs, sweep.losses, sweep.smoothed]).T)
    assert sweep.to_csv(tmp_path / "sweep.csv") is None
    assert (tmp_path / "sweep.csv").read_bytes() == text.encode()
    buffer = io.StringIO()
    sweep.to_csv(buffer)
    assert buffer.getvalue() == text
    assert Sweep([], []).to_csv() == "iteration,lr,loss,smoothed\n"


def test_an_arrow_table_has_the_points_and_the_stream_is_it():
    sweep = Sweep([1e-3, 0.1], [1 / 3, NAN], hyper="momentum")
    table = sweep.to_arrow()
    assert table.column_names == ["iteration", "momentum", "loss", "smoothed"]
    assert table["loss"].to_numpy().tobytes() == sweep.losses.tobytes()
    assert table["momentum"].to_pylist() == [1e-3, 0.1]
    read = pa.RecordBatchReader.from_stream(sweep).read_all()
    assert read.schema == table.schema
    assert read["loss"].to_numpy().tobytes() == sweep.losses.tobytes()


def test_without_pyarrow_a_table_says_what_to_install_and_the_rest_works():
    script = """
import sys
sys.modules["pyarrow"] = sys.modules["torch"] = sys.modules["matplotlib"] = None
import lehr
sweep = lehr.Sweep([0.1, 0.2], [3.0, 2.0])
assert lehr.Sweep.from_json(sweep.to_json()) == sweep
assert sweep.suggest("minimum").lr == 0.02
sweep.to_csv()
for method, extra in ((sweep.to_arrow, "arrow"), (sweep.plot, "plot")):
    try:
        method()
    except ImportError as error:
        assert f"lehr[{extra}]" in str(error), error
    else:
        raise AssertionError(extra)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# Pools.


def test_a_pool_is_the_mean_of_what_is_finite_while_half_have_it():
    rates = [1.0, 2.0, 3.0, 4.0]
    sweeps = [
        Sweep(rates, [1, NAN, 3, 4], num_it=8, stop="finished", settings={"seed": 1, "end": 9}),
        Sweep(rates[:3], [3, 6, INF], num_it=6, stop="diverged", settings={"seed": 2, "end": 9}),
        Sweep(rates[:3], [8, 4, 5], stop="diverged", settings={"seed": 3, "end": 9}),
    ]
    pool = Sweep.pool(iter(sweeps))
    assert pool.lrs.tolist() == rates[:3]
    assert pool.losses.tolist() == [4, 5, 4]
    assert (pool.num_it, pool.stop, pool.hyper) == (8, "diverged", "lr")
    assert pool.settings == {"end": 9}
    assert pool.parts == tuple(sweeps)
    assert Sweep.pool(sweeps[:1]).losses.tolist()[2:] == [3, 4]
    assert Sweep.from_json(pool.to_json()) == pool


def test_means_are_numpy_s():
    losses = RNG.standard_normal((6, 300))
    pool = Sweep.pool(Sweep(LRS, one) for one in losses)
    np.testing.assert_allclose(pool.losses, losses.mean(axis=0), rtol=1e-13, atol=1e-16)


def test_sweeps_that_do_not_belong_together_are_refused_by_place():
    first = Sweep([1.0, 2.0, 3.0], [1, 1, 1])
    for other, words in (
        (Sweep([1.0, 2.5], [1, 1]), r"that of point 1 of `sweeps\[1\]` is 2.5, not 2.0"),
        (Sweep([1.0], [1], hyper="momentum"), r"`sweeps\[1\]` is of 'momentum', not 'lr'"),
    ):
        with pytest.raises(ValueError, match=words):
            Sweep.pool([first, other])
    with pytest.raises(ValueError, match="at least one sweep"):
        Sweep.pool([])
    with pytest.raises(TypeError, match="`sweeps` must hold sweeps, got 3"):
        Sweep.pool([first, 3])


@pytest.mark.parametrize("hyper", ["", "loss", "iteration", "smoothed"])
def test_a_hyper_that_is_no_name_of_a_column_is_refused(hyper):
    with pytest.raises(ValueError, match="`hyper` must be a name other than iteration, loss"):
        Sweep([1], [1], hyper=hyper)


def test_what_is_masked_is_missing():
    losses = np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    np.testing.assert_array_equal(Sweep([1, 2, 3], losses).losses, [1, np.nan, 3])
    whole = np.ma.masked_array([1, 2, 3], mask=[0, 1, 0])
    with pytest.raises(ValueError, match=r"`lrs\[1\]` must be finite, got NaN"):
        Sweep(whole, [1, 2, 3])


def test_sweeps_that_pool_none_themselves_are_pooled():
    pooled = Sweep.pool([Sweep([1], [1]), Sweep([1], [2])])
    with pytest.raises(ValueError, match=r"`sweeps\[1\]` is pooled itself: pool its `parts`"):
        Sweep.pool([Sweep([1], [1]), pooled])
    with pytest.raises(ValueError, match=r"`parts\[0\]` is pooled itself"):
        Sweep([1], [1], parts=[pooled])
    for given in (None, pooled, 3):
        with pytest.raises(TypeError, match="`sweeps` must be a list of sweeps, got"):
            Sweep.pool(given)


def test_more_iterations_than_a_float_counts_are_refused():
    with pytest.raises(ValueError, match=r"`num_it` must be at most 2\^53, got"):
        Sweep([1], [1], num_it=2**53 + 1)
    assert Sweep([1], [1], num_it=2**53).suggest().status == "none"


def test_suggestions_are_suggestions():
    with pytest.raises(TypeError, match=r"`suggestions\['a'\]` must be a Suggestion, got 1"):
        Sweep([1], [1]).with_suggestions({"a": 1})


def test_json_with_a_number_beyond_float64_is_refused():
    text = Sweep([1.0], [2.0]).to_json().replace("2.0", "1" * 400)
    with pytest.raises(ValueError, match=r"`sweep.losses\[0\]` must be a number that float64 has"):
        Sweep.from_json(text)
    for other in (None, 3, ["{}"]):
        with pytest.raises(TypeError, match="`text` must be a string or bytes, got"):
            Sweep.from_json(other)


def test_suggestions_are_values_whose_nan_is_nan_and_whose_mapping_is_their_own():
    sweep = Sweep([1e-3, 1e-2], [1.0, 2.0])
    none = sweep.suggest()
    assert none == sweep.suggest() == pickle.loads(pickle.dumps(none))
    assert hash(none) == hash(sweep.suggest())
    assert not none != sweep.suggest()
    assert none != none._replace(lr=1.0)
    assert none != none._replace(others={"valley": 1.0})
    first, second = Suggestion(1.0, None), Suggestion(2.0, None, others={"a": 1.0})
    with pytest.raises(TypeError):
        first.others["x"] = 1
    assert first.others == {}
    assert pickle.loads(pickle.dumps(second)) == second
    assert sweep.with_suggestions({"a": first}).suggestions["a"] == first
    with pytest.raises(TypeError, match="`method` must be one of robust, valley"):
        sweep.suggest(["valley"])
