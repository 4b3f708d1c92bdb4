"""Rows of the spool into events, and into rejects what does not decode."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import EARLIEST_MS, LATEST_MS, AnyEvent
from schemas.ids import is_site_id
from schemas.spool import (
    PARCEL_START,
    UNKNOWN_SITE,
    Parcel,
    Reject,
    Words,
    record_text,
    size_of,
    stamp,
    text_of,
)

Table = Literal["requests", "rejects"]
TABLES: tuple[Table, ...] = ("requests", "rejects")
ORIGIN = "spool"
# LZ4 says RuntimeError, as does a nesting too deep.
_BROKEN = (msgspec.DecodeError, UnicodeError, RuntimeError)
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
_open_parcel = msgspec.json.Decoder(Parcel).decode


@dataclass(frozen=True)
class Row:
    """One row of a spool table."""

    seq: int
    received_time_ms: int
    content: bytes

    @property
    def size(self) -> int:
        """Bytes of what it holds; of a damaged one, what it takes."""
        try:
            return size_of(self.content)
        except RuntimeError:
            return len(self.content)


def decode_rows(
    table: Table, stem: str, rows: Sequence[Row]
) -> tuple[list[AnyEvent], list[Reject]]:
    """Good events, and rejected records of the beacon or of what did not decode here.

    One bad event spares its neighbours.

    Args:
      table: which table the rows are of.
      stem: name of the spool file, for the place in a reject.
      rows: the rows.
    """
    if table == "rejects":
        return [], [_decode_reject(stem, row) for row in rows]
    return _decode_requests(stem, rows)


def _decode_requests(stem: str, rows: Sequence[Row]) -> tuple[list[AnyEvent], list[Reject]]:
    """Good events and what did not decode; one bad event spares its neighbours."""
    events: list[AnyEvent] = []
    rejects: list[Reject] = []
    for row in rows:
        try:
            parts = list(_unpack(row.content))
        except _BROKEN as error:
            rejects.append(_reject(stem, row, "", row.content, f"not a list of events: {error}"))
            continue
        for index, (part, words) in enumerate(parts):
            try:
                events.append(_decode_event(part, words))
            except EventError as error:
                rejects.append(_reject(stem, row, f" event {index}", part, str(error)))
    return events, rejects


def _unpack(content: bytes) -> Iterator[tuple[bytes, Words | None]]:
    """Each event of a row, with the words that are still to be written on it."""
    for element in _split(text_of(content)):
        text = bytes(element)
        if text.startswith(PARCEL_START):
            parcel = _open_parcel(text)
            for event in parcel.batch.events:
                yield bytes(event), parcel.words
        else:
            yield text, None


def whole_events(content: bytes) -> list[dict[str, object]]:
    """The events of a row as JSON objects, the receiver's words in each; damaged ones left out.

    Raises:
      DecodeError, UnicodeError, RuntimeError: the whole row is damaged.
    """
    events: list[dict[str, object]] = []
    for part, words in _unpack(content):
        with contextlib.suppress(EventError):
            events.append(
                msgspec.json.decode(part, type=dict[str, object])
                if words is None
                else msgspec.to_builtins(_decode_event(part, words))
            )
    return events


def _decode_event(raw: bytes, words: Words | None) -> AnyEvent:
    event = decode_event(raw)
    if words is not None:
        stamp(event, words)
    if not is_site_id(event.site_id):
        raise EventError(f"site_id {event.site_id!r} is no site id")
    return event


def _decode_reject(stem: str, row: Row) -> Reject:
    try:
        reject = msgspec.json.decode(row.content, type=Reject)
    except _BROKEN as error:
        return _reject(stem, row, " reject", row.content, f"not a rejected record: {error}")
    reject.received_time_ms = _within_time(reject.received_time_ms)
    return reject


class _Claim(msgspec.Struct):
    site_id: str = ""


def _reject(stem: str, row: Row, part: str, record: bytes, reason: str) -> Reject:
    try:
        site_id = msgspec.json.decode(record, type=_Claim).site_id
    except _BROKEN:
        site_id = ""
    return Reject(
        reject_id=f"{stem}-{row.seq}{part.replace(' ', '-')}",
        site_id=site_id if is_site_id(site_id) else UNKNOWN_SITE,
        received_time_ms=_within_time(row.received_time_ms),
        origin=ORIGIN,
        place=f"{stem}.spool row {row.seq}{part}",
        reason=reason,
        record=record_text(record),
    )


def _within_time(received_time_ms: int) -> int:
    """The nearest time that can be: damage must not name a day that no calendar has."""
    return min(max(received_time_ms, EARLIEST_MS), LATEST_MS - 1)
