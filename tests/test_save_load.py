"""Saving, loading and validating: what comes back, what is refused, what nothing changes."""

import copy
import math
import os
import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import lehr
import numpy as np
import pytest
import torch
from lehr import Callback, DataLoaders, Learner, accuracy
from lehr.testing import synth_learner
from state import plain
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.first = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 1)

    def forward(self, x):
        return self.last(self.norm(self.first(x).tanh()))


def splitter(model):
    return [list(model.first.parameters()), [*model.norm.parameters(), *model.last.parameters()]]


def make(folder, width=3, **kwargs):
    torch.manual_seed(width)
    batches = [(torch.randn(8, 2), torch.randn(8, 1)) for _ in range(3)]
    kwargs = {"splitter": splitter, "lr": 0.1, "path": folder} | kwargs
    return Learner(DataLoaders(batches, batches, device="cpu"), Net(width), nn.MSELoss(), **kwargs)


def trained(folder, **kwargs):
    learn = make(folder, **kwargs)
    with learn.no_logging():
        learn.fit_one_cycle(2, moms=False)
    return learn


def everything(learn):
    """All bytes of model and optimizer, and what is said about them."""
    return {
        "model": plain(learn.model.state_dict()),
        "ids": [id(p) for p in learn.model.parameters()],
        "flags": [p.requires_grad for p in learn.model.parameters()],
        "modes": [m.training for m in learn.model.modules()],
        "grads": [plain(p.grad) for p in learn.model.parameters()],
        "opt": learn.opt
        and (id(learn.opt), id(learn.opt.torch), plain(learn.opt.state_dict()), learn.opt.steps),
        "frozen": learn.opt and learn.opt.frozen_idx,
        "lr": learn.lr,
        "record": (list(learn.recorder.lrs), list(learn.recorder.losses)),
    }


OPTIMIZERS = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "SGD": torch.optim.SGD,
    "RMSprop": torch.optim.RMSprop,
    "Adagrad": torch.optim.Adagrad,
    "Adadelta": torch.optim.Adadelta,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "Rprop": torch.optim.Rprop,
    "ASGD": torch.optim.ASGD,
    "Adafactor": torch.optim.Adafactor,
    "tensor rate": partial(torch.optim.AdamW, lr=torch.tensor(0.5)),
    "numpy": partial(
        torch.optim.AdamW,
        betas=(np.float64(0.75), np.float64(0.5)),
        weight_decay=np.float64(0.25),
        eps=np.float32(0.5),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_loaded_learner_is_the_saved_one_and_trains_on_as_it(name, tmp_path):
    learn = trained(tmp_path, opt_func=OPTIMIZERS[name])
    path = learn.save("model")
    assert path == tmp_path / "models" / "model.pth"
    other = make(tmp_path, opt_func=OPTIMIZERS[name])
    assert other.load("model") is other
    for part in ("model", "flags", "frozen"):
        assert everything(other)[part] == everything(learn)[part]
    assert plain(other.opt.state_dict()) == plain(learn.opt.state_dict())
    for one in (learn, other):
        with one.no_logging():
            one.fit(1, 0.05)
    assert plain(other.model.state_dict()) == plain(learn.model.state_dict())
    assert plain(other.opt.state_dict()) == plain(learn.opt.state_dict())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_file_holds_tensors_and_plain_python_values_alone(name, tmp_path):
    path = trained(tmp_path, opt_func=OPTIMIZERS[name]).save("model")
    state = torch.load(path, weights_only=True)
    assert set(state) == {"model", "opt", "frozen"}

    def kinds(value):
        if isinstance(value, dict):
            return set().union(*map(kinds, value.values()))
        if isinstance(value, (list, tuple)):
            return set().union(*map(kinds, value))
        return {type(value)}

    allowed = {torch.Tensor, float, int, bool, type(None)}
    assert kinds([state["opt"], state["frozen"]]) <= allowed
    assert {type(h["lr"]) for h in state["opt"]["hypers"]} == {
        torch.Tensor if name == "tensor rate" else float
    }


def test_a_model_alone_is_a_file_of_its_state_dict(tmp_path):
    learn = trained(tmp_path)
    path = learn.save("model", with_opt=False)
    assert plain(torch.load(path, weights_only=True)) == plain(learn.model.state_dict())
    plain_torch = Net()
    plain_torch.load_state_dict(torch.load(path, weights_only=True))
    other = make(tmp_path)
    with pytest.warns(UserWarning, match="holds no optimizer state") as caught:
        other.load("model")
    assert [one.filename for one in caught] == [__file__]
    assert other.opt is None
    other.load("model", with_opt=False)
    assert plain(other.model.state_dict()) == plain(learn.model.state_dict())
    # A learner without an optimizer saves the same.
    assert plain(torch.load(other.save("again"), weights_only=True)) == plain(
        learn.model.state_dict()
    )


def test_a_file_with_an_optimizer_loads_the_model_alone(tmp_path):
    learn = trained(tmp_path)
    learn.freeze()
    learn.save("model")
    other = make(tmp_path)
    other.load("model", with_opt=False)
    assert other.opt is None
    assert plain(other.model.state_dict()) == plain(learn.model.state_dict())
    assert all(p.requires_grad for p in other.model.parameters())


@pytest.mark.parametrize("frozen", [0, 1, 2])
@pytest.mark.filterwarnings("ignore:freezing 2 groups:UserWarning:test_save_load")
def test_what_is_frozen_comes_back_in_silence(frozen, tmp_path):
    learn = trained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learn.freeze_to(frozen)
    learn.save("model")
    for begin in range(2):
        other = make(tmp_path)
        other.freeze_to(begin)
        other.load("model")
        assert everything(other)["flags"] == everything(learn)["flags"]
        assert other.opt.frozen_idx == frozen


def test_parameters_frozen_by_hand_stay_so_in_a_load(tmp_path):
    learn = trained(tmp_path)
    learn.save("model")
    learn.model.first.bias.requires_grad_(False)
    learn.load("model")
    assert not learn.model.first.bias.requires_grad
    other = make(tmp_path)
    other.model.first.bias.requires_grad_(False)
    other.load("model")
    assert not other.model.first.bias.requires_grad


@pytest.mark.parametrize("file", ["a", "a.b", "deep/er/a", Path("p/a"), "ä ü", "../up"])
def test_names_lie_in_the_model_folder(file, tmp_path):
    learn = trained(tmp_path, model_dir="kept/here")
    path = learn.save(file)
    assert path.resolve() == (tmp_path / "kept/here" / f"{file}.pth").resolve()
    assert path.is_file()
    make(tmp_path, model_dir="kept/here").load(file)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path.resolve()]


def test_an_absolute_name_or_model_folder_is_taken_as_it_is(tmp_path):
    learn = trained(tmp_path / "path")
    assert learn.save(tmp_path / "other" / "a") == tmp_path / "other" / "a.pth"
    learn.model_dir = tmp_path / "models"
    assert learn.save("a") == tmp_path / "models" / "a.pth"
    learn.load(tmp_path / "other" / "a")
    assert not (tmp_path / "path").exists()


@pytest.mark.parametrize(
    ("file", "error"),
    [(None, TypeError), (3, TypeError), (b"a", TypeError), (["a"], TypeError), ("", ValueError)],
)
def test_a_wrong_name_is_shown_and_nothing_is_written(file, error, tmp_path):
    learn = trained(tmp_path)
    for method in (learn.save, learn.load):
        with pytest.raises(error, match="`file` must be a name or a path") as caught:
            method(file)
        assert repr(file) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_tensors_of_another_device_come_to_the_loaders_or_the_one_given(tmp_path):
    learn = trained(tmp_path)
    learn.save("model")
    for device in (None, "cpu", torch.device("cpu")):
        other = make(tmp_path).load("model", device=device)
        assert {p.device.type for p in other.model.parameters()} == {"cpu"}
        assert plain(other.opt.state_dict()) == plain(learn.opt.state_dict())
    before = everything(learn)
    # One with a number, which torch would not load to.
    learn.dls = DataLoaders(*learn.dls, device="cpu:0")
    assert learn.dls.device == torch.device("cpu")
    learn.save("numbered")
    for device in (None, "cpu:0"):
        learn.load("numbered", device=device)
    for device in ("nowhere", 1.5, "cpu:x"):
        with pytest.raises(ValueError, match="`device` must be a torch device") as caught:
            learn.load("model", device=device)
        assert repr(device) in str(caught.value)
    assert everything(learn) == before


def test_a_strict_load_wants_the_same_parameters_and_another_takes_those_it_knows(tmp_path):
    learn = trained(tmp_path)
    state = learn.model.state_dict()
    del state["last.bias"]
    state["more"] = torch.ones(1)
    (tmp_path / "models").mkdir()
    torch.save(state, tmp_path / "models" / "model.pth")
    other = make(tmp_path)
    before = everything(other)
    with pytest.raises(ValueError, match=r"it lacks \['last.bias'\] and has \['more'\]"):
        other.load("model", with_opt=False)
    assert everything(other) == before
    bias = other.model.last.bias.clone()
    other.load("model", with_opt=False, strict=False)
    assert torch.equal(other.model.last.bias, bias)
    assert torch.equal(other.model.last.weight, learn.model.last.weight)


# What is refused changes nothing.


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def _good(folder, **kwargs):
    learn = trained(folder, **kwargs)
    return {
        "model": learn.model.state_dict(),
        "opt": learn.opt.state_dict(),
        "frozen": learn.opt.frozen_idx,
    }


def changed(state, *path, to):
    """Return a copy of a saved state with the value at `path` replaced."""
    state = copy.deepcopy(state)
    inner = state
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return state


DAMAGED = {
    "no dictionary": lambda s: [1, 2],
    "tensor": lambda s: torch.ones(3),
    "number": lambda s: 3,
    "empty": lambda s: {},
    "other keys": lambda s: {"weights": s["model"]},
    "torch optimizer": lambda s: changed(s, "opt", to={"state": {}, "param_groups": []}),
    "model number": lambda s: changed(s, "model", to=3),
    "model list": lambda s: changed(s, "model", to=[1]),
    "weight text": lambda s: changed(s, "model", "last.bias", to="x"),
    "weight shape": lambda s: changed(s, "model", "last.bias", to=torch.ones(2)),
    "weight missing": lambda s: changed(s, "model", to={"last.bias": torch.ones(1)}),
    "opt number": lambda s: changed(s, "opt", to=3),
    "opt empty": lambda s: changed(s, "opt", to={}),
    "states number": lambda s: changed(s, "opt", "state", to=3),
    "states numbers": lambda s: changed(s, "opt", "state", to=[1] * 6),
    "states few": lambda s: changed(s, "opt", "state", to=[{}] * 5),
    "state text": lambda s: changed(s, "opt", "state", 0, "exp_avg", to="x"),
    "state number": lambda s: changed(s, "opt", "state", 0, "exp_avg", to=1.0),
    "state shape": lambda s: changed(s, "opt", "state", 0, "exp_avg", to=torch.ones(1)),
    "hypers number": lambda s: changed(s, "opt", "hypers", to=3),
    "hypers numbers": lambda s: changed(s, "opt", "hypers", to=[1, 2]),
    "hypers few": lambda s: changed(s, "opt", "hypers", to=s["opt"]["hypers"][:1]),
    "hypers lack": lambda s: changed(s, "opt", "hypers", 1, to={"lr": 0.1}),
    "rate text": lambda s: changed(s, "opt", "hypers", 1, "lr", to="x"),
    "rate none": lambda s: changed(s, "opt", "hypers", 1, "lr", to=None),
    "betas one": lambda s: changed(s, "opt", "hypers", 1, "betas", to=(0.5,)),
    "betas text": lambda s: changed(s, "opt", "hypers", 1, "betas", to=("a", "b")),
    "betas number": lambda s: changed(s, "opt", "hypers", 1, "betas", to=0.5),
    "frozen text": lambda s: changed(s, "frozen", to="x"),
    "frozen below": lambda s: changed(s, "frozen", to=-1),
    "frozen none": lambda s: changed(s, "frozen", to=None),
    "frozen flag": lambda s: changed(s, "frozen", to=True),
    "frozen part": lambda s: changed(s, "frozen", to=0.5),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return _good(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_file_that_does_not_fit_is_a_value_error_and_changes_nothing(
    damage, fresh, good, tmp_path
):
    (tmp_path / "models").mkdir()
    torch.save(DAMAGED[damage](good), tmp_path / "models" / "model.pth")
    learn = make(tmp_path) if fresh else trained(tmp_path)
    before = everything(learn)
    with pytest.raises(ValueError, match=r"model\.pth"):
        learn.load("model")
    assert everything(learn) == before


@pytest.mark.parametrize(
    ("saved", "ours"),
    [
        ("momentum", "AdamW"), ("AdamW", "momentum"), ("Adagrad", "RMSprop"), ("AdamW", "Adam"),
        ("Adam", "AdamW"), ("NAdam", "Adam"), ("RAdam", "Adam"), ("Adamax", "Adadelta"),
    ],
)  # fmt: skip
def test_the_state_of_another_optimizer_is_refused(saved, ours, tmp_path):
    trained(tmp_path, opt_func=OPTIMIZERS[saved]).save("model")
    learn = trained(tmp_path, opt_func=OPTIMIZERS[ours])
    before = everything(learn)
    with pytest.raises(ValueError, match=f"does not fit: {ours if ours != 'momentum' else 'SGD'}"):
        learn.load("model")
    assert everything(learn) == before
    assert plain(learn.load("model", with_opt=False).opt.state_dict()) == before["opt"][2]


@pytest.mark.parametrize("fresh", [False, True])
def test_the_file_of_another_model_is_refused(fresh, tmp_path):
    trained(tmp_path, width=4).save("model")
    learn = make(tmp_path) if fresh else trained(tmp_path)
    before = everything(learn)
    with pytest.raises(ValueError, match=r"is of another model: `\w+\.\w+` has shape"):
        learn.load("model")
    with pytest.raises(ValueError, match="is of another model"):
        learn.load("model", strict=False)
    assert everything(learn) == before


def test_groups_of_another_splitter_are_refused(tmp_path):
    trained(tmp_path, splitter=lambda m: [list(m.parameters())]).save("model")
    learn = trained(tmp_path)
    before = everything(learn)
    with pytest.raises(ValueError, match="has 2 parameter groups, its saved state 1"):
        learn.load("model")
    assert everything(learn) == before


def test_a_missing_file_is_that_and_changes_nothing(tmp_path):
    learn = trained(tmp_path)
    before = everything(learn)
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        learn.load("nothing")
    assert everything(learn) == before


@pytest.mark.parametrize("kind", ["pickle", "torch", "legacy"])
def test_a_hostile_file_runs_nothing(kind, tmp_path):
    target = tmp_path / "ran"
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "model.pth"
    state = {"model": Hostile(target)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch")
    learn = trained(tmp_path)
    before = everything(learn)
    with pytest.raises(ValueError, match=r"model\.pth is damaged, or no file of tensors"):
        learn.load("model")
    assert not target.exists()
    assert everything(learn) == before
    # It would have.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "pickle":
            pickle.loads(path.read_bytes())
        else:
            torch.load(path, weights_only=False)
    assert target.exists()


@pytest.mark.parametrize("share", [0, 1e-3, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(share, tmp_path):
    learn = trained(tmp_path)
    path = learn.save("model")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    before = everything(learn)
    with pytest.raises(ValueError, match=r"model\.pth is damaged"):
        learn.load("model")
    assert everything(learn) == before


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x80\x04N.", bytes(100), b"PK\x03\x04"])
def test_a_foreign_file_is_refused(content, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pth").write_bytes(content)
    learn = trained(tmp_path)
    before = everything(learn)
    with pytest.raises(ValueError, match=r"model\.pth"):
        learn.load("model")
    assert everything(learn) == before


# A failing save.


class Unpicklable(nn.Parameter):
    def __reduce_ex__(self, protocol):
        raise pickle.PicklingError("no")


def test_a_save_that_fails_in_the_middle_leaves_the_old_file(tmp_path):
    learn = trained(tmp_path)
    path = learn.save("model")
    content = path.read_bytes()
    learn.model.last.bias = Unpicklable(torch.ones(1))
    # The state dict holds what the parameter is.
    learn.model._register_state_dict_hook(
        lambda module, state, *_: state.update({"last.bias": module.last.bias})
    )
    before = everything(learn)
    with pytest.raises(pickle.PicklingError):
        learn.save("model")
    with pytest.raises(pickle.PicklingError):
        learn.save("other")
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["model.pth"]
    assert everything(learn) == before


FULL = """
import resource, sys
import torch
from torch import nn
from lehr import DataLoaders, Learner

data = DataLoaders([(torch.ones(2, 100), torch.ones(2, 100))], device="cpu", path=sys.argv[1])
learn = Learner(data, nn.Linear(100, 100), nn.MSELoss())
learn.save("model")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
nn.init.zeros_(learn.model.weight)
try:
    learn.save("model")
except (OSError, RuntimeError) as error:
    print(type(error).__name__)
"""


def test_a_save_that_finds_no_space_leaves_the_old_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in {"OSError", "RuntimeError"}
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["model.pth"]
    state = torch.load(tmp_path / "models" / "model.pth", weights_only=True)
    assert state["weight"].abs().max() > 0


def test_a_saved_state_does_not_change_as_training_goes_on(tmp_path):
    learn = trained(tmp_path)
    state = learn.opt.state_dict()
    before = plain(state)
    other = trained(tmp_path)
    other.opt.load_state_dict(state)
    for one in (learn, other):
        with one.no_logging():
            one.fit(1, 0.5)
    assert plain(state) == before


# Validation.


def classes():
    torch.manual_seed(0)
    x, y = torch.randn(50, 2), torch.randint(0, 3, (50,))
    train = DataLoader(TensorDataset(x[:20], y[:20]), batch_size=8)
    valid = DataLoader(TensorDataset(x[20:], y[20:]), batch_size=7)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    return x, y, DataLoaders(train, valid, device="cpu"), model


def by_hand(model, x, y):
    """Loss and accuracy, from numpy in float64."""
    linear, norm = model[0], model[1]
    out = x.double().numpy() @ linear.weight.detach().double().numpy().T
    out = out + linear.bias.detach().double().numpy()
    out = (out - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
    out = out * norm.weight.detach().numpy() + norm.bias.detach().numpy()
    right = np.exp(out)[range(len(y)), y.numpy()]
    loss = -np.log(right / np.exp(out).sum(axis=1)).mean()
    return [loss, (out.argmax(axis=1) == y.numpy()).mean()]


@pytest.mark.parametrize("before_training", [True, False])
def test_validate_gives_loss_and_metrics_of_a_loader(before_training):
    x, y, data, model = classes()
    learn = Learner(data, model, nn.functional.cross_entropy, metrics=accuracy, lr=0.1)
    if not before_training:
        with learn.no_logging():
            learn.fit(2)
    for arguments, rows in (
        ({}, slice(20, 50)),
        ({"ds_idx": 1}, slice(20, 50)),
        ({"ds_idx": -1}, slice(20, 50)),
        ({"ds_idx": 0}, slice(20)),
        ({"dl": [(x, y)]}, slice(50)),
        ({"dl": ((x[k : k + 1], y[k : k + 1]) for k in range(9))}, slice(9)),
        ({"dl": data.train, "ds_idx": 7}, slice(20)),
    ):
        assert learn.validate(**arguments) == pytest.approx(by_hand(model, x[rows], y[rows]), 1e-6)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(TensorDataset(*classes()[:2]))


def test_validate_takes_an_iterable_data_set():
    x, y, data, model = classes()
    learn = Learner(data, model, nn.functional.cross_entropy, metrics=accuracy)
    expected = pytest.approx(by_hand(model, x, y), 1e-6)
    assert learn.validate(dl=DataLoader(Stream(), batch_size=8)) == expected


def test_validate_restores_modes_callbacks_and_records():
    _, _, data, model = classes()
    learn = Learner(data, model, nn.functional.cross_entropy, metrics=accuracy, lr=0.1)
    with learn.no_logging():
        learn.fit_one_cycle(1, moms=False)
    model.train()
    model[2].eval()
    before = everything(learn)
    rest = dict(learn.__dict__)
    seen = []

    class Sees(Callback):
        def __call__(self, event):
            seen.append(event)
            assert not self.model.training

    learn.validate(cbs=Sees)
    assert seen == [
        "before_validate",
        *["before_batch", "after_pred", "after_loss", "after_batch"] * 5,
        "after_validate",
    ]
    assert everything(learn) == before
    after = {n: v for n, v in learn.__dict__.items() if n not in ("_table", "_tables")}
    assert after.keys() == rest.keys() - {"_table", "_tables"}
    assert all(after[n] is rest[n] or after[n] == rest[n] for n in after)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_validation_that_fails_restores_all_the_same(error):
    _, _, data, model = classes()
    learn = Learner(data, model, nn.functional.cross_entropy)
    with learn.no_logging():
        learn.fit(1)
    model[2].eval()
    before, cbs, training = everything(learn), list(learn.cbs), learn.training

    class Fails(Callback):
        def after_pred(self):
            raise error

    with pytest.raises(error):
        learn.validate(cbs=Fails)
    assert everything(learn) == before
    assert (learn.cbs, learn.training, learn.logger) == (cbs, training, print)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("event", ["after_batch", "after_train", "after_epoch", "before_batch"])
def test_a_callback_that_validates_does_not_disturb_the_fit(event, every):
    """Bit for bit, with metrics on the training batches as well."""

    def fit(cbs):
        _, _, data, model = classes()
        # Every loader draws a seed, whereupon dropout would drop others.
        model[2].p = 0.0
        learn = Learner(
            data, model, nn.functional.cross_entropy, metrics=accuracy, lr=0.1, default_cbs=False,
            cbs=[lehr.TrainEvalCallback(), lehr.Recorder(add_time=False, train_metrics=True)],
        )  # fmt: skip
        with learn.no_logging():
            torch.manual_seed(3)
            learn.fit_one_cycle(2, 0.1, cbs=cbs)
        return learn

    class Validates(Callback):
        order = 70
        run_valid = False
        found = ()

    def validate(self):
        if self.train_iter % every == 0:
            self.found = (*self.found, self.learn.validate())

    setattr(Validates, event, validate)
    validates = Validates()
    learn, alone = fit(validates), fit(None)
    assert len(validates.found) >= 2
    assert all(math.isfinite(x) for row in validates.found for x in row)
    assert learn.recorder.lrs == alone.recorder.lrs
    assert learn.recorder.raw_losses == alone.recorder.raw_losses
    assert learn.recorder.values == alone.recorder.values
    assert plain(learn.model.state_dict()) == plain(alone.model.state_dict())
    assert learn.pct_train == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ds_idx": 2}, IndexError, "`ds_idx` must be among 2 loaders, got 2"),
        ({"ds_idx": -3}, IndexError, "`ds_idx` must be among 2 loaders, got -3"),
        ({"ds_idx": "1"}, TypeError, "`ds_idx` must be an integer, got '1'"),
        ({"ds_idx": None}, TypeError, "`ds_idx` must be an integer, got None"),
        ({"ds_idx": 1.0}, TypeError, "`ds_idx` must be an integer, got 1.0"),
        ({"ds_idx": True}, TypeError, "`ds_idx` must be an integer, got True"),
        ({"dl": 3}, TypeError, "`dl` must be an iterable of batches, got 3"),
        ({"dl": []}, ValueError, "at least one batch"),
        ({"cbs": 3}, TypeError, "`cbs` must hold callbacks, got 3"),
    ],
)
def test_wrong_arguments_of_validate_are_named_and_change_nothing(arguments, error, message):
    learn = synth_learner()
    before = everything(learn)
    with pytest.raises(error, match=message):
        learn.validate(**arguments)
    assert everything(learn) == before
    assert len(learn.cbs) == 3


class Extended(torch.optim.SGD):
    """Adds a hyper-parameter in its first step, and keeps a state of another precision."""

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            group["k"] = group.get("k", 0) + 1
            for param in group["params"]:
                self.state[param].setdefault("master", param.detach().double() + 1e-12)


def test_what_an_optimizer_adds_and_keeps_in_another_precision_is_loaded(tmp_path):
    learns = [synth_learner(path=tmp_path) for _ in range(2)]
    for learn in learns:
        learn.opt_func = Extended
    with learns[0].no_logging():
        learns[0].fit(1)
    learns[0].save("model")
    learns[1].load("model")
    assert learns[1].opt.torch.param_groups[0]["k"] == 10
    for ours, theirs in zip(
        learns[1].opt.state_dict()["state"], learns[0].opt.state_dict()["state"], strict=True
    ):
        assert ours["master"].dtype == torch.float64
        assert torch.equal(ours["master"], theirs["master"])


def test_a_device_that_is_not_here_is_named_and_no_fault_of_the_file(tmp_path):
    learn = synth_learner(path=tmp_path)
    learn.create_opt()
    learn.save("model")
    with pytest.raises(ValueError, match="`device` must be one that is here, got .*xpu"):
        learn.load("model", device="xpu:9")
