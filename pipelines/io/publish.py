"""Publishing: a run's changes written, audited, and shown by flipping one pointer.

All of that in one transaction: whatever ends it early leaves the database as it was. Tidying up
comes after it, when readers see the new run already.
"""

import itertools
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from sqlalchemy import Connection, Engine, func, insert, select

from pipelines import progress
from pipelines.io.audit import SQL_LEDGER, TOUCHED_ORDERS, audit, told
from pipelines.io.ledger import find_touched, finish_ledger, settle_ledger, write_ledger
from pipelines.io.ledger_months import LEDGER
from pipelines.io.ordered import read_batches
from pipelines.io.runs import PublishedRun, forget_runs, latest_run, show_run
from pipelines.io.staging import ResultFile, add_rows, end_rows, fill
from schemas.errors import AuditError
from schemas.results import result_schema
from schemas.tables import RESULTS, Run

_BY_ORDER = ("orders", "order_lines", LEDGER)


def publish(
    engine: Engine,
    record: dict[str, Any],
    results: Sequence[ResultFile],
    *,
    ledger: Path,
) -> PublishedRun:
    """Writes a run's changes, audits them, and shows them to readers, in one transaction.

    The ledger's files are complete before it ends, and pointed at afterwards: `tidy` does it, or
    the next run after a crash in between.

    Args:
      engine: an upgraded database.
      record: columns of `runs` that the caller knows; and `continues`, the id of the run whose
        rows stand but for the removals among the results, or None for a full run.
      results: the run's files.
      ledger: folder of the Parquet ledger.

    Returns:
      The run as it was published.

    Raises:
      AuditError: a count or an invariant does not hold, or the newest run is not the one
        continued; readers still see the last run.
    """
    record = dict(record)
    continued = record.pop("continues")
    progress.expect("Publishing", _rows(results))
    # A transaction that fails ends first; then its ledger's files, which nobody looks at.
    with ThreadPoolExecutor(1) as beside, engine.begin() as connection:
        last = latest_run(connection)
        number = last.run_number + 1 if last else 1
        if continued is not None and (last is None or last.run_id != continued):
            there = f"run {last.run_id}" if last else "no run"
            raise AuditError(f"run {record['run_id']} continues {continued}, but {there} is newest")
        base = last.base_run if continued is not None and last else number
        run = PublishedRun(record["run_id"], number, base, record["ledger"])
        written = [file for file in results if file.table != LEDGER or run.ledger == SQL_LEDGER]
        _write(connection, run, written, ["orders"])
        touched = None
        if continued is not None and last:
            _name_touched(connection, results)
            touched = last, find_touched(connection, run)
        months = beside.submit(write_ledger, ledger, run, touched, results)
        if continued is None:
            months.result()  # all credits and all rows at once would need the most memory of a run
        _write(connection, run, written, [name for name in RESULTS if name != "orders"])
        if continued is None:
            # Before the audit: without figures of the new rows PostgreSQL joins them one by one.
            connection.exec_driver_sql("ANALYZE")
        found = audit(connection, run, touched=continued is not None)
        if told(found):
            raise AuditError(f"run {run.run_id} is not published: {'; '.join(told(found))}")
        finish_ledger(connection, ledger, run, months.result())
        # After the last one, even if the machine's clock was set back in between.
        latest = connection.scalar(select(func.max(Run.published_at))) or 0
        values = {
            **record,
            "run_number": number,
            "base_run": base,
            "previous_run": last.run_number if last else None,
            "is_full": continued is None,
            "invariants": _json({promise: row is None for promise, row in found.items()}),
            "published_at": max(time.time_ns() // 1_000_000, latest + 1),
        }
        connection.execute(insert(Run).values(**values))
        show_run(connection, run)
    return run


def tidy(engine: Engine, ledger: Path, keep: int) -> None:
    """Forgets all but the newest `keep` runs, and points the ledger at the one shown.

    Readers see the new run by then: what fails here fails nothing that is published.
    """
    forget_runs(engine, keep)
    settle_ledger(engine, ledger)


def _write(
    connection: Connection,
    run: PublishedRun,
    results: Sequence[ResultFile],
    tables: Iterable[str],
) -> None:
    """Ends and adds rows of some tables; removals first, since a row that changes is both."""
    for name in tables:
        files = [file for file in results if file.table == name]
        going = [file for file in files if file.is_removal]
        coming = [file for file in files if not file.is_removal]
        if going:
            paths = [file.path for file in going]
            ended = end_rows(connection, name, paths, run.base_run, run.run_number)
            if ended != _rows(going):
                raise AuditError(
                    f"run {run.run_id} is not published: {name} had {ended} of"
                    f" {_rows(going)} rows to take back"
                )
        paths = [file.path for file in coming]
        add_rows(connection, name, paths, run.base_run, run.run_number)
        if run.base_run == run.run_number:
            _check_rows(connection, run, name, _rows(coming))


def _rows(files: Iterable[ResultFile]) -> int:
    return sum(file.rows for file in files)


def _check_rows(connection: Connection, run: PublishedRun, name: str, wanted: int) -> None:
    table = RESULTS[name]
    count = select(func.count()).select_from(table).where(table.base_run == run.base_run)
    there = connection.scalar(count)
    if there != wanted:
        raise AuditError(
            f"run {run.run_id} is not published: {name} holds {there} rows of {wanted}"
        )


def _name_touched(connection: Connection, results: Sequence[ResultFile]) -> None:
    """Lists the orders of which a row came or went, for the audit."""
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {TOUCHED_ORDERS}")
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE {TOUCHED_ORDERS} (site_id VARCHAR(64), order_id VARCHAR(128))"
    )
    keys = ["site_id", "order_id"]
    files = [file.path for file in results if file.table in _BY_ORDER]
    if files:
        batches = itertools.chain.from_iterable(read_batches(path, keys) for path in files)
        schema = result_schema(LEDGER)
        rows = pa.Table.from_batches(batches, pa.schema([schema.field(name) for name in keys]))
        fill(connection, TOUCHED_ORDERS, rows.group_by(keys).aggregate([]))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
