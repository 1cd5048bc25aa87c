"""What a schedule costs to call."""

import baselines
import lehr
import numpy as np
from lehr import _core
from timing import minima, ms, ns


def call_cost():
    cos, combined, noop = lehr.SchedCos(0, 2), lehr.combined_cos(0.25, 0.5, 1, 0), _core._Noop()
    # Across both phases, and on both sides of their middles.
    for name, schedule, call_goal, at_goal in (
        ("SchedCos", cos, 1.25, 1.5),
        ("combined_cos", combined, 1.40, 1.7),
    ):
        ours, floor, at, math_cos = minima(
            ("f(x); f(y)", {"f": schedule, "x": 0.1, "y": 0.6}),
            ("f(x); f(y)", {"f": noop, "x": 0.1, "y": 0.6}),
            ("f(x); f(y)", {"f": schedule.at, "x": 0.1, "y": 0.6}),
            ("f(x); f(y)", {"f": baselines.cos, "x": 0.1, "y": 0.6}),
            number=20_000,
        )
        yield f"{name}: f(pos) / no-op __call__", ours / floor, call_goal, ns(ours / 2, floor / 2)
        yield f"{name}: f.at(pos) / math.cos(x)", at / math_cos, at_goal, ns(at / 2, math_cos / 2)


def curve():
    schedule, steps = lehr.combined_cos(0.25, 0.5, 1, 0), 1_000_000
    expected = baselines.numpy_combined_cos(steps, 0.25, 0.5, 1, 0)
    assert np.allclose(schedule.values(steps), expected, rtol=1e-9)
    ours, numpy = minima(
        ("f.values(n)", {"f": schedule, "n": steps}),
        ("f(n, .25, .5, 1, 0)", {"f": baselines.numpy_combined_cos, "n": steps}),
        number=1,
    )
    yield "1e6-step combined_cos / numpy closed form", ours / numpy, 0.25, ms(ours, numpy)


def rows():
    yield from call_cost()
    yield from curve()
