"""Slots and recommenders: which earn their place on the page, and how much the model decides it."""

from collections.abc import Sequence
from typing import NamedTuple

from console.blocks import WHOLE, Block, Chart, Empty, Page, Table
from console.charts import bars, dots_per_model, height_of
from console.choices import Choices
from console.questions import Ask, Question, Row
from schemas.models import MODELS
from schemas.money import MICROS

_DRAWN = 20
_COUNTED = (
    "Views, pins and visits by their own day, revenue by the day of the order, after refunds."
    " Direct: the product pinned is the product bought; assisted: the pin led to another one."
)
_ACTIVITY = """\
SELECT {key} AS {name}, SUM(views) AS views, SUM(pins) AS pins,
       SUM(pins) * 1.0 / NULLIF(SUM(views), 0) AS pin_rate,
       SUM(pin_visits) AS pin_visits,
       SUM(pin_visits) * 1.0 / NULLIF(SUM(pins), 0) AS visits_per_pin,
       SUM(orders) AS orders, SUM(credited_micros) AS credited_micros,
       SUM(direct_micros) AS direct_micros,
       SUM(credited_micros) - SUM(direct_micros) AS assisted_micros,
       ROUND(1000.0 * SUM(credited_micros) / NULLIF(SUM(views), 0))
         AS credited_per_1000_views_micros
FROM {table}
WHERE site_id = :site AND model = :model AND day BETWEEN :since AND :until
GROUP BY {key}
ORDER BY SUM(credited_micros) DESC, {key}"""
_BY_MODEL = """\
SELECT {key} AS {name}, model, SUM(credited_micros) AS credited_micros
FROM {table}
WHERE site_id = :site AND day BETWEEN :since AND :until
GROUP BY {key}, model
ORDER BY {key}, model"""
# As model_comparison has it; but that one weighs all pinners and products, to show a few slots.
_CERTAINTY = """\
SELECT key AS {name},
       SUM(CASE WHEN model = :model THEN credited_micros ELSE 0 END) AS credited_micros,
       CASE WHEN COUNT(*) < {models} AND MIN(credited_micros) > 0 THEN 0
         ELSE MIN(credited_micros) END AS least_of_models_micros,
       CASE WHEN COUNT(*) < {models} AND MAX(credited_micros) < 0 THEN 0
         ELSE MAX(credited_micros) END AS most_of_models_micros,
       MAX(CASE WHEN model = :model THEN ci_low_micros END) AS interval_low_micros,
       MAX(CASE WHEN model = :model THEN ci_high_micros END) AS interval_high_micros,
       SUM(CASE WHEN model = :model THEN n_customers ELSE 0 END) AS customers,
       MAX(CASE WHEN model = :model THEN n_effective END) AS effective_customers,
       CASE WHEN MAX(CASE WHEN model = :model THEN ci_low_micros END) IS NULL
         THEN 'too little data' ELSE 'enough' END AS data
FROM current_model_credits
WHERE site_id = :site AND dimension = '{name}'
GROUP BY key
ORDER BY 2 DESC, key"""


class _Dimension(NamedTuple):
    """What the page shows twice."""

    name: str  # the `dimension` of credits
    names: str
    key: str
    table: str
    what_to_do: str

    def ask(self, question: str) -> str:
        """The name of one of its questions."""
        return f"{self.name}s_{question}"

    def questions(self) -> tuple[Question, ...]:
        """Its three questions."""
        return (
            Question(
                self.ask("activity"),
                f"Which {self.name} earns its place: pins, visits and credited revenue?",
                self._sql(_ACTIVITY),
                {
                    self.name: "text",
                    "views": "count",
                    "pins": "count",
                    "pin_rate": "share",
                    "pin_visits": "count",
                    "visits_per_pin": "number",
                    "orders": "count",
                    "credited_micros": "money",
                    "direct_micros": "money",
                    "assisted_micros": "money",
                    "credited_per_1000_views_micros": "money",
                },
                _COUNTED,
            ),
            Question(
                self.ask("by_model"),
                f"How much is credited to each {self.name} under each model?",
                self._sql(_BY_MODEL),
                {self.name: "text", "model": "text", "credited_micros": "money"},
                "One model at a time: each shares out the same orders.",
            ),
            Question(
                self.ask("certainty"),
                f"How sure is the credit of each {self.name}?",
                self._sql(_CERTAINTY),
                {
                    self.name: "text",
                    "credited_micros": "money",
                    "least_of_models_micros": "money",
                    "most_of_models_micros": "money",
                    "interval_low_micros": "money",
                    "interval_high_micros": "money",
                    "customers": "count",
                    "effective_customers": "number",
                    "data": "text",
                },
                WHOLE,
            ),
        )

    def _sql(self, text: str) -> str:
        return text.format(key=self.key, models=len(MODELS), name=self.name, table=self.table)

    def blocks(self, ask: Ask, choices: Choices) -> list[Block]:
        """What there is to see of it."""
        rows = ask(self.ask("activity"))
        if not rows:
            return [Empty(f"No {self.names} in these days.", self.what_to_do)]
        drawn = rows[:_DRAWN]
        first = f"The first {_DRAWN} by credit. " if len(rows) > _DRAWN else ""
        rates = {row[self.name]: row["pin_rate"] for row in drawn if row["pin_rate"] is not None}
        return [
            Table(f"{self.names.capitalize()}", rows, self.ask("activity"), _COUNTED),
            Chart(
                f"Credit of {self.names}, a dot for each model",
                dots_per_model(
                    self._credit(ask(self.ask("by_model")), drawn),
                    choices.model,
                    "money",
                    f"Credited revenue of {self.names} under each model",
                ),
                self.ask("by_model"),
                f"{first}{choices.model} in colour. Where the dots of a line lie far apart, the"
                " answer depends on the model.",
                height_of(len(drawn), around=80),
            ),
            Chart(
                f"Pin rate of {self.names}",
                bars(rates, "pins for each view", "share", f"Pin rate of {self.names}"),
                self.ask("activity"),
                f"{first}Pins for each time it was shown.",
                height_of(len(rates)),
            ),
            *self._certainty(ask),
        ]

    def _credit(self, rows: Sequence[Row], drawn: Sequence[Row]) -> dict[str, dict[str, float]]:
        credit: dict[str, dict[str, float]] = {
            row[self.name]: dict.fromkeys(MODELS, 0.0) for row in drawn
        }
        for row in rows:
            if row[self.name] in credit:
                credit[row[self.name]][row["model"]] = row["credited_micros"] / MICROS
        return credit

    def _certainty(self, ask: Ask) -> list[Block]:
        rows = ask(self.ask("certainty"))
        if not rows:
            return []
        note = (
            f"{WHOLE} The interval (95 %, over customers) is what chance may do, least to most"
            " what the choice of a model does. Below 30 effective customers: too little data."
        )
        return [Table(f"How sure the credit of {self.names} is", rows, self.ask("certainty"), note)]


_DIMENSIONS = (
    _Dimension(
        "slot",
        "slots",
        "item_list_id",
        "current_slot_daily",
        "Choose other days. If there never were any: name each recommendation list on the page by"
        " data-pinsphere-list (docs/snippet.md).",
    ),
    _Dimension(
        "recommender",
        "recommenders",
        "recommender_id",
        "current_recommender_daily",
        "Choose other days. If there never were any: name what fills a list on the page by"
        " data-pinsphere-recommender (docs/snippet.md).",
    ),
)

QUESTIONS = tuple(question for each in _DIMENSIONS for question in each.questions())


def build(ask: Ask, choices: Choices) -> Page:
    """Slots, then recommenders: what they did, and what is credited to them."""
    return Page(
        "Slots and recommenders",
        [block for each in _DIMENSIONS for block in each.blocks(ask, choices)],
        "No experiment: not causal. A list that shows what sells anyway has credit as well; which"
        " one sells more, only an experiment tells. Pins from outside a list have no slot.",
    )
