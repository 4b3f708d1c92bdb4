"""Products: which sell because they are pinned, directly or by leading to others."""

from collections import defaultdict

from console.blocks import Block, Chart, Empty, Page, Table
from console.charts import dots_per_model, height_of
from console.choices import Choices
from console.questions import Ask, Question, Row
from schemas.money import MICROS

_CHARTED = 12
_LISTED = 500
# Not LIKE: what is looked for may hold its signs, and the databases differ in how to escape them.
_FOUND = """\
WHERE site_id = :site AND day BETWEEN :since AND :until
  AND (:search = '' OR REPLACE(LOWER(item_id), LOWER(:search), '') <> LOWER(item_id))"""

QUESTIONS = (
    Question(
        "products",
        "Which products sell because they are pinned, directly or by assisting others?",
        f"""\
SELECT item_id, SUM(views) AS views, SUM(clicks) AS clicks, SUM(pins) AS pins,
       SUM(pin_visits) AS pin_visits, SUM(orders) AS orders,
       SUM(credited_micros) AS credited_micros, SUM(direct_micros) AS direct_micros,
       SUM(credited_micros) - SUM(direct_micros) AS assisted_micros,
       ROUND(SUM(credited_micros) * 1.0 / NULLIF(SUM(pins), 0)) AS credited_per_pin_micros
FROM current_item_daily
{_FOUND} AND model = :model
GROUP BY item_id
ORDER BY SUM(credited_micros) DESC, item_id""",
        {
            "item_id": "link_item",
            "views": "count",
            "clicks": "count",
            "pins": "count",
            "pin_visits": "count",
            "orders": "count",
            "credited_micros": "money",
            "direct_micros": "money",
            "assisted_micros": "money",
            "credited_per_pin_micros": "money",
        },
        "The product is the one pinned. Direct: it was bought itself; assisted: its pin led to"
        " another. An order may count for several products: do not add orders.",
    ),
    Question(
        "products_by_model",
        "How much does the credit of the leading products depend on the model?",
        f"""\
WITH charted AS (
  SELECT item_id, SUM(credited_micros) AS leading_micros
  FROM current_item_daily
  {_FOUND} AND model = :model
  GROUP BY item_id
  HAVING SUM(credited_micros) <> 0
  ORDER BY SUM(credited_micros) DESC, item_id LIMIT {_CHARTED}
)
SELECT d.item_id, d.model, SUM(d.credited_micros) AS credited_micros,
       SUM(d.direct_micros) AS direct_micros
FROM current_item_daily d JOIN charted c ON c.item_id = d.item_id
WHERE d.site_id = :site AND d.day BETWEEN :since AND :until
GROUP BY c.leading_micros, d.item_id, d.model
ORDER BY c.leading_micros DESC, d.item_id, d.model""",
        {
            "item_id": "link_item",
            "model": "text",
            "credited_micros": "money",
            "direct_micros": "money",
        },
        "Each model shares out the same sum: never add models.",
    ),
)


def build(ask: Ask, choices: Choices) -> Page:
    """The products with most credit on lines with a dot a model, and all of them in a table."""
    title, note = "All products", ""
    if choices.search:
        title = f"Products with {choices.search!r} in their name"
        note = "What was looked for, alone. Products, above, has all."
    products = Table.top(ask, "products", title, _LISTED, QUESTIONS[0].note)
    if not products.rows:
        return Page(
            "Products",
            [
                Empty(
                    f"No product has {choices.search!r} in its name."
                    if choices.search
                    else "No product was shown or pinned in these days.",
                    "Look for a part of the name, or choose other days. Products, above, has all."
                    if choices.search
                    else "Choose other days. If there never was any: are lists marked, and does"
                    " every pin name its product? pinsphere doctor looks.",
                )
            ],
        )
    blocks: list[Block] = []
    if credit := _credit(ask("products_by_model")):
        blocks.append(
            Chart(
                "Where the models disagree",
                dots_per_model(credit, choices.model, "money", "Credit of products by model"),
                "products_by_model",
                f"A line for each product, at most {_CHARTED} with most credit; a dot for each"
                f" model, {choices.model} in colour. A long line: the answer depends on the model.",
                height=height_of(len(credit)),
            )
        )
    return Page("Products", [*blocks, products], note)


def _credit(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Credit in units of the currency, by product in the order of the rows, then by model."""
    credit: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for row in rows:
        credit[row["item_id"]][row["model"]] = row["credited_micros"] / MICROS
    return credit
