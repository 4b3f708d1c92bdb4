"""The naive oracle: docs/attribution.md read aloud, one event at a time.

It shares no code with the pipelines and is slow on purpose: loops and dicts over checked
event structs. Whatever the pipelines do, their tables must equal `truth`.
"""

import datetime
import math
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.events import AnyEvent, PinVisit
from schemas.settings import Site
from tests.oracle_acts import acts_of
from tests.oracle_orders import Line, Order, happened, once, split, take_orders
from tests.oracle_people import People
from tests.oracle_spheres import (
    Node,
    Touched,
    Visit,
    measure_cascades,
    measure_pin,
    measure_spheres,
    plant,
)
from tests.oracle_stages import Act, stages_truth

Row = dict[str, Any]
MAX_TOUCHES = 200
MODELS = ("first", "last", "linear", "position", "time_decay")
TABLES = (
    "pins",
    "visits",
    "orders",
    "order_lines",
    "order_credits",
    "sales_daily",
    "pinner_spheres",
    "sphere_edges",
    "cascades",
    "pinner_stages",
    "stage_transitions",
    "acts",
)
SALES_SUMS = (
    "orders",
    "credited_orders",
    "gross_micros",
    "refunded_micros",
    "net_micros",
    "credited_micros",
    "unattributed_micros",
)
CRAWLERS = ("bot", "pinterestbot")
DAY_MS = 86_400_000


def truth(events: Sequence[AnyEvent], sites: Mapping[str, Site]) -> dict[str, list[Row]]:
    """All tables and acts, `site_id` first in each row; events of unknown sites count nowhere."""
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    for site_id, site in sites.items():
        own = [event for event in events if event.site_id == site_id]
        for name, rows in _site_truth(own, site).items():
            tables[name] += [{"site_id": site_id, **row} for row in rows]
    return tables


def _site_truth(events: list[AnyEvent], site: Site) -> dict[str, list[Row]]:
    counted = once(events)
    human = [event for event in counted if event.user_agent_class not in CRAWLERS]
    crawled = {
        event.pin_id
        for event in counted
        if isinstance(event, PinVisit) and event.user_agent_class == "pinterestbot"
    }
    orders = take_orders(human, site)
    people = People(human, orders)
    pins = plant(human, people)
    visits = [
        Visit(event.event_id, event.pin_id, people.of(event), happened(event), event.match_method)
        for event in human
        if isinstance(event, PinVisit)
    ]
    buyers = {order.order_id: people.buyer(order) for order in orders}
    touches = {
        order.order_id: touches_of(order, buyers[order.order_id], pins, visits, site)
        for order in orders
    }
    credits = [
        row
        for order in orders
        for row in credit(order, buyers[order.order_id], touches[order.order_id], pins, site)
    ]
    pin_rows = [measure_pin(node, visits, crawled) for node in pins.values()]
    bought = [(buyers[one.order_id], one.net, touches[one.order_id]) for one in orders]
    spheres, edges = measure_spheres(pins, visits, bought, pin_rows, credits, site.sphere_decay)
    acts = acts_of(human, people, pins, visits, orders, credits)
    stages, transitions = stages_truth([Act.of(row) for row in acts], site)
    return {
        "pins": pin_rows,
        "visits": [_visit_row(visit, pins) for visit in visits],
        "orders": [_order_row(order, buyers[order.order_id]) for order in orders],
        "order_lines": [
            _line_row(order, line, is_credited=bool(touches[order.order_id]))
            for order in orders
            for line in order.lines
        ],
        "order_credits": credits,
        "sales_daily": _sales_rows(orders, touches, site),
        "pinner_spheres": spheres,
        "sphere_edges": edges,
        "cascades": measure_cascades(pins, visits, credits),
        "pinner_stages": stages,
        "stage_transitions": transitions,
        "acts": acts,
    }


# Credit: section 5 ------------------------------------------------------------------------


def touches_of(
    order: Order,
    buyer: str | None,
    pins: Mapping[str, Node],
    visits: Iterable[Visit],
    site: Site,
) -> list[Touched]:
    """The buyer's landings on known pins and her own pins inside the window, in order."""
    if buyer is None or order.is_unknown:
        return []
    hers = [
        Touched(visit.visited_at, visit.event_id, visit.pin_id)
        for visit in visits
        if visit.person_id == buyer and visit.pin_id is not None and visit.pin_id in pins
    ]
    hers += [
        Touched(node.pinned_at, node.event_id, node.pin_id)
        for node in pins.values()
        if node.person_id == buyer
    ]
    within = (one for one in hers if 0 <= order.ordered_at - one.at <= site.window_ms)
    return sorted(within)[-MAX_TOUCHES:]


def share_touches(
    model: str, touches: Sequence[Touched], ordered_at: int, half_life_ms: float
) -> list[float]:
    """Layer 1: each touch's share of the order."""
    n = len(touches)
    if model == "first":
        return [1.0] + [0.0] * (n - 1)
    if model == "last":
        return [0.0] * (n - 1) + [1.0]
    if model == "linear":
        kept = [i == n - 1 or touches[i].pin_id != touches[i + 1].pin_id for i in range(n)]
        return [1 / sum(kept) if keep else 0.0 for keep in kept]
    if model == "position":
        if n <= 2:
            return [1 / n] * n
        return [0.4] + [0.2 / (n - 2)] * (n - 2) + [0.4]
    decayed = [2.0 ** (-(ordered_at - touch.at) / half_life_ms) for touch in touches]
    return [one / math.fsum(decayed) for one in decayed]


def share_chain(chain: Sequence[Node], necessity: float) -> list[float]:
    """Layer 2: each pin's share of a touch, from the touched pin up to the root."""
    players = [node.person_id or ("pin", node.pin_id) for node in chain]
    known = list(dict.fromkeys(players))
    h = len(known) - 1
    shares = {}
    for d, player in enumerate(known):
        share = sum(necessity**k * (1 - necessity) / (k + 1) for k in range(d, h))
        shares[player] = share + necessity**h / (h + 1)
    return [shares[player] / players.count(player) for player in players]


def credit(
    order: Order,
    buyer: str | None,
    touches: Sequence[Touched],
    pins: Mapping[str, Node],
    site: Site,
) -> list[Row]:
    """Every model's rows of one order: they add up to its net; none without touches."""
    rows: list[Row] = []
    for model in MODELS if touches else ():
        pairs: list[tuple[Touched, int, Node]] = []
        weights = []
        shares = share_touches(model, touches, order.ordered_at, site.half_life_days * DAY_MS)
        for touch, of_order in zip(touches, shares, strict=True):
            chain = [pins[pin_id] for pin_id in pins[touch.pin_id].chain]
            for distance, of_touch in enumerate(share_chain(chain, site.necessity)):
                if of_order * of_touch > 0:
                    pairs.append((touch, distance, chain[distance]))
                    weights.append(of_order * of_touch)
        for line in order.lines:
            net, gross = split(line.net, weights), split(line.gross, weights)
            for (landed, edges, node), earned, before in zip(pairs, net, gross, strict=True):
                if earned == before == 0:
                    continue
                rows.append(
                    {
                        "model": model,
                        "order_id": order.order_id,
                        "line_id": line.line_id,
                        "touch_id": landed.event_id,
                        "pin_id": node.pin_id,
                        "pinner_id": node.person_id,
                        "distance": edges,
                        "credit_micros": earned,
                        "refunded_micros": before - earned,
                        "currency": order.currency,
                        "is_self": node.person_id == buyer,
                        "is_same_item": node.item_id == line.item_id,
                        "touched_at": landed.at,
                    }
                )
    return rows


def _visit_row(visit: Visit, pins: Mapping[str, Node]) -> Row:
    return {
        "event_id": visit.event_id,
        "pin_id": visit.pin_id,
        "person_id": visit.person_id,
        "visited_at": visit.visited_at,
        "match_method": visit.match_method,
        "is_known_pin": visit.pin_id in pins,
    }


def _order_row(order: Order, buyer: str | None) -> Row:
    return {
        "order_id": order.order_id,
        "person_id": buyer,
        "ordered_at": order.ordered_at,
        "currency": order.currency,
        "gross_micros": sum(line.gross for line in order.lines),
        "refunded_micros": sum(line.refunded for line in order.lines),
        "net_micros": order.net,
    }


def _line_row(order: Order, line: Line, *, is_credited: bool) -> Row:
    return {
        "order_id": order.order_id,
        "line_id": line.line_id,
        "item_id": line.item_id,
        "quantity": line.quantity,
        "gross_micros": line.gross,
        "refunded_micros": line.refunded,
        "net_micros": line.net,
        "is_credited": is_credited,
    }


def _sales_rows(
    orders: Iterable[Order], touches: Mapping[str, Sequence[Touched]], site: Site
) -> list[Row]:
    """Every model's sales by the shop's own day of the order."""
    days: dict[str, Row] = {}
    zone = zoneinfo.ZoneInfo(site.time_zone)
    for order in orders:
        when = datetime.datetime.fromtimestamp(order.ordered_at / 1000, zone)
        row = days.setdefault(when.date().isoformat(), dict.fromkeys(SALES_SUMS, 0))
        has_touch = bool(touches[order.order_id])
        row["orders"] += 1
        row["credited_orders"] += has_touch
        row["gross_micros"] += sum(line.gross for line in order.lines)
        row["refunded_micros"] += sum(line.refunded for line in order.lines)
        row["net_micros"] += order.net
        row["credited_micros" if has_touch else "unattributed_micros"] += order.net
    return [{"day": day, "model": model, **row} for day, row in days.items() for model in MODELS]
