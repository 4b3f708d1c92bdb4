"""Tables as multisets of rows: what two have in common, what one has more, what adds up.

Rows are met by a 64-bit hash and then compared in full, so that no accident of a hash can let
money disappear. First by a hash of their numbers: times and amounts tell most rows apart, and to
hash texts takes longer than to compare those of two rows. What is left is met by all columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, Ints, bools, expand, flat, group_starts, ints, rows_at
from pipelines.kernels.groups import cells_of
from pipelines.kernels.hashing import Hashes, hash_text, mix
from pipelines.kernels.stretches import distinct, hash_order

_NULL = np.uint64(0x6E756C6C)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
# A side with so many times fewer rows than the other is small.
_FEW = 8
# Rows that are compared in full at a time: of lists, these are copies.
_AT_ONCE = 1 << 15


def fingerprints(table: pa.Table) -> Hashes:
    """[rows] hash of all columns of each row, lists and structs included."""
    return _chained([flat(column) for column in table.columns], len(table))


def cancel(added: pa.Table, removed: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Takes rows that stand in both tables out of both, as often as they stand in both.

    Args:
      added: [rows] of any columns.
      removed: [rows] of the same schema.

    Raises:
      ValueError: two different rows have one hash (once in 2**64 pairs).
    """
    if len(added) == 0 or len(removed) == 0:
        return added, removed
    plus, minus = _common(added, removed)
    if len(plus) == 0:
        return added, removed
    return _dropping(added, plus), _dropping(removed, minus)


def _common(added: pa.Table, removed: pa.Table) -> tuple[Ints, Ints]:
    """Rows of both tables that say the same, one to one."""
    ours, theirs = _sketches(added), _sketches(removed)
    plus, minus = _pairs(ours, theirs)
    is_same = np.zeros(len(plus), dtype=np.bool_)
    for low in range(0, len(plus), _AT_ONCE):
        here = slice(low, low + _AT_ONCE)
        is_same[here] = _are_same(_rows(added, plus[here]), _rows(removed, minus[here]))
    plus, minus = plus[is_same], minus[is_same]
    if len(plus) == min(len(ours), len(theirs)):
        return plus, minus
    # What shares its numbers with another row, or has changed its texts.
    left, others = np.delete(np.arange(len(ours)), plus), np.delete(np.arange(len(theirs)), minus)
    left = left[is_among(ours[left].view(np.int64), distinct(theirs[others].view(np.int64)))]
    others = others[is_among(theirs[others].view(np.int64), distinct(ours[left].view(np.int64)))]
    one, other = _rows(added, left), _rows(removed, others)
    more, fewer = _pairs(fingerprints(one), fingerprints(other))
    if not _are_same(_rows(one, more), _rows(other, fewer)).all():
        raise ValueError("two different rows have the same fingerprint; run with --full")
    return np.append(plus, left[more]), np.append(minus, others[fewer])


def without(rows: pa.Table, removed: pa.Table) -> pa.Table:
    """The rows less the removed ones.

    Raises:
      ValueError: a removed row is not there.
    """
    rows, missing = cancel(rows, removed)
    if len(missing):
        # Not the rows themselves: they hold ids of people, and errors go to logs.
        names = ", ".join(missing.column_names)
        raise ValueError(f"{len(missing)} rows ({names}) to take back are not there")
    return rows


def add_up(table: pa.Table, sums: Sequence[str], follows: Sequence[str] = ()) -> pa.Table:
    """Rows that differ only in these columns, added up; what adds up to nothing is left out.

    Args:
      table: [rows] of any columns that can be encoded, and of whole numbers.
      sums: the columns with the numbers.
      follows: columns that are the same where all the others but the numbers are.
    """
    keys = [name for name in table.column_names if name not in {*sums, *follows}]
    cells = cells_of(*(table[name] for name in keys))
    totals = {name: cells.sums(ints(table[name])) for name in sums}
    something = np.any([total != 0 for total in totals.values()], axis=0)
    kept = slice(None) if something.all() else something
    rows = rows_at(table.drop_columns(list(sums)), cells.one[kept])
    columns = {name: total[kept] for name, total in totals.items()}
    return pa.table(
        [columns[name] if name in columns else rows[name] for name in table.column_names],
        schema=table.schema,
    )


def negated(table: pa.Table, sums: Sequence[str]) -> pa.Table:
    """The table with these columns below zero: added to the table it leaves nothing."""
    for name in sums:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pc.negate(table[name]))
    return table


def is_among(keys: Ints, wanted: Ints) -> Bools:
    """[keys] whether a key is one of the wanted.

    A sieve over some bits of the hashed keys comes first: of many keys few are wanted, and
    a look into a small table costs a tenth of a binary search. The rest are looked up in a table
    of the wanted, which many keys make up for, or searched.

    Args:
      keys: [keys] stable hashes.
      wanted: [wanted] sorted, each once.
    """
    found = np.zeros(len(keys), dtype=np.bool_)
    if len(keys) == 0 or len(wanted) == 0:
        return found
    shift = np.uint64(64 - max(int(len(wanted) * 16 - 1).bit_length(), 4))
    sieve = np.zeros(2 ** (64 - int(shift)), dtype=np.bool_)
    # The high bits: within a shard the low ones are alike. As signed numbers: numpy copies others.
    sieve[(wanted.view(np.uint64) >> shift).view(np.int64)] = True
    maybe = np.flatnonzero(sieve.take((keys.view(np.uint64) >> shift).view(np.int64)))
    some = keys[maybe]
    if len(maybe) < len(wanted):
        place = np.searchsorted(wanted, some)
        found[maybe] = wanted[np.minimum(place, len(wanted) - 1)] == some
    else:
        found[maybe] = bools(pc.is_in(pa.array(some), value_set=pa.array(wanted)))
    return found


def is_repeated(keys: Ints) -> Bools:
    """[keys] whether a key is there more than once: most are not, and need no second look."""
    ordered = np.sort(keys)
    return is_among(keys, distinct(ordered[1:][ordered[1:] == ordered[:-1]]))


def _sketches(table: pa.Table) -> Hashes:
    """[rows] hash of the columns that hold numbers, times or flags.

    A sum of products, and mixed once: that two rows may share it is looked at anyway.
    """
    total = np.zeros(len(table), dtype=np.uint64)
    for column in table.columns:
        if pa.types.is_primitive(column.type):
            total += _bits(flat(column))
            total *= _STEP
    return mix(total)


def _are_same(ours: pa.Table, theirs: pa.Table) -> Bools:
    """[rows] whether two tables say the same in a row."""
    same = np.ones(len(ours), dtype=np.bool_)
    for one, other in zip(ours.columns, theirs.columns, strict=True):
        if pa.types.is_nested(one.type):  # Arrow compares no lists
            if one.equals(other):
                continue
            same &= _hash(flat(one)) == _hash(flat(other))
            kept = pa.array(same)
            if not one.filter(kept).equals(other.filter(kept)):
                raise ValueError("two different lists have the same hash; run with --full")
            continue
        equal = bools(pc.equal(one, other))
        if one.null_count and other.null_count:
            equal |= bools(pc.and_(one.is_null(), other.is_null()))
        same &= equal
    return same


def _pairs(plus: Hashes, minus: Hashes) -> tuple[Ints, Ints]:
    """Rows of both sides with equal hashes, one to one: the first of each run of equals."""
    sides = plus.view(np.int64), minus.view(np.int64)
    # Where one side is small, most of the other need not be put in order.
    ours, theirs = (
        np.flatnonzero(is_among(side, distinct(other)))
        if len(other) * _FEW < len(side)
        else np.arange(len(side))
        for side, other in (sides, sides[::-1])
    )
    if len(ours) == 0 or len(theirs) == 0:
        return ours[:0], theirs[:0]
    found = _runs(plus[ours], minus[theirs])
    partner = np.full(len(plus), -1, dtype=np.int64)
    partner[ours[found[0]]] = theirs[found[1]]
    paired = np.flatnonzero(partner >= 0)
    return paired, partner[paired]


def _runs(plus: Hashes, minus: Hashes) -> tuple[Ints, Ints]:
    both = np.concatenate((plus, minus))
    order = hash_order(both)  # within equal hashes the plus side comes first
    start = group_starts(both[order].view(np.int64))
    end = np.append(start[1:], len(order))
    before = np.append(0, np.cumsum(order < len(plus)))
    counts = before[end] - before[start]
    run, place = expand(np.minimum(counts, end - start - counts))
    first = start[run] + place
    return order[first], order[first + counts[run]] - len(plus)


def _rows(table: pa.Table, rows: Ints) -> pa.Table:
    """Some rows of a table; of those in their order whole stretches are copied at once."""
    if not (rows[1:] > rows[:-1]).all():
        return table.take(pa.array(rows))
    if len(rows) == len(table):
        return table
    first, last = (int(rows[0]), int(rows[-1])) if len(rows) else (0, -1)
    chosen = np.zeros(last + 1 - first, dtype=np.bool_)
    chosen[rows - first] = True
    return table.slice(first, len(chosen)).filter(pa.array(chosen))


def _dropping(table: pa.Table, rows: Ints) -> pa.Table:
    keep = np.ones(len(table), dtype=np.bool_)
    keep[rows] = False
    return table.filter(pa.array(keep))


def _chained(columns: list[Any], rows: int) -> Hashes:
    total = np.zeros(rows, dtype=np.uint64)
    for column in columns:
        total = mix(total * _STEP + _hash(column))
    return total


def _bits(column: Any) -> Hashes:
    """[rows] the bits of numbers; those of a null are those of some number."""
    if pa.types.is_floating(column.type):
        filled = pc.cast(column, pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        return (np.asarray(filled) + 0.0).view(np.uint64)  # -0.0 is 0.0
    return ints(column).view(np.uint64)


def _hash(column: Any) -> Hashes:
    hashes = _hash_values(column)
    if column.null_count:
        hashes = np.where(np.asarray(column.is_null()), _NULL, hashes)
    return hashes


def _hash_values(column: Any) -> Hashes:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _hash_values(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return hash_text(column)
    if pa.types.is_struct(kind):
        return _chained(column.flatten(), len(column))
    if pa.types.is_list(kind):
        return _hash_lists(column)
    return mix(_bits(column))


def _hash_lists(column: Any) -> Hashes:
    length = ints(pc.list_value_length(column))
    start = np.cumsum(length) - length
    place = np.arange(int(length.sum())) - np.repeat(start, length)
    values = mix(_hash(pc.list_flatten(column)) + place.astype(np.uint64) * _STEP)
    running = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)))
    total = running[start + length] - running[start]  # wraps around, as hashes may
    return mix(total + length.astype(np.uint64) + _ONE)
