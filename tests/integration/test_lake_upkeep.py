"""Compaction and retention: fewer files with the same events, and no older days than agreed."""

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.flows.run import run
from pipelines.io import compact as compaction
from pipelines.io import lake
from pipelines.io.compact import Compacted, compact
from pipelines.io.drain import drain_spool
from pipelines.io.forget import rewrite_lake
from pipelines.io.import_events import import_events
from pipelines.io.lake import lake_files
from pipelines.io.retention import remove_expired
from pipelines.io.traces import Traces
from schemas.durable import DurableFolder
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.settings import Settings, parse_settings
from tests.erasing import DAY_MS, MONDAY_MS, PHONE, Shop, rows, story

TABLES = ("pins", "visits", "orders", "order_credits", "data_quality_daily", "pinner_spheres")
SITE = {"acme": {"key": "acme-public-key", "currency": "GBP"}}


def day(number: int) -> datetime.date:
    """The UTC date of a day of the story."""
    at = datetime.datetime.fromtimestamp(MONDAY_MS / 1000, datetime.UTC)
    return at.date() + datetime.timedelta(days=number)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A lake of many small files: each event came in a round of its own, one of them twice."""
    shop = Shop(tmp_path / "home")
    for event in [*story(), story()[1]]:
        shop.send(event)
        drain_spool(shop.home, shop.home.settings())
    yield shop
    shop.close()


def received(home: Home) -> list[str]:
    """Ids of all events in the lake, repeats included."""
    return sorted(
        event_id
        for file in lake_files(home)
        for event_id in pq.ParquetFile(file.path).read(["event_id"])["event_id"].to_pylist()
    )


def test_files_become_fewer_and_tables_stay_the_same(shop: Shop) -> None:
    """Repeats are counted as often as before."""
    run(shop.home, shards=1, code_version="test")
    before = [sorted(_rows(shop.home, table), key=str) for table in TABLES]
    files, events = len(lake_files(shop.home)), received(shop.home)

    done = compact(shop.home)

    assert done.after < done.before
    assert len(lake_files(shop.home)) == files - done.before + done.after
    assert received(shop.home) == events
    assert run(shop.home, shards=1, code_version="test").events == len(events)
    assert [sorted(_rows(shop.home, table), key=str) for table in TABLES] == before
    assert compact(shop.home) == Compacted(0, 0, 0)


def _rows(home: Home, table: str) -> list[tuple[Any, ...]]:
    columns = [row[1] for row in rows(home, f"PRAGMA table_info(current_{table})")]
    names = ", ".join(name for name in columns if not name.startswith(("run_id", "since_run")))
    return rows(home, f"SELECT {names} FROM current_{table}")


def test_today_is_left_alone(shop: Shop) -> None:
    """Its files are still being written."""
    assert compact(shop.home, day(0)) == Compacted(0, 0, 0)


def test_what_was_imported_is_left_alone(shop: Shop) -> None:
    """Importing a file again replaces what it wrote before, by name."""
    file = shop.home.path / "events.jsonl"
    for number in range(2):
        file.write_text(
            f'{{"event_name":"view_item","event_id":"i{number}","item_id":"mug",'
            f'"event_time_ms":{MONDAY_MS + 8 * DAY_MS}}}'
        )
        import_events(shop.home, [file], site="acme")

    compact(shop.home)

    names = [file.path.name for file in lake_files(shop.home)]
    assert sum(name.startswith("import-") for name in names) == 2


class KilledError(Exception):
    """As if the process ended here."""


def kill(*_: Any) -> None:
    raise KilledError


@pytest.mark.parametrize("step", ["place_table", "remove_replaced"])
def test_killed_at_any_step_no_event_is_lost_or_doubled(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The new file stands, the old ones are still there; or only half of them."""
    events = received(shop.home)
    with monkeypatch.context() as patch:
        patch.setattr(compaction, step, kill)
        with pytest.raises(KilledError):
            compact(shop.home)
    assert received(shop.home) == events

    merged_once(shop, monkeypatch)
    assert received(shop.home) == events

    compact(shop.home)
    assert received(shop.home) == events


def merged_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One day is merged; of its old files one is removed, then comes the kill."""
    removed: list[Path] = []

    def remove_one(_: DurableFolder, path: Path) -> None:
        if removed:
            raise KilledError
        path.unlink()
        removed.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(DurableFolder, "remove", remove_one)
        with pytest.raises(KilledError):
            compact(shop.home)
    assert any(path.name.startswith("compact-") for path in shop.home.lake.rglob("*.parquet"))


def test_the_control_that_does_not_say_what_it_replaces_doubles_events(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above can fail."""
    events = received(shop.home)
    monkeypatch.setattr(lake, "replaced_names", lambda _: [])

    merged_once_without_removing(shop, monkeypatch)

    assert len(received(shop.home)) > len(events)


def merged_once_without_removing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "remove_replaced", lambda *_: None)
    compact(shop.home)


def test_a_file_that_was_merged_and_comes_back_is_not_counted(shop: Shop) -> None:
    """A drain whose checkpoint was lost writes the same rows under the same name."""
    merged = next(file for file in lake_files(shop.home) if file.event_name == "pin_visit")
    content = merged.path.read_bytes()
    compact(shop.home)
    shop.send({**story()[1], "event_id": "later"})
    drain_spool(shop.home, shop.home.settings())
    compact(shop.home)
    events = received(shop.home)

    merged.path.write_bytes(content)

    assert received(shop.home) == events
    compact(shop.home)
    assert not merged.path.exists()


def test_an_erased_compacted_file_still_says_what_it_replaces(shop: Shop) -> None:
    """Else a file that a kill left would count again, names and all."""
    compact(shop.home)
    before = {
        file.path.name: lake.replaced_names(file.path)
        for file in lake_files(shop.home)
        if file.path.name.startswith("compact-")
    }

    assert rewrite_lake(shop.home, {"acme": Traces(visitors={PHONE})})["lake_files"]

    for file in lake_files(shop.home):
        if file.path.name in before:
            assert lake.replaced_names(file.path) == before[file.path.name]


def settings(**retention: float) -> Settings:
    return parse_settings({"sites": SITE, "retention": retention})


def test_whole_days_go_once_they_are_older_than_agreed(shop: Shop) -> None:
    """An event is kept for so many full days at least."""
    dates = {file.date for file in lake_files(shop.home) if file.event_name == "pin_visit"}
    assert str(day(1)) in dates

    kept = remove_expired(shop.home, settings(pin_visit=30, pin=30), day(31))
    gone = remove_expired(shop.home, settings(pin_visit=30), day(32))

    assert kept == {"pin": 1}
    assert gone == {"pin_visit": 1}
    left = {file.date for file in lake_files(shop.home) if file.event_name == "pin_visit"}
    assert left == dates - {str(day(1))}


def test_quarantine_goes_with_its_messages(shop: Shop) -> None:
    """It holds people's words as they came."""
    shop.refuse("{}", "old")
    messages = shop.home.quarantine / "messages"
    messages.mkdir()
    (messages / "whole").write_bytes(b"")
    long_after = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=400)

    assert remove_expired(shop.home, settings(quarantine=90), long_after) == {"quarantine": 2}
    assert not any(path.is_file() for path in shop.home.quarantine.rglob("*"))


@pytest.mark.parametrize(
    ("retention", "told"),
    [
        ({"purchases": 400}, "'purchases' is no event name"),
        ({"erase": 400}, "'erase' is no event name"),
        ({"pin_visit": 29}, "shorter than the longest credit window, window_days = 30"),
        ({"touch": 0}, "Expected `float` > 0"),
    ],
)
def test_a_retention_that_would_cost_credit_is_refused(
    retention: dict[str, float], told: str
) -> None:
    """Before anything is gone."""
    with pytest.raises(SettingsError, match=told.replace("`", ".")):
        settings(**retention)


def test_a_run_applies_it_and_says_so(shop: Shop) -> None:
    """Nobody has to remember it."""
    toml = shop.home.settings_file
    toml.write_text("retention.view_item = 1\n" + toml.read_text())
    shutil.rmtree(shop.home.spool)

    report = run(shop.home, shards=1, code_version="test")

    assert report.expired == {"view_item": 1}
    assert not any(file.event_name == "view_item" for file in lake_files(shop.home))
