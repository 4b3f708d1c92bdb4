"""Between spool and Pub/Sub nothing is lost: kills, outages, full spools."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Self

import httpx
import msgspec
import pytest

from beacon import forward as forward_module
from beacon import publisher as publisher_module
from beacon.lag import ForwardMetrics
from beacon.spool_file import Entry
from tests.integration.forwarding import ROOT, Line, event, now_ms
from tests.services import PubSubServer, free_port
from tests.waiting import wait_until

KILLS = 5
MESSAGE_BYTES = 8_000
MESSAGE_EVENTS = MESSAGE_BYTES // 100  # an event takes more than 100 bytes


@pytest.fixture
def line(emulator: PubSubServer, monkeypatch, make_line) -> Line:
    """A line through the emulator, set up by the command."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    line: Line = make_line()
    line.create()
    return line


class Load:
    """Requests that go on coming in, until the block ends; notes their event ids."""

    def __init__(self, line: Line) -> None:
        self.ids: set[str] = set()
        self._file = line.open_file()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        number = 0
        while not self._is_over.wait(0.005):
            ids = [f"load-{number}-{n}" for n in range(10)]
            self._file.commit([Entry(now_ms(), msgspec.json.encode([*map(event, ids)]))])
            self.ids.update(ids)
            number += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def torment(line: Line, emulator: PubSubServer, variant: str) -> tuple[set[str], Counter[str]]:
    """Five kills under load; gives what was sent, and what came how often.

    Three while Pub/Sub is frozen, two between an ack and its checkpoint.
    """
    sent = line.fill(1500, 10)
    with Load(line) as load:
        for kill in range(KILLS):
            with emulator.frozen():
                process = line.start(message_bytes=MESSAGE_BYTES, variant=variant)
                process.wait_for("sending")
                if kill % 2 == 0:
                    process.kill()
            if kill % 2 == 1:
                process.wait_for("acked", 20)
                process.kill()
    line.forward()
    return sent | load.ids, Counter(line.received())


def test_five_kills_and_a_frozen_pubsub_lose_nothing(line, emulator, monkeypatch):
    """A kill costs one message sent twice, never an event."""
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", MESSAGE_BYTES)

    sent, received = torment(line, emulator, "shipped")

    assert len(sent) > 15_000
    assert set(received) == sent
    assert 0 < received.total() - len(sent) <= KILLS * MESSAGE_EVENTS


def test_control_a_checkpoint_before_the_ack_does_lose_events(line, emulator, monkeypatch):
    """Shows that the test above can fail: the same torment, the two steps exchanged."""
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", MESSAGE_BYTES)

    sent, received = torment(line, emulator, "checkpoint_before_ack")

    assert set(received) < sent


def test_an_outage_costs_one_message_a_try_without_answer(line, emulator, monkeypatch):
    """A frozen server may yet store what nobody waits for any more."""
    monkeypatch.setattr(publisher_module, "TRY_SECONDS", 0.2)
    monkeypatch.setattr(publisher_module, "LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", MESSAGE_BYTES)
    sent = line.fill(1000, 10)
    with line.running() as metrics:
        value = metrics.registry.get_sample_value
        wait_until(lambda: (value("pinsphere_forward_events_total") or 0) > 500, "few were sent")
        with emulator.frozen():
            wait_until(lambda: failures(metrics) >= 5, "few have failed")
        wait_until(lambda: value("pinsphere_forward_events_total") == len(sent), "some are missing")
        unanswered = failures(metrics)

    received = Counter(line.received())

    assert set(received) == set(sent)
    assert received.total() - len(sent) <= unanswered * MESSAGE_EVENTS


def failures(metrics: ForwardMetrics) -> float:
    """Tries that ended in anything but an ack."""
    return sum(
        sample.value
        for family in metrics.requests.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["outcome"] != "ok"
    )


@contextlib.contextmanager
def running_beacon(line: Line, *, is_taking: bool = True) -> Iterator[httpx.Client]:
    """A real beacon on the line's home."""
    port = free_port()
    command = [sys.executable, "-m", "pinsphere", "beacon", f"--port={port}"]
    process = subprocess.Popen([*command, f"--home={line.home.path}"], cwd=ROOT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: _answers(client, "/readyz" if is_taking else "/healthz"), "no start")
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _answers(client: httpx.Client, call: str) -> bool:
    try:
        return client.get(call).status_code == 200
    except httpx.TransportError:
        return False


def post(client: httpx.Client, *ids: str, page: str = "") -> int:
    """Sends events as a page does."""
    events = [
        {
            "event_name": "view_item",
            "event_id": event_id,
            "event_time_ms": now_ms(),
            "item_id": "mug",
            "page_location": f"https://shop.example/{page}",
        }
        for event_id in ids
    ]
    body = msgspec.json.encode({"site_key": "acme-public-key", "events": events})
    answer = client.post("/v1/events", content=body, headers={"content-type": "text/plain"})
    return answer.status_code


def test_acks_go_on_while_pubsub_is_frozen(line, emulator):
    """Google's outage is not the shop's: what was acked meanwhile arrives afterwards."""
    with running_beacon(line) as client, line.running():
        with emulator.frozen():
            answers = [post(client, f"{n}-a", f"{n}-b") for n in range(100)]
        wait_until(
            lambda: sum(1 for _ in line.home.forwarded.glob("*.json")) == 1, "nothing was forwarded"
        )

    assert answers == [204] * 100
    line.forward()
    assert set(line.received()) == {f"{n}-{part}" for n in range(100) for part in "ab"}


def test_a_full_spool_refuses_drops_nothing_and_recovers(emulator, monkeypatch, make_line):
    """503 until the forwarder has made room; each event that was acked arrives."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    line: Line = make_line(keep_days=0, spool_max_mb=1)
    line.create()
    acked: set[str] = set()
    numbers = itertools.count()

    def send_until(status: int) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            ids = [f"{next(numbers)}-{part}" for part in range(20)]
            answer = post(client, *ids, page="x" * 1500)
            assert answer in {204, 503}
            if answer == 204:
                acked.update(ids)
            if answer == status:
                return
        pytest.fail(f"no {status} within 30 seconds")

    with running_beacon(line) as client:
        send_until(503)
        assert len(acked) > 200
        before = set(acked)
        line.forward()
        send_until(204)

    assert acked > before
    line.forward()
    assert acked <= set(line.received())


def test_on_a_full_disk_nothing_is_taken_and_what_was_taken_arrives(line):
    """Below the free share of the disk the beacon says 503, and drops nothing it has."""
    with running_beacon(line) as client:
        assert [post(client, str(number)) for number in range(10)] == [204] * 10
    settings = line.home.settings_file.read_text()
    full = settings.replace("min_free_percent = 0", "min_free_percent = 99.999")
    line.home.settings_file.write_text(full)

    with running_beacon(line, is_taking=False) as client:
        assert [post(client, f"refused-{number}") for number in range(10)] == [503] * 10

    line.forward()
    assert sorted(line.received()) == sorted(map(str, range(10)))
