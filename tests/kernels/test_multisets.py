"""Multisets of rows: nothing is lost, nothing is kept that both sides have."""

from collections import Counter
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels import multisets
from pipelines.kernels.multisets import (
    add_up,
    cancel,
    fingerprints,
    is_among,
    is_repeated,
    negated,
    without,
)

LINE = pa.struct([("item", pa.string()), ("micros", pa.int64())])
SCHEMA = pa.schema(
    [
        ("site_id", pa.string()),
        ("micros", pa.int64()),
        ("share", pa.float64()),
        ("is_self", pa.bool_()),
        ("pin_ids", pa.list_(pa.string())),
        ("lines", pa.list_(LINE)),
    ]
)
TEXTS = st.none() | st.sampled_from(["", "a", "b", "ab", "\U0001f4cc"])
LINES = st.fixed_dictionaries({"item": TEXTS, "micros": st.none() | st.integers(0, 1)})
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "site_id": TEXTS,
            "micros": st.none() | st.integers(-1, 1),
            "share": st.none() | st.sampled_from([0.0, -0.0, 0.5]),
            "is_self": st.none() | st.booleans(),
            "pin_ids": st.none() | st.lists(TEXTS, max_size=2),
            "lines": st.none() | st.lists(LINES, max_size=2),
        }
    )
    | st.just(dict.fromkeys(SCHEMA.names)),
    max_size=12,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """The rows, in two chunks, the second a slice: as they come from the flow."""
    half = len(rows) // 2
    whole = pa.Table.from_pylist([*rows[:1], *rows], SCHEMA).slice(min(len(rows), 1))
    return pa.concat_tables([whole.slice(0, half), whole.slice(half)])


def counted(rows: pa.Table) -> Counter[str]:
    """Rows without their order."""
    return Counter(repr(row).replace("-0.0", "0.0") for row in rows.to_pylist())


@given(ROWS, ROWS)
def test_what_both_sides_have_cancels_as_often_as_both_have_it(
    some: list[dict[str, Any]], others: list[dict[str, Any]]
) -> None:
    """A row too many taken back is an order that vanishes; one too few, an order paid twice."""
    with mock.patch.object(multisets, "_AT_ONCE", 2):  # rows are compared some at a time
        added, removed = cancel(table(some), table([*others, *some[:2]]))

    mine, theirs = counted(table(some)), counted(table([*others, *some[:2]]))
    assert counted(added) == mine - theirs
    assert counted(removed) == theirs - mine


@given(ROWS)
def test_different_rows_have_different_fingerprints(rows: list[dict[str, Any]]) -> None:
    """Null, empty and zero, and lists cut at other places, are different things."""
    whole = table(rows)

    assert len(set(fingerprints(whole).tolist())) == len(counted(whole))


def test_rows_that_share_a_hash_are_not_taken_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control of the full comparison: with a hash that is always 0 it refuses."""
    monkeypatch.setattr(
        multisets, "fingerprints", lambda rows: np.zeros(len(rows), dtype=np.uint64)
    )
    one, other = (pa.table({"order_id": [name]}) for name in ("one", "other"))

    with pytest.raises(ValueError, match="the same fingerprint"):
        cancel(one, other)


def test_a_row_that_is_not_there_cannot_be_taken_back() -> None:
    """It would mean that the state is not that of the last run."""
    with pytest.raises(ValueError, match=r"1 rows \(a\) to take back are not there"):
        without(pa.table({"a": [1, 1]}), pa.table({"a": [1, 1, 1]}))


def test_parts_add_up_and_nothing_is_no_row() -> None:
    """A day whose only event was erased has no row, as after a full run."""
    parts = pa.table(
        {
            "day": ["1", "1", "2", None, None],
            "model": [None, None, "x", "x", "x"],
            "n": [1, 2, 3, 4, 5],
        }
    )

    total = add_up(pa.concat_tables([parts, negated(parts.slice(2, 1), ("n",))]), ("n",))

    assert total.sort_by("n").to_pylist() == [
        {"day": "1", "model": None, "n": 3},
        {"day": None, "model": "x", "n": 9},
    ]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1)),
    st.sets(st.integers(-(2**63), 2**63 - 1)),
    st.integers(0, 5),
)
def test_the_sieve_finds_every_wanted_key_and_no_other(
    keys: list[int], wanted: set[int], shared: int
) -> None:
    """A key overlooked would leave an old answer standing."""
    wanted |= set(keys[:shared])
    found = is_among(np.array(keys, dtype=np.int64), np.array(sorted(wanted), dtype=np.int64))

    assert found.tolist() == [key in wanted for key in keys]


@given(st.lists(st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]), max_size=20))
def test_keys_that_come_again_are_found(keys: list[int]) -> None:
    """One that is overlooked is an event counted twice."""
    found = is_repeated(np.array(keys, dtype=np.int64))

    assert found.tolist() == [keys.count(key) > 1 for key in keys]
