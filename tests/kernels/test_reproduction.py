"""Reproduction numbers: the prior, the shrinkage, and what their intervals cover."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels.columns import Ints
from pipelines.kernels.reproduction import Prior, fit_prior, reproduction_rates


def draw(shape: float, mean: float, pinners: int, seed: int) -> tuple[np.ndarray, Ints, Ints]:
    """True rates, children and pins of a made-up shop: most have 1 to 3 pins."""
    chance = np.random.default_rng(seed)
    rates = chance.gamma(shape, mean / shape, pinners)
    pins = chance.geometric(0.5, pinners)
    return rates, chance.poisson(rates * pins), pins


@pytest.mark.parametrize(("shape", "mean"), [(0.3, 0.6), (1.0, 0.7), (5.0, 2.0)])
def test_the_prior_is_found_again(shape: float, mean: float) -> None:
    """Shrinkage towards anything else than the shop's own pinners would be a taste."""
    _, children, pins = draw(shape, mean, 20_000, 1)

    prior = fit_prior(children, pins)

    assert prior.shape == pytest.approx(shape, rel=0.1)
    assert prior.shape / prior.rate == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize(("shape", "mean"), [(0.5, 0.7), (3.0, 1.5)])
def test_intervals_cover_the_truth_nineteen_times_in_twenty(shape: float, mean: float) -> None:
    """Who reads 95 % must get 95 %, though most pinners have one pin."""
    rates, children, pins = draw(shape, mean, 20_000, 2)

    found = reproduction_rates(fit_prior(children, pins), children, pins)

    covered = np.mean((found.low <= rates) & (rates <= found.high))
    assert covered == pytest.approx(0.95, abs=0.01)


def test_a_rate_is_drawn_to_the_mean_the_more_the_fewer_pins() -> None:
    """One lucky pin is no star: (1 + 3) / (2 + 1) after one, (1 + 300) / (2 + 100) after 100."""
    found = reproduction_rates(Prior(1.0, 2.0), np.array([3, 300]), np.array([1, 100]))

    assert found.mean.tolist() == pytest.approx([4 / 3, 301 / 102])
    assert found.high[0] - found.low[0] > 3 * (found.high[1] - found.low[1])


def test_without_any_child_rates_are_small_and_not_certain() -> None:
    """A young shop: no re-pin in ten pins is no proof that there never will be one."""
    children, pins = np.zeros(10, np.int64), np.ones(10, np.int64)

    found = reproduction_rates(fit_prior(children, pins), children, pins)

    assert 0 < found.mean[0] < 0.1 < found.high[0]


def test_one_pinner_alone_makes_no_certain_prior() -> None:
    """With nothing to compare her with, her interval stays as wide as her counts are few."""
    children, pins = np.array([4]), np.array([2])

    found = reproduction_rates(fit_prior(children, pins), children, pins)

    assert found.low[0] < 1.2
    assert found.high[0] > 3.5


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=25)
def test_the_order_of_pinners_does_not_matter(
    counts: list[tuple[int, int]], chance: Random
) -> None:
    """To the last bit: a run is a function of the lake."""
    shuffled = list(counts)
    chance.shuffle(shuffled)

    one, other = (
        fit_prior(*np.array(rows, dtype=np.int64).reshape(-1, 2).T) for rows in (counts, shuffled)
    )

    assert one == other
    assert min(one) > 0
