"""Batches that quarantine keeps whole, read again once a release can read them.

What decodes now goes to the lake as if it came from Pub/Sub, for good before its file is
removed; killed in between, it is written twice and counted once. The rest stays as it is.
"""

import datetime
from pathlib import Path
from typing import NamedTuple

from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

from pipelines.io.archive import write_chunk
from pipelines.io.deliveries import Chunk, Source
from pipelines.io.drain import Drained
from pipelines.io.revisions import Revisions
from schemas.home import Home
from schemas.settings import Settings


class ReadAgain(NamedTuple):
    """What was moved, and how many bodies still cannot be read."""

    drained: Drained
    left: int


def archive_quarantined(home: Home, settings: Settings) -> ReadAgain:
    """Reads the bodies in `quarantine/messages/` again; the lines about them stay.

    Raises:
      HiddenSchemaError: Pub/Sub does not tell the schemas of earlier releases.
      OSError: the disk refused; the bodies that were not written are all there.
    """
    revisions = Revisions(settings)
    drained, left = Drained(), 0
    for path in sorted((home.quarantine / "messages").glob("[!.]*")):
        chunk = Chunk(_source(path), (), revisions)
        chunk.add(_message(path))
        if chunk.bodies:
            left += 1
            continue
        files = write_chunk(home, chunk)
        path.unlink()  # should it come back after a power cut: it is counted once
        drained.add(Drained(len(chunk.events), len(chunk.rejects), files))
    return ReadAgain(drained, left)


def _source(path: Path) -> Source:
    # The name is the subscription's and the message's: ids come out as they did the first time.
    return Source(path.name.rpartition("-")[0])


def _message(path: Path) -> ReceivedMessage:
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    message_id = path.name.rpartition("-")[2]
    message = PubsubMessage(data=path.read_bytes(), message_id=message_id, publish_time=written)
    return ReceivedMessage(message=message)
