"""Rows of all given files as one table: their values parsed, the bad ones taken out.

A row that breaks a rule leaves the table with its reason; its neighbours stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from pipelines.io.given_values import Parse, parse_column
from pipelines.io.row_files import FileRows
from pipelines.kernels.columns import Bools, Ints, group_starts

Reason = Callable[[Mapping[str, Any]], str]
# Own column -> what gives its values their meaning, and the Arrow type of what it gives.
Parsers = Mapping[str, tuple[Parse, Any]]


class Fault(NamedTuple):
    """A row that is quarantined: which file (its place in the list), line, and why."""

    file: int
    line: int
    reason: str


@dataclass
class CheckedRows:
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


def parse_files(files: Sequence[FileRows], parsers: Parsers) -> CheckedRows:
    """Gives values their meaning, in the row order of the files; a column that lacks is null."""
    checked = [_parse_file(place, rows, parsers) for place, rows in enumerate(files)]
    return CheckedRows(
        pa.concat_tables([part.table for part in checked]).combine_chunks(),
        [fault for part in checked for fault in part.faults],
    )


def _parse_file(place: int, rows: FileRows, parsers: Parsers) -> CheckedRows:
    faults = [Fault(place, line, reason) for line, reason in rows.broken]
    columns: dict[str, Any] = {}
    is_bad = np.zeros(len(rows.lines), bool)
    for name, (parse, arrow_type) in parsers.items():
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
    return CheckedRows(table.filter(pa.array(~is_bad)) if is_bad.any() else table, faults)


def missing(name: str) -> Reason:
    """The reason of rows that lack a value."""
    return lambda _: f"{name} is missing"


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


def group_rows(rows: CheckedRows, key: str, agreed: Mapping[str, str]) -> None:
    """Sorts rows by group, in row order within each, and drops those that contradict it.

    A group is one thing to be: it has one of each of the `agreed` columns, the first that
    is set. Adds `group`, numbered by first appearance.

    Args:
      rows: rows of one kind.
      key: column that names the thing: order_id, refund_id, item_id.
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
