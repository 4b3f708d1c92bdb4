"""The simulated world against the naive oracle: two independent ways to the same numbers."""

from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import given

from schemas.contract import check_event
from schemas.events import AnyEvent
from tests.oracle import truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import arrivals, simulate

SEEDS = range(40)


def test_the_world_keeps_the_event_contract_and_repeats_itself():
    """A world that breaks the contract or changes by itself would blame the pipelines."""
    world = simulate(5)

    for event in world.events:
        check_event(event)
    assert msgspec.json.encode(simulate(5).events) == msgspec.json.encode(world.events)
    assert simulate(6).events != world.events


@pytest.mark.parametrize("seed", SEEDS)
def test_oracle_finds_who_pinned_from_whom(seed: int):
    """A merchandiser reads parents, roots and hops as they really were."""
    world = simulate(seed)

    found = {
        (row["site_id"], row["pin_id"]): {
            name: row[name]
            for name in (
                "person_id",
                "parent_pin_id",
                "root_pin_id",
                "hop",
                "is_parent_missing",
                "is_confirmed",
            )
        }
        for row in truth(world.events, world.sites)["pins"]
    }

    assert found == {key: vars(pin) for key, pin in world.pins.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_oracle_finds_who_landed(seed: int):
    """A visit belongs to whoever really made it, or to nobody."""
    world = simulate(seed)

    rows = truth(world.events, world.sites)["visits"]

    found = {(row["site_id"], row["event_id"]): row["person_id"] for row in rows}
    assert found == world.visits


@pytest.mark.parametrize("seed", SEEDS)
def test_oracle_finds_what_each_order_is_worth(seed: int):
    """Every order's buyer, time and net are what the till wrote down."""
    world = simulate(seed)

    rows = truth(world.events, world.sites)["orders"]

    found = {
        (row["site_id"], row["order_id"]): (row["person_id"], row["ordered_at"], row["net_micros"])
        for row in rows
    }
    assert found == {
        key: (order.person_id, order.ordered_at, order.net_micros)
        for key, order in world.orders.items()
    }
    for site_id, net in world.net_micros.items():
        assert net == sum(row["net_micros"] for row in rows if row["site_id"] == site_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_oracle_finds_whom_each_pinner_reached(seed: int):
    """Reach counted up the chains is reach walked down the tree."""
    world = simulate(seed)
    tables = truth(world.events, world.sites)

    found: dict[Any, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in tables["sphere_edges"]:
        found[row["site_id"], row["pinner_id"]][row["hop"]].add(row["person_id"])

    pinners = {(row["site_id"], row["pinner_id"]) for row in tables["pinner_spheres"]}
    assert pinners == world.reach.keys()
    assert {key: dict(found[key]) for key in pinners} == {
        key: dict(by_hop) for key, by_hop in world.reach.items()
    }
    for row in tables["pinner_spheres"]:
        by_hop = world.reach[row["site_id"], row["pinner_id"]]
        assert row["reach_hop_1"] == len(by_hop[1])
        assert row["reach_hop_2"] == len(by_hop[2])
        assert row["reach_total"] == sum(map(len, by_hop.values()))


@pytest.mark.parametrize("seed", SEEDS)
def test_last_touch_takes_the_order_where_parents_are_not_needed(seed: int):
    """With necessity 0 the model `last` pays one pin: the one she came from last."""
    world = simulate(seed)
    sites = {
        name: msgspec.structs.replace(site, necessity=0.0) for name, site in world.sites.items()
    }

    touched = defaultdict(set)
    for row in truth(world.events, sites)["order_credits"]:
        if row["model"] == "last":
            touched[row["site_id"], row["order_id"]].add(row["touch_id"])

    assert touched == {
        key: {order.last_touch_id}
        for key, order in world.orders.items()
        if key in touched  # an order whose every line is worth 0 has no row
    }


@pytest.mark.parametrize("seed", range(10))
def test_repeats_and_order_of_arrival_change_nothing(seed: int):
    """No event counts twice, whatever the network does."""
    world = simulate(seed)
    runs = arrivals(world.events, seed)

    assert sum(map(len, runs)) == 3 * len(world.events)
    assert _sorted(truth([event for run in runs for event in run], world.sites)) == _sorted(
        truth(world.events, world.sites)
    )


def test_the_world_holds_every_hard_case():
    """A world without its traps would prove nothing."""
    world = simulate(0)
    tables = truth(world.events, world.sites)

    ids = defaultdict(set)
    for event in world.events:
        ids[event.event_id].add(event.site_id)
    assert any(len(sites) == 2 for sites in ids.values())
    assert any(row["is_parent_missing"] for row in tables["pins"])
    assert any(row["person_id"] is None for row in tables["pins"])
    assert any(not row["is_known_pin"] for row in tables["visits"])
    assert any(row["is_self"] for row in tables["order_credits"])
    assert any(row["net_micros"] < 0 for row in tables["orders"])
    assert any(row["person_id"] is None for row in tables["orders"])
    assert any((row["person_id"] or "").startswith("e:") for row in tables["visits"])
    assert any(row["person_id"] == "v:kiosk" for row in tables["visits"])
    assert any(row["hop"] >= 11 for row in tables["pins"])
    assert {event.user_agent_class for event in world.events} >= {"bot", "pinterestbot"}


def _sorted(tables: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in tables.items()}


@given(tiny_worlds())
def test_tiny_worlds_keep_the_event_contract(world: TinyWorld) -> None:
    """A strategy that breaks the contract would blame the pipelines."""
    for event in world.events:
        check_event(event)
        msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent)
