"""Tables of spheres and cascades: parts of all shards merged by pinner and by root."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Floats,
    Ints,
    Tables,
    codes,
    first_rows,
    ints,
    key_places,
)
from pipelines.kernels.hashing import hash_rows
from pipelines.kernels.stretches import distinct, sorted_within
from pipelines.transforms.shuffle import KEY
from schemas.settings import Site

_HOUR_MS = 3_600_000
_NEVER = np.iinfo(np.int64).max


class Pairs(NamedTuple):
    """PAIRS as arrays, the pinners as codes."""

    pinners: pa.Table  # [codes] site_id and pinner_id; some have reached nobody
    pinner: Ints  # [pairs] code, and so on
    person: Ints  # hash
    hop: Ints  # the least
    visits: Ints
    pins: Ints
    influenced_micros: Ints
    first_reached_at: Ints
    delay_ms: Ints  # of the first landing


def pairs_of(pairs: pa.Table, own_pins: pa.Table) -> Pairs:
    """The pairs of whole pinners.

    Args:
      pairs: PAIRS, with their key.
      own_pins: OWN_PINS of the same pinners, who all have pins.

    Raises:
      ValueError: two pinners have the same hash (once in 2**64 pairs), or one has no pins.
    """
    names = own_pins.select(["site_id", "pinner_id"])
    (code,) = codes(names.columns)
    pinners = names.take(pa.array(first_rows(code)))
    hashes = hash_rows(*pinners.columns).view(np.int64)
    pinner = key_places(ints(pairs[KEY]), hashes)
    if len(distinct(hashes)) < len(hashes) or (pinner < 0).any():
        raise ValueError("pairs of pinners whose pins nobody knows, or of two with the same hash")
    return Pairs(pinners, pinner, *(ints(pairs[name]) for name in Pairs._fields[2:]))


def pinner_spheres(
    tables: Tables, pairs: Pairs, totals: pa.Table, sites: dict[str, Site]
) -> pa.Table:
    """One row per pinner, of her pairs, parts and credit under the default model."""
    own = tables["own_pins"]
    by_pinner = totals.filter(pc.equal(totals["dimension"], "pinner"))
    # Own pins come first, so that their codes are the pinners' places, as in `Pairs`.
    of_own, of_visit, of_credit = codes(
        *([t["site_id"], t["pinner_id"]] for t in (own, tables["hop_visits"])),
        [by_pinner["site_id"], by_pinner["key"]],
    )
    pinner, count, of_pair = first_rows(of_own), len(pairs.pinners), pairs.pinner
    parts = {
        name: _sums(of_own, own[name], count)
        for name in ("pins", "confirmed_pins", "pair_distance", "pairs")
    }
    site = own["site_id"].take(pa.array(pinner))
    people = by_hop(of_pair, pairs.hop, np.ones_like(pairs.hop), count)
    revenue = by_hop(of_pair, pairs.hop, pairs.influenced_micros, count)
    repinners = np.bincount(of_pair[(pairs.pins > 0) & (pairs.hop == 1)], minlength=count)
    visit_hop = ints(tables["hop_visits"]["hop"])
    visits = by_hop(of_visit, visit_hop, ints(tables["hop_visits"]["visits"]), count)
    waits = _Sorted(of_pair, pairs.delay_ms, count)
    first_at, last_at = np.full((2, count), [[_NEVER], [-_NEVER]])
    np.minimum.at(first_at, of_pair, pairs.first_reached_at)
    np.maximum.at(last_at, of_pair, pairs.first_reached_at)
    decay = np.array([sites[name].sphere_decay for name in site.to_pylist()])
    return pa.table(
        {
            "site_id": site,
            "pinner_id": own["pinner_id"].take(pa.array(pinner)),
            "pins": parts["pins"],
            "confirmed_pins": parts["confirmed_pins"],
            "reach_hop_1": people[:, 0],
            "reach_hop_2": people[:, 1],
            "reach_hop_3_plus": people[:, 2:].sum(axis=1),
            "reach_total": people.sum(axis=1),
            "repinners_hop_1": repinners,
            "visits_hop_1": visits[:, 0],
            "visits_hop_2": visits[:, 1],
            "visits_hop_3_plus": visits[:, 2:].sum(axis=1),
            "visits": visits.sum(axis=1),
            "decayed_reach": decayed(people, decay),
            "depth": radius(people, 1, 1),
            "radius_90": radius(people, 9, 10),
            "breadth": visits.max(axis=1),
            "structural_virality": _ratio(parts["pair_distance"], parts["pairs"]),
            "median_hours_to_reach": pa.array(waits.middle() / _HOUR_MS, mask=waits.is_empty),
            "hours_to_90_percent": pa.array(waits.at(9, 10) / _HOUR_MS, mask=waits.is_empty),
            "credited_micros": _sums(of_credit, by_pinner["credited_micros"], count),
            "influenced_micros": revenue.sum(axis=1),
            "influenced_hop_1_micros": revenue[:, 0],
            "influenced_hop_2_plus_micros": revenue[:, 1:].sum(axis=1),
            "first_reached_at": pa.array(first_at, mask=waits.is_empty),
            "last_reached_at": pa.array(last_at, mask=waits.is_empty),
        }
    )


def by_hop(group: Ints, hop: Ints, amount: Ints, count: int) -> Ints:
    """[groups, hops >= 3] amounts by group and hop (column 0 is hop 1)."""
    width = max(3, int(hop.max(initial=0)))
    table = np.zeros(count * width, dtype=np.int64)
    np.add.at(table, group * width + hop - 1, amount)
    return table.reshape(count, width)


def decayed(people: Ints, decay: Floats) -> Floats:
    """[groups] people, those of each hop worth `decay` of those before.

    Added up hop by hop, so that hops that others of a shard have do not change the last bit.
    """
    total, worth = np.zeros(len(people)), np.ones(len(people))
    for at_hop in people.T:
        total += worth * at_hop
        worth = worth * decay
    return total


def radius(people: Ints, part: int, whole: int) -> Ints:
    """[groups] least hop within which part of the whole of the people are, 0 without any."""
    within = np.cumsum(people, axis=1)
    everybody = within[:, -1]
    far_enough = within * whole >= (everybody * part)[:, None]
    return np.where(everybody > 0, np.argmax(far_enough, axis=1) + 1, 0)


class _Sorted:
    """Values of groups, ascending within each, to read quantiles from."""

    def __init__(self, group: Ints, values: Ints, count: int) -> None:
        self._values = np.append(sorted_within(group, values), 0)
        self._size = np.bincount(group, minlength=count)
        self._start = np.cumsum(self._size) - self._size
        self.is_empty: Bools = self._size == 0

    def at(self, part: int, whole: int) -> Ints:
        """[groups] the least value that part of the whole of them do not exceed; or any."""
        place = np.maximum(-(-self._size * part // whole) - 1, 0)
        return self._values[self._start + place]

    def middle(self) -> Floats:
        """[groups] the median: the middle value, or half way between two; or any."""
        return (self.at(1, 2) + self._values[self._start + self._size // 2]) / 2


def _sums(group: Ints, amount: pa.ChunkedArray, count: int) -> Ints:
    total = np.zeros(max(count, int(group.max(initial=-1)) + 1), dtype=np.int64)
    np.add.at(total, group, ints(amount))
    return total[:count]


def _ratio(top: Ints, bottom: Ints) -> pa.Array:
    return pa.array(top / np.maximum(bottom, 1), mask=bottom == 0)


def cascades(shapes: pa.Table, totals: pa.Table) -> pa.Table:
    """One row per cascade, with its credit under the default model."""
    credit = totals.filter(pc.equal(totals["dimension"], "cascade"))
    mine, theirs = codes(
        [shapes["site_id"], shapes["root_pin_id"]], [credit["site_id"], credit["key"]]
    )
    total = _sums(theirs, credit["credited_micros"], len(shapes))
    virality = _ratio(ints(shapes["pair_distance"]), ints(shapes["pairs"]))
    return shapes.append_column("structural_virality", virality).append_column(
        "credited_micros", pa.array(total[mine])
    )
