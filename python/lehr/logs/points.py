"""Tables with a point a row, as curves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need
from lehr.logs.assemble import Block
from lehr.logs.averages import SPARSE, undone
from lehr.logs.series import WITHOUT
from lehr.logs.sources import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from lehr.logs.columns import Columns, Pair
    from lehr.logs.report import Report

    Floats = NDArray[np.float64]

ANEW = "steps are counted anew within a run: its losses take the rates of the same count"
# What stands in a text for no value.
NULLS = ("", "na", "n/a", "#n/a", "null", "none", "<na>", "-")


def cleaned(
    table: pa.Table, columns: Columns, report: Report, place: Callable[[int], str]
) -> pa.Table:
    """Return a table with rates, losses and steps as float64, null on rows with other texts.

    These rows stay, for an average is not undone over one that is missing.

    Args:
        table: Rows, of numbers or of texts.
        columns: The columns to read.
        report: Told of rows with such texts.
        place: The place of a row, by its number from 0 on.

    Raises:
        Unread: A column is neither of numbers nor of texts.
    """
    arrow = need("pyarrow", "`lehr.logs`")
    bad: dict[int, str] = {}
    for name in columns.numbers:
        index = table.column_names.index(name)
        table = table.set_column(index, name, _numbers(table[name], name, bad))
    for row in sorted(bad):
        report.skip(place(row), bad[row])
    if bad:
        rows = np.arange(len(table))
        rows = arrow.array(rows, mask=np.isin(rows, list(bad)))
        for name in columns.numbers:
            table = table.set_column(table.column_names.index(name), name, table[name].take(rows))
    return table


def curves(table: pa.Table, columns: Columns, *, whole: bool = True) -> Iterator[Block]:
    """Yield the curves of a table that was `cleaned`, runs in the order of their first rows.

    A point is a row with a rate and a loss; a rate that is NaN is missing. Where these stand on
    different rows of a step they are joined: a loss takes the last rate of its step, and where the
    steps of a run are counted anew, of that count. The points of a run are sorted by step, unless
    a step comes twice: then the step is counted anew somewhere, and their order stays. Averages
    are undone before, with those that have no rate.

    Args:
        table: The rows. What is the same throughout a run is its metadata.
        columns: The columns to read.
        whole: Whether no row is missing, so that those without steps can be counted.

    Raises:
        Unread: There is no point.
    """
    steps = None if columns.step is None else _floats(table[columns.step])
    codes, runs = _runs(table, columns.run)
    for pair in columns.pairs:
        lrs, losses = _floats(table[pair.lr]), _floats(table[pair.loss])
        has_lr, has_loss = ~np.isnan(lrs), ~_null(table[pair.loss])
        there = has_loss & ~np.isnan(losses)
        notes = Counter[str]()
        if steps is not None:
            wanting, found, anew = _joined(codes, steps, has_lr, has_loss & ~has_lr)
            lrs[wanting] = lrs[found]
            has_lr[wanting] = True
            # NaN for none, beside a rate whose loss stands elsewhere
            has_loss[found[~there[found]]] = False
            notes[ANEW] += anew
        points = has_lr & has_loss
        if not points.any():
            raise Unread(_empty(pair, has_lr, has_loss))
        notes[WITHOUT] += int(np.count_nonzero(there & ~has_lr))
        smoothing = columns.asked.averaged(pair.smoothing)
        kept = np.zeros(len(points), dtype=bool)
        if smoothing is not None and (whole or steps is not None):
            kept = _undo(codes, steps, losses, there, smoothing)
        if smoothing is not None:
            notes[SPARSE] += len(np.unique(codes[points & ~kept]))
        for some, average in ((points & kept, smoothing), (points & ~kept, None)):
            rows = np.flatnonzero(some)
            if len(rows):
                rows = rows[_order(codes[rows], None if steps is None else steps[rows])]
                block = _block(table, columns, pair, rows, (codes, runs, lrs, losses))
                block.undone, block.notes, notes = average or "", +notes, Counter()
                yield block


def _undo(
    codes: NDArray[np.int64],
    steps: Floats | None,
    losses: Floats,
    there: NDArray[np.bool_],
    smoothing: str,
) -> NDArray[np.bool_]:
    """Put losses in place of their averages; return the rows of the runs where that can be."""
    failed = []
    if steps is None:  # the numbers of the rows within their run
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], codes[order])
        steps = np.empty(len(codes))
        steps[order] = np.arange(len(codes)) - starts
    rows = np.flatnonzero(there)
    rows = rows[_order(codes[rows], steps[rows])]
    for some in np.split(rows, np.flatnonzero(np.diff(codes[rows])) + 1):
        found = undone(steps[some], losses[some], smoothing)
        if found is None:
            failed.append(codes[some[0]])
        else:
            losses[some] = found
    return ~np.isin(codes, failed)


def _block(
    table: pa.Table, columns: Columns, pair: Pair, rows: NDArray[np.intp], known: tuple[Any, ...]
) -> Block:
    arrow = need("pyarrow", "`lehr.logs`")
    codes, runs, lrs, losses = known
    sorted_codes = codes[rows]
    starts = np.flatnonzero(np.diff(sorted_codes, prepend=-1))
    offsets = np.append(starts, len(rows)).astype(np.int32)
    listed = arrow.ListArray.from_arrays
    if runs is None:
        ids = arrow.array([pair.label or None], arrow.string())
    else:
        ids = runs.take(arrow.array(sorted_codes[starts])).cast(arrow.string())
        if pair.label:
            ids = arrow.array([f"{run}/{pair.label}" for run in ids.to_pylist()])
    metadata = _metadata(table, columns, rows, offsets)
    lists = listed(offsets, lrs[rows]), listed(offsets, losses[rows])
    return Block(ids, lists[0], lists[1], metadata)


def _runs(table: pa.Table, run: str | None) -> tuple[NDArray[np.int64], Any]:
    """Return the number of the run of each row, and the names of the runs."""
    if run is None:
        return np.zeros(len(table), dtype=np.int64), None
    column, kind = table[run], table[run].type
    if need("pyarrow", "`lehr.logs`").types.is_dictionary(kind):
        column = column.cast(kind.value_type)  # each chunk has codes of its own
    encoded = column.combine_chunks().dictionary_encode("encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _order(codes: NDArray[np.int64], steps: Floats | None) -> NDArray[np.intp]:
    """Return the order of rows by run, and within a run by step where no step comes twice."""
    order = np.arange(len(codes))
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
    if steps is None:
        return order
    within = np.diff(codes[order]) == 0
    ordered = steps[order]  # infinities have no difference
    if not (within & (ordered[1:] < ordered[:-1])).any():
        return order
    by_step = np.lexsort((steps, codes))
    ordered = steps[by_step]
    twice = (np.diff(codes[by_step]) == 0) & (ordered[1:] == ordered[:-1])
    keep = np.zeros(codes.max() + 1, dtype=bool)
    keep[codes[by_step][1:][twice]] = True
    return np.where(keep[codes[order]], order, by_step)


def _joined(
    codes: NDArray[np.int64], steps: Floats, rates: NDArray[np.bool_], bare: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Return the rows of losses without a rate, and the rows of the last rates of their steps.

    And in how many runs the steps are counted anew, so that only rates of the same count will do.
    """
    wanting, having = np.flatnonzero(bare), np.flatnonzero(rates)
    if len(wanting) == 0 or len(having) == 0:
        return wanting[:0], having[:0], 0
    counts, anew = _counts(codes, steps, rates, np.flatnonzero(rates | bare))
    order = np.lexsort((counts, steps, codes))
    keys = np.stack([codes, (steps + 0.0).view(np.int64), counts])[:, order]
    of_row = np.empty_like(codes)
    of_row[order] = np.cumsum((np.diff(keys, prepend=keys[:, :1]) != 0).any(axis=0))
    last = np.full(of_row.max() + 1, -1)
    last[of_row[having]] = having  # of several the last one stays
    found = last[of_row[wanting]]
    return wanting[found >= 0], found[found >= 0], anew


def _counts(
    codes: NDArray[np.int64], steps: Floats, rates: NDArray[np.bool_], rows: NDArray[np.intp]
) -> tuple[NDArray[np.int64], int]:
    """Return how often the step fell before each of the rows, and in how many runs that matters.

    It is 0 in the others: those in which no step has rates of several counts.
    """
    rows = rows[np.argsort(codes[rows], kind="stable")]
    ordered = steps[rows]  # infinities have no difference
    falls = (np.diff(codes[rows]) == 0) & (ordered[1:] < ordered[:-1])
    counts = np.zeros(len(codes), dtype=np.int64)
    if not falls.any():
        return counts, 0
    counts[rows[1:]] = np.cumsum(falls)
    keys = np.unique(np.stack([codes, steps.view(np.int64), counts], axis=1)[rates], axis=0)
    twice = (keys[1:, :2] == keys[:-1, :2]).all(axis=1)
    runs = np.unique(keys[1:][twice, 0])
    counts[~np.isin(codes, runs)] = 0
    return counts, len(runs)


def _metadata(
    table: pa.Table, columns: Columns, rows: NDArray[np.intp], offsets: NDArray[np.int32]
) -> Any:
    """Return what is the same on all rows of a run, as maps of strings, for each run."""
    arrow = need("pyarrow", "`lehr.logs`")
    count, constant = len(offsets) - 1, {}
    used = set(columns.names)
    for name in table.column_names:
        kind = table[name].type
        if name in used or not plain(kind):
            continue
        column = table[name].combine_chunks()
        if not arrow.types.is_dictionary(kind):
            column = column.dictionary_encode("encode")
        codes = column.indices.to_numpy(zero_copy_only=False)[rows]
        lowest, highest = (f.reduceat(codes, offsets[:-1]) for f in (np.minimum, np.maximum))
        same = arrow.array(lowest, mask=lowest != highest)
        constant[name] = column.dictionary.take(same).cast(arrow.string())
    return maps(constant, count)


def maps(values: dict[str, Any], count: int) -> Any:
    """Return columns of strings as one column of maps; what is null is left out."""
    arrow = need("pyarrow", "`lehr.logs`")
    kind = arrow.map_(arrow.string(), arrow.string())
    if not values:
        return arrow.array([[]] * count, kind)
    names = list(values)
    items = arrow.concat_arrays([_whole(column) for column in values.values()])
    by_row = np.arange(count * len(names)).reshape(len(names), count).T.ravel()
    items = items.take(arrow.array(by_row))
    keys = arrow.array(names).take(arrow.array(np.tile(np.arange(len(names)), count)))
    valid = ~_null(items)
    ends = np.concatenate([[0], np.cumsum(valid.reshape(count, len(names)).sum(axis=1))])
    mask = arrow.array(valid)
    return arrow.MapArray.from_arrays(
        arrow.array(ends, arrow.int32()), keys.filter(mask), items.filter(mask)
    )


def _whole(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _null(column: Any) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = np.array(column.is_null(), dtype=bool, copy=True)
    return nulls


def plain(kind: Any) -> bool:
    """Return whether values of a type are single numbers, texts or flags."""
    types = need("pyarrow", "`lehr.logs`").types
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        types.is_string,
        types.is_large_string,
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_decimal,
    )
    return any(test(kind) for test in tests)


def _floats(column: Any) -> Floats:
    # A copy: joining writes into it.
    return np.array(column.to_numpy(), dtype=np.float64)


def _numbers(column: Any, name: str, bad: dict[int, str]) -> Any:
    """Return a column as numbers; rows of texts that are none are `bad`, with the reason."""
    arrow = need("pyarrow", "`lehr.logs`")
    if arrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not plain(column.type) and not arrow.types.is_null(column.type):
        raise Unread(f"has no numbers in its column {name!r}, but {column.type}")
    try:
        return column.cast(arrow.float64())
    except arrow.ArrowInvalid:
        values = column.to_pylist()
    for row, text in enumerate(values):
        try:
            values[row] = None if text is None else float(text)
        except ValueError:
            values[row] = None
            bad.setdefault(row, f"{text[:60]!r} is no number, in the column {name!r}")
    return arrow.array(values, arrow.float64())


def _empty(pair: Pair, has_lr: NDArray[np.bool_], has_loss: NDArray[np.bool_]) -> str:
    counts = f"{has_lr.sum()} rates in {pair.lr!r} and {has_loss.sum()} losses in {pair.loss!r}"
    return f"has no row or step with both, of {counts}"
