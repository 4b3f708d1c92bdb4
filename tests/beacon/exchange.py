"""Requests as a connection hands them over, without a server."""

import asyncio
from collections.abc import AsyncIterable, Sequence

from beacon import wire
from beacon.message import Headers, Message

Lines = Sequence[tuple[str, str]]


class FakeConnection:
    """A connection whose other end sends a body in pieces, once it is asked for."""

    def __init__(self, peer: str, pieces: AsyncIterable[bytes] | None) -> None:
        self.peer = peer
        self._pieces = pieces
        self._sending: asyncio.Task[None] | None = None

    def expect(self, message: Message) -> None:
        """The body is waited for."""
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send(message))

    def answer(self, message: Message, status: int, headers: Headers, body: bytes) -> None:
        """Nobody answers here."""
        raise AssertionError

    async def _send(self, message: Message) -> None:
        assert self._pieces is not None, "nobody reads this body"
        async for piece in self._pieces:
            message.feed(piece)
            await asyncio.sleep(0)
        message.end()


def request(
    lines: Lines = (),
    pieces: AsyncIterable[bytes] | None = None,
    *,
    peer: str = "203.0.113.9",
) -> wire.Request:
    """A request with these header lines, its body in pieces."""
    message = Message(FakeConnection(peer, pieces))  # type: ignore[arg-type]
    message.url, message.method = b"/v1/events", b"GET"
    for name, text in lines:
        message.add_line(name.encode(), text.encode("latin-1"))
    return wire.Request(message)
