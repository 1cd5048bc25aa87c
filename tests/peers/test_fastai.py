"""Our schedules in fastai's training, and our rules in its `lr_find`, beside its own."""

import pickle
from functools import partial

import lehr
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.basics import SGD, Adam, DataLoaders, Datasets, Learner, OptimWrapper, load_learner
from fastai.callback import schedule as theirs
from fastai.callback.core import Callback
from fastai.callback.progress import ProgressCallback
from torch import nn

EPOCHS, BATCHES = 5, 8

DATA = torch.randn(8 * BATCHES, 4, generator=torch.Generator().manual_seed(0))


def inputs(i):
    return DATA[i]


def targets(i):
    return DATA[i, :2].sin()


def two_groups(model):
    return [list(part.parameters()) for part in (model[0], model[2])]


@lehr.annealer
def SchedSquare(start, end, pos):
    return start + (end - start) * pos**2


def loaders():
    sets = Datasets(list(range(len(DATA))), [[inputs], [targets]])
    return DataLoaders.from_dsets(
        sets, sets, bs=8, shuffle=False, device=torch.device("cpu"), num_workers=0
    )


sgd = partial(SGD, mom=0.9)


def learner(opt_func=sgd, cbs=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    learn = Learner(loaders(), model, nn.MSELoss(), opt_func=opt_func, splitter=two_groups, cbs=cbs)
    learn.remove_cb(ProgressCallback)
    return learn


class InForce(Callback):
    """Keeps the position and the hyper-parameters that each optimizer step sees."""

    run_valid = False

    def before_fit(self):
        self.positions, self.seen = [], []

    def before_step(self):
        self.positions.append(self.pct_train)
        self.seen.append([dict(group) for group in self.opt.hypers])

    def values(self, name):
        """Return an array of shape (steps, groups)."""
        return np.array([[group[name] for group in groups] for groups in self.seen], dtype=float)


def fit(schedules, **kwargs):
    learn = learner(**kwargs)
    learn.fit(EPOCHS, cbs=[theirs.ParamScheduler(schedules), in_force := InForce()])
    return learn, in_force


def three_schedules(host, low, high):
    """Return schedules of `host`, ours or theirs, for all that fastai schedules."""
    return {
        "lr": host.combined_cos(0.25, low, high, low),
        "mom": host.combine_scheds(
            [0.5, 0.25, 0.25],
            [host.SchedLin(0.95, 0.85), host.SchedNo(0.85, 0.85), host.SchedPoly(0.85, 0.9, 2)],
        ),
        "wd": host.SchedExp(1e-4, 1e-2),
    }


ENDS = {
    "scalar": (4e-5, 1e-3),
    "per group": (np.array([4e-6, 4e-5]), np.array([1e-4, 1e-3])),
}


@pytest.mark.parametrize("ends", ENDS)
def test_schedules_give_what_fastai_s_own_give(ends):
    learn, ours = fit(three_schedules(lehr, *ENDS[ends]))
    other, fastai_s = fit(three_schedules(theirs, *ENDS[ends]))
    assert len(ours.seen) == EPOCHS * BATCHES
    # Its combined schedules take their position within a phase in float32.
    for name, rtol in {"lr": 1e-6, "mom": 5e-8, "wd": 1e-14}.items():
        assert ours.values(name) == pytest.approx(fastai_s.values(name), rel=rtol, abs=0), name
    for a, b in zip(learn.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("ends", ENDS)
def test_every_step_sees_the_value_at_fastai_s_position(ends):
    schedules = three_schedules(lehr, *ENDS[ends])
    learn, in_force = fit(schedules)
    assert in_force.positions == pytest.approx(np.arange(EPOCHS * BATCHES) / (EPOCHS * BATCHES))
    for name, schedule in schedules.items():
        expected = np.broadcast_arrays(
            in_force.values(name).T, schedule(np.array(in_force.positions)).T
        )
        assert np.array_equal(*expected), name
        assert learn.recorder.hps[name] == in_force.values(name)[:, -1].tolist()


def test_a_plain_fit_follows_one_sched_cos():
    _, ours = fit({"lr": lehr.SchedCos(1e-3, 1e-5)})
    _, fastai_s = fit({"lr": theirs.SchedCos(1e-3, 1e-5)})
    assert ours.values("lr") == pytest.approx(fastai_s.values("lr"), rel=1e-13, abs=0)


@pytest.mark.parametrize("opt_func", [Adam, partial(OptimWrapper, opt=torch.optim.AdamW)])
def test_adam_s_betas_are_scheduled_as_mom(opt_func):
    schedules = three_schedules(lehr, *ENDS["per group"])
    learn, in_force = fit(schedules, opt_func=opt_func)
    assert in_force.values("mom")[:, 1] == pytest.approx(
        schedules["mom"](np.array(in_force.positions)), rel=1e-15
    )
    if hasattr(learn.opt, "opt"):
        group = learn.opt.opt.param_groups[1]
        assert group["betas"] == (in_force.values("mom")[-1, 1], 0.999)
        assert group["weight_decay"] == in_force.values("wd")[-1, 1]


def test_functions_of_our_annealer_are_schedules_and_phases_on_both_sides():
    square = SchedSquare(1e-3, 1e-5)
    _, alone = fit({"lr": square})
    _, in_ours = fit({"lr": lehr.combine_scheds([0.5, 0.5], [lehr.SchedNo(1e-3, 1e-3), square])})
    _, in_theirs = fit(
        {"lr": theirs.combine_scheds([0.5, 0.5], [lehr.SchedNo(1e-3, 1e-3), square])}
    )
    assert alone.values("lr")[:, 1].tolist() == [square(pos) for pos in alone.positions]
    assert in_ours.values("lr") == pytest.approx(in_theirs.values("lr"), rel=2e-6, abs=0)
    assert in_ours.values("lr")[-1, 0] < 2e-4


def test_fastai_s_schedules_are_phases_of_ours():
    _, mixed = fit(
        {"lr": lehr.combine_scheds([0.25, 0.75], [theirs.SchedCos(1, 2), theirs.SchedCos(2, 0.1)])}
    )
    _, ours = fit({"lr": lehr.combined_cos(0.25, 1, 2, 0.1)})
    assert mixed.values("lr") == pytest.approx(ours.values("lr"), rel=1e-13, abs=0)


def test_fastai_plots_what_our_schedules_gave():
    learn, in_force = fit(three_schedules(lehr, *ENDS["per group"]))
    learn.recorder.plot_sched()
    drawn = {ax.get_ylabel(): ax.lines[0].get_ydata() for ax in plt.gcf().axes if ax.lines}
    assert {name: list(values) for name, values in drawn.items()} == {
        name: in_force.values(name)[:, -1].tolist() for name in ("lr", "mom", "wd")
    }


def scheduled(schedules):
    return learner(cbs=[theirs.ParamScheduler(schedules), InForce()])


def test_a_learner_with_our_schedules_is_exported_by_plain_pickle():
    schedules = three_schedules(lehr, *ENDS["per group"])
    scheduled(schedules).export("ours.pkl", pickle_module=pickle)
    assert load_learner("ours.pkl").param_scheduler.scheds == schedules


def test_a_learner_with_fastai_s_schedules_is_not():
    learn = scheduled({"lr": theirs.combined_cos(0.25, *ENDS["scalar"], 1e-8)})
    with pytest.raises(AttributeError, match="combine_scheds.<locals>._inner"):
        learn.export("theirs.pkl", pickle_module=pickle)


def test_an_exported_learner_resumes_with_the_same_bits():
    schedules = three_schedules(lehr, *ENDS["per group"])
    whole = scheduled(schedules)
    whole.fit(EPOCHS)

    class Stop(Callback):
        def after_epoch(self):
            if self.epoch == 1:
                raise theirs.CancelFitException

    first = scheduled(schedules)
    first.fit(EPOCHS, cbs=Stop())
    assert len(first.in_force.seen) == 2 * BATCHES
    first.save("weights", with_opt=True)
    first.export("learner.pkl")

    second = load_learner("learner.pkl")
    second.dls = loaders()
    second.load("weights", with_opt=True)
    second.fit(EPOCHS, start_epoch=2)
    assert first.in_force.seen + second.in_force.seen == whole.in_force.seen
    for a, b in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(a, b)


RULES = (lehr.valley, lehr.slide, lehr.minimum, lehr.steep)


def sweep(*rules, **kwargs):
    """Run fastai's `lr_find` with `rules` and return its answer and what it passed them."""
    passed = []

    def witness(*args):
        passed.append(args)
        return 1.0, (1.0, 1.0)

    learn = learner()
    suggestions = learn.lr_find(suggest_funcs=(*rules, witness), **kwargs)
    return suggestions, *passed


def fastai_s_slide(lrs, losses, num_it, **options):
    """Return its answer on the losses as shares of their range, of which ours takes its threshold.

    Row L9.
    """
    return theirs.slide(lrs, losses / (losses.max() - losses.min()), num_it, **options)


def test_lr_find_takes_our_rules_and_names_the_answer_after_them():
    suggestions, (lrs, losses, num_it) = sweep(*RULES, show_plot=False)
    assert suggestions._fields == ("valley", "slide", "minimum", "steep", "witness")
    assert all(type(value) is float for value in suggestions)
    assert (lrs.dtype, losses.dtype, num_it) == (torch.float32, torch.float32, 100)
    assert lrs.shape == losses.shape
    for rule, value in zip(
        (theirs.valley, fastai_s_slide, theirs.minimum, theirs.steep), suggestions, strict=False
    ):
        assert value == pytest.approx(rule(lrs, losses, num_it)[0], rel=3e-6), rule


def test_lr_find_takes_our_rules_with_options_and_by_their_method_names():
    narrow = partial(lehr.slide, lr_diff=10, adjust_value=0.5)
    suggestions, curve = sweep(lehr.SuggestionMethod.Valley, narrow, show_plot=False)
    assert suggestions._fields == ("valley", "slide", "witness")
    expected, _ = fastai_s_slide(*curve, lr_diff=10, adjust_value=0.5)
    assert suggestions.slide == pytest.approx(expected, rel=3e-6)


def test_lr_find_draws_the_points_of_our_rules():
    suggestions = learner().lr_find(suggest_funcs=RULES, show_plot=True)
    curve, *points = plt.gca().lines
    assert [point.get_label() for point in points] == list(suggestions._fields)
    for point, name in zip(points, suggestions._fields, strict=True):
        (x,), (y,) = point.get_data()
        # `minimum` marks the least loss and suggests a tenth of its rate.
        assert getattr(suggestions, name) == (x / 10 if name == "minimum" else x)
        lrs, losses = (np.array(data, dtype=float) for data in curve.get_data())
        assert y == pytest.approx(np.interp(np.log(x), np.log(lrs), losses), rel=1e-4)
