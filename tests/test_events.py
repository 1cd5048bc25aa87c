"""The order of events and every cancellation, beside the recorded order of the reference."""

import sys
from pathlib import Path

import lehr
import pytest
import torch
from lehr import Callback
from lehr.learner.callback import EVENTS, CancelException
from lehr.testing import synth_learner

sys.path.insert(0, str(Path(__file__).parent / "reference"))
import events


def make(callback):
    learn = synth_learner(n_trn=1, n_val=1, cbs=callback)
    return learn.remove_cbs(lehr.ProgressCallback)


PLACES = [
    "",
    *(f"{name} in {event}" for name, places in events.CANCELS.items() for event in places),
]


@pytest.fixture(scope="module")
def ours():
    return events.orders(lehr, Callback, make)


@pytest.mark.parametrize("place", PLACES)
def test_events_come_in_the_order_of_the_reference(place, ours, reference):
    assert ours[place] == reference["events"][place]


class Log(Callback):
    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append(event)


@pytest.mark.parametrize(
    "event", [e for e in EVENTS if not e.startswith(("after_create", "cleanup"))]
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_cleanup_is_the_last_event_however_a_fit_ends(event, error):
    class Fails(Callback):
        pass

    def fail(self):
        raise error

    setattr(Fails, event, fail)
    log = Log()
    learn = make([Fails(), log])
    learn.logger = lambda row: None
    if "cancel" in event:
        learn.fit(1)
    else:
        with pytest.raises(error):
            learn.fit(1)
    assert log.seen[-1] == "cleanup_fit"
    assert log.seen.count("cleanup_fit") == 1


def test_callbacks_see_an_event_by_order_then_by_turn():
    seen = []

    def named(name, order):
        class Probe(Callback):
            def before_fit(self):
                seen.append(name)

        probe = Probe()
        probe.order = order
        return probe

    learn = make([named("b", 5), named("a", -20), named("c", 5), named("d", 60)])
    learn.logger = lambda row: None
    learn.fit(1)
    assert seen == ["a", "b", "c", "d"]


def test_run_flags_choose_the_batch_events():
    class Counts(Callback):
        def __init__(self):
            self.seen = []

        def before_batch(self):
            self.seen.append("train" if self.training else "valid")

    class TrainOnly(Counts):
        run_valid = False

    class ValidOnly(Counts):
        run_train = False

    class Off(Counts):
        run = False

    counts = [Counts(), TrainOnly(), ValidOnly(), Off()]
    learn = synth_learner(n_trn=2, n_val=1, cbs=counts)
    with learn.no_logging():
        learn.fit(1)
    assert [c.seen for c in counts] == [
        ["train", "train", "valid"],
        ["train", "train"],
        ["valid"],
        [],
    ]
    # Silence ends with the fit.
    with learn.no_logging():
        learn.fit(1)
    assert counts[3].seen == ["train", "train", "valid"]


def test_a_callback_reads_from_learner_and_model_and_warns_when_it_hides_their_names():
    class Reads(Callback):
        def before_batch(self):
            assert self.lr == self.learn.lr
            assert self.a is self.learn.model.a

    class Hides(Callback):
        def before_fit(self):
            self.lr = 3

    learn = synth_learner(cbs=Reads)
    with learn.no_logging():
        learn.fit(1)
        with pytest.warns(UserWarning, match=r"`Hides.lr` now hides .* `self.learn.lr = ...`"):
            learn.fit(1, cbs=Hides)
    assert learn.lr == 1e-3
    with pytest.raises(
        AttributeError, match="the learner and its model have no attribute 'nothing'"
    ):
        learn.reads.nothing
    with pytest.raises(AttributeError, match="has not been added to a learner"):
        Reads().lr


def test_an_error_in_a_callback_keeps_its_type_and_names_callback_and_event():
    class MyOwnCallback(Callback):
        def after_loss(self):
            raise LookupError("mine")

    learn = make(MyOwnCallback())
    learn.logger = lambda row: None
    with pytest.raises(LookupError, match="mine") as caught:
        learn.fit(1)
    assert caught.value.__notes__ == ["raised by `my_own` in the event `after_loss`"]


def test_callbacks_are_added_and_removed_with_their_attribute():
    class One(Callback):
        pass

    first, second = One(), One()
    learn = synth_learner(cbs=first)
    assert learn.one is first
    with learn.added_cbs([second]):
        assert learn.one is second
        assert second.learn is learn
    assert learn.one is first
    assert second.learn is None
    order = list(learn.cbs)
    with learn.removed_cbs(One):
        assert not hasattr(learn, "one")
    assert learn.cbs == order
    with pytest.raises(ZeroDivisionError), learn.added_cbs(second):
        raise ZeroDivisionError
    assert second not in learn.cbs
    with pytest.raises(TypeError, match="`cbs` must hold callbacks, got 3"):
        learn.add_cbs(3)


def test_a_cancelled_step_leaves_the_weights_alone():
    class NoStep(Callback):
        def before_step(self):
            raise lehr.CancelStepException

    learn = synth_learner(cbs=NoStep)
    before = [p.detach().clone() for p in learn.model.parameters()]
    with learn.no_logging():
        learn.fit(1)
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))


def test_a_cancel_where_nothing_catches_it_is_an_ordinary_exception():
    class Late(Callback):
        def after_fit(self):
            raise lehr.CancelFitException

    log = Log()
    learn = make([Late(), log])
    learn.logger = lambda row: None
    with pytest.raises(CancelException):
        learn.fit(1)
    assert log.seen[-1] == "cleanup_fit"
