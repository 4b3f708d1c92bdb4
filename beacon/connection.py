"""HTTP/1.1 on one connection: llhttp reads requests, the app answers them in their order.

llhttp (Node.js's parser, by httptools) decides what a request is; what it does not take is
answered with 400, and nothing after it is read. Here are the limits that it does not know: of
heads, of time, of answers that nobody fetches.
"""

import asyncio
from collections import deque
from typing import cast

import httptools

from beacon.crowd import Crowd
from beacon.message import CLOSE, Message, answer_head

# Of an address and its headers together, and how many lines.
HEAD_BYTES = 32 * 1024
MAX_LINES = 100
# What frames the chunks of a body: whoever writes more than this has something else in mind.
MAX_FRAMING_BYTES = 16 * 1024
# Of one body, read and not yet taken by the app.
MAX_UNTAKEN_BYTES = 64 * 1024
# Read, and not yet handed to the app: all that came in one piece is parsed at once.
MAX_WAITING = 100
HEAD_SECONDS = 10.0
"""For a head to come, and for a connection to idle between two requests."""
UNREAD_SECONDS = 60.0
"""For a client to fetch something of an answer."""
LINGER_SECONDS = 2.0
"""For a client to close after the last answer: closed at once, it might never read that."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client. It is read from only while nothing of it waits for an answer."""

    __slots__ = (
        *("_closing_at", "_coming", "_crowd", "_fault", "_fed", "_framing", "_headless"),
        *("_is_deaf", "_is_half", "_is_paused", "_is_stuffed", "_parser", "_since", "_task"),
        *("_transport", "_waiting", "_working", "peer"),
    )

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._parser = httptools.HttpRequestParser(self)
        self._coming: Message | None = None
        """What the parser is at: begun, and not whole."""
        self._waiting: deque[Message] = deque()
        """Requests whose head is there, in the order of their coming."""
        self._working: Message | None = None
        """The request that the app is at."""
        self._task: asyncio.Task[None] | None = None
        self._fault = 0
        """The status for what cannot be read, once all before it is answered."""
        self._headless = 0
        """Bytes of a head that is not complete, or not known to be."""
        self._framing = 0
        """Bytes that came with a chunked body and are not of it."""
        self._is_deaf = self._is_half = self._is_paused = self._is_stuffed = False
        self._closing_at: float | None = None
        self._since = crowd.now

    # What asyncio says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._crowd.add(self):
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone; what the app is at goes on, and its answer goes nowhere."""
        self._crowd.remove(self)
        self._is_deaf = True
        self._waiting.clear()
        self._break_off()
        # They hold each other, and cycles are looked for rarely: 2 KB for each connection so far.
        del self._parser

    def data_received(self, data: bytes) -> None:
        """Bytes of one request, of part of one, or of several."""
        if self._is_deaf:
            return
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_deaf = True  # whatever the client speaks from here on is not HTTP/1.1
        except httptools.HttpParserError:
            self._refuse_rest(self._fault or 400)
        else:
            self._check_sizes()
        self._go_on()

    def eof_received(self) -> bool:
        """The client sends nothing more, and may still read."""
        self._is_half = self._is_deaf = True
        self._break_off()
        return self._working is not None or bool(self._waiting)

    def pause_writing(self) -> None:
        """The client does not fetch its answers."""
        self._is_stuffed = True
        self._since = self._crowd.now
        self._balance()

    def resume_writing(self) -> None:
        """It does again."""
        self._is_stuffed = False
        self._since = self._crowd.now
        self._go_on()

    # What httptools says.

    def on_url(self, url: bytes) -> None:
        """The address of a new request, or another piece of it."""
        if self._coming is None:
            self._coming = Message(self)
            self._headless = 0
        self._coming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head; of trailers, if the head is complete."""
        coming: Message = self._coming  # type: ignore[assignment]
        if coming.has_head:
            raise httptools.HttpParserError
        name = name.lower()
        if name in coming.lines:
            coming.add_line(name, value)
        else:
            coming.lines[name] = value

    def on_headers_complete(self) -> None:
        """The head is there; whether it may be answered, and if more may follow."""
        coming: Message = self._coming  # type: ignore[assignment]
        lines, parser = coming.lines, self._parser
        if self._fed + self._headless > HEAD_BYTES and coming.head_bytes() > HEAD_BYTES:
            self._refuse_head()
        if len(lines) + len(coming.more_lines or ()) > MAX_LINES:
            self._refuse_head()
        if len(self._waiting) >= MAX_WAITING:
            raise httptools.HttpParserError
        coming.method = parser.get_method()
        coming.has_head = True
        coming.may_be_followed = parser.should_keep_alive()
        if b"connection" in lines or b"transfer-encoding" in lines:
            self._framing = 0
            if parser.get_http_version() == "1.0":
                # Who speaks 1.0 would have to be told that the connection stays open.
                coming.may_be_followed = False
                if b"transfer-encoding" in lines:  # which 1.0 does not know
                    raise httptools.HttpParserError
        self._waiting.append(coming)

    def on_body(self, piece: bytes) -> None:
        """Bytes of a body."""
        self._coming.feed(piece)  # type: ignore[union-attr]

    def on_message_complete(self) -> None:
        """A request is whole."""
        coming: Message = self._coming  # type: ignore[assignment]
        if b"transfer-encoding" in coming.lines:
            self._check_framing(coming)
        coming.end()
        self._coming = None
        if self._fed > HEAD_BYTES:
            self._fed = max(0, self._fed - coming.head_bytes() - coming.body_bytes)

    # What the app says.

    def answer(
        self, message: Message, status: int, headers: "tuple[tuple[str, str], ...]", body: bytes
    ) -> None:
        """Sends the one answer of a request, then goes on with the next."""
        if message is not self._working:
            return
        self._working = self._task = None
        if self._transport.is_closing():
            return
        is_last = CLOSE in headers
        if not is_last and (self._is_deaf or self._crowd.is_closing or not message.is_followed):
            # What has come before the end is answered all the same.
            is_last = not (message.is_followed and (self._waiting or self._fault))
            headers += (CLOSE,) * is_last
        head = answer_head(status, headers) + self._crowd.date
        if status in (204, 304):
            self._transport.write(head + b"\r\n")
        else:
            head += b"content-length: %d\r\n\r\n" % len(body)
            self._transport.write(head if message.method == b"HEAD" else head + body)
        self._since = self._crowd.now
        if is_last:
            self._finish()
        elif self._waiting or self._fault or self._is_paused:
            self._crowd.loop.call_soon(self._go_on)

    def expect(self, message: Message) -> None:
        """The app waits for a body: who asked whether to send it may do so."""
        if message.lines.get(b"expect", b"").lower() == b"100-continue" and not message.body_bytes:
            self._transport.write(_CONTINUE)
        self._balance()

    # What the crowd says.

    def check(self, now: float) -> None:
        """Ends a connection that takes too long over something."""
        waited = now - self._since
        is_unread = self._is_stuffed
        if self._closing_at is not None:
            is_unread = self._transport.get_write_buffer_size() > 0
            if is_unread:
                self._closing_at = now + LINGER_SECONDS
            elif now > self._closing_at:
                self._transport.abort()
        if is_unread:
            if waited > UNREAD_SECONDS:
                self._transport.abort()
        elif self._working is None and self._closing_at is None and waited > HEAD_SECONDS:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def close_soon(self) -> None:
        """Closes after what has been asked is answered; at once when nothing has."""
        if self._working is None and not self._waiting:
            self._transport.close()

    # Our own.

    def _refuse_head(self) -> None:
        self._fault = 431
        raise httptools.HttpParserError

    def _check_sizes(self) -> None:
        coming = self._coming
        if coming is None:
            return
        if not coming.has_head:
            self._headless += self._fed
            if self._headless > HEAD_BYTES:
                self._refuse_rest(431)
        elif b"transfer-encoding" in coming.lines:
            try:
                self._check_framing(coming)
            except httptools.HttpParserError:
                self._refuse_rest(400)

    def _check_framing(self, coming: Message) -> None:
        self._framing += self._fed
        if self._framing - coming.head_bytes() - coming.body_bytes > MAX_FRAMING_BYTES:
            raise httptools.HttpParserError

    def _refuse_rest(self, status: int) -> None:
        """What was begun cannot be read: it is answered in its turn, and nothing after it."""
        self._fault = status
        self._is_deaf = True
        self._break_off()

    def _break_off(self) -> None:
        """What was begun will not become whole."""
        broken, self._coming = self._coming, None
        if broken is None:
            return
        if broken in self._waiting and self._fault:
            self._waiting.remove(broken)
        elif broken is self._working:
            self._fault = 0  # the app is told, and refuses it
        broken.break_off()

    def _go_on(self) -> None:
        """Hands the next request to the app, if it is free and the last answer is fetched."""
        while self._waiting and self._working is None and not self._is_stuffed:
            if self._closing_at is not None or self._transport.is_closing():
                return
            message = self._working = self._waiting.popleft()
            self._task = self._crowd.app.begin(message)
        if self._fault and self._working is None and not self._is_stuffed:
            self._working = message = Message(self)
            message.answer(self._fault, (CLOSE,))
        self._balance()

    def _balance(self) -> None:
        """Reads on only while what has come finds takers."""
        working = self._working
        is_full = bool(self._waiting) or self._is_stuffed
        if working is not None and not working.is_whole:
            is_full = is_full or working.untaken_bytes() > MAX_UNTAKEN_BYTES
        if is_full == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = is_full
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _finish(self) -> None:
        """After the last answer: nothing more is read, and the client is left time to read it."""
        self._is_deaf = True
        self._fault = 0
        self._waiting.clear()
        self._coming = None
        self._closing_at = self._crowd.now + LINGER_SECONDS
        if self._is_half or self._transport.is_closing():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._balance()
