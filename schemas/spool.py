"""The spool file: what the beacon writes, and the drain or the forwarder reads.

One SQLite database a worker process, in WAL mode with `synchronous=FULL`. A row of
`requests` is one accepted request with all its good events; a row of `rejects` is one bad
event with its reason. Both are committed before the beacon answers. `seq` only grows
(AUTOINCREMENT never gives a number twice), so "drained up to seq" is a safe checkpoint.
"""

import msgspec

SPOOL_GLOB = "*.spool"
# The file beside it that its writer holds a lock on (`schemas.spool_upkeep`).
LOCK_SUFFIX = ".lock"
SPOOL_DDL = """
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    received_time_ms INTEGER NOT NULL,
    events BLOB NOT NULL  -- JSON array of complete events (schemas.events)
);
CREATE TABLE IF NOT EXISTS rejects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    received_time_ms INTEGER NOT NULL,
    reject BLOB NOT NULL  -- JSON of schemas.spool.Reject
);
"""


class Reject(msgspec.Struct, kw_only=True):
    """One record in quarantine: what came, from where, and why it was not taken.

    `record` is the text as it came (cut at 16 KiB), so that it can be mended and replayed.
    """

    reject_id: str
    site_id: str
    received_time_ms: int
    origin: str
    place: str
    reason: str
    record: str


MAX_RECORD = 16 * 1024
UNKNOWN_SITE = "_unknown"


def record_text(raw: bytes) -> str:
    """A record as text, cut to 16 KiB; bytes that are not UTF-8 are shown as hex escapes."""
    return raw[:MAX_RECORD].decode("utf-8", "backslashreplace")[:MAX_RECORD]
