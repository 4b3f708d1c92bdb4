"""Files of the ledger: the credits of a month of a site, sorted by key, row group by row group.

Never a whole month is in memory: who writes gives credits in the order of their key, and who
reads gets a row group at a time.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.io.ordered import Batches, in_steps
from pipelines.kernels.columns import CODES, flat, ints, joint_places, key_starts
from schemas.errors import AuditError
from schemas.results import result_key, result_schema

LEDGER = "order_credits"
# What a credit is read with, so that nobody needs the database beside the files.
LEDGER_SCHEMA = (
    result_schema(LEDGER)
    .append(pa.field("ordered_at", pa.int64(), nullable=False))
    .append(pa.field("buyer_id", pa.string()))
)
KEY = list(result_key(LEDGER))
ORDER = ["site_id", "order_id"]
# What the ledger says of orders, as the table of orders calls it.
ORDERS = pa.schema(
    [result_schema("orders").field(name) for name in (*ORDER, "ordered_at", "person_id")]
)
_ROW_GROUP = 100_000
# Rows that wait for their row groups, in all months of a site together.
_WAITING = 300_000
# Texts come again and again: read as codes they are written as codes, and never hashed.
_TEXTS = [field.name for field in LEDGER_SCHEMA if pa.types.is_string(field.type)]
CODED_SCHEMA = pa.schema(
    [field.with_type(CODES) if field.name in _TEXTS else field for field in LEDGER_SCHEMA]
)
# Numbers that do not: to look whether they do would take as long as to write them.
_PLAIN = ("credit_micros", "touched_at")
# Least and greatest texts tell a reader something only where they follow the order of the rows,
# and take a fifth of the time.
_TELLING = [name for name in LEDGER_SCHEMA.names if name in ORDER or name not in _TEXTS]


class Month(msgspec.Struct, frozen=True):
    """What a file holds."""

    rows: int
    credit_micros: dict[str, int]  # by model


def with_orders(credits: Batches, orders: Batches) -> Iterator[tuple[str, pa.Table]]:
    """Credits with what is said of their orders, by their place: `site=<id>/month=<YYYY-MM>`.

    Args:
      credits: in the order of their key.
      orders: `site_id`, `order_id`, `ordered_at` and `person_id`, in the order of their key.

    Raises:
      AuditError: a credit has no order.
    """
    last = [pa.RecordBatch.from_pylist([], ORDERS)]
    for rows, known in in_steps([credits, orders], ORDER, 0):
        # The credits of an order may go on in the next step.
        said = pa.concat_batches([*last, *([] if known is None else [known])])
        last = [said.slice(max(said.num_rows - 1, 0))]
        if rows is not None:
            yield from _by_place(rows, said)


def _by_place(credits: pa.RecordBatch, orders: pa.RecordBatch) -> Iterator[tuple[str, pa.Table]]:
    starts = key_starts(credits.select(ORDER).columns)
    counts = np.diff(starts, append=credits.num_rows)
    firsts = credits.select(ORDER).take(pa.array(starts))
    which = joint_places(firsts.columns, orders.select(ORDER).columns)
    if (which < 0).any():
        raise AuditError(f"{counts[which < 0].sum()} credits have no order")
    orders = orders.take(pa.array(which))
    places = places_of(orders).dictionary_encode()
    columns = [
        *credits.select(result_schema(LEDGER).names).columns,
        *(
            orders[name].take(pa.array(np.repeat(np.arange(len(which)), counts)))
            for name in ("ordered_at", "person_id")
        ),
    ]
    rows = pa.table(columns, schema=LEDGER_SCHEMA)
    code = np.repeat(ints(places.indices), counts)
    for number, place in enumerate(places.dictionary.to_pylist()):
        # A copy: of what waits for its row group nothing else shall stay in memory.
        yield place, rows.take(pa.array(np.flatnonzero(code == number)))


def places_of(orders: Any) -> Any:
    """[orders] the place of each: `site=<id>/month=<YYYY-MM>`, by UTC."""
    at = ints(orders["ordered_at"]).astype("datetime64[ms]")
    months = pa.array(at.astype("datetime64[M]").astype(str), pa.string())
    return pc.binary_join_element_wise("site=", flat(orders["site_id"]), "/month=", months, "")


def write_months(
    rows: Iterable[tuple[str, pa.Table]],
    opened: Callable[[str], AbstractContextManager[BinaryIO]],
) -> dict[str, Month]:
    """Writes rows to the files of their places.

    Args:
      rows: with their places; site by site, and of a place in the order of the key.
      opened: the file of a place.
    """
    found: dict[str, MonthFile] = {}
    open_: list[MonthFile] = []
    site = ""
    with contextlib.ExitStack() as stack:
        for place, table in rows:
            if place.partition("/")[0] != site:
                stack.close()
                open_, site = [], place.partition("/")[0]
            if len(table) and place not in found:
                found[place] = stack.enter_context(MonthFile(stack.enter_context(opened(place))))
                open_.append(found[place])
            if len(table):
                found[place].add(table)
            if sum(file.waiting for file in open_) > _WAITING:
                max(open_, key=lambda file: file.waiting).flush()
    return {place: file.month for place, file in found.items()}


class MonthFile:
    """A file that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None
        self._rows = 0
        self._micros: Counter[str] = Counter()
        self._waiting: list[pa.Table] = []
        self.waiting = 0

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Writes what waits, and the file's end."""
        try:
            if kind is None:
                self.flush()
        finally:
            if self._writer is not None:
                self._writer.close()  # of a file not to stand, too: else it closes itself, later

    @property
    def month(self) -> Month:
        """What was written."""
        return Month(self._rows, dict(self._micros))

    def add(self, rows: pa.Table) -> None:
        """Takes rows that come after those before; of one schema in all calls."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._file,
                rows.schema,
                compression="zstd",
                use_dictionary=[name for name in rows.column_names if name not in _PLAIN],
                write_statistics=_TELLING,
                write_batch_size=1 << 14,
                store_schema=False,  # whoever reads it gets texts, also of codes
            )
        self._waiting.append(rows)
        self.waiting += len(rows)
        if self.waiting >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Writes what waits."""
        if self.waiting == 0:
            return
        rows = pa.concat_tables(self._waiting).unify_dictionaries()
        # A row group that was read and grew a little is one again: codes stay as they are.
        groups = max(self.waiting // _ROW_GROUP, 1)
        self._writer.write_table(rows, row_group_size=-(-self.waiting // groups))
        sums = rows.group_by("model").aggregate([("credit_micros", "sum")])
        for row in sums.to_pylist():
            self._micros[row["model"]] += row["credit_micros_sum"]
        self._rows += self.waiting
        self._waiting, self.waiting = [], 0


def read_month(path: Path) -> Batches:
    """Reads a file's row groups, one at a time: `CODED_SCHEMA`, with texts as codes."""
    with pq.ParquetFile(path, read_dictionary=_TEXTS) as file:
        for number in range(file.num_row_groups):
            yield from file.read_row_group(number).combine_chunks().to_batches()
