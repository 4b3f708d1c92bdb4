"""What a run sees of its input files, and when it opens them."""

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from pipelines.io import state
from pipelines.io.lake import file_digest
from pipelines.io.state import Source, look_at
from schemas.events import Pin
from schemas.home import Home
from tests.integration.publishing import fill, happened

PIN = next(event for event in happened(3) if isinstance(event, Pin))


def write(home: Home, letter: str) -> Path:
    """A file of one pin whose id is all of one letter; its size is the same for all."""
    event = msgspec.structs.replace(PIN, event_id=letter * 36)
    fill(home, [event])
    [file] = home.lake.glob("**/*.parquet")
    return file


def looked(home: Home, known: list[Source]) -> list[Source]:
    """What a run sees."""
    return [each.source for each in look_at(home, known)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read from now on."""
    files: list[Path] = []

    def watched(path: Path) -> str:
        files.append(path)
        return file_digest(path)

    monkeypatch.setattr(state, "file_digest", watched)
    return files


def test_a_file_written_in_place_is_seen_whatever_its_time_says(tmp_path: Path) -> None:
    """Rsync and tar set the time of writing: size, time and inode may all be as they were."""
    file = write(Home(tmp_path), "b")
    content = file.read_bytes()
    file.unlink()
    file = write(Home(tmp_path), "a")
    before, was = looked(Home(tmp_path), []), file.stat()

    file.write_bytes(content)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))

    now = file.stat()
    assert [now.st_size, now.st_mtime_ns, now.st_ino] == [was.st_size, was.st_mtime_ns, was.st_ino]
    assert looked(Home(tmp_path), before)[0].digest != before[0].digest


def test_a_fresh_file_is_read_once_the_clock_has_moved_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux stamps files by a clock that ticks 100 times a second; a look is quicker than that."""
    file = write(Home(tmp_path), "a")
    ages: list[int] = []

    def watched(path: Path) -> str:
        ages.append(time.time_ns() - path.stat().st_ctime_ns)
        return ""

    monkeypatch.setattr(state, "file_digest", watched)
    file.write_bytes(file.read_bytes())
    looked(Home(tmp_path), [])

    assert min(ages) > 10_000_000


def test_a_restored_file_is_read_once_and_found_the_same(
    tmp_path: Path, opened: list[Path]
) -> None:
    """A backup brought back must not cost a full run, nor a look at every file each day."""
    file = write(Home(tmp_path), "a")
    before = looked(Home(tmp_path), [])
    shutil.copy2(file, tmp_path / "backup")
    (tmp_path / "backup").replace(file)

    restored = looked(Home(tmp_path), before)
    again = looked(Home(tmp_path), restored)

    assert restored[0].inode != before[0].inode
    assert restored[0].content == again[0].content == before[0].content
    assert len(opened) == 2


def test_a_state_of_an_earlier_release_is_looked_at_once(
    tmp_path: Path, opened: list[Path]
) -> None:
    """It did not note when the system saw a change: the files are read, and are no news."""
    write(Home(tmp_path), "a")
    [full] = looked(Home(tmp_path), [])
    told = msgspec.to_builtins(full)
    del told["changed_ns"]

    now = looked(Home(tmp_path), [msgspec.convert(told, Source)])

    assert now == [full]
    assert looked(Home(tmp_path), now) == now
    assert len(opened) == 2
