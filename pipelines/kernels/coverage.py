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
from pipelines.kernels.hashing import Hashes, mix
from pipelines.kernels.stretches import distinct

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
    covered = _Covered(person[:0])
    # Least first: the greatest gain, then the earlier row.
    heap = [(-reached, row) for row, reached in enumerate(size.tolist()) if reached]
    heapq.heapify(heap)
    chosen: list[int] = []
    gained: list[int] = []
    while heap and len(chosen) < most:
        bound, row = heap[0]
        people = person[start[row] : start[row] + size[row]]
        gain = len(people) - covered.count(people)
        if gain == -bound:  # nobody's bound is better, so nobody's gain is
            heapq.heappop(heap)
            chosen.append(row)
            gained.append(gain)
            covered = _Covered(distinct(np.append(covered.people, people)))
        elif gain:
            heapq.heapreplace(heap, (-gain, row))
        else:
            heapq.heappop(heap)
    rows = np.array(chosen, dtype=np.int64)
    return Coverage(rows, size[rows], np.array(gained, dtype=np.int64), _distinct(person))


class _Covered:
    """The people whom those chosen cover, to be asked for often.

    A sieve over some bits comes first, since most of the others reached others.
    """

    def __init__(self, people: Ints) -> None:
        """Takes people sorted, each once."""
        self.people = people
        self._shift = 64 - (8 * len(people) + 1).bit_length()
        self._sieve = np.zeros(1 << (64 - self._shift), dtype=np.bool_)
        self._sieve[self._bits(people)] = True

    def _bits(self, people: Ints) -> Hashes:
        return mix(people.view(np.uint64)) >> np.uint64(self._shift)

    def count(self, people: Ints) -> int:
        """How many of these, each there once, are covered."""
        maybe = people[self._sieve[self._bits(people)]]
        place = np.minimum(np.searchsorted(self.people, maybe), len(self.people) - 1)
        return int(np.count_nonzero(self.people[place] == maybe))


def _distinct(person: Ints) -> int:
    """How many people there are, counted some at a time: by the low bits of their hash."""
    parts = 1 << (len(person) // _AT_ONCE).bit_length()
    if parts == 1:
        return len(distinct(person))
    return sum(len(distinct(person[person & (parts - 1) == part])) for part in range(parts))
