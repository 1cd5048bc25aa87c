"""What suggestions for a lake of curves cost, over merely reading it: `make bench-logs`."""

import itertools
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import suggest_rules
from lehr import suggest_batch, suggest_batches
from timing import mb, ms, us

HERE = Path(__file__).parent
FILE = HERE / "results" / "curves.parquet"
CURVES, POINTS, GROUP = 200_000, 100, 20_000
FOUR = ("valley", "slide", "minimum", "steep")
FIVE = ("robust", *FOUR)


def make():
    """Write real sweeps, each scaled and with rates of its own, as often as it takes."""
    with np.load(HERE / "data" / "lr_bench_dev.npz") as file:
        lrs, losses = file["sweep_lr"], file["sweep_loss"].reshape(-1, POINTS).astype(float)
    random = np.random.default_rng(0)
    # What explodes is cut off, so that no scale makes it infinite.
    losses = np.minimum(losses[random.integers(0, len(losses), CURVES)], 1e6)
    losses *= random.uniform(0.5, 2, (CURVES, 1))
    rates = lrs * random.uniform(0.5, 2, (CURVES, 1))
    offsets = pa.array(np.arange(0, CURVES * POINTS + 1, POINTS, dtype=np.int32))
    lists = [pa.ListArray.from_arrays(offsets, one.ravel()) for one in (rates, losses)]
    FILE.parent.mkdir(exist_ok=True)
    pq.write_table(
        pa.table(lists, names=["lr", "loss"]), FILE,
        compression="none", use_dictionary=False, row_group_size=GROUP,
    )  # fmt: skip


def batches(path=FILE):
    # Mapped or buffered ahead, all that was read of the file stays in memory.
    return pq.ParquetFile(path, pre_buffer=False).iter_batches(GROUP)


def drain(methods, threads=None):
    for _ in suggest_batches(batches(), methods, threads=threads):
        pass


def medians(*calls, rounds=11):
    """Return the median time of each, the calls taking turns."""
    times = [[] for _ in calls]
    for _ in range(rounds):
        for one, call in zip(times, calls, strict=True):
            start = time.perf_counter()
            call()
            one.append(time.perf_counter() - start)
    return [float(np.median(one)) for one in times]


def over_reading():
    read, four, five = medians(
        lambda: pq.read_table(FILE), lambda: drain(FOUR), lambda: drain(FIVE)
    )
    yield "file to the page's four rules / reading it", four / read, 2.5, ms(four, read)
    yield "file to these and robust / reading it", five / read, 5, ms(five, read)


def memory():
    """The most memory of a process that streams the file, and one of ten times the size."""
    with tempfile.TemporaryDirectory(dir=FILE.parent) as folder:
        large = Path(folder) / "large.parquet"
        schema = pq.read_schema(FILE)
        with pq.ParquetWriter(large, schema, compression="none", use_dictionary=False) as writer:
            for batch in itertools.chain.from_iterable(batches() for _ in range(10)):
                writer.write_batch(batch, row_group_size=GROUP)
        once, ten = (
            int(subprocess.check_output([sys.executable, __file__, path], text=True))
            for path in (FILE, large)
        )
    yield "peak memory of 2M curves / of 200k", ten / once, 1.1, mb(ten, once)


def stream(path):
    for _ in suggest_batches(batches(path), FIVE):
        pass
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024)


def a_curve():
    """Each rule alone, and the same in numpy, on one thread."""
    table = pq.read_table(FILE)
    few = table.slice(0, 200)
    lrs, losses = few["lr"].to_pylist(), few["loss"].to_pylist()
    curves = [(np.array(x), np.array(y)) for x, y in zip(lrs, losses, strict=True)]
    for name in FIVE:
        rule = getattr(suggest_rules, "sketch" if name == "robust" else name)

        def in_numpy(rule=rule):
            with np.errstate(all="ignore"):
                for x, y in curves:
                    rule(x, y, POINTS)

        ours, theirs = medians(
            lambda name=name: suggest_batch(table, name, threads=1), in_numpy, rounds=5
        )
        ours, theirs = ours / CURVES, theirs / len(curves)
        of = "the sketch of it in numpy" if name == "robust" else "numpy"
        yield f"{name}, a curve / {of}", ours / theirs, None, us(ours, theirs)
    one, two = medians(
        lambda: suggest_batch(table, FIVE, threads=1),
        lambda: suggest_batch(table, FIVE, threads=2),
        rounds=5,
    )
    yield "five rules on 2 threads / on 1", two / one, None, ms(two, one)


def long():
    """20 million points of the same curves, a row each."""
    table = pq.read_table(FILE).combine_chunks()
    lists = [table[name].chunk(0).values for name in ("lr", "loss")]
    run = np.repeat(np.arange(CURVES, dtype=np.int64), POINTS)
    step = np.tile(np.arange(POINTS, dtype=np.int64), CURVES)
    rows = pa.table([run, step, *lists], names=["run", "step", "lr", "loss"])
    shuffled = rows.take(np.random.default_rng(0).permutation(len(run)))
    asked = [lambda data=data: suggest_batch(data, FOUR) for data in (table, rows, shuffled)]
    lake, sorted_, mixed = medians(*asked, rounds=3)
    yield "20M rows, sorted / the same as lists", sorted_ / lake, None, ms(sorted_, lake)
    yield "20M rows, shuffled / the same as lists", mixed / lake, None, ms(mixed, lake)


def rows():
    if not FILE.exists():
        make()
    for part in (over_reading, memory, a_curve, long):
        yield from part()


if __name__ == "__main__":
    stream(sys.argv[1])
