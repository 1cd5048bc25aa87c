"""Our Scheduler in ignite's engine: behind its wrapper, and as a handler of one's own."""

import lehr
import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver, LRScheduler
from runs import BATCH, SCHEDULES, data, expected, net, same, sgd, watch, weights
from torch import nn

EPOCHS, BATCHES = 2, 6
STEPS = EPOCHS * BATCHES


def wrapped(trainer, scheduler):
    wrapper = LRScheduler(scheduler)
    trainer.add_event_handler(Events.ITERATION_STARTED, wrapper)
    return wrapper


def called(trainer, scheduler):
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step())
    return scheduler


def never_called(trainer, scheduler):
    return scheduler


# How ignite comes to move the Scheduler, and what it counts.
KINDS = {
    "wrapped": (wrapped, "calls"),
    "called": (called, "calls"),
    "called, optimizer": (called, "optimizer"),
    "optimizer": (never_called, "optimizer"),
}


class Run:
    """A training of ignite, from `path` on where that is given."""

    def __init__(self, attach, count, path=None, save=None):
        self.model = net()
        optimizer = sgd(self.model.parameters())
        self.seen = watch(optimizer)
        self.scheduler = lehr.Scheduler(optimizer, SCHEDULES, STEPS, count=count)
        batches = data(BATCHES).tensors

        def step(trainer, _):
            start = (trainer.state.iteration - 1) % BATCHES * BATCH
            x, y = (part[start : start + BATCH] for part in batches)
            optimizer.zero_grad()
            nn.functional.mse_loss(self.model(x), y).backward()
            optimizer.step()

        trainer = Engine(step)
        parts = {
            "trainer": trainer,
            "model": self.model,
            "optimizer": optimizer,
            "scheduler": attach(trainer, self.scheduler),
        }
        if save:
            saver = Checkpoint(parts, DiskSaver(save, create_dir=True), n_saved=None)
            trainer.add_event_handler(Events.ITERATION_COMPLETED, saver)
        if path:
            Checkpoint.load_objects(parts, torch.load(path, weights_only=True))
        trainer.run(range(BATCHES), max_epochs=EPOCHS)
        assert trainer.state.iteration == STEPS


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_has_the_values_of_the_schedules_and_so_has_a_resumed_run(kind):
    whole = Run(*KINDS[kind], save="saved")
    assert whole.seen == expected(STEPS, STEPS)
    assert whole.scheduler.last_epoch == STEPS
    for cut in range(1, STEPS):
        again = Run(*KINDS[kind], path=f"saved/checkpoint_{cut}.pt")
        assert again.seen == expected(STEPS, STEPS)[cut:], cut
        assert same(weights(again.model), weights(whole.model)), cut


def test_the_wrapper_refuses_a_scheduler_that_moves_by_itself():
    with pytest.raises(ValueError, match='SequentialLR or ignite, needs `count="calls"`'):
        Run(wrapped, "optimizer")


def test_ignite_simulates_the_rates_of_the_schedule():
    optimizer = sgd(net().parameters())
    scheduler = lehr.Scheduler(optimizer, SCHEDULES, STEPS)
    found = LRScheduler.simulate_values(STEPS, scheduler)
    assert found == [[step, values[0]] for step, values in enumerate(expected(STEPS, STEPS))]
    assert scheduler.last_epoch == 0
    assert [optimizer.param_groups[0][name] for name in SCHEDULES] == expected(1, STEPS)[0]
