"""Feed mutated files to every reader of `lehr.logs`, and mutated JSON to both `from_json`.

    python tests/fuzz.py --seconds 60 --seed 1
    python tests/fuzz.py --repeat fuzz-failures/json-1-57.json

A trial is made of the seed, the name of its target and its number alone, so that it can be made
again. It runs in a process of its own, which a crash or a hang ends without ending the rest.
"""

import argparse
import base64
import itertools
import json
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import lehr
import lehr.logs
import numpy as np
from mutations import frames, mutate, table, truncate

LOGS = Path(__file__).parent / "data" / "logs"
# Files that are one log together, and so are mutated together.
_TOGETHER = ("mlflow/mlruns", "tensorboard/exports", "wandb/hand_made/two_charts")
# What may be cut off between two lines, or records, without anyone being able to tell.
_BY_LINE = (".csv", ".tsv", ".log", ".jsonl", ".ndjson", ".yaml")
_MEMORY = 4 << 30
_PEAK = 1 << 30
_HANG = 20
_MOST_FAILURES = 10


class PropertyError(AssertionError):
    """A property that does not hold."""


def want(holds, message):
    """Raise unless it holds."""
    if not holds:
        raise PropertyError(message)


@cache
def seeds():
    """Return what trials start from: by target and by name, contents by file."""
    # Tables of columns are made anew for each trial.
    found = {"schedule": _schedules(), "sweep": _sweeps(), "columnar": {"made": {"a.parquet": b""}}}
    for path in sorted(LOGS.rglob("*")):
        inner = path.relative_to(LOGS)
        if not path.is_file() or path.name.startswith(".") or len(inner.parts) < 2:
            continue
        unit = next((one for one in _TOGETHER if inner.as_posix().startswith(one)), None)
        if inner.parts[0] == "tensorboard" and unit is None:
            unit = inner.parent.as_posix()
        unit = unit or inner.as_posix()
        base = LOGS / unit if (LOGS / unit).is_dir() else path.parent
        files = found.setdefault(inner.parts[0], {}).setdefault(unit, {})
        files[path.relative_to(base).as_posix()] = path.read_bytes()
    return found


def _schedules():
    lin, exp = lehr.SchedLin(0, 1), lehr.SchedExp(1e-7, 10)
    deep = lehr.SchedPoly(2, 1e-2, 2.7)
    for _ in range(64):
        deep = lehr.combine_scheds([0.5, 0.5], [deep, lehr.SchedNo(1, 1)])
    kinds = {
        "lin": lin,
        "exp": exp,
        "poly": lehr.SchedPoly(2, 1e-2, 0.5),
        "no": lehr.SchedNo(-3, 4),
        "groups": lehr.SchedCos([1.0, 2.0], [0, 1e-300]),
        "combined": lehr.combine_scheds([0.3, 0.2, 0.5], [lin, exp, lehr.SchedCos(1, 0)]),
        "one_cycle": lehr.combined_cos(0.25, [4e-5, 1.0], [1e-3, 2.0], 1e-8),
        "deep": deep,
        "cyclic": lehr.cyclic(0.1, [1, 2], cycles=2.5, mode="exp_range", gamma=0.5),
        "made": lehr.SchedInverseSqrt(1, 0.1).warp(1.5).reverse().clip(high=[0.5, 1]) + 0.1,
        "tanh": lehr.SchedTanh(1, 0, -3, 2).repeat(3, 2.0).clip(0.1, 0.9).part(0.1, 0.7),
    }
    return {name: {"text": kind.to_json().encode()} for name, kind in kinds.items()}


def _sweeps():
    lrs = np.geomspace(1e-5, 1, 30)
    losses = 2 + (np.log10(lrs) + 2) ** 2 / 4
    settings = {"batch": 32, "names": ("a", ("b", None)), "flag": True, "beta": 0.98}
    plain = lehr.Sweep(lrs, losses, num_it=100, stop="diverged", settings=settings)
    odd = lehr.Sweep(lrs[:5], [1, float("nan"), float("inf"), -float("inf"), 5e-324])
    asked = plain.with_suggestions({"valley": plain.suggest("valley")})
    kinds = {
        "empty": lehr.Sweep([], []),
        "odd": odd,
        "asked": asked,
        "pooled": lehr.Sweep.pool([plain, lehr.Sweep(lrs, losses[::-1].copy())]),
    }
    return {name: {"text": kind.to_json().encode()} for name, kind in kinds.items()}


def made(target, seed, number):
    """Return a trial: what to feed to the target."""
    rng = random.Random(f"{seed}/{target}/{number}")
    units = seeds()[target]
    unit = rng.choice(sorted(units))
    files = dict(units[unit])
    name = rng.choice(sorted(files))
    case = {"target": target, "files": files, "format": None, "whole": None}
    if target == "columnar":
        name, content = table(rng)
        case["files"] = {name: content if rng.random() < 0.7 else mutate(rng, content, b"")}
        return case
    if rng.random() < 0.15:
        files[name] = truncate(rng, files[name], b"")
        case["whole"] = unit
        return case
    other = seeds()[target if rng.random() < 0.5 else rng.choice(sorted(seeds()))]
    other = rng.choice(list(rng.choice(list(other.values())).values()))
    files[name] = mutate(rng, files[name], other)
    if rng.random() < 0.3:
        case["format"] = rng.choice(lehr.logs.FORMATS)
    return case


def check(case, folder):
    """Run a trial in an empty folder.

    Raises:
        Exception: What must not happen.
    """
    if case["target"] == "schedule":
        _check_schedule(case["files"]["text"])
    elif case["target"] == "sweep":
        _check_sweep(case["files"]["text"])
    else:
        _check_logs(case, folder)


def _check_schedule(text):
    try:
        schedule = lehr.Schedule.from_json(text.decode(errors="surrogateescape"))
    except ValueError:
        return
    again = lehr.Schedule.from_json(schedule.to_json())
    want(again == schedule, f"{again!r} is not {schedule!r}")
    for at in (0, 0.5, 1):
        try:
            value = schedule(at)
        except ValueError as error:
            # A sum or product of such schedules that overflows.
            want("no finite value" in str(error), f"{schedule!r} at {at}: {error}")
            continue
        want(np.isfinite(value).all(), f"{schedule!r} is {value} at {at}")


def _check_sweep(text):
    try:
        sweep = lehr.Sweep.from_json(text)
    except ValueError:
        return
    want(lehr.Sweep.from_json(sweep.to_json()) == sweep, f"{sweep!r} comes back as another")
    want(len(sweep.smoothed) == len(sweep), f"{sweep!r} is smoothed to another length")


def _check_logs(case, folder):
    curves, report = _read(case["files"], case["format"], folder)
    want(report.done == report.total, f"{report!r} is not done")
    want(report.read == len(curves), f"{report!r}, but there are {len(curves)} curves")
    want(bool(report.files) == bool(curves), f"the files are {report.files}")
    want(report.total != 1 or curves or report.skipped, "nothing is read, nor told")
    for place, reason in report.skipped:
        want(place.startswith(str(folder)) and reason, f"{place!r}: {reason!r}")
    want(str(report), "the report is empty")
    points, size = sum(map(len, curves)), sum(map(len, case["files"].values()))
    want(points <= 100_000 + 1000 * size, f"{points} points are read of {size} bytes")
    if case["whole"]:
        _check_cut(case, curves, report, folder)


def _read(files, forced, folder):
    """Return the curves in some files, as arrays of pairs, and the report."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        logs = lehr.logs.read(folder, format=forced)
        batches = list(logs)
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    curves = []
    for batch in batches:
        batch.validate(full=True)
        want(batch.schema == logs.schema, f"the schema is {batch.schema}")
        want(len(batch), "a batch is empty")
        for name in ("curve_id", "source", "format", "lr", "loss", "metadata"):
            want(not batch[name].null_count, f"{name} is null")
        for lr, loss in zip(batch["lr"], batch["loss"], strict=True):
            pair = [one.values.to_numpy(zero_copy_only=False) for one in (lr, loss)]
            want(len(pair[0]) == len(pair[1]), f"lengths are {len(pair[0])}, {len(pair[1])}")
            want(not (lr.values.null_count or loss.values.null_count), "a number is null")
            want(np.isfinite(pair[0]).all(), f"a rate is {pair[0]}")
            curves.append(np.stack(pair, axis=1))
    return curves, logs.report


@cache
def _whole(target, unit, folder, without=None):
    files = seeds()[target][unit]
    return _read({name: files[name] for name in files if name != without}, None, folder)


def _check_cut(case, curves, report, folder):
    files = seeds()[case["target"]][case["whole"]]
    wanted, told = _whole(case["target"], case["whole"], folder)
    for name in files:
        # Of a run that was started anew the log before it is whole, where the new one has nothing.
        if case["target"] == "tensorboard" and case["files"][name] != files[name]:
            wanted = wanted + _whole(case["target"], case["whole"], folder, name)[0]
    # Of lines in no order, and of the first of several files, any points can be missing.
    begins = _is_among if len(files) > 1 or "shuffled" in case["whole"] else _is_prefix
    for curve in curves:
        is_whole = any(begins(curve, one) for one in wanted)
        want(is_whole, f"no whole curve begins as one of {len(curve)} points")
    if report.skipped or told.skipped or _bits(curves) == _bits(wanted):
        return
    for name, content in case["files"].items():
        is_cut = content != files[name] and _can_be_told(name, files[name], len(content))
        want(not is_cut, f"{name}, cut at {len(content)}, is not told")


def _bits(curves):
    return sorted(curve.tobytes() for curve in curves)


def _is_prefix(curve, whole):
    return curve.tobytes() == whole[: len(curve)].tobytes()


def _is_among(curve, whole):
    # Lines in no order: what is left are some of its points, in the order of steps.
    rest = iter([point.tobytes() for point in whole])
    return all(point.tobytes() in rest for point in curve)


def _can_be_told(name, data, size):
    """Return whether a file cut there could be told from a whole one."""
    if b"brain.Event:" in data[:64]:
        return size not in {stop for _, stop in frames(data)}
    if name.endswith(_BY_LINE) or "/metrics/" in name:
        encoding = "utf-16" if data[:2] == b"\xff\xfe" else "utf-8"
        before = data[:size].decode(encoding, errors="ignore")
        return not (
            before in {"", "\ufeff"} or before[-1] == "\n" or data[size : size + 1] == b"\n"
        )
    return not any(part in name for part in ("/params/", "/tags/"))


def written(case):
    """Return a trial as JSON."""
    files = {}
    for name, content in case["files"].items():
        try:
            files[name] = {"text": content.decode()}
        except UnicodeDecodeError:
            files[name] = {"base64": base64.b64encode(content).decode()}
    return json.dumps(case | {"files": files}, indent=1) + "\n"


def from_file(path):
    """Return the trial in a file."""
    case = json.loads(Path(path).read_text(encoding="utf-8"))
    for name, content in case["files"].items():
        text = content.get("text")
        case["files"][name] = base64.b64decode(content["base64"]) if text is None else text.encode()
    return case


def work(folder):
    """Run the trials named on standard input, a line each, and answer what went wrong, if so."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("error")
    for line in sys.stdin:
        asked = json.loads(line)
        case = from_file(asked) if isinstance(asked, str) else made(*asked)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrong = None
        try:
            check(case, folder)
        except BaseException:
            wrong = traceback.format_exc()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if wrong is None and grown > _PEAK:
            wrong = f"takes {grown >> 20} MiB"
        print(json.dumps(wrong), flush=True)


class Worker:
    """A process that runs trials, started again when it dies or hangs."""

    def __init__(self):
        self._process = None
        self._folder = None

    def run(self, asked):
        """Run a trial, by what makes it or by its file; return what went wrong, or `None`."""
        if self._process is None:
            self._folder = Path(tempfile.mkdtemp(prefix="lehr-fuzz-"))
            trials = self._folder / "trials"
            trials.mkdir()
            with (self._folder / "errors").open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, "--work", trials],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            self._ask(["schedule", 0, 0], 120)  # Importing is no hang.
        return self._ask(asked, _HANG)

    def _ask(self, asked, seconds):
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], seconds)[0]
        if ready and (line := self._process.stdout.readline()):
            return json.loads(line)
        code, said = self.stop()
        return f"ends its process with {code}: {said}" if ready else f"takes over {seconds} s"

    def stop(self):
        """End the process; return its exit code and what it said last."""
        if self._process is None:
            return 0, ""
        self._process.stdin.close()
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process.stdout.close()
        said = (self._folder / "errors").read_text(errors="replace")[-2000:]
        shutil.rmtree(self._folder)
        self._process = None
        return code, said


class Run:
    """A bounded number of seconds of trials, of all targets in turn."""

    def __init__(self, seed, seconds, targets, save):
        self._seed = seed
        self._end = time.monotonic() + seconds
        self._trials = ((target, n) for n in itertools.count() for target in targets)
        self._save = Path(save)
        self._lock = threading.Lock()
        self.done = Counter(dict.fromkeys(targets, 0))
        self.failures = 0

    def work(self):
        """Run trials until the time is over, or too much went wrong."""
        worker = Worker()
        while time.monotonic() < self._end and self.failures < _MOST_FAILURES:
            with self._lock:
                target, number = next(self._trials)
            wrong = worker.run([target, self._seed, number])
            with self._lock:
                self.done[target] += 1
                if wrong is not None:
                    self._tell(target, number, wrong)
        worker.stop()

    def _tell(self, target, number, wrong):
        self.failures += 1
        self._save.mkdir(parents=True, exist_ok=True)
        path = self._save / f"{target}-{self._seed}-{number}.json"
        path.write_text(written(made(target, self._seed, number)), encoding="utf-8")
        print(f"\n{target} {number}: {wrong.strip()}")
        print(f"repeat it with: {sys.executable} {__file__} --repeat {path}", flush=True)


def main():
    """Run trials, or repeat one; exit with 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="of all trials (default: the clock)")
    parser.add_argument("--target", action="append", choices=sorted(seeds()), help="only these")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--save", default="fuzz-failures", help="the folder of what fails")
    parser.add_argument("--repeat", metavar="FILE", nargs="+", help="run saved trials alone")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        return work(Path(asked.work))
    if asked.repeat:
        return sys.exit(_repeat(asked.repeat))
    seed = int(time.time()) if asked.seed is None else asked.seed
    run = Run(seed, asked.seconds, asked.target or sorted(seeds()), asked.save)
    print(f"seed {seed}, {asked.seconds:g} s", flush=True)
    threads = [threading.Thread(target=run.work) for _ in range(asked.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for target, count in run.done.items():
        print(f"  {target:<16} {count:>8,} trials")
    found = f"{run.failures} failures" if run.failures else "no failure"
    print(f"fuzz: {run.done.total():,} trials with seed {seed}, {found}")
    return sys.exit(bool(run.failures))


def _repeat(paths):
    worker, failures = Worker(), 0
    for path in paths:
        wrong = worker.run(str(path))
        failures += wrong is not None
        print(f"{path}: {'no failure' if wrong is None else wrong.strip()}")
    worker.stop()
    return bool(failures)


if __name__ == "__main__":
    main()
