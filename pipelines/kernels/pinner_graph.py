"""The pinner graph of a site: who re-pins from whom, and where each pinner stands in it.

Nodes are pinners, edges run from a pinner to those who re-pinned her pins, weighted by how
often. It says what could spread, not what did: whom a pinner really reached is read off the
cascades (`pipelines.kernels.sphere`).
"""

from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from pipelines.kernels.columns import Bools, Floats, Ints, group_starts
from pipelines.kernels.stretches import reduced

DAMPING = 0.85
# networkx multiplies the tolerance by the number of nodes.
TOLERANCE, MOST_ROUNDS = 1e-12, 500
SEED = 0
# PageRanks that differ by less are equal: what is left of the order of additions.
_RANK_DECIMALS = 9
_BLOCK = 64


class Edges(NamedTuple):
    """Re-pins of others' pins, one row for each pair. All [edges], sorted by both ends."""

    pinner: Ints  # node whose pins were re-pinned
    repinner: Ints  # node who re-pinned them
    re_pins: Ints  # how often
    last_at: Ints  # when last, epoch milliseconds


class Ties(NamedTuple):
    """The same without direction, each pair once. All [ties], sorted by both ends."""

    one: Ints
    other: Ints  # greater than `one`
    re_pins: Ints


class Engine(Protocol):
    """What computes on a graph; equal answers but for the communities' finer cuts."""

    def pageranks(self) -> Floats:
        """[nodes] PageRank with edges turned round: who re-pins votes for whom she re-pinned."""

    def core_numbers(self) -> Ints:
        """[nodes] greatest k of a sub-graph in which all have k ties."""

    def components(self) -> Ints:
        """[nodes] a label of the part that ties hold together."""

    def communities(self) -> Ints:
        """[nodes] a label of the Louvain community; a node without ties has one of its own."""

    def triangles(self, nodes: Ints) -> Ints:
        """[chosen] ties among the neighbours of each of these nodes."""

    def spheres(self, nodes: Ints, radius: int) -> Ints:
        """[radius, chosen] nodes within 1, 2 .. so many edges of each of these, but herself."""


class Places(NamedTuple):
    """Where each pinner stands. All [nodes] but the last two."""

    rank: Ints  # 1 is the most influential
    pagerank: Floats
    core_number: Ints
    community: Ints  # node of its highest rank, -1 for a pinner without ties
    is_top: Bools  # measured more closely: the columns below; elsewhere these are 0
    network_sphere_2: Ints
    network_sphere_3: Ints
    clustering: Floats
    constraint: Floats  # NaN without ties
    effective_size: Floats  # NaN without ties
    ego_density: Floats
    modularity: float  # of the communities; NaN without ties
    components: Ints  # [parts] pinners of each, the greatest first


def join_repins(pinner: Ints, repinner: Ints, at: Ints) -> Edges:
    """Edges of single re-pins, in any order; those of own pins are left out.

    Args:
      pinner: [re-pins] owner of the parent.
      repinner: [re-pins] owner of the child.
      at: [re-pins] epoch milliseconds.
    """
    others = pinner != repinner
    pinner, repinner, at = pinner[others], repinner[others], at[others]
    width = int(repinner.max(initial=0)) + 1
    edge = pinner * width + repinner
    order = np.argsort(edge)
    start = group_starts(edge[order])
    pinner, repinner = np.divmod(edge[order[start]], width)
    last_at = reduced(np.maximum, at[order], start)
    return Edges(pinner, repinner, np.diff(np.append(start, len(at))), last_at)


def newest_edges(edges: Edges, most: int) -> Edges:
    """The edges last used, at most so many; the earlier row of those last used at one time."""
    if len(edges.last_at) <= most:
        return edges
    newest = np.sort(np.argsort(-edges.last_at, kind="stable")[:most])
    return Edges(*(column[newest] for column in edges))


def ties_of(edges: Edges) -> Ties:
    """The edges without direction: what ran both ways is one tie."""
    one, other = (
        np.minimum(edges.pinner, edges.repinner),
        np.maximum(edges.pinner, edges.repinner),
    )
    width = int(other.max(initial=0)) + 1
    tie = one * width + other
    order = np.argsort(tie)
    start = group_starts(tie[order])
    one, other = np.divmod(tie[order[start]], width)
    return Ties(one, other, reduced(np.add, edges.re_pins[order], start))


def tie_matrix(ties: Ties, count: int) -> sp.csr_array:
    """[nodes, nodes] re-pins between each two, both ways."""
    rows, columns = np.concatenate(ties[:2]), np.concatenate((ties.other, ties.one))
    values = np.tile(ties.re_pins, 2).astype(np.float64)
    return sp.csr_array((values, (rows, columns)), shape=(count, count))


def place_pinners(engine: Engine, ties: Ties, count: int, top: int) -> Places:
    """Ranks all pinners, and looks at the ones of highest rank more closely.

    Args:
      engine: computes on the graph.
      ties: its ties.
      count: its nodes, in an order that is the same however the rows came: ties of rank are
        broken by it.
      top: how many pinners to look at closely.
    """
    pagerank = engine.pageranks()
    order = np.lexsort((np.arange(count), -np.round(pagerank * count, _RANK_DECIMALS)))
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(1, count + 1)
    matrix = tie_matrix(ties, count)
    degree = np.diff(matrix.indptr).astype(np.int64)
    community = _by_leader(engine.communities(), rank)
    community[degree == 0] = -1
    nodes = np.sort(order[:top])

    def spread(values: Floats) -> Floats:
        whole = np.zeros(count)
        whole[nodes] = values
        return whole

    spheres = np.zeros((2, count), dtype=np.int64)
    spheres[:, nodes] = engine.spheres(nodes, 3)[1:]
    ties_among, alters = engine.triangles(nodes), degree[nodes]
    return Places(
        rank=rank,
        pagerank=pagerank,
        core_number=engine.core_numbers(),
        community=community,
        is_top=rank <= top,
        network_sphere_2=spheres[0],
        network_sphere_3=spheres[1],
        clustering=spread(ties_among / np.maximum(alters * (alters - 1) / 2, 1)),
        constraint=spread(_constraint(matrix, nodes)),
        # Borgatti's form of Burt's measure: alters less their mean number of ties to each other.
        effective_size=spread(
            np.where(alters > 0, alters - 2 * ties_among / np.maximum(alters, 1), np.nan)
        ),
        ego_density=spread((ties_among + alters) / np.maximum((alters + 1) * alters / 2, 1)),
        modularity=_modularity(ties, community),
        components=np.sort(np.bincount(engine.components(), minlength=0))[::-1],
    )


def _by_leader(label: Ints, rank: Ints) -> Ints:
    """[nodes] of each label the node of highest rank: labels themselves mean nothing."""
    best = np.argsort(rank)
    _, first, inverse = np.unique(label[best], return_index=True, return_inverse=True)
    leader = np.empty(len(label), dtype=np.int64)
    leader[best] = best[first][inverse]
    return leader


def _constraint(matrix: sp.csr_array, nodes: Ints) -> Floats:
    """[chosen] Burt's constraint: how far a node's ties lead back to the same few others.

    networkx computes it too, in the cube of the number of ties: hours for a hub.
    """
    total = matrix.sum(axis=1)
    share = (sp.diags_array(1 / np.where(total > 0, total, 1)) @ matrix).tocsr()
    found = np.empty(len(nodes))
    for low in range(0, len(nodes), _BLOCK):
        chosen = nodes[low : low + _BLOCK]
        direct = share[chosen]
        among_alters = (direct + direct @ share).multiply(matrix[chosen] > 0)
        found[low : low + _BLOCK] = among_alters.power(2).sum(axis=1)
    return np.where(total[nodes] > 0, found, np.nan)


def _modularity(ties: Ties, community: Ints) -> float:
    """How many more re-pins stay within communities than chance would keep there."""
    total = int(ties.re_pins.sum())
    if total == 0:
        return float("nan")
    count = len(community)
    one, other = community[ties.one], community[ties.other]
    within = np.bincount(one, ties.re_pins * (one == other), minlength=count)
    ends = np.bincount(one, ties.re_pins, minlength=count) + np.bincount(
        other, ties.re_pins, minlength=count
    )
    return float((within / total - (ends / (2 * total)) ** 2).sum())
