"""Incremental runs on a real database: continued when they can be, right when they are killed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.flows.run import RunReport, run
from pipelines.io.database import open_database
from pipelines.io.lake import LakeWriter
from schemas.errors import AuditError, LakeError
from schemas.events import AnyEvent
from schemas.home import Home
from tests.flow.truth import by_name
from tests.integration.publishing import contents
from tests.made_tables import make_tables
from tests.world import simulate

WORLD = simulate(7, visitors=8, days=20, sites=("acme",))
EARLIER = len(WORLD.events) * 2 // 3
SETTINGS = '[sites.acme]\nkey = "key-of-acme"\ncurrency = "GBP"\n'


def make_home(folder: Path) -> Home:
    """A home directory without events."""
    folder.mkdir(exist_ok=True)
    (folder / "pinsphere.toml").write_text(SETTINGS)
    make_tables(Home(folder))
    return Home(folder)


def fill(home: Home, events: Sequence[AnyEvent], name: str) -> None:
    """Writes events into the lake."""
    with LakeWriter(home) as writer:
        for event_name, table in by_name(events).items():
            writer.write(event_name, table, name)


def go(home: Home, *, is_full: bool = False, code: str = "test") -> RunReport:
    """One run."""
    return run(home, code_version=code, is_full=is_full, shards=None)


def tables(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """The published rows."""
    engine = open_database(home)
    try:
        return contents(engine)
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """The tables of one full run on everything."""
    home = make_home(tmp_path_factory.mktemp("truth"))
    fill(home, WORLD.events[:EARLIER], "one")
    fill(home, WORLD.events[EARLIER:], "two")
    assert go(home).is_full
    return tables(home)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    """A home directory with most of the events published, and a copy of how it was then."""
    home = make_home(tmp_path_factory.mktemp("published") / "home")
    fill(home, WORLD.events[:EARLIER], "one")
    assert go(home).is_full
    fill(home, WORLD.events[EARLIER:], "two")
    copy = home.path.with_name("copy")
    shutil.copytree(home.path, copy, symlinks=True)
    return home, copy


@pytest.fixture
def home(published: tuple[Home, Path]) -> Home:
    """The same, as it was then and where it was: elsewhere its state would be no state."""
    home, copy = published
    shutil.rmtree(home.path)
    shutil.copytree(copy, home.path, symlinks=True)
    return home


def test_news_are_all_that_a_run_reads(
    home: Home, truth: dict[str, list[tuple[object, ...]]]
) -> None:
    """Once a minute nobody can afford to read a year again."""
    report = go(home)

    assert (report.is_full, report.events_read) == (False, len(WORLD.events) - EARLIER)
    assert tables(home) == truth
    assert not go(home).is_new
    # Of two runs one copy of what was said of the whole site.
    assert len(list(home.state.glob("*/answers"))) == 1


def test_a_full_run_gives_the_same_tables(
    home: Home, truth: dict[str, list[tuple[object, ...]]]
) -> None:
    """Whoever doubts an incremental run can have the other one at any time."""
    first = go(home)

    again = go(home, is_full=True)

    assert (first.is_full, again.is_full, again.is_new) == (False, True, True)
    assert again.run_id == first.run_id
    assert tables(home) == truth


def test_a_shuffle_through_the_runner_leaves_nothing_to_continue(
    home: Home, truth: dict[str, list[tuple[object, ...]]]
) -> None:
    """Workers without shared storage keep no pieces: such a run is a full one, and says so."""
    settings = home.settings_file.read_text()
    home.settings_file.write_text(f'shuffle = "runner"\n{settings}')

    assert go(home).is_full

    assert tables(home) == truth
    assert not list(home.state.iterdir())


def test_files_that_go_or_change_are_taken_back(
    home: Home, truth: dict[str, list[tuple[object, ...]]]
) -> None:
    """An import that was a mistake, an erased person, two files made one."""
    fill(home, WORLD.events[:9], "a mistake of ours")
    go(home)
    for file in home.lake.glob("**/a mistake of ours.parquet"):
        file.unlink()
    fill(home, WORLD.events, "one")  # over those of before
    for file in home.lake.glob("**/two.parquet"):
        file.unlink()

    report = go(home)

    assert not report.is_full
    assert tables(home) == truth


@pytest.mark.parametrize("why", ["release", "migration", "layout", "settings", "deleted", "moved"])
def test_a_state_that_does_not_fit_is_not_continued(
    home: Home,
    truth: dict[str, list[tuple[object, ...]]],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows computed under two rules in one table would be wrong without a trace."""
    code = "test"
    if why == "release":
        code = "next"
    elif why == "migration":
        monkeypatch.setattr("pipelines.flows.record.newest_revision", lambda: "next")
    elif why == "layout":
        monkeypatch.setattr("pipelines.flows.record.layout", lambda: "next")
    elif why == "settings":
        home.settings_file.write_text(f"{SETTINGS}window_days = 31\n")
    elif why == "deleted":
        shutil.rmtree(home.state)
    else:
        (run_folder,) = home.state.iterdir()
        run_folder.rename(run_folder.with_name(f"{run_folder.name}-copy"))

    assert go(home, code=code).is_full
    if why != "settings":
        assert tables(home) == truth


KILLED = """
import os, signal, sys
from pipelines.flows import run as flow
from schemas.home import Home
_, home, point, moment = sys.argv
honest = getattr(flow, point)
def die(*args, **kwargs):
    if moment == "after":
        honest(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(flow, point, die)
flow.run(Home(home), code_version="test")
"""


def test_a_migration_is_followed_by_a_full_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that it adds would stay empty for as long as no event comes that touches them."""
    go(home)
    monkeypatch.setattr("pipelines.flows.record.newest_revision", lambda: "next")

    report = go(home)

    assert (report.is_new, report.is_full) == (True, True)


@pytest.mark.parametrize(
    ("point", "moment", "is_shown"),
    [("save_state", "before", False), ("publish", "before", False), ("publish", "after", True)],
)
def test_a_killed_run_leaves_a_state_that_fits_the_database(
    home: Home,
    truth: dict[str, list[tuple[object, ...]]],
    point: str,
    moment: str,
    is_shown: bool,
) -> None:
    """A power cut must cost at most the run that it cut off."""
    before = tables(home)
    command = [sys.executable, "-c", KILLED, os.fspath(home.path), point, moment]
    killed = subprocess.run(command, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert tables(home) == (truth if is_shown else before)

    report = go(home)

    assert (report.is_new, report.is_full) == (not is_shown, False)
    assert tables(home) == truth
    fill(home, WORLD.events[:1], "again")
    report = go(home)
    assert (report.is_full, report.events_read) == (False, 1)
    assert len(list(home.state.iterdir())) == 3


def test_a_damaged_state_costs_a_full_run_and_no_more(
    home: Home, truth: dict[str, list[tuple[object, ...]]]
) -> None:
    """A disk that was cleaned by hand must not stop a shop's figures for ever."""
    for piece in home.state.glob("*/pieces/*"):
        piece.unlink()

    with pytest.raises(AuditError, match=r"could not continue run .*, the next run is a full one"):
        go(home)

    assert go(home).is_full
    assert tables(home) == truth


def test_a_run_that_cannot_tidy_up_is_published_and_continued(
    home: Home, truth: dict[str, list[tuple[object, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that nobody may delete from must not cost a full run each night."""

    def fails(*_: object) -> None:
        raise OSError("read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr("pipelines.flows.run.tidy", fails)
        with pytest.raises(LakeError, match=r"is published, but .* read-only file system"):
            go(home)

    assert tables(home) == truth
    fill(home, WORLD.events[:1], "again")
    assert not go(home).is_full


def test_without_its_ledger_a_run_is_made_again(home: Home) -> None:
    """A home restored from its backup has none, though its database was kept."""
    go(home)
    shutil.rmtree(home.ledger)

    assert go(home).is_full

    assert (home.ledger / "current").is_dir()
    assert not go(home).is_new


def test_a_state_is_worn_in_the_end(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs each minute must not gather folders for ever."""
    monkeypatch.setattr("pipelines.io.state._MAX_STEPS", 2)
    assert not go(home).is_full
    fill(home, WORLD.events[:1], "again")

    assert go(home).is_full

    assert len(list(home.state.iterdir())) == 1
