"""Many sorted files read as one, in the order of a key, a little of each in memory at a time.

What a database or a Parquet file is given in this order it appends; shard after shard, each shard
after the first would go between the rows of those before it.
"""

import bisect
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# Rows held of all sources together, unless their batches are larger.
_ROWS = 1 << 17

Batches = Iterator[pa.RecordBatch]
_Key = tuple[Any, ...]


def read_in_order(
    paths: Sequence[str], key: Sequence[str], columns: Sequence[str] | None = None
) -> Batches:
    """Reads Arrow files that are each sorted by a key as batches in its order over all files.

    Args:
      paths: the files, of one schema.
      key: columns that have no nulls; texts are compared by their bytes, as databases do.
      columns: those wanted, the key's among them; None for all.
    """
    return in_order([read_batches(path, columns) for path in paths], key)


def in_order(sources: Sequence[Batches], key: Sequence[str]) -> Batches:
    """Sources that are each sorted by a key as one."""
    for pieces in in_steps(sources, key):
        there = [piece for piece in pieces if piece is not None]
        rows = pa.concat_batches(there) if len(there) > 1 else there[0]
        if len(there) > 1:
            rows = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in key]))
        yield rows


def read_batches(path: str, columns: Sequence[str] | None = None) -> Batches:
    """Reads an Arrow file's batches, one at a time."""
    names = None
    with pa.OSFile(path) as source:
        if columns is not None:
            schema = pa.ipc.open_file(source).schema
            names = [schema.get_field_index(name) for name in columns]
        # Threads of its own would decode what nobody waits for.
        options = pa.ipc.IpcReadOptions(included_fields=names, use_threads=False)
        reader = pa.ipc.open_file(source, options=options)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield batch if columns is None else batch.select(columns)


def in_steps(
    sources: Sequence[Batches], key: Sequence[str], rows: int = _ROWS
) -> Iterator[list[pa.RecordBatch | None]]:
    """Cuts sorted sources at common keys.

    Args:
      sources: batches in the order of the key; it may repeat.
      key: its columns.
      rows: how many to hold, about.

    Yields:
      Of each source its rows up to a key, after those of the step before; None for no rows.
    """
    open_ = [_Source(batches, key) for batches in sources]
    share = rows // max(len(open_), 1)
    while True:
        for source in open_:
            source.fill(share)
        # A source that has more to read may have more of its last key, and no smaller one.
        bounds = [source.last for source in open_ if not source.is_read]
        step = [source.pop(min(bounds, default=None)) for source in open_]
        if all(piece is None for piece in step):
            return
        yield step


class _Source:
    """What is still to come of sorted batches; the first of it is in memory."""

    def __init__(self, batches: Batches, key: Sequence[str]) -> None:
        self._batches, self._key = batches, key
        self._held: pa.RecordBatch | None = None
        self._columns: list[Any] = []
        self._first: _Key = ()
        self.last: _Key = ()
        self.is_read = False

    def fill(self, rows: int) -> None:
        """Holds at least one row and about so many, or all that are left."""
        parts = [] if self._held is None else [self._held]
        there = sum(part.num_rows for part in parts)
        while not self.is_read and there < max(rows, 1):
            batch = next(self._batches, None)
            if batch is None:
                self.is_read = True
            elif batch.num_rows:
                parts.append(batch)
                there += batch.num_rows
        if len(parts) > (self._held is not None):
            self._hold(pa.concat_batches(parts) if len(parts) > 1 else parts[0])

    def pop(self, bound: _Key | None) -> pa.RecordBatch | None:
        """Takes out the rows up to a key; all for None."""
        held = self._held
        if held is None or (bound is not None and self._first > bound):
            return None
        rows = held.num_rows
        if bound is not None and self.last > bound:
            rows = bisect.bisect_right(range(rows), bound, key=self._key_of)
        self._hold(held.slice(rows))
        return held.slice(0, rows)

    def _hold(self, rows: pa.RecordBatch) -> None:
        self._held = rows if rows.num_rows else None
        if rows.num_rows:
            self._columns = [rows[name] for name in self._key]
            self._first, self.last = self._key_of(0), self._key_of(-1)

    def _key_of(self, row: int) -> _Key:
        # Python compares texts by code points, whose order is that of UTF-8.
        return tuple([column[row].as_py() for column in self._columns])
