"""Hyper-parameter schedules, an LR finder and LR-log analysis for PyTorch.

Importing lehr loads the compiled core alone. The names that need PyTorch or matplotlib load
them when they are first used, and say which extra to install when they are missing.
"""

from lehr import _core
from lehr._core import (
    SchedCos,
    SchedExp,
    SchedInverseSqrt,
    SchedLin,
    SchedNo,
    SchedPoly,
    SchedTanh,
    Schedule,
    combine_scheds,
    combined_cos,
    minimum,
    sched_cos,
    sched_exp,
    sched_lin,
    sched_no,
    slide,
    steep,
    valley,
)
from lehr.presets import (
    PresetSpec,
    cyclic,
    flat_cos,
    inverse_sqrt,
    k_decay,
    multistep,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    sgdr,
    warmup,
    wsd,
)
from lehr.schedules import PhaseSpec, Tied, annealer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lehr.batch_suggestion import suggest_batch, suggest_batches
    from lehr.finder import Finder, lr_find
    from lehr.learner import (
        Callback,
        CancelBackwardException,
        CancelBatchException,
        CancelEpochException,
        CancelFitException,
        CancelStepException,
        CancelTrainException,
        CancelValidException,
        CSVLogger,
        DataLoaders,
        EarlyStoppingCallback,
        GradientAccumulation,
        GradientClip,
        Learner,
        LRFinder,
        Metric,
        MixedPrecision,
        OptimWrapper,
        ParamScheduler,
        ProgressCallback,
        Recorder,
        ReduceLROnPlateau,
        SaveModelCallback,
        TerminateOnNaNCallback,
        TrackerCallback,
        TrainEvalCallback,
        accuracy,
    )
    from lehr.plateau import Plateau
    from lehr.scheduler import Scheduler
    from lehr.suggestion import Suggestion, SuggestionMethod
    from lehr.sweep import Sweep

__version__ = _core.VERSION

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
    "Finder",
    "GradientAccumulation",
    "GradientClip",
    "LRFinder",
    "Learner",
    "Metric",
    "MixedPrecision",
    "OptimWrapper",
    "ParamScheduler",
    "PhaseSpec",
    "Plateau",
    "PresetSpec",
    "ProgressCallback",
    "Recorder",
    "ReduceLROnPlateau",
    "SaveModelCallback",
    "SchedCos",
    "SchedExp",
    "SchedInverseSqrt",
    "SchedLin",
    "SchedNo",
    "SchedPoly",
    "SchedTanh",
    "Schedule",
    "Scheduler",
    "Suggestion",
    "SuggestionMethod",
    "Sweep",
    "TerminateOnNaNCallback",
    "Tied",
    "TrackerCallback",
    "TrainEvalCallback",
    "accuracy",
    "annealer",
    "combine_scheds",
    "combined_cos",
    "cyclic",
    "flat_cos",
    "inverse_sqrt",
    "k_decay",
    "lr_find",
    "minimum",
    "multistep",
    "one_cycle",
    "one_cycle_momentum",
    "piecewise",
    "polynomial",
    "sched_cos",
    "sched_exp",
    "sched_lin",
    "sched_no",
    "sgdr",
    "slide",
    "steep",
    "suggest_batch",
    "suggest_batches",
    "valley",
    "warmup",
    "wsd",
]

# Where the names live that are loaded on first use: all that are not here yet.
_LAZY = {name: "lehr.learner" for name in __all__ if name not in globals()}
_LAZY |= dict.fromkeys(("Finder", "lr_find"), "lehr.finder")
_LAZY |= {"Plateau": "lehr.plateau", "Scheduler": "lehr.scheduler", "Sweep": "lehr.sweep"}
_LAZY |= dict.fromkeys(("suggest_batch", "suggest_batches"), "lehr.batch_suggestion")
_LAZY |= dict.fromkeys(("Suggestion", "SuggestionMethod"), "lehr.suggestion")

if _core.DEBUG:
    import warnings

    warnings.warn(
        "lehr was built without optimisation and is slow: build it with `--release`",
        RuntimeWarning,
        stacklevel=2,
    )


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a name that needs another package on its first use."""
        from importlib import import_module

        if name in ("compat", "logs"):
            return import_module(f"lehr.{name}")
        if name not in _LAZY:
            message = f"module 'lehr' has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
