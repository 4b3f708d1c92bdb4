"""Requests and answers: reading a body within limits, refusing in JSON."""

import re
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote

import httptools
import msgspec

from beacon.message import CLOSE, BodyError, Headers, Message
from beacon.patience import Patience
from schemas.answers import Problem

NO_STORE = ("cache-control", "no-store")
MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
# All bodies that have come in part; one that comes in one piece is never held.
MAX_AWAITED_BYTES = 128 * 1024 * 1024
# A body of one byte a piece costs some 5 us of CPU a byte.
MAX_PIECES = 4096
# The pattern below goes back and forth: its time grows with the square of the length.
MAX_CONTENT_TYPE = 100
UNREADABLE = "(not ASCII)"
"""Stands for a header with bytes beyond ASCII, which no sender of ours has."""
_NO = ("", "0", "false")
_USUAL_TYPES = frozenset(("text/plain;charset=UTF-8", "text/plain", "application/json"))
_patience = Patience()
_JSON_TYPES = re.compile(
    r"(?:text/plain|application/json)\s*(?:;\s*charset=\"?[a-z0-9_-]+\"?\s*)?;?\s*", re.IGNORECASE
)


class Response(NamedTuple):
    """One answer; its Content-Length is added when it is sent."""

    status: int
    headers: Headers = ()
    body: bytes = b""


class Refusal(Exception):  # noqa: N818 - an answer, raised where it is known
    """Ends a request with an error answer: a status and a text that says what was wrong."""

    def __init__(self, status: int, text: str, headers: Headers = ()) -> None:
        super().__init__(text)
        self.response = json_response(status, Problem(error=text), headers)


class _Awaited:
    """How much is held of bodies whose rest is awaited."""

    bytes = 0


_awaited = _Awaited()


class Request:
    """One HTTP request; its body, and headers that few calls ask for, are read on demand."""

    __slots__ = (
        *("_lines", "_message", "is_gpc", "is_last", "is_placed", "method", "network", "origin"),
        *("path", "site_id"),
    )

    def __init__(self, message: Message) -> None:
        self._message = message
        self._lines = message.lines
        self.method = message.method.decode()
        self.path = _path(message.url)
        self.site_id: str | None = None
        """The site of the caller's key, once it is known."""
        self.network: str | None = None
        """Her network, when it is known; `is_placed` once it was looked up."""
        self.is_placed = False
        self.origin = self.header("origin")
        self.is_gpc = b"sec-gpc" in self._lines and _is_yes(self.lines("sec-gpc"))
        """Whether the browser asks not to be tracked (Global Privacy Control)."""
        self.is_last = b"transfer-encoding" in self._lines
        """Whether the connection must end with this request.

        Only `Transfer-Encoding` leaves proxies in doubt where a request ends; no browser sends
        it. With nothing read after such a request, nothing can be smuggled behind it.
        """

    @property
    def peer(self) -> str:
        """Address of the other end of the connection, "" when it has none."""
        return self._message.peer

    @property
    def query(self) -> str:
        """What stands behind the question mark, as it was sent."""
        return self._message.url.partition(b"?")[2].partition(b"#")[0].decode("latin-1")

    def header(self, name: str) -> str:
        """A header's text (name in lower case), "" when it is missing."""
        value = self._lines.get(name.encode())
        if value is None:
            return ""
        return value.decode().strip(" \t") if value.isascii() else UNREADABLE

    def lines(self, name: str) -> str:
        """A header that may stand on several lines, as one, "" when it is missing."""
        text = self.header(name)
        for each, value in self._message.more_lines or ():
            if each == name.encode() and value.isascii():
                more = value.decode().strip(" \t")
                text = more if text == UNREADABLE else f"{text},{more}"
        return text

    def check_content_type(self) -> None:
        """Takes JSON under the two names senders use, whatever charset they add.

        Raises:
          Refusal: 415.
        """
        content_type = self.header("content-type")
        if content_type in _USUAL_TYPES:
            return
        if not _is_json_type(content_type.strip()):
            raise Refusal(
                415, f"content type {content_type[:80]!r} is not text/plain or application/json"
            )

    def whole_body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The body of a request that has come as a whole.

        Raises:
          Refusal: 413 beyond the limit.
        """
        body = self._message.take_body()
        _check_size(len(body), limit)
        return body

    async def body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body, as soon as it has come.

        Raises:
          Refusal: 413 beyond the limit, 400 when it ends early or does not come.
        """
        if self._message.is_whole:
            return self.whole_body(limit)
        declared = self.header("content-length")
        if declared.isdigit():
            _check_size(int(declared), limit)
        try:
            return await _patience.wait(self._in_pieces(limit), BODY_SECONDS)
        except TimeoutError:
            raise Refusal(400, f"the body did not come within {BODY_SECONDS:g} seconds") from None
        except BodyError:
            raise Refusal(400, "the body is cut short or badly framed") from None

    def answer(self, response: Response, extra: Headers = ()) -> None:
        """Sends the answer, with headers that depend on who asked."""
        headers = response.headers + extra
        self._message.answer(
            response.status, (*headers, CLOSE) if self.is_last else headers, response.body
        )

    async def _in_pieces(self, limit: int) -> bytes:
        body = bytearray()
        pieces = held = 0
        try:
            async for piece in self._message:
                body += piece
                pieces += 1
                _check_size(len(body), limit)
                _awaited.bytes += len(body) - held
                held = len(body)
                if _awaited.bytes > MAX_AWAITED_BYTES:
                    _refuse_rest(503, "too many large bodies at once", (("retry-after", "5"),))
                if pieces > MAX_PIECES:
                    _refuse_rest(400, f"the body comes in more than {MAX_PIECES} pieces")
        finally:
            _awaited.bytes -= held
        return bytes(body)


def _path(url: bytes) -> str:
    """The path of an address, unescaped."""
    if not url.startswith(b"/"):  # `http://host/path`, `*`, or `host:443`
        try:
            url = httptools.parse_url(url).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return url.decode("latin-1")
    path = url.partition(b"?")[0].partition(b"#")[0].decode("latin-1")
    return unquote(path) if "%" in path else path


def _is_yes(gpc: str) -> bool:
    """The standard knows only `1`; whatever else is not plainly a no is taken as a yes."""
    return any(word.strip(' "?') not in _NO for word in gpc.lower().split(","))


def _is_json_type(content_type: str) -> bool:
    is_short = len(content_type) <= MAX_CONTENT_TYPE
    return is_short and _JSON_TYPES.fullmatch(content_type) is not None


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        _refuse_rest(413, f"the body is larger than {limit} bytes")


def _refuse_rest(status: int, text: str, headers: Headers = ()) -> NoReturn:
    # The rest of the body is not read, so the connection cannot serve another request.
    raise Refusal(status, text, (*headers, ("connection", "close")))


def json_response(status: int, value: Any, headers: Headers = ()) -> Response:
    """An answer in JSON."""
    return Response(
        status, (("content-type", "application/json"), *headers), msgspec.json.encode(value)
    )
