"""The engagement ladder: on which rung people stood each day, and how they moved.

Pure arithmetic on codes (docs/relationships.md, "The engagement ladder"). A rung is a number
from 0, its place in `RUNGS`; a state is a rung, or one of the two that are none.
"""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints

RUNGS = ("consumption", "curation", "creation", "collaboration")
# Before a person's first day, and after as long without an act as the shop calls gone.
STATES = (*RUNGS, "new", "away")
NEW, AWAY = len(RUNGS), len(RUNGS) + 1
# What people do, and its rung. Not on the ladder: being visited, which is done to her, and
# money, for an order is no engagement and has tables of its own.
RUNG_OF = {
    "view": "consumption",
    "visit": "consumption",
    "pin": "curation",
    "share": "curation",
    "vote": "curation",
    "comment": "creation",
    "review": "creation",
    "photo": "creation",
    "question": "creation",
    "answer": "collaboration",
    "repinned": "collaboration",
}
"""Rung of each act; a pin from another person's pin is collaboration as well."""


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
      rung: [acts] place in `RUNGS`.

    The product of the ranges of all three must stay below 2**63.
    """
    if len(who) == 0:
        return Standings(who, day, rung)
    first = day.min()
    span = day.max() - first + 1
    # One integer sorts several times as fast as three columns.
    key = np.sort((who * span + (day - first)) * len(RUNGS) + rung)
    place = key // len(RUNGS)
    is_last = np.append(place[1:] != place[:-1], [True])
    key, place = key[is_last], place[is_last]
    return Standings(place // span, place % span + first, key % len(RUNGS))


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


def tally(*columns: Ints) -> tuple[list[Ints], Ints]:
    """Counts equal rows.

    Returns:
      For each column its values in the [groups] of equal rows, in ascending order; and how many
      rows each group has.
    """
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    is_first = np.ones(len(order), dtype=np.bool_)
    if len(order):
        is_first[1:] = np.any([column[1:] != column[:-1] for column in ordered], axis=0)
    start = np.flatnonzero(is_first)
    counts = np.diff(np.append(start, len(order)))
    return [column[start] for column in ordered], counts
