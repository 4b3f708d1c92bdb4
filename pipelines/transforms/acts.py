"""What people did, one row an act: the history that relationships are read from.

An act belongs to who did it. What another did with a person is told to her as well where it counts
for her by itself, so that everything about her lies under her own key; who came to her pins
does not (pipelines.transforms.meetings).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, bools, encoded, ints, take
from schemas.batches import ACTS, DOINGS
from schemas.ladder import REPIN

# Events by which a visitor looks at a product. A list shown to her is exposure, not an act.
VIEWS = ("view_item", "select_item", "add_to_cart")
PINS = ("pin", REPIN)
# What others do with one's pins, told from one's own side.
OF_OTHERS = ("repinned", "credit")


class Kinds:
    """Which act each row is: what acts of a name are is asked of the name, not of each row."""

    def __init__(self, acts: pa.Table) -> None:
        names = encoded(acts["act"])
        self._names, self._code = names.dictionary.to_pylist(), ints(names.indices)

    def are(self, *names: str) -> Bools:
        """[acts] whether the act is one of these."""
        return np.array([each in names for each in self._names], dtype=np.bool_)[self._code]

    def told(self, numbers: Mapping[str, int], other: int) -> Ints:
        """[acts] a number for each act by its name, another one for names without."""
        return np.array([numbers.get(each, other) for each in self._names], dtype=np.int64)[
            self._code
        ]


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
    """ACTS of pinning, and of being pinned on from by another.

    Args:
      pins: with `person_id`.
      parent: [pins] row of each pin's parent, -1 for a root.
    """
    above = take(pins["person_id"], parent)
    by_other = pc.not_equal(pins["person_id"], above)  # null where either is unknown
    pinned = _acts(pins, pc.if_else(pc.fill_null(by_other, False), REPIN, "pin"))
    passed_on = pc.fill_null(by_other, True)
    pins, above = pins.filter(passed_on), above.filter(passed_on)
    repinned = _acts(pins, _all(pins, "repinned"), person_id=above)
    return pa.concat_tables([pinned, repinned])


def acts_of_visits(visits: pa.Table, pins: pa.Table, pin: Ints, by_others: Bools) -> pa.Table:
    """ACTS of landing on another's pin.

    Args:
      visits: landings, with `person_id`.
      pins: with `item_id` and `item_list_id`.
      pin: [visits] row of the pin landed on.
      by_others: [visits] whether it is somebody else's, as far as is known.
    """
    kept = pa.array(by_others)
    landed = pins.select(["item_id", "item_list_id"]).take(pa.array(pin[by_others]))
    visits = visits.select(["site_id", "person_id", "at"]).filter(kept)
    for name in landed.column_names:
        visits = visits.append_column(name, landed[name])
    return _acts(visits, _all(visits, "visit"))


def acts_of_orders(orders: pa.Table, dues: pa.Table, is_asked: Bools) -> pa.Table:
    """ACTS of buying, and of having brought another's order about, under the default model.

    Args:
      orders: with `net_micros` and `ordered_at`; those that are not creditable are no purchases.
      dues: what orders owe to pinners under the default model: `order`, the row of the order,
        `pinner_id` and `credit_micros`, each pair once.
      is_asked: [orders] whether to tell of buying; of what is due all is told.
    """
    orders = orders.rename_columns(
        ["at" if name == "ordered_at" else name for name in orders.column_names]
    )
    bought = orders.filter(pa.array(is_asked & bools(orders["is_creditable"])))
    own = _acts(bought, _all(bought, "order"), amount_micros=bought["net_micros"])
    brought = orders.select(["site_id", "person_id", "at"]).take(dues["order"])
    pinner, micros = dues["pinner_id"], dues["credit_micros"]
    by_other = pc.fill_null(pc.not_equal(brought["person_id"], pinner), True)
    brought, pinner, micros = (each.filter(by_other) for each in (brought, pinner, micros))
    earned = _acts(brought, _all(brought, "credit"), person_id=pinner, amount_micros=micros)
    return pa.concat_tables([own, earned])


def _all(rows: pa.Table, act: str) -> pa.Array:
    return pa.repeat(act, len(rows))


def _acts(rows: pa.Table, act: Any, **given: Any) -> pa.Table:
    """ACTS of rows by known people; columns that are not given come from the rows, or are empty."""
    given |= {"act": act}
    empty = {"amount_micros": np.zeros(len(rows), dtype=np.int64)}
    nobody = pa.nulls(len(rows), pa.string())
    columns = [
        given[name]
        if name in given
        else rows[name]
        if name in rows.column_names
        else empty.get(name, nobody)
        for name in ACTS.names
    ]
    table = pa.table(columns, names=ACTS.names).cast(ACTS)
    return table.filter(pc.is_valid(table["person_id"])) if table["person_id"].null_count else table
