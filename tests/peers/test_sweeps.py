"""Our sweeps of models, loaders and optimizers of other trainers, and beside their own finders."""

import lehr
import lightning
import pytest
import torch
from accelerate import Accelerator
from lehr import Finder, Sweep, lr_find
from lightning.pytorch.tuner import Tuner
from runs import BATCH, data, net, same, weights
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DefaultDataCollator,
    Trainer,
    TrainingArguments,
)

BATCHES, STEPS = 6, 12
SWEEP = {"start": 1e-5, "end": 10.0, "num_it": 40}


def batches():
    return DataLoader(data(BATCHES), BATCH, shuffle=True)


# Lightning.


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.lr = net(), 0.1

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.mse_loss(self.net(x), y)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.net.parameters(), lr=self.lr)
        self.scheduler = lehr.Scheduler(optimizer, {"lr": lehr.SchedLin(0.1, 0)}, STEPS)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.scheduler, "interval": "step"},
        }


def lightning_trainer(**options):
    return lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **options,
    )  # fmt: skip


def test_a_lightning_module_is_swept_by_its_own_step_and_trains_on_as_if_it_had_not():
    ends = []
    for swept in (False, True):
        torch.manual_seed(0)
        module, loader = Module(), batches()
        if swept:
            optimizer = module.configure_optimizers()["optimizer"]
            with Finder(module, optimizer, loader, **SWEEP) as finder:
                for index, batch in enumerate(finder):
                    loss = module.training_step(batch, index)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    module.scheduler.step()
                    finder.record(loss)
            assert len(finder.sweep) > 20
            assert len(optimizer.state) == 0
            assert module.scheduler.last_epoch == 0
        lightning_trainer(max_epochs=2).fit(module, loader)
        ends.append(weights(module))
    assert same(*ends)


class SweepFirst(lightning.Callback):
    """Sweeps when a training begins, with what the Trainer has made."""

    def on_train_start(self, trainer, module):
        (optimizer,) = trainer.optimizers
        with Finder(module, optimizer, trainer.train_dataloader, **SWEEP) as finder:
            for batch in finder:
                loss = module.training_step(batch, 0)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                finder.record(loss)
        self.sweep = finder.sweep


def test_a_sweep_inside_a_lightning_training_leaves_it_as_it_was():
    ends = []
    for callbacks in ([], [SweepFirst()]):
        torch.manual_seed(0)
        module = Module()
        lightning_trainer(max_epochs=2, callbacks=callbacks).fit(module, batches())
        ends.append(weights(module))
    assert len(callbacks[0].sweep) > 20
    assert same(*ends)


# Transformers.


class Tokens(torch.utils.data.Dataset):
    def __len__(self):
        return BATCH * BATCHES

    def __getitem__(self, index):
        ids = torch.arange(index, index + 6) % 32
        return {"input_ids": ids, "attention_mask": torch.ones(6, dtype=torch.long),
                "labels": torch.tensor(index % 2)}  # fmt: skip


def transformers_trainer(folder):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=8,
    )  # fmt: skip
    arguments = TrainingArguments(
        str(folder), num_train_epochs=2, per_device_train_batch_size=BATCH, save_strategy="no",
        report_to=[], disable_tqdm=True, use_cpu=True, learning_rate=1e-3, weight_decay=0.01,
    )  # fmt: skip
    return Trainer(
        BertForSequenceClassification(config), arguments, train_dataset=Tokens(),
        data_collator=DefaultDataCollator(),
    )  # fmt: skip


def plain_sweep(trainer, loader):
    sweep = lr_find(trainer.model, trainer.optimizer, loader, **SWEEP)
    # Groups with and without decay keep one rate.
    assert sweep.settings["ratios"] == (1.0, 1.0)
    return sweep


def own_loop_sweep(trainer, loader):
    with Finder(trainer.model, trainer.optimizer, loader, **SWEEP) as finder:
        for batch in finder:
            loss = trainer.compute_loss(trainer.model, batch)
            trainer.accelerator.backward(loss)
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()
            finder.record(loss)
    return finder.sweep


def decay_sweep(trainer, loader):
    sweep = lr_find(
        trainer.model, trainer.optimizer, loader, hyper="weight_decay", start=1e-4, end=1, num_it=20
    )
    assert sweep.settings["ratios"] == (1.0, 0.0)
    return sweep


@pytest.mark.parametrize("kind", [plain_sweep, own_loop_sweep, decay_sweep])
def test_a_transformers_model_is_swept_and_its_trainer_trains_as_if_it_had_not(kind, tmp_path):
    ends = []
    for swept in (False, True):
        trainer = transformers_trainer(tmp_path)
        trainer.create_optimizer()
        # Made in both runs: preparing a loader draws.
        loader = trainer.get_train_dataloader()
        if swept:
            assert len(kind(trainer, loader)) >= 20
            assert len(trainer.optimizer.state) == 0
        trainer.train()
        ends.append(weights(trainer.model))
    assert same(*ends)


# Accelerate.


def test_what_accelerate_has_prepared_is_swept_and_trains_as_if_it_had_not():
    ends = []
    for swept in (False, True):
        torch.manual_seed(0)
        accelerator = Accelerator(cpu=True)
        model = net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        model, optimizer, loader = accelerator.prepare(model, optimizer, batches())
        if swept:
            with Finder(model, optimizer, loader, **SWEEP) as finder:
                for x, y in finder:
                    loss = nn.functional.mse_loss(model(x), y)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                    finder.record(loss)
            assert len(finder.sweep) > 20
            assert len(lr_find(model, optimizer, loader, nn.functional.mse_loss, **SWEEP)) > 20
            assert loader.iteration == 0
            assert not accelerator.gradient_state.in_dataloader
        for x, y in loader:
            accelerator.backward(nn.functional.mse_loss(model(x), y))
            optimizer.step()
            optimizer.zero_grad()
        ends.append(weights(model))
    assert same(*ends)


# ignite.


def test_the_process_function_of_ignite_is_swept_and_trains_as_if_it_had_not():
    from ignite.engine import create_supervised_trainer

    ends = []
    for swept in (False, True):
        torch.manual_seed(0)
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        engine = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
        loader = batches()
        if swept:
            with Finder(model, optimizer, loader, **SWEEP) as finder:
                for batch in finder:
                    finder.record(engine._process_function(engine, batch))
            assert len(finder.sweep) > 20
        engine.run(loader, max_epochs=2)
        ends.append(weights(model))
    assert same(*ends)


# Beside the finders of others: the same rates on the same batches give the same losses.


def fixed_batches():
    return DataLoader(data(BATCHES), BATCH)


def beside(rates):
    """Our losses at the rates that another finder used."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return lr_find(
        model, optimizer, fixed_batches(), nn.functional.mse_loss, values=rates, stop_div=False
    )


def test_losses_of_torch_lr_finder_are_ours_when_its_average_is_inverted():
    from torch_lr_finder import LRFinder

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    theirs = LRFinder(model, optimizer, nn.MSELoss(), device="cpu")
    theirs.range_test(fixed_batches(), end_lr=0.5, num_iter=30, diverge_th=1e9)
    history = theirs.history
    sweep = Sweep(history["lr"], history["loss"], smoothing="torch_lr_finder")
    assert len(sweep) == 30
    assert sweep.losses == pytest.approx(beside(sweep.lrs).losses, rel=1e-5)


def test_losses_of_lightning_are_ours_when_its_average_is_inverted():
    class Fixed(Module):
        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), lr=self.lr)

    module = Fixed()
    # Each epoch of its sweep begins the loader again, as ours does.
    theirs = Tuner(lightning_trainer(max_epochs=20)).lr_find(
        module, fixed_batches(), min_lr=1e-4, max_lr=0.5, num_training=30,
        early_stop_threshold=None,
    )  # fmt: skip
    rates, losses = theirs.results["lr"], theirs.results["loss"]
    sweep = Sweep(rates, losses, smoothing="lightning")
    assert len(sweep) >= 29
    assert sweep.losses[1:] == pytest.approx(beside(sweep.lrs).losses[1:], rel=1e-4)


def test_losses_of_ignite_are_ours_when_its_average_is_inverted():
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    rates = []
    # What it keeps as the rate of a step is the next one's.
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    engine = create_supervised_trainer(model, optimizer, nn.functional.mse_loss)
    theirs = FastaiLRFinder()
    saved = {"model": model, "optimizer": optimizer}
    with theirs.attach(engine, saved, num_iter=30, end_lr=0.5, diverge_th=1e9) as attached:
        attached.run(fixed_batches(), max_epochs=5)
    losses = theirs.get_results()["loss"]
    sweep = Sweep(rates[: len(losses)], losses, smoothing="ignite")
    assert len(sweep) >= 29
    assert sweep.losses == pytest.approx(beside(sweep.lrs).losses, rel=1e-5)
