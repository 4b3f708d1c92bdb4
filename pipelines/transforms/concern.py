"""Whom a change to cascades concerns: all others' landings reach whom they reached before.

A run that continues another reads all rows of a touched key, since what is told of the key counts
all of its people. What is told of each person is asked for only of those whom a change concerns.
"""

import functools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, is_set
from pipelines.kernels.multisets import is_among
from pipelines.kernels.stretches import distinct
from pipelines.transforms.order_links import find_paths
from pipelines.transforms.parts import Concerned, codes_of
from schemas.settings import Site


def concern_of_cascades(
    pins_named: str, rows_named: str, changed: Tables, *sides: Tables
) -> Concerned:
    """What is told anew where pins came, went or changed: all that hangs below them.

    Args:
      pins_named: the dataset that holds the pins.
      rows_named: the dataset that holds people's rows on pins.
      changed: rows that come or go.
      sides: the pins of the touched cascades, before and now.

    Returns:
      A function from rows that change, and sides, each with people's rows, to codes of people, in
      any order: whose rows they are, and whoever made a pin that is or was below a changed one, or
      has a row on it.
    """
    pins = pa.concat_tables(tables[pins_named] for tables in sides)
    pin = codes_of(pins, "pin_id")
    parent = np.where(is_set(pins["parent_pin_id"]), codes_of(pins, "parent_pin_id"), 0)
    below = _below(pin, parent, distinct(codes_of(changed[pins_named], "pin_id")))
    makers = codes_of(pins.filter(pa.array(is_among(pin, below) & is_set(pins["person_id"]))))

    def concerned(changed: Tables, *sides: Tables) -> Ints:
        on_them = (_on(below, tables[rows_named]) for tables in sides)
        return np.concatenate([codes_of(changed[rows_named]), makers, *on_them])

    return concerned


def concern_of_touches(sites: Mapping[str, Site], *_first_part: Tables) -> Concerned:
    """What is told anew where orders, or touches, came, went or changed.

    Returns:
      A function from rows that change, and sides, to codes in any order: of the orders that are
      among them, or on whose way one of the touches lies or lay, and of these orders' buyers.
    """
    return functools.partial(_orders_and_buyers, sites)


def _orders_and_buyers(sites: Mapping[str, Site], changed: Tables, *sides: Tables) -> Ints:
    touches = changed["chained_touches"]
    found = [changed["orders_to_credit"]]
    for tables in sides:
        orders = tables["orders_to_credit"]
        paths = find_paths(orders, touches, sites)[1]
        found.append(orders.filter(pa.array(np.diff(paths.start) > 0)))
    orders = pa.concat_tables(found)
    return np.concatenate([codes_of(orders, "order_id"), codes_of(orders)])


def _below(pin: Ints, parent: Ints, changed: Ints) -> Ints:
    """The changed pins and all that hang below them, by what pins say of their parents.

    A pin may be said to hang below several, since both sides are looked at; then it has changed
    itself. Pins on a cycle hang below each other.

    Args:
      pin: [pins] codes.
      parent: [pins] codes; of a pin that is not there, or any, where there is none.
      changed: sorted codes, each once.
    """
    pins, row = np.unique(pin, return_index=True)
    place = np.minimum(np.searchsorted(pins, parent[row]), max(len(pins) - 1, 0))
    here = np.arange(len(pins))
    above = np.where(pins[place] == parent[row], place, here) if len(pins) else here
    is_below = is_among(pins, changed)
    for _ in range(len(pins).bit_length()):
        is_below |= is_below[above]
        above = above[above]
    return pins[is_below]


def _on(pins: Ints, rows: pa.Table) -> Ints:
    """Codes of the people who have a row on these pins."""
    is_there = is_among(codes_of(rows, "pin_id"), pins)
    return codes_of(rows.filter(pa.array(is_there)))
