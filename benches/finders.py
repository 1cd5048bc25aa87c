"""What an iteration of a sweep costs, beside the finders of others: needs all four of them."""

import contextlib
import io
import logging
import time
import warnings
from tempfile import TemporaryDirectory

import baselines
import torch
from finder import interleaved
from lehr import Finder, lr_find
from timing import us
from torch.utils.data import DataLoader

ITERATIONS = 240
# Rates that move nothing, so that every iteration is the same work.
START, END = 1e-9, 1e-7
ROUNDS = 12
SPARE = 2


def model_and_optimizer():
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    return model, torch.optim.SGD(model.parameters(), lr=START)


def batches():
    """Batches that are ready in a loader of torch's, which all of them take."""
    torch.manual_seed(0)
    ready = [(torch.randn(16, 1), torch.randn(16, 1)) for _ in range(ITERATIONS)]
    return DataLoader(ready, batch_size=None)


def training_step(model, optimizer, batch):
    x, y = batch
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


def bare():
    """The loop alone, its losses read."""
    (model, optimizer), loader = model_and_optimizer(), batches()

    def run():
        turn = iter(loader)
        baselines.bare_loop(lambda: training_step(model, optimizer, next(turn)), ITERATIONS)

    return run


def ours_around_a_loop():
    (model, optimizer), loader = model_and_optimizer(), batches()
    options = {"start": START, "end": END, "num_it": ITERATIONS, "stop_div": False}

    def run():
        with Finder(model, optimizer, loader, **options) as finder:
            for batch in finder:
                finder.record(training_step(model, optimizer, batch))
        return len(finder.sweep)

    return run


def ours_plain():
    (model, optimizer), loader = model_and_optimizer(), batches()
    options = {"start": START, "end": END, "num_it": ITERATIONS, "stop_div": False}
    loss_func = torch.nn.functional.mse_loss
    return lambda: len(lr_find(model, optimizer, loader, loss_func, **options))


PEERS = {
    "torch-lr-finder": baselines.torch_lr_finder_sweep,
    "ignite": baselines.ignite_sweep,
    "Lightning": baselines.lightning_sweep,
    "fastai": baselines.fastai_sweep,
}


def measured():
    """Return the least seconds of the bare loop and of each finder."""
    calls = {"Finder": ours_around_a_loop(), "lr_find": ours_plain()}
    calls |= {
        name: make(*model_and_optimizer(), batches(), START, END, ITERATIONS)
        for name, make in PEERS.items()
    }
    for name, call in calls.items():
        found = call()
        # Some leave out an iteration or run one more.
        if abs(found - ITERATIONS) > SPARE:
            message = f"{name} ran {found} iterations of {ITERATIONS}"
            raise AssertionError(message)
    floor, *found = interleaved(bare(), *calls.values(), rounds=ROUNDS, clock=time.process_time)
    return floor, dict(zip(calls, found, strict=True))


def rows():
    with (
        TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        # Progress bars cost too, and cannot be switched off everywhere.
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        floor, found = measured()
    ours = found["lr_find"] - floor
    for name, seconds in found.items():
        goal = 20 if name in ("Finder", "lr_find") else None
        figures = us(seconds / ITERATIONS, floor / ITERATIONS)
        figures += f", {(seconds - floor) / ours:.1f} times lr_find"
        yield f"{name} above a bare loop, us", (seconds - floor) / ITERATIONS * 1e6, goal, figures
