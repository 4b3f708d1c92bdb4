"""Runs the forwarder as a process: as it ships, or broken on purpose for the control tests.

Usage: python forward_variants.py HOME MESSAGE_BYTES shipped|checkpoint_before_ack
It prints "sending" before each message and "acked" after it, before the checkpoint.
"""

import sys
import time
from pathlib import Path

from beacon import forward
from beacon.publisher import Publisher
from pipelines.flows.rounds import stop_signals
from schemas.home import Home
from schemas.spool_reader import Chunk, write_checkpoint

BETWEEN_SECONDS = 0.03  # between ack and checkpoint, where a kill costs a copy


def tell_each_message() -> None:
    """Lets a test kill the process at a moment of its choice."""
    publish = Publisher.publish

    def told(self: Publisher, data: bytes, **attributes: str) -> bool:
        print("sending", flush=True)
        is_acked = publish(self, data, **attributes)
        print("acked", flush=True)
        time.sleep(BETWEEN_SECONDS)
        return is_acked

    Publisher.publish = told  # type: ignore[method-assign]


def tell(line: str) -> None:
    """Where a test's reader finds it."""
    print(line, file=sys.stderr)


def checkpoint_before_ack() -> None:
    """The broken promise: what is on its way counts as sent."""
    send = forward.Forwarder._send

    def hastily(self: forward.Forwarder, chunk: Chunk, checkpoint_file: Path) -> bool:
        write_checkpoint(checkpoint_file, chunk.done)
        return send(self, chunk, checkpoint_file)

    forward.Forwarder._send = hastily  # type: ignore[method-assign]


VARIANTS = {"shipped": lambda: None, "checkpoint_before_ack": checkpoint_before_ack}

if __name__ == "__main__":
    home, message_bytes, variant = sys.argv[1:]
    forward.MESSAGE_BYTES = int(message_bytes)
    tell_each_message()
    VARIANTS[variant]()
    with stop_signals() as stop:
        print(forward.forward(Home(home), stop=stop, tell=tell))
