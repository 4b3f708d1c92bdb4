"""Orders, and every pin on their way: what is credited, before anything is.

Texts become integer codes once for the shard; all models share one order of rows.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Floats,
    Ints,
    Tables,
    bools,
    codes,
    encoded,
    expand,
    ints,
    places,
    take,
)
from pipelines.kernels.credit import Paths, build_paths
from pipelines.kernels.spans import time_key
from pipelines.kernels.stretches import distinct
from pipelines.transforms.daily import days_of
from pipelines.transforms.parts import WHOLE, Part
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.sites import of_sites
from schemas.settings import Site


class Links(NamedTuple):
    """Every pin on every touch of every order, in the order in which money is split."""

    start: Ints  # [orders + 1] links of order i are start[i]:start[i + 1]
    order: Ints  # [links]
    pair: Ints  # [links] row in the paths
    pin: Ints  # [links] row in the touches' flattened chains
    distance: Ints  # [links]
    share: Floats  # [links] layer 2, sums to 1 over each pair


# Rows that are asked for; of all of them there need be no copy.
Rows = Ints | slice


class Asked(NamedTuple):
    """What of a shard is asked for: all of it, or what a change concerns."""

    orders: Bools  # [orders] what is told of the order alone
    buyers: Bools  # [orders] what is told of all orders of its buyer
    ties: Bools  # [links] what is told of its buyer and its pinner together


class Shard(NamedTuple):
    """The orders of some people, and the pins on their way."""

    coded: Callable[[str], Any]  # [chain pins] what they say, as codes with their dictionary
    key: Callable[[str], Ints]  # [chain pins] the codes, -1 where it is null
    orders: pa.Table
    buyer: Ints  # [orders] code of site and person, -1 for an order that takes no credit
    day: Any  # [orders] local date
    lines: pa.Table
    line_order: Ints  # [lines]
    touches: pa.Table
    pins: pa.Table  # [chain pins]
    paths: Paths
    links: Links
    asked: Asked

    def links_of(self, is_asked: Bools) -> Rows:
        """The links of these [orders]."""
        return slice(None) if is_asked.all() else np.flatnonzero(is_asked[self.links.order])

    def is_own(self, order: Ints, pin: Ints) -> Bools:
        """[rows] whether the one who made this pin, and is known, is the buyer of this order."""
        buyer = places(self.orders["person_id"], self.coded("pinner_id").dictionary)
        pinner = self.key("pinner_id")[pin]
        return np.asarray((pinner >= 0) & (pinner == buyer[order]))

    @property
    def ties(self) -> Rows:
        """The links whose ties are asked for."""
        return slice(None) if self.asked.ties.all() else np.flatnonzero(self.asked.ties)


def link_orders(tables: Tables, sites: Mapping[str, Site], part: Part = WHOLE) -> Shard:
    """Finds the touches of each order, and the pins up the chain of each touch.

    Only of orders that decide of what is asked for.
    """
    orders, touches = tables["orders_to_credit"], tables["chained_touches"]
    if part.told is None:
        ties = np.ones(int(_lengths(touches).sum()), dtype=np.bool_)
    else:
        orders, touches, ties = _narrowed(orders, touches, sites, part)
    buyer, paths = find_paths(orders, touches, sites)
    links = _links(paths, touches)
    pins = _chain_pins(touches)
    lists = orders["lines"].combine_chunks()
    lines = pa.Table.from_struct_array(pc.list_flatten(lists))
    net = ints(lines["gross_micros"]) - ints(lines["refunded_micros"])
    coded = functools.cache(functools.partial(_coded, touches, pins))
    return Shard(
        coded,
        functools.cache(lambda column: ints(coded(column).indices, missing=-1)),
        orders,
        buyer,
        days_of(orders, sites),
        lines.append_column("net_micros", pa.array(net)),
        ints(pc.list_parent_indices(lists)),
        touches,
        pins,
        paths,
        links,
        Asked(part.asks(orders, "order_id"), part.asks(orders), ties[links.pin]),
    )


def _narrowed(
    orders: pa.Table, touches: pa.Table, sites: Mapping[str, Site], part: Part
) -> tuple[pa.Table, pa.Table, Bools]:
    """Orders that decide of what is asked for, their touches, and whether of each of their ties.

    Whether the tie to a pinner is asked for is told by [chain pins] of these touches.
    """
    pinners = pinners_of(touches)
    of_touch, is_asked = ints(pinners["touch"]), part.asks(pinners, "pinner_id")
    tied = touches.take(pa.array(distinct(of_touch[is_asked])))
    has_tie = np.diff(find_paths(orders, tied, sites)[1].start) > 0
    is_needed = has_tie | part.asks(orders, "order_id") | part.asks(orders)
    orders = orders.filter(pa.array(is_needed))
    is_there = np.zeros(len(touches), dtype=np.bool_)
    is_there[find_paths(orders, touches, sites)[1].touch] = True
    return orders, touches.filter(pa.array(is_there)), is_asked[is_there[of_touch]]


def pinners_of(touches: pa.Table) -> pa.Table:
    """[chain pins] `pinner_id`, the row of its touch, the place above it, and the touch's key."""
    lists = touches["pinner_ids"].combine_chunks()
    touch, place = expand(ints(pc.list_value_length(lists)))
    key = ints(touches[KEY])[touch]
    names = ("pinner_id", "touch", "place", KEY)
    return pa.table([pc.list_flatten(lists), touch, place, key], names=names)


def find_paths(
    orders: pa.Table, touches: pa.Table, sites: Mapping[str, Site]
) -> tuple[Ints, Paths]:
    """Codes of the orders' buyers, -1 for an order that takes no credit; and their touches."""
    person, buyer = codes(*([t["site_id"], t["person_id"]] for t in (touches, orders)))
    buyer = np.where(bools(orders["is_creditable"]), buyer, -1)
    at = ints(touches["at"])
    row = _by_time(person, at, touches["touch_id"])
    window = of_sites(orders["site_id"], sites, "window_ms").astype(np.int64)
    paths = build_paths(person[row], at[row], buyer, ints(orders["at"]), window)
    return buyer, paths._replace(touch=row[paths.touch])


def _by_time(person: Ints, at: Ints, touch_id: Any) -> Ints:
    """The order of touches by person, time and then id: few come at the same moment."""
    key = time_key(person, at, int(at.min(initial=np.iinfo(np.int64).max)))
    order = np.argsort(key)
    is_tie = key[order[1:]] == key[order[:-1]]
    place = np.flatnonzero(np.append(is_tie, False) | np.append(False, is_tie))
    ties = pa.table({"key": key[order[place]], "touch_id": take(touch_id, order[place])})
    sort_keys = [("key", "ascending"), ("touch_id", "ascending")]
    order[place] = order[place[ints(pc.sort_indices(ties, sort_keys=sort_keys))]]
    return order


def _chain_pins(touches: pa.Table) -> pa.Table:
    """[chain pins] the touches' chains laid end to end."""
    columns = {
        name.removesuffix("s"): pc.list_flatten(touches[name].combine_chunks())
        for name in touches.column_names
        if pa.types.is_list(touches.schema.field(name).type)
    }
    return pa.table(columns)


def _coded(touches: pa.Table, pins: pa.Table, column: str) -> Any:
    """[chain pins] a column of theirs, their site, or the root at which their chain ends."""
    length = _lengths(touches)
    if column == "site_id":
        return take(encoded(touches["site_id"]), np.repeat(np.arange(len(length)), length))
    if column == "root_pin_id":
        return take(encoded(pins["pin_id"]), np.repeat(np.cumsum(length) - 1, length))
    return encoded(pins[column])


def _lengths(touches: pa.Table) -> Ints:
    """[touches] pins of each one's chain."""
    return ints(pc.list_value_length(touches["pinner_ids"]))


def _links(paths: Paths, touches: pa.Table) -> Links:
    length = _lengths(touches)
    pair, distance = expand(length[paths.touch])
    pin = (np.cumsum(length) - length)[paths.touch][pair] + distance
    pair_start = np.concatenate(([0], np.cumsum(length[paths.touch])))
    share = np.asarray(
        pc.list_flatten(touches["shares"].combine_chunks()).to_numpy(zero_copy_only=False)
    )
    return Links(pair_start[paths.start], paths.order[pair], pair, pin, distance, share[pin])
