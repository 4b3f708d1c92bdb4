"""Order lines of all files as one table: checked row by row, then order by order.

A row that breaks a rule leaves the table with its reason; the others of its order stay.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.io.checked_rows import CheckedRows, group_sizes, missing, occurrences, parse_files
from pipelines.io.layout import Layout
from pipelines.io.order_values import check_name, parsers
from pipelines.io.row_files import FileRows
from pipelines.kernels.columns import group_starts
from schemas.errors import EventError
from schemas.events import LEAD_MS
from schemas.money import MAX_MICROS, MICROS

MAX_LINES = 10_000


def _required(chosen: Collection[str]) -> Iterator[tuple[str, ...]]:
    yield from (("order_id",), ("ordered_at",))
    if "refund_id" not in chosen:
        yield from (("item_id",), ("quantity",), ("price",))
    yield ("amount", "quantity")


ORDERS = Layout(
    dict.fromkeys(
        (
            *("order_id", "line_id", "ordered_at", "customer_id", "visitor_id", "item_id"),
            *("quantity", "price", "discount", "currency", "refund_id", "amount", "kind"),
        ),
        (),
    ),
    _required,
)
"""The columns of files of order lines."""


def check_rows(files: Sequence[FileRows], time_zone: str, now_ms: int) -> CheckedRows:
    """Gives values their meaning and checks each row by itself.

    Adds `is_refund`, `value_micros` (what the line is worth: |quantity| * price - discount,
    null when a refund has no price) and fills `discount` with 0.

    Args:
      files: rows of each file; their order is the row order.
      time_zone: IANA name; times without a zone are local to it.
      now_ms: UTC epoch milliseconds; nothing was ordered more than a day later.
    """
    rows = parse_files(files, parsers(time_zone))
    for name in ("order_id", "ordered_at"):
        rows.drop(~rows.is_set(name), missing(name))
    rows.drop(
        rows.ints("ordered_at") > now_ms + LEAD_MS,
        lambda row: f"ordered_at {row['ordered_at']} is more than a day ahead of now",
    )
    is_negative = pc.fill_null(pc.less(rows.table["quantity"], 0), False)
    rows.add("is_refund", pc.or_(rows.table["refund_id"].is_valid(), is_negative))
    _check_complete(rows)
    _check_worth(rows)
    return rows


def _check_complete(rows: CheckedRows) -> None:
    """A sale needs item, quantity and price; a refund an amount or what it is worth."""
    for name in ("item_id", "quantity", "price"):
        is_needed = ~rows.is_set("refund_id")
        rows.drop(is_needed & ~rows.is_set(name), missing(name))
    is_refund = rows.ints("is_refund").astype(bool)
    rows.drop(
        is_refund & ~rows.is_set("amount") & ~rows.is_set("quantity"),
        lambda row: f"refund {row['refund_id']!r} has neither amount nor quantity",
    )
    rows.drop(
        ~rows.is_set("amount") & ~rows.is_set("item_id") & ~rows.is_set("line_id"),
        lambda row: f"refund {row['refund_id']!r} has a quantity but no item_id or line_id",
    )


def _check_worth(rows: CheckedRows) -> None:
    """Values stay below 2**52 micros, and what is given back is not negative."""
    rows.add("discount", pc.fill_null(rows.table["discount"], 0))
    quantity = np.abs(pc.fill_null(rows.table["quantity"], 0).to_numpy())
    price = pc.fill_null(rows.table["price"], 0).to_numpy()
    discount = rows.ints("discount")
    # In float64 first: the exact product may not fit int64 at all.
    rough = quantity.astype(np.float64) * np.abs(price)
    size = np.where(rough < 2 * MAX_MICROS, quantity * np.abs(price) + np.abs(discount), 2**53)
    # An amount that is given takes the place of what it would be worth.
    size = np.where(rows.is_set("amount"), 0, size)
    has_price = pc.and_(rows.table["price"].is_valid(), rows.table["quantity"].is_valid())
    worth = pc.if_else(has_price, pa.array(quantity * price - discount), None)
    rows.add("value_micros", pc.coalesce(rows.table["amount"], worth))
    rows.add("size_micros", pc.coalesce(rows.table["amount"], pa.array(size)))
    rows.drop(
        size > MAX_MICROS,
        lambda _: f"quantity * price + discount is beyond {MAX_MICROS // MICROS} units",
    )
    is_refund = rows.ints("is_refund").astype(bool)
    is_negative = pc.fill_null(pc.less(rows.table["value_micros"], 0), False).to_numpy()
    has_bad_price = pc.fill_null(pc.less(rows.table["price"], 0), False).to_numpy()
    rows.drop(
        is_refund & (is_negative | has_bad_price),
        lambda row: (
            f"a negative amount is given back (quantity {row['quantity']}, price"
            f" {row['price']}, amount {row['value_micros']} micros); refunds are positive"
        ),
    )


def name_lines(rows: CheckedRows) -> None:
    """Names lines without a line_id `<item_id>#<n>`.

    n counts the item's rows within the order, sales and refunds apart, in row order.
    """
    count = occurrences(rows.codes("order_id", "is_refund", "item_id"))
    made = pc.binary_join_element_wise(
        rows.table["item_id"], pc.cast(pa.array(count), pa.string()), "#"
    )
    rows.add("line_id", pc.coalesce(rows.table["line_id"], made))
    is_long = pc.greater(pc.utf8_length(rows.table["line_id"]), 128)
    rows.drop(pc.fill_null(is_long, False).to_numpy(), _long_line)


def _long_line(row: Mapping[str, Any]) -> str:
    try:
        check_name("line_id", row["line_id"])
    except EventError as error:
        return str(error)
    return "line_id is too long"


def limit_groups(rows: CheckedRows, key: str) -> None:
    """Drops rows beyond what one event may hold: 10,000 lines, 2**52 micros."""
    rows.drop(
        occurrences(rows.ints("group")) > MAX_LINES,
        lambda row: f"{key} {row[key]!r} has more than {MAX_LINES} lines",
    )
    group, size = rows.ints("group"), rows.ints("size_micros")
    starts = group_starts(group)
    if len(starts) == 0:
        return
    is_over = np.zeros(len(group), bool)
    rough = np.add.reduceat(size.astype(np.float64), starts)
    ends = starts + group_sizes(starts, len(group))
    for place in np.flatnonzero(rough > MAX_MICROS / 2):
        total = 0
        for row in range(starts[place], ends[place]):
            # A row that does not fit is left out; smaller ones after it may still fit.
            is_over[row] = total + int(size[row]) > MAX_MICROS
            total += 0 if is_over[row] else int(size[row])
    rows.drop(
        is_over,
        lambda row: f"{key} {row[key]!r} adds up to more than {MAX_MICROS // MICROS} units",
    )
