"""What the Scheduler refuses: at once, by name, with nothing changed."""

import copy
import math

import pytest
import torch
from lehr import PhaseSpec, Plateau, SchedLin, Scheduler, Tied
from scheduler_loops import sgd, values
from state import plain

LINE = SchedLin(1.0, 0.0)


def is_odd(group):
    return group["name"] in ("b", "d")


def everything(optimizer):
    """Return a comparable copy of all a constructor could change."""
    return (
        plain([{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]),
        [id(group) for group in optimizer.param_groups],
        {k: list(v) for k, v in vars(optimizer).items() if "hooks" in k},
        sorted(vars(optimizer)),
    )


def refused(optimizer, error, message, *args, **options):
    before = everything(optimizer)
    with pytest.raises(error, match=message):
        Scheduler(optimizer, *args, **options)
    assert everything(optimizer) == before


@pytest.mark.parametrize(
    ("schedules", "error", "message"),
    [
        (None, TypeError, "`schedules` must map .* got None"),
        (LINE, TypeError, "`schedules` must map hyper-parameters to schedules, got SchedLin"),
        ({}, TypeError, r"`schedules` must map .* got \{\}"),
        ([("lr", LINE)], TypeError, "`schedules` must map"),
        ({0: LINE}, TypeError, "names of hyper-parameters as keys, got 0"),
        ({"lr": None}, TypeError, r"`schedules\['lr'\]` must be a schedule, .* got None"),
        ({"lr": 0.1}, TypeError, r"`schedules\['lr'\]` must be a schedule, .* got 0.1"),
        ({"lr": "cos"}, TypeError, r"`schedules\['lr'\]` must be a schedule, .* got 'cos'"),
        ({"lr": [LINE, 0.1]}, TypeError, r"`schedules\['lr'\]\[1\]` must be .* got 0.1"),
        ({"lr": {"a": 0.1}}, TypeError, r"`schedules\['lr'\]\['a'\]` must be .* got 0.1"),
        ({"rate": LINE}, KeyError, r"`rate` is not a hyper-parameter of this optimizer"),
        ({"sqr_mom": LINE}, KeyError, r"`sqr_mom` is not a hyper-parameter of this optimizer"),
        ({"betas[0]": LINE}, KeyError, r"`betas\[0\]` is not a hyper-parameter"),
        ({"params": LINE}, KeyError, "`params` is not a hyper-parameter"),
        ({"lr[0]": LINE}, KeyError, r"`lr\[0\]` is not a hyper-parameter"),
        ({"nesterov": LINE}, TypeError, "`nesterov` is False in this optimizer, .* no number"),
        ({"foreach": LINE}, TypeError, "`foreach` is None in this optimizer, .* no number"),
        ({"name": LINE}, TypeError, "`name` is 'a' in this optimizer, .* no number"),
        ({"lr": SchedLin(0.1, -0.1)}, ValueError, "`lr` must be at least 0, got -0.1"),
        ({"wd": LINE, "lr": Tied("wd", -1)}, ValueError, "`lr` must be at least 0, got -1.0"),
        ({"lr": lambda pos: -pos}, ValueError, "`lr` must be at least 0, got -1.0"),
        ({"lr": [LINE, SchedLin(0, -1)]}, ValueError, "`lr` must be at least 0, got -1.0"),
        ({"lr": lambda pos: "x"}, TypeError, "number"),
        ({"lr": lambda pos: math.nan}, ValueError, "must return finite numbers, but .* NaN"),
        ({"lr": LINE, "mom": lambda pos: 1 / 0}, ZeroDivisionError, "division"),
        ({"lr": LINE, "mom": lambda pos: math.nan}, ValueError, "must return finite numbers"),
        ({"lr": LINE, "wd": LINE, "mom": lambda pos: "x"}, TypeError, "number"),
        ({"lr": lambda: 1.0}, TypeError, "positional argument"),
        ({"lr": lambda pos: 1 / 0}, ZeroDivisionError, "division"),
        ({"wd": Tied("lr", 2)}, KeyError, "is tied to 'lr', which must have a schedule of its own"),
        ({"lr": LINE, "wd": Tied("wd", 2)}, KeyError, "is tied to 'wd', which must have"),
        ({"lr": LINE, "wd": Tied("lr", 1), "mom": Tied("wd", 1)}, KeyError, "tied to 'wd'"),
        (
            {"mom": LINE, "momentum": LINE},
            ValueError,
            "group 0 .* 'mom' and 'momentum' are the same",
        ),
        ({"lr": PhaseSpec(["3 steps"], [LINE])}, ValueError, "must fill the 8 steps of the run"),
        ({"lr": PhaseSpec(["1 epoch", "rest"], [LINE] * 2)}, ValueError, "needs `steps_per_epoch`"),
        ({"lr": PhaseSpec(["9 steps", "rest"], [LINE] * 2)}, ValueError, "must fill the 8 steps"),
        ({"lr": PhaseSpec(["5 parsecs"], [LINE])}, ValueError, "must be a length such as"),
    ],
)
def test_wrong_schedules_are_refused_at_once(schedules, error, message):
    refused(sgd(2), error, message, schedules, 8)


@pytest.mark.parametrize(
    ("steps", "options", "error", "message"),
    [
        (0, {}, ValueError, "`steps` must be a whole number of at least 1, got 0"),
        (-3, {}, ValueError, "`steps` must be a whole number of at least 1, got -3"),
        (True, {}, ValueError, "`steps` must be a whole number of at least 1, got True"),
        (2**60, {}, ValueError, "`steps` must be at most 2.53, got 1152921504606846976"),
        (2**70, {}, ValueError, "`steps` must be a whole number"),
        (1.5, {}, TypeError, "`steps`"),
        (None, {}, TypeError, "`steps`"),
        ("8", {}, ValueError, '`steps` must be a length such as .* got "8"'),
        ("", {}, ValueError, "`steps` must be a length such as"),
        ("ten steps", {}, ValueError, "`steps` must be a length such as"),
        ("-8 steps", {}, ValueError, "`steps` must be a length such as"),
        ("nan steps", {}, ValueError, "`steps` must be a length such as"),
        ("1e30 steps", {}, ValueError, r"`steps` is more than 2\^53 steps"),
        ("0 steps", {}, ValueError, "`steps` must be at least 1 step, got '0 steps'"),
        ("0.4 steps", {}, ValueError, "`steps` must be at least 1 step"),
        ("10%", {}, ValueError, "`steps` is the length of the whole run, and cannot be a share"),
        ("rest", {}, ValueError, "`steps` is the length of the whole run"),
        ("2 epochs", {}, ValueError, '`steps` is "2 epochs": that needs `steps_per_epoch`'),
        ("2 tokens", {}, ValueError, '`steps` is "2 tokens": that needs `tokens_per_step`'),
        ("8 steps", {"interval": "epoch"}, ValueError, "`steps` must be in epochs"),
        ("2 epochs", {"steps_per_epoch": 0}, ValueError, "`steps_per_epoch` must be a whole"),
        ("2 epochs", {"steps_per_epoch": 1.5}, TypeError, "`steps_per_epoch`"),
        ("2 epochs", {"steps_per_epoch": "9"}, TypeError, "`steps_per_epoch`"),
        ("2 tokens", {"tokens_per_step": 0}, ValueError, "`tokens_per_step` must be a finite"),
        ("2 tokens", {"tokens_per_step": math.nan}, ValueError, "`tokens_per_step` must be"),
        ("2 tokens", {"tokens_per_step": "9"}, TypeError, "`tokens_per_step`"),
        (8, {"steps_per_epoch": -1}, ValueError, "`steps_per_epoch` must be a whole"),
        (8, {"interval": "batch"}, ValueError, "`interval` must be one of .* got 'batch'"),
        (8, {"interval": None}, ValueError, "`interval` must be one of .* got None"),
        (8, {"interval": ["step"]}, ValueError, "`interval` must be one of"),
        (8, {"count": "steps"}, ValueError, "`count` must be one of .* got 'steps'"),
        (8, {"interval": "epoch", "count": "optimizer"}, ValueError, "is no epoch"),
        (8, {"keep": "all"}, ValueError, "`keep` must be one of .* got 'all'"),
        (8, {"keep": True}, ValueError, "`keep` must be one of .* got True"),
        (8, {"start_step": -1}, ValueError, "`start_step` must be at least 0, .* got -1"),
        (8, {"start_step": 1.5}, TypeError, "`start_step`"),
        (8, {"start_step": "3"}, TypeError, "`start_step`"),
        (8, {"start_step": True}, TypeError, "`start_step`"),
        (8, {"start_step": 2**70}, ValueError, "`start_step`"),
        (8, {"plateau": 0.1}, TypeError, "`plateau` must be a lehr.Plateau or None, got 0.1"),
        (8, {"plateau": Plateau}, TypeError, "`plateau` must be a lehr.Plateau or None"),
        (8, {"plateau": Plateau(hypers="wd")}, KeyError, "`plateau` must be of .* got 'wd'"),
        (8, {"setters": {"lr": 3}}, TypeError, r"`setters\['lr'\]` must be a function .* got 3"),
        (8, {"setters": {"nix": print}}, ValueError, r"`setters\['nix'\]` needs one schedule"),
        (8, {"setters": [print]}, TypeError, "`setters`"),
        (8, {"unknown": 1}, TypeError, "unexpected keyword argument 'unknown'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(steps, options, error, message):
    refused(sgd(2), error, message, {"lr": LINE}, steps, **options)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({4: LINE}, KeyError, r"group 4, which the optimizer has not: it has 4 groups"),
        ({-1: LINE}, KeyError, r"group -1, which the optimizer has not"),
        ({"e": LINE}, KeyError, r"group 'e', .* named \['a', 'b', 'c', 'd'\]"),
        ({0: LINE, "a": LINE}, ValueError, "gives group 0 more than one schedule, the last by 'a'"),
        ({1: LINE, is_odd: LINE}, ValueError, "group 1 more than one .* by a predicate"),
        ([LINE, LINE], ValueError, "gives 2 groups a value each, the optimizer has 4"),
        ([], ValueError, "gives 0 groups a value each, the optimizer has 4"),
        (SchedLin([1, 2], 0), ValueError, "gives 2 groups a value each, the optimizer has 4"),
        ({0: SchedLin([1, 2], 0)}, ValueError, "one value to each group, got a schedule of 2 for"),
        ([SchedLin([1, 2], 0)] * 4, ValueError, "one value to each group, got a schedule of 2"),
        ({}, ValueError, "must map at least one group to a schedule, got none"),
        ({True: LINE}, TypeError, "index, name, predicate or `...`, got True"),
        ({1.5: LINE}, TypeError, "index, name, predicate or `...`, got 1.5"),
        ({None: LINE}, TypeError, "index, name, predicate or `...`, got None"),
        ({(0, 1): LINE}, TypeError, r"index, name, predicate or `...`, got \(0, 1\)"),
        ({0: {0: LINE}}, TypeError, "must be a schedule, a PhaseSpec, a function"),
        ({0: Tied("wd", 2)}, KeyError, "is tied to 'wd', which must have a schedule of its own"),
    ],
)
def test_groups_that_are_told_wrongly_are_refused(given, error, message):
    refused(sgd(4), error, message, {"lr": given}, 8)


def test_a_setter_that_raises_at_construction_leaves_the_optimizer_as_it_was():
    def refuse(value):
        raise RuntimeError("no")

    options = {"setters": {"dropout": refuse}}
    refused(sgd(2), RuntimeError, "no", {"lr": LINE, "dropout": LINE}, 8, **options)


@pytest.mark.parametrize("given", [LINE, [LINE, LINE], Tied("lr", 1), {0: LINE}])
def test_a_setter_takes_one_schedule(given):
    if given is LINE:
        Scheduler(sgd(2), {"lr": LINE, "x": given}, 8, setters={"x": lambda value: None})
        return
    options = {"setters": {"x": lambda value: None}}
    refused(sgd(2), ValueError, "needs one schedule", {"lr": LINE, "x": given}, 8, **options)


@pytest.mark.parametrize("given", [None, 3, torch.nn.Linear(1, 1), torch.optim.SGD])
def test_what_is_no_optimizer_is_refused(given):
    with pytest.raises(TypeError, match="`optimizer` must be a torch optimizer, got "):
        Scheduler(given, {"lr": LINE}, 8)


def test_an_optimizer_in_a_host_s_wrapper_is_found():
    class Wrapped:
        def __init__(self, optimizer):
            self.optimizer = optimizer

    optimizer = sgd()
    assert Scheduler(Wrapped(optimizer), {"lr": LINE}, 8).optimizer is optimizer


def test_a_group_that_lost_its_hyper_parameter_raises_at_step_and_changes_nothing():
    optimizer = sgd(2)
    for group in optimizer.param_groups:
        group["mine"] = 1.0
    scheduler = Scheduler(optimizer, {"lr": LINE, "mine": SchedLin(1, 2)}, 4)
    del optimizer.param_groups[1]["mine"]
    optimizer.step()
    with pytest.raises(KeyError, match="`mine` is no longer in a group"):
        scheduler.step()
    assert values(optimizer, "lr") == [1.0, 1.0]
    assert (optimizer.param_groups[0]["mine"], scheduler.last_epoch) == (1.0, 0)


@pytest.mark.parametrize("epoch", [-1, 2**60, 2**70, 1.5, "3", True])
def test_step_with_what_is_no_step_raises_and_changes_nothing(epoch):
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": LINE}, 8)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises((TypeError, ValueError), match="epoch"):
        scheduler.step(epoch)
    assert (scheduler.last_epoch, optimizer.state_dict()) == (0, before)
