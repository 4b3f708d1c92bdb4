"""The meaning of given files' values, column by column, by the contracts of events.

Each column is parsed once per *distinct* value and spread back over its rows, so a parser is
plain Python, is `schemas.money.parse_money` itself where money is meant, and costs little:
half a million order lines hold some thousand prices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.errors import EventError
from schemas.events import Name

# Gives the value to keep, or raises an EventError.
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


def text_parser(column: str, contract: Any = Name) -> Parse:
    """A parser of texts within a contract, which names the column in what it raises."""
    return lambda value: check_text(column, value, contract)


def check_text(column: str, value: Any, contract: Any) -> str:
    """A text within the contract; whole numbers that came as floats lose their '.0'.

    Raises:
      EventError: names the column, the value and the contract.
    """
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if "\0" in text or "\x1f" in text:
        raise EventError(
            f"{column} {short(text)} holds U+0000 or U+001F: databases and joint keys cannot"
        )
    try:
        msgspec.convert(text, contract)
    except msgspec.ValidationError as error:
        raise EventError(f"{column} {short(text)}: {error}") from None
    return text


def short(text: str) -> str:
    """A value as a message shows it: quoted, and cut where it is long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
