"""Migrations: they agree with the models, and carry what is there, to and fro."""

import re

import alembic.command
from sqlalchemy import Engine, inspect, text

from pipelines.io.audit import audit, told
from pipelines.io.database import (
    alembic_config,
    downgrade_database,
    open_database,
    upgrade_database,
)
from schemas.home import Home
from schemas.models import MODELS
from schemas.tables import RESULTS
from schemas.views import drop_views, view_definitions
from tests.integration.publishing import attribute, contents, fill, happened, shown

Answers = dict[str, list[str]]
# Times of spheres that an older release's tables neither hold nor tell.
UNKNOWN_BEFORE = {
    "pinner_spheres": ("hours_to_90_percent", "first_reached_at", "last_reached_at"),
    "sphere_edges": ("first_reached_at",),
}


def answers(engine: Engine) -> Answers:
    """Everything that readers see."""
    found: Answers = {}
    with engine.connect() as connection:
        # Half of pinner_sphere is of a later table; the other is current_pinner_spheres. Of
        # attempts older releases know only what was published, and of a run no manifest.
        untold = {"pinner_sphere", "last_attempt", "published_run"}
        for view in view_definitions(engine.dialect.name).keys() - untold:
            rows = connection.execute(text(f"SELECT * FROM {view}")).all()
            found[view] = sorted(map(str, rows))
    return found


def without(tables: set[str], found: Answers) -> Answers:
    """The answers that are made of no rows of these tables."""
    reading = set(map("current_{}".format, tables))
    views = view_definitions("sqlite")
    for view, select in views.items():  # each after those that it reads
        if any(re.search(rf"\b{name}\b", select) for name in reading):
            reading.add(view)
    return {view: rows for view, rows in found.items() if view not in reading}


def ask(engine: Engine, sql: str) -> list[tuple[object, ...]]:
    """An answer of the database."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_migrations_and_models_agree(empty_home: Home) -> None:
    """A column added without its migration would break every installation but ours."""
    engine = open_database(empty_home)
    upgrade_database(engine)
    with engine.begin() as connection:
        drop_views(connection)
        alembic.command.check(alembic_config(connection))
    upgrade_database(engine)
    assert set(inspect(engine).get_view_names()) == set(view_definitions(engine.dialect.name))
    downgrade_database(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_published_runs_survive_the_way_down_and_up(home: Home) -> None:
    """An upgrade that must be taken back in the night costs no figure."""
    events = happened(21)
    fill(home, events[:-40], "one")
    attribute(home)
    fill(home, events[-40:], "two")
    assert not attribute(home).is_full
    engine = open_database(home)
    with engine.begin() as connection:  # what no older release can keep
        for table, columns in UNKNOWN_BEFORE.items():
            for column in columns:
                connection.execute(text(f"UPDATE {table} SET {column} = NULL"))
    before, rows = answers(engine), contents(engine)
    run_id, unattributed = shown(engine).run_id, "pin_id IS NULL"
    wanted = ask(engine, f"SELECT COUNT(*) FROM current_order_credits WHERE {unattributed}")

    # Results that came after 0004 can be made of none before: the next, full run brings them.
    downgrade_database(engine, "0004")
    later = RESULTS.keys() - set(inspect(engine).get_table_names())
    downgrade_database(engine, "0001")

    assert wanted != [(0,)]
    old = f"SELECT COUNT(*) FROM order_credits WHERE {unattributed} AND run_id = '{run_id}'"
    assert ask(engine, old) == wanted
    assert ask(engine, "SELECT COUNT(DISTINCT run_id) FROM orders") == [(2,)]
    upgrade_database(engine)
    assert without(later, answers(engine)) == without(later, before)
    assert contents(engine) == rows | {name: [] for name in later}
    published = "SELECT MAX(published_at) FROM runs"
    assert ask(engine, "SELECT good_ended_at FROM last_attempt") == ask(engine, published)
    with engine.connect() as connection:
        assert told(audit(connection, shown(engine))) == []
    engine.dispose()


# What the release before wrote: a published run, one before it, and one that died while staged.
# Of order o-1 the line 1 is credited, the line 2 is not.
FIRST_RELEASE = (
    *(
        "INSERT INTO runs VALUES"
        f" ('{run_id}', '0', 'input', 'settings', 3, 9, 1.5, 99.0, 1, {published})"
        for run_id, published in (("older", "1000"), ("newer", "2000"), ("staged", "NULL"))
    ),
    "INSERT INTO current_run (pointer, run_id) VALUES (1, 'newer')",
    *(
        f"INSERT INTO {table} (run_id, site_id, {columns}) VALUES ('{run_id}', 'acme', {values})"
        for run_id in ("older", "newer", "staged")
        for table, columns, values in (
            (
                "orders",
                (
                    "order_id, person_id, currency, gross_micros, refunded_micros, net_micros,"
                    " is_creditable, ordered_at"
                ),
                "'o-1', 'p', 'GBP', 30, 0, 30, (1 = 1), 1704067200000",
            ),
            *(
                (
                    "order_lines",
                    (
                        "order_id, line_id, item_id, quantity, gross_micros, refunded_micros,"
                        " net_micros"
                    ),
                    f"'o-1', '{line}', 'mug', 1, {net}, 0, {net}",
                )
                for line, net in ((1, 10), (2, 20))
            ),
            *(
                (
                    "order_credits",
                    (
                        "order_id, line_id, model, place, touch_id, pin_id, pinner_id, currency,"
                        " distance, credit_micros, refunded_micros, is_self, is_same_item,"
                        " touched_at"
                    ),
                    (
                        f"'o-1', '{line}', '{model}', 0, {touch}, NULL, 'GBP', {distance},"
                        f" {net}, 0, (1 = 0), (1 = 0), {distance}"
                    ),
                )
                for model in MODELS
                for line, net, touch, distance in (
                    (1, 10, "'t', 'pin'", "0"),
                    (2, 20, "NULL, NULL", "NULL"),
                )
            ),
        )
    ),
)


def test_rows_of_the_first_shape_are_shown_as_they_were(empty_home: Home) -> None:
    """Whoever upgrades sees yesterday's figures before the first run of the new release."""
    engine = open_database(empty_home)
    with engine.begin() as connection:
        alembic.command.upgrade(alembic_config(connection), "0001")
        for statement in FIRST_RELEASE:
            connection.execute(text(statement))

    upgrade_database(engine)

    assert shown(engine)[:3] == ("newer", 2, 2)
    assert ask(engine, "SELECT run_number, run_id, is_full FROM runs ORDER BY 1") == [
        (1, "older", True),
        (2, "newer", True),
    ]
    credits = "SELECT line_id, pin_id, credit_micros FROM current_order_credits"
    assert ask(engine, f"{credits} WHERE model = 'linear' ORDER BY 1") == [
        ("1", "pin", 10),
        ("2", None, 20),
    ]
    lines = "SELECT line_id, is_credited FROM current_order_lines ORDER BY 1"
    assert ask(engine, lines) == [("1", True), ("2", False)]
    sales = (
        "SELECT day, orders, credited_orders, net_micros, credited_micros, unattributed_micros"
        " FROM current_sales_daily WHERE model = 'linear'"
    )
    assert ask(engine, sales) == [("2024-01-01", 1, 1, 30, 10, 20)]
    with engine.connect() as connection:
        assert told(audit(connection, shown(engine))) == []
    engine.dispose()
