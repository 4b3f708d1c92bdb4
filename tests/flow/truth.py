"""Runs the production steps on events, with and without Beam, and compares with the oracle."""

import itertools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.flows.attribute import attribute, steps
from pipelines.io.lake import LakeWriter, lake_files
from pipelines.io.ordered import read_batches
from pipelines.transforms.deduplicate import with_derived
from pipelines.transforms.ladder import NO_ITEMS, Items
from pipelines.transforms.routes import routes
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.events import EVENTS, AnyEvent
from schemas.home import Home
from schemas.lake import lake_schema, to_table
from schemas.results import result_key, result_schema
from schemas.settings import Settings, Site
from schemas.tables import RESULTS

Rows = dict[str, list[dict[str, Any]]]
# What the oracle knows of; its floats are compared to nine decimals.
ORACLE_TABLES = (
    "pins", "visits", "orders", "order_lines", "order_credits", "sales_daily",
    "pinner_spheres", "sphere_edges", "cascades", "pinner_stages", "stage_transitions",
)  # fmt: skip


def by_name(events: Iterable[AnyEvent]) -> dict[str, pa.Table]:
    """The events as lake tables, by event name."""
    ordered = sorted(events, key=_event_name)
    groups = itertools.groupby(ordered, key=_event_name)
    return {name: to_table(name, list(group)) for name, group in groups}


def _event_name(event: AnyEvent) -> str:
    return str(event.__struct_config__.tag)


def run_steps(
    events: Sequence[AnyEvent],
    sites: Mapping[str, Site],
    wanted: Wanted = EVERYTHING,
    items: Items = NO_ITEMS,
) -> Rows:
    """All stages one after the other on whole tables: what Beam must give as well."""
    made = run_stages(events, sites, wanted, items)
    return {name: to_rows(name, made.get(name, [])) for name in RESULTS}


def run_stages(
    events: Sequence[AnyEvent],
    sites: Mapping[str, Site],
    wanted: Wanted = EVERYTHING,
    items: Items = NO_ITEMS,
) -> dict[str, list[pa.Table]]:
    """The same, with everything that stages pass to each other."""
    tables = by_name(events)
    made: dict[str, list[pa.Table]] = {
        name: [with_derived(name, tables.get(name, lake_schema(name).empty_table()))]
        for name in EVENTS
    }
    for stage, step in steps(sites, wanted, items=items).items():
        taken = {
            name: pa.concat_tables(
                [route.conform(table) for table in made.get(name, [])]
                or [route.schema.empty_table()]
            )
            for name, route in routes(wanted).items()
            if route.stage == stage
        }
        for name, table in step(taken).items():
            made.setdefault(name, []).append(table)
    return made


def run_beam(
    runs: Sequence[Sequence[AnyEvent]],
    sites: Mapping[str, Site],
    shards: int | None = None,
    **settings: Any,
) -> Rows:
    """The real flow over a lake that was written in these runs, with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(folder)
        for number, events in enumerate(runs):
            with LakeWriter(home) as writer:
                for name, table in by_name(events).items():
                    writer.write(name, table, f"run-{number}")
        work = Path(folder) / "scratch"
        work.mkdir()
        given = Settings(sites=dict(sites), **settings)
        files = attribute(home, lake_files(home), given, work, shards=shards)
        found: dict[str, list[pa.Table]] = {name: [] for name in RESULTS}
        for file in files:
            found[file.table].append(pa.Table.from_batches(read_batches(file.path)))
        return {name: to_rows(name, tables) for name, tables in found.items()}


def to_rows(name: str, tables: Sequence[pa.Table]) -> list[dict[str, Any]]:
    """A result table's rows in the order of its key."""
    schema = result_schema(name)
    parts = [table.select(schema.names).cast(schema) for table in tables]
    table = pa.concat_tables(parts or [schema.empty_table()])
    if len(table) > 1:
        table = table.sort_by([(key, "ascending") for key in result_key(name)])
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def as_truth(rows: Rows, columns: Mapping[str, Sequence[str]]) -> Rows:
    """The rows of the oracle's tables, with its columns only, floats rounded, in one order."""
    return {
        name: sorted(
            ({column: _rounded(row[column]) for column in columns[name]} for row in rows[name]),
            key=str,
        )
        for name in ORACLE_TABLES
    }


def _rounded(value: Any) -> Any:
    return round(value, 9) + 0.0 if isinstance(value, float) else value
