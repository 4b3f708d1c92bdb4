"""The demo's shop: people who see recommendations, pin, follow pins and buy."""

import random
from typing import Any

from schemas.ids import new_event_id

_DAY_MS = 86_400_000
_DAYS = 60
_PEOPLE = 600
_CATALOGUE = {
    "blue-mug": "12.50", "oak-lamp": "89.00", "wool-throw": "54.95", "linen-apron": "24.00",
    "clay-vase": "39.90", "tea-tin": "8.75", "brass-hook": "6.20", "rattan-basket": "32.40",
    "poster-fern": "18.00", "candle-fig": "15.60",
}  # fmt: skip
# Slot, the recommenders that share it, and how tempting it is to pin from.
_SLOTS = {
    "home_recs": (("cf-v2", "trending"), 0.10),
    "product_similar": (("cf-v2", "embedding"), 0.07),
    "cart_cross_sell": (("trending",), 0.02),
}


def trade(seed: int, now_ms: int) -> list[dict[str, Any]]:
    """Two months of a shop, as the events that browsers and its server would send.

    Args:
      seed: the same seed makes the same shop.
      now_ms: end of the two months, epoch milliseconds.

    Returns:
      Events in the order of their times, as JSON objects.
    """
    shop = _Shop(
        random.Random(seed),  # noqa: S311 (a simulation)
        now_ms - _DAYS * _DAY_MS,
    )
    for _ in range(_PEOPLE * 3):
        shop.visit(shop.start + int(shop.random.random() * (_DAYS - 5) * _DAY_MS))
    return sorted(
        (event for event in shop.events if event["event_time_ms"] < now_ms),
        key=lambda event: event["event_time_ms"],
    )


class _Shop:
    def __init__(self, generator: random.Random, start: int) -> None:
        self.random, self.start = generator, start
        self.events: list[dict[str, Any]] = []
        self.orders = 0

    def visit(self, at: int) -> None:
        """Somebody comes by herself and sees a recommendation list."""
        visitor = self._somebody()
        slot, (recommenders, appeal) = self.random.choice(list(_SLOTS.items()))
        where = {"item_list_id": slot, "recommender_id": self.random.choice(recommenders)}
        items = self.random.sample(list(_CATALOGUE), 4)
        shown = [{"item_id": item, "index": place} for place, item in enumerate(items)]
        self._tell("view_item_list", at, visitor, **where, items=shown)
        if self.random.random() < 0.3:
            place = self.random.randrange(4)
            self._tell("select_item", at + 9_000, visitor, **where, **shown[place])
        if self.random.random() < appeal:
            place = self.random.randrange(4)
            self._pin(at + 20_000, visitor, {**where, **shown[place]}, None, None, 0)
        elif self.random.random() < 0.15:
            self._buy(at + 600_000, visitor, self.random.choice(items))

    def _pin(
        self, at: int, visitor: int, what: dict[str, Any],
        parent: str | None, root: str | None, hop: int,
    ) -> None:  # fmt: skip
        """She pins; a few people see it on Pinterest and land; some pin on, some buy."""
        pin_id = f"{self.random.getrandbits(72):018x}"
        lineage = {"parent_pin_id": parent, "root_pin_id": root, "hop": hop} if parent else {}
        self._tell("pin", at, visitor, pin_id=pin_id, **lineage, **what)
        # Few pins travel far: that is what makes spheres worth measuring.
        for _ in range(min(int(self.random.paretovariate(1.1)) - 1, 40)):
            landed = at + int(self.random.expovariate(1 / (4 * _DAY_MS)))
            other = self._somebody()
            self._tell("pin_visit", landed, other, pin_id=pin_id, token_carrier="query")  # noqa: S106 (no password)
            if self.random.random() < 0.25 and hop < 12:
                self._pin(landed + 60_000, other, what, pin_id, root or pin_id, hop + 1)
            if self.random.random() < 0.15:
                wait = int(self.random.expovariate(1 / (2 * _DAY_MS)))
                self._buy(landed + wait, other, what["item_id"])

    def _buy(self, at: int, visitor: int, item: str) -> None:
        """She logs in and orders one or two products; one order in twelve is refunded in part."""
        self.orders += 1
        order_id = f"A{10_000 + self.orders}"
        chosen = [item, self.random.choice(list(_CATALOGUE))][: self.random.randint(1, 2)]
        lines = [
            {
                "line_id": str(place),
                "item_id": line_item,
                "quantity": self.random.randint(1, 3),
                "price": _CATALOGUE[line_item],
            }
            for place, line_item in enumerate(chosen, start=1)
        ]
        customer = f"customer-{visitor:04d}"
        if self.random.random() < 0.8:
            self._tell("identify", at - 30_000, visitor, customer_id=customer)
        self._tell(
            "purchase", at, visitor, order_id=order_id, currency="GBP", customer_id=customer,
            items=lines,
        )  # fmt: skip
        if self.random.random() < 1 / 12:
            back = {"line_id": "1", "quantity": 1}
            self._tell(
                "refund", at + 3 * _DAY_MS, None, refund_id=f"R{order_id}", order_id=order_id,
                currency="GBP", items=[back],
            )  # fmt: skip

    def _somebody(self) -> int:
        """Regulars come more often than others."""
        return int(_PEOPLE * self.random.random() ** 2.5)

    def _tell(self, event_name: str, at: int, visitor: int | None, **fields: Any) -> None:
        who = {} if visitor is None else {"visitor_id": f"visitor{visitor:04d}"}
        self.events.append(
            {
                "event_id": new_event_id(),
                "event_name": event_name,
                "event_time_ms": at,
                "consent": "granted",
                **who,
                **fields,
            }
        )
