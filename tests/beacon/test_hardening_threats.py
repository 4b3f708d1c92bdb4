"""What strangers may try with the public key or a forged header, and what comes of it."""

import contextlib
import hmac
import json
import socket
import sqlite3
import time
from typing import Any

import msgspec
import pytest

from pinsphere import VERSION
from pipelines.flows.run import run
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.settings import parse_settings
from schemas.signature import sign, signature_error

NOW_MS = time.time_ns() // 1_000_000
VIEW = {"event_name": "view_item", "item_id": "mug", "event_time_ms": NOW_MS}
TEXT = {"content-type": "text/plain"}
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
)
MARK = "stranger-was-here"


def batch(*events: Any) -> bytes:
    return msgspec.json.encode({"site_key": "acme-public-key", "events": events})


def order(order_id: str, price: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_name": "purchase",
        "event_id": f"purchase-{order_id}-{price}",
        "event_time_ms": time.time_ns() // 1_000_000 - 1000,
        "order_id": order_id,
        "currency": "GBP",
        "items": [{"item_id": "mug", "price": price}],
        **fields,
    }


@pytest.mark.flow
def test_what_strangers_say_moves_no_money(start) -> None:
    """A shop's revenue is what its server signed: forged, raised or repeated orders add nothing.

    The control is the sum itself: it holds the signed order's ten pounds, not nothing.
    """
    server = start()
    page = {**TEXT, "user-agent": IPHONE}
    earlier = time.time_ns() // 1_000_000 - 60_000
    pin = {"event_name": "pin", "pin_id": "pin-a", "visitor_id": "anna", "item_id": "mug"}
    visit = {"event_name": "pin_visit", "pin_id": "pin-a", "visitor_id": "ben"}
    told = [
        {**pin, "event_id": "p", "event_time_ms": earlier},
        {**visit, "event_id": "v", "event_time_ms": earlier + 1000},
    ]
    assert server.client.post("/v1/events", content=batch(*told), headers=page).status_code == 204
    signed = batch(order("1001", "10.00", visitor_id="ben"))
    headers = {**TEXT, "x-pinsphere-signature": sign(server.secret, signed, int(time.time()))}
    assert server.client.post("/v1/orders", content=signed, headers=headers).status_code == 204

    forged = [
        order("1002", "9999.00", visitor_id="ben"),
        order("1001", "5000.00", visitor_id="ben", is_signed=True, source="server"),
        {**order("1001", "0"), "event_name": "refund", "refund_id": "r-1", "items": []},
        {"event_name": "erase", "event_id": "x", "event_time_ms": NOW_MS, "request_id": "r",
         "visitor_id": "ben"},
    ]  # fmt: skip
    answer = server.client.post("/v1/events", content=batch(*forged), headers=page)
    assert [bad["index"] for bad in answer.json()["quarantined"]] == [2, 3]
    for _ in range(2):  # replayed, as it was heard on the wire
        assert server.client.post("/v1/orders", content=signed, headers=headers).status_code == 204
    server.stop()
    home = Home(server.spool.parent)
    run(home, shards=2, code_version=VERSION)

    with contextlib.closing(sqlite3.connect(home.path / "pinsphere.db")) as database:
        credits = database.execute(
            "SELECT model, SUM(credit_micros), COUNT(DISTINCT order_id) FROM current_order_credits"
            " GROUP BY model"
        ).fetchall()
    assert {row[1:] for row in credits} == {(10_000_000, 1)}


@pytest.mark.parametrize("change", ["body", "time", "secret", "none"])
def test_a_stolen_signature_signs_nothing_else(server, change: str) -> None:
    """Who has seen one signed call, and the public key, has no second one."""
    body, now = batch(order("2001", "1.00")), int(time.time())
    header = sign("guessed" if change == "secret" else server.secret, body, now)
    if change == "body":
        body = body.replace(b"1.00", b"9.00")
    if change == "time":
        header = header.replace(f"t={now}", f"t={now + 1}")
    headers = TEXT if change == "none" else {**TEXT, "x-pinsphere-signature": header}

    answer = server.client.post("/v1/orders", content=body, headers=headers)

    assert answer.status_code == 401


def test_signatures_are_compared_in_constant_time_with_every_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How long a refusal takes must tell neither how much was right nor which secret lives."""
    compared = []
    compare = hmac.compare_digest

    def record(first: Any, second: Any) -> bool:
        compared.append((first, second))
        return compare(first, second)

    monkeypatch.setattr(hmac, "compare_digest", record)
    body = b"{}"
    header = sign("first", body, 1000)

    assert signature_error(header, ("first", "second"), body, 1000) is None
    assert len(compared) == 2
    assert signature_error(header, ("third", "fourth"), body, 1000) is not None
    assert len(compared) == 4


def test_a_wrong_signature_is_told_nothing_of_the_time(server) -> None:
    """An old forged call must not learn that only its clock was wrong."""
    header = sign("guessed", b"{}", 1000)

    error = signature_error(header, (server.secret,), b"{}", 2_000_000_000)

    assert error is not None
    assert "match" in error


def test_without_a_browser_any_origin_can_be_claimed_and_gains_nothing_signed(
    server, stored
) -> None:
    """The list keeps foreign pages out, not programs: what they say stays unsigned."""
    claims = {**TEXT, "origin": "https://shop.example"}
    event = {**VIEW, "event_id": "claimed", "is_signed": True, "source": "server"}

    assert server.client.post("/v1/events", content=batch(event), headers=claims).status_code == 204

    (kept,) = (each for each in stored(server.spool) if each["event_id"] == "claimed")
    assert not kept.get("is_signed", False)
    assert kept.get("source", "web_js") == "web_js"


@pytest.mark.parametrize(
    "origin",
    [b'https://x"<script>', b"https://x\tSet-Cookie: a=b", b"https://\xff\xfe", b"https://x, y"],
)
def test_an_origin_cannot_write_headers_of_its_own(server, origin: bytes) -> None:
    """An answer with a header of the attacker's could set cookies for a shop."""
    raw = b"OPTIONS /v1/events HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw % origin)
        answer = b""
        while part := connection.recv(65536):
            answer += part

    head = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]
    assert not any(line.startswith(b"set-cookie") for line in head)
    assert sum(line.startswith(b"access-control-allow-origin") for line in head) <= 1


def test_the_log_holds_no_word_of_a_stranger(start, tmp_path) -> None:
    """Escape codes and invented lines in a log have fooled operators, and taken over terminals."""
    server = start(log=tmp_path / "log")
    said = f"{MARK}\x1b[31m".encode()
    for raw in (
        b"GET /%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n\r\n" % (MARK.encode(), said, said),
        b"%s / HTTP/1.1\r\n\r\n" % MARK.encode(),
        b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\nOrigin: %s\r\n\r\n%s" % (said, said),
        b"GET / HTTP/1.1\r\n%s\r\n\r\n" % said,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(raw)
            connection.recv(1000)
    server.post([{**VIEW, "event_id": MARK, "item_id": [MARK]}], **{"x-forwarded-for": MARK})
    server.client.get(f"/v1/pixel.gif?k={MARK}&e={MARK}")
    server.stop()

    assert MARK.encode() not in (tmp_path / "log").read_bytes()


@pytest.mark.parametrize("text", [r"a\u0000b", r"\u001f", r"\ud83d", r"\udc00x"])
def test_text_that_breaks_databases_goes_to_quarantine_as_plain_text(
    server, quarantined, text: str
) -> None:
    """One such id would stop a whole run, every night."""
    event = json.dumps({**VIEW, "event_id": "poison", "item_id": "PLACE"}).replace("PLACE", text)
    body = f'{{"site_key": "open-public-key", "events": [{event}]}}'

    answer = server.client.post("/v1/events", content=body, headers=TEXT)

    assert len(answer.json()["quarantined"]) == 1
    record = quarantined(server.spool)[-1]["record"]
    assert "\0" not in record
    record.encode()  # a lone surrogate would fail


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "=1+1", "@SUM(A1)", "'; DROP--"])
def test_markup_and_formulas_are_kept_as_text(server, stored, text: str) -> None:
    """Not ours to judge a product's name; whoever shows it escapes it (docs/security.md)."""
    server.post([{**VIEW, "event_id": "markup", "item_id": text}])

    assert stored(server.spool)[-1]["item_id"] == text


@pytest.mark.parametrize("site_id", ["..", "../x", "a/b", "A", "", "a" * 64, "a\\b", ".hidden"])
def test_a_site_id_cannot_leave_its_folder(site_id: str) -> None:
    """Site ids name folders of the lake."""
    with pytest.raises(SettingsError):
        parse_settings({"sites": {site_id: {"key": "public-key", "currency": "GBP"}}})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/webhooks/shopify/../../../etc/passwd",
        "/v1/webhooks/shopify/..%2f..%2fetc",
        "/pin.js?v=../pinsphere",
        "/pin.js?v=..%2fnetwork.key",
        "/../pinsphere.toml",
        "//etc/passwd",
    ],
)
def test_an_address_reaches_no_file(server, path: str) -> None:
    """Nothing is served from a path, so no path leads out."""
    for method in (b"GET", b"POST"):
        raw = b"%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(raw % (method, path.encode()))
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 405"))
        assert b"public-key" not in answer


def test_nobody_is_given_another_visitors_id(server) -> None:
    """The cookie renews what a browser brought, and mints the rest: it never hands out a third."""
    client = server.client
    minted = [client.get("/pin.js", headers={"cookie": ""}).headers["set-cookie"] for _ in range(2)]
    forged = client.get("/pin.js", headers={"cookie": "pinsphere_visitor=a; x=pinsphere_visitor=b"})
    broken = client.get("/pin.js", headers={"cookie": "pinsphere_visitor=a b; Path=/"})

    assert minted[0] != minted[1]
    assert "pinsphere_visitor=a;" in forged.headers["set-cookie"]
    assert "a b" not in broken.headers["set-cookie"]


@pytest.mark.parametrize("header", ["203.0.113.1", "127.0.0.1", "10.0.0.1, 127.0.0.1"])
def test_metrics_are_shown_to_nobody_who_comes_through_a_proxy(server, header: str) -> None:
    """They tell each shop's traffic; a competitor reads them, too."""
    answer = server.client.get("/metrics", headers={"x-forwarded-for": header})

    assert answer.status_code == 403
    assert "pinsphere_beacon" not in answer.text
    assert server.client.get("/metrics").status_code == 200
