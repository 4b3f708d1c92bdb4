"""Commands that look after an installation: `pinsphere db ...`.

`pinsphere.py` shows them; like its own they import what they need when they run.
"""

from cyclopts import App

from command_line import HomePath

db_app = App(name="db", help="Look after the database.")


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
    from pipelines.io.database import CHECKS, broken_invariants, open_database
    from pipelines.io.publish import published_run
    from schemas.errors import AuditError
    from schemas.settings import Home

    engine = open_database(Home(home), must_exist=True)
    run_id = published_run(engine)
    if run_id is None:
        print("no run is published yet; make one with: pinsphere run")
        return
    with engine.connect() as connection:
        broken = broken_invariants(connection, run_id)
    if broken:
        raise AuditError(f"run {run_id}: {'; '.join(broken)}")
    for promise in CHECKS:
        print(f"holds: {promise}")


@db_app.command
def restore(*, home: HomePath = None) -> None:
    """Bring the run before the published one back.

    The next `pinsphere run` that finds news, or other input than that run's, undoes it.
    """
    from pipelines.io.database import open_database
    from pipelines.io.publish import restore_run
    from schemas.settings import Home

    print(f"published again: {restore_run(open_database(Home(home), must_exist=True))}")
