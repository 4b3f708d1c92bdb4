"""`pinsphere pubsub create`: schema, topics and subscriptions in Google Pub/Sub.

What is there stays as it is; only the schema moves on. The topic takes any revision of its
schema, so that forwarders of two releases may run side by side.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import msgspec
from google.api_core import exceptions
from google.protobuf import duration_pb2, field_mask_pb2
from google.pubsub_v1 import PublisherClient, SchemaServiceClient, SubscriberClient
from google.pubsub_v1 import types as pubsub
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from beacon.publisher import pubsub_settings
from schemas.avro import AVRO_SCHEMA
from schemas.errors import PubSubError
from schemas.home import Home
from schemas.pubsub import connect, explained, one_line
from schemas.settings import PubSub

ACK_DEADLINE_SECONDS = 600
# The longest there is.
RETENTION_SECONDS = 31 * 86_400
EMULATOR_RETENTION_SECONDS = 7 * 86_400
# The most there is: a consumer that crashes again and again must not lose good batches to the
# dead letters, and one that cannot read a batch puts it into quarantine at once.
MAX_DELIVERIES = 100
# No retry of Google's own: whoever types the command is told at once.
_CALL: dict[str, Any] = {"retry": None, "timeout": 30.0}


class _Clients:
    def __init__(self) -> None:
        self.publisher: Any = connect(PublisherClient, PublisherGrpcTransport)
        self.subscriber: Any = connect(SubscriberClient, SubscriberGrpcTransport)
        self.schemas: Any = connect(SchemaServiceClient, SchemaServiceGrpcTransport)

    def close(self) -> None:
        for client in (self.publisher, self.subscriber, self.schemas):
            client.transport.close()


def create_topics(home: Home) -> Iterator[str]:
    """Makes what is missing, and says for each thing what was made and what was there.

    Raises:
      SettingsError: `pinsphere.toml` is missing or wrong, or has no `[pubsub]`.
      PubSubError: permission denied, no answer, or a thing of that name is another's.
    """
    settings = pubsub_settings(home)
    project = f"projects/{settings.project}"
    try:
        with explained(f"setting up {project}", "roles/pubsub.editor"):
            clients = _Clients()
            try:
                yield from _create(clients, project, settings)
            finally:
                clients.close()
    except exceptions.GoogleAPIError as error:
        raise PubSubError(f"Pub/Sub does not answer: {one_line(error)}") from None


def _create(clients: _Clients, project: str, settings: PubSub) -> Iterator[str]:
    schema = f"{project}/schemas/{settings.topic}"
    topic = f"{project}/topics/{settings.topic}"
    # A subscription of its own: without one, Pub/Sub drops dead letters as they come.
    dead_letters = f"{project}/topics/{settings.dead_letter_topic}"
    kept = f"{project}/subscriptions/{settings.dead_letter_topic}"
    archive = f"{project}/subscriptions/{settings.subscription}"
    yield _bring_schema(clients.schemas, project, schema, settings.topic)
    bound = pubsub.Topic(
        name=topic,
        schema_settings=pubsub.SchemaSettings(schema=schema, encoding=pubsub.Encoding.BINARY),
    )
    yield _bring_topic(clients.publisher, bound)
    yield _bring_topic(clients.publisher, pubsub.Topic(name=dead_letters))
    yield _bring_subscription(clients.subscriber, _subscription(kept, dead_letters))
    policy = pubsub.DeadLetterPolicy(
        dead_letter_topic=dead_letters, max_delivery_attempts=MAX_DELIVERIES
    )
    yield _bring_subscription(clients.subscriber, _subscription(archive, topic, policy))


def retention_seconds() -> int:
    """How long a subscription keeps what nobody took."""
    is_emulated = os.environ.get("PUBSUB_EMULATOR_HOST")
    return EMULATOR_RETENTION_SECONDS if is_emulated else RETENTION_SECONDS


def _subscription(
    name: str, topic: str, policy: pubsub.DeadLetterPolicy | None = None
) -> pubsub.Subscription:
    return pubsub.Subscription(
        name=name,
        topic=topic,
        ack_deadline_seconds=ACK_DEADLINE_SECONDS,
        message_retention_duration=duration_pb2.Duration(seconds=retention_seconds()),
        expiration_policy=pubsub.ExpirationPolicy(),  # without a time to live: never
        dead_letter_policy=policy,
    )


def _bring_schema(schemas: Any, project: str, name: str, schema_id: str) -> str:
    ours = pubsub.Schema(
        type_=pubsub.Schema.Type.AVRO, definition=msgspec.json.encode(AVRO_SCHEMA).decode()
    )
    request = {"parent": project, "schema": ours, "schema_id": schema_id}
    try:
        made = schemas.create_schema(request=request, **_CALL)
    except exceptions.AlreadyExists:
        stored = schemas.get_schema(request={"name": name, "view": "FULL"}, **_CALL)
    else:
        return f"made schema {name}, revision {made.revision_id}"
    if json.loads(stored.definition) == AVRO_SCHEMA:
        return f"there: schema {name}, revision {stored.revision_id}"
    ours.name = name
    made = schemas.commit_schema(request={"name": name, "schema": ours}, **_CALL)
    return f"made revision {made.revision_id} of schema {name}"


def _bring_topic(publisher: Any, topic: pubsub.Topic) -> str:
    try:
        publisher.create_topic(request=topic, **_CALL)
    except exceptions.AlreadyExists:
        stored = publisher.get_topic(request={"topic": topic.name}, **_CALL)
    else:
        return f"made topic {topic.name}"
    ours, theirs = topic.schema_settings, stored.schema_settings
    if (ours.schema, ours.encoding) == (theirs.schema, theirs.encoding):
        return f"there: topic {topic.name}"
    if theirs.schema:
        raise PubSubError(
            f"topic {topic.name} is bound to another schema, {theirs.schema}"
            f" ({theirs.encoding.name}); name another topic in [pubsub]"
        )
    mask = field_mask_pb2.FieldMask(paths=["schema_settings"])
    publisher.update_topic(request={"topic": topic, "update_mask": mask}, **_CALL)
    return f"bound topic {topic.name} to its schema"


def _bring_subscription(subscriber: Any, subscription: pubsub.Subscription) -> str:
    name = subscription.name
    try:
        subscriber.create_subscription(request=subscription, **_CALL)
    except exceptions.AlreadyExists:
        stored = subscriber.get_subscription(request={"subscription": name}, **_CALL)
    else:
        return f"made subscription {name}"
    if stored.topic != subscription.topic:
        raise PubSubError(
            f"subscription {name} reads {stored.topic}, not {subscription.topic};"
            " delete it, or name another in [pubsub]"
        )
    return f"there: subscription {name}"
