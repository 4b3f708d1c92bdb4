"""Whom each pinner reached, cascade by cascade (docs/attribution.md section 6).

The engine `networkx`: plain to read, and the yardstick of `pipelines.kernels.sphere`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from pipelines.kernels.cascade import Forest
from pipelines.kernels.cascade_blocks import OwnPins, Shapes
from pipelines.kernels.columns import Ints, group_starts
from pipelines.kernels.landings import Landings, with_repins
from pipelines.kernels.sphere import NOTHING, HopVisits, Measured, Reach

Rows = list[tuple[int, ...]]


class _Found(NamedTuple):
    """Rows of what an engine finds."""

    reach: Rows
    hop_visits: Rows
    own_pins: Rows
    shapes: Rows


class Spheres:
    """What `pipelines.kernels.sphere.Spheres` is, in the same words; nothing is laid out."""

    def __init__(self, forest: Forest, owner: Ints, pinned_at: Ints) -> None:
        self._pins = forest, owner, pinned_at

    def alone(self) -> Iterator[Measured]:
        """What cascades are without any landing."""
        nothing = np.zeros(0, dtype=np.int64)
        nobody = np.full_like(self._pins[1], -1)
        found = _measure(*self._pins, Landings(nothing, nothing, nothing), nobody)
        yield NOTHING._replace(own_pins=found.own_pins, shapes=found.shapes)

    def reached(self, landings: Landings, repinner: Ints) -> Iterator[Measured]:
        """Whom landings of some people reach, and those that re-pins prove."""
        found = _measure(*self._pins, landings, repinner)
        yield NOTHING._replace(reach=found.reach, hop_visits=found.hop_visits)


def measure_spheres(forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings) -> Measured:
    """Measures every cascade and every pinner's part in it.

    Args:
      forest: the pins.
      owner: [pins] person codes, -1 unknown.
      pinned_at: [pins] epoch milliseconds.
      landings: the real ones; those that only re-pins prove are added.
    """
    return _measure(forest, owner, pinned_at, landings, owner)


def _measure(
    forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings, repinner: Ints
) -> Measured:
    arrivals = with_repins(forest.parent, repinner, pinned_at, landings)
    by_pin: dict[int, list[tuple[int, int]]] = {}
    for pin, person, at in zip(*(column.tolist() for column in arrivals[:3]), strict=True):
        by_pin.setdefault(pin, []).append((person, at))
    found = _Found([], [], [], [])
    for pins in _cascades(forest.root):
        tree = nx.DiGraph()
        tree.add_nodes_from(pins.tolist())
        tree.add_edges_from(
            (int(forest.parent[pin]), int(pin)) for pin in pins if forest.parent[pin] >= 0
        )
        root = int(forest.root[pins[0]])
        pair_sums = _pair_sums(tree, root)
        generations = np.bincount(forest.hop[pins])
        found.shapes.append(
            (root, len(pins), len(generations) - 1, int(generations.max()), *pair_sums[root])
        )
        for pinner in np.unique(owner[pins][owner[pins] >= 0]).tolist():
            own = pins[owner[pins] == pinner].tolist()
            _measure_pinner(tree, pinner, own, owner, pinned_at, by_pin, pair_sums, found)
    kinds = (Reach, HopVisits, OwnPins, Shapes)
    return Measured(*(_as_columns(kind, rows) for kind, rows in zip(kinds, found, strict=True)))


def _as_columns(kind: Any, rows: Rows) -> Any:
    return kind(*np.array(rows, dtype=np.int64).reshape(len(rows), len(kind._fields)).T)


def _cascades(root: Ints) -> Iterator[Ints]:
    order = np.argsort(root, kind="stable")
    yield from np.split(order, group_starts(root[order])[1:]) if len(root) else ()


def _pair_sums(tree: "nx.DiGraph[int]", root: int) -> dict[int, tuple[int, int]]:
    """For the sub-tree of every pin: the sum of distances over its pairs, and their number.

    W(p) = s_p * S1 - S2 with S1, S2 the sums of s and s**2 over proper descendants: on a tree
    the sum over pairs is the sum over edges of s(n - s) (Goel, Anderson, Hofman, Watts 2016).
    """
    sums: dict[int, tuple[int, int]] = {}
    sizes: dict[int, tuple[int, int, int]] = {}
    for pin in nx.dfs_postorder_nodes(tree, root):
        below = [sizes[child] for child in tree.successors(pin)]
        size = 1 + sum(s for s, _, _ in below)
        first = sum(s + s1 for s, s1, _ in below)
        second = sum(s * s + s2 for s, _, s2 in below)
        sizes[pin] = (size, first, second)
        sums[pin] = (size * first - second, size * (size - 1) // 2)
    return sums


def _measure_pinner(
    tree: "nx.DiGraph[int]",
    pinner: int,
    own: list[int],
    owner: Ints,
    pinned_at: Ints,
    by_pin: dict[int, list[tuple[int, int]]],
    pair_sums: dict[int, tuple[int, int]],
    found: _Found,
) -> None:
    nearest: dict[int, tuple[int, int]] = {}
    covered: set[int] = set()
    for pin in own:
        for below, edges in nx.single_source_shortest_path_length(tree, pin).items():
            nearest[below] = min(nearest.get(below, (edges, pin)), (edges, pin))
            if edges:
                covered.add(below)
    topmost = [pair_sums[pin] for pin in own if pin not in covered]
    found.own_pins.append((pinner, sum(w for w, _ in topmost), sum(pairs for _, pairs in topmost)))
    visits_at: dict[int, int] = {}
    people: dict[int, list[tuple[int, int, int]]] = {}
    for pin, (edges, own_pin) in nearest.items():
        for person, at in by_pin.get(pin, ()):
            if person != pinner:
                visits_at[edges + 1] = visits_at.get(edges + 1, 0) + 1
                if person >= 0:
                    # First landing, then the pin that waited least.
                    landed = (at, -int(pinned_at[own_pin]), edges + 1)
                    people.setdefault(person, []).append(landed)
    found.hop_visits.extend((pinner, hop, visits) for hop, visits in visits_at.items())
    pins_below = Counter(owner[list(covered)].tolist())
    for person, landings in people.items():
        first_at, own_pin_at, _ = min(landings)
        hop = min(hop for _, _, hop in landings)
        pins = pins_below[person]
        found.reach.append((pinner, person, hop, len(landings), pins, first_at, -own_pin_at))
