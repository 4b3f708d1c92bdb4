"""Refunds: hand-worked examples of every way to give money back."""

import itertools
from typing import Any

import pytest

from tests.kernels.statements import (
    MICROS,
    NOON,
    back,
    line,
    lines_of,
    orders_of,
    purchase,
    reasons_of,
    refund,
    settle,
)

# Line 1: 3 units, 30; line 2: 10; no discount.
ORDER = purchase(line("1", "10", 3), line("2", "10"))


@pytest.mark.parametrize(
    ("given", "refunded"),
    [
        ([back("1", "4")], [4_000_000, 0]),  # by line
        ([back("1", quantity=2)], [20_000_000, 0]),  # two of three units of 30
        ([back("1", "4", quantity=2)], [4_000_000, 0]),  # an amount wins over units
        ([back("1", "0", quantity=2)], [0, 0]),  # and 0 is an amount
        ([back("1", quantity=4)], [40_000_000, 0]),  # more units than sold: as stated
        ([back(item_id="item-2", quantity=1)], [0, 10_000_000]),  # by item
        ([back("9", "4", item_id="item-2")], [0, 4_000_000]),  # unknown line, known item
        ([back("1", "4", item_id="item-2")], [4_000_000, 0]),  # a known line wins
        ([back("9", "4")], [3_000_000, 1_000_000]),  # no line: spread by 30 and 10
        ([back("9", "4", item_id="no")], [3_000_000, 1_000_000]),
        ([back("9", quantity=1)], [0, 0]),  # no line, no amount: no price to take
        ([back("1", "1"), back("1", "2"), back("2", "3")], [3_000_000, 3_000_000]),  # added up
    ],
)
def test_refunds_by_line_by_item_and_loose(given: list[Any], refunded: list[int]) -> None:
    """What came back is taken from the pins that sold it, not from others."""
    found = lines_of([ORDER, refund(*given)])

    assert [value for _, value in found.values()] == refunded
    assert [value for value, _ in found.values()] == [30 * MICROS, 10 * MICROS]


@pytest.mark.parametrize(
    ("amount", "refunded"),
    [
        ("4", [3_000_000, 1_000_000]),  # 30 : 10
        ("0.00001", [8, 2]),  # 7.5 and 2.5 micros: a tie, the earlier line first
        ("0", [0, 0]),
        ("100", [75_000_000, 25_000_000]),  # more than was paid: the net falls below 0
    ],
)
def test_one_amount_is_spread_by_value(amount: str, refunded: list[int]) -> None:
    """A goodwill payment concerns the whole order."""
    found = lines_of([ORDER, refund(amount=amount)])

    assert [value for _, value in found.values()] == refunded


def test_amounts_are_spread_by_the_values_before_the_discount() -> None:
    """A refund follows the discount's own rule, or the two would not cancel out."""
    order = purchase(line("1", "10"), line("2", "-5"), discount="3")

    # 10 : 5 both times; the gross values, 8 and -6, would share otherwise.
    assert lines_of([order, refund(amount="3")]) == {
        "1": (8_000_000, 2_000_000),
        "2": (-6_000_000, 1_000_000),
    }


@pytest.mark.parametrize(
    ("others", "refunded"),
    [
        ([], [30_000_000, 10_000_000]),  # all of it
        # 5 went back before; what is left goes too.
        ([refund(back("1", "5"), refund_id="r2", at=50)], [30_000_000, 10_000_000]),
        # 12 of a line worth 10 had gone back: that stays.
        ([refund(back("2", "12"), refund_id="r2", at=50)], [30_000_000, 12_000_000]),
        # The order of arrival of the two means nothing.
        ([refund(back("2", "12"), refund_id="r2", at=150)], [30_000_000, 12_000_000]),
    ],
)
def test_a_refund_of_everything_takes_what_is_left(others: list[Any], refunded: list[int]) -> None:
    """A cancelled order is worth nothing, and not less because of an earlier refund."""
    found = lines_of([ORDER, refund(kind="cancel"), *others])

    assert [value for _, value in found.values()] == refunded


def test_units_are_worth_what_was_paid_for_them() -> None:
    """After a voucher of a tenth, one of three units of 30 gives back 9, not 10."""
    order = purchase(line("1", "10", 3), line("2", "10"), discount="4")

    # Gross 27 and 9; a third of 27.
    assert lines_of([order, refund(back("1", quantity=1))]) == {
        "1": (27_000_000, 9_000_000),
        "2": (9_000_000, 0),
    }


@pytest.mark.parametrize(
    ("price", "units", "refunded"),
    [
        ("0.000001", 1, 0),  # a third of 3 - 1 = 2 micros is 0.67
        ("0.000001", 2, 1),  # 1.33
        ("-0.000001", 1, -2),  # a third of -4 is -1.33, rounded down
    ],
)
def test_units_are_rounded_down_to_the_micro(price: str, units: int, refunded: int) -> None:
    """One rule for everybody who recomputes it."""
    order = purchase(line("1", price, 3, discount="0.000001"))

    ((_, found),) = lines_of([order, refund(back("1", quantity=units))]).values()

    assert found == refunded


def test_the_units_of_a_huge_line_are_exact() -> None:
    """Value times units passes 2^63; a wrapped product would pay the customer's refund to a pin."""
    quantity = 1_000_000_000
    order = purchase(line("1", "4.503599", quantity))

    ((gross, refunded),) = lines_of([order, refund(back("1", quantity=quantity - 1))]).values()

    assert gross - refunded == 4_503_599


def test_the_item_s_first_line_is_the_one_meant() -> None:
    """A gift version of the same product is another line: by line id, text order."""
    order = purchase(line("b", "7", item_id="mug"), line("a", "5", item_id="mug"), line("c", "9"))

    found = lines_of([order, refund(back(item_id="mug", quantity=1))])

    assert {name: value for name, (_, value) in found.items()} == {"a": 5_000_000, "b": 0, "c": 0}


def test_the_latest_version_of_a_refund_stands() -> None:
    """A shop that corrects a refund from 4 to 6 gave back 6, not 10."""
    events: list[Any] = [ORDER, refund(at=1, amount="4"), refund(at=2, amount="6")]
    others = [*events, refund(at=3, amount="8", refund_id="r2")]

    for order in itertools.permutations(events):
        assert [value for _, value in lines_of(order).values()] == [4_500_000, 1_500_000]
    # 6 and 8, each spread by itself.
    assert [value for _, value in lines_of(others).values()] == [10_500_000, 3_500_000]


@pytest.mark.parametrize("orders_from", ["server", "browser", "both"])
def test_only_signed_refunds_count(orders_from: str) -> None:
    """Nobody may take a pinner's credit away from a browser; a signed refund always counts."""
    order = purchase(line("1", "10"), is_signed=orders_from != "browser")
    forged = refund(at=1, amount="10", refund_id="forged", is_signed=False)

    assert lines_of([order, forged, refund(at=2, amount="1")], orders_from) == {
        "1": (10 * MICROS, MICROS)
    }


def test_a_refund_in_another_currency_is_refused() -> None:
    """5 euros are not 5 pounds."""
    settled = settle([ORDER, refund(amount="5", currency="EUR", event_id="r-eur")])

    ((record_id, reason),) = reasons_of(settled)
    assert record_id == "r-eur"
    assert "must be counted in, but in EUR" in reason
    (order,) = settled.orders.to_pylist()
    assert [entry["refunded_micros"] for entry in order["lines"]] == [0, 0]


def test_a_refund_in_the_same_currency_or_none_counts() -> None:
    """The currency may be left out: it is the order's."""
    events: list[Any] = [
        ORDER,
        refund(back("2", "1"), refund_id="r1"),
        refund(back("2", "2"), refund_id="r2", currency="GBP"),
    ]

    assert lines_of(events)["2"] == (10_000_000, 3_000_000)
    assert reasons_of(settle(events)) == []


def test_refunds_of_an_unknown_order_are_an_order_of_their_own() -> None:
    """Money given back counts though the sale lies before the lake's first day."""
    events = [
        refund(
            back("7", "4", item_id="mug", quantity=2),
            back("7", "1", quantity=1),
            back(item_id="vase", quantity=3),
            at=5,
            customer_id="c",
            visitor_id="v",
            session_id="s",
        ),
        refund(at=3, amount="2.5", refund_id="r2"),
        refund(at=4, refund_id="r3"),
    ]

    settled = settle(events)

    # Two items under line 7 add up; the vase has no line id: its place, 3; no price, no value.
    # The refund of everything knows no amount.
    (order,) = settled.orders.to_pylist()
    assert order["lines"] == [
        refunded_line("r1:3", "vase", -3, 0),
        refunded_line("r1:7", "mug", -3, 5_000_000),
        refunded_line("r2:1", "unknown", 0, 2_500_000),
    ]
    assert (order["at"], order["currency"], order["is_creditable"]) == (NOON + 3, "GBP", False)
    assert (order["customer_id"], order["visitor_id"], order["session_id"]) == ("c", "v", "s")
    assert settled.logins.num_rows == 0


def refunded_line(line_id: str, item_id: str, quantity: int, refunded: int) -> dict[str, Any]:
    """A line of an unknown order."""
    return {
        "line_id": line_id,
        "item_id": item_id,
        "quantity": quantity,
        "gross_micros": 0,
        "refunded_micros": refunded,
    }


def test_an_unknown_order_becomes_known_when_the_original_comes() -> None:
    """A refund file read before the order file must give the same ledger in the end."""
    early = [refund(back("2", "4"), at=3)]

    (unknown,) = orders_of(early)
    (known,) = orders_of([*early, ORDER])

    assert [entry["line_id"] for entry in unknown["lines"]] == ["r1:2"]
    assert not unknown["is_creditable"]
    assert [entry["refunded_micros"] for entry in known["lines"]] == [0, 4_000_000]
    assert known["is_creditable"]


def test_an_order_only_claimed_is_unknown_to_a_shop_that_trusts_its_server() -> None:
    """The claimed order must not come back through its refund."""
    (order,) = orders_of([purchase(is_signed=False), refund(amount="1")])

    assert [entry["gross_micros"] for entry in order["lines"]] == [0]
    assert not order["is_creditable"]


def test_refunds_of_an_unknown_order_in_another_currency_are_refused() -> None:
    """The shop reports in pounds; euros of an order nobody saw are not counted."""
    settled = settle([refund(amount="5", currency="EUR")])

    assert settled.orders.num_rows == 0
    ((_, reason),) = reasons_of(settled)
    assert "EUR" in reason


def test_refunds_of_an_unknown_order_in_two_currencies_are_not_added_up() -> None:
    """Its currency is the latest one named; a refund in another is left out, and said so."""
    events = [
        refund(at=1, amount="5", currency="EUR", event_id="r-eur"),
        refund(at=2, amount="3", currency="GBP", refund_id="r2"),
        refund(at=3, amount="1", refund_id="r3"),
    ]

    settled = settle(events)

    (order,) = settled.orders.to_pylist()
    refunded = {entry["line_id"]: entry["refunded_micros"] for entry in order["lines"]}
    assert refunded == {"r2:1": 3_000_000, "r3:1": 1_000_000}
    assert [record_id for record_id, _ in reasons_of(settled)] == ["r-eur"]


def test_a_superseded_refund_is_not_complained_about() -> None:
    """A currency already put right must not stay in the shop's quarantine."""
    events: list[Any] = [
        ORDER,
        refund(at=1, amount="4", currency="EUR"),
        refund(at=2, amount="4", currency="GBP"),
    ]

    assert [value for _, value in lines_of(events).values()] == [3_000_000, 1_000_000]
    assert reasons_of(settle(events)) == []
