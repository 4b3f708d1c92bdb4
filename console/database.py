"""The database as the console has it: open to read, closed to write."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from schemas.engines import make_engine
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.views import views_are_current

STATEMENT_SECONDS = 30
"""For the first rows of an answer, and for each part after: a large file takes longer in all."""
_STEPS_BETWEEN_LOOKS = 100_000


class Database:
    """The views of the published run, for readers.

    SQLite is opened with `mode=ro`, PostgreSQL in read-only transactions; there the role should
    be one of `pinsphere db grant`, which may read the views and nothing else.
    """

    def __init__(self, home: Home) -> None:
        self._shown = home.shown_database_url
        self._file = _sqlite_file(home.database_url)
        self._engine = self._open_sqlite() if self._file else self._open_server(home)

    def close(self) -> None:
        """Gives connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One read transaction: all that is asked in it is answered from one run.

        Raises:
          SettingsError: there is no database, nobody answers, or its views are not this release's.
        """
        if self._file and not self._file.exists():
            raise SettingsError(f"there is no database at {self._file} yet; pinsphere run makes it")
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(self._engine.connect())
                stack.enter_context(connection.begin())
                self._check_views(connection)
            except (DBAPIError, sqlite3.Error) as error:
                raise SettingsError(self._reason(error)) from None
            yield connection

    def _reason(self, error: DBAPIError | sqlite3.Error) -> str:
        reason = str(error.orig if isinstance(error, DBAPIError) else error)
        way_out = ""
        if self._file and "readonly" in reason:
            # Even who only reads takes part in SQLite's log, by a file beside the database.
            way_out = "; SQLite wants to write beside it: a folder of the reader's own, with a copy"
        return f"cannot open the database {self._shown}: {reason}{way_out}"

    def _check_views(self, connection: Connection) -> None:
        if not inspect(connection).has_table("view_digest"):
            raise SettingsError(
                f"{self._shown} has no views that may be read here; pinsphere run makes them, and"
                " on PostgreSQL pinsphere db grant opens them to a role"
            )
        if not views_are_current(connection):
            raise SettingsError(
                f"{self._shown} has the views of another release; pinsphere db upgrade brings"
                " them to this one"
            )

    def _open_sqlite(self) -> Engine:
        # No pool: a database that was deleted and made anew is seen by the next page.
        engine = make_engine("sqlite://", self._shown, creator=self._connect, poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        return engine

    def _connect(self) -> sqlite3.Connection:
        assert self._file is not None  # noqa: S101 (for mypy: only such an engine connects so)
        connection = sqlite3.connect(
            f"file:{quote(str(self._file.absolute()))}?mode=ro",
            uri=True,
            isolation_level=None,  # the driver begins no transaction of its own for a SELECT
            check_same_thread=False,  # pages are built in threads, one after the other
            timeout=STATEMENT_SECONDS,
            factory=_TimedConnection,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _open_server(self, home: Home) -> Engine:
        engine = make_engine(
            home.database_url,
            self._shown,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
            pool_pre_ping=True,
        )
        event.listen(engine, "connect", _configure_server)
        return engine


class _TimedCursor(sqlite3.Cursor):
    """Ends what keeps its reader waiting, as PostgreSQL's statement_timeout does.

    Counted is each part that is asked for, not what the reader does in between.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        self._give_time()
        return super().execute(sql, parameters)

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        self._give_time()
        return super().fetchmany(size)

    def _give_time(self) -> None:
        deadline = time.monotonic() + STATEMENT_SECONDS
        self.connection.set_progress_handler(
            lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS
        )


class _TimedConnection(sqlite3.Connection):
    def cursor(self, factory: Any = _TimedCursor) -> Any:
        return super().cursor(factory)


def _sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for another database's, or for none's."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None  # make_engine says what is wrong
    if parsed.get_backend_name() != "sqlite":
        return None
    return Path(parsed.database or "")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _configure_server(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        cursor.execute("SET jit = off")  # to compile a page's questions takes longer than they do
        cursor.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000}")
    connection.commit()
