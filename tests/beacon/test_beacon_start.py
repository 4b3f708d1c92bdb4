"""How a beacon starts and ends, as its operator sees it: few lines, each of use."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beacon.notices import Trouble
from beacon.preflight import listen, make_spool
from beacon.room import Room
from schemas.errors import SettingsError
from schemas.settings import BeaconSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a beacon's lines go."""
    return tmp_path / "log"


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")]
)
def test_a_name_is_listened_at_by_its_address(host: str, address: str) -> None:
    """What says `localhost` asks 127.0.0.1 nearly everywhere."""
    with listen(host, 0) as listener:
        assert listener.getsockname()[0] == address


@pytest.mark.integration
def test_the_start_says_where_it_listens(start, log: Path) -> None:
    """Whoever starts it by hand must know that it runs, and where."""
    server = start(log=log, workers=2)
    server.kill()

    line = f"listening at http://127.0.0.1:{server.port}, home {server.spool.parent}, 2 workers\n"
    assert log.read_text() == f"pinsphere: {line}"


@pytest.mark.integration
def test_weak_and_unset_secrets_are_told_once_at_the_start(start, log: Path) -> None:
    """A secret that was copied from a page's dots lets anybody sign orders."""
    secrets = {"ACME_SECRET": "...", "ACME_NEXT_SECRET": ""}
    start(log=log, workers=2, environment=secrets).kill()

    told = log.read_text()
    assert told.count("secret_env: ACME_SECRET has less than 16 characters") == 3
    assert told.count("ACME_NEXT_SECRET not set") == 3
    assert "..." not in told


@pytest.mark.integration
def test_settings_are_read_once(start, log: Path) -> None:
    """A typing error in the file, and a worker that ends, must not end the beacon."""
    server = start(log=log)
    (server.spool.parent / "pinsphere.toml").write_text("oops")
    (worker,) = _children(server.process.pid)
    os.kill(server.process.pid, signal.SIGHUP)
    time.sleep(6)  # two ends of one worker within 5.5 s are taken for a loop
    os.kill(worker, signal.SIGKILL)
    _wait_for_another(server.process.pid, worker)
    server._wait_until_it_answers()

    assert server.process.poll() is None
    assert server.post([]).status_code == 204


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def _wait_for_another(pid: int, worker: int) -> None:
    deadline = time.monotonic() + 10
    while worker in _children(pid):
        assert time.monotonic() < deadline, "the worker was not replaced"
        time.sleep(0.05)


@pytest.mark.integration
@pytest.mark.parametrize("pause_ms", [5, 15, 25, 40])
def test_a_second_signal_makes_no_failure_of_a_good_end(start, log: Path, pause_ms: int) -> None:
    """A supervisor that asks twice would else report a crash."""
    server = start(log=log)
    for _ in range(2):
        server.process.terminate()
        time.sleep(pause_ms / 1000)

    assert server.process.wait(timeout=20) == 0
    assert "refused to gracefully stop" not in log.read_text()


def test_trouble_is_told_when_it_begins_and_when_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A full disk at night must stand in the log, and not once a request."""
    now = [0.0]
    trouble = Trouble(lambda: now[0])
    for reason in (None, "disk full", "disk full", "another word for it", None, None):
        trouble.note(reason)
        now[0] += 10

    assert capsys.readouterr().err.splitlines() == [
        "pinsphere: answering 503: disk full",
        "pinsphere: taking events again, after 30 s",
    ]


def test_a_shortage_of_room_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    room = Room(tmp_path, BeaconSettings(spool_max_mb=1, min_free_percent=0), lambda: now[0])
    (tmp_path / "x.spool").write_bytes(b"x" * 1_000_000)
    room.shortage()
    (tmp_path / "x.spool").unlink()
    now[0] = 5.0
    room.shortage()

    told = capsys.readouterr().err.splitlines()
    assert told == [
        "pinsphere: answering 503: the spool has reached its cap of 1 MB",
        "pinsphere: taking events again, after 5 s",
    ]


@pytest.mark.parametrize("number", [13, 30])
def test_a_spool_that_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SettingsError, match=f"cannot be written: {os.strerror(number)}"):
        make_spool(tmp_path / "spool")


def test_a_full_disk_stops_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: the beacon waits for room."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "mkdir", refuse)
    make_spool(tmp_path / "spool")


MASK = """
import os, sys, pinsphere
os.umask(0o022)
pinsphere.main(["init", "--site", "a", "--currency", "GBP", "--home", sys.argv[1]])
pinsphere.main(["db", "upgrade", "--home", sys.argv[1]])
print(oct(os.umask(0)))
"""


def test_what_a_command_makes_is_its_owners_alone(tmp_path: Path) -> None:
    """Neighbours on the machine must not read who bought what."""
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", MASK, home], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout.endswith("0o22\n"), "the caller's own mask is left as it was"
    made = [home, *home.rglob("*")]
    assert {path.name for path in made} >= {"pinsphere.toml", "pinsphere.db"}
    assert [path for path in made if path.stat().st_mode & 0o077] == []


STARTING = """
import time
from beacon.workers import supervise

def start():
    print("starting", flush=True)
    time.sleep(60)

supervise(1, start, lambda: None)
"""


def test_a_worker_that_still_starts_ends_when_told_to() -> None:
    """Unheard, a SIGTERM would make the stop wait until the worker is killed, 40 seconds on."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTING], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "starting\n"

        worker.terminate()

        try:
            assert worker.wait(10) == 0
        finally:
            worker.kill()
