"""The Parquet ledger: right by itself, never half there, and answers that do without its rows."""

import datetime
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from pipelines.io import ledger, ledger_months, publish
from pipelines.io.database import open_database
from pipelines.io.ledger import settle_ledger
from pipelines.io.ledger_months import LEDGER_SCHEMA
from pipelines.io.runs import restore_run
from schemas.errors import AuditError
from schemas.events import AnyEvent, OrderItem, Pin, PinVisit, Purchase
from schemas.home import Home
from schemas.models import MODELS
from schemas.results import result_schema
from tests.integration.test_incremental_runs import EARLIER, SETTINGS, WORLD, fill, go, make_home
from tests.test_docs import PAGES, fences
from tests.world import simulate

QUARTER = simulate(11, visitors=6, days=80, sites=("acme",))


def rows(home: Home) -> list[dict[str, Any]]:
    """The ledger of the published run, as whoever has only the files reads it."""
    files = ds.dataset(home.ledger / "current", partitioning="hive", format="parquet")
    table = files.to_table(columns=LEDGER_SCHEMA.names)
    return sorted(table.to_pylist(), key=lambda row: str(list(row.values())))


def ask(home: Home, sql: str) -> list[tuple[Any, ...]]:
    """An answer of the database."""
    engine = open_database(home, must_exist=True)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql.replace(":", r"\:")))]
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def sql_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home directory of two runs, the second of which continued the first."""
    home = make_home(tmp_path_factory.mktemp("sql"))
    fill(home, WORLD.events[:EARLIER], "one")
    go(home)
    fill(home, WORLD.events[EARLIER:], "two")
    assert not go(home).is_full
    return home


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same events in one run, and its credits in the lake alone."""
    home = make_home(tmp_path_factory.mktemp("lake"))
    home.settings_file.write_text(f'ledger = "lake"\n{SETTINGS}')
    fill(home, WORLD.events, "all")
    go(home)
    return home


def test_the_ledger_is_the_table_of_credits(sql_home: Home) -> None:
    """Two books that differ are worse than none."""
    columns = result_schema("order_credits").names
    listed = ", ".join(columns)
    sql = f"SELECT {listed} FROM current_order_credits WHERE pin_id IS NOT NULL"

    found = [tuple(row[name] for name in columns) for row in rows(sql_home)]

    assert len(found) > 100
    assert Counter(found) == Counter(ask(sql_home, sql))


def test_an_updated_ledger_is_that_of_a_full_run(sql_home: Home, lake_home: Home) -> None:
    """Orders that move to another month, or find their buyer late, stand where they belong."""
    assert rows(sql_home) == rows(lake_home)
    assert files(sql_home).keys() == files(lake_home).keys()


def test_per_model_and_line_the_ledger_adds_up_to_net(lake_home: Home) -> None:
    """The first promise, held by the files alone."""
    net = {
        (order_id, line_id): micros
        for order_id, line_id, micros in ask(
            lake_home,
            "SELECT order_id, line_id, net_micros FROM current_order_lines WHERE is_credited",
        )
    }
    sums: Counter[tuple[object, ...]] = Counter()
    for row in rows(lake_home):
        sums[row["model"], row["order_id"], row["line_id"]] += row["credit_micros"]

    assert net
    assert {key: micros for key, micros in sums.items() if micros} == {
        (model, *line): micros for model in MODELS for line, micros in net.items() if micros
    }


def test_every_question_is_answered_without_credits_in_sql(sql_home: Home, lake_home: Home) -> None:
    """A shop that outgrows five million credits keeps its dashboards."""
    blocks = {sql for page in PAGES for sql in fences(page.read_text(), "sql")}
    # Of credits there are none in SQL, and two runs began at two times.
    own = ("current_order_credits", "FROM published_run", "FROM last_attempt")
    views = {sql for sql in blocks if not any(name in sql for name in own)}

    assert ask(lake_home, "SELECT COUNT(*) FROM current_order_credits") == [(0,)]
    assert len(views) > 20
    assert len(blocks - views) == len(own)
    for sql in views:
        mine, others = (ask(home, sql.replace("run_id,", "")) for home in (lake_home, sql_home))
        assert mine == others, sql


def files(home: Home) -> dict[str, Path]:
    """The files of the published run."""
    current = home.ledger / "current"
    return {os.fspath(path.relative_to(current)): path for path in current.glob("*/*.parquet")}


def inodes(home: Home) -> dict[str, int]:
    """Which file each month of the published run is."""
    return {place: path.stat().st_ino for place, path in files(home).items()}


def link(home: Home) -> str:
    """Which run's folder is the current one."""
    return os.fspath((home.ledger / "current").readlink())


def month(event: AnyEvent) -> str:
    """The UTC month of an event."""
    at = datetime.datetime.fromtimestamp(event.event_time_ms / 1000, datetime.UTC)
    return f"{at:%Y-%m}"


def without_last_order(events: Iterable[AnyEvent]) -> tuple[list[AnyEvent], list[AnyEvent]]:
    """All events but those of the order made last, and these."""
    orders = [event for event in events if isinstance(event, Purchase)]
    last = max(orders, key=lambda event: event.event_time_ms)
    news = [event for event in events if getattr(event, "order_id", None) == last.order_id]
    return [event for event in events if event not in news], news


def test_months_without_news_are_the_same_files(tmp_path: Path) -> None:
    """A shop's tenth year must not be written again each night."""
    home = make_home(tmp_path)
    old, news = without_last_order(QUARTER.events)
    fill(home, old, "old")
    go(home)
    before = inodes(home)
    fill(home, news, "news")

    assert not go(home).is_full

    after = inodes(home)
    changed = {place for place in after if after[place] != before.get(place)}
    assert len(after) >= 3
    assert changed <= {f"site=acme/month={month(event)}.parquet" for event in news}
    assert changed & before.keys()  # a month that goes on keeps the credits it had
    assert go(home, is_full=True).is_new
    assert not set(inodes(home).values()) & set(after.values())  # the control: written anew


def in_files(home: Home) -> dict[str, list[dict[str, Any]]]:
    """The rows of each file as they lie there."""
    own = (home.ledger / "current").resolve()
    return {
        file.relative_to(own).as_posix(): pq.ParquetFile(file).read().to_pylist()
        for file in own.glob("*/*.parquet")
    }


def at(hours: int) -> dict[str, Any]:
    """An envelope of acme at this hour of 2024; February begins at 744."""
    when = 1_704_067_200_000 + hours * 3_600_000
    return {"site_id": "acme", "event_time_ms": when, "received_time_ms": when}


def bought(order: str, hours: int) -> Purchase:
    """Bob's order, as the shop's server tells it."""
    return Purchase(
        event_id=f"{order}-{hours}", order_id=order, visitor_id="bob", currency="GBP",
        source="server", is_signed=True, items=[OrderItem(item_id="mug", price="10")], **at(hours),
    )  # fmt: skip


def test_an_order_that_moves_to_another_month_takes_its_credits_along(tmp_path: Path) -> None:
    """Its statement of January may be read after that of February; most credits stay the same."""
    home = make_home(tmp_path)
    story: list[AnyEvent] = [
        Pin(event_id="e1", pin_id="p", visitor_id="ann", item_id="mug", **at(700)),
        PinVisit(event_id="e2", pin_id="p", visitor_id="bob", **at(701)),
        *(bought(order, 744 + number) for number, order in enumerate(("a", "b", "c"))),
    ]
    fill(home, story, "story")
    go(home)
    fill(home, [bought("b", 743)], "news")

    assert not go(home).is_full

    updated = in_files(home)
    assert {row["order_id"] for row in updated["site=acme/month=2024-01.parquet"]} == {"b"}
    assert go(home, is_full=True).is_new
    assert updated == in_files(home)


def test_current_follows_the_database_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut right after the pointer moved: the next run repairs what was left."""
    home = make_home(tmp_path)
    fill(home, WORLD.events[:EARLIER], "one")
    go(home)
    fill(home, WORLD.events[EARLIER:], "two")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish, "settle_ledger", die)
        with pytest.raises(KeyboardInterrupt):
            go(home)
    assert link(home) == "run=1"
    (home.ledger / "run=9" / "site=acme").mkdir(parents=True)  # of a run that died earlier

    assert not go(home).is_new

    assert link(home) == "run=2"
    assert sorted(path.name for path in home.ledger.iterdir()) == ["current", "run=1", "run=2"]
    engine = open_database(home)
    restore_run(engine)
    settle_ledger(engine, home.ledger)
    engine.dispose()
    assert link(home) == "run=1"


def test_a_lost_ledger_costs_one_full_run(tmp_path: Path) -> None:
    """Deleted by mistake, or left behind when the home directory moved."""
    home = make_home(tmp_path)
    fill(home, WORLD.events[:EARLIER], "one")
    go(home)
    shutil.rmtree(home.ledger)
    fill(home, WORLD.events[EARLIER:], "two")

    assert go(home).is_full

    assert rows(home)


def test_a_ledger_that_does_not_add_up_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a row that is lost on its way into the files is found."""
    home = make_home(tmp_path)
    fill(home, WORLD.events, "all")
    honest = ledger_months.with_orders

    def lossy(*given: Any) -> Iterator[tuple[str, pa.Table]]:
        return ((place, rows[1:]) for place, rows in honest(*given))

    monkeypatch.setattr(ledger, "with_orders", lossy)

    with pytest.raises(AuditError, match=r"the ledger credits -?\d+ micros"):
        go(home)
    assert not (home.ledger / "current").exists()


@pytest.mark.parametrize("part", ["write_ledger", "audit"])
def test_files_and_tables_stand_or_fall_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """They are written side by side: where one fails, nobody may see the other."""
    home = make_home(tmp_path)
    fill(home, WORLD.events[:EARLIER], "one")
    go(home)
    fill(home, WORLD.events[EARLIER:], "two")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(publish, part, fail)
        with pytest.raises(AuditError, match="disk full"):
            go(home)

    assert link(home) == "run=1"
    assert ask(home, "SELECT run_number FROM current_run") == [(1,)]
    assert not (home.ledger / "run=2" / "_run.json").exists()
    assert go(home).is_new
    assert link(home) == "run=2"
