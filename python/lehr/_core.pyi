"""The compiled core of lehr: schedules, the smoother and stop rule of sweeps, suggestion rules.

All arithmetic is in float64 and gives the same bits on every CPU. The rules cited are those of
`docs/design/semantics.md`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, SupportsFloat, SupportsIndex, TypeAlias, final, overload

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

__all__ = [
    "DEBUG",
    "METHODS",
    "VERSION",
    "EventReader",
    "Laid",
    "Plateau",
    "SchedCos",
    "SchedExp",
    "SchedInverseSqrt",
    "SchedLin",
    "SchedNo",
    "SchedPoly",
    "SchedTanh",
    "Schedule",
    "Smoother",
    "Stepper",
    "SweepState",
    "Writer",
    "_Noop",
    "ask",
    "average",
    "carried_step",
    "check_length",
    "combine_lengths",
    "combine_scheds",
    "combined_cos",
    "curve",
    "decades_apart",
    "fine_tune_lrs",
    "flat_cos_lr",
    "group_values",
    "ignite",
    "length_share",
    "lightning",
    "median",
    "minimum",
    "one_cycle_lr",
    "order_by_run",
    "pool",
    "preset_cyclic",
    "preset_flat_cos",
    "preset_inverse_sqrt",
    "preset_k_decay",
    "preset_multistep",
    "preset_one_cycle",
    "preset_one_cycle_momentum",
    "preset_piecewise",
    "preset_polynomial",
    "preset_sgdr",
    "preset_warmup",
    "preset_wsd",
    "reduced_lr",
    "robust",
    "run_length",
    "sched_cos",
    "sched_exp",
    "sched_lin",
    "sched_no",
    "sgdr_epochs",
    "sgdr_lr",
    "slide",
    "smooth_local",
    "spread",
    "steep",
    "suggest_many",
    "sweep_lr",
    "torch_lr_finder",
    "trend",
    "trim",
    "valley",
    "write_hyper",
]

# A one-dimensional sequence, array, tensor or iterable of numbers.
_Numbers: TypeAlias = Iterable[SupportsFloat] | NDArray[np.generic]
# One number, or one per parameter group.
_Ends: TypeAlias = SupportsFloat | _Numbers

VERSION: str
METHODS: list[str]
DEBUG: bool

@final
class Schedule:
    """A hyper-parameter as a function of `pos`, the share of training done.

    Immutable; equal and hashable by value; printed as the call that makes it; pickles and copies.
    Made by `SchedLin` and its like, by the presets (`lehr.wsd` …), by `combine_scheds`, and from
    other schedules: `f + g`, `f * g` with schedules, numbers or lists of one number per group, and
    the methods below. Each operation rounds once. A training of `steps` steps visits
    `pos = k / steps` for k = 0 … steps - 1.

    Example:
        >>> from lehr import SchedCos
        >>> schedule = SchedCos(0, 2)
        >>> schedule
        SchedCos(0.0, 2.0)
        >>> schedule(0.5)
        1.0
        >>> schedule([0, 0.5, 1])
        array([0., 1., 2.])
        >>> schedule == eval(repr(schedule))
        True
    """

    @overload
    def __call__(self, pos: SupportsFloat) -> Any: ...
    @overload
    def __call__(self, pos: _Numbers) -> NDArray[np.float64]: ...
    @overload
    def at(self, pos: SupportsFloat, /) -> Any:
        """Return the value at a position; `schedule(pos)` is the same, `at` the cheaper call.

        Args:
            pos: Share of training done, usually in [0, 1]: a number (anything with `__float__`),
                or a one-dimensional sequence, array or tensor of n numbers. Outside [0, 1] a
                simple schedule extrapolates its formula; a combined one extrapolates its last
                phase above 1.

        Returns:
            For one position a float, or an array of shape (groups,) if the ends hold one value
            per group; for n positions an array of shape (n,) or (n, groups). float64.

        Raises:
            TypeError: `pos` is no number or sequence of numbers.
            ValueError: `pos` is NaN or infinite; or below 0 for a combined schedule or a
                polynomial of fractional power; or has more than one dimension.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin([0, 10], 20).at(0.5)
            array([10., 15.])
        """
    @overload
    def at(self, pos: _Numbers, /) -> NDArray[np.float64]: ...
    def values(self, steps: SupportsIndex, end: bool = False) -> NDArray[np.float64]:
        """Return the values a training of `steps` steps sees.

        `values(steps)[k] == schedule(k / steps)` bit for bit, so `schedule.end` itself is not
        reached; with `end` the positions are `k / (steps - 1)` and it is.

        Args:
            steps: Number of steps, at least 1.
            end: Whether the last value is that at position 1. Of a single step, it is that at 0.

        Returns:
            float64 of shape (steps,), or (steps, groups).

        Raises:
            TypeError: `steps` is no integer.
            ValueError: `steps` is below 1.
            MemoryError: The values do not fit into memory.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin(0, 1).values(4)
            array([0.  , 0.25, 0.5 , 0.75])
            >>> SchedLin(0, 1).values(5, end=True)
            array([0.  , 0.25, 0.5 , 0.75, 1.  ])
        """
    @property
    def start(self) -> Any:
        """The value at 0: the constructor's on a simple schedule; a float or an array (groups,)."""
    @property
    def end(self) -> Any:
        """The value at 1: the constructor's on a simple schedule; a float or an array (groups,)."""
    @property
    def phases(self) -> tuple[Any, ...]:
        """The schedules or functions it is combined from; a simple one is its own single phase."""
    @property
    def boundaries(self) -> tuple[float, ...]:
        """Positions at which its phases begin, and 1: one more than there are phases.

        Example:
            >>> from lehr import combined_cos
            >>> combined_cos(0.25, 0.5, 1, 0).boundaries
            (0.0, 0.25, 1.0)
        """
    @property
    def groups(self) -> int | None:
        """Number of parameter groups it gives values for; `None` if it gives a single one."""
    # numpy leaves its operators to ours.
    __array_ufunc__: None
    def __add__(self, other: Schedule | _Ends, /) -> Schedule: ...
    def __radd__(self, other: _Ends, /) -> Schedule: ...
    def __mul__(self, other: Schedule | _Ends, /) -> Schedule: ...
    def __rmul__(self, other: _Ends, /) -> Schedule: ...
    def then(self, other: Schedule, share: SupportsFloat) -> Schedule:
        """Return this schedule for the first `share` of training, then another for the rest.

        Args:
            other: The schedule that follows.
            share: Share of training that this one has, in [0, 1].

        Raises:
            TypeError: `other` is no schedule, or `share` no number.
            ValueError: `share` is not in [0, 1], or the numbers of groups differ.

        Example:
            >>> from lehr import SchedCos, SchedLin
            >>> SchedLin(0, 1).then(SchedCos(1, 0), 0.25)
            combine_scheds([0.25, 0.75], [SchedLin(0.0, 1.0), SchedCos(1.0, 0.0)])
        """
    def clip(self, low: _Ends | None = None, high: _Ends | None = None) -> Schedule:
        """Return the schedule with its values held between bounds: `min(max(f, low), high)`.

        Args:
            low: The least value: a number, one per parameter group, or None for no bound.
            high: The greatest, likewise.

        Raises:
            TypeError: A bound is no number or sequence of numbers.
            ValueError: Neither is given, `low` is above `high`, or the numbers of groups differ.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin(0, 1).clip(low=0.25)([0, 0.5]).tolist()
            [0.25, 0.5]
        """
    def reverse(self) -> Schedule:
        """Return the schedule backwards, `f(1 - pos)`.

        Where phases meet, the value is that of the phase that is entered in the schedule itself.

        Example:
            >>> from lehr import SchedPoly
            >>> SchedPoly(0, 1, 2).reverse()([0, 0.5, 1]).tolist()
            [1.0, 0.25, 0.0]
        """
    def part(self, start: SupportsFloat, end: SupportsFloat) -> Schedule:
        """Return a part of the schedule, stretched over the whole: `f(start + (end - start) pos)`.

        Args:
            start: The position that becomes 0, at least 0.
            end: The position that becomes 1, likewise. Below `start`, the part runs backwards;
                above 1 the schedule goes on as it does at such positions.

        Raises:
            TypeError: A position is no number.
            ValueError: A position is below 0 or not finite.

        Example:
            >>> from lehr import SchedCos
            >>> SchedCos(1, 0).part(0, 2)([0, 0.5, 1]).tolist()
            [1.0, 0.0, 1.0]
        """
    def warp(self, power: SupportsFloat) -> Schedule:
        """Return the schedule at a power of the position, `f(pos ** power)`.

        Args:
            power: Above 0. Above 1 the schedule stays for longer near its start.

        Raises:
            TypeError: `power` is no number.
            ValueError: `power` is not finite and above 0.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin(1, 0).warp(2)(0.5)
            0.75
        """
    def repeat(self, times: SupportsIndex, stretch: SupportsFloat = 1.0) -> Schedule:
        """Return several runs of the schedule, one after the other, that fill the training.

        Args:
            times: Number of runs, from 1 to a million.
            stretch: How much longer each run is than the one before, above 0.

        Raises:
            TypeError: `times` is no integer, or `stretch` no number.
            ValueError: They are out of range.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin(1, 0).repeat(2, stretch=3)([0, 0.125, 0.25, 0.625]).tolist()
            [1.0, 0.5, 1.0, 0.5]
        """
    def to_json(self) -> str:
        """Return the schedule as JSON that `from_json` reads back to an equal one.

        Raises:
            TypeError: A phase is a Python function; the message names it.

        Example:
            >>> from lehr import SchedLin
            >>> SchedLin(0, 2).to_json()
            '{"version":1,"schedule":{"type":"lin","start":0.0,"end":2.0}}'
        """
    @staticmethod
    def from_json(text: str) -> Schedule:
        """Return the schedule that `to_json` wrote.

        Args:
            text: The JSON.

        Raises:
            TypeError: `text` is no string.
            ValueError: It is anything but the JSON of a schedule: the message says where.

        Example:
            >>> from lehr import Schedule, combined_cos
            >>> schedule = combined_cos(0.25, 0.5, 1, 0)
            >>> Schedule.from_json(schedule.to_json()) == schedule
            True
        """
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the schedule over the share of training done, one line per group.

        Args:
            ax: The matplotlib axes to draw on; those of a new figure by default.

        Returns:
            The axes.

        Raises:
            ImportError: matplotlib is not installed; the message says how to get it.
        """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def SchedLin(start: _Ends, end: _Ends) -> Schedule:
    """Return the linear schedule `(1 - pos) start + pos end`.

    Args:
        start: Value at 0: a finite number, or one per parameter group.
        end: Value at 1, likewise.

    Raises:
        TypeError: An end is no number or sequence of numbers.
        ValueError: An end is not finite, or the numbers of groups differ.

    Example:
        >>> from lehr import SchedLin
        >>> SchedLin(0, 2)(0.25)
        0.5
    """

def SchedInverseSqrt(start: _Ends, end: _Ends) -> Schedule:
    """Return the schedule `1 / sqrt((1 - pos) / start**2 + pos / end**2)`.

    Any stretch of `c / sqrt(a + pos)` from one value to another. Within 4 ulp.

    Args:
        start: Value at 0: a finite number, or one per parameter group.
        end: Value at 1, likewise, of the same sign, neither 0.

    Raises:
        TypeError: An end is no number or sequence of numbers.
        ValueError: An end is not finite or 0, the signs or the numbers of groups differ.

    Example:
        >>> from lehr import SchedInverseSqrt
        >>> SchedInverseSqrt(2, 1)([0, 1]).tolist()
        [2.0, 1.0]

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 5.3.
    """

def SchedTanh(
    start: _Ends, end: _Ends, lower: SupportsFloat = -7.0, upper: SupportsFloat = 3.0
) -> Schedule:
    """Return a schedule along tanh, from exactly `start` to exactly `end`.

    `start + (end - start) (tanh(lower + (upper - lower) pos) - tanh(lower)) / (tanh(upper) -
    tanh(lower))`, within 8 ulp of `max(|start|, |end|)`.

    Args:
        start: Value at 0: a finite number, or one per parameter group.
        end: Value at 1, likewise.
        lower: Where on tanh it begins, in [-100, 100].
        upper: Where it ends, above `lower`, likewise.

    Raises:
        TypeError: An argument is no number.
        ValueError: An end is not finite, the numbers of groups differ, or the bounds are out of
            range.

    Example:
        >>> from lehr import SchedTanh
        >>> SchedTanh(1, 0, -3, 3)(0.5)
        0.5

    Reference:
        Hsueh et al., Stochastic Gradient Descent with Hyperbolic-Tangent Decay, 2018.
    """

def SchedCos(start: _Ends, end: _Ends) -> Schedule:
    """Return the cosine schedule `start + (end - start) (1 - cos(pi pos)) / 2`.

    Computed as `sin^2(pi (1 - pos) / 2) start + sin^2(pi pos / 2) end`, which keeps its relative
    accuracy near a tiny end.

    Args:
        start: Value at 0: a finite number, or one per parameter group.
        end: Value at 1, likewise.

    Raises:
        TypeError: An end is no number or sequence of numbers.
        ValueError: An end is not finite, or the numbers of groups differ.

    Example:
        >>> from lehr import SchedCos
        >>> SchedCos(1e-3, 1e-7)(1.0)
        1e-07

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.
    """

def SchedNo(start: _Ends, end: _Ends) -> Schedule:
    """Return the constant schedule `start`.

    Args:
        start: The value: a finite number, or one per parameter group.
        end: Not used, and kept as `.end`.

    Raises:
        TypeError: An end is no number or sequence of numbers.
        ValueError: An end is not finite, or the numbers of groups differ.

    Example:
        >>> from lehr import SchedNo
        >>> SchedNo(0.1, 0)(0.7)
        0.1
    """

def SchedExp(start: _Ends, end: _Ends) -> Schedule:
    """Return the exponential schedule `start (end / start)^pos`.

    Args:
        start: Value at 0: a finite number other than 0, or one per parameter group.
        end: Value at 1, likewise, of the same sign.

    Raises:
        TypeError: An end is no number or sequence of numbers.
        ValueError: An end is 0 or not finite, the signs differ, or the numbers of groups differ.

    Example:
        >>> from lehr import SchedExp
        >>> SchedExp(1, 100)(0.5)
        10.0
    """

def SchedPoly(start: _Ends, end: _Ends, power: SupportsFloat) -> Schedule:
    """Return the polynomial schedule `start + (end - start) pos^power`.

    Args:
        start: Value at 0: a finite number, or one per parameter group.
        end: Value at 1, likewise.
        power: A finite number above 0.

    Raises:
        TypeError: An argument is no number.
        ValueError: An end is not finite, `power` is not above 0, or the numbers of groups differ.

    Example:
        >>> from lehr import SchedPoly
        >>> SchedPoly(0, 2, 2)(0.5)
        0.5
    """

def combine_scheds(pcts: _Numbers, scheds: Iterable[Schedule | Callable[[float], Any]]) -> Schedule:
    """Return the schedule that runs `scheds` one after the other.

    Phase i covers the share `pcts[i]` of training and runs from its own 0 to its own 1 in it. A
    position on a boundary belongs to the phase it starts, as does one below it by at most 1e-12,
    so that a phase whose start falls on a whole step starts at that step. Empty phases are
    passed over.

    Args:
        pcts: Share of each phase: at least 0, summing to 1 within 1e-6 (they are rescaled).
        scheds: As many schedules, or functions of a float position in [0, 1] that return a number
            or one per group.

    Raises:
        TypeError: A share is no number, or a phase can not be called.
        ValueError: The lengths differ, a share is negative or not finite, the sum is off 1, the
            numbers of groups differ, phases nest more than 64 deep or are more than 1,000,000 in
            all.

    Example:
        >>> from lehr import SchedCos, SchedLin, SchedNo, combine_scheds
        >>> f = combine_scheds([0.3, 0.2, 0.5], [SchedLin(0, 1), SchedNo(1, 1), SchedCos(1, 0)])
        >>> f([0, 0.15, 0.3, 0.4, 1])
        array([0. , 0.5, 1. , 1. , 0. ])
    """

def combined_cos(pct: SupportsFloat, start: _Ends, middle: _Ends, end: _Ends) -> Schedule:
    """Return the cosine from `start` to `middle` over the share `pct`, then from `middle` to `end`.

    Exactly `combine_scheds([pct, 1 - pct], [SchedCos(start, middle), SchedCos(middle, end)])`, the
    form of the 1cycle policy.

    Args:
        pct: Share of training until `middle`, in [0, 1].
        start: Value at 0: a finite number, or one per parameter group.
        middle: Value at `pct`, likewise.
        end: Value at 1, likewise.

    Raises:
        TypeError: An argument is no number or sequence of numbers.
        ValueError: `pct` is outside [0, 1], an end is not finite, or the numbers of groups differ.

    Example:
        >>> from lehr import combined_cos
        >>> combined_cos(0.25, 0.5, 1, 0)([0, 0.25, 0.5, 1])
        array([0.5 , 1.  , 0.75, 0.  ])

    Reference:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large
        Learning Rates", 2017.
    """

@overload
def sched_lin(start: _Ends, end: _Ends, pos: SupportsFloat) -> Any:
    """Return `SchedLin(start, end)(pos)`.

    Example:
        >>> from lehr import sched_lin
        >>> sched_lin(0, 2, 0.5)
        1.0
    """

@overload
def sched_lin(start: _Ends, end: _Ends, pos: _Numbers) -> NDArray[np.float64]: ...
@overload
def sched_cos(start: _Ends, end: _Ends, pos: SupportsFloat) -> Any:
    """Return `SchedCos(start, end)(pos)`.

    Example:
        >>> from lehr import sched_cos
        >>> sched_cos(0, 2, 0.5)
        1.0
    """

@overload
def sched_cos(start: _Ends, end: _Ends, pos: _Numbers) -> NDArray[np.float64]: ...
@overload
def sched_no(start: _Ends, end: _Ends, pos: SupportsFloat) -> Any:
    """Return `SchedNo(start, end)(pos)`, which is `start`.

    Example:
        >>> from lehr import sched_no
        >>> sched_no(3, 2, 0.5)
        3.0
    """

@overload
def sched_no(start: _Ends, end: _Ends, pos: _Numbers) -> NDArray[np.float64]: ...
@overload
def sched_exp(start: _Ends, end: _Ends, pos: SupportsFloat) -> Any:
    """Return `SchedExp(start, end)(pos)`.

    Example:
        >>> from lehr import sched_exp
        >>> sched_exp(1, 4, 0.5)
        2.0
    """

@overload
def sched_exp(start: _Ends, end: _Ends, pos: _Numbers) -> NDArray[np.float64]: ...
def valley(lrs: _Numbers, losses: _Numbers, num_it: Any) -> tuple[float, tuple[float, float]]:
    """Suggest the rate about two thirds down the longest valley of a learning-rate sweep.

    The valley is the longest strictly decreasing subsequence of `losses`, not necessarily
    contiguous; the one that ends first. With its length n and the index e of its last point the
    suggestion is the rate at index `e - n + n // 3 + n // 6`, at least 0. O(n log n).

    Args:
        lrs: Learning rate of each point of the curve: finite numbers, at least one.
        losses: As many losses; NaN and infinity take no part.
        num_it: Number of iterations of the sweep; not used, every rule is called with it.

    Returns:
        The suggested rate, and the point (rate, loss) of the curve it stands on. Where the point
        has no finite loss, the next one on the curve.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: The lengths differ, there is no point, or a rate is not finite.

    Example:
        >>> from lehr import valley
        >>> losses = [9, 8, 7, 6, 5, 4, 5, 6]
        >>> valley([10.0**i for i in range(-8, 0)], losses, 8)
        (1e-06, (1e-06, 7.0))

    Reference:
        ESRI's rule, as in fastai's `callback.schedule.valley`.
    """

def slide(
    lrs: _Numbers,
    losses: _Numbers,
    num_it: Any,
    lr_diff: SupportsIndex = 15,
    thresh: SupportsFloat = 0.005,
    adjust_value: SupportsFloat = 1.0,
) -> tuple[float, tuple[float, float]]:
    """Suggest the rate that an interval sliding down from the end of a sweep stops at.

    With g the gradient of the losses over their index (central differences, one-sided at the
    ends), the interval from l to l + `lr_diff` starts at the last point and moves left, point by
    point, while `|g[l + lr_diff] - g[l]| > thresh * (max(losses) - min(losses))`. The suggestion
    is `adjust_value` times the rate at the last l where that held, or at the first l where it
    never does. Scaling or shifting the losses changes nothing.

    Args:
        lrs: Learning rate of each point of the curve: finite numbers above 0, at least one.
        losses: As many losses; points where they are NaN or infinite are dropped.
        num_it: Number of iterations of the sweep; not used, every rule is called with it.
        lr_diff: Width of the interval in points, at least 1. On a curve with no more points than
            that it is a sixth of them, at least 1.
        thresh: Change of the gradient, as a share of the range of the losses, that stops the
            interval: a finite number of at least 0.
        adjust_value: Factor of the suggestion: a finite number above 0.

    Returns:
        The suggested rate, and the point of it: the rate, and the loss there, interpolated
        linearly over the logarithm of the rate; beyond the curve the loss of its end.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers, `lr_diff` no integer, or `thresh`
            or `adjust_value` no number.
        ValueError: The lengths differ, there is no point, or a number is outside its range.

    Example:
        >>> from lehr import slide
        >>> lrs = [10.0**i for i in range(-8, 0)]
        >>> slide(lrs, [5, 5, 5, 4, 3, 3, 4, 9], 8, lr_diff=2, thresh=0.1)
        (1e-05, (1e-05, 4.0))

    Reference:
        "Automated Learning Rate Suggester", fastai forum, 2019; fastai's
        `callback.schedule.slide`, whose threshold is absolute: the answers are the same where
        the losses span 1.
    """

def minimum(
    lrs: _Numbers, losses: _Numbers, num_it: Any, window: SupportsIndex = 1
) -> tuple[float, tuple[float, float]]:
    """Suggest a tenth of the rate at the least loss of a sweep.

    The least of the means of `window` consecutive losses is looked for, the first of equal ones;
    it stands for its middle point i, and the suggestion is `lrs[i] / 10`.

    Args:
        lrs: Learning rate of each point of the curve: finite numbers, at least one.
        losses: As many losses; points where they are NaN or infinite are dropped.
        num_it: Number of iterations of the sweep; not used, every rule is called with it.
        window: Number of points of the moving mean, odd and at least 1; 1 takes the losses as
            they are. Only whole windows count; a curve with fewer points takes the largest odd
            number of them.

    Returns:
        The suggested rate, and the point (rate, loss) of the minimum, at ten times the rate.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers, or `window` no integer.
        ValueError: The lengths differ, there is no point, a rate is not finite, or `window` is
            even or below 1.

    Example:
        >>> from lehr import minimum
        >>> minimum([0.01, 0.1, 1.0, 10.0], [4, 3, 2, 8], 4)
        (0.1, (1.0, 2.0))

    Reference:
        fastai's `callback.schedule.minimum`, which is `window=1`.
    """

def steep(
    lrs: _Numbers, losses: _Numbers, num_it: Any, window: SupportsIndex = 1
) -> tuple[float, tuple[float, float]]:
    """Suggest the rate at which the loss of a sweep falls fastest over the logarithm of the rate.

    With `window=1` the slope at point i is that to the next one,
    `(losses[i+1] - losses[i]) / (ln lrs[i+1] - ln lrs[i])`; with more it is the least-squares
    slope of `window` consecutive points around i. The suggestion is the rate at the point with
    the least slope, the first of those equal within a share of 1e-9.

    Args:
        lrs: Learning rate of each point of the curve: finite numbers above 0, at least one.
        losses: As many losses; points where they are NaN or infinite are dropped.
        num_it: Number of iterations of the sweep; not used, every rule is called with it.
        window: Number of points a slope is fitted to, odd and at least 1. Only whole windows
            count; a curve with fewer points takes the largest odd number of them.

    Returns:
        The suggested rate, and the point (rate, loss) of the curve it stands on.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers, or `window` no integer.
        ValueError: The lengths differ, there is no point, a rate is not a finite number above 0,
            or `window` is even or below 1.

    Example:
        >>> from lehr import steep
        >>> steep([0.01, 0.1, 1.0, 10.0], [4, 3, 1, 8], 4)
        (0.1, (0.1, 3.0))

    Reference:
        fastai's `callback.schedule.steep`, which is `window=1`.
    """

def robust(
    lrs: _Numbers,
    losses: _Numbers,
    steps: SupportsFloat | None = None,
    diverged: bool = False,
    **constants: SupportsFloat,
) -> tuple[float, tuple[float, float], float, str, str, float]:
    """Suggest a rate between where the loss has fallen and where it breaks away, and judge it.

    The losses are raw ones. With x the decimal logarithm of the rate, P the median of the first
    35 % of a running median of 3, sigma the noise there (median absolute difference of neighbours,
    scaled to a standard deviation), s a centred local-linear smoother over half a decade to either
    side of the losses capped at `P + 3 |P - least| + 5 sigma`, and e its standard error, or the
    median of `|s - P|` in those 35 % where that is more:

    - the drop is `D = P - min s`, its signal-to-noise ratio `q = D / e`;
    - t is where 90 % of the drop is done;
    - d, where the loss breaks away, is the soonest of: the first x behind the minimum with `s`
      above it by `max(D, 9 e)`; 0.3 decades behind the first of `4 (n / 12.5)^(1/4)` spikes with at
      most 0.6 decades between neighbours, losses above P by more than 5 sigma and more than three
      times what the running median is at most in those 35 %; where the loss is no longer finite.
      Else it is the end;
    - `x = d - w (3/4 min(d - t, 9/4) + 0.42) - 0.9 (1 - w) + 0.65 log10(n / 12.5)`, with
      `w = q^4 / (q^4 + 6^4)` and n iterations a decade, from 3 to 100. Without a break 9/4 is 3,
      and x is higher by 0.15. For a training of `steps` steps, from 10 to 100,000, it is lower by
      `log10(steps / 170) / 3`.

    It stays in the swept range and 0.2 decades below the break, and does not change when losses are
    scaled or shifted. It is "ok" where the loss breaks away, or ends above its least by
    `max(0.03 D, 9 e)`, or has diverged, and q is at least 6; "weak" where one of them fails, where
    the answer would lie below the swept range, or where the loss is lowest in its first 35 %;
    "none" where both fail, or where fewer than 10 losses can be read or rates span less than a
    decade.

    Args:
        lrs: Learning rate of each point: finite, above 0, never falling; at least one.
        losses: As many losses. The curve begins at the first finite one and ends before two in a
            row that are not, or a last one; others that are not are left out.
        steps: Length of the training to come in steps, at least 1.
        diverged: Whether the sweep is known to have ended because its loss diverged.
        constants: The rule's constants by their names in `lehr_core::suggest::Constants`.

    Returns:
        The rate; the lowest and the highest that may be as good (in four of five sweeps of the
        benchmark with that status, the best rate lay between them); the smooth loss there; the
        status; its reason in words; and q.

    Raises:
        TypeError: An argument is of another kind, or there is no such constant.
        ValueError: The lengths differ, there is no point, a rate is not a finite number above 0
            or is below the one before it, `steps` is below 1, or a constant is out of range.

    Example:
        >>> rates = [10 ** (i / 12 - 6) for i in range(72)]
        >>> losses = [3 if i < 30 else 2 if i < 55 else 9 for i in range(72)]
        >>> robust(rates, losses)[3]
        'ok'

    Reference:
        `benches/suggest.py` measures what it is worth; `docs/reading-a-sweep.md` explains it.
    """

def ask(
    lrs: _Numbers,
    losses: _Numbers,
    num_it: int,
    methods: Sequence[str],
    steps: SupportsFloat | None,
    diverged: bool,
) -> list[tuple[float, tuple[float, float] | None, str, tuple[float, float] | None, str, float]]:
    """Ask rules by name about a curve of raw losses.

    Args:
        lrs: The rates.
        losses: As many raw losses.
        num_it: The number of iterations the sweep was meant to have.
        methods: Names in `METHODS`.
        steps: The length of the training to come, for the rule that heeds it.
        diverged: Whether the sweep is known to have ended because its loss diverged.

    Returns:
        For each rule the rate, NaN where it has nothing to say; the point (rate, loss) it stands
        on; why there is nothing or it is weak; and of "robust" the interval, the status and the
        signal-to-noise ratio.

    Raises:
        ValueError: A name is unknown.

    Example:
        >>> ask([1e-4, 1e-3, 1e-2, 1e-1], [3, 2.5, 1, 9], 4, ["minimum"], None, False)[0][0]
        0.001
    """

def suggest_many(
    lrs: tuple[NDArray[Any], NDArray[Any]],
    losses: tuple[NDArray[Any], NDArray[Any]],
    valid: NDArray[np.bool_] | None,
    smoothing: str | None,
    num_it: NDArray[np.int64],
    diverged: NDArray[np.bool_] | None,
    methods: Sequence[str],
    steps: float | None,
    threads: int,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int8],
    NDArray[np.uint8],
    NDArray[np.int64],
    list[NDArray[np.float64]],
    list[NDArray[np.float64]],
]:
    """Ask rules about many curves; nothing is copied but float32, which becomes float64.

    Args:
        lrs: The values of lists one after the other, float32 or float64, and the int32 or int64
            offsets at which each begins: one more than there are lists.
        losses: Likewise, as many lists.
        valid: Which rows hold a curve; `None` for all.
        smoothing: How the losses were averaged, as of `curve`.
        num_it: The iterations each sweep was meant to have: none for its points, one for all, or
            one a curve.
        diverged: Which sweeps are known to have ended because the loss diverged; `None` for none.
        methods: Names in `METHODS`.
        steps: The length of the training to come.
        threads: The most threads; they end before this returns.

    Returns:
        The numbers of points; codes of the statuses "ok", "weak", "none" and "bad"; the bytes of
        the reasons, and where each ends; the rates of each method; and of "robust" the lowest and
        the highest rate, the signal-to-noise ratio and the agreement.

    Raises:
        TypeError: Values or offsets are of another type.
        ValueError: Offsets fall or go beyond the values, numbers of lists differ, or a name is
            unknown.

    Example:
        >>> import numpy as np
        >>> lrs = np.array([1e-4, 1e-3, 1e-2, 1e-1]), np.array([0, 4])
        >>> losses = np.array([3, 2.5, 1, 9], np.float32), np.array([0, 4])
        >>> num_it = np.array([], dtype=np.int64)
        >>> suggest_many(lrs, losses, None, None, num_it, None, ["minimum"], None, 1)[4]
        [array([0.001])]
    """

def order_by_run(
    codes: NDArray[np.int32],
    runs: int,
    steps: NDArray[np.int64] | NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the order of rows by run, and where each run begins in it.

    Args:
        codes: The number of each row's run, by their first rows.
        runs: How many runs there are.
        steps: What orders the rows of a run, NaN last; equal ones stay as they are.

    Returns:
        The rows in that order, `None` where they lie so already; and `runs + 1` offsets.

    Raises:
        ValueError: A code is not below `runs`, or there are not as many steps as codes.

    Example:
        >>> import numpy as np
        >>> order, offsets = order_by_run(np.array([0, 1, 0], dtype=np.int32), 2)
        >>> order.tolist(), offsets.tolist()
        ([0, 2, 1], [0, 2, 3])
    """

def smooth_local(lrs: _Numbers, losses: _Numbers) -> NDArray[np.float64]:
    """Return the smooth curve that `robust` reads, of shape (n,).

    NaN where `robust` leaves points out, and everywhere where it has too few.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: As in `robust`.

    Example:
        >>> smooth_local([10 ** (i / 5) for i in range(11)], [2.0] * 11).round(9).tolist()[:2]
        [2.0, 2.0]
    """

def decades_apart(lr: float, others: Sequence[float]) -> float:
    """Return the median of `|log10(other / lr)|` over the finite ones above 0; NaN without any.

    Example:
        >>> decades_apart(0.01, [0.1, float("nan")])
        1.0
    """

def median(values: _Numbers) -> float:
    """Return the median of numbers; of an even count the mean of the two in the middle.

    Raises:
        ValueError: There is none, or one is NaN.

    Example:
        >>> median([3, 1])
        2.0
    """

def spread(lrs: _Numbers) -> tuple[float, tuple[float, float], float, list[int]]:
    """Return how rates lie.

    Args:
        lrs: The rates, above 0, at least one.

    Returns:
        Their median and quartiles, on a logarithmic scale and linear between neighbours; 1.48 times
        the median distance from the median, in decades; and the indices of outliers: further from
        the median than 3.5 times that and than .3 decades, of at least 5 rates.

    Raises:
        ValueError: There is no rate, or one is not a finite number above 0.

    Example:
        >>> spread([1e-3, 1e-3, 1.5e-3, 1e-3, 1.0])[3]
        [4]

    Reference:
        Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.
    """

def trend(values: _Numbers, lrs: _Numbers) -> tuple[float, float, int] | None:
    """Return how rates go with a quantity such as the batch size.

    Args:
        values: The quantity of each rate, above 0.
        lrs: As many rates, above 0.

    Returns:
        The power: the median slope between the median rates at any two values, both on logarithmic
        scales; Kendall's tau; and the number of different values, of at most 1,000 of which the
        pairs are looked at. `None` of fewer than 3 values.

    Raises:
        ValueError: The lengths differ, or a number is not finite and above 0.

    Example:
        >>> power, tau, values = trend([16, 64, 256], [1e-3, 2e-3, 4e-3])
        >>> round(power, 12), tau, values
        (0.5, 1.0, 3)

    Reference:
        Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", 1968.
    """

def lightning(
    lrs: _Numbers, losses: _Numbers, skip_begin: int = 10, skip_end: int = 1
) -> tuple[float, tuple[float, float]] | None:
    """Suggest what Lightning (2.5.3 and later) does.

    The rate at the least gradient of the losses over the rate itself, not its logarithm. With h0
    and h1 the gaps of the rates before and after a point it is
    `(h0 (y2 - y1) / h1 + h1 (y1 - y0) / h0) / (h0 + h1)`, one-sided at the ends, in float32. Its
    rounding divided by the tiny gaps of small rates is larger than most slopes, so the suggestion
    is mostly among the smallest rates: for comparison, not for use.

    Args:
        lrs: Learning rate of each point: finite numbers, at least one.
        losses: As many losses, as Lightning averages them: `average(losses, "lightning")`.
        skip_begin: Number of first points to leave out.
        skip_end: Number of last points to leave out. Of the rest those count that are finite.

    Returns:
        The suggested rate and the point (rate, loss), or `None` where fewer than two points count.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: The lengths differ, there is no point, or a rate is not finite.

    Example:
        >>> lightning([0.1, 0.2, 0.4, 0.8], [4.0, 3.9, 2.0, 1.9], 0, 0)
        (0.4, (0.4, 2.0))

    Reference:
        `lightning.pytorch.tuner.lr_finder._LRFinder.suggestion`.
    """

def torch_lr_finder(
    lrs: _Numbers, losses: _Numbers, skip_start: int = 10, skip_end: int = 5
) -> tuple[float, tuple[float, float]] | None:
    """Suggest what torch-lr-finder does.

    The rate at the least gradient of the losses over their index: central differences, one-sided
    at the ends. One that is NaN counts as the least.

    Args:
        lrs: Learning rate of each point: finite numbers, at least one.
        losses: As many losses, as torch-lr-finder averages them: `average(losses,
            "torch_lr_finder")`.
        skip_start: Number of first points to leave out.
        skip_end: Number of last points to leave out.

    Returns:
        The suggested rate and the point (rate, loss), or `None` where fewer than two points are
        left.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: The lengths differ, there is no point, or a rate is not finite.

    Example:
        >>> torch_lr_finder([0.1, 0.2, 0.4, 0.8], [4.0, 3.9, 2.0, 1.9], 0, 0)
        (0.2, (0.2, 3.9))

    Reference:
        `torch_lr_finder.LRFinder.plot`.
    """

def ignite(lrs: _Numbers, losses: _Numbers) -> tuple[float, tuple[float, float]] | None:
    """Suggest what ignite does.

    The rate at the least central difference of the losses, in float32, left of the least loss.
    NaN counts as the least, of losses and of differences.

    Args:
        lrs: Learning rate of each point: finite numbers, at least one.
        losses: As many losses, as ignite averages them: `average(losses, "ignite")`.

    Returns:
        The suggested rate and the point (rate, loss), or `None` where the least loss is one of the
        first two.

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: The lengths differ, there is no point, or a rate is not finite.

    Example:
        >>> ignite([0.1, 0.2, 0.4, 0.8], [4.0, 3.9, 2.0, 9.0])
        (0.2, (0.2, 3.9))

    Reference:
        `ignite.handlers.FastaiLRFinder.lr_suggestion`.
    """

def group_values(value: Any, groups: int, name: str) -> list[float]:
    """Return one value per group from a number, a sequence, or a slice.

    Args:
        value: One number or a sequence of one for all groups; a sequence of `groups` numbers;
            `slice(a, b)` for equal ratios from a to b; `slice(b)` for b in the last group and
            b / 10 before it.
        groups: Number of groups.
        name: The argument that errors name.

    Raises:
        TypeError: `value` is not of these forms.
        ValueError: It has another length, or a number is not finite or outside its range.

    Example:
        >>> group_values(slice(1.0, 4.0), 3, "lr")
        [1.0, 2.0, 4.0]
    """

def one_cycle_lr(
    lr_max: _Ends, div: SupportsFloat, div_final: SupportsFloat, pct_start: SupportsFloat
) -> Schedule:
    """Return `combined_cos(pct_start, lr_max / div, lr_max, lr_max / div_final)`.

    Raises:
        ValueError: `div` or `div_final` is not above 0, or `pct_start` is outside [0, 1].
    """

def run_length(
    steps: int | str,
    total: int | None,
    counts_epochs: bool,
    steps_per_epoch: int | None,
    tokens_per_step: float | None,
) -> int:
    """Return the number of steps from a number or a length, to the nearest.

    Args:
        steps: A number of at least 1, or a length such as "500 steps", "2 epochs", "20e9 tokens",
            and where there is a `total` also "10%".
        total: Steps of the run it is a part of; `None` where it is the run.
        counts_epochs: Whether a step of the schedule is an epoch.
        steps_per_epoch: Optimizer steps in an epoch.
        tokens_per_step: Tokens that one optimizer step sees.

    Raises:
        TypeError: `steps` is neither an integer nor a string.
        ValueError: It is no length, has a unit that nothing here resolves, or is below 1.

    Example:
        >>> run_length("2.5 epochs", None, False, 100, None)
        250
    """

def length_share(
    text: str,
    name: str,
    total: int,
    counts_epochs: bool,
    steps_per_epoch: int | None,
    tokens_per_step: float | None,
) -> float:
    """Return the share of a run of `total` steps that a length is, in whole steps."""

def check_length(text: str, name: str) -> None:
    """Raise ValueError where a text is no length, or "rest"."""

def combine_lengths(
    lengths: Sequence[str],
    scheds: Iterable[Schedule | Callable[[float], Any]],
    total: int,
    counts_epochs: bool,
    steps_per_epoch: int | None,
    tokens_per_step: float | None,
) -> Schedule:
    """Return the schedule of phases of the given lengths; see `lehr.PhaseSpec`.

    Example:
        >>> combine_lengths(
        ...     ["10%", "rest"], [SchedLin(0, 1), SchedLin(1, 0)], 50, False, None, None
        ... )
        combine_scheds([0.1, 0.9], [SchedLin(0.0, 1.0), SchedLin(1.0, 0.0)])
    """

def carried_step(step: int, then: int, now: int) -> int:
    """Return the step of a training of `now` steps at the share of `step` in one of `then`.

    To the nearest: `round(step now / then)`.

    Example:
        >>> carried_step(7, 20, 40)
        14
    """

def write_hyper(name: str, writes: list[tuple[dict[str, Any], str, int | None, float]]) -> None:
    """Set a hyper-parameter in torch groups, in all of them or in none (rule 12).

    Tensors are filled in place, tuples rebuilt, anything else becomes a Python float.

    Args:
        name: Its public name, for errors.
        writes: For each group the group, the key, the index into the tuple it holds, the value.

    Raises:
        TypeError: A group holds no number there.
    """

def reduced_lr(lrs: _Numbers, reduction: SupportsFloat, min_lr: SupportsFloat) -> list[float]:
    """Return `max(lr * reduction, min(lr, min_lr))` for each rate: none rises.

    Args:
        lrs: Rates, each finite and at least 0.
        reduction: Factor, in [0, 1]; repeated reductions may underflow to 0.
        min_lr: What no rate is reduced below, at least 0.

    Raises:
        TypeError: An argument is of another kind.
        ValueError: A number is outside its range.

    Example:
        >>> reduced_lr([1.0, 0.25, 0.125], 0.5, 0.25)
        [0.5, 0.25, 0.125]
    """

def flat_cos_lr(lr: _Ends, div_final: SupportsFloat, pct_start: SupportsFloat) -> Schedule:
    """Return `combined_cos(pct_start, lr, lr, lr / div_final)`.

    Raises:
        ValueError: `div_final` is not above 0, or `pct_start` is outside [0, 1].
    """

def sgdr_epochs(n_cycles: int, cycle_len: int, cycle_mult: SupportsFloat) -> int:
    """Return the whole number nearest to the sum of `cycle_len cycle_mult^i`, at least 1.

    Raises:
        ValueError: `cycle_mult` is not above 0, or the sum is above 1e9.

    Example:
        >>> sgdr_epochs(3, 1, 2)
        7
    """

def sgdr_lr(lr_max: _Ends, n_cycles: int, cycle_mult: SupportsFloat, steps: int) -> Schedule:
    """Return `n_cycles` cosines from `lr_max` to 0 over `steps` steps.

    Each is `cycle_mult` times as long as the one before and begins at a whole step.

    Raises:
        ValueError: `cycle_mult` is not above 0, or a cycle would be shorter than a step.
    """

def fine_tune_lrs(
    base_lr: Any, lr_mult: SupportsFloat, groups: int
) -> tuple[list[float], list[float]]:
    """Return the peak rate of each group while those before the last are frozen, and afterwards.

    Of one rate: `base_lr / 10` and `base_lr` for the last group; then equal ratios from
    `base_lr / 2 / lr_mult` to `base_lr / 2`. Of a slice or one rate per group: those, then their
    halves.

    Raises:
        TypeError: `base_lr` is no number, sequence or slice.
        ValueError: A number is not above 0, or there are not as many as groups.

    Example:
        >>> fine_tune_lrs(2e-3, 100, 2)
        ([0.0002, 0.002], [1e-05, 0.001])
    """

def sweep_lr(start_lr: _Ends, end_lr: _Ends) -> Schedule:
    """Return `SchedExp(start_lr, end_lr)` for rates above 0.

    Raises:
        TypeError: A rate is no number or sequence of numbers.
        ValueError: A rate is not a finite number above 0, or the numbers of groups differ.
    """

@final
class EventReader:
    """A reader of the scalars in the TensorBoard event files of one run.

    Fed with the bytes of each file in pieces of any size, the files in order of time. It keeps the
    scalars, and of the bytes only the record they break off in. Reads what `add_scalar` writes,
    as numbers and as tensors; everything else is passed over.

    Example:
        >>> reader = EventReader()
        >>> reader.push(bytes(16))
        Traceback (most recent call last):
        ValueError: record at byte 0: the checksum of its length is wrong
        >>> reader.finish()
        >>> reader.take()
        {}
    """

    def __new__(cls) -> Self: ...
    def push(self, data: bytes) -> None:
        """Read the next bytes of a file.

        Args:
            data: Bytes, from where the ones before end.

        Raises:
            ValueError: If a record is corrupt; the message has the byte it begins at, and what is
                wrong. What was before it is kept, the rest of the file is passed over.
        """

    def finish(self) -> None:
        """End the file and be ready for the next one.

        A later file wins from its first step on, tag by tag: that run went on from before the
        end of the one before, or began anew.

        Raises:
            ValueError: If the file breaks off within a record. The reader is ready all the same.
        """

    def take(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
        """Hand over what was read, and forget it.

        Returns:
            For each tag, in order of appearance, the steps, the times in seconds since 1970, and
            the values.
        """

    @property
    def started(self) -> float | None:
        """The time of the first event, in seconds since 1970; None before it."""

    @property
    def replaced(self) -> int:
        """How many scalars gave way to those of a later file."""

    @property
    def passed_over(self) -> int:
        """How many tensors under tags of scalars hold no number, or more than one."""

@final
class Smoother:
    """A debiased exponential average: `v / (1 - beta^k)` with `v = beta v + (1 - beta) loss`.

    A loss that is not finite is reported as NaN and passed over.

    Args:
        beta: Memory, in [0, 1).
        total: The sum `v` to go on from.
        weight: The `1 - beta^k` to go on from.

    Example:
        >>> smoother = Smoother(0.5)
        >>> smoother.extend([1.0, 4.0])
        [1.0, 3.0]
    """

    def __new__(cls, beta: float = 0.98, total: float = 0.0, weight: float = 0.0) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def push(self, loss: float) -> float:
        """Take in a loss and return the average so far; NaN where the loss is not finite."""
    def extend(self, losses: Sequence[float]) -> list[float]:
        """Take in losses and return the average after each."""

def curve(
    lrs: _Numbers, losses: _Numbers, smoothing: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the points of a sweep; return its rates, and its losses as before `smoothing`.

    With s the stored averages, their weights `w[i] = old w[i-1] + new` and the formulas of
    `average`, the losses are `s[i] + (old / new) w[i-1] (s[i] - s[i-1])`. The rounding of s is
    amplified by `1 + 2 old w / new`: from 1 to 99 fold for "fastai" and "lightning", 39 fold for
    the others. So float64 averages give losses to 2e-14 of the size of the averages, and float32
    ones to 6e-6 of it, more where the finder itself sums in float32.

    A stored value that is not finite gives NaN: the tools go on with NaN or infinity for ever
    after such a loss. A finite value after it follows the last finite one: Lightning stores NaN
    for a step without a loss, and leaves its average as it was.

    Args:
        lrs: Learning rate of each point: finite numbers.
        losses: As many losses, or averages of them.
        smoothing: How they were averaged: "fastai", "lightning", "torch_lr_finder", "ignite", or
            `None` where they were not.

    Returns:
        Rates and raw losses, float64 of shape (n,).

    Raises:
        TypeError: `lrs` or `losses` is no sequence of numbers.
        ValueError: The lengths differ, a rate is not finite, or `smoothing` is unknown.

    Example:
        >>> curve([0.1, 0.2], [3.0, 3.5], "ignite")[1].round(9).tolist()
        [3.0, 13.0]
    """

def average(losses: _Numbers, smoothing: str | None = None) -> NDArray[np.float64]:
    """Return what a finder stores for these losses.

    "fastai" is `v / (1 - .98^(i + 1))` with `v = .98 v + .02 loss` from 0 on; "lightning" has
    the exponent i + 2; "torch_lr_finder" and "ignite" take the first loss as it is and then
    `.95 stored + .05 loss`. From the first loss that is not finite on, none of their averages is
    finite. `None` is the average of `Sweep.smoothed`: as fastai's, but such a loss is reported
    as NaN and passed over.

    Args:
        losses: The loss of each iteration.
        smoothing: Whose average, or `None` for that of lehr.

    Returns:
        The averages, float64 of shape (n,).

    Raises:
        TypeError: `losses` is no sequence of numbers.
        ValueError: `smoothing` is unknown.

    Example:
        >>> average([1.0, 1.0], "lightning").round(3).tolist()
        [0.505, 0.673]
    """

def pool(
    sweeps: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rates of several sweeps and, at each, the mean of their finite losses.

    NaN where fewer than half of them have a finite loss; up to the last rate at which half have.

    Args:
        sweeps: Rates and losses of each, in float64; the rates are those of the longest sweep as
            far as they go.

    Raises:
        ValueError: There is no sweep, or one has other rates.

    Example:
        >>> import numpy as np
        >>> rates = np.array([0.1, 0.2])
        >>> pool([(rates, np.array([3.0, 2.0])), (rates[:1], np.array([5.0]))])[1].tolist()
        [4.0, 2.0]
    """

@final
class SweepState:
    """The losses of a running sweep and its stop rule.

    Args:
        num_it: Number of iterations, at least 1.
        stop_div: Whether a diverging loss ends it: a smoothed loss above four times the best, or
            where the best is 0 or below, above it by three times the range seen. Not tested in
            the first `min(num_it / 10 + 20, num_it / 2)` iterations.
        beta: Memory of the smoothed loss.

    Example:
        >>> state = SweepState(3)
        >>> [state.push(loss) for loss in (3.0, 2.0, 1.0)]
        [None, None, 'finished']
    """

    def __new__(cls, num_it: int, stop_div: bool = True, beta: float = 0.98) -> Self: ...
    def push(self, loss: float) -> str | None:
        """Record a loss; return why the sweep ends, or `None`.

        The reasons are "finished", "diverged", and "non-finite" at the second consecutive loss
        that is NaN or infinite.
        """
    @property
    def losses(self) -> NDArray[np.float64]:
        """The losses as given."""
    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The debiased averages; NaN where the loss is not finite."""
    def __len__(self, /) -> int: ...

@final
class Laid:
    """A schedule laid on the integer steps of a training; what it gives is scaled.

    At step k the position is `(k - begin) / steps`, clamped to [0, 1], and the value
    `times * max(f(pos) * factor, min(f(pos), floor))`.

    Args:
        schedule: The schedule f.
        steps: Steps it takes, at least 1.
        begin: Step at which it begins.
        factor: In [0, 1].
        floor: Where the factor's effect ends.
        times: What all is multiplied by.

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> Laid(SchedLin(1, 0), 4).values(0, 6).tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __new__(
        cls,
        schedule: Schedule,
        steps: int,
        begin: int = 0,
        factor: float = 1.0,
        floor: float = 0.0,
        times: float = 1.0,
    ) -> Self: ...
    @property
    def groups(self) -> int | None:
        """Number of parameter groups it gives values for, or None."""
    def at(self, step: int) -> list[float]:
        """Return the values at a step: one, or one per group."""
    def values(self, first: int, last: int, every: int = 1) -> NDArray[np.float64]:
        """Return the values at every `every`th step from `first` up to `last`, in one row.

        Those of the groups stand side by side.
        """

@final
class Plateau:
    """A factor that falls when a metric no longer improves; see `lehr.Plateau`."""

    def __new__(
        cls,
        factor: float,
        patience: int,
        mode: str,
        threshold: float,
        threshold_mode: str,
        cooldown: int,
    ) -> Self: ...
    state: tuple[float, float | None, int, int]
    """The factor, the best metric, the observations since it, those of the cooldown left."""
    def observe(self, metric: float) -> bool:
        """Take a metric; return whether the factor fell."""

@final
class Stepper:
    """Counts the steps of a training and writes the values of each into an optimizer's groups.

    Args:
        optimizer: The torch optimizer.
        attend: Called as `attend(what, value)` where there is more to do than writing: "move" with
            a step, where the groups are not as planned or the plan has more; "watch" with the
            optimizer's steps since the last step, at step 0 and where that is not 1; "others" once
            it has written over what something else wrote; "end" at a step beyond `end`; "still",
            whether a step of the optimizer moved nothing, and is none; "epoch" with the argument of
            `step`.
        by_optimizer: Whether the optimizer's steps are counted, and not the calls of `step`.
    """

    def __new__(
        cls, optimizer: Any, attend: Callable[[str, Any], Any], by_optimizer: bool
    ) -> Self: ...
    current: int
    """The step whose values are in force."""
    end: int
    """The step at which the schedules end; it can be set alone."""
    paused: bool
    """Whether steps are neither written for nor counted."""
    @property
    def fresh(self) -> int:
        """Steps the optimizer took since the last one that was written for."""
    @property
    def stale(self) -> bool:
        """Whether the optimizer has other groups than planned for, or in another order."""
    def lay(
        self, groups: list[Any], lines: list[tuple[Laid, str, int | None, list[int]]], more: bool
    ) -> None:
        """Plan what is written: schedules, each with a key, an index into its tuple, and groups."""
    def step(self, epoch: Any = None) -> None:
        """Go to the next step and write its values."""
    def took(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Hear that the optimizer took a step; one a scaler made it skip is none."""
    def watch(self, watch: bool) -> None:
        """Say whether `attend` is asked what to make of the optimizer's steps."""
    def write(self, step: int) -> None:
        """Write the values of a step, and stay where it is."""

@final
class Writer:
    """Writes hyper-parameters that are floats, one value each to all groups, often.

    Called with a value for each: one that is no finite float, or that a group holds otherwise than
    as a float, goes to `otherwise(name, value)`.

    Args:
        optimizer: The torch optimizer.
        places: For each hyper-parameter its public name and the key of the groups.
        otherwise: What writes all else.
    """

    def __new__(
        cls, optimizer: Any, places: list[tuple[str, str]], otherwise: Callable[[str, Any], None]
    ) -> Self: ...
    def __call__(self, *values: Any) -> None: ...

@final
class _Noop:
    """Takes a position and does nothing: the floor that benches measure a call against."""

    def __new__(cls) -> Self: ...
    def __call__(self, pos: float) -> float: ...

def trim(n: int, num_it: int) -> tuple[int, int]:
    """Return the range of points a suggestion reads, of `n` of a sweep meant to have `num_it`.

    Without the first `num_it // 10` and the last 5; where that would drop more than half of them,
    without the first tenth and the last twentieth.

    Example:
        >>> trim(100, 100)
        (10, 95)
    """

# The presets: `lehr.presets` has their arguments.

def preset_warmup(schedule: Any, length: Any, start_factor: Any, shape: Any) -> Schedule:
    """Return a schedule behind a warmup: `lehr.warmup`."""

def preset_one_cycle(
    peak: Any, pct: Any, div: Any, final_div: Any, phases: Any, shape: Any
) -> Schedule:
    """Return the rate of a 1cycle: `lehr.one_cycle`."""

def preset_one_cycle_momentum(high: Any, low: Any, pct: Any, phases: Any, shape: Any) -> Schedule:
    """Return the momentum of a 1cycle: `lehr.one_cycle_momentum`."""

def preset_flat_cos(peak: Any, end: Any, flat: Any) -> Schedule:
    """Return a constant followed by a cosine: `lehr.flat_cos`."""

def preset_sgdr(peak: Any, end: Any, cycles: Any, first: Any, mult: Any, decay: Any) -> Schedule:
    """Return cosines with warm restarts: `lehr.sgdr`."""

def preset_wsd(
    peak: Any,
    warmup: Any,
    decay: Any,
    start_factor: Any,
    end: Any,
    stable: Any,
    timescale: Any,
    warmup_shape: Any,
    decay_shape: Any,
    power: Any,
) -> Schedule:
    """Return a warmup, a stable phase and a decay: `lehr.wsd`."""

def preset_inverse_sqrt(
    peak: Any, warmup: Any, timescale: Any, start_factor: Any, shape: Any
) -> Schedule:
    """Return a warmup and the inverse of a square root: `lehr.inverse_sqrt`."""

def preset_multistep(start: Any, milestones: Any, gamma: Any) -> Schedule:
    """Return a constant that is multiplied at milestones: `lehr.multistep`."""

def preset_cyclic(
    low: Any, high: Any, cycles: Any, period: Any, up: Any, mode: Any, gamma: Any
) -> Schedule:
    """Return waves between two values: `lehr.cyclic`."""

def preset_piecewise(points: Any, shape: Any) -> Schedule:
    """Return lines or half cosines through points: `lehr.piecewise`."""

def preset_polynomial(start: Any, end: Any, power: Any) -> Schedule:
    """Return a power of what remains: `lehr.polynomial`."""

def preset_k_decay(start: Any, end: Any, k: Any, shape: Any) -> Schedule:
    """Return a decay over a power of the position: `lehr.k_decay`."""
