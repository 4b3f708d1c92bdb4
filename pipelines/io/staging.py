"""Rows into result tables, and rows of theirs ended, by the fastest way of each database."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from pipelines import progress
from pipelines.io.ordered import read_in_order
from schemas.results import result_key, result_schema
from schemas.tables import OPEN_RUN

_TAKEN_BACK = "taken_back"
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
    names = result_schema(table).names
    columns = ("base_run", *names, "since_run", "until_run")
    for batch in read_in_order(paths, result_key(table), names):
        rows = pa.Table.from_batches([batch])
        _insert(connection, table, columns, _between(rows, base_run, run_number))
        progress.tick("Publishing", len(rows), rows=len(rows))


def end_rows(
    connection: Connection, table: str, paths: Sequence[str], base_run: int, run_number: int
) -> int:
    """Ends the rows of the keys in these files with this run; gives how many of them stood."""
    names = result_key(table)
    keys = _counted(pa.Table.from_batches([each]) for each in read_in_order(paths, names, names))
    if connection.dialect.name == "postgresql":
        return _end_by_join(connection, table, keys, base_run, run_number)
    same = " AND ".join(f"{name} = ?" for name in names)
    statement = (
        f"UPDATE {table} SET until_run = {run_number}"  # noqa: S608 (our own names)
        f" WHERE base_run = {base_run} AND until_run = {OPEN_RUN} AND {same}"
    )
    driver: Any = connection.connection.driver_connection
    return sum(driver.executemany(statement, _tuples(rows)).rowcount for rows in keys)


def _counted(keys: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for rows in keys:
        progress.tick("Publishing", len(rows), rows=len(rows))
        yield rows


def fill(connection: Connection, table: str, rows: pa.Table) -> None:
    """Inserts rows into a table of the same column names."""
    _insert(connection, table, tuple(rows.column_names), rows)


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


def _between(rows: pa.Table, base_run: int, run_number: int) -> pa.Table:
    """The rows with the columns of their runs, in the order of the table's."""

    def each(number: int) -> pa.Array:
        return pa.repeat(pa.scalar(number, pa.int64()), len(rows))

    rows = rows.add_column(0, "base_run", each(base_run))
    rows = rows.append_column("since_run", each(run_number))
    return rows.append_column("until_run", each(OPEN_RUN))


def _insert(connection: Connection, table: str, columns: Sequence[str], rows: pa.Table) -> None:
    driver: Any = connection.connection.driver_connection
    listed = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        statement = f"COPY {table} ({listed}) FROM STDIN"
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(_copy_text(rows))
        return
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({listed}) VALUES ({marks})"  # noqa: S608 (our own names)
    driver.executemany(statement, _tuples(rows))


def _copy_text(rows: pa.Table) -> bytes:
    r"""Rows in PostgreSQL's text format of COPY, made a column at a time.

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
    ended = pa.concat_arrays(pc.binary_join_element_wise(lines, "", "\n").chunks)
    text: bytes = ended.buffers()[2].to_pybytes()
    return text


def _must_escape(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.match_substring_regex(texts, r"[\\\t\n\r]")


def _tuples(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in rows.columns]
    return zip(*columns, strict=True) if columns else itertools.repeat((), len(rows))
