"""The valley rule against the reference and against its definition."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lehr import valley


def test_reference_picks_the_same_index_on_every_curve_but_where_it_takes_the_last(reference):
    clamped = 0
    for case in reference["valley"]:
        losses = case["losses"]
        lr, (x, y) = valley(range(len(losses)), losses, 100)
        assert (x, y) == (lr, losses[int(lr)])
        if case["index"] == len(losses) - 1 and int(lr) == 0 and len(losses) > 1:
            # Row L7: one drop, then a rise; the reference's index is -1.
            clamped += 1
        else:
            assert int(lr) == case["index"]
    assert clamped >= 50


def quadratic_valley(losses):
    """The definition, by the O(n^2) recurrence."""
    best = [0] * len(losses)
    for i, loss in enumerate(losses):
        if loss == loss:
            best[i] = 1 + max((best[j] for j in range(i) if losses[j] > loss), default=0)
    length = max(best)
    end = best.index(length)
    return max(end - length + length // 3 + length // 6, 0)


@given(
    st.lists(st.one_of(st.integers(0, 9).map(float), st.floats(allow_infinity=False)), min_size=1)
)
def test_index_is_that_of_the_quadratic_definition(losses):
    lr, _ = valley(list(range(len(losses))), losses, len(losses))
    assert int(lr) == quadratic_valley(losses)


def test_any_sequence_of_numbers_will_do():
    losses = [9.0, 8, 7, 6, 5, 4, 5, 6]
    lrs = [10.0**i for i in range(8)]
    expected = valley(lrs, losses, 8)
    for kind in (
        tuple,
        np.array,
        torch.tensor,
        iter,
        lambda x: torch.tensor(x, requires_grad=True),
    ):
        assert valley(kind(lrs), kind(losses), 8) == expected
    assert isinstance(expected[0], float)
    assert isinstance(expected[1][1], float)


def test_wrong_curves_raise():
    with pytest.raises(ValueError, match="same length, got 2 and 1"):
        valley([1, 2], [1], 2)
    with pytest.raises(ValueError, match="at least one point"):
        valley([], [], 2)
    with pytest.raises(TypeError, match="`losses`"):
        valley([1], 3.0, 2)


def test_losses_that_are_not_finite_take_no_part_and_are_no_point():
    inf = float("inf")
    assert valley([1, 2, 3, 4], [inf, 5, 4, -inf], 4) == (1, (1, 5))
    assert valley([1, 2, 3], [float("nan")] * 3, 3)[0] == 1


@pytest.mark.timeout(60)
def test_a_fully_decreasing_curve_of_two_million_points_takes_no_quadratic_time():
    """Four million million comparisons would take hours."""
    n = 2_000_000
    lr, _ = valley(np.arange(n), -np.arange(n), n)
    assert lr == n - 1 - n + n // 3 + n // 6
