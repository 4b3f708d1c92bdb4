"""Last stage: parts from all shards merged by pinner, cascade, day and key."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Ints,
    Tables,
    bools,
    codes,
    group_starts,
    ints,
    is_set,
    known,
    rounded,
    take,
)
from pipelines.kernels.groups import group_by
from pipelines.kernels.uncertainty import gamma_interval
from pipelines.transforms.club import known_pinners, pinner_credits, tie_parts
from pipelines.transforms.daily import DIMENSIONS, sum_by_key
from pipelines.transforms.graph import audiences
from pipelines.transforms.ladder import add_moves_up, add_standings_up
from pipelines.transforms.parts import Part
from pipelines.transforms.rejects import once
from pipelines.transforms.relationships import add_stages_up
from pipelines.transforms.sphere_tables import (
    Pairs,
    cascades,
    join_pairs,
    pair_people,
    pinner_spheres,
    sphere_edges,
)
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    ARRIVAL_COUNTS,
    ARRIVAL_PARTS,
    DAILY_COUNTS,
    LANDING_COUNTS,
    LANDING_PARTS,
    QUALITY_COUNTS,
    QUALITY_PARTS,
    SALES_PARTS,
    SALES_SUMS,
)
from schemas.models import DEFAULT_MODEL
from schemas.settings import Site


def summarize(
    parts: Iterable[tuple[Part, Tables]], sites: dict[str, Site], wanted: Wanted = EVERYTHING
) -> Iterator[tuple[int, Tables]]:
    """Merges parts of tables. Takes all rows of whole (site, key)s, what concerns people in parts.

    A part's people are told at once; of their pairs the numbers are kept for what is told of
    pinners.
    """
    parts = iter(parts)
    first, tables = next(parts)
    found: list[Pairs] = []
    for part, given in itertools.chain([(first, tables)], parts):
        some, row = pair_people(given["reach"], given["influence"])
        found.append(some)
        edges = functools.partial(sphere_edges, given["reach"], some, row)
        yield part.number, wanted.made(sphere_edges=edges)
    tables = {name: table for name, table in tables.items() if name not in ("reach", "influence")}
    yield first.of, _of_all(tables, join_pairs(found), sites, wanted)


def _of_all(tables: Tables, pairs: Pairs, sites: dict[str, Site], wanted: Wanted) -> Tables:
    sums = tables["credit_sums"]
    default = sums.filter(pc.is_valid(sums[DEFAULT_MODEL])).rename_columns(
        {DEFAULT_MODEL: "credited_micros"}
    )
    credits = functools.cache(lambda: _model_credits(sums, wanted.models))
    parts = tables["daily_parts"]

    @functools.cache
    def key() -> list[Ints]:
        return [codes([parts[name]])[0] for name in ("site_id", "key", "day")]

    def daily(dimension: str) -> pa.Table:
        return _daily_table(parts, key(), dimension, wanted.models)

    return wanted.made(
        audiences=lambda: audiences(pairs),
        pinner_spheres=lambda: pinner_spheres(tables, pairs, default, sites),
        cascades=lambda: cascades(tables["cascade_shapes"], default),
        model_credits=credits,
        known_pinners=lambda: known_pinners(tables["own_pins"]),
        pinner_credits=lambda: pinner_credits(credits()),
        tie_parts=lambda: tie_parts(pairs),
        item_daily=lambda: daily("product"),
        slot_daily=lambda: daily("slot"),
        recommender_daily=lambda: daily("recommender"),
        sales_daily=lambda: _for_each_model(
            sum_by_key(tables["sales_parts"], SALES_PARTS, SALES_SUMS), wanted.models
        ),
        ladder_daily=lambda: add_standings_up(tables["ladder_parts"]),
        ladder_moves=lambda: add_moves_up(tables["move_parts"]),
        data_quality_daily=lambda: sum_by_key(
            tables["quality_parts"], QUALITY_PARTS, QUALITY_COUNTS
        ),
        landings_daily=lambda: sum_by_key(tables["landing_parts"], LANDING_PARTS, LANDING_COUNTS),
        arrivals_hourly=lambda: sum_by_key(tables["arrival_parts"], ARRIVAL_PARTS, ARRIVAL_COUNTS),
        stage_transitions=lambda: add_stages_up(tables["stage_parts"]),
        quarantine=lambda: once(tables["rejects"]),
    )


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
            "ci_low_micros": rounded(interval.low),
            "ci_high_micros": rounded(interval.high),
            "n_customers": interval.n_customers,
            "n_effective": known(interval.n_effective),
        }
        parts.append(pa.table({**{n: rows[n] for n in rows.column_names}, **columns}))
    return pa.concat_tables(parts)


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
