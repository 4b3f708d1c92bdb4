"""Which few pinners cover most people: lazy greedy choice over their spheres.

Reach is a union, so its gain only shrinks as others are chosen (it is submodular): the greedy
choice covers at least 1 - 1/e of what the best choice does (Nemhauser, Wolsey, Fisher 1978),
and a gain computed earlier is a bound that mostly need not be computed again (CELF, Leskovec
and others 2007).
"""

import functools
import heapq
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints
from pipelines.kernels.stretches import distinct

# So many pairs are put in order at a time, or more where people are many.
_AT_ONCE = 1 << 22


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
      person: [pairs] code or hash of the person.
      most: how many to choose; fewer where nobody is left to gain.
    """
    everybody = _everybody(person)
    is_covered = np.zeros(len(everybody), dtype=np.bool_)

    @functools.cache
    def sphere(row: int) -> Ints:
        """Places of a pinner's people among everybody: most pinners are never asked for them."""
        own = person[start[row] : start[row] + size[row]]
        return np.searchsorted(everybody, own).astype(np.int32)

    by_size = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    # Nobody who waits can gain more than the first of them: most are never looked at.
    waiting = zip((-size[by_size]).tolist(), by_size.tolist(), strict=True)
    upcoming = next(waiting, None)
    # Least first: the greatest gain, then the earlier row.
    heap: list[tuple[int, int]] = []
    chosen: list[int] = []
    gained: list[int] = []
    while len(chosen) < most:
        if upcoming and (not heap or upcoming < heap[0]):
            heapq.heappush(heap, upcoming)
            upcoming = next(waiting, None)
        if not heap:
            break
        bound, row = heap[0]
        own = sphere(row)
        gain = len(own) - int(np.count_nonzero(is_covered[own]))
        if gain == -bound:  # nobody's bound is better, so nobody's gain is
            heapq.heappop(heap)
            chosen.append(row)
            gained.append(gain)
            is_covered[own] = True
        elif gain:
            heapq.heapreplace(heap, (-gain, row))
        else:
            heapq.heappop(heap)
    rows = np.array(chosen, dtype=np.int64)
    return Coverage(rows, size[rows], np.array(gained, dtype=np.int64), len(everybody))


def _everybody(person: Ints) -> Ints:
    """Codes or hashes in order, each once; not all pairs are sorted at once, few people are new."""
    found, low = person[:0], 0
    while low < len(person):
        high = low + max(_AT_ONCE, 2 * len(found))
        found, low = distinct(np.concatenate((found, person[low:high]))), high
    return found
