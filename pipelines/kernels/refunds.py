"""Refunds against the lines they take back (docs/attribution.md section 2)."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, expand, ints, joint_places, take
from pipelines.kernels.money import split_micros


class Lines(NamedTuple):
    """Order lines, sorted by order, then line id."""

    table: pa.Table  # site_id, order_id, line_id, item_id, quantity
    order: Ints  # [lines] code of the order
    value: Ints  # [lines] micros: quantity * price - discount, by which amounts are spread
    gross: Ints  # [lines] micros: the value less the line's part of the order's discount


class RefundLines(NamedTuple):
    """Refund items laid out; a refund by one amount, or of everything, is one row. All [rows]."""

    site_id: Any
    order_id: Any
    refund_id: Any
    line_id: Any  # text, may be null
    item_id: Any  # text, may be null
    order: Ints
    place: Ints  # within the refund, from 1
    quantity: Ints  # 0 where not given
    amount: Ints  # micros, -1 where not given
    is_whole: Bools  # takes back all that is left of the order


def refund_lines(refunds: pa.Table, order: Ints, mask: Bools) -> RefundLines:
    """Lays out the items of the masked refunds.

    Args:
      refunds: refund events.
      order: [refunds] code of each refund's order.
      mask: [refunds] which to take.
    """
    rows = np.flatnonzero(mask)
    refunds, order = refunds.take(pa.array(rows)), order[rows]
    items = refunds["items"].combine_chunks()
    size = ints(pc.list_value_length(items))
    has_items = size > 0
    group, place = expand(np.maximum(size, 1))
    # Row of the flat items behind each row; -1 for a refund without items.
    item = np.where(has_items[group], (np.cumsum(size) - size)[group] + place, -1)
    flat = pa.Table.from_struct_array(pc.list_flatten(items))
    amount = ints(take(flat["amount_micros"], item), missing=-1)
    whole_amount = ints(refunds["amount_micros"], missing=-1)[group]
    amount = np.where(has_items[group], amount, whole_amount)
    return RefundLines(
        site_id=take(refunds["site_id"], group),
        order_id=take(refunds["order_id"], group),
        refund_id=take(refunds["refund_id"], group),
        line_id=take(flat["line_id"], item),
        item_id=take(flat["item_id"], item),
        order=order[group],
        place=place + 1,
        quantity=ints(take(flat["quantity"], item)),
        amount=amount,
        is_whole=~has_items[group] & (amount < 0),
    )


def refunded_micros(lines: Lines, back: RefundLines) -> Ints:
    """[lines] what refunds of known orders took back from each line."""
    refunded = np.zeros(len(lines.order), dtype=np.int64)
    line = _line_of(lines, back)
    found = np.flatnonzero(line >= 0)
    np.add.at(refunded, line[found], _value(lines, back, line, found))
    loose = np.flatnonzero((line < 0) & (back.amount > 0))
    row, part = spread(lines, back.order[loose], back.amount[loose])
    np.add.at(refunded, row, part)
    whole = np.isin(lines.order, back.order[back.is_whole])
    # What is left of a line below 0, an adjustment, goes back as well.
    nothing_left = np.where(lines.gross < 0, lines.gross, np.maximum(refunded, lines.gross))
    return np.where(whole, nothing_left, refunded)


def spread(lines: Lines, order: Ints, amount: Ints) -> tuple[Ints, Ints]:
    """Spreads amounts over all lines of their orders, in proportion to the lines' values.

    Args:
      lines: sorted by order.
      order: [amounts] code of an order with lines.
      amount: [amounts] micros.

    Returns:
      [parts] row of the line, and [parts] micros; in the order of the amounts.
    """
    low = np.searchsorted(lines.order, order, side="left")
    size = np.searchsorted(lines.order, order, side="right") - low
    group, place = expand(size)
    row = low[group] + place
    start = np.concatenate(([0], np.cumsum(size))).astype(np.int64)
    weight = np.abs(lines.value[row]).astype(np.float64)
    total = np.add.reduceat(weight, start[:-1]) if len(order) else np.zeros(0)
    weight = np.where(total[group] == 0, 1.0, weight)
    return row, split_micros(amount, weight, start)


def _line_of(lines: Lines, back: RefundLines) -> Ints:
    """[refund lines] row of the line meant: by line id, else the first with the item; or -1."""
    # Most orders are never taken back.
    near = np.flatnonzero(np.isin(lines.order, back.order))
    table = lines.table.take(pa.array(near))
    by_line, by_item = (
        joint_places(
            [back.site_id, back.order_id, of_back],
            [table["site_id"], table["order_id"], table[name]],
        )
        for name, of_back in (("line_id", back.line_id), ("item_id", back.item_id))
    )
    return np.append(near, -1)[np.where(by_line >= 0, by_line, by_item)]


def _value(lines: Lines, back: RefundLines, line: Ints, rows: Ints) -> Ints:
    """[rows] micros of refund lines whose order line is known."""
    given = back.amount[rows]
    gross, units = lines.gross[line[rows]], ints(lines.table["quantity"])[line[rows]]
    by_units = given < 0
    value = given.copy()
    # Python's integers: value times units may pass 2**63.
    value[by_units] = [
        int(g) * int(q) // int(u)
        for g, q, u in zip(
            gross[by_units], back.quantity[rows][by_units], units[by_units], strict=True
        )
    ]
    return value
