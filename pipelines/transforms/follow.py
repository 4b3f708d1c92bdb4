"""What people's histories say: every act of a person together."""

from collections.abc import Mapping

from pipelines.kernels.columns import Tables
from pipelines.transforms.retention import lifetime_parts, retention_parts
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.settings import Site


def follow_people(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Reads each person's history. Takes acts of whole people."""
    return wanted.made(
        retention_parts=lambda: retention_parts(tables["acts"], sites),
        lifetime_parts=lambda: lifetime_parts(tables["acts"], sites),
    )
