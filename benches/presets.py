"""The curve of every shape, preset and operation over numpy's closed form of it.

A form is what a good user of numpy writes: one vectorised expression of the position, or one for
each phase, over the steps of that phase alone. Of two plain forms the faster stands here.
"""

import ctypes
import itertools
import math
import sys

import lehr
import numpy as np
from timing import minima, ms

STEPS = 1_000_000
GOAL = 0.35
ROUNDS = 25


def keep_memory():
    """Have the C library keep what is freed, so that no call waits for new pages of memory.

    Whether it does by itself depends on what ran before, and costs either side up to 5 ms a curve.
    """
    if sys.platform != "linux":
        return
    trim, top_pad, mmap = -1, -2, -3  # Of mallopt, in malloc.h.
    for option, size in ((mmap, 1 << 25), (trim, (1 << 31) - 1), (top_pad, 1 << 27)):
        ctypes.CDLL(None).mallopt(option, size)


def position(steps):
    return np.arange(steps) / steps


def phases(steps, *parts):
    """The phases of a curve: each its share, and its value as a number or of its own position."""
    out = np.empty(steps)
    first, begin = 0, 0.0
    for index, (share, form) in enumerate(parts, 1):
        last = steps if index == len(parts) else math.ceil(round(steps * (begin + share), 6))
        if callable(form):
            out[first:last] = form((np.arange(first, last) - begin * steps) / (share * steps))
        else:
            out[first:last] = form
        first, begin = last, begin + share
    return out


def lin(start, end):
    return lambda p: start + (end - start) * p


def cos(start, end):
    return lambda p: start + (end - start) / 2 * (1 - np.cos(np.pi * p))


def exp(start, end):
    return lambda p: start * np.exp(math.log(end / start) * p)


def poly(start, end, power):
    return lambda p: start + (end - start) * p**power


def remaining(start, end, power):
    return lambda p: end + (start - end) * (1 - p) ** power


def rsqrt(peak, timescale, length):
    """`peak sqrt(timescale / (timescale + t))` over a phase of `length`."""
    return lambda p: peak * np.sqrt(timescale / (timescale + length * p))


def tanh(start, end, lower=-7.0, upper=3.0):
    low, high = math.tanh(lower), math.tanh(upper)
    factor = (end - start) / (high - low)
    return lambda p: start + factor * (np.tanh(lower + (upper - lower) * p) - low)


def waves(steps, cycles):
    """Triangles between 0 and 1, and the number of cycles before each."""
    x = np.arange(steps) * (cycles / steps)
    whole = np.floor(x)
    return 1 - np.abs(2 * (x - whole) - 1), whole


def cyclic(steps, low, high, cycles, height=None):
    wave, whole = waves(steps, cycles)
    if height is None:
        return low + (high - low) * wave
    return low + (high - low) * wave * height(whole)


def constants(steps, start, milestones, gamma):
    out = np.empty(steps)
    edges = [0, *(math.ceil(steps * one) for one in milestones), steps]
    for index, (first, last) in enumerate(itertools.pairwise(edges)):
        out[first:last] = start * gamma**index
    return out


def shapes():
    """Of each: the call, ours, and numpy's form."""
    yield "SchedNo(1, 1)", lehr.SchedNo(1, 1), lambda n: np.full(n, 1.0)
    yield "SchedLin(1, 0)", lehr.SchedLin(1, 0), lambda n: np.linspace(1, 0, n, endpoint=False)
    for name, ours, form in (
        ("SchedCos(1, 0)", lehr.SchedCos(1, 0), cos(1, 0)),
        ("SchedExp(1, 1e-3)", lehr.SchedExp(1, 1e-3), exp(1, 1e-3)),
        ("SchedPoly(1, 0, 2)", lehr.SchedPoly(1, 0, 2), poly(1, 0, 2)),
        ("SchedPoly(1, 0, 0.5)", lehr.SchedPoly(1, 0, 0.5), poly(1, 0, 0.5)),
        ("SchedPoly(1, 0, 1.5)", lehr.SchedPoly(1, 0, 1.5), poly(1, 0, 1.5)),
        (
            "SchedInverseSqrt(1, 0.1)",
            lehr.SchedInverseSqrt(1, 0.1),
            lambda p: 1 / np.sqrt(1 + p * 99),
        ),
        ("SchedTanh(1, 0)", lehr.SchedTanh(1, 0), tanh(1, 0)),
    ):
        yield name, ours, lambda n, form=form: form(position(n))


def presets():
    decay = cos(1, 0)
    for shape, ramp in (
        ("linear", lin(0.1, 1)),
        ("cosine", cos(0.1, 1)),
        ("exponential", exp(0.1, 1)),
    ):
        yield (
            f'warmup(SchedCos(1, 0), 0.1, 0.1, "{shape}")',
            lehr.warmup(lehr.SchedCos(1, 0), 0.1, start_factor=0.1, shape=shape),
            lambda n, ramp=ramp: phases(n, (0.1, ramp), (0.9, decay)),
        )
    for shape, form in (("cosine", cos), ("linear", lin)):
        yield (
            f'one_cycle(1, "{shape}")',
            lehr.one_cycle(1, shape=shape),
            lambda n, f=form: phases(n, (0.3, f(1 / 25, 1)), (0.7, f(1, 1 / 25e4))),
        )
        yield (
            f'one_cycle(1, phases=3, "{shape}")',
            lehr.one_cycle(1, phases=3, shape=shape),
            lambda n, f=form: phases(
                n, (0.3, f(1 / 25, 1)), (0.3, f(1, 1 / 25)), (0.4, f(1 / 25, 1 / 25e4))
            ),
        )
    yield (
        "one_cycle_momentum()",
        lehr.one_cycle_momentum(),
        lambda n: phases(n, (0.3, cos(0.95, 0.85)), (0.7, cos(0.85, 0.95))),
    )
    yield "flat_cos(1)", lehr.flat_cos(1), lambda n: phases(n, (0.75, 1.0), (0.25, decay))
    yield (
        "sgdr(1, cycles=3, mult=2)",
        lehr.sgdr(1, cycles=3, mult=2),
        lambda n: phases(n, (1 / 7, decay), (2 / 7, decay), (4 / 7, decay)),
    )
    yield (
        "sgdr(1, first=0.2, mult=1.5, decay=0.5)",
        lehr.sgdr(1, first=0.2, mult=1.5, decay=0.5),
        lambda n: phases(
            n,
            (0.2, decay),
            (0.3, cos(0.5, 0)),
            (0.45, cos(0.25, 0)),
            (0.05, lambda p: cos(0.125, 0)(p * (0.05 / 0.675))),
        ),
    )
    yield from wsds()
    yield (
        "inverse_sqrt(1)",
        lehr.inverse_sqrt(1),
        lambda n: phases(n, (0.1, lin(0, 1)), (0.9, rsqrt(1, 0.1, 0.9))),
    )
    yield (
        "multistep(1, [0.5, 0.75])",
        lehr.multistep(1, [0.5, 0.75]),
        lambda n: constants(n, 1, [0.5, 0.75], 0.1),
    )
    yield (
        "cyclic(0.1, 1, cycles=4)",
        lehr.cyclic(0.1, 1, cycles=4),
        lambda n: cyclic(n, 0.1, 1, 4),
    )
    yield (
        'cyclic(0.1, 1, cycles=4, "triangular2")',
        lehr.cyclic(0.1, 1, cycles=4, mode="triangular2"),
        lambda n: cyclic(n, 0.1, 1, 4, lambda whole: np.exp2(-whole)),
    )
    yield (
        'cyclic(0.1, 1, cycles=4, "exp_range", 0.1)',
        lehr.cyclic(0.1, 1, cycles=4, mode="exp_range", gamma=0.1),
        lambda n: cyclic(n, 0.1, 1, 4, lambda _: exp(1, 0.1)(position(n))),
    )
    yield (
        "polynomial(1, 0, 2)",
        lehr.polynomial(1, 0, 2),
        lambda n: remaining(1, 0, 2)(position(n)),
    )
    yield (
        "polynomial(1, 0, 0.9)",
        lehr.polynomial(1, 0, 0.9),
        lambda n: remaining(1, 0, 0.9)(position(n)),
    )
    yield (
        'polynomial(1, 0, 0.9, of="done")',
        lehr.polynomial(1, 0, 0.9, of="done"),
        lambda n: poly(1, 0, 0.9)(position(n)),
    )
    points = [(0, 0.1), (0.2, 1), (0.6, 0.5), (1, 0)]
    for shape, form in (("linear", lin), ("cosine", cos)):
        yield (
            f'piecewise(4 points, "{shape}")',
            lehr.piecewise(points, shape=shape),
            lambda n, f=form: phases(n, (0.2, f(0.1, 1)), (0.4, f(1, 0.5)), (0.4, f(0.5, 0))),
        )
    yield (
        "k_decay(1)",
        lehr.k_decay(1),
        lambda n: cos(1, 0)(position(n) ** 1.5),
    )
    yield (
        'k_decay(1, shape="linear")',
        lehr.k_decay(1, shape="linear"),
        lambda n: 1 - position(n) ** 1.5,
    )


def wsds():
    for shape, ramp in (
        ("linear", lin(1, 0.1)),
        ("cosine", cos(1, 0.1)),
        ("1-sqrt", poly(1, 0.1, 0.5)),
        ("power", remaining(1, 0.1, 1.5)),
        ("exponential", exp(1, 0.1)),
    ):
        power = {"power": 1.5} if shape == "power" else {}
        yield (
            f'wsd(1, end=0.1, decay "{shape}")',
            lehr.wsd(1, end=0.1, decay_shape=shape, **power),
            lambda n, ramp=ramp: phases(n, (0.05, lin(0, 1)), (0.75, 1.0), (0.2, ramp)),
        )
    level = math.sqrt(0.05 / 0.8)
    yield (
        'wsd(1, stable="rsqrt")',
        lehr.wsd(1, stable="rsqrt"),
        lambda n: phases(n, (0.05, lin(0, 1)), (0.75, rsqrt(1, 0.05, 0.75)), (0.2, lin(level, 0))),
    )


def operations():
    down, wave = lehr.SchedCos(1, 0), lehr.SchedLin(0.5, 1)
    down_form, wave_form = cos(1, 0), lin(0.5, 1)

    def at(form):
        return lambda n: form(position(n))

    yield "f + g", down + wave, at(lambda p: down_form(p) + wave_form(p))
    yield "f * g", down * wave, at(lambda p: down_form(p) * wave_form(p))
    yield "0.1 * f", 0.1 * down, at(lambda p: 0.1 * down_form(p))
    yield (
        "f.then(g, 0.5)",
        down.then(wave, 0.5),
        lambda n: phases(n, (0.5, down_form), (0.5, wave_form)),
    )
    yield (
        "f.clip(0.2, 0.8)",
        down.clip(0.2, 0.8),
        at(lambda p: np.clip(down_form(p), 0.2, 0.8)),
    )
    yield "f.reverse()", down.reverse(), at(lambda p: down_form(1 - p))
    yield "f.part(0.2, 0.7)", down.part(0.2, 0.7), at(lambda p: down_form(0.2 + 0.5 * p))
    yield "f.warp(1.5)", down.warp(1.5), at(lambda p: down_form(p**1.5))
    yield (
        "f.repeat(3, 2)",
        down.repeat(3, 2),
        lambda n: phases(n, (1 / 7, down_form), (2 / 7, down_form), (4 / 7, down_form)),
    )


def rows():
    keep_memory()
    for name, schedule, form in (*shapes(), *presets(), *operations()):
        assert np.allclose(schedule.values(1000), form(1000), rtol=1e-9, atol=1e-13), name
        assert np.allclose(schedule.values(STEPS), form(STEPS), rtol=1e-9, atol=1e-13), name
        ours, numpy = minima(
            ("f.values(n)", {"f": schedule, "n": STEPS}),
            ("f(n)", {"f": form, "n": STEPS}),
            number=1,
            rounds=ROUNDS,
        )
        yield name, ours / numpy, GOAL, ms(ours, numpy)
