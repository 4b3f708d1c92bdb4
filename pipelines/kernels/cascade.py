"""The forest of re-pins: parents, hops, chains, and layer 2 of credit up the chain."""

import functools
from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Bools, Floats, Ints, expand, group_starts
from pipelines.kernels.groups import group_by
from schemas.ids import MAX_HOP


class Forest(NamedTuple):
    """Pins as a forest. All [pins]."""

    parent: Ints  # row of the parent, -1 for a root
    root: Ints  # row of the root
    hop: Ints  # edges up to the root
    is_cut: Bools  # its parent did not count: on a cycle, or too deep


def grow_forest(parent: Ints, max_hop: int = MAX_HOP) -> Forest:
    """Makes a forest of parent pointers, whatever they say.

    A pin on a cycle, and one deeper than `max_hop`, becomes a root of its own sub-tree.
    Row order is free, so clock skew and children before parents do no harm.

    Args:
      parent: [pins] row of the parent, -1 where there is none.
      max_hop: greatest depth of a tree.
    """
    parent = parent.copy()
    is_cut = np.zeros(len(parent), dtype=np.bool_)
    hop, root, is_endless = _climb(parent)
    if is_endless:
        is_cut = _on_cycle(parent)
        parent[is_cut] = -1
        hop, root, _ = _climb(parent)
    too_deep = (hop > 0) & (hop % (max_hop + 1) == 0)
    if too_deep.any():
        is_cut |= too_deep
        parent[too_deep] = -1
        hop, root, _ = _climb(parent)
    return Forest(parent, root, hop, is_cut)


def _climb(parent: Ints) -> tuple[Ints, Ints, bool]:
    """[pins] hops up to the root and the root, by pointer doubling; and whether some never end.

    Only pins that are not there yet take the next step, twice as far: most are near their root.
    """
    jump = np.where(parent >= 0, parent, np.arange(len(parent)))
    hop = (parent >= 0).astype(np.int64)
    row = np.flatnonzero(parent[jump] >= 0)
    steps = 1
    while len(row) and steps <= len(parent):
        above = jump[row]
        hop[row] += hop[above]
        jump[row] = jump[above]
        row = row[parent[jump[row]] >= 0]
        steps *= 2
    return hop, jump, len(row) > 0


def _on_cycle(parent: Ints) -> Bools:
    """[pins] whether following parents from a pin comes back to it."""
    count = len(parent)
    cyclic = np.zeros(count, dtype=np.bool_)
    # After 2**k >= count steps a walk has either ended at a root or is on a cycle; the
    # extra row `count` stands for "ended".
    jump = np.append(np.where(parent >= 0, parent, count), count)
    steps = 1
    while steps < count:
        jump = jump[jump]
        steps *= 2
    cyclic[jump[:count][jump[:count] < count]] = True
    return cyclic


class Layout(NamedTuple):
    """Pins laid in one line so that every sub-tree is a stretch of it. All [pins]."""

    place: Ints  # place in the line; a pin stands before all below it
    size: Ints  # pins in the sub-tree, itself included: it is place .. place + size


def lay_out(parent: Ints) -> Layout:
    """Lays a forest in depth-first order: sums over sub-trees become differences of sums.

    By pointer doubling, so that the deepest chain takes as many rounds as its length has bits.

    Args:
      parent: [pins] row of the parent, -1 for a root; without cycles.
    """
    count = len(parent)
    size = np.ones(count, dtype=np.int64)
    jump = parent.copy()
    row = np.flatnonzero(jump >= 0)
    while len(row):  # the pins 2**k above get all that is less than 2**k below
        above = jump[row]
        np.add.at(size, above, size[row])
        jump[row] = jump[above]
        row = row[jump[row] >= 0]
    # A pin's place is its parent's, itself, and its elder siblings' sub-trees; trees stand in
    # the line as if they were siblings.
    siblings = np.argsort(parent, kind="stable")
    before = np.cumsum(size[siblings]) - size[siblings]
    first = group_starts(parent[siblings])
    family = np.repeat(before[first], np.diff(first, append=count))
    place = np.empty(count, dtype=np.int64)
    place[siblings] = before - family + (parent[siblings] >= 0)
    jump = parent.copy()
    row = np.flatnonzero(jump >= 0)
    while len(row):
        above = jump[row]
        place[row] += place[above]
        jump[row] = jump[above]
        row = row[jump[row] >= 0]
    return Layout(place, size)


def pair_distances(layout: Layout) -> Ints:
    """[pins] sum of distances over all pairs of pins in each pin's sub-tree.

    On a tree it is the sum over edges of s(n - s), so W(p) = s_p * S1 - S2 with S1, S2 the sums
    of s and s**2 over the pins below p (Goel, Anderson, Hofman, Watts 2016). Sums may wrap
    around on the way: what comes out is exact while it is less than 2**63, which is a chain of
    3.8 million pins.
    """
    place, size = layout
    laid = np.empty(len(size), dtype=np.int64)
    laid[place] = size
    sums, squares = (np.concatenate(([0], np.cumsum(each))) for each in (laid, laid * laid))
    below, end = place + 1, place + size
    return size * (sums[end] - sums[below]) - (squares[end] - squares[below])


class Chains(NamedTuple):
    """Some pins and all pins above them, nearest first."""

    start: Ints  # [pins + 1] links of pin i are start[i]:start[i + 1]
    pin: Ints  # [links] which of these pins is at the bottom
    ancestor: Ints  # [links] row of the pin itself (distance 0), its parent, ...
    distance: Ints  # [links]


def chains(forest: Forest, pins: Ints | None = None) -> Chains:
    """Lists the way up to its root of each of some pins, or of every one."""
    current = np.arange(len(forest.parent)) if pins is None else pins
    hop = forest.hop[current]
    pin, distance = expand(hop + 1)
    start = np.concatenate(([0], np.cumsum(hop + 1)))
    ancestor = np.empty(len(pin), dtype=np.int64)
    rows = np.arange(len(current))
    step = 0
    while len(rows):
        ancestor[start[rows] + step] = current
        current = forest.parent[current]
        rows, current = rows[current >= 0], current[current >= 0]
        step += 1
    return Chains(start, pin, ancestor, distance)


def necessity_shares(chain: Chains, player: Ints, necessity: Floats) -> Floats:
    """Shares a touch on each pin up its chain by necessity-Shapley (docs/attribution.md section 5).

    The sale needs the next pin up only with probability `necessity`; given K necessary
    ancestors each of the K + 1 players has an equal part. Players are people: one who stands
    on the chain twice is one player, at her first place, her part split over her pins.

    Args:
      chain: the links, nearest first.
      player: [pins] code of each pin's person; a pin without one has a code of its own.
      necessity: [pins] lambda in 0..1 for touches on each pin.

    Returns:
      [links] shares; each pin's sum to 1.
    """
    if len(chain.pin) == 0:
        return np.zeros(0)
    who = player[chain.ancestor]
    players_of_pins = group_by(chain.pin, who)
    first_link = np.minimum.reduceat(players_of_pins.rows, players_of_pins.start)
    first_link = first_link[players_of_pins.code]
    pins_of_player = players_of_pins.size[players_of_pins.code]
    is_first = first_link == np.arange(len(who))
    seen = np.cumsum(is_first)
    before_chain = seen[chain.start[:-1]] - 1
    rank = (seen - 1 - before_chain[chain.pin])[first_link]
    players = np.add.reduceat(is_first.astype(np.int64), chain.start[:-1])
    shares = np.empty(len(who))
    for value in np.unique(necessity):
        links = necessity[chain.pin] == value
        # Sizes in steps, so that shards share their tables.
        table = _share_table(float(value), -(-int(players.max()) // 64) * 64)
        shares[links] = table[players[chain.pin[links]] - 1, rank[links]]
    return shares / pins_of_player


@functools.lru_cache(maxsize=64)
def _share_table(necessity: float, players: int) -> Floats:
    """[h, d] s_d of a chain of h + 1 players, for h, d < players; 0 above the diagonal."""
    table = np.zeros((players, players))
    for h in range(players):
        k = np.arange(h)
        weights = np.append(necessity**k * (1 - necessity) / (k + 1), necessity**h / (h + 1))
        table[h, : h + 1] = np.cumsum(weights[::-1])[::-1]
    return table
