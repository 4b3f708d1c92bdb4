"""Days of the shop: UTC milliseconds to local calendar days."""

import datetime
import functools
import zoneinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, ints

# Every IANA offset since 1980 is whole quarters of an hour; earlier times are wrong clocks.
_QUARTER_MS = 900_000


def local_days(at: Ints, time_zone: str) -> pa.Array:
    """[rows] ``YYYY-MM-DD`` of UTC epoch milliseconds in an IANA time zone."""
    quarters, place = np.unique(at // _QUARTER_MS, return_inverse=True)
    days = [_day(quarter, time_zone) for quarter in quarters.tolist()]
    return pa.array(days, pa.string()).take(pa.array(place))


@functools.lru_cache(maxsize=2**17)
def _day(quarter: int, time_zone: str) -> str:
    """The local day of a quarter of an hour; every shard asks for the same ones."""
    zone = zoneinfo.ZoneInfo(time_zone)
    return datetime.datetime.fromtimestamp(quarter * 900, zone).date().isoformat()


def derived_time_ms(events: pa.Table) -> Ints:
    """[rows] event time corrected by the sender's clock error: event + (received - sent).

    Without a sent or a received time the event time stands as it is.
    """
    error = pc.subtract(events["received_time_ms"], events["sent_time_ms"])
    return ints(pc.add(events["event_time_ms"], pc.fill_null(error, 0)))
