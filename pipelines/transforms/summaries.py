"""Last stage: parts from all shards merged by pinner, cascade, day and key."""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Floats,
    Ints,
    Tables,
    bools,
    codes,
    group_starts,
    ints,
    is_set,
    sort_by,
    take,
)
from pipelines.kernels.groups import group_by
from pipelines.kernels.uncertainty import gamma_interval
from pipelines.transforms.daily import DIMENSIONS, sum_by_key
from pipelines.transforms.ladder import add_moves_up, add_standings_up
from pipelines.transforms.rejects import once
from pipelines.transforms.relationships import add_stages_up
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    DAILY_COUNTS,
    QUALITY_COUNTS,
    QUALITY_PARTS,
    SALES_PARTS,
    SALES_SUMS,
)
from schemas.models import DEFAULT_MODEL
from schemas.settings import Site


def summarize(tables: Tables, sites: dict[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Merges parts. Takes all rows of whole (site, key)s; gives the aggregate tables."""
    sums = tables["credit_sums"]
    default = sums.filter(pc.is_valid(sums[DEFAULT_MODEL])).rename_columns(
        {DEFAULT_MODEL: "credited_micros"}
    )
    edges = functools.cache(lambda: _edges(tables["reach"], tables["influence"]))
    sales = functools.partial(
        sum_by_key, tables["sales_parts"], SALES_PARTS, ("site_id", "day"), SALES_SUMS
    )
    quality = functools.partial(
        sum_by_key,
        tables["quality_parts"],
        QUALITY_PARTS,
        ("site_id", "day", "event_name"),
        QUALITY_COUNTS,
    )
    parts = tables["daily_parts"]

    @functools.cache
    def key() -> list[Ints]:
        return [codes([parts[name]])[0] for name in ("site_id", "key", "day")]

    def daily(dimension: str) -> pa.Table:
        return _daily_table(parts, key(), dimension, wanted.models)

    return wanted.made(
        sphere_edges=edges,
        pinner_spheres=lambda: _spheres(tables, edges(), default, sites),
        cascades=lambda: _cascades(tables["cascade_shapes"], default),
        model_credits=lambda: _model_credits(sums, wanted.models),
        item_daily=lambda: daily("product"),
        slot_daily=lambda: daily("slot"),
        recommender_daily=lambda: daily("recommender"),
        sales_daily=lambda: _for_each_model(sales(), wanted.models),
        ladder_daily=lambda: add_standings_up(tables["ladder_parts"]),
        ladder_moves=lambda: add_moves_up(tables["move_parts"]),
        data_quality_daily=quality,
        stage_transitions=lambda: add_stages_up(tables["stage_parts"]),
        quarantine=lambda: once(tables["rejects"]),
    )


def _edges(reach: pa.Table, influence: pa.Table) -> pa.Table:
    """One row per pinner and person over all cascades, with the first landing's delay."""
    keys = ["site_id", "pinner_id", "person_id"]
    merged = reach.group_by(keys, use_threads=False).aggregate(
        [("hop", "min"), ("visits", "sum"), ("pins", "sum")]
    )
    merged = sort_by(merged, *keys).rename_columns(
        {"hop_min": "hop", "visits_sum": "visits", "pins_sum": "pins"}
    )
    order = [(name, "ascending") for name in (*keys, "first_at", "hop")]
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


def _spheres(
    tables: Tables, edges: pa.Table, default: pa.Table, sites: dict[str, Site]
) -> pa.Table:
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


def _cascades(shapes: pa.Table, default: pa.Table) -> pa.Table:
    credit = default.filter(pc.equal(default["dimension"], "cascade"))
    mine, theirs = codes(
        [shapes["site_id"], shapes["root_pin_id"]], [credit["site_id"], credit["key"]]
    )
    total = _sums(theirs, credit["credited_micros"], len(shapes))
    return shapes.append_column(
        "structural_virality", _ratio(shapes["pair_distance"], shapes["pairs"])
    ).append_column("credited_micros", pa.array(total[mine]))


def _model_credits(sums: pa.Table, models: Sequence[str]) -> pa.Table:
    """Credit of each key of each dimension but cascades, and how sure it is."""
    sums = sums.filter(pc.not_equal(sums["dimension"], "cascade"))
    (code,) = codes([sums[key] for key in ("site_id", "dimension", "key")])
    parts = []
    for model in models:
        owed = np.flatnonzero(is_set(sums[model]))
        amount = ints(sums[model])[owed]
        # Sorted by amount as well: float sums come out the same in every cut of the work.
        by = np.lexsort((amount, code[owed]))
        owed, amount = owed[by], amount[by]
        start = group_starts(code[owed])
        interval = gamma_interval(amount, np.append(start, len(owed)))
        rows = sums.select(["site_id", "dimension", "key"]).take(pa.array(owed[start]))
        columns = {
            "model": pa.array([model] * len(start), pa.string()),
            "credited_micros": np.add.reduceat(amount, start) if len(start) else start,
            "ci_low_micros": _rounded(interval.low),
            "ci_high_micros": _rounded(interval.high),
            "n_customers": interval.n_customers,
            "n_effective": pa.array(interval.n_effective, mask=np.isnan(interval.n_effective)),
        }
        parts.append(pa.table({**{n: rows[n] for n in rows.column_names}, **columns}))
    return pa.concat_tables(parts)


def _rounded(value: Floats) -> pa.Array:
    missing = np.isnan(value)
    return pa.array(np.round(np.where(missing, 0, value)).astype(np.int64), mask=missing)


def _daily_table(
    parts: pa.Table, key: Sequence[Ints], dimension: str, models: Sequence[str]
) -> pa.Table:
    """Counts that hold for every model are repeated for each, so that one filter reads a row.

    Args:
      parts: of all dimensions.
      key: [parts] codes of site, key and day.
      dimension: whose rows count.
      models: in the order in which they are wanted.
    """
    rows = np.flatnonzero(bools(pc.equal(parts["dimension"], dimension)))
    key = [code[rows] for code in key]
    # Of each key and day a place for what holds for every model, and one for each model.
    places = 1 + len(models)
    model = pc.index_in(parts["model"], value_set=pa.array(models, pa.string()))
    place = 1 + ints(model, missing=-1)[rows]
    told = group_by(*key, place)
    day = np.cumsum(np.any([np.diff(code[told.one], prepend=-1) != 0 for code in key], axis=0)) - 1
    cell = day * places + place[told.one]
    is_told = np.zeros((int(day.max(initial=-1)) + 1, places), dtype=np.bool_)
    is_told.reshape(-1)[cell] = True
    day_of_row, of_model = np.nonzero(is_told[:, 1:] | is_told[:, :1])

    def count(name: str) -> Ints:
        total = np.zeros(is_told.size, dtype=np.int64)
        total[cell] = told.sums(ints(parts[name])[rows])
        return total[day_of_row * places + of_model + 1] + total[day_of_row * places]

    one = rows[told.one[group_starts(day)][day_of_row]]
    return pa.table(
        {
            "site_id": take(parts["site_id"], one),
            DIMENSIONS[dimension]: take(parts["key"], one),
            "day": take(parts["day"], one),
            "model": take(pa.array(models, pa.string()), of_model),
            **{name: count(name) for name in DAILY_COUNTS},
        }
    )


def _for_each_model(table: pa.Table, models: Sequence[str]) -> pa.Table:
    row = np.tile(np.arange(len(table)), len(models))
    model = pa.array(np.repeat(np.array(models, dtype=object), len(table)), pa.string())
    return table.take(pa.array(row)).append_column("model", model)
