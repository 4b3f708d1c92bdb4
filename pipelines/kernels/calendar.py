"""Days and months of the shop: UTC milliseconds to its local calendar."""

import datetime
import functools
import time
import zoneinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, ints

# Every IANA offset since 1980 is whole quarters of an hour; earlier times are wrong clocks.
_QUARTER_MS = 900_000
_MOST_FLAGS = 2**20


def local_days(at: Ints, time_zone: str) -> pa.Array:
    """[rows] ``YYYY-MM-DD`` of UTC epoch milliseconds in an IANA time zone."""
    quarters, place = _distinct(at // _QUARTER_MS)
    days = [_day(quarter, time_zone) for quarter in quarters.tolist()]
    return pa.array(days, pa.string()).take(pa.array(place))


def _distinct(values: Ints) -> tuple[Ints, Ints]:
    """Distinct values in ascending order, and [rows] the place of each row's among them."""
    if len(values) == 0:
        return values, values
    low = int(values.min())
    width = int(values.max()) - low + 1
    if width > _MOST_FLAGS:
        return np.unique(values, return_inverse=True)
    # A flag for each value that might be: quarters of some years are few, and rows many.
    is_there = np.zeros(width, dtype=np.bool_)
    is_there[values - low] = True
    return np.flatnonzero(is_there) + low, (np.cumsum(is_there) - 1)[values - low]


@functools.lru_cache(maxsize=2**17)
def _day(quarter: int, time_zone: str) -> str:
    """The local day of a quarter of an hour; every shard asks for the same ones."""
    zone = zoneinfo.ZoneInfo(time_zone)
    return datetime.datetime.fromtimestamp(quarter * 900, zone).date().isoformat()


def months_of(at: Ints, time_zone: str) -> Ints:
    """[rows] month of UTC epoch milliseconds in an IANA time zone, as 12 x year + month - 1.

    A month begins when its first day does for the first time.
    """
    if len(at) == 0:
        return at
    # A month more at both ends than UTC says: no zone is off by more than a day.
    ends = [time.gmtime(moment // 1000) for moment in (int(at.min()), int(at.max()))]
    first, last = (end.tm_year * 12 + end.tm_mon - 1 for end in ends)
    months = np.arange(first - 1, last + 2)
    begins = month_begins(months, time_zone)
    return months[np.searchsorted(begins, at, side="right") - 1]


def month_begins(months: Ints, time_zone: str) -> Ints:
    """[months] UTC epoch milliseconds at which each of them begins."""
    distinct, place = np.unique(months, return_inverse=True)
    begins = [_month_begins(month, time_zone) for month in distinct.tolist()]
    return np.array(begins, dtype=np.int64)[place]


@functools.lru_cache(maxsize=2**14)
def _month_begins(month: int, time_zone: str) -> int:
    zone = zoneinfo.ZoneInfo(time_zone)
    return round(datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=zone).timestamp()) * 1000


def month_texts(months: Ints) -> pa.Array:
    """[months] ``YYYY-MM``."""
    distinct, place = np.unique(months, return_inverse=True)
    texts = [f"{month // 12:04}-{month % 12 + 1:02}" for month in distinct.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(place))


def derived_time_ms(events: pa.Table) -> Ints:
    """[rows] event time corrected by the sender's clock error: event + (received - sent).

    Without a sent or a received time the event time stands as it is.
    """
    error = pc.subtract(events["received_time_ms"], events["sent_time_ms"])
    return ints(pc.add(events["event_time_ms"], pc.fill_null(error, 0)))
