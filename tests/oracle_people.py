"""The oracle's second part: who is behind an event (docs/attribution.md, section 3)."""

from collections import defaultdict
from collections.abc import Iterable

from schemas.events import AnyEvent, Identify
from tests.oracle_orders import Order, happened

SHARED_CUSTOMERS, SHARED_WITHIN_MS = 3, 30 * 86_400_000


class People:
    """Who is behind an event."""

    def __init__(self, events: Iterable[AnyEvent], orders: Iterable[Order]) -> None:
        identifies = [event for event in events if isinstance(event, Identify)]
        # visitor -> (time, customer, session) of each login
        self._logins: dict[str, list[tuple[int, str, str | None]]] = defaultdict(list)
        for event in identifies:
            if event.action == "login" and event.visitor_id is not None:
                customer = event.customer_id or self._by_email(event.email_sha256, identifies)
                self._logins[event.visitor_id].append((happened(event), customer, event.session_id))
        for order in orders:
            if order.is_unknown:
                continue
            if order.customer_id is not None and order.visitor_id is not None:
                self._logins[order.visitor_id].append(
                    (order.ordered_at, order.customer_id, order.session_id)
                )
        self._shared = {who for who, logins in self._logins.items() if self._is_shared(logins)}

    @staticmethod
    def _by_email(email: str | None, identifies: list[Identify]) -> str:
        known = [
            (happened(event), event.customer_id)
            for event in identifies
            if event.email_sha256 == email and event.customer_id is not None
        ]
        return min(known)[1] if known else f"e:{email}"

    def of(self, event: AnyEvent) -> str | None:
        """The person of an event."""
        return self.person(event.customer_id, event.visitor_id, event.session_id, happened(event))

    def person(
        self, customer_id: str | None, visitor_id: str | None, session_id: str | None, at: int
    ) -> str | None:
        """The customer when known, else the visitor, else nobody (None)."""
        if customer_id is not None or visitor_id is None:
            return customer_id
        logins = self._logins.get(visitor_id, [])
        if visitor_id in self._shared:
            logins = [one for one in logins if session_id is not None and one[2] == session_id]
        before = [(when, customer) for when, customer, _ in logins if when <= at]
        after = [(when, customer) for when, customer, _ in logins if when > at]
        if before:
            return max(before)[1]
        if after:
            soonest = min(when for when, _ in after)
            return max(customer for when, customer in after if when == soonest)
        return f"v:{visitor_id}"

    @staticmethod
    def _is_shared(logins: list[tuple[int, str, str | None]]) -> bool:
        return any(
            len({who for when, who, _ in logins if 0 <= when - start <= SHARED_WITHIN_MS})
            > SHARED_CUSTOMERS
            for start, _, _ in logins
        )

    def buyer(self, order: Order) -> str | None:
        """The person of an order."""
        return self.person(order.customer_id, order.visitor_id, order.session_id, order.ordered_at)
