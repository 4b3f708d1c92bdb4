"""The collector as a plain ASGI app: its life, its routes, and the answers it promises.

Nothing is acknowledged before it is durable: a call that writes answers after the commit of
its group, or with 503.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from beacon.collect import Collector
from beacon.door import Door
from beacon.metrics import Metrics
from beacon.pages import Pages
from beacon.room import Room
from beacon.script import SNIPPET
from beacon.spool import Spool, SpoolError
from beacon.wire import Receive, Refusal, Request, Response, Scope, Send, respond
from schemas.settings import Home

RETRY_AFTER_SECONDS = 5
DRAIN_SECONDS = 25.0

Handler = Callable[[Request], Awaitable[Response]]


class Beacon:
    """The ASGI app of one worker process."""

    def __init__(self, home: Home, *, snippet: Path = SNIPPET) -> None:
        settings = home.settings()
        self.metrics = Metrics()
        self._spool = Spool(home.spool, self.metrics.observe_commit)
        self._door = Door(settings)
        room = Room(home.spool, settings.beacon)
        collector = Collector(self._door, self._spool, room, self.metrics)
        pages = Pages(settings.beacon, snippet, self._spool, room, self.metrics)
        self._open_requests = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/events": {"POST": collector.take_events, "OPTIONS": collector.preflight},
            "/v1/orders": {"POST": collector.take_orders},
            "/v1/pixel.gif": {"GET": collector.take_pixel},
            "/pin.js": {"GET": pages.send_script},
            "/healthz": {"GET": pages.check_alive},
            "/readyz": {"GET": pages.check_ready},
            "/metrics": {"GET": pages.send_metrics},
            "/openapi.json": {"GET": pages.send_openapi},
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
        await respond(send, response, self._door.cross_origin_headers(request))

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


def _busy(text: str) -> Response:
    retry_after = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
    return Refusal(503, text, (retry_after,)).response
