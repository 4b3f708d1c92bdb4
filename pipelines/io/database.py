"""The database: engine and migrations."""

import sqlite3
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, inspect
from sqlalchemy.exc import DBAPIError

import schemas.migrations
from pipelines.io.roles import grant, view_readers
from schemas.engines import make_engine
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.views import create_views, drop_views, views_are_current

_BUSY_SECONDS = 30


def open_database(home: Home, *, must_exist: bool = False) -> Engine:
    """An engine on the home directory's database (`DATABASE_URL`, else embedded SQLite).

    Args:
      home: the home directory.
      must_exist: make neither folder nor file, and refuse a database without our tables.

    Raises:
      SettingsError: the URL is none, nobody answers there, or what answers is no database.
    """
    shown = home.shown_database_url
    engine = make_engine(home.database_url, shown)
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and must_exist and not Path(file).exists():
        raise SettingsError(f"no database at {file}; pinsphere run makes one")
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.connect() as connection:
            if must_exist and not inspect(connection).has_table("current_run"):
                raise SettingsError(f"{shown} has no tables of ours; pinsphere run makes them")
    except (DBAPIError, sqlite3.Error) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise SettingsError(f"cannot open the database {shown}: {reason}") from None
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Python's driver would leave CREATE and DROP outside transactions: begin them ourselves.
    connection.isolation_level = None
    # Readers go on while a run is being written.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA cache_size = -131072")  # 128 MiB: staging fills B-trees
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def upgrade_database(engine: Engine) -> None:
    """Brings tables and views to this release, in one transaction; idle when they are there."""
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        # Making views anew would wait for every reader: only when there is news.
        if current == newest_revision() and views_are_current(connection):
            return
        readers = view_readers(connection)
        drop_views(connection)
        alembic.command.upgrade(alembic_config(connection), "head")
        create_views(connection)
        for role in readers:
            grant(connection, role)


def downgrade_database(engine: Engine, revision: str) -> None:
    """Takes migrations back to a revision; no views are left, since they need the newest tables."""
    with engine.begin() as connection:
        drop_views(connection)
        alembic.command.downgrade(alembic_config(connection), revision)


def newest_revision() -> str | None:
    """The last migration of this release: it says which tables there are to fill."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def alembic_config(connection: Connection) -> alembic.config.Config:
    """Alembic's configuration for one open connection."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(schemas.migrations.__file__).parent))
    return config
