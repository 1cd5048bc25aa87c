"""The plain case: modes, and what plots and docstrings say of the loss."""

import pytest
import torch
from lehr import DataLoaders, Learner, Sweep, lr_find
from torch import nn

mse = nn.functional.mse_loss


class Watched(nn.Module):
    """A loss that notes the modes of itself and of a module in it."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Dropout(0.0)
        self.modes = []

    def forward(self, pred, y):
        self.modes.append((self.training, self.inner.training, torch.is_grad_enabled()))
        return mse(self.inner(pred), y)


@pytest.mark.parametrize("mode", [True, False])
def test_a_loss_that_is_a_module_trains_and_validates_with_the_model(mode):
    model, loss_func = nn.Linear(2, 1), Watched()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_func.train(mode)
    loss_func.inner.train(not mode)
    x = torch.ones(4, 2)
    batches = [(x, x[:, :1])]
    lr_find(model, optimizer, batches, loss_func, valid=batches, num_it=2, stop_div=False)
    assert loss_func.modes == [(True, True, True), (False, False, False)] * 2
    assert (loss_func.training, loss_func.inner.training) == (mode, not mode)


def labels(sweep):
    ax = sweep.plot().axes[0]
    return ax.get_ylabel(), [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_plot_says_which_loss_it_shows():
    pytest.importorskip("matplotlib")
    curve = [1e-3, 1e-2, 1e-1], [3.0, 2.0, 1.0]
    for settings in ({}, {"criterion": "training loss"}):
        ylabel, legend = labels(Sweep(*curve, settings=settings))
        assert ylabel == "training loss"
        assert "loss of each batch" in legend
    ylabel, legend = labels(Sweep(*curve, settings={"criterion": "validation loss"}))
    assert ylabel == "validation loss"
    assert "loss of each batch" not in legend
    assert "loss of each iteration" in legend


def test_the_plot_of_a_validated_sweep_says_so():
    pytest.importorskip("matplotlib")
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.ones(4, 2)
    batches = [(x, x[:, :1])]
    sweep = lr_find(model, optimizer, batches, mse, valid=batches, num_it=20, repeats=2)
    assert labels(sweep)[0] == "validation loss"


RATES = [
    ((1e-4, 1.0), (1e-4, 1.0)),
    (([1e-4, 1e-3], 1.0), ((1e-4, 1e-3), (1.0, 1.0))),
    ((slice(1e-4, 1e-3), [1.0, 2.0]), ((1e-4, 1e-3), (1.0, 2.0))),
]


@pytest.mark.parametrize(("rates", "ends"), RATES)
def test_the_learner_and_the_plain_case_say_the_same_of_the_same_sweep(rates, ends):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    x = torch.ones(4, 2)
    batches = [(x, x[:, :1])]
    groups = [{"params": part.parameters()} for part in model]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    options = {"start": rates[0], "end": rates[1], "num_it": 10, "stop_div": False}
    sweep = lr_find(model, optimizer, batches, mse, **options)
    learn = Learner(
        DataLoaders(batches, device="cpu"), model, mse, torch.optim.SGD,
        splitter=lambda model: [list(part.parameters()) for part in model],
    )  # fmt: skip
    learn.lr_find(*rates, 10, stop_div=False, show_plot=False, suggest_funcs=None)
    other = learn.recorder.sweep
    own = dict(sweep.settings)
    assert (own.pop("criterion"), own.pop("seed")) == ("training loss", None)
    assert dict(other.settings) == own
    assert (own["start"], own["end"]) == ends
    assert (other.lrs.tolist(), other.hyper) == (sweep.lrs.tolist(), sweep.hyper)
