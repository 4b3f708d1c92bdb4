"""Draining the spool: nothing the beacon promised is lost, whatever happens in between."""

import fcntl
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from pipelines.io import drain
from pipelines.io.drain import Drained, drain_spool
from pipelines.io.lake import DAY_MS, lake_files
from pipelines.io.quarantine import read_rejects
from schemas.errors import LakeError
from schemas.home import Home
from schemas.settings import BeaconSettings, PubSub, Settings
from schemas.spool import SPOOL_DDL, UNKNOWN_SITE, Reject
from schemas.spool_reader import Checkpoint, open_spool, write_checkpoint
from tests.lake_digests import lake_digest

NOON = 1_790_000_000_000
SETTINGS = Settings(spool_keep_days=7, beacon=BeaconSettings(min_free_percent=0))


opened: list[sqlite3.Connection] = []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.spool.mkdir()
    yield home
    while opened:
        opened.pop().close()


def make_spool(home: Home, stem: str = "one") -> sqlite3.Connection:
    spool = sqlite3.connect(home.spool / f"{stem}.spool", isolation_level=None)
    opened.append(spool)
    spool.execute("PRAGMA journal_mode=WAL")
    spool.executescript(SPOOL_DDL)
    return spool


def touch(number: int, **fields) -> dict[str, Any]:
    return {
        "event_name": "touch",
        "event_id": f"e{number}",
        "event_time_ms": NOON + number,
        "received_time_ms": NOON + number,
        "site_id": "acme",
        "channel": "email",
    } | fields


def append(spool: sqlite3.Connection, *events: object, received: int = NOON) -> None:
    content = msgspec.json.encode(list(events))
    spool.execute(
        "INSERT INTO requests (received_time_ms, events) VALUES (?, ?)", (received, content)
    )


def ids(home: Home) -> list[str]:
    tables = [pq.read_table(file.path, partitioning=None) for file in lake_files(home)]
    return sorted(event_id for table in tables for event_id in table["event_id"].to_pylist())


def test_every_event_reaches_the_lake_once(home):
    """Two beacons, several events a request, two event names."""
    one, two = make_spool(home, "one"), make_spool(home, "two")
    append(one, touch(1), touch(2, event_name="identify", customer_id="c"))
    append(two, touch(3))

    drained = drain_spool(home, SETTINGS, NOON)

    assert drained == Drained(events=3, rejects=0, files=3)
    assert ids(home) == ["e1", "e2", "e3"]
    assert drain_spool(home, SETTINGS, NOON) == Drained()
    append(one, touch(4))
    assert drain_spool(home, SETTINGS, NOON).events == 1
    assert ids(home) == ["e1", "e2", "e3", "e4"]


def test_the_date_is_that_of_the_corrected_clock(home):
    """A phone whose clock is a day slow must not put its visits into yesterday."""
    with make_spool(home) as spool:
        append(spool, touch(1, event_time_ms=NOON - DAY_MS, sent_time_ms=NOON - DAY_MS + 5))
        append(spool, touch(2, event_time_ms=NOON - DAY_MS))

    drain_spool(home, SETTINGS, NOON)

    assert [file.date for file in lake_files(home)] == ["2026-09-20", "2026-09-21"]
    assert {file.site_id for file in lake_files(home)} == {"acme"}


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (b'{"event_name": "nonsense", "event_id": "x", "event_time_ms": 1}', "Invalid value"),
        (b'{"event_name": "touch"}', "missing required field"),
        (msgspec.json.encode(touch(9, site_id="../../etc")), "is no site id"),
        (msgspec.json.encode(touch(9, channel="\0")), "U+0000"),
        (msgspec.json.encode(touch(9, schema_version=2)), "schema_version 2 is unknown"),
    ],
)
def test_a_poison_event_spares_its_neighbours(home, poison, reason):
    """Even those of the same request."""
    spool = make_spool(home)
    append(spool, touch(1), msgspec.Raw(poison), touch(2))
    append(spool, touch(3))

    assert drain_spool(home, SETTINGS, NOON) == Drained(events=3, rejects=1, files=1)

    assert ids(home) == ["e1", "e2", "e3"]
    (reject,) = read_rejects(home)
    assert reason in reject.reason
    assert reject.place == "one.spool row 1 event 1"
    assert reject.record.encode() == poison
    assert reject.site_id in {"acme", UNKNOWN_SITE}


def test_a_poison_row_spares_its_neighbours(home):
    """A torn row is quarantined whole."""
    spool = make_spool(home)
    spool.execute(
        "INSERT INTO requests (received_time_ms, events) VALUES (?, ?)", (NOON, b"\xff[{")
    )
    append(spool, touch(1))

    drain_spool(home, SETTINGS, NOON)

    assert ids(home) == ["e1"]
    (reject,) = read_rejects(home)
    assert reject.reason.startswith("not a list of events")
    assert reject.record == "\\xff[{"
    assert [path.parent.parent.name for path in home.quarantine.rglob("*.jsonl")] == [
        "site=_unknown"
    ]


@pytest.mark.parametrize("received", ["nonsense", b"\xff", 2**62, -(2**62), 1.5])
def test_a_damaged_time_is_kept_to_the_calendar(home, received):
    """It names the folder of the record in quarantine."""
    make_spool(home).execute(
        "INSERT INTO requests (received_time_ms, events) VALUES (?, ?)", (received, b"poison")
    )

    drain_spool(home, SETTINGS, NOON)

    (reject,) = read_rejects(home)
    assert reject.record == "poison"


def test_rejects_of_the_beacon_reach_quarantine(home):
    spool = make_spool(home)
    said = Reject(
        reject_id="r1",
        site_id="acme",
        received_time_ms=NOON,
        origin="beacon",
        place="event 3",
        reason="why",
        record="{}",
    )
    insert = "INSERT INTO rejects (received_time_ms, reject) VALUES (?, ?)"
    spool.execute(insert, (NOON, msgspec.json.encode(said)))
    spool.execute(insert, (NOON, b"no reject"))

    assert drain_spool(home, SETTINGS, NOON).rejects == 2

    assert said in list(read_rejects(home))
    assert drain_spool(home, SETTINGS, NOON) == Drained()


@pytest.mark.parametrize("step", ["write_events", "write_checkpoint"])
def test_a_crash_around_the_checkpoint_loses_nothing(home, monkeypatch, step):
    """The control: with the checkpoint written first, the same crash loses the chunk."""
    append(make_spool(home), touch(1), touch(2))

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(drain, step, crash)
        with pytest.raises(KeyboardInterrupt):
            drain_spool(home, SETTINGS, NOON)

    drain_spool(home, SETTINGS, NOON)
    assert ids(home) == ["e1", "e2"]


def test_the_control_that_checkpoints_first_loses_events(home, monkeypatch):
    """Shows that the crash test above can fail."""
    append(make_spool(home), touch(1))
    write_events = drain.write_events
    with open_spool(home.spool / "one.spool") as spool:
        chunk = spool.read("requests", Checkpoint(), 1)
    assert chunk is not None

    def checkpoint_then_crash(home, events, name):
        write_checkpoint(drain.checkpoint_file(home, "one"), chunk.done)
        raise KeyboardInterrupt

    monkeypatch.setattr(drain, "write_events", checkpoint_then_crash)
    with pytest.raises(KeyboardInterrupt):
        drain_spool(home, SETTINGS, NOON)
    monkeypatch.setattr(drain, "write_events", write_events)

    drain_spool(home, SETTINGS, NOON)
    assert ids(home) == []


WRITER = """
import sqlite3, sys, time
spool = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0.5)
spool.execute("PRAGMA synchronous=FULL")
for number in range(400):
    event = ('[{"event_name":"touch","event_id":"e%d","event_time_ms":1790000000000,'
             '"site_id":"acme","channel":"email"}]' % number).encode()
    spool.execute("INSERT INTO requests (received_time_ms, events) VALUES (1, ?)", (event,))
    time.sleep(0.002)
"""


def test_a_beacon_that_writes_meanwhile_loses_nothing(home):
    """Old rows are deleted under its hands as well; it must never fail on a lock."""
    drains = 0
    with (home.spool / "one.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a beacon does before its file is there
        make_spool(home).close()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, home.spool / "one.spool"])
        while writer.poll() is None:
            drain_spool(home, SETTINGS, NOON)
            drains += 1
        drain_spool(home, SETTINGS, NOON)

    assert writer.returncode == 0
    assert drains > 2
    assert ids(home) == sorted(f"e{number}" for number in range(400))
    assert make_spool(home).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_chunks_bound_memory_and_change_nothing(home, monkeypatch):
    """Rows are the same however the spool is cut."""
    monkeypatch.setattr(drain, "CHUNK_BYTES", 1500)
    spool = make_spool(home)
    for number in range(0, 99, 3):
        append(spool, touch(number), touch(number + 1), touch(number + 2))

    assert drain_spool(home, SETTINGS, NOON) == Drained(events=99, rejects=0, files=11)

    assert ids(home) == sorted(f"e{number}" for number in range(99))


def test_deleting_the_lake_starts_over_to_the_same_bytes(home):
    """Checkpoints live in the lake for this."""
    append(make_spool(home), touch(2), touch(1))
    drain_spool(home, SETTINGS, NOON)
    before = lake_digest(lake_files(home))
    home.lake.rename(home.path / "gone")

    drain_spool(home, SETTINGS, NOON)

    assert lake_digest(lake_files(home)) == before


def test_old_drained_rows_leave_the_spool(home, monkeypatch):
    """All but the last, which the checkpoint knows the file by."""
    monkeypatch.setattr("schemas.spool_reader._ROWS_A_DELETE", 2)
    spool = make_spool(home)
    for number in range(5):
        append(spool, touch(number), received=NOON - 8 * DAY_MS)
    append(spool, touch(5), received=NOON)
    append(spool, touch(6), received=NOON)

    drain_spool(home, SETTINGS, NOON)

    assert spool.execute("SELECT seq FROM requests").fetchall() == [(6,), (7,)]
    drain_spool(home, SETTINGS, NOON + 8 * DAY_MS)
    assert spool.execute("SELECT seq FROM requests").fetchall() == [(7,)]
    assert drain_spool(home, SETTINGS, NOON) == Drained()
    assert len(ids(home)) == 7


def test_with_pubsub_the_spool_is_left_to_the_forwarder(home):
    """Rows that are drained here and old would be deleted before the forwarder sent them."""
    spool = make_spool(home)
    for number in range(5):
        append(spool, touch(number), received=NOON - 8 * DAY_MS)

    assert drain_spool(home, Settings(pubsub=PubSub(project="acme-shop")), NOON) == Drained()

    assert spool.execute("SELECT count(*) FROM requests").fetchone() == (5,)
    assert not home.lake.exists()


def test_a_spool_made_anew_under_an_old_name_is_drained_from_its_beginning(home):
    """Its numbers begin again; the old checkpoint must not hide them, nor the old files go."""
    append(make_spool(home), touch(1))
    drain_spool(home, SETTINGS, NOON)
    for path in home.spool.iterdir():
        path.unlink()
    append(make_spool(home), touch(2), received=NOON + 1)

    assert drain_spool(home, SETTINGS, NOON).events == 1
    assert ids(home) == ["e1", "e2"]


def test_a_corrupt_spool_is_named_after_the_others_are_drained(home):
    (home.spool / "a-corrupt.spool").write_bytes(b"no database" * 1000)
    (home.spool / "b-empty.spool").touch()
    append(make_spool(home, "c-good"), touch(1))

    with pytest.raises(LakeError, match=r"a-corrupt\.spool cannot be read: file is not a database"):
        drain_spool(home, SETTINGS, NOON)

    assert ids(home) == ["e1"]


def test_unfinished_files_belong_to_nobody(home):
    append(make_spool(home), touch(1))
    drain_spool(home, SETTINGS, NOON)
    (file,) = lake_files(home)
    (file.path.parent / ".half.parquet").write_bytes(b"half")

    assert lake_files(home) == [file]


def test_an_unknown_folder_is_not_overlooked(home):
    folder = home.lake / "telepathy" / "site=acme" / "date=2026-01-01"
    folder.mkdir(parents=True)
    (folder / "x.parquet").touch()

    with pytest.raises(LakeError, match="unknown event name 'telepathy'"):
        lake_files(home)


def test_a_failed_write_leaves_no_trace(home, monkeypatch):
    """A full disk: the old file stays, no half file appears, and the checkpoint waits."""
    append(make_spool(home), touch(1))

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.io.lake.pq.write_table", refuse)
        with pytest.raises(OSError, match="No space"):
            drain_spool(home, SETTINGS, NOON)
    assert [path for path in home.lake.rglob("*") if path.is_file()] == []

    drain_spool(home, SETTINGS, NOON)
    assert ids(home) == ["e1"]
