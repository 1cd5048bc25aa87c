"""What `lehr.compat.torch` says to bad arguments, and what it does that torch's cannot."""

import pickle

import lehr
import numpy as np
import pytest
import torch
from lehr.compat import torch as compat


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: compat.StepLR(1, 0, steps=9), ValueError, "`step_size` must be at least 1, got 0"),
        (lambda: compat.StepLR(1, 2.5, steps=9), TypeError, "`step_size` must be an integer"),
        (lambda: compat.StepLR(1, 2, -1, steps=9), ValueError, "`gamma` .* at least 0, got -1"),
        (lambda: compat.StepLR(1, 2, steps=0), ValueError, "`steps` must be at least 1, got 0"),
        (lambda: compat.MultiStepLR(1, [-1], steps=9), ValueError, "`milestones` .* 0, got -1"),
        (lambda: compat.ConstantLR(1, 1.5, steps=9), ValueError, r"`factor` must be in \[0, 1\]"),
        (lambda: compat.LinearLR(1, 0, steps=9), ValueError, "`start_factor` must be above 0"),
        (lambda: compat.LinearLR(1, 1, 2, steps=9), ValueError, "`end_factor` .*, got 2"),
        (lambda: compat.LinearLR(1, total_iters=0, steps=9), ValueError, "`total_iters` .* got 0"),
        (lambda: compat.ExponentialLR(1, 0, steps=9), ValueError, "`gamma` must be above 0, got 0"),
        (lambda: compat.ExponentialLR(1, "a", steps=9), TypeError, "`gamma` must be a number"),
        (lambda: compat.PolynomialLR(1, 0, steps=9), ValueError, "`total_iters` .* got 0"),
        (lambda: compat.PolynomialLR(1, 2, 0, steps=9), ValueError, "`power` must be above 0"),
        (lambda: compat.CosineAnnealingLR(1, 0, steps=9), ValueError, "`T_max` .* got 0"),
        (lambda: compat.CosineAnnealingWarmRestarts(1, 2, 0, steps=9), ValueError, "`T_mult` .* 0"),
        (lambda: compat.OneCycleLR(1), ValueError, "`total_steps`, or `epochs` and"),
        (lambda: compat.OneCycleLR(1, 9, pct_start=1.5), ValueError, "`pct_start` .* got 1.5"),
        (
            lambda: compat.OneCycleLR(1, 9, pct_start=0.8, three_phase=True),
            ValueError,
            "third phase",
        ),
        (lambda: compat.OneCycleLR(1, 9, anneal_strategy="x"), ValueError, '"cos" or "linear"'),
        (lambda: compat.OneCycleLR(1, 9, div_factor=0), ValueError, "`div_factor` must be above 0"),
        (lambda: compat.CyclicLR(0, 1, 0, steps=9), ValueError, "`step_size_up` must be above 0"),
        (lambda: compat.CyclicLR(0, 1, scale_fn=abs, steps=9), TypeError, "`scale_fn` .* multiply"),
        (lambda: compat.CyclicLR(0, 1, mode="x", steps=9), ValueError, "`mode` must be one of"),
        (lambda: compat.LambdaLR(1, 3, steps=9), TypeError, "`lr_lambda` must be a function"),
        (
            lambda: compat.SequentialLR([], [1], steps=9),
            ValueError,
            "`milestones` must be one less",
        ),
        (lambda: compat.ChainedScheduler([]), ValueError, "`schedulers` must hold at least one"),
        (lambda: compat.StepLR("a", 2, steps=9), TypeError, "`lr` must be a number, got 'a'"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_milestones_that_fall_are_an_error():
    one = compat.ExponentialLR(1, 0.9, steps=9)
    with pytest.raises(ValueError, match="`milestones` must not fall"):
        compat.SequentialLR([one] * 3, [5, 4], steps=9)


def test_a_1cycle_holds_its_end_where_torch_raises():
    longer = compat.OneCycleLR(1, 10, steps=20).values(20)
    assert np.array_equal(longer[9:], np.full(11, 1 / 25 / 1e4))


def test_a_rate_that_underflows_is_held():
    values = compat.ExponentialLR(1.0, 0.1, steps=2000).values(2000)
    assert np.isfinite(values).all()
    assert values[-1] <= 1e-300
    assert values[300] == pytest.approx(1e-300, rel=1e-12)


def double(step):
    return 2 * step


def test_a_function_of_the_step_pickles_and_compares():
    schedule = compat.LambdaLR([1, 2], [double, double], steps=5)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(compat.LambdaLR([1, 2], [double, double], steps=5)) == hash(schedule)
    assert schedule != compat.LambdaLR([1, 2], [double, double], steps=6)
    assert "double of 5 steps" in repr(schedule)
    assert schedule.values(5).tolist() == [[2 * k, 4 * k] for k in range(5)]
    with pytest.raises(TypeError, match="to_json needs a schedule without functions"):
        schedule.to_json()


def test_all_but_functions_are_written_to_json():
    f = compat.SequentialLR(
        [compat.LinearLR(1, steps=50), compat.CyclicLR(0.1, 1, 3, mode="exp_range", steps=50)],
        [10],
        steps=50,
    )
    assert lehr.Schedule.from_json(f.to_json()) == f


def test_the_peers_are_found_by_name_and_need_not_be_there():
    assert lehr.compat.torch is compat
    assert lehr.compat.optax.constant_schedule(2, steps=3).values(3).tolist() == [2, 2, 2]
    with pytest.raises(AttributeError, match="module 'lehr.compat' has no attribute 'keras'"):
        lehr.compat.keras


def test_from_torch_is_the_same_under_both_names():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=8)
    peer = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    assert lehr.compat.from_torch(peer, 5) == compat.from_torch(peer, 5)
