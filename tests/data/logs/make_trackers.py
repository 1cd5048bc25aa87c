"""Make the logs in `tensorboard/` and `mlflow/` with the tools that write such logs.

Needs torch, lightning, transformers, fastai, tensorboard, tensorboardX and mlflow:

    python tests/data/logs/make_trackers.py

`../trackers.json` holds what tensorboard's own reader finds in each folder, and what mlflow's
client reads back. The times in the files are those of the run, so
every run of this script makes other bytes. `wandb/` is made by hand, from the layouts of its
exports: only a server makes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ |= {
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
socket.gethostname = lambda: "host"

import lightning as pl  # noqa: E402
import mlflow  # noqa: E402
import numpy as np  # noqa: E402
import tensorboardX  # noqa: E402
import torch  # noqa: E402
from fastai.callback.core import Callback  # noqa: E402
from fastai.callback.tensorboard import TensorBoardCallback  # noqa: E402
from fastai.data.core import DataLoaders  # noqa: E402
from fastai.learner import Learner  # noqa: E402
from lightning.pytorch.callbacks import LearningRateMonitor  # noqa: E402
from lightning.pytorch.loggers import TensorBoardLogger  # noqa: E402
from tensorboard import context  # noqa: E402
from tensorboard.backend.event_processing import (  # noqa: E402
    data_provider,
    event_accumulator,
    plugin_event_multiplexer,
)
from tensorboard.compat.proto.event_pb2 import Event  # noqa: E402
from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: E402
from tensorboard.plugins import base_plugin  # noqa: E402
from tensorboard.plugins.scalar import metadata as scalar_metadata  # noqa: E402
from tensorboard.plugins.scalar import scalars_plugin  # noqa: E402
from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: E402
from tensorboard.util import tensor_util  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402
from torch.utils.tensorboard import SummaryWriter  # noqa: E402
from transformers import Trainer, TrainingArguments  # noqa: E402

TENSORBOARD = HERE / "tensorboard"
MLFLOW = HERE / "mlflow"


def data() -> TensorDataset:
    """Return a regression of 8 inputs."""
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    return TensorDataset(x, x @ torch.linspace(-1, 1, 8)[:, None])


def sweep(n: int = 100, seed: int = 0) -> list[tuple[float, float]]:
    """Return the rates and losses of a sweep that ends where SGD diverges."""
    torch.manual_seed(seed)
    model = nn.Linear(8, 1)
    batches = list(DataLoader(data(), batch_size=16, shuffle=True))
    points = []
    for step in range(n):
        lr = 1e-5 * 10 ** (step / (n - 1) * 6)
        x, y = batches[step % len(batches)]
        loss = nn.functional.mse_loss(model(x), y)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p.sub_(lr * p.grad)
        points.append((lr, loss.item()))
    return points


def log(writer: SummaryWriter, points: list[tuple[float, float]], start: int = 0, **how) -> None:
    """Write a sweep, and things that are no scalars."""
    for step, (lr, loss) in enumerate(points, start):
        writer.add_scalar("lr", lr, step, **how)
        writer.add_scalar("loss", loss, step, **how)
    writer.add_histogram("weights", np.arange(10.0), 0)
    writer.add_text("note", "a sweep", 0)
    writer.add_image("image", np.zeros((3, 4, 4), np.uint8), 0)
    writer.close()


def torch_runs() -> None:
    """Write with torch and tensorboardX: numbers, tensors, restarts."""
    log(SummaryWriter(TENSORBOARD / "torch"), sweep())
    log(SummaryWriter(TENSORBOARD / "torch_tensors"), sweep(seed=1), new_style=True)
    log(tensorboardX.SummaryWriter(str(TENSORBOARD / "tensorboardx")), sweep(seed=2))
    doubles = SummaryWriter(TENSORBOARD / "torch_doubles")
    for step, (lr, loss) in enumerate(sweep(seed=3)):
        doubles.add_scalar("lr", lr, step, double_precision=True)
        doubles.add_scalar("loss", loss, step, new_style=True, double_precision=True)
    doubles.close()
    for name, how in ("restarted", {}), ("purged", {"purge_step": 30}):
        log(SummaryWriter(TENSORBOARD / name), sweep(50))
        time.sleep(1.1)  # the second in the name of a file
        log(SummaryWriter(TENSORBOARD / name, **how), sweep(60, seed=1)[30:], start=30)
    special = SummaryWriter(TENSORBOARD / "not_finite")
    for step, (lr, loss) in enumerate(sweep(40)):
        special.add_scalar("lr", lr, step)
        odd = {20: float("nan"), 38: float("inf"), 39: -float("inf")}
        special.add_scalar("loss", odd.get(step, loss), step)
    special.close()


def tensor_types() -> None:
    """Write scalars of every type, as numbers in their fields and as bytes."""
    writer = EventFileWriter(str(TENSORBOARD / "types"))
    values = {
        "float16": [1.5, -6e-8, 65504, float("inf"), float("nan")],
        "float32": [0.1, 3e38],
        "float64": [0.1, 1e300],
        "int8": [-128, 127],
        "int16": [-32768, 32767],
        "int32": [-(2**31), 2**31 - 1],
        "int64": [-(2**63), 2**53],
        "uint8": [0, 255],
        "uint16": [0, 65535],
        "bool": [0, 1],
    }
    for name, numbers in values.items():
        for step, number in enumerate(numbers):
            fields = tensor_util.make_tensor_proto(np.array(number, name))
            as_bytes = type(fields)(
                dtype=fields.dtype, tensor_content=np.array(number, name).tobytes()
            )
            for how, tensor in ("fields", fields), ("bytes", as_bytes):
                tag = f"{name} in {how}"
                metadata = scalar_metadata.create_summary_metadata(tag, "")
                value = Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
                summary = Summary(value=[value])
                writer.add_event(Event(wall_time=step + 0.5, step=step, summary=summary))
    writer.close()


class Module(pl.LightningModule):
    """A linear model with a rate that rises."""

    def __init__(self, batch_size: int, note: str) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = nn.Linear(8, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        x, y = batch
        loss = nn.functional.mse_loss(self.model(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-4)
        rise = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1.2)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": rise, "interval": "step"},
        }


def lightning_run() -> None:
    """Write with Lightning's logger and its monitor of rates."""
    torch.manual_seed(0)
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        log_every_n_steps=1,
        logger=TensorBoardLogger(TENSORBOARD, name="lightning"),
        callbacks=[LearningRateMonitor("step")],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(Module(16, "rates: rising"), DataLoader(data(), batch_size=16, shuffle=True))


class Loss(nn.Module):
    """A linear model that returns its loss, as transformers' models do."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        out = self.model(x)
        return {"loss": nn.functional.mse_loss(out, labels), "logits": out}


def transformers_run() -> None:
    """Write with the TensorBoard callback of transformers' Trainer."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(TENSORBOARD / "transformers")
    arguments = TrainingArguments(
        output_dir="scratch",
        report_to=["tensorboard"],
        logging_steps=1,
        num_train_epochs=3,
        per_device_train_batch_size=16,
        learning_rate=0.05,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    rows = [{"x": x, "labels": y} for x, y in data()]
    Trainer(model=Loss(), args=arguments, train_dataset=rows).train()


class Raw(Callback):
    """Keep each loss before fastai averages it."""

    def before_fit(self) -> None:
        self.losses = []

    def after_loss(self) -> None:
        if self.training:
            self.losses.append(self.loss.item())


def fastai_run() -> list[float]:
    """Write with fastai's callback; return the losses of which it writes the average."""
    loaders = DataLoaders.from_dsets(data(), data(), bs=16, device="cpu")
    learner = Learner(loaders, nn.Linear(8, 1), loss_func=nn.MSELoss(), model_dir="scratch")
    callback = TensorBoardCallback(
        TENSORBOARD / "fastai", trace_model=False, log_preds=False, projector=False
    )
    raw = Raw()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(3, 0.1, cbs=[callback, raw])
    return raw.losses


def exports() -> None:
    """Ask tensorboard for the files of its download buttons, named as its page names them."""
    folder = TENSORBOARD / "exports"
    folder.mkdir()
    tags = {
        "torch": ["lr", "loss"],
        "lightning/version_0": ["lr-SGD", "train_loss_step"],
        "transformers": ["train/learning_rate", "train/loss"],
    }
    runs = plugin_event_multiplexer.EventMultiplexer(
        {run: str(TENSORBOARD / run) for run in tags}
    ).Reload()
    plugin = scalars_plugin.ScalarsPlugin(
        base_plugin.TBContext(data_provider=data_provider.MultiplexerDataProvider(runs, ""))
    )
    for run, tag in [(run, tag) for run, both in tags.items() for tag in both]:
        body, _ = plugin.scalars_impl(
            context.RequestContext(), tag, run, "", scalars_plugin.OutputFormat.CSV
        )
        # A browser makes _ of what no file name can have.
        name = f"run-{run}-tag-{tag}.csv".replace("/", "_")
        (folder / name).write_text(body, encoding="utf-8", newline="")


def tensorboard_reads() -> dict[str, object]:
    """Return what tensorboard's reader finds in each folder."""
    found = {}
    for folder in sorted({path.parent for path in TENSORBOARD.rglob("events.out.tfevents.*")}):
        reader = event_accumulator.EventAccumulator(
            str(folder), size_guidance={"scalars": 0, "tensors": 0}
        ).Reload()
        tags = {}
        for tag in reader.Tags()["scalars"]:
            events = reader.Scalars(tag)
            tags[tag] = [[e.step, e.wall_time, e.value] for e in events]
        for tag in reader.Tags()["tensors"]:
            if reader.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                tags[tag] = [
                    [e.step, e.wall_time, tensor_util.make_ndarray(e.tensor_proto).item()]
                    for e in reader.Tensors(tag)
                ]
        found[folder.relative_to(TENSORBOARD).as_posix()] = tags
    return found


def mlflow_runs(uri: str) -> dict[str, object]:
    """Log two sweeps and a training to a store; return what mlflow's client reads back."""
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("sweeps", artifact_location="file:///artifacts")
    other = client.create_experiment("training: small", artifact_location="file:///artifacts")
    runs = [
        (experiment, "sweep 16", 16, "lr", "loss", sweep()),
        (experiment, "sweep 32", 32, "train/lr", "train/loss", sweep(seed=1)[:60]),
        (other, "training", 8, "learning_rate", "train_loss", sweep(40, seed=2)),
    ]
    found = {}
    for experiment_id, name, batch_size, lr_key, loss_key, points in runs:
        run = client.create_run(experiment_id, run_name=name)
        client.log_param(run.info.run_id, "batch_size", batch_size)
        client.log_param(run.info.run_id, "optim/name", "SGD")
        for step, (lr, loss) in enumerate(points):
            client.log_metric(run.info.run_id, lr_key, lr, step=step)
            odd = {20: float("nan"), 21: float("inf")} if name == "training" else {}
            client.log_metric(run.info.run_id, loss_key, odd.get(step, loss), step=step)
        client.set_terminated(run.info.run_id)
        found[name] = {
            "run_id": run.info.run_id,
            "experiment": client.get_experiment(experiment_id).name,
            **{
                key: [
                    [m.step, m.value]
                    for m in sorted(
                        client.get_metric_history(run.info.run_id, logged), key=lambda m: m.step
                    )
                ]
                for key, logged in (("lr", lr_key), ("loss", loss_key))
            },
        }
    return found


def small(database: Path) -> None:
    """Drop the tables of what mlflow does beside its tracking, and the paths of this machine."""
    kept = {"alembic_version", "experiments", "runs", "metrics", "latest_metrics", "params", "tags"}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
        for (name,) in tables:
            if name not in kept and not name.startswith("sqlite_"):
                connection.execute(f'DROP TABLE "{name}"')
        connection.execute("UPDATE experiments SET artifact_location = '/mlflow'")
        connection.commit()
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")


def mlflow_stores() -> dict[str, object]:
    """Fill a store of files and a database; return what mlflow's client reads back."""
    MLFLOW.mkdir()
    database = MLFLOW / "mlflow.db"
    found = {
        "mlruns": mlflow_runs((MLFLOW / "mlruns").absolute().as_uri()),
        "mlflow.db": mlflow_runs(f"sqlite:///{database.absolute()}"),
    }
    for meta in MLFLOW.rglob("meta.yaml"):
        text = meta.read_text(encoding="utf-8")
        meta.write_text(text.replace(str(MLFLOW), "/mlflow"), encoding="utf-8")
    small(database)
    return found


def main() -> None:
    """Make all of them anew."""
    for folder in (TENSORBOARD, MLFLOW):
        shutil.rmtree(folder, ignore_errors=True)
    os.chdir(tempfile.mkdtemp())
    torch_runs()
    tensor_types()
    lightning_run()
    transformers_run()
    fastai_losses = fastai_run()
    exports()
    found = {
        "tensorboard": tensorboard_reads(),
        "fastai_losses": fastai_losses,
        "mlflow": mlflow_stores(),
    }
    (HERE.parent / "trackers.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
