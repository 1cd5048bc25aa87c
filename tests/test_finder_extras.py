"""What is named in `extras` is itself as before, or refused: nothing is silently left out."""

import collections
import datetime as dt
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
import torch
from lehr import Finder, SchedLin, Scheduler, lr_find
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Pair(NamedTuple):
    first: object
    second: int


def sgd(*params, lr=0.1):
    return torch.optim.SGD(params or [nn.Parameter(torch.ones(1))], lr=lr)


def sweep_with(extras, change, iterations=2):
    model = nn.Linear(1, 1)
    with Finder(model, sgd(*model.parameters()), num_it=iterations, extras=extras) as finder:
        for _ in finder:
            change()
            finder.record(1.0)


# A thing, how it is changed, and what of it is compared.
THINGS = {
    "module": (
        lambda: nn.Linear(2, 2),
        lambda one: one.eval().weight.data.fill_(7),
        lambda one: (one.weight.tolist(), one.training),
    ),
    "optimizer": (
        sgd,
        lambda one: one.param_groups[0].update(lr=9.0),
        lambda one: one.param_groups[0]["lr"],
    ),
    "generator": (
        torch.Generator,
        lambda one: torch.rand(2, generator=one),
        lambda one: one.get_state().tolist(),
    ),
    "numpy generator": (
        lambda: np.random.default_rng(1),
        lambda one: one.random(),
        lambda one: one.bit_generator.state,
    ),
    "numpy random state": (
        lambda: np.random.RandomState(1),
        lambda one: one.rand(),
        lambda one: one.get_state()[2],
    ),
    "scaler": (
        lambda: torch.amp.GradScaler("cpu", init_scale=4.0),
        lambda one: one.load_state_dict(one.state_dict() | {"scale": 2.0}),
        lambda one: one.state_dict(),
    ),
    "torch scheduler": (
        lambda: torch.optim.lr_scheduler.StepLR(sgd(), 1),
        lambda one: setattr(one, "last_epoch", 7),
        lambda one: one.last_epoch,
    ),
    "tensor": (lambda: torch.ones(2), lambda one: one.mul_(2), lambda one: one.tolist()),
    "array": (lambda: np.ones(2), lambda one: one.fill(3), lambda one: one.tolist()),
    "list": (lambda: [1, [2]], lambda one: one[1].append(3), repr),
    "dictionary": (lambda: {"a": {}}, lambda one: one["a"].update(b=1), repr),
    "set": (lambda: {1}, lambda one: one.add(2), repr),
    "deque": (lambda: collections.deque([1], 5), lambda one: one.append(2), repr),
}

PLACES = {
    "itself": lambda one: one,
    "list": lambda one: [one],
    "tuple": lambda one: (one,),
    "dictionary": lambda one: {"ema": one},
    "deque": lambda one: collections.deque([one]),
    "named tuple": lambda one: Pair(one, 1),
    "nested": lambda one: {"a": [{"b": (one, "text", 1.5)}]},
}


def members(value):
    """All that is in containers."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple, collections.deque)):
        return [value]
    return [one for item in value for one in members(item)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_is_itself_and_as_before_wherever_it_is(thing, place):
    make, change, state = THINGS[thing]
    one = make()
    extra = PLACES[place](one)
    held = members(extra)
    before = state(one)
    changed = []

    def step():
        change(one)
        changed.append(state(one) != before)

    sweep_with([extra], step)
    assert all(changed)
    assert state(one) == before
    assert len(members(extra)) == len(held)
    assert all(now is then for now, then in zip(members(extra), held, strict=True))


def test_a_scheduler_in_a_container_stands_still():
    optimizer = sgd()
    scheduler = Scheduler(optimizer, {"lr": SchedLin(0.5, 0)}, 10)
    sweep_with([[scheduler]], scheduler.step)
    assert scheduler.last_epoch == 0


class Average:
    """Weights averaged, whose state is the average itself."""

    def __init__(self):
        self.shadow = [torch.ones(2)]

    def state_dict(self):
        return {"shadow": self.shadow}

    def load_state_dict(self, state):
        self.shadow = state["shadow"]


class IterableAverage(Average):
    def __iter__(self):
        return iter(self.shadow)


@pytest.mark.parametrize("kind", [Average, IterableAverage])
def test_a_state_that_is_the_thing_s_own_tensors_is_copied(kind):
    average = kind()
    sweep_with([average, {"also": average}], lambda: average.shadow[0].fill_(9))
    assert average.shadow[0].tolist() == [1, 1]


class OwnState:
    """A loader whose state is its own dictionary."""

    def __init__(self):
        self.state = {"place": 0}

    def __iter__(self):
        while self.state["place"] < 9:
            self.state["place"] += 1
            yield torch.ones(1, 1)

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_a_place_that_is_the_loader_s_own_dictionary_is_copied():
    model, loader = nn.Linear(1, 1), OwnState()
    with Finder(model, sgd(*model.parameters()), loader, num_it=4) as finder:
        for _ in finder:
            finder.record(1.0)
        assert loader.state == {"place": 4}
    assert loader.state == {"place": 0}


def test_a_loader_in_extras_has_its_generators_and_counts_back():
    class Counting(DataLoader):
        epoch = 0

        def __iter__(self):
            vars(self)["epoch"] = self.epoch + 1
            return super().__iter__()

    data = TensorDataset(torch.arange(8.0))
    loader = Counting(data, 2, shuffle=True, generator=torch.Generator().manual_seed(1))
    vars(loader)["epoch"] = 0
    state = loader.generator.get_state()
    sweep_with([[loader]], lambda: list(loader))
    assert loader.epoch == 0
    assert torch.equal(loader.generator.get_state(), state)


@pytest.mark.parametrize(
    "constant",
    [np.float64(1), torch.float32, torch.device("cpu"), len, nn.Linear, frozenset([1]), b"",
     pathlib.Path("x"), dt.date(2026, 1, 1), None, sgd],
)  # fmt: skip
def test_what_cannot_change_may_be_among_what_can(constant):
    log = {"kept": constant, "losses": []}
    sweep_with([log], lambda: log["losses"].append(1))
    assert log == {"kept": constant, "losses": []}


class Plain:
    pass


@pytest.mark.parametrize(
    "wrong", [3, "text", None, Plain(), iter([1]), map(str, [1]), range(3), (i for i in [1])]
)
def test_what_has_nothing_to_put_back_is_refused(wrong):
    with pytest.raises(TypeError, match=r"`extras\[1\]` must be a module, an optimizer"):
        sweep_with([[], wrong], lambda: None)


@pytest.mark.parametrize("wrong", [Plain(), iter([1]), (i for i in [1])])
@pytest.mark.parametrize("place", ["list", "tuple", "dictionary", "nested"])
def test_what_cannot_be_put_back_is_refused_inside_containers_too(wrong, place):
    with pytest.raises(TypeError, match=r"`extras\[1\]` must be a module, .* or hold"):
        sweep_with([[], PLACES[place](wrong)], lambda: None)


@pytest.mark.parametrize("kind", [list, tuple, iter, DataLoader, OwnState, lambda _: Reiterable()])
def test_every_iterable_of_batches_may_be_validated_on(kind):
    model = nn.Linear(1, 1)
    valid = OwnState() if kind is OwnState else kind([torch.ones(1, 1)] * 9)
    batches = [torch.ones(1, 1)]
    lr_find(
        model, sgd(*model.parameters()), batches, lambda pred, _: pred.sum(), valid=valid, num_it=1
    )
    assert kind is not OwnState or valid.state == {"place": 0}


class Reiterable:
    def __iter__(self):
        return iter([torch.ones(1, 1)])
