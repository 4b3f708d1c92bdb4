"""What leaves the spool: rows that are done with, and at last the files of writers that are gone.

A file's writer holds a lock on `<stem>.lock` from before the file appears until it has closed
the file or ended, however it ends. (Not on the file itself: SQLite's own locks on a database go
when its process closes any other handle of it.) Names are never used again, so who gets the
lock knows that nobody will write there. A file without a lock file has no writer either, for that
one makes the lock first and never removes it: it comes out of a backup, which holds no locks.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from schemas.durable import flush_names
from schemas.settings import Settings
from schemas.spool import LOCK_SUFFIX
from schemas.spool_reader import open_spool, read_checkpoint

_DAY_MS = 86_400_000
_ALL_MS = 2**63 - 1


def clear_file(path: Path, checkpoint_file: Path, settings: Settings, now_ms: int) -> None:
    """Deletes what is done with and older than `spool_keep_days`; of any age where room is short.

    The file goes too when nothing else is in it and its writer is gone.

    Raises:
      LakeError: the file cannot be read.
      BusyError: it stayed locked for seconds.
      OSError: the disk refused.
    """
    keep_ms = round(settings.spool_keep_days * _DAY_MS)
    limit_ms = _ALL_MS if is_short_of_room(path.parent, settings) else now_ms - keep_ms
    done = read_checkpoint(checkpoint_file)
    with _lock_of_the_gone(path) as is_gone:
        with open_spool(path) as spool:
            spool.delete_old(done, limit_ms)
            is_over = is_gone and spool.is_over(done, limit_ms)
        if is_over:
            _remove(path, checkpoint_file)


def is_short_of_room(folder: Path, settings: Settings) -> bool:
    """Whether rows that are done with must make room: long before beacons must refuse events.

    That is above half of `spool_max_mb`, or below twice `min_free_percent`.
    """
    limits, usage = settings.beacon, shutil.disk_usage(folder)
    is_large = folder_bytes(folder) * 2 > limits.spool_max_mb * 1_000_000
    return is_large or usage.free * 100 < 2 * limits.min_free_percent * usage.total


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # a log that SQLite removed meanwhile
                total += entry.stat().st_size
    return total


@contextlib.contextmanager
def _lock_of_the_gone(path: Path) -> Iterator[bool]:
    """Whether the writer is known to be gone; another reader waits outside meanwhile."""
    with contextlib.ExitStack() as stack:
        is_gone = True
        lock = os.open(path.with_suffix(LOCK_SUFFIX), os.O_CREAT | os.O_RDWR, 0o600)
        stack.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_gone = False
        yield is_gone


def _remove(path: Path, checkpoint_file: Path) -> None:
    """Removes a file that is over. Whatever stops it half-way, no file is read without its log."""
    path.unlink(missing_ok=True)
    flush_names(path.parent)
    for log in (f"{path}-wal", f"{path}-shm"):
        Path(log).unlink(missing_ok=True)
    checkpoint_file.unlink(missing_ok=True)
    path.with_suffix(LOCK_SUFFIX).unlink(missing_ok=True)
