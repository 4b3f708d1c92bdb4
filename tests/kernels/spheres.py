"""Little forests for tests of the sphere engines, and their answers as plain rows."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from pipelines.kernels.cascade import Forest, grow_forest
from pipelines.kernels.columns import Ints
from pipelines.kernels.landings import Landings
from pipelines.kernels.sphere import Measured

NOBODY = -1
Landing = tuple[int, int, int]  # pin, person, time
Engine = Callable[[Forest, Ints, Ints, Landings], Measured]
Rows = list[tuple[int, ...]]


class World(NamedTuple):
    """Pins, their people and times, and landings on them."""

    parent: list[int]
    owner: list[int]
    at: list[int]
    landings: list[Landing]


class Answer(NamedTuple):
    """What an engine finds, as sorted rows."""

    reach: Rows  # pinner, person, hop, visits, pins, first at, own pin at
    hop_visits: Rows  # pinner, hop, visits
    own_pins: Rows  # pinner, pair distance, pairs
    shapes: Rows  # root, size, depth, breadth, pair distance, pairs


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Random forests with few people and few moments, so that everything meets."""
    count = draw(st.integers(1, 14))
    parent = [draw(st.integers(-1, pin - 1)) for pin in range(count)]
    people = st.integers(NOBODY, 5)
    owner = draw(st.lists(people, min_size=count, max_size=count))
    at = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    landing = st.tuples(st.integers(0, count - 1), people, st.integers(0, 9))
    return World(parent, owner, at, draw(st.lists(landing, max_size=20)))


def some_worlds(number: int, seed: int) -> list[World]:
    """So many worlds of a seed, parents of any kind: cycles, later rows, chains and stars."""
    draw = np.random.default_rng(seed)
    return [_drawn(draw) for _ in range(number)]


def _drawn(draw: np.random.Generator) -> World:
    count, people = int(draw.integers(1, 40)), int(draw.integers(1, 9))
    rows = np.arange(count)
    parent = draw.choice(
        [
            draw.integers(-1, count, count),
            draw.integers(-1, rows),
            rows - 1,
            np.minimum(rows - 1, 0),
        ]
    )
    landings = int(draw.integers(0, 60))
    landed = [
        draw.integers(low, high, landings) for low, high in ((0, count), (-1, people), (0, 9))
    ]
    return World(
        parent.tolist(),
        draw.integers(-1, people, count).tolist(),
        draw.integers(0, 9, count).tolist(),
        list(zip(*(column.tolist() for column in landed), strict=True)),
    )


def answer(engine: Engine, world: World, max_hop: int = 255) -> Answer:
    """What an engine says of a world."""
    return rows_of(engine(*as_arrays(world, max_hop)))


def as_arrays(world: World, max_hop: int = 255) -> tuple[Forest, Ints, Ints, Landings]:
    """A world as an engine takes it."""
    parent, owner, at = (np.array(column, dtype=np.int64) for column in world[:3])
    landings = np.array(world.landings, dtype=np.int64).reshape(len(world.landings), 3)
    return grow_forest(parent, max_hop), owner, at, Landings(*landings.T)


def rows_of(measured: Measured) -> Answer:
    """What was found as sorted rows; what stands in several blocks or cascades stays so."""
    kinds: Any = measured
    return Answer(*(sorted(zip(*map(np.ndarray.tolist, kind), strict=True)) for kind in kinds))


def proven(world: World) -> list[Landing]:
    """The landings, and for each re-pinner that has none on the parent her earliest re-pin."""
    proofs: dict[tuple[int, int], int] = {}
    for pin, above in enumerate(world.parent):
        if above >= 0 and world.owner[pin] != NOBODY:
            key = (above, world.owner[pin])
            proofs[key] = min(world.at[pin], proofs.get(key, world.at[pin]))
    seen = Counter((pin, person) for pin, person, _ in world.landings)
    return world.landings + [(*key, at) for key, at in proofs.items() if key not in seen]
