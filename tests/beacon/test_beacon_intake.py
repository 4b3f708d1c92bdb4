"""Every rule of the intake, without a server."""

import base64
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from beacon.intake import Intake, Sender, read_batch, read_pixel, take
from schemas.answers import EventBatch
from schemas.errors import EventError
from schemas.events import EVENTS

NOW_MS = 1_790_000_000_000
PAGE = Sender(site_id="acme", source="web_js", call="/v1/events", received_time_ms=NOW_MS)
SHOP = replace(PAGE, source="server", call="/v1/orders", is_signed=True)
GPC = replace(PAGE, is_gpc=True, cookie_visitor_id="cookie-visitor")
VIEW = {
    "event_name": "view_item",
    "event_id": "e1",
    "event_time_ms": NOW_MS - 50,
    "item_id": "mug",
}
WHO = {"visitor_id": "her-visitor", "session_id": "her-session", "customer_id": "her-number"}
PURCHASE = {
    **VIEW,
    "event_name": "purchase",
    "order_id": "1001",
    "currency": "GBP",
    "items": [{"item_id": "mug", "price": "12.34"}],
}


def view(**fields: Any) -> dict[str, Any]:
    return {**VIEW, **fields}


def take_all(*events: Any, sender: Sender = PAGE, sent_time_ms: int | None = NOW_MS) -> Intake:
    raws = [
        msgspec.Raw(event if isinstance(event, bytes) else json.dumps(event).encode())
        for event in events
    ]
    return take(raws, sent_time_ms, sender)


def stored(intake: Intake) -> list[dict[str, Any]]:
    return json.loads(intake.events or b"[]")


UNREADABLE = {
    "nothing": (b"", "not JSON"),
    "not JSON": (b"site_key=acme", "not JSON"),
    "cut short": (b'{"site_key": "k", "events": [{"event_na', "not JSON"),
    "not UTF-8": (b'{"site_key": "\xff", "events": []}', "not JSON"),
    "UTF-16": ('{"site_key": "k", "events": []}'.encode("utf-16"), "not JSON"),
    "deeper than any event": (
        b'{"site_key": "k", "events": [' + b"[" * 30_000 + b"]" * 30_000 + b"]}",
        "not JSON",
    ),
    "a list": (b"[]", "Expected `object`"),
    "a list with a NaN": (b"[NaN]", "Expected `object`"),
    "no key": (b'{"events": []}', "`site_key`"),
    "key is a number": (b'{"site_key": 7, "events": []}', "`$.site_key`"),
    "no events": (b'{"site_key": "k"}', "`events`"),
    "events are an object": (b'{"site_key": "k", "events": {}}', "`$.events`"),
    "events are an object with a NaN": (b'{"site_key": "k", "events": {"a": NaN}}', "`$.events`"),
    "time is a text": (b'{"site_key": "k", "events": [], "sent_time_ms": "x"}', "sent_time_ms"),
    "number without end": (
        b'{"site_key": "k", "events": [NaN, ' + b"9" * 5000 + b"]}",
        "not JSON",
    ),
}


@pytest.mark.parametrize(("body", "named"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_body_is_refused_with_what_is_wrong(body: bytes, named: str):
    """A developer who wires the shop up must see her mistake in the answer."""
    with pytest.raises(EventError, match=named.replace("$", r"\$")):
        read_batch(body)


BAD_EVENTS = {
    "not an object": (b"7", "shape", "Expected `object`"),
    "null": (b"null", "shape", "Expected `object`"),
    "no name": (b'{"event_id": "x"}', "event_name", "event_name"),
    "unknown name": (view(event_name="dance"), "event_name", "'dance'"),
    "no event_id": ({k: v for k, v in VIEW.items() if k != "event_id"}, "shape", "event_id"),
    "empty event_id": (view(event_id=""), "shape", "event_id"),
    "year 1970": (view(event_time_ms=1000), "shape", "event_time_ms"),
    "time with a fraction": (view(event_time_ms=NOW_MS + 0.5), "shape", "event_time_ms"),
    "time as text": (view(event_time_ms=str(NOW_MS)), "shape", "event_time_ms"),
    "next schema": (view(schema_version=2), "contract", "schema_version 2"),
    "text too long": (view(item_id="x" * 129), "shape", "item_id"),
    "visitor id too long": (view(visitor_id="x" * 65), "shape", "visitor_id"),
    "customer id that means a visitor": (view(customer_id="v:1"), "contract", "'v:1'"),
    "U+0000": (view(item_id="\0"), "contract", "U+0000"),
    "half an emoji": (b'{"event_name": "view_item", "item_id": "\\ud83d"}', "not_json", "JSON"),
    "not UTF-8": (b'{"event_name": "view_item", "item_id": "\xff"}', "not_json", "utf-8"),
    "NaN": (b'{"event_name": "view_item", "index": NaN}', "not_json", "JSON"),
    "bad pin id": (view(event_name="pin", pin_id="a b"), "contract", "'a b'"),
    "price as a number": (
        {**PURCHASE, "items": [{"item_id": "mug", "price": 12.34}]},
        "shape",
        "price",
    ),
    "price with a comma": (
        {**PURCHASE, "items": [{"item_id": "mug", "price": "12,34"}]},
        "contract",
        "'12,34'",
    ),
    "unknown currency": ({**PURCHASE, "currency": "GPB"}, "contract", "'GPB'"),
    "empty order": ({**PURCHASE, "items": []}, "shape", "items"),
    "refund from a page": (
        view(event_name="refund", refund_id="r", order_id="1001"),
        "unsigned",
        "refund",
    ),
    "erase from a page": (
        view(event_name="erase", request_id="q", visitor_id="v"),
        "unsigned",
        "erase",
    ),
}


@pytest.mark.parametrize(("event", "reason_class", "named"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_a_bad_event_goes_to_quarantine_and_its_neighbours_survive(
    event: Any, reason_class: str, named: str
):
    """One broken template on one page must not cost the events around it."""
    intake = take_all(view(event_id="before"), event, view(event_id="after"))

    assert [kept["event_id"] for kept in stored(intake)] == ["before", "after"]
    assert intake.accepted == 2
    (bad,) = intake.rejected
    assert (bad.place, bad.reason_class) == (1, reason_class)
    assert named in bad.reject.reason
    assert bad.reject.place == "events[1]"
    assert bad.reject.origin == "/v1/events"
    text = event if isinstance(event, bytes) else json.dumps(event).encode()
    assert bad.reject.record == text.decode(errors="replace")


@pytest.mark.parametrize("broken", [b'{"item_id": "\\ud83d"}', b'{"index": NaN}', b'"\x01"'])
def test_what_breaks_the_whole_body_for_a_strict_reader_costs_one_event_only(broken: bytes):
    """JavaScript sends half an emoji when a shop cuts a title: the page's other events count."""
    good = json.dumps(VIEW).encode()
    body = b'{"site_key": "k", "sent_time_ms": 1, "events": [' + good + b"," + broken + b"]}"

    batch = read_batch(body)
    intake = take(batch.events, batch.sent_time_ms, PAGE)

    assert [event["event_id"] for event in stored(intake)] == ["e1"]
    assert [bad.place for bad in intake.rejected] == [1]


def test_server_owned_fields_are_the_beacons_words():
    """A page cannot speak for another shop, claim a signature or choose its times."""
    claims = {
        "site_id": "rival",
        "source": "server",
        "sent_time_ms": NOW_MS - 7,
        "received_time_ms": NOW_MS - 7,
        "user_agent_class": "bot",
        "is_signed": True,
    }
    sender = replace(PAGE, user_agent_class="pinterest_inapp")

    (event,) = stored(take_all(view(**claims), sender=sender, sent_time_ms=NOW_MS - 1))

    assert event["site_id"] == "acme"
    assert event["sent_time_ms"] == NOW_MS - 1
    assert event["received_time_ms"] == NOW_MS
    assert event["user_agent_class"] == "pinterest_inapp"
    # Fields at their defaults are left out: web_js, not signed.
    assert "source" not in event
    assert "is_signed" not in event


def test_a_signed_sender_may_refund_and_erase():
    """The shop's server says what a page must not."""
    refund = view(event_name="refund", refund_id="r", order_id="1001")
    erase = view(event_name="erase", request_id="q", customer_id="her-number")

    intake = take_all(PURCHASE, refund, erase, sender=SHOP)

    assert [event["event_name"] for event in stored(intake)] == ["purchase", "refund", "erase"]
    assert all(event["is_signed"] and event["source"] == "server" for event in stored(intake))


def test_unknown_fields_are_dropped():
    """A newer snippet may say more than this beacon knows."""
    (event,) = stored(take_all(view(mood="fine")))

    assert "mood" not in event


@pytest.mark.parametrize("sent_time_ms", [0, 999, 5_000_000_000_000, -1, 2**70])
def test_a_nonsense_clock_is_no_time_at_all(sent_time_ms: int):
    """A phone that woke up in 1970 sends events of 1970, which go to quarantine one by one."""
    body = {"site_key": "k", "events": [VIEW], "sent_time_ms": sent_time_ms}

    assert read_batch(json.dumps(body).encode()).sent_time_ms is None


def test_the_cookie_fills_in_for_a_missing_visitor_only():
    """The page's own id wins; a page without one still has a visitor."""
    sender = replace(PAGE, cookie_visitor_id="cookie-visitor")

    intake = take_all(view(), view(visitor_id="her-visitor"), sender=sender)

    visitors = [event["visitor_id"] for event in stored(intake)]
    assert visitors == ["cookie-visitor", "her-visitor"]


DENIALS = {
    "consent denied": ({"consent": "denied"}, PAGE),
    "GPC": ({}, GPC),
    "GPC over granted": ({"consent": "granted"}, GPC),
    "denied in disguise": ({"consent": "denied", "page_location": "\u00e9"}, PAGE),
}


@pytest.mark.parametrize(("fields", "sender"), DENIALS.values(), ids=DENIALS)
def test_without_consent_nothing_that_names_her_is_kept(fields: dict[str, str], sender: Sender):
    """Who says no is counted as a view, not followed: good, bad and identify events alike."""
    sender = replace(sender, cookie_visitor_id="her-cookie")
    good = view(**WHO, **fields)
    bad = view(event_name="dance", **WHO, email="her-mail", **fields)
    identify = {**view(**WHO, **fields), "event_name": "identify", "email_sha256": "a" * 64}

    intake = take_all(good, bad, identify, sender=sender)

    (event,) = stored(intake)
    assert event["consent"] == "denied"
    assert intake.withheld == 1
    assert intake.accepted == 2
    (rejected,) = intake.rejected
    assert "her-" not in json.dumps(event) + rejected.reject.record + rejected.reject.reason
    assert json.loads(rejected.reject.record)["event_name"] == "dance"


def test_without_consent_addresses_and_ids_of_others_do_not_name_her_either():
    """A mail's link names who clicked it; so do Pinterest's own ids."""
    page = {
        "page_location": "https://shop.example/a?e=her-mail",
        "page_referrer": "https://m/#her-",
    }
    visit = {**example("pin_visit"), **page, "click_id": "her-click"}
    pin = {**example("pin"), "page_location": ["her-list"], "pinterest_guid": "her-guid"}
    half = json.dumps(view(page_location="?")).replace("?", "\\ud83d her-").encode()

    intake = take_all(visit, pin, half, sender=GPC)

    first, second = stored(intake)
    assert (first["page_location"], first["page_referrer"]) == (
        "https://shop.example/a",
        "https://m/",
    )
    assert "page_location" not in second
    assert [bad.reject.record for bad in intake.rejected] == [""]
    assert "her-" not in json.dumps([first, second])


def test_a_long_reason_is_cut():
    """The spool is no place for what a stranger made us say."""
    (rejected,) = take_all(view(event_name="d" * 2000)).rejected

    assert len(rejected.reject.reason) == 500


def test_an_escaped_denial_is_a_denial():
    r"""`"\u0064enied"` is the same JSON text as `"denied"`."""
    text = json.dumps(view(**WHO)).encode()[:-1] + b', "consent": "\\u0064enied"}'

    (event,) = stored(take_all(text))

    assert "visitor_id" not in event


@pytest.mark.parametrize("record", [b'{"visitor_id": "her-visitor", "x"', b'["her-visitor"]'])
def test_an_unreadable_event_without_consent_keeps_its_reason_only(record: bytes):
    """What cannot be read cannot be cleared of her ids."""
    (rejected,) = take_all(record, sender=GPC).rejected

    assert rejected.reject.record == ""
    assert "her-" not in rejected.reject.reason


def test_an_erase_is_carried_out_for_who_denied_consent_too():
    """Above all for her."""
    erase = view(event_name="erase", request_id="q", consent="denied", **WHO)

    (event,) = stored(take_all(erase, sender=SHOP))

    assert event["customer_id"] == "her-number"


def test_long_records_are_cut():
    """Quarantine keeps what can be mended, not megabytes."""
    (rejected,) = take_all(view(event_name="dance", item_id="x" * 60_000)).rejected

    assert len(rejected.reject.record) == 16 * 1024


@pytest.mark.parametrize("padding", ["", "="])
def test_a_pixel_fills_in_id_and_time(padding: str):
    """A plain template can neither mint an id nor tell the time."""
    text = base64.urlsafe_b64encode(b'{"event_name":"view_item","item_id":"mug"}').decode()

    raw = read_pixel(text.rstrip("=") + padding, NOW_MS)
    (event,) = stored(take([raw], None, replace(PAGE, source="pixel")))

    assert event["event_time_ms"] == NOW_MS
    assert len(event["event_id"]) == 36
    assert event["source"] == "pixel"


def test_a_pixel_keeps_the_id_and_time_it_has():
    """A retried pixel must count once."""
    text = base64.urlsafe_b64encode(json.dumps(VIEW).encode()).decode()

    (event,) = stored(take([read_pixel(text, NOW_MS)], None, PAGE))

    assert (event["event_id"], event["event_time_ms"]) == ("e1", NOW_MS - 50)


@pytest.mark.parametrize("text", ["!", "e30", "bnVsbA", "____", "\u00e9", "W10="])
def test_a_bad_pixel_goes_to_quarantine(text: str):
    """Not base64url, an empty object, null, bytes, not ASCII, a list."""
    intake = take([read_pixel(text, NOW_MS)], None, PAGE)

    assert not intake.events
    assert len(intake.rejected) == 1


def test_the_batch_read_is_the_batch_documented():
    """The reader keeps events raw; apart from that it is the documented struct."""
    from beacon.intake import Batch

    assert set(Batch.__struct_fields__) == set(EventBatch.__struct_fields__)


def test_every_event_name_has_a_way_in():
    """An event that no call takes would be a contract without a door."""
    taken = {
        event["event_name"]
        for event in stored(take_all(*(example(name) for name in EVENTS), sender=SHOP))
    }
    assert taken == set(EVENTS)


def example(name: str) -> dict[str, Any]:
    own: dict[str, dict[str, Any]] = {
        "pin": {"pin_id": "p1"},
        "pin_visit": {"match_method": "epik"},
        "purchase": PURCHASE,
        "refund": {"refund_id": "r", "order_id": "1001"},
        "identify": {"customer_id": "her-number"},
        "engage": {"activity": "review"},
        "touch": {"channel": "email"},
        "erase": {"request_id": "q", "visitor_id": "v"},
    }
    return {**VIEW, **own.get(name, {}), "event_name": name}
