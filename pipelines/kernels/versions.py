"""Which statements about an order stand, and which names its visitor (docs/attribution.md 2).

Events of one order are told apart by an order code, here `order`; greater rows are later versions.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, bools, codes, encoded, ints, is_set, take

# A thank-you page opens within the hour; who learns an order number later names nobody.
LENT_WITHIN_MS = 3_600_000
# Ways by which statements come.
_TOLD, _WEBHOOK, _FILE = range(3)


def by_version(events: pa.Table) -> pa.Table:
    """Oldest version first, so that a greater row is a later statement.

    A shop says when it last changed the order: its messages may overtake each other. What a
    browser says of that is not believed.
    """
    received = pc.fill_null(events["received_time_ms"], 0)
    updated = pc.if_else(events["is_signed"], events["updated_time_ms"], None)
    keys = pa.table(
        {
            "version": pc.coalesce(updated, received),
            "received": received,
            "event_id": events["event_id"],
        }
    )
    return events.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))


def counting(purchases: pa.Table, order: Ints, count: int, orders_from: Mapping[str, str]) -> Bools:
    """[purchases] whether the statement counts under its site's `orders_from`."""
    signed = bools(purchases["is_signed"])
    site = encoded(purchases["site_id"])
    modes = np.array([orders_from[name] for name in site.dictionary.to_pylist()], dtype=np.str_)
    mode = modes[ints(site.indices)]
    any_signed = np.zeros(count, dtype=np.bool_)
    any_signed[order[signed]] = True
    if_both = np.where(any_signed[order], signed, ~signed)
    return np.where(mode == "server", signed, np.where(mode == "browser", ~signed, if_both))


def statements_one_way(
    purchases: pa.Table, order: Ints, counts: Bools, count: int
) -> tuple[Bools, Ints]:
    """Keeps of each order the statements that came one way, and says which way that is.

    A file, a webhook and a server name an order's lines differently: together they would count
    twice. A webhook tells the whole order: lines that an edit took out are not in the latest.

    Returns:
      [purchases] whether the statement counts, and [orders] the way, -1 where none counts.
    """
    way = _ways(purchases)
    wins = _winning(way, order, counts, count)
    counts = counts & (way == wins[order])
    is_latest = latest_rows(order, np.flatnonzero(counts), count)[order] == np.arange(len(order))
    return counts & ((way != _WEBHOOK) | is_latest), wins


def refunds_one_way(refunds: pa.Table, order: Ints, order_way: Ints) -> Bools:
    """[refunds] whether it came the one way by which its order's refunds count.

    Args:
      refunds: by version.
      order: [refunds] code of the order.
      order_way: [orders] the way by which the order itself counts, -1 where it never came.
    """
    way = _ways(refunds)
    everything = np.ones(len(refunds), dtype=np.bool_)
    wins = _winning(way, order, everything, len(order_way))
    has_own = np.zeros(len(order_way), dtype=np.bool_)
    has_own[order[way == order_way[order]]] = True
    return way == np.where(has_own, order_way, wins)[order]


def _ways(events: pa.Table) -> Ints:
    """[events] the way each came: told by server or browser, by webhook, or in a file."""
    is_file, is_webhook = (bools(pc.equal(events["source"], way)) for way in ("file", "webhook"))
    return np.where(is_file, _FILE, np.where(is_webhook, _WEBHOOK, _TOLD))


def _winning(way: Ints, order: Ints, counts: Bools, count: int) -> Ints:
    """[orders] the way of the latest counting event, a file's only if all are files'; or -1.

    An import is received when somebody runs it, which says nothing of how new its rows are.
    """
    live = latest_rows(order, np.flatnonzero(counts & (way != _FILE)), count)
    row = np.where(live >= 0, live, latest_rows(order, np.flatnonzero(counts), count))
    return np.append(way, -1)[row]


def naming_rows(purchases: pa.Table, order: Ints, counts: Bools, count: int) -> Ints:
    """[orders] the statement that names the visitor: a counting one, else a claimed one; or -1.

    A browser lends its visitor to a signed order only at the time of the order, and only where
    no other says something else: an order number is no secret for long. When it spoke is its own
    word, so the claim must have been received then as well.
    """
    naming = is_set(purchases["visitor_id"])
    counted, signed = np.flatnonzero(counts), bools(purchases["is_signed"])
    own = latest_rows(order, np.flatnonzero(counts & naming), count)
    is_signed = np.zeros(count, dtype=np.bool_)
    is_signed[order[counted[signed[counted]]]] = True

    at = ints(purchases["at"])
    ordered_at = earliest(order[counted], at[counted], count)
    rows = np.flatnonzero(~signed & naming & is_signed[order])
    received = np.where(
        is_set(purchases["received_time_ms"]), ints(purchases["received_time_ms"]), at
    )
    away = np.abs(np.stack([at, received])[:, rows] - ordered_at[order[rows]])
    rows = rows[away.max(axis=0) <= LENT_WITHIN_MS]
    (visitor,) = codes([take(purchases["visitor_id"], rows)])
    latest = latest_rows(order, rows, count)
    # Who names another visitor than the latest one does spoils the loan.
    named = np.full(len(purchases) + 1, -1, dtype=np.int64)
    named[rows] = visitor
    disagrees = visitor != named[latest][order[rows]]
    latest[order[rows[disagrees]]] = -1
    return np.where(own >= 0, own, latest)


def latest_rows(group: Ints, rows: Ints, count: int) -> Ints:
    """[groups] the greatest of these rows in each group, -1 where there is none."""
    latest = np.full(count, -1, dtype=np.int64)
    np.maximum.at(latest, group[rows], rows)
    return latest


def latest_set(
    events: pa.Table, column: str, group: Ints, mask: Bools, count: int
) -> tuple[Ints, Any]:
    """The latest masked row of each group that has the column, and its value or null."""
    row = latest_rows(group, np.flatnonzero(mask & is_set(events[column])), count)
    return row, take(events[column], row)


def earliest(group: Ints, at: Ints, count: int) -> Ints:
    """[groups] the earliest of these times in each group, the greatest integer without any."""
    first = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(first, group, at)
    return first
