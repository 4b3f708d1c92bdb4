"""The forest of re-pins: whatever parents say, a forest comes out, and the right one."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.cascade import Forest, chains, grow_forest
from schemas import ids
from schemas.ids import MAX_HOP


@st.composite
def parents(draw: st.DrawFn, *, max_pins: int = 30) -> list[int]:
    """Parent rows, -1 for none: forests, cycles and self loops, in any order."""
    count = draw(st.integers(0, max_pins))
    return draw(st.lists(st.integers(-1, count - 1), min_size=count, max_size=count))


def grow(parent: list[int], max_hop: int = MAX_HOP) -> Forest:
    """The kernel's forest of a plain list."""
    return grow_forest(np.array(parent, dtype=np.int64), max_hop)


def graph_of(parent: list[int]) -> "nx.DiGraph[int]":
    """Edges from parents to children, whatever they form."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(parent)))
    graph.add_edges_from((above, pin) for pin, above in enumerate(parent) if above >= 0)
    return graph


@given(parents())
def test_what_grows_is_a_forest_with_only_given_edges(parent: list[int]) -> None:
    """A forged token must not make a walk up the cascade go round for ever."""
    forest = grow(parent)

    tree = graph_of(forest.parent.tolist())
    assert len(tree) == 0 or (nx.is_forest(tree) and nx.is_directed_acyclic_graph(tree))
    for pin, above in enumerate(forest.parent.tolist()):
        assert above in (parent[pin], -1)


@given(parents())
def test_exactly_the_pins_on_a_cycle_are_cut(parent: list[int]) -> None:
    """One lie in a cascade must not cost the honest pins below it their place."""
    forest = grow(parent)

    graph = graph_of(parent)
    on_cycle = {
        pin
        for part in nx.strongly_connected_components(graph)
        for pin in part
        if len(part) > 1 or graph.has_edge(pin, pin)
    }
    assert set(np.flatnonzero(forest.is_cut).tolist()) == on_cycle
    cut = (forest.parent < 0) & (np.array(parent, dtype=np.int64) >= 0)
    assert np.array_equal(cut, forest.is_cut)


@given(parents())
def test_hop_root_and_chain_are_networkx_s(parent: list[int]) -> None:
    """An independent library walks the same tree."""
    forest = grow(parent)
    tree = graph_of(forest.parent.tolist())
    chain = chains(forest)

    for pin in tree:
        above = nx.ancestors(tree, pin)
        root = int(forest.root[pin])
        links = slice(chain.start[pin], chain.start[pin + 1])
        assert tree.in_degree(root) == 0
        assert root in above | {pin}
        assert forest.hop[pin] == nx.shortest_path_length(tree, root, pin) == len(above)
        assert chain.ancestor[links].tolist() == nx.shortest_path(tree, root, pin)[::-1]
        assert chain.distance[links].tolist() == list(range(len(above) + 1))
        assert (chain.pin[links] == pin).all()


@given(parents(), st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_order_of_rows_means_nothing(parent: list[int], random: object, max_hop: int) -> None:
    """Clock skew puts children before their parents."""
    count = len(parent)
    new = list(range(count))  # new row of each old one
    random.shuffle(new)  # type: ignore[attr-defined]
    moved = [-1] * count
    for pin, above in enumerate(parent):
        moved[new[pin]] = new[above] if above >= 0 else -1

    forest, other = grow(parent, max_hop), grow(moved, max_hop)

    for pin in range(count):
        above = forest.parent[pin]
        assert other.parent[new[pin]] == (new[above] if above >= 0 else -1)
        assert other.root[new[pin]] == new[forest.root[pin]]
        assert other.hop[new[pin]] == forest.hop[pin]
        assert other.is_cut[new[pin]] == forest.is_cut[pin]


@given(parents(), st.integers(1, 6))
def test_no_tree_is_deeper_than_the_cap(parent: list[int], max_hop: int) -> None:
    """The cap bounds what one endless chain of re-pins can cost."""
    forest = grow(parent, max_hop)

    uncapped = grow(parent, len(parent) + 1)
    assert forest.hop.max(initial=0) <= max_hop
    assert np.array_equal(forest.hop, uncapped.hop % (max_hop + 1))


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_chain_of_300_is_one_tree_when_the_cap_allows(is_reversed: bool) -> None:
    """Pointer doubling must not stop early on long chains."""
    parent = np.arange(301) - 1
    hop = np.arange(301)
    if is_reversed:
        parent, hop = np.append(np.arange(1, 301), -1), hop[::-1]

    forest = grow_forest(parent, max_hop=400)

    assert np.array_equal(forest.hop, hop)
    assert set(forest.root.tolist()) == {300 if is_reversed else 0}
    assert not forest.is_cut.any()


def test_a_chain_of_1000_is_cut_every_256_pins() -> None:
    """The pin at hop 256 starts again as a root, and so on: none is lost."""
    forest = grow_forest(np.arange(1_000) - 1)

    assert np.flatnonzero(forest.is_cut).tolist() == [256, 512, 768]
    assert np.flatnonzero(forest.parent < 0).tolist() == [0, 256, 512, 768]
    assert np.array_equal(forest.hop, np.arange(1_000) % 256)
    assert np.array_equal(forest.root, np.arange(1_000) // 256 * 256)


def test_the_kernel_and_the_event_contract_have_one_cap() -> None:
    """A hop the beacon takes must not be one the flow cuts."""
    assert MAX_HOP == ids.MAX_HOP


@pytest.mark.parametrize(
    ("parent", "hop", "cut"),
    [
        ([], [], []),
        ([-1], [0], []),
        ([0], [0], [0]),  # its own parent
        ([1, 0], [0, 0], [0, 1]),  # each other's parent
        ([1, 0, 1, 2], [0, 0, 1, 2], [0, 1]),  # honest pins below a cycle stay
        ([2, 0, 1, -1, 3], [0, 0, 0, 0, 1], [0, 1, 2]),
        ([1, 2, 2], [2, 1, 0], [2]),  # a chain onto a self loop
    ],
)
def test_little_forests_by_hand(parent: list[int], hop: list[int], cut: list[int]) -> None:
    """The cases one draws on paper first."""
    forest = grow(parent)

    assert forest.hop.tolist() == hop
    assert np.flatnonzero(forest.is_cut).tolist() == cut


def test_the_caller_s_parents_are_left_alone() -> None:
    """A kernel is pure: the missing-parent flag is read off the same array later."""
    parent = np.array([1, 0])

    grow_forest(parent)

    assert parent.tolist() == [1, 0]


def test_no_pins_have_no_chains() -> None:
    """A shard of landings without pins is common."""
    chain = chains(grow([]))

    assert chain.start.tolist() == [0]
    assert len(chain.ancestor) == 0
