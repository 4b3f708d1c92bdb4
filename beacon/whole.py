"""The common batch, read and written in one go: every event good, nobody's consent denied.

Whatever differs in the least is left to `beacon.intake`, which looks at each event on its
own. Both give the same bytes for the same body; this way costs a third.
"""

import functools
import operator
from typing import Any

import msgspec

from beacon.intake import Intake, Sender, known_time, stamp
from schemas.errors import EventError
from schemas.events import EVENTS, UNSIGNED_EVENTS, AnyEvent, check_event


class WholeBatch(msgspec.Struct, kw_only=True):
    """The body of `/v1/events` and `/v1/orders`, all its events good and none denied."""

    site_key: str
    events: list[AnyEvent]
    sent_time_ms: int | None = None


def _decoder(names: frozenset[str]) -> msgspec.json.Decoder[Any]:
    """Reads batches of these events only."""
    union: Any = functools.reduce(operator.or_, (EVENTS[name] for name in sorted(names)))
    fields = [("events", list[union])]
    return msgspec.json.Decoder(
        msgspec.defstruct("WholeBatch", fields, bases=(WholeBatch,), kw_only=True)
    )


_decode_signed = _decoder(frozenset(EVENTS)).decode
_decode_unsigned = _decoder(UNSIGNED_EVENTS).decode
_encode = msgspec.json.Encoder().encode


def read_whole(body: bytes, *, is_signed: bool) -> WholeBatch | None:
    """A batch with nothing to quarantine, to withhold or to scrub; None for any other body."""
    # One byte is found at once, and few bodies have it. The second look may find a harmless
    # text too: that is for the careful way to tell.
    if b"\\" in body and b"\\u00" in body:
        return None
    try:
        batch: WholeBatch = (_decode_signed if is_signed else _decode_unsigned)(body)
        for event in batch.events:
            if event.consent == "denied":
                return None
            check_event(event)
    except (msgspec.DecodeError, UnicodeError, RecursionError, EventError):
        return None
    batch.sent_time_ms = known_time(batch.sent_time_ms)
    return batch


def take_whole(batch: WholeBatch, sender: Sender) -> Intake | None:
    """The events with the receiver's words; None where one tells a time that is not taken.

    The sender must not have asked for GPC.
    """
    if sender.max_age_ms is not None:
        earliest_ms, latest_ms = sender.told_times(batch.sent_time_ms)
        for event in batch.events:
            if not earliest_ms <= event.event_time_ms <= latest_ms:
                return None
    stamp(batch.events, batch.sent_time_ms, sender)
    stored = len(batch.events)
    return Intake(_encode(batch.events) if stored else b"", stored, [], 0)
