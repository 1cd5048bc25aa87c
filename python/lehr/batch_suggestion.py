"""Suggestions for many curves at once, from Arrow data."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lehr import _core, long_table
from lehr._extras import need
from lehr.arguments import at_least_one
from lehr.suggestion import METHODS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa = need("pyarrow", "suggestions for Arrow data")
    pc = need("pyarrow.compute", "suggestions for Arrow data")

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

_DEFAULT = ("robust", "valley", "slide", "minimum", "steep")
_STATUSES = ("ok", "weak", "none", "bad")
_SMOOTHING = ("fastai", "lightning", "torch_lr_finder", "ignite")
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_DIVERGED = ("diverged", "non-finite")
# As many rows are answered at once: their reasons fit into one string column.
_MOST_ROWS = 2**20
# More threads than any machine has processors gain nothing.
_MOST_THREADS = 1024
_MOST_ITERATIONS = 2**53


def suggest_batch(
    table: Any,
    methods: str | Iterable[str] = _DEFAULT,
    *,
    threads: int | None = None,
    steps: int | None = None,
    smoothing: str | None = None,
    num_it: int | str | None = None,
    stop: str | None = None,
    lr: str = "lr",
    loss: str = "loss",
    run: str = "run",
    step: str = "step",
) -> pa.Table:
    """Suggest rates for many curves at once: what `Sweep.suggest` says, to the last bit.

    A table of curves has a row a curve, whose rates and losses are lists. A long table has a row a
    point: rates and losses are numbers, and the column `run` says whose; without it all are one
    curve. Points of a run are taken in the order of the column `step` if there is one, and
    otherwise as they are met; runs need not lie together. Double precision is not copied; nulls
    among the losses are NaN.

    Args:
        table: Anything that gives Arrow data, by `__arrow_c_stream__` or `__arrow_c_array__`: a
            table or record batch of pyarrow, a data frame of polars or pandas, a relation of
            duckdb. Lists may be lists, large lists or lists of a fixed size, of float32 or float64.
        methods: Names of rules, or "all": "robust", "valley", "slide", "minimum", "steep",
            "lightning", "torch_lr_finder", "ignite".
        threads: Number of threads, at least 1, at most 1024 of which are started; by default one
            for each processor this process may use. Take 1 in a worker of Spark, Dask or Ray.
        steps: The length of the training to come in steps, at least 1, where a rule heeds it.
        smoothing: How all losses were averaged: "fastai", "lightning", "torch_lr_finder", "ignite",
            or `None`; it is undone first.
        num_it: The iterations the sweeps were meant to have: a number, or the name of a column of
            integers; their points by default, and where it is less.
        stop: The name of a column that says why each sweep ended, as `Sweep.stop` does: "diverged"
            and "non-finite" tell the robust rule that the loss was breaking away.
        lr: Name of the column of rates.
        loss: Name of the column of losses.
        run: Name of the column that names the runs of a long table: texts, numbers or times.
        step: Name of the column that orders the points of a long table: numbers or times.

    Returns:
        A row for each curve, in the order of the rows, or in that of the first points of runs: all
        columns but rates and losses (of a long table the runs alone); `points`, their number;
        `status` and `reason`; and the rates of each method, null where it has nothing to say. Where
        "robust" is asked, `robust_low` and `robust_high` (its interval), `snr`, and `agreement`:
        the median distance of the other methods' rates from its, in decades. The status is "bad"
        where the row is no curve: null, or refused by `Sweep`; otherwise that of "robust", or
        without it "ok" where all methods answer, "weak" where some do, "none" where none does.

    Raises:
        ImportError: pyarrow is not installed.
        KeyError: There is no such column.
        TypeError: An argument, or the type of a column, is of another kind.
        ValueError: A name is unknown, a number is out of range, or a column of the table has the
            name of one that is returned.

    Example:
        >>> import pyarrow as pa
        >>> lrs, losses = [1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.5, 1.0, 9.0]
        >>> table = pa.table({"name": ["a", "b"], "lr": [lrs, lrs[:3]], "loss": [losses, losses]})
        >>> suggest_batch(table, "minimum").select(["name", "status", "minimum"]).to_pylist()
        [{'name': 'a', 'status': 'ok', 'minimum': 0.001}, {'name': 'b', 'status': 'bad', 'minimum': None}]
    """  # noqa: E501 (the output of the example)
    asked = _Asked.of(methods, threads, steps, smoothing, num_it, stop, lr, loss)
    data = _imported(table)
    _check_columns(data.schema, (lr, loss))
    if long_table.is_number(data.schema.field(loss).type):
        if isinstance(asked.num_it, str) or asked.stop is not None:
            name = "num_it" if isinstance(asked.num_it, str) else "stop"
            message = f"`{name}` must name no column of a long table, whose rows are points"
            raise TypeError(message)
        _check_names({"lr": lr, "loss": loss, "run": run})
        data = long_table.curves(data, lr, loss, run, step)
    schema = asked.schema(data.schema)
    return pa.Table.from_batches(_answered(data.to_batches(), asked), schema)


def suggest_batches(
    batches: Any,
    methods: str | Iterable[str] = _DEFAULT,
    *,
    threads: int | None = None,
    steps: int | None = None,
    smoothing: str | None = None,
    num_it: int | str | None = None,
    stop: str | None = None,
    lr: str = "lr",
    loss: str = "loss",
) -> pa.RecordBatchReader:
    """Suggest rates for a stream of curves, record batch by record batch.

    As `suggest_batch`, for tables of curves alone, in constant memory: a batch is answered while
    the next one is read.

    Args:
        batches: Anything with `__arrow_c_stream__`, such as a `pyarrow.RecordBatchReader` or
            `lehr.logs.read(...)`; or an iterable of record batches, of at least one.
        methods: As of `suggest_batch`.
        threads: Likewise.
        steps: Likewise.
        smoothing: Likewise.
        num_it: Likewise.
        stop: Likewise.
        lr: Likewise.
        loss: Likewise.

    Returns:
        A reader of the batches of answers.

    Raises:
        ImportError: pyarrow is not installed.
        KeyError: There is no such column.
        TypeError: An argument, or the type of a column, is of another kind; a long table is given.
        ValueError: A name is unknown, or a number is out of range.

    Example:
        >>> import pyarrow as pa
        >>> batch = pa.record_batch({"lr": [[1e-4, 1e-3, 1e-2]], "loss": [[3.0, 2.5, 1.0]]})
        >>> suggest_batches([batch, batch], "minimum").read_all()["minimum"].to_pylist()
        [0.001, 0.001]
    """
    asked = _Asked.of(methods, threads, steps, smoothing, num_it, stop, lr, loss)
    schema, given = _stream(batches)
    _check_columns(schema, (lr, loss))
    if long_table.is_number(schema.field(loss).type):
        message = (
            f"`{loss}` must hold lists: the points of a long table lie anywhere in a stream, so "
            "give the whole table to `suggest_batch`"
        )
        raise TypeError(message)
    answers = _answered(_ahead(given), asked)
    return pa.RecordBatchReader.from_batches(asked.schema(schema), answers)


class _Asked(NamedTuple):
    """What is asked about every curve."""

    methods: tuple[str, ...]
    threads: int
    steps: int | None
    smoothing: str | None
    num_it: int | str | None
    stop: str | None
    lr: str
    loss: str

    @classmethod
    def of(
        cls,
        methods: Any,
        threads: Any,
        steps: Any,
        smoothing: Any,
        num_it: Any,
        stop: Any,
        lr: str,
        loss: str,
    ) -> _Asked:
        if smoothing is not None and smoothing not in _SMOOTHING:
            names = ", ".join(_SMOOTHING)
            message = f"`smoothing` must be one of {names}, or None, got {smoothing!r}"
            raise ValueError(message)
        if num_it is not None and not isinstance(num_it, str):
            num_it = at_least_one(num_it, "num_it")
            if num_it > _MOST_ITERATIONS:
                message = f"`num_it` must be at most 2^53, got {num_it}"
                raise ValueError(message)
        _check_names({"lr": lr, "loss": loss})
        threads = _processors() if threads is None else at_least_one(threads, "threads")
        return cls(
            _names(methods),
            min(threads, _MOST_THREADS),
            None if steps is None else at_least_one(steps, "steps"),
            smoothing,
            num_it,
            stop,
            lr,
            loss,
        )

    def schema(self, given: pa.Schema) -> pa.Schema:
        """Return the fields of the answers; check those of the question."""
        for name in (self.lr, self.loss):
            _check_lists(name, given.field(name).type)
        if isinstance(self.num_it, str):
            _check_columns(given, (self.num_it,))
            kind = given.field(self.num_it).type
            if not pa.types.is_integer(kind):
                message = f"`{self.num_it}` must be a column of integers, got {kind}"
                raise TypeError(message)
        if self.stop is not None:
            _check_columns(given, (self.stop,))
            kind = given.field(self.stop).type
            if not any(text(kind) for text in _TEXTS):
                message = f"`{self.stop}` must be a column of strings, got {kind}"
                raise TypeError(message)
        kept = [field for field in given if field.name not in (self.lr, self.loss)]
        taken = {field.name for field in kept}.intersection(self.columns)
        if taken:
            message = f"the column `{min(taken)}` of the table is one of the answers: rename it"
            raise ValueError(message)
        own = [pa.field(name, kind) for name, kind in self.columns.items()]
        return pa.schema([*kept, *own])

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """The columns of the answers, in order."""
        columns = {"points": pa.int64(), "status": pa.string(), "reason": pa.string()}
        for method in self.methods:
            columns[method] = pa.float64()
            if method == "robust":
                robust = ("robust_low", "robust_high", "snr", "agreement")
                columns |= dict.fromkeys(robust, pa.float64())
        return columns


def _names(methods: Any) -> tuple[str, ...]:
    if isinstance(methods, str):
        return METHODS if methods == "all" else _names((methods,))
    names = tuple(methods) if hasattr(methods, "__iter__") else (methods,)
    for name in names:
        if not isinstance(name, str) or name not in METHODS:
            message = f"`methods` must name some of {', '.join(METHODS)}, or be 'all', got {name!r}"
            raise (ValueError if isinstance(name, str) else TypeError)(message)
    if not names or len(set(names)) < len(names):
        message = f"`methods` must name at least one rule, and each once, got {methods!r}"
        raise ValueError(message)
    return names


def _processors() -> int:
    """Return the number of processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _check_names(names: Mapping[str, Any]) -> None:
    """Check that arguments name columns, each another."""
    for argument, name in names.items():
        if not isinstance(name, str):
            message = f"`{argument}` must be the name of a column, got {name!r}"
            raise TypeError(message)
        other = next(one for one, value in names.items() if value == name)
        if other != argument:
            message = f"`{other}` and `{argument}` must name two columns, got {name!r} for both"
            raise ValueError(message)


def _check_columns(schema: pa.Schema, names: Iterable[str]) -> None:
    for name in names:
        if schema.get_field_index(name) < 0:
            there = ", ".join(schema.names) or "none"
            times = schema.names.count(name)
            what = f"{times} columns `{name}`" if times else f"no column `{name}`"
            message = f"the table has {what}; its columns are {there}"
            raise KeyError(message)


def _check_lists(name: str, kind: pa.DataType) -> None:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(one(kind) for one in lists) or not (
        pa.types.is_float32(kind.value_type) or pa.types.is_float64(kind.value_type)
    ):
        message = (
            f"`{name}` must hold lists of float32 or float64, or such numbers in a long table, "
            f"got {kind}"
        )
        raise TypeError(message)


def _imported(table: Any) -> pa.Table:
    """Return anything that gives Arrow data as a table; nothing is copied."""
    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__"):
        return pa.table(table)
    message = (
        "`table` must give Arrow data, by `__arrow_c_stream__` or `__arrow_c_array__`, got "
        f"{type(table).__name__}"
    )
    raise TypeError(message)


def _stream(batches: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if hasattr(batches, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(batches)
        return reader.schema, iter(reader)
    if not hasattr(batches, "__iter__"):
        message = (
            "`batches` must give an Arrow stream, by `__arrow_c_stream__`, or be an iterable of "
            f"record batches, got {type(batches).__name__}"
        )
        raise TypeError(message)
    checked = (_record_batch(one) for one in batches)
    first = next(checked, None)
    if first is None:
        message = "`batches` must hold at least one record batch, got none"
        raise ValueError(message)
    return first.schema, itertools.chain([first], checked)


def _record_batch(given: Any) -> pa.RecordBatch:
    if isinstance(given, pa.RecordBatch):
        return given
    message = f"`batches` must hold record batches, got one {type(given).__name__}"
    raise TypeError(message)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches while the next one is read."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def _answered(batches: Iterable[pa.RecordBatch], asked: _Asked) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, _MOST_ROWS):
            yield _answer(batch.slice(start, _MOST_ROWS), asked)


def _answer(batch: pa.RecordBatch, asked: _Asked) -> pa.RecordBatch:
    """Return the answers about the curves of a batch."""
    lrs, losses = batch.column(asked.lr), batch.column(asked.loss)
    valid = None
    if lrs.null_count or losses.null_count:
        both = pc.and_(lrs.is_valid(), losses.is_valid())
        valid = both.to_numpy(zero_copy_only=False)
    points, codes, reasons, ends, rates, robust = _core.suggest_many(
        _lists(lrs),
        _lists(losses),
        valid,
        asked.smoothing,
        _iterations(batch, asked.num_it),
        _diverged(batch, asked.stop),
        asked.methods,
        asked.steps,
        asked.threads,
    )
    own: dict[str, Any] = {
        "points": pa.array(points),
        "status": pa.DictionaryArray.from_arrays(codes, pa.array(_STATUSES)).cast(pa.string()),
        "reason": _texts(reasons, ends),
    }
    for method, column in zip(asked.methods, rates, strict=True):
        own[method] = _numbers(column)
        if method == "robust":
            names = ("robust_low", "robust_high", "snr", "agreement")
            own |= zip(names, map(_numbers, robust), strict=True)
    schema = asked.schema(batch.schema)
    question = (asked.lr, asked.loss)
    kept = [batch.column(i) for i, name in enumerate(batch.schema.names) if name not in question]
    return pa.RecordBatch.from_arrays([*kept, *own.values()], schema=schema)


def _numbers(column: NDArray[np.float64]) -> pa.Array:
    return pa.array(column, from_pandas=True)


def _texts(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> pa.Array:
    """Return texts that lie one after the other, null where one is empty."""
    offsets = np.zeros(len(ends) + 1, dtype=np.int32)
    offsets[1:] = ends
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    texts = pa.Array.from_buffers(pa.string(), len(ends), buffers)
    if len(data) == 0:
        return pa.nulls(len(ends), pa.string())
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)


def _iterations(batch: pa.RecordBatch, num_it: int | str | None) -> NDArray[np.int64]:
    if num_it is None:
        return np.zeros(0, dtype=np.int64)
    if isinstance(num_it, int):
        return np.array([num_it], dtype=np.int64)
    column = batch.column(num_it).cast(pa.int64()).fill_null(0)
    # One row is one number for all.
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False))


def _diverged(batch: pa.RecordBatch, stop: str | None) -> NDArray[np.bool_] | None:
    if stop is None:
        return None
    told = pc.is_in(batch.column(stop).cast(pa.string()), pa.array(_DIVERGED))
    array: NDArray[np.bool_] = told.to_numpy(zero_copy_only=False)
    return array


def _lists(column: pa.Array) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the values of lists and the offsets of the lists in them."""
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        offsets: NDArray[Any] = (np.arange(len(column) + 1, dtype=np.int64) + column.offset) * size
    else:
        offsets = column.offsets.to_numpy()
    values = column.values
    if len(offsets) and values.null_count:
        # A slice has the values of the whole: only its own are copied.
        first = offsets[0]
        values = pc.fill_null(values.slice(first, offsets[-1] - first), np.nan)
        offsets = offsets - first
    return values.to_numpy(zero_copy_only=True), offsets
