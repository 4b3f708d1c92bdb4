"""Layer 1 of credit: touches of an order, and each model's weights over them."""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Floats, Ints, expand
from pipelines.kernels.spans import time_key
from schemas.models import MODELS

# A person follows a few pins; a script that follows thousands must not fill the memory.
MAX_TOUCHES = 200


class Paths(NamedTuple):
    """Orders and their touches, in order of time within each order."""

    start: Ints  # [orders + 1] pairs of order i are start[i]:start[i + 1]
    order: Ints  # [pairs]
    touch: Ints  # [pairs] row of the touch


def build_paths(
    touch_person: Ints, touch_at: Ints, order_person: Ints, order_at: Ints, window_ms: Ints
) -> Paths:
    """Finds each order's touches: the buyer's, 0 <= order - touch <= window, both included.

    Of more than MAX_TOUCHES the latest count.

    Args:
      touch_person: [touches] codes from 0; touches sorted by person, then time.
      touch_at: [touches] epoch milliseconds.
      order_person: [orders] codes, -1 for an order that takes no credit.
      order_at: [orders] epoch milliseconds.
      window_ms: [orders] length of the window.
    """
    if len(order_person) == 0 or len(touch_person) == 0:
        none = np.zeros(0, dtype=np.int64)
        return Paths(np.zeros(len(order_person) + 1, dtype=np.int64), none, none)
    opens = order_at - window_ms
    origin = min(int(touch_at.min()), int(opens.min()))
    keys = time_key(touch_person, touch_at, origin)
    person = np.maximum(order_person, 0)
    low = np.searchsorted(keys, time_key(person, opens, origin), side="left")
    high = np.searchsorted(keys, time_key(person, order_at, origin), side="right")
    low = np.maximum(low, high - MAX_TOUCHES)
    counts = np.where(order_person >= 0, high - low, 0)
    order, place = expand(counts)
    start = np.concatenate(([0], np.cumsum(counts)))
    return Paths(start, order, low[order] + place)


def weigh_touches(
    model: str, paths: Paths, age_ms: Ints, pin: Ints, half_life_ms: Floats
) -> Floats:
    """Each touch's share of its order (docs/attribution.md section 5, layer 1).

    Args:
      model: one of MODELS.
      paths: orders and touches.
      age_ms: [pairs] order time less touch time, >= 0.
      pin: [pairs] code of the pin touched.
      half_life_ms: [pairs] for `time_decay`.

    Returns:
      [pairs] weights; each order's sum to 1.

    Raises:
      ValueError: an unknown model.
    """
    count = np.diff(paths.start)[paths.order]
    place = np.arange(len(paths.order)) - paths.start[:-1][paths.order]
    is_last = place == count - 1
    if model == "first":
        return (place == 0).astype(np.float64)
    if model == "last":
        return is_last.astype(np.float64)
    if model == "linear":
        # Repeats of one pin that follow each other are one touch, at the last of them.
        follows = np.append(pin[1:] == pin[:-1], False)
        return _normalised((is_last | ~follows).astype(np.float64), paths)
    if model == "position":
        is_end = (place == 0) | is_last
        middle = 0.2 / np.maximum(count - 2, 1)
        return np.where(count <= 2, 1.0 / count, np.where(is_end, 0.4, middle))
    if model == "time_decay":
        # Ages count from the newest touch: shares stay the same and nothing underflows to 0/0.
        newest = age_ms[paths.start[1:][paths.order] - 1]
        return _normalised(np.exp2(-(age_ms - newest) / half_life_ms), paths)
    raise ValueError(f"unknown model {model!r}; known: {', '.join(MODELS)}")


def _normalised(weight: Floats, paths: Paths) -> Floats:
    if len(weight) == 0:
        return weight
    counts = np.diff(paths.start)
    used = np.flatnonzero(counts)
    total = np.zeros(len(counts))
    total[used] = np.add.reduceat(weight, paths.start[used])
    return weight / total[paths.order]
