"""`pinsphere pubsub create`: all that forwarder and archive need, made once."""

import threading

import pytest
from google.pubsub_v1 import PublisherClient, SchemaServiceClient, SubscriberClient
from google.pubsub_v1.types import Encoding, Schema

from beacon import topics
from beacon.publisher import Publisher
from schemas.avro import AVRO_SCHEMA, encode_batch
from schemas.errors import PubSubError, SettingsError
from schemas.events import ViewItem
from tests.integration.forwarding import NOW_MS, Line
from tests.services import free_port


@pytest.fixture
def line(emulator_address, monkeypatch, make_line) -> Line:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator_address)
    line: Line = make_line()
    return line


@pytest.fixture
def publish(line):
    """Publishes one message to the line's topic."""
    line.create()
    publishers: list[Publisher] = []

    def send(data: bytes) -> bool:
        publisher = Publisher(line.topic, stop=threading.Event(), tell=print, count=str)
        publishers.append(publisher)
        return publisher.publish(data)

    yield send
    for publisher in publishers:
        publisher.close()


def words(said: list[str]) -> list[str]:
    """Each line up to the name of the thing, and that name's last part."""
    return [f"{line.partition(' projects/')[0]} {line.rpartition('/')[2]}" for line in said]


def test_everything_is_made_once(line):
    """An installation script may run it each time."""
    first, second = line.create(), line.create()

    assert [said.partition(", revision")[0] for said in words(first)] == [
        "made schema pinsphere-events",
        "made topic pinsphere-events",
        "made topic pinsphere-dead-letter",
        "made subscription pinsphere-dead-letter",
        "made subscription pinsphere-archive",
    ]
    assert [said.replace("there:", "made") for said in second] == first


def test_the_archives_subscription_keeps_messages_while_it_is_away(line):
    """A week of holidays with the archive stopped; a batch it always dies of is set aside."""
    line.create()
    project = f"projects/{line.project}"
    with SubscriberClient() as client:
        name = f"{project}/subscriptions/pinsphere-archive"
        subscription = client.get_subscription(subscription=name)
        name = f"{project}/subscriptions/pinsphere-dead-letter"
        kept = client.get_subscription(subscription=name)

    assert subscription.topic == line.topic
    assert subscription.ack_deadline_seconds == 600
    assert subscription.message_retention_duration.total_seconds() == 7 * 86_400
    assert "expiration_policy" in subscription
    assert "ttl" not in subscription.expiration_policy
    dead_letters = f"{project}/topics/pinsphere-dead-letter"
    assert subscription.dead_letter_policy.dead_letter_topic == dead_letters
    assert subscription.dead_letter_policy.max_delivery_attempts == 100
    assert kept.topic == dead_letters


def test_google_keeps_messages_for_a_month(monkeypatch):
    """The most Google allows; its emulator still refuses more than a week."""
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)

    assert topics.retention_seconds() == 31 * 86_400


def test_the_topic_refuses_what_breaks_the_schema(publish):
    """Nobody puts nonsense between beacon and lake; the forwarder's messages pass."""
    event = ViewItem(event_id="e", event_time_ms=NOW_MS, site_id="acme", item_id="mug")

    assert publish(encode_batch([event], []))
    for nonsense in (b"nonsense", encode_batch([event], [])[:-3]):
        with pytest.raises(PubSubError, match=r"400 .*parse.*give the topic its schema"):
            publish(nonsense)


def test_a_new_releases_schema_is_a_new_revision_beside_the_old_one(line, publish, monkeypatch):
    """Forwarders of both releases publish while a roll-out is under way."""
    old = encode_batch([], [])
    fields = [*AVRO_SCHEMA["fields"], {"name": "trace", "type": ["null", "string"]}]
    monkeypatch.setattr(topics, "AVRO_SCHEMA", {**AVRO_SCHEMA, "fields": fields})

    said = words(line.create())

    assert said[0].startswith("made revision ")
    assert said[1] == "there: topic pinsphere-events"
    assert publish(old)
    assert publish(old + b"\x00")  # and `trace`, null
    assert words(line.create())[0].startswith("there: schema pinsphere-events, revision")


def test_a_topic_without_a_schema_is_bound_to_it(line):
    """Somebody made the topic by hand."""
    with PublisherClient() as client:
        client.create_topic(name=line.topic)

        said = words(line.create())

        assert said[1] == "bound topic pinsphere-events to its schema"
        settings = client.get_topic(topic=line.topic).schema_settings
    assert settings.schema == f"projects/{line.project}/schemas/pinsphere-events"
    assert settings.encoding == Encoding.BINARY


def test_another_schemas_topic_is_left_alone(line):
    """It is somebody else's, and her publishers would be refused."""
    project = f"projects/{line.project}"
    definition = '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "int"}]}'
    other = Schema(type_=Schema.Type.AVRO, definition=definition)
    with SchemaServiceClient() as schemas, PublisherClient() as publisher:
        schemas.create_schema(parent=project, schema=other, schema_id="other")
        bound = {"schema": f"{project}/schemas/other", "encoding": Encoding.BINARY}
        publisher.create_topic(request={"name": line.topic, "schema_settings": bound})

    with pytest.raises(PubSubError, match=r"is bound to another schema, .*/schemas/other"):
        line.create()


def test_a_subscription_to_another_topic_is_told(line):
    """The archive would wait for ever."""
    project = f"projects/{line.project}"
    other = f"{project}/topics/other"
    with PublisherClient() as publisher, SubscriberClient() as subscriber:
        publisher.create_topic(name=other)
        name = f"{project}/subscriptions/pinsphere-archive"
        subscriber.create_subscription(name=name, topic=other)

    with pytest.raises(PubSubError, match=r"pinsphere-archive reads .*/topics/other, not "):
        line.create()


def test_without_pubsub_the_way_out_is_told(make_line, monkeypatch):
    """No server there; no section in the settings."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    line = make_line()
    with pytest.raises(PubSubError, match="Pub/Sub does not answer: 503"):
        line.create()

    line.home.settings_file.write_text("")
    with pytest.raises(SettingsError, match=r"has no section \[pubsub\]"):
        line.create()
