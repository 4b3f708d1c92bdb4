"""Refunds of one order that came by several ways: a shop gives money back once."""

import itertools
from typing import Any

import pytest

from schemas.events import Purchase, Refund
from tests.kernels.statements import MICROS, back, line, lines_of, orders_of, purchase, refund

# What each way tells of one refund of 2, under its own name.
AMOUNTS = {"server": "2", "webhook": "3", "file": "4"}


def sold(source: str) -> Purchase:
    """One line of 10, told this way."""
    return purchase(line("1", "10"), source=source, event_id=f"sold-{source}")


def returned(source: str, at: int, **fields: Any) -> Refund:
    """The same refund, told this way under a name and an amount of its own."""
    named: dict[str, Any] = {"refund_id": f"r-{source}", "event_id": f"back-{source}-{at}"}
    return refund(back("1", AMOUNTS[source]), at=at, source=source, **(named | fields))


def refunded(*events: Purchase | Refund) -> int:
    """Units given back of the only line, in whatever order the events are read."""
    (units,) = {lines_of(order)["1"][1] // MICROS for order in itertools.permutations(events)}
    return units


@pytest.mark.parametrize(
    ("ways", "units"),
    [
        (("webhook", "file"), 3),  # the recovery of lost webhooks by a file
        (("server", "file"), 2),
        (("file", "webhook"), 3),
        (("server", "webhook"), 3),
        (("webhook", "server"), 2),
    ],
)
def test_refunds_of_a_live_order_count_one_way(ways: tuple[str, str], units: int) -> None:
    """The order came both ways; its own way is told by the rule for statements."""
    latest = {"server": 0, "webhook": 0, "file": 0, ways[0]: 1, ways[1]: 2}
    orders = [
        purchase(line("1", "10"), source=way, at=latest[way], event_id=f"sold-{way}")
        for way in ways
    ]

    assert refunded(*orders, *(returned(way, at=50) for way in ways)) == units


@pytest.mark.parametrize("own", ["server", "webhook", "file"])
def test_the_orders_own_way_counts_however_late_the_others_come(own: str) -> None:
    """Its refunds name its lines; the others are repeats."""
    others = [way for way in AMOUNTS if way != own]

    found = refunded(sold(own), returned(own, at=50), *(returned(way, at=60) for way in others))

    assert found == int(AMOUNTS[own])


@pytest.mark.parametrize(
    ("order", "refund_way"),
    [("file", "server"), ("file", "webhook"), ("server", "file"), ("webhook", "file")],
)
def test_refunds_that_came_another_way_only_count(order: str, refund_way: str) -> None:
    """An imported order is returned live; a return missed live is imported."""
    assert refunded(sold(order), returned(refund_way, at=50)) == int(AMOUNTS[refund_way])


def test_of_two_other_ways_a_file_gives_way_and_the_latest_counts() -> None:
    """Importing an export again must not take over from what was told live."""
    assert refunded(sold("server"), returned("webhook", at=50), returned("file", at=60)) == 3
    assert refunded(sold("file"), returned("webhook", at=50), returned("server", at=60)) == 2


def test_a_refund_named_alike_both_ways_keeps_the_version_of_its_way() -> None:
    """The file's later version must not stand in for the shop's and then be left out."""
    alike = {"refund_id": "r1"}

    assert refunded(
        sold("server"), returned("server", at=50, **alike), returned("file", at=60, **alike)
    ) == 2  # fmt: skip


def test_refunds_of_one_way_still_add_up() -> None:
    """The control: two returns are two."""
    second = returned("webhook", at=51, refund_id="r2")

    assert refunded(sold("webhook"), returned("webhook", at=50), second) == 6


@pytest.mark.parametrize(
    ("ways", "kept"),
    [
        (("webhook", "file"), "r-webhook:1"),
        (("server", "webhook"), "r-webhook:1"),
        (("webhook", "server"), "r-server:1"),
        (("file",), "r-file:1"),
    ],
)
def test_refunds_of_an_unknown_order_count_one_way(ways: tuple[str, ...], kept: str) -> None:
    """Nobody knows the order's way: the latest that was told live, else the files'."""
    events = [returned(way, at=at) for at, way in enumerate(ways)]

    (order,) = orders_of(events)

    assert [entry["line_id"] for entry in order["lines"]] == [kept]


def test_another_orders_way_decides_nothing() -> None:
    """Orders are looked at one by one: one has refunds its own way, the next has none."""
    other = purchase(line("1", "7"), order_id="o2", source="webhook", event_id="other", at=9)
    in_file = returned("file", at=51, order_id="o2", event_id="other back")

    first, second = orders_of(
        [sold("webhook"), other, returned("file", at=50), returned("webhook", at=1), in_file]
    )

    assert [entry["refunded_micros"] for entry in first["lines"]] == [3 * MICROS]
    assert [entry["refunded_micros"] for entry in second["lines"]] == [4 * MICROS]
