"""The spool: a sender gets her answer only after her events are on the disk.

Requests queue up while one committer thread flushes; the next group starts when the last
flush ends, so a group is as large as the disk is slow, with no timer to tune. The event
loop never waits for the disk. Files are those of `schemas.spool`.
"""

import asyncio
import errno
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from beacon.notices import Trouble
from beacon.spool_file import Entry, SpoolFile, merged
from schemas.durable import flush_names
from schemas.errors import PinSphereError

MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_PENDING_ENTRIES = 8192
REOPEN_SECONDS = 1.0


class SpoolError(PinSphereError):
    """The spool cannot promise durability now. Retryable: the sender must try again."""


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
            self._writable().commit(merged([entry for entry, _, _ in group]))
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
        flush_names(self.directory.parent)  # another worker may have made it just now
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


def _is_harmless(error: Exception) -> bool:
    """Whether a file may be used again: nothing was flushed, so no flush can have failed."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
