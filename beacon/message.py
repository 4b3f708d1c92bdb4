"""One request while it comes and until it is answered."""

import asyncio
import functools
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beacon.connection import Connection

Headers = tuple[tuple[str, str], ...]

CLOSE = ("connection", "close")
# Kept ready; those with a visitor's cookie are all different, and push each other out.
_HEADS = 256


class BodyError(Exception):
    """A body ended early, or is badly framed."""


class Message:
    """A request: its head, its body as far as it has come, and the way to its answer."""

    __slots__ = (
        *("_connection", "_is_broken", "_pieces", "_waiter", "body_bytes", "has_head", "is_whole"),
        *("lines", "may_be_followed", "method", "more_lines", "url"),
    )

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._is_broken = False
        self.url = self.method = b""
        self.lines: dict[bytes, bytes] = {}
        """The first line of each header, by its name in lower case."""
        self.more_lines: list[tuple[bytes, bytes]] | None = None
        self.has_head = self.is_whole = self.may_be_followed = False
        self.body_bytes = 0

    # As the app sees it.

    @property
    def peer(self) -> str:
        """Address of the other end of the connection, "" when it has none."""
        return self._connection.peer

    def take_body(self) -> bytes:
        """The body of a request that is whole. It is not held here while the app is at work."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __aiter__(self) -> "Message":
        """The body in pieces, as they come."""
        return self

    async def __anext__(self) -> bytes:
        """What has come of the body since the last time.

        Raises:
          BodyError: it ended early, or is badly framed.
        """
        while not self._pieces:
            if self.is_whole:
                raise StopAsyncIteration
            if self._is_broken:
                raise BodyError
            self._waiter = asyncio.get_running_loop().create_future()
            self._connection.expect(self)
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece

    def answer(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Sends the answer; its date and length are added. What comes second is not sent."""
        self._connection.answer(self, status, headers, body)

    # As the connection sees it.

    @property
    def is_followed(self) -> bool:
        """Whether another request may come after this one."""
        return self.is_whole and self.may_be_followed

    def add_line(self, name: bytes, value: bytes) -> None:
        """A line of the head; the name in lower case."""
        if name not in self.lines:
            self.lines[name] = value
        elif self.more_lines is None:
            self.more_lines = [(name, value)]
        else:
            self.more_lines.append((name, value))

    def feed(self, piece: bytes) -> None:
        """Bytes of the body."""
        self._pieces.append(piece)
        self.body_bytes += len(piece)
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """The body is whole."""
        self.is_whole = True
        if self._waiter is not None:
            self._wake()

    def break_off(self) -> None:
        """No more of the body will come, or what comes cannot be read."""
        self._is_broken = not self.is_whole
        if self._waiter is not None:
            self._wake()

    def head_bytes(self) -> int:
        """Size of the head, nearly."""
        lines = (*self.lines.items(), *(self.more_lines or ()))
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in lines)

    def untaken_bytes(self) -> int:
        """Bytes of the body that have come and were not asked for yet."""
        return sum(map(len, self._pieces))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@functools.lru_cache(_HEADS)
def answer_head(status: int, headers: Headers) -> bytes:
    """The first line of an answer and its headers, but for date and length."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {text}" for name, text in headers]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError(f"a header of the answer breaks its line: {headers!r}")
    return "\r\n".join([*lines, ""]).encode("latin-1")
