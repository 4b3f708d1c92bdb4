"""Commands that look after an installation: `doctor`, `alerts`, `db ...`, `lake compact`, `erase`.

`pinsphere.py` shows them; like its own they import what they need when they run.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from command_line import HomePath, quiet_beam, tell

ALARMED = 3  # 1 is a command that failed, 2 one that was misused
db_app = App(name="db", help="Look after the database.")
lake_app = App(name="lake", help="Look after the lake.")


def doctor(
    *,
    beacon: str | None = None,
    metrics_file: Annotated[Path | None, Parameter(env_var="PINSPHERE_METRICS_FILE")] = None,
    clean: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    home: HomePath = None,
) -> None:
    """Look at everything that could be wrong, and say what to do; exit code 1 if anything is.

    Parameters
    ----------
    beacon
        Address of a beacon to call, such as https://pins.shop.example
    metrics_file
        Where runs write their metrics, if not as pinsphere.toml says.
    clean
        First remove what killed processes left behind.
    as_json
        Print one JSON array, for programs.
    """
    from pipelines.flows.doctor import examine, remove_leftovers, show
    from schemas.home import Home

    where = Home(home)
    if clean:
        for path in remove_leftovers(where):
            tell(f"removed {path}")
    findings = list(examine(where, beacon_url=beacon, metrics_file=metrics_file))
    show(findings, as_json=as_json)
    if any(finding.state == "broken" for finding in findings):
        sys.exit(1)


def alerts(
    *,
    site: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    home: HomePath = None,
) -> None:
    """Look for what left its usual course; exit code 3 if anything did, and a webhook is told.

    Parameters
    ----------
    site
        Shop to look at [default: all]
    as_json
        Print one JSON array of what every rule says, for programs.
    """
    from pipelines.flows.alerts import alarms, examine, show, tell_webhook
    from schemas.home import Home

    where = Home(home)
    settings = where.settings()
    verdicts = examine(where, settings, now=time.time(), site=site)
    show(verdicts, as_json=as_json)
    tell_webhook(settings, alarms(verdicts))
    if alarms(verdicts):
        sys.exit(ALARMED)


@db_app.command
def upgrade(*, home: HomePath = None) -> None:
    """Create the tables and views, or bring them to this release."""
    from pipelines.io.database import open_database, upgrade_database
    from schemas.home import Home

    engine = open_database(Home(home))
    upgrade_database(engine)
    print(f"{engine.url.render_as_string()} is up to date")


@db_app.command
def check(*, home: HomePath = None) -> None:
    """Check the published run: money conserved to the micro, sums equal their parts."""
    from pipelines.io.audit import audit, told
    from pipelines.io.database import open_database
    from pipelines.io.runs import shown_run
    from schemas.errors import AuditError
    from schemas.home import Home

    engine = open_database(Home(home), must_exist=True)
    with engine.connect() as connection:
        run = shown_run(connection)
        if run is None:
            print("no run is published yet; make one with: pinsphere run")
            return
        found = audit(connection, run)
    if told(found):
        raise AuditError(f"run {run.run_id}: {'; '.join(told(found, with_ids=True))}")
    for promise in found:
        print(f"holds: {promise}")


@db_app.command
def restore(*, home: HomePath = None) -> None:
    """Bring the run before the published one back.

    The next `pinsphere run` that finds news, or other input than that run's, undoes it.
    """
    from pipelines.io.database import open_database
    from pipelines.io.ledger import settle_ledger
    from pipelines.io.runs import restore_run
    from schemas.home import Home

    where = Home(home)
    engine = open_database(where, must_exist=True)
    run_id = restore_run(engine)
    settle_ledger(engine, where.ledger)
    print(f"published again: {run_id}")


@db_app.command
def vacuum(*, home: HomePath = None) -> None:
    """Forget runs beyond `keep_runs`, and give the room of what is gone back."""
    from pipelines.io.database import open_database
    from pipelines.io.runs import only_publisher
    from pipelines.io.vacuum import vacuum as give_back
    from schemas.home import Home
    from schemas.lock import only_one

    where = Home(home)
    keep = where.settings().keep_runs
    engine = open_database(where, must_exist=True)
    with only_one(where.path / "run.lock", "run"), only_publisher(engine):
        freed = give_back(engine, where.ledger, keep)
    print(f"{max(freed, 0):,} bytes given back")


@db_app.command
def grant(*, role: str, home: HomePath = None) -> None:
    """Let a role of PostgreSQL read every view, and nothing else.

    Parameters
    ----------
    role
        A role that is there. Upgrades keep its rights.
    """
    from pipelines.io.database import open_database
    from pipelines.io.roles import grant_views
    from schemas.home import Home

    engine = open_database(Home(home), must_exist=True)
    print(f"{role} reads {len(grant_views(engine, role))} views")


@lake_app.command
def compact(*, home: HomePath = None) -> None:
    """Merge the lake's small files of each day before today into one; tables stay as they are."""
    from pipelines.io.compact import compact as compact_lake
    from schemas.home import Home
    from schemas.lock import only_one

    where = Home(home)
    with only_one(where.path / "run.lock", "run"):
        done = compact_lake(where)
    print(f"{done.before} files of {done.folders} days are {done.after} now")


def erase(
    *,
    site: str | None = None,
    visitor: str | None = None,
    customer: str | None = None,
    request_id: str | None = None,
    requested: bool = False,
    home: HomePath = None,
) -> None:
    """Erase a person from all files and tables; sums stay. Ends what was cut off before.

    Parameters
    ----------
    site
        Shop she is erased from.
    visitor
        Visitor id (a device) to erase.
    customer
        Customer id to erase, with the devices and e-mails that are hers alone.
    request_id
        Your name for the request, in the table `erasures`; made up if left out.
    requested
        Erase all whom the shop's signed `erase` events name.
    """
    from pinsphere import VERSION
    from pipelines.flows.erase import erase as erase_people
    from pipelines.flows.erase import subjects_of
    from pipelines.flows.report import Reporter
    from schemas.home import Home

    quiet_beam()
    where = Home(home)
    subjects = subjects_of(
        where, site=site, visitor=visitor, customer=customer, request_id=request_id
    )
    with Reporter() as reporter:
        done = erase_people(
            where, subjects, is_requested=requested, code_version=VERSION, progress=reporter.step
        )
    if not done.subjects:
        print("nothing to erase: name --site and --visitor or --customer, or --requested")
        return
    for subject in done.subjects:
        print(f"erased: {subject.kind} of site {subject.site_id}, request {subject.request_id}")
    counts = (f"{count} {what.replace('_', ' ')}" for what, count in sorted(done.counts.items()))
    print(", ".join(counts) or "her ids were found nowhere")
