"""The pinner graph: both engines against each other, networkx, and graphs worked out by hand."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels.columns import Ints
from pipelines.kernels.graph_networkx import NetworkxEngine
from pipelines.kernels.graph_scipy import ScipyEngine
from pipelines.kernels.pinner_graph import (
    Edges,
    Engine,
    Places,
    join_repins,
    newest_edges,
    place_pinners,
    ties_of,
)

ENGINES: list[Callable[..., Engine]] = [NetworkxEngine, ScipyEngine]
RePin = tuple[int, int, int]  # owner of the parent, re-pinner, time
# Ann's pins are re-pinned by all, Ben's by Cay alone, twice; Dan's by nobody; Eve is alone.
ANN, BEN, CAY, DAN, EVE = range(5)
SMALL: list[RePin] = [
    (ANN, BEN, 1), (ANN, CAY, 2), (ANN, DAN, 3), (BEN, CAY, 4), (BEN, CAY, 5), (BEN, BEN, 6),
]  # fmt: skip


def edges_of(re_pins: list[RePin]) -> Edges:
    """The edges of some re-pins."""
    columns = np.array(re_pins, dtype=np.int64).reshape(-1, 3).T
    return join_repins(*columns)


def places(
    re_pins: list[RePin], count: int, engine: Callable[..., Engine], top: int = 99
) -> Places:
    """Everything, by an engine."""
    edges = edges_of(re_pins)
    ties = ties_of(edges)
    return place_pinners(engine(edges, ties, count), ties, count, top)


def digraph(re_pins: list[RePin], count: int) -> "nx.DiGraph[int]":
    """The same graph, made re-pin by re-pin."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(count))
    for pinner, repinner, _ in re_pins:
        if pinner != repinner:
            before = graph.get_edge_data(pinner, repinner, {"weight": 0})["weight"]
            graph.add_edge(pinner, repinner, weight=before + 1)
    return graph


def twin(directed: "nx.DiGraph[int]") -> "nx.Graph[int]":
    """Without direction; what runs both ways adds up."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(directed)
    for one, other, weight in directed.edges(data="weight"):
        before = graph.get_edge_data(one, other, {"weight": 0})["weight"]
        graph.add_edge(one, other, weight=before + weight)
    return graph


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[RePin], int]:
    """Re-pins among a few pinners, and how many pinners there are."""
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    return draw(st.lists(st.tuples(node, node, st.integers(0, 9)), max_size=40)), count


def values(found: Ints | Any) -> list[Any]:
    """Numbers to compare, floats to nine decimals."""
    return [None if math.isnan(x) else round(x, 9) for x in np.asarray(found).tolist()]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_small_graph_is_as_worked_out_by_hand(engine: Callable[..., Engine]) -> None:
    """Every measure by an example that a reader of docs/graph.md can follow."""
    found = places(SMALL, 5, engine)

    assert found.rank.tolist() == [1, 2, 3, 4, 5]
    assert found.core_number.tolist() == [2, 2, 2, 1, 0]
    assert found.community.tolist()[EVE] == -1
    assert found.network_sphere_2.tolist() == [3, 1, 0, 0, 0]
    # Of Ann's three neighbours one pair has a tie.
    assert values(found.clustering)[ANN] == round(1 / 3, 9)
    assert values(found.effective_size)[ANN] == round(3 - 2 / 3, 9)
    assert values(found.ego_density)[ANN] == round(4 / 6, 9)
    assert found.components.tolist() == [4, 1]


def test_repins_of_one_pair_are_one_edge() -> None:
    """Ben's two re-pinned pins make Cay one neighbour, of weight 2; his own re-pin none."""
    edges = edges_of(SMALL)

    assert [column.tolist() for column in edges] == [
        [ANN, ANN, ANN, BEN], [BEN, CAY, DAN, CAY], [1, 1, 1, 2], [1, 2, 3, 5],
    ]  # fmt: skip


@given(graphs())
@settings(max_examples=60)
def test_engines_agree(drawn: tuple[list[RePin], int]) -> None:
    """A shop that grows past the limit of networkx keeps its figures."""
    one, other = (places(*drawn, engine) for engine in ENGINES)

    for name in Places._fields:
        if name not in {"community", "modularity"}:  # Louvain's cuts are two of many
            assert values(getattr(one, name)) == values(getattr(other, name)), name


@pytest.mark.parametrize("engine", ENGINES)
@given(drawn=graphs())
@settings(max_examples=40)
def test_measures_are_those_of_networkx(
    engine: Callable[..., Engine], drawn: tuple[list[RePin], int]
) -> None:
    """What we call constraint, PageRank or core number is what everybody calls so."""
    found, directed = places(*drawn, engine), digraph(*drawn)
    graph, nodes = twin(directed), range(drawn[1])
    rank = nx.pagerank(directed.reverse(), tol=1e-12, max_iter=500)
    egos = [nx.ego_graph(graph, node) for node in nodes]
    wanted = {
        "pagerank": [rank[node] for node in nodes],
        "core_number": [nx.core_number(graph)[node] for node in nodes],
        "network_sphere_2": [len(nx.ego_graph(directed, node, 2)) - 1 for node in nodes],
        "network_sphere_3": [len(nx.ego_graph(directed, node, 3)) - 1 for node in nodes],
        "clustering": [nx.clustering(graph)[node] for node in nodes],
        "constraint": [nx.constraint(graph, weight="weight")[node] for node in nodes],
        "effective_size": [nx.effective_size(graph)[node] for node in nodes],
        "ego_density": [nx.density(ego) for ego in egos],
        "components": sorted(map(len, nx.connected_components(graph)), reverse=True),
    }

    for name, column in wanted.items():
        assert values(getattr(found, name)) == values(column), name


@pytest.mark.parametrize("engine", ENGINES)
@given(drawn=graphs())
@settings(max_examples=25)
def test_communities_part_the_tied_pinners(
    engine: Callable[..., Engine], drawn: tuple[list[RePin], int]
) -> None:
    """Each is named after its highest rank, lies in one piece, and modularity is networkx's."""
    found, graph = places(*drawn, engine), twin(digraph(*drawn))
    tied = [node for node in graph if graph.degree(node)]
    groups = {
        name: [node for node in tied if found.community[node] == name]
        for name in {int(found.community[node]) for node in tied}
    }

    assert all(found.community[node] == -1 for node in graph if node not in tied)
    for name, members in groups.items():
        assert name == min(members, key=lambda node: int(found.rank[node]))
        assert nx.is_connected(graph.subgraph(members))
    if tied:
        wanted = nx.community.modularity(graph.subgraph(tied), groups.values())
        assert found.modularity == pytest.approx(wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_cliques_are_two_communities(engine: Callable[..., Engine]) -> None:
    """The textbook case: tight groups with one re-pin between them."""
    cliques = [
        (a, b, 1)
        for group in ((0, 1, 2, 3), (4, 5, 6, 7))
        for a, b in itertools.combinations(group, 2)
    ]

    found = places([*cliques, (3, 4, 1)], 8, engine)

    assert len(set(found.community[:4].tolist())) == 1
    assert len(set(found.community[4:].tolist())) == 1
    assert found.community[0] != found.community[4]


@given(graphs(), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_rows_does_not_matter(drawn: tuple[list[RePin], int], chance: Any) -> None:
    """Shards come as they like; a run is a function of the lake, to the last bit."""
    re_pins, count = drawn
    shuffled = list(re_pins)
    chance.shuffle(shuffled)

    for engine in ENGINES:
        one, other = places(re_pins, count, engine), places(shuffled, count, engine)
        for name in Places._fields:
            assert np.array_equal(
                getattr(one, name), getattr(other, name), equal_nan=name != "rank"
            )


def test_only_the_top_is_looked_at_closely() -> None:
    """A hub's neighbourhood costs as much as a thousand others."""
    found = places(SMALL, 5, NetworkxEngine, top=1)

    assert found.is_top.tolist() == [True, False, False, False, False]
    assert found.network_sphere_2.tolist() == [3, 0, 0, 0, 0]


def test_pruning_keeps_what_was_used_last() -> None:
    """Of a graph too large what is going on now says more than what was years ago."""
    edges = newest_edges(edges_of(SMALL), 2)

    assert list(zip(edges.pinner.tolist(), edges.repinner.tolist(), strict=True)) == [
        (ANN, DAN), (BEN, CAY),
    ]  # fmt: skip
    assert [len(newest_edges(edges, most).pinner) for most in (0, 1, 9)] == [0, 1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_site_without_re_pins_has_places_too(engine: Callable[..., Engine]) -> None:
    """The first day of a shop: everybody equal, nobody tied."""
    found = places([], 2, engine)

    assert found.pagerank.tolist() == [0.5, 0.5]
    assert found.rank.tolist() == [1, 2]
    assert found.community.tolist() == [-1, -1]
    assert np.isnan(found.modularity)
    assert np.isnan(found.constraint).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_site_without_known_pinners_has_none(engine: Callable[..., Engine]) -> None:
    """All visitors denied consent: pins of nobody make no graph, and no error."""
    assert len(places([], 0, engine).rank) == 0
