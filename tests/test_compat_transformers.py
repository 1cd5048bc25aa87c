"""What `lehr.compat.transformers` says to bad arguments, and facts that need no transformers."""

import pytest
from lehr.compat import transformers as compat

LINEAR = {"lr": 1, "num_warmup_steps": 2, "num_training_steps": 6}
WSD = {"lr": 1, "num_warmup_steps": 2, "num_decay_steps": 2, "num_training_steps": 6}
COSINE = "get_cosine_schedule_with_warmup"
RESTARTS = "get_cosine_with_hard_restarts_schedule_with_warmup"
POLYNOMIAL = "get_polynomial_decay_schedule_with_warmup"
MIN_LR = "get_cosine_with_min_lr_schedule_with_warmup"
WARM = "get_cosine_with_min_lr_schedule_with_warmup_lr_rate"
INVERSE = "get_inverse_sqrt_schedule"
CONSTANT = "get_constant_schedule_with_warmup"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "get_linear_schedule_with_warmup",
            LINEAR | {"num_warmup_steps": -1},
            "at least 0, got -1",
        ),
        (
            "get_linear_schedule_with_warmup",
            LINEAR | {"num_training_steps": 0},
            "at least 1, got 0",
        ),
        ("get_linear_schedule_with_warmup", LINEAR | {"steps": 0}, "`steps` .* 1, got 0"),
        (COSINE, LINEAR | {"num_cycles": -0.5}, "`num_cycles` must be at least 0, got -0.5"),
        (RESTARTS, LINEAR | {"num_cycles": 0}, "`num_cycles` must be at least 1, got 0"),
        (POLYNOMIAL, LINEAR | {"lr_end": 1}, "`lr_end` must be below `lr`, 1, got 1"),
        (POLYNOMIAL, LINEAR | {"lr": [1, 0.1], "lr_end": 0.5}, "`lr_end` .*, got 0.5"),
        (POLYNOMIAL, LINEAR | {"power": 0}, "`power` must be above 0, got 0"),
        (MIN_LR, LINEAR, "either `min_lr` or `min_lr_rate`"),
        (MIN_LR, LINEAR | {"min_lr": 0, "min_lr_rate": 0}, "either `min_lr` or `min_lr_rate`"),
        (MIN_LR, LINEAR | {"min_lr": -1}, "`min_lr` must be at least 0, got -1"),
        (MIN_LR, LINEAR | {"min_lr_rate": -1}, "`min_lr_rate` must be at least 0, got -1"),
        (WARM, LINEAR | {"min_lr": 0, "warmup_lr_rate": -1}, "`warmup_lr_rate` .* 0, got -1"),
        (INVERSE, {"lr": 1, "num_warmup_steps": 0, "timescale": 0, "steps": 2}, "`timescale` .* 0"),
        (CONSTANT, {"lr": 1, "num_warmup_steps": 0, "steps": None}, "`steps` must be given"),
        ("get_wsd_schedule", WSD | {"warmup_type": "exp"}, "`warmup_type` .* got 'exp'"),
        ("get_wsd_schedule", WSD | {"decay_type": "exp"}, "`decay_type` .* got 'exp'"),
        ("get_wsd_schedule", WSD | {"decay_type": []}, r"`decay_type` .* got \[\]"),
        ("get_wsd_schedule", WSD | {"min_lr_ratio": -1}, "`min_lr_ratio` .* 0, got -1"),
        ("get_wsd_schedule", WSD | {"num_training_steps": 3}, "`num_training_steps` .* 4, got 3"),
        (
            "get_wsd_schedule",
            WSD | {"num_training_steps": None},
            "`num_stable_steps` must be given",
        ),
        ("get_wsd_schedule", WSD | {"num_stable_steps": -1}, "`num_stable_steps` .* 0, got -1"),
    ],
)
def test_an_argument_out_of_its_range_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(compat, name)(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", "a", 2, 6), "`lr`"),
        (("linear", 1, 2.5, 6), "`num_warmup_steps` must be an integer, got 2.5"),
        (("linear", 1, 2, 6.5), "`num_training_steps` must be an integer, got 6.5"),
        (("linear", 1, 2, 6, {"num_cycles": 2}), "num_cycles"),
        (("linear", 1, 2, 6, "cycles"), "`scheduler_specific_kwargs` .* got 'cycles'"),
        (("cosine", 1, 2, 6, {"num_cycles": "2"}), "`num_cycles` must be a number"),
    ],
)
def test_an_argument_of_another_type_is_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        compat.get_scheduler(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosin", 1, 2, 6), "`name` must be one of linear, .*, got 'cosin'"),
        ((["linear"], 1, 2, 6), r"`name` must be one of linear, .*, got \['linear'\]"),
        (("linear", 1, None, 6), '`num_warmup_steps` must be given for "linear"'),
        (("linear", 1, 2), '`num_training_steps` must be given for "linear"'),
        (("inverse_sqrt", 1, None, 6), "`num_warmup_steps` must be given"),
        (("warmup_stable_decay", 1, None, 6), "`num_warmup_steps` must be given"),
        (("constant", 1), "`steps` must be given"),
    ],
)
def test_a_name_without_what_it_needs_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        compat.get_scheduler(*arguments)


@pytest.mark.parametrize("name", ["reduce_lr_on_plateau", "greedy"])
def test_a_schedule_of_a_metric_is_refused_and_the_plateau_named(name):
    with pytest.raises(ValueError, match=rf'"{name}" depends on a metric: .*lehr\.Plateau'):
        compat.get_scheduler(name, 1, 2, 6)


def test_stable_steps_count_where_those_of_the_training_are_given_too():
    more = {"num_decay_steps": 2, "num_stable_steps": 1, "decay_type": "linear"}
    f = compat.get_scheduler("warmup_stable_decay", 8, 2, 8, more)
    assert f.values(8).tolist() == [0, 4, 8, 8, 4, 0, 0, 0]
    short = compat.get_wsd_schedule(
        8, 2, num_stable_steps=1, num_decay_steps=2, decay_type="linear"
    )
    assert short.values(5).tolist() == [0, 4, 8, 8, 4]


def test_an_end_that_is_not_reached_in_the_training_is_behind_it():
    f = compat.get_linear_schedule_with_warmup(8, 2, 6)
    assert f.values(6)[-1] == pytest.approx(2, rel=1e-15)
    assert f(1) == 0


def test_groups_have_a_rate_each():
    f = compat.get_scheduler("polynomial", [8, 4], 2, 6, {"lr_end": 2}, steps=7)
    assert f.values(7)[[0, 2, 6]].tolist() == [[0, 0], [8, 4], [2, 2]]
