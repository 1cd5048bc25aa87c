"""The presets against their formulas in numpy and mpmath, and their lengths in a run."""

import pickle

import lehr
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import positions

mpmath.mp.dps = 60
rates = st.floats(1e-6, 10)
shares = st.floats(0.01, 0.99)


def near(got, expected, scale=1.0):
    return abs(got - float(expected)) <= 1e-14 * max(abs(float(expected)), scale)


def half_cosine(start, end, p):
    return end + (start - end) * (1 + mpmath.cos(mpmath.pi * p)) / 2


def ramp(shape, start, end, p):
    if shape == "linear":
        return start + (end - start) * p
    if shape == "cosine":
        return half_cosine(start, end, p)
    return start * (end / start) ** p


@given(
    rates,
    shares,
    st.floats(0.01, 1),
    st.sampled_from(["linear", "cosine", "exponential"]),
    positions,
)
def test_warmup_goes_up_to_the_first_value_and_then_runs_the_whole_schedule(
    peak, w, start, shape, pos
):
    f = lehr.warmup(lehr.SchedCos(peak, 0), w, start_factor=start, shape=shape)
    p = mpmath.mpf(pos)
    expected = (
        ramp(shape, mpmath.mpf(start) * peak, mpmath.mpf(peak), p / w)
        if pos < w
        else half_cosine(peak, 0, (p - w) / (1 - mpmath.mpf(w)))
    )
    assert near(f(pos), expected, peak)
    assert f(0) == pytest.approx(start * peak)
    assert f(w) == peak


def test_warmup_from_zero_of_a_combined_schedule_with_groups():
    f = lehr.warmup(lehr.combined_cos(0.5, [1, 2], [3, 4], 0), 0.2)
    assert f(0).tolist() == [0, 0]
    assert f(0.2).tolist() == [1, 2]
    assert f(0.6) == pytest.approx([3, 4])


@given(
    rates,
    st.floats(0.01, 0.5),
    st.sampled_from(["linear", "cosine"]),
    st.sampled_from([2, 3]),
    positions,
)
def test_one_cycle_goes_through_its_levels(peak, pct, shape, phases, pos):
    f = lehr.one_cycle(peak, pct=pct, div=10, final_div=100, phases=phases, shape=shape)
    momentum = lehr.one_cycle_momentum(0.95, 0.85, pct=pct, phases=phases, shape=shape)
    edges = [0, pct, 1] if phases == 2 else [0, pct, 2 * mpmath.mpf(pct), 1]
    low, end = mpmath.mpf(peak) / 10, mpmath.mpf(peak) / 1000
    levels = [low, peak, end] if phases == 2 else [low, peak, low, end]
    others = [0.95, 0.85, 0.95, 0.95][: phases + 1]
    i = max(i for i in range(phases) if pos >= edges[i] or i == 0)
    width = edges[i + 1] - edges[i]
    p = (mpmath.mpf(pos) - edges[i]) / width if width else 1
    assert near(f(pos), ramp(shape, levels[i], levels[i + 1], p), peak)
    assert near(momentum(pos), ramp(shape, others[i], others[i + 1], p))


def test_one_cycle_with_two_phases_is_the_combined_cos_of_the_page():
    assert lehr.one_cycle(1e-3, pct=0.25) == lehr.combined_cos(0.25, 4e-5, 1e-3, 4e-9)


@given(rates, st.integers(1, 6), st.floats(0.6, 2.5), st.floats(0.3, 1), positions)
def test_sgdr_runs_cosines_of_growing_length_and_falling_peaks(peak, cycles, mult, decay, pos):
    f = lehr.sgdr(peak, end=0.0, cycles=cycles, mult=mult, decay=decay)
    lengths = [mpmath.mpf(mult) ** i for i in range(cycles)]
    begins = [sum(lengths[:i]) / sum(lengths) for i in range(cycles + 1)]
    i = max(i for i in range(cycles) if pos >= begins[i] - 1e-12)
    p = max(0, (pos - begins[i]) / (begins[i + 1] - begins[i]))
    assert near(f(pos), half_cosine(peak * mpmath.mpf(decay) ** i, 0, p), peak * 10)


def test_sgdr_from_a_first_length_is_cut_off_by_the_end():
    f = lehr.sgdr(1.0, first=0.3, mult=2)
    assert f(0.3) == 1
    assert f(0.3 - 1e-9) == pytest.approx(0, abs=1e-12)
    assert f(0.6) == pytest.approx(0.5)
    assert f(1) == pytest.approx(half_cosine(1, 0, 0.1 / 1.2))
    # Ten tenths fill a training, though their sum in float64 does not.
    assert lehr.sgdr(1.0, first=0.1).boundaries == lehr.sgdr(1.0, cycles=10).boundaries
    assert lehr.sgdr(1.0, first=0.1)(1) == 0


DECAYS = {
    "linear": lambda s, e, p: s + (e - s) * p,
    "cosine": half_cosine,
    "1-sqrt": lambda s, e, p: s + (e - s) * mpmath.sqrt(p),
    "power": lambda s, e, p: e + (s - e) * (1 - p) ** 1.7,
    "exponential": lambda s, e, p: s * (e / s) ** p,
}


@given(
    rates,
    st.floats(0.01, 0.4),
    st.floats(0.01, 0.4),
    st.sampled_from(["constant", "rsqrt"]),
    st.sampled_from([None, 0.05, 0.5]),
    st.sampled_from(list(DECAYS)),
    positions,
)
def test_wsd_warms_up_stays_and_decays(peak, warm, decay, stable, timescale, shape, pos):
    f = lehr.wsd(
        peak, warmup=warm, decay=decay, start_factor=0.1, end=peak / 50, stable=stable,
        timescale=timescale, decay_shape=shape, power=1.7,
    )  # fmt: skip
    p, w, d = map(mpmath.mpf, (pos, warm, decay))
    scale = w if timescale is None else timescale

    def level(pos):
        return peak if stable == "constant" else peak * mpmath.sqrt(scale / (scale + pos - w))

    if p < w:
        expected = ramp("linear", peak * mpmath.mpf(0.1), peak, p / w)
    elif p < 1 - d:
        expected = level(p)
    else:
        expected = DECAYS[shape](level(1 - d), mpmath.mpf(peak) / 50, (p - 1 + d) / d)
    # 1 - sqrt(p) is steep where it begins: there an ulp of the boundary is seen.
    tolerance = 1e-7 if shape == "1-sqrt" and 0 <= p - 1 + d < 1e-9 else 1e-13
    assert abs(f(pos) - float(expected)) <= tolerance * peak
    assert f(1) == pytest.approx(peak / 50)


@given(rates, st.floats(0.01, 0.9), positions)
def test_inverse_sqrt_is_that_of_the_transformer(peak, warm, pos):
    f = lehr.inverse_sqrt(peak, warmup=warm)
    p, w = mpmath.mpf(pos), mpmath.mpf(warm)
    assert near(f(pos), peak * (p / w if p < w else mpmath.sqrt(w / p)), peak)


def test_multistep_multiplies_at_every_milestone():
    f = lehr.multistep([1.0, 2.0], [0.25, 0.5, 0.5], 0.5)
    assert f([0, 0.2499, 0.25, 0.499, 0.5, 1])[:, 0].tolist() == [1, 1, 0.5, 0.5, 0.125, 0.125]
    assert f(0.5).tolist() == [0.125, 0.25]
    assert lehr.multistep(3, []) == lehr.SchedNo(3, 3)


@given(
    st.floats(0.3, 20), st.floats(0.05, 0.95),
    st.sampled_from(["triangular", "triangular2", "exp_range"]), positions,
)  # fmt: skip
def test_cyclic_rises_and_falls_in_lines(cycles, up, mode, pos):
    f = lehr.cyclic(0.1, 1.1, cycles=cycles, up=up, mode=mode, gamma=0.2)
    done = mpmath.mpf(pos) * cycles
    run = mpmath.floor(done)
    p = done - run
    wave = p / up if p <= up else (1 - p) / (1 - mpmath.mpf(up))
    height = {
        "triangular": 1,
        "triangular2": mpmath.mpf(0.5) ** run,
        "exp_range": mpmath.mpf(0.2) ** pos,
    }
    assert abs(f(pos) - float(0.1 + wave * height[mode])) <= 1e-12 * cycles / min(up, 1 - up)


def test_cyclic_by_its_period_is_that_by_its_number():
    assert lehr.cyclic(0, 1, period=0.1) == lehr.cyclic(0, 1, cycles=10)
    assert lehr.cyclic(0, 1, period=0.4)(1) == pytest.approx(1)


@given(rates, rates, st.floats(0.3, 5), positions)
def test_polynomial_has_both_conventions(start, end, power, pos):
    p, power_ = mpmath.mpf(pos), mpmath.mpf(power)
    remaining = end + (mpmath.mpf(start) - end) * (1 - p) ** power_
    done = start + (mpmath.mpf(end) - start) * p**power_
    assert near(lehr.polynomial(start, end, power)(pos), remaining, max(start, end))
    assert near(lehr.polynomial(start, end, power, of="done")(pos), done, max(start, end))


@given(st.lists(st.tuples(positions, rates), min_size=1, max_size=6), positions)
def test_piecewise_is_numpys_interpolation(points, pos):
    points = sorted(dict(points).items())
    xs, ys = zip(*points, strict=True)
    gaps = np.diff(xs)
    if (gaps > 1e-6).all():
        tolerance = 1e-9 if min(abs(pos - x) for x in xs) < 1e-11 else 1e-13
        scale = max(ys) / (gaps.min() if len(gaps) else 1)
        assert abs(lehr.piecewise(points)(pos) - np.interp(pos, xs, ys)) <= tolerance * scale


def test_piecewise_jumps_where_two_points_share_a_position():
    f = lehr.piecewise([(0, 1), (0.5, 2), (0.5, 5), (1, 5)], shape="cosine")
    assert f([0, 0.25, 0.5, 0.75, 1]).tolist() == [1, 1.5, 5, 5, 5]


@given(rates, st.floats(0.3, 4), st.sampled_from(["linear", "cosine"]), positions)
def test_k_decay_is_a_decay_over_a_power_of_the_position(start, k, shape, pos):
    expected = ramp(shape, start, mpmath.mpf(0.001), mpmath.mpf(pos) ** mpmath.mpf(k))
    assert near(lehr.k_decay(start, 0.001, k, shape=shape)(pos), expected, start)


def test_flat_cos_is_flat_and_then_a_cosine():
    f = lehr.flat_cos([1.0, 2.0], end=0.5, flat=0.6)
    assert f(0.6).tolist() == [1, 2]
    assert f(0.8) == pytest.approx([0.75, 1.25])
    assert f(1).tolist() == [0.5, 0.5]


# Lengths.

SPECS = [
    lehr.warmup(lehr.SchedCos(1, 0), "5 steps"),
    lehr.one_cycle([1, 2], pct="10%"),
    lehr.one_cycle_momentum(pct="1 epoch"),
    lehr.flat_cos(1, flat="30 steps"),
    lehr.sgdr(1, first="1 epoch", mult=1.5),
    lehr.wsd(1, warmup="5 steps", decay="20%"),
    lehr.inverse_sqrt(1, warmup="5 steps", timescale="8e3 tokens"),
    lehr.multistep(1, ["1 epoch", 0.5]),
    lehr.cyclic(0, 1, period="4 steps"),
    lehr.piecewise([(0, 0), ("5 steps", 1), (1, 0)]),
    lehr.warmup(lehr.multistep(1, ["1 epoch"]), 0.2),
    lehr.inverse_sqrt(1, warmup="5 steps"),
    lehr.wsd(1, warmup="5 steps", decay=0.5, stable="rsqrt", decay_shape="exponential", end=0.1),
    lehr.warmup(lehr.SchedLin([1, 2], 0), "5 steps", start_factor=0.1, shape="exponential"),
    lehr.cyclic(0, 1, period="3 steps", mode="exp_range", gamma=0.5),
    lehr.multistep(1, [0.5, "35 steps", 0.9]),
]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_a_spec_is_a_value(spec):
    assert isinstance(spec, lehr.PresetSpec)
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert hash(again) == hash(spec)
    assert eval(repr(spec), vars(lehr)) == spec
    assert spec != SPECS[SPECS.index(spec) - 1]


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_a_scheduler_resolves_a_spec_as_resolve_does(spec):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(()))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    run = {"steps_per_epoch": 20, "tokens_per_step": 1e3}
    scheduler = lehr.Scheduler(optimizer, {"lr": spec}, steps=40, **run)
    expected = spec.resolve(40, **run).values(40)
    for k in range(40):
        found = [group["lr"] for group in optimizer.param_groups]
        assert found == np.broadcast_to(expected[k], 2).tolist()
        optimizer.step()
        if k < 39:
            scheduler.step()


@pytest.mark.parametrize(
    ("spec", "schedule"),
    [
        (SPECS[0], lehr.warmup(lehr.SchedCos(1, 0), 5 / 40)),
        (SPECS[3], lehr.flat_cos(1, flat=0.75)),
        (SPECS[5], lehr.wsd(1, warmup=5 / 40, decay=0.2)),
        (SPECS[6], lehr.inverse_sqrt(1, warmup=5 / 40, timescale=8 / 40)),
        (SPECS[7], lehr.multistep(1, [0.5, 0.5])),
        (SPECS[8], lehr.cyclic(0, 1, cycles=10)),
        (SPECS[9], lehr.piecewise([(0, 0), (5 / 40, 1), (1, 0)])),
        # The inner epoch is counted from the end of the warmup, in the 32 steps that are left.
        (SPECS[10], lehr.warmup(lehr.multistep(1, [20 / 32]), 0.2)),
    ],
)
def test_a_resolved_spec_is_the_preset_of_its_shares(spec, schedule):
    assert spec.resolve("40 steps", steps_per_epoch=20, tokens_per_step=1e3) == schedule


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lehr.flat_cos(1, flat="soon"), ValueError, "`flat` must be a length such as"),
        (lambda: lehr.multistep(1, [0.5, "x"]), ValueError, r"`milestones\[1\]` must be a length"),
        (lambda: lehr.piecewise([("x", 1)]), ValueError, r"`points\[0\]` must be a length such as"),
        (lambda: SPECS[4].resolve(40), ValueError, '`first` is "1 epoch": that needs `steps_per_'),
        (
            lambda: SPECS[3].resolve(20),
            ValueError,
            '`flat` is "30 steps", which is more than the 20',
        ),
        (
            lambda: lehr.flat_cos(1, flat="0.1 steps").resolve(20),
            ValueError,
            '`flat` is "0.1 steps", which is less than one',
        ),
        (lambda: SPECS[3].resolve(40, interval="x"), ValueError, '`interval` must be "step" or'),
        (lambda: lehr.warmup(3, 0.1), TypeError, "`schedule` must be a schedule, got 3"),
        (lambda: lehr.warmup(lehr.SchedLin(1, 0), 1.1), ValueError, "`length` must be a share"),
        (
            lambda: lehr.warmup(lehr.SchedLin(1, 0), 0.1, start_factor=-1),
            ValueError,
            "`start_factor` .* -1",
        ),
        (
            lambda: lehr.warmup(lehr.SchedLin(1, 0), 0.1, shape="exponential"),
            ValueError,
            "`start_factor` must be above 0 for an exponential warmup, got 0.0",
        ),
        (
            lambda: lehr.warmup(lehr.SchedLin(1, 0), 0.1, shape="log"),
            ValueError,
            '`shape` must be one of "linear", "cosine", "exponential", got \'log\'',
        ),
        (lambda: lehr.one_cycle(1, phases=4), ValueError, "`phases` must be 2 or 3, got 4"),
        (lambda: lehr.one_cycle(1, pct=0.6, phases=3), ValueError, "`pct` .* 0.5 with 3 phases"),
        (lambda: lehr.one_cycle(1, div=0), ValueError, "`div` must be a finite number above 0"),
        (lambda: lehr.sgdr(1), ValueError, "either `cycles` or `first` must be given"),
        (lambda: lehr.sgdr(1, cycles=2, first=0.1), ValueError, "not both of them"),
        (lambda: lehr.sgdr(1, cycles=0), ValueError, "`cycles` must be at least 1, got 0"),
        (lambda: lehr.sgdr(1, first=0.1, mult=0.5), ValueError, "`first` and `mult` must fill"),
        (lambda: lehr.sgdr(1, cycles=2, decay=0), ValueError, "`decay` must be a finite number"),
        (lambda: lehr.wsd(1, warmup=0.6, decay=0.6), ValueError, "`warmup` and `decay` must not"),
        (
            lambda: lehr.wsd(1, stable="x"),
            ValueError,
            '`stable` must be one of "constant", "rsqrt"',
        ),
        (
            lambda: lehr.wsd(1, decay_shape="x"),
            ValueError,
            '`decay_shape` must be one of .*"1-sqrt"',
        ),
        (
            lambda: lehr.wsd(1, decay_shape="exponential"),
            ValueError,
            "`end` must be above 0 for an exp",
        ),
        (
            lambda: lehr.inverse_sqrt(1, warmup=0),
            ValueError,
            "`warmup` must be above 0 without a `time",
        ),
        (lambda: lehr.multistep(1, [0.5, 0.4]), ValueError, "`milestones` must not fall"),
        (lambda: lehr.multistep(1, [1.5]), ValueError, r"`milestones\[0\]` must be a share"),
        (lambda: lehr.multistep(1, 0.5), TypeError, "`milestones` must be a list, got 0.5"),
        (lambda: lehr.cyclic(0, 1), ValueError, "either `cycles` or `period` must be given"),
        (lambda: lehr.cyclic(0, 1, cycles=2, mode="x"), ValueError, "`mode` must be one of"),
        (lambda: lehr.cyclic(0, 1, cycles=1e9), ValueError, "`cycles` must be at most 1000000"),
        (lambda: lehr.cyclic([0, 1], [1, 2, 3], cycles=2), ValueError, "groups must agree"),
        (lambda: lehr.polynomial(1, of="x"), ValueError, '`of` must be "remaining" or "done"'),
        (lambda: lehr.piecewise([]), ValueError, "`points` must hold at least one point"),
        (lambda: lehr.piecewise([(0.5, 1), (0.2, 1)]), ValueError, "`points` must not fall"),
        (lambda: lehr.piecewise([1, 2]), TypeError, "`points` must be a list of pairs"),
        (lambda: lehr.k_decay(1, k=0), ValueError, "`k` must be a finite number above 0"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_lengths_in_percent_fill_a_run_of_any_length():
    for steps in range(4, 300):
        f = lehr.wsd(1.0, warmup="50%", decay="50%").resolve(steps)
        assert f.boundaries == (0, round(steps / 2 + 1e-9) / steps, 1)
        lehr.wsd(1.0, warmup="10%", decay="90%").resolve(max(steps, 10))
        lehr.one_cycle(1.0, pct="50%", phases=3).resolve(steps)
    with pytest.raises(ValueError, match="`warmup` and `decay` must not be more"):
        lehr.wsd(1.0, warmup="60%", decay="60%").resolve(100)


@pytest.mark.parametrize(
    "value",
    [np.float64(1e-3), np.array(1e-3), torch.tensor(1e-3, dtype=torch.float64), 1e-3],
    ids=type,
)
def test_a_spec_of_any_kind_of_number_is_a_value(value):
    spec = lehr.flat_cos(value, flat="10%")
    assert spec == lehr.flat_cos(1e-3, flat="10%")
    assert hash(spec) == hash(lehr.flat_cos(1e-3, flat="10%"))


def test_a_spec_keeps_no_array_that_may_change():
    peaks = [1.0, 2.0]
    spec = lehr.wsd(peaks, warmup="10%", end=np.array([0.0, 1.0]))
    peaks[0] = 5.0
    assert spec == lehr.wsd([1.0, 2.0], warmup="10%", end=[0.0, 1.0])
    assert eval(repr(spec), vars(lehr)) == spec
    points = lehr.piecewise([("10%", np.array([1.0, 2.0])), (1, [2, 3])])
    assert hash(points) == hash(lehr.piecewise([("10%", [1, 2]), (1, [2, 3])]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lehr.warmup(lehr.SchedCos(1, 0), "10%", shape="x"), ValueError, "`shape` must be"),
        (lambda: lehr.one_cycle("abc", pct="10%"), TypeError, "`peak` must be a number"),
        (lambda: lehr.warmup("abc", "10%"), TypeError, "`schedule` must be a schedule"),
        (lambda: lehr.one_cycle(1, pct="10%", phases=7), ValueError, "`phases` must be 2 or 3"),
        (lambda: lehr.sgdr(1, first="3 steps", cycles=2), ValueError, "either `cycles` or `first`"),
        (lambda: lehr.flat_cos(1, flat="rest"), ValueError, '`flat` cannot be "rest"'),
        (lambda: lehr.warmup(SPECS[3], 1.5), ValueError, "`length` must be a share"),
        (lambda: lehr.warmup(SPECS[3], 1.0).resolve(50), ValueError, "`length` must leave a step"),
        (lambda: lehr.piecewise([("10%",)]), TypeError, "`points` must be a list of pairs"),
        (lambda: lehr.piecewise([("10%", 1, 2)]), TypeError, "`points` must be a list of pairs"),
        (
            lambda: lehr.multistep(1, ["1 epoch", 2.0]),
            ValueError,
            r"`milestones\[1\]` must be a sh",
        ),
    ],
)
def test_a_spec_is_looked_at_when_it_is_made(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_spec_where_a_schedule_is_wanted_says_how_to_make_it_one():
    spec = SPECS[3]
    with pytest.raises(AttributeError, match="no attribute 'values': `resolve.steps.` makes"):
        spec.values(10)
    with pytest.raises(TypeError, match="give what its `resolve.steps.` returns"):
        lehr.ParamScheduler({"lr": spec})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)
    with pytest.raises(TypeError, match='for the rate that is `{"lr": schedule}`'):
        lehr.Scheduler(optimizer, spec, steps=40)
