"""How often a sender may come: 429, for whom, and what it costs the others."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beacon.limits import MINUTE_SECONDS, Limits, Rate
from beacon.wire import Refusal
from schemas.settings import BeaconSettings
from schemas.signature import sign

NOW_MS = time.time_ns() // 1_000_000
VIEW = {"event_name": "view_item", "item_id": "mug", "event_time_ms": NOW_MS}
LOADED = {"content-type": "text/plain"}


def views(events: int = 1) -> list[dict[str, Any]]:
    return [{**VIEW, "event_id": f"view-{time.monotonic_ns()}-{n}"} for n in range(events)]


def test_a_minutes_worth_comes_at_once_and_then_evenly() -> None:
    """A page that sends ten events in a second is no flood."""
    rate = Rate(60)

    assert [rate.wait("anna", 0.0) for _ in range(60)] == [0.0] * 60
    assert rate.wait("anna", 0.0) == pytest.approx(1.0)
    assert rate.wait("anna", 0.5) == pytest.approx(0.5)
    assert rate.wait("anna", 1.0) == 0.0
    assert rate.wait("anna", 1.0) == pytest.approx(1.0)


def test_callers_do_not_pay_for_each_other() -> None:
    """One shop's flood is not another's 429."""
    rate = Rate(1)

    assert rate.wait("anna", 0.0) == 0.0
    assert rate.wait("anna", 0.0) > 0
    assert rate.wait("ben", 0.0) == 0.0


def test_no_limit_is_no_limit() -> None:
    """0 switches it off, as the settings say."""
    rate = Rate(0)

    assert {rate.wait("anna", 0.0) for _ in range(10_000)} == {0.0}
    assert rate._free_at == {}


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 5)), max_size=200),
)
def test_no_window_of_a_minute_lets_in_more_than_twice_the_limit(
    limit: int, calls: list[tuple[str, float]]
) -> None:
    """Whatever the rhythm: a burst of one minute's worth, and one minute's worth after it."""
    rate, now = Rate(limit), 0.0
    let_in: dict[str, list[float]] = {"a": [], "b": []}
    for caller, pause in calls:
        now += pause
        wait = rate.wait(caller, now)
        assert 0 <= wait <= MINUTE_SECONDS / limit + 1e-6
        if not wait:
            let_in[caller].append(now)

    for times in let_in.values():
        for start in times:
            assert sum(start <= at < start + MINUTE_SECONDS for at in times) <= 2 * limit


def test_who_waits_as_told_is_let_in() -> None:
    """Retry-After must be true, or senders wait for nothing."""
    rate, now = Rate(7), 0.0

    for _ in range(200):
        if wait := rate.wait("anna", now):
            now += wait + 1e-9
            assert rate.wait("anna", now) == 0.0


def test_memory_is_bounded_whoever_comes() -> None:
    """A flood from a million networks, each of them once or busy, must not fill the memory."""
    once, busy = Rate(60, max_callers=100), Rate(1, max_callers=100)

    for number in range(10_000):
        assert once.wait(number, number * 0.1) == 0.0
        assert busy.wait(number, number * 0.001) == 0.0

    assert len(once._free_at) <= 100
    assert len(busy._free_at) <= 100


def test_making_room_forgets_the_quiet_ones_first() -> None:
    """A flood of strangers must not free the one who is over her limit."""
    rate = Rate(1, max_callers=100)
    rate.wait("flood", 2000.0)

    for number in range(1000):
        rate.wait(number, number * 2.0)

    assert rate.wait("flood", 2000.0) > 0


def test_a_network_is_refused_before_the_site() -> None:
    """Who floods alone must not use up what the whole site has."""
    limits = Limits(BeaconSettings(site_requests_a_minute=3, network_requests_a_minute=2))
    for _ in range(2):
        limits.check("acme", "203.0.113.0/24")
    for _ in range(50):
        with pytest.raises(Refusal, match="your network"):
            limits.check("acme", "203.0.113.0/24")

    limits.check("acme", "198.51.100.0/24")
    with pytest.raises(Refusal, match="this site"):
        limits.check("acme", None)
    limits.check("bolt", "203.0.113.0/24")


def test_a_flooding_network_gets_429_and_its_neighbour_204(start, stored) -> None:
    """One bot must not keep a shop's visitors out, nor grow the spool."""
    limits = {"network_requests_a_minute": 5, "trusted_proxies": ["127.0.0.1"]}
    server = start(beacon=limits)

    flood = [server.post(views(), **{"x-forwarded-for": f"203.0.113.{n}"}) for n in range(20)]
    other = server.post(views(), **{"x-forwarded-for": "198.51.100.1"})

    assert [answer.status_code for answer in flood] == [204] * 5 + [429] * 15
    assert other.status_code == 204
    assert len(stored(server.spool)) == 6
    line = 'pinsphere_beacon_requests_total{call="/v1/events",site="open",status="429"}'
    assert server.metric(line) == 15


def test_the_429_says_when_to_come_again_and_pages_may_read_it(start) -> None:
    """The snippet keeps its events and waits as long as it is told."""
    server = start(beacon={"site_requests_a_minute": 1})
    body = msgspec.json.encode({"site_key": "acme-public-key", "events": views()})
    page = {**LOADED, "origin": "https://shop.example"}

    server.client.post("/v1/events", content=body, headers=page)
    answer = server.client.post("/v1/events", content=body, headers=page)

    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert "too many requests" in answer.json()["error"]


def test_pixels_count_as_events_do(start) -> None:
    """A flood of pictures is a flood."""
    server = start(beacon={"site_requests_a_minute": 2})

    answers = [server.client.get("/v1/pixel.gif?k=open-public-key&t=pin-1") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["retry-after"].isdigit()


def test_signed_calls_are_not_limited(start) -> None:
    """A shop's own server sends a day's orders after an outage; the flood of others is not its."""
    server = start(beacon={"site_requests_a_minute": 1, "network_requests_a_minute": 1})
    body = msgspec.json.encode({"site_key": "acme-public-key", "events": views()})

    for _ in range(5):
        signature = sign(server.secret, body, int(time.time()))
        headers = {**LOADED, "x-pinsphere-signature": signature}
        assert server.client.post("/v1/orders", content=body, headers=headers).status_code == 204


def test_what_is_refused_anyway_costs_the_site_nothing(start) -> None:
    """Foreign pages and wrong keys must not use up a shop's minute."""
    server = start(beacon={"site_requests_a_minute": 1})
    body = msgspec.json.encode({"site_key": "acme-public-key", "events": views()})
    foreign = {**LOADED, "origin": "https://evil.example"}

    for _ in range(5):
        answer = server.client.post("/v1/events", content=body, headers=foreign)
        assert answer.status_code == 403

    assert server.client.post("/v1/events", content=body, headers=LOADED).status_code == 204


def test_without_a_named_proxy_visitors_are_not_counted_as_one(start) -> None:
    """A forgotten `trusted_proxies` would otherwise lock a whole shop out behind its proxy."""
    server = start(beacon={"network_requests_a_minute": 1})

    answers = [server.post(views(), **{"x-forwarded-for": "203.0.113.1"}) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {204}
