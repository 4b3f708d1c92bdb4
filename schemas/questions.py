"""The five questions merchandisers ask first, in SQL: shown in the README, run by the demo."""

from typing import NamedTuple


class Question(NamedTuple):
    """A question and the query on the views that answers it."""

    title: str
    sql: str


QUESTIONS = (
    Question(
        "Who pins, whom does she reach, and what revenue does she bring?",
        """\
SELECT pinner_id, pins, reach_total, ROUND(credited, 2) AS credited,
       ROUND(influenced, 2) AS influenced_overlapping
FROM revenue_by_pinner
WHERE site_id = 'acme' AND model = 'time_decay'
ORDER BY credited_micros DESC, pinner_id LIMIT 10""",
    ),
    Question(
        "Which products sell because they are pinned, directly or by assisting others?",
        """\
SELECT item_id, pins, pin_visits, orders, ROUND(direct, 2) AS direct,
       ROUND(assisted, 2) AS assisted
FROM revenue_by_product
WHERE site_id = 'acme' AND model = 'time_decay'
ORDER BY credited_micros DESC, item_id LIMIT 10""",
    ),
    Question(
        "Which slot earns its place on the page: pins, visits and revenue per thousand views?",
        """\
SELECT item_list_id, views, pins, pin_visits, ROUND(credited, 2) AS credited,
       ROUND(1000 * credited / NULLIF(views, 0), 2) AS per_1000_views
FROM revenue_by_slot
WHERE site_id = 'acme' AND model = 'time_decay'
ORDER BY credited_micros DESC, item_list_id""",
    ),
    Question(
        "Which recommender earns more, and how much does that depend on the model?",
        """\
SELECT key AS recommender_id, ROUND(credited, 2) AS credited, ROUND(share, 3) AS share,
       ROUND(lowest_micros / 1000000.0, 2) AS lowest_of_models,
       ROUND(highest_micros / 1000000.0, 2) AS highest_of_models
FROM model_comparison
WHERE site_id = 'acme' AND dimension = 'recommender' AND model = 'time_decay'
ORDER BY credited_micros DESC, key""",
    ),
    Question(
        "How much of all sales came through pins, to the micro, and how much did not?",
        """\
SELECT SUM(orders) AS orders, SUM(credited_orders) AS orders_through_pins,
       SUM(net_micros) AS net_micros, SUM(credited_micros) AS through_pins_micros,
       SUM(unattributed_micros) AS unattributed_micros,
       ROUND(SUM(credited_micros) / 1000000.0, 2) AS through_pins,
       ROUND(SUM(unattributed_micros) / 1000000.0, 2) AS unattributed
FROM current_sales_daily
WHERE site_id = 'acme' AND model = 'time_decay'""",
    ),
)
