"""Data quality and daily counts, worked by hand: what a merchandiser trusts the rest by."""

from typing import Any

import pytest

from schemas.events import AddToCart, AnyEvent, ListItem, Pin, PinVisit, SelectItem, ViewItemList
from schemas.settings import Site
from tests.flow.truth import run_steps

# 2024-03-31 00:30 in London, where the clock goes forward at one; 2024-03-30 in New York.
T = 1_711_845_000_000
HOUR = 3_600_000
SITES = {
    "acme": Site(key="key-of-acme", currency="GBP", time_zone="Europe/London"),
    "bolt": Site(key="key-of-bolt", currency="USD", time_zone="America/New_York"),
}
SHOWN: dict[str, Any] = {"item_list_id": "home_recs", "recommender_id": "cf-v2"}


def at(event_id: str, hours: float = 0, **fields: Any) -> dict[str, Any]:
    """An envelope of acme, received when it happened."""
    when = T + int(hours * HOUR)
    usual = {"site_id": "acme", "event_time_ms": when, "received_time_ms": when, "visitor_id": "v"}
    return {"event_id": event_id, **usual, **fields}


EVENTS: list[AnyEvent] = [
    ViewItemList(**at("e1"), **SHOWN, items=[ListItem(item_id="mug"), ListItem(item_id="vase")]),
    ViewItemList(**at("e1", received_time_ms=T + 9), **SHOWN, items=[ListItem(item_id="mug")]),
    ViewItemList(**at("e2", user_agent_class="bot"), **SHOWN, items=[ListItem(item_id="mug")]),
    SelectItem(**at("e3"), **SHOWN, item_id="mug"),
    AddToCart(**at("e4", 24), item_id="mug"),
    Pin(**at("e5"), **SHOWN, item_id="mug", pin_id="P"),
    PinVisit(**at("e6", visitor_id="w"), pin_id="P"),
    PinVisit(**at("e7", visitor_id="x", received_time_ms=T + 25 * HOUR), pin_id="P"),
    PinVisit(**at("e8", visitor_id="y"), match_method="referrer"),
    PinVisit(**at("e9", user_agent_class="pinterestbot"), pin_id="P"),
    PinVisit(**at("e10", source="file", received_time_ms=T + 99 * HOUR), match_method="epik"),
    PinVisit(**at("e11", site_id="bolt"), match_method="referrer"),
]
ROWS = run_steps(EVENTS, SITES)


@pytest.mark.parametrize(
    ("site", "day", "name", "counts"),
    [
        # e1 twice and a bot's; received, duplicates, bots, late, matched_by_token, quarantined
        ("acme", "2024-03-31", "view_item_list", (3, 1, 1, 0, 0, 0)),
        ("acme", "2024-03-31", "select_item", (1, 0, 0, 0, 0, 0)),
        ("acme", "2024-04-01", "add_to_cart", (1, 0, 0, 0, 0, 0)),
        # e7 came a day late; e10 is history from a file; e9 crawled; two tokens by people
        ("acme", "2024-03-31", "pin_visit", (5, 0, 1, 1, 2, 0)),
        ("bolt", "2024-03-30", "pin_visit", (1, 0, 0, 0, 0, 0)),
    ],
)
def test_quality_counts_what_came_and_what_became_of_it(
    site: str, day: str, name: str, counts: tuple[int, ...]
) -> None:
    """Token survival decides whether the carrier in the pinned URL works at all."""
    (row,) = (
        row
        for row in ROWS["data_quality_daily"]
        if (row["site_id"], row["day"], row["event_name"]) == (site, day, name)
    )
    names = ("received", "duplicates", "bots", "late", "matched_by_token", "quarantined")
    assert tuple(row[column] for column in names) == counts


@pytest.mark.parametrize(
    ("table", "key", "day", "counts"),
    [
        # views, clicks, pins, pin_visits, adds_to_cart; the repeat and the bot count nothing
        ("slot_daily", {"item_list_id": "home_recs"}, "2024-03-31", (1, 1, 1, 2, 0)),
        ("recommender_daily", {"recommender_id": "cf-v2"}, "2024-03-31", (1, 1, 1, 2, 0)),
        ("item_daily", {"item_id": "mug"}, "2024-03-31", (1, 1, 1, 2, 0)),
        ("item_daily", {"item_id": "vase"}, "2024-03-31", (1, 0, 0, 0, 0)),
        ("item_daily", {"item_id": "mug"}, "2024-04-01", (0, 0, 0, 0, 1)),
    ],
)
def test_daily_counts_are_the_same_under_every_model(
    table: str, key: dict[str, str], day: str, counts: tuple[int, ...]
) -> None:
    """Whoever filters on one model reads all activity, and never a multiple of it."""
    rows = [row for row in ROWS[table] if key.items() <= row.items() and row["day"] == day]

    assert len({row["model"] for row in rows}) == len(rows) == 5
    for row in rows:
        names = ("views", "clicks", "pins", "pin_visits", "adds_to_cart")
        assert tuple(row[name] for name in names) == counts


def test_landings_are_counted_by_client_evidence_and_carrier() -> None:
    """A carrier that Pinterest's app strips is seen only where its landings stand apart."""
    landed = [
        PinVisit(**at("a1"), pin_id="P", token_carrier="query"),
        PinVisit(**at("a1", received_time_ms=T + 9), pin_id="P", token_carrier="query"),
        PinVisit(**at("a2", visitor_id="w"), pin_id="P", token_carrier="query"),
        PinVisit(**at("a3"), pin_id="P", token_carrier="fragment"),
        PinVisit(**at("a4"), pin_id="P"),
        PinVisit(**at("a5", user_agent_class="pinterest_inapp"), match_method="user_agent"),
        PinVisit(**at("a6", user_agent_class="pinterestbot"), pin_id="P", token_carrier="query"),
        PinVisit(**at("a7", 24, user_agent_class="bot"), match_method="referrer"),
    ]

    found = run_steps(landed, SITES)["landings_daily"]

    assert {row.pop("day") for row in found} == {"2024-03-31"}
    assert [tuple(row.values()) for row in found] == [
        ("acme", "human", "token", "(none)", 1),
        ("acme", "human", "token", "fragment", 1),
        ("acme", "human", "token", "query", 2),
        ("acme", "pinterest_inapp", "user_agent", "(none)", 1),
    ]


def test_arrivals_are_counted_by_the_hour_they_came_in_and_by_source() -> None:
    """A shop whose pages fell silent is told so while its server's orders still come."""
    came: list[AnyEvent] = [
        Pin(**at("a1"), pin_id="P"),
        Pin(**at("a1", received_time_ms=T + HOUR), pin_id="P"),
        Pin(**at("a2", -3, received_time_ms=T + HOUR // 2), pin_id="Q"),
        AddToCart(**at("a3", 0.5), item_id="mug"),
        AddToCart(**at("a4", source="server"), item_id="mug"),
        AddToCart(**at("a5", user_agent_class="bot"), item_id="mug"),
    ]

    found = run_steps(came, SITES)["arrivals_hourly"]

    half_past = 1_800_000
    assert [tuple(row.values()) for row in found] == [
        ("acme", T - half_past, "server", 1),
        ("acme", T - half_past, "web_js", 2),
        ("acme", T + half_past, "web_js", 2),
    ]
