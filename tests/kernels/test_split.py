"""Splitting money: to the micro, whatever the amount and the weights."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.kernels.money import split_micros
from schemas.money import MAX_MICROS

AMOUNTS = st.integers(-MAX_MICROS, MAX_MICROS)
# Real weights are products of two shares: some exactly 0, some tiny, none above 1.
WEIGHTS = st.lists(
    st.one_of(st.just(0.0), st.floats(1e-12, 1), st.sampled_from([0.1, 0.2, 1 / 3, 0.4, 0.5])),
    min_size=1,
    max_size=40,
).filter(any)


def split(amount: int, weights: Sequence[float]) -> list[int]:
    """One amount, as plain Python numbers."""
    start = np.array([0, len(weights)])
    return split_micros(np.array([amount]), np.array(weights, dtype=float), start).tolist()


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """The rule itself, in exact fractions."""
    exact = [Fraction(abs(amount) * weight, sum(weights)) for weight in weights]
    parts = [math.floor(one) for one in exact]
    left = abs(amount) - sum(parts)
    for place in sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))[:left]:
        parts[place] += 1
    return [-part for part in parts] if amount < 0 else parts


@given(AMOUNTS, WEIGHTS)
@example(MAX_MICROS, [1 / 3] * 40)
@example(-MAX_MICROS, [0.1] * 39 + [1e-12])
def test_parts_sum_to_the_amount(amount: int, weights: list[float]) -> None:
    """A shop whose ledger is a micro off trusts none of its numbers."""
    assert sum(split(amount, weights)) == amount


@given(AMOUNTS, WEIGHTS)
@example(4_503_599_627_370_493, [0.0] + [0.1] * 7)  # float shares round up past the amount
def test_no_part_has_the_other_sign_and_a_zero_weight_takes_nothing(
    amount: int, weights: list[float]
) -> None:
    """A pinner must not see a debt, nor a pin off the path a credit."""
    for part, weight in zip(split(amount, weights), weights, strict=True):
        assert part * amount >= 0
        assert weight > 0 or part == 0


def test_a_tiny_weight_beside_a_huge_amount_owes_nothing() -> None:
    """Float shares may round up past the amount: the micro too many comes off a large part."""
    parts = split(4_503_599_627_370_493, [0.1] * 7 + [1e-30])

    assert sum(parts) == 4_503_599_627_370_493
    assert min(parts) >= 0


@given(AMOUNTS, st.integers(1, 500), st.floats(1e-9, 1))
def test_equal_weights_give_parts_that_differ_by_a_micro_at_most(
    amount: int, count: int, weight: float
) -> None:
    """Two pins with the same part in a sale must not be told apart by rounding."""
    parts = split(amount, [weight] * count)

    assert max(parts) - min(parts) <= 1


@given(
    st.integers(-(2**23), 2**23),
    st.lists(st.integers(0, 20), min_size=1, max_size=10).filter(any),
)
def test_it_is_largest_remainder_in_exact_fractions(amount: int, weights: list[int]) -> None:
    """Whoever recomputes a credit by hand gets ours.

    Weights sum to 200 at most, so that different fractions differ by more than a step.
    """
    assert split(amount, [float(weight) for weight in weights]) == largest_remainder(
        amount, weights
    )


@pytest.mark.parametrize(
    ("amount", "weights"),
    [
        (473_700_622, [4, 11, 23]),  # fractions 14/38, 10/38, 14/38
        (1_650_637_954, [2, 14, 5]),
        (8_783_354_990, [22, 22, 16]),  # a third each
    ],
)
def test_equal_fractions_of_ordinary_amounts_go_by_place(amount: int, weights: list[int]) -> None:
    """An order of 473.70 is no rarity: float noise must not give the tie to the later pin.

    Compared to 2^-20 of a micro these went by noise, and a shop's spreadsheet disagreed.
    """
    assert split(amount, [float(weight) for weight in weights]) == largest_remainder(
        amount, weights
    )


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),  # 3.33 each: the micro left goes to the earliest
        (11, [1, 1, 1], [4, 4, 3]),  # two left: to the first two
        (-10, [1, 1, 1], [-4, -3, -3]),  # the split of 10, with the sign put back
        (10, [1, 2, 4], [1, 3, 6]),  # 1.43 2.86 5.71: one each to .86 and .71
        (1, [1, 1], [1, 0]),  # .5 each: a tie
        (1, [1, 2], [0, 1]),  # .33 .67
        (2, [0, 1, 0, 1, 1], [0, 1, 0, 1, 0]),  # zero weights stand aside
        (0, [1, 2], [0, 0]),
        (7, [5], [7]),
        (10, [17 / 24, 5 / 24, 2 / 24], [7, 2, 1]),  # 7.08 2.08 .83
        (100_000_002, [17 / 24, 5 / 24, 2 / 24], [70_833_335, 20_833_334, 8_333_333]),  # .75 .75 .5
    ],
)
def test_micros_left_over_go_to_the_largest_fractions(
    amount: int, weights: list[float], parts: list[int]
) -> None:
    """The rule of docs/attribution.md section 4, by hand."""
    assert split(amount, weights) == parts


def test_equal_fractions_go_by_place_whatever_float64_says() -> None:
    """3 * 0.1 is not 0.3 in float64: the earlier part still comes first."""
    # 0.5 each of 3 micros: 1.5 and 1.5, though the second weight is a bit greater.
    assert split(3, [0.3, 0.1 * 3]) == [2, 1]
    assert 0.1 * 3 > 0.3


@given(st.lists(st.tuples(AMOUNTS, WEIGHTS), min_size=1, max_size=8))
def test_groups_do_not_see_each_other(groups: list[tuple[int, list[float]]]) -> None:
    """An order's credit must not depend on its neighbours in the shard."""
    weights = [weights for _, weights in groups]
    start = np.cumsum([0, *(len(each) for each in weights)])
    together = split_micros(
        np.array([amount for amount, _ in groups]), np.concatenate(weights), start
    )

    for index, (amount, own) in enumerate(groups):
        assert together[start[index] : start[index + 1]].tolist() == split(amount, own)


def test_nothing_to_split_gives_nothing() -> None:
    """A shard without orders is common."""
    none = np.zeros(0, dtype=np.int64)

    assert len(split_micros(none, np.zeros(0), np.zeros(1, dtype=np.int64))) == 0


@pytest.mark.parametrize(
    ("weights", "start", "reason"),
    [
        ([1.0], [0, 1, 1], "no part"),
        ([1.0], [0, 0, 1], "no part"),
        ([1.0, 0.0, 0.0], [0, 1, 3], "positive"),
        ([1.0, -1.0, 0.5], [0, 1, 3], "positive"),
        ([1.0, math.nan], [0, 1, 2], "positive"),
    ],
)
def test_a_group_that_cannot_take_its_amount_is_refused(
    weights: list[float], start: list[int], reason: str
) -> None:
    """Money without a place to go must stop the run, not vanish."""
    with pytest.raises(ValueError, match=reason):
        split_micros(np.array([5, 5]), np.array(weights), np.array(start))
