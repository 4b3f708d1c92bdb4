"""What people's histories say: every act of a person together."""

import functools
from collections.abc import Mapping

from pipelines.kernels.columns import Tables
from pipelines.transforms.ladder import Items, climb_ladder
from pipelines.transforms.relationships import stage_pinners
from pipelines.transforms.retention import lifetime_parts, retention_parts, watch_people
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site


def follow_people(
    tables: Tables, sites: Mapping[str, Site], items: Items, wanted: Wanted = EVERYTHING
) -> Tables:
    """Reads each person's history. Takes acts and returns of whole people."""
    staged = functools.cache(lambda: stage_pinners(tables["acts"], tables["return_parts"], sites))
    climbed = functools.cache(lambda: climb_ladder(tables["acts"], sites, items))
    watched = functools.cache(lambda: watch_people(tables["acts"], sites))
    return wanted.made(
        pinner_stages=lambda: staged()["pinner_stages"],
        stage_parts=lambda: staged()["stage_parts"],
        retention_parts=lambda: retention_parts(watched()),
        lifetime_parts=lambda: lifetime_parts(watched()),
        ladder_parts=lambda: climbed().standings,
        move_parts=lambda: climbed().moves,
    )
