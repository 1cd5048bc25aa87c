"""Record what the reference's four suggestion rules say on random curves.

Run it in the environment of `record.py`:

    reference-env/bin/python tests/reference/curves.py

Writes `tests/data/curves.json`: per curve its losses (float32), the ends of its rates, the
options of slide, and for each rule [rate, x, y], or the name of what it raised. `spread` is the
range of the losses: slide compares with an absolute threshold, so that its answer is asked only
where that is 1.
"""

import json
from pathlib import Path

import fastai
import numpy as np
import torch
from fastai.callback.schedule import minimum, slide, steep, valley

CURVES = 300
# Nearer than this to slide's threshold, the reference's float32 decides by chance.
CHANCE = 1e-6

rng = np.random.default_rng(2)


def shapes(n):
    """Every kind of curve, by name."""
    t = np.linspace(0, 1, n)
    fall = 1 / (1 + np.exp(14 * (t - rng.uniform(0.3, 0.8))))
    rise = np.exp(np.minimum(30 * (t - rng.uniform(0.8, 1.0)), 3))
    noise = rng.normal(size=n)
    spikes = np.where(rng.random(n) < 0.05, rng.exponential(3, n), 0)
    return {
        "sweep": 2 * fall + 0.2 * rise,
        "noisy sweep": 2 * fall + 0.2 * rise + rng.uniform(0.01, 0.3) * noise,
        "spikes": 2 * fall + 0.2 * rise + spikes,
        "noise": noise,
        "walk": np.cumsum(noise),
        "falling walk": np.cumsum(noise) - 0.5 * np.arange(n),
        "ties": rng.integers(0, rng.integers(2, 9), n).astype(float),
        "steps": np.round(np.cumsum(noise)),
        "parabola": (t - rng.uniform(0, 1)) ** 2,
        "falling": -t - 0.3 * np.sin(3 * t),
        "rising": t + 0.3 * np.sin(3 * t),
        "flat": np.full(n, 2.5),
        "one drop": np.concatenate([[5.0, 4.0], 6 + np.sqrt(np.arange(n))])[:n],
        "negative": -100 + np.cumsum(noise),
    }


def spanning_one(losses):
    """The curve moved to 0 and scaled to 1, exactly so in float32."""
    low, high = losses.min(), losses.max()
    return (losses - low) / (high - low) if high > low else losses


def by_chance(losses, lr_diff, thresh):
    """Whether slide compares two numbers that float32 cannot tell apart."""
    if len(losses) <= lr_diff:
        return False
    gradient = np.gradient(losses.astype(np.float64))
    change = abs(gradient[lr_diff:] - gradient[:-lr_diff])
    return bool((abs(change - thresh) < CHANCE).any())


def ask(rule, lrs, losses, **options):
    try:
        lr, (x, y) = rule(torch.tensor(lrs), torch.tensor(losses), 100, **options)
    except (IndexError, ValueError, RuntimeError) as error:
        return type(error).__name__
    return [float(lr), float(x), float(y)]


def curve(index):
    """One curve, and what the reference says about it."""
    n = int(rng.integers(1, 30) if index % 4 == 0 else rng.integers(16, 130))
    made = shapes(n)
    kind = list(made)[index % len(made)]
    losses = made[kind]
    if index % 6:
        losses = spanning_one(losses)
    losses = losses.astype(np.float32)
    start, end = 10.0 ** rng.integers(-9, -4), 10.0 ** rng.integers(-1, 3)
    lrs = (start * (end / start) ** (np.arange(n) / n)).astype(np.float32)
    options = {"lr_diff": 15, "thresh": 0.005, "adjust_value": 1.0}
    if index % 5 == 4:
        options = {
            "lr_diff": int(rng.integers(1, 40)),
            "thresh": float(rng.choice([0.0, 0.001, 0.02, 0.2])),
            "adjust_value": float(rng.choice([0.1, 0.5, 0.9, 2.0])),
        }
    spread = float(losses.max() - losses.min())
    asked = spread == 1 and not by_chance(losses, options["lr_diff"], options["thresh"])
    return {
        "kind": kind,
        "losses": [float(str(loss)) for loss in losses],
        "start": start,
        "end": end,
        "spread": spread,
        "options": options,
        "valley": ask(valley, lrs, losses),
        "slide": ask(slide, lrs, losses, **options) if asked else None,
        "minimum": ask(minimum, lrs, losses),
        "steep": ask(steep, lrs, losses),
    }


def main():
    answers = {
        "made_by": "tests/reference/curves.py",
        "versions": {
            "fastai": fastai.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "curves": [curve(index) for index in range(CURVES)],
    }
    path = Path(__file__).parent.parent / "data" / "curves.json"
    path.write_text(json.dumps(answers, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
