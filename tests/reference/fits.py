"""Record what the reference's fit methods set, batch by batch and group by group.

Run it in the environment of `record.py`:

    reference-env/bin/python tests/reference/fits.py

Writes `tests/data/fits.json`: for each fit of `FITS` and each number of groups the rates and
momenta of every training batch, and per batch which groups were trained; and the frozen groups,
warnings and printed loop of a learner.
"""

import contextlib
import io
import json
import sys
import warnings
from functools import partial
from pathlib import Path

import torch
from torch import nn

# Method, arguments, and keywords. Slices are written as the pair of their ends.
FITS = {
    "fine_tune default": ("fine_tune", [2], {}),
    "fine_tune 3 frozen": ("fine_tune", [1], {"freeze_epochs": 3, "base_lr": 1e-2}),
    "fine_tune all": (
        "fine_tune",
        [2],
        {"base_lr": 0.03, "lr_mult": 10, "pct_start": 0.5, "div": 8.0, "div_final": 1e3,
         "moms": [0.9, 0.7, 0.8], "wd": 0.1},
    ),
    "fine_tune no frozen epochs": ("fine_tune", [2], {"freeze_epochs": 0}),
    "one_cycle slice": ("fit_one_cycle", [2, {"slice": [1e-4, 1e-2]}], {}),
    "one_cycle last": ("fit_one_cycle", [2, {"slice": [1e-2]}], {"div": 3, "pct_start": 0.6}),
    "one_cycle edges": ("fit_one_cycle", [2, 0.02], {"pct_start": 0.0}),
    "flat_cos": ("fit_flat_cos", [2], {}),
    "flat_cos slice": (
        "fit_flat_cos", [2, {"slice": [1e-4, 1e-2]}], {"pct_start": 0.4, "div_final": 100.0}
    ),
    "sgdr": ("fit_sgdr", [3, 1], {}),
    "sgdr twice": ("fit_sgdr", [2, 2, {"slice": [1e-4, 1e-2]}], {"cycle_mult": 2}),
    "sgdr thrice": ("fit_sgdr", [3, 1, 0.05], {"cycle_mult": 3}),
}  # fmt: skip

# `freeze_to` of a model with three groups, and what has been trained after it.
FREEZES = [-3, -2, -1, 0, 1, 2, 3, 4]


class Chain(nn.Module):
    """Three parameters in a row, the middle of which may be a norm layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)
        self.last = nn.Linear(1, 1)

    def forward(self, x):
        return self.last(self.norm(self.first(x).tanh()))


def chain_groups(groups, model):
    parts = [[model.first], [model.norm], [model.last]]
    joined = {1: [parts[0] + parts[1] + parts[2]], 2: [parts[0] + parts[1], parts[2]], 3: parts}[
        groups
    ]
    return [[p for module in part for p in module.parameters()] for part in joined]


def arguments(values):
    return [slice(*v["slice"]) if isinstance(v, dict) else v for v in values]


def record():
    import fastai
    import fastai.callback.progress
    import fastai.callback.schedule
    from fastai.learner import Callback
    from fastai.test_utils import synth_learner

    class Watch(Callback):
        order = 80
        run_valid = False

        def __init__(self):
            self.rows = {"lr": [], "mom": []}
            self.trained = []

        def before_step(self):
            for name, rows in self.rows.items():
                rows.append([float(group[name]) for group in self.opt.hypers])
            self.trained.append(
                [any(p.requires_grad for p in group) for group in self.opt.param_lists]
            )

    def make(groups, **kwargs):
        torch.manual_seed(0)
        return synth_learner(
            model=Chain(), lr=1e-2, splitter=partial(chain_groups, groups), **kwargs
        )

    def fit(groups, method, args, keywords):
        learn, watch = make(groups), Watch()
        keywords = {k: tuple(v) if k == "moms" else v for k, v in keywords.items()}
        with learn.no_bar(), learn.no_logging():
            getattr(learn, method)(*arguments(args), cbs=watch, **keywords)
        return {**watch.rows, "trained": watch.trained}

    def frozen(n, train_bn):
        learn = make(3, train_bn=train_bn)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            learn.freeze_to(n)
        return {
            "grad": [[p.requires_grad for p in group] for group in learn.opt.param_lists],
            "warns": len(caught),
            "index": learn.opt.frozen_idx,
        }

    def loop():
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            make(1).show_training_loop()
        return shown.getvalue().splitlines()

    found = {
        "versions": {"fastai": fastai.__version__, "torch": torch.__version__},
        "fits": {
            name: {str(groups): fit(groups, *one) for groups in (1, 2, 3)}
            for name, one in FITS.items()
        },
        "freeze_to": {
            f"{n} {train_bn}": frozen(n, train_bn) for n in FREEZES for train_bn in (True, False)
        },
        "loop": loop(),
    }
    path = Path(__file__).parent.parent / "data" / "fits.json"
    path.write_text(json.dumps(found) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    record()
