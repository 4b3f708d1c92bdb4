"""Short words for orders and refunds, and what the kernel makes of them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipelines.kernels.orders import Settled, settle_orders
from pipelines.transforms.deduplicate import with_derived
from schemas.events import AnyEvent, OrderItem, Purchase, Refund, RefundItem
from schemas.lake import to_table

NOON = 1_767_268_800_000
MICROS = 1_000_000


def purchase(*items: OrderItem, at: int = 0, order_id: str = "o1", **fields: Any) -> Purchase:
    """A signed statement in GBP, received at once, `at` milliseconds after noon."""
    known: dict[str, Any] = {
        "event_id": f"p{at}",
        "currency": "GBP",
        "is_signed": True,
        "received_time_ms": NOON + at,
    }
    return Purchase(
        event_time_ms=NOON + at,
        site_id="shop",
        order_id=order_id,
        items=list(items) or [line("1", "10")],
        **(known | fields),
    )


def line(line_id: str, price: str, quantity: int = 1, **fields: Any) -> OrderItem:
    """An order line; its item is named after it."""
    known: dict[str, Any] = {"item_id": f"item-{line_id}"}
    return OrderItem(line_id=line_id, price=price, quantity=quantity, **(known | fields))


def refund(*items: RefundItem, at: int = 100, refund_id: str = "r1", **fields: Any) -> Refund:
    """A signed refund of order o1, received at once."""
    known: dict[str, Any] = {
        "event_id": f"r{at}",
        "order_id": "o1",
        "is_signed": True,
        "received_time_ms": NOON + at,
    }
    return Refund(
        event_time_ms=NOON + at,
        site_id="shop",
        refund_id=refund_id,
        items=list(items),
        **(known | fields),
    )


def back(line_id: str | None = None, amount: str | None = None, **fields: Any) -> RefundItem:
    """A refunded line."""
    return RefundItem(line_id=line_id, amount=amount, **fields)


def settle(events: Sequence[AnyEvent], orders_from: str = "server") -> Settled:
    """Events of one shop that reports in GBP, through the kernel, unsorted."""

    def table(name: str, kind: type[Purchase | Refund]) -> pa.Table:
        return with_derived(
            name, to_table(name, [event for event in events if isinstance(event, kind)])
        )

    return settle_orders(
        table("purchase", Purchase),
        table("refund", Refund),
        {"shop": orders_from},
        {"shop": "GBP"},
    )


def orders_of(events: Sequence[AnyEvent], orders_from: str = "server") -> list[dict[str, Any]]:
    """The orders, by order id."""
    rows: list[dict[str, Any]] = settle(events, orders_from).orders.to_pylist()
    return sorted(rows, key=lambda row: row["order_id"])


def lines_of(events: Sequence[AnyEvent], orders_from: str = "server") -> dict[str, tuple[int, int]]:
    """The only order's (gross, refunded) micros by line id."""
    (order,) = orders_of(events, orders_from)
    return {row["line_id"]: (row["gross_micros"], row["refunded_micros"]) for row in order["lines"]}


def reasons_of(settled: Settled) -> list[tuple[str, str]]:
    """What was refused: record id and reason."""
    return [(row["record_id"], row["reason"]) for row in settled.refused.to_pylist()]
