"""Cascades grown, and spheres measured."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels import sphere, sphere_networkx
from pipelines.kernels.cascade import grow_forest
from pipelines.kernels.columns import (
    Bools,
    Ints,
    Tables,
    bools,
    codes,
    first_rows,
    group_starts,
    ints,
    is_set,
    joint_places,
    sort_by,
    take,
)
from pipelines.kernels.landings import Landings
from pipelines.kernels.sphere import Measured
from pipelines.kernels.stretches import reduced, run_starts
from pipelines.transforms.acts import acts_of_pins, acts_of_visits
from pipelines.transforms.chains import parents_of
from pipelines.transforms.graph import lineage
from pipelines.transforms.meetings import meetings_between
from pipelines.transforms.parts import Part
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, Wanted

ENGINES: Mapping[str, Any] = {"vector": sphere.Spheres, "networkx": sphere_networkx.Spheres}
# What tells how often pins were visited.
_COUNTED = frozenset({"pins", "own_pins", "cascade_shapes"})
# So many pairs of pinner and person are written at a time.
_PAIRS = 1 << 20


def measure_cascades(
    parts: Iterable[tuple[Part, Tables]], wanted: Wanted = EVERYTHING, engine: str = "vector"
) -> Iterator[tuple[int, Tables]]:
    """Grows the cascades of a shard, and measures spheres.

    Takes pins and landings of whole roots, the landings in parts by people: what a part holds
    is told at once, and of it only counts by pin are kept.
    """
    parts = iter(parts)
    first, tables = next(parts)
    grown = _Grown(tables["pins_by_root"], engine)
    counts = _Counts(*np.zeros((4, len(grown.pins)), dtype=np.int64))
    for part, given in itertools.chain([(first, tables)], parts):
        rows = given["landings_by_root"]
        landed = _land(grown, rows)
        if _COUNTED & wanted.names:
            counts.add(landed, grown.forest.root)
        if part.told is not None:
            landed = _land(grown, rows.filter(pa.array(part.tells(rows))))
        for told in _of_people(grown, landed, part, wanted):
            yield part.number, told
        yield part.number, _of_part(grown, landed, wanted)
    yield first.of, _of_all(grown, counts, wanted)


class _Grown:
    """The pins of a shard as cascades."""

    def __init__(self, pins: pa.Table, engine: str) -> None:
        self.pins = sort_by(pins, KEY)  # cascades whole
        parent = parents_of(self.pins)
        self.forest = grow_forest(parent)
        is_missing = is_set(self.pins["parent_pin_id"]) & (parent < 0)
        self.is_parent_missing = is_missing | self.forest.is_cut
        self._engine = engine
        people = self.pins.select(["site_id", "person_id"])
        (self.owner,) = codes(people.columns)  # [pins]
        self.pinners = people.take(pa.array(first_rows(self.owner)))  # [codes]

    @functools.cached_property
    def spheres(self) -> Any:
        """The engine, ready to be asked."""
        return ENGINES[self._engine](self.forest, self.owner, ints(self.pins["at"]))

    def repinner(self, part: Part) -> Ints:
        """[pins] whose each pin is, of the people of a part."""
        return np.where(part.tells(self.pins), self.owner, -1)


class _Landed(NamedTuple):
    """Landings on the pins of a shard."""

    visits: pa.Table  # those by crawlers left out
    landings: Landings  # the same; people by the codes below
    by_others: Bools  # [visits]
    crawled: Ints  # pins that crawlers landed on
    people: pa.Table  # [codes] site and person: the pinners first


def _land(grown: _Grown, landed: pa.Table) -> _Landed:
    pin = joint_places(*([each["site_id"], each["pin_id"]] for each in (landed, grown.pins)))
    is_crawler = bools(landed["is_crawler"])
    visits = landed.filter(pa.array(~is_crawler))
    people = visits.select(["site_id", "person_id"])
    _, person = codes(grown.pinners.columns, people.columns)
    others = people.take(pa.array(first_rows(person, len(grown.pinners))))
    landings = Landings(pin[~is_crawler], person, ints(visits["at"]))
    by_others = (person < 0) | (person != grown.owner[landings.pin])
    everybody = pa.concat_tables([grown.pinners, others])
    return _Landed(visits, landings, by_others, pin[is_crawler], everybody)


class _Counts(NamedTuple):
    """What landings of all parts add up to. All [pins]."""

    visits: Ints
    visitors: Ints
    crawlers: Ints
    visitors_of_cascade: Ints  # at its root

    def add(self, landed: _Landed, root: Ints) -> None:
        """Adds a part's landings: its people are in no other part."""
        by_others = landed.by_others
        pin, person = landed.landings.pin[by_others], landed.landings.person[by_others]
        count = len(root)
        self.visits[:] += np.bincount(pin, minlength=count)
        self.visitors[:] += _distinct(person, pin, count)
        self.crawlers[:] += np.bincount(landed.crawled, minlength=count)
        self.visitors_of_cascade[:] += _distinct(person, root[pin], count)


def _of_people(grown: _Grown, landed: _Landed, part: Part, wanted: Wanted) -> Iterator[Tables]:
    """Whom the pinners reached among a part's people."""
    if not {"reach", "hop_visits"} & wanted.names:
        return
    for found in _together(grown.spheres.reached(landed.landings, grown.repinner(part))):
        yield wanted.made(
            reach=functools.partial(_with_ids, landed.people, found.reach._asdict()),
            hop_visits=functools.partial(_with_ids, landed.people, _hop_visits(found)),
        )


def _together(parts: Iterable[Measured]) -> Iterator[Measured]:
    """Small parts as one, until there are many pairs."""
    some, pairs = [sphere.NOTHING], 0
    for each in parts:
        some.append(each)
        pairs += len(each.reach.pinner)
        if pairs >= _PAIRS:
            yield sphere.joined(iter(some))
            some, pairs = [sphere.NOTHING], 0
    yield sphere.joined(iter(some))


def _of_part(grown: _Grown, landed: _Landed, wanted: Wanted) -> Tables:
    """What else a part's landings say."""
    pins, (visits, landings, by_others, *_) = grown.pins, landed
    return wanted.made(
        acts=lambda: acts_of_visits(visits, pins, landings.pin, by_others),
        meetings=lambda: meetings_between(
            landed.people, landings.person, grown.owner[landings.pin], landings.at
        ),
    )


def _of_all(grown: _Grown, counts: _Counts, wanted: Wanted) -> Tables:
    """What pins are, all landings on them counted."""
    pins, forest, owner = grown.pins, grown.forest, grown.owner
    is_confirmed = (counts.crawlers > 0) | (counts.visits > 0)
    alone = functools.cache(lambda: sphere.joined(grown.spheres.alone()))
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
                "root_pin_id": take(pins["pin_id"], forest.root),
                "hop": forest.hop,
                "visits": counts.visits,
                "visitors": counts.visitors,
                "is_parent_missing": grown.is_parent_missing,
                "is_confirmed": is_confirmed,
                "pinned_at": pins["at"],
            }
        ),
        lineage=lambda: lineage(pins, forest, owner),
        own_pins=lambda: _with_ids(grown.pinners, _own_pins(owner, is_confirmed, alone())),
        cascade_shapes=lambda: _shapes(grown, counts, alone()),
        acts=lambda: acts_of_pins(pins, forest.parent),
        meetings=lambda: meetings_between(
            grown.pinners,
            owner,
            np.where(forest.parent < 0, -1, owner[forest.parent]),
            ints(pins["at"]),
        ),
    )


def _distinct(person: Ints, group: Ints, count: int) -> Ints:
    """[groups] distinct known people among rows of each group."""
    known = person >= 0
    width = int(person.max(initial=0)) + 1
    pairs = np.sort(group[known] * width + person[known])
    return np.bincount(pairs[group_starts(pairs)] // width, minlength=count)


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


def _shapes(grown: _Grown, counts: _Counts, measured: Measured) -> pa.Table:
    built = measured.shapes._asdict()
    root = built.pop("root")
    visits = np.zeros(len(grown.pins), dtype=np.int64)
    np.add.at(visits, grown.forest.root, counts.visits)
    return pa.table(
        {
            "site_id": take(grown.pins["site_id"], root),
            "root_pin_id": take(grown.pins["pin_id"], root),
            "pinners": _distinct(grown.owner, grown.forest.root, len(grown.pins))[root],
            "visits": visits[root],
            "visitors": counts.visitors_of_cascade[root],
            **built,
        }
    )
