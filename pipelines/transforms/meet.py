"""Pinners and the people they reached, pair by pair."""

import functools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Ints, Tables, codes, ints, joint_places
from pipelines.kernels.groups import group_by
from pipelines.kernels.hashing import hash_rows, hash_text
from pipelines.kernels.multisets import is_among, is_repeated
from pipelines.kernels.stretches import distinct, reduced
from pipelines.transforms.meetings import return_parts
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site

_PAIR = ("site_id", "pinner_id", "person_id")
_NEVER = np.iinfo(np.int64).min


def meet_people(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Merges what was found of pairs in cascades and orders. Takes all rows of whole pairs.

    Whom nobody's landing proves, an order alone does not bring into a sphere.
    """
    met = _met(tables["reach"])
    edges = functools.cache(lambda: _edges(met, _influenced(met, tables["influence"])))
    return wanted.made(
        sphere_edges=edges,
        pairs=lambda: _in_numbers(edges()),
        return_parts=lambda: return_parts(tables["meetings"], sites),
    )


def _in_numbers(edges: pa.Table) -> pa.Table:
    """PAIRS, with their key."""
    pinner = hash_rows(edges["site_id"], edges["pinner_id"])
    person = hash_text(edges["person_id"])
    for name, hashes in {"person": person, KEY: pinner}.items():
        edges = edges.append_column(name, pa.array(hashes.view(np.int64)))
    return edges


def _met(reach: pa.Table) -> pa.Table:
    """REACH with a row a pair: least hop, all visits and pins, the first landing.

    Most pairs met in one cascade only, and so did their keys.
    """
    again = is_repeated(ints(reach[KEY]))
    once, more = np.flatnonzero(~again), np.flatnonzero(again)
    some = reach.take(pa.array(more))
    groups = group_by(*codes([some[name] for name in _PAIR]))

    def merged(function: np.ufunc, values: Ints) -> Ints:
        return reduced(function, values[groups.rows], groups.start)

    first_at = merged(np.minimum, ints(some["first_at"]))
    is_first = ints(some["first_at"]) == first_at[groups.code]
    numbers = {
        "hop": merged(np.minimum, ints(some["hop"])),
        "visits": merged(np.add, ints(some["visits"])),
        "pins": merged(np.add, ints(some["pins"])),
        "first_at": first_at,
        # Of landings at one moment that with the least delay.
        "own_pin_at": merged(np.maximum, np.where(is_first, ints(some["own_pin_at"]), _NEVER)),
    }
    names = reach.select([*_PAIR, KEY]).take(pa.array(np.append(once, more[groups.one])))
    columns = {name: np.append(ints(reach[name])[once], of) for name, of in numbers.items()}
    return pa.table({**{name: names[name] for name in names.column_names}, **columns})


def _influenced(met: pa.Table, influence: pa.Table) -> Ints:
    """[pairs] micros of orders by the person that the pinner had a part in."""
    found = np.zeros(len(met), dtype=np.int64)
    bought = np.flatnonzero(is_among(ints(met[KEY]), distinct(ints(influence[KEY]))))
    some = met.select(_PAIR).take(pa.array(bought))
    place = joint_places(*([table[name] for name in _PAIR] for table in (influence, some)))
    is_met = place >= 0
    np.add.at(found, bought[place[is_met]], ints(influence["influenced_micros"])[is_met])
    return found


def _edges(met: pa.Table, influenced: Ints) -> pa.Table:
    """One row per pinner and person over all cascades, with the first landing's delay."""
    first_at = ints(met["first_at"])
    return pa.table(
        {
            **{name: met[name] for name in (*_PAIR, "hop", "visits", "pins")},
            "influenced_micros": influenced,
            "first_reached_at": first_at,
            "delay_ms": np.maximum(first_at - ints(met["own_pin_at"]), 0),
        }
    )
