"""A cascade as a tree: its pins from left to right by hop, each beside the one it was made from.

Thousands of pins stay readable because only the largest branches are drawn: what is left out of a
branch is one mark, "+ n more", so that drawn and left out are always all of the pins.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from console import svg
from console.branches import leaf_spans
from schemas.money import format_money

DRAWN = 120
"""Pins that are drawn at most."""
_ROW = 22.0  # between two leaves
_WIDTH = 900.0
_STEP = (16.0, 180.0)  # between two hops, at least and at most
_LABEL = 190.0  # to the right of the last hop
_LETTER = 6.2
_LARGEST, _SMALLEST = 9.0, 3.5


class Pin(NamedTuple):
    """A pin of a cascade."""

    pin_id: str
    parent_pin_id: str | None
    person_id: str | None
    item_id: str | None
    hop: int
    visits: int
    credited_micros: int | None
    """Null where single pins' credits are not at hand."""


class Node(NamedTuple):
    """A place in the picture: a pin's, or that of pins left out."""

    pin: Pin | None
    more: int
    """Pins left out here; 0 where a pin is."""
    parent: int
    """The node on the left that it belongs to; -1 for none."""
    hop: int
    row: float


class Tree(NamedTuple):
    """A cascade's picture in numbers."""

    nodes: list[Node]
    rows: int
    hops: int


def lay_out(pins: Iterable[Pin], asked: str | None = None, limit: int = DRAWN) -> Tree:
    """Gives the pins of one cascade their places. The order in which they come is free.

    Args:
      pins: the cascade's.
      asked: a pin to draw before all others, and its chain up to the root.
      limit: how many are drawn: those with most pins and landings at or below them.
    """
    known = sorted(pins, key=lambda pin: (pin.hop, pin.pin_id))
    place_of = {pin.pin_id: place for place, pin in enumerate(known)}
    parents = [place_of.get(pin.parent_pin_id or "", -1) for pin in known]
    weights = [1 + pin.visits for pin in known]
    if asked in place_of:
        weights[place_of[asked]] += sum(weights)
    for place in reversed(range(len(known))):
        if parents[place] >= 0:
            weights[parents[place]] += weights[place]
    # No branch is as heavy as the one it belongs to: whoever is drawn, her parent is.
    drawn = sorted(range(len(known)), key=lambda place: (-weights[place], place))[:limit]
    drawn.sort(key=lambda place: (known[place].hop, -weights[place], place))
    node_of = {place: node for node, place in enumerate(drawn)}
    left_out = _left_out(parents, node_of)
    above = [node_of.get(parents[place], -1) for place in drawn] + list(left_out)
    spans = leaf_spans(above)
    hops = [known[place].hop for place in drawn]
    hops += [hops[node] + 1 if node >= 0 else 0 for node in left_out]
    shown: list[tuple[Pin | None, int]] = [(known[place], 0) for place in drawn]
    shown += [(None, count) for count in left_out.values()]
    nodes = [
        Node(pin, more, above[node], hops[node], spans[node].middle)
        for node, (pin, more) in enumerate(shown)
    ]
    rows = sum(span.leaves for span, over in zip(spans, above, strict=True) if over < 0)
    return Tree(nodes, rows, max(hops, default=0))


def _left_out(parents: Sequence[int], node_of: dict[int, int]) -> Counter[int]:
    """How many pins are left out below each node that is drawn."""
    shown_above: list[int] = []
    for place, parent in enumerate(parents):
        if place in node_of:
            shown_above.append(node_of[place])
        else:
            shown_above.append(shown_above[parent] if parent >= 0 else -1)
    return Counter(node for place, node in enumerate(shown_above) if place not in node_of)


def draw(tree: Tree, currency: str, asked: str | None = None) -> str:
    """The picture as SVG: a `<circle>` with a `<title>` for each pin in `.marks`.

    The pin that was asked for has the class `asked`.
    """
    step = min(_STEP[1], max(_STEP[0], (_WIDTH - _LABEL) / max(1, tree.hops)))
    width, height = _LARGEST + tree.hops * step + _LABEL, (tree.rows + 1) * _ROW
    most = max((node.pin.credited_micros or 0 for node in tree.nodes if node.pin), default=0)
    inner = {node.parent for node in tree.nodes}
    at = [(_LARGEST + node.hop * step, (node.row + 0.5) * _ROW) for node in tree.nodes]
    links = (
        _link(at[node.parent], at[place])
        for place, node in enumerate(tree.nodes)
        if node.parent >= 0
    )
    marks = [
        svg.mark(*at[place], _radius(node.pin, most), _title(node.pin, currency), kind)
        for place, node in enumerate(tree.nodes)
        if node.pin is not None
        for kind in ["asked" if node.pin.pin_id == asked else ""]
    ]
    names = (
        _name(node, at[place], int((step if place in inner else _LABEL) / _LETTER) - 4)
        for place, node in enumerate(tree.nodes)
    )
    parts = (
        f'<path class="links" d="{"".join(links)}"/>',
        f'<g class="marks">{"".join(marks)}</g>',
        f'<g class="names" font-size="11">{"".join(names)}</g>',
    )
    return svg.picture("tree", (0, 0, width, height), parts)


def describe(tree: Tree) -> str:
    """The picture in words, for who does not see it."""
    drawn = sum(node.pin is not None for node in tree.nodes)
    more = sum(node.more for node in tree.nodes)
    deep = max(node.hop for node in tree.nodes if node.pin) if drawn else 0
    rest = f"; {more:,} pins of its smallest branches are left out" if more else ""
    return f"A cascade of pins: {drawn:,} are drawn, down to {deep:,} re-pins from its root{rest}."


def _radius(pin: Pin, most: int) -> float:
    """Area in proportion to credit, not below the smallest mark."""
    share = max(0, pin.credited_micros or 0) / most if most > 0 else 0.0
    return max(_SMALLEST, _LARGEST * math.sqrt(share))


def _title(pin: Pin, currency: str) -> str:
    by = f"by {pin.person_id or 'somebody unknown'}"
    title = f"pin {pin.pin_id} of {pin.item_id or 'no product'} {by}, {pin.visits:,} visits"
    if pin.credited_micros is None:
        return title
    return f"{title}, {format_money(pin.credited_micros)} {currency}"


def _link(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    half = svg.number((x + to_x) / 2)
    ends = f"{svg.number(to_x)} {svg.number(to_y)}"
    return (
        f"M{svg.number(x)} {svg.number(y)}C{half} {svg.number(y)} {half} {svg.number(to_y)} {ends}"
    )


def _name(node: Node, at: tuple[float, float], letters: int) -> str:
    """Who pinned it, cut to the room there is; nothing where there is none.

    The end stays, since ids differ there.
    """
    if node.pin is None:
        text, kind = f"+ {node.more:,} more", ' class="more"'
    else:
        text, kind = node.pin.person_id or "unknown", ""
        text = text if len(text) <= letters else f"…{text[1 - letters :]}"
    if node.pin is not None and letters < 4:
        return ""
    x, y = at[0] + _LARGEST + 3, at[1] - 5 if node.pin and letters < 20 else at[1] + 4
    return f'<text{kind} x="{svg.number(x)}" y="{svg.number(y)}">{escape(text, quote=False)}</text>'
