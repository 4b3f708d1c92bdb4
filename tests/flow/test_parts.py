"""Large shards in parts: a viral cascade and a pinner who reached everybody, told as any other."""

from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from pipelines.flows.attribute import steps
from pipelines.kernels.columns import Tables
from pipelines.transforms import stage
from pipelines.transforms.parts import InParts, Part, joined, parts_for
from schemas.events import AnyEvent, OrderItem, Pin, PinVisit, Purchase
from tests.flow.histories import House, large_from
from tests.flow.test_incremental import SITES, at
from tests.flow.test_purity import ROUTES, signed, stages
from tests.flow.truth import run_beam, run_steps
from tests.strategies import TinyWorld, tiny_worlds


def in_parts(name: str, tables: Tables, parts: int) -> list[tuple[Part, Tables]]:
    """A stage's tables as it is given them in so many parts."""
    cut = []
    for part in (Part(number, parts) for number in range(parts)):
        given = {}
        for dataset, table in tables.items():
            if ROUTES[dataset].most_rows:
                given[dataset] = table.filter(part.holds(table))
            else:
                given[dataset] = table if part.number == 0 else table.slice(0, 0)
        cut.append((part, given))
    return cut


@hypothesis.given(tiny_worlds(max_events=30), st.sampled_from(["vector", "networkx"]))
@hypothesis.settings(max_examples=6)
def test_parts_say_together_what_the_whole_says(world: TinyWorld, engine: str) -> None:
    """How many parts a shard has is about memory, and must not show in a table."""
    for name, tables in stages(world):
        step = steps(world.sites, engine=engine)[name]
        if isinstance(step, InParts):
            for parts in (1, 2, 7):
                answers = list(step.step(in_parts(name, tables, parts)))

                told = joined(answer for _, answer in answers)
                assert signed((1, told)) == signed((1, step(tables))), name
                assert sorted({number for number, _ in answers}) == list(range(parts + 1))


def viral(people: int) -> list[AnyEvent]:
    """A chain of pins by different people, landings of everybody on each, and their orders."""
    pins = [
        Pin(
            event_id=f"p{n}", pin_id=f"p{n}", parent_pin_id=f"p{n - 1}" if n else None,
            root_pin_id="p0" if n else None, visitor_id=f"v{n}", item_id="mug", **at(n),
        )
        for n in range(4)
    ]  # fmt: skip
    visits = [
        PinVisit(event_id=f"e{n}", pin_id=f"p{n % 4}", visitor_id=f"v{n % people}", **at(n))
        for n in range(2 * people)
    ]
    orders = [
        Purchase(
            event_id=f"o{n}", order_id=f"o{n}", visitor_id=f"v{n}", currency="GBP",
            source="server", is_signed=True, items=[OrderItem(item_id="mug", price="10")],
            **at(2 * people),
        )
        for n in range(people)
    ]  # fmt: skip
    return [*pins, *visits, *orders]


def test_the_flow_takes_a_viral_cascade_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop with one cascade only: one key, one shard, and more pairs than fit.

    Rows come through the runner here, and are written to files for parts all the same.
    """
    events = viral(40)
    monkeypatch.setattr(stage, "parts_for", large_from(10, 7))

    assert run_beam([events], SITES, shards=2, shuffle="runner") == run_steps(events, SITES)


def test_a_pin_that_comes_late_changes_what_all_parts_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pinner whose pin is told of late must get her share of orders of a popular cascade too."""
    monkeypatch.setattr(stage, "parts_for", large_from(0, 2))
    sites = {"acme": replace(SITES["acme"], necessity=0.5)}
    pin, *below = viral(8)
    house = House(tmp_path, sites, shards=(1,))
    house.run({"below": below})

    assert house.run({"below": below, "above": [pin]}) == run_steps([*below, pin], sites)


def test_few_rows_come_whole() -> None:
    """Ordinary shards must cost nothing more: a part is a pass over all pins of its shard."""
    assert [parts_for(rows, 1_000) for rows in (0, 1_000, 1_001)] == [1, 1, 5]
