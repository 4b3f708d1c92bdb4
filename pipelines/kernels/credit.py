"""Credit: the touches of an order, each model's weights over them, and the one split."""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Floats, Ints, expand
from pipelines.kernels.money import shares_of, split_by_share
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
    counts = np.diff(paths.start)
    return shares_of(weight, _starts(counts[counts > 0]))


class Credits(NamedTuple):
    """Parts of order lines by model, line and link. All [credits]."""

    model: Ints  # place among the models
    line: Ints
    link: Ints
    net: Ints  # micros of the line's net value
    gross: Ints  # micros of its gross value


def credit_lines(
    weight: Floats, link_start: Ints, line_order: Ints, net: Ints, gross: Ints
) -> Credits:
    """Splits each order line over the links of its order, once for each model.

    Args:
      weight: [models, links] >= 0; each model weighs some link of every order that has links.
      link_start: [orders + 1] links of order i are link_start[i]:link_start[i + 1].
      line_order: [lines] the line's order.
      net: [lines] micros.
      gross: [lines] micros.

    Returns:
      Parts of links with a weight, where not both are 0; none of an order without links.
    """
    models, links = weight.shape
    size = np.diff(link_start)
    orders, used = len(size), size > 0
    share = np.array([shares_of(each, _starts(size[used])) for each in weight]).reshape(-1)
    # Most links weigh nothing under `first` and `last`: from here on only those that do.
    weighed = np.flatnonzero(weight.reshape(-1) != 0)  # of flags numpy counts quickly
    model, link = np.divmod(weighed, max(links, 1))
    count = np.bincount(model * orders + np.repeat(np.arange(orders), size)[link])
    count = np.append(count, np.zeros(models * orders - len(count), dtype=np.int64))

    line = np.tile(np.flatnonzero(used[line_order]), models)
    owed = np.repeat(np.arange(models), len(line) // max(models, 1)) * orders + line_order[line]
    group, place = expand(count[owed])
    row = (np.cumsum(count) - count)[owed][group] + place
    share = share[weighed][row]
    net_part = split_by_share(net[line], share, _starts(count[owed]))
    # Of a line without refunds both values are one, and split alike.
    gross_part = net_part.copy()
    refunded = net[line] != gross[line]
    gross_part[refunded[group]] = split_by_share(
        gross[line[refunded]], share[refunded[group]], _starts(count[owed[refunded]])
    )
    kept = np.flatnonzero((net_part != 0) | (gross_part != 0))
    row = row[kept]
    return Credits(model[row], line[group[kept]], link[row], net_part[kept], gross_part[kept])


def _starts(counts: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(counts)))
