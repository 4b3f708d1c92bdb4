"""The shuffle: columnar pieces in files, references to them through Beam.

An element is `(shard, Piece)`: which dataset, where its rows lie in which file, and whether
they are added or taken back. Beam groups the small references; the rows never pass through it.
A file has a name of its own and is complete before its reference leaves the bundle, so a
retried bundle cannot spoil one.

A file is an Arrow stream, one record batch a shard, and is read at the batch that is wanted:
to parse the schema and footer of a file for each of thousands of pieces takes longer than to
read their rows.
"""

import dataclasses
import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.kernels.columns import Ints, Tables, sort_by
from pipelines.kernels.hashing import hash_rows

Step = Callable[[Tables], Tables]
RESULTS_TAG, TALLY_TAG = "results", "tally"
# What is kept has half of the bytes, and takes no longer to write and read.
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


class Piece(NamedTuple):
    """A reference to rows of one dataset in one shard."""

    dataset: str
    path: str
    start: int  # bytes
    size: int
    rows: int
    is_removal: bool = False


class Route(NamedTuple):
    """Where a dataset goes next: a stage, by the hash of these key columns.

    sums: the measures of a dataset whose rows are parts to be added up.
    is_row_wise: what the stage makes of a row depends on that row and on the stage's other
      datasets of the same key, not on other rows of this dataset.
    """

    stage: str
    keys: tuple[str, ...]
    schema: pa.Schema
    sums: tuple[str, ...] = ()
    is_row_wise: bool = False

    def key_of(self, table: pa.Table) -> Ints:
        """[rows] hash by which rows meet."""
        return hash_rows(*(table[name] for name in self.keys)).view(np.int64)


class PastRun(NamedTuple):
    """An earlier run: its folder, and the number of its shards."""

    folder: str
    shards: int


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """One run's shuffle: where pieces lie, how many shards, and who gets which dataset.

    folder: where pieces stay, and what `pipelines.transforms.past` notes of them.
    results_folder: where result files go.
    shards: a power of two, so that a shard of any run is some shards of a run with more of
      them, and a part of one shard of a run with fewer.
    earlier: the runs that this one continues, oldest first; none: a full run.
    """

    folder: str
    results_folder: str
    shards: int
    routes: Mapping[str, Route]
    results: Mapping[str, tuple[pa.Schema, tuple[str, ...]]]
    stages: tuple[str, ...]
    earlier: tuple[PastRun, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a number of shards that is no power of two."""
        if self.shards < 1 or self.shards & (self.shards - 1):
            raise ValueError(f"{self.shards} shards, not a power of two")

    def later(self, stage: str) -> tuple[str, ...]:
        """The stages after one."""
        return self.stages[self.stages.index(stage) + 1 :]

    def given(self, stage: str) -> dict[str, Route]:
        """What a stage is given."""
        return {name: route for name, route in self.routes.items() if route.stage == stage}

    def conform(self, name: str, table: pa.Table) -> pa.Table:
        """A table in the schema of its dataset or result.

        Raises:
          KeyError: it is neither.
        """
        schema = self.results[name][0] if name in self.results else self.routes[name].schema
        return table.select(schema.names).cast(schema)


def scatter(
    shuffle: Shuffle, tables: Tables, *, is_removal: bool = False
) -> Iterator[tuple[str, tuple[int, Piece]]]:
    """Writes routed datasets by shard and results whole; gives (tag, (shard, piece)).

    Raises:
      KeyError: a table that is neither routed nor a result.
    """
    for name, table in tables.items():
        if len(table) == 0:
            continue
        rows = shuffle.conform(name, table)
        if name in shuffle.results:
            yield RESULTS_TAG, (0, _write_result(shuffle, name, rows, is_removal=is_removal))
            continue
        route = shuffle.routes[name]
        for shard, piece in _write_pieces(shuffle, name, route, rows):
            yield route.stage, (shard, piece._replace(is_removal=is_removal))


def written(references: Iterable[tuple[str, tuple[int, Piece]]]) -> Iterator[tuple[str, Any]]:
    """What `scatter` gives, and with each routed piece its rows for the run's tally."""
    for tag, reference in references:
        yield tag, reference
        if tag != RESULTS_TAG:
            yield TALLY_TAG, (reference[1].dataset, reference[1].rows)


def gather(pieces: Iterable[Piece], routes: Mapping[str, Route]) -> Tables:
    """Reads a shard's pieces: one table for each dataset, empty where none came.

    Raises:
      ValueError: a piece does not hold the rows its reference promises.
    """
    found: dict[str, list[pa.RecordBatch]] = {name: [] for name in routes}
    for piece in sorted(pieces):
        found[piece.dataset].append(read_piece(piece, routes[piece.dataset]))
    return {
        name: pa.Table.from_batches(batches, routes[name].schema).combine_chunks()
        for name, batches in found.items()
    }


def read_piece(piece: Piece, route: Route) -> pa.RecordBatch:
    """The rows of a piece.

    Raises:
      ValueError: it does not hold the rows its reference promises.
    """
    with Path(piece.path).open("rb") as file:
        file.seek(piece.start)
        batch = pa.ipc.read_record_batch(pa.py_buffer(file.read(piece.size)), route.schema)
    if batch.num_rows != piece.rows:
        raise ValueError(
            f"{piece.path} from byte {piece.start}: {batch.num_rows} rows, not {piece.rows}"
        )
    return batch


def _write_pieces(
    shuffle: Shuffle, name: str, route: Route, rows: pa.Table
) -> list[tuple[int, Piece]]:
    """Writes one file with a batch for each shard that has rows."""
    key = route.key_of(rows).view(np.uint64)
    shard = (key % np.uint64(shuffle.shards)).astype(np.uint16)  # numpy counts what is small
    order = np.argsort(shard, kind="stable")
    rows = rows.take(pa.array(order))
    edges = np.cumsum([0, *np.bincount(shard, minlength=shuffle.shards)])
    path = _new_file(Path(shuffle.folder, "pieces"), name, "arrow")
    pieces: list[tuple[int, Piece]] = []
    with (
        pa.OSFile(path, "wb") as file,
        pa.ipc.new_stream(file, route.schema, options=_COMPRESSED) as writer,
    ):
        # Whatever batch is first comes with the schema: let it be one that nobody reads.
        writer.write_batch(pa.RecordBatch.from_pylist([], route.schema))
        for number, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
            if high > low:
                start = file.tell()
                # Combined: of a slice of lists all of their values would be written.
                writer.write_batch(rows.slice(low, high - low).combine_chunks().to_batches()[0])
                pieces.append((number, Piece(name, path, start, file.tell() - start, high - low)))
    return pieces


def _write_result(shuffle: Shuffle, name: str, rows: pa.Table, *, is_removal: bool) -> Piece:
    path = _new_file(Path(shuffle.results_folder), name, "parquet")
    # In the order of its key, so that a database appends instead of searching for places.
    pq.write_table(sort_by(rows, *shuffle.results[name][1]), path, compression="zstd")
    return Piece(name, path, 0, 0, len(rows), is_removal)


def _new_file(folder: Path, name: str, ending: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return os.fspath(folder / f"{name}-{uuid.uuid4().hex}.{ending}")
