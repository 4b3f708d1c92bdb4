"""The spool: a sender gets her answer only after her events are on the disk.

Requests queue up while one committer thread flushes; the next group starts when the last
flush ends, so a group is as large as the disk is slow, with no timer to tune. The event
loop never waits for the disk. Files are those of `schemas.spool`.
"""

import asyncio
import contextlib
import itertools
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from schemas.errors import PinSphereError
from schemas.spool import SPOOL_DDL

MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_PENDING_ENTRIES = 8192
CHECKPOINT_BYTES = 4 * 1024 * 1024
REOPEN_SECONDS = 1.0
BUSY_MILLISECONDS = 5000

_file_numbers = itertools.count(1)
# Closing a connection would flush its log into a file that has lied to us once; the drain
# recovers what was acknowledged from the log itself. So these stay open until the end.
_abandoned: list[sqlite3.Connection] = []


class SpoolError(PinSphereError):
    """The spool cannot promise durability now. Retryable: the sender must try again."""


class Entry(NamedTuple):
    """What one request leaves behind; without events and rejects it only tries the disk."""

    received_time_ms: int
    events: bytes = b""
    """JSON array of complete events; empty when there are none."""
    rejects: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to write, nearly."""
        return len(self.events) + sum(map(len, self.rejects)) + 64


class SpoolFile:
    """One SQLite spool file, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        try:
            connection = _connect(draft)
            try:
                # Space given back by the drain must leave the file, or the cap stays reached.
                connection.execute("PRAGMA auto_vacuum=FULL")
                connection.executescript(SPOOL_DDL)
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
            draft.rename(path)
            _sync_directory(directory)
        except (sqlite3.Error, OSError):
            for leftover in directory.glob(f"{stem}.draft*"):
                with contextlib.suppress(OSError):
                    leftover.unlink()
            raise
        return cls(path)

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
        try:
            connection.execute("BEGIN IMMEDIATE")
            if requests:
                connection.executemany(
                    "INSERT INTO requests (received_time_ms, events) VALUES (?, ?)", requests
                )
            if rejects:
                connection.executemany(
                    "INSERT INTO rejects (received_time_ms, reject) VALUES (?, ?)", rejects
                )
            if not requests and not rejects:
                self._probe = (self._probe + 1) % 2**31
                connection.execute(f"PRAGMA user_version={self._probe}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._unflushed += sum(entry.size for entry in entries)

    def checkpoint_if_due(self) -> None:
        """Moves the log into the database now and then, so that it does not grow for ever."""
        if self._unflushed >= CHECKPOINT_BYTES:
            self._unflushed = 0
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Folds the log into the database and closes both."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()

    def abandon(self) -> None:
        """Leaves the file as it is, for the drain: after a failed flush it cannot be trusted."""
        _abandoned.append(self._connection)


class _Waiting(NamedTuple):
    entry: Entry
    future: asyncio.Future[None]


class Spool:
    """The spool of one worker process.

    `on_commit(requests, seconds)` is called in the event loop after each group.
    """

    def __init__(
        self, directory: Path, on_commit: Callable[[int, float], None] | None = None
    ) -> None:
        self.directory = directory
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._pending_bytes = self._pending_entries = 0
        self._is_closing = False
        self._file: SpoolFile | None = None
        self._reopen_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="spool-committer", daemon=True)
        self._loop: asyncio.AbstractEventLoop

    def start(self) -> None:
        """Opens a file and starts the committer; call it in the event loop.

        Raises:
          SpoolError: the directory cannot be written.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._file = SpoolFile.create(self.directory)
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"spool {self.directory} cannot be written: {error}") from None
        self._thread.start()

    def write(self, entry: Entry) -> asyncio.Future[None]:
        """Queues an entry; the future is done when it is durable, or fails with a SpoolError.

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
        waiting = _Waiting(entry, self._loop.create_future())
        self._queue.put(waiting)
        return waiting.future

    async def close(self) -> None:
        """Commits what is queued, then closes the file. The spool takes nothing more."""
        self._is_closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[_Waiting] = []
            taken = self._queue.get()
            while True:
                if taken is None:
                    is_open = False
                else:
                    group.append(taken)
                try:
                    taken = self._queue.get_nowait()
                except queue.Empty:
                    break
            if group:
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
            self._writable().commit([waiting.entry for waiting in group])
        except SpoolError as closed:
            error = closed
        except Exception as cause:  # noqa: BLE001 - whatever it is, senders get an answer
            error = SpoolError(f"the spool cannot be written: {cause}")
            if not _is_harmless(cause):
                self._abandon()
        seconds = time.perf_counter() - started
        self._loop.call_soon_threadsafe(self._settle, group, error, seconds)
        if error is None and self._file is not None:
            try:
                self._file.checkpoint_if_due()
            except sqlite3.Error:
                self._abandon()

    def _writable(self) -> SpoolFile:
        if self._file is None:
            now = time.monotonic()
            if now < self._reopen_at:
                raise SpoolError("the spool cannot be written; a new file is opened soon")
            self._reopen_at = now + REOPEN_SECONDS
            self._file = SpoolFile.create(self.directory)
        return self._file

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.abandon()
            self._file = None

    def _settle(self, group: list[_Waiting], error: SpoolError | None, seconds: float) -> None:
        for entry, future in group:
            self._pending_entries -= 1
            self._pending_bytes -= entry.size
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
        if error is None and self._on_commit is not None:
            self._on_commit(len(group), seconds)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _is_harmless(error: Exception) -> bool:
    """Whether a file may be used again: nothing was flushed, so no flush can have failed."""
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
