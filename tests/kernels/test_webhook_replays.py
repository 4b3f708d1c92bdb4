"""A shop's old signed payloads, sent again by a stranger under headers of her choice.

The signature is of the body alone: topic and delivery id are the stranger's.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.events import Purchase, Refund
from schemas.shopify import TOPICS as SHOPIFY_TOPICS
from schemas.shopify import read_shopify
from schemas.woocommerce import TOPICS as WOOCOMMERCE_TOPICS
from schemas.woocommerce import read_woocommerce
from tests.kernels.statements import MICROS, settle

NINE = 1_772_355_600_000  # 2026-03-01T09:00:00Z
HOUR_MS = 3_600_000
# (topic, body, received that many hours after nine)
Delivery = tuple[str, bytes, float]
Read = Callable[[str, bytes, int], list[Purchase | Refund]]
DELETED = b'{"id":5001}'


def shopify(hours: int, price: str, **fields: Any) -> bytes:
    """An order as it was so many hours after nine."""
    order = {
        "id": 5001,
        "currency": "GBP",
        "created_at": "2026-03-01T09:00:00Z",
        "updated_at": f"2026-03-01T{9 + hours:02}:00:00Z",
        "cancelled_at": None,
        "line_items": [{"id": 1, "quantity": 2, "price": price, "product_id": 9}],
    }
    return json.dumps(order | fields).encode()


def woocommerce(hours: int, total: str) -> bytes:
    """The same, of WooCommerce."""
    order = {
        "id": 5001,
        "status": "processing",
        "currency": "GBP",
        "date_created_gmt": "2026-03-01T09:00:00",
        "date_modified_gmt": f"2026-03-01T{9 + hours:02}:00:00",
        "total": total,
        "line_items": [{"id": 1, "quantity": 1, "total": total, "product_id": 9}],
    }
    return json.dumps(order).encode()


def told_by_shopify(topic: str, body: bytes, _received_ms: int) -> list[Purchase | Refund]:
    return read_shopify(topic, body, "product_id")


def told_by_woocommerce(topic: str, body: bytes, received_ms: int) -> list[Purchase | Refund]:
    return read_woocommerce(topic, body, "product_id", received_ms)


def net(read: Read, *deliveries: Delivery) -> float:
    """What the order is worth after all of that."""
    ids = itertools.count()
    events = []
    for topic, body, hours in deliveries:
        received_ms = NINE + int(hours * HOUR_MS)
        for event in read(topic, body, received_ms):
            event.event_id = f"e{next(ids)}"
            event.site_id, event.source, event.is_signed = "shop", "webhook", True
            event.received_time_ms = received_ms
            events.append(event)
    (order,) = settle(events).orders.to_pylist()
    worth = sum(line["gross_micros"] - line["refunded_micros"] for line in order["lines"])
    return float(worth / MICROS)


@pytest.mark.parametrize("topic", SHOPIFY_TOPICS)
def test_no_header_cancels_an_order_of_shopifys(topic: str) -> None:
    """A merchandiser would see a pin's best order taken back by who read one delivery."""
    first = shopify(0, "30.00")

    assert net(told_by_shopify, ("orders/create", first, 0), (topic, first, 1)) == 60.0


def test_the_signed_body_cancels_it_under_each_topic() -> None:
    """The control: cancelling works, and not by the header."""
    cancelled = shopify(1, "30.00", cancelled_at="2026-03-01T10:00:00Z")

    for topic in SHOPIFY_TOPICS:
        first = ("orders/create", shopify(0, "30.00"), 0.0)
        assert net(told_by_shopify, first, (topic, cancelled, 1)) == 0.0


@pytest.mark.parametrize("topic", SHOPIFY_TOPICS)
def test_a_refund_of_shopifys_is_one_under_each_topic(topic: str) -> None:
    """By its shape; and a second delivery id refunds nothing twice."""
    line = {"line_item_id": 1, "quantity": 1, "subtotal": "30.00"}
    refund = {
        "id": 6001,
        "order_id": 5001,
        "processed_at": "2026-03-01T11:00:00Z",
        "refund_line_items": [line],
    }
    body = json.dumps(refund).encode()
    first = ("orders/create", shopify(0, "30.00"), 0.0)

    assert net(told_by_shopify, first, (topic, body, 2), (topic, body, 3)) == 30.0


@pytest.mark.parametrize("topic", WOOCOMMERCE_TOPICS)
def test_an_old_payload_of_woocommerces_stays_old(topic: str) -> None:
    """As `order.restored` or `order.deleted` it would be the newest word on the order."""
    old, new = woocommerce(0, "50.00"), woocommerce(1, "80.00")
    deliveries = [("order.created", old, 0.0), ("order.updated", new, 1.0), (topic, old, 2.0)]

    assert net(told_by_woocommerce, *deliveries) == 80.0


def test_an_old_payload_takes_no_order_out_of_the_bin() -> None:
    old = woocommerce(0, "50.00")
    deliveries = [("order.created", old, 0), ("order.deleted", DELETED, 1)]

    assert net(told_by_woocommerce, *deliveries, ("order.restored", old, 2)) == 0.0


def test_an_order_out_of_the_bin_counts_again() -> None:
    """The control: WooCommerce saves the order when it restores it, so its time is newer."""
    deliveries = [
        ("order.created", woocommerce(0, "50.00"), 0),
        ("order.deleted", DELETED, 1.01),
        ("order.restored", woocommerce(2, "50.00"), 2.01),
    ]

    assert net(told_by_woocommerce, *deliveries) == 50.0
