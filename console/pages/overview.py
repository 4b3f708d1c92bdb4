"""Overview: what pins bring, at one look."""

from collections import defaultdict

from console.blocks import WHOLE, Block, Chart, Empty, Figure, Figures, Page
from console.charts import line_with_greys
from console.choices import Choices
from console.days import every_day, monday_of
from console.questions import Ask, Question, Row
from schemas.models import MODELS
from schemas.money import MICROS

_SALES = {
    "model": "text",
    "orders": "count",
    "credited_orders": "count",
    "net_micros": "money",
    "credited_micros": "money",
    "unattributed_micros": "money",
}

QUESTIONS = (
    Question(
        "overview_sales",
        "How much of all sales came through pins, under each model?",
        """\
SELECT model, SUM(orders) AS orders, SUM(credited_orders) AS credited_orders,
       SUM(net_micros) AS net_micros, SUM(credited_micros) AS credited_micros,
       SUM(unattributed_micros) AS unattributed_micros
FROM current_sales_daily
WHERE site_id = :site AND day BETWEEN :since AND :until
GROUP BY model
ORDER BY model""",
        _SALES,
        "Orders and net sales repeat for each model. Credit is not cause.",
    ),
    Question(
        "overview_days",
        "How much was credited on each day, under each model?",
        """\
SELECT day, model, orders, credited_orders, net_micros, credited_micros, unattributed_micros
FROM current_sales_daily
WHERE site_id = :site AND day BETWEEN :since AND :until
ORDER BY day, model""",
        {"day": "day", **_SALES},
        "Orders and net sales repeat for each model.",
    ),
    Question(
        "overview_direct",
        "How much was credited on each day to pins of the very product that was bought?",
        """\
SELECT day, model, SUM(credited_micros) AS credited_micros, SUM(direct_micros) AS direct_micros
FROM current_item_daily
WHERE site_id = :site AND day BETWEEN :since AND :until
  AND (credited_micros <> 0 OR direct_micros <> 0)
GROUP BY day, model
ORDER BY day, model""",
        {"day": "day", "model": "text", "credited_micros": "money", "direct_micros": "money"},
        "Direct is part of credited; the rest led to another product.",
    ),
    Question(
        "overview_interval",
        "How certain is the credit of all days together?",
        """\
SELECT model, credited_micros, ci_low_micros, ci_high_micros, n_customers, n_effective
FROM current_model_credits
WHERE site_id = :site AND dimension = 'site'
ORDER BY model""",
        {
            "model": "text",
            "credited_micros": "money",
            "ci_low_micros": "money",
            "ci_high_micros": "money",
            "n_customers": "count",
            "n_effective": "number",
        },
        f"{WHOLE} 95 % interval over customers. None: too little data.",
    ),
    Question(
        "overview_pins",
        "How many pins were made, and by how many people?",
        """\
SELECT COUNT(*) AS pins, COUNT(DISTINCT person_id) AS pinners
FROM current_pins
WHERE site_id = :site AND pinned_at >= :since_at AND pinned_at < :before_at""",
        {"pins": "count", "pinners": "count"},
        "A pin is a click on Pin It; whether it was saved is seen only when somebody follows it.",
    ),
    Question(
        "overview_visits",
        "How many visits came from pins, known by what?",
        """\
SELECT match_method, COUNT(*) AS visits,
       SUM(CASE WHEN is_known_pin THEN 1 ELSE 0 END) AS visits_of_known_pins
FROM current_visits
WHERE site_id = :site AND visited_at >= :since_at AND visited_at < :before_at
GROUP BY match_method
ORDER BY match_method""",
        {"match_method": "text", "visits": "count", "visits_of_known_pins": "count"},
        "Token survival is the part known by its token.",
    ),
    Question(
        "overview_fan_club",
        "How much of all sales is credited to the top 1, 5 and 10 % of pinners?",
        """\
SELECT top_percent, pinners, credited_micros, share_of_sales, share_low, share_high
FROM fan_club
WHERE site_id = :site
ORDER BY top_percent""",
        {
            "top_percent": "count",
            "pinners": "count",
            "credited_micros": "money",
            "share_of_sales": "share",
            "share_low": "share",
            "share_high": "share",
        },
        f"{WHOLE} Under the default model, time_decay. No interval: too little data.",
    ),
)


def build(ask: Ask, choices: Choices) -> Page:
    """Figures of the chosen days, and credited revenue by week."""
    sales = {row["model"]: row for row in ask("overview_sales")}
    direct = ask("overview_direct")
    interval = next((row for row in ask("overview_interval") if row["model"] == choices.model), {})
    pins = ask("overview_pins")[0]
    revenue = [
        _credited(sales, interval if choices.is_whole else {}, choices),
        _direct(direct, sales, choices),
        *_shares(sales.get(choices.model), pins),
    ]
    blocks: list[Block] = [
        Figures([*revenue, *_activity(pins, ask("overview_visits"))], "In these days"),
        *_fan_club(ask("overview_fan_club")),
        *_charts(ask("overview_days"), direct, choices),
    ]
    if not pins["pins"]:
        blocks.insert(
            0,
            Empty(
                "No pins in these days.",
                "Choose other days. If there never were any: is the snippet on the pages, and are"
                " lists marked? pinsphere doctor looks.",
            ),
        )
    if not sales:
        blocks.append(
            Empty(
                "No orders in these days.",
                "Choose other days. If there never were any: send them from your server, or import"
                " them; docs/install tells how. pinsphere doctor looks.",
            )
        )
    note = "Credit tells which pins were on the way to an order. No experiment: not causal."
    return Page("Overview", blocks, note)


def _credited(sales: dict[str, Row], interval: Row, choices: Choices) -> Figure:
    if choices.model not in sales:
        return Figure("Credited revenue", None, "money", note="no orders in these days")
    credited = [row["credited_micros"] for row in sales.values()]
    note = "after refunds"
    if not choices.is_whole:
        note += "; an interval is known for all days together"
    elif interval.get("ci_low_micros") is None:
        note += "; no interval: too little data"
    return Figure(
        "Credited revenue",
        sales[choices.model]["credited_micros"],
        "money",
        low=interval.get("ci_low_micros"),
        high=interval.get("ci_high_micros"),
        band=(min(credited), max(credited)),
        note=note,
        question="overview_sales",
    )


def _direct(direct: list[Row], sales: dict[str, Row], choices: Choices) -> Figure:
    sums = {
        model: sum(row["direct_micros"] for row in direct if row["model"] == model)
        for model in MODELS
    }
    return Figure(
        "Of it, direct",
        sums[choices.model] if sales else None,
        "money",
        band=(min(sums.values()), max(sums.values())) if sales else None,
        note="the product pinned was the one bought",
        question="overview_direct",
    )


def _shares(chosen: Row | None, pins: Row) -> list[Figure]:
    per_pin = unattributed = None
    if chosen is not None and pins["pins"]:
        per_pin = round(chosen["credited_micros"] / pins["pins"])
    if chosen is not None and chosen["net_micros"]:
        unattributed = chosen["unattributed_micros"] / chosen["net_micros"]
    return [
        Figure(
            "Revenue per pin",
            per_pin,
            "money",
            note="credited in these days, for each pin of these days",
            question="overview_sales",
        ),
        Figure(
            "Unattributed share",
            unattributed,
            "share",
            note="of net sales: no pin came before the order",
            question="overview_sales",
        ),
    ]


def _activity(pins: Row, visits: list[Row]) -> list[Figure]:
    total = sum(row["visits"] for row in visits)
    by_token = sum(row["visits"] for row in visits if row["match_method"] == "token")
    return [
        Figure("Pins", pins["pins"], note="clicks on Pin It", question="overview_pins"),
        Figure("Pinners", pins["pinners"], note="known people", question="overview_pins"),
        Figure("Visits from pins", total, question="overview_visits"),
        Figure(
            "Token survival",
            by_token / total if total else None,
            "share",
            note="of these visits, whose link still named its pin",
            question="overview_visits",
        ),
    ]


def _fan_club(rows: list[Row]) -> list[Figures]:
    if not rows:
        return []  # nobody pinned yet, which the page says on top
    figures = [
        Figure(
            f"Through the top {row['top_percent']}\N{NO-BREAK SPACE}%",
            row["share_of_sales"],
            "share",
            low=row["share_low"],
            high=row["share_high"],
            note=_of_pinners(row),
            question="overview_fan_club",
        )
        for row in rows
    ]
    return [Figures(figures, "The fan club, over all days")]


def _of_pinners(row: Row) -> str:
    who = "one pinner" if row["pinners"] == 1 else f"{row['pinners']:,} pinners"
    if row["share_of_sales"] is None:
        return f"by {who}; no sales yet"
    few = "" if row["share_low"] is not None else "; no interval: too little data"
    return f"of all sales, by {who}; time_decay{few}"


def _charts(days: list[Row], direct: list[Row], choices: Choices) -> list[Chart]:
    """Two lines of weeks: what all models agree on, and what they do not."""
    if not days:
        return []
    weeks = every_day(monday_of(days[0]["day"]), days[-1]["day"])[::7]
    charts = [
        Chart(
            "Credited revenue by week",
            line_with_greys(weeks, _by_week(days, "credited_micros", weeks), choices.model),
            "overview_days",
            "By the day of the order, weeks begin on Monday; the first and the last may be"
            " cut off by the days chosen. The models lie on one line: each shares out the whole"
            " order, and they differ in who gets it.",
        )
    ]
    if direct:
        charts.append(
            Chart(
                "Direct part of it by week",
                line_with_greys(weeks, _by_week(direct, "direct_micros", weeks), choices.model),
                "overview_direct",
                f"The product pinned was the one bought. {choices.model} in colour, the other"
                " models in grey: where they part, the answer depends on the model.",
            )
        )
    return charts


def _by_week(rows: list[Row], column: str, weeks: list[str]) -> dict[str, list[float | None]]:
    """Sums of each model, in units of the currency; weeks without any are 0."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        sums[row["model"], monday_of(row["day"])] += row[column]
    return {model: [sums[model, week] / MICROS for week in weeks] for model in MODELS}
