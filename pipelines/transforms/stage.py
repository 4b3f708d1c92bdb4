"""A stage of the flow: a pure step on whole key groups, and how its answer changes.

There is one way to compute, for a full run and for an incremental one: what the step says of
the affected keys now, less what it said of them before. A full run is the one in which there
was no before.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipelines import progress
from pipelines.kernels.columns import Ints, Tables, ints
from pipelines.kernels.multisets import add_up, cancel, is_among, negated, without
from pipelines.transforms.lanes import on_threads
from pipelines.transforms.past import Past, remember
from pipelines.transforms.shuffle import (
    KEY,
    RESULTS_TAG,
    TALLY_TAG,
    Piece,
    Reference,
    Route,
    Shuffle,
    Step,
    gather,
    scatter,
    written,
)

# The output with what the run's manifest is made of: results, and rows written and read.
MANIFEST_TAG = "manifest"


class Change(NamedTuple):
    """Rows that come to datasets, and rows that are taken back."""

    added: Tables
    removed: Tables


def change_of(step: Step, shuffle: Shuffle, stage: str, past: Past, given: Change) -> Change:
    """How a step's answer changes when what it is given changes, as `Shuffle.conform` gives it.

    Args:
      step: pure over whole key groups: `step(A + B) = step(A) + step(B)` for disjoint keys.
      shuffle: says which datasets the stage takes, and how.
      stage: its name.
      past: what the stage was given before.
      given: what comes in now.

    Raises:
      ValueError: rows are taken back that are not there.
    """
    if not past and not any(map(len, given.removed.values())):
        return Change(shuffle.conform(step(given.added)), {})
    routes = shuffle.given(stage)
    old, new = _affected(routes, past, _netted(routes, given))
    before, after = (shuffle.conform(_answer(step, tables)) for tables in (old, new))
    added, removed = {}, {}
    for name in sorted({*before, *after}):
        nothing = (after if name in after else before)[name].slice(0, 0)
        said, says = (answer.get(name, nothing) for answer in (before, after))
        sums = shuffle.routes[name].sums if name in shuffle.routes else ()
        if sums:
            added[name] = add_up(pa.concat_tables([says, negated(said, sums)]), sums)
        else:
            added[name], removed[name] = cancel(says, said)
    return Change(added, removed)


def _netted(routes: Mapping[str, Route], given: Change) -> Change:
    """What comes less what goes again: a file read anew changes nothing that it still says."""
    netted = Change({}, {})
    for name in routes:
        netted.added[name], netted.removed[name] = cancel(given.added[name], given.removed[name])
    return netted


def _affected(routes: Mapping[str, Route], past: Past, given: Change) -> tuple[Tables, Tables]:
    """All rows that decide what the step says of the affected keys: before, and now."""
    sides = {name: [ints(table[name][KEY]) for table in given] for name in routes}
    touched = _union(key for keys in sides.values() for key in keys)
    # Where only row-wise datasets change, what else they hold of a key says the same as before.
    context = _union(
        key for name, keys in sides.items() if not routes[name].is_row_wise for key in keys
    )
    old = past.rows(
        {name: context if route.is_row_wise else touched for name, route in routes.items()}
    )
    new = {}
    for name, route in routes.items():
        if route.is_row_wise:
            alone = ~is_among(sides[name][1], context)
            old[name] = pa.concat_tables([old[name], given.removed[name].filter(pa.array(alone))])
        rows = without(old[name], given.removed[name])
        new[name] = pa.concat_tables([rows, given.added[name]]).combine_chunks()
        if route.sums:
            old[name], new[name] = (add_up(each, route.sums) for each in (old[name], new[name]))
    return old, new


def _union(keys: Iterable[Ints]) -> Ints:
    return np.unique(np.concatenate(list(keys)))


def _answer(step: Step, tables: Tables) -> Tables:
    return step(tables) if any(map(len, tables.values())) else {}


def dealt(shuffle: Shuffle, outputs: Iterable[tuple[str, Any]]) -> Iterator[Any]:
    """Outputs as Beam groups them: references by lane, what the manifest says under one key."""
    for tag, output in outputs:
        if tag in (RESULTS_TAG, TALLY_TAG):
            yield TaggedOutput(MANIFEST_TAG, (0, (tag, output)))
        else:
            yield TaggedOutput(tag, (output[0] % shuffle.lanes, output))


class _StageFn(beam.DoFn):
    """Of each shard of a lane: reads it, runs the step, scatters what changes."""

    def __init__(self, stage: str, step: Step, shuffle: Shuffle) -> None:
        self._stage, self._step, self._shuffle = stage, step, shuffle

    def process(self, element: tuple[int, Iterable[Reference]]) -> Iterator[Any]:
        shards: dict[int, list[Piece]] = defaultdict(list)
        for shard, pieces in element[1]:
            shards[shard] += itertools.starmap(Piece, pieces)
        for outputs in on_threads(self._work, sorted(shards.items())):
            yield from dealt(self._shuffle, outputs)

    def _work(self, element: tuple[int, Sequence[Piece]]) -> list[tuple[str, Any]]:
        """What one shard gives, by tag."""
        shard, pieces = element
        routes = self._shuffle.given(self._stage)
        given = Change(
            gather((piece for piece in pieces if not piece.is_removal), routes),
            gather((piece for piece in pieces if piece.is_removal), routes),
        )
        rows = sum(len(table) for tables in given for table in tables.values())
        progress.tick(self._stage, rows=rows)
        outputs: list[tuple[str, Any]] = [
            (TALLY_TAG, (name, -len(table)))
            for tables in given
            for name, table in tables.items()
            if len(table)
        ]
        if self._shuffle.is_kept:
            remember(self._shuffle, self._stage, shard, pieces, *given)
        past = Past(self._shuffle, self._stage, shard)
        change = change_of(self._step, self._shuffle, self._stage, past, given)
        del given  # its rows are in memory until then
        allowed = (RESULTS_TAG, TALLY_TAG, *self._shuffle.later(self._stage))
        for tables, is_removal in zip(change, (False, True), strict=True):
            given_on = scatter(self._shuffle, tables, is_removal=is_removal)
            for tag, reference in written(given_on):
                if tag not in allowed:
                    raise ValueError(
                        f"stage {self._stage} gives {reference} to {tag}, not a later stage"
                    )
                outputs.append((tag, reference))
        return outputs


@dataclasses.dataclass
class RunStage(beam.PTransform[Any, Any]):
    """Groups a stage's pieces by lane and runs its step on each shard.

    Takes (lane, (shard, pieces)); gives the same for each later stage, and for the manifest
    (0, (kind, entry)): result files, and rows written to each dataset or, below 0, read from it.
    Deterministic up to file names, so a retried bundle writes the same rows.
    """

    stage: str
    step: Step
    shuffle: Shuffle

    def expand(self, pieces: Any) -> Any:
        """Wires the group-by and the step."""
        progress.expect(self.stage, self.shuffle.shards[self.stage])
        tags = (MANIFEST_TAG, *self.shuffle.later(self.stage))
        outputs = (
            pieces
            | "GroupByLane" >> beam.GroupByKey()
            | "RunStep"
            >> beam.ParDo(_StageFn(self.stage, self.step, self.shuffle)).with_outputs(*tags)
        )
        return {tag: outputs[tag] for tag in tags}
