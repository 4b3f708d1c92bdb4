"""Importing order lines from a shop's own files as `purchase` and `refund` events.

Columnar from file to lake: half a million lines take seconds. Importing the same files
again replaces what the first import wrote.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.io.bad_rows import rejects_of
from pipelines.io.checked_rows import CheckedRows, first_set, group_rows, group_sizes, occurrences
from pipelines.io.given_files import given_files, import_digest
from pipelines.io.lake import LakeWriter
from pipelines.io.order_rows import ORDERS, check_rows, limit_groups, name_lines
from pipelines.io.quarantine import write_rejects
from pipelines.io.row_files import ENDINGS, read_rows
from pipelines.kernels.columns import Ints, group_starts
from schemas.durable import remove_stale
from schemas.errors import AuditError
from schemas.events import SCHEMA_VERSION
from schemas.home import Home
from schemas.lake import lake_schema

ORIGIN = "import-orders"
_NO_MAPPING: Mapping[str, str] = MappingProxyType({})
_PEOPLE = {"customer_id": "customer", "visitor_id": "visitor", "currency": "currency"}
_REFUND_AGREES = {
    "order_id": "order",
    "kind": "kind",
    "form": "way of refunding (items or one amount)",
    **_PEOPLE,
}


@dataclass(frozen=True)
class Imported:
    """What an import did: read == lines + refund_lines + quarantined, always.

    `orders` and `refunds` are the events made of the good `lines` and `refund_lines`.
    """

    read: int
    orders: int
    lines: int
    refunds: int
    refund_lines: int
    quarantined: int


def import_orders(
    home: Home,
    files: Sequence[Path],
    *,
    site: str,
    mapping: Mapping[str, str] = _NO_MAPPING,
    now_ms: int | None = None,
) -> Imported:
    """Imports order lines into the lake; bad rows go to quarantine and spare their neighbours.

    Memory grows with the files: about 0.6 KB a line.

    Args:
      home: the home directory, with `pinsphere.toml`.
      files: CSV, JSON lines or Parquet; an order may be spread over them.
      site: id of the site the orders belong to; gives currency and time zone.
      mapping: own column -> the file's: {"order_id": "InvoiceNo"}.
      now_ms: UTC epoch milliseconds that the events are received at; now by default.

    Raises:
      SettingsError: unknown site, no such file, a required or mapped column is missing.
      OSError: the disk refused.
    """
    settings = home.settings().site(site)
    given = given_files(files, ENDINGS)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    digest = import_digest(given, site, mapping)
    name = f"import-{digest[:16]}"

    parts = [read_rows(file, ORDERS, mapping) for file in given]
    read = sum(len(part.lines) + len(part.broken) for part in parts)
    rows = check_rows(parts, settings.time_zone, now_ms)
    del parts
    name_lines(rows)
    sales, refunds = _sales(rows), _refunds(rows)
    faults = sorted({*rows.faults, *sales.faults, *refunds.faults})

    envelope = _Envelope(digest, site, now_ms, settings.currency)
    purchase_table = _purchase_table(sales, envelope)
    refund_table = _refund_table(refunds, envelope, first=purchase_table.num_rows)
    imported = Imported(
        read=read,
        orders=purchase_table.num_rows,
        lines=sales.table.num_rows,
        refunds=refund_table.num_rows,
        refund_lines=refunds.table.num_rows,
        quarantined=len(faults),
    )
    if imported.read != imported.lines + imported.refund_lines + imported.quarantined:
        raise AuditError(f"an import of {name} lost or doubled rows: {imported}")

    rejects = rejects_of(given, ORDERS, mapping, faults, site=site, now_ms=now_ms, origin=ORIGIN)
    kept = set(write_rejects(home, rejects, name))
    with LakeWriter(home) as lake:
        lake.write("purchase", purchase_table, name)
        lake.write("refund", refund_table, name)
    remove_stale(home.lake, f"*/site={site}/date=*/{name}.parquet", {f.path for f in lake.files})
    remove_stale(home.quarantine, f"site={site}/date=*/{name}.jsonl", kept)
    return imported


def _sales(rows: CheckedRows) -> CheckedRows:
    """Rows of purchases, grouped by order."""
    sales = CheckedRows(rows.table.filter(pc.invert(rows.table["is_refund"])))
    group_rows(sales, "order_id", _PEOPLE)
    sales.drop(
        occurrences(sales.codes("group", "line_id")) > 1,
        lambda row: f"order {row['order_id']!r} names line_id {row['line_id']!r} twice",
    )
    limit_groups(sales, "order_id")
    return sales


def _refunds(rows: CheckedRows) -> CheckedRows:
    """Rows of refunds, grouped by refund; each is by items or by one amount, never both."""
    refunds = CheckedRows(rows.table.filter(rows.table["is_refund"]))
    # Named after its time: later returns are refunds of their own, the same file is the same.
    moment = refunds.table["ordered_at"].cast(pa.string())
    made = pc.binary_join_element_wise("refund", refunds.table["order_id"], moment, ":")
    refunds.add("refund_id", pc.coalesce(refunds.table["refund_id"], made))
    refunds.drop(
        pc.greater(pc.utf8_length(refunds.table["refund_id"]), 128).to_numpy(),
        lambda row: f"refund_id {row['refund_id']!r} is longer than 128 characters",
    )
    refunds.add("form", pc.if_else(_is_whole(refunds.table), "amount", "items"))
    group_rows(refunds, "refund_id", _REFUND_AGREES)
    limit_groups(refunds, "refund_id")
    return refunds


def _is_whole(table: pa.Table) -> Any:
    """[rows] whether a refund row is an amount of the order rather than of a line."""
    return pc.and_(table["item_id"].is_null(), table["line_id"].is_null())


@dataclass(frozen=True)
class _Envelope:
    digest: str
    site: str
    now_ms: int
    currency: str

    def columns(self, rows: CheckedRows, starts: Ints, first: int) -> dict[str, Any]:
        """The envelope of one event a group, numbered from `first`."""
        ordinals = pa.array(np.arange(first, first + len(starts))).cast(pa.string())
        times = rows.ints("ordered_at")
        columns = {
            "event_id": pc.binary_join_element_wise(self.digest[:24], ordinals, "-"),
            # One order may carry several times; it began at the earliest.
            "event_time_ms": np.minimum.reduceat(times, starts) if len(starts) else times,
        }
        constants = {
            "schema_version": SCHEMA_VERSION,
            "site_id": self.site,
            "source": "file",
            "received_time_ms": self.now_ms,
            "user_agent_class": "human",
            "consent": "unknown",
            "is_signed": True,
        }
        columns |= {name: _repeat(value, len(starts)) for name, value in constants.items()}
        for name in ("order_id", "customer_id", "visitor_id"):
            columns[name] = _first(rows, name, starts)
        columns["currency"] = pc.fill_null(_first(rows, "currency", starts), self.currency)
        return columns


def _purchase_table(rows: CheckedRows, envelope: _Envelope) -> pa.Table:
    """[orders] `purchase` events in the lake's schema."""
    starts = group_starts(rows.ints("group"))
    columns = envelope.columns(rows, starts, 0)
    for name in ("tax_micros", "shipping_micros", "discount_micros"):
        columns[name] = np.zeros(len(starts), np.int64)
    sold = {
        "item_id": rows.table["item_id"],
        "quantity": rows.table["quantity"],
        "price_micros": rows.table["price"],
        "discount_micros": rows.table["discount"],
        "line_id": rows.table["line_id"],
    }
    columns["items"] = _items("purchase", sold, np.append(starts, rows.table.num_rows))
    return _in_schema("purchase", columns, len(starts))


def _refund_table(rows: CheckedRows, envelope: _Envelope, first: int) -> pa.Table:
    """[refunds] `refund` events in the lake's schema, numbered from `first`."""
    starts = group_starts(rows.ints("group"))
    columns = envelope.columns(rows, starts, first)
    columns["refund_id"] = _first(rows, "refund_id", starts)
    columns["kind"] = pc.fill_null(_first(rows, "kind", starts), "refund")
    is_whole = _is_whole(rows.table).to_numpy()
    amounts = pc.fill_null(rows.table["value_micros"], 0).to_numpy()
    totals = np.add.reduceat(amounts, starts) if len(starts) else amounts
    columns["amount_micros"] = pa.array(totals, mask=~is_whole[starts])
    by_item = pa.array(~is_whole)
    given_back = {
        "line_id": rows.table["line_id"].filter(by_item),
        "item_id": rows.table["item_id"].filter(by_item),
        "quantity": pc.abs(rows.table["quantity"].filter(by_item)),
        "amount_micros": rows.table["value_micros"].filter(by_item),
    }
    sizes = np.where(is_whole[starts], 0, group_sizes(starts, rows.table.num_rows))
    columns["items"] = _items("refund", given_back, np.append(0, np.cumsum(sizes)))
    return _in_schema("refund", columns, len(starts))


def _items(event_name: str, columns: Mapping[str, Any], offsets: Ints) -> Any:
    """[events] lists of structs: the rows between neighbouring offsets."""
    kind = lake_schema(event_name).field("items").type
    parts = [_chunk(columns[item.name]) for item in kind.value_type]
    structs = pa.StructArray.from_arrays(parts, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs, type=kind)


def _in_schema(event_name: str, columns: Mapping[str, Any], rows: int) -> pa.Table:
    schema = lake_schema(event_name)
    arrays = [
        _chunk(columns[item.name]) if item.name in columns else pa.nulls(rows, item.type)
        for item in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _first(rows: CheckedRows, name: str, starts: Ints) -> Any:
    """[groups] the first value of a column that is set in each group, else null."""
    first = first_set(rows.codes(name), starts)
    places = pa.array(first, mask=first == rows.table.num_rows)
    return _chunk(rows.table[name]).take(places)


def _repeat(value: Any, times: int) -> Any:
    return pa.repeat(pa.scalar(value), times)


def _chunk(values: Any) -> Any:
    """One Arrow array of a column, an array or a numpy array."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    return pa.array(values) if isinstance(values, np.ndarray) else values
