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
    )


def combined(inner):
    def combine(args):
        pcts, scheds = args
        total = sum(pcts)
        return lehr.combine_scheds([p / total for p in pcts], (scheds * len(pcts))[: len(pcts)])

    return st.tuples(shares, st.lists(inner, min_size=1, max_size=4)).map(combine)


def schedules(groups=None):
    return st.recursive(simple(groups), combined, max_leaves=8)


any_schedule = st.sampled_from([None, None, 1, 3]).flatmap(schedules)
