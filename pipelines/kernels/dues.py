"""What orders owe: credit by link, and each order's lines by the keys on its way.

Amounts are [.., models] arrays: rows are put in order once, whatever the number of models.
"""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Bools, Ints, expand
from pipelines.kernels.credit import Credits


class Dues(NamedTuple):
    """Sums over credits by model. All [rows, models]."""

    credits: Ints  # how many: without any nothing is owed, and an amount of 0 may be owed
    net: Ints
    refunded: Ints
    direct: Ints  # net of the product that was pinned itself


def dues_of_links(credits: Credits, is_direct: Bools, links: int, models: int) -> Dues:
    """[links, models] adds up the lines of each link.

    Args:
      credits: parts of lines.
      is_direct: [credits] whether the product pinned is the product bought.
      links: how many.
      models: how many.
    """
    # A model's amounts lie together: they are added up model by model.
    cell = credits.model * links + credits.link

    def total(amount: Ints) -> Ints:
        sums = np.zeros(models * links, dtype=np.int64)
        np.add.at(sums, cell, amount)
        return sums.reshape(models, links).T

    return Dues(
        np.bincount(cell, minlength=models * links).reshape(models, links).T,
        total(credits.net),
        total(credits.gross - credits.net),
        total(credits.net * is_direct),
    )


def units_of(
    credits: Credits, pair: Ints, order: Ints, line_order: Ints, quantity: Ints, models: int
) -> Ints:
    """[pairs, models] units of the lines that owe something to a key, each line once.

    Args:
      credits: parts of lines.
      pair: [links] the link's pair of order and key, -1 without a key.
      order: [pairs] sorted.
      line_order: [lines] the line's order.
      quantity: [lines] units.
      models: how many.
    """
    # Every line has a slot for each key of its order, so nothing is searched or sorted.
    low = np.searchsorted(order, line_order, side="left")
    count = np.searchsorted(order, line_order, side="right") - low
    line, place = expand(count)
    keyed = np.flatnonzero(pair[credits.link] >= 0)
    row, of_pair = credits.line[keyed], pair[credits.link[keyed]]
    slot = (np.cumsum(count) - count)[row] + of_pair - low[row]
    is_owed = np.zeros(models * len(line), dtype=np.bool_)
    is_owed[credits.model[keyed] * len(line) + slot] = True
    model, slot = np.divmod(np.flatnonzero(is_owed), max(len(line), 1))
    units = np.zeros(models * len(order), dtype=np.int64)
    np.add.at(units, model * len(order) + (low[line] + place)[slot], quantity[line[slot]])
    return units.reshape(models, len(order)).T
