"""`pinsphere erase`: afterwards no file and no table holds the ids, and the sums stand.

What is looked for is written down first (`erasing.json`, gone at the end) and each step may be
done again, so an erasure that was killed is completed by the next call, whatever it asks for.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from pipelines.flows.run import drain, open_upgraded, run
from pipelines.io.drain import checkpoint_file
from pipelines.io.erased import remember_erased
from pipelines.io.erasures import Kind, Subject, forget_earlier, waiting_erasures
from pipelines.io.forget import Counts, rewrite_lake, rewrite_quarantine, rewrite_spool, sweep
from pipelines.io.lake import lake_files
from pipelines.io.runs import only_publisher
from pipelines.io.state import forget_states
from pipelines.io.traces import VISITOR_PERSON, Traces, trace
from schemas.durable import DurableFolder
from schemas.errors import LakeError, UsageError
from schemas.home import Home
from schemas.ids import new_event_id
from schemas.lock import alone, only_one
from schemas.settings import Settings
from schemas.spool_reader import read_checkpoint, spool_files

Progress = Callable[[str], object]


class Erasure(msgspec.Struct):
    """An erasure at work, and in the end what it did.

    Attributes:
      subjects: who is erased.
      erased_at: UTC epoch milliseconds; what happened until then loses its names.
      traces: what is looked for, by site.
      counts: what was done to how many files, events and bytes.
    """

    subjects: list[Subject] = []
    erased_at: int = 0
    traces: dict[str, Traces] = {}
    counts: dict[str, int] = {}


def subjects_of(
    home: Home,
    *,
    site: str | None,
    visitor: str | None,
    customer: str | None,
    request_id: str | None = None,
) -> list[Subject]:
    """Who is meant on the command line; nobody where nothing is said.

    Raises:
      UsageError: no site, or one that neither the settings nor the lake know; an empty id.
    """
    names: list[tuple[Kind, str | None]] = [("visitor", visitor), ("customer", customer)]
    named = [(kind, name) for kind, name in names if name is not None]
    if not named:
        return []
    if site is None or not all(name for _, name in named):
        raise UsageError("erase takes --site SITE, and --visitor ID or --customer ID")
    if customer is not None and customer.startswith(VISITOR_PERSON):
        raise UsageError(
            f"{customer!r} is a device, as the tables show it: --visitor"
            f" {customer.removeprefix(VISITOR_PERSON)}"
        )
    if not any(file.site_id == site for file in lake_files(home)):
        home.settings().site(site)
    request_id = request_id or new_event_id()
    now_ms = time.time_ns() // 1_000_000
    return [Subject(site, kind, name, request_id, now_ms) for kind, name in named]


def erase(
    home: Home,
    subjects: Sequence[Subject] = (),
    *,
    is_requested: bool = False,
    code_version: str,
    progress: Progress = lambda _: None,
) -> Erasure:
    """Erases people, and whatever an erasure that was cut off has left to do.

    Args:
      home: the home directory; no run may be at work there, beacons may.
      subjects: who.
      is_requested: all whose requests wait in the lake, too.
      code_version: release that runs.
      progress: told the name of each step as it begins.

    Raises:
      BusyError: a run is at work, or somebody holds a file; the same call completes it later.
      LakeError, PubSubError, AuditError, OSError: as `run`; likewise.
    """
    settings = home.settings()
    with only_one(home.path / "run.lock", "run"):
        progress("Draining")
        drain(home, settings)
        progress("Looking for traces")
        work = _unfinished(home)
        work.subjects += [each for each in subjects if each not in work.subjects]
        if is_requested:
            work.subjects += [
                each for each in waiting_erasures(lake_files(home)) if each not in work.subjects
            ]
        if not work.subjects:
            return work
        # Nobody may write meanwhile: what came after the look would not be known as hers.
        with alone(home.lake_lock):
            _look(home, work)
            _write(home, work)
            progress("Rewriting files")
            counts = _rewrite_files(home, work)
        counts += _rewrite_rest(home, settings, work)
        # A second try finds what the first has left: together they tell what was done.
        work.counts = dict(counts + Counter(work.counts))
        _write(home, work)
    # In full, even if nothing of hers was found: the state and the ledger are gone.
    run(home, is_full=True, code_version=code_version, progress=progress)
    with (
        only_one(home.path / "run.lock", "run"),
        open_upgraded(home) as engine,
        only_publisher(engine),
    ):
        progress("Giving room back")
        forget_earlier(engine, _proofs(work))
        with DurableFolder(home.path) as folder:
            folder.remove(home.erasing)
    return work


def _unfinished(home: Home) -> Erasure:
    try:
        return msgspec.json.decode(home.erasing.read_bytes(), type=Erasure)
    except FileNotFoundError:
        return Erasure()
    except (msgspec.DecodeError, UnicodeError) as error:
        raise LakeError(
            f"{home.erasing} is damaged: {error}; remove it and erase the same people again"
        ) from None


def _write(home: Home, work: Erasure) -> None:
    content = msgspec.json.encode(work)
    with DurableFolder(home.path) as folder:
        folder.place(home.erasing, lambda file: file.write(content))


def _look(home: Home, work: Erasure) -> None:
    """Adds to what is looked for all that the lake knows now; names once found stay."""
    work.erased_at = time.time_ns() // 1_000_000
    files = lake_files(home)
    for site_id in sorted({subject.site_id for subject in work.subjects}):
        mine = [subject for subject in work.subjects if subject.site_id == site_id]
        found = trace(
            [file for file in files if file.site_id == site_id],
            customers={each.name for each in mine if each.kind == "customer"},
            visitors={each.name for each in mine if each.kind == "visitor"},
        )
        work.traces.setdefault(site_id, Traces()).add(found)


def _rewrite_files(home: Home, work: Erasure) -> Counts:
    # First of all: who writes from now on leaves these names out.
    remember_erased(
        home,
        {
            site_id: {
                "visitor_id": left.visitors,
                "customer_id": left.customers,
                "email_sha256": left.emails,
            }
            for site_id, left in work.traces.items()
        },
        work.erased_at,
    )
    sweep(home)
    return rewrite_lake(home, work.traces) + rewrite_quarantine(home, work.traces)


def _rewrite_rest(home: Home, settings: Settings, work: Erasure) -> Counts:
    counts = Counts()
    for path in spool_files(home.spool):
        forwarded = home.forwarded / f"{path.stem}.json"
        file = checkpoint_file(home, path.stem) if settings.pubsub is None else forwarded
        counts += rewrite_spool(path, read_checkpoint(file), work.traces)
    forget_states(home, but=None)
    with DurableFolder(home.path) as folder:
        for path in (home.work, home.state, home.ledger):
            folder.remove(path)
    return counts


def _proofs(work: Erasure) -> list[dict[str, object]]:
    counts = msgspec.json.encode({**work.counts, "requests": len(work.subjects)}).decode()
    proofs = {
        (subject.site_id, subject.request_id, subject.kind): {
            "site_id": subject.site_id,
            "request_id": subject.request_id,
            "kind": subject.kind,
            "requested_at": subject.requested_at,
            "erased_at": work.erased_at,
            "counts": counts,
        }
        for subject in work.subjects
    }
    return list(proofs.values())
