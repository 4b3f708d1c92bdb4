"""Pins and landings put together."""

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Tables,
    codes,
    group_starts,
    ints,
    sort_by,
    take,
)
from pipelines.kernels.multisets import is_repeated
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.touches import list_touches, pin_of
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import LANDINGS_BY_ROOT


def attach_landings(tables: Tables, wanted: Wanted = EVERYTHING) -> Tables:
    """Keeps of each pin id the pin that came first, and gives landings their pin's root.

    Takes pins and landings of whole pin ids; gives the visits table, both by root, and touches.
    """
    pins = _first_pins(tables["pins_by_person"])
    root = pc.coalesce(pins["root_pin_id"], pins["parent_pin_id"], pins["pin_id"])
    place = pins.schema.get_field_index("root_pin_id")
    pins = pins.set_column(place, "root_pin_id", root)

    landings = tables["landings_by_person"]
    row = pin_of(landings, pins)
    found = landings.append_column("root_pin_id", take(pins["root_pin_id"], row))
    found = found.filter(pa.array(row >= 0))
    return wanted.made(
        visits=lambda: _visits(landings, row >= 0),
        pins_by_root=lambda: pins,
        landings_by_root=lambda: found.select(LANDINGS_BY_ROOT.names),
        touches=lambda: list_touches(pins, found),
    )


def _first_pins(pins: pa.Table) -> pa.Table:
    """The pin of each id that came first; most ids come once, and so do their keys."""
    again = is_repeated(ints(pins[KEY]))
    more = sort_by(pins.filter(pa.array(again)), "site_id", "pin_id", "precedence", "event_id")
    (pin,) = codes([more["site_id"], more["pin_id"]])
    first = more.take(pa.array(group_starts(pin)))
    return pa.concat_tables([pins.filter(pa.array(~again)), first]).combine_chunks()


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
