"""The engine `vector`: what networkx says, wherever rows lie and at any size."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels import cascade_blocks, sphere, sphere_networkx
from pipelines.kernels.cascade import chains, grow_forest, lay_out
from pipelines.kernels.landings import Landings
from pipelines.kernels.sphere import Measured, joined, measure_blocks, measure_spheres
from pipelines.kernels.stretches import stable_order
from tests.kernels.spheres import (
    NOBODY,
    Rows,
    World,
    answer,
    as_arrays,
    rows_of,
    some_worlds,
    worlds,
)

MILLION = 1_000_000
NO_LANDINGS = Landings(*np.zeros((3, 0), dtype=np.int64))


@given(world=worlds(), max_hop=st.integers(1, 6), random=st.randoms(use_true_random=False))
def test_engines_agree_wherever_the_rows_lie(world: World, max_hop: int, random: object) -> None:
    """Clocks differ: children stand before their parents, and the cap cuts trees in two."""
    new = list(range(len(world.parent)))
    random.shuffle(new)  # type: ignore[attr-defined]
    old = [new.index(pin) for pin in range(len(new))]
    moved = World(
        [new[world.parent[pin]] if world.parent[pin] >= 0 else -1 for pin in old],
        [world.owner[pin] for pin in old],
        [world.at[pin] for pin in old],
        [(new[pin], person, at) for pin, person, at in world.landings],
    )

    for each in (world, moved):
        vector = answer(sphere.measure_spheres, each, max_hop)
        assert vector == answer(sphere_networkx.measure_spheres, each, max_hop)


@pytest.mark.parametrize(("pins", "rows"), [(1, 1), (3, 1 << 18), (1 << 14, 4)])
def test_blocks_and_slices_change_nothing(
    monkeypatch: pytest.MonkeyPatch, pins: int, rows: int
) -> None:
    """A large shop's shard is measured in parts; a part must not show in the tables."""
    some = some_worlds(40, seed=1)
    wanted = [answer(measure_spheres, world) for world in some]
    monkeypatch.setattr(cascade_blocks, "BLOCK_PINS", pins)
    monkeypatch.setattr(sphere, "BLOCK_ROWS", rows)

    assert [answer(measure_spheres, world) for world in some] == wanted


def test_a_chain_of_a_million_is_measured() -> None:
    """The kernel knows no cap: only the event contract does."""
    found = measured(np.arange(MILLION) - 1, np.full(MILLION, NOBODY), max_hop=MILLION)

    distance, pairs = MILLION * (MILLION**2 - 1) // 6, MILLION * (MILLION - 1) // 2
    assert rows_of(found).shapes == [(0, MILLION, MILLION - 1, 1, distance, pairs)]


def test_a_robot_s_chain_is_cut_by_the_contract_s_cap() -> None:
    """What the flow makes of two robots that pin on from each other: 79 trees, not one answer."""
    found = measured(np.arange(20_000) - 1, np.arange(20_000) % 2, max_hop=255)

    size, count = np.unique(found.shapes.size, return_counts=True)
    assert (size.tolist(), count.tolist()) == ([32, 256], [1, 78])
    # Each of the two reaches the other, in every tree.
    assert len(found.reach.pinner) == 2 * 79
    assert found.reach.pins.sum() == 20_000 - 79


def test_a_star_of_a_million_is_measured() -> None:
    """One pin that everybody pins on from: the greatest broadcast there can be."""
    parent = np.zeros(MILLION, dtype=np.int64)
    parent[0] = -1

    found = measured(parent, np.arange(MILLION), max_hop=255)

    assert rows_of(found).shapes == [
        (0, MILLION, 1, MILLION - 1, (MILLION - 1) ** 2, MILLION * (MILLION - 1) // 2)
    ]
    assert len(found.reach.person) == found.hop_visits.visits[0] == MILLION - 1


def measured(parent: np.ndarray, owner: np.ndarray, max_hop: int) -> Measured:
    """A forest without landings, all pinned in the order of rows."""
    forest = grow_forest(parent, max_hop)
    return measure_spheres(forest, owner, np.arange(len(parent)), NO_LANDINGS)


def test_what_is_found_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cascade with ten million landings fits: who asks for a part is done with the one before."""
    monkeypatch.setattr(sphere, "BLOCK_ROWS", 100)
    star = np.zeros(1_000, dtype=np.int64)
    star[0] = -1
    people = np.arange(1_000)

    parts = list(measure_blocks(grow_forest(star), people, people, NO_LANDINGS))

    sizes = [len(part.reach.person) for part in parts]
    assert sum(sizes) == 999
    assert max(sizes) <= 100


@pytest.mark.parametrize("engine", [sphere.Spheres, sphere_networkx.Spheres])
@given(world=worlds(), parts=st.sampled_from([1, 2, 7]))
def test_people_may_come_one_after_the_other(engine: Any, world: World, parts: int) -> None:
    """A cascade that everybody landed on does not fit: what is told of a person needs her alone."""
    forest, owner, at, landings = as_arrays(world)
    spheres = engine(forest, owner, at)

    found = list(spheres.alone())
    for part in range(parts):
        mine = landings.person % parts == part
        repinner = np.where(owner % parts == part, owner, NOBODY)
        some = Landings(*(column[mine] for column in landings))
        found += spheres.reached(some, repinner)

    whole = rows_of(measure_spheres(forest, owner, at, landings))
    told = rows_of(joined(iter(found)))
    assert (told.reach, told.own_pins, told.shapes) == (whole.reach, whole.own_pins, whole.shapes)
    assert summed(told.hop_visits) == summed(whole.hop_visits)


def summed(hop_visits: Rows) -> Counter[tuple[int, int]]:
    """Visits by pinner and hop, however many rows tell of them."""
    visits: Counter[tuple[int, int]] = Counter()
    for pinner, hop, number in hop_visits:
        visits[pinner, hop] += number
    return visits


@given(world=worlds())
def test_every_sub_tree_is_a_stretch_of_the_layout(world: World) -> None:
    """Sums over sub-trees are differences of running sums: nothing else may lie between."""
    forest, *_ = as_arrays(world)
    chain = chains(forest)

    place, size = lay_out(forest.parent)

    assert sorted(place.tolist()) == list(range(len(place)))
    inside = (place[None, :] >= place[:, None]) & (place[None, :] < (place + size)[:, None])
    assert sorted(zip(*np.nonzero(inside), strict=True)) == sorted(
        zip(chain.ancestor, chain.pin, strict=True)
    )


@given(code=st.lists(st.integers(0, 1 << 20), max_size=30))
def test_codes_of_more_than_16_bits_are_in_order(code: list[int]) -> None:
    """Shards with more than 65,536 pinners in one cascade exist."""
    codes = np.array(code, dtype=np.int64)

    assert stable_order(codes).tolist() == np.argsort(codes, kind="stable").tolist()
