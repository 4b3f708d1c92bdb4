"""The split of order lines over links under all models at once, and what orders owe."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import Floats, Ints
from pipelines.kernels.credit import credit_lines
from pipelines.kernels.dues import dues_of_links, units_of
from tests.oracle_orders import split

WEIGHTS = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0])
MICROS = st.one_of(st.integers(-3, 3), st.integers(-(10**9), 10**9))


class Shop(NamedTuple):
    """Orders with links and lines; of each link the key and the product pinned."""

    weight: Floats  # [models, links]
    start: Ints
    key: Ints
    line_order: Ints
    net: Ints
    gross: Ints
    quantity: Ints


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    """A few orders, some without links, some without lines, most lines without refunds."""
    models, orders = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    sizes = [draw(st.integers(0, 4)) for _ in range(orders)]
    weight = np.array([draw(WEIGHTS) for _ in range(models * sum(sizes))]).reshape(models, -1)
    start = np.cumsum([0, *sizes])
    for first, size in zip(start, sizes, strict=False):
        if size:
            weight[weight[:, first : first + size].sum(axis=1) == 0, first] = 1.0
    line_order = np.array(
        [order for order in range(orders) for _ in range(draw(st.integers(0, 3)))], dtype=np.int64
    )
    net = np.array([draw(MICROS) for _ in line_order], dtype=np.int64)
    refunded = np.array([draw(st.just(0) | MICROS) for _ in line_order], dtype=np.int64)
    key = np.array([draw(st.integers(-1, 2)) for _ in range(start[-1])], dtype=np.int64)
    quantity = np.array([draw(st.integers(-2, 3)) for _ in line_order], dtype=np.int64)
    return Shop(weight, start, key, line_order, net, net + refunded, quantity)


def naive_credits(shop: Shop) -> list[tuple[int, int, int, int, int]]:
    """Each model, line and link on its own, in the oracle's arithmetic."""
    rows = []
    for model, weights in enumerate(shop.weight):
        for line, order in enumerate(shop.line_order):
            links = [link for link in range(*shop.start[order : order + 2]) if weights[link] > 0]
            if links:
                shares = [float(weights[link]) for link in links]
                parts = (split(int(all_[line]), shares) for all_ in (shop.net, shop.gross))
                for link, net, gross in zip(links, *parts, strict=True):
                    if net or gross:
                        rows.append((model, line, link, net, gross))
    return rows


@given(shops())
def test_all_models_at_once_are_each_model_alone(shop: Shop) -> None:
    """A shop that compares two models must not get other money than one that looks at one."""
    credits = credit_lines(shop.weight, shop.start, shop.line_order, shop.net, shop.gross)

    assert list(zip(*(column.tolist() for column in credits), strict=True)) == naive_credits(shop)


@given(shops())
def test_what_orders_owe_is_their_credits_added_up(shop: Shop) -> None:
    """Sums of the dashboards are sums of the ledger."""
    models, links = shop.weight.shape
    credits = credit_lines(shop.weight, shop.start, shop.line_order, shop.net, shop.gross)
    is_direct = (credits.line + credits.link) % 2 == 0
    expected = np.zeros((4, links, models), dtype=np.int64)
    for model, line, link, net, gross in naive_credits(shop):
        direct = net if (line + link) % 2 == 0 else 0
        expected[:, link, model] += (1, net, gross - net, direct)

    dues = dues_of_links(credits, is_direct, links, models)

    assert np.array_equal(np.array(dues), expected)


@given(shops())
def test_units_of_a_line_count_once_for_a_key_however_many_pins_it_has(shop: Shop) -> None:
    """Three mugs sold through two pins of the mug are three mugs."""
    order_of_link = np.repeat(np.arange(len(shop.start) - 1), np.diff(shop.start))
    pairs = sorted({(o, k) for o, k in zip(order_of_link, shop.key, strict=True) if k >= 0})
    pair = np.array(
        [
            pairs.index((o, k)) if k >= 0 else -1
            for o, k in zip(order_of_link, shop.key, strict=True)
        ],
        dtype=np.int64,
    )
    owing = defaultdict(set)
    for model, line, link, _, _ in naive_credits(shop):
        owing[int(pair[link]), model].add(line)
    credits = credit_lines(shop.weight, shop.start, shop.line_order, shop.net, shop.gross)
    order = np.array([order for order, _ in pairs], dtype=np.int64)

    units = units_of(credits, pair, order, shop.line_order, shop.quantity, len(shop.weight))

    assert units.tolist() == [
        [int(shop.quantity[list(owing[row, model])].sum()) for model in range(len(shop.weight))]
        for row in range(len(pairs))
    ]
