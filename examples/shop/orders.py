"""Orders and refunds, in memory, and how they reach PinSphere: signed, and again until taken."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
from uuid_utils import uuid7

from examples.shop.catalogue import CATALOGUE, CURRENCY, SHIPPING, Product

Post = Callable[[str, bytes, Mapping[str, str]], int]
Event = dict[str, Any]


@dataclass
class OrderLine:
    """One line: a product, how many of it, and how many were given back."""

    line_id: str
    product: Product
    quantity: int
    refunded: int = 0

    @property
    def value(self) -> Decimal:
        """What the line costs."""
        return self.product.price * self.quantity


@dataclass
class Order:
    """One order as it stands."""

    order_id: str
    lines: list[OrderLine]
    visitor_id: str | None = None
    customer_id: str | None = None

    @property
    def total(self) -> Decimal:
        """What the customer pays: the lines and the shipping."""
        return sum((line.value for line in self.lines), SHIPPING)

    def purchase(self) -> Event:
        """The order as PinSphere's `purchase`."""
        return _event(
            "purchase",
            visitor_id=self.visitor_id,
            customer_id=self.customer_id,
            order_id=self.order_id,
            currency=CURRENCY,
            shipping=str(SHIPPING),
            items=[
                {
                    "line_id": line.line_id,
                    "item_id": line.product.item_id,
                    "quantity": line.quantity,
                    "price": str(line.product.price),
                }
                for line in self.lines
            ],
        )

    def refund(self, line_id: str) -> Event:
        """Gives back what is left of a line; the event to report it with.

        Raises:
          KeyError: there is no such line, or nothing of it is left.
        """
        line = next((line for line in self.lines if line.line_id == line_id), None)
        if line is None or line.refunded == line.quantity:
            raise KeyError(f"order {self.order_id} has nothing to refund on line {line_id}")
        quantity = line.quantity - line.refunded
        line.refunded = line.quantity
        return _event(
            "refund",
            refund_id=f"{self.order_id}-{line_id}",
            order_id=self.order_id,
            kind="return",
            currency=CURRENCY,
            items=[
                {
                    "line_id": line_id,
                    "quantity": quantity,
                    "amount": str(line.product.price * quantity),
                }
            ],
        )


@dataclass
class OrderBook:
    """All orders of the shop, numbered from 1001."""

    orders: dict[str, Order] = field(default_factory=dict)

    def place(
        self, cart: Mapping[str, int], visitor_id: str | None, customer_id: str | None
    ) -> Order:
        """Turns a cart into an order."""
        lines = [
            OrderLine(str(number), CATALOGUE[item_id], quantity)
            for number, (item_id, quantity) in enumerate(cart.items(), start=1)
        ]
        order = Order(f"A{1001 + len(self.orders)}", lines, visitor_id, customer_id)
        self.orders[order.order_id] = order
        return order


class Outbox:
    """Events on their way to the beacon.

    One that it did not take stays and goes again with the next, under the same event id: so
    nothing is lost and nothing counts twice.
    """

    def __init__(self, beacon_url: str, site_key: str, secret: str, post: Post) -> None:
        self._url = beacon_url.rstrip("/") + "/v1/orders"
        self._site_key = site_key
        self._secret = secret
        self._post = post
        self.waiting: list[Event] = []

    def send(self, *events: Event) -> bool:
        """Sends these and all that wait; whether the beacon took them."""
        self.waiting.extend(events)
        batch = self.waiting[:100]
        if not batch:
            return True
        now = time.time()
        body = json.dumps(
            {"site_key": self._site_key, "sent_time_ms": int(now * 1000), "events": batch}
        ).encode()
        headers = {
            "Content-Type": "application/json",
            "X-PinSphere-Signature": sign(body, self._secret, int(now)),
        }
        if self._post(self._url, body, headers) not in (200, 204):
            return False
        del self.waiting[: len(batch)]
        return True


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The value of `X-PinSphere-Signature` for a body sent at this time."""
    signed = f"{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def post_over_http(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Posts and gives back the status; 503 when nobody answers."""
    try:
        return httpx.post(url, content=body, headers=dict(headers), timeout=5).status_code
    except httpx.TransportError:
        return 503


def _event(event_name: str, **fields: Any) -> Event:
    event = {
        "event_id": str(uuid7()),
        "event_name": event_name,
        "event_time_ms": int(time.time() * 1000),
        **fields,
    }
    return {name: value for name, value in event.items() if value is not None}
