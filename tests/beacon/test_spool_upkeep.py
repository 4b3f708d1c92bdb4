"""What leaves the spool: rows that are done with, and files whose writer is gone."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from beacon.spool_file import Entry, SpoolFile
from pipelines.io.drain import drain_spool
from schemas import spool_upkeep
from schemas.home import Home
from schemas.settings import BeaconSettings, Settings
from schemas.spool_reader import Checkpoint, open_spool, read_checkpoint, write_checkpoint
from schemas.spool_upkeep import clear_file
from tests.beacon.conftest import ROOT, Server
from tests.beacon.kept import in_lake
from tests.beacon.powercut import Watch, replay

DAY_MS = 86_400_000
ROOMY = Settings(beacon=BeaconSettings(min_free_percent=0))
TIGHT = Settings(beacon=BeaconSettings(min_free_percent=0, spool_max_mb=1))
CRASH = """
import sys, time
from pathlib import Path
from beacon.spool_file import Entry, SpoolFile
file = SpoolFile.create(Path(sys.argv[1]))
file.commit([Entry(1, sys.argv[2].encode())])
print("written", flush=True)
time.sleep(60)
"""
# Killed in the end, as by an abrupt halt; nothing folds its log in.
DIE = """
import os, sys
from pathlib import Path
from beacon.spool_file import Entry, SpoolFile
from schemas.durable import flush_names
folder = Path(sys.argv[1])
folder.mkdir()
flush_names(folder.parent)
file = SpoolFile.create(folder)
for event in sys.argv[2:]:
    file.commit([Entry(1, event.encode())])
os.kill(os.getpid(), 9)
"""
REMOVE = """
import sys
from pipelines.io import drain
from schemas.home import Home
from schemas.settings import Settings
from schemas.spool_reader import SpoolReader
if sys.argv[2] == "hasty":
    drain._drain_file = lambda *_: None
    SpoolReader.is_over = lambda *_: True
drain.drain_spool(Home(sys.argv[1]), Settings())
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.spool.mkdir()
    return home


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def one_event(event_id: str) -> bytes:
    page = "https://shop.example/" + "x" * 1000
    fields = {"event_name": "view_item", "event_id": event_id, "item_id": "i", "site_id": "acme"}
    return msgspec.json.encode([{**fields, "event_time_ms": now_ms(), "page_location": page}])


def write(home: Home, rows: int = 1, age_ms: int = 0) -> SpoolFile:
    """A file of a living writer."""
    file = SpoolFile.create(home.spool)
    file.commit([Entry(now_ms() - age_ms, one_event(f"e{row}")) for row in range(rows)])
    return file


def finish(home: Home, stem: str) -> Path:
    """Marks all of a file as done with; gives the checkpoint's file."""
    checkpoint, done = home.path / "done" / f"{stem}.json", Checkpoint()
    with open_spool(home.spool / f"{stem}.spool") as spool:
        while chunk := spool.read("requests", done, 10**9):
            done = chunk.done
    write_checkpoint(checkpoint, done)
    return checkpoint


def names(home: Home) -> list[str]:
    return sorted(path.name for path in home.spool.iterdir())


def count(path: Path) -> int:
    with open_spool(path) as spool:
        return spool.backlog(Checkpoint()).rows


def test_a_drain_empties_a_spool_at_its_cap_and_the_beacon_goes_on(start: Callable[..., Server]):
    """One stranger must not close the door to all shops until her rows are a week old."""
    server = start(beacon={"spool_max_mb": 1})
    junk = [{"event_name": "none", "event_id": str(n), "junk": "x" * 400} for n in range(100)]
    deadline = time.monotonic() + 30
    while server.post(junk).status_code == 200:
        assert time.monotonic() < deadline, "the cap was never reached"
    home = Home(server.spool.parent)

    drain_spool(home, home.settings())

    while server.post(junk[:1]).status_code != 200:
        assert time.monotonic() < deadline, "the spool is drained, and still full"
        time.sleep(0.1)


def test_half_full_what_is_done_with_goes_whatever_its_age(home: Home):
    """All but the last row, by which the checkpoint knows the file; and what is not done stays."""
    file = write(home, rows=600)
    checkpoint = finish(home, file.path.stem)
    file.commit([Entry(now_ms(), one_event("news"))])

    clear_file(file.path, checkpoint, TIGHT, now_ms())

    assert count(file.path) == 2
    with open_spool(file.path) as spool:
        assert spool.backlog(read_checkpoint(checkpoint)).rows == 1
    file.close()


def test_the_control_with_room_it_stays_its_time(home: Home):
    file = write(home, rows=600)

    clear_file(file.path, finish(home, file.path.stem), ROOMY, now_ms())

    assert count(file.path) == 600
    file.close()


def test_what_is_not_done_with_stays_however_full(home: Home):
    file = write(home, rows=600, age_ms=8 * DAY_MS)
    file.close()

    clear_file(file.path, home.path / "none.json", TIGHT, now_ms())

    assert count(file.path) == 600


def test_a_finished_file_of_a_gone_writer_leaves_nothing_behind(home: Home):
    """Else each start leaves a file for ever, and in it a visitor past her retention."""
    file = write(home, age_ms=8 * DAY_MS)
    file.close()
    checkpoint = finish(home, file.path.stem)

    clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert names(home) == []
    assert not checkpoint.exists()


def test_a_killed_writers_file_goes_once_it_is_drained(home: Home):
    """Its log is still there: all of it must be in the lake first."""
    command = [sys.executable, "-c", CRASH, str(home.spool), one_event("e1").decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        assert drain_spool(home, ROOMY).events == 1
        assert names(home) != [], "its writer lives"
        writer.send_signal(signal.SIGKILL)

    drain_spool(home, ROOMY)

    assert names(home) == []
    assert list((home.lake / "_checkpoints").iterdir()) == []


@pytest.mark.parametrize("end", ["lives", "abandoned"])
def test_a_living_writers_file_stays(home: Home, end: str):
    """What it writes next would go into a file without a name."""
    file = write(home, age_ms=8 * DAY_MS)
    checkpoint = finish(home, file.path.stem)
    if end == "abandoned":
        file.abandon()

    clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert file.path.exists()
    if end == "lives":
        file.close()


def test_a_file_out_of_a_backup_goes_as_any_other(home: Home):
    """A backup holds databases and no locks: what it brought back would stay for ever."""
    file = write(home, age_ms=8 * DAY_MS)
    file.close()
    checkpoint = finish(home, file.path.stem)
    file.path.with_suffix(".lock").unlink()

    clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert names(home) == []


@pytest.mark.parametrize("why", ["young", "behind", "no checkpoint"])
def test_a_gone_writers_file_stays_while_there_is_a_reason(home: Home, why: str):
    file = write(home, age_ms=0 if why == "young" else 8 * DAY_MS)
    checkpoint = finish(home, file.path.stem)
    if why == "behind":
        file.commit([Entry(1, one_event("news"))])
    file.close()
    if why == "no checkpoint":
        checkpoint.unlink()

    clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert file.path.exists()


@pytest.mark.parametrize("steps", range(5))
def test_a_crash_while_a_file_is_removed_leaves_nothing_half_read(
    home: Home, monkeypatch: pytest.MonkeyPatch, steps: int
):
    """A database whose log went first would read as damaged, or as new."""
    file = write(home, age_ms=8 * DAY_MS)
    file.close()
    checkpoint = finish(home, file.path.stem)
    unlink, left = os.unlink, [steps]

    def crash(self: Path, *, missing_ok: bool = False) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        if self.exists() or not missing_ok:
            unlink(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert file.path.exists() == (steps == 0)
    assert drain_spool(home, ROOMY).events == (steps == 0)


@pytest.mark.integration
@pytest.mark.parametrize("variant", ["shipped", "hasty"])
def test_a_power_cut_while_a_file_is_removed_loses_nothing(
    watch: Watch, tmp_path: Path, variant: str
):
    """At each change that drain and removal make; the control removes what it has not drained."""
    home, ids = Home(watch.home), {f"e{number}" for number in range(4)}
    home.path.mkdir()
    home.settings_file.touch()
    events = [one_event(event_id).decode() for event_id in sorted(ids)]
    play(watch, DIE, str(home.spool), *events)
    committed = watch.changes()[-1].end
    play(watch, REMOVE, str(home.path), variant)
    assert names(home) == []
    chance, disk, losses = random.Random(0), watch.disk(), 0
    points = [change.end for change in watch.changes() if change.end >= committed]

    for _ in replay(disk, watch.changes(), points):
        for tear in range(3):
            cut = Home(disk.write(tmp_path / "cut", chance if tear else None))
            drain_spool(cut, ROOMY)
            losses += not ids <= set(in_lake(cut))
            shutil.rmtree(cut.path)

    assert len(points) > 10
    assert (losses > 0) == (variant == "hasty")


def play(watch: Watch, script: str, *arguments: str) -> None:
    """Runs a script on the watched home."""
    environment = {"PYTHONPATH": str(ROOT), **watch.environment}
    done = subprocess.run([sys.executable, "-c", script, *arguments], env=environment, check=False)
    assert done.returncode in {0, -signal.SIGKILL}


def test_its_name_is_gone_for_good_before_its_log_goes(home: Home, monkeypatch: pytest.MonkeyPatch):
    """A power cut may keep any of the names that no flush has taken away."""
    file = write(home, age_ms=8 * DAY_MS)
    file.close()
    checkpoint = finish(home, file.path.stem)
    log = Path(f"{file.path}-wal")
    seen: list[tuple[bool, bool]] = []

    def flush(_: int) -> None:
        seen.append((file.path.exists(), log.exists()))

    monkeypatch.setattr(spool_upkeep, "open_spool", _with_log(log))
    monkeypatch.setattr(os, "fsync", flush)

    clear_file(file.path, checkpoint, ROOMY, now_ms())

    assert seen == [(False, True)]
    assert not log.exists()


def _with_log(log: Path) -> Callable[[Path], object]:
    """Reads a file, and leaves a log beside it, as a close that failed does."""

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[object]:
        with open_spool(path) as spool:
            yield spool
        log.touch()

    return opened
