"""The runs a database holds: which is shown, which is newest, which are kept, who may add one."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import AuditError, BusyError
from schemas.lock import only_one
from schemas.tables import OPEN_RUN, RESULTS, Attempt, CurrentRun, Run

_LOCK = 0x70696E73  # "pins": one publisher a database


class PublishedRun(NamedTuple):
    """A run as the database numbers it."""

    run_id: str
    run_number: int
    base_run: int
    ledger: str  # where its credits lie: sql, or the lake alone


def shown_run(connection: Connection) -> PublishedRun | None:
    """The run that the views show."""
    return _run(connection, select(CurrentRun.run_number).scalar_subquery())


def latest_run(connection: Connection) -> PublishedRun | None:
    """The run published last, which the next one continues, whatever the views show."""
    return _run(connection, select(func.max(Run.run_number)).scalar_subquery())


def show_run(connection: Connection, run: PublishedRun) -> None:
    """Points the views at a run."""
    values = {"run_id": run.run_id, "run_number": run.run_number, "base_run": run.base_run}
    if connection.execute(update(CurrentRun).values(**values)).rowcount == 0:
        connection.execute(insert(CurrentRun).values(pointer=1, **values))


def restore_run(engine: Engine) -> str:
    """Shows the run published before the one that is shown.

    Raises:
      AuditError: there is no earlier run.
    """
    with engine.begin() as connection:
        shown = select(CurrentRun.run_number).scalar_subquery()
        earlier = select(func.max(Run.run_number)).where(Run.run_number < shown)
        run = _run(connection, earlier.scalar_subquery())
        if run is None:
            raise AuditError("there is no earlier run to bring back")
        show_run(connection, run)
        return run.run_id


@contextlib.contextmanager
def noted_attempt(engine: Engine) -> Iterator[None]:
    """Notes how the run in the block ends, whether it publishes anything or not.

    A note that the database refuses is left: an attempt that nobody noted comes to be late.
    """
    began_at = _now_ms()
    try:
        yield
    except BaseException as error:
        # Its text may hold people's ids, and this row outlives their erasure.
        with contextlib.suppress(SQLAlchemyError):
            _note_attempt(engine, {"failure": type(error).__name__, "began_at": began_at})
        raise
    _note_attempt(engine, {"failure": None, "began_at": began_at, "good_began_at": began_at})


def _note_attempt(engine: Engine, values: dict[str, Any]) -> None:
    values |= {"ended_at": _now_ms()}
    if "good_began_at" in values:
        values |= {"good_ended_at": values["ended_at"]}
    with engine.begin() as connection:
        if connection.execute(update(Attempt).values(**values)).rowcount == 0:
            connection.execute(insert(Attempt).values(pointer=1, **values))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def forget_runs(engine: Engine, keep: int) -> None:
    """Deletes the runs beyond those to keep, and the rows that only they have.

    The run that is shown, and the newest, stay in any case.
    """
    with engine.begin() as connection:
        numbers = connection.scalars(select(Run.run_number).order_by(Run.run_number.desc())).all()
        kept = {*numbers[: max(keep, 1)], connection.scalar(select(CurrentRun.run_number))}
        if not set(numbers) - kept:
            return
        connection.execute(delete(Run).where(Run.run_number.not_in(kept)))
        oldest = select(Run.base_run, func.min(Run.run_number)).group_by(Run.base_run)
        first = {base: number for base, number in connection.execute(oldest)}  # noqa: C416 (rows, not pairs, to mypy)
        for table in RESULTS.values():
            connection.execute(delete(table).where(table.base_run.not_in(first)))
            for base, number in first.items():
                ended = (table.base_run == base) & (table.until_run <= number)
                # As the index of ended rows says it: SQLite wants the same words.
                ended &= text(f"until_run < {OPEN_RUN}")
                connection.execute(delete(table).where(ended))


@contextlib.contextmanager
def only_publisher(engine: Engine) -> Iterator[None]:
    """Keeps other runs away from the database until the block ends, whatever their home.

    Raises:
      BusyError: another run is at work on it.
    """
    if engine.dialect.name == "sqlite":
        with only_one(Path(f"{engine.url.database}.lock"), "run"):
            yield
        return
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
            raise BusyError(f"another run is at work on the database: {_holder(connection)}")
        connection.commit()  # the lock is the session's; an open transaction would hinder VACUUM
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def _holder(connection: Connection) -> str:
    row = connection.execute(
        text(
            "SELECT a.pid, a.usename, COALESCE(a.client_addr::text, 'this machine'),"
            " a.backend_start"
            " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.objid = :key AND l.granted"
        ),
        {"key": _LOCK},
    ).first()
    if row is None:
        return "it has just ended; try again"
    pid, user, address, since = row
    return f"user {user} from {address} since {since:%Y-%m-%d %H:%M:%S %Z}, server process {pid}"


def _run(connection: Connection, number: Any) -> PublishedRun | None:
    columns = (Run.run_id, Run.run_number, Run.base_run, Run.ledger)
    row = connection.execute(select(*columns).where(Run.run_number == number)).first()
    return None if row is None else PublishedRun(*row)
