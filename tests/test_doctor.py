"""`pinsphere doctor` on machine and files: each thing that can be wrong is found, and no more."""

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import pytest

from pipelines.flows import check_data, check_machine
from pipelines.flows.check_data import check_lake, check_quarantine, check_spool, check_state
from pipelines.flows.check_machine import (
    check_clock,
    check_disk,
    check_home,
    check_leftovers,
    check_packages,
    check_secrets,
)
from pipelines.flows.doctor import remove_leftovers
from pipelines.io.quarantine import write_rejects
from schemas.home import Home
from schemas.lock import only_one
from schemas.settings import BeaconSettings, PubSub, Settings, Site
from schemas.spool import SPOOL_DDL, Reject
from tests.doctored import the_one

NOW = time.time()
ACME = Settings(sites={"acme": Site(key="acme-key", currency="GBP", secret_env="ACME_SECRET")})
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 (as shutil gives it)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return Home(path)


def test_python_and_packages_are_what_this_release_asks_for() -> None:
    """The control of the next two: here they are."""
    found = the_one(check_packages())

    assert found.state == "ok"
    assert "apache-beam 2.77.0" in found.says


def test_a_package_of_another_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constraint that pip overruled shows as a crash at night, far from its cause."""
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "1.0" if name == "pyarrow" else version(name)
    )
    found = the_one(check_packages())

    assert (found.state, found.says) == ("broken", "pyarrow 1.0, and not <26,>=25")
    assert found.way_out == "pip install 'pyarrow<26,>=25'"


def test_another_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")

    assert "Python 3.9.1" in the_one(check_packages()).says


def test_what_is_not_installed_cannot_be_compared() -> None:
    assert the_one(check_packages("no-such-package-of-ours")).state == "warning"


def test_a_home_that_is_its_owner_s_alone_is_well(home: Home) -> None:
    assert the_one(check_home(home)).state == "ok"


def test_a_home_that_others_look_into_is_found(home: Home) -> None:
    """Customers' ids, on a machine with other accounts."""
    home.path.chmod(0o755)

    found = the_one(check_home(home))
    assert (found.state, found.way_out.split(": ")[1]) == ("warning", f"chmod 700 {home.path}")


def test_a_home_of_another_user_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's run leaves files that the service cannot read."""
    owner = home.path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    assert f"is of user {owner}, this is user {owner + 1}" in the_one(check_home(home)).says


def test_a_home_that_is_not_there_or_no_folder_is_broken(home: Home) -> None:
    (home.path / "file").touch()

    for name in ("typo", "file"):
        assert the_one(check_home(Home(home.path / name))).state == "broken"


@pytest.mark.parametrize(("free", "state"), [(50, "ok"), (8, "warning"), (4, "broken")])
def test_a_disk_that_fills_is_found(
    home: Home, free: int, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beacons answer 503 below 5 %: somebody must know before."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 100 - free, free))

    assert the_one(check_disk(home, ACME)).state == state


@pytest.mark.parametrize(
    ("secret", "state"), [("a-long-and-random-secret", "ok"), ("short", "warning"), ("", "warning")]
)
def test_a_secret_that_is_unset_or_short_is_found(
    secret: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", secret)

    assert the_one(check_secrets(ACME)).state == state


@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (7_200, "broken")])
def test_a_clock_that_went_back_is_found(home: Home, ahead: int, state: str) -> None:
    """Orders of tomorrow lie in no window."""
    home.settings_file.touch()
    os.utime(home.settings_file, (NOW + ahead, NOW + ahead))

    assert the_one(check_clock(home, NOW)).state == state


def dead_pid() -> int:
    """A process that has just ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def grow_old(path: Path) -> Path:
    os.utime(path, (NOW - 10_000, NOW - 10_000))
    return path


def test_what_killed_processes_left_is_found_and_removed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill -9` of a beacon with all its workers leaves nobody to remove their counts."""
    temporary = tmp_path / "tmp"
    metrics = temporary / "pinsphere-metrics-x"
    metrics.mkdir(parents=True)
    (metrics / f"counter_{dead_pid()}.db").touch()
    lake = home.lake / "pin"
    lake.mkdir(parents=True)
    aside = lake / f".x.parquet.{dead_pid()}"
    aside.touch()
    (home.work / "run-1").mkdir(parents=True)
    fresh = the_one(check_leftovers(home, NOW, temporary))
    for path in (metrics, aside):
        grow_old(path)

    found = check_machine.leftovers(home, NOW, temporary)
    assert found == [metrics, aside, home.work]
    assert "and 2 more" in the_one(check_leftovers(home, NOW, temporary)).says
    assert "more" not in fresh.says
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert remove_leftovers(home) == found
    assert not any(path.exists() for path in found)


def test_what_living_processes_use_is_no_leftover(home: Home, tmp_path: Path) -> None:
    """The control: a beacon's counts, a file being written, a run at work."""
    temporary = tmp_path / "tmp"
    metrics = temporary / "pinsphere-metrics-x"
    metrics.mkdir(parents=True)
    (metrics / f"counter_{os.getpid()}.db").touch()
    home.lake.mkdir()
    aside = home.lake / f".x.parquet.{os.getpid()}"
    aside.touch()
    (home.work / "run-1").mkdir(parents=True)
    for path in (metrics, aside):
        grow_old(path)

    with only_one(home.path / "run.lock", "run"):
        assert the_one(check_leftovers(home, NOW, temporary)).state == "ok"


def spool_file(home: Home, received: float) -> None:
    home.spool.mkdir(exist_ok=True)
    with sqlite3.connect(home.spool / "1-1-1.spool") as file:
        file.executescript(SPOOL_DDL)
        file.execute("INSERT INTO requests VALUES (NULL, ?, '[]')", (received * 1000,))
    file.close()


@pytest.mark.parametrize(("hours", "state"), [(1, "ok"), (30, "warning")])
def test_a_spool_that_nobody_empties_is_found(home: Home, hours: int, state: str) -> None:
    spool_file(home, NOW - hours * 3600)

    found = the_one(check_spool(home, ACME, NOW))
    assert found.state == state
    assert found.says.startswith(f"1 rows to move, the oldest {hours if hours > 1 else 60} ")


def test_with_pubsub_the_forwarder_is_who_is_late(home: Home) -> None:
    spool_file(home, NOW - 200_000)
    settings = Settings(pubsub=PubSub(project="project"))

    assert "pinsphere forward" in the_one(check_spool(home, settings, NOW)).way_out


def test_a_spool_above_its_limit_is_broken(home: Home) -> None:
    """Beacons answer 503 there."""
    spool_file(home, NOW)
    (home.spool / "large").write_bytes(bytes(1_000_001))
    settings = Settings(beacon=BeaconSettings(spool_max_mb=1))

    assert the_one(check_spool(home, settings, NOW)).state == "broken"


def test_a_damaged_spool_file_is_named(home: Home) -> None:
    home.spool.mkdir()
    (home.spool / "1-1-1.spool").write_bytes(b"no database" * 1000)

    found = the_one(check_spool(home, ACME, NOW))
    assert found.state == "broken"
    assert "1-1-1.spool cannot be read" in found.says


def lake_file(home: Home, event_name: str, site: str, name: str = "a") -> None:
    file = home.lake / event_name / f"site={site}" / "date=2026-11-01" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()


def test_a_folder_of_no_event_in_the_lake_is_broken(home: Home) -> None:
    """Every run fails on it."""
    lake_file(home, "pin", "acme")
    well = the_one(check_lake(home, ACME))
    lake_file(home, "pinn", "acme")

    assert well.state == "ok"
    assert the_one(check_lake(home, ACME)).state == "broken"


def test_events_of_a_site_without_settings_are_found(home: Home) -> None:
    """Runs leave them out, and her sales look small."""
    lake_file(home, "pin", "rival")

    found = the_one(check_lake(home, ACME))
    assert found.state == "warning"
    assert "does not name: rival" in found.says


def test_a_lake_of_many_small_files_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_data, "_MANY_FILES", 2)
    for number in range(3):
        lake_file(home, "pin", "acme", str(number))

    assert "small files" in the_one(check_lake(home, ACME)).says


@pytest.mark.parametrize(("size", "state"), [(1_000_000, "ok"), (2_000_000_000, "warning")])
def test_a_state_that_outgrows_the_lake_is_found(home: Home, size: int, state: str) -> None:
    home.state.mkdir()
    with (home.state / "x").open("wb") as file:
        file.truncate(size)  # without its bytes on the disk

    assert the_one(check_state(home)).state == state


def rejects(home: Home, count: int, days_ago: int, name: str) -> None:
    received_ms = round((NOW - days_ago * 86_400) * 1000)
    write_rejects(
        home,
        [
            Reject(
                reject_id=str(number),
                site_id="acme",
                received_time_ms=received_ms,
                origin="beacon",
                place="x",
                reason=f"currency '{number}' is no ISO 4217 code",
                record="{}",
            )
            for number in range(count)
        ],
        name,
    )


def test_a_quarantine_that_grows_is_found_with_its_reasons(home: Home) -> None:
    """A shop's release that breaks its orders shows here first."""
    rejects(home, 60, 4, "old")
    usual = the_one(check_quarantine(home, NOW))
    rejects(home, 300, 0, "new")

    found = the_one(check_quarantine(home, NOW))
    assert usual.state == "ok"
    assert found.state == "warning"
    assert "300 records since yesterday, 20 in two usual days" in found.says
    assert "300 x currency … is no ISO … code" in found.says


def test_what_always_comes_is_no_news(home: Home) -> None:
    """The control: as many as every day."""
    for day in range(8):
        rejects(home, 200, day, str(day))

    assert the_one(check_quarantine(home, NOW)).state == "ok"


def test_a_mended_line_that_is_no_record_any_more_is_broken(home: Home) -> None:
    """Every run fails on it, and says so at night only."""
    rejects(home, 1, 0, "mended")
    (file,) = home.quarantine.rglob("*.jsonl")
    file.write_text('{"half": ')

    found = the_one(check_quarantine(home, NOW))
    assert found.state == "broken"
    assert f"{file} line 1" in found.says


def test_messages_that_wait_for_an_upgrade_are_found(home: Home) -> None:
    (home.quarantine / "messages").mkdir(parents=True)
    (home.quarantine / "messages" / "x").touch()

    assert "archive --quarantined" in [*check_quarantine(home, NOW)][-1].way_out


def test_looking_changes_nothing(home: Home) -> None:
    """Whoever looks for trouble must not make some."""
    before = sorted(home.path.rglob("*"))
    for _ in (
        *check_spool(home, ACME, NOW),
        *check_lake(home, ACME),
        *check_state(home),
        *check_quarantine(home, NOW),
        *check_leftovers(home, time.time()),
    ):
        pass

    assert sorted(home.path.rglob("*")) == before
