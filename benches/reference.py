"""Print our suggestion rules over the reference's: `make bench-reference`.

Runs in an environment with fastai. Both sides get the same curve as the same float32 tensors,
which is what the reference passes its rules.
"""

import baselines
import timing
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


if __name__ == "__main__":
    timing.heading()
    show(rows())
