"""The shuffle: columnar pieces in files, references to them through Beam.

An element is `(shard, Piece)`: which dataset, which Arrow IPC file, which batch in it. Beam
groups the small references; the rows never pass through it. A file has a name of its own and
is complete before its reference leaves the bundle, so a retried bundle cannot spoil one.
"""

import dataclasses
import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import progress
from pipelines.kernels.columns import Tables, sort_by
from pipelines.kernels.hashing import shard_of

Step = Callable[[Tables], Tables]
RESULTS_TAG = "results"


class Piece(NamedTuple):
    """A reference to rows of one dataset in one shard."""

    dataset: str
    path: str
    batch: int
    rows: int


class Route(NamedTuple):
    """Where a dataset goes next: a stage, by the hash of these key columns."""

    stage: str
    keys: tuple[str, ...]
    schema: pa.Schema


@dataclasses.dataclass(frozen=True)
class Shuffle:
    """One run's shuffle: where pieces lie, how many shards, and who gets which dataset."""

    folder: str
    shards: int
    routes: Mapping[str, Route]
    results: Mapping[str, tuple[pa.Schema, tuple[str, ...]]]
    stages: tuple[str, ...]

    def later(self, stage: str) -> tuple[str, ...]:
        """The stages after one."""
        return self.stages[self.stages.index(stage) + 1 :]

    def schemas(self, stage: str) -> dict[str, pa.Schema]:
        """What a stage is given."""
        return {name: route.schema for name, route in self.routes.items() if route.stage == stage}


def scatter(shuffle: Shuffle, tables: Tables) -> Iterator[tuple[str, tuple[int, Piece]]]:
    """Writes routed datasets by shard and results whole; gives (tag, (shard, piece)).

    Raises:
      KeyError: a table that is neither routed nor a result.
    """
    for name, table in tables.items():
        if len(table) == 0:
            continue
        if name in shuffle.results:
            yield RESULTS_TAG, (0, _write_result(shuffle, name, table))
            continue
        route = shuffle.routes[name]
        for reference in _write_pieces(shuffle, name, route, table):
            yield route.stage, reference


def gather(pieces: Iterable[Piece], schemas: Mapping[str, pa.Schema]) -> Tables:
    """Reads a shard's pieces: one table for each dataset, empty where none came.

    Raises:
      ValueError: a piece does not hold the rows its reference promises.
    """
    found: dict[str, list[pa.RecordBatch]] = {name: [] for name in schemas}
    for piece in sorted(pieces):
        with pa.memory_map(piece.path) as source:
            batch = pa.ipc.open_file(source).get_batch(piece.batch)
        if batch.num_rows != piece.rows:
            raise ValueError(
                f"{piece.path} batch {piece.batch}: {batch.num_rows} rows, not {piece.rows}"
            )
        found[piece.dataset].append(batch)
    return {
        name: pa.Table.from_batches(batches, schemas[name]).combine_chunks()
        for name, batches in found.items()
    }


def _write_pieces(
    shuffle: Shuffle, name: str, route: Route, table: pa.Table
) -> list[tuple[int, Piece]]:
    """Writes one file with a batch for each shard that has rows."""
    shard = shard_of(shuffle.shards, *(table[key] for key in route.keys))
    order = np.argsort(shard, kind="stable")
    rows = table.select(route.schema.names).cast(route.schema).take(pa.array(order))
    edges = np.searchsorted(shard[order], np.arange(shuffle.shards + 1))
    path = _new_file(shuffle, name, "arrow")
    pieces: list[tuple[int, Piece]] = []
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, route.schema) as writer:
        for number, (low, high) in enumerate(itertools.pairwise(edges.tolist())):
            if high > low:
                writer.write_batch(rows.slice(low, high - low).combine_chunks().to_batches()[0])
                pieces.append((number, Piece(name, path, len(pieces), high - low)))
    return pieces


def _write_result(shuffle: Shuffle, name: str, table: pa.Table) -> Piece:
    schema, keys = shuffle.results[name]
    path = _new_file(shuffle, name, "parquet")
    # In the order of its key, so that a database appends instead of searching for places.
    table = sort_by(table.select(schema.names).cast(schema), *keys)
    pq.write_table(table, path, compression="zstd")
    return Piece(name, path, 0, len(table))


def _new_file(shuffle: Shuffle, name: str, ending: str) -> str:
    folder = Path(shuffle.folder)
    folder.mkdir(parents=True, exist_ok=True)
    return os.fspath(folder / f"{name}-{uuid.uuid4().hex}.{ending}")


class _StageFn(beam.DoFn):
    """Reads a shard, runs the step, scatters what it gives."""

    def __init__(self, stage: str, step: Step, shuffle: Shuffle) -> None:
        self._stage, self._step, self._shuffle = stage, step, shuffle

    def process(self, element: tuple[int, Iterable[Piece]]) -> Iterator[Any]:
        _, pieces = element
        tables = gather(pieces, self._shuffle.schemas(self._stage))
        progress.tick(self._stage, rows=sum(map(len, tables.values())))
        allowed = (RESULTS_TAG, *self._shuffle.later(self._stage))
        for tag, reference in scatter(self._shuffle, self._step(tables)):
            if tag not in allowed:
                raise ValueError(
                    f"stage {self._stage} gives {reference} to {tag}, not a later stage"
                )
            yield beam.pvalue.TaggedOutput(tag, reference)


@dataclasses.dataclass
class RunStage(beam.PTransform[Any, Any]):
    """Groups a stage's pieces by shard and runs its step on each shard.

    Takes (shard, Piece); gives, for each later stage and for the results, (shard, Piece).
    Deterministic up to file names, so a retried bundle writes the same rows.
    """

    stage: str
    step: Step
    shuffle: Shuffle

    def expand(self, pieces: Any) -> Any:
        """Wires the group-by and the step."""
        progress.expect(self.stage, self.shuffle.shards)
        later = self.shuffle.later(self.stage)
        outputs = (
            pieces
            | "GroupByShard" >> beam.GroupByKey()
            | "RunStep"
            >> beam.ParDo(_StageFn(self.stage, self.step, self.shuffle)).with_outputs(
                RESULTS_TAG, *later
            )
        )
        return {tag: outputs[tag] for tag in (RESULTS_TAG, *later)}
