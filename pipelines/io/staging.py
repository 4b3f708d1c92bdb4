"""Rows into result tables, and rows of theirs ended, by the fastest way of each database."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from pipelines import progress
from pipelines.io.ordered import read_in_order
from pipelines.kernels.columns import Bools, expand, flat, key_starts
from schemas.results import result_key, result_schema
from schemas.tables import OPEN_RUN

_TAKEN_BACK = "taken_back"
# Keys that end in one statement of SQLite: half of the time of one alone is not its row's.
_AT_ONCE = 16
# SQLite has no other NaN: it stores NULL.
_NULL = math.nan
# The backslash first: the others bring one in.
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


class ResultFile(NamedTuple):
    """A finished file of one result table: rows that come, or keys of rows that go."""

    table: str
    path: str
    rows: int
    is_removal: bool = False


def add_rows(
    connection: Connection, table: str, paths: Sequence[str], base_run: int, run_number: int
) -> None:
    """Inserts the rows of a table's files in the order of its key; they stand from this run on."""
    runs = {"base_run": base_run, "since_run": run_number, "until_run": OPEN_RUN}
    for batch in read_in_order(paths, result_key(table), result_schema(table).names):
        rows = pa.Table.from_batches([batch])
        fill(connection, table, rows, runs)
        progress.tick("Publishing", len(rows), rows=len(rows))


def end_rows(
    connection: Connection, table: str, paths: Sequence[str], base_run: int, run_number: int
) -> int:
    """Ends the rows of the keys in these files with this run; gives how many of them stood."""
    names = result_key(table)
    keys = _counted(pa.Table.from_batches([each]) for each in read_in_order(paths, names, names))
    if connection.dialect.name == "postgresql":
        return _end_by_join(connection, table, keys, base_run, run_number)
    *leading, last = names

    def statement(count: int) -> str:
        # What fails ends the transaction: to undo half a statement SQLite would copy each page.
        same = "".join(f"{name} = ? AND " for name in leading)
        return (
            f"UPDATE OR FAIL {table} SET until_run = {run_number}"  # noqa: S608 (our own names)
            f" WHERE base_run = {base_run} AND until_run = {OPEN_RUN}"
            f" AND {same}{last} IN ({', '.join('?' * count)})"
        )

    driver: Any = connection.connection.driver_connection
    ended = 0
    for rows in keys:
        is_among = _are_many_alike(rows, leading)
        among, others = rows.filter(pa.array(is_among)), rows.filter(pa.array(~is_among))
        first = np.arange(0, len(among), _AT_ONCE)
        alike = [_values(among[name].take(pa.array(first))) for name in leading]
        together = zip(*alike, *[iter(_values(among[last]))] * _AT_ONCE, strict=True)
        ended += driver.executemany(statement(_AT_ONCE), together).rowcount
        ended += driver.executemany(statement(1), _tuples(others)).rowcount
    return ended


def _are_many_alike(keys: pa.Table, leading: Sequence[str]) -> Bools:
    """[rows] whether they fill a statement with others of the same leading columns."""
    counts = np.diff(key_starts([flat(keys[name]) for name in leading]), append=len(keys))
    group, place = expand(counts)
    return place < counts[group] // _AT_ONCE * _AT_ONCE


def _counted(keys: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for rows in keys:
        progress.tick("Publishing", len(rows), rows=len(rows))
        yield rows


def fill(
    connection: Connection, table: str, rows: pa.Table, same: Mapping[str, int] | None = None
) -> None:
    """Inserts rows into a table of the same column names; `same` are columns alike in all."""
    same = same or {}
    driver: Any = connection.connection.driver_connection
    listed = ", ".join((*rows.column_names, *same))
    if connection.dialect.name == "postgresql":
        statement = f"COPY {table} ({listed}) FROM STDIN"
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_copy_text(rows, same.values()))
        return
    values = ", ".join(["?"] * rows.num_columns + [str(each) for each in same.values()])
    statement = f"INSERT INTO {table} ({listed}) VALUES ({values})"  # noqa: S608 (our own names)
    driver.executemany(statement, _tuples(rows))


def _end_by_join(
    connection: Connection, table: str, keys: Iterable[pa.Table], base_run: int, run_number: int
) -> int:
    names = result_key(table)
    listed = ", ".join(names)
    run = connection.exec_driver_sql
    run(f"CREATE TEMP TABLE {_TAKEN_BACK} AS SELECT {listed} FROM {table} LIMIT 0")  # noqa: S608 (our own names)
    for rows in keys:
        fill(connection, _TAKEN_BACK, rows)
    run(f"ANALYZE {_TAKEN_BACK}")
    same = " AND ".join(f"t.{name} = gone.{name}" for name in names)
    ended = run(
        f"UPDATE {table} t SET until_run = {run_number} FROM {_TAKEN_BACK} gone"  # noqa: S608 (our own names)
        f" WHERE t.base_run = {base_run} AND t.until_run = {OPEN_RUN} AND {same}"
    )
    run(f"DROP TABLE {_TAKEN_BACK}")
    return ended.rowcount


def _copy_text(rows: pa.Table, same: Iterable[int]) -> bytes:
    r"""Rows in PostgreSQL's text format of COPY, made a column at a time; all end in `same`.

    Null is `\N`, and whatever could end a field or a line is escaped. Not as CSV: there `\.` on a
    line of its own ends the data, even within quotes, before PostgreSQL 17.
    """
    if len(rows) == 0:
        return b""
    fields = []
    for column in rows.columns:
        texts = pc.cast(column, pa.string())
        if pa.types.is_string(column.type) and pc.any(_must_escape(texts)).as_py():
            for raw, escaped in _ESCAPES:
                texts = pc.replace_substring(texts, raw, escaped)
        fields.append(texts)
    lines = pc.binary_join_element_wise(
        *fields, "\t", null_handling="replace", null_replacement="\\N"
    )
    ending = "".join(f"\t{each}" for each in same) + "\n"
    ended = pa.concat_arrays(pc.binary_join_element_wise(lines, "", ending).chunks)
    text: bytes = ended.buffers()[2].to_pybytes()
    return text


def _must_escape(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.match_substring_regex(texts, r"[\\\t\n\r]")


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    columns = [_values(column) for column in rows.columns]
    return zip(*columns, strict=True) if columns else itertools.repeat((), len(rows))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Values as Python's driver of SQLite binds them at once.

    For None and for booleans it looks for an adapter, in vain, which takes as long as to write a
    row of ten numbers takes.
    """
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    values: list[Any] = column.to_pylist()
    if column.null_count:
        values = [_NULL if value is None else value for value in values]
    return values
