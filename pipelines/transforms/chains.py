"""The chains of pins above touches, with layer 2's shares."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.cascade import chains, grow_forest, necessity_shares
from pipelines.kernels.columns import (
    Ints,
    Tables,
    bools,
    codes,
    expand,
    flat,
    is_set,
    joint_places,
    take,
)
from pipelines.transforms.parts import Part
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.sites import of_sites
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import CHAINED_TOUCHES
from schemas.settings import Site

# The lists of CHAINED_TOUCHES, and the columns of pins that fill them.
_LISTS = {
    "pin_ids": "pin_id",
    "pinner_ids": "person_id",
    "item_ids": "item_id",
    "item_list_ids": "item_list_id",
    "recommender_ids": "recommender_id",
}


def chain_touches(
    parts: Iterable[tuple[Part, Tables]], sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Iterator[tuple[int, Tables]]:
    """Gives each touch the chain of its pin.

    Takes pins and touches of whole roots, the touches in parts by people: of a cascade that
    everybody landed on there may be very many.
    """
    parts = iter(parts)
    first, tables = next(parts)
    pins = tables["pins_to_chain"]
    names = wanted.columns("chained_touches", CHAINED_TOUCHES).names
    for part, given in itertools.chain([(first, tables)], parts):
        touches = given["order_touches"]
        touches = touches.filter(pa.array(part.tells(touches)))
        chained = functools.partial(_chained, touches, pins, sites, names)
        yield part.number, wanted.made(chained_touches=chained)
    yield first.of, {}


def parents_of(pins: pa.Table) -> Ints:
    """[pins] row of each pin's parent, -1 where it is not among the pins of the same root.

    Args:
      pins: of whole roots, each id of a site once.
    """
    row = np.flatnonzero(is_set(pins["parent_pin_id"]))
    repins = pins.select(["site_id", "parent_pin_id", "root_pin_id"]).take(pa.array(row))
    above = joint_places(
        [repins["site_id"], repins["parent_pin_id"]], [pins["site_id"], pins["pin_id"]]
    )
    is_same_root = bools(pc.equal(repins["root_pin_id"], take(pins["root_pin_id"], above)))
    parent = np.full(len(pins), -1, dtype=np.int64)
    parent[row[is_same_root]] = above[is_same_root]
    return parent


def _chained(
    touches: pa.Table, pins: pa.Table, sites: Mapping[str, Site], names: Sequence[str]
) -> pa.Table:
    """These columns of CHAINED_TOUCHES."""
    # Not every cascade has a touch that an order follows.
    pins = pins.filter(pc.is_in(pins[KEY], value_set=flat(touches[KEY])))
    row = joint_places(*([table["site_id"], table["pin_id"]] for table in (touches, pins)))
    touches, row = touches.filter(pa.array(row >= 0)), row[row >= 0]
    is_touched = np.zeros(len(pins), dtype=np.bool_)
    is_touched[row] = True
    touched, which = np.flatnonzero(is_touched), (np.cumsum(is_touched) - 1)[row]
    chain = chains(grow_forest(parents_of(pins)), touched)
    necessity = of_sites(take(pins["site_id"], touched), sites, "necessity")
    shares = necessity_shares(chain, _players(pins), necessity)
    # A pin's chain once more for each of its touches.
    length = np.diff(chain.start)[which]
    touch, place = expand(length)
    link = chain.start[which][touch] + place
    offsets = pa.array(np.concatenate(([0], np.cumsum(length))), pa.int32())
    lists = {
        name: take(pins[of_pin], chain.ancestor[link])
        for name, of_pin in _LISTS.items()
        if name in names
    }
    lists["shares"] = pa.array(shares[link])
    for name, values in lists.items():
        touches = touches.append_column(name, pa.ListArray.from_arrays(offsets, values))
    return touches.select(names)


def _players(pins: pa.Table) -> Ints:
    """[pins] a code of whose it is; a pin of nobody has one of its own.

    People of two sites may share a code: they stand on no chain together.
    """
    (owner,) = codes([pins["person_id"]])
    return np.where(owner >= 0, owner, owner.max(initial=0) + 1 + np.arange(len(owner)))
