"""The collector as an app: its life, its routes, and the answers it promises.

Nothing is acknowledged before it is durable: a call that writes answers after the commit of
its group, or with 503.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from beacon.collect import Collector, Taken
from beacon.door import Door
from beacon.message import Message
from beacon.metrics import Metrics
from beacon.notices import fault, tell
from beacon.pages import Pages
from beacon.room import Room
from beacon.script import SNIPPET, Scripts
from beacon.spool import Spool, SpoolError
from beacon.webhooks import Webhooks
from beacon.wire import Refusal, Request, Response
from schemas.home import Home
from schemas.settings import Settings

RETRY_AFTER_SECONDS = 5
DRAIN_SECONDS = 25.0
PIXEL = "/v1/pixel.gif"

Handler = Callable[[Request], Awaitable[Response]]


class Beacon:
    """The app of one worker process."""

    def __init__(self, home: Home, settings: Settings, *, snippet: Path = SNIPPET) -> None:
        self.metrics = Metrics()
        self._spool = Spool(home.spool, self.metrics.observe_commit)
        self._door = Door(settings, home.network_key)
        room = Room(home.spool, settings.beacon)
        self._collector = collector = Collector(self._door, self._spool, room, self.metrics)
        webhooks = Webhooks(settings, self._door, collector, self.metrics)
        scripts = Scripts(home.snippets, snippet)
        pages = Pages(settings.beacon, scripts, self._spool, room, self.metrics)
        self._open_requests = 0
        self._loop: asyncio.AbstractEventLoop
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

    def begin(self, message: Message) -> asyncio.Task[None] | None:
        """One request: a page's events in this very call, as far as the spool; all else in a task.

        A task costs more than all that a page's events are looked at for.
        """
        request = Request(message)
        self._open_requests += 1
        if message.url == b"/v1/events" and message.method == b"POST" and message.is_whole:
            self._take(request)
            return None
        return self._loop.create_task(self._answer_any(request))

    def _take(self, request: Request) -> None:
        """Events of a page, all there; they are answered when they are durable."""
        try:
            self._collector.admit(request)
            taken = self._collector.take_page(request, request.whole_body())
            if taken.entry is None:
                self._answer(request, "/v1/events", self._collector.receipt(taken))
            else:
                self._spool.add(taken.entry, functools.partial(self._end, request, taken))
        except Exception as error:  # noqa: BLE001
            self._answer(request, "/v1/events", _failure(error))

    def _end(self, request: Request, taken: Taken, error: SpoolError | None) -> None:
        response = self._collector.receipt(taken) if error is None else _failure(error)
        self._answer(request, "/v1/events", response)

    async def _answer_any(self, request: Request) -> None:
        call = request.path
        if call not in self._routes:
            call = self._folder_of(call)
        try:
            response = await self._handler(request, call)(request)
        except Exception as error:  # noqa: BLE001
            response = _failure(error)
        self._answer(request, call, response)

    def _answer(self, request: Request, call: str, response: Response) -> None:
        self._open_requests -= 1
        self.metrics.requests.add(call.rstrip("/"), request.site_id or "", response.status)
        request.answer(response, self._door.cross_origin_headers(request))

    async def start(self) -> None:
        """Before the first request.

        Raises:
          SpoolError: the spool cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        self._spool.start()

    async def stop(self) -> None:
        """When nobody new is let in: open requests get their answer before the spool closes."""
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


def _failure(error: Exception) -> Response:
    """The answer to a request that cannot be done; a fault of ours costs that request alone."""
    if isinstance(error, Refusal):
        return error.response
    if isinstance(error, SpoolError):
        retry_after = ("retry-after", str(RETRY_AFTER_SECONDS))
        return Refusal(503, str(error), (retry_after,)).response
    tell(f"answering 500: {fault(error)}")
    return Refusal(500, "the beacon is at fault").response
