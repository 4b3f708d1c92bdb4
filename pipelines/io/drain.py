"""Draining: the beacon's spool files into the lake, while beacons go on writing.

Each chunk is made durable in the lake first and checkpointed after, so a crash in between
writes rows twice and never loses one; the flow keeps one event of each (site_id, event_id).
The checkpoint lies in the lake: deleting the lake makes the drain start over.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines import progress
from pipelines.io.lake import LakeFile, LakeWriter
from pipelines.io.quarantine import write_rejects
from schemas.errors import BusyError, LakeError
from schemas.events import AnyEvent
from schemas.home import Home
from schemas.lake import to_table
from schemas.settings import Settings
from schemas.spool_reader import (
    SpoolReader,
    open_spool,
    read_checkpoint,
    spool_files,
    write_checkpoint,
)
from schemas.spool_rows import TABLES
from schemas.spool_upkeep import clear_file

CHUNK_BYTES = 16 * 1024 * 1024


@dataclass
class Drained:
    """What one drain moved: events into the lake, rejects into quarantine, lake files made."""

    events: int = 0
    rejects: int = 0
    files: int = 0

    def add(self, other: "Drained") -> None:
        """Adds what another drain moved."""
        self.events += other.events
        self.rejects += other.rejects
        self.files += other.files


def drain_spool(home: Home, settings: Settings, now_ms: int | None = None) -> Drained:
    """Moves everything past the checkpoints from all spool files into the lake.

    Memory is bounded by a chunk of about 50,000 events. Rows that are drained and older than
    `spool_keep_days` are deleted, of any age where room is short (`schemas.spool_upkeep`); except
    the last one, which the checkpoint refers to, while its writer may live.
    With `[pubsub]` set the spool is the forwarder's: nothing is read and nothing deleted.

    Args:
      home: where spool, lake and quarantine lie.
      settings: `spool_keep_days`, `beacon` and `pubsub` are read.
      now_ms: UTC epoch milliseconds that age is measured from; now by default.

    Raises:
      LakeError: a spool file is not a database or damaged; all others were drained first.
      BusyError: a spool file stayed locked for seconds; all others were drained first.
      OSError: the disk refused; the checkpoint stands before what was not written.
    """
    drained = Drained()
    if settings.pubsub is not None:
        return drained
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    failures: list[LakeError | BusyError] = []
    for path in spool_files(home.spool):
        try:
            with open_spool(path) as spool:
                _drain_file(home, spool, drained)
            clear_file(path, checkpoint_file(home, path.stem), settings, now_ms)
        except (LakeError, BusyError) as error:
            failures.append(error)
    if failures:
        raise type(failures[0])("; ".join(map(str, failures)))
    return drained


def _drain_file(home: Home, spool: SpoolReader, drained: Drained) -> None:
    file = checkpoint_file(home, spool.stem)
    done = read_checkpoint(file)
    progress.expect("Draining", spool.backlog(done).rows)
    for table in TABLES:
        while chunk := spool.read(table, done, CHUNK_BYTES):
            files = write_events(home, chunk.events, chunk.name)
            if chunk.rejects:
                write_rejects(home, chunk.rejects, chunk.name)
            done = chunk.done
            write_checkpoint(file, done)
            progress.tick("Draining", chunk.rows, rows=chunk.rows)
            drained.events += len(chunk.events)
            drained.rejects += len(chunk.rejects)
            drained.files += len(files)


def write_events(home: Home, events: Sequence[AnyEvent], name: str) -> list[LakeFile]:
    """Writes events durably into the lake, as `<name>` in the folder of each.

    Raises:
      OSError: the disk refused.
    """
    by_name: defaultdict[str, list[AnyEvent]] = defaultdict(list)
    for event in events:
        by_name[str(type(event).__struct_config__.tag)].append(event)
    with LakeWriter(home) as lake:
        for event_name in sorted(by_name):
            lake.write(event_name, to_table(event_name, by_name[event_name]), name)
    return lake.files


def checkpoint_file(home: Home, stem: str) -> Path:
    """Where it stands how far a spool file is drained."""
    return home.lake / "_checkpoints" / f"{stem}.json"
