"""Parts of sums: those of many shards added up before they are written.

What is counted by product and day is counted in each shard, and nearly each has something to
say of every product and day. One row says it as well as that of each of a hundred shards.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping

import pyarrow as pa

from pipelines.kernels.columns import Tables
from pipelines.kernels.multisets import add_up
from pipelines.transforms.shuffle import Route

# So much waits before it is added up.
_MOST_BYTES = 32_000_000


class Sums:
    """Parts that wait for those of other shards; of all threads of a bundle.

    Which of them meet is the threads' luck. What they add up to in the end is not.
    """

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = {name: route for name, route in routes.items() if route.sums}
        self._waiting: dict[str, list[pa.Table]] = defaultdict(list)
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, tables: Tables) -> Tables:
        """Takes the parts among a shard's tables; gives the others, and sums if many wait."""
        others = {name: table for name, table in tables.items() if name not in self._routes}
        self._wait({name: tables[name] for name in tables.keys() & self._routes.keys()})
        if self._bytes <= _MOST_BYTES:
            return others
        totals = self._totals()
        if sum(total.nbytes for total in totals.values()) > _MOST_BYTES * 3 // 4:
            return others | self._conform(totals)
        self._wait(totals)  # may become fewer still
        return others

    def rest(self) -> Tables:
        """What still waits, added up."""
        return self._conform(self._totals())

    def _wait(self, parts: Tables) -> None:
        with self._lock:
            for name, part in parts.items():
                self._waiting[name].append(part)
                self._bytes += part.nbytes

    def _totals(self) -> Tables:
        with self._lock:
            waiting, self._waiting, self._bytes = self._waiting, defaultdict(list), 0
        return {
            name: add_up(pa.concat_tables(parts), self._routes[name].sums)
            for name, parts in waiting.items()
        }

    def _conform(self, totals: Tables) -> Tables:
        return {name: self._routes[name].conform(total) for name, total in totals.items()}
