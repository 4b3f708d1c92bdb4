"""Fewer and larger files: the lake's files of one kind, site and past day become one.

The new file names those it replaces in its footer, and is placed whole by one rename. From that
moment `lake_files` leaves the old ones out, whether they are removed yet or not: killed at any
moment, no event is lost or counted twice.
"""

import datetime
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from pipelines.io.lake import (
    COMPACTED,
    REPLACED,
    LakeFile,
    lake_files,
    partitions,
    place_table,
    read_lake_file,
    remove_replaced,
    replaced_names,
)
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.home import Home
from schemas.lock import alone

# What an import wrote is replaced by its name when the same file is imported again.
_MERGED = (COMPACTED, "spool-", "pubsub-")


class Compacted(NamedTuple):
    """What a compaction did."""

    folders: int
    before: int
    after: int


def compact(home: Home, today: datetime.date | None = None) -> Compacted:
    """Merges the lake's files of each kind, site and UTC date before today, but imports.

    Memory holds the largest day of one kind. Who calls holds the run's lock.

    Args:
      home: the home directory.
      today: its date and later ones are left alone; by default it is what it is.

    Raises:
      LakeError: a file cannot be read; what was merged before stays so.
      OSError: the disk refused; nothing is lost.
    """
    day = (today or datetime.datetime.now(datetime.UTC).date()).isoformat()
    merged: Counter[str] = Counter()
    with alone(home.lake_lock), DurableFolder(home.lake) as lake:
        by_folder = itertools.groupby(lake_files(home), key=lambda file: file.path.parent)
        for folder, in_folder in by_folder:
            remove_replaced(lake, folder)
            files = [file for file in in_folder if file.path.name.startswith(_MERGED)]
            if files and files[0].date < day and len(files) > 1:
                merged["folders"] += 1
                merged["before"] += len(files)
                merged["after"] += _merge(lake, files)
    return Compacted(merged["folders"], merged["before"], merged["after"])


def _merge(lake: DurableFolder, files: Sequence[LakeFile]) -> int:
    table = pa.concat_tables(read_lake_file(file) for file in files)
    ((_, date, rows),) = partitions(table)
    if date != files[0].date:
        raise LakeError(f"{files[0].path.parent} holds events of {date}")
    names = sorted({name for file in files for name in (file.path.name, *_older(file))})
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=12).hexdigest()
    path = files[0].path.with_name(f"{COMPACTED}{digest}.parquet")
    replaces = json.dumps(names).encode()
    place_table(lake, path, rows.replace_schema_metadata({REPLACED: replaces}))
    lake.flush()  # the old ones go only when the new name is on the disk as well
    remove_replaced(lake, path.parent)
    return 1


def _older(file: LakeFile) -> list[str]:
    """What a file replaces itself: should a drain write that again, it is still replaced."""
    return replaced_names(file.path) if file.path.name.startswith(COMPACTED) else []
