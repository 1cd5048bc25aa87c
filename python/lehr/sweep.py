"""The curve of an LR finder as a value."""

from __future__ import annotations

import csv
import io
import math
import numbers
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr import _core, suggestion
from lehr._extras import need
from lehr.arguments import integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike
    from typing import TextIO

    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from lehr.suggestion import Suggestion

_COLUMNS = ("iteration", "loss", "smoothed")
_MOST_ITERATIONS = 2**53
_STOPS = ("finished", "diverged", "non-finite", "interrupted", "unknown")


class Sweep:
    """The curve of a sweep: the rates tried, or values of another hyper, and the losses met.

    Immutable; equal and hashable by its points and what is known of it, the suggestions apart.

    Args:
        lrs: The rate, or value of `hyper`, of each iteration: finite numbers. Any sequence, array,
            tensor or column of one dimension; where groups differ, of the one with the largest.
        losses: As many losses, each as measured before the step of its iteration, or averages of
            them; a missing or masked one is NaN.
        smoothing: How these losses were averaged: as "fastai", "lightning", "torch_lr_finder" or
            "ignite" store them, `None` for not at all. The average is inverted exactly: the sweep
            holds losses of single batches. Float64 averages give them back to 2e-14 of the size
            of the averages, float32 ones to 6e-6 of it, for the inversion amplifies rounding up to
            99 times. Where an average is not finite its loss is NaN, and the next one too, but for
            Lightning's, which keeps NaN for a step without a loss.
        num_it: The number of iterations the sweep was meant to have, at least `len(lrs)`; that by
            default.
        stop: Why it ended: "finished", "diverged", "non-finite", "interrupted" when something
            other than its own rule ended it, or "unknown".
        hyper: The name of what was swept: not empty, and no other column of `to_csv`.
        settings: What else is known of the sweep, by name: strings, finite numbers, flags, `None`,
            and lists of them.
        parts: The sweeps that this one pools, which pool none themselves.

    Attributes:
        lrs: The rates, float64 of shape (n,), read-only.
        losses: The raw losses, float64 of shape (n,), read-only; NaN and infinite ones included.
        num_it: As given.
        stop: As given.
        hyper: As given.
        settings: As given, read-only; lists are tuples.
        parts: As given, a tuple.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: The lengths differ, there is more than one dimension, a rate is not finite,
            `num_it` is below the number of points or above 2^53, `smoothing` or `stop` is unknown,
            `hyper` is no name for a column, or one of `parts` is pooled itself.

    Example:
        >>> sweep = Sweep([1e-3, 1e-2, 1e-1], [3.0, 2.9, 2.7], smoothing="ignite", stop="finished")
        >>> sweep
        <Sweep of 3 points, lr from 1.00e-03 to 1.00e-01, finished>
        >>> sweep.losses.round(9).tolist()
        [3.0, 1.0, -1.1]

    Reference:
        Smith, "Cyclical Learning Rates for Training Neural Networks", 2015.
    """

    __slots__ = ("_suggestions", "hyper", "losses", "lrs", "num_it", "parts", "settings", "stop")

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]
    num_it: int
    stop: str
    hyper: str
    settings: Mapping[str, Any]
    parts: tuple[Sweep, ...]
    _suggestions: dict[str, Suggestion]

    def __init__(
        self,
        lrs: Iterable[float],
        losses: Iterable[float],
        *,
        smoothing: str | None = None,
        num_it: int | None = None,
        stop: str = "unknown",
        hyper: str = "lr",
        settings: Mapping[str, Any] | None = None,
        parts: Iterable[Sweep] = (),
    ) -> None:
        _check_text(stop, "stop", _STOPS)
        _check_text(hyper, "hyper")
        if not hyper or hyper in _COLUMNS:
            message = f"`hyper` must be a name other than {', '.join(_COLUMNS)}, got {hyper!r}"
            raise ValueError(message)
        if smoothing is not None:
            _check_text(smoothing, "smoothing")
        rates, raw = _core.curve(_column(lrs), _column(losses), smoothing)
        parts = _sweeps(parts, "parts")
        fields = {
            "lrs": _frozen(rates),
            "losses": _frozen(raw),
            "num_it": _iterations(num_it, len(rates)),
            "stop": stop,
            "hyper": hyper,
            "settings": MappingProxyType(_plain_settings({} if settings is None else settings)),
            "parts": parts,
            "_suggestions": {},
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The debiased exponential average of the losses with a memory of .98.

        `v / (1 - .98^k)` with `v = .98 v + .02 loss` after k losses, float64 of shape (n,); NaN
        where the loss is not finite, which the average passes over.
        """
        return _core.average(self.losses)

    @property
    def suggestions(self) -> MappingProxyType[str, Suggestion]:
        """What each rule said, by name."""
        return MappingProxyType(self._suggestions)

    def with_suggestions(self, suggestions: Mapping[str, Suggestion]) -> Sweep:
        """Return this curve with other suggestions, by name.

        Raises:
            TypeError: There is something else than suggestions.
        """
        for name, one in suggestions.items():
            if not isinstance(one, suggestion.Suggestion):
                message = f"`suggestions[{name!r}]` must be a Suggestion, got {one!r}"
                raise TypeError(message)
        sweep = object.__new__(Sweep)
        for name in self.__slots__:
            object.__setattr__(sweep, name, getattr(self, name))
        object.__setattr__(sweep, "_suggestions", dict(suggestions))
        return sweep

    def smooth(self, kind: str = "local") -> NDArray[np.float64]:
        """Return the losses smoothed, or as a finder averages them.

        Args:
            kind: "local" for the smooth curve that the robust rule reads, which has no lag: a
                centred local-linear smoother over half a decade to either side, of losses whose
                spikes are cut off; NaN where the rule leaves points out. Or whose average:
                "fastai", "lightning", "torch_lr_finder" or "ignite". From the
                first loss that is not finite on, none of theirs is finite.

        Returns:
            The smooth losses, float64 of shape (n,). `Sweep(lrs, averages, smoothing=kind)` has the
            losses of this sweep, to 2e-14 of their size.

        Raises:
            ValueError: `kind` is unknown; or it is "local", and the values tried are not above 0
                and rising.

        Example:
            >>> Sweep([0.1, 0.2], [3.0, 13.0]).smooth("ignite").round(9).tolist()
            [3.0, 3.5]
        """
        _check_text(kind, "kind", ("local", "fastai", "lightning", "torch_lr_finder", "ignite"))
        if kind == "local":
            return _core.smooth_local(self.lrs, self.losses) if len(self) else self.losses
        return _core.average(self.losses, kind)

    def suggest(self, method: str = "robust", steps: int | None = None) -> Suggestion:
        """Ask the rule of a name what rate to train at.

        Args:
            method: The rule: "robust", ours, which reads the raw losses and says whether to believe
                it; "valley", "slide", "minimum" or "steep", which read what `lr_find` gives them,
                the smoothed losses without some at either end; or, to compare, "lightning",
                "torch_lr_finder" or "ignite", which read the averages that these finders would
                have stored, and answer as they do.
            steps: The length of the training to come in steps, at least 1, where the rule heeds it.

        Returns:
            The suggestion; where there is none `lr` is NaN and `reason` says why.

        Raises:
            TypeError: `steps` is no integer.
            ValueError: `method` is unknown, or `steps` is below 1.

        Example:
            >>> Sweep([1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.5, 1.0, 9.0]).suggest("minimum").lr
            0.001
        """
        return suggestion.suggest(self, method, steps)

    def plot(
        self,
        suggestions: Any = None,
        ax: Axes | None = None,
        *,
        skip_end: int = 0,
    ) -> Figure:
        """Draw the losses, their smooth curve, and suggestions with their intervals.

        The axis of the rates is logarithmic, unless they are evenly spaced or not all above 0.

        Args:
            suggestions: What to mark: a `Suggestion` or the name of a rule, which is asked; several
                of these; or a mapping of names to them. Those of the sweep by default.
            ax: The matplotlib axes to draw on; those of a new figure by default.
            skip_end: Number of last points to leave out, at least 0; the first one stays.

        Returns:
            The figure.

        Raises:
            TypeError: A suggestion is none.
            ValueError: The sweep has no point, or a name is unknown.

        Example:
            >>> sweep = Sweep([1e-4, 1e-3, 1e-2, 1e-1], [3.0, 2.5, 1.0, 9.0])
            >>> sweep.plot(["minimum", "steep"]).axes[0].get_xscale()
            'log'
        """
        from lehr import plotting

        marks = suggestion.marked(self, suggestions)
        return plotting.plot_sweep(self, skip_end=skip_end, marks=marks, ax=ax)

    def to_json(self) -> str:
        """Return the sweep as JSON, its suggestions and parts included.

        Numbers come back bit by bit; losses that JSON has no number for are the strings "NaN",
        "Infinity" and "-Infinity".

        Example:
            >>> sweep = Sweep([0.1, 0.2], [3.0, float("nan")], num_it=9)
            >>> Sweep.from_json(sweep.to_json()) == sweep
            True
        """
        from lehr import sweep_json

        return sweep_json.dumps(self)

    @classmethod
    def from_json(cls, text: str | bytes) -> Sweep:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is anything else: of another version, with a field missing, unknown or
                of the wrong kind.
        """
        from lehr import sweep_json

        return sweep_json.loads(text)

    def to_csv(self, path: str | PathLike[str] | TextIO | None = None) -> str | None:
        """Write the points as comma-separated values.

        The columns are `iteration`, from 0; the rates, by the name of `hyper`; `loss`; and
        `smoothed`. Numbers are written so that they come back bit by bit; NaN is "NaN".

        Args:
            path: The file, or an open text file; `None` returns the text.

        Returns:
            The text where there is no `path`.

        Example:
            >>> print(Sweep([0.1, 0.2], [3.0, float("nan")]).to_csv(), end="")
            iteration,lr,loss,smoothed
            0,0.1,3.0,3.0
            1,0.2,NaN,NaN
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self._columns()
        writer.writerow(columns)
        for row in zip(*(column.tolist() for column in columns.values()), strict=True):
            writer.writerow("NaN" if value != value else value for value in row)  # noqa: PLR0124
        if path is None:
            return text.getvalue()
        if hasattr(path, "write"):
            path.write(text.getvalue())
        else:
            Path(path).write_text(text.getvalue(), encoding="utf-8", newline="")
        return None

    def to_arrow(self) -> pa.Table:
        """Return the points as a pyarrow table, with the columns of `to_csv`.

        A library that reads the Arrow stream interface, such as polars, pandas or duckdb, takes
        the sweep itself: `polars.DataFrame(sweep)`.

        Raises:
            ImportError: pyarrow is not installed.

        Example:
            >>> Sweep([0.1, 0.2], [3.0, 4.0]).to_arrow().column_names
            ['iteration', 'lr', 'loss', 'smoothed']
        """
        arrow = need("pyarrow", "an Arrow table")
        columns = self._columns()
        return arrow.table(list(columns.values()), names=list(columns))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _columns(self) -> dict[str, NDArray[Any]]:
        iteration, loss, smoothed = _COLUMNS
        return {
            iteration: np.arange(len(self)),
            self.hyper: self.lrs,
            loss: self.losses,
            smoothed: self.smoothed,
        }

    @staticmethod
    def pool(sweeps: Iterable[Sweep]) -> Sweep:
        """Return the mean of several sweeps over the same rates, such as of several seeds.

        Args:
            sweeps: The sweeps, at least one, of one hyper. The rates of the longest are those of
                the others as far as these go.

        Returns:
            At each rate the mean of the finite losses, NaN where fewer than half of the sweeps
            have one; up to the last rate at which half have. It stopped as most of them did (as
            the first of these where there is no most), was meant to have the iterations of the
            longest, has the settings that all share, and the sweeps as `parts`.

        Raises:
            TypeError: There is something else than sweeps.
            ValueError: There is none, they are not over the same rates or of the same hyper, or one
                is pooled itself.

        Example:
            >>> first, second = Sweep([0.1, 0.2], [3.0, 2.0]), Sweep([0.1], [5.0])
            >>> Sweep.pool([first, second]).losses.tolist()
            [4.0, 2.0]
        """
        sweeps = _sweeps(sweeps, "sweeps")
        for index, sweep in enumerate(sweeps):
            if sweep.hyper != sweeps[0].hyper:
                message = (
                    f"`sweeps` must be of one hyper, but `sweeps[{index}]` is of "
                    f"{sweep.hyper!r}, not {sweeps[0].hyper!r}"
                )
                raise ValueError(message)
        lrs, losses = _core.pool([(sweep.lrs, sweep.losses) for sweep in sweeps])
        ((stop, _),) = Counter(sweep.stop for sweep in sweeps).most_common(1)
        first, *rest = (dict(sweep.settings) for sweep in sweeps)
        shared = {
            name: value
            for name, value in first.items()
            if all(name in other and other[name] == value for other in rest)
        }
        return Sweep(
            lrs,
            losses,
            num_it=max(sweep.num_it for sweep in sweeps),
            stop=stop,
            hyper=sweeps[0].hyper,
            settings=shared,
            parts=sweeps,
        )

    def point(self, lr: float) -> tuple[float, float]:
        """Return `lr` with the smoothed loss at the rate nearest to it."""
        return float(lr), float(self.smoothed[np.abs(self.lrs - lr).argmin()])

    def __setattr__(self, name: str, value: object = None) -> None:
        message = f"a Sweep cannot be changed, so `{name}` cannot be set"
        raise AttributeError(message)

    __delattr__ = __setattr__

    def __len__(self) -> int:
        return len(self.lrs)

    def _known(self) -> tuple[Any, ...]:
        return self.num_it, self.stop, self.hyper

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sweep):
            return NotImplemented
        return (
            self._known() == other._known()
            and self.settings == other.settings
            and np.array_equal(self.lrs, other.lrs)
            and np.array_equal(self.losses, other.losses, equal_nan=True)
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        # -0.0 equals 0.0, in other bytes.
        return hash((*self._known(), (self.lrs + 0.0).tobytes()))

    def __reduce__(self) -> tuple[Any, ...]:
        known = {name: getattr(self, name) for name in ("num_it", "stop", "hyper", "parts")}
        known["settings"] = dict(self.settings)
        return _restored, (self.lrs, self.losses, known, self._suggestions)

    def __repr__(self) -> str:
        count = "no points" if len(self) == 0 else f"{len(self)} points"
        span = f", {self.hyper} from {self.lrs[0]:.2e} to {self.lrs[-1]:.2e}" if len(self) else ""
        meant = f" of {self.num_it}" if self.num_it > len(self) else ""
        pooled = f", of {len(self.parts)} sweeps" if self.parts else ""
        return f"<Sweep of {count}{meant}{span}{pooled}, {self.stop}>"


def _restored(lrs: Any, losses: Any, known: Any, suggestions: Any) -> Sweep:
    return Sweep(lrs, losses, **known).with_suggestions(suggestions)


def _column(values: Any) -> Any:
    """Return the column of a data frame as an array, its gaps as NaN; all else as it is."""
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(float), np.nan)
    known = isinstance(values, np.ndarray) or hasattr(values, "detach")
    return np.asarray(values) if not known and hasattr(values, "__array__") else values


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array


def _sweeps(sweeps: Any, name: str) -> tuple[Sweep, ...]:
    if isinstance(sweeps, Sweep) or not hasattr(sweeps, "__iter__"):
        message = f"`{name}` must be a list of sweeps, got {sweeps!r}"
        raise TypeError(message)
    given: tuple[Sweep, ...] = tuple(sweeps)
    for index, one in enumerate(given):
        if not isinstance(one, Sweep):
            message = f"`{name}` must hold sweeps, got {one!r}"
            raise TypeError(message)
        if one.parts:
            message = f"`{name}[{index}]` is pooled itself: pool its `parts` with the others"
            raise ValueError(message)
    return given


def _iterations(num_it: Any, points: int) -> int:
    if num_it is None:
        return points
    count = integer(num_it, "num_it")
    if count < points:
        message = f"`num_it` must be at least the number of points, {points}, got {count}"
        raise ValueError(message)
    if count > _MOST_ITERATIONS:
        message = f"`num_it` must be at most 2^53, got {count}"
        raise ValueError(message)
    return count


def _check_text(value: Any, name: str, known: tuple[str, ...] = ()) -> None:
    if not isinstance(value, str):
        message = f"`{name}` must be a string, got {value!r}"
        raise TypeError(message)
    if known and value not in known:
        message = f"`{name}` must be one of {', '.join(known)}, got {value!r}"
        raise ValueError(message)


def _plain_settings(settings: Any) -> dict[str, Any]:
    try:
        items = list(settings.items())
    except AttributeError:
        message = f"`settings` must be a mapping, got {settings!r}"
        raise TypeError(message) from None
    for key, _ in items:
        if not isinstance(key, str):
            message = f"the keys of `settings` must be strings, got {key!r}"
            raise TypeError(message)
    return {key: _plain(value, f"settings[{key!r}]") for key, value in items}


def _plain(value: Any, name: str) -> Any:
    """Return what JSON can hold, lists as tuples."""
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        if not math.isfinite(number):
            message = f"`{name}` must be finite, got {value!r}"
            raise ValueError(message)
        return number
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item, f"{name}[{index}]") for index, item in enumerate(value))
    message = f"`{name}` must be a string, number, flag, None or list of them, got {value!r}"
    raise TypeError(message)
