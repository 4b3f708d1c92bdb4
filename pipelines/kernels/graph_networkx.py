"""The pinner graph on networkx: plain to read, for graphs of up to about 10,000 edges."""

from collections.abc import Iterable

import networkx as nx
import numpy as np

from pipelines.kernels.columns import Floats, Ints
from pipelines.kernels.pinner_graph import (
    DAMPING,
    MOST_ROUNDS,
    SEED,
    TOLERANCE,
    Edges,
    Ties,
)


class NetworkxEngine:
    """Computes on a `networkx.DiGraph` and on its undirected twin."""

    def __init__(self, edges: Edges, ties: Ties, count: int) -> None:
        self._directed: nx.DiGraph[int] = nx.DiGraph()
        self._undirected: nx.Graph[int] = nx.Graph()
        for graph, columns in ((self._directed, edges[:3]), (self._undirected, ties)):
            graph.add_nodes_from(range(count))
            graph.add_weighted_edges_from(zip(*(c.tolist() for c in columns), strict=True))

    def pageranks(self) -> Floats:
        """[nodes] PageRank with edges turned round."""
        ranks = nx.pagerank(
            self._directed.reverse(copy=False), DAMPING, tol=TOLERANCE, max_iter=MOST_ROUNDS
        )
        return np.array([ranks[node] for node in self._directed], dtype=np.float64)

    def core_numbers(self) -> Ints:
        """[nodes] core number."""
        cores = nx.core_number(self._undirected)
        return np.array([cores[node] for node in self._undirected], dtype=np.int64)

    def components(self) -> Ints:
        """[nodes] a label of each one's part."""
        return self._labels(nx.connected_components(self._undirected))

    def communities(self) -> Ints:
        """[nodes] a label of each one's Louvain community."""
        return self._labels(nx.community.louvain_communities(self._undirected, seed=SEED))

    def triangles(self, nodes: Ints) -> Ints:
        """[chosen] ties among neighbours."""
        found = nx.triangles(self._undirected, nodes.tolist())
        return np.array([found[node] for node in nodes.tolist()], dtype=np.int64)

    def spheres(self, nodes: Ints, radius: int) -> Ints:
        """[radius, chosen] others within each radius."""
        sizes = np.zeros((radius, len(nodes)), dtype=np.int64)
        for place, node in enumerate(nodes.tolist()):
            away = nx.single_source_shortest_path_length(self._directed, node, radius)
            sizes[:, place] = np.cumsum(np.bincount(list(away.values()), minlength=radius + 1))[1:]
        return sizes - 1

    def _labels(self, groups: Iterable[set[int]]) -> Ints:
        label = np.zeros(len(self._undirected), dtype=np.int64)
        for number, nodes in enumerate(groups):
            label[list(nodes)] = number
        return label
