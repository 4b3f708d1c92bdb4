"""As-of look-ups: the row that stood at a time, against a loop."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import Ints
from pipelines.kernels.spans import as_of, time_key
from schemas.events import EARLIEST_MS, LATEST_MS

Row = tuple[int, int]  # group, time


def columns(rows: list[Row]) -> tuple[Ints, Ints]:
    """Groups and times as arrays."""
    pairs = np.array(rows, dtype=np.int64).reshape(len(rows), 2)
    return pairs[:, 0], pairs[:, 1]


def naive(rows: list[Row], query: Row, *, or_first: bool) -> int:
    """The latest row of the group at or before the time, else the first after it, else -1."""
    group, at = query
    before = [(when, row) for row, (own, when) in enumerate(rows) if own == group and when <= at]
    if before:
        return max(before)[1]
    after = [(when, row) for row, (own, when) in enumerate(rows) if own == group and when > at]
    if not or_first or not after:
        return -1
    soonest = min(when for when, _ in after)
    return max(row for when, row in after if when == soonest)


# Few groups and few times: ties and misses everywhere.
ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(-6, 6)), max_size=25).map(sorted)
QUERIES = st.lists(st.tuples(st.integers(-1, 6), st.integers(-8, 8)), max_size=25)


@pytest.mark.parametrize("or_first", [False, True])
@given(rows=ROWS, queries=QUERIES)
def test_as_of_is_the_naive_loop(rows: list[Row], queries: list[Row], or_first: bool) -> None:
    """An event must belong to whoever was logged in then, ties and strangers included."""
    found = as_of(*columns(rows), *columns(queries), or_first=or_first)

    assert found.tolist() == [naive(rows, query, or_first=or_first) for query in queries]


@given(ROWS, QUERIES, st.integers(-(10**12), 10**13))
def test_as_of_depends_on_differences_of_time_only(
    rows: list[Row], queries: list[Row], shift: int
) -> None:
    """No epoch is special: neither 1970 nor 2038."""
    moved = [[(group, at + shift) for group, at in each] for each in (rows, queries)]

    found = as_of(*columns(moved[0]), *columns(moved[1]), or_first=True)

    assert found.tolist() == as_of(*columns(rows), *columns(queries), or_first=True).tolist()


@pytest.mark.parametrize("or_first", [False, True])
def test_as_of_holds_over_all_times_an_event_may_have(or_first: bool) -> None:
    """One browser with a nonsense clock must not hand another's visits to a later login.

    A time is corrected by the receiver's clock less the sender's: 2000 to 2100 becomes
    1926 to 2126 when the beacon stands in 2026.
    """
    now = round(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000)
    earliest, latest = EARLIEST_MS - (LATEST_MS - now), LATEST_MS + (now - EARLIEST_MS)
    rows = [(0, earliest), (1, latest - 2_000), (1, latest - 1_000)]
    queries = [(1, latest - 3_000), (1, latest - 1_500), (1, latest)]

    found = as_of(*columns(rows), *columns(queries), or_first=or_first)

    assert found.tolist() == [naive(rows, query, or_first=or_first) for query in queries]


def test_too_many_groups_for_one_shard_are_refused() -> None:
    """Rather an error that says what to do than keys that overlap silently."""
    at = np.zeros(1, dtype=np.int64)

    assert time_key(np.array([2**20 - 1]), at, 0)[0] > 0
    with pytest.raises(ValueError, match="use more shards"):
        time_key(np.array([2**20]), at, 0)
