"""Events that are legal one by one and would do harm together; each worked by hand."""

from typing import Any

from schemas.events import AnyEvent, OrderItem, Pin, PinVisit, Purchase, Refund
from schemas.settings import Site
from tests.flow.truth import Rows, run_steps

T = 1_704_067_200_000
HOUR = 3_600_000
SITES = {"acme": Site(key="key-of-acme", currency="GBP")}


def pin(event_id: str, visitor_id: str, at: int, *, received: int, is_signed: bool = False) -> Pin:
    """A pin of the one link that everybody can read the id from."""
    return Pin(
        event_id=event_id, site_id="acme", event_time_ms=at, received_time_ms=received,
        visitor_id=visitor_id, pin_id="P1", item_id="mug", is_signed=is_signed,
    )  # fmt: skip


def order(event_id: str, *items: tuple[str, str], **fields: Any) -> Purchase:
    """A signed order of the shop's server by Bob, two days after T."""
    usual: dict[str, Any] = {
        "event_time_ms": T + 48 * HOUR,
        "source": "server",
        "is_signed": True,
        "received_time_ms": T + 48 * HOUR,
        "visitor_id": "bob",
        "items": [OrderItem(item_id=item, price=price) for item, price in items],
    }
    envelope: dict[str, Any] = {"event_id": event_id, "site_id": "acme"}
    return Purchase(**envelope, order_id="O1", currency="GBP", **(usual | fields))


def net(events: list[AnyEvent]) -> list[int]:
    """The net value of each line."""
    return [row["net_micros"] for row in run_steps(events, SITES)["order_lines"]]


def credited(rows: Rows) -> dict[str, int]:
    """Credit by pinner under the default model."""
    return {row["pinner_id"]: row["credited_micros"] for row in rows["pinner_spheres"]}


def test_a_browser_cannot_silence_the_shops_server() -> None:
    """One event id for pixel and server is a common habit; the browser is often quicker."""
    quicker: dict[str, Any] = {"is_signed": False, "received_time_ms": T + 48 * HOUR - 1}
    browser = order("order-1", ("mug", "10"), source="web_js", **quicker)

    rows = run_steps([browser, order("order-1", ("mug", "10"), visitor_id=None)], SITES)

    assert [row["net_micros"] for row in rows["orders"]] == [10_000_000]
    assert rows["orders"][0]["person_id"] == "v:bob"  # the claim still says who


def test_a_pin_cannot_be_stolen_by_an_older_time() -> None:
    """A pin's id is in its public URL; whoever sends it again may claim any time."""
    events: list[AnyEvent] = [
        pin("e1", "ann", T, received=T),
        PinVisit(
            event_id="e2", site_id="acme", event_time_ms=T + HOUR, visitor_id="bob", pin_id="P1"
        ),
        order("e3", ("mug", "10")),
        pin("e4", "mallory", T - 1000 * HOUR, received=T + 100 * HOUR),
    ]

    assert credited(run_steps(events, SITES)) == {"v:ann": 10_000_000}


def test_an_order_that_comes_from_the_server_and_in_a_file_counts_once() -> None:
    """The two name lines differently: by place, and by item."""
    by_server = order("e1", ("mug", "10"), ("bowl", "5"))
    lines = [
        OrderItem(item_id="mug", price="10", line_id="mug#1"),
        OrderItem(item_id="bowl", price="5", line_id="bowl#1"),
    ]
    in_file = order("e2", source="file", received_time_ms=T + 90 * HOUR, items=lines)

    assert sorted(net([by_server, in_file])) == [5_000_000, 10_000_000]
    assert sorted(net([in_file, by_server])) == [5_000_000, 10_000_000]


def test_a_stranger_cannot_take_a_signed_order_by_its_number() -> None:
    """An order number is in the parcel; the first days after it, its credit was for the taking."""
    bait: list[AnyEvent] = [
        pin("e1", "thief", T + 40 * HOUR, received=T + 40 * HOUR),
        PinVisit(
            event_id="e2", site_id="acme", event_time_ms=T + 41 * HOUR, visitor_id="ghost",
            pin_id="P1",
        ),
        order("e3", ("mug", "10"), visitor_id=None),
    ]  # fmt: skip
    claim: dict[str, Any] = {"is_signed": False, "source": "web_js", "visitor_id": "ghost"}
    late = order("e4", ("mug", "0.01"), event_time_ms=T + 50 * HOUR, **claim)
    at_once = order("e4", ("mug", "0.01"), event_time_ms=T + 48 * HOUR + 1, **claim)

    received = {"received_time_ms": T + 50 * HOUR}
    dated_back = order("e4", ("mug", "0.01"), event_time_ms=T + 48 * HOUR + 1, **claim, **received)

    assert credited(run_steps([*bait, late], SITES)) == {"v:thief": 0}
    assert credited(run_steps([*bait, dated_back], SITES)) == {"v:thief": 0}
    assert credited(run_steps([*bait, at_once], SITES)) == {"v:thief": 10_000_000}  # the control


def test_a_file_that_fills_a_gap_of_webhooks_doubles_no_refund() -> None:
    """What was lost is imported with all that was not: that keeps its visitor and its refund."""
    told: dict[str, Any] = {"source": "webhook", "received_time_ms": T + 48 * HOUR}
    filed: dict[str, Any] = {"source": "file", "received_time_ms": T + 900 * HOUR}
    sold = order("e1", ("mug", "10"), **told)
    again = order("e2", ("mug", "10"), visitor_id=None, **filed)

    def given_back(event_id: str, refund_id: str, **fields: Any) -> Refund:
        return Refund(
            event_id=event_id, site_id="acme", event_time_ms=T + 50 * HOUR, is_signed=True,
            refund_id=refund_id, order_id="O1", amount="4", **fields,
        )  # fmt: skip

    refunds: list[AnyEvent] = [
        given_back("e3", "refunds:O1", **told), given_back("e4", "refund:O1:1", **filed)
    ]  # fmt: skip

    rows = run_steps([sold, *refunds, again], SITES)

    assert [(row["net_micros"], row["person_id"]) for row in rows["orders"]] == [
        (6_000_000, "v:bob")
    ]
    assert net([again, refunds[1]]) == [6_000_000]  # the gap itself is filled


def test_a_cancelled_order_with_an_adjustment_is_worth_nothing() -> None:
    """A voucher is a line below 0: it goes back with the rest."""
    cancel = Refund(
        event_id="e2", site_id="acme", event_time_ms=T + 50 * HOUR, is_signed=True,
        refund_id="R1", order_id="O1", kind="cancel",
    )  # fmt: skip

    assert net([order("e1", ("mug", "10"), ("voucher", "-4")), cancel]) == [0, 0]


def test_absurd_claims_of_a_browser_do_not_stop_the_run() -> None:
    """A few thousand of them would be more than any database can add up."""
    sites = {"acme": Site(key="key-of-acme", currency="GBP", orders_from="both")}
    fields: dict[str, Any] = {"is_signed": False, "source": "web_js"}
    absurd = order("e1", ("mug", "4503599627"), **fields)

    rows = run_steps([absurd], sites)

    assert rows["orders"] == []
    assert "140,737,488 units" in rows["quarantine"][0]["reason"]


def test_thousands_of_landings_before_one_order_stay_small() -> None:
    """A script that follows a link all day must not fill the memory: the latest 200 count."""
    usual: dict[str, Any] = {"site_id": "acme", "visitor_id": "bob", "pin_id": "P1"}
    landings: list[AnyEvent] = [
        PinVisit(event_id=f"l{n}", event_time_ms=T + n * 1000, **usual) for n in range(1000)
    ]

    rows = run_steps([pin("p", "ann", T, received=T), *landings, order("o", ("mug", "10"))], SITES)

    by_decay = [row for row in rows["order_credits"] if row["model"] == "time_decay"]
    assert len(by_decay) == 200
    assert sum(row["credit_micros"] for row in by_decay) == 10_000_000
    assert min(row["touched_at"] for row in by_decay) == T + 800 * 1000
