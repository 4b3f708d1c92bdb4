"""`pinsphere db vacuum` and `pinsphere db grant`: room given back, and a role that only reads."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from pipelines.io.database import open_database, upgrade_database
from pipelines.io.roles import grant_views
from pipelines.io.vacuum import vacuum
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.tables import Base
from schemas.views import create_views, view_definitions
from tests.integration.publishing import attribute, contents, fill, happened, shown

READER = "merchandiser"
REFUSALS = ("permission denied", "must be owner", "cannot delete from view")


def test_vacuum_gives_room_back_and_keeps_what_is_shown(home: Home) -> None:
    """Who lowers `keep_runs` wants the disk back, and today's figures as they are."""
    fill(home, happened(12))
    for _ in range(2):
        attribute(home, is_full=True)
    engine = open_database(home)
    before, run = contents(engine), shown(engine)

    freed = vacuum(engine, home.ledger, keep=1)

    assert (contents(engine), shown(engine)) == (before, run)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT run_number FROM runs")).all() == [2]
        assert connection.scalar(text("SELECT MIN(base_run) FROM orders")) == 2
    assert sorted(path.name for path in home.ledger.iterdir()) == ["current", "run=2"]
    if engine.dialect.name == "sqlite":  # the other one uses its room again
        assert freed > 100_000
    engine.dispose()


@pytest.fixture
def reader(home: Home) -> Iterator[Engine]:
    """A login on a database with tables, and no rights of ours yet."""
    engine = open_database(home)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {READER} LOGIN"))
    login = create_engine(make_url(home.database_url).set(username=READER))
    yield login
    login.dispose()
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {READER}"))
        connection.execute(text(f"DROP ROLE {READER}"))
    engine.dispose()


def refused(reader: Engine, statement: str) -> bool:
    """Whether the database denies a statement to the reader."""
    try:
        with reader.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError as error:
        return any(reason in str(error) for reason in REFUSALS)
    return False


postgres_only = pytest.mark.parametrize("home", ["postgresql"], indirect=True)


@postgres_only
def test_a_reader_reads_every_view_and_no_table_and_writes_nothing(
    reader: Engine, home: Home
) -> None:
    """A dashboard's password ends up in many places."""
    engine = open_database(home)
    views = view_definitions("postgresql")
    assert all(refused(reader, f"SELECT * FROM {view}") for view in views)  # the control

    grant_views(engine, READER)

    assert not any(refused(reader, f"SELECT * FROM {view}") for view in views)
    for table in [*Base.metadata.tables, "alembic_version"]:
        assert refused(reader, f"SELECT * FROM {table}"), table
        assert refused(reader, f"DELETE FROM {table}"), table
    assert refused(reader, "DELETE FROM current_pins")
    assert refused(reader, "DROP VIEW current_pins")
    assert refused(reader, "CREATE TABLE mine (id int)")
    engine.dispose()


@postgres_only
def test_an_upgrade_keeps_the_readers(reader: Engine, home: Home) -> None:
    """Views made anew would lock every dashboard out, in the night of an upgrade."""
    engine = open_database(home)
    grant_views(engine, READER)
    with engine.begin() as connection:
        connection.execute(text("CREATE OR REPLACE VIEW view_digest AS SELECT 'older' AS digest"))

    upgrade_database(engine)

    assert not refused(reader, "SELECT * FROM revenue_by_pinner")
    with engine.begin() as connection:
        create_views(connection)
    assert refused(reader, "SELECT * FROM revenue_by_pinner")  # the control: made without it
    engine.dispose()


def test_a_role_that_is_not_there_is_named(home: Home) -> None:
    """It makes nothing but grants; on SQLite there is nobody to grant to."""
    engine = open_database(home)
    wanted = "no role 'nobody'" if engine.dialect.name == "postgresql" else "SQLite has no roles"

    with pytest.raises(SettingsError, match=wanted):
        grant_views(engine, "nobody")
    engine.dispose()
