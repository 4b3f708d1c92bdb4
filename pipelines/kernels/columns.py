"""Arrow columns as numpy arrays, joint key codes, and group boundaries."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Datasets by name: what a stage's step takes and gives.
Tables = dict[str, pa.Table]
# No id may hold it: the event contract refuses it.
_SEPARATOR = "\x1f"
_INT, _DAYS, _DATE = pa.int64(), pa.int32(), pa.date32()
# Texts that come again and again, each once and a number in its place.
CODES = pa.dictionary(pa.int32(), pa.string())


def ints(column: Any, missing: int = 0) -> Ints:
    """[rows] integers, booleans or dates (days since 1970) as int64, nulls as `missing`."""
    # Most are as they should be, and a call into Arrow costs as much as a few hundred rows.
    if column.type != _INT:
        column = pc.cast(pc.cast(column, _DAYS) if column.type == _DATE else column, _INT)
    if column.null_count:
        column = pc.fill_null(column, missing)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.int64)


def bools(column: Any) -> Bools:
    """[rows] a boolean column, nulls as False."""
    return ints(column).astype(np.bool_)


def is_set(column: Any) -> Bools:
    """[rows] whether the value is there."""
    return np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _joint_keys(*tables: Sequence[Any]) -> list[Any]:
    """For each table [rows] its key columns in one text; null where any of them is null.

    A column that says the same in all rows of all tables, as the site most often does, tells
    no keys apart and is left out.
    """
    columns = list(zip(*tables, strict=True))
    told = [parts for parts in columns if not is_one_value(*parts)] or columns[:1]
    return [
        flat(parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, _SEPARATOR))
        for parts in zip(*told, strict=True)
    ]


def is_one_value(*columns: Any) -> bool:
    """Whether all rows of these columns say the same, and say something."""
    filled = [flat(column) for column in columns if len(column)]
    return (
        len(filled) > 0
        and filled[0][0].is_valid
        and all(column[0] == filled[0][0] and _is_the_same(column) for column in filled)
    )


def _is_the_same(column: Any) -> bool:
    """Whether all rows of one array say the same: each says what the next one does."""
    return bool(column.slice(1).equals(column.slice(0, max(len(column) - 1, 0))))


def codes(*tables: Sequence[Any]) -> list[Ints]:
    """Codes of joint keys over several tables: equal keys get equal small integers.

    Args:
      tables: for each table its key columns, the same number everywhere.

    Returns:
      For each table [rows] codes from 0 in order of first appearance; -1 for a null key.
    """
    keys = _joint_keys(*tables)
    encoded = pa.concat_arrays(keys) if len(keys) > 1 else keys[0]
    indices = ints(encoded.dictionary_encode().indices, missing=-1)
    edges = np.cumsum([0, *(len(key) for key in keys)])
    return [indices[low:high] for low, high in itertools.pairwise(edges)]


def first_rows(codes: Ints, known: int = 0) -> Ints:
    """[codes] first row of each code but the first known ones, of codes as `codes` gives them."""
    before = np.append(known - 1, codes[:-1])
    return np.flatnonzero(codes > np.maximum.accumulate(before)[: len(codes)])


def places(needles: Any, haystack: Any) -> Ints:
    """[needles] index of each needle's first occurrence in the haystack, -1 where missing."""
    return ints(pc.index_in(flat(needles), value_set=flat(haystack), skip_nulls=True), -1)


def joint_places(needles: Sequence[Any], haystack: Sequence[Any]) -> Ints:
    """As `places`, of key columns together: as many of the needles as of the haystack."""
    return places(*_joint_keys(needles, haystack))


def key_places(needles: Ints, haystack: Ints) -> Ints:
    """[needles] index of each key's first occurrence in the haystack, -1 where missing."""
    return places(pa.array(needles), pa.array(haystack))


def group_starts(sorted_codes: Ints) -> Ints:
    """[groups] first row of each run of equal codes."""
    if len(sorted_codes) == 0:
        return np.zeros(0, dtype=np.int64)
    changes = np.flatnonzero(sorted_codes[1:] != sorted_codes[:-1]) + 1
    return np.concatenate(([0], changes)).astype(np.int64)


def key_starts(columns: Sequence[Any]) -> Ints:
    """[groups] first row of each run of equal keys, by key columns that have no nulls."""
    changes = [
        pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(
            zero_copy_only=False
        )
        for column in columns
    ]
    return np.append(0, np.flatnonzero(np.any(changes, axis=0)) + 1)


def expand(counts: Ints) -> tuple[Ints, Ints]:
    """Rows of groups laid end to end.

    Args:
      counts: [groups] rows of each group, >= 0.

    Returns:
      [rows] group of each row, and [rows] place of each row within its group, from 0.
    """
    group = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    first = np.cumsum(counts) - counts
    return group, np.arange(len(group), dtype=np.int64) - first[group]


def take(column: Any, index: Ints) -> Any:
    """[index] values of a column, null where the index is -1."""
    missing = index < 0
    return flat(column).take(pa.array(index, mask=missing if missing.any() else None))


def rows_at(table: pa.Table, rows: Ints) -> pa.Table:
    """[rows] the rows at these places, all of them there."""
    # Column by column: what is in chunks is never in memory twice as a whole.
    columns = [_values_at(flat(column), pa.array(rows)) for column in table.columns]
    return pa.table(columns, schema=table.schema)


def _values_at(column: Any, places: Any) -> Any:
    if column.null_count == len(column):
        return pa.nulls(len(places), column.type)
    if not pa.types.is_string(column.type) or column.null_count:
        return pc.take(column, places, boundscheck=False)
    _, offsets, data = column.buffers()
    start = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset)
    first, last = int(start[0]), int(start[-1])
    width = max((last - first) // len(column), 1)
    if not np.array_equal(start, np.arange(first, last + 1, width)):
        return pc.take(column, places, boundscheck=False)
    # Texts as long as each other, as ids are: values of so many bytes, in half of the time.
    values = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(column), [None, data.slice(first)]
    )
    _, data = pc.take(values, places, boundscheck=False).buffers()
    ends = np.arange(0, (len(places) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(ends), data)


def sort_by(table: pa.Table, *names: str) -> pa.Table:
    """The table in ascending order of these columns, nulls last."""
    # A column that says the same everywhere decides nothing, and is compared all the same.
    telling = [name for name in names if not is_one_value(table[name])] or names[:1]
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in telling])
    rows = np.asarray(order)
    # To look whether there is anything to do takes a hundredth of what it takes to do it.
    return table if (rows[1:] > rows[:-1]).all() else table.take(order)


def present(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Those of these columns that the table has."""
    return table.select([name for name in names if name in table.column_names])


def known(values: Floats) -> pa.Array:
    """[rows] floats, null where there is none (NaN)."""
    return pa.array(values, mask=np.isnan(values))


def rounded(values: Floats) -> pa.Array:
    """[rows] floats as whole numbers, null where there is none (NaN)."""
    missing = np.isnan(values)
    return pa.array(np.round(np.where(missing, 0, values)).astype(np.int64), mask=missing)


def encoded(column: Any) -> Any:
    """[rows] a column as one array of codes with their dictionary; a null has none."""
    column = flat(column)
    if pa.types.is_dictionary(column.type):
        return column
    if len(column) and _is_the_same(column):  # as the site most often is: seen at a glance
        return column[:1].dictionary_encode().take(pa.array(np.zeros(len(column), dtype=np.int32)))
    return column.dictionary_encode()


def flat(column: Any) -> Any:
    """[rows] a column as one array."""
    if isinstance(column, pa.ChunkedArray):
        # Of one chunk, as most columns are, nothing is copied.
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column
