"""One pin: its cascade as a tree, the orders it led to, and where every micro of credit is from."""

from markupsafe import Markup

from console import trees
from console.blocks import WHOLE, Block, Empty, Figure, Figures, Page, Picture, Table
from console.choices import Choices, UnknownError
from console.questions import Ask, Question, Row

SHOWN = 50
"""Rows of a table on the page at most; all are behind its link."""
READ = 50_000
"""Pins that are read for the picture at most: those nearest to the root."""

_ROOT = """\
(SELECT root_pin_id FROM current_pins WHERE site_id = :site AND pin_id = :pin)"""
# Every credit of a pin of the cascade under the model: an order line, a touch and a pin each.
_CREDITS = f"""\
WITH members AS MATERIALIZED (
  SELECT pin_id FROM current_pins WHERE site_id = :site AND root_pin_id = {_ROOT}
), credits AS MATERIALIZED (
  SELECT * FROM current_order_credits
  WHERE site_id = :site AND model = :model AND pin_id IN (SELECT pin_id FROM members)
)
"""

_HOW = (
    "A row for each order line, touch and pin. A touch is a landing before the order; distance is"
    " the number of re-pins from the pin landed on up to the pin credited. Same item: what was"
    " pinned is what was bought. Self: the pinner bought it herself. A micro is a millionth of the"
    " currency's unit: money is split in micros, so that no part is lost."
)
_TRACED = {
    "order_id": "text",
    "line_id": "text",
    "item_id": "link_item",
    "credit_micros": "money",
    "micros": "count",
    "pin_id": "link_pin",
    "pinner_id": "link_pinner",
    "distance": "count",
    "touched_at": "time",
    "touch_id": "text",
    "is_self": "yes_no",
    "is_same_item": "yes_no",
    "refunded_micros": "money",
    "model": "text",
}


def _trace(condition: str) -> str:
    return f"""\
{_CREDITS}SELECT c.order_id, c.line_id, l.item_id, c.credit_micros, c.credit_micros AS micros,
       c.pin_id, c.pinner_id, c.distance, c.touched_at, c.touch_id, c.is_self, c.is_same_item,
       c.refunded_micros, c.model
FROM credits c
LEFT JOIN current_order_lines l ON l.site_id = c.site_id AND l.order_id = c.order_id
  AND l.line_id = c.line_id
WHERE {condition}
ORDER BY c.order_id, c.line_id, c.place"""


QUESTIONS = (
    Question(
        "pin",
        "What is known of one pin and of its cascade?",
        """\
SELECT p.pin_id, p.person_id, p.item_id, p.item_list_id, p.recommender_id, p.pinned_at, p.hop,
       p.parent_pin_id, p.root_pin_id, p.visits, p.visitors, p.is_confirmed,
       c.size AS cascade_pins, c.depth AS cascade_depth, c.pinners AS cascade_pinners,
       c.visits AS cascade_visits, c.visitors AS cascade_visitors,
       c.structural_virality, c.credited_micros AS cascade_credited_micros
FROM current_pins p
JOIN current_cascades c ON c.site_id = p.site_id AND c.root_pin_id = p.root_pin_id
WHERE p.site_id = :site AND p.pin_id = :pin""",
        {
            "pin_id": "link_pin",
            "person_id": "link_pinner",
            "item_id": "link_item",
            "item_list_id": "text",
            "recommender_id": "text",
            "pinned_at": "time",
            "hop": "count",
            "parent_pin_id": "link_pin",
            "root_pin_id": "link_pin",
            "visits": "count",
            "visitors": "count",
            "is_confirmed": "yes_no",
            "cascade_pins": "count",
            "cascade_depth": "count",
            "cascade_pinners": "count",
            "cascade_visits": "count",
            "cascade_visitors": "count",
            "structural_virality": "number",
            "cascade_credited_micros": "money",
        },
        f"{WHOLE} The cascade's credit here is under time_decay.",
    ),
    Question(
        "cascade_pins",
        "Which pins are in its cascade, and what is credited to each?",
        f"""\
{_CREDITS}SELECT p.pin_id, p.parent_pin_id, p.person_id, p.item_id, p.hop, p.pinned_at, p.visits,
       p.visitors, s.credited_micros
FROM current_pins p
LEFT JOIN (
  SELECT pin_id, SUM(credit_micros) AS credited_micros FROM credits GROUP BY pin_id
) s ON s.pin_id = p.pin_id
WHERE p.site_id = :site AND p.root_pin_id = {_ROOT}
ORDER BY p.hop, p.pinned_at, p.pin_id""",
        {
            "pin_id": "link_pin",
            "parent_pin_id": "link_pin",
            "person_id": "link_pinner",
            "item_id": "link_item",
            "hop": "count",
            "pinned_at": "time",
            "visits": "count",
            "visitors": "count",
            "credited_micros": "money",
        },
        f"{WHOLE} No credit: none was given, or single credits are kept in files.",
    ),
    Question(
        "cascade_orders",
        "Which orders did the cascade lead to?",
        f"""\
{_CREDITS}SELECT o.order_id, o.ordered_at, o.net_micros,
       SUM(c.credit_micros) AS cascade_credit_micros,
       SUM(CASE WHEN c.pin_id = :pin THEN c.credit_micros ELSE 0 END) AS pin_credit_micros,
       COUNT(*) AS credits
FROM credits c
JOIN current_orders o ON o.site_id = c.site_id AND o.order_id = c.order_id
GROUP BY o.order_id, o.ordered_at, o.net_micros
ORDER BY cascade_credit_micros DESC, o.order_id""",
        {
            "order_id": "text",
            "ordered_at": "time",
            "net_micros": "money",
            "cascade_credit_micros": "money",
            "pin_credit_micros": "money",
            "credits": "count",
        },
        f"{WHOLE} Net: of the whole order. Both credits add up to the figures of the page.",
    ),
    Question(
        "cascade_credited",
        "How much is credited to one pin, and to all of its cascade?",
        f"""\
{_CREDITS}SELECT COUNT(DISTINCT order_id) AS orders, COUNT(*) AS credits,
       COALESCE(SUM(credit_micros), 0) AS cascade_credit_micros,
       COUNT(CASE WHEN pin_id = :pin THEN 1 END) AS pin_credits,
       COALESCE(SUM(CASE WHEN pin_id = :pin THEN credit_micros END), 0) AS pin_credit_micros
FROM credits""",
        {
            "orders": "count",
            "credits": "count",
            "cascade_credit_micros": "money",
            "pin_credits": "count",
            "pin_credit_micros": "money",
        },
        f"{WHOLE} Credits are rows of the ledger: an order line, a touch and a pin each.",
    ),
    Question(
        "cascade_credits",
        "Where is every micro of the cascade's credit from?",
        _trace("1 = 1"),
        _TRACED,
        _HOW,
    ),
    Question(
        "pin_credits",
        "Where is every micro of this pin's credit from?",
        _trace("c.pin_id = :pin"),
        _TRACED,
        _HOW,
    ),
    Question(
        "ledger",
        "Where are single credits kept?",
        "SELECT ledger FROM published_run",
        {"ledger": "text"},
    ),
)


def top(ask: Ask) -> str | None:
    """The root of the largest cascade."""
    rows = ask.first("cascades", 1)
    return rows[0]["pin_id"] if rows else None


def build(ask: Ask, choices: Choices) -> Page:
    """Everything about the chosen pin."""
    found = ask("pin")
    if not found:
        raise UnknownError(
            f"{choices.pin!r} is no pin of {choices.site} in this run. Ids of pins are on their"
            " pinners' pages; a pin that was only landed on, and never seen made, has no page."
        )
    (pin,) = found
    has_ledger = ask("ledger")[0]["ledger"] == "sql"
    return Page(
        f"Pin {choices.pin}",
        [
            Figures(_of_pin(pin), "This pin"),
            Figures(_of_cascade(pin), "All of its cascade"),
            _tree(ask, choices, pin, has_ledger=has_ledger),
            *(_traced(ask, choices) if has_ledger else [_in_files(choices)]),
        ],
        WHOLE,
    )


def _traced(ask: Ask, choices: Choices) -> list[Block]:
    """What came of it, down to rows of the ledger: the pin's, or the cascade's if it has none."""
    (credited,) = ask("cascade_credited")
    if not credited["credits"]:
        return [
            Empty(
                "No order came from this cascade yet.",
                f"Orders show here once somebody buys within {choices.window} days of"
                " landing from one of its pins, and a run has read it.",
            )
        ]
    question, whose = (
        ("pin_credits", "this pin's") if credited["pin_credits"] else ("cascade_credits", "its")
    )
    note = "All of them add up to the figure above, to the micro (a millionth)."
    columns = [name for name in _TRACED if name not in {"touch_id", "model"}]
    return [
        Figures(_credit(credited, choices.model), "Credit"),
        Table.top(ask, "cascade_orders", "Orders it led to", SHOWN),
        Table.top(ask, question, f"Each micro of {whose} credit", SHOWN, note, columns),
    ]


def _in_files(choices: Choices) -> Empty:
    return Empty(
        "Single credits of this run are in files alone.",
        'For a trace here, put ledger = "sql" into pinsphere.toml and run: pinsphere run --full.'
        " Without it, the Parquet files in ledger/current beside the database hold every credit"
        " (docs/queries.md, The ledger in files); those of this pin are the rows with pin_id"
        f" {choices.pin}.",
    )


def _of_pin(pin: Row) -> list[Figure]:
    def figure(label: str, column: str, kind: str = "count", note: str = "") -> Figure:
        return Figure(label, pin[column], kind, note=note, question="pin")

    place = f"{pin['hop']:,} re-pins below its root" if pin["hop"] else "began its cascade"
    return [
        figure("Pinner", "person_id", "link_pinner", "" if pin["person_id"] else "unknown"),
        figure("Product", "item_id", "link_item"),
        figure("Pinned", "pinned_at", "time", place),
        figure("Visits", "visits", note=f"by {pin['visitors']:,} known people"),
    ]


def _of_cascade(pin: Row) -> list[Figure]:
    def figure(label: str, column: str, kind: str = "count", note: str = "") -> Figure:
        return Figure(label, pin[f"cascade_{column}"], kind, note=note, question="pin")

    return [
        figure("Pins", "pins", note=f"by {pin['cascade_pinners']:,} known people"),
        figure("Depth", "depth", note="re-pins from the root to the furthest pin"),
        figure("Visits", "visits", note=f"by {pin['cascade_visitors']:,} known people"),
        figure("Credited to all of it", "credited_micros", "money", "under time_decay"),
    ]


def _credit(credited: Row, model: str) -> list[Figure]:
    def note(rows: int, micros: int) -> str:
        return f"{model}: {micros:,} micros in {rows:,} rows of the ledger"

    return [
        Figure(
            "Credited to this pin",
            credited["pin_credit_micros"],
            "money",
            note=note(credited["pin_credits"], credited["pin_credit_micros"]),
            question="pin_credits",
        ),
        Figure(
            "Credited to its cascade",
            credited["cascade_credit_micros"],
            "money",
            note=note(credited["credits"], credited["cascade_credit_micros"]),
            question="cascade_credits",
        ),
        Figure(
            "Orders it led to",
            credited["orders"],
            note="with credit to a pin of the cascade",
            question="cascade_orders",
        ),
    ]


def _tree(ask: Ask, choices: Choices, pin: Row, *, has_ledger: bool) -> Picture:
    rows = ask.first("cascade_pins", READ)
    tree = trees.lay_out(
        (
            trees.Pin(
                row["pin_id"],
                row["parent_pin_id"],
                row["person_id"],
                row["item_id"],
                row["hop"],
                row["visits"],
                (row["credited_micros"] or 0) if has_ledger else None,
            )
            for row in rows
        ),
        choices.pin,
    )
    note = "From left to right: the root, and what was pinned from it. Area: credit."
    if pin["cascade_pins"] > len(rows):
        note += f" The nearest {len(rows):,} of {pin['cascade_pins']:,} pins are looked at."
    return Picture(
        "Its cascade",
        Markup(trees.draw(tree, choices.currency, choices.pin)),  # noqa: S704 (escaped there)
        trees.describe(tree),
        "cascade_pins",
        note,
    )
