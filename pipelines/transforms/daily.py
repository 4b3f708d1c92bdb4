"""Counts and sums by day and key: what the daily and quality tables are made of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.calendar import local_days, months_of
from pipelines.kernels.columns import Bools, Ints, Tables, encoded, ints, take
from pipelines.kernels.groups import cells_of, group_equal
from schemas.batches import DUE_SUMS, PIN_COUNTS, VIEW_COUNTS
from schemas.settings import Site

# Dimensions of credit and activity, and the pin's column that holds the key.
DIMENSIONS = {"product": "item_id", "slot": "item_list_id", "recommender": "recommender_id"}


def daily_part(
    events: pa.Table, dimension: str, key: Any, count: str, counts: tuple[str, ...]
) -> pa.Table:
    """Counts rows of a table with `site_id` and `day` by a key; rows without one do not count.

    Args:
      events: what is counted.
      dimension: which the key is of.
      key: [rows] text.
      count: the name that the count gets.
      counts: all names of the dataset's counts; the others are 0.
    """
    names = {"site_id": encoded(events["site_id"]), "key": encoded(key)}
    rows = pa.table({**names, "day": events["day"]})
    if rows["key"].null_count:
        rows = rows.filter(pc.is_valid(rows["key"]))
    groups = group_equal(*rows.columns)
    each = rows.take(pa.array(groups.one))
    none = np.zeros(len(each), dtype=np.int64)
    return pa.table(
        {
            "site_id": each["site_id"],
            "dimension": pa.repeat(dimension, len(each)),
            "key": each["key"],
            "day": each["day"],
            **dict.fromkeys(counts, none),
            count: groups.size,
        }
    )


def daily_table(tables: Tables, dimension: str, models: Sequence[str]) -> pa.Table:
    """What people did is repeated for each model, so that one filter reads a row.

    Args:
      tables: view_parts, pin_parts and due_parts of all dimensions.
      dimension: whose rows count.
      models: in the order in which they are wanted.
    """
    parts = [tables[name] for name in ("view_parts", "pin_parts", "due_parts")]
    parts = [table.filter(pc.equal(table["dimension"], dimension)) for table in parts]
    names = ("site_id", "key", "day")
    each = pa.concat_tables([table.select(names) for table in parts])
    days = cells_of(*each.columns)
    of_view, of_pin, of_due = np.split(days.code, np.cumsum([len(table) for table in parts[:2]]))
    model = ints(pc.index_in(parts[2]["model"], value_set=pa.array(models, pa.string())))
    is_told = np.zeros((len(days.one), len(models)), dtype=np.bool_)
    is_told[of_view] = is_told[of_pin] = True
    is_told[of_due, model] = True
    day, of_model = np.nonzero(is_told)

    def sums(table: pa.Table, name: str, *place: Ints) -> Ints:
        total = np.zeros(is_told.shape[: len(place)], dtype=np.int64)
        np.add.at(total, place, ints(table[name]))
        return total[(day, of_model)[: len(place)]]

    return pa.table(
        {
            "site_id": take(each["site_id"], days.one[day]),
            DIMENSIONS[dimension]: take(each["key"], days.one[day]),
            "day": take(each["day"], days.one[day]),
            "model": take(pa.array(models, pa.string()), of_model),
            **{name: sums(parts[0], name, of_view) for name in VIEW_COUNTS},
            **{name: sums(parts[1], name, of_pin) for name in PIN_COUNTS},
            **{name: sums(parts[2], name, of_due, model) for name in DUE_SUMS},
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
    at = ints(events["at"])
    days = np.zeros(len(at), dtype=np.int32)
    for zone, here in _zones(events["site_id"], sites):
        days[here] = ints(local_days(at[here], zone))
    return pa.array(days).cast(pa.date32())


def months_in(events: pa.Table, sites: Mapping[str, Site]) -> Ints:
    """[rows] month of `at` in each row's shop, as 12 x year + month - 1."""
    at = ints(events["at"])
    months = np.zeros(len(at), dtype=np.int64)
    for zone, here in _zones(events["site_id"], sites):
        months[here] = months_of(at[here], zone)
    return months


def _zones(site_id: Any, sites: Mapping[str, Site]) -> Iterator[tuple[str, Bools | slice]]:
    """The time zone of each shop that has rows, UTC where it is unknown, and its [rows]."""
    site = encoded(site_id)
    names, code = site.dictionary.to_pylist(), ints(site.indices)
    for number, name in enumerate(names):
        zone = sites[name].time_zone if name in sites else "UTC"
        yield zone, slice(None) if len(names) == 1 else code == number
