"""The stage RankPinners: the flow against the oracle, engines, settings."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from pipelines.transforms.wanted import wanted
from schemas.settings import Site
from tests.flow.truth import Rows, run_beam, run_steps
from tests.oracle import truth
from tests.oracle_graph import graph_truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

WORLD = simulate(7)
TABLES = ("pinner_graph", "site_graphs", "generations", "marginal_reach")
OF_GRAPH = wanted(TABLES)


def like(rules: dict[str, Any], found: Rows) -> dict[str, list[dict[str, Any]]]:
    """What was found in the columns that the rules tell, floats to nine decimals."""
    columns = {name: list(rows[0]) if rows else [] for name, rows in rules.items()}
    return {
        name: [
            {
                column: round(row[column], 9) if isinstance(row[column], float) else row[column]
                for column in columns[name]
            }
            for row in found[name]
        ]
        for name in TABLES
        if name in rules
    }


def ordered(tables: dict[str, Any]) -> dict[str, Any]:
    """Rows in one order, columns too."""
    return {
        name: sorted((dict(sorted(row.items())) for row in rows), key=str)
        for name, rows in tables.items()
    }


def with_settings(sites: dict[str, Site], **changes: Any) -> dict[str, Site]:
    """The same sites under other settings."""
    return {name: replace(site, **changes) for name, site in sites.items()}


@hypothesis.given(tiny_worlds(), st.sampled_from((0.0, 0.001, 30.0)), st.integers(0, 5))
@hypothesis.settings(max_examples=15)
def test_the_graph_is_what_the_rules_say(world: TinyWorld, days: float, most: int) -> None:
    """Little worlds with pins of nobody, own re-pins, cycles, missing parents, two sites."""
    sites = with_settings(world.sites, mature_days=days, marginal_pinners=most)

    rules = graph_truth(truth(world.events, sites), sites)

    found = run_steps(world.events, sites, OF_GRAPH)
    assert ordered(like(rules, found)) == ordered(rules)


def test_beam_gives_the_graph_of_the_rules() -> None:
    """Parts of the graph come from all shards, and meet in one."""
    sites = with_settings(dict(WORLD.sites), mature_days=7.0)

    rules = graph_truth(truth(WORLD.events, sites), sites)

    found = run_beam([WORLD.events], sites, shards=2)
    assert ordered(like(rules, found)) == ordered(rules)
    assert any(row["reproduction_number"] for row in found["pinner_graph"])


def test_scipy_gives_what_networkx_gives() -> None:
    """A shop that outgrows networkx reads the same table; only communities may be cut elsewhere."""
    one, other = (
        run_steps(WORLD.events, with_settings(dict(WORLD.sites), graph_engine=engine), OF_GRAPH)
        for engine in ("networkx", "scipy")
    )

    for left, right in zip(one["pinner_graph"], other["pinner_graph"], strict=True):
        assert left | {"community_id": None} == pytest.approx(right | {"community_id": None})
    assert {row["engine"] for row in other["site_graphs"]} == {"scipy"}


def test_reproduction_waits_until_pins_are_mature() -> None:
    """A pin of today has had no time to be re-pinned: to count it would be to blame it."""
    young, old = (
        run_steps(WORLD.events, with_settings(dict(WORLD.sites), mature_days=days), OF_GRAPH)
        for days in (3650.0, 0.0)
    )

    assert {row["reproduction_number"] for row in young["pinner_graph"]} == {None}
    assert {row["reproduction_number"] for row in young["generations"]} == {None}
    for row in old["pinner_graph"]:
        assert row["reproduction_low"] < row["reproduction_number"] < row["reproduction_high"]


def test_a_pruned_graph_says_so() -> None:
    """Who reads ranks of part of a graph must be able to see it."""
    sites = with_settings(dict(WORLD.sites), graph_edges=5, graph_top_pinners=3)

    found = run_steps(WORLD.events, sites, OF_GRAPH)

    for row in found["site_graphs"]:
        assert row["edges"] > row["edges_used"] == 5
        assert row["used_since_at"] is not None
        close = [
            one["influence_rank"]
            for one in found["pinner_graph"]
            if one["site_id"] == row["site_id"] and one["clustering"] is not None
        ]
        assert sorted(close) == [1, 2, 3]


def test_sums_of_the_graph_are_the_site_s() -> None:
    """Ranks 1 to n once each, PageRank one in all, generations all pins."""
    found = run_steps(WORLD.events, WORLD.sites)

    for site in found["site_graphs"]:
        own = [row for row in found["pinner_graph"] if row["site_id"] == site["site_id"]]
        pins = [row for row in found["pins"] if row["site_id"] == site["site_id"]]
        assert sorted(row["influence_rank"] for row in own) == list(range(1, len(own) + 1))
        assert sum(row["pagerank"] for row in own) == pytest.approx(1)
        assert sum(row["re_pinners"] for row in own) == site["edges"]
        assert len({row["community_id"] for row in own} - {None}) == site["communities"]
        assert len(pins) == sum(
            row["pins"] for row in found["generations"] if row["site_id"] == site["site_id"]
        )
