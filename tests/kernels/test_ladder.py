"""The ladder's arithmetic against plain loops."""

from collections import Counter

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pipelines.kernels.ladder import (
    AWAY,
    NEW,
    Moves,
    Standings,
    highest_rungs,
    moves_between,
    since_changes,
)
from schemas.events import Engage
from schemas.ladder import RUNG_OF, RUNGS

WITHIN = 30
ACTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(-40, 60), st.integers(0, len(RUNGS) - 1)),
    max_size=60,
)


def standings_of(acts: list[tuple[int, int, int]]) -> Standings:
    columns = np.array(acts, dtype=np.int64).reshape(-1, 3).T
    return highest_rungs(*columns)


def moves_of(acts: list[tuple[int, int, int]], within: int = WITHIN) -> Moves:
    standings = standings_of(acts)
    return moves_between(standings, np.full(len(standings.who), within))


def rows(columns: tuple[np.ndarray, ...]) -> list[tuple[int, ...]]:
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def naive_moves(acts: list[tuple[int, int, int]], within: int) -> list[tuple[int, ...]]:
    """Day by day: whoever stands somewhere moves on, or is gone when time is up."""
    best: dict[tuple[int, int], int] = {}
    for who, day, rung in acts:
        best[who, day] = max(rung, best.get((who, day), 0))
    found: list[tuple[int, ...]] = []
    for who in {who for who, _ in best}:
        state, since = NEW, 0
        for day in range(-40, 60 + within + 2):
            if state not in (NEW, AWAY) and day - since > within:
                found.append((who, day, state, AWAY))
                state = AWAY
            if (who, day) in best:
                found.append((who, day, state, best[who, day]))
                state, since = best[who, day], day
    return found


@hypothesis.given(ACTS)
def test_a_day_stands_on_its_highest_rung(acts):
    """A pinner who also looks around is a pinner that day, whatever she did last."""
    best: dict[tuple[int, int], int] = {}
    for who, day, rung in acts:
        best[who, day] = max(rung, best.get((who, day), 0))

    assert rows(standings_of(acts)) == sorted((*key, rung) for key, rung in best.items())


@hypothesis.given(ACTS, st.sampled_from([1, 2, WITHIN]))
def test_moves_are_those_of_a_walk_through_the_days(acts, within):
    """A merchandiser who follows one person by hand comes to the same rows."""
    assert sorted(rows(moves_of(acts, within))) == sorted(naive_moves(acts, within))


@hypothesis.given(ACTS)
def test_who_comes_to_a_state_leaves_it_or_is_away(acts):
    """Else probabilities of a rung would not add up to one."""
    moves = moves_of(acts)
    came, left = Counter(moves.target.tolist()), Counter(moves.source.tolist())

    assert {rung: came[rung] for rung in range(len(RUNGS))} == {
        rung: left[rung] for rung in range(len(RUNGS))
    }
    assert came[NEW] == 0
    assert came[AWAY] == left[AWAY] + len({who for who, _, _ in acts})


@pytest.mark.parametrize(
    ("gap", "source"), [(1, 2), (WITHIN, 2), (WITHIN + 1, AWAY), (WITHIN + 2, AWAY)]
)
def test_a_person_is_away_after_the_time_and_not_before(gap, source):
    """The last day that counts is the one the settings name."""
    moves = rows(moves_of([(0, 0, 2), (0, gap, 1)]))

    assert (0, gap, source, 1) in moves
    assert ((0, WITHIN + 1, 2, AWAY) in moves) == (source == AWAY)


def test_each_person_keeps_the_time_of_her_shop():
    """One site may call a fortnight away, its neighbour in the same run a quarter."""
    standings = standings_of([(0, 0, 0), (0, 20, 0), (1, 0, 0), (1, 20, 0)])

    moves = rows(moves_between(standings, np.array([14, 14, 90, 90])))

    assert (0, 20, AWAY, 0) in moves
    assert (1, 20, 0, 0) in moves


def told(acts: list[tuple[int, int, int]]) -> Counter[tuple[str | int, ...]]:
    """All that is counted of some acts."""
    standings, moves = standings_of(acts), moves_of(acts)
    return Counter(
        (kind, *row)
        for kind, found in (("act", acts), ("stands", rows(standings)), ("moves", rows(moves)))
        for row in found
    )


@hypothesis.given(ACTS, ACTS, ACTS)
def test_what_is_left_out_is_the_same_before_and_now(stay, go, come):
    """A new act must not cost all of a history, nor lose a move of it."""
    changes = [*go, *come]

    def of_changes(acts):
        who, day, _ = np.array([*acts, *changes], dtype=np.int64).reshape(-1, 3).T
        kept = since_changes(who, day, np.arange(len(who)) >= len(acts))
        return [acts[row] for row in kept.tolist()]

    before, now = [*stay, *go], [*stay, *come]
    some, all_ = told(of_changes(now)), told(now)
    some.subtract(told(of_changes(before)))
    all_.subtract(told(before))

    assert +some == +all_
    assert -some == -all_


def test_of_a_history_the_last_day_before_a_change_is_enough():
    """Else a visit more would have all visits of a year counted again, before and now."""
    who, day = np.array([0, 0, 0, 0, 1, 0]), np.array([1, 5, 5, 9, 5, 7])

    assert since_changes(who, day, np.arange(6) == 5).tolist() == [1, 2, 3]


def test_every_activity_has_a_rung():
    """A new activity would be in no count before anybody missed it."""
    activities = Engage.__annotations__["activity"].__args__

    assert set(activities) <= set(RUNG_OF)
    assert set(RUNG_OF.values()) == set(RUNGS)
