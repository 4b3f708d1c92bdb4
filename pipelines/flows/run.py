"""`pinsphere run`: spool to lake, lake to results, results to published tables."""

import contextlib
import os
import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine

from pipelines.flows.attribute import update
from pipelines.flows.options import check_options
from pipelines.flows.plan import Plan, plan_run
from pipelines.flows.record import as_json, new_record
from pipelines.io.database import open_database, upgrade_database
from pipelines.io.drain import Drained, drain_spool
from pipelines.io.erasures import count_waiting
from pipelines.io.items import items_digests, keep_items
from pipelines.io.ledger import has_ledger, settle_ledger
from pipelines.io.ledger_months import LEDGER
from pipelines.io.publish import publish, tidy
from pipelines.io.quarantine import QUARANTINE
from pipelines.io.retention import remove_expired
from pipelines.io.runs import (
    PublishedRun,
    latest_run,
    noted_attempt,
    only_publisher,
    shown_run,
)
from pipelines.io.staging import ResultFile
from pipelines.io.state import (
    Input,
    State,
    Step,
    find_state,
    forget_states,
    look_at,
    new_folder,
    save_state,
)
from pipelines.transforms.answers import drop_answers
from schemas.errors import AuditError, BusyError, LakeError, PubSubError
from schemas.home import Home
from schemas.lock import only_one
from schemas.settings import Settings

Progress = Callable[[str], object]
# Credits beyond which the ledger stays in the lake alone, unless the settings say otherwise.
_MOST_CREDITS = 5_000_000


class RunReport(NamedTuple):
    """What a run did."""

    run_id: str
    is_new: bool
    drained: int
    events: int  # in the whole input
    unknown_sites: list[str]
    rows: dict[str, int]  # written, by table
    rows_taken_back: dict[str, int]
    expired: dict[str, int]
    erasures_waiting: int
    is_full: bool = False
    events_read: int = 0  # by this run
    seconds: float = 0.0
    peak_memory_mb: float = 0.0


def run(
    home: Home,
    *,
    options: Sequence[str] = (),
    shards: int | None = None,
    is_full: bool = False,
    code_version: str,
    progress: Progress = lambda _: None,
    stop: threading.Event | None = None,
) -> RunReport:
    """Brings the tables up to date with everything that has come in.

    A run is a function of the lake, the quarantine, the settings and the code: when that run
    is the published one already, nothing is written but that it was tried. It computes only what
    changed since the newest published run, if the state of that one is there.

    Args:
      home: the home directory.
      options: Beam options to pass through.
      shards: cuts of the work, rounded up to a power of two; by default by size.
      is_full: compute everything, whatever is there.
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
    with (
        only_one(home.path / "run.lock", "run"),
        open_upgraded(home) as engine,
        only_publisher(engine),
        noted_attempt(engine),
        _scratch(home) as scratch,
    ):
        progress("Draining")
        events_drained, unread = 0, None
        try:
            events_drained = drain(home, settings, stop).events
        except (LakeError, BusyError, PubSubError) as error:
            unread = error  # told at the end: one bad spool file keeps nothing else away
        progress("Reading the lake")
        expired, waiting = remove_expired(home, settings), count_waiting(home)
        with engine.connect() as connection:
            newest, shown = latest_run(connection), shown_run(connection)
        settle_ledger(engine, home.ledger)
        # Without its ledger a run cannot be continued either.
        can_go_on = newest is not None and has_ledger(home.ledger, newest)
        last = find_state(home, newest.run_id if newest and can_go_on else None)
        forget_states(home, but=last)
        inputs = look_at(home, last.sources if last and not is_full else ())
        items = keep_items(home, settings.sites, scratch)
        record = new_record(inputs, settings, items_digests(items), code_version)
        report = RunReport(
            run_id=record["run_id"],
            is_new=is_full
            or shown is None
            or record["run_id"] != shown.run_id
            or not has_ledger(home.ledger, shown),
            drained=events_drained,
            events=record["events"],
            unknown_sites=_unknown_sites(inputs, settings),
            rows={},
            rows_taken_back={},
            expired=expired,
            erasures_waiting=waiting,
        )
        if report.is_new:
            keeps_nothing = settings.shuffle == "runner"
            state = None if is_full or keeps_nothing else _continued(last, record)
            with (
                _forgotten_if_it_fails(home, state),
                new_folder(home, report.run_id) as folder,
            ):
                plan = plan_run(inputs, settings, folder, state, shards)
                work = plan.work._replace(items=items)
                progress("Attributing")
                results = update(work, settings, folder, scratch / "results", options=options)
                report = _counted(report, plan, results)
                left = None
                if not keeps_nothing:
                    left = _state_after(plan, state, record, folder)
                    save_state(left)
                progress("Publishing")
                record |= {
                    "continues": state.run_id if state else None,
                    "ledger": _ledger(settings, newest if state else None, report.rows),
                    "counts": as_json(
                        {"rows": report.rows, "rows_taken_back": report.rows_taken_back}
                    ),
                    "rows": sum(report.rows.values()),
                    "duration_seconds": time.monotonic() - begin,
                    "peak_memory_mb": peak_memory_mb(),
                    "started_at": started_at,
                }
                publish(engine, record, results, ledger=home.ledger)
            forget_states(home, but=left)
            drop_answers(step.folder for step in (left.steps[:-1] if left else ()))
            try:
                tidy(engine, home.ledger, settings.keep_runs)
            except OSError as error:
                raise LakeError(
                    f"run {report.run_id} is published, but tidying up after it failed: {error};"
                    " the next run does it"
                ) from None
    if unread is not None:
        raise type(unread)(f"{unread}. All else is published as run {report.run_id}")
    return report._replace(seconds=time.monotonic() - begin, peak_memory_mb=peak_memory_mb())


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


def _unknown_sites(inputs: Sequence[Input], settings: Settings) -> list[str]:
    lake = {each.file.site_id for each in inputs if each.file.event_name != QUARANTINE}
    return sorted(lake - set(settings.sites))


def _continued(last: State | None, record: dict[str, Any]) -> State | None:
    """The state of the last run if this one can continue it."""
    if last is None or last.is_worn:
        return None
    is_alike = (
        last.settings_digest == record["settings_digest"]
        and last.code_version == record["code_version"]
    )
    return last if is_alike else None


def _state_after(plan: Plan, state: State | None, record: dict[str, Any], folder: Path) -> State:
    return State(
        run_id=record["run_id"],
        code_version=record["code_version"],
        settings_digest=record["settings_digest"],
        steps=(
            *(state.steps if state else ()),
            Step(os.fspath(folder), dict(plan.work.shards), plan.rows_read),
        ),
        sources=plan.sources,
    )


def _ledger(settings: Settings, continued: PublishedRun | None, rows: dict[str, int]) -> str:
    """Where the credits go: with those of the run that is continued, else by their number."""
    if continued is not None:
        return continued.ledger
    if settings.ledger == "auto":
        return "sql" if rows.get(LEDGER, 0) < _MOST_CREDITS else "lake"
    return settings.ledger


def _counted(report: RunReport, plan: Plan, results: Sequence[ResultFile]) -> RunReport:
    rows: Counter[str] = Counter()
    rows_taken_back: Counter[str] = Counter()
    for result in results:
        (rows_taken_back if result.is_removal else rows)[result.table] += result.rows
    return report._replace(
        is_full=not plan.work.earlier,
        events_read=plan.rows_read,
        rows=dict(rows),
        rows_taken_back=dict(rows_taken_back),
    )


@contextlib.contextmanager
def open_upgraded(home: Home) -> Iterator[Engine]:
    """The home's database, brought to this release; closed when the block ends."""
    engine = open_database(home)
    try:
        upgrade_database(engine)
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _forgotten_if_it_fails(home: Home, state: State | None) -> Iterator[None]:
    """Removes a state that a run could not continue: the next run is then a full one."""
    try:
        yield
    except (AuditError, OSError, RuntimeError, ValueError, LookupError) as error:
        if state is None:
            raise
        forget_states(home, but=None)
        raise AuditError(
            f"could not continue run {state.run_id}, the next run is a full one: {error}"
        ) from error


@contextlib.contextmanager
def _scratch(home: Home) -> Iterator[Path]:
    """A folder for what only this run needs; left-overs of killed runs go first."""
    shutil.rmtree(home.work, ignore_errors=True)
    (home.work / "results").mkdir(parents=True)
    try:
        yield home.work.resolve()
    finally:
        shutil.rmtree(home.work, ignore_errors=True)
