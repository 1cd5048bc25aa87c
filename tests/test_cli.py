"""The command line, as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import lehr
import pytest
from lehr.commands.plot import read_schedule

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SchedExp(1e-2, 1e-5)", lehr.SchedExp(1e-2, 1e-5)),
        (" combined_cos(.25, 1e-3 / 25, +1e-3, end=-1e-8)",
         lehr.combined_cos(0.25, 4e-5, 1e-3, -1e-8)),
        ("combine_scheds([1/4, 3/4], (SchedLin(0, [1, 2]), SchedNo([1, 2], 2)))",
         lehr.combine_scheds([0.25, 0.75], [lehr.SchedLin(0, [1, 2]), lehr.SchedNo([1, 2], 2)])),
        (lehr.SchedPoly(1, 0, 2).to_json(), lehr.SchedPoly(1, 0, 2)),
    ],
)  # fmt: skip
def test_a_schedule_is_read_from_its_call_or_its_json(text, expected):
    assert read_schedule(text) == expected


@pytest.mark.parametrize("name", ["schedule.png", "new/decay.svg"])
def test_plot_draws_a_schedule_to_a_file(tmp_path, name):
    done = run("plot", "combined_cos(0.25, 4e-5, 1e-3, 1e-8)", "--log", "--out", tmp_path / name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / name} written\n"
    begin = {".png": b"\x89PNG", ".svg": b"<?xml"}[Path(name).suffix]
    assert (tmp_path / name).read_bytes().startswith(begin)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').getcwd()", "is not understood"),
        ("SchedCos(0, 1).to_json()", "is not understood"),
        ("SchedCos(*[0, 1])", "is not understood"),
        ("SchedCos(**{})", "is not understood"),
        ("SchedCos(True, 1)", "`True` is not understood"),
        ("9 ** 9", "`9 ** 9` is not understood"),
        ("SchedCos(1)", "missing 1 required positional argument: 'end'"),
        ("SchedCos(0, nan)", "`nan` is not understood"),
        ("SchedCos(0, 1 / 0)", "division by zero"),
        ("SchedCos([1] - 1, 1)", "arithmetic is between numbers"),
        ("SchedExp(0, 1)", "`start`"),
        ("1", "it is 1, not a schedule"),
        ("SchedCos(0, 1", "it is no expression"),
        ("", "it is no expression"),
        ('{"version": 1}', "must be the JSON of a schedule"),
        (f"{'(' * 500}1{')' * 500}", "it is no expression"),
    ],
)
def test_what_is_no_schedule_is_refused_and_nothing_of_it_is_run(text, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        read_schedule(text)


def test_wrong_plots_exit_with_2_and_write_nothing(tmp_path):
    for arguments, message in (
        (["SchedCos(0)"], "Invalid value for 'SCHEDULE': "),
        (["SchedCos(0, 1)", "--log"], "Invalid value for '--log': the schedule has values of 0"),
        (["SchedCos(0, 1)", "--out", "x.abc"], "Invalid value for '--out': the suffix of 'x.abc'"),
    ):
        done = run("plot", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_help_and_version():
    assert "Examples:\n    lehr demo\n    lehr demo --epochs 4" in run("demo", "--help").stdout
    assert lehr.__version__ in run("--version").stdout


def test_plot_reads_presets_operations_and_the_name_of_the_package():
    from lehr.commands.plot import read_schedule

    text = (
        "(0.5 * lehr.warmup(sgdr(1e-3, cycles=3, decay=0.5), 0.1)).clip(low=1e-5) + SchedNo(1, 1)"
    )
    assert read_schedule(text) == eval(text, vars(lehr) | {"lehr": lehr})
    assert read_schedule("SchedCos(1, 0).repeat(2, stretch=3)") == lehr.SchedCos(1, 0).repeat(2, 3)
    for wrong, message in (
        ("flat_cos(1, flat='10 steps')", "needs to know the run"),
        ("SchedCos(1, 0).to_json()", "is not understood"),
        ("SchedCos(1, 0) - SchedCos(1, 0)", "schedules are added and multiplied"),
        ("os.system('x')", "is not understood"),
        ("'x'.join(['y'])", "is not understood"),
    ):
        with pytest.raises(ValueError, match=message):
            read_schedule(wrong)
