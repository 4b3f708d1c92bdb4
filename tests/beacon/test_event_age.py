"""How old an unsigned event may be: each date it names is a file of the lake."""

import time
from typing import Any

import msgspec
import pytest

from beacon.intake import Intake, Sender, read_batch, take
from beacon.whole import read_whole, take_whole
from schemas.signature import sign
from tests.spooled import events_in

NOW_MS = 1_790_000_000_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PAGE = Sender("acme", "web_js", "/v1/events", NOW_MS, max_age_ms=35 * DAY_MS)
SHOP = Sender("acme", "server", "/v1/orders", NOW_MS, is_signed=True)


def body(time_ms: int, sent_time_ms: int | None, key: str = "open-public-key") -> bytes:
    event = {"event_name": "view_item", "item_id": "mug", "event_id": "e", "event_time_ms": time_ms}
    batch: dict[str, Any] = {"site_key": key, "events": [event], "sent_time_ms": sent_time_ms}
    return msgspec.json.encode(batch)


def one_by_one(text: bytes, sender: Sender) -> Intake:
    batch = read_batch(text)
    return take(batch.events, batch.sent_time_ms, sender)


def in_one_go(text: bytes, sender: Sender) -> Intake | None:
    whole = read_whole(text, is_signed=sender.is_signed)
    assert whole is not None
    return take_whole(whole, sender)


TIMES = {
    "now": (0, None, True),
    "the last moment": (-35 * DAY_MS, None, True),
    "too old": (-35 * DAY_MS - 1, None, False),
    "a clock ahead": (DAY_MS, None, True),
    "from the future": (DAY_MS + 1, None, False),
    "a wrong clock that was told": (-9000 * DAY_MS, -9000 * DAY_MS, True),
    "old by a wrong clock": (-9036 * DAY_MS, -9000 * DAY_MS, False),
    "old, and the clock is right": (-36 * DAY_MS, HOUR_MS, False),
    "ahead of its own sending": (2 * DAY_MS, 0, False),
    "sent from a clock ahead": (2 * DAY_MS, 2 * DAY_MS, True),
}


@pytest.mark.parametrize(("shift", "sent_shift", "is_taken"), TIMES.values(), ids=TIMES)
def test_an_unsigned_event_is_of_these_days_or_goes_to_quarantine(
    shift: int, sent_shift: int | None, *, is_taken: bool
) -> None:
    """3,000 events of 3,000 dates would be 3,000 files; what came late from a phone is kept."""
    text = body(NOW_MS + shift, None if sent_shift is None else NOW_MS + sent_shift)

    careful, whole = one_by_one(text, PAGE), in_one_go(text, PAGE)

    assert careful.accepted == is_taken
    assert (whole is not None) == is_taken
    if whole is not None:
        assert events_in(whole.events) == events_in(careful.events)
    if not is_taken:
        (bad,) = careful.rejected
        assert bad.reason_class == "time"
        assert f"event_time_ms {NOW_MS + shift} is not between" in bad.reject.reason


def test_a_signed_event_may_be_of_any_age() -> None:
    """A shop sends the orders of last year. It is the control, too."""
    text = body(NOW_MS - 9000 * DAY_MS, None)

    assert one_by_one(text, SHOP).accepted == 1
    whole = in_one_go(text, SHOP)
    assert whole is not None
    assert events_in(whole.events) == events_in(one_by_one(text, SHOP).events)


def test_nor_does_a_shop_tell_of_the_future() -> None:
    """The newest day decides who is away by now: one order of 2062 would lose everybody."""
    text = body(NOW_MS + DAY_MS + 1, None)

    assert one_by_one(text, SHOP).accepted == 0
    assert in_one_go(text, SHOP) is None


def test_the_beacon_keeps_the_rule_and_its_neighbours(start, stored, quarantined) -> None:
    """The setting holds on the wire, and both events of a mixed batch are answered."""
    server = start(beacon={"max_event_age_days": 0.5})
    now_ms = time.time_ns() // 1_000_000
    event = {"event_name": "view_item", "item_id": "mug", "mood": "kept as it came"}
    young = {**event, "event_id": "young", "event_time_ms": now_ms - 11 * HOUR_MS}
    old = {**event, "event_id": "old", "event_time_ms": now_ms - 13 * HOUR_MS}

    answer = server.post([young, old])

    assert answer.status_code == 200
    assert [bad["index"] for bad in answer.json()["quarantined"]] == [1]
    assert [each["event_id"] for each in stored(server.spool)] == ["young"]
    (reject,) = quarantined(server.spool)
    assert msgspec.json.decode(reject["record"]) == old
    assert server.metric('pinsphere_beacon_quarantined_total{reason="time",site="open"}') == 1


def test_a_signed_call_is_not_asked_for_its_age(start) -> None:
    """Orders of an outage, or of a year ago, are money."""
    server = start(beacon={"max_event_age_days": 0.5})
    text = body(time.time_ns() // 1_000_000 - 400 * DAY_MS, None, "acme-public-key")
    signature = sign(server.secret, text, int(time.time()))
    headers = {"content-type": "text/plain", "x-pinsphere-signature": signature}

    assert server.client.post("/v1/orders", content=text, headers=headers).status_code == 204
