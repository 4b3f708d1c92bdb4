"""Days of the shop: local calendar days, also where clocks change."""

import datetime
import zoneinfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.calendar import local_days
from schemas.events import EARLIEST_MS, LATEST_MS

# Whole hours, halves, quarters, both sides of the date line; Lord Howe moves by half an hour.
ZONES = [
    "UTC", "Europe/London", "America/New_York", "America/St_Johns", "Asia/Kathmandu",
    "Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati", "Australia/Lord_Howe",
    "Africa/Casablanca", "America/Havana", "Asia/Gaza",
]  # fmt: skip
HOUR_MS = 3_600_000


def naive_day(at: int, time_zone: str) -> datetime.date:
    """The standard library's answer for one time, milliseconds and all."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    moment = epoch + datetime.timedelta(milliseconds=at)
    return moment.astimezone(zoneinfo.ZoneInfo(time_zone)).date()


@pytest.mark.parametrize("time_zone", ZONES)
@given(st.lists(st.integers(EARLIEST_MS, LATEST_MS - 1), max_size=20))
def test_days_are_zoneinfo_s(time_zone: str, at: list[int]) -> None:
    """An order of 23:59:59.999 belongs to that day's sales, wherever the shop stands."""
    days = local_days(np.array(at, dtype=np.int64), time_zone)

    assert days.to_pylist() == [naive_day(one, time_zone) for one in at]


@pytest.mark.parametrize("time_zone", ZONES)
@pytest.mark.parametrize("year", [2000, 2011, 2025])
def test_every_midnight_of_a_year_is_zoneinfo_s(time_zone: str, year: int) -> None:
    """Around each change of clocks, and in Apia over a day that never was (2011-12-30)."""
    first = int(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC).timestamp()) * 1000
    quarters = first + np.arange(0, 366 * 24 * HOUR_MS, HOUR_MS // 4)
    at = np.concatenate((quarters - 1, quarters))

    days = local_days(at, time_zone).to_pylist()

    places = range(0, len(at), 7)  # every row would take seconds; 7 shares no factor with a day
    assert [days[place] for place in places] == [
        naive_day(int(at[place]), time_zone) for place in places
    ]


@pytest.mark.parametrize(
    ("utc", "time_zone", "day"),
    [
        ("2025-03-30T00:30:00", "Europe/London", "2025-03-30"),  # half an hour before the change
        ("2025-03-30T23:30:00", "Europe/London", "2025-03-31"),  # summer time is one hour ahead
        ("2025-10-26T23:30:00", "Europe/London", "2025-10-26"),  # and winter time is not
        ("2025-07-01T03:59:59", "America/New_York", "2025-06-30"),
        ("2025-01-01T04:59:59", "America/New_York", "2024-12-31"),
        ("2011-12-30T09:59:59", "Pacific/Apia", "2011-12-29"),
        ("2011-12-30T10:00:00", "Pacific/Apia", "2011-12-31"),  # the 30th was left out
    ],
)
def test_days_by_hand(utc: str, time_zone: str, day: str) -> None:
    """The cases a shop's accountant would ask about."""
    at = int(datetime.datetime.fromisoformat(utc + "+00:00").timestamp()) * 1000

    assert local_days(np.array([at]), time_zone).to_pylist() == [datetime.date.fromisoformat(day)]
