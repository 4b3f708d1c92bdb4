"""The contract of events: what a sender's JSON must say to come into the lake."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.errors import EventError
from schemas.events import (
    LEAD_MS,
    SCHEMA_VERSION,
    AnyEvent,
    Erase,
    Event,
    Identify,
    Pin,
    PinVisit,
    Purchase,
    Refund,
    line_ids_of,
)
from schemas.ids import check_pin_id
from schemas.money import MAX_MICROS, check_currency, parse_money

_decoder = msgspec.json.Decoder(AnyEvent)
# PostgreSQL stores no U+0000; U+001F parts joint keys in `pipelines.kernels.columns`.
_FORBIDDEN = re.compile(rb"(?<!\\)(?:\\\\)*\\u00(?:00|1[fF])")


def decode_event(raw: bytes) -> AnyEvent:
    """Reads one JSON event and checks it against its whole contract.

    Unknown fields are dropped.

    Raises:
      EventError: says which value broke which rule; the event belongs in quarantine.
    """
    if b"\\u00" in raw and _FORBIDDEN.search(raw):  # the search alone costs 20 us
        raise EventError("a text holds U+0000 or U+001F: databases and joint keys cannot")
    try:
        event = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise EventError(str(error)) from None
    check_event(event)
    return event


def check_event(event: AnyEvent) -> None:
    """Checks what types and lengths cannot say: pin ids, money, what must come together.

    Raises:
      EventError: names the value and the rule.
    """
    if event.schema_version != SCHEMA_VERSION:
        raise EventError(
            f"schema_version {event.schema_version} is unknown; this release reads {SCHEMA_VERSION}"
        )
    if event.customer_id is not None and event.customer_id.startswith(("v:", "e:")):
        raise EventError(
            f"customer_id {event.customer_id!r} starts with 'v:' or 'e:', which mark people"
            " known only by a visitor id or an e-mail hash"
        )
    check = CHECKS.get(type(event))
    if check is not None:
        check(event)


def check_not_ahead(event: AnyEvent, happened_ms: int, now_ms: int) -> None:
    """Checks that an event has happened: the newest day decides who is away by now.

    Args:
      event: the event.
      happened_ms: when it did, by the receiver's clock.
      now_ms: when it came.

    Raises:
      EventError: it lies further ahead than clocks may differ.
    """
    if happened_ms > now_ms + LEAD_MS:
        raise EventError(f"event_time_ms {event.event_time_ms} is more than a day ahead of now")


def _check_pin(pin: Pin) -> None:
    for pin_id in (pin.pin_id, pin.parent_pin_id, pin.root_pin_id):
        if pin_id is not None:
            check_pin_id(pin_id)
    if pin.parent_pin_id == pin.pin_id:
        raise EventError(f"pin {pin.pin_id!r} names itself as its parent")
    if pin.parent_pin_id is None and pin.root_pin_id not in (None, pin.pin_id):
        raise EventError(f"pin {pin.pin_id!r} has root {pin.root_pin_id!r} but no parent")
    if pin.parent_pin_id is not None and pin.root_pin_id == pin.pin_id:
        raise EventError(f"pin {pin.pin_id!r} has a parent and cannot be its own root")


def _check_visit(visit: PinVisit) -> None:
    if visit.pin_id is not None:
        check_pin_id(visit.pin_id)
    elif visit.match_method == "token":
        raise EventError("a pin_visit matched by token needs its pin_id")


def _check_purchase(order: Purchase) -> None:
    check_currency(order.currency)
    total = 0
    for amount in (order.tax, order.shipping, order.discount):
        total += abs(parse_money(amount))
    for item in order.items:
        total += item.quantity * abs(parse_money(item.price)) + abs(parse_money(item.discount))
    _check_total(total, f"order {order.order_id!r}")
    line_ids = line_ids_of(order)
    if len(set(line_ids)) != len(line_ids):
        raise EventError(f"order {order.order_id!r} names a line_id twice")


def _check_refund(refund: Refund) -> None:
    if refund.currency is not None:
        check_currency(refund.currency)
    amounts = [item.amount for item in refund.items if item.amount is not None]
    if refund.amount is not None:
        if refund.items:
            raise EventError(f"refund {refund.refund_id!r} has both items and an amount")
        amounts.append(refund.amount)
    micros = [parse_money(amount) for amount in amounts]
    if any(amount < 0 for amount in micros):
        raise EventError(f"refund {refund.refund_id!r} has a negative amount; refunds are positive")
    _check_total(sum(micros), f"refund {refund.refund_id!r}")
    for item in refund.items:
        if item.line_id is None and item.item_id is None:
            raise EventError(f"refund {refund.refund_id!r} has a line without line_id or item_id")
        if item.amount is None and item.quantity is None:
            raise EventError(f"refund {refund.refund_id!r} has a line without quantity or amount")


def _check_identify(said: Identify) -> None:
    if said.email_sha256 is None:
        if said.customer_id is None and said.action == "login":
            raise EventError("identify needs a customer_id or an email_sha256")
    elif not _is_lower_hex(said.email_sha256):
        raise EventError("email_sha256 is not 64 lower-case hexadecimal digits")


def _check_erase(request: Erase) -> None:
    if request.visitor_id is None and request.customer_id is None:
        raise EventError("erase needs a visitor_id or a customer_id")


# By type, for `match` tries one pattern after the other: most events have no check of their own.
CHECKS: dict[type[Event], Callable[[Any], None]] = {
    Pin: _check_pin,
    PinVisit: _check_visit,
    Purchase: _check_purchase,
    Refund: _check_refund,
    Identify: _check_identify,
    Erase: _check_erase,
}


def _check_total(micros: int, what: str) -> None:
    if micros > MAX_MICROS:
        raise EventError(f"{what} adds up to more than {MAX_MICROS // 1_000_000} units")


def _is_lower_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
