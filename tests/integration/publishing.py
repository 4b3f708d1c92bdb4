"""Shops whose runs are published on real databases."""

from sqlalchemy import Engine, text

from pipelines.flows.run import RunReport, run
from pipelines.io.lake import LakeWriter
from pipelines.io.runs import PublishedRun, shown_run
from schemas.events import AnyEvent
from schemas.home import Home
from schemas.results import result_schema
from schemas.tables import RESULTS
from tests.flow.truth import by_name
from tests.world import simulate

SETTINGS = "".join(
    f'[sites.{name}]\nkey = "key-of-{name}"\ncurrency = "GBP"\norders_from = "{mode}"\n'
    for name, mode in (("acme", "server"), ("bolt", "both"))
)


def happened(seed: int) -> list[AnyEvent]:
    """Events of both shops; few, since what is tested is what becomes of their rows.

    And of few days: each has files of its own in the lake, which every test would read again.
    """
    return simulate(seed, visitors=6, days=6).events


def fill(home: Home, events: list[AnyEvent], name: str = "all") -> None:
    """Writes events into the lake."""
    with LakeWriter(home) as writer:
        for event_name, table in by_name(events).items():
            writer.write(event_name, table, name)


def attribute(home: Home, *, is_full: bool = False) -> RunReport:
    """One run of the main job."""
    return run(home, code_version="test", shards=2, is_full=is_full)


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """The published rows of every result table."""
    rows = {}
    with engine.connect() as connection:
        for name in RESULTS:
            columns = ", ".join(result_schema(name).names)
            answer = connection.execute(text(f"SELECT {columns} FROM current_{name}"))
            rows[name] = sorted((tuple(row) for row in answer), key=str)
    return rows


def shown(engine: Engine) -> PublishedRun:
    """The run that readers see."""
    with engine.connect() as connection:
        found = shown_run(connection)
    assert found is not None
    return found
