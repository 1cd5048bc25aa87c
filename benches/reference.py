"""Print our suggestion rules over the reference's: `make bench-reference`.

Runs in an environment with fastai. Both sides get the same curve as the same float32 tensors,
which is what the reference passes its rules.
"""

import baselines
import numpy as np
import timing
from lehr import _core
from rules import RULES, sweep_curve
from timing import minima, show, us

# What the reference's valley takes for 10,000 points is minutes.
SIZES = {"valley": (100, 1000)}


def rows():
    theirs, as_curve = baselines.reference_rules()
    for rule in RULES:
        name = rule.__name__
        for n in SIZES.get(name, (100, 1000, 10_000)):
            lrs, losses = map(as_curve, sweep_curve(n))
            ours, other = minima(
                ("f(x, y, n)", {"f": rule, "x": lrs, "y": losses, "n": n}),
                ("f(x, y, n)", {"f": theirs[name], "x": lrs, "y": losses, "n": n}),
                rounds=3 if name == "valley" and n > 100 else 20,
            )
            yield f"{name} of {n:,} points / reference", ours / other, None, us(ours, other)
    yield from many(theirs, as_curve)


def many(theirs, as_curve):
    """A curve of many, from raw losses, over the reference's rule alone on one thread."""
    count, points = 2000, 100
    lrs, losses = sweep_curve(points)
    offsets = np.arange(0, count * points + 1, points)
    lists = [(np.tile(one, count), offsets) for one in (lrs, losses)]
    none = np.zeros(0, dtype=np.int64)
    curve = [as_curve(one) for one in (lrs, losses)]
    for rule in RULES:
        name = rule.__name__
        asked = {"f": _core.suggest_many, "x": lists[0], "y": lists[1], "none": none, "rule": name}
        ours, other = minima(
            ("f(x, y, None, None, none, None, [rule], None, 1)", asked),
            ("f(x, y, n)", {"f": theirs[name], "x": curve[0], "y": curve[1], "n": points}),
            rounds=10,
        )
        figures = us(ours / count, other)
        yield f"{name}, each of 2,000 curves / reference", ours / count / other, None, figures


if __name__ == "__main__":
    timing.heading()
    show(rows())
