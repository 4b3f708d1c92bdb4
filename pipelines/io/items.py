"""The catalog: which category each item of a shop belongs to.

``<home>/items/site=<id>.parquet``, one row an item, sorted by item id. Events name items only,
so whatever is told by category is a function of the lake and of this file.
"""

import contextlib
import functools
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.io.lake import file_digest
from schemas.batches import ITEMS
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.home import Home
from schemas.lock import alone


def merge_items(home: Home, site: str, items: pa.Table) -> int:
    """Puts items into a site's catalog durably; gives how many it has then.

    Items that are in it already take the new category, or leave it where that is null; all
    others stay. Whoever reads meanwhile has the file before or after, whole.

    Args:
      home: the home directory.
      site: id of the site.
      items: [items] ITEMS, each item once.

    Raises:
      LakeError: the catalog that is there cannot be read.
      OSError: the disk refused.
    """
    path = _path(home, site)
    with alone(home.path / "items.lock"), DurableFolder(home.items) as folder:
        there = read_items(path) if path.exists() else ITEMS.empty_table()
        is_old = pc.is_in(there["item_id"], value_set=items["item_id"].combine_chunks())
        merged = pa.concat_tables([there.filter(pc.invert(is_old)), items.cast(ITEMS)])
        merged = merged.filter(pc.is_valid(merged["item_category"])).sort_by("item_id")
        # In one chunk: equal catalogs must be equal files, whatever they were merged from.
        write = functools.partial(pq.write_table, merged.combine_chunks(), compression="zstd")
        folder.place(path, write)
    return len(merged)


def read_items(path: Path) -> pa.Table:
    """[items] ITEMS of one catalog.

    Raises:
      LakeError: it is not a catalog.
    """
    try:
        return pq.ParquetFile(path).read().select(ITEMS.names).cast(ITEMS)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise LakeError(
            f"{path} is not a catalog of items: {error}; remove it and import the items again"
        ) from None


def keep_items(home: Home, sites: Iterable[str], folder: Path) -> dict[str, str]:
    """Site -> its catalog as it is now, kept in a run's folder against what is imported later.

    The files are named by their digests: one path never means two catalogs, so that a worker may
    remember what it read.

    Raises:
      LakeError: a catalog cannot be read.
      OSError: the disk refused.
    """
    kept = {}
    for site in sites:
        path, copy = _path(home, site), folder / "items" / f"site={site}.parquet"
        if not path.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another file system, or one without links
            copy.hardlink_to(path)
        if not copy.exists():
            shutil.copyfile(path, copy)
        read_items(copy)
        kept[site] = str(copy.rename(copy.with_name(f"{file_digest(copy)}.parquet")))
    return kept


def items_digests(items: Mapping[str, str]) -> dict[str, str]:
    """Site -> digest of its catalog, of what `keep_items` gave."""
    return {site: Path(path).stem for site, path in items.items()}


def _path(home: Home, site: str) -> Path:
    return home.items / f"site={site}.parquet"
