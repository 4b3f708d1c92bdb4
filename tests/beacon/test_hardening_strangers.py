"""What somebody without a key, a secret or a page of the shop's can make the beacon do."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from beacon import collect, wire
from beacon.agents import user_agent_class
from beacon.collect import Collector
from beacon.door import Door
from beacon.intake import read_batch
from beacon.limits import Limits, Rate
from beacon.wire import Refusal, Request
from schemas.events import EVENTS, PIXEL_EVENTS
from schemas.settings import BeaconSettings, parse_settings
from schemas.signature import sign
from tests.beacon import exchange

KEY = "acme-public-key"
TEXT = {"content-type": "text/plain"}
FROM = {**TEXT, "x-forwarded-for": "203.0.113.7"}
NEIGHBOUR = {**TEXT, "x-forwarded-for": "198.51.100.7"}
NARROW = {"network_requests_a_minute": 5, "trusted_proxies": ["127.0.0.1"]}
SHOP, EVIL = "https://shop.example", "https://evil.example"
SETTINGS = {
    "sites": {"acme": {"key": KEY, "currency": "GBP", "secret_env": "ACME_SECRET"}},
    "beacon": {"site_requests_a_minute": 1},
}


def view(**fields: Any) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    known = {"event_name": "view_item", "item_id": "mug", "event_time_ms": now_ms}
    return {**known, "event_id": f"view-{time.monotonic_ns()}", **fields}


def body(*events: Any, key: str = KEY) -> bytes:
    return msgspec.json.encode({"site_key": key, "events": events})


def odd(count: int, key: str = KEY) -> bytes:
    """A body that only the careful way can read: one NaN, and lists beside it."""
    return b'{"site_key":"%s","events":[%s]}' % (key.encode(), b"[]," * (count - 1) + b"NaN")


def request(**headers: str) -> Request:
    return exchange.request([(name.replace("_", "-"), text) for name, text in headers.items()])


def test_a_long_content_type_is_refused_unread() -> None:
    """31,000 spaces kept the pattern, and all other senders, busy for seconds.

    The control: the pattern itself would take the same text.
    """
    content_type = "text/plain;" + " " * 100 + "charset=utf-8"

    with pytest.raises(Refusal, match="is not text/plain"):
        request(content_type=content_type).check_content_type()
    assert wire._JSON_TYPES.fullmatch(content_type)
    request(content_type=content_type.replace(" ", "")).check_content_type()


def test_events_beyond_the_limit_are_counted_and_not_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One NaN made each of 21,000 empty lists cost a call of its own.

    The control: a body of few events goes the dear way.
    """
    monkeypatch.setattr(json, "dumps", lambda _: pytest.fail("written again"))

    assert len(read_batch(odd(21_000)).events) == 21_000
    with pytest.raises(pytest.fail.Exception):
        read_batch(odd(100))


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector that must not read an event."""
    monkeypatch.setenv("ACME_SECRET", "a secret")
    for read in ("_batch", "read_whole"):
        monkeypatch.setattr(collect, read, lambda *_, **__: pytest.fail("read"))
    door = Door(parse_settings(SETTINGS), tmp_path / "network.key")
    return Collector(door, mock.Mock(), mock.Mock(), mock.Mock())


@pytest.mark.parametrize(("key", "is_signed"), [("nobody", False), ("nobody", True), (KEY, True)])
def test_strangers_are_refused_before_their_events_are_read(
    collector: Collector, key: str, *, is_signed: bool
) -> None:
    """Who has no key and no secret must not make us decode 64 KiB of an order's lines."""
    with pytest.raises(Refusal) as refused:
        collector._read(request(), body(view(), key=key), is_signed=is_signed)

    assert refused.value.response.status == 401


def test_a_flood_is_refused_before_its_events_are_read(collector: Collector) -> None:
    """A 429 must cost less than what it refuses. The control: the one let in is read."""
    with pytest.raises(pytest.fail.Exception, match="read"):
        collector._read(request(), body(view()), is_signed=False)

    with pytest.raises(Refusal, match="too many"):
        collector._read(request(), body(view()), is_signed=False)


def test_a_batch_is_of_one_site(start) -> None:
    """Let in by the limits of one site, its events must not be another's."""
    server = start()
    content = body(view()).removesuffix(b"}") + b',"site_key":"nobody"}'

    answer = server.client.post("/v1/events", content=content, headers=FROM)

    assert (answer.status_code, "two site keys" in answer.text) == (400, True)


def test_unknown_keys_count_for_their_network(start) -> None:
    """A stranger has no site whose limit could hold her. Her neighbour goes on."""
    server = start(beacon=NARROW)

    def post(headers: dict[str, str], key: str) -> int:
        content = body(view(), key=key)
        return server.client.post("/v1/events", content=content, headers=headers).status_code

    assert [post(FROM, "nobody") for _ in range(8)] == [401] * 5 + [429] * 3
    assert post(FROM, KEY) == 429
    assert post(NEIGHBOUR, KEY) == 204
    pixel = server.client.get(f"/v1/pixel.gif?k={KEY}&t=pin-1", headers=FROM)
    assert (pixel.status_code, "retry-after" in pixel.headers) == (429, True)


def test_failed_signatures_count_and_a_good_one_is_still_taken(start) -> None:
    """Guessing shuts the guesser's network out of what is unsigned, and no shop's server out."""
    server = start(beacon=NARROW)

    def post(secret: str) -> int:
        content = body(view())
        signature = sign(secret, content, int(time.time()))
        headers = {**FROM, "x-pinsphere-signature": signature}
        return server.client.post("/v1/orders", content=content, headers=headers).status_code

    assert [post("guess") for _ in range(7)] == [401] * 7
    assert server.client.post("/v1/events", content=body(view()), headers=FROM).status_code == 429
    assert post(server.secret) == 204


@pytest.mark.parametrize("call", ["/v1/events", "/v1/orders"])
def test_bodies_that_are_dear_to_read_count_for_their_network(start, call: str) -> None:
    """Only the careful way tells whose they are: so they are limited before."""
    server = start(beacon=NARROW)

    content = b" " + odd(9, "nobody")  # the key is not where the snippet writes it

    answers = [server.client.post(call, content=content, headers=FROM) for _ in range(9)]

    assert {answer.status_code for answer in answers[:2]} == {401}
    assert {answer.status_code for answer in answers[5:]} == {429}
    assert server.client.post(call, content=odd(9), headers=NEIGHBOUR).status_code in (200, 401)


def test_looking_counts_nothing() -> None:
    """Who has not failed must not be counted by the look at her."""
    rate = Rate(2)

    assert {rate.look("anna", 0.0) for _ in range(9)} == {0.0}
    assert [rate.wait("anna", 0.0) for _ in range(2)] == [0.0, 0.0]
    assert rate.look("anna", 0.0) == rate.wait("anna", 0.0) == pytest.approx(30.0)


def test_nobody_is_limited_where_limits_are_off() -> None:
    """0 switches it off here too, and a sender without a network has no limit."""
    limits = Limits(BeaconSettings(network_requests_a_minute=0))
    narrow = Limits(BeaconSettings(network_requests_a_minute=1))

    for _ in range(3):
        limits.check_careful("203.0.113.0/24")
        limits.check_stranger("203.0.113.0/24")
        narrow.check_careful(None)
        narrow.check_stranger(None)


def pixel(event: dict[str, Any], key: str = KEY) -> str:
    text = base64.urlsafe_b64encode(json.dumps(event).encode()).decode()
    return f"/v1/pixel.gif?k={key}&e={text}"


SAID: dict[str, dict[str, Any]] = {
    "view_item_list": {"items": [{"item_id": "mug"}]},
    "pin_visit": {"pin_id": "pin-1"},
    "pin": {"pin_id": "pin-1"},
    "purchase": {"order_id": "1", "currency": "GBP", "items": [{"item_id": "a", "price": "1"}]},
    "refund": {"refund_id": "1", "order_id": "1"},
    "identify": {"customer_id": "4711"},
    "engage": {"activity": "review"},
    "touch": {"channel": "email"},
    "erase": {"request_id": "1", "visitor_id": "anna"},
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_picture_says_no_more_than_a_look(server, stored, quarantined, name: str) -> None:
    """A foreign page's pictures come from its visitors' browsers, and bear no origin."""
    event = view(event_name=name, event_id=f"picture-{name}", **SAID.get(name, {}))

    assert server.client.get(pixel(event)).status_code == 200

    is_taken = any(each["event_id"] == event["event_id"] for each in stored(server.spool))
    assert is_taken == (name in PIXEL_EVENTS)
    if not is_taken:
        assert name in quarantined(server.spool)[-1]["reason"]


@pytest.mark.parametrize(
    ("referer", "status"),
    [
        (f"{SHOP}/mug?a=b", 200),
        ("HTTPS://SHOP.example/", 200),
        ("", 200),
        (f"{EVIL}/", 403),
        (f"{SHOP}.evil.example/", 403),
        (f"{EVIL}/?{SHOP}/", 403),
        ("http://shop.example/", 403),
        ("https://[", 403),
        ("shop.example", 403),
    ],
)
def test_a_picture_on_a_foreign_page_is_refused(server, referer: str, status: int) -> None:
    """The list of origins holds for pictures as far as browsers tell where they stand."""
    answer = server.client.get(pixel(view()), headers={"referer": referer} if referer else {})

    assert answer.status_code == status


def test_a_site_without_a_list_takes_pictures_of_any_page(server) -> None:
    """The control: nothing is refused that the settings allow."""
    answer = server.client.get(pixel(view(), "open-public-key"), headers={"referer": f"{EVIL}/"})

    assert answer.status_code == 200


def test_head_on_a_pixel_stores_nothing(server, stored) -> None:
    """Mail scanners and previews ask by HEAD; that is no visit."""
    before = len(stored(server.spool))

    answer = server.client.head(pixel(view()))

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert len(stored(server.spool)) == before


def test_only_the_beginning_of_a_user_agent_is_looked_through() -> None:
    """Each new text costs a search for hundreds of names; a long one costs more. With control."""
    crawler = "Googlebot/2.1"

    assert user_agent_class("x" * 200 + crawler) == "bot"
    assert user_agent_class("x" * 256 + crawler) == "human"


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[str]]:
    """The warnings in a beacon's log."""
    return lambda: [
        line.partition("warning: ")[2]
        for line in (tmp_path / "log").read_text().splitlines()
        if "warning" in line
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_variable_without_its_secret_is_warned_of_once(start, tmp_path, log, workers) -> None:
    """A shop system is told 401 until it gives up: nobody would know why."""
    unset = {"ACME_SECRET": "", "ACME_NEXT_SECRET": ""}
    server = start(environment=unset, log=tmp_path / "log", workers=workers)

    assert server.client.get("/readyz").status_code == 200
    assert log() == [
        f"sites.acme: {name}: ACME_SECRET and ACME_NEXT_SECRET not set:"
        f" {calls} of this site get 401"
        for name, calls in (
            ("secret_env", "orders"),
            ("shopify_secret_env", "shopify webhooks"),
            ("woocommerce_secret_env", "woocommerce webhooks"),
        )
    ]


def test_one_missing_secret_of_two_is_warned_of_too(start, tmp_path, log) -> None:
    """The new secret was announced and never set: the change would fail silently."""
    start(environment={"ACME_NEXT_SECRET": ""}, log=tmp_path / "log")

    assert log()[0] == (
        "sites.acme: secret_env: ACME_NEXT_SECRET not set:"
        " orders signed with it get 401; the other secret opens"
    )


def test_nobody_is_warned_of_secrets_that_are_set(start, tmp_path, log) -> None:
    """The control: a warning that always comes is none."""
    start(log=tmp_path / "log")

    assert log() == []
