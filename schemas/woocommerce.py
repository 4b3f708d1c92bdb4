"""WooCommerce's order webhooks, as events: a pure translation (docs/webhooks.md).

Payloads are those of the REST API's orders (wc/v3). Each tells the whole order as it stood when
it was sent, so a payload becomes two versions: of the order, and of all that was taken back of
it. A cancelled order that is taken up again, or a refund that is deleted, is right again.
The topic stands in a header that nobody signs: it only says what is passed over. What a payload
means, and how new it is, the payload says.
"""

import math
from typing import Any

import msgspec

from schemas.errors import EventError
from schemas.events import OrderItem, Purchase, Refund
from schemas.money import format_money
from schemas.webhooks import (
    Amount,
    ItemIdFrom,
    bare_payload,
    checked,
    decode_payload,
    first_id,
    priced_item,
    read_micros,
    read_time,
    visitor_of,
)

TOPICS = ("order.created", "order.updated", "order.restored", "order.deleted")
# Not orders yet.
_DRAFTS = frozenset({"checkout-draft", "auto-draft", "draft", "new"})
# Not sold, or not any more; WooCommerce's own reports leave out all but the last.
_VOID = frozenset({"pending", "failed", "cancelled", "trash", "refunded"})


class _LineItem(msgspec.Struct):
    id: int
    quantity: int | float
    total: Amount
    product_id: int | None = None
    variation_id: int | None = None
    sku: str | None = None
    name: str | None = None


class _Fee(msgspec.Struct):
    total: Amount


class _Refund(msgspec.Struct):
    id: int
    total: Amount


class _Meta(msgspec.Struct):
    key: Any = None
    value: Any = None


class _Order(msgspec.Struct):
    id: int
    status: str
    currency: str
    date_created_gmt: str
    total: Amount
    line_items: list[_LineItem]
    date_modified_gmt: str | None = None
    total_tax: Amount = "0"
    shipping_total: Amount = "0"
    customer_id: int = 0
    fee_lines: list[_Fee] = []
    refunds: list[_Refund] = []
    meta_data: list[_Meta] = []


class _Deleted(msgspec.Struct, forbid_unknown_fields=True):
    """All that a deletion's payload holds; an order's has always more."""

    id: int


def read_woocommerce(
    topic: str, body: bytes, item_id_from: ItemIdFrom, received_time_ms: int
) -> list[Purchase | Refund]:
    """The events of one delivery; none for other topics and for drafts.

    They bear no words of a receiver, and an `event_id` of their place only: see
    `schemas.webhooks.name_events`. `received_time_ms` dates a deletion, which has no time.

    Raises:
      EventError: the payload is no order's; the text names the value.
    """
    if topic not in TOPICS:
        return []
    deleted_id = _deleted_id(body)
    if deleted_id is not None:
        return checked([_taken_back(str(deleted_id), None, received_time_ms, None)])
    order = decode_payload(body, _Order)
    if order.status in _DRAFTS:
        return []
    # Never by its receipt: an old payload that somebody sends again must not be the newest.
    updated_ms = read_time(order.date_modified_gmt or order.date_created_gmt)
    amount = None if order.status in _VOID else _refunded(order)
    refund = _taken_back(str(order.id), amount, updated_ms, updated_ms)
    refund.currency = order.currency
    if not order.line_items:  # no goods, or none any more
        refund.amount = None
        return checked([refund])
    return checked([_purchase(order, updated_ms, item_id_from), refund])


def bare_woocommerce(body: bytes) -> bytes:
    """A payload without anything personal, for quarantine."""
    return bare_payload(body, _Order)


def is_ping(body: bytes) -> bool:
    """Whether this is what WooCommerce sends, unsigned, to see that the address answers 200."""
    return body.startswith(b"webhook_id=") and body[11:].isdigit() and len(body) < 32


def _deleted_id(body: bytes) -> int | None:
    """The order that is deleted, if the payload is an id and nothing else."""
    try:
        return decode_payload(body, _Deleted).id
    except EventError:
        return None


def _purchase(order: _Order, updated_ms: int, item_id_from: ItemIdFrom) -> Purchase:
    return Purchase(
        event_id="order",
        event_time_ms=read_time(order.date_created_gmt),
        updated_time_ms=updated_ms,
        order_id=str(order.id),
        currency=order.currency,
        tax=format_money(read_micros(order.total_tax)),
        shipping=format_money(read_micros(order.shipping_total)),
        discount=format_money(_discount(order)),
        customer_id=str(order.customer_id) if order.customer_id else None,
        visitor_id=visitor_of((one.key, one.value) for one in order.meta_data),
        items=[_item(line, item_id_from) for line in order.line_items],
    )


def _discount(order: _Order) -> int:
    """A negative fee is what plugins make of a discount; other fees are no goods."""
    return -sum(min(read_micros(fee.total), 0) for fee in order.fee_lines)


def _item(line: _LineItem, item_id_from: ItemIdFrom) -> OrderItem:
    """The line's `total`: after coupons, without tax. Parts of a unit count as a whole one."""
    chosen = {"product_id": line.product_id, "variant_id": line.variation_id, "sku": line.sku}
    item_id = first_id(
        chosen[item_id_from], line.product_id, line.variation_id, line.sku, line.name
    )
    return priced_item(
        str(line.id), item_id, max(math.ceil(line.quantity), 1), read_micros(line.total)
    )


def _refunded(order: _Order) -> int | None:
    """Micros of goods that went back; None for all of them.

    A refund here says only how much was paid back, tax and shipping included: goods take their
    share of it as they have of the order's total.
    """
    paid_back = sum(abs(read_micros(refund.total)) for refund in order.refunds)
    total = read_micros(order.total)
    if paid_back >= total > 0:
        return None
    goods = sum(read_micros(line.total) for line in order.line_items)
    goods -= _discount(order)
    return max(paid_back * goods // total, 0) if total > 0 else 0


def _taken_back(
    order_id: str, amount: int | None, happened_ms: int, updated_ms: int | None
) -> Refund:
    """What is taken back of an order now: all of it, or an amount, which may be nothing."""
    return Refund(
        event_id="refunds",
        event_time_ms=happened_ms,
        updated_time_ms=updated_ms,
        refund_id=f"refunds:{order_id}",
        order_id=order_id,
        kind="cancel" if amount is None else "refund",
        amount=None if amount is None else format_money(amount),
    )
