"""Connections: the order of what comes and goes, and the ends they may have."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from beacon import connection, crowd, notices
from beacon.app import Beacon
from beacon.connection import Connection
from beacon.crowd import Crowd
from beacon.message import answer_head
from beacon.workers import CrashError
from schemas.home import Home
from tests.beacon.load import view

POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"


def body(event_id: str) -> bytes:
    return msgspec.json.encode({"site_key": "open-public-key", "events": [view(event_id)]})


def post(event_id: str, *lines: bytes) -> bytes:
    content = body(event_id)
    head = POST + b"".join(line + b"\r\n" for line in lines)
    return head + b"Content-Length: %d\r\n\r\n" % len(content) + content


def ask(port: int, raw: bytes, *, is_over: bool = True) -> bytes:
    """All that the server answers until it closes."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(20)
        client.sendall(raw)
        if is_over:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer


@pytest.mark.integration
def test_who_has_said_all_still_hears_all(server: Any) -> None:
    """A sender that closes its half after the last request has not taken back the first."""
    answer = ask(server.port, post("half-1") + post("half-2") + b"GET /healthz HTTP/1.1\r\n\r\n")

    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"204", b"204", b"200"]
    assert answer.count(b"connection: close") == 1


@pytest.mark.integration
def test_a_body_that_waits_to_be_asked_for_is_asked_for(server: Any) -> None:
    """Some senders, as curl, send large bodies only after a 100, or late."""
    content = body("asked-for")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(20)
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(content))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(content[:9])
        client.sendall(content[9:])
        assert client.recv(100).startswith(b"HTTP/1.1 204 ")


@pytest.mark.integration
@pytest.mark.parametrize(
    "raw",
    [
        b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET http://a.example/healthz HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
    ],
)
def test_who_wants_one_answer_gets_one_and_the_end(server: Any, raw: bytes) -> None:
    """Old proxies read until the end, and would wait for ten seconds."""
    answer = ask(server.port, raw * 2, is_over=False)

    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b'{"status":"alive"}')


@pytest.mark.integration
def test_a_refusal_reaches_who_is_still_sending(server: Any) -> None:
    """Closed with bytes unread, a connection forgets what it had to say."""
    head = POST + b"Content-Length: 9000000\r\n\r\n"

    answer = ask(server.port, head + b" " * 1_000_000, is_over=False)

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.integration
def test_so_many_requests_may_wait_and_no_more(server: Any) -> None:
    """Twenty bytes sent become a kilobyte kept, and there are thousands of connections."""
    answer = ask(server.port, b"GET /healthz HTTP/1.1\r\n\r\n" * (connection.MAX_WAITING + 20))

    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200"] * connection.MAX_WAITING + [b"400"]


class Transport:
    """The other end, as far as a test looks at it."""

    def __init__(self) -> None:
        self.written = b""
        self.unread = 0
        self.ends: list[str] = []

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("203.0.113.9", 5)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return bool(self.ends)

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        """Nothing follows."""

    def pause_reading(self) -> None:
        """Nothing comes by itself here."""

    resume_reading = pause_reading

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


def opened() -> tuple[Connection, Any, Any]:
    """A connection, its other end, and the crowd it is one of."""
    shared: Any = SimpleNamespace(now=100.0, date=b"", is_closing=False, add=Mock(), app=Mock())
    one, transport = Connection(shared), Transport()
    one.connection_made(transport)  # type: ignore[arg-type]
    return one, transport, shared


def test_who_fetches_nothing_for_a_minute_is_let_go() -> None:
    """Answers nobody fetches would stay for ever. Who fetches slowly has her time."""
    one, transport, _ = opened()
    one.pause_writing()

    one.check(100 + connection.UNREAD_SECONDS)
    assert transport.ends == []

    one.check(101 + connection.UNREAD_SECONDS)
    assert transport.ends == ["abort"]


def test_a_last_answer_may_be_read_slowly() -> None:
    """A phone on a bad line needs more than two seconds for the snippet."""
    one, transport, _ = opened()
    one.data_received(b"no HTTP\r\n\r\n")
    assert transport.written.startswith(b"HTTP/1.1 400 ")

    transport.unread = 1
    one.check(100 + connection.LINGER_SECONDS + 1)
    assert transport.ends == []

    transport.unread = 0
    one.check(100 + 2 * connection.LINGER_SECONDS + 2)
    assert transport.ends == ["abort"]


def test_a_beacon_has_room_for_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond them memory would end, for all."""
    monkeypatch.setattr(crowd, "MAX_CONNECTIONS", 1)

    async def come() -> list[list[str]]:
        shared = Crowd(Mock(), asyncio.get_running_loop())
        transports = [Transport(), Transport()]
        for transport in transports:
            Connection(shared).connection_made(transport)  # type: ignore[arg-type]
        return [transport.ends for transport in transports]

    assert asyncio.run(come()) == [[], ["abort"]]


def test_an_answer_cannot_write_a_header_of_anybodys() -> None:
    """The last look, should a line ever be made of a stranger's words."""
    with pytest.raises(ValueError, match="breaks its line"):
        answer_head(200, (("x", "a\r\nset-cookie: b"),))


def test_a_fault_of_ours_costs_one_request_and_tells_no_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An operator must learn of it; what a stranger wrote may stand in its text."""
    (tmp_path / "pinsphere.toml").write_text("")
    home = Home(str(tmp_path))
    beacon = Beacon(home, home.settings())
    collector = beacon._collector
    collector.admit = Mock(side_effect=ZeroDivisionError("her words"))  # type: ignore[method-assign]
    one, transport, shared = opened()
    shared.app = beacon

    async def come() -> None:
        one.data_received(post("unlucky"))

    asyncio.run(come())

    assert transport.written.startswith(b"HTTP/1.1 500 ")
    told = capsys.readouterr().err
    assert "answering 500: ZeroDivisionError at " in told
    assert "her words" not in told
    assert notices.fault(None) == "NoneType"


@pytest.mark.integration
def test_workers_that_end_at_once_end_the_beacon() -> None:
    """A beacon that starts and starts again looks alive, and takes nothing."""
    script = "import os, beacon.workers as w; w.supervise(2, lambda: os._exit(3), lambda: None)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 1
    assert CrashError.__name__ in done.stderr
