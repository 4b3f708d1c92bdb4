"""Last stage: parts from all shards merged by pinner, cascade, day and key."""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import (
    Tables,
    ints,
    is_set,
    known,
    rounded,
)
from pipelines.kernels.groups import cells_of
from pipelines.kernels.stretches import sorted_within
from pipelines.kernels.uncertainty import gamma_interval
from pipelines.transforms.club import known_pinners, pinner_credits, tie_parts
from pipelines.transforms.daily import daily_table, sum_by_key
from pipelines.transforms.graph import audiences
from pipelines.transforms.ladder import add_moves_up, add_standings_up
from pipelines.transforms.rejects import once
from pipelines.transforms.relationships import add_stages_up
from pipelines.transforms.sphere_tables import (
    cascades,
    pairs_of,
    pinner_spheres,
)
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    ARRIVAL_COUNTS,
    ARRIVAL_PARTS,
    LANDING_COUNTS,
    LANDING_PARTS,
    QUALITY_COUNTS,
    QUALITY_PARTS,
    SALES_PARTS,
    SALES_SUMS,
)
from schemas.settings import Site


def summarize(tables: Tables, sites: dict[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Merges parts of tables. Takes all rows of whole (site, key)s."""
    pairs = functools.cache(lambda: pairs_of(tables["pairs"], tables["own_pins"]))
    totals = tables["credit_totals"]
    credits = functools.cache(lambda: _model_credits(tables["credit_sums"], wanted.models))
    return wanted.made(
        audiences=lambda: audiences(pairs()),
        pinner_spheres=lambda: pinner_spheres(tables, pairs(), totals, sites),
        cascades=lambda: cascades(tables["cascade_shapes"], totals),
        model_credits=credits,
        known_pinners=lambda: known_pinners(tables["own_pins"]),
        pinner_credits=lambda: pinner_credits(credits()),
        tie_parts=lambda: tie_parts(pairs()),
        item_daily=lambda: daily_table(tables, "product", wanted.models),
        slot_daily=lambda: daily_table(tables, "slot", wanted.models),
        recommender_daily=lambda: daily_table(tables, "recommender", wanted.models),
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
    """Credit of each key of each dimension, and how sure it is."""
    keys = sums.select(["site_id", "dimension", "key"])
    cells = cells_of(*keys.columns)
    parts = []
    for model in models:
        owed = np.flatnonzero(is_set(sums[model]))
        amount = ints(sums[model])[owed]
        # Sorted by amount as well: float sums come out the same in every cut of the work.
        code = cells.code[owed]
        amount = sorted_within(code, amount)
        size = np.bincount(code)
        start = (np.cumsum(size) - size)[size > 0]
        interval = gamma_interval(amount, np.append(start, len(owed)))
        one = np.empty(len(size), dtype=np.int64)
        one[code] = owed
        rows = keys.take(pa.array(one[size > 0]))
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


def _for_each_model(table: pa.Table, models: Sequence[str]) -> pa.Table:
    row = np.tile(np.arange(len(table)), len(models))
    model = pa.array(np.repeat(np.array(models, dtype=object), len(table)), pa.string())
    return table.take(pa.array(row)).append_column("model", model)
