"""Shopify's order and refund webhooks, as events: a pure translation (docs/webhooks.md).

Payloads are those of the Admin REST API's Order and Refund. All amounts are the shop's
currency. Shopify sends its messages more than once and out of order, so each tells when the
shop last changed the order (`updated_time_ms`), and an order's payload tells the whole order.
The topic stands in a header that nobody signs: it only says what is passed over. What a payload
means, the payload says.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from schemas.errors import EventError
from schemas.events import OrderItem, Purchase, Refund, RefundItem
from schemas.money import format_money
from schemas.webhooks import (
    Amount,
    Identifier,
    ItemIdFrom,
    bare_payload,
    checked,
    decode_payload,
    first_id,
    priced_item,
    read_micros,
    read_time,
    split_amount,
    visitor_of,
)

TOPICS = ("orders/create", "orders/updated", "orders/cancelled", "refunds/create")


class _Money(msgspec.Struct):
    amount: Amount = "0"
    currency_code: str | None = None


class _MoneySet(msgspec.Struct):
    shop_money: _Money


class _TaxLine(msgspec.Struct):
    price: Amount | None = None
    price_set: _MoneySet | None = None
    rate: float | None = None


class _Allocation(msgspec.Struct):
    amount: Amount | None = None
    amount_set: _MoneySet | None = None


class _LineItem(msgspec.Struct):
    id: Identifier
    quantity: int
    product_id: Identifier | None = None
    variant_id: Identifier | None = None
    sku: str | None = None
    name: str | None = None
    current_quantity: int | None = None
    price: Amount | None = None
    price_set: _MoneySet | None = None
    total_discount: Amount | None = None
    total_discount_set: _MoneySet | None = None
    discount_allocations: list[_Allocation] | None = None
    tax_lines: list[_TaxLine] | None = None
    gift_card: bool | None = None
    tip: Any = None


class _RefundLine(msgspec.Struct):
    line_item_id: Identifier
    quantity: int
    subtotal: Amount | None = None
    subtotal_set: _MoneySet | None = None
    total_tax: Amount | None = None
    total_tax_set: _MoneySet | None = None
    line_item: _LineItem | None = None


class _Adjustment(msgspec.Struct):
    amount: Amount | None = None
    amount_set: _MoneySet | None = None
    kind: str | None = None


class _Transaction(msgspec.Struct):
    test: bool | None = None


class _Refund(msgspec.Struct):
    id: Identifier
    created_at: str | None = None
    processed_at: str | None = None
    order_id: Identifier | None = None
    refund_line_items: list[_RefundLine] | None = None
    order_adjustments: list[_Adjustment] | None = None
    transactions: list[_Transaction] | None = None


class _Shape(msgspec.Struct):
    """By which a refund is told from an order."""

    order_id: Any = msgspec.UNSET
    refund_line_items: Any = msgspec.UNSET


class _Customer(msgspec.Struct):
    id: Identifier | None = None


class _Attribute(msgspec.Struct):
    name: Any = None
    value: Any = None


class _Order(msgspec.Struct):
    id: Identifier
    currency: str
    line_items: list[_LineItem]
    created_at: str | None = None
    processed_at: str | None = None
    updated_at: str | None = None
    cancelled_at: str | None = None
    test: bool | None = None
    taxes_included: bool | None = None
    total_tax: Amount | None = None
    total_tax_set: _MoneySet | None = None
    total_shipping_price_set: _MoneySet | None = None
    customer: _Customer | None = None
    note_attributes: list[_Attribute] | None = None
    refunds: list[_Refund] | None = None


def read_shopify(topic: str, body: bytes, item_id_from: ItemIdFrom) -> list[Purchase | Refund]:
    """The events of one delivery; none for other topics and for test orders.

    They bear no words of a receiver, and an `event_id` of their place only: see
    `schemas.webhooks.name_events`.

    Raises:
      EventError: the payload is neither an order nor a refund; the text names the value.
    """
    if topic not in TOPICS:
        return []
    shape = decode_payload(body, _Shape)
    if shape.refund_line_items is msgspec.UNSET:
        if shape.order_id is not msgspec.UNSET:
            raise EventError("a payload with an order_id and no refund_line_items is no refund")
        return checked(_order_events(decode_payload(body, _Order), item_id_from))
    refund = decode_payload(body, _Refund)
    if refund.order_id is None:
        raise EventError(f"refund {refund.id} names no order_id")
    return checked(_refund_events(refund, str(refund.order_id), None, is_taxed=None))


def bare_shopify(body: bytes) -> bytes:
    """A payload without anything personal, for quarantine."""
    return bare_payload(body, _Order, _Refund)


def _order_events(order: _Order, item_id_from: ItemIdFrom) -> list[Purchase | Refund]:
    if order.test:
        return []
    order_id = str(order.id)
    placed = order.processed_at or order.created_at
    if placed is None:
        raise EventError(f"order {order_id} has neither processed_at nor created_at")
    placed_ms = read_time(placed)
    updated_ms = read_time(order.updated_at) if order.updated_at else placed_ms
    customer_id = order.customer and order.customer.id
    events: list[Purchase | Refund] = [
        Purchase(
            event_id="order",
            event_time_ms=placed_ms,
            updated_time_ms=updated_ms,
            order_id=order_id,
            currency=order.currency,
            tax=format_money(_shop_micros(order.total_tax_set, order.total_tax)),
            shipping=format_money(_shop_micros(order.total_shipping_price_set, None)),
            customer_id=None if customer_id is None else str(customer_id),
            visitor_id=visitor_of((one.name, one.value) for one in order.note_attributes or ()),
            items=_items(order, item_id_from),
        )
    ]
    for refund in order.refunds or ():
        events += _refund_events(refund, order_id, updated_ms, is_taxed=bool(order.taxes_included))
    if order.cancelled_at:
        events.append(
            Refund(
                event_id="cancel",
                event_time_ms=read_time(order.cancelled_at),
                updated_time_ms=updated_ms,
                refund_id=f"cancel:{order_id}",
                order_id=order_id,
                kind="cancel",
                currency=order.currency,
            )
        )
    return events


def _items(order: _Order, item_id_from: ItemIdFrom) -> list[OrderItem]:
    """The order's lines with all units that were ever sold, refunded ones included.

    Units that an edit took out leave a refund behind, or only a lesser `current_quantity`:
    those are no part of the order. Lines without any unit left are not listed, unless there
    would be none: then they stand there for nothing.
    """
    refunded: dict[str, int] = {}
    for refund in order.refunds or ():
        for back in refund.refund_line_items or ():
            line_id = str(back.line_item_id)
            refunded[line_id] = refunded.get(line_id, 0) + back.quantity
    listed: list[OrderItem] = []
    emptied: list[OrderItem] = []
    for line in order.line_items:
        if line.quantity < 1:
            continue
        units = line.quantity
        if line.current_quantity is not None:
            left = line.current_quantity + refunded.get(str(line.id), 0)
            units = min(units, max(left, 0))
        worth = _worth(line, is_taxed=bool(order.taxes_included)) * units // line.quantity
        item = priced_item(
            str(line.id), _item_id(line, item_id_from), units or line.quantity, worth
        )
        (listed if units > 0 else emptied).append(item)
    return listed or emptied


def _worth(line: _LineItem, *, is_taxed: bool) -> int:
    """Micros of a whole line after its discounts, without tax.

    Gift cards and tips are worth nothing: a gift card is money put by, which becomes a sale
    when it pays for one.
    """
    if line.gift_card or line.tip:
        return 0
    worth = line.quantity * _shop_micros(line.price_set, line.price)
    if line.discount_allocations:
        worth -= sum(_shop_micros(one.amount_set, one.amount) for one in line.discount_allocations)
    else:
        worth -= _shop_micros(line.total_discount_set, line.total_discount)
    return worth - (_tax_of(line) if is_taxed else 0)


def _tax_of(line: _LineItem) -> int:
    return sum(_shop_micros(one.price_set, one.price) for one in line.tax_lines or ())


def _item_id(line: _LineItem, item_id_from: ItemIdFrom) -> str:
    """The chosen id; else the product's, the variant's, the SKU, the line's name."""
    chosen = getattr(line, item_id_from)
    return first_id(chosen, line.product_id, line.variant_id, line.sku, line.name)


def _refund_events(
    refund: _Refund, order_id: str, updated_ms: int | None, *, is_taxed: bool | None
) -> list[Purchase | Refund]:
    """A refund of goods; none when only shipping went back, or in a test."""
    told = refund.processed_at or refund.created_at
    if told is None:
        raise EventError(f"refund {refund.id} has neither processed_at nor created_at")
    transactions = refund.transactions or ()
    if transactions and all(one.test for one in transactions):
        return []
    lines = [line for line in refund.refund_line_items or () if line.quantity > 0]
    adjustments = [one for one in refund.order_adjustments or () if one.kind != "shipping_refund"]
    # Negative: more was given back than the lines are worth. Positive: less.
    more = -sum(_shop_micros(one.amount_set, one.amount) for one in adjustments)
    if not lines and not adjustments:
        return []
    event = Refund(
        event_id=f"refund-{refund.id}",
        event_time_ms=read_time(told),
        updated_time_ms=read_time(told) if updated_ms is None else updated_ms,
        refund_id=str(refund.id),
        order_id=order_id,
        currency=_currency_of(lines, adjustments),
    )
    if not lines:
        event.amount = format_money(max(more, 0))
        return [event]
    event.items = [_refund_item(line) for line in lines]
    if more:
        worth = [max(_refunded_worth(line, is_taxed=is_taxed), 0) for line in lines]
        parts = split_amount(max(sum(worth) + more, 0), worth)
        for item, part in zip(event.items, parts, strict=True):
            item.amount = format_money(part)
    return [event]


def _refund_item(line: _RefundLine) -> RefundItem:
    return RefundItem(line_id=str(line.line_item_id), quantity=line.quantity)


def _refunded_worth(line: _RefundLine, *, is_taxed: bool | None) -> int:
    """Micros of refunded units without tax, as Shopify reckons them.

    A payload of refunds/create does not say whether prices include tax; its lines do.
    """
    if line.line_item is not None and (line.line_item.gift_card or line.line_item.tip):
        return 0
    if is_taxed is None:
        is_taxed = line.line_item is not None and _includes_tax(line.line_item)
    tax = _shop_micros(line.total_tax_set, line.total_tax) if is_taxed else 0
    return _shop_micros(line.subtotal_set, line.subtotal) - tax


def _includes_tax(line: _LineItem) -> bool:
    """Whether the line's tax is a part of its price or comes on top, by the tax's rate."""
    rate = sum(one.rate or 0.0 for one in line.tax_lines or ())
    price, tax = _worth(line, is_taxed=False), _tax_of(line)
    return rate > 0 and abs(price * rate / (1 + rate) - tax) < abs(price * rate - tax)


def _currency_of(lines: Sequence[_RefundLine], adjustments: Iterable[_Adjustment]) -> str | None:
    sets = [*(line.subtotal_set for line in lines), *(one.amount_set for one in adjustments)]
    return next((one.shop_money.currency_code for one in sets if one is not None), None)


def _shop_micros(money: _MoneySet | None, amount: Amount | None) -> int:
    """Micros in the shop's currency; the plain field says the same to older API versions."""
    found = amount if money is None else money.shop_money.amount
    return 0 if found is None else read_micros(found)
