"""The oracle's third part: the forest of pins and what each pinner and cascade reached.

The tree of section 5 and all of section 6 of docs/attribution.md, pin by pin.
"""

import itertools
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.events import AnyEvent, Pin
from schemas.ids import MAX_HOP
from tests.oracle_orders import happened
from tests.oracle_people import People

HOUR_MS = 3_600_000
Row = dict[str, Any]


class Touched(NamedTuple):
    """One touch of an order; sorts by time, then event id."""

    at: int
    event_id: str
    pin_id: str


class Visit(NamedTuple):
    """One human `pin_visit`, on a known pin or not."""

    event_id: str
    pin_id: str | None
    person_id: str | None
    visited_at: int
    match_method: str


class Landing(NamedTuple):
    """Somebody came to a known pin: by a visit, or by pinning on from it."""

    pin_id: str
    person_id: str | None
    at: int


@dataclass
class Node:
    """One pin in the resulting tree; `chain` runs from the pin itself up to its root."""

    pin_id: str
    event_id: str
    person_id: str | None
    pinned_at: int
    item_id: str | None
    item_list_id: str | None
    recommender_id: str | None
    claimed_parent_id: str | None
    claimed_root_id: str
    parent_id: str | None = None
    chain: list[str] = field(default_factory=list)


def plant(events: Iterable[AnyEvent], people: People) -> dict[str, Node]:
    """The forest: one node per pin id, each with its chain."""
    pins = [event for event in events if isinstance(event, Pin)]
    nodes: dict[str, Node] = {}
    for pin in sorted(
        pins, key=lambda one: (not one.is_signed, one.received_time_ms or 0, one.event_id)
    ):
        if pin.pin_id not in nodes:
            nodes[pin.pin_id] = Node(
                pin.pin_id,
                pin.event_id,
                people.of(pin),
                happened(pin),
                pin.item_id,
                pin.item_list_id,
                pin.recommender_id,
                pin.parent_pin_id,
                pin.root_pin_id or pin.parent_pin_id or pin.pin_id,
            )
    for node in nodes.values():
        parent = nodes.get(node.claimed_parent_id or "")
        if parent is not None and parent.claimed_root_id == node.claimed_root_id:
            node.parent_id = parent.pin_id
    for node in [node for node in nodes.values() if _is_on_cycle(node, nodes)]:
        node.parent_id = None
    children = defaultdict(list)
    for node in nodes.values():
        if node.parent_id is not None:
            children[node.parent_id].append(node)
    growing = [node for node in nodes.values() if node.parent_id is None]
    for root in growing:
        root.chain = [root.pin_id]
    while growing:
        parent = growing.pop()
        for child in children[parent.pin_id]:
            if len(parent.chain) > MAX_HOP:
                child.parent_id = None
                child.chain = [child.pin_id]
            else:
                child.chain = [child.pin_id, *parent.chain]
            growing.append(child)
    return nodes


def _is_on_cycle(node: Node, nodes: Mapping[str, Node]) -> bool:
    seen: set[str] = set()
    above = node.parent_id
    while above is not None and above not in seen:
        if above == node.pin_id:
            return True
        seen.add(above)
        above = nodes[above].parent_id
    return False


def measure_pin(node: Node, visits: Iterable[Visit], crawled: Iterable[str | None]) -> Row:
    """The pin's row: who came, and whether its save is confirmed."""
    others = [
        visit.person_id
        for visit in visits
        if visit.pin_id == node.pin_id
        and (visit.person_id is None or visit.person_id != node.person_id)
    ]
    return {
        "pin_id": node.pin_id,
        "person_id": node.person_id,
        "item_id": node.item_id,
        "item_list_id": node.item_list_id,
        "recommender_id": node.recommender_id,
        "pinned_at": node.pinned_at,
        "parent_pin_id": node.parent_id,
        "root_pin_id": node.chain[-1],
        "hop": len(node.chain) - 1,
        "is_parent_missing": node.claimed_parent_id is not None and node.parent_id is None,
        "is_confirmed": bool(others) or node.pin_id in crawled,
        "visits": len(others),
        "visitors": len(set(others) - {None}),
    }


def landings_of(pins: Mapping[str, Node], visits: Iterable[Visit]) -> list[Landing]:
    """All visits on known pins, and the landings that only a re-pin tells of."""
    landings = [
        Landing(visit.pin_id, visit.person_id, visit.visited_at)
        for visit in visits
        if visit.pin_id is not None and visit.pin_id in pins
    ]
    seen = {(landing.pin_id, landing.person_id) for landing in landings}
    for node in sorted(pins.values(), key=lambda node: node.pinned_at):
        if node.parent_id is None or node.person_id is None:
            continue
        if (node.parent_id, node.person_id) not in seen:
            seen.add((node.parent_id, node.person_id))
            landings.append(Landing(node.parent_id, node.person_id, node.pinned_at))
    return landings


def measure_spheres(
    pins: Mapping[str, Node],
    visits: Sequence[Visit],
    bought: Iterable[tuple[str | None, int, Sequence[Touched]]],
    pin_rows: Iterable[Row],
    credits: Iterable[Row],
    decay: float,
) -> tuple[list[Row], list[Row]]:
    """One row per pinner, and one per pinner and person reached."""
    # pinner -> (person reached, hop, landed at, hours since the pinner's nearest pin)
    reached: dict[str, list[tuple[str | None, int, int, float]]] = defaultdict(list)
    for landing in landings_of(pins, visits):
        met: set[str | None] = {None, landing.person_id}
        for edges, pin_id in enumerate(pins[landing.pin_id].chain):
            pinner = pins[pin_id].person_id
            if pinner is not None and pinner not in met:
                met.add(pinner)  # the first pin of hers on the way up is the nearest
                hours = max(0, landing.at - pins[pin_id].pinned_at) / HOUR_MS
                reached[pinner].append((landing.person_id, 1 + edges, landing.at, hours))
    pins_below: Counter[tuple[str, str]] = Counter()
    for node in pins.values():
        for pinner in {pins[pin_id].person_id for pin_id in node.chain[1:]}:
            if pinner is not None and node.person_id is not None:
                pins_below[pinner, node.person_id] += 1
    influenced: Counter[tuple[str, str]] = Counter()
    for buyer, net, touches in bought:
        chains = [pin_id for touch in touches for pin_id in pins[touch.pin_id].chain]
        for pinner in {pins[pin_id].person_id for pin_id in chains} - {None, buyer}:
            influenced[str(pinner), str(buyer)] += net
    earned: Counter[str | None] = Counter()
    for row in credits:
        if row["model"] == "time_decay":
            earned[row["pinner_id"]] += row["credit_micros"]
    far = distances(pins)
    spheres, edges_rows = [], []
    for pinner in sorted({node.person_id for node in pins.values() if node.person_id}):
        landed = reached[pinner]
        persons = sorted({person for person, *_ in landed if person is not None})
        least = {v: min(hop for who, hop, _, _ in landed if who == v) for v in persons}
        people_at = Counter(least.values())
        waits = [min((at, hours) for who, _, at, hours in landed if who == v)[1] for v in persons]
        own = [row for row in pin_rows if row["person_id"] == pinner]
        firsts = {v: min(at for who, _, at, _ in landed if who == v) for v in persons}
        near = {v for v in persons if least[v] == 1}
        spheres.append(
            {
                "pinner_id": pinner,
                "pins": len(own),
                "confirmed_pins": sum(row["is_confirmed"] for row in own),
                "reach_hop_1": people_at[1],
                "reach_hop_2": people_at[2],
                "reach_hop_3_plus": sum(n for hop, n in people_at.items() if hop >= 3),
                "reach_total": len(persons),
                "repinners_hop_1": sum(pins_below[pinner, v] > 0 for v in near),
                "visits_hop_1": sum(hop == 1 for _, hop, _, _ in landed),
                "visits_hop_2": sum(hop == 2 for _, hop, _, _ in landed),
                "visits_hop_3_plus": sum(hop >= 3 for _, hop, _, _ in landed),
                "visits": len(landed),
                "decayed_reach": sum(decay ** (hop - 1) * n for hop, n in people_at.items()),
                "depth": max(people_at, default=0),
                "radius_90": min(
                    (
                        hop
                        for hop in people_at
                        if sum(hop_of <= hop for hop_of in least.values()) >= 0.9 * len(persons)
                    ),
                    default=0,
                ),
                "breadth": max(Counter(hop for _, hop, _, _ in landed).values(), default=0),
                "structural_virality": _mean(_pooled(pinner, pins, far)),
                "median_hours_to_reach": statistics.median(waits) if waits else None,
                "hours_to_90_percent": next(
                    (
                        hours
                        for place, hours in enumerate(sorted(waits), 1)
                        if 10 * place >= 9 * len(waits)
                    ),
                    None,
                ),
                "credited_micros": earned[pinner],
                "influenced_micros": sum(
                    micros for (who, _), micros in influenced.items() if who == pinner
                ),
                "influenced_hop_1_micros": sum(influenced[pinner, v] for v in near),
                "influenced_hop_2_plus_micros": sum(
                    influenced[pinner, v] for v in persons if v not in near
                ),
                "first_reached_at": min(firsts.values(), default=None),
                "last_reached_at": max(firsts.values(), default=None),
            }
        )
        edges_rows += [
            {
                "pinner_id": pinner,
                "person_id": person,
                "hop": least[person],
                "visits": sum(who == person for who, *_ in landed),
                "pins": pins_below[pinner, person],
                "influenced_micros": influenced[pinner, person],
                "first_reached_at": firsts[person],
            }
            for person in persons
        ]
    return spheres, edges_rows


def distances(pins: Mapping[str, Node]) -> dict[str, dict[str, int]]:
    """Edges between any two pins of one cascade, each pin measured through its parent."""
    far: dict[str, dict[str, int]] = {}
    for node in sorted(pins.values(), key=lambda node: len(node.chain)):
        above = far[node.parent_id] if node.parent_id is not None else {}
        far[node.pin_id] = {other: edges + 1 for other, edges in above.items()}
        for other, edges in far[node.pin_id].items():
            far[other][node.pin_id] = edges
        far[node.pin_id][node.pin_id] = 0
    return far


def _pooled(pinner: str, pins: Mapping[str, Node], far: Mapping[str, dict[str, int]]) -> list[int]:
    """Distances of all pairs inside the sub-trees of her pins that have none of hers above."""
    tops = [
        node.pin_id
        for node in pins.values()
        if node.person_id == pinner
        and all(pins[pin_id].person_id != pinner for pin_id in node.chain[1:])
    ]
    return [edges for top in tops for edges in _pairs(top, pins, far)]


def _pairs(top: str, pins: Mapping[str, Node], far: Mapping[str, dict[str, int]]) -> list[int]:
    below = [pin_id for pin_id in far[top] if top in pins[pin_id].chain]
    return [far[one][other] for one, other in itertools.combinations(below, 2)]


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def measure_cascades(
    pins: Mapping[str, Node], visits: Iterable[Visit], credits: Iterable[Row]
) -> list[Row]:
    """One row per tree."""
    far = distances(pins)
    rows = []
    for root in [node.pin_id for node in pins.values() if node.parent_id is None]:
        members = {pin_id: node for pin_id, node in pins.items() if node.chain[-1] == root}
        hops = Counter(len(node.chain) - 1 for node in members.values())
        landed = [
            visit.person_id
            for visit in visits
            if visit.pin_id in members
            and (visit.person_id is None or visit.person_id != members[visit.pin_id].person_id)
        ]
        rows.append(
            {
                "root_pin_id": root,
                "size": len(members),
                "depth": max(hops),
                "breadth": max(hops.values()),
                "structural_virality": _mean(_pairs(root, pins, far)),
                "pinners": len({node.person_id for node in members.values()} - {None}),
                "visits": len(landed),
                "visitors": len(set(landed) - {None}),
                "credited_micros": sum(
                    row["credit_micros"]
                    for row in credits
                    if row["model"] == "time_decay" and row["pin_id"] in members
                ),
            }
        )
    return rows
