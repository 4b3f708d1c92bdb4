"""Checks of beacon, database, runs and Pub/Sub, for `pinsphere doctor`."""

import email.utils
import http.client
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, select, text

from pipelines.flows.check_data import LATE_SECONDS
from pipelines.flows.findings import Finding, age, broken, ok, warning
from pipelines.io.audit import audit, told
from pipelines.io.database import alembic_config, open_database
from pipelines.io.deliveries import sources_of
from pipelines.io.runs import shown_run
from schemas.errors import PubSubError, SettingsError
from schemas.home import Home
from schemas.settings import Settings
from schemas.tables import Run

_WAIT_SECONDS = 5
_CLOCK_SECONDS = 60


def check_beacon(url: str) -> Iterator[Finding]:
    """Whether a beacon answers there, and whether its clock is ours."""
    # A proxy shows the script and hides the rest; the beacon itself says whether it can write.
    for path in ("/readyz", "/pin.js"):
        address = url.rstrip("/") + path
        try:
            with urllib.request.urlopen(address, timeout=_WAIT_SECONDS) as answer:  # noqa: S310 (the user's own)
                yield _check_answer(address, answer.headers.get("Date"))
                return
        except urllib.error.HTTPError as error:
            if error.code in {403, 404} and path == "/readyz":
                continue
            says = f"{address} answers {error.code}"
            way_out = (
                "it cannot write: see disk and spool, and its log"
                if error.code == 503
                else "another program is there, or the proxy hides it: docs/install/proxy.md"
            )
            yield broken("beacon", says, way_out)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            yield broken(
                "beacon", f"{address}: {error}", "start it: pinsphere beacon; or the proxy"
            )
            return


def _check_answer(url: str, date: str | None) -> Finding:
    there = email.utils.parsedate_to_datetime(date).timestamp() if date else time.time()
    wrong = there - time.time()
    if abs(wrong) > _CLOCK_SECONDS:
        return broken(
            "beacon",
            f"{url} answers; its clock is {age(abs(wrong))} {'ahead' if wrong > 0 else 'behind'}",
            "signed calls over 5 minutes off get 401: let both machines keep time by NTP",
        )
    return ok("beacon", f"{url} answers")


def check_database(home: Home, now: float) -> Iterator[Finding]:
    """Whether the database answers and is of this release, who reads it, what it shows."""
    shown = home.shown_database_url
    try:
        engine = open_database(home, must_exist=True)
    except SettingsError as error:
        is_new = str(error).endswith(("makes one", "makes them"))
        finding = warning if is_new else broken
        yield finding("database", str(error), "pinsphere run" if is_new else "see DATABASE_URL")
        return
    try:
        with engine.connect() as connection:
            revision = _check_revision(connection, shown)
            yield revision
            if engine.dialect.name == "postgresql":
                yield _check_roles(connection)
            elif engine.url.database:
                yield _check_file(Path(engine.url.database))
            if revision.state == "ok":
                yield from _check_runs(connection, now)
    finally:
        engine.dispose()


def _check_revision(connection: Connection, shown: str) -> Finding:
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    head = scripts.get_current_head()
    current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return ok("database", f"{shown} answers, revision {current}")
    if current in {script.revision for script in scripts.walk_revisions()}:
        return warning(
            "database", f"{shown} is at revision {current}, not {head}", "pinsphere db upgrade"
        )
    return broken(
        "database",
        f"{shown} is at revision {current}, which this release does not know",
        "run the release that made it, or a newer one",
    )


def _check_file(file: Path) -> Finding:
    """Who may read an embedded database."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return warning(
            "readers",
            f"others may read {file} (mode {mode:o})",
            f"if they should not: chmod 600 {file}",
        )
    return ok("readers", f"{file} is its owner's alone")


def _check_roles(connection: Connection) -> Finding:
    """Who may read a server's tables, and whether anybody may."""
    public = connection.scalar(text("SELECT has_table_privilege('public', 'runs', 'SELECT')"))
    if public:
        return warning(
            "readers",
            "every role of this server may read the tables",
            "REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM PUBLIC",
        )
    readers = connection.scalars(
        text(
            "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
            " AND has_table_privilege(oid, 'revenue_by_pinner', 'SELECT') ORDER BY rolname"
        )
    ).all()
    return ok("readers", f"besides superusers: {', '.join(readers) or 'nobody'}")


def _check_runs(connection: Connection, now: float) -> Iterator[Finding]:
    """How old the newest run is, whether one failed since, and whether its sums hold."""
    published = connection.execute(
        select(Run.run_id, Run.published_at).order_by(Run.run_number.desc())
    ).first()
    if published is None:
        yield warning("run", "none is published yet", "pinsphere run")
        return
    old = now - published.published_at / 1000
    says = f"{published.run_id} was published {age(max(old, 0))} ago"
    if old < -_CLOCK_SECONDS:
        yield broken("run", f"{published.run_id} was published in the future", "see clock")
    elif old > LATE_SECONDS:
        # Without news there is no new run: nobody can tell one from the other here.
        yield warning("run", says, "see that it still runs, and that events come: pinsphere run")
    else:
        yield ok("run", says)
    shown = shown_run(connection)
    if shown is None:
        yield broken("run", "the views show none", "pinsphere run --full")
        return
    if shown.run_id != published.run_id:
        yield warning(
            "run",
            f"shown is the earlier run {shown.run_id}",
            "brought back by hand; pinsphere run ends it",
        )
    wrong = told(audit(connection, shown))
    for text_of in wrong:
        yield broken("sums", text_of, "pinsphere db restore, and tell us")
    if not wrong:
        yield ok("sums", f"all checks hold on run {shown.run_id}")


def check_last_run(path: Path | None) -> Iterator[Finding]:
    """What the last run wrote into its metrics, if it writes any."""
    if path is None:
        return
    try:
        said = {
            sample.name: sample.value
            for family in text_string_to_metric_families(path.read_text())
            for sample in family.samples
        }
    except (OSError, ValueError) as error:
        yield warning("metrics", f"{path}: {error}", "the next run writes it: pinsphere run")
        return
    ended_at = time.strftime(
        "%Y-%m-%d %H:%M", time.gmtime(said.get("pinsphere_run_timestamp_seconds", 0))
    )
    if said.get("pinsphere_run_success") != 1:
        yield broken(
            "metrics", f"the last run, of {ended_at} UTC, failed", "see its log, or: pinsphere run"
        )
    else:
        yield ok("metrics", f"the last run ended well, {ended_at} UTC")


def check_pubsub(settings: Settings) -> Iterator[Finding]:
    """Whether the subscriptions can be drained: they are there, and we may."""
    if settings.pubsub is None and not any(
        site.shopify_subscription for site in settings.sites.values()
    ):
        return
    from google.api_core.exceptions import GoogleAPIError  # gRPC: for those who use it

    from pipelines.io.subscription import Subscription

    for source in sources_of(settings):
        try:
            Subscription(source.subscription).check_alive()
        except PubSubError as error:
            yield broken("pubsub", str(error), "see docs/pubsub.md")
        except GoogleAPIError as error:
            yield broken(
                "pubsub",
                f"{source.subscription}: no answer: {' '.join(str(error).split())}",
                "the network, or what PUBSUB_EMULATOR_HOST names",
            )
        else:
            yield ok("pubsub", f"{source.subscription} can be drained")
