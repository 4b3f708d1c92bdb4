"""How a stage's answer changes when what it is given changes.

There is one way to compute, for a full run and for an incremental one: what the step says of
the affected keys now, less what it said of them before. A full run is the one in which there
was no before.
"""

import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, ints
from pipelines.kernels.multisets import add_up, cancel, is_among, negated, without
from pipelines.kernels.stretches import distinct
from pipelines.transforms.answers import Answers
from pipelines.transforms.parts import (
    Concerned,
    InParts,
    Part,
    by_number,
    read_keys,
    spread,
)
from pipelines.transforms.past import Past
from pipelines.transforms.shuffle import KEY, Piece, Route, Shuffle, Step, gather, in_one


class Change(NamedTuple):
    """Rows that come to datasets, and rows that are taken back."""

    added: Tables
    removed: Tables


@dataclasses.dataclass(frozen=True)
class OfChanges:
    """A step that can be asked for no more than what a change may change.

    step: given tables, and as `changed` rows that come to them or go; all that it leaves out then
      is the same with these rows and without.
    """

    step: Callable[..., Tables]

    def __call__(self, tables: Tables) -> Tables:
        """What the step says of whole keys."""
        return self.step(tables)

    def about(self, changed: Tables) -> Step:
        """The step that leaves out what is the same before and now."""
        return functools.partial(self.step, changed=changed)


def change_of(step: Step, shuffle: Shuffle, stage: str, past: Past, given: Change) -> Change:
    """How a step's answer changes when what it is given changes, as `Shuffle.conform` gives it.

    Args:
      step: pure over whole key groups: `step(A + B) = step(A) + step(B)` for disjoint keys.
      shuffle: says which datasets the stage takes, and how.
      stage: its name.
      past: what the stage was given before.
      given: what comes in now; it may be empty afterwards: rows that are done with are let go.

    Raises:
      ValueError: rows are taken back that are not there.
    """
    answers = Answers(shuffle, stage)
    if not past and not any(map(len, given.removed.values())):
        answer = shuffle.conform(step(given.added))
        if answers.is_kept:
            answers.keep(touched_by(given), answer)
        return Change(answer, {})
    routes = shuffle.given(stage)
    netted = _netted(routes, given)
    touched = touched_by(netted)
    context = _context(routes, netted)
    if answers.are_known(touched):
        new = _affected_now(routes, past, netted, touched, context)
        after = shuffle.conform(_answer(step, new))
        del new
        before = answers.last(touched)
    else:
        old, new = _affected(routes, past, netted, touched, context)
        if isinstance(step, InParts):
            told = _Told(step).of(netted, old, new)
            step = functools.partial(step.told, told)
        elif isinstance(step, OfChanges):
            step = step.about(_changed(netted))
        before = shuffle.conform(_answer(step, old))
        del old
        after = shuffle.conform(_answer(step, new))
    if answers.is_kept:
        answers.keep(touched, after)
    return _difference(shuffle, before, after)


def changes_in_parts(
    step: Step, shuffle: Shuffle, stage: str, shard: int, pieces: Sequence[Piece], parts: int
) -> Iterator[Change]:
    """As `change_of`, for a shard that comes in parts: few of them are in memory at a time.

    Args:
      step: see there, and `InParts`.
      shuffle: see there.
      stage: see there.
      shard: which of its shards.
      pieces: what comes in now.
      parts: their number.
    """
    routes = shuffle.given(stage)
    # What comes whole comes with the first part: no key of it may wait for another one.
    whole, cut_up = (
        {route.keys for route in routes.values() if bool(route.most_rows) == is_cut}
        for is_cut in (False, True)
    )
    if not isinstance(step, InParts) and whole & cut_up:
        raise TypeError(f"stage {stage} is given datasets in parts, which its step does not take")
    with tempfile.TemporaryDirectory(dir=shuffle.folder) as scratch:
        aside = dataclasses.replace(shuffle, folder=scratch, is_kept=False, through="files")
        cut = [
            (Part(number, parts), own)
            for number, own in enumerate(spread(aside, pieces, routes, parts))
        ]
        if not isinstance(step, InParts):  # all that decides of a key is in one part
            for part, own in cut:
                past = Past(shuffle, stage, shard, part)
                yield change_of(step, shuffle, stage, past, given_by(own, routes))
            return
        if is_first(Past(shuffle, stage, shard), pieces):
            given = ((part, given_by(own, routes).added) for part, own in cut)
            for _, answer in step.step(given):  # each as it comes: even a few may be too much
                yield Change(shuffle.conform(answer), {})
            return
        # Of all parts: what comes whole comes with the first, and decides what the others say.
        came = given_by(pieces, routes, read_keys)
        touched, context = touched_by(came), _context(routes, came)
        told = _Told(step)

        def looked_at(part: Part, own: Sequence[Piece]) -> tuple[Part, Tables, Tables]:
            netted = _netted(routes, given_by(own, routes))
            past = Past(shuffle, stage, shard, part)
            old, new = _affected(routes, past, netted, touched, context)
            return part._replace(told=told.of(netted, old, new)), old, new

        sides = itertools.starmap(looked_at, cut)
        # The answers are read in turns, so that only a part or two wait in between.
        one, other = itertools.tee(sides)
        before = by_number(step.step((part, old) for part, old, _ in one))
        after = by_number(step.step((part, new) for part, _, new in other))
        for said, says in zip(before, after, strict=True):
            yield _difference(shuffle, shuffle.conform(said), shuffle.conform(says))


class _Told:
    """Of which ids a step is asked what it tells of them: those that a change concerns."""

    def __init__(self, step: InParts) -> None:
        self._step = step
        self._concerned: Concerned | None = None

    def of(self, given: Change, old: Tables, new: Tables) -> Ints:
        """Sorted codes of those of a part, the first part first."""
        if self._concerned is None:
            self._concerned = self._step.concern(*given, old, new)
        return distinct(self._concerned(*given, old, new))


def _changed(given: Change) -> Tables:
    """Rows that come or go."""
    return {name: pa.concat_tables([table[name] for table in given]) for name in given.added}


def is_first(past: Past, pieces: Iterable[Piece]) -> bool:
    """Whether there was nothing before, and nothing is taken back."""
    return not past and not any(piece.is_removal for piece in pieces)


def _difference(shuffle: Shuffle, before: Tables, after: Tables) -> Change:
    """What a step says more than it said, and what it says no more."""
    added, removed = {}, {}
    for name in sorted({*before, *after}):
        nothing = (after if name in after else before)[name].slice(0, 0)
        said, says = (answer.get(name, nothing) for answer in (before, after))
        sums = shuffle.routes[name].sums if name in shuffle.routes else ()
        if sums:
            parts = pa.concat_tables([says, negated(said, sums)])
            added[name] = add_up(parts, sums)
        else:
            added[name], removed[name] = cancel(says, said)
    return Change(added, removed)


def _netted(routes: Mapping[str, Route], given: Change) -> Change:
    """What comes less what goes again: a file read anew changes nothing that it still says.

    What is given is empty afterwards.
    """
    netted = Change({}, {})
    for name in routes:
        sides = given.added.pop(name), given.removed.pop(name)
        netted.added[name], netted.removed[name] = cancel(*sides)
    return netted


def _affected(
    routes: Mapping[str, Route], past: Past, given: Change, touched: Ints, context: Ints
) -> tuple[Tables, Tables]:
    """All rows that decide what the step says of the touched keys: before, and now."""
    old = _standing(routes, past, given, touched, context)
    for name, route in routes.items():
        old[name] = in_one(old.pop(name).to_batches(), route.schema)
    new = {
        name: _now(route, old[name], given.added[name], given.removed[name])
        for name, route in routes.items()
    }
    return {name: _added_up(route, old[name]) for name, route in routes.items()}, new


def _affected_now(
    routes: Mapping[str, Route], past: Past, given: Change, touched: Ints, context: Ints
) -> Tables:
    """As `_affected`, only the rows now; what is given is empty afterwards.

    Where nobody asks what was before, not even one copy of it is in memory: of a site it may be
    all that the site has.
    """
    old = _standing(routes, past, given, touched, context)
    return {
        name: _now(route, old.pop(name), given.added.pop(name), given.removed.pop(name))
        for name, route in routes.items()
    }


def _standing(
    routes: Mapping[str, Route], past: Past, given: Change, touched: Ints, context: Ints
) -> Tables:
    """The rows before."""
    old = past.rows(
        {name: context if route.is_row_wise else touched for name, route in routes.items()}
    )
    for name, route in routes.items():
        if route.is_row_wise:
            alone = ~is_among(ints(given.removed[name][KEY]), context)
            old[name] = pa.concat_tables([old[name], given.removed[name].filter(pa.array(alone))])
    return old


def _now(route: Route, old: pa.Table, added: pa.Table, removed: pa.Table) -> pa.Table:
    """The rows of a dataset now."""
    rows = without(old, removed)
    del old, removed
    batches = [*rows.to_batches(), *added.to_batches()]
    del rows, added
    return _added_up(route, in_one(batches, route.schema))


def _added_up(route: Route, rows: pa.Table) -> pa.Table:
    return add_up(rows, route.sums, follows=(KEY,)) if route.sums else rows


def given_by(
    pieces: Iterable[Piece],
    routes: Mapping[str, Route],
    read: Callable[[Iterable[Piece], Mapping[str, Route]], Tables] = gather,
) -> Change:
    """What pieces add and take back."""
    sides: tuple[list[Piece], list[Piece]] = ([], [])
    for piece in pieces:
        sides[piece.is_removal].append(piece)
    return Change(*(read(side, routes) for side in sides))


def touched_by(given: Change) -> Ints:
    """The keys of what comes and goes, sorted, each once."""
    return _union(ints(table[KEY]) for tables in given for table in tables.values())


def _context(routes: Mapping[str, Route], given: Change) -> Ints:
    """The keys of what is not row-wise.

    Where only row-wise datasets change, what else they hold of a key says the same as before.
    """
    whole = [name for name, route in routes.items() if not route.is_row_wise]
    return _union(ints(tables[name][KEY]) for tables in given for name in whole)


def _union(keys: Iterable[Ints]) -> Ints:
    return distinct(np.concatenate(list(keys)))


def _answer(step: Step, tables: Tables) -> Tables:
    return step(tables) if any(map(len, tables.values())) else {}
