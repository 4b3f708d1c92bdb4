"""Batches of other releases: waited for while Pub/Sub hides their schema, and read again later."""

import json
import threading
import time
from typing import Any

import pytest
from google.api_core import exceptions
from google.pubsub_v1 import Schema, SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport

from pinsphere import main
from pipelines.io import archive as archiving
from pipelines.io import revisions as asking
from pipelines.io import unread
from pipelines.io.archive import archive
from pipelines.io.drain import Drained
from pipelines.io.quarantine import read_rejects
from pipelines.io.unread import archive_quarantined
from schemas.avro import FINGERPRINT, encode_batch
from schemas.errors import PubSubError
from schemas.pubsub import connect
from tests.integration.archiving import EVENTS, IDS, REJECT, Line, batches, ids, touch
from tests.schemas.avro_revisions import older, written_in

BEFORE = older("network_hash")


@pytest.fixture
def line(line, monkeypatch):
    monkeypatch.setattr(archiving, "_FIRST_PAUSE_SECONDS", 0.05)
    return line


def commit(line: Line, schema: Any = BEFORE) -> None:
    """Pub/Sub knows the earlier release's schema from here on."""
    service = connect(SchemaServiceClient, SchemaServiceGrpcTransport)
    parent = f"projects/{line.project}"
    stored = Schema(type_=Schema.Type.AVRO, definition=json.dumps(schema))
    service.create_schema(parent=parent, schema=stored, schema_id="pinsphere-events")
    service.transport.close()


def bodies(line: Line) -> list[str]:
    return sorted(path.name for path in (line.home.quarantine / "messages").glob("*"))


def test_a_moments_outage_sends_no_batch_to_quarantine(line, fake_pubsub):
    """One 503 used to hide every batch of the earlier release until the next restart."""
    commit(line)
    fake_pubsub.refuse("ListSchemaRevisions", 2)
    line.publish(*[written_in(BEFORE, touch(f"old{number}")) for number in range(3)])
    line.publish(*batches(EVENTS, 10))
    told: list[str] = []

    assert line.drain(tell=told.append).rejects == 0

    assert set(ids(line.home)) == {"old0", "old1", "old2", *IDS}
    assert "a batch of another release cannot be read yet: 503" in told[0]
    assert "nothing is acked" in told[0]
    assert line.pull() == []


class Forbidden:
    """Stands in for the client of an account without `roles/pubsub.viewer`."""

    transport = type("Transport", (), {"close": staticmethod(lambda: None)})

    def list_schema_revisions(self, **_: Any) -> list[Any]:
        raise exceptions.PermissionDenied("no")


def test_a_missing_right_is_told_and_nothing_is_acked(line, monkeypatch):
    """Orders of a whole roll-out would else lie in quarantine, acked."""
    commit(line)
    monkeypatch.setattr(archiving, "PATIENCE_SECONDS", 0.1)
    line.publish(written_in(BEFORE, *EVENTS))
    with monkeypatch.context() as denied:
        denied.setattr(asking, "connect", lambda *_: Forbidden())
        denied.setattr("pipelines.io.subscription.LONGEST_LEASE_SECONDS", 1)
        with pytest.raises(PubSubError, match=r"403 no; grant this account .*pubsub\.viewer"):
            line.drain()
    assert bodies(line) == []

    time.sleep(1.1)  # until the lease has run out
    assert line.drain() == Drained(events=30, rejects=0, files=1)


def test_a_service_waits_for_the_right_and_goes_on(line, monkeypatch):
    """Who grants it need restart nothing."""
    commit(line)
    line.publish(written_in(BEFORE, *EVENTS))
    granted, real = threading.Event(), connect
    monkeypatch.setattr(
        asking, "connect", lambda *given: real(*given) if granted.is_set() else Forbidden()
    )
    stop, told = threading.Event(), []

    def tell(what: str) -> None:
        told.append(what)
        (stop if what.startswith("going on") else granted).set()

    archive(line.home, line.settings, stop=stop, tell=tell)

    assert ids(line.home) == IDS
    assert "403 no" in told[0]


def test_what_a_release_can_read_now_comes_back_from_quarantine(line):
    """Batches that came before their schema did; the rest is left for another release."""
    newer = encode_batch(EVENTS[20:], []).replace(FINGERPRINT.encode(), b"0123456789abcdef")
    line.publish(written_in(BEFORE, *EVENTS[:20]), newer, b"poison")
    assert line.drain().rejects == 3
    commit(line)

    done = archive_quarantined(line.home, line.settings)

    assert done == (Drained(events=20, rejects=0, files=1), 2)
    assert ids(line.home) == sorted(event.event_id for event in EVENTS[:20])
    assert bodies(line) == ["pinsphere-archive-2", "pinsphere-archive-3"]
    assert archive_quarantined(line.home, line.settings) == (Drained(), 2)


def test_a_body_is_removed_only_when_its_events_are_durable(line, monkeypatch):
    """A full disk must not cost the one copy there is."""
    line.publish(written_in(BEFORE, *EVENTS))
    line.drain()
    commit(line)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(unread, "write_chunk", full)
        with pytest.raises(OSError, match="No space left"):
            archive_quarantined(line.home, line.settings)
    assert bodies(line) == ["pinsphere-archive-1"]

    assert archive_quarantined(line.home, line.settings).drained.events == 30


def test_while_schemas_are_hidden_the_bodies_stay(line, fake_pubsub):
    line.publish(written_in(BEFORE, *EVENTS))
    line.drain()
    fake_pubsub.refuse("ListSchemaRevisions", 1)

    with pytest.raises(PubSubError, match="cannot be read yet: 503"):
        archive_quarantined(line.home, line.settings)

    assert bodies(line) == ["pinsphere-archive-1"]


def test_rejects_in_a_body_find_their_place(line):
    """They are the beacon's, with reasons of their own."""
    folder = line.home.quarantine / "messages"
    folder.mkdir(parents=True)
    (folder / "pinsphere-archive-7").write_bytes(encode_batch(EVENTS, [REJECT]))

    assert archive_quarantined(line.home, line.settings).drained == Drained(30, 1, 1)
    assert list(read_rejects(line.home)) == [REJECT]


def test_the_command_says_what_came_back_and_what_did_not(line, capsys):
    line.publish(written_in(BEFORE, *EVENTS), b"poison")
    line.drain()
    commit(line)

    main(["archive", "--quarantined", "--home", str(line.home.path)])

    said = capsys.readouterr().out
    assert said == "30 events in 1 files; 1 messages cannot be read yet\n"
