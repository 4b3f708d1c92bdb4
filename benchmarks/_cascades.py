"""Power-law cascades of any size, drawn with a seed: who pins on from where, and who lands."""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints
from pipelines.kernels.landings import Landings

EPOCH_MS, SPAN_MS = 1_704_067_200_000, 100 * 86_400_000
_REPIN_SHARE, _LANDINGS_A_PIN = 0.62, 4.6


class Cascades(NamedTuple):
    """Pins in the order of their times, parents before children, and landings on them."""

    parent: Ints  # [pins] row, -1 for a root
    owner: Ints  # [pins] person
    pinned_at: Ints  # [pins]
    landings: Landings


def cascades(pins: int, seed: int = 1) -> Cascades:
    """Draws cascades: six pins in ten are re-pins, and the large grow the faster.

    A re-pin is of a pin drawn from all before it, or else of that one's parent, so that cascades
    and numbers of children both have heavy tails. There are 0.3 pinners and 4.6 landings a pin;
    landings prefer what was pinned on, by people of whom a tenth are pinners.
    """
    draw = np.random.default_rng(seed)
    before = (draw.random(pins) * np.arange(pins)).astype(np.int64)
    is_root = draw.random(pins) >= _REPIN_SHARE
    is_root[:1] = True
    # Who copies takes the parent of the pin drawn; a root's "parent" is the root itself.
    copies = ~is_root & ~is_root[before] & (draw.random(pins) < 0.5)
    source = np.where(copies, before, np.arange(pins))
    while not np.array_equal(source, further := source[source]):
        source = further
    parent = np.where(is_root, -1, before[source])
    pinners, people = max(pins * 3 // 10, 1), max(pins * 3, 1)
    owner = (pinners * draw.random(pins) ** 1.5).astype(np.int64)
    pinned_at = EPOCH_MS + np.arange(pins) * SPAN_MS // max(pins, 1)
    count = int(pins * _LANDINGS_A_PIN)
    pin = draw.integers(0, max(pins, 1), count)
    climbs = (draw.random(count) < 0.5) & (parent[pin] >= 0)
    pin = np.where(climbs, parent[pin], pin)
    is_pinner = draw.random(count) < 0.1
    person = np.where(is_pinner, draw.integers(0, pinners, count), draw.integers(0, people, count))
    at = pinned_at[pin] + (draw.exponential(3 * 86_400_000, count)).astype(np.int64)
    return Cascades(parent, owner, pinned_at, Landings(pin, person, at))
