"""Counts and sums by day and key: what the daily and quality tables are made of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.calendar import local_days
from pipelines.kernels.columns import bools, ints
from pipelines.kernels.groups import group_equal
from schemas.batches import DAILY_COUNTS
from schemas.settings import Site

# Dimensions of credit and activity, and the pin's column that holds the key.
DIMENSIONS = {"product": "item_id", "slot": "item_list_id", "recommender": "recommender_id"}


def daily_part(events: pa.Table, dimension: str, key: Any, count: str) -> pa.Table:
    """Counts rows of a table with `site_id` and `day` by a key; rows without one do not count."""
    rows = pa.table({"site_id": events["site_id"], "key": key, "day": events["day"]})
    rows = rows.filter(pc.is_valid(rows["key"]))
    groups = group_equal(*rows.columns)
    each = rows.take(pa.array(groups.one))
    none = np.zeros(len(each), dtype=np.int64)
    return pa.table(
        {
            "site_id": each["site_id"],
            "dimension": pa.array([dimension] * len(each), pa.string()),
            "key": each["key"],
            "day": each["day"],
            "model": pa.nulls(len(each), pa.string()),
            **dict.fromkeys(DAILY_COUNTS, none),
            count: groups.size,
        }
    )


def sum_by_key(table: pa.Table, schema: pa.Schema, counts: tuple[str, ...]) -> pa.Table:
    """A row for each key that occurs, with the sums of its counts, even where they are 0.

    The key is all of the schema that is no count.
    """
    keys = [name for name in schema.names if name not in counts]
    groups = group_equal(*(table[key] for key in keys))
    each = table.select(keys).take(pa.array(groups.one))
    columns = {key: each[key] for key in keys}
    sums = {name: groups.sums(ints(table[name])) for name in counts}
    return pa.table({**columns, **sums}).select(schema.names).cast(schema)


def days_of(events: pa.Table, sites: Mapping[str, Site]) -> pa.Array:
    """[rows] local day of `at` in each row's shop."""
    site, at = events["site_id"].combine_chunks(), ints(events["at"])
    days = pa.nulls(len(events), pa.string())
    for name in pc.unique(site).to_pylist():
        zone = sites[name].time_zone if name in sites else "UTC"
        here = pc.equal(site, name)
        days = pc.replace_with_mask(days, here, local_days(at[bools(here)], zone))
    return days
