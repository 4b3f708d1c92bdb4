"""The simulated shop's till: orders, statements and refunds whose worth is known."""

import itertools
import random
from collections.abc import Callable
from typing import Any

from schemas.events import OrderItem, Purchase, Refund, RefundItem
from schemas.money import format_money
from tests.known import KnownOrder, World

CENT = 10_000  # micros
MINUTE_MS = 60_000


class Till:
    """Sells, restates and gives back; every order's final net is written down."""

    def __init__(
        self, world: World, site_id: str, rng: random.Random, emit: Callable[..., str]
    ) -> None:
        self.world, self.site_id, self.rng, self.emit = world, site_id, rng, emit
        self.count = itertools.count(1)
        self.orders_from = world.sites[site_id].orders_from

    def sell(
        self,
        at: int,
        *,
        customer_id: str | None,
        visitor_id: str | None,
        session_id: str | None,
        person_id: str | None,
    ) -> bool:
        """One order, as the shop's server or the buyer's browser tells it; is it counted?"""
        rng = self.rng
        order_id = f"o{next(self.count)}"
        items = [self._item() for _ in range(rng.choice((1, 1, 2, 4)))]
        discount = rng.choice((0, 0, rng.randrange(1, 500) * CENT))
        is_foreign = rng.random() < 0.05
        fields: dict[str, Any] = {
            "order_id": order_id,
            "currency": "USD" if is_foreign else "GBP",
            "discount": format_money(discount),
            "tax": "1.23",
            "shipping": "4.50",
            "customer_id": None if is_foreign else customer_id,
            "visitor_id": visitor_id,
            "session_id": session_id,
        }
        is_claimed = self.orders_from == "both" and rng.random() < 0.4
        if not is_claimed and rng.random() < 0.5:
            # The browser claims the same order at other prices: it only lends its visitor.
            claim = {**fields, "items": [self._item()], "customer_id": None}
            self._state(at + rng.randrange(MINUTE_MS), claim, is_signed=False)
            if rng.random() < 0.7:
                fields["visitor_id"] = None
        items = self._tell(at, fields, items, is_signed=not is_claimed)
        worth = sum(value for _, value in items) - discount
        worth -= self._give_back(at, order_id, items, worth, discount)
        if not is_foreign:
            self.world.orders[self.site_id, order_id] = KnownOrder(person_id, at, worth)
        return not is_foreign

    def claim(self, at: int, **who: Any) -> None:
        """A browser tells of an order that no server confirms."""
        order_id = f"o{next(self.count)}"
        item, value = self._item()
        fields = {"order_id": order_id, "currency": "GBP", "items": [(item, value)], **who}
        self._state(at, fields, is_signed=False)
        if self.orders_from == "both":
            person_id = f"v:{who['visitor_id']}"
            self.world.orders[self.site_id, order_id] = KnownOrder(person_id, at, value)

    def refund_unknown(self, at: int, customer_id: str | None) -> None:
        """A credit note whose order was sold before the records begin."""
        rng = self.rng
        order_id = f"o{next(self.count)}"
        net = 0
        first = at
        for place in range(rng.choice((1, 1, 2))):
            amount = rng.randrange(1, 9_000) * CENT
            net -= amount
            body: dict[str, Any] = {"amount": format_money(amount)}
            if rng.random() < 0.5:
                item = RefundItem(line_id="7", quantity=2, amount=format_money(amount))
                body = {"items": [item, RefundItem(item_id="mug", quantity=1)]}
            self._refund(at, order_id, f"r{place}", customer_id=customer_id, **body)
            at += MINUTE_MS
        self.world.orders[self.site_id, order_id] = KnownOrder(
            customer_id, first, net, is_unknown=True
        )

    def _item(self) -> tuple[OrderItem, int]:
        """An order line and its worth in micros."""
        rng = self.rng
        quantity, price = rng.choice((1, 1, 2, 3)), rng.randrange(1, 6_000) * CENT
        discount = rng.choice((0, 0, rng.randrange(1, 100) * CENT))
        item = OrderItem(
            item_id=f"item{rng.randrange(20)}",
            quantity=quantity,
            price=format_money(price),
            discount=format_money(discount),
        )
        return item, quantity * price - discount

    def _tell(
        self,
        at: int,
        fields: dict[str, Any],
        items: list[tuple[OrderItem, int]],
        *,
        is_signed: bool,
    ) -> list[tuple[OrderItem, int]]:
        """States the order once or in parts; gives the lines that stand in the end."""
        rng = self.rng
        items = [
            (OrderItem(**{**_fields(item), "line_id": str(place)}), value)
            for place, (item, value) in enumerate(items, start=1)
        ]
        kind = rng.random()
        if kind < 0.15:  # first a wrong price for the first line, corrected a minute later
            wrong, value = self._item()
            wrong = OrderItem(**{**_fields(wrong), "line_id": "1"})
            stated = {**fields, "items": [(wrong, value), *items[1:]], "discount": "9.99"}
            self._state(at, stated, is_signed=is_signed)
            self._state(at + MINUTE_MS, {**fields, "items": items[:1]}, is_signed=is_signed)
        elif kind < 0.3:  # two statements, in the order of their lines
            self._state(at, {**fields, "items": items[:1]}, is_signed=is_signed)
            later = {**fields, "items": items[1:] or items}
            self._state(at + MINUTE_MS, later, is_signed=is_signed)
        else:
            self._state(at, {**fields, "items": items}, is_signed=is_signed)
        return items

    def _state(self, at: int, fields: dict[str, Any], *, is_signed: bool) -> None:
        items = [item for item, _ in fields["items"]]
        self.emit(
            Purchase,
            event_time_ms=at,
            received_time_ms=at + 500,
            source="server" if is_signed else "web_js",
            is_signed=is_signed,
            **{**fields, "items": items},
        )

    def _give_back(
        self,
        at: int,
        order_id: str,
        items: list[tuple[OrderItem, int]],
        worth: int,
        discount: int,
    ) -> int:
        """Perhaps a refund; gives the micros it takes off."""
        rng = self.rng
        later = at + rng.randrange(20 * 24 * 60) * MINUTE_MS
        item, value = rng.choice(items)
        some = rng.randrange(1, 3_000) * CENT
        taken = 0
        match rng.randrange(12):
            case 0:  # everything
                self._refund(later, order_id, "r1", kind="cancel")
                taken = worth if _all_positive(items, discount) else self._undo(later, order_id)
            case 1:  # an amount, at times more than was paid
                self._refund(later, order_id, "r1", amount=format_money(some))
                taken = some
            case 2:  # an amount of one line, told twice: the later telling stands
                line = RefundItem(line_id=item.line_id, amount="999.99")
                self._refund(later, order_id, "r1", items=[line])
                line = RefundItem(line_id=item.line_id, amount=format_money(some))
                self._refund(later + MINUTE_MS, order_id, "r1", items=[line])
                taken = some
            case 3 if discount == 0:  # a whole line by quantity
                line = RefundItem(line_id=item.line_id, quantity=item.quantity)
                self._refund(later, order_id, "r1", kind="return", items=[line])
                taken = value
            case 4 if discount == 0 and item.discount == "0.00":  # one piece of a line
                line = RefundItem(line_id=item.line_id, quantity=1)
                self._refund(later, order_id, "r1", kind="return", items=[line])
                taken = value // item.quantity
            case 5:  # a line nobody knows: spread, so the order's net is known all the same
                line = RefundItem(line_id="no such", item_id="none", amount=format_money(some))
                self._refund(later, order_id, "r1", items=[line])
                taken = some
            case 6:  # nobody signed it
                self._refund(later, order_id, "r1", is_signed=False, amount="5.00")
            case 7:  # two refunds, the first received before its order
                self._refund(at - MINUTE_MS, order_id, "r1", amount=format_money(some))
                self._refund(later, order_id, "r2", kind="chargeback", amount="1.000001")
                taken = some + 1_000_001
            case _:
                pass
        return taken

    def _undo(self, at: int, order_id: str) -> int:
        """Restates the whole-order refund as an amount where lines are worth less than 0."""
        self._refund(at + MINUTE_MS, order_id, "r1", amount="3.00")
        return 3_000_000

    def _refund(self, at: int, order_id: str, refund_id: str, **own: Any) -> None:
        self.emit(
            Refund,
            **{
                "event_time_ms": at,
                "received_time_ms": at + 500,
                "source": "webhook",
                "is_signed": True,
                "order_id": order_id,
                "refund_id": refund_id,
                "currency": "GBP",
                **own,
            },
        )


def _all_positive(items: list[tuple[OrderItem, int]], discount: int) -> bool:
    """Whether each line keeps a positive worth under its part of the order's discount."""
    values = [value for _, value in items]
    return min(values) > 0 and discount < sum(values)


def _fields(item: OrderItem) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__struct_fields__}
