"""The engagement ladder: on which rung people stood each day, and how they moved.

Pure arithmetic on codes (docs/ladder.md). Rungs are numbers from
0, the lowest; `NEW` and `AWAY` are where people are who stand on none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints, group_starts

NEW, AWAY = -2, -1


class Standings(NamedTuple):
    """One row per person and day with an act, sorted by both: her highest rung."""

    who: Ints
    day: Ints
    rung: Ints


class Moves(NamedTuple):
    """One row per person and change: the day, the state she left, and the one she came to."""

    who: Ints
    day: Ints
    source: Ints
    target: Ints


def highest_rungs(who: Ints, day: Ints, rung: Ints) -> Standings:
    """Where people stood: the highest rung of a day's acts.

    Args:
      who: [acts] who acted, from 0.
      day: [acts] days since any first day.
      rung: [acts] from 0.

    The product of the ranges of all three must stay below 2**63.
    """
    # One integer sorts several times as fast as three columns.
    order = np.argsort(_packed(who, day, rung))
    who, day = who[order], day[order]
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = (who[1:] != who[:-1]) | (day[1:] != day[:-1])
    return Standings(who[is_last], day[is_last], rung[order[is_last]])


def moves_between(standings: Standings, within: Ints) -> Moves:
    """How people moved: from each of their days to the next, or away.

    On her first day a person comes from `NEW`. Where more than `within` days lie between two of
    her days she is `AWAY` from the first day after them, and comes back from there; so she is
    after her last day, which nobody can know before that time has passed.

    Args:
      standings: as `highest_rungs` gives them.
      within: [standings] days after which a person is away, >= 1.
    """
    who, day, rung = standings
    is_hers = who[1:] == who[:-1]
    is_near = is_hers & (day[1:] - day[:-1] <= within[:-1])
    before = np.full(len(who), NEW, dtype=np.int64)
    before[1:][is_hers] = AWAY
    before[1:][is_near] = rung[:-1][is_near]
    leaves = ~np.append(is_near, np.zeros(min(len(who), 1), dtype=np.bool_))
    return Moves(
        np.concatenate((who, who[leaves])),
        np.concatenate((day, (day + within + 1)[leaves])),
        np.concatenate((before, rung[leaves])),
        np.concatenate((rung, np.full(np.count_nonzero(leaves), AWAY, dtype=np.int64))),
    )


def sum_by(keys: Sequence[Ints], amounts: Sequence[Ints]) -> tuple[list[Ints], list[Ints]]:
    """Sums amounts over rows that are equal in all keys.

    Args:
      keys: each [rows]; the product of their ranges must stay below 2**63.
      amounts: each [rows].

    Returns:
      Each key's value in the [groups] of equal rows, in ascending order, and each amount's sum.
    """
    packed = _packed(*keys)
    order = np.argsort(packed)
    start = group_starts(packed[order])
    first = order[start]
    return (
        [key[first] for key in keys],
        [np.add.reduceat(amount[order], start) if len(start) else start for amount in amounts],
    )


def _packed(*keys: Ints) -> Ints:
    """[rows] one integer that orders as the keys do, where their ranges' product is below 2**63."""
    packed: Ints = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys if len(packed) else ():
        low = key.min()
        packed = packed * (key.max() - low + 1) + (key - low)
    return packed
