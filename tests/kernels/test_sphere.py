"""Spheres of influence: the networkx engine against brute force over pairs."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.cascade import Forest, grow_forest
from pipelines.kernels.sphere import (
    HopVisits,
    Landings,
    Measured,
    OwnPins,
    Reach,
    Shape,
    measure_spheres,
    with_repins,
)

NOBODY = -1
Landing = tuple[int, int, int]  # pin, person, time


@st.composite
def cascades(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[Landing]]:
    """Parents of a random forest, owners and times of its pins, and landings on them."""
    count = draw(st.integers(1, 14))
    parent = [draw(st.integers(-1, pin - 1)) for pin in range(count)]
    people = st.integers(NOBODY, 5)
    owner = draw(st.lists(people, min_size=count, max_size=count))
    at = draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    landing = st.tuples(st.integers(0, count - 1), people, st.integers(0, 9))
    return parent, owner, at, draw(st.lists(landing, max_size=20))


def columns(landings: list[Landing]) -> Landings:
    """Landings as arrays."""
    return Landings(*np.array(landings, dtype=np.int64).reshape(len(landings), 3).T)


def measure(
    parent: list[int], owner: list[int], at: list[int], landings: list[Landing]
) -> Measured:
    """The kernel on plain lists."""
    forest = grow_forest(np.array(parent, dtype=np.int64))
    return measure_spheres(
        forest,
        np.array(owner, dtype=np.int64),
        np.array(at, dtype=np.int64),
        columns(landings),
    )


def tree_of(parent: list[int]) -> "nx.DiGraph[int]":
    """Edges from parents to children."""
    tree = nx.DiGraph()
    tree.add_nodes_from(range(len(parent)))
    tree.add_edges_from((above, pin) for pin, above in enumerate(parent) if above >= 0)
    return tree


def nearest_own(
    tree: "nx.DiGraph[int]", owner: list[int], pinner: int, pin: int
) -> tuple[int, int]:
    """Edges up to the pinner's nearest pin at or above a pin, and that pin; (-1, -1) for none."""
    above = [one for one in nx.ancestors(tree, pin) | {pin} if owner[one] == pinner]
    return min(((nx.shortest_path_length(tree, one, pin), one) for one in above), default=(-1, -1))


@given(cascades())
def test_reach_is_brute_force_over_pinners_and_landings(
    cascade: tuple[list[int], list[int], list[int], list[Landing]],
) -> None:
    """A pinner is paid attention for whom she reached: every pair is checked one by one."""
    parent, owner, at, landings = cascade
    tree = tree_of(parent)
    root_of = {pin: min(nx.ancestors(tree, pin) | {pin}) for pin in tree}
    visits: Counter[tuple[int, int, int]] = Counter()  # (root, pinner, hop)
    landed: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
    for pinner in set(owner) - {NOBODY}:
        for pin, person, when in landings:
            edges, own = nearest_own(tree, owner, pinner, pin)
            if edges >= 0 and person != pinner:
                visits[root_of[pin], pinner, edges + 1] += 1
                if person != NOBODY:
                    of_pair = landed.setdefault((root_of[pin], pinner, person), [])
                    of_pair.append((when, edges + 1, -at[own]))
    wanted = []
    for (root, pinner, person), found in landed.items():
        # Of landings at one time the smaller hop, then the shorter wait.
        first_at, _, own_at = min(found)
        pins = sum(
            owner[pin] == person
            and root_of[pin] == root
            and any(owner[above] == pinner for above in nx.ancestors(tree, pin))
            for pin in tree
        )
        hop = min(hop for _, hop, _ in found)
        wanted.append(Reach(pinner, person, hop, len(found), pins, first_at, -own_at))

    measured = measure(*cascade)

    assert sorted(measured.reach) == sorted(wanted)
    assert sorted(measured.hop_visits) == sorted(
        HopVisits(pinner, hop, n) for (_, pinner, hop), n in visits.items()
    )


@given(cascades())
def test_shapes_and_own_pins_are_networkx_s_wiener_index(
    cascade: tuple[list[int], list[int], list[int], list[Landing]],
) -> None:
    """Structural virality of every sub-tree comes from one pass; each is checked in full."""
    parent, owner, _, _ = cascade
    tree = tree_of(parent)

    def pairs(pin: int) -> tuple[int, int]:
        below = tree.subgraph(nx.descendants(tree, pin) | {pin}).to_undirected()
        return round(nx.wiener_index(below)), len(below) * (len(below) - 1) // 2

    shapes, own_pins = [], []
    for root in (pin for pin in tree if parent[pin] < 0):
        layers = dict(enumerate(nx.bfs_layers(tree, root)))
        size, breadth = sum(map(len, layers.values())), max(map(len, layers.values()))
        shapes.append(Shape(root, size, len(layers) - 1, breadth, *pairs(root)))
        inside = nx.descendants(tree, root) | {root}
        for pinner in {owner[pin] for pin in inside} - {NOBODY}:
            own = {pin for pin in inside if owner[pin] == pinner}
            topmost = [pairs(pin) for pin in own if not own & nx.ancestors(tree, pin)]
            own_pins.append(
                OwnPins(pinner, *(sum(column) for column in zip(*topmost, strict=True)))
            )

    measured = measure(*cascade)

    assert sorted(measured.shapes) == sorted(shapes)
    assert sorted(measured.own_pins) == sorted(own_pins)


@pytest.mark.parametrize("size", [2, 3, 10, 200])
def test_stars_and_chains_have_the_published_virality(size: int) -> None:
    """Broadcast and word of mouth are the two ends of the scale (Goel et al. 2016)."""
    star = measure([-1] + [0] * (size - 1), [0] * size, [0] * size, [])
    chain = measure(list(range(-1, size - 1)), [0] * size, [0] * size, [])

    (star_shape,), (chain_shape,) = star.shapes, chain.shapes
    assert star_shape.pair_distance / star_shape.pairs == pytest.approx(2 * (size - 1) / size)
    assert chain_shape.pair_distance / chain_shape.pairs == pytest.approx((size + 1) / 3)
    assert (star_shape.depth, star_shape.breadth) == (1, size - 1)
    assert (chain_shape.depth, chain_shape.breadth) == (size - 1, 1)


def test_a_pinner_s_sphere_by_hand() -> None:
    """Ann's pin, Bob's re-pin of it, Ann's re-pin of Bob's; Cid lands on each."""
    ann, bob, cid = 0, 1, 2
    landings = [(0, cid, 50), (1, cid, 30), (2, cid, 40), (2, bob, 60), (1, NOBODY, 70)]

    measured = measure([-1, 0, 1], [ann, bob, ann], [10, 20, 35], landings)

    # Cid's first landing in Ann's sphere is at 30, one edge below her pin of 10; her hop is 1
    # by the landings on Ann's own pins. Bob has no landing outside his own sphere but on pin 2.
    assert sorted(measured.reach) == [
        Reach(ann, bob, hop=1, visits=1, pins=1, first_at=60, own_pin_at=35),
        Reach(ann, cid, hop=1, visits=3, pins=0, first_at=30, own_pin_at=10),
        Reach(bob, cid, hop=1, visits=2, pins=0, first_at=30, own_pin_at=20),
    ]
    # Nobody's landing on pin 1 counts as a visit; Bob's own on pin 2 is not his influence.
    assert sorted(measured.hop_visits) == [
        HopVisits(ann, 1, 3),
        HopVisits(ann, 2, 2),
        HopVisits(bob, 1, 2),
        HopVisits(bob, 2, 1),
    ]


@given(cascades())
def test_the_pinner_herself_and_nobody_are_never_reached(
    cascade: tuple[list[int], list[int], list[int], list[Landing]],
) -> None:
    """Reloading one's own pin must not grow one's sphere."""
    for reach in measure(*cascade).reach:
        assert reach.pinner != reach.person
        assert NOBODY not in (reach.pinner, reach.person)


@given(cascades())
def test_a_repin_is_one_landing_of_its_author_unless_she_has_one(
    cascade: tuple[list[int], list[int], list[int], list[Landing]],
) -> None:
    """Who re-pins was there: a visit that the beacon missed is put back, at its earliest proof."""
    parent, owner, at, landings = cascade
    proofs: dict[tuple[int, int], int] = {}
    for pin, above in enumerate(parent):
        if above >= 0 and owner[pin] != NOBODY:
            key = (above, owner[pin])
            proofs[key] = min(at[pin], proofs.get(key, at[pin]))
    seen = {(pin, person) for pin, person, _ in landings}
    wanted = [(*key, when) for key, when in proofs.items() if key not in seen]
    forest: Forest = grow_forest(np.array(parent, dtype=np.int64))

    found = with_repins(forest, np.array(owner), np.array(at), columns(landings))

    rows = list(zip(*(column.tolist() for column in found), strict=True))
    assert rows[: len(landings)] == landings
    assert sorted(rows[len(landings) :]) == sorted(wanted)


def test_no_pins_have_no_spheres() -> None:
    """An empty shard is common."""
    assert measure([], [], [], []) == Measured([], [], [], [])
