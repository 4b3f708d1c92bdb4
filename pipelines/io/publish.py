"""Publishing: rows staged under their run, audited, then shown by flipping one pointer."""

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update

from pipelines import progress
from pipelines.io.database import broken_invariants
from schemas.errors import AuditError
from schemas.results import result_key, result_schema
from schemas.tables import RESULTS, Base, CurrentRun, Run

_BATCH = 50_000


class ResultFile(NamedTuple):
    """A finished file of one result table."""

    table: str
    path: str
    rows: int
    is_removal: bool = False


def published_run(engine: Engine) -> str | None:
    """The run that the views show."""
    with engine.connect() as connection:
        return connection.scalar(select(CurrentRun.run_id))


def publish(engine: Engine, run: dict[str, Any], results: Sequence[ResultFile], keep: int) -> None:
    """Stages a run's rows, audits them, and shows them to readers in one transaction.

    Args:
      engine: an upgraded database.
      run: columns of `runs` but `published_at`; and `continues`, the run whose rows stand but
        for the removals among the results, or None.
      results: the run's files.
      keep: how many published runs to keep, this one included.

    Raises:
      AuditError: a count or an invariant does not hold; readers still see the last run.
    """
    run = dict(run)
    run_id, continued = run["run_id"], run.pop("continues", None)
    progress.expect("Publishing", sum(file.rows for file in results))
    with engine.begin() as connection:
        _forget(connection, run_id)
        connection.execute(insert(Run).values(**run, published_at=None))
        wanted = {}
        for name in RESULTS:
            files = [file for file in results if file.table == name]
            standing = _carry_over(connection, name, continued, run_id)
            _take_back(connection, name, run_id, [file for file in files if file.is_removal])
            _stage(connection, name, run_id, [file for file in files if not file.is_removal])
            wanted[name] = standing + sum(-f.rows if f.is_removal else f.rows for f in files)
        broken = [
            *_missing_rows(connection, run_id, wanted),
            *broken_invariants(connection, run_id),
        ]
        if broken:
            raise AuditError(f"run {run_id} is not published: {'; '.join(broken)}")
        show_run(connection, run_id)
        # After the last one, even if the machine's clock was set back in between.
        last = connection.scalar(select(func.max(Run.published_at))) or 0
        published_at = max(time.time_ns() // 1_000_000, last + 1)
        connection.execute(
            update(Run).where(Run.run_id == run_id).values(published_at=published_at)
        )
    with engine.begin() as connection:
        for old in _past_runs(connection, keep):
            _forget(connection, old)


def show_run(connection: Connection, run_id: str) -> None:
    """Points the views at a run, in the caller's transaction."""
    shown = connection.execute(update(CurrentRun).values(run_id=run_id))
    if shown.rowcount == 0:
        connection.execute(insert(CurrentRun).values(pointer=1, run_id=run_id))


def restore_run(engine: Engine) -> str:
    """Shows the run published before the current one again.

    Raises:
      AuditError: there is no other run.
    """
    with engine.begin() as connection:
        current = connection.scalar(select(CurrentRun.run_id))
        earlier = connection.scalar(
            select(Run.run_id)
            .where(Run.published_at.is_not(None), Run.run_id != current)
            .order_by(Run.published_at.desc())
        )
        if earlier is None:
            raise AuditError("there is no earlier run to bring back")
        show_run(connection, earlier)
        return earlier


def _carry_over(connection: Connection, name: str, continued: str | None, run_id: str) -> int:
    """Copies the rows of the run that is continued; gives their number."""
    columns = ", ".join(result_schema(name).names)
    copied = connection.execute(
        text(
            f"INSERT INTO {name} (run_id, {columns})"  # noqa: S608 (our own names)
            f" SELECT :run, {columns} FROM {name} WHERE run_id = :continued"
        ),
        {"run": run_id, "continued": continued},
    )
    return copied.rowcount


def _take_back(connection: Connection, name: str, run_id: str, files: Sequence[ResultFile]) -> None:
    key = result_key(name)
    where = " AND ".join(f"{column} = :{column}" for column in ("run_id", *key))
    statement = text(f"DELETE FROM {name} WHERE {where}")  # noqa: S608 (our own names)
    for file in files:
        rows = pq.read_table(file.path, columns=list(key)).to_pylist()
        connection.execute(statement, [{"run_id": run_id, **row} for row in rows])


def _stage(connection: Connection, name: str, run_id: str, files: Sequence[ResultFile]) -> None:
    schema = result_schema(name)
    for file in files:
        for batch in pq.ParquetFile(file.path).iter_batches(_BATCH):
            table = pa.Table.from_batches([batch]).select(schema.names)
            _insert(connection, name, ("run_id", *schema.names), _rows(run_id, table))
            progress.tick("Publishing", len(table), rows=len(table))


def _rows(run_id: str, table: pa.Table) -> Iterator[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return zip(itertools.repeat(run_id, len(table)), *columns, strict=True)


def _insert(
    connection: Connection, name: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    """Bulk insert by the fastest way of each driver."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        statement = f"COPY {name} ({', '.join(columns)}) FROM STDIN"
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return
    marks = ", ".join("?" * len(columns))
    driver.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 (our own names)


def _missing_rows(connection: Connection, run_id: str, wanted: dict[str, int]) -> Iterator[str]:
    for name, result in RESULTS.items():
        count = select(func.count()).select_from(result).where(result.run_id == run_id)
        there = connection.scalar(count)
        if there != wanted[name]:
            yield f"{name} holds {there} rows of {wanted[name]}"


def _past_runs(connection: Connection, keep: int) -> list[str]:
    """Runs beyond those to keep, and runs that were staged but never published."""
    current = connection.scalar(select(CurrentRun.run_id))
    earlier = connection.scalars(
        select(Run.run_id)
        .where(Run.published_at.is_not(None), Run.run_id != current)
        .order_by(Run.published_at.desc())
    ).all()
    staged = connection.scalars(select(Run.run_id).where(Run.published_at.is_(None))).all()
    return [*earlier[keep - 1 :], *staged]


def _forget(connection: Connection, run_id: str) -> None:
    for table in reversed(Base.metadata.sorted_tables):
        if "run_id" in table.c and table.name != CurrentRun.__tablename__:
            connection.execute(delete(table).where(table.c.run_id == run_id))
