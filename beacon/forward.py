"""`pinsphere forward`: the beacon's spool to Google Pub/Sub, in a process of its own.

A message is many whole rows of the spool (`schemas.avro`). Its checkpoint is stored after the
server's ack, so a crash in between sends one message twice and never loses one; duplicates go
by event id in the flow. The spool is the only queue: memory holds one message.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beacon.lag import ForwardMetrics
from beacon.publisher import Publisher, pubsub_settings
from beacon.quiet import QuietFiles
from schemas.avro import encode_batch
from schemas.errors import BusyError, LakeError
from schemas.home import Home
from schemas.lock import only_one
from schemas.settings import Settings
from schemas.spool_reader import (
    Chunk,
    SpoolReader,
    open_spool,
    read_checkpoint,
    spool_files,
    write_checkpoint,
)
from schemas.spool_rows import TABLES
from schemas.spool_upkeep import clear_file

# Of the rows' JSON; in Avro they take about half.
MESSAGE_BYTES = 256 * 1024
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
# Deleting keeps beacons from writing for a moment.
SWEEP_SECONDS = 60.0
LOCK = "forward.lock"


@dataclass
class Forwarded:
    """What one forwarder has sent, and Pub/Sub acked."""

    rows: int = 0
    events: int = 0
    rejects: int = 0
    messages: int = 0


def forward(
    home: Home,
    *,
    until_idle: bool = False,
    stop: threading.Event | None = None,
    metrics_host: str = "127.0.0.1",
    metrics_port: int | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Forwarded:
    """Forwards the spool until told to stop; the request in flight is finished first.

    Args:
      home: where spool and checkpoints lie.
      until_idle: end once all that lies there is sent; an outage of a minute is an error then.
      stop: once set, the message on its way is the last.
      metrics_host: address that metrics are served at.
      metrics_port: port of the metrics; without one none are served.
      tell: hears what a user should know while it runs.

    Raises:
      SettingsError: `pinsphere.toml` is missing or wrong, or has no `[pubsub]`.
      BusyError: another forwarder is at work in this home, or the port is taken.
      PubSubError: the topic is missing, permission denied, a message refused.
      LakeError: with `until_idle`: a spool file is damaged; all others were forwarded.
      OSError: the disk refused a checkpoint.
    """
    pubsub = pubsub_settings(home)
    settings = home.settings()
    metrics = ForwardMetrics(home)
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(only_one(home.path / LOCK, "forwarder"))
        if metrics_port is not None:
            stack.enter_context(metrics.serve(metrics_host, metrics_port))
        publisher = Publisher(
            f"projects/{pubsub.project}/topics/{pubsub.topic}",
            stop=stop,
            tell=tell,
            count=metrics.count,
            patience_seconds=PATIENCE_SECONDS if until_idle else float("inf"),
        )
        stack.callback(publisher.close)
        forwarder = Forwarder(
            home, publisher, metrics=metrics, stop=stop, tell=tell, settings=settings
        )
        forwarder.run(until_idle=until_idle)
        return forwarder.forwarded


class Forwarder:
    """Goes round the spool files of a home directory, one message a table and round."""

    def __init__(
        self,
        home: Home,
        publisher: Publisher,
        *,
        metrics: ForwardMetrics,
        stop: threading.Event,
        tell: Callable[[str], object],
        settings: Settings,
    ) -> None:
        self.forwarded = Forwarded()
        self._home = home
        self._publisher = publisher
        self._metrics = metrics
        self._stop = stop
        self._tell = tell
        self._settings = settings
        self._quiet = QuietFiles()
        self._sweep_at = float("-inf")
        self._failures: dict[Path, LakeError | BusyError] = {}

    def run(self, *, until_idle: bool) -> None:
        """Goes round until told to stop; as `forward` says."""
        while not self._stop.is_set():
            is_behind = self._go_round()
            is_over = until_idle and not is_behind
            if is_over or time.monotonic() >= self._sweep_at:
                self._delete_old()
                self._sweep_at = time.monotonic() + SWEEP_SECONDS
            if is_over:
                break
            if not is_behind:
                self._stop.wait(POLL_SECONDS)
        if until_idle and self._failures:
            failures = list(self._failures.values())
            raise type(failures[0])("; ".join(map(str, failures)))

    def _go_round(self) -> bool:
        """Sends the next messages of each file; says whether more is waiting."""
        is_behind = False
        paths = spool_files(self._home.spool)
        self._quiet.keep(paths)
        for path in paths:
            if self._stop.is_set():
                return False
            stamp = self._quiet.stamp(path)
            if self._quiet.is_quiet(path, stamp):
                continue
            try:
                with open_spool(path) as spool:
                    has_more = self._send_next(spool)
            except (LakeError, BusyError) as error:
                if str(error) != str(self._failures.get(path)):
                    self._tell(str(error))
                self._failures[path] = error
            else:
                self._failures.pop(path, None)
                is_behind |= has_more
                if not has_more and not self._stop.is_set():
                    self._quiet.note(path, stamp)
        return is_behind

    def _send_next(self, spool: SpoolReader) -> bool:
        """Sends one message of each table; says whether more is waiting."""
        checkpoint_file = self._checkpoint_file(spool.stem)
        done = read_checkpoint(checkpoint_file)
        is_behind = False
        for table in TABLES:
            chunk = spool.read(table, done, MESSAGE_BYTES)
            if chunk is None:
                continue
            if not self._send(chunk, checkpoint_file):
                return False
            done = chunk.done
            is_behind |= not chunk.is_last
        return is_behind

    def _delete_old(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        for path in spool_files(self._home.spool):
            # A file that cannot be read is told of by who sends from it.
            with contextlib.suppress(LakeError, BusyError):
                clear_file(path, self._checkpoint_file(path.stem), self._settings, now_ms)

    def _checkpoint_file(self, stem: str) -> Path:
        return self._home.forwarded / f"{stem}.json"

    def _send(self, chunk: Chunk, checkpoint_file: Path) -> bool:
        """Publishes, then stores the checkpoint; False when told to stop before the ack."""
        data = encode_batch(chunk.events, chunk.rejects)
        if not self._publisher.publish(data, rows=chunk.name):
            return False
        write_checkpoint(checkpoint_file, chunk.done)
        self.forwarded.rows += chunk.rows
        self.forwarded.events += len(chunk.events)
        self.forwarded.rejects += len(chunk.rejects)
        self.forwarded.messages += 1
        self._metrics.rows.inc(chunk.rows)
        self._metrics.events.inc(len(chunk.events))
        self._metrics.bytes.inc(len(data))
        return True
