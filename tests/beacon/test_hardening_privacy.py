"""What is never written: addresses, people who said no, secrets; and who may read the rest."""

import base64
import json
import os
import re
import stat
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from beacon.intake import Intake, Sender, read_batch, read_pixel, take
from beacon.whole import read_whole, take_whole
from pipelines.io.drain import drain_spool
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.settings import parse_settings
from schemas.signature import sign
from tests.beacon.exchange import request

NOW_MS = time.time_ns() // 1_000_000
VIEW = {"event_name": "view_item", "item_id": "mug", "event_time_ms": NOW_MS}
PAGE = Sender(
    site_id="acme",
    source="web_js",
    call="/v1/events",
    received_time_ms=NOW_MS,
    cookie_visitor_id="her-cookie",
    network_hash="her-network",
)
PROXIED: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}
# Senders as proxies write them, and every way their addresses could stand in a file.
SENDERS = ["203.0.113.77", "203.0.113.78:4711", "[2001:db8:aa:bb::77]:4711", "::ffff:203.0.113.79"]
TRACES = [
    *(b"203.0.113", b"cb00714", b"3405803853", b"2001:db8:aa", b"2001:0db8:00aa", b"20010db800aa"),
    *(bytes([203, 0, 113, 77]), bytes([77, 113, 0, 203]), bytes.fromhex("20010db800aa00bb")),
]


def everything_under(home: Path) -> bytes:
    """Contents and names of all files, and the texts within compressed ones."""
    parts: list[bytes] = []
    for path in sorted(home.rglob("*")):
        parts.append(str(path.relative_to(home)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(str(pq.read_table(path).to_pylist()).encode())
    return b"\n".join(parts)


def traces(content: bytes) -> list[bytes]:
    return [trace for trace in TRACES if trace in content.lower()]


def send_all_kinds(server: Any, sender: str, number: int) -> list[str]:
    """Each call, well and badly, from one sender; gives back what was answered."""
    headers = {"x-forwarded-for": sender, "content-type": "text/plain", "user-agent": "Mozilla"}
    good = {**VIEW, "event_id": f"good-{number}"}
    batch = msgspec.json.encode({"site_key": "open-public-key", "events": [good, {"x": 1}]})
    signed = msgspec.json.encode({"site_key": "acme-public-key", "events": [good]})
    pixel = base64.urlsafe_b64encode(msgspec.json.encode(VIEW)).decode().rstrip("=")
    signature = {"x-pinsphere-signature": sign(server.secret, signed, int(time.time()))}
    client = server.client
    answers = [
        client.post("/v1/events", content=batch, headers=headers),
        client.post("/v1/events", content=b"{", headers=headers),
        client.post("/v1/events", content=batch, headers={**headers, "content-type": "a/b"}),
        client.post("/v1/events", content=signed, headers={**headers, "origin": "https://e.x"}),
        client.post("/v1/orders", content=signed, headers=headers),
        client.post("/v1/orders", content=signed, headers={**headers, **signature}),
        client.get(f"/v1/pixel.gif?k=open-public-key&e={pixel}", headers=headers),
        client.get("/v1/pixel.gif?k=open-public-key&t=!", headers=headers),
        client.get("/pin.js", headers=headers),
        client.get("/nothing", headers=headers),
        client.get("/metrics", headers=headers),
    ]
    return [f"{answer.headers} {answer.text}" for answer in answers]


@pytest.fixture
def logged(start: Callable[..., Any], tmp_path: Path) -> Any:
    """A beacon of two workers behind a proxy, its log beside its home."""
    server = start(workers=2, beacon=PROXIED, log=tmp_path / "log")
    server.log = tmp_path / "log"
    return server


def test_no_address_is_written_anywhere(logged, stored) -> None:
    """Neither spool, quarantine, lake, key file, metrics, answers nor log may name a household."""
    home = logged.spool.parent
    answers = [text for n, one in enumerate(SENDERS) for text in send_all_kinds(logged, one, n)]
    assert len(stored(logged.spool)) >= 3 * len(SENDERS)
    logged.stop()
    drain_spool(Home(home), Home(home).settings())

    content = everything_under(home)

    assert b"good-0" in content
    assert traces(content + logged.log.read_bytes() + "\n".join(answers).encode()) == []


def test_the_control_an_address_in_an_event_is_found(server) -> None:
    """If the search cannot find an address that is there, it proves nothing."""
    server.post([{**VIEW, "event_id": "control", "item_id": "203.0.113.77"}])

    assert traces(everything_under(server.spool.parent)) == [b"203.0.113"]


def test_what_is_kept_is_one_name_a_network_a_site_and_a_day(start, stored) -> None:
    """Neighbours in a /24 look alike, strangers do not, and nobody can say who they are."""
    server = start(workers=2, beacon=PROXIED)
    senders = ["203.0.113.1", "203.0.113.200:99", "198.51.100.1", "2001:db8:aa::1"]
    senders += ["2001:db8:aa:ffff::1", "127.0.0.1", "oops"]

    for number, sender in enumerate(senders):
        event = {**VIEW, "event_id": f"e{number}", "network_hash": "the sender's own word"}
        server.post([event], **{"x-forwarded-for": sender, "connection": "close"})

    told = {event["event_id"]: event.get("network_hash") for event in stored(server.spool)}
    names = [told[f"e{number}"] for number in range(len(senders))]
    assert names[0] == names[1]
    assert names[3] == names[4]
    assert len({names[0], names[2], names[3]}) == 3
    assert names[5:] == [None, None]
    assert all(re.fullmatch("[A-Za-z0-9_-]{16}", str(name)) for name in names[:5])


def test_signed_calls_and_denied_consent_carry_no_network(start, stored) -> None:
    """A shop's server is no visitor; and a network, too, tells where somebody is."""
    server = start(beacon=PROXIED)
    sender = {"x-forwarded-for": "203.0.113.1"}
    body = msgspec.json.encode(
        {"site_key": "acme-public-key", "events": [{**VIEW, "event_id": "signed"}]}
    )
    signature = {"x-pinsphere-signature": sign(server.secret, body, int(time.time()))}
    headers = {"content-type": "text/plain", **sender, **signature}

    server.client.post("/v1/orders", content=body, headers=headers)
    server.post([{**VIEW, "event_id": "denied", "consent": "denied"}], **sender)
    server.post([{**VIEW, "event_id": "gpc"}], **sender, **{"sec-gpc": "1"})

    events = stored(server.spool)
    assert [event["event_id"] for event in events] == ["signed", "denied", "gpc"]
    assert not any("network_hash" in event for event in events)


def test_a_home_that_cannot_hold_the_key_takes_events_all_the_same(start, stored) -> None:
    """Names of networks are a help; events are money."""
    server = start(beacon=PROXIED)
    (server.spool.parent / "network.key").mkdir()

    answer = server.post([{**VIEW, "event_id": "e"}], **{"x-forwarded-for": "203.0.113.1"})

    assert answer.status_code == 204
    assert "network_hash" not in stored(server.spool)[0]


def take_body(events: str, sender: Sender = PAGE) -> Intake:
    """As the collector takes a body: in one go where it can."""
    body = f'{{"site_key": "k", "events": [{events}]}}'.encode()
    whole = None if sender.is_gpc else read_whole(body, is_signed=sender.is_signed)
    intake = None if whole is None else take_whole(whole, sender)
    return intake or take(read_batch(body).events, None, sender)


HERS = (
    '"visitor_id": "her-visitor", "session_id": "her-session", "customer_id": "her-number",'
    ' "page_location": "https://shop.example/p?mail=her-mail#her-",'
    ' "network_hash": "her-own", "her_field": "her-field"'
)
GOOD = f'"event_name": "view_item", "event_id": "e", "event_time_ms": {NOW_MS}, "item_id": "mug"'
DENIALS = [
    f'{{{GOOD}, {HERS}, "consent": "denied"}}',
    f'{{"consent": "denied", {GOOD}, {HERS}}}',
    f'{{{GOOD}, {HERS}, "consent": "\\u0064eni\\u0065d"}}',
    f'{{{GOOD}, {HERS}, "\\u0063onsent": "denied"}}',
    f'{{{GOOD}, {HERS}, "consent": "granted", "consent": "denied"}}',
    f'{{{GOOD}, {HERS}, "visitor_\\u0069d": "her-third", "consent": "denied"}}',
    f'{{{GOOD}, {HERS}, "visitor_id": "her-second", "consent": "denied"}}',
    f'{{{GOOD}, {HERS}, "consent"\t:\n"denied"}}',
    # What no contract knows goes to quarantine, where a no in other words is a no as well.
    f'{{{GOOD}, {HERS}, "consent": "Denied"}}',
    f'{{{GOOD}, {HERS}, "consent": "no"}}',
    f'{{{GOOD}, {HERS}, "consent": false}}',
    f'{{{GOOD}, {HERS}, "consent": ["denied"]}}',
    f'{{{GOOD.replace("view_item", "dance")}, {HERS}, "consent": "denied"}}',
    f'{{{GOOD}, {HERS}, "event_time_ms": "never", "consent": "denied"}}',
    f'{{{GOOD.replace("view_item", "erase")}, {HERS}, "request_id": "r", "consent": "denied"}}',
    f'{{{GOOD}, {HERS}, "x": "\\ud83d", "consent": "DENIED"}}',
    f'{{{GOOD}, {HERS}, "x": NaN, "consent": "denied"}}',
]


@pytest.mark.parametrize("event", DENIALS)
def test_a_no_leaves_nothing_of_her_however_it_is_spelled(event: str) -> None:
    """An attacker of privacy is often just a careless template."""
    intake = take_body(event)

    kept = intake.events + b"".join(msgspec.json.encode(bad.reject) for bad in intake.rejected)
    assert kept
    assert b"her-" not in kept


@pytest.mark.parametrize("event", [*DENIALS, f"{{{GOOD}, {HERS}}}", f"{{{GOOD}, {HERS}, oops"])
def test_gpc_outweighs_whatever_the_page_says(event: str) -> None:
    """The browser speaks for her, the page for the shop."""
    sender = replace(PAGE, is_gpc=True)
    text = base64.urlsafe_b64encode(event.encode()).decode()

    for intake in (
        take([msgspec.Raw(event.encode())], None, sender),
        take([read_pixel(text, NOW_MS)], None, replace(sender, source="pixel")),
    ):
        kept = intake.events + b"".join(msgspec.json.encode(bad.reject) for bad in intake.rejected)
        assert b"her-" not in kept


def test_the_control_a_yes_keeps_what_the_contract_knows_and_nothing_else() -> None:
    """Without it, an intake that drops everything would pass; and unknown fields never stay."""
    intake = take_body(f'{{{GOOD}, {HERS}, "consent": "granted"}}')

    assert b"her-visitor" in intake.events
    assert b"her-network" in intake.events
    assert b"her-own" not in intake.events
    assert b"her-field" not in intake.events


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], False),
        (["1"], True),
        ([" 1 "], True),
        (["0"], False),
        ([""], False),
        (["true"], True),
        (["?1"], True),
        (["?0"], False),
        (['"1"'], True),
        (["1, 1"], True),
        (["0", "1"], True),
        (["1", "0"], True),
        (["yes"], True),
        (["\xff"], True),
    ],
)
def test_every_spelling_of_gpc_that_is_no_plain_no_is_a_yes(
    lines: list[str], expected: bool
) -> None:
    """A proxy that doubles the header, or an extension with its own idea, must not undo it."""
    headers = [("host", "x"), *(("sec-gpc", line) for line in lines)]

    assert request(headers).is_gpc is expected


@pytest.mark.parametrize(("other", "renewed"), [(b"a", True), ("\xe4".encode(), False)])
def test_a_cookie_line_that_cannot_be_read_is_left_alone(
    server, other: bytes, renewed: bool
) -> None:
    """Another script's umlaut in it, and each page would give the visitor a new id."""
    line = b"shop=" + other + b"; pinsphere_visitor=her-own-id"

    answer = server.client.get("/pin.js", headers={b"cookie": line})

    assert ("pinsphere_visitor=her-own-id" in answer.headers.get("set-cookie", "")) is renewed
    assert ("set-cookie" in answer.headers) is renewed


def test_a_pixel_with_gpc_takes_no_cookie(server, stored) -> None:
    """The cookie of an earlier yes is not a yes."""
    headers = {"sec-gpc": "1", "cookie": "pinsphere_visitor=her-cookie"}

    server.client.get("/v1/pixel.gif?k=open-public-key&t=gpc-pixel", headers=headers)

    (event,) = (each for each in stored(server.spool) if each.get("pin_id") == "gpc-pixel")
    assert event["consent"] == "denied"
    assert "her-cookie" not in json.dumps(event)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('secret = "SESAME-open"', "put the secret into an environment variable"),
        ('shopify_secret = "SESAME-open"', "put the secret into an environment variable"),
        ('secret_env = "SESAME-open"', "is the name of an environment variable"),
        ('woocommerce_secret_env = ["OK", "SESAME-open"]', "is the name of an environment"),
        ("secret_env = 5", "is the name of an environment variable"),
    ],
)
def test_a_secret_in_the_settings_is_refused_and_not_repeated(line: str, reason: str) -> None:
    """Settings are copied, committed and shown around; and error texts end up in tickets."""
    with pytest.raises(SettingsError, match=reason) as caught:
        parse_settings(tomllib.loads(f'[sites.a]\nkey = "public-key"\ncurrency = "GBP"\n{line}'))

    assert "SESAME" not in str(caught.value)


def test_no_answer_no_log_and_no_file_holds_the_secret(logged) -> None:
    """Who reads a log must not be able to sign orders."""
    answers = [text for n, one in enumerate(SENDERS) for text in send_all_kinds(logged, one, n)]
    forged = {"content-type": "text/plain", "x-pinsphere-signature": f"t=1,v1={'0' * 64}"}
    body = b'{"site_key": "acme-public-key", "events": []}'
    answers.append(logged.client.post("/v1/orders", content=body, headers=forged).text)
    logged.stop()

    told = everything_under(logged.spool.parent) + logged.log.read_bytes()
    assert logged.secret.encode() not in told + "\n".join(answers).encode()


def test_spool_and_key_are_the_owners_whatever_the_umask(start) -> None:
    """A neighbour on the machine must not read what visitors did."""
    previous = os.umask(0)
    try:
        server = start(beacon=PROXIED)
    finally:
        os.umask(previous)
    server.post([{**VIEW, "event_id": "e"}], **{"x-forwarded-for": "203.0.113.1"})

    home = server.spool.parent
    files = [home / "network.key", *server.spool.iterdir()]
    assert len(files) >= 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(server.spool.stat().st_mode) == 0o700
