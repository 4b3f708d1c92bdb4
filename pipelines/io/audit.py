"""The checks that guard published rows: each finds rows that must not exist."""

from sqlalchemy import Connection, text

from pipelines.io.runs import PublishedRun
from schemas.models import DEFAULT_MODEL, MODELS

SQL_LEDGER = "sql"
# Orders that an incremental run touched; while it is checked, only they are looked at.
TOUCHED_ORDERS = "touched_orders"


def shown(row: str) -> str:
    """The condition under which run `:run` of base `:base` has a row."""
    return f"{row}.base_run = :base AND {row}.since_run <= :run AND {row}.until_run > :run"


_CREDITS = f"""
    SELECT site_id, order_id, line_id, COUNT(*) AS models,
      MIN(micros) AS lowest, MAX(micros) AS highest
    FROM (
      SELECT site_id, order_id, line_id, model, SUM(credit_micros) AS micros
      FROM order_credits c WHERE {shown("c")} AND {{c}}
      GROUP BY site_id, order_id, line_id, model
    ) by_model GROUP BY site_id, order_id, line_id"""

# `{o}` and the like restrict a table to the orders touched, where only they are looked at.
_BY_ORDER = {
    "an order is the sum of its lines": f"""
        SELECT o.site_id, o.order_id, o.net_micros, l.net_micros
        FROM orders o LEFT JOIN (
          SELECT site_id, order_id, SUM(net_micros) AS net_micros
          FROM order_lines l WHERE {shown("l")} AND {{l}} GROUP BY site_id, order_id
        ) l ON l.site_id = o.site_id AND l.order_id = o.order_id
        WHERE {shown("o")} AND {{o}} AND o.net_micros <> COALESCE(l.net_micros, 0)""",
}
_LEDGER_BY_ORDER = {
    "per model and line, credits + unattributed = net": f"""
        SELECT l.site_id, l.order_id, l.line_id, l.is_credited, l.net_micros,
          c.models, c.lowest, c.highest
        FROM order_lines l LEFT JOIN ({_CREDITS}) c
          ON c.site_id = l.site_id AND c.order_id = l.order_id AND c.line_id = l.line_id
        WHERE {shown("l")} AND {{l}} AND CASE
          WHEN NOT l.is_credited THEN c.models IS NOT NULL
          WHEN c.models IS NULL THEN l.net_micros <> 0
          ELSE c.lowest <> l.net_micros OR c.highest <> l.net_micros
            OR (l.net_micros <> 0 AND c.models <> {len(MODELS)}) END""",
    "every credit is of a line that is there": f"""
        SELECT c.site_id, c.order_id, c.line_id
        FROM order_credits c LEFT JOIN order_lines l ON l.site_id = c.site_id
          AND l.order_id = c.order_id AND l.line_id = c.line_id AND {shown("l")}
        WHERE {shown("c")} AND {{c}} AND l.line_id IS NULL""",
}
_WHOLE = {
    "sales by day are the orders": f"""
        SELECT o.site_id, o.net_micros, o.credited_micros, s.model, s.net_micros, s.credited_micros
        FROM (
          SELECT l.site_id, SUM(l.net_micros) AS net_micros,
            SUM(CASE WHEN l.is_credited THEN l.net_micros ELSE 0 END) AS credited_micros
          FROM order_lines l WHERE {shown("l")} GROUP BY l.site_id
        ) o LEFT JOIN (
          SELECT site_id, model, SUM(net_micros) AS net_micros,
            SUM(credited_micros) AS credited_micros,
            SUM(unattributed_micros) AS unattributed_micros
          FROM sales_daily d WHERE {shown("d")} GROUP BY site_id, model
        ) s ON s.site_id = o.site_id
        WHERE s.model IS NULL OR s.net_micros <> o.net_micros
          OR s.credited_micros <> o.credited_micros
          OR s.credited_micros + s.unattributed_micros <> s.net_micros""",
    "pinners' credit adds up to their spheres' credit": f"""
        SELECT s.site_id, s.pinner_id, s.credited_micros, m.credited_micros
        FROM pinner_spheres s LEFT JOIN model_credits m ON m.site_id = s.site_id
          AND m.dimension = 'pinner' AND m.key = s.pinner_id AND m.model = '{DEFAULT_MODEL}'
          AND {shown("m")}
        WHERE {shown("s")} AND s.credited_micros <> COALESCE(m.credited_micros, 0)""",
    "a site's credit is what its sales say": f"""
        SELECT m.site_id, m.model, m.credited_micros, s.credited_micros
        FROM model_credits m LEFT JOIN (
          SELECT site_id, model, SUM(credited_micros) AS credited_micros
          FROM sales_daily d WHERE {shown("d")} GROUP BY site_id, model
        ) s ON s.site_id = m.site_id AND s.model = m.model
        WHERE {shown("m")} AND m.dimension = 'site'
          AND m.credited_micros <> COALESCE(s.credited_micros, 0)""",
    "landings by client are the visits": f"""
        SELECT l.site_id, l.landings, v.landings
        FROM (
          SELECT site_id, SUM(landings) AS landings
          FROM landings_daily d WHERE {shown("d")} GROUP BY site_id
        ) l LEFT JOIN (
          SELECT site_id, COUNT(*) AS landings FROM visits v WHERE {shown("v")} GROUP BY site_id
        ) v ON v.site_id = l.site_id
        WHERE l.landings <> COALESCE(v.landings, 0)""",
    "the whole fan club has all pinners' credit, of all sales": f"""
        SELECT f.site_id, f.credited_micros, s.credited_micros, f.sales_micros, d.net_micros
        FROM fan_clubs f LEFT JOIN (
          SELECT site_id, SUM(credited_micros) AS credited_micros
          FROM pinner_spheres s WHERE {shown("s")} GROUP BY site_id
        ) s ON s.site_id = f.site_id LEFT JOIN (
          SELECT site_id, SUM(net_micros) AS net_micros
          FROM sales_daily d WHERE {shown("d")} AND model = '{DEFAULT_MODEL}' GROUP BY site_id
        ) d ON d.site_id = f.site_id
        WHERE {shown("f")} AND f.model = '{DEFAULT_MODEL}' AND f.top_percent = 100
          AND (f.credited_micros <> s.credited_micros
            OR f.sales_micros <> COALESCE(d.net_micros, 0))""",
}
_LEDGER_WHOLE = {
    "pinners' credit is the credit of their pins": f"""
        SELECT m.site_id, m.key, m.model, m.credited_micros, c.credit_micros
        FROM model_credits m LEFT JOIN (
          SELECT site_id, pinner_id, model, SUM(credit_micros) AS credit_micros
          FROM order_credits c WHERE {shown("c")} AND pinner_id IS NOT NULL
          GROUP BY site_id, pinner_id, model
        ) c ON c.site_id = m.site_id AND c.pinner_id = m.key AND c.model = m.model
        WHERE {shown("m")} AND m.dimension = 'pinner'
          AND m.credited_micros <> COALESCE(c.credit_micros, 0)""",
}


def audit(
    connection: Connection, run: PublishedRun, *, touched: bool = False
) -> dict[str, tuple[object, ...] | None]:
    """Looks for rows that break a promise.

    Args:
      connection: to the database.
      run: its rows are there; its credits are looked at where they lie in SQL.
      touched: look only at the orders named in the temporary table TOUCHED_ORDERS.

    Returns:
      For each promise one row that breaks it, or None where it holds.
    """
    promises = dict(_BY_ORDER)
    if run.ledger == SQL_LEDGER:
        promises |= _LEDGER_BY_ORDER
    if not touched:
        promises |= _WHOLE | (_LEDGER_WHOLE if run.ledger == SQL_LEDGER else {})
    scope = {row: _of_touched(row) if touched else "1 = 1" for row in "olc"}
    found: dict[str, tuple[object, ...] | None] = {}
    for promise, query in promises.items():
        statement = text(f"{query.format(**scope)} LIMIT 1")
        row = connection.execute(statement, {"run": run.run_number, "base": run.base_run}).first()
        found[promise] = None if row is None else tuple(row)
    return found


def told(found: dict[str, tuple[object, ...] | None], *, with_ids: bool = False) -> list[str]:
    """What does not hold, each with the row that shows it.

    Without ids a row is its site and its numbers: errors of runs go to logs, and logs are read
    by many and outlive an erasure.
    """
    return [
        f"{promise}; broken by {row if with_ids else (row[0], *filter(_is_number, row[1:]))}"
        for promise, row in found.items()
        if row is not None
    ]


def _is_number(value: object) -> bool:
    return not isinstance(value, str)


def _of_touched(row: str) -> str:
    orders = f"SELECT site_id, order_id FROM {TOUCHED_ORDERS}"
    return f"({row}.site_id, {row}.order_id) IN ({orders})"
