"""`pinsphere run`: spool to lake, lake to results, results to published tables."""

import contextlib
import hashlib
import os
import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Engine

from pipelines.flows.attribute import attribute
from pipelines.flows.options import check_options
from pipelines.io.database import open_database, upgrade_database
from pipelines.io.drain import Drained, drain_spool
from pipelines.io.lake import LakeFile, file_digest, lake_digest, lake_files
from pipelines.io.publish import publish, published_run
from schemas.errors import BusyError, LakeError, PubSubError
from schemas.lake import lacking_columns
from schemas.lock import only_one
from schemas.settings import Home, Settings

Progress = Callable[[str], object]


class RunReport(NamedTuple):
    """What a run did."""

    run_id: str
    is_new: bool
    is_full: bool
    drained: int
    events: int
    rows: dict[str, int]
    unknown_sites: list[str]
    seconds: float
    peak_memory_mb: float


def run(
    home: Home,
    *,
    options: Sequence[str] = (),
    shards: int | None = None,
    code_version: str,
    progress: Progress = lambda _: None,
    stop: threading.Event | None = None,
) -> RunReport:
    """Brings the tables up to date with everything that has come in.

    A run is a function of the lake, the quarantine, the settings and the code: when that run
    is the published one already, nothing is written.

    Args:
      home: the home directory.
      options: Beam options to pass through.
      shards: cuts of the work; by default by size.
      code_version: release that runs.
      progress: told the name of each step as it begins.
      stop: once set, a subscription is drained no further.

    Raises:
      SettingsError, LakeError, BusyError, PubSubError: nothing was published; or, when the
        text says so, all but the spool file or the subscription that it names.
      AuditError: an invariant does not hold; nothing was published.
    """
    begin, started_at = time.monotonic(), time.time_ns() // 1_000_000
    options = check_options(options)
    settings = home.settings()
    rows: Counter[str] = Counter()
    with only_one(home.path / "run.lock", "run"), _upgraded_database(home) as engine:
        progress("Draining")
        events_drained, unread = 0, None
        try:
            events_drained = drain(home, settings, stop).events
        except (LakeError, BusyError, PubSubError) as error:
            unread = error  # told at the end: one bad spool file keeps nothing else away
        progress("Reading the lake")
        files = lake_files(home)
        input_digest = _input_digest(home, files)
        settings_digest = _settings_digest(settings)
        text = f"{input_digest}\n{settings_digest}\n{code_version}"
        run_id = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        events = sum(map(_count_rows, files))
        is_new = published_run(engine) != run_id
        if is_new:
            with _scratch(home, run_id) as folder:
                progress("Attributing")
                results = attribute(home, files, settings, folder, options=options, shards=shards)
                for result in results:
                    rows[result.table] += result.rows
                progress("Publishing")
                record = {
                    "run_id": run_id,
                    "code_version": code_version,
                    "input_digest": input_digest,
                    "settings_digest": settings_digest,
                    "events": events,
                    "rows": rows.total(),
                    "duration_seconds": time.monotonic() - begin,
                    "peak_memory_mb": peak_memory_mb(),
                    "started_at": started_at,
                }
                publish(engine, record, results, settings.keep_runs)
    if unread is not None:
        raise type(unread)(f"{unread}. All else is published as run {run_id}")
    return RunReport(
        run_id=run_id,
        is_new=is_new,
        is_full=True,
        drained=events_drained,
        events=events,
        rows=dict(rows),
        unknown_sites=sorted({file.site_id for file in files} - set(settings.sites)),
        seconds=time.monotonic() - begin,
        peak_memory_mb=peak_memory_mb(),
    )


def drain(home: Home, settings: Settings, stop: threading.Event | None = None) -> Drained:
    """Moves what is new into the lake: from the spool, or from Pub/Sub until it is idle.

    With `[pubsub]` the spool is the forwarder's, and its events come by the subscription.
    Shopify's subscriptions are drained either way.

    Raises:
      LakeError, BusyError, PubSubError: a spool file or a subscription could not be drained;
        all others were.
      SettingsError: a subscription is named without its project.
      OSError: the disk refused; nothing is lost.
    """
    drained, failures = Drained(), []
    for part in (_drain_spool, _drain_subscriptions):
        try:
            drained.add(part(home, settings, stop))
        except (LakeError, BusyError, PubSubError) as error:
            failures.append(error)
    if failures:
        raise type(failures[0])("; ".join(map(str, failures)))
    return drained


def _drain_spool(home: Home, settings: Settings, _stop: threading.Event | None) -> Drained:
    return drain_spool(home, settings)  # nothing with `[pubsub]`


def _drain_subscriptions(home: Home, settings: Settings, stop: threading.Event | None) -> Drained:
    shops = [site.shopify_subscription for site in settings.sites.values()]
    if settings.pubsub is None and not any(shops):
        return Drained()
    from pipelines.io.archive import archive  # gRPC: for those who use it

    return archive(home, settings, until_idle=True, stop=stop)


def peak_memory_mb() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _count_rows(file: LakeFile) -> int:
    """Rows of a file of the lake, or a LakeError if it is not what its place says."""
    try:
        metadata = pq.read_metadata(file.path)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{file.path} is no readable Parquet file: {error}") from None
    lacking = lacking_columns(file.event_name, metadata.schema.to_arrow_schema().names)
    if lacking:
        raise LakeError(f"{file.path} lacks columns of {file.event_name}: {', '.join(lacking)}")
    return int(metadata.num_rows)


def _settings_digest(settings: Settings) -> str:
    """Digest of what decides results; keys, origins and limits do not."""
    deciding = {
        name: (
            site.currency,
            site.time_zone,
            site.orders_from,
            site.window_days,
            site.half_life_days,
            site.necessity,
            site.sphere_decay,
        )
        for name, site in sorted(settings.sites.items())
    }
    text = msgspec.json.encode((settings.engine, deciding))
    return hashlib.blake2b(text, digest_size=32).hexdigest()


def _input_digest(home: Home, files: Sequence[LakeFile]) -> str:
    """Digest of all that the flow reads: the lake's files and the quarantine's."""
    digest = hashlib.blake2b(lake_digest(files).encode(), digest_size=32)
    for file in sorted(home.quarantine.glob("site=*/date=*/[!.]*.jsonl")):
        digest.update(f"{file.relative_to(home.quarantine)}\0{file_digest(file)}\n".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _upgraded_database(home: Home) -> Iterator[Engine]:
    engine = open_database(home)
    try:
        upgrade_database(engine)
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _scratch(home: Home, run_id: str) -> Iterator[Path]:
    """A folder for pieces and results, gone afterwards; left-overs of killed runs go first."""
    shutil.rmtree(home.work, ignore_errors=True)
    folder = home.work / f"{run_id}-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder.resolve()
    finally:
        shutil.rmtree(home.work, ignore_errors=True)
