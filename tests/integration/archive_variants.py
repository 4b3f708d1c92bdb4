"""Runs `archive` until idle, with a pause before its second step: how it ships, or a control.

    python archive_variants.py HOME (shipped | acks_first) PAUSE_SECONDS

The shipped one writes, pauses and acks; the control acks, pauses and writes. Each says "between"
when the pause begins: that is where to kill it.
"""

import sys
import time
from typing import Any

from pipelines.io import archive as archiving
from pipelines.io import subscription as pulling
from pipelines.io.subscription import Subscription
from schemas.home import Home

write, ack = archiving.write_chunk, Subscription.ack


def main(home: str, variant: str, seconds: str) -> None:
    """Drains in small chunks, so that there is something left after each kill."""

    def pause() -> None:
        print("between", flush=True)
        time.sleep(float(seconds))

    def slow_ack(self: Subscription, ack_ids: list[str]) -> None:
        pause()
        ack(self, ack_ids)

    def acks_first(self: Any, subscription: Subscription, chunk: Any) -> None:
        """Broken: when this is killed in the pause, Pub/Sub has been told that all is done."""
        ack(subscription, chunk.ack_ids)
        pause()
        write(self._home, chunk)

    archiving.CHUNK_EVENTS = 3_000
    archiving.PULL_MESSAGES = 10
    pulling.RENEW_SECONDS = 600  # leases that run out soon after the kill
    if variant == "acks_first":
        archiving._Drain._settle = acks_first  # type: ignore[method-assign]
    else:
        Subscription.ack = slow_ack  # type: ignore[method-assign, assignment]
    drained = archiving.archive(Home(home), Home(home).settings(), until_idle=True)
    print(f"done {drained.events}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
