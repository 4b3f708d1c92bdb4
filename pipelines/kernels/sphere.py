"""Whom each pinner reached, read off the cascades (docs/attribution.md section 6).

The engine `vector`: blocks of whole cascades, as arrays. What it finds is what
`pipelines.kernels.sphere_networkx` finds, cascade by cascade.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipelines.kernels.cascade import Forest, Layout, lay_out, pair_distances
from pipelines.kernels.columns import Bools, Ints, expand, group_starts
from pipelines.kernels.landings import Arrivals, Landings, with_repins
from pipelines.kernels.stretches import reduced, run_starts, stable_order

# So many pins and rows at a time: their arrays stay near the processor, and memory is bounded.
BLOCK_PINS, BLOCK_ROWS = 1 << 14, 1 << 18


class Reach(NamedTuple):
    """People reached by pinners. All [cascade, pinner, person]."""

    pinner: Ints
    person: Ints
    hop: Ints  # the least
    visits: Ints
    pins: Ints  # that the person made below the pinner's
    first_at: Ints  # first landing
    own_pin_at: Ints  # the pinner's pin nearest to it; of several landings then, the latest


class HopVisits(NamedTuple):
    """Landings in pinners' spheres, nobody's included. All [cascade, pinner, hop]."""

    pinner: Ints
    hop: Ints
    visits: Ints


class OwnPins(NamedTuple):
    """Pairs of pins below pinners' topmost pins, and their distances. All [cascade, pinner]."""

    pinner: Ints
    pair_distance: Ints
    pairs: Ints


class Shapes(NamedTuple):
    """Cascades. All [cascades]."""

    root: Ints  # row of the pin
    size: Ints
    depth: Ints
    breadth: Ints
    pair_distance: Ints
    pairs: Ints


class Measured(NamedTuple):
    """All that an engine finds, in no certain order."""

    reach: Reach
    hop_visits: HopVisits
    own_pins: OwnPins
    shapes: Shapes


def _nothing(kind: Any) -> Any:
    return kind(*[np.zeros(0, dtype=np.int64)] * len(kind._fields))


NOTHING = Measured(*map(_nothing, (Reach, HopVisits, OwnPins, Shapes)))


def measure_spheres(forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings) -> Measured:
    """Measures every cascade and every pinner's part in it.

    Args:
      forest: the pins.
      owner: [pins] person codes, -1 unknown.
      pinned_at: [pins] epoch milliseconds.
      landings: the real ones; those that only re-pins prove are added.
    """
    return joined(measure_blocks(forest, owner, pinned_at, landings))


def joined(parts: Iterator[Measured]) -> Measured:
    """What was found in parts, at least one, as one."""
    kinds = zip(*parts, strict=True)
    return Measured(*(_stacked(kind) for kind in kinds))


def _stacked(parts: tuple[Any, ...]) -> Any:
    return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


def measure_blocks(
    forest: Forest, owner: Ints, pinned_at: Ints, landings: Landings
) -> Iterator[Measured]:
    """As `measure_spheres`, in parts: nothing is kept of those that were given.

    A part is about some cascades, or about some of the people whom one large cascade reached.
    """
    cut = _cut(forest.root)
    for block, some in zip(
        _blocks(cut, forest, owner, pinned_at), _by_block(cut, landings), strict=True
    ):
        yield block.found
        yield from _measure_block(block, block.owner, some)


class Spheres:
    """Cascades laid out once, to be asked again and again whom some people's landings reach.

    So a cascade that everybody landed on is measured with some of its landings in memory at a
    time. Each person's landings must come together.
    """

    def __init__(self, forest: Forest, owner: Ints, pinned_at: Ints) -> None:
        self._cut = _cut(forest.root)
        self._blocks = list(_blocks(self._cut, forest, owner, pinned_at))

    def alone(self) -> Iterator[Measured]:
        """What cascades are without any landing: their shapes, and pins below pinners' own."""
        return (block.found for block in self._blocks)

    def reached(self, landings: Landings, repinner: Ints) -> Iterator[Measured]:
        """Whom landings reach, and those that re-pins prove.

        Args:
          landings: real ones, of some people.
          repinner: [pins] who pinned, if it is one of these people, else -1.
        """
        for block, some in zip(self._blocks, _by_block(self._cut, landings), strict=True):
            yield from _measure_block(block, repinner[block.pins], some)


class _Cut(NamedTuple):
    """Which pins are measured together."""

    block: Any  # [pins] number of the block
    row: Any  # [pins] row within the block
    pins: list[Ints]  # of each block: its pins


def _cut(root: Ints) -> _Cut:
    """Blocks of whole cascades, in the order of their roots, so many pins together."""
    size = np.bincount(root, minlength=len(root))
    before = np.cumsum(size)
    before -= size
    before //= BLOCK_PINS
    block = before.astype(np.uint16)[root]
    row = np.empty(len(root), dtype=np.int32)
    pins = list(_gathered(block, int(block.max(initial=0)) + 1))
    for own in pins:
        row[own] = np.arange(len(own))
    return _Cut(block, row, pins)


def _gathered(block: Any, blocks: int) -> Iterator[Ints]:
    """The rows of each block."""
    edges = np.cumsum([0, *np.bincount(block, minlength=blocks)]).tolist()
    is_sorted = bool(np.all(block[1:] >= block[:-1]))
    order = None if is_sorted else np.argsort(block, kind="stable")
    for low, high in itertools.pairwise(edges):
        yield np.arange(low, high) if order is None else order[low:high]


def _by_block(cut: _Cut, landings: Landings) -> Iterator[Landings]:
    """The landings of each block, on rows of its own."""
    for arrived in _gathered(cut.block[landings.pin], len(cut.pins)):
        pin, person, at = (column[arrived] for column in landings)
        yield Landings(cut.row[pin].astype(np.int64), person, at)


class _Block(NamedTuple):
    """Whole cascades, laid out. Rows of pins are those of these arrays."""

    pins: Ints  # [pins] row in the forest
    parent: Ints
    hop: Ints
    owner: Ints
    pinned_at: Ints
    layout: Layout
    tree: Ints
    own: "_OwnPins"
    found: Measured  # what needs no landing


def _blocks(cut: _Cut, forest: Forest, owner: Ints, pinned_at: Ints) -> Iterator[_Block]:
    for pins in cut.pins:
        parent = forest.parent[pins]
        parent = np.where(parent >= 0, cut.row[parent].astype(np.int64), -1)
        hop, mine = forest.hop[pins], owner[pins]
        layout = lay_out(parent)
        distance, pairs = pair_distances(layout), layout.size * (layout.size - 1) // 2
        tree = _trees(layout, parent)
        own = _own_pins(layout, tree, mine)
        topmost = np.flatnonzero(own.is_top)
        sums = np.zeros((2, len(own.pinner)), dtype=np.int64)
        for total, of_pin in zip(sums, (distance, pairs), strict=True):
            np.add.at(total, own.group[topmost], of_pin[topmost])
        shapes = _shapes(layout, tree, hop, distance, pairs)
        found = NOTHING._replace(
            own_pins=OwnPins(own.pinner, *sums), shapes=shapes._replace(root=pins[shapes.root])
        )
        yield _Block(pins, parent, hop, mine, pinned_at[pins], layout, tree, own, found)


def _measure_block(block: _Block, repinner: Ints, landings: Landings) -> Iterator[Measured]:
    """Measures whom landings on whole cascades reach."""
    arrivals = with_repins(block.parent, repinner, block.pinned_at, landings)
    if len(arrivals.pin) == 0:
        return
    links = _links(block, arrivals.pin)
    visits = np.bincount(arrivals.pin, minlength=len(block.pins))[links.pin]
    for reach, own_visits in _reached(links, block.tree, arrivals):
        visits -= own_visits
        yield NOTHING._replace(reach=reach)
    yield NOTHING._replace(hop_visits=_hop_visits(links, visits, block.own.pinner))


def _trees(layout: Layout, parent: Ints) -> Ints:
    """[pins] where its cascade begins in the layout."""
    begin = np.sort(layout.place[parent < 0])
    return np.repeat(begin, np.diff(begin, append=len(parent)))[layout.place]


def _shapes(layout: Layout, tree: Ints, hop: Ints, distance: Ints, pairs: Ints) -> Shapes:
    root = np.flatnonzero(layout.place == tree)
    root = root[np.argsort(tree[root])]
    begin = tree[root]
    depth = np.zeros(len(hop), dtype=np.int64)
    depth[layout.place] = hop
    # A tree has more pins than hops: its hops can be counted at its own places.
    at_hop = np.bincount(tree + hop, minlength=len(hop))
    return Shapes(
        root,
        layout.size[root],
        reduced(np.maximum, depth, begin),
        reduced(np.maximum, at_hop, begin),
        distance[root],
        pairs[root],
    )


class _OwnPins(NamedTuple):
    """The pins of one pinner in one cascade, as a group."""

    group: Ints  # [pins] -1 where the pinner is unknown
    is_top: Bools  # [pins] no pin above is of the same group
    pinner: Ints  # [groups]


def _own_pins(layout: Layout, tree: Ints, owner: Ints) -> _OwnPins:
    count = len(owner)
    known = np.flatnonzero(owner >= 0)
    # By pinner along the line of pins, and so by cascade within a pinner.
    mine = known[np.argsort(owner[known] * count + layout.place[known])]
    begin = run_starts(owner[mine], tree[mine])
    code = np.repeat(np.arange(len(begin)), np.diff(begin, append=len(mine)))
    # Sub-trees lie within each other or apart: what the furthest end before does not pass
    # lies in none of the group's.
    place = code * (count + 1) + layout.place[mine]
    end = np.maximum.accumulate(place + layout.size[mine])
    group, is_top = np.full(count, -1), np.zeros(count, dtype=np.bool_)
    group[mine] = code
    is_top[mine[:1]] = True
    is_top[mine[1:]] = end[:-1] <= place[1:]
    return _OwnPins(group, is_top, owner[mine[begin]])


class _Links(NamedTuple):
    """For pins the nearest pin of each pinner at or above them."""

    first: Ints  # [pins] links of pin i are first[i] : first[i] + size[i]
    size: Ints  # [pins]
    pin: Ints  # [links] row of the pin at the bottom
    group: Ints  # [links] of the pinner's pin, as are the next two
    pinner: Ints  # [links]
    pinned_at: Ints  # [links]
    hop: Ints  # [links] 1 + edges up to it


def _links(block: _Block, landed: Ints) -> _Links:
    """The links of those pins that somebody landed on; other pins have none."""
    parent, layout, own = block.parent, block.layout, block.own
    count = len(parent)
    pin = np.flatnonzero(np.bincount(landed, minlength=count))
    width = block.hop[pin] + 1
    end = np.cumsum(width)
    begin = end - width
    above = np.empty(int(width.sum()), dtype=np.int64)
    link, current = begin, pin
    while len(current):
        above[link] = current
        current = parent[current]
        link, current = link[current >= 0] + 1, current[current >= 0]
    keep = own.group[above] >= 0
    which = np.repeat(np.arange(len(pin)), width)
    # Where a pinner stands twice on the way up, her nearest pin counts. Few pins have such ways.
    is_again = (own.group >= 0) & ~own.is_top
    rise = np.bincount(layout.place[is_again], minlength=count + 1)
    fall = np.bincount((layout.place + layout.size)[is_again], minlength=count + 1)
    has_again = (np.cumsum(rise - fall) > 0)[layout.place[pin]]
    again = np.flatnonzero(keep & has_again[which])
    key = which[again] * count + own.group[above[again]]
    order = np.argsort(key, kind="stable")
    keep[again] = False
    keep[again[order[group_starts(key[order])]]] = True
    kept = np.concatenate(([0], np.cumsum(keep)))
    first, size = np.zeros((2, count), dtype=np.int64)
    first[pin], size[pin] = kept[begin], kept[end] - kept[begin]
    steps = (np.arange(len(above)) - begin[which])[keep]
    above, group = above[keep], own.group[above[keep]]
    bottom = pin[which[keep]]
    return _Links(first, size, bottom, group, own.pinner[group], block.pinned_at[above], steps + 1)


def _reached(links: _Links, tree: Ints, arrivals: Arrivals) -> Iterator[tuple[Reach, Ints]]:
    """Follows every arrival up its links; gives with it [links] arrivals of pinners themselves."""
    key = arrivals.person * len(tree) + tree[arrivals.pin]
    order = np.argsort(key)
    begin = group_starts(key[order])
    often = np.diff(begin, append=len(key))
    # Who came to a cascade once is reached by each of its pinners once: nothing to be merged.
    is_once = np.repeat(often == 1, often)
    once, again = np.sort(order[is_once]), order[~is_once]
    for chosen, runs, merge in (
        (once, np.arange(len(once)), _as_they_are),
        (again, group_starts(key[again]), _merged),
    ):
        size = links.size[arrivals.pin[chosen]]
        part = (np.cumsum(size) - size)[runs] // BLOCK_ROWS
        edges = [*runs[group_starts(part)].tolist(), len(chosen)]
        for low, high in itertools.pairwise(edges):
            some = Arrivals(*(column[chosen[low:high]] for column in arrivals))
            arrival, place = expand(size[low:high])
            link = links.first[some.pin][arrival] + place
            person = some.person[arrival]
            is_self = links.pinner[link] == person
            shown = ~is_self & (person >= 0)
            reach = merge(links, link[shown], some, arrival[shown])
            yield reach, np.bincount(link[is_self], minlength=len(links.pin))


def _as_they_are(links: _Links, link: Ints, arrivals: Arrivals, arrival: Ints) -> Reach:
    """A row each."""
    return Reach(
        links.pinner[link],
        arrivals.person[arrival],
        links.hop[link],
        np.ones(len(link), dtype=np.int64),
        arrivals.pins[arrival],
        arrivals.at[arrival],
        links.pinned_at[link],
    )


def _merged(links: _Links, link: Ints, arrivals: Arrivals, arrival: Ints) -> Reach:
    """A row for each group and person; they come by person."""
    order = stable_order(links.group[link])
    link, arrival = link[order], arrival[order]
    group, person, at = links.group[link], arrivals.person[arrival], arrivals.at[arrival]
    begin = run_starts(group, person)
    visits = np.diff(begin, append=len(group))
    first_at = reduced(np.minimum, at, begin)
    is_first = at == np.repeat(first_at, visits)
    own_pin_at = np.where(is_first, links.pinned_at[link], np.iinfo(np.int64).min)
    return Reach(
        links.pinner[link[begin]],
        person[begin],
        reduced(np.minimum, links.hop[link], begin),
        visits,
        reduced(np.add, arrivals.pins[arrival], begin),
        first_at,
        reduced(np.maximum, own_pin_at, begin),
    )


def _hop_visits(links: _Links, visits: Ints, pinner: Ints) -> HopVisits:
    some = np.flatnonzero(visits)
    hops = int(links.hop.max(initial=0)) + 1
    key = links.group[some] * hops + links.hop[some]
    order = np.argsort(key)
    key = key[order]
    begin = group_starts(key)
    total = reduced(np.add, visits[some][order], begin)
    return HopVisits(pinner[key[begin] // hops], key[begin] % hops, total)
