"""The oracle's versions of orders, against examples worked by hand."""

from typing import Any

from schemas.events import AnyEvent, OrderItem, Purchase, Refund
from schemas.settings import Site
from tests.oracle_orders import take_orders

NOON = 1_767_268_800_000
SITE = Site(key="key-of-acme", currency="GBP", orders_from="both")
MUG = OrderItem(line_id="1", item_id="mug", price="10")
VASE = OrderItem(line_id="2", item_id="vase", price="5")


def told(*items: OrderItem, received: int, **fields: Any) -> Purchase:
    """A webhook's statement."""
    known: dict[str, Any] = {"source": "webhook", "is_signed": True, "currency": "GBP"}
    known |= {"event_time_ms": NOON}
    return Purchase(
        event_id=f"e{received}",
        received_time_ms=NOON + received,
        order_id="o1",
        items=list(items),
        **(known | fields),
    )


def cancelled(received: int, updated: int, amount: str | None, **fields: Any) -> Refund:
    """What was taken back at some version."""
    known: dict[str, Any] = {"refund_id": "refunds:o1"}
    return Refund(
        event_id=f"r{received}",
        event_time_ms=NOON,
        received_time_ms=NOON + received,
        updated_time_ms=NOON + updated,
        order_id="o1",
        is_signed=True,
        amount=amount,
        **(known | fields),
    )


def nets(*events: AnyEvent) -> dict[str, int]:
    """Net micros by line of the only order."""
    (order,) = take_orders(events, SITE)
    return {line.line_id: line.net for line in order.lines}


def test_the_shops_latest_version_is_the_whole_order() -> None:
    """The vase was taken out at 2; the message of 1 came last."""
    newer = told(MUG, received=5, updated_time_ms=NOON + 2)
    older = told(MUG, VASE, received=9, updated_time_ms=NOON + 1)

    assert nets(newer, older) == {"1": 10_000_000}
    assert nets(older) == {"1": 10_000_000, "2": 5_000_000}


def test_in_one_second_the_later_received_stands() -> None:
    first = told(MUG, received=10, updated_time_ms=NOON)
    second = told(VASE, received=9, updated_time_ms=NOON)  # "e9" > "e10" as text

    assert nets(first, second) == {"1": 10_000_000}


def test_a_statement_without_a_version_is_as_new_as_its_receipt() -> None:
    unsaid = told(VASE, received=5)

    assert nets(unsaid, told(MUG, received=9, updated_time_ms=NOON + 4)) == {"2": 5_000_000}
    assert nets(unsaid, told(MUG, received=9, updated_time_ms=NOON + 6)) == {"1": 10_000_000}


def test_a_claims_version_is_not_believed() -> None:
    claim = {"is_signed": False, "source": "web_js"}
    nailed = told(VASE, received=1, updated_time_ms=NOON + 10**9, **claim)
    later = told(OrderItem(line_id="2", item_id="vase", price="7"), received=2, **claim)

    assert nets(nailed, later) == {"2": 7_000_000}


def test_an_order_taken_up_again_is_worth_what_it_was() -> None:
    order = told(MUG, received=1, updated_time_ms=NOON + 1)
    void, revived = cancelled(2, 2, None), cancelled(3, 3, "0")

    assert nets(order, void) == {"1": 0}
    assert nets(order, revived, void) == {"1": 10_000_000}


def test_a_file_gives_way_to_what_was_told_live() -> None:
    """Of the order and of its refunds; alone it counts."""
    live = told(MUG, received=1, updated_time_ms=NOON + 1)
    imported = told(VASE, received=9, source="file")
    back_live = cancelled(2, 2, "1", source="webhook")
    back_in_file = cancelled(9, 9, "2", source="file", refund_id="other")

    assert nets(live, imported) == {"1": 10_000_000}
    assert nets(live, back_live, imported, back_in_file) == {"1": 9_000_000}
    assert nets(live, back_in_file) == {"1": 8_000_000}
    assert nets(imported, back_live) == {"2": 4_000_000}
    assert nets(imported, back_live, back_in_file) == {"2": 3_000_000}  # as the order came
    assert nets(back_live, back_in_file) == {"refunds:o1:1": -1_000_000}


def test_a_visitor_is_lent_within_the_hour_and_by_one_browser_only() -> None:
    hour = 3_600_000

    def visitor(*claims: tuple[str, int]) -> str | None:
        signed = told(MUG, received=0)
        lent = [
            told(MUG, received=at, event_time_ms=NOON + at, visitor_id=who, is_signed=False)
            for who, at in claims
        ]
        (order,) = take_orders([signed, *lent], SITE)
        return order.visitor_id

    assert visitor(("u", hour)) == visitor(("u", -hour)) == "u"
    assert visitor(("u", hour + 1)) is visitor(("u", -hour - 1)) is None
    assert visitor(("u", 1), ("w", 2)) is visitor(("w", 1), ("u", 2)) is None
    assert visitor(("u", 1), ("u", 2), ("w", hour + 1)) == "u"


def test_a_claim_dated_back_lends_nothing() -> None:
    claim = told(MUG, received=3_600_001, visitor_id="u", is_signed=False)

    assert [one.visitor_id for one in take_orders([told(MUG, received=0), claim], SITE)] == [None]
