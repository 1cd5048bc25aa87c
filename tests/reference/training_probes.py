"""What each row F, L and R asks of an implementation: run on the reference once, on lehr in tests.

Every probe takes a namespace of public names (the same on both sides) and returns plain JSON
values. Besides the public names it holds `synth_learner`, `synth_dbunch`, `RegModel` and
`loaders(train, valid)`, which makes the loaders of a learner from any iterables of batches.

A probe runs in an empty folder of its own, with fixed seeds and nothing printed.
"""

import contextlib
import copy
import io
import math
import os
import random
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
from probes import outcome, plain

# Characters kept of a long message.
SHOWN = 200


def seed(number):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def run(probe, api):
    """Run a probe in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        seed(0)
        with contextlib.redirect_stdout(io.StringIO()):
            return plain(probe(api))


def heard(function):
    """Return the outcome with the warnings that came with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = outcome(function)
    texts = dict.fromkeys(f"{w.category.__name__}: {w.message}"[:SHOWN] for w in caught)
    if "message" in found:
        found["message"] = found["message"][:SHOWN]
    return found | {"warns": list(texts)}


def interrupted(function):
    """Whether `function` ended in a KeyboardInterrupt."""
    try:
        function()
    except KeyboardInterrupt:
        return True
    return False


def two_groups(model):
    return [[model.a], [model.b]]


def learner(api, groups=1, opt=None, progress=False, number=0, **kwargs):
    """A line on synthetic points, with one parameter a group if there are two groups."""
    seed(number)
    if groups == 2:
        kwargs["splitter"] = two_groups
    learn = api.synth_learner(**kwargs)
    if opt is not None:
        learn.opt_func = opt
    if not progress:
        learn.remove_cbs([callback for callback in learn.cbs if callback.name == "progress"])
    learn.logger = lambda row: None
    return learn


def acts(api, event, action, order=1000, valid=False):
    """A callback that calls `action(learn)` in one event."""
    members = {"order": order, "run_valid": valid, event: lambda self: action(self.learn)}
    return type("Acts", (api.Callback,), members)()


def hypers(learn, name):
    return [group[name] for group in learn.opt.hypers]


def watch(api, name, seen):
    """A callback that notes a hyper-parameter of every group, batch by batch."""
    return acts(api, "after_pred", lambda learn: seen.append(plain(hypers(learn, name))))


def counts(api, seen):
    """A callback that notes every training batch."""
    return acts(api, "after_pred", lambda learn: seen.append(learn.train_iter))


def interrupts(api, batch, event="after_step"):
    """A callback that is interrupted once, in training batch `batch`."""
    armed = [True]

    def act(learn):
        if armed and learn.train_iter == batch:
            armed.clear()
            raise KeyboardInterrupt

    return acts(api, event, act)


def parameters(learn):
    return {name: param.detach().clone() for name, param in learn.model.named_parameters()}


def moved(learn, function):
    """The names of the parameters that `function` changes."""
    before = parameters(learn)
    function()
    return [
        name for name, param in parameters(learn).items() if not torch.equal(param, before[name])
    ]


def same(a, b):
    """Whether two structures of tensors and numbers are equal, bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def wrapped(api, kind, **kwargs):
    """An `opt_func` that makes a torch optimizer."""
    return partial(api.OptimWrapper, opt=kind, **kwargs)


def curve(losses):
    """Rates and losses as a finder hands them to a rule."""
    lrs = [1e-7 * 1e8 ** (i / 100) for i in range(len(losses))]
    return torch.tensor(lrs), torch.tensor(losses, dtype=torch.float32)


# ParamScheduler and the fit methods.


def f1(api):
    """A list of schedules, one per group."""

    def rates():
        seen = []
        learn = learner(api, groups=2)
        scheds = {"lr": [api.SchedLin(0.0, 0.01), api.SchedNo(0.03, 0.03)]}
        learn.fit(1, cbs=[api.ParamScheduler(scheds), watch(api, "lr", seen)])
        return seen

    return outcome(rates)


def f2(api):
    """Rates that are numpy scalars or tensors without dimensions."""
    kinds = {"float32": np.float32(0.01), "float64": np.float64(0.01), "tensor": torch.tensor(0.01)}
    ways = {
        "fit": lambda learn, lr: learn.fit(1, lr),
        "one_cycle": lambda learn, lr: learn.fit_one_cycle(1, lr, pct_start=0.3),
        "scheduler": lambda learn, lr: learn.fit(1, cbs=api.ParamScheduler({"lr": lambda pos: lr})),
    }

    def peak(way, lr):
        learn = learner(api)
        way(learn, lr)
        return max(map(float, learn.recorder.lrs))

    return {
        f"{name} {kind}": outcome(lambda: peak(way, lr))
        for name, way in ways.items()
        for kind, lr in kinds.items()
    }


def f3(api):
    """One number in an array or a tensor, for two groups."""

    def rates(lr):
        learn = learner(api, groups=2)
        learn.fit(1, lr)
        return hypers(learn, "lr")

    return {
        "array": outcome(lambda: rates(np.array([0.01]))),
        "tensor": outcome(lambda: rates(torch.tensor([0.01]))),
        "one_cycle": outcome(lambda: learner(api, groups=2).fit_one_cycle(1, np.array([0.01]))),
    }


def f4(api):
    """Slices, complete and not."""

    def rates(lr, groups=2):
        learn = learner(api, groups=groups)
        learn.fit(1, lr)
        return hypers(learn, "lr")

    return {
        "both": outcome(lambda: rates(slice(1e-4, 1e-2))),
        "last": outcome(lambda: rates(slice(1e-2))),
        "no_last": outcome(lambda: rates(slice(1e-3, None))),
        "zero": outcome(lambda: rates(slice(0, 1e-2))),
        "zero_alone": outcome(lambda: rates(slice(0, 1e-2), groups=1)),
    }


def f5(api):
    """What is recorded and drawn of the hyper-parameters of two groups."""
    import matplotlib.pyplot as plt

    seen = []
    learn = learner(api, groups=2)
    learn.fit_one_cycle(1, slice(1e-3, 1e-2), cbs=watch(api, "lr", seen))

    def lines():
        learn.recorder.plot_sched("lr")
        return [len(ax.lines) for ax in plt.gcf().axes]

    return {
        "in_force": seen,
        "last": outcome(lambda: learn.recorder.hps["lr"]),
        "all": outcome(lambda: learn.recorder.hps_all["lr"]),
        "lines": outcome(lines),
    }


def f6(api):
    """The record after two schedulers, after a fit without any, after an error, before any."""
    lr = api.ParamScheduler({"lr": api.SchedLin(1e-3, 1e-2)})
    mom = api.ParamScheduler({"mom": api.SchedLin(0.9, 0.8)})
    learn = learner(api)
    learn.fit(1, cbs=[lr, mom])
    two = outcome(lambda: sorted(learn.recorder.hps))
    learn.fit(1)
    plain_fit = outcome(lambda: sorted(learn.recorder.hps))

    def fails(learn):
        if learn.train_iter == 4:
            message = "a bug"
            raise ZeroDivisionError(message)

    learn = learner(api)
    error = outcome(
        lambda: learn.fit(
            1,
            cbs=[
                api.ParamScheduler({"lr": api.SchedLin(1e-3, 1e-2)}),
                acts(api, "after_step", fails),
            ],
        )
    )
    return {
        "two": two,
        "plain_fit": plain_fit,
        "error": error["raises"],
        "after_error": outcome(lambda: len(learn.recorder.hps["lr"])),
        "nothing_to_plot": outcome(lambda: learner(api).recorder.plot_sched()),
    }


def f7(api):
    """fit_flat_cos from an epoch on."""

    def rates(**kwargs):
        learn = learner(api)
        learn.fit_flat_cos(3, 1e-2, pct_start=0.5, **kwargs)
        return learn.recorder.lrs

    full, rest = rates(), rates(start_epoch=2)
    return {"batches": len(rest), "as_in_the_full_fit": plain(rest) == plain(full[20:])}


def f8(api):
    """Cycles of one length, of fractional lengths, and numbers that make no cycles."""

    def cycles(*args, **kwargs):
        learn = learner(api)
        learn.fit_sgdr(*args, lr_max=1e-2, **kwargs)
        lrs = learn.recorder.lrs
        peaks = [i for i, lr in enumerate(lrs) if lr > 0.99999e-2]
        return {"epochs": learn.n_epoch, "batches": len(lrs), "peaks": peaks}

    return {
        "equal": outcome(lambda: cycles(3, 2, cycle_mult=1)),
        "fractional": outcome(lambda: cycles(2, 2, cycle_mult=1.5)),
        "rounded": outcome(lambda: cycles(3, 1, cycle_mult=1.5)),
        "no_cycles": outcome(lambda: cycles(0, 1)),
        "mult_zero": outcome(lambda: cycles(3, 1, cycle_mult=0)),
    }


def f9(api):
    """fine_tune with its own argument `lr_max`."""

    def peak():
        learn = learner(api)
        learn.fine_tune(1, lr_max=0.03)
        return max(learn.recorder.lrs)

    return outcome(peak)


def f10(api):
    """fine_tune with a base rate per group, a slice, and none."""

    def peaks(base_lr):
        seen = []
        learn = learner(api, groups=2, lr=4e-3)
        learn.fine_tune(1, base_lr, div=5, cbs=watch(api, "lr", seen))
        return [
            max(row[group] for row in rows) for rows in (seen[:10], seen[10:]) for group in (0, 1)
        ]

    return {
        "array": outcome(lambda: peaks(np.array([1e-3, 2e-3]))),
        "slice": outcome(lambda: peaks(slice(1e-3, 2e-3))),
        "none": outcome(lambda: peaks(None)),
    }


def f11(api):
    """fine_tune of two frozen and two other epochs, from an epoch on."""

    def batches(start_epoch):
        seen = []
        learn = learner(api, groups=2)
        note = lambda learn: seen.append((learn.model.a.requires_grad, hypers(learn, "lr")[-1]))
        learn.fine_tune(
            2, freeze_epochs=2, start_epoch=start_epoch, cbs=acts(api, "after_pred", note)
        )
        return plain(seen)

    full = batches(0)
    found = {}
    for start_epoch in (1, 2, 3):
        seen = batches(start_epoch)
        found[f"from {start_epoch}"] = {
            "frozen": sum(not free for free, _ in seen),
            "free": sum(free for free, _ in seen),
            "as_in_the_full_fit": seen == full[10 * start_epoch :],
        }
    return found


def f12(api):
    """fit_one_cycle with optimizers that have no momentum, or momentum 0, and without momenta."""

    def momenta(kind, moms=None, **kwargs):
        seen = []
        learn = learner(api, opt=wrapped(api, kind, **kwargs))
        has = lambda learn: "mom" in learn.opt.hypers[-1] and seen.append(hypers(learn, "mom")[-1])
        learn.fit_one_cycle(1, 1e-2, moms=moms, cbs=acts(api, "after_pred", has))
        return [len(learn.recorder.lrs), sorted({round(float(mom), 6) for mom in seen})]

    return {
        "adagrad": heard(lambda: momenta(torch.optim.Adagrad)),
        "zero": heard(lambda: momenta(torch.optim.SGD)),
        "off": heard(lambda: momenta(torch.optim.SGD, momentum=0.5, moms=False)),
        "given": heard(lambda: momenta(torch.optim.SGD, moms=(0.9, 0.9, 0.9))),
    }


def f13(api):
    """Hyper-parameters after a fit that scheduled them."""

    def after(**kwargs):
        learn = learner(api)
        scheds = {"lr": api.SchedLin(0.01, 0.02), "mom": api.SchedLin(0.5, 0.1)}
        learn.fit(1, lr=0.03, cbs=api.ParamScheduler(scheds, **kwargs))
        return [*hypers(learn, "lr"), *hypers(learn, "mom")]

    return {"default": outcome(after), "restore": outcome(lambda: after(restore=True))}


def f14(api):
    """Divisors that are 0 and numbers of epochs below 1."""

    def rates(method, *args, **kwargs):
        learn = learner(api)
        getattr(learn, method)(*args, **kwargs)
        lrs = learn.recorder.lrs
        return lrs[:1] + lrs[-1:]

    return {
        "div": outcome(lambda: rates("fit_one_cycle", 1, 1e-2, div=0)),
        "div_final": outcome(lambda: rates("fit_one_cycle", 1, 1e-2, div_final=0)),
        "flat_cos": outcome(lambda: rates("fit_flat_cos", 1, 1e-2, div_final=0)),
        "no_epochs": outcome(lambda: rates("fit", 0)),
        "negative": outcome(lambda: rates("fit_one_cycle", -1)),
    }


def f15(api):
    """Where a schedule stands while gradients accumulate and steps are skipped."""

    def rates(*cbs, **kwargs):
        seen = []
        scheduler = api.ParamScheduler({"lr": api.SchedLin(0.0, 1e-3)}, **kwargs)
        learner(api).fit(1, cbs=[scheduler, *cbs, watch(api, "lr", seen)])
        return [round(1e4 * row[0], 6) for row in seen]

    def cancels(event, error):
        def act(learn):
            if learn.train_iter == 3:
                raise error

        return acts(api, event, act, order=0)

    accumulate = lambda: api.GradientAccumulation(n_acc=32)
    return {
        "accumulated": outcome(lambda: rates(accumulate())),
        "skipped_step": outcome(lambda: rates(cancels("before_step", api.CancelStepException))),
        "skipped_batch": outcome(lambda: rates(cancels("before_batch", api.CancelBatchException))),
        "by_batch": outcome(lambda: rates(accumulate(), unit="batch")),
    }


class Stream:
    """Batches without an end, and so without a length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        while True:
            yield from self.batches


def f16(api):
    """A loader without a length."""
    data = api.synth_dbunch()
    batches, valid = list(data.train), list(data.valid)

    def rates(**kwargs):
        learn = learner(api, data=api.loaders(Stream(batches), valid))
        learn.fit_one_cycle(2, 1e-2, pct_start=0.5, **kwargs)
        return [len(learn.recorder.lrs), learn.recorder.lrs.index(max(learn.recorder.lrs))]

    return {"steps": outcome(lambda: rates(steps=5)), "no_steps": outcome(rates)}


def f17(api):
    """No validation loader."""
    batches = list(api.synth_dbunch().train)

    def rows():
        learn = learner(api, data=api.loaders(batches))
        learn.fit(2)
        return [len(row) for row in learn.recorder.values]

    def found():
        learn = learner(api, data=api.loaders(batches))
        return len(learn.lr_find(show_plot=False))

    return {"fit": outcome(rows), "lr_find": outcome(found)}


def f18(api):
    """The logger and the record after an interruption."""
    learn = learner(api, progress=True)
    logger = learn.logger
    scheduler = api.ParamScheduler({"lr": api.SchedLin(1e-3, 1e-2)})
    stopped = interrupted(lambda: learn.fit(1, cbs=[scheduler, interrupts(api, 4)]))
    return {
        "interrupted": stopped,
        "logger_back": learn.logger is logger,
        "recorded": outcome(lambda: len(learn.recorder.hps["lr"])),
    }


def f19(api):
    """A plateau within a schedule: the rate of each epoch, as a share of the schedule's."""

    def rates(*cbs):
        learn = learner(api)
        learn.fit_one_cycle(4, 1e-3, cbs=list(cbs))
        return learn.recorder.lrs

    # No loss ever improves by so much: every epoch after the first is one of a plateau.
    plateau = api.ReduceLROnPlateau(patience=1, min_delta=1e9)
    shares = [a / b for a, b in zip(rates(plateau), rates(), strict=True)]
    return [sorted({float(f"{s:.6g}") for s in shares[k : k + 10]}) for k in range(0, 40, 10)]


def f20(api):
    """A plateau with a torch optimizer: the rate of each epoch."""
    learn = learner(api, lr=1e-2, opt=wrapped(api, torch.optim.SGD, momentum=0.9))
    learn.fit(4, cbs=api.ReduceLROnPlateau(patience=1, min_delta=1e9))
    return [float(f"{lr:.6g}") for lr in learn.recorder.lrs[::10]]


def f21(api):
    """A hyper-parameter that the optimizer does not have."""
    trained = []

    def schedule(learn):
        scheduler = api.ParamScheduler({"lrr": api.SchedLin(1e-3, 1e-2)})
        learn.fit(1, cbs=[scheduler, counts(api, trained)])

    def write(learn):
        learn.create_opt()
        learn.opt.set_hyper("lrr", 1e-3)

    torch_opt = wrapped(api, torch.optim.SGD, momentum=0.9)
    found = {
        f"{what.__name__} {name}": outcome(lambda: what(learner(api, opt=opt)))
        for what in (schedule, write)
        for name, opt in (("own", None), ("torch", torch_opt))
    }
    return found | {"batches": len(trained)}


def f22(api):
    """Python calls a training batch takes, without and with ten callbacks that do nothing."""

    class Idle(api.Callback):
        pass

    def calls(batches, idle):
        learn = learner(api, n_trn=batches, n_val=1, cbs=[Idle() for _ in range(idle)])
        learn.create_opt()
        count = [0]

        def profile(frame, event, arg):
            count[0] += event == "call"

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            learn.fit(1)
        finally:
            sys.setprofile(before)
        return count[0]

    return {idle: (calls(30, idle) - calls(10, idle)) / 20 for idle in (0, 10)}


def f23(api):
    """An optimizer made anew while groups are frozen, or after a parameter was."""
    learn = learner(api, groups=2)
    learn.freeze()
    learn.create_opt()
    found = {"frozen_idx": outcome(lambda: learn.opt.frozen_idx)}
    found["frozen"] = moved(learn, lambda: learn.fit(1))
    learn.unfreeze()
    found["unfrozen"] = moved(learn, lambda: learn.fit(1))

    learn = learner(api)
    learn.model.a.requires_grad_(False)
    learn.fit(1)
    learn.unfreeze()
    found["frozen_at_first"] = moved(learn, lambda: learn.fit(1))
    return found


def f24(api):
    """An epoch cancelled before it is recorded."""

    def cancel(learn):
        if learn.epoch == 0:
            raise api.CancelEpochException

    def rows():
        learn = learner(api)
        learn.fit(2, cbs=acts(api, "before_epoch", cancel, order=0))
        return [len(row) for row in learn.recorder.values]

    return outcome(rows)


# The finder.

RULES = ("valley", "slide", "minimum", "steep")


def rules(api):
    return [getattr(api, name) for name in RULES]


def l1(api):
    """Weights and rate after an interrupted sweep."""
    learn = learner(api, lr=1e-2, cbs=interrupts(api, 60))
    learn.create_opt()
    before = parameters(learn)
    stopped = interrupted(lambda: learn.lr_find(show_plot=False))
    return {
        "interrupted": stopped,
        "weights_back": same(parameters(learn), before),
        "lr": hypers(learn, "lr")[0],
    }


def l2(api):
    """The epochs of a fit that should stop early, after an interrupted sweep."""
    early = api.EarlyStoppingCallback(patience=1, min_delta=1e9)
    learn = learner(api, cbs=[early, interrupts(api, 20)])
    stopped = interrupted(lambda: learn.lr_find(show_plot=False))
    learn.fit(5)
    return {"interrupted": stopped, "epochs": len(learn.recorder.values)}


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


# Resuming.


def r1(api):
    """Trackers in a fit that begins at an epoch."""

    def rows(callback):
        learn = learner(api)
        learn.fit_one_cycle(4, 1e-2, start_epoch=2, cbs=callback)
        return [len(row) for row in learn.recorder.values]

    return {
        "save": outcome(lambda: rows(api.SaveModelCallback())),
        "early": outcome(lambda: rows(api.EarlyStoppingCallback(patience=9))),
        "plateau": outcome(lambda: rows(api.ReduceLROnPlateau(patience=9))),
    }


def r2(api):
    """The files of a SaveModelCallback in a fit that begins at an epoch."""
    learner(api).fit(4, start_epoch=2, cbs=api.SaveModelCallback(every_epoch=True))
    return sorted(path.name for path in Path("models").iterdir())


def r3(api):
    """The record, the table and the file of a fit that begins at an epoch."""
    logged = []
    learn = learner(api)
    learn.logger = lambda row: logged.append(row[0])
    learn.fit(4, start_epoch=2)
    # A CSVLogger takes the logger's place.
    learner(api).fit(4, start_epoch=2, cbs=api.CSVLogger())
    lines = Path("history.csv").read_text().splitlines()
    return {
        "values": [len(row) for row in learn.recorder.values],
        "logged": [entry for entry in logged if entry != "epoch"],
        "csv": [line.split(",")[0] for line in lines],
    }


def r4(api):
    """A fit that is cut inside an epoch, continued by a learner of its own."""

    def fit(*cbs):
        learn = learner(api, number=3)
        tracker = api.ReduceLROnPlateau(patience=1, min_delta=1e9)
        stopped = interrupted(lambda: learn.fit_one_cycle(3, 1e-2, cbs=[tracker, *cbs]))
        return learn, stopped

    def record(learn):
        recorder = learn.recorder
        return plain([recorder.lrs, recorder.losses, recorder.values, recorder.hps])

    def resumed():
        full, _ = fit()
        _, stopped = fit(api.CheckpointCallback("checkpoints", every_steps=4), interrupts(api, 18))
        learn = learner(api, number=3)
        with torch.no_grad():
            for param in learn.model.parameters():
                param.zero_()
        seed(99)
        seen = []
        learn.resume(
            "checkpoints", cbs=[api.ReduceLROnPlateau(patience=1, min_delta=1e9), counts(api, seen)]
        )
        return {
            "interrupted": stopped,
            "batches": len(seen),
            "weights": same(parameters(learn), parameters(full)),
            "record": record(learn) == record(full),
        }

    return outcome(resumed)


def r5(api):
    """What trains after a checkpoint of the frozen phase was loaded."""
    learn = learner(api, groups=2)
    learn.freeze()
    learn.fit(1)
    learn.save("frozen")
    again = learner(api, groups=2)
    again.load("frozen")
    return {"moved": moved(again, lambda: again.fit(1))}


def r6(api):
    """A SaveModelCallback with nothing to load at the end."""

    def cancel(learn):
        raise api.CancelFitException

    def cancelled():
        learner(api).fit(1, cbs=[api.SaveModelCallback(), acts(api, "before_epoch", cancel)])

    def always_nan():
        learn = learner(api)
        learn.loss_func = lambda pred, y: (pred - y).square().mean() * math.nan
        learn.fit(1, cbs=api.SaveModelCallback())

    return {"cancelled": heard(cancelled), "nan": heard(always_nan)}


def r7(api):
    """A checkpoint whose optimizer state does not fit."""
    learn = learner(api, groups=2)
    learn.fit(1)
    learn.save("two")

    def load(**kwargs):
        one = learner(api)
        one.load("two", **kwargs)
        return same(parameters(one), parameters(learn))

    return {"load": heard(load), "model_alone": heard(lambda: load(with_opt=False))}


def r8(api):
    """The types in a checkpoint, and loading it with weights_only and no list of allowed types."""
    learn = learner(api)
    learn.fit_one_cycle(1, 1e-2)
    path = learn.save("model")

    def read():
        torch.serialization.clear_safe_globals()
        return sorted(torch.load(path, weights_only=True))

    def reload():
        learner(api).load("model")

    kinds = {type(value).__module__ for group in learn.opt.hypers for value in group.values()}
    return {"types": sorted(kinds), "read": heard(read), "load": heard(reload)}


def r9(api):
    """A state_dict while training goes on."""
    learn = learner(api)
    learn.fit(1)
    state = learn.opt.state_dict()
    before = copy.deepcopy(state)
    learn.fit(1, lr=1e-4)
    return {"unchanged": same(state, before)}


PROBES = {
    name.upper(): partial(run, function)
    for name, function in list(globals().items())
    if name[0] in "flr" and name[1:].isdigit()
}
