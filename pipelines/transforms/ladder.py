"""The engagement ladder: people on each rung by day, category and slot, and how they moved."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.kernels import ladder
from pipelines.kernels.columns import Bools, Ints, codes, encoded, ints, places, take
from pipelines.kernels.groups import numbered
from pipelines.transforms.acts import Kinds
from pipelines.transforms.daily import days_of, sum_by_key
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
    """Acts on the ladder: site, code of the person, days since 1970, place of the rung."""

    site: Any
    person: Ints
    day: Ints
    rung: Ints


def climb_ladder(acts: pa.Table, sites: Mapping[str, Site], items: Items) -> Climbed:
    """Says where people stood on the ladder each day, and how they moved between their days.

    Args:
      acts: ACTS of whole people.
      sites: for their time zones, and the time after which a person is away.
      items: catalogs.
    """
    rung = rungs_of(Kinds(acts))
    is_climbed = rung >= 0
    acts = acts.select(["site_id", "person_id", "at", "item_id", "item_list_id"])
    acts, rung = acts.filter(pa.array(is_climbed)), rung[is_climbed]
    (person,) = codes([acts["person_id"]])  # of any site: a ladder is one site's
    day = ints(days_of(acts, sites))
    climbing = _Acts(encoded(acts["site_id"]), person, day, rung)
    parts = [_climbed(climbing, dimension, key, sites) for dimension, key in _keys(acts, items)]
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


def _keys(acts: pa.Table, items: Items) -> Iterator[tuple[str, Any]]:
    """Each dimension with the key of each act."""
    yield "all", pa.repeat(ALL_KEYS, len(acts))
    yield "category", pc.fill_null(categories_of(acts, items), NO_KEY)
    yield "slot", pc.fill_null(acts["item_list_id"], NO_KEY)


def _climbed(acts: _Acts, dimension: str, key: Any, sites: Mapping[str, Site]) -> Climbed:
    """One dimension's parts: each of its keys is a ladder of its own."""
    site, key = acts.site, encoded(key)
    keys = max(len(key.dictionary), 1)
    told, place = numbered(ints(site.indices) * keys + ints(key.indices))
    names = pa.table(
        {
            "site_id": site.dictionary.take(pa.array(told // keys)),
            "key": key.dictionary.take(pa.array(told % keys)),
            "dimension": pa.repeat(dimension, len(told)),
        }
    )
    away_after = np.array(
        [sites[name].away_after_days for name in names["site_id"].to_pylist()], dtype=np.int64
    )
    people = int(acts.person.max(initial=0)) + 1
    stood = ladder.highest_rungs(place * people + acts.person, acts.day, acts.rung)
    moved = ladder.moves_between(stood, away_after[stood.who // people])
    is_act = np.arange(len(place) + len(stood.who)) < len(place)
    return Climbed(
        _added_up(
            names,
            np.concatenate((place, stood.who // people)),
            np.concatenate((acts.day, stood.day)),
            {"rung": np.concatenate((acts.rung, stood.rung))},
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
    names: pa.Table, place: Ints, day: Ints, states: dict[str, Ints], counts: dict[str, Bools]
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
    rows = names.take(pa.array(told))
    for name, column in columns.items():
        rows = rows.append_column(name, pa.array(column))
    return rows
