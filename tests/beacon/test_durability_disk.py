"""Disks that fail and disks that are full: 503, nothing acknowledged is lost, and on it goes."""

import contextlib
import errno
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beacon.app import RETRY_AFTER_SECONDS
from beacon.spool import REOPEN_SECONDS
from schemas.home import Home
from tests import services
from tests.beacon.kept import lost
from tests.beacon.load import Answer, Load, full
from tests.beacon.powercut import Kind, Watch
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

BALLAST_BLOCK = bytes(4096)
# As one does who has them safe elsewhere; each delete moves the log into the database.
DELETE_THREE = """
import sqlite3, sys
spool = sqlite3.connect(sys.argv[1], isolation_level=None)
spool.execute("PRAGMA wal_autocheckpoint=1")
for row in (1, 2, 3):
    spool.execute("DELETE FROM requests WHERE seq = ?", (row,))
"""


def answers_of(load: Load, seconds: float) -> list[Answer]:
    """What is answered to requests that are sent from now on."""
    begin = time.monotonic_ns()
    time.sleep(seconds)
    end = time.monotonic_ns()
    found = [answer for answer in load.answers if answer.sent >= begin and answer.received <= end]
    assert found, "nothing was answered at all"
    return found


def wait_for_refusal(load: Load) -> None:
    wait_until(lambda: load.answers[-1].status == 503, "nothing was refused")


def break_under_load(start, watch: Watch, operation: str, error: int) -> tuple[Any, Load]:
    """A beacon that has served and now refuses, for this fails on its log until it is healed."""
    server = start(environment=watch.environment)
    load = Load(server)
    load.wait_for(50)
    watch.fail(operation, "-wal", error, "always")
    wait_for_refusal(load)
    return server, load


def serve_and_end(server: Any, load: Load) -> None:
    """Serves on, and ends."""
    load.wait_for(50)
    load.stop()
    server.stop()


def is_refusal(answer: Answer) -> bool:
    return answer.status == 503 and answer.retry_after == str(RETRY_AFTER_SECONDS)


def spool_files(watch: Watch) -> set[str]:
    return {path.name for path in (watch.home / "spool").glob("*.spool")}


def used_after_failing(watch: Watch) -> set[str]:
    """Spool files that were written or flushed again after a flush of theirs had failed."""
    failed: set[str] = set()
    used: set[str] = set()
    for change in watch.changes():
        file = Path(change.path).name.partition(".spool")[0]
        if file in failed and change.kind in (Kind.WRITE, Kind.TRUNCATE, Kind.SYNC):
            used.add(file)
        if change.kind == Kind.SYNC and change.error and not change.path.endswith("/spool"):
            failed.add(file)
    assert failed, "no flush has failed"
    return used


@pytest.mark.parametrize(
    ("path_end", "variant"), [("-wal", "shipped"), (".spool", "small_checkpoints")]
)
def test_a_failed_flush_costs_a_file_and_no_event(
    start, watch, tmp_path, path_end: str, variant: str
):
    """Of the log at a commit, or of the database when the log is folded in."""
    server = start(variant=variant, environment=watch.environment)
    load = Load(server)
    load.wait_for(50)
    (before,) = spool_files(watch)

    watch.fail("sync", path_end, errno.EIO, "once")
    wait_until(lambda: watch.has_failed, "nothing was flushed")
    load.wait_for(100)
    load.stop()
    server.stop()

    refused = [answer for answer in load.answers if not answer.is_promise]
    assert all(map(is_refusal, refused))
    assert bool(refused) == (path_end == "-wal"), "who waits for a failed commit is told"
    assert len(spool_files(watch)) == 2
    assert used_after_failing(watch) == set(), f"{before} was to be left alone"
    assert lost(load, Home(watch.cut(tmp_path / "cut"))) == set()


def test_a_disk_that_fails_for_ever_promises_nothing_and_leaves_nothing(start, watch, tmp_path):
    """Once a second a new file is tried; when the disk is well again, one of them serves."""
    server, load = break_under_load(start, watch, "sync", errno.EIO)

    failing = answers_of(load, 2.5 * REOPEN_SECONDS)
    files = spool_files(watch)
    watch.heal()
    serve_and_end(server, load)

    assert all(map(is_refusal, failing))
    assert len(files) == 1, "files that never served are removed"
    assert len(spool_files(watch)) == 2
    assert lost(load, Home(watch.cut(tmp_path / "cut"))) == set()


def test_a_file_without_a_durable_name_takes_nothing(start, watch, tmp_path):
    """After a failed flush a new file is needed, and now the directory cannot be flushed."""
    server, load = break_under_load(start, watch, "sync", errno.EIO)

    watch.fail("sync", "/spool", errno.EIO, "always")
    failing = answers_of(load, 2.5 * REOPEN_SECONDS)
    watch.heal()
    serve_and_end(server, load)

    assert all(map(is_refusal, failing))
    assert lost(load, Home(watch.cut(tmp_path / "cut"))) == set()


def fail_while_folding(server, watch: Watch) -> Load:
    """Flushes of the database lose a part of the log that was written into it.

    While a reader holds the log back, a part of it goes into the database unflushed. The flush
    that covers this part fails, and the next one "succeeds" without it.
    """
    (path,) = server.spool.glob("*.spool")
    load = Load(server, senders=0)
    send(load, 12)
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM requests").fetchall()
        send(load, 40)
    watch.fail("sync", ".spool", errno.EIO, "once")
    send(load, 120)
    assert watch.has_failed
    return load


@pytest.mark.parametrize("is_control", [False, True], ids=["shipped", "control"])
def test_a_file_that_goes_on_after_a_failed_flush_loses_events(
    start, watch, tmp_path, is_control: bool
):
    """The control goes on with the file, and its log starts over the part that was lost."""
    variant = "small_checkpoints" + ",keep_the_file" * is_control
    server = start(variant=variant, environment=watch.environment)

    load = fail_while_folding(server, watch)
    server.kill()

    assert is_whole(load, watch.cut(tmp_path / "cut")) != is_control
    assert bool(used_after_failing(watch)) == is_control


@pytest.mark.parametrize("is_control", [False, True], ids=["shipped", "control"])
def test_nobody_starts_the_log_of_an_abandoned_file_over(start, watch, tmp_path, is_control: bool):
    """Who deletes rows that are done with must not cost the rows that are not."""
    variant = "small_checkpoints" + ",abandon_at_once" * is_control
    server = start(variant=variant, environment=watch.environment)
    load = fail_while_folding(server, watch)
    abandoned = min(server.spool.glob("*.spool"))

    subprocess.run(
        [sys.executable, "-c", DELETE_THREE, abandoned], env=watch.environment, check=True
    )
    server.kill()

    assert is_whole(load, watch.cut(tmp_path / "cut"), done_with=3) != is_control


def send(load: Load, batches: int) -> None:
    for _ in range(batches):
        load.send(full)


def is_whole(load: Load, home: Path, done_with: int = 0) -> bool:
    """Whether all but the first requests that were promised are there, in sound files."""
    gone = {event_id for answer in load.answers[:done_with] for event_id in answer.batch.event_ids}
    try:
        return lost(load, Home(home)) <= gone
    except (sqlite3.DatabaseError, AssertionError):
        return False


@contextlib.contextmanager
def small_disk(home: Path) -> Iterator[None]:
    """A real file system of 8 MB under the home directory, for who may mount one."""
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "pinsphere-test", str(home)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
        reason = mounted.stderr.strip() if mounted.returncode else None
    except OSError as error:
        reason = str(error)
    if reason is not None:
        pytest.skip(f"{services.OPTIONAL}no file system can be mounted: {reason}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", home], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(BALLAST_BLOCK):
            pass


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_promises_nothing_and_recovers_by_itself(start, tmp_path, workers: int):
    """Who runs out of space loses no event that was acknowledged, and restarts nothing."""
    home = tmp_path / "home"
    with small_disk(home):
        server = start(workers=workers)
        wait_until(lambda: len(list(server.spool.glob("*.spool"))) == workers, "no start")
        load = Load(server)
        load.wait_for(50)

        fill(home / "ballast")
        wait_for_refusal(load)
        time.sleep(0.3)  # what is left in blocks that are only partly used
        while_full = answers_of(load, 1.0)
        (home / "ballast").unlink()
        load.wait_for(100)
        load.stop()
        server.stop()

        assert all(map(is_refusal, while_full))
        # Elsewhere, for SQLite needs some room even to read a log.
        assert lost(load, Home(shutil.copytree(home, tmp_path / "copy"))) == set()


def test_control_on_a_full_disk_an_early_ack_loses_events(start, tmp_path):
    """The same disk, acknowledged before the commit."""
    home = tmp_path / "home"
    with small_disk(home):
        server = start(variant="ack_before_commit")
        load = Load(server)
        load.wait_for(50)
        fill(home / "ballast")
        load.wait_for(100)
        load.stop()
        server.stop()

        assert lost(load, Home(shutil.copytree(home, tmp_path / "copy")))


def test_a_beacon_that_starts_on_a_full_disk_waits_for_room(start, watch):
    """A worker that is started again then would else take the whole beacon down."""
    watch.fail("write", ".draft", errno.ENOSPC, "always")
    server = start(environment=watch.environment)
    load = Load(server)
    while_full = answers_of(load, 0.5)
    watch.heal()
    serve_and_end(server, load)

    assert all(map(is_refusal, while_full))
    assert lost(load, Home(watch.home)) == set()


def test_a_log_that_cannot_be_folded_in_serves_on(start, watch, tmp_path):
    """The database has no room to grow, the log still has."""
    server = start(variant="small_checkpoints", environment=watch.environment)
    watch.fail("write", ".spool", errno.ENOSPC, "always")
    load = Load(server)
    load.wait_for(200)
    watch.heal()
    load.wait_for(200)
    load.stop()
    server.stop()

    assert all(answer.is_promise for answer in load.answers)
    assert len(spool_files(watch)) == 1
    assert lost(load, Home(watch.cut(tmp_path / "cut"))) == set()


def test_a_log_that_cannot_grow_promises_nothing_and_recovers(start, watch, tmp_path):
    """The same without a mount: "no space left" from each write to the log."""
    server, load = break_under_load(start, watch, "write", errno.ENOSPC)

    while_full = answers_of(load, 0.5)
    watch.heal()
    serve_and_end(server, load)

    assert all(map(is_refusal, while_full))
    assert len(spool_files(watch)) == 1, "nothing was flushed, so the file serves on"
    assert lost(load, Home(watch.cut(tmp_path / "cut"))) == set()
