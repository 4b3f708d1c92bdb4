"""A home whose news come by Pub/Sub, somebody who publishes, and what the lake holds then."""

import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from google.pubsub_v1 import PublisherClient, PubsubMessage, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from sqlalchemy import text

from pipelines.flows.run import run
from pipelines.io.archive import archive
from pipelines.io.database import open_database
from pipelines.io.drain import Drained, write_events
from pipelines.io.lake import lake_files
from schemas.avro import encode_batch
from schemas.events import AnyEvent, Touch
from schemas.home import Home
from schemas.pubsub import connect
from schemas.spool import Reject
from schemas.tables import RESULTS, RUN_COLUMNS
from tests.made_tables import make_tables

NOON = 1_790_000_000_000
# Copies are counted here, as they should be; everywhere else they must leave no trace.
COUNTS_OF_COPIES = {"data_quality_daily": {"received", "duplicates"}}
SITES = "".join(
    f'[sites.{name}]\nkey = "key-of-{name}"\ncurrency = "GBP"\norders_from = "{mode}"\n'
    for name, mode in (("acme", "server"), ("bolt", "both"))
)
SHOPIFY = (
    '[sites.shopi]\nkey = "key-of-shopi"\ncurrency = "GBP"\nshopify_subscription = "shopify"\n'
)


class Line:
    """A home, its topic and subscription, and Shopify's."""

    def __init__(self, path: Path, *, ack_deadline_seconds: int = 10, shopify: bool = False):
        self.project = f"pinsphere-{uuid.uuid4().hex[:8]}"
        self.publisher: Any = connect(PublisherClient, PublisherGrpcTransport)
        self.subscriber: Any = connect(SubscriberClient, SubscriberGrpcTransport)
        self.ack_deadline_seconds = ack_deadline_seconds
        path.mkdir(exist_ok=True)
        self.home = Home(path)
        settings = f'[pubsub]\nproject = "{self.project}"\n{SITES}{SHOPIFY * shopify}'
        self.home.settings_file.write_text(settings, encoding="utf-8")
        self.settings = self.home.settings()
        self.subscribe("pinsphere-events", "pinsphere-archive")
        if shopify:
            self.subscribe("shopify", "shopify")

    def subscribe(self, topic: str, subscription: str) -> None:
        """Makes a topic and a subscription to it."""
        self.publisher.create_topic(name=self.topic(topic))
        request = {
            "name": self.subscription(subscription),
            "topic": self.topic(topic),
            "ack_deadline_seconds": self.ack_deadline_seconds,
        }
        self.subscriber.create_subscription(request=request)

    def topic(self, name: str = "pinsphere-events") -> str:
        return f"projects/{self.project}/topics/{name}"

    def subscription(self, name: str = "pinsphere-archive") -> str:
        return f"projects/{self.project}/subscriptions/{name}"

    def publish(self, *bodies: bytes, topic: str = "pinsphere-events", **attributes: str) -> None:
        for start in range(0, len(bodies), 20):
            part = bodies[start : start + 20]
            messages = [PubsubMessage(data=body, attributes=attributes) for body in part]
            self.publisher.publish(topic=self.topic(topic), messages=messages)

    def pull(self, limit: int = 100, name: str = "pinsphere-archive") -> list[Any]:
        """What waits for a consumer, as another one sees it; it is leased for 10 seconds."""
        reply = self.subscriber.pull(subscription=self.subscription(name), max_messages=limit)
        return list(reply.received_messages)

    def waiting(self) -> int:
        """How many messages another consumer could still get."""
        return len(self.pull())

    def give_back(self, received: Any, name: str = "pinsphere-archive") -> None:
        """Ends a lease: the message comes again."""
        request = {
            "subscription": self.subscription(name),
            "ack_ids": [received.ack_id],
            "ack_deadline_seconds": 0,
        }
        self.subscriber.modify_ack_deadline(request=request)

    def drain(self, **options: Any) -> Drained:
        """The archive, until it is idle."""
        return archive(self.home, self.settings, until_idle=True, **options)

    def close(self) -> None:
        self.publisher.transport.close()
        self.subscriber.transport.close()


def touch(event_id: str, **fields: Any) -> Touch:
    return Touch(event_id=event_id, event_time_ms=NOON, site_id="acme", channel="email", **fields)


EVENTS = [touch(f"e{number}") for number in range(30)]
IDS = sorted(event.event_id for event in EVENTS)
REJECT = Reject(
    reject_id="r1",
    site_id="acme",
    received_time_ms=NOON,
    origin="beacon",
    place="event 3",
    reason="why",
    record="{}",
)


def batches(events: Sequence[AnyEvent], size: int) -> list[bytes]:
    """The events in messages of so many."""
    return [encode_batch(events[start : start + size], []) for start in range(0, len(events), size)]


def ids(home: Home) -> list[str]:
    """The ids of all events in the lake, repeats included."""
    tables = [pq.read_table(file.path, partitioning=None) for file in lake_files(home)]
    return sorted(event_id for table in tables for event_id in table["event_id"].to_pylist())


def tables(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """The rows of every result table after a run, without what counts repeats."""
    make_tables(home)
    run(home, code_version="test", shards=2)
    engine = open_database(home)
    rows = {}
    with engine.connect() as connection:
        for name, result in RESULTS.items():
            left_out = set(RUN_COLUMNS) | COUNTS_OF_COPIES.get(name, set())
            columns = ", ".join(c.name for c in result.__table__.columns if c.name not in left_out)
            answer = connection.execute(text(f"SELECT {columns} FROM current_{name}"))
            rows[name] = sorted((tuple(row) for row in answer), key=str)
    engine.dispose()
    return rows


def tables_of(path: Path, events: Iterable[AnyEvent]) -> dict[str, list[tuple[object, ...]]]:
    """The tables of a home whose lake holds just these events, once each: nothing went wrong."""
    path.mkdir()
    home = Home(path)
    home.settings_file.write_text(SITES, encoding="utf-8")
    write_events(home, list(events), "given")
    return tables(home)


def environment() -> dict[str, str]:
    """For processes of the command."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
