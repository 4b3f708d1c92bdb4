"""Rows gathered by code with one sort, and what they add up to."""

import dataclasses

import numpy as np

from pipelines.kernels.columns import Ints, group_starts


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

    def sums(self, values: Ints) -> Ints:
        """[groups, ...] sums of [rows, ...] values."""
        if len(self.start) == 0:
            return values[:0]
        return np.asarray(np.add.reduceat(values[self.rows], self.start, axis=0))

    def of_rows(self, count: int) -> Ints:
        """[count] the group of each row, -1 where it has none."""
        group = np.full(count, -1, dtype=np.int64)
        size = np.diff(np.append(self.start, len(self.rows)))
        group[self.rows] = np.repeat(np.arange(len(size)), size)
        return group


def group_by(*codes: Ints) -> Groups:
    """Groups rows by their codes together.

    Args:
      codes: each [rows] from 0, or -1 for a row that stands aside; their ranges multiplied
        stay below 2**63.
    """
    joint = np.zeros(len(codes[0]), dtype=np.int64)
    for code in codes:
        joint = joint * (int(code.max(initial=0)) + 1) + code
    kept = np.flatnonzero(np.min(codes, axis=0) >= 0)
    rows = kept[np.argsort(joint[kept])]
    return Groups(rows, group_starts(joint[rows]))
