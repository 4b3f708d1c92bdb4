"""What beacon, drain and imports refused: every record once, counted by day."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Tables, codes, group_starts, sort_by
from pipelines.transforms.daily import days_of
from schemas.batches import QUALITY_COUNTS
from schemas.settings import Site


def count_rejects(quarantined: pa.Table, sites: Mapping[str, Site]) -> Tables:
    """Rejects and their counts in `quality_parts`, of whole (site, reject id)s."""
    rejects = once(quarantined)
    none, one = np.zeros(len(rejects), dtype=np.int64), np.ones(len(rejects), dtype=np.int64)
    quality = {
        "site_id": rejects["site_id"],
        "day": days_of(rejects.append_column("at", rejects["received_at"]), sites),
        "event_name": pa.array(["unknown"] * len(rejects), pa.string()),
        **(dict.fromkeys(QUALITY_COUNTS, none) | {"quarantined": one}),
    }
    return {"rejects": rejects, "quality_parts": pa.table(quality)}


def once(rejects: pa.Table) -> pa.Table:
    """Of each reject the first received: a drain that was cut off may have written one twice."""
    rejects = sort_by(rejects, "site_id", "reject_id", "received_at", "reason")
    (code,) = codes([rejects["site_id"], rejects["reject_id"]])
    return rejects.take(pa.array(group_starts(code)))
