"""The pinner graph on sparse arrays: for graphs on which networkx takes minutes and gigabytes."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from sknetwork.clustering import Louvain

from pipelines.kernels.columns import Floats, Ints, expand
from pipelines.kernels.hashing import Hashes
from pipelines.kernels.pinner_graph import (
    DAMPING,
    MOST_ROUNDS,
    SEED,
    TOLERANCE,
    Edges,
    Ties,
    tie_matrix,
)

_BITS = 64
_BLOCK = 64
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BITS_OF_BYTE = _BITS_OF_BYTE.astype(np.int64)


class ScipyEngine:
    """Computes on the matrices of edges and ties."""

    def __init__(self, edges: Edges, ties: Ties, count: int) -> None:
        self._edges, self._count = edges, count
        self._ties = tie_matrix(ties, count)

    def pageranks(self) -> Floats:
        """[nodes] PageRank with edges turned round, by power iteration."""
        if self._count == 0:
            return np.zeros(0)
        pinner, repinner, weight, _ = self._edges
        total = np.bincount(repinner, weight, minlength=self._count)
        votes = sp.csr_array(
            (weight / total[repinner], (pinner, repinner)), shape=(self._count, self._count)
        )
        is_silent = total == 0
        rank = np.full(self._count, 1 / self._count)
        for _ in range(MOST_ROUNDS):
            before = rank
            # Whoever votes for nobody votes for all.
            everybody = DAMPING * before[is_silent].sum() + 1 - DAMPING
            rank = DAMPING * (votes @ before) + everybody / self._count
            if np.abs(rank - before).sum() < self._count * TOLERANCE:
                return rank
        raise ArithmeticError(f"PageRank of {self._count} pinners: no end in {MOST_ROUNDS} rounds")

    def core_numbers(self) -> Ints:
        """[nodes] core number: whoever has least ties is peeled off, shell by shell."""
        start, neighbour = self._ties.indptr.astype(np.int64), self._ties.indices
        degree = np.diff(start)
        core = np.zeros(self._count, dtype=np.int64)
        is_left = np.ones(self._count, dtype=np.bool_)
        while is_left.any():
            shell = int(degree[is_left].min())
            peeled = np.flatnonzero(is_left & (degree <= shell))
            while len(peeled):
                core[peeled] = shell
                is_left[peeled] = False
                row, place = expand(start[peeled + 1] - start[peeled])
                touched = neighbour[start[peeled][row] + place]
                touched = touched[is_left[touched]]
                np.subtract.at(degree, touched, 1)
                peeled = np.unique(touched[degree[touched] <= shell])
        return core

    def components(self) -> Ints:
        """[nodes] a label of each one's part."""
        return connected_components(self._ties, directed=False)[1].astype(np.int64)

    def communities(self) -> Ints:
        """[nodes] a label of each one's Louvain community."""
        tied = np.flatnonzero(np.diff(self._ties.indptr))
        label = len(tied) + np.arange(self._count)
        if len(tied):
            # Rows without ties hold nothing: without them the others only change their numbers.
            place = np.cumsum(np.diff(self._ties.indptr) > 0) - 1
            start = np.append(self._ties.indptr[tied], self._ties.nnz)
            parts = self._ties.data, place[self._ties.indices], start
            matrix = sp.csr_matrix(parts, shape=(len(tied), len(tied)))
            # Labels alone, in whatever order: the rest of what it tells takes a tenth of the time.
            louvain = Louvain(
                sort_clusters=False, return_probs=False, return_aggregate=False, random_state=SEED
            )
            label[tied] = louvain.fit_predict(matrix)
        return label

    def triangles(self, nodes: Ints) -> Ints:
        """[chosen] ties among neighbours."""
        is_tied = (self._ties > 0).astype(np.int64)
        blocks = [is_tied[nodes[low : low + _BLOCK]] for low in range(0, len(nodes), _BLOCK)]
        twice = [(block @ is_tied).multiply(block).sum(axis=1) for block in blocks]
        return np.concatenate([np.zeros(0, dtype=np.int64), *twice]) // 2

    def spheres(self, nodes: Ints, radius: int) -> Ints:
        """[radius, chosen] others within each radius: 64 searches at a time, each in its bit."""
        pinner, repinner = self._edges.pinner, self._edges.repinner
        degree = np.bincount(pinner, minlength=self._count)
        start = np.cumsum(degree) - degree  # edges are sorted by pinner
        sizes = np.zeros((radius, len(nodes)), dtype=np.int64)
        for low in range(0, len(nodes), _BITS):
            front = nodes[low : low + _BITS]
            new = np.zeros(self._count, dtype=np.uint64)
            new[front] = np.uint64(1) << np.arange(len(front), dtype=np.uint64)
            reached = new.copy()
            for within in sizes[:, low : low + _BITS]:
                source, place = expand(degree[front])
                told = new[front][source]
                new = np.zeros(self._count, dtype=np.uint64)
                np.bitwise_or.at(new, repinner[start[front][source] + place], told)
                new &= ~reached
                reached |= new
                front = np.flatnonzero(new)
                within[:] = _times_set(new[front])[: len(within)]
        return np.cumsum(sizes, axis=0)


def _times_set(words: Hashes) -> Ints:
    """[64] in how many words each bit is set: by their bytes, of which few are different."""
    columns = words.astype("<u8").view(np.uint8).reshape(-1, 8).T
    return np.concatenate([np.bincount(own, minlength=256) @ _BITS_OF_BYTE for own in columns])
