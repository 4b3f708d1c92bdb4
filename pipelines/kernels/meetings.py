"""Who comes back to whom: what two people's visits to each other's pins say.

A guest lands on a pin of a host's, or pins on from it; with that the host has reached her.
"""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Bools, Ints
from pipelines.kernels.groups import group_by

_DAY_MS = 86_400_000


class Returns(NamedTuple):
    """Which meetings are returns. All [meetings]."""

    to_host: Bools  # the guest had come to the host at least a day before
    to_reached: Bools  # the host had come to the guest before: the guest had reached her


def returns(guest: Ints, host: Ints, at: Ints) -> Returns:
    """In which meetings somebody came back.

    Args:
      guest: [meetings] codes from 0 of who came.
      host: [meetings] codes of whom she came to, never herself; of pairs of people all meetings.
      at: [meetings] times.
    """
    people = int(max(guest.max(initial=0), host.max(initial=0))) + 1
    met = group_by(guest, host)
    if len(met.start) == 0:
        return Returns(*np.zeros((2, len(guest)), dtype=np.bool_))
    first = np.minimum.reduceat(at[met.rows], met.start)
    # Groups are in the order of guest and host.
    one = met.one
    way, way_back = guest[one] * people + host[one], host[one] * people + guest[one]
    place = np.minimum(np.searchsorted(way, way_back), len(way) - 1)
    reached = np.where(way[place] == way_back, first[place], np.iinfo(np.int64).max)
    return Returns(at - _DAY_MS >= first[met.code], at > reached[met.code])
