"""The database: engine, migrations, and the checks that guard published rows."""

import sqlite3
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

import schemas.migrations
from schemas.errors import SettingsError
from schemas.settings import Home
from schemas.views import create_views, drop_views, views_are_current

_BUSY_SECONDS = 30


def open_database(home: Home) -> Engine:
    """An engine on the home directory's database (`DATABASE_URL`, else embedded SQLite).

    Raises:
      SettingsError: the URL is none, or nobody answers there.
    """
    url = home.database_url
    try:
        engine = create_engine(url)
        if engine.dialect.name == "sqlite" and engine.url.database:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        with engine.connect():
            return engine
    except ArgumentError as error:
        raise SettingsError(f"DATABASE_URL {url!r} is not a database URL: {error}") from None
    except OperationalError as error:
        shown = make_url(url).render_as_string(hide_password=True)
        raise SettingsError(f"cannot open the database {shown}: {error.orig}") from None


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
        config = alembic_config(connection)
        head = ScriptDirectory.from_config(config).get_current_head()
        current = MigrationContext.configure(connection).get_current_revision()
        # Making views anew would wait for every reader: only when there is news.
        if current == head and views_are_current(connection):
            return
        drop_views(connection)
        alembic.command.upgrade(config, "head")
        create_views(connection)


def downgrade_database(engine: Engine, revision: str) -> None:
    """Takes migrations back to a revision; no views are left, since they need the newest tables."""
    with engine.begin() as connection:
        drop_views(connection)
        alembic.command.downgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> alembic.config.Config:
    """Alembic's configuration for one open connection."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(schemas.migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


# Each finds rows that must not exist; `:run` is the run.
CHECKS = {
    "per model and line, credits + unattributed = net": """
        SELECT l.site_id, l.order_id, l.line_id, c.model, c.credit_micros, l.net_micros
        FROM order_lines l LEFT JOIN (
          SELECT run_id, site_id, order_id, line_id, model, SUM(credit_micros) AS credit_micros
          FROM order_credits WHERE run_id = :run
          GROUP BY run_id, site_id, order_id, line_id, model
        ) c ON c.run_id = l.run_id AND c.site_id = l.site_id AND c.order_id = l.order_id
          AND c.line_id = l.line_id
        WHERE l.run_id = :run AND l.net_micros <> COALESCE(c.credit_micros, 0)""",
    "an order is the sum of its lines": """
        SELECT o.site_id, o.order_id, o.net_micros, l.net_micros
        FROM orders o LEFT JOIN (
          SELECT run_id, site_id, order_id, SUM(net_micros) AS net_micros
          FROM order_lines WHERE run_id = :run GROUP BY run_id, site_id, order_id
        ) l ON l.run_id = o.run_id AND l.site_id = o.site_id AND l.order_id = o.order_id
        WHERE o.run_id = :run AND o.net_micros <> COALESCE(l.net_micros, 0)""",
    "per model and site, credits + unattributed = net of all orders": """
        SELECT o.site_id, m.model, o.net_micros, c.credit_micros
        FROM (SELECT site_id, SUM(net_micros) AS net_micros FROM orders
              WHERE run_id = :run GROUP BY site_id) o
        CROSS JOIN (SELECT DISTINCT model FROM order_credits WHERE run_id = :run) m
        LEFT JOIN (SELECT site_id, model, SUM(credit_micros) AS credit_micros
                   FROM order_credits WHERE run_id = :run GROUP BY site_id, model
        ) c ON c.site_id = o.site_id AND c.model = m.model
        WHERE o.net_micros <> COALESCE(c.credit_micros, 0)""",
    "pinners' credit is the credit of their pins": """
        SELECT s.site_id, s.pinner_id, s.credited_micros, c.credit_micros
        FROM pinner_spheres s LEFT JOIN (
          SELECT site_id, pinner_id, SUM(credit_micros) AS credit_micros FROM order_credits
          WHERE run_id = :run AND model = 'time_decay' AND pinner_id IS NOT NULL
          GROUP BY site_id, pinner_id
        ) c ON c.site_id = s.site_id AND c.pinner_id = s.pinner_id
        WHERE s.run_id = :run AND s.credited_micros <> COALESCE(c.credit_micros, 0)""",
}


def broken_invariants(connection: Connection, run_id: str) -> list[str]:
    """What a staged or published run breaks, each with one row that shows it."""
    broken = []
    for promise, query in CHECKS.items():
        row = connection.execute(text(f"{query} LIMIT 1"), {"run": run_id}).first()
        if row is not None:
            broken.append(f"{promise}; broken by {tuple(row)}")
    return broken
