"""Runs the beacon as a process: as it ships, or broken on purpose for the control tests.

Usage: python variants.py HOME PORT WORKERS shipped|slow_commit|ack_before_commit
"""

import asyncio
import sys
import time
from collections.abc import Sequence

from beacon import spool
from beacon.server import serve
from schemas.settings import Home

SLOW_SECONDS = 0.1


def slow_commit() -> None:
    """Stretches the moment between a request's arrival and its commit."""
    commit = spool.SpoolFile.commit

    def slowly(self: spool.SpoolFile, entries: Sequence[spool.Entry]) -> None:
        time.sleep(SLOW_SECONDS)
        commit(self, entries)

    spool.SpoolFile.commit = slowly  # type: ignore[method-assign]


def ack_before_commit() -> None:
    """The broken promise: the same slow commit, but nobody waits for it."""
    slow_commit()
    write = spool.Spool.write

    def eagerly(self: spool.Spool, entry: spool.Entry) -> "asyncio.Future[None]":
        write(self, entry)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    spool.Spool.write = eagerly  # type: ignore[method-assign]


VARIANTS = {
    "shipped": lambda: None,
    "slow_commit": slow_commit,
    "ack_before_commit": ack_before_commit,
}

if __name__ == "__main__":
    home, port, workers, variant = sys.argv[1:]
    VARIANTS[variant]()
    serve(Home(home), host="127.0.0.1", port=int(port), workers=int(workers))
