"""What `lehr.compat.timm` says to bad arguments, and what it does that timm's cannot."""

import json
import pickle

import lehr
import numpy as np
import pytest
from lehr.compat import timm as compat

COSINE = {"lr": 1, "t_initial": 5, "steps": 9}
STEP = {"lr": 1, "decay_t": 5, "steps": 9}
MULTISTEP = {"lr": 1, "decay_t": [2, 5], "steps": 9}
WSD = {"lr": 1, "t_initial": 8, "decay_t": 3, "steps": 9}
ALL = {
    "CosineLRScheduler": COSINE,
    "TanhLRScheduler": COSINE,
    "StepLRScheduler": STEP,
    "MultiStepLRScheduler": MULTISTEP,
    "PolyLRScheduler": COSINE,
    "WSDLRScheduler": WSD,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"warmup_t": -1}, "`warmup_t` must be at least 0, got -1"),
        ({"warmup_lr_init": -0.1}, "`warmup_lr_init` must be at least 0, got -0.1"),
        ({"noise_range_t": [3, 5]}, r"`noise_range_t` must be None, .* got \[3, 5\]"),
        ({"noise_range_t": 0}, "`noise_range_t` must be None, .* got 0"),
    ],
)
def test_an_argument_of_all_out_of_its_range_is_named(name, bad, message):
    with pytest.raises(ValueError, match=message):
        getattr(compat, name)(**(ALL[name] | bad))


@pytest.mark.parametrize("name", ["CosineLRScheduler", "TanhLRScheduler", "PolyLRScheduler"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"t_initial": 0}, "`t_initial` must be at least 1, got 0"),
        ({"lr_min": -1}, "`lr_min` must be at least 0, got -1"),
        ({"cycle_mul": 0}, "`cycle_mul` must be above 0, got 0"),
        ({"cycle_decay": -1}, "`cycle_decay` must be above 0, got -1"),
        ({"cycle_limit": -1}, "`cycle_limit` must be at least 0, got -1"),
    ],
)
def test_an_argument_of_cycles_out_of_its_range_is_named(name, bad, message):
    with pytest.raises(ValueError, match=message):
        getattr(compat, name)(**(COSINE | bad))


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("CosineLRScheduler", {"k_decay": 0}, "`k_decay` must be above 0, got 0"),
        ("TanhLRScheduler", {"lb": 3}, "`lb` must be below `ub`, .* got 3 and 3.0"),
        ("TanhLRScheduler", {"ub": 101}, "from -100 to 100, got -7.0 and 101"),
        ("StepLRScheduler", {"decay_t": 0.5}, "`decay_t` must be at least 1, got 0.5"),
        ("StepLRScheduler", {"decay_rate": -1}, "`decay_rate` must be at least 0, got -1"),
        ("MultiStepLRScheduler", {"decay_t": [-1]}, "`decay_t` must be at least 0, got -1"),
        ("MultiStepLRScheduler", {"decay_t": [5, 2]}, r"`decay_t` .* in order, got \[5, 2\]"),
        ("PolyLRScheduler", {"power": 0}, "`power` must be above 0, got 0"),
        ("WSDLRScheduler", {"t_initial": 0}, "`t_initial` must be at least 1, got 0"),
        ("WSDLRScheduler", {"decay_t": 9}, "`decay_t` must be at most `t_initial`, 8, got 9"),
        ("WSDLRScheduler", {"stable_fn": "flat"}, "`stable_fn` must be .*, got 'flat'"),
        ("WSDLRScheduler", {"stable_fn": "rsqrt"}, "`stable_timescale` must be above 0, got 0"),
        ("WSDLRScheduler", {"stable_power": 0}, "`stable_power` must be above 0, got 0"),
        ("WSDLRScheduler", {"decay_fn": "sqrt"}, "`decay_fn` must be .*, got 'sqrt'"),
        ("WSDLRScheduler", {"decay_fn": lambda x: x}, "`decay_fn` must be 1.0 at 0.0, got 0.0"),
        ("WSDLRScheduler", {"decay_fn": lambda x: 1}, "`decay_fn` must be 0.0 at 1.0, got 1"),
        ("WSDLRScheduler", {"decay_power": 0}, "`decay_power` must be above 0, got 0"),
        ("WSDLRScheduler", {"decay_ratio": 1}, "`decay_ratio` must be between 0 and 1, got 1"),
    ],
)
def test_an_argument_out_of_its_range_is_named(name, bad, message):
    with pytest.raises(ValueError, match=message):
        getattr(compat, name)(**(ALL[name] | bad))


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("CosineLRScheduler", {"t_initial": 4.5}, "`t_initial` must be an integer, got 4.5"),
        ("CosineLRScheduler", {"lr": "1"}, "`lr` must be a number, got '1'"),
        ("CosineLRScheduler", {"cycle_limit": 1.5}, "`cycle_limit` must be an integer, got 1.5"),
        ("StepLRScheduler", {"decay_t": "5"}, "`decay_t` must be a number, got '5'"),
        ("MultiStepLRScheduler", {"decay_t": [1.5]}, "`decay_t` must be an integer, got 1.5"),
        ("MultiStepLRScheduler", {"decay_t": 5}, "`decay_t` must be a list of integers, got 5"),
        ("WSDLRScheduler", {"decay_fn": [1]}, r"`decay_fn` must be .*, got \[1\]"),
        ("WSDLRScheduler", {"stable_fn": [1]}, r"`stable_fn` must be .*, got \[1\]"),
        ("WSDLRScheduler", {"decay_power": None}, "`decay_power` must be a number, got None"),
    ],
)
def test_an_argument_of_another_type_is_named(name, bad, message):
    with pytest.raises(TypeError, match=message):
        getattr(compat, name)(**(ALL[name] | bad))


@pytest.mark.parametrize("name", ALL)
def test_rates_of_groups_are_a_curve_for_each(name):
    warm = ALL[name] | {"warmup_t": 2, "warmup_lr_init": 0.1, "steps": 12}
    single = [getattr(compat, name)(**(warm | {"lr": lr})).values(12) for lr in (1, 2)]
    for rates in ([1, 2], np.array([1.0, 2.0])):
        both = getattr(compat, name)(**(warm | {"lr": rates}))
        np.testing.assert_array_equal(both.values(12), np.stack(single, axis=1))


@pytest.mark.parametrize("name", ALL)
def test_a_schedule_pickles_and_is_equal_and_goes_through_json(name):
    schedule = getattr(compat, name)(**ALL[name], warmup_t=2)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule == getattr(compat, name)(**ALL[name], warmup_t=2)
    text = schedule.to_json()
    assert json.loads(text)
    assert lehr.Schedule.from_json(text) == schedule


def test_what_counts_t_and_the_arguments_of_no_noise_change_nothing():
    plain = compat.CosineLRScheduler(**COSINE)
    same = {"t_in_epochs": False, "noise_pct": 0.1, "noise_seed": 1, "initialize": False}
    assert compat.CosineLRScheduler(**COSINE, **same) == plain


def test_one_cosine_over_the_run_is_the_shape_itself():
    assert compat.CosineLRScheduler(1, 9, lr_min=0.1, steps=9) == lehr.SchedCos(1, 0.1)


def test_a_k_decay_is_that_of_the_preset():
    assert compat.CosineLRScheduler(1, 9, k_decay=2, steps=9) == lehr.SchedCos(1, 0).warp(2)


def test_cycles_without_end_that_shrink_are_finitely_many():
    schedule = compat.CosineLRScheduler(1, 4, cycle_mul=0.5, cycle_limit=10**9, steps=20)
    assert list(schedule.values(20)[8:]) == [0] * 12


def test_a_cycle_of_more_steps_than_any_run_has_is_cut():
    schedule = compat.CosineLRScheduler(1, 1, cycle_mul=1e200, cycle_limit=5, steps=9)
    assert list(schedule.values(9)) == [1] * 9


def test_a_warmup_longer_than_the_run_is_cut():
    for name, arguments in ALL.items():
        # A tangent is led to where its curve is by then: it must not be over.
        longer = {"t_initial": 50} if name == "TanhLRScheduler" else {}
        values = getattr(compat, name)(**(arguments | longer | {"warmup_t": 20})).values(9)
        assert values[1] > 0
        np.testing.assert_allclose(values, values[1] * np.arange(9), rtol=1e-14)
