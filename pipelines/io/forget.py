"""Erasing ids from the files of a home directory: lake, quarantine and spool, byte for byte.

Files are written whole and flushed beside the old ones, which then go. Each step may be done
again; who calls holds the run's lock.
"""

import contextlib
import functools
import json
import os
import secrets
import sqlite3
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec
import numpy as np

from pipelines.io.blanking import ADDRESSES, DEVICE, LABELS, PERSON, Words, blank, label_words
from pipelines.io.lake import (
    COMPACTED,
    REPLACED,
    LakeFile,
    lake_files,
    place_table,
    read_lake_file,
    remove_replaced,
    replaced_names,
)
from pipelines.io.quarantine import scrub
from pipelines.io.traces import Traces, read_columns
from schemas.durable import DurableFolder
from schemas.errors import BusyError, LakeError
from schemas.home import Home
from schemas.spool import UNKNOWN_SITE, Reject, join, text_of
from schemas.spool_reader import Checkpoint, open_spool
from schemas.spool_rows import whole_events

Counts = Counter[str]
_LOOKED_AT = ("event_id", "customer_id", "visitor_id", "session_id", "email_sha256", "order_id")
_BUSY_SECONDS = 20.0
_LETTERS = string.ascii_lowercase + string.digits


def rewrite_lake(home: Home, traces: Mapping[str, Traces]) -> Counts:
    """Takes people out of the lake's files, each under its old name; counts what it did.

    Raises:
      LakeError: a file cannot be read.
      OSError: the disk refused.
    """
    counts = Counts()
    words = {site_id: Words(left.names) for site_id, left in traces.items()}
    with DurableFolder(home.lake) as folder:
        for file in lake_files(home):
            if file.site_id in traces:
                _rewrite_file(folder, file, traces[file.site_id], words[file.site_id], counts)
    return counts


def _rewrite_file(
    folder: DurableFolder, file: LakeFile, left: Traces, words: Words, counts: Counts
) -> None:
    looked = read_columns(file, (*_LOOKED_AT, *ADDRESSES))
    device, person = left.devices(looked), left.people(looked)
    hers = device | person
    told = np.zeros(len(looked), np.bool_)
    for name in set(ADDRESSES).intersection(looked.column_names):
        told |= words.found(looked[name])
    if not (hers | told).any():
        return
    events = read_lake_file(file)
    kept = blank(file.event_name, events, device=device, person=person, ids=left.names)
    counts["events_blanked"] += int(hers.sum()) - (len(events) - len(kept))
    counts["events_dropped"] += len(events) - len(kept)
    counts["addresses_cut"] += int((told & ~hers).sum())
    counts["lake_files"] += 1
    if file.path.name.startswith(COMPACTED):
        replaces = json.dumps(replaced_names(file.path)).encode()
        kept = kept.replace_schema_metadata({REPLACED: replaces})
    if len(kept):
        counts["bytes"] += place_table(folder, file.path, kept)
    else:
        folder.remove(file.path)


def sweep(home: Home) -> None:
    """Removes what killed writers left unfinished, or had replaced; nobody may be writing."""
    for root in (home.lake, home.quarantine):
        with DurableFolder(root) as folder:
            for path in root.rglob(".*"):
                # An archive tries the disk without the lock; what it writes there is empty.
                if path.is_file() and not path.name.lstrip(".").startswith("probe-"):
                    folder.remove(path)
            for date in root.glob("*/site=*/date=*"):
                remove_replaced(folder, date)


def rewrite_quarantine(home: Home, traces: Mapping[str, Traces]) -> Counts:
    """Takes people out of quarantine's lines, and of the messages that lie there whole.

    Raises:
      OSError: the disk refused.
    """
    counts = Counts()
    with DurableFolder(home.quarantine) as folder:
        for site_id, left in traces.items():
            words = Words(left.names)
            for site in (site_id, UNKNOWN_SITE):
                for path in sorted(home.quarantine.glob(f"site={site}/date=*/*.jsonl")):
                    _rewrite_lines(folder, path, words, counts)
        names = sorted({name for left in traces.values() for name in left.names}, key=len)
        for path in sorted((home.quarantine / "messages").glob("[!.]*")):
            _overwrite_names(folder, path, names[::-1], counts)
    return counts


def _rewrite_lines(folder: DurableFolder, path: Path, words: Words, counts: Counts) -> None:
    lines, changed = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            reject = msgspec.json.decode(line, type=Reject)
        except (msgspec.DecodeError, UnicodeError):
            is_hers = words.stand_in(line.decode(errors="replace"))
            changed += is_hers
            lines += [] if is_hers else [line]  # mended by hand, and broken: nobody reads it
            continue
        changed += (is_hers := scrub(reject, words))
        lines.append(msgspec.json.encode(reject) + b"\n" if is_hers else line)
    if changed:
        counts["quarantined"] += changed
        counts["bytes"] += folder.place(path, functools.partial(_write, b"".join(lines)))


def _overwrite_names(
    folder: DurableFolder, path: Path, names: Sequence[str], counts: Counts
) -> None:
    """Puts random letters over ids in a message that this release cannot read.

    Of the same length, so that a later release can: all its other events are still wanted.
    It keeps its time, from which its days are counted.
    """
    times = path.stat()
    before = data = path.read_bytes()
    for name in names:
        raw = name.encode()
        while raw in data:
            letters = "".join(secrets.choice(_LETTERS) for _ in raw)
            data = data.replace(raw, letters.encode(), 1)
    if data != before:
        counts["messages"] += 1
        counts["bytes"] += folder.place(path, functools.partial(_write, data))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _write(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def rewrite_spool(path: Path, done: Checkpoint, traces: Mapping[str, Traces]) -> Counts:
    """Takes people out of one spool file, its log included; beacons may go on writing.

    What is drained or forwarded leaves, all but the last row of each table, by which the
    checkpoint knows the file. The rest is changed where it names them.

    Raises:
      LakeError: the file is damaged.
      BusyError: somebody reads or writes it for long: not all bytes are gone.
    """
    counts = Counts()
    with open_spool(path) as reader:
        reader.delete_done(done)
    left = _together(traces)
    words = Words(left.names)
    names = [spelled.encode() for name in left.names for spelled in _spellings(name)]
    with _opened(path) as spool:
        there = {name for (name,) in spool.execute("SELECT name FROM sqlite_master")}
        for table, column in (("requests", "events"), ("rejects", "reject")):
            if table not in there:
                continue
            found = spool.execute(f"SELECT seq, CAST({column} AS BLOB) FROM {table}")  # noqa: S608
            changed = [
                (clean, seq)
                for seq, content in found
                if _may_hold(content, names)
                and (clean := _clean(table, content, left, words)) != content
            ]
            if changed:
                spool.execute("BEGIN IMMEDIATE")
                spool.executemany(f"UPDATE {table} SET {column} = ? WHERE seq = ?", changed)  # noqa: S608
                spool.execute("COMMIT")
                counts["spool_rows"] += len(changed)
        give_back(spool, f"spool file {path}")
    return counts


def _together(traces: Mapping[str, Traces]) -> Traces:
    """A spool row tells its site only within; who is erased at two shops is so at both."""
    left = Traces()
    for each in traces.values():
        left.add(each)
    return left


def _spellings(name: str) -> set[str]:
    """An id as it may stand in the text of an event."""
    plain = msgspec.json.encode(name).decode()[1:-1]
    return {name, plain, quote(name, safe="")}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_SECONDS,
            isolation_level=None,
        )  # fmt: skip
        with contextlib.closing(connection):
            # What is deleted is overwritten, not only forgotten.
            connection.execute("PRAGMA secure_delete = ON")
            yield connection
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise BusyError(f"spool file {path} is locked by another process") from None
        raise LakeError(f"spool file {path} cannot be rewritten: {error}") from None


def give_back(database: sqlite3.Connection, what: str) -> None:
    """Makes an SQLite file anew and empties its log: what was deleted leaves both.

    Raises:
      BusyError: a reader holds on to the log.
    """
    database.execute("VACUUM")
    (is_busy, *_) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise BusyError(
            f"{what}: somebody reads it, so that its log still holds what was erased; end that"
            " (a beacon that met a failing disk holds on to its file until it ends) and erase again"
        )


def _may_hold(content: bytes, names: Sequence[bytes]) -> bool:
    try:
        text = text_of(content)
    except RuntimeError:
        return True  # damaged: nobody can say
    # A sender may spell any character with a backslash.
    return b"\\" in text or any(name in text for name in names)


def _clean(table: str, content: bytes, left: Traces, words: Words) -> bytes:
    if table == "rejects":
        try:
            reject = msgspec.json.decode(content, type=Reject)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return b""
        return msgspec.json.encode(reject) if scrub(reject, words) else content
    try:
        events = whole_events(content)
    except (msgspec.DecodeError, UnicodeError, RuntimeError):
        return b"[]"  # it would be quarantined without its text
    kept = [left_over for event in events if (left_over := _blanked(event, left, words))]
    return join([msgspec.json.encode(kept)])


def _blanked(event: dict[str, object], left: Traces, words: Words) -> dict[str, object] | None:
    """What `blanking.blank` makes of one event, in JSON."""
    name, customer = event.get("event_name"), event.get("customer_id")
    is_device = event.get("visitor_id") in left.visitors or event.get("session_id") in left.sessions
    is_person = (
        customer in left.customers
        or event.get("event_id") in left.events
        or (customer is None and event.get("email_sha256") in left.emails)
        or (customer is None and event.get("order_id") in left.orders)
    )
    if name == "erase":
        gone = {"visitor_id": is_device, "customer_id": is_person}
        event = {key: value for key, value in event.items() if not gone.get(key)}
        return event if event.keys() & gone.keys() else None
    is_hers = is_device or is_person
    lost = {*(DEVICE if is_hers else ()), *(PERSON if is_person else ())}
    event = {key: value for key, value in event.items() if key not in lost}
    if name == "identify" and is_hers and not set(PERSON) <= event.keys():
        return None
    for key in set(ADDRESSES).intersection(event):
        address = str(event[key])
        if is_hers or words.stand_in(address):
            address = address.partition("?")[0].partition("#")[0]
            event[key] = None if words.stand_in(address) else address
    labels = label_words(left.names)
    for key in set(LABELS).intersection(event) if is_hers else ():
        event[key] = labels.taken_out(str(event[key]))
    return event
