"""The event contract: what is taken, what is refused, and what the reason says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import (
    EARLIEST_MS,
    EVENTS,
    LATEST_MS,
    SCHEMA_VERSION,
    UNSIGNED_EVENTS,
    Event,
    Purchase,
    ViewItem,
    line_ids_of,
)
from schemas.openapi import json_schemas
from tests.schemas.examples import OWN_FIELDS, example


def encode(fields: dict[str, Any]) -> bytes:
    """As a sender writes it."""
    return json.dumps(fields).encode()


def reason(raw: bytes) -> str:
    """Why an event is refused."""
    with pytest.raises(EventError) as caught:
        decode_event(raw)
    return str(caught.value)


@pytest.mark.parametrize("event_name", EVENTS)
def test_every_event_survives_json(event_name: str) -> None:
    """The spool writes what the beacon read, and the drain reads it again."""
    fields = example(event_name)

    event = decode_event(encode(fields))

    assert type(event) is EVENTS[event_name]
    assert {**msgspec.to_builtins(event), **defaults_of(fields)} == fields
    assert decode_event(msgspec.json.encode(event)) == event


def defaults_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of an example that equal their default, which are not written out."""
    return {
        field.name: fields[field.name]
        for field in msgspec.structs.fields(EVENTS[fields["event_name"]])
        if field.name in fields and fields[field.name] == field.default
    }


@pytest.mark.parametrize("event_name", EVENTS)
def test_examples_set_every_field_there_is(event_name: str) -> None:
    """A field added without an example is a field without a test; a refund has two shapes."""
    known = set(EVENTS[event_name].__struct_fields__) | {"event_name"}

    assert known - set(example(event_name)) == ({"amount"} if event_name == "refund" else set())
    assert set(OWN_FIELDS) == set(EVENTS)


@pytest.mark.parametrize("event_name", EVENTS)
def test_unknown_fields_are_dropped(event_name: str) -> None:
    """A newer sender must not fill quarantine, nor smuggle a column into the lake."""
    fields = example(event_name)

    assert decode_event(encode({**fields, "credit_card": "4111"})) == decode_event(encode(fields))


@pytest.mark.parametrize("event_name", EVENTS)
def test_every_event_has_a_json_schema_of_its_fields(event_name: str) -> None:
    """The documents a shop's developer reads are derived, never written by hand."""
    schema = json_schemas()[event_name]
    (definition,) = (
        found
        for found in schema["$defs"].values()
        if found.get("properties", {}).get("event_name", {}).get("enum") == [event_name]
    )

    assert set(definition["properties"]) == {
        *EVENTS[event_name].__struct_fields__,
        "event_name",
    }
    json.dumps(schema)


@pytest.mark.parametrize(
    "text",
    [r"a\u0000", r"\u0000", r"a\u001Fb", r"\u001f", "a\x00", "a\x1f"],
)
@pytest.mark.parametrize("field", ["item_id", "visitor_id", "unknown"])
def test_characters_that_would_break_a_key_or_a_database_are_refused(text: str, field: str) -> None:
    """One such id would fail a whole run's insert, or join two shops' keys."""
    raw = encode(example("view_item", **{field: "PLACE"})).replace(b"PLACE", text.encode())

    assert reason(raw).startswith(("a text holds U+0000 or U+001F", "JSON is malformed"))


def test_other_escapes_are_plain_text() -> None:
    """Tabs, accents and emoji are not attacks."""
    raw = encode(example("view_item", item_id="PLACE")).replace(
        b"PLACE", rb"\t\u0001\u00e9\ud83d\udccc\u2028"
    )

    event = decode_event(raw)

    assert isinstance(event, ViewItem)
    assert event.item_id == "\t\x01\u00e9\U0001f4cc\u2028"


def test_a_backslash_is_no_escape_by_itself() -> None:
    """An address that spells the escape out is text: only the character is forbidden."""
    location = r"https://shop.example/\u0000"

    assert decode_event(encode(example("view_item", page_location=location))).page_location == (
        location
    )


MUG = {"item_id": "mug", "price": "1"}


@pytest.mark.parametrize(
    ("event_name", "changes", "why"),
    [
        # The envelope.
        ("view_item", {"event_name": "viewed"}, "Invalid value 'viewed' - at `$.event_name`"),
        ("view_item", {"event_name": None}, "missing required field `event_name`"),
        ("view_item", {"event_name": 7}, "Expected `str`"),
        ("view_item", {"schema_version": 2}, "schema_version 2 is unknown; this release reads 1"),
        ("view_item", {"schema_version": 0}, "schema_version 0 is unknown"),
        ("view_item", {"schema_version": 10**30}, "schema_version"),
        ("view_item", {"event_id": None}, "missing required field `event_id`"),
        ("view_item", {"event_id": ""}, "length >= 1 - at `$.event_id`"),
        ("view_item", {"event_id": "x" * 65}, "length <= 64 - at `$.event_id`"),
        ("view_item", {"event_time_ms": None}, "missing required field `event_time_ms`"),
        ("view_item", {"event_time_ms": EARLIEST_MS - 1}, "`int` >= 946684800000"),
        ("view_item", {"event_time_ms": LATEST_MS}, "4102444799999"),
        ("view_item", {"event_time_ms": "now"}, "Expected `int`, got `str`"),
        ("view_item", {"event_time_ms": 1_767_268_800.5}, "Expected `int`, got `float`"),
        ("view_item", {"received_time_ms": 1}, "at `$.received_time_ms`"),
        ("view_item", {"source": "carrier pigeon"}, "at `$.source`"),
        ("view_item", {"user_agent_class": "cyborg"}, "at `$.user_agent_class`"),
        ("view_item", {"consent": "maybe"}, "at `$.consent`"),
        ("view_item", {"is_signed": "yes"}, "Expected `bool`, got `str`"),
        ("view_item", {"page_location": "x" * 2_049}, "length <= 2048 - at `$.page_location`"),
        ("view_item", {"customer_id": "x" * 129}, "length <= 128 - at `$.customer_id`"),
        ("view_item", {"customer_id": "v:1"}, "starts with 'v:' or 'e:'"),
        ("view_item", {"customer_id": "e:1"}, "starts with 'v:' or 'e:'"),
        # Products and lists.
        ("view_item", {"item_id": None}, "missing required field `item_id`"),
        ("view_item", {"item_id": ""}, "length >= 1 - at `$.item_id`"),
        ("view_item", {"index": -1}, "`int` >= 0 - at `$.index`"),
        ("add_to_cart", {"quantity": 0}, "`int` >= 1 - at `$.quantity`"),
        ("view_item_list", {"items": [{}]}, "missing required field `item_id` - at `$.items[0]`"),
        ("view_item_list", {"items": [{"item_id": "x"}] * 501}, "length <= 500"),
        # Pins and visits.
        ("pin", {"pin_id": None}, "missing required field `pin_id`"),
        ("pin", {"pin_id": "a b"}, "pin id 'a b' is not 1-64 characters"),
        ("pin", {"parent_pin_id": "a.b"}, "pin id 'a.b' is not 1-64 characters"),
        ("pin", {"root_pin_id": "\u00e9"}, "is not 1-64 characters"),
        ("pin", {"parent_pin_id": "pin_2"}, "pin 'pin_2' names itself as its parent"),
        ("pin", {"parent_pin_id": None}, "has root 'pin_0' but no parent"),
        ("pin", {"root_pin_id": "pin_2"}, "has a parent and cannot be its own root"),
        ("pin", {"hop": 256}, "`int` <= 255 - at `$.hop`"),
        ("pin", {"pin_mode": "telepathy"}, "at `$.pin_mode`"),
        ("pin_visit", {"pin_id": "a/b"}, "is not 1-64 characters"),
        ("pin_visit", {"pin_id": None, "match_method": "token"}, "needs its pin_id"),
        ("pin_visit", {"match_method": "luck"}, "at `$.match_method`"),
        # Orders.
        ("purchase", {"order_id": None}, "missing required field `order_id`"),
        ("purchase", {"currency": None}, "missing required field `currency`"),
        ("purchase", {"currency": "POUND"}, "length <= 3 - at `$.currency`"),
        ("purchase", {"currency": "XYZ"}, "currency 'XYZ' is not an ISO 4217 code"),
        ("purchase", {"items": []}, "length >= 1 - at `$.items`"),
        ("purchase", {"items": [MUG] * 10_001}, "length <= 10000 - at `$.items`"),
        ("purchase", {"items": [{"item_id": "mug"}]}, "missing required field `price`"),
        ("purchase", {"items": [MUG | {"price": 1}]}, "Expected `str`, got `int`"),
        ("purchase", {"items": [MUG | {"price": "1e3"}]}, "amount '1e3' is not a decimal number"),
        ("purchase", {"items": [MUG | {"price": "1" * 65}]}, "length <= 64"),
        ("purchase", {"items": [MUG | {"quantity": 0}]}, "`int` >= 1"),
        ("purchase", {"items": [MUG | {"quantity": 10**9 + 1}]}, "`int` <= 1000000000"),
        ("purchase", {"items": [MUG | {"discount": "x"}]}, "amount 'x' is not a decimal number"),
        ("purchase", {"tax": "1.0000001"}, "has more than six decimals"),
        ("purchase", {"shipping": "5 GBP"}, "amount '5 GBP' is not a decimal number"),
        (
            "purchase",
            {"items": [MUG | {"price": "5", "quantity": 10**9}]},
            "order 'o-1' adds up to more than 4503599627 units",
        ),
        (
            "purchase",  # each fits; a refund could not be told from an overflow
            {"items": [MUG | {"price": "4000000000"}, MUG | {"price": "-4000000000"}]},
            "adds up to more than 4503599627 units",
        ),
        ("purchase", {"items": [MUG | {"line_id": "a"}] * 2}, "names a line_id twice"),
        ("purchase", {"items": [MUG | {"line_id": "2"}, MUG]}, "names a line_id twice"),
        # Refunds.
        ("refund", {"refund_id": None}, "missing required field `refund_id`"),
        ("refund", {"kind": "theft"}, "at `$.kind`"),
        ("refund", {"currency": "XYZ"}, "currency 'XYZ' is not an ISO 4217 code"),
        ("refund", {"amount": "1"}, "refund 'r-1' has both items and an amount"),
        ("refund", {"items": [], "amount": "-1"}, "has a negative amount; refunds are positive"),
        ("refund", {"items": [{"line_id": "1", "amount": "-1"}]}, "has a negative amount"),
        ("refund", {"items": [{"amount": "1"}]}, "has a line without line_id or item_id"),
        ("refund", {"items": [{"line_id": "1"}]}, "has a line without quantity or amount"),
        (
            "refund",
            {"items": [{"line_id": "1", "amount": "4000000000"}] * 2},
            "refund 'r-1' adds up to more than 4503599627 units",
        ),
        # People and the rest.
        (
            "identify",
            {"customer_id": None, "email_sha256": None, "action": "login"},
            "identify needs a customer_id or an email_sha256",
        ),
        ("identify", {"email_sha256": "a" * 63}, "length >= 64"),
        ("identify", {"email_sha256": "A" * 64}, "not 64 lower-case hexadecimal digits"),
        ("identify", {"email_sha256": "g" * 64}, "not 64 lower-case hexadecimal digits"),
        ("identify", {"action": "leave"}, "at `$.action`"),
        ("engage", {"activity": None}, "missing required field `activity`"),
        ("engage", {"activity": "stare"}, "at `$.activity`"),
        ("touch", {"channel": None}, "missing required field `channel`"),
        ("erase", {"visitor_id": None, "customer_id": None}, "needs a visitor_id or a customer_id"),
        ("erase", {"request_id": None}, "missing required field `request_id`"),
    ],
)
def test_a_malformed_event_is_refused_with_its_reason(
    event_name: str, changes: dict[str, Any], why: str
) -> None:
    """The shop's developer reads the reason in quarantine, and nothing else."""
    assert why in reason(encode(example(event_name, **changes)))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"null", b"[]", b"7", b'"view_item"', b"{}", b"\xff", b'{"event_name": "\xff"}',
        b'{"event_name": "view_item", "event_id": "\\ud800"}', b"[" * 100_000, b'{"a":' * 100_000,
        b"NaN", b"\xef\xbb\xbf{}",
    ],
    ids=lambda raw: repr(raw[:20]),
)  # fmt: skip
def test_what_is_no_event_at_all_is_refused_too(raw: bytes) -> None:
    """Anyone can send anything: one error class, whatever it was."""
    assert reason(raw)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    """A crash in the drain would stop every event behind it."""
    with pytest.raises(EventError):
        decode_event(raw)


@given(
    st.sampled_from(sorted(EVENTS)),
    st.dictionaries(
        st.sampled_from(sorted({name for fields in OWN_FIELDS.values() for name in fields})),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none()),
        max_size=3,
    ),
)
def test_a_checked_event_is_still_checked_when_read_again(
    event_name: str, changes: dict[str, Any]
) -> None:
    """What is not refused is written to the spool and must be readable there."""
    try:
        event = decode_event(encode(example(event_name, **changes)))
    except EventError:
        return

    assert decode_event(msgspec.json.encode(event)) == event


def test_a_logout_names_nobody() -> None:
    """A visitor who leaves need not say who she was."""
    event = decode_event(
        encode(example("identify", customer_id=None, email_sha256=None, action="logout"))
    )

    assert event.customer_id is None


def test_a_browser_may_neither_refund_nor_erase() -> None:
    """Whoever can open the page could take a pinner's credit, or a rival's history."""
    assert set(EVENTS) - set(UNSIGNED_EVENTS) == {"refund", "erase"}


def test_lines_are_named_by_id_or_place() -> None:
    """The first unnamed line is "1", wherever named ones stand."""
    items = [MUG | {"line_id": "x"}, MUG, MUG | {"line_id": "1"}]

    order = decode_event(encode(example("purchase", items=items)))

    assert isinstance(order, Purchase)
    assert line_ids_of(order) == ["x", "2", "1"]


def test_the_contract_s_version_is_this_one() -> None:
    """A change of meaning needs a new number, and readers of both."""
    assert SCHEMA_VERSION == 1
    assert all(issubclass(event, Event) for event in EVENTS.values())
    assert all(event.__struct_config__.tag == name for name, event in EVENTS.items())
