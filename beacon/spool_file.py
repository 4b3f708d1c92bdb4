"""A spool file: one worker's SQLite database of batches, in the shape of `schemas.spool`."""

import contextlib
import fcntl
import itertools
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from schemas.durable import flush_names
from schemas.spool import LOCK_SUFFIX, SPOOL_DDL, join

CHECKPOINT_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 8192
# Of JSON in one row, which is compressed as a whole.
ROW_BYTES = 128 * 1024
# In one statement; each number of rows is a statement that SQLite must keep ready.
ROWS = 64
BUSY_MILLISECONDS = 5000

_file_numbers = itertools.count(1)
# Closing a connection would flush its log into a file that has lied to us once; the drain
# recovers what was acknowledged from the log itself. So these stay open until the end.
_abandoned: list[sqlite3.Connection] = []


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What one request leaves behind; without events and rejects it only tries the disk."""

    received_time_ms: int
    events: bytes = b""
    """JSON array of complete events; empty when there are none."""
    rejects: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to write, nearly."""
        rejects = sum(map(len, self.rejects)) if self.rejects else 0
        return len(self.events) + rejects + 64


class SpoolFile:
    """One SQLite spool file, used by one thread at a time."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        # Held until the file is closed or the process ends: until then nobody removes the file.
        self._lock = lock
        self._unflushed = 0
        self._probe = 0
        self._connection = _connect(path)
        # The drain deletes what it has read; a writer waits for that instead of failing.
        self._connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        # SQLite's own checkpoint hides its errors from the writer; ours does not.
        self._connection.execute("PRAGMA wal_autocheckpoint=0")

    @classmethod
    def create(cls, directory: Path) -> "SpoolFile":
        """Makes a new file under a name no process has used; readers see it whole or not."""
        stem = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{next(_file_numbers)}"
        draft, path = directory / f"{stem}.draft", directory / f"{stem}.spool"
        lock = os.open(draft.with_suffix(LOCK_SUFFIX), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # SQLite takes whatever the umask leaves; the log gets the rights of its file.
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with contextlib.closing(_connect(draft)) as connection:
                # Half as many writes for a request of 20 events as with SQLite's own 4096.
                connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
                # Space given back by the drain must leave the file, or the cap stays reached.
                connection.execute("PRAGMA auto_vacuum=FULL")
                connection.executescript(SPOOL_DDL)
                connection.execute("PRAGMA journal_mode=WAL")
            draft.rename(path)
            file = cls(path, lock)
            try:
                # Reading makes the log; then both names are flushed. SQLite flushes the log's
                # as well, but later, and does not tell when it fails. Then a commit is tried.
                file._connection.execute("PRAGMA user_version").fetchone()
                flush_names(directory)
                file.commit(())
            except BaseException:
                file._connection.close()
                raise
        except BaseException:
            os.close(lock)
            for leftover in directory.glob(f"{stem}.*"):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            raise
        return file

    def commit(self, entries: Sequence[Entry]) -> None:
        """Writes a group and returns when it is on the disk; all of it or nothing.

        Raises:
          sqlite3.Error: nothing of the group is promised.
        """
        requests = [(entry.received_time_ms, entry.events) for entry in entries if entry.events]
        rejects = [
            (entry.received_time_ms, reject) for entry in entries for reject in entry.rejects
        ]
        connection = self._connection
        is_one_statement = len(requests) <= ROWS and bool(requests) and not rejects
        try:
            # Each statement gives the interpreter up to the event loop and waits for it again:
            # one alone is a transaction by itself.
            if not is_one_statement:
                connection.execute("BEGIN IMMEDIATE")
            for start in range(0, len(requests), ROWS):
                rows = requests[start : start + ROWS]
                connection.execute(
                    "INSERT INTO requests (received_time_ms, events) VALUES (?, ?)"
                    + ", (?, ?)" * (len(rows) - 1),
                    list(itertools.chain.from_iterable(rows)),
                )
            if rejects:
                connection.executemany(
                    "INSERT INTO rejects (received_time_ms, reject) VALUES (?, ?)", rejects
                )
            if not requests and not rejects:
                self._probe = (self._probe + 1) % 2**31
                connection.execute(f"PRAGMA user_version={self._probe}")
            if not is_one_statement:
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        # However little is written, the last pages of the table and of its numbers are.
        self._unflushed += sum(entry.size for entry in entries) + 2 * PAGE_BYTES

    def checkpoint_if_due(self) -> None:
        """Moves the log into the database now and then, so that it does not grow for ever."""
        if self._unflushed >= CHECKPOINT_BYTES:
            self._unflushed = 0
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Folds the log into the database and closes both."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()
        os.close(self._lock)

    def abandon(self) -> None:
        """Leaves the file as it is, for the drain: after a failed flush it cannot be trusted."""
        _abandoned.append(self._connection)
        # The log may be the only copy of what was acknowledged. While somebody reads it, no
        # other process that deletes rows can start it over.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("BEGIN")
            self._connection.execute("SELECT count(*) FROM requests").fetchone()


def merged(entries: Sequence[Entry]) -> list[Entry]:
    """The same in fewer rows, at most `ROW_BYTES` each unless one request has more."""
    rows = [
        Entry(entry.received_time_ms, rejects=entry.rejects) for entry in entries if entry.rejects
    ]
    row: list[Entry] = []
    size = 0
    for entry in entries:
        if not entry.events:
            continue
        if row and size + len(entry.events) > ROW_BYTES:
            rows.append(_joined(row))
            row, size = [], 0
        row.append(entry)
        size += len(entry.events)
    if row:
        rows.append(_joined(row))
    return rows


def _joined(entries: Sequence[Entry]) -> Entry:
    return Entry(entries[0].received_time_ms, join([entry.events for entry in entries]))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection
