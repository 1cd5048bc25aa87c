"""What the suggestions of many curves say together, by anything that is known of the curves."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from lehr import _core
from lehr.suggestion import METHODS

if TYPE_CHECKING:
    import pyarrow as pa


# What each curve has of its own.
_SINGLE = {
    *METHODS, "curve_id", "reason", "points", "robust_low", "robust_high", "snr", "agreement",
}  # fmt: skip


class Group(NamedTuple):
    """What the suggestions for curves of one kind say together.

    Attributes:
        value: What they have in common; `None` of curves that do not say.
        curves: Their number.
        statuses: How many have each status.
        suggested: For how many there is a rate.
        median: The median of these rates, on a logarithmic scale; NaN where there is none.
        low: A quarter of them is at most this.
        high: A quarter of them is at least this.
        decades: 1.48 times their median distance from the median, in decades: the standard
            deviation of normal ones.
        agreement: The median of how far other methods lie from the robust rule, in decades; NaN
            where it was not asked.
        outliers: The curves further from the median than 3.5 times `decades` and .3 decades.
    """

    value: str | None
    curves: int
    statuses: dict[str, int]
    suggested: int
    median: float
    low: float
    high: float
    decades: float
    agreement: float
    outliers: tuple[str, ...]


class Trend(NamedTuple):
    """How suggestions go with a quantity.

    Attributes:
        power: The rate goes with this power of it: the median slope between any two groups, on
            logarithmic scales (Theil and Sen).
        tau: Kendall's tau of the groups' medians: 1 where they only rise with it, -1 where they
            only fall.
        values: The number of its values.
    """

    power: float
    tau: float
    values: int


class Groups:
    """The suggestions for many curves, grouped by what is known of the curves.

    Args:
        by: A column of the answers, or a key of their `metadata`.
        method: Whose rates are compared.

    Raises:
        ValueError: `method` is unknown.

    Example:
        >>> import lehr, pyarrow as pa
        >>> lrs = [1e-4, 1e-3, 1e-2, 1e-1]
        >>> curves = {"size": [16, 64], "lr": [lrs] * 2, "loss": [[3, 2.5, 1, 9], [3, 1, 2.5, 9]]}
        >>> groups = Groups("size", "minimum")
        >>> for batch in lehr.suggest_batch(pa.table(curves), "minimum").to_batches():
        ...     groups.add(batch)
        >>> [(group.value, group.median) for group in groups.groups()]
        [('16', 0.001), ('64', 0.0001)]
    """

    def __init__(self, by: str, method: str = "robust") -> None:
        if method not in METHODS:
            message = f"`method` must be one of {', '.join(METHODS)}, got {method!r}"
            raise ValueError(message)
        self.by, self.method = by, method
        # Of each value: statuses; rates and whose they are; agreements.
        self._statuses: dict[str | None, Counter[str]] = {}
        self._rates: dict[str | None, list[float]] = {}
        self._names: dict[str | None, list[str]] = {}
        self._agreements: dict[str | None, list[float]] = {}
        self._known: set[str] = set()
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of answers.

        Raises:
            KeyError: The method was not asked.
        """
        names = batch.schema.names
        if self.method not in names:
            message = f"the answers have no column `{self.method}`; they have {', '.join(names)}"
            raise KeyError(message)
        rates, statuses = batch[self.method].to_pylist(), batch["status"].to_pylist()
        agreements = batch["agreement"].to_pylist() if "agreement" in names else [None] * len(rates)
        ids = self._ids(batch)
        rows = zip(self._values(batch), rates, statuses, agreements, ids, strict=True)
        for value, rate, status, agreement, name in rows:
            self._statuses.setdefault(value, Counter())[status] += 1
            if rate is not None:
                self._rates.setdefault(value, []).append(rate)
                self._names.setdefault(value, []).append(name)
            if agreement is not None:
                self._agreements.setdefault(value, []).append(agreement)
        self._rows += batch.num_rows

    def _ids(self, batch: pa.RecordBatch) -> list[str]:
        if "curve_id" not in batch.schema.names:
            return [f"row {self._rows + index}" for index in range(batch.num_rows)]
        ids = batch["curve_id"].to_pylist()
        if "source" not in batch.schema.names:
            return [str(one) for one in ids]
        sources = batch["source"].to_pylist()
        return [
            one if one.startswith(source) else f"{source}: {one}"
            for one, source in zip(ids, sources, strict=True)
        ]

    def _values(self, batch: pa.RecordBatch) -> list[str | None]:
        if self.by in batch.schema.names:
            found = batch[self.by].to_pylist()
        elif "metadata" in batch.schema.names:
            known = [dict(one or ()) for one in batch["metadata"].to_pylist()]
            for one in known:
                self._known.update(one)
            found = [one.get(self.by) for one in known]
        else:
            found = [None] * batch.num_rows
        self._known.update(name for name in batch.schema.names if name != "metadata")
        return [None if one is None else str(one) for one in found]

    @property
    def known(self) -> list[str]:
        """What the curves so far could be grouped by."""
        return sorted(self._known - _SINGLE)

    def groups(self) -> list[Group]:
        """Return the groups, by number where all values are numbers, and otherwise by name."""
        return [self._group(value) for value in sorted(self._statuses, key=self._key)]

    def _key(self, value: str | None) -> tuple[bool, float, str]:
        number = _number(value) if self._numeric else 0.0
        return value is None, number, value or ""

    @property
    def _numeric(self) -> bool:
        return all(value is None or not math.isnan(_number(value)) for value in self._statuses)

    def _group(self, value: str | None) -> Group:
        statuses, rates = self._statuses[value], self._rates.get(value, [])
        nan = math.nan
        median, (low, high), decades, outliers = nan, (nan, nan), nan, list[int]()
        if rates:
            median, (low, high), decades, outliers = _core.spread(rates)
        agreements = self._agreements.get(value, [])
        # A distance is no rate, but has a median all the same.
        agreement = _core.median(agreements) if agreements else nan
        names = tuple(self._names[value][index] for index in outliers)
        return Group(
            value, statuses.total(), dict(statuses), len(rates), median, low, high, decades,
            agreement, names,
        )  # fmt: skip

    def trend(self) -> Trend | None:
        """Return how the rates go with the value, where it is a number above 0 in three groups."""
        values, rates = list[float](), list[float]()
        for value, some in self._rates.items():
            number = _number(value)
            if 0 < number < math.inf:
                values += [number] * len(some)
                rates += some
        found = _core.trend(values, rates) if values else None
        return None if found is None else Trend(*found)


def _number(value: str | None) -> float:
    try:
        return math.nan if value is None else float(value)
    except ValueError:
        return math.nan
