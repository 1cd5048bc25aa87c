"""What rules that suggest a rate are worth: their regret on trainings that were really run.

`make bench-suggest` prints it. The data and the regret are explained in `data/README.md`.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import lehr
import numpy as np
import suggest_rules
from lehr.suggestion import METHODS

DATA = Path(__file__).parent / "data"
RESAMPLES = 10_000
# A combination's excess is its regret over that of its best single rate.
BAD, GOOD, FAIR = 0.3, 0.05, 0.3


class Data:
    """The sweeps of a file, and the regret of any rate.

    `worth` is the regret of each rate of the grid, (combinations, budgets, 2, rates).
    """

    def __init__(self, arrays):
        self.task, self.opt, self.budgets = arrays["task"], arrays["opt"], arrays["budgets"]
        self.sweeps = {
            100: (arrays["sweep_lr"], arrays["sweep_loss"].astype(float)),
            400: (arrays["long_lr"], arrays["long_loss"].astype(float)),
        }
        self.grid = np.log10(arrays["grid"])
        self.worth = worth(arrays["final_loss"], arrays["init_loss"])
        self.floor = np.nanmin(self.worth.mean((1, 2)), axis=-1)

    @classmethod
    def load(cls, name):
        """Read one of the files: "dev" or "own"."""
        with np.load(DATA / f"lr_bench_{name}.npz") as file:
            return cls(dict(file))

    def regret(self, lrs):
        """Return the regret of rates (combinations, sweeps, budgets), with a last axis of 2."""
        out = np.ones((*lrs.shape, 2))
        for c, grid in enumerate(self.grid):
            real = ~np.isnan(grid)
            for b in range(lrs.shape[2]):
                found = ~np.isnan(lrs[c, :, b])
                for part in range(2):
                    out[c, found, b, part] = np.interp(
                        np.log10(lrs[c, found, b]), grid[real], self.worth[c, b, part, real]
                    )
        return out

    def by_task(self, values):
        """Return the mean of each task, in the order of the names."""
        return np.array([values[self.task == task].mean() for task in np.unique(self.task)])


def worth(final, untrained):
    """Return regrets from losses after training, (combinations, budgets, seeds, rates, 2).

    No regret is over 1, and that of a training that diverged is 1.
    """
    final = np.moveaxis(final.astype(float).mean(2), -1, 2)
    start = untrained.astype(float).mean(1)[:, None, :, None]
    best = np.nanmin(final, axis=-1, keepdims=True)
    return np.nan_to_num(np.minimum((final - best) / (start - best), 1), nan=1.0)


class Rule(NamedTuple):
    """A rule: (lrs, losses, num_it, steps) to (rate, status or None).

    One that is `paced` is asked for each budget anew, others once and without `steps`.
    """

    name: str
    call: Callable[..., tuple[float, str | None]]
    paced: bool = False


def published(rule):
    return lambda lrs, losses, num_it, _: (rule(lrs, losses, num_it), None)


def sketch(lrs, losses, num_it, _, **constants):
    lr, snr = suggest_rules.sketch(lrs, losses, num_it, **constants)
    return lr, "none" if np.isnan(lr) else "weak" if snr < 5 else "ok"


# Where the finder that a named rule belongs to would have ended the sweep.
ENDS = {
    "lightning": functools.partial(suggest_rules.exponential, later=2),
    "torch_lr_finder": suggest_rules.twentieth,
    "ignite": suggest_rules.twentieth,
    **dict.fromkeys(["valley", "slide", "minimum", "steep"], suggest_rules.exponential),
}


def of_lehr(name, lrs, losses, num_it, steps):
    end = len(ENDS[name](losses)) if name in ENDS else len(losses)
    said = lehr.Sweep(lrs[:end], losses[:end], num_it=num_it).suggest(name, steps)
    return said.lr, said.status or None


PUBLISHED = [
    Rule(name, published(getattr(suggest_rules, name)))
    for name in (
        "lightning", "torch_lr_finder", "ignite", "steep", "slide", "valley", "minimum",
        "median_of_four",
    )
]  # fmt: skip
SKETCH = Rule("sketch", sketch)
MINIMUM = next(rule for rule in PUBLISHED if rule.name == "minimum")
# The sketch's constants and what else they might be; its exponent does nothing at one density.
GRID = {
    "bandwidth": [0.1, 0.15, 0.2],
    "cap_falls": [1.0, 3.0, 10.0],
    "cap_sigmas": [3.0, 5.0, 8.0],
    "done": [0.8, 0.9, 0.95],
    "rise": [0.25, 0.5, 1.0],
    "rise_sigmas": [4.0, 8.0, 12.0],
    "mix": [0.5, 2 / 3, 0.8],
    "reach": [1.5, 2.0, 2.5],
    "offset": [-0.75, -0.5, -0.25],
}


# The five of the robust rule that matter most, by default and what else they might be.
ROBUST = {
    "share": (0.9, [0.85]),
    "noise": (9.0, [8.0, 10.0]),
    "mix": (0.75, [0.7]),
    "offset": (0.42, [0.45, 0.5]),
    "gap": (0.9, [0.8, 1.0]),
}


def robust(lrs, losses, _, steps, **constants):
    said = lehr._core.robust(lrs, losses, steps, **constants)
    return said[0], said[3]


def rules_of_lehr():
    """Return the rules that `Sweep.suggest` knows by name; ours also told the training's length."""
    rules = [Rule(f"lehr {name}", functools.partial(of_lehr, name)) for name in METHODS]
    return [*rules, Rule("lehr robust, steps=", functools.partial(of_lehr, "robust"), paced=True)]


def suggestions(rule, data, num_it=100):
    """Return rates and statuses, both (combinations, sweeps, budgets)."""
    lrs, losses = data.sweeps[num_it]
    asked = data.budgets.tolist() if rule.paced else [None]
    with np.errstate(all="ignore"):
        said = [
            [[rule.call(lrs, curve, num_it, steps) for steps in asked] for curve in curves]
            for curves in losses
        ]
    shape = (*losses.shape[:2], len(data.budgets))
    rates = np.array([[[lr for lr, _ in a] for a in b] for b in said], dtype=float)
    status = np.array([[[word for _, word in a] for a in b] for b in said], dtype=object)
    return np.broadcast_to(rates, shape), np.broadcast_to(status, shape)


def constants_per_optimizer(data):
    """Return the rate of the grid that is best for each optimizer, as if every sweep said so."""
    rates = np.empty((len(data.task), 1, len(data.budgets)))
    for opt in np.unique(data.opt):
        rows = data.opt == opt
        grid = functools.reduce(np.intersect1d, [g[~np.isnan(g)].round(9) for g in data.grid[rows]])
        tried = [np.full(rates.shape, 10.0**g) for g in grid]
        rates[rows] = 10.0 ** grid[np.argmin([data.regret(t)[rows].mean() for t in tried])]
    return rates


def scores(data, rates):
    """Return the regret of each combination."""
    return data.regret(rates).mean((1, 2, 3))


def bootstrap(differences, resamples=RESAMPLES, seed=0):
    """Return the 95 % interval of the mean of differences by task, tasks drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(0, len(differences), (resamples, len(differences)))
    return np.quantile(differences[drawn].mean(1), [0.025, 0.975])


def leave_one_task_out(
    call, data, grid: Mapping[str, list], start: Mapping, *, also=(), paced=False, rounds=2
):
    """Return rates as `suggestions` does, those of each task by constants the others chose.

    `call` takes constants as keywords. For every task, each constant in turn takes the value of
    `grid` that gives the other tasks of `data`, and all tasks of the data in `also`, the least
    mean regret, beginning at `start`, in `rounds` passes.
    """

    @functools.cache
    def rated(*values):
        rule = Rule("", functools.partial(call, **dict(zip(start, values, strict=True))), paced)
        rates = suggestions(rule, data)[0]
        others = [scores(d, suggestions(rule, d)[0]) for d in also]
        extra = [d.by_task(s) for d, s in zip(also, others, strict=True)]
        return rates, data.by_task(scores(data, rates)), np.concatenate([[], *extra])

    def cost(constants, left):
        _, own, others = rated(*constants.values())
        return np.concatenate([np.delete(own, left), others]).mean()

    out = None
    for left, task in enumerate(np.unique(data.task)):
        constants = dict(start)
        for _ in range(rounds):
            for name, values in grid.items():
                tried = [
                    constants | {name: value}
                    for value in {constants[name]: 0} | dict.fromkeys(values)
                ]
                constants = min(tried, key=lambda c: cost(c, left))
        rates = rated(*constants.values())[0]
        out = np.array(rates) if out is None else out
        out[data.task == task] = rates[data.task == task]
    return out


def caught(data, rates, status):
    """Return the shares flagged: of excess regret where it is bad, of good, of fair suggestions."""
    excess = data.regret(rates).mean((2, 3)) - data.floor[:, None]
    flagged = np.isin(status, ["weak", "none"]).any(-1)
    bad, good, fair = excess > BAD, excess <= GOOD, excess <= FAIR
    weight = excess[bad].sum()
    share = excess[bad & flagged].sum() / weight if weight else np.nan
    return share, flagged[good].mean(), flagged[fair].mean()


def agreement(rule, data):
    """Return the median |log10 ratio| of a task's suggestions from 400 and from 100 points."""
    short, long = (np.log10(suggestions(rule, data, n)[0][..., 0]) for n in (100, 400))
    return np.nanmedian(np.abs(long[:, :, None] - short[:, None, :]))


# --- tables ---------------------------------------------------------------------------------


def row(name, data, rates, rivals):
    """Print a rule's figures, and the intervals of its mean regret less that of each rival."""
    regret = data.regret(rates)
    each = regret.mean((1, 2, 3))
    best = np.take_along_axis(
        np.broadcast_to(data.grid[:, None, None], data.worth.shape),
        data.worth.argmin(-1)[..., None], -1,
    ).mean((1, 2, 3))  # fmt: skip
    bias = np.nanmean(np.log10(rates) - best[:, None, None])
    text = (
        f"{name:<22}{np.median(each):7.3f}{each.mean():7.3f}{np.quantile(each, 0.9):7.3f}"
        f"{each.max():7.3f}{(each < 0.05).mean():7.0%}{bias:+7.2f}{(regret >= 1).mean():7.1%}"
    )
    for rival in rivals:
        low, high = bootstrap(data.by_task(each - rival))
        text += f"   {low:+.3f}..{high:+.3f}"
    print(text, flush=True)


def table(title, data, rules, num_it=100, extra=()):
    """Print a row for each rule, and for the named rates in `extra`."""
    print(f"\n{title}")
    print(
        f"{'rule':<22}{'median':>7}{'mean':>7}{'p90':>7}{'worst':>7}{'<5 %':>7}{'bias':>7}"
        f"{'lost':>7}   {'less the sketch':<17}{'less minimum':<14}"
    )
    made = {rule.name: suggestions(rule, data, num_it)[0] for rule in rules}
    rivals = [scores(data, made[name]) for name in ("sketch", "minimum")]
    for name, rates in [("best constant", constants_per_optimizer(data)), *made.items(), *extra]:
        row(name, data, rates, rivals)


def goal(name, value, limit, most=True):
    met = value <= limit if most else value >= limit
    print(f"{name:<62}{value:8.3f}  {'<=' if most else '>='} {limit:<6}{'ok' if met else 'MISS'}")


def goals(dev, own, rule, left_out):
    """Print the goals of a rule, of which `left_out` are the rates chosen without each task."""
    each = scores(dev, left_out)
    minimum = scores(dev, suggestions(MINIMUM, dev)[0])
    print(f"\ngoals, {rule.name}")
    goal("mean regret, leave one task out", each.mean(), 0.060)
    goal("median regret, leave one task out", np.median(each), 0.025)
    goal("less minimum, the interval's end", bootstrap(dev.by_task(each - minimum))[1], 0.0)
    for name, data in ("dev", dev), ("own", own):
        goal(f"400 and 100 points, median |log10 ratio|, {name}", agreement(rule, data), 0.2)
        bad, good, fair = caught(data, *suggestions(rule, data))
        goal(f"excess regret over {BAD} that is flagged, {name}", bad, 0.8, most=False)
        goal(f"good suggestions (excess <= {GOOD}) flagged, {name}", good, 0.1)
        print(f"{f'those of an excess <= {FAIR} flagged, {name}':<62}{fair:8.3f}")


def main():
    dev, own = Data.load("dev"), Data.load("own")
    ours = rules_of_lehr()
    rules = [*PUBLISHED, SKETCH, *ours]
    start = {name: suggest_rules.CONSTANTS[name] for name in GRID}
    sketch_left_out = leave_one_task_out(sketch, dev, GRID, start)
    start = {name: value for name, (value, _) in ROBUST.items()}
    grid = {name: values for name, (_, values) in ROBUST.items()}
    left_out = leave_one_task_out(robust, dev, grid, start)
    own_left_out = leave_one_task_out(robust, own, grid, start, also=[dev])
    both_left_out = leave_one_task_out(robust, dev, grid, start, also=[own])
    extra = [
        ("sketch, task left out", sketch_left_out),
        ("robust, task left out", left_out),
        ("same, with own tasks", both_left_out),
    ]
    table("dev, sweeps of 100", dev, rules, extra=extra)
    table("dev, sweeps of 400", dev, rules, 400)
    table("own, sweeps of 100", own, rules, extra=[("robust, task left out", own_left_out)])
    table("own, sweeps of 400", own, rules, 400)
    goals(dev, own, Rule("robust", robust), left_out)


if __name__ == "__main__":
    main()
