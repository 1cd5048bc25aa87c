"""What a learning-rate sweep adds to the training it runs."""

import time

import baselines
import torch
from lehr import DataLoaders, Learner
from lehr.finder import Snapshot, run_sweep
from timing import ms, us

ITERATIONS = 500
ROUNDS = 15


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

    learn = Learner(
        DataLoaders(batches, device="cpu"), learned, loss_func, torch.optim.SGD, cbs=None
    )
    return step, model, optimizer, learn


def sweep_cost():
    step, model, optimizer, learn = training()
    # Rates that move nothing, so that every iteration is the same work.
    ends = {"start_lr": 1e-9, "end_lr": 1e-7, "num_it": ITERATIONS, "stop_div": False}

    def bare():
        baselines.bare_loop(step, ITERATIONS)

    def engine():
        assert len(run_sweep(step, model, optimizer, **ends)) == ITERATIONS

    def learner():
        learn.lr_find(**ends, show_plot=False, suggest_funcs=None)

    floor, *ours = interleaved(bare, engine, learner, rounds=ROUNDS)
    for name, seconds in zip(("run_sweep", "Learner.lr_find"), ours, strict=True):
        value = (seconds - floor) / ITERATIONS
        figures = us(seconds / ITERATIONS, floor / ITERATIONS)
        yield f"{name} above a bare loop, us an iteration", value * 1e6, 20, figures


def snapshot_cost():
    """25 million parameters with the state of Adam."""
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
        Snapshot(model, optimizer)

    floor, ours = interleaved(plain, snapshot, rounds=ROUNDS)
    yield "snapshot of 25M + Adam / plain copy", ours / floor, 1.5, ms(ours, floor)


def interleaved(*calls, rounds):
    """Return the least wall time of each call, the calls taking turns."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def rows():
    yield from sweep_cost()
    yield from snapshot_cost()
