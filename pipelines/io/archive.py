"""Archiving: messages of Pub/Sub into the lake, for good before they are acked.

A chunk of messages is pulled and held, its events are written to the lake as files that are
flushed and named, and only then are the messages acked. Whatever ends the process in between,
Pub/Sub delivers again: events are written twice, which the flow removes by id, never lost.
What cannot be read goes to quarantine, as durably, and is acked too: poison never comes back.
"""

import collections
import concurrent.futures
import functools
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from google.api_core import exceptions

from pipelines.io.deliveries import Chunk, Source, check_subscription, full_name, sources_of
from pipelines.io.drain import Drained, write_events
from pipelines.io.quarantine import write_rejects
from pipelines.io.revisions import HiddenSchemaError, Revisions
from pipelines.io.subscription import Subscription
from schemas.durable import DurableFolder
from schemas.errors import PinSphereError, PubSubError, SettingsError
from schemas.home import Home
from schemas.lock import together
from schemas.pubsub import one_line
from schemas.settings import Settings

if TYPE_CHECKING:
    from google.pubsub_v1.types import ReceivedMessage

# A chunk ends when it holds so much, and may grow by one pull beyond. Several subscriptions
# share the bounds. Messages of ours have 256 KiB at most.
CHUNK_EVENTS = 50_000
CHUNK_BYTES = 16 * 1024 * 1024
PULL_MESSAGES = 64
GATHER_SECONDS = 10.0
# Pub/Sub may answer "nothing" while it still has something: believe it the second time.
IDLE_PULLS = 2
PATIENCE_SECONDS = 20.0
_FIRST_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 15.0
Tell = Callable[[str], object]
_Done = TypeVar("_Done")


def archive(
    home: Home,
    settings: Settings,
    *,
    subscription: str | None = None,
    until_idle: bool = False,
    stop: threading.Event | None = None,
    tell: Tell = lambda _: None,
) -> Drained:
    """Drains the subscriptions of the settings into the lake, all at the same time.

    Nothing is pulled before the disk has shown that it has room for a chunk. As a service it
    outlives outages of Pub/Sub and full disks: it holds what it has, renews the leases and tries
    again. Until idle it ends when nothing comes any more, or only what
    was published after it began.

    Args:
      home: where lake and quarantine lie.
      settings: `[pubsub]`, and of each site `shopify_subscription`.
      subscription: another one to drain instead, such as that of the dead letters.
      until_idle: end when all is drained; without it only `stop` ends it.
      stop: once set, what is held is written and acked, and that is the end.
      tell: hears of each failure that is tried again.

    Raises:
      SettingsError: the settings name no subscription.
      UsageError: `subscription` cannot be the name of one.
      PubSubError: a subscription is not there, or Pub/Sub refuses us; until idle also when it
        does not answer for long. The other subscriptions are drained first.
      OSError: the disk refused, and it is until idle or `stop` is set. Nothing was acked: the
        messages come again.
    """
    known = sources_of(settings)
    sources = known if subscription is None else [_other(settings, subscription, known)]
    if not sources:
        raise SettingsError(
            "pinsphere.toml names no subscription: it needs a section [pubsub] with"
            ' project = "your-project", or shopify_subscription in a site'
        )
    halt = threading.Event()
    revisions = Revisions(settings)
    drains = [
        _Drain(
            home,
            source.subscription,
            functools.partial(Chunk, source, known, revisions),
            halt=halt,
            tell=tell,
            until_idle=until_idle,
            share=len(sources),
        )
        for source in sources
    ]
    with concurrent.futures.ThreadPoolExecutor(len(drains)) as pool:
        futures = [pool.submit(drain.run) for drain in drains]
        try:
            _watch(futures, halt, stop, until_idle=until_idle)
        finally:
            halt.set()
    _raise_first([error for future in futures if (error := future.exception()) is not None])
    drained = Drained()
    for drain in drains:
        drained.add(drain.drained)
    return drained


def _other(settings: Settings, subscription: str, known: Sequence[Source]) -> Source:
    check_subscription(subscription)
    name = full_name(settings, subscription)
    return next((each for each in known if each.subscription == name), Source(name))


def _watch(
    futures: Sequence[concurrent.futures.Future[None]],
    halt: threading.Event,
    stop: threading.Event | None,
    *,
    until_idle: bool,
) -> None:
    """Waits for all drains, and halts them when told to, or when a service has lost one."""
    pending = set(futures)
    while pending:
        done, pending = concurrent.futures.wait(
            pending, timeout=_LOOK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
        )
        # A service of which one part cannot work must not look alive.
        is_broken = not until_idle and any(future.exception() for future in done)
        if is_broken or (stop is not None and stop.is_set()):
            halt.set()


def _raise_first(failures: Sequence[BaseException]) -> None:
    if len(failures) > 1 and all(isinstance(error, PinSphereError) for error in failures):
        raise type(failures[0])("; ".join(dict.fromkeys(map(str, failures))))
    for error in failures:
        raise error


class _Drain:
    """Drains one subscription."""

    def __init__(
        self,
        home: Home,
        subscription: str,
        new_chunk: Callable[[], Chunk],
        *,
        halt: threading.Event,
        tell: Tell,
        until_idle: bool,
        share: int,
    ) -> None:
        self.drained = Drained()
        self._home = home
        self._subscription = subscription
        self._new_chunk = new_chunk
        self._halt = halt
        self._tell = tell
        self._until_idle = until_idle
        self._share = share
        self._empty_pulls = 0
        self._unread: collections.deque[ReceivedMessage] = collections.deque()

    def run(self) -> None:
        """Gathers and settles chunks, as `archive` says."""
        begin_ms = time.time_ns() // 1_000_000
        outage = _Outage(self._halt, self._tell, until_idle=self._until_idle)
        self._on_disk(functools.partial(_probe, self._home, self._subscription), "pulled")
        with Subscription(self._subscription).open() as subscription:
            while not self._halt.is_set():
                chunk = self._new_chunk()
                try:
                    self._gather(subscription, chunk)
                except exceptions.GoogleAPIError as error:
                    reason = f"{self._subscription}: {one_line(error)}"
                    outage.wait(f"Pub/Sub does not answer: {reason}")
                except HiddenSchemaError as error:
                    outage.wait(f"{self._subscription}, nothing is acked: {error}")
                else:
                    outage.end()
                if chunk.ack_ids:
                    self._settle(subscription, chunk)
                is_new = chunk.oldest_ms > begin_ms and not self._unread
                if self._until_idle and (self._empty_pulls >= IDLE_PULLS or is_new):
                    break

    def _gather(self, subscription: Subscription, chunk: Chunk) -> None:
        """Pulls until the chunk is full, some seconds have passed, or nothing comes."""
        deadline = time.monotonic() + GATHER_SECONDS
        while not self._halt.is_set():
            if not self._unread:
                self._unread.extend(subscription.pull(PULL_MESSAGES))
                self._empty_pulls = 0 if self._unread else self._empty_pulls + 1
            while self._unread:
                chunk.add(self._unread[0])  # stays the first when it cannot be read now
                self._unread.popleft()
            if (
                self._empty_pulls >= (1 if chunk.ack_ids else IDLE_PULLS)
                or len(chunk.events) + len(chunk.rejects) >= CHUNK_EVENTS // self._share
                or chunk.size >= CHUNK_BYTES // self._share
                or time.monotonic() >= deadline
            ):
                return

    def _settle(self, subscription: Subscription, chunk: Chunk) -> None:
        """Makes a chunk durable, and then acks it."""
        files = self._on_disk(functools.partial(write_chunk, self._home, chunk), "acked")
        try:
            subscription.ack(chunk.ack_ids)
        except exceptions.GoogleAPIError as error:
            self._tell(f"written, but not acked; it comes again: {one_line(error)}")
        self.drained.add(Drained(len(chunk.events), len(chunk.rejects), files))

    def _on_disk(self, write: Callable[[], _Done], waits: str) -> _Done:
        """Writes; a service tries again until the disk takes it."""
        disk = _Outage(self._halt, self._tell, until_idle=self._until_idle)
        while True:
            try:
                done = write()
            except OSError as error:
                if self._until_idle or self._halt.is_set():
                    raise
                disk.wait(f"nothing is {waits}: {error}")
            else:
                disk.end()
                return done


def _probe(home: Home, subscription: str) -> None:
    """Shows that the lake's disk takes a chunk, before anything is pulled.

    What is pulled and not acked counts as a delivery, of which a message has but a hundred.

    Raises:
      OSError: the disk refused.
    """
    path = home.lake / f".probe-{subscription.rpartition('/')[2]}"
    with DurableFolder(home.lake) as folder:
        try:
            folder.place(path, _reserve)
        finally:
            path.unlink(missing_ok=True)


def _reserve(file: BinaryIO) -> None:
    os.posix_fallocate(file.fileno(), 0, CHUNK_BYTES)


def write_chunk(home: Home, chunk: Chunk) -> int:
    """Makes all that a chunk holds durable, in lake and quarantine; the count of lake files.

    Raises:
      OSError: the disk refused.
    """
    files = write_events(home, chunk.events, chunk.name)
    with together(home.lake_lock), DurableFolder(home.quarantine) as folder:
        for name, body in chunk.bodies.items():
            folder.place(home.quarantine / "messages" / name, functools.partial(_write, body))
    if chunk.rejects:
        write_rejects(home, chunk.rejects, chunk.name)
    return len(files)


def _write(body: bytes, file: BinaryIO) -> None:
    file.write(body)


class _Outage:
    """Something that fails for a while: told when it begins and ends, and waited out."""

    def __init__(self, halt: threading.Event, tell: Tell, *, until_idle: bool) -> None:
        self._halt = halt
        self._tell = tell
        self._patience_seconds = PATIENCE_SECONDS if until_idle else float("inf")
        self._began_at: float | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def wait(self, reason: str) -> None:
        """Waits a while before the next try.

        Raises:
          PubSubError: patience has run out.
        """
        if self._began_at is None:
            self._began_at = time.monotonic()
            self._tell(f"{reason}; trying again")
        elif time.monotonic() - self._began_at > self._patience_seconds:
            raise PubSubError(f"{reason}; given up after {self._patience_seconds:.0f} s")
        self._halt.wait(self._pause_seconds)
        self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)

    def end(self) -> None:
        """Tells that it is over, if it was."""
        if self._began_at is not None:
            self._tell(f"going on, after {time.monotonic() - self._began_at:.0f} s")
        self._began_at = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
