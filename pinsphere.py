"""The front door: the `pinsphere` command.

The daily work stands here, bringing in files in `importing.py`, looking after it in `upkeep.py`,
showing the answers in `viewing.py`, what all share in `command_line.py`. Commands import what they
need when they run: help must not wait for Apache Beam.
"""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from command_line import (
    AtLeastOne,
    HomePath,
    loading,
    point_at_quarantine,
    quiet_beam,
    run_command,
    tell,
    tell_failure,
)
from importing import import_app
from upkeep import alerts, db_app, doctor, erase, lake_app
from viewing import console, export_app, report

VERSION = "0.1.0"
BEACON_URL = "https://pins.shop.example"

app = App(
    name="pinsphere",
    help="Who pins, whom each pinner reaches, and what revenue that brings, to the cent.",
    version=VERSION,
    version_flags=["--version"],
    help_format="plaintext",
)
pubsub_app = App(name="pubsub", help="Look after Google Pub/Sub.")
app.command(import_app)
app.command(export_app)
app.command(db_app)
app.command(lake_app)
app.command(erase)
app.command(pubsub_app)
app.command(doctor)
app.command(console)
app.command(report)
app.command(alerts)


@app.command
def init(
    *,
    site: str,
    currency: str,
    time_zone: str = "UTC",
    origin: tuple[str, ...] = (),
    home: HomePath = None,
) -> None:
    """Write a site into pinsphere.toml and print the snippet to paste.

    Parameters
    ----------
    site
        Short name of the shop: a-z 0-9 - _
    currency
        Report currency, an ISO 4217 code such as GBP.
    time_zone
        IANA time zone of the shop, such as Europe/London.
    origin
        Allowed page origin, such as https://shop.example; may be repeated.
    """
    from beacon.script import current_script
    from pipelines.flows.setup import add_site
    from schemas.home import Home

    where = Home(home)
    added = add_site(where, site, currency=currency, time_zone=time_zone, origins=origin)
    print(f"{where.settings_file}: site {site} added\n")
    print(f"Paste into your pages:\n\n  {current_script().tag(BEACON_URL, added.key)}\n")
    print(f"Your server signs its orders with the secret in ${added.secret_env}; a fresh one:\n")
    print(f"  export {added.secret_env}={added.secret}\n")
    print("Next: pinsphere beacon")


@app.command
def demo(*, home: Path = Path("pinsphere-demo"), seed: int = 1) -> None:
    """Run a synthetic shop through the real beacon and pipeline, and show the answers.

    Parameters
    ----------
    home
        Where the demo's data goes; made anew each time.
    seed
        Another number makes another shop.
    """
    quiet_beam()
    from pipelines.flows.demo import run_demo

    run_demo(home, seed=seed, version=VERSION)


@app.command
def beacon(
    *,
    host: Annotated[str, Parameter(env_var="PINSPHERE_HOST")] = "127.0.0.1",
    port: Annotated[int, Parameter(env_var="PORT", validator=Number(gte=1, lte=65_535))] = 8000,
    workers: Annotated[int, Parameter(env_var="PINSPHERE_WORKERS", validator=AtLeastOne)] = 1,
    home: HomePath = None,
) -> None:
    """Serve the collector that the snippet talks to."""
    from beacon.server import serve
    from schemas.home import Home

    serve(Home(home), host=host, port=port, workers=workers)


@app.command
def forward(
    *,
    until_idle: bool = False,
    metrics_host: str = "127.0.0.1",
    metrics_port: Annotated[
        int | None,
        Parameter(env_var="PINSPHERE_METRICS_PORT", validator=Number(gte=1, lte=65_535)),
    ] = None,
    home: HomePath = None,
) -> None:
    """Send the beacon's spool to Google Pub/Sub, until SIGTERM.

    Parameters
    ----------
    until_idle
        End once everything is sent, for cron.
    metrics_host
        Address that metrics are served at.
    metrics_port
        Port that metrics are served at, for Prometheus [default: not served]
    """
    from beacon.forward import forward as forward_spool
    from pipelines.flows.rounds import stop_signals
    from schemas.home import Home

    with stop_signals() as stop:
        done = forward_spool(
            Home(home),
            until_idle=until_idle,
            stop=stop,
            metrics_host=metrics_host,
            metrics_port=metrics_port,
            tell=tell,
        )
    print(f"{done.messages} messages acked: {done.events} events, {done.rejects} rejects")


@pubsub_app.command
def create(*, home: HomePath = None) -> None:
    """Create the schema, topics and subscriptions that are missing."""
    from beacon.topics import create_topics
    from schemas.home import Home

    for line in create_topics(Home(home)):
        print(line)


@app.command
def archive(
    *,
    until_idle: bool = False,
    subscription: str | None = None,
    quarantined: bool = False,
    home: HomePath = None,
) -> None:
    """Move messages of Google Pub/Sub into the lake, until SIGTERM.

    Parameters
    ----------
    until_idle
        End once nothing comes any more, for cron.
    subscription
        Drain this one instead of those in pinsphere.toml, such as the dead letters'.
    quarantined
        Read again what lies whole in quarantine/messages instead, and end.
    """
    from pipelines.flows.rounds import stop_signals
    from pipelines.io.archive import archive as archive_messages
    from pipelines.io.unread import archive_quarantined
    from schemas.home import Home

    where = Home(home)
    if quarantined:
        again, left = archive_quarantined(where, where.settings())
        print(f"{again.events} events in {again.files} files; {left} messages cannot be read yet")
        return
    with stop_signals() as stop:
        done = archive_messages(
            where,
            where.settings(),
            subscription=subscription,
            until_idle=until_idle,
            stop=stop,
            tell=tell,
        )
    print(f"{done.events} events in {done.files} files, {done.rejects} quarantined")
    point_at_quarantine(done.rejects, where.quarantine)


@app.command
def run(
    *options: str,
    every: timedelta | None = None,
    full: bool = False,
    shards: Annotated[
        int | None, Parameter(env_var="PINSPHERE_SHARDS", validator=AtLeastOne)
    ] = None,
    metrics_file: Annotated[Path | None, Parameter(env_var="PINSPHERE_METRICS_FILE")] = None,
    home: HomePath = None,
) -> None:
    """Bring the tables up to date: spool or Pub/Sub to lake, Beam flow, tables.

    Parameters
    ----------
    options
        Beam options after `--`, such as -- --runner=FlinkRunner
    every
        Do it again and again, such as every 60s or 5m, until SIGTERM.
    full
        Compute everything anew instead of what changed since the last run.
    shards
        Cuts of the work, rounded up to a power of two; by default by the size of what is new.
    metrics_file
        Write metrics of the run there, for node_exporter's textfile collector [default: nowhere]
    """
    quiet_beam()
    with loading():
        from pipelines.flows.report import Reporter
        from pipelines.flows.rounds import repeat, stop_signals
        from pipelines.flows.run import run as run_flow
        from pipelines.flows.run_metrics import run_metrics
        from schemas.home import Home

    where = Home(home)

    def work(stop: threading.Event | None = None) -> None:
        path = where.metrics_file(metrics_file)
        with Reporter(is_round=every is not None) as reporter, run_metrics(where, path) as measure:
            done = run_flow(
                where,
                options=options,
                shards=shards,
                is_full=full,
                code_version=VERSION,
                progress=reporter.step,
                stop=stop,
            )
            measure(done)
            reporter.finish(done, where)

    if every is None:
        work()
        return
    with stop_signals() as stop:
        seconds = every.total_seconds()
        repeat(lambda: work(stop), seconds, stop=stop, tell_failure=tell_failure, tell=tell)


@app.command
def snippet(*, site: str, beacon_url: str = BEACON_URL, home: HomePath = None) -> None:
    """Print the script tag to paste into a shop's pages.

    Parameters
    ----------
    site
        Shop the pages belong to.
    beacon_url
        Where the pages reach the beacon: best an address under the shop's own domain.
    """
    from beacon.script import check_beacon_url, current_script
    from schemas.home import Home

    check_beacon_url(beacon_url)
    print(current_script().tag(beacon_url, Home(home).settings().site(site).key))


@app.command
def version() -> None:
    """Print the version."""
    print(VERSION)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command: exit code 0 done, 1 failed, 2 wrong usage."""
    run_command(app, arguments)


if __name__ == "__main__":
    main()
