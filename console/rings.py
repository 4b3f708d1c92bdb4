"""A sphere of influence as rings: the pinner in the middle, everybody she reached around her.

Ring = hop. Angle = share of leaves: each person's wedge is shared out among those to whom she
passed it on. Area = revenue, not below a smallest mark. A ring is as broad as it must be for its
marks not to touch: they stand in rows, so seven thousand of them fill a disc instead of a line.
The unit of length is the radius of the smallest mark; the picture is scaled as a whole.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from console import svg
from console.branches import leaf_spans
from schemas.money import format_money

LARGEST = 5.0
"""Radius of the largest mark: 25 times the area of the smallest."""
_CLEARANCE = 0.3
_GAP = 3.0  # between rings, at least
_ROOM = 36.0  # that the rings of a small sphere share
_AREA = 3.0  # of a mark on average, in smallest marks: where all buy, none crowds out others
_OUTLINES = 24


class Person(NamedTuple):
    """Somebody in a sphere."""

    person_id: str
    hop: int
    passer_id: str | None
    """From whose pin she came at her hop; null where nobody known stands between."""
    influenced_micros: int


class Mark(NamedTuple):
    """A person's place in the picture."""

    person: Person
    parent: int
    """The mark of who passed it on; -1 for the pinner herself."""
    angle: float
    """Clockwise from the top."""
    distance: float
    radius: float
    wedge: tuple[float, float]
    """Her share of the circle, within her parent's."""

    @property
    def at(self) -> tuple[float, float]:
        """Where it is, from the middle; y grows downwards."""
        return self.distance * math.sin(self.angle), -self.distance * math.cos(self.angle)


class Ring(NamedTuple):
    """The people of one hop."""

    hop: int
    people: int
    inner: float
    outer: float


class Rings(NamedTuple):
    """A sphere's picture in numbers."""

    marks: list[Mark]
    rings: list[Ring]
    extent: float
    """Nothing is further from the middle."""


def lay_out(people: Iterable[Person]) -> Rings:
    """Gives every person her place. The order in which they come makes no difference."""
    known = sorted(people, key=lambda person: (person.hop, person.person_id))
    parents = _parents(known)
    spans = leaf_spans(parents)
    leaves = sum(span.leaves for span, above in zip(spans, parents, strict=True) if above < 0)
    turn = math.tau / max(1, leaves)
    angles = [span.middle * turn for span in spans]
    radii = _radii([person.influenced_micros for person in known])
    by_hop: dict[int, list[int]] = defaultdict(list)
    for place, person in enumerate(known):
        by_hop[person.hop].append(place)
    gap = max(_GAP, _ROOM / max(1, len(by_hop)))
    distance = [0.0] * len(known)
    rings: list[Ring] = []
    edge = LARGEST
    for hop, places in by_hop.items():
        inner = edge + gap
        edge = _stand_in_rows(places, angles, radii, inner, distance)
        rings.append(Ring(hop, len(places), inner, edge))
    marks = [
        Mark(
            person,
            parents[place],
            angles[place],
            distance[place],
            radii[place],
            (spans[place].start * turn, (spans[place].start + spans[place].leaves) * turn),
        )
        for place, person in enumerate(known)
    ]
    return Rings(marks, rings, edge + gap)


def _parents(known: Sequence[Person]) -> list[int]:
    """The place of each person's parent; nobody is further out than whom she passes it on to."""
    place_of = {person.person_id: place for place, person in enumerate(known)}
    parents = []
    for person in known:
        above = -1 if person.passer_id is None else place_of.get(person.passer_id, -1)
        parents.append(above if above >= 0 and known[above].hop < person.hop else -1)
    return parents


def _radii(micros: Sequence[int]) -> list[float]:
    """Area in proportion to revenue, not below the smallest mark."""
    most, total = max(micros, default=0), sum(amount for amount in micros if amount > 0)
    if most <= 0:
        return [1.0] * len(micros)
    scale = min(LARGEST**2 / most, _AREA * len(micros) / total)
    return [math.sqrt(max(1.0, scale * amount)) for amount in micros]


def _stand_in_rows(
    places: Sequence[int],
    angles: Sequence[float],
    radii: Sequence[float],
    inner: float,
    distance: list[float],
) -> float:
    """Places marks at their angles, in rows from the inner edge on; gives the outer edge.

    Marks of about one size share rows, the larger ones further out where there is more room. A
    mark goes into the first row where its neighbours, seen from the middle, leave it free.
    """
    sizes: dict[int, list[int]] = defaultdict(list)
    for place in places:
        sizes[math.ceil(radii[place])].append(place)
    edge = inner
    for size in sorted(sizes):
        tallest = max(radii[place] for place in sizes[size])
        rows: list[_Row] = []
        for place in sorted(sizes[size], key=angles.__getitem__):
            row = next((row for row in rows if row.takes(angles[place], radii[place])), None)
            if row is None:
                row = _Row(edge + tallest)
                row.takes(angles[place], radii[place])
                rows.append(row)
                edge += 2 * tallest + _CLEARANCE
            distance[place] = row.distance
    return edge - _CLEARANCE


class _Row:
    """Marks at one distance from the middle, taken in the order of their angles."""

    def __init__(self, distance: float) -> None:
        self.distance = distance
        self._full_from = math.inf
        self._free_from = -math.inf

    def takes(self, angle: float, radius: float) -> bool:
        """Takes the mark if it hides none, nor the first one where the circle closes."""
        half = math.asin(min(1.0, (radius + _CLEARANCE / 2) / self.distance))
        if angle - half < self._free_from or angle + half > self._full_from:
            return False
        if self._free_from == -math.inf:
            self._full_from = angle - half + math.tau
        self._free_from = angle + half
        return True


def draw(rings: Rings, pinner_id: str, currency: str) -> str:
    """The picture as SVG: a `<circle>` with a `<title>` for each person in `.marks`.

    Colours are the style sheet's: `.passed` marks are of people who passed it on, `.bought` of
    those with revenue.
    """
    passed = {mark.parent for mark in rings.marks}
    groups: dict[str, list[str]] = {"seen": [], "passed": [], "bought": [], "passed bought": []}
    for place, mark in enumerate(rings.marks):
        kinds = [
            kind
            for kind, holds in (
                ("passed", place in passed),
                ("bought", mark.person.influenced_micros > 0),
            )
            if holds
        ]
        groups[" ".join(kinds) or "seen"].append(_circle(mark, currency))
    marks = "".join(f'<g class="{kind}">{"".join(each)}</g>' for kind, each in groups.items())
    circles, numbers = _outlines(rings)
    size = rings.extent
    parts = (
        *circles,
        f'<path class="fans" d="{"".join(_fans(rings))}"/>',
        *numbers,
        f'<g class="marks">{marks}</g>',
        svg.mark(0, 0, LARGEST - 1, pinner_id, "pinner"),
    )
    return svg.picture("rings", (-size, -size, 2 * size, 2 * size), parts)


def describe(rings: Rings, pinner_id: str) -> str:
    """The picture in words, for who does not see it."""
    if not rings.rings:
        return f"{pinner_id} reached nobody."
    hops = ", ".join(f"hop {ring.hop}: {ring.people:,}" for ring in rings.rings[:_OUTLINES])
    more = len(rings.rings) - _OUTLINES
    rest = f" and {more:,} more hops" if more > 0 else ""
    return f"{pinner_id} and {len(rings.marks):,} people in rings around her: {hops}{rest}."


def _circle(mark: Mark, currency: str) -> str:
    person = mark.person
    money = f"{format_money(person.influenced_micros)} {currency}"
    return svg.mark(*mark.at, mark.radius, f"{person.person_id}, hop {person.hop}, {money}")


def _fans(rings: Rings) -> Iterator[str]:
    """From everybody who passed it on, her wedge as far as those she passed it on to.

    One shape each: a line to each of thousands would hide the marks it passes.
    """
    inner = {ring.hop: ring.inner for ring in rings.rings}
    reach: dict[int, float] = {}
    for mark in rings.marks:
        if mark.parent >= 0:
            far = inner[mark.person.hop]
            reach[mark.parent] = max(far, reach.get(mark.parent, 0.0))
    for place, far in reach.items():
        mark = rings.marks[place]
        low, high = mark.wedge
        # Two arcs, since one cannot lead around the whole circle.
        start, middle, end = (_point(turn, far) for turn in (low, (low + high) / 2, high))
        arc = f"A{svg.number(far)} {svg.number(far)} 0 0 1 "
        yield f"M{_point(mark.angle, mark.distance)}L{start}{arc}{middle}{arc}{end}Z"


def _point(angle: float, distance: float) -> str:
    x, y = distance * math.sin(angle), -distance * math.cos(angle)
    return f"{svg.number(x)} {svg.number(y)}"


def _outlines(rings: Rings) -> tuple[list[str], list[str]]:
    """A circle around each hop, and its number for the top of it; of very many hops some."""
    every = math.ceil(len(rings.rings) / _OUTLINES) or 1
    letters = svg.number(rings.extent / 24)
    radii = {ring.hop: ring.outer + 1.2 for ring in rings.rings[every - 1 :: every]}
    circles = [f'<circle class="ring" r="{svg.number(radius)}"/>' for radius in radii.values()]
    numbers = [
        f'<text class="hop" y="{svg.number(-radius)}" font-size="{letters}"'
        f' text-anchor="middle">{hop}</text>'
        for hop, radius in radii.items()
    ]
    return circles, numbers
