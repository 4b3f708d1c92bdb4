"""The flow against the naive oracle and against itself, whatever way events arrive."""

import hypothesis
import numpy as np
import pyarrow as pa
import pytest

from pipelines.kernels.hashing import hash_rows
from pipelines.transforms import cascades, shuffle
from tests.flow.truth import as_truth, run_beam, run_steps
from tests.oracle import SALES_SUMS, truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import arrivals, simulate

COLUMNS = {
    "pins": (
        "site_id", "pin_id", "person_id", "item_id", "item_list_id", "recommender_id",
        "pinned_at", "parent_pin_id", "root_pin_id", "hop", "is_parent_missing", "is_confirmed",
        "visits", "visitors",
    ),
    "visits": (
        "site_id", "event_id", "pin_id", "person_id", "visited_at", "match_method",
        "is_known_pin",
    ),
    "orders": (
        "site_id", "order_id", "person_id", "ordered_at", "currency", "gross_micros",
        "refunded_micros", "net_micros",
    ),
    "order_lines": (
        "site_id", "order_id", "line_id", "item_id", "quantity", "gross_micros",
        "refunded_micros", "net_micros", "is_credited",
    ),
    "sales_daily": ("site_id", "day", "model", *SALES_SUMS),
    "order_credits": (
        "site_id", "model", "order_id", "line_id", "touch_id", "pin_id", "pinner_id", "distance",
        "credit_micros", "refunded_micros", "currency", "is_self", "is_same_item", "touched_at",
    ),
    "pinner_spheres": (
        "site_id", "pinner_id", "pins", "confirmed_pins", "reach_hop_1", "reach_hop_2",
        "reach_hop_3_plus", "reach_total", "repinners_hop_1", "visits_hop_1", "visits_hop_2",
        "visits_hop_3_plus", "visits", "decayed_reach", "depth", "radius_90", "breadth",
        "structural_virality", "median_hours_to_reach", "hours_to_90_percent", "credited_micros",
        "influenced_micros", "influenced_hop_1_micros", "influenced_hop_2_plus_micros",
        "first_reached_at", "last_reached_at",
    ),
    "sphere_edges": (
        "site_id", "pinner_id", "person_id", "hop", "visits", "pins", "influenced_micros",
        "first_reached_at",
    ),
    "pinner_stages": (
        "site_id", "pinner_id", "month", "stage", "left_month", "depth", "recency_months",
        "active_months", "reciprocity", "purchases",
    ),
    "stage_transitions": (
        "site_id", "month", "from_stage", "to_stage", "last_day", "people", "settled",
        "people_with_revenue", "credited_next_90_micros", "own_next_90_micros",
        "standard_error_micros",
    ),
    "cascades": (
        "site_id", "root_pin_id", "size", "depth", "breadth", "structural_virality", "pinners",
        "visits", "visitors", "credited_micros",
    ),
}  # fmt: skip


@hypothesis.given(tiny_worlds())
@hypothesis.settings(max_examples=60)
def test_the_steps_give_what_the_rules_say(world: TinyWorld) -> None:
    """Adversarial little worlds: cycles, ties, refunds before orders, shared devices."""
    found = as_truth(run_steps(world.events, world.sites), COLUMNS)
    wanted = as_truth(truth(world.events, world.sites), COLUMNS)

    for table, rows in wanted.items():
        assert found[table] == rows, table


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_beam_gives_what_the_rules_say(seed: int) -> None:
    """A merchandiser reads the simulated shop's known truth, to the micro."""
    world = simulate(seed)

    found = as_truth(run_beam([world.events], world.sites, shards=3), COLUMNS)

    wanted = as_truth(truth(world.events, world.sites), COLUMNS)
    for table, rows in wanted.items():
        assert found[table] == rows, table


@pytest.mark.parametrize(("seed", "shards"), [(4, 1), (5, 5)])
def test_shuffled_repeated_and_split_events_give_equal_tables(seed: int, shards: int) -> None:
    """Three deliveries of everything in any order over several runs change no table but quality."""
    world = simulate(seed)
    once = run_steps(world.events, world.sites)

    thrice = run_beam(arrivals(world.events, seed), world.sites, shards=shards)

    del once["data_quality_daily"], thrice["data_quality_daily"]
    assert thrice == once


@hypothesis.given(tiny_worlds(has_conflicts=True), hypothesis.strategies.randoms())
@hypothesis.settings(max_examples=20)
def test_the_order_of_rows_decides_nothing(world: TinyWorld, random: object) -> None:
    """Even events that contradict each other settle the same way from any order."""
    events = list(world.events)
    random.shuffle(events)  # type: ignore[attr-defined]

    assert run_steps(events, world.sites) == run_steps(world.events, world.sites)


def test_a_shuffle_through_the_runner_gives_equal_tables() -> None:
    """A cluster without shared storage must pay the same pinners."""
    world = simulate(6, visitors=12, days=20)

    found = run_beam([world.events], world.sites, shards=2, shuffle="runner")

    assert found == run_steps(world.events, world.sites)


def test_different_ids_with_one_key_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is a hash: by accident two people may have one, and must not share their orders."""
    world = simulate(2, visitors=30)
    wanted = run_steps(world.events, world.sites)

    def few(*columns: pa.Array) -> np.ndarray:
        return hash_rows(*columns) % np.uint64(3)

    for module in (shuffle, cascades):
        monkeypatch.setattr(module, "hash_rows", few)

    assert run_steps(world.events, world.sites) == wanted
