"""The shuffle: columnar pieces in files, references to them through Beam.

An element is `(shard, pieces)`: of each piece which dataset, where its rows lie in which file,
and whether they are added or taken back. Beam groups the small references; the rows never pass
through it. A file has a name of its own and is complete before its reference leaves the bundle,
so a retried bundle cannot spoil one.

On a cluster without storage that all workers share, `through = "runner"` puts the bytes of the
rows into the element instead, and leaves the rest to the runner.

A row travels with the 64-bit key by which it meets others (`KEY`): hashed once, where it sets
out, it decides the shard, and lets a step look only at rows that have company.

A file is an Arrow stream, one record batch a shard, and is read at the batches that are wanted,
opened once for all of them: to parse a schema for each of thousands of pieces takes longer than
to read their rows. Where nobody else will read it, it goes when its stage is done: the next stage
writes into memory that the kernel has at hand.
"""

import dataclasses
import functools
import itertools
import operator
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import CODES, Ints, Tables, ints, rows_at, sort_by
from pipelines.kernels.hashing import hash_rows
from pipelines.transforms.wanted import MADE_OF

Step = Callable[[Tables], Tables]
# Columns and key of a result table.
Result = tuple[pa.Schema, tuple[str, ...]]
Through = Literal["files", "runner"]
RESULTS_TAG, TALLY_TAG = "results", "tally"
# What is kept, or sent, takes half of the bytes; what is read at once and thrown away would
# take three times as long to write and to read.
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_PLAIN = pa.ipc.IpcWriteOptions(use_threads=False)
# To hand the columns of a small piece to Arrow's threads takes longer than to unpack them here.
_ALONE = pa.ipc.IpcReadOptions(use_threads=False)
# Rows of a batch of a result: one of each of up to 256 files is in memory when they are published.
_RESULT_ROWS = 2048
# The column of every dataset that holds the key of its route.
KEY = "shuffle_key"


class Piece(NamedTuple):
    """A reference to rows of one dataset in one shard."""

    dataset: str
    path: str
    start: int  # bytes
    size: int
    rows: int
    is_removal: bool = False
    data: bytes | None = None  # the rows themselves, where no storage is shared


Reference = tuple[int, tuple[Piece, ...]]  # a shard, and what is in it


class Route(NamedTuple):
    """Where a dataset goes next: a stage, by the hash of these key columns.

    keys: KEY alone for rows that keep the key with which they came.
    schema: the columns that travel; KEY is the last.
    sums: the measures of a dataset whose rows are parts to be added up; no part has only zeros,
      since such a part would vanish where parts are added up.
    is_row_wise: what the stage makes of a row depends on that row and on the stage's other
      datasets of the same key, not on other rows of this dataset.
    most_rows: a shard with more comes in parts, by people (`pipelines.transforms.parts`); 0 for
      what never does.
    """

    stage: str
    keys: tuple[str, ...]
    schema: pa.Schema
    sums: tuple[str, ...] = ()
    is_row_wise: bool = False
    most_rows: int = 0

    def key_of(self, table: pa.Table) -> Ints:
        """[rows] hash by which rows meet."""
        if self.keys == (KEY,):
            return ints(table[KEY])
        return hash_rows(*(table[name] for name in self.keys)).view(np.int64)

    def conform(self, table: pa.Table) -> pa.Table:
        """The table as its stage is given it: the columns that travel, and the key."""
        columns = [table[name] for name in self.schema.names[:-1]]
        named = pa.table([*columns, self.key_of(table)], names=self.schema.names)
        return named.cast(self.schema)

    def part(self, table: pa.Table) -> pa.Table:
        """Parts that wait to be added up: without the key, and texts as codes."""
        fields = [
            field.with_type(CODES) if pa.types.is_string(field.type) else field
            for field in list(self.schema)[:-1]
        ]
        return table.select([field.name for field in fields]).cast(pa.schema(fields))


class PastRun(NamedTuple):
    """An earlier run: its folder, and the number of each stage's shards."""

    folder: str
    shards: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """One run's shuffle: where pieces lie, how many shards, and who gets which dataset.

    folder: where pieces stay, and what `pipelines.transforms.past` notes of them.
    results_folder: where result files go.
    shards: of each stage; a power of two, so that a shard of any run is some shards of a run
      with more of them, and a part of one shard of a run with fewer.
    earlier: the runs that this one continues, oldest first; none: a full run.
    is_kept: whether a later run may continue this one.
    through: what carries rows from stage to stage: files, or the runner's own shuffle.
    lanes: to how many elements a stage's shards are dealt (`pipelines.transforms.lanes`).
    """

    folder: str
    results_folder: str
    shards: Mapping[str, int]
    routes: Mapping[str, Route]
    results: Mapping[str, Result]
    stages: tuple[str, ...]
    earlier: tuple[PastRun, ...] = ()
    is_kept: bool = True
    through: Through = "files"
    lanes: int = 1

    def __post_init__(self) -> None:
        """Refuses a number of shards that is no power of two."""
        for stage in self.stages:
            if self.shards[stage] < 1 or self.shards[stage] & (self.shards[stage] - 1):
                raise ValueError(f"{stage}: {self.shards[stage]} shards, not a power of two")

    @property
    def is_scratch(self) -> bool:
        """Whether pieces are of no use when their stage is done: no run, no worker reads them."""
        return not self.is_kept and self.lanes == 1

    def later(self, stage: str) -> tuple[str, ...]:
        """The stages after one that may be given something by it: an output each."""
        after = self.stages[self.stages.index(stage) + 1 :]
        if stage == self.stages[0]:
            return after
        takes = self.given(stage)
        fed = {
            self.routes[name].stage
            for name, sources in MADE_OF.items()
            if name in self.routes and any(source.partition("/")[0] in takes for source in sources)
        }
        return tuple(each for each in after if each in fed)

    def given(self, stage: str) -> dict[str, Route]:
        """What a stage is given."""
        return {name: route for name, route in self.routes.items() if route.stage == stage}

    def conform(self, tables: Tables) -> Tables:
        """What a step gives, each table in the schema of its dataset or result; or as parts.

        Raises:
          KeyError: a table is neither.
        """
        return {name: self._conform(name, table) for name, table in tables.items()}

    def _conform(self, name: str, table: pa.Table) -> pa.Table:
        if name in self.results:
            schema = self.results[name][0]
            return table.select(schema.names).cast(schema)
        route = self.routes[name]
        return route.part(table) if route.sums else route.conform(table)


def scatter(
    shuffle: Shuffle, tables: Tables, *, is_removal: bool = False
) -> Iterator[tuple[str, Reference]]:
    """Writes routed datasets by shard and results whole; gives (tag, (shard, pieces)).

    Of all datasets of a stage a shard gets one element. The tables are as `conform` gives them.
    """
    found: dict[tuple[str, int], list[Piece]] = defaultdict(list)
    for name, rows in tables.items():
        if len(rows) == 0:
            continue
        if name in shuffle.results:
            yield RESULTS_TAG, (0, (_write_result(shuffle, name, rows, is_removal=is_removal),))
            continue
        stage = shuffle.routes[name].stage
        # Of two's complement the low bits are those of the hash.
        shards = ints(rows[KEY]) & (shuffle.shards[stage] - 1)
        for shard, piece in write_pieces(shuffle, name, rows, shards):
            found[stage, shard].append(piece._replace(is_removal=is_removal))
    for (stage, shard), pieces in found.items():
        yield stage, (shard, tuple(pieces))


def written(references: Iterable[tuple[str, Reference]]) -> Iterator[tuple[str, Any]]:
    """What `scatter` gives, and then the rows of each routed dataset for the run's tally."""
    rows: Counter[str] = Counter()
    for tag, (shard, pieces) in references:
        yield tag, (shard, pieces)
        if tag != RESULTS_TAG:
            for piece in pieces:
                rows[piece.dataset] += piece.rows
    for each in rows.items():
        yield TALLY_TAG, each


def gather(pieces: Iterable[Piece], routes: Mapping[str, Route]) -> Tables:
    """Reads a shard's pieces: one table for each dataset, empty where none came.

    Raises:
      ValueError: a piece does not hold the rows its reference promises.
    """
    found: dict[str, list[Piece]] = {name: [] for name in routes}
    for piece in sorted(pieces):
        found[piece.dataset].append(piece)
    return {name: _read_table(own, routes[name]) for name, own in found.items()}


def _read_table(pieces: Iterable[Piece], route: Route) -> pa.Table:
    return in_one(list(read_pieces(pieces, route)), route.schema)


def in_one(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Batches as a table of one chunk; the list is empty afterwards.

    Column by column, so that the rows are never in memory twice.
    """
    left = pa.Table.from_batches(batches, schema)
    if len(batches) <= 1:  # as most are in a small run: nothing to copy
        batches.clear()
        return left.combine_chunks()
    batches.clear()
    columns = []
    for name in schema.names:
        columns += left.select([name]).combine_chunks().columns
        left = left.drop_columns([name])
    return pa.table(columns, schema=schema)


def read_pieces(pieces: Iterable[Piece], route: Route) -> Iterator[pa.RecordBatch]:
    """The rows of each piece; the file of pieces that follow each other is opened once.

    Raises:
      ValueError: a piece does not hold the rows its reference promises.
    """
    for path, own in itertools.groupby(pieces, key=operator.attrgetter("path")):
        read = _read_file if path else functools.partial(_read_sent, route)
        yield from read(own)


def _read_file(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    first, *others = pieces
    # As a stream: only of a stream can it be said how it is to be read.
    with pa.OSFile(first.path) as file, pa.ipc.open_stream(file, options=_ALONE) as stream:
        for piece in (first, *others):
            file.seek(piece.start)
            yield _next_of(stream, piece)


def _read_sent(route: Route, pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    schema = route.schema.serialize().to_pybytes()
    for piece in pieces:
        yield _next_of(pa.ipc.open_stream(schema + (piece.data or b""), options=_ALONE), piece)


def _next_of(stream: pa.RecordBatchReader, piece: Piece) -> pa.RecordBatch:
    batch = next(stream, None)
    rows = 0 if batch is None else batch.num_rows
    if rows != piece.rows:
        raise ValueError(f"{piece.path} from byte {piece.start}: {rows} rows, not {piece.rows}")
    return batch


def write_pieces(
    shuffle: Shuffle, name: str, rows: pa.Table, shard: Ints
) -> list[tuple[int, Piece]]:
    """Writes a batch for each shard that has rows: all into one file, or each into its piece.

    Args:
      shuffle: the run's.
      name: the dataset's.
      rows: one or more.
      shard: [rows] where each goes.
    """
    path, sink = "", pa.BufferOutputStream()
    if shuffle.through == "files":
        path = _new_file(Path(shuffle.folder, "pieces"), name, "arrow")
        sink = pa.OSFile(path, "wb")
    options = _PLAIN if path and not shuffle.is_kept else _PACKED
    pieces = []
    with sink, pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        # Whatever batch is first comes with the schema: let it be one that nobody reads.
        writer.write_batch(pa.RecordBatch.from_pylist([], rows.schema))
        for number, batch in _by_shard(rows, shard):
            start = sink.tell()
            writer.write_batch(batch)
            pieces.append((number, Piece(name, path, start, sink.tell() - start, batch.num_rows)))
    if shuffle.through == "files":
        return pieces
    data = sink.getvalue()
    return [
        (number, piece._replace(start=0, data=data.slice(piece.start, piece.size).to_pybytes()))
        for number, piece in pieces
    ]


def _by_shard(rows: pa.Table, shard: Ints) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of each shard that has any."""
    shard = shard.astype(np.uint16)  # numpy counts what is small
    edges = np.cumsum([0, *np.bincount(shard)]).tolist()
    if len(edges) == 2:
        (whole,) = rows.combine_chunks().to_batches()
        yield 0, whole
        return
    (ordered,) = rows_at(rows, np.argsort(shard, kind="stable")).to_batches()
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        if high > low:
            yield number, ordered.slice(low, high - low)


def _write_result(shuffle: Shuffle, name: str, rows: pa.Table, *, is_removal: bool) -> Piece:
    path = _new_file(Path(shuffle.results_folder), name, "arrow")
    # In the order of its key and in small batches: who publishes reads all shards' files as one.
    rows = sort_by(rows, *shuffle.results[name][1])
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=_PACKED) as file:
        file.write_table(rows, _RESULT_ROWS)
    return Piece(name, path, 0, 0, len(rows), is_removal)


def _new_file(folder: Path, name: str, ending: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return os.fspath(folder / f"{name}-{uuid.uuid4().hex}.{ending}")
