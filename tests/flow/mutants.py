"""Flows that break one rule of docs/attribution.md each: controls for the tests of arrivals.

A mutant gets the rule wrong by what it makes of the events before it hands them to the steps,
so it stays the same mistake however the steps are written.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from schemas.events import AnyEvent, Identify, Pin, Purchase, Refund, RefundItem
from schemas.settings import Site
from tests.flow.arriving import Flow, Runs
from tests.flow.truth import Rows, run_steps
from tests.oracle_orders import happened

DAY_MS = 86_400_000
Mistake = Callable[[list[AnyEvent]], list[AnyEvent]]


def _of_each(change: Callable[[Any], Any], *kinds: type[Any]) -> Mistake:
    """The mistake of changing each event of these kinds; None loses it."""

    def mistake(events: list[AnyEvent]) -> list[AnyEvent]:
        changed = [change(event) if isinstance(event, kinds) else event for event in events]
        return [event for event in changed if event is not None]

    return mistake


def _flow(mistake: Mistake) -> Flow:
    def flow(runs: Runs, sites: Mapping[str, Site]) -> Rows:
        return run_steps(mistake([event for run in runs for event in run]), sites)

    return flow


def _of_sites(**wrong: Any) -> Flow:
    """A flow under other settings than its sites'."""

    def flow(runs: Runs, sites: Mapping[str, Site]) -> Rows:
        events = [event for run in runs for event in run]
        return run_steps(events, {name: replace(site, **wrong) for name, site in sites.items()})

    return flow


# Arrival -----------------------------------------------------------------------------------


def _by_place(events: list[AnyEvent]) -> list[AnyEvent]:
    """Takes the order of rows in the lake for the order of receipt."""
    return [
        replace(event, event_time_ms=happened(event), sent_time_ms=None, received_time_ms=place)
        for place, event in enumerate(events)
    ]


def _counts_repeats(events: list[AnyEvent]) -> list[AnyEvent]:
    """Counts every delivery of an event."""
    told: dict[tuple[str, str], int] = defaultdict(int)
    counted = []
    for event in events:
        told[event.site_id, event.event_id] += 1
        copy = told[event.site_id, event.event_id]
        counted.append(event if copy == 1 else replace(event, event_id=f"{event.event_id}+{copy}"))
    return counted


def _believes_the_last(events: list[AnyEvent]) -> list[AnyEvent]:
    """Lets a repeat replace what was received first."""
    last: dict[tuple[str, str], AnyEvent] = {}
    for event in sorted(events, key=lambda event: event.received_time_ms or 0):
        last[event.site_id, event.event_id] = event
    return list(last.values())


def _run_by_run(runs: Runs, sites: Mapping[str, Site]) -> Rows:
    """Computes each run for itself and puts the rows one below the other."""
    results = [run_steps(list(run), sites) for run in runs]
    return {name: [row for rows in results for row in rows[name]] for name in results[0]}


def _drops_late(event: Any) -> Any:
    """Has a watermark: what comes a month late is too late."""
    received = event.received_time_ms
    return None if received and received - happened(event) > 30 * DAY_MS else event


# Orders ------------------------------------------------------------------------------------


def _statements(events: Iterable[AnyEvent]) -> dict[tuple[str, str], list[Purchase]]:
    """What was said about each order, in the order of receipt."""
    said = defaultdict(list)
    for event in sorted(events, key=lambda event: event.received_time_ms or 0):
        if isinstance(event, Purchase):
            said[event.site_id, event.order_id].append(event)
    return said


def _keeps_the_first_word(events: list[AnyEvent]) -> list[AnyEvent]:
    """Never corrects an order."""
    first = {id(said[0]) for said in _statements(events).values()}
    return [event for event in events if not isinstance(event, Purchase) or id(event) in first]


def _wants_the_order_first(events: list[AnyEvent]) -> list[AnyEvent]:
    """Drops a refund that finds no order yet."""
    said = _statements(events)

    def is_known(event: AnyEvent) -> bool:
        if not isinstance(event, Refund):
            return True
        orders = said[event.site_id, event.order_id]
        received = event.received_time_ms or 0
        return bool(orders) and (orders[0].received_time_ms or 0) <= received

    return [event for event in events if is_known(event)]


def _refunds_twice(events: list[AnyEvent]) -> list[AnyEvent]:
    """Adds each refund a second time."""
    again = [
        replace(event, event_id=f"{event.event_id}+", refund_id=f"{event.refund_id}+")
        for event in events
        if isinstance(event, Refund)
    ]
    return events + again


def _stops_at_the_total(event: Refund) -> Refund:
    """Gives back no more than a little."""
    return event if event.amount is None else replace(event, amount="1")


def _adds_cancellations_up(events: list[AnyEvent]) -> list[AnyEvent]:
    """Takes every line back once more, whatever was given back of it before."""
    said = _statements(events)

    def in_full(event: AnyEvent) -> AnyEvent:
        orders = isinstance(event, Refund) and said[event.site_id, event.order_id]
        if not isinstance(event, Refund) or event.items or event.amount is not None or not orders:
            return event
        return replace(
            event,
            items=[
                RefundItem(line_id=item.line_id, quantity=item.quantity)
                for item in orders[-1].items
            ],
        )

    return [in_full(event) for event in events]


def _adds_versions_of_refunds(event: Refund) -> Refund:
    """Takes each telling of a refund for a refund of its own."""
    return replace(event, refund_id=event.event_id)


def _came_sooner(event: Purchase) -> Purchase:
    """Takes a claim for a millisecond older than it is."""
    if event.is_signed or event.received_time_ms is None:
        return event
    sooner, received = event.event_time_ms - 1, event.received_time_ms - 1
    return replace(event, event_time_ms=sooner, received_time_ms=received)


def _is_all_one_way(event: Any) -> Any:
    return replace(event, source="server") if event.is_signed else event


# People ------------------------------------------------------------------------------------


def _ignores_time(events: list[AnyEvent]) -> list[AnyEvent]:
    """Gives all that a visitor ever did to whoever logged in last: no as-of."""
    last: dict[tuple[str, str], Identify] = {}
    for event in sorted(events, key=happened):
        if isinstance(event, Identify) and event.action == "login" and event.visitor_id:
            last[event.site_id, event.visitor_id] = event
    kept = {id(event) for event in last.values()}
    return [
        event
        for event in events
        if not isinstance(event, Identify) or event.action == "logout" or id(event) in kept
    ]


def _forgets_the_past(events: list[AnyEvent]) -> list[AnyEvent]:
    """Gives nothing that was done before a login to who logged in."""
    visitors = {(event.site_id, event.visitor_id) for event in events if event.visitor_id}
    return events + [
        Identify(
            event_id=f"past of {visitor}", site_id=site, event_time_ms=0, received_time_ms=0,
            visitor_id=visitor, customer_id=f"v:{visitor}",
        )
        for site, visitor in sorted(visitors)
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A flow with one mistake, and the hazard whose test must see it; None for the mix."""

    name: str
    hazard: str | None
    flow: Flow


MUTANTS = [
    Mutant(name, hazard, flow)
    for hazard, flows in {
        None: {
            "the order of rows is the order of receipt": _flow(_by_place),
            "repeats count": _flow(_counts_repeats),
            "runs are computed one by one and added": _run_by_run,
        },
        "repeats differ": {
            "the last of repeats counts": _flow(_believes_the_last),
        },
        "events come months late": {
            "a watermark drops what is late": _flow(_of_each(_drops_late, object)),
            "events happen when they are received": _flow(
                _of_each(lambda event: replace(event, event_time_ms=event.received_time_ms), Pin)
            ),
        },
        "clocks are wrong": {
            "a sender's clock is believed": _flow(
                _of_each(lambda event: replace(event, sent_time_ms=None), object)
            ),
            "the window is a millisecond short": _of_sites(window_days=30 - 1 / DAY_MS),
            "the window is a millisecond long": _of_sites(window_days=30 + 1 / DAY_MS),
        },
        "identities merge late": {
            "the last login owns everything": _flow(_ignores_time),
            "what was before a login is not hers": _flow(_forgets_the_past),
            "no login is read": _flow(_of_each(lambda _: None, Identify)),
            "e-mail ties are not read": _flow(
                _of_each(lambda event: event if event.visitor_id else None, Identify)
            ),
        },
        "refunds come before orders": {
            "a refund needs an order that is there": _flow(_wants_the_order_first),
        },
        "refunds go beyond the total": {
            "refunds count twice": _flow(_refunds_twice),
            "refunds stop at the total": _flow(_of_each(_stops_at_the_total, Refund)),
        },
        "cancellations meet refunds": {
            "a cancellation takes back what was given back": _flow(_adds_cancellations_up),
            "every telling of a refund is one": _flow(_of_each(_adds_versions_of_refunds, Refund)),
            "a cancellation stands for ever": _flow(
                _of_each(lambda event: replace(event, updated_time_ms=None), Refund)
            ),
        },
        "currencies change": {
            "an order's currency is not looked at": _flow(
                _of_each(lambda event: replace(event, currency="GBP"), Purchase)
            ),
            "a refund's currency is not looked at": _flow(
                _of_each(lambda event: replace(event, currency=None), Refund)
            ),
        },
        "statements come by several ways": {
            "all ways are one": _flow(_of_each(_is_all_one_way, Purchase, Refund)),
            "a browser's word is as good": _flow(
                _of_each(lambda event: replace(event, is_signed=True), Purchase)
            ),
        },
        "browsers lend their visitors": {
            "a browser names no visitor": _flow(
                _of_each(
                    lambda event: event if event.is_signed else replace(event, visitor_id=None),
                    Purchase,
                )
            ),
            "the hour of a loan is a millisecond off": _flow(_of_each(_came_sooner, Purchase)),
        },
        "statements are corrected": {
            "the first word stands": _flow(_keeps_the_first_word),
            "the shop's word on what is newer is not heard": _flow(
                _of_each(lambda event: replace(event, updated_time_ms=None), Purchase)
            ),
        },
        "lines are deleted": {
            "a webhook's lines add up": _flow(_of_each(_is_all_one_way, Purchase)),
        },
    }.items()
    for name, flow in flows.items()
]
