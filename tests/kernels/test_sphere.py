"""Spheres of influence: both engines against brute force over pairs, and against networkx."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

from pipelines.kernels import sphere, sphere_networkx
from pipelines.kernels.landings import with_repins
from tests.kernels.spheres import NOBODY, Answer, Engine, World, answer, as_arrays, proven, worlds

both_engines = pytest.mark.parametrize(
    "engine",
    [sphere.measure_spheres, sphere_networkx.measure_spheres],
    ids=["vector", "networkx"],
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
    above = nx.single_source_shortest_path_length(tree.reverse(copy=False), pin)
    own = [(edges, one) for one, edges in above.items() if owner[one] == pinner]
    return min(own, default=(-1, -1))


@both_engines
@given(world=worlds())
def test_reach_is_brute_force_over_pinners_and_landings(engine: Engine, world: World) -> None:
    """A pinner is paid attention for whom she reached: every pair is checked one by one."""
    parent, owner, at, _ = world
    tree = tree_of(parent)
    root_of = {pin: min(nx.ancestors(tree, pin) | {pin}) for pin in tree}
    visits: Counter[tuple[int, int, int]] = Counter()  # (root, pinner, hop)
    landed: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
    for pinner in set(owner) - {NOBODY}:
        for pin, person, when in proven(world):
            edges, own = nearest_own(tree, owner, pinner, pin)
            if edges >= 0 and person != pinner:
                visits[root_of[pin], pinner, edges + 1] += 1
                if person != NOBODY:
                    of_pair = landed.setdefault((root_of[pin], pinner, person), [])
                    of_pair.append((when, -at[own], edges + 1))
    wanted = []
    for (root, pinner, person), found in landed.items():
        # Of landings at one time the shorter wait.
        first_at, own_at, _ = min(found)
        pins = sum(
            owner[pin] == person
            and root_of[pin] == root
            and any(owner[above] == pinner for above in nx.ancestors(tree, pin))
            for pin in tree
        )
        hop = min(hop for _, _, hop in found)
        wanted.append((pinner, person, hop, len(found), pins, first_at, -own_at))

    said = answer(engine, world)

    assert said.reach == sorted(wanted)
    assert said.hop_visits == sorted((pinner, hop, n) for (_, pinner, hop), n in visits.items())


@both_engines
@given(world=worlds())
def test_people_at_a_hop_are_those_who_landed_so_far_below(engine: Engine, world: World) -> None:
    """Of a pinner with one pin the hops are networkx's distances in the tree."""
    parent, owner = world.parent, [pin + 10 for pin in range(len(world.parent))]
    world = world._replace(owner=owner)
    tree, landed = tree_of(parent), {pin for pin, _, _ in world.landings}
    wanted = [
        (owner[pin], edges + 1)
        for pin in tree
        for edges in range(len(parent))
        if nx.descendants_at_distance(tree, pin, edges) & (landed | {*parent})
    ]

    found = answer(engine, world)

    # Every re-pin is somebody's landing on its parent: a pin with children has a landing.
    assert [(pinner, hop) for pinner, hop, _ in found.hop_visits] == sorted(wanted)


@both_engines
@given(world=worlds())
def test_shapes_and_own_pins_are_networkx_s_wiener_index(engine: Engine, world: World) -> None:
    """Structural virality of every sub-tree comes from one pass; each is checked in full."""
    parent, owner, _, _ = world
    tree = tree_of(parent)
    assert nx.is_branching(tree)

    def pairs(pin: int) -> tuple[int, int]:
        below = tree.subgraph(nx.descendants(tree, pin) | {pin}).to_undirected()
        return round(nx.wiener_index(below)), len(below) * (len(below) - 1) // 2

    shapes, own_pins = [], []
    for root in (pin for pin in tree if parent[pin] < 0):
        layers = dict(enumerate(nx.bfs_layers(tree, root)))
        size, breadth = sum(map(len, layers.values())), max(map(len, layers.values()))
        shapes.append((root, size, len(layers) - 1, breadth, *pairs(root)))
        inside = nx.descendants(tree, root) | {root}
        for pinner in {owner[pin] for pin in inside} - {NOBODY}:
            own = {pin for pin in inside if owner[pin] == pinner}
            topmost = [pairs(pin) for pin in own if not own & nx.ancestors(tree, pin)]
            own_pins.append((pinner, *(sum(column) for column in zip(*topmost, strict=True))))

    found = answer(engine, world)

    assert found.shapes == sorted(shapes)
    assert found.own_pins == sorted(own_pins)


@both_engines
@pytest.mark.parametrize("size", [2, 3, 10, 200])
def test_stars_and_chains_have_the_published_virality(engine: Engine, size: int) -> None:
    """Broadcast and word of mouth are the two ends of the scale (Goel et al. 2016)."""
    nothing = [0] * size
    star = answer(engine, World([-1] + [0] * (size - 1), nothing, nothing, []))
    chain = answer(engine, World(list(range(-1, size - 1)), nothing, nothing, []))

    pairs = size * (size - 1) // 2
    ((_, _, *broadcast, distance, of_star),) = star.shapes
    assert distance / of_star == pytest.approx(2 * (size - 1) / size)
    assert (broadcast, of_star) == ([1, size - 1], pairs)
    ((_, _, *word_of_mouth, distance, of_chain),) = chain.shapes
    assert distance / of_chain == pytest.approx((size + 1) / 3)
    assert (word_of_mouth, of_chain) == ([size - 1, 1], pairs)


@both_engines
def test_a_pinner_s_sphere_by_hand(engine: Engine) -> None:
    """Ann's pin, Bob's re-pin of it, Ann's re-pin of Bob's; Cid lands on each."""
    ann, bob, cid = 0, 1, 2
    landings = [(0, cid, 50), (1, cid, 30), (2, cid, 40), (2, bob, 60), (1, NOBODY, 70)]

    found = answer(engine, World([-1, 0, 1], [ann, bob, ann], [10, 20, 35], landings))

    # Cid's first landing in Ann's sphere is at 30, one edge below her pin of 10; her hop is 1
    # by the landings on Ann's own pins. Bob was on Ann's first pin when he pinned on from it,
    # at 20; Ann likewise on his, at 35.
    assert found.reach == [
        (ann, bob, 1, 2, 1, 20, 10),  # hop, visits, pins, first at, own pin at
        (ann, cid, 1, 3, 0, 30, 10),
        (bob, ann, 1, 1, 1, 35, 20),
        (bob, cid, 1, 2, 0, 30, 20),
    ]
    # Nobody's landing on pin 1 counts as a visit; Bob's own on pin 2 is not his influence.
    assert found.hop_visits == [(ann, 1, 4), (ann, 2, 2), (bob, 1, 3), (bob, 2, 1)]


@both_engines
@given(world=worlds())
def test_the_pinner_herself_and_nobody_are_never_reached(engine: Engine, world: World) -> None:
    """Reloading one's own pin must not grow one's sphere."""
    for pinner, person, *_ in answer(engine, world).reach:
        assert pinner != person
        assert NOBODY not in (pinner, person)


@given(world=worlds())
def test_a_repin_is_one_landing_of_its_author_unless_she_has_one(world: World) -> None:
    """Who re-pins was there: a visit that the beacon missed is put back, at its earliest proof."""
    forest, owner, at, landings = as_arrays(world)

    found = with_repins(forest.parent, owner, at, landings)

    rows = list(zip(*(column.tolist() for column in found[:3]), strict=True))
    assert rows[: len(world.landings)] == world.landings
    assert sorted(rows) == sorted(proven(world))
    told: Counter[tuple[int, int]] = Counter()
    for pin, person, pins in zip(
        found.pin.tolist(), found.person.tolist(), found.pins.tolist(), strict=True
    ):
        told[pin, person] += pins
    repins = zip(world.parent, world.owner, strict=True)
    assert +told == Counter((above, who) for above, who in repins if min(above, who) >= 0)


@both_engines
def test_no_pins_have_no_spheres(engine: Engine) -> None:
    """An empty shard is common."""
    assert answer(engine, World([], [], [], [])) == Answer([], [], [], [])


def test_a_pin_of_nobody_known_passes_her_people_on() -> None:
    """Who saved without an id is nobody's sphere, and in the sphere of whoever stands above."""
    found = answer(sphere.measure_spheres, World([-1, 0], [7, NOBODY], [1, 2], [(1, 3, 5)]))

    assert found.reach == [(7, 3, 2, 1, 0, 5, 1)]
    assert np.array_equal(found.own_pins, [(7, 1, 1)])
