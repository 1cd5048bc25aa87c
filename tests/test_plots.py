"""Pictures: what they show and what they return."""

import math
import pickle
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from lehr import (
    Callback,
    CancelEpochException,
    CancelFitException,
    CancelValidException,
    DataLoaders,
    LRFinder,
    Recorder,
    SchedCos,
    combine_scheds,
    minimum,
    valley,
)
from lehr.plotting import plot_hypers, plot_losses, plot_sweep
from lehr.suggestion import Suggestion
from lehr.sweep import Sweep
from lehr.testing import synth_dbunch, synth_learner
from matplotlib.colors import same_color, to_rgb

NAN = float("nan")


@pytest.fixture
def learn():
    learn = synth_learner(splitter=lambda m: [[m.a], [m.b]])
    with learn.no_logging():
        learn.fit_one_cycle(2, slice(1e-3, 1e-2))
    return learn


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def overlap(figure):
    """Whether anything of one picture lies over another picture."""
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    return any(
        one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[index + 1 :]
    )


def tick_labels(axis):
    axis.axes.figure.canvas.draw()
    low, high = sorted(axis.get_view_interval())
    major = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [tick.label1.get_text() for tick in major]


def test_plot_sched_draws_every_hyper_and_every_group(learn):
    figure = learn.recorder.plot_sched()
    assert [ax.get_ylabel() for ax in figure.axes] == ["lr", "mom"]
    assert [ax.get_title() for ax in figure.axes] == ["learning rate", "momentum"]
    for ax, name in zip(figure.axes, ("lr", "mom"), strict=True):
        assert ax.get_xlabel() == "training batch"
        drawn = np.array([line.get_ydata() for line in ax.lines]).T
        assert drawn.tolist() == learn.recorder.hps_all[name]
    # Groups of one course have one entry and one colour, which is no group's.
    assert [legend(ax) for ax in figure.axes] == [["group 0", "group 1"], ["all groups"]]
    colours = [[line.get_color() for line in ax.lines] for ax in figure.axes]
    assert len({*colours[0], *colours[1]}) == 3
    assert not overlap(figure)
    one = learn.recorder.plot_sched("lr", figsize=(3, 2))
    assert len(one.axes) == 1
    assert one.get_size_inches().tolist() == [3, 2]
    assert len(learn.recorder.plot_sched(["mom", "lr"]).axes) == 2
    assert len(learn.recorder.plot_sched(np.array(["mom"])).axes) == 1


@pytest.mark.parametrize(
    ("keys", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))],
)
def test_any_number_of_hypers_fills_its_rows(keys, shape):
    figure = plot_hypers({f"hyper {k}": [[0.1, 0.2], [0.2, 0.3]] for k in range(keys)})
    assert len(figure.axes) == keys
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    assert figure.get_size_inches().tolist() == [6 * shape[1], 4 * shape[0]]
    assert not overlap(figure)


def test_groups_that_are_alike_are_named_together():
    rows = [[1e-3, 2e-3, 1e-3, 1e-3], [2e-3, 4e-3, 2e-3, 2e-3]]
    assert legend(plot_hypers({"lr": rows}).axes[0]) == ["groups 0, 2, 3", "group 1"]
    rows = [[1e-3] * 11 + [1e-2]] * 2
    assert legend(plot_hypers({"lr": rows}).axes[0]) == ["groups 0-10", "group 11"]
    assert plot_hypers({"lr": [[1e-3], [1e-2]]}).axes[0].get_legend() is None


@pytest.mark.parametrize(("groups", "named"), [(3, 3), (12, 12), (60, 12)])
def test_many_groups_have_colours_of_their_own_and_a_legend_that_fits(groups, named):
    rows = np.linspace(1, 2, 5)[:, None] * np.linspace(1e-3, 1e-2, groups)
    figure = plot_hypers({"lr": rows.tolist()})
    (ax,) = figure.axes
    labels = legend(ax)
    assert len(labels) == named
    assert (labels[0], labels[-1]) == ("group 0", f"group {groups - 1}")
    colours = [line.get_color() for line in ax.lines]
    assert not any(map(same_color, colours, colours[1:]))
    figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    assert not box.overlaps(ax.get_window_extent())


def test_rates_far_apart_get_a_logarithmic_axis_that_shows_each_peak():
    rows = SchedCos([1e-5, 1e-3], [1e-13, 1e-11]).values(50)
    (ax,) = plot_hypers({"lr": rows.tolist()}).axes
    assert ax.get_yscale() == "log"
    assert 1e-10 < ax.get_ylim()[0] < 1e-7
    (near,) = plot_hypers({"lr": (rows[:, 1:] * [1, 0.1]).tolist()}).axes
    assert near.get_yscale() == "linear"
    # A rate of 0 has no logarithm.
    (ax,) = plot_hypers({"lr": [[0.0, 1e-3]] * 3}).axes
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("value", [1e-8, 3e-5, 0.95, 250_000.0])
def test_ticks_say_the_value_itself(value):
    (ax,) = plot_hypers({"lr": [[value], [1.001 * value]]}).axes
    labels = tick_labels(ax.yaxis)
    assert len(set(labels)) == len(labels) > 2
    assert all(value / 1.01 < float(label) < 1.01 * value for label in labels)
    assert ax.yaxis.get_offset_text().get_text() == ""


def test_one_batch_is_seen():
    (ax,) = plot_hypers({"lr": [[1e-3]]}).axes
    assert ax.lines[0].get_marker() == "o"
    assert tick_labels(ax.xaxis) == ["0"]


def test_a_schedule_is_drawn_with_its_jumps_and_within_its_axes():
    jump = combine_scheds([0.5, 0.5], [SchedCos(0, 1), SchedCos([3, 4], 2)])
    ax = jump.plot()
    x, y = ax.lines[0].get_data()
    assert y[x == 0.5] == 3
    assert y[x < 0.5][-1] == pytest.approx(1)
    assert x[x < 0.5][-1] > 0.5 - 1e-11
    _, axes = plt.subplots(1, 2)
    assert jump.plot(axes[0]) is axes[0]
    # Beside axes of the caller's may be others.
    axes[0].figure.canvas.draw()
    box = axes[0].get_legend().get_window_extent()
    assert axes[0].get_window_extent().contains(box.x1, box.y1)


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


def test_a_suggestion_is_a_marker_at_its_point_and_a_line_at_its_rate(learn):
    found = learn.lr_find(suggest_funcs=(minimum, valley), show_plot=False)
    sweep = learn.recorder.sweep
    (ax,) = learn.recorder.plot_lr_find(skip_end=0).axes
    line, marker = ax.lines[2:4]
    assert line.get_xdata()[0] == found.minimum
    assert tuple(marker.get_xydata()[0]) == sweep.suggestions["minimum"].point
    assert marker.get_xydata()[0][0] == pytest.approx(10 * found.minimum)
    assert line.get_color() == marker.get_color() != ax.lines[5].get_color()
    assert marker.get_marker() != ax.lines[5].get_marker()
    assert legend(learn.recorder.plot_lr_find(nms=["a", "b"]).axes[0])[2:] == [
        f"a: {found.minimum:.2e}",
        f"b: {found.valley:.2e}",
    ]


@pytest.mark.parametrize(
    "suggestions",
    [
        [1e-3],
        np.array([1e-3]),
        torch.tensor([1e-3], dtype=torch.float64),
        [(1e-3, 2.0)],
        np.array([[1e-3, 2.0]]),
        [(1e-3, torch.tensor(2.0))],
        [1e-3, None],
    ],
)
def test_suggestions_may_be_rates_or_points_of_any_kind(learn, suggestions):
    learn.lr_find(show_plot=False)
    (ax,) = learn.recorder.plot_lr_find(suggestions=suggestions).axes
    assert legend(ax)[2:] == ["point 1: 1.00e-03"]


@pytest.mark.parametrize("suggestion", ["steepest", (1, 2, 3), (), {}])
def test_what_is_neither_a_rate_nor_a_point_is_named(learn, suggestion):
    learn.lr_find(show_plot=False)
    match = r"`suggestions` must hold rates or points \(rate, loss\), got "
    with pytest.raises(TypeError, match=match + re.escape(repr(suggestion))):
        learn.recorder.plot_lr_find(suggestions=[suggestion])


def test_suggestions_in_one_place_are_all_named(learn):
    learn.lr_find(show_plot=False)
    (ax,) = learn.recorder.plot_lr_find(suggestions=[1e-3] * 3, nms=["a", "a", "b"]).axes
    assert legend(ax)[2:] == ["a: 1.00e-03", "a: 1.00e-03", "b: 1.00e-03"]
    sizes = [line.get_markersize() for line in ax.lines[3::2]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_what_has_no_suggestion_is_not_marked(learn):
    learn.lr_find(show_plot=False)
    (ax,) = learn.recorder.plot_lr_find(suggestions=[NAN, 1e-3], nms=["a", "b"]).axes
    assert legend(ax)[2:] == ["b: 1.00e-03"]
    nothing = {"valley": Suggestion(NAN, None, "nothing to say")}
    learn.recorder.sweep = learn.recorder.sweep.with_suggestions(nothing)
    assert legend(learn.recorder.plot_lr_find().axes[0]) == ["loss of each batch", "smoothed loss"]


LRS = np.geomspace(1e-7, 1, 50)
FALLING = 3 - np.tanh((np.arange(50) - 25) / 9)


@pytest.mark.parametrize(
    ("losses", "low", "high"),
    [
        (FALLING, 2, 4),
        (1e6 * FALLING, 2e6, 4e6),
        (FALLING - 10, -8, -6),
        # What comes after divergence is off the picture.
        (np.where(np.arange(50) < 40, FALLING, 1e10), 2, 6.3),
        (np.where(np.arange(50) < 48, FALLING, NAN), 2, 4),
        (np.exp(np.arange(50)), 1, 4),
        (np.ones(50), 1, 1),
    ],
)
def test_the_loss_axis_of_a_sweep_shows_what_matters(losses, low, high):
    (ax,) = plot_sweep(Sweep(LRS, losses, stop="finished"), skip_end=0).axes
    bottom, top = ax.get_ylim()
    room = 0.2 * (high - low) or 0.1
    assert low - room < bottom < low
    assert high < top < high + room
    assert ax.get_xlim() == pytest.approx((LRS[0], LRS[-1]), rel=10)
    assert ax.yaxis.get_offset_text().get_text() == ""


def test_a_sweep_without_a_finite_loss_says_so():
    (ax,) = plot_sweep(Sweep(LRS, [NAN] * 50, stop="non-finite")).axes
    assert [text.get_text() for text in ax.texts] == ["no finite loss"]
    low, high = ax.get_xlim()
    assert low < 1e-7
    assert high > 0.1


def test_a_sweep_of_no_points_is_none_to_draw():
    recorder = Recorder()
    recorder.sweep = Sweep([], [], num_it=100, stop="interrupted")
    with pytest.raises(ValueError, match=r"run `learn.lr_find\(\)` first"):
        recorder.plot_lr_find()
    recorder.sweep = Sweep([1e-3], [2.0], num_it=100, stop="interrupted")
    assert recorder.plot_lr_find().axes[0].lines[1].get_marker() == "o"


def test_pictures_may_be_parts_of_a_figure(learn):
    learn.lr_find(show_plot=False)
    figure = plt.figure()
    left, right = figure.subfigures(1, 2)
    assert learn.recorder.plot_lr_find(ax=left.subplots()) is figure
    ax = right.subplots()
    assert learn.recorder.plot_loss(ax=ax) is ax


@pytest.mark.parametrize(
    ("backend", "left"), [("agg", 1), ("module://matplotlib_inline.backend_inline", 0)]
)
def test_a_notebook_shows_a_figure_once(learn, monkeypatch, backend, left):
    figure = learn.recorder.plot_sched()
    monkeypatch.setattr("matplotlib.get_backend", lambda: backend)
    # IPython's way to be told that the ordinary way will do.
    with pytest.raises(NotImplementedError):
        figure._ipython_display_()
    # What is left there is shown when the cell ends.
    assert len(plt.get_fignums()) == left
    assert len(figure.axes) == 2


def test_a_figure_pickles(learn):
    learn.lr_find(show_plot=False)
    for figure in (learn.recorder.plot_sched(), learn.recorder.plot_lr_find()):
        assert len(pickle.loads(pickle.dumps(figure)).axes) == len(figure.axes)


def test_losses_are_drawn_with_the_validation_loss_at_the_end_of_each_epoch(learn):
    recorder = learn.recorder
    valid = [row[1] for row in recorder.values]
    ax = recorder.plot_loss()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == (
        "training batch",
        "loss",
        "Losses",
    )
    single, smoothed, validation = ax.lines
    assert single.get_xdata().tolist() == smoothed.get_xdata().tolist() == list(range(6, 21))
    assert single.get_ydata().tolist() == recorder.raw_losses[5:]
    assert smoothed.get_ydata().tolist() == recorder.losses[5:]
    assert validation.get_xydata().tolist() == [[10, valid[0]], [20, valid[1]]]
    assert legend(ax) == ["loss of each batch", "training loss, smoothed", "validation loss"]
    # What is left out of the training losses is left out of the others.
    assert recorder.plot_loss(skip_start=10).lines[2].get_xdata().tolist() == [20]
    assert recorder.plot_loss(skip_start=0).lines[1].get_xdata()[0] == 1
    assert recorder.plot_loss(10**9).lines[1].get_xdata().tolist() == [20]
    assert len(recorder.plot_loss(with_valid=False).lines) == 2
    _, own = plt.subplots()
    assert recorder.plot_loss(ax=own) is own


def test_ends_of_epochs_are_drawn_and_thinned_out(learn):
    ax = learn.recorder.plot_loss(show_epochs=True)
    assert [line.get_xdata()[0] for line in ax.lines[3:]] == [10, 20]
    losses = [1.0] * 1000
    ax = plot_losses(losses, losses, ends=range(5, 1001, 5))
    assert [line.get_xdata()[0] for line in ax.lines[2:]] == list(range(50, 1001, 50))
    assert legend(ax)[2:] == ["end of every 10 epochs"]


def test_logarithmic_axes_have_ticks_and_need_losses_above_0(learn):
    ax = learn.recorder.plot_loss(log=True)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    for last, ticks in ((12.0, ["14", "20"]), (1.0, ["1", "2", "5", "10", "20"])):
        ax = plot_losses([20.0, 19.0, last], [22.0, 20.0, last], log=True)
        assert set(ticks) <= set(tick_labels(ax.yaxis)), last
    ax = plot_losses([20.0, 19.0, 1e-3], [22.0, 20.0, 1e-3], log=True)
    assert all("10^" in label for label in tick_labels(ax.yaxis))
    figures = plt.get_fignums()
    with pytest.raises(ValueError, match="`log` needs losses above 0, got a training loss of -1"):
        plot_losses([2.0, 1.0], [2.0, -1.0], log=True)
    with pytest.raises(ValueError, match="`log` needs losses above 0, got a validation loss of 0"):
        plot_losses([2.0, 1.0], [2.0, 1.0], [(2, 0.0)], log=True)
    assert plt.get_fignums() == figures


def quiet(learn, *args, **kwargs):
    with learn.no_logging():
        learn.fit(*args, **kwargs)
    return learn.recorder


def test_validation_losses_of_a_fit_that_began_in_the_middle():
    recorder = quiet(synth_learner(), 5, start_epoch=3)
    validation = recorder.plot_loss().lines[2].get_xydata()
    assert validation.tolist() == [[10, recorder.values[0][1]], [20, recorder.values[1][1]]]


@pytest.mark.parametrize(
    ("event", "error", "ends"),
    [
        ("before_epoch", CancelEpochException, [10, 20]),
        ("after_train", CancelEpochException, [10, 30]),
        ("before_validate", CancelValidException, [10, 30]),
        ("before_validate", CancelFitException, [10]),
    ],
)
def test_cancelled_epochs_have_no_validation_loss(event, error, ends):
    def cancel(self):
        if self.learn.epoch == 1:
            raise error

    recorder = quiet(synth_learner(), 3, cbs=type("Cancels", (Callback,), {event: cancel})())
    x, y = recorder.plot_loss().lines[2].get_data()
    assert x.tolist() == ends
    assert y.tolist() == [row[1] for row in recorder.values if len(row) > 1]


def test_the_validation_loss_is_found_beside_training_metrics():
    def error(pred, target):
        return (pred - target).abs().mean()

    recorder = Recorder(train_metrics=True)
    learn = synth_learner(metrics=error)
    learn.remove_cb(Recorder)
    learn.add_cb(recorder)
    assert learn.recorder is recorder
    quiet(learn, 2)
    assert recorder.metric_names.index("valid_loss") == 3
    drawn = recorder.plot_loss().lines[2].get_ydata().tolist()
    assert drawn == [row[2] for row in recorder.values]


def test_losses_of_a_fit_without_validation():
    learn = synth_learner(data=DataLoaders(synth_dbunch().train))
    assert len(quiet(learn, 1).plot_loss().lines) == 2


def test_losses_of_a_single_batch_and_of_many_epochs():
    (_, smoothed, validation) = quiet(synth_learner(n_trn=1), 1).plot_loss().lines
    assert (smoothed.get_marker(), validation.get_marker()) == ("o", "o")
    assert smoothed.get_xdata().tolist() == validation.get_xdata().tolist() == [1]
    (_, smoothed, validation) = quiet(synth_learner(n_trn=1), 70).plot_loss().lines
    assert validation.get_marker() == "None"
    assert len(validation.get_xdata()) == 65


def test_one_exploding_loss_does_not_flatten_the_rest_and_nan_is_a_gap():
    raw = [2.0, 1.9, 1.8, 1e9, *[1.5] * 300, NAN]
    smoothed = [2.0, 1.9, 1.8, 1.7, *[1.5] * 300, NAN]
    assert plot_losses(smoothed, raw).get_ylim()[1] < 2.1
    ax = plot_losses([NAN] * 3, [NAN] * 3)
    assert [text.get_text() for text in ax.texts] == ["no finite loss"]


def test_plot_loss_refuses_what_makes_no_picture(learn):
    with pytest.raises(ValueError, match="there is no loss to draw: fit first"):
        synth_learner().recorder.plot_loss()
    with pytest.raises(ValueError, match="`skip_start` must be at least 0, got -1"):
        learn.recorder.plot_loss(-1)
    with pytest.raises(TypeError, match="`skip_start` must be an integer, got 2.5"):
        learn.recorder.plot_loss(2.5)


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


# Sweep.plot.


@pytest.fixture
def sweep():
    return Sweep(LRS, FALLING, stop="finished")


def suggestion(lr, point=True, **known):
    return Suggestion(lr, (lr, 3.0) if point else None, **known)


def test_a_sweep_marks_suggestions_given_as_values_names_or_a_mapping(sweep):
    mine = suggestion(1e-3, method="mine")
    for given, names in (
        (mine, ["mine"]),
        ("valley", ["valley"]),
        (["valley", mine, suggestion(1e-3)], ["valley", "mine", "suggestion 3"]),
        ({"a": "ignite", "b": mine}, ["a", "b"]),
        ((), []),
        (None, ["kept"]),
    ):
        (ax,) = sweep.with_suggestions({"kept": mine}).plot(given).axes
        assert [label.split(":")[0] for label in legend(ax)[2:]] == names
    assert len(ax.lines[0].get_xdata()) == len(sweep)


def test_the_curve_drawn_is_the_one_the_marked_rules_read(sweep):
    def drawn(given):
        (ax,) = sweep.plot(given).axes
        return ax.lines[1].get_ydata()

    found = sweep.suggest("robust")._replace(point=(1e-3, 2.0), status="ok")
    assert np.array_equal(drawn(found), sweep.smooth(), equal_nan=True)
    assert np.array_equal(drawn([found, "valley"]), sweep.smoothed)
    assert np.array_equal(drawn(()), sweep.smoothed)


def test_what_is_no_suggestion_is_refused(sweep):
    for wrong in (3, [1e-3], {"a": None}):
        with pytest.raises(TypeError, match="`suggestions` must hold suggestions or names"):
            sweep.plot(wrong)
    with pytest.raises(ValueError, match="`method` must be one of robust, .*, got 'vally'"):
        sweep.plot("vally")
    with pytest.raises(ValueError, match="`skip_end` must be at least 0, got -1"):
        sweep.plot(skip_end=-1)
    with pytest.raises(ValueError, match="the sweep has no point"):
        Sweep([], []).plot()


def test_an_interval_is_a_band_of_the_marker_s_colour(sweep):
    (ax,) = sweep.plot([suggestion(1e-3, interval=(1e-4, 1e-2)), suggestion(1e-2)]).axes
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((1e-4, 1e-2 - 1e-4))
    assert band.get_facecolor()[:3] == to_rgb(ax.lines[3].get_color())


def test_the_title_says_why_a_suggestion_is_weak_or_none(sweep):
    long = "the loss falls by twice its noise, which chance does " * 20
    (ax,) = sweep.plot(
        {
            "robust": suggestion(1e-3, status="weak", reason="it hardly falls"),
            "other": suggestion(NAN, point=False, status="none", reason="noise"),
            "good": suggestion(1e-2, status="ok"),
        }
    ).axes
    assert ax.get_title().splitlines() == [
        "Learning-rate sweep", "robust: weak: it hardly falls", "other: none: noise",
    ]  # fmt: skip
    assert legend(ax)[2:] == ["robust: 1.00e-03 (weak)", "good: 1.00e-02"]
    figure = sweep.plot(suggestion(1e-3, status="weak", reason=long, method="m"))
    figure.draw_without_rendering()
    title = figure.axes[0].title.get_window_extent()
    assert 0 <= title.x0 < title.x1 <= figure.bbox.x1
    assert title.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    ("lrs", "scale"),
    [
        (np.geomspace(1e-7, 1, 50), "log"),
        (np.linspace(1e-3, 1, 50), "linear"),
        (np.linspace(-1, 1, 50) ** 3, "linear"),
        (np.r_[0, np.geomspace(1e-7, 1, 49)], "linear"),
        ([0.1], "log"),
        ([0.1, 0.2], "log"),
        ([0.0], "linear"),
        ([0.5] * 4, "linear"),
    ],
)
def test_the_axis_is_logarithmic_unless_values_are_even_or_not_above_0(lrs, scale):
    lrs = np.asarray(lrs)
    figure = Sweep(lrs, np.arange(len(lrs)) + 1.0).plot("minimum")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert ax.get_xscale() == scale
    low, high = ax.get_xlim()
    assert low < lrs.min()
    assert lrs.max() < high


def test_what_is_swept_names_axis_and_title():
    (ax,) = Sweep([1, 2, 4], [1, 2, 3], hyper="weight_decay").plot().axes
    assert (ax.get_xlabel(), ax.get_title()) == ("weight decay", "Weight decay sweep")


def test_a_pool_shows_the_points_of_its_parts_faintly():
    parts = [Sweep(LRS, FALLING + shift) for shift in (0, 0.1)]
    (ax,) = Sweep.pool(parts).plot().axes
    assert legend(ax) == ["loss of each batch", "mean loss of 2 sweeps", "smoothed loss"]
    assert [line.get_ydata()[0] for line in ax.lines[:2]] == [part.losses[0] for part in parts]


def test_spikes_do_not_flatten_the_curve():
    losses = FALLING.copy()
    losses[[10, 30]] *= 50
    losses[[12, 13]] = NAN, math.inf
    bottom, top = Sweep(LRS, losses).plot("valley").axes[0].get_ylim()
    assert 1 < bottom < 2
    assert 4 < top < 9
