"""Power cuts: at any moment the disk alone holds every event that was acknowledged.

One loaded run under faults.c gives as many moments as one likes: the journal has each change
of a file, the load has each answer, both with times of one clock.
"""

import contextlib
import errno
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipelines.io.drain import drain_spool
from schemas.home import Home
from schemas.settings import Settings
from tests.beacon.kept import in_lake, in_quarantine, lost
from tests.beacon.load import Load
from tests.beacon.powercut import Change, Kind, Watch, replay

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PROMISES = 1000
ACK_MOMENTS = 40
CHANGE_MOMENTS = 40
TEARS = 2
# Draining a cut takes longest; every so-many-th moment shows what it must.
DRAINED = 8
DRAIN = """
import sys, time
from pipelines.io.drain import drain_spool
from schemas.errors import BusyError
from schemas.home import Home
from schemas.settings import Settings
while True:
    try:
        drain_spool(Home(sys.argv[1]), Settings(spool_keep_days=0))
    except BusyError:
        pass
    time.sleep(0.05)
"""


@contextlib.contextmanager
def drained_meanwhile(watch: Watch) -> Iterator[None]:
    """A drain beside the beacons, on the same failing disk, that deletes what it has drained."""
    drain = subprocess.Popen(
        [sys.executable, "-c", DRAIN, str(watch.home)],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **watch.environment},
    )
    try:
        yield
        assert drain.poll() is None, "the drain failed"
    finally:
        drain.kill()
        drain.wait()


def moments(load: Load, changes: Sequence[Change], chance: random.Random) -> list[int]:
    """Right after answers; and the ends of rare changes: files born, logs folded in."""
    answers = [answer.received for answer in load.answers]
    rare = [change.end for change in changes if not change.path.endswith(("-wal", "-shm"))]
    return chance.sample(answers, ACK_MOMENTS) + chance.sample(rare, CHANGE_MOMENTS)


@pytest.mark.parametrize("workers", [1, 2])
def test_power_cuts_lose_nothing_that_was_acknowledged(start, watch, tmp_path, workers: int):
    """With two workers a drain runs beside them, and deletes at once what it has drained."""
    chance = random.Random(workers)
    server = start(variant="small_checkpoints", workers=workers, environment=watch.environment)
    with drained_meanwhile(watch) if workers == 2 else contextlib.nullcontext():
        load = Load(server)
        load.wait_for(PROMISES, seconds=60)
        load.stop()
    server.stop()

    changes = watch.changes()
    disk = watch.disk()
    points = moments(load, changes, chance)
    for number, moment in enumerate(replay(disk, changes, points)):
        for tear in range(TEARS + 1):
            cut = disk.write(tmp_path / "cut", chance if tear else None)
            assert lost(load, Home(cut), moment) == set()
            if number % DRAINED == 0:
                drain_spool(Home(cut), Settings())
                assert load.acked(moment) <= set(in_lake(Home(cut)))
                assert load.quarantined(moment) <= in_quarantine(Home(cut))
            shutil.rmtree(cut)
    folded = [
        change for change in changes if change.kind == Kind.SYNC and change.path.endswith(".spool")
    ]
    assert len(folded) >= 10, "the log was folded in too rarely to prove anything"
    mapped = {Path(change.path).suffix for change in changes if change.kind == Kind.MAP}
    assert mapped == {".spool-shm"}, "only the log's index, which SQLite makes anew"


def test_control_without_flushes_events_are_lost(start, watch, tmp_path):
    """The same load, the same moments; SQLite is told not to flush."""
    assert share_that_shows(start, watch, tmp_path, "no_flush") > 0.9


def test_control_a_disk_that_lies_loses_events(start, watch, tmp_path):
    """Flushes of the log that "succeed" and do nothing: what no software can make good."""
    watch.fail("sync", "-wal", 0, "always")

    assert share_that_shows(start, watch, tmp_path, "shipped") > 0.9


def test_control_without_its_name_a_file_is_lost(start, watch, tmp_path):
    """SQLite's own flush of the directory fails without a word: ours must be there."""
    watch.fail("sync", "/spool", errno.EIO, "always")

    assert share_that_shows(start, watch, tmp_path, "no_directory_flush") == 1


def test_a_beacon_that_cannot_flush_its_directory_does_not_start(start, watch):
    """The partner of the control above."""
    watch.fail("sync", "/spool", errno.EIO, "always")

    with pytest.raises(AssertionError, match="ended while starting"):
        start(environment=watch.environment)


def share_that_shows(start, watch: Watch, tmp_path: Path, variant: str) -> float:
    """At what part of the moments right after answers a power cut loses something promised."""
    server = start(variant=variant, environment=watch.environment)
    load = Load(server)
    load.wait_for(PROMISES // 2, seconds=60)
    load.stop()
    server.stop()
    disk = watch.disk()
    points = random.Random(0).sample([answer.received for answer in load.answers], 20)
    shown = 0
    for moment in replay(disk, watch.changes(), points):
        cut = disk.write(tmp_path / "cut")
        try:
            shown += bool(lost(load, Home(cut), moment))
        except sqlite3.DatabaseError:  # not even a spool file is left of it
            shown += 1
        shutil.rmtree(cut)
    return shown / len(points)
