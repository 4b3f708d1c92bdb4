"""Mistakes of the engine `vector`, each of which the comparison with networkx must see."""

import inspect
from types import ModuleType
from typing import NamedTuple

import pytest

from pipelines.kernels import cascade, cascade_blocks, landings, sphere, sphere_networkx
from tests.kernels.spheres import answer, some_worlds


class Mutant(NamedTuple):
    """A line of a kernel, and what a mistaken one has in its place."""

    module: ModuleType
    line: str
    wrong: str


MUTANTS = {
    "a pinner reaches herself": Mutant(
        sphere, "shown = ~is_self & (person >= 0)", "shown = person >= 0"
    ),
    "nobody is somebody": Mutant(sphere, "shown = ~is_self & (person >= 0)", "shown = ~is_self"),
    "her own landings are visits": Mutant(
        sphere, "visits -= own_visits", "visits -= 0 * own_visits"
    ),
    "a landing counts for each of her pins above": Mutant(sphere, "keep[again] = False", "pass"),
    "her furthest pin is the nearest": Mutant(
        sphere,
        "keep[again[order[group_starts(key[order])]]]",
        "keep[again[order[np.append(group_starts(key[order]), len(order))[1:] - 1]]]",
    ),
    "hops begin at nought": Mutant(
        sphere, "pinned_at[above], steps + 1)", "pinned_at[above], steps)"
    ),
    "all of her pins are topmost": Mutant(
        cascade_blocks, "is_top[mine[1:]] = end[:-1] <= place[1:]", "is_top[mine[1:]] = True"
    ),
    "touching sub-trees are one": Mutant(
        cascade_blocks, "end[:-1] <= place[1:]", "end[:-1] < place[1:]"
    ),
    "her cascades are one": Mutant(
        cascade_blocks,
        "run_starts(owner[mine], tree[mine])",
        "run_starts(owner[mine], owner[mine])",
    ),
    "the last landing is the first": Mutant(
        sphere, "first_at = reduced(np.minimum", "first_at = reduced(np.maximum"
    ),
    "any landing tells the wait": Mutant(sphere, "np.where(is_first,", "np.where(visits.any(),"),
    "a person is as far as her furthest landing": Mutant(
        sphere,
        "reduced(np.minimum, links.hop[link], begin)",
        "reduced(np.maximum, links.hop[link], begin)",
    ),
    "who comes twice is two": Mutant(sphere, "np.repeat(often == 1", "np.repeat(often >= 1"),
    "breadth is of all cascades together": Mutant(
        cascade_blocks, "np.bincount(tree + hop", "np.bincount(hop"
    ),
    "the latest re-pin is the proof": Mutant(
        landings, "at = reduced(np.minimum", "at = reduced(np.maximum"
    ),
    "a re-pin is a landing even beside one": Mutant(landings, "missing[hit] = False", "pass"),
    "re-pins are told at every landing": Mutant(
        landings,
        "told[maybe[is_hit][first]] = pins[hit]",
        "told[maybe[is_hit]] = pins[place[is_hit]]",
    ),
    "a sub-tree ends before its last pin": Mutant(
        cascade, "below, end = place + 1, place + size", "below, end = place + 1, place + size - 1"
    ),
    "all pairs are as far as their pins are deep": Mutant(
        cascade, " - (squares[end] - squares[below])", ""
    ),
    "elder siblings take no room": Mutant(cascade, "before - family + ", "0 * before + "),
}
WORLDS = some_worlds(60, seed=2)
TRUTH = [answer(sphere_networkx.measure_spheres, world) for world in WORLDS]


def is_caught() -> bool:
    """Whether the engine says anything else than networkx, or nothing at all."""
    try:
        return [answer(sphere.measure_spheres, world) for world in WORLDS] != TRUTH
    except (IndexError, ValueError):
        return True


def test_the_engine_as_it_is_is_not_caught() -> None:
    """The control: else the test below would prove nothing."""
    assert not is_caught()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistaken_engine_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that a wrong kernel passes would let it into the tables."""
    module, line, wrong = MUTANTS[name]
    source = inspect.getsource(module)
    assert source.count(line) == 1
    broken = ModuleType(module.__name__)
    exec(source.replace(line, wrong), vars(broken))
    for user, function in (
        (sphere, "measure_spheres"),
        (sphere, "with_repins"),
        (sphere, "lay_out_blocks"),
        (cascade_blocks, "lay_out"),
        (cascade_blocks, "pair_distances"),
    ):
        if hasattr(broken, function):
            monkeypatch.setattr(user, function, getattr(broken, function))

    assert is_caught()
