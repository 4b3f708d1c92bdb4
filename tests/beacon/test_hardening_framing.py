"""Where a request ends: no two readers of one connection may disagree, or one smuggles.

The tests speak raw HTTP to the real server. Each request of a case is followed, in the same
bytes, by `GET /openapi.json`. Either both are answered, and the first one's end is beyond
doubt (a plain Content-Length, or none); or the connection is closed after the first.
"""

import re
import socket
import time
from collections.abc import Callable

import msgspec
import pytest

from beacon.wire import MAX_BODY_BYTES

NEXT = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
EMPTY = msgspec.json.encode({"site_key": "open-public-key", "events": []})
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
SIZE = b"%x" % len(EMPTY)
LENGTH = b"Content-Length: %d\r\n" % len(EMPTY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = SIZE + b"\r\n" + EMPTY + b"\r\n"
END = b"0\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def talk(port: int, raw: bytes, *, seconds: float = 10.0) -> tuple[list[int], bool]:
    """Statuses of the answers, and whether the server closed the connection by itself."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(raw)
            while b'"openapi"' not in answer and (part := connection.recv(65536)):
                answer += part
            is_closed = b'"openapi"' not in answer
        except ConnectionError:
            is_closed = True
    return [int(status) for status in STATUS.findall(answer)], is_closed


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(POST + LENGTH + b"\r\n" + EMPTY, id="Content-Length"),
        pytest.param(
            POST + b"Content-Length: 00%d\r\n\r\n" % len(EMPTY) + EMPTY, id="leading zeros"
        ),
        pytest.param(
            POST + b"Content-Length:%d \t\r\n\r\n" % len(EMPTY) + EMPTY, id="blanks around"
        ),
        pytest.param(
            POST + LENGTH + b"Transfer_Encoding: chunked\r\n\r\n" + EMPTY, id="underscore"
        ),
        pytest.param(POST + LENGTH + b"X-TE: chunked\r\n\r\n" + EMPTY, id="another header"),
    ],
)
def test_a_plain_length_ends_a_request_beyond_doubt(server, request_bytes: bytes) -> None:
    """The ordinary case must stay fast: one connection, many requests."""
    assert talk(server.port, request_bytes + NEXT) == ([204, 200], False)


@pytest.mark.parametrize("call", [b"GET /healthz", b"POST /healthz", b"POST /nothing"])
def test_a_body_nobody_reads_is_not_the_next_request(server, call: bytes) -> None:
    """A request hidden in the body of another would slip past the proxy's rules."""
    hidden = b"GET /pin.js HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (call, len(hidden))

    statuses, _ = talk(server.port, head + hidden + NEXT)

    assert len(statuses) <= 2
    assert 304 not in statuses
    assert statuses[0] in (200, 404, 405)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(POST + CHUNKED + b"\r\n" + CHUNK + END, id="chunked"),
        pytest.param(
            POST + b"Transfer-Encoding: identity\r\n" + CHUNKED + b"\r\n" + CHUNK + END,
            id="two TE lines",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNK + END, id="TE list"
        ),
        pytest.param(
            POST + b"tRANSFER-eNCODING: CHUNKED\r\n\r\n" + CHUNK + END, id="TE in capitals"
        ),
        pytest.param(
            POST + b"Transfer-Encoding:\tchunked\r\n\r\n" + CHUNK + END, id="TE after tab"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n" + SIZE + b";a=b\r\n" + EMPTY + b"\r\n" + END,
            id="chunk extension",
        ),
    ],
)
def test_after_a_transfer_encoding_the_connection_ends(server, request_bytes: bytes) -> None:
    """Proxies read these differently; what they think comes next is never read here."""
    assert talk(server.port, request_bytes + NEXT) == ([204], True)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(POST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + EMPTY, id="two lengths"),
        pytest.param(POST + LENGTH + LENGTH + b"\r\n" + EMPTY, id="the same length twice"),
        pytest.param(POST + LENGTH + CHUNKED + b"\r\n" + CHUNK + END, id="CL + TE"),
        pytest.param(POST + CHUNKED + LENGTH + b"\r\n" + CHUNK + END, id="TE + CL"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNK + END, id="chunked twice"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n" + SIZE + b" \r\n" + EMPTY + b"\r\n" + END,
            id="blank after size",
        ),
        pytest.param(
            POST + b"X-A: b\n" + CHUNKED + b"\r\n" + CHUNK + END, id="TE behind a bare LF"
        ),
        pytest.param(POST + b"Content-Length: 2, 2\r\n\r\n", id="list of lengths"),
        pytest.param(POST + b"Content-Length: +2\r\n\r\n{}", id="plus"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", id="negative"),
        pytest.param(POST + b"Content-Length: 0x2\r\n\r\n{}", id="hexadecimal"),
        pytest.param(POST + b"Content-Length:\r\n\r\n", id="empty"),
        pytest.param(POST + b"Content-Length: 99999999999999999999\r\n\r\n", id="overflow"),
        pytest.param(POST + b"Content-Length : 2\r\n\r\n{}", id="blank before the colon"),
        pytest.param(POST + b"Transfer-Encoding : chunked\r\n\r\n" + END, id="TE, blank, colon"),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n" + END, id="unknown TE"),
        pytest.param(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + END, id="chunked first"),
        pytest.param(
            POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + END, id="chunked, identity"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + END, id="control character"
        ),
        pytest.param(POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + END, id="quoted TE"),
        pytest.param(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END, id="folded"),
        pytest.param(
            b"POST /v1/events HTTP/1.0\r\n" + CHUNKED + b"\r\n" + CHUNK + END, id="TE in HTTP/1.0"
        ),
        pytest.param(POST + b"X-A: b\rX-B: c\r\n\r\n", id="bare CR"),
        pytest.param(POST + b"X-A: b\0c\r\n\r\n", id="NUL"),
        pytest.param(POST + b"X A: b\r\n\r\n", id="blank in a name"),
        pytest.param(POST + b": b\r\n\r\n", id="no name"),
        pytest.param(b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n", id="HTTP/1.2"),
        pytest.param(b"GET /healthz\r\n", id="HTTP/0.9"),
        pytest.param(
            POST + CHUNKED + b"\r\n" + SIZE + b"\n" + EMPTY + b"\r\n" + END, id="LF after size"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n" + SIZE + b";a\n" + EMPTY + b"\r\n" + END, id="LF in extension"
        ),
        pytest.param(POST + CHUNKED + b"\r\n" + CHUNK + b"0\n\n", id="LF at the end"),
        pytest.param(
            POST + CHUNKED + b"\r\n" + CHUNK + b"0\r\nContent-Length: 9\r\nX-A: b\r\n\r\n",
            id="trailers",
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n" + SIZE + b"\r\n" + EMPTY + b"\n" + END, id="LF after data"
        ),
        pytest.param(POST + CHUNKED + b"\r\n0x2\r\n{}\r\n" + END, id="0x in a size"),
        pytest.param(POST + CHUNKED + b"\r\n-2\r\n{}\r\n" + END, id="negative size"),
        pytest.param(POST + CHUNKED + b"\r\n 2\r\n{}\r\n" + END, id="blank before size"),
        pytest.param(
            POST + CHUNKED + b"\r\nfffffffffffffffff2\r\n{}\r\n" + END, id="size overflow"
        ),
        pytest.param(POST + CHUNKED + b"\r\n1\r\n{}\r\n" + END, id="chunk longer than its size"),
        pytest.param(
            POST + CHUNKED + b"\r\n2;" + b"a" * 20_000 + b"\r\n{}\r\n" + END, id="endless extension"
        ),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_closed(server, request_bytes: bytes) -> None:
    """Each of these has fooled a pair of servers somewhere."""
    assert talk(server.port, request_bytes + NEXT) == ([400], True)


@pytest.fixture
def trusting_server(start: Callable[..., object]):
    """The control: a beacon that keeps the connection after a Transfer-Encoding."""
    return start(variant="keep_after_chunked")


def test_the_control_without_the_rule_reads_on(trusting_server) -> None:
    """If this fails, the tests above prove nothing."""
    raw = POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + CHUNK + END + NEXT

    assert talk(trusting_server.port, raw) == ([204, 200], False)


def test_an_upgrade_is_not_answered_as_one(server) -> None:
    """A proxy that believed in a tunnel would pass on everything after it, unread."""
    for protocol in (b"h2c", b"websocket"):
        raw = (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % protocol
        )
        statuses, _ = talk(server.port, raw + NEXT)
        assert 101 not in statuses


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(
            b"GET /healthz HTTP/1.1\r\n" + b"X-A: b\r\n" * 101 + b"\r\n", 431, id="101 headers"
        ),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n", 431, id="70 kB header"
        ),
        pytest.param(
            b"GET /v1/pixel.gif?e=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431,
            id="70 kB address",
        ),
        pytest.param(
            POST + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413, id="declared body"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n" + b"8000\r\n" + b" " * 0x8000 + b"\r\n8001\r\n" + b" " * 0x8001
            + b"\r\n" + END, 413, id="chunked body",
        ),
    ],
)  # fmt: skip
def test_what_is_too_large_is_refused_and_closed(server, request_bytes: bytes, status: int) -> None:
    """Memory a stranger fills is memory shoppers lack."""
    assert talk(server.port, request_bytes + NEXT) == ([status], True)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\n" + b"X-A: b\r\n" * 99 + b"\r\n", id="99 headers"),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nCookie: " + b"a" * 16_000 + b"\r\n\r\n",
            id="16 kB of cookies",
        ),
    ],
)
def test_what_browsers_may_send_is_taken(server, request_bytes: bytes) -> None:
    """A shop with many cookies is still a shop."""
    assert talk(server.port, request_bytes + NEXT) == ([200, 200], False)


@pytest.mark.parametrize("depth", [200, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_json_is_an_answer_not_a_crash(
    server, depth: int, opening: bytes, closing: bytes
) -> None:
    """A stack that overflows takes the worker with it."""
    deep = opening * (depth // len(opening)) + b"1" + closing * (depth // len(opening))
    now_ms = time.time_ns() // 1_000_000
    event = b'{"event_id":"e","event_name":"view_item","event_time_ms":%d,"x":%s}' % (now_ms, deep)

    for body in (deep, b'{"site_key":"open-public-key","events":[%s]}' % event):
        answer = server.client.post(
            "/v1/events", content=body, headers={"content-type": "text/plain"}
        )
        assert answer.status_code in (200, 204, 400)
    assert server.client.get("/healthz").status_code == 200


def test_a_compressed_body_is_never_unpacked(server) -> None:
    """A kilobyte that unpacks to a gigabyte is the cheapest flood there is."""
    import gzip

    packed = gzip.compress(msgspec.json.encode({"site_key": "open-public-key", "events": []}))
    headers = {"content-type": "text/plain", "content-encoding": "gzip"}

    assert server.client.post("/v1/events", content=packed, headers=headers).status_code == 400
