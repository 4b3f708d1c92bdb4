"""The spool file: what the beacon writes, and the drain or the forwarder reads.

One SQLite database a worker process, in WAL mode with `synchronous=FULL`. A row of
`requests` is what one accepted request, or some that were flushed together, had of good
events; a row of `rejects` is one bad event with its reason. Both are committed before the
beacon answers. `seq` only grows (AUTOINCREMENT never gives a number twice), so "drained up to
seq" is a safe checkpoint.

The events of a row are a JSON array. Its elements are complete events, or parcels: a batch as
its sender wrote it, with the receiver's words once for all of it (`pack`). Who reads the row
gives each event of a parcel these words (`stamp`). An array of some size is an LZ4 frame
(`join`): a fifth of the bytes to write, to flush, and to fold into the database.
"""

from collections.abc import Sequence

import lz4.frame
import msgspec

from schemas.events import AnyEvent, Id, Millis, Source, UserAgentClass

SPOOL_GLOB = "*.spool"
# The file beside it that its writer holds a lock on (`schemas.spool_upkeep`).
LOCK_SUFFIX = ".lock"
SPOOL_DDL = """
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    received_time_ms INTEGER NOT NULL,
    events BLOB NOT NULL  -- JSON array of events and parcels, plain or LZ4 (schemas.spool)
);
CREATE TABLE IF NOT EXISTS rejects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    received_time_ms INTEGER NOT NULL,
    reject BLOB NOT NULL  -- JSON of schemas.spool.Reject
);
"""
PARCEL_START = b'{"words":'
FRAME_START = b"\x04\x22\x4d\x18"
MIN_FRAME = 1024
# Far beyond what a beacon writes: damage must not make a reader ask for all memory.
MAX_TEXT = 64 * 1024 * 1024


class Words(msgspec.Struct, array_like=True, gc=False):
    """What the receiver knows of a request, and says of each of its events."""

    site_id: str
    source: Source
    sent_time_ms: Millis | None
    received_time_ms: Millis
    user_agent_class: UserAgentClass = "human"
    is_signed: bool = False
    network_hash: str | None = None
    cookie_visitor_id: Id | None = None
    """For events that name no visitor themselves."""


# Fields of an event that are the receiver's alone.
WORDS = frozenset(Words.__struct_fields__) - {"cookie_visitor_id"}
_encode = msgspec.json.Encoder().encode


def stamp(event: AnyEvent, words: Words) -> None:
    """Writes the receiver's words over whatever the sender put there."""
    event.site_id = words.site_id
    event.source = words.source
    event.sent_time_ms = words.sent_time_ms
    event.received_time_ms = words.received_time_ms
    event.user_agent_class = words.user_agent_class
    event.is_signed = words.is_signed
    event.network_hash = words.network_hash
    if event.visitor_id is None:
        event.visitor_id = words.cookie_visitor_id


class ParcelBatch(msgspec.Struct):
    """What counts of a parcel's batch: its events, still unread."""

    events: list[msgspec.Raw]


class Parcel(msgspec.Struct):
    """A batch as its sender wrote it, and the receiver's words for all its events."""

    words: Words
    batch: ParcelBatch


def pack(words: Words, batch: bytes) -> bytes:
    """A row with one parcel, around the JSON of a batch."""
    return b"".join((b"[", PARCEL_START, _encode(words), b',"batch":', batch, b"}]"))


def join(rows: Sequence[bytes]) -> bytes:
    """One row of several, each a JSON array; compressed unless that saves next to nothing."""
    text = rows[0] if len(rows) == 1 else b"[" + b",".join([row[1:-1] for row in rows]) + b"]"
    return text if len(text) < MIN_FRAME else lz4.frame.compress(text)


def size_of(row: bytes) -> int:
    """Bytes of a row's JSON.

    Raises:
      RuntimeError: it looks like an LZ4 frame, and is none.
    """
    if not row.startswith(FRAME_START):
        return len(row)
    return int(lz4.frame.get_frame_info(row)["content_size"])


def text_of(row: bytes) -> bytes:
    """A row's JSON.

    Raises:
      RuntimeError: it is an LZ4 frame and damaged.
    """
    if not row.startswith(FRAME_START):
        return row
    if (size := size_of(row)) > MAX_TEXT:
        raise RuntimeError(f"the frame says it holds {size} bytes; at most {MAX_TEXT}")
    text: bytes = lz4.frame.decompress(row)
    return text


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
