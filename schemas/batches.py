"""Arrow schemas of what the flow's stages pass to each other.

Every row carries its site. Lake kinds (`schemas.lake.lake_schema`) gain what is told of them
where they are read (`DERIVED`). Micros are int64 in the order's currency.
"""

import functools
from collections.abc import Iterable

import pyarrow as pa

from schemas.lake import lake_schema

TEXT, INT, FLOAT, FLAG, DAY = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32()
# For what is counted of one pair; to cast more than fits fails.
_FEWER = pa.int32()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


# What is told of an event where it is read: the derived time in UTC epoch milliseconds, whether
# a crawler sent it, and whether Pinterest's did.
DERIVED = {"at": INT, "is_bot": FLAG, "is_crawler": FLAG}
# What of an event anything is made of; of orders and refunds it is everything. Columns that few
# results ask for (`pipelines.transforms.wanted.SERVES`) come last, and are left out from the end:
# two repeats that are the same but for these stand in for each other.
_ENVELOPE = ("site_id", "event_id", "event_time_ms", "received_time_ms", "is_signed", *DERIVED)
_FEW = ("source", "user_agent_class")
_LIST = ("item_list_id", "recommender_id")
_ACTOR = ("visitor_id", "session_id", "customer_id")
_COUNTED = {
    "view_item_list": ("item_ids", *_LIST, *_FEW),
    "select_item": (*_ACTOR, "item_id", *_LIST, *_FEW),
    "add_to_cart": (*_ACTOR, "item_id", *_LIST, *_FEW),
    "view_item": (*_ACTOR, "item_id", *_LIST, *_FEW),
    "engage": (*_ACTOR, "activity", "item_id", *_FEW),
    "pin": (*_ACTOR, "pin_id", "parent_pin_id", "root_pin_id", "item_id", *_LIST, *_FEW),
    "pin_visit": (*_ACTOR, "pin_id", "match_method", *_FEW, "token_carrier"),
    "identify": (*_ACTOR, "email_sha256", "action", *_FEW),
    "touch": _FEW, "erase": _FEW,
}  # fmt: skip


@functools.cache
def counted_schema(event_name: str) -> pa.Schema:
    """Columns of a lake kind that the flow reads, and what is told of them there."""
    lake = lake_schema(event_name)
    told = {**DERIVED, "item_ids": pa.list_(TEXT)}  # of `items` nothing else is asked for
    fields = {name: pa.field(name, kind) for name, kind in told.items()}
    fields |= {field.name: field for field in lake}
    lean = event_name in _COUNTED
    names = (*_ENVELOPE, *_COUNTED[event_name]) if lean else (*lake.names, *DERIVED)
    return pa.schema([fields[name] for name in names])


# Who logged in where: from identify events (e-mails resolved) and from orders.
LOGINS = _schema(site_id=TEXT, visitor_id=TEXT, session_id=TEXT, customer_id=TEXT, at=INT)
# Identify events on their way to an e-mail's customer.
EMAILS = _schema(
    site_id=TEXT,
    visitor_id=TEXT,
    session_id=TEXT,
    customer_id=TEXT,
    email_sha256=TEXT,
    is_login=FLAG,
    at=INT,
)
_PIN = {
    "site_id": TEXT,
    "event_id": TEXT,
    "pin_id": TEXT,
    "parent_pin_id": TEXT,
    "root_pin_id": TEXT,
    "item_id": TEXT,
    "item_list_id": TEXT,
    "recommender_id": TEXT,
    "precedence": INT,
    "at": INT,
}
_VISIT = {
    "site_id": TEXT,
    "event_id": TEXT,
    "pin_id": TEXT,
    "match_method": TEXT,
    "is_crawler": FLAG,
    "at": INT,
}
_WHO = {"visitor_id": TEXT, "session_id": TEXT, "customer_id": TEXT}
PIN_CLICKS = _schema(**_PIN, **_WHO)
LANDINGS = _schema(**_VISIT, **_WHO)
# Views and engagement, on their way to a person.
DOINGS = _schema(site_id=TEXT, act=TEXT, item_id=TEXT, item_list_id=TEXT, at=INT, **_WHO)
PINS_BY_PERSON = _schema(**_PIN, person_id=TEXT)
LANDINGS_BY_PERSON = _schema(**_VISIT, person_id=TEXT)
# Landings that found their pin, keyed by the root the pin claims; which one it was is no matter.
LANDINGS_BY_ROOT = _schema(
    site_id=TEXT, pin_id=TEXT, is_crawler=FLAG, at=INT, person_id=TEXT, root_pin_id=TEXT
)

ORDER_LINE = pa.struct(
    [
        ("line_id", TEXT),
        ("item_id", TEXT),
        ("quantity", INT),
        ("gross_micros", INT),
        ("refunded_micros", INT),
    ]
)
_ORDER = {
    "site_id": TEXT,
    "order_id": TEXT,
    "currency": TEXT,
    "is_creditable": FLAG,
    "lines": pa.list_(ORDER_LINE),
    "at": INT,
}
ORDERS = _schema(**_ORDER, **_WHO)
ORDERS_BY_PERSON = _schema(**_ORDER, person_id=TEXT)

# A known person's landing on a pin, or her own pin.
_TOUCH = {"site_id": TEXT, "person_id": TEXT, "touch_id": TEXT, "pin_id": TEXT, "at": INT}
# `root_key` is the hash by which the pin meets its cascade.
TOUCHES = _schema(**_TOUCH, root_key=INT)
ORDER_TOUCHES = _schema(**_TOUCH)
# Of pins what a chain tells of them, and how it is found.
PINS_TO_CHAIN = _schema(
    **{name: _PIN[name] for name in _PIN if name not in ("event_id", "precedence", "at")},
    person_id=TEXT,
)
# Touches with the pins from theirs up to its root, nearest first, and layer 2's shares (sum 1).
CHAINED_TOUCHES = _schema(
    **_TOUCH,
    pin_ids=pa.list_(TEXT),
    pinner_ids=pa.list_(TEXT),
    item_ids=pa.list_(TEXT),
    item_list_ids=pa.list_(TEXT),
    recommender_ids=pa.list_(TEXT),
    shares=pa.list_(FLOAT),
)

# The catalog: items that have a category.
ITEMS = _schema(item_id=TEXT, item_category=TEXT)
# What people did (pipelines.transforms.acts): view, visit, pin, re-pin, repinned, order, or an
# activity of engage. `amount_micros` is what was bought, else 0. Two acts may say the same.
ACTS = _schema(
    site_id=TEXT, person_id=TEXT, act=TEXT, at=INT, item_id=TEXT, item_list_id=TEXT,
    amount_micros=INT,
)  # fmt: skip
# A guest landed on a host's pin or pinned on from it, both of them known.
MEETINGS = _schema(site_id=TEXT, host_id=TEXT, guest_id=TEXT, at=INT)
RETURN_COUNTS = ("to_her", "by_her")
# How often somebody came back to a person, and she to one whom she had reached, in a month of
# the shop's (12 x year + month - 1).
RETURN_PARTS = _schema(site_id=TEXT, person_id=TEXT, month=INT, **dict.fromkeys(RETURN_COUNTS, INT))
# What others' orders brought a person under the default model; all of a span between two moments at
# which 90 days after some month begin or end at the first of these.
CREDIT_PARTS = _schema(site_id=TEXT, person_id=TEXT, at=INT, credited_micros=INT)

# Parts of the ladder's tables: of some people, so that they add up over shards.
LADDER_COUNTS = ("people", "acts")
LADDER_PARTS = _schema(
    site_id=TEXT, dimension=TEXT, key=TEXT, day=DAY, rung=TEXT, people=INT, acts=INT
)
MOVE_PARTS = _schema(
    site_id=TEXT, dimension=TEXT, key=TEXT, day=DAY, from_rung=TEXT, to_rung=TEXT, people=INT
)
MOVE_COUNTS = ("people",)

# One row per cascade, pinner and person reached; merged over cascades later.
REACH = _schema(
    site_id=TEXT, pinner_id=TEXT, person_id=TEXT, hop=INT, visits=INT, pins=INT,
    first_at=INT, own_pin_at=INT,
)  # fmt: skip
# One row per pinner and person reached, over all cascades: what of it is told in numbers. A pinner
# who reached everybody has as many as there are people, so both are hashes: `person` of the
# person's id, and of the pinner the key, whose name is where her pins are (`OWN_PINS`).
PAIRS = _schema(
    person=INT, hop=_FEWER, visits=_FEWER, pins=_FEWER, influenced_micros=INT,
    first_reached_at=INT, delay_ms=INT,
)  # fmt: skip
# Landings in a pinner's sphere by hop, those of nobody included; in parts.
HOP_VISITS = _schema(site_id=TEXT, pinner_id=TEXT, hop=INT, visits=INT)
OWN_PINS_SUMS = ("pins", "confirmed_pins", "pair_distance", "pairs")
# Pins of a pinner and the pairs of pins below them; in parts.
OWN_PINS = _schema(site_id=TEXT, pinner_id=TEXT, **dict.fromkeys(OWN_PINS_SUMS, INT))
INFLUENCE = _schema(site_id=TEXT, pinner_id=TEXT, person_id=TEXT, influenced_micros=INT)
# Each pin in the graph of pinners: whose it is, from whose pin, and re-pins of it by others.
LINEAGE = _schema(
    site_id=TEXT, pinner_id=TEXT, parent_pinner_id=TEXT, generation=INT, re_pins=INT, at=INT
)
# The people of a pinner's sphere, as hashes: to unite spheres is to sort numbers. Their sum tells
# spheres apart before lists need to be compared.
AUDIENCES = _schema(site_id=TEXT, pinner_id=TEXT, people=pa.list_(INT), people_sum=INT)
CASCADE_SHAPES = _schema(
    site_id=TEXT, root_pin_id=TEXT, size=INT, depth=INT, breadth=INT, pinners=INT, visits=INT,
    visitors=INT, pair_distance=INT, pairs=INT,
)  # fmt: skip


def credit_sums_schema(models: Iterable[str]) -> pa.Schema:
    """Credit of one customer to one key of one dimension.

    In micros, a column for each model: null where it has no credit row (which a credit of 0 is).
    """
    return _schema(site_id=TEXT, dimension=TEXT, key=TEXT, **dict.fromkeys(models, INT))


# Credit under the default model to a pinner or a cascade, in parts. It meets what else is told of
# it; `credit_sums` has keys of its own, or it would be read for whoever has a new visitor.
CREDIT_TOTALS = _schema(site_id=TEXT, dimension=TEXT, key=TEXT, credited_micros=INT)
# What the orders of one buyer are worth, and what of it one pinner is credited under the default
# model. A buyer whom nobody knows is an order.
BUYER_SALES = _schema(site_id=TEXT, person_id=TEXT, order_id=TEXT, net_micros=INT)
BUYER_CREDITS = _schema(site_id=TEXT, pinner_id=TEXT, person_id=TEXT, credited_micros=INT)
KNOWN_PINNERS = _schema(site_id=TEXT, pinner_id=TEXT)
PINNER_CREDITS = _schema(site_id=TEXT, pinner_id=TEXT, model=TEXT, credited_micros=INT)
TIE_COUNTS = ("pinners", "people", "visits", "pins", "influenced_micros")
# Ties of pinners who reached at least so many people, that are at least so deep.
TIE_PARTS = _schema(site_id=TEXT, people_from=INT, depth=TEXT, **dict.fromkeys(TIE_COUNTS, INT))
RETENTION_SUMS = ("active_people", "buyers", "net_micros")
# Who of a cohort did something in a month; months are 12 x year + month - 1.
RETENTION_PARTS = _schema(
    site_id=TEXT, population=TEXT, cohort_month=INT, month=INT,
    **dict.fromkeys(RETENTION_SUMS, INT),
)  # fmt: skip
LIFETIME_PARTS = _schema(
    site_id=TEXT, population=TEXT, activity=TEXT, since=TEXT, first_month=INT, last_month=INT,
    people=INT,
)  # fmt: skip
# Parts of the daily tables: what people did holds for every model, credit for one.
_DAILY = {"site_id": TEXT, "dimension": TEXT, "key": TEXT, "day": DAY}
VIEW_COUNTS = ("views", "clicks", "adds_to_cart")
VIEW_PARTS = _schema(**_DAILY, **dict.fromkeys(VIEW_COUNTS, INT))
PIN_COUNTS = ("pins", "pin_visits")
PIN_PARTS = _schema(**_DAILY, **dict.fromkeys(PIN_COUNTS, INT))
DUE_SUMS = ("orders", "units", "credited_micros", "direct_micros", "refunded_micros")
DUE_PARTS = _schema(**_DAILY, model=TEXT, **dict.fromkeys(DUE_SUMS, INT))
SALES_SUMS = (
    "orders", "credited_orders", "gross_micros", "refunded_micros", "net_micros",
    "credited_micros", "unattributed_micros",
)  # fmt: skip
# Orders by local day: the same under every model.
SALES_PARTS = _schema(site_id=TEXT, day=DAY, **dict.fromkeys(SALES_SUMS, INT))
QUALITY_COUNTS = ("received", "duplicates", "bots", "late", "matched_by_token", "quarantined")
QUALITY_PARTS = _schema(
    site_id=TEXT, day=DAY, event_name=TEXT, **dict.fromkeys(QUALITY_COUNTS, INT)
)
LANDING_COUNTS = ("landings",)
# Landings from Pinterest by day, client, evidence and carrier.
LANDING_PARTS = _schema(
    site_id=TEXT, day=DAY, user_agent_class=TEXT, match_method=TEXT, token_carrier=TEXT,
    landings=INT,
)  # fmt: skip
ARRIVAL_COUNTS = ("events",)
# Events by the hour in which they came, and what sent them.
ARRIVAL_PARTS = _schema(site_id=TEXT, hour_at=INT, source=TEXT, events=INT)
STAGE_SUMS = (
    "people", "settled", "people_with_revenue", "credited_next_90_micros", "own_next_90_micros",
    "square_high", "square_low",
)  # fmt: skip
# Pinners by month and the stages before and after it. A square of revenue is high x 2^40 + low.
STAGE_PARTS = _schema(
    site_id=TEXT, month=TEXT, from_stage=TEXT, to_stage=TEXT, last_day=TEXT,
    **dict.fromkeys(STAGE_SUMS, INT),
)  # fmt: skip
# Records the flow itself refuses (the beacon's and the imports' are files already).
REFUSED = _schema(site_id=TEXT, event_name=TEXT, record_id=TEXT, reason=TEXT, at=INT)
