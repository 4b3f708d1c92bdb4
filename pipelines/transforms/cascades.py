"""Pins and landings put together."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Ints,
    Tables,
    bools,
    codes,
    encoded,
    group_starts,
    ints,
    sort_by,
    take,
)
from pipelines.kernels.hashing import hash_rows
from pipelines.kernels.multisets import is_repeated
from pipelines.transforms.daily import DIMENSIONS, daily_part, days_of
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.touches import list_touches, pin_of
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import PIN_COUNTS
from schemas.settings import Site


def attach_landings(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Tables:
    """Keeps of each pin id the pin that came first, and gives landings their pin's root.

    Takes pins and landings of whole pin ids; gives the visits table, both by root, and touches.
    """
    pins = _first_pins(tables["pins_by_person"])
    landings = tables["landings_by_person"]
    row = pin_of(landings, pins)
    pins = _by_root(pins)
    return wanted.made(
        visits=lambda: _visits(landings, row >= 0),
        pins_by_root=lambda: pins,
        landings_by_root=lambda: _landings_by_root(landings, pins, row),
        pins_to_chain=lambda: pins,
        touches=lambda: list_touches(pins, landings, row),
        pin_parts=lambda: _daily(pins, landings, row, sites, wanted),
    )


def _by_root(pins: pa.Table) -> pa.Table:
    """The pins with the root that they claim, and the key of it."""
    root = pc.coalesce(pins["root_pin_id"], pins["parent_pin_id"], pins["pin_id"])
    key = pa.array(hash_rows(pins["site_id"], root).view(np.int64))
    for name, column in (("root_pin_id", root), (KEY, key)):
        pins = pins.set_column(pins.schema.get_field_index(name), name, column)
    return pins


def _first_pins(pins: pa.Table) -> pa.Table:
    """The pin of each id that came first; most ids come once, and so do their keys."""
    again = is_repeated(ints(pins[KEY]))
    more = sort_by(pins.filter(pa.array(again)), "site_id", "pin_id", "precedence", "event_id")
    (pin,) = codes([more["site_id"], more["pin_id"]])
    first = more.take(pa.array(group_starts(pin)))
    return pa.concat_tables([pins.filter(pa.array(~again)), first]).combine_chunks()


def _landings_by_root(landings: pa.Table, pins: pa.Table, pin: Ints) -> pa.Table:
    """Landings that found their pin, with its root and the key of it."""
    root = pins.select(["root_pin_id", KEY]).take(pa.array(pin[pin >= 0]))
    found = landings.drop_columns([KEY]).filter(pa.array(pin >= 0))
    for name in root.column_names:
        found = found.append_column(name, root[name])
    return found


def _visits(landings: pa.Table, is_known_pin: Bools) -> pa.Table:
    table = pa.table(
        {
            "site_id": landings["site_id"],
            "event_id": landings["event_id"],
            "pin_id": landings["pin_id"],
            "person_id": landings["person_id"],
            "match_method": landings["match_method"],
            "is_known_pin": is_known_pin,
            "visited_at": landings["at"],
        }
    )
    return table.filter(pc.invert(landings["is_crawler"]))


def _daily(
    pins: pa.Table, landings: pa.Table, pin: Ints, sites: Mapping[str, Site], wanted: Wanted
) -> pa.Table:
    """PIN_PARTS of pins, and of landings by others than the pinner.

    Args:
      pins: each once.
      landings: all of them.
      pin: [landings] row of the pin landed on, -1 unknown.
      sites: say when a day begins.
      wanted: which dimensions.
    """
    dimensions = wanted.keys("pin_parts", DIMENSIONS)
    owner = take(pins["person_id"], pin)
    by_others = bools(pc.fill_null(pc.not_equal(landings["person_id"], owner), fill_value=True))
    by_others &= (pin >= 0) & ~bools(landings["is_crawler"])
    names = ("site_id", *dimensions.values())
    told = pa.table({name: encoded(pins[name]) for name in names})
    visited = told.take(pa.array(pin[by_others]))
    visits = landings.select(["site_id", "at"]).filter(pa.array(by_others))
    kinds = {
        "pins": pins.append_column("day", days_of(pins, sites)),
        "pin_visits": visited.append_column("day", days_of(visits, sites)),
    }
    return pa.concat_tables(
        daily_part(rows, dimension, rows[column], count, PIN_COUNTS)
        for count, rows in kinds.items()
        for dimension, column in dimensions.items()
    )
