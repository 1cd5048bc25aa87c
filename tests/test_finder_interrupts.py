"""An interrupt on any line of entering and leaving a Finder leaves nothing behind."""

import gc
import sys

import pytest
import torch
from lehr import Finder, SchedLin, Scheduler
from lehr.engine import SweepEngine
from lehr.snapshot import Snapshot
from state import capture
from torch import nn


class Interrupt:
    """Raises KeyboardInterrupt before line `at`, of those that some functions run."""

    def __init__(self, functions, at):
        self.codes = {function.__code__ for function in functions}
        self.left, self.place = at, None

    def __enter__(self):
        sys.settrace(self.trace)

    def __exit__(self, *_):
        sys.settrace(None)

    def trace(self, frame, event, _):
        if frame.f_code not in self.codes:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                self.place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace


def trained():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    scheduler = Scheduler(optimizer, {"lr": SchedLin(0.5, 0)}, 10, count="optimizer")
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    return model, optimizer, scheduler


def goes_on(model, optimizer, scheduler):
    """Whether the training is as before, and its scheduler not standing still."""
    before = scheduler.last_epoch
    optimizer.step()
    return scheduler.last_epoch == before + 1


def test_an_interrupt_on_any_line_of_entering_leaves_everything_as_before():
    places = []
    functions = [Finder.__enter__, SweepEngine.__enter__, Snapshot.begin]
    for at in range(100):  # more than there are
        model, optimizer, scheduler = trained()
        finder = Finder(model, optimizer, num_it=2)
        before = capture(model, optimizer)
        interrupt = Interrupt(functions, at)
        try:
            with interrupt:
                finder.__enter__()
            break
        except KeyboardInterrupt:
            assert capture(model, optimizer) == before, interrupt.place
            assert goes_on(model, optimizer, scheduler), interrupt.place
        places.append(interrupt.place)
    finder.__exit__(None, None, None)
    assert len(set(places)) > 12


def test_an_interrupt_on_any_line_of_leaving_is_raised_with_everything_as_before():
    places = []
    for at in range(300):  # more than there are
        model, optimizer, scheduler = trained()
        before = capture(model, optimizer)
        finder = Finder(model, optimizer, num_it=1)
        finder.__enter__()
        for _ in finder:
            model.weight.data.fill_(9)
            optimizer.step()
            finder.record(1.0)
        interrupt = Interrupt([Finder.__exit__, SweepEngine.__exit__, Snapshot.restore], at)
        try:
            with interrupt:
                finder.__exit__(None, None, None)
            break
        except KeyboardInterrupt:
            # The first line of a function alone is before its `try`: it can be called again.
            if capture(model, optimizer) != before:
                finder.__exit__(None, None, None)
            assert capture(model, optimizer) == before, interrupt.place
            assert goes_on(model, optimizer, scheduler), interrupt.place
        places.append(interrupt.place)
    assert len(set(places)) > 8


class Failing:
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        raise RuntimeError("broken")


def copies():
    """The number of tensors of the size that a copy of the weights has."""
    gc.collect()
    return sum(type(one) is torch.Tensor and one.nbytes == 4 * 777 for one in gc.get_objects())


@pytest.mark.parametrize("fails", [False, True])
def test_the_copies_are_let_go_of_when_the_sweep_is_over_even_where_restoring_failed(fails):
    model = nn.Linear(777, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    finder = Finder(model, optimizer, num_it=1, extras=[Failing()] if fails else [])
    before = copies()
    finder.__enter__()
    assert copies() > before
    model.weight.data.zero_()
    if fails:
        with pytest.raises(RuntimeError, match="broken"):
            finder.__exit__(None, None, None)
    else:
        finder.__exit__(None, None, None)
    assert model.weight.any()
    assert copies() == before
    assert len(finder.sweep) == 0
