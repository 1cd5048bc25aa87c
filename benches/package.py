"""What the package costs to import, to build and to keep."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import baselines

ROOT = Path(__file__).parent.parent


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


def rows():
    yield from import_cost()
    yield from build_cost()
