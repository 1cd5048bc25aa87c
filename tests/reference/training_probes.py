"""What each row F asks of ParamScheduler and the fit methods."""

import gc
import sys

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
    moved,
    watch,
    wrapped,
)


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


def fails(learn):
    """Raise an error in the fifth batch."""
    if learn.train_iter == 4:
        message = "a bug"
        raise ZeroDivisionError(message)


def f6(api):
    """The record after two schedulers, after a fit without any, after an error, before any."""
    lr = api.ParamScheduler({"lr": api.SchedLin(1e-3, 1e-2)})
    mom = api.ParamScheduler({"mom": api.SchedLin(0.9, 0.8)})
    learn = learner(api)
    learn.fit(1, cbs=[lr, mom])
    two = outcome(lambda: sorted(learn.recorder.hps))
    learn.fit(1)
    plain_fit = outcome(lambda: sorted(learn.recorder.hps))
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
    """The logger and the record after an interruption and after an error."""
    found = {}
    for how, callback in (
        ("interrupt", interrupts(api, 4)),
        ("error", acts(api, "after_step", fails)),
    ):
        learn = learner(api, progress=True)
        logger = learn.logger
        scheduler = api.ParamScheduler({"lr": api.SchedLin(1e-3, 1e-2)})
        ended = outcome(lambda: interrupted(lambda: learn.fit(1, cbs=[scheduler, callback])))
        found[how] = {
            "ended": ended.get("raises", ended.get("value")),
            "logger_back": learn.logger is logger,
            "recorded": outcome(lambda: len(learn.recorder.hps["lr"])),
        }
    return found


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

        # What the collector of garbage calls is not the batch's.
        gc.collect()
        gc.disable()
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            learn.fit(1)
        finally:
            sys.setprofile(before)
            gc.enable()
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


PROBES = collect(globals(), "f")
