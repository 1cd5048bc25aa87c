"""The robust rule against its formula in numpy, on real sweeps, and in its promises."""

import math
import pickle

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from lehr import Sweep, _core
from lehr.suggestion import METHODS
from lehr.testing import synth_learner

NAN = math.nan


@pytest.fixture(scope="module")
def data():
    with np.load(ROOT / "benches/data/lr_bench_dev.npz") as file:
        return dict(file)


def by_formula(lrs, losses, steps=None):
    """The rule as its docstring has it, with numpy: log10 of the rate, ratio, status."""
    x, y = np.log10(lrs), np.array(losses)
    bad = np.append(~np.isfinite(y), True)
    twice = np.nonzero(bad[:-1] & bad[1:])[0]
    twice = twice[twice > np.argmin(bad)]
    stop = twice[0] if len(twice) else len(y)
    lost = x[stop] if stop < len(y) else math.inf
    x, y = x[:stop][~bad[:stop]], y[:stop][~bad[:stop]]
    n = len(y)
    density = (n - 1) / (x[-1] - x[0])
    calm = y.copy()
    calm[1:-1] = np.median([y[:-2], y[1:-1], y[2:]], axis=0)
    first = max(int(0.35 * n), 3)
    untouched = np.median(calm[:first])
    tail = calm[:first].max() - untouched
    sigma = 1.4826022185 / math.sqrt(2) * np.median(np.abs(np.diff(y[:first])))
    calm = np.minimum(calm, untouched + 3 * (untouched - calm.min()) + 5 * sigma)
    smooth = np.empty(n)
    for i in range(n):
        u = (x - x[i]) / 0.5
        w = np.where(np.abs(u) < 1, (1 - u**2) ** 3, 0)
        design = np.stack([np.ones(n), u], axis=1) * np.sqrt(w)[:, None]
        smooth[i] = np.linalg.lstsq(design, calm * np.sqrt(w), rcond=None)[0][0]
    error = sigma * math.sqrt(350 / 429 / (0.5 * density))
    error = max(error, np.median(np.abs(smooth[:first] - untouched)))

    spikes = x[first:][y[first:] > untouched + max(5 * sigma, 3 * tail)]
    crowds = np.split(spikes, np.nonzero(np.diff(spikes) > 0.6)[0] + 1)
    breaks = [crowd[0] for crowd in crowds if len(crowd) >= 4 * (density / 12.5) ** 0.25]
    spike = min(breaks[0] + 0.3, x[-1]) if breaks else math.inf
    within = max((x <= spike).sum(), 1)
    low = smooth[:within].argmin()
    drop = untouched - smooth[low]
    snr = drop / error if drop > 0 else 0.0

    def meet(met, level, start):
        index = start + np.argmax(met[start:])
        if not met[start:].any():
            return None
        if index == start:
            return x[index]
        (a, b), (left, right) = smooth[index - 1 : index + 1] - level, x[index - 1 : index + 1]
        return left + a / (a - b) * (right - left)

    level = untouched - 0.9 * drop
    t = meet(smooth <= level, level, 0) if drop > 0 else x[0]
    t = x[low] if t is None else t
    level = smooth[low] + max(drop, 9 * error)
    up = meet(smooth > level, level, low)
    d = min(math.inf if up is None else up, spike, lost)
    broken = not math.isinf(d)
    turned = smooth[-1] - smooth[low] > max(0.03 * drop, 9 * error)
    d = d if broken else x[-1]
    by_drop = 0.75 * min(max(d - t, 0), 2.25 if broken else 3) + 0.42
    trust = snr**4 / (snr**4 + 6**4)
    at = d - trust * by_drop - (1 - trust) * 0.9 + (0 if broken else 0.15)
    at += 0.65 * math.log10(min(max(density, 3), 100) / 12.5)
    if steps:
        at -= math.log10(steps / 170) / 3
    at = min(at, d - 0.2 if broken else x[-1])
    opened = not broken and not turned
    status = "ok"
    if opened or at < x[0] or snr < 6 or (broken and low < first):
        status = "none" if opened and snr < 6 else "weak"
    return max(at, x[0]), snr, status


def test_robust_is_its_formula_on_the_sweeps_of_real_trainings(data):
    statuses = set()
    for lrs, sweeps in (
        (data["sweep_lr"], data["sweep_loss"].reshape(-1, 100)[::2]),
        (data["long_lr"], data["long_loss"].reshape(-1, 400)[::3]),
    ):
        for losses in sweeps:
            for steps in (None, 3000):
                at, snr, expected = by_formula(lrs, losses, steps)
                lr, _, _, status, reason, ratio = _core.robust(lrs, losses, steps)
                assert ratio == pytest.approx(snr, rel=1e-6)
                statuses.add(status)
                assert status == expected
                assert (reason == "") == (status == "ok")
                assert math.isnan(lr) == (status == "none")
                if status != "none":
                    assert math.log10(lr) == pytest.approx(at, abs=1e-6)
    assert {"ok", "weak"} <= statuses


def curve(n=100, drop=1.0, noise=0.02, seed=0):
    """A loss that falls around 1e-3 and breaks away at 1e-1; its rates."""
    lrs = 1e-7 * 1e8 ** (np.arange(n) / n)
    x = np.log10(lrs)
    fallen = drop / (1 + np.exp(-4 * (x + 3)))
    broken = np.exp(np.minimum(6 * (x + 1), 30))
    noise = noise * np.random.default_rng(seed).standard_normal(n)
    return lrs, 2 - fallen + broken + noise


def robust(lrs, losses, *args):
    return _core.robust(lrs, losses, *args)


def test_a_plain_curve_is_read_between_its_drop_and_its_break():
    lr, (low, high), loss, status, reason, snr = robust(*curve())
    assert 1e-3 < lr < 1e-1
    assert low < lr < high
    assert (status, reason) == ("ok", "")
    assert 1.0 < loss < 2.0
    assert snr > 20


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.integers(0, 20))
def test_scale_and_shift_of_the_loss_change_nothing(scale, shift, seed):
    lrs, losses = curve(seed=seed)
    expected = robust(lrs, losses)
    got = robust(lrs, scale * (losses + shift))
    assert got[0] == pytest.approx(expected[0], rel=1e-6)
    assert got[3:5] == expected[3:5]
    assert got[5] == pytest.approx(expected[5], rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_spikes_isolated_nans_and_a_high_first_point_do_no_harm(seed):
    lrs, losses = curve(seed=seed)
    expected = robust(lrs, losses)[0]
    harmed = losses.copy()
    harmed[0] = 50.0
    harmed[[15, 33, 58]] = NAN
    harmed[45] += 1e6
    assert abs(math.log10(robust(lrs, harmed)[0] / expected)) < 0.1
    harmed[-3:] = NAN
    assert abs(math.log10(robust(lrs, harmed)[0] / expected)) < 0.1


@pytest.mark.parametrize("seed", range(10))
def test_a_sweep_that_was_stopped_while_it_breaks_away_is_ok(seed):
    lrs, losses = curve(seed=seed)
    expected = robust(lrs, losses)[0]
    cut = lrs < 10**-1.15
    lr, _, _, status, reason, _ = robust(lrs[cut], losses[cut])
    assert (status, reason) == ("ok", "")
    assert abs(math.log10(lr / expected)) < 0.5


@pytest.mark.parametrize("ending", [[NAN, NAN], [math.inf], [NAN, math.inf, 1.0, 1.0]])
@pytest.mark.parametrize("at", [-2.3, -2.0, -1.7])
def test_a_loss_that_is_no_longer_finite_is_a_break(ending, at):
    lrs, losses = curve()
    cut = int((lrs < 10**at).sum())
    losses = np.append(losses[:cut], ending)
    lr, (_, high), _, status, reason, _ = robust(lrs[: len(losses)], losses)
    assert (status, reason) == ("ok", "")
    assert lr <= high <= lrs[cut]
    assert lr < lrs[cut] * 10**-0.2


def test_losses_that_are_not_finite_at_the_start_are_passed_over():
    lrs, losses = curve()
    expected = robust(lrs[5:], losses[5:])
    losses[:5] = NAN
    assert robust(lrs, losses) == expected


@pytest.mark.parametrize("rising", [lambda x: 1 + 10**x, lambda x: x, lambda x: np.exp(x)])
def test_a_loss_that_only_rises_is_weak(rising):
    lrs = curve()[0]
    for scale in (0.0, 0.05):
        losses = rising(np.log10(lrs)) + scale * np.random.default_rng(0).standard_normal(100)
        lr, _, _, status, reason, _ = robust(lrs, losses)
        assert status == "weak"
        assert reason
        assert lr >= lrs[0]


def test_a_dense_curve_is_never_answered_at_its_break_or_above():
    for n in (100, 400, 1000, 4000, 10_000, 100_000):
        lrs = np.geomspace(1e-7, 10, n)
        losses = 2.3 - 1.5 / (1 + (0.05 / lrs) ** 2) + np.where(lrs > 0.1, lrs**3, 0)
        losses += 0.02 * np.random.default_rng(n).standard_normal(n)
        lr, (_, high), _, status, _, _ = robust(lrs, losses)
        assert status == "ok"
        # The loss is at its start again at a rate of 1.13.
        assert lr < 1.13 * 10**-0.15
        assert high < 1.13 * 10**0.1


def test_a_few_spikes_anywhere_hardly_ever_move_a_suggestion(data):
    moved = asked = 0
    random = np.random.default_rng(0)
    for lrs, sweeps, factor in (
        (data["sweep_lr"], data["sweep_loss"][:, 0], 10.0),
        (data["sweep_lr"], data["sweep_loss"][:, 1], 1e6),
        (data["long_lr"], data["long_loss"][:, 0], 10.0),
    ):
        for losses in sweeps:
            expected = robust(lrs, losses)
            if expected[3] != "ok":
                continue
            for count in (2, 3, 4):
                harmed = np.array(losses)
                harmed[random.choice(len(lrs) * 6 // 10, count, replace=False)] *= factor
                got = robust(lrs, harmed)
                asked += 1
                moved += got[3] == "ok" and abs(math.log10(got[0] / expected[0])) > 0.3
    assert asked > 300
    assert moved <= 0.02 * asked


@pytest.mark.parametrize("seed", range(10))
def test_a_sweep_that_ends_before_it_breaks_away_is_weak_and_stays_in_range(seed):
    lrs, losses = curve(seed=seed)
    expected = robust(lrs, losses)[0]
    cut = lrs < 10**-1.7
    lr, (low, high), _, status, reason, _ = robust(lrs[cut], losses[cut])
    assert status == "weak"
    assert "never breaks away" in reason
    assert abs(math.log10(lr / expected)) < 0.5
    assert lrs[0] <= low <= lr <= high <= lrs[cut][-1]


def correlated(random):
    """An autoregression with a coefficient of .9."""
    values = random.standard_normal(100)
    for i in range(1, 100):
        values[i] += 0.9 * values[i - 1]
    return values


@pytest.mark.parametrize(
    ("draw", "none", "ok"),
    [
        (lambda random: random.standard_normal(100), 0.9, 0.02),
        (lambda random: random.exponential(size=100), 0.85, 0.02),
        (lambda random: random.standard_t(2, size=100), 0.85, 0.04),
        (lambda random: random.lognormal(size=100), 0.8, 0.02),
        (correlated, 0.55, 0.15),
        (lambda random: random.standard_normal(100).cumsum(), 0.35, 0.1),
    ],
    ids=["normal", "exponential", "t2", "lognormal", "correlated", "random walk"],
)
def test_noise_alone_is_none_most_often_and_hardly_ever_ok(draw, none, ok):
    statuses = []
    for seed in range(1000):
        random = np.random.default_rng(seed)
        answer = robust(curve()[0], 2 + draw(random) * 10.0 ** random.integers(-3, 3))
        statuses.append(answer[3])
        assert math.isnan(answer[0]) == (answer[3] == "none")
    assert statuses.count("none") >= none * 1000
    assert statuses.count("ok") <= ok * 1000


@given(
    st.lists(st.one_of(st.floats(-1e300, 1e300), st.just(NAN), st.just(math.inf)), min_size=1,
             max_size=80),
    st.lists(st.floats(0, 0.5), min_size=80, max_size=80),
    st.one_of(st.none(), st.integers(1, 10**9)),
)  # fmt: skip
def test_any_curve_has_an_answer_in_its_range(losses, gaps, steps):
    lrs = 1e-6 * 10 ** np.cumsum(gaps)[: len(losses)]
    lr, (low, high), _, status, reason, _ = robust(lrs, losses, steps)
    if status == "none":
        assert math.isnan(lr)
        assert reason
    else:
        assert lrs[0] <= low <= lr <= high <= lrs[-1]


def test_sweeps_of_100_and_of_400_iterations_agree(data):
    apart = []
    for short, long in zip(data["sweep_loss"], data["long_loss"], strict=True):
        logs = [
            np.nanmedian([math.log10(robust(lrs, losses)[0]) for losses in sweeps])
            for lrs, sweeps in ((data["sweep_lr"], short), (data["long_lr"], long))
        ]
        apart.append(abs(logs[0] - logs[1]))
    assert np.median(apart) <= 0.2


def test_longer_trainings_get_lower_rates():
    lrs, losses = curve()
    rates = [robust(lrs, losses, steps)[0] for steps in (100, 170, 1000, 10**4)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(robust(lrs, losses)[0], rel=1e-12)
    assert rates[2] / rates[1] == pytest.approx((170 / 1000) ** (1 / 3), rel=1e-9)


def test_many_points_a_decade_are_read_like_few():
    few, many, more, most = (robust(*curve(n, noise=0.0)) for n in (200, 800, 4000, 40_000))
    assert few[3] == many[3] == more[3] == most[3] == "ok"
    # The rate goes with the 0.65th power of the number of iterations a decade, up to 100, and
    # nothing else changes.
    assert many[0] / few[0] == pytest.approx(4**0.65, rel=0.02)
    assert more[0] == pytest.approx(many[0], rel=0.02)
    assert most[0] == pytest.approx(more[0], rel=0.001)


def test_the_smooth_curve_is_nan_where_points_are_left_out():
    lrs, losses = curve()
    losses[[20, 90, 91, 95]] = NAN
    smooth = _core.smooth_local(lrs, losses)
    assert np.nonzero(np.isnan(smooth))[0].tolist() == [20, *range(90, 100)]
    kept = [k for k in range(60) if k != 20]
    assert np.abs(smooth - losses)[kept].max() < 0.1
    assert np.isnan(_core.smooth_local(lrs[:5], losses[:5])).all()
    pickle.dumps(smooth)


@pytest.mark.parametrize(
    ("lrs", "losses", "steps", "error", "message"),
    [
        ([1, 2], [1], None, ValueError, "same length, got 2 and 1"),
        ([], [], None, ValueError, "at least one point"),
        ([1, 0], [1, 1], None, ValueError, r"`lrs\[1\]` must be above 0"),
        ([1, NAN], [1, 1], None, ValueError, r"`lrs\[1\]` must be finite, got NaN"),
        ([2, 1], [1, 1], None, ValueError, "`lrs` must not fall, got 2.0 and then 1.0 at 1"),
        ([1, 2], [1, 1], 0, ValueError, "`steps` must be a number of at least 1, got 0"),
        ([1, 2], [1, 1], "many", TypeError, "`steps` must be a number"),
    ],
)
def test_wrong_arguments_are_told_by_name(lrs, losses, steps, error, message):
    with pytest.raises(error, match=message):
        robust(lrs, losses, steps)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"reach": -1}, r"`reach` must be from 0.001 to 100, got -1.0"),
        ({"start": 2}, "`start` must be from 0 to 1, got 2.0"),
        ({"mix": NAN}, "must be finite, got NaN"),
    ],
)
def test_constants_out_of_range_are_refused(constants, message):
    with pytest.raises(ValueError, match=message):
        robust_by(constants)


def test_the_last_rate_is_never_gone_beyond():
    lrs, losses = curve()
    for steps in (1, 10**9):
        lr, (low, high), *_ = robust(lrs, losses, steps)
        assert lrs[0] <= low <= lr <= high <= lrs[-1]
    low = lrs > 10**-2.5
    lr, _, _, status, reason, _ = robust(lrs[low], losses[low], 10**30)
    assert lr == lrs[low][0]
    assert status == "weak"
    assert "below the rates of the sweep" in reason
    assert robust(lrs, losses, 10**30)[0] == robust(lrs, losses, 10**5)[0]


def robust_by(constants):
    return _core.robust([1, 2], [1, 1], **constants)


def test_an_unknown_constant_is_refused():
    with pytest.raises(TypeError, match="no constant `bandwidth`"):
        _core.robust([1, 2], [1, 1], bandwidth=1)


def test_a_sweep_asks_the_rule_and_shows_what_others_say():
    lrs, losses = curve()
    sweep = Sweep(lrs, losses)
    found = sweep.suggest()
    lr, interval, loss, status, reason, snr = robust(lrs, losses)
    assert (found.lr, found.interval, found.point) == (lr, interval, (lr, loss))
    assert (found.status, found.reason, found.snr, found.method) == (status, reason, snr, "robust")
    others = {name: sweep.suggest(name).lr for name in METHODS if name != "robust"}
    assert found.others == others
    apart = np.abs(np.log10(np.array(list(others.values())) / lr))
    assert found.agreement == pytest.approx(np.nanmedian(apart), rel=1e-9)
    assert sweep.suggest(steps=3000).lr == robust(lrs, losses, 3000)[0]
    assert np.array_equal(sweep.smooth(), _core.smooth_local(lrs, losses), equal_nan=True)
    assert Sweep.from_json(sweep.with_suggestions({"r": found}).to_json()).suggestions["r"] == found


@pytest.mark.parametrize(
    ("sweep", "reason"),
    [
        (Sweep([], []), "the sweep has no points"),
        (Sweep(*curve(), hyper="weight_decay"), "this is a sweep of `weight_decay`"),
        (Sweep([0.0, 1.0], [2.0, 1.0]), r"`lrs[0]` must be above 0"),
        (Sweep([2.0, 1.0], [2.0, 1.0]), "`lrs` must not fall"),
        (Sweep(curve()[0], [NAN] * 100), "it needs 10 finite losses and has 0"),
        (Sweep(curve()[0], [2.0] * 100), "it is all noise"),
    ],
)
def test_where_there_is_nothing_to_say_the_reason_is_told(sweep, reason):
    found = sweep.suggest("robust")
    assert (found.status, found.point, found.interval) == ("none", None, None)
    assert math.isnan(found.lr)
    assert reason in found.reason


def test_it_can_be_asked_for_by_name_after_a_sweep():
    learn = synth_learner()
    with learn.no_logging():
        rates = learn.lr_find(suggest_funcs=["valley", "robust"], show_plot=False)
    found = learn.recorder.sweep.suggestions["robust"]
    assert rates.robust == found.lr == learn.recorder.sweep.suggest().lr
    assert rates._fields == ("valley", "robust")
