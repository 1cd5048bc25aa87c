"""Optimizers around optimizers: a sweep leaves every layer as before."""

from collections import defaultdict

import pytest
import torch
from lehr import Finder, lr_find
from state import plain
from torch import nn

mse = nn.functional.mse_loss


def params_of(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


class Lookahead(torch.optim.Optimizer):
    """Slow weights in the state, as its authors keep them: around an optimizer of any kind."""

    def __init__(self, optimizer, k=5, alpha=0.5):
        self.optimizer, self.k, self.alpha, self.counter = optimizer, k, alpha, 0
        self.param_groups, self.defaults = optimizer.param_groups, optimizer.defaults
        self.state = defaultdict(dict)
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}
        for p in params_of(self):
            self.state[p]["slow"] = p.detach().clone()

    def slow(self):
        return [self.state[p]["slow"] for p in params_of(self)]

    def zero_grad(self):
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self, closure=None):
        loss = self.optimizer.step(closure)
        self.counter += 1
        if self.counter % self.k == 0:
            for p, slow in zip(params_of(self), self.slow(), strict=True):
                slow.add_(p - slow, alpha=self.alpha)
                p.copy_(slow)
        return loss


class ListLookahead(Lookahead):
    """Slow weights in a list of its own."""

    def __init__(self, optimizer):
        super().__init__(optimizer)
        self.kept = [p.detach().clone() for p in params_of(self)]

    def slow(self):
        return self.kept


class PlainLookahead:
    """No optimizer of torch's itself."""

    def __init__(self, optimizer):
        self.optimizer, self.counter = optimizer, 0
        self.param_groups = optimizer.param_groups
        self.kept = [p.detach().clone() for p in params_of(self)]
        self.state = {"slow": self.kept}
        self.k, self.alpha = 5, 0.5

    slow, zero_grad, step = ListLookahead.slow, Lookahead.zero_grad, Lookahead.step


class SAM(torch.optim.Optimizer):
    """An optimizer inside that is not called `optimizer`."""

    def __init__(self, params, base, **options):
        super().__init__(params, dict(options))
        self.base_optimizer = base(self.param_groups, **options)
        self.param_groups = self.base_optimizer.param_groups

    def step(self, closure=None):
        return self.base_optimizer.step(closure)


class Both(torch.optim.Optimizer):
    """Optimizers inside a list."""

    def __init__(self, params, base, **options):
        super().__init__(params, dict(options))
        self.inner = [base([group], **options) for group in self.param_groups]

    def step(self, closure=None):
        for one in self.inner:
            one.step(closure)


OPTIONS = {"lr": 0.1, "momentum": 0.9}


def around(kind):
    return lambda params: kind(torch.optim.SGD(params, **OPTIONS))


KINDS = {
    "state": around(Lookahead),
    "attribute": around(ListLookahead),
    "no optimizer": around(PlainLookahead),
    "two layers": lambda params: Lookahead(around(ListLookahead)(params)),
    "base_optimizer": lambda params: SAM(params, torch.optim.SGD, **OPTIONS),
    "list": lambda params: Both(params, torch.optim.SGD, **OPTIONS),
}


def layers(optimizer):
    """The optimizers of all layers."""
    inner = [getattr(optimizer, "optimizer", None), getattr(optimizer, "base_optimizer", None)]
    inner += getattr(optimizer, "inner", [])
    return [optimizer, *(layer for one in inner if one is not None for layer in layers(one))]


def state(model, optimizer):
    found = [plain(list(model.parameters()))]
    for layer in layers(optimizer):
        shown = [plain(layer.state.get(p, {})) for p in model.parameters()]
        slow = plain(layer.slow()) if hasattr(layer, "slow") else None
        values = [{k: v for k, v in g.items() if k != "params"} for g in layer.param_groups]
        found.append((shown, len(layer.state), slow, getattr(layer, "counter", 0), plain(values)))
    return found


def training(kind, trained):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = KINDS[kind](model.parameters())
    x = torch.randn(64, 4)
    batch = (x, x.sum(1, keepdim=True))
    for _ in range(trained):
        optimizer.zero_grad()
        mse(model(x), batch[1]).backward()
        optimizer.step()
    return model, optimizer, batch


@pytest.mark.parametrize("trained", [0, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_as_before(kind, trained):
    model, optimizer, batch = training(kind, trained)
    before = state(model, optimizer)
    during = []

    def watched(pred, y):
        during.append(state(model, optimizer))
        return mse(pred, y)

    lr_find(model, optimizer, [batch], watched, num_it=20, stop_div=False, start=1e-3)
    assert during[-1] != before
    assert state(model, optimizer) == before


@pytest.mark.parametrize("kind", KINDS.keys() - {"no optimizer"})
def test_every_layer_of_an_extra_is_as_before(kind):
    model, optimizer, (x, y) = training(kind, 1)
    before = state(model, optimizer)
    other = torch.optim.SGD([torch.ones(1)], 1.0)
    with Finder(nn.Linear(1, 1), other, num_it=8, extras=[[optimizer]]) as finder:
        for _ in finder:
            optimizer.zero_grad()
            mse(model(x), y).backward()
            optimizer.step()
            finder.record(1.0)
        assert state(model, optimizer) != before
    assert state(model, optimizer) == before
