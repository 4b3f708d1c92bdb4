"""The main flow: lake files to result files, on Apache Beam.

Thirteen stages, each a group-by of small references and a pure step over whole shards:

    ReadLake -> DropDuplicates -> SettleOrders -> StitchVisitors -> AttachLandings
             -> MeasureSpheres -> SelectTouches -> ChainTouches -> CreditPins -> MeetPeople
             -> FollowPeople -> Summarize -> MeasureLoyalty -> RankPinners -> manifest
"""

import functools
import itertools
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import progress
from pipelines.flows.cuts import FileGroup, file_groups, shards_for
from pipelines.flows.reading import read_group
from pipelines.io.items import keep_items
from pipelines.io.lake import LakeFile
from pipelines.io.quarantine import quarantine_files
from pipelines.io.staging import ResultFile
from pipelines.transforms.answers import carry_answers
from pipelines.transforms.cascades import attach_landings
from pipelines.transforms.chains import chain_touches
from pipelines.transforms.changes import OfChanges
from pipelines.transforms.concern import concern_of_cascades, concern_of_touches
from pipelines.transforms.credits import credit_pins
from pipelines.transforms.deduplicate import drop_duplicates
from pipelines.transforms.follow import follow_people
from pipelines.transforms.graph import rank_pinners
from pipelines.transforms.ladder import NO_ITEMS, Items
from pipelines.transforms.lanes import on_threads
from pipelines.transforms.loyalty import measure_loyalty
from pipelines.transforms.meet import meet_people
from pipelines.transforms.parts import InParts
from pipelines.transforms.people import settle_shard, stitch_visitors
from pipelines.transforms.routes import results as result_tables
from pipelines.transforms.routes import routes
from pipelines.transforms.shuffle import (
    RESULTS_TAG,
    TALLY_TAG,
    PastRun,
    Piece,
    Shuffle,
    Step,
    gather,
    scatter,
    written,
)
from pipelines.transforms.spheres import measure_cascades
from pipelines.transforms.stage import MANIFEST_TAG, RunStage, dealt
from pipelines.transforms.summaries import summarize
from pipelines.transforms.touches import select_touches
from pipelines.transforms.wanted import EVERYTHING, Wanted, wanted
from schemas.errors import AuditError
from schemas.events import EVENTS
from schemas.home import Home
from schemas.models import MODELS
from schemas.settings import Settings, Site
from schemas.tables import RESULTS

_LOCAL = "FnApiRunner"


class Work(NamedTuple):
    """What a run is to do: compute everything, or how the tables change."""

    groups: Sequence[FileGroup]  # to read
    shards: Mapping[str, int]  # of each stage, powers of two
    earlier: tuple[PastRun, ...] = ()  # runs to continue, oldest first; none: a full run
    taken_back: Sequence[str] = ()  # notes of groups that they read and that stand no longer
    items: Items = NO_ITEMS  # catalogs
    wanted: Wanted = EVERYTHING
    is_kept: bool = True  # so that a later run can continue


def attribute(
    home: Home,
    files: Sequence[LakeFile],
    settings: Settings,
    folder: Path,
    *,
    options: Sequence[str] = (),
    shards: int | None = None,
    results: Iterable[str] = RESULTS,
    models: Iterable[str] = MODELS,
) -> list[ResultFile]:
    """Computes all result tables of some lake files into Parquet files.

    Args:
      home: where quarantine and catalogs lie.
      files: the input; files of sites that the settings do not name are left out.
      settings: sites and engine.
      folder: an empty scratch folder on storage that all workers share.
      options: Beam options, `--runner=...` and the like.
      shards: how many shards to cut the work into, rounded up to a power of two; by default
        by the size of the files.
      results: the tables wanted; what no wanted table needs is not computed.
      models: the models wanted in them; `cascades` and `pinner_spheres` need the default as well.

    Returns:
      The files of each result table. Tables may have none.
    """
    files = [file for file in files if file.site_id in settings.sites]
    need = wanted(results, models)
    refused = quarantine_files(home) if "quarantined" in need else []
    groups = file_groups([*files, *refused], folder)
    items = keep_items(home, settings.sites, folder)
    work = Work(groups, shards_for(files, shards), items=items, wanted=need, is_kept=False)
    return update(work, settings, folder, folder / "results", options=options)


def update(
    work: Work, settings: Settings, folder: Path, results: Path, *, options: Sequence[str] = ()
) -> list[ResultFile]:
    """Computes how the result tables change when files come and go.

    Args:
      work: what to read, and what to continue.
      settings: sites and engine.
      folder: an empty folder on storage that all workers share; what a later run needs to
        continue from this one stays in it.
      results: folder for the result files.
      options: Beam options.

    Returns:
      The files of each result table: rows that come, and rows that go.

    Raises:
      AuditError: a stage did not read just the rows that were written for it.
    """
    beam_options = PipelineOptions(list(options))
    said = beam_options.get_all_options()
    runner = said["runner"] or _LOCAL
    shuffle = Shuffle(
        folder=os.fspath(folder),
        results_folder=os.fspath(results),
        shards=work.shards,
        routes=routes(work.wanted),
        results=result_tables(),
        stages=tuple(steps({}, work.wanted)),
        earlier=work.earlier,
        is_kept=work.is_kept,
        through=settings.shuffle,
        lanes=_lanes(said, max(work.shards.values())),
    )
    if shuffle.is_kept:
        carry_answers(shuffle)
    manifest = folder / "results.json"
    with beam.Pipeline(runner=runner, options=beam_options) as pipeline:
        _build(pipeline, work, settings, shuffle, manifest)
    return _read_manifest(manifest)


def _lanes(said: Mapping[str, Any], shards: int) -> int:
    """One for a runner with one worker, which is this process; else one for each shard."""
    is_local = said["runner"] in (None, _LOCAL) and said["direct_num_workers"] == 1
    return 1 if is_local else shards


def steps(
    sites: Mapping[str, Site],
    wanted: Wanted = EVERYTHING,
    engine: str = "vector",
    items: Items = NO_ITEMS,
) -> dict[str, Step]:
    """The stages in their order, and what each does; those of which nothing is wanted left out."""
    of_run = functools.partial(functools.partial, wanted=wanted)
    of_sites = functools.partial(of_run, sites=dict(sites))
    steps: dict[str, Step] = {
        "DropDuplicates": of_sites(drop_duplicates),
        "SettleOrders": of_sites(settle_shard),
        "StitchVisitors": of_run(stitch_visitors),
        "AttachLandings": of_sites(attach_landings),
        "MeasureSpheres": InParts(
            of_run(measure_cascades, engine=engine),
            functools.partial(concern_of_cascades, "pins_by_root", "landings_by_root"),
        ),
        "SelectTouches": of_sites(select_touches),
        "ChainTouches": InParts(
            of_sites(chain_touches),
            functools.partial(concern_of_cascades, "pins_to_chain", "order_touches"),
        ),
        "CreditPins": InParts(
            of_sites(credit_pins), functools.partial(concern_of_touches, dict(sites))
        ),
        "MeetPeople": of_sites(meet_people),
        "FollowPeople": OfChanges(of_sites(follow_people, items=dict(items))),
        "Summarize": of_sites(summarize),
        "MeasureLoyalty": of_sites(measure_loyalty),
        "RankPinners": of_sites(rank_pinners),
    }
    busy = {route.stage for name, route in routes().items() if name in wanted or name in EVENTS}
    return {stage: step for stage, step in steps.items() if stage in busy}


def _build(
    pipeline: beam.Pipeline,
    work: Work,
    settings: Settings,
    shuffle: Shuffle,
    manifest: Path,
) -> None:
    progress.expect("ReadLake", len(work.groups))
    first, lanes = shuffle.stages[0], range(min(shuffle.lanes, len(work.groups)))
    # A manifest is written even when there is nothing at all.
    begin = pipeline | "Begin" >> beam.Create([(0, (TALLY_TAG, ("", 0)))])
    inputs: dict[str, list[Any]] = {stage: [] for stage in (MANIFEST_TAG, *shuffle.stages)}
    inputs[MANIFEST_TAG].append(begin)
    sources = [
        pipeline
        | "ListLake" >> beam.Create([work.groups[lane :: shuffle.lanes] for lane in lanes])
        | "ReadLake" >> beam.ParDo(_ReadFn(shuffle)).with_outputs(MANIFEST_TAG, first)
    ]
    if work.taken_back:
        sources.append(
            pipeline
            | "ListTakenBack" >> beam.Create(work.taken_back)
            | "TakeBack" >> beam.ParDo(_TakeBackFn(shuffle)).with_outputs(MANIFEST_TAG, first)
        )
    for source in sources:
        for tag in (MANIFEST_TAG, first):
            inputs[tag].append(source[tag])
    for stage, step in steps(settings.sites, work.wanted, settings.engine, work.items).items():
        pieces = tuple(inputs[stage]) | f"For{stage}" >> beam.Flatten()
        for tag, output in (pieces | stage >> RunStage(stage, step, shuffle)).items():
            inputs[tag].append(output)
    (
        inputs[MANIFEST_TAG]
        | "Manifest" >> beam.Flatten()
        | "GroupManifest" >> beam.GroupByKey()
        | "WriteManifest" >> beam.Map(_write_manifest, path=os.fspath(manifest))
    )


class _ReadFn(beam.DoFn):
    """Scatters files, and notes the pieces they became, should they ever be taken back."""

    def __init__(self, shuffle: Shuffle) -> None:
        self._shuffle = shuffle

    def process(self, groups: Sequence[FileGroup]) -> Iterator[Any]:
        for outputs in on_threads(self._read, itertools.starmap(FileGroup, groups)):
            yield from dealt(self._shuffle, outputs)

    def _read(self, group: FileGroup) -> list[tuple[str, Any]]:
        route = self._shuffle.routes.get(group.kind)  # not of what was refused
        tables = read_group(group, route and route.schema)
        progress.tick("ReadLake", rows=sum(map(len, tables.values())))
        references = list(scatter(self._shuffle, self._shuffle.conform(tables)))
        if self._shuffle.is_kept:
            note = Path(group.note)
            note.parent.mkdir(parents=True, exist_ok=True)
            aside = note.with_name(f".{uuid.uuid4().hex}")
            aside.write_text(json.dumps(references))
            aside.replace(note)
        return list(written(references))


class _TakeBackFn(beam.DoFn):
    """Scatters the rows of a group again, as rows that go."""

    def __init__(self, shuffle: Shuffle) -> None:
        self._shuffle = shuffle

    def process(self, note: str) -> Iterator[Any]:
        references = json.loads(Path(note).read_text())
        pieces = [Piece(*piece) for _, (_, given) in references for piece in given]
        routes = {piece.dataset: self._shuffle.routes[piece.dataset] for piece in pieces}
        rows = gather(pieces, routes)
        yield from dealt(self._shuffle, written(scatter(self._shuffle, rows, is_removal=True)))


def _write_manifest(element: tuple[int, Iterable[tuple[str, Any]]], path: str) -> None:
    tally: Counter[str] = Counter()
    results: list[Any] = []
    for tag, entry in element[1]:
        if tag == TALLY_TAG:
            tally[entry[0]] += entry[1]
        else:
            results += entry[1]
    Path(path).write_text(
        json.dumps({TALLY_TAG: sorted(tally.items()), RESULTS_TAG: sorted(results)})
    )


def _read_manifest(path: Path) -> list[ResultFile]:
    """The result files of a run in which every stage read what others had written for it.

    Raises:
      AuditError: rows were lost on the way, or came twice.
    """
    manifest = json.loads(path.read_text())
    wrong = [f"{name} {rows:+,}" for name, rows in manifest[TALLY_TAG] if rows]
    if wrong:
        raise AuditError(f"rows written and not read, or read too often (-): {', '.join(wrong)}")
    pieces = [Piece(*piece) for piece in manifest[RESULTS_TAG]]
    return [ResultFile(p.dataset, p.path, p.rows, p.is_removal) for p in pieces]
