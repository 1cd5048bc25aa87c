"""What each row L asks of the learning-rate finder."""

import copy
import json
import math
import os
import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from probes import outcome, plain
from probing import (
    acts,
    collect,
    counts,
    heard,
    hypers,
    interrupted,
    interrupts,
    learner,
    parameters,
    same,
    seed,
    watch,
)
from together import together


def curve(losses):
    """Rates and losses as a finder hands them to a rule."""
    lrs = [1e-7 * 1e8 ** (i / 100) for i in range(len(losses))]
    return torch.tensor(lrs), torch.tensor(losses, dtype=torch.float32)


RULES = ("valley", "slide", "minimum", "steep")


def rules(api):
    return [getattr(api, name) for name in RULES]


def l1(api):
    """Weights and rate after a sweep that was interrupted, or that an error ended."""

    def fails(learn):
        if learn.train_iter == 60:
            message = "a bug"
            raise ZeroDivisionError(message)

    found = {}
    for how, callback in (
        ("interrupt", interrupts(api, 60)),
        ("error", acts(api, "after_step", fails)),
    ):
        learn = learner(api, lr=1e-2, cbs=callback)
        learn.create_opt()
        before = parameters(learn)
        ended = outcome(lambda: interrupted(lambda: learn.lr_find(show_plot=False)))
        found[how] = {
            "ended": ended.get("raises", ended.get("value")),
            "weights_back": same(parameters(learn), before),
            "lr": hypers(learn, "lr")[0],
        }
    return found


def l2(api):
    """What trackers do in the fit after an interrupted sweep: its second epoch is a plateau."""
    trackers = [
        api.EarlyStoppingCallback(min_delta=1e9),
        api.ReduceLROnPlateau(min_delta=1e9),
        api.SaveModelCallback(),
    ]
    learn = learner(api, cbs=[*trackers, interrupts(api, 20)])
    stopped = interrupted(lambda: learn.lr_find(show_plot=False))
    learn.fit(5, lr=1e-2)
    return {
        "interrupted": stopped,
        "epochs": len(learn.recorder.values),
        "lr": hypers(learn, "lr"),
        "saved": Path("models/model.pth").exists(),
    }


def l3(api):
    """Sweeps of models that have converged, on single points."""

    def found(number):
        learn = learner(api, number=number, data=api.synth_dbunch(bs=1))
        with torch.no_grad():
            learn.model.a.fill_(2.0)
            learn.model.b.fill_(3.0)
        return list(learn.lr_find(show_plot=False, suggest_funcs=rules(api)))

    answers = []
    for number in range(25):
        seed(number)
        answers.append(heard(lambda: found(number)))
    finite = [
        all(isinstance(lr, float) for lr in answer["value"]) if "value" in answer else False
        for answer in answers
    ]
    return {"sweeps": len(answers), "answered": sum(finite)}


def sweep_length(api, loss, **kwargs):
    """The iterations of a sweep with a loss function, and what the rules say."""
    seen = []
    learn = learner(api, cbs=counts(api, seen))
    learn.loss_func = loss
    answer = heard(lambda: list(learn.lr_find(show_plot=False, **kwargs)))
    return {"iterations": len(seen), "answer": answer}


def l4(api):
    """A loss below 0 all the way."""
    return sweep_length(api, lambda pred, y: (pred - y).square().mean().clamp(max=50) - 100)


def l5(api):
    """A loss that is not finite from some iteration on."""

    def loss(calls):
        left = [calls]

        def nan_after(pred, y):
            left[0] -= 1
            return (pred - y).square().mean() * (math.nan if left[0] < 0 else 1.0)

        return nan_after

    return {"late": sweep_length(api, loss(30)), "at_once": sweep_length(api, loss(0))}


def l6(api):
    """Short sweeps."""

    def found(num_it):
        learn = learner(api)
        answer = learn.lr_find(num_it=num_it, show_plot=False, suggest_funcs=rules(api))
        return list(answer)

    return {num_it: outcome(lambda: found(num_it)) for num_it in (1, 5, 6, 7, 10, 15, 22)}


def l7(api):
    """The valley of a curve that falls once and then rises."""
    lrs, losses = curve([5.0, 4.0, *(6.0 + i / 8 for i in range(60))])
    lr, _ = api.valley(lrs, losses, 100)
    return {"index": int((lrs - lr).abs().argmin()), "points": len(lrs)}


def l8(api):
    """How many points the valley rule takes, when a tenth of them takes less than a second."""
    rng = np.random.default_rng(0)
    answered = []
    for n in (100, 1000, 10_000, 100_000):
        losses = torch.tensor(np.linspace(1, 0, n) + 0.1 * rng.normal(size=n)).float()
        started = time.process_time()
        api.valley(torch.linspace(1e-7, 10, n), losses, n)
        answered.append(n)
        if time.process_time() - started > 1:
            break
    return {"answered": answered}


def dip():
    """A curve of losses that falls from 1 to 0 and rises a little again."""
    x = np.linspace(-7, 1, 100)
    losses = 1 / (1 + np.exp(3 * (x + 2.5))) + np.exp(4 * (x - 0.6))
    return (losses - losses.min()) / (losses.max() - losses.min())


def l9(api):
    """The slide rule on one curve in several units."""
    found = {}
    for scale in (0.01, 0.1, 1.0, 10.0, 100.0):
        lrs, losses = curve((scale * dip()).tolist())
        found[scale] = outcome(lambda: api.slide(lrs, losses, 100)[0])
    return found


def l10(api):
    """The spread of suggestions over 40 sweeps, in decades, plain and with a window."""
    curves = []

    def keep(lrs, losses, num_it):
        curves.append((lrs, losses))
        return lrs[0], (lrs[0], losses[0])

    for number in range(40):
        learner(api, number=number).lr_find(show_plot=False, suggest_funcs=keep)

    def spread(rule):
        found = [math.log10(float(rule(lrs, losses, 100)[0])) for lrs, losses in curves]
        return float(f"{np.std(found):.3g}")

    return {
        name: {
            "plain": outcome(lambda: spread(rule)),
            "window": outcome(lambda: spread(partial(rule, window=15))),
        }
        for name, rule in (("minimum", api.minimum), ("steep", api.steep))
    }


def l11(api):
    """A sweep with a rate per group."""

    def first(start_lr, end_lr):
        seen = []
        learn = learner(api, groups=2, cbs=watch(api, "lr", seen))
        learn.lr_find(start_lr, end_lr, num_it=20, show_plot=False)
        return [float(f"{lr:.6g}") for lr in seen[0]]

    return {
        "list": outcome(lambda: first([1e-7, 1e-6], [1.0, 10.0])),
        "tuple": outcome(lambda: first((1e-7, 1e-6), (1.0, 10.0))),
        "slice": outcome(lambda: first(slice(1e-7, 1e-6), slice(1.0, 10.0))),
    }


class Rule:
    """A rule that is an object."""

    def __call__(self, lrs, losses, num_it):
        return lrs[0], (lrs[0], losses[0])


def l12(api):
    """Names of rules that are no functions, that occur twice, or that are names themselves."""

    def fields(*functions):
        found = learner(api).lr_find(show_plot=False, suggest_funcs=functions)
        return list(found._fields)

    first = lambda lrs, losses, num_it: (lrs[0], (lrs[0], losses[0]))
    return {
        "lambda": outcome(lambda: fields(api.valley, first)),
        "object": outcome(lambda: fields(Rule())),
        "twice": outcome(lambda: fields(api.valley, api.valley)),
        "text": outcome(lambda: fields("valley", "slide", "minimum", "steep")),
    }


def l13(api):
    """Lists and arrays given to the rules."""
    lrs, losses = curve(dip().tolist())
    kinds = {
        "tensor": (lrs, losses),
        "list": (lrs.tolist(), losses.tolist()),
        "array": (lrs.numpy(), losses.numpy()),
    }
    return {
        name: {
            kind: outcome(lambda: float(f"{rule(x, y, 100)[0]:.6g}"))
            for kind, (x, y) in kinds.items()
        }
        for name, rule in zip(RULES, rules(api), strict=True)
    }


def l14(api):
    """The files of a sweep, and a sweep where none can be written."""
    files = []
    look = lambda learn: files.append(sum(len(names) for _, _, names in os.walk(".")))
    learner(api, cbs=acts(api, "after_step", look)).lr_find(num_it=10, show_plot=False)
    Path("file").touch()
    blocked = learner(api, path=Path("file"))
    return {
        "files": max(files),
        "blocked": outcome(lambda: len(blocked.lr_find(num_it=30, show_plot=False))),
    }


def l15(api):
    """The random generators after a sweep whose losses draw from each."""

    def noisy(pred, y):
        noise = random.random() + np.random.rand() + torch.rand(1).item()
        return (pred - y).square().mean() * (1 + 0.001 * noise)

    learn = learner(api)
    learn.loss_func = noisy
    states = lambda: {
        "python": random.getstate(),
        "numpy": [*np.random.get_state()[1].tolist(), np.random.get_state()[2]],
        "torch": torch.get_rng_state(),
    }
    before = states()
    learn.lr_find(show_plot=False)
    return {name: same(state, before[name]) for name, state in states().items()}


def l16(api):
    """The file of a CSVLogger after a sweep."""
    learn = learner(api, cbs=api.CSVLogger())
    learn.fit(2)
    before = Path("history.csv").read_text()
    learn.lr_find(show_plot=False)
    after = Path("history.csv").read_text()
    return {"rows": len(before.splitlines()), "unchanged": after == before}


def l17(api):
    """The iterations of a sweep while epochs are cut to three batches."""
    seen = []

    def cut(learn):
        if learn.iter >= 2:
            raise api.CancelTrainException

    learn = learner(api, cbs=[counts(api, seen), acts(api, "after_batch", cut)])
    learn.lr_find(show_plot=False, stop_div=False)
    return {"iterations": len(seen)}


def l18(api):
    """What plot_lr_find returns, where it draws, and how many figures sweeps leave open."""
    import matplotlib.pyplot as plt

    learn = learner(api)
    learn.lr_find(show_plot=False)
    returned = type(learn.recorder.plot_lr_find()).__name__
    _, ax = plt.subplots()
    learn.recorder.plot_lr_find(ax=ax)
    drawn = len(ax.lines) > 0
    plt.close("all")
    for _ in range(3):
        learn.lr_find(num_it=10)
    figures = len(plt.get_fignums())
    plt.close("all")
    return {"returned": returned, "drawn_on_ax": drawn, "figures": figures}


def l19(api):
    """Two processes that sweep together."""
    library = api.Learner.__module__.partition(".")[0]
    command = [sys.executable, str(Path(__file__).with_name("ranks_probe.py")), library]
    ended = together(command, 2, 100)
    found = [json.loads(out.splitlines()[-1]) if out else {} for _, out, _ in ended]
    return {
        "found": [one.get("found") for one in found],
        "weights_back": [one.get("weights_back") for one in found],
        "rates": [len(one.get("rates", [])) for one in found],
        "same_rates": found[0].get("rates") == found[1].get("rates"),
        "same_losses": found[0].get("losses") == found[1].get("losses"),
    }


def l20(api):
    """The optimizer's rate, the record, the epochs and the mode after a sweep."""
    learn = learner(api, lr=1e-3)
    learn.fit(1, lr=5e-3)
    lrs = plain(learn.recorder.lrs)
    mode, epochs = learn.model.training, learn.n_epoch
    learn.lr_find(show_plot=False)
    return {
        "lr": hypers(learn, "lr")[0],
        "record_back": plain(learn.recorder.lrs) == lrs,
        "mode_back": learn.model.training == mode,
        "n_epoch_back": learn.n_epoch == epochs,
    }


def l21(api):
    """How far suggestions are from the rates that were tried."""
    found = learner(api).lr_find(show_plot=False, suggest_funcs=(api.valley, api.steep))
    tried = [api.SchedExp(1e-7, 10)(i / 100) for i in range(100)]
    return [min(abs(float(lr) / one - 1) for one in tried) for lr in found]


def l22(api):
    """The optimizer's state after a sweep, and two sweeps in one folder at a time."""
    learn = learner(api)
    learn.fit(1)
    before = copy.deepcopy(learn.opt.state_dict()["state"])
    inner = learner(api, number=1)
    weights = [parameters(learn), parameters(inner)]
    answers = []

    def sweep_inside(outer):
        if outer.train_iter == 20:
            answers.append(inner.lr_find(show_plot=False))

    learn.add_cbs(acts(api, "after_step", sweep_inside))
    answers.append(learn.lr_find(show_plot=False))
    return {
        "state_back": same(learn.opt.state_dict()["state"], before),
        "answers": len(answers),
        "weights_back": same([parameters(learn), parameters(inner)], weights),
    }


PROBES = collect(globals(), "l")
