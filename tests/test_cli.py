"""The command line, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

LEHR = str(Path(sys.executable).parent / "lehr")


def run(*arguments, **kwargs):
    return subprocess.run([LEHR, *arguments], capture_output=True, text=True, check=False, **kwargs)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "new" / "folder"
    return out, run("demo", "--out", str(out))


def test_demo_finds_a_rate_trains_well_and_draws_three_pictures(demo):
    out, done = demo
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "digits: 1438 images to train on, 359 to validate"
    accuracy = float(
        next(line for line in lines if line.startswith("validation accuracy")).split()[-1]
    )
    assert accuracy >= 0.97
    assert str(out) in lines[-1]
    for name in ("lr_find.png", "schedule.png", "losses.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert (out / name).stat().st_size > 10_000


def test_demo_gives_the_same_result_each_run(demo, tmp_path):
    def figures(text):
        # All but the times.
        lines = [line for line in text.splitlines() if " written to " not in line]
        return [line.rsplit(maxsplit=1)[0] if ":" in line[-6:] else line for line in lines]

    again = run("demo", "--out", str(tmp_path))
    assert figures(again.stdout) == figures(demo[1].stdout)


def test_demo_options(tmp_path):
    done = run("demo", "--out", str(tmp_path), "--epochs", "1", "--lr", "0.01", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "1 epochs with peak rate 1.00e-02" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["demo", "--lr", "-1"], "Invalid value for '--lr'"),
        (["demo", "--nothing"], "No such option"),
        (["demo", "--lr", "nan"], "Invalid value for '--lr'"),
        (["demo", "--seed", "99999999999999999999"], "Invalid value for '--seed'"),
        (["nothing"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_folder_that_cannot_be_written_is_an_error_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("demo", "--out", str(tmp_path / "file" / "sub"))
    assert done.returncode == 1
    assert "file" in done.stderr
    assert "Traceback" not in done.stderr
    assert "lr_find" not in done.stdout


def test_help_and_version():
    import lehr

    assert "Examples:\n    lehr demo\n    lehr demo --epochs 4" in run("demo", "--help").stdout
    assert lehr.__version__ in run("--version").stdout
