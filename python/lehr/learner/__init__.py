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
from lehr.learner.checkpoint import CheckpointCallback  # noqa: E402
from lehr.learner.csv_logger import CSVLogger  # noqa: E402
from lehr.learner.data import DataLoaders  # noqa: E402
from lehr.learner.gradients import (  # noqa: E402
    GradientAccumulation,
    GradientClip,
    MixedPrecision,
)
from lehr.learner.learner import Learner  # noqa: E402
from lehr.learner.metrics import Metric, accuracy  # noqa: E402
from lehr.learner.optimizer import OptimWrapper  # noqa: E402
from lehr.learner.progress import ProgressCallback  # noqa: E402
from lehr.learner.recorder import Recorder  # noqa: E402
from lehr.learner.schedule import LRFinder, ParamScheduler  # noqa: E402
from lehr.learner.tracker import (  # noqa: E402
    EarlyStoppingCallback,
    ReduceLROnPlateau,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from lehr.learner.train_eval import TrainEvalCallback  # noqa: E402

__all__ = [
    "CSVLogger",
    "Callback",
    "CancelBackwardException",
    "CancelBatchException",
    "CancelEpochException",
    "CancelFitException",
    "CancelStepException",
    "CancelTrainException",
    "CancelValidException",
    "CheckpointCallback",
    "DataLoaders",
    "EarlyStoppingCallback",
    "GradientAccumulation",
    "GradientClip",
    "LRFinder",
    "Learner",
    "Metric",
    "MixedPrecision",
    "OptimWrapper",
    "ParamScheduler",
    "ProgressCallback",
    "Recorder",
    "ReduceLROnPlateau",
    "SaveModelCallback",
    "TerminateOnNaNCallback",
    "TrackerCallback",
    "TrainEvalCallback",
    "accuracy",
]
