"""Splitting money without losing a micro."""

import numpy as np

from pipelines.kernels.columns import Floats, Ints

# Fractions are compared in steps this fine. Ties are common (a chain of three shares 17/24,
# 5/24, 2/24), and float noise would settle them: with steps of 2**-20 two equal formulas
# disagreed on a third of lines worth a million units, with 2**-10 on one in two thousand.
_FRACTION_STEPS = 2**10


def split_micros(amount: Ints, weight: Floats, start: Ints) -> Ints:
    """Splits each amount over its parts by weight, largest remainder first.

    Every part gets its share of the absolute amount rounded down; the micros left over go
    one each to the largest fractions, earlier parts first on a tie; then the sign returns.

    Args:
      amount: [groups] micros of either sign, exact below 2**52.
      weight: [parts] >= 0, with a positive sum in each group.
      start: [groups + 1] parts of group i are start[i]:start[i + 1], at least one each.

    Returns:
      [parts] micros; each group's parts sum to its amount exactly.

    Raises:
      ValueError: a group has no part, or weights that do not sum to a positive number.
    """
    counts = np.diff(start)
    if len(amount) == 0:
        return np.zeros(0, dtype=np.int64)
    if counts.min() <= 0:
        raise ValueError("a group has no part to take its amount")
    group = np.repeat(np.arange(len(amount)), counts)
    total = np.add.reduceat(weight, start[:-1])
    if not (total > 0).all():
        raise ValueError("the weights of a group do not sum to a positive number")
    share = np.abs(amount)[group] * (weight / total[group])
    part = np.floor(share).astype(np.int64)
    left = np.abs(amount) - np.add.reduceat(part, start[:-1])
    part, left = _without_excess(part, left, start)
    fraction = np.round((share - part) * _FRACTION_STEPS)
    # A weight of zero takes nothing, however the rounding falls.
    fraction[weight == 0] = -1
    order = np.lexsort((-fraction, group))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - start[:-1][group]
    positive = np.add.reduceat((weight > 0).astype(np.int64), start[:-1])
    # Float shares near 2**52 may miss by more than one micro a part: hand out whole rounds.
    part += np.where(weight > 0, (left // positive)[group], 0)
    part += (rank < (left % positive)[group]).astype(np.int64)
    return np.where(amount[group] < 0, -part, part)


def _without_excess(part: Ints, left: Ints, start: Ints) -> tuple[Ints, Ints]:
    """Takes what float shares near 2**52 gave too much from the largest part of its group."""
    for row in np.flatnonzero(left < 0):
        part[start[row] + np.argmax(part[start[row] : start[row + 1]])] += left[row]
    return part, np.maximum(left, 0)
