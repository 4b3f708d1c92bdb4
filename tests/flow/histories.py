"""The flow without Beam, run after run on a lake that changes: what incremental tests share."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.flows.attribute import steps
from pipelines.io.ordered import read_batches
from pipelines.transforms.answers import carry_answers
from pipelines.transforms.deduplicate import with_derived
from pipelines.transforms.routes import results, routes
from pipelines.transforms.shuffle import (
    RESULTS_TAG,
    PastRun,
    Piece,
    Reference,
    Shuffle,
    Step,
    gather,
    scatter,
)
from pipelines.transforms.stage import MANIFEST_TAG, _StageFn
from schemas.events import AnyEvent
from schemas.results import result_key
from schemas.settings import Site
from schemas.tables import RESULTS
from tests.flow.truth import Rows, by_name

References = list[tuple[str, Reference]]
# A lake: the events of each file.
Lake = Mapping[str, Sequence[AnyEvent]]


class House:
    """Runs the stages one after the other, and keeps tables and memory between runs."""

    def __init__(
        self, folder: Path, sites: Mapping[str, Site], shards: Sequence[int] = (2,)
    ) -> None:
        self.sites, self.shards = sites, shards
        self.steps: dict[str, Step] = steps(sites)
        self.routes = dict(routes())
        self.tables: dict[str, dict[Any, dict[str, Any]]] = {name: {} for name in RESULTS}
        self.touched: dict[str, int] = {}
        self._folder = folder
        self._runs: list[PastRun] = []
        self._read: dict[str, tuple[Sequence[AnyEvent], Path]] = {}

    def run(self, lake: Lake) -> Rows:
        """Brings the tables up to date with the lake; gives all their rows."""
        folder = self._folder / str(len(self._runs))
        folder.mkdir(parents=True)
        number = self.shards[len(self._runs) % len(self.shards)]
        shuffle = Shuffle(
            folder=str(folder),
            results_folder=str(folder / "results"),
            # Every other stage has one shard only.
            shards={stage: (number, 1)[place % 2] for place, stage in enumerate(self.steps)},
            routes=self.routes,
            results=results(),
            stages=tuple(self.steps),
            earlier=tuple(self._runs),
        )
        carry_answers(shuffle)
        given: dict[str, list[Reference]] = defaultdict(list)
        for tag, reference in self._changed(lake, shuffle):
            given[tag].append(reference)
        self.touched = dict.fromkeys(self.steps, 0)
        for stage, step in self.steps.items():
            pieces = [piece for _, own in given[stage] for piece in own]
            self.touched[stage] = sum(piece.rows for piece in pieces)
            for output in _StageFn(stage, step, shuffle).process((0, given[stage])):
                # By lane; or for the manifest, with the tag that it stands under there.
                _, value = output.value
                tag, reference = value if output.tag == MANIFEST_TAG else (output.tag, value)
                given[tag].append(reference)
        self._runs.append(PastRun(str(folder), shuffle.shards))
        self._apply([piece for _, own in given[RESULTS_TAG] for piece in own])
        return {
            name: [rows[key] for key in sorted(rows, key=_nulls_last)]
            for name, rows in self.tables.items()
        }

    def _changed(self, lake: Lake, shuffle: Shuffle) -> References:
        """The pieces of files that are new, and of those that are gone or changed, taken back."""
        changed: References = []
        for name, (events, note) in list(self._read.items()):
            if lake.get(name) != events:
                del self._read[name]
                references = json.loads(note.read_text())
                pieces = [Piece(*piece) for _, (_, own) in references for piece in own]
                rows = gather(
                    pieces, {piece.dataset: self.routes[piece.dataset] for piece in pieces}
                )
                changed += scatter(shuffle, rows, is_removal=True)
        for name, events in lake.items():
            if name not in self._read:
                tables = {
                    kind: with_derived(kind, table) for kind, table in by_name(events).items()
                }
                references = list(scatter(shuffle, shuffle.conform(tables)))
                note = self._folder / f"{len(self._runs)}-{name}.json"
                note.write_text(json.dumps(references))
                self._read[name] = (events, note)
                changed += references
        return changed

    def _apply(self, results: Sequence[Piece]) -> None:
        """Takes back and puts in result rows, as a database would, and refuses what it would."""
        for piece in sorted(results, key=lambda piece: not piece.is_removal):
            rows = self.tables[piece.dataset]
            for row in pa.Table.from_batches(read_batches(piece.path)).to_pylist():
                key = tuple(row[name] for name in result_key(piece.dataset))
                if piece.is_removal:
                    assert rows.pop(key) == row, "a row is taken back that does not stand"
                else:
                    assert rows.setdefault(key, row) is row, "a row is there already"


def _nulls_last(key: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    return [(value is None, value) for value in key]


def large_from(rows: int, parts: int) -> Callable[[int, int], int]:
    """In place of `parts_for`: more rows than these make a shard large, and so many parts of it."""
    return lambda found, _: parts if found > rows else 1
