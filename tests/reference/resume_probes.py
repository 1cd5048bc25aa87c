"""What each row R asks of checkpoints and resuming."""

import copy
import math
from pathlib import Path

import torch
from probes import outcome, plain
from probing import (
    acts,
    collect,
    counts,
    heard,
    interrupted,
    learner,
    moved,
    parameters,
    same,
    seed,
)


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
    """Trainings that are cut inside an epoch, each continued by a learner of its own."""

    def callbacks(*more):
        checkpoints = api.CheckpointCallback(every_steps=4)
        return [api.ReduceLROnPlateau(patience=1, min_delta=1e9), checkpoints, *more]

    def fresh(folder):
        return learner(api, groups=2, number=3, path=Path(folder))

    def record(learn):
        recorder = learn.recorder
        return plain([recorder.lrs, recorder.losses, recorder.values, recorder.hps])

    def resumed(folder, train, batch):
        """Train in one go, and cut in the given batch and resumed."""
        full, cut, learn = (fresh(f"{folder}{i}") for i in range(3))
        seed(5)
        train(full, callbacks())
        seen = []

        def interrupt(learn):
            seen.append(learn.train_iter)
            if len(seen) == batch:
                raise KeyboardInterrupt

        seed(5)
        stopped = interrupted(lambda: train(cut, callbacks(acts(api, "after_step", interrupt))))
        with torch.no_grad():
            for param in learn.model.parameters():
                param.zero_()
        seed(99)
        again = []
        learn.resume(f"{folder}1/models/checkpoints", cbs=callbacks(counts(api, again)))
        return {
            "interrupted": stopped,
            "batches": [len(seen), len(again)],
            "weights": same(parameters(learn), parameters(full)),
            "record": record(learn) == record(full),
        }

    one_cycle = lambda learn, cbs: learn.fit_one_cycle(3, 1e-2, cbs=cbs)
    fine_tune = lambda learn, cbs: learn.fine_tune(2, cbs=cbs)
    return {
        "one_cycle": outcome(lambda: resumed("one_cycle", one_cycle, 19)),
        "frozen": outcome(lambda: resumed("frozen", fine_tune, 6)),
        "unfrozen": outcome(lambda: resumed("unfrozen", fine_tune, 26)),
    }


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


PROBES = collect(globals(), "r")
