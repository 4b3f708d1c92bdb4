"""Counts and sums by day and key: what the daily and quality tables are made of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.calendar import local_days
from pipelines.kernels.columns import bools, ints
from schemas.batches import DAILY_COUNTS, DAILY_PARTS
from schemas.settings import Site

# Dimensions of credit and activity, and the pin's column that holds the key.
DIMENSIONS = {"product": "item_id", "slot": "item_list_id", "recommender": "recommender_id"}


def daily_part(events: pa.Table, dimension: str, key: Any, count: str) -> pa.Table:
    """Counts rows of a table with `site_id` and `day` by a key; rows without one do not count."""
    none = np.zeros(len(events), dtype=np.int64)
    columns = dict.fromkeys(DAILY_COUNTS, none) | {count: none + 1}
    table = pa.table(
        {
            "site_id": events["site_id"],
            "dimension": pa.array([dimension] * len(events), pa.string()),
            "key": key,
            "day": events["day"],
            "model": pa.nulls(len(events), pa.string()),
            **columns,
        }
    )
    table = table.filter(pc.is_valid(table["key"]))
    return add_up(table, DAILY_PARTS, ("site_id", "dimension", "key", "day", "model"), DAILY_COUNTS)


def add_up(
    table: pa.Table, schema: pa.Schema, keys: tuple[str, ...], counts: tuple[str, ...]
) -> pa.Table:
    """Sums the count columns by key."""
    summed = table.group_by(list(keys), use_threads=False).aggregate(
        [(count, "sum") for count in counts]
    )
    return (
        summed.rename_columns([name.removesuffix("_sum") for name in summed.column_names])
        .select(schema.names)
        .cast(schema)
    )


def days_of(events: pa.Table, sites: Mapping[str, Site]) -> pa.Array:
    """[rows] local day of `at` in each row's shop."""
    site, at = events["site_id"].combine_chunks(), ints(events["at"])
    days = pa.nulls(len(events), pa.string())
    for name in pc.unique(site).to_pylist():
        zone = sites[name].time_zone if name in sites else "UTC"
        here = pc.equal(site, name)
        days = pc.replace_with_mask(days, here, local_days(at[bools(here)], zone))
    return days
