"""The suggestion rules against the reference, against numpy, and in their properties."""

import json
import math
from functools import partial

import lehr
import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from lehr import SuggestionMethod, Sweep, _core, minimum, slide, steep, valley
from lehr.testing import synth_learner

RULES = (valley, slide, minimum, steep)


@pytest.fixture(scope="module")
def golden():
    """What fastai 2.8.12 says, recorded by tests/reference/curves.py."""
    return json.loads((ROOT / "tests/data/curves.json").read_text())["curves"]


def curve_of(case):
    n = len(case["losses"])
    losses = np.array(case["losses"], dtype=np.float32).astype(float)
    return lehr.SchedExp(case["start"], case["end"])(np.arange(n) / n), losses


# float32 rates and their logarithms, in the reference.
close = partial(pytest.approx, rel=3e-6)


def same(ours, theirs):
    (lr, (x, y)), (other, *point) = ours, theirs
    return (lr, x, y) == (close(other), close(point[0]), pytest.approx(point[1], 3e-6, 2e-5))


def test_valley_is_the_reference_s_but_where_that_takes_the_last_rate(golden):
    clamped = 0
    for case in golden:
        lrs, losses = curve_of(case)
        ours = valley(lrs, losses, 100)
        if ours[0] == lrs[0] and case["valley"][0] == close(lrs[-1]) and len(lrs) > 1:
            # Row L7: one drop, then a rise; the reference's index is -1.
            assert losses[1] < losses[0]
            clamped += 1
        else:
            assert same(ours, case["valley"]), case["kind"]
    assert 10 < clamped < 60


def test_slide_is_the_reference_s_on_curves_that_span_one(golden):
    compared = 0
    for case in golden:
        lrs, losses = curve_of(case)
        ours = slide(lrs, losses, 100, **case["options"])
        if isinstance(case["slide"], list):
            assert same(ours, case["slide"]), case["kind"]
            compared += 1
        elif case["slide"]:
            # Rows L3 and L6: no answer for a curve of no more than `lr_diff` points.
            assert case["slide"] == "IndexError"
            assert len(lrs) <= case["options"]["lr_diff"]
            lr = ours[0] / case["options"]["adjust_value"]
            assert abs(lrs / lr - 1).min() < 1e-12
    assert compared >= 150


def test_minimum_is_the_reference_s(golden):
    for case in golden:
        assert same(minimum(*curve_of(case), 100), case["minimum"]), case["kind"]


def test_steep_is_the_reference_s_but_among_slopes_that_float32_cannot_tell_apart(golden):
    exact = 0
    for case in golden:
        lrs, losses = curve_of(case)
        ours = steep(lrs, losses, 100)
        if isinstance(case["steep"], str):
            assert len(lrs) == 1
        elif same(ours, case["steep"]):
            exact += 1
        else:
            slopes = slopes_of(lrs, losses)
            index = np.abs(lrs - ours[0]).argmin()
            other = np.abs(lrs - case["steep"][0]).argmin()
            assert slopes[index] == pytest.approx(slopes[other], rel=1e-4)
            assert slopes[index] <= slopes[other] + 1e-9 * abs(slopes[other])
    assert exact >= 220


# The formulas once more, in numpy.


def slopes_of(lrs, losses):
    return np.diff(losses) / np.diff(np.log(lrs))


def numpy_slide(lrs, losses, lr_diff=15, thresh=0.005, adjust_value=1.0):
    """Not for changes within rounding of the threshold."""
    gradient = np.gradient(losses)
    right, left = len(lrs) - 1, len(lrs) - 1 - lr_diff
    best = lrs[left]
    while left >= 0 and abs(gradient[right] - gradient[left]) > thresh * np.ptp(losses):
        best, right, left = lrs[left], right - 1, left - 1
    lr = best * adjust_value
    return lr, (lr, np.interp(np.log10(lr), np.log10(lrs), losses))


def seeded(count, low=2):
    rng = np.random.default_rng(5)
    for index in range(count):
        n = int(rng.integers(low, 200))
        losses = rng.normal(size=n)
        yield np.geomspace(1e-7, 10, n), np.cumsum(losses) if index % 2 else losses


def test_slide_is_its_formula_in_numpy():
    for lrs, losses in seeded(200, low=17):
        for options in (
            {},
            {"lr_diff": 3, "thresh": 0.1},
            {"adjust_value": 0.4, "thresh": 0.0},
            {"adjust_value": 7.0, "thresh": 0.02},
        ):
            (lr, point), (x, (_, y)) = (
                slide(lrs, losses, 9, **options),
                numpy_slide(lrs, losses, **options),
            )
            assert (lr, point) == (x, (x, pytest.approx(y, rel=1e-9, abs=1e-12)))


def test_steep_is_its_formula_in_numpy():
    for lrs, losses in seeded(100):
        index = slopes_of(lrs, losses).argmin()
        assert steep(lrs, losses, 9) == (lrs[index], (lrs[index], losses[index]))
        for window in (3, 5, 11):
            if len(lrs) < window:
                continue
            fits = [
                np.polyfit(np.log(lrs[i : i + window]), losses[i : i + window], 1)[0]
                for i in range(len(lrs) - window + 1)
            ]
            index = int(np.argmin(fits)) + window // 2
            assert steep(lrs, losses, 9, window)[0] == lrs[index]


def test_minimum_is_its_formula_in_numpy():
    for lrs, losses in seeded(100):
        for window in (1, 3, 9):
            if len(lrs) < window:
                continue
            means = np.convolve(losses, np.full(window, 1 / window), "valid")
            index = int(np.argmin(means)) + window // 2
            lr, point = minimum(lrs, losses, 9, window=window)
            assert (lr, point) == (lrs[index] / 10, (lrs[index], losses[index]))


# Properties.

finite = st.floats(-1e6, 1e6)
tied = st.integers(-4, 4).map(float)
losses_of = st.lists(finite, min_size=1, max_size=60) | st.lists(tied, min_size=1, max_size=60)
any_losses = st.lists(tied | st.floats(), min_size=1, max_size=60)
windows = st.sampled_from([1, 3, 7, 101])


def rates(n):
    return lehr.SchedExp(1e-7, 10)(np.arange(n) / n)


def all_rules(window=1):
    return valley, slide, partial(minimum, window=window), partial(steep, window=window)


@given(st.lists(tied, min_size=1, max_size=60), windows, st.integers(-20, 20), st.integers(-99, 99))
def test_scale_and_shift_of_the_losses_do_not_matter(losses, window, power, shift):
    """Numbers whose scaled and shifted values are exact."""
    moved = [loss * 2.0**power + shift * 2.0**power for loss in losses]
    lrs = rates(len(losses))
    for rule in all_rules(window):
        assert rule(lrs, moved, 100)[0] == rule(lrs, losses, 100)[0]


@given(losses_of, st.floats(0.1, 10))
def test_slide_answers_the_same_for_any_unit_of_the_loss(losses, unit):
    """Row L9: also where the products are rounded."""
    lrs = rates(len(losses))
    # Differences of numbers that small are rounding alone.
    losses = [round(loss, 3) for loss in losses]
    changed = [loss * unit for loss in losses]
    if is_clear(losses):
        assert slide(lrs, changed, 100)[0] == slide(lrs, losses, 100)[0]


def is_clear(losses, lr_diff=15, thresh=0.005):
    """Whether every change of the gradient is on the threshold or well away from it."""
    n = len(losses)
    if n < 2:
        return True
    lr_diff = lr_diff if n > lr_diff else min(max(n // 6, 1), n - 1)
    gradient = np.gradient(losses)
    gap = abs(abs(gradient[lr_diff:] - gradient[:-lr_diff]) / (np.ptp(losses) or 1) - thresh)
    return not ((gap > 1e-12) & (gap < 1e-6)).any()


@given(any_losses, windows)
def test_no_rule_raises_or_leaves_the_swept_range_whatever_the_losses(losses, window):
    lrs = rates(len(losses))
    for rule, scale in zip(all_rules(window), (1, 1, 10, 1), strict=True):
        lr, (x, y) = rule(lrs, losses, 100)
        assert lr in lrs / scale
        assert x in lrs
        assert type(lr) is type(x) is type(y) is float
        assert math.isfinite(y) or not np.isfinite(losses).any()


@given(any_losses, st.floats(0.01, 1))
def test_a_factor_up_to_one_stays_below_the_end_of_the_sweep(losses, factor):
    lrs = rates(len(losses))
    lr, (x, y) = slide(lrs, losses, 100, adjust_value=factor)
    assert lr == x == slide(lrs, losses, 100)[0] * factor
    assert lr <= lrs[-1]
    known = [loss for loss in losses if math.isfinite(loss)]
    if known:
        slack = 1e-12 * (abs(max(known)) + abs(min(known)))
        assert min(known) - slack <= y <= max(known) + slack


@given(any_losses, windows)
def test_points_without_a_finite_loss_take_no_part(losses, window):
    lrs = rates(len(losses))
    kept = [(lr, loss) for lr, loss in zip(lrs, losses, strict=True) if math.isfinite(loss)]
    for rule in all_rules(window)[1:]:
        if kept:
            assert rule(lrs, losses, 100) == rule(*zip(*kept, strict=True), 100)


def field_of_a_record(values):
    """Floats that lie 12 bytes apart."""
    records = np.zeros(len(values), dtype=[("value", "f8"), ("other", "i4")])
    records["value"] = values
    return records["value"]


double = partial(torch.tensor, dtype=torch.float64)


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40))
def test_every_kind_of_input_gives_the_same_answer(losses):
    lrs = rates(len(losses)).tolist()
    kinds = (
        tuple,
        np.array,
        double,
        iter,
        lambda x: np.array([x, x]).T[:, 0],
        field_of_a_record,
        lambda x: np.frombuffer(b"-" + np.array(x).tobytes(), offset=1),
        lambda x: double(x, requires_grad=True),
        lambda x: np.array(x, dtype=object),
    )
    for rule in RULES:
        expected = rule(lrs, losses, 100)
        for kind in kinds:
            assert rule(kind(lrs), kind(losses), 100) == expected
        for single in (partial(np.array, dtype=np.float32), partial(torch.tensor)):
            assert rule(lrs, single(losses), 100) == expected


@pytest.mark.parametrize("n", range(1, 23))
@pytest.mark.parametrize("rule", RULES)
def test_short_flat_falling_and_rising_curves_have_answers(rule, n):
    lrs = rates(n)
    for losses in (np.ones(n), np.arange(n), -np.arange(n), np.full(n, np.nan)):
        assert math.isfinite(rule(lrs, losses, n)[0])


def test_curves_of_constant_slope_have_their_first_point():
    lrs = rates(50)
    assert steep(lrs, np.ones(50), 50)[0] == lrs[0]
    assert steep(lrs, -np.log(lrs), 50)[0] == lrs[0]
    assert minimum(lrs, np.ones(50), 50)[0] == lrs[0] / 10


def test_windows_pass_over_noise():
    """Row L10."""
    rng = np.random.default_rng(0)
    lrs = rates(100)
    t = np.linspace(0, 1, 100)
    curve = 1 / (1 + np.exp(25 * (t - 0.5))) + np.exp(30 * (t - 0.9))
    clean = {rule: math.log10(rule(lrs, curve, 100)[0]) for rule in (steep, minimum)}

    def errors(rule, window):
        noisy = (curve + 0.1 * rng.normal(size=100) for _ in range(50))
        found = [rule(lrs, losses, 100, window)[0] for losses in noisy]
        return np.abs(np.log10(found) - clean[rule])

    for rule, times in ((steep, 3), (minimum, 1.2)):
        assert times * errors(rule, 11).mean() < errors(rule, 1).mean()


@pytest.mark.parametrize(
    ("rule", "kwargs", "error", "words"),
    [
        (slide, {"lr_diff": 0}, ValueError, "`lr_diff` must be at least 1, got 0"),
        (slide, {"lr_diff": -(10**30)}, ValueError, "`lr_diff` must be at least 1"),
        (slide, {"lr_diff": 1.5}, TypeError, "`lr_diff` must be an integer, got 1.5"),
        (slide, {"lr_diff": None}, TypeError, "`lr_diff` must be an integer, got None"),
        (slide, {"thresh": -1}, ValueError, "`thresh` must be .* at least 0, got -1.0"),
        (slide, {"thresh": math.nan}, ValueError, "`thresh` must be .*, got NaN"),
        (slide, {"thresh": "x"}, TypeError, "`thresh` must be a number, got 'x'"),
        (slide, {"adjust_value": 0}, ValueError, "`adjust_value` must be .* above 0, got 0.0"),
        (slide, {"adjust_value": math.inf}, ValueError, "`adjust_value` must be .*, got inf"),
        *(
            (rule, {"window": window}, error, words)
            for rule in (minimum, steep)
            for window, error, words in (
                (0, ValueError, "`window` must be at least 1, got 0"),
                (4, ValueError, "`window` must be an odd number of at least 1, got 4"),
                (-3, ValueError, "`window` must be at least 1, got -3"),
                (3.0, TypeError, "`window` must be an integer, got 3.0"),
            )
        ),
    ],
)
def test_wrong_options_raise_and_name_themselves(rule, kwargs, error, words):
    with pytest.raises(error, match=words):
        rule([0.1, 1.0], [2.0, 1.0], 2, **kwargs)


@pytest.mark.parametrize("rule", RULES)
def test_wrong_curves_raise(rule):
    for lrs, losses, error, words in (
        ([1, 2], [1], ValueError, "same length, got 2 and 1"),
        ([], [], ValueError, "at least one point, got none"),
        ([1, math.nan], [1, 2], ValueError, r"`lrs\[1\]` must be finite, got NaN"),
        ([1], 3.0, TypeError, "`losses` must be a one-dimensional sequence"),
        ("ab", [1, 2], TypeError, "`lrs`"),
        ([1, 2], [1, None], TypeError, r"`losses\[1\]` must be a number, got None"),
        ([[1, 2]], [1], TypeError, r"`lrs\[0\]`"),
    ):
        with pytest.raises(error, match=words):
            rule(lrs, losses, 2)
    if rule in (slide, steep):
        with pytest.raises(ValueError, match=r"`lrs\[0\]` must be above 0, .* got 0.0"):
            rule([0, 1], [2, 1], 2)
    with pytest.raises(TypeError):
        rule([1], [1])


def test_a_huge_lr_diff_is_one_that_no_curve_has():
    lrs = rates(30)
    losses = np.linspace(1, 0, 30) ** 2
    assert slide(lrs, losses, 30, lr_diff=10**30) == slide(lrs, losses, 30, lr_diff=30)


# How lr_find asks.


def test_the_members_of_suggestion_method_are_the_functions():
    assert SuggestionMethod.Valley is valley
    assert SuggestionMethod.Slide is slide
    assert SuggestionMethod.Minimum is minimum
    assert SuggestionMethod.Steep is steep


def test_rules_are_asked_by_name_by_function_and_by_member():
    learn = synth_learner()
    names = ("valley", "slide", "minimum", "steep")
    members = [getattr(SuggestionMethod, name.capitalize()) for name in names]
    by_name = learn.lr_find(show_plot=False, suggest_funcs=names)
    assert by_name._fields == names
    assert learn.lr_find(show_plot=False, suggest_funcs=RULES) == by_name
    assert learn.lr_find(show_plot=False, suggest_funcs=members) == by_name
    assert learn.lr_find(show_plot=False, suggest_funcs="steep") == (by_name.steep,)
    assert learn.lr_find(show_plot=False, suggest_funcs=iter(names)) == by_name
    assert set(learn.recorder.sweep.suggestions) == set(names)


def test_a_mapping_names_the_rules():
    learn = synth_learner()
    rules = {"wide": partial(steep, window=9), "valley": "slide", "class": valley}
    found = learn.lr_find(show_plot=False, suggest_funcs=rules)
    assert found._fields == ("wide", "valley", "suggestion")
    assert found.valley == learn.lr_find(show_plot=False, suggest_funcs="slide").slide


def test_partials_of_one_rule_get_names_of_their_own():
    learn = synth_learner()
    rules = [steep, partial(steep, window=5), "steep", partial(minimum, window=5)]
    found = learn.lr_find(show_plot=False, suggest_funcs=rules)
    assert found._fields == ("steep", "steep_2", "steep_3", "minimum")
    assert found.steep == found.steep_3


def test_an_unknown_name_is_told_the_known_ones():
    learn = synth_learner()
    known = "`suggest_funcs` must name one of robust, valley, slide, minimum, steep, "
    for rules in ("Steep", ["valley", "Steep"], {"mine": "Steep"}):
        with pytest.raises(ValueError, match=known):
            learn.lr_find(show_plot=False, suggest_funcs=rules)
    with pytest.raises(TypeError, match="functions of .* or names of rules"):
        learn.lr_find(show_plot=False, suggest_funcs=["valley", 3])
    assert learn.recorder.sweep is None


@pytest.mark.parametrize(
    "answer",
    [None, 1e-3, (1e-3,), (1e-3, 2.0), (1e-3, (1, 2, 3)), ("a", (1, 2)), (torch.ones(2), (1, 2))],
)
def test_an_answer_of_another_form_raises_names_the_rule_and_keeps_the_sweep(answer):
    def odd(lrs, losses, num_it):
        return answer

    learn = synth_learner()
    with pytest.raises(TypeError, match=r"`odd` must return \(suggestion, \(lr, loss\)\)"):
        learn.lr_find(show_plot=False, suggest_funcs=odd)
    assert len(learn.recorder.sweep) > 10


@pytest.mark.parametrize("num_it", [1, 6, 10, 16, 22, 30, 100])
def test_every_rule_suggests_from_sweeps_of_any_length(num_it):
    """Rows L3 and L6."""
    learn = synth_learner()
    found = learn.lr_find(show_plot=False, num_it=num_it, suggest_funcs=RULES)
    sweep = learn.recorder.sweep
    assert all(sweep.lrs[0] / 10 <= lr <= sweep.lrs[-1] for lr in found)


def test_two_sweeps_in_a_row_suggest_the_same():
    """Row L15: the batches are drawn and shuffled as before."""
    learn = synth_learner()
    first, second = (learn.lr_find(show_plot=False, suggest_funcs=RULES) for _ in range(2))
    assert first == second


# The methods of a sweep.


def a_sweep(n=100):
    pos = np.linspace(0, 1, n)
    losses = 1 + 2 / (1 + np.exp(12 * (pos - 0.5))) + np.exp(20 * (pos - 1))
    noise = 0.02 * np.random.default_rng(3).standard_normal(n)
    return Sweep(10 ** (8 * pos - 7), losses + noise)


def test_a_method_of_the_page_reads_what_lr_find_gives_it():
    learn = synth_learner()
    found = learn.lr_find(show_plot=False, suggest_funcs=RULES)
    sweep = learn.recorder.sweep
    for rule in RULES:
        name = rule.__name__
        said = sweep.suggest(name)
        assert said == sweep.suggestions[name]
        assert (said.lr, said.method, said.reason) == (getattr(found, name), name, "")


def test_a_method_of_another_finder_reads_the_average_that_it_stores():
    sweep = a_sweep()
    for name in ("lightning", "torch_lr_finder", "ignite"):
        lr, point = getattr(_core, name)(sweep.lrs, sweep.smooth(name))
        assert sweep.suggest(name)[:4] == (lr, point, "", name)


def test_lr_find_takes_the_names_of_all_methods():
    learn = synth_learner()
    names = ["valley", "lightning", "torch_lr_finder", "ignite"]
    found = learn.lr_find(show_plot=False, suggest_funcs=names)
    sweep = learn.recorder.sweep
    assert found == tuple(sweep.suggest(name).lr for name in names)
    named = learn.lr_find(show_plot=False, suggest_funcs={"a": "ignite", "b": valley})
    assert named._fields == ("a", "b")
    assert learn.recorder.sweep.suggestions["a"].method == "ignite"


@pytest.mark.parametrize(
    ("sweep", "method", "reason"),
    [
        (Sweep([], []), "valley", "no finite loss"),
        (Sweep([], []), "ignite", "two points before"),
        (Sweep([1, 2], [math.nan, math.inf]), "minimum", "no finite loss"),
        (Sweep([0, 1, 2], [3, 2, 1]), "steep", "must be above 0"),
        (Sweep([1, 2, 3], [3, 2, 1]), "lightning", "two finite losses"),
        (Sweep([1, 2, 3], [3, 2, 1]), "torch_lr_finder", "two points between"),
        (Sweep([1, 2, 3], [1, 2, 3]), "ignite", "two points before"),
    ],
)
def test_a_method_with_nothing_to_say_says_why(sweep, method, reason):
    found = sweep.suggest(method)
    assert math.isnan(found.lr)
    assert (found.point, found.method) == (None, method)
    assert reason in found.reason


def test_wrong_arguments_of_suggest_are_named():
    sweep = a_sweep()
    known = "`method` must be one of robust, valley, slide, .*lightning, torch_lr_finder, "
    with pytest.raises(ValueError, match=known):
        sweep.suggest("steepest")
    with pytest.raises(ValueError, match="`steps` must be at least 1, got 0"):
        sweep.suggest("valley", steps=0)
    with pytest.raises(TypeError, match="`steps` must be an integer, got 1.5"):
        sweep.suggest("valley", steps=1.5)
