"""A real beacon for the tests: granian in its own process, on a free loopback port."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

ROOT = Path(__file__).parents[2]
VARIANTS = Path(__file__).parent / "variants.py"
SECRET = "a secret of the shop's server"
SETTINGS = """
[beacon]
min_free_percent = {min_free_percent}

[sites.acme]
key = "acme-public-key"
currency = "GBP"
origins = ["https://shop.example"]
secret_env = "ACME_SECRET"
"""
OPEN_SITE = """
[sites.open]
key = "open-public-key"
currency = "EUR"
"""


class Server:
    """A running beacon and the client that talks to it."""

    def __init__(
        self,
        home: Path,
        *,
        variant: str = "shipped",
        workers: int = 1,
        min_free_percent: float = 0,
        without_open_site: bool = False,
    ) -> None:
        self.spool = home / "spool"
        home.mkdir(exist_ok=True)
        settings = SETTINGS.format(min_free_percent=min_free_percent)
        (home / "pinsphere.toml").write_text(settings + OPEN_SITE * (not without_open_site))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        arguments = [str(home), str(self.port), str(workers), variant]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(VARIANTS), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "ACME_SECRET": SECRET},
            start_new_session=True,
        )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if self.client.get("/healthz").status_code == 200:
                    return
            assert self.process.poll() is None, "the beacon ended while starting"
            time.sleep(0.02)
        raise AssertionError("the beacon did not start within 15 seconds")

    def post(self, events: list[Any], call: str = "/v1/events", **headers: str) -> httpx.Response:
        """Sends events of the site `open` as a page does."""
        body = msgspec.json.encode({"site_key": "open-public-key", "events": events})
        return self.client.post(
            call, content=body, headers={"content-type": "text/plain", **headers}
        )

    def metric(self, line: str) -> float:
        """The value of one line of `/metrics`; 0 when it is not there yet."""
        for text in self.client.get("/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rpartition(" ")[2])
        return 0.0

    def kill(self) -> None:
        """`kill -9`, workers included."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One beacon as it ships, for all tests that leave it alive."""
    server = Server(tmp_path_factory.mktemp("home"))
    yield server
    server.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts beacons of one home for a test that stops or breaks them."""
    started: list[Server] = []

    def start_one(**options: Any) -> Server:
        started.append(Server(tmp_path / "home", **options))
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def stored() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads all events out of all spool files, as the drain does."""
    return lambda spool: [
        event
        for events in _column(spool, "SELECT events FROM requests ORDER BY seq")
        for event in msgspec.json.decode(events)
    ]


@pytest.fixture(scope="session")
def quarantined() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads all rejects out of all spool files."""
    return lambda spool: [
        msgspec.json.decode(reject)
        for reject in _column(spool, "SELECT reject FROM rejects ORDER BY seq")
    ]


def _column(spool: Path, query: str) -> list[bytes]:
    values: list[bytes] = []
    for path in sorted(spool.glob("*.spool")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            values += [value for (value,) in connection.execute(query)]
    return values
