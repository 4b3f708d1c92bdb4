"""Which few pinners cover most people: lazy greedy choice over their spheres.

Reach is a union, so its gain only shrinks as others are chosen (it is submodular): the greedy
choice covers at least 1 - 1/e of what the best choice does (Nemhauser, Wolsey, Fisher 1978),
and a gain computed earlier is a bound that mostly need not be computed again (CELF, Leskovec
and others 2007).
"""

import heapq
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints
from pipelines.kernels.multisets import is_among

_AT_ONCE = 1 << 23


class Coverage(NamedTuple):
    """Pinners in the order in which they are chosen. All [chosen] but the last."""

    pinner: Ints  # row
    reached: Ints  # people in her sphere
    gained: Ints  # of these, in nobody's who was chosen before
    people: int  # in any sphere


def cover_people(start: Ints, size: Ints, person: Ints, most: int) -> Coverage:
    """Chooses pinners one by one, each the one who adds most; the earlier row on a tie.

    Args:
      start: [pinners] people of pinner i are person[start[i]:start[i] + size[i]], each once.
      size: [pinners] how many.
      person: [pairs] code or hash of the person; there may be a hundred million, so they are not
        put in order.
      most: how many to choose; fewer where nobody is left to gain.
    """
    covered = person[:0]  # sorted
    # Least first: the greatest gain, then the earlier row.
    heap = [(-reached, row) for row, reached in enumerate(size.tolist()) if reached]
    heapq.heapify(heap)
    chosen: list[int] = []
    gained: list[int] = []
    while heap and len(chosen) < most:
        bound, row = heap[0]
        people = person[start[row] : start[row] + size[row]]
        gain = len(people) - int(np.count_nonzero(is_among(people, covered)))
        if gain == -bound:  # nobody's bound is better, so nobody's gain is
            heapq.heappop(heap)
            chosen.append(row)
            gained.append(gain)
            covered = np.union1d(covered, people)
        elif gain:
            heapq.heapreplace(heap, (-gain, row))
        else:
            heapq.heappop(heap)
    rows = np.array(chosen, dtype=np.int64)
    return Coverage(rows, size[rows], np.array(gained, dtype=np.int64), _distinct(person))


def _distinct(person: Ints) -> int:
    """How many people there are, counted some at a time."""
    parts = -(-len(person) // _AT_ONCE)
    return sum(len(np.unique(person[person % parts == part])) for part in range(parts))
