"""Tables of spheres and cascades: parts of all shards merged by pinner and by root."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Floats, Ints, Tables, codes, group_starts, ints, sort_by
from schemas.settings import Site


def sphere_edges(reach: pa.Table, influence: pa.Table) -> pa.Table:
    """One row per pinner and person over all cascades, with the first landing's delay."""
    keys = ["site_id", "pinner_id", "person_id"]
    merged = reach.group_by(keys, use_threads=False).aggregate(
        [("hop", "min"), ("visits", "sum"), ("pins", "sum")]
    )
    merged = sort_by(merged, *keys).rename_columns(
        {"hop_min": "hop", "visits_sum": "visits", "pins_sum": "pins"}
    )
    order = [(name, "ascending") for name in (*keys, "first_at")]
    first = reach.take(pc.sort_indices(reach, [*order, ("own_pin_at", "descending")]))
    (code,) = codes([first[key] for key in keys])
    first = first.take(pa.array(group_starts(code)))
    delay = np.maximum(ints(first["first_at"]) - ints(first["own_pin_at"]), 0)
    mine, theirs = codes([merged[key] for key in keys], [influence[key] for key in keys])
    influenced = np.zeros(
        int(max(mine.max(initial=-1), theirs.max(initial=-1))) + 1, dtype=np.int64
    )
    np.add.at(influenced, theirs, ints(influence["influenced_micros"]))
    return merged.append_column("influenced_micros", pa.array(influenced[mine])).append_column(
        "delay_ms", pa.array(delay)
    )


def pinner_spheres(
    tables: Tables, edges: pa.Table, default: pa.Table, sites: dict[str, Site]
) -> pa.Table:
    """One row per pinner, of her edges, parts and credit under the default model."""
    own = (
        tables["own_pins"]
        .group_by(["site_id", "pinner_id"], use_threads=False)
        .aggregate([(name, "sum") for name in ("pins", "confirmed_pins", "pair_distance", "pairs")])
    )
    own = sort_by(own, "site_id", "pinner_id")
    edges = sort_by(edges, "site_id", "pinner_id", "delay_ms")
    by_pinner = default.filter(pc.equal(default["dimension"], "pinner"))
    pinner, of_edge, of_visit, of_influence, of_credit = codes(
        [own["site_id"], own["pinner_id"]],
        *(
            [t["site_id"], t["pinner_id"]]
            for t in (edges, tables["hop_visits"], tables["influence"])
        ),
        [by_pinner["site_id"], by_pinner["key"]],
    )
    count = len(pinner)
    hop = ints(edges["hop"])
    by_hop = _by_hop(of_edge, hop, np.ones(len(hop), dtype=np.int64), count)
    visit_hop = ints(tables["hop_visits"]["hop"])
    visits = _by_hop(of_visit, visit_hop, ints(tables["hop_visits"]["visits"]), count)
    decay = np.array([sites[site].sphere_decay for site in own["site_id"].to_pylist()])
    powers = decay[:, None] ** np.arange(by_hop.shape[1])[None, :]
    return pa.table(
        {
            "site_id": own["site_id"],
            "pinner_id": own["pinner_id"],
            "pins": own["pins_sum"],
            "confirmed_pins": own["confirmed_pins_sum"],
            "reach_hop_1": by_hop[:, 0],
            "reach_hop_2": by_hop[:, 1],
            "reach_hop_3_plus": by_hop[:, 2:].sum(axis=1),
            "reach_total": by_hop.sum(axis=1),
            "visits_hop_1": visits[:, 0],
            "visits_hop_2": visits[:, 1],
            "visits_hop_3_plus": visits[:, 2:].sum(axis=1),
            "visits": visits.sum(axis=1),
            "decayed_reach": (by_hop * powers).sum(axis=1),
            "depth": _depth(by_hop),
            "breadth": visits.max(axis=1),
            "structural_virality": _ratio(own["pair_distance_sum"], own["pairs_sum"]),
            "median_hours_to_reach": _median_hours(of_edge, ints(edges["delay_ms"]), count),
            "credited_micros": _sums(of_credit, by_pinner["credited_micros"], count),
            "influenced_micros": _sums(
                of_influence, tables["influence"]["influenced_micros"], count
            ),
        }
    )


def _by_hop(group: Ints, hop: Ints, amount: Ints, count: int) -> Ints:
    """[groups, hops >= 3] amounts by group and hop (column 0 is hop 1)."""
    width = max(3, int(hop.max(initial=0)))
    table = np.zeros((count, width), dtype=np.int64)
    np.add.at(table, (group, hop - 1), amount)
    return table


def _depth(by_hop: Ints) -> Ints:
    """[groups] greatest hop with a person, 0 without any."""
    width = by_hop.shape[1]
    return np.where(by_hop.any(axis=1), width - np.argmax(by_hop[:, ::-1] > 0, axis=1), 0)


def _sums(group: Ints, amount: pa.ChunkedArray, count: int) -> Ints:
    total = np.zeros(max(count, int(group.max(initial=-1)) + 1), dtype=np.int64)
    np.add.at(total, group, ints(amount))
    return total[:count]


def _ratio(numerator: pa.ChunkedArray, denominator: pa.ChunkedArray) -> pa.Array:
    top, bottom = ints(numerator), ints(denominator)
    return pa.array(top / np.maximum(bottom, 1), mask=bottom == 0)


def _median_hours(group: Ints, sorted_delay: Ints, count: int) -> pa.Array:
    """[groups] median of delays that are sorted within each group, in hours; null without any."""
    size = np.bincount(group, minlength=count)
    start = np.searchsorted(group, np.arange(count))
    has = size > 0
    low = sorted_delay[(start + (size - 1) // 2)[has]]
    high = sorted_delay[(start + size // 2)[has]]
    hours: Floats = np.zeros(count)
    hours[has] = (low + high) / 2 / 3_600_000
    return pa.array(hours, mask=~has)


def cascades(shapes: pa.Table, default: pa.Table) -> pa.Table:
    """One row per cascade, with its credit under the default model."""
    credit = default.filter(pc.equal(default["dimension"], "cascade"))
    mine, theirs = codes(
        [shapes["site_id"], shapes["root_pin_id"]], [credit["site_id"], credit["key"]]
    )
    total = _sums(theirs, credit["credited_micros"], len(shapes))
    return shapes.append_column(
        "structural_virality", _ratio(shapes["pair_distance"], shapes["pairs"])
    ).append_column("credited_micros", pa.array(total[mine]))
