"""Days of the shop: UTC milliseconds to local calendar days."""

import datetime
import zoneinfo

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints

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
