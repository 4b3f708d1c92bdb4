"""The console's handle on the database: it reads one run, and can write nothing."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, select, text
from sqlalchemy.exc import DBAPIError
from starlette.testclient import TestClient

from console import database as console_database
from console.app import build_app
from console.database import Database
from console.guard import Door
from console.reading import read
from pipelines.io.database import open_database, upgrade_database
from pipelines.io.runs import PublishedRun, show_run, shown_run
from schemas.home import Home
from schemas.tables import Run
from tests.console.conftest import BOTH

WRITES = (
    "DELETE FROM pins",
    "UPDATE current_run SET run_number = 0",
    "INSERT INTO erasures (site_id) VALUES ('x')",
    "DROP VIEW current_pins",
    "CREATE TABLE mine (x int)",
)
COUNTING = """
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n {}) SELECT COUNT(*) FROM n"""
SETTINGS = (
    '{"sites": {"acme": {"currency": "GBP", "time_zone": "Europe/London", "window_days": 30.0,'
    ' "half_life_days": 7.0}}}'
)


@pytest.fixture(params=BOTH)
def owned(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Home, Engine]]:
    """A home as its owner has it, who may do everything, and a writer's engine on it."""
    known: Home = request.getfixturevalue("known_home")
    if request.param == "postgresql":
        _, url = request.getfixturevalue("postgres_home")
        monkeypatch.setenv("DATABASE_URL", url.replace("reader@", "pinsphere@"))
    for file in known.path.glob("pinsphere.db*"):
        shutil.copy(file, tmp_path)
    engine = open_database(Home(tmp_path), must_exist=True)
    yield Home(tmp_path), engine
    engine.dispose()


@contextlib.contextmanager
def reading(home: Home) -> Iterator[Connection]:
    """A snapshot as a page has it."""
    with contextlib.closing(Database(home)) as database, database.snapshot() as connection:
        yield connection


@pytest.mark.parametrize("sql", WRITES)
def test_nothing_can_be_written_through_the_consoles_handle(owned, sql):
    """Even as the owner of all tables, and were there a hole in a page."""
    home, _ = owned

    with pytest.raises(DBAPIError, match=r"read-?only"), reading(home) as connection:
        connection.execute(text(sql))


def test_the_control_a_writer_can(owned):
    """A statement that fails for everybody would prove nothing."""
    _, engine = owned

    with engine.connect() as connection:
        assert connection.execute(text("DELETE FROM pins")).rowcount > 0
        connection.rollback()


class Clock:
    """Each look at it costs 10 ms, so that a question's time is its steps, not the machine's."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.01
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all statements from here on, which may take half a second each."""
    clock = Clock()
    monkeypatch.setattr(console_database, "time", clock)
    monkeypatch.setattr(console_database, "STATEMENT_SECONDS", 0.5)
    return clock


def test_each_statement_has_time_of_its_own(empty, clock):
    """The report of a large shop asks for longer than one question may take."""
    home, _ = empty

    with reading(home) as connection:
        clock.now += 0.6
        assert connection.execute(text(COUNTING.format("WHERE i < 20000"))).scalar() == 20_000
        with pytest.raises(DBAPIError, match="interrupted"):
            connection.execute(text(COUNTING.format("")))


def test_each_part_of_an_answer_has_time_of_its_own(empty, clock):
    """A large file is written while it is read; that is no reason to break it off."""
    home, _ = empty
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with reading(home) as connection:
        parts = connection.execute(text(endless)).partitions(20_000)
        assert len(next(parts)) == 20_000
        clock.now += 0.6
        assert next(parts)[-1][0] == 40_000
        parts = connection.execute(text(f"{endless} WHERE i < 2")).partitions(20_000)
        with pytest.raises(DBAPIError, match="interrupted"):
            next(parts)


def test_a_page_sees_one_run_while_another_is_published(owned):
    """Pins of one run beside revenue of the next would be a page that never was true."""
    home, engine = owned

    with reading(home) as connection:
        published, _, ask = read(connection, {})
        before = ask("overview_pins")
        with publishing(engine):
            assert read(connection, {}).published == published
            assert ask("overview_pins") == before
            assert before[0]["pins"] > 0
            with reading(home) as later:
                now, _, ask_later = read(later, {})
                assert now.run_id == "next"
                assert ask_later("overview_pins")[0]["pins"] == 0


@contextlib.contextmanager
def publishing(engine: Engine) -> Iterator[None]:
    """Publishes a run of which no row is there, until the block ends."""
    with engine.begin() as connection:
        run = shown_run(connection)
        assert run is not None
        values = dict(connection.execute(select(Run.__table__)).mappings().one())
        number = run.run_number + 1
        values |= {"run_number": number, "base_run": number, "run_id": "next"}
        connection.execute(insert(Run), values)
        show_run(connection, PublishedRun("next", number, number, run.ledger))
    yield
    with engine.begin() as connection:
        show_run(connection, run)
        connection.execute(text("DELETE FROM runs WHERE run_id = 'next'"))


def page(home: Home, path: str = "/") -> tuple[int, str]:
    """The overview, or another answer."""
    with TestClient(build_app(home, Door()), base_url="http://localhost") as client:
        answer = client.get(path)
        return answer.status_code, answer.text


def test_without_a_database_the_page_says_what_to_do(tmp_path):
    """The first look is before the first run, more often than not."""
    status, text_shown = page(Home(tmp_path))

    assert status == 503
    assert "pinsphere run makes it" in text_shown
    assert not (tmp_path / "pinsphere.db").exists()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[tuple[Home, Engine]]:
    """A database with tables and nothing in them."""
    engine = open_database(Home(tmp_path))
    upgrade_database(engine)
    yield Home(tmp_path), engine
    engine.dispose()


def test_without_a_run_the_page_says_what_to_do(empty):
    """Tables are there, and nothing is published."""
    status, text_shown = page(empty[0])

    assert status == 200
    assert "No run is published yet: pinsphere run makes one" in text_shown


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet", ".sql"])
def test_without_a_run_there_is_no_file(empty, suffix):
    """A job that fetches each night would load a page as the shop's rows."""
    status, text_shown = page(empty[0], f"/rows/overview_sales{suffix}")

    assert status == 404
    assert "No run is published yet" in text_shown


def test_of_a_site_without_events_the_page_says_what_to_do(empty):
    """The snippet is what is missing, nothing in the console."""
    home, engine = empty
    values = {column.name: 1 for column in Run.__table__.columns} | {
        "run_id": "first", "code_version": "1", "input_digest": "", "settings_digest": "",
        "settings": SETTINGS, "counts": "{}", "invariants": "{}", "ledger": "sql", "is_full": True,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(Run), values)
        show_run(connection, PublishedRun("first", 1, 1, "sql"))

    status, text_shown = page(home)

    assert status == 200
    assert "No events of acme yet." in text_shown
    assert "pinsphere snippet --site acme" in text_shown


def test_views_of_another_release_are_told_of(empty):
    """A column that is missing would be a riddle."""
    home, engine = empty
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW view_digest"))
        connection.execute(text("CREATE VIEW view_digest AS SELECT 'older' AS digest"))

    status, text_shown = page(home)

    assert status == 503
    assert "pinsphere db upgrade" in text_shown


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path, monkeypatch):
    """A read-only volume is a fine idea, and SQLite's log says no to it."""
    (tmp_path / "pinsphere.db").write_bytes(b"no database" * 1000)
    _, foreign = page(Home(tmp_path))
    monkeypatch.setattr(Database, "_check_views", refuse_to_write)

    assert "file is not a database" in foreign
    assert "a folder of the reader&#39;s own, with a copy" in page(Home(tmp_path))[1]


def refuse_to_write(_self: Database, _connection: Connection) -> None:
    """What SQLite says where it may not make its log."""
    raise sqlite3.OperationalError("attempt to write a readonly database")
