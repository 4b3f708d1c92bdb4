"""Erasures in the database: proofs of those carried out, and room given back, byte for byte."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import pyarrow.compute as pc
from sqlalchemy import Engine, delete, insert

from pipelines.io.forget import give_back
from pipelines.io.lake import LakeFile, lake_files, read_lake_file
from pipelines.io.runs import forget_runs
from schemas.home import Home
from schemas.tables import Base, Erasure

Kind = Literal["visitor", "customer"]
KINDS: tuple[Kind, ...] = ("visitor", "customer")


class Subject(msgspec.Struct, frozen=True):
    """Who is to be erased, and who asked when."""

    site_id: str
    kind: Kind
    name: str
    request_id: str
    requested_at: int


_KEY = ("site_id", "request_id", "kind")


def waiting_erasures(files: Iterable[LakeFile]) -> list[Subject]:
    """Requests in the lake that nobody has carried out: signed `erase` events.

    Only the shop's own word counts: who knows a visitor's id could erase her otherwise.

    Raises:
      LakeError: a file cannot be read.
    """
    subjects: dict[tuple[str, str, str], Subject] = {}
    for file in files:
        if file.event_name != "erase":
            continue
        events = read_lake_file(file)
        for event in events.filter(pc.equal(events["is_signed"], True)).to_pylist():
            for kind in KINDS:
                name = event[f"{kind}_id"]
                if name is not None:
                    at = event["received_time_ms"] or event["event_time_ms"]
                    subject = Subject(event["site_id"], kind, name, event["request_id"], at)
                    subjects.setdefault((subject.site_id, kind, name), subject)
    return list(subjects.values())


def count_waiting(home: Home) -> int:
    """How many erasures wait, one that was cut off among them."""
    return len(waiting_erasures(lake_files(home))) + home.erasing.exists()


def forget_earlier(engine: Engine, proofs: Iterable[dict[str, Any]]) -> None:
    """Forgets all runs but the published one, writes the proofs, and gives the room back.

    Args:
      engine: an upgraded database whose published run was made after the erasure.
      proofs: rows of `erasures`; one of the same key is replaced.

    Raises:
      BusyError: somebody reads an SQLite database for so long that its log cannot be emptied.
    """
    forget_runs(engine, keep=1)
    with engine.begin() as connection:
        for proof in proofs:
            same = (getattr(Erasure, name) == proof[name] for name in _KEY)
            connection.execute(delete(Erasure).where(*same))
            connection.execute(insert(Erasure).values(**proof))
    raw = engine.raw_connection()
    try:
        driver: Any = raw.driver_connection
        if isinstance(driver, sqlite3.Connection):
            give_back(driver, f"database {engine.url.database}")
            return
        driver.autocommit = True
        for table in Base.metadata.sorted_tables:
            # ANALYZE too: the planner's statistics hold frequent values, ids among them.
            driver.execute(f"VACUUM (FULL, ANALYZE) {table.name}")
        driver.autocommit = False
    finally:
        raw.close()
