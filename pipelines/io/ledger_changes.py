"""A month of the ledger, less what goes, with what comes: as it streams by.

All credits of an order lie together, and a run touches few orders of a month. What lies between
them is passed on as it was read, texts as codes.
"""

import bisect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.io.ledger_months import (
    CODED_SCHEMA,
    KEY,
    LEDGER,
    LEDGER_SCHEMA,
    ORDER,
    places_of,
)
from pipelines.io.ordered import Batches, in_steps
from pipelines.kernels.columns import (
    Ints,
    flat,
    group_starts,
    ints,
    joint_places,
    places,
    sort_by,
    take,
)
from schemas.errors import AuditError
from schemas.results import result_schema

_OWN = result_schema(LEDGER)


def touched_orders(left: pa.Table, now: pa.Table) -> pa.Table:
    """Orders that were there: `place` of then, `now_at` (null for an order that is gone), and now.

    Args:
      left: as they were: `site_id`, `order_id`, `ordered_at` and `person_id`.
      now: as they are.
    """
    which = joint_places(left.select(ORDER).columns, now.select(ORDER).columns)
    columns = {
        "order_id": left["order_id"],
        "place": places_of(left),
        "now_at": take(places_of(now), which),
        "ordered_at": take(now["ordered_at"], which),
        "buyer_id": take(now["person_id"], which),
    }
    return pa.table(columns)


class MonthChange:
    """What happens to one month.

    Attributes:
      gone: credits found so far that go.
    """

    def __init__(self, place: str, orders: pa.Table) -> None:
        """Notes those of the orders touched that were there, as `touched_orders` tells of them."""
        self._place = place
        self._orders = orders.filter(pc.equal(orders["place"], place))
        self.gone = 0

    def changed(self, coming: Batches, there: Batches, going: Batches) -> Iterator[pa.Table]:
        """The month's credits, in the order of their key as all that is given."""
        for new, rows, old in in_steps([coming, there, going], KEY, 0):
            own = [] if new is None else [pa.Table.from_batches([new])]
            if rows is None:
                yield from own
                continue
            own = [each.cast(LEDGER_SCHEMA) for each in own]
            order = self._order_of(rows)
            if (order >= 0).any():
                standing = self._standing(rows, order, old)
                stays = standing["now_at"].to_numpy() == self._place
                standing = standing.filter(pa.array(stays)).select(LEDGER_SCHEMA.names)
                own.append(standing.cast(LEDGER_SCHEMA))
            if own:
                yield _merged(rows, np.flatnonzero(order < 0), pa.concat_tables(own))
            else:
                yield pa.Table.from_batches([rows])

    def moving(self, there: Batches, going: Batches) -> Batches:
        """Credits of orders that are of another place now; those given stand in key order."""
        for rows, old in in_steps([there, going], KEY, 0):
            if rows is not None:
                standing = self._standing(rows, self._order_of(rows), old)
                moves = standing["now_at"].to_numpy() != self._place
                own = standing.filter(pa.array(moves)).select(_OWN.names).cast(_OWN)
                yield from sort_by(own, *KEY).combine_chunks().to_batches()

    def _order_of(self, rows: pa.RecordBatch) -> Ints:
        """[rows] which of the orders touched they are of; -1 for none."""
        texts = rows["order_id"]
        return places(texts.dictionary, self._orders["order_id"])[ints(texts.indices)]

    def _standing(
        self, rows: pa.RecordBatch, order: Ints, going: pa.RecordBatch | None
    ) -> pa.Table:
        """Credits of orders touched that do not go, with what is said of their orders now."""
        mine = pa.Table.from_batches([rows.take(pa.array(np.flatnonzero(order >= 0)))])
        mine = mine.cast(LEDGER_SCHEMA).drop(["ordered_at", "buyer_id"])
        mine = mine.append_column("order", pa.array(order[order >= 0]))
        standing = mine
        if going is not None:
            keys = pa.Table.from_batches([going]).select(KEY).cast(mine.select(KEY).schema)
            standing = mine.join(keys, KEY, join_type="left anti")
        self.gone += len(mine) - len(standing)
        which = standing["order"]
        for name in ("ordered_at", "buyer_id", "now_at"):
            standing = standing.append_column(name, self._orders[name].take(which))
        if standing["now_at"].null_count:
            raise AuditError(f"{standing['now_at'].null_count} credits have no order")
        return standing


def _merged(rows: pa.RecordBatch, kept: Ints, own: pa.Table) -> pa.Table:
    """Those of the rows that are kept, and among them credits of other orders.

    To sort what is sorted would take longer than to read it.
    """
    own = sort_by(own.cast(LEDGER_SCHEMA), *KEY)
    codes = ints(rows["order_id"].indices)
    edges = group_starts(codes)
    names = rows["order_id"].dictionary.take(pa.array(codes[edges])).to_pylist()
    edges = np.append(edges, len(codes))
    orders = own["order_id"].combine_chunks().dictionary_encode()
    low = np.array(
        [edges[bisect.bisect_left(names, each)] for each in orders.dictionary.to_pylist()], np.int64
    )
    before = np.searchsorted(kept, low)[ints(orders.indices)]
    order = np.insert(kept, before, np.arange(len(own)) + len(codes))
    columns = [
        _picked(there, flat(own[name]), order)
        for name, there in zip(rows.schema.names, rows.columns, strict=True)
    ]
    return pa.table(columns, schema=CODED_SCHEMA)


def _picked(there: Any, new: Any, order: Ints) -> Any:
    """[order] values of a column with new values after it; of texts in codes."""
    if not pa.types.is_dictionary(there.type):
        return pa.concat_arrays([there, new]).take(pa.array(order))
    known, new = there.dictionary, new.dictionary_encode()
    where = places(known, new.dictionary)  # the few are hashed, not the many
    code = np.full(len(new.dictionary), -1, np.int32)
    code[where[where >= 0]] = np.flatnonzero(where >= 0)
    is_new = code < 0
    code[is_new] = len(known) + np.arange(is_new.sum())
    texts = pa.concat_arrays([known, new.dictionary.filter(pa.array(is_new))])
    codes = pa.concat_arrays([there.indices, pa.array(code).take(new.indices)])
    codes = codes.take(pa.array(order))
    # Texts that no row has any more may stay while they are few.
    is_used = np.zeros(len(texts), dtype=np.bool_)
    is_used[codes.drop_null().to_numpy()] = True
    if 8 * is_used.sum() < 7 * len(texts):
        renumbered = pa.array(np.cumsum(is_used, dtype=np.int32) - np.int32(1))
        codes, texts = renumbered.take(codes), texts.filter(pa.array(is_used))
    return pa.DictionaryArray.from_arrays(codes, texts, safe=False)
