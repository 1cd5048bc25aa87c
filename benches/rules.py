"""What the suggestion rules cost."""

import lehr
import numpy as np
from lehr import _core
from timing import minima

RULES = (lehr.valley, lehr.slide, lehr.minimum, lehr.steep)
VALLEY_GOALS = {100: 2.5, 1000: 30, 10_000: 300}
ROBUST_GOALS = {100: 5, 1000: None, 10_000: None}


def sweep_curve(n):
    """A noisy fall with a rise at its end, as a sweep meets it; float64."""
    t = np.linspace(0, 1, n)
    noise = 0.02 * np.random.default_rng(0).normal(size=n)
    losses = 2 / (1 + np.exp(14 * (t - 0.5))) + 0.2 * np.exp(np.minimum(30 * (t - 0.9), 3))
    return 1e-7 * 1e8**t, losses + noise


def rows():
    for rule in RULES:
        for n, goal in VALLEY_GOALS.items():
            lrs, losses = sweep_curve(n)
            (seconds,) = minima(("f(x, y, n)", {"f": rule, "x": lrs, "y": losses, "n": n}))
            name = f"{rule.__name__} of {n:,} points, us"
            yield name, seconds * 1e6, goal if rule is lehr.valley else None, ""
    for n, goal in ROBUST_GOALS.items():
        lrs, losses = sweep_curve(n)
        (seconds,) = minima(("f(x, y)", {"f": _core.robust, "x": lrs, "y": losses}))
        yield f"robust of {n:,} points, us", seconds * 1e6, goal, ""
