"""Near real time, in real processes: what a page sends is in the tables with nobody's help."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import msgspec
import pytest

from beacon.topics import create_topics
from pipelines.flows.run import run
from pipelines.io import state
from pipelines.io.drain import write_events
from schemas.home import Home
from tests.integration.archiving import SITES, environment, touch
from tests.services import free_port
from tests.waiting import wait_until

WAIT_SECONDS = 60.0
BROWSER = {
    "content-type": "text/plain",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140",
}


@contextlib.contextmanager
def command(home: Home, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`pinsphere` in a process of its own, killed at the end if it still lives."""
    with subprocess.Popen(
        [sys.executable, "-m", "pinsphere", *arguments, "--home", home.path],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Page:
    """A shop's page that talks to the beacon."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        wait_until(self._is_up, "no start", WAIT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    def _is_up(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get("/readyz").status_code == 200
        return False

    def pin(self, pin_id: str) -> None:
        event = {
            "event_name": "pin",
            "event_id": f"event-of-{pin_id}",
            "event_time_ms": time.time_ns() // 1_000_000,
            "visitor_id": "ann",
            "pin_id": pin_id,
        }
        body = msgspec.json.encode({"site_key": "key-of-acme", "events": [event]})
        assert self._client.post("/v1/events", content=body, headers=BROWSER).status_code == 204


def pins(home: Home) -> set[str]:
    """The published pins."""
    with (
        contextlib.suppress(sqlite3.OperationalError),  # no tables yet
        contextlib.closing(
            sqlite3.connect(f"file:{home.path / 'pinsphere.db'}?mode=ro", uri=True)
        ) as database,
    ):
        return {pin_id for (pin_id,) in database.execute("SELECT pin_id FROM current_pins")}
    return set()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.settings_file.write_text(SITES)
    return home


def test_a_pin_is_in_the_tables_without_anyone_calling_run(home):
    """A merchandiser looks at the screen, not at cron."""
    port = free_port()
    with (
        command(home, "beacon", "--port", str(port)),
        command(home, "run", "--every", "1s") as rounds,
        Page(port) as page,
    ):
        page.pin("first")
        wait_until(lambda: pins(home) == {"first"}, "no pin", WAIT_SECONDS)
        page.pin("second")
        wait_until(lambda: pins(home) == {"first", "second"}, "one pin", WAIT_SECONDS)

        time.sleep(2.5)  # some rounds without news
        rounds.send_signal(signal.SIGTERM)
        said, _ = rounds.communicate(timeout=30)

    assert rounds.returncode == 0
    done = [msgspec.json.decode(line) for line in said.splitlines()]
    # Nothing is told of rounds without news, and no step of any.
    assert {line["step"] for line in done} == {"Done"}
    assert all(line["is_new"] for line in done)


def test_the_whole_road_by_pubsub_ends_in_the_tables(home, pubsub):
    """Beacon, forwarder, Pub/Sub and rounds, each in its own process, as in production."""
    project = f"pinsphere-{uuid.uuid4().hex[:8]}"
    home.settings_file.write_text(f'[pubsub]\nproject = "{project}"\n{SITES}')
    assert list(create_topics(home))
    port = free_port()
    with (
        command(home, "beacon", "--port", str(port)),
        command(home, "forward") as forwarder,
        command(home, "run", "--every", "1s") as rounds,
        Page(port) as page,
    ):
        page.pin("first")
        wait_until(lambda: pins(home) == {"first"}, "no pin", WAIT_SECONDS)
        for process in (forwarder, rounds):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)

    assert (forwarder.returncode, rounds.returncode) == (0, 0)


def test_the_archive_as_a_service_ends_well_on_sigterm(home, pubsub):
    project = f"pinsphere-{uuid.uuid4().hex[:8]}"
    home.settings_file.write_text(f'[pubsub]\nproject = "{project}"\n{SITES}')
    assert list(create_topics(home))
    port = free_port()
    with (
        command(home, "beacon", "--port", str(port)),
        command(home, "forward"),
        command(home, "archive") as service,
        Page(port) as page,
    ):
        page.pin("first")
        wait_until(lambda: list(home.lake.glob("pin/*/*/*.parquet")), "no file", WAIT_SECONDS)
        service.send_signal(signal.SIGTERM)
        said, _ = service.communicate(timeout=60)

    assert service.returncode == 0
    assert said == "1 events in 1 files, 0 quarantined\n"


def test_a_round_without_news_reads_no_file_of_the_lake_again(home, monkeypatch):
    """A year of events is not read every minute to find that nothing came."""
    write_events(home, [touch("e1"), touch("e2")], "given")
    first = run(home, code_version="test", shards=2)
    read: list[Path] = []

    def watched(path: Path) -> str:
        read.append(path)
        return "digest"

    monkeypatch.setattr(state, "file_digest", watched)

    again = run(home, code_version="test", shards=2)
    assert (first.is_new, again.is_new, read) == (True, False, [])

    write_events(home, [touch("e3")], "given")  # in the place of the first
    assert run(home, code_version="test", shards=2).is_new
    assert len(read) == 1
