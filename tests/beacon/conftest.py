"""A real beacon for the tests, in processes of its own, on a free loopback port."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests import services
from tests.beacon.powercut import Watch
from tests.spooled import events_in

ROOT = Path(__file__).parents[2]
VARIANTS = Path(__file__).parent / "variants.py"
FAULTS = Path(__file__).parent / "faults.c"
SECRET = "a secret of the shop's server"
NEXT_SECRET = "the one that follows it"
SETTINGS = """
[beacon]
{beacon}

[sites.acme]
key = "acme-public-key"
currency = "GBP"
origins = ["https://shop.example"]
secret_env = ["ACME_SECRET", "ACME_NEXT_SECRET"]
shopify_secret_env = ["ACME_SECRET", "ACME_NEXT_SECRET"]
woocommerce_secret_env = ["ACME_SECRET", "ACME_NEXT_SECRET"]
"""
NO_LIMITS = {"site_requests_a_minute": 0, "network_requests_a_minute": 0}
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
        environment: Mapping[str, str] | None = None,
        beacon: Mapping[str, Any] | None = None,
        log: Path | None = None,
    ) -> None:
        self.spool = home / "spool"
        self.secret, self.next_secret = SECRET, NEXT_SECRET
        home.mkdir(exist_ok=True)
        chosen = {"min_free_percent": min_free_percent, **NO_LIMITS, **(beacon or {})}
        lines = (
            f"{name} = {msgspec.json.encode(value).decode()}" for name, value in chosen.items()
        )
        settings = SETTINGS.format(beacon="\n".join(lines))
        (home / "pinsphere.toml").write_text(settings + OPEN_SITE * (not without_open_site))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        arguments = [str(home), str(self.port), str(workers), variant]
        before = self._spool_files()
        with contextlib.nullcontext() if log is None else log.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", str(VARIANTS), *arguments],
                stdout=errors,
                stderr=errors,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "ACME_SECRET": SECRET,
                    "ACME_NEXT_SECRET": NEXT_SECRET,
                    **(environment or {}),
                },
                start_new_session=True,
            )
        self._wait_until_it_answers()
        self._wait_for_all_workers(workers, before)

    def _wait_for_all_workers(self, workers: int, before: set[Path]) -> None:
        """Each worker makes a spool file when it starts, unless the disk is full."""
        deadline = time.monotonic() + 3
        while len(self._spool_files() - before) < workers and time.monotonic() < deadline:
            time.sleep(0.02)

    def _spool_files(self) -> set[Path]:
        return set(self.spool.glob("*.spool"))

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
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled faults.c, to be preloaded into a beacon."""
    compiler = services.find_compiler()
    if compiler is None:
        pytest.skip("no C compiler (Debian: gcc libc6-dev)")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    options = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", library, FAULTS], check=True)
    return library


@pytest.fixture
def watch(tmp_path: Path, faults: Path) -> Watch:
    """Watches and breaks what a beacon started with its `environment` does to its home."""
    return Watch(tmp_path / "home", faults)


@pytest.fixture(scope="session")
def stored() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads all events out of all spool files, as the drain does."""
    return lambda spool: [
        event
        for events in _column(spool, "SELECT events FROM requests ORDER BY seq")
        for event in events_in(events)
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
