"""Orders as they stand: versions, discounts, refunds (docs/attribution.md section 2)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Ints,
    bools,
    codes,
    encoded,
    group_starts,
    ints,
    is_set,
    sort_by,
    take,
)
from pipelines.kernels.groups import group_by
from pipelines.kernels.refunds import Lines, RefundLines, refund_lines, refunded_micros, spread
from pipelines.kernels.stretches import reduced
from pipelines.kernels.versions import (
    by_version,
    counting,
    earliest,
    latest_rows,
    latest_set,
    naming_rows,
    refunds_one_way,
    statements_one_way,
)
from schemas.batches import LOGINS, ORDER_LINE, ORDERS, REFUSED

# A browser's word for an order of 140 million units is no order. The shop's own word counts.
MAX_CLAIMED_MICROS = 2**47
_ABSURD = f"claimed by a browser at more than {MAX_CLAIMED_MICROS // 1_000_000:,} units of"
_CURRENCY = "not in the currency it must be counted in, but in"
# What of a statement or a refund is asked for.
_TOLD = (
    "site_id", "order_id", "event_id", "source", "is_signed", "received_time_ms",
    "updated_time_ms", "at", "visitor_id", "session_id", "customer_id", "currency", "items",
)  # fmt: skip


class Settled(NamedTuple):
    """What comes out: orders with their lines, their logins, and what was refused."""

    orders: pa.Table  # ORDERS
    logins: pa.Table  # LOGINS
    refused: pa.Table  # REFUSED


def settle_orders(
    purchases: pa.Table,
    refunds: pa.Table,
    orders_from: Mapping[str, str],
    currencies: Mapping[str, str],
) -> Settled:
    """Makes one order of all statements and refunds about it, whatever order they came in.

    Args:
      purchases: purchase events of whole orders, each event once.
      refunds: refund events of the same orders, each event once.
      orders_from: site -> "server", "browser" or "both".
      currencies: site -> report currency.
    """
    purchases = by_version(purchases.select([*_TOLD, "discount_micros"]))
    refunds = refunds.select([*_TOLD, "refund_id", "amount_micros"])
    refunds = by_version(refunds.filter(refunds["is_signed"]))
    p_order, r_order = codes(
        [purchases["site_id"], purchases["order_id"]], [refunds["site_id"], refunds["order_id"]]
    )
    count = int(max(p_order.max(initial=-1), r_order.max(initial=-1))) + 1
    counts = counting(purchases, p_order, count, orders_from)
    counts, way = statements_one_way(purchases, p_order, counts, count)
    known = np.zeros(count, dtype=np.bool_)
    known[p_order[counts]] = True

    latest = latest_rows(p_order, np.flatnonzero(counts), count)
    of_known = np.flatnonzero(known)
    header = purchases.select(["site_id", "order_id", "currency", "is_signed"])
    header = header.take(pa.array(latest[of_known]))
    refused_currency = ~_same_text(header["currency"], _lookup(header["site_id"], currencies))
    lines = _lines(purchases, p_order, counts, latest)
    is_latest = np.zeros(len(refunds), dtype=np.bool_)
    (refund_code,) = codes([refunds["site_id"], refunds["order_id"], refunds["refund_id"]])
    standing = np.flatnonzero(refunds_one_way(refunds, r_order, way))
    is_latest[
        latest_rows(refund_code, standing, len(refunds))[np.unique(refund_code[standing])]
    ] = True

    order_currency = take(purchases["currency"], latest)
    wrong = is_latest & known[r_order] & is_set(refunds["currency"])
    wrong &= ~_same_text(refunds["currency"], order_currency.take(pa.array(r_order)))
    back = refund_lines(refunds, r_order, is_latest & known[r_order] & ~wrong)
    refunded = refunded_micros(lines, back)

    visitor_row = naming_rows(purchases, p_order, counts, count)[of_known]
    orders = (
        pa.table(
            {
                "site_id": header["site_id"],
                "order_id": header["order_id"],
                "currency": header["currency"],
                "is_creditable": np.ones(len(header), dtype=np.bool_),
                "lines": _line_lists(lines, refunded, of_known),
                "at": earliest(p_order[counts], ints(purchases["at"])[counts], count)[of_known],
                "visitor_id": take(purchases["visitor_id"], visitor_row),
                "session_id": take(purchases["session_id"], visitor_row),
                "customer_id": latest_set(purchases, "customer_id", p_order, counts, count)[1].take(
                    pa.array(of_known)
                ),
            }
        )
        .select(ORDERS.names)
        .cast(ORDERS)
    )
    signed = bools(header["is_signed"])
    absurd = ~signed & ~refused_currency & (_totals(lines, of_known) > MAX_CLAIMED_MICROS)
    kept = orders.filter(pa.array(~refused_currency & ~absurd))
    unknown, unknown_refused = _unknown_originals(
        refunds, r_order, is_latest & ~known[r_order], currencies
    )
    refused = [
        _refused(orders.filter(pa.array(refused_currency)), "purchase", "order_id", _CURRENCY),
        _refused(orders.filter(pa.array(absurd)), "purchase", "order_id", _ABSURD),
        _refused(refunds.filter(pa.array(wrong)), "refund", "event_id", _CURRENCY),
        unknown_refused,
    ]
    has_login = pc.and_(pc.is_valid(kept["visitor_id"]), pc.is_valid(kept["customer_id"]))
    return Settled(
        pa.concat_tables([kept, unknown]),
        kept.filter(has_login).select(LOGINS.names).cast(LOGINS),
        pa.concat_tables(refused),
    )


def _lines(purchases: pa.Table, p_order: Ints, counts: Bools, latest: Ints) -> Lines:
    """The latest version of every line, sorted by order and line id, with its gross value."""
    rows = np.flatnonzero(counts)
    stated = purchases.select(["site_id", "order_id", "items"]).take(pa.array(rows))
    items = stated["items"].combine_chunks()
    parent = ints(pc.list_parent_indices(items))
    table = pa.Table.from_struct_array(pc.list_flatten(items)).append_column(
        "order", pa.array(p_order[rows][parent], pa.int64())
    )
    for name in ("site_id", "order_id"):
        table = table.append_column(name, take(stated[name], parent))
    said = group_by(ints(table["order"]), codes([table["line_id"]])[0])
    version = reduced(np.maximum, said.rows, said.start)
    table = sort_by(table.take(pa.array(version)), "order", "line_id")
    value = ints(table["quantity"]) * ints(table["price_micros"]) - ints(table["discount_micros"])
    order = ints(table["order"])
    lines = Lines(table, order, value, value)
    with_lines = order[group_starts(order)]
    discount = ints(purchases["discount_micros"])[latest[with_lines]]
    return lines._replace(gross=value - spread(lines, with_lines, discount)[1])


def _line_lists(lines: Lines, refunded: Ints, of_known: Ints) -> pa.Array:
    """[orders] each known order's lines as a list of ORDER_LINE."""
    values = pa.StructArray.from_arrays(
        [
            lines.table["line_id"].combine_chunks(),
            lines.table["item_id"].combine_chunks(),
            lines.table["quantity"].combine_chunks(),
            pa.array(lines.gross),
            pa.array(refunded),
        ],
        fields=list(ORDER_LINE),
    )
    ends = np.searchsorted(lines.order, of_known, side="right")
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], ends)), pa.int32()), values, pa.list_(ORDER_LINE)
    )


def _unknown_originals(
    refunds: pa.Table, r_order: Ints, mask: Bools, currencies: Mapping[str, str]
) -> tuple[pa.Table, pa.Table]:
    """Orders of negative net value for refunds whose original never came."""
    # The latest currency named is the order's; refunds that name another are left out first.
    named = latest_set(refunds, "currency", r_order, mask, int(r_order.max(initial=-1)) + 1)[1]
    named = named.take(pa.array(r_order))
    odd = mask & is_set(refunds["currency"]) & ~_same_text(refunds["currency"], named)
    left_out = refunds.filter(pa.array(odd))
    rows = np.flatnonzero(mask & ~odd)
    refunds, order = refunds.take(pa.array(rows)), r_order[rows]
    known, code = np.unique(order, return_inverse=True)
    everything = np.ones(len(rows), dtype=np.bool_)
    latest = latest_rows(code, np.arange(len(rows)), len(known))
    site = take(refunds["site_id"], latest)
    report = _lookup(site, currencies)
    currency = pc.coalesce(take(named, rows).take(pa.array(latest)), report)
    visitor_row, visitor = latest_set(refunds, "visitor_id", code, everything, len(known))
    orders = (
        pa.table(
            {
                "site_id": site,
                "order_id": take(refunds["order_id"], latest),
                "currency": currency,
                "is_creditable": np.zeros(len(known), dtype=np.bool_),
                "lines": _refund_line_lists(refund_lines(refunds, code, everything), len(known)),
                "at": earliest(code, ints(refunds["at"]), len(known)),
                "visitor_id": visitor,
                "session_id": take(refunds["session_id"], visitor_row),
                "customer_id": latest_set(refunds, "customer_id", code, everything, len(known))[1],
            }
        )
        .select(ORDERS.names)
        .cast(ORDERS)
    )
    same = _same_text(currency, report)
    refused = [
        _refused(orders.filter(pa.array(~same)), "refund", "order_id", _CURRENCY),
        _refused(left_out, "refund", "event_id", _CURRENCY),
    ]
    return orders.filter(pa.array(same)), pa.concat_tables(refused)


def _refund_line_lists(back: RefundLines, count: int) -> pa.Array:
    """[orders] refund lines under ids `<refund_id>:<line_id, else place>`; equal ids add up."""
    line_id = pc.binary_join_element_wise(
        back.refund_id, pc.coalesce(back.line_id, pc.cast(pa.array(back.place), pa.string())), ":"
    )
    table = pa.table(
        {
            "order": back.order,
            "line_id": line_id,
            "item_id": pc.fill_null(back.item_id, "unknown"),
            "quantity": -back.quantity,
            "refunded": np.maximum(back.amount, 0),
        }
    ).filter(pa.array(~back.is_whole))
    lines = sort_by(
        table.group_by(["order", "line_id"]).aggregate(
            [("item_id", "min"), ("quantity", "sum"), ("refunded", "sum")]
        ),
        "order",
        "line_id",
    )
    values = pa.StructArray.from_arrays(
        [
            lines["line_id"].combine_chunks(),
            lines["item_id_min"].combine_chunks(),
            lines["quantity_sum"].combine_chunks(),
            pa.array(np.zeros(len(lines), dtype=np.int64)),
            lines["refunded_sum"].combine_chunks(),
        ],
        fields=list(ORDER_LINE),
    )
    ends = np.searchsorted(ints(lines["order"]), np.arange(count), side="right")
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], ends)), pa.int32()), values, pa.list_(ORDER_LINE)
    )


def _totals(lines: Lines, of_known: Ints) -> Ints:
    """[orders] gross value of each known order."""
    total = np.zeros(int(of_known.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(total, lines.order, lines.gross)
    return total[of_known]


def _refused(events: pa.Table, event_name: str, id_column: str, why: str) -> pa.Table:
    currency = pc.fill_null(events["currency"], "missing")
    return pa.table(
        {
            "site_id": events["site_id"],
            "event_name": pa.repeat(event_name, len(events)),
            "record_id": events[id_column],
            "reason": pc.binary_join_element_wise(pa.scalar(why), currency, " "),
            "at": events["at"],
        }
    ).cast(REFUSED)


def _lookup(site: Any, values: Mapping[str, str]) -> pa.Array:
    site = encoded(site)
    told = pa.array([values[name] for name in site.dictionary.to_pylist()], pa.string())
    return told.take(site.indices)


def _same_text(left: Any, right: Any) -> Bools:
    """[rows] whether two text columns are equal; null equals nothing."""
    return bools(pc.equal(left, right))
