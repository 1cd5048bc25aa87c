"""Record what the reference does: run it in an environment of its own.

    python -m venv reference-env
    reference-env/bin/pip install fastai==2.8.12 torch==2.14.1 numpy==2.4.6 accelerate==1.15.0
    reference-env/bin/python tests/reference/record.py

Writes `tests/data/reference.json`. With names of rows (`record.py F7 L10`), or `rows` for all of
them, it runs those alone and leaves the rest of the file as it is.
"""

import json
import random
import sys
import types
from pathlib import Path

import fastai
import matplotlib as mpl
import numpy as np
import torch
from fastai import learner, test_utils
from fastai.callback import progress, schedule, tracker
from fastai.callback import training as training_callbacks
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.data.core import DataLoaders
from fastai.learner import Callback
from fastai.optimizer import OptimWrapper
from fastai.test_utils import RegModel, synth_dbunch, synth_learner

sys.path.insert(0, str(Path(__file__).parent))
import events
import finder_probes
import probes
import resume_probes
import training_probes

mpl.use("agg")


class LongLoader:
    """Yields more batches than its length says."""

    def __init__(self, loader, extra):
        self.batches = list(loader)
        self.extra = extra

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        yield from self.batches
        yield from self.batches[: self.extra]

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def to(self, device):
        return self


def lrs_of_a_long_loader():
    torch.manual_seed(0)
    learn = synth_learner()
    loader = LongLoader(learn.dls.train, 6)
    loader.loader = learn.dls.train
    learn.dls.loaders[0] = loader
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    return [float(lr) for lr in learn.recorder.lrs]


class Loader:
    """Any iterable of batches with the method that the reference asks of a loader."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def to(self, device):
        return self


class SizedLoader(Loader):
    def __len__(self):
        return len(self.batches)


def loaders(*many):
    made = [SizedLoader(one) if hasattr(one, "__len__") else Loader(one) for one in many]
    return DataLoaders(*made, device="cpu")


def api():
    names = {}
    for module in (learner, tracker, progress, training_callbacks, test_utils, schedule):
        names |= vars(module)
    names |= {
        "OptimWrapper": OptimWrapper,
        "loaders": loaders,
        "lrs_of_a_long_loader": lrs_of_a_long_loader,
    }
    return types.SimpleNamespace(**names)


def schedules():
    """Values of the page's schedules on a grid."""
    s = schedule
    made = {
        "SchedLin(0, 2)": s.SchedLin(0, 2),
        "SchedCos(0, 2)": s.SchedCos(0, 2),
        "SchedCos(0.001, 1e-07)": s.SchedCos(1e-3, 1e-7),
        "SchedNo(2, 0.01)": s.SchedNo(2, 1e-2),
        "SchedExp(2, 0.01)": s.SchedExp(2, 1e-2),
        "SchedExp(-1, -2)": s.SchedExp(-1, -2),
        "SchedPoly(0, 2, 2)": s.SchedPoly(0, 2, 2),
        "SchedPoly(2, 0.01, 0.5)": s.SchedPoly(2, 1e-2, 0.5),
        "combine_scheds([0.3, 0.7], [SchedCos(0.3, 0.6), SchedCos(0.6, 0.2)])": s.combine_scheds(
            [0.3, 0.7], [s.SchedCos(0.3, 0.6), s.SchedCos(0.6, 0.2)]
        ),
        "combine_scheds([0.3, 0.2, 0.5], [SchedLin(0., 1.), SchedNo(1., 1.), SchedCos(1., 0.)])": (
            s.combine_scheds(
                [0.3, 0.2, 0.5], [s.SchedLin(0.0, 1.0), s.SchedNo(1.0, 1.0), s.SchedCos(1.0, 0.0)]
            )
        ),
        "combined_cos(0.25, 0.5, 1., 0.)": s.combined_cos(0.25, 0.5, 1.0, 0.0),
    }
    grid = [i / 40 for i in range(41)]
    return {"grid": grid, "values": {name: [float(f(p)) for p in grid] for name, f in made.items()}}


def valleys():
    """The index the valley rule picks on random curves."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(300):
        n = int(rng.integers(1, 90))
        kind = index % 5
        if kind == 0:
            curve = rng.normal(size=n)
        elif kind == 1:
            curve = np.cumsum(rng.normal(size=n))
        elif kind == 2:
            curve = rng.integers(0, 6, size=n).astype(float)
        elif kind == 3:
            x = np.linspace(-3, 3, n)
            curve = x**2 + 0.1 * rng.normal(size=n)
        else:
            curve = np.concatenate([[5.0, 4.0], 6 + np.arange(n) / 8])
        losses = torch.tensor(curve.round(3), dtype=torch.float32)
        lrs = torch.arange(len(losses), dtype=torch.float32)
        lr, _ = valley(lrs, losses, 100)
        found.append({"losses": losses.tolist(), "index": int(lr), "kind": kind})
    return found


def fits():
    """What fit_one_cycle, ParamScheduler and LRFinder set, batch by batch."""
    random.seed(0)
    torch.manual_seed(0)
    out = {}
    learn = synth_learner(lr=1e-2)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2)
        out["one_cycle"] = {k: [float(x) for x in v] for k, v in learn.recorder.hps.items()}
        learn.fit_one_cycle(
            3, slice(1e-3, 1e-1), div=10, div_final=1e3, pct_start=0.4, moms=(0.9, 0.8, 0.7)
        )
        out["one_cycle_slice"] = {k: [float(x) for x in v] for k, v in learn.recorder.hps.items()}
        learn.fit(1, cbs=ParamScheduler({"lr": schedule.SchedLin(1e-3, 1e-2)}))
        out["param_scheduler"] = {k: [float(x) for x in v] for k, v in learn.recorder.hps.items()}
        learn.fit(20, cbs=LRFinder(num_it=100, stop_div=False))
        out["finder"] = [float(x) for x in learn.recorder.lrs]
    return out


def training():
    """Losses and weights of a fit on fixed batches, for the same data and initial model."""
    torch.manual_seed(42)
    dls = synth_dbunch()
    model = RegModel()
    out = {
        "first": [float(dls.train_ds[0][0]), float(dls.train_ds[0][1])],
        "valid": [float(dls.valid_ds[3][0]), float(dls.valid_ds[3][1])],
        "a": float(model.a),
        "b": float(model.b),
    }
    learn = synth_learner(data=dls, model=model, lr=1e-2)
    learn.dls.train.shuffle = False
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(2)
    out["losses"] = [float(x) for x in learn.recorder.losses]
    out["values"] = [[float(x) for x in row] for row in learn.recorder.values]
    out["final"] = [float(model.a), float(model.b)]
    return out


def event_orders():
    """The order of events, plain and under every cancellation."""
    import fastai.learner as api

    def make(callback):
        learn = synth_learner(n_trn=1, n_val=1, cbs=callback)
        learn.remove_cbs([cb for cb in learn.cbs if cb.name == "progress"])
        return learn

    return events.orders(api, Callback, make)


PROBES = probes.PROBES | training_probes.PROBES | finder_probes.PROBES | resume_probes.PROBES


def rows(names):
    """The answers to some rows."""
    found = {}
    for name in names:
        found[name] = PROBES[name](api())
        print(name, json.dumps(found[name])[:2000], file=sys.stderr)
    return found


def whole():
    return {
        "made_by": "tests/reference/record.py",
        "versions": {
            "fastai": fastai.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "rows": rows(PROBES),
        "schedules": schedules(),
        "valley": valleys(),
        "fits": fits(),
        "training": training(),
        "events": event_orders(),
    }


def main():
    path = Path(__file__).parent.parent / "data" / "reference.json"
    names = sys.argv[1:]
    if names:
        answers = json.loads(path.read_text())
        answers["rows"] |= rows(PROBES if names == ["rows"] else names)
    else:
        answers = whole()
    path.write_text(json.dumps(answers, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
