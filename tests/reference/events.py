"""The order of events of one epoch of one training and one validation batch, cancelled anywhere."""

CANCELS = {
    "CancelBatchException": [
        "before_batch",
        "after_pred",
        "after_loss",
        "before_backward",
        "after_step",
    ],
    "CancelBackwardException": ["before_backward"],
    "CancelStepException": ["before_step"],
    "CancelTrainException": ["before_train", "before_batch", "after_batch"],
    "CancelValidException": ["before_validate", "valid:after_batch"],
    "CancelEpochException": ["before_train", "before_batch", "before_validate", "after_validate"],
    "CancelFitException": [
        "before_fit",
        "before_epoch",
        "before_batch",
        "after_batch",
        "after_train",
        "after_epoch",
    ],
}

# Our own event, which the reference does not have.
OURS = "cleanup_fit"


def orders(api, Callback, make):  # noqa: N803 (a class)
    """Return {"": [events], "CancelX in event": [events], ...} of an implementation.

    `api` holds the exceptions; `make` builds a learner of one training and one validation batch
    with the given callback.
    """

    class Log(Callback):
        order = 1000
        seen: list = []

        def __call__(self, event):
            if event not in ("after_create", OURS):
                self.seen.append(event)
            stage = "" if self.learn.training else "valid:"
            if self.learn.__dict__.get("armed") in (event, f"{stage}{event}"):
                self.learn.armed = None
                raise self.learn.error

    found = {}
    places = [("", None), *((name, event) for name, events in CANCELS.items() for event in events)]
    for name, event in places:
        log = Log()
        log.seen = []
        learn = make(log)
        learn.armed, learn.error = event, getattr(api, name) if name else None
        learn.logger = lambda *_: None
        learn.fit(1)
        found[f"{name} in {event}" if name else ""] = log.seen
    return found
