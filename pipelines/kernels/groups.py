"""Rows gathered by code with one sort, and what they add up to."""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from pipelines.kernels.columns import Bools, Ints, encoded, group_starts, ints

_MOST_CODES = 2**62
_MOST_BITS = 63
# With so many places for each row it takes less time to count than to put the rows in order; to
# number single values otherwise takes longer still.
_MOST_CELLS, _MOST_VALUES = 2, 16


@dataclasses.dataclass(frozen=True)
class Groups:
    """Rows of equal codes, by ascending code; within a group in any order.

    rows: [grouped rows] rows of a group lie end to end.
    start: [groups] where in `rows` each group begins.
    count: of all rows, those that stand aside included.
    """

    rows: Ints
    start: Ints
    count: int

    @property
    def one(self) -> Ints:
        """[groups] a row of each: it says what all of its group say."""
        return self.rows[self.start]

    @property
    def size(self) -> Ints:
        """[groups] rows of each."""
        return np.diff(np.append(self.start, len(self.rows)))

    @functools.cached_property
    def code(self) -> Ints:
        """[count] the group of each row, -1 where it has none."""
        group = np.full(self.count, -1, dtype=np.int64)
        group[self.rows] = np.repeat(np.arange(len(self.start)), self.size)
        return group

    def sums(self, values: Ints) -> Ints:
        """[groups, ...] sums of [rows, ...] values, column by column."""
        # The last place takes what stands aside: its code is -1.
        total = np.zeros((*values.shape[1:], len(self.start) + 1), dtype=np.int64)
        for place in np.ndindex(values.shape[1:]):
            np.add.at(total[place], self.code, values[(slice(None), *place)])
        return total[..., :-1].T


def group_by(*codes: Ints) -> Groups:
    """Groups rows by their codes together.

    Args:
      codes: each [rows] from 0, or -1 for a row that stands aside.
    """
    count = len(codes[0])
    joint, width = np.zeros(count, dtype=np.int64), 1
    is_kept = np.ones(count, dtype=np.bool_)
    for code in codes:
        own = int(code.max(initial=0)) + 1
        if width * own >= _MOST_CODES:
            joint = np.unique(joint, return_inverse=True)[1]
            width = len(joint)
        joint, width = joint * own + code, width * own
        is_kept &= code >= 0
    kept = np.flatnonzero(is_kept)
    bits = count.bit_length()
    if width.bit_length() + bits <= _MOST_BITS:
        # Code and row in one number: to sort numbers takes half as long as to find their order.
        packed = np.sort((joint[kept] << bits) | kept)
        return Groups(packed & ((1 << bits) - 1), group_starts(packed >> bits), count)
    rows = kept[np.argsort(joint[kept])]
    return Groups(rows, group_starts(joint[rows]), count)


def group_equal(*columns: Any) -> Groups:
    """Groups rows that say the same in all columns; a null says the same as another."""
    return group_by(*(_encoded(each)[0] for each in columns))


def _encoded(column: Any) -> tuple[Ints, int]:
    """[rows] a code of what the column says, and how many there may be; a null has one too."""
    column = encoded(column)
    count = len(column.dictionary)
    return ints(column.indices, missing=count), count + bool(column.null_count)


def numbered(values: Ints) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and [rows] the place among them of each row's value."""
    first = int(values.min(initial=_MOST_CODES))
    width = int(values.max(initial=first)) - first + 1
    if width > _MOST_VALUES * (len(values) + 1):
        return np.unique(values, return_inverse=True)
    there = np.zeros(width, dtype=np.bool_)
    there[values - first] = True
    return first + np.flatnonzero(there), (np.cumsum(there) - 1)[values - first]


@dataclasses.dataclass(frozen=True)
class Cells:
    """Rows by what they say.

    code: [rows] the cell of each.
    one: [cells] a row of each: it says what all of its cell say.
    """

    code: Ints
    one: Ints

    def count(self, which: Bools) -> Ints:
        """[cells] how many of these [rows] are in each."""
        return np.bincount(self.code[which], minlength=len(self.one))

    def sums(self, values: Ints) -> Ints:
        """[cells] sums of [rows] values."""
        total = np.zeros(len(self.one), dtype=np.int64)
        if values.any():  # a part of several counts often tells only one
            np.add.at(total, self.code, values)
        return total


def cells_of(*columns: Any) -> Cells:
    """Rows by what they say in all columns: counted where few values are possible.

    A null says the same as another.
    """
    codes = [_encoded(column) for column in columns]
    width = math.prod(own for _, own in codes)
    if width > _MOST_CELLS * (len(columns[0]) + 1):
        groups = group_by(*(code for code, _ in codes))
        return Cells(groups.code, groups.one)
    joint = np.zeros(len(columns[0]), dtype=np.int64)
    for code, own in codes:
        if own > 1:
            joint = joint * own + code
    row = np.full(width, -1, dtype=np.int64)
    row[joint] = np.arange(len(joint))
    there = row >= 0
    return Cells((np.cumsum(there) - 1)[joint], row[there])
