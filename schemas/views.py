"""The views: what merchandisers query. They show the published run only.

`current_<table>` shows a result table's rows with money as decimals and times as text beside
the raw columns; the other views answer questions. They are dropped and made anew by every
upgrade, so only tables need migrations.
"""

import hashlib

from sqlalchemy import Connection, inspect, text

from schemas.models import DEFAULT_MODEL, MODELS
from schemas.tables import RESULTS, RUN_COLUMNS

_BASE, _NUMBER, _RUN = (
    f"(SELECT {column} FROM current_run WHERE pointer = 1)"
    for column in ("base_run", "run_number", "run_id")
)
_MILLION = "1000000.0"
_DIGEST_VIEW = "view_digest"
_MODELS = " UNION ALL ".join(f"SELECT '{model}' AS model" for model in MODELS)


def _money(column: str) -> str:
    return f"({column}) / {_MILLION}"


def _exact(*columns: str) -> str:
    """Floats as decimals: PostgreSQL rounds these to places, and no floats."""
    return ", ".join(f"CAST({column} AS numeric) AS {column.split('.')[-1]}" for column in columns)


def _utc(column: str, dialect: str) -> str:
    if dialect == "sqlite":
        return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / 1000, 'unixepoch')"
    return (
        f"to_char(to_timestamp({column} / 1000) AT TIME ZONE 'UTC',"
        ' \'YYYY-MM-DD"T"HH24:MI:SS"Z"\')'
    )


def _is_shown(row: str) -> str:
    """The condition under which the published run has a row of a result table."""
    return (
        f"{row}.base_run = {_BASE} AND {row}.since_run <= {_NUMBER} AND {row}.until_run > {_NUMBER}"
    )


def _current(table: str, dialect: str) -> str:
    """Every column of the published rows, then decimals and texts of money and time."""
    columns = RESULTS[table].__table__.columns
    names = [column.name for column in columns if column.name not in RUN_COLUMNS]
    rows = f"SELECT * FROM {table} WHERE {_is_shown(table)}"
    if table == "order_credits":
        rows = _with_unattributed(names)
    money = [
        f"{_money(name)} AS {name.removesuffix('_micros')}"
        for name in names
        if name.endswith("_micros")
    ]
    times = [f"{_utc(name, dialect)} AS {name}_utc" for name in names if name.endswith("_at")]
    shown = ", ".join([f"{_RUN} AS run_id", *names, *money, *times])
    return f"SELECT {shown} FROM ({rows}) shown"


def _with_unattributed(names: list[str]) -> str:
    """Credits, and a row a model for each line without one: together they are net sales.

    Of a run whose ledger lies in the lake alone there are neither: half of it would add up
    to nothing.
    """
    known = {
        "site_id": "l.site_id", "order_id": "l.order_id", "line_id": "l.line_id",
        "model": "m.model", "place": "0", "currency": "o.currency",
        "credit_micros": "l.net_micros", "refunded_micros": "l.refunded_micros",
        "is_self": "(1 = 0)", "is_same_item": "(1 = 0)",
    }  # fmt: skip
    columns = ", ".join(f"{known.get(name, 'NULL')} AS {name}" for name in names)
    return f"""
        SELECT {", ".join(names)} FROM order_credits WHERE {_is_shown("order_credits")}
        UNION ALL
        SELECT {columns}
        FROM order_lines l
        JOIN orders o ON o.site_id = l.site_id AND o.order_id = l.order_id AND {_is_shown("o")}
        CROSS JOIN ({_MODELS}) m
        WHERE {_is_shown("l")} AND NOT l.is_credited
          AND (SELECT ledger FROM runs WHERE run_number = {_NUMBER}) = 'sql'"""


_DAILY_SUMS = ", ".join(
    f"SUM({name}) AS {name}"
    for name in (
        "views", "clicks", "pins", "pin_visits", "adds_to_cart", "orders", "units",
        "credited_micros", "direct_micros", "refunded_micros",
    )
)  # fmt: skip


def _revenue_by(key: str, table: str) -> str:
    return f"""
        SELECT site_id, {key}, model, {_DAILY_SUMS},
          {_money("SUM(credited_micros)")} AS credited,
          {_money("SUM(direct_micros)")} AS direct,
          {_money("SUM(credited_micros) - SUM(direct_micros)")} AS assisted
        FROM current_{table} GROUP BY site_id, {key}, model"""


def _over_models(function: str, beats: str) -> str:
    """The least or greatest credit of a key over all models; one without a row gives it 0."""
    window = "OVER (PARTITION BY site_id, dimension, key)"
    best = f"{function}(credited_micros) {window}"
    return (
        f"CASE WHEN COUNT(*) {window} < {len(MODELS)} AND 0 {beats} {best} THEN 0 ELSE {best} END"
    )


# "Half of the customers are lost in five years": 1 - 0.5 ** (1 / 5) a year.
HALF_LIFE_YARDSTICK, YEARLY_YARDSTICK = 60.0, 0.1294494367

_QUESTIONS = {
    "as_of": """
        SELECT site_id, MAX(day) AS newest_day, SUBSTR(MAX(day), 1, 7) AS newest_month
        FROM current_data_quality_daily WHERE received > duplicates + bots
        GROUP BY site_id""",
    "revenue_by_pinner": f"""
        WITH models AS ({_MODELS})
        SELECT s.site_id, s.pinner_id, m.model,
          COALESCE(c.credited_micros, 0) AS credited_micros,
          {_money("COALESCE(c.credited_micros, 0)")} AS credited,
          c.ci_low_micros, c.ci_high_micros, COALESCE(c.n_customers, 0) AS n_customers,
          s.pins, s.reach_total, s.influenced_micros,
          {_money("s.influenced_micros")} AS influenced
        FROM current_pinner_spheres s CROSS JOIN models m
        LEFT JOIN current_model_credits c ON c.site_id = s.site_id AND c.dimension = 'pinner'
          AND c.key = s.pinner_id AND c.model = m.model""",
    "revenue_by_product": _revenue_by("item_id", "item_daily"),
    "revenue_by_slot": _revenue_by("item_list_id", "slot_daily"),
    "revenue_by_recommender": _revenue_by("recommender_id", "recommender_daily"),
    "model_comparison": f"""
        SELECT site_id, dimension, key, model, credited_micros,
          {_money("credited_micros")} AS credited,
          credited_micros * 1.0 / NULLIF(SUM(credited_micros)
            OVER (PARTITION BY site_id, dimension, model), 0) AS share,
          {_over_models("MIN", "<")} AS lowest_micros,
          {_over_models("MAX", ">")} AS highest_micros,
          ci_low_micros, ci_high_micros, n_customers, n_effective
        FROM current_model_credits""",
    "pinner_sphere": "SELECT * FROM current_pinner_spheres",
    "fan_club": f"""
        SELECT site_id, top_percent, pinners, credited_micros, credited,
          credited_micros * 1.0 / NULLIF(sales_micros, 0) AS share_of_sales,
          {_exact("share_low", "share_high", "n_effective")}, ci_low_micros, ci_high_micros,
          own_micros, own, own_micros * 1.0 / NULLIF(sales_micros, 0) AS own_share_of_sales,
          by_or_through_micros, by_or_through,
          by_or_through_micros * 1.0 / NULLIF(sales_micros, 0) AS by_or_through_share_of_sales
        FROM current_fan_clubs
        WHERE model = '{DEFAULT_MODEL}' AND ranked_by = 'credited' AND top_percent IN (1, 5, 10)""",
    "lorenz_curve": f"""
        SELECT f.site_id, f.model, f.ranked_by, f.top_percent, f.pinners, f.amount_micros,
          f.amount_micros * 1.0 / NULLIF(c.total_micros, 0) AS share_of_all,
          f.amount_micros * 1.0 / NULLIF(f.sales_micros, 0) AS share_of_sales,
          {_exact("f.share_low", "f.share_high", "f.n_effective")}
        FROM (
          SELECT *, CASE ranked_by WHEN 'own' THEN own_micros ELSE credited_micros END
            AS amount_micros
          FROM current_fan_clubs
        ) f
        JOIN current_concentrations c ON c.site_id = f.site_id AND c.model = f.model
          AND c.ranked_by = f.ranked_by""",
    "concentration": f"""
        SELECT site_id, model, ranked_by, pinners, pinners_above_zero, total_micros, total,
          {_exact("gini", "gini_low", "gini_high", "n_effective")}
        FROM current_concentrations""",
    "relationship_depth": f"""
        SELECT d.site_id, d.people_from, d.depth, d.pinners, d.people,
          d.people * 1.0 / r.people AS share_of_people,
          d.pinners * 1.0 / r.pinners AS share_of_pinners,
          d.people * 1.0 / r.pinners AS people_per_pinner,
          d.visits * 1.0 / d.people AS visits_per_person,
          d.pins, d.influenced_micros, d.influenced,
          {_money("d.influenced_micros * 1.0 / d.people")} AS influenced_per_person
        FROM current_relationship_depths d
        JOIN current_relationship_depths r ON r.site_id = d.site_id
          AND r.people_from = d.people_from AND r.depth = 'reached'""",
    "retention": f"""
        SELECT site_id, population, cohort_month, months_since, month, people, active_people,
          active_people * 1.0 / people AS active_share,
          {_exact("active_low", "active_high")},
          buyers, buyers * 1.0 / people AS buyers_share,
          {_exact("buyers_low", "buyers_high")},
          net_micros, net, net_micros / 1000000.0 / people AS net_per_person, is_over
        FROM current_retention_cohorts""",
    "retention_half_life": f"""
        SELECT site_id, population, activity, since, lapse_months, people, lost, person_months,
          CAST(hazard AS numeric) AS lost_a_month,
          {_exact("half_life_months", "half_life_low", "half_life_high")},
          {_exact("lost_a_year", "lost_a_year_low", "lost_a_year_high")},
          {HALF_LIFE_YARDSTICK} AS yardstick_half_life_months,
          {YEARLY_YARDSTICK} AS yardstick_lost_a_year
        FROM current_retention_fits""",
    "data_quality": """
        SELECT site_id, event_name, SUM(received) AS received, SUM(duplicates) AS duplicates,
          SUM(bots) AS bots, SUM(late) AS late, SUM(quarantined) AS quarantined,
          CASE WHEN event_name = 'pin_visit' THEN SUM(matched_by_token) * 1.0
            / NULLIF(SUM(received - duplicates - bots), 0) END AS token_survival
        FROM current_data_quality_daily GROUP BY site_id, event_name""",
}


def view_definitions(dialect: str) -> dict[str, str]:
    """All views and their SELECTs, each after the views it reads; the last tells their digest."""
    current = {f"current_{name}": _current(name, dialect) for name in RESULTS}
    views = current | _QUESTIONS
    digest = hashlib.blake2b(repr(views).encode(), digest_size=16).hexdigest()
    return views | {_DIGEST_VIEW: f"SELECT '{digest}' AS digest"}


def views_are_current(connection: Connection) -> bool:
    """Whether the database has the views of this release."""
    if not inspect(connection).has_table(_DIGEST_VIEW):
        return False
    wanted = view_definitions(connection.dialect.name)[_DIGEST_VIEW]
    there = connection.scalar(text(f"SELECT digest FROM {_DIGEST_VIEW}"))
    return f"'{there}'" in wanted


def create_views(connection: Connection) -> None:
    """Makes all views anew, in the caller's transaction."""
    drop_views(connection)
    for name, select in view_definitions(connection.dialect.name).items():
        # A literal colon of the time format must not be taken for a bound parameter.
        connection.execute(text(f"CREATE VIEW {name} AS {select}".replace(":", r"\:")))


def drop_views(connection: Connection) -> None:
    """Drops all views, so that tables below them can change."""
    for name in reversed(view_definitions(connection.dialect.name)):
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
