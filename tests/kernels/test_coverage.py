"""Marginal reach: lazy greedy choice against the plain one and against the best there is."""

import itertools
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels import coverage
from pipelines.kernels.coverage import Coverage, cover_people

Spheres = list[set[int]]
SPHERES = st.lists(st.sets(st.integers(-4, 9), max_size=8), max_size=7)


def cover(spheres: Spheres, most: int) -> Coverage:
    """The kernel on sets."""
    size = np.array([len(sphere) for sphere in spheres], dtype=np.int64)
    people = [person for sphere in spheres for person in sphere]
    return cover_people(np.cumsum(size) - size, size, np.array(people, dtype=np.int64), most)


def greedy(spheres: Spheres, most: int) -> list[int]:
    """Every gain computed anew at every choice."""
    chosen: list[int] = []
    covered: set[int] = set()
    for _ in range(most):
        gains = [len(sphere - covered) for sphere in spheres]
        if not any(gains):
            break
        chosen.append(gains.index(max(gains)))
        covered |= spheres[chosen[-1]]
    return chosen


def test_the_second_choice_is_who_adds_most() -> None:
    """By hand: Ben reaches more people than Cay, but Ann has most of his already."""
    found = cover([{1, 2, 3, 4}, {2, 3, 4}, {5, 6}], 3)

    assert found.pinner.tolist() == [0, 2]
    assert (found.reached.tolist(), found.gained.tolist()) == ([4, 2], [4, 2])
    assert found.people == 6


@given(SPHERES, st.integers(0, 8))
@settings(max_examples=200)
def test_lazy_choice_is_greedy_choice(spheres: Spheres, most: int) -> None:
    """Bounds save work and change nothing, ties included."""
    assert cover(spheres, most).pinner.tolist() == greedy(spheres, most)


@given(SPHERES, st.integers(1, 3))
def test_greedy_covers_what_theory_promises(spheres: Spheres, most: int) -> None:
    """At least 1 - 1/e of what the best choice covers."""
    found = cover(spheres, most)

    best = max(
        len(set().union(*choice))
        for choice in itertools.combinations([*spheres, *[set[int]()] * most], most)
    )
    assert found.gained.sum() >= (1 - 1 / math.e) * best
    assert found.people == len(set().union(*spheres))


def test_people_are_the_same_however_many_pairs_are_looked_at_at_a_time(monkeypatch) -> None:
    """A site's pairs are put in order in portions."""
    spheres = [set(range(-3, 9)), set(range(5, 20)), {40}, set(range(18, 23))]
    whole = cover(spheres, 9)

    monkeypatch.setattr(coverage, "_AT_ONCE", 2)
    found = cover(spheres, 9)

    assert found.pinner.tolist() == whole.pinner.tolist()
    assert found.gained.tolist() == whole.gained.tolist()
    assert found.people == whole.people == 27


@given(SPHERES)
def test_gains_fall_and_add_up_to_everybody(spheres: Spheres) -> None:
    """With enough pinners everybody is covered, each counted once."""
    gained = cover(spheres, 99).gained.tolist()

    assert gained == sorted(gained, reverse=True)
    assert sum(gained) == len(set().union(*spheres))
