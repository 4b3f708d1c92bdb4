"""Touches, and those of them that an order may owe something to.

Most touches come before no order at all, so a touch carries no more than its pin until an order
asks for it: then it meets its pin's chain (`pipelines.transforms.chains`).
"""

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
    ints,
    is_one_value,
    is_set,
    joint_places,
    key_places,
    take,
)
from pipelines.kernels.multisets import is_among
from pipelines.kernels.spans import sought, time_key
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.sites import of_sites
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import TOUCHES
from schemas.settings import Site


def list_touches(pins: pa.Table, landings: pa.Table, pin: Ints) -> pa.Table:
    """TOUCHES: known people's landings on known pins, and their own pins.

    Args:
      pins: with the key of their root.
      landings: all of them.
      pin: [landings] row of the pin landed on, -1 unknown.
    """
    is_counted = is_set(landings["person_id"]) & ~bools(landings["is_crawler"]) & (pin >= 0)
    landings = landings.append_column("root_key", take(pins[KEY], pin))
    own = pins.append_column("root_key", pins[KEY])
    return pa.concat_tables(
        each.rename_columns({"event_id": "touch_id"}).select(TOUCHES.names).filter(pa.array(which))
        for each, which in ((landings, is_counted), (own, is_set(pins["person_id"])))
    )


def select_touches(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Tables:
    """Keeps the touches within the window before an order of the same person.

    Takes touches and orders of whole people; gives the orders as they are. So a landing that
    no order follows changes nobody's credit, and costs none.
    """
    touches, orders = tables["touches"], tables["orders_by_person"]
    return wanted.made(
        order_touches=lambda: _by_root(touches.filter(pa.array(_followed(touches, orders, sites)))),
        orders_to_credit=lambda: orders,
    )


def pin_of(landings: pa.Table, pins: pa.Table) -> Ints:
    """[landings] row of the landing's pin, -1 where it is unknown: by key, and then by text.

    Args:
      landings: or touches; rows with `site_id` and `pin_id` that met their pins by these.
      pins: or what is known of them, each once.
    """
    row = key_places(ints(landings[KEY]), ints(pins[KEY]))
    is_right = np.ones(len(row), dtype=np.bool_)
    for name in ("site_id", "pin_id"):
        if is_one_value(landings[name], pins[name]):
            continue
        is_right &= bools(pc.equal(landings[name], take(pins[name], row)))
    wrong = (row >= 0) & ~is_right
    if (wrong & is_set(landings["pin_id"])).any():  # two ids have one key: once in 2**64 pairs
        return joint_places(*([t["site_id"], t["pin_id"]] for t in (landings, pins)))
    return np.where(wrong, -1, row)


def _by_root(touches: pa.Table) -> pa.Table:
    return touches.drop_columns([KEY]).rename_columns({"root_key": KEY})


def _followed(touches: pa.Table, orders: pa.Table, sites: Mapping[str, Site]) -> Bools:
    creditable = orders.filter(orders["is_creditable"])
    chosen = np.zeros(len(touches), dtype=np.bool_)
    # Most people never buy.
    rows = np.flatnonzero(is_among(ints(touches[KEY]), np.unique(ints(creditable[KEY]))))
    of_buyers = touches.select(["site_id", "person_id", "at"]).take(pa.array(rows))
    touch_person, order_person = codes(
        *([table["site_id"], table["person_id"]] for table in (of_buyers, creditable))
    )
    window = of_sites(creditable["site_id"], sites, "window_ms").astype(np.int64)
    chosen[rows] = has_order(
        touch_person,
        ints(of_buyers["at"]),
        order_person,
        ints(creditable["at"]),
        window,
    )
    return chosen


def has_order(
    touch_person: Ints, touch_at: Ints, order_person: Ints, order_at: Ints, window: Ints
) -> Bools:
    """Whether an order follows each touch in time.

    Args:
      touch_person: [touches] codes.
      touch_at: [touches] epoch milliseconds.
      order_person: [orders] codes; -1, nobody, follows nothing.
      order_at: [orders] epoch milliseconds.
      window: [orders] how long before the order a touch may lie, both ends included; the same
        for all orders of a person.

    Returns:
      [touches] whether `0 <= order_at - touch_at <= window` for an order of the same person.
    """
    order = np.flatnonzero(order_person >= 0)
    if len(order) == 0 or len(touch_at) == 0:
        return np.zeros(len(touch_at), dtype=np.bool_)
    origin = min(int(touch_at.min()), int(order_at.min()))
    key = time_key(order_person[order], order_at[order], origin)
    by_time = np.argsort(key)
    key, order = key[by_time], order[by_time]
    # Of a person's orders the first that is not before the touch.
    wanted = time_key(np.maximum(touch_person, 0), touch_at, origin)
    following = order[np.minimum(sought(key, wanted), len(order) - 1)]
    wait = order_at[following] - touch_at
    is_hers = (order_person[following] == touch_person) & (wait >= 0)
    return np.asarray(is_hers & (wait <= window[following]))
