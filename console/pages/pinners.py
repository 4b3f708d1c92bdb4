"""Pinners: everybody who pinned, found by id, in the order of any column, page by page."""

import contextlib
import itertools

from console.blocks import WHOLE, Empty, Listing, Page, Table
from console.choices import ChoiceError, Choices
from console.questions import Ask, Question

ROWS = 50
"""Pinners on one page."""
CASCADES = 20
"""The largest cascades, below the pinners."""
WORDS = ("pinner_id", "stage", "community_id")
NUMBERS = (
    "credited_micros", "influenced_micros", "reach_total", "depth", "pins", "reproduction_number",
    "influence_rank",
)  # fmt: skip
ORDERS = ("desc", "asc")

_NUMBER, _WORD = (
    f"CASE :sort {' '.join(f'WHEN {name!r} THEN {name}' for name in names)}"
    for names in (NUMBERS, WORDS)
)
_MATCHES = """LOWER(s.pinner_id) LIKE '%' || REPLACE(REPLACE(REPLACE(
    LOWER(:search), '!', '!!'), '%', '!%'), '_', '!_') || '%' ESCAPE '!'"""

_CASCADES = (
    "A cascade is a pin and all that was pinned from it, from one to the next. Its credit is under"
    " time_decay."
)

# The newest month is read once: the view pinner_stage would read it again for each pinner, and
# what else is materialized would be searched without an index.
QUESTIONS = (
    Question(
        "pinners",
        "Everybody who pinned, and what came of it",
        f"""\
WITH newest AS MATERIALIZED (
  SELECT newest_month FROM as_of WHERE site_id = :site
), found AS (
  SELECT s.pinner_id, t.stage, s.pins, s.reach_total, s.depth, s.reproduction_number,
    s.reproduction_low, s.reproduction_high,
    COALESCE(c.credited_micros, 0) AS credited_micros, c.ci_low_micros AS credited_low_micros,
    c.ci_high_micros AS credited_high_micros,
    s.influenced_micros, s.influence_rank, s.community_id
  FROM pinner_sphere s
  LEFT JOIN current_pinner_stages t ON t.site_id = s.site_id AND t.pinner_id = s.pinner_id
    AND t.month <= (SELECT newest_month FROM newest)
    AND (t.left_month IS NULL OR t.left_month > (SELECT newest_month FROM newest))
  LEFT JOIN current_model_credits c ON c.site_id = s.site_id AND c.dimension = 'pinner'
    AND c.key = s.pinner_id AND c.model = :model
  WHERE s.site_id = :site AND {_MATCHES}
), ordered AS (
  SELECT found.*, {_NUMBER} WHEN '' THEN credited_micros END AS number,
    {_WORD} END AS word
  FROM found
)
SELECT pinner_id, stage, pins, reach_total, depth, credited_micros, credited_low_micros,
  credited_high_micros, influenced_micros, influence_rank, reproduction_number, reproduction_low,
  reproduction_high, community_id
FROM ordered
ORDER BY CASE WHEN number IS NULL AND word IS NULL THEN 1 ELSE 0 END,
  CASE WHEN :order = 'asc' THEN number ELSE -number END,
  CASE WHEN :order = 'asc' THEN word END,
  CASE WHEN :order = 'asc' THEN NULL ELSE word END DESC,
  pinner_id""",
        {
            "pinner_id": "link_pinner",
            "stage": "text",
            "pins": "count",
            "reach_total": "count",
            "depth": "count",
            "credited_micros": "money",
            "credited_low_micros": "money",
            "credited_high_micros": "money",
            "influenced_micros": "money",
            "influence_rank": "count",
            "reproduction_number": "number",
            "reproduction_low": "number",
            "reproduction_high": "number",
            "community_id": "text",
        },
        f"{WHOLE} Credited adds up over pinners, influenced overlaps: do not add. No interval: too"
        " little data.",
        {"sort": (*NUMBERS, *WORDS), "order": ORDERS},
    ),
    Question(
        "pinners_found",
        "How many pinners there are, and how many of them were looked for",
        f"""\
SELECT COUNT(*) AS pinners, COUNT(CASE WHEN {_MATCHES} THEN 1 END) AS found
FROM current_pinner_spheres s WHERE s.site_id = :site""",
        {"pinners": "count", "found": "count"},
    ),
    Question(
        "cascades",
        "Which cascades are the largest?",
        """\
SELECT c.root_pin_id AS pin_id, p.person_id AS pinner_id, p.item_id, p.pinned_at, c.size AS pins,
       c.depth, c.breadth, c.pinners, c.visits, c.visitors, c.structural_virality,
       c.credited_micros
FROM current_cascades c
JOIN current_pins p ON p.site_id = c.site_id AND p.pin_id = c.root_pin_id
WHERE c.site_id = :site
ORDER BY c.size DESC, c.visits DESC, c.root_pin_id""",
        {
            "pin_id": "link_pin",
            "pinner_id": "link_pinner",
            "item_id": "link_item",
            "pinned_at": "time",
            "pins": "count",
            "depth": "count",
            "breadth": "count",
            "pinners": "count",
            "visits": "count",
            "visitors": "count",
            "structural_virality": "number",
            "credited_micros": "money",
        },
        _CASCADES,
    ),
)


def build(ask: Ask, choices: Choices) -> Page:
    """The part of the table that the reader asked for."""
    (counted,) = ask("pinners_found")
    pages = max(1, -(-counted["found"] // ROWS))
    page = _page(choices.page or "1", pages)
    if not counted["pinners"]:
        return Page(
            "Pinners",
            [
                Empty(
                    "Nobody known pinned yet.",
                    "Is the Pin It button on the pages, and does the beacon hear of it? pinsphere"
                    " doctor looks.",
                )
            ],
        )
    with contextlib.closing(ask.batches("pinners", ROWS)) as batches:
        rows = next(itertools.islice(batches, page - 1, None), [])
    return Page(
        "Pinners",
        [
            Listing(
                "Everybody who pinned",
                rows,
                "pinners",
                choices.sort or NUMBERS[0],
                choices.order or ORDERS[0],
                (*WORDS, *NUMBERS),
                page,
                pages,
                counted["found"],
                "Credited adds up over pinners and to the orders; influenced overlaps: do not add."
                " Low and high are 95 % intervals; none: too little data. The reproduction number"
                " is re-pins by others a mature pin.",
            ),
            Table("The largest cascades", ask.first("cascades", CASCADES), "cascades", _CASCADES),
        ],
        WHOLE,
    )


def _page(value: str, pages: int) -> int:
    """A page that there is: the last one, where a search has left fewer of them."""
    if not (value.isascii() and value.isdigit() and int(value[:9])):
        raise ChoiceError(f"page={value!r} is no number from 1 on")
    return min(int(value[:9]), pages)
