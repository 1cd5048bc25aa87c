"""Record what the reference does: run it in an environment of its own.

    python -m venv reference-env
    reference-env/bin/pip install fastai==2.8.12 torch==2.14.1 numpy==2.4.6
    reference-env/bin/python tests/reference/record.py

Writes `tests/data/reference.json`.
"""

import json
import random
import sys
import types
from pathlib import Path

import fastai
import numpy as np
import torch
from fastai.callback import schedule
from fastai.callback.schedule import LRFinder, ParamScheduler, valley
from fastai.learner import Callback
from fastai.test_utils import RegModel, synth_dbunch, synth_learner

sys.path.insert(0, str(Path(__file__).parent))
import events
import probes


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


def api():
    names = dict(vars(schedule))
    names["lrs_of_a_long_loader"] = lrs_of_a_long_loader
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


def main():
    answers = {
        "made_by": "tests/reference/record.py",
        "versions": {
            "fastai": fastai.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "rows": {row: probe(api()) for row, probe in probes.PROBES.items()},
        "schedules": schedules(),
        "valley": valleys(),
        "fits": fits(),
        "training": training(),
        "events": event_orders(),
    }
    path = Path(__file__).parent.parent / "data" / "reference.json"
    path.write_text(json.dumps(answers, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
