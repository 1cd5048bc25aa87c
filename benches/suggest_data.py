"""Make `data/lr_bench_own.npz`: LR-finder sweeps, and what a training at each rate gives.

    python benches/suggest_data.py [task ...]

All rates and seeds of a task train at once, their parameters stacked, each on its own batches.
A combination that is there already under `results/` is not trained again, so that a run that was
interrupted goes on. See `data/README.md` for the arrays.
"""

import sys
import time
from pathlib import Path

import lehr
import numpy as np
import torch
from suggest_tasks import TASKS
from torch.func import functional_call, vmap

HERE = Path(__file__).parent
PARTS = HERE / "results" / "lr_bench_own"
OUT = HERE / "data" / "lr_bench_own.npz"

OPTS = ["sgd", "adam", "adamw"]
GRID = 10.0 ** (np.arange(-21, 4) / 3)
BUDGETS = np.array([100, 300, 1000, 3000])
# Two seeds of training; those of sweeps are others.
TRAIN_SEEDS, SWEEP_SEEDS, LONG_SEEDS = [0, 1], [10, 11, 12, 13, 14, 15], [20, 21]
EVAL = 1024  # samples of an evaluation


class Stack:
    """Copies of a task's module that train side by side, one for each entry of `seeds`."""

    def __init__(self, task, seeds):
        modules = {}
        for seed in dict.fromkeys(seeds):
            torch.manual_seed(seed)
            modules[seed] = task.net()
        self.task, self.base = task, modules[seeds[0]]
        self.names = [name for name, _ in self.base.named_parameters()]
        self.shapes = [p.shape for p in self.base.parameters()]
        self.sizes = [p.numel() for p in self.base.parameters()]
        rows = {s: torch.cat([p.detach().flatten() for p in m.parameters()])
                for s, m in modules.items()}  # fmt: skip
        self.flat = torch.stack([rows[seed] for seed in seeds]).requires_grad_()
        self.seeds = seeds
        torch.manual_seed(1000 + seeds[0])

    def losses(self, batch, shared=False):
        """Return the loss of each copy on its batch, or on one that all share."""
        parts = self.flat.split(self.sizes, dim=1)
        tables = {
            name: part.reshape(-1, *shape)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }
        call = vmap(
            lambda tables, *batch: functional_call(self.base, tables, batch),
            in_dims=(0, *[None if shared else 0] * len(batch)),
            randomness="different",
        )
        return call(tables, *batch)

    def evaluate(self):
        """Return the loss of each copy on fixed samples of training and of validation."""
        self.base.eval()
        with torch.no_grad():
            parts = [
                self.losses([t[:EVAL] for t in part], shared=True)
                for part in (self.task.train, self.task.valid)
            ]
        self.base.train()
        return torch.stack(parts, dim=1).numpy()

    def run(self, opt, rates, momenta):
        """Train on `rates` of shape (steps, copies or 1); return the batch losses, (steps, copies).

        A loss that is not finite ends its copy: NaN from there on.
        """
        order = batches(self.task, self.seeds, len(rates))
        step = Optimizer(opt, self.flat)
        seen = torch.empty(len(rates), len(self.seeds))
        for i, rate in enumerate(torch.tensor(rates, dtype=torch.float32)):
            losses = self.losses([t[order[i]] for t in self.task.train])
            (grad,) = torch.autograd.grad(losses.sum(), self.flat)
            seen[i] = losses.detach()
            step(grad, rate[:, None], float(momenta[i]))
        ended = np.logical_or.accumulate(~np.isfinite(seen.numpy()), axis=0)
        return np.where(ended, np.nan, seen.numpy())


class Optimizer:
    """SGD with momentum, Adam and AdamW as PyTorch has them, with a rate for each row."""

    def __init__(self, name, flat):
        self.name, self.flat = name, flat
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.steps = 0

    @torch.no_grad()
    def __call__(self, grad, rate, momentum):
        """Step once; `rate` is a column, a row each."""
        self.steps += 1
        if self.name == "sgd":
            self.mean.mul_(momentum).add_(grad)
            self.flat.sub_(rate * self.mean)
            return
        if self.name == "adamw":
            self.flat.mul_(1 - 0.01 * rate)
        self.mean.lerp_(grad, 1 - momentum)
        self.square.mul_(0.999).addcmul_(grad, grad, value=0.001)
        size = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.flat.sub_(rate / (1 - momentum**self.steps) * self.mean / size)


def batches(task, seeds, steps):
    """Return the samples of each step, (steps, copies, batch): shuffled anew each epoch."""
    rows = len(task.train[0])
    drawn = {}
    for seed in dict.fromkeys(seeds):
        generator = torch.Generator().manual_seed(seed)
        epochs = -(-steps // (rows // task.batch))
        usable = rows // task.batch * task.batch
        orders = [torch.randperm(rows, generator=generator)[:usable] for _ in range(epochs)]
        drawn[seed] = torch.cat(orders).view(-1, task.batch)[:steps]
    return torch.stack([drawn[seed] for seed in seeds], dim=1)


def sweep(task, opt, seeds, num):
    rates = 1e-7 * 1e8 ** (np.arange(num) / num)
    return Stack(task, seeds).run(opt, rates[:, None], np.full(num, 0.9)).T


def train(task, opt, steps):
    """Return train and validation loss after 1cycle trainings, (seeds, rates, 2)."""
    seeds = [seed for seed in TRAIN_SEEDS for _ in GRID]
    place = np.arange(steps) / steps
    shape = lehr.combined_cos(0.25, 1 / 25, 1.0, 1e-5)(place)
    momenta = lehr.combined_cos(0.25, 0.95, 0.85, 0.95)(place)
    stack = Stack(task, seeds)
    seen = stack.run(opt, shape[:, None] * np.tile(GRID, len(TRAIN_SEEDS)), momenta)
    final = stack.evaluate()
    final[~np.isfinite(final).all(1) | np.isnan(seen[-1])] = np.nan
    return final.reshape(len(TRAIN_SEEDS), len(GRID), 2)


def make(task, opt):
    return {
        "task": task.name,
        "opt": opt,
        "set": "shifted" if task.shifted else "ordinary",
        "sweep_loss": sweep(task, opt, SWEEP_SEEDS, 100),
        "long_loss": sweep(task, opt, LONG_SEEDS, 400),
        "grid": GRID,
        "final_loss": np.stack([train(task, opt, steps) for steps in BUDGETS]),
        "init_loss": Stack(task, TRAIN_SEEDS).evaluate(),
    }


def pack(names):
    """Write all combinations of these tasks that are made into one file."""
    files = [PARTS / f"{name}-{opt}.npz" for name in names for opt in OPTS]
    parts = [dict(np.load(file)) for file in files if file.exists()]
    arrays = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
    shared = {
        "sweep_lr": 1e-7 * 1e8 ** (np.arange(100) / 100),
        "long_lr": 1e-7 * 1e8 ** (np.arange(400) / 400),
        "budgets": BUDGETS,
    }
    np.savez_compressed(OUT, **arrays, **shared)


def main(chosen):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    PARTS.mkdir(parents=True, exist_ok=True)
    tasks = [make_task() for make_task in TASKS if not chosen or make_task.__name__ in chosen]
    for count, task in enumerate(tasks, 1):
        for opt in OPTS:
            file = PARTS / f"{task.name}-{opt}.npz"
            if not file.exists():
                start = time.perf_counter()
                np.savez(file, **make(task, opt))
                print(f"{file.stem:<24} {time.perf_counter() - start:6.1f} s", flush=True)
        if count % -(-len(tasks) // 3) == 0 or count == len(tasks):
            pack([make_task.__name__ for make_task in TASKS])


if __name__ == "__main__":
    main(sys.argv[1:])
