"""What people did: the history that stages, ladder and retention are read from."""

from collections.abc import Sequence
from typing import Any

import hypothesis
import pyarrow as pa

from pipelines.transforms.wanted import wanted
from schemas.batches import ACTS
from tests.flow.truth import run_stages
from tests.oracle import truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

WANTED = wanted(("ladder_daily",))  # acts, and all that they need


def found(world: Any) -> list[dict[str, Any]]:
    """The flow's acts of a world."""
    made = run_stages(world.events, world.sites, WANTED)["acts"]
    rows: list[dict[str, Any]] = pa.concat_tables(made).to_pylist()
    return in_order(rows)


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in one order, their columns too."""
    return sorted(({name: row[name] for name in ACTS.names} for row in rows), key=repr)


@hypothesis.given(tiny_worlds())
@hypothesis.settings(max_examples=30)
def test_acts_are_what_the_rules_say(world: TinyWorld) -> None:
    """An act told to the wrong person is a relationship with a stranger."""
    assert found(world) == in_order(truth(world.events, world.sites)["acts"])


def test_a_simulated_shop_has_acts_of_every_kind() -> None:
    """The comparison above must have something of each to compare."""
    world = simulate(3)
    acts = found(world)

    assert acts == in_order(truth(world.events, world.sites)["acts"])
    assert {act["act"] for act in acts} >= {
        "view", "visit", "visited", "pin", "repinned", "order", "credit", "review", "answer",
    }  # fmt: skip
