"""Values of Parquet files that are no text, time or number to Python, found before they hurt.

Arrow keeps whatever bytes a writer called text and any 64-bit number as a time; both raise
only when a value is looked at.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import UsageError
from schemas.spool import record_text

_READ = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null),
    *(pa.types.is_decimal, pa.types.is_integer, pa.types.is_floating),
    *(pa.types.is_date, pa.types.is_timestamp),
)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Years 1900 to 2200 in seconds: in any unit and zone Python can say them.
_FIRST_SECOND, _LAST_SECOND = -2_208_988_800, 7_258_118_400


def read_columns(source: Any, path: Path, names: Iterable[str]) -> Any:
    """A table of some columns of an open file, or a UsageError when its pages are damaged."""
    try:
        return source.read(sorted(set(names)))
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} is damaged: {error}") from None


def decoded(column: Any) -> Any:
    """A column as one array without a dictionary."""
    array = column.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def check_type(kind: Any, what: str) -> None:
    """Raises a UsageError for what is no text, number, date or time in a known zone."""
    if not any(is_kind(kind) for is_kind in _READ):
        raise UsageError(f"{what} is of type {kind}; text, numbers, dates and times are read")
    if pa.types.is_timestamp(kind):
        try:
            pa.scalar(0, kind).as_py()
        except (KeyError, ValueError, OSError):
            raise UsageError(f"{what} has an unknown time zone {kind.tz!r}") from None


def plain(column: Any) -> Any:
    """The column as one of Arrow's text, integer, decimal, float or timestamp arrays."""
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut off: times are kept in milliseconds.
        return pc.cast(column, pa.timestamp("us", kind.tz), safe=False)
    return column


def odd_rows(name: str, column: Any) -> dict[int, str]:
    """Row -> why its value can be neither read nor shown."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    kind = column.type
    if pa.types.is_timestamp(kind):
        moments = column.cast(pa.int64())
        scale = _PER_SECOND[kind.unit]
        # Nanoseconds end before: 64 bits hold the years 1677 to 2262.
        is_odd = pc.or_(
            pc.less(moments, _FIRST_SECOND * scale), pc.greater(moments, _LAST_SECOND * scale)
        )
        return {
            int(row): f"{name} {moments[row].as_py()} {kind.unit} is not between 2000 and 2100"
            for row in np.flatnonzero(pc.fill_null(is_odd, False))
        }
    if _is_string(kind):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            return {
                row: f"{name} is not UTF-8 text"
                for row, value in enumerate(column)
                if value.is_valid and not _is_text(value)
            }
    return {}


def record(table: Any, row: int) -> str:
    """A row as JSON, cut to 16 KiB."""
    values = {name: _shown(table[name][row]) for name in table.column_names}
    return record_text(msgspec.json.encode(values))


def _shown(value: Any) -> Any:
    """A value as JSON can say it; odd ones as their number or with hex escapes."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        if hasattr(value, "as_buffer"):
            return record_text(value.as_buffer().to_pybytes())
        return value.value


def _is_string(kind: Any) -> bool:
    return any(is_kind(kind) for is_kind in _READ[:3])


def _is_text(value: Any) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
