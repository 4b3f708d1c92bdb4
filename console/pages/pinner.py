"""One pinner: her sphere as rings, what it brought hop by hop, her pins and her stages."""

import shlex
from typing import Any

from markupsafe import Markup

from console import rings
from console.blocks import Block, Chart, Empty, Figure, Figures, Page, Picture, Table
from console.charts import ACCENT, GREY
from console.choices import Choices, UnknownError
from console.questions import Ask, Question, Row
from schemas.money import MICROS

DRAWN = 10_000
"""People in the picture at most: those nearest to her."""
SHOWN = 25
"""Rows of a table on the page at most; all are behind its link."""

_WHOLE = "Over all days there are, whatever days are chosen."
# Whom she reached, and whose pin each landed on first at her nearest hop. As in the spheres, who
# pins from a pin has landed on it. `below` meets each pin once, by way of the nearest of hers.
# What is materialized is read once; SQLite would search tables again for each row instead.
_PEOPLE = """\
WITH RECURSIVE members AS MATERIALIZED (
  SELECT pin_id, parent_pin_id, person_id, pinned_at FROM current_pins
  WHERE site_id = :site AND root_pin_id IN (
    SELECT root_pin_id FROM current_pins WHERE site_id = :site AND person_id = :pinner)
), below AS MATERIALIZED (
  SELECT pin_id, 1 AS hop, CAST(NULL AS TEXT) AS passer_id FROM members WHERE person_id = :pinner
  UNION ALL
  SELECT m.pin_id, b.hop + 1, COALESCE(CAST(m.person_id AS TEXT), b.passer_id)
  FROM below b JOIN members m ON m.parent_pin_id = b.pin_id
  WHERE m.person_id IS NULL OR m.person_id <> :pinner
), landings AS MATERIALIZED (
  SELECT pin_id, person_id, visited_at AS landed_at FROM current_visits
  WHERE site_id = :site AND pin_id IN (SELECT pin_id FROM members)
  UNION ALL
  SELECT parent_pin_id, person_id, pinned_at FROM members
), ranked AS (
  SELECT l.person_id, b.hop, b.pin_id, b.passer_id, ROW_NUMBER() OVER (
    PARTITION BY l.person_id ORDER BY b.hop, l.landed_at, l.pin_id) AS place
  FROM landings l JOIN below b ON b.pin_id = l.pin_id
  WHERE l.person_id IS NOT NULL
), nearest AS MATERIALIZED (
  SELECT person_id, hop, pin_id, passer_id FROM ranked WHERE place = 1
), people AS MATERIALIZED (
  SELECT s.person_id, s.hop, n.passer_id, n.pin_id, s.visits, s.pins, s.influenced_micros,
    s.first_reached_at
  FROM current_sphere_edges s LEFT JOIN nearest n ON n.person_id = s.person_id AND n.hop = s.hop
  WHERE s.site_id = :site AND s.pinner_id = :pinner
)
"""

QUESTIONS = (
    Question(
        "pinner",
        "How far does one pinner reach, and what came of it?",
        """\
SELECT s.pinner_id, t.stage, t.since_month, s.pins, s.confirmed_pins, s.reach_hop_1,
       s.reach_hop_2, s.reach_hop_3_plus, s.reach_total, s.depth, s.visits,
       s.median_hours_to_reach, s.reproduction_number, s.reproduction_low, s.reproduction_high,
       COALESCE(c.credited_micros, 0) AS credited_micros, c.ci_low_micros, c.ci_high_micros,
       s.influenced_micros, s.influence_rank, s.community_id
FROM pinner_sphere s
LEFT JOIN pinner_stage t ON t.site_id = s.site_id AND t.pinner_id = s.pinner_id
LEFT JOIN current_model_credits c ON c.site_id = s.site_id AND c.dimension = 'pinner'
  AND c.key = s.pinner_id AND c.model = :model
WHERE s.site_id = :site AND s.pinner_id = :pinner""",
        {
            "pinner_id": "link_pinner",
            "stage": "text",
            "since_month": "month",
            "pins": "count",
            "confirmed_pins": "count",
            "reach_hop_1": "count",
            "reach_hop_2": "count",
            "reach_hop_3_plus": "count",
            "reach_total": "count",
            "depth": "count",
            "visits": "count",
            "median_hours_to_reach": "number",
            "reproduction_number": "number",
            "reproduction_low": "number",
            "reproduction_high": "number",
            "credited_micros": "money",
            "ci_low_micros": "money",
            "ci_high_micros": "money",
            "influenced_micros": "money",
            "influence_rank": "count",
            "community_id": "link_pinner",
        },
        f"{_WHOLE} Credited adds up over pinners; influenced overlaps: do not add.",
    ),
    Question(
        "pinner_people",
        "Whom did she reach, at which hop, and who passed it on?",
        f"""\
{_PEOPLE}SELECT person_id, hop, passer_id, pin_id, visits, pins, influenced_micros, first_reached_at
FROM people
ORDER BY hop, influenced_micros DESC, person_id""",
        {
            "person_id": "text",
            "hop": "count",
            "passer_id": "link_pinner",
            "pin_id": "link_pin",
            "visits": "count",
            "pins": "count",
            "influenced_micros": "money",
            "first_reached_at": "time",
        },
        "The passer is whose pin a person first landed on at her nearest hop; none: the pinner's"
        " own pin, or one of somebody unknown. Influenced overlaps: do not add over pinners.",
    ),
    Question(
        "pinner_hops",
        "How many people did she reach at each hop, and what did they bring?",
        """\
SELECT hop, COUNT(*) AS people, SUM(visits) AS visits,
       SUM(CASE WHEN pins > 0 THEN 1 ELSE 0 END) AS pinned_on,
       SUM(CASE WHEN influenced_micros <> 0 THEN 1 ELSE 0 END) AS buyers,
       SUM(influenced_micros) AS influenced_micros
FROM current_sphere_edges
WHERE site_id = :site AND pinner_id = :pinner
GROUP BY hop
ORDER BY hop""",
        {
            "hop": "count",
            "people": "count",
            "visits": "count",
            "pinned_on": "count",
            "buyers": "count",
            "influenced_micros": "money",
        },
        f"{_WHOLE} Each person counts once, at the nearest hop.",
    ),
    Question(
        "pinner_passers",
        "Who passes on what she pinned, and how many people come from there?",
        f"""\
{_PEOPLE}SELECT p.person_id, p.hop, p.pins, COALESCE(c.people, 0) AS people,
       COALESCE(c.influenced_micros, 0) AS influenced_micros
FROM people p
LEFT JOIN (
  SELECT passer_id, COUNT(*) AS people, SUM(influenced_micros) AS influenced_micros
  FROM people GROUP BY passer_id
) c ON c.passer_id = p.person_id
WHERE p.pins > 0
ORDER BY COALESCE(c.people, 0) DESC, p.person_id""",
        {
            "person_id": "link_pinner",
            "hop": "count",
            "pins": "count",
            "people": "count",
            "influenced_micros": "money",
        },
        "Pins are those made below hers. People, and their orders, are those one hop further who"
        " came from one of these pins first.",
    ),
    Question(
        "pinner_pins",
        "What did she pin, and who came from it?",
        """\
WITH pinned AS (
  SELECT pin_id, item_id, pinned_at, hop, visits, visitors, is_confirmed
  FROM current_pins WHERE site_id = :site AND person_id = :pinner
)
SELECT p.pin_id, p.item_id, p.pinned_at, p.hop, p.visits, p.visitors,
       COALESCE(r.re_pins, 0) AS re_pins, p.is_confirmed
FROM pinned p
LEFT JOIN (
  SELECT parent_pin_id, COUNT(*) AS re_pins FROM current_pins
  WHERE site_id = :site AND parent_pin_id IN (SELECT pin_id FROM pinned)
  GROUP BY parent_pin_id
) r ON r.parent_pin_id = p.pin_id
ORDER BY p.visitors DESC, COALESCE(r.re_pins, 0) DESC, p.pinned_at, p.pin_id""",
        {
            "pin_id": "link_pin",
            "item_id": "link_item",
            "pinned_at": "time",
            "hop": "count",
            "visits": "count",
            "visitors": "count",
            "re_pins": "count",
            "is_confirmed": "yes_no",
        },
        f"{_WHOLE} Hop 0 began its cascade. Confirmed: somebody followed it, or Pinterest did.",
    ),
    Question(
        "pinner_stages",
        "Through which stages of the relationship did she go?",
        """\
SELECT s.month, s.stage, s.left_month, s.depth, s.recency_months, s.active_months, s.reciprocity,
       s.purchases
FROM current_pinner_stages s
JOIN as_of a ON a.site_id = s.site_id AND s.month <= a.newest_month
WHERE s.site_id = :site AND s.pinner_id = :pinner
ORDER BY s.month""",
        {
            "month": "month",
            "stage": "text",
            "left_month": "month",
            "depth": "text",
            "recency_months": "count",
            "active_months": "count",
            "reciprocity": "count",
            "purchases": "count",
        },
        "Left: the month at whose end she no longer is, or will no longer be if nothing else"
        " happens.",
    ),
)


def top(ask: Ask) -> str | None:
    """The pinner with most people in her sphere."""
    rows = ask.first("pinners", 1, sort="reach_total", order="desc", search="")
    return rows[0]["pinner_id"] if rows else None


def build(ask: Ask, choices: Choices) -> Page:
    """Everything about the chosen pinner."""
    found = ask("pinner")
    if not found:
        raise UnknownError(
            f"{choices.pinner!r} is no pinner of {choices.site} in this run. Ids are in the table"
            " of Pinners; who only came from a pin and never made one has no page."
        )
    (pinner,) = found
    blocks: list[Block] = [Figures(_figures(pinner, choices.model))]
    if pinner["reach_total"]:
        blocks += _sphere(ask, choices, pinner)
    else:
        blocks.append(
            Empty(
                "Nobody came from her pins yet.",
                "Her sphere is drawn as soon as somebody lands on the shop from a pin of hers and"
                " a run has read it.",
            )
        )
    blocks.append(_table(ask, "pinner_pins", "Her pins"))
    blocks.append(Table("Her stages", ask("pinner_stages"), "pinner_stages"))
    return Page(f"Pinner {choices.pinner}", blocks, _WHOLE)


def _figures(pinner: Row, model: str) -> list[Figure]:
    def figure(label: str, column: str, kind: str = "count", note: str = "") -> Figure:
        return Figure(label, pinner[column], kind, note=note, question="pinner")

    few = "" if pinner["ci_low_micros"] is not None else "; no interval: too little data"
    mature = pinner["reproduction_number"] is not None
    hops = (pinner[f"reach_hop_{hop}"] for hop in ("1", "2", "3_plus"))
    return [
        figure("Reach", "reach_total", note="hop 1: {:,}, hop 2: {:,}, beyond: {:,}".format(*hops)),
        figure("Depth", "depth", note="hops to the furthest person"),
        figure("Visits", "visits", note="landings in her sphere"),
        figure("Pins", "pins", note=f"{pinner['confirmed_pins']:,} seen to be saved"),
        Figure(
            "Credited",
            pinner["credited_micros"],
            "money",
            low=pinner["ci_low_micros"],
            high=pinner["ci_high_micros"],
            note=f"{model}, her own purchases included{few}",
            question="pinner",
        ),
        figure("Influenced", "influenced_micros", "money", "overlapping: do not add over pinners"),
        Figure(
            "Reproduction number",
            pinner["reproduction_number"],
            "number",
            low=pinner["reproduction_low"],
            high=pinner["reproduction_high"],
            note="re-pins by others a mature pin" if mature else "too little data: no mature pin",
            question="pinner",
        ),
        figure("Influence rank", "influence_rank", note="1 is the highest"),
        figure("Community", "community_id", "text", "named after its highest-ranking pinner"),
        figure("Stage", "stage", "text", f"since {pinner['since_month'] or 'never'}"),
        figure("Median time to reach", "median_hours_to_reach", "number", "hours"),
    ]


def _sphere(ask: Ask, choices: Choices, pinner: Row) -> list[Block]:
    people = ask.first("pinner_people", DRAWN)
    picture = rings.lay_out(
        rings.Person(row["person_id"], row["hop"], row["passer_id"], row["influenced_micros"])
        for row in people
    )
    note = (
        "Ring: hops from her. Angle: by the number of people at the ends of what each passed on."
        " Area: revenue of the person's orders with her on the way. Outlined, with a fan to"
        " those who have it from her: who passed it on."
    )
    if pinner["reach_total"] > len(people):
        note += f" The nearest {len(people):,} of {pinner['reach_total']:,} people are drawn."
    hops = ask("pinner_hops")
    network = f"pinsphere export graph --pinner={shlex.quote(choices.pinner)} --site={choices.site}"
    return [
        Picture(
            "Her sphere",
            Markup(rings.draw(picture, choices.pinner, choices.currency)),  # noqa: S704 (escaped)
            rings.describe(picture, choices.pinner),
            "pinner_people",
            note,
        ),
        Chart(
            "Reach and revenue by hop",
            _by_hop(hops),
            "pinner_hops",
            "Each person at her nearest hop. Influenced revenue overlaps between pinners: do not"
            " add it over them; over the hops of one it adds up.",
        ),
        Table("By hop", hops, "pinner_hops"),
        _table(ask, "pinner_passers", "Who passes it on", f"Her network as a file: {network}"),
    ]


def _by_hop(hops: list[Row]) -> dict[str, Any]:
    """People as columns, what they brought as a line."""
    return {
        "xAxis": {
            "type": "category",
            "data": [f"hop {row['hop']}" for row in hops],
        },
        "yAxis": [
            {"type": "value", "axisLabel": {"formatter": "=count"}},
            {
                "type": "value",
                "axisLabel": {"formatter": "=money"},
                "splitLine": {"show": False},
            },
        ],
        "tooltip": {"trigger": "axis"},
        "legend": {"top": 0, "data": ["people", "influenced revenue"]},
        "series": [
            {
                "type": "bar",
                "name": "people",
                "data": [row["people"] for row in hops],
                "barMaxWidth": 48,
                "color": GREY,
                "tooltip": {"valueFormatter": "=count"},
            },
            {
                "type": "line",
                "name": "influenced revenue",
                "yAxisIndex": 1,
                "data": [row["influenced_micros"] / MICROS for row in hops],
                "color": ACCENT,
                "tooltip": {"valueFormatter": "=money"},
            },
        ],
    }


def _table(ask: Ask, question: str, title: str, note: str = "") -> Block:
    rows = ask.first(question, SHOWN + 1)
    if len(rows) > SHOWN:
        note = f"The first {SHOWN}; all are behind the link. {note}"
    return Table(title, rows[:SHOWN], question, note)
