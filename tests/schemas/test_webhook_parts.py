"""What the shop formats share: exact amounts, times, and ids that never meet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EventError, MoneyError
from schemas.events import Refund
from schemas.money import parse_money
from schemas.webhooks import name_events, priced_item, read_micros, read_time, split_amount

MICROS = st.integers(-(10**12), 10**12)


@given(MICROS, st.integers(1, 10**6))
def test_a_line_is_worth_what_it_is_worth(micros: int, quantity: int) -> None:
    """However a total divides by its units, not one micro is lost."""
    item = priced_item("1", "mug", quantity, micros)

    assert quantity * parse_money(item.price) - parse_money(item.discount) == micros
    assert 0 <= parse_money(item.discount) < quantity


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**15), min_size=1, max_size=30))
def test_parts_add_up_and_follow_their_worth(micros: int, worth: list[int]) -> None:
    parts = split_amount(micros, worth)

    assert sum(parts) == micros
    assert all(part >= 0 for part in parts)
    total = sum(worth)
    for part, own in zip(parts, worth, strict=True):
        assert abs(part * total - micros * own) <= total


def test_nothing_is_worth_anything_so_parts_are_equal() -> None:
    assert split_amount(9, [0, 0, 0]) == [3, 3, 3]


@pytest.mark.parametrize(
    ("amount", "micros"),
    [("12.34", 12_340_000), (12.34, 12_340_000), (12, 12_000_000), ("-8.00", -8_000_000), (0.0, 0)],
)
def test_amounts_are_read_exactly(amount: str | float, micros: int) -> None:
    """Strings as a rule; Shopify writes a refund's subtotal as a number."""
    assert read_micros(amount) == micros


@pytest.mark.parametrize("amount", [1e300, float("nan"), float("inf"), "1e3", "", "NaN"])
def test_what_is_no_amount_is_refused(amount: str | float) -> None:
    with pytest.raises(MoneyError, match=r"is not a decimal number|is beyond"):
        read_micros(amount)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:00:00+01:00",
        "2026-03-01T09:00:00Z",
        "2026-03-01T09:00:00",
        "2026-03-01T09:00:00.000",
        "2026-02-28T23:00:00-10:00",
    ],
)
def test_times_are_read_in_any_zone(text: str) -> None:
    """Shopify writes its shop's zone, WooCommerce none, which is UTC."""
    assert read_time(text) == 1_772_355_600_000


def test_milliseconds_are_kept() -> None:
    assert read_time("2026-03-01T09:00:00.123999Z") == 1_772_355_600_123


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "0000-00-00T00:00:00"])
def test_what_is_no_time_is_named(text: str) -> None:
    """WordPress writes zeros where it knows no date."""
    with pytest.raises(EventError, match="not ISO 8601"):
        read_time(text)


def ids_of(delivery_id: str, body: bytes, count: int = 2) -> list[str]:
    """The ids that a delivery's events get."""
    events = [
        Refund(event_id="x", event_time_ms=1_772_355_600_000, refund_id="1", order_id="1")
        for _ in range(count)
    ]
    name_events(events, delivery_id, body)
    return [event.event_id for event in events]


def test_a_delivery_names_its_events_always_the_same() -> None:
    assert ids_of("d", b"body") == ids_of("d", b"body")
    assert len({*ids_of("d", b"body"), *ids_of("d", b"other"), *ids_of("e", b"body")}) == 6


@pytest.mark.parametrize(
    "delivery_id", ["", "d" * 500, "\u00fc\0\n", "b54557e4-0c2e-4d1c-8a9f-1d1f"]
)
def test_an_id_fits_whatever_the_header_holds(delivery_id: str) -> None:
    """The header is not signed; it must not cost the order that is."""
    ids = ids_of(delivery_id, b"body", 10_000)

    assert max(map(len, ids)) <= 64
    assert ids[0].isascii()
    assert ids[0].isprintable()
