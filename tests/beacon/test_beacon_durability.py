"""An acknowledged event is never lost: kill -9, SIGTERM, broken disks."""

import itertools
import socket
import threading
import time
import uuid
from pathlib import Path

import httpx
import msgspec
import pytest

SENDERS = 20
NOW_MS = time.time_ns() // 1_000_000


def view(event_id: str) -> dict[str, object]:
    return {
        "event_name": "view_item",
        "event_id": event_id,
        "event_time_ms": NOW_MS,
        "item_id": "mug",
    }


class Load:
    """Parallel senders that note what was acknowledged, until the server is gone."""

    def __init__(self, server) -> None:
        self._server = server
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        self.acked: set[str] = set()
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        numbers = itertools.count()
        sender = uuid.uuid4().hex
        with httpx.Client(base_url=self._server.client.base_url, timeout=5) as client:
            for number in numbers:
                event_id = f"{sender}-{number}"
                body = {"site_key": "open-public-key", "events": [view(event_id)]}
                try:
                    answer = client.post("/v1/events", json=body)
                except httpx.TransportError:
                    return
                assert answer.status_code == 204
                self.acked.add(event_id)

    def kill_after(self, acks: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.acked) < acks and time.monotonic() < deadline:
            time.sleep(0.002)
        self._server.kill()
        for thread in self._threads:
            thread.join()
        assert len(self.acked) >= acks


@pytest.mark.parametrize("acks", [100, 400, 900])
def test_kill_loses_nothing_that_was_acknowledged(start, stored, acks: int):
    """A shop's pin that got its 204 counts, whatever happens to the process."""
    server = start()
    load = Load(server)

    load.kill_after(acks)

    kept = {event["event_id"] for event in stored(server.spool)}
    assert load.acked <= kept


def test_kill_loses_nothing_even_when_the_disk_is_slow(start, stored):
    """The partner of the control below: it differs from it in the order of ack and commit."""
    server = start(variant="slow_commit")
    load = Load(server)

    load.kill_after(100)

    kept = {event["event_id"] for event in stored(server.spool)}
    assert load.acked <= kept


def test_control_an_early_ack_does_lose_events(start, stored):
    """Shows that the tests above can fail: the same load, acknowledged before the commit."""
    server = start(variant="ack_before_commit")
    load = Load(server)

    load.kill_after(100)

    kept = {event["event_id"] for event in stored(server.spool)}
    assert load.acked - kept


def test_senders_share_flushes(start):
    """Group commit: with many senders a flush carries several requests."""
    server = start(variant="slow_commit")
    bodies = {"site_key": "open-public-key", "events": [view("e")]}

    def send() -> None:
        httpx.post(server.client.base_url.join("/v1/events"), json=bodies, timeout=5)

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.metric("pinsphere_beacon_commit_group_requests_sum") == SENDERS
    assert server.metric("pinsphere_beacon_commit_group_requests_count") <= SENDERS / 2


def test_sigterm_answers_open_requests_and_closes_the_spool(start, stored):
    """A deployment must not cost a shop the events that were on their way."""
    server = start(variant="slow_commit")
    senders = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    for number, sender in enumerate(senders):
        body = msgspec.json.encode({"site_key": "open-public-key", "events": [view(str(number))]})
        head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
        sender.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.05)  # all have arrived, none is committed: a commit takes 0.1 seconds

    server.process.terminate()

    assert server.process.wait(timeout=20) == 0
    for sender in senders:
        assert sender.recv(4096).startswith(b"HTTP/1.1 204 ")
        sender.close()
    assert {event["event_id"] for event in stored(server.spool)} == set(map(str, range(8)))
    (path,) = server.spool.iterdir()
    assert path.suffix == ".spool", "the log is folded into the file"


def test_a_restart_takes_a_new_file_and_leaves_the_old_one(start, stored):
    """A killed beacon's spool is the drain's to read; the next process never touches it."""
    first = start()
    assert first.post([view("before")]).status_code == 204
    first.kill()
    before = _spools(first.spool)

    second = start()
    assert second.post([view("after")]).status_code == 204

    assert len(before) == 1
    assert before < _spools(second.spool)
    assert {event["event_id"] for event in stored(second.spool)} == {"before", "after"}


def _spools(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*.spool")}
