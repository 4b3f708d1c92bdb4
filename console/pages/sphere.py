"""A sphere as rings, hop by hop, and who passes it on: the middle of a pinner's page."""

import shlex
from typing import Any

from markupsafe import Markup

from console import rings
from console.blocks import WHOLE, Block, Chart, Empty, Picture, Table
from console.charts import ACCENT, GREY, values_axis
from console.choices import Choices
from console.questions import Ask, Question, Row
from schemas.money import MICROS

DRAWN = 10_000
"""People in the picture at most: those nearest to her."""
SHOWN = 25
"""Rows of a table on the page at most; all are behind its link."""

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
        f"{WHOLE} Each person counts once, at the nearest hop.",
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
)


def sphere(ask: Ask, choices: Choices, reach: int) -> list[Block]:
    """Her sphere drawn and counted, if there is anybody in it."""
    if not reach:
        return [
            Empty(
                "Nobody came from her pins yet.",
                "Her sphere is drawn as soon as somebody lands on the shop from a pin of hers and"
                " a run has read it.",
            )
        ]
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
    if reach > len(people):
        note += f" The nearest {len(people):,} of {reach:,} people are drawn."
    hops = ask("pinner_hops")
    network = f"pinsphere export graph --pinner={shlex.quote(choices.pinner)} --site={choices.site}"
    as_file = f"Her network as a file: {network}"
    passers = Table.top(ask, "pinner_passers", "Who passes it on", SHOWN, as_file)
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
        passers
        if passers.rows
        else Empty(
            "Nobody has passed it on yet.",
            "Who pins from one of her pins shows here once a run has read it.",
        ),
    ]


def _by_hop(hops: list[Row]) -> dict[str, Any]:
    """People as columns, what they brought as a line."""
    return {
        "xAxis": {
            "type": "category",
            "data": [f"hop {row['hop']}" for row in hops],
        },
        "yAxis": [
            values_axis("count"),
            values_axis("money") | {"splitLine": {"show": False}},
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
