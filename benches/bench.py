"""Print one table of ratios: `make bench`.

Every ratio is measured side by side: both sides in turn, many rounds, the minimum of each.
"""

import os
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import baselines
import lehr
import numpy as np
from lehr import _core

ROOT = Path(__file__).parent.parent
ROUNDS = 60


def minima(*calls, number, rounds=ROUNDS):
    """Return the least time of each call in seconds, the calls taking turns."""
    timers = [timeit.Timer(statement, globals=names) for statement, names in calls]
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, timer in enumerate(timers):
            best[i] = min(best[i], timer.timeit(number) / number)
    return best


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


def ns(ours, other):
    return f"{ours * 1e9:.0f} / {other * 1e9:.0f} ns"


def curve():
    schedule, steps = lehr.combined_cos(0.25, 0.5, 1, 0), 1_000_000
    expected = baselines.numpy_combined_cos(steps, 0.25, 0.5, 1, 0)
    assert np.allclose(schedule.values(steps), expected, rtol=1e-9)
    ours, numpy = minima(
        ("f.values(n)", {"f": schedule, "n": steps}),
        ("f(n, .25, .5, 1, 0)", {"f": baselines.numpy_combined_cos, "n": steps}),
        number=1,
    )
    figures = f"{ours * 1e3:.1f} / {numpy * 1e3:.1f} ms"
    yield "1e6-step combined_cos / numpy closed form", ours / numpy, 0.25, figures


def import_cost():
    # As installed: with byte code kept from the first import on.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    best = {"import lehr": float("inf"), baselines.PASS: float("inf")}
    for _ in range(40):
        for code, least in best.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            best[code] = min(least, time.perf_counter() - start)
    ours, floor = best.values()
    figures = f"{ours * 1e3:.1f} - {floor * 1e3:.1f} ms"
    yield "import lehr above `python -c pass`, ms", (ours - floor) * 1e3, 8, figures


def build_cost():
    """The wheel, built cold: into a target folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "CARGO_TARGET_DIR": f"{folder}/target"}
        command = [sys.executable, "-m", "maturin", "build", "--release", "--out", f"{folder}/dist"]
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        seconds = time.perf_counter() - start
        (wheel,) = Path(folder, "dist").glob("*.whl")
        size = wheel.stat().st_size
    yield "wheel size, MB", size / 1e6, 1, f"{size:,} bytes"
    yield "cold release build, s", seconds, 60, ""


def main():
    print(f"{'measure':<44} {'value':>7} {'goal':>7}       figures")
    for rows in (call_cost, curve, import_cost, build_cost):
        for name, value, goal, figures in rows():
            verdict = "ok" if value <= goal else "MISS"
            print(
                f"{name:<44} {value:>7.2f} {'<= ' + str(goal):>7} {verdict:<5} {figures}",
                flush=True,
            )


if __name__ == "__main__":
    main()
