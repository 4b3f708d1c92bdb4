"""Importing a shop's catalog: which category each item belongs to.

Files are read, mapped and their bad rows refused as those of orders are.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import pyarrow as pa
from msgspec import Meta

from pipelines.io.bad_rows import rejects_of
from pipelines.io.checked_rows import first_set, group_rows, missing, parse_files
from pipelines.io.given_files import given_files, import_digest
from pipelines.io.given_values import check_text, text_parser
from pipelines.io.items import merge_items
from pipelines.io.layout import Layout
from pipelines.io.quarantine import write_rejects
from pipelines.io.row_files import ENDINGS, read_rows
from pipelines.kernels.columns import group_starts
from schemas.batches import ITEMS
from schemas.durable import remove_stale
from schemas.errors import AuditError
from schemas.home import Home

ORIGIN = "import-items"
_NO_MAPPING: Mapping[str, str] = MappingProxyType({})
# As long as a key of the databases' tables may be.
_Category = Annotated[str, Meta(min_length=1, max_length=256)]


def _required(_chosen: Collection[str]) -> Iterator[tuple[str, ...]]:
    yield from (("item_id",), ("item_category",))


LAYOUT = Layout(
    # Behind GA4's names those of Merchant Center's feeds, in files and as people type them.
    {"item_id": ("id",), "item_category": ("product_type", "product type")},
    _required,
)


@dataclass(frozen=True)
class ImportedItems:
    """What an import did: read == rows + quarantined, always.

    `items` are those of the good `rows`; `catalog` counts those that have a category now.
    """

    read: int
    rows: int
    items: int
    quarantined: int
    catalog: int


def import_items(
    home: Home,
    files: Sequence[Path],
    *,
    site: str,
    mapping: Mapping[str, str] = _NO_MAPPING,
    now_ms: int | None = None,
) -> ImportedItems:
    """Merges files into a site's catalog; bad rows go to quarantine and spare their neighbours.

    An item without a category leaves the catalog. Importing the same files again changes nothing.

    Args:
      home: the home directory, with `pinsphere.toml`.
      files: CSV, JSON lines or Parquet.
      site: id of the site the items belong to.
      mapping: own column -> the file's: {"item_category": "department"}.
      now_ms: UTC epoch milliseconds that bad rows are received at; now by default.

    Raises:
      UsageError: unknown site, no such file, a required or mapped column is missing.
      LakeError: the catalog that is there cannot be read.
      OSError: the disk refused.
    """
    home.settings().site(site)
    given = given_files(files, ENDINGS)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    # Not the name that an import of orders gives the same files.
    name = f"import-items-{import_digest(given, site, mapping)[:16]}"

    parts = [read_rows(file, LAYOUT, mapping) for file in given]
    rows = parse_files(
        parts,
        {
            "item_id": (text_parser("item_id"), pa.string()),
            "item_category": (_category, pa.string()),
        },
    )
    rows.drop(~rows.is_set("item_id"), missing("item_id"))
    group_rows(rows, "item_id", {"item_category": "category"})
    starts = group_starts(rows.ints("group"))
    first = first_set(rows.codes("item_category"), starts)
    category = pa.array(first, mask=first == rows.table.num_rows)
    items = pa.table(
        [rows.table["item_id"].take(pa.array(starts)), rows.table["item_category"].take(category)],
        schema=ITEMS,
    )
    read = sum(len(part.lines) + len(part.broken) for part in parts)
    if read != rows.table.num_rows + len(rows.faults):
        raise AuditError(f"an import of {name} lost or doubled rows: {read} read")

    faults = sorted(rows.faults)
    rejects = rejects_of(given, LAYOUT, mapping, faults, site=site, now_ms=now_ms, origin=ORIGIN)
    kept = set(write_rejects(home, rejects, name))
    catalog = merge_items(home, site, items)
    remove_stale(home.quarantine, f"site={site}/date=*/{name}.jsonl", kept)
    return ImportedItems(read, rows.table.num_rows, len(starts), len(faults), catalog)


def _category(value: object) -> str | None:
    """A category as it is written, without spaces around it; none when nothing is left."""
    text = str(value).strip()
    return check_text("item_category", text, _Category) if text else None
