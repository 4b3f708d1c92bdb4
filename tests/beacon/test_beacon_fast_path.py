"""The batch read whole and kept as it came is, to who reads it, the events read one by one."""

import json
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import example, find, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from beacon import collect, whole
from beacon.intake import Batch, Intake, Sender, read_batch, take
from beacon.whole import read_whole, take_whole
from schemas.errors import EventError
from schemas.events import EVENTS, UNSIGNED_EVENTS, AnyEvent
from schemas.spool import WORDS
from schemas.spool_rows import Row, decode_rows
from tests.beacon.exchange import request

NOW_MS = 1_790_000_000_000
PAGE = Sender(
    site_id="acme",
    source="web_js",
    call="/v1/events",
    received_time_ms=NOW_MS,
    user_agent_class="pinterest_inapp",
    cookie_visitor_id="cookie",
    network_hash="network",
)
YOUNG = replace(PAGE, max_age_ms=86_400_000)
SHOP = Sender("acme", "server", "/v1/orders", NOW_MS, is_signed=True)
ENVELOPE: dict[str, Any] = {"event_id": "e1", "event_time_ms": NOW_MS}
LINE = {"item_id": "mug", "price": "12.34"}
OWN: dict[str, dict[str, Any]] = {
    "pin": {"pin_id": "p1"},
    "pin_visit": {"pin_id": "p1"},
    "purchase": {"order_id": "1", "currency": "GBP", "items": [LINE]},
    "refund": {"refund_id": "r", "order_id": "1"},
    "identify": {"customer_id": "c-1"},
    "engage": {"activity": "review"},
    "touch": {"channel": "email"},
    "erase": {"request_id": "q", "visitor_id": "v"},
}
# Good, odd and bad values alike, for any field of any event.
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    (
        *("", "mug", "a b", "v:1", "x" * 65, "x" * 200, "12.50", "12,5", "GBP", "GPB", "denied"),
        *("granted", "logout", "referrer", "a" * 64, "\u00e9\U0001f600", 'tab\tquote"', "\\u0000"),
        *("nul\0", "unit\x1f", "https://shop.example/a?b=c#d"),
        *(None, True, 0, 1, 2, -1, 1.5, NOW_MS, NOW_MS - 10**9, NOW_MS * 1000, 10**30),
        *([], {}, [LINE], [{"item_id": "x"}], ["x"]),
    )
)
FIELDS = sorted({field for event in EVENTS.values() for field in event.__struct_fields__})
DAMAGES = (
    (b'"denied"', b'"\\u0064enied"'),
    (b'"mug"', b'"\\ud83d"'),
    (b'"mug"', b"NaN"),
    (b'"mug"', b'"\xff"'),
    (b'"mug"', b'"\x01"'),
    (b'"event_name"', b'"event_name": "pin", "event_name"'),
    (b'"event_id"', b'"consent": "denied", "event_id"'),
    (b'"event_id"', b'"consent": "granted", "event_id": 7, "event_id"'),
    (b'"events"', b'"events": [], "events"'),
    (b'"events"', b'"events": null, "events"'),
    (b"{", b""),
    (b"[", b"[" * 2000),
    (b"}]", b"},]"),
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly good events: some fields changed, missing, or of nobody's contract."""
    name = draw(st.sampled_from(sorted(EVENTS)))
    event = {"event_name": name, **ENVELOPE, "item_id": "mug", **OWN.get(name, {})}
    changes = st.dictionaries(st.sampled_from(FIELDS) | st.just("mood"), VALUES, max_size=2)
    event |= draw(st.sampled_from(({}, {}, {"consent": "denied"})) | changes)
    if draw(st.integers(0, 9)) == 0:
        event.pop(draw(st.sampled_from(sorted(event))))
    return event


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body as senders make it, now and then damaged on the way or by a clumsy hand."""
    batch: dict[str, Any] = {"site_key": "k", "events": draw(st.lists(events(), max_size=4))}
    batch |= draw(st.dictionaries(st.just("sent_time_ms"), VALUES))
    body = json.dumps(batch, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        body = body.replace(*draw(st.sampled_from(DAMAGES)), 1)
    return body


def batch_of(event: dict[str, Any], more: dict[str, Any] | None = None) -> bytes:
    """A body with one event."""
    return json.dumps({"site_key": "k", "events": [event], **(more or {})}).encode()


def one_by_one(body: bytes, sender: Sender) -> Intake | str:
    """What the careful way makes of a body."""
    try:
        batch = read_batch(body)
    except EventError as error:
        return str(error)
    return take(batch.events, batch.sent_time_ms, sender)


def in_one_go(body: bytes, sender: Sender) -> Intake | None:
    """What the short way makes of it, if it takes it at all."""
    batch = read_whole(body, is_signed=sender.is_signed)
    return None if batch is None else take_whole(batch, sender)


def as_read(intake: Intake | str) -> tuple[list[AnyEvent], int, int]:
    """The events that the drain will find, what it cannot read, how many events were counted."""
    assert isinstance(intake, Intake)
    assert not intake.rejected
    assert not intake.withheld
    events, rejects = decode_rows("requests", "s", [Row(1, NOW_MS, intake.events or b"[]")])
    return events, len(rejects), intake.stored


def is_same(short: Intake | None, careful: Intake | str) -> bool:
    """Whether the short way stood back, or a reader finds no difference."""
    if short is None:
        return True
    return is_plain(careful) and as_read(short) == as_read(careful)


@settings(max_examples=500)
@given(body=bodies(), sender=st.sampled_from((PAGE, YOUNG, SHOP)))
@example(body=b'{"site_key": "k", "events": []}', sender=PAGE)
@example(
    body=b'{"site_key": "k", "events": [{"event_name": "touch", "channel": "email",'
    b' "event_id": "old", "event_time_ms": 1600000000000}]}',
    sender=YOUNG,
)
def test_what_the_short_way_takes_the_careful_way_takes_too(body: bytes, sender: Sender):
    """A rule that only one of them knew would hold or not by the accident of a neighbour."""
    assert is_same(in_one_go(body, sender), one_by_one(body, sender))


@settings(max_examples=300)
@given(body=bodies(), sender=st.sampled_from((PAGE, YOUNG, SHOP)))
def test_a_batch_without_fault_or_denial_goes_the_short_way(body: bytes, sender: Sender):
    """Otherwise the first test would hold of a short way that takes nothing."""
    careful = one_by_one(body, sender)
    is_short = in_one_go(body, sender) is not None

    assert is_short == (is_plain(careful) and not is_unusual(body))


@pytest.mark.parametrize(
    ("forgotten", "left"),
    [("_checks", {}), ("known_time", lambda told: told), ("_unsigned", whole._signed)],
)
def test_a_short_way_that_forgets_a_rule_is_found_out(
    forgotten: str, left: Any, monkeypatch: pytest.MonkeyPatch
):
    """Control: the first test is worth something only if it can fail."""
    monkeypatch.setattr(whole, forgotten, left)

    find(bodies(), lambda body: not is_same(in_one_go(body, PAGE), one_by_one(body, PAGE)))


@pytest.mark.parametrize(
    ("field", "value"), [("schema_version", 2), ("consent", "denied"), ("customer_id", "v:1")]
)
def test_a_rule_of_the_envelope_is_kept_by_a_type(
    field: str, value: Any, monkeypatch: pytest.MonkeyPatch
):
    """Nobody checks it afterwards: with control, the same reader without that type."""
    body = batch_of({"event_name": "touch", "channel": "email", **ENVELOPE, field: value})

    assert in_one_go(body, PAGE) is None

    monkeypatch.delitem(whole._STRICTER, field)
    monkeypatch.setattr(whole, "_unsigned", whole._Reader(UNSIGNED_EVENTS))
    assert in_one_go(body, PAGE) is not None


def test_no_rule_of_the_envelope_is_untried():
    """A fourth one would have no control above."""
    assert set(whole._STRICTER) == {"schema_version", "consent", "customer_id"}


@pytest.mark.parametrize("place", ["batch", "event", "line"])
def test_nothing_is_kept_that_the_contract_does_not_know(place: str):
    """A field nobody knows may name a shopper."""
    event: dict[str, Any] = {"event_name": "purchase", **ENVELOPE, **OWN["purchase"]}
    odd = {"mood": "her-mood"}
    if place == "line":
        event["items"] = [LINE | odd]
    body = batch_of(event | (odd if place == "event" else {}), odd if place == "batch" else {})

    taken = in_one_go(body, PAGE)

    assert taken is not None
    assert b"her-" not in taken.events
    assert taken.stored == 1


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_that_is_the_receivers_is_not_kept_as_it_came(word: str):
    """Neither what she says of herself, nor, in the spool, that she said it."""
    body = batch_of({"event_name": "touch", "channel": "email", **ENVELOPE, word: "her-word"})

    assert in_one_go(body, PAGE) is None


def test_who_asks_for_gpc_never_goes_the_short_way(monkeypatch: pytest.MonkeyPatch):
    """It scrubs nothing, so it must not see what is hers."""
    monkeypatch.setattr(collect, "read_whole", lambda *_, **__: pytest.fail("read in one go"))
    collector = collect.Collector(Mock(), Mock(), Mock(), Mock())
    asked = request([("sec-gpc", "1")])

    _, batch = collector._read(asked, b'{"site_key": "k", "events": []}', is_signed=False)

    assert isinstance(batch, Batch)


def is_unusual(body: bytes) -> bool:
    """What is harmless at times, and rare enough to be left to the careful way."""
    fields = (msgspec.json.decode(raw, type=dict[str, Raw]) for raw in read_batch(body).events)
    has_words = any(WORDS & event.keys() for event in fields)
    return has_words or b"\\u00" in body or b"\x01" in body


def is_plain(careful: Intake | str) -> bool:
    """Whether every event was stored, and none without consent."""
    if isinstance(careful, str) or careful.rejected or careful.withheld:
        return False
    return all(event.get("consent") != "denied" for event in json.loads(careful.events or b"[]"))
