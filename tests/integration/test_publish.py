"""Publishing on real databases: audited, all or nothing, and the same rows again."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from pipelines.flows.run import run
from pipelines.io import staging
from pipelines.io.database import (
    open_database,
)
from pipelines.io.quarantine import write_rejects
from pipelines.io.runs import restore_run
from schemas.errors import AuditError, LakeError
from schemas.home import Home
from schemas.spool import Reject
from schemas.tables import RESULTS
from tests.integration.publishing import SETTINGS, attribute, contents, fill, happened, shown
from tests.made_tables import drop_tables


def test_deleted_tables_come_back_the_same(home: Home) -> None:
    """Everything is a function of the lake: a lost database costs one run."""
    fill(home, happened(1))
    assert attribute(home).is_new
    engine = open_database(home)
    before = contents(engine)
    assert all(before[name] for name in ("pins", "order_credits", "pinner_spheres", "item_daily"))
    drop_tables(home)

    assert attribute(home).is_new

    assert contents(engine) == before
    engine.dispose()


def test_running_again_changes_nothing(home: Home) -> None:
    """A cron job that finds no news leaves the run that is there."""
    fill(home, happened(2))
    first = attribute(home)

    again = attribute(home)

    assert (first.is_new, again.is_new) == (True, False)
    assert again.run_id == first.run_id


def test_events_in_several_runs_end_at_the_same_tables(home: Home, tmp_path: Path) -> None:
    """It does not matter whether a shop runs hourly or once a month."""
    events = happened(3)
    third = len(events) // 3
    for number in range(3):
        part = events[number * third : (number + 1) * third if number < 2 else None]
        fill(home, part, f"part-{number}")
        attribute(home)
    engine = open_database(home)
    stepwise = contents(engine)

    for file in home.lake.glob("**/*.parquet"):
        file.unlink()
    fill(home, events)
    attribute(home)

    assert contents(engine) == stepwise
    engine.dispose()


def test_a_run_that_breaks_an_invariant_is_not_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that loses a micro must not reach a merchandiser."""
    events = happened(4)
    fill(home, events[:-1], "one")
    good = attribute(home).run_id
    fill(home, events[-1:], "two")

    def lose_a_micro(connection: Any, table: str, rows: pa.Table, runs: Any) -> None:
        if table == "order_lines":
            place = rows.schema.get_field_index("net_micros")
            less = pc.subtract(rows["net_micros"], 1)
            rows = rows.set_column(place, rows.schema.field(place), less)
        honest(connection, table, rows, runs)

    honest = staging.fill
    monkeypatch.setattr(staging, "fill", lose_a_micro)
    with pytest.raises(AuditError, match="is the sum of its lines"):
        run(home, code_version="test", shards=2, is_full=True)

    engine = open_database(home)
    assert shown(engine).run_id == good
    engine.dispose()


def test_the_last_run_can_be_brought_back(home: Home) -> None:
    """A merchandiser who doubts today's figures sees yesterday's again."""
    events = happened(5)
    fill(home, events[: len(events) // 2], "one")
    first = attribute(home).run_id
    engine = open_database(home)
    before = contents(engine)
    fill(home, events[len(events) // 2 :], "two")
    second = attribute(home).run_id

    assert restore_run(engine) == first

    assert contents(engine) == before
    assert second != first
    engine.dispose()


def test_what_was_quarantined_is_counted_and_told_once(home: Home) -> None:
    """A retailer sees in SQL what her pages or files got wrong, however often it was drained."""
    reject = Reject(
        reject_id="r1", site_id="acme", received_time_ms=1_704_067_200_000, origin="/v1/events",
        place="events[3]", reason="currency 'GBX' is not an ISO 4217 code", record="{}",
    )  # fmt: skip
    write_rejects(home, [reject], "first")
    write_rejects(home, [reject], "again")
    write_rejects(home, [msgspec.structs.replace(reject, reject_id="r2", site_id="")], "nobody")
    attribute(home)

    engine = open_database(home)
    with engine.connect() as connection:
        query = "SELECT site_id, reject_id, place, reason FROM current_quarantine"
        rows = sorted(tuple(row) for row in connection.execute(text(query)))
        counted = connection.scalar(
            text("SELECT SUM(quarantined) FROM data_quality WHERE site_id = 'acme'")
        )
    engine.dispose()
    told = (reject.place, reject.reason)
    assert rows == [("_unknown", "r2", *told), ("acme", "r1", *told)]
    assert counted == 1


def test_texts_come_back_as_they_were(home: Home) -> None:
    r"""A page of a shop may send anything; before PostgreSQL 17 `\\.` could end a COPY early."""
    odd = ("a\n\\.\nb", "tab\there", "\\N", "back\\slash\\", "", "cr\rlf\n", 'q"uote', "ü\u2028")
    rejects = [
        Reject(
            reject_id=f"r{n}", site_id="acme", received_time_ms=1_704_067_200_000, origin="beacon",
            place=text_of_it, reason=text_of_it, record="{}",
        )
        for n, text_of_it in enumerate(odd)
    ]  # fmt: skip
    write_rejects(home, rejects, "odd")
    attribute(home)

    engine = open_database(home)
    with engine.connect() as connection:
        query = "SELECT place, reason FROM current_quarantine ORDER BY reject_id"
        told = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    assert told == [(each, each) for each in odd]


def test_old_runs_are_cleared_away(home: Home) -> None:
    """Daily runs must not fill the disk: two are kept."""
    events = happened(6)
    third = len(events) // 3
    for number in range(3):
        fill(home, events[number * third : (number + 1) * third], f"part-{number}")
        attribute(home)

    engine = open_database(home)
    with engine.connect() as connection:
        listed = connection.scalars(text("SELECT run_number FROM runs ORDER BY 1")).all()
        ended = [
            connection.scalar(text(f"SELECT COUNT(*) FROM {name} WHERE until_run <= 2"))
            for name in RESULTS
        ]
    engine.dispose()
    assert (listed, sum(map(int, ended))) == ([2, 3], 0)


def test_a_clock_set_back_does_not_cost_the_published_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are kept by when they were published; the one that readers see is never cleared."""
    events = happened(9)
    third = len(events) // 3
    for number, days in enumerate((2, 1, 0)):
        now = time.time_ns() + days * 86_400_000_000_000
        monkeypatch.setattr("pipelines.io.publish.time.time_ns", lambda now=now: now)
        fill(home, events[number * third : (number + 1) * third], f"part-{number}")
        last = attribute(home).run_id

    engine = open_database(home)
    assert shown(engine).run_id == last
    assert contents(engine)["orders"]
    engine.dispose()


def test_a_spool_file_that_cannot_be_read_keeps_nothing_else_away(tmp_path: Path) -> None:
    """All else is published, and the failure is told, again and again."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    here = Home(tmp_path)
    fill(here, happened(9))
    here.spool.mkdir()
    (here.spool / "torn.spool").write_bytes(b"no database" * 1000)

    for _ in range(2):
        with pytest.raises(LakeError, match=r"torn\.spool .*All else is published as run \w+$"):
            attribute(here)

    engine = open_database(here, must_exist=True)
    assert shown(engine)
    assert contents(engine)["orders"]
    engine.dispose()


@pytest.mark.parametrize("content", [b"", b"no parquet at all", None])
def test_a_stray_file_in_the_lake_is_named(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    here = Home(tmp_path)
    stray = here.lake / "touch" / "site=acme" / "date=2026-01-01" / "stray.parquet"
    stray.parent.mkdir(parents=True)
    if content is None:
        pq.write_table(pa.table({"other": [1]}), stray)
    else:
        stray.write_bytes(content)

    with pytest.raises(LakeError, match=r"stray\.parquet"):
        attribute(here)
