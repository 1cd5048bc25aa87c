"""Our Scheduler in the Trainer of Transformers: stepped, logged, saved and resumed by it."""

import sys
from pathlib import Path

import lehr
import pytest
import torch
from runs import BATCH, SCHEDULES, data, expected, net, same, sgd, watch, weights
from torch import nn
from transformers import Trainer, TrainingArguments

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))
from together import together

EPOCHS, BATCHES = 3, 6
STEPS = EPOCHS * BATCHES
RANKS = str(Path(__file__).with_name("transformers_ranks.py"))
# Seconds after which two processes are taken to wait for each other in vain.
PATIENCE = 120


class Model(nn.Module):
    """Takes a batch as a Trainer gives it, and returns a loss."""

    def __init__(self):
        super().__init__()
        self.net = net()

    def forward(self, x, labels):
        return {"loss": nn.functional.mse_loss(self.net(x), labels)}


def samples(batches=BATCHES):
    return [{"x": x, "labels": y} for x, y in data(batches)]


def arguments(folder="out", **options):
    return TrainingArguments(
        folder,
        **{
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": BATCH,
            "save_strategy": "steps",
            "save_steps": 1,
            "logging_steps": 1,
            "logging_first_step": True,
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
        }
        | options,
    )


class Given(Trainer):
    """Gets optimizer and Scheduler ready made."""

    def __init__(self, args, steps=STEPS, batches=BATCHES, **options):
        model = Model()
        optimizer = sgd(model.parameters())
        self.seen = watch(optimizer)
        scheduler = lehr.Scheduler(optimizer, SCHEDULES, steps, **options)
        super().__init__(
            model, args, train_dataset=samples(batches), optimizers=(optimizer, scheduler)
        )


class Making(Trainer):
    """Makes both when it knows how long it trains; its optimizer is by then a wrapped one."""

    def __init__(self, args, steps=None):
        super().__init__(Model(), args, train_dataset=samples())

    def create_optimizer(self, model=None):
        self.optimizer = sgd(self.model.parameters())
        self.seen = watch(self.optimizer)
        return self.optimizer

    def create_scheduler(self, num_training_steps, optimizer=None):
        self.lr_scheduler = lehr.Scheduler(
            optimizer or self.optimizer, SCHEDULES, num_training_steps
        )
        return self.lr_scheduler


def logged(trainer):
    return [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]


@pytest.mark.parametrize("batches_per_step", [1, 2])
@pytest.mark.parametrize("kind", [Given, Making])
def test_every_step_has_the_values_of_the_schedules_and_so_has_a_resumed_run(
    kind, batches_per_step
):
    steps = STEPS // batches_per_step
    args = arguments(gradient_accumulation_steps=batches_per_step)
    whole = kind(args, steps)
    whole.train()
    assert whole.state.global_step == steps
    assert whole.seen == expected(steps, steps)
    assert logged(whole) == [values[0] for values in whole.seen]
    for cut in range(1, steps, 2):
        again = kind(arguments("again", gradient_accumulation_steps=batches_per_step), steps)
        again.train(resume_from_checkpoint=f"out/checkpoint-{cut}")
        assert again.seen == expected(steps, steps)[cut:], cut
        assert logged(again) == logged(whole), cut
        assert same(weights(again.model), weights(whole.model)), cut


def test_counting_the_optimizer_s_steps_trains_alike_but_logs_the_rate_of_the_next_step():
    whole = Given(arguments(), count="optimizer")
    whole.train()
    assert whole.seen == expected(STEPS, STEPS)
    assert logged(whole) == [values[0] for values in expected(STEPS + 1, STEPS)[1:]]
    again = Given(arguments("again"), count="optimizer")
    again.train(resume_from_checkpoint="out/checkpoint-5")
    assert again.seen == expected(STEPS, STEPS)[5:]
    assert same(weights(again.model), weights(whole.model))


def test_another_length_is_refused_on_resuming():
    Given(arguments()).train()
    longer = Given(arguments("again", num_train_epochs=2 * EPOCHS), 2 * STEPS)
    with pytest.raises(ValueError, match="steps"):
        longer.train(resume_from_checkpoint="out/checkpoint-5")
    told = Given(arguments("again", num_train_epochs=2 * EPOCHS), 2 * STEPS, keep="step")
    told.train(resume_from_checkpoint="out/checkpoint-5")
    assert told.seen == expected(2 * STEPS, 2 * STEPS)[5:]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transformers")
    ended = together([sys.executable, RANKS, str(folder)], 2, PATIENCE)
    assert not any(code for code, _, _ in ended), "\n".join(err for _, _, err in ended)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_take_the_same_steps(pair):
    """The Trainer calls a Scheduler once a step, though Accelerate would once for each process."""
    for rank, (whole, again) in enumerate(pair):
        assert whole["processes"] == 2
        assert whole["seen"] == expected(STEPS, STEPS)
        assert again["seen"] == whole["seen"][7:]
        assert same(again["weights"], whole["weights"])
        if rank == 0:
            assert whole["logged"] == again["logged"] == [values[0] for values in whole["seen"]]


def test_the_trainer_calls_create_scheduler_alone():
    """What is made in `create_optimizer_and_scheduler` it never sees."""

    class Together(Trainer):
        def create_optimizer_and_scheduler(self, num_training_steps):
            raise AssertionError

    Together(Model(), arguments(), train_dataset=samples()).train()
