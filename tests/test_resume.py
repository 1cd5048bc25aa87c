"""A training that is cut and resumed ends with the same bits as one that is not (rule 24)."""

import copy
import os
import random
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest
import torch
from lehr import (
    Callback,
    CheckpointCallback,
    CSVLogger,
    DataLoaders,
    EarlyStoppingCallback,
    GradientAccumulation,
    GradientClip,
    Learner,
    MixedPrecision,
    ParamScheduler,
    ReduceLROnPlateau,
    SaveModelCallback,
    SchedExp,
    SchedLin,
)
from state import Placed
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

# The last cut of a training leaves nothing to do.
pytestmark = pytest.mark.filterwarnings("ignore:the training that is resumed had ended")

BATCHES, EPOCHS = 4, 3


class Noisy(Dataset):
    """Points of a plane, with noise from all three generators at every look."""

    def __init__(self, n):
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(n, 6, generator=generator)
        self.y = self.x @ torch.arange(6.0)[:, None] + 1

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        noise = random.gauss(0, 0.1) + np.random.normal() * 0.1 + torch.randn(()).item() * 0.1
        return self.x[index] + noise, self.y[index]


class Net(nn.Module):
    """Dropout draws random numbers, batch norm keeps buffers, `seen` is no part of its state."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU())
        self.head = nn.Linear(8, 1)
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.seen += 1
        return self.head(self.body(x)) + 0 * self.seen


def groups(model):
    return [list(model.body.parameters()), list(model.head.parameters())]


def shuffled(data):
    return DataLoader(data, batch_size=8, shuffle=True)


def own_generator(data):
    return DataLoader(data, batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(5))


def larger(data):
    return DataLoader(data, batch_size=16, shuffle=True)


def weighted(data):
    return DataLoader(
        data, batch_size=8, sampler=WeightedRandomSampler([1.0, 2.0] * (len(data) // 2), len(data))
    )


def workers(data):
    return DataLoader(data, batch_size=8, shuffle=True, num_workers=2)


def batches(data):
    return [(data.x[i : i + 8], data.y[i : i + 8]) for i in range(0, len(data), 8)]


def make(path, seed, loader=shuffled, cbs=(), model=Net, **kwargs):
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(seed)
    data = Noisy(8 * BATCHES)
    valid = DataLoader(Noisy(16), batch_size=8)
    torch.manual_seed(seed)
    settings = {"lr": 1e-2, "splitter": groups} | kwargs
    return Learner(
        DataLoaders(loader(data), valid, device="cpu"),
        model(),
        nn.MSELoss(),
        path=path,
        cbs=[cb() for cb in cbs],
        **settings,
    )


def state(learn):
    """All that must be the same in the end, for comparison bit for bit."""
    recorder = learn.recorder
    return {
        "model": learn.model.state_dict(),
        "seen": learn.model.seen,
        "opt": learn.opt.state_dict(),
        "lrs": recorder.lrs,
        "losses": recorder.losses,
        "raw": recorder.raw_losses,
        "values": recorder.values,
        "iters": recorder.iters,
        "hps": recorder.hps_all,
        "train_iter": learn.train_iter,
        "pct_train": learn.pct_train,
        "frozen": [param.requires_grad for param in learn.model.parameters()],
        "random": (random.random(), np.random.random(), torch.rand(()).item()),
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def assert_same(ours, expected):
    for name, value in expected.items():
        assert same(ours[name], value), name


def run(learn, method, *args, **kwargs):
    with learn.no_logging():
        getattr(learn, method)(*args, **kwargs)
    return learn


def cosine_like(pos):
    """A schedule that is a plain function."""
    return 1e-2 * (1 - pos) ** 2 + 1e-4


FITS = {
    "fit": ("fit", (EPOCHS, 3e-3), {"wd": 0.1}),
    "one_cycle": ("fit_one_cycle", (EPOCHS, slice(1e-3, 1e-2)), {}),
    "flat_cos": ("fit_flat_cos", (EPOCHS,), {"pct_start": 0.5}),
    "sgdr": ("fit_sgdr", (2, 1), {}),
    "fine_tune": ("fine_tune", (2,), {"freeze_epochs": 2, "base_lr": 1e-2}),
    "start_epoch": ("fit_one_cycle", (EPOCHS + 1,), {"start_epoch": 1}),
    "arrays": ("fit_one_cycle", (2, np.array([1e-3, 1e-2])), {"moms": (0.9, (0.8, 0.7), 0.9)}),
}

LOADERS = [shuffled, own_generator, weighted, batches]


def check_every_cut(tmp_path, fit, *, every_steps=1, fit_cbs=(), stride=1, **settings):
    """Train to the end, with a checkpoint at every batch and epoch; resume from each of them."""
    method, args, kwargs = fit
    plain = make(tmp_path / "plain", 0, **settings)
    expected = state(run(plain, method, *args, **kwargs, cbs=[cb() for cb in fit_cbs]))
    saver = CheckpointCallback(every_steps=every_steps, every_epochs=1, keep=None, folder="cuts")
    whole = make(tmp_path / "whole", 0, **settings)
    run(whole, method, *args, **kwargs, cbs=[*(cb() for cb in fit_cbs), saver])
    assert_same(state(whole), expected)
    cuts = sorted((tmp_path / "whole" / "models" / "cuts").iterdir())
    for number, cut in enumerate(cuts):
        if number % stride:
            continue
        again = tmp_path / "again" / cut.stem
        # What trackers and loggers wrote is there, as after a real interruption.
        shutil.copytree(tmp_path / "whole", again, ignore=shutil.ignore_patterns("cuts"))
        learn = make(again, 1000 + number, **settings)
        run(learn, "resume", cut, cbs=[cb() for cb in fit_cbs])
        assert_same(state(learn), expected)
    return len(cuts)


@pytest.mark.parametrize("fit", FITS)
def test_every_fit_method_resumes_from_every_cut_to_the_same_bits(tmp_path, fit):
    cuts = check_every_cut(tmp_path, FITS[fit])
    epochs = {"fine_tune": 4, "arrays": 2}.get(fit, 3)
    # fine_tune saves once more between its two fits.
    assert cuts == epochs * (BATCHES + 1) + (fit == "fine_tune")


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader_resumes_from_every_cut_to_the_same_bits(tmp_path, loader):
    check_every_cut(tmp_path, FITS["one_cycle"], loader=loader, stride=2)


def test_a_loader_with_workers_resumes_to_the_same_bits(tmp_path):
    check_every_cut(tmp_path, ("fit_one_cycle", (2,), {}), loader=workers, stride=3)


def test_a_cut_inside_an_accumulation_keeps_its_gradients(tmp_path):
    accumulate = partial(GradientAccumulation, n_acc=24)  # three batches, so across epochs
    check_every_cut(tmp_path, FITS["one_cycle"], cbs=[accumulate, GradientClip])


@pytest.mark.parametrize(
    "mixed",
    [
        # The first steps overflow and are skipped; later ones double the scale.
        partial(MixedPrecision, "fp16", init_scale=2.0**40, growth_interval=2),
        partial(MixedPrecision, "bf16"),
    ],
)
def test_mixed_precision_resumes_with_its_scale(tmp_path, mixed):
    check_every_cut(tmp_path, FITS["one_cycle"], cbs=[mixed])


def test_trackers_decide_as_without_the_cut(tmp_path):
    cbs = [
        partial(SaveModelCallback, with_opt=True),
        partial(EarlyStoppingCallback, patience=2),
        partial(ReduceLROnPlateau, patience=1, min_delta=5.0),
        CSVLogger,
    ]
    check_every_cut(tmp_path, ("fit_one_cycle", (4,), {}), fit_cbs=cbs, stride=2)


def test_schedules_of_the_caller_are_given_again(tmp_path):
    scheds = {"lr": cosine_like, "wd": [SchedLin(0.0, 0.1), SchedExp(0.1, 0.01)]}
    check_every_cut(tmp_path, FITS["fit"], fit_cbs=[partial(ParamScheduler, scheds)])


def test_another_optimizer_and_a_metric_resume_to_the_same_bits(tmp_path):
    def mean_error(pred, target):
        return (pred - target).abs().mean()

    check_every_cut(
        tmp_path,
        ("fit_one_cycle", (2,), {}),
        opt_func=partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        metrics=mean_error,
    )


class Kill(BaseException):
    """What no part of the library catches."""


class KillAt(Callback):
    order = -100

    def __init__(self, event, turn):
        self.left, self.where = turn, event

    def __call__(self, event):
        if event == self.where:
            self.left -= 1
            if self.left == 0:
                raise Kill


@pytest.mark.parametrize(
    "event", ["before_batch", "after_backward", "after_step", "before_validate", "after_epoch"]
)
def test_a_training_that_dies_in_any_event_goes_on_from_its_last_checkpoint(tmp_path, event):
    method, args, kwargs = FITS["fine_tune"]
    expected = state(run(make(tmp_path / "plain", 0), method, *args, **kwargs))
    for turn in (2, 3) if event in ("before_validate", "after_epoch") else (4, 9, 14):
        path = tmp_path / f"dies{turn}"
        saver = partial(CheckpointCallback, every_steps=3, every_epochs=2, keep=1)
        learn = make(path, 0)
        with pytest.raises(Kill):
            run(learn, method, *args, **kwargs, cbs=[saver(), KillAt(event, turn)])
        again = make(path, 99)
        run(again, "resume", path / "models" / "checkpoints", cbs=saver())
        assert_same(state(again), expected)


def test_a_resumed_training_can_be_cut_and_resumed_again_and_again(tmp_path):
    expected = state(run(make(tmp_path / "plain", 0), "fit_one_cycle", EPOCHS))
    saver = partial(CheckpointCallback, every_steps=1)
    learn = make(tmp_path, 0)
    with pytest.raises(Kill):
        run(learn, "fit_one_cycle", EPOCHS, cbs=[saver(), KillAt("before_batch", 3)])
    deaths = 1
    while True:
        learn = make(tmp_path, deaths)
        try:
            run(
                learn,
                "resume",
                tmp_path / "models" / "checkpoints",
                cbs=[saver(), KillAt("before_batch", 4)],
            )
        except Kill:
            deaths += 1
        else:
            break
    assert deaths > 4
    assert_same(state(learn), expected)


# What is refused.


@pytest.fixture
def saved(tmp_path):
    """A folder with the checkpoints of a short training that died."""
    learn = make(tmp_path, 0)
    saver = CheckpointCallback(every_steps=3)
    with pytest.raises(Kill):
        run(learn, "fit_one_cycle", EPOCHS, cbs=[saver, KillAt("before_batch", 9)])
    return tmp_path / "models" / "checkpoints"


def untouched(learn, path, error, message, **kwargs):
    """Resume must raise, and leave model and optimizer bit for bit."""
    if learn.opt is None:
        learn.create_opt()
    before = copy.deepcopy((learn.model.state_dict(), learn.opt.state_dict()))
    with pytest.raises(error, match=message):
        run(learn, "resume", path, **kwargs)
    assert same((learn.model.state_dict(), learn.opt.state_dict()), before)


def test_a_checkpoint_cut_short_anywhere_is_refused(saved, tmp_path):
    whole = max(saved.iterdir()).read_bytes()
    learn = make(tmp_path, 1)
    broken = tmp_path / "broken.pt"
    for length in (0, 1, 10, 100, 1000, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        broken.write_bytes(whole[:length])
        untouched(learn, broken, ValueError, "damaged")


def test_a_checkpoint_with_a_changed_byte_is_refused(saved, tmp_path):
    whole = max(saved.iterdir()).read_bytes()
    learn = make(tmp_path, 1)
    broken = tmp_path / "broken.pt"
    # In the names of the first entry, in the pickle, and in the numbers.
    weight = learn.model.head.weight
    for place in (len(whole) // 4, len(whole) // 3, len(whole) // 2, 2 * len(whole) // 3):
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            torch.load(broken, weights_only=True)
        except Exception:
            untouched(learn, broken, ValueError, "damaged|checkpoint")
    assert weight is learn.model.head.weight


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (self.target, "w"))


def test_a_hostile_checkpoint_executes_nothing(saved, tmp_path):
    marker = tmp_path / "executed"
    hostile = tmp_path / "hostile.pt"
    torch.save({"lehr": "lehr checkpoint", "version": 1, "model": Hostile(str(marker))}, hostile)
    untouched(make(tmp_path, 1), hostile, ValueError, "no file of tensors and plain values")
    assert not marker.exists()
    good = torch.load(max(saved.iterdir()), weights_only=True)
    torch.save(good | {"method": "remove_cbs", "arguments": {"cbs": []}}, hostile)
    untouched(make(tmp_path, 1), hostile, ValueError, "damaged")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {}, "opt": {}}, "no checkpoint of a training; `load` reads"),
        ([1, 2], "no checkpoint"),
        ({"lehr": "lehr checkpoint", "version": 2}, "version 2, expected 1"),
        ({"lehr": "lehr checkpoint", "version": 1}, "damaged"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "foreign.pt")
    untouched(make(tmp_path, 1), tmp_path / "foreign.pt", ValueError, message)


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    untouched(make(tmp_path, 1), tmp_path / "nothing.pt", FileNotFoundError, "nothing.pt")
    untouched(make(tmp_path, 1), tmp_path / "empty", FileNotFoundError, "no checkpoint in")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loader": larger}, "epochs have 4 batches, those of this learner 2"),
        ({"loader": weighted}, "sampler of its loader is RandomSampler, not WeightedRandomSampler"),
        ({"loader": batches}, "kind of its loader is DataLoader, not list"),
        ({"cbs": [GradientAccumulation]}, "`gradient_accumulation` takes part in training"),
        ({"splitter": lambda m: [list(m.parameters())]}, "1 parameter groups.* saved state 2"),
        ({"opt_func": torch.optim.SGD}, "SGD has the hyper-parameters"),
        ({"loader": own_generator}, "drew from 0 generators of their own"),
        (
            {"lr": 5e-3},
            "schedule of `lr` is not the one .* step 0 of 12, .0.0004, 0.0004. then and .0.0002",
        ),
        ({"metrics": lambda pred, target: pred.mean()}, "`metrics` must be the 0"),
        ({"moms": (0.9, 0.8, 0.9)}, "schedule of `mom` is not the one"),
    ],
)
def test_another_training_is_refused(saved, tmp_path, settings, message):
    learn = make(tmp_path / "other", 1, **settings)
    weights = copy.deepcopy(learn.model.state_dict())
    with pytest.raises(ValueError, match=message):
        run(learn, "resume", saved)
    assert same(learn.model.state_dict(), weights)
    assert not any(learn.opt.state_dict()["state"])


def test_another_model_is_refused(saved, tmp_path):
    learn = make(tmp_path / "other", 1)
    learn.model.head = nn.Linear(8, 2)
    untouched(learn, saved, ValueError, "`head.bias` has shape .*|`head.weight` has shape")
    learn.model.head = nn.Sequential(nn.Linear(8, 1))
    untouched(learn, saved, ValueError, "is of another model: it lacks")


def test_callbacks_with_a_state_must_be_given_again(tmp_path):
    learn = make(tmp_path, 0)
    cbs = [CheckpointCallback(), EarlyStoppingCallback(patience=3)]
    run(learn, "fit_one_cycle", 2, cbs=cbs)
    again = make(tmp_path, 1)
    untouched(again, tmp_path / "models" / "checkpoints", ValueError, "callback `early_stopping`")
    other = EarlyStoppingCallback(patience=2)
    with pytest.raises(ValueError, match="patience"):
        run(again, "resume", tmp_path / "models" / "checkpoints", cbs=other)


def test_a_changed_function_as_schedule_is_refused_with_the_place_and_both_values(tmp_path):
    learn = make(tmp_path, 0)
    scheduler = ParamScheduler({"lr": cosine_like})
    run(learn, "fit", 2, cbs=[scheduler, CheckpointCallback()])
    other = ParamScheduler({"lr": lambda pos: cosine_like(pos) + (pos > 0.5)})
    with pytest.raises(ValueError, match=r"`lr` .* first at position 0.53125, 0.00\d+ then and 1"):
        run(make(tmp_path, 1), "resume", tmp_path / "models" / "checkpoints", cbs=other)
    with pytest.raises(ValueError, match=r"must schedule \['lr'\].* got \['wd'\]"):
        run(
            make(tmp_path, 1),
            "resume",
            tmp_path / "models" / "checkpoints",
            cbs=ParamScheduler({"wd": cosine_like}),
        )


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(batches(Noisy(32)))


@pytest.mark.parametrize(
    "loader",
    [
        lambda data: DataLoader(Stream(), batch_size=None),
        lambda data: iter(batches(data)),
        lambda data: type("Mine", (), {"__iter__": lambda self: iter(batches(data))})(),
    ],
)
def test_a_loader_whose_place_is_lost_is_refused_before_training(tmp_path, loader):
    learn = make(tmp_path, 0, loader=loader)
    weights = copy.deepcopy(learn.model.state_dict())
    with pytest.raises(ValueError, match="cannot be resumed: the training loader must be"):
        run(learn, "fit", 2, steps=4, cbs=CheckpointCallback)
    assert same(learn.model.state_dict(), weights)


def placed(data):
    return Placed(batches(data))


def test_a_loader_with_a_state_resumes_to_the_same_bits(tmp_path):
    check_every_cut(tmp_path, FITS["one_cycle"], loader=placed, stride=2)


class Cached(Net):
    """Makes a buffer as it goes, as caches of positions or masks are."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", None, persistent=False)

    def forward(self, x):
        if self.cache is None:
            self.cache = torch.randn(1)
        return super().forward(x) + self.cache


def test_a_buffer_that_is_made_in_training_is_taken_up(tmp_path):
    check_every_cut(tmp_path, FITS["one_cycle"], model=Cached, stride=3)


def test_numpy_s_numbers_in_metrics_and_states_are_kept(tmp_path):
    class Average(Callback):
        def before_fit(self):
            self.mean = np.zeros(2)

        def after_batch(self):
            self.mean += 1

        def state_dict(self):
            return {"mean": self.mean, "last": np.float64(1.5)}

        def load_state_dict(self, state):
            self.mean = state["mean"].numpy()
            assert state["last"] == 1.5

    def error(pred, target):
        return np.float64((pred - target).abs().mean().item())

    check_every_cut(tmp_path, ("fit", (2,), {}), metrics=error, fit_cbs=[Average], stride=2)


def test_a_state_that_no_checkpoint_can_hold_is_refused_at_the_first(tmp_path):
    class Odd(Callback):
        def state_dict(self):
            return {"set": {1, 2}}

    with pytest.raises(TypeError, match=r"got \{1, 2\} in the state of callback `odd`"):
        run(make(tmp_path, 0), "fit", 2, cbs=[CheckpointCallback(), Odd()])


def test_gradient_clipping_must_be_as_before(tmp_path):
    learn = make(tmp_path, 0)
    run(learn, "fit", 2, cbs=[CheckpointCallback(), GradientClip(0.05)])
    again = make(tmp_path, 1)
    untouched(again, "checkpoints", ValueError, "callback `gradient_clip`")
    untouched(again, "checkpoints", ValueError, "max_norm=0.05, not 50", cbs=GradientClip(50))


def test_a_refused_resume_leaves_files_and_values_as_they_were(tmp_path):
    cbs = [CSVLogger(), EarlyStoppingCallback(patience=9), CheckpointCallback()]
    learn = make(tmp_path, 0)
    run(learn, "fit", 4, cbs=cbs)
    first = tmp_path / "models" / "checkpoints" / "checkpoint-00000003.pt"
    log = (tmp_path / "history.csv").read_text()
    again = make(tmp_path, 1)
    again.create_opt()
    again.opt.set_hyper("lr", 0.5)
    untouched(
        again,
        first,
        ValueError,
        "patience=9, not 2",
        cbs=[CSVLogger(), EarlyStoppingCallback(patience=2)],
    )
    assert (tmp_path / "history.csv").read_text() == log


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epoch", -3, "`epoch` is -3"),
        ("batches", -2, "`batches` is -2"),
        ("train_iter", "a", "`train_iter` is 'a'"),
        ("frozen", "x", "`frozen` is 'x'"),
        ("frozen", 7, "parameters and groups"),
        ("requires_grad", [True], "parameters and groups"),
        ("grads", [None], "`grads` are not as many"),
        ("callbacks", [1], "`callbacks` are no names"),
        ("random", {}, "generators have no state"),
        ("arguments", {"foo": 1}, "missing a required argument"),
        ("method", "remove_cbs", "method 'remove_cbs'"),
    ],
)
def test_a_checkpoint_of_the_wrong_form_is_refused(saved, tmp_path, key, value, message):
    good = torch.load(max(saved.iterdir()), weights_only=True)
    torch.save(good | {key: value}, tmp_path / "wrong.pt")
    untouched(make(tmp_path, 1), tmp_path / "wrong.pt", ValueError, f"damaged.*({message})")


def test_workers_that_live_on_are_refused_and_samplers_of_one_s_own_warned_of(tmp_path):
    def persistent(data):
        return DataLoader(data, batch_size=8, num_workers=1, persistent_workers=True)

    class Mine(torch.utils.data.Sampler):
        def __iter__(self):
            return iter(range(32))

        def __len__(self):
            return 32

    with pytest.raises(ValueError, match="persistent_workers=False"):
        run(make(tmp_path, 0, loader=persistent), "fit", 1, cbs=CheckpointCallback())
    learn = make(tmp_path, 0, loader=lambda data: DataLoader(data, 8, sampler=Mine()))
    with pytest.warns(UserWarning, match="Mine is no sampler of torch's"):
        run(learn, "fit", 1, cbs=CheckpointCallback())


class StatefulStream(Stream):
    def __init__(self):
        self.start = self.place = 0

    def __iter__(self):
        every = batches(Noisy(8 * BATCHES))
        start, self.start = self.start, 0
        for self.place in range(start + 1, len(every) + 1):
            yield every[self.place - 1]

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.start = self.place = state["place"]


# torchdata 0.11 calls what torch 2.15 has deprecated.
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize(
    ("loader", "kwargs"),
    [
        (lambda data: StatefulDataLoader(data, batch_size=8, shuffle=True), {}),
        (lambda data: StatefulDataLoader(StatefulStream(), batch_size=None), {"steps": BATCHES}),
    ],
)
def test_torchdata_s_stateful_loader_resumes_to_the_same_bits(tmp_path, loader, kwargs):
    check_every_cut(tmp_path, ("fit_one_cycle", (2,), kwargs), loader=loader)


def test_checkpoints_of_another_training_are_neither_mixed_up_nor_deleted_unasked(saved, tmp_path):
    learn = make(tmp_path, 1)
    names = sorted(saved.iterdir())
    weights = copy.deepcopy(learn.model.state_dict())
    with pytest.raises(ValueError, match="holds checkpoints of another training"):
        run(learn, "fit_one_cycle", EPOCHS, cbs=CheckpointCallback)
    assert sorted(saved.iterdir()) == names
    assert same(learn.model.state_dict(), weights)
    run(learn, "fit_one_cycle", EPOCHS, cbs=CheckpointCallback(overwrite=True, keep=5))
    first = int(names[-1].stem[-8:]) + 1
    assert [path.name for path in sorted(saved.iterdir())] == [
        f"checkpoint-{i:08d}.pt" for i in range(first, first + EPOCHS)
    ]


def test_an_interrupted_overwrite_loses_nothing(saved, tmp_path):
    names = sorted(saved.iterdir())
    with pytest.raises(Kill):
        run(
            make(tmp_path, 1),
            "fit",
            2,
            cbs=[CheckpointCallback(overwrite=True), KillAt("before_batch", 2)],
        )
    assert sorted(saved.iterdir()) == names


def test_a_foreign_file_of_a_like_name_stays(tmp_path):
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "checkpoint-500.pt").write_bytes(b"mine")
    run(make(tmp_path, 0), "fit", 3, cbs=CheckpointCallback(keep=1))
    assert (folder / "checkpoint-500.pt").read_bytes() == b"mine"


def test_resuming_into_a_folder_of_another_training_is_refused(saved, tmp_path):
    other = tmp_path / "other"
    run(make(tmp_path, 1), "fit", 2, cbs=CheckpointCallback(folder=other))
    names = sorted(other.iterdir())
    with pytest.raises(ValueError, match="holds checkpoints of another training"):
        run(make(tmp_path, 2), "resume", saved, cbs=CheckpointCallback(folder=other))
    assert sorted(other.iterdir()) == names


def test_a_callback_used_on_another_learner_begins_anew(tmp_path):
    saver = CheckpointCallback(keep=1)
    run(make(tmp_path / "a", 0), "fit", 3, cbs=saver)
    run(make(tmp_path / "b", 0), "fit", 1, cbs=saver)
    for name, last in (("a", 3), ("b", 1)):
        (path,) = (tmp_path / name / "models" / "checkpoints").iterdir()
        assert path.name == f"checkpoint-{last:08d}.pt"


def test_a_crash_early_in_a_second_fit_goes_on_with_the_second(tmp_path):
    whole = make(tmp_path / "whole", 0)
    run(whole, "fit_one_cycle", 2)
    expected = state(run(whole, "fit", 3, 1e-3))
    learn = make(tmp_path, 0)
    saver = CheckpointCallback()
    run(learn, "fit_one_cycle", 2, cbs=saver)
    with pytest.raises(Kill):
        run(learn, "fit", 3, 1e-3, cbs=[saver, KillAt("before_batch", 2)])
    again = make(tmp_path, 5)
    run(again, "resume", "checkpoints", cbs=CheckpointCallback())
    assert_same(state(again), expected)


def test_an_ended_training_is_resumed_with_a_warning(tmp_path):
    run(make(tmp_path, 0), "fit", 2, cbs=CheckpointCallback())
    learn = make(tmp_path, 1)
    with pytest.warns(UserWarning, match="had ended: nothing is left"):
        run(learn, "resume", "checkpoints")
    assert len(learn.recorder.values) == 2


def test_a_damaged_newest_checkpoint_names_the_one_before(saved):
    older, newest = sorted(saved.iterdir())
    newest.write_bytes(newest.read_bytes()[:500])
    with pytest.raises(ValueError, match="damaged") as error:
        make(saved.parent, 1).resume(saved)
    assert error.value.__notes__ == [f"the checkpoint before it is {older}"]


def test_a_running_writer_s_file_is_left_alone(tmp_path):
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    running = folder / f".checkpoint-00000001.pt.{os.getppid()}-00ff.tmp"
    running.write_bytes(b"being written")
    run(make(tmp_path, 0), "fit", 1, cbs=CheckpointCallback())
    assert running.exists()


@pytest.mark.parametrize("keep", [1, 2, None])
def test_the_newest_checkpoints_are_kept_and_no_other_file_is_touched(tmp_path, keep):
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    ended = subprocess.Popen(["true"])
    ended.wait()
    leftover = folder / f".checkpoint-00000001.pt.{ended.pid}-00ff.tmp"
    leftover.write_bytes(b"left behind by a kill")
    run(make(tmp_path, 0), "fit", 4, cbs=CheckpointCallback(keep=keep))
    kept = [f"checkpoint-{i:08d}.pt" for i in range(1, 5)][-(keep or 4) :]
    assert sorted(path.name for path in folder.iterdir()) == [*kept, "notes.txt"]


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"every_steps": 0}, ValueError, "`every_steps` must be at least 1 or None, got 0"),
        ({"every_epochs": -1}, ValueError, "`every_epochs`"),
        ({"keep": 0}, ValueError, "`keep`"),
        ({"every_steps": 1.5}, TypeError, "`every_steps` must be an integer, got 1.5"),
    ],
)
def test_wrong_settings_raise(kwargs, error, message):
    with pytest.raises(error, match=message):
        CheckpointCallback(**kwargs)


def test_a_sweep_leaves_no_checkpoint(tmp_path):
    learn = make(tmp_path, 0, cbs=[partial(CheckpointCallback, every_steps=1)])
    learn.lr_find(num_it=10, show_plot=False)
    assert not (tmp_path / "models").exists()
