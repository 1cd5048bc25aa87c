"""What the runs within all hosts share: data, a model, schedules, a list of what was in force."""

import torch
from lehr import SchedExp, combined_cos
from torch import nn
from torch.utils.data import TensorDataset

BATCH = 8
# To be scheduled in an SGD made by `sgd`.
SCHEDULES = {
    "lr": combined_cos(0.25, 1e-3, 0.2, 1e-4),
    "momentum": combined_cos(0.25, 0.95, 0.85, 0.9),
    "weight_decay": SchedExp(1e-4, 1e-2),
}


def data(batches):
    x = torch.randn(BATCH * batches, 4, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, x[:, :2].sin())


def net():
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def sgd(params):
    return torch.optim.SGD(params, lr=0.5, momentum=0.5, weight_decay=0.5)


def watch(optimizer):
    """Return a list that gets what is in force in every step the optimizer takes."""
    seen = []

    def look(optimizer, args, kwargs):
        (group,) = optimizer.param_groups
        seen.append([group[name] for name in SCHEDULES])

    optimizer.register_step_pre_hook(look)
    return seen


def expected(taken, steps, every=1):
    """Return what is in force in the first `taken` steps, where values change `every` so many."""
    return [
        [schedule(min(step // every / steps, 1)) for schedule in SCHEDULES.values()]
        for step in range(taken)
    ]


def weights(model):
    return [param.detach().clone() for param in model.parameters()]


def same(a, b):
    """Whether two lists of tensors are alike to the last bit."""
    return len(a) == len(b) and all(map(torch.equal, a, b))
