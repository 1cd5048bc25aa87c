"""The benchmark of suggestion rules: its regret, its baselines, its data."""

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benches"))

import suggest
import suggest_data
import suggest_rules


@pytest.fixture(scope="module")
def dev():
    return suggest.Data.load("dev")


def hand_made(final, untrained):
    """Two tasks of one budget and one seed, three rates, the same losses on both samples."""
    final = np.array(final, dtype=float)[:, None, None, :, None].repeat(2, -1)
    untrained = np.array(untrained, dtype=float)[:, None, None].repeat(2, -1)
    return suggest.Data(
        {
            "task": np.array(["a", "b"]),
            "opt": np.array(["sgd", "sgd"]),
            "budgets": np.array([100]),
            "sweep_lr": np.geomspace(1e-3, 1, 4),
            "sweep_loss": np.ones((2, 1, 4)),
            "long_lr": np.geomspace(1e-3, 1, 8),
            "long_loss": np.ones((2, 1, 8)),
            "grid": np.array([[1e-2, 1e-1, 1.0]] * 2),
            "final_loss": final,
            "init_loss": untrained,
        }
    )


def regret_of(data, *lrs):
    return data.regret(np.array(lrs)[:, None, None])[:, 0, 0, 0].tolist()


def test_regret_of_a_rate_of_the_grid_is_its_share_of_what_training_gains():
    # Best 1 and untrained 5: a loss of 2 gives away a quarter. Below zero: best -3, untrained 1.
    data = hand_made([[2, 1, 4], [0, -3, -1]], [5, 1])
    assert regret_of(data, 1e-2, 1e-2) == [0.25, 0.75]
    assert regret_of(data, 1e-1, 1e-1) == [0, 0]
    assert regret_of(data, 1.0, 1.0) == [0.75, 0.5]


def test_regret_between_two_rates_is_linear_in_the_logarithm():
    data = hand_made([[2, 1, 4], [0, -3, -1]], [5, 1])
    assert regret_of(data, 10**-1.5, 10**-0.5) == pytest.approx([0.125, 0.25])


def test_regret_of_a_divergence_a_loss_worse_than_untrained_and_no_rate_is_1():
    data = hand_made([[np.nan, 1, 50], [0, -3, -1]], [5, 1])
    assert regret_of(data, 1e-2, np.nan) == [1, 1]
    assert regret_of(data, 1.0, 1e-1) == [1, 0]


# Published beside the data of the dev tasks, to two digits.
@pytest.mark.parametrize(
    ("name", "mean"),
    [("torch_lr_finder", 0.23), ("steep", 0.29), ("slide", 0.32), ("valley", 0.21),
     ("minimum", 0.13), ("median_of_four", 0.13)],
)  # fmt: skip
def test_a_published_rule_has_its_published_mean_regret(dev, name, mean):
    rule = suggest.Rule(name, suggest.published(getattr(suggest_rules, name)))
    rates, _ = suggest.suggestions(rule, dev)
    assert round(suggest.scores(dev, rates).mean(), 2) == mean


def test_the_best_constant_has_its_published_mean_regret(dev):
    assert round(suggest.scores(dev, suggest.constants_per_optimizer(dev)).mean(), 2) == 0.14


# .62 and .068 are published: Lightning's rule is off by .01 here, and where the sketch cuts a
# curve is not said, which makes .073.
@pytest.mark.parametrize(
    ("rule", "mean", "apart"),
    [(suggest.PUBLISHED[0], 0.62, 0.011), (suggest.SKETCH, 0.068, 0.006)],
    ids=["lightning", "sketch"],
)
def test_a_rule_not_published_in_full_comes_near_its_mean_regret(dev, rule, mean, apart):
    rates, _ = suggest.suggestions(rule, dev)
    assert suggest.scores(dev, rates).mean() == pytest.approx(mean, abs=apart)


def test_bootstrap_of_equal_differences_is_that_difference():
    assert suggest.bootstrap(np.full(7, 0.25)).tolist() == [0.25, 0.25]


def test_bootstrap_twice_gives_the_same_interval_around_the_mean():
    differences = np.random.default_rng(1).normal(0.1, 1, 400)
    low, high = suggest.bootstrap(differences)
    assert suggest.bootstrap(differences).tolist() == [low, high]
    # The normal interval of a mean, 1.96 standard errors each side.
    half = 1.96 * differences.std() / 20
    assert low == pytest.approx(differences.mean() - half, abs=0.01)
    assert high == pytest.approx(differences.mean() + half, abs=0.01)


def test_leave_one_task_out_chooses_by_the_other_tasks_alone():
    # Task a is best at .01, task b at 1: each is given what the other likes.
    data = hand_made([[1, 2, 4], [3, 2, 1]], [5, 5])

    def always(lrs, losses, num_it, steps, *, lr):
        return lr, None

    rates = suggest.leave_one_task_out(always, data, {"lr": [1e-2, 1e-1, 1.0]}, {"lr": 1e-1})
    assert rates[:, 0, 0].tolist() == [1.0, 1e-2]


def test_leave_one_task_out_with_nothing_to_choose_is_the_rule_itself(dev):
    start = {"offset": -0.5}
    rates = suggest.leave_one_task_out(suggest.sketch, dev, {"offset": [-0.5]}, start, rounds=1)
    np.testing.assert_array_equal(rates, suggest.suggestions(suggest.SKETCH, dev)[0])


def test_status_is_judged_by_the_excess_over_the_best_single_rate():
    data = hand_made([[1, 2, 5], [1, 4, 5]], [5, 5])
    rates = np.array([[[1e-2]], [[1e-1]]])  # excess 0 and .75
    status = np.array([[["ok"]], [["weak"]]], dtype=object)
    assert suggest.caught(data, rates, status) == (1.0, 0.0, 0.0)
    assert suggest.caught(data, rates, status[::-1]) == (0.0, 1.0, 1.0)


def test_the_sketch_finds_the_same_rate_when_the_loss_is_scaled_and_shifted(dev):
    lrs, losses = dev.sweeps[100]
    lr, snr = suggest_rules.sketch(lrs, losses[10, 0], 100)
    assert suggest_rules.sketch(lrs, 8 * losses[10, 0], 100) == (lr, snr)
    again = suggest_rules.sketch(lrs, losses[10, 0] - 50, 100)
    assert again == pytest.approx((lr, snr), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "build"),
    [("sgd", functools.partial(torch.optim.SGD, momentum=0.9)), ("adam", torch.optim.Adam),
     ("adamw", torch.optim.AdamW)],
)  # fmt: skip
def test_a_stacked_optimizer_trains_each_row_as_pytorch_does(name, build):
    generator = torch.Generator().manual_seed(0)
    start, grads = torch.randn(2, 5, generator=generator), torch.randn(6, 2, 5, generator=generator)
    flat, rates = start.clone().requires_grad_(), [0.1, 0.003]
    step = suggest_data.Optimizer(name, flat)
    for grad in grads:
        step(grad, torch.tensor(rates)[:, None], 0.9)
    for i, rate in enumerate(rates):
        alone = start[i].clone().requires_grad_()
        optimizer = build([alone], lr=rate)
        for grad in grads:
            alone.grad = grad[i].clone()
            optimizer.step()
        torch.testing.assert_close(flat[i], alone)


def test_own_data_are_of_other_tasks_and_complete(dev):
    own = suggest.Data.load("own")
    assert not set(own.task) & set(dev.task)
    assert len(set(own.task)) == len(suggest_data.TASKS)
    assert {t.__name__ for t in suggest_data.TASKS} == set(own.task)
    assert own.budgets.tolist() == [100, 300, 1000, 3000]
    # A best rate is there for every combination, and it trains.
    assert own.floor.max() < 0.3


def test_a_task_made_again_has_the_sweep_that_is_stored():
    with np.load(suggest.DATA / "lr_bench_own.npz") as file:
        row = np.flatnonzero((file["task"] == "linear_ill") & (file["opt"] == "adam"))[0]
        stored = file["sweep_loss"][row]
    task = next(t for t in suggest_data.TASKS if t.__name__ == "linear_ill")()
    again = suggest_data.sweep(task, "adam", suggest_data.SWEEP_SEEDS, 100)
    # Other machines round otherwise, and a sweep's end amplifies that.
    np.testing.assert_allclose(again[:, :60], stored[:, :60], rtol=1e-3)
