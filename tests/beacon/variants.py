"""Runs the beacon as a process: as it ships, or changed on purpose.

Usage: python variants.py HOME PORT WORKERS VARIANT[,VARIANT...]
"""

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from beacon import connection, server, spool, spool_file, wire
from beacon.message import Message
from schemas.home import Home

SLOW_SECONDS = 0.1
SMALL_CHECKPOINT = 400_000


def slow_commit() -> None:
    """Stretches the moment between a request's arrival and its commit."""
    commit = spool_file.SpoolFile.commit

    def slowly(self: spool_file.SpoolFile, entries: Sequence[spool_file.Entry]) -> None:
        time.sleep(SLOW_SECONDS)
        commit(self, entries)

    spool_file.SpoolFile.commit = slowly  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """Broken: the same slow commit, but nobody waits for it."""
    slow_commit()
    add = spool.Spool.add

    def eagerly(self: spool.Spool, entry: spool_file.Entry, on_done: spool.OnDone) -> None:
        add(self, entry, lambda _: None)
        on_done(None)

    spool.Spool.add = eagerly  # type: ignore[method-assign]


def small_checkpoints() -> None:
    """Moves the log into the database dozens of times in a short run, all rows left plain."""
    spool_file.CHECKPOINT_BYTES = SMALL_CHECKPOINT
    spool_file.join = lambda rows: b"[%b]" % b",".join(row[1:-1] for row in rows)  # type: ignore[attr-defined]


def no_flush() -> None:
    """Broken: SQLite is told not to flush."""
    connect = spool_file._connect

    def carelessly(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    spool_file._connect = carelessly


def no_directory_flush() -> None:
    """Broken: the names of a new file and of its log are left to SQLite."""
    for module in (spool, spool_file):
        module.flush_names = lambda directory: None  # type: ignore[attr-defined]


def keep_the_file() -> None:
    """Broken: after a failed flush the same file goes on."""
    spool._is_harmless = lambda error: True
    checkpoint = spool_file.SpoolFile.checkpoint_if_due

    def quietly(self: spool_file.SpoolFile) -> None:
        with contextlib.suppress(sqlite3.Error):
            checkpoint(self)

    spool_file.SpoolFile.checkpoint_if_due = quietly  # type: ignore[method-assign]


def keep_after_chunked() -> None:
    """Broken: the connection goes on after a request whose end proxies may see elsewhere."""
    begin = wire.Request.__init__

    def forget(self: wire.Request, message: Message) -> None:
        begin(self, message)
        self.is_last = False

    wire.Request.__init__ = forget  # type: ignore[method-assign]


def abandon_at_once() -> None:
    """Broken: a file that cannot be trusted is left to others as it is."""
    spool_file.SpoolFile.abandon = lambda self: spool_file._abandoned.append(  # type: ignore[method-assign]
        self._connection
    )


def patient() -> None:
    """Broken: waits ten minutes for a header or a body."""
    connection.HEAD_SECONDS = 600.0
    wire.BODY_SECONDS = 600.0


VARIANTS: dict[str, Callable[[], None]] = {
    "shipped": lambda: None,
    "slow_commit": slow_commit,
    "ack_before_commit": ack_before_commit,
    "small_checkpoints": small_checkpoints,
    "no_flush": no_flush,
    "no_directory_flush": no_directory_flush,
    "keep_the_file": keep_the_file,
    "abandon_at_once": abandon_at_once,
    "keep_after_chunked": keep_after_chunked,
    "patient": patient,
}

if __name__ == "__main__":
    home, port, workers, variants = sys.argv[1:]
    for variant in variants.split(","):
        VARIANTS[variant]()
    server.serve(Home(home), host="127.0.0.1", port=int(port), workers=int(workers))
