"""`pinsphere demo`: a synthetic shop through the real beacon, pipeline and tables."""

import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from pipelines.flows.demo_shop import trade
from pipelines.flows.run import run
from pipelines.flows.setup import add_site
from pipelines.io.database import open_database
from schemas.errors import PinSphereError, SettingsError
from schemas.home import Home
from schemas.questions import QUESTIONS

_SITE = "acme"
_BATCH = 50
_MARKER = ".pinsphere-demo"


def run_demo(path: Path, *, seed: int, version: str) -> None:
    """Makes the demo's home anew, fills it over HTTP, runs the pipeline, prints the answers.

    Raises:
      SettingsError: the folder is there and is not a demo's.
    """
    console = Console()
    home = _fresh_home(path)
    os.environ.pop("DATABASE_URL", None)  # the demo shows the embedded default
    # Two months of a shop come in one go, the browsers' part of it unsigned.
    home.settings_file.write_text("[beacon]\nmax_event_age_days = 90\n", encoding="utf-8")
    site = add_site(home, _SITE, currency="GBP", time_zone="Europe/London")
    key = home.settings().site(_SITE).key
    events = trade(seed, int(time.time() * 1000))
    with _beacon(home, {site.secret_env: site.secret}) as address:
        console.print(f"Beacon up at {address}; sending {len(events)} events over HTTP")
        for is_signed, batch in _batches(events):
            secret = site.secret if is_signed else None
            _send(address, key, batch, secret)
    console.print("Running the pipeline (Apache Beam, local runner)")
    report = run(home, code_version=version)
    console.print(
        f"Published run {report.run_id}: {report.events} events in {report.seconds:.1f} s\n"
    )
    engine = open_database(home)
    show_answers(engine, console)
    engine.dispose()
    console.print(f"Any SQLite client asks {path / 'pinsphere.db'}; its views: docs/queries.md")
    console.print(f"Look yourself: pinsphere console --home {path}")


def show_answers(engine: Engine, console: Console) -> None:
    """Prints the answer to each of the five questions as a table."""
    with engine.connect() as connection:
        for question in QUESTIONS:
            answer = connection.execute(text(question.sql))
            columns = tuple(answer.keys())
            table = Table(title=question.title, title_justify="left", title_style="bold")
            for column in columns:
                table.add_column(column, justify="left" if column.endswith("_id") else "right")
            for row in answer:
                table.add_row(*(_shown(value) for value in row))
            console.print(table)
            console.print()


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _fresh_home(path: Path) -> Home:
    if path.exists():
        if not (path / _MARKER).exists():
            raise SettingsError(f"{path} is there already and is no demo's; choose another --home")
        shutil.rmtree(path)
    path.mkdir(parents=True)
    (path / _MARKER).touch()
    return Home(path)


@contextlib.contextmanager
def _beacon(home: Home, secrets: dict[str, str]) -> Iterator[str]:
    """A real beacon process on a free loopback port, ended by SIGTERM, which drains it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home.path / "beacon.log"
    command = [sys.executable, "-m", "pinsphere", "beacon", "--port", str(port)]
    environment = {**os.environ, **secrets, "PINSPHERE_HOME": os.fspath(home.path.resolve())}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603 (our own command)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=2):  # noqa: S310 (loopback)
            return
        time.sleep(0.05)
    raise PinSphereError(f"the beacon did not start; see {log}:\n{log.read_text()[-2000:]}")


def _batches(events: Sequence[dict[str, Any]]) -> Iterator[tuple[bool, list[dict[str, Any]]]]:
    """Batches of what browsers and what the shop's server say."""
    from_server = {"purchase", "refund"}
    for is_signed in (False, True):
        chosen = [event for event in events if (event["event_name"] in from_server) == is_signed]
        for first in range(0, len(chosen), _BATCH):
            yield is_signed, chosen[first : first + _BATCH]


def _send(address: str, key: str, events: list[dict[str, Any]], secret: str | None) -> None:
    """Sends events as the snippet does, or signed as a shop's server does."""
    now_ms = int(time.time() * 1000)
    body = msgspec.json.encode({"site_key": key, "sent_time_ms": now_ms, "events": events})
    headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/5.0 (demo shop)"}
    path = "/v1/events"
    if secret is not None:
        path = "/v1/orders"
        moment = str(now_ms // 1000)
        digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
        headers["X-PinSphere-Signature"] = f"t={moment},v1={digest.hexdigest()}"
    request = urllib.request.Request(address + path, body, headers)  # noqa: S310 (loopback)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 (loopback)
            if answer.status != 204:
                raise PinSphereError(f"the beacon quarantined demo events: {answer.read()!r}")
    except urllib.error.HTTPError as error:
        raise PinSphereError(f"the beacon answered {error.code}: {error.read()!r}") from None
