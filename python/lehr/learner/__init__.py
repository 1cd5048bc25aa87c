"""The Learner of the reference page: a training loop with callbacks, and its finder."""

from lehr._extras import need

need("torch", "the Learner")

from lehr.learner.callback import (  # noqa: E402 (the message above comes first)
    Callback,
    CancelBackwardException,
    CancelBatchException,
    CancelEpochException,
    CancelFitException,
    CancelStepException,
    CancelTrainException,
    CancelValidException,
)
from lehr.learner.data import DataLoaders  # noqa: E402
from lehr.learner.learner import Learner  # noqa: E402
from lehr.learner.metrics import Metric, accuracy  # noqa: E402
from lehr.learner.optimizer import OptimWrapper  # noqa: E402
from lehr.learner.progress import ProgressCallback  # noqa: E402
from lehr.learner.recorder import Recorder  # noqa: E402
from lehr.learner.schedule import LRFinder, ParamScheduler  # noqa: E402
from lehr.learner.train_eval import TrainEvalCallback  # noqa: E402

__all__ = [
    "Callback",
    "CancelBackwardException",
    "CancelBatchException",
    "CancelEpochException",
    "CancelFitException",
    "CancelStepException",
    "CancelTrainException",
    "CancelValidException",
    "DataLoaders",
    "LRFinder",
    "Learner",
    "Metric",
    "OptimWrapper",
    "ParamScheduler",
    "ProgressCallback",
    "Recorder",
    "TrainEvalCallback",
    "accuracy",
]
