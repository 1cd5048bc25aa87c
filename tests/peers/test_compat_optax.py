"""Schedules of `lehr.compat.optax` have, step by step, the values of optax's own."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from lehr.compat import optax as compat
from numpy.testing import assert_allclose

CONFIGURATIONS = 200
# All curves are taken at as many counts, so that JAX compiles each of its operations once.
COUNTS = 400


@pytest.fixture(autouse=True)
def in_float64():
    """Switch JAX for the test alone: other files of the process use it as it comes."""
    with jax.enable_x64(True):
        yield


def peer_curve(schedule, steps):
    return np.asarray(jax.vmap(schedule)(jnp.arange(COUNTS)))[:steps]


def some_steps(rng):
    return int(rng.choice([1, 2, 3, rng.integers(4, COUNTS + 1)], p=[0.05, 0.05, 0.05, 0.85]))


def length(rng, low):
    """Return a number of steps: the smallest, short, or up to more than any run has."""
    return int(rng.choice([low, 1, rng.integers(1, 10), rng.integers(1, COUNTS + 100)]))


def rate(rng):
    return float(10 ** rng.uniform(-5, 1))


def value(rng):
    return float(rng.choice([0.0, rate(rng), -rate(rng)], p=[0.2, 0.7, 0.1]))


def whole_or_half(rng):
    return float(rng.choice([1, 0.5, 1.5, 2, 3, 4.5, 7, 16], p=[0.4, 0.1, 0.1, *[0.08] * 5]))


def cosine_decay(rng):
    alpha = float(rng.choice([0, 1, rng.uniform(), 1.5]))
    return {
        "init_value": value(rng),
        "decay_steps": length(rng, 1),
        "alpha": alpha,
        "exponent": whole_or_half(rng),
    }


def warmup_cosine(rng):
    warmup = length(rng, 0)
    return {
        "init_value": value(rng),
        "peak_value": rate(rng),
        "warmup_steps": warmup,
        "decay_steps": warmup + length(rng, 1),
        "end_value": value(rng),
        "exponent": whole_or_half(rng),
    }


def cosine_onecycle(rng):
    steps = length(rng, 1)
    return {
        "transition_steps": steps,
        "peak_value": rate(rng),
        "pct_start": float(rng.choice([0, rng.uniform(), 0.3, 0.5])),
        "div_factor": float(rng.choice([1, 25, rng.uniform(0.5, 50)])),
        "final_div_factor": float(rng.choice([1, 1e4, rng.uniform(0.5, 1e5)])),
    }


def linear_onecycle(rng):
    # The three phases have a step each at least: see the test of those that have none.
    steps = length(rng, 2) + 2
    rise, back = sorted(rng.choice(steps, 2, replace=False))
    return {
        "transition_steps": steps,
        "peak_value": rate(rng),
        "pct_start": (rise + 0.5) / steps,
        "pct_final": (back + 0.5) / steps,
        "div_factor": float(rng.choice([1, 25, rng.uniform(0.5, 50)])),
        "final_div_factor": float(rng.choice([1, 1e4, rng.uniform(0.5, 1e5)])),
    }


def sgdr(rng):
    return {"cosine_kwargs": [warmup_cosine(rng) for _ in range(rng.integers(1, 6))]}


def transition(rng):
    return {
        "init_value": value(rng),
        "end_value": value(rng),
        "transition_steps": length(rng, 0),
        "transition_begin": length(rng, 0),
    }


def polynomial(rng):
    power = float(rng.choice([1, 2, 3, rng.uniform(0.1, 5)]))
    return {**transition(rng), "power": power}


def exponential(rng):
    factor = float(rng.choice([rng.uniform(0.1, 1), 0.99, 1, rng.uniform(1, 1.5)]))
    return {
        "init_value": value(rng),
        "transition_steps": length(rng, 2),
        "decay_rate": factor,
        "transition_begin": length(rng, 0),
        "staircase": bool(rng.integers(2)),
        "end_value": [None, rate(rng)][rng.integers(2)],
    }


def piecewise(rng):
    steps = rng.choice(COUNTS + 50, rng.integers(0, 8), replace=False)
    scales = rng.choice([0, 0.1, 1, 2.5], len(steps), p=[0.05, 0.4, 0.15, 0.4])
    table = {int(step): float(scale) for step, scale in zip(steps, scales, strict=True)}
    return {"init_value": value(rng), "boundaries_and_scales": table or None}


def piecewise_interpolate(rng):
    return {**piecewise(rng), "interpolate_type": str(rng.choice(["linear", "cosine"]))}


def warmup_constant(rng):
    return {"init_value": value(rng), "peak_value": value(rng), "warmup_steps": length(rng, 1)}


def warmup_exponential(rng):
    decay = exponential(rng)
    return {**decay, "peak_value": rate(rng), "warmup_steps": length(rng, 0)}


DRAWS = {
    "cosine_decay_schedule": cosine_decay,
    "warmup_cosine_decay_schedule": warmup_cosine,
    "cosine_onecycle_schedule": cosine_onecycle,
    "linear_onecycle_schedule": linear_onecycle,
    "sgdr_schedule": sgdr,
    "linear_schedule": transition,
    "polynomial_schedule": polynomial,
    "exponential_decay": exponential,
    "constant_schedule": lambda rng: {"value": value(rng)},
    "piecewise_constant_schedule": piecewise,
    "piecewise_interpolate_schedule": piecewise_interpolate,
    "warmup_constant_schedule": warmup_constant,
    "warmup_exponential_decay_schedule": warmup_exponential,
}


def found(arguments, name):
    """Return all numbers whose name ends like this, those of the cycles of a list too."""
    cycles = arguments.get("cosine_kwargs", [arguments])
    return [v for cycle in cycles for k, v in cycle.items() if k.endswith(name) and v is not None]


def assert_same(ours, peer, *parts):
    # optax's (start - end) * x + end is rounded to the larger end, whether it is reached or not.
    values = [abs(v) for arguments in parts for v in found(arguments, "value")]
    # Its (1 + cos(pi x)) / 2 = c is off by half a unit in the last place of a cosine near -1,
    # 5.6e-17 after the halving, and its root then by 5.6e-17 / (2 sqrt(c)). One step before the
    # end of n <= COUNTS + 100 steps sqrt(c) is sin(pi / (2 n)) > 1 / n: by 1.4e-14. Of the rounding
    # of pi x, 2.2e-16, the cosine keeps 2.2e-16 sqrt(c), and the root 2.2e-16.
    roots = any(0.5 in found(arguments, "exponent") for arguments in parts)
    atol = (2e-14 if roots else 1e-14) * max(values)
    assert_allclose(ours, peer, rtol=1e-12, atol=atol, err_msg=f"{parts}")


@pytest.mark.parametrize("name", DRAWS)
def test_a_curve_is_that_of_optax(name):
    rng = np.random.default_rng([*name.encode()])
    for _ in range(CONFIGURATIONS):
        steps, arguments = some_steps(rng), DRAWS[name](rng)
        peer = peer_curve(getattr(optax, name)(**arguments), steps)
        ours = getattr(compat, name)(**arguments, steps=steps).values(steps)
        assert_same(ours, peer, arguments)


def test_joined_schedules_have_the_curve_that_optax_joins():
    rng = np.random.default_rng(11)
    names = [name for name in DRAWS if name != "sgdr_schedule"]
    for _ in range(CONFIGURATIONS):
        steps, parts = some_steps(rng), rng.integers(1, 5)
        chosen = [(str(name), DRAWS[name](rng)) for name in rng.choice(names, parts)]
        boundaries = sorted(length(rng, 0) for _ in range(parts - 1))
        theirs = [getattr(optax, name)(**arguments) for name, arguments in chosen]
        ours = [getattr(compat, name)(**arguments, steps=steps) for name, arguments in chosen]
        joined = compat.join_schedules(ours, boundaries, steps=steps)
        peer = peer_curve(optax.join_schedules(theirs, boundaries), steps)
        assert_same(joined.values(steps), peer, *(arguments for _, arguments in chosen))


@pytest.mark.parametrize("name", DRAWS)
def test_an_optimizer_of_optax_takes_these_steps_as_well_as_its_int32_count_lets_it(name):
    rng = np.random.default_rng([*name.encode(), 1])
    steps = 60
    for _ in range(2):
        arguments = DRAWS[name](rng)
        optimizer = optax.sgd(getattr(optax, name)(**arguments))
        gradient = jnp.ones(())

        @jax.jit
        def step(state, optimizer=optimizer, gradient=gradient):
            update, state = optimizer.update(gradient, state)
            return -update, state

        state, peer = optimizer.init(gradient), []
        for _ in range(steps):
            taken, state = step(state)
            peer.append(float(taken))
        ours = getattr(compat, name)(**arguments, steps=steps).values(steps)
        # A count of int32 over a length is float32, even with jax_enable_x64: 6e-8 of a share,
        # and of a power of it, up to 5, or of the levels between two boundaries.
        scale = max(abs(v) for v in [*peer, *found(arguments, "value")])
        assert_allclose(ours, peer, rtol=0, atol=1e-6 * scale, err_msg=f"{arguments}")


def test_a_peak_of_0_still_goes_to_its_end_value_where_optax_stays():
    arguments = {"init_value": 1.0, "peak_value": 0.0, "warmup_steps": 2, "decay_steps": 6}
    arguments["end_value"] = 0.5
    peer = peer_curve(optax.warmup_cosine_decay_schedule(**arguments), 8)
    assert_allclose(peer, [1, 0.5, 0, 0, 0, 0, 0, 0])
    ours = compat.warmup_cosine_decay_schedule(**arguments, steps=8).values(8)
    assert_allclose(ours[:3], peer[:3])
    assert_allclose(ours[[4, 6, 7]], [0.25, 0.5, 0.5])


def test_a_rise_over_the_whole_transition_reaches_the_peak_where_optax_falls():
    peer = peer_curve(optax.cosine_onecycle_schedule(4, 1.0, pct_start=1.0), 4)
    assert_allclose(peer[[0, 2]], [0.04, (0.04 + 0.04**2 / 1e4) / 2])
    ours = compat.cosine_onecycle_schedule(4, 1.0, pct_start=1.0, steps=6).values(6)
    assert_allclose(ours[[0, 2, 4, 5]], [0.04, 0.52, 4e-6, 4e-6])


@pytest.mark.parametrize(
    ("steps", "shares", "theirs", "ours"),
    [
        # No steps between the peak and the way back: optax begins, and goes on, 25 times too low.
        (1, (0.3, 0.85), [0.04 / 25, 4e-6 / 25], [0.04, 4e-6]),
        (4, (0.5, 0.5), [0.04, 0.04**2, 4e-6 / 25], [0.04, 0.04, 4e-6]),
        # No steps behind the way back: optax ends 25 times too high.
        (4, (0.5, 1.0), [0.04, 1.0, 1e-4], [0.04, 1.0, 4e-6]),
    ],
)
def test_a_phase_of_no_steps_loses_no_factor_where_optax_s_does(steps, shares, theirs, ours):
    counts = [k * steps // max(len(theirs) - 1, 1) for k in range(len(theirs))]
    peer = peer_curve(optax.linear_onecycle_schedule(steps, 1.0, *shares), steps + 1)
    assert_allclose(peer[counts], theirs)
    mine = compat.linear_onecycle_schedule(steps, 1.0, *shares, steps=steps + 1)
    assert_allclose(mine.values(steps + 1)[counts], ours)


def test_a_warmup_of_no_steps_is_at_the_peak_where_optax_stays_at_its_first_value():
    assert optax.warmup_constant_schedule(0.0, 1.0, 0)(5) == 0
    assert list(compat.warmup_constant_schedule(0.0, 1.0, 0, steps=3).values(3)) == [1, 1, 1]


def test_a_boundary_too_many_is_told_where_optax_forgets_it():
    parts = [compat.constant_schedule(v, steps=9) for v in (1, 2)]
    joined = optax.join_schedules([optax.constant_schedule(v) for v in (1, 2)], [3, 6])
    assert list(peer_curve(joined, 9)) == [1] * 3 + [2] * 6
    with pytest.raises(ValueError, match="one less than `schedules`, got 2 for 2"):
        compat.join_schedules(parts, [3, 6], steps=9)


def test_float32_costs_optax_the_end_of_a_cosine_and_a_table_one_rounding():
    steps = 1000
    exact = compat.cosine_decay_schedule(1.0, steps, steps=steps).values(steps)
    with jax.enable_x64(False):
        counts = jnp.arange(steps)
        peer = np.asarray(optax.cosine_decay_schedule(1.0, steps)(counts))
        table = np.asarray(jnp.asarray(exact)[counts])
    assert peer.dtype == table.dtype == np.float32
    # 1 + cos is rounded to 6e-8 where it is 5e-6, whatever is left of it.
    assert np.abs(peer - exact).max() < 3e-7
    assert np.abs(peer / exact - 1).max() > 1e-3
    assert np.abs(table / exact - 1).max() < 2.0**-24
