"""The names of lehr that probes see, and the judge of the rows of reference and lehr."""

import json
import types

import finder_probes
import lehr
import probes
import pytest
import resume_probes
import training_probes
from lehr import testing
from lehr.learner.data import DataLoaders

PROBES = probes.PROBES | training_probes.PROBES | finder_probes.PROBES | resume_probes.PROBES


class LongLoader:
    """Yields more batches than its length says."""

    def __init__(self, loader, extra):
        self.batches = list(loader)
        self.extra = extra

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        yield from self.batches
        yield from self.batches[: self.extra]


def lrs_of_a_long_loader():
    data = testing.synth_dbunch()
    learn = testing.synth_learner(data=loaders(LongLoader(data.train, 6), data.valid))
    with learn.no_logging():
        learn.fit_one_cycle(1, 1e-2)
    return learn.recorder.lrs


def loaders(*many):
    return DataLoaders(*many, device="cpu")


def api():
    names = {name: getattr(lehr, name) for name in lehr.__all__}
    names |= {
        name: getattr(testing, name) for name in ("RegModel", "synth_dbunch", "synth_learner")
    }
    names |= {"loaders": loaders, "lrs_of_a_long_loader": lrs_of_a_long_loader}
    return types.SimpleNamespace(**names)


def ours(row):
    """Lehr's answer to a row, as the file would give it."""
    return json.loads(json.dumps(PROBES[row](api())))


def judge(row, holds, reference):
    """The condition holds for lehr and, to show that it can fail, not for the reference.

    Returns:
        Both answers.
    """
    answer, recorded = ours(row), reference["rows"][row]
    assert holds(answer), answer
    assert not holds(recorded), recorded
    return answer, recorded


def values(answers):
    return [answer.get("value") for answer in answers]


def is_clear_error(answer, kind, *words):
    return answer.get("raises") == kind and all(word in answer["message"] for word in words)


def close(got, expected, rel=1e-12):
    """Whether numbers, or lists of lists of them, are as expected."""
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(close(a, b, rel) for a, b in zip(got, expected, strict=True))
        )
    return got is not None and got == pytest.approx(expected, rel=rel, abs=1e-300)
