"""Train in a plain loop, cut it, and go on: what was in force in every step, and the weights.

`run` takes anything with the protocol of torch's schedulers. A cut is a real one: model, optimizer
and scheduler go through `torch.save` and `torch.load(weights_only=True)` into fresh objects.
"""

import io
from typing import NamedTuple

import torch
from torch import nn

STEPS = 20

# In which order a resumed script builds its scheduler and loads what was saved. The model is always
# loaded first.
BUILD_THEN_LOAD = "build, load optimizer, load scheduler"
SCHEDULER_FIRST = "build, load scheduler, load optimizer"
OPTIMIZER_FIRST = "load optimizer, build, load scheduler"
LAST_EPOCH = "load optimizer, build with last_epoch"  # no state of a scheduler is loaded
ORDERS = (BUILD_THEN_LOAD, SCHEDULER_FIRST, OPTIMIZER_FIRST, LAST_EPOCH)


class Run(NamedTuple):
    """What a run did: two lists of one list per step, and the weights at its end."""

    rates: list  # [step][group]
    momenta: list  # [step][group]: momentum, or the first of the betas
    weights: list


def sgd(groups):
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def adamw(groups):
    return torch.optim.AdamW(groups, lr=0.01)


def fresh(make_optimizer):
    """Return a small model and its optimizer: two groups, the first at a tenth of the rate."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = make_optimizer(
        [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    )
    optimizer.param_groups[0]["lr"] /= 10
    return model, optimizer


def batches(steps):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs = torch.randn(8, 4, generator=generator)
        yield inputs, inputs[:, :2].sin()


def momentum(group):
    return group["momentum"] if "momentum" in group else group["betas"][0]


def resumed(saved, make_scheduler, cut, order, make_optimizer):
    """Return fresh objects with what `saved` holds, put there in `order`."""
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    model, optimizer = fresh(make_optimizer)
    model.load_state_dict(state["model"])
    if order in {OPTIMIZER_FIRST, LAST_EPOCH}:
        optimizer.load_state_dict(state["optimizer"])
    if order == LAST_EPOCH:
        # torch wants the step before: building takes one more, and `cut` is in force.
        return model, optimizer, make_scheduler(optimizer, last_epoch=cut - 1)
    scheduler = make_scheduler(optimizer)
    if order == BUILD_THEN_LOAD:
        optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    if order == SCHEDULER_FIRST:
        optimizer.load_state_dict(state["optimizer"])
    return model, optimizer, scheduler


def run(make_scheduler, cut=None, order=BUILD_THEN_LOAD, *, steps=STEPS, make_optimizer=sgd):
    """Train for `steps` optimizer steps, without a break or cut behind the first `cut` of them.

    `make_scheduler(optimizer)` builds the scheduler; for LAST_EPOCH it also gets `last_epoch=`.
    """
    assert order in ORDERS
    assert cut is None or cut in range(steps)
    model, optimizer = fresh(make_optimizer)
    scheduler = make_scheduler(optimizer)
    rates, momenta = [], []
    for step, (inputs, targets) in enumerate(batches(steps)):
        if step == cut:
            parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
            saved = io.BytesIO()
            torch.save({name: part.state_dict() for name, part in parts.items()}, saved)
            model, optimizer, scheduler = resumed(saved, make_scheduler, cut, order, make_optimizer)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        rates.append([float(group["lr"]) for group in optimizer.param_groups])
        momenta.append([float(momentum(group)) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return Run(rates, momenta, [p.detach().clone() for p in model.parameters()])


def differences(a, b):
    """Return in how many steps a rate or a momentum differs at all, and if all weights agree."""
    pairs = zip(zip(*a[:2], strict=True), zip(*b[:2], strict=True), strict=True)
    return sum(x != y for x, y in pairs), all(map(torch.equal, a.weights, b.weights))
