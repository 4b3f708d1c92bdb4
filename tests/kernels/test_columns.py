"""Arrow columns as numpy arrays, key codes and group boundaries."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import (
    codes,
    encoded,
    expand,
    first_rows,
    group_starts,
    ints,
    is_one_value,
    is_set,
    joint_places,
    key_places,
    key_starts,
    rows_at,
    sort_by,
    take,
)

KEYS = st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from("xyz")), max_size=15)


def chunked(values: list[str | None], cut: int = 1) -> pa.ChunkedArray:
    """A text column in two chunks, as tables hold them."""
    plain = pa.array(values, pa.string())
    return pa.chunked_array([plain.slice(0, cut), plain.slice(cut)])


def key_columns(keys: list[tuple[str, str | None]]) -> list[pa.ChunkedArray]:
    """Two key columns."""
    return [chunked([site for site, _ in keys]), chunked([one for _, one in keys])]


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_codes_are_equal_where_keys_are_and_grow_by_first_appearance(
    tables: list[list[tuple[str, str | None]]],
) -> None:
    """A sorted table's codes are sorted: the searches of other kernels lean on it."""
    known: dict[tuple[str, str | None], int] = {}
    wanted = [
        [-1 if key[1] is None else known.setdefault(key, len(known)) for key in keys]
        for keys in tables
    ]

    assert [column.tolist() for column in codes(*map(key_columns, tables))] == wanted


@given(KEYS, KEYS)
def test_first_rows_are_where_a_key_is_new(
    known: list[tuple[str, str | None]], others: list[tuple[str, str | None]]
) -> None:
    """A person is named by the row in which she comes first; one already known has a name."""
    of_known, of_others = codes(key_columns(known), key_columns(others))
    new = [
        row
        for row, key in enumerate(others)
        if key[1] is not None and key not in known and key not in others[:row]
    ]

    assert first_rows(of_others, int(of_known.max(initial=-1)) + 1).tolist() == new


def test_codes_of_tables_without_rows_or_chunks() -> None:
    """Most shards lack one dataset or another."""
    empty = pa.chunked_array([], pa.string())

    assert [column.tolist() for column in codes([empty], [pa.array(["a"])])] == [[], [0]]
    assert [column.tolist() for column in codes([empty])] == [[]]


def test_joint_keys_do_not_run_into_each_other() -> None:
    """Key (a, bc) is another than (ab, c)."""
    assert codes([pa.array(["a", "ab"]), pa.array(["bc", "c"])])[0].tolist() == [0, 1]
    assert codes([pa.array(["a", None]), pa.array([None, "b"])])[0].tolist() == [-1, -1]


@given(KEYS, KEYS)
def test_places_are_first_occurrences(
    needles: list[tuple[str, str | None]], haystack: list[tuple[str, str | None]]
) -> None:
    """The first line with that item is the one meant, not any; null matches nothing."""
    wanted = [
        haystack.index(needle) if needle[1] is not None and needle in haystack else -1
        for needle in needles
    ]

    found = joint_places(key_columns(needles), key_columns(haystack))

    assert found.tolist() == wanted


@given(st.lists(st.integers(0, 4), max_size=12))
def test_expand_lays_groups_end_to_end(counts: list[int]) -> None:
    """Groups without rows stand between others everywhere."""
    group, place = expand(np.array(counts, dtype=np.int64))

    pairs = [(index, row) for index, count in enumerate(counts) for row in range(count)]
    assert list(zip(group.tolist(), place.tolist(), strict=True)) == pairs


@given(st.lists(st.integers(0, 3), max_size=12).map(sorted))
def test_group_starts_are_the_first_rows(sorted_codes: list[int]) -> None:
    """The earliest pin of a pin id stands: the first row, not the second."""
    starts = group_starts(np.array(sorted_codes, dtype=np.int64))

    assert starts.tolist() == [sorted_codes.index(code) for code in sorted(set(sorted_codes))]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1).map(sorted))
def test_key_starts_are_the_first_rows(keys: list[tuple[str, int]]) -> None:
    """A group ends where any column of its key changes, not only the last."""
    starts = key_starts([pa.array(column) for column in zip(*keys, strict=True)])

    assert starts.tolist() == [keys.index(key) for key in sorted(set(keys))]


@pytest.mark.parametrize("column", [pa.array(["a", None, "c"]), chunked(["a", None, "c"])])
def test_take_gives_null_where_there_is_no_row(column: pa.Array) -> None:
    """-1 is "none" everywhere, never the last row as in Python."""
    assert take(column, np.array([2, -1, 0, 1])).to_pylist() == ["c", None, "a", None]
    assert take(column.slice(0, 0), np.array([-1])).to_pylist() == [None]


# Of one length, of several, the empty one, none at all.
KINDS: list[list[str | None]] = [["ab", "yz"], ["a", "", "éé"], [""], [None], ["ab", None]]
TEXTS = st.sampled_from(KINDS).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), min_size=1, max_size=9)
)


@given(TEXTS, st.data())
def test_rows_at_are_the_rows_there(texts: list[str | None], data: st.DataObject) -> None:
    """Ids are copied without a look at each: an order must not get its neighbour's."""
    # Texts that begin within their bytes, and in chunks.
    column = pa.chunked_array([pa.array(["x", *texts], pa.string()).slice(1), chunked(texts, 0)])
    table = pa.table({"text": column, "row": np.arange(len(column)), "list": [[1]] * len(column)})
    rows = data.draw(st.lists(st.integers(0, len(column) - 1), max_size=12))

    found = rows_at(table, np.array(rows, dtype=np.int64))

    found.validate(full=True)
    assert found.schema == table.schema
    assert found.to_pylist() == [table.to_pylist()[row] for row in rows]


@given(TEXTS)
def test_encoded_texts_are_the_texts(texts: list[str | None]) -> None:
    """A site alone is encoded without a look at each row, two sites are not."""
    found = encoded(chunked(texts))

    assert found.to_pylist() == texts
    assert len(found.dictionary) == len(set(texts) - {None})


def test_ints_read_booleans_and_fill_holes() -> None:
    """A null amount is "not given", which is not 0."""
    assert ints(pa.array([True, False, None])).tolist() == [1, 0, 0]
    assert ints(pa.array([2**62, None]), missing=-1).tolist() == [2**62, -1]
    assert ints(pa.chunked_array([[1], [None, 3]])).tolist() == [1, 0, 3]
    assert ints(pa.array([None, None], pa.int64()), missing=7).dtype == np.int64


def test_is_set_tells_null_from_empty() -> None:
    """An empty text is a value."""
    assert is_set(pa.array(["", None])).tolist() == [True, False]
    assert is_set(chunked([None, "a"])).tolist() == [False, True]


def test_sort_by_is_ascending_with_nulls_last() -> None:
    """Columns in turn, later ones break ties."""
    table = pa.table({"a": ["y", "x", None, "x"], "b": [1, 2, 0, 1]})

    assert sort_by(table, "a", "b").to_pylist() == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2},
        {"a": "y", "b": 1},
        {"a": None, "b": 0},
    ]


def test_sort_by_columns_that_tell_nothing() -> None:
    """Of one shop, and of rows that are all alike, the order is that of what is left."""
    table = pa.table({"site": ["s", "s", "s"], "id": ["b", None, "a"]})

    assert sort_by(table, "site", "id")["id"].to_pylist() == ["a", "b", None]
    assert sort_by(table, "site").equals(table)
    assert sort_by(table.slice(0, 0), "site", "id").num_rows == 0


@given(st.lists(st.none() | st.sampled_from("ab"), max_size=4), st.integers(0, 4))
def test_codes_say_what_the_column_says(values: list[str | None], cut: int) -> None:
    """Most columns of sites say the same everywhere, and are not looked at row by row."""
    column = chunked(values, min(cut, len(values)))

    found = encoded(column)

    assert found.to_pylist() == values
    assert found.dictionary.to_pylist() == list(dict.fromkeys(v for v in values if v is not None))
    assert is_one_value(column) == (len(set(values)) == 1 and values[0] is not None)


def test_columns_say_the_same_only_together() -> None:
    """Two shops that stand in one table each are two shops."""
    one, other = chunked(["a", "a"]), chunked(["b", "b"])

    assert is_one_value(one, one.slice(0, 0), one)
    assert not is_one_value(one, other)
    assert not is_one_value(one.slice(0, 0))


INTEGERS = st.lists(st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]), max_size=15)


@given(INTEGERS, INTEGERS)
def test_a_key_is_found_at_its_first_place(needles: list[int], haystack: list[int]) -> None:
    """A landing that found another pin would credit a stranger."""
    wanted = [haystack.index(key) if key in haystack else -1 for key in needles]

    found = key_places(np.array(needles, dtype=np.int64), np.array(haystack, dtype=np.int64))

    assert found.tolist() == wanted
