"""Cascades grown, spheres measured, and the chains of pins listed."""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels import sphere, sphere_networkx
from pipelines.kernels.cascade import Forest, grow_forest
from pipelines.kernels.columns import (
    Bools,
    Ints,
    Tables,
    bools,
    codes,
    ints,
    is_set,
    joint_key,
    places,
    sort_by,
    take,
)
from pipelines.kernels.landings import Landings
from pipelines.kernels.sphere import Measured
from pipelines.kernels.stretches import reduced, run_starts
from pipelines.transforms.acts import acts_of_pins, acts_of_visits
from pipelines.transforms.daily import DIMENSIONS, daily_part, days_of
from pipelines.transforms.graph import lineage
from pipelines.transforms.touches import list_chains
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site

Engine = Callable[[Forest, Ints, Ints, Landings], Measured]
ENGINES: Mapping[str, Engine] = {
    "vector": sphere.measure_spheres,
    "networkx": sphere_networkx.measure_spheres,
}


def measure_cascades(
    tables: Tables,
    sites: Mapping[str, Site],
    wanted: Wanted = EVERYTHING,
    engine: str = "vector",
) -> Tables:
    """Grows the cascades of a shard, measures spheres, and lists the chains of pins.

    Takes pins and landings of whole roots.
    """
    pins = sort_by(tables["pins_by_root"], "site_id", "root_pin_id", "at", "event_id")
    landed = sort_by(tables["landings_by_root"], "site_id", "root_pin_id", "at", "event_id")
    keys = [joint_key(t["site_id"], t["root_pin_id"], t["pin_id"]) for t in (pins, landed)]
    parent = places(joint_key(pins["site_id"], pins["root_pin_id"], pins["parent_pin_id"]), keys[0])
    forest = grow_forest(parent)
    is_parent_missing = (is_set(pins["parent_pin_id"]) & (parent < 0)) | forest.is_cut

    visits = landed.filter(pc.invert(landed["is_crawler"]))
    owner, person = codes(*([t["site_id"], t["person_id"]] for t in (pins, visits)))
    pin_of_landing = places(keys[1], keys[0])
    is_crawler = bools(landed["is_crawler"])
    landings = Landings(pin_of_landing[~is_crawler], person, ints(visits["at"]))
    crawled = np.zeros(len(pins), dtype=np.bool_)
    crawled[pin_of_landing[is_crawler]] = True
    by_others = (landings.person < 0) | (landings.person != owner[landings.pin])
    visit_count = np.bincount(landings.pin[by_others], minlength=len(pins))
    is_confirmed = crawled | (visit_count > 0)
    root_id = take(pins["pin_id"], forest.root)

    @functools.cache
    def measured() -> Measured:
        return ENGINES[engine](forest, owner, ints(pins["at"]), landings)

    @functools.cache
    def people() -> pa.Table:
        return _people(pins, visits, np.concatenate((owner, person)))

    return wanted.made(
        pins=lambda: pa.table(
            {
                "site_id": pins["site_id"],
                "pin_id": pins["pin_id"],
                "person_id": pins["person_id"],
                "item_id": pins["item_id"],
                "item_list_id": pins["item_list_id"],
                "recommender_id": pins["recommender_id"],
                "parent_pin_id": take(pins["pin_id"], forest.parent),
                "root_pin_id": root_id,
                "hop": forest.hop,
                "visits": visit_count,
                "visitors": _distinct(
                    landings.person[by_others], landings.pin[by_others], len(pins)
                ),
                "is_parent_missing": is_parent_missing,
                "is_confirmed": is_confirmed,
                "pinned_at": pins["at"],
            }
        ),
        lineage=lambda: lineage(pins, forest, owner),
        reach=lambda: _with_ids(people(), measured().reach._asdict()),
        hop_visits=lambda: _with_ids(people(), _hop_visits(measured())),
        own_pins=lambda: _with_ids(people(), _own_pins(owner, is_confirmed, measured())),
        cascade_shapes=lambda: _shapes(pins, forest, owner, measured(), landings, by_others),
        acts=lambda: pa.concat_tables(
            [
                acts_of_pins(pins, forest.parent),
                acts_of_visits(visits, pins, landings.pin, by_others),
            ]
        ),
        pin_chains=lambda: list_chains(pins, forest, owner, sites),
        daily_parts=lambda: pa.concat_tables(
            daily_part(rows, dimension, rows[column], count)
            for rows, count in (
                (pins.append_column("day", days_of(pins, sites)), "pins"),
                (_visited_pins(pins, visits, landings, by_others, sites), "pin_visits"),
            )
            for dimension, column in wanted.keys("daily_parts", DIMENSIONS).items()
        ),
    )


def _distinct(person: Ints, group: Ints, count: int) -> Ints:
    """[groups] distinct known people among rows of each group."""
    known = person >= 0
    width = int(person.max(initial=0)) + 1
    pairs = np.unique(group[known] * width + person[known])
    return np.bincount(pairs // width, minlength=count)


def _people(pins: pa.Table, visits: pa.Table, code: Ints) -> pa.Table:
    """[codes] site and person behind each code of the pins' and visits' people."""
    both = pa.concat_tables([t.select(["site_id", "person_id"]) for t in (pins, visits)])
    values, rows = np.unique(code, return_index=True)
    return both.take(pa.array(rows[values >= 0]))


def _own_pins(owner: Ints, is_confirmed: Bools, measured: Measured) -> dict[str, Ints]:
    """OWN_PINS of the shard, a row a pinner."""
    known = owner >= 0
    count = int(owner.max(initial=-1)) + 1
    own = measured.own_pins
    columns = {
        "pins": np.bincount(owner[known], minlength=count),
        "confirmed_pins": np.bincount(owner[known & is_confirmed], minlength=count),
        "pair_distance": np.zeros(count, dtype=np.int64),
        "pairs": np.zeros(count, dtype=np.int64),
    }
    np.add.at(columns["pair_distance"], own.pinner, own.pair_distance)
    np.add.at(columns["pairs"], own.pinner, own.pairs)
    pinner = np.flatnonzero(columns["pins"])
    return {"pinner": pinner, **{name: column[pinner] for name, column in columns.items()}}


def _hop_visits(measured: Measured) -> dict[str, Ints]:
    """HOP_VISITS of the shard, a row a pinner and hop."""
    pinner, hop, visits = measured.hop_visits
    order = np.lexsort((hop, pinner))
    pinner, hop = pinner[order], hop[order]
    start = run_starts(pinner, hop)
    total = reduced(np.add, visits[order], start)
    return {"pinner": pinner[start], "hop": hop[start], "visits": total}


def _with_ids(people: pa.Table, columns: Mapping[str, Ints]) -> pa.Table:
    named = dict(columns)
    ids = {}
    if "person" in named:
        ids["person_id"] = take(people["person_id"], named.pop("person"))
    pinner = named.pop("pinner")
    return pa.table(
        {
            "site_id": take(people["site_id"], pinner),
            "pinner_id": take(people["person_id"], pinner),
            **ids,
            **named,
        }
    )


def _shapes(
    pins: pa.Table,
    forest: Forest,
    owner: Ints,
    measured: Measured,
    landings: Landings,
    by_others: Bools,
) -> pa.Table:
    built = measured.shapes._asdict()
    root = built.pop("root")
    cascade = forest.root[landings.pin[by_others]]
    visits = np.bincount(cascade, minlength=len(pins))
    visitors = _distinct(landings.person[by_others], cascade, len(pins))
    return pa.table(
        {
            "site_id": take(pins["site_id"], root),
            "root_pin_id": take(pins["pin_id"], root),
            "pinners": _distinct(owner, forest.root, len(pins))[root],
            "visits": visits[root],
            "visitors": visitors[root],
            **built,
        }
    )


def _visited_pins(
    pins: pa.Table,
    visits: pa.Table,
    landings: Landings,
    by_others: Bools,
    sites: Mapping[str, Site],
) -> pa.Table:
    """The pin of each landing by another, with the landing's day."""
    columns = ["site_id", "item_id", "item_list_id", "recommender_id"]
    visited = pins.select(columns).take(pa.array(landings.pin))
    return visited.append_column("day", days_of(visits, sites)).filter(pa.array(by_others))
