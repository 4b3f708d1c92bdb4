"""A stage of the flow: pieces grouped by shard, its step run on each, what changes scattered."""

import dataclasses
import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipelines import progress
from pipelines.kernels.columns import Ints
from pipelines.transforms.changes import (
    Change,
    change_of,
    changes_in_parts,
    given_by,
    is_first,
    touched_by,
)
from pipelines.transforms.lanes import on_threads
from pipelines.transforms.parts import InParts, Part, parts_for, read_keys, together
from pipelines.transforms.past import Past, remember
from pipelines.transforms.shuffle import (
    RESULTS_TAG,
    TALLY_TAG,
    Piece,
    Reference,
    Shuffle,
    Step,
    gather,
    scatter,
    written,
)
from pipelines.transforms.sums import Sums
from pipelines.transforms.waiting import Waiting

# The output with what the run's manifest is made of: results, and rows written and read.
MANIFEST_TAG = "manifest"


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
        sums, waiting = Sums(self._shuffle.routes), Waiting(self._shuffle.routes.keys())
        work = functools.partial(self._work, sums, waiting)
        for outputs in on_threads(work, sorted(shards.items())):
            yield from dealt(self._shuffle, outputs)
        for change in (Change(sums.rest(), {}), waiting.rest()):
            yield from dealt(self._shuffle, self._scattered(change))
        if self._shuffle.is_scratch:
            for path in {piece.path for own in shards.values() for piece in own} - {""}:
                Path(path).unlink()

    def _work(
        self, sums: Sums, waiting: Waiting, element: tuple[int, Sequence[Piece]]
    ) -> list[tuple[str, Any]]:
        """What one shard gives, by tag; much of it may wait for that of others."""
        shard, pieces = element
        routes = self._shuffle.given(self._stage)
        past = Past(self._shuffle, self._stage, shard)
        parts = self._parts_for(past, pieces)
        given = given_by(pieces, routes, gather if parts == 1 else read_keys)
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
        of_stage = self._step, self._shuffle, self._stage
        if parts > 1:
            changes = changes_in_parts(*of_stage, shard, pieces, parts)
        elif isinstance(self._step, InParts) and is_first(past, pieces):
            answers = together(self._step.step([(Part(), given.added)]))
            changes = (Change(self._shuffle.conform(answer), {}) for answer in answers)
        else:
            changes = iter([change_of(*of_stage, past, given)])
        del given  # its rows are in memory until then
        for change in changes:
            ready = waiting.put(change._replace(added=sums.put(change.added)))
            outputs += self._scattered(ready)
        return outputs

    def _parts_for(self, past: Past, pieces: Sequence[Piece]) -> int:
        """In how many parts to take a shard: by the rows that are to be looked at."""
        routes = self._shuffle.given(self._stage)
        most = {name: route.most_rows for name, route in routes.items() if route.most_rows}
        if not most:
            return 1
        rows = Counter[str]()
        for piece in pieces:
            rows[piece.dataset] += piece.rows

        def parts(touched: Ints | None = None) -> int:
            return max(
                parts_for(rows[name] + past.count(name, touched), most[name]) for name in most
            )

        if past and parts() > 1:
            return parts(touched_by(given_by(pieces, routes, read_keys)))
        return parts()

    def _scattered(self, change: Change) -> Iterator[tuple[str, Any]]:
        allowed = (RESULTS_TAG, TALLY_TAG, *self._shuffle.later(self._stage))
        for tables, is_removal in zip(change, (False, True), strict=True):
            for tag, reference in written(scatter(self._shuffle, tables, is_removal=is_removal)):
                if tag not in allowed:
                    raise ValueError(
                        f"stage {self._stage} gives {reference} to {tag}, not a later stage"
                    )
                yield tag, reference


@dataclasses.dataclass
class RunStage(beam.PTransform[Any, Any]):
    """Groups a stage's pieces by lane and runs its step on each shard.

    Takes (lane, (shard, pieces)); gives the same for each later stage, and for the manifest
    (0, (kind, entry)): result files, and rows written to each dataset or, below 0, read from it.
    Deterministic up to file names and to which shards' rows lie together, or are added up, so what
    a retried bundle writes says the same.
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
