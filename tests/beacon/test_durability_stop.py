"""Ends that are asked for: who was let in gets an answer, and what was promised is there."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from schemas.home import Home
from tests.beacon.kept import in_spool, lost
from tests.beacon.load import Batch, Load, view
from tests.beacon.variants import SLOW_SECONDS

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("workers", [1, 2])
Signals = list[tuple[Callable[[int, int], None], signal.Signals]]
SIGNALS: dict[str, Signals] = {
    "SIGTERM": [(os.kill, signal.SIGTERM)],
    "SIGTERM twice": [(os.kill, signal.SIGTERM)] * 2,
    "SIGINT": [(os.kill, signal.SIGINT)],
    "SIGINT, then SIGTERM": [(os.kill, signal.SIGINT), (os.kill, signal.SIGTERM)],
    "Ctrl-C, which workers get too": [(os.killpg, signal.SIGINT)],
}


def end(server, signals: Signals) -> int:
    """Sends the signals to the process that was started; gives its exit code."""
    for send, number in signals:
        send(server.process.pid, number)
        time.sleep(SLOW_SECONDS / 2)
    code: int = server.process.wait(timeout=20)
    return code


def ignored(load: Load, asked: int) -> list[Batch]:
    """What was at work for a while when the signal came, and never answered."""
    return [batch for sent, batch in load.unanswered if sent < asked - 50_000_000]


@BOTH
@pytest.mark.parametrize("signals", SIGNALS.values(), ids=SIGNALS)
def test_a_stop_under_load_answers_whoever_was_let_in(start, workers: int, signals):
    """A deployment must not cost a shop the events that were on their way."""
    server = start(variant="slow_commit", workers=workers)
    load = Load(server, senders=16, is_patient=False)
    load.wait_for(40)

    asked = time.monotonic_ns()
    assert end(server, signals) == 0
    load.stop()

    home = Home(server.spool.parent)
    assert ignored(load, asked) == []
    events, _ = in_spool(home)
    unanswered = {event_id for _, batch in load.unanswered for event_id in batch.event_ids}
    assert not unanswered & events, "stored, but nobody was told"
    assert {answer.status for answer in load.answers} <= {200, 204, 503}
    assert lost(load, home) == set()
    assert is_closed(server.spool), "logs are folded in"


def test_control_a_kill_answers_nobody(start):
    """The same load: what the test above looks for is there to be found."""
    server = start(variant="slow_commit")
    load = Load(server, senders=16, is_patient=False)
    load.wait_for(40)
    time.sleep(SLOW_SECONDS)

    asked = time.monotonic_ns()
    server.kill()
    load.stop()

    assert ignored(load, asked)


@BOTH
def test_requests_that_wait_for_the_disk_are_answered(start, workers: int):
    """They were sent before the signal and are committed after it."""
    server = start(variant="slow_commit", workers=workers)
    senders = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    for number, sender in enumerate(senders):
        body = msgspec.json.encode({"site_key": "open-public-key", "events": [view(str(number))]})
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        sender.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(SLOW_SECONDS / 2)  # all have arrived, none is committed

    assert end(server, SIGNALS["SIGTERM"]) == 0

    for sender in senders:
        assert sender.recv(4096).startswith(b"HTTP/1.1 204 ")
        sender.close()
    assert in_spool(Home(server.spool.parent))[0] == set(map(str, range(8)))


@BOTH
def test_workers_end_with_the_parent_that_was_killed(start, workers: int):
    """Else they would hold the port, and the next beacon could not start."""
    server = start(variant="slow_commit", workers=workers)
    load = Load(server, senders=4, is_patient=False)
    load.wait_for(20)

    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    deadline = time.monotonic() + 10
    while _listens(server.port):
        assert time.monotonic() < deadline, "a worker lives on without its parent"
        time.sleep(0.05)
    load.stop()

    assert lost(load, Home(server.spool.parent)) == set()
    wait_until_closed(server.spool)


def is_closed(spool: Path) -> bool:
    return {path.suffix for path in spool.iterdir()} == {".spool", ".lock"}


def wait_until_closed(spool: Path) -> None:
    deadline = time.monotonic() + 10
    while not is_closed(spool):
        assert time.monotonic() < deadline, "the worker ended without closing its spool"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def test_a_restart_takes_a_new_file_and_leaves_the_old_one(start):
    """A killed beacon's spool is the drain's to read; the next process never touches it."""
    first = start()
    assert first.post([view("before")]).status_code == 204
    first.kill()
    before = {path.name: path.read_bytes() for path in first.spool.iterdir()}

    second = start()
    assert second.post([view("after")]).status_code == 204

    assert len([name for name in before if name.endswith(".spool")]) == 1
    assert before == {name: (second.spool / name).read_bytes() for name in before}
    assert in_spool(Home(second.spool.parent))[0] == {"before", "after"}
