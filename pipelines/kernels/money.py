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
    return split_by_share(amount, shares_of(weight, start), start)


def shares_of(weight: Floats, start: Ints) -> Floats:
    """Each group's weights over their sum.

    Args:
      weight: [parts] >= 0.
      start: [groups + 1] parts of group i are start[i]:start[i + 1].

    Raises:
      ValueError: a group has no part, or weights that do not sum to a positive number.
    """
    if len(start) < 2:
        return np.zeros(0)
    counts = np.diff(start)
    if counts.min() <= 0:
        raise ValueError("a group has no part to take its amount")
    total = np.add.reduceat(weight, start[:-1])
    if not (total > 0).all():
        raise ValueError("the weights of a group do not sum to a positive number")
    return weight / np.repeat(total, counts)


def split_by_share(amount: Ints, share: Floats, start: Ints) -> Ints:
    """Splits each amount over its parts like `split_micros`, by shares that sum to 1."""
    if len(amount) == 0:
        return np.zeros(0, dtype=np.int64)
    counts = np.diff(start)
    exact = np.repeat(np.abs(amount), counts) * share
    part = np.floor(exact).astype(np.int64)
    fraction = exact - part
    left = np.abs(amount) - np.add.reduceat(part, start[:-1])
    _take_excess(part, left, start)
    # Only who may get one of the micros left over is put in order; a share of zero never may.
    waiting = np.flatnonzero(np.repeat(left > 0, counts) & (share > 0))
    group = np.repeat(np.arange(len(amount)), counts)[waiting]
    rival = np.bincount(group, minlength=len(amount))
    # Float shares near 2**52 may miss by more than one micro a part: hand out whole rounds.
    each, rest = np.divmod(left, np.maximum(rival, 1))
    part[waiting] += each[group]
    steps = np.round(fraction[waiting] * _FRACTION_STEPS).astype(np.int64)
    order = np.argsort((group + 1) * (_FRACTION_STEPS + 1) - steps, kind="stable")
    rank = np.arange(len(order)) - np.repeat(np.cumsum(rival) - rival, rival)
    part[waiting[order[rank < rest[group]]]] += 1
    return np.where(np.repeat(amount < 0, counts), -part, part)


def _take_excess(part: Ints, left: Ints, start: Ints) -> None:
    """Takes what float shares near 2**52 gave too much from the largest part of its group."""
    for row in np.flatnonzero(left < 0):
        part[start[row] + np.argmax(part[start[row] : start[row + 1]])] += left[row]
        left[row] = 0
