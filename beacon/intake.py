"""From a request's body to checked events: pure, so that every rule can be tested alone."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import (
    EARLIEST_MS,
    EVENTS,
    IDENTITY,
    LATEST_MS,
    LEAD_MS,
    MAX_EVENTS,
    PIXEL_EVENTS,
    UNSIGNED_EVENTS,
    AnyEvent,
    Source,
    UserAgentClass,
)
from schemas.ids import new_event_id
from schemas.spool import MAX_RECORD, Reject, Words, stamp

ReasonClass = Literal["not_json", "event_name", "shape", "contract", "unsigned", "time"]
# As the drain cuts it: the spool need not hold more.
_MAX_REASON = 500
_FIRST_KEY = re.compile(rb'{"site_key":"([\w-]{1,64})"', re.ASCII)
_BROKEN = (msgspec.DecodeError, UnicodeError, RecursionError)


# What may be kept of an event without consent: fields of the contract that name nobody.
_IMPERSONAL = frozenset(
    {"event_name"}.union(*(event.__struct_fields__ for event in EVENTS.values()))
).difference(IDENTITY)


class Batch(msgspec.Struct, kw_only=True):
    """The body of `/v1/events` and `/v1/orders`, its events still unread."""

    site_key: str
    events: list[msgspec.Raw]
    sent_time_ms: int | None = None


class _Key(msgspec.Struct):
    site_key: str


class Sender(msgspec.Struct, frozen=True, gc=False):
    """What is known of a request besides its body."""

    site_id: str
    source: Source
    call: str
    received_time_ms: int
    user_agent_class: UserAgentClass = "human"
    is_signed: bool = False
    is_gpc: bool = False
    cookie_visitor_id: str | None = None
    network_hash: str | None = None
    max_age_ms: int | None = None
    """How old an event may be; None where any age is believed."""

    def told_times(self, sent_time_ms: int | None) -> tuple[int, int]:
        """The earliest and the latest time an event may tell, by the sender's own clock."""
        now_ms = self.received_time_ms if sent_time_ms is None else sent_time_ms
        earliest_ms = EARLIEST_MS if self.max_age_ms is None else now_ms - self.max_age_ms
        return earliest_ms, now_ms + LEAD_MS

    def words(self, sent_time_ms: int | None) -> Words:
        """What each event of the request is told to have come by."""
        return Words(
            self.site_id,
            self.source,
            sent_time_ms,
            self.received_time_ms,
            self.user_agent_class,
            self.is_signed,
            self.network_hash,
            self.cookie_visitor_id,
        )


class Rejected(NamedTuple):
    """One bad event: its place in the request, a class for counting, and what to keep."""

    place: int
    reason_class: ReasonClass
    reject: Reject


class Intake(msgspec.Struct, frozen=True, gc=False):
    """What became of a request's events.

    `withheld` events were accepted, but consent forbids to store what they say.
    """

    events: bytes
    """JSON array of the good events, as a row of the spool holds them; empty without any."""
    stored: int
    rejected: list[Rejected]
    withheld: int

    @property
    def accepted(self) -> int:
        """Events that need not be sent again and broke no rule."""
        return self.stored + self.withheld


class _BadEventError(Exception):
    def __init__(self, reason_class: ReasonClass, reason: str) -> None:
        super().__init__(reason)
        self.reason_class = reason_class


class _Reading(NamedTuple):
    """An event's text with what consent leaves of it."""

    text: bytes
    record: bytes
    is_denied: bool = False
    is_withheld: bool = False


_key_decoder = msgspec.json.Decoder(_Key)
_batch_decoder = msgspec.json.Decoder(Batch)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()


def read_batch(body: bytes) -> Batch:
    """Splits a body into its events without reading them.

    Raises:
      EventError: not JSON, or not the shape of a batch; the text says where.
    """
    try:
        try:
            batch = _batch_decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            batch = _split_leniently(body)
    except msgspec.ValidationError as error:
        raise EventError(f"the body has the wrong shape: {error}") from None
    except (*_BROKEN, ValueError) as error:
        raise EventError(f"the body is not JSON: {error}") from None
    batch.sent_time_ms = known_time(batch.sent_time_ms)
    return batch


def known_time(sent_time_ms: int | None) -> int | None:
    """A sender's time of day, None when her clock is plainly wrong.

    What a wrong clock broke is judged event by event, and kept with its reason.
    """
    is_known = sent_time_ms is not None and EARLIEST_MS <= sent_time_ms < LATEST_MS
    return sent_time_ms if is_known else None


def find_site_key(body: bytes) -> str | None:
    """The site's key where the snippet writes it; what follows may be no JSON, or say otherwise."""
    found = _FIRST_KEY.match(body)
    return found[1].decode() if found else None


def read_site_key(body: bytes) -> str | None:
    """The site's key alone; None for a body that only `read_batch` can read, or judge."""
    try:
        return _key_decoder.decode(body).site_key
    except _BROKEN:
        return None


def read_pixel(text: str, now_ms: int) -> msgspec.Raw:
    """The one event of a pixel's address; what a plain template cannot know is filled in.

    A text that holds no event is given back as it is, for quarantine.
    """
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return msgspec.Raw(text.encode())
    try:
        fields = _fields_decoder.decode(raw)
    except _BROKEN:
        return msgspec.Raw(raw)
    fields.setdefault("event_id", msgspec.Raw(_encoder.encode(new_event_id())))
    fields.setdefault("event_time_ms", msgspec.Raw(_encoder.encode(now_ms)))
    return msgspec.Raw(_encoder.encode(fields))


def read_token(token: str, now_ms: int) -> msgspec.Raw:
    """The landing a pixel with a pin's token stands for; its pin id is judged as any other."""
    fields = {
        "event_name": "pin_visit",
        "event_id": new_event_id(),
        "event_time_ms": now_ms,
        "pin_id": token.partition(".")[0],
        "token_carrier": "query",
    }
    return msgspec.Raw(_encoder.encode(fields))


def take(raws: Iterable[msgspec.Raw], sent_time_ms: int | None, sender: Sender) -> Intake:
    """Checks each event on its own: a bad one never hurts its neighbours."""
    events: list[bytes] = []
    rejected: list[Rejected] = []
    withheld = 0
    words = sender.words(sent_time_ms)
    for index, raw in enumerate(raws):
        reading = _apply_consent(bytes(raw), sender)
        if reading.is_withheld:
            withheld += 1
            continue
        try:
            event = _check(reading.text, sent_time_ms, sender)
        except _BadEventError as fault:
            record = _for_quarantine(reading, sender)
            reject = _reject(record, index, str(fault), sender)
            rejected.append(Rejected(index, fault.reason_class, reject))
            continue
        stamp(event, words)
        if reading.is_denied:
            event.visitor_id = event.network_hash = None
        events.append(_encoder.encode(event))
    text = b"[" + b",".join(events) + b"]" if events else b""
    return Intake(text, len(events), rejected, withheld)


def _split_leniently(body: bytes) -> Batch:
    # One half of an emoji (as JavaScript sends it) or a NaN makes msgspec refuse the whole
    # body; the standard library reads past both, so only that event goes to quarantine.
    value = json.loads(body.decode(), strict=False)
    if not isinstance(value, dict):
        raise msgspec.ValidationError("Expected `object`")
    events = value.get("events")
    if not isinstance(events, list):
        raise msgspec.ValidationError("Expected `array` - at `$.events`")
    batch = msgspec.convert({**value, "events": []}, Batch)
    if len(events) > MAX_EVENTS:  # nobody reads so many: they are counted only
        batch.events = [msgspec.Raw()] * len(events)
        return batch
    batch.events = [msgspec.Raw(json.dumps(event).encode()) for event in events]
    return batch


def _apply_consent(text: bytes, sender: Sender) -> _Reading:
    if not (sender.is_gpc or b"denied" in text or b"\\u" in text):
        return _Reading(text, text)  # the common case, without a second look
    try:
        fields = _fields_decoder.decode(text)
        name, consent = (_value(fields, key) for key in ("event_name", "consent"))
    except _BROKEN:
        is_denied = sender.is_gpc or b"denied" in text
        return _Reading(text, b"" if is_denied else text, is_denied)
    is_denied = sender.is_gpc or consent == "denied"
    # Who asks to be forgotten must be named until it is done.
    if not is_denied or (name == "erase" and sender.is_signed):
        return _Reading(text, text)
    if name == "identify":
        return _Reading(b"", b"", is_denied, is_withheld=True)
    scrubbed = _scrub(fields)
    return _Reading(scrubbed, scrubbed, is_denied)


def _scrub(fields: dict[str, msgspec.Raw]) -> bytes:
    """An event of known fields only, without what names who sent it."""
    kept = {key: value for key, value in fields.items() if key in _IMPERSONAL}
    for key in ("page_location", "page_referrer"):
        if key in kept:
            kept[key] = _bare_url(kept[key])
    kept["consent"] = msgspec.Raw(b'"denied"')
    return _encoder.encode(kept)


def _for_quarantine(reading: _Reading, sender: Sender) -> bytes:
    """A bad event's text. There, consent in any other words (`"Denied"`, `false`) is denied too."""
    if reading.is_denied:
        return reading.record
    try:
        fields = _fields_decoder.decode(reading.text)
        name, consent = (_value(fields, key) for key in ("event_name", "consent"))
    except _BROKEN:
        return b"" if b"denied" in reading.text.lower() else reading.record
    if consent in (None, "granted", "unknown") or (name == "erase" and sender.is_signed):
        return reading.record
    return _scrub(fields)


def _bare_url(raw: msgspec.Raw) -> msgspec.Raw:
    """A URL without query and fragment, which may name her; null when it is no text."""
    try:
        url = msgspec.json.decode(raw, type=str)
    except _BROKEN:
        return msgspec.Raw(b"null")
    return msgspec.Raw(_encoder.encode(re.split("[?#]", url, maxsplit=1)[0]))


def _value(fields: dict[str, msgspec.Raw], key: str) -> Any:
    return msgspec.json.decode(fields[key]) if key in fields else None


def _check(text: bytes, sent_time_ms: int | None, sender: Sender) -> AnyEvent:
    try:
        event = decode_event(text)
    except EventError as error:
        reason_class = _classify(error)
        prefix = "not JSON: " if reason_class == "not_json" else ""
        raise _BadEventError(reason_class, f"{prefix}{error}") from None
    name = event.__struct_config__.tag
    if not sender.is_signed and name not in UNSIGNED_EVENTS:
        raise _BadEventError("unsigned", f"{name} is taken from a signed sender only")
    if sender.source == "pixel" and name not in PIXEL_EVENTS:
        raise _BadEventError("unsigned", f"{name} is not taken from a pixel: any page can show one")
    earliest_ms, latest_ms = sender.told_times(sent_time_ms)
    if not earliest_ms <= event.event_time_ms <= latest_ms:
        raise _BadEventError(
            "time",
            f"event_time_ms {event.event_time_ms} is not between {earliest_ms} and {latest_ms},"
            " which is what may come now",
        )
    return event


def _classify(error: EventError) -> ReasonClass:
    """What kind of rule broke: a handful of classes, so that they can be counted."""
    cause = error.__context__
    if isinstance(cause, msgspec.ValidationError):
        return "event_name" if "event_name`" in str(cause) else "shape"
    return "contract" if cause is None else "not_json"


def _reject(record: bytes, index: int, reason: str, sender: Sender) -> Reject:
    return Reject(
        reject_id=new_event_id(),
        site_id=sender.site_id,
        received_time_ms=sender.received_time_ms,
        origin=sender.call,
        place=f"events[{index}]",
        reason=reason[:_MAX_REASON],
        record=record[:MAX_RECORD].decode(errors="replace"),
    )
