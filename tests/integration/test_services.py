"""The services that other tests stand on: the fake must behave as Google's emulator does."""

import uuid

import pytest
import sqlalchemy
from google.api_core import exceptions
from google.cloud import pubsub_v1

from tests.pubsub_fake import FakePubSub


class Line:
    """A topic with one subscription, and the official clients at its two ends."""

    def __init__(self) -> None:
        project = f"projects/pinsphere-{uuid.uuid4().hex[:8]}"
        self.topic, self.subscription = f"{project}/topics/events", f"{project}/subscriptions/lake"
        self.publisher = pubsub_v1.PublisherClient()
        self.subscriber = pubsub_v1.SubscriberClient()
        self.publisher.create_topic(name=self.topic)
        self.subscriber.create_subscription(name=self.subscription, topic=self.topic)

    def publish(self, data: bytes, **attributes: str) -> str:
        return str(self.publisher.publish(self.topic, data, **attributes).result(timeout=20))

    def pull(self, limit: int = 10) -> list[pubsub_v1.types.ReceivedMessage]:
        reply = self.subscriber.pull(subscription=self.subscription, max_messages=limit, timeout=10)
        return list(reply.received_messages)

    def ack(self, *received: pubsub_v1.types.ReceivedMessage) -> None:
        self.subscriber.acknowledge(
            subscription=self.subscription, ack_ids=[each.ack_id for each in received]
        )

    def give_back(self, *received: pubsub_v1.types.ReceivedMessage) -> None:
        self.subscriber.modify_ack_deadline(
            subscription=self.subscription,
            ack_ids=[each.ack_id for each in received],
            ack_deadline_seconds=0,
        )

    def close(self) -> None:
        self.subscriber.delete_subscription(subscription=self.subscription)
        self.publisher.delete_topic(topic=self.topic)
        self.publisher.stop()
        self.subscriber.close()
        self.publisher.transport.close()


@pytest.fixture(params=["emulator", "fake"])
def line(request, monkeypatch):
    if request.param == "fake":
        request.getfixturevalue("fake_pubsub")
    else:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", request.getfixturevalue("emulator_address"))
    line = Line()
    yield line
    line.close()


@pytest.fixture
def fake_line(fake_pubsub):
    line = Line()
    yield line
    line.close()


def test_a_message_arrives_as_it_was_sent(line):
    """The forwarder trusts bytes, attributes and the id that says "it is stored"."""
    message_id = line.publish(b"\x00rows", site_id="acme")

    (received,) = line.pull()

    assert message_id
    assert received.message.message_id == message_id
    assert received.message.data == b"\x00rows"
    assert dict(received.message.attributes) == {"site_id": "acme"}
    assert received.message.publish_time is not None


def test_an_acked_message_is_gone_and_an_unacked_one_comes_back(line):
    """The drain acks after its files are safe; killed before, it must see the rows again."""
    line.publish(b"first")
    line.publish(b"second")
    received: dict[bytes, pubsub_v1.types.ReceivedMessage] = {}
    while len(received) < 2:
        received.update({each.message.data: each for each in line.pull()})

    line.ack(received[b"first"])
    line.give_back(received[b"second"])
    (again,) = line.pull()

    assert again.message.data == b"second"
    assert again.message.message_id == received[b"second"].message.message_id


def test_a_lease_hides_a_message_from_other_consumers(line):
    """Two drains at once share the backlog instead of doubling it."""
    line.publish(b"first")
    line.publish(b"second")

    ours, theirs = line.pull(limit=1), line.pull(limit=1)

    assert sorted(each.message.data for each in ours + theirs) == [b"first", b"second"]


def test_a_name_is_taken_once_and_gone_when_deleted(line):
    """Start-up creates what is missing, and must tell "there already" from "not there"."""
    assert line.publisher.get_topic(topic=line.topic).name == line.topic
    with pytest.raises(exceptions.AlreadyExists):
        line.publisher.create_topic(name=line.topic)
    with pytest.raises(exceptions.AlreadyExists):
        line.subscriber.create_subscription(name=line.subscription, topic=line.topic)
    with pytest.raises(exceptions.NotFound):
        line.publisher.get_topic(topic=line.topic + "-of-nobody")
    with pytest.raises(exceptions.NotFound):
        line.subscriber.get_subscription(subscription=line.subscription + "-of-nobody")


def test_the_best_pubsub_of_this_machine_takes_a_message(pubsub):
    """Tests that need any Pub/Sub get one on every machine."""
    line = Line()
    assert line.publish(b"row")
    line.close()
    assert pubsub.startswith("127.0.0.1:")


def test_the_fake_doubles_messages_on_demand(fake_pubsub: FakePubSub, fake_line: Line):
    """Redelivery is rare in life, so a test has to order it."""
    fake_pubsub.duplicates = 2
    message_id = fake_line.publish(b"row")

    received = fake_line.pull()

    assert [each.message.message_id for each in received] == [message_id] * 3
    assert len({each.ack_id for each in received}) == 3


def test_the_fake_refuses_on_demand_and_a_retry_stores_once(fake_pubsub, fake_line):
    """UNAVAILABLE before the work: nothing happened yet."""
    fake_pubsub.refuse("Publish")
    fake_line.publish(b"row")

    assert [message.data for message in fake_pubsub.published[fake_line.topic]] == [b"row"]


def test_the_fake_loses_an_answer_and_a_retry_stores_twice(fake_pubsub, fake_line):
    """UNAVAILABLE after the work: where duplicates come from in life."""
    fake_pubsub.lose_answer("Publish")
    fake_line.publish(b"row")

    assert [message.data for message in fake_pubsub.published[fake_line.topic]] == [b"row"] * 2


def test_the_fakes_lease_runs_out(fake_line, monkeypatch):
    """A consumer that died without a word gives its messages to the next one."""
    monkeypatch.setattr("tests.pubsub_fake.PULL_SECONDS", 5.0)
    fake_line.publish(b"row")
    (received,) = fake_line.pull()
    fake_line.subscriber.modify_ack_deadline(
        subscription=fake_line.subscription, ack_ids=[received.ack_id], ack_deadline_seconds=1
    )

    (again,) = fake_line.pull()

    assert again.message.message_id == received.message.message_id
    assert again.ack_id != received.ack_id


def test_postgres_answers_over_sqlalchemy_and_keeps_utf8(postgres_url):
    """The tables are promised on PostgreSQL, so tests run on a real one."""
    engine = sqlalchemy.create_engine(postgres_url, poolclass=sqlalchemy.NullPool)
    question = "SELECT current_setting('server_version_num'), CAST(:name AS text)"
    with engine.connect() as connection:
        version, echo = connection.execute(sqlalchemy.text(question), {"name": "Zoë €"}).one()

    assert int(version) >= 130_000
    assert echo == "Zoë €"
