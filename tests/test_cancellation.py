"""Every cancellation in every event: where it is caught, and what fires then.

The table is that of the reference's documentation and runs, written down here by hand: nothing
is read off our own loop.
"""

import lehr
import pytest
import torch
from lehr import Callback
from lehr.testing import synth_learner

BATCH = ["before_batch", "after_pred", "after_loss"]
STEP = ["before_backward", "after_backward", "before_step", "after_step"]

# One epoch of one training and one validation batch; the prefix says which batch.
PLAIN = [
    "before_fit",
    "before_epoch",
    "train:before_train",
    *(f"train:{event}" for event in [*BATCH, *STEP, "after_batch"]),
    "train:after_train",
    "valid:before_validate",
    *(f"valid:{event}" for event in [*BATCH, "after_batch"]),
    "valid:after_validate",
    "after_epoch",
    "after_fit",
]

# For each exception, the stretches of events in which it is caught: first and last event, what
# fires, and the event at which training goes on.
TABLE = {
    "CancelBatchException": [
        ("train:before_batch", "train:after_step", "train:after_cancel_batch", "train:after_batch"),
        ("valid:before_batch", "valid:after_loss", "valid:after_cancel_batch", "valid:after_batch"),
    ],
    "CancelBackwardException": [
        (
            "train:before_backward",
            "train:before_backward",
            "train:after_cancel_backward",
            "train:after_backward",
        )
    ],
    "CancelStepException": [
        ("train:before_step", "train:before_step", "train:after_cancel_step", "train:after_step")
    ],
    "CancelTrainException": [
        ("train:before_train", "train:after_batch", "train:after_cancel_train", "train:after_train")
    ],
    "CancelValidException": [
        (
            "valid:before_validate",
            "valid:after_batch",
            "valid:after_cancel_validate",
            "valid:after_validate",
        )
    ],
    "CancelEpochException": [
        ("before_epoch", "valid:after_validate", "after_cancel_epoch", "after_epoch")
    ],
    "CancelFitException": [("before_fit", "after_epoch", "after_cancel_fit", "after_fit")],
}


def expected(order, place, name):
    """Return the events when `name` is raised at index `place` of `order`, and if it is caught."""
    before = order[: place + 1]
    # An event of a cancellation belongs to what the event after it belongs to.
    at = PLAIN.index(order[place] if order[place] in PLAIN else order[place + 1])
    for first, last, fires, goes_on in TABLE[name]:
        if PLAIN.index(first) <= at <= PLAIN.index(last):
            return [*before, fires, *PLAIN[PLAIN.index(goes_on) :]], True
    return before, False


class Probe(Callback):
    """Logs every event and raises exceptions at given places of the log."""

    order = 1000

    def __init__(self, raises):
        self.raises = raises
        self.seen = []

    def __call__(self, event):
        if event == "after_create":
            return
        whole = {"before_fit", "before_epoch", "after_cancel_epoch", "after_epoch"}
        whole |= {"after_cancel_fit", "after_fit", "cleanup_fit"}
        stage = "" if event in whole else "train:" if self.learn.training else "valid:"
        self.seen.append(stage + event)
        error = self.raises.pop(len(self.seen) - 1, None)
        if error is not None:
            raise error


def run(raises):
    """Return the events of a fit, and the cancellation that nothing caught."""
    probe = Probe(dict(raises))
    learn = synth_learner(n_trn=1, n_val=1, cbs=probe)
    with learn.no_logging():
        try:
            learn.fit(1)
        except lehr.learner.callback.CancelException as error:
            return probe.seen, type(error).__name__
    return probe.seen, None


def test_plain_order():
    assert run({}) == ([*PLAIN, "cleanup_fit"], None)


@pytest.mark.parametrize("event", PLAIN)
@pytest.mark.parametrize("name", TABLE)
def test_a_cancellation_is_caught_where_the_table_says_and_nowhere_else(name, event):
    place = PLAIN.index(event)
    order, caught = expected(PLAIN, place, name)
    seen = run({place: getattr(lehr, name)})
    assert seen == ([*order, "cleanup_fit"], None if caught else name)
    assert ("after_fit" in seen[0]) == (caught or event == "after_fit")


@pytest.mark.parametrize("second", TABLE)
@pytest.mark.parametrize("first", TABLE)
def test_a_cancellation_in_the_event_of_another_belongs_to_what_is_around(first, second):
    place = PLAIN.index(TABLE[first][0][0])
    order, _ = expected(PLAIN, place, first)
    again = place + 1
    assert "after_cancel" in order[again]
    order, caught = expected(order, again, second)
    raises = {place: getattr(lehr, first), again: getattr(lehr, second)}
    assert run(raises) == ([*order, "cleanup_fit"], None if caught else second)


@pytest.mark.parametrize(
    ("name", "event", "stepped", "gradients"),
    [
        ("CancelBatchException", "before_backward", False, False),
        ("CancelBatchException", "after_backward", False, True),
        ("CancelBatchException", "after_step", True, True),
        ("CancelBackwardException", "before_backward", True, False),
        ("CancelStepException", "before_step", False, False),
    ],
)
def test_what_a_cancellation_leaves_of_step_and_gradients(name, event, stepped, gradients):
    """Only the end of an uncancelled batch drops gradients; a cancelled backward still steps."""
    steps = []

    class Cancels(Callback):
        pass

    def cancel(self):
        raise getattr(lehr, name)

    setattr(Cancels, event, cancel)
    learn = synth_learner(n_trn=1, n_val=1, cbs=Cancels)
    learn.create_opt()
    hook = learn.opt.torch.register_step_post_hook(lambda *_: steps.append(1))
    with learn.no_logging():
        learn.fit(1)
    hook.remove()
    assert bool(steps) == stepped
    assert any(p.grad is not None for p in learn.model.parameters()) == gradients


def test_later_callbacks_do_not_see_an_event_that_a_callback_cancelled():
    class Cancels(Callback):
        def after_pred(self):
            raise lehr.CancelBatchException

    class Later(Callback):
        order = 1
        seen = 0

        def after_pred(self):
            self.seen += 1

    later = Later()
    learn = synth_learner(n_trn=3, n_val=1, cbs=[Cancels(), later])
    before = [p.detach().clone() for p in learn.model.parameters()]
    with learn.no_logging():
        learn.fit(1)
    assert later.seen == 0
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))
