"""Our Scheduler in Lightning's training: stepped, logged, saved and resumed by its Trainer."""

import csv
from pathlib import Path

import lehr
import lightning
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from runs import BATCH, SCHEDULES, data, expected, net, same, sgd, watch, weights
from torch import nn
from torch.utils.data import DataLoader

EPOCHS, BATCHES = 4, 6
STEPS = EPOCHS * BATCHES


class Loader(DataLoader):
    """A loader that goes on within an epoch: Lightning asks it for its state."""

    skip = 0

    def __iter__(self):
        self.given, self.skip = self.skip, 0
        for batch in list(super().__iter__())[self.given :]:
            self.given += 1
            yield batch

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.skip = state["given"] % len(self)


class Model(lightning.LightningModule):
    def __init__(self, interval="step", lightning_interval=None, optimizer=sgd, **options):
        super().__init__()
        self.net = net()
        self.make_optimizer = optimizer
        self.interval = lightning_interval or interval
        self.options = {"steps": STEPS, "interval": interval} | options

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.mse_loss(self.net(x), y)

    def configure_optimizers(self):
        optimizer = self.make_optimizer(self.net.parameters())
        self.seen = watch(optimizer)
        scheduler = lehr.Scheduler(optimizer, SCHEDULES, **self.options)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self.interval},
        }


def trainer(callbacks=(), **options):
    options = {
        "accelerator": "cpu",
        "max_epochs": EPOCHS,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in callbacks),
    } | options
    return lightning.Trainer(callbacks=[*callbacks], **options)


def fit(model, callbacks=(), ckpt_path=None, **options):
    torch.manual_seed(0)
    host = trainer(callbacks, **options)
    host.fit(model, Loader(data(BATCHES), batch_size=BATCH), ckpt_path=ckpt_path, weights_only=True)
    return model, host


# The options of our Scheduler, those of the trainer; steps taken and how many share their values.
KINDS = {
    "step": ({}, {}, STEPS, 1),
    "epoch": ({"interval": "epoch", "steps": EPOCHS}, {}, STEPS, BATCHES),
    "optimizer": ({"count": "optimizer"}, {}, STEPS, 1),
    "accumulated": (
        {"steps": STEPS // 2},
        {"accumulate_grad_batches": 2},
        STEPS // 2,
        1,
    ),
    "accumulated, optimizer": (
        {"steps": STEPS // 2, "count": "optimizer"},
        {"accumulate_grad_batches": 2},
        STEPS // 2,
        1,
    ),
    "accumulated, epoch": (
        {"interval": "epoch", "steps": "4 epochs"},
        {"accumulate_grad_batches": 2},
        STEPS // 2,
        3,
    ),
    "units": ({"steps": "4 epochs", "steps_per_epoch": BATCHES}, {}, STEPS, 1),
}


def schedule_steps(options):
    return (
        EPOCHS
        if options.get("interval") == "epoch"
        else {"4 epochs": STEPS}.get(options.get("steps"), options.get("steps", STEPS))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_has_the_values_of_the_schedules(kind):
    options, host_s, taken, every = KINDS[kind]
    model, host = fit(Model(**options), **host_s)
    assert host.global_step == taken
    assert model.seen == expected(taken, schedule_steps(options), every)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_ends_as_one_without_a_break(kind):
    options, host_s, taken, every = KINDS[kind]
    saver = ModelCheckpoint("saved", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole, _ = fit(Model(**options), [saver], **host_s)
    assert len(whole.seen) == taken
    for cut in range(1, taken):
        again, host = fit(Model(**options), ckpt_path=f"saved/step={cut}.ckpt", **host_s)
        assert host.global_step == taken
        assert again.seen == expected(taken, schedule_steps(options), every)[cut:], cut
        assert same(weights(again), weights(whole)), cut


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumed_after_an_epoch_ends_as_one_without_a_break(kind):
    options, host_s, taken, every = KINDS[kind]
    saver = ModelCheckpoint(
        "saved", filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True
    )
    whole, _ = fit(Model(**options), [saver], **host_s)
    for epoch in range(EPOCHS - 1):
        again, _ = fit(Model(**options), ckpt_path=f"saved/epoch={epoch}.ckpt", **host_s)
        cut = (epoch + 1) * taken // EPOCHS
        assert again.seen == expected(taken, schedule_steps(options), every)[cut:]
        assert same(weights(again), weights(whole))


@pytest.mark.parametrize("kind", ["step", "optimizer", "epoch"])
def test_the_learning_rate_monitor_logs_what_was_in_force(kind):
    options, host_s, *_ = KINDS[kind]
    monitor = LearningRateMonitor(log_momentum=True, log_weight_decay=True)
    logger = CSVLogger(".", name="logs", version=0)
    model, _ = fit(Model(**options), [monitor], logger=logger, log_every_n_steps=1, **host_s)
    with Path("logs/version_0/metrics.csv").open() as file:
        logged = [
            [float(row[f"lr-SGD{end}"]) for end in ("", "-momentum", "-weight_decay")]
            for row in csv.DictReader(file)
        ]
    assert logged == (model.seen if kind != "epoch" else model.seen[::BATCHES])


def test_a_scheduler_that_counts_steps_warns_where_lightning_calls_it_every_epoch():
    """Lightning's own default, for which a training would end where it began."""
    with pytest.warns(UserWarning, match='the optimizer took 6 steps.*or say `interval="epoch"`'):
        fit(Model(lightning_interval="epoch"))


def test_a_training_goes_on_for_longer_where_it_is_told_how():
    saver = ModelCheckpoint("saved", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    fit(Model(), [saver])
    path = f"saved/step={STEPS // 2}.ckpt"
    with pytest.raises(ValueError, match="steps"):
        fit(Model(steps=2 * STEPS), ckpt_path=path, max_epochs=2 * EPOCHS)
    again, _ = fit(Model(steps=2 * STEPS, keep="step"), ckpt_path=path, max_epochs=2 * EPOCHS)
    assert again.seen == expected(2 * STEPS, 2 * STEPS)[STEPS // 2 :]


class Manual(Model):
    """Steps its optimizer and its Scheduler itself."""

    automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, index))
        optimizer.step()
        self.lr_schedulers().step()


class Observing(Model):
    """Tells a plateau at every epoch's end that nothing got better."""

    def __init__(self):
        super().__init__(plateau=lehr.Plateau(factor=0.5, patience=0))

    def on_train_epoch_end(self):
        self.lr_schedulers().observe(1.0)


@pytest.mark.parametrize("kind", [Manual, Observing])
def test_what_a_module_does_with_its_scheduler_itself_is_resumed_too(kind):
    saver = ModelCheckpoint("saved", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole, _ = fit(kind(), [saver])
    factors = [0.5 ** max(step // BATCHES - 1, 0) for step in range(STEPS)]
    if kind is Manual:
        factors = [1] * STEPS
    assert whole.seen == [
        [factor * rate, *others]
        for factor, (rate, *others) in zip(factors, expected(STEPS, STEPS), strict=True)
    ]
    # What is saved at an epoch's last batch is from before its end, which does not come again.
    for cut in (cut for cut in range(1, STEPS) if cut % BATCHES or kind is Manual):
        again, _ = fit(kind(), ckpt_path=f"saved/step={cut}.ckpt")
        assert again.seen == whole.seen[cut:], cut
        assert same(weights(again), weights(whole)), cut
