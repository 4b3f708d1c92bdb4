"""Rows gathered by code with one sort, and what they add up to."""

import dataclasses
from typing import Any

import numpy as np

from pipelines.kernels.columns import Bools, Ints, flat, group_starts, ints

_MOST_CODES = 2**62
_MOST_CELLS = 2**20


@dataclasses.dataclass(frozen=True)
class Groups:
    """Rows of equal codes, by ascending code; within a group in any order.

    rows: [grouped rows] rows of a group lie end to end.
    start: [groups] where in `rows` each group begins.
    """

    rows: Ints
    start: Ints

    @property
    def one(self) -> Ints:
        """[groups] a row of each: it says what all of its group say."""
        return self.rows[self.start]

    @property
    def size(self) -> Ints:
        """[groups] rows of each."""
        return np.diff(np.append(self.start, len(self.rows)))

    def sums(self, values: Ints) -> Ints:
        """[groups, ...] sums of [rows, ...] values."""
        if len(self.start) == 0:
            return values[:0]
        return np.asarray(np.add.reduceat(values[self.rows], self.start, axis=0))

    def of_rows(self, count: int) -> Ints:
        """[count] the group of each row, -1 where it has none."""
        group = np.full(count, -1, dtype=np.int64)
        group[self.rows] = np.repeat(np.arange(len(self.start)), self.size)
        return group


def group_by(*codes: Ints) -> Groups:
    """Groups rows by their codes together.

    Args:
      codes: each [rows] from 0, or -1 for a row that stands aside.
    """
    joint, width = np.zeros(len(codes[0]), dtype=np.int64), 1
    for code in codes:
        own = int(code.max(initial=0)) + 1
        if width * own >= _MOST_CODES:
            joint = np.unique(joint, return_inverse=True)[1]
            width = len(joint)
        joint, width = joint * own + code, width * own
    kept = np.flatnonzero(np.min(codes, axis=0) >= 0)
    rows = kept[np.argsort(joint[kept])]
    return Groups(rows, group_starts(joint[rows]))


def group_equal(*columns: Any) -> Groups:
    """Groups rows that say the same in all columns; a null says the same as another."""
    return group_by(*(ints(flat(each).dictionary_encode("encode").indices) for each in columns))


@dataclasses.dataclass(frozen=True)
class Cells:
    """Rows by what they say, counted without putting them in order.

    code: [rows] the cell of each.
    one: [cells] a row of each: it says what all of its cell say.
    """

    code: Ints
    one: Ints

    def count(self, which: Bools) -> Ints:
        """[cells] how many of these [rows] are in each."""
        return np.bincount(self.code[which], minlength=len(self.one))


def cells_of(*columns: Any) -> Cells:
    """Rows by what they say in all columns, each of few different values.

    A null says the same as another.
    """
    joint, width = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        encoded = flat(column).dictionary_encode("encode")
        joint, width = joint * len(encoded.dictionary), width * len(encoded.dictionary)
        joint += ints(encoded.indices)
        if width > _MOST_CELLS:
            joint = np.unique(joint, return_inverse=True)[1]
            width = int(joint.max(initial=-1)) + 1
    row = np.full(width, -1, dtype=np.int64)
    row[joint] = np.arange(len(joint))
    there = row >= 0
    return Cells((np.cumsum(there) - 1)[joint], row[there])
