"""Freezing: which parameters train, with which state, and which of them decay."""

import json
import sys
import warnings
from functools import partial
from pathlib import Path

import lehr
import pytest
import torch
from lehr import Callback, DataLoaders, Learner, OptimWrapper, ParamScheduler, SchedLin
from lehr.testing import synth_learner
from torch import nn

sys.path.insert(0, str(Path(__file__).parent / "reference"))
from fits import FREEZES, Chain, chain_groups


@pytest.fixture(scope="module")
def recorded():
    """What fastai 2.8.12 freezes, recorded by tests/reference/fits.py."""
    return json.loads((Path(__file__).parent / "data/fits.json").read_text())


def chain(groups=3, **kwargs):
    torch.manual_seed(0)
    kwargs = {"lr": 0.125, "splitter": partial(chain_groups, groups)} | kwargs
    return synth_learner(3, 1, model=Chain(), **kwargs)


def quiet(learn, method="fit", *args, **kwargs):
    with learn.no_logging():
        getattr(learn, method)(*args, **kwargs)
    return learn


def values(learn):
    return {name: p.detach().clone() for name, p in learn.model.named_parameters()}


def moved(learn, method="fit", *args, **kwargs):
    """Return the modules whose parameters a fit has moved."""
    before = values(learn)
    quiet(learn, method, *(args or (1,)), **kwargs)
    after = values(learn)
    return sorted({n.partition(".")[0] for n in before if not torch.equal(before[n], after[n])})


def flags(learn):
    groups = chain_groups(len(learn.opt), learn.model)
    return [[p.requires_grad for p in group] for group in groups]


@pytest.mark.parametrize("train_bn", [True, False])
@pytest.mark.parametrize("n", FREEZES)
def test_freeze_to_leaves_what_the_reference_leaves(n, train_bn, recorded):
    theirs = recorded["freeze_to"][f"{n} {train_bn}"]
    learn = chain(train_bn=train_bn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learn.freeze_to(n)
    assert flags(learn) == theirs["grad"]
    assert learn.opt.frozen_idx == theirs["index"]
    assert [Path(one.filename).name for one in caught] == [Path(__file__).name] * theirs["warns"]


@pytest.mark.parametrize(
    ("n", "train_bn", "trains"),
    [
        (0, True, ["first", "last", "norm"]),
        (1, True, ["last", "norm"]),
        (2, True, ["last", "norm"]),
        (2, False, ["last"]),
        (-1, False, ["last"]),
        (-2, False, ["last", "norm"]),
        (-3, False, ["first", "last", "norm"]),
        (3, True, ["norm"]),
    ],
)
@pytest.mark.filterwarnings("ignore:freezing 3 groups")
def test_a_fit_moves_the_parameters_that_are_not_frozen(n, train_bn, trains):
    learn = chain(train_bn=train_bn)
    learn.freeze_to(n)
    assert moved(learn) == trains
    learn.unfreeze()
    assert moved(learn) == ["first", "last", "norm"]
    learn.freeze()
    assert moved(learn) == (["last", "norm"] if train_bn else ["last"])


@pytest.mark.filterwarnings("ignore:freezing 3 groups")
def test_a_fit_of_a_model_all_of_whose_parameters_are_frozen_fails_as_torch_does():
    learn = chain(train_bn=False)
    learn.freeze_to(3)
    with pytest.raises(RuntimeError, match="does not require grad"):
        quiet(learn, "fit", 1)


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (-4, ValueError, "`n` must be at least -3, there are 3 groups, got -4"),
        (1.0, TypeError, "`n` must be an integer, got 1.0"),
        ("1", TypeError, "`n` must be an integer, got '1'"),
        (None, TypeError, "`n` must be an integer, got None"),
        (True, TypeError, "`n` must be an integer, got True"),
        ([1], TypeError, r"`n` must be an integer, got \[1\]"),
    ],
)
def test_a_wrong_n_is_named_and_freezes_nothing(n, error, message):
    learn = quiet(chain(), "fit", 1)
    learn.freeze_to(1)
    quiet(learn, "fit", 1)
    before = flags(learn), learn.opt.frozen_idx, str(learn.opt.state_dict())
    with pytest.raises(error, match=message):
        learn.freeze_to(n)
    assert (flags(learn), learn.opt.frozen_idx, str(learn.opt.state_dict())) == before


def test_freezing_one_group_warns_at_the_call_and_freezes_nothing():
    learn = chain(1)
    with pytest.warns(UserWarning, match="has one parameter group, so nothing is frozen") as caught:
        learn.freeze()
    assert [one.filename for one in caught] == [__file__]
    assert flags(learn) == [[True] * 6]
    assert moved(chain(1), "fine_tune", 1) == ["first", "last", "norm"]


def test_freezing_clears_the_state_and_keeps_the_hypers():
    learn = quiet(chain(), "fit", 1, [0.25, 0.5, 0.75], wd=0.125)
    assert all(learn.opt.state_dict()["state"])
    hypers = learn.opt.hypers
    for method, args in (("freeze_to", [1]), ("freeze", []), ("unfreeze", [])):
        getattr(learn, method)(*args)
        assert learn.opt.state_dict()["state"] == [{}] * 6
        assert learn.opt.hypers == hypers
        quiet(learn, "fit", 1, [0.25, 0.5, 0.75], wd=0.125)


def test_frozen_groups_go_on_to_get_their_scheduled_values():
    learn = chain()
    learn.freeze()
    sched = {"lr": SchedLin([0.0, 1.0, 2.0], [3.0, 4.0, 5.0]), "mom": SchedLin(0.0, 0.75)}
    quiet(learn, "fit", 1, cbs=ParamScheduler(sched))
    assert learn.recorder.hps_all["lr"] == [[k, k + 1.0, k + 2.0] for k in range(3)]
    assert learn.opt.get_hyper("lr") == [2.0, 3.0, 4.0]
    assert learn.opt.get_hyper("mom") == [0.5] * 3


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_an_optimizer_made_anew_has_the_same_groups_frozen(frozen):
    learn = chain(train_bn=False)
    learn.freeze_to(frozen)
    before, old = flags(learn), learn.opt
    learn.create_opt()
    assert learn.opt is not old
    assert learn.opt.frozen_idx == frozen
    assert flags(learn) == before
    quiet(learn, "fit", 1, reset_opt=True)
    assert flags(learn) == before
    learn.unfreeze()
    assert moved(learn) == ["first", "last", "norm"]


def test_an_optimizer_made_anew_has_the_norms_of_a_changed_train_bn():
    learn = chain()
    learn.freeze()
    assert flags(learn)[1] == [True, True]
    learn.train_bn = False
    learn.create_opt()
    assert flags(learn)[1] == [False, False]


def test_parameters_frozen_by_hand_are_in_the_optimizer_and_unfreeze_trains_them():
    """Row F23."""
    learn = chain(1, splitter=lehr.learner.optimizer.params)
    learn.model.first.requires_grad_(False)
    assert moved(learn) == ["last", "norm"]
    assert len(learn.opt.all_params()) == 6
    learn.unfreeze()
    assert moved(learn) == ["first", "last", "norm"]


def test_forced_parameters_train_in_frozen_groups():
    net = Chain()
    opt = OptimWrapper(chain_groups(3, net), torch.optim.SGD, lr=0.1)
    opt.force_train = {net.first.bias}
    opt.freeze_to(2)
    grads = [[p.requires_grad for p in group] for group in opt.param_lists]
    assert grads == [[False, True], [False, False], [True, True]]
    opt.clear_state()
    opt.freeze_to(-1)
    assert [[p.requires_grad for p in group] for group in opt.param_lists] == grads


def test_fine_tune_trains_head_and_norms_and_then_all():
    learn = chain()
    states = []

    class Begins(Callback):
        def before_fit(self):
            states.append((values(self.learn), self.opt.state_dict()["state"]))

    quiet(learn, "fine_tune", 1, 0.5, cbs=Begins)
    (start, first), (middle, second) = states
    assert first == second == [{}] * 6
    still = [n for n in start if torch.equal(start[n], middle[n])]
    assert still == ["first.weight", "first.bias"]
    assert learn.opt.frozen_idx == 0
    end = values(learn)
    assert not any(torch.equal(middle[n], end[n]) for n in end)


# Which parameters are norms, and which decay.


class Norms(nn.Module):
    """Every kind of norm layer, with their biases, and layers that are none."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.conv = nn.Conv2d(2, 2, 1)
        self.embedding = nn.Embedding(3, 4)
        self.bare = nn.Linear(4, 4, bias=False)
        self.gru = nn.GRUCell(4, 4)
        self.attention = nn.MultiheadAttention(4, 1)
        self.prelu = nn.PReLU()
        self.own = nn.Parameter(torch.ones(3))
        self.batch1 = nn.BatchNorm1d(4)
        self.batch2 = nn.BatchNorm2d(4)
        self.batch3 = nn.BatchNorm3d(4)
        self.sync = nn.SyncBatchNorm(4)
        self.layer = nn.LayerNorm(4)
        self.group = nn.GroupNorm(2, 4)
        self.instance1 = nn.InstanceNorm1d(4, affine=True)
        self.instance2 = nn.InstanceNorm2d(4, affine=True)
        self.instance3 = nn.InstanceNorm3d(4, affine=True)
        self.rms = nn.RMSNorm(4)
        self.bare_norm = nn.LayerNorm(4, elementwise_affine=False)

    def forward(self, x):
        # Every parameter has a gradient, and it is 0.
        return x.mean() + sum((0 * p).sum() for p in self.parameters())


NORM_LAYERS = ["batch1", "batch2", "batch3", "sync", "layer", "group", "instance1", "instance2",
               "instance3", "rms"]  # fmt: skip
NORM_PARAMS = {f"{name}.{part}" for name in NORM_LAYERS for part in ("weight", "bias")} - {
    "rms.bias"
}
BIASES = {"linear.bias", "conv.bias", "attention.out_proj.bias"}


def norms(**kwargs):
    batches = [(torch.ones(2), torch.zeros(()))] * 2
    model = Norms()
    for param in model.parameters():
        nn.init.constant_(param, 1.0)
    kwargs = {"opt_func": partial(torch.optim.SGD, momentum=0.0), "lr": 0.5, "wd": 0.5} | kwargs
    return Learner(
        DataLoaders(batches, device="cpu"), model, lambda pred, y: 0 * pred + y, **kwargs
    )


@pytest.mark.parametrize("wd_bn_bias", [False, True])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_weights_decay_and_norms_and_biases_do_not(kind, wd_bn_bias):
    """With gradients of 0 a step multiplies what decays with `1 - lr wd`."""
    learn = quiet(norms(opt_func=kind, wd_bn_bias=wd_bn_bias), "fit", 1)
    found = {n: p.detach().unique().tolist() for n, p in learn.model.named_parameters()}
    free = set() if wd_bn_bias else NORM_PARAMS | BIASES
    assert found == {name: [1.0] if name in free else [0.75**2] for name in found}
    assert found.keys() > NORM_PARAMS | BIASES


def test_scheduled_decay_leaves_norms_and_biases_alone():
    learn = quiet(norms(wd=None), "fit", 1, cbs=ParamScheduler({"wd": SchedLin(0.5, 1.0)}))
    found = {n: p.detach().unique().tolist() for n, p in learn.model.named_parameters()}
    free = NORM_PARAMS | BIASES
    # Decays of 0.5 and 0.75 at a rate of 0.5.
    assert found == {name: [1.0] if name in free else [0.75 * 0.625] for name in found}


@pytest.mark.parametrize("train_bn", [True, False])
def test_norm_layers_of_every_kind_train_in_frozen_groups(train_bn):
    def splitter(model):
        last = list(model.linear.parameters())
        return [[p for p in model.parameters() if all(p is not q for q in last)], last]

    learn = norms(splitter=splitter, train_bn=train_bn)
    learn.freeze()
    trains = {n for n, p in learn.model.named_parameters() if p.requires_grad}
    assert trains == {"linear.weight", "linear.bias"} | (NORM_PARAMS if train_bn else set())


def test_the_decay_of_frozen_groups_moves_nothing():
    """A parameter that needs no gradient has none, and torch passes it over."""
    learn = norms(splitter=lambda m: [list(m.conv.parameters()), list(m.linear.parameters())])
    learn.freeze()
    quiet(learn, "fit", 1)
    assert learn.model.conv.weight.unique().tolist() == [1.0]
    assert learn.model.linear.weight.unique().tolist() == [0.75**2]


class Leaves(Callback):
    """Ends a fit between the backward pass and the step."""

    def after_backward(self):
        if self.iter == 2:
            raise ZeroDivisionError


def test_gradients_that_a_broken_fit_left_move_nothing_frozen():
    learn = chain(train_bn=False)
    with pytest.raises(ZeroDivisionError):
        quiet(learn, "fit", 1, cbs=Leaves)
    assert learn.model.first.weight.grad is not None
    learn.freeze()
    assert learn.model.first.weight.grad is None
    assert moved(learn) == ["last"]


def test_a_group_frozen_while_gradients_wait_does_not_move():
    class Freezes(Callback):
        run_valid = False

        def before_step(self):
            if self.iter == 0:
                self.opt.freeze_to(-1)

    assert moved(chain(train_bn=False), "fit", 1, cbs=Freezes) == ["last"]


def test_gradients_that_a_broken_fit_left_are_not_in_the_next_fit():
    learn, fresh = chain(), chain()
    with pytest.raises(ZeroDivisionError):
        quiet(learn, "fit", 1, cbs=Leaves)
    state = learn.model.state_dict()
    fresh.model.load_state_dict(state)
    for one in (learn, fresh):
        torch.manual_seed(1)
        one.dls = DataLoaders([(torch.arange(4.0)[:, None], torch.ones(4, 1))], device="cpu")
        quiet(one, "fit", 1, reset_opt=True)
    for ours, theirs in zip(learn.model.parameters(), fresh.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
