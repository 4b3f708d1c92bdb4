"""The known shop's home, built once, and a console on it: on SQLite, and as a PostgreSQL role."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from console.app import build_app
from console.database import Database
from console.guard import Door
from console.reading import Reading, read
from pipelines.io.database import open_database
from pipelines.io.roles import grant_views
from schemas.home import Home
from tests import services
from tests.console.known_answers import Read
from tests.known_home import copy_tables, shared_home

BOTH = [
    pytest.param("sqlite", marks=pytest.mark.flow),
    pytest.param("postgresql", marks=pytest.mark.integration),
]


@pytest.fixture(scope="session")
def known_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The known shop, published in SQLite; shared by all processes of a test run: only read it."""
    return shared_home(tmp_path_factory)


@pytest.fixture(scope="session")
def postgres_home(known_home: Home) -> Iterator[tuple[Home, str]]:
    """The same home, and the URL of a PostgreSQL with the same run, by a role that only reads."""
    if services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with services.run_postgres() as url, pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", url)
        engine = open_database(known_home)
        environment.delenv("DATABASE_URL")
        copy_tables(known_home, engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE ROLE reader LOGIN"))
        grant_views(engine, "reader")
        engine.dispose()
        yield known_home, url.replace("pinsphere@", "reader@")


@pytest.fixture(scope="module", params=BOTH)  # DATABASE_URL must not outlive it
def console_home(request: pytest.FixtureRequest) -> Iterator[Home]:
    """The home, with DATABASE_URL set as the console of each database would have it."""
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "sqlite":
            yield request.getfixturevalue("known_home")
            return
        home, url = request.getfixturevalue("postgres_home")
        environment.setenv("DATABASE_URL", url)
        yield home


@pytest.fixture(scope="module")
def console(console_home: Home) -> Iterator[TestClient]:
    """A reader of the console, on either database."""
    with TestClient(build_app(console_home, Door()), base_url="http://localhost") as client:
        yield client


@pytest.fixture
def reading(console_home: Home) -> Iterator[Read]:
    """Reads with the parameters it is given, on either database; for pages without their HTML."""
    database = Database(console_home)
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(database.close)

        def open_reading(**given: str) -> Reading:
            return read(open_ones.enter_context(database.snapshot()), given)

        yield open_reading
