"""The engagement ladder: people on each rung by day, category and slot, and how they moved."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.kernels import ladder
from pipelines.kernels.columns import Bools, Ints, encoded, ints, places, take
from pipelines.kernels.groups import numbered
from pipelines.transforms.acts import Kinds
from pipelines.transforms.daily import sum_by_key
from pipelines.transforms.histories import Histories
from schemas.batches import LADDER_COUNTS, LADDER_PARTS, MOVE_COUNTS, MOVE_PARTS
from schemas.ladder import ALL_KEYS, AWAY, NEW, NO_KEY, RUNG_OF, RUNGS
from schemas.settings import Site

# Site -> file of its catalog (`schemas.batches.ITEMS`), on storage that all workers share.
Items = Mapping[str, str]
NO_ITEMS: Items = MappingProxyType({})
# The kernel's numbers begin with those of its two states off the ladder.
_STATES = pa.array([NEW, AWAY, *RUNGS], pa.string())


class Climbed(NamedTuple):
    """LADDER_PARTS and MOVE_PARTS of some people."""

    standings: pa.Table
    moves: pa.Table


class _Acts(NamedTuple):
    """Acts on the ladder. All [acts]."""

    person: Ints
    day: Ints
    rung: Ints
    is_there: Bools


def climb_ladder(told: Histories, sites: Mapping[str, Site], items: Items) -> Climbed:
    """Says where people stood on the ladder each day, and how they moved between their days.

    Args:
      told: what they did; where only what changes is asked for, the rest is left out.
      sites: for the time after which a person is away.
      items: catalogs.
    """
    rung = rungs_of(told.kinds)
    row = np.flatnonzero((rung >= 0) & told.is_asked[told.person])
    climbing = _Acts(told.person[row], told.day[row], rung[row], told.is_there[row])
    shop = told.shop[told.person]
    parts = []
    for dimensions, key in _keys(told.acts, items):
        keys = int(key.max(initial=0)) + 1
        ladders, place = numbered(shop * keys + key)
        of_shop, of_key = np.divmod(ladders, keys)
        names = [
            pa.table(
                {
                    "site_id": pa.array(told.shops, pa.string()).take(pa.array(of_shop)),
                    "key": told_keys.take(pa.array(of_key)),
                    "dimension": pa.repeat(dimension, len(ladders)),
                }
            )
            for dimension, told_keys in dimensions.items()
        ]
        parts.append(_climbed(climbing, place[row], names, sites, is_whole=told.is_whole))
    return Climbed(*(pa.concat_tables(tables) for tables in zip(*parts, strict=True)))


def add_standings_up(parts: pa.Table) -> pa.Table:
    """`ladder_daily` from the LADDER_PARTS of everybody."""
    return sum_by_key(parts, LADDER_PARTS, LADDER_COUNTS)


def add_moves_up(parts: pa.Table) -> pa.Table:
    """`ladder_moves` from the MOVE_PARTS of everybody."""
    return sum_by_key(parts, MOVE_PARTS, MOVE_COUNTS)


def rungs_of(kinds: Kinds) -> Ints:
    """[acts] place of each act's rung in `RUNGS`, -1 for what is on none."""
    return kinds.told({act: RUNGS.index(rung) for act, rung in RUNG_OF.items()}, -1)


def categories_of(acts: pa.Table, items: Items) -> pa.Array:
    """[acts] category of the item of each act; null without an item, or without a category."""
    site, item = (acts[name].combine_chunks() for name in ("site_id", "item_id"))
    category = pa.nulls(len(acts), pa.string())
    for name, path in items.items():
        catalog = _read_catalog(path)
        here = pc.equal(site, name)
        found = take(catalog["item_category"], places(item.filter(here), catalog["item_id"]))
        category = pc.replace_with_mask(category, here, found)
    return category


@functools.lru_cache(maxsize=8)
def _read_catalog(path: str) -> pa.Table:
    """A run's copy, named by its digest: a worker reads it once for all its shards."""
    return pq.ParquetFile(Path(path)).read()


def _keys(acts: pa.Table, items: Items) -> Iterator[tuple[dict[str, Any], Ints]]:
    """Dimensions, each with its keys, and [acts] the place of the key of each act among them.

    Dimensions whose ladders are the same come together: that of all acts, and that of categories
    in a shop that tells none.
    """
    alone = {"all": pa.array([ALL_KEYS])}
    if not items:
        alone["category"] = pa.array([NO_KEY])
    yield alone, np.zeros(len(acts), dtype=np.int64)
    keys = {"slot": acts["item_list_id"]}
    if items:
        keys["category"] = categories_of(acts, items)
    for dimension, key in keys.items():
        named = encoded(pc.fill_null(key, NO_KEY))
        yield {dimension: named.dictionary}, ints(named.indices)


def _climbed(
    acts: _Acts,
    place: Ints,
    names: Sequence[pa.Table],
    sites: Mapping[str, Site],
    *,
    is_whole: bool,
) -> Climbed:
    """Parts of dimensions with the same ladders: each of their keys is a ladder of its own.

    Args:
      acts: all that matter.
      place: [acts] of their ladders.
      names: for each dimension [places] what the ladders are called.
      sites: for the time after which a person is away.
      is_whole: whether everything is told, or what the acts that are not there change.
    """
    away_after = np.array(
        [sites[name].away_after_days for name in names[0]["site_id"].to_pylist()], dtype=np.int64
    )
    person, day, rung, is_there = acts
    people = int(person.max(initial=0)) + 1
    who = place * people + person
    if not is_whole:
        row = ladder.since_changes(who, day, ~is_there)
        place, who, day, rung = place[row], who[row], day[row], rung[row]
    stood = ladder.highest_rungs(who, day, rung)
    moved = ladder.moves_between(stood, away_after[stood.who // people])
    is_act = np.arange(len(place) + len(stood.who)) < len(place)
    return Climbed(
        _added_up(
            names,
            np.concatenate((place, stood.who // people)),
            np.concatenate((day, stood.day)),
            {"rung": np.concatenate((rung, stood.rung))},
            {"people": ~is_act, "acts": is_act},
        ).select(LADDER_PARTS.names),
        _added_up(
            names,
            moved.who // people,
            moved.day,
            {"from_rung": moved.source, "to_rung": moved.target},
            {"people": np.ones(len(moved.who), dtype=np.bool_)},
        ).select(MOVE_PARTS.names),
    )


def _added_up(
    names: Sequence[pa.Table],
    place: Ints,
    day: Ints,
    states: dict[str, Ints],
    counts: dict[str, Bools],
) -> pa.Table:
    """Counts by the names of a place, by day and by states, all of them in words."""
    days, of_day = numbered(day)
    cell = place * len(days) + of_day
    for state in states.values():
        cell = cell * len(_STATES) + state - ladder.NEW
    told, cell = numbered(cell)
    columns: dict[str, Any] = {}
    for name, is_one in counts.items():
        columns[name] = np.bincount(cell[is_one], minlength=len(told))
    for name in reversed(states):
        told, state = np.divmod(told, len(_STATES))
        columns[name] = _STATES.take(pa.array(state))
    told, of_day = np.divmod(told, max(len(days), 1))
    columns["day"] = pa.array(days[of_day], pa.int32()).cast(pa.date32())
    found = pa.concat_tables(each.take(pa.array(told)) for each in names)
    for name, column in columns.items():
        found = found.append_column(name, pa.chunked_array([pa.array(column)] * len(names)))
    return found
