"""What messages of Pub/Sub hold: the forwarder's batches, and Shopify's own deliveries."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

from pipelines.io.revisions import Revisions
from schemas.avro import decode_batch
from schemas.contract import check_not_ahead
from schemas.errors import EventError, SettingsError, UsageError
from schemas.events import EARLIEST_MS, LATEST_MS
from schemas.ids import is_site_id
from schemas.settings import Settings, Site
from schemas.shopify import bare_shopify, read_shopify
from schemas.spool import UNKNOWN_SITE, Reject, record_text
from schemas.webhooks import name_events, translated

if TYPE_CHECKING:
    from schemas.events import AnyEvent

ORIGIN = "archive"
_SUBSCRIPTION = re.compile(r"(projects/[^/\s]+/subscriptions/)?[A-Za-z][\w.~+%-]{2,254}", re.ASCII)
# What Pub/Sub adds to a message that it moves to a dead-letter topic.
_DEAD_FROM = "CloudPubSubDeadLetterSourceSubscription"
_DEAD_PROJECT = "CloudPubSubDeadLetterSourceSubscriptionProject"


@dataclass(frozen=True)
class Source:
    """A subscription, and the site whose Shopify writes to it; without one, our own batches."""

    subscription: str
    site_id: str = ""
    site: Site | None = None

    @property
    def name(self) -> str:
        """The last part of the subscription's name."""
        return self.subscription.rpartition("/")[2]


def sources_of(settings: Settings) -> list[Source]:
    """All subscriptions that the settings name.

    Raises:
      SettingsError: one is named twice, or without its project while there is no `[pubsub]`.
    """
    sources = []
    if settings.pubsub is not None:
        sources.append(Source(full_name(settings, settings.pubsub.subscription)))
    for site_id, site in sorted(settings.sites.items()):
        if site.shopify_subscription is not None:
            name = full_name(settings, site.shopify_subscription)
            sources.append(Source(name, site_id, site))
    names = [source.subscription for source in sources]
    if len(set(names)) < len(names):
        raise SettingsError(f"one subscription is named twice among {', '.join(names)}")
    return sources


def check_subscription(name: str) -> None:
    """Raises a UsageError when no subscription can have that name."""
    if _SUBSCRIPTION.fullmatch(name) is None:
        raise UsageError(
            f"--subscription {name!r} is no subscription's name, such as my-subscription or"
            " projects/my-project/subscriptions/my-subscription"
        )


def full_name(settings: Settings, subscription: str) -> str:
    """`projects/<project>/subscriptions/<id>` of a full name, or of an id in our project.

    Raises:
      SettingsError: an id alone, and no `[pubsub]` that says the project.
    """
    if subscription.startswith("projects/"):
        return subscription
    if settings.pubsub is None:
        raise SettingsError(
            f"subscription {subscription!r}: set project in [pubsub], or write"
            f" projects/PROJECT/subscriptions/{subscription}"
        )
    return f"projects/{settings.pubsub.project}/subscriptions/{subscription}"


class Chunk:
    """Messages that are held together, and what they say.

    Attributes:
      events: the good events.
      rejects: what goes to quarantine.
      bodies: whole messages, by file name, of which quarantine's lines show only a part.
      ack_ids: by these the messages are acked.
      size: bytes of the messages.
      oldest_ms: when the first of the messages was published.
    """

    def __init__(self, source: Source, known: Iterable[Source], revisions: Revisions) -> None:
        self.events: list[AnyEvent] = []
        self.rejects: list[Reject] = []
        self.bodies: dict[str, bytes] = {}
        self.ack_ids: list[str] = []
        self.size = 0
        self.oldest_ms = 0
        self._source = source
        self._known = {each.subscription: each for each in known}
        self._revisions = revisions
        self._digest = hashlib.blake2b(digest_size=10)

    @property
    def name(self) -> str:
        """A file name that says which messages these are: no others ever have it."""
        return f"pubsub-{self._source.name}-{self._digest.hexdigest()}"

    def add(self, received: ReceivedMessage) -> None:
        """Reads one message; what breaks its contract becomes a reject.

        Raises:
          HiddenSchemaError: whether it breaks its contract cannot be told now; the chunk is as if
            there were no such message.
        """
        message = received.message
        letter = _Letter(self._writer_of(message), message)
        if letter.source.site is None:
            self._add_batch(letter)
        else:
            self._add_shopify(letter, letter.source.site)
        self.ack_ids.append(received.ack_id)
        self.size += len(message.data)
        self.oldest_ms = min(self.oldest_ms or letter.published_ms, letter.published_ms)
        self._digest.update(f"{message.message_id} {len(message.data)} ".encode())
        self._digest.update(message.data)

    def _writer_of(self, message: PubsubMessage) -> Source:
        """Who wrote it: the dead letters of a Shopify subscription are Shopify's."""
        project = message.attributes.get(_DEAD_PROJECT)
        name = f"projects/{project}/subscriptions/{message.attributes.get(_DEAD_FROM)}"
        return self._known.get(name, self._source)

    def _add_batch(self, letter: "_Letter") -> None:
        try:
            batch = decode_batch(letter.message.data, self._revisions.find)
        except EventError as error:
            # A batch that is lost would be many events: keep all of it.
            self.bodies[letter.name] = letter.message.data
            reject = letter.reject(letter.message.data, str(error))
            reject.place += f", whole in messages/{letter.name}"
            self.rejects.append(reject)
            return
        for reject in batch.rejects:
            if not EARLIEST_MS <= reject.received_time_ms < LATEST_MS:
                reject.received_time_ms = letter.published_ms  # it names a folder
            self.rejects.append(reject)
        for broken in batch.broken:
            part = f" event {broken.place}"
            self.rejects.append(letter.reject(broken.record, broken.reason, part))
        for place, event in enumerate(batch.events):
            if is_site_id(event.site_id):
                self.events.append(event)
            else:
                reason = f"site_id {event.site_id!r} is no site id"
                part = f" event of no site {place}"
                self.rejects.append(letter.reject(msgspec.json.encode(event), reason, part))

    def _add_shopify(self, letter: "_Letter", site: Site) -> None:
        """Google's access control on the topic is the trust: only Shopify may publish there."""
        data = letter.message.data
        headers = {name.lower(): value for name, value in letter.message.attributes.items()}
        topic = headers.get("x-shopify-topic")
        if topic is None:
            self.rejects.append(letter.reject(b"", "no attribute X-Shopify-Topic: not Shopify's"))
            return
        try:
            events = translated(lambda: read_shopify(topic, data, site.item_id_from))
            for event in events:
                check_not_ahead(event, event.event_time_ms, letter.published_ms)
        except EventError as error:
            self.rejects.append(letter.reject(bare_shopify(data), str(error)))
            return
        name_events(events, headers.get("x-shopify-webhook-id", letter.message.message_id), data)
        for event in events:
            event.site_id = letter.source.site_id
            event.source = "webhook"
            event.is_signed = True
            event.received_time_ms = letter.published_ms
        self.events += events


@dataclass(frozen=True)
class _Letter:
    """A message, and who wrote it."""

    source: Source
    message: PubsubMessage

    @property
    def name(self) -> str:
        return f"{self.source.name}-{self.message.message_id}"

    @property
    def published_ms(self) -> int:
        return int(self.message.publish_time.timestamp() * 1000)

    def reject(self, record: bytes, reason: str, part: str = "") -> Reject:
        # The same id each time the message is delivered: it is counted once.
        return Reject(
            reject_id=f"{self.name}{part.replace(' ', '-')}",
            site_id=self.source.site_id or UNKNOWN_SITE,
            received_time_ms=self.published_ms,
            origin=ORIGIN,
            place=f"message {self.message.message_id} of {self.source.subscription}{part}",
            reason=reason,
            record=record_text(record),
        )
