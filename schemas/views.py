"""The views: what merchandisers query. They show the published run only.

`current_<table>` shows a result table's rows with money as decimals and times as text beside
the raw columns; the other views answer questions. They are dropped and made anew by every
upgrade, so only tables need migrations.
"""

import hashlib

from sqlalchemy import Connection, inspect, text

from schemas.ladder import AWAY, NEW, RUNGS
from schemas.loyalty_views import LOYALTY_VIEWS
from schemas.models import MODELS
from schemas.stages import STAGES
from schemas.tables import RESULTS, RUN_COLUMNS

_BASE, _NUMBER, _RUN = (
    f"(SELECT {column} FROM current_run WHERE pointer = 1)"
    for column in ("base_run", "run_number", "run_id")
)
_MILLION = "1000000.0"
_DIGEST_VIEW = "view_digest"
_RUN_TIMES = ("started_at", "published_at")
_MODELS = " UNION ALL ".join(f"SELECT '{model}' AS model" for model in MODELS)


def _money(column: str) -> str:
    return f"({column}) / {_MILLION}"


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


def _published_run(dialect: str) -> str:
    """What readers may know of the run they see: its manifest, and the settings it went by."""
    columns = (
        "run_id, run_number, code_version, events, rows AS rows_written, duration_seconds, is_full,"
        " ledger, settings, invariants"
    )
    times = ", ".join(f"{name}, {_utc(name, dialect)} AS {name}_utc" for name in _RUN_TIMES)
    return f"SELECT {columns}, {times} FROM runs WHERE run_number = {_NUMBER}"


def _last_attempt(dialect: str) -> str:
    """How the last run ended, whether it published anything or not."""
    times = ("began_at", "ended_at", "good_began_at", "good_ended_at")
    shown = ", ".join(f"{name}, {_utc(name, dialect)} AS {name}_utc" for name in times)
    return f"SELECT failure IS NULL AS is_good, failure, {shown} FROM attempts WHERE pointer = 1"


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


_RANK = " ".join(f"WHEN '{stage}' THEN {place}" for place, stage in enumerate(STAGES))
_MIN_EFFECTIVE = 30  # as of intervals of credit


def _place(rung: str) -> str:
    """The number of a rung, from 1; null for what is none."""
    numbered = " ".join(f"WHEN '{name}' THEN {place}" for place, name in enumerate(RUNGS, start=1))
    return f"CASE {rung} {numbered} END"


_OF_LADDER = "PARTITION BY site_id, dimension, key, day"
_OF_GRAPH = [
    column.name
    for column in RESULTS["pinner_graph"].__table__.columns
    if column.name not in {*RUN_COLUMNS, "site_id", "pinner_id"}
]
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
    "pinner_sphere": f"""
        SELECT s.*, s.repinners_hop_1 * 1.0 / NULLIF(s.reach_hop_1, 0) AS repin_rate_hop_1,
          (s.reach_total - s.reach_hop_1) * 1.0 / NULLIF(s.reach_hop_1, 0) AS amplification,
          {", ".join(f"g.{name}" for name in _OF_GRAPH)}
        FROM current_pinner_spheres s
        LEFT JOIN current_pinner_graph g ON g.site_id = s.site_id AND g.pinner_id = s.pinner_id""",
    "best_pinners": """
        SELECT m.site_id, m.place, m.pinner_id, m.own_people, m.gained_people, m.covered_people,
          m.share, s.pins, s.visits, s.credited_micros, s.credited, g.influence_rank,
          g.community_id, g.reproduction_number
        FROM current_marginal_reach m
        JOIN current_pinner_spheres s ON s.site_id = m.site_id AND s.pinner_id = m.pinner_id
        JOIN current_pinner_graph g ON g.site_id = m.site_id AND g.pinner_id = m.pinner_id""",
    "pinner_stage": """
        SELECT s.site_id, s.pinner_id, s.stage, s.month AS since_month, s.recency_months,
          s.active_months, s.depth, s.reciprocity, s.purchases,
          s.left_month AS next_month, n.stage AS next_stage
        FROM current_pinner_stages s
        JOIN as_of a ON a.site_id = s.site_id AND s.month <= a.newest_month
          AND (s.left_month IS NULL OR s.left_month > a.newest_month)
        LEFT JOIN current_pinner_stages n ON n.site_id = s.site_id
          AND n.pinner_id = s.pinner_id AND n.month = s.left_month""",
    # The table counts who is forgotten for good once; from then on she stays a stranger.
    "stage_moves": f"""
        WITH shown AS (
          SELECT t.*, a.newest_month, a.newest_day FROM current_stage_transitions t
          JOIN as_of a ON a.site_id = t.site_id AND t.month <= a.newest_month
        ), months AS (
          SELECT site_id, month, MAX(last_day) AS last_day, MAX(newest_month) AS newest_month,
            MAX(newest_day) AS newest_day, SUM(settled) AS settled
          FROM shown GROUP BY site_id, month
        ), parts AS (
          SELECT site_id, month, from_stage, to_stage, people, people_with_revenue,
            credited_next_90_micros, own_next_90_micros, standard_error_micros FROM shown
          UNION ALL
          SELECT site_id, month, '{STAGES[0]}', '{STAGES[0]}',
            SUM(settled) OVER (PARTITION BY site_id ORDER BY month) - settled, 0, 0, 0, 0.0
          FROM months
        ), moves AS (
          SELECT site_id, month, from_stage, to_stage, SUM(people) AS people,
            SUM(people_with_revenue) AS people_with_revenue,
            SUM(credited_next_90_micros) AS credited_next_90_micros,
            SUM(own_next_90_micros) AS own_next_90_micros,
            SUM(standard_error_micros) AS standard_error_micros
          FROM parts GROUP BY site_id, month, from_stage, to_stage HAVING SUM(people) > 0
        )
        SELECT v.site_id, v.month, v.from_stage, v.to_stage, v.people,
          v.people * 1.0 / SUM(v.people) OVER (PARTITION BY v.site_id, v.month, v.from_stage)
            AS probability,
          v.people_with_revenue, v.credited_next_90_micros,
          {_money("v.credited_next_90_micros")} AS credited_next_90, v.own_next_90_micros,
          {_money("v.own_next_90_micros")} AS own_next_90, v.standard_error_micros,
          v.month < m.newest_month AS is_over, m.last_day < m.newest_day AS is_final
        FROM moves v JOIN months m ON m.site_id = v.site_id AND m.month = v.month""",
    "stage_values": f"""
        SELECT site_id, month, to_stage AS stage, SUM(people) AS people,
          SUM(people_with_revenue) AS people_with_revenue,
          SUM(credited_next_90_micros) AS credited_next_90_micros,
          {_money("SUM(credited_next_90_micros)")} AS credited_next_90,
          SUM(own_next_90_micros) AS own_next_90_micros,
          {_money("SUM(own_next_90_micros)")} AS own_next_90,
          {_money("SUM(credited_next_90_micros + own_next_90_micros)")} / SUM(people)
            AS value_per_pinner, is_final
        FROM stage_moves GROUP BY site_id, month, to_stage, is_final""",
    "move_values": f"""
        WITH pairs AS (
          SELECT m.site_id, m.from_stage, m.to_stage, m.people * 1.0 AS movers,
            s.people * 1.0 AS stayers,
            (m.credited_next_90_micros + m.own_next_90_micros) * 1.0 AS moved_micros,
            (s.credited_next_90_micros + s.own_next_90_micros) * 1.0 AS stayed_micros,
            m.standard_error_micros AS moved_error, s.standard_error_micros AS stayed_error
          FROM stage_moves m JOIN stage_moves s ON s.site_id = m.site_id AND s.month = m.month
            AND s.from_stage = m.from_stage AND s.to_stage = m.from_stage
          WHERE m.from_stage <> m.to_stage AND m.is_final
        ), moves AS (
          SELECT site_id, from_stage, to_stage, COUNT(*) AS months, SUM(movers) AS movers,
            SUM(moved_micros) / SUM(movers) / {_MILLION} AS value_moved,
            SUM(movers * stayed_micros / stayers) / SUM(movers) / {_MILLION} AS value_stayed,
            SUM(moved_error + movers * stayed_error / stayers) / SUM(movers) / {_MILLION}
              AS error,
            SUM(moved_micros) * SUM(moved_micros)
              >= {_MIN_EFFECTIVE} * SUM(moved_error * moved_error) AND SUM(moved_error) > 0
            AND SUM(stayed_micros) * SUM(stayed_micros)
              >= {_MIN_EFFECTIVE} * SUM(stayed_error * stayed_error) AND SUM(stayed_error) > 0
              AS is_enough
          FROM pairs GROUP BY site_id, from_stage, to_stage
        )
        SELECT site_id, from_stage, to_stage,
          CASE to_stage {_RANK} END > CASE from_stage {_RANK} END AS is_up,
          months, movers, value_moved, value_stayed, value_moved - value_stayed AS difference,
          CASE WHEN is_enough THEN value_moved - value_stayed - 1.96 * error END
            AS difference_low,
          CASE WHEN is_enough THEN value_moved - value_stayed + 1.96 * error END
            AS difference_high
        FROM moves""",
    "engagement_ladder": f"""
        SELECT site_id, dimension, key, day, rung, {_place("rung")} AS rung_number, people, acts,
          SUM(people) OVER ({_OF_LADDER} ORDER BY {_place("rung")} DESC) AS people_or_higher,
          people * 1.0 / NULLIF(SUM(people) OVER ({_OF_LADDER}), 0) AS share
        FROM current_ladder_daily""",
    "ladder_conversion": f"""
        WITH moved AS (
          SELECT m.site_id, m.dimension, m.key, SUBSTR(m.day, 1, 7) AS month,
            m.from_rung, m.to_rung, SUM(m.people) AS moves
          FROM current_ladder_moves m
          JOIN as_of a ON a.site_id = m.site_id AND m.day <= a.newest_day
          GROUP BY m.site_id, m.dimension, m.key, SUBSTR(m.day, 1, 7), m.from_rung, m.to_rung
        )
        SELECT site_id, dimension, key, month, from_rung, to_rung,
          CASE WHEN from_rung = '{NEW}' THEN 'arrived' WHEN from_rung = '{AWAY}' THEN 'returned'
            WHEN to_rung = '{AWAY}' THEN 'left'
            WHEN {_place("to_rung")} > {_place("from_rung")} THEN 'up'
            WHEN {_place("to_rung")} < {_place("from_rung")} THEN 'down'
            ELSE 'same' END AS direction,
          moves,
          moves * 1.0 / SUM(moves) OVER (
            PARTITION BY site_id, dimension, key, month, from_rung) AS probability
        FROM moved""",
    "data_quality": """
        SELECT site_id, event_name, SUM(received) AS received, SUM(duplicates) AS duplicates,
          SUM(bots) AS bots, SUM(late) AS late, SUM(quarantined) AS quarantined,
          CASE WHEN event_name = 'pin_visit' THEN SUM(matched_by_token) * 1.0
            / NULLIF(SUM(received - duplicates - bots), 0) END AS token_survival
        FROM current_data_quality_daily GROUP BY site_id, event_name""",
    "token_survival": """
        SELECT site_id, day, user_agent_class, landings, with_token,
          with_token * 1.0 / landings AS survival,
          in_query, in_fragment, by_epik, by_user_agent, by_referrer
        FROM (
          SELECT site_id, day, user_agent_class, SUM(landings) AS landings,
            SUM(CASE match_method WHEN 'token' THEN landings ELSE 0 END) AS with_token,
            SUM(CASE token_carrier WHEN 'query' THEN landings ELSE 0 END) AS in_query,
            SUM(CASE token_carrier WHEN 'fragment' THEN landings ELSE 0 END) AS in_fragment,
            SUM(CASE match_method WHEN 'epik' THEN landings ELSE 0 END) AS by_epik,
            SUM(CASE match_method WHEN 'user_agent' THEN landings ELSE 0 END) AS by_user_agent,
            SUM(CASE match_method WHEN 'referrer' THEN landings ELSE 0 END) AS by_referrer
          FROM current_landings_daily GROUP BY site_id, day, user_agent_class
        ) landed""",
}


def view_definitions(dialect: str) -> dict[str, str]:
    """All views and their SELECTs, each after the views it reads; the last tells their digest."""
    current = {f"current_{name}": _current(name, dialect) for name in RESULTS}
    of_runs = {"published_run": _published_run(dialect), "last_attempt": _last_attempt(dialect)}
    views = current | _QUESTIONS | LOYALTY_VIEWS | of_runs
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
