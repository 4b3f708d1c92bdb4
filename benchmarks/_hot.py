"""Shops of one viral cascade, or of one pinner who reached everybody, and what is true of them.

A table of a hundred million edges is compared by one number: the sum of a hash over all columns
of each row, whatever the order of the rows.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks._cascades import EPOCH_MS, SPAN_MS, Cascades, hot_cascade
from benchmarks._texts import Ints, texts
from pipelines.io.ordered import read_batches
from pipelines.kernels.cascade import grow_forest
from pipelines.kernels.columns import ints
from pipelines.kernels.hashing import Hashes, hash_text, mix
from pipelines.kernels.landings import Landings
from pipelines.kernels.sphere import Reach, measure_blocks

LANDINGS_A_PIN, _PINS_A_PERSON = 10, 100
_STEP = np.uint64(0x9E3779B97F4A7C15)


class Edges(NamedTuple):
    """How many edges there are, and the sum of their hashes."""

    rows: int
    digest: int


class Shop(NamedTuple):
    """A world, and its edges."""

    world: Cascades
    edges: Edges


def viral_cascade(pins: int) -> Shop:
    """One cascade of so many pins and ten landings a pin; the kernel says what is true."""
    world = hot_cascade(pins, LANDINGS_A_PIN * pins)
    people = int(max(world.owner.max(), world.landings.person.max())) + 1
    name = _hashed(np.arange(people))
    # Of one cascade each pair is found once.
    return Shop(world, _summed(_of_reach(part.reach, name) for part in measure_blocks(*world)))


def _of_reach(reach: Reach, name: Hashes) -> Edges:
    numbers = (reach.hop, reach.visits, reach.pins, reach.first_at)
    return _edges(name[reach.pinner], name[reach.person], numbers)


def hot_pinner(people: int) -> Shop:
    """One pinner with a cascade for each hundred people, each pinned on once by another person.

    Who lands first on a root lands later on another's re-pin, in a second cascade; everybody
    else lands once, on a re-pin. So what is true can be written down.
    """
    count = people // _PINS_A_PERSON
    root = np.arange(count)
    owner = np.concatenate((np.zeros(count, dtype=np.int64), 1 + root))
    parent = np.concatenate((np.full(count, -1), root))
    pinned_at = EPOCH_MS + np.arange(2 * count)
    number = np.arange(people)
    person, first = 1 + count + number, number % (2 * count)
    again = np.flatnonzero(first < count)
    at = EPOCH_MS + SPAN_MS // 2 + number
    second, later = count + (first[again] + 1) % count, at[again] + 1_000_000_000
    world = Cascades(
        grow_forest(parent),
        owner,
        pinned_at,
        Landings(np.append(first, second), np.append(person, person[again]), np.append(at, later)),
    )
    name = _hashed(np.arange(1 + count + people))
    nobody, is_twice = np.zeros(people, dtype=np.int64), (first < count).astype(np.int64)
    one = np.ones(people, dtype=np.int64)
    told = [
        # The pinner and who landed: at hop 1 from a root, at hop 2 from a re-pin.
        (nobody, person, 2 - is_twice, 1 + is_twice, nobody, at),
        # The pinner and who pinned on, proved by the re-pin alone.
        (nobody[:count], 1 + root, one[:count], one[:count], one[:count], pinned_at[count:]),
    ]
    for pin, who, when in ((first, person, at), (second, person[again], later)):
        of = np.flatnonzero(pin >= count)
        told.append((1 + pin[of] - count, who[of], one[of], one[of], nobody[of], when[of]))
    return Shop(world, _summed(_edges(name[a], name[b], rest) for a, b, *rest in told))


def read_edges(paths: Iterable[str | Path]) -> Edges:
    """What files of `sphere_edges` hold, a few rows at a time."""
    columns = ("hop", "visits", "pins", "first_reached_at")
    return _summed(
        _edges(
            hash_text(batch["pinner_id"]),
            hash_text(batch["person_id"]),
            [ints(batch[column]) for column in columns],
        )
        for path in paths
        for batch in read_batches(str(path))
    )


def _hashed(numbers: Ints) -> Hashes:
    """[numbers] hash of the id that the flow gives to such a visitor."""
    return hash_text(pc.binary_join_element_wise(pa.scalar("v:"), texts(numbers, "visitor"), ""))


def _edges(pinner: Hashes, person: Hashes, numbers: Sequence[Any]) -> Edges:
    total = mix(pinner * _STEP + person)
    for column in numbers:
        total = mix(total * _STEP + column.astype(np.uint64))
    return Edges(len(total), int(total.sum(dtype=np.uint64)))


def _summed(parts: Iterable[Edges]) -> Edges:
    rows = digest = 0
    for part in parts:
        rows, digest = rows + part.rows, (digest + part.digest) % 2**64
    return Edges(rows, digest)
