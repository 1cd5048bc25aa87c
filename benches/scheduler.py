"""What a step of a Scheduler costs, beside other schedulers: needs timm and transformers."""

import warnings

import baselines
import torch
from lehr import Scheduler, combined_cos
from timing import minima, ns, us

# More than are ever run: most schedulers end.
STEPS = 100_000_000
GROUPS = (1, 8, 64)
GOALS = (2.2, 1.8, 1.7)
KINDS = {
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "AdamW": lambda groups: torch.optim.AdamW(groups, lr=0.1),
}
PEERS = {
    "torch OneCycleLR": baselines.one_cycle_scheduler,
    "timm (rate alone)": baselines.timm_scheduler,
    "transformers (rate alone)": baselines.transformers_scheduler,
}
# Every combination of these shapes has the same ends.
RATE, MOMENTUM = combined_cos(0.25, 4e-5, 1e-3, 1e-8), combined_cos(0.25, 0.95, 0.85, 0.95)


def parameters(groups):
    return [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]


def ours(optimizer):
    return Scheduler(optimizer, {"lr": RATE, "mom": MOMENTUM}, STEPS)


def step_cost(kind, groups, goal):
    # A step is called after one of the optimizer, of which its hook hears.
    optimizer = KINDS[kind](parameters(groups))
    scheduler = ours(optimizer)
    names = {"step": scheduler.step, "took": scheduler._stepper.took, "o": optimizer, "n": ()}
    floor_groups = KINDS[kind](parameters(groups)).param_groups
    others = {name: make(KINDS[kind](parameters(groups)), STEPS) for name, make in PEERS.items()}
    number = max(20_000 // groups, 500)
    both, hook, floor, *rest = minima(
        ("took(o, n, n); step()", names),
        ("took(o, n, n)", names),
        ("f(g, 1e-3, 0.9)", {"f": baselines.write_groups, "g": floor_groups}),
        *(("step()", {"step": step}) for step in others.values()),
        number=number,
    )
    step = both - hook
    label = f"{kind}, {groups} group{'s' * (groups > 1)}"
    yield f"{label}: step() / bare writes", step / floor, goal, ns(step, floor)
    for name, seconds in zip(others, rest, strict=True):
        yield f"  {name}", seconds / floor, None, ns(seconds, floor)
    if groups == 1 and kind == "SGD":
        yield "  counting a step of the optimizer, ns", hook * 1e9, None, ""


def share_of_a_step():
    """Of a step of AdamW on one tiny tensor, between which a cache forgets the scheduler."""

    def optimizer():
        made = KINDS["AdamW"](parameters(1))
        made.param_groups[0]["params"][0].grad = torch.zeros(1)
        return made

    mine, others, alone = optimizer(), optimizer(), optimizer()
    scheduler, other = ours(mine), baselines.one_cycle_scheduler(others, STEPS)
    with_mine, with_other, bare = minima(
        ("o.step(); s()", {"o": mine, "s": scheduler.step}),
        ("o.step(); s()", {"o": others, "s": other}),
        ("o.step()", {"o": alone}),
    )
    for name, seconds in (("Scheduler", with_mine), ("torch OneCycleLR", with_other)):
        share = (seconds - bare) / bare * 100
        yield f"{name}, % of a tiny AdamW step", share, None, us(seconds, bare)


def rows():
    with warnings.catch_warnings():
        # Those of the others, which are stepped without an optimizer.
        warnings.simplefilter("ignore")
        for kind in KINDS:
            for groups, goal in zip(GROUPS, GOALS, strict=True):
                yield from step_cost(kind, groups, goal)
        yield from share_of_a_step()
