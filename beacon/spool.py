"""The spool: a sender gets her answer only after her events are on the disk.

Requests queue up while one committer thread flushes; the next group starts when the last
flush ends, so a group is as large as the disk is slow, with no timer to tune. The event
loop never waits for the disk. Files are those of `schemas.spool`.
"""

import asyncio
import contextlib
import errno
import fcntl
import itertools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from beacon.notices import Trouble
from schemas.errors import PinSphereError
from schemas.spool import LOCK_SUFFIX, SPOOL_DDL, join

MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_PENDING_ENTRIES = 8192
CHECKPOINT_BYTES = 4 * 1024 * 1024
REOPEN_SECONDS = 1.0
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


class SpoolError(PinSphereError):
    """The spool cannot promise durability now. Retryable: the sender must try again."""


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
                _sync_directory(directory)
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


OnDone = Callable[[SpoolError | None], None]
_Waiting = tuple[Entry, int, OnDone]


class Spool:
    """The spool of one worker process.

    `on_commit(requests, seconds)` is called in the event loop after each group.
    """

    def __init__(
        self, directory: Path, on_commit: Callable[[int, float], None] | None = None
    ) -> None:
        self.directory = directory
        self._on_commit = on_commit
        # What waits for the flush under way to end. Only the event loop touches it.
        self._waiting: list[_Waiting] = []
        self._is_flushing = False
        self._queue: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._pending_bytes = self._pending_entries = 0
        self._is_closing = False
        self._file: SpoolFile | None = None
        self._reopen_at = float("-inf")
        self._trouble = Trouble()
        self._thread = threading.Thread(target=self._run, name="spool-committer", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Opens a file and starts the committer; call it in the event loop.

        A full disk is waited for, with 503 meanwhile: a worker that starts again must not
        take down those that wait already.

        Raises:
          SpoolError: the directory cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._file = self._new_file()
        except (sqlite3.Error, OSError) as error:
            if not _is_harmless(error):
                raise SpoolError(f"spool {self.directory} cannot be written: {error}") from None
            self._trouble.note(f"the spool cannot be written: {error}")
        self._thread.start()

    def write(self, entry: Entry) -> asyncio.Future[None]:
        """Queues an entry; the future is done when it is durable, or fails with a SpoolError.

        Raises:
          SpoolError: the queue is full, or the spool is closing.
        """
        future: asyncio.Future[None] = self._loop.create_future()

        def settle(error: SpoolError | None) -> None:
            if future.done():  # cancelled: nobody waits any more
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.add(entry, settle)
        return future

    def add(self, entry: Entry, on_done: OnDone) -> None:
        """Queues an entry; `on_done` is called when it is durable, or with the SpoolError.

        Raises:
          SpoolError: the queue is full, or the spool is closing.
        """
        if self._is_closing:
            raise SpoolError("the beacon is shutting down")
        size = entry.size
        if (
            self._pending_entries >= MAX_PENDING_ENTRIES
            or self._pending_bytes + size > MAX_PENDING_BYTES
        ):
            raise SpoolError("the disk is slower than the senders")
        self._pending_entries += 1
        self._pending_bytes += size
        self._waiting.append((entry, size, on_done))
        if not self._is_flushing:
            # Not at once: what the loop has read already goes with the same flush.
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    async def close(self) -> None:
        """Commits what is queued, then closes the file. The spool takes nothing more."""
        self._is_closing = True
        self._flush()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _flush(self) -> None:
        """Hands what waits to the committer."""
        self._is_flushing = bool(self._waiting)
        if self._waiting:
            self._queue.put(self._waiting)
            self._waiting = []

    def _run(self) -> None:
        while (group := self._queue.get()) is not None:
            self._commit(group)
        if self._file is not None:
            try:
                self._file.close()
            except sqlite3.Error:
                self._file.abandon()  # all in it is durable; the drain reads the log too

    def _commit(self, group: list[_Waiting]) -> None:
        error: SpoolError | None = None
        started = time.perf_counter()
        try:
            self._writable().commit(_merge([entry for entry, _, _ in group]))
        except SpoolError as closed:
            error = closed
        except Exception as cause:  # noqa: BLE001 - whatever it is, senders get an answer
            error = SpoolError(f"the spool cannot be written: {cause}")
            self._trouble.note(str(error))
            if not _is_harmless(cause):
                self._abandon()
        else:
            self._trouble.note(None)
        seconds = time.perf_counter() - started
        self._loop.call_soon_threadsafe(self._settle, group, error, seconds)
        if error is None and self._file is not None:
            try:
                self._file.checkpoint_if_due()
            except sqlite3.Error as cause:
                if not _is_harmless(cause):
                    self._abandon()

    def _writable(self) -> SpoolFile:
        if self._file is None:
            now = time.monotonic()
            if now < self._reopen_at:
                raise SpoolError("the spool cannot be written; a new file is opened soon")
            self._reopen_at = now + REOPEN_SECONDS
            self._file = self._new_file()
        return self._file

    def _new_file(self) -> SpoolFile:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_directory(self.directory.parent)  # another worker may have made it just now
        return SpoolFile.create(self.directory)

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None

    def _settle(self, group: list[_Waiting], error: SpoolError | None, seconds: float) -> None:
        self._flush()
        self._pending_entries -= len(group)
        for _, size, on_done in group:
            self._pending_bytes -= size
            try:
                on_done(error)
            except Exception as fault:  # noqa: BLE001 - the others of the group must be told
                self._loop.call_exception_handler({"message": "answer", "exception": fault})
        if error is None and self._on_commit is not None:
            self._on_commit(len(group), seconds)


def _merge(entries: Sequence[Entry]) -> list[Entry]:
    """The same in fewer rows, at most `ROW_BYTES` each unless one request has more."""
    merged = [
        Entry(entry.received_time_ms, rejects=entry.rejects) for entry in entries if entry.rejects
    ]
    row: list[Entry] = []
    size = 0
    for entry in entries:
        if not entry.events:
            continue
        if row and size + len(entry.events) > ROW_BYTES:
            merged.append(_joined(row))
            row, size = [], 0
        row.append(entry)
        size += len(entry.events)
    if row:
        merged.append(_joined(row))
    return merged


def _joined(entries: Sequence[Entry]) -> Entry:
    return Entry(entries[0].received_time_ms, join([entry.events for entry in entries]))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _is_harmless(error: Exception) -> bool:
    """Whether a file may be used again: nothing was flushed, so no flush can have failed."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
