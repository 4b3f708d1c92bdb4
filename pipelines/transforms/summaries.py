"""Last stage: parts from all shards merged by pinner, cascade, day and key."""

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Floats, Tables, codes, group_starts, ints, sort_by
from pipelines.kernels.uncertainty import gamma_interval
from pipelines.transforms.daily import DIMENSIONS, add_up
from pipelines.transforms.rejects import once
from pipelines.transforms.relationships import add_stages_up
from pipelines.transforms.sphere_tables import cascades, pinner_spheres, sphere_edges
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    DAILY_COUNTS,
    DAILY_PARTS,
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
    is_cascade = pc.equal(sums["dimension"], "cascade")
    default = sums.filter(pc.equal(sums["model"], DEFAULT_MODEL))
    edges = functools.cache(lambda: sphere_edges(tables["reach"], tables["influence"]))
    sales = functools.partial(
        add_up, tables["sales_parts"], SALES_PARTS, ("site_id", "day"), SALES_SUMS
    )
    quality = functools.partial(
        add_up,
        tables["quality_parts"],
        QUALITY_PARTS,
        ("site_id", "day", "event_name"),
        QUALITY_COUNTS,
    )
    return wanted.made(
        sphere_edges=edges,
        pinner_spheres=lambda: pinner_spheres(tables, edges(), default, sites),
        cascades=lambda: cascades(tables["cascade_shapes"], default),
        model_credits=lambda: _model_credits(sums.filter(pc.invert(is_cascade))),
        item_daily=lambda: _daily_table(tables["daily_parts"], "product", wanted.models),
        slot_daily=lambda: _daily_table(tables["daily_parts"], "slot", wanted.models),
        recommender_daily=lambda: _daily_table(tables["daily_parts"], "recommender", wanted.models),
        sales_daily=lambda: _for_each_model(sales(), wanted.models),
        data_quality_daily=quality,
        stage_transitions=lambda: add_stages_up(tables["stage_parts"]),
        quarantine=lambda: once(tables["rejects"]),
    )


def _model_credits(sums: pa.Table) -> pa.Table:
    keys = ("site_id", "dimension", "key", "model")
    # Sorted by amount as well: float sums come out the same in every cut of the work.
    sums = sort_by(sums, *keys, "credited_micros")
    (code,) = codes([sums[key] for key in keys])
    start = group_starts(code)
    interval = gamma_interval(ints(sums["credited_micros"]), np.append(start, len(sums)))
    total = np.add.reduceat(ints(sums["credited_micros"]), start) if len(start) else start
    groups = sums.select(list(keys)).take(pa.array(start))
    return pa.table(
        {
            **{key: groups[key] for key in keys},
            "credited_micros": total,
            "ci_low_micros": _rounded(interval.low),
            "ci_high_micros": _rounded(interval.high),
            "n_customers": interval.n_customers,
            "n_effective": pa.array(interval.n_effective, mask=np.isnan(interval.n_effective)),
        }
    )


def _rounded(value: Floats) -> pa.Array:
    missing = np.isnan(value)
    return pa.array(np.round(np.where(missing, 0, value)).astype(np.int64), mask=missing)


def _daily_table(parts: pa.Table, dimension: str, models: Sequence[str]) -> pa.Table:
    """Counts that hold for every model are repeated for each, so that one filter reads a row."""
    parts = parts.select(DAILY_PARTS.names).filter(pc.equal(parts["dimension"], dimension))
    shared = parts.filter(pc.is_null(parts["model"]))
    keys = ("site_id", "dimension", "key", "day", "model")
    # Added up first: a count comes in many parts.
    shared = add_up(shared, DAILY_PARTS, keys, DAILY_COUNTS).drop_columns("model")
    repeated = _for_each_model(shared, models).select(parts.column_names)
    parts = pa.concat_tables([parts.filter(pc.is_valid(parts["model"])), repeated])
    summed = add_up(parts, DAILY_PARTS, keys, DAILY_COUNTS)
    return summed.rename_columns({"key": DIMENSIONS[dimension]})


def _for_each_model(table: pa.Table, models: Sequence[str]) -> pa.Table:
    row = np.tile(np.arange(len(table)), len(models))
    model = pa.array(np.repeat(np.array(models, dtype=object), len(table)), pa.string())
    return table.take(pa.array(row)).append_column("model", model)
