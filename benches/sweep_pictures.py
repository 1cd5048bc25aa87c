"""Draw the pictures of `docs/reading-a-sweep.md` from sweeps of real trainings."""

from pathlib import Path

import lehr
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
ROOT = Path(__file__).parent
OUT = ROOT.parent / "docs/pictures"
# Name of the picture: file, task, optimizer, seed, and whether only its first part.
PICTURES = {
    "ok": ("dev", "digits_mlp", "sgd", 0, 100),
    "weak-noise": ("dev", "s_charmlp_ft", "adam", 0, 100),
    "weak-early": ("dev", "digits_mlp", "sgd", 0, 82),
    "none": ("own", "moons_milli", "sgd", 3, 100),
}


def main():
    OUT.mkdir(exist_ok=True)
    for name, (file, task, opt, seed, end) in PICTURES.items():
        with np.load(ROOT / f"data/lr_bench_{file}.npz") as data:
            (row,) = np.nonzero((data["task"] == task) & (data["opt"] == opt))[0]
            losses = data["sweep_loss"][row, seed].astype(float)[:end]
            sweep = lehr.Sweep(data["sweep_lr"][:end], losses, stop="finished")
        figure = sweep.plot("robust")
        figure.savefig(OUT / f"sweep-{name}.png", dpi=150)
        said = sweep.suggest()
        print(f"{name}: {said.status}, {said.lr:.2g}, {said.reason}")


if __name__ == "__main__":
    main()
