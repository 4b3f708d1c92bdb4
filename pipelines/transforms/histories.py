"""Histories of people: their acts, numbered once for all that is read from them."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.kernels.calendar import local_days, months_of
from pipelines.kernels.columns import Bools, Ints, codes, encoded, first_rows, ints, joint_places
from pipelines.transforms.acts import Kinds
from schemas.settings import Site

_WHO = ("site_id", "person_id")


class Histories:
    """Acts of whole people; beside them those that come or go, where only what changes is asked.

    is_whole: whether everything is asked for.
    acts: [acts] ACTS.
    is_there: [acts] whether it stands; else it is one that comes or goes.
    kinds: which act each is.
    person: [acts] code of whose it is, from 0.
    people: [codes] `site_id` and `person_id`.
    is_asked: [codes] of whom an act comes or goes, or everybody.
    shops: the sites of the people.
    shop: [codes] place of each one's site among them.
    at: [acts] when.
    """

    def __init__(
        self, acts: pa.Table, sites: Mapping[str, Site], changed: pa.Table | None = None
    ) -> None:
        """Numbers the people.

        Args:
          acts: of whole people.
          sites: for their time zones.
          changed: acts that come or go; None: everything is asked for.
        """
        self.is_whole = changed is None
        self.acts = acts if changed is None else pa.concat_tables([acts, changed])
        self.is_there = np.arange(len(self.acts)) < len(acts)
        self.kinds, self.at = Kinds(self.acts), ints(self.acts["at"])
        (self.person,) = codes([self.acts[name] for name in _WHO])
        self.people = self.acts.select(_WHO).take(pa.array(first_rows(self.person)))
        self.is_asked = np.ones(len(self.people), dtype=np.bool_)
        if changed is not None:
            self.is_asked = self.among(self.person[~self.is_there])
        shops = encoded(self.people["site_id"])
        self.shops: list[str] = shops.dictionary.to_pylist()
        self.shop = ints(shops.indices)
        self._zones = [sites[name].time_zone for name in self.shops]

    @functools.cached_property
    def month(self) -> Ints:
        """[acts] month in the shop, as 12 x year + month - 1."""
        return self._in_shops(months_of)

    @functools.cached_property
    def day(self) -> Ints:
        """[acts] day in the shop, from 1970 on."""
        return self._in_shops(local_days)

    def places(self, rows: pa.Table) -> Ints:
        """[rows] code of the person whom each names, -1 where she has no acts."""
        return joint_places(*([table[name] for name in _WHO] for table in (rows, self.people)))

    def among(self, person: Ints) -> Bools:
        """[codes] whether a person is one of these."""
        found = np.zeros(len(self.people), dtype=np.bool_)
        found[person] = True
        return found

    def _in_shops(self, told: Callable[[Ints, str], Any]) -> Ints:
        """[acts] what a time is in the time zone of the shop."""
        found = np.zeros(len(self.at), dtype=np.int64)
        for code, zone in enumerate(self._zones):
            here = self.shop[self.person] == code
            found[here] = ints(pa.array(told(self.at[here], zone)))
        return found
