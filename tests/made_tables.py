"""Databases with all tables and views and no row: a copy costs a tenth of the migrations.

That these make them is shown by `tests/integration/test_migrations.py`, and by every test that
begins without a database.
"""

import functools
import tempfile
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from pipelines.io.database import open_database, upgrade_database
from schemas.home import Home
from schemas.tables import Base
from schemas.views import drop_views

_TEMPLATE = "made_tables"


def make_tables(home: Home) -> None:
    """Puts an embedded database into a home directory, over any that is there."""
    (home.path / "pinsphere.db").write_bytes(_file())


def make_database(server: str, name: str) -> str:
    """Makes a database of this name anew; gives its URL.

    Args:
      server: URL of any database of the PostgreSQL server.
      name: what it is called; whoever is still connected to an older one is cut off.
    """
    _make_template(server)
    _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    return _of(server, name)


def drop_tables(home: Home) -> None:
    """Leaves a home directory's database without any table."""
    engine = open_database(home)
    with engine.begin() as connection:
        drop_views(connection)
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


@functools.cache
def _file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _upgrade(open_database(Home(folder)))
        return Path(folder, "pinsphere.db").read_bytes()


@functools.cache
def _make_template(server: str) -> None:
    _execute(server, f"CREATE DATABASE {_TEMPLATE}")
    _upgrade(create_engine(_of(server, _TEMPLATE)))


def _upgrade(engine: Engine) -> None:
    upgrade_database(engine)
    engine.dispose()


def _of(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _execute(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
