"""Layer 1: the touches of an order and each model's shares over them."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import Ints
from pipelines.kernels.credit import Paths, build_paths, weigh_touches
from schemas.models import MODELS

DAY_MS = 86_400_000
WEEK_MS = 7.0 * DAY_MS


def array(values: Sequence[int]) -> Ints:
    """Integers as the kernels take them."""
    return np.array(values, dtype=np.int64)


def path_of(touches: int) -> Paths:
    """One order with that many touches."""
    return Paths(array([0, touches]), array([0] * touches), np.arange(touches))


def weigh(
    model: str, ages: Sequence[int], pins: Sequence[int] = (), half_life_ms: float = WEEK_MS
) -> list[float]:
    """Weights of one order's touches, oldest first."""
    return weigh_touches(
        model,
        path_of(len(ages)),
        array(ages),
        array(pins or range(len(ages))),
        np.full(len(ages), half_life_ms),
    ).tolist()


def naive_weights(model: str, ages: list[int], pins: list[int], half_life_ms: float) -> list[float]:
    """docs/attribution.md section 5, layer 1, one touch at a time."""
    n = len(ages)
    if model == "linear":
        kept = [i == n - 1 or pins[i] != pins[i + 1] for i in range(n)]
        return [1 / sum(kept) if keep else 0.0 for keep in kept]
    if model == "position" and n <= 2:
        return [1 / n] * n
    if model == "position":
        return [0.4, *[0.2 / (n - 2)] * (n - 2), 0.4]
    if model == "time_decay":
        decayed = [2.0 ** (-(age - ages[-1]) / half_life_ms) for age in ages]
        return [one / math.fsum(decayed) for one in decayed]
    return [float(i == (0 if model == "first" else n - 1)) for i in range(n)]


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("first", [1, 0, 0, 0]),
        ("last", [0, 0, 0, 1]),
        ("linear", [1 / 4] * 4),
        ("position", [0.4, 0.1, 0.1, 0.4]),
        # 2^-(21/7) 2^-(14/7) 2^-(7/7) 2^0 = 1/8 1/4 1/2 1, which sum to 15/8.
        ("time_decay", [1 / 15, 2 / 15, 4 / 15, 8 / 15]),
    ],
)
def test_each_model_shares_four_weekly_touches(model: str, weights: list[float]) -> None:
    """The table a merchandiser is shown when she asks what a model does."""
    assert weigh(model, [21 * DAY_MS, 14 * DAY_MS, 7 * DAY_MS, 0]) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("touches", "weights"),
    [(1, [1.0]), (2, [0.5, 0.5]), (3, [0.4, 0.2, 0.4]), (5, [0.4, 0.2 / 3, 0.2 / 3, 0.2 / 3, 0.4])],
)
def test_position_knows_short_paths(touches: int, weights: list[float]) -> None:
    """Most orders have one or two touches."""
    assert weigh("position", [0] * touches) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("pins", "weights"),
    [
        ([7, 7, 7], [0, 0, 1]),  # one touch, at the last of them
        ([7, 7, 8], [0, 1 / 2, 1 / 2]),
        ([7, 8, 7], [1 / 3, 1 / 3, 1 / 3]),  # repeats that do not follow each other stay
        ([7, 8, 8, 7, 7], [1 / 3, 0, 1 / 3, 0, 1 / 3]),
    ],
)
def test_linear_counts_a_run_of_one_pin_once(pins: list[int], weights: list[float]) -> None:
    """A shopper who reloads a page is one touch, not ten."""
    assert weigh("linear", [0] * len(pins), pins) == pytest.approx(weights)


def test_linear_does_not_join_repeats_across_orders() -> None:
    """Two orders after one pin: each has its touch."""
    paths = Paths(array([0, 1, 2]), array([0, 1]), array([0, 1]))

    weights = weigh_touches("linear", paths, array([0, 0]), array([7, 7]), np.full(2, WEEK_MS))

    assert weights.tolist() == [1, 1]


@pytest.mark.parametrize("model", MODELS)
def test_touches_at_one_time_are_told_apart_by_their_place(model: str) -> None:
    """Beacons of one click share a millisecond; the path's order stands."""
    expected = {"first": [1, 0], "last": [0, 1]}

    assert weigh(model, [DAY_MS, DAY_MS]) == expected.get(model, [0.5, 0.5])


def test_very_old_touches_do_not_underflow() -> None:
    """At 5,000 half-lives 2^-age is 0: a sum of 0 would credit NaN, and lose the order."""
    old = 5_000 * 7 * DAY_MS

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = weigh("time_decay", [old])
        equal = weigh("time_decay", [old, old])
        apart = weigh("time_decay", [old + 7 * DAY_MS, old])
        beside_new = weigh("time_decay", [old, 0])

    assert alone == [1]
    assert equal == [0.5, 0.5]
    assert apart == pytest.approx([1 / 3, 2 / 3])
    assert beside_new == [0, 1]


ORDERS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 30 * DAY_MS), st.integers(0, 3)), min_size=0, max_size=12
    ).map(lambda touches: sorted(touches, reverse=True)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("model", MODELS)
@given(orders=ORDERS, half_life_ms=st.floats(1.0, 3650.0 * DAY_MS))
def test_weights_are_the_naive_loop_and_sum_to_1_per_order(
    model: str, orders: list[list[tuple[int, int]]], half_life_ms: float
) -> None:
    """Vectors over a whole shard, orders without touches among them, change no share."""
    counts = [len(touches) for touches in orders]
    flat = [touch for touches in orders for touch in touches]
    start = np.cumsum([0, *counts])
    paths = Paths(start, np.repeat(np.arange(len(orders)), counts), np.arange(len(flat)))

    weights = weigh_touches(
        model,
        paths,
        array([age for age, _ in flat]),
        array([pin for _, pin in flat]),
        np.full(len(flat), half_life_ms),
    )

    for index, touches in enumerate(orders):
        own = weights[start[index] : start[index + 1]].tolist()
        if touches:
            ages, pins = (list(column) for column in zip(*touches, strict=True))
            assert own == pytest.approx(naive_weights(model, ages, pins, half_life_ms), abs=1e-12)
            assert math.fsum(own) == pytest.approx(1, abs=1e-12)


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    """A typing error in a model's name must not give an empty table."""
    with pytest.raises(ValueError, match=r"'lineal'; known: first, last, linear, position, time"):
        weigh("lineal", [0])


@pytest.mark.parametrize(
    ("touch_at", "is_in"),
    [(-1, False), (0, True), (1, True), (30 * DAY_MS, True), (30 * DAY_MS + 1, False)],
)
def test_the_window_holds_both_of_its_ends(touch_at: int, is_in: bool) -> None:
    """A sale at the touch's very second counts, and one exactly 30 days later; no later one."""
    paths = build_paths(
        array([0]), array([touch_at]), array([0]), array([30 * DAY_MS]), array([30 * DAY_MS])
    )

    assert paths.touch.tolist() == ([0] if is_in else [])


@st.composite
def shards(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Sorted (person, time) of touches; (person, time, window) of orders. Many ties."""
    times = st.integers(0, 12)
    touches = draw(st.lists(st.tuples(st.integers(0, 3), times), max_size=25))
    orders = draw(
        st.lists(st.tuples(st.integers(-1, 5), times, st.integers(1, 6)), min_size=0, max_size=10)
    )
    return sorted(touches), orders


@given(shards())
def test_paths_are_the_naive_loop(
    shard: tuple[list[tuple[int, int]], list[tuple[int, int, int]]],
) -> None:
    """Every buyer gets her own touches, in order, and nobody else's."""
    touches, orders = shard
    wanted = [
        (order, touch)
        for order, (buyer, ordered_at, window) in enumerate(orders)
        for touch, (person, at) in enumerate(touches)
        if buyer == person and 0 <= ordered_at - at <= window
    ]

    paths = build_paths(
        array([person for person, _ in touches]),
        array([at for _, at in touches]),
        *(array([order[column] for order in orders]) for column in range(3)),
    )

    found = list(zip(paths.order.tolist(), paths.touch.tolist(), strict=True))
    assert found == wanted
    assert paths.start.tolist() == [
        sum(order < row for order, _ in wanted) for row in range(len(orders) + 1)
    ]


def test_orders_and_touches_a_century_apart_do_not_meet() -> None:
    """A nonsense clock in one event must not move another shopper's touches.

    The contract lets times reach from 1926 to 2126: 2000 to 2100 and a clock as wrong again.
    """
    year = 365 * DAY_MS
    touch_at = array([-40 * year, 130 * year])  # persons 0 and 1
    order_at = 110 * year  # before person 1's touch

    paths = build_paths(array([0, 1]), touch_at, array([1]), array([order_at]), array([DAY_MS]))

    assert paths.touch.tolist() == []
