"""A home with a spool, Pub/Sub behind it, and forwarders in between, for their tests."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
from google.api_core import exceptions
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from beacon.forward import Forwarded, Forwarder, forward
from beacon.lag import ForwardMetrics
from beacon.publisher import Publisher
from beacon.spool_file import Entry, SpoolFile
from beacon.topics import create_topics
from schemas.avro import Batch, decode_batch
from schemas.home import Home
from schemas.pubsub import connect

ROOT = Path(__file__).parents[2]
VARIANTS = Path(__file__).parent / "forward_variants.py"
NOW_MS = 1_790_000_000_000
SETTINGS = """
spool_keep_days = {keep_days}

[beacon]
spool_max_mb = {spool_max_mb}
min_free_percent = 0

[pubsub]
project = "{project}"

[sites.acme]
key = "acme-public-key"
currency = "GBP"
"""


def now_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


def event(event_id: str) -> dict[str, object]:
    return {
        "event_name": "view_item",
        "event_id": event_id,
        "event_time_ms": NOW_MS,
        "received_time_ms": NOW_MS,
        "site_id": "acme",
        "item_id": "mug",
    }


class Process:
    """A forwarder in a process of its own."""

    def __init__(self, home: Home, message_bytes: int, variant: str) -> None:
        arguments = [str(home.path), str(message_bytes), variant]
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(VARIANTS), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, word: str, count: int = 1) -> None:
        """Returns when it has said "sending" or "acked" so many times more."""
        assert self.process.stdout is not None
        while count:
            said = self.process.stdout.readline()
            assert said, "the forwarder ended"
            count -= said == f"{word}\n"

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.communicate()

    def terminate(self) -> tuple[int, str]:
        """SIGTERM; gives the exit code and what it said from here on."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=20)
        return self.process.returncode, said


class Line:
    """Home, topic and subscription of one test."""

    def __init__(self, path: Path, *, keep_days: float = 7, spool_max_mb: int = 100) -> None:
        self.home = Home(path)
        self.home.spool.mkdir(parents=True)
        self.project = f"shop-{uuid.uuid4().hex[:8]}"
        settings = SETTINGS.format(
            project=self.project, keep_days=keep_days, spool_max_mb=spool_max_mb
        )
        self.home.settings_file.write_text(settings)
        self.topic = f"projects/{self.project}/topics/pinsphere-events"
        self._subscription = f"projects/{self.project}/subscriptions/pinsphere-archive"
        self._files: list[SpoolFile] = []

    def create(self) -> list[str]:
        """What `pinsphere pubsub create` says."""
        return list(create_topics(self.home))

    def create_bare(self) -> None:
        """Topic and subscription without a schema, which the fake does not know."""
        publisher = connect(PublisherClient, PublisherGrpcTransport)
        subscriber = connect(SubscriberClient, SubscriberGrpcTransport)
        publisher.create_topic(name=self.topic)
        subscriber.create_subscription(name=self._subscription, topic=self.topic)
        publisher.transport.close()
        subscriber.transport.close()

    def open_file(self) -> SpoolFile:
        """A spool file of a living beacon."""
        self._files.append(SpoolFile.create(self.home.spool))
        return self._files[-1]

    def fill(self, requests: int, events: int = 1, received_ms: int | None = None) -> set[str]:
        """A new spool file with so many requests of so many events; gives their event ids."""
        file, prefix = self.open_file(), uuid.uuid4().hex
        ids = [[f"{prefix}-{row}-{n}" for n in range(events)] for row in range(requests)]
        received_ms = now_ms() if received_ms is None else received_ms
        file.commit([Entry(received_ms, msgspec.json.encode([*map(event, row)])) for row in ids])
        return {event_id for row in ids for event_id in row}

    def forward(self, **options: object) -> Forwarded:
        """One forwarder in this process, until everything is sent."""
        return forward(self.home, until_idle=True, **options)  # type: ignore[arg-type]

    def start(self, *, message_bytes: int = 400_000, variant: str = "shipped") -> Process:
        return Process(self.home, message_bytes, variant)

    @contextlib.contextmanager
    def running(self) -> Iterator[ForwardMetrics]:
        """A forwarder in a thread, as long as the block lasts; gives its metrics."""
        metrics, stop = ForwardMetrics(self.home), threading.Event()
        publisher = Publisher(self.topic, stop=stop, tell=lambda _: None, count=metrics.count)
        forwarder = Forwarder(
            self.home,
            publisher,
            metrics=metrics,
            stop=stop,
            tell=lambda _: None,
            settings=self.home.settings(),
        )
        thread = threading.Thread(target=forwarder.run, kwargs={"until_idle": False})
        thread.start()
        try:
            yield metrics
        finally:
            stop.set()
            thread.join()
            publisher.close()

    def pull(self) -> list[Batch]:
        """All messages that wait, decoded; they are leased and do not come again."""
        batches: list[Batch] = []
        with connect(SubscriberClient, SubscriberGrpcTransport) as subscriber:
            request = {"subscription": self._subscription, "max_messages": 1000}
            while True:
                try:
                    reply = subscriber.pull(request=request, retry=None, timeout=2)
                except exceptions.DeadlineExceeded:
                    return batches
                if not reply.received_messages:
                    return batches
                batches += [decode_batch(each.message.data) for each in reply.received_messages]

    def received(self) -> list[str]:
        """The id of each event that arrived, as often as it did."""
        return [event.event_id for batch in self.pull() for event in batch.events]

    def rows(self) -> int:
        """Rows of requests in all spool files."""
        return sum(
            file._connection.execute("SELECT count(*) FROM requests").fetchone()[0]
            for file in self._files
        )

    def close(self) -> None:
        """The beacons end."""
        while self._files:
            self._files.pop().close()
