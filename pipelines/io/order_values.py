"""The meaning of order files' values: money, quantities, times, names, by the event contract."""

import datetime
import functools
import re
import zoneinfo
from decimal import Decimal
from typing import Any, get_args

import pyarrow as pa

from pipelines.io.given_values import Parse, check_text, short, text_parser
from schemas.errors import EventError
from schemas.events import (
    EARLIEST_MS,
    LATEST_MS,
    Currency,
    Id,
    Name,
    Refund,
)
from schemas.money import check_currency, parse_money

MAX_QUANTITY = 1_000_000_000
_WHOLE = re.compile(r"([+-]?[0-9]{1,30})(?:\.0*)?", re.ASCII)
_DIGITS = re.compile(r"[+-]?[0-9]+", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_KINDS: tuple[str, ...] = get_args(Refund.__annotations__["kind"])


def parsers(time_zone: str) -> dict[str, tuple[Parse, Any]]:
    """Own column -> (parser, Arrow type); times without a zone are local to `time_zone`."""
    text, number = pa.string(), pa.int64()
    zone = zoneinfo.ZoneInfo(time_zone)
    return {
        "order_id": (text_parser("order_id"), text),
        "line_id": (text_parser("line_id"), text),
        "ordered_at": (functools.partial(parse_millis, zone=zone), number),
        "customer_id": (parse_customer, text),
        "visitor_id": (text_parser("visitor_id", Id), text),
        "item_id": (text_parser("item_id"), text),
        "quantity": (parse_quantity, number),
        "price": (_money("price"), number),
        "discount": (_money("discount"), number),
        "currency": (parse_currency, text),
        "refund_id": (text_parser("refund_id"), text),
        "amount": (_money("amount"), number),
        "kind": (parse_kind, text),
    }


def parse_micros(value: str | float | Decimal) -> int:
    """Micros of an amount, as `parse_money` reads its plain decimal text.

    A float counts as its shortest decimal text, which is what its writer meant.

    Raises:
      MoneyError: what `parse_money` refuses; NaN and infinity.
    """
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return parse_money(format(value, "f"))
    return parse_money(str(value))


def parse_quantity(value: str | float | Decimal) -> int:
    """A whole number, not 0; "2.0" counts as 2, since data frames write integers like that.

    Raises:
      EventError: anything else, or more than a thousand million.
    """
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise EventError(f"quantity {short(text)} is not a whole number")
    quantity = int(match[1])
    if quantity == 0:
        raise EventError("quantity 0 is neither sold nor returned")
    if abs(quantity) > MAX_QUANTITY:
        raise EventError(f"quantity {quantity} is beyond {MAX_QUANTITY}")
    return quantity


def parse_millis(value: str | int | datetime.datetime, zone: zoneinfo.ZoneInfo) -> int:
    """UTC epoch milliseconds of a moment: ISO 8601, an Arrow timestamp, or epoch milliseconds.

    Without a zone it is local time: the first of two at the end of summer time; a time
    that the clock skipped is moved forward by as much as was skipped.

    Raises:
      EventError: not such a moment, or not between 2000 and 2100.
    """
    if isinstance(value, int) or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        millis = int(str(value)[:32])
    else:
        moment = _moment(value)
        if moment.tzinfo is None:
            # fold=0 is the first of two; in a gap it takes the offset before the jump.
            moment = moment.replace(tzinfo=zone, fold=0)
        millis = (moment - _EPOCH) // _MILLISECOND
    if not EARLIEST_MS <= millis < LATEST_MS:
        raise EventError(
            f"ordered_at {short(str(value))} is not between 2000 and 2100"
            " (a bare number is epoch milliseconds)"
        )
    return millis


def _moment(value: str | datetime.datetime | Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise EventError(
            f"ordered_at {short(str(value))} is not a time such as '2026-11-21 09:30:00',"
            " '2026-11-21T09:30:00Z' or epoch milliseconds"
        ) from None


def parse_customer(value: str | float | Decimal) -> str:
    """A customer id.

    Raises:
      EventError: longer than 128 characters, or marked as a person without an account.
    """
    text = check_text("customer_id", value, Name)
    if text.startswith(("v:", "e:")):
        raise EventError(
            f"customer_id {short(text)} starts with 'v:' or 'e:', which mark people"
            " known only by a visitor id or an e-mail hash"
        )
    return text


def parse_currency(value: str) -> str:
    """An ISO 4217 code, or a MoneyError that names it."""
    return check_currency(check_text("currency", value, Currency))


def parse_kind(value: str) -> str:
    """A kind of refund, or an EventError that lists them."""
    if value not in _KINDS:
        raise EventError(f"kind {short(str(value))} is not one of {', '.join(_KINDS)}")
    return value


def check_name(column: str, value: str) -> None:
    """Raises an EventError when a value we made up ourselves is longer than the contract."""
    check_text(column, value, Name)


def _money(column: str) -> Parse:
    def parse(value: str | float | Decimal) -> int:
        try:
            return parse_micros(value)
        except EventError as error:
            raise EventError(f"{column}: {error}") from None

    return parse
