"""The page on spheres: its example, recomputed."""

import re
from pathlib import Path
from typing import Any

import pytest

from schemas.events import AnyEvent, OrderItem, Pin, PinVisit, Purchase
from schemas.settings import Site
from tests.flow.truth import Rows, run_steps

PAGE = (Path(__file__).parents[1] / "docs" / "spheres.md").read_text()
START_MS, HOUR_MS = 1_704_067_200_000, 3_600_000
PINS = (("a", "ann", 0, None), ("b", "ben", 12, "a"), ("d", "dana", 31, "b"), ("f", "fay", 90, "a"))
LANDINGS = (
    ("a", "ben", 10), ("a", "cleo", 20), ("a", "eve", 60),
    ("b", "dana", 30), ("b", None, 70), ("d", "eve", 50), ("d", "ann", 80),
)  # fmt: skip
ORDERS = (("dana", 32, "25.00"), ("eve", 61, "40.00"))
PINNERS = ("ann", "ben", "dana")
MEASURES = re.findall(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|[^|]*\|$", PAGE, re.MULTILINE)
OF_CASCADE = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| [^|]* \|$", PAGE, re.MULTILINE)


def told() -> list[AnyEvent]:
    """The example's events."""
    events: list[AnyEvent] = []

    def tell(kind: type[Any], visitor: str | None, hour: int, **fields: Any) -> None:
        at = START_MS + hour * HOUR_MS
        events.append(
            kind(event_id=f"e{len(events):02}", site_id="acme", event_time_ms=at,
                 visitor_id=visitor, **fields)
        )  # fmt: skip

    for pin_id, pinner, hour, parent in PINS:
        root = "a" if parent else None
        tell(
            Pin, pinner, hour, pin_id=pin_id, parent_pin_id=parent, root_pin_id=root, item_id="mug"
        )
    for pin_id, person, hour in LANDINGS:
        tell(PinVisit, person, hour, pin_id=pin_id)
    for buyer, hour, price in ORDERS:
        items = [OrderItem(item_id="mug", price=price)]
        tell(Purchase, buyer, hour, order_id=buyer, currency="GBP", items=items, is_signed=True)
    return events


@pytest.fixture(scope="module")
def tables() -> Rows:
    return run_steps(told(), {"acme": Site(key="key-of-acme", currency="GBP")})


def shown(row: dict[str, Any], measure: str) -> Any:
    """A measure as the view shows it."""
    if measure == "amplification":
        return (row["reach_total"] - row["reach_hop_1"]) / row["reach_hop_1"]
    if measure == "repin_rate_hop_1":
        return row["repinners_hop_1"] / row["reach_hop_1"]
    return row[measure] if measure in row else row[f"{measure}_micros"] / 1e6


def same(said: str, value: Any) -> bool:
    return said == "" if value is None else float(said) == round(value, 6)


@pytest.mark.parametrize(("measure", "said"), [(name, cells) for name, *cells in MEASURES])
def test_a_measure_on_the_page_is_the_flow_s(tables: Rows, measure: str, said: list[str]) -> None:
    """Who learns the measures there must find them so in the tables."""
    spheres = {row["pinner_id"]: row for row in tables["pinner_spheres"]}

    for pinner, cell in zip(PINNERS, said, strict=True):
        assert same(cell.strip(), shown(spheres[f"v:{pinner}"], measure)), pinner


@pytest.mark.parametrize(("measure", "said"), OF_CASCADE)
def test_a_cascade_s_measure_on_the_page_is_the_flow_s(
    tables: Rows, measure: str, said: str
) -> None:
    """Likewise of the cascade."""
    (cascade,) = tables["cascades"]

    assert same(said, cascade[measure])


def test_what_the_page_says_in_words_is_the_flow_s(tables: Rows) -> None:
    """Moments, the edge of Ann and Ben, what adds up, and what does not."""
    spheres = {row["pinner_id"]: row for row in tables["pinner_spheres"]}
    moments = [spheres["v:ann"][name] for name in ("first_reached_at", "last_reached_at")]
    assert [(at - START_MS) / HOUR_MS for at in moments] == [10, 90]
    (edge,) = (
        row for row in tables["sphere_edges"]
        if (row["pinner_id"], row["person_id"]) == ("v:ann", "v:ben")
    )  # fmt: skip
    assert (edge["hop"], edge["visits"], edge["pins"]) == (1, 1, 1)
    assert sum(row["influenced_micros"] for row in spheres.values()) == 170_000_000
    assert sum(row["credited_micros"] for row in spheres.values()) == 65_000_000


def test_the_page_shows_every_measure_of_a_pinner(tables: Rows) -> None:
    """A column that no example explains would be read as whoever reads it likes."""
    columns = {name.removesuffix("_micros") for name in tables["pinner_spheres"][0]}
    explained = {name for name, *_ in MEASURES} | {"first_reached_at", "last_reached_at"}

    assert columns - explained == {"site_id", "pinner_id", "pins", "confirmed_pins", "credited"}
