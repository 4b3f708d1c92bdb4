"""What people did, one row an act: the history that relationships are read from.

An act belongs to who did it. What another did with a person is told to her as well where it counts
for her by itself, so that everything about her lies under her own key; who came to her pins
does not (pipelines.transforms.meetings). What others' orders brought her is told as sums: a popular
pinner has a part of most orders.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, encoded, ints, take
from pipelines.kernels.multisets import add_up
from pipelines.kernels.stages import value_spans
from schemas.batches import ACTS, DOINGS
from schemas.ladder import REPIN
from schemas.settings import Site

# Events by which a visitor looks at a product. A list shown to her is exposure, not an act.
VIEWS = ("view_item", "select_item", "add_to_cart")
PINS = ("pin", REPIN)
# What others do with one's pins, told from one's own side.
OF_OTHERS = ("repinned",)


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


def acts_of_orders(orders: pa.Table) -> pa.Table:
    """ACTS of buying.

    Args:
      orders: with `net_micros` and `ordered_at`; those that are not creditable are no purchases.
    """
    bought = orders.filter(orders["is_creditable"])
    return _acts(
        bought, _all(bought, "order"), at=bought["ordered_at"], amount_micros=bought["net_micros"]
    )


def credit_parts(orders: pa.Table, dues: pa.Table, sites: Mapping[str, Site]) -> pa.Table:
    """CREDIT_PARTS: what pinners were credited of others' orders.

    Args:
      orders: with `ordered_at`.
      dues: what orders owe to pinners under the default model: `order`, the row of the order,
        `pinner_id` and `credit_micros`, each pair once.
      sites: for their time zones.
    """
    order = orders.select(["site_id", "person_id", "ordered_at"]).take(dues["order"])
    brought = pa.table(
        {
            "site_id": order["site_id"],
            "person_id": dues["pinner_id"],
            "at": order["ordered_at"],
            "credited_micros": dues["credit_micros"],
        }
    )
    by_other = pc.fill_null(pc.not_equal(order["person_id"], brought["person_id"]), True)
    return in_spans(brought.filter(by_other), sites)


def in_spans(credits: pa.Table, sites: Mapping[str, Site]) -> pa.Table:
    """CREDIT_PARTS of single credits in the same columns."""
    site, at = encoded(credits["site_id"]), ints(credits["at"])
    span = np.empty_like(at)
    for code, name in enumerate(site.dictionary.to_pylist()):
        here = ints(site.indices) == code
        span[here] = value_spans(at[here], sites[name].time_zone)
    place = credits.schema.get_field_index("at")
    return add_up(credits.set_column(place, "at", pa.array(span)), ("credited_micros",))


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
