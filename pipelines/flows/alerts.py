"""`pinsphere alerts`: asks each rule, shows what it says, and tells a webhook of alarms."""

import contextlib
import dataclasses
import datetime
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from pipelines.flows import alert_rules as rules
from pipelines.flows.alert_rules import Ask, Verdict
from pipelines.io.database import open_database
from pipelines.io.webhook import post_signed
from schemas.alerts import AlertRules
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.settings import Settings, Site
from schemas.views import views_are_current


def examine(
    home: Home, settings: Settings, *, now: float, site: str | None = None
) -> list[Verdict]:
    """What every rule that is switched on says, of the published run.

    Args:
      home: whose database is asked, as it is at one moment.
      settings: sites and rules.
      now: unix seconds; only whether a run is late goes by it, all else by the data's own days.
      site: the one shop to look at, besides the runs themselves.

    Raises:
      SettingsError: there is no database, or it has the views of another release.
      UsageError: there is no such site.
    """
    chosen = settings.sites if site is None else {site: settings.site(site)}
    with _one_moment(home) as ask:
        return judge(ask, settings.alerts, chosen, now)


def judge(ask: Ask, on: AlertRules, sites: Mapping[str, Site], now: float) -> list[Verdict]:
    """The same, of whatever answers."""
    found: list[Verdict] = []
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
    if on.run_failed:
        found += rules.run_failed(ask, today)
    if (hours := on.threshold("run_late")) is not None:
        found += rules.run_late(ask, today, hours, now)
    for site_id, site in sites.items():
        shop = rules.shop_of(ask, site_id, site.time_zone)
        thresholds = {name: on.threshold(name) for name in rules.OF_SHOPS}
        if shop is None:
            silence = thresholds["no_events"]
            found += [] if silence is None else [rules.never_heard(site_id, silence, today)]
            continue
        for name, threshold in thresholds.items():
            if threshold is not None:
                found += rules.OF_SHOPS[name](ask, shop, threshold)
    return found


def asking(connection: Connection) -> Ask:
    """Asks a database."""

    def ask(sql: str) -> rules.Rows:
        return [dict(row) for row in connection.execute(text(sql)).mappings()]

    return ask


@contextlib.contextmanager
def _one_moment(home: Home) -> Iterator[Ask]:
    """Asks the database as it is at one moment: a run may be published in between."""
    engine = open_database(home, must_exist=True)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":  # SQLite's transactions are like that
                connection.execution_options(isolation_level="REPEATABLE READ")
            if not views_are_current(connection):
                raise SettingsError(
                    f"{home.shown_database_url} has the views of another release;"
                    " pinsphere db upgrade brings them to this one"
                )
            yield asking(connection)
    finally:
        engine.dispose()


def alarms(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that alarm."""
    return [each for each in verdicts if each.state == "alert"]


def alert_id(verdict: Verdict) -> str:
    """The same for the same thing on the same day: who is told twice sees that it is one."""
    parts = (verdict.rule, verdict.site_id, verdict.subject, verdict.as_of)
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def as_objects(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Verdicts for programs, each with its id."""
    return [{"alert_id": alert_id(each), **dataclasses.asdict(each)} for each in verdicts]


def tell_webhook(settings: Settings, alarming: Sequence[Verdict]) -> bool:
    """Posts what alarms to the address in the variable `webhook_env`, if there is one to tell.

    Chats take `text`; programs `alerts`.

    Raises:
      SettingsError: the variable, or that of the secret, is not set.
      AlertError: it could not be told.
    """
    url, secret = (
        _variable(name, getattr(settings.alerts, name))
        for name in ("webhook_env", "webhook_secret_env")
    )
    if url is None or not alarming:
        return False
    told = {
        "text": "\n".join(map(line_of, alarming)),
        "sent_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "alerts": as_objects(alarming),
    }
    post_signed(url, msgspec.json.encode(told), secret)
    return True


def _variable(setting: str, name: str | None) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name)
    if not value:
        raise SettingsError(f"alerts: {setting}: {name} is not set")
    return value


def line_of(verdict: Verdict) -> str:
    """A verdict in one line."""
    place = f" {verdict.site_id}" if verdict.site_id else ""
    return f"{verdict.state:8}{verdict.rule}{place}: {verdict.says}"


def show(verdicts: Sequence[Verdict], *, as_json: bool) -> None:
    """Prints verdicts: JSON, else a line each, below an alarm the query to look into it by."""
    if as_json:
        print(msgspec.json.encode(as_objects(verdicts)).decode())  # noqa: T201 (what was asked for)
        return
    for each in verdicts:
        print(line_of(each))  # noqa: T201 (a program reads it)
        if each.state == "alert":
            print("".join(f"    {line}\n" for line in each.query.splitlines()))  # noqa: T201
