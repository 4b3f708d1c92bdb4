"""The calls that write: checked, made durable, and only then acknowledged."""

import base64
from urllib.parse import parse_qs

import msgspec

from beacon.door import Door
from beacon.intake import (
    Batch,
    Intake,
    Sender,
    find_site_key,
    read_batch,
    read_pixel,
    read_site_key,
    read_token,
    take,
)
from beacon.metrics import Metrics
from beacon.room import Room
from beacon.spool import Spool, SpoolError
from beacon.spool_file import Entry
from beacon.whole import WholeBatch, read_whole, take_whole
from beacon.wire import NO_STORE, Refusal, Request, Response, json_response
from schemas.answers import QuarantinedEvent, Receipt
from schemas.errors import EventError
from schemas.events import MAX_EVENTS, Source

_TAKEN = Response(204)
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


class Collector:
    """Takes events from pages, pixels and signed servers into the spool."""

    def __init__(self, door: Door, spool: Spool, room: Room, metrics: Metrics) -> None:
        self._door = door
        self._spool = spool
        self._room = room
        self._metrics = metrics

    async def take_events(self, request: Request) -> Response:
        """`POST /v1/events`, its body still on the way."""
        self.admit(request)
        return await self.keep(self.take_page(request, await request.body()))

    def admit(self, request: Request) -> None:
        """Refuses a page's request whose body need not be read."""
        self._door.check_stranger(request)
        request.check_content_type()

    def take_page(self, request: Request, body: bytes) -> "Taken":
        """What a page's body becomes, checked and ready for the spool.

        Raises:
          Refusal, SpoolError: nothing of it is taken.
        """
        site_id, batch = self._read(request, body, is_signed=False)
        return self._take(batch, self._door.sender(request, site_id, "web_js"), body)

    async def take_orders(self, request: Request) -> Response:
        """`POST /v1/orders`."""
        request.check_content_type()
        body = await request.body()
        site_id, batch = self._read(request, body, is_signed=True)
        return await self.keep(
            self._take(batch, self._door.sender(request, site_id, "server"), body)
        )

    async def take_pixel(self, request: Request) -> Response:
        """`GET /v1/pixel.gif`."""
        self._door.check_stranger(request)
        query = parse_qs(request.query)
        site_id = self._door.identify_site(request, query.get("k", [""])[0])
        self._door.check_page(request)
        self._door.check_rate(request, site_id)
        sender = self._door.sender(request, site_id, "pixel")
        text, token = (query.get(name, [""])[0] for name in ("e", "t"))
        if bool(text) == bool(token):
            raise Refusal(400, "needs e (base64url of one event's JSON) or t (a pin's token)")
        read, said = (read_pixel, text) if text else (read_token, token)
        event = read(said, sender.received_time_ms)
        await self.keep(self._take(Batch(site_key="", events=[event]), sender))
        return Response(200, (("content-type", "image/gif"), NO_STORE), _GIF)

    async def preflight(self, request: Request) -> Response:
        """`OPTIONS /v1/events`."""
        self._door.check_origin(request)
        return Response(
            204,
            (
                ("allow", "POST, OPTIONS"),
                ("access-control-allow-methods", "POST, OPTIONS"),
                ("access-control-allow-headers", "Content-Type"),
                ("access-control-max-age", "86400"),
            ),
        )

    def _read(
        self, request: Request, body: bytes, *, is_signed: bool
    ) -> tuple[str, Batch | WholeBatch]:
        """The site and the batch; who is refused is refused before the work, where it can be."""
        site_key = find_site_key(body) or read_site_key(body)
        if site_key is None:
            self._door.check_careful(request)
            careful = _batch(body)
            return self._admit(request, careful.site_key, body, is_signed=is_signed), careful
        site_id = self._admit(request, site_key, body, is_signed=is_signed)
        whole = None if request.is_gpc else read_whole(body, is_signed=is_signed)
        if whole is None and read_site_key(body) is None:
            self._door.check_careful(request)
        batch = whole or _batch(body)
        if batch.site_key != site_key:
            raise Refusal(400, "the body has two site keys")
        return site_id, batch

    def _admit(self, request: Request, site_key: str, body: bytes, *, is_signed: bool) -> str:
        site_id = self._door.identify_site(request, site_key)
        if is_signed:
            self._door.check_signature(request, site_id, body)
        else:
            self._door.check_origin(request)
            self._door.check_rate(request, site_id)
        return site_id

    def _take(self, batch: Batch | WholeBatch, sender: Sender, body: bytes = b"") -> "Taken":
        """Checks a request's events."""
        if len(batch.events) > MAX_EVENTS:
            raise Refusal(413, f"{len(batch.events)} events; at most {MAX_EVENTS} a request")
        self.check_room()
        if isinstance(batch, WholeBatch):
            whole = take_whole(batch, sender)
            intake = whole or take(read_batch(body).events, batch.sent_time_ms, sender)
        else:
            intake = take(batch.events, batch.sent_time_ms, sender)
        return Taken(sender.site_id, sender.source, intake, entry_of(intake, sender))

    async def keep(self, taken: "Taken") -> Response:
        """The receipt, when what was taken of a request is durable and counted.

        Raises:
          SpoolError: not promised now.
        """
        if taken.entry is not None:
            await self._spool.write(taken.entry)
        return self.receipt(taken)

    def receipt(self, taken: "Taken") -> Response:
        """Counts what is durable now: 204 when every event was good, else which were not."""
        self._count(taken)
        rejected = taken.intake.rejected
        if not rejected:
            return _TAKEN
        quarantined = [
            QuarantinedEvent(index=bad.place, reason=bad.reject.reason) for bad in rejected
        ]
        return json_response(200, Receipt(accepted=taken.intake.accepted, quarantined=quarantined))

    def check_room(self) -> None:
        """Raises a SpoolError while the disk has no room."""
        if shortage := self._room.shortage():
            raise SpoolError(shortage)

    def _count(self, taken: "Taken") -> None:
        count, site_id, source = self._metrics.events.add, taken.site_id, taken.source
        intake = taken.intake
        if intake.stored:
            count(site_id, source, "stored", count=intake.stored)
        if intake.withheld:
            count(site_id, source, "withheld", count=intake.withheld)
        if intake.rejected:
            count(site_id, source, "quarantined", count=len(intake.rejected))
            for bad in intake.rejected:
                self._metrics.quarantined.add(site_id, bad.reason_class)


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What was taken of a request, and what of it must be durable before its answer."""

    site_id: str
    source: Source
    intake: Intake
    entry: Entry | None


def entry_of(intake: Intake, sender: Sender) -> Entry | None:
    """The spool's entry; None when nothing must be kept."""
    if not (intake.events or intake.rejected):
        return None
    rejects = tuple(msgspec.json.encode(bad.reject) for bad in intake.rejected)
    return Entry(sender.received_time_ms, intake.events, rejects)


def _batch(body: bytes) -> Batch:
    try:
        return read_batch(body)
    except EventError as error:
        raise Refusal(400, str(error)) from None
