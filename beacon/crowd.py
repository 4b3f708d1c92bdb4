"""The connections of one worker: how many, how long, and the end of them all."""

import asyncio
import contextlib
import email.utils
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from beacon.connection import Connection
    from beacon.message import Message

MAX_CONNECTIONS = 16_384
TICK_SECONDS = 0.5
# For clients to read their last answer, when the worker ends.
FAREWELL_SECONDS = 1.0


class App(Protocol):
    """Who answers the requests."""

    def begin(self, message: "Message") -> "asyncio.Task[None] | None":
        """Sees to the answer of a request, in this call or in a task."""


class Crowd:
    """All connections, and the clock they share."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.loop = loop
        self.is_closing = False
        self._connections: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self._tick()

    def add(self, connection: "Connection") -> bool:
        """Lets a connection in, unless there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= MAX_CONNECTIONS

    def remove(self, connection: "Connection") -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()

    def close(self) -> None:
        """From now on each answer is the last one of its connection."""
        self.is_closing = True
        for connection in list(self._connections):
            connection.close_soon()

    async def wait_until_gone(self) -> None:
        """Until all clients have read their last answer, but not for long."""
        self._is_empty.clear()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), FAREWELL_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def _tick(self) -> None:
        self.loop.call_later(TICK_SECONDS, self._tick)
        self.now = self.loop.time()
        self.date = f"date: {email.utils.formatdate(time.time(), usegmt=True)}\r\n".encode()
        for connection in list(self._connections):
            connection.check(self.now)
