"""What goes wrong on the way to the shop's lake, one tale for each hazard, for property tests.

Each tale plays on the same stage: Ann pins a mug, Bob lands on her pin and pins on, somebody
lands and buys. Moments, amounts and ways are drawn from the few that meet every edge.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from schemas.contract import check_event
from schemas.events import (
    AnyEvent,
    Identify,
    OrderItem,
    Pin,
    PinVisit,
    Purchase,
    Refund,
    RefundItem,
)
from schemas.settings import Site
from tests.strategies import DAY_MS, EMAILS, PRICES, START_MS, TinyWorld

HOUR_MS = 3_600_000
ORDERED = 40 * DAY_MS  # the window of 30 days begins well after the start
WINDOW = 30 * DAY_MS
VISITORS = ("u", "u", "u", "u", "w", None)
AMOUNTS = ("0", "0.000001", "3.33", "12", "1000")


class Tale:
    """Events of one site in the making; times are milliseconds after the start."""

    def __init__(self, draw: DrawFn, site_id: str, chapter: int) -> None:
        self.draw, self.site_id, self.chapter = draw, site_id, chapter
        self.events: list[AnyEvent] = []
        # How long events are under way, and how wrong their senders' clocks are.
        self.delays: Sequence[int | None] = (40,)
        self.clocks: dict[str | None, int] = {}

    def pick(self, *values: Any) -> Any:
        """One of these."""
        return self.draw(st.sampled_from(values))

    def tell(self, kind: type[Any], at: int, /, **fields: Any) -> None:
        """Adds an event that happened `at`, as its sender's clock has it."""
        happened = START_MS + at
        delay = self.pick(*self.delays)
        received = None if delay is None else happened + delay
        envelope = {
            "event_id": f"e{self.chapter}-{len(self.events)}",
            "site_id": self.site_id,
            "event_time_ms": happened,
            "received_time_ms": received,
        }
        clock = self.clocks.get(fields.get("visitor_id"))
        if clock is not None and received is not None:
            envelope |= {"event_time_ms": happened + clock, "sent_time_ms": received + clock}
        event: AnyEvent = kind(**envelope | fields)
        check_event(event)
        self.events.append(event)

    def stage(self) -> None:
        """Two pins in a row and landings on them, at the ends of the window and inside."""
        self.tell(Pin, 0, visitor_id="ann", pin_id="p", item_id="mug", item_list_id="home_recs")
        self.tell(PinVisit, HOUR_MS, visitor_id="bob", pin_id="p")
        family = {"parent_pin_id": "p", "root_pin_id": "p"}
        self.tell(Pin, 2 * HOUR_MS, visitor_id="bob", pin_id="q", item_id="vase", **family)
        edges = ((WINDOW, 0), (WINDOW + 1, -1), (WINDOW, WINDOW - 1), (7 * DAY_MS, HOUR_MS))
        for before, pin_id in zip(self.pick(*edges), self.pick("pp", "qp", "qq"), strict=True):
            who, session = self.pick(*VISITORS), self.pick("s1", "s2", None)
            landed = {"visitor_id": who, "session_id": session, "pin_id": pin_id}
            self.tell(PinVisit, ORDERED - before, **landed)

    def state(self, at: int = ORDERED, **fields: Any) -> None:
        """A statement about the one order, by the shop's server unless said."""
        usual: dict[str, Any] = {
            "order_id": "m",
            "currency": "GBP",
            "source": "server",
            "is_signed": True,
            "visitor_id": "u",
            "items": fields.pop("items", None) or self.lines(),
        }
        self.tell(Purchase, at, **usual | fields)

    def lines(self, ids: str = "12") -> list[OrderItem]:
        """Lines of these ids, each of an item that is named after it."""
        items = {"1": "mug", "2": "vase", "3": "lamp"}
        return [
            OrderItem(line_id=one, item_id=items[one], price=self.pick(*PRICES), quantity=2)
            for one in ids
        ]

    def refund(self, at: int, refund_id: str = "r1", **fields: Any) -> None:
        """A signed refund of the one order, of everything unless said."""
        usual = {"order_id": "m", "source": "server", "is_signed": True, "refund_id": refund_id}
        self.tell(Refund, at, **usual | fields)

    def part(self) -> dict[str, Any]:
        """What a refund gives back when it is not everything."""
        line = RefundItem(
            line_id=self.pick("1", "2", "9", None),
            item_id=self.pick("mug", "vase"),
            quantity=self.pick(1, 2, 5),
            amount=self.pick(None, *AMOUNTS),
        )
        return self.pick({"items": [line]}, {"amount": self.pick(*AMOUNTS)})

    def updated(self) -> int | None:
        """When the shop changed something last, if it says so: few moments, to meet."""
        when = self.pick(None, 0, 1, HOUR_MS, DAY_MS)
        return None if when is None else START_MS + ORDERED + when

    def soon(self) -> int:
        """About the time of the order: few moments, the ends of an hour among them."""
        around = self.pick(0, 1, HOUR_MS, HOUR_MS + 1, -HOUR_MS, 2 * DAY_MS)
        return ORDERED + int(around)


def _come_months_late(tale: Tale) -> None:
    """Landings, orders and refunds that lay in some queue for weeks or a year."""
    tale.delays = (0, 1, DAY_MS, 31 * DAY_MS, 400 * DAY_MS)
    tale.stage()
    tale.state()
    tale.state(ORDERED + DAY_MS, items=tale.lines("1"))
    tale.refund(ORDERED + 2 * DAY_MS, **tale.part())


def _have_wrong_clocks(tale: Tale) -> None:
    """Every sender's clock is off, by up to days; when she sent is seen by the same clock."""
    off = (0, 1, -1, -HOUR_MS, 9 * DAY_MS, -9 * DAY_MS, 35 * DAY_MS)
    tale.clocks = {who: tale.pick(*off) for who in ("ann", "bob", "u", "w")}
    tale.delays = (0, 40, 3 * DAY_MS)
    tale.stage()
    tale.tell(Identify, tale.soon(), visitor_id=tale.pick("u", "w"), customer_id="a")
    tale.state(ORDERED)
    tale.refund(ORDERED + HOUR_MS, **tale.part())


def _say_late_who_they_are(tale: Tale) -> None:
    """Logins and e-mail ties that come after the orders they decide about."""
    tale.stage()
    tale.tell(PinVisit, ORDERED - DAY_MS, visitor_id="w", session_id="s1", pin_id="p")
    tale.state(session_id=tale.pick("s1", None), customer_id=tale.pick(None, "a", "b"))
    tale.delays = (0, 60 * DAY_MS)
    if tale.pick(True, False):  # by her address only; whose that is, the shop's server says
        address = tale.pick(*EMAILS)
        tale.tell(Identify, ORDERED + DAY_MS, visitor_id="u", email_sha256=address)
        known = {"customer_id": tale.pick("a", "b"), "email_sha256": address}
        tale.tell(Identify, ORDERED + tale.pick(0, DAY_MS, 2 * DAY_MS), **known)
    for customer in tale.pick("", "", "abcd"):  # four of them share a device
        at, session = ORDERED + tale.pick(-1, 0, DAY_MS), tale.pick("s1", "s2", None)
        tale.tell(Identify, at, visitor_id="u", session_id=session, customer_id=customer)
    for _ in range(tale.pick(0, 1, 2, 4)):
        customer = tale.pick(None, "a", "b", "c", "d")
        tale.tell(
            Identify,
            ORDERED + tale.pick(-40 * DAY_MS, -DAY_MS, -1, 0, 1, DAY_MS, 29 * DAY_MS),
            visitor_id=tale.pick("u", "u", "w", "bob", None),
            session_id=tale.pick("s1", "s2", None),
            customer_id=customer,
            email_sha256=tale.pick(*EMAILS) if customer is None else tale.pick(None, *EMAILS),
            action=tale.pick("login", "login", "logout"),
        )


def _refund_before_the_order(tale: Tale) -> None:
    """Credit notes that come, and even happen, before the order; or whose order never comes."""
    tale.stage()
    for place in range(tale.pick(1, 2)):
        what = tale.pick({}, tale.part())
        tale.refund(ORDERED - tale.pick(0, 1, DAY_MS), f"r{place}", visitor_id="u", **what)
    if tale.pick(True, True, False):
        tale.state()


def _refund_beyond_the_total(tale: Tale) -> None:
    """More is given back than was paid: by amount, by pieces, for lines nobody knows."""
    tale.stage()
    tale.state(items=[OrderItem(item_id="mug", price=tale.pick("1", "0.000007"), line_id="1")])
    for place in range(tale.pick(1, 2, 3)):
        tale.refund(ORDERED + place, f"r{place}", **tale.part())
    tale.refund(ORDERED + DAY_MS, "too-much", amount=tale.pick("1.000001", "1000"))


def _cancel_and_refund(tale: Tale) -> None:
    """Cancelled, then refunded; refunded, then cancelled; cancelled and taken up again."""
    tale.stage()
    tale.state(discount=tale.pick("0", "3.33"))
    for place in range(tale.pick(2, 4, 5)):
        refund_id, what = tale.pick(
            ("all", {"kind": "cancel"}), ("all", {"amount": "0"}), ("r1", tale.part())
        )
        tale.refund(ORDERED + place * HOUR_MS, refund_id, updated_time_ms=tale.updated(), **what)


def _change_currency(tale: Tale) -> None:
    """An order or a refund that is in another currency than it was, or than its site reports."""
    tale.stage()
    for place in range(tale.pick(0, 0, 1, 2)):
        tale.state(ORDERED + place, currency=tale.pick("GBP", "USD"))
    for place in range(tale.pick(1, 3, 3)):
        refund_id = tale.pick(f"r{place}", f"r{place}", "r0")
        what = {"currency": tale.pick("GBP", "GBP", "USD", "USD", None), **tale.part()}
        tale.refund(ORDERED + HOUR_MS + place, refund_id, **what)


def _come_by_several_ways(tale: Tale) -> None:
    """Webhook, file, server and browser tell of one order, its refunds and who bought."""
    tale.stage()
    for _ in range(tale.pick(2, 3, 5)):
        source = tale.pick("webhook", "file", "server", "web_js")
        way = {
            "source": source,
            "is_signed": source != "web_js",
            "updated_time_ms": tale.pick(None, tale.updated()),
        }
        if tale.pick(True, True, False):
            lines = tale.lines(tale.pick("1", "12", "3"))
            tale.state(tale.soon(), items=lines, visitor_id=tale.pick("u", "w", None), **way)
        else:
            tale.refund(tale.soon(), **way, **tale.part())


def _lend_a_visitor(tale: Tale) -> None:
    """Only browsers know who bought: at the time of the order, long after it, or not the same."""
    tale.delays = (0, 1, 40)
    tale.stage()
    tale.state(visitor_id=None, customer_id=tale.pick(None, "a"))
    for _ in range(tale.pick(1, 2)):
        who, session = tale.pick("u", "w"), tale.pick("s1", None)
        claim = {"visitor_id": who, "session_id": session, "source": "web_js", "is_signed": False}
        tale.state(tale.soon(), **claim)


def _correct_statements(tale: Tale) -> None:
    """Prices, lines and discounts told again, the newer word at times before the older."""
    tale.stage()
    tale.delays = (0, 40, HOUR_MS, None)
    source = tale.pick("server", "file", "webhook", "web_js")
    for _ in range(tale.pick(2, 3, 4)):
        tale.state(
            tale.soon(),
            source=source,
            is_signed=source != "web_js",
            items=tale.lines(tale.pick("1", "12", "2")),
            discount=tale.pick("0", "0.000001", "3.33"),
            updated_time_ms=tale.updated(),
            customer_id=tale.pick(None, None, "a"),
        )


def _delete_lines(tale: Tale) -> None:
    """A shop system tells the whole order anew, without lines that somebody took out."""
    tale.stage()
    for _ in range(tale.pick(2, 3, 4)):
        lines = tale.lines(tale.pick("123", "12", "3"))
        tale.state(tale.soon(), source="webhook", items=lines, updated_time_ms=tale.updated())
    back = [RefundItem(line_id=tale.pick("1", "3"), item_id=tale.pick("mug", "lamp"), quantity=1)]
    tale.refund(ORDERED + DAY_MS, source="webhook", items=back)


def _repeat_and_differ(tale: Tale) -> None:
    """A second event under an id already used says something else: what came first stands."""
    tale.stage()
    tale.state(visitor_id=tale.pick("u", None))
    tale.refund(ORDERED + HOUR_MS, **tale.part())
    for event in tale.draw(st.lists(st.sampled_from(tale.events), min_size=1, max_size=4)):
        # Never received at the very moment of another: then the text of the row would decide.
        apart = 100 * len(tale.events) + tale.pick(-5_000, 5_000)
        twin = msgspec.structs.replace(
            event,
            received_time_ms=(event.received_time_ms or 0) + apart,
            event_time_ms=event.event_time_ms + HOUR_MS,
        )
        if isinstance(twin, Purchase):
            twin.items, twin.is_signed = tale.lines("3"), tale.pick(True, False)
        elif isinstance(twin, Pin | PinVisit):
            twin.visitor_id = tale.pick("u", "w")
        tale.events.append(twin)


HAZARDS: dict[str, Callable[[Tale], None]] = {
    "events come months late": _come_months_late,
    "clocks are wrong": _have_wrong_clocks,
    "identities merge late": _say_late_who_they_are,
    "refunds come before orders": _refund_before_the_order,
    "refunds go beyond the total": _refund_beyond_the_total,
    "cancellations meet refunds": _cancel_and_refund,
    "currencies change": _change_currency,
    "statements come by several ways": _come_by_several_ways,
    "browsers lend their visitors": _lend_a_visitor,
    "statements are corrected": _correct_statements,
    "lines are deleted": _delete_lines,
    "repeats differ": _repeat_and_differ,
}


@st.composite
def troubled_worlds(draw: DrawFn, *hazards: str) -> TinyWorld:
    """Some sites, each with a tale of one of these hazards, or of any three at once if none."""
    events: list[AnyEvent] = []
    sites = {}
    for number in range(draw(st.sampled_from((1, 3, 5)))):
        site_id = f"shop{number}"
        sites[site_id] = Site(
            key=f"key-of-{site_id}",
            currency="GBP",
            orders_from=draw(st.sampled_from(("server", "server", "both", "browser"))),
            window_days=draw(st.sampled_from((30.0, 30.0, 30.0, 1.0))),
        )
        some = st.lists(st.sampled_from(sorted(HAZARDS)), min_size=1, max_size=3, unique=True)
        chosen = hazards or tuple(draw(some))
        for chapter, name in enumerate(chosen):
            tale = Tale(draw, site_id, chapter)
            HAZARDS[name](tale)
            events += tale.events
    return TinyWorld(events, sites)
