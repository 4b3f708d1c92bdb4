"""Days and months of the shop: UTC milliseconds to its local calendar."""

import datetime
import functools
import time
import zoneinfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, ints
from pipelines.kernels.groups import numbered

# Every IANA offset since 1980 is whole quarters of an hour; earlier times are wrong clocks.
_QUARTER_MS = 900_000
# 2**7 quarters of an hour are looked up together: somewhat more than a day.
_BITS = 7
_EPOCH = datetime.date(1970, 1, 1).toordinal()


def local_days(at: Ints, time_zone: str) -> pa.Array:
    """[rows] date of UTC epoch milliseconds in an IANA time zone."""
    quarters = at // _QUARTER_MS
    blocks, place = numbered(quarters >> _BITS)
    tables = [_days(block, time_zone) for block in blocks.tolist()]
    days = np.concatenate([np.zeros(0, dtype=np.int32), *tables])
    row = (place << _BITS) + (quarters & ((1 << _BITS) - 1))
    return pa.array(days[row]).cast(pa.date32())


@functools.lru_cache(maxsize=2**14)
def _days(block: int, time_zone: str) -> npt.NDArray[np.int32]:
    """[quarters] days since 1970 of a block of quarters; every shard asks for the same ones."""
    zone = zoneinfo.ZoneInfo(time_zone)
    quarters = range(block << _BITS, (block + 1) << _BITS)
    dates = (datetime.datetime.fromtimestamp(quarter * 900, zone) for quarter in quarters)
    return np.array([date.toordinal() - _EPOCH for date in dates], dtype=np.int32)


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
