"""Erasure where the tables lie in PostgreSQL: its dump holds no id either."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from pipelines.flows.erase import erase
from pipelines.flows.run import run
from pipelines.io import erasures
from pipelines.io.database import open_database
from pipelines.io.erasures import Subject
from schemas.home import Home
from tests import services
from tests.erasing import CLEO, MONDAY_MS, NAMES, Shop, places, story
from tests.made_tables import make_database

STATISTICS = "SELECT string_agg(s::text, '') FROM pg_stats s WHERE schemaname = 'public'"


def dump(home: Home) -> bytes:
    """All that a backup of the database holds, and what its planner remembers."""
    binaries = services.find_postgres()
    assert binaries is not None
    database = make_url(home.database_url)
    options = ["-h", str(database.query["host"]), "-U", "pinsphere", str(database.database)]
    return subprocess.run(
        [str(binaries / "pg_dump"), *options], check=True, capture_output=True
    ).stdout


@pytest.fixture
def shop(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two runs of a shop in a PostgreSQL."""
    monkeypatch.setenv("DATABASE_URL", make_database(postgres_url, "shop"))
    shop = Shop(tmp_path / "home")
    for events in (story()[:9], story()[9:]):
        shop.send(*events)
        run(shop.home, shards=1, code_version="test")
    yield shop
    shop.close()


def statistics(home: Home) -> bytes:
    engine = open_database(home)
    with engine.begin() as connection:
        said = str(connection.scalar(text(STATISTICS)))
    engine.dispose()
    return said.encode()


def analyze(home: Home) -> None:
    engine = open_database(home)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def go(shop: Shop) -> None:
    erase(shop.home, [Subject("acme", "customer", CLEO, "request", MONDAY_MS)], code_version="test")


def test_no_table_dump_or_statistic_holds_her_ids(shop: Shop) -> None:
    """A backup taken tomorrow must not bring her back."""
    analyze(shop.home)
    assert places(shop.home, NAMES, [dump(shop.home), statistics(shop.home)])[0] == "dump"

    go(shop)

    assert places(shop.home, NAMES, [dump(shop.home), statistics(shop.home)]) == []


def test_the_control_that_keeps_earlier_runs_is_found_out(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the search would find her."""
    monkeypatch.setattr(erasures, "forget_runs", lambda *_, **__: None)

    go(shop)

    assert places(shop.home, NAMES, [dump(shop.home)]) == ["dump"]
