"""What the settings say of each row's site."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.kernels.columns import Floats, flat, ints
from schemas.settings import Site


def of_sites(site_id: Any, sites: Mapping[str, Site], name: str) -> Floats:
    """[rows] a number from the settings of each row's site, by its name there."""
    encoded = flat(site_id).dictionary_encode()
    values = [getattr(sites[site], name) for site in encoded.dictionary.to_pylist()]
    return np.array(values, dtype=np.float64)[ints(encoded.indices)]
