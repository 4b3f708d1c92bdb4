"""Whom each pinner reached, read off the cascades (docs/attribution.md section 6).

The engine `vector`: blocks of whole cascades, as arrays. What it finds is what
`pipelines.kernels.sphere_networkx` finds, cascade by cascade.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipelines.kernels.cascade import Forest
from pipelines.kernels.cascade_blocks import (
    Block,
    OwnPins,
    Shapes,
    cut_forest,
    landings_of,
    lay_out_blocks,
)
from pipelines.kernels.columns import Ints, expand, group_starts
from pipelines.kernels.landings import Arrivals, Landings, with_repins
from pipelines.kernels.stretches import reduced, run_starts, stable_order

# So many rows at a time: their arrays stay near the processor, and memory is bounded.
BLOCK_ROWS = 1 << 18


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
    cut = cut_forest(forest.root)
    for block, some in zip(
        lay_out_blocks(cut, forest, owner, pinned_at), landings_of(cut, landings), strict=True
    ):
        yield _alone(block)
        yield from _measure_block(block, block.owner, some)


class Spheres:
    """Cascades laid out once, to be asked again and again whom some people's landings reach.

    So a cascade that everybody landed on is measured with some of its landings in memory at a
    time. Each person's landings must come together.
    """

    def __init__(self, forest: Forest, owner: Ints, pinned_at: Ints) -> None:
        self._cut = cut_forest(forest.root)
        self._blocks = list(lay_out_blocks(self._cut, forest, owner, pinned_at))

    def alone(self) -> Iterator[Measured]:
        """What cascades are without any landing: their shapes, and pins below pinners' own."""
        return (_alone(block) for block in self._blocks)

    def reached(self, landings: Landings, repinner: Ints) -> Iterator[Measured]:
        """Whom landings reach, and those that re-pins prove.

        Args:
          landings: real ones, of some people.
          repinner: [pins] who pinned, if it is one of these people, else -1.
        """
        for block, some in zip(self._blocks, landings_of(self._cut, landings), strict=True):
            yield from _measure_block(block, repinner[block.pins], some)


def _alone(block: Block) -> Measured:
    return NOTHING._replace(own_pins=block.own_pins, shapes=block.shapes)


def _measure_block(block: Block, repinner: Ints, landings: Landings) -> Iterator[Measured]:
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


class _Links(NamedTuple):
    """For pins the nearest pin of each pinner at or above them."""

    first: Ints  # [pins] links of pin i are first[i] : first[i] + size[i]
    size: Ints  # [pins]
    pin: Ints  # [links] row of the pin at the bottom
    group: Ints  # [links] of the pinner's pin, as are the next two
    pinner: Ints  # [links]
    pinned_at: Ints  # [links]
    hop: Ints  # [links] 1 + edges up to it


def _links(block: Block, landed: Ints) -> _Links:
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
