"""The averages and the suggestions of other finders, against the finders themselves."""

import math
import warnings

import lehr
import lightning
import numpy as np
import pytest
import torch
from fastai.callback.schedule import LRFinder as _  # noqa: F401 (adds Learner.lr_find)
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import SGD
from ignite.engine import Engine
from ignite.handlers import FastaiLRFinder
from lehr import Sweep
from lightning.pytorch.tuner import Tuner
from lightning.pytorch.tuner.lr_finder import _LRFinder
from runs import data, net
from torch import nn
from torch.utils.data import DataLoader
from torch_lr_finder import LRFinder

ITERATIONS = 60


class Loss(nn.Module):
    """Squared error that remembers its values; scaled, so that the sweep of each has a rise."""

    def __init__(self):
        super().__init__()
        self.values = []

    def forward(self, output, target):
        loss = 7 * nn.functional.mse_loss(output, target)
        self.values.append(loss.item())
        return loss


def loader():
    return DataLoader(data(ITERATIONS), batch_size=8)


def run_fastai():
    loss = Loss()
    learn = Learner(DataLoaders(loader(), loader()), net(), loss_func=loss, opt_func=SGD)
    with learn.no_bar(), learn.no_logging():
        learn.lr_find(num_it=ITERATIONS, show_plot=False, stop_div=False, suggest_funcs=())
    return [float(lr) for lr in learn.recorder.lrs], [*learn.recorder.losses], loss.values


def run_lightning(skip=()):
    loss = Loss()

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.lr = net(), 0.1

        def training_step(self, batch, index):
            x, y = batch
            if index in skip:
                return None
            return loss(self.net(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), self.lr)

    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    finder = Tuner(trainer).lr_find(
        Model(), loader(), num_training=ITERATIONS, early_stop_threshold=None
    )
    # It measures one loss more than it keeps.
    return finder.results["lr"], finder.results["loss"], loss.values


def run_torch_lr_finder():
    model, loss = net(), Loss()
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), 1e-6), loss, device="cpu")
    finder.range_test(loader(), end_lr=1, num_iter=ITERATIONS, diverge_th=math.inf)
    return finder.history["lr"], finder.history["loss"], loss.values


def run_ignite():
    model, loss = net(), Loss()
    optimizer = torch.optim.SGD(model.parameters(), 1e-6)

    def step(engine, batch):
        optimizer.zero_grad()
        value = loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value.item()

    trainer, finder = Engine(step), FastaiLRFinder()
    with finder.attach(
        trainer, {"optimizer": optimizer}, end_lr=1.0, num_iter=ITERATIONS - 1, diverge_th=1e9
    ) as attached:
        attached.run(loader())
    results = finder.get_results()
    return results["lr"], results["loss"], loss.values


RUNS = {
    "fastai": run_fastai,
    "lightning": run_lightning,
    "torch_lr_finder": run_torch_lr_finder,
    "ignite": run_ignite,
}


@pytest.mark.parametrize("finder", RUNS)
def test_what_a_finder_stored_gives_the_losses_it_met(finder):
    lrs, stored, losses = RUNS[finder]()
    losses = losses[: len(stored)]
    assert len(losses) > 50
    sweep = Sweep(lrs, [float(one) for one in stored], smoothing=finder)
    # fastai sums and stores in float32.
    tolerance = 1e-4 if finder == "fastai" else 1e-12
    np.testing.assert_allclose(sweep.losses, losses, rtol=0, atol=tolerance * max(losses))
    if finder != "fastai":
        np.testing.assert_allclose(sweep.smooth(finder), stored, rtol=1e-13)


def test_steps_without_a_loss_are_passed_over_as_lightning_does():
    skip = {7, 20, 21}
    lrs, stored, losses = run_lightning(skip)
    losses = iter(losses)
    expected = [math.nan if i in skip else next(losses) for i in range(len(stored))]
    got = Sweep(lrs, stored, smoothing="lightning").losses
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def curves(tails=(), lengths=range(20, 120)):
    """200 curves as finders store them: a fall and a rise, with noise; some end in NaN."""
    rng = np.random.default_rng(7)
    for index in range(200):
        n = int(rng.choice(lengths))
        pos = np.linspace(0, 1, n)
        fall = 2 / (1 + np.exp(12 * (pos - rng.uniform(0.3, 0.7))))
        rise = np.exp(9 * (pos - rng.uniform(0.9, 1.1)))
        losses = fall + rise + rng.choice([0, 0.01, 0.1]) * rng.standard_normal(n)
        lrs = 10 ** np.linspace(-7, rng.uniform(-1, 1), n)
        if tails and index % 2:
            losses[-int(rng.integers(1, n // 2 + 1)) :] = rng.choice(tails)
        yield lrs.tolist(), (losses * 10 ** rng.uniform(-3, 3)).tolist()


def ask_lightning(lrs, stored):
    finder = _LRFinder("exponential", lrs[0], lrs[-1], len(lrs))
    finder.results = {"lr": lrs, "loss": stored}
    return finder.suggestion()


def ask_torch_lr_finder(lrs, stored):
    model = nn.Linear(1, 1)
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), 0.1), None)
    finder.history = {"lr": lrs, "loss": stored}
    from matplotlib import pyplot as plt

    ax = plt.figure(num=1, clear=True).subplots()
    return finder.plot(ax=ax)[1]


def ask_ignite(lrs, stored):
    finder = FastaiLRFinder()
    finder._history = {"lr": lrs, "loss": stored}
    return finder.lr_suggestion()


ASK = {
    "lightning": ask_lightning,
    "torch_lr_finder": ask_torch_lr_finder,
    "ignite": ask_ignite,
}


def stored_answer(finder, lrs, stored):
    found = getattr(lehr._core, finder)(lrs, stored)
    return None if found is None else found[0]


@pytest.mark.parametrize("tails", [(), (math.nan,), (math.inf, math.nan)])
@pytest.mark.parametrize("finder", ASK)
def test_a_rule_gives_the_index_that_its_library_gives(finder, tails):
    for lrs, stored in curves(tails):
        # Rates are all different, so a rate is an index.
        assert stored_answer(finder, lrs, stored) == ASK[finder](lrs, stored)


@pytest.mark.parametrize("finder", ASK)
def test_where_a_library_refuses_or_crashes_the_rule_has_a_reason(finder):
    refused = 0
    for lrs, stored in curves((math.nan,), lengths=range(2, 20)):
        try:
            theirs = ASK[finder](lrs, stored)
        except (RuntimeError, ValueError, IndexError):
            theirs = None
        ours = stored_answer(finder, lrs, stored)
        assert ours == theirs
        found = Sweep(lrs, stored, smoothing=finder).suggest(finder)
        assert math.isnan(found.lr) == (found.point is None) == bool(found.reason)
        refused += theirs is None
    assert refused > 5


@pytest.mark.parametrize("finder", ASK)
def test_the_method_of_a_sweep_is_the_library_s_answer_to_what_it_stored(finder):
    lrs, stored, _losses = RUNS[finder]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ASK[finder](lrs, stored)
    found = Sweep(lrs, stored, smoothing=finder).suggest(finder)
    assert found.method == finder
    if finder == "lightning":
        # Rounding of float32 rules there: the last bit of an average moves the answer.
        assert found.lr in lrs
        return
    assert found.lr == theirs
