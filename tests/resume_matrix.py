"""Train in a plain loop, cut it, and go on: what was in force in every step, and the weights.

`run` takes anything with the protocol of torch's schedulers. A cut is a real one: model, optimizer
and scheduler go through `torch.save` and `torch.load(weights_only=True)` into fresh objects.
"""

import io
from functools import cache
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
START_STEP = "load optimizer, build with start_step"  # likewise, for a lehr.Scheduler


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


# The same for a `lehr.Scheduler`: all that is in force is compared, also behind the last step, and
# one run is cut behind every step, so that only what follows a cut is trained again.


@cache
def all_batches():
    return list(batches(STEPS))


def named(make_optimizer):
    """Name the groups, and give them a hyper-parameter that no optimizer knows."""

    def make(groups):
        optimizer = make_optimizer(groups)
        for group, name in zip(optimizer.param_groups, ("body", "head"), strict=True):
            group |= {"name": name, "mine": 1.0}
        return optimizer

    return make


def in_force(optimizer):
    return [
        {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
        for group in optimizer.param_groups
    ]


def train(model, optimizer, scheduler, begin, act, save=None):
    """Train from step `begin` to the end; return what was in force at each step, and the weights.

    `act(scheduler, step)` is called behind each step, `save(*parts)` before each and at the end.
    """
    forces = []
    for step, (inputs, targets) in enumerate(all_batches()[begin:], begin):
        if save is not None:
            save(model, optimizer, scheduler)
        forces.append(in_force(optimizer))
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
        scheduler.step()
        act(scheduler, step)
    if save is not None:
        save(model, optimizer, scheduler)
    forces.append(in_force(optimizer))
    return forces, [p.detach().clone() for p in model.parameters()]


def whole_run(make_scheduler, make_optimizer, act):
    """Train without a break; return what `train` does, and what was saved at every cut."""
    saved = []

    def save(*parts):
        file = io.BytesIO()
        names = ("model", "optimizer", "scheduler")
        torch.save({name: part.state_dict() for name, part in zip(names, parts, strict=True)}, file)
        saved.append(file)

    model, optimizer = fresh(make_optimizer)
    return train(model, optimizer, make_scheduler(optimizer), 0, act, save), saved


def differences_after_cuts(
    make_scheduler, make_optimizer, orders, act=lambda scheduler, step: None
):
    """Return for each order, for each cut, in how many steps anything in force differs.

    The last entry of a run, behind the last step, counts as a step. Where the weights differ and
    nothing in force does, that counts as one.
    """
    (forces, weights), saved = whole_run(make_scheduler, make_optimizer, act)
    found = {}
    for order in orders:
        found[order] = []
        for cut, file in enumerate(saved):
            if order == START_STEP:
                again = resumed(
                    file,
                    lambda optimizer, last_epoch: make_scheduler(
                        optimizer, start_step=last_epoch + 1
                    ),
                    cut,
                    LAST_EPOCH,
                    make_optimizer,
                )
            else:
                again = resumed(file, make_scheduler, cut, order, make_optimizer)
            here, ends = train(*again, cut, act)
            wrong = sum(a != b for a, b in zip(forces[cut:], here, strict=True))
            same_weights = all(map(torch.equal, weights, ends))
            found[order].append(wrong or int(not same_weights))
    return found
