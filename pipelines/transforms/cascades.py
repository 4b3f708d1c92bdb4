"""Pins and landings put together, cascades grown, spheres measured."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels import sphere
from pipelines.kernels.cascade import Forest, grow_forest
from pipelines.kernels.columns import (
    Bools,
    Ints,
    Tables,
    bools,
    codes,
    group_starts,
    ints,
    is_set,
    joint_key,
    places,
    sort_by,
    take,
)
from pipelines.kernels.multisets import is_repeated
from pipelines.transforms.acts import acts_of_pins, acts_of_visits
from pipelines.transforms.daily import DIMENSIONS, daily_part, days_of
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.touches import list_chains, list_touches, pin_of
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import LANDINGS_BY_ROOT
from schemas.settings import Site


def attach_landings(tables: Tables, wanted: Wanted = EVERYTHING) -> Tables:
    """Keeps of each pin id the pin that came first, and gives landings their pin's root.

    Takes pins and landings of whole pin ids; gives the visits table, both by root, and touches.
    """
    pins = _first_pins(tables["pins_by_person"])
    root = pc.coalesce(pins["root_pin_id"], pins["parent_pin_id"], pins["pin_id"])
    place = pins.schema.get_field_index("root_pin_id")
    pins = pins.set_column(place, "root_pin_id", root)

    landings = tables["landings_by_person"]
    row = pin_of(landings, pins)
    found = landings.append_column("root_pin_id", take(pins["root_pin_id"], row))
    found = found.filter(pa.array(row >= 0))
    return wanted.made(
        visits=lambda: _visits(landings, row >= 0),
        pins_by_root=lambda: pins,
        landings_by_root=lambda: found.select(LANDINGS_BY_ROOT.names),
        touches=lambda: list_touches(pins, found),
    )


def _first_pins(pins: pa.Table) -> pa.Table:
    """The pin of each id that came first; most ids come once, and so do their keys."""
    again = is_repeated(ints(pins[KEY]))
    more = sort_by(pins.filter(pa.array(again)), "site_id", "pin_id", "precedence", "event_id")
    (pin,) = codes([more["site_id"], more["pin_id"]])
    first = more.take(pa.array(group_starts(pin)))
    return pa.concat_tables([pins.filter(pa.array(~again)), first]).combine_chunks()


def _visits(landings: pa.Table, is_known_pin: Bools) -> pa.Table:
    table = pa.table(
        {
            "site_id": landings["site_id"],
            "event_id": landings["event_id"],
            "pin_id": landings["pin_id"],
            "person_id": landings["person_id"],
            "match_method": landings["match_method"],
            "is_known_pin": is_known_pin,
            "visited_at": landings["at"],
        }
    )
    return table.filter(pc.invert(landings["is_crawler"]))


def measure_cascades(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
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
    landings = sphere.Landings(pin_of_landing[~is_crawler], person, ints(visits["at"]))
    crawled = np.zeros(len(pins), dtype=np.bool_)
    crawled[pin_of_landing[is_crawler]] = True
    by_others = (landings.person < 0) | (landings.person != owner[landings.pin])
    visit_count = np.bincount(landings.pin[by_others], minlength=len(pins))
    is_confirmed = crawled | (visit_count > 0)
    root_id = take(pins["pin_id"], forest.root)

    @functools.cache
    def measured() -> sphere.Measured:
        pinned_at = ints(pins["at"])
        proven = sphere.with_repins(forest, owner, pinned_at, landings)
        return sphere.measure_spheres(forest, owner, pinned_at, proven)

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
                "visitors": _distinct(landings, by_others, landings.pin, len(pins)),
                "is_parent_missing": is_parent_missing,
                "is_confirmed": is_confirmed,
                "pinned_at": pins["at"],
            }
        ),
        reach=lambda: _with_ids(people(), measured().reach, sphere.Reach),
        hop_visits=lambda: _with_ids(people(), measured().hop_visits, sphere.HopVisits),
        own_pins=lambda: _own_pins(people(), pins, is_confirmed, measured()),
        cascade_shapes=lambda: _shapes(pins, forest, measured(), landings, by_others),
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


def _distinct(landings: sphere.Landings, mask: Bools, group: Ints, count: int) -> Ints:
    """[groups] distinct known people among the masked landings of each group."""
    known = mask & (landings.person >= 0)
    width = int(landings.person.max(initial=0)) + 1
    pairs = np.unique(group[known] * width + landings.person[known])
    return np.bincount(pairs // width, minlength=count)


def _people(pins: pa.Table, visits: pa.Table, code: Ints) -> pa.Table:
    """[codes] site and person behind each code of the pins' and visits' people."""
    both = pa.concat_tables([t.select(["site_id", "person_id"]) for t in (pins, visits)])
    values, rows = np.unique(code, return_index=True)
    return both.take(pa.array(rows[values >= 0]))


def _own_pins(
    people: pa.Table, pins: pa.Table, is_confirmed: Bools, measured: sphere.Measured
) -> pa.Table:
    """OWN_PINS: each pin counted, and the kernel's pairs of pins."""
    own = _with_ids(people, measured.own_pins, sphere.OwnPins)
    none, one = np.zeros(len(pins), dtype=np.int64), np.ones(len(pins), dtype=np.int64)
    counted = pa.table(
        {
            "site_id": pins["site_id"],
            "pinner_id": pins["person_id"],
            "pins": one,
            "confirmed_pins": is_confirmed.astype(np.int64),
            "pair_distance": none,
            "pairs": none,
        }
    ).filter(pc.is_valid(pins["person_id"]))
    uncounted = pa.array(np.zeros(len(own), dtype=np.int64))
    own = own.append_column("pins", uncounted).append_column("confirmed_pins", uncounted)
    return pa.concat_tables([counted, own.select(counted.column_names)])


def _with_ids(people: pa.Table, rows: Sequence[tuple[int, ...]], kind: Any) -> pa.Table:
    # One flat run of numbers: to look at each tuple takes numpy ten times as long.
    width = len(kind._fields)
    numbers = np.fromiter(itertools.chain.from_iterable(rows), np.int64, len(rows) * width)
    columns = numbers.reshape(len(rows), width)
    named = dict(zip(kind._fields, columns.T, strict=True))
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
    measured: sphere.Measured,
    landings: sphere.Landings,
    by_others: Bools,
) -> pa.Table:
    columns = np.array(measured.shapes, dtype=np.int64).reshape(len(measured.shapes), 6)
    built = dict(zip(sphere.Shape._fields, columns.T, strict=True))
    root = built.pop("root")
    visitors = _distinct(landings, by_others, forest.root[landings.pin], len(pins))
    return pa.table(
        {
            "site_id": take(pins["site_id"], root),
            "root_pin_id": take(pins["pin_id"], root),
            "visitors": visitors[root],
            **built,
        }
    )


def _visited_pins(
    pins: pa.Table,
    visits: pa.Table,
    landings: sphere.Landings,
    by_others: Bools,
    sites: Mapping[str, Site],
) -> pa.Table:
    """The pin of each landing by another, with the landing's day."""
    columns = ["site_id", "item_id", "item_list_id", "recommender_id"]
    visited = pins.select(columns).take(pa.array(landings.pin))
    return visited.append_column("day", days_of(visits, sites)).filter(pa.array(by_others))
