"""The calls that only read: the snippet, health, metrics, the API's description."""

from urllib.parse import parse_qs

import msgspec

from beacon.cookie import format_cookie, mint_visitor, read_visitor
from beacon.door import now_ms
from beacon.metrics import Metrics
from beacon.network import Proxies
from beacon.room import Room
from beacon.script import Scripts, is_match
from beacon.spool import Spool, SpoolError
from beacon.spool_file import Entry
from beacon.wire import NO_STORE, UNREADABLE, Refusal, Request, Response, json_response
from schemas.answers import Status
from schemas.openapi import openapi
from schemas.settings import BeaconSettings

SNIPPET_MAX_AGE_SECONDS = 3600
# The bytes of a version never change, but a browser that never asks never renews its cookie.
VERSION_MAX_AGE_SECONDS = 24 * 3600
# A page that checks the snippet's hash must be allowed to read it. It is the same for everyone,
# and a browser then sends and takes cookies only where page and beacon share their host.
_ANY_PAGE = ("access-control-allow-origin", "*")


class Pages:
    """Answers that store nothing (the readiness check only tries the disk)."""

    def __init__(
        self, settings: BeaconSettings, scripts: Scripts, spool: Spool, room: Room, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._proxies = Proxies(settings.trusted_proxies)
        self._scripts = scripts
        self._openapi = msgspec.json.encode(openapi())
        self._spool = spool
        self._room = room
        self._metrics = metrics

    async def send_script(self, request: Request) -> Response:
        """`GET /pin.js`, the current snippet, or the one that `?v=` names."""
        version = parse_qs(request.query).get("v", [""])[-1]
        script = self._scripts.find(version) if version else self._scripts.current
        if script is None:
            raise Refusal(
                404,
                f"snippet {version[:40]!r} was never served here;"
                " print the tag of this beacon with: pinsphere snippet",
                (_ANY_PAGE, NO_STORE),
            )
        variant = script.variant(request.header("accept-encoding"))
        max_age_seconds = VERSION_MAX_AGE_SECONDS if version else SNIPPET_MAX_AGE_SECONDS
        headers = [
            _ANY_PAGE,
            ("etag", variant.etag),
            ("vary", "Accept-Encoding"),
            ("cache-control", f"private, max-age={max_age_seconds}"),
        ]
        said = request.header("cookie")
        # An id may stand in a cookie line that cannot be read; a new one would take its place.
        if self._settings.visitor_cookie and not request.is_gpc and said != UNREADABLE:
            visitor_id = read_visitor(said) or mint_visitor()
            cookie = format_cookie(visitor_id, is_secure=self._proxies.scheme(request) != "http")
            headers.append(("set-cookie", cookie))
        if is_match(request.header("if-none-match"), variant.etag):
            return Response(304, tuple(headers))
        headers.append(("content-type", "text/javascript; charset=utf-8"))
        if variant.encoding:
            headers.append(("content-encoding", variant.encoding))
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

    async def send_metrics(self, request: Request) -> Response:
        """`GET /metrics`; they tell how much each shop sells, so not to the world."""
        if not Proxies.is_inside(request):
            raise Refusal(403, "metrics are for local and private addresses, by no proxy")
        self._room.shortage()
        self._metrics.spool_bytes.set(self._room.spool_bytes)
        kind = "text/plain; version=1.0.0; charset=utf-8"
        return Response(200, (("content-type", kind), NO_STORE), self._metrics.render())

    async def send_openapi(self, _request: Request) -> Response:
        """`GET /openapi.json`."""
        return Response(200, (("content-type", "application/json"),), self._openapi)
