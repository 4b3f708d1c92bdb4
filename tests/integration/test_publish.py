"""Publishing on real databases: audited, all or nothing, and the same rows again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import alembic.command
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, inspect, text

from pipelines.flows.run import RunReport, run
from pipelines.io import staging
from pipelines.io.audit import audit, told
from pipelines.io.database import (
    alembic_config,
    downgrade_database,
    open_database,
    upgrade_database,
)
from pipelines.io.lake import LakeWriter
from pipelines.io.quarantine import write_rejects
from pipelines.io.runs import PublishedRun, restore_run, shown_run
from schemas.errors import AuditError, BusyError, LakeError, SettingsError
from schemas.events import AnyEvent
from schemas.lock import only_one
from schemas.results import result_schema
from schemas.settings import Home
from schemas.spool import Reject
from schemas.tables import RESULTS, Base
from schemas.views import drop_views, view_definitions
from tests.flow.truth import by_name
from tests.world import simulate

SETTINGS = "".join(
    f'[sites.{name}]\nkey = "key-of-{name}"\ncurrency = "GBP"\norders_from = "{mode}"\n'
    for name, mode in (("acme", "server"), ("bolt", "both"))
)


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home directory whose database is SQLite or a real PostgreSQL server, empty."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    made = Home(tmp_path)
    if request.param == "postgresql":
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres_url"))
        engine = open_database(made)
        with engine.begin() as connection:
            drop_views(connection)
            Base.metadata.drop_all(connection)
            connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        engine.dispose()
    return made


def fill(home: Home, events: list[AnyEvent], name: str = "all") -> None:
    """Writes events into the lake."""
    with LakeWriter(home) as writer:
        for event_name, table in by_name(events).items():
            writer.write(event_name, table, name)


def attribute(home: Home) -> RunReport:
    """One run of the main job."""
    return run(home, code_version="test", shards=2)


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """The published rows of every result table."""
    rows = {}
    with engine.connect() as connection:
        for name in RESULTS:
            columns = ", ".join(result_schema(name).names)
            answer = connection.execute(text(f"SELECT {columns} FROM current_{name}"))
            rows[name] = sorted((tuple(row) for row in answer), key=str)
    return rows


def shown(engine: Engine) -> PublishedRun:
    """The run that readers see."""
    with engine.connect() as connection:
        found = shown_run(connection)
    assert found is not None
    return found


def test_deleted_tables_come_back_the_same(home: Home) -> None:
    """Everything is a function of the lake: a lost database costs one run."""
    fill(home, simulate(1).events)
    assert attribute(home).is_new
    engine = open_database(home)
    before = contents(engine)
    assert all(before[name] for name in ("pins", "order_credits", "pinner_spheres", "item_daily"))
    with engine.begin() as connection:
        drop_views(connection)
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))

    assert attribute(home).is_new

    assert contents(engine) == before
    engine.dispose()


def test_running_again_changes_nothing(home: Home) -> None:
    """A cron job that finds no news leaves the run that is there."""
    fill(home, simulate(2).events)
    first = attribute(home)

    again = attribute(home)

    assert (first.is_new, again.is_new) == (True, False)
    assert again.run_id == first.run_id


def test_events_in_several_runs_end_at_the_same_tables(home: Home, tmp_path: Path) -> None:
    """It does not matter whether a shop runs hourly or once a month."""
    events = simulate(3).events
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
    events = simulate(4).events
    fill(home, events[:-1], "one")
    good = attribute(home).run_id
    fill(home, events[-1:], "two")

    def lose_a_micro(rows: pa.Table, base_run: int, run_number: int) -> pa.Table:
        if rows.schema.equals(result_schema("order_lines")):
            place = rows.schema.get_field_index("net_micros")
            less = pc.subtract(rows["net_micros"], 1)
            rows = rows.set_column(place, rows.schema.field(place), less)
        return honest(rows, base_run, run_number)

    honest = staging._between
    monkeypatch.setattr(staging, "_between", lose_a_micro)
    with pytest.raises(AuditError, match="is the sum of its lines"):
        run(home, code_version="test", shards=2, is_full=True)

    engine = open_database(home)
    assert shown(engine).run_id == good
    engine.dispose()


def test_the_last_run_can_be_brought_back(home: Home) -> None:
    """A merchandiser who doubts today's figures sees yesterday's again."""
    events = simulate(5).events
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
    events = simulate(6).events
    quarter = len(events) // 4
    for number in range(4):
        fill(home, events[number * quarter : (number + 1) * quarter], f"part-{number}")
        attribute(home)

    engine = open_database(home)
    with engine.connect() as connection:
        listed = connection.scalars(text("SELECT run_number FROM runs ORDER BY 1")).all()
        ended = [
            connection.scalar(text(f"SELECT COUNT(*) FROM {name} WHERE until_run <= 3"))
            for name in RESULTS
        ]
    engine.dispose()
    assert (listed, sum(map(int, ended))) == ([3, 4], 0)


def test_a_clock_set_back_does_not_cost_the_published_run(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are kept by when they were published; the one that readers see is never cleared."""
    events = simulate(9).events
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


def test_migrations_and_models_agree(home: Home) -> None:
    """A column added without its migration would break every installation but ours."""
    engine = open_database(home)
    upgrade_database(engine)
    with engine.begin() as connection:
        drop_views(connection)
        alembic.command.check(alembic_config(connection))
    upgrade_database(engine)
    assert set(inspect(engine).get_view_names()) == set(view_definitions(engine.dialect.name))
    downgrade_database(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_readers_never_see_half_a_run_though_publishers_are_killed(home: Home) -> None:
    """A page that loads while a run is published, or dies, adds up all the same."""
    events = simulate(7).events
    fill(home, events[:200], "start")
    attribute(home)
    command = (
        "import sys; from pathlib import Path; from schemas.settings import Home;"
        "from pipelines.flows.run import run;"
        "run(Home(sys.argv[1]), code_version=sys.argv[2], shards=1)"
    )
    engine = open_database(home)
    reads = 0
    for attempt in range(4):
        fill(home, events[200 + attempt : 201 + attempt], f"more-{attempt}")
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", command, str(home.path), "test"],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        begin = time.monotonic()
        while process.poll() is None:
            # One transaction: a reader's queries see one state.
            with engine.connect() as connection:
                now = shown_run(connection)
                assert now is not None
                assert told(audit(connection, now)) == []
                assert connection.scalar(text("SELECT COUNT(*) FROM current_orders"))
            reads += 1
            if attempt < 3 and time.monotonic() - begin > 1.2 + attempt * 0.4:
                process.send_signal(signal.SIGKILL)
        process.wait()
    last = shown(engine)
    assert not attribute(home).is_new  # the last publisher was left alive and finished
    assert shown(engine) == last
    assert reads > 20
    engine.dispose()


def test_the_reader_would_notice_a_publisher_that_works_in_place(home: Home) -> None:
    """The control of the test above: delete, commit, insert, commit is seen half done."""
    fill(home, simulate(8).events)
    attribute(home)
    engine = open_database(home)
    with engine.begin() as publisher:
        publisher.execute(text("DELETE FROM order_credits"))

    with engine.connect() as connection:
        broken = told(audit(connection, shown(engine)))

    engine.dispose()
    assert any("credits + unattributed = net" in promise for promise in broken)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """Two cron jobs that overlap must not mix their rows."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    with (
        only_one(tmp_path / "run.lock", "run"),
        pytest.raises(BusyError, match="another run is at work"),
    ):
        attribute(Home(tmp_path))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "is not a database URL"),
        ("postgresql://nobody:secret@127.0.0.1:1/none", "cannot open the database"),
    ],
)
def test_a_bad_database_url_is_told_without_its_password(
    url: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs are read by many."""
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SettingsError, match=reason) as error:
        open_database(Home(tmp_path))

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "foo://u:topsecret@h/x",
        "postgres//u:topsecret@h",
        "postgresql://u:top/secret@127.0.0.1:1/x",
        "postgresql://u:a@topsecret@127.0.0.1:1/x",
        "mysql://u:topsecret@h/x",
        "sqlite+none://u:topsecret@h/x",
        "postgresql://u@127.0.0.1:1/x?password=topsecret",
        "oracle://u:topsecret@h/x",
    ],
)
def test_a_password_is_told_by_no_mistake(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the URL, its password is right somewhere."""
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SettingsError) as error:
        open_database(Home(tmp_path))

    assert "secret" not in str(error.value) + Home(tmp_path).shown_database_url


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "pinsphere.db").write_bytes(b"no database" * 1000)

    with pytest.raises(SettingsError, match=r"pinsphere\.db: file is not a database"):
        open_database(Home(tmp_path))


def test_who_only_looks_makes_no_database(tmp_path: Path) -> None:
    """A mistyped home must not look like an empty one."""
    with pytest.raises(SettingsError, match="no database at"):
        open_database(Home(tmp_path / "typo"), must_exist=True)
    assert list(tmp_path.iterdir()) == []

    open_database(Home(tmp_path)).dispose()
    with pytest.raises(SettingsError, match="has no tables of ours"):
        open_database(Home(tmp_path), must_exist=True)


def test_a_spool_file_that_cannot_be_read_keeps_nothing_else_away(tmp_path: Path) -> None:
    """All else is published, and the failure is told, again and again."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    here = Home(tmp_path)
    fill(here, simulate(9).events)
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
