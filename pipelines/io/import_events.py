"""Importing event objects, one JSON a line, with their own ids and times.

As at the beacon, who denied consent is not named: neither in the lake nor in quarantine.
Streams in chunks, so memory does not grow with the file. Importing the same files again
replaces what the first import wrote.
"""

import itertools
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from pipelines.io.given_files import GivenFile, given_files, import_digest
from pipelines.io.lake import LakeWriter
from pipelines.io.quarantine import write_rejects
from pipelines.io.row_files import BOM, JSONL_ENDINGS
from schemas.contract import check_not_ahead, decode_event
from schemas.durable import remove_stale
from schemas.errors import EventError
from schemas.events import IDENTITY, AnyEvent, Source
from schemas.home import Home
from schemas.lake import to_table
from schemas.spool import Reject, record_text

ORIGIN = "import-events"
CHUNK_LINES = 50_000
_SOURCES = frozenset(get_args(Source))


@dataclass(frozen=True)
class ImportedEvents:
    """What an import did: read == events + quarantined + withheld, always.

    `withheld` events would say who denied consent, and nothing else.
    """

    read: int
    events: int
    quarantined: int
    withheld: int = 0


class _Line(msgspec.Struct, frozen=True):
    file: GivenFile
    number: int
    raw: bytes


class _Said(msgspec.Struct):
    source: Any = None


class _Consent(msgspec.Struct):
    event_name: Any = None
    consent: Any = None
    page_location: Any = None
    page_referrer: Any = None


class _WithheldError(Exception):
    """The event says nothing that may be stored."""


def import_events(
    home: Home, files: Sequence[Path], *, site: str, now_ms: int | None = None
) -> ImportedEvents:
    """Imports JSON lines of events into the lake; bad lines go to quarantine with the reason.

    The file is the shop's own word: events count as signed and carry no `network_hash`.
    `site_id` is the argument's, `source` stays if it is a known one and is "file" otherwise,
    and an event that was not received yet is received when it was sent, else now.

    Args:
      home: the home directory, with `pinsphere.toml`.
      files: `.jsonl` or `.ndjson`; blank lines are skipped.
      site: id of the site the events belong to.
      now_ms: UTC epoch milliseconds; now by default.

    Raises:
      UsageError: unknown site or no such file.
      OSError: the disk refused.
    """
    home.settings().site(site)
    given = given_files(files, JSONL_ENDINGS)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    stem = f"import-{import_digest(given, site)[:16]}"
    read = events = quarantined = withheld = 0
    kept: set[Path] = set()
    lines = _lines(given)
    for number in itertools.count():
        chunk = list(itertools.islice(lines, CHUNK_LINES))
        if not chunk:
            break
        name = f"{stem}-{number:05d}"
        good, rejects, held = _decode(chunk, site, now_ms)
        kept.update(write_rejects(home, rejects, name))
        with LakeWriter(home) as lake:
            for event_name in sorted(good):
                lake.write(event_name, to_table(event_name, good[event_name]), name)
        kept.update(file.path for file in lake.files)
        read += len(chunk)
        events += sum(map(len, good.values()))
        quarantined += len(rejects)
        withheld += held
    remove_stale(home.lake, f"*/site={site}/date=*/{stem}-*.parquet", kept)
    remove_stale(home.quarantine, f"site={site}/date=*/{stem}-*.jsonl", kept)
    return ImportedEvents(read, events, quarantined, withheld)


def _lines(files: Sequence[GivenFile]) -> Iterator[_Line]:
    for file in files:
        with file.path.open("rb") as lines:
            for number, whole in enumerate(lines, start=1):
                if raw := whole.removeprefix(BOM if number == 1 else b"").strip():
                    yield _Line(file, number, raw)


def _decode(
    lines: Sequence[_Line], site: str, now_ms: int
) -> tuple[dict[str, list[AnyEvent]], list[Reject], int]:
    """Good events by name, a reject for each line that is none, and how many are withheld."""
    good: defaultdict[str, list[AnyEvent]] = defaultdict(list)
    rejects: list[Reject] = []
    withheld = 0
    for line in lines:
        raw = b""
        try:
            raw = _apply_consent(line.raw)
            event = _receive(raw, site, now_ms)
        except _WithheldError:
            withheld += 1
        except EventError as error:
            rejects.append(
                Reject(
                    reject_id=line.file.reject_id(line.number),
                    site_id=site,
                    received_time_ms=now_ms,
                    origin=ORIGIN,
                    place=f"{line.file.name} line {line.number}",
                    reason=str(error),
                    record=record_text(raw),
                )
            )
        else:
            good[str(type(event).__struct_config__.tag)].append(event)
    return dict(good), rejects, withheld


def _apply_consent(raw: bytes) -> bytes:
    """An event without what names who denied consent.

    Raises:
      _WithheldError: an `identify`, which would say nothing else.
      EventError: what cannot be read cannot be cleared of her ids either.
    """
    if not (b"denied" in raw or b"\\u" in raw):
        return raw  # the common case, without a second look
    try:
        said = msgspec.json.decode(raw, type=_Consent)
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if b"denied" in raw:
            raise EventError(str(error)) from None
        return raw
    # Who asks to be forgotten must be named until it is done.
    if said.consent != "denied" or said.event_name == "erase":
        return raw
    if said.event_name == "identify":
        raise _WithheldError
    for key in IDENTITY:
        fields.pop(key, None)
    for key, url in (("page_location", said.page_location), ("page_referrer", said.page_referrer)):
        if key in fields:
            bare = re.split("[?#]", url, maxsplit=1)[0] if isinstance(url, str) else None
            fields[key] = msgspec.Raw(msgspec.json.encode(bare))
    return msgspec.json.encode(fields)


def _receive(raw: bytes, site: str, now_ms: int) -> AnyEvent:
    """Decodes one event and puts the receiver's words into its envelope."""
    try:
        source = msgspec.json.decode(raw, type=_Said).source
        if not isinstance(source, str) or source not in _SOURCES:
            # Without a source the event would count as a browser's own word.
            fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            fields["source"] = msgspec.Raw(b'"file"')
            raw = msgspec.json.encode(fields)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise EventError(str(error)) from None
    event = decode_event(raw)
    event.site_id = site
    event.is_signed = True
    event.network_hash = None
    if event.received_time_ms is None:
        event.received_time_ms = event.sent_time_ms or now_ms
    sent_time_ms = event.sent_time_ms or event.received_time_ms
    happened_ms = event.event_time_ms + event.received_time_ms - sent_time_ms
    check_not_ahead(event, happened_ms, now_ms)
    return event
