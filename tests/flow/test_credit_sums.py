"""Tables of sums against the ledger: each is what one gets from its rows by hand."""

from collections import defaultdict
from typing import Any

import hypothesis
import pytest

from pipelines.transforms.daily import DIMENSIONS
from pipelines.transforms.routes import routes
from schemas.models import MODELS
from tests.flow.truth import Rows, run_stages, run_steps
from tests.oracle_sums import daily_of_credit, model_credits
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

TABLES = {"product": "item_daily", "slot": "slot_daily", "recommender": "recommender_daily"}
ACTIVITY = ("views", "clicks", "pins", "pin_visits", "adds_to_cart")


def check_sums(rows: Rows, world: Any) -> None:
    """Compares model_credits and the daily tables with sums over the ledger's rows."""
    found = {
        (row["site_id"], row["dimension"], row["key"], row["model"]): (
            row["credited_micros"],
            row["n_customers"],
        )
        for row in rows["model_credits"]
    }
    assert found == model_credits(rows)
    for dimension, table in TABLES.items():
        key = DIMENSIONS[dimension]
        credit = daily_of_credit(rows, key, world.sites)
        seen: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for row in rows[table]:
            place = (row["site_id"], row[key], row["day"], row["model"])
            sums = credit.pop(place, (0, 0, 0, 0, 0))
            assert sums == (
                row["orders"],
                row["units"],
                row["credited_micros"],
                row["direct_micros"],
                row["refunded_micros"],
            ), (table, place)
            if any(row[name] for name in ACTIVITY):
                seen[place[:3]].add(row["model"])
        assert credit == {}, table
        assert all(models == set(MODELS) for models in seen.values())


@hypothesis.given(tiny_worlds())
@hypothesis.settings(max_examples=20)
def test_sums_of_tiny_worlds_are_those_of_their_ledger(world: TinyWorld) -> None:
    """Refunds to nothing, lines of 0, several shops: a sum of 0 is a row all the same."""
    check_sums(run_steps(world.events, world.sites), world)


def test_sums_of_a_shop_are_those_of_its_ledger() -> None:
    """A merchandiser adds up the ledger in a spreadsheet and gets the dashboard."""
    world = simulate(8)
    rows = run_steps(world.events, world.sites)

    assert len(rows["order_credits"]) > 100
    check_sums(rows, world)


@pytest.mark.parametrize("seed", [9])
def test_no_part_is_nothing(seed: int) -> None:
    """A part with nothing but zeros vanishes where parts are added up: only a full run has it."""
    world = simulate(seed)
    made = run_stages(world.events, world.sites)

    for name, route in routes().items():
        for table in made.get(name, ()) if route.sums else ():
            rows = table.select(list(route.sums)).to_pylist()
            assert all(any(row.values()) for row in rows), name
