"""Blocks of whole cascades, laid out: what the engine `vector` knows of pins before any landing."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipelines.kernels.cascade import Forest, Layout, lay_out, pair_distances
from pipelines.kernels.columns import Bools, Ints
from pipelines.kernels.landings import Landings
from pipelines.kernels.stretches import reduced, run_starts

# So many pins at a time: their arrays stay near the processor.
BLOCK_PINS = 1 << 14


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


class Cut(NamedTuple):
    """Which pins are measured together."""

    blocks: int
    block: Any  # [pins] number of the block
    row: Any  # [pins] row within the block


def cut_forest(root: Ints) -> Cut:
    """Blocks of whole cascades, in the order of their roots, so many pins together."""
    size = np.bincount(root, minlength=len(root))
    before = np.cumsum(size)
    before -= size
    before //= BLOCK_PINS
    block = before.astype(np.uint16)[root]
    row = np.empty(len(root), dtype=np.int32)
    cut = Cut(int(block.max(initial=0)) + 1, block, row)
    for pins in _gathered(block, cut.blocks):
        row[pins] = np.arange(len(pins))
    return cut


def _gathered(block: Any, blocks: int) -> Iterator[Ints]:
    """The rows of each block."""
    edges = np.cumsum([0, *np.bincount(block, minlength=blocks)]).tolist()
    is_sorted = bool(np.all(block[1:] >= block[:-1]))
    order = None if is_sorted else np.argsort(block, kind="stable")
    for low, high in itertools.pairwise(edges):
        yield np.arange(low, high) if order is None else order[low:high]


def landings_of(cut: Cut, landings: Landings) -> Iterator[Landings]:
    """The landings of each block, on rows of its own."""
    for arrived in _gathered(cut.block[landings.pin], cut.blocks):
        pin, person, at = (column[arrived] for column in landings)
        yield Landings(cut.row[pin].astype(np.int64), person, at)


class PinGroups(NamedTuple):
    """The pins of one pinner in one cascade, as a group."""

    group: Ints  # [pins] -1 where the pinner is unknown
    is_top: Bools  # [pins] no pin above is of the same group
    pinner: Ints  # [groups]


class Block(NamedTuple):
    """Whole cascades, laid out. Rows of pins are those of these arrays."""

    pins: Ints  # [pins] row in the forest
    parent: Ints
    hop: Ints
    owner: Ints
    pinned_at: Ints
    layout: Layout
    tree: Ints  # where its cascade begins in the layout
    own: PinGroups
    own_pins: OwnPins
    shapes: Shapes  # roots by their rows in the forest


def lay_out_blocks(cut: Cut, forest: Forest, owner: Ints, pinned_at: Ints) -> Iterator[Block]:
    """Each block, and all that is told of it without landings."""
    for pins in _gathered(cut.block, cut.blocks):
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
        yield Block(
            pins,
            parent,
            hop,
            mine,
            pinned_at[pins],
            layout,
            tree,
            own,
            OwnPins(own.pinner, *sums),
            shapes._replace(root=pins[shapes.root]),
        )


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


def _own_pins(layout: Layout, tree: Ints, owner: Ints) -> PinGroups:
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
    return PinGroups(group, is_top, owner[mine[begin]])
