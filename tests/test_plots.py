"""Pictures: what they show and what they return."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from lehr import LRFinder, valley
from lehr.plotting import plot_losses
from lehr.testing import synth_learner


@pytest.fixture
def learn():
    learn = synth_learner(splitter=lambda m: [[m.a], [m.b]])
    with learn.no_logging():
        learn.fit_one_cycle(2, slice(1e-3, 1e-2))
    return learn


def test_plot_sched_draws_every_hyper_and_every_group(learn):
    figure = learn.recorder.plot_sched()
    assert [ax.get_ylabel() for ax in figure.axes] == ["lr", "mom"]
    assert [ax.get_title() for ax in figure.axes] == ["learning rate", "momentum"]
    for ax, name in zip(figure.axes, ("lr", "mom"), strict=True):
        assert ax.get_xlabel() == "training batch"
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["group 0", "group 1"]
        drawn = np.array([line.get_ydata() for line in ax.lines]).T
        assert drawn.tolist() == learn.recorder.hps_all[name]
    one = learn.recorder.plot_sched("lr", figsize=(3, 2))
    assert len(one.axes) == 1
    assert one.get_size_inches().tolist() == [3, 2]
    assert len(learn.recorder.plot_sched(["mom", "lr"]).axes) == 2


def test_plot_sched_without_a_schedule_or_with_a_wrong_key_raises(learn):
    with pytest.raises(ValueError, match=r"`keys` must be among \['lr', 'mom'\], got 'eps'"):
        learn.recorder.plot_sched(["lr", "eps"])
    with pytest.raises(ValueError, match="`keys` must name at least one"):
        learn.recorder.plot_sched([])
    with learn.no_logging():
        learn.fit(1)
    with pytest.raises(ValueError, match="nothing was scheduled in the last fit"):
        learn.recorder.plot_sched()


def test_plot_lr_find_marks_and_names_the_suggestions(learn):
    found = learn.lr_find(suggest_funcs=(valley,), show_plot=False)
    figure = learn.recorder.plot_lr_find()
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "training loss")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-1] == f"valley: {found.valley:.2e}"
    sweep = learn.recorder.sweep
    assert len(ax.lines[1].get_xdata()) == len(sweep) - 5
    assert ax.lines[2].get_xdata()[0] == found.valley
    assert len(learn.recorder.plot_lr_find(skip_end=0).axes[0].lines[1].get_xdata()) == len(sweep)
    assert len(learn.recorder.plot_lr_find(skip_end=10**6).axes[0].lines[1].get_xdata()) == 1


def test_plot_lr_find_takes_points_names_and_axes(learn):
    with learn.no_logging():
        learn.fit(20, cbs=LRFinder())
    own, ax = plt.subplots()
    figure = learn.recorder.plot_lr_find(
        suggestions=[(1e-3, 2.0), (1e-2, 1.0)], nms=["a", "b"], ax=ax
    )
    assert figure is own
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[2:] == ["a: 1.00e-03", "b: 1.00e-02"]
    assert learn.recorder.plot_lr_find(return_fig=False) is None
    found = learn.lr_find(show_plot=False)
    marked = learn.recorder.plot_lr_find(suggestions=found).axes[0].lines[2]
    assert marked.get_xdata()[0] == found.valley
    with pytest.raises(ValueError, match="`skip_end` must be at least 0, got -3"):
        learn.recorder.plot_lr_find(skip_end=-3)
    with pytest.raises(ValueError, match="`nms` must name each of the 1 suggestions, got 2"):
        learn.recorder.plot_lr_find(suggestions=[(1, 1)], nms=["a", "b"])


def test_plot_lr_find_without_a_sweep_says_what_to_do():
    with pytest.raises(ValueError, match=r"run `learn.lr_find\(\)` first"):
        synth_learner().recorder.plot_lr_find()


def test_sweeps_shown_by_lr_find_share_one_figure(learn):
    for _ in range(25):
        learn.lr_find(num_it=6)
    assert len(plt.get_fignums()) == 1


def test_losses_are_drawn_with_the_validation_loss_at_the_end_of_each_epoch(learn):
    recorder = learn.recorder
    valid = [row[1] for row in recorder.values]
    figure = plot_losses(recorder.losses, recorder.raw_losses, recorder.iters, valid)
    lines = figure.axes[0].lines
    assert lines[2].get_xdata().tolist() == [10, 20]
    assert lines[2].get_ydata().tolist() == valid


def test_without_matplotlib_a_sweep_warns_and_suggests_and_a_plot_says_what_to_install():
    code = """
import sys, warnings
sys.modules["matplotlib"] = None
import lehr
from lehr.testing import synth_learner
learn = synth_learner()
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    assert learn.lr_find().valley > 0
assert ["pip install 'lehr[plot]'" in str(w.message) for w in seen] == [True], seen
try:
    lehr.SchedLin(0, 1).plot()
except ImportError as error:
    assert "a plot needs matplotlib: pip install 'lehr[plot]'" in str(error), error
else:
    raise SystemExit("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
