"""Relationships: how people move between stages and rungs, and what that is worth."""

from collections import defaultdict
from collections.abc import Sequence

from console.blocks import Block, Chart, Empty, Figure, Figures, Page, Table
from console.charts import sankey, stacked_bars
from console.choices import Choices
from console.days import every_day, month_name
from console.pages import loyalty
from console.questions import Ask, Question, Row
from schemas.ladder import NEW, RUNGS
from schemas.stages import NEW_PINNER, STAGES

_TOP_DOWN = (*reversed(STAGES), NEW_PINNER)
_MONTHS = "month BETWEEN SUBSTR(:since, 1, 7) AND SUBSTR(:until, 1, 7)"
_PLACES = " ".join(f"WHEN '{stage}' THEN {place}" for place, stage in enumerate(_TOP_DOWN))
_RUNG_PLACES = " ".join(f"WHEN '{rung}' THEN {place}" for place, rung in enumerate((NEW, *RUNGS)))
_NEXT_90 = "Credit of others' orders and own orders in the 90 days after the month"
_OBSERVED = (
    "No experiment: not causal. Who moves up differs from who stays in more than the move. An"
    " interval is 95 %; below 30 effective people in either group there is too little data for one."
)
_STEPS_NOTE = (
    "Of those who stood on a rung and whose next step is known. The last weeks are flattered:"
    " who comes back quickly is counted already, who stays away is not yet."
)

QUESTIONS = (
    Question(
        "stage_moves_counted",
        "How did people move between stages in these months?",
        f"""\
SELECT from_stage, to_stage, is_over, SUM(people) AS people,
       SUM(people) * 1.0 / SUM(SUM(people)) OVER (PARTITION BY from_stage, is_over) AS probability,
       COUNT(*) AS months
FROM stage_moves
WHERE site_id = :site AND {_MONTHS}
GROUP BY from_stage, to_stage, is_over
ORDER BY is_over DESC, CASE from_stage {_PLACES} END, CASE to_stage {_PLACES} END""",
        {
            "from_stage": "text",
            "to_stage": "text",
            "is_over": "yes_no",
            "people": "count",
            "probability": "share",
            "months": "count",
        },
        "Who stays moves from a stage to itself. Moves of a month that is not over may be taken"
        " back. A person counts in each month.",
    ),
    Question(
        "stage_worth",
        "What is a stage worth?",
        f"""\
SELECT month, stage, people, people_with_revenue, credited_next_90_micros, own_next_90_micros,
       ROUND((credited_next_90_micros + own_next_90_micros) * 1.0 / people)
         AS value_per_pinner_micros, is_final
FROM stage_values
WHERE site_id = :site AND {_MONTHS}
ORDER BY is_final DESC, month DESC, CASE stage {_PLACES} END""",
        {
            "month": "month",
            "stage": "text",
            "people": "count",
            "people_with_revenue": "count",
            "credited_next_90_micros": "money",
            "own_next_90_micros": "money",
            "value_per_pinner_micros": "money",
            "is_final": "yes_no",
        },
        f"{_NEXT_90}. Overlapping: do not add up stages or months.",
    ),
    Question(
        "move_worth",
        "What is a move between stages worth?",
        f"""\
SELECT from_stage, to_stage, is_up, months, movers,
       ROUND(CAST(value_moved AS numeric) * 1000000) AS value_moved_micros,
       ROUND(CAST(value_stayed AS numeric) * 1000000) AS value_stayed_micros,
       ROUND(CAST(difference AS numeric) * 1000000) AS difference_micros,
       ROUND(CAST(difference_low AS numeric) * 1000000) AS interval_low_micros,
       ROUND(CAST(difference_high AS numeric) * 1000000) AS interval_high_micros,
       CASE WHEN difference_low IS NULL THEN 'too little data' ELSE 'enough' END AS data
FROM move_values
WHERE site_id = :site
ORDER BY is_up DESC, CASE from_stage {_PLACES} END, CASE to_stage {_PLACES} END""",
        {
            "from_stage": "text",
            "to_stage": "text",
            "is_up": "yes_no",
            "months": "count",
            "movers": "count",
            "value_moved_micros": "money",
            "value_stayed_micros": "money",
            "difference_micros": "money",
            "interval_low_micros": "money",
            "interval_high_micros": "money",
            "data": "text",
        },
        f"Over all months whose 90 days are over, whatever days are chosen. {_OBSERVED}",
    ),
    Question(
        "ladder_days",
        "How many people stood on which rung, day by day?",
        """\
SELECT day, rung, people, people_or_higher, share, acts
FROM engagement_ladder
WHERE site_id = :site AND dimension = 'all' AND day BETWEEN :since AND :until
ORDER BY day, rung_number""",
        {
            "day": "day",
            "rung": "text",
            "people": "count",
            "people_or_higher": "count",
            "share": "share",
            "acts": "count",
        },
        "Each person once a day, on the highest rung of her acts. Overlapping: do not add up people"
        " over days; acts may be.",
    ),
    Question(
        "ladder_moves",
        "How do people move between rungs?",
        f"""\
SELECT from_rung, to_rung, direction, SUM(moves) AS moves,
       SUM(moves) * 1.0 / SUM(SUM(moves)) OVER (PARTITION BY from_rung) AS probability
FROM ladder_conversion
WHERE site_id = :site AND dimension = 'all' AND {_MONTHS}
GROUP BY from_rung, to_rung, direction
ORDER BY CASE from_rung {_RUNG_PLACES} ELSE 9 END, CASE to_rung {_RUNG_PLACES} ELSE 9 END""",
        {
            "from_rung": "text",
            "to_rung": "text",
            "direction": "text",
            "moves": "count",
            "probability": "share",
        },
        _STEPS_NOTE,
    ),
    *loyalty.QUESTIONS,
)


def build(ask: Ask, choices: Choices) -> Page:
    """Stages, the ladder, retention and the fan club."""
    return Page(
        "Relationships",
        [
            *_stages(ask),
            *_ladder(ask),
            *loyalty.retention_blocks(ask),
            *loyalty.fan_club_blocks(ask, choices),
        ],
        "Months and days are the shop's own; of the days chosen, stages count whole months.",
    )


def _stages(ask: Ask) -> list[Block]:
    rows = ask("stage_moves_counted")
    if not rows:
        return [
            Empty(
                "No moves between stages in these months.",
                "Choose more days: stages are read at the end of each month, from that of the first"
                " pin on.",
            )
        ]
    over = [row for row in rows if row["is_over"]]
    shown = over or rows
    span = (
        "All months in these days that are over."
        if over
        else "No month in these days is over: moves of the month at work, which may be taken back."
    )
    moves = {(row["from_stage"], row["to_stage"]): row["people"] for row in shown}
    return [
        Chart(
            "Moves between stages",
            sankey(moves, _TOP_DOWN, "People who moved between stages, from the left to the right"),
            "stage_moves_counted",
            f"{span} At the begin of a month on the left, at its end on the right; who stays moves"
            " from a stage to itself. From new: the month of the first pin.",
            400,
        ),
        *_stage_values(ask("stage_worth")),
        *_move_values(ask("move_worth")),
    ]


def _stage_values(rows: Sequence[Row]) -> list[Block]:
    if not rows:
        return []
    # Of months that are not final, the first has most of its 90 days behind it.
    told = rows[0] if rows[0]["is_final"] else rows[-1]
    state = "" if told["is_final"] else ", which are not over: what is still to come is missing"
    return [
        Table(
            f"What a stage is worth, {month_name(told['month'])}",
            [row for row in rows if row["month"] == told["month"]],
            "stage_worth",
            f"{_NEXT_90}{state}. Overlapping: do not add up.",
        )
    ]


def _move_values(rows: Sequence[Row]) -> list[Block]:
    if not rows:
        return [
            Empty(
                "Nothing can be said yet of what a move between stages is worth.",
                "It takes a month in which some moved and others stayed, and the 90 days after it.",
            )
        ]
    note = f"Against who stayed, over all months there are. {_OBSERVED}"
    return [Table("What a move is worth", rows, "move_worth", note)]


def _ladder(ask: Ask) -> list[Block]:
    rows = ask("ladder_days")
    if not rows:
        return [
            Empty(
                "Nobody known did anything in these days.",
                "Choose other days. If there never was anybody: pinsphere doctor looks whether"
                " events arrive.",
            )
        ]
    days = every_day(rows[0]["day"], rows[-1]["day"])
    people: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        people[row["rung"]][row["day"]] = row["people"]
    series = {rung: [people[rung].get(day, 0) for day in days] for rung in RUNGS if rung in people}
    moves = ask("ladder_moves")
    return [
        Chart(
            "The engagement ladder, day by day",
            stacked_bars(days, series, ("day", "count"), "People by their highest rung of the day"),
            "ladder_days",
            "Each person once a day, on her highest rung: the bars are people who were active."
            " Overlapping over days: do not add.",
        ),
        Figures(_conversion(moves), "Steps from rung to rung"),
        Table("How people move between rungs", moves, "ladder_moves", _STEPS_NOTE),
    ]


def _conversion(moves: Sequence[Row]) -> list[Figure]:
    """Of the steps whose next is known, how many led up, down and away."""
    told = [row for row in moves if row["direction"] in {"up", "down", "same", "left"}]
    total = sum(row["moves"] for row in told)
    steps: defaultdict[str, int] = defaultdict(int)
    for row in told:
        steps[row["direction"]] += row["moves"]
    return [
        Figure(
            label,
            steps[direction] / total if total else None,
            "share",
            note=f"of {total:,} steps from a rung",
            question="ladder_moves",
        )
        for label, direction in (("Up", "up"), ("Down", "down"), ("Away", "left"))
    ]
