"""The lake's Arrow schemas, derived from the event structs, and events as Arrow tables.

A money field `price` becomes an int64 column `price_micros`; nothing else changes name.
"""

import functools
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa

from schemas.events import EVENTS, AnyEvent, Purchase, line_ids_of
from schemas.money import parse_money

# Columns that files of earlier releases lack; they are read as null.
ADDED_COLUMNS = frozenset({"network_hash", "updated_time_ms"})
_SCALARS = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), float: pa.float64()}


@functools.cache
def lake_schema(event_name: str) -> pa.Schema:
    """Arrow schema of the lake's files for one event name."""
    return pa.schema([_arrow_field(field) for field in _fields(EVENTS[event_name])])


def lacking_columns(event_name: str, names: Iterable[str]) -> list[str]:
    """What a file of these columns lacks that it should have had on the day it was written."""
    return sorted(set(lake_schema(event_name).names) - set(names) - ADDED_COLUMNS)


def to_table(event_name: str, events: Sequence[AnyEvent]) -> pa.Table:
    """[rows = events] one event name's checked events as an Arrow table."""
    schema = lake_schema(event_name)
    rows = []
    for event in events:
        row = _to_row(event)
        if isinstance(event, Purchase):
            for item, line_id in zip(row["items"], line_ids_of(event), strict=True):
                item["line_id"] = line_id
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def _to_row(struct: msgspec.Struct) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, is_money in _plan(type(struct)):
        value = getattr(struct, name)
        if is_money:
            row[f"{name}_micros"] = None if value is None else parse_money(value)
        elif isinstance(value, list):
            row[name] = [_to_row(item) for item in value]
        else:
            row[name] = value
    return row


@functools.cache
def _plan(struct: type[msgspec.Struct]) -> list[tuple[str, bool]]:
    return [(name, is_money) for name, _, is_money, _ in _fields(struct)]


def _fields(struct: type[msgspec.Struct]) -> list[tuple[str, Any, bool, bool]]:
    """(name, bare type, is money, is nullable) of each field, in the struct's order."""
    hints = get_type_hints(struct, include_extras=True)
    return [(name, *_bare(hints[name])) for name in struct.__struct_fields__]


def _bare(hint: Any) -> tuple[Any, bool, bool]:
    """Peels Annotated and `| None` off a type hint."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        bare, is_money, is_nullable = _bare(inner)
        marked = any((getattr(meta, "extra", None) or {}).get("money") for meta in metas)
        return bare, is_money or marked, is_nullable
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        bare, is_money, _ = _bare(inner)
        return bare, is_money, True
    return hint, False, False


def _arrow_field(field: tuple[str, Any, bool, bool]) -> pa.Field:
    name, bare, is_money, is_nullable = field
    if is_money:
        return pa.field(f"{name}_micros", pa.int64(), is_nullable)
    if get_origin(bare) is Literal:
        return pa.field(name, pa.string(), is_nullable)
    if get_origin(bare) is list:
        (item,) = get_args(bare)
        struct = pa.struct([_arrow_field(part) for part in _fields(item)])
        return pa.field(name, pa.list_(pa.field("item", struct, False)), is_nullable)
    return pa.field(name, _SCALARS[bare], is_nullable)
