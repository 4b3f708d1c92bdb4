"""What stands behind the answers: what is kept, for whom, and who may read it."""

import json
import socket
import time

import httpx
import pytest

from beacon.metrics import FOLD_SECONDS
from tests.beacon.answers import (
    EMPTY,
    EVIL,
    GOOD,
    MIXED,
    NOW_MS,
    SHOP,
    TEXT,
    VIEW,
    batch,
    pixel,
    signed,
)

HUMAN = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36"


def test_a_beacon_without_room_says_why_and_lives(start):
    """The page keeps its events and comes again; the operator reads what is missing."""
    server = start(min_free_percent=99.999)

    refused = server.client.post("/v1/events", content=GOOD, headers={**TEXT, "origin": SHOP})

    assert "of the disk is free" in refused.json()["error"]
    # The page can read both, or its script would see a network error.
    assert refused.headers["access-control-allow-origin"] == SHOP
    assert refused.headers["access-control-expose-headers"] == "Retry-After"
    assert server.client.get("/healthz").status_code == 200


def test_a_preflight_from_nowhere_is_refused(start):
    """Where each site has its list, a page that is on none learns nothing."""
    server = start(without_open_site=True)

    answer = server.client.options("/v1/events", headers={"origin": EVIL})

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_bad_events_are_named_in_the_answer_and_kept(server, quarantined):
    """The shop sees which event was bad and why; nothing is thrown away."""
    answer = server.client.post("/v1/events", content=MIXED, headers=TEXT)

    (bad,) = answer.json()["quarantined"]
    assert answer.json()["accepted"] == 2
    assert bad["index"] == 1
    assert "'dance'" in bad["reason"]
    kept = quarantined(server.spool)[-1]
    assert (kept["site_id"], kept["reason"]) == ("acme", bad["reason"])
    assert json.loads(kept["record"]) == {"event_name": "dance"}


def test_what_is_stored_says_who_sent_it(server, stored):
    """The site comes from the key, the source from the call, the class from the user agent."""
    headers = {**TEXT, "user-agent": f"{HUMAN} [Pinterest/iOS]"}
    server.client.post("/v1/events", content=batch(VIEW, key="open-public-key"), headers=headers)
    server.client.post("/v1/orders", content=GOOD, headers=signed(GOOD))
    server.client.get(pixel(VIEW), headers={"user-agent": HUMAN})

    page, order, mail = stored(server.spool)[-3:]

    assert (page["site_id"], page["user_agent_class"]) == ("open", "pinterest_inapp")
    assert page["sent_time_ms"] == NOW_MS
    assert abs(page["received_time_ms"] - time.time() * 1000) < 60_000
    assert (order["site_id"], order["source"], order["is_signed"]) == ("acme", "server", True)
    assert "user_agent_class" not in order, "human: a server's user agent is not the shopper's"
    assert (mail["site_id"], mail["source"]) == ("acme", "pixel")


def test_an_empty_batch_writes_nothing(server, stored):
    """A script that only asks whether the beacon is there costs no disk."""
    before = server.metric("pinsphere_beacon_commit_group_requests_sum")

    server.client.post("/v1/events", content=EMPTY, headers=TEXT)

    assert server.metric("pinsphere_beacon_commit_group_requests_sum") == before


def test_gpc_leaves_no_trace_of_her(server, stored):
    """The header alone is enough, whatever the page says."""
    event = {**VIEW, "visitor_id": "her-visitor", "consent": "granted"}
    headers = {**TEXT, "sec-gpc": "1", "cookie": "pinsphere_visitor=her-cookie"}

    answer = server.client.post("/v1/events", content=batch(event), headers=headers)

    assert answer.status_code == 204
    assert "her-" not in json.dumps(stored(server.spool)[-1])
    assert "set-cookie" not in server.client.get("/pin.js", headers={"sec-gpc": "1"}).headers


def test_cross_origin_headers_follow_the_sites_list(server):
    """A page that may send can read the answer; no other page can."""
    allowed = server.client.post("/v1/events", content=GOOD, headers={**TEXT, "origin": SHOP})
    early = server.client.post("/v1/events", content=b"{", headers={**TEXT, "origin": SHOP})
    evil = {**TEXT, "origin": EVIL}
    refused = server.client.post("/v1/events", content=GOOD, headers=evil)
    asked = server.client.options("/v1/events", headers={"origin": SHOP})

    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert early.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-origin" not in refused.headers
    assert all(a.headers["vary"] == "Origin" for a in (allowed, early, refused, asked))
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "Content-Type"


def test_the_pixel_is_a_gif_of_its_stated_length(server):
    """A pixel without a picture fires onerror in the page."""
    answer = server.client.get(pixel(VIEW))

    assert answer.headers["content-type"] == "image/gif"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b"GIF89a")
    assert answer.headers["cache-control"] == "no-store"


def test_the_snippet_brings_the_cookie_and_renews_it(server):
    """A first visit mints her id; each later one keeps it alive, on a 304 too."""
    with httpx.Client(base_url=server.client.base_url) as client:
        first = client.get("/pin.js", headers={"accept-encoding": "br"})
        minted = client.cookies["pinsphere_visitor"]
        again = client.get(
            "/pin.js",
            headers={"accept-encoding": "br", "if-none-match": first.headers["etag"]},
        )

    assert first.headers["content-encoding"] == "br"
    assert first.headers["vary"] == "Accept-Encoding"
    assert "private" in first.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")
    assert len(minted) == 22
    assert f"pinsphere_visitor={minted}; " in again.headers["set-cookie"]
    assert "Max-Age=34560000" in again.headers["set-cookie"]
    assert "HttpOnly" not in again.headers["set-cookie"]


def test_metrics_count_by_site_status_and_reason(server):
    """What an operator watches: answers, events, quarantine, commits."""
    lines = [
        'pinsphere_beacon_requests_total{call="/v1/events",site="acme",status="200"}',
        'pinsphere_beacon_events_total{outcome="stored",site="acme",source="web_js"}',
        'pinsphere_beacon_events_total{outcome="quarantined",site="acme",source="web_js"}',
        'pinsphere_beacon_quarantined_total{reason="event_name",site="acme"}',
        "pinsphere_beacon_commit_seconds_count",
    ]
    before = [server.metric(line) for line in lines]

    server.client.post("/v1/events", content=MIXED, headers=TEXT)

    added = [server.metric(line) - old for line, old in zip(lines, before, strict=True)]
    assert added == [1, 2, 1, 1, 1]


HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
CUT = {
    "body shorter than its length": HEAD + b"Content-Length: 900\r\n\r\n" + GOOD,
    "no body at all": HEAD + b"Content-Length: 900\r\n\r\n",
    "chunk without end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
}


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
def test_a_body_cut_short_is_neither_kept_nor_a_crash(server, stored, sent: bytes):
    """Phones lose their network in the middle of a word."""
    before = len(stored(server.spool))
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sender:
        sender.sendall(sent)
        sender.shutdown(socket.SHUT_WR)
        answer = sender.recv(4096)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sender:
        sender.sendall(sent)  # and gone, without a word

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert server.client.get("/healthz").status_code == 200
    assert len(stored(server.spool)) == before


def test_a_body_without_a_stated_length_is_stopped_at_the_limit(server):
    """Counting only Content-Length would let a chunked body through."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sender:
        sender.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sender.sendall(b"10001\r\n" + b"x" * 0x10001 + b"\r\n")
        answer = sender.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_same_answers_from_several_workers(start, stored):
    """Each worker has a spool file of its own; the metrics add all of them up."""
    server = start(workers=2)
    clients = [httpx.Client(base_url=server.client.base_url) for _ in range(12)]
    for client in clients:
        assert client.post("/v1/events", content=GOOD, headers=TEXT).status_code == 204
        client.close()

    line = 'pinsphere_beacon_requests_total{call="/v1/events",site="acme",status="204"}'
    deadline = time.monotonic() + 10  # each worker's counts are a moment late
    while server.metric(line) < 12 and time.monotonic() < deadline:
        time.sleep(FOLD_SECONDS)
    assert server.metric(line) == 12
    server.stop()
    assert len(list(server.spool.glob("*.spool"))) == 2
    assert len(stored(server.spool)) == 12
