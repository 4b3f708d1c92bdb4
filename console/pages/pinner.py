"""One pinner: her sphere as rings, what it brought hop by hop, her pins and her stages."""

from console.blocks import WHOLE, Figure, Figures, Page, Table
from console.choices import Choices, UnknownError
from console.days import month_name
from console.pages import sphere
from console.pages.sphere import SHOWN
from console.questions import Ask, Question, Row

_PINS_NOTE = "Hop 0 began its cascade. Confirmed: somebody followed it, or Pinterest did."
_STAGES_NOTE = (
    "Left: the month at whose end she no longer is, or will no longer be if nothing else happens."
)

QUESTIONS = (
    *sphere.QUESTIONS,
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
        f"{WHOLE} Credited adds up over pinners; influenced overlaps: do not add.",
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
        f"{WHOLE} {_PINS_NOTE}",
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
        _STAGES_NOTE,
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
    return Page(
        f"Pinner {choices.pinner}",
        [
            Figures(_figures(pinner, choices.model)),
            *sphere.sphere(ask, choices, pinner["reach_total"]),
            Table.top(ask, "pinner_pins", "Her pins", SHOWN, _PINS_NOTE),
            Table("Her stages", ask("pinner_stages"), "pinner_stages", _STAGES_NOTE),
        ],
        WHOLE,
    )


def _figures(pinner: Row, model: str) -> list[Figure]:
    def figure(label: str, column: str, kind: str = "count", note: str = "") -> Figure:
        return Figure(label, pinner[column], kind, note=note, question="pinner")

    few = "" if pinner["ci_low_micros"] is not None else "; no interval: too little data"
    mature = pinner["reproduction_number"] is not None
    since = pinner["since_month"]
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
        figure("Stage", "stage", "text", f"since {month_name(since)}" if since else "none yet"),
        figure("Median time to reach", "median_hours_to_reach", "number", "hours"),
    ]
