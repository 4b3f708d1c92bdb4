"""The oracle against examples worked by hand, and what must hold for any events at all."""

from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import check_event
from schemas.events import (
    AnyEvent,
    Identify,
    OrderItem,
    Pin,
    PinVisit,
    Purchase,
    Refund,
    RefundItem,
)
from schemas.settings import Site
from tests.oracle import MODELS, truth
from tests.oracle_orders import split
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import arrivals, simulate

START_MS = 1_704_067_200_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SITES = {"acme": Site(key="key-of-acme", currency="GBP")}
Tables = dict[str, list[dict[str, Any]]]


class Story:
    """Events in the making; hours count from the start."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []

    def tell(self, kind: type[Any], hours: float, /, **fields: Any) -> None:
        self.events.append(
            kind(
                event_id=f"e{len(self.events):03}",
                site_id="acme",
                event_time_ms=START_MS + round(hours * HOUR_MS),
                **fields,
            )
        )

    def pin(self, hours: float, visitor: str, pin_id: str, parent: str | None = None) -> None:
        self.tell(Pin, hours, visitor_id=visitor, pin_id=pin_id, parent_pin_id=parent,
                  root_pin_id="a" if parent else None, item_id="mug")  # fmt: skip

    def visit(self, hours: float, visitor: str | None, pin_id: str, **more: Any) -> None:
        self.tell(PinVisit, hours, visitor_id=visitor, pin_id=pin_id, **more)

    def order(self, hours: float, visitor: str, *items: OrderItem, **more: Any) -> None:
        fields = {"order_id": "o1", "currency": "GBP", "is_signed": True, **more}
        self.tell(Purchase, hours, visitor_id=visitor, items=list(items), **fields)

    def refund(self, hours: float, **more: Any) -> None:
        fields = {"order_id": "o1", "refund_id": "r1", "is_signed": True, **more}
        self.tell(Refund, hours, **fields)

    def truth(self) -> Tables:
        for event in self.events:
            check_event(event)
        return truth(self.events, SITES)


def mug_and_vase() -> Story:
    """Ann pins a mug, Bob lands and pins on, Cy lands from Bob's pin and buys."""
    story = Story()
    story.tell(
        Pin,
        0,
        visitor_id="ann",
        pin_id="a",
        item_id="mug",
        item_list_id="home_recs",
        recommender_id="cf-v2",
    )
    story.visit(24, "bob", "a")
    story.pin(25, "bob", "b", parent="a")
    story.visit(49, "cy", "b")
    story.order(
        73, "cy", OrderItem(item_id="mug", price="25.00"), OrderItem(item_id="vase", price="40.01")
    )
    return story


def credits(tables: Tables, model: str = "time_decay") -> dict[tuple[str, str | None], int]:
    """(line, pin) -> micros; what is unattributed under no pin."""
    rows = [row for row in tables["order_credits"] if row["model"] == model]
    found: dict[tuple[str, str | None], int] = {
        (row["line_id"], row["pin_id"]): row["credit_micros"] for row in rows
    }
    rest = [row for row in tables["order_lines"] if not row["is_credited"]]
    found |= {(row["line_id"], None): row["net_micros"] for row in rest}
    assert len(found) == len(rows) + len(rest)
    return found


def only(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if all(row[name] == wanted[name] for name in wanted)]
    return row


def test_story_of_the_mug_and_the_vase():
    """The number a merchandiser sees first, by hand.

    Cy has one touch, so every model gives it the whole order. Its chain is Bob (h = 1), Ann:
    Bob (1 - 0.5) / 1 + 0.5 / 2 = 0.75, Ann 0.5 / 2 = 0.25.
    Mug 25.00: 18.75 and 6.25. Vase 40.01: 30.0075 and 10.0025. Together 65.01.
    """
    tables = mug_and_vase().truth()

    for model in MODELS:
        assert credits(tables, model) == {
            ("1", "b"): 18_750_000,
            ("1", "a"): 6_250_000,
            ("2", "b"): 30_007_500,
            ("2", "a"): 10_002_500,
        }
    row = only(tables["order_credits"], model="time_decay", line_id="2", pin_id="a")
    assert row == {
        "site_id": "acme",
        "model": "time_decay",
        "order_id": "o1",
        "line_id": "2",
        "touch_id": "e003",
        "pin_id": "a",
        "pinner_id": "v:ann",
        "distance": 1,
        "credit_micros": 10_002_500,
        "refunded_micros": 0,
        "currency": "GBP",
        "is_self": False,
        "is_same_item": False,
        "touched_at": START_MS + 49 * HOUR_MS,
    }
    assert only(tables["orders"])["net_micros"] == 65_010_000
    # Bob landed 24 hours after Ann pinned, Cy 49 hours: the median is 36.5.
    assert only(tables["pinner_spheres"], pinner_id="v:ann") == {
        "site_id": "acme",
        "pinner_id": "v:ann",
        "pins": 1,
        "confirmed_pins": 1,
        "reach_hop_1": 1,
        "reach_hop_2": 1,
        "reach_hop_3_plus": 0,
        "reach_total": 2,
        "repinners_hop_1": 1,
        "visits_hop_1": 1,
        "visits_hop_2": 1,
        "visits_hop_3_plus": 0,
        "visits": 2,
        "decayed_reach": 1.5,
        "depth": 2,
        "radius_90": 2,
        "breadth": 1,
        "structural_virality": 1.0,
        "median_hours_to_reach": 36.5,
        "hours_to_90_percent": 49.0,
        "credited_micros": 16_252_500,
        "influenced_micros": 65_010_000,
        "influenced_hop_1_micros": 0,
        "influenced_hop_2_plus_micros": 65_010_000,
        "first_reached_at": START_MS + 24 * HOUR_MS,
        "last_reached_at": START_MS + 49 * HOUR_MS,
    }
    assert only(tables["sphere_edges"], pinner_id="v:ann", person_id="v:bob") == {
        "site_id": "acme",
        "pinner_id": "v:ann",
        "person_id": "v:bob",
        "hop": 1,
        "visits": 1,
        "pins": 1,
        "influenced_micros": 0,
        "first_reached_at": START_MS + 24 * HOUR_MS,
    }
    assert tables["cascades"] == [
        {
            "site_id": "acme",
            "root_pin_id": "a",
            "size": 2,
            "depth": 1,
            "breadth": 1,
            "structural_virality": 1.0,
            "pinners": 2,
            "visits": 2,
            "visitors": 2,
            "credited_micros": 65_010_000,
        }
    ]


def test_micros_left_over_go_to_the_largest_remainders():
    """10 micros over 0.75 and 0.25 are 7.5 and 2.5: the tie goes to the earlier place.

    Over 5, 3 and 3 parts of 11: 4.545, 2.727, 2.727, so both threes round up.
    """
    assert split(10, [3.0, 1.0]) == [8, 2]
    assert split(-10, [3.0, 1.0]) == [-8, -2]
    assert split(10, [5.0, 3.0, 3.0]) == [4, 3, 3]
    assert split(0, [1.0, 1.0]) == [0, 0]


def test_equal_fractions_go_to_the_earlier_place_whatever_float64_says():
    """Two machines that add in another order must pay the same pin.

    A chain of three people at necessity 1/2 shares 17/24, 5/24, 2/24. Of 8 micros that is
    5 2/3, 1 2/3 and 2/3: two micros are left, for the first and the second place.
    """
    assert split(8, [0.5 + 0.125 + 1 / 12, 0.125 + 1 / 12, 1 / 12]) == [6, 2, 0]
    for cents in range(1, 2_000):
        price = 10_000 * cents
        exact = [Fraction(price * part, 24) for part in (17, 5, 2)]
        parts = [int(one) for one in exact]
        ranked = sorted(range(3), key=lambda i: (parts[i] - exact[i], i))
        for i in ranked[: price - sum(parts)]:
            parts[i] += 1
        assert split(price, [0.5 + 0.125 + 1 / 12, 0.125 + 1 / 12, 1 / 12]) == parts


def test_models_share_three_touches():
    """Cy lands on Ann's pin thrice: at 0 h, 168 h and 336 h, and orders 12.00 at 336 h.

    Half-life 7 days = 168 h: weights 1/4, 1/2, 1 of 7/4, hence 1/7, 2/7, 4/7 of 12 000 000:
    1 714 285.71, 3 428 571.43, 6 857 142.86; two micros left go to .86 and .71.
    Position: 0.4, 0.2, 0.4. Linear: three landings on one pin collapse to the last.
    """
    story = Story()
    story.pin(-1, "ann", "a")
    for hours in (0, 168, 336):
        story.visit(hours, "cy", "a")
    story.order(336, "cy", OrderItem(item_id="mug", price="6", quantity=2))
    tables = story.truth()

    found = {
        model: {
            row["touch_id"]: row["credit_micros"]
            for row in tables["order_credits"]
            if row["model"] == model
        }
        for model in MODELS
    }

    assert found == {
        "first": {"e001": 12_000_000},
        "last": {"e003": 12_000_000},
        "linear": {"e003": 12_000_000},
        "position": {"e001": 4_800_000, "e002": 2_400_000, "e003": 4_800_000},
        "time_decay": {"e001": 1_714_286, "e002": 3_428_571, "e003": 6_857_143},
    }


def test_linear_collapses_only_repeats_that_follow_each_other():
    """Cy lands on a, b, b, a: three visits count, 1/3 of 9.00 each; e003 is b's first."""
    story = Story()
    story.pin(0, "ann", "a")
    story.tell(Pin, 0, visitor_id="bob", pin_id="b")
    for hours, pin_id in enumerate("abba", start=1):
        story.visit(hours, "cy", pin_id)
    story.order(6, "cy", OrderItem(item_id="mug", price="9"))

    rows = [row for row in story.truth()["order_credits"] if row["model"] == "linear"]

    assert {row["touch_id"]: row["credit_micros"] for row in rows} == dict.fromkeys(
        ("e002", "e004", "e005"), 3_000_000
    )


def test_one_person_on_a_chain_is_one_player():
    """Ann pins a, Bob b, Ann again c; Cy comes from c: players Ann (c, a) and Bob (b).

    Ann stands first: 0.75, half of it for each of her pins; Bob 0.25.
    """
    story = Story()
    story.pin(0, "ann", "a")
    story.pin(1, "bob", "b", parent="a")
    story.pin(2, "ann", "c", parent="b")
    story.visit(3, "cy", "c")
    story.order(4, "cy", OrderItem(item_id="vase", price="8"))

    assert credits(story.truth()) == {
        ("1", "c"): 3_000_000,
        ("1", "b"): 2_000_000,
        ("1", "a"): 3_000_000,
    }


def test_discount_and_refund_reach_the_touches_by_the_order_s_shares():
    """Mug 25.00 and vase 40.01 with 6.50 off, and one of the mugs' money back.

    6 500 000 over 25.00 : 40.01 is 2 499 615.44 and 4 000 384.55, the micro left goes to .55:
    2 499 615 and 4 000 385. Gross 22 500 385 and 36 009 615. The refund of 10.00 on line 1
    leaves 12 500 385 of it: Bob 9 375 288.75 -> 9 375 289, Ann 3 125 096.25 -> 3 125 096.
    Of the gross Bob had 16 875 288.75 -> 16 875 289, so 7 500 000 of his were given back.
    """
    story = mug_and_vase()
    story.events[-1] = msgspec.structs.replace(story.events[-1], discount="6.50")
    story.refund(90, items=[RefundItem(line_id="1", amount="10")])
    tables = story.truth()

    assert [row["net_micros"] for row in tables["order_lines"]] == [12_500_385, 36_009_615]
    assert credits(tables)["1", "b"] == 9_375_289
    assert credits(tables)["1", "a"] == 3_125_096
    row = only(tables["order_credits"], model="last", line_id="1", pin_id="b")
    assert row["refunded_micros"] == 7_500_000


def test_a_refund_in_another_currency_is_left_out():
    """Ten dollars are not ten pounds."""
    story = mug_and_vase()
    story.refund(90, currency="USD", amount="10")
    story.refund(91, currency="USD", refund_id="r2", order_id="old", amount="10")

    assert [row["net_micros"] for row in story.truth()["orders"]] == [65_010_000]


def test_whole_order_taken_back_takes_what_is_left():
    """Mug 25.00 with 30.00 given back keeps its -5.00; the vase's 40.01 all go."""
    story = mug_and_vase()
    story.refund(90, items=[RefundItem(line_id="1", amount="30")])
    story.refund(91, refund_id="r2", kind="cancel")

    assert [row["net_micros"] for row in story.truth()["order_lines"]] == [-5_000_000, 0]


def test_refund_of_an_unknown_order_is_an_order_of_its_own_until_the_original_comes():
    """A credit note for an older order lowers the total, and is not counted twice later."""
    story = Story()
    story.refund(5, items=[RefundItem(item_id="mug", quantity=2, amount="9.00")])
    tables = story.truth()

    assert tables["order_lines"] == [
        {
            "site_id": "acme",
            "order_id": "o1",
            "line_id": "r1:1",
            "item_id": "mug",
            "quantity": -2,
            "gross_micros": 0,
            "refunded_micros": 9_000_000,
            "net_micros": -9_000_000,
            "is_credited": False,
        }
    ]
    assert credits(tables) == {("r1:1", None): -9_000_000}

    story.order(1, "cy", OrderItem(item_id="mug", price="5", quantity=2))
    tables = story.truth()

    assert only(tables["order_lines"])["net_micros"] == 1_000_000
    assert credits(tables) == {("1", None): 1_000_000}


def test_window_holds_both_of_its_ends():
    """A touch exactly 30 days old counts, one a millisecond older does not."""
    for late_ms, is_credited in ((0, True), (1, False)):
        story = Story()
        story.pin(0, "ann", "a")
        story.visit(1, "cy", "a")
        story.order(1 + 720 + late_ms / HOUR_MS, "cy", OrderItem(item_id="mug", price="1"))

        assert (("1", "a") in credits(story.truth())) is is_credited


def test_a_shared_device_is_told_apart_by_its_sessions():
    """A library's computer must not make four families one customer."""
    story = Story()
    story.pin(0, "ann", "a")
    for place, customer in enumerate("wxyz"):
        story.tell(
            Identify, 10 + place, visitor_id="pc", session_id=f"s{place}", customer_id=customer
        )
    story.visit(12.5, "pc", "a", session_id="s1")
    story.visit(12.6, "pc", "a", session_id="other")

    assert [row["person_id"] for row in story.truth()["visits"]] == ["x", "v:pc"]
    del story.events[1]
    assert [row["person_id"] for row in story.truth()["visits"]] == ["y", "y"]


def test_a_cycle_and_a_lost_parent_start_their_own_trees():
    """Broken tokens never lose a pin, and never loop."""
    story = Story()
    for pin_id, parent in (("b", "c"), ("c", "b"), ("d", "c"), ("e", "lost")):
        story.pin(0, "ann", pin_id, parent=parent)
    story.tell(Pin, 1, pin_id="f", parent_pin_id="d", root_pin_id="another")

    found = {
        row["pin_id"]: (row["root_pin_id"], row["hop"], row["is_parent_missing"])
        for row in story.truth()["pins"]
    }

    assert found == {
        "b": ("b", 0, True),
        "c": ("c", 0, True),
        "d": ("c", 1, False),
        "e": ("e", 0, True),
        "f": ("f", 0, True),  # says another cascade than its parent's
    }


def test_a_chain_deeper_than_255_hops_starts_again():
    """A hostile chain stays bounded."""
    story = Story()
    story.pin(0, "ann", "a")
    for hop in range(1, 300):
        story.pin(hop, "ann", f"p{hop}", parent=f"p{hop - 1}" if hop > 1 else "a")

    hops = {row["pin_id"]: row["hop"] for row in story.truth()["pins"]}

    assert (hops["p255"], hops["p256"], hops["p299"]) == (255, 0, 43)


def test_a_re_pin_tells_of_a_landing_only_when_no_visit_does():
    """Cy's landing was lost, Bob's was not: Ann reached both, once each."""
    story = Story()
    story.pin(0, "ann", "a")
    story.visit(1, "bob", "a")
    story.pin(2, "bob", "b", parent="a")
    story.pin(3, "cy", "c", parent="b")
    story.pin(3.5, "cy", "d", parent="b")
    story.visit(4, None, "a")
    tables = story.truth()

    sphere = only(tables["pinner_spheres"], pinner_id="v:ann")
    assert (sphere["reach_hop_1"], sphere["reach_hop_2"], sphere["visits"]) == (1, 1, 3)
    assert only(tables["pins"], pin_id="b")["visits"] == 0
    # a - b - c and b - d: three pairs at 1 (ab, bc, bd), three at 2 (ac, ad, cd).
    assert sphere["structural_virality"] == 1.5
    # Bob after 1 hour, Cy after 3.
    assert sphere["median_hours_to_reach"] == 2.0


def assert_conserved(tables: Tables) -> None:
    """Credits and unattributed add up to the net of each line, under each model."""
    lines = {
        (row["site_id"], row["order_id"], row["line_id"]): row for row in tables["order_lines"]
    }
    for model in MODELS:
        net: Counter[tuple[str, str, str]] = Counter()
        refunded: Counter[tuple[str, str, str]] = Counter()
        for row in tables["order_credits"]:
            if row["model"] == model:
                key = row["site_id"], row["order_id"], row["line_id"]
                net[key] += row["credit_micros"]
                refunded[key] += row["refunded_micros"]
        for key, line in lines.items():
            if not line["is_credited"]:  # unattributed
                assert key not in net
                net[key] += line["net_micros"]
                refunded[key] += line["refunded_micros"]
        assert {key: net[key] for key in lines} == {k: r["net_micros"] for k, r in lines.items()}
        assert {key: refunded[key] for key in lines} == {
            key: row["refunded_micros"] for key, row in lines.items()
        }
        assert net.keys() <= lines.keys()
    for name, grain in (("orders", "order_id"), ("pins", "pin_id"), ("cascades", "root_pin_id")):
        keys = [(row["site_id"], row[grain]) for row in tables[name]]
        assert len(set(keys)) == len(keys)
    earned = sum(row["credited_micros"] for row in tables["cascades"])
    assert earned == sum(
        row["credit_micros"] for row in tables["order_credits"] if row["model"] == "time_decay"
    )


@pytest.mark.parametrize("seed", range(20))
def test_no_micro_is_lost_in_a_simulated_shop(seed: int):
    """Finance adds the rows up again."""
    world = simulate(seed)

    assert_conserved(truth(world.events, world.sites))


@given(tiny_worlds(has_conflicts=True))
def test_no_micro_is_lost_in_adversarial_worlds(world: TinyWorld):
    """Whatever arrives, the sums hold."""
    assert_conserved(truth(world.events, world.sites))


@given(tiny_worlds(has_conflicts=True), st.integers(0, 9))
def test_arrival_means_nothing(world: TinyWorld, seed: int):
    """Repeats, other runs and another order of arrival give the same tables."""
    again = [event for run in arrivals(world.events, seed) for event in run]

    assert _sorted(truth(again, world.sites)) == _sorted(truth(world.events, world.sites))


def _sorted(tables: Tables) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in tables.items()}
