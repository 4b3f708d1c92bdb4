"""Credits of a site in the order of the ledger's key: cut and put together without sorting anew.

All credits of an order lie together, and a run touches few orders of a month.
"""

import bisect
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import flat


def parted(there: pa.Table, orders: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Sorted credits of a site: those of other orders, and those of these."""
    names, edges = _runs(there["order_id"])
    others, mine, low = [there.slice(0, 0)], [there.slice(0, 0)], 0
    for order in sorted(set(orders)):
        number = bisect.bisect_left(names, order)
        if number < len(names) and names[number] == order:
            others.append(there.slice(low, edges[number] - low))
            low = edges[number + 1]
            mine.append(there.slice(edges[number], low - edges[number]))
    return pa.concat_tables([*others, there.slice(low)]), pa.concat_tables(mine)


def merged(there: pa.Table, own: pa.Table) -> pa.Table:
    """Credits of a site put among those of other orders; both are sorted, and so is the whole.

    There are many of the others, and to sort them again would take longer than to read them.
    """
    (others, starts), (orders, edges) = (_runs(table["order_id"]) for table in (there, own))
    parts, low = [], 0
    for number, order in enumerate(orders):
        high = starts[bisect.bisect(others, order)]
        parts += [
            there.slice(low, high - low),
            own.slice(edges[number], edges[number + 1] - edges[number]),
        ]
        low = high
    return pa.concat_tables([*parts, there.slice(low)])


def _runs(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    """The texts of a sorted column, each once, and where each begins; and the end."""
    runs = pc.run_end_encode(flat(column))
    return runs.values.to_pylist(), [0, *runs.run_ends.to_pylist()]
