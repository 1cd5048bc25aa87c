"""Make the logs of LR finders and trainings with the tools that write them.

Needs lehr, torch, scikit-learn, fastai, lightning, torch-lr-finder, pytorch-ignite, transformers,
keras and pyarrow:

    KERAS_BACKEND=torch python tests/data/logs/make.py

`.expected.json`, hidden as it is no log, holds for each file the rates and the losses of single
batches (those of epochs for Keras), as seen in memory while the tool ran, not read off the file.
The small model is fitted to the digits of scikit-learn. `broken/` holds pieces of these files, and
files no tool writes.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}

import fastai.callback.schedule
import ignite.engine
import ignite.handlers
import keras
import lightning as pl
import numpy as np
import torch
import torch_lr_finder
import transformers
from fastai.callback.progress import CSVLogger as FastaiCSVLogger
from fastai.data.core import DataLoaders
from fastai.learner import Callback, Learner
from fastai.metrics import accuracy
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, dict[str, list[float]]]] = {}
OURS = (
    "fastai lightning torch_lr_finder ignite transformers keras lehr generic broken".split()  # noqa: SIM905
)


def digits() -> TensorDataset:
    """Return 1,024 images and their digits."""
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images[:1024] / 16, dtype=torch.float32)
    return TensorDataset(x, torch.tensor(labels[:1024], dtype=torch.int64))


def loader(seed: int = 0) -> DataLoader:
    """Return shuffled batches of 32."""
    shuffled = torch.Generator().manual_seed(seed)
    return DataLoader(digits(), batch_size=32, shuffle=True, generator=shuffled)


def network(seed: int = 0) -> nn.Module:
    """Return a small classifier."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def groups(model: nn.Module, rates: tuple[float, float]) -> list[dict[str, object]]:
    """Return a parameter group for each layer."""
    first, last = model[0], model[2]
    return [
        {"params": list(layer.parameters()), "lr": lr}
        for layer, lr in zip((first, last), rates, strict=True)
    ]


def keep(path: str, name: str, lrs: list[float], losses: list[float]) -> None:
    """Remember a curve of a file."""
    EXPECTED.setdefault(path, {})[name] = {
        "lr": [float(lr) for lr in lrs],
        "loss": [float(loss) for loss in losses],
    }


def dump(path: str, document: object) -> None:
    """Write JSON."""
    (HERE / path).parent.mkdir(parents=True, exist_ok=True)
    (HERE / path).write_text(json.dumps(document))


class Seen(Callback):
    """Keep the loss of each batch of fastai, before it is averaged, and its rate."""

    order = 70

    def before_fit(self) -> None:
        self.lrs, self.losses = [], []

    def after_pred(self) -> None:
        if self.training:
            self.lrs.append(self.opt.hypers[-1]["lr"])

    def after_loss(self) -> None:
        if self.training:
            self.losses.append(self.loss.item())


def of_fastai() -> None:
    """Sweep with lr_find, then train with CSVLogger."""
    (HERE / "fastai").mkdir()
    data = DataLoaders(loader(), loader(1))
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(
            data, network(), nn.CrossEntropyLoss(), metrics=accuracy, path=folder, cbs=Seen()
        )
        learner.lr_find(show_plot=False, suggest_funcs=())
        recorder = learner.recorder
        lrs = [float(lr) for lr in recorder.lrs]
        losses = [float(loss) for loss in recorder.losses]
        dump("fastai/recorder.json", {"lrs": lrs, "losses": losses})
        known = {"iters": recorder.iters, "metric_names": list(recorder.metric_names)}
        dump("fastai/recorder_full.json", {"lrs": lrs, "losses": losses, "values": [], **known})
        for path in ("fastai/recorder.json", "fastai/recorder_full.json"):
            count = len(losses)
            keep(path, "", learner.seen.lrs[:count], learner.seen.losses[:count])
        learner.fit_one_cycle(2, 1e-2, cbs=FastaiCSVLogger(fname=HERE / "fastai/history.csv"))


class Module(pl.LightningModule):
    """The classifier for Lightning, which keeps the loss and rate of each step."""

    def __init__(self, rates: tuple[float, ...] = (1e-3,)) -> None:
        super().__init__()
        self.net, self.lr, self.rates = network(), rates[0], rates
        self.seen: list[tuple[float, float]] = []

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.seen.append((self.optimizers().param_groups[-1]["lr"], loss.item()))
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> dict[str, object]:
        if len(self.rates) == 1:
            optimizer = torch.optim.SGD(self.net.parameters(), lr=self.lr)
        else:
            optimizer = torch.optim.AdamW(groups(self.net, self.rates))
        steps = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.15)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steps, "interval": "step"}}


def trainer(folder: Path | str, **more: object) -> pl.Trainer:
    """Return a quiet trainer."""
    return pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **more,
    )


def of_lightning() -> None:
    """Sweep with the tuner; log trainings of one and two groups with CSVLogger."""
    with tempfile.TemporaryDirectory() as folder:
        module = Module()
        found = Tuner(trainer(folder, logger=False, max_epochs=50)).lr_find(
            module, loader(), num_training=100, update_attr=False
        )
        dump("lightning/results.json", found.results)
        count = len(found.results["lr"])
        # The first step is at the first rate, before the scheduler writes any.
        keep(
            "lightning/results.json",
            "",
            found.results["lr"],
            [loss for _, loss in module.seen][:count],
        )
    for name, rates in ("one", (1e-3,)), ("two", (1e-4, 1e-3)):
        module = Module(rates)
        logger = CSVLogger(HERE / "lightning", name="", version=name)
        trainer(
            HERE,
            logger=logger,
            max_epochs=2,
            limit_val_batches=2,
            log_every_n_steps=1,
            callbacks=[LearningRateMonitor("step", log_momentum=True)],
        ).fit(module, loader(), DataLoader(digits(), batch_size=32))
        keep(f"lightning/{name}/metrics.csv", "", *zip(*module.seen, strict=True))
        if name == "two":
            first = [1e-4 * 1.15**step for step in range(len(module.seen))]
            losses = [loss for _, loss in module.seen]
            keep("lightning/two/metrics.csv", "lr[0]", first, losses)


class Kept(nn.CrossEntropyLoss):
    """A loss that keeps its values."""

    def forward(self, *args: torch.Tensor) -> torch.Tensor:
        loss = super().forward(*args)
        self.__dict__.setdefault("seen", []).append(loss.item())
        return loss


def of_torch_lr_finder() -> None:
    """Sweep a range test; dump its history, and all that it keeps."""
    model, loss = network(), Kept()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
    finder = torch_lr_finder.LRFinder(model, optimizer, loss, device="cpu")
    finder.range_test(loader(), end_lr=30, num_iter=100)
    dump("torch_lr_finder/history.json", finder.history)
    dump("torch_lr_finder/finder.json", {"history": finder.history, "best_loss": finder.best_loss})
    for name in ("history", "finder"):
        keep(f"torch_lr_finder/{name}.json", "", finder.history["lr"], loss.seen)


def of_ignite() -> None:
    """Sweep with FastaiLRFinder, one group and two."""
    for name in ("one", "two"):
        model, loss = network(), Kept()
        one, two = model.parameters(), groups(model, (1e-5, 1e-4))
        optimizer = torch.optim.SGD(one if name == "one" else two, lr=1e-5)
        engine = ignite.engine.create_supervised_trainer(model, optimizer, loss)
        finder = ignite.handlers.FastaiLRFinder()
        saved = {"model": model, "optimizer": optimizer}
        end = 30.0 if name == "one" else [3.0, 30.0]
        with finder.attach(engine, to_save=saved, num_iter=100, end_lr=end) as sweep:
            sweep.run(loader())
        results = finder.get_results()
        dump(f"ignite/{name}.json", results)
        last = [lr if name == "one" else lr[-1] for lr in results["lr"]]
        keep(f"ignite/{name}.json", "", last, loss.seen[: len(last)])
        if name == "two":
            first = [lr[0] for lr in results["lr"]]
            keep("ignite/two.json", "lr[0]", first, loss.seen[: len(last)])


class Classifier(nn.Module):
    """The classifier as a model of transformers, which keeps its losses."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = network(), []

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        loss = nn.functional.cross_entropy(logits, labels)
        if self.training:
            self.seen.append(loss.item())
        return {"loss": loss, "logits": logits}


def of_transformers() -> None:
    """Train with the Trainer, logging and evaluating by the way."""
    rows = [{"x": x, "labels": y} for x, y in digits()]
    model = Classifier()
    rates = []

    class Rates(transformers.TrainerCallback):
        def on_step_begin(self, *_: object, **known: object) -> None:
            rates.append(known["optimizer"].param_groups[-1]["lr"])

    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder,
            max_steps=60,
            learning_rate=1e-2,
            logging_steps=1,
            logging_first_step=True,
            eval_strategy="steps",
            eval_steps=20,
            save_strategy="steps",
            save_steps=60,
            per_device_train_batch_size=32,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        made = transformers.Trainer(
            model, arguments, train_dataset=rows, eval_dataset=rows[:64], callbacks=[Rates()]
        )
        made.train()
        (HERE / "transformers").mkdir()
        state = Path(folder) / "checkpoint-60" / "trainer_state.json"
        shutil.copy(state, HERE / "transformers" / "trainer_state.json")
    keep("transformers/trainer_state.json", "", rates, model.seen)


def of_keras() -> None:
    """Train epochs of growing rates, logged by CSVLogger with either separator."""
    (HERE / "keras").mkdir()
    images, labels = (part.numpy() for part in digits().tensors)
    for name, separator in ("training.log", ","), ("training.tsv", "\t"):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Dense(24, "relu"), keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(1e-4), loss, metrics=["accuracy"])
        raising = keras.callbacks.LearningRateScheduler(lambda epoch, _: 1e-4 * 1.6**epoch)
        logger = keras.callbacks.CSVLogger(HERE / "keras" / name, separator=separator)
        fitted = model.fit(
            images,
            labels,
            epochs=20,
            batch_size=64,
            verbose=0,
            callbacks=[raising, logger],
            validation_data=(images[:64], labels[:64]),
            validation_freq=2,
        )
        keep(f"keras/{name}", "", fitted.history["learning_rate"], fitted.history["loss"])


def main() -> None:
    """Make them all."""
    for name in OURS:
        shutil.rmtree(HERE / name, ignore_errors=True)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    pl.seed_everything(0, verbose=False)
    of_fastai()
    of_lightning()
    of_torch_lr_finder()
    of_ignite()
    of_transformers()
    of_keras()
    from plain import of_any_tool

    of_any_tool(HERE, keep)
    dump(".expected.json", EXPECTED)
    modules = (fastai, pl, ignite, transformers, keras, torch, np)
    sys.stdout.write(", ".join(f"{one.__name__} {one.__version__}" for one in modules) + "\n")


if __name__ == "__main__":
    main()
