"""One subscription of Pub/Sub: pulling from it, and leases that last while messages are held."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from google.api_core import exceptions
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import ReceivedMessage

from schemas.pubsub import connect, explained

PULL_SECONDS = 5.0
LEASE_SECONDS = 60
# The longest there is. Each lease that ends without an ack, given back or run out, is one of the
# deliveries after which a message becomes a dead letter: a failure of ours must not spend many.
LONGEST_LEASE_SECONDS = 600
# Before the shortest ack deadline Pub/Sub allows, ten seconds, has run out.
RENEW_SECONDS = 3.0
_CALL_SECONDS = 10.0
_ACK_IDS_A_CALL = 1000
_ROLE = "roles/pubsub.subscriber"


class Subscription:
    """A subscription, and which of its messages are held here.

    Raises:
      PubSubError: from each call, when it is refused for good.
      GoogleAPIError: from each call, when Pub/Sub does not answer: one of `RETRYABLE` in
        `schemas.pubsub`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._held: dict[str, float] = {}
        self._lock = threading.Lock()
        with explained(f"connecting to {name}", _ROLE):
            self._client: Any = connect(SubscriberClient, SubscriberGrpcTransport)

    @contextlib.contextmanager
    def open(self) -> Iterator["Subscription"]:
        """Renews the leases on what is held until the block ends, then gives back the rest.

        When the block fails the rest stays leased for long: it would fail again at once.
        """
        done = threading.Event()
        renewer = threading.Thread(target=self._renew, args=(done,), daemon=True)
        renewer.start()
        rest_seconds = LONGEST_LEASE_SECONDS
        try:
            yield self
            rest_seconds = 0
        finally:
            done.set()
            renewer.join()
            with contextlib.suppress(exceptions.GoogleAPIError):
                self._extend(list(self._held), rest_seconds)
            self._client.transport.close()

    def pull(self, limit: int) -> list[ReceivedMessage]:
        """What there is, `limit` messages at most; none when nothing came for some seconds."""
        request = {"subscription": self.name, "max_messages": limit}
        with explained(f"pulling from {self.name}", _ROLE):
            try:
                reply = self._client.pull(request=request, retry=None, timeout=PULL_SECONDS)
            except exceptions.DeadlineExceeded:
                self.check_alive()
                return []
        received = list(reply.received_messages)
        with self._lock:
            self._held.update((each.ack_id, time.monotonic()) for each in received)
        return received

    def ack(self, ack_ids: Sequence[str]) -> None:
        """Tells Pub/Sub never to deliver these again."""
        self._let_go(ack_ids)
        with explained(f"acking to {self.name}", _ROLE):
            for part in _parts(ack_ids):
                request = {"subscription": self.name, "ack_ids": part}
                self._client.acknowledge(request=request, timeout=_CALL_SECONDS)

    def check_alive(self) -> None:
        """Tells a subscription without news from a Pub/Sub that does not answer.

        Both let a pull wait for ever. This call is answered at once: with a refusal, since
        nobody has such a message.
        """
        request = {"subscription": self.name, "ack_ids": ["none"], "ack_deadline_seconds": 0}
        with explained(f"asking {self.name}", _ROLE), contextlib.suppress(exceptions.BadRequest):
            self._client.modify_ack_deadline(request=request, retry=None, timeout=_CALL_SECONDS)

    def _let_go(self, ack_ids: Sequence[str]) -> None:
        with self._lock:
            for ack_id in ack_ids:
                self._held.pop(ack_id, None)

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(RENEW_SECONDS):
            now = time.monotonic()
            with self._lock:
                due = [ack_id for ack_id, at in self._held.items() if at <= now]
                self._held.update((ack_id, now + LEASE_SECONDS / 3) for ack_id in due)
            # What is not renewed comes again, which costs time and no event.
            with contextlib.suppress(exceptions.GoogleAPIError):
                self._extend(due, LEASE_SECONDS)

    def _extend(self, ack_ids: Sequence[str], seconds: int) -> None:
        for part in _parts(ack_ids):
            request = {
                "subscription": self.name,
                "ack_ids": part,
                "ack_deadline_seconds": seconds,
            }
            self._client.modify_ack_deadline(request=request, timeout=_CALL_SECONDS)


def _parts(ack_ids: Sequence[str]) -> Iterator[list[str]]:
    for start in itertools.count(0, _ACK_IDS_A_CALL):
        part = list(ack_ids[start : start + _ACK_IDS_A_CALL])
        if not part:
            return
        yield part
