"""Rows gathered by code: every row in one group, whatever the codes."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels import groups
from pipelines.kernels.groups import Groups, cells_of, group_by, group_equal, numbered

CODES = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 2)), max_size=20)


def members(groups: Groups) -> list[list[int]]:
    """The rows of each group, in order."""
    return [sorted(each.tolist()) for each in np.split(groups.rows, groups.start)[1:]]


@given(CODES, st.sampled_from([1, 2**40]))
def test_rows_of_equal_codes_are_one_group_by_ascending_code(
    codes: list[tuple[int, int]], width: int
) -> None:
    """Else a pinner has two rows, or another's money; ranges that overflow are no exception."""
    expected = defaultdict(list)
    for row, pair in enumerate(codes):
        if min(pair) >= 0:
            expected[pair].append(row)
    table = np.array(codes, dtype=np.int64).reshape(-1, 2)

    groups = group_by(*(np.where(table < 0, -1, table * width).T))

    assert members(groups) == [expected[pair] for pair in sorted(expected)]


@given(CODES)
def test_sums_sizes_and_rows_agree(codes: list[tuple[int, int]]) -> None:
    """What is added up is what stands in the group."""
    code = np.array([pair[0] for pair in codes], dtype=np.int64)
    groups = group_by(code)
    values = np.arange(2 * len(codes)).reshape(-1, 2)

    assert groups.size.tolist() == [len(each) for each in members(groups)]
    assert groups.sums(values).tolist() == [
        values[each].sum(axis=0).tolist() for each in members(groups)
    ]
    assert [groups.code[each].tolist() for each in members(groups)] == [
        [number] * size for number, size in enumerate(groups.size)
    ]
    assert (groups.code[code < 0] == -1).all()


def test_a_null_is_a_value_like_another() -> None:
    """Counts that hold for every model have none, and stay one row."""
    model = pa.array([None, "first", None, "first"])
    day = pa.array(["a", "a", "a", "b"])

    assert sorted(members(group_equal(model, day))) == [[0, 2], [1], [3]]


@given(st.lists(st.one_of(st.integers(-5, 5), st.integers(-(2**40), 2**40)), max_size=20))
def test_distinct_values_are_numpy_s(values: list[int]) -> None:
    """Near each other or far apart."""
    array = np.array(values, dtype=np.int64)

    found, place = numbered(array)

    assert found.tolist() == sorted(set(values))
    assert found[place].tolist() == values


@pytest.mark.parametrize("most", [16, 0])
def test_cells_count_what_a_counter_counts(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """However many values there are, and whether anything counts at all."""
    monkeypatch.setattr(groups, "_MOST_CELLS", most)
    columns = (
        pa.array(["a", "b", "a", "a", "b", "a"]),
        pa.array([1, 1, 2, 1, 1, 2]),
        pa.chunked_array([[None, "q", None, "q", "q", None]]),
    )
    is_counted = np.array([True, True, False, True, False, False])
    rows = list(zip(*(column.to_pylist() for column in columns), strict=True))

    cells = cells_of(*columns)

    assert [rows[one] for one in cells.one[cells.code]] == rows
    told = zip([rows[one] for one in cells.one], cells.count(is_counted).tolist(), strict=True)
    counted = Counter(row for row, counts in zip(rows, is_counted, strict=True) if counts)
    assert dict(told) == {row: counted[row] for row in rows}
    nothing = cells_of(*(column.slice(0, 0) for column in columns))
    assert nothing.count(is_counted[:0]).tolist() == []
