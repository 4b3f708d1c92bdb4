"""Slow, silent and greedy clients: they wait for themselves, never for the others."""

import asyncio
import contextlib
import itertools
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from beacon import wire
from beacon.wire import Refusal, Request, Response
from tests import services
from tests.beacon.exchange import request

IDLE = 10_000
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
NOW_MS = time.time_ns() // 1_000_000
VIEW = {"event_name": "view_item", "item_id": "mug", "event_time_ms": NOW_MS}
SECONDS = 20.0
# Opens connections, says so, and holds them until its standard input ends.
CROWD = """
import socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
for each in crowd:
    each.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert each.recv(100).startswith(b"HTTP/1.1 200")
print("here", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as opened:
        opened.settimeout(SECONDS)
        yield opened


def post(event_id: str) -> bytes:
    body = msgspec.json.encode(
        {"site_key": "open-public-key", "events": [{**VIEW, "event_id": event_id}]}
    )
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_until_closed(opened: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionError):
        while part := opened.recv(65536):
            answer += part
    return answer


def test_slow_headers_bodies_and_silence_are_closed_within_seconds(server, start) -> None:
    """A thousand slow connections from one laptop must not become a thousand for ever.

    The control: a beacon that waits for ten minutes still holds its slow ones then.
    """
    patient = start(variant="patient")
    started = time.monotonic()
    with (
        connection(server.port) as slow_header,
        connection(server.port) as slow_body,
        connection(server.port) as silent,
        connection(server.port) as idle,
        connection(patient.port) as endless_header,
        connection(patient.port) as endless_body,
    ):
        for each in (slow_header, endless_header):
            each.sendall(b"GET /healthz HTTP/1.1\r\nX-A: ")
        for each in (slow_body, endless_body):
            each.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(8):  # one more byte now and then does not win time
            time.sleep(1)
            slow_header.sendall(b"a")
            slow_body.sendall(b" ")
        # Others are answered meanwhile.
        assert server.client.get("/healthz").status_code == 200

        assert read_until_closed(slow_body).startswith(b"HTTP/1.1 400 ")
        read_until_closed(slow_header)
        read_until_closed(silent)
        assert read_until_closed(idle).startswith(b"HTTP/1.1 200 ")
        for each in (endless_header, endless_body):
            each.setblocking(False)
            with pytest.raises(BlockingIOError):
                each.recv(1)

    assert time.monotonic() - started < SECONDS


def test_who_does_not_read_is_not_written_to_for_ever(start) -> None:
    """Answers nobody fetches must wait in the client's buffers, not in the beacon's memory."""
    server = start()
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 200
    with contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(connection(server.port)) for _ in range(20)]
        before = memory_mb(server.process.pid)
        for each in greedy:
            each.setblocking(False)
            for _ in range(20):  # 4,000 answers of tens of kilobytes each: gigabytes, if kept
                with contextlib.suppress(BlockingIOError):
                    each.sendall(asked)
        for _ in range(20):
            assert server.client.get("/healthz").status_code == 200

        assert memory_mb(server.process.pid) - before < 100


def memory_mb(parent: int) -> float:
    """Resident memory of a process and its children."""
    pids = [parent]
    for task in Path(f"/proc/{parent}/task").iterdir():
        pids += map(int, (task / "children").read_text().split())
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * resource.getpagesize() / 1e6


def body_request(pieces: Iterator[bytes]) -> Request:
    """A request whose body comes in pieces; after them it is silent."""

    async def come() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await asyncio.Event().wait()

    return request([], come())


async def refusal(request: Request) -> Response:
    with pytest.raises(Refusal) as refused:
        await request.body(2**21)
    return refused.value.response


def test_half_sent_bodies_hold_no_more_memory_than_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of strangers with almost two megabytes each must not bring the worker down."""
    monkeypatch.setattr(wire, "MAX_AWAITED_BYTES", 2_000_000)

    async def crowd() -> list[Response]:
        slow = [
            asyncio.create_task(body_request(iter([b" " * 900_000])).body(2**21)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        late = [await refusal(body_request(iter([b" " * 900_000]))) for _ in range(2)]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return late

    for answer in asyncio.run(crowd()):
        assert answer.status == 503
        assert ("retry-after", "5") in answer.headers
        assert ("connection", "close") in answer.headers
    assert wire._awaited.bytes == 0


def test_a_body_in_thousands_of_pieces_is_refused() -> None:
    """A byte a piece would cost a hundred times what it costs to send."""
    answer = asyncio.run(refusal(body_request(itertools.repeat(b" "))))

    assert answer.status == 400
    assert b"pieces" in answer.body


def test_pipelined_requests_are_answered_in_their_order(start, stored) -> None:
    """Answers out of order would tell a sender that another request's events are safe."""
    server = start(variant="slow_commit")
    raw = post("first") + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post("third")
    raw += b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + post("fifth")
    raw += b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    with connection(server.port) as opened:
        opened.sendall(raw)
        answer = read_until_closed(opened)

    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [204, 200, 204, 404, 204, 200]
    assert [event["event_id"] for event in stored(server.spool)] == ["first", "third", "fifth"]


def test_each_pipelined_answer_comes_when_its_own_events_are_safe(start, stored) -> None:
    """The second request must not make the first one's answer come earlier than its commit."""
    server = start(variant="slow_commit")

    with connection(server.port) as opened:
        opened.sendall(post("first") + post("second"))
        for expected in (1, 2):
            assert opened.recv(12) == b"HTTP/1.1 204"
            assert len(stored(server.spool)) >= expected
            rest = b""
            while b"\r\n\r\n" not in rest:
                rest += opened.recv(1)


def test_the_control_an_early_ack_comes_before_its_events(start, stored) -> None:
    """If the commit were always faster than the answer, the test above would prove nothing."""
    server = start(variant="ack_before_commit")

    with connection(server.port) as opened:
        opened.sendall(post("first"))
        assert opened.recv(12) == b"HTTP/1.1 204"
        assert stored(server.spool) == []


@pytest.mark.timeout(120)
def test_ten_thousand_idle_connections_leave_room_for_the_next(start) -> None:
    """Every open tab of a shop may hold one; the next shopper must be served as ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 1000:
        pytest.skip(f"{services.OPTIONAL}{IDLE} connections need more than {hard} open files")
    limit = IDLE + 1000 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(limit, IDLE + 1000)), hard))
    try:
        server = start()
        crowd = subprocess.Popen(
            [sys.executable, "-c", CROWD, str(server.port), str(IDLE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with crowd:
        assert crowd.stdout is not None
        assert crowd.stdin is not None
        assert crowd.stdout.readline() == "here\n"
        for number in range(50):
            answer = server.post([{**VIEW, "event_id": f"late-{number}"}])
            assert answer.status_code == 204
        crowd.stdin.close()
        assert crowd.wait(timeout=30) == 0
