"""Training and evaluation mode, and how far training is."""

from __future__ import annotations

from lehr.learner.callback import Callback


class TrainEvalCallback(Callback):
    """Puts the model into training or evaluation mode and keeps `train_iter` and `pct_train`.

    After k batches of a fit of N, `pct_train` is exactly `k / N` (rule 1). A loader that yields
    more batches than its length leaves it at the end of the epoch; it never exceeds 1 (row S6).
    """

    order = -10
    run_valid = False

    def after_create(self) -> None:  # noqa: D102
        self.learn.n_epoch = 1

    def before_fit(self) -> None:  # noqa: D102
        learn = self.learn
        learn.epoch, learn.loss, learn.train_iter, learn.pct_train = learn.start_epoch, 0.0, 0, 0.0
        learn.model.to(learn.dls.device)
        reset = getattr(learn.model, "reset", None)
        if callable(reset):
            reset()

    def before_train(self) -> None:  # noqa: D102
        self.learn.model.train()
        self.learn.training = True

    def before_validate(self) -> None:  # noqa: D102
        self.learn.model.eval()
        self.learn.training = False
