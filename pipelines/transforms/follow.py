"""What people's histories say: every act of a person together."""

import functools
from collections.abc import Mapping

from pipelines.kernels.columns import Tables
from pipelines.transforms.histories import Histories
from pipelines.transforms.ladder import Items, climb_ladder
from pipelines.transforms.relationships import stage_pinners
from pipelines.transforms.retention import lifetime_parts, retention_parts, watch_people
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site


def follow_people(
    tables: Tables,
    sites: Mapping[str, Site],
    items: Items,
    wanted: Wanted = EVERYTHING,
    changed: Tables | None = None,
) -> Tables:
    """Reads each person's history. Takes all that is given of whole people.

    Args:
      tables: acts, returns and credit.
      sites: for their time zones and rules.
      items: catalogs.
      wanted: what is.
      changed: rows that come or go; None: everything is told. What the stage is given beside acts
        decides stages alone.
    """
    told = Histories(tables["acts"], sites, None if changed is None else changed["acts"])
    of_others = tables["return_parts"], tables["credit_parts"]
    staged = functools.cache(lambda: stage_pinners(told, *of_others, sites))
    climbed = functools.cache(lambda: climb_ladder(told, sites, items))
    watched = functools.cache(lambda: watch_people(told))
    return wanted.made(
        pinner_stages=lambda: staged()["pinner_stages"],
        stage_parts=lambda: staged()["stage_parts"],
        retention_parts=lambda: retention_parts(watched()),
        lifetime_parts=lambda: lifetime_parts(watched()),
        ladder_parts=lambda: climbed().standings,
        move_parts=lambda: climbed().moves,
    )
