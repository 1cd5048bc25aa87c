"""One of several processes that train together, for tests/test_distributed.py.

    RANK=0 WORLD_SIZE=2 MASTER_ADDR=... MASTER_PORT=... python tests/ranks.py FOLDER [SCENARIO ...]

Runs scenarios, all by default, and writes what each found to FOLDER/RANK.pt.
"""

import contextlib
import faulthandler
import gc
import io
import multiprocessing
import os
import random
import sys
import traceback
import warnings
import weakref
from datetime import timedelta
from functools import partial
from pathlib import Path

import lehr
import numpy as np
import torch
from state import capture
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

WIDTH = 4
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def seed(number):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def points(count, number=0):
    """Inputs and the class of each; float64, so that the order of sums hardly matters."""
    generator = torch.Generator().manual_seed(number)
    x = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
    return TensorDataset(x, (x.sum(1) > 0).long())


def loaders(batch=8, train=96, valid=37, shuffle=False, **kwargs):
    if kwargs.get("num_workers"):
        # A worker that is forked while another thread, of gloo's, holds a lock waits for ever.
        multiprocessing.set_forkserver_preload(["torch"])
        kwargs["multiprocessing_context"] = "forkserver"
    return lehr.DataLoaders(
        DataLoader(points(train), batch_size=batch, shuffle=shuffle, **kwargs),
        DataLoader(points(valid, 1), batch_size=batch),
        device="cpu",
    )


def plain_net():
    return nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, 2)).double()


def noisy_net():
    """A net with all that processes have of their own: buffers, random numbers."""
    return nn.Sequential(
        nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2)
    ).double()


def halves(model):
    return [list(model[0].parameters()), list(model[1:].parameters())]


def learner(dls=None, model=plain_net, opt_func=None, **kwargs):
    """A learner that every process and number of processes makes alike."""
    seed(3)
    opt_func = opt_func or partial(torch.optim.SGD, momentum=0.9, lr=0.1)
    kwargs = {"metrics": lehr.accuracy, "splitter": halves} | kwargs
    learn = lehr.Learner(
        dls or loaders(), model(), nn.functional.cross_entropy, opt_func, lr=0.1, **kwargs
    )
    learn.remove_cbs(lehr.ProgressCallback)
    learn.logger = lambda row: None
    return learn


def found(learn):
    """What a training leaves behind."""
    recorder = learn.recorder
    return {
        "state": capture(learn.model, learn.opt.torch),
        "params": [param.detach().clone() for param in learn.model.parameters()],
        "lrs": recorder.lrs,
        "hps": recorder.hps_all,
        "values": recorder.values,
        "losses": recorder.losses,
        "steps": learn.opt.steps,
    }


def error(function):
    try:
        function()
    except Exception as raised:
        return type(raised).__name__, str(raised)
    return None


# Trainings that one process with batches twice as large does as well; `make` is `learner`, or
# `learner` with an accelerator.


def one_cycle(make, batch):
    learn = make(loaders(batch))
    learn.fit_one_cycle(2)
    return found(learn)


def fine_tuned(make, batch):
    learn = make(loaders(batch))
    learn.fine_tune(1, 0.1)
    return found(learn)


class Thaw(lehr.Callback):
    """Trains the first group from the second epoch on, and freezes it within the third."""

    def before_train(self):
        if self.learn.epoch == 1:
            self.learn.unfreeze()

    def before_batch(self):
        if self.learn.training and (self.learn.epoch, self.learn.iter) == (2, 2):
            self.learn.freeze()


def thawed(make, batch):
    learn = make(loaders(batch))
    learn.freeze()
    learn.fit(3, cbs=Thaw())
    return found(learn)


def accumulated(make, batch):
    # Short of a multiple of the batches in an epoch, and clipped.
    learn = make(loaders(batch))
    learn.fit(2, cbs=[lehr.GradientAccumulation(4 * batch), lehr.GradientClip(0.1)])
    return found(learn)


def adam(make, batch):
    learn = make(loaders(batch), opt_func=torch.optim.AdamW)
    learn.fit_flat_cos(2, 1e-2)
    return found(learn)


def list_of_batches(make, batch):
    x, y = points(96).tensors
    data = [(x[i : i + batch], y[i : i + batch]) for i in range(0, 96, batch)]
    learn = make(lehr.DataLoaders(data, data[: 48 // batch], device="cpu"))
    learn.fit(1)
    return found(learn) | {"validated": learn.validate(0)}


def swept(make, batch):
    learn = make(loaders(batch))
    suggestions = learn.lr_find(show_plot=False, suggest_funcs=["valley", "slide", "minimum"])
    sweep = learn.recorder.sweep
    return {
        "suggestions": list(suggestions),
        "lrs": list(sweep.lrs),
        "losses": list(sweep.losses),
        "stop": sweep.stop,
    }


TRAININGS = [one_cycle, fine_tuned, thawed, accumulated, adam, list_of_batches, swept]


def of_training(training, accelerator, folder):
    return training(partial(learner, accelerator=accelerator), 8)


SCENARIOS |= {one.__name__: partial(of_training, one) for one in TRAININGS}


class Keep(lehr.Metric):
    """The targets that a loader gave, as a metric of the user's own."""

    name = "keep"

    def reset(self):
        self.seen = []

    def accumulate(self, learn):
        self.seen += learn.xb[0][:, 0].tolist()

    @property
    def value(self):
        return float(len(self.seen))

    def state_dict(self):
        return {"seen": self.seen}

    def merge(self, states):
        self.seen = [one for state in states for one in state["seen"]]


class Note(lehr.Callback):
    """Notes the inputs of every training batch."""

    run_valid = False

    def before_fit(self):
        self.seen = []

    def before_batch(self):
        self.seen.append(self.learn.xb[0][:, 0].tolist())


@scenario
def batches(accelerator, folder):
    """90 samples in batches of 8: 12 batches, the last of 2."""
    out = {}
    for name, kwargs in {
        "filled": {},
        "dropped": {"drop_last": True},
        "shuffled": {"shuffle": True},
        "workers": {"shuffle": True, "num_workers": 1},
        "few": {"train": 5, "valid": 5},
    }.items():
        keep, note = Keep(), Note()
        learn = learner(loaders(**{"train": 90} | kwargs), metrics=[keep], accelerator=accelerator)
        # No process need have drawn what another has.
        seed(100 + learn.ranks.rank)
        learn.fit(1, cbs=note)
        first = note.seen
        valid = keep.seen
        learn.fit(1, cbs=note)
        out[name] = {
            "n_iter": learn.train_iter,
            "first": first,
            "second": note.seen,
            "valid": valid,
            "train": learn.validate(0)[1],
            "share": learn.validate(dl=learn.dls.train)[1],
            "only": learn.validate()[1],
            "other": learn.validate(dl=[learn.dls.one_batch()])[1],
        }
    return out


class Look(lehr.Callback):
    """Looks at batches on the main process alone."""

    run_valid = False

    def before_batch(self):
        if self.learn.ranks.main and self.learn.iter == 1:
            self.learn.dls.one_batch()


@scenario
def looked(accelerator, folder):
    """One process may look at its loaders, before a fit and within it."""
    out = {}
    for name, kwargs in {
        "plain": {},
        "workers": {"num_workers": 1, "persistent_workers": True},
    }.items():
        note = Note()
        learn = learner(loaders(shuffle=True, **kwargs), accelerator=accelerator)
        seed(100 + learn.ranks.rank)
        count = 0
        if learn.ranks.main:
            next(iter(learn.dls.train))
            next(iter(learn.dls.valid))
            count = sum(len(x) for x, _ in learn.dls.train)
        with learn.added_cbs(Look if name == "plain" else []):
            learn.fit(1, cbs=note)
        out[name] = {"n_iter": learn.train_iter, "count": count, "first": note.seen}
    return out


class Lazy:
    """Batches of indices that are generators."""

    def __len__(self):
        return 5

    def __iter__(self):
        for first in range(0, 40, 8):
            yield (index for index in range(first, first + 8))


@scenario
def lazy(accelerator, folder):
    note, keep = Note(), Keep()
    data = [DataLoader(points(40, number), batch_sampler=Lazy()) for number in (0, 1)]
    dls = lehr.DataLoaders(*data, device="cpu")
    learn = learner(dls, metrics=[keep], accelerator=accelerator)
    learn.fit(1, cbs=note)
    return {"n_iter": learn.train_iter, "first": note.seen, "valid": keep.seen}


@scenario
def unsendable(accelerator, folder):
    """What the main process cannot send is an error of all."""
    ranks = learner(accelerator=accelerator).ranks
    return error(lambda: ranks.on_main(lambda: (one for one in "abc")))


@scenario
def beginnings(accelerator, folder):
    """Models that begin unlike are rank 0's."""
    learn = learner(accelerator=accelerator)
    with torch.no_grad():
        for param in learn.model.parameters():
            param.add_(learn.ranks.rank)
    validated = learn.validate()
    learn.fit(1)
    return {"validated": validated} | found(learn)


def everything(learn):
    return capture(learn.model, learn.opt.torch), list(learn.recorder.lrs), learn.recorder.values


class Raise(lehr.Callback):
    """Raises in a batch of a sweep."""

    def after_loss(self):
        if self.learn.train_iter == 7:
            raise ZeroDivisionError


@scenario
def restored(accelerator, folder):
    """A sweep puts back what each process had, unlike the others' where it was."""
    out = {}
    for name, cbs in {"ended": None, "raised": Raise}.items():
        learn = learner(
            loaders(shuffle=True), noisy_net, torch.optim.AdamW, accelerator=accelerator
        )
        learn.fit(1)
        seed(50 + learn.ranks.rank)
        learn.model[1].running_mean.add_(learn.ranks.rank)
        for param in learn.model.parameters():
            param.grad = torch.randn_like(param)
        learn.model[2].eval()
        before = everything(learn)
        learn.add_cbs(cbs)
        raised = error(lambda learn=learn: learn.lr_find(show_plot=False))
        learn.remove_cbs(cbs)
        out[name] = {
            "before": before,
            "after": everything(learn),
            "error": raised and raised[0],
            "sweep": (list(learn.recorder.sweep.lrs), list(learn.recorder.sweep.losses)),
        }
        learn.fit(1)
        out[name]["state"] = capture(learn.model, learn.opt.torch)["params"]
    return out


class Spoil(lehr.Callback):
    """Makes the loss of one process NaN from a batch on."""

    order = -20

    def __init__(self, batch, rank=1):
        self.batch, self.rank = batch, rank

    def after_loss(self):
        learn = self.learn
        if learn.ranks.rank == self.rank and learn.train_iter >= self.batch:
            learn.loss_grad = learn.loss_grad * float("nan")
            learn.loss = learn.loss_grad.detach()


@scenario
def not_a_number(accelerator, folder):
    learn = learner(accelerator=accelerator)
    learn.fit(2, cbs=[Spoil(3), lehr.TerminateOnNaNCallback()])
    ended = learn.train_iter, len(learn.recorder.values)
    learn = learner(accelerator=accelerator)
    with learn.added_cbs(Spoil(20)):
        learn.lr_find(show_plot=False)
    return {"fit": ended, "sweep": (len(learn.recorder.sweep), learn.recorder.sweep.stop)}


@scenario
def plain_swept(accelerator, folder):
    """`lr_find` of a model of `DistributedDataParallel`; alone, one process would stop earlier."""
    rank = accelerator.process_index
    x, y = points(64, rank).tensors
    batches = [(x * (1 if rank == 0 else 0.02), y)]
    losses = []

    def loss_func(pred, y):
        loss = nn.functional.cross_entropy(pred, y)
        losses.append(loss.item())
        return loss

    out = {}
    for name, options in {"training": {}, "validation": {"valid": batches}}.items():
        seed(3)
        model = plain_net()
        parallel = DistributedDataParallel(model)
        optimizer = torch.optim.SGD(parallel.parameters(), lr=0.1)
        before = capture(model, optimizer)
        losses.clear()
        sweep = lehr.lr_find(
            parallel, optimizer, batches, loss_func, num_it=150, end=1e3, **options
        )
        out[name] = {
            "curve": (sweep.losses.tolist(), sweep.stop),
            "own": losses[1::2] if options else losses[:],
            "restored": capture(model, optimizer) == before,
        }
    return out


@scenario
def decisions(accelerator, folder):
    """Trackers follow figures of all; each process has its own folder, and one writes."""
    path = folder / f"of-{accelerator.process_index}"
    out, text = {}, io.StringIO()
    with contextlib.redirect_stdout(text):
        seed(3)
        learn = lehr.Learner(
            loaders(),
            plain_net(),
            nn.functional.cross_entropy,
            metrics=lehr.accuracy,
            path=path,
            lr=3.0,
            cbs=[lehr.CSVLogger],
            accelerator=accelerator,
        )
        # The validation loss rises at this rate; each process alone sees another one.
        cbs = [
            lehr.EarlyStoppingCallback("accuracy", patience=4),
            lehr.ReduceLROnPlateau(patience=1, factor=2.0),
        ]
        learn.fit(12, cbs=cbs)
        learn.lr_find(show_plot=False)
        learn.save("model")
    out["text"] = text.getvalue()
    out["epochs"] = len(learn.recorder.values)
    out["files"] = sorted(str(one.relative_to(path)) for one in path.rglob("*.*"))
    return out | found(learn)


@scenario
def saved(accelerator, folder):
    learn = learner(path=folder, accelerator=accelerator)
    learn.fit(3, cbs=lehr.SaveModelCallback(fname="best", with_opt=True))
    best = found(learn)
    learn.fit(1)
    learn.load("best")
    back = [param.detach().clone() for param in learn.model.parameters()]
    # A file in the way of the folder.
    (folder / "taken").write_text("")
    learn.path = folder / "taken"
    return {"best": best, "back": back, "error": error(lambda: learn.save("model"))}


def cut_learner(accelerator, folder, **kwargs):
    return learner(
        loaders(shuffle=True, train=90),
        noisy_net,
        torch.optim.AdamW,
        path=folder,
        cbs=[lehr.GradientAccumulation(16), lehr.EarlyStoppingCallback(patience=9)],
        accelerator=accelerator,
        **kwargs,
    )


class Cut(lehr.Callback):
    """Ends the process' training after so many batches."""

    order = float("inf")

    def after_batch(self):
        if self.learn.training and self.learn.train_iter == self.batch:
            raise KeyboardInterrupt

    def __init__(self, batch):
        self.batch = batch


def train(learn, cbs, method="fit_one_cycle"):
    seed(20 + learn.ranks.rank)
    getattr(learn, method)(3, cbs=cbs)
    return ended(learn)


def ended(learn):
    out = found(learn)
    out["state"].pop("ids")
    out["state"].pop("buffer ids")
    out["values"] = [row[:3] for row in out["values"]]
    return out


@scenario
def resumed(accelerator, folder):
    out = {}
    saver = partial(lehr.CheckpointCallback, every_steps=1, every_epochs=1)
    for method in ("fit_one_cycle", "fine_tune"):
        learn = cut_learner(accelerator, folder)
        whole = train(learn, saver(folder=f"{method}-whole", keep=None), method)
        out[method, "whole"] = whole
        # Behind an odd and an even batch, at the end of an epoch, and in the first.
        for batch in (3, 6, 10, 11):
            name = f"{method}-{batch}"
            learn = cut_learner(accelerator, folder)
            with contextlib.suppress(KeyboardInterrupt):
                train(learn, [saver(folder=name), Cut(batch)], method)
            learn = cut_learner(accelerator, folder)
            seed(random.SystemRandom().randrange(2**31))
            learn.resume(name, cbs=[saver(folder=name)])
            out[method, batch] = ended(learn)
    again = saver(folder="fit_one_cycle-3")
    learn = cut_learner(accelerator, folder)
    out["foreign"] = error(lambda: learn.fit(1, cbs=again))
    out["none"] = error(lambda: learn.resume("nowhere"))
    with contextlib.suppress(KeyboardInterrupt):
        train(learn, [saver(folder="unlike"), Cut(3)])
    learn = cut_learner(accelerator, folder)
    out["unlike"] = error(lambda: learn.resume("unlike", cbs=[saver(folder="unlike"), Unlike(1)]))
    out["alone"] = error(
        lambda: learn.resume(folder / "alone" / "models" / "checkpoints", cbs=saver())
    )
    return out


class Unlike(lehr.Callback):
    """Refuses on one process alone, as a file that differs between machines would."""

    def __init__(self, rank):
        self.rank = rank

    def state_dict(self):
        if self.learn.ranks.rank == self.rank:
            return {"here": True}
        return {}


@scenario
def released(accelerator, folder):
    """After a fit nothing of the wrapper is left, and the model trains on its own."""
    learn = learner(accelerator=accelerator)
    held = []

    class Hold(lehr.Callback):
        def before_fit(self):
            held.append(weakref.ref(self.learn.ranks.wrapped(self.learn.model)))

        def after_pred(self):
            # A forward pass whose backward pass is left out.
            if self.learn.train_iter == 2:
                raise lehr.CancelFitException

    learn.fit(1, cbs=Hold())
    freed = held[0]() is None
    if learn.ranks.main:
        # Alone: nobody answers.
        learn.model(torch.ones(1, WIDTH, dtype=torch.float64)).sum().backward()
    learn.fit(1)
    gc.collect()
    return {
        "freed": freed,
        "models": len(accelerator._models),
        "plain": type(learn.model),
        "keys": list(learn.model.state_dict()),
        "ddp": sum(isinstance(one, DistributedDataParallel) for one in gc.get_objects()),
    }


@scenario
def precise(accelerator, folder):
    seed(3)
    x, y = points(96).tensors
    data = DataLoader(TensorDataset(x.float(), y), batch_size=8)
    learn = lehr.Learner(
        lehr.DataLoaders(data, data, device="cpu"),
        plain_net().float(),
        nn.functional.cross_entropy,
        accelerator=accelerator,
        cbs=lehr.MixedPrecision("bf16"),
    )
    with learn.no_logging():
        learn.fit(2)
    return found(learn)


@scenario
def refused(accelerator, folder):
    make = partial(learner, accelerator=accelerator)
    data = points(16)
    loss = nn.CrossEntropyLoss()
    loss.temperature = nn.Parameter(torch.ones(()))

    class Figure(lehr.Metric):
        pass

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(data)

    train = DataLoader(data, batch_size=8)
    part = torch.utils.data.DistributedSampler(data)
    every = {
        "metric": lambda: make(metrics=Figure()),
        "stream": lambda: make(lehr.DataLoaders(DataLoader(Stream(), batch_size=8), device="cpu")),
        "prepared": lambda: make(
            lehr.DataLoaders(accelerator.prepare_data_loader(train), device="cpu")
        ),
        "sampler": lambda: make(
            lehr.DataLoaders(DataLoader(data, batch_size=8, sampler=part), device="cpu")
        ),
        "generator": lambda: make(lehr.DataLoaders(Stream(), device="cpu")),
        "device": lambda: make(lehr.DataLoaders(train, device="meta")),
        "params": lambda: make(splitter=lambda model: [*model.parameters(), loss.temperature]).fit(
            1
        ),
        "empty": lambda: make().validate(dl=[]),
    }
    return {name: error(function) for name, function in every.items()}


def main():
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    torch.set_num_threads(1)
    warnings.simplefilter("error", UserWarning)
    folder = Path(sys.argv[1])
    # A process that waits in vain says where: for itself, and for the others.
    faulthandler.dump_traceback_later(200, exit=True)
    patience = InitProcessGroupKwargs(timeout=timedelta(seconds=60))
    handlers = [patience]
    if os.environ["WORLD_SIZE"] != "2":
        # With the first, gradients are summed in the same order in the first batch and later; with
        # the second, every process keeps buffers of its own.
        handlers.append(
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        )
    accelerator = Accelerator(cpu=True, kwargs_handlers=handlers)
    results = {}
    for name in sys.argv[2:] or SCENARIOS:
        function = SCENARIOS[name]
        place = folder / name
        place.mkdir(exist_ok=True)
        try:
            results[name] = function(accelerator, place)
        except Exception:
            traceback.print_exc()
            os._exit(1)  # the other would be waited for
        accelerator.wait_for_everyone()
    faulthandler.cancel_dump_traceback_later()
    torch.save(results, folder / f"{accelerator.process_index}.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main()
