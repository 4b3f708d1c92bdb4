"""The engagement ladder: on which rung people stood each day, and how they moved.

Pure arithmetic on codes (docs/ladder.md). Rungs are numbers from
0, the lowest; `NEW` and `AWAY` are where people are who stand on none.
"""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Bools, Ints
from pipelines.kernels.groups import group_by, numbered

NEW, AWAY = -2, -1
_NEVER = 2**62


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
    """
    groups = group_by(who, day - day.min(initial=0))
    if len(groups.start) == 0:
        return Standings(who, day, rung)
    highest = np.maximum.reduceat(rung[groups.rows], groups.start)
    return Standings(who[groups.one], day[groups.one], highest)


def since_changes(who: Ints, day: Ints, is_change: Bools) -> Ints:
    """The acts that decide what changes: of whom a change is, and since the last day before it.

    Where people stood before that day, and how they came to it, is the same with the changes and
    without; so is what is told of that day, but for how they left it.

    Args:
      who: [acts] who acted, from 0.
      day: [acts] days since any first day.
      is_change: [acts] whether it is none of the acts, but one that comes or goes.

    Returns:
      Rows in their order, without the changes.
    """
    people, who = numbered(who)
    first = np.full(len(people), _NEVER)
    np.minimum.at(first, who[is_change], day[is_change])
    row = np.flatnonzero(~is_change & (first[who] < _NEVER))
    who, day = who[row], day[row]
    is_before = day < first[who]
    last = np.full(len(people), -_NEVER)
    np.maximum.at(last, who[is_before], day[is_before])
    return row[day >= last[who]]


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
