"""Each rule of `pinsphere alerts` on a real database: where it alarms, and where it must not."""

import contextlib
import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from pipelines.flows.alert_rules import OF_SHOPS, Verdict
from pipelines.flows.alerts import asking, judge
from pipelines.io.database import open_database, upgrade_database
from pipelines.io.roles import grant
from schemas.alerts import AlertRules
from schemas.home import Home
from schemas.models import MODELS
from schemas.quality_tables import ArrivalsHourly, DataQualityDaily, LandingsDaily
from schemas.settings import Site
from schemas.tables import (
    OPEN_RUN,
    Attempt,
    CurrentRun,
    SalesDaily,
    SphereEdge,
)
from schemas.views import view_definitions
from tests import services

NEWEST = datetime.date(2026, 11, 20)
NOW_MS = 1_795_226_400_000  # 2026-11-21 02:00 UTC; the run that began then saw all before
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAYS = [str(NEWEST - datetime.timedelta(back)) for back in range(40)]  # the newest first
SITES = {"acme": Site(key="key-of-acme", currency="GBP", time_zone="Europe/London")}
STANDS = {"base_run": 1, "since_run": 1, "until_run": OPEN_RUN, "site_id": "acme"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A database with a shop's forty usual days."""
    if request.param == "postgresql" and services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with contextlib.ExitStack() as stack:
        if request.param == "postgresql":
            environment = stack.enter_context(pytest.MonkeyPatch.context())
            environment.setenv("DATABASE_URL", stack.enter_context(services.run_postgres()))
        engine = open_database(Home(tmp_path_factory.mktemp("alerts")))
        upgrade_database(engine)
        with engine.begin() as connection:
            fill(connection)
        yield engine
        engine.dispose()


def fill(connection: Connection) -> None:
    """Usual days: each like the one before, and good runs."""
    rows: dict[type[Any], list[dict[str, Any]]] = {
        LandingsDaily: [
            {"day": day, "user_agent_class": client, "match_method": method,
             "token_carrier": carrier, "landings": landings}
            for day in DAYS
            for client, method, carrier, landings in (
                ("human", "token", "query", 40), ("human", "epik", "(none)", 10),
                ("pinterest_inapp", "token", "query", 30),
                ("pinterest_inapp", "referrer", "(none)", 20),
            )
        ],
        SalesDaily: [
            {"day": day, "model": model, "orders": 50, "credited_orders": 20, "gross_micros": 1,
             "refunded_micros": 0, "net_micros": 1, "credited_micros": 0, "unattributed_micros": 1}
            for day in DAYS for model in MODELS
        ],
        DataQualityDaily: [
            {"day": day, "event_name": name, "received": received, "duplicates": 0, "bots": 0,
             "late": 0, "matched_by_token": 0, "quarantined": quarantined}
            for day in DAYS
            for name, received, quarantined in (("pin_visit", 500, 0), ("unknown", 0, 2))
        ],
        ArrivalsHourly: [
            {"hour_at": NOW_MS - back * HOUR_MS, "source": source, "events": 20}
            for back in range(1, 40 * 24) for source in ("web_js", "server")
        ],
        SphereEdge: [
            edge(f"pinner-{pinner}", day * 100 + number, day)
            for pinner in range(3) for day in range(40) for number in range(3)
        ],
    }  # fmt: skip
    for table, values in rows.items():
        connection.execute(insert(table), [{**STANDS, **value} for value in values])
    connection.execute(
        insert(CurrentRun), {"pointer": 1, "run_id": "r", "run_number": 1, "base_run": 1}
    )
    connection.execute(
        insert(Attempt),
        {"pointer": 1, "failure": None, "began_at": NOW_MS, "ended_at": NOW_MS + 9,
         "good_began_at": NOW_MS, "good_ended_at": NOW_MS + 9},
    )  # fmt: skip


def edge(pinner: str, number: int, day: int) -> dict[str, Any]:
    """A person reached so many days before the newest."""
    noon = NOW_MS - 14 * HOUR_MS - day * DAY_MS
    return {"pinner_id": pinner, "person_id": f"{pinner}-{number}", "hop": 1, "visits": 1,
            "pins": 0, "influenced_micros": 0, "first_reached_at": noon}  # fmt: skip


@pytest.fixture
def database(engine: Engine) -> Iterator[Connection]:
    """The shop; what a test changes is taken back."""
    with engine.connect() as connection:
        yield connection
        connection.rollback()


def verdicts(connection: Connection, now_ms: int = NOW_MS + HOUR_MS, **rules: Any) -> list[Verdict]:
    """What all rules say, an hour after the run."""
    return judge(asking(connection), AlertRules(**rules), SITES, now_ms / 1000)


def alarming(connection: Connection, **options: Any) -> list[tuple[str, str]]:
    """Rule and subject of what alarms."""
    return [(v.rule, v.subject) for v in verdicts(connection, **options) if v.state == "alert"]


def recently(days: int, column: Any) -> Any:
    """The condition of the newest days."""
    return column.in_(DAYS[:days])


def test_a_usual_shop_alarms_nobody(database: Connection) -> None:
    """The control of all: every rule judges it, and finds it well."""
    found = verdicts(database)

    assert [(v.rule, v.state) for v in found] == [
        ("run_failed", "ok"), ("run_late", "ok"),
        *((rule, "ok") for rule in ("token_survival", "unattributed", "quarantine")),
        ("no_events", "ok"), ("no_events", "ok"), ("sphere_growth", "ok"),
    ]  # fmt: skip
    assert {v.rule for v in found} == {*OF_SHOPS, "run_failed", "run_late"}


@pytest.mark.parametrize(("landings", "alarms"), [(12, True), (24, False)])
def test_token_survival_that_falls_is_told(
    database: Connection, landings: int, alarms: bool
) -> None:
    """Pinterest's app strips the query: a third of the tokens are gone before anybody asks."""
    in_app = (LandingsDaily.user_agent_class == "pinterest_inapp") & recently(7, LandingsDaily.day)
    for method, left in (("token", landings), ("referrer", 50 - landings)):
        those = in_app & (LandingsDaily.match_method == method)
        database.execute(update(LandingsDaily).where(those).values(landings=left))

    found = {v.rule: v for v in verdicts(database)}["token_survival"]

    assert (found.state == "alert") == alarms
    assert (found.figure, found.usual) == pytest.approx(((40 + landings) / 100, 0.7))
    assert found.threshold == 0.1


@pytest.mark.parametrize(("credited", "alarms"), [(12, True), (16, False)])
def test_orders_without_a_pin_that_jump_are_told(
    database: Connection, credited: int, alarms: bool
) -> None:
    """Visitor ids that get lost at the checkout look like pins that sell nothing."""
    newest = recently(7, SalesDaily.day)
    database.execute(update(SalesDaily).where(newest).values(credited_orders=credited))

    assert (("unattributed", "") in alarming(database)) == alarms


@pytest.mark.parametrize(("refused", "alarms"), [(40, True), (6, False)])
def test_a_release_that_sends_nonsense_is_told_on_the_next_day(
    database: Connection, refused: int, alarms: bool
) -> None:
    """A tenth of what comes is refused since yesterday."""
    lately = recently(2, DataQualityDaily.day) & (DataQualityDaily.event_name == "unknown")
    database.execute(update(DataQualityDaily).where(lately).values(quarantined=refused))

    assert (("quarantine", "") in alarming(database)) == alarms


def test_days_on_which_everything_is_refused_are_told(database: Connection) -> None:
    """Then no event says that the day has come."""
    for day in ("2026-11-21", "2026-11-22"):
        database.execute(
            insert(DataQualityDaily),
            {**STANDS, "day": day, "event_name": "unknown", "received": 0, "duplicates": 0,
             "bots": 0, "late": 0, "matched_by_token": 0, "quarantined": 300},
        )  # fmt: skip

    assert ("quarantine", "") in alarming(database)


@pytest.mark.parametrize(("hours", "alarms"), [(1, True), (0, False)])
def test_pages_that_fall_silent_are_told(database: Connection, hours: int, alarms: bool) -> None:
    """A theme update without the snippet: the shop's server is still heard of."""
    silent = (ArrivalsHourly.source == "web_js") & (
        ArrivalsHourly.hour_at >= NOW_MS - hours * HOUR_MS
    )
    database.execute(update(ArrivalsHourly).where(silent).values(until_run=1))

    assert alarming(database) == [("no_events", "web_js")] * alarms


def test_a_shop_that_sleeps_at_this_hour_is_left_alone(database: Connection) -> None:
    """Silent today, and on one of the days before as well."""
    at = [NOW_MS - HOUR_MS, NOW_MS - HOUR_MS - 5 * DAY_MS]
    asleep = ArrivalsHourly.hour_at.in_(at)
    database.execute(update(ArrivalsHourly).where(asleep).values(until_run=1))

    assert alarming(database) == []


def test_imports_are_no_sign_of_life(database: Connection) -> None:
    """Somebody imports a file each hour while the beacon is down: it stays an alarm."""
    database.execute(text(f"DELETE FROM arrivals_hourly WHERE hour_at = {NOW_MS - HOUR_MS}"))
    row = {"hour_at": NOW_MS - HOUR_MS, "source": "file", "events": 99}
    database.execute(insert(ArrivalsHourly), {**STANDS, **row})

    assert alarming(database) == [("no_events", "server"), ("no_events", "web_js")]


@pytest.mark.parametrize(
    ("values", "now_ms", "wanted"),
    [
        ({"failure": "AuditError"}, NOW_MS, [("run_failed", "")]),
        ({}, NOW_MS + 27 * HOUR_MS, [("run_late", "")]),
        ({}, NOW_MS + 25 * HOUR_MS, []),
        ({"failure": "OSError", "good_began_at": None, "good_ended_at": None}, NOW_MS,
         [("run_failed", ""), ("run_late", "")]),
    ],
)  # fmt: skip
def test_runs_that_fail_or_do_not_come_are_told(
    database: Connection, values: dict[str, Any], now_ms: int, wanted: list[tuple[str, str]]
) -> None:
    """Tables that stand still look like a quiet shop."""
    database.execute(update(Attempt).values(ended_at=NOW_MS + 10, **values))

    assert alarming(database, now_ms=now_ms) == wanted


@pytest.mark.parametrize(
    ("people", "others", "alarms"), [(60, 0, True), (60, 60, False), (15, 0, False)]
)
def test_a_pinner_who_suddenly_reaches_many_is_told(
    database: Connection, people: int, others: int, alarms: bool
) -> None:
    """A pin goes round, or somebody cheats: either is worth a look. In a good week all grow."""
    for pinner, more in (("pinner-0", people), ("pinner-1", others), ("pinner-2", others)):
        rows = [{**STANDS, **edge(pinner, 10_000 + number, number % 7)} for number in range(more)]
        if rows:
            database.execute(insert(SphereEdge), rows)

    found = [v for v in verdicts(database) if v.state == "alert"]

    assert [(v.rule, v.subject) for v in found] == [("sphere_growth", "pinner-0")] * alarms
    assert [(v.figure, v.usual) for v in found] == [(people + 21, 21.0)] * alarms


@pytest.mark.parametrize("rule", [*OF_SHOPS, "run_failed", "run_late"])
def test_each_rule_can_be_switched_off(database: Connection, rule: str) -> None:
    """A shop that knows why must not be told each night."""
    told = {v.rule for v in verdicts(database)}

    assert told - {v.rule for v in verdicts(database, **{rule: False})} == {rule}


def test_every_verdict_brings_a_query_that_runs_on_views_alone(database: Connection) -> None:
    """The merchandiser pastes it; the role that dashboards have reads no table."""
    for verdict in verdicts(database):
        rows = database.execute(text(verdict.query)).all()
        assert rows or verdict.rule == "sphere_growth", verdict.rule
        read = set(re.findall(r"(?:FROM|JOIN) (\w+)", verdict.query)) - {"reached", "together"}
        assert read <= view_definitions("sqlite").keys(), verdict.rule


def test_a_role_that_reads_views_alone_may_ask(engine: Engine, database: Connection) -> None:
    """Whoever watches needs no right to write, nor to see the tables."""
    if engine.dialect.name == "sqlite":  # which has no roles
        return
    wanted = verdicts(database)
    database.execute(text("CREATE ROLE watcher"))
    grant(database, "watcher")
    database.execute(text("SET LOCAL ROLE watcher"))

    assert verdicts(database) == wanted
    with pytest.raises(DBAPIError, match="permission denied"):
        database.execute(text("SELECT * FROM attempts"))


def test_a_young_shop_is_not_judged(database: Connection) -> None:
    """After a week nobody knows what is usual."""
    for table in (LandingsDaily, SalesDaily, DataQualityDaily):
        database.execute(update(table).where(~recently(7, table.day)).values(until_run=1))
    young = ArrivalsHourly.hour_at < NOW_MS - 7 * DAY_MS
    silent = ArrivalsHourly.hour_at >= NOW_MS - HOUR_MS
    database.execute(update(ArrivalsHourly).where(young | silent).values(until_run=1))

    found = verdicts(database)

    assert {v.state for v in found if v.site_id} == {"unknown"}
    assert "too little in" in next(v.says for v in found if v.rule == "token_survival")


def test_a_site_that_was_never_heard_of_is_not_passed_over(database: Connection) -> None:
    """Its snippet may never have worked; or it was added this morning, which is no alarm."""
    sites = {"bolt": Site(key="key-of-bolt", currency="GBP")}

    (found,) = (v for v in judge(asking(database), AlertRules(), sites, NOW_MS / 1000) if v.site_id)

    assert (found.rule, found.state) == ("no_events", "unknown")
    assert (found.site_id, found.says) == ("bolt", "no event of this site has ever come")


def test_a_shop_where_no_run_ever_came_is_late(database: Connection) -> None:
    """The timer was never switched on: a page of no lines would say that all is well."""
    database.execute(delete(Attempt))

    (late,) = judge(asking(database), AlertRules(), {}, NOW_MS / 1000)

    assert (late.rule, late.state, late.says) == ("run_late", "alert", "no run has ended well yet")
