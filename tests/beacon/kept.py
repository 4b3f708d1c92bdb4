"""What a home directory holds of the events that were sent: in its spool, lake, quarantine."""

import collections
import contextlib
import math
import sqlite3

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects
from schemas.home import Home
from schemas.spool import Reject
from tests.beacon.load import Load
from tests.spooled import events_in


def in_spool(home: Home) -> tuple[set[str], set[str]]:
    """Ids of events and of bad ones in all spool files, each of which must be sound."""
    events: set[str] = set()
    bad: set[str] = set()
    for path in home.spool.glob("*.spool"):
        with contextlib.closing(sqlite3.connect(path)) as spool:
            spool.execute("PRAGMA synchronous=OFF")
            assert spool.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
            for (content,) in spool.execute("SELECT events FROM requests"):
                events.update(event["event_id"] for event in events_in(content))
            for (content,) in spool.execute("SELECT reject FROM rejects"):
                bad.add(_bad_id(msgspec.json.decode(content, type=Reject)))
    return events, bad


def in_lake(home: Home) -> "collections.Counter[str]":
    """How often each event's id is in the lake."""
    tables = [pq.read_table(file.path, columns=["event_id"]) for file in lake_files(home)]
    ids = pa.concat_tables(tables)["event_id"].to_pylist() if tables else []
    return collections.Counter(ids)


def in_quarantine(home: Home) -> set[str]:
    """Ids of the bad events in quarantine."""
    return set(map(_bad_id, read_rejects(home)))


def kept(home: Home) -> tuple[set[str], set[str]]:
    """Ids of events and of bad ones, wherever they are."""
    events, bad = in_spool(home)
    return events | set(in_lake(home)), bad | in_quarantine(home)


def lost(load: Load, home: Home, moment: float = math.inf) -> set[str]:
    """Ids that were promised by a moment and are not there."""
    events, bad = kept(home)
    return (load.acked(moment) - events) | (load.quarantined(moment) - bad)


def _bad_id(reject: Reject) -> str:
    return str(msgspec.json.decode(reject.record)["event_id"])
