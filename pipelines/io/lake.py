"""The lake: Parquet by event name, site and UTC date, placed whole and durably.

``<home>/lake/<event_name>/site=<id>/date=<YYYY-MM-DD>/<file>.parquet``. The date is that of
the derived event time: what the sender's clock said, corrected by how wrong it was when it
sent. Files whose names begin with a dot are unfinished and belong to nobody.
"""

import contextlib
import functools
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.io.erased import read_erased
from pipelines.kernels.calendar import derived_time_ms
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.events import EVENTS
from schemas.home import Home
from schemas.ids import is_site_id
from schemas.lake import ADDED_COLUMNS, lacking_columns, lake_schema
from schemas.lock import together

DAY_MS = 86_400_000
# How the name of a compacted file begins, and under what its footer names those it replaces.
COMPACTED = "compact-"
REPLACED = b"pinsphere_replaces"
# Texts of which nearly every one is another: to hold each once would be more work and no smaller.
_MANY = ("event_id", "visitor_id", "session_id", "network_hash", "pin_id")


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
    """Writes tables of events into the lake; durable when the `with` block ends well.

    Everything that enters the lake comes through here, so here late events of people who were
    erased lose their names (`pipelines.io.erased`).
    """

    def __init__(self, home: Home) -> None:
        self.files: list[LakeFile] = []
        self._home = home
        self._lake = home.lake
        self._folder = DurableFolder(home.lake)
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """The writer itself; an erasure at work is waited for."""
        self._held.enter_context(together(self._home.lake_lock))
        self._erased = read_erased(self._home)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Flushes the names of the files; not when the block failed."""
        with self._held:
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
        table = self._erased.without(event_name, table)
        for site_id, date, rows in partitions(table):
            path = self._lake / event_name / f"site={site_id}" / f"date={date}" / f"{name}.parquet"
            size = place_table(self._folder, path, rows)
            self.files.append(LakeFile(event_name, site_id, date, path, size))


def place_table(folder: DurableFolder, path: Path, table: pa.Table) -> int:
    """Writes one file of the lake durably, over an older one; gives its size in bytes."""
    return folder.place(path, functools.partial(write_parquet, table))


def write_parquet(table: pa.Table, path: Any) -> None:
    """Writes events of one name as a file of the lake: columns each as they are read soonest."""
    times = [name for name in table.column_names if name.endswith("_time_ms")]
    pq.write_table(
        table,
        path,
        compression="zstd",
        use_dictionary=[
            leaf
            for field in table.schema
            if field.name not in {*_MANY, *times}
            for leaf in _leaves(field)
        ],
        column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    )


def _leaves(field: pa.Field) -> list[str]:
    """A field's columns as Parquet names them."""
    if not pa.types.is_list(field.type):
        return [field.name]
    return [f"{field.name}.list.element.{part.name}" for part in field.type.value_type]


def read_lake_file(file: LakeFile) -> pa.Table:
    """[events] one file in the schema of its event name; columns of later releases are null.

    Raises:
      LakeError: it is not Parquet, or has not the columns of its event name.
    """
    schema = lake_schema(file.event_name)
    try:
        table = pq.ParquetFile(file.path).read()
        for name in ADDED_COLUMNS.intersection(schema.names).difference(table.column_names):
            column = schema.field(name)
            table = table.append_column(column, pa.nulls(table.num_rows, column.type))
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise LakeError(f"{file.path} is not a lake file of {file.event_name!r}: {error}") from None


def lake_files(home: Home) -> list[LakeFile]:
    """All finished files of the lake, sorted by event name, site, date and file name.

    Files that a compacted one beside them replaces are not among them.

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
    return sorted(_standing(files))


def _standing(files: Iterable[LakeFile]) -> Iterator[LakeFile]:
    """Leaves out what a compaction has merged already, and was killed before it removed it."""
    folders: defaultdict[Path, list[LakeFile]] = defaultdict(list)
    for file in files:
        folders[file.path.parent].append(file)
    for folder in folders.values():
        gone: set[str] = set()
        for file in folder if len(folder) > 1 else ():
            if file.path.name.startswith(COMPACTED):
                gone.update(replaced_names(file.path))
        yield from (file for file in folder if file.path.name not in gone)


def replaced_names(path: Path) -> list[str]:
    """Names of the files that a compacted one was merged from; it says them in its footer.

    Raises:
      LakeError: it is not Parquet.
    """
    try:
        names = (pq.read_metadata(path).metadata or {}).get(REPLACED)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{path} is no readable Parquet file: {error}") from None
    return [] if names is None else json.loads(names)


def remove_replaced(writer: DurableFolder, folder: Path) -> None:
    """Removes what a compacted file replaces and a kill has left; nobody may be writing."""
    compacted = list(folder.glob(f"{COMPACTED}*.parquet"))
    for name in {name for path in compacted for name in replaced_names(path)}:
        writer.remove(folder / name)


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


def partitions(table: pa.Table) -> Sequence[tuple[str, str, pa.Table]]:
    """(site, date, its rows) for each site and date, each one slice of one sorted table.

    Raises:
      LakeError: a site that cannot name a folder.
    """
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
