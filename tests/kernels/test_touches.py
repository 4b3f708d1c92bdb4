"""Touches before an order: none too few, so that no credit is lost; few too many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.transforms.touches import has_order

EVENTS = st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 9)), max_size=8)


@given(EVENTS, EVENTS, st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_a_touch_counts_if_an_order_follows_within_the_window(
    touches: list[tuple[int, int]], orders: list[tuple[int, int]], windows: list[int]
) -> None:
    """One left out is a pinner who does not get what is hers."""
    touch_person, touch_at, order_person, order_at = (
        np.array([each[n] for each in rows], dtype=np.int64)
        for rows in (touches, orders)
        for n in (0, 1)
    )
    window = np.array([windows[max(person, 0)] for person, _ in orders], dtype=np.int64)

    found = has_order(touch_person, touch_at, order_person, order_at, window)

    assert found.tolist() == [
        any(person == buyer >= 0 and 0 <= bought - at <= windows[buyer] for buyer, bought in orders)
        for person, at in touches
    ]
