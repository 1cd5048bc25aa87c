"""What `lehr.compat.optax` says to bad arguments, and what it does that optax's cannot."""

import numpy as np
import pytest
from lehr.compat import optax as compat

COSINE = {"init_value": 1, "decay_steps": 5, "steps": 9}
WARM = {"init_value": 0, "peak_value": 1, "warmup_steps": 3, "decay_steps": 5, "steps": 9}
CYCLE = {"transition_steps": 9, "peak_value": 1, "steps": 9}
LINE = {"init_value": 1, "end_value": 0, "transition_steps": 5, "steps": 9}
EXPONENTIAL = {"init_value": 1, "transition_steps": 5, "decay_rate": 0.5, "steps": 9}
TABLE = {"init_value": 1, "steps": 9}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cosine_decay_schedule", COSINE | {"decay_steps": 0}, "`decay_steps` .* 1, got 0"),
        ("cosine_decay_schedule", COSINE | {"exponent": 0.7}, "`exponent` .* 0.5 .*, got 0.7"),
        ("cosine_decay_schedule", COSINE | {"exponent": 0}, "`exponent` .* 0.5 .*, got 0"),
        ("cosine_decay_schedule", COSINE | {"exponent": 16.5}, "`exponent` .* 16, .*, got 16.5"),
        ("cosine_decay_schedule", COSINE | {"steps": 0}, "`steps` must be at least 1, got 0"),
        ("warmup_cosine_decay_schedule", WARM | {"warmup_steps": -1}, "`warmup_steps` .* got -1"),
        ("warmup_cosine_decay_schedule", WARM | {"decay_steps": 3}, "`decay_steps` .* 3, got 3"),
        ("cosine_onecycle_schedule", CYCLE | {"transition_steps": 0}, "`transition_steps` .* 0"),
        ("cosine_onecycle_schedule", CYCLE | {"pct_start": 1.1}, r"`pct_start` .* got 1.1"),
        ("cosine_onecycle_schedule", CYCLE | {"div_factor": 0}, "`div_factor` .* 0, got 0"),
        ("linear_onecycle_schedule", CYCLE | {"pct_final": 0.2}, "`pct_final` .* 0.3, got 0.2"),
        ("linear_onecycle_schedule", CYCLE | {"final_div_factor": -1}, "`final_div_factor` .* -1"),
        ("sgdr_schedule", {"cosine_kwargs": [], "steps": 9}, "`cosine_kwargs` .* none"),
        ("linear_schedule", LINE | {"transition_steps": -1}, "`transition_steps` .* 0, got -1"),
        ("linear_schedule", LINE | {"transition_begin": -1}, "`transition_begin` .* 0, got -1"),
        ("polynomial_schedule", LINE | {"power": 0}, "`power` .* 0"),
        ("exponential_decay", EXPONENTIAL | {"transition_steps": 0}, "`transition_steps` .* 1"),
        ("exponential_decay", EXPONENTIAL | {"decay_rate": 0}, "`decay_rate` .* above 0, got 0"),
        ("piecewise_constant_schedule", TABLE | {"boundaries_and_scales": {-1: 1}}, "got -1"),
        ("piecewise_constant_schedule", TABLE | {"boundaries_and_scales": {1: -2}}, r"\[1\]`.*-2"),
        ("warmup_constant_schedule", {**TABLE, "peak_value": 1, "warmup_steps": -1}, "got -1"),
    ],
)
def test_an_argument_out_of_its_range_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(compat, name)(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cosine_decay_schedule", COSINE | {"decay_steps": 4.5}, "`decay_steps` .* integer"),
        ("cosine_decay_schedule", COSINE | {"exponent": "2"}, "`exponent` must be a number"),
        ("cosine_onecycle_schedule", CYCLE | {"pct_start": "a"}, "`pct_start` must be a number"),
        ("exponential_decay", EXPONENTIAL | {"decay_rate": None}, "`decay_rate` must be a number"),
        ("sgdr_schedule", {"cosine_kwargs": [{"peak": 1}], "steps": 9}, "'?peak'?"),
        ("piecewise_constant_schedule", TABLE | {"boundaries_and_scales": {1.5: 1}}, "integer"),
        ("piecewise_constant_schedule", TABLE | {"boundaries_and_scales": {1: "a"}}, r"\[1\]`"),
    ],
)
def test_an_argument_of_another_type_is_named(name, arguments, message):
    with pytest.raises(TypeError, match=message):
        getattr(compat, name)(**arguments)


def test_boundaries_out_of_order_are_refused():
    parts = [compat.constant_schedule(1, steps=9)] * 3
    with pytest.raises(ValueError, match=r"`boundaries` must be in order, got \[5, 3\]"):
        compat.join_schedules(parts, [5, 3], steps=9)


def test_an_unknown_way_between_boundaries_is_refused():
    with pytest.raises(ValueError, match="`interpolate_type` .* got 'cubic'"):
        compat.piecewise_interpolate_schedule("cubic", 1, steps=9)


def test_values_of_groups_are_a_curve_for_each():
    single = [
        compat.warmup_cosine_decay_schedule(0, peak, 3, 9, peak / 10, 1.5, steps=9)
        for peak in (1, 2)
    ]
    both = compat.warmup_cosine_decay_schedule(0, [1, 2], 3, 9, [0.1, 0.2], 1.5, steps=9)
    np.testing.assert_array_equal(both.values(9), np.stack([f.values(9) for f in single], axis=1))


@pytest.mark.parametrize("values", [[1, 2], np.array([1.0, 2.0])], ids=["list", "array"])
def test_a_first_value_of_groups_scales_the_curve_of_each(values):
    one = compat.exponential_decay(1, 3, 0.5, 2, steps=9).values(9)
    both = compat.exponential_decay(values, 3, 0.5, 2, steps=9).values(9)
    np.testing.assert_allclose(both, np.outer(one, [1, 2]), rtol=1e-15)
