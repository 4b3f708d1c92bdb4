"""Batches in Avro: what the forwarder packs is what the archive unpacks, or a plain refusal."""

import contextlib
import json
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import AVRO_SCHEMA, FINGERPRINT, decode_batch, encode_batch, older_schema
from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import EVENTS, AnyEvent, ViewItem
from schemas.spool import Reject
from tests.schemas.avro_revisions import older, written_in
from tests.schemas.examples import NOON, example
from tests.strategies import TinyWorld, tiny_worlds

ROOT = Path(__file__).parents[2]
REJECT = Reject(
    reject_id="r-1",
    site_id="acme",
    received_time_ms=NOON,
    origin="beacon",
    place="event 3",
    reason="why",
    record='{"name": "Zoë €"}',
)


def an_event(event_name: str = "view_item") -> AnyEvent:
    return decode_event(msgspec.json.encode(example(event_name)))


@pytest.mark.parametrize("event_name", EVENTS)
def test_every_event_comes_back_with_all_its_fields(event_name):
    """A field forgotten on the way would be missing from the tables without a word."""
    event = an_event(event_name)

    assert decode_batch(encode_batch([event], [])).events == [event]


def test_every_field_of_every_event_is_in_the_schema():
    """BigQuery and other readers learn the events from this file alone."""
    records = {record["name"]: record for record in AVRO_SCHEMA["fields"][1]["type"]["items"]}

    assert {
        name: [field["name"] for field in record["fields"]] for name, record in records.items()
    } == {name: list(event.__struct_fields__) for name, event in EVENTS.items()}


def test_events_keep_their_order_and_rejects_come_along():
    """Quarantine shows what the beacon refused, in its own words."""
    events = [an_event(name) for name in EVENTS]

    batch = decode_batch(encode_batch(events, [REJECT, REJECT]))

    assert batch == (events, [REJECT, REJECT], [])


def test_nothing_is_a_batch_too():
    assert decode_batch(encode_batch([], [])) == ([], [], [])


@given(tiny_worlds(max_events=20))
def test_worlds_come_back_as_they_were_and_their_bytes_are_stable(world: TinyWorld):
    """The tables must be the same with Pub/Sub in between as without."""
    data = encode_batch(world.events, [])

    assert decode_batch(data).events == world.events
    assert encode_batch(decode_batch(data).events, []) == data


def test_an_event_that_breaks_its_contract_spares_its_neighbours():
    """Others may publish too: Avro knows types, not that a pin is not its own parent."""
    good, bad = an_event("view_item"), an_event("pin")
    bad = msgspec.structs.replace(bad, parent_pin_id="pin_2")

    batch = decode_batch(encode_batch([good, bad, good], []))

    assert batch.events == [good, good]
    (broken,) = batch.broken
    assert (broken.place, broken.reason) == (1, "pin 'pin_2' names itself as its parent")
    assert json.loads(broken.record)["parent_pin_id"] == "pin_2"


def test_a_text_no_database_takes_does_not_pass():
    """PostgreSQL refuses U+0000: one such text would stop every later run."""
    nul = ViewItem(event_id="e", event_time_ms=NOON, item_id="a\0b")

    assert "U+0000" in decode_batch(encode_batch([nul], [])).broken[0].reason


@pytest.mark.parametrize("data", [b"", b'{"events": []}', b"\xff" * 99, FINGERPRINT.encode()])
def test_what_is_no_batch_is_told_by_its_first_bytes(data):
    """Whoever publishes JSON to the topic by hand reads in quarantine what was expected."""
    with pytest.raises(EventError, match="no batch of events; they begin with"):
        decode_batch(data)


def test_a_batch_of_another_schema_is_told_by_its_fingerprint():
    """After an upgrade of one side only, bytes may decode into nonsense: never try."""
    other = encode_batch([an_event()], []).replace(FINGERPRINT.encode(), b"0123456789abcdef")

    with pytest.raises(EventError, match=f"schema 0123456789abcdef; .* reads {FINGERPRINT}"):
        decode_batch(other)


@pytest.mark.parametrize("event_name", EVENTS)
def test_a_batch_of_an_earlier_release_is_read_with_its_schema(event_name):
    """An upgrade meets a backlog of the release before: nobody wants it in quarantine."""
    schema = older("network_hash")
    event = an_event(event_name)
    known = older_schema(json.dumps(schema))
    assert known is not None
    assert known[0] != FINGERPRINT

    batch = decode_batch(written_in(schema, event), dict([known]).get)

    assert batch.events == [msgspec.structs.replace(event, network_hash=None)]


def test_a_schema_that_knows_more_than_we_do_is_not_read():
    """The archive is upgraded first: else it would drop what it does not know."""
    assert older_schema(json.dumps(older("network_hash", rename="something_new"))) is None


@pytest.mark.parametrize("definition", ["", "{}", '"string"', '{"type": "record"}'])
def test_a_schema_that_is_not_ours_is_not_read(definition):
    assert older_schema(definition) is None


def test_bytes_too_many_are_damage():
    """Two batches run together are not silently halved."""
    data = encode_batch([an_event()], [])

    with pytest.raises(EventError, match="too many at its end"):
        decode_batch(data + data)


def test_a_batch_cut_short_is_damage_wherever_it_is_cut():
    data = encode_batch([an_event("purchase")], [REJECT])

    for size in range(len(data)):
        with pytest.raises(EventError):
            decode_batch(data[:size])


@given(st.data())
def test_damaged_bytes_are_an_event_error_or_a_batch_and_nothing_else(data):
    """The archive runs unattended: any other error would stop it for good."""
    whole = bytearray(encode_batch([an_event("purchase"), an_event("pin")], [REJECT]))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(17, len(whole) - 1))] = data.draw(st.integers(0, 255))

    with contextlib.suppress(EventError):
        assert decode_batch(bytes(whole))


def test_the_committed_schema_has_not_drifted():
    """Refresh it with: python -m schemas.avro > docs/events.avsc."""
    committed = json.loads((ROOT / "docs" / "events.avsc").read_text())

    assert committed == AVRO_SCHEMA


def test_pubsub_takes_the_schema():
    """Its rules: one record at the root, sound Avro, less than 300 KB."""
    text = (ROOT / "docs" / "events.avsc").read_bytes()

    assert len(text) < 300_000
    assert AVRO_SCHEMA["type"] == "record"
    parsed: Any = fastavro.parse_schema(json.loads(text))
    assert parsed["name"] == "pinsphere.Batch"
