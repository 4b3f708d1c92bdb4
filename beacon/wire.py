"""Requests and answers over RSGI: reading a body within limits, refusing in JSON."""

import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import msgspec
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from beacon.patience import Patience
from schemas.answers import Problem

Headers = tuple[tuple[str, str], ...]

NO_STORE = ("cache-control", "no-store")
MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
# A declared body up to here is collected by the server and comes in one await. Nobody counts
# what is held of these: at most this for each connection, of which there are 16,384.
MAX_COLLECTED_BYTES = 16 * 1024
# All larger bodies that have come in part; a body in one piece is never held.
MAX_AWAITED_BYTES = 128 * 1024 * 1024
# A body of one byte a piece costs some 5 us of CPU a byte.
MAX_PIECES = 4096
# The pattern below goes back and forth: its time grows with the square of the length.
MAX_CONTENT_TYPE = 100
UNREADABLE = "(not ASCII)"
"""Stands for a header with bytes beyond ASCII: RSGI does not give them."""
_NO = ("", "0", "false")
_USUAL_TYPES = frozenset(("text/plain;charset=UTF-8", "text/plain", "application/json"))
_patience = Patience()
_JSON_TYPES = re.compile(
    r"(?:text/plain|application/json)\s*(?:;\s*charset=\"?[a-z0-9_-]+\"?\s*)?;?\s*", re.IGNORECASE
)


class Lines(Protocol):
    """A request's headers; a line with bytes beyond ASCII counts, but is not told."""

    def get(self, key: str, default: Any = None) -> Any:
        """The first line of a header."""

    def get_all(self, key: str) -> list[str]:
        """All lines of a header."""

    def __contains__(self, key: str) -> bool:
        """Whether there is such a line, told or not."""


class Scope(Protocol):
    """What is known of a request before its body, as RSGI has it."""

    client: str
    headers: Lines
    method: str
    path: str
    query_string: str
    scheme: str


class Exchange(Protocol):
    """The way to a request's body and to its answer, as RSGI has it."""

    def __call__(self) -> Awaitable[bytes]:
        """The whole body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces, then an empty one."""

    def response_empty(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Answers without a body."""

    def response_bytes(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Answers with a body."""


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
        *("_exchange", "_lines", "_scope", "is_gpc", "is_last", "is_placed", "method", "network"),
        *("origin", "path", "site_id"),
    )

    def __init__(self, scope: Scope, exchange: Exchange) -> None:
        self.method = scope.method
        self.path = scope.path
        self.site_id: str | None = None
        """The site of the caller's key, once it is known."""
        self.network: str | None = None
        """Her network, when it is known; `is_placed` once it was looked up."""
        self.is_placed = False
        self._scope = scope
        self._lines = scope.headers
        self._exchange = exchange
        # Each look at the headers costs some 0.4 us: what is asked for twice is looked up once.
        self.origin = self.header("origin")
        self.is_gpc = "sec-gpc" in self._lines and _is_yes(self.lines("sec-gpc"))
        """Whether the browser asks not to be tracked (Global Privacy Control)."""
        self.is_last = "transfer-encoding" in self._lines
        """Whether the connection must end with this request.

        Only `Transfer-Encoding` leaves proxies in doubt where a request ends; no browser sends
        it. With nothing read after such a request, nothing can be smuggled behind it.
        """

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the other end of the connection speaks it."""
        return self._scope.scheme

    @property
    def peer(self) -> str:
        """Address of the other end of the connection, "" when it has none."""
        return self._scope.client.rpartition(":")[0]

    @property
    def query(self) -> str:
        """What stands behind the question mark, as it was sent."""
        return self._scope.query_string

    def header(self, name: str) -> str:
        """A header's text (name in lower case), "" when it is missing."""
        text: str | None = self._lines.get(name)
        if text is None:
            return UNREADABLE if name in self._lines else ""
        return text

    def lines(self, name: str) -> str:
        """A header that may stand on several lines, as one, "" when it is missing."""
        return ",".join(self._lines.get_all(name)) or self.header(name)

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

    async def body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body.

        Raises:
          Refusal: 413 beyond the limit, 400 when it ends early or does not come.
        """
        declared = self.header("content-length")
        length = int(declared) if declared.isdigit() else None
        if length is not None:
            _check_size(length, limit)
        is_small = length is not None and length <= MAX_COLLECTED_BYTES and not self.is_last
        coming = self._exchange() if is_small else self._in_pieces(limit)
        try:
            body = await _patience.wait(coming, BODY_SECONDS)
        except TimeoutError:
            raise Refusal(400, f"the body did not come within {BODY_SECONDS:g} seconds") from None
        except ProtocolClosed:
            raise Refusal(400, "the connection ended before the body did") from None
        if length is not None and len(body) != length:
            raise Refusal(400, f"the body has {len(body)} bytes; its Content-Length is {length}")
        return body

    async def _in_pieces(self, limit: int) -> bytes:
        body = bytearray()
        pieces = held = 0
        is_over = False
        try:
            async for piece in self._exchange:
                # An empty piece ends a body. RSGI tells of broken framing, and of an end too
                # early, by one more; of trailers too, which no sender of ours has.
                if is_over:
                    _refuse_rest(400, "the body is cut short, badly framed or followed by trailers")
                is_over = not piece
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


def respond(
    exchange: Exchange, response: Response, extra: Headers = (), *, is_last: bool = False
) -> None:
    """Sends an answer, with headers that depend on who asked."""
    status, headers, body = response
    headers += extra
    if is_last:
        headers += (("connection", "close"),)
    if body:
        exchange.response_bytes(status, headers, body)
    else:
        exchange.response_empty(status, headers)
