"""Rows that wait for those of other shards: none is lost, and they lie in few files."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import Tables
from pipelines.transforms import waiting
from pipelines.transforms.changes import Change
from pipelines.transforms.waiting import Waiting

DATASETS = ("orders", "pins")
# What a shard gives of each table: some numbers.
GIVEN = st.dictionaries(st.sampled_from([*DATASETS, "a result"]), st.lists(st.integers(0, 9)))


def tables(given_: dict[str, list[int]]) -> Tables:
    """The numbers as tables."""
    return {name: pa.table({"number": pa.array(each, pa.int64())}) for name, each in given_.items()}


def counted(changes: Iterable[Change]) -> Counter[tuple[bool, str, int]]:
    """What comes and what goes, without its order."""
    return Counter(
        (is_removal, name, number)
        for change in changes
        for side, is_removal in zip(change, (False, True), strict=True)
        for name, table in side.items()
        for number in table["number"].to_pylist()
    )


@given(st.lists(st.tuples(GIVEN, GIVEN), max_size=5), st.sampled_from([0, 100, 2**30]))
def test_what_waits_comes_out_once_and_on_its_side(
    shards: list[tuple[dict[str, list[int]], dict[str, list[int]]]], most: int
) -> None:
    """However often it is too much to wait: an order that is lost, or taken back, is revenue."""
    changes = [Change(*map(tables, sides)) for sides in shards]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waiting, "_MOST_BYTES", most)
        rows = Waiting(DATASETS)
        ready = [rows.put(change) for change in changes]
        rest = rows.rest()

    assert counted([*ready, rest]) == counted(changes)
    assert rows.rest() == Change({}, {})
    if most == 2**30:
        assert {name for change in ready for side in change for name in side} <= {"a result"}


def test_the_longest_is_written_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows gain most by waiting: they must not go out because many came."""
    monkeypatch.setattr(waiting, "_MOST_BYTES", 1000)
    rows = Waiting(DATASETS)

    assert rows.put(Change(tables({"orders": [1], "pins": [2] * 100}), {})) == Change({}, {})
    ready = rows.put(Change(tables({"orders": [3], "pins": [4] * 100}), {}))

    assert {name: len(table) for name, table in ready.added.items()} == {"pins": 200}
    assert rows.rest().added["orders"]["number"].to_pylist() == [1, 3]
