"""Commands that look after an installation: `pinsphere doctor`, `pinsphere db ...`.

`pinsphere.py` shows them; like its own they import what they need when they run.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from command_line import HomePath, tell

db_app = App(name="db", help="Look after the database.")


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
    from schemas.settings import Home

    where = Home(home)
    if clean:
        for path in remove_leftovers(where):
            tell(f"removed {path}")
    findings = list(examine(where, beacon_url=beacon, metrics_file=metrics_file))
    show(findings, as_json=as_json)
    if any(finding.state == "broken" for finding in findings):
        sys.exit(1)


@db_app.command
def upgrade(*, home: HomePath = None) -> None:
    """Create the tables and views, or bring them to this release."""
    from pipelines.io.database import open_database, upgrade_database
    from schemas.settings import Home

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
    from schemas.settings import Home

    engine = open_database(Home(home), must_exist=True)
    with engine.connect() as connection:
        run = shown_run(connection)
        if run is None:
            print("no run is published yet; make one with: pinsphere run")
            return
        found = audit(connection, run)
    if told(found):
        raise AuditError(f"run {run.run_id}: {'; '.join(told(found))}")
    for promise in found:
        print(f"holds: {promise}")


@db_app.command
def restore(*, home: HomePath = None) -> None:
    """Bring the run before the published one back.

    The next `pinsphere run` that finds news, or other input than that run's, undoes it.
    """
    from pipelines.io.database import open_database
    from pipelines.io.runs import restore_run
    from schemas.settings import Home

    print(f"published again: {restore_run(open_database(Home(home), must_exist=True))}")
