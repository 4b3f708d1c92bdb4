"""Whom a change concerns, and which orders: of all others the same is told as before.

A run that continues another reads all rows of a touched key, since what is told of the key counts
all of them. What is told of each person there, or of each order, is asked for only where a change
concerns it.
"""

import functools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, ints, is_set, take
from pipelines.kernels.multisets import cancel, is_among
from pipelines.kernels.stretches import distinct
from pipelines.transforms.order_links import find_paths, pinners_of
from pipelines.transforms.parts import Concerned, codes_of
from schemas.settings import Site


def concern_of_cascades(
    pins_named: str, rows_named: str, added: Tables, removed: Tables, *sides: Tables
) -> Concerned:
    """What is told anew where pins came, went or changed: all that hangs below them.

    Args:
      pins_named: the dataset that holds the pins.
      rows_named: the dataset that holds people's rows on pins.
      added: rows that come.
      removed: rows that go.
      sides: the pins of the touched cascades, before and now.

    Returns:
      A function from the same, with people's rows, to codes of people, in any order: whose rows
      come or go, and whoever made a pin that is or was below a changed one, or has a row on it.
    """
    pins = pa.concat_tables(tables[pins_named] for tables in sides)
    pin = codes_of(pins, "pin_id")
    parent = np.where(is_set(pins["parent_pin_id"]), codes_of(pins, "parent_pin_id"), 0)
    changed = [codes_of(tables[pins_named], "pin_id") for tables in (added, removed)]
    below = _below(pin, parent, distinct(np.concatenate(changed)))
    makers = codes_of(pins.filter(pa.array(is_among(pin, below) & is_set(pins["person_id"]))))

    def concerned(added: Tables, removed: Tables, *sides: Tables) -> Ints:
        own = (codes_of(tables[rows_named]) for tables in (added, removed))
        return np.concatenate([makers, *own, *(_on(below, tables[rows_named]) for tables in sides)])

    return concerned


def concern_of_touches(sites: Mapping[str, Site], *_first_part: Tables) -> Concerned:
    """What is told anew where orders, or touches on their way, came, went or changed.

    Returns:
      A function from rows that change, and sides, to codes in any order: of orders, of their buyers
      (by `person_id`), and of buyers with each of the pinners to whom they owe (by `pinner_id`).
    """
    return functools.partial(_orders_buyers_and_ties, sites)


def _orders_buyers_and_ties(
    sites: Mapping[str, Site], added: Tables, removed: Tables, before: Tables, now: Tables
) -> Ints:
    changes = [tables["chained_touches"] for tables in (added, removed)]
    # Most touches change because a login gave a pinner another name. No order is split anew then:
    # all that changes is told of that pinner, or of who she was.
    renamed = cancel(*map(_named, changes))
    moved = pa.concat_tables(cancel(*(each.drop_columns(["pinner_ids"]) for each in changes)))
    found = [codes_of(pinners, "pinner_id") for pinners in renamed]
    for change, tables in ((added, now), (removed, before)):
        orders, touches = tables["orders_to_credit"], tables["chained_touches"]
        _, paths = find_paths(orders, moved, sites)
        on_way = orders.filter(pa.array(np.diff(paths.start) > 0))
        split = pa.concat_tables([change["orders_to_credit"], on_way])
        _, paths = find_paths(split, touches, sites)
        pinners = pinners_of(touches.take(pa.array(distinct(paths.touch))))
        found += [codes_of(split, "order_id"), codes_of(split), codes_of(pinners, "pinner_id")]
    return np.concatenate(found)


def _named(touches: pa.Table) -> pa.Table:
    """Each pinner on the chain of each touch, beside the touch's id."""
    pinners = pinners_of(touches)
    touch_id = take(touches["touch_id"], ints(pinners["touch"]))
    return pinners.drop_columns(["touch"]).append_column("touch_id", touch_id)


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
