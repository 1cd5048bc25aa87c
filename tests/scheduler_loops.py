"""What the tests of the Scheduler share: small optimizers, and steps of them."""

from itertools import islice

import torch
from torch import nn

NAMES = "abcdefgh"


def parameters():
    return [nn.Parameter(torch.ones(2))]


def groups(count):
    return [{"params": parameters(), "name": name} for name in islice(NAMES, count)]


def sgd(count=1, **options):
    return torch.optim.SGD(groups(count), **({"lr": 0.1, "momentum": 0.9} | options))


def adamw(count=1, **options):
    return torch.optim.AdamW(groups(count), **({"lr": 0.1, "betas": (0.9, 0.99)} | options))


def go(optimizer, scheduler=None, steps=1):
    """Take steps of the optimizer, each with one of the scheduler behind it."""
    for _ in range(steps):
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def values(optimizer, key):
    return [group[key] for group in optimizer.param_groups]
