"""Days of the shop: UTC milliseconds to local calendar days."""

import datetime
import zoneinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, ints

# Every IANA offset since 1980 is whole quarters of an hour; earlier times are wrong clocks.
_QUARTER_MS = 900_000


def local_days(at: Ints, time_zone: str) -> pa.Array:
    """[rows] ``YYYY-MM-DD`` of UTC epoch milliseconds in an IANA time zone."""
    zone = zoneinfo.ZoneInfo(time_zone)
    quarters, place = np.unique(at // _QUARTER_MS, return_inverse=True)
    days = [
        datetime.datetime.fromtimestamp(int(quarter) * 900, zone).date().isoformat()
        for quarter in quarters
    ]
    return pa.array(days, pa.string()).take(pa.array(place))


def derived_time_ms(events: pa.Table) -> Ints:
    """[rows] event time corrected by the sender's clock error: event + (received - sent).

    Without a sent or a received time the event time stands as it is.
    """
    error = pc.subtract(events["received_time_ms"], events["sent_time_ms"])
    return ints(pc.add(events["event_time_ms"], pc.fill_null(error, 0)))
