"""What stages that look at whole sites said last: the old half of a difference, kept.

A site is one key: the graph of its pinners, its fan club. Nearly every run touches it, and to
compute what the step said of it before takes as long as what it says now. So that is kept: one
file for each stage and site, in the folder of the newest run. A run begins with links to the
files of the run before, and puts others in place of those that it changes.
"""

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, flat
from pipelines.transforms.shuffle import Shuffle

_ANSWERS = "answers"
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Answers:
    """The answers of one stage, if it is one of whole sites; else none is known, none is kept."""

    def __init__(self, shuffle: Shuffle, stage: str) -> None:
        self._shuffle, self._stage = shuffle, stage
        self._route, *others = shuffle.given(stage).values()
        is_of_sites = all(route.keys == ("site_id",) for route in (self._route, *others))
        self.is_kept = is_of_sites and shuffle.is_kept

    def are_known(self, sites: Ints) -> bool:
        """Whether it is known what the step said of these sites in the newest earlier run.

        Args:
          sites: [sites] their keys.
        """
        if not (self.is_kept and self._shuffle.earlier and len(sites)):
            return False
        return all(file.exists() for file in self._last_files(sites))

    def last(self, sites: Ints) -> Tables:
        """What the step said of these sites, of which it is known."""
        answers = [_read(file) for file in self._last_files(sites)]
        return {
            name: pa.concat_tables([answer[name] for answer in answers if name in answer])
            for name in {name for answer in answers for name in answer}
        }

    def keep(self, sites: Ints, answer: Tables) -> None:
        """Keeps what the step says of these sites now; the same again is the same file.

        Args:
          sites: [sites] their keys.
          answer: all that it says, in the schemas of the results.
        """
        keys = {name: self._route.key_of(table) for name, table in answer.items()}
        for site in sites.tolist():
            rows = {name: _of_key(table, keys[name], site) for name, table in answer.items()}
            _write(self._file(self._shuffle.folder, site), rows)

    def _last_files(self, sites: Ints) -> list[Path]:
        folder = self._shuffle.earlier[-1].folder
        return [self._file(folder, site) for site in sites.tolist()]

    def _file(self, folder: str, site: int) -> Path:
        return Path(folder, _ANSWERS, f"{self._stage}-{np.uint64(np.int64(site)):016x}.arrow")


def carry_answers(shuffle: Shuffle) -> None:
    """Links the answers of the newest earlier run into this one's folder."""
    own = Path(shuffle.folder, _ANSWERS)
    own.mkdir(parents=True, exist_ok=True)
    for run in shuffle.earlier[-1:]:
        for file in Path(run.folder, _ANSWERS).glob("*.arrow"):
            (own / file.name).hardlink_to(file)


def drop_answers(folders: Iterable[str]) -> None:
    """Removes the answers of runs that are not the newest: nobody asks for them again."""
    for folder in folders:
        shutil.rmtree(Path(folder, _ANSWERS), ignore_errors=True)


def _of_key(table: pa.Table, keys: Ints, key: int) -> pa.Table:
    is_own = keys == key
    # Most installations have one site: no copy of all that is said of it.
    return table if is_own.all() else table.filter(pa.array(is_own))


def _write(file: Path, tables: Tables) -> None:
    """A row whose columns are the tables, as lists of their rows."""
    columns = {
        name: pa.ListArray.from_arrays(
            pa.array([0, len(table)], pa.int32()), flat(table.to_struct_array())
        )
        for name, table in tables.items()
    }
    row = pa.record_batch(columns)
    aside = file.with_name(f".{uuid.uuid4().hex}")
    with (
        pa.OSFile(os.fspath(aside), "wb") as sink,
        pa.ipc.new_file(sink, row.schema, options=_PACKED) as writer,
    ):
        writer.write_batch(row)
    aside.replace(file)


def _read(file: Path) -> Tables:
    with pa.OSFile(os.fspath(file)) as source:
        row = pa.ipc.open_file(source).get_batch(0)
    return {
        name: pa.Table.from_struct_array(column.flatten())
        for name, column in zip(row.schema.names, row.columns, strict=True)
    }
