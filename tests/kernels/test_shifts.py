"""Shares, streams and spheres out of their course: found when they are, and not by chance."""

import numpy as np
import pytest
from scipy import stats

from pipelines.kernels.shifts import (
    LIMIT,
    RECENT_DAYS,
    USUAL_DAYS,
    Shift,
    growth_chances,
    shift_of,
    silence_of,
)

DAYS = RECENT_DAYS + USUAL_DAYS
IS_RECENT = np.arange(DAYS) >= USUAL_DAYS


def shares(
    random: np.random.Generator, *, usual: float, recent: float, a_day: int, spread: float
) -> Shift:
    """A shop whose days differ by more than chance: beta-binomial counts, weekends busier."""
    mean = np.where(IS_RECENT, recent, usual)
    total = random.poisson(np.where(np.arange(DAYS) % 7 < 2, 2 * a_day, a_day))
    size = 1 / spread - 1
    count = random.binomial(total, random.beta(mean * size, (1 - mean) * size))
    found = shift_of(count, total, IS_RECENT)
    assert found is not None
    return found


@pytest.mark.parametrize("spread", [0.001, 0.02, 0.05])
def test_a_share_that_does_not_change_rarely_alarms(spread: float) -> None:
    """An alarm a month for nothing, and nobody looks at the next one."""
    random = np.random.default_rng(7)

    found = [
        shares(random, usual=0.7, recent=0.7, a_day=60, spread=spread).standard_errors
        for _ in range(4_000)
    ]

    assert np.mean(np.array(found) < -LIMIT) <= 0.008


def test_without_the_days_own_spread_it_would_alarm_all_the_time() -> None:
    """The control: by the counts alone, one week in fifteen is out of its course."""
    random = np.random.default_rng(7)
    alarms = 0
    for _ in range(500):
        total = random.poisson(60, DAYS)
        count = random.binomial(total, random.beta(0.7 * 19, 0.3 * 19, DAYS))
        recent, usual = (count[side].sum() / total[side].sum() for side in (IS_RECENT, ~IS_RECENT))
        sizes = 1 / total[IS_RECENT].sum() + 1 / total[~IS_RECENT].sum()
        alarms += recent - usual < -LIMIT * np.sqrt(0.21 * sizes)

    assert alarms > 20


def test_a_share_that_falls_is_found() -> None:
    """Pinterest changes what it strips: a shop with 60 landings a day knows within the week."""
    random = np.random.default_rng(8)

    found = [shares(random, usual=0.7, recent=0.5, a_day=60, spread=0.02) for _ in range(300)]

    assert np.mean([each.standard_errors < -LIMIT for each in found]) > 0.98
    assert np.mean([each.difference for each in found]) == pytest.approx(-0.2, abs=0.01)


def test_a_shift_by_hand() -> None:
    """28 days of 50 in 100, then 7 of 40: equal days add no spread to chance."""
    total = np.full(DAYS, 100)

    found = shift_of(np.where(IS_RECENT, 40, 50), total, IS_RECENT)

    share = (7 * 40 + 28 * 50) / 3500
    error = np.sqrt(share * (1 - share) * (1 / 700 + 1 / 2800))
    assert found == pytest.approx((0.4, 0.5, -0.1 / error))


@pytest.mark.parametrize(
    ("a_day", "days"),
    [
        (14, DAYS),  # 98 in the newest seven days
        (100, RECENT_DAYS + 13),  # a shop of three weeks
    ],
)
def test_too_little_data_says_nothing(a_day: int, days: int) -> None:
    """A shop with ten landings a week would have an alarm each month."""
    total = np.where(np.arange(DAYS) >= DAYS - days, a_day, 0)

    assert shift_of(total // 2, total, IS_RECENT) is None


@pytest.mark.parametrize(("old", "new"), [(100, 100), (0, 0)])
def test_a_share_that_is_all_or_nothing_is_no_shift(old: int, new: int) -> None:
    """No error to divide by, and no warning either."""
    found = shift_of(np.where(IS_RECENT, new, old), np.full(DAYS, 100), IS_RECENT)

    assert found == (new / 100, old / 100, 0.0)


def test_what_was_whole_and_breaks_is_found() -> None:
    """Before, every token survived: days without any spread are the surest of all."""
    found = shift_of(np.where(IS_RECENT, 90, 100), np.full(DAYS, 100), IS_RECENT)

    assert found is not None
    assert found.standard_errors < -LIMIT


def busy_by_day(days: int) -> np.ndarray:
    """Events by hour: ten an hour by day, none from midnight to six."""
    return np.tile(np.where(np.arange(24) < 6, 0, 10), days)


@pytest.mark.parametrize(
    ("silent", "last_hour", "wanted"),
    [
        (0, 12, (0, 0)),
        (2, 12, (2, 20)),  # from ten to noon, when there were always twenty
        (5, 5, (5, 0)),  # from midnight to five nobody ever comes
        (9, 9, (9, 30)),  # and on until nine
    ],
)
def test_silence_is_measured_by_the_same_hours_of_other_days(
    silent: int, last_hour: int, wanted: tuple[int, int]
) -> None:
    """Nights are silent: whoever is woken each night turns the alarm off."""
    events = busy_by_day(30)[: 29 * 24 + last_hour].copy()
    events[len(events) - silent :] = 0

    assert silence_of(events) == wanted


def test_silence_of_days_is_measured_by_days_before_it() -> None:
    """The hours of the silence itself are no measure of what is usual."""
    events = busy_by_day(40)
    events[-50:] = 0

    assert silence_of(events) == (50, 2 * 180 + 20)


def test_one_day_of_rest_among_those_before_is_usual() -> None:
    """A shop that closes on Sundays is not told so on each of them."""
    events = busy_by_day(30)
    events[-7 * 24 :][:24] = 0
    events[-4:] = 0

    assert silence_of(events) == (4, 0)


def test_a_young_stream_is_not_judged() -> None:
    """After a week nobody knows what is usual."""
    events = np.concatenate((busy_by_day(13), np.zeros(1, dtype=np.int64)))

    assert silence_of(events) == (1, None)
    assert silence_of(np.zeros(0, dtype=np.int64)) == (0, None)


def test_growth_is_measured_by_the_exact_binomial() -> None:
    """As scipy's own distribution has it, the value itself counted in."""
    recent, usual = np.array([0, 5, 20, 20]), np.array([4, 20, 0, 80])

    found = growth_chances(recent, usual, 100, 500)

    assert found == pytest.approx(stats.binom.sf(recent - 1, recent + usual, 0.2))
    assert found[0] == 1


def test_a_week_in_which_all_grow_makes_nobody_unusual() -> None:
    """Before Christmas every pinner reaches three times as many."""
    hers, before = np.array([60]), np.array([80])

    alone = growth_chances(hers, before, 60, 80)
    with_all = growth_chances(hers, before, 6_060, 8_080)

    assert alone[0] < 1e-9
    assert with_all[0] == pytest.approx(stats.binom.sf(59, 140, 6_000 / 14_000))
    assert with_all[0] > 0.4
