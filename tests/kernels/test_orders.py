"""Orders as they stand: hand-worked statements, versions, discounts and visitors."""

import itertools
from typing import Any

import pytest

from schemas.batches import LOGINS, ORDERS, REFUSED
from tests.kernels.statements import (
    MICROS,
    NOON,
    line,
    lines_of,
    orders_of,
    purchase,
    reasons_of,
    refund,
    settle,
)

HOUR = 3_600_000
SIGNED: dict[str, Any] = {"is_signed": True, "source": "server"}
CLAIMED: dict[str, Any] = {"is_signed": False, "source": "web_js"}


@pytest.mark.parametrize(
    ("orders_from", "gross"),
    [
        ("server", 20 * MICROS),  # what the shop's server says
        ("browser", 30 * MICROS),  # what the thank-you page says
        ("both", 20 * MICROS),  # the server's, since there is one
    ],
)
def test_signed_and_claimed_statements_of_one_order(orders_from: str, gross: int) -> None:
    """A page that anyone can forge must not change a signed order, however late it comes."""
    events = [
        purchase(line("1", "20"), at=0, **SIGNED),
        purchase(line("1", "30"), at=9, **CLAIMED),
    ]

    assert lines_of(events, orders_from) == {"1": (gross, 0)}


@pytest.mark.parametrize(
    ("orders_from", "is_order"), [("server", False), ("browser", True), ("both", True)]
)
def test_an_order_only_claimed(orders_from: str, is_order: bool) -> None:
    """Without a signature an order counts only where the shop chose so."""
    assert bool(orders_of([purchase(**CLAIMED)], orders_from)) == is_order


@pytest.mark.parametrize("orders_from", ["server", "browser", "both"])
def test_modes_are_told_apart_order_by_order(orders_from: str) -> None:
    """Each order is looked at alone: a signed one elsewhere changes nothing."""
    events = [purchase(order_id="a", **SIGNED), purchase(order_id="b", **CLAIMED)]

    found = [order["order_id"] for order in orders_of(events, orders_from)]

    assert found == {"server": ["a"], "browser": ["b"], "both": ["a", "b"]}[orders_from]


def test_the_latest_version_of_each_line_stands() -> None:
    """A corrected order must not be counted twice, nor half of it vanish."""
    events = [
        purchase(line("1", "10"), line("2", "5"), at=0),
        purchase(line("2", "7", 3), line("3", "1"), at=1),
    ]

    # Line 1 from the first statement, 2 (3 * 7) and 3 from the second.
    assert lines_of(events) == {"1": (10 * MICROS, 0), "2": (21 * MICROS, 0), "3": (MICROS, 0)}


def test_versions_received_at_once_are_told_apart_by_event_id() -> None:
    """The tie must not depend on which file was read first."""
    events = [
        purchase(line("1", "10"), event_id="b"),
        purchase(line("1", "20"), event_id="c"),
        purchase(line("1", "30"), event_id="a"),
    ]

    for order in itertools.permutations(events):
        assert lines_of(order) == {"1": (20 * MICROS, 0)}


def test_a_statement_never_received_is_the_oldest() -> None:
    """Events from files have no receiver's clock."""
    events = [
        purchase(line("1", "20"), at=0),
        purchase(line("1", "10"), at=5, received_time_ms=None),
    ]

    assert lines_of(events) == {"1": (20 * MICROS, 0)}


def test_ordered_at_is_the_earliest_counting_statement_s() -> None:
    """A correction weeks later must not move the sale out of its pins' window."""
    events = [purchase(at=7), purchase(at=3), purchase(at=1, **CLAIMED)]

    assert [order["at"] for order in orders_of(events)] == [NOON + 3]


@pytest.mark.parametrize(
    ("items", "discount", "gross"),
    [
        # Values 30 and 10: three quarters and one quarter of 4.
        ([line("1", "10", 3), line("2", "10")], "4", [27_000_000, 9_000_000]),
        # Lines' own discounts come first: 30 - 10 and 20 share 4 evenly.
        ([line("1", "10", 3, discount="10"), line("2", "20")], "4", [18_000_000, 18_000_000]),
        # Thirds of 0.00001: 3.33 micros each, the one left over to the first.
        (
            [line("1", "1"), line("2", "1"), line("3", "1")],
            "0.00001",
            [999_996, 999_997, 999_997],
        ),
        # Nothing to go by: equal parts of 1, and lines worth less than nothing.
        ([line("1", "0"), line("2", "0")], "1", [-500_000, -500_000]),
        # By absolute values 10 and 5: 2 and 1 of 3.
        ([line("1", "10"), line("2", "-5")], "3", [8_000_000, -6_000_000]),
        # A surcharge is a negative discount: 3/4 and 1/4 of 4 on top.
        ([line("1", "30"), line("2", "10")], "-4", [33_000_000, 11_000_000]),
    ],
)
def test_the_order_s_discount_is_spread_by_value(
    items: list[Any], discount: str, gross: list[int]
) -> None:
    """A voucher is paid by every line in proportion, to the micro."""
    found = lines_of([purchase(*items, discount=discount)])

    assert [value for value, _ in found.values()] == gross


def test_the_latest_statement_s_discount_and_currency_stand() -> None:
    """A voucher taken back must not linger; a currency put right saves the order."""
    events = [
        purchase(line("1", "10"), at=0, discount="2", currency="EUR"),
        purchase(line("1", "10"), at=1, discount="0"),
    ]

    assert lines_of(events) == {"1": (10 * MICROS, 0)}


def test_tax_and_shipping_are_not_credited() -> None:
    """Pins sell goods, not parcels."""
    assert lines_of([purchase(tax="2", shipping="4.99")]) == {"1": (10 * MICROS, 0)}


def test_who_bought_is_the_latest_that_says_so() -> None:
    """A statement that leaves a field out takes nothing back."""
    events = [
        purchase(at=0, customer_id="c-old", visitor_id="v-old", session_id="s-old"),
        purchase(at=1, customer_id="c-new"),
        purchase(at=2, visitor_id="v-new"),
        purchase(at=3),
    ]

    (order,) = orders_of(events)

    # The session is the naming statement's, which has none: not another visitor's.
    assert order["customer_id"] == "c-new"
    assert (order["visitor_id"], order["session_id"]) == ("v-new", None)


@pytest.mark.parametrize("orders_from", ["server", "both"])
def test_a_claimed_statement_lends_its_visitor_and_nothing_else(orders_from: str) -> None:
    """The server knows the order, the page knows the browser: only together a path is found."""
    events = [
        purchase(line("1", "10"), at=5, **SIGNED),
        purchase(
            line("1", "99"), line("2", "99"), at=0, discount="9", currency="EUR",
            customer_id="forged", visitor_id="v1", session_id="s1", **CLAIMED,
        ),
        purchase(at=1, visitor_id="v1", session_id="s2", **CLAIMED),
        purchase(at=2, **CLAIMED),
    ]  # fmt: skip

    (order,) = orders_of(events, orders_from)

    assert [entry["gross_micros"] for entry in order["lines"]] == [10 * MICROS]
    assert (order["currency"], order["at"]) == ("GBP", NOON + 5)
    assert order["customer_id"] is None
    assert (order["visitor_id"], order["session_id"]) == ("v1", "s2")


def lent(*claims: Any, **own: Any) -> str | None:
    """The visitor of a signed order at noon and what browsers claim of it."""
    (order,) = orders_of([purchase(at=0, **(SIGNED | own)), *claims], "both")
    visitor: str | None = order["visitor_id"]
    return visitor


@pytest.mark.parametrize(
    ("at", "visitor"),
    [
        (HOUR, "v1"),  # both ends are within
        (-HOUR, "v1"),
        (HOUR + 1, None),
        (-HOUR - 1, None),
    ],
)
def test_a_visitor_is_lent_within_an_hour_of_the_order(at: int, visitor: str | None) -> None:
    """Who learns an order's number from its parcel must not take its credit."""
    assert lent(purchase(at=at, visitor_id="v1", **CLAIMED)) == visitor


def test_a_claim_is_as_old_as_its_senders_clock_put_right() -> None:
    """A phone whose clock is a day behind still lends its visitor."""
    behind: dict[str, Any] = {"at": -24 * HOUR, "received_time_ms": NOON, "visitor_id": "v1"}

    assert lent(purchase(sent_time_ms=NOON - 24 * HOUR, **behind, **CLAIMED)) == "v1"
    assert lent(purchase(**behind, **CLAIMED)) is None  # the control: unsaid, unmended


def test_a_claim_that_is_dated_back_lends_nothing() -> None:
    """Its time is the sender's word: a stranger would date it to the order's."""
    claim: dict[str, Any] = {"at": 1, "visitor_id": "v1", **CLAIMED}

    assert lent(purchase(received_time_ms=NOON + HOUR + 1, **claim)) is None
    assert lent(purchase(received_time_ms=NOON + HOUR, **claim)) == "v1"
    assert lent(purchase(received_time_ms=None, **claim)) == "v1"


def test_two_visitors_lend_nothing() -> None:
    """Neither can be proved the buyer; a guess would pay whoever claims last."""
    first = purchase(at=1, visitor_id="v1", **CLAIMED)
    second = purchase(at=2, visitor_id="v2", **CLAIMED)
    too_late = purchase(at=HOUR + 1, visitor_id="v2", **CLAIMED)

    assert lent(first, second) is None
    assert lent(second, first) is None
    assert lent(first, second, purchase(at=3, visitor_id="v1", **CLAIMED)) is None
    assert lent(first, too_late) == "v1"  # the control


def test_an_order_that_names_its_visitor_borrows_none() -> None:
    """The way out for a shop: nobody can talk a visitor away that its server names."""
    claims = [purchase(at=at, visitor_id=f"v{at}", **CLAIMED) for at in (1, 2)]

    assert lent(*claims, visitor_id="own") == "own"
    assert lent(claims[0], visitor_id="own") == "own"


def test_an_order_only_claimed_borrows_nothing() -> None:
    """Only a signed order is known to be one; its claims then name its visitor themselves."""
    claims = [purchase(at=at, visitor_id=f"v{at}", **CLAIMED) for at in (1, 2)]

    assert [row["visitor_id"] for row in orders_of(claims, "both")] == ["v2"]


def test_an_order_with_a_visitor_and_a_customer_is_a_login() -> None:
    """Guest checkouts tell who a visitor is, for her earlier landings too."""
    events = [
        purchase(order_id="both", visitor_id="v", session_id="s", customer_id="c"),
        purchase(order_id="no customer", visitor_id="v"),
        purchase(order_id="no visitor", customer_id="c"),
    ]

    logins = settle(events).logins

    assert logins.schema == LOGINS
    assert logins.to_pylist() == [
        {"site_id": "shop", "visitor_id": "v", "session_id": "s", "customer_id": "c", "at": NOON}
    ]


def test_another_currency_is_refused_with_its_reason_and_is_no_login() -> None:
    """Euros must not be added to pounds, and the shop must be told."""
    settled = settle([purchase(currency="EUR", visitor_id="v", customer_id="c")])

    assert settled.orders.num_rows == settled.logins.num_rows == 0
    ((record_id, reason),) = reasons_of(settled)
    assert record_id == "o1"
    assert "must be counted in, but in EUR" in reason


def test_one_line_id_in_two_orders_is_two_lines() -> None:
    """Every order has a line "1"."""
    events = [
        purchase(line("1", "10"), order_id="a"),
        purchase(line("1", "20"), order_id="b", at=1),
    ]

    found = [[entry["gross_micros"] for entry in order["lines"]] for order in orders_of(events)]

    assert found == [[10 * MICROS], [20 * MICROS]]


def test_the_greatest_order_the_contract_takes_keeps_its_micros() -> None:
    """Products of price and quantity stay integers."""
    quantity = 1_000_000_000

    found = lines_of([purchase(line("1", "4.503599", quantity), discount="0.000001")])

    assert found == {"1": (4_503_599 * quantity - 1, 0)}


def test_nothing_settles_to_empty_tables() -> None:
    """A shard without orders still has its columns."""
    settled = settle([])

    assert (settled.orders.schema, settled.logins.schema) == (ORDERS, LOGINS)
    assert settled.refused.schema == REFUSED
    assert settled.orders.num_rows == settled.logins.num_rows == settled.refused.num_rows == 0


def test_arrival_order_means_nothing() -> None:
    """The same lake read in another order gives the same orders."""
    events: list[Any] = [
        purchase(line("1", "10"), line("2", "3"), at=0, discount="1", visitor_id="v"),
        purchase(line("2", "4"), at=1, customer_id="c"),
        purchase(line("1", "12"), at=2, **CLAIMED),
        refund(at=3, amount="2"),
        refund(at=4, amount="3"),
    ]
    wanted = orders_of(events)

    for order in itertools.islice(itertools.permutations(events), 0, None, 7):
        assert orders_of(order) == wanted
