"""The collector as a plain ASGI app: routing, and the answers it promises.

Nothing is acknowledged before it is durable: a call that writes answers after the commit of
its group, or with 503.
"""

import asyncio
import base64
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from beacon.agents import user_agent_class
from beacon.cookie import format_cookie, mint_visitor, read_visitor
from beacon.intake import Batch, Intake, Sender, read_batch, read_pixel, take
from beacon.metrics import Metrics
from beacon.room import Room
from beacon.script import SNIPPET, Script, is_match
from beacon.signature import signature_error
from beacon.spool import Entry, Spool, SpoolError
from beacon.wire import (
    Headers,
    Receive,
    Refusal,
    Request,
    Response,
    Scope,
    Send,
    json_response,
    respond,
)
from schemas.errors import EventError
from schemas.events import MAX_EVENTS, Source
from schemas.openapi import QuarantinedEvent, Receipt, Status, openapi
from schemas.settings import Home

RETRY_AFTER_SECONDS = 5
DRAIN_SECONDS = 25.0
SNIPPET_MAX_AGE_SECONDS = 3600
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NO_STORE = (b"cache-control", b"no-store")

Handler = Callable[[Request], Awaitable[Response]]


class Beacon:
    """The ASGI app of one worker process."""

    def __init__(self, home: Home, *, snippet: Path = SNIPPET) -> None:
        settings = home.settings()
        self.metrics = Metrics()
        self._settings = settings
        self._site_of_key = {site.key: site_id for site_id, site in settings.sites.items()}
        self._origins = {
            site_id: frozenset(origin.lower() for origin in site.origins)
            for site_id, site in settings.sites.items()
        }
        self._secrets = {
            site_id: os.environ.get(site.secret_env or "")
            for site_id, site in settings.sites.items()
        }
        self._script = Script(snippet.read_bytes()) if snippet.exists() else None
        self._openapi = msgspec.json.encode(openapi())
        self._spool = Spool(home.spool, self.metrics.observe_commit)
        self._room = Room(home.spool, settings.beacon)
        self._open_requests = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/events": {"POST": self._take_events, "OPTIONS": self._preflight},
            "/v1/orders": {"POST": self._take_orders},
            "/v1/pixel.gif": {"GET": self._take_pixel},
            "/pin.js": {"GET": self._send_script},
            "/healthz": {"GET": self._check_alive},
            "/readyz": {"GET": self._check_ready},
            "/metrics": {"GET": self._send_metrics},
            "/openapi.json": {"GET": self._send_openapi},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            self._open_requests += 1
            self._all_answered.clear()
            try:
                await self._serve(Request(scope, receive), send)
            finally:
                self._open_requests -= 1
                if not self._open_requests:
                    self._all_answered.set()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._spool.start()
        except SpoolError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        # Open requests get their answer before the spool closes.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), DRAIN_SECONDS)
        await self._spool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, request: Request, send: Send) -> None:
        handlers = self._routes.get(request.path)
        try:
            response = await self._dispatch(request, handlers)
        except Refusal as refusal:
            response = refusal.response
        except SpoolError as error:
            response = _busy(str(error))
        call = request.path if handlers is not None else "other"
        self.metrics.requests.labels(call, request.site_id or "", response.status).inc()
        await respond(send, response, self._cross_origin_headers(request))

    async def _dispatch(self, request: Request, handlers: dict[str, Handler] | None) -> Response:
        if handlers is None:
            raise Refusal(404, f"there is nothing at {request.path[:80]!r}")
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allow = ", ".join(handlers)
            raise Refusal(
                405,
                f"{request.method[:20]} is not possible here; allowed: {allow}",
                ((b"allow", allow.encode()),),
            )
        return await handler(request)

    async def _take_events(self, request: Request) -> Response:
        request.check_content_type()
        batch = _batch(await request.body())
        site_id = self._identify_site(request, batch.site_key)
        self._check_origin(request)
        return _receipt(await self._store(batch, self._sender(request, site_id, "web_js")))

    async def _take_orders(self, request: Request) -> Response:
        request.check_content_type()
        body = await request.body()
        batch = _batch(body)
        site_id = self._identify_site(request, batch.site_key)
        secret = self._secrets[site_id]
        if not secret:
            raise Refusal(401, "signed calls are not set up for this site: it has no secret")
        header = request.header(b"x-pinsphere-signature")
        if error := signature_error(header, secret, body, time.time()):
            raise Refusal(401, error)
        return _receipt(await self._store(batch, self._sender(request, site_id, "server")))

    async def _take_pixel(self, request: Request) -> Response:
        query = parse_qs(request.query.decode("latin-1"))
        site_id = self._identify_site(request, query.get("k", [""])[0])
        self._check_origin(request)
        text = query.get("e", [""])[0]
        if not text:
            raise Refusal(400, "parameter e is missing: base64url of one event's JSON")
        sender = self._sender(request, site_id, "pixel")
        event = read_pixel(text, sender.received_time_ms)
        await self._store(Batch(site_key="", events=[event]), sender)
        return Response(200, ((b"content-type", b"image/gif"), _NO_STORE), _GIF)

    async def _store(self, batch: Batch, sender: Sender) -> Intake:
        """Checks a request's events and returns when what must be kept is durable."""
        if len(batch.events) > MAX_EVENTS:
            raise Refusal(413, f"{len(batch.events)} events; at most {MAX_EVENTS} a request")
        self._check_room()
        intake = take(batch.events, batch.sent_time_ms, sender)
        if intake.events or intake.rejected:
            await self._spool.write(
                Entry(
                    sender.received_time_ms,
                    b"[" + b",".join(intake.events) + b"]" if intake.events else b"",
                    tuple(msgspec.json.encode(bad.reject) for bad in intake.rejected),
                )
            )
        self._count(intake, sender)
        return intake

    def _sender(self, request: Request, site_id: str, source: Source) -> Sender:
        is_signed = source == "server"
        return Sender(
            site_id=site_id,
            source=source,
            call=request.path,
            received_time_ms=_now_ms(),
            # A shop's server speaks for a shopper; its own user agent says nothing of her.
            user_agent_class=(
                "human" if is_signed else user_agent_class(request.header(b"user-agent"))
            ),
            is_signed=is_signed,
            is_gpc=request.is_gpc,
            cookie_visitor_id=None if is_signed else read_visitor(request.header(b"cookie")),
        )

    def _count(self, intake: Intake, sender: Sender) -> None:
        outcomes = {
            "stored": len(intake.events),
            "withheld": intake.withheld,
            "quarantined": len(intake.rejected),
        }
        for outcome, events in outcomes.items():
            if events:
                self.metrics.events.labels(sender.site_id, sender.source, outcome).inc(events)
        for bad in intake.rejected:
            self.metrics.quarantined.labels(sender.site_id, bad.reason_class).inc()

    def _identify_site(self, request: Request, key: str) -> str:
        site_id = self._site_of_key.get(key)
        if site_id is None:
            raise Refusal(401, f"unknown site key {key[:64]!r}")
        request.site_id = site_id
        return site_id

    def _check_origin(self, request: Request) -> None:
        origin = request.header(b"origin")
        if origin and not self._is_allowed(request, origin):
            raise Refusal(403, f"origin {origin[:200]!r} is not on the list of this site")

    def _check_room(self) -> None:
        if shortage := self._room.shortage():
            raise SpoolError(shortage)

    def _is_allowed(self, request: Request, origin: str) -> bool:
        """By the list of the caller's site; by any list while the site is not known."""
        lists = (
            self._origins.values() if request.site_id is None else [self._origins[request.site_id]]
        )
        return any(not allowed or origin.lower() in allowed for allowed in lists)

    def _cross_origin_headers(self, request: Request) -> Headers:
        if request.path != "/v1/events":
            return ()
        origin = request.header(b"origin")
        vary = (b"vary", b"Origin")
        if not origin or not self._is_allowed(request, origin):
            return (vary,)
        return (
            vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"Retry-After"),
        )

    async def _preflight(self, request: Request) -> Response:
        self._check_origin(request)
        return Response(
            204,
            (
                (b"allow", b"POST, OPTIONS"),
                (b"access-control-allow-methods", b"POST, OPTIONS"),
                (b"access-control-allow-headers", b"Content-Type"),
                (b"access-control-max-age", b"86400"),
            ),
        )

    async def _send_script(self, request: Request) -> Response:
        if self._script is None:
            raise Refusal(404, "this installation has no snippet file")
        variant = self._script.variant(request.header(b"accept-encoding"))
        headers = [
            (b"etag", variant.etag.encode()),
            (b"vary", b"Accept-Encoding"),
            (b"cache-control", b"private, max-age=%d" % SNIPPET_MAX_AGE_SECONDS),
        ]
        if self._settings.beacon.visitor_cookie and not request.is_gpc:
            visitor_id = read_visitor(request.header(b"cookie")) or mint_visitor()
            cookie = format_cookie(visitor_id, is_secure=request.scheme != "http")
            headers.append((b"set-cookie", cookie.encode()))
        if is_match(request.header(b"if-none-match"), variant.etag):
            return Response(304, tuple(headers))
        headers.append((b"content-type", b"text/javascript; charset=utf-8"))
        if variant.encoding:
            headers.append((b"content-encoding", variant.encoding.encode()))
        return Response(200, tuple(headers), variant.body)

    async def _check_alive(self, _request: Request) -> Response:
        return json_response(200, Status(status="alive"), (_NO_STORE,))

    async def _check_ready(self, _request: Request) -> Response:
        self._check_room()
        await self._spool.write(Entry(_now_ms()))  # a real flush: nothing else shows it works
        return json_response(200, Status(status="ready"), (_NO_STORE,))

    async def _send_metrics(self, _request: Request) -> Response:
        self._room.shortage()
        self.metrics.spool_bytes.set(self._room.spool_bytes)
        kind = b"text/plain; version=1.0.0; charset=utf-8"
        return Response(200, ((b"content-type", kind), _NO_STORE), self.metrics.render())

    async def _send_openapi(self, _request: Request) -> Response:
        return Response(200, ((b"content-type", b"application/json"),), self._openapi)


def _batch(body: bytes) -> Batch:
    try:
        return read_batch(body)
    except EventError as error:
        raise Refusal(400, str(error)) from None


def _receipt(intake: Intake) -> Response:
    if not intake.rejected:
        return Response(204)
    quarantined = [
        QuarantinedEvent(index=bad.place, reason=bad.reject.reason) for bad in intake.rejected
    ]
    return json_response(200, Receipt(accepted=intake.accepted, quarantined=quarantined))


def _busy(text: str) -> Response:
    retry_after = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
    return Refusal(503, text, (retry_after,)).response


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
