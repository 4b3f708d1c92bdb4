"""The spool by itself: its files, groups and bounds, and full and busy databases."""

import asyncio
import base64
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beacon import spool as spool_module
from beacon import spool_file
from beacon.room import Room
from beacon.spool import Spool, SpoolError
from beacon.spool_file import Entry, SpoolFile
from schemas.settings import BeaconSettings
from schemas.spool import size_of, text_of
from tests.beacon.load import Load, single


def run(directory: Path, story: Callable[[Spool], object]) -> list[tuple[int, float]]:
    """Plays a story on a started spool and closes it; gives its group commits."""
    groups: list[tuple[int, float]] = []

    async def play() -> None:
        spool = Spool(directory, lambda requests, seconds: groups.append((requests, seconds)))
        spool.start()
        try:
            await story(spool)  # type: ignore[misc]
        finally:
            await spool.close()

    asyncio.run(play())
    return groups


def rows(directory: Path, table: str = "requests", column: str = "events") -> list[Any]:
    found: list[Any] = []
    for path in sorted(directory.glob("*.spool")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found += [row[0] for row in connection.execute(f"SELECT {column} FROM {table}")]
    return found


def requests(directory: Path) -> list[Any]:
    """What the rows hold, one after the other."""
    return [each for row in rows(directory) for each in json.loads(text_of(row))]


def noise(size: int) -> bytes:
    """Events that cannot be compressed."""
    return b'["%s"]' % base64.b64encode(os.urandom(size * 3 // 4))


def test_rows_of_a_flush_are_bounded(tmp_path: Path):
    """Who reads the spool takes whole rows: one of many megabytes would not fit a message."""

    async def story(spool: Spool) -> None:
        await asyncio.gather(*(spool.write(Entry(1, noise(30_000))) for _ in range(100)))

    run(tmp_path, story)

    assert len(requests(tmp_path)) == 100
    assert max(size_of(row) for row in rows(tmp_path)) <= spool_file.ROW_BYTES


def test_a_group_is_one_commit(tmp_path: Path):
    """All that queued up while the disk was busy shares its next flush."""

    async def story(spool: Spool) -> None:
        await asyncio.gather(*(spool.write(Entry(1, b"[%d]" % n)) for n in range(200)))

    groups = run(tmp_path, story)

    assert sum(requests for requests, _ in groups) == 200
    assert len(groups) < 100
    assert requests(tmp_path) == [*range(200)]
    assert len(rows(tmp_path)) == len(groups)


def test_senders_share_flushes(start):
    """With many senders and a slow disk a flush carries several requests."""
    server = start(variant="slow_commit")
    load = Load(server, senders=20, kinds=(single,))
    load.wait_for(60)
    load.stop()

    flushes = server.metric("pinsphere_beacon_commit_group_requests_count")
    requests = server.metric("pinsphere_beacon_commit_group_requests_sum")
    assert requests == load.promises
    assert flushes < requests / 2


def test_events_and_rejects_lie_in_their_tables(tmp_path: Path):
    """The drain reads both; a request of rejects alone leaves no empty row of events."""

    async def story(spool: Spool) -> None:
        await spool.write(Entry(7, b"[1]", (b"{}",)))
        await spool.write(Entry(8, b"", (b'{"a":1}',)))
        await spool.write(Entry(9))

    run(tmp_path, story)

    assert rows(tmp_path, column="received_time_ms") == [7]
    assert rows(tmp_path, "rejects", "reject") == [b"{}", b'{"a":1}']


def test_files_are_as_durable_as_promised(tmp_path: Path):
    """FULL flushes each commit; WAL lets the drain read meanwhile; space comes back."""
    file = SpoolFile.create(tmp_path)
    pragmas = {
        name: file._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "auto_vacuum", "wal_autocheckpoint")
    }
    file.close()

    assert pragmas == {
        "synchronous": 2,
        "journal_mode": "wal",
        "auto_vacuum": 1,
        "wal_autocheckpoint": 0,
    }


def test_a_reader_that_keeps_the_lock_costs_a_503_but_no_file(tmp_path: Path, monkeypatch):
    """Nothing was flushed, so nothing lied: as soon as the lock is free the file serves again."""
    monkeypatch.setattr(spool_file, "BUSY_MILLISECONDS", 20)

    async def story(spool: Spool) -> None:
        assert spool._file is not None
        path = spool._file.path
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as drain:
            drain.execute("BEGIN IMMEDIATE")
            with pytest.raises(SpoolError, match="locked"):
                await spool.write(Entry(1, b"[lost]"))
        await spool.write(Entry(1, b"[1]"))

    run(tmp_path, story)

    assert rows(tmp_path) == [b"[1]"]
    assert len(list(tmp_path.glob("*.spool"))) == 1


def test_a_really_full_database_recovers(tmp_path: Path):
    """SQLite's own "database or disk is full", not an imitation."""

    async def story(spool: Spool) -> None:
        await spool.write(Entry(1, b"[1]"))
        assert spool._file is not None
        connection = spool._file._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(SpoolError, match="full"):
            await spool.write(Entry(1, noise(50_000)))
        connection.execute("PRAGMA max_page_count=1000000")
        await spool.write(Entry(1, b"[2]"))

    run(tmp_path, story)

    assert rows(tmp_path) == [b"[1]", b"[2]"]


def test_a_drain_that_deletes_does_not_disturb(tmp_path: Path):
    """The drain deletes what it has read while the beacon writes; the space comes back."""

    def drain() -> None:
        (path,) = tmp_path.glob("*.spool")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA busy_timeout=5000")
            connection.execute("DELETE FROM requests")
            connection.commit()

    async def story(spool: Spool) -> None:
        for _ in range(40):
            await asyncio.gather(*(spool.write(Entry(1, noise(20_000))) for _ in range(10)))
            drain()
        await spool.write(Entry(1, b"[last]"))

    run(tmp_path, story)

    (path,) = tmp_path.glob("*.spool")
    assert rows(tmp_path) == [b"[last]"]
    assert path.stat().st_size < 1_000_000


def test_the_log_is_folded_in_now_and_then(tmp_path: Path):
    """Without checkpoints the log of a busy beacon would fill the disk."""
    sizes: list[int] = []

    def look() -> None:
        (log,) = tmp_path.glob("*-wal")
        sizes.append(log.stat().st_size)

    async def story(spool: Spool) -> None:
        for _ in range(300):
            await spool.write(Entry(1, noise(64_000)))
            look()

    run(tmp_path, story)

    assert max(sizes) < 2 * spool_file.CHECKPOINT_BYTES


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch):
    """Senders faster than the disk are told to wait; the process does not grow for ever."""
    monkeypatch.setattr(spool_module, "MAX_PENDING_BYTES", 10_000)

    async def story(spool: Spool) -> None:
        first = spool.write(Entry(1, b"x" * 9_000))
        with pytest.raises(SpoolError, match="slower than the senders"):
            spool.write(Entry(1, b"x" * 9_000))
        await first
        await spool.write(Entry(1, b"x" * 9_000))

    run(tmp_path, story)

    assert len(rows(tmp_path)) == 2


def test_closing_commits_what_is_queued_and_takes_nothing_more(tmp_path: Path):
    """SIGTERM comes while senders wait."""

    async def story(spool: Spool) -> None:
        waiting = [spool.write(Entry(1, b"[%d]" % n)) for n in range(50)]
        await spool.close()
        await asyncio.gather(*waiting)
        with pytest.raises(SpoolError, match="shutting down"):
            spool.write(Entry(1, b"[late]"))
        spool.close = _nothing  # type: ignore[method-assign]

    run(tmp_path, story)

    assert requests(tmp_path) == [*range(50)]


async def _nothing() -> None:
    return None


def test_a_failed_start_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch):
    """A spool file appears whole or not at all: the drain never meets a half-made one."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(spool_file, "SPOOL_DDL", "CREATE NONSENSE")

    for directory in (blocked / "spool", tmp_path / "spool"):
        with pytest.raises(SpoolError, match="cannot be written"):
            run(directory, _nothing)  # type: ignore[arg-type]

    assert list((tmp_path / "spool").iterdir()) == []


def test_room_looks_once_a_second_and_names_the_limit(tmp_path: Path):
    """Above the cap senders get 503; the disk is not asked for each request."""
    now = [0.0]
    limits = BeaconSettings(spool_max_mb=1, min_free_percent=0)
    room = Room(tmp_path, limits, lambda: now[0])

    assert room.shortage() is None
    (tmp_path / "a.spool").write_bytes(bytes(1_000_000))
    assert room.shortage() is None
    now[0] = 1.0
    assert "cap of 1 MB" in (room.shortage() or "")
    assert room.spool_bytes == 1_000_000
    (tmp_path / "a.spool").unlink()
    now[0] = 2.0
    assert room.shortage() is None


def test_room_watches_the_disk(tmp_path: Path):
    """A full disk harms more than the beacon."""
    almost_all = BeaconSettings(min_free_percent=99.999)

    assert "of the disk is free" in (Room(tmp_path, almost_all).shortage() or "")
    assert "cannot be read" in (Room(tmp_path / "gone", almost_all).shortage() or "")
    assert list(tmp_path.iterdir()) == []
