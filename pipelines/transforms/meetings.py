"""Who came to whose pins, pair by pair: of such meetings only returns are told to the two people.

A meeting is told once, under a key of its two people, whoever came: what others did to a popular
pinner's pins is no part of her own history, which would have to be read whole for each of them.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, codes, ints, take
from pipelines.kernels.hashing import hash_rows, mix
from pipelines.kernels.meetings import returns
from pipelines.kernels.multisets import is_repeated
from pipelines.transforms.daily import months_in
from pipelines.transforms.shuffle import KEY
from schemas.batches import RETURN_COUNTS
from schemas.settings import Site


def meetings_between(people: pa.Table, guest: Ints, host: Ints, at: Ints) -> pa.Table:
    """MEETINGS of two known people each, with their key.

    Args:
      people: [codes] `site_id` and `person_id`.
      guest: [rows] code of who came to a pin, -1 for nobody known.
      host: [rows] code of whose pin it is, -1 for nobody known.
      at: [rows] when.
    """
    met = np.flatnonzero((guest >= 0) & (host >= 0) & (guest != host))
    guest, host = guest[met], host[met]
    # Each of few people is hashed once, and the pair in no order.
    own = hash_rows(people["site_id"], people["person_id"])
    return pa.table(
        {
            "site_id": take(people["site_id"], host),
            "host_id": take(people["person_id"], host),
            "guest_id": take(people["person_id"], guest),
            "at": at[met],
            KEY: mix(own[guest] + own[host]).view(np.int64),
        }
    )


def return_parts(meetings: pa.Table, sites: Mapping[str, Site]) -> pa.Table:
    """RETURN_PARTS: how often somebody came back, by month. Takes MEETINGS of whole pairs."""
    # Most of them are the only one of their two people.
    meetings = meetings.filter(pa.array(is_repeated(ints(meetings[KEY]))))
    site = meetings["site_id"]
    guest, host = codes(*([site, meetings[name]] for name in ("guest_id", "host_id")))
    came_back = returns(guest, host, ints(meetings["at"]))
    month = months_in(meetings, sites)
    parts = []
    for is_return, person, way in (
        (came_back.to_host, "host_id", "to_her"),
        (came_back.to_reached, "guest_id", "by_her"),
    ):
        rows = meetings.filter(pa.array(is_return))
        ways = {name: np.full(len(rows), name == way, dtype=np.int64) for name in RETURN_COUNTS}
        ids = {"site_id": rows["site_id"], "person_id": rows[person]}
        parts.append(pa.table({**ids, "month": month[is_return], **ways}))
    return pa.concat_tables(parts)
