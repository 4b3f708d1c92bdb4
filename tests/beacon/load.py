"""Shops and pages that send for as long as they are let, and note what was promised them."""

import http.client
import itertools
import math
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from schemas.signature import sign

RETRY_SECONDS = 0.02
BATCH_EVENTS = 20
BAD_EVENTS = 3


class Target(Protocol):
    """Where to send; a test may put another one in its place while the load runs."""

    port: int
    secret: str


class Batch(NamedTuple):
    """One request and what its answer will promise."""

    call: str
    body: bytes
    secret: str | None
    event_ids: tuple[str, ...]
    bad_ids: tuple[str, ...]


class Answer(NamedTuple):
    """What came back: on the monotonic clock, in nanoseconds, when it was sent and answered."""

    sent: int
    received: int
    status: int
    retry_after: str | None
    batch: Batch

    @property
    def is_promise(self) -> bool:
        return self.status in (200, 204)


Kind = Callable[[str, str], Batch]
"""Makes a batch out of a unique name and the shop's secret."""


def view(event_id: str) -> dict[str, Any]:
    return {
        "event_name": "view_item",
        "event_id": event_id,
        "event_time_ms": time.time_ns() // 1_000_000,
        "item_id": "mug",
    }


def single(name: str, _: str) -> Batch:
    return _page_batch([view(name)])


def full(name: str, _: str) -> Batch:
    return _page_batch([view(f"{name}.{number}") for number in range(BATCH_EVENTS)])


def spoiled(name: str, _: str) -> Batch:
    """Twenty events, some of a name nobody knows."""
    events = [view(f"{name}.{number}") for number in range(BATCH_EVENTS)]
    for event in events[:BAD_EVENTS]:
        event["event_name"] = "nonsense"
    return _page_batch(events)


def order(name: str, secret: str) -> Batch:
    """An order from the shop's server, signed."""
    purchase = view(name) | {
        "event_name": "purchase",
        "order_id": name,
        "currency": "GBP",
        "items": [{"item_id": "mug", "quantity": 1, "price": "9.99"}],
    }
    body = msgspec.json.encode({"site_key": "acme-public-key", "events": [purchase]})
    return Batch("/v1/orders", body, secret, (name,), ())


MIXED: tuple[Kind, ...] = (single, full, single, spoiled, order)


def _page_batch(events: list[dict[str, Any]]) -> Batch:
    body = msgspec.json.encode({"site_key": "open-public-key", "events": events})
    good = tuple(event["event_id"] for event in events if event["event_name"] != "nonsense")
    bad = tuple(event["event_id"] for event in events if event["event_name"] == "nonsense")
    return Batch("/v1/events", body, None, good, bad)


class Load:
    """Senders in parallel. One that gets no promise sends the same batch again, as pages do."""

    def __init__(
        self,
        target: Target,
        *,
        senders: int = 8,
        kinds: tuple[Kind, ...] = MIXED,
        is_patient: bool = True,
    ) -> None:
        """`is_patient`: a refused or broken request is sent again; else a new one follows."""
        self.target = target
        self.answers: list[Answer] = []
        self.unanswered: list[tuple[int, Batch]] = []
        self._kinds = kinds
        self._is_patient = is_patient
        self._is_over = threading.Event()
        self._own = _Own()
        self._threads = [
            threading.Thread(target=self._send_all, args=(number,), daemon=True)
            for number in range(senders)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets each sender end the request it is at."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=20)
            assert not thread.is_alive(), "a request hangs"

    def send(self, kind: Kind) -> bool:
        """Sends one batch from the caller's own thread; whether durability was promised."""
        try:
            return self._send(kind(uuid.uuid4().hex, self.target.secret))
        finally:
            self._hang_up()

    def wait_for(self, promises: int, seconds: float = 20) -> None:
        """Returns when this many more requests were promised to be durable."""
        goal = self.promises + promises
        deadline = time.monotonic() + seconds
        while self.promises < goal:
            assert time.monotonic() < deadline, f"{goal - self.promises} promises are missing"
            time.sleep(0.005)

    @property
    def promises(self) -> int:
        return sum(answer.is_promise for answer in self.answers)

    def acked(self, before: float = math.inf) -> set[str]:
        """Ids of all events that were promised by a moment."""
        return {
            event_id
            for answer in self.answers
            if answer.is_promise and answer.received <= before
            for event_id in answer.batch.event_ids
        }

    def quarantined(self, before: float = math.inf) -> set[str]:
        """Ids of all bad events whose place in quarantine was promised by a moment."""
        return {
            event_id
            for answer in self.answers
            if answer.is_promise and answer.received <= before
            for event_id in answer.batch.bad_ids
        }

    def _send_all(self, number: int) -> None:
        try:
            self._send_batches(number)
        finally:
            self._hang_up()

    def _send_batches(self, number: int) -> None:
        name = f"{uuid.uuid4().hex[:12]}-{number}"
        for count in itertools.count():
            kind = self._kinds[(number + count) % len(self._kinds)]
            batch = kind(f"{name}-{count}", self.target.secret)
            while not self._send(batch):
                if self._is_over.is_set():
                    return
                time.sleep(RETRY_SECONDS)
                if not self._is_patient:
                    break
            if self._is_over.is_set():
                return

    def _send(self, batch: Batch) -> bool:
        """Sends once, on the thread's connection; whether durability was promised."""
        headers = {"Content-Type": "text/plain"}
        if batch.secret is not None:
            signature = sign(batch.secret, batch.body, int(time.time()))
            headers = {"Content-Type": "application/json", "X-PinSphere-Signature": signature}
        connection = self._connection()
        sent = time.monotonic_ns()
        try:
            connection.request("POST", batch.call, batch.body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self._hang_up()
            self.unanswered.append((sent, batch))
            return False
        answer = Answer(
            sent, time.monotonic_ns(), response.status, response.getheader("Retry-After"), batch
        )
        self.answers.append(answer)
        return answer.is_promise

    def _connection(self) -> http.client.HTTPConnection:
        if self._own.port != self.target.port:
            self._hang_up()
            self._own.port = self.target.port
            self._own.connection = http.client.HTTPConnection(
                "127.0.0.1", self._own.port, timeout=15
            )
        return self._own.connection

    def _hang_up(self) -> None:
        if self._own.port is not None:
            self._own.connection.close()
            self._own.port = None


class _Own(threading.local):
    """A sender's connection, and the port it leads to."""

    port: int | None = None
    connection: http.client.HTTPConnection
