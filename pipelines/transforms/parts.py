"""A large shard in parts: all that it holds of some people at a time.

A key may have more rows than fit into memory: one cascade that everybody landed on, one pinner
who reached everybody. What is told of each person there needs no other person. So the stages
that see such keys take a shard part by part, a person's rows all in one part, and keep only
numbers from one part to the next.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, Tables, flat, ints
from pipelines.kernels.hashing import Hashes, hash_text, mix
from pipelines.kernels.multisets import is_among
from pipelines.transforms.shuffle import KEY, Piece, Route, Shuffle, read_pieces, write_pieces

# So many rows are written at a time, and of few answers one is made.
_AT_ONCE = 1 << 20


class Part(NamedTuple):
    """One of so many parts; of some runs only what is told of a few of its ids is asked for.

    told: sorted `codes_of` the ids in question; None for all.
    """

    number: int = 0
    of: int = 1
    told: Ints | None = None

    def holds(self, rows: Any) -> Bools:
        """[rows] whether they are of this part: by `person_id`, and those of nobody by `at`."""
        return _dealt(_hashes(rows, "person_id"), self.of) == self.number

    def tells(self, rows: Any, name: str = "person_id") -> Bools:
        """[rows] whether what is told by this id of theirs is of this part, and asked for."""
        if self.of == 1 and self.told is None:
            return np.ones(len(rows), dtype=np.bool_)
        hashes = _hashes(rows, name)
        is_told = _dealt(hashes, self.of) == self.number
        return is_told if self.told is None else is_told & is_among(_codes(rows, hashes), self.told)

    def asks(self, rows: Any, name: str = "person_id") -> Bools:
        """[rows] whether what is told by this id of rows of this part is asked for."""
        if self.told is None:
            return np.ones(len(rows), dtype=np.bool_)
        return is_among(codes_of(rows, name), self.told)


WHOLE = Part()
Step = Callable[[Iterable[tuple[Part, Tables]]], Iterator[tuple[int, Tables]]]
# From rows of a part that come and go, and the part before and now: codes of all that the change
# concerns.
Concerned = Callable[[Tables, Tables, Tables, Tables], Ints]
# The same of the first part gives it.
Concern = Callable[[Tables, Tables, Tables, Tables], Concerned]


@dataclasses.dataclass(frozen=True)
class InParts:
    """A step that takes its shard in parts; a whole one is one part.

    step: given each part with its tables, gives tables under the number of the part that they
      are about, and under the number of parts what all of them say together. It gives something
      under each number, and what depends on the number of parts alone. Datasets that do not come
      in parts (`Route.most_rows`) come with the first one.
    concern: of which ids a change lets the step tell something else.
    """

    step: Step
    concern: Concern

    def __call__(self, tables: Tables) -> Tables:
        """What the step says of a whole shard."""
        return self.told(None, tables)

    def told(self, told: Ints | None, tables: Tables) -> Tables:
        """What it says of a whole shard, of people only those in question."""
        return joined(answer for _, answer in self.step([(Part(told=told), tables)]))


def joined(answers: Iterable[Tables]) -> Tables:
    """Answers as one."""
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for answer in answers:
        for name, table in answer.items():
            found[name].append(table)
    return {name: pa.concat_tables(tables) for name, tables in found.items()}


def together(answers: Iterable[tuple[int, Tables]]) -> Iterator[Tables]:
    """Answers in their order, small ones as one."""
    some: list[Tables] = []
    for _, answer in answers:
        some.append(answer)
        if sum(len(table) for each in some for table in each.values()) >= _AT_ONCE:
            yield joined(some)
            some = []
    yield joined(some)


def by_number(answers: Iterable[tuple[int, Tables]]) -> Iterator[Tables]:
    """All that a step gives under a number, number by number."""
    for _, own in itertools.groupby(answers, key=lambda answer: answer[0]):
        yield joined(answer for _, answer in own)


def parts_for(rows: int, most: int) -> int:
    """In how many parts a shard comes that has so many rows of a dataset, and may have most.

    Parts are a quarter as large: of few rows they would cost more than they spare.
    """
    return 1 if rows <= most else -(-rows * 4 // most)


def read_keys(pieces: Iterable[Piece], routes: Mapping[str, Route]) -> Tables:
    """Of each dataset the keys alone, in the order of `gather`."""
    found: dict[str, list[Ints]] = {name: [np.zeros(0, dtype=np.int64)] for name in routes}
    for name, own in itertools.groupby(sorted(pieces), key=lambda piece: piece.dataset):
        # A copy, so that the rest is let go.
        found[name] += (ints(batch[KEY]).copy() for batch in read_pieces(own, routes[name]))
    return {name: pa.table({KEY: np.concatenate(keys)}) for name, keys in found.items()}


def spread(
    shuffle: Shuffle, pieces: Iterable[Piece], routes: Mapping[str, Route], parts: int
) -> list[list[Piece]]:
    """For each part its pieces: rows of datasets that come in parts are written again, by part."""
    found: list[list[Piece]] = [[] for _ in range(parts)]
    for name, own in itertools.groupby(sorted(pieces), key=lambda piece: piece.dataset):
        if not routes[name].most_rows:
            found[0] += own
            continue
        for some in _together(own):
            rows = pa.Table.from_batches(read_pieces(some, routes[name]))
            is_removal = some[0].is_removal
            for part, piece in write_pieces(
                shuffle, name, rows, _dealt(_hashes(rows, "person_id"), parts)
            ):
                found[part].append(piece._replace(is_removal=is_removal))
    return found


def _together(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces that are read at once: of small ones several, and none that add with others."""
    some: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece.is_removal):
        if some and (
            piece.is_removal != some[0].is_removal or sum(p.rows for p in some) >= _AT_ONCE
        ):
            yield some
            some = []
        some.append(piece)
    if some:
        yield some


def codes_of(rows: Any, name: str = "person_id") -> Ints:
    """[rows] hash of their key and an id of theirs."""
    return _codes(rows, _hashes(rows, name))


def _codes(rows: Any, hashes: Hashes) -> Ints:
    return mix(ints(rows[KEY]).view(np.uint64) ^ mix(hashes)).view(np.int64)


def _hashes(rows: Any, name: str) -> Hashes:
    """[rows] hash of an id; of a person whom nobody knows, that of the time."""
    ids = flat(rows[name])
    hashes = hash_text(ids)
    if name == "person_id" and ids.null_count:
        by_time = mix(ints(rows["at"]).view(np.uint64))
        hashes = np.where(np.asarray(ids.is_null()), by_time, hashes)
    return hashes


def _dealt(hashes: Hashes, parts: int) -> Ints:
    # The high bits: of a shard of people the low ones are alike.
    return ((hashes >> np.uint64(32)) % np.uint64(parts)).astype(np.int64)
