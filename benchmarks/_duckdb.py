"""The job in DuckDB's SQL, as well as we can write it.

Timed in turns on 1M and 10M events and dropped because slower (see docs/benchmarks.md):
`QUALIFY row_number()`, `DISTINCT ON` and `GROUP BY` with `arg_min` for repeats; an `ASOF JOIN`
for logins.
"""

import sys
from pathlib import Path
from typing import Any

WINDOW_MS = 30 * 86_400_000

# The first received of each event id: ids are grouped alone, and only those that repeat are
# joined back, so that no other column passes through the hash table.
ONCE = """
CREATE TEMP TABLE {name} AS
WITH repeated AS (
    SELECT event_id, min(received_time_ms) AS received FROM {files} GROUP BY 1 HAVING count(*) > 1
)
SELECT {columns} FROM {files} e LEFT JOIN repeated r USING (event_id)
WHERE (r.received IS NULL OR r.received = e.received_time_ms)
    AND e.user_agent_class NOT IN ('bot', 'pinterestbot')
"""
AT = "event_time_ms + coalesce(received_time_ms - sent_time_ms, 0) AS at_ms"
LISTS = """
CREATE TEMP TABLE views AS
WITH repeated AS (
    SELECT event_id, min(received_time_ms) AS received FROM {files} GROUP BY 1 HAVING count(*) > 1
), shown AS (
    SELECT unnest(e.items).item_id AS item_id FROM {files} e LEFT JOIN repeated r USING (event_id)
    WHERE (r.received IS NULL OR r.received = e.received_time_ms)
        AND e.user_agent_class NOT IN ('bot', 'pinterestbot')
)
SELECT item_id, count(*) AS views FROM shown GROUP BY 1
"""
# Whose a visitor was, from when until when: one row, unless the device changed hands.
PEOPLE = """
CREATE TEMP TABLE owners AS
WITH logins AS (
    SELECT visitor_id, customer_id, at_ms FROM identifies
    WHERE visitor_id IS NOT NULL AND action = 'login'
    UNION ALL
    SELECT visitor_id, customer_id, at_ms FROM purchases
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
ORDERS = """
CREATE TEMP TABLE lines AS
WITH bought AS (SELECT order_id, unnest(items) AS i FROM purchases),
refunded AS (
    SELECT order_id, r.line_id, sum(r.amount_micros)::BIGINT AS micros
    FROM (SELECT order_id, unnest(items) AS r FROM refunds) GROUP BY 1, 2
)
SELECT b.order_id, i.quantity * i.price_micros - i.discount_micros - coalesce(micros, 0) AS net
FROM bought b LEFT JOIN refunded r ON r.order_id = b.order_id AND r.line_id = i.line_id
"""
LANDED = """
CREATE TEMP TABLE landed AS
SELECT v.*, p.person_id AS pinner_id, p.item_id
FROM stitched_visits v JOIN pinned p ON v.pin_id = p.pin_id
"""
# Every order's touches in their order, and what each model takes of them.
PATHS = f"""
CREATE TEMP TABLE paths AS
WITH touches AS (
    SELECT person_id, event_id, at_ms, pin_id, pinner_id, item_id FROM landed
    UNION ALL
    SELECT person_id, event_id, at_ms, pin_id, person_id, item_id FROM pinned
), pairs AS (
    SELECT o.order_id, t.pinner_id, t.item_id,
        row_number() OVER w = 1 AS is_first,
        lead(t.event_id) OVER w IS NULL AS is_last,
        lead(t.pin_id) OVER w IS DISTINCT FROM t.pin_id AS is_linear,
        row_number() OVER w AS place
    FROM stitched_purchases o JOIN touches t ON o.person_id = t.person_id
        AND t.at_ms BETWEEN o.at_ms - {WINDOW_MS} AND o.at_ms
    WINDOW w AS (PARTITION BY o.order_id ORDER BY t.at_ms, t.event_id)
)
SELECT order_id, pinner_id, item_id, is_first, is_last, is_linear,
    sum(is_linear::INT) OVER (PARTITION BY order_id ORDER BY place) AS rank,
    sum(is_linear::INT) OVER (PARTITION BY order_id) AS ranks
FROM pairs
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
    UNION ALL SELECT item_id, 'pin_visits', count(*) FROM landed
        WHERE person_id IS DISTINCT FROM pinner_id GROUP BY 1
    UNION ALL SELECT item_id, 'orders ' || model, count(DISTINCT order_id) FROM credits
        GROUP BY item_id, model
)
SELECT item_id, what, sum(n)::BIGINT AS n FROM parts WHERE item_id IS NOT NULL GROUP BY ALL
"""
COLUMNS = {
    "pin_visit": f"event_id, visitor_id, customer_id, pin_id, {AT}",
    "pin": f"event_id, visitor_id, customer_id, pin_id, item_id, {AT}",
    "identify": f"visitor_id, customer_id, action, {AT}",
    "purchase": f"visitor_id, customer_id, order_id, items, {AT}",
    "refund": "order_id, items",
}
NAMES = {
    "pin_visit": "visits",
    "pin": "pins",
    "identify": "identifies",
    "purchase": "purchases",
    "refund": "refunds",
}


def statements(home: Path) -> list[str]:
    """The job on a home directory's lake, up to the tables of which `SUMS` and `ITEMS` tell."""

    def files(name: str) -> str:
        return f"read_parquet('{home}/lake/{name}/*/*/*.parquet', hive_partitioning = false)"

    return [
        *(
            ONCE.format(name=NAMES[name], files=files(name), columns=columns)
            for name, columns in COLUMNS.items()
        ),
        LISTS.format(files=files("view_item_list")),
        PEOPLE,
        STITCHED.format(stitched="pinned", name="pins"),
        "DROP TABLE pins",
        STITCHED.format(stitched="stitched_visits", name="visits"),
        "DROP TABLE visits",
        STITCHED.format(stitched="stitched_purchases", name="purchases"),
        ORDERS,
        LANDED,
        "DROP TABLE stitched_visits",
        PATHS,
        CREDITS,
    ]


def answer(home: Path, out: Path) -> None:
    """Does the job; writes `credits.parquet` and `items.parquet`."""
    import duckdb

    engine: Any = duckdb.connect(config={"threads": 2, "autoinstall_known_extensions": False})
    for statement in statements(home):
        engine.execute(statement)
    engine.execute(f"COPY ({SUMS}) TO '{out}/credits.parquet'")
    engine.execute(f"COPY ({ITEMS}) TO '{out}/items.parquet'")


if __name__ == "__main__":
    answer(Path(sys.argv[1]), Path(sys.argv[2]))
