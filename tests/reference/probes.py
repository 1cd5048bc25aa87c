"""What each row S1-S14 asks of an implementation: run on the reference once, on lehr in tests.

Every probe takes the module that holds the public names and returns plain JSON values. Nothing
here knows which implementation it runs on. `record.py` stores what the reference answers;
`tests/test_rows_schedules.py` judges both answers with the same condition.
"""

import math
import pickle
import re

import numpy as np


def outcome(function):
    """Call `function`; return {"value": ...} or {"raises": name, "message": text}."""
    try:
        return {"value": plain(function())}
    except Exception as error:
        # An address differs from run to run.
        message = re.sub(r" at 0x[0-9a-f]+", "", str(error))
        return {"raises": type(error).__name__, "message": message}


def plain(value):
    """Turn arrays, tensors and numbers into lists and numbers; complex ones into text."""
    if isinstance(value, complex) or getattr(value, "dtype", None) == np.complex128:
        return f"complex {value}"
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def two_phases(api):
    return api.combine_scheds([0.5, 0.5], [api.SchedLin(0, 1), api.SchedLin(1, 0)])


def s1(api):
    """Shares whose float sum is off 1."""

    def combined(n, share):
        return api.combine_scheds([share] * n, [api.SchedLin(0, 1)] * n)(0.5)

    shares = [(10, 0.1), (6, 1 / 6), (49, 1 / 49)]
    wrong = outcome(lambda: api.combine_scheds([0.5, 0.4], [api.SchedNo(1, 1)] * 2))
    return {"sums": [outcome(lambda n=n, s=s: combined(n, s)) for n, s in shares], "wrong": wrong}


def s2(api):
    """The last position before a boundary, and the noise of a smooth curve."""
    f = api.combine_scheds([0.3, 0.7], [api.SchedNo(1, 1), api.SchedNo(2, 2)])
    g = api.combine_scheds([0.3, 0.7], [api.SchedLin(0, 3), api.SchedLin(3, 10)])
    positions = [k / 1000 for k in range(1, 1000)]
    # g is the line 10 pos, whatever its phases.
    error = max(abs(float(g(p)) / (10 * p) - 1) for p in positions)
    return {"before": outcome(lambda: f(0.29999999999)), "error": error}


def s3(api):
    """The first rate of every cycle of SGDR trainings, as a share of the peak."""
    late = 0
    restarts = 0
    for n_cycles, length in [
        (3, 1),
        (2, 3),
        (4, 1),
        (3, 2),
        (5, 1),
        (4, 3),
        (2, 5),
        (3, 7),
        (5, 2),
    ]:
        for batches in (7, 10, 13, 49, 100):
            epochs = length * (2**n_cycles - 1)
            shares = [length * 2**i / epochs for i in range(n_cycles)]
            f = api.combine_scheds(shares, [api.SchedCos(1.0, 0) for _ in shares])
            steps = epochs * batches
            for i in range(n_cycles):
                first = length * (2**i - 1) * batches
                restarts += 1
                late += float(f(first / steps)) < 0.5
    return {"late": late, "restarts": restarts}


def s4(api):
    """The end of a schedule whose last phase is empty."""
    f = api.combined_cos(1.0, 0.5, 1.0, 0.0)
    g = api.combine_scheds(
        [0.5, 0.5, 0.0], [api.SchedLin(0, 1), api.SchedLin(1, 2), api.SchedNo(9, 9)]
    )
    return {"cos": outcome(lambda: f(1.0)), "lin": outcome(lambda: g(1.0))}


def s5(api):
    """A negative and a NaN position."""
    f = two_phases(api)
    return {"negative": outcome(lambda: f(-0.1)), "nan": outcome(lambda: f(float("nan")))}


def s6(api):
    """The rates of a training whose loader yields more batches than its length says."""
    return {"lrs": api.lrs_of_a_long_loader()}


def s7(api):
    """One schedule missing, one too many."""
    one = [api.SchedLin(0, 1)]
    return {
        "missing": outcome(lambda: bool(api.combine_scheds([0.5, 0.5], one))),
        "extra": outcome(lambda: bool(api.combine_scheds([0.5, 0.5], one * 3))),
    }


def s8(api):
    """Shares as array, tensor and generator."""
    import torch

    scheds = [api.SchedLin(0, 1), api.SchedLin(1, 0)]
    kinds = {
        "array": lambda: np.array([0.5, 0.5]),
        "tensor": lambda: torch.tensor([0.5, 0.5]),
        "generator": lambda: (share for share in [0.5, 0.5]),
    }
    return {
        kind: outcome(lambda make=make: api.combine_scheds(make(), scheds)(0.75))
        for kind, make in kinds.items()
    }


def s9(api):
    """Ends given as lists and tuples."""
    return {
        "list": outcome(lambda: api.SchedCos([0.0, 1.0], [2.0, 3.0])(0.5)),
        "tuple": outcome(lambda: api.combined_cos(0.25, (0.25, 0.5), (0.5, 1.0), (0.0, 0.0))(0.25)),
    }


def s10(api):
    """Several positions at once."""
    pos = np.array([0.0, 0.25, 0.5])
    scheds = {
        "lin": api.SchedLin(0, 2),
        "cos": api.SchedCos(0, 2),
        "no": api.SchedNo(3, 2),
        "exp": api.SchedExp(1, 4),
        "poly": api.SchedPoly(0, 2, 2),
        "combined": two_phases(api),
    }
    return {name: outcome(lambda f=f: f(pos)) for name, f in scheds.items()}


def s11(api):
    """Pickling every kind of schedule."""
    scheds = {
        "poly": api.SchedPoly(0, 2, 2),
        "combined": two_phases(api),
        "combined_cos": api.combined_cos(0.25, 0.5, 1, 0),
        "annealer": SchedHalf(api)(0.0, 1.0),
    }
    return {
        name: outcome(lambda f=f: pickle.loads(pickle.dumps(f))(0.25)) for name, f in scheds.items()
    }


def SchedHalf(api):
    """Make an annealer the way user code does: decorated at the top level of a module."""
    global half  # noqa: PLW0603 (the decorated name must live at module level)

    def half(start, end, pos):
        return start if pos < 0.5 else end

    half.__qualname__ = "half"
    half = api.annealer(half)
    return half


def s12(api):
    """Exponential schedules through zero and across signs, fractional powers below zero."""
    return {
        "zero": outcome(lambda: bool(api.SchedExp(0, 1))),
        "signs": outcome(lambda: api.SchedExp(-1, 1)(0.5)),
        "power": outcome(lambda: api.SchedPoly(0, 1, 0.5)(-0.25)),
    }


def s13(api):
    """Whether a curve over steps can be had that reaches the schedule's end."""
    f = api.SchedLin(1.0, 0.0)
    return {"values": outcome(lambda: f.values(5, end=True))}


def s14(api):
    """repr, equality, phases, boundaries."""
    f, g = two_phases(api), two_phases(api)
    return {
        "equal": f == g,
        "repr": repr(f).split(" at 0x")[0],
        "boundaries": outcome(lambda: list(f.boundaries)),
        "phases": outcome(lambda: len(f.phases)),
    }


PROBES = {f"S{i}": globals()[f"s{i}"] for i in range(1, 15)}
