"""Requests as RSGI hands them over, without a server."""

import itertools
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

from beacon import wire

Lines = Sequence[tuple[str, str]]


class FakeHeaders:
    """Headers like granian's: a line with bytes beyond ASCII counts, but is not told."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def get(self, key: str, default: Any = None) -> Any:
        """The first line, if it can be read."""
        text = next((text for name, text in self._lines if name == key), "\xff")
        return text if text.isascii() else default

    def get_all(self, key: str) -> list[str]:
        """All lines that can be read."""
        return [text for name, text in self._lines if name == key and text.isascii()]

    def __contains__(self, key: str) -> bool:
        return any(name == key for name, _ in self._lines)


class FakeScope:
    """What is known of a request before its body."""

    def __init__(self, lines: Lines, client: str, scheme: str) -> None:
        self.headers: wire.Lines = FakeHeaders(lines)
        self.client, self.scheme = client, scheme
        self.method, self.path, self.query_string = "GET", "/v1/events", ""


class FakeExchange:
    """A body in pieces that come one by one."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces

    async def __call__(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self._pieces])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._pieces)

    def response_empty(self, status: int, headers: Lines) -> None:
        """Nobody answers here."""
        raise AssertionError

    def response_bytes(self, status: int, headers: Lines, body: bytes) -> None:
        """Nobody answers here."""
        raise AssertionError


async def no_body() -> AsyncIterator[bytes]:
    """The pieces of a body that nobody reads."""
    for _ in itertools.repeat(None):
        raise AssertionError
        yield b""


def request(
    lines: Lines = (),
    pieces: AsyncIterable[bytes] | None = None,
    *,
    client: str = "203.0.113.9:5",
    scheme: str = "http",
) -> wire.Request:
    """A request with these header lines, its body in pieces."""
    exchange = FakeExchange(no_body() if pieces is None else pieces)
    return wire.Request(FakeScope(lines, client, scheme), exchange)
