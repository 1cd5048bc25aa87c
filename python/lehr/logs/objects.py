"""Curves in the values of JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr._extras import need
from lehr.logs import columns, points, telling
from lehr.logs.assemble import Curve
from lehr.logs.sources import Source, Unread, encodable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lehr.logs.columns import Options, Pair
    from lehr.logs.report import Report

# A curve under such a key has no name by it.
_WRAPPERS = ("history", "results", "recorder")
_NAMES = ("name", "id")


class Objects:
    """What makes curves of the values of one source.

    Args:
        source: The source.
        asked: What the caller asks for.
        report: Where what is no curve is told.
        how: The format of all curves, and how it averages; `None` where each tells its own.
    """

    def __init__(
        self, source: Source, asked: Options, report: Report, how: tuple[str, str | None] | None
    ) -> None:
        self._source = source
        self._asked = asked
        self._report = report
        self._how = how
        self._rows: list[Mapping[str, Any]] = []
        self._places: list[str] = []
        # Objects under a name may be anything: settings, say. Lines and elements are curves.
        self._named: set[str] = set()
        self._keys: dict[str, None] = {}
        self._met = False

    def curves(self, value: Any, name: str, place: str) -> Iterator[Curve]:
        """Yield the curves in a value; keep its points for `rest`.

        Args:
            value: Any value of JSON.
            name: The key it stands under, if it names a curve.
            place: Where it stands.
        """
        if isinstance(value, list):
            for index, one in enumerate(value):
                inner = f"{name}[{index}]" if name else ""
                yield from self.curves(one, inner, f"{place}[{index}]")
        elif isinstance(value, dict):
            if telling.is_sweep(value):
                yield from self._sweep(value, name or place, place)
            elif telling.is_transformers(value):
                yield from self._state(value, name or place, place)
            else:
                yield from self._object(value, name, place)

    def rest(self, whole: bool) -> Iterator[Any]:
        """Yield the curves of the points met one by one.

        Raises:
            Unread: The source is `whole`, and no curve was met, nor anything told of.
        """
        keys = dict.fromkeys(key for row in self._rows for key in row)
        if self._rows and (columns.find(keys, "lr") or (self._asked.lr and not self._met)):
            try:
                yield from self._table(self._rows, self._places)
            except Unread as error:
                raise Unread(str(error), self._places[0] if self._places else None) from error
        elif self._met:
            for row, place in zip(self._rows, self._places, strict=True):
                if place not in self._named:
                    self._report.skip(place, f"has no rates and losses{columns.has(list(row))}")
        elif whole:
            raise Unread(f"has no rates and losses{columns.has(list(self._keys))}")

    def _object(self, value: dict[str, Any], name: str, place: str) -> Iterator[Curve]:
        lists = [key for key, one in value.items() if _is_numbers(one)]
        inner = {k: one for k, one in value.items() if k not in lists and _holds_objects(one)}
        self._keys.update(dict.fromkeys(value))
        try:
            found = columns.choose(lists, self._asked)
        except Unread as error:
            if not name and self._is_point(value, {*lists, *inner}):
                self._rows.append(value)
                self._places.append(place)
            elif lists and not inner:
                self._skip(place, str(error))
            elif inner:
                yield from self._inner(value, inner, name, place)
            elif value:
                self._rows.append(value)
                self._places.append(place)
                if name:
                    self._named.add(place)
            return
        known = [key for key in (*columns.SYNONYMS["run"], *_NAMES) if _is_text(value.get(key))]
        if self._asked.run:
            known = columns.find(value, "run", self._asked.run)
        named = str(value[known[0]]) if known else name or place
        for pair in found.pairs:
            label = f"{named}/{pair.label}" if pair.label else named
            yield from self._curve(value, pair, label, place)

    def _is_point(self, value: dict[str, Any], odd: set[str]) -> bool:
        """Return whether its rate or its loss is a number and no other key holds values.

        The other one of the two need be no number: it is told with the row.
        """
        try:
            pair = columns.choose(value, self._asked).pairs[0]
        except Unread:
            return False
        return odd < {pair.lr, pair.loss}

    def _inner(
        self, value: dict[str, Any], inner: dict[str, Any], name: str, place: str
    ) -> Iterator[Curve]:
        known = scalars(value)
        for key, one in inner.items():
            wrapped = key in _WRAPPERS
            within = place if wrapped else f"{place}[{key}]"
            for curve in self.curves(one, name if wrapped else key, within):
                curve.metadata = {**known, **curve.metadata}
                if self._how is None and wrapped and "best_loss" in value and not curve.smoothing:
                    curve.format = curve.smoothing = "torch_lr_finder"
                yield curve

    def _curve(self, value: dict[str, Any], pair: Pair, name: str, place: str) -> Iterator[Curve]:
        try:
            losses = numbers(value[pair.loss], pair.loss, missing=True)
            lrs, nested = _rates(value[pair.lr], pair.lr, self._asked.group, len(losses))
        except Unread as error:
            self._skip(place, str(error))
            return
        how = self._how or telling.how(value, pair, lrs, losses, nested=nested)
        if how is None:
            how = "json", None
            if self._asked.smoothing is None:
                self._report.note(telling.UNKNOWN)
        self._met = True
        used = (pair.lr, pair.loss)
        yield Curve(name, lrs, losses, how[1], scalars(value, used), how[0], place)

    def _sweep(self, value: dict[str, Any], name: str, place: str) -> Iterator[Curve]:
        from lehr import sweep_json

        try:
            sweep = sweep_json.loads(json.dumps(value))
        except ValueError as error:
            self._skip(place, str(error))
            return
        self._met = True
        metadata = {**scalars(sweep.settings), "hyper": sweep.hyper}
        yield Curve(
            name, sweep.lrs, sweep.losses, None, metadata, "lehr", place, sweep.num_it, sweep.stop
        )

    def _state(self, value: dict[str, Any], name: str, place: str) -> Iterator[Curve]:
        rows = [row for row in value["log_history"] if isinstance(row, dict)]
        places = [f"{place}.log_history[{index}]" for index in range(len(rows))]
        try:
            for block in self._table(rows, places):
                steps = [row.get("step") for row in rows if "loss" in row][:2]
                whole = [step for step in steps if isinstance(step, int)]
                if len(whole) > 1 and whole[1] != whole[0] + 1:
                    self._report.note(telling.MEANS)
                lrs, losses = (one.values.to_numpy() for one in (block.lrs, block.losses))
                known = scalars(value)
                for text, count in block.notes.items():
                    self._report.note(text, count)
                found = Curve(name, lrs, losses, None, known, "transformers", place)
                found.undone = block.undone
                yield found
        except Unread as error:
            self._skip(place, str(error))
        self._met = True

    def _table(self, rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> Iterator[Any]:
        table = _table(rows)
        found = columns.choose(table.column_names, self._asked)
        table = points.cleaned(table, found, self._report, places.__getitem__)
        yield from points.curves(table, found)

    def _skip(self, place: str, reason: str) -> None:
        self._met = True
        self._report.skip(place, reason)


def apart(value: Any) -> Any:
    """Return what of a value that breaks off needs nothing of what is missing.

    Of an object the lists of numbers do: which of them are rates and losses, and how these were
    averaged, other keys tell.
    """
    if not isinstance(value, dict):
        return value
    return {
        key: one
        for key, one in value.items()
        if key not in _WRAPPERS and _holds_objects(one) and not _is_numbers(one)
    }


def scalars(value: Mapping[str, Any], but: Sequence[str] = (), prefix: str = "") -> dict[str, str]:
    """Return what is no list, as strings; of objects within too, by dotted names."""
    found = {}
    for key, one in value.items():
        if isinstance(one, dict) and not _holds_objects(list(one.values())):
            if not any(isinstance(inner, list) for inner in one.values()):
                found.update(scalars(one, (), f"{prefix}{key}."))
        elif isinstance(one, bool):
            found[prefix + key] = "true" if one else "false"
        elif isinstance(one, (str, int, float)) and key not in but:
            found[prefix + key] = str(one)
    return found


def numbers(values: Any, name: str, *, missing: bool = False) -> NDArray[np.float64]:
    """Return a list as numbers; `null` is NaN if values may be `missing`.

    Raises:
        Unread: One is no number.
    """
    try:
        found = np.array(values)
    except (ValueError, OverflowError):
        found = np.array(None)
    if found.ndim == 1 and found.dtype.kind in "iuf":
        return found.astype(np.float64)
    result = np.empty(len(values))
    for index, one in enumerate(values):
        if one is None and missing:
            result[index] = math.nan
            continue
        try:
            if isinstance(one, bool) or not isinstance(one, (int, float, str)):
                raise ValueError  # noqa: TRY004, TRY301 (caught below)
            result[index] = float(one)
        except (ValueError, OverflowError):
            raise Unread(
                f"`{name}[{index}]` should be a number, is {json.dumps(one)}"[:200]
            ) from None
    return result


def _rates(
    values: list[Any], name: str, group: int, count: int
) -> tuple[NDArray[np.float64], bool]:
    """Return the rates of a group, and whether there are several."""
    if not values or not isinstance(values[0], list):
        return numbers(values, name), False
    if not all(isinstance(one, list) for one in values):
        raise Unread(f"`{name}` should hold a number, or the rates of all groups, for each loss")
    if len(values) != count and all(len(one) == count for one in values):
        return numbers(columns.grouped(values, group, "groups"), name), True
    rates = [columns.grouped(one, group, f"in `{name}[{i}]`") for i, one in enumerate(values)]
    return numbers(rates, name), True


def _is_numbers(value: Any) -> bool:
    """Return whether it is a list of numbers, or of lists of them, as far as its start tells."""
    if not isinstance(value, list):
        return False
    while isinstance(value, list) and value:
        value = value[0]
    return value is None or value == [] or isinstance(value, (int, float, str))


def _holds_objects(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, (dict, list)) for one in value[:1])
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    arrow = need("pyarrow", "`lehr.logs`")
    names = dict.fromkeys(name for row in rows for name in row)
    arrays = {}
    for name in names:
        values = [row.get(name) for row in rows]
        held = [isinstance(one, (dict, list)) for one in values]
        if all(held):
            continue
        if any(held):
            values = [json.dumps(one) if held[i] else one for i, one in enumerate(values)]
        kinds = {type(one) for one in values} - {type(None)}
        name = encodable(name)  # noqa: PLW2901
        if not kinds <= {int, float}:
            values = [one if one is None else encodable(str(one)) for one in values]
        try:
            arrays[name] = arrow.array(values)
        except OverflowError:
            arrays[name] = arrow.array([one if one is None else str(one) for one in values])
    return arrow.table(arrays)
