"""What the benches compare with. A baseline never changes in a commit of the code it judges."""

import math

import numpy as np

# One transcendental of the standard library.
cos = math.cos

# The interpreter alone, and what importing lehr adds to it.
PASS = "pass"


def numpy_combined_cos(steps: int, pct: float, start: float, middle: float, end: float):
    """The closed form of `combined_cos` over `k / steps` in numpy float64, in two slices."""
    pos = np.arange(steps) / steps
    split = math.ceil(steps * pct)
    out = np.empty(steps)
    rise, fall = pos[:split] / pct, (pos[split:] - pct) / (1 - pct)
    out[:split] = start + (1 + np.cos(np.pi * (1 - rise))) * (middle - start) / 2
    out[split:] = middle + (1 + np.cos(np.pi * (1 - fall))) * (end - middle) / 2
    return out


def bare_loop(step, iterations: int):
    """Training steps whose loss is read each time, and nothing else."""
    for _ in range(iterations):
        step().item()


def plain_copy(tensors):
    """A copy of every tensor in memory."""
    return [tensor.detach().clone() for tensor in tensors]


def reference_rules():
    """The reference's suggestion rules by name, and how it is given a curve."""
    import torch
    from fastai.callback import schedule

    def as_curve(values):
        return torch.tensor(values, dtype=torch.float32)

    names = ("valley", "slide", "minimum", "steep")
    return {name: getattr(schedule, name) for name in names}, as_curve


def hand_written_loop(
    model, optimizer, loss_func, batches, lr_max, div=25, div_final=1e5, pct=0.25
):
    """One epoch of 1cycle with rates, momenta and the debiased average of the loss kept."""
    model.train()
    steps = len(batches)
    lrs, momenta, losses = [], [], []
    average, weight = 0.0, 0.0
    for step, (x, y) in enumerate(batches):
        pos = step / steps
        if pos < pct:
            share = (1 - math.cos(math.pi * pos / pct)) / 2
            lr = lr_max / div + share * (lr_max - lr_max / div)
            momentum = 0.95 - share * 0.1
        else:
            share = (1 - math.cos(math.pi * (pos - pct) / (1 - pct))) / 2
            lr = lr_max + share * (lr_max / div_final - lr_max)
            momentum = 0.85 + share * 0.1
        for group in optimizer.param_groups:
            group["lr"] = lr
            group["momentum"] = momentum
        loss = loss_func(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        average = 0.98 * average + 0.02 * loss.item()
        weight = 0.98 * weight + 0.02
        losses.append(average / weight)
        lrs.append(lr)
        momenta.append(momentum)
    return lrs, momenta, losses


def write_groups(groups, a, b):
    """Write two hyper-parameters of every group, and nothing else."""
    for g in groups:
        g["lr"] = a
        g["momentum"] = b


def one_cycle_scheduler(optimizer, steps):
    """Torch's scheduler of rate and momentum."""
    from torch.optim.lr_scheduler import OneCycleLR

    return OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps).step


def timm_scheduler(optimizer, steps):
    """Timm's scheduler of the rate alone, as its training loop calls it."""
    from timm.scheduler import CosineLRScheduler

    scheduler = CosineLRScheduler(optimizer, t_initial=steps, warmup_t=10, t_in_epochs=False)
    return lambda: scheduler.step_update(100)


def transformers_scheduler(optimizer, steps):
    """Transformers' scheduler of the rate alone."""
    from transformers import get_cosine_schedule_with_warmup

    return get_cosine_schedule_with_warmup(optimizer, 10, steps).step


def torch_lr_finder_sweep(model, optimizer, loader, start, end, iterations):
    """A sweep of torch-lr-finder; it restores nothing unless it is told to."""
    import torch
    from torch_lr_finder import LRFinder

    def run():
        finder = LRFinder(model, optimizer, torch.nn.MSELoss(), device="cpu")
        finder.range_test(
            loader, start_lr=start, end_lr=end, num_iter=iterations, diverge_th=math.inf
        )
        finder.reset()
        return len(finder.history["loss"])

    return run


def ignite_sweep(model, optimizer, loader, start, end, iterations):
    """A sweep of ignite, which restores what it is given."""
    import torch
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    engine = create_supervised_trainer(model, optimizer, torch.nn.MSELoss())
    saved = {"model": model, "optimizer": optimizer}

    def run():
        finder = FastaiLRFinder()
        with finder.attach(
            engine, saved, num_iter=iterations, start_lr=start, end_lr=end, diverge_th=math.inf
        ) as attached:
            attached.run(loader, max_epochs=2)
        return len(finder.get_results()["loss"])

    return run


def lightning_sweep(model, optimizer, loader, start, end, iterations):
    """A sweep of Lightning's Tuner."""
    import lightning
    import torch
    from lightning.pytorch.tuner import Tuner

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.lr = model, start

        def training_step(self, batch, _index):
            x, y = batch
            return torch.nn.functional.mse_loss(self.model(x), y)

        def configure_optimizers(self):
            return type(optimizer)(self.model.parameters(), lr=self.lr)

    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=2,
    )  # fmt: skip
    tuner, module = Tuner(trainer), Module()

    def run():
        found = tuner.lr_find(
            module, loader, min_lr=start, max_lr=end, num_training=iterations,
            early_stop_threshold=None,
        )  # fmt: skip
        return len(found.results["loss"])

    return run


def fastai_sweep(model, optimizer, loader, start, end, iterations):
    """A sweep of fastai's Learner, without its progress bar and its log."""
    import fastai.callback.progress
    import fastai.callback.schedule  # noqa: F401 (both add methods to the Learner)
    import torch
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

    learn = Learner(
        DataLoaders(loader, loader, device=torch.device("cpu")),
        model,
        torch.nn.MSELoss(),
        lambda params, lr: OptimWrapper(params, type(optimizer), lr=lr),
    )

    def run():
        with learn.no_bar(), learn.no_logging():
            learn.lr_find(
                start, end, num_it=iterations, stop_div=False, show_plot=False, suggest_funcs=None
            )
        return len(learn.recorder.losses)

    return run
