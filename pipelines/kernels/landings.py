"""Landings on pins, and those that only re-pins prove."""

from typing import NamedTuple

import numpy as np

from pipelines.kernels.columns import Ints, group_starts
from pipelines.kernels.stretches import reduced


class Landings(NamedTuple):
    """People who came to pins. All [landings]."""

    pin: Ints  # row of the pin
    person: Ints  # code, -1 for nobody
    at: Ints  # epoch milliseconds


class Arrivals(NamedTuple):
    """Landings, those that only re-pins prove among them. All [arrivals]."""

    pin: Ints
    person: Ints
    at: Ints
    pins: Ints  # re-pins of the pin by the person, told at one of her arrivals on it


def with_repins(parent: Ints, owner: Ints, pinned_at: Ints, landings: Landings) -> Arrivals:
    """Adds the landings that re-pins prove: their authors were on the parent pin.

    Args:
      parent: [pins] row of the parent, -1 for a root.
      owner: [pins] person codes, -1 unknown.
      pinned_at: [pins] epoch milliseconds.
      landings: real landings.

    Returns:
      The landings, and one for each parent and known re-pinner without any, at the time of
      the earliest of her re-pins.
    """
    repin = np.flatnonzero((parent >= 0) & (owner >= 0))
    people = int(max(owner.max(initial=-1), landings.person.max(initial=-1))) + 1
    key = parent[repin] * people + owner[repin]
    order = np.argsort(key)
    key, repin = key[order], repin[order]
    start = group_starts(key)
    proven = key[start]
    pins = np.diff(start, append=len(key))
    at = reduced(np.minimum, pinned_at[repin], start)

    # Most landings can be none of these: nobody pinned on from there, or not this person.
    has_repins = np.zeros(len(parent), dtype=np.bool_)
    has_repins[parent[repin]] = True
    is_repinner = np.zeros(people + 1, dtype=np.bool_)  # the last place is nobody's
    is_repinner[owner[repin]] = True
    maybe = np.flatnonzero(has_repins[landings.pin] & is_repinner[landings.person])
    theirs = landings.pin[maybe] * people + landings.person[maybe]
    place = np.searchsorted(proven, theirs)
    is_hit = np.append(proven, -1)[place] == theirs
    hit, first = np.unique(place[is_hit], return_index=True)
    told = np.zeros(len(landings.pin), dtype=np.int64)
    told[maybe[is_hit][first]] = pins[hit]
    missing = np.ones(len(proven), dtype=np.bool_)
    missing[hit] = False
    added = repin[start[missing]]
    return Arrivals(
        np.concatenate((landings.pin, parent[added])),
        np.concatenate((landings.person, owner[added])),
        np.concatenate((landings.at, at[missing])),
        np.concatenate((told, pins[missing])),
    )
