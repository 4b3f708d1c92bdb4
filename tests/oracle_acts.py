"""The oracle's fourth part: what people did, one row an act, told from each side."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.events import AddToCart, AnyEvent, Engage, SelectItem, ViewItem
from tests.oracle_orders import Order, happened
from tests.oracle_people import People
from tests.oracle_spheres import Node, Visit

Row = dict[str, Any]
DEFAULT_MODEL = "time_decay"


def acts_of(
    events: Iterable[AnyEvent],
    people: People,
    pins: Mapping[str, Node],
    visits: Iterable[Visit],
    orders: Iterable[Order],
    credits: Iterable[Row],
) -> list[Row]:
    """Every act of one site's people, in no order."""
    rows = [
        _act(
            people.of(event),
            event.activity if isinstance(event, Engage) else "view",
            happened(event),
            item_id=event.item_id,
            item_list_id=None if isinstance(event, Engage) else event.item_list_id,
        )
        for event in events
        if isinstance(event, ViewItem | SelectItem | AddToCart | Engage)
    ]
    for pin in pins.values():
        parent = pins[pin.parent_id] if pin.parent_id is not None else None
        rows.append(_of_pin(pin.person_id, "pin", pin, parent.person_id if parent else None))
        if parent and (pin.person_id is None or pin.person_id != parent.person_id):
            rows.append(_of_pin(parent.person_id, "repinned", pin, pin.person_id))
    for visit in visits:
        landed = pins.get(visit.pin_id or "")
        if landed and (visit.person_id is None or visit.person_id != landed.person_id):
            sides = {"visit": visit.person_id, "visited": landed.person_id}
            for act, person in sides.items():
                rows.append(
                    _act(
                        person,
                        act,
                        visit.visited_at,
                        other_id=sides["visited" if act == "visit" else "visit"],
                        item_id=landed.item_id,
                        item_list_id=landed.item_list_id,
                    )
                )
    buyers = {order.order_id: people.buyer(order) for order in orders}
    times = {order.order_id: order.ordered_at for order in orders}
    rows += [
        _act(buyers[one.order_id], "order", one.ordered_at, amount_micros=one.net)
        for one in orders
        if not one.is_unknown
    ]
    earned: dict[tuple[str, str], int] = defaultdict(int)
    for row in credits:
        if row["model"] == DEFAULT_MODEL:
            earned[row["order_id"], row["pinner_id"]] += row["credit_micros"]
    rows += [
        _act(who, "credit", times[order], other_id=buyers[order], amount_micros=micros)
        for (order, who), micros in earned.items()
    ]
    return [row for row in rows if row["person_id"] is not None]


def _of_pin(person: str | None, act: str, pin: Node, other: str | None) -> Row:
    ids = {"item_id": pin.item_id, "item_list_id": pin.item_list_id, "other_id": other}
    return _act(person, act, pin.pinned_at, **ids)


def _act(person: str | None, act: str, at: int, **more: Any) -> Row:
    nothing = {"other_id": None, "item_id": None, "item_list_id": None, "amount_micros": 0}
    return {"person_id": person, "act": act, "at": at, **nothing, **more}
