"""Layer 2: necessity-Shapley up the chain, against the game itself."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.cascade import chains, grow_forest, necessity_shares

LAMBDAS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.999, 1.0]


def shares_of(people: Sequence[int], necessity: float) -> list[float]:
    """Shares of a touch on the last pin of a chain, nearest pin first.

    Args:
      people: person of the touched pin, its parent's, ..., the root's.
      necessity: lambda.
    """
    count = len(people)
    chain = chains(grow_forest(np.arange(count) - 1, max_hop=400))
    player = np.array(people[::-1], dtype=np.int64)
    shares = necessity_shares(chain, player, np.full(count, necessity))
    return shares[chain.start[-2] :].tolist()


def brute_force_shapley(players: int, necessity: float) -> list[float]:
    """Mean marginal worth over all orders of joining, from the game's definition.

    The sale needs player 0; each next one only with probability lambda, given all before her.
    A coalition is worth the probability that everybody needed is in it.
    """

    def worth(coalition: set[int]) -> float:
        total = 0.0
        for needed in range(players):
            ends = 1.0 if needed == players - 1 else 1 - necessity
            if coalition.issuperset(range(needed + 1)):
                total += necessity**needed * ends
        return total

    values = [0.0] * players
    for order in itertools.permutations(range(players)):
        joined: set[int] = set()
        for player in order:
            before = worth(joined)
            joined.add(player)
            values[player] += worth(joined) - before
    return [value / math.factorial(players) for value in values]


@pytest.mark.parametrize("necessity", LAMBDAS)
@pytest.mark.parametrize("edges", range(6))
def test_shares_are_the_shapley_value_of_the_necessity_game(edges: int, necessity: float) -> None:
    """A pinner who asks why she gets this part is owed the axioms, not our formula."""
    shares = shares_of(range(edges + 1), necessity)

    assert shares == pytest.approx(brute_force_shapley(edges + 1, necessity), abs=1e-12)


@pytest.mark.parametrize(
    ("necessity", "shares"),
    [
        (0.25, [0.8633, 0.1133, 0.0195, 0.0039]),
        (0.5, [0.6979, 0.1979, 0.0729, 0.0313]),
        (0.75, [0.4961, 0.2461, 0.1523, 0.1055]),
    ],
)
def test_the_published_table_of_chains_of_three_edges(
    necessity: float, shares: list[float]
) -> None:
    """The numbers our documents show are the numbers we pay by."""
    assert shares_of(range(4), necessity) == pytest.approx(shares, abs=5.1e-5)


@pytest.mark.parametrize("edges", [0, 1, 7, 300])
def test_one_knob_spans_the_debate(edges: int) -> None:
    """Lambda 0 is "the last pin takes all", lambda 1 shares evenly."""
    assert shares_of(range(edges + 1), 0.0) == [1.0] + [0.0] * edges
    assert shares_of(range(edges + 1), 1.0) == pytest.approx([1 / (edges + 1)] * (edges + 1))


@pytest.mark.parametrize(
    ("people", "shares"),
    [
        ([1, 1], [1 / 2, 1 / 2]),  # one player, two pins
        ([1, 2], [3 / 4, 1 / 4]),  # s_0 = 1/2 + 1/4
        ([1, 2, 1], [3 / 8, 1 / 4, 3 / 8]),  # her 3/4 over two pins
        ([1, 2, 2], [3 / 4, 1 / 8, 1 / 8]),  # the root adds no player
        ([1, 1, 1, 2], [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
        # h = 2: 1/2 + 1/8 + 1/12 = 17/24, 1/8 + 1/12 = 5/24, 1/12 = 2/24.
        ([1, 2, 1, 3, 2], [17 / 48, 5 / 48, 17 / 48, 2 / 24, 5 / 48]),
    ],
)
def test_players_are_people_not_pins(people: list[int], shares: list[float]) -> None:
    """Re-pinning one's own pin must not earn a second player's part."""
    assert shares_of(people, 0.5) == pytest.approx(shares)


def test_pinning_one_s_own_pin_again_earns_nothing_more() -> None:
    """The cheapest fraud of all: pin, and pin the pin."""
    honest = shares_of([1, 2], 0.5)[0]
    greedy = sum(shares_of([1, 1, 1, 2], 0.5)[:3])

    assert greedy == pytest.approx(honest)


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=301),
    st.floats(0, 1) | st.sampled_from(LAMBDAS),
)
def test_shares_sum_to_1_on_chains_of_up_to_300_edges(people: list[int], necessity: float) -> None:
    """Whatever the depth and whoever pinned, a touch is shared whole and nobody owes."""
    shares = shares_of(people, necessity)

    assert math.fsum(shares) == pytest.approx(1, abs=1e-12)
    assert min(shares) >= 0


@given(
    st.lists(st.integers(-1, 11), min_size=12, max_size=12),
    st.lists(st.integers(0, 5), min_size=12, max_size=12),
    st.lists(st.sampled_from(LAMBDAS), min_size=12, max_size=12),
)
def test_a_forest_s_shares_are_each_chain_s_own(
    parent: list[int], people: list[int], necessity: list[float]
) -> None:
    """Two sites with their own lambdas in one shard do not disturb each other."""
    chain = chains(grow_forest(np.array(parent)))

    shares = necessity_shares(chain, np.array(people), np.array(necessity))

    for pin in range(12):
        links = slice(chain.start[pin], chain.start[pin + 1])
        own = [people[row] for row in chain.ancestor[links]]
        assert shares[links].tolist() == pytest.approx(shares_of(own, necessity[pin]), abs=1e-12)


def test_no_pins_take_no_shares() -> None:
    """A shard of landings without pins is common."""
    none = np.zeros(0, dtype=np.int64)

    assert len(necessity_shares(chains(grow_forest(none)), none, np.zeros(0))) == 0
