"""From a request's body to checked events: pure, so that every rule can be tested alone."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from schemas.errors import EventError
from schemas.events import (
    EARLIEST_MS,
    IDENTITY,
    LATEST_MS,
    UNSIGNED_EVENTS,
    AnyEvent,
    Source,
    UserAgentClass,
    decode_event,
)
from schemas.ids import new_event_id
from schemas.spool import MAX_RECORD, Reject

ReasonClass = Literal["not_json", "event_name", "shape", "contract", "unsigned"]
# As the drain cuts it: the spool need not hold more.
_MAX_REASON = 500
_BROKEN = (msgspec.DecodeError, UnicodeError, RecursionError)


class Batch(msgspec.Struct, kw_only=True):
    """The body of `/v1/events` and `/v1/orders`, its events still unread."""

    site_key: str
    events: list[msgspec.Raw]
    sent_time_ms: int | None = None


class Sender(NamedTuple):
    """What is known of a request besides its body."""

    site_id: str
    source: Source
    call: str
    received_time_ms: int
    user_agent_class: UserAgentClass = "human"
    is_signed: bool = False
    is_gpc: bool = False
    cookie_visitor_id: str | None = None


class Rejected(NamedTuple):
    """One bad event: its place in the request, a class for counting, and what to keep."""

    place: int
    reason_class: ReasonClass
    reject: Reject


class Intake(NamedTuple):
    """What became of a request's events.

    `withheld` events were accepted, but consent forbids to store what they say.
    """

    events: list[bytes]
    rejected: list[Rejected]
    withheld: int

    @property
    def accepted(self) -> int:
        """Events that need not be sent again and broke no rule."""
        return len(self.events) + self.withheld


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
    # A wrong clock is judged event by event, so that what it broke is kept with its reason.
    if batch.sent_time_ms is not None and not EARLIEST_MS <= batch.sent_time_ms < LATEST_MS:
        batch.sent_time_ms = None
    return batch


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


def take(raws: Iterable[msgspec.Raw], sent_time_ms: int | None, sender: Sender) -> Intake:
    """Checks each event on its own: a bad one never hurts its neighbours."""
    events: list[bytes] = []
    rejected: list[Rejected] = []
    withheld = 0
    for index, raw in enumerate(raws):
        reading = _apply_consent(bytes(raw), sender)
        if reading.is_withheld:
            withheld += 1
            continue
        try:
            event = _check(reading.text, sender)
        except _BadEventError as fault:
            reject = _reject(reading, index, str(fault), sender)
            rejected.append(Rejected(index, fault.reason_class, reject))
            continue
        event.site_id = sender.site_id
        event.source = sender.source
        event.sent_time_ms = sent_time_ms
        event.received_time_ms = sender.received_time_ms
        event.user_agent_class = sender.user_agent_class
        event.is_signed = sender.is_signed
        if event.visitor_id is None and not reading.is_denied:
            event.visitor_id = sender.cookie_visitor_id
        events.append(_encoder.encode(event))
    return Intake(events, rejected, withheld)


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
    for key in IDENTITY:
        fields.pop(key, None)
    for key in ("page_location", "page_referrer"):
        if key in fields:
            fields[key] = _bare_url(fields[key])
    fields["consent"] = msgspec.Raw(b'"denied"')
    scrubbed = _encoder.encode(fields)
    return _Reading(scrubbed, scrubbed, is_denied)


def _bare_url(raw: msgspec.Raw) -> msgspec.Raw:
    """A URL without query and fragment, which may name her; null when it is no text."""
    try:
        url = msgspec.json.decode(raw, type=str)
    except _BROKEN:
        return msgspec.Raw(b"null")
    return msgspec.Raw(_encoder.encode(re.split("[?#]", url, maxsplit=1)[0]))


def _value(fields: dict[str, msgspec.Raw], key: str) -> Any:
    return msgspec.json.decode(fields[key]) if key in fields else None


def _check(text: bytes, sender: Sender) -> AnyEvent:
    try:
        event = decode_event(text)
    except EventError as error:
        reason_class = _classify(error)
        prefix = "not JSON: " if reason_class == "not_json" else ""
        raise _BadEventError(reason_class, f"{prefix}{error}") from None
    name = event.__struct_config__.tag
    if not sender.is_signed and name not in UNSIGNED_EVENTS:
        raise _BadEventError("unsigned", f"{name} is taken from a signed sender only")
    return event


def _classify(error: EventError) -> ReasonClass:
    """What kind of rule broke: a handful of classes, so that they can be counted."""
    cause = error.__context__
    if isinstance(cause, msgspec.ValidationError):
        return "event_name" if "event_name`" in str(cause) else "shape"
    return "contract" if cause is None else "not_json"


def _reject(reading: _Reading, index: int, reason: str, sender: Sender) -> Reject:
    return Reject(
        reject_id=new_event_id(),
        site_id=sender.site_id,
        received_time_ms=sender.received_time_ms,
        origin=sender.call,
        place=f"events[{index}]",
        reason=reason[:_MAX_REASON],
        record=reading.record[:MAX_RECORD].decode(errors="replace"),
    )
