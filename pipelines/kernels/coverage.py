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


class Coverage(NamedTuple):
    """Pinners in the order in which they are chosen. All [chosen] but the last."""

    pinner: Ints  # row
    reached: Ints  # people in her sphere
    gained: Ints  # of these, in nobody's who was chosen before
    people: int  # in any sphere


def cover_people(start: Ints, person: Ints, most: int) -> Coverage:
    """Chooses pinners one by one, each the one who adds most; the earlier row on a tie.

    Args:
      start: [pinners + 1] people of pinner i are person[start[i]:start[i + 1]], each once.
      person: [pairs] code or hash of the person.
      most: how many to choose; fewer where nobody is left to gain.
    """
    distinct, code = np.unique(person, return_inverse=True)
    is_covered = np.zeros(len(distinct), dtype=np.bool_)
    reached = np.diff(start)
    # Least first: the greatest gain, then the earlier row.
    heap = [(-size, row) for row, size in enumerate(reached.tolist()) if size]
    heapq.heapify(heap)
    chosen: list[int] = []
    gained: list[int] = []
    while heap and len(chosen) < most:
        bound, row = heap[0]
        people = code[start[row] : start[row + 1]]
        gain = len(people) - int(np.count_nonzero(is_covered[people]))
        if gain == -bound:  # nobody's bound is better, so nobody's gain is
            heapq.heappop(heap)
            chosen.append(row)
            gained.append(gain)
            is_covered[people] = True
        elif gain:
            heapq.heapreplace(heap, (-gain, row))
        else:
            heapq.heappop(heap)
    rows = np.array(chosen, dtype=np.int64)
    return Coverage(rows, reached[rows], np.array(gained, dtype=np.int64), len(distinct))
