"""The sdist and the wheel, installed as a stranger would, run the README's example."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]

# Building and installing takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


def run(*command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build both with `make wheel`, in a copy of what git knows."""
    copy = tmp_path_factory.mktemp("source") / "lehr"
    files = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, files):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    venv = Path(sys.prefix)
    # The tools of this environment, and the compiled dependencies of this checkout.
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target")}
    run(
        "make",
        "wheel",
        f"VENV={venv}",
        "-o",
        f"{venv}/.installed-dev",
        cwd=copy,
        env=environment,
    )
    return copy / "dist"


def clean_python(folder):
    run(sys.executable, "-m", "venv", str(folder))
    return str(folder / "bin" / "python")


def test_wheel_runs_the_readme_s_example_without_a_rust_toolchain(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    assert "cp311-abi3" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("lehr/py.typed", "lehr/_core.pyi", "lehr/_core.abi3.so"):
        assert name in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test_" in name or "__pycache__" in name]
    python = clean_python(tmp_path / "env")
    path = os.pathsep.join(
        p for p in os.environ["PATH"].split(os.pathsep) if not Path(p, "cargo").exists()
    )
    environment = {**os.environ, "PATH": path}
    assert shutil.which("cargo", path=path) is None
    run(python, "-m", "pip", "install", "--quiet", str(wheel), env=environment)
    out = run(python, "-W", "error", "-c", EXAMPLE, cwd=tmp_path, env=environment)
    assert out.startswith("combine_scheds([0.25, 0.75]")
    shown = run(python, "-m", "pip", "list", "--format=freeze", env=environment)
    assert {line.split("==")[0] for line in shown.splitlines()} <= {
        "lehr",
        "numpy",
        "pip",
        "setuptools",
    }


def test_sdist_builds_and_runs_the_readme_s_example(dist, tmp_path):
    (sdist,) = dist.glob("*.tar.gz")
    python = clean_python(tmp_path / "env")
    run(python, "-m", "pip", "install", "--quiet", str(sdist))
    out = run(python, "-W", "error", "-c", EXAMPLE, cwd=tmp_path)
    assert out.startswith("combine_scheds([0.25, 0.75]")


def test_make_names_every_target_in_its_help():
    out = run("make", "--no-print-directory", "help", cwd=ROOT)
    wanted = {"help", "dev", "demo", "test", "test-peers", "lint", "fmt"}
    wanted |= {"stubs", "bench", "bench-reference", "bench-suggest", "bench-suggest-data"}
    wanted |= {"wheel", "docs", "ci", "clean", "bench-logs", "fuzz", "gallery"}
    assert {line.split()[0] for line in out.splitlines()} == wanted


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("cargo", "lehr needs a Rust toolchain: install it with"),
        ("python", "lehr needs Python 3.11 or later: install it from"),
    ],
)
def test_a_missing_tool_gives_one_line_that_says_how_to_get_it(missing, message, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "bash", "make", "find", "grep", "awk", "python3", "cargo"):
        found = shutil.which(name)
        if found and not (name == "cargo" and missing == "cargo"):
            (tools / name).symlink_to(found)
    python = "no-such-python" if missing == "python" else sys.executable
    done = subprocess.run(
        [str(tools / "make"), "check-tools", f"PYTHON={python}"],
        cwd=ROOT,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert [line for line in done.stdout.splitlines() if "lehr needs" in line] == [
        done.stdout.strip()
    ]
    assert done.stdout.startswith(message)
