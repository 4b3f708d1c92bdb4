"""The engagement ladder: on which rung people stood each day, and how they moved.

Pure arithmetic on codes (docs/ladder.md). Rungs are numbers from
0, the lowest; `NEW` and `AWAY` are where people are who stand on none.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints

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
    if len(who) == 0:
        return Standings(who, day, rung)
    first = day.min()
    span, rungs = day.max() - first + 1, rung.max() + 1
    # One integer sorts several times as fast as three columns.
    key = np.sort((who * span + (day - first)) * rungs + rung)
    place = key // rungs
    is_last = np.append(place[1:] != place[:-1], [True])
    key, place = key[is_last], place[is_last]
    return Standings(place // span, place % span + first, key % rungs)


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
      keys: each [rows].
      amounts: each [rows].

    Returns:
      Each key's value in the [groups] of equal rows, in ascending order, and each amount's sum.
    """
    order = np.lexsort(keys[::-1])
    ordered = [key[order] for key in keys]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = np.any([key[1:] != key[:-1] for key in ordered], axis=0)
    start = np.flatnonzero(is_first)
    return (
        [key[start] for key in ordered],
        [np.add.reduceat(amount[order], start) if len(start) else start for amount in amounts],
    )
