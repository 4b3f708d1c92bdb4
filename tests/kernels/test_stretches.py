"""Numbers put in order by themselves: what numpy's slower ways give."""

import hypothesis
import numpy as np
from hypothesis import strategies as st

from pipelines.kernels.stretches import distinct, hash_order, sorted_within

WIDE = st.integers(-(2**63), 2**63 - 1)


@hypothesis.given(st.lists(st.integers(-3, 3) | WIDE, max_size=20))
@hypothesis.settings(max_examples=30)
def test_each_value_is_there_once(values: list[int]) -> None:
    """A key that came twice would be looked up twice."""
    assert distinct(np.array(values, dtype=np.int64)).tolist() == sorted(set(values))


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5) | st.integers(-(2**61), 2**61)))
)
@hypothesis.settings(max_examples=30)
def test_values_are_in_order_within_their_group(rows: list[tuple[int, int]]) -> None:
    """Quantiles are read off by place; values too far apart for one number come out the same."""
    group, value = (np.array([row[n] for row in rows], dtype=np.int64) for n in (0, 1))

    assert sorted_within(group, value).tolist() == [value for _, value in sorted(rows)]


@hypothesis.given(
    st.lists(st.sampled_from([0, 1, 6, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1))
)
@hypothesis.settings(max_examples=30)
def test_equal_hashes_stay_in_their_order(values: list[int]) -> None:
    """Which row is taken back against which; hashes alike but for a few bits are told apart."""
    hashes = np.array(values, dtype=np.uint64)

    assert hash_order(hashes).tolist() == np.argsort(hashes, kind="stable").tolist()


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 6, 2**64 - 1]) | WIDE))
)
@hypothesis.settings(max_examples=30)
def test_hashes_are_in_order_within_their_group(rows: list[tuple[int, int]]) -> None:
    """The people of a sphere are a list: in another order they would be another list."""
    group = np.array([row[0] for row in rows], dtype=np.int64)
    hashes = np.array([row[1] % 2**64 for row in rows], dtype=np.uint64)

    assert hash_order(hashes, group).tolist() == np.lexsort((hashes, group)).tolist()
