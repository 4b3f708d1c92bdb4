"""The lake: Parquet by event name, site and UTC date, placed whole and durably.

``<home>/lake/<event_name>/site=<id>/date=<YYYY-MM-DD>/<file>.parquet``. The date is that of
the derived event time: what the sender's clock said, corrected by how wrong it was when it
sent. Files whose names begin with a dot are unfinished and belong to nobody.
"""

import functools
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.kernels.calendar import derived_time_ms
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.events import EVENTS
from schemas.ids import is_site_id
from schemas.lake import lacking_columns, lake_schema
from schemas.settings import Home

DAY_MS = 86_400_000


@dataclass(frozen=True, order=True, slots=True)
class LakeFile:
    """One file of the lake and what its place says about every row in it."""

    event_name: str
    site_id: str
    date: str
    path: Path
    size: int

    @property
    def place(self) -> str:
        """Its path relative to the lake: the same in every copy of the home directory."""
        return f"{self.event_name}/site={self.site_id}/date={self.date}/{self.path.name}"


class LakeWriter:
    """Writes tables of events into the lake; durable when the `with` block ends well."""

    def __init__(self, home: Home) -> None:
        self.files: list[LakeFile] = []
        self._lake = home.lake
        self._folder = DurableFolder(home.lake)

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Flushes the names of the files; not when the block failed."""
        self._folder.__exit__(kind, error, at)

    def write(self, event_name: str, table: pa.Table, name: str) -> None:
        """Writes events of one name as `<name>.parquet`, one file a site and date.

        A file of that name is replaced. Rows are ordered by derived time, then event id,
        then as given, so equal tables make equal files.

        Args:
          event_name: one of `schemas.events.EVENTS`.
          table: [events] in `lake_schema(event_name)`.
          name: file name without its ending; must say which input the rows came from.

        Raises:
          LakeError: the table has another schema, or a site that cannot name a folder.
          OSError: the disk refused.
        """
        if not table.schema.equals(lake_schema(event_name)):
            raise LakeError(f"a table for {event_name!r} has another schema: {table.schema}")
        for site_id, date, rows in _partitions(table):
            path = self._lake / event_name / f"site={site_id}" / f"date={date}" / f"{name}.parquet"
            size = self._folder.place(
                path, functools.partial(pq.write_table, rows, compression="zstd")
            )
            self.files.append(LakeFile(event_name, site_id, date, path, size))


def lake_files(home: Home) -> list[LakeFile]:
    """All finished files of the lake, sorted by event name, site, date and file name.

    Raises:
      LakeError: a folder is named after an event this release does not know.
    """
    files = []
    for path in home.lake.glob("*/site=*/date=*/*.parquet"):
        event_name, site, date = (folder.name for folder in reversed(path.parents[:3]))
        if path.name.startswith(".") or event_name.startswith((".", "_")):
            continue
        if event_name not in EVENTS:
            raise LakeError(
                f"{path}: unknown event name {event_name!r}; this release reads"
                f" {', '.join(sorted(EVENTS))}"
            )
        files.append(
            LakeFile(
                event_name,
                site.removeprefix("site="),
                date.removeprefix("date="),
                path,
                path.stat().st_size,
            )
        )
    return sorted(files)


def count_rows(file: LakeFile) -> int:
    """Rows of a file of the lake.

    Raises:
      LakeError: it is not what its place says.
    """
    try:
        metadata = pq.read_metadata(file.path)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{file.path} is no readable Parquet file: {error}") from None
    lacking = lacking_columns(file.event_name, metadata.schema.to_arrow_schema().names)
    if lacking:
        raise LakeError(f"{file.path} lacks columns of {file.event_name}: {', '.join(lacking)}")
    return int(metadata.num_rows)


def file_digest(path: Path) -> str:
    """Hex digest (blake2b, 32 bytes) of a file's bytes, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _partitions(table: pa.Table) -> Sequence[tuple[str, str, pa.Table]]:
    """(site, date, its rows) for each site and date, each one slice of one sorted table."""
    if table.num_rows == 0:
        return []
    derived = derived_time_ms(table)
    keys = pa.table(
        {"site_id": table["site_id"], "derived": derived, "event_id": table["event_id"]}
    )
    order = pc.sort_indices(
        keys, sort_keys=[(name, "ascending") for name in ("site_id", "derived", "event_id")]
    )
    table = table.take(order)
    days = derived[order.to_numpy()] // DAY_MS
    sites: Any = table["site_id"].combine_chunks().dictionary_encode()
    codes = sites.indices.to_numpy()
    is_first = np.r_[True, (np.diff(days) != 0) | (np.diff(codes) != 0)]
    starts = np.append(np.flatnonzero(is_first), len(days)).tolist()
    names = sites.dictionary.to_pylist()
    for site_id in names:
        if not is_site_id(site_id):
            raise LakeError(f"site {site_id!r} is not 1-63 characters of a-z 0-9 - _")
    return [
        (
            names[codes[start]],
            str(np.datetime64(int(days[start]), "D")),
            table.slice(start, end - start),
        )
        for start, end in itertools.pairwise(starts)
    ]
