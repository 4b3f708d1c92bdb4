"""What the settings say of each row's site."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.kernels.columns import Floats, encoded, ints
from schemas.settings import Site


def of_sites(site_id: Any, sites: Mapping[str, Site], name: str) -> Floats:
    """[rows] a number from the settings of each row's site, by its name there."""
    site = encoded(site_id)
    values = [getattr(sites[each], name) for each in site.dictionary.to_pylist()]
    return np.array(values, dtype=np.float64)[ints(site.indices)]
