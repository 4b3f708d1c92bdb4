"""The oracle's first part: which events count, and what each order is worth.

Sections 1, 2 and 4 of docs/attribution.md, one event at a time.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.events import AnyEvent, Purchase, Refund, line_ids_of
from schemas.money import parse_money
from schemas.settings import Site

FRACTION_STEPS = 2**10  # fractions of a micro are compared in steps of 2^-10
LENT_WITHIN_MS = 60 * 60 * 1000


def happened(event: AnyEvent) -> int:
    """When the event really happened: the sender's wrong clock cancels out."""
    if event.sent_time_ms is None or event.received_time_ms is None:
        return event.event_time_ms
    return event.event_time_ms + event.received_time_ms - event.sent_time_ms


def once(events: Iterable[AnyEvent]) -> list[AnyEvent]:
    """One event per `event_id`: a signed one, else the one received first; claims apart."""
    first: dict[tuple[str, bool], AnyEvent] = {}
    for event in events:
        key = (event.event_id, isinstance(event, Purchase) and not event.is_signed)
        held = first.get(key)
        if held is None or _arrival(event) < _arrival(held):
            first[key] = event
    return list(first.values())


def _arrival(event: AnyEvent) -> tuple[bool, int, int, str, bytes]:
    name = str(event.__struct_config__.tag)
    received = event.received_time_ms or 0
    return not event.is_signed, received, event.event_time_ms, name, msgspec.json.encode(event)


def split(value: int, weights: Sequence[float]) -> list[int]:
    """Splits micros by weight: rounded down, the rest to the largest fractions.

    Equal fractions are common (17/24, 5/24 and 2/24 of a price leave the same one), and in
    float64 they differ in the last bit: compared in steps, they are equal again.
    """
    total = math.fsum(weights)
    exact = [abs(value) * (weight / total) for weight in weights]
    parts = [math.floor(one) for one in exact]
    left = abs(value) - sum(parts)
    assert 0 <= left <= len(parts), (value, weights)
    fraction = [
        round((one - part) * FRACTION_STEPS) for one, part in zip(exact, parts, strict=True)
    ]
    by_fraction = sorted(range(len(parts)), key=lambda i: (-fraction[i], i))
    for i in by_fraction[:left]:
        parts[i] += 1
    return [-part for part in parts] if value < 0 else parts


@dataclass
class Line:
    """`value` is before the order's own discount, `gross` after it."""

    line_id: str
    item_id: str
    quantity: int
    value: int = 0
    gross: int = 0
    refunded: int = 0

    @property
    def net(self) -> int:
        """What is left, below zero when more was given back than paid."""
        return self.gross - self.refunded


@dataclass
class Order:
    """An order as all its statements and refunds leave it."""

    order_id: str
    ordered_at: int
    currency: str
    customer_id: str | None
    visitor_id: str | None
    session_id: str | None
    lines: list[Line]
    is_unknown: bool = False

    @property
    def net(self) -> int:
        """The order's value after refunds."""
        return sum(line.net for line in self.lines)


def take_orders(events: Iterable[AnyEvent], site: Site) -> list[Order]:
    """The orders that count, in the report currency, with their refunds taken off."""
    statements: dict[str, list[Purchase]] = defaultdict(list)
    refunds: dict[str, list[Refund]] = defaultdict(list)
    for event in sorted(events, key=_lateness):
        if isinstance(event, Purchase):
            statements[event.order_id].append(event)
        elif isinstance(event, Refund) and event.is_signed:
            refunds[event.order_id].append(event)
    orders = []
    for order_id in sorted({*statements, *refunds}):
        signed = [one for one in statements[order_id] if one.is_signed]
        claimed = [one for one in statements[order_id] if not one.is_signed]
        by_setting = {"server": signed, "browser": claimed, "both": signed or claimed}
        counting = by_setting[site.orders_from]
        counting = _one_way(counting)
        given_back = _versions_of(refunds[order_id], counting)
        if counting:
            order = _known_order(counting, claimed)
            _take_back(order.lines, _in_currency(given_back, order.currency))
        elif given_back:
            order = _unknown_order(given_back, site)
        else:
            continue
        if order.currency == site.currency:
            orders.append(order)
    return orders


def _one_way(statements: list[Purchase]) -> list[Purchase]:
    """Those that came the winning way; of webhooks, which tell all, only the latest."""
    came = [one for one in statements if _way(one) == _winning_way(statements)]
    return came[-1:] if _winning_way(statements) == "webhook" else came


def _versions_of(refunds: list[Refund], counting: list[Purchase]) -> list[Refund]:
    """The latest version of each refund, of those that came as the order did, or else one way."""
    as_order = [one for one in refunds if counting and _way(one) == _way(counting[-1])]
    standing: dict[str, Refund] = {}
    for one in as_order or [one for one in refunds if _way(one) == _winning_way(refunds)]:
        standing.pop(one.refund_id, None)
        standing[one.refund_id] = one
    return list(standing.values())


def _way(event: AnyEvent) -> str:
    return event.source if event.source in ("file", "webhook") else "told"


def _winning_way(events: Sequence[AnyEvent]) -> str | None:
    """The way of the latest; a file gives way to whatever was told live."""
    ways = [_way(event) for event in events]
    live = [way for way in ways if way != "file"]
    return next(reversed(live or ways), None)


def _in_currency(refunds: list[Refund], currency: str) -> list[Refund]:
    return [refund for refund in refunds if refund.currency in (None, currency)]


def _lateness(event: AnyEvent) -> tuple[int, int, str]:
    """Later versions of an order or refund are greater; a browser's word of it is no word."""
    received = event.received_time_ms or 0
    updated = getattr(event, "updated_time_ms", None) if event.is_signed else None
    return received if updated is None else updated, received, event.event_id


def _latest(events: Sequence[AnyEvent], name: str) -> Any:
    """The field's value in the latest event that has it; events come latest last."""
    values = [getattr(event, name) for event in events]
    return next((value for value in reversed(values) if value is not None), None)


def _known_order(counting: list[Purchase], claimed: list[Purchase]) -> Order:
    lines: dict[str, Line] = {}
    for statement in counting:
        for line_id, item in zip(line_ids_of(statement), statement.items, strict=True):
            value = item.quantity * parse_money(item.price) - parse_money(item.discount)
            lines[line_id] = Line(line_id, item.item_id, item.quantity, value, value)
    ordered_at = min(happened(one) for one in counting)
    naming = [one for one in counting if one.visitor_id is not None]
    if not naming and counting[-1].is_signed:
        naming = _lent(claimed, ordered_at)
    order = Order(
        order_id=counting[-1].order_id,
        ordered_at=ordered_at,
        currency=_latest(counting, "currency"),
        customer_id=_latest(counting, "customer_id"),
        visitor_id=naming[-1].visitor_id if naming else None,
        session_id=naming[-1].session_id if naming else None,
        lines=[lines[line_id] for line_id in sorted(lines)],
    )
    discount = parse_money(_latest(counting, "discount"))
    for line, part in zip(order.lines, _spread(discount, order.lines), strict=True):
        line.gross -= part
    return order


def _lent(claimed: list[Purchase], ordered_at: int) -> list[Purchase]:
    """Claims about the time of the order, if all that name a visitor name the same one."""
    naming = [
        one
        for one in claimed
        if one.visitor_id is not None
        and abs(happened(one) - ordered_at) <= LENT_WITHIN_MS
        and (
            one.received_time_ms is None or abs(one.received_time_ms - ordered_at) <= LENT_WITHIN_MS
        )
    ]
    return naming if len({one.visitor_id for one in naming}) == 1 else []


def _spread(amount: int, lines: list[Line]) -> list[int]:
    values = [float(abs(line.value)) for line in lines]
    return split(amount, values if any(values) else [1.0] * len(lines))


def _take_back(lines: list[Line], refunds: list[Refund]) -> None:
    for refund in refunds:
        if refund.amount is not None:
            for line, part in zip(lines, _spread(parse_money(refund.amount), lines), strict=True):
                line.refunded += part
        for item in refund.items:
            named = [line for line in lines if line.line_id == item.line_id]
            named = named or [line for line in lines if line.item_id == item.item_id][:1]
            if item.amount is not None:
                amount = parse_money(item.amount)
            elif named:
                amount = named[0].gross * (item.quantity or 0) // named[0].quantity
            else:
                amount = 0  # no line to take the price from
            where = named or lines
            for line, part in zip(where, _spread(amount, where), strict=True):
                line.refunded += part
    if any(refund.amount is None and not refund.items for refund in refunds):
        for line in lines:
            line.refunded = line.gross if line.gross < 0 else max(line.refunded, line.gross)


def _unknown_order(refunds: list[Refund], site: Site) -> Order:
    """Refunds whose order never came: an order that is worth less than nothing."""
    currency = _latest(refunds, "currency") or site.currency
    refunds = _in_currency(refunds, currency)
    lines: dict[str, Line] = {}

    def give(line_id: str, item_id: str, quantity: int, amount: str | None) -> None:
        line = lines.setdefault(line_id, Line(line_id, item_id, 0))
        line.item_id = min(line.item_id, item_id)
        line.quantity -= quantity
        line.refunded += parse_money(amount or "0")

    for refund in refunds:
        if refund.amount is not None:
            give(f"{refund.refund_id}:1", "unknown", 0, refund.amount)
        for place, item in enumerate(refund.items, start=1):
            line_id = f"{refund.refund_id}:{item.line_id or place}"
            give(line_id, item.item_id or "unknown", item.quantity or 0, item.amount)
    return Order(
        order_id=refunds[0].order_id,
        ordered_at=min(happened(refund) for refund in refunds),
        currency=currency,
        customer_id=_latest(refunds, "customer_id"),
        visitor_id=_latest(refunds, "visitor_id"),
        session_id=_latest(refunds, "session_id"),
        lines=[lines[line_id] for line_id in sorted(lines)],
        is_unknown=True,
    )
