"""One process at a time: a lock that goes with the process, however it ends."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import BusyError


@contextlib.contextmanager
def only_one(file: Path, what: str) -> Iterator[None]:
    """Holds a lock file until the block ends; `what` names the work in the error.

    Raises:
      BusyError: another process holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another {what} is at work in {file.parent}; wait for it to end"
            ) from None
        yield


@contextlib.contextmanager
def together(file: Path) -> Iterator[None]:
    """Holds a lock file with others of this kind; waits for who holds it `alone`."""
    with _held(file, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Holds a lock file alone; waits for everybody who holds it, and keeps all away."""
    with _held(file, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _held(file: Path, how: int) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield
