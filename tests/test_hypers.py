"""The one writer and the optimizer wrapper: value forms, groups, real torch optimizers."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from lehr import OptimWrapper, _core, hypers
from lehr.learner.optimizer import norm_bias_params
from torch import nn


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def two_groups(opt=torch.optim.SGD, no_decay=(), **kwargs):
    net = model()
    groups = [list(net[0].parameters()) + list(net[1].parameters()), list(net[2].parameters())]
    chosen = norm_bias_params(net) if no_decay is None else no_decay
    return OptimWrapper(groups, opt, no_decay=chosen, **({"lr": 0.1} | kwargs))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, [0.5, 0.5]),
        (1, [1.0, 1.0]),
        (np.float64(0.5), [0.5, 0.5]),  # row F2
        (np.float32(0.5), [0.5, 0.5]),
        (torch.tensor(0.5), [0.5, 0.5]),
        (np.array(0.5), [0.5, 0.5]),
        ([0.1, 0.2], [0.1, 0.2]),
        ((0.1, 0.2), [0.1, 0.2]),
        (range(1, 3), [1.0, 2.0]),
        (np.array([0.1, 0.2]), [0.1, 0.2]),
        (torch.tensor([0.25, 0.5]), [0.25, 0.5]),
        ([0.3], [0.3, 0.3]),
        (np.array([0.3]), [0.3, 0.3]),  # row F3
        (torch.tensor([0.25]), [0.25, 0.25]),
        (slice(1e-3), [1e-4, 1e-3]),
        (slice(1e-4, 1e-2), [1e-4, 1e-2]),  # row F4
    ],
)
def test_a_value_may_have_any_documented_form(value, expected):
    opt = two_groups()
    opt.set_hyper("lr", value)
    assert opt.get_hyper("lr") == pytest.approx(expected, rel=1e-15)
    assert [type(group["lr"]) for group in opt.torch.param_groups] == [float, float]


def test_a_slice_over_three_groups_is_in_equal_ratios():
    assert _core.group_values(slice(1e-4, 1e-2), 3, "lr") == pytest.approx(
        [1e-4, 1e-3, 1e-2], rel=1e-15
    )
    assert _core.group_values(slice(1e-4, 1e-2), 1, "lr") == [1e-2]
    assert _core.group_values(slice(1.0), 3, "lr") == [0.1, 0.1, 1.0]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1, 2, 3], ValueError, "`lr` must be one number or 2, one per parameter group, got 3"),
        ([], ValueError, "`lr` must hold one number per parameter group"),
        (math.nan, ValueError, "`lr` must be a finite number, got NaN"),
        ([1, math.inf], ValueError, "`lr` must hold finite numbers, got inf for group 1"),
        (slice(0, 1), ValueError, "two finite numbers above 0"),
        (slice(1, None), ValueError, r"must be slice\(stop\) or slice\(start, stop\)"),
        (slice(1, 2, 3), ValueError, r"must be slice\(stop\) or slice\(start, stop\)"),
        (slice(math.inf), ValueError, r"`lr` = slice\(stop\) must hold a finite number"),
        (None, TypeError, "`lr` must be a number .* got None"),
        ("0.1", TypeError, "`lr` must be a number"),
        ({"a": 1}, TypeError, "`lr` must be a number"),
    ],
)
def test_a_wrong_value_raises_and_changes_nothing(value, error, message):
    opt = two_groups()
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(error, match=message):
        opt.set_hyper("lr", value)
    assert opt.state_dict() == before


OPTIMIZERS = [
    (partial(torch.optim.SGD, momentum=0.9), "momentum", None),
    (torch.optim.RMSprop, "momentum", None),
    (torch.optim.Adam, "betas", 0),
    (torch.optim.AdamW, "betas", 0),
    (torch.optim.NAdam, "betas", 0),
    (torch.optim.RAdam, "betas", 0),
]


@pytest.mark.parametrize(("opt", "key", "index"), OPTIMIZERS)
def test_momentum_goes_where_the_optimizer_keeps_it(opt, key, index):
    wrapper = two_groups(opt)
    wrapper.set_hyper("mom", [0.7, 0.8])
    for group, expected in zip(wrapper.torch.param_groups, [0.7, 0.8], strict=True):
        value = group[key] if index is None else group[key][index]
        assert value == expected
        assert type(group[key]) is (float if index is None else tuple)
    assert wrapper.get_hyper("mom") == [0.7, 0.8]
    assert [h["mom"] for h in wrapper.hypers] == [0.7, 0.8]


def test_weight_decay_and_other_keys_have_public_names():
    opt = two_groups(torch.optim.AdamW)
    opt.set_hyper("wd", 0.3)
    opt.set_hyper("sqr_mom", 0.95)
    opt.set_hyper("eps", 1e-6)
    group = opt.torch.param_groups[0]
    assert (group["weight_decay"], group["betas"], group["eps"]) == (0.3, (0.9, 0.95), 1e-6)
    rms = two_groups(torch.optim.RMSprop)
    rms.set_hyper("sqr_mom", 0.5)
    assert rms.torch.param_groups[1]["alpha"] == 0.5


def test_an_unknown_name_raises_lists_the_known_ones_and_writes_nothing():
    opt = two_groups(torch.optim.Adagrad)
    with pytest.raises(KeyError, match=r"`mom` is not a hyper-parameter .*'lr'.*'wd'"):
        opt.set_hyper("mom", 0.9)
    with pytest.raises(KeyError, match="params"):
        opt.set_hyper("params", 0.9)
    # Only the second group has it: the first one is checked before anything is written.
    opt.torch.param_groups[1]["mine"] = 1.0
    with pytest.raises(KeyError, match="mine"):
        opt.set_hyper("mine", 2.0)
    assert opt.torch.param_groups[1]["mine"] == 1.0


def test_what_is_no_number_is_not_overwritten():
    opt = two_groups(torch.optim.Adam)
    before = copy.deepcopy(opt.state_dict())
    for name in ("betas", "amsgrad", "foreach"):
        with pytest.raises(TypeError, match=f"`{name}` is .* which is no number to schedule"):
            opt.set_hyper(name, 0.5)
    assert opt.state_dict() == before
    with pytest.raises(KeyError, match=r"which has \['eps', 'lr', 'mom', 'sqr_mom', 'wd'\]"):
        opt.set_hyper("nothing", 1)


def test_tensors_are_filled_in_place():
    rate = torch.tensor(0.1)
    net = model()
    opt = OptimWrapper([list(net.parameters())], torch.optim.AdamW, lr=rate, capturable=False)
    held = opt.torch.param_groups[0]["lr"]
    opt.set_hyper("lr", 0.25)
    assert opt.torch.param_groups[0]["lr"] is held
    assert held.item() == 0.25
    assert opt.get_hyper("lr") == [0.25]


def test_groups_are_fetched_afresh_after_a_load():
    opt = two_groups(torch.optim.AdamW)
    opt.torch.load_state_dict(opt.torch.state_dict())
    opt.set_hyper("lr", [0.3, 0.4])
    assert [g["lr"] for g in opt.torch.param_groups] == [0.3, 0.4]
    assert opt.get_hyper("lr") == [0.3, 0.4]


def test_norms_and_biases_form_torch_groups_without_weight_decay():
    opt = two_groups(torch.optim.AdamW, no_decay=None)
    groups = opt.torch.param_groups
    assert len(opt) == 2
    assert len(groups) == 4
    assert [g["weight_decay"] for g in groups] == [0.01, 0.0, 0.01, 0.0]
    assert [len(g["params"]) for g in groups] == [1, 3, 1, 1]
    opt.set_hyper("wd", [0.5, 0.6])
    opt.set_hyper("lr", [0.1, 0.2])
    assert [g["weight_decay"] for g in groups] == [0.5, 0.0, 0.6, 0.0]
    assert [g["lr"] for g in groups] == [0.1, 0.1, 0.2, 0.2]
    assert opt.get_hyper("wd") == [0.5, 0.6]
    assert [len(p) for p in opt.param_lists] == [4, 2]


def test_a_fresh_state_has_an_empty_dict_per_parameter_and_is_a_copy():
    opt = two_groups(torch.optim.AdamW)
    state = opt.state_dict()
    assert state["state"] == [{}] * 6
    assert [h["lr"] for h in state["hypers"]] == [0.1, 0.1]
    for param in opt.all_params():
        param.grad = torch.ones_like(param)
    opt.step()
    taken = opt.state_dict()
    assert set(taken["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    kept = taken["state"][0]["exp_avg"].clone()
    opt.step()
    assert torch.equal(taken["state"][0]["exp_avg"], kept)
    opt.clear_state()
    assert opt.state_dict()["state"] == [{}] * 6


def test_a_built_optimizer_keeps_its_own_groups():
    net = model()
    built = torch.optim.SGD(
        [{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.5}], lr=1
    )
    opt = OptimWrapper(opt=built)
    assert opt.torch is built
    assert opt.get_hyper("lr") == [1, 0.5]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: OptimWrapper([[]], torch.optim.SGD), ValueError, "group 0 is empty"),
        (lambda: OptimWrapper([["x"]], torch.optim.SGD), TypeError, "lists of parameters, got 'x'"),
        (lambda: OptimWrapper(None, torch.optim.SGD), TypeError, "`opt` must be a torch optimizer"),
        (lambda: OptimWrapper([nn.Parameter(torch.ones(1))], 3), TypeError, "got 3"),
    ],
)
def test_wrong_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_write_wants_a_value_for_every_torch_group():
    opt = two_groups()
    with pytest.raises(ValueError, match="zip"):
        hypers.write(opt.torch, "lr", [0.1])
