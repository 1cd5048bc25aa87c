"""Loaders of every kind that a plain `for` takes give a Finder the batches it would get."""

import pytest
import torch
from lehr import Finder
from torch import nn


class ResetOnIter:
    """A loader that is its own iterator, and begins again whenever it is asked for one."""

    def __init__(self, data):
        self.data = data

    def __iter__(self):
        self.place = 0
        return self

    def __next__(self):
        if self.place == len(self.data):
            raise StopIteration
        self.place += 1
        return self.data[self.place - 1]


class BareIterator:
    """An iterator without `__iter__`, which `for` does not ask it for."""

    def __init__(self, data):
        self.rest = list(data)

    def __next__(self):
        if not self.rest:
            raise StopIteration
        return self.rest.pop(0)


class GivesBare:
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return BareIterator(self.data)


@pytest.mark.parametrize("kind", [ResetOnIter, GivesBare, list, tuple, str])
def test_batches_are_those_of_a_plain_for_again_and_again(kind):
    loader = kind("abc")
    plain = list(loader)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    drawn = []
    with Finder(model, optimizer, loader, num_it=8, stop_div=False) as finder:
        for batch in finder:
            drawn.append(batch)
            if len(drawn) % 2:
                drawn.append(finder.batch())
            finder.record(1.0)
    assert drawn[:12] == (plain * 4)[:12]
    assert list(loader) == plain
