"""What the webhook formats of shop systems have in common: amounts, times, ids, what is kept.

A format (`schemas.shopify`, `schemas.woocommerce`) is a pure translation of one documented
payload into events. Both are read leniently in what we do not use and strictly in what we do.
"""

import datetime
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import OrderItem, Purchase, Refund
from schemas.money import format_money, parse_money

ItemIdFrom = Literal["product_id", "variant_id", "sku"]
# Shop systems write amounts as strings, ids as numbers, and now and then the other way round.
Amount = str | int | float
Identifier = str | int

VISITOR_ATTRIBUTE = "pinsphere_visitor"
_VISITOR = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MAX_NAME = 128
_ATTRIBUTES = {"note_attributes", "meta_data"}
_Payload = TypeVar("_Payload")


def decode_payload(body: bytes, kind: type[_Payload]) -> _Payload:
    """Reads a payload; fields that the struct does not name are passed over.

    Raises:
      EventError: it is not JSON or not of that shape; the text says where.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise EventError(f"the payload has the wrong shape: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise EventError(f"the payload is not JSON: {error}") from None


def translated(read: Callable[[], list[Purchase | Refund]]) -> list[Purchase | Refund]:
    """The events that a format's reader finds in a payload that is known to be a shop's.

    Raises:
      EventError: for whatever reason it could not be read: a payload nobody thought of must
        reach quarantine, and never come again and again.
    """
    try:
        return read()
    except EventError:
        raise
    except Exception as error:
        raise EventError(f"{type(error).__name__}: {error}") from error


def read_micros(amount: Amount) -> int:
    """An amount in micros; a JSON number is read by its shortest decimal text."""
    return parse_money(amount if isinstance(amount, str) else repr(amount))


def read_time(text: str) -> int:
    """UTC epoch milliseconds of an ISO 8601 time; without a zone it is UTC.

    Raises:
      EventError: it is no such time.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise EventError(
            f"time {text[:40]!r} is not ISO 8601 such as 2026-03-01T09:30:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def priced_item(line_id: str, item_id: str, quantity: int, micros: int) -> OrderItem:
    """An order line worth exactly so many micros: `quantity * price - discount == micros`.

    The price is rounded up to the micro; what that adds is the discount.
    """
    price = -(-micros // quantity)
    return OrderItem(
        line_id=line_id,
        item_id=item_id,
        quantity=quantity,
        price=format_money(price),
        discount=format_money(quantity * price - micros),
    )


def split_amount(micros: int, worth: Sequence[int]) -> list[int]:
    """Parts of an amount in proportion to `worth` (all >= 0; equal parts if all are 0).

    Each part is the difference of two running totals rounded down, so parts add up exactly.
    """
    weights = worth if any(worth) else [1] * len(worth)
    total, seen, given, parts = sum(weights), 0, 0, []
    for weight in weights:
        seen += weight
        upto = micros * seen // total
        parts.append(upto - given)
        given = upto
    return parts


def first_id(*candidates: Identifier | None) -> str:
    """The first id that says something (0 and "" do not), cut to what an id may be long."""
    found = next((one for one in candidates if one not in (None, "", 0)), "unknown")
    return str(found)[:_MAX_NAME]


def visitor_of(attributes: Iterable[tuple[str, Any]]) -> str | None:
    """The visitor id that the snippet put on the cart; a shopper may have changed it at will."""
    found = (value for name, value in attributes if name == VISITOR_ATTRIBUTE)
    value = next(found, None)
    return value if isinstance(value, str) and _VISITOR.fullmatch(value) else None


def checked(events: Iterable[Purchase | Refund]) -> list[Purchase | Refund]:
    """The events, each held against the whole event contract.

    Raises:
      EventError: one breaks it; the text names the value and the rule.
    """
    sound = list(events)
    for event in sound:
        decode_event(msgspec.json.encode(event))
    return sound


def name_events(events: Iterable[Purchase | Refund], delivery_id: str, body: bytes) -> None:
    """Gives a delivery's events their ids: when it comes again, the same."""
    name = delivery_name(delivery_id, body)
    for place, event in enumerate(events, start=1):
        event.event_id = f"{name}-{place}"


def delivery_name(delivery_id: str, body: bytes) -> str:
    """At most 57 characters that name a delivery.

    A digest of the body is part of it: WooCommerce gives two deliveries of one second one id.
    """
    known = re.sub(r"[^A-Za-z0-9_-]", "", delivery_id)[:40]
    return f"{known}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"


def bare_payload(body: bytes, *kinds: type[msgspec.Struct]) -> bytes:
    """A payload with only those fields that the structs name: no address, e-mail, phone, note.

    Attributes are left out, since anything may stand in them. Empty when the body is no JSON
    object: what cannot be read cannot be made bare.
    """
    kept = _kept_names(*kinds)
    try:
        value = msgspec.json.decode(body)
        return msgspec.json.encode(_bare(value, kept)) if isinstance(value, dict) else b""
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return b""


@functools.cache
def _kept_names(*kinds: type[msgspec.Struct]) -> frozenset[str]:
    return _field_names(msgspec.inspect.multi_type_info(kinds)) - _ATTRIBUTES


def _bare(value: Any, kept: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _bare(part, kept) for name, part in value.items() if name in kept}
    return [_bare(part, kept) for part in value] if isinstance(value, list) else value


def _field_names(types: Iterable[msgspec.inspect.Type]) -> frozenset[str]:
    """All field names of structs, and of the structs in them."""
    names: set[str] = set()
    for kind in types:
        match kind:
            case msgspec.inspect.StructType():
                names.update(field.encode_name for field in kind.fields)
                names |= _field_names(field.type for field in kind.fields)
            case msgspec.inspect.ListType():
                names |= _field_names([kind.item_type])
            case msgspec.inspect.UnionType():
                names |= _field_names(kind.types)
    return frozenset(names)
