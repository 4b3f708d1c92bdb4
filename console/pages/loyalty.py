"""How well people are kept and how much the keenest pinners bring: parts of Relationships."""

from collections.abc import Sequence
from itertools import groupby

from console.blocks import WHOLE, Block, Chart, Empty, Figure, Figures, Table
from console.charts import curve, heat_map, height_of
from console.choices import Choices
from console.questions import Ask, Question, Row

_POPULATIONS = {
    "pinners": "Pinners, from their first pin",
    "reached": "People reached, from their first landing from another's pin",
    "customers": "Customers who neither pinned nor landed before, from their first order",
}
_LIVES_NOTE = (
    f"{WHOLE} Were the part lost a month constant; lost is who is silent for lapse months."
    " No high end: no end in sight. No interval: too little data."
)

QUESTIONS = (
    Question(
        "retention_cohorts",
        "How many of those who entered in a month are still active?",
        """\
SELECT population, cohort_month, months_since, month, people, active_people, active_share,
       active_low, active_high, buyers, buyers_share, net_micros, is_over,
       CASE WHEN active_low IS NULL THEN 'too little data' ELSE 'enough' END AS data
FROM retention
WHERE site_id = :site
  AND cohort_month BETWEEN SUBSTR(:since, 1, 7) AND SUBSTR(:until, 1, 7)
ORDER BY population, cohort_month, months_since""",
        {
            "population": "text",
            "cohort_month": "month",
            "months_since": "count",
            "month": "month",
            "people": "count",
            "active_people": "count",
            "active_share": "share",
            "active_low": "share",
            "active_high": "share",
            "buyers": "count",
            "buyers_share": "share",
            "net_micros": "money",
            "is_over": "yes_no",
            "data": "text",
        },
        "Populations are overlapping: do not add. Intervals are 95 %; below 30 people there is too"
        " little data for one.",
    ),
    Question(
        "retention_half_lives",
        "How fast are people lost, beside half in five years?",
        """\
SELECT population, activity, since AS watched_from, lapse_months, people, lost,
       half_life_months, half_life_low, half_life_high, yardstick_half_life_months,
       lost_a_year, lost_a_year_low, lost_a_year_high, yardstick_lost_a_year
FROM retention_half_life
WHERE site_id = :site
ORDER BY activity, since, CASE population WHEN 'pinners' THEN 1 WHEN 'reached' THEN 2 ELSE 3 END""",
        {
            "population": "text",
            "activity": "text",
            "watched_from": "text",
            "lapse_months": "count",
            "people": "count",
            "lost": "count",
            "half_life_months": "number",
            "half_life_low": "number",
            "half_life_high": "number",
            "yardstick_half_life_months": "number",
            "lost_a_year": "share",
            "lost_a_year_low": "share",
            "lost_a_year_high": "share",
            "yardstick_lost_a_year": "share",
        },
        _LIVES_NOTE,
    ),
    Question(
        "fan_club_curve",
        "How much do the top 1 to 100 % of pinners bring and buy?",
        """\
SELECT ranked_by, top_percent, pinners, amount_micros, share_of_all, share_of_sales,
       share_low, share_high
FROM lorenz_curve
WHERE site_id = :site AND model = :model
ORDER BY ranked_by, top_percent""",
        {
            "ranked_by": "text",
            "top_percent": "count",
            "pinners": "count",
            "amount_micros": "money",
            "share_of_all": "share",
            "share_of_sales": "share",
            "share_low": "share",
            "share_high": "share",
        },
        f"{WHOLE} Ranked by what is credited to them, and by their own orders: overlapping, do not"
        " add.",
    ),
    Question(
        "fan_club_gini",
        "How unequal are pinners?",
        """\
SELECT ranked_by, pinners, pinners_above_zero, total_micros, gini, gini_low, gini_high, n_effective
FROM concentration
WHERE site_id = :site AND model = :model
ORDER BY ranked_by""",
        {
            "ranked_by": "text",
            "pinners": "count",
            "pinners_above_zero": "count",
            "total_micros": "money",
            "gini": "number",
            "gini_low": "number",
            "gini_high": "number",
            "n_effective": "number",
        },
        f"{WHOLE} 0: all have equally much; near 1: one has all. The shorter the time, the higher:"
        " compare equal times only.",
    ),
)


def retention_blocks(ask: Ask) -> list[Block]:
    """Who came back, month by month, and how fast people are lost."""
    rows = ask("retention_cohorts")
    if not rows:
        return [
            Empty(
                "Nobody entered in these months.",
                "Choose more days: people enter by their first pin, landing or order.",
            )
        ]
    cohorts = {
        population: list(cells)
        for population, cells in groupby(rows, key=lambda row: row["population"])
    }
    return [
        *(_cohorts(name, cohorts[name]) for name in _POPULATIONS if name in cohorts),
        *_half_lives(ask("retention_half_lives")),
    ]


def _half_lives(rows: Sequence[Row]) -> list[Block]:
    if not any(row["people"] for row in rows):
        return [
            Empty(
                "Too little data to tell how fast people are lost.",
                f"Lost is who is silent for {rows[0]['lapse_months']} whole months: it takes more"
                " months than that."
                if rows
                else "Nobody has done anything yet.",
            )
        ]
    watched = [row for row in rows if (row["activity"], row["watched_from"]) == ("act", "entry")]
    shown = [name for name in rows[0] if not name.startswith("yardstick")]
    return [
        Figures([_half_life(row) for row in watched], "How fast people are lost"),
        Table("Half-lives, in months", rows, "retention_half_lives", _LIVES_NOTE, shown),
    ]


def _cohorts(population: str, cells: list[Row]) -> Block:
    thin = {row["cohort_month"] for row in cells if row["active_low"] is None}
    months = {row["cohort_month"] for row in cells}
    note = "Month of entry downwards, months since to the right. A dashed edge: that month goes on."
    if thin:
        note += (
            f" Too little data for an interval in {len(thin)} of {len(months)} months: fewer than"
            " 30 people entered."
        )
    label = _POPULATIONS[population]
    names = ("months_since", "cohort_month", "active_share", "is_over")
    return Chart(
        f"Retention. {label}",
        heat_map(cells, *names, "share", f"Part that is active so many months after. {label}"),
        "retention_cohorts",
        note,
        height_of(len(months), around=104),
    )


def _half_life(row: Row) -> Figure:
    note = (
        f"months, beside a yardstick of {row['yardstick_half_life_months']:.0f}; {row['lost']:,}"
        f" of {row['people']:,} lost"
    )
    if row["half_life_low"] is None:
        note += "; no interval: too little data"
    elif row["half_life_high"] is None:
        note += "; no end of the interval in sight"
    return Figure(
        f"Half-life of {row['population']}",
        row["half_life_months"],
        "number",
        low=row["half_life_low"],
        high=row["half_life_high"],
        note=note,
        question="retention_half_lives",
    )


def fan_club_blocks(ask: Ask, choices: Choices) -> list[Block]:
    """What the top pinners bring and buy, and how unequal that is."""
    rows = [row for row in ask("fan_club_curve") if row["share_of_all"] is not None]
    if not rows:
        return [
            Empty(
                "No fan club yet: nothing is credited to pinners, and they bought nothing.",
                "It takes orders of people who landed from a pin, or who pinned: docs/install tells"
                " how orders come in.",
            )
        ]
    names = {"credited": f"credited ({choices.model})", "own": "own orders"}
    curves = {
        names[ranked_by]: [(row["top_percent"] / 100, row["share_of_all"]) for row in points]
        for ranked_by, points in groupby(rows, key=lambda row: row["ranked_by"])
    }
    gini = [
        Figure(
            f"Gini, {names[row['ranked_by']]}",
            row["gini"],
            "number",
            low=row["gini_low"],
            high=row["gini_high"],
            note="0: all have equally much, 1: one has all;"
            f" {row['pinners_above_zero']:,} of {row['pinners']:,} pinners have any"
            + ("" if row["gini_low"] is not None else "; no interval: too little data"),
            question="fan_club_gini",
        )
        for row in ask("fan_club_gini")
    ]
    note = f"{WHOLE} The further above the line of equality, the more few pinners bring."
    if any(row["share_of_all"] > 1 for row in rows):
        note += " Above 100 %: the last ones have more refunds than orders."
    return [
        Chart(
            "The fan club",
            curve(curves, "What the top pinners have, of what all pinners have"),
            "fan_club_curve",
            note,
        ),
        Figures(gini, "How unequal pinners are"),
    ]
