"""What people did: the history that stages, ladder and retention are read from."""

from collections.abc import Sequence
from typing import Any

import hypothesis
import pyarrow as pa

from pipelines.transforms.wanted import wanted
from schemas.batches import ACTS, MEETINGS
from tests.flow.telling import as_acts, as_meetings
from tests.flow.truth import run_stages
from tests.oracle import truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

WANTED = wanted(("pinner_stages",))  # acts and meetings, and all that they need
Told = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def found(world: Any) -> Told:
    """The flow's acts and meetings of a world."""
    made = run_stages(world.events, world.sites, WANTED)
    acts, meetings = (
        pa.concat_tables(table.select(schema.names) for table in made[name]).to_pylist()
        for name, schema in (("acts", ACTS), ("meetings", MEETINGS))
    )
    return in_order(acts), in_order(meetings)


def said(world: Any) -> Told:
    """The oracle's."""
    acts = truth(world.events, world.sites)["acts"]
    return in_order(as_acts(acts)), in_order(as_meetings(acts))


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows in one order."""
    return sorted(rows, key=repr)


@hypothesis.given(tiny_worlds())
@hypothesis.settings(max_examples=30)
def test_acts_are_what_the_rules_say(world: TinyWorld) -> None:
    """An act told to the wrong person is a relationship with a stranger."""
    assert found(world) == said(world)


def test_a_simulated_shop_has_acts_of_every_kind() -> None:
    """The comparison above must have something of each to compare."""
    world = simulate(3)
    acts, meetings = found(world)

    assert (acts, meetings) == said(world)
    assert {act["act"] for act in acts} >= {
        "view", "visit", "pin", "re-pin", "repinned", "order", "credit", "review", "answer",
    }  # fmt: skip
    assert meetings
