"""What people did, one row an act: the history that relationships are read from.

An act belongs to who did it; one that involves two people is told once from each side, so that
everything about a person lies under her own key.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, take
from schemas.batches import ACTS, DOINGS

# Events by which a visitor looks at a product. A list shown to her is exposure, not an act.
VIEWS = ("view_item", "select_item", "add_to_cart")
# What others do to one's pins, told from one's own side.
OF_OTHERS = ("visited", "repinned", "credit")


def doings(events: dict[str, pa.Table]) -> pa.Table:
    """DOINGS: views and engagement, still by visitor.

    Args:
      events: the tables of `VIEWS` and `engage`.
    """
    parts = [events[name].append_column("act", _all(events[name], "view")) for name in VIEWS]
    engaged = events["engage"]
    engaged = engaged.append_column("act", engaged["activity"])
    parts.append(engaged.append_column("item_list_id", pa.nulls(len(engaged), pa.string())))
    return pa.concat_tables(part.select(DOINGS.names).cast(DOINGS) for part in parts)


def acts_of_doings(doings: pa.Table) -> pa.Table:
    """ACTS of views and engagement whose `person_id` is known by now."""
    return _acts(doings, doings["act"])


def acts_of_pins(pins: pa.Table, parent: Ints) -> pa.Table:
    """ACTS of pinning, and of being pinned on from.

    Args:
      pins: with `person_id`.
      parent: [pins] row of each pin's parent, -1 for a root.
    """
    above = take(pins["person_id"], parent)
    pinned = _acts(pins, _all(pins, "pin"), other_id=above)
    by_other = pc.fill_null(pc.not_equal(above, pins["person_id"]), True)
    pins, above = pins.filter(by_other), above.filter(by_other)
    repinned = _acts(pins, _all(pins, "repinned"), person_id=above, other_id=pins["person_id"])
    return pa.concat_tables([pinned, repinned])


def acts_of_visits(visits: pa.Table, pins: pa.Table, pin: Ints, by_others: Bools) -> pa.Table:
    """ACTS of landing on another's pin, and of having one's pin landed on.

    Args:
      visits: landings, with `person_id`.
      pins: with `person_id`.
      pin: [visits] row of the pin landed on.
      by_others: [visits] whether it is somebody else's, as far as is known.
    """
    kept = pa.array(by_others)
    landed = pins.select(["person_id", "item_id", "item_list_id"]).take(pa.array(pin)).filter(kept)
    visits = visits.select(["site_id", "person_id", "at"]).filter(kept)
    shown = visits.append_column("item_id", landed["item_id"])
    shown = shown.append_column("item_list_id", landed["item_list_id"])
    owner = landed["person_id"]
    return pa.concat_tables(
        [
            _acts(shown, _all(shown, "visit"), other_id=owner),
            _acts(
                shown,
                _all(shown, "visited"),
                person_id=owner,
                other_id=visits["person_id"],
            ),
        ]
    )


def acts_of_orders(orders: pa.Table, dues: pa.Table) -> pa.Table:
    """ACTS of buying, and of having brought an order about, under the default model.

    Args:
      orders: with `net_micros` and `ordered_at`; those that are not creditable are no purchases.
      dues: what orders owe to pinners under the default model: `order`, the row of the order,
        `pinner_id` and `credit_micros`, each pair once.
    """
    orders = orders.rename_columns(
        ["at" if name == "ordered_at" else name for name in orders.column_names]
    )
    bought = orders.filter(orders["is_creditable"])
    own = _acts(bought, _all(bought, "order"), micros=bought["net_micros"])
    of_order = orders.take(dues["order"])
    earned = _acts(
        of_order,
        _all(of_order, "credit"),
        person_id=dues["pinner_id"],
        other_id=of_order["person_id"],
        micros=dues["credit_micros"],
    )
    return pa.concat_tables([own, earned])


def _all(rows: pa.Table, act: str) -> pa.Array:
    return pa.repeat(act, len(rows))


def _acts(rows: pa.Table, act: Any, micros: Any = None, **ids: Any) -> pa.Table:
    """ACTS of rows by known people; columns that are not given come from the rows, or are null."""
    nobody = pa.nulls(len(rows), pa.string())
    columns = {
        name: ids[name] if name in ids else rows[name] if name in rows.column_names else nobody
        for name in ("site_id", "person_id", "other_id", "item_id", "item_list_id")
    }
    none = pa.array(np.zeros(len(rows), dtype=np.int64))
    table = pa.table(
        {
            **columns,
            "act": act,
            "at": rows["at"],
            "amount_micros": none if micros is None else micros,
        }
    )
    return table.select(ACTS.names).cast(ACTS).filter(pc.is_valid(table["person_id"]))
