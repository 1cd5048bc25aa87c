"""Hypothesis strategies that make every kind of schedule."""

import sys
from pathlib import Path

import lehr
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "reference"))

# Ends within 200 decades: a product of two stays a normal float64.
magnitudes = st.floats(1e-100, 1e100)
finite = st.one_of(st.just(0.0), magnitudes, magnitudes.map(lambda x: -x))
positions = st.floats(0, 1)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda x: sum(x) > 0.01)
powers = st.one_of(st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.floats(0.05, 20))


def ends(groups):
    return finite if groups is None else st.lists(finite, min_size=groups, max_size=groups)


def same_sign(groups):
    values = (
        magnitudes if groups is None else st.lists(magnitudes, min_size=groups, max_size=groups)
    )
    return st.tuples(values, values)


def simple(groups):
    pair = st.tuples(ends(groups), ends(groups))
    return st.one_of(
        pair.map(lambda e: lehr.SchedLin(*e)),
        pair.map(lambda e: lehr.SchedCos(*e)),
        pair.map(lambda e: lehr.SchedNo(*e)),
        same_sign(groups).map(lambda e: lehr.SchedExp(*e)),
        st.tuples(pair, powers).map(lambda t: lehr.SchedPoly(*t[0], t[1])),
        st.tuples(pair, bounds).map(lambda t: lehr.SchedTanh(*t[0], *t[1])),
    )


bounds = st.tuples(st.floats(-90, 90), st.floats(0.01, 10)).map(lambda t: (t[0], t[0] + t[1]))


def inverse_sqrt(groups):
    """Alone among the shapes it has no value far outside of [0, 1]."""
    value = st.floats(1e-60, 1e60)
    ends = value if groups is None else st.lists(value, min_size=groups, max_size=groups)
    return st.tuples(ends, ends).map(lambda e: lehr.SchedInverseSqrt(*e))


def combined(inner):
    def combine(args):
        pcts, scheds = args
        total = sum(pcts)
        return lehr.combine_scheds([p / total for p in pcts], (scheds * len(pcts))[: len(pcts)])

    return st.tuples(shares, st.lists(inner, min_size=1, max_size=4)).map(combine)


def made(inner):
    """What the algebra makes of schedules; factors stay small, so that no value overflows."""
    return st.one_of(
        st.tuples(inner, inner).map(lambda t: t[0] + t[1]),
        st.tuples(inner, st.floats(-10, 10)).map(lambda t: t[0] * t[1]),
        st.tuples(inner, st.floats(0, 10), st.floats(0.1, 10)).map(
            lambda t: t[0] * lehr.SchedCos(t[1], t[2])
        ),
        st.tuples(inner, finite, finite).map(lambda t: t[0].clip(*sorted(t[1:]))),
        inner.map(lambda f: f.clip(high=1.0)),
        inner.map(lambda f: f.reverse()),
        st.tuples(inner, positions, positions).map(lambda t: t[0].part(*t[1:])),
        st.tuples(inner, powers).map(lambda t: t[0].warp(t[1])),
        st.tuples(inner, st.integers(1, 5), st.floats(0.5, 2)).map(lambda t: t[0].repeat(*t[1:])),
        st.tuples(inner, inner, positions).map(lambda t: t[0].then(*t[1:])),
    )


def schedules(groups=None):
    base = st.one_of(simple(groups), inverse_sqrt(groups))
    return st.recursive(base, lambda inner: combined(inner) | made(inner), max_leaves=8)


any_schedule = st.sampled_from([None, None, 1, 3]).flatmap(schedules)
