"""Rows into result tables and out of them again, on SQLite and on PostgreSQL."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

from pipelines.io.database import open_database
from pipelines.io.staging import add_rows, end_rows
from schemas.home import Home
from schemas.results import result_key, result_schema

PEOPLE = [("acme", f"p{n:02}") for n in range(40)] + [("bolt", f"p{n:02}") for n in range(20)]
KEYS: dict[str, list[tuple[Any, ...]]] = {
    "site_graphs": [("acme",), ("bolt",)],
    "pinner_graph": PEOPLE,
    "stage_transitions": [(*person, "a", to) for person in PEOPLE for to in "ab"],
}


def write(path: Path, table: str, keys: list[tuple[Any, ...]]) -> str:
    """A finished file: whole rows of these keys."""
    schema = result_schema(table)
    rest = {
        field.name: "" if pa.types.is_string(field.type) else 0
        for field in schema
        if not field.nullable
    }
    rows = [{**rest, **dict(zip(result_key(table), key, strict=True))} for key in sorted(keys)]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema))
    return str(path)


@pytest.mark.parametrize("table", KEYS)
def test_just_the_rows_named_end_and_are_counted(home: Home, tmp_path: Path, table: str) -> None:
    """A run is refused by this count: it must tell of a row that was not there, or had ended."""
    keys = KEYS[table]
    others = {*keys[:: len(keys) // 2 + 1], *keys[5::19]}
    going = [key for key in keys if key not in others]
    missing = [(*key[:-1], f"{key[-1]}, unknown") for key in keys[:3]]
    engine = open_database(home)
    with engine.begin() as connection:
        add_rows(connection, table, [write(tmp_path / "coming", table, keys)], 1, 1)
        gone = [write(tmp_path / "going", table, [*going, *missing])]

        ended = end_rows(connection, table, gone, 1, 2)
        again = end_rows(connection, table, gone, 1, 3)

        query = f"SELECT {', '.join(result_key(table))} FROM {table} WHERE until_run "
        left = connection.execute(text(f"{query} = 2")).all()
        stands = connection.execute(text(f"{query} > 3")).all()
    engine.dispose()
    assert (ended, again) == (len(going), 0)
    assert sorted(map(tuple, left)) == sorted(going)
    assert {tuple(row) for row in stands} == others
