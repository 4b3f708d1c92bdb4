"""What other tools are told of the views: all of them, as they are, and nothing that is not."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.io.database import open_database, upgrade_database
from schemas.catalogs import about_views, datasette_metadata, dbt_sources
from schemas.home import Home
from schemas.questions import QUESTIONS
from schemas.views import view_definitions
from tests.test_docs import QUERIES, ROOT

DBT, DATASETTE = ROOT / "docs" / "dbt" / "sources.yml", ROOT / "docs" / "datasette" / "metadata.yml"
BI = (ROOT / "docs" / "bi.md").read_text()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """An empty database, opened as Datasette opens it."""
    home = Home(tmp_path_factory.mktemp("bi"))
    engine = open_database(home)
    upgrade_database(engine)
    engine.dispose()
    connection = sqlite3.connect(f"file:{home.path / 'pinsphere.db'}?mode=ro", uri=True)
    yield connection
    connection.close()


def columns_of(database: sqlite3.Connection, view: str) -> list[str]:
    return [name for name, *_ in database.execute(f"SELECT * FROM {view}").description]


@pytest.mark.parametrize(("file", "write"), [(DBT, dbt_sources), (DATASETTE, datasette_metadata)])
def test_the_catalogs_are_up_to_date(file: Path, write: Any) -> None:
    """`make docs` mends it."""
    assert file.read_text() == write(QUERIES)


def test_every_view_and_column_is_described(database: sqlite3.Connection) -> None:
    """A column of which a tool knows the name alone is one that somebody adds up wrongly."""
    about = about_views(QUERIES)

    assert about.keys() == view_definitions("sqlite").keys() - {"view_digest"}
    for view, (says, columns) in about.items():
        assert sorted(columns) == sorted(columns_of(database, view)), view
        for text in (says, *columns.values()):
            assert text, view
            assert not any(mark in text for mark in ("](", "**", "\n")), text


def test_a_key_is_told_of_by_itself() -> None:
    """Of pinner_id, dbt and Datasette said: whose credit, under which model."""
    about = about_views(QUERIES)

    assert about["revenue_by_pinner"].columns["pinner_id"] == "Pinner"
    assert about["revenue_by_slot"].columns["item_list_id"] == "Slot (recommendation list)"


def test_dbt_reads_what_is_meant() -> None:
    """A source for each view, each column with its words; quotes and per cents do no harm."""
    (source,) = yaml.safe_load(DBT.read_text())["sources"]

    found = {
        table["name"]: (
            table["description"],
            {column["name"]: column["description"] for column in table["columns"]},
        )
        for table in source["tables"]
    }
    assert source["name"] == "pinsphere"
    assert found == {view: tuple(about) for view, about in about_views(QUERIES).items()}


def test_datasette_shows_views_and_asks_the_questions(database: sqlite3.Connection) -> None:
    """Tables are hidden and closed, each canned question runs for the site that is asked for."""
    told = yaml.safe_load(DATASETTE.read_text())["databases"]["pinsphere"]
    names = {
        name: kind for name, kind in database.execute("SELECT name, type FROM sqlite_master")
        if kind in {"table", "view"}
    }  # fmt: skip

    hidden = {name for name, about in told["tables"].items() if about.get("hidden")}
    closed = {name for name, about in told["tables"].items() if about.get("allow") is False}
    assert {name for name, kind in names.items() if kind == "table"} <= hidden
    assert closed == hidden
    assert names.keys() - hidden == about_views(QUERIES).keys()
    assert [query["title"] for query in told["queries"].values()] == [q.title for q in QUESTIONS]
    for query in told["queries"].values():
        database.execute(query["sql"], {"site": "acme"})


def test_the_page_names_views_that_there_are() -> None:
    """Who types a name from the page finds it."""
    table = BI.partition("## Which views")[2].partition("##")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")][1:]
    named = {name.strip("` ") for row in rows for name in row.split(",")}

    assert len(named) > 18
    assert named <= view_definitions("sqlite").keys()
