"""The calls that only read: the snippet, health, metrics, the API's description."""

from pathlib import Path

import msgspec

from beacon.cookie import format_cookie, mint_visitor, read_visitor
from beacon.door import now_ms
from beacon.metrics import Metrics
from beacon.room import Room
from beacon.script import Script, is_match
from beacon.spool import Entry, Spool, SpoolError
from beacon.wire import NO_STORE, Refusal, Request, Response, json_response
from schemas.openapi import Status, openapi
from schemas.settings import BeaconSettings

SNIPPET_MAX_AGE_SECONDS = 3600


class Pages:
    """Answers that store nothing (the readiness check only tries the disk)."""

    def __init__(
        self, settings: BeaconSettings, snippet: Path, spool: Spool, room: Room, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._script = Script(snippet.read_bytes()) if snippet.exists() else None
        self._openapi = msgspec.json.encode(openapi())
        self._spool = spool
        self._room = room
        self._metrics = metrics

    async def send_script(self, request: Request) -> Response:
        """`GET /pin.js`."""
        if self._script is None:
            raise Refusal(404, "this installation has no snippet file")
        variant = self._script.variant(request.header(b"accept-encoding"))
        headers = [
            (b"etag", variant.etag.encode()),
            (b"vary", b"Accept-Encoding"),
            (b"cache-control", b"private, max-age=%d" % SNIPPET_MAX_AGE_SECONDS),
        ]
        if self._settings.visitor_cookie and not request.is_gpc:
            visitor_id = read_visitor(request.header(b"cookie")) or mint_visitor()
            cookie = format_cookie(visitor_id, is_secure=request.scheme != "http")
            headers.append((b"set-cookie", cookie.encode()))
        if is_match(request.header(b"if-none-match"), variant.etag):
            return Response(304, tuple(headers))
        headers.append((b"content-type", b"text/javascript; charset=utf-8"))
        if variant.encoding:
            headers.append((b"content-encoding", variant.encoding.encode()))
        return Response(200, tuple(headers), variant.body)

    async def check_alive(self, _request: Request) -> Response:
        """`GET /healthz`."""
        return json_response(200, Status(status="alive"), (NO_STORE,))

    async def check_ready(self, _request: Request) -> Response:
        """`GET /readyz`."""
        if shortage := self._room.shortage():
            raise SpoolError(shortage)
        await self._spool.write(Entry(now_ms()))  # a real flush: nothing else shows it works
        return json_response(200, Status(status="ready"), (NO_STORE,))

    async def send_metrics(self, _request: Request) -> Response:
        """`GET /metrics`."""
        self._room.shortage()
        self._metrics.spool_bytes.set(self._room.spool_bytes)
        kind = b"text/plain; version=1.0.0; charset=utf-8"
        return Response(200, ((b"content-type", kind), NO_STORE), self._metrics.render())

    async def send_openapi(self, _request: Request) -> Response:
        """`GET /openapi.json`."""
        return Response(200, ((b"content-type", b"application/json"),), self._openapi)
