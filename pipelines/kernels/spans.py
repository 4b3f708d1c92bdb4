"""As-of look-ups: which row of a group stood at a time."""

from typing import Literal

import numpy as np

from pipelines.kernels.columns import Ints

# Group code and milliseconds share one int64 sort key: 2**43 ms are 278 years, more than
# two wrong clocks within the event contract can lie apart.
_TIME_BITS = 43
_MAX_GROUPS = 2**20


def time_key(group: Ints, at: Ints, origin: int) -> Ints:
    """[rows] a key that sorts by group, then time.

    Args:
      group: [rows] codes from 0.
      at: [rows] epoch milliseconds; clipped to 0 .. 2**43 - 1 after `origin`.
      origin: epoch milliseconds that become 0.

    Raises:
      ValueError: more than 2**20 groups in one shard; use more shards.
    """
    if len(group) and int(group.max()) >= _MAX_GROUPS:
        raise ValueError(f"a shard holds more than {_MAX_GROUPS} groups; use more shards")
    clipped = np.clip(at - origin, 0, 2**_TIME_BITS - 1)
    return (group << _TIME_BITS) | clipped


def sought(keys: Ints, wanted: Ints, side: Literal["left", "right"] = "left") -> Ints:
    """[wanted] where each would be inserted, as numpy says, in a third of the time.

    In order the many wanted walk through the keys instead of jumping about in them.
    """
    order = np.argsort(wanted)
    place = np.empty(len(wanted), dtype=np.int64)
    place[order] = np.searchsorted(keys, wanted[order], side=side)
    return place


def as_of(
    row_group: Ints, row_at: Ints, query_group: Ints, query_at: Ints, *, or_first: bool
) -> Ints:
    """Finds for each query the latest row of its group at or before its time.

    Args:
      row_group: [rows] codes from 0; rows are sorted by group, then time; of rows with equal
        group and time the last counts.
      row_at: [rows] epoch milliseconds.
      query_group: [queries] codes; -1 finds nothing.
      query_at: [queries] epoch milliseconds.
      or_first: with no such row, take the group's first row after the time.

    Returns:
      [queries] row index, -1 where there is none.
    """
    if len(row_group) == 0 or len(query_group) == 0:
        return np.full(len(query_group), -1, dtype=np.int64)
    origin = min(int(row_at.min()), int(query_at.min()))
    keys = time_key(row_group, row_at, origin)
    wanted = time_key(np.maximum(query_group, 0), query_at, origin)
    after = sought(keys, wanted, side="right")
    found = after - 1
    hit = (found >= 0) & (row_group[np.maximum(found, 0)] == query_group)
    if or_first:
        next_row = np.minimum(after, len(keys) - 1)
        # Of several rows at that first time the last counts, as above.
        last_equal = np.searchsorted(keys, keys[next_row], side="right") - 1
        follows = ~hit & (after < len(keys)) & (row_group[next_row] == query_group)
        found = np.where(follows, last_equal, found)
        hit |= follows
    return np.where(hit & (query_group >= 0), found, -1)
