"""The meaning of order files' values: money, quantities, times, names, by the event contract.

Each column is parsed once per *distinct* value and spread back over its rows, so a parser is
plain Python, is `schemas.money.parse_money` itself where money is meant, and costs little:
half a million order lines hold some thousand prices.
"""

import datetime
import functools
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

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

Parse = Callable[[Any], Any]


@dataclass(frozen=True)
class Parsed:
    """One column: `values` [rows] (null = missing or bad), and why the bad ones are bad."""

    values: Any
    codes: npt.NDArray[np.int64]
    reasons: Mapping[int, str]

    @property
    def is_bad(self) -> npt.NDArray[np.bool_]:
        """[rows] whether the row's value broke its contract."""
        return np.isin(self.codes, list(self.reasons))

    def reason(self, row: int) -> str:
        """Why a bad row is bad."""
        return self.reasons[int(self.codes[row])]


def parse_column(column: Any, parse: Parse, arrow_type: Any) -> Parsed:
    """Parses each distinct value of a column once.

    Args:
      column: [rows] Arrow array; null and "" are missing.
      parse: gives the value to keep, or raises an EventError.
      arrow_type: type of the values to keep.
    """
    encoded = column.dictionary_encode()
    kept: list[Any] = []
    reasons: dict[int, str] = {}
    for code, value in enumerate(encoded.dictionary.to_pylist()):
        try:
            kept.append(None if value == "" else parse(value))
        except EventError as error:
            kept.append(None)
            reasons[code] = str(error)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Parsed(pa.array(kept, arrow_type).take(encoded.indices), codes, reasons)


def parsers(time_zone: str) -> dict[str, tuple[Parse, Any]]:
    """Own column -> (parser, Arrow type); times without a zone are local to `time_zone`."""
    text, number = pa.string(), pa.int64()
    zone = zoneinfo.ZoneInfo(time_zone)
    return {
        "order_id": (_name("order_id"), text),
        "line_id": (_name("line_id"), text),
        "ordered_at": (functools.partial(parse_millis, zone=zone), number),
        "customer_id": (parse_customer, text),
        "visitor_id": (_name("visitor_id", Id), text),
        "item_id": (_name("item_id"), text),
        "quantity": (parse_quantity, number),
        "price": (_money("price"), number),
        "discount": (_money("discount"), number),
        "currency": (parse_currency, text),
        "refund_id": (_name("refund_id"), text),
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
        raise EventError(f"quantity {_short(text)} is not a whole number")
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
            f"ordered_at {_short(str(value))} is not between 2000 and 2100"
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
            f"ordered_at {_short(str(value))} is not a time such as '2026-11-21 09:30:00',"
            " '2026-11-21T09:30:00Z' or epoch milliseconds"
        ) from None


def parse_customer(value: str | float | Decimal) -> str:
    """A customer id.

    Raises:
      EventError: longer than 128 characters, or marked as a person without an account.
    """
    text = _check_text("customer_id", value, Name)
    if text.startswith(("v:", "e:")):
        raise EventError(
            f"customer_id {_short(text)} starts with 'v:' or 'e:', which mark people"
            " known only by a visitor id or an e-mail hash"
        )
    return text


def parse_currency(value: str) -> str:
    """An ISO 4217 code, or a MoneyError that names it."""
    return check_currency(_check_text("currency", value, Currency))


def parse_kind(value: str) -> str:
    """A kind of refund, or an EventError that lists them."""
    if value not in _KINDS:
        raise EventError(f"kind {_short(str(value))} is not one of {', '.join(_KINDS)}")
    return value


def check_name(column: str, value: str) -> None:
    """Raises an EventError when a value we made up ourselves is longer than the contract."""
    _check_text(column, value, Name)


def _name(column: str, contract: Any = Name) -> Parse:
    return lambda value: _check_text(column, value, contract)


def _money(column: str) -> Parse:
    def parse(value: str | float | Decimal) -> int:
        try:
            return parse_micros(value)
        except EventError as error:
            raise EventError(f"{column}: {error}") from None

    return parse


def _check_text(column: str, value: Any, contract: Any) -> str:
    """A text within the contract; whole numbers that came as floats lose their '.0'."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if "\0" in text or "\x1f" in text:
        raise EventError(
            f"{column} {_short(text)} holds U+0000 or U+001F: databases and joint keys cannot"
        )
    try:
        msgspec.convert(text, contract)
    except msgspec.ValidationError as error:
        raise EventError(f"{column} {_short(text)}: {error}") from None
    return text


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
