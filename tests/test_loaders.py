"""Loaders and batches of every kind, and the exact position of every batch."""

import itertools
import math
import random
import re
from collections import namedtuple
from fractions import Fraction

import lehr
import pytest
import torch
from lehr import (
    Callback,
    DataLoaders,
    GradientAccumulation,
    Learner,
    ParamScheduler,
    SchedLin,
    combined_cos,
)
from state import capture
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

# What several tests are about; one asks for the warning itself.
pytestmark = pytest.mark.filterwarnings("ignore:the training loader gave")

METHODS = ["fit", "fit_one_cycle", "fit_flat_cos", "fine_tune", "fit_sgdr"]


def batches(n, size=4):
    torch.manual_seed(0)
    return [(x, 2 * x + 1) for x in torch.randn(n, size, 1)]


class Promised:
    """Yields other than its length says."""

    def __init__(self, items, length):
        self.items, self.length = items, length

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.items)


class Counted:
    """Has no length and counts what is taken from it."""

    def __init__(self, items):
        self.items, self.taken, self.begun = items, 0, 0

    def __iter__(self):
        self.begun += 1
        for item in self.items:
            self.taken += 1
            yield item


class Stream(IterableDataset):
    def __init__(self, n):
        self.items = batches(n)

    def __iter__(self):
        return iter(self.items)


def line(*loaders, **kwargs):
    torch.manual_seed(1)
    kwargs = {"loss_func": nn.MSELoss(), "lr": 0.01, "moms": None} | kwargs
    return Learner(DataLoaders(*loaders, device="cpu"), nn.Linear(1, 1), **kwargs)


def quiet(learn, method="fit", *args, **kwargs):
    with learn.no_logging():
        getattr(learn, method)(*args, **kwargs)
    return learn


# Lengths.


@pytest.mark.parametrize("method", METHODS)
def test_a_loader_without_length_needs_steps_and_nothing_changes_without(method):
    seen = []

    class Sees(Callback):
        def __call__(self, event):
            seen.append(event)

    loader = Counted(batches(3))
    learn = line(loader, cbs=Sees)
    seen.clear()
    args = (1, 1) if method == "fit_sgdr" else (1,)
    with pytest.raises(TypeError, match=r"no length, got Counted: .*`steps=`"):
        quiet(learn, method, *args)
    assert seen == []
    assert learn.opt is None
    assert loader.begun == 0
    args = (1, 2, 0.01, 1) if method == "fit_sgdr" else (2,)
    quiet(learn, method, *args, steps=3)
    assert loader.taken == {"fine_tune": 9}.get(method, 6)


@pytest.mark.parametrize("method", METHODS)
def test_an_infinite_generator_gives_the_rates_of_a_list_and_loses_no_batch(method):
    every = batches(24)
    args = (1, 2, 0.01, 1) if method == "fit_sgdr" else (2,)
    loader = iter(itertools.cycle(every))
    learn = quiet(line(loader), method, *args, steps=4)
    n = 12 if method == "fine_tune" else 8
    # The next batch is the one behind those that were trained on.
    assert torch.equal(next(loader)[0], every[n][0])
    same = quiet(line(every[:4]), method, *args)
    assert learn.recorder.lrs == same.recorder.lrs
    assert learn.recorder.hps == same.recorder.hps


def test_an_epoch_of_a_loader_without_length_begins_the_loader_anew():
    loader = Counted(batches(5))
    learn = quiet(line(loader), "fit", 3, steps=4)
    assert (loader.begun, loader.taken) == (3, 12)
    assert learn.recorder.iters == [4, 8, 12]
    assert learn.recorder.raw_losses[0] != learn.recorder.raw_losses[4]


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_steps_cut_a_loader_that_has_a_length(steps):
    learn = quiet(line(batches(4)), "fit_one_cycle", 2, 0.5, steps=steps)
    assert learn.recorder.lrs == combined_cos(0.25, 0.02, 0.5, 5e-6).values(2 * steps).tolist()
    assert learn.steps is None
    quiet(learn, "fit", 1)
    assert len(learn.recorder.lrs) == 4


def test_a_loader_with_fewer_batches_than_steps_ends_its_epochs_early():
    learn = quiet(line(batches(3)), "fit", 2, cbs=ParamScheduler({"lr": lambda pos: pos}), steps=5)
    assert learn.recorder.hps["lr"] == [k / 10 for k in (0, 1, 2, 5, 6, 7)]


def test_an_exhausted_generator_is_an_error_in_the_epoch_without_a_batch():
    learn = line(iter(batches(3)))
    with pytest.raises(ValueError, match="gave no batch in epoch 1: it must begin anew"):
        quiet(learn, "fit", 2, steps=3)
    assert learn.recorder.iters == [3]


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (0, ValueError, "`steps` must be at least 1, got 0"),
        (-2, ValueError, "`steps` must be at least 1, got -2"),
        (2.0, TypeError, "`steps` must be an integer, got 2.0"),
        ("2", TypeError, "`steps` must be an integer, got '2'"),
        (True, TypeError, "`steps` must be an integer, got True"),
        (math.nan, TypeError, "`steps` must be an integer, got nan"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_wrong_steps_are_named_before_a_batch_is_taken(method, steps, error, message):
    loader = Counted(batches(3))
    args = (1, 1) if method == "fit_sgdr" else (1,)
    learn = line(loader)
    with pytest.raises(error, match=message):
        quiet(learn, method, *args, steps=steps)
    assert (loader.begun, learn.opt, learn.steps) == (0, None, None)


def test_a_sweep_of_a_loader_without_length_takes_num_it_and_restores():
    loader = Counted(itertools.cycle(batches(7)))
    learn = line(loader)
    learn.create_opt()
    before = capture(learn.model, learn.opt.torch)
    learn.lr_find(num_it=30, stop_div=False, show_plot=False)
    assert loader.taken == 30
    assert len(learn.recorder.sweep.lrs) == 30
    assert capture(learn.model, learn.opt.torch) == before
    assert learn.steps is None


def test_a_sweep_begins_a_short_loader_without_length_again_and_again():
    loader = Counted(batches(7))
    learn = line(loader)
    learn.lr_find(num_it=30, stop_div=False, show_plot=False)
    assert loader.begun == 5
    assert len(learn.recorder.sweep.lrs) == 30


def test_a_sweep_of_a_generator_that_ends_has_what_there_was():
    learn = line(iter(batches(12)))
    learn.lr_find(num_it=30, stop_div=False, show_plot=False, suggest_funcs=None)
    assert learn.recorder.sweep.lrs[-1] == pytest.approx(1e-7 * 1e8 ** (11 / 30), rel=1e-14)
    assert len(learn.recorder.sweep.lrs) == 12


@pytest.mark.parametrize("make", [list, tuple, iter, Counted, DataLoader])
def test_a_loader_that_has_no_batch_is_an_error(make):
    if make is DataLoader:
        data = TensorDataset(torch.ones(3, 1), torch.ones(3, 1))
        loader = DataLoader(data, batch_size=4, drop_last=True)
    else:
        loader = make([])
    learn = line(loader)
    if make in (iter, Counted):
        with pytest.raises(ValueError, match="gave no batch in epoch 0"):
            quiet(learn, "fit", 1, steps=3)
        return
    with pytest.raises(ValueError, match="must hold at least one batch, got none"):
        quiet(learn, "fit", 1)
    assert learn.opt is None


# Validation loaders.


@pytest.mark.parametrize(
    "valid",
    [
        lambda: batches(5),
        lambda: tuple(batches(5)),
        lambda: Counted(batches(5)),
        lambda: Promised(batches(5), 2),
        lambda: DataLoader(Stream(5), batch_size=None),
    ],
    ids=["list", "tuple", "no length", "longer", "iterable data set"],
)
def test_every_batch_of_a_validation_loader_counts(valid):
    learn = line(batches(2), valid())
    quiet(learn, "fit", 2)
    xs, ys = (torch.cat(part).double() for part in zip(*batches(5), strict=True))
    weight, bias = (p.detach().double() for p in learn.model.parameters())
    expected = ((xs @ weight.T + bias - ys) ** 2).mean().item()
    assert learn.recorder.values[-1][1] == pytest.approx(expected, rel=1e-6)
    assert learn.validate() == [learn.recorder.values[-1][1]]


def test_a_validation_generator_is_empty_in_the_second_epoch():
    learn = quiet(line(batches(2), iter(batches(3))), "fit", 2)
    assert [len(row) for row in learn.recorder.values] == [2, 1]


def test_without_a_validation_loader_every_fit_trains():
    for method in METHODS:
        args = (1, 1) if method == "fit_sgdr" else (1,)
        learn = quiet(line(batches(2)), method, *args)
        assert [len(row) for row in learn.recorder.values] == [1]
    with pytest.raises(IndexError, match="`ds_idx` must be among 1 loaders, got 1"):
        learn.validate()
    assert len(learn.validate(0)) == 1


# Batches.

Pair = namedtuple("Pair", "x y")  # noqa: PYI024 (as users have them)


class Own:
    """A batch of one's own, which moves itself."""

    def __init__(self, x, y):
        self.x, self.y, self.moves = x, y, 0

    def to(self, device):
        self.moves += 1
        return self


class Takes(nn.Module):
    """Takes its inputs in any form, and gives the prediction, its loss, or both."""

    def __init__(self, take, give):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.take, self.give = take, give

    def forward(self, *args, **kwargs):
        x, y = self.take(*args, **kwargs)
        pred = self.linear(x)
        return self.give(pred, None if y is None else nn.functional.mse_loss(pred, y))


Given = namedtuple("Given", "pred loss")  # noqa: PYI024


class Attribute:
    def __init__(self, pred, loss):
        self.pred, self.loss = pred, loss


MSE = nn.functional.mse_loss
FORMS = {
    "tuple": (lambda x, y: (x, y), lambda x: (x, None), lambda p, _: p, MSE),
    "list": (lambda x, y: [x, y], lambda x: (x, None), lambda p, _: p, MSE),
    "named": (Pair, lambda x: (x, None), lambda p, _: p, MSE),
    "nested": (
        lambda x, y: ((x, {"k": x}), (y, [y])),
        lambda inputs: (inputs[1]["k"], None),
        lambda p, _: p,
        lambda p, y: (MSE(p, y[0]) + MSE(p, y[1][0])) / 2,
    ),
    "two inputs": (lambda x, y: (x, x, y), lambda a, b: ((a + b) / 2, None), lambda p, _: p, MSE),
    "dict in tuple": (
        lambda x, y: ({"x": x}, y), lambda x: (x, None), lambda p, _: p, MSE
    ),
    "dict": (lambda x, y: {"x": x, "y": y}, lambda x, y: (x, None), lambda p, _: p,
             lambda p, b: MSE(p, b["y"])),
    "own": (Own, lambda b: (b.x, None), lambda p, _: p, lambda p, b: MSE(p, b.y)),
    "dict, own loss": (lambda x, y: {"x": x, "y": y}, lambda x, y: (x, y), Given, None),
    "loss attribute": (lambda x, y: {"x": x, "y": y}, lambda x, y: (x, y), Attribute, None),
    "loss key": (
        lambda x, y: {"x": x, "y": y}, lambda x, y: (x, y),
        lambda p, loss: {"pred": p, "loss": loss}, None,
    ),
    "own, own loss": (Own, lambda b: (b.x, b.y), Given, None),
    "bare tensor, own loss": (
        lambda x, y: torch.cat([x, y], 1), lambda xy: (xy[:, :1], xy[:, 1:]), Given, None
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_every_form_train_alike(form):
    make, take, give, loss_func = FORMS[form]
    plain_fit = quiet(line(batches(5), batches(3)), "fit_one_cycle", 2, 0.1)
    train, valid = ([make(x, y) for x, y in batches(n)] for n in (5, 3))
    model = Takes(take, give)
    torch.manual_seed(1)
    model.linear = nn.Linear(1, 1)
    learn = Learner(DataLoaders(train, valid, device="cpu"), model, loss_func, lr=0.01, moms=None)
    quiet(learn, "fit_one_cycle", 2, 0.1)
    assert learn.recorder.raw_losses == pytest.approx(plain_fit.recorder.raw_losses, rel=1e-6)
    assert learn.recorder.values[-1] == pytest.approx(plain_fit.recorder.values[-1], rel=1e-6)
    assert learn.validate() == learn.recorder.values[-1][1:]
    if form != "own":
        assert type(learn.batch) is type(train[0])
    before = capture(learn.model, learn.opt.torch)
    learn.lr_find(num_it=12, show_plot=False, suggest_funcs=None)
    assert capture(learn.model, learn.opt.torch) == before
    if form.startswith("own"):
        assert train[0].moves > 0


def test_metrics_get_several_targets_as_the_loss_does():
    sizes = [4, 4, 2]
    torch.manual_seed(2)
    items = [(torch.randn(n, 1), (torch.randn(n, 1), torch.randn(n, 1))) for n in sizes]

    def loss(pred, targets):
        first, second = targets
        return MSE(pred, first) + MSE(pred, second)

    def second_error(pred, targets):
        return (pred - targets[1]).abs().mean()

    learn = quiet(line(items, items, loss_func=loss, metrics=second_error), "fit", 1)
    x = torch.cat([x for x, _ in items]).double()
    first, second = (torch.cat([y[i] for _, y in items]).double() for i in (0, 1))
    pred = x @ learn.model.weight.detach().double().T + learn.model.bias.detach().double()
    expected = [
        ((pred - first).square().mean() + (pred - second).square().mean()).item(),
        (pred - second).abs().mean().item(),
    ]
    assert learn.recorder.values[0][1:] == pytest.approx(expected, rel=1e-6)
    assert learn.recorder.metric_names == [
        "epoch", "train_loss", "valid_loss", "second_error", "time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ((torch.ones(2, 1),), ValueError, "must hold a target for `loss_func`, got inputs alone"),
        ([torch.ones(2, 1)], ValueError, "must hold a target for `loss_func`, got inputs alone"),
        (None, TypeError, r"Linear|linear"),
        ("text", TypeError, r"linear"),
        (3, TypeError, r"linear"),
    ],
)
def test_a_batch_that_cannot_be_trained_on_is_an_error(item, error, message):
    with pytest.raises(error, match=message):
        quiet(line([item]), "fit", 1)


@pytest.mark.parametrize(
    ("pred", "shown"),
    [
        (lambda p, loss: p, "Tensor"),
        (lambda p, loss: {"pred": p}, "dict"),
        (lambda p, loss: None, "NoneType"),
        (lambda p, loss: (p, loss), "tuple"),
    ],
)
def test_a_model_that_gives_no_loss_is_an_error_that_names_what_it_gave(pred, shown):
    items = [{"x": x, "y": y} for x, y in batches(2)]
    model = Takes(lambda x, y: (x, y), pred)
    with pytest.raises(TypeError, match=rf"as `\.loss` or .*, got {shown}"):
        quiet(Learner(DataLoaders(items, device="cpu"), model), "fit", 1)


@pytest.mark.parametrize(
    "loss", [lambda p, y: p, lambda p, y: (p - y).square(), lambda p, y: 3.0, lambda p, y: None]
)
def test_a_loss_that_is_no_number_is_an_error_and_trains_nothing(loss):
    learn = line(batches(2), loss_func=loss)
    before = [p.detach().clone() for p in learn.model.parameters()]
    with pytest.raises(TypeError, match="the loss must be a tensor of one number, got"):
        quiet(learn, "fit", 1)
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), ValueError, "needs at least a training loader, got none"),
        ((None,), TypeError, "`loaders` must be iterables of batches, got None"),
        ((3,), TypeError, "`loaders` must be iterables of batches, got 3"),
        (([], 1.5), TypeError, "`loaders` must be iterables of batches, got 1.5"),
        (([DataLoader([1])],), TypeError, "got a list of loaders"),
        (((DataLoader([1]), DataLoader([2])),), TypeError, "got a list of loaders"),
    ],
)
def test_loaders_that_are_none_are_refused_at_once(arguments, error, message):
    with pytest.raises(error, match=message):
        DataLoaders(*arguments)


# Positions (rules 1 and 14), beside a count of sets of batches.

# What becomes of the gradient of a batch: "lost" before it was there, "dropped" with all that
# waited, "waits" for the next step, "used" with all that waited, "none" of a batch that was not.
CANCELS = {
    ("CancelBatchException", "before_batch"): "lost",
    ("CancelBatchException", "after_pred"): "lost",
    ("CancelBatchException", "after_loss"): "lost",
    ("CancelBatchException", "before_backward"): "lost",
    ("CancelBatchException", "after_backward"): "waits",
    ("CancelBatchException", "before_step"): "waits",
    ("CancelBatchException", "after_step"): "used",
    ("CancelBackwardException", "before_backward"): "used",
    ("CancelStepException", "before_step"): "dropped",
    ("CancelTrainException", "before_batch"): "none",
    ("CancelTrainException", "before_backward"): "none",
    ("CancelTrainException", "after_backward"): "waits",
    ("CancelTrainException", "after_step"): "used",
    ("CancelTrainException", "after_batch"): "used",
    ("CancelEpochException", "after_step"): "used",
    ("CancelEpochException", "before_batch"): "none",
}


def positions(epochs, length, planned, cancels, acc=1):
    """Return the exact position of every batch, by counting those before it.

    A planned batch before it counts unless it waits for a step or no step has used it; one that a
    short epoch left out counts.
    """
    waits, out, found, gathered = set(), set(), [], 0

    def count(before):
        every = ((e, i) for e in range(epochs) for i in range(planned))
        return sum(one < before and one not in waits | out for one in every)

    for epoch in range(epochs):
        for i in range(length):
            me = (epoch, i)
            found.append(Fraction(count(me), epochs * planned))
            cancel = cancels.get(me)
            gathered += 1
            fate = CANCELS[cancel] if cancel else "used" if gathered >= acc else "waits"
            gathered = gathered if fate == "waits" else 0
            if fate == "lost":
                out.add(me)
            elif fate == "dropped":
                out |= waits | {me}
            elif fate == "waits":
                waits.add(me)
            if fate in ("used", "dropped"):
                waits.clear()
            if cancel and cancel[0] in ("CancelTrainException", "CancelEpochException"):
                break
    return found


class Sees(Callback):
    order = -100
    run_valid = False

    def __init__(self):
        self.at, self.train = [], []

    def before_batch(self):
        self.at.append(self.pct_step)
        self.train.append((self.pct_train, self.train_iter))


class Rates(Callback):
    """Reads what a scheduler has just set."""

    order = 70
    run_valid = False

    def __init__(self):
        self.at = []

    def before_batch(self):
        self.at.append(self.opt.torch.param_groups[0]["lr"])


class Cancels(Callback):
    run_valid = False
    order = 90

    def __init__(self, cancels):
        self.cancels = cancels

    def __call__(self, event):
        name, at = self.cancels.get((self.learn.epoch, self.learn.iter), (None, None))
        if event == at and self.learn.training:
            raise getattr(lehr, name)


def seen(epochs, length, planned, cancels, acc=1):
    """Return what a callback sees, and check that schedules see the same."""
    sees, rates = Sees(), Rates()
    learn = line(Promised(batches(length), planned), batches(1))
    cbs = [sees, Cancels(cancels), ParamScheduler({"lr": lambda pos: 0.01 + pos}), rates]
    if acc > 1:
        cbs.append(GradientAccumulation(4 * acc))
    quiet(learn, "fit", epochs, cbs=cbs)
    assert rates.at == [0.01 + pos for pos in sees.at]
    return sees


@pytest.mark.parametrize("length", [4, 6, 9])
@pytest.mark.parametrize("cancel", CANCELS, ids="-".join)
def test_one_cancellation_moves_the_position_as_counting_says(cancel, length):
    sees = seen(3, length, 6, {(0, 2): cancel})
    assert sees.at == [float(pos) for pos in positions(3, length, 6, {(0, 2): cancel})]


def test_counting_gives_the_positions_written_by_hand():
    """The oracle itself, for two epochs of four batches planned."""
    eighths = lambda *ks: [Fraction(k, 8) for k in ks]
    step, batch = ("CancelStepException", "before_step"), ("CancelBatchException", "before_step")
    train = ("CancelTrainException", "after_batch")
    assert positions(2, 4, 4, {}) == eighths(0, 1, 2, 3, 4, 5, 6, 7)
    assert positions(2, 3, 4, {}) == eighths(0, 1, 2, 4, 5, 6)
    assert positions(2, 5, 4, {}) == eighths(0, 1, 2, 3, 4, 4, 5, 6, 7, 8)
    assert positions(2, 4, 4, {(0, 1): step}) == eighths(0, 1, 1, 2, 3, 4, 5, 6)
    assert positions(2, 4, 4, {(0, 1): batch}) == eighths(0, 1, 1, 3, 4, 5, 6, 7)
    assert positions(2, 4, 4, {(0, 1): train}) == eighths(0, 1, 4, 5, 6, 7)
    assert positions(2, 4, 4, {}, acc=3) == eighths(0, 0, 0, 3, 3, 3, 6, 6)
    assert positions(2, 5, 4, {(0, 4): step}) == eighths(0, 1, 2, 3, 4, 4, 5, 6, 7, 8)


@pytest.mark.parametrize("seed", range(60))
def test_positions_under_many_cancellations_are_exact(seed):
    rng = random.Random(seed)
    planned, length, epochs = rng.randint(1, 9), rng.randint(1, 12), rng.randint(1, 4)
    places = [(e, i) for e in range(epochs) for i in range(length)]
    chosen = rng.sample(places, rng.randint(0, len(places) // 2))
    cancels = {place: rng.choice(list(CANCELS)) for place in chosen}
    sees = seen(epochs, length, planned, cancels)
    expected = positions(epochs, length, planned, cancels)
    assert sees.at == [float(pos) for pos in expected]


@pytest.mark.parametrize("acc", [2, 3, 5])
@pytest.mark.parametrize("length", [3, 7, 10])
@pytest.mark.parametrize("planned", [7, 8])
def test_batches_of_an_accumulation_have_the_position_of_its_first(acc, length, planned):
    sees = seen(3, length, planned, {}, acc)
    assert sees.at == [float(pos) for pos in positions(3, length, planned, {}, acc)]


@pytest.mark.parametrize("event", ["before_batch", "after_pred", "after_loss", "before_backward"])
def test_a_batch_cancelled_in_an_accumulation_gathers_nothing(event):
    """Two of three batches wait, one is cancelled, and the next one takes the step."""
    sees = seen(1, 6, 6, {(0, 2): ("CancelBatchException", event)}, acc=3)
    assert sees.at == [k / 6 for k in (0, 0, 0, 0, 3, 3)]


@pytest.mark.parametrize("length", [4, 7, 11])
def test_pct_train_counts_every_batch_and_ends_at_the_epoch(length):
    sees = Sees()
    learn = line(Promised(batches(length), 7), batches(2))
    cancels = {(0, 1): ("CancelBatchException", "after_pred"), (1, 0): ("CancelStepException",
               "before_step")}  # fmt: skip
    quiet(learn, "fit", 3, cbs=[sees, Cancels(cancels)])
    batches_of = [(e, i) for e in range(3) for i in range(length)]
    expected = [Fraction(7 * e + min(i, 7), 21) for e, i in batches_of]
    assert sees.train == [(float(pos), k) for k, pos in enumerate(expected)]
    assert learn.train_iter == 3 * length
    assert learn.pct_train == float(Fraction(14 + min(length, 7), 21))


def test_the_positions_behind_a_batch_and_in_validation_are_those_reached():
    """A skipped step counts for one and not for the other, whatever the validation's length."""
    found = []

    class Behind(Callback):
        order = 95

        def after_batch(self):
            found.append((self.training, self.pct_train, self.pct_step))

        def after_epoch(self):
            found.append((None, self.pct_train, self.pct_step))

    cancels = {(0, 1): ("CancelStepException", "before_step")}
    learn = line(batches(4), batches(3))
    quiet(learn, "fit", 2, cbs=[Behind(), Cancels(cancels)])
    reached = [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7)]
    expected = []
    for epoch in range(2):
        ours = [(a / 8, b / 8) for a, b in reached[4 * epoch : 4 * epoch + 4]]
        expected += [(True, *one) for one in ours]
        expected += [(False, *ours[-1])] * 3 + [(None, *ours[-1])]
    assert found == expected


@pytest.mark.parametrize("length", [7, 40])
def test_a_longer_loader_leaves_schedules_at_their_end_in_every_fit_method(length):
    """Row S6: never beyond the last value, and never back."""
    for method, args in (("fit_one_cycle", (1,)), ("fit_flat_cos", (1,)), ("fit_sgdr", (1, 1))):
        learn = quiet(line(Promised(batches(length), 5)), method, *args)
        end = 0.0 if method == "fit_sgdr" else 0.01 / 1e5
        assert learn.recorder.lrs[5:] == pytest.approx([end] * (length - 5), rel=1e-15)
        assert len(learn.recorder.lrs) == length


def test_an_unknown_name_in_a_schedule_is_found_before_a_batch_is_taken():
    loader = Counted(batches(3))
    learn = line(loader)
    with pytest.raises(KeyError, match=re.escape("`no` is not a hyper-parameter")):
        quiet(learn, "fit", 1, cbs=ParamScheduler({"no": SchedLin(0, 1)}), steps=3)
    assert loader.taken == 0
