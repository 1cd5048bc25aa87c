"""What the Learner adds to a training loop written by hand."""

import os
import sys
import threading
import time
from contextlib import contextmanager

import baselines
import torch
from finder import interleaved
from lehr import Callback, DataLoaders, Learner
from lehr.testing import RegModel
from timing import us

BATCHES = 4000
IDLE = 100


def batches():
    torch.manual_seed(0)
    x = [torch.randn(16, 1) for _ in range(BATCHES)]
    return [(one, 2 * one + 3 + 0.1 * torch.randn(16, 1)) for one in x]


def sgd(params, lr=1e-2):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)


class Idle(Callback):
    """Listens to nothing."""


def learner(data, cbs=()):
    return Learner(DataLoaders(data, device="cpu"), RegModel(), torch.nn.MSELoss(), sgd, cbs=cbs)


@contextmanager
def terminal():
    """A standard output that is a terminal, read by nobody who looks."""
    master, slave = os.openpty()
    reader = threading.Thread(target=drain, args=(master,))
    reader.start()
    before = sys.stdout
    sys.stdout = os.fdopen(slave, "w")
    try:
        yield
    finally:
        sys.stdout.close()
        sys.stdout = before
        reader.join()
        os.close(master)


def drain(handle):
    try:
        while os.read(handle, 65536):
            pass
    except OSError:
        pass  # the other end is closed


def loop_cost():
    data = batches()

    def by_hand():
        model = RegModel()
        baselines.hand_written_loop(
            model, sgd(model.parameters()), torch.nn.MSELoss(), data, lr_max=1e-2
        )

    def silent():
        learn = learner(data)
        with learn.no_logging():
            learn.fit_one_cycle(1, 1e-2)

    def live():
        learner(data).fit_one_cycle(1, 1e-2)

    # By the time the process had: other processes take turns of their own.
    with terminal():
        floor, quiet, shown = interleaved(by_hand, silent, live, rounds=12, clock=time.process_time)
    for name, seconds, goal in (("silent", quiet, 1.06), ("live progress", shown, 1.10)):
        figures = us(seconds / BATCHES, floor / BATCHES)
        yield f"Learner, {name} / hand-written loop", seconds / floor, goal, figures


def idle_cost():
    data = batches()
    learners = [learner(data), learner(data, [Idle() for _ in range(IDLE)])]

    def fit(learn):
        with learn.no_logging():
            learn.fit(1)

    alone, many = interleaved(
        lambda: fit(learners[0]), lambda: fit(learners[1]), rounds=8, clock=time.process_time
    )
    value = (many - alone) / BATCHES / IDLE * 1e6
    yield "idle callback, us a batch", value, 0.2, us(many / BATCHES, alone / BATCHES)


def rows():
    yield from loop_cost()
    yield from idle_cost()
