"""The batch read whole gives what the events read one by one give, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import example, find, given, settings
from hypothesis import strategies as st

from beacon import collect, whole
from beacon.intake import Batch, Intake, Sender, read_batch, take
from beacon.whole import read_whole, take_whole
from schemas.errors import EventError
from schemas.events import EVENTS
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
YOUNG = PAGE._replace(max_age_ms=86_400_000)
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
        *(None, True, 0, 1, 2, -1, 1.5, NOW_MS, NOW_MS - 10**9, 10**30),
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
# Harmless at times, and rare enough to be left to the careful way.
UNUSUAL = (b"\\u00", b"\x01")


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


@settings(max_examples=500)
@given(body=bodies(), sender=st.sampled_from((PAGE, YOUNG, SHOP)))
@example(body=b'{"site_key": "k", "events": []}', sender=PAGE)
@example(
    body=b'{"site_key": "k", "events": [{"event_name": "touch", "channel": "email",'
    b' "event_id": "old", "event_time_ms": 1600000000000}]}',
    sender=YOUNG,
)
def test_what_the_short_way_takes_the_careful_way_takes_too_byte_for_byte(
    body: bytes, sender: Sender
):
    """A rule that only one of them knew would hold or not by the accident of a neighbour."""
    short = in_one_go(body, sender)

    assert short is None or short == one_by_one(body, sender)


@settings(max_examples=300)
@given(body=bodies(), sender=st.sampled_from((PAGE, YOUNG, SHOP)))
def test_a_batch_without_fault_or_denial_goes_the_short_way(body: bytes, sender: Sender):
    """Otherwise the first test would hold of a short way that takes nothing."""
    careful = one_by_one(body, sender)
    is_short = in_one_go(body, sender) is not None

    assert is_short == (is_plain(careful) and not any(odd in body for odd in UNUSUAL))


@pytest.mark.parametrize("forgotten", ["check_event", "known_time", "stamp"])
def test_a_short_way_that_forgets_a_rule_is_found_out(
    forgotten: str, monkeypatch: pytest.MonkeyPatch
):
    """Control: the first test is worth something only if it can fail."""
    monkeypatch.setattr(whole, forgotten, lambda *given: given[0])

    def differs(body: bytes) -> bool:
        short = in_one_go(body, PAGE)
        return short is not None and short != one_by_one(body, PAGE)

    find(bodies(), differs)


def test_who_asks_for_gpc_never_goes_the_short_way(monkeypatch: pytest.MonkeyPatch):
    """It scrubs nothing, so it must not see what is hers."""
    monkeypatch.setattr(collect, "read_whole", lambda *_, **__: pytest.fail("read in one go"))
    asked = request([("sec-gpc", "1")])

    batch = collect._batch(asked, b'{"site_key": "k", "events": []}', is_signed=False)

    assert isinstance(batch, Batch)


def is_plain(careful: Intake | str) -> bool:
    """Whether every event was stored, and none without consent."""
    if isinstance(careful, str) or careful.rejected or careful.withheld:
        return False
    return all(event.get("consent") != "denied" for event in json.loads(careful.events or b"[]"))
