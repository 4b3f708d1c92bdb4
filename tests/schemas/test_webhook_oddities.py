"""Whatever stands in any place of a payload: events within their contract, or an EventError.

Anything else would be a 500, sent again for hours, and in the end no webhooks at all.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import Purchase, Refund
from schemas.shopify import bare_shopify, read_shopify
from schemas.webhooks import bare_payload
from schemas.woocommerce import bare_woocommerce, read_woocommerce
from tests.shop_payloads import (
    adjustment,
    body_of,
    mugs,
    shopify_order,
    shopify_refund,
    shopify_refund_line,
    woocommerce_order,
)

NOW = 1_772_355_600_000
ODD: list[Any] = [
    None, [], {}, "", "x", "\x00", "1e9", "\u00fc" * 500,
    0, -1, 10**30, 1e308, 0.1, True, [None], [[]],
]  # fmt: skip
REFUND = shopify_refund(
    shopify_refund_line(mugs(), 1, "9.99", "1.66"), order_adjustments=[adjustment("2.00")]
)
Read = Callable[[bytes], list[Purchase | Refund]]
READERS: dict[str, tuple[dict[str, Any], Read, Callable[[bytes], bytes]]] = {
    "shopify order": (
        shopify_order(refunds=[REFUND], cancelled_at="2026-03-07T10:00:00Z"),
        lambda body: read_shopify("orders/updated", body, "sku"),
        bare_shopify,
    ),
    "shopify refund": (
        REFUND, lambda body: read_shopify("refunds/create", body, "sku"), bare_shopify
    ),
    "woocommerce order": (
        woocommerce_order(
            refunds=[{"id": 1, "total": "-10.00"}], fee_lines=[{"id": 1, "total": "-1.00"}]
        ),
        lambda body: read_woocommerce("order.updated", body, "sku", NOW),
        bare_woocommerce,
    ),
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where anything stands in a payload."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in parts:
        yield (*path, name)
        if isinstance(part, dict | list):
            yield from places(part, (*path, name))


def read_or_refuse(read: Read, body: bytes) -> list[Purchase | Refund] | str:
    """The events, or why there are none. Anything else is a failure."""
    try:
        return read(body)
    except EventError as error:
        return str(error)


def changed(payload: dict[str, Any], path: tuple[Any, ...], value: Any) -> bytes:
    """The payload with another value in one place; the payload itself stays as it is."""
    part: Any = payload
    for name in path[:-1]:
        part = part[name]
    kept, part[path[-1]] = part[path[-1]], value
    body = body_of(payload)
    part[path[-1]] = kept
    return body


@pytest.mark.parametrize("kind", READERS)
def test_anything_anywhere_is_read_or_refused_with_a_reason(kind: str) -> None:
    payload, read, bare = READERS[kind]
    outcomes = {"read": 0, "refused": 0}
    for number, path in enumerate(list(places(payload))):
        # A third of the values in each place: all of them meet every kind of place.
        for value in ODD[number % 3 :: 3]:
            body = changed(payload, path, value)
            msgspec.json.decode(bare(body))
            found = read_or_refuse(read, body)
            assert found or isinstance(found, list), (path, value)
            outcomes["refused" if isinstance(found, str) else "read"] += 1
            for event in [] if isinstance(found, str) else found:
                decode_event(msgspec.json.encode(event))
    assert min(outcomes.values()) > 50, outcomes


@pytest.mark.parametrize("kind", READERS)
def test_a_payload_without_any_one_field_is_read_or_refused(kind: str) -> None:
    """API versions come and go, and fields with them."""
    payload, read, _ = READERS[kind]
    for name in payload:
        rest = {other: value for other, value in payload.items() if other != name}
        found = read_or_refuse(read, body_of(rest))
        assert isinstance(found, list) or name in found or "names no" in found, (name, found)


@pytest.mark.parametrize("depth", [100, 400, 900, 50_000])
def test_a_payload_nested_deep_is_made_bare_or_nothing(depth: int) -> None:
    body = b'{"customer":' * depth + b"1" + b"}" * depth

    bare = bare_shopify(body)

    assert bare in (body, b"")


def test_a_bare_payload_has_the_fields_of_all_its_kinds() -> None:
    class Inner(msgspec.Struct):
        amount: str

    class Outer(msgspec.Struct):
        parts: list[Inner] | None = None

    body = b'{"parts":[{"amount":"1","name":"Ann"}],"amount":"2","email":"ann@example.com"}'

    assert bare_payload(body, Outer) == b'{"parts":[{"amount":"1"}],"amount":"2"}'
