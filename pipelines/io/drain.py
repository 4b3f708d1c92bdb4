"""Draining: the beacon's spool files into the lake, while beacons go on writing.

Each chunk is made durable in the lake first and checkpointed after, so a crash in between
writes rows twice and never loses one; the flow keeps one event of each (site_id, event_id).
The checkpoint lies in the lake: deleting the lake makes the drain start over.

Spool files are never unlinked, not even when empty: a living beacon may hold one open.
"""

import hashlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import msgspec

from pipelines.io.durable import DurableFolder
from pipelines.io.lake import DAY_MS, LakeFile, LakeWriter
from pipelines.io.quarantine import UNKNOWN_SITE, record_text, write_rejects
from schemas.errors import BusyError, EventError, LakeError
from schemas.events import AnyEvent, decode_event
from schemas.ids import is_site_id
from schemas.lake import to_table
from schemas.settings import Home, Settings
from schemas.spool import SPOOL_GLOB, Reject

CHUNK_EVENTS = 50_000
ORIGIN = "drain"
# A read holds a snapshot, a delete holds the write lock: both stay short for the beacon.
_ROWS_A_READ = 500
_ROWS_A_DELETE = 500
_BUSY_SECONDS = 5.0


@dataclass
class Drained:
    """What one drain moved: events into the lake, rejects into quarantine, lake files made."""

    events: int = 0
    rejects: int = 0
    files: int = 0


class Mark(msgspec.Struct, frozen=True):
    """The last drained row of a spool table: its number and a digest of its content.

    The digest tells a spool file made anew under an old name, whose numbers begin again.
    """

    seq: int = 0
    digest: str = ""


class Checkpoint(msgspec.Struct, frozen=True):
    """How far one spool file is drained."""

    requests: Mark = Mark()
    rejects: Mark = Mark()


@dataclass(frozen=True)
class _Row:
    seq: int
    received_time_ms: int
    content: bytes


@dataclass(frozen=True)
class _Queries:
    """What is asked of one spool table, in full: no query is put together from parts."""

    at: str
    after: str
    ages: str
    delete: str


_REQUESTS = _Queries(
    at="SELECT seq, received_time_ms, CAST(events AS BLOB) FROM requests WHERE seq = ?",
    after="SELECT seq, received_time_ms, CAST(events AS BLOB) FROM requests"
    " WHERE seq > ? ORDER BY seq LIMIT ?",
    ages="SELECT seq, received_time_ms FROM requests WHERE seq < ? ORDER BY seq LIMIT ?",
    delete="DELETE FROM requests WHERE seq <= ? AND received_time_ms < ?",
)
_REJECTS = _Queries(
    at="SELECT seq, received_time_ms, CAST(reject AS BLOB) FROM rejects WHERE seq = ?",
    after="SELECT seq, received_time_ms, CAST(reject AS BLOB) FROM rejects"
    " WHERE seq > ? ORDER BY seq LIMIT ?",
    ages="SELECT seq, received_time_ms FROM rejects WHERE seq < ? ORDER BY seq LIMIT ?",
    delete="DELETE FROM rejects WHERE seq <= ? AND received_time_ms < ?",
)


def drain_spool(home: Home, settings: Settings, now_ms: int | None = None) -> Drained:
    """Moves everything past the checkpoints from all spool files into the lake.

    Memory is bounded by a chunk of about 50,000 events. Rows that are drained and older than
    `spool_keep_days` are deleted, except the last one, which the checkpoint refers to.

    Args:
      home: where spool, lake and quarantine lie.
      settings: `spool_keep_days` is read.
      now_ms: UTC epoch milliseconds that age is measured from; now by default.

    Raises:
      LakeError: a spool file is not a database or damaged; all others were drained first.
      BusyError: a spool file stayed locked for seconds; all others were drained first.
      OSError: the disk refused; the checkpoint stands before what was not written.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    drained = Drained()
    failures: list[LakeError | BusyError] = []
    for path in sorted(home.spool.glob(SPOOL_GLOB)):
        try:
            with closing(_open(path)) as spool:
                if _is_spool(spool):
                    _drain_file(home, spool, path.stem, drained)
                    _delete_old(spool, _read_checkpoint(home, path.stem), settings, now_ms)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                failures.append(BusyError(f"spool file {path} is locked by another process"))
            else:
                failures.append(
                    LakeError(
                        f"spool file {path} cannot be read: {error}. What was read before is in"
                        " the lake; recover the rest with the sqlite3 shell (.recover) and move"
                        " the file away"
                    )
                )
    if failures:
        raise type(failures[0])("; ".join(map(str, failures)))
    return drained


def _open(path: Path) -> sqlite3.Connection:
    # mode=rw: never make a file; reading a WAL database needs its shared-memory file anyway.
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
    )


def _is_spool(spool: sqlite3.Connection) -> bool:
    """False for a file the beacon has opened but not yet made its tables in."""
    found = spool.execute(
        "SELECT count(*) FROM sqlite_master WHERE name IN ('requests', 'rejects')"
    ).fetchone()
    return bool(found[0] == 2)


def _drain_file(home: Home, spool: sqlite3.Connection, stem: str, drained: Drained) -> None:
    done = _read_checkpoint(home, stem)
    done = Checkpoint(
        requests=_trusted(spool, _REQUESTS, done.requests),
        rejects=_trusted(spool, _REJECTS, done.rejects),
    )
    for rows in _chunks(spool, _REQUESTS, done.requests.seq):
        name = _chunk_name(stem, rows)
        events, rejects = _decode_requests(stem, rows)
        files = _write_lake(home, events, name)
        if rejects:
            write_rejects(home, rejects, name)
        done = Checkpoint(requests=_mark(rows[-1]), rejects=done.rejects)
        _write_checkpoint(home, stem, done)
        drained.events += sum(len(named) for named in events.values())
        drained.rejects += len(rejects)
        drained.files += len(files)
    for rows in _chunks(spool, _REJECTS, done.rejects.seq):
        rejects = [_decode_reject(stem, row) for row in rows]
        write_rejects(home, rejects, f"{_chunk_name(stem, rows)}-rejects")
        done = Checkpoint(requests=done.requests, rejects=_mark(rows[-1]))
        _write_checkpoint(home, stem, done)
        drained.rejects += len(rejects)


def _trusted(spool: sqlite3.Connection, queries: _Queries, mark: Mark) -> Mark:
    """The mark if its row is still what it was, else the beginning."""
    row = spool.execute(queries.at, (mark.seq,)).fetchone()
    return mark if row is not None and _mark(_Row(*row)) == mark else Mark()


def _chunks(spool: sqlite3.Connection, queries: _Queries, after: int) -> Iterator[list[_Row]]:
    """Rows past `after` in chunks that hold about CHUNK_EVENTS events, in order of `seq`."""
    chunk: list[_Row] = []
    events = 0
    while found := spool.execute(queries.after, (after, _ROWS_A_READ)).fetchall():
        rows = [_Row(*row) for row in found]
        after = rows[-1].seq
        for row in rows:
            chunk.append(row)
            # Each event names itself once; a wrong guess only makes a chunk smaller.
            events += max(1, row.content.count(b'"event_name"'))
            if events >= CHUNK_EVENTS:
                yield chunk
                chunk, events = [], 0
    if chunk:
        yield chunk


def _chunk_name(stem: str, rows: list[_Row]) -> str:
    """Says the rows' numbers and content: other rows never overwrite these."""
    digest = hashlib.blake2b(digest_size=6)
    for row in rows:
        digest.update(row.content)
    return f"spool-{stem}-{rows[0].seq}-{rows[-1].seq}-{digest.hexdigest()}"


def _decode_requests(stem: str, rows: list[_Row]) -> tuple[dict[str, list[AnyEvent]], list[Reject]]:
    """Good events by name and what did not decode; one bad event spares its neighbours."""
    split = msgspec.json.Decoder(list[msgspec.Raw]).decode
    events: defaultdict[str, list[AnyEvent]] = defaultdict(list)
    rejects: list[Reject] = []
    for row in rows:
        try:
            parts = [bytes(part) for part in split(row.content)]
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            rejects.append(_reject(stem, row, "", row.content, f"not a list of events: {error}"))
            continue
        for index, part in enumerate(parts):
            try:
                event = _decode_event(part)
            except EventError as error:
                rejects.append(_reject(stem, row, f" event {index}", part, str(error)))
            else:
                events[str(type(event).__struct_config__.tag)].append(event)
    return dict(events), rejects


def _decode_event(raw: bytes) -> AnyEvent:
    event = decode_event(raw)
    if not is_site_id(event.site_id):
        raise EventError(f"site_id {event.site_id!r} is no site id")
    return event


def _decode_reject(stem: str, row: _Row) -> Reject:
    try:
        return msgspec.json.decode(row.content, type=Reject)
    except (msgspec.DecodeError, UnicodeError) as error:
        return _reject(stem, row, " reject", row.content, f"not a rejected record: {error}")


class _Claim(msgspec.Struct):
    site_id: str = ""


def _reject(stem: str, row: _Row, part: str, record: bytes, reason: str) -> Reject:
    try:
        site_id = msgspec.json.decode(record, type=_Claim).site_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        site_id = ""
    return Reject(
        reject_id=f"{stem}-{row.seq}{part.replace(' ', '-')}",
        site_id=site_id if is_site_id(site_id) else UNKNOWN_SITE,
        received_time_ms=row.received_time_ms,
        origin=ORIGIN,
        place=f"{stem}.spool row {row.seq}{part}",
        reason=reason,
        record=record_text(record),
    )


def _write_lake(home: Home, events: dict[str, list[AnyEvent]], name: str) -> list[LakeFile]:
    with LakeWriter(home) as lake:
        for event_name in sorted(events):
            lake.write(event_name, to_table(event_name, events[event_name]), name)
    return lake.files


def _delete_old(
    spool: sqlite3.Connection, done: Checkpoint, settings: Settings, now_ms: int
) -> None:
    """Deletes old drained rows, a few at a time, and leaves it for later when a beacon is busy."""
    limit = now_ms - round(settings.spool_keep_days * DAY_MS)
    for queries, mark in ((_REQUESTS, done.requests), (_REJECTS, done.rejects)):
        while rows := spool.execute(queries.ages, (mark.seq, _ROWS_A_DELETE)).fetchall():
            old = [seq for seq, received_time_ms in rows if received_time_ms < limit]
            try:
                if old:
                    spool.execute(queries.delete, (old[-1], limit))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                    return
                raise
            if len(old) < len(rows):
                break


def _mark(row: _Row) -> Mark:
    return Mark(row.seq, hashlib.blake2b(row.content, digest_size=16).hexdigest())


def _checkpoint_file(home: Home, stem: str) -> Path:
    return home.lake / "_checkpoints" / f"{stem}.json"


def _read_checkpoint(home: Home, stem: str) -> Checkpoint:
    """The stored checkpoint; the beginning when there is none or it cannot be read."""
    try:
        return msgspec.json.decode(_checkpoint_file(home, stem).read_bytes(), type=Checkpoint)
    except (FileNotFoundError, msgspec.DecodeError):
        return Checkpoint()


def _write_checkpoint(home: Home, stem: str, checkpoint: Checkpoint) -> None:
    content = msgspec.json.encode(checkpoint)
    with DurableFolder(home.lake) as folder:
        folder.place(_checkpoint_file(home, stem), lambda file: file.write(content))
