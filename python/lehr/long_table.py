"""Long tables, of a row a point, as tables of a row a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core
from lehr._extras import need

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from numpy.typing import NDArray
else:
    pa = need("pyarrow", "suggestions for Arrow data")
    pc = need("pyarrow.compute", "suggestions for Arrow data")

_LAST = 2**63 - 1


def is_number(kind: pa.DataType) -> bool:
    """Return whether columns of this type hold a number a row."""
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
    return any(one(kind) for one in kinds)


def curves(data: pa.Table, lr: str, loss: str, run: str, step: str) -> pa.Table:
    """Return a long table as a table of curves, in the order of the first points of runs.

    Args:
        data: Rates and losses, a row a point.
        lr: The column of rates.
        loss: The column of losses.
        run: The column that names the runs; where there is none called "run", all are one curve.
        step: The column that orders the points of a run, if there is one.

    Returns:
        The runs, unless all are one, and lists of rates and losses.

    Raises:
        KeyError: There is no column of a name other than "run" and "step".
        TypeError: A column is of another kind.
    """
    for name, default in ((run, "run"), (step, "step")):
        if name not in data.column_names and name != default:
            there = ", ".join(data.column_names)
            message = f"the table has no column `{name}`; its columns are {there}"
            raise KeyError(message)
    lrs, losses = (_points(data, name) for name in (lr, loss))
    columns: dict[str, pa.Array] = {}
    if run in data.column_names:
        codes, runs, columns[run] = _by_first(data.column(run))
    else:
        codes, runs = np.zeros(data.num_rows, dtype=np.int32), 1
    order, offsets = _core.order_by_run(codes, runs, _steps(data, step))
    if order is not None:
        lrs, losses = lrs[order], losses[order]
    ends = pa.array(offsets)
    for name, points in ((lr, lrs), (loss, losses)):
        columns[name] = pa.LargeListArray.from_arrays(ends, pa.array(points))
    return pa.table(columns)


def _by_first(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], int, pa.Array]:
    """Return the number of each row's run, by first rows, how many there are, and the runs."""
    if pa.types.is_dictionary(column.type):
        # Its own order is another.
        kind = column.type.value_type
        # pyarrow takes nothing from views, which polars gives.
        kind = pa.large_string() if pa.types.is_string_view(kind) else kind
        column = pa.chunked_array(
            [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in column.chunks], kind
        )
    try:
        chunks = column.dictionary_encode(null_encoding="encode").chunks
    except pa.ArrowNotImplementedError as error:
        message = f"a column of {column.type} names no runs: give one of texts or numbers as `run`"
        raise TypeError(message) from error
    if not chunks:
        return np.zeros(0, dtype=np.int32), 0, pa.array([], column.type)
    # All chunks have one dictionary.
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in chunks]
    runs = chunks[-1].dictionary
    return np.ascontiguousarray(np.concatenate(codes), dtype=np.int32), len(runs), runs


def _points(data: pa.Table, name: str) -> NDArray[Any]:
    """Return a column of numbers as one array of float32 or float64, nulls as NaN."""
    column = data.column(name)
    if not is_number(column.type):
        message = f"`{name}` must hold numbers in a long table, got {column.type}"
        raise TypeError(message)
    if not (pa.types.is_float32(column.type) or pa.types.is_float64(column.type)):
        column = column.cast(pa.float64())
    if column.null_count:
        column = pc.fill_null(column, np.nan)
    array: NDArray[Any] = column.to_numpy()
    return array


def _steps(data: pa.Table, name: str) -> NDArray[Any] | None:
    """Return what orders the points of a run, nulls last: integers exactly, or float64."""
    if name not in data.column_names:
        return None
    column = data.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type)):
        return _points(data, name).astype(float, copy=False)
    column = pc.fill_null(column.cast(pa.int64()), _LAST)
    return np.ascontiguousarray(column.to_numpy())
