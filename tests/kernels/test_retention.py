"""Who entered which population, and how fast people are lost: brute force and known truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.retention import (
    NEVER,
    entries,
    first_of,
    fit_hazard,
    half_life,
    wilson,
    yearly_loss,
)

TIMES = st.integers(0, 4) | st.just(NEVER)
NEWEST = 30


@given(st.lists(st.tuples(TIMES, TIMES, TIMES), min_size=1, max_size=30))
def test_only_what_came_before_decides_who_enters(firsts: list[tuple[int, int, int]]) -> None:
    """A population chosen by what people do later would look more loyal than it is."""
    columns = (np.array(column) for column in zip(*firsts, strict=True))

    pinners, reached, customers = entries(*columns)

    for place, (pinned, landed, ordered) in enumerate(firsts):
        assert pinners[place] == pinned
        assert reached[place] == (landed if landed < pinned else NEVER)
        before = [at for at in (pinned, landed) if at <= ordered]
        assert customers[place] == (NEVER if before else ordered)


def test_the_first_of_the_chosen_acts_counts() -> None:
    """Whoever never did it has no first time."""
    person, at = np.array([0, 0, 1, 2]), np.array([5, 3, 7, 1])
    chosen = np.array([True, True, True, False])

    assert first_of(person, at, chosen, 3).tolist() == [3, 7, NEVER]


LIVES = st.lists(
    st.tuples(st.integers(0, NEWEST), st.integers(0, NEWEST), st.integers(1, 4)), max_size=12
)


@given(LIVES, st.integers(1, 12))
def test_the_fit_is_losses_by_months_of_risk(drawn: list[tuple[int, int, int]], lapse: int) -> None:
    """Counted month by month and person by person."""
    lives = [(min(one, other), max(one, other), people) for one, other, people in drawn]
    first, last, people = (np.array([life[n] for life in lives], dtype=np.int64) for n in range(3))

    fit = fit_hazard(first, last, people, NEWEST, lapse)

    told = NEWEST - 1 - lapse  # the last month after which silence is long enough
    watched = lost = trials = 0
    for one, other, count in lives:
        if one > told:
            continue
        watched += count
        for month in range(one + 1, told + 2):
            trials += count
            if month > other:
                lost += count
                break
    assert (fit.people, fit.lost, fit.person_months) == (watched, lost, trials)
    if trials:
        assert fit.hazard == lost / trials
    else:
        assert math.isnan(fit.hazard)
    assert math.isnan(fit.low) == (watched < 30 or not trials)


def lifetimes(
    random: np.random.Generator, hazard: float, people: int
) -> tuple[np.ndarray, np.ndarray]:
    """Months of entry and of last acts of people who are there every month until lost."""
    first = random.integers(0, NEWEST, people)
    return first, np.minimum(first + random.geometric(hazard, people) - 1, NEWEST)


@pytest.mark.parametrize("hazard", [0.02, 0.2])
@pytest.mark.parametrize("lapse", [1, 6])
def test_the_interval_covers_the_truth(hazard: float, lapse: int) -> None:
    """A half-life with an interval that misses it is worse than none, whatever the lapse."""
    random = np.random.default_rng(20_260_103)
    one = np.ones(200, dtype=np.int64)

    fits = [fit_hazard(*lifetimes(random, hazard, 200), one, NEWEST, lapse) for _ in range(600)]

    covered = np.mean([fit.low <= hazard <= fit.high for fit in fits])
    assert 0.92 <= covered <= 0.98
    assert np.mean([fit.hazard for fit in fits]) == pytest.approx(hazard, rel=0.03)


def test_the_month_that_goes_on_loses_nobody() -> None:
    """On the second of a month nobody is lost for not having come in it yet."""
    one = np.ones(1, dtype=np.int64)

    alive = fit_hazard(one * 0, one * (NEWEST - 1), one, NEWEST, 1)
    silent = fit_hazard(one * 0, one * (NEWEST - 2), one, NEWEST, 1)

    assert (alive.lost, alive.person_months) == (0, NEWEST - 1)
    assert (silent.lost, silent.person_months) == (1, NEWEST - 1)


def test_half_lost_in_five_years_is_the_yardstick() -> None:
    """12.9 % a year, 1.15 % a month."""
    hazard = 1 - 0.5 ** (1 / 60)

    assert half_life(hazard) == pytest.approx(60)
    assert yearly_loss(hazard) == pytest.approx(0.12944943670387588)


def test_a_hazard_of_nothing_or_of_everything_has_its_half_life() -> None:
    """No division by zero, and no promise of for ever."""
    assert math.isnan(half_life(0.0))
    assert math.isnan(half_life(math.nan))
    assert half_life(1.0) == 0
    assert yearly_loss(1.0) == 1


def test_wilson_is_wilson_s() -> None:
    """Values of his formula; near 0 and 1 it stays within."""
    low, high = wilson(np.array([10, 0, 5, 50]), np.array([100, 10, 5, 100]))

    assert low == pytest.approx([0.05522914, 0, 0.56551753, 0.40383153], abs=1e-8)
    assert high == pytest.approx([0.17436566, 0.27753279, 1, 0.59616847], abs=1e-8)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate(counted: tuple[int, int]) -> None:
    """A bound on the wrong side of its own rate is a bug for every reader to see."""
    (low,), (high,) = wilson(*(np.array([each]) for each in counted))

    assert 0 <= low <= counted[0] / counted[1] <= high <= 1
    assert low < high
