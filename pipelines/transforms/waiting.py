"""What shards give waits for what others give, so that it is written in long pieces.

A piece costs as much as some thousand rows, to write, to read, and to read again in every later
run; of most datasets a shard has only some hundred rows for each shard of a later stage.
"""

import threading
from collections import defaultdict
from collections.abc import Collection

import pyarrow as pa

from pipelines.transforms.changes import Change

# So much waits before the longest of it is written.
_MOST_BYTES = 32_000_000
# A dataset, and whether its rows are taken back.
_Side = tuple[str, bool]


class Waiting:
    """Rows that wait for those of other shards; of all threads of a bundle.

    Which of them lie together is the threads' luck, and means nothing.
    """

    def __init__(self, datasets: Collection[str]) -> None:
        self._datasets = datasets
        self._waiting: dict[_Side, list[pa.Table]] = defaultdict(list)
        self._bytes: dict[_Side, int] = defaultdict(int)
        self._lock = threading.Lock()

    def put(self, change: Change) -> Change:
        """Takes a shard's rows of datasets; gives the rest, and what is to be written now."""
        written = Change({}, {})
        with self._lock:
            for is_removal, tables in enumerate(change):
                for name, table in tables.items():
                    if name in self._datasets:
                        self._wait((name, bool(is_removal)), table)
                    else:
                        written[is_removal][name] = table
            while sum(self._bytes.values()) > _MOST_BYTES:
                self._take(max(self._bytes, key=lambda side: self._bytes[side]), written)
        return written

    def rest(self) -> Change:
        """What still waits."""
        written = Change({}, {})
        with self._lock:
            for side in list(self._waiting):
                self._take(side, written)
        return written

    def _wait(self, side: _Side, table: pa.Table) -> None:
        if len(table):
            self._waiting[side].append(table)
            # What it keeps in memory, which of a slice is more than its rows.
            self._bytes[side] += table.get_total_buffer_size()

    def _take(self, side: _Side, written: Change) -> None:
        name, is_removal = side
        written[is_removal][name] = pa.concat_tables(self._waiting.pop(side))
        del self._bytes[side]
