"""A beacon and a shop as they run in earnest: two processes on this machine."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from schemas.spool import SPOOL_GLOB
from tests.spooled import events_in

ROOT = Path(__file__).parents[2]
SITE, KEY, SECRET, SECRET_ENV = "acme", "acme-public-key", "story-secret", "ACME_SECRET"
START_SECONDS = 30.0
_BEACON = """
import sys
from pathlib import Path
from beacon.server import serve
from schemas.home import Home
serve(Home(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]))
"""


class Installation(NamedTuple):
    """A running beacon and shop, and the home directory behind them."""

    home: Path
    shop_url: str
    beacon_url: str
    site_id: str = SITE

    def spooled(self, event_name: str = "") -> list[dict[str, Any]]:
        """The events that are durable by now, of one name or all, in the order they happened."""
        events: list[dict[str, Any]] = []
        for path in sorted((self.home / "spool").glob(SPOOL_GLOB)):
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as spool:
                rows = spool.execute("SELECT events FROM requests ORDER BY seq")
                events.extend(event for (batch,) in rows for event in events_in(batch))
        unique = {event["event_id"]: event for event in events}
        found = [e for e in unique.values() if event_name in ("", e["event_name"])]
        return sorted(found, key=lambda event: event["event_time_ms"])

    def wait_for(self, event_name: str, count: int = 1) -> list[dict[str, Any]]:
        """Waits until this many events of a name are durable; one sent again counts once."""
        deadline = time.monotonic() + START_SECONDS
        while len({event["event_id"] for event in self.spooled(event_name)}) < count:
            assert time.monotonic() < deadline, f"{count} {event_name}: {self.spooled()}"
            time.sleep(0.05)
        return self.spooled(event_name)


@contextlib.contextmanager
def installation(home: Path) -> Iterator[Installation]:
    """Starts a beacon with one site, and a shop that reports to it."""
    beacon_port, shop_port = free_port(), free_port()
    beacon_url = f"http://127.0.0.1:{beacon_port}"
    shop_url = f"http://127.0.0.1:{shop_port}"
    (home / "pinsphere.toml").write_text(
        f'[sites.{SITE}]\nkey = "{KEY}"\ncurrency = "GBP"\ntime_zone = "Europe/London"\n'
        f'origins = ["{shop_url}"]\nsecret_env = "{SECRET_ENV}"\n',
        encoding="utf-8",
    )
    beacon = [sys.executable, "-c", _BEACON, str(home), str(beacon_port)]
    shop = [sys.executable, "-m", "examples.shop", "--port", str(shop_port)]
    shop += ["--beacon", beacon_url, "--site-key", KEY]
    with (
        running(beacon, {SECRET_ENV: SECRET}, f"{beacon_url}/readyz"),
        running(shop, {"PINSPHERE_SECRET": SECRET}, f"{shop_url}/"),
    ):
        yield Installation(home, shop_url, beacon_url)


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], url: str) -> Iterator[None]:
    """A process that answers at a URL, ended with all that it started."""
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
    )
    try:
        _wait_until_up(url, process)
        yield
    finally:
        # The group: workers must not outlive their parent.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"nothing answers at {url}"
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
