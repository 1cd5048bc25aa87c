"""Rates and losses of the same step, averages undone before, and no point lost untold.

The raw losses are made here, and averaged by the formulas of the tools, written out.
"""

import json

import lehr.logs
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

N = 100
LRS = np.geomspace(1e-6, 1, N)
RAW = 2 + np.sin(np.arange(N)) + np.random.default_rng(1).normal(0, 0.1, N)
SPARSE = "averages of steps that do not follow each other cannot be undone: taken as they are"


def fastai(raw):
    moving, averages = 0.0, []
    for index, loss in enumerate(raw):
        moving = 0.98 * moving + 0.02 * loss
        averages.append(moving / (1 - 0.98 ** (index + 1)))
    return np.array(averages)


def torch_lr_finder(raw):
    averages = [raw[0]]
    for loss in raw[1:]:
        averages.append(0.95 * averages[-1] + 0.05 * loss)
    return np.array(averages)


AVERAGES = {"fastai": fastai, "torch_lr_finder": torch_lr_finder}


def rows(path, **asked):
    logs = lehr.logs.read(path, **asked)
    return [row for batch in logs for row in batch.to_pylist()], logs.report


def table(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def exports(folder, steps, losses, lrs=LRS):
    folder.mkdir(exist_ok=True)
    for tag, values in (("train_loss", losses), ("lr_0", lrs), ("mom_0", [0.9] * len(lrs))):
        lines = [f"1.0,{i},{float(v)!r}" for i, v in zip(steps, values, strict=False)]
        table(folder / f"run-r-tag-{tag}.csv", ["Wall time,Step,Value", *lines])
    return folder


def metrics(folder, lrs, losses):
    """Write a run of MLflow, its metrics as pairs of steps and values."""
    (folder / "metrics").mkdir(parents=True)
    (folder / "meta.yaml").write_text("experiment_id: 1\nrun_id: abc\nlifecycle_stage: active\n")
    for name, points in (("lr", lrs), ("loss", losses)):
        lines = [f"{1000 + i} {float(v)!r} {step}" for i, (step, v) in enumerate(points)]
        table(folder / "metrics" / name, lines)
    return folder


def near(found, expected, tolerance=1e-10):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def gone(raw, *indices):
    raw = np.array(raw)
    raw[list(indices)] = np.nan
    return raw


def test_averages_of_every_tenth_step_are_taken_as_they_are_and_noted(tmp_path):
    stored = fastai(RAW)
    [row], report = rows(exports(tmp_path / "a", range(0, N, 10), stored[::10], LRS[::10]))
    assert (row["loss"], row["smoothing"]) == (stored[::10].tolist(), None)
    assert report.notes == {SPARSE: 1}
    [row], report = rows(exports(tmp_path / "b", range(N), stored))
    near(row["loss"], RAW)
    assert (row["smoothing"], report.notes) == ("fastai", {})


@pytest.mark.parametrize("first", [0, 1, 50])
def test_averages_whose_first_are_missing_are_not_undone(tmp_path, first):
    stored = fastai(RAW)
    [row], report = rows(exports(tmp_path, range(first, first + N), stored))
    near(row["loss"], RAW if first < 2 else stored)
    assert report.notes == ({} if first < 2 else {SPARSE: 1})


def test_averages_begin_anew_where_the_steps_do(tmp_path):
    stored, steps = np.concatenate([fastai(RAW[:60]), fastai(RAW[60:])]), [*range(60), *range(40)]
    lines = ["step,lr_0,mom_0,train_loss"]
    lines += [f"{i},{a},.9,{b}" for i, a, b in zip(steps, LRS, stored, strict=True)]
    [row], _ = rows(table(tmp_path / "a.csv", lines))
    near(row["loss"], RAW)
    near(row["lr"], LRS, 0)


@pytest.mark.parametrize("smoothing", AVERAGES)
@pytest.mark.parametrize("step", [True, False])
def test_a_broken_row_makes_the_next_loss_unknown_and_no_other(tmp_path, smoothing, step):
    stored = AVERAGES[smoothing](RAW)
    lines = [f"{i},{LRS[i]},{stored[i]}" for i in range(N)]
    lines[40] = "40,oops,1.0"
    path = table(tmp_path / "a.csv", ["step,lr,loss" if step else "x,lr,loss", *lines])
    [row], report = rows(path, smoothing=smoothing)
    near(row["loss"], np.delete(gone(RAW, 41), 40))
    near(row["lr"], np.delete(LRS, 40), 0)
    assert (len(report.skipped), report.notes) == (1, {})


@pytest.mark.parametrize("smoothing", AVERAGES)
@pytest.mark.parametrize("step", [True, False])
def test_a_broken_average_makes_the_next_loss_unknown(tmp_path, smoothing, step):
    stored = AVERAGES[smoothing](RAW)
    lines = [f"{i},{LRS[i]},{stored[i]}" for i in range(N)]
    lines[40] = f"40,{LRS[40]},oops"
    path = table(tmp_path / "a.csv", ["step,lr,loss" if step else "x,lr,loss", *lines])
    [row], _ = rows(path, smoothing=smoothing)
    near(row["loss"], np.delete(gone(RAW, 41), 40))


def test_a_row_without_its_columns_makes_the_averages_of_no_steps_unknown(tmp_path):
    stored = fastai(RAW)
    lines = [f"{LRS[i]},{stored[i]}" for i in range(N)]
    lines[40] = "1"
    [row], report = rows(table(tmp_path / "a.csv", ["lr,loss", *lines]), smoothing="fastai")
    near(row["loss"], np.delete(stored, 40), 0)
    near(row["lr"], np.delete(LRS, 40), 0)
    assert report.notes == {SPARSE: 1}


def test_the_first_average_counts_without_a_rate_too(tmp_path):
    lines = [f"{i},{LRS[i] if i else ''},{loss}" for i, loss in enumerate(fastai(RAW))]
    path = table(tmp_path / "a.csv", ["step,lr,loss", *lines])
    [row], report = rows(path, smoothing="fastai")
    near(row["loss"], RAW[1:])
    assert report.notes == {"losses of steps without a rate are left out": 1}


def test_runs_of_a_table_are_undone_each_as_it_can_be(tmp_path):
    stored, lines = fastai(RAW), ["run,step,lr,loss"]
    for i in range(N):
        lines += [f"b,{i},{LRS[i]},{stored[i]}"]
        lines += [f"a,{i},{LRS[i]},{stored[i]}"] if i % 10 == 0 else []
    found, report = rows(table(tmp_path / "a.csv", lines), smoothing="fastai")
    by_name = {row["curve_id"]: row for row in found}
    near(by_name["b"]["loss"], RAW)
    assert by_name["a"]["loss"] == stored[::10].tolist()
    assert (by_name["b"]["smoothing"], by_name["a"]["smoothing"]) == ("fastai", None)
    assert report.notes == {SPARSE: 1}


@pytest.mark.parametrize("smoothing", AVERAGES)
def test_a_null_among_averages_makes_the_next_loss_unknown(tmp_path, smoothing):
    stored = AVERAGES[smoothing](RAW).tolist()
    stored[40] = None
    value = {"lr": LRS.tolist(), "loss": stored, "smoothing": smoothing}
    (tmp_path / "a.json").write_text(json.dumps(value))
    [row], _ = rows(tmp_path)
    near(row["loss"], gone(RAW, 40, 41))


@pytest.mark.parametrize("order", ["rate first", "loss first"])
def test_each_sweep_of_a_table_keeps_its_own_rates(tmp_path, order):
    lines, lrs = ["step,lr,loss"], np.concatenate([LRS[:60], LRS * 7])
    steps, losses = [*range(60), *range(N)], np.concatenate([RAW[:60], RAW])
    for step, lr, loss in zip(steps, lrs, losses, strict=True):
        two = [f"{step},{lr},", f"{step},,{loss}"]
        lines += two if order == "rate first" else two[::-1]
    [row], report = rows(table(tmp_path / "a.csv", lines))
    near(row["lr"], lrs, 0)
    near(row["loss"], losses, 0)
    note = "steps are counted anew within a run: its losses take the rates of the same count"
    assert report.notes == {note: 1}


def test_shuffled_rows_of_rates_and_losses_are_joined_by_step(tmp_path):
    lines = [f"{i},{LRS[i]}," for i in range(N)] + [f"{i},,{RAW[i]}" for i in range(N)]
    np.random.default_rng(0).shuffle(lines)
    [row], report = rows(table(tmp_path / "a.csv", ["step,lr,loss", *lines]))
    near(row["lr"], LRS, 0)
    near(row["loss"], RAW, 0)
    assert not report.notes


def test_each_count_of_the_steps_of_a_run_keeps_its_own_rates(tmp_path):
    steps = np.arange(N) % 25
    run = metrics(tmp_path / "run", zip(steps, LRS, strict=True), zip(steps, RAW, strict=True))
    [row], report = rows(run)
    near(row["lr"], LRS, 0)
    near(row["loss"], RAW, 0)
    assert (report.notes, report.skipped) == ({}, [])


def test_rates_and_losses_that_were_not_counted_anew_alike_are_skipped_with_the_reason(tmp_path):
    rates, losses = np.arange(N) % 25, np.arange(N) % 50
    run = metrics(tmp_path / "run", zip(rates, LRS, strict=True), zip(losses, RAW, strict=True))
    found, report = rows(run)
    reason = "has steps that are counted anew 3 times for its rates and 1 times for its losses"
    assert (found, [skip.reason for skip in report.skipped]) == ([], [reason])


@pytest.mark.parametrize("losses", [N - 1, 1])
def test_rates_and_losses_all_of_one_step_are_skipped_where_one_is_missing(tmp_path, losses):
    run = metrics(tmp_path / "run", [(0, lr) for lr in LRS], [(0, x) for x in RAW[:losses]])
    found, report = rows(run)
    reason = f"has 100 rates and {losses} losses, all of one step"
    assert (found, [skip.reason for skip in report.skipped]) == ([], [reason])


def test_every_loss_that_is_not_used_is_counted(tmp_path):
    lines = [f"{i},{'' if 10 <= i < 17 else LRS[i]},{RAW[i]}" for i in range(N)]
    _, report = rows(table(tmp_path / "a.csv", ["step,lr,loss", *lines]))
    assert report.notes == {"losses of steps without a rate are left out": 7}
    twice = [(step, loss + again) for step, loss in enumerate(RAW) for again in (0, 1)]
    [row], report = rows(metrics(tmp_path / "run", enumerate(LRS), twice))
    near(row["loss"], RAW + 1, 0)
    assert report.notes == {"of several losses of a step the last is read": N}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_nan_in_a_table_is_a_missing_value(tmp_path, name):
    lrs, losses, steps = np.full(2 * N, np.nan), np.full(2 * N, np.nan), np.repeat(range(N), 2)
    lrs[::2], losses[1::2] = LRS, RAW
    if name == "a.csv":
        lines = [f"{i},{a},{b}" for i, a, b in zip(steps, lrs, losses, strict=True)]
        table(tmp_path / name, ["step,lr,loss", *lines])
    else:
        columns = {"step": steps, "lr": lrs, "loss": losses}
        pa.parquet.write_table(pa.table(columns), tmp_path / name)
    [row], report = rows(tmp_path / name)
    near(row["lr"], LRS, 0)
    near(row["loss"], RAW, 0)
    assert (report.notes, report.skipped) == ({}, [])


def test_a_loss_that_is_nan_beside_its_rate_is_a_point(tmp_path):
    lines = [f"{i},{LRS[i]},{RAW[i] if i < 90 else 'nan'}" for i in range(N)]
    [row], _ = rows(table(tmp_path / "a.csv", ["step,lr,loss", *lines]))
    near(row["loss"], gone(RAW, *range(90, N)), 0)


def test_a_curve_without_a_name_is_skipped_by_that_of_its_file(tmp_path):
    path = table(tmp_path / "a.csv", ["lr,loss", "0.1,1", "inf,2", "0.3,3"])
    _, report = rows(path)
    assert [skip.place for skip in report.skipped] == [str(path)]


@pytest.mark.parametrize("odd", [{"v": 1}, [1.0], [], {}, "high", True])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("at", [0, 50])
def test_a_point_of_json_whose_loss_is_no_number_is_told_by_its_place(tmp_path, odd, name, at):
    points = [{"step": i, "lr": LRS[i], "loss": RAW[i]} for i in range(N)]
    points[at]["loss"] = odd
    lines = "\n".join(map(json.dumps, points)) + "\n"
    (tmp_path / name).write_text(lines if name == "a.jsonl" else json.dumps(points))
    [row], report = rows(tmp_path / name)
    near(row["loss"], np.delete(RAW, at), 0)
    place = f":{at + 1}" if name == "a.jsonl" else f"[{at}]"
    [skip] = report.skipped
    assert skip.place == f"{tmp_path / name}{place}"
    assert skip.reason.endswith("is no number, in the column 'loss'")


def test_what_is_the_same_throughout_a_run_is_its_metadata_whatever_others_have(tmp_path):
    lines = ["run,size,seed,lr,loss"]
    for run in "abc":
        for i in range(3):
            lines += [f"{run},{'' if (run, i) == ('b', 1) else 32},{i * (run == 'c')},0.1,{i}"]
    found, _ = rows(table(tmp_path / "a.csv", lines))
    expected = [{"size": "32", "seed": "0"}, {"seed": "0"}, {"size": "32"}]
    assert [dict(row["metadata"]) for row in found] == expected


def test_names_of_columns_may_have_digits_of_any_kind(tmp_path):
    path = table(tmp_path / "a.csv", ["lr-1²2,lr-1,loss", "0.1,0.2,4", "0.2,0.4,6"])
    [row], report = rows(path, lr="lr-*")
    assert (row["loss"], report.skipped) == ([4, 6], [])


@pytest.mark.parametrize("steps", [["inf"] * 3, ["0", "inf", "inf"], ["-inf", "nan", "1e300"]])
def test_averages_of_steps_that_cannot_be_counted_are_taken_as_they_are(tmp_path, steps):
    lines = [f"{step},{i + 1},{i + 2}" for i, step in enumerate(["0", *steps])]
    [row], report = rows(table(tmp_path / "a.csv", ["step,lr,loss", *lines]), smoothing="fastai")
    assert sorted(row["loss"]) == [2, 3, 4, 5]
    assert report.notes == {SPARSE: 1}
    chart = ['"Step","a - lr","a - loss"', *(f'"{line}"'.replace(",", '","') for line in lines)]
    [row], report = rows(table(tmp_path / "b.csv", chart), smoothing="fastai")
    assert set(row["loss"]) <= {2, 3, 4, 5}
    assert report.notes[SPARSE] == 1
