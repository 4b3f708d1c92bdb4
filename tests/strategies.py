"""Small adversarial worlds for property tests: few ids, few moments, everything collides."""

from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from schemas.contract import check_event
from schemas.errors import EventError
from schemas.events import (
    AddToCart,
    AnyEvent,
    Engage,
    Identify,
    OrderItem,
    Pin,
    PinVisit,
    Purchase,
    Refund,
    RefundItem,
    SelectItem,
    Touch,
    ViewItem,
)
from schemas.settings import Site
from schemas.stages import CasualAcquaintance, Stages, Teammate

START_MS = 1_704_067_200_000  # 2024-01-01
DAY_MS = 86_400_000
EMAILS = ("a" * 64, "b" * 64)
# Moments that meet every edge: equal, one millisecond apart, half-lives, both ends of 30 days.
MOMENTS = tuple(
    START_MS + ms
    for ms in (
        *(0, 1, 2, 3_600_000, DAY_MS, 7 * DAY_MS, 14 * DAY_MS, 29 * DAY_MS),
        *(30 * DAY_MS - 1, 30 * DAY_MS, 30 * DAY_MS + 1, 31 * DAY_MS, 60 * DAY_MS),
    )
)
# Whole units, prime numbers of micros, nothing, and less than nothing.
PRICES = ("0", "0.000001", "0.000002", "0.000007", "0.01", "1", "9.99", "25.00", "-1.5")
DISCOUNTS = ("0", "0", "0", "0.000001", "0.01", "3.33", "-0.000005")
AMOUNTS = ("0", "0.000001", "0.000003", "0.01", "1", "7.77", "40")

# Thresholds that two months of events can meet.
QUICK_STAGES = Stages(
    look_back_months=2,
    burst_days=1,
    casual_acquaintance=CasualAcquaintance(recency_months=1, active_months=1, depth="curation"),
    teammate=Teammate(recency_months=0, active_months=2, purchases=1),
)


class TinyWorld(NamedTuple):
    """Raw events and the settings of their sites."""

    events: list[AnyEvent]
    sites: dict[str, Site]


@st.composite
def tiny_worlds(draw: DrawFn, *, max_events: int = 40, has_conflicts: bool = False) -> TinyWorld:
    """A few events over tiny alphabets, all within the event contract.

    Cycles, missing parents, equal times, refunds before orders, several statements of one
    order, ids met at two sites and more than three customers on one device are all common.

    Args:
      draw: given by hypothesis.
      max_events: at most so many.
      has_conflicts: also repeats of one event id, received at the same moment, that differ.
    """
    sites = draw(_sites())
    # A plain list would stay near its least size, where nothing meets.
    size = draw(
        st.sampled_from([n for n in (1, 3, 6, 12, 20, 30) if n < max_events] + [max_events])
    )
    events = draw(st.lists(_events(sorted(sites)), min_size=size, max_size=size))
    events += draw(_plots()) + draw(_webhooks())
    return TinyWorld(events if has_conflicts else _without_conflicts(events), sites)


def _without_conflicts(events: list[AnyEvent]) -> list[AnyEvent]:
    """Keeps the first of all repeats received at one moment, so that one surely came first."""
    kept: dict[tuple[str, str, int], AnyEvent] = {}
    for event in events:
        kept.setdefault((event.site_id, event.event_id, event.received_time_ms or 0), event)
    return list(kept.values())


@st.composite
def _sites(draw: DrawFn) -> dict[str, Site]:
    names = draw(st.sampled_from((("acme",), ("acme",), ("acme", "bolt"))))
    return {
        name: Site(
            key=f"key-of-{name}",
            currency="GBP",
            orders_from=draw(st.sampled_from(("server", "browser", "both"))),
            window_days=draw(st.sampled_from((30.0, 30.0, 1.0))),
            half_life_days=draw(st.sampled_from((7.0, 7.0, 3.0))),
            necessity=draw(st.sampled_from((0.5, 0.5, 0.0, 0.3, 1.0))),
            sphere_decay=draw(st.sampled_from((0.5, 0.25))),
            stages=draw(st.sampled_from((Stages(), QUICK_STAGES))),
        )
        for name in names
    }


@st.composite
def _plots(draw: DrawFn) -> list[AnyEvent]:
    """A short chain of pins, landings on it and an order, for the other events to disturb."""
    length = draw(st.integers(0, 5))
    visitors = st.sampled_from(("u", "w", "x", "y", None))
    plot: list[AnyEvent] = []

    def tell(kind: type[Any], place: int, **fields: Any) -> None:
        at = START_MS + place * draw(st.sampled_from((0, 1, 3_600_000)))
        event_id = f"plot{len(plot)}"
        plot.append(kind(event_id=event_id, site_id="acme", event_time_ms=at, **fields))

    for place, (pin_id, parent) in enumerate(zip("pqrst"[:length], [None, *"pqrs"], strict=False)):
        root = None if parent is None else "p"
        family: dict[str, Any] = {"pin_id": pin_id, "parent_pin_id": parent, "root_pin_id": root}
        tell(Pin, place, visitor_id=draw(visitors), item_id="mug", **family)
        if draw(st.booleans()):
            tell(PinVisit, place + 1, visitor_id=draw(visitors), pin_id=pin_id)
    if length and draw(st.booleans()):
        items = [OrderItem(item_id="mug", price=draw(st.sampled_from(PRICES)), quantity=2)]
        order = {"order_id": "m", "currency": "GBP", "items": items}
        tell(Purchase, 9, visitor_id=draw(visitors), is_signed=draw(st.booleans()), **order)
    return plot


@st.composite
def _webhooks(draw: DrawFn) -> list[AnyEvent]:
    """Versions of one order, from a shop system, in files or a browser, in any order of arrival."""
    told: list[AnyEvent] = []
    # All by webhook, all claimed, or every way at once; signed, mostly without a visitor.
    ways = draw(
        st.sampled_from((("webhook",), ("web_js",), ("webhook", "file", "server", "web_js")))
    )
    visitors = st.sampled_from((None, None, "u"))
    for place in range(draw(st.sampled_from((0, 2, 3, 5)))):
        own = draw(st.one_of(_purchases(), _purchases(), _refunds()))
        # Few moments: versions of one second are common.
        updated = draw(st.sampled_from((None, START_MS, START_MS, START_MS + 1)))
        # Around an hour from each other: as long as a browser lends its visitor.
        later = draw(st.sampled_from((0, 1, 3_600_000, 3_600_001)))
        own |= {"order_id": "m", "currency": "GBP", "updated_time_ms": updated, "later": later}
        source = draw(st.sampled_from(ways))
        known: dict[str, Any] = {"event_id": f"hook{place}", "user_agent_class": "human"}
        received = draw(st.sampled_from((None, 0, 1, 2, 3_600_000, 3_600_001, DAY_MS)))
        known |= {"source": source, "event_time_ms": START_MS, "sent_time_ms": None}
        known["received_time_ms"] = None if received is None else START_MS + received
        sent: dict[str, Any] = {"is_signed": source != "web_js"}
        sent["visitor_id"] = draw(visitors if sent["is_signed"] else st.sampled_from("uuuw"))
        event = _whole(draw(_envelopes(["acme"])) | known | sent, own)
        if _is_sound(event):
            told.append(event)
    return told


def _events(site_ids: list[str]) -> SearchStrategy[AnyEvent]:
    kinds = (
        *(_pins(), _pins(), _pins(), _visits(), _visits(), _visits()),
        *(_purchases(), _purchases(), _refunds(), _logins(), _looks(), _noise()),
    )
    return st.builds(_whole, _envelopes(site_ids), st.one_of(*kinds)).filter(_is_sound)


def _whole(envelope: dict[str, Any], own: dict[str, Any]) -> AnyEvent:
    kind = own["kind"]
    fields = envelope | {name: value for name, value in own.items() if name != "kind"}
    if kind is Refund:  # mostly the shop's own word
        fields["is_signed"] = fields["is_signed"] or fields["session_id"] is not None
    fields["event_time_ms"] += fields.pop("later", 0)
    event: AnyEvent = kind(**fields)
    return event


def _is_sound(event: AnyEvent) -> bool:
    try:
        check_event(msgspec.convert(msgspec.to_builtins(event), type(event)))
    except EventError:
        return False
    return True


@st.composite
def _envelopes(draw: DrawFn, site_ids: list[str]) -> dict[str, Any]:
    at = draw(st.sampled_from(MOMENTS[:6] * 3 + MOMENTS))
    clock = draw(st.sampled_from((0, 0, 0, 1, -3_600_000)))
    received = draw(st.none() | st.sampled_from((0, 1, 2, 5_000, DAY_MS)))
    sent = None if received is None else draw(st.sampled_from((None, clock, clock + 1)))
    return {
        "event_id": draw(st.integers(0, 150).map("e{}".format)),
        "site_id": draw(st.sampled_from(site_ids)),
        "event_time_ms": at + clock,
        "received_time_ms": None if received is None else at + received,
        "sent_time_ms": None if received is None or sent is None else at + received + sent,
        "visitor_id": draw(st.sampled_from((*"uuuuuwwwx", None))),
        "session_id": draw(st.sampled_from(("s1", "s2", None))),
        "customer_id": draw(st.sampled_from((*(None,) * 7, "a", "b"))),
        "user_agent_class": draw(st.sampled_from((*("human",) * 18, "bot", "pinterestbot"))),
        "is_signed": draw(st.sampled_from((True, True, False))),
        "source": draw(st.sampled_from(("web_js", "server", "file", "webhook"))),
    }


def _pins() -> SearchStrategy[dict[str, Any]]:
    ids = st.sampled_from("pqrst")
    # One cascade of p more often than not: long chains and cycles want one root.
    roots = st.sampled_from(("p", "p", "p", "q", "z", None))
    steps = st.sampled_from(
        (("p", None, None), ("q", "p", None), ("q", "p", "p"), ("r", "q", "p"), ("s", "r", "p"))
    )
    placed = st.one_of(steps, steps, steps, st.tuples(ids, st.none() | ids, roots))
    return st.builds(lambda place, own: own | _mended(*place), placed, _pin_texts())


def _pin_texts() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.just(Pin),
            "item_id": st.sampled_from(("mug", "vase", None)),
            "item_list_id": st.sampled_from(("home_recs", None)),
            "recommender_id": st.sampled_from(("cf-v2", None)),
        }
    )


def _mended(pin_id: str, parent: str | None, root: str | None) -> dict[str, str | None]:
    """Mends what the contract forbids, so that few draws are thrown away."""
    if pin_id in (parent, root):
        parent = None
    return {"pin_id": pin_id, "parent_pin_id": parent, "root_pin_id": parent and root}


def _visits() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.just(PinVisit),
            "pin_id": st.sampled_from((*"ppqqqrrrst", "z", None)),
            "match_method": st.sampled_from(("referrer", "epik")),
        }
    )


def _purchases() -> SearchStrategy[dict[str, Any]]:
    items = st.lists(
        st.builds(
            OrderItem,
            item_id=st.sampled_from(("mug", "vase", "lamp")),
            quantity=st.sampled_from((1, 1, 2, 3)),
            price=st.sampled_from(PRICES),
            discount=st.sampled_from(DISCOUNTS),
            line_id=st.sampled_from(("1", "2", "10", None)),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda item: item.line_id,
    )
    return st.fixed_dictionaries(
        {
            "kind": st.just(Purchase),
            # Most orders follow some touch, some at the last moment of the window.
            "later": st.sampled_from((0, 2, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)),
            "order_id": st.sampled_from("mmno"),
            "currency": st.sampled_from((*("GBP",) * 9, "USD")),
            "discount": st.sampled_from(DISCOUNTS),
            "tax": st.just("0.20"),
            "items": items,
            "updated_time_ms": _updates(),
        }
    )


def _updates() -> SearchStrategy[int | None]:
    """When the shop last changed an order: among the moments of receipt, before, after, unsaid."""
    return st.none() | st.sampled_from((*MOMENTS[:6], START_MS - DAY_MS, START_MS + 5_000))


def _refunds() -> SearchStrategy[dict[str, Any]]:
    items = st.lists(
        st.builds(
            RefundItem,
            line_id=st.sampled_from(("1", "2", "10", "3", None)),
            item_id=st.sampled_from(("mug", "vase", "lamp", None)),
            quantity=st.sampled_from((1, 2, 5, None)),
            amount=st.none() | st.sampled_from(AMOUNTS),
        ).filter(_is_refundable),
        min_size=1,
        max_size=2,
    )
    whole: SearchStrategy[dict[str, Any]] = st.just({})
    by_amount = st.fixed_dictionaries({"amount": st.sampled_from(AMOUNTS)})
    by_item = st.fixed_dictionaries({"items": items})
    return st.builds(
        lambda body, own: {**own, **body},
        st.one_of(whole, by_amount, by_item, by_item),
        st.fixed_dictionaries(
            {
                "kind": st.just(Refund),
                "refund_id": st.sampled_from(("r1", "r2")),
                "order_id": st.sampled_from("mmno"),
                "currency": st.sampled_from((*("GBP", None) * 4, "USD")),
                "updated_time_ms": _updates(),
            }
        ),
    )


def _is_refundable(item: RefundItem) -> bool:
    is_named = item.line_id is not None or item.item_id is not None
    return is_named and (item.amount is not None or item.quantity is not None)


def _logins() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.just(Identify),
            "customer_id": st.sampled_from(("a", "b", "c", "d", None)),
            "email_sha256": st.sampled_from((*EMAILS, EMAILS[0])),
            "action": st.sampled_from(("login", "login", "login", "logout")),
        }
    )


def _looks() -> SearchStrategy[dict[str, Any]]:
    product = {"item_id": st.sampled_from(("mug", "vase"))}
    shown = product | {"item_list_id": st.sampled_from(("home_recs", None))}
    activity = st.sampled_from(("comment", "review", "photo", "question", "answer", "vote"))
    return st.one_of(
        st.fixed_dictionaries(
            {"kind": st.sampled_from((ViewItem, SelectItem, AddToCart)), **shown}
        ),
        st.fixed_dictionaries({"kind": st.just(Engage), "activity": activity, **product}),
    )


def _noise() -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"kind": st.just(Touch), "channel": st.just("search")})
