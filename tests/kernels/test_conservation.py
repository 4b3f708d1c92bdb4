"""Both layers and the split together: not a micro is lost, however deep and however long."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels.cascade import chains, grow_forest, necessity_shares
from pipelines.kernels.columns import Floats, Ints, expand
from pipelines.kernels.credit import Paths, weigh_touches
from pipelines.kernels.money import split_micros
from schemas.models import MODELS
from schemas.money import MAX_MICROS

DAY_MS = 86_400_000
DEPTH = 300


def credit_weights(model: str, depths: list[int], player: Ints, necessity: float) -> Floats:
    """[links] weight of every pin on the chains of one order's touches.

    Args:
      model: layer 1's.
      depths: [touches] hop of each touched pin on one long chain of re-pins.
      player: [pins of the chain] its people.
      necessity: layer 2's lambda.
    """
    count = len(depths)
    paths = Paths(np.array([0, count]), np.zeros(count, dtype=np.int64), np.arange(count))
    age = np.arange(count)[::-1] * DAY_MS
    pin = np.array(depths)
    weight = weigh_touches(model, paths, age, pin, np.full(count, 7.0 * DAY_MS))
    chain = chains(grow_forest(np.arange(DEPTH + 1) - 1, max_hop=400))
    share = necessity_shares(chain, player, np.full(DEPTH + 1, necessity))
    touch, place = expand(pin + 1)
    return weight[touch] * share[chain.start[pin][touch] + place]


@pytest.mark.parametrize("model", MODELS)
@given(
    amount=st.integers(-MAX_MICROS, MAX_MICROS),
    depths=st.lists(st.integers(0, DEPTH), min_size=1, max_size=30),
    people=st.integers(1, DEPTH + 1),
    necessity=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
)
@settings(max_examples=50)
def test_credit_sums_to_the_order_for_every_model_and_depth(
    model: str, amount: int, depths: list[int], people: int, necessity: float
) -> None:
    """The first promise of the ledger: credits add up to what was sold, exactly."""
    weights = credit_weights(model, depths, np.arange(DEPTH + 1) % people, necessity)

    parts = split_micros(np.array([amount]), weights, np.array([0, len(weights)]))

    assert float(weights.sum()) == pytest.approx(1, abs=1e-9)
    assert int(parts.sum()) == amount
    assert not parts[weights == 0].any()


@pytest.mark.parametrize("model", MODELS)
def test_credit_of_a_thousand_touches_sums_to_the_order(model: str) -> None:
    """A regular visitor of a year, each time through 300 re-pins: 300,000 parts of 0.01."""
    weights = credit_weights(model, [DEPTH] * 1_000, np.arange(DEPTH + 1), 0.5)

    for amount in (10_000, -1, 123_456_789, MAX_MICROS):
        parts = split_micros(np.array([amount]), weights, np.array([0, len(weights)]))
        assert int(parts.sum()) == amount
        assert parts.min() >= min(amount, 0)


def test_by_hand_two_touches_and_a_chain_of_three() -> None:
    """12.00 over a re-pin of a re-pin, then the root itself; linear, necessity 0.5."""
    weights = credit_weights("linear", [2, 0], np.arange(DEPTH + 1), 0.5)

    # s_0 = .5 + .25/2 + .25/3, s_1 = .25/2 + .25/3, s_2 = .25/3; the root's own touch is 1.
    shares = [0.5 + 0.125 + 0.25 / 3, 0.125 + 0.25 / 3, 0.25 / 3, 1.0]
    assert weights.tolist() == pytest.approx([share / 2 for share in shares])
    parts = split_micros(np.array([12_000_000]), weights, np.array([0, 4]))
    assert parts.tolist() == [4_250_000, 1_250_000, 500_000, 6_000_000]
