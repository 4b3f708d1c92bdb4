"""Touches that an order may owe something to; most touches come before no order at all."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, Tables, codes, ints
from pipelines.kernels.multisets import is_among
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site


def select_touches(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Tables:
    """Keeps the touches within the window before an order of the same person.

    Takes touches and orders of whole people; gives the orders as they are. So a landing that
    no order follows changes nobody's credit, and costs none.
    """
    touches, orders = tables["touches"], tables["orders_by_person"]
    return wanted.made(
        order_touches=lambda: touches.filter(pa.array(_is_followed(touches, orders, sites))),
        orders_to_credit=lambda: orders,
    )


def _is_followed(touches: pa.Table, orders: pa.Table, sites: Mapping[str, Site]) -> Bools:
    creditable = orders.filter(orders["is_creditable"])
    chosen = np.zeros(len(touches), dtype=np.bool_)
    # Most people never buy.
    rows = np.flatnonzero(is_among(ints(touches[KEY]), np.unique(ints(creditable[KEY]))))
    of_buyers = touches.select(["site_id", "person_id", "at"]).take(pa.array(rows))
    touch_person, order_person = codes(
        *([table["site_id"], table["person_id"]] for table in (of_buyers, creditable))
    )
    window = [sites[site].window_ms for site in creditable["site_id"].to_pylist()]
    chosen[rows] = has_order(
        touch_person,
        ints(of_buyers["at"]),
        order_person,
        ints(creditable["at"]),
        np.array(window, dtype=np.int64),
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
    count = len(touch_at)
    person = np.concatenate((touch_person, order_person))
    at = np.concatenate((touch_at, order_at))
    is_order = np.arange(len(at)) >= count
    by_time = np.lexsort((is_order, at, person))  # a touch before the order of its moment
    last = len(at)
    place = np.where(is_order[by_time], np.arange(last), last)
    following = np.minimum.accumulate(place[::-1])[::-1]
    touch = np.flatnonzero(~is_order[by_time] & (following < last))
    row, order = by_time[touch], by_time[following[touch]]
    found = (person[row] == person[order]) & (person[row] >= 0)
    found &= at[order] - at[row] <= window[order - count]
    chosen = np.zeros(count, dtype=np.bool_)
    chosen[row[found]] = True
    return chosen
