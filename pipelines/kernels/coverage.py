"""Which few pinners cover most people: lazy greedy choice over their spheres.

Reach is a union, so its gain only shrinks as others are chosen (it is submodular): the greedy
choice covers at least 1 - 1/e of what the best choice does (Nemhauser, Wolsey, Fisher 1978),
and a gain computed earlier is a bound that mostly need not be computed again (CELF, Leskovec
and others 2007).
"""

import heapq
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints


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
    # Whoever asks who is covered asks a table of flags, by codes of half the size.
    coded = pa.array(person).dictionary_encode()
    code, people = np.asarray(coded.indices), len(coded.dictionary)
    is_covered = np.zeros(people, dtype=np.bool_)
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
        own = code[start[row] : start[row] + size[row]]
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
    return Coverage(rows, size[rows], np.array(gained, dtype=np.int64), people)
