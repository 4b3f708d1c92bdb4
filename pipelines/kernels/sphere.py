"""Whom each pinner reached, read off the cascades (docs/attribution.md section 6).

This engine walks every cascade with networkx: plain to read, and the yardstick for any
faster one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import networkx as nx
import numpy as np

from pipelines.kernels.cascade import Forest
from pipelines.kernels.columns import Ints, group_starts


class Landings(NamedTuple):
    """People who came to pins. All [landings]."""

    pin: Ints  # row of the pin
    person: Ints  # code, -1 for nobody
    at: Ints  # epoch milliseconds


class Reach(NamedTuple):
    """One person reached by one pinner within one cascade."""

    pinner: int
    person: int
    hop: int
    visits: int
    pins: int
    first_at: int
    own_pin_at: int


class HopVisits(NamedTuple):
    """Landings at one hop of one pinner within one cascade."""

    pinner: int
    hop: int
    visits: int


class OwnPins(NamedTuple):
    """Pairs of pins below one pinner's topmost pins of one cascade, and their distances."""

    pinner: int
    pair_distance: int
    pairs: int


class Shape(NamedTuple):
    """One cascade."""

    root: int
    size: int
    depth: int
    breadth: int
    pair_distance: int
    pairs: int


class Measured(NamedTuple):
    """All that the engine finds."""

    reach: list[Reach]
    hop_visits: list[HopVisits]
    own_pins: list[OwnPins]
    shapes: list[Shape]


def with_repins(forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings) -> Landings:
    """Adds the landings that re-pins prove: their authors were on the parent pin.

    Args:
      forest: the pins.
      owner: [pins] person codes, -1 unknown.
      pinned_at: [pins] epoch milliseconds.
      landings: real landings.

    Returns:
      The landings, and one for each re-pin by a known person with none on the parent.
    """
    repin = np.flatnonzero((forest.parent >= 0) & (owner >= 0))
    width = int(max(owner.max(initial=0), landings.person.max(initial=0))) + 2
    seen = landings.pin * width + landings.person + 1
    wanted = forest.parent[repin] * width + owner[repin] + 1
    missing = repin[~np.isin(wanted, seen)]
    # Two re-pins of one parent by one person prove one landing, at the earlier of them.
    order = missing[np.lexsort((missing, pinned_at[missing]))]
    _, first = np.unique(forest.parent[order] * width + owner[order] + 1, return_index=True)
    added = order[np.sort(first)]
    return Landings(
        np.concatenate((landings.pin, forest.parent[added])),
        np.concatenate((landings.person, owner[added])),
        np.concatenate((landings.at, pinned_at[added])),
    )


def measure_spheres(forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings) -> Measured:
    """Measures every cascade and every pinner's part in it, with networkx.

    Args:
      forest: the pins.
      owner: [pins] person codes, -1 unknown.
      pinned_at: [pins] epoch milliseconds.
      landings: with the re-pins' own (see `with_repins`).
    """
    by_pin: dict[int, list[tuple[int, int]]] = {}
    for pin, person, at in zip(*(column.tolist() for column in landings), strict=True):
        by_pin.setdefault(pin, []).append((person, at))
    measured = Measured([], [], [], [])
    for pins in _cascades(forest.root):
        tree = nx.DiGraph()
        tree.add_nodes_from(pins.tolist())
        tree.add_edges_from(
            (int(forest.parent[pin]), int(pin)) for pin in pins if forest.parent[pin] >= 0
        )
        root = int(forest.root[pins[0]])
        pair_sums = _pair_sums(tree, root)
        generations = np.bincount(forest.hop[pins])
        measured.shapes.append(
            Shape(root, len(pins), len(generations) - 1, int(generations.max()), *pair_sums[root])
        )
        for pinner in np.unique(owner[pins][owner[pins] >= 0]).tolist():
            own = pins[owner[pins] == pinner].tolist()
            _measure_pinner(tree, pinner, own, owner, pinned_at, by_pin, pair_sums, measured)
    return measured


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
    measured: Measured,
) -> None:
    nearest: dict[int, tuple[int, int]] = {}
    covered: set[int] = set()
    for pin in own:
        for below, edges in nx.single_source_shortest_path_length(tree, pin).items():
            nearest[below] = min(nearest.get(below, (edges, pin)), (edges, pin))
            if edges:
                covered.add(below)
    topmost = [pair_sums[pin] for pin in own if pin not in covered]
    measured.own_pins.append(
        OwnPins(pinner, sum(w for w, _ in topmost), sum(pairs for _, pairs in topmost))
    )
    visits_at: dict[int, int] = {}
    people: dict[int, list[tuple[int, int, int]]] = {}
    for pin, (edges, own_pin) in nearest.items():
        for person, at in by_pin.get(pin, ()):
            if person != pinner:
                visits_at[edges + 1] = visits_at.get(edges + 1, 0) + 1
                if person >= 0:
                    # First landing, least hop, then the pin that waited least.
                    landed = (at, edges + 1, -int(pinned_at[own_pin]))
                    people.setdefault(person, []).append(landed)
    measured.hop_visits.extend(HopVisits(pinner, hop, n) for hop, n in visits_at.items())
    pins_below = np.bincount(owner[list(covered)] + 1) if covered else np.zeros(0, dtype=np.int64)
    for person, arrivals in people.items():
        first_at, _, own_pin_at = min(arrivals)
        pins = int(pins_below[person + 1]) if person + 1 < len(pins_below) else 0
        hop = min(hop for _, hop, _ in arrivals)
        measured.reach.append(
            Reach(pinner, person, hop, len(arrivals), pins, first_at, -own_pin_at)
        )
