"""The collector as an RSGI app: its life, its routes, and the answers it promises.

Nothing is acknowledged before it is durable: a call that writes answers after the commit of
its group, or with 503.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from beacon.collect import Collector
from beacon.door import Door
from beacon.metrics import Metrics
from beacon.pages import Pages
from beacon.room import Room
from beacon.script import SNIPPET, Scripts
from beacon.spool import Spool, SpoolError
from beacon.webhooks import Webhooks
from beacon.wire import Exchange, Refusal, Request, Response, Scope, respond
from schemas.settings import Home, Settings

RETRY_AFTER_SECONDS = 5
DRAIN_SECONDS = 25.0
PIXEL = "/v1/pixel.gif"

Handler = Callable[[Request], Awaitable[Response]]


class Beacon:
    """The RSGI app of one worker process."""

    def __init__(self, home: Home, settings: Settings, *, snippet: Path = SNIPPET) -> None:
        self.metrics = Metrics()
        self._spool = Spool(home.spool, self.metrics.observe_commit)
        self._door = Door(settings, home.network_key)
        room = Room(home.spool, settings.beacon)
        collector = Collector(self._door, self._spool, room, self.metrics)
        webhooks = Webhooks(settings, self._door, collector, self.metrics)
        scripts = Scripts(home.snippets, snippet)
        pages = Pages(settings.beacon, scripts, self._spool, room, self.metrics)
        self._open_requests = 0
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/events": {"POST": collector.take_events, "OPTIONS": collector.preflight},
            "/v1/orders": {"POST": collector.take_orders},
            "/v1/webhooks/shopify/": {"POST": webhooks.take_shopify},
            "/v1/webhooks/woocommerce/": {"POST": webhooks.take_woocommerce},
            PIXEL: {"GET": collector.take_pixel},
            "/pin.js": {"GET": pages.send_script},
            "/healthz": {"GET": pages.check_alive},
            "/readyz": {"GET": pages.check_ready},
            "/metrics": {"GET": pages.send_metrics},
            "/openapi.json": {"GET": pages.send_openapi},
        }

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Before the first request: a spool that cannot be written ends the process."""
        # Ctrl-C in a terminal reaches workers too, and their parent's SIGTERM follows: granian
        # may lock itself out when told twice.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            loop.run_until_complete(self._start())
        except SpoolError as error:
            raise SystemExit(str(error)) from None

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """When nobody new is let in: open requests get their answer before the spool closes."""
        loop.run_until_complete(self._stop())

    async def __call__(self, scope: Scope, exchange: Exchange) -> None:
        """One request."""
        self._open_requests += 1
        try:
            request = Request(scope, exchange)
            call = request.path
            if call not in self._routes:
                call = self._folder_of(call)
            try:
                response = await self._handler(request, call)(request)
            except Refusal as refusal:
                response = refusal.response
            except SpoolError as error:
                response = _busy(str(error))
            self.metrics.requests.add(call.rstrip("/"), request.site_id or "", response.status)
            cross_origin = self._door.cross_origin_headers(request)
            respond(exchange, response, cross_origin, is_last=request.is_last)
        finally:
            self._open_requests -= 1

    async def _start(self) -> None:
        self._spool.start()

    async def _stop(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._open_requests and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_SECONDS / 1000)  # an event would cost every request
        await self._spool.close()

    def _folder_of(self, path: str) -> str:
        """The route of the folder that an address lies in, or "other"."""
        folder = path[: path.rfind("/") + 1]
        return folder if folder in self._routes else "other"

    def _handler(self, request: Request, call: str) -> Handler:
        handlers = self._routes.get(call)
        if handlers is None:
            raise Refusal(404, f"there is nothing at {request.path[:80]!r}")
        has_head = "GET" in handlers and call != PIXEL  # whose GET stores: HEAD must not
        handler = handlers.get("GET" if has_head and request.method == "HEAD" else request.method)
        if handler is None:
            allow = ", ".join([*handlers, *(["HEAD"] if has_head else [])])
            raise Refusal(
                405,
                f"{request.method[:20]} is not possible here; allowed: {allow}",
                (("allow", allow),),
            )
        return handler


def _busy(text: str) -> Response:
    retry_after = ("retry-after", str(RETRY_AFTER_SECONDS))
    return Refusal(503, text, (retry_after,)).response
