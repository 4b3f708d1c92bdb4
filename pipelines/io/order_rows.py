"""Order lines of all files as one table: checked row by row, then order by order.

A row that breaks a rule leaves the table with its reason; the others of its order stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.io.order_files import FileRows
from pipelines.io.order_values import check_name, parse_column, parsers
from pipelines.kernels.columns import Bools, Ints, group_starts
from schemas.errors import EventError
from schemas.money import MAX_MICROS, MICROS

Reason = Callable[[Mapping[str, Any]], str]

MAX_LINES = 10_000


class Fault(NamedTuple):
    """A row that is quarantined: which file (its place in the list), line, and why."""

    file: int
    line: int
    reason: str


@dataclass
class OrderRows:
    """Good rows, and the faults of the others.

    `table`: [rows] the own columns with their meaning (text, int64 micros, int64 epoch
    milliseconds), `file`, `line`, and whatever the steps add.
    """

    table: pa.Table
    faults: list[Fault] = field(default_factory=list)

    def drop(self, is_bad: Bools, reason: Reason) -> None:
        """Takes bad rows out, each with the reason that its own values give."""
        if not is_bad.any():
            return
        self.faults += [
            Fault(row["file"], row["line"], reason(row))
            for row in self.table.filter(pa.array(is_bad)).to_pylist()
        ]
        self.table = self.table.filter(pa.array(~is_bad))

    def ints(self, name: str) -> Ints:
        """[rows] a column without nulls."""
        values: Ints = self.table[name].to_numpy()
        return values

    def is_set(self, name: str) -> Bools:
        """[rows] whether a column has a value."""
        values: Bools = self.table[name].is_valid().to_numpy()
        return values

    def codes(self, *names: str) -> Ints:
        """[rows] equal numbers for equal values of the columns together; -1 for a null."""
        total = np.zeros(self.table.num_rows, np.int64)
        for name in names:
            encoded = self.table[name].combine_chunks().dictionary_encode()
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            if len(names) == 1:
                return codes
            # Numbered anew at each step, so the product never leaves int64.
            total = np.unique(total * (len(encoded.dictionary) + 1) + codes, return_inverse=True)[1]
        return total

    def add(self, name: str, values: Any) -> Self:
        """Adds a column, or puts it in place of the one of that name."""
        if name in self.table.column_names:
            self.table = self.table.drop_columns([name])
        self.table = self.table.append_column(name, values)
        return self


def check_rows(files: Sequence[FileRows], time_zone: str) -> OrderRows:
    """Gives values their meaning and checks each row by itself.

    Adds `is_refund`, `value_micros` (what the line is worth: |quantity| * price - discount,
    null when a refund has no price) and fills `discount` with 0.

    Args:
      files: rows of each file; their order is the row order.
      time_zone: IANA name; times without a zone are local to it.
    """
    checked = [_check_file(place, rows, time_zone) for place, rows in enumerate(files)]
    rows = OrderRows(
        pa.concat_tables([part.table for part in checked]).combine_chunks(),
        [fault for part in checked for fault in part.faults],
    )
    for name in ("order_id", "ordered_at"):
        rows.drop(~rows.is_set(name), _missing(name))
    is_negative = pc.fill_null(pc.less(rows.table["quantity"], 0), False)
    rows.add("is_refund", pc.or_(rows.table["refund_id"].is_valid(), is_negative))
    _check_complete(rows)
    _check_worth(rows)
    return rows


def _check_file(place: int, rows: FileRows, time_zone: str) -> OrderRows:
    faults = [Fault(place, line, reason) for line, reason in rows.broken]
    columns: dict[str, Any] = {}
    is_bad = np.zeros(len(rows.lines), bool)
    for name, (parse, arrow_type) in parsers(time_zone).items():
        if name not in rows.columns:
            columns[name] = pa.nulls(len(rows.lines), arrow_type)
            continue
        parsed = parse_column(rows.columns[name], parse, arrow_type)
        columns[name] = parsed.values
        if parsed.reasons:
            faults += [
                Fault(place, int(rows.lines[row]), parsed.reason(int(row)))
                for row in np.flatnonzero(parsed.is_bad & ~is_bad)
            ]
            is_bad |= parsed.is_bad
    columns |= {"file": np.full(len(rows.lines), place, np.int64), "line": rows.lines}
    table = pa.table(columns)
    return OrderRows(table.filter(pa.array(~is_bad)) if is_bad.any() else table, faults)


def _missing(name: str) -> Reason:
    return lambda _: f"{name} is missing"


def _check_complete(rows: OrderRows) -> None:
    """A sale needs item, quantity and price; a refund an amount or what it is worth."""
    for name in ("item_id", "quantity", "price"):
        is_needed = ~rows.is_set("refund_id")
        rows.drop(is_needed & ~rows.is_set(name), _missing(name))
    is_refund = rows.ints("is_refund").astype(bool)
    rows.drop(
        is_refund & ~rows.is_set("amount") & ~rows.is_set("quantity"),
        lambda row: f"refund {row['refund_id']!r} has neither amount nor quantity",
    )
    rows.drop(
        ~rows.is_set("amount") & ~rows.is_set("item_id") & ~rows.is_set("line_id"),
        lambda row: f"refund {row['refund_id']!r} has a quantity but no item_id or line_id",
    )


def _check_worth(rows: OrderRows) -> None:
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


def name_lines(rows: OrderRows) -> None:
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


def occurrences(codes: Ints) -> Ints:
    """[rows] how many rows of the same code came so far, itself included: 1, 2, ..."""
    order = np.argsort(codes, kind="stable")
    starts = group_starts(codes[order])
    count = np.empty(len(codes), np.int64)
    count[order] = np.arange(1, len(codes) + 1) - np.repeat(starts, group_sizes(starts, len(codes)))
    return count


def group_sizes(starts: Ints, rows: int) -> Ints:
    """[groups] rows in each group that begins at `starts`."""
    return np.diff(np.append(starts, rows))


def first_set(codes: Ints, starts: Ints) -> Ints:
    """[groups] row of the first code >= 0 in each group; the number of rows when none is."""
    rows = np.arange(len(codes))
    if len(starts) == 0:
        return np.zeros(0, np.int64)
    first: Ints = np.minimum.reduceat(np.where(codes >= 0, rows, len(codes)), starts)
    return first


def group_rows(rows: OrderRows, key: str, agreed: Mapping[str, str]) -> None:
    """Sorts rows by group, in row order within each, and drops those that contradict it.

    A group is one event to be: it has one of each of the `agreed` columns, the first that
    is set; it has at most 10,000 lines and less than 2**52 micros. Adds `group`, numbered
    by first appearance.

    Args:
      rows: rows of one kind, sales or refunds.
      key: column that names the event: order_id or refund_id.
      agreed: column -> what to call it in a reason.
    """
    group = rows.codes(key)
    order = np.argsort(group, kind="stable")
    rows.table = rows.table.take(pa.array(order)).append_column("group", pa.array(group[order]))
    for column, called in agreed.items():
        codes = rows.codes(column)
        starts = group_starts(rows.ints("group"))
        first = first_set(codes, starts)
        wanted = np.repeat(np.append(codes, -1)[first], group_sizes(starts, len(codes)))
        rows.drop(
            (codes >= 0) & (codes != wanted),
            _contradiction(key, column, called),
        )


def _contradiction(key: str, column: str, called: str) -> Reason:
    return lambda row: (
        f"{key} {row[key]!r} has another {called} in an earlier row than {row[column]!r}"
    )


def limit_groups(rows: OrderRows, key: str) -> None:
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
