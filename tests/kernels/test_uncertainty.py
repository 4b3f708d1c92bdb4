"""The interval of credited revenue: closed form, and its coverage on simulated customers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.kernels.uncertainty import MIN_EFFECTIVE, Interval, gamma_interval
from schemas.money import MICROS


def interval_of(*groups: list[int]) -> Interval:
    """The kernel on plain lists, one for each group."""
    start = np.cumsum([0, *(len(group) for group in groups)])
    return gamma_interval(np.array(list(itertools.chain(*groups)), dtype=np.int64), start)


@pytest.mark.parametrize("count", [30, 31, 100, 5_000])
def test_equal_amounts_give_the_exact_poisson_interval(count: int) -> None:
    """With equal customers the interval is Garwood's, known since 1936."""
    amount = 25 * MICROS

    interval = interval_of([amount] * count)

    assert interval.n_customers.tolist() == [count]
    assert interval.n_effective[0] == pytest.approx(count)
    assert interval.low[0] == pytest.approx(amount * stats.chi2.ppf(0.025, 2 * count) / 2)
    assert interval.high[0] == pytest.approx(amount * stats.chi2.ppf(0.975, 2 * count + 2) / 2)


def test_unequal_amounts_give_fay_and_feuer_s_formula() -> None:
    """The formula of our documents, as scipy's chi-square writes it."""
    amounts = [MICROS * (10 + customer % 7) for customer in range(80)]
    total, square, top = sum(amounts), sum(one**2 for one in amounts), max(amounts)
    above, spread = total + top, square + top**2

    interval = interval_of(amounts)

    low = square / (2 * total) * stats.chi2.ppf(0.025, 2 * total**2 / square)
    high = spread / (2 * above) * stats.chi2.ppf(0.975, 2 * above**2 / spread)
    assert interval.low[0] == pytest.approx(low)
    assert interval.high[0] == pytest.approx(high)
    assert interval.n_effective[0] == pytest.approx(total**2 / square)


@pytest.mark.parametrize("mean_customers", [80, 300])
def test_the_interval_covers_what_it_claims(mean_customers: int) -> None:
    """A merchandiser who acts on "95 %" must not be wrong one time in ten.

    Poisson many customers with lognormal spend; every draw is one group. The few draws that
    print "too little data" claim nothing.
    """
    random = np.random.default_rng(20_260_101)
    sigma, draws = 0.7, 4_000
    counts = random.poisson(mean_customers, draws)
    spend = np.exp(random.normal(0, sigma, counts.sum())) * 20 * MICROS
    truth = mean_customers * np.exp(sigma**2 / 2) * 20 * MICROS

    interval = gamma_interval(np.rint(spend).astype(np.int64), np.cumsum([0, *counts]))

    shown = ~np.isnan(interval.low)
    covered = (interval.low[shown] <= truth) & (truth <= interval.high[shown])
    assert shown.mean() > 0.98
    assert 0.93 <= covered.mean() <= 0.985


@pytest.mark.parametrize(
    ("amounts", "effective"),
    [
        ([MICROS] * (MIN_EFFECTIVE - 1), 29),  # one customer too few
        ([MICROS] * 99 + [100 * MICROS], 199**2 / (99 + 100**2)),  # one wholesaler among 99
        ([MICROS], 1),
    ],
)
def test_too_little_data_has_no_interval(amounts: list[int], effective: float) -> None:
    """Rather no bound than one that a single wholesaler makes."""
    interval = interval_of(amounts)

    assert interval.n_effective[0] == pytest.approx(effective)
    assert np.isnan([interval.low[0], interval.high[0]]).all()


@pytest.mark.parametrize("amounts", [[0], [0, 0], [-5, 5], [-7 * MICROS, 2 * MICROS]])
def test_a_sum_that_is_not_positive_has_nothing_at_all(amounts: list[int]) -> None:
    """A pin whose sales all went back: warnings are errors, so no division by zero either."""
    interval = interval_of(amounts)

    assert interval.n_customers.tolist() == [len(amounts)]
    assert np.isnan([interval.n_effective[0], interval.low[0], interval.high[0]]).all()


AMOUNTS = st.lists(st.integers(-MICROS, 10**9), min_size=1, max_size=60)


@given(st.lists(AMOUNTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_sorted_amounts_give_equal_bits_however_they_came(
    groups: list[list[int]], random: object
) -> None:
    """Two runs over one lake publish one number: neighbours and arrival change no bit."""
    shuffled = [list(group) for group in groups]
    for group in shuffled:
        random.shuffle(group)  # type: ignore[attr-defined]

    together = interval_of(*(sorted(group) for group in shuffled))

    for index, group in enumerate(groups):
        alone = interval_of(sorted(group))
        for found, wanted in zip(together, alone, strict=True):
            assert found[index].tobytes() == wanted[0].tobytes()


@given(AMOUNTS)
def test_the_interval_holds_the_sum(amounts: list[int]) -> None:
    """A bound on the wrong side of its own estimate is a bug for every reader to see."""
    interval = interval_of(sorted(amounts))

    if not np.isnan(interval.low[0]):
        assert 0 < interval.low[0] < sum(amounts) < interval.high[0]


def test_no_groups_have_no_intervals() -> None:
    """A shard without credit is common."""
    empty = gamma_interval(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))

    assert [len(column) for column in empty] == [0, 0, 0, 0]
