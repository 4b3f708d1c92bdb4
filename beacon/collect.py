"""The calls that write: checked, made durable, and only then acknowledged."""

import base64
from urllib.parse import parse_qs

import msgspec

from beacon.door import Door
from beacon.intake import Batch, Intake, Sender, read_batch, read_pixel, take
from beacon.metrics import Metrics
from beacon.room import Room
from beacon.spool import Entry, Spool, SpoolError
from beacon.wire import NO_STORE, Refusal, Request, Response, json_response
from schemas.errors import EventError
from schemas.events import MAX_EVENTS
from schemas.openapi import QuarantinedEvent, Receipt

_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


class Collector:
    """Takes events from pages, pixels and signed servers into the spool."""

    def __init__(self, door: Door, spool: Spool, room: Room, metrics: Metrics) -> None:
        self._door = door
        self._spool = spool
        self._room = room
        self._metrics = metrics

    async def take_events(self, request: Request) -> Response:
        """`POST /v1/events`."""
        request.check_content_type()
        batch = _batch(await request.body())
        site_id = self._door.identify_site(request, batch.site_key)
        self._door.check_origin(request)
        return receipt(await self.store(batch, self._door.sender(request, site_id, "web_js")))

    async def take_orders(self, request: Request) -> Response:
        """`POST /v1/orders`."""
        request.check_content_type()
        body = await request.body()
        batch = _batch(body)
        site_id = self._door.identify_site(request, batch.site_key)
        self._door.check_signature(request, site_id, body)
        return receipt(await self.store(batch, self._door.sender(request, site_id, "server")))

    async def take_pixel(self, request: Request) -> Response:
        """`GET /v1/pixel.gif`."""
        query = parse_qs(request.query.decode("latin-1"))
        site_id = self._door.identify_site(request, query.get("k", [""])[0])
        self._door.check_origin(request)
        text = query.get("e", [""])[0]
        if not text:
            raise Refusal(400, "parameter e is missing: base64url of one event's JSON")
        sender = self._door.sender(request, site_id, "pixel")
        event = read_pixel(text, sender.received_time_ms)
        await self.store(Batch(site_key="", events=[event]), sender)
        return Response(200, ((b"content-type", b"image/gif"), NO_STORE), _GIF)

    async def preflight(self, request: Request) -> Response:
        """`OPTIONS /v1/events`."""
        self._door.check_origin(request)
        return Response(
            204,
            (
                (b"allow", b"POST, OPTIONS"),
                (b"access-control-allow-methods", b"POST, OPTIONS"),
                (b"access-control-allow-headers", b"Content-Type"),
                (b"access-control-max-age", b"86400"),
            ),
        )

    async def store(self, batch: Batch, sender: Sender) -> Intake:
        """Checks a request's events and returns when what must be kept is durable.

        Raises:
          Refusal: 413, too many events.
          SpoolError: not promised now.
        """
        if len(batch.events) > MAX_EVENTS:
            raise Refusal(413, f"{len(batch.events)} events; at most {MAX_EVENTS} a request")
        self.check_room()
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

    def check_room(self) -> None:
        """Raises a SpoolError while the disk has no room."""
        if shortage := self._room.shortage():
            raise SpoolError(shortage)

    def _count(self, intake: Intake, sender: Sender) -> None:
        outcomes = {
            "stored": len(intake.events),
            "withheld": intake.withheld,
            "quarantined": len(intake.rejected),
        }
        for outcome, events in outcomes.items():
            if events:
                self._metrics.events.labels(sender.site_id, sender.source, outcome).inc(events)
        for bad in intake.rejected:
            self._metrics.quarantined.labels(sender.site_id, bad.reason_class).inc()


def receipt(intake: Intake) -> Response:
    """204 when every event was good, else which were not."""
    if not intake.rejected:
        return Response(204)
    quarantined = [
        QuarantinedEvent(index=bad.place, reason=bad.reject.reason) for bad in intake.rejected
    ]
    return json_response(200, Receipt(accepted=intake.accepted, quarantined=quarantined))


def _batch(body: bytes) -> Batch:
    try:
        return read_batch(body)
    except EventError as error:
        raise Refusal(400, str(error)) from None
