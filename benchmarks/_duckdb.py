"""The job in DuckDB's SQL, as well as we can write it: one site, the rules in their simple cases.

Timed on 1M and 10M events and left out, being slower or larger:

- repeats by `QUALIFY row_number()` (1.5 times the CPU of that statement), `DISTINCT ON` (1.6),
  `GROUP BY` with `arg_min` (1.2), or grouped by the ids themselves (the same CPU at 1M, 5 % more
  at 10M, and 300 MB more memory);
- logins by `ASOF JOIN` (the whole job 1.5 times);
- visits kept as a table, then stitched, then joined with pins (10 % more CPU at 10M);
- landings kept with the texts of pin, product and pinner (the same CPU, 400 MB more).
"""

from pathlib import Path
from typing import Any

# Ids that came more than once. They are counted by their 64-bit hashes, which takes a fraction of
# the memory; the few that may repeat are then grouped by themselves.
REPEATED = (
    """
CREATE TEMP TABLE {name}_suspects AS
SELECT hash(event_id) AS hashed FROM {files} GROUP BY 1 HAVING count(*) > 1
""",
    """
CREATE TEMP TABLE {name}_repeated AS
SELECT event_id, min(received_time_ms) AS received FROM {files}
WHERE hash(event_id) IN (FROM {name}_suspects) GROUP BY 1 HAVING count(*) > 1
""",
)
# The first received of each id, without crawlers.
ONCE = """
FROM {files} e LEFT JOIN {name}_repeated r ON e.event_id = r.event_id
WHERE (r.received IS NULL OR r.received = e.received_time_ms)
    AND e.user_agent_class NOT IN ('bot', 'pinterestbot')
"""
KEPT = "CREATE TEMP TABLE {name} AS SELECT {columns} " + ONCE
AT = "event_time_ms + coalesce(received_time_ms - sent_time_ms, 0) AS at_ms"
VIEWS = f"""
CREATE TEMP TABLE views AS
SELECT item_id, count(*) AS views FROM (SELECT unnest(e.items).item_id AS item_id {ONCE}) GROUP BY 1
"""
# Whose a visitor was, from when until when: one row, unless the device changed hands.
PEOPLE = """
CREATE TEMP TABLE owners AS
WITH logins AS (
    SELECT visitor_id, customer_id, at_ms FROM identify
    WHERE visitor_id IS NOT NULL AND action = 'login'
    UNION ALL
    SELECT visitor_id, customer_id, at_ms FROM purchase
    WHERE visitor_id IS NOT NULL AND customer_id IS NOT NULL
), once AS (
    SELECT visitor_id, at_ms, max(customer_id) AS customer_id FROM logins GROUP BY ALL
), changes AS (
    SELECT *, lag(customer_id) OVER w AS before FROM once
    WINDOW w AS (PARTITION BY visitor_id ORDER BY at_ms)
    QUALIFY before IS DISTINCT FROM customer_id
)
SELECT visitor_id, customer_id,
    CASE WHEN before IS NULL THEN -1 ELSE at_ms END AS since,
    lead(at_ms, 1, 1::BIGINT << 62) OVER (PARTITION BY visitor_id ORDER BY at_ms) AS until
FROM changes
"""
STITCHED = """
CREATE TEMP TABLE {stitched} AS
SELECT e.* EXCLUDE (visitor_id, customer_id),
    coalesce(e.customer_id, o.customer_id, 'v:' || e.visitor_id) AS person_id
FROM {name} e LEFT JOIN owners o
    ON e.visitor_id = o.visitor_id AND e.at_ms >= o.since AND e.at_ms < o.until
"""
LINES = """
CREATE TEMP TABLE lines AS
WITH sold AS (SELECT order_id, unnest(items) AS i FROM purchase),
refunded AS (
    SELECT order_id, r.line_id, sum(r.amount_micros)::BIGINT AS micros
    FROM (SELECT order_id, unnest(items) AS r FROM refund) GROUP BY 1, 2
)
SELECT b.order_id, i.quantity * i.price_micros - i.discount_micros - coalesce(micros, 0) AS net
FROM sold b LEFT JOIN refunded r ON r.order_id = b.order_id AND r.line_id = i.line_id
"""
BUYERS = """
CREATE TEMP TABLE buyers AS
SELECT person_id, row_number() OVER () AS buyer
FROM (SELECT DISTINCT person_id FROM bought WHERE person_id IS NOT NULL)
"""
# Landings go from the files past the repeats, the pins, the people and the buyers in one pass;
# what is kept of them are numbers, and the texts that a buyer's path is ordered by.
LANDED = f"""
CREATE TEMP TABLE landed AS
WITH visits AS (SELECT e.event_id, e.visitor_id, e.customer_id, e.pin_id, {AT} {ONCE}),
stitched AS (
    SELECT coalesce(v.customer_id, o.customer_id, 'v:' || v.visitor_id) AS person_id,
        v.event_id, v.at_ms, p.rowid AS pin, p.person_id AS pinner_id
    FROM visits v JOIN pinned p ON v.pin_id = p.pin_id LEFT JOIN owners o
        ON v.visitor_id = o.visitor_id AND v.at_ms >= o.since AND v.at_ms < o.until
)
SELECT s.pin, s.at_ms, b.buyer, CASE WHEN b.buyer IS NOT NULL THEN s.event_id END AS event_id,
    s.person_id IS DISTINCT FROM s.pinner_id AS is_by_other
FROM stitched s LEFT JOIN buyers b ON s.person_id = b.person_id
"""
# Every order's touches of the 30 days before it in their order, and what each model takes of them.
PATHS = """
CREATE TEMP TABLE paths AS
WITH touches AS (
    SELECT buyer, event_id, at_ms, pin FROM landed WHERE buyer IS NOT NULL
    UNION ALL
    SELECT buyer, event_id, at_ms, pinned.rowid FROM pinned JOIN buyers USING (person_id)
), orders AS (
    SELECT bought.rowid AS number, order_id, buyer, at_ms FROM bought JOIN buyers USING (person_id)
), pairs AS (
    SELECT o.number, o.order_id, t.pin,
        row_number() OVER w AS place,
        lead(t.pin) OVER w IS NULL AS is_last,
        lead(t.pin) OVER w IS DISTINCT FROM t.pin AS is_linear
    FROM orders o JOIN touches t ON o.buyer = t.buyer
        AND t.at_ms BETWEEN o.at_ms - 2592000000 AND o.at_ms
    WINDOW w AS (PARTITION BY o.number ORDER BY t.at_ms, t.event_id)
), ranked AS (
    SELECT order_id, pin, place = 1 AS is_first, is_last, is_linear,
        sum(is_linear::INT) OVER (PARTITION BY number ORDER BY place) AS rank,
        sum(is_linear::INT) OVER (PARTITION BY number) AS ranks
    FROM pairs
)
SELECT r.* EXCLUDE (pin), p.person_id AS pinner_id, p.item_id
FROM ranked r JOIN pinned p ON p.rowid = r.pin
WHERE is_first OR is_linear
"""
# Three models; the micros that a division leaves go one each to the earliest touches.
CREDITS = """
CREATE TEMP TABLE credits AS
SELECT 'first' AS model, order_id, pinner_id, item_id, net AS micros
FROM paths JOIN lines USING (order_id) WHERE is_first
UNION ALL
SELECT 'last', order_id, pinner_id, item_id, net
FROM paths JOIN lines USING (order_id) WHERE is_last
UNION ALL
SELECT 'linear', order_id, pinner_id, item_id, net // ranks + (rank <= net % ranks)::INT
FROM paths JOIN lines USING (order_id) WHERE is_linear
"""
SUMS = """
SELECT 'pinner' AS dimension, pinner_id AS key, model, sum(micros)::BIGINT AS micros
FROM credits WHERE pinner_id IS NOT NULL GROUP BY ALL
UNION ALL
SELECT 'product', item_id, model, sum(micros)::BIGINT FROM credits WHERE item_id IS NOT NULL
GROUP BY ALL
"""
ITEMS = """
WITH parts AS (
    SELECT item_id, 'views' AS what, views AS n FROM views
    UNION ALL SELECT item_id, 'pins', count(*) FROM pinned GROUP BY 1
    UNION ALL SELECT item_id, 'pin_visits', count(*) FROM landed JOIN pinned p ON p.rowid = pin
        WHERE is_by_other GROUP BY 1
    UNION ALL SELECT item_id, 'orders ' || model, count(DISTINCT order_id) FROM credits
        GROUP BY item_id, model
)
SELECT item_id, what, sum(n)::BIGINT AS n FROM parts WHERE item_id IS NOT NULL GROUP BY ALL
"""
COLUMNS = {
    "pin": f"e.event_id, visitor_id, customer_id, pin_id, item_id, {AT}",
    "identify": f"visitor_id, customer_id, action, {AT}",
    "purchase": f"visitor_id, customer_id, order_id, items, {AT}",
    "refund": "order_id, items",
}


def statements(home: Path) -> list[str]:
    """The job on a home directory's lake, up to the tables of which `SUMS` and `ITEMS` tell."""

    def once(name: str, *then: str, columns: str = "") -> list[str]:
        files = f"read_parquet('{home}/lake/{name}/*/*/*.parquet', hive_partitioning = false)"
        return [s.format(name=name, files=files, columns=columns) for s in (*REPEATED, *then)]

    return [
        *(s for name, columns in COLUMNS.items() for s in once(name, KEPT, columns=columns)),
        *once("view_item_list", VIEWS),
        PEOPLE,
        STITCHED.format(stitched="pinned", name="pin"),
        STITCHED.format(stitched="bought", name="purchase"),
        BUYERS,
        LINES,
        *once("pin_visit", LANDED),
        PATHS,
        CREDITS,
    ]


def answer(home: Path, out: Path) -> None:
    """Does the job; writes `credits.parquet` and `items.parquet`."""
    import duckdb

    engine: Any = duckdb.connect(
        config={
            "threads": 2,
            "autoinstall_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )
    for statement in statements(home):
        engine.execute(statement)
    engine.execute(f"COPY ({SUMS}) TO '{out}/credits.parquet'")
    engine.execute(f"COPY ({ITEMS}) TO '{out}/items.parquet'")
