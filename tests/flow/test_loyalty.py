"""Fan club, depth of relationships and retention: the flow against the naive oracle."""

from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from msgspec.structs import replace

from pipelines.transforms.wanted import wanted
from schemas.results import result_schema
from schemas.settings import Site
from tests.flow.truth import Rows, run_beam, run_steps
from tests.oracle import truth
from tests.oracle_retention import loyalty_truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

TABLES = (
    "fan_clubs", "concentrations", "relationship_depths", "retention_cohorts", "retention_fits",
)  # fmt: skip
# What a bootstrap or an interval over customers says: no rule of arithmetic gives it.
SAMPLED = {
    "fan_clubs": {"ci_low_micros", "ci_high_micros", "n_effective", "share_low", "share_high"},
    "concentrations": {"gini_low", "gini_high", "n_effective"},
}


def comparable(rows: Mapping[str, list[dict[str, Any]]]) -> Rows:
    """The rows without what was sampled, floats to nine decimals, in one order."""
    return {
        name: sorted(
            (
                {column: _rounded(row[column]) for column in _columns(name)}
                for row in rows.get(name, ())
            ),
            key=str,
        )
        for name in TABLES
    }


def _columns(table: str) -> list[str]:
    return [name for name in result_schema(table).names if name not in SAMPLED.get(table, ())]


def _rounded(value: Any) -> Any:
    return round(value, 9) + 0.0 if isinstance(value, float) else value


def of_short_lapse(sites: Mapping[str, Site]) -> dict[str, Site]:
    """Shops that call one lost after a month: their world is a few months old."""
    return {name: replace(site, lapse_months=1) for name, site in sites.items()}


@hypothesis.given(tiny_worlds())
@hypothesis.settings(max_examples=20)
def test_the_steps_give_what_the_rules_say(world: TinyWorld) -> None:
    """Adversarial little worlds: refunds of unknown orders, ties, shared devices, no pinners."""
    sites = of_short_lapse(world.sites)

    found = comparable(run_steps(world.events, sites, wanted(TABLES)))

    assert found == comparable(loyalty_truth(truth(world.events, sites), sites))


@pytest.fixture(scope="module")
def shop() -> tuple[Any, dict[str, Site], Rows]:
    """A simulated half year in New York, and what the flow says of it."""
    world = simulate(6, days=120)
    sites = {
        name: replace(site, time_zone="America/New_York")
        for name, site in of_short_lapse(world.sites).items()
    }
    return world, sites, run_beam([world.events], sites, shards=2)


def test_beam_gives_what_the_rules_say(shop: tuple[Any, dict[str, Site], Rows]) -> None:
    """A merchandiser reads of the simulated shop what is so."""
    world, sites, found = shop

    wanted_rows = comparable(loyalty_truth(truth(world.events, sites), sites))

    for table, rows in comparable(found).items():
        assert rows == wanted_rows[table], table
        assert rows, table
