"""What a learning-rate sweep adds to the training it runs."""

import ctypes
import gc
import re
import time
from pathlib import Path

import baselines
import torch
from lehr import DataLoaders, Finder, Learner, lr_find
from lehr.snapshot import Snapshot
from timing import mb, ms, us

ITERATIONS = 250


def training():
    """A small model, a step function for it, and a learner with the same of its own."""
    torch.manual_seed(0)
    batches = [(torch.randn(16, 1), torch.randn(16, 1)) for _ in range(ITERATIONS)]
    model, learned = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    loss_func = torch.nn.functional.mse_loss
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-7)
    turn = iter(())

    def step():
        nonlocal turn
        batch = next(turn, None)
        if batch is None:
            turn = iter(batches)
            batch = next(turn)
        x, y = batch
        loss = loss_func(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    # `wd_bn_bias`: one torch group for all parameters, as the bare loop has.
    learn = Learner(
        DataLoaders(batches, device="cpu"),
        learned,
        loss_func,
        torch.optim.SGD,
        wd_bn_bias=True,
    )
    return step, model, optimizer, learn, batches, loss_func


def sweep_cost():
    step, model, optimizer, learn, batches, loss_func = training()
    # Rates that move nothing, so that every iteration is the same work.
    common = {"num_it": ITERATIONS, "stop_div": False}
    ours, theirs = (
        common | {"start": 1e-9, "end": 1e-7},
        common | {"start_lr": 1e-9, "end_lr": 1e-7},
    )

    def bare():
        baselines.bare_loop(step, ITERATIONS)

    def finder():
        with Finder(model, optimizer, **ours) as found:
            for _ in found:
                found.record(step())
        assert len(found.sweep) == ITERATIONS

    def plain():
        assert len(lr_find(model, optimizer, batches, loss_func, **ours)) == ITERATIONS

    def learner():
        learn.lr_find(**theirs, show_plot=False, suggest_funcs=None)

    # By the time the process had: other processes take turns of their own.
    floor, *found = interleaved(bare, finder, plain, learner, rounds=40, clock=time.process_time)
    for name, seconds in zip(("Finder", "lr_find", "Learner.lr_find"), found, strict=True):
        value = (seconds - floor) / ITERATIONS
        figures = us(seconds / ITERATIONS, floor / ITERATIONS)
        yield f"{name} above a bare loop, us an iteration", value * 1e6, 20, figures


def snapshot_cost():
    """25 million parameters with the state of Adam."""
    keep_freed_memory()
    model = torch.nn.Sequential(*(torch.nn.Linear(1000, 1000) for _ in range(25)))
    optimizer = torch.optim.Adam(model.parameters())
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    optimizer.zero_grad()
    tensors = [*model.parameters()]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]

    def plain():
        baselines.plain_copy(tensors)

    def snapshot():
        Snapshot([model], [optimizer])

    floor, ours = interleaved(plain, snapshot, rounds=15, clock=time.process_time)
    yield "snapshot of 25M + Adam / plain copy", ours / floor, 1.5, ms(ours, floor)


class Shared(torch.nn.Module):
    """16 million parameters, half of them tied, and buffers that look into them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Linear(4000, 2000, bias=False) for _ in range(2))
        self.tied = torch.nn.Linear(4000, 2000, bias=False)
        self.tied.weight = self.first.weight
        self.register_buffer("columns", self.first.weight.detach()[:, ::2])
        self.register_buffer("rows", self.second.weight.detach()[:1000])


def snapshot_memory():
    """The most memory that taking a snapshot needs, as the system counts it."""
    model = Shared()
    optimizer = torch.optim.Adam(model.parameters())
    for param in model.parameters():
        param.grad = torch.zeros_like(param)
    optimizer.step()
    optimizer.zero_grad()
    needed = 3 * 4 * sum(param.numel() for param in model.parameters())
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # The peak is counted from here on.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    snapshot = Snapshot([model], [optimizer])
    taken = resident("VmHWM") - before
    del snapshot
    yield "memory of a snapshot / bytes it must hold", taken / needed, 1.1, mb(taken, needed)


def resident(what):
    """Return a figure of the memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024


def keep_freed_memory():
    """Let the C library keep what is freed: new pages cost as much as the copy, by chance."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-1, 2**30)  # M_TRIM_THRESHOLD
        mallopt(-3, 2**25)  # M_MMAP_THRESHOLD


def interleaved(*calls, rounds, clock):
    """Return the least time of each call by `clock`, the calls taking turns."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = clock()
            call()
            best[i] = min(best[i], clock() - start)
    return best


def rows():
    # The memory first: what the others free is not given back.
    if Path("/proc/self/clear_refs").exists():
        yield from snapshot_memory()
    yield from sweep_cost()
    yield from snapshot_cost()
