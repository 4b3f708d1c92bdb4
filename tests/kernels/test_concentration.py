"""Lorenz curve, Gini, and how sure they are: brute force, known cases, measured coverage."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from pipelines.kernels.columns import Ints
from pipelines.kernels.concentration import (
    BLOCK,
    PERCENTS,
    REPLICATES,
    Bounds,
    Rows,
    bounds,
    by_or_through,
    gini,
    poisson_weights,
    ranks,
    resample,
    top_counts,
    top_sums,
)
from pipelines.kernels.hashing import Hashes, mix
from schemas.money import MICROS

AMOUNTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=40)


def units(count: int, salt: int = 1) -> Hashes:
    """Hashes that name so many customers."""
    return mix(np.arange(count, dtype=np.uint64) + np.uint64(salt * 10**9))


def gini_of(values: list[int]) -> float:
    """The kernel on a plain list."""
    return float(gini(np.sort(np.array(values)).astype(np.float64)))


@given(AMOUNTS)
def test_gini_is_half_the_relative_mean_difference(values: list[int]) -> None:
    """Its definition, pair by pair."""
    if sum(values) == 0:
        assert np.isnan(gini_of(values))
        return
    apart = sum(abs(one - other) for one, other in itertools.product(values, repeat=2))

    assert gini_of(values) == pytest.approx(apart / (2 * len(values) * sum(values)), abs=1e-9)


@pytest.mark.parametrize(
    ("values", "expected"), [([5] * 7, 0.0), ([0] * 9 + [3], 0.9), ([1, 3], 0.25), ([4], 0.0)]
)
def test_gini_of_known_cases(values: list[int], expected: float) -> None:
    """Equal pinners are 0, one who has everything is near 1."""
    assert gini_of(values) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[0, 0], [-5, 5], [-7, 2]])
def test_a_sum_that_is_not_positive_has_no_gini(values: list[int]) -> None:
    """Pinners whose sales all went back: no number rather than a division by zero."""
    assert np.isnan(gini_of(values))


@pytest.mark.parametrize(
    ("members", "top"), [(1, (1, 1, 1)), (20, (1, 1, 2)), (100, (1, 5, 10)), (101, (2, 6, 11))]
)
def test_the_top_percent_is_rounded_up_to_whole_members(members: int, top: tuple[int, ...]) -> None:
    """A club of no one is no club."""
    counts = top_counts(members)

    assert tuple(counts[[0, 4, 9]]) == top
    assert counts[-1] == members


def test_equals_keep_their_order() -> None:
    """Two runs must show the same pinner in the top one percent."""
    assert ranks(np.array([5, 9, 5, 9, 0])).tolist() == [2, 0, 3, 1, 4]


@given(AMOUNTS)
def test_the_curve_rises_to_everything(values: list[int]) -> None:
    """The top hundred percent have all, and nobody's addition takes away."""
    value = np.array(values)

    curve = top_sums(value, ranks(value))

    assert curve[-1] == value.sum()
    assert (np.diff(curve) >= 0).all()
    assert curve[0] >= value.max()


@given(st.data())
def test_by_or_through_counts_no_micro_twice(data: st.DataObject) -> None:
    """An order of a fan that credits a fan is one order."""
    members = data.draw(st.integers(1, 12))
    customers = data.draw(st.integers(1, 12))
    pairs = data.draw(
        st.lists(
            st.tuples(
                st.integers(0, members - 1), st.integers(0, customers - 1), st.integers(0, 99)
            ),
            max_size=20,
        )
    )
    # Customer i is member i, as long as there is one.
    own = np.array(data.draw(st.lists(st.integers(0, 500), min_size=members, max_size=members)))
    rank = np.array(data.draw(st.permutations(range(members))))
    member, customer, amount = (np.array(column, dtype=np.int64) for column in _columns(pairs))
    buyer = np.where(customer < members, customer, -1)

    found = by_or_through(Rows(member, customer, amount), own, buyer, rank)

    for percent, count in zip(PERCENTS, top_counts(members), strict=True):
        top = {who for who in range(members) if rank[who] < count}
        through = sum(paid for who, by, paid in pairs if who in top and by not in top)
        assert found[percent - 1] == sum(own[who] for who in top) + through


def _columns(pairs: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[pair[place] for pair in pairs] for place in range(3)]


def test_weights_are_poisson_counts() -> None:
    """Weights of another distribution would give intervals of another width."""
    weights = np.concatenate([poisson_weights(units(4_000), block) for block in (0, 1)], axis=1)

    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
    for count in range(5):
        assert (weights == count).mean() == pytest.approx(stats.poisson.pmf(count, 1), abs=0.005)
    together = np.corrcoef(weights.T) - np.eye(2 * BLOCK)
    assert abs(together).max() < 0.08  # no replicate repeats another
    assert abs(np.corrcoef(weights[:-1, 0], weights[1:, 0])[0, 1]) < 0.06


def test_a_customer_has_her_weights_wherever_she_stands() -> None:
    """Another order of customers, or other customers beside her, change nothing."""
    unit, place = units(50), np.array([30, 2, 17])

    whole = poisson_weights(unit, 3)

    assert (poisson_weights(unit[place], 3) == whole[place]).all()


def shop(
    random: np.random.Generator, members: int, customers: int, alpha: float, sigma: float
) -> tuple[Rows, Ints, Hashes]:
    """Customers of lognormal spend, half of them credited to one to three popular members."""
    popularity = np.arange(1, members + 1) ** -alpha
    count = random.poisson(customers)
    spend = np.rint(np.exp(random.normal(0, sigma, count)) * 20 * MICROS).astype(np.int64)
    times = random.integers(1, 4, count) * (random.random(count) < 0.5)
    customer = np.repeat(np.arange(count), times)
    member = random.choice(members, size=len(customer), p=popularity / popularity.sum())
    amount = spend[customer] // np.maximum(times, 1)[customer]
    return Rows(member, customer, amount), spend, units(count, int(random.integers(1, 10**6)))


def bounds_of(rows: Rows, spend: Ints, unit: Hashes, members: int) -> tuple[Bounds, Any]:
    """The kernel's bounds, and the estimates: the curve's share of sales, and Gini."""
    value = np.zeros(members, dtype=np.int64)
    np.add.at(value, rows.member, rows.amount)
    rank = ranks(value)
    share = top_sums(value, rank) / spend.sum()
    (sure,) = bounds([rows], [rank], unit, spend)
    return sure, (share, gini_of(value.tolist()))


def test_bounds_hold_for_other_times_as_good() -> None:
    """Whoever reads "95 %" of the fan club's share must rarely be wrong.

    What is covered is what the shop shows on average in as long a time; replicates' quantiles
    would cover it in less than 70 of 100 cases here, since they rank chance twice.
    """
    random = np.random.default_rng(20_260_102)
    found = [bounds_of(*shop(random, 300, 1_500, 0.5, 1.0), 300) for _ in range(60)]
    places = [4, 9]  # the top five and ten percent
    truth = np.mean([share[places] for _, (share, _) in found], axis=0)
    unequal = np.mean([unequal for _, (_, unequal) in found])

    low = np.array([sure.share_low[places] for sure, _ in found])
    high = np.array([sure.share_high[places] for sure, _ in found])
    shown = ~np.isnan(low)  # the others claim nothing
    covered = ((low <= truth) & (truth <= high)).sum(axis=0) / shown.sum(axis=0)
    ginis = [sure.gini_low <= unequal <= sure.gini_high for sure, _ in found]

    assert (covered >= 0.92).all()
    assert shown.mean() > 0.9
    assert np.mean(ginis) >= 0.85
    assert np.nanmean(high - low) < 0.1


def test_the_bootstrap_of_a_sum_has_its_known_spread() -> None:
    """For a plain sum the spread is the root of the sum of squares: no replicate needed."""
    _, spend, unit = shop(np.random.default_rng(5), 50, 2_000, 0.5, 1.0)

    total = resample([], 50, unit, spend).sales

    assert total.std() == pytest.approx(np.sqrt((spend.astype(float) ** 2).sum()), rel=0.15)
    assert total.mean() == pytest.approx(spend.sum(), rel=0.01)


def test_every_replicate_is_another_draw_ranked_anew() -> None:
    """Replicates that repeat, or keep the ranking, would say less than they seem to."""
    rows, spend, unit = shop(np.random.default_rng(6), 8, 30, 0.5, 1.0)
    table = sparse.coo_array((rows.amount, (rows.member, rows.customer)), shape=(8, len(spend)))

    found = resample([table.tocsr()], 8, unit, spend)

    for replicate in range(REPLICATES):
        weight = poisson_weights(unit, replicate // BLOCK)[:, replicate % BLOCK]
        value = np.sort(table.toarray() @ weight)[::-1]
        assert (found.top[0][replicate] == np.cumsum(value)[top_counts(8) - 1]).all()
        assert found.sales[replicate] == (spend * weight).sum()
    assert len(set(found.sales.tolist())) == REPLICATES


def test_members_who_have_nothing_are_ranked_too() -> None:
    """Most pinners are never credited; an adjustment may leave one below them."""
    rows, spend, unit = shop(np.random.default_rng(7), 8, 30, 0.5, 1.0)
    amount = np.where(rows.member < 2, -rows.amount, rows.amount)
    table = sparse.coo_array((amount, (rows.member, rows.customer)), shape=(8, len(spend)))

    found = resample([table.tocsr()], 20, unit, spend)

    for replicate in range(REPLICATES):
        weight = poisson_weights(unit, replicate // BLOCK)[:, replicate % BLOCK]
        value = np.sort(np.append(table.toarray() @ weight, np.zeros(12, dtype=np.int64)))
        assert (found.top[0][replicate] == np.cumsum(value[::-1])[top_counts(20) - 1]).all()
        expected = gini(value.astype(np.float64))
        assert found.gini[0][replicate] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    """Two runs over one lake publish one number."""
    random = np.random.default_rng(seed)
    rows, spend, unit = shop(random, 40, 90, 0.5, 0.5)
    one, _ = bounds_of(rows, spend, unit, 40)
    row, customer = random.permutation(len(rows.member)), random.permutation(len(spend))
    place = np.argsort(customer)
    shuffled = Rows(rows.member[row], place[rows.customer[row]], rows.amount[row])

    other, _ = bounds_of(shuffled, spend[customer], unit[customer], 40)

    assert as_bytes(one) == as_bytes(other)


def as_bytes(sure: Bounds) -> list[bytes]:
    """Every bit of the bounds."""
    return [np.asarray(column).tobytes() for column in (*sure.money, *sure[1:])]


def test_one_wholesaler_leaves_too_little_to_say() -> None:
    """A share that one customer makes has no bounds."""
    customer = np.arange(200)
    amount = np.where(customer == 0, 10**6, 1) * MICROS
    rows = Rows(customer % 20, customer, amount)

    sure, _ = bounds_of(rows, amount, units(200), 20)

    assert np.isnan([*sure.share_low, *sure.share_high, sure.gini_low, sure.gini_high]).all()
    assert np.isnan([*sure.money.low, *sure.money.high]).all()


def test_members_without_anything_have_no_bounds() -> None:
    """A shop whose pins were never landed on: warnings are errors."""
    nothing = np.zeros(0, dtype=np.int64)

    sure, _ = bounds_of(Rows(nothing, nothing, nothing), np.array([MICROS]), units(1), 3)

    assert np.isnan([*sure.share_low, sure.gini_high]).all()
