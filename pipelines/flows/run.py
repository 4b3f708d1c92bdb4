"""`pinsphere run`: spool to lake, lake to results, results to published tables."""

import contextlib
import fcntl
import hashlib
import os
import resource
import shutil
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
from pipelines.io.drain import drain_spool
from pipelines.io.lake import LakeFile, file_digest, lake_digest, lake_files
from pipelines.io.publish import publish, published_run
from schemas.errors import BusyError, LakeError
from schemas.lake import lake_schema
from schemas.settings import Home, Settings

Progress = Callable[[str], object]


class RunReport(NamedTuple):
    """What a run did."""

    run_id: str
    is_new: bool
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

    Raises:
      SettingsError, LakeError, BusyError: nothing was published; or, when the text says so,
        all but the spool file that it names.
      AuditError: an invariant does not hold; nothing was published.
    """
    begin, started_at = time.monotonic(), time.time_ns() // 1_000_000
    options = check_options(options)
    settings = home.settings()
    rows: Counter[str] = Counter()
    with _only_run(home), _upgraded_database(home) as engine:
        progress("Draining the spool")
        events_drained, unread = 0, None
        try:
            events_drained = drain_spool(home, settings).events
        except (LakeError, BusyError) as error:
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
        drained=events_drained,
        events=events,
        rows=dict(rows),
        unknown_sites=sorted({file.site_id for file in files} - set(settings.sites)),
        seconds=time.monotonic() - begin,
        peak_memory_mb=peak_memory_mb(),
    )


def peak_memory_mb() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _count_rows(file: LakeFile) -> int:
    """Rows of a file of the lake, or a LakeError if it is not what its place says."""
    try:
        metadata = pq.read_metadata(file.path)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{file.path} is no readable Parquet file: {error}") from None
    lacking = sorted(
        set(lake_schema(file.event_name).names) - set(metadata.schema.to_arrow_schema().names)
    )
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
def _only_run(home: Home) -> Iterator[None]:
    """Keeps a second run out; the lock goes with the process, however it ends."""
    home.path.mkdir(parents=True, exist_ok=True)
    with (home.path / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another run is at work in {home.path}; wait for it to end") from None
        yield


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
