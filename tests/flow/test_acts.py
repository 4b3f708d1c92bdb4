"""What people did: the history that stages, ladder and retention are read from."""

from collections.abc import Sequence
from typing import Any

import hypothesis
import pyarrow as pa

from pipelines.kernels.multisets import add_up
from pipelines.transforms.acts import in_spans
from pipelines.transforms.wanted import wanted
from schemas.batches import ACTS, CREDIT_PARTS, MEETINGS
from tests.flow.telling import as_acts, as_credits, as_meetings
from tests.flow.truth import run_stages
from tests.oracle import truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

WANTED = wanted(("stage_transitions",))  # acts, credit and meetings, and all that they need
Rows = list[dict[str, Any]]


def found(world: Any) -> tuple[Rows, ...]:
    """The flow's acts, meetings and parts of credit of a world."""
    made = run_stages(world.events, world.sites, WANTED)
    acts, meetings, credits = (
        pa.concat_tables(table.select(schema.names) for table in made[name])
        for name, schema in (("acts", ACTS), ("meetings", MEETINGS), ("credit_parts", CREDIT_PARTS))
    )
    parts = add_up(credits, ("credited_micros",))
    return tuple(in_order(table.to_pylist()) for table in (acts, meetings, parts))


def said(world: Any) -> tuple[Rows, ...]:
    """The oracle's."""
    acts = truth(world.events, world.sites)["acts"]
    parts = in_spans(pa.Table.from_pylist(as_credits(acts), CREDIT_PARTS), world.sites)
    return in_order(as_acts(acts)), in_order(as_meetings(acts)), in_order(parts.to_pylist())


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
    acts, meetings, credits = found(world)

    assert (acts, meetings, credits) == said(world)
    assert {act["act"] for act in acts} >= {
        "view", "visit", "pin", "re-pin", "repinned", "order", "review", "answer",
    }  # fmt: skip
    assert meetings
    assert credits
