"""Measuring side by side: every call in turn, many rounds, the minimum of each."""

import timeit

ROUNDS = 60
# One measurement lasts at least this long, in seconds, so that the clock's own cost vanishes.
SHORTEST = 1e-3


def minima(*calls, number=None, rounds=ROUNDS):
    """Return the least time of each call in seconds, the calls taking turns.

    A call is a statement and the names in it. It runs `number` times in a row, by default until
    `SHORTEST` is over.
    """
    timers = [timeit.Timer(statement, globals=names) for statement, names in calls]
    numbers = [number or enough(timer) for timer in timers]
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, (timer, many) in enumerate(zip(timers, numbers, strict=True)):
            best[i] = min(best[i], timer.timeit(many) / many)
    return best


def enough(timer):
    number = 1
    while timer.timeit(number) < SHORTEST:
        number *= 2
    return number


def ns(ours, other):
    return f"{ours * 1e9:.0f} / {other * 1e9:.0f} ns"


def us(ours, other):
    return f"{ours * 1e6:.1f} / {other * 1e6:.1f} us"


def ms(ours, other):
    return f"{ours * 1e3:.1f} / {other * 1e3:.1f} ms"


def mb(ours, other):
    return f"{ours / 1e6:.1f} / {other / 1e6:.1f} MB"


def show(rows):
    """Print rows of (measure, value, goal or None, figures) as they come."""
    for name, value, goal, figures in rows:
        verdict = "" if goal is None else "ok" if value <= goal else "MISS"
        aim = "" if goal is None else f"<= {goal}"
        print(f"{name:<46} {value:>8.4g} {aim:>8} {verdict:<5} {figures}", flush=True)


def heading():
    print(f"{'measure':<46} {'value':>8} {'goal':>8}       figures")
