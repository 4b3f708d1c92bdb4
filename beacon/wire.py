"""Requests and answers over plain ASGI: reading a body within limits, refusing in JSON."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, NoReturn

import msgspec

from schemas.openapi import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

NO_STORE = (b"cache-control", b"no-store")
MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
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


class Request:
    """One HTTP request; the body is read on demand."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scheme: str = scope.get("scheme", "http")
        self.query: bytes = scope.get("query_string", b"")
        self.site_id: str | None = None
        """The site of the caller's key, once it is known."""
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive

    def header(self, name: bytes) -> str:
        """A header's text (name in lower case), "" when it is missing."""
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def is_gpc(self) -> bool:
        """Whether the browser asks not to be tracked (Global Privacy Control)."""
        return self._headers.get(b"sec-gpc", b"").strip() == b"1"

    def check_content_type(self) -> None:
        """Takes JSON under the two names senders use, whatever charset they add.

        Raises:
          Refusal: 415.
        """
        content_type = self.header(b"content-type").strip()
        if _JSON_TYPES.fullmatch(content_type) is None:
            raise Refusal(
                415, f"content type {content_type[:80]!r} is not text/plain or application/json"
            )

    async def body(self) -> bytes:
        """The whole body.

        Raises:
          Refusal: 413 beyond 64 KiB, 400 when it ends early or does not come.
        """
        declared = self._headers.get(b"content-length")
        length = int(declared) if declared is not None and declared.isdigit() else None
        if length is not None and length > MAX_BODY_BYTES:
            _refuse_size()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await self._chunks()
        except TimeoutError:
            raise Refusal(400, f"the body did not come within {BODY_SECONDS:g} seconds") from None
        if length is not None and len(body) != length:
            raise Refusal(400, f"the body has {len(body)} bytes; its Content-Length is {length}")
        return body

    async def _chunks(self) -> bytes:
        body: bytes = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Refusal(400, "the connection ended before the body did")
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                _refuse_size()
            if not message.get("more_body", False):
                return body


def _refuse_size() -> NoReturn:
    # The rest of the body is not read, so the connection cannot serve another request.
    raise Refusal(
        413, f"the body is larger than {MAX_BODY_BYTES} bytes", ((b"connection", b"close"),)
    )


def json_response(status: int, value: Any, headers: Headers = ()) -> Response:
    """An answer in JSON."""
    return Response(
        status, ((b"content-type", b"application/json"), *headers), msgspec.json.encode(value)
    )


async def respond(send: Send, response: Response, extra: Headers = ()) -> None:
    """Sends an answer, with headers that depend on who asked."""
    headers = [*response.headers, *extra]
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
