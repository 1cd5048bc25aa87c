"""The layers of a Scheduler: a plateau's factor, a cooldown; and looking ahead."""

import math
import random

import numpy as np
import pytest
import torch
from lehr import (
    PhaseSpec,
    Plateau,
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    Scheduler,
    Tied,
    combined_cos,
)
from scheduler_loops import adamw, go, sgd, values
from state import plain

# Many look at what is in force behind the end.
pytestmark = pytest.mark.filterwarnings("ignore:the schedules ended after")

LINE = SchedLin(1.0, 0.0)
STILL = SchedNo(1.0, 1.0)


def with_plateau(optimizer, sched=STILL, steps=100, hypers=("lr",), **options):
    return Scheduler(optimizer, {"lr": sched}, steps, plateau=Plateau(**options, hypers=hypers))


# The plateau, beside torch's.


def random_settings(rng):
    return {
        "factor": rng.choice([0.1, 0.5, 0.7]),
        "patience": rng.randrange(4),
        "mode": rng.choice(["min", "max"]),
        "threshold": rng.choice([0.0, 1e-4, 0.1, 0.9]),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.randrange(4),
        "min_lr": rng.choice([0.0, 1e-3, 0.3]),
    }


def random_metrics(rng):
    """Return 40 metrics: noise, plateaus, negative ones, and some that are no numbers."""
    level, slope = rng.uniform(-2, 2), rng.choice([0, 0, -0.1, 0.1])
    metrics = []
    for _ in range(40):
        level += slope
        value = rng.choice([level, level + rng.gauss(0, 0.1), round(level, 1), 0.0])
        metrics.append(math.nan if rng.random() < 0.05 else value)
    return metrics


@pytest.mark.parametrize("seed", range(200))
def test_the_plateau_falls_when_torch_s_does_and_to_the_same_rate(seed):
    rng = random.Random(seed)
    settings, metrics = random_settings(rng), random_metrics(rng)
    optimizer, theirs = sgd(), sgd(lr=1.0)
    scheduler = with_plateau(optimizer, **settings)
    # Torch leaves a rate alone that would change by less than `eps`.
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **settings, eps=0.0)
    falls = 0
    for metric in metrics:
        falls += scheduler.observe(metric)
        reference.step(metric)
        assert values(optimizer, "lr") == values(theirs, "lr")
        factor, best, bad, cooling = scheduler.state_dict()["plateau"]
        assert (bad, cooling) == (reference.num_bad_epochs, reference.cooldown_counter)
        assert best == (None if math.isinf(reference.best) else reference.best)
        # It counts on where the least rate is reached.
        assert factor == math.prod([settings["factor"]] * falls)


def test_random_metrics_make_the_plateau_fall_often_and_to_its_least_rate():
    falls = least = 0
    for seed in range(200):
        rng = random.Random(seed)
        settings, metrics = random_settings(rng), random_metrics(rng)
        optimizer = sgd()
        scheduler = with_plateau(optimizer, **settings)
        falls += sum(map(scheduler.observe, metrics))
        least += settings["min_lr"] > 0 and values(optimizer, "lr") == [settings["min_lr"]]
    assert falls > 400
    assert least > 20


def test_unlike_torch_s_the_plateau_is_a_factor_over_a_schedule_that_goes_on():
    optimizer = sgd()
    scheduler = with_plateau(optimizer, LINE, 8, factor=0.5, patience=0)
    go(optimizer, scheduler, 2)
    scheduler.observe(1.0)
    assert scheduler.observe(1.0) is True
    assert values(optimizer, "lr") == [0.375]
    go(optimizer, scheduler, 2)
    assert values(optimizer, "lr") == [0.25]


def test_unlike_torch_s_the_plateau_goes_below_its_eps_and_never_raises_a_rate():
    optimizer = sgd()
    scheduler = with_plateau(optimizer, SchedNo(1e-8, 1e-8), factor=0.5, patience=0, min_lr=1e-6)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    assert values(optimizer, "lr") == [1e-8]
    lower = with_plateau(sgd(), SchedNo(1e-8, 1e-8), factor=0.5, patience=0)
    lower.observe(1.0)
    lower.observe(1.0)
    assert lower.get_last_lr() == [5e-9]


@pytest.mark.parametrize("metric", [math.inf, -math.inf, math.nan])
def test_a_metric_that_is_not_finite_is_no_improvement(metric):
    """Torch takes minus infinity as the best for ever."""
    scheduler = with_plateau(sgd(), factor=0.5, patience=0)
    assert scheduler.observe(metric)
    assert not scheduler.observe(1.0)
    assert scheduler.observe(metric)
    assert not scheduler.observe(0.5)


def test_a_first_metric_is_a_best_one_also_where_all_is_to_be_gained():
    """With a relative threshold of 1 torch compares with 0 times infinity, and always falls."""
    scheduler = with_plateau(sgd(), factor=0.5, patience=0, threshold=1.0)
    assert not scheduler.observe(1.0)
    assert scheduler.observe(0.5)
    assert not scheduler.observe(-0.5)


@pytest.mark.parametrize("metric", [1.0, 1, np.float32(1), torch.tensor(1.0), torch.ones(1)])
def test_a_metric_is_anything_that_is_a_number(metric):
    scheduler = with_plateau(sgd(), factor=0.5, patience=0)
    assert scheduler.observe(metric) is False
    assert scheduler.observe(metric) is True


@pytest.mark.parametrize("metric", [None, "high", [1.0, 2.0], {"loss": 1.0}, torch.ones(2)])
def test_what_is_no_metric_raises_and_is_not_counted(metric):
    scheduler = with_plateau(sgd(), factor=0.5, patience=0)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        scheduler.observe(metric)
    assert scheduler.state_dict()["plateau"] == [1.0, None, 0, 0]


def test_a_plateau_may_be_of_several_hyper_parameters_and_not_of_the_rate():
    optimizer = adamw()
    schedules = {"lr": STILL, "wd": SchedNo(0.5, 0.5), "mom": SchedNo(0.8, 0.8)}
    plateau = Plateau(0.5, 0, hypers=("wd", "mom"))
    scheduler = Scheduler(optimizer, schedules, 8, plateau=plateau)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1.0, 0.25, (0.4, 0.99))


def test_a_plateau_is_the_scheduler_s_own_whatever_shares_its_settings():
    plateau = Plateau(0.5, 0)
    one, other = (Scheduler(sgd(), {"lr": STILL}, 8, plateau=plateau) for _ in range(2))
    one.observe(1.0)
    one.observe(1.0)
    assert (one.get_last_lr(), other.get_last_lr()) == ([0.5], [1.0])


def test_observe_needs_a_plateau():
    with pytest.raises(ValueError, match="`observe` needs a scheduler made with `plateau="):
        Scheduler(sgd(), {"lr": STILL}, 8).observe(1.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"factor": 0}, ValueError, "`factor` must be between 0 and 1, got 0"),
        ({"factor": 1}, ValueError, "`factor` must be between 0 and 1, got 1"),
        ({"factor": math.nan}, ValueError, "`factor` must be between 0 and 1, got NaN"),
        ({"factor": "0.1"}, TypeError, "factor"),
        ({"patience": -1}, ValueError, "`patience` must be at least 0, got -1"),
        ({"patience": 1.5}, TypeError, "`patience` must be an integer, got 1.5"),
        ({"cooldown": -1}, ValueError, "`cooldown` must be at least 0, got -1"),
        ({"cooldown": None}, TypeError, "`cooldown` must be an integer, got None"),
        ({"mode": "up"}, ValueError, '`mode` must be "min" or "max", got "up"'),
        ({"threshold": -1}, ValueError, "`threshold` must be finite and at least 0, got -1"),
        ({"threshold": math.inf}, ValueError, "`threshold` must be finite and at least 0, got inf"),
        ({"threshold_mode": "log"}, ValueError, '`threshold_mode` must be "rel" or "abs"'),
        ({"min_lr": -1}, ValueError, "`min_lr` must be finite and at least 0, got -1"),
        ({"min_lr": math.nan}, ValueError, "`min_lr` must be finite and at least 0, got NaN"),
    ],
)
def test_a_plateau_of_wrong_settings_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        Plateau(**options)


# The cooldown.


@pytest.mark.parametrize(
    ("length", "steps"),
    [(4, 4), ("4 steps", 4), ("10%", 10), ("1 epoch", 25), ("12 tokens", 4)],
)
def test_a_cooldown_goes_from_the_values_in_force_to_its_end_and_stays(length, steps):
    optimizer = sgd(2)
    scheduler = Scheduler(
        optimizer, {"lr": SchedLin([1.0, 2.0], 0)}, 100, steps_per_epoch=25, tokens_per_step=3
    )
    go(optimizer, scheduler, 50)
    scheduler.cooldown(length, end=0.25)
    assert values(optimizer, "lr") == [0.5, 1.0]
    for k in range(1, steps + 3):
        go(optimizer, scheduler)
        share = min(k / steps, 1)
        wanted = [SchedLin(start, 0.25)(share) for start in (0.5, 1.0)]
        assert values(optimizer, "lr") == wanted


@pytest.mark.parametrize("shape", [SchedLin, SchedCos, SchedExp])
def test_a_cooldown_has_the_shape_it_is_given(shape):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    go(optimizer, scheduler, 4)
    scheduler.cooldown(10, 0.01, shape)
    go(optimizer, scheduler, 3)
    assert values(optimizer, "lr") == [shape(0.5, 0.01)(0.3)]


def test_other_hyper_parameters_keep_their_schedules_and_what_is_tied_follows():
    optimizer = adamw(2)
    schedules = {"lr": [STILL, LINE], "mom": SchedLin(0.9, 0.1), "wd": Tied("lr", 0.5)}
    scheduler = Scheduler(optimizer, schedules, 8)
    go(optimizer, scheduler, 2)
    scheduler.cooldown(2)
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == [0.5, 0.375]
    assert values(optimizer, "weight_decay") == [0.25, 0.1875]
    assert [betas[0] for betas in values(optimizer, "betas")] == [SchedLin(0.9, 0.1)(3 / 8)] * 2


def test_a_cooldown_begins_at_the_factored_value_and_ends_the_plateau_s_part():
    optimizer = sgd()
    scheduler = with_plateau(optimizer, factor=0.5, patience=0)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    scheduler.cooldown(2)
    assert values(optimizer, "lr") == [0.5]
    assert not any(scheduler.observe(1.0) for _ in range(5))
    go(optimizer, scheduler)
    assert values(optimizer, "lr") == [0.25]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0,), ValueError, "`steps` must be a whole number of at least 1, got 0"),
        ((1.5,), TypeError, "`steps`"),
        (("2 epochs",), ValueError, "needs `steps_per_epoch`"),
        (("soon",), ValueError, "`steps` must be a length such as"),
        (("rest",), ValueError, "`steps` must be at least 1 step"),
        ((4, -0.1), ValueError, "`lr` must be at least 0, got -0.1"),
        ((4, math.nan), ValueError, "finite"),
        ((4, "0"), TypeError, "number"),
        ((4, 0, SchedExp), ValueError, "both above 0 or both below 0, got 1.0 and 0.0"),
        ((4, 0, lambda start, end: start), TypeError, "`shape` must return a lehr.Schedule, got 1"),
        ((4, 0, None), TypeError, "not callable"),
        ((4, 0, SchedLin, "mom"), KeyError, r"own, got 'mom'; there are \['lr', 'own'\]"),
        ((4, 0, SchedLin, ("lr", "wd")), KeyError, "of their own, got 'wd'"),
        ((4, [0, 0, 0]), ValueError, "`end` must be one number, .* got a schedule of 3 values"),
    ],
)
def test_a_wrong_cooldown_is_refused_and_changes_nothing(args, error, message):
    optimizer = sgd(2)
    for group in optimizer.param_groups:
        group["own"] = 0.5
    schedules = {"lr": STILL, "own": STILL, "wd": Tied("lr", 1)}
    scheduler = Scheduler(optimizer, schedules, 8)
    go(optimizer, scheduler, 2)
    before = plain([optimizer.state_dict(), scheduler.state_dict(), scheduler.preview()])
    with pytest.raises(error, match=message):
        scheduler.cooldown(*args)
    assert plain([optimizer.state_dict(), scheduler.state_dict(), scheduler.preview()]) == before
    scheduler.cooldown(4)
    go(optimizer, scheduler, 2)
    assert values(optimizer, "lr") == [0.5, 0.5]


def test_a_second_cooldown_is_refused():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    go(optimizer, scheduler, 3)
    scheduler.cooldown(4)
    with pytest.raises(ValueError, match="a cooldown has begun at step 3"):
        scheduler.cooldown(4)


# Looking ahead.


def seen_by_stepping(optimizer, scheduler, name, key, steps):
    curve = [scheduler.last_values()[name]]
    for _ in range(steps - 1):
        go(optimizer, scheduler)
        curve.append(scheduler.last_values()[name])
        if key is not None:
            assert values(optimizer, key) == curve[-1]
    return np.array(curve)


@pytest.mark.parametrize(
    "sched",
    [
        combined_cos(0.25, 0.1, 1, 0),
        SchedLin([1, 2], 0),
        [LINE, SchedNo(2, 2)],
        {"a": LINE, "b": lambda pos: pos**2},
        PhaseSpec(["3 steps", "rest"], [LINE, STILL]),
    ],
)
def test_a_preview_is_what_stepping_gives(sched):
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": sched, "wd": Tied("lr", 0.5)}, 8)
    looked = scheduler.preview(11)
    stepped = seen_by_stepping(optimizer, scheduler, "lr", "lr", 11)
    assert np.array_equal(looked["lr"].reshape(11, -1) + np.zeros((11, 2)), stepped)
    assert np.array_equal(looked["wd"], 0.5 * looked["lr"])
    assert len(scheduler.preview()["lr"]) == 8


def test_a_preview_shows_what_is_behind_without_and_what_comes_with_the_layers():
    optimizer = sgd()
    scheduler = with_plateau(optimizer, STILL, 8, factor=0.5, patience=0)
    go(optimizer, scheduler, 3)
    scheduler.observe(1.0)
    scheduler.observe(1.0)
    assert scheduler.preview()["lr"].tolist() == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert scheduler.preview(every=2)["lr"].tolist() == [1, 1, 0.5, 0.5]
    scheduler.cooldown(2)
    assert scheduler.preview()["lr"].tolist() == [1, 1, 1, 0.5, 0.25]
    assert scheduler.preview(8, every=3)["lr"].tolist() == [1, 0.5, 0]


def test_a_preview_has_nan_where_a_group_has_no_schedule_and_the_lists_of_setters():
    optimizer = sgd(2)
    schedules = {"lr": {1: LINE}, "x": LINE, "y": SchedLin([0, 4], 0)}
    setters = {"x": lambda value: None, "y": lambda value: None}
    looked = Scheduler(optimizer, schedules, 4, setters=setters).preview()
    assert np.isnan(looked["lr"][:, 0]).all()
    assert looked["lr"][:, 1].tolist() == looked["x"].tolist() == [1, 0.75, 0.5, 0.25]
    assert looked["y"].tolist() == [[0, 4], [0, 3], [0, 2], [0, 1]]


def test_looking_ahead_calls_no_setter_and_touches_nothing():
    optimizer = adamw(2, lr=torch.tensor(0.1))
    seen = []
    scheduler = Scheduler(
        optimizer,
        {"lr": [LINE, STILL], "mom": SchedLin(0.9, 0), "x": LINE},
        8,
        setters={"x": seen.append},
        plateau=Plateau(0.5, 0),
    )
    go(optimizer, scheduler, 2)
    before = plain([optimizer.state_dict(), scheduler.state_dict(), seen])
    objects = [id(value) for group in optimizer.param_groups for value in group.values()]
    scheduler.preview()
    scheduler.preview(100, every=7)
    scheduler.plot()
    scheduler.last_values()
    repr(scheduler)
    assert plain([optimizer.state_dict(), scheduler.state_dict(), seen]) == before
    assert [id(value) for group in optimizer.param_groups for value in group.values()] == objects


def test_a_plot_has_one_picture_per_hyper_parameter_and_a_line_where_groups_are_alike():
    optimizer = sgd(2)
    scheduler = Scheduler(optimizer, {"lr": [LINE, STILL], "mom": LINE}, 8)
    rates, momenta = scheduler.plot().axes
    assert [len(axes.lines) for axes in (rates, momenta)] == [2, 1]
    assert rates.lines[0].get_ydata().tolist() == [1 - k / 8 for k in range(8)]


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0,), ValueError, "`steps` must be a whole number of at least 1, got 0"),
        (("10%",), ValueError, "`steps` is the length of the whole run"),
        ((8, 0), ValueError, "`every` must be at least 1, got 0"),
        ((8, 1.5), TypeError, "`every` must be an integer, got 1.5"),
    ],
)
def test_a_wrong_preview_is_refused(args, error, message):
    with pytest.raises(error, match=message):
        Scheduler(sgd(), {"lr": LINE}, 8).preview(*args)
