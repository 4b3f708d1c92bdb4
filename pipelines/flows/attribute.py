"""The main flow: lake files to result files, on Apache Beam.

Seven stages, each a group-by of small references and a pure step over whole shards:

    ReadLake -> DropDuplicates -> SettleOrders -> StitchVisitors -> AttachLandings
             -> MeasureSpheres -> CreditPins -> Summarize -> manifest
"""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import TaggedOutput

from pipelines import progress
from pipelines.io.lake import LakeFile
from pipelines.io.publish import ResultFile
from pipelines.io.quarantine import read_rejects
from pipelines.kernels.columns import Tables, ints
from pipelines.transforms.cascades import attach_landings, measure_cascades
from pipelines.transforms.credits import credit_shard
from pipelines.transforms.daily import days_of
from pipelines.transforms.deduplicate import drop_duplicates, with_time
from pipelines.transforms.people import settle_shard, stitch_visitors
from pipelines.transforms.shuffle import RESULTS_TAG, Piece, Route, RunStage, Shuffle, Step, scatter
from pipelines.transforms.summaries import summarize
from schemas import batches
from schemas.errors import LakeError
from schemas.events import EVENTS
from schemas.lake import ADDED_COLUMNS, lake_schema
from schemas.results import result_key, result_schema
from schemas.settings import Home, Settings, Site
from schemas.spool import UNKNOWN_SITE
from schemas.tables import RESULTS

# Bytes of Parquet to one shard and to one group of files: small enough for flat memory,
# large enough that arrays stay long.
_SHARD_BYTES, _MAX_SHARDS, _GROUP_BYTES = 1_000_000, 64, 10_000_000


class FileGroup(NamedTuple):
    """Lake files of one event name that are read together."""

    event_name: str
    paths: tuple[str, ...]


def attribute(
    home: Home,
    files: Sequence[LakeFile],
    settings: Settings,
    folder: Path,
    *,
    options: Sequence[str] = (),
    shards: int | None = None,
) -> list[ResultFile]:
    """Computes all result tables of some lake files into Parquet files.

    Args:
      home: where quarantine lies.
      files: the input; files of sites that the settings do not name are left out.
      settings: sites and engine.
      folder: an empty scratch folder on storage that all workers share.
      options: Beam options, `--runner=...` and the like.
      shards: how many shards to cut the work into; by default by the size of the files.

    Returns:
      The files of each result table. Tables may have none.
    """
    files = [file for file in files if file.site_id in settings.sites]
    size = sum(file.size for file in files)
    shuffle = Shuffle(
        folder=os.fspath(folder / "pieces"),
        shards=shards or min(max(-(-size // _SHARD_BYTES), 1), _MAX_SHARDS),
        routes=routes(),
        results={name: (result_schema(name), result_key(name)) for name in RESULTS},
        stages=tuple(steps({})),
    )
    manifest = folder / "manifest.json"
    beam_options = PipelineOptions(list(options))
    runner = beam_options.get_all_options()["runner"] or "FnApiRunner"
    with beam.Pipeline(runner=runner, options=beam_options) as pipeline:
        _build(pipeline, home, files, settings.sites, shuffle, manifest)
    return [ResultFile(*result) for result in json.loads(manifest.read_text())]


def steps(sites: Mapping[str, Site]) -> dict[str, Step]:
    """The stages in their order, and what each does."""
    of_sites = functools.partial(functools.partial, sites=dict(sites))
    return {
        "DropDuplicates": of_sites(drop_duplicates),
        "SettleOrders": of_sites(settle_shard),
        "StitchVisitors": stitch_visitors,
        "AttachLandings": attach_landings,
        "MeasureSpheres": of_sites(measure_cascades),
        "CreditPins": of_sites(credit_shard),
        "Summarize": of_sites(summarize),
    }


def routes() -> dict[str, Route]:
    """Which stage takes which dataset, sharded by which columns."""
    by_key = ("site_id", "shard_key")
    by_pinner = ("site_id", "pinner_id")
    routes = {
        name: Route(
            "DropDuplicates",
            ("site_id", "event_id"),
            lake_schema(name).append(pa.field("at", pa.int64())),
        )
        for name in EVENTS
    }
    purchase, refund = routes["purchase"].schema, routes["refund"].schema
    return routes | {
        "purchases": Route("SettleOrders", ("site_id", "order_id"), purchase),
        "refunds": Route("SettleOrders", ("site_id", "order_id"), refund),
        "emails": Route("SettleOrders", by_key, batches.EMAILS),
        "logins": Route("StitchVisitors", ("site_id", "visitor_id"), batches.LOGINS),
        "pin_clicks": Route("StitchVisitors", ("site_id", "visitor_id"), batches.PIN_CLICKS),
        "landings": Route("StitchVisitors", ("site_id", "visitor_id"), batches.LANDINGS),
        "settled_orders": Route("StitchVisitors", by_key, batches.ORDERS),
        "pins_by_person": Route("AttachLandings", ("site_id", "pin_id"), batches.PINS_BY_PERSON),
        "landings_by_person": Route("AttachLandings", by_key, batches.LANDINGS_BY_PERSON),
        "pins_by_root": Route("MeasureSpheres", ("site_id", "root_pin_id"), batches.PINS_BY_PERSON),
        "landings_by_root": Route(
            "MeasureSpheres", ("site_id", "root_pin_id"), batches.LANDINGS_BY_ROOT
        ),
        "touches": Route("CreditPins", ("site_id", "person_id"), batches.TOUCHES),
        "orders_by_person": Route("CreditPins", by_key, batches.ORDERS_BY_PERSON),
        "reach": Route("Summarize", by_pinner, batches.REACH),
        "hop_visits": Route("Summarize", by_pinner, batches.HOP_VISITS),
        "own_pins": Route("Summarize", by_pinner, batches.OWN_PINS),
        "influence": Route("Summarize", by_pinner, batches.INFLUENCE),
        "credit_sums": Route("Summarize", ("site_id", "key"), batches.CREDIT_SUMS),
        "cascade_shapes": Route("Summarize", ("site_id", "root_pin_id"), batches.CASCADE_SHAPES),
        "daily_parts": Route("Summarize", ("site_id", "key"), batches.DAILY_PARTS),
        "quality_parts": Route("Summarize", ("site_id", "day"), batches.QUALITY_PARTS),
        "rejects": Route("Summarize", ("site_id", "reject_id"), result_schema("quarantine")),
    }


def _build(
    pipeline: beam.Pipeline,
    home: Home,
    files: Sequence[LakeFile],
    sites: Mapping[str, Site],
    shuffle: Shuffle,
    manifest: Path,
) -> None:
    groups = file_groups(files)
    progress.expect("ReadLake", len(groups))
    read = (
        pipeline
        | "ListLake" >> beam.Create(groups)
        | "ReadLake" >> beam.ParDo(_ReadFn(shuffle)).with_outputs(*shuffle.stages)
    )
    rejected = (
        pipeline
        | "NameHome" >> beam.Create([os.fspath(home.path)])
        | "ReadQuarantine"
        >> beam.ParDo(_ReadRejectsFn(shuffle, dict(sites))).with_outputs(*shuffle.stages)
    )
    first, last = shuffle.stages[0], shuffle.stages[-1]
    inputs: dict[str, list[Any]] = {stage: [] for stage in (RESULTS_TAG, *shuffle.stages)}
    inputs[first].append(read[first])
    inputs[last].append(rejected[last])
    for stage, step in steps(sites).items():
        pieces = tuple(inputs[stage]) | f"For{stage}" >> beam.Flatten()
        for tag, output in (pieces | stage >> RunStage(stage, step, shuffle)).items():
            inputs[tag].append(output)
    # The manifest is written even when there is no result at all.
    begin = pipeline | "BeginManifest" >> beam.Create([(0, Piece("", "", 0, 0))])
    (
        (*inputs[RESULTS_TAG], begin)
        | "AllResults" >> beam.Flatten()
        | "GroupResults" >> beam.GroupByKey()
        | "WriteManifest" >> beam.Map(_write_manifest, path=os.fspath(manifest))
    )


def file_groups(files: Iterable[LakeFile]) -> list[FileGroup]:
    """Files by event name, in groups of about equal size."""
    groups: list[FileGroup] = []
    size = 0
    for file in sorted(files):
        path = os.fspath(file.path)
        if groups and groups[-1].event_name == file.event_name and size < _GROUP_BYTES:
            groups[-1] = FileGroup(file.event_name, (*groups[-1].paths, path))
            size += file.size
        else:
            groups.append(FileGroup(file.event_name, (path,)))
            size = file.size
    return groups


def read_group(group: FileGroup) -> Tables:
    """The events of a group of lake files, with their derived time.

    Raises:
      LakeError: a file is not Parquet, or has not the columns of its event name.
    """
    schema = lake_schema(group.event_name)
    tables = []
    for path in group.paths:
        try:
            tables.append(_read_file(path, schema))
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            raise LakeError(
                f"{path} is not a lake file of {group.event_name!r}: {error};"
                " move it out of the lake and import its events again"
            ) from None
    return {group.event_name: with_time(pa.concat_tables(tables))}


def _read_file(path: str, schema: pa.Schema) -> pa.Table:
    table = pq.ParquetFile(path).read()
    for name in ADDED_COLUMNS.intersection(schema.names).difference(table.column_names):
        column = schema.field(name)
        table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    table = table.select(schema.names).cast(schema)
    table.validate(full=True)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"column {field.name!r} lacks values")
    return table


class _ReadFn(beam.DoFn):
    def __init__(self, shuffle: Shuffle) -> None:
        self._shuffle = shuffle

    def process(self, group: FileGroup) -> Iterator[Any]:
        tables = read_group(FileGroup(*group))
        progress.tick("ReadLake", rows=sum(map(len, tables.values())))
        for tag, reference in scatter(self._shuffle, tables):
            yield TaggedOutput(tag, reference)


class _ReadRejectsFn(beam.DoFn):
    def __init__(self, shuffle: Shuffle, sites: dict[str, Site]) -> None:
        self._shuffle, self._sites = shuffle, sites

    def process(self, home: str) -> Iterator[Any]:
        for tag, reference in scatter(self._shuffle, rejects_table(Home(home), self._sites)):
            yield TaggedOutput(tag, reference)


def rejects_table(home: Home, sites: Mapping[str, Site]) -> Tables:
    """What beacon and imports put into quarantine, and its counts by day."""
    # Without their texts, which are long: those stay in the files. A drain that was cut off
    # may have written one twice.
    rejects = {
        (reject.site_id, reject.reject_id): {
            "site_id": reject.site_id or UNKNOWN_SITE,
            "reject_id": reject.reject_id,
            "origin": reject.origin,
            "place": reject.place,
            "reason": reject.reason,
            "received_at": reject.received_time_ms,
        }
        for reject in read_rejects(home)
    }
    table = pa.Table.from_pylist(list(rejects.values()), schema=result_schema("quarantine"))
    dated = table.append_column("at", table["received_at"])
    one = ints(table["received_at"]) * 0 + 1
    counts = {name: one * (name == "quarantined") for name in batches.QUALITY_COUNTS}
    quality = {
        "site_id": table["site_id"],
        "day": days_of(dated, sites),
        "event_name": pa.array(["unknown"] * len(table), pa.string()),
        **counts,
    }
    return {"rejects": table, "quality_parts": pa.table(quality)}


def _write_manifest(element: tuple[int, Iterable[Piece]], path: str) -> None:
    _, pieces = element
    results = sorted((p.dataset, p.path, p.rows) for p in map(Piece._make, pieces) if p.dataset)
    Path(path).write_text(json.dumps(results))
