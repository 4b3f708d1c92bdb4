"""Reading spool files: what the drain and the forwarder do alike, while beacons go on writing.

A file is read in chunks of whole rows past a checkpoint. Who reads makes a chunk safe where
it goes first, and stores the chunk's checkpoint after: a crash in between moves rows twice
and never loses one.

Rows and files leave the spool in `schemas.spool_upkeep`.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from schemas.durable import DurableFolder
from schemas.errors import BusyError, LakeError
from schemas.events import AnyEvent
from schemas.spool import SPOOL_GLOB, Reject
from schemas.spool_rows import TABLES, Row, Table, decode_rows

# A delete holds the write lock: it stays short for the beacon.
_ROWS_A_DELETE = 500
_BUSY_SECONDS = 5.0
_ALL_MS = 2**63 - 1


class Mark(msgspec.Struct, frozen=True):
    """The last row of a spool table that is done with: its number, and when it was received.

    The time tells a spool file made anew under an old name, whose numbers begin again. Not the
    content: an erasure changes that.
    """

    seq: int = 0
    received_time_ms: int = 0


class Checkpoint(msgspec.Struct, frozen=True):
    """How far one spool file is done with."""

    requests: Mark = Mark()
    rejects: Mark = Mark()

    def mark(self, table: Table) -> Mark:
        """How far one table of it is done with."""
        return self.requests if table == "requests" else self.rejects


@dataclass(frozen=True)
class Chunk:
    """Rows of one table in order, decoded.

    Attributes:
      name: says the rows' numbers and content: other rows never have the same.
      events: the good events.
      rejects: rejected records of the beacon, or what of the rows did not decode.
      rows: how many rows it holds.
      is_last: nothing lay past it when it was read.
      done: the checkpoint to store once this chunk is safe.
    """

    name: str
    events: list[AnyEvent]
    rejects: list[Reject]
    rows: int
    is_last: bool
    done: Checkpoint


class Backlog(NamedTuple):
    """What a checkpoint has not reached yet."""

    rows: int
    oldest_time_ms: int | None
    """When the oldest of the rows was received; None without rows."""


@dataclass(frozen=True)
class _Queries:
    """What is asked of one spool table, in full: no query is put together from parts."""

    at: str
    after: str
    last: str
    ages: str
    delete: str


_QUERIES: dict[Table, _Queries] = {
    "requests": _Queries(
        at="SELECT seq, CAST(received_time_ms AS INTEGER), CAST(events AS BLOB) FROM requests"
        " WHERE seq = ?",
        after="SELECT seq, CAST(received_time_ms AS INTEGER), CAST(events AS BLOB) FROM requests"
        " WHERE seq > ? ORDER BY seq",
        last="SELECT max(seq) FROM requests",
        ages="SELECT seq, CAST(received_time_ms AS INTEGER) FROM requests"
        " WHERE seq < ? ORDER BY seq LIMIT ?",
        delete="DELETE FROM requests WHERE seq <= ? AND CAST(received_time_ms AS INTEGER) < ?",
    ),
    "rejects": _Queries(
        at="SELECT seq, CAST(received_time_ms AS INTEGER), CAST(reject AS BLOB) FROM rejects"
        " WHERE seq = ?",
        after="SELECT seq, CAST(received_time_ms AS INTEGER), CAST(reject AS BLOB) FROM rejects"
        " WHERE seq > ? ORDER BY seq",
        last="SELECT max(seq) FROM rejects",
        ages="SELECT seq, CAST(received_time_ms AS INTEGER) FROM rejects"
        " WHERE seq < ? ORDER BY seq LIMIT ?",
        delete="DELETE FROM rejects WHERE seq <= ? AND CAST(received_time_ms AS INTEGER) < ?",
    ),
}


def spool_files(folder: Path) -> list[Path]:
    """All spool files in a folder, oldest first."""
    return sorted(folder.glob(SPOOL_GLOB))


@contextlib.contextmanager
def open_spool(path: Path) -> Iterator["SpoolReader"]:
    """A reader of one spool file.

    Raises:
      LakeError: the file is no database, or damaged; also when that shows within the block.
      BusyError: the file stayed locked for seconds.
    """
    try:
        # mode=rw: never make a file; reading a WAL database needs its shared-memory file anyway.
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
        )
        with contextlib.closing(connection):
            yield SpoolReader(path.stem, connection)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise BusyError(f"spool file {path} is locked by another process") from None
        raise LakeError(
            f"spool file {path} cannot be read: {error}. What was read before is safe; recover"
            " the rest with the sqlite3 shell (.recover) and move the file away"
        ) from None


class SpoolReader:
    """An open spool file. A file without the spool's tables reads as empty."""

    def __init__(self, stem: str, connection: sqlite3.Connection) -> None:
        self.stem = stem
        self._spool = connection
        found = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('requests', 'rejects')"
        ).fetchone()
        self._has_tables = found[0] == 2

    def read(self, table: Table, done: Checkpoint, max_bytes: int) -> Chunk | None:
        """The next rows past a checkpoint: the first, and more up to `max_bytes` of them all.

        A checkpoint of another file under the same name counts as none.
        """
        if not self._has_tables:
            return None
        done = Checkpoint(*(self._trusted(each, done.mark(each)) for each in TABLES))
        rows: list[Row] = []
        size, is_last = 0, True
        found = self._spool.execute(_QUERIES[table].after, (done.mark(table).seq,))
        with contextlib.closing(found):  # an open cursor would hold the beacon's log back
            try:
                for values in found:
                    row = Row(*values)
                    size += row.size
                    if rows and size > max_bytes:
                        is_last = False
                        break
                    rows.append(row)
            except sqlite3.Error:
                if not rows:
                    raise
                is_last = False  # what lies before the damage is good; the next read tells
        if not rows:
            return None
        events, rejects = decode_rows(table, self.stem, rows)
        return Chunk(
            name=_chunk_name(self.stem, table, rows),
            events=events,
            rejects=rejects,
            rows=len(rows),
            is_last=is_last,
            done=msgspec.structs.replace(done, **{table: _mark(rows[-1])}),
        )

    def backlog(self, done: Checkpoint) -> Backlog:
        """How much lies past a checkpoint; asks for two rows, however long the backlog is."""
        rows, times = 0, []
        for table in TABLES if self._has_tables else ():
            seq = self._trusted(table, done.mark(table)).seq
            first = self._spool.execute(f"{_QUERIES[table].after} LIMIT 1", (seq,)).fetchone()
            if first is not None:
                # Numbers have no gaps past a checkpoint: only rows before it are deleted.
                (last,) = self._spool.execute(_QUERIES[table].last).fetchone()
                rows += last - first[0] + 1
                times.append(first[1])
        return Backlog(rows, min(times, default=None))

    def delete_old(self, done: Checkpoint, limit_ms: int) -> None:
        """Deletes rows that are done with and were received before `limit_ms`.

        All but the last one, by which a checkpoint knows the file; a few at a time, and what
        a busy beacon does not allow now is left for later. The space leaves the disk, log
        included: a beacon at its cap writes nothing, so it would never shorten the log itself.
        """
        if self._delete_old(done, limit_ms):
            # Now or not at all: waiting for a reader would keep the beacon from writing.
            self._spool.execute("PRAGMA busy_timeout=0")
            self._spool.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._spool.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000:.0f}")

    def delete_done(self, done: Checkpoint) -> None:
        """Deletes all rows that are done with, for good; but not the last one.

        Raises:
          BusyError: a busy beacon did not let all of them go.
        """
        self._spool.execute("PRAGMA secure_delete = ON")
        self._delete_old(done, _ALL_MS)
        for table in TABLES if self._has_tables else ():
            seq = self._trusted(table, done.mark(table)).seq
            if self._spool.execute(_QUERIES[table].ages, (seq, 1)).fetchall():
                raise BusyError(f"spool file {self.stem} is busy; try again")

    def is_over(self, done: Checkpoint, limit_ms: int) -> bool:
        """Whether all is done with, and its last rows were received before `limit_ms`."""
        if not self._has_tables or self.backlog(done).rows:
            return False
        last = (
            self._spool.execute(_QUERIES[table].at, (done.mark(table).seq,)).fetchone()
            for table in TABLES
        )
        return all(row is None or row[1] < limit_ms for row in last)

    def _delete_old(self, done: Checkpoint, limit_ms: int) -> bool:
        """Says whether any row went."""
        is_shorter = False
        for table in TABLES if self._has_tables else ():
            queries, seq = _QUERIES[table], self._trusted(table, done.mark(table)).seq
            while rows := self._spool.execute(queries.ages, (seq, _ROWS_A_DELETE)).fetchall():
                old = [row_seq for row_seq, received_ms in rows if received_ms < limit_ms]
                try:
                    if old:
                        self._spool.execute(queries.delete, (old[-1], limit_ms))
                        is_shorter = True
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                        return is_shorter
                    raise
                if len(old) < len(rows):
                    break
        return is_shorter

    def _trusted(self, table: Table, mark: Mark) -> Mark:
        """The mark if its row is still what it was, else the beginning."""
        row = self._spool.execute(_QUERIES[table].at, (mark.seq,)).fetchone()
        return mark if row is not None and _mark(Row(*row)) == mark else Mark()


def read_checkpoint(file: Path) -> Checkpoint:
    """The stored checkpoint; the beginning when there is none or it cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Checkpoint)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeError):
        return Checkpoint()


def write_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Stores a checkpoint: when this returns, no power cut takes it back.

    Raises:
      OSError: the disk refused; the checkpoint before it stands.
    """
    content = msgspec.json.encode(checkpoint)
    with DurableFolder(file.parent) as folder:
        folder.place(file, lambda opened: opened.write(content))


def _mark(row: Row) -> Mark:
    return Mark(row.seq, row.received_time_ms)


def _chunk_name(stem: str, table: Table, rows: Sequence[Row]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for row in rows:
        digest.update(row.content)
    kind = "-rejects" if table == "rejects" else ""
    return f"spool-{stem}-{rows[0].seq}-{rows[-1].seq}-{digest.hexdigest()}{kind}"
