"""What a stage was given by earlier runs: an index of keys beside the pieces of each shard.

A run's folder holds `pieces/`, which the shuffle writes anyway, and `given/`, one small file
for each stage and shard: which pieces came, and the key of every row in them. The next run
reads the keys, and of the pieces only those with rows of a key that it must look at again.
"""

import functools
import itertools
import json
import operator
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, ints
from pipelines.kernels.multisets import is_among, without
from pipelines.transforms.parts import Part
from pipelines.transforms.shuffle import KEY, Piece, Shuffle, in_one, read_pieces

_SCHEMA = pa.schema([("key", pa.int64())])
# Of so many keys of a file it is seen well enough how many are wanted.
_SAMPLE = 1 << 13
# A piece, and which of its rows.
_Hit = tuple[Piece, Ints]


class Past:
    """The rows that earlier runs gave to one shard of a stage, or to a part of it."""

    def __init__(self, shuffle: Shuffle, stage: str, shard: int, part: Part | None = None) -> None:
        self._routes, self._part = shuffle.given(stage), part
        files = (
            _given_file(run.folder, stage, number)
            for run in shuffle.earlier
            for number in _shards_like(shard, shuffle.shards[stage], run.shards[stage])
        )
        self._files = [file for file in files if file.exists()]

    def __bool__(self) -> bool:
        """Whether anything came before."""
        return bool(self._files)

    def rows(self, wanted: Mapping[str, Ints]) -> Tables:
        """For each dataset the standing rows of these keys, in as many chunks as they came.

        Args:
          wanted: for each dataset [keys] sorted, each once.

        Raises:
          ValueError: rows were taken back that never came.
        """
        hits: dict[str, list[_Hit]] = {name: [] for name in wanted}
        for name, pieces, keys in self._given:
            if self._part and self._part.number and not self._routes[name].most_rows:
                continue
            hits[name] += _hits(pieces, is_among(keys, wanted[name]))
        return {name: without(*self._read(name, own)) for name, own in hits.items()}

    def _read(self, name: str, hits: Iterable[_Hit]) -> list[pa.Table]:
        """The rows that were added, and those that were taken back."""
        route = self._routes[name]
        sides: tuple[list[pa.RecordBatch], list[pa.RecordBatch]] = ([], [])
        # Those of a file together.
        ordered = sorted(hits, key=operator.itemgetter(0))
        batches = read_pieces((piece for piece, _ in ordered), route)
        for (piece, rows), batch in zip(ordered, batches, strict=True):
            some = batch if len(rows) == len(batch) else batch.take(pa.array(rows))
            if self._part and route.most_rows:
                some = some.filter(pa.array(self._part.holds(some)))
            sides[piece.is_removal].append(some)
        added, removed = sides
        return [pa.Table.from_batches(added, route.schema), in_one(removed, route.schema)]

    def count(self, name: str, wanted: Ints | None = None) -> int:
        """How many rows of a dataset came and went; or about how many of these keys."""
        own = [keys for dataset, _, keys in self._given if dataset == name]
        if wanted is None:
            return sum(map(len, own))
        every = [len(keys) // _SAMPLE + 1 for keys in own]
        return sum(
            step * int(np.count_nonzero(is_among(keys[::step], wanted)))
            for keys, step in zip(own, every, strict=True)
        )

    @functools.cached_property
    def _given(self) -> list[tuple[str, list[Piece], Ints]]:
        """Of each file and dataset its pieces, and the keys of their rows."""
        return [each for file in self._files for each in _read_given(file)]


def remember(
    shuffle: Shuffle,
    stage: str,
    shard: int,
    pieces: Sequence[Piece],
    added: Tables,
    removed: Tables,
) -> None:
    """Notes what a shard is given in this run; the same again is the same file.

    Args:
      shuffle: the run's.
      stage: who is given it.
      shard: which of its shards.
      pieces: what came.
      added: the rows of the pieces that add, as `gather` gives them.
      removed: the rows of those that take back.
    """
    given, keys = [], []
    for name in shuffle.given(stage):
        # In the order of `gather`.
        own = sorted((piece for piece in pieces if piece.dataset == name), key=_in_table)
        if own:
            given.append((name, own))
            keys.append(np.concatenate([ints(side[name][KEY]) for side in (added, removed)]))
    file = _given_file(shuffle.folder, stage, shard)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{uuid.uuid4().hex}")
    schema = _SCHEMA.with_metadata({"given": json.dumps(given)})
    with pa.OSFile(os.fspath(aside), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for each in keys:
            writer.write_batch(pa.record_batch([pa.array(each)], schema=schema))
    aside.replace(file)


def _shards_like(shard: int, shards: int, others: int) -> range:
    """Which of other shards may hold rows of a shard, both numbers being powers of two."""
    return range(shard % others, others, shards)


def _in_table(piece: Piece) -> tuple[bool, Piece]:
    return piece.is_removal, piece


def _read_given(file: Path) -> Iterator[tuple[str, list[Piece], Ints]]:
    with pa.memory_map(os.fspath(file)) as source:
        reader = pa.ipc.open_file(source)
        given = json.loads(reader.schema.metadata[b"given"])
        for number, (name, pieces) in enumerate(given):
            yield name, [Piece(*piece) for piece in pieces], np.asarray(reader.get_batch(number)[0])


def _hits(pieces: Sequence[Piece], is_hit: np.ndarray) -> Iterator[_Hit]:
    """Pieces with a hit among their rows, laid end to end, and the rows within each."""
    rows = np.flatnonzero(is_hit)
    starts = np.cumsum([0, *(piece.rows for piece in pieces)])
    edges = np.searchsorted(rows, starts)
    for piece, start, (low, high) in zip(
        pieces, starts[:-1], itertools.pairwise(edges.tolist()), strict=True
    ):
        if high > low:
            yield piece, rows[low:high] - start


def _given_file(folder: str, stage: str, shard: int) -> Path:
    return Path(folder, "given", f"{stage}-{shard}.arrow")
